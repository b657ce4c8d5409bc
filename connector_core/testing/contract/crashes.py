"""Crashes and lost answers at every instant of a load: all of it or nothing, and never twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from connector_core.batch import Activation, Batch, Receipt
from connector_core.errors import ConnectorError, RetryableError
from connector_core.testing.child import Ended, Processes
from connector_core.testing.contract.passes import user, users
from connector_core.testing.contract.rows import case, cases
from connector_core.testing.instants import listening
from connector_core.testing.shapes import CASES, Shape, reject
from connector_core.testing.warehouse import Warehouse

Break = Callable[[Warehouse], None]
FREE = Activation(allow_deletes=frozenset({"users"}))
INSTANTS = 12  # for a destination that announces no steps


class Interrupted(BaseException):
    """Stands for whatever stops a load from inside: a signal, no memory, a defect."""


def hurried(house: Warehouse, turn: int) -> Batch:
    """A batch of everything that a commit can hold: new, changed and unchanged rows, a new column, a reject, a
    bookmark."""
    shape = Shape(columns={**CASES, f"new_{turn}": "string"})
    at = f"2026-02-01T00:{turn:02}:00Z"
    records = [case(n, updated_at=at, subject=f"turn {turn}", labels=(f"l{turn}",)) for n in range(2)]
    records += [{**case(100 + turn), f"new_{turn}": "x"}, case(99)]
    return house.batch(shape.part(records), rejects=(reject(turn),), bookmark={"version": 1, "value": turn})


def instants(undisturbed: Ended) -> list[dict[str, Any]]:
    """Where to kill: when a step is first begun and after the last one, or at even instants where the destination
    announces no steps of its own."""
    assert undisturbed.error == ""
    assert not undisturbed.killed
    if own := own_seams(undisturbed.seams):
        return [{"kill_at": name} for name in own if name.endswith(".before") or name == own[-1]]
    return [{"kill_after": undisturbed.seconds * (n + 1) / INSTANTS} for n in range(INSTANTS)]


def own_seams(seams: Sequence[str]) -> list[str]:
    """The seams of the destination itself, each once."""
    return [name for name in dict.fromkeys(seams) if not name.startswith("hook.")]


def found(house: Warehouse, batch: Batch, *, after: int) -> bool:
    """What the engine does when it cannot know whether a batch was committed: claim again and look."""
    claim = house.claim(after=after)
    same = [r for r in claim.receipts if (r.run_id, r.number) == (batch.run_id, batch.number)]
    assert len(same) <= 1
    return bool(same)


def commits(house: Warehouse) -> Sequence[Receipt]:
    """All receipts; the connection may have been cut since it was last used."""
    try:
        return house.target.commits()
    except RetryableError:
        return house.target.commits()


def settle(house: Warehouse, batch: Batch, before: dict[str, list[str]], *, after: int) -> bool:
    """Check that the batch was committed as a whole or not at all, then commit it if it was not; returns which."""
    committed = found(house, batch, after=after)
    if committed:
        assert house.users_content() != before
    else:
        assert house.users_content() == before
        assert house.claimed is not None
        house.commit(replace(batch, epoch=house.claimed.epoch))
    return committed


def everything(house: Warehouse, turns: Sequence[int]) -> None:
    """After the batches of `hurried`: nothing is missing and nothing is there twice."""
    last = turns[-1]
    assert house.ids() == [0, 1, 99, *(100 + turn for turn in turns)]
    subjects = dict(house.values("cases", "id", "subject"))
    assert {subjects[0], subjects[1]} == {f"turn {last}"}
    labels = house.values("cases__labels", "_sdc_source_key_id", "value")
    assert [value for owner, value in labels if owner < 2] == [f"l{last}"] * 2
    assert len(labels) == 2 + 2 * (1 + len(turns))
    assert sorted(house.values("_sdc_rejected", "primary_key", "seen")) == sorted((f"[{t}]", 1) for t in turns)
    commits = list(house.target.commits())
    assert len({(r.run_id, r.number) for r in commits}) == len(commits) == len(turns)
    written = [house.counts(r) for r in commits]
    assert sum(w["cases"].written for w in written) == 2 * len(turns) + len(turns) + 1
    assert house.claim().bookmarks == {"cases": {"version": 1, "value": last}}


class CrashesContract:
    """What is left when a load does not come to its end."""

    def test_d1_d2_a_kill_at_any_instant_of_a_load_leaves_all_or_nothing(
        self, house: Warehouse, processes: Processes
    ) -> None:
        house.commit(hurried(house, 0))
        todo = instants(processes.run(house.namespace, hurried(house, 1)))
        turns, outcomes = [0, 1], []
        for turn, when in enumerate(todo, 2):
            before = house.users_content()
            batch = hurried(house, turn)
            assert processes.run(house.namespace, batch, **when).killed or "kill_after" in when
            outcomes.append(settle(house, batch, before, after=0))
            turns.append(turn)
        everything(house, turns)
        assert outcomes == sorted(outcomes)
        assert set(outcomes) == {True, False} or "kill_after" in todo[0]

    def test_d1_a_kill_at_any_instant_of_an_activation_shows_all_or_nothing(
        self, house: Warehouse, processes: Processes
    ) -> None:
        passes = (
            [user(0), user(1), user(2), user(3)],
            [user(0), user(1, "changed", ("x", "y")), user(5)],
        )
        house.full_pass(users, passes[0])
        house.stage(users, passes[1])
        undisturbed = processes.run(house.namespace, house.batch(users.slice([]), kind="activate", activation=FREE))
        shown, after = 1, 0
        for when in instants(undisturbed):
            house.stage(users, passes[1 - shown])
            batch = house.batch(users.slice([]), kind="activate", activation=FREE)
            processes.run(house.namespace, batch, **when)
            shown = 1 - shown if found(house, batch, after=after) else shown
            after = house.claimed.sequence if house.claimed else 0
            seen = house.values("users", "id", "name"), house.values("users__tags", "_sdc_source_key_id", "value")
            assert seen == (
                [(u["id"], u["name"]) for u in passes[shown]],
                [(u["id"], tag) for u in passes[shown] for tag in u["tags"]],
            )
            assert house.staged() == set()  # the claim has swept it away

    def test_d1_a_kill_at_any_instant_of_a_first_claim_is_put_right_by_the_next(
        self, house: Warehouse, processes: Processes
    ) -> None:
        for when in instants(processes.run(house.namespace, None)):
            house.reader.drop(house.namespace)
            processes.run(house.namespace, None, **when)
            claim = house.claim()
            assert claim.epoch in (1, 2)
            house.receipts.clear()
            house.load(cases.part([case(1)]))
            assert house.ids() == [1]
            assert list(house.target.commits()) == house.receipts

    def test_c24_what_stops_a_load_from_inside_leaves_nothing(self, house: Warehouse) -> None:
        """Each batch adds a column. The target stays usable: the same run goes on."""
        self._at_each_seam(house, ".before", Interrupted, Interrupted())

    def test_c3_c4_c7_a_connection_that_breaks_in_a_load_is_asked_about_and_never_repeated_blindly(
        self, house: Warehouse, break_connection: Break | None
    ) -> None:
        """Broken after each step, so also just before COMMIT, and between COMMIT and its answer."""
        self._at_each_seam(house, ".after", ConnectorError, break_connection or ConnectionResetError("cut"))

    def _at_each_seam(
        self, house: Warehouse, side: str, raised: type[BaseException], trouble: BaseException | Break
    ) -> None:
        """Trouble on this side of each step in turn: the load fails with `raised` unless it has nothing more to do."""
        passed: list[str] = []
        house.commit(hurried(house, 0))
        with listening(passed.append):
            house.commit(hurried(house, 1))
        turns = [0, 1]
        for turn, name in enumerate([name for name in own_seams(passed) if name.endswith(side)], 2):
            before, newest = house.users_content(), house.receipts[-1].sequence
            batch = hurried(house, turn)

            def act(at: str, name: str = name) -> None:
                if at == name and isinstance(trouble, BaseException):
                    raise trouble
                if at == name and not isinstance(trouble, BaseException):
                    trouble(house)

            try:
                with listening(act):
                    house.commit(batch)
            except raised:
                settle(house, batch, before, after=newest)
            house.receipts[:] = commits(house)
            turns.append(turn)
        everything(house, turns)

    def test_a_reader_never_sees_half_a_load(self, house: Warehouse, exclusive: bool) -> None:
        """Users query while rows are written and activated. Where one process at a time may open the destination, they
        are refused meanwhile."""
        house.load(cases.part([case(1), case(2), case(3)]))
        house.full_pass(users, [user(1), user(2)])
        tables = [house.name(table) for table in ("cases", "cases__labels", "users", "users__tags")]

        def content() -> list[list[str]]:
            found = house.reader.read(house.namespace, tables)
            return [sorted(map(repr, found[table])) for table in tables]

        def watched(load: Callable[[], object]) -> int:
            before, looked, committed = content(), 0, False

            def look(name: str) -> None:
                nonlocal looked, committed
                committed = committed or name in ("hook.load.after", "load.commit.after")
                if committed:
                    return
                looked += 1
                try:
                    seen = content()
                except Exception:
                    if not exclusive:
                        raise
                else:
                    assert seen == before, f"seen at {name}"

            with listening(look):
                load()
            assert content() != before
            return looked

        assert watched(lambda: house.load(cases.part([case(2, day=2, labels=("x",)), case(3), case(4)]))) > 0
        house.stage(users, [user(2, "new"), user(3)])
        assert watched(lambda: house.activate(users)) > 0
