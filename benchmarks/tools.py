"""The programs that are compared: ours, dlt with several settings, and what is physically possible as the limit.

There are two works: `files` go into a DuckDB file, the answers of an `api` go into Postgres. Each tool of a work loads
the same records.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Job:
    """One load: which Python runs it, where the records are (`data` is the folder of `STREAM.ndjson` files, `url` the
    API that serves them), its own folder for everything it writes, and the database to fill: the path of a DuckDB file,
    or the address of a Postgres database.
    """

    python: str
    data: Path
    url: str
    work: Path
    database: str

    @property
    def source(self) -> str:
        """Where the records are to be read: the API if there is one, else the folder."""
        return self.url or str(self.data)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One program.

    `command` makes the words to run (the working directory is the job's), `layout` is how it names its tables
    (`verify.LAYOUTS`; empty where it loads nothing). `packages` are installed into an environment of its own; without
    any it runs in ours. `shown` are the packages whose versions are printed. `increments` says whether it can load the
    changed records. Above
    `most` cases it is only run when it is asked for by name.
    """

    name: str
    command: Callable[[Job], list[str]]
    layout: str
    shown: tuple[str, ...]
    packages: tuple[str, ...] = ()
    environment: str = ""
    increments: bool = True
    most: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def _ours(job: Job) -> list[str]:
    """The command that users type, process start included; the source is a plugin installed like any other."""
    if job.url:
        _install_plugin(job.work / "plugin", "bench_api", "api_source:source", "api_source.py", "ndjson_source.py")
        config = f"source = 'bench_api'\nconfig = {{ url = '{job.url}' }}"
    else:
        _install_plugin(job.work / "plugin", "ndjson", "ndjson_source", "ndjson_source.py")
        config = f"source = 'ndjson'\nconfig = {{ folder = '{job.data}' }}"
    kind = f"type = 'postgres'\nurl = '{job.database}'" if job.url else f"type = 'duckdb'\npath = '{job.database}'"
    file = job.work / "connectors.toml"
    file.write_text(
        f"[destinations.out]\n{kind}\n\n[connectors.bench]\ndestination = 'out'\nstart_date = 2012-01-01\n{config}\n"
    )
    file.chmod(0o600)
    return [job.python, "-m", "connector_core", "run"]


def _install_plugin(folder: Path, name: str, entry: str, *modules: str) -> None:
    """What pip would leave of a distribution with one entry point."""
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    for module in modules:
        shutil.copy2(HERE / module, folder)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[connector_core.sources]\n{name} = {entry}\n")


def _peer(script: str, *words: str) -> Callable[[Job], list[str]]:
    """A script of the folder `peers`, told the words, then where the records are and the database to fill."""
    return lambda job: [job.python, str(HERE / "peers" / script), *words, job.source, job.database]


def _from_files(script: str) -> Callable[[Job], list[str]]:
    """A script that reads the files, whatever the work."""
    return lambda job: [job.python, str(HERE / "peers" / script), str(job.data), job.database]


OURS: dict[str, Any] = {
    "name": "connector-core",
    "command": _ours,
    "layout": "stitch",
    "env": {"PYTHONPATH": "plugin"},
}
DLT: dict[str, Any] = {
    "layout": "dlt",
    "packages": (
        "dlt[duckdb,parquet,postgres]==1.31.0",
        "duckdb==2.0.0",
        "pyarrow==26.0.1",
        "orjson==3.13.0",
        "adbc-driver-postgresql==1.8.0",
    ),
    "environment": "dlt",
    "shown": ("dlt",),
}

FILES = (
    Tool(**OURS, shown=("connector-core", "duckdb")),
    *(Tool(name=f"dlt-{s}", command=_peer("dlt_pipeline.py", s), **DLT) for s in ("parquet-1", "parquet-2")),
    # 100,000 cases took five minutes and 14 GB
    Tool(name="dlt-default", command=_peer("dlt_pipeline.py", "default"), **DLT, most=10_000),
    Tool(name="read_json", command=_from_files("read_json.py"), layout="stitch", shown=("duckdb",), increments=False),
)
API = (
    Tool(**OURS, shown=("connector-core", "psycopg")),
    *(Tool(name=f"dlt-{s}", command=_peer("dlt_pipeline.py", s), **DLT) for s in ("csv-1", "csv-2", "parquet-2")),
    Tool(name="dlt-default", command=_peer("dlt_pipeline.py", "default"), **DLT, most=10_000),
    Tool(name="psql-copy", command=_from_files("psql_copy.py"), layout="stitch", shown=("psycopg",), increments=False),
    Tool(name="drain", command=_peer("drain.py"), layout="", shown=("urllib3", "orjson"), increments=False),
)
TOOLS: Mapping[str, tuple[Tool, ...]] = {"files": FILES, "api": API}


def python_of(tool: Tool, environments: Path) -> str:
    """The Python that runs a tool; makes its environment first. Raises `CalledProcessError` when it cannot be
    installed.
    """
    if not tool.packages:
        return sys.executable
    folder = environments / tool.environment
    python, stamp = folder / "bin" / "python", folder / "packages"
    wanted = "\n".join(tool.packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *tool.packages)
        stamp.write_text(wanted)
    return str(python)


def versions_of(tool: Tool, python: str) -> str:
    """The versions that are really installed, for instance "dlt 1.31.0, duckdb 2.0.0"."""
    if python == sys.executable:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in tool.shown)
    code = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return _run(python, "-c", code, *tool.shown).strip()


def environment_of(tool: Tool, *, compiling: bool = False) -> dict[str, str]:
    """The variables of a tool's process. Nobody has to compile Python while measured: the warm-up run writes the
    bytecode.
    """
    env = {**os.environ, **tool.env}
    if tool.packages:
        env.pop("PYTHONPATH", None)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env if compiling else {**env, "PYTHONDONTWRITEBYTECODE": "1"}


def _run(*command: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_TARGET", "PIP_PREFIX")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
