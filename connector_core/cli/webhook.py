"""`connector-core webhook test`: send a test event to the addresses that connectors.toml names."""

from __future__ import annotations

from collections.abc import Collection

from connector_core.cli.exit_codes import worst
from connector_core.cli.output import counted, print_json, print_line
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.errors import ConfigError, DestinationError
from connector_core.events import RunFinished
from connector_core.extensions.webhook import NotDeliveredError, deliver, made


def test(session: Session, names: Collection[str], *, as_json: bool) -> int:
    """Send the event `test` to the named webhooks, else to all that enabled connectors use; exit 5 when one did not
    take it."""
    config = session.load()
    hooks = {name: one.config for name, one in config.extension_tables.items() if one.type == "webhook"}
    if unknown := [name for name in names if name not in hooks] or not hooks:
        what = f"no webhook {unknown[0]!r}" if isinstance(unknown, list) else "no webhook"
        raise ConfigError(
            f"there is {what} that an enabled connector uses",
            hint='add [extensions.NAME] with type = "webhook", and NAME to the extensions of a connector',
            code="webhook",
        )
    clock, codes = SystemClock(), [0]
    facts = {"status": "succeeded", "exit_code": 0, "counts": {}, "rows_written": 0, "seconds": 0.0}
    event = RunFinished(connector="test", run_id="", at=clock.now(), **facts)  # type: ignore[arg-type]
    for name in names or hooks:
        try:
            attempts = deliver(made("test", event, config.extension_config(name), now=clock.monotonic()), clock=clock)
        except NotDeliveredError as error:
            failure = DestinationError(f"webhook {name}: {error}", hint="is something listening there?", code="webhook")
            codes.append(failure.exit_code)
            session.say(f"error: {failure}")
            if as_json:
                print_json({"webhook": name, "delivered": False, "problem": str(error)})
            continue
        if as_json:
            print_json({"webhook": name, "delivered": True, "attempts": attempts})
        else:
            print_line(f"{name}: delivered in {counted(attempts, 'attempt')}")
    return worst(codes)
