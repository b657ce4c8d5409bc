"""What makes fakesnow quick enough to run every promise on it: a text is parsed and rewritten once.

For each statement fakesnow parses its text twice, walks over the tree some seventy times, and describes the answer by
a statement that it parses as well. What comes out depends on the text, the database and the schema alone, but for PUT,
whose stage may be a session's own, and for what `_is_pure` does not know.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MESSAGE = re.compile(r"SELECT ('|\d+ as ')", re.IGNORECASE)
"""How fakesnow answers a statement that has no rows."""
MOST = 4096  # texts that are remembered; tables of another test have other names


def install() -> None:
    """Make the fakesnow of this process quick."""
    import duckdb
    import fakesnow.cursor
    import fakesnow.server
    from fakesnow.transforms import put_stage
    from snowflake.connector.vendored.requests import sessions
    from sqlglot import exp

    cursor = fakesnow.cursor.FakeSnowflakeCursor
    parse, transform, describe = fakesnow.server.parse_one, cursor._transform, cursor._describe_last_sql
    trees: dict[str, Any] = {}
    rewritten: dict[tuple[int, str | None, str | None], Any] = {}
    roots: set[int] = set()

    def parse_one(text: str) -> Any:
        if (tree := trees.get(text)) is None:
            if len(trees) > MOST:
                roots.clear()
                rewritten.clear()
                trees.clear()
            tree = trees[text] = parse(text)
            roots.add(id(tree))
        return tree

    def transformed(self: Any, tree: Any, parameters: Any) -> Any:
        connection = self._conn
        if isinstance(tree, exp.Put):
            return put_stage(tree, connection.database, connection.schema, parameters, connection.table_stages)
        if id(tree) not in roots:  # a part of a statement that was split
            return transform(self, tree, parameters)
        if not _is_pure(tree):
            return transform(self, tree.copy(), parameters)
        key = (id(tree), connection.database, connection.schema)
        if (made := rewritten.get(key)) is None:
            made = rewritten[key] = transform(self, tree.copy(), parameters)
            text = made.sql(dialect="duckdb")
            made.sql = lambda dialect: text
        return made.copy() if isinstance(tree, exp.Copy) else made

    @lru_cache(MOST)
    def message(text: str) -> list[Any]:
        return list(duckdb.sql(f"DESCRIBE {text}").fetchall())

    def described(self: Any) -> list[Any]:
        self._conn.results_cache.clear()  # nobody asks for an answer again
        if MESSAGE.match(self._last_sql):
            return message(self._last_sql)
        try:
            return list(self._duck_conn.execute(f"DESCRIBE {self._last_sql}", self._last_params).fetchall())
        except duckdb.Error:
            return list(describe(self))

    sessions.get_environ_proxies = lambda *_, **__: {}  # the driver would read the whole environment for each request
    fakesnow.server.parse_one = fakesnow.cursor.parse_one = parse_one
    cursor._transform = transformed  # type: ignore[method-assign]
    cursor._describe_last_sql = described  # type: ignore[method-assign]


def _is_pure(tree: Any) -> bool:
    """Whether a statement is rewritten without a look at the session or the tables."""
    from sqlglot import exp

    if isinstance(tree, exp.Create):
        return tree.kind == "TABLE" and tree.expression is None
    return isinstance(
        tree, exp.Select | exp.Insert | exp.Update | exp.Delete | exp.Copy | exp.Transaction | exp.Commit | exp.Rollback
    )
