"""Values that stand elsewhere: variables and files, replaced in parsed values, never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connector_core.config.placeholders import Replaced, mentioned, replace

ENV = {"NAME": "value", "EMPTY": "", "QUOTE": '"]\n[x]\n', "LOOP": "${NAME}"}


def replaced(data: object, folder: Path = Path()) -> Replaced:
    return replace(data, ENV, folder)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${NAME}", "value"),
        ("a ${NAME} b ${NAME}", "a value b value"),
        ("${NAME:-default}", "value"),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${MISSING:-}", ""),
        ("${MISSING:-https://x.example:1/?a=b}", "https://x.example:1/?a=b"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME $ {NAME}", "$NAME $ {NAME}"),
        ("${LOOP}", "${NAME}"),
        ("${QUOTE}", '"]\n[x]\n'),
    ],
)
def test_texts(text: str, becomes: str) -> None:
    found = replaced({"key": text})
    assert found.data == {"key": becomes}
    assert found.problems == []


def test_at_any_depth_but_never_in_keys() -> None:
    found = replaced({"${NAME}": [{"a": [["${NAME}", 1]]}, True, {"env": "NAME"}], "b": {"c": {"env": "NAME"}}})
    assert found.data == {"${NAME}": [{"a": [["value", 1]]}, True, "value"], "b": {"c": "value"}}
    assert found.origins[("b", "c")] == ("NAME",)
    assert ("${NAME}", 0, "a", 0, 0) in found.origins


def test_a_section_whose_only_setting_is_called_file_is_left_alone() -> None:
    data = {
        "connectors": {"a": {"config": {"file": "a.csv"}, "streams": {"file": {"env": "x"}}}, "file": {"env": "NAME"}},
        "destinations": {"w": {"file": "w.db"}},
        "ledger": {"file": "x"},
    }
    assert replaced(data).data == data
    deeper = {"ledger": {"url": {"env": "NAME"}}, "connectors": {"a": {"config": {"x": {"env": "NAME"}}}}}
    assert replaced(deeper).data == {"ledger": {"url": "value"}, "connectors": {"a": {"config": {"x": "value"}}}}


def test_a_table_with_more_than_env_is_left_alone() -> None:
    data = {"t": {"a": {"env": "NAME", "x": 1}, "b": {"env": {"env": "NAME"}}, "c": {"file": 7}}}
    assert replaced(data).data == {"t": {"a": {"env": "NAME", "x": 1}, "b": {"env": "value"}, "c": {"file": 7}}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${MISSING}", "needs the environment variable MISSING, which is not set"),
        ("x${EMPTY}x", "needs the environment variable EMPTY, which is empty"),
        ({"env": "MISSING"}, "needs the environment variable MISSING, which is not set"),
        ("${NAME", "has a ${ without its }"),
        ("${}", "has a placeholder without a valid name"),
        ("${a b}", "has a placeholder without a valid name"),
        ("${ÄNAME}", "has a placeholder without a valid name"),
        ({"file": "none"}, "needs the file 'none': No such file or directory"),
        ({"file": "."}, "needs the file '.': it is not a regular file"),
        ({"file": "empty"}, "needs the file 'empty', which is empty"),
        ({"file": "latin1"}, "needs the file 'latin1': it is not UTF-8"),
        ({"file": "long"}, "needs the file 'long': it is longer than 64 KiB"),
        ({"file": "pipe"}, "needs the file 'pipe': it is not a regular file"),
        ({"file": "nul\0"}, "needs the file 'nul\\x00': "),
    ],
)
def test_g8_what_cannot_be_had_is_a_problem_of_its_key(tmp_path: Path, value: object, said: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin1").write_bytes(b"\xff")
    (tmp_path / "long").write_text("x" * 70_000)
    os.mkfifo(tmp_path / "pipe")
    found = replaced({"a": {"b": value}}, tmp_path)
    (problem,) = found.problems
    assert problem.message.startswith(said)
    assert problem.path == ("a", "b")
    assert found.missing == {("a", "b")}


def test_a_file_is_read_without_its_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "lf").write_bytes(b"pass word\n")
    (tmp_path / "crlf").write_bytes(b"pass word\r\n")
    (tmp_path / "key").write_bytes(b"-----BEGIN-----\nx\n-----END-----\n")
    data = {name: {"file": name} for name in ("lf", "crlf", "key")}
    found = replaced({"t": {**data, "absolute": {"file": str(tmp_path / "lf")}}}, tmp_path).data["t"]
    assert found["lf"] == found["crlf"] == found["absolute"] == "pass word"
    assert found["key"] == "-----BEGIN-----\nx\n-----END-----"


def test_a_variable_of_several_lines_is_noted() -> None:
    assert replaced({"a": "${QUOTE}", "b": "${NAME}"}).several_lines == {("a",): "QUOTE"}


def test_variables_that_a_raw_text_mentions() -> None:
    env = {"A": "one", "B": "two", "C": "three", "PATH": "/bin", "D": ""}
    assert mentioned('x = "${A:-y}" # PATH\ny = { env = "B" } z = "${D}"', env) == {"one", "two"}
