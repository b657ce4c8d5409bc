"""`connector-core init`: ask for what a connector needs, try it, write it down with the secrets outside of it."""

from __future__ import annotations

from pathlib import Path

from connector_core.cli.asking import Questions, on_terminal
from connector_core.cli.check import Checked, print_checked
from connector_core.cli.exit_codes import worst
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, print_json, print_line
from connector_core.cli.schema import text as schema_text
from connector_core.cli.session import Session
from connector_core.cli.setup_plan import SECRETS, Given, Plan, write
from connector_core.cli.setup_questions import Setup
from connector_core.config.json_schema import FILE as SCHEMA_FILE


def init(session: Session, given: Given, *, as_json: bool) -> int:
    """Add a connector to the configuration, or begin one. Gives the exit code of trying it; nothing is written unless
    that succeeds or was not wanted. Raises `ConfigError` for missing or wrong values."""
    questions = Questions(terminal=on_terminal())
    try:
        setup = Setup(session, given, questions)
        while True:
            plan = setup.plan()
            config, found = setup.tried(plan) if given.tried else (None, [])
            if found and not as_json and config:
                print_checked(session, config.connectors[plan.key], found)
            if (code := worst(part.exit_code for part in found)) == 0 or setup.write_anyway():
                break
            if not questions.terminal:
                return _refused(session, plan, found, code, as_json=as_json)
    except EOFError:
        session.say("stopped; nothing was written")
        return 130
    written = write(plan, schema_text(session), overwrite=given.overwrite)
    if as_json:
        _print_json(session, plan, found, written)
    else:
        secrets = f", {counted(len(plan.files), 'secret')} in {plan.path.parent / SECRETS}" if plan.files else ""
        print_line(f"wrote {plan.path}, {plan.path.parent / SCHEMA_FILE}{secrets}")
        print_line(f"next: connector-core run {plan.key}")
    return code


def _refused(session: Session, plan: Plan, found: list[Checked], code: int, *, as_json: bool) -> int:
    if as_json:
        _print_json(session, plan, found, [])
    session.say("nothing was written; mend what failed, or give --no-check to write it without trying")
    return code


def _print_json(session: Session, plan: Plan, found: list[Checked], written: list[Path]) -> None:
    facts = {"connector": plan.key, "namespace": plan.key, "written": [str(path) for path in written]}
    print_json({**facts, "parts": plain(found, session.redact)})
