#!/usr/bin/env python3
"""One command for every task of a developer; `python3 dev.py -h` lists them.

Standard library only, Python 3.11 or newer. The first command makes `.venv` and fills it from `requirements.lock`,
where every file is pinned by its hash: with uv when that can reach an index, with pip otherwise. Later commands see at
once that nothing has changed. Arguments after `demo`, `test` and `bench` are handed on, as in
`python3 dev.py test -k ledger -x`. Exit codes are those of the commands that were run; 130 after Ctrl-C and 143 after
SIGTERM.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # nothing here may stop an older Python from reaching the message in main
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn, TypeAlias

Word: TypeAlias = "str | pathlib.Path"  # of a command line

UV = "0.13.9"
ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "dev-stamp"
SITE = ROOT / "build" / "site"
DISTRIBUTIONS = [  # the members of the workspace; the same two patterns as in pyproject.toml
    path.parent
    for pattern in ("", "plugins/*/", "destinations/*/")
    for path in sorted(ROOT.glob(f"{pattern}pyproject.toml"))
]
OURS = [ROOT / name for name in ("connector_core", "plugins", "destinations", "tests")]
SPREAD = ["-n", "3", "--dist", "loadscope", "--no-loadscope-reorder"]
ANCHOR = ROOT / ".connector-core" / "demo.json"

SANDBOX_START = 60.0  # seconds until the sandbox has to have said where it listens
GRACE = 12.0  # seconds for a child to end by itself; a run finishes or rolls back its commit within 10

# Settings that would send packages elsewhere than into .venv, refuse an editable install, or put a local file before
# the one whose hash is locked. Where to find the index, proxies and certificates are left as they are.
MISLEADING = [
    *(f"PIP_{name}" for name in ("TARGET", "PREFIX", "ROOT", "USER", "REQUIRE_HASHES", "CONSTRAINT", "NO_BINARY")),
    *(f"UV_{name}" for name in ("TARGET", "PREFIX", "SYSTEM_PYTHON", "REQUIRE_HASHES", "CONSTRAINT", "PYTHON")),
    *("UV_FIND_LINKS", "UV_NO_BINARY", "UV_PROJECT_ENVIRONMENT", "PYTHONHOME", "__PYVENV_LAUNCHER__"),
]

FIRST_QUERY = """\
SELECT c.status, count(DISTINCT c.id) AS cases, count(r.reply_id) AS replies
FROM stitch_desk.cases AS c
LEFT JOIN stitch_desk.replies AS r ON r.case_id = c.id
GROUP BY c.status
ORDER BY cases DESC, c.status"""

SHOW = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).show(max_rows=40)"


class CommandError(Exception):
    """A command ended with another code than 0; `code` is that code and becomes ours."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"`{' '.join(command)}` ended with exit code {code}")
        self.code = code


def say(message: str) -> None:
    """Prints one line about what happens next, ahead of what the child will print."""
    print(f"dev.py: {message}", file=sys.stderr, flush=True)


def environment(**extra: str) -> dict[str, str]:
    """The environment of every child: the caller's, without what misleads pip and uv, with .venv first."""
    env = {key: value for key, value in os.environ.items() if key not in MISLEADING}
    if "PIP_NO_INDEX" not in env:  # then the folder is only an addition, and may hold another build of a locked version
        env.pop("PIP_FIND_LINKS", None)
    return {
        **env,
        "VIRTUAL_ENV": str(VENV),
        "PATH": os.pathsep.join([str(BIN), env.get("PATH", "")]),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "1",
        **extra,
    }


def end(child: subprocess.Popen[str], *, asked: bool) -> None:
    """Ends `child`, by force when it does not end when asked; `asked` says that it has had its signal already."""
    if asked and ended(child):
        return
    child.terminate()
    if not ended(child):
        child.kill()
        child.wait()


def ended(child: subprocess.Popen[str]) -> bool:
    """Whether `child` ends within one grace period."""
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        return False
    return True


def run(command: Sequence[Word], env: Mapping[str, str] | None = None) -> int:
    """Runs a child in the repository's root and returns its exit code; an interrupt is waited out, then enforced."""
    words = [str(word) for word in command]
    with subprocess.Popen(words, cwd=ROOT, env=env or environment(), text=True) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:  # a terminal sends Ctrl-C to the child as well
            end(child, asked=True)
            raise
        except SystemExit:  # SIGTERM reaches us alone
            end(child, asked=False)
            raise
    return code if code >= 0 else 128 - code  # ended by a signal: as shells report it


def must(*command: Word) -> None:
    """Runs a child that has to succeed."""
    if code := run(command):
        raise CommandError([str(word) for word in command], code)


def fingerprint() -> str:
    """What the contents of .venv depend on, as one hash."""
    digest = hashlib.sha256(f"{UV} compiled {ROOT}".encode())
    for path in [LOCK, *(folder / "pyproject.toml" for folder in DISTRIBUTIONS)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def setup() -> int:
    """Makes .venv hold exactly what the lock says and the repository's own distributions, as editable installs."""
    wanted = fingerprint()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return 0
    need_venv()
    STAMP.unlink(missing_ok=True)
    try:
        install_with_uv()
    except CommandError as error:
        say(f"{error}; going on with pip, which takes about a minute")
        install_with_pip()
    STAMP.write_text(wanted)
    say("set-up complete")
    return 0


def need_venv() -> None:
    """Makes .venv with the Python that runs this file, unless there is one that has pip, whatever its Python."""
    has_pip = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
    if not PYTHON.exists() or run([PYTHON, "-c", has_pip]):
        say("making .venv")
        must(sys.executable, "-m", "venv", "--clear", VENV)


def editable() -> list[Word]:
    """The install arguments for our own distributions; hatchling comes from the lock, so nothing is downloaded."""
    return ["--no-deps", "--no-build-isolation", *(word for folder in DISTRIBUTIONS for word in ("-e", folder))]


def install_with_uv() -> None:
    """Seconds, when the index can be reached by uv, which does not read pip's configuration file.

    Modules are compiled as pip compiles them: where PYTHONDONTWRITEBYTECODE is set, each process would do it again.
    """
    say("installing what requirements.lock pins")
    need_uv()
    must(PYTHON, "-m", "uv", "pip", "sync", "-q", "--compile-bytecode", "--require-hashes", LOCK)
    must(PYTHON, "-m", "uv", "pip", "install", "-q", *editable())


def install_with_pip() -> None:
    """About a minute; works wherever pip works."""
    pip: list[Word] = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    must(*pip, "install", "-q", "--require-hashes", "-r", LOCK)
    must(*pip, "install", "-q", *editable())


def need_uv() -> None:
    """Installs the pinned uv into .venv unless it is there; `uv pip sync` keeps it."""
    packages = [*VENV.glob("lib/*/site-packages"), VENV / "Lib" / "site-packages"]
    if not any((folder / f"uv-{UV}.dist-info").exists() for folder in packages):
        must(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"uv=={UV}")


def lock() -> int:
    """Resolves anew and writes requirements.lock: hashes for every file, no address of any registry."""
    need_venv()
    need_uv()
    uv: list[Word] = [PYTHON, "-m", "uv"]
    must(*uv, "lock", "-q", "--upgrade")
    must(*uv, "export", "-q", "--all-packages", "--all-extras", "--no-emit-workspace", "--no-header", "-o", LOCK)
    if "://" in LOCK.read_text():
        say("requirements.lock holds an address; do not commit it")
        return 1
    return 0


def test(args: Sequence[str]) -> int:
    """Runs the tests, on three processes unless the arguments say otherwise, since they wait for others much of the
    time. They start hundreds of processes, so our own modules are compiled as well."""
    setup()
    must(PYTHON, "-m", "compileall", "-q", *OURS)
    chosen = any(arg == "-n" or arg.startswith(("-n", "--numprocesses", "--dist")) for arg in args)
    return run([PYTHON, "-m", "pytest", *([] if chosen else SPREAD), *args])


def check() -> int:
    """Runs every static check, also after one has failed, and returns the first exit code that is not 0."""
    setup()
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    checks: dict[str, list[Word]] = {
        "ruff check": [PYTHON, "-m", "ruff", "check"],
        "ruff format": [PYTHON, "-m", "ruff", "format", "--check"],
        "mypy": [PYTHON, "-m", "mypy"],
        "lint-imports": [BIN / "lint-imports"],
        "cog": [PYTHON, "-m", "cogapp", "--check", *documents],
    }
    codes = {}
    for name, command in checks.items():
        say(name)
        codes[name] = run(command)
    failed = [name for name, code in codes.items() if code]
    say(f"failed: {', '.join(failed)}" if failed else "every check passed")
    return next((code for code in codes.values() if code), 0)


def docs() -> int:
    """Makes the documentation site anew from README and docs; needs no network, and neither does the site."""
    setup()
    shutil.rmtree(SITE, ignore_errors=True)
    if code := run(site(SITE)):
        return code
    shutil.rmtree(SITE / ".doctrees")
    say(f"open {SITE / 'index.html'}")
    return 0


def site(folder: pathlib.Path) -> list[Word]:
    """The command that makes the site in `folder`; a link that leads nowhere is an error, a page without place too."""
    sphinx: list[Word] = [PYTHON, "-m", "sphinx", "-q", "-b", "html", "--nitpicky", "--fail-on-warning", "--fresh-env"]
    return [*sphinx, "-d", folder / ".doctrees", "-c", ROOT / "docs", ROOT, folder]


def bench(args: Sequence[str]) -> int:
    """Runs the benchmarks with the arguments given."""
    setup()
    return run([PYTHON, ROOT / "benchmarks" / "run.py", *args])


def demo(args: Sequence[str]) -> int:
    """Loads a sandbox of Desk into warehouse.duckdb with the repository's connectors.toml, then queries it once.

    Arguments go to `connector-core run`. A second demo meets the same data, and so finds nothing to do.
    """
    setup()
    with sandbox() as access:
        desk = {f"DESK_{name.upper()}": access[name] for name in ("key", "secret", "token", "token_secret")}
        env = environment(DESK_SITE_URL=access["url"], **desk)
        if code := run([PYTHON, "-m", "connector_core", "run", *args], env):
            return code
    print(f"\nA first query of warehouse.duckdb:\n\n{FIRST_QUERY};\n", flush=True)
    return run([PYTHON, "-c", SHOW, ROOT / "warehouse.duckdb", FIRST_QUERY])


@contextlib.contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """A running sandbox of Desk on a free port of this machine: its address and credentials. Ends with the block."""
    command = [str(PYTHON), "-m", "connector_desk.sandbox", "--demo", "--port", "0", "--now", anchor(), "--until-eof"]
    # Its own session: Ctrl-C on the terminal must not take the source away while the run still ends in order.
    # Its input is a pipe that we never write to: its end tells the sandbox that we are gone, however we went.
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as child:
        try:
            alarm = threading.Timer(SANDBOX_START, child.kill)
            alarm.start()
            try:
                line = child.stdout.readline() if child.stdout else ""
            finally:
                alarm.cancel()
            if not line:
                raise CommandError(command, child.wait() or 1)
            yield json.loads(line)
        finally:
            end(child, asked=False)


def anchor() -> str:
    """The instant around which the sandbox makes up its data, kept from the first demo on: the data stay the same."""
    if not ANCHOR.exists():
        ANCHOR.parent.mkdir(exist_ok=True)
        ANCHOR.write_text(
            json.dumps({"now": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}) + "\n"
        )
    return str(json.loads(ANCHOR.read_text())["now"])


def terminated(signum: int, frame: object) -> NoReturn:
    """Turns SIGTERM into an exit that ends the children on its way out."""
    raise SystemExit(128 + signum)


USAGE = """\
usage: python3 dev.py COMMAND [ARGUMENT ...]

  setup   make .venv, or bring it up to date with requirements.lock
  demo    load a sandbox of Desk into warehouse.duckdb and query it (arguments go to `connector-core run`)
  test    run the tests (arguments go to pytest)
  check   ruff, mypy --strict, import contracts, generated parts of the documents
  docs    make the documentation site in build/site
  lock    resolve all dependencies anew into requirements.lock
  bench   run the benchmarks (arguments go to benchmarks/run.py)
"""


def main(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit code; 2 when there is no such command."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python gets its answer
        say("connector-core needs Python 3.11 or newer")
        return 2
    name, args = (argv[0], argv[1:]) if argv else ("", [])
    with_arguments = {"demo": demo, "test": test, "bench": bench}
    without = {"setup": setup, "check": check, "docs": docs, "lock": lock}
    if name in {"-h", "--help", "help"}:
        print(USAGE, end="")
        return 0
    if name not in with_arguments and (name not in without or args):
        print(USAGE, end="", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, terminated)
    try:
        return with_arguments[name](args) if name in with_arguments else without[name]()
    except CommandError as error:
        say(str(error))
        return error.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
