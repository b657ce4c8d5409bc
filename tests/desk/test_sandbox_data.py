"""The seeded data hold every difficulty of facts/desk_api.md sections 7, 8 and 10, in small sites too, and are the same
again."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import pytest

from connector_desk.sandbox import Sandbox, Settings
from connector_desk.sandbox.desk import Desk
from connector_desk.sandbox.voices import VOICES, voice
from connector_desk.sandbox.words import ODD_SUBJECTS

NOW = "2026-01-01T00:00:00Z"
SEEDS = (1, 2, 3)
Held = dict[str, list[Any]]


@cache
def held(seed: int, cases: int = 200) -> Held:
    return Desk(Settings(seed=seed, now=NOW, cases=cases, nul_share=0.05, huge_body=300_000)).dump()


def every(value: Any) -> list[Any]:
    """All scalars in a document."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in every(item)]
    return [leaf for item in value for leaf in every(item)] if isinstance(value, list) else [value]


def target(link: dict[str, Any] | None) -> int | None:
    return None if link is None else int(link["href"].rsplit("/", 1)[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_instants_lie_in_the_400_days_before_now(seed: int) -> None:
    stamps = [leaf for leaf in every(held(seed)) if isinstance(leaf, str) and re.fullmatch(r"\d{4}-.*Z", leaf)]
    exact = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    assert all(exact.fullmatch(stamp) for stamp in stamps)
    for resource in ("cases", "customers", "replies"):
        for record in held(seed)[resource]:
            for name in (
                "created_at",
                "updated_at",
                "changed_at",
                "sent_at",
                "active_at",
                "resolved_at",
                "locked_until",
            ):
                assert "2024-11-27" < (record.get(name) or NOW) <= NOW
    old = [case for case in held(seed)["cases"] if case["updated_at"] < "2025-01-01"]
    assert 0 < len(old) < 30, "about a year of it is inside the default start date"


@pytest.mark.parametrize("seed", SEEDS)
def test_cases_hold_every_channel_and_kind_of_nothing(seed: int) -> None:
    cases = held(seed)["cases"]
    assert {case["type"] for case in cases} == {"email", "twitter", "phone", "chat", "qna", "facebook"}
    assert {case["status"] for case in cases} == {"new", "open", "pending", "resolved", "closed"}
    for name in ("external_id", "blurb", "description", "subject"):
        kinds = {"null" if case[name] is None else "empty" if case[name] == "" else "text" for case in cases}
        assert kinds == ({"empty", "text"} if name == "subject" else {"null", "empty", "text"})
    for name in ("assigned_user", "assigned_group"):
        assert {case["_links"][name] is None for case in cases} == {True, False}
    assert all(len(case["labels"]) == len(case["label_ids"]) for case in cases)
    assert {min(len(case["labels"]), 2) for case in cases} == {0, 1, 2}
    assert {"public_url" in case for case in cases} == {True, False}
    assert not any("suppress_rules" in case or "last_opened_at" in case for case in cases)
    assert any(case["changed_at"] > case["updated_at"] for case in cases)
    assert all(case["updated_at"] >= max(case["created_at"], case["active_at"] or "") for case in cases)
    assert max(len(case["blurb"] or "") for case in cases) <= 250
    assert any("\u0000" in (case["blurb"] or "") for case in cases)


@pytest.mark.parametrize("seed", SEEDS)
def test_custom_fields_have_every_type_and_the_same_keys_everywhere(seed: int) -> None:
    fields = held(seed)["custom_fields"]
    assert [row["name"] for row in fields if not row["active"]] == ["old_queue"], "defined once, and on no record"
    for kind, resource in (("ticket", "cases"), ("customer", "customers"), ("company", "companies")):
        defined = {row["name"]: row["data"] for row in fields if row["type"] == kind and row["active"]}
        records = held(seed)[resource]
        assert {tuple(record["custom_fields"]) for record in records} == {tuple(defined)}
        types = defaultdict(set)
        for record in records:
            for name, value in record["custom_fields"].items():
                types[defined[name]["type"]].add(type(value))
                if defined[name]["type"] == "integer" and value is not None:
                    assert str(int(value)) == value
                if defined[name]["type"] == "list" and value is not None:
                    assert value in defined[name]["choices"]
        none = type(None)
        texts = {"string": {str, none}, "integer": {str, none}, "date": {str, none}, "list": {str, none}}
        assert types == texts | {"boolean": {bool, none}}
        assert any("::" in choice for data in defined.values() for choice in data.get("choices", []))


@pytest.mark.parametrize("seed", SEEDS)
def test_text_holds_what_breaks_loaders(seed: int) -> None:
    texts = [leaf for leaf in every(held(seed)) if isinstance(leaf, str)]
    for piece in ("\t", '"', "\\", "\\N", "\r\n", "'", "é", "e\u0301", "日", "ع", "🙏🏽", "%", "{{", "\u200b"):
        assert any(piece in text for text in texts), f"no text holds {piece!r}"
    lengths = sorted(len(reply["body"] or "") for reply in held(seed)["replies"])
    assert lengths[-1] == 300_000 > lengths[-2] * 100


@pytest.mark.parametrize("seed", SEEDS)
def test_people_write_in_many_languages_and_a_case_stays_in_its_own(seed: int) -> None:
    cases = held(seed)["cases"]
    assert {None, "en", "en_us", *VOICES} == {case["language"] for case in held(seed, 600)["cases"]}
    said = {message["_links"]["case"]["href"]: message["body"] for message in held(seed)["messages"]}
    for case in cases:
        issues = voice(case["language"]).issues
        (about,) = [subject for subject, opening in issues if opening[:60] in said[case["_links"]["self"]["href"]]]
        assert case["subject"] in (about, "(No Subject)", *ODD_SUBJECTS)
    by_case = {case["_links"]["self"]["href"]: case for case in cases}
    for reply in held(seed)["replies"]:
        case = by_case[reply["_links"]["case"]["href"]]
        speaks = voice(case["language"])
        if reply["body"] and len(reply["body"]) < 10_000:
            known = speaks.answers if reply["direction"] == "out" else speaks.details
            assert any(sentence[:30] in reply["body"] for sentence in known)


def test_the_languages_bring_their_scripts() -> None:
    texts = "".join(leaf for leaf in every(held(1)["messages"] + held(1)["replies"]) if isinstance(leaf, str))
    for script in ("HEBREW LETTER", "ARABIC LETTER", "CJK UNIFIED", "HIRAGANA", "HANGUL", "THAI", "DEVANAGARI VOWEL"):
        assert any(unicodedata.name(letter, "").startswith(script) for letter in set(texts)), script
    assert {"CYRILLIC", "GREEK", "EMOJI"} <= {unicodedata.name(letter, "").split(" ")[0] for letter in set(texts)}
    assert any(unicodedata.combining(letter) for letter in set(texts)), "combining marks"
    assert any(unicodedata.normalize("NFC", text) != text for text in texts.split("\n")), "texts that are not composed"
    assert any(ord(letter) > 0xFFFF for letter in set(texts)), "beyond the basic plane"


@pytest.mark.parametrize("seed", SEEDS)
def test_replies_have_the_shape_of_their_channel(seed: int) -> None:
    keys = defaultdict(set)
    links = defaultdict(set)
    for reply in held(seed)["replies"]:
        kind = reply["_links"]["self"]["class"]
        keys[kind].add(tuple(reply))
        links[kind] |= set(reply["_links"])
    assert set(keys) == {"email", "tweet", "phone_call", "chat_message", "facebook_comment", "community_answer"}
    assert all(len(shapes) == 1 for shapes in keys.values())
    assert {"subject", "from", "to", "cc", "bcc", "client_type", "hidden_by"} <= set(next(iter(keys["email"])))
    assert not {"subject", "from", "to", "cc", "bcc"} & set(next(iter(keys["phone_call"])))
    assert "entered_at" in next(iter(keys["phone_call"]))
    assert next(iter(keys["tweet"]))[:4] == ("id", "body", "direction", "status")
    assert ("sent_by" in links["email"], "entered_by" in links["phone_call"]) == (True, True)
    assert "sent_by" not in links["phone_call"]
    assert ("created_by" in links["chat_message"], "likes" in links["facebook_comment"]) == (True, True)
    assert {"topic", "best_answer"} <= links["community_answer"]
    mails = [reply for reply in held(seed)["replies"] if "hidden" in reply and "client_type" in reply]
    assert all((mail["hidden_at"] is not None) == mail["hidden"] for mail in mails)
    chats = [reply for reply in held(seed)["replies"] if "event_type" in reply]
    assert all(reply["body"] in ("", None) for reply in chats if reply["event_type"])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cases", [12, 200])
def test_replies_hold_their_difficulties(seed: int, cases: int) -> None:
    replies = held(seed, cases)["replies"]
    drafts = [reply for reply in replies if reply["status"] == "draft"]
    assert drafts
    assert all(reply["body"] is None and reply["sent_at"] is None for reply in drafts)
    by_case = defaultdict(list)
    for reply in replies:
        by_case[reply["_links"]["case"]["href"]].append(reply)
    assert any(len({reply["id"] for reply in group}) < len(group) for group in by_case.values()), "body ids collide"
    mixed = [group for group in by_case.values() if len({reply["_links"]["self"]["class"] for reply in group}) > 1]
    assert mixed
    hrefs = Counter(target(reply["_links"]["self"]) for reply in replies)
    splits = [row["_links"]["splits"]["href"] for row in held(seed, cases)["messages"] if "splits" in row["_links"]]
    hrefs += Counter(int(href.split("/")[-2]) for href in splits)
    assert max(hrefs.values()) == 1, "the id of the href belongs to one interaction of the site"
    if cases > 100:
        assert any(reply["updated_at"] < reply["created_at"] for reply in replies)
        assert any(reply["body"] == "" for reply in replies)
        assert {reply["status"] for reply in replies} == {"draft", "sent", "pending", "failed", "received"}
        assert all((reply["sent_at"] is None) == (reply["status"] in ("draft", "pending")) for reply in replies)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_body_id_belongs_to_one_row_of_its_channels_table(seed: int) -> None:
    tables: dict[str, Counter[int]] = defaultdict(Counter)
    channel = {
        "phone_call": "phone",
        "chat_message": "chat",
        "facebook_comment": "facebook",
        "facebook_post": "facebook",
    }
    channel |= {"community_answer": "qna", "community_question": "qna"}
    for row in held(seed)["replies"] + held(seed)["messages"]:
        kind = row["_links"]["self"]["class"]
        tables[channel.get(kind, kind)][row["id"]] += 1
    assert all(max(ids.values()) == 1 for ids in tables.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_deleted_agents_are_still_linked(seed: int) -> None:
    users = {user["id"] for user in held(seed)["users"]}
    for rows, name in ((held(seed)["cases"], "assigned_user"), (held(seed)["replies"], "sent_by")):
        linked = {target(row["_links"].get(name)) for row in rows} - {None}
        assert linked - users
        assert linked & users
    assert {row["user_id"] for row in held(seed)["memberships"]} <= users


@pytest.mark.parametrize("seed", SEEDS)
def test_several_records_share_a_second_and_ids_have_gaps(seed: int) -> None:
    for resource in ("cases", "customers"):
        records = held(seed)[resource]
        assert Counter(record["updated_at"] for record in records).most_common(1)[0][1] >= 3
        ids = [record["id"] for record in records]
        assert ids[-1] - ids[0] >= len(ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_customers_hold_arrays_of_every_length_and_missing_names(seed: int) -> None:
    customers = held(seed)["customers"]
    for name in ("emails", "phone_numbers", "addresses"):
        assert {min(len(customer[name]), 2) for customer in customers} == {0, 1, 2}
        assert all(list(item) == ["type", "value"] for customer in customers for item in customer[name])
    assert any(customer["first_name"] is None for customer in customers)
    assert {type(customer["company"]) for customer in customers} == {str, type(None)}
    assert all((customer["company"] is None) == (customer["_links"]["company"] is None) for customer in customers)
    counts = Counter(target(case["_links"]["customer"]) for case in held(seed)["cases"])
    assert all(customer["_links"]["cases"]["count"] == counts[customer["id"]] for customer in customers)


def test_link_counts_are_the_truth() -> None:
    counts = Counter(reply["_links"]["case"]["href"] for reply in held(1)["replies"])
    for case in held(1)["cases"]:
        assert case["_links"]["replies"]["count"] == counts[case["_links"]["self"]["href"]]
    assert sum(case["_links"]["replies"]["count"] == 0 for case in held(1)["cases"]) > 30


def test_another_seed_is_another_site_and_the_same_seed_the_same() -> None:
    again = Desk(Settings(seed=1, now=NOW, cases=200, nul_share=0.05, huge_body=300_000)).dump()
    assert again == held(1)
    assert again["cases"] != held(2)["cases"]


def test_expected_is_the_listed_part_of_the_dump() -> None:
    with Sandbox(Settings(now=NOW, cases=10, customers=3)) as desk:
        dump, expected = desk.dump(), desk.expected()
    assert set(dump) - set(expected) == {"messages", "companies"}
    assert all(expected[resource] == dump[resource] for resource in expected)


@pytest.mark.parametrize(
    "settings", [Settings(now=NOW, cases=0, customers=0, groups=0, users=1), Settings(now=NOW, cases=1)]
)
def test_tiny_sites_are_sites(settings: Settings) -> None:
    assert len(Desk(settings).dump()["cases"]) == settings.cases


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "both"},
        {"auth": ("MD5",)},
        {"auth": ()},
        {"max_per_page": {"case": 1}},
        {"window_seconds": 0},
        {"cases": -1},
        {"churn": 1.5},
        {"timeout_share": float("nan")},
        {"error_share": 0.6, "truncated_share": 0.5},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|knows"):
        Settings(**wrong)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Desk(Settings(now="2026-01-01T00:00:00"))
