"""Reading connectors.toml: what is no file of ours is refused at once, and every key knows its line."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from connector_core.config.document import DEEPEST, line_of, read
from connector_core.errors import ConfigError


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "connectors.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_g1_a_missing_file_a_directory_and_other_things_are_named(tmp_path: Path) -> None:
    missing = refused(tmp_path / "none.toml")
    assert "there is no such file - give the file with --config" in missing
    assert "or make one: connector-core init" in missing
    assert "is a directory" in refused(tmp_path)
    assert "is not a regular file" in refused(Path(os.devnull))
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refused(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read: " in refused(tmp_path / "loop")


def test_g1_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\n")
    path.chmod(0)
    code = f"""
import os, sys
from pathlib import Path
from connector_core.config.document import read, line_of
from connector_core.errors import ConfigError
if os.geteuid() == 0:
    os.seteuid(65534)  # root may read everything
try:
    read(Path({str(path)!r}))
except ConfigError as error:
    print(error, error.exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == f"{path}: cannot be read: Permission denied - check its owner and its permissions 2\n", (
        done.stderr
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        (" \n\t\n", "is empty"),
        ("# nothing but a comment\n", "says nothing"),
        ("\ufeffa = 1\n", ":1: starts with a byte order mark"),
        ("a = 1\n".encode("utf-16"), ":1: starts with a byte order mark"),
        (b"a = 1\nb = '\xff'\n", ":2: is not UTF-8 (byte 6 of the line)"),
        ("a = 1\r\nb = 2\r\n", ":1: has a carriage return (Windows line ends)"),
        ("a = 1\nb = \n", ":2: is not valid TOML: Invalid value (column 5) - text goes in quotes"),
        ("[connectors.my shop]\n", "at the end of a table declaration (column 16) - a table is named with letters"),
        ("a = 1\na = 2\n", "is not valid TOML: Cannot overwrite a value"),
        ('a = 1\nb = "abc', ":2: is not valid TOML: "),
        ("a = 9" + "0" * 5000, "is not valid TOML: Exceeds the limit"),
        ("a = 2026-01-01T25:00:00Z\n", ":1: is not valid TOML: "),
    ],
    ids=[
        "empty",
        "blank",
        "comment",
        "bom",
        "utf16",
        "latin1",
        "crlf",
        "value",
        "header",
        "twice",
        "open",
        "digits",
        "hour25",
    ],
)
def test_g1_what_cannot_be_read_is_refused_with_its_position(tmp_path: Path, content: bytes | str, said: str) -> None:
    assert said in refused(written(tmp_path, content))


BOMBS = {
    "arrays 400": "a = " + "[" * 400 + "]" * 400,
    "arrays 5000": "a = " + "[" * 5000 + "]" * 5000,
    "inline tables": "a = " + "{a = " * 5000,
    "dotted key": "a" + ".a" * 100_000 + " = 1",
    "header": "[" + "a." * 100_000 + "a]",
    "1.3 MB of dots": "a" + ".a" * 650_000 + " = 1",
    "quoted dots": '"a"' + '."a"' * 50_000 + " = 1",
    "strings without end": 'a = "' + '\\"' * 120_000,
    "long strings without end": 'a = """' + '\\"' * 120_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_g2_bombs_are_refused(tmp_path: Path, bomb: str) -> None:
    assert any(
        word in refused(written(tmp_path, BOMBS[bomb])) for word in ("nested deeper", "longer than", "valid TOML")
    )


def test_g2_a_hundred_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "connectors.toml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    assert "is longer than 256 KiB" in refused(path)


def test_g2_the_deepest_that_is_allowed_is_read(tmp_path: Path) -> None:
    deepest = ".".join("a" * DEEPEST)
    assert read(written(tmp_path, f"{deepest} = 1")).data["a"]
    assert "nested deeper than 32 levels" in refused(written(tmp_path, f"a.{deepest} = 1"))


TRICKY = '''\
# [not.a.table]
title = "x = 1"   # y = 2
[plain]
key = 1
"quoted key" = [
    1,  # [commented]
    { inner = "]", other = [2,
      3] },
    """
    [also.not.a.table]
    fake = 1
    """,
]
after = """one \\"\\"\\" line
two"""
last = 'it''s'
[a.b."c.d"]
dotted.key.here = true
times = 2026-01-01 07:30:00Z
inline = { x = 1, y = { z = 2 } }
[[list]]
name = 1
[[list]]
name = 2
[list.sub]
deep = 1
'''.replace("it''s", "its")


def test_every_key_knows_its_line(tmp_path: Path) -> None:
    document = read(written(tmp_path, TRICKY))
    assert document.data == tomllib.loads(TRICKY)
    lines = {
        ("title",): 2,
        ("plain",): 3,
        ("plain", "key"): 4,
        ("plain", "quoted key"): 5,
        ("plain", "quoted key", 1, "inner"): 7,
        ("plain", "quoted key", 1, "other"): 7,
        ("plain", "after"): 14,
        ("plain", "last"): 16,
        ("a", "b", "c.d"): 17,
        ("a", "b", "c.d", "dotted", "key", "here"): 18,
        ("a", "b", "c.d", "times"): 19,
        ("a", "b", "c.d", "inline", "y", "z"): 20,
        ("list", 0): 21,
        ("list", 1, "name"): 24,
        ("list", 1, "sub", "deep"): 26,
    }
    assert {path: line_of(document.lines, path) for path in lines} == lines


def test_every_key_that_tomllib_finds_has_a_line(tmp_path: Path) -> None:
    document = read(written(tmp_path, TRICKY))

    def keys(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        if isinstance(value, dict):
            return [p for k, v in value.items() for p in [(*path, k), *keys(v, (*path, k))]]
        items = enumerate(value) if isinstance(value, list) else ()
        return [p for i, v in items for p in keys(v, (*path, i))]

    assert set(keys(document.data, ())) <= set(document.lines)


def test_a_missing_key_has_the_line_of_its_table(tmp_path: Path) -> None:
    document = read(written(tmp_path, TRICKY))
    assert line_of(document.lines, ("plain", "missing")) == 3
    assert line_of(document.lines, ("nowhere",)) is None
