"""What becomes of a source's names in a destination: nothing is rejected for its name, no two names become one."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core.names import clash_key, identifier, split_name, unique
from connector_core.tables import Kind, Traits

SUFFIXES: dict[Kind, str] = {
    "string": "st", "integer": "bi", "number": "de", "boolean": "bo", "instant": "ti", "date": "ti", "nested": "va"
}  # fmt: skip


def traits(
    *,
    size: int = 63,
    fold: Literal["keep", "lower", "upper"] = "keep",
    cased: bool = True,
    reserved: frozenset[str] = frozenset(),
) -> Traits:
    return Traits(name_bytes=size, suffixes=SUFFIXES, fold=fold, case_sensitive=cased, reserved=reserved)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "id",
            "updated_at",
            "a1",
            "Id",
            "first name",
            "50%",
            "%s",
            "%(id)s",
            'say "hi"',
            "it's",
            "é",
            "e\u0301",
            "日本",
            "😀",
            "select",
            "a.b",
        ),
        *(
            "; DROP TABLE x; --",
            "col__st",
            "_private",
            "1st",
            "a/b",
            "{x}",
            "\u202eabc",
            "\ufeffbom",
            "\ufffe",
            "-",
            "oid",
        ),
    ],
)
def test_most_names_stay_as_they_are(name: str) -> None:
    """B28, B10: identifiers are quoted, so spaces, quotes and every letter can stay."""
    assert identifier([name], traits()) == name


def test_a_path_is_joined() -> None:
    assert identifier(["custom_fields", "level"], traits()) == "custom_fields__level"


@pytest.mark.parametrize(("fold", "name"), [("lower", "straße_id"), ("upper", "STRASSE_ID")])
def test_the_case_follows_the_destination(fold: Literal["lower", "upper"], name: str) -> None:
    assert identifier(["Straße_Id"], traits(fold=fold)) == name


@pytest.mark.parametrize("name", ["_sdc_batched_at", "__sdc_primary_key", "_SDC_x", "_sdc"])
def test_the_engines_prefix_is_its_own(name: str) -> None:
    assert identifier([name], traits()) == f"field{name}"


def test_reserved_names_are_avoided_in_the_case_that_counts() -> None:
    reserved = frozenset({"xmin", "ctid"})
    assert identifier(["xmin"], traits(reserved=reserved)) == "field_xmin"
    assert identifier(["XMIN"], traits(reserved=reserved)) == "XMIN"
    assert identifier(["XMIN"], traits(reserved=reserved, cased=False)) == "field_XMIN"


@pytest.mark.parametrize("name", ["", " ", "\t", "\0", "a\0b", "\x1b[31m", "\ud800", "a\ud800", "\x85", "\n"])
def test_what_no_identifier_can_be_gets_a_name_of_its_own(name: str) -> None:
    new = identifier([name], traits())
    assert new.isprintable()
    assert new.strip()
    assert new == identifier([name], traits())
    assert new != identifier([name + " "], traits())
    new.encode()


def test_names_that_differ_only_in_what_is_replaced_stay_different() -> None:
    assert len({identifier([f"a{bad}b"], traits()) for bad in ("\0", "\x01", "\ud800", "\ud801", "_")}) == 5


@pytest.mark.parametrize("letter", ["x", "é", "日", "😀"])
def test_long_names_are_cut_by_us_at_a_letter_and_stay_different(letter: str) -> None:
    """B29: two names with the same first 63 bytes."""
    one, other = identifier([letter * 100 + "1"], traits()), identifier([letter * 100 + "2"], traits())
    assert one != other
    assert max(len(one.encode()), len(other.encode())) <= 59  # room for __st
    assert one.startswith(letter)


def test_the_longest_name_that_fits_is_kept() -> None:
    assert identifier(["x" * 59], traits()) == "x" * 59
    assert identifier(["x" * 60], traits()) != "x" * 60


@pytest.mark.parametrize(
    ("one", "other", "cased"), [("Id", "id", False), ("É", "é", False), ("\u00e9", "e\u0301", True)]
)
def test_names_that_count_as_one_are_numbered_in_order(one: str, other: str, cased: bool) -> None:
    """B29: by case and by normalisation."""
    rules = traits(cased=cased)
    taken = {clash_key(one, rules)}
    second = unique(other, taken, rules)
    assert second == f"{other}__2"
    taken.add(clash_key(second, rules))
    assert unique(other, taken, rules) == f"{other}__3"
    assert unique("new", taken, rules) == "new"


def test_case_counts_where_it_counts() -> None:
    assert unique("id", {clash_key("Id", traits())}, traits()) == "id"


def test_a_number_fits_on_the_longest_name() -> None:
    name = "é" * 29
    new = unique(name, {clash_key(name, traits())}, traits())
    assert new.endswith("__2")
    assert len(new.encode()) <= 59


def test_split_names() -> None:
    assert split_name("priority", "bi", set(), traits()) == "priority__bi"
    assert split_name("priority", "bi", {"priority__bi"}, traits()) == "priority__2__bi"
    assert split_name("PRIORITY", "bi", set(), traits(fold="upper")) == "PRIORITY__BI"
    assert len(split_name("x" * 59, "bi", {"x" * 59 + "__bi"}, traits())) <= 63


@settings(deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=40), min_size=1, max_size=3), max_size=20),
    st.sampled_from([(63, "keep", True), (255, "upper", False), (40, "lower", True), (200, "keep", False)]),
)
def test_any_names_become_different_names_that_fit(
    paths: list[list[str]], kind: tuple[int, Literal["keep", "lower", "upper"], bool]
) -> None:
    size, fold, cased = kind
    rules = traits(size=size, fold=fold, cased=cased, reserved=frozenset({"xmin"}))
    taken: set[str] = set()
    for path in paths:
        name = unique(identifier(path, rules), taken, rules)
        assert clash_key(name, rules) not in taken
        taken.add(clash_key(name, rules))
        for kind_suffix in SUFFIXES.values():
            assert len(split_name(name, kind_suffix, taken, rules).encode()) <= size
        assert name.strip()
        assert not name.lower().startswith(("_sdc", "__sdc"))
        assert name not in rules.reserved
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in name)
