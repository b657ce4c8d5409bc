"""Activation: a complete pass becomes visible in one transaction, or is refused and changes nothing.

    dedupe    of a key that was staged twice the newest version stays
    check     the pass is complete (`totals`), and does not delete too much (the guard)
    vanish    rows that the pass does not have, with their sub-rows
    compare   what the destination has already is unchanged
    delete    older rows of what changed, with their sub-rows
    insert    what is new or changed

A stream without a primary key has all its rows replaced, or in mode append added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from connector_core import instants, upsert
from connector_core.batch import Activation, Batch, Counts, Part
from connector_core.errors import ActivationError, Place
from connector_core.evolve import HASH, VERSION, key_columns
from connector_core.namespace import SEQUENCE, TABLES, Registry
from connector_core.seams import step
from connector_core.sql import BulkColumn, Namespace
from connector_core.staging import staging_name
from connector_core.tables import Kind, Table
from connector_core.upsert import Effect, Staged, has, matching

MOST_INTEGER = 2**63


def scratch(space: Namespace, batch: Batch) -> Mapping[str, Staged]:
    """By stream, the temporary table for the keys that an activation keeps; made before its transaction."""
    if batch.activation is None:
        return {}
    sql, made = space.sql, {}
    for number, part in enumerate(batch.parts):
        if part.root.table.key:
            columns = [(f"k{i}", sql.type_name(kind)) for i, (_, kind) in enumerate(key_columns(part.root.table))]
            table = sql.temporary(f"_sdc_kept_{number}", columns)
            keys = tuple(sql.quote(name) for name, _ in columns)
            made[part.stream.name] = Staged(table=table, outer=table, keys=keys, hash="", version=None)
    return made


def activate(
    space: Namespace, known: Registry, batch: Batch, *, at: str, kept: Mapping[str, Staged]
) -> dict[str, Effect]:
    """Make the staged rows visible, by stream. Raises `ActivationError` with code incomplete or guard."""
    if batch.activation is None:
        raise TypeError("a batch of kind activate needs its activation")
    effects = {}
    for part in batch.parts:
        one = _Pass(space=space, known=known, batch=batch, part=part, activation=batch.activation, at=at)
        effects[part.stream.name] = one.with_key(kept[part.stream.name]) if part.root.table.key else one.without_key()
    return effects


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """One stream's share of an activation."""

    space: Namespace
    known: Registry
    batch: Batch
    part: Part
    activation: Activation
    at: str

    @property
    def counts(self) -> Counts | None:
        """The counts of the whole pass, without the fates that are decided now."""
        return self.activation.counts.get(self.part.stream.name)

    def number(self, what: str, table: str, where: str = "", values: Sequence[object] = ()) -> int:
        text = f"SELECT {what} FROM {table}{f' WHERE {where}' if where else ''}"
        return int(self.space.sql.query(text, values)[0][0])

    def passed(self) -> dict[str, int]:
        """Rows by table that the pass has brought, the root table first."""
        tables = self.part.tables
        return {table.name: self.number("count(*)", self.space.table(self.staging(table))) for table in tables}

    def staging(self, table: Table) -> str:
        return staging_name(table.name, self.batch.staging_epoch, self.space.sql.traits)

    def staged(self) -> Staged:
        root, quote = self.part.root.table, self.space.sql.quote
        name, version = self.staging(root), upsert.version_column(self.part)
        return Staged(
            table=self.space.table(name),
            outer=quote(name),
            keys=tuple(quote(key) for key, _ in key_columns(root)),
            hash=quote(HASH),
            version=None if version is None else quote(version.name),
        )

    def with_key(self, kept: Staged) -> Effect:
        """Insert new rows, replace changed ones, delete vanished ones, leave the others alone."""
        sql, part, staged = self.space.sql, self.part, self.staged()
        root, target = part.root.table, self.space.table(part.root.table.name)
        passed = self.passed()
        rows = passed[root.name]
        with step("activate.dedupe"):
            twice = self.dedupe(staged, rows)
        effect = Effect(counts=self.counts or Counts(extracted=rows), passed=passed)

        def gone(outer: str, columns: Sequence[str]) -> str:
            return f"NOT {has(staged, outer, columns)} AND NOT {has(kept, outer, columns)}"

        with step("activate.check"):
            unfit = self.keep(kept)
            others = self.number("count(*)", kept.table, f"NOT {has(staged, kept.outer, kept.keys)}")
            self.complete(rows - twice + others + unfit)
            existing = self.number("count(*)", target)
            vanished = 0
            if existing and self.activation.mode == "replace" and self.activation.may_delete:
                keys = [sql.quote(column.name) for column in root.key]
                vanished = self.number("count(*)", target, gone(sql.quote(root.name), keys))
                self.guard(existing=existing, lost=vanished, left=existing - vanished + rows)
        if vanished:
            with step("activate.vanish"):
                upsert.delete(self.space, self.known, part, effect, lambda *table: f"WHERE {gone(*table)}")
                effect.count(root.name, deleted=vanished)
        unchanged = superseded = 0
        if existing:
            with step("activate.compare"):
                unchanged, superseded = self.compare(staged)
            with step("activate.delete"):
                upsert.delete(self.space, self.known, part, effect, partial(matching, staged))
        with step("activate.insert"):
            loaded = self.insert(effect, staged, all_rows=not (twice or unchanged or superseded))
        effect.counts += Counts(loaded=loaded, unchanged=unchanged, superseded=superseded + twice, deleted=vanished)
        return effect

    def without_key(self) -> Effect:
        """Replace all rows, and raise `_sdc_table_version` for them; or add them to those that are there."""
        sql, stream, staged = self.space.sql, self.part.stream.name, self.staged()
        root = self.part.root.table
        passed, existing = self.passed(), self.number("count(*)", self.space.table(root.name))
        rows = passed[root.name]
        effect = Effect(counts=self.counts or Counts(extracted=rows), passed=passed)
        version = self.known.tables[stream, ()].table_version
        lost = 0
        with step("activate.check"):
            self.complete(rows + effect.counts.unchanged + effect.counts.rejected)
            if self.activation.mode == "replace":
                lost = max(0, existing - rows)
                self.guard(existing=existing, lost=lost, left=rows)
        if self.activation.mode == "replace":
            with step("activate.delete"):
                for name in (*self.known.subtables(stream), root.name):
                    effect.count(name, deleted=sql.execute(f"DELETE FROM {self.space.table(name)}"))
                version += 1
                raised = f"{sql.quote('table_version')} = {self.space.given('integer')}"
                where = f"{sql.quote('stream')} = {self.space.given('string')}"
                sql.execute(f"UPDATE {self.space.table(TABLES)} SET {raised} WHERE {where}", [version, stream])
        with step("activate.insert"):
            loaded = self.insert(effect, staged, all_rows=True, version=version)
        effect.counts += Counts(loaded=loaded, deleted=lost)
        return effect

    def dedupe(self, staged: Staged, rows: int) -> int:
        """Of a key that was staged several times keep the newest version, then the one read last; returns how many
        lost."""
        keys, sequence = ", ".join(staged.keys), self.space.sql.quote(SEQUENCE)
        if self.number("count(*)", f"(SELECT DISTINCT {keys} FROM {staged.table}) AS once") == rows:
            return 0
        order, values, version = "", [], upsert.version_column(self.part)
        if version is not None:
            order = f"{staged.version} DESC NULLS FIRST, "
            if self.batch.horizon is not None and version.kind in ("instant", "date"):
                believed = f"{staged.version} < {self.space.given(version.kind)}"
                order = f"CASE WHEN {believed} THEN {staged.version} END DESC NULLS FIRST, "
                values = [upsert.limit(version, self.batch.horizon)]
        place = f"row_number() OVER (PARTITION BY {keys} ORDER BY {order}{sequence} DESC) AS place"
        return self.space.sql.execute(
            f"DELETE FROM {staged.table} WHERE {sequence} IN (SELECT {sequence} FROM "
            f"(SELECT {sequence}, {place} FROM {staged.table}) AS placed WHERE place > 1)",
            values,
        )

    def keep(self, kept: Staged) -> int:
        """Put the keys of rejected records into their table; returns how many can be no key of this table."""
        kinds = [kind for _, kind in key_columns(self.part.root.table)]
        texts = set(self.activation.kept_keys.get(self.part.stream.name, ()))
        fit = {key for text in texts if (key := _key(json.loads(text), kinds)) is not None}
        unfit = sum(_key(json.loads(text), kinds) is None for text in texts)
        if fit:
            columns = [
                BulkColumn(name=f"k{i}", kind=kind, values=values)
                for i, (kind, values) in enumerate(zip(kinds, zip(*fit, strict=True), strict=True))
            ]
            self.space.sql.bulk(kept.table, columns, len(fit))
        return unfit

    def complete(self, found: int) -> None:
        """Refuse a pass that has not as many records as the source says. Filtered records, and rejected ones whose
        key cannot be read, are in the source's number too."""
        stream = self.part.stream.name
        total, counts = self.activation.totals.get(stream), self.counts or Counts()
        unknown = counts.filtered
        if self.part.root.table.key and not self.activation.may_delete:
            unknown += max(0, counts.rejected - len(self.activation.kept_keys.get(stream, ())))
        if total is None or found <= total <= found + unknown:
            return
        raise ActivationError(
            f"the pass over {stream!r} found {found:,} records, the source says it has {total:,}",
            hint="nothing was changed; records moved while they were read, or the source's total is wrong",
            place=Place(stream=stream),
            code="incomplete",
        )

    def guard(self, *, existing: int, lost: int, left: int) -> None:
        """Refuse a pass that would delete too much."""
        rules, stream = self.activation, self.part.stream.name
        many = existing >= rules.guard_from and lost > rules.most_deleted * existing
        if stream in rules.allow_deletes or not lost or not (many or not left):
            return
        raise ActivationError(
            f"the pass over {stream!r} would delete {lost:,} of {existing:,} rows",
            hint=f"nothing was changed; if the source is right, run once with --allow-deletes {stream}",
            place=Place(stream=stream),
            code="guard",
        )

    def compare(self, staged: Staged) -> tuple[int, int]:
        """What is unchanged; in mode append also what the destination has in a newer version."""
        horizon = self.batch.horizon
        versions = self.activation.mode == "append"
        return upsert.compare(self.space, self.part, staged, horizon=horizon, versions=versions)

    def insert(self, effect: Effect, staged: Staged, *, all_rows: bool, version: int | None = None) -> int:
        """Move what is left of the staged rows into the tables; returns the number of root rows."""
        sql, stream = self.space.sql, self.part.stream.name
        version = self.known.tables[stream, ()].table_version if version is None else version
        stamps: dict[str, tuple[Kind, object]] = {
            "_sdc_batched_at": ("instant", self.at),
            VERSION: ("integer", version),
        }
        there, loaded = self.space.there(), 0
        given = ", ".join(self.space.given(kind) for kind, _ in stamps.values())
        for table in self.part.tables:
            name = self.staging(table)
            columns = self.space.names(there[name])
            sequence = sql.quote(SEQUENCE)
            left = (
                f" WHERE {sequence} IN (SELECT {sequence} FROM {staged.table})" if table.path and not all_rows else ""
            )
            written = sql.execute(
                f"INSERT INTO {self.space.table(table.name)} ({columns}, {self.space.names(stamps)}) "
                f"SELECT {columns}, {given} FROM {self.space.table(name)}{left}",
                [value for _, value in stamps.values()],
            )
            effect.count(table.name, written=written)
            loaded = loaded if table.path else written
        return loaded


def _key(values: object, kinds: Sequence[Kind]) -> tuple[object, ...] | None:
    """A rejected record's key in canonical values, None when no row of the table can have it."""
    if not isinstance(values, list) or len(values) != len(kinds):
        return None
    canonical = tuple(_canonical(value, kind) for value, kind in zip(values, kinds, strict=True))
    return None if None in canonical else canonical


def _canonical(value: object, kind: Kind) -> object:
    if kind == "integer":
        return value if type(value) is int and -MOST_INTEGER <= value < MOST_INTEGER else None
    if kind == "number":
        return str(value) if type(value) is int else None
    if not isinstance(value, str):
        return None
    try:
        return instants.instant(value) if kind == "instant" else instants.date_text(value) if kind == "date" else value
    except instants.NoSuchInstant:
        return None
