"""Adoption: tables that Stitch has made are continued, with their names, rows, `_sdc_*` columns and split columns.

Nothing is parsed out of names. A stream is laid out as ever; where the name that a property gets is a column of a table
that was here before, that column is taken (`columns`, `layout.py`), with the columns that Stitch's splits have made of
it. A column of a narrower type than ours is widened in place, so that its name and its values stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from connector_core.names import RESERVED_PREFIXES, SEPARATOR
from connector_core.namespace import OWN_TABLES, REJECTED, SEQUENCE, Registry, registry
from connector_core.sql import Namespace
from connector_core.tables import Kind, Slot, Table, Traits

SUFFIXES = ("st", "bi", "it", "de", "do", "fl", "nu", "bo", "bl", "ti", "va", "dt")
"""Suffixes of Stitch's split columns, in any of its destinations (facts/stitch_semantics.md section 6.4)."""


def without_length(spelt: str) -> str:
    """A column type without length, precision and scale: `VARCHAR(20)` is a VARCHAR."""
    return re.sub(r" *\([^)]*\)", "", spelt)


KINDS: tuple[Kind, ...] = ("string", "integer", "number", "boolean", "instant", "date", "nested")


def known_kinds(space: Namespace) -> dict[str, Kind]:
    """The kind of value that columns of a type hold, once they are widened; without lengths."""
    own = {without_length(space.sql.type_name(kind)): kind for kind in KINDS}
    return {**(space.sql.adoption.kinds if space.sql.adoption else {}), **own}


def found(space: Namespace, known: Registry) -> Mapping[str, Mapping[str, Kind]]:
    """Columns of tables that were made by Stitch and that nobody has registered yet, by table; those of types that
    cannot be continued are left out. Empty unless the destination adopts."""
    if space.sql.adoption is None:
        return {}
    kinds = known_kinds(space)
    registered = {(column.table, column.name) for column in known.columns}
    return {
        table: {
            name: kind
            for name, spelt in columns.items()
            if (kind := kinds.get(without_length(spelt))) is not None
            and not name.startswith(RESERVED_PREFIXES)
            and (table, name) not in registered
        }
        for table, columns in known.there.items()
        if table not in OWN_TABLES and SEQUENCE in columns
    }


def columns(there: Mapping[str, Kind], name: str, traits: Traits) -> dict[Kind, str]:
    """The columns of a table for a property that gets the name `name`: that column, or what splits have made of it."""
    own = [traits.suffixes[kind] for kind in KINDS]
    names = [name, *(f"{name}{SEPARATOR}{suffix}" for suffix in dict.fromkeys((*own, *SUFFIXES)))]
    taken: dict[Kind, str] = {}
    for one in names:
        if one in there:
            taken.setdefault(there[one], one)
    return taken


def widened(space: Namespace, table: str, column: str, spelt: str, kind: Kind) -> str | None:
    """The statement that makes a column of the type `spelt` one for values of `kind`, empty where it is one already;
    None where there is none."""
    adoption = space.sql.adoption
    if adoption is None or known_kinds(space).get(without_length(spelt)) != kind:
        return None
    return adoption.widen(space.table(table), space.sql.quote(column), without_length(spelt))


def before_split(space: Namespace, table: Table, names: Mapping[Slot, str], have: Mapping[str, str]) -> dict[Slot, str]:
    """The names that columns had which are split before they were ever registered."""
    if space.sql.adoption is None:
        return {}
    kinds, used = known_kinds(space), {column.name for column in table.columns}
    before = {}
    for column in table.columns:
        old = column.name.removesuffix(SEPARATOR + space.sql.traits.suffixes[column.kind])
        spelt = have.get(space.same(old), "")
        unknown = column.slot not in names and space.same(column.name) not in have
        if unknown and old not in used and kinds.get(without_length(spelt)) == column.kind:
            before[column.slot] = old
    return before


def take_over(space: Namespace) -> Mapping[str, Mapping[str, Kind]]:
    """After a claim: make Stitch's `_sdc_rejected` ours too, then say what there is to continue (`found`)."""
    sql = space.sql
    if sql.adoption is None:
        return {}
    texts = _complete_rejected(space, space.there()[REJECTED])
    if texts:
        try:
            if sql.traits.ddl_in_transaction:
                sql.begin()
            for text in texts:
                sql.execute(text)
            if sql.traits.ddl_in_transaction:
                sql.commit()
        except BaseException:
            sql.rollback()
            raise
    return found(space, registry(space))


def _complete_rejected(space: Namespace, there: Mapping[str, str]) -> Sequence[str]:
    texts, quote = [], space.sql.quote
    for column, kind in OWN_TABLES[REJECTED].items():
        if column not in there:
            added = f"ADD COLUMN {quote(column)} {space.sql.type_name(kind)}"
            texts.append(f"ALTER TABLE {space.table(REJECTED)} {added}")
        elif there[column] != space.sql.type_name(kind):
            text = widened(space, REJECTED, column, there[column], kind)
            texts += [text] if text else []
    return texts
