"""`connector-core rejects list`: rejected records as the ledger remembers them; their text is in `_sdc_rejected`."""

from __future__ import annotations

from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, print_json, print_line, print_table
from connector_core.cli.session import Session


def list_rejects(session: Session, name: str | None, stream: str | None, limit: int, *, as_json: bool) -> int:
    """Print the newest rejected records of one connector or of all that ever ran."""
    config = session.load(())
    with session.ledger(config) as ledger:
        session.known_anywhere(config, ledger, name)
        keys = [one.connector for one in ledger.connectors()] if name is None else [name]
        found = [reject for key in keys for reject in ledger.rejects(key, stream, limit=limit + 1)]
    found.sort(key=lambda reject: reject.last_at, reverse=True)
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"rejects": plain(shown, session.redact), "more": more})
        return 0
    if not shown:
        print_line("No rejected records.")
        return 0
    headers = ["last", "connector", "stream", "key", "code", "path", "reason", "seen"]
    rows = [
        (r.last_at, r.connector, r.stream, r.primary_key, r.code, r.path, session.redact(r.reason), r.seen)
        for r in shown
    ]
    print_table(headers, rows, numbers=(7,))
    print_line()
    total = f"the newest {counted(len(shown), 'record')}; --limit shows more" if more else counted(len(shown), "record")
    print_line(f"{total}. Their full text is in _sdc_rejected; `connector-core rejects replay NAME` tries them again.")
    return 0
