"""The repository itself: what is tracked, what is locked, what an installed wheel holds, and what dev.py does."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.wheels import MEMBERS, ROOT, SIBLINGS, name_of, project

# Put together here, so that this file does not hold what it forbids.
REGISTRIES = [
    ".".join(parts) for parts in (("pypi", "org"), ("python" + "hosted", "org"), ("npmjs", "org"), ("anaconda", "org"))
]
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|opt|mnt|home/\w+|Users/\w+)/")


def settings(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def package_of(folder: Path) -> str:
    return name_of(folder).replace("-", "_")


def git(*args: str) -> str:
    return subprocess.run(["git", *args], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def tracked_texts() -> Iterator[tuple[str, str]]:
    for name in git("ls-files", "-z").split("\0"):
        path = ROOT / name
        if name and path.is_file():  # deleted in the working tree but not yet committed: nothing to read
            content = path.read_bytes()
            if b"\0" not in content:
                yield name, content.decode()


def locked() -> dict[str, list[tuple[str, str]]]:
    """Per canonical name the (version, rest of the line) pairs: a name may be locked once per platform or Python."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            match = re.fullmatch(r"([\w.-]+)(?:\[[\w,.-]+\])?==([\w.!+]+)(.*)", line)
            assert match, f"not pinned: {line!r}"
            found.setdefault(canonicalize_name(match[1]), []).append((match[2], match[3]))
    return found


# --- what is tracked


def test_no_tracked_file_names_a_registry() -> None:
    found = [f"{name}: {host}" for name, text in tracked_texts() for host in REGISTRIES if host in text]
    assert found == []


def test_no_tracked_file_holds_a_path_of_a_machine() -> None:
    found = [f"{name}: {match[0]}" for name, text in tracked_texts() for match in MACHINE_PATH.finditer(text)]
    assert found == []


LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "code", "pty"}
CALLS = re.compile(r"^(eval|exec|compile|__import__|os\.(system|popen|spawn\w*)|subprocess\.get(status)?output)$")


def unsafe(path: Path) -> Iterator[str]:
    """Modules that bring objects to life from bytes, and calls that run a text as code or hand it to a shell."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (name for name in names if name.split(".")[0] in LOADERS)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if CALLS.match(called) or any(k.arg == "shell" and ast.unparse(k.value) != "False" for k in node.keywords):
                yield called


def test_h13_no_pickle_no_eval_no_unsafe_yaml_no_shell(tmp_path: Path) -> None:
    sources = [
        path for folder in ("connector_core", "plugins", "destinations") for path in (ROOT / folder).rglob("*.py")
    ]
    found = {str(path.relative_to(ROOT)): list(unsafe(path)) for path in [*sources, ROOT / "dev.py"]}
    assert len(found) > 100
    kit = "connector_core/testing/child.py"  # the contract kit, over a pipe to its own child; no run loads it
    assert {path: names for path, names in found.items() if names and path != kit} == {}
    bad = tmp_path / "bad.py"
    bad.write_text("import pickle\nfrom yaml import load\neval('1')\nos.system('x')\nrun('x', shell=True)\n")
    assert len(list(unsafe(bad))) == 5


def test_uv_lock_is_ignored_because_it_records_addresses() -> None:
    assert git("ls-files", "uv.lock") == ""
    assert git("check-ignore", "--no-index", "uv.lock").strip() == "uv.lock"


# --- what is locked


def test_the_lock_has_no_address() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_every_locked_requirement_has_hashes() -> None:
    without = [name for name, pins in locked().items() for _, rest in pins if "--hash=sha256:" not in rest]
    assert without == []


@pytest.mark.parametrize("folder", MEMBERS, ids=name_of)
def test_the_lock_satisfies_what_the_distribution_asks_for(folder: Path) -> None:
    pins = locked()
    own = {canonicalize_name(name_of(member)) for member in MEMBERS}
    extras = project(folder).get("optional-dependencies", {}).values()
    groups = settings(folder).get("dependency-groups", {}).values()
    asked = [Requirement(text) for texts in (project(folder)["dependencies"], *extras, *groups) for text in texts]
    missing = [
        str(requirement)
        for requirement in asked
        if (name := canonicalize_name(requirement.name)) not in own
        and not any(requirement.specifier.contains(version) for version, _ in pins.get(name, []))
    ]
    assert asked
    assert missing == [], "run `python3 dev.py lock`"


# --- the workspace


def entry_points() -> list[EntryPoint]:
    found = []
    for folder in MEMBERS:
        groups = {"console_scripts": project(folder).get("scripts", {}), **project(folder).get("entry-points", {})}
        found += [EntryPoint(n, value, group) for group, points in groups.items() for n, value in points.items()]
    return found


@pytest.mark.parametrize("point", entry_points(), ids=lambda point: f"{point.group}:{point.name}")
def test_every_entry_point_leads_to_something(point: EntryPoint) -> None:
    assert point.load() is not None
    if point.group == "console_scripts":
        assert callable(point.load())


@pytest.mark.parametrize("folder", SIBLINGS, ids=name_of)
def test_a_sibling_has_the_files_and_settings_of_its_siblings(folder: Path) -> None:
    source = (folder / "src").relative_to(ROOT).as_posix()
    tools = settings(ROOT)["tool"]
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "src" / package_of(folder) / "py.typed").exists()
    assert "connector-core" in [Requirement(text).name for text in project(folder)["dependencies"]]
    assert project(folder)["requires-python"] == project(ROOT)["requires-python"]
    assert source in tools["pytest"]["ini_options"]["pythonpath"]
    assert source in tools["mypy"]["files"]
    assert any(path.endswith(source) for path in tools["mypy"]["mypy_path"])
    core, plugins = tools["importlinter"]["contracts"]
    assert package_of(folder) in tools["importlinter"]["root_packages"]
    assert package_of(folder) in core["forbidden_modules"]
    assert package_of(folder) in plugins["modules"]


# --- .ci/run and dev.py


@pytest.mark.parametrize("code", [0, 7])
def test_ci_runs_the_tests_from_the_root_and_hands_on_the_exit_code(code: int, tmp_path: Path) -> None:
    assert git("ls-files", "--stage", ".ci/run").startswith("100755")
    (tmp_path / ".ci").mkdir()
    shutil.copy2(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "dev.py").write_text(f"import os, sys; print(os.getcwd(), *sys.argv); sys.exit({code})")
    result = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", capture_output=True, text=True)
    assert result.stdout.split() == [str(tmp_path), "dev.py", "test"]
    assert result.returncode == code


def dev(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "dev.py", *args], cwd="/", capture_output=True, text=True)


def test_dev_needs_the_standard_library_only() -> None:
    tree = ast.parse((ROOT / "dev.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == set()


@pytest.mark.parametrize("command", ["setup", "demo", "test", "check", "docs", "lock", "bench"])
def test_dev_lists_its_commands(command: str) -> None:
    result = dev("--help")
    assert result.returncode == 0
    assert re.search(rf"^  {command} +\w", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("args", [[], ["tset"], ["check", "--fix"], ["setup", "now"]])
def test_dev_refuses_what_it_does_not_know(args: list[str]) -> None:
    result = dev(*args)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: python3 dev.py COMMAND")


def run_in_dev(code: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"import os, signal, sys\nsys.path.insert(0, {str(ROOT)!r})\nimport dev\n{code}"]
    return subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True)


def test_dev_installs_every_member_of_the_workspace() -> None:
    with run_in_dev("print(*dev.DISTRIBUTIONS, sep='\\n')") as child:
        out, _ = child.communicate()
    assert sorted(out.splitlines()) == sorted(str(folder) for folder in MEMBERS)


def test_dev_hides_settings_that_lead_pip_astray_from_its_children() -> None:
    print_names = "import os; print(*(name for name in os.environ if name.startswith(('PIP_', 'UV_F'))))"
    show = f"dev.run([sys.executable, '-c', {print_names!r}])"
    misleading = {"PIP_FIND_LINKS": "/nowhere", "PIP_TARGET": "/nowhere", "UV_FIND_LINKS": "/nowhere"}
    with run_in_dev(show, **misleading, PIP_INDEX_URL="kept") as child:
        out, _ = child.communicate()
    assert "PIP_INDEX_URL" in out
    assert [name for name in misleading if name in out] == []
    with run_in_dev(show, PIP_FIND_LINKS="/wheels", PIP_NO_INDEX="1") as child:  # then the folder is the only source
        out, _ = child.communicate()
    assert "PIP_FIND_LINKS" in out


def test_dev_hands_on_the_exit_code_of_a_child() -> None:
    with run_in_dev("sys.exit(dev.run([sys.executable, '-c', 'raise SystemExit(75)']))") as child:
        assert child.wait() == 75
    with run_in_dev("sys.exit(dev.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']))") as child:
        assert child.wait() == 137


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_dev_takes_its_children_along_when_it_is_stopped(signum: signal.Signals, code: int, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(300)")
    # a shell that starts the tests in the background has its children ignore Ctrl-C
    stopped = f"""
signal.signal(signal.SIGINT, signal.default_int_handler)
dev.GRACE = 0.5
dev.setup = lambda: dev.run([sys.executable, {str(tmp_path / "child.py")!r}])
sys.exit(dev.main(["setup"]))
"""
    with run_in_dev(stopped) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signum)
        assert parent.wait() == code
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
