"""The programs that are compared: ours, its peers with several settings, and what is physically possible as the limit.

There are two works: `files` go into a DuckDB file, the answers of an `api` go into Postgres. Each tool of a work loads
the same records.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Job:
    """One load: which Pythons run it (one for each of the tool's environments), where the records are (`data` is the
    folder of `STREAM.ndjson` files, `url` the API that serves them), its own folder for everything it writes, and the
    database to fill: the path of a DuckDB file, or the address of a Postgres database. `again` says that it was filled
    before: the increment is to be loaded.
    """

    pythons: tuple[str, ...]
    data: Path
    url: str
    work: Path
    database: str
    again: bool = False

    @property
    def python(self) -> str:
        """The Python of a tool that needs one."""
        return self.pythons[0]

    @property
    def source(self) -> str:
        """Where the records are to be read: the API if there is one, else the folder."""
        return self.url or str(self.data)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A folder with a Python of its own and these packages."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One program.

    `command` makes the words to run (the working directory is the job's), `layout` is how it names its tables
    (`verify.LAYOUTS`; empty where it loads nothing). Without `environments` it runs in ours. `shown` are the packages
    whose versions are printed. `increments` says whether it can load the changed records, `lacks` what it does less of
    than ours. Above `once` cases it is measured once only, above `most` not at all unless it is asked for by name.
    """

    name: str
    command: Callable[[Job], list[str]]
    layout: str
    shown: tuple[str, ...]
    lacks: str
    environments: tuple[Environment, ...] = ()
    increments: bool = True
    once: int | None = None
    most: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def _ours(job: Job) -> list[str]:
    """The command that users type, process start included; the source is a plugin installed like any other."""
    if job.url:
        install_plugin(job.work / "plugin", "bench_api", "api_source:source", "api_source.py", "ndjson_source.py")
        config = f"source = 'bench_api'\nconfig = {{ url = '{job.url}' }}"
    else:
        install_plugin(job.work / "plugin", "ndjson", "ndjson_source", "ndjson_source.py")
        config = f"source = 'ndjson'\nconfig = {{ folder = '{job.data}' }}"
    kind = f"type = 'postgres'\nurl = '{job.database}'" if job.url else f"type = 'duckdb'\npath = '{job.database}'"
    file = job.work / "connectors.toml"
    file.write_text(
        f"[destinations.out]\n{kind}\n\n[connectors.bench]\ndestination = 'out'\nstart_date = 2012-01-01\n{config}\n"
    )
    file.chmod(0o600)
    return [job.python, "-m", "connector_core", "run"]


def install_plugin(folder: Path, name: str, entry: str, *modules: str, group: str = "sources") -> None:
    """What pip would leave of a distribution with one entry point."""
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    for module in modules:
        shutil.copy2(HERE / module, folder)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[connector_core.{group}]\n{name} = {entry}\n")


def _peer(script: str, *words: str) -> Callable[[Job], list[str]]:
    """A script of the folder `peers`, told the words, then where the records are and the database to fill."""
    return lambda job: [job.python, str(HERE / "peers" / script), *words, job.source, job.database]


def _from_files(script: str) -> Callable[[Job], list[str]]:
    """A script that reads the files, whatever the work."""
    return lambda job: [job.python, str(HERE / "peers" / script), str(job.data), job.database]


def _singer(job: Job, target: str, settings: Mapping[str, Any]) -> list[str]:
    """`tap | target`; the state that the target writes last is given to the tap of the increment."""
    tap = {"url": job.url, "start_date": "2012-01-01T00:00:00Z"} if job.url else {"folder": str(job.data)}
    for name, told in (("tap", tap), ("target", settings)):
        (job.work / f"{name}.json").write_text(json.dumps(told))
    words = [job.pythons[0], str(HERE / "peers" / "singer_tap.py"), "--config", "tap.json"]
    if job.again and job.url:
        words += ["--state", "state.json"]
    into = str(Path(job.pythons[1]).parent / target)
    pipe = f"{shlex.join(words)} | {shlex.join([into, '--config', 'target.json'])} > states.out"
    return ["bash", "-c", f"set -o pipefail; {pipe} && tail -n 1 states.out > state.json"]


def _singer_postgres(**settings: Any) -> Callable[[Job], list[str]]:
    def command(job: Job) -> list[str]:
        where = urlsplit(job.database)
        login = {"host": where.hostname, "port": where.port, "user": where.username, "password": where.password}
        database = {"database": where.path.removeprefix("/"), "default_target_schema": "bench"}
        return _singer(job, "target-postgres", {**login, **database, **settings})

    return command


def _singer_duckdb(job: Job) -> list[str]:
    return _singer(job, "target-duckdb", {"path": job.database, "default_target_schema": "bench"})


OURS: dict[str, Any] = {
    "name": "connector-core",
    "command": _ours,
    "layout": "stitch",
    "lacks": "nothing: every record is validated against its JSON Schema, hashed and upserted by its key, arrays are "
    "tables; rows, bookmark and receipt are committed together; the ledger is kept",
    "env": {"PYTHONPATH": "plugin"},
}
DLT_LACKS = "no validation against a schema; state and rows are committed apart; unchanged records are written again"
DLT: dict[str, Any] = {
    "layout": "dlt",
    "environments": (
        Environment(
            name="dlt",
            packages=(
                "dlt[duckdb,parquet,postgres]==1.31.0",
                "duckdb==2.0.0",
                "pyarrow==26.0.1",
                "orjson==3.13.0",
                "adbc-driver-postgresql==1.8.0",
            ),
        ),
    ),
    "shown": ("dlt",),
    "lacks": DLT_LACKS,
}
TAP = Environment(name="singer-tap", packages=("singer-sdk[msgspec]==0.54.9", "orjson==3.13.0"))
SINGER_LACKS = (
    "no child tables: arrays and objects stay in columns; every record goes through text twice, from the tap to the "
    "target; state and rows are committed apart; unchanged records are written again"
)
SINGER_POSTGRES: dict[str, Any] = {
    "layout": "columns",
    "environments": (
        TAP,
        Environment(name="target-postgres", packages=("meltanolabs-target-postgres==0.8.1",)),
    ),
    "shown": ("singer-sdk", "meltanolabs-target-postgres"),
}
TUNED = {  # what its documentation offers for speed
    "use_copy": True,
    "batch_size_rows": 50_000,
    "validate_records": False,
    "add_record_metadata": False,
    "activate_version": False,
}
SINGER_DUCKDB = Tool(
    name="singer-duckdb",
    command=_singer_duckdb,
    layout="columns",
    environments=(
        TAP,
        # with a newer duckdb it loses the first row of every batch and says nothing
        Environment(name="target-duckdb", packages=("target-duckdb==0.8.0", "duckdb==1.0.0")),
    ),
    shown=("singer-sdk", "target-duckdb", "duckdb"),
    lacks=SINGER_LACKS,
    env={"FAST": "1"},
)
PYAIRBYTE = Tool(
    name="pyairbyte",
    command=_peer("airbyte_source.py"),
    layout="columns",
    environments=(Environment(name="airbyte", packages=("airbyte==0.71.3",)),),
    shown=("airbyte",),
    lacks="no child tables: arrays and objects stay in JSON columns; no validation; it does not go on from the state "
    "of a declarative source, so it has no increment",
    increments=False,
    once=10_000,
)

FILES = (
    Tool(**OURS, shown=("connector-core", "duckdb")),
    *(Tool(name=f"dlt-{s}", command=_peer("dlt_pipeline.py", s), **DLT) for s in ("parquet-1", "parquet-2")),
    # 100,000 cases took five minutes and 14 GB
    Tool(name="dlt-default", command=_peer("dlt_pipeline.py", "default"), **DLT, most=10_000),
    SINGER_DUCKDB,
    Tool(
        name="read_json",
        command=_from_files("read_json.py"),
        layout="stitch",
        shown=("duckdb",),
        lacks="the limit of what is possible: it validates nothing, keeps no bookmark, no hash and no key, cannot "
        "upsert, and one bad line ends it; no increment",
        increments=False,
    ),
)
API = (
    Tool(**OURS, shown=("connector-core", "psycopg")),
    *(Tool(name=f"dlt-{s}", command=_peer("dlt_pipeline.py", s), **DLT) for s in ("csv-1", "csv-2", "parquet-2")),
    Tool(name="dlt-default", command=_peer("dlt_pipeline.py", "default"), **DLT, once=10_000),
    Tool(
        name="singer-postgres",
        command=_singer_postgres(**TUNED),
        **SINGER_POSTGRES,
        lacks=f"no validation (switched off for speed); {SINGER_LACKS}",
        env={"FAST": "1"},
    ),
    Tool(
        name="singer-postgres-default",
        command=_singer_postgres(),
        **SINGER_POSTGRES,
        lacks=SINGER_LACKS,
        once=10_000,
    ),
    PYAIRBYTE,
    Tool(
        name="psql-copy",
        command=_from_files("psql_copy.py"),
        layout="stitch",
        shown=("psycopg",),
        lacks="half of the floor: it loads ready-made CSV files; nothing is read, parsed, validated or flattened, and "
        "neither bookmark nor hash is kept; no increment",
        increments=False,
    ),
    Tool(
        name="drain",
        command=_peer("drain.py"),
        layout="",
        shown=("urllib3", "orjson"),
        lacks="the other half of the floor: it reads and parses every page of the API, and does nothing with it",
        increments=False,
    ),
)
TOOLS: Mapping[str, tuple[Tool, ...]] = {"files": FILES, "api": API}
NOT_HERE = {
    "ingestr": "its wheel has no program: it fetches one from elsewhere when it is first used",
    "sling": "the same; the last wheel with the program inside wants a paid token to upsert what an API gives",
    "pipelinewise-target-postgres": "it changes texts: a tab arrives as a backslash and a t",
}
"""Peers that are left out, and why."""


def pythons_of(tool: Tool, environments: Path) -> tuple[str, ...]:
    """The Pythons that run a tool; makes its environments first. Raises `CalledProcessError` when one cannot be
    installed.
    """
    return tuple(python_of(one, environments) for one in tool.environments) or (sys.executable,)


def python_of(wanted: Environment, environments: Path) -> str:
    """The Python of an environment, which is made first. Raises `CalledProcessError` when it cannot be installed."""
    folder = environments / wanted.name
    python, stamp = folder / "bin" / "python", folder / "packages"
    packages = "\n".join(wanted.packages)
    if not stamp.exists() or stamp.read_text() != packages:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted.packages)
        stamp.write_text(packages)
    return str(python)


def versions_of(tool: Tool, pythons: tuple[str, ...]) -> str:
    """The versions that are really installed, for instance "dlt 1.31.0, duckdb 2.0.0"."""
    if not tool.environments:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in tool.shown)
    code = (
        "import importlib.metadata as m, sys\n"
        "there = {d.metadata['Name']: d.version for d in m.distributions()}\n"
        "print('\\n'.join(f'{n} {there[n]}' for n in sys.argv[1:] if n in there))"
    )
    found = {line.split()[0]: line for p in pythons[::-1] for line in _run(p, "-c", code, *tool.shown).splitlines()}
    return ", ".join(found[name] for name in tool.shown)


def environment_of(tool: Tool, *, compiling: bool = False) -> dict[str, str]:
    """The variables of a tool's process. Nobody has to compile Python while measured: the warm-up run writes the
    bytecode.
    """
    env = {**os.environ, **tool.env}
    if tool.environments:
        env.pop("PYTHONPATH", None)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env if compiling else {**env, "PYTHONDONTWRITEBYTECODE": "1"}


def _run(*command: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_TARGET", "PIP_PREFIX")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
