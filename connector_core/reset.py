"""Reset: forget a stream, so that the next run reads it from its beginning into new tables.

What is to be forgotten is marked in `_sdc_tables`, the tables are dropped, then the marks go. All of it is one
transaction, except where DDL commits implicitly: there the tables are dropped after it, and what a crash leaves of them
the next claim drops.
"""

from __future__ import annotations

from datetime import datetime

from connector_core import rejected
from connector_core.evolve import of, with_children
from connector_core.instants import from_datetime
from connector_core.namespace import COLUMNS, COMMITS, TABLES, pass_fence, registry
from connector_core.seams import step
from connector_core.sql import Namespace
from connector_core.staging import drop_all


def reset(space: Namespace, stream: str, *, connector: str, epoch: int, at: datetime) -> None:
    """See `Target.reset`: drop the tables of the stream and of its children, forget them and its bookmark. Rejects stay
    to be looked at; a replay adds nothing for them, as their records are read again."""
    sql, inside = space.sql, space.sql.traits.ddl_in_transaction
    try:
        sql.begin()
        with step("reset.fence"):
            pass_fence(space, epoch=epoch, connector=connector, taken=1)
        known = registry(space)
        streams = with_children(stream, known.parents)
        with step("reset.forget"):
            version = sql.quote("table_version")
            for name in sorted(streams):
                sql.execute(f"DELETE FROM {space.table(COLUMNS)} WHERE {of(space, 'stream')}", [name])
                sql.execute(
                    f"UPDATE {space.table(TABLES)} SET {version} = {version} + 1, "
                    f"{sql.quote('reset_at')} = {space.given('instant')} WHERE {of(space, 'stream')}",
                    [from_datetime(at), name],
                )
                rejected.supersede(space, name)
            sql.execute(
                f"UPDATE {space.table(COMMITS)} SET {sql.quote('bookmark')} = NULL WHERE {of(space, 'stream')}",
                [stream],
            )
        if inside:
            drop_all(space, known, streams)
            finish(space)
        with step("reset.commit"):
            sql.commit()
    except BaseException:
        sql.rollback()
        raise
    if not inside:
        drop_all(space, known, streams)
        finish(space)


def finish(space: Namespace) -> None:
    """Drop the tables of streams that were reset, and what marks them. Repeatable after a crash at any point."""
    sql, path, shape = space.sql, space.sql.quote("path"), space.sql.quote("shape")
    forgotten = f"{space.table(TABLES)} WHERE {sql.quote('reset_at')} IS NOT NULL AND {shape} <> ''"
    names = [name for (name,) in sql.query(f"SELECT {sql.quote('name')} FROM {forgotten}")]
    if not names:
        return
    with step("reset.drop"):
        there = space.there()
        for name in names:
            if name in there:
                sql.execute(f"DROP TABLE {space.table(name)}")
    sql.execute(f"DELETE FROM {forgotten} AND {path} <> '[]'")
    sql.execute(f"UPDATE {space.table(TABLES)} SET {shape} = '' WHERE {sql.quote('reset_at')} IS NOT NULL")
