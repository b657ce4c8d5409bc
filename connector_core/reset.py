"""Reset: forget a stream, so that the next run reads it from its beginning into new tables."""

from __future__ import annotations

from datetime import datetime

from connector_core.evolve import of, with_children
from connector_core.instants import from_datetime
from connector_core.namespace import COLUMNS, COMMITS, TABLES, pass_fence, registry
from connector_core.seams import step
from connector_core.sql import Namespace
from connector_core.staging import drop_all


def reset(space: Namespace, stream: str, *, connector: str, epoch: int, at: datetime) -> None:
    """See `Target.reset`: drop the tables of the stream and of its children, forget them and its bookmark."""
    sql = space.sql
    try:
        sql.begin()
        with step("reset.fence"):
            pass_fence(space, epoch=epoch, connector=connector, taken=1)
        known = registry(space)
        streams = with_children(stream, known.parents)
        with step("reset.drop"):
            for table in known.tables.values():
                if table.stream in streams and table.present:
                    sql.execute(f"DROP TABLE {space.table(table.name)}")
            drop_all(space, known, streams)
        with step("reset.forget"):
            version = sql.quote("table_version")
            for name in sorted(streams):
                sql.execute(f"DELETE FROM {space.table(COLUMNS)} WHERE {of(space, 'stream')}", [name])
                sql.execute(
                    f"DELETE FROM {space.table(TABLES)} WHERE {of(space, 'stream')} AND {sql.quote('path')} <> '[]'",
                    [name],
                )
                sql.execute(
                    f"UPDATE {space.table(TABLES)} SET {version} = {version} + 1, "
                    f"{sql.quote('reset_at')} = {space.given('instant')} WHERE {of(space, 'stream')}",
                    [from_datetime(at), name],
                )
            sql.execute(
                f"UPDATE {space.table(COMMITS)} SET {sql.quote('bookmark')} = NULL WHERE {of(space, 'stream')}",
                [stream],
            )
        with step("reset.commit"):
            sql.commit()
    except BaseException:
        sql.rollback()
        raise
