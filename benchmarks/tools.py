"""The programs that are compared: ours, dlt with three settings, and DuckDB's own reader as the limit. Each loads the
same files.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Job:
    """One load: which Python runs it, the folder of `STREAM.ndjson` files, its own folder for everything it writes,
    and the DuckDB file.
    """

    python: str
    data: Path
    work: Path

    @property
    def out(self) -> Path:
        """The DuckDB file to fill; it exists when a load has gone before."""
        return self.work / "out.duckdb"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One program.

    `command` makes the words to run (the working directory is the job's), `layout` is how it names its tables
    (`verify.LAYOUTS`). `packages` are installed into an environment of its own; without any it runs in ours. `shown`
    are the packages whose versions are printed. `increments` says whether it can load the changed records. Above
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
    _install_plugin(job.work / "plugin")
    (job.work / "connectors.toml").write_text(
        textwrap.dedent(f"""\
        [destinations.out]
        type = "duckdb"
        path = "out.duckdb"

        [connectors.bench]
        source = "ndjson"
        destination = "out"
        start_date = 2012-01-01
        config = {{ folder = '{job.data}' }}
        """)
    )
    return [job.python, "-m", "connector_core", "run"]


def _install_plugin(folder: Path) -> None:
    """What pip would leave of a distribution with one module and one entry point."""
    metadata = folder / "ndjson_source-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    shutil.copy2(HERE / "ndjson_source.py", folder)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ndjson-source\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[connector_core.sources]\nndjson = ndjson_source\n")


def _dlt(setting: str) -> Callable[[Job], list[str]]:
    return lambda job: [job.python, str(HERE / "peers" / "dlt_pipeline.py"), setting, str(job.data), str(job.out)]


def _read_json(job: Job) -> list[str]:
    return [job.python, str(HERE / "peers" / "read_json.py"), str(job.data), str(job.out)]


DLT = ("dlt[duckdb,parquet]==1.31.0", "duckdb==2.0.0", "pyarrow==26.0.1", "orjson==3.13.0")

TOOLS = (
    Tool(
        name="connector-core",
        command=_ours,
        layout="stitch",
        shown=("connector-core", "duckdb"),
        env={"PYTHONPATH": "plugin"},
    ),
    *(
        Tool(
            name=f"dlt-{setting}",
            command=_dlt(setting),
            layout="dlt",
            shown=("dlt", "duckdb", "pyarrow"),
            packages=DLT,
            environment="dlt",
        )
        for setting in ("tuned-1", "tuned-2")
    ),
    Tool(
        name="dlt-default",
        command=_dlt("default"),
        layout="dlt",
        shown=("dlt", "duckdb"),
        packages=DLT,
        environment="dlt",
        most=10_000,  # 100,000 cases took five minutes and 14 GB
    ),
    Tool(name="read_json", command=_read_json, layout="stitch", shown=("duckdb",), increments=False),
)


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
