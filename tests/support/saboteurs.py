"""Copies of the DuckDB destination with one defect each, to see that the contract of destinations goes red.

Each is a plugin object like the real one, which can be sent to the processes of the crash tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from connector_core.batch import Batch, Claim, Counts, Part, Receipt, TableCount
from connector_core.hookspecs import hookimpl
from connector_core.namespace import FIRST_SEQUENCE
from connector_core.sql import BulkColumn, Same
from connector_core.streams import Description
from connector_core.target import SqlTarget
from connector_duckdb import DuckDb
from connector_duckdb.connection import Database
from connector_duckdb.sql import TRAITS, DuckSql

USERS = re.compile(r'"\."(?!_sdc_)')


class Saboteur(DuckDb):
    """The destination without a defect: what a defect may get hold of."""

    exclusive = True

    @hookimpl
    def describe(self) -> Description:
        return replace(DuckDb.describe(self), exclusive=self.exclusive)

    @hookimpl
    @contextmanager
    def connect(self, config: Mapping[str, Any], namespace: str) -> Iterator[SqlTarget]:
        database = Database(path=config["path"])
        target = Target(partial(self._open, database), namespace=self.namespace(namespace), traits=TRAITS)
        target.saboteur = self
        self.connected(target)
        yield target

    @hookimpl
    def load(self, target: Target, batch: Batch) -> Receipt:
        return self.receipt([target.load(one) for one in self.batches(batch)][-1])

    @contextmanager
    def _open(self, database: Database, *, write: bool, tidy: bool = False) -> Iterator[Any]:
        with database.open(write=write, tidy=tidy) as sql:
            yield None if sql is None else Tampered(sql, self)

    def namespace(self, name: str) -> str:
        return name

    def connected(self, target: SqlTarget) -> None:
        return None

    def batches(self, batch: Batch) -> list[Batch]:
        return [self.batch(batch)]

    def batch(self, batch: Batch) -> Batch:
        return replace(batch, parts=tuple(map(self.part, batch.parts)))

    def part(self, part: Part) -> Part:
        return part

    def receipt(self, receipt: Receipt) -> Receipt:
        return receipt

    def claim(self, target: SqlTarget, connector: str, epoch: int, after: int) -> Claim:
        return SqlTarget.claim(target, connector, epoch=epoch, after=after)

    def commits(self, target: SqlTarget, after: int) -> Sequence[Receipt]:
        return SqlTarget.commits(target, after)

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        return sql.execute(text, values)

    def bulk(self, sql: DuckSql, table: str, columns: list[BulkColumn], count: int) -> None:
        sql.bulk(table, columns, count)

    def columns(self, found: dict[str, dict[str, str]]) -> Mapping[str, Mapping[str, str]]:
        return found

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'


class Target(SqlTarget):
    """Its target."""

    saboteur: Saboteur

    def claim(self, connector: str, *, epoch: int = 0, after: int = 0) -> Claim:
        return self.saboteur.claim(self, connector, epoch, after)

    def commits(self, after: int = 0) -> Sequence[Receipt]:
        return self.saboteur.commits(self, after)

    def check(self) -> Sequence[str]:
        if isinstance(self.saboteur, ChangesWhileChecking):
            SqlTarget.claim(self, "kit")
        return SqlTarget.check(self)

    def reset(self, stream: str, *, connector: str, epoch: int) -> None:
        if not isinstance(self.saboteur, ResetsNothing):
            SqlTarget.reset(self, stream, connector=connector, epoch=epoch)


class Tampered:
    """Its connection."""

    def __init__(self, sql: DuckSql, saboteur: Saboteur) -> None:
        self._sql, self._saboteur = sql, saboteur

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sql, name)

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> int:
        return self._saboteur.execute(self._sql, text, parameters)

    def bulk(self, table: str, columns: Sequence[BulkColumn], count: int) -> None:
        self._saboteur.bulk(self._sql, table, list(columns), count)

    def columns(self, schema: str) -> Mapping[str, Mapping[str, str]]:
        return self._saboteur.columns({table: dict(columns) for table, columns in self._sql.columns(schema).items()})

    def quote(self, identifier: str) -> str:
        return self._saboteur.quote(identifier)


@dataclass
class Skips(Saboteur):
    """Does not execute some statements, and says that they changed so many rows."""

    pattern: str
    answer: int = 0

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        return self.answer if re.search(self.pattern, text, re.DOTALL) else sql.execute(text, values)


@dataclass
class Rewrites(Saboteur):
    """Executes other statements than it was told."""

    pattern: str
    into: str

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        return sql.execute(re.sub(self.pattern, self.into, text, flags=re.DOTALL), values)


class ChangesValues(Saboteur):
    """Stores other values than it was given, in the users' tables and where keys are compared."""

    def __init__(self, kind: str, change: Callable[[Any], Any], *, everywhere: bool = True) -> None:
        self.kind, self.change, self.everywhere = kind, change, everywhere

    def bulk(self, sql: DuckSql, table: str, columns: list[BulkColumn], count: int) -> None:
        if self.everywhere or USERS.search(table):
            columns = [self._changed(column) if column.kind == self.kind else column for column in columns]
        sql.bulk(table, columns, count)

    def _changed(self, column: BulkColumn) -> BulkColumn:
        if isinstance(column.values, Same) or column.name.startswith("_sdc_r"):
            return column
        return replace(column, values=[None if value is None else self.change(value) for value in column.values])


@dataclass
class ChangesBatches(Saboteur):
    """Loads something else than the batch: other fields of it, of its activation or of its parts."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    activation: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Any] = field(default_factory=dict)
    only: str = ""

    def batch(self, batch: Batch) -> Batch:
        if self.only and batch.kind != self.only:
            return batch
        activation = batch.activation and replace(batch.activation, **self.activation)
        kind = self.kinds.get(batch.kind, batch.kind)
        parts = tuple(replace(part, **self.parts) for part in batch.parts)
        return replace(batch, kind=kind, parts=parts, activation=activation, **self.fields)


class LoadsTwice(Saboteur):
    """Repeats a load blindly: rows arrive twice."""

    def bulk(self, sql: DuckSql, table: str, columns: list[BulkColumn], count: int) -> None:
        for _ in range(2 if USERS.search(table) else 1):
            sql.bulk(table, columns, count)


class CommitsEarly(Saboteur):
    """Rows first, bookmark and commit record in a transaction of their own."""

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        if re.search(r'INSERT INTO "[^"]+"."_sdc_commits"', text):
            sql.commit()
            sql.begin()
        return sql.execute(text, values)


class CommitsByPart(Saboteur):
    """Each stream of a batch in a transaction of its own."""

    def batches(self, batch: Batch) -> list[Batch]:
        return [replace(batch, parts=(part,)) for part in batch.parts] or [batch]


class LeavesAMark(Saboteur):
    """Claims with a mark that only the same process takes away."""

    def claim(self, target: SqlTarget, connector: str, epoch: int, after: int) -> Claim:
        with target._open(write=True) as sql:
            sql.execute("CREATE SCHEMA IF NOT EXISTS locks")
            sql.execute(f'CREATE TABLE locks."{target.namespace}" (i INTEGER)')
        claim = SqlTarget.claim(target, connector, epoch=epoch, after=after)
        with target._open(write=True) as sql:
            sql.execute(f'DROP TABLE locks."{target.namespace}"')
        return claim


class DropsColumns(Saboteur):
    """Writes only the first columns of wide tables."""

    def bulk(self, sql: DuckSql, table: str, columns: list[BulkColumn], count: int) -> None:
        sql.bulk(table, columns[:500] if len(columns) > 600 else columns, count)


@dataclass
class ForgetsColumn(Saboteur):
    """Leaves one column of a bulk NULL."""

    name: str

    def bulk(self, sql: DuckSql, table: str, columns: list[BulkColumn], count: int) -> None:
        sql.bulk(table, [column for column in columns if column.name != self.name], count)


class MixesRows(Saboteur):
    """Values of long columns end up in other rows."""

    def bulk(self, sql: DuckSql, table: str, columns: list[BulkColumn], count: int) -> None:
        if count > 1_000 and not isinstance(columns[1].values, Same):
            columns[1] = replace(columns[1], values=[*columns[1].values][::-1])
        sql.bulk(table, columns, count)


@dataclass
class ForgetsTables(Saboteur):
    """Does not tell of some tables or columns that are there."""

    table: str = ""
    column: str = ""

    def columns(self, found: dict[str, dict[str, str]]) -> Mapping[str, Mapping[str, str]]:
        found.pop(self.table, None)
        for columns in found.values():
            columns.pop(self.column, None)
        return found

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        if self.column and "RENAME COLUMN" in text:
            sql.execute(f'{text.split(" RENAME")[0]} DROP COLUMN IF EXISTS "{self.column}"')
        return sql.execute(text.replace("CREATE TABLE", "CREATE OR REPLACE TABLE"), values)


class RemembersTables(Saboteur):
    """Looks once at what is there, and never again."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, str]] = {}

    def columns(self, found: dict[str, dict[str, str]]) -> Mapping[str, Mapping[str, str]]:
        for table, columns in found.items():
            self.seen.setdefault(table, {}).update(columns)
        return {table: dict(columns) for table, columns in self.seen.items()}


class SplitsByDropping(Saboteur):
    """Makes the column of a split anew instead of renaming it."""

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        if found := re.fullmatch(r"(ALTER TABLE .*) RENAME COLUMN (.*) TO (.*)", text):
            sql.execute(f"{found[1]} DROP COLUMN {found[2]}")
            return sql.execute(f"{found[1]} ADD COLUMN {found[3]} BIGINT")
        return sql.execute(text, values)


class TidiesUp(Saboteur):
    """Drops columns that it did not make."""

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        if 'DELETE FROM "_sdc_changed' in text or "_sdc_changed_0" in text:
            schema = re.search(r'"(contract_\w+)"\."cases"', text)
            if schema:
                sql.execute(f'ALTER TABLE "{schema[1]}".cases DROP COLUMN IF EXISTS note')
        return sql.execute(text, values)


class Miscounts(Saboteur):
    """The receipt tells more rows than there are."""

    def receipt(self, receipt: Receipt) -> Receipt:
        more = {name: count + TableCount(written=1) for name, count in receipt.tables.items()}
        return replace(receipt, tables=more)


class ForgetsOlder(Saboteur):
    """Does not count the rows of an older shape."""

    def receipt(self, receipt: Receipt) -> Receipt:
        return replace(receipt, older={})


class BalancesByHand(Saboteur):
    """Mends counts that do not balance instead of refusing them."""

    def part(self, part: Part) -> Part:
        return replace(part, counts=Counts(extracted=part.root.count))


class BelievesNothing(Saboteur):
    """Takes a record without a version for the oldest."""

    def part(self, part: Part) -> Part:
        values = tuple(
            [one or "0001-01-01T00:00:00Z" for one in given] if column.name == "updated_at" else given
            for column, given in zip(part.root.table.columns, part.root.values, strict=True)
        )
        return replace(part, root=replace(part.root, values=values))


class HalfAKey(Saboteur):
    """Takes the first column of a composite key for the key."""

    def part(self, part: Part) -> Part:
        return replace(part, root=replace(part.root, table=replace(part.root.table, key=part.root.table.key[:1])))


class ForgetsBookmarks(Saboteur):
    """Loses bookmarks, and receipts too."""

    def claim(self, target: SqlTarget, connector: str, epoch: int, after: int) -> Claim:
        return replace(SqlTarget.claim(target, connector, epoch=epoch, after=after), bookmarks={}, receipts=())


class CountsFromOne(Saboteur):
    """Gives out sequences that another loader may have given."""

    def execute(self, sql: DuckSql, text: str, values: Sequence[Any]) -> int:
        return sql.execute(text, [1 if value == FIRST_SEQUENCE else value for value in values])


class IgnoresTheLedger(Saboteur):
    """Takes the next epoch of its own."""

    def claim(self, target: SqlTarget, connector: str, epoch: int, after: int) -> Claim:
        return SqlTarget.claim(target, connector)


class OneEpoch(Saboteur):
    """Gives every run the same epoch."""

    def claim(self, target: SqlTarget, connector: str, epoch: int, after: int) -> Claim:
        return replace(SqlTarget.claim(target, connector, epoch=epoch, after=after), epoch=1)


class Adopts(Saboteur):
    """Takes namespaces of other connectors for its own."""

    def claim(self, target: SqlTarget, connector: str, epoch: int, after: int) -> Claim:
        return SqlTarget.claim(target, "kit", epoch=epoch, after=after)


class TellsAllCommits(Saboteur):
    """Gives every commit, not those after the sequence."""

    def commits(self, target: SqlTarget, after: int) -> Sequence[Receipt]:
        return SqlTarget.commits(target, 0)


class ReadsByClaiming(Saboteur):
    """Makes the namespace when it is read."""

    def commits(self, target: SqlTarget, after: int) -> Sequence[Receipt]:
        SqlTarget.claim(target, "kit")
        return SqlTarget.commits(target, after)


class ChangesWhileChecking(Saboteur):
    """Claims when it is only asked whether it could."""


class ResetsNothing(Saboteur):
    """Says that a stream was reset."""


class OneNamespace(Saboteur):
    """Puts every connector into one schema."""

    def namespace(self, name: str) -> str:
        return "shared"


class OpensAtOnce(Saboteur):
    """Makes the namespace when a run connects."""

    def connected(self, target: SqlTarget) -> None:
        SqlTarget.claim(target, "kit")


class ShutsReadersOut(Saboteur):
    """Says that others may open the file meanwhile."""

    exclusive = False


class Unquoted(Saboteur):
    """Changes names as it likes."""

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', "'").replace("%", "") + '"'


class Cuts(Saboteur):
    """Cuts names without telling anybody."""

    def quote(self, identifier: str) -> str:
        return '"' + identifier[:200].replace('"', '""') + '"'


def trimmed(text: str) -> str:
    return text.strip()


def lowered(text: str) -> str:
    return text.lower()


def composed(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)


def cut(text: str) -> str:
    return text[:1_000_000]


def as_double(value: Any) -> Any:
    return int(float(value)) if isinstance(value, int) and abs(value) < 2**62 else value


def as_float(value: str) -> str:
    return f"{float(value):.9f}" if abs(float(value)) < 1e28 else value


def milliseconds(text: str) -> str:
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return f"{seconds}.{fraction[:3] or '0'}Z"


def whole_seconds(text: str) -> str:
    return text.split(".")[0].rstrip("Z") + "Z"


def julian(text: str) -> str:
    return text.replace("1582-10-10", "1582-10-20")


def rounded(text: str) -> str:
    return json.dumps(json.loads(text, parse_int=float), sort_keys=True)


Tests = str | tuple[str, ...]
Connected = AbstractContextManager[SqlTarget]

SABOTEURS: Mapping[str, tuple[Saboteur, Tests]] = {
    "loads_twice": (LoadsTwice(), ("rows_without_a_primary_key_are_appended", "identical_records_of_one_key")),
    "commits_early": (
        CommitsEarly(),
        (
            "a_kill_at_any_instant_of_a_load",
            "a_kill_at_any_instant_of_an_activation",
            "what_stops_a_load_from_inside",
            "a_connection_that_breaks_in_a_load",
        ),
    ),
    "commits_by_part": (CommitsByPart(), ("a_family_becomes_visible", "a_batch_of_several_streams_is_one_commit")),
    "leaves_a_mark": (LeavesAMark(), "a_kill_at_any_instant_of_a_first_claim"),
    "shuts_readers_out": (ShutsReadersOut(), "a_reader_never_sees_half_a_load"),
    "ignores_the_fence": (
        Skips(r'UPDATE "[^"]+"."_sdc_fence" SET "sequence" = "sequence"', 1),
        (
            "a_run_that_was_overtaken_writes_nothing",
            "of_two_runs_with_connections",
            "a_run_that_was_overtaken_neither_stages",
            "a_reset_of_an_overtaken_run",
            "sequences_rise_for_ever",
        ),
    ),
    "keeps_sub_rows": (
        Skips(r'DELETE FROM "[^"]+"."cases__labels"'),
        (
            "sub_rows_shrink_and_vanish",
            "sub_rows_of_a_subtable_that_the_batch_does_not_have",
            "new_changed_and_unchanged_in_one_batch",
            "a_dropped_table_comes_back_without_stale_sub_rows",
            "rows_that_users_delete",
        ),
    ),
    "forgets_hashes": (Skips(r'DELETE .*"_sdc_record_hash" = '), "the_same_batch_twice_changes_nothing"),
    "forgets_versions": (
        Skips(r"DELETE .*\.\"(updated_at|rev)\" > "),
        ("an_older_version_that_comes_later", "integer_versions"),
    ),
    "last_wins": (ChangesBatches(parts={"version": None}), "a_key_several_times_in_a_batch"),
    "believes_the_future": (ChangesBatches(fields={"horizon": None}), "a_version_in_the_future"),
    "believes_nothing": (BelievesNothing(), "a_record_without_a_version"),
    "whole_seconds": (ChangesValues("instant", whole_seconds), "fractions_of_a_second"),
    "never_rewrites": (
        ChangesBatches(parts={"rewrite": False}),
        ("rewrite_writes_what_is_unchanged", "rewrite_refreshes_every_row"),
    ),
    "always_rewrites": (ChangesBatches(parts={"rewrite": True}), "the_same_pass_again_writes_nothing"),
    "half_a_key": (HalfAKey(), "composite_keys"),
    "miscounts": (Miscounts(), "receipts_say_how_many_rows"),
    "forgets_a_column": (ForgetsColumn("_sdc_received_at"), "new_rows_arrive_with_their_system_columns"),
    "forgets_bookmarks": (
        ForgetsBookmarks(),
        ("a_claim_gives_what_the_last_run_left", "a_batch_of_counts_or_of_a_bookmark", "append_adds_all_staged_rows"),
    ),
    "balances_by_hand": (BalancesByHand(), "a_batch_whose_counts_do_not_balance"),
    "balances_passes_by_hand": (ChangesBatches(activation={"counts": {}}), "a_pass_whose_counts_do_not_balance"),
    "forgets_copies": (ChangesBatches(activation={"copies": {}}), "rejects_without_a_key_stand_for"),
    "counts_no_repeats": (Skips(r'UPDATE "[^"]+"."_sdc_rejected"'), "rejects_are_kept_once_and_counted"),
    "keeps_settled_rejects": (Skips(r'DELETE FROM "[^"]+"."_sdc_rejected"'), "replayed_rejects_are_taken_out"),
    "forgets_older_shapes": (ForgetsOlder(), "older_shapes_are_counted"),
    "registers_no_columns": (Skips(r"ADD COLUMN"), "a_new_column_is_added"),
    "fills_columns": (Rewrites(r'"amount" BIGINT', '"amount" BIGINT DEFAULT 7'), "a_batch_without_a_column"),
    "splits_by_dropping": (
        SplitsByDropping(),
        ("a_split_keeps_the_old_values", "a_column_of_a_subtable_splits", "columns_may_come_and_split"),
    ),
    "makes_no_empty_tables": (Skips(r'CREATE TABLE "[^"]+"."users__'), "subtables_of_empty_arrays_exist"),
    "unquoted": (Unquoted(), "names_are_only_names"),
    "cuts_names": (Cuts(), "names_of_tables_that_are_as_long"),
    "drops_columns": (DropsColumns(), "a_thousand_columns"),
    "trims": (ChangesValues("string", trimmed), "b13_texts"),
    "composes": (ChangesValues("string", composed), "every_character_of_unicode"),
    "cuts_texts": (ChangesValues("string", cut), "long_texts_are_never_cut"),
    "lowers_keys": (ChangesValues("string", lowered), "keys_of_every_kind"),
    "integers_as_doubles": (ChangesValues("integer", as_double, everywhere=False), "integers_of_64_bits"),
    "numbers_as_doubles": (ChangesValues("number", as_float), "numbers_are_exact"),
    "loses_microseconds": (ChangesValues("instant", milliseconds), "instants_are_exact"),
    "another_calendar": (ChangesValues("date", julian), "test_dates"),
    "negates": (ChangesValues("boolean", bool.__invert__), "test_booleans"),
    "rounds_nested_numbers": (ChangesValues("nested", rounded), "nested_values"),
    "mixes_rows": (MixesRows(), "values_survive_whatever_stands_beside"),
    "shows_what_is_staged": (
        ChangesBatches(kinds={"stage": "rows"}),
        ("staged_rows_become_visible_at_once", "what_an_interrupted_pass_left", "discard_drops_a_pass"),
    ),
    "keeps_what_vanished": (ChangesBatches(activation={"may_delete": False}), "new_changed_unchanged_and_vanished"),
    "keeps_twins": (Skips(r"DELETE .*AS placed WHERE place > 1", 1), "a_key_that_was_staged_twice"),
    "believes_any_pass": (ChangesBatches(activation={"totals": {}}), "an_incomplete_pass_changes_nothing"),
    "deletes_rejected_keys": (ChangesBatches(activation={"kept_keys": {}}), "keys_of_rejected_records"),
    "deletes_without_keys": (
        ChangesBatches(activation={"may_delete": True}),
        "a_reject_without_a_key_keeps_the_pass_from_deleting",
    ),
    "no_guard": (
        ChangesBatches(activation={"allow_deletes": frozenset({"users", "log"})}),
        (
            "the_guard_refuses_to_delete_too_much",
            "a_pass_without_records_does_not_wipe",
            "rows_without_a_key_are_guarded",
        ),
    ),
    "nervous_guard": (ChangesBatches(activation={"most_deleted": 0.1}), "the_guard_lets_half_pass"),
    "appends_passes": (ChangesBatches(activation={"mode": "append"}), "rows_without_a_key_are_replaced"),
    "drops_rejects_of_passes": (ChangesBatches(fields={"rejects": ()}, only="stage"), "rejects_of_a_pass_are_kept"),
    "counts_from_one": (CountsFromOne(), "a_first_claim_makes"),
    "ignores_the_ledger": (IgnoresTheLedger(), "the_epoch_rises_above"),
    "tells_all_commits": (TellsAllCommits(), "commits_are_receipts_above_a_sequence"),
    "adopts": (Adopts(), "another_connectors_namespace"),
    "reads_by_claiming": (ReadsByClaiming(), "reading_a_namespace_that_is_not_there"),
    "changes_while_checking": (ChangesWhileChecking(), "check_tells_whose_namespace"),
    "one_epoch": (OneEpoch(), "claims_at_the_same_time"),
    "one_namespace": (OneNamespace(), "connectors_that_make_their_tables_at_once"),
    "resets_nothing": (ResetsNothing(), "reset_forgets_a_stream"),
    "opens_at_once": (OpensAtOnce(), "nothing_is_opened_before_it_is_needed"),
    "remembers_tables": (
        RemembersTables(),
        (
            "a_dropped_column_is_repaired",
            "a_dropped_system_column",
            "a_dropped_subtable",
            "a_dropped_key_stops",
            "a_changed_type_stops",
        ),
    ),
    "takes_tables_over": (ForgetsTables(table="cases"), "a_table_of_somebody_else"),
    "takes_columns_over": (ForgetsTables(column="amount__bi"), "a_split_onto_a_name_that_a_user_took"),
    "tidies_up": (TidiesUp(), "columns_that_users_added_stay"),
    "overlooks_others": (ForgetsTables(table="orders"), "sequences_start_above_those_of_a_loader"),
}
"""By name, a saboteur and what the names of the tests hold that it has to turn red."""
