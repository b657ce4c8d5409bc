"""Rights: which of those that loading needs are missing, as the statements that grant them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connector_core.namespace import OWN_TABLES, SEQUENCE

if TYPE_CHECKING:
    from connector_postgres.sql import PostgresSql

ON_TABLES = ("SELECT", "INSERT", "UPDATE", "DELETE")


def missing(sql: PostgresSql, schema: str) -> list[str]:
    """The statements that somebody with more rights has to execute, so that this role can load into `schema`."""
    ((role, database, temporary, create, there),) = sql.query(
        "SELECT current_user, current_database(), has_database_privilege(current_database(), 'TEMPORARY'), "
        "has_database_privilege(current_database(), 'CREATE'), "
        "(SELECT oid::bigint FROM pg_catalog.pg_namespace WHERE nspname = %s)",
        [schema],
    )
    to = f"TO {_name(role)};"
    wanted = [] if temporary else [f"GRANT TEMPORARY ON DATABASE {_name(database)} {to}"]
    if there is None:
        return wanted if create else [*wanted, f"GRANT CREATE ON DATABASE {_name(database)} {to}"]
    ((usage, make),) = sql.query(
        "SELECT has_schema_privilege(%s::oid, 'USAGE'), has_schema_privilege(%s::oid, 'CREATE')", [there, there]
    )
    lacking = [right for right, has in (("USAGE", usage), ("CREATE", make)) if not has]
    if lacking:
        wanted.append(f"GRANT {', '.join(lacking)} ON SCHEMA {_name(schema)} {to}")
    for table, owned, *rights in sql.query(
        "SELECT c.relname, pg_has_role(c.relowner, 'USAGE'), "
        + ", ".join(f"has_table_privilege(c.oid, '{right}')" for right in ON_TABLES)
        + " FROM pg_catalog.pg_class AS c WHERE c.relnamespace = %s::oid AND c.relkind IN ('r', 'p') AND "
        "(c.relname = ANY (%s) OR EXISTS (SELECT 1 FROM pg_catalog.pg_attribute AS a "
        "WHERE a.attrelid = c.oid AND a.attname = %s)) ORDER BY c.relname",
        [there, [*OWN_TABLES], SEQUENCE],
    ):
        name = f"{_name(schema)}.{_name(table)}"
        if not owned:
            wanted.append(f"ALTER TABLE {name} OWNER {to}")
        elif lacking := [right for right, has in zip(ON_TABLES, rights, strict=True) if not has]:
            wanted.append(f"GRANT {', '.join(lacking)} ON TABLE {name} {to}")
    return wanted


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
