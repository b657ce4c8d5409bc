"""What a role still needs: asked of Snowflake without changing anything, and told as the GRANT that is missing."""

from __future__ import annotations

from collections.abc import Iterator

from connector_core.errors import DestinationError
from connector_snowflake.sql import SnowflakeSql

OWNER = "OWNERSHIP"


def check_grants(sql: SnowflakeSql, database: str, namespace: str) -> str:
    """What the session is, for people. Raises `DestinationError` with every grant that is missing."""
    ((version, role, warehouse, current),) = sql.query(
        "SELECT CURRENT_VERSION(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE()"
    )
    found = [] if warehouse else [("a warehouse", "USAGE ON WAREHOUSE ...")]
    if current:
        found += _missing(sql, sql.quote(str(current)), namespace.upper())
    else:
        found.append((f"USAGE on the database {database}", f"USAGE ON DATABASE {sql.quote(database)}"))
    if found:
        raise DestinationError(
            f"the role {role} lacks {', '.join(lacking for lacking, _ in found)}",
            hint=" ".join(f"GRANT {right} TO ROLE {sql.quote(str(role))};" for _, right in found),
            code="permission",
        )
    return f"Snowflake {version}, database {current}, role {role}, warehouse {warehouse}"


def _missing(sql: SnowflakeSql, database: str, schema: str) -> Iterator[tuple[str, str]]:
    """What is missing, for people, and what to write after GRANT."""
    if not sql.query("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?", [schema]):
        if not _has(sql, f"DATABASE {database}", "CREATE SCHEMA"):
            yield f"CREATE SCHEMA on the database {database}", f"CREATE SCHEMA ON DATABASE {database}"
        return
    inside = f"{database}.{sql.quote(schema)}"
    for right in ("CREATE TABLE", "CREATE STAGE"):
        if not _has(sql, f"SCHEMA {inside}", right):
            yield f"{right} on the schema {schema}", f"{right} ON SCHEMA {inside}"
    # new columns need ownership, so the engine's tables must be those of a role of this session
    owners = {
        str(owner)
        for (owner,) in sql.query(
            "SELECT table_owner FROM information_schema.tables WHERE table_schema = ? AND table_owner IS NOT NULL",
            [schema],
        )
    }
    for owner in sorted(owners - _active(sql, owners)):
        yield f"the tables of {owner} in {schema}", f"OWNERSHIP ON ALL TABLES IN SCHEMA {inside}"


def _has(sql: SnowflakeSql, what: str, right: str) -> bool:
    """Whether a role of this session was granted a right on something, or owns it."""
    rows = sql.named(f"SHOW GRANTS ON {what}")
    roles = {
        str(row["grantee_name"]) for row in rows if row["granted_to"] == "ROLE" and row["privilege"] in (right, OWNER)
    }
    return bool(_active(sql, roles))


def _active(sql: SnowflakeSql, roles: set[str]) -> set[str]:
    """Which of these roles the session has, by itself or through another role."""
    asked = sorted(roles)
    if not asked:
        return set()
    listed = " UNION ALL ".join("SELECT ? AS r" for _ in asked)
    return {role for (role,) in sql.query(f"SELECT r FROM ({listed}) AS roles WHERE IS_ROLE_IN_SESSION(r)", asked)}
