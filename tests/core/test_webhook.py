"""The webhook extension against a real server: what arrives, how it is signed, how often it is tried."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from connector_core.cli import invoke
from connector_core.events import QuotaReached, RunFinished, SlotSkipped, StreamStarted
from connector_core.extensions.webhook import EVENTS, NotDeliveredError, Webhook, deliver, key_of, made, name_of
from tests.support.engine import START, Shop, served, stream
from tests.support.receiver import Receiver, receiving

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECRET = "c4n4ry-signing-key"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


class Hasty:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.steady = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.steady)

    def monotonic(self) -> float:
        return self.steady

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.steady += seconds
        return stop.is_set()


def settings(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": receiver.url, "secret": SECRET, "events": list(EVENTS), "give_up": 30, **more}


def finished(status: str = "succeeded", **more: Any) -> RunFinished:
    facts = {"exit_code": 0, "counts": {}, "rows_written": 7, "seconds": 1.5, **more}
    return RunFinished(connector="shop", run_id="r1", at=NOW, status=status, **facts)


def skipped() -> SlotSkipped:
    return SlotSkipped(connector="shop", run_id="", at=NOW, slot=NOW, reason="busy")


def verified(headers: dict[str, str], body: bytes, secret: bytes) -> bool:
    """As the Standard Webhooks specification tells receivers to do it."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    due = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{due}"


def test_what_arrives_and_how_it_is_signed(receiver: Receiver) -> None:
    clock = Hasty()
    assert deliver(made("run_finished", finished(), settings(receiver), now=0), clock=clock) == 1
    ((headers, body),) = receiver.got
    assert json.loads(body) == {
        "version": 1,
        "type": "run_finished",
        "timestamp": "2026-06-01T12:00:00Z",
        "connector": "shop",
        "run_id": "r1",
        "data": {
            "status": "succeeded",
            "exit_code": 0,
            "counts": {},
            "rows_written": 7,
            "seconds": 1.5,
            "error": None,
        },
    }
    assert verified(headers, body, SECRET.encode())
    assert not verified(headers, body + b" ", SECRET.encode())
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["user-agent"].startswith("connector-core/")
    assert key_of("whsec_" + base64.b64encode(b"0123456789").decode()) == b"0123456789"
    assert key_of("whsec_no base64") == b"whsec_no base64"


def test_it_is_repeated_with_a_new_signature_and_the_same_id_until_it_is_taken(receiver: Receiver) -> None:
    receiver.statuses = [500, 429, 503, 200]
    clock = Hasty()
    assert deliver(made("run_failed", finished("failed"), settings(receiver), now=0), clock=clock) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.got}) > 1
    assert all(verified(headers, body, SECRET.encode()) for headers, body in receiver.got)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
def test_an_answer_that_will_not_change_ends_it(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    with pytest.raises(NotDeliveredError, match=f"^status {status}, after 1 attempt$"):
        deliver(made("run_finished", finished(), settings(receiver), now=0), clock=Hasty())
    assert len(receiver.got) == 1


def test_it_gives_up_when_its_time_is_over(receiver: Receiver) -> None:
    receiver.statuses = [500]
    clock = Hasty()
    with pytest.raises(NotDeliveredError, match=r"^status 500, after \d attempts$"):
        deliver(made("run_finished", finished(), settings(receiver, give_up=20), now=0), clock=clock)
    assert 3 < len(receiver.got) < 10
    assert clock.steady <= 20
    with pytest.raises(NotDeliveredError, match="its time was over"):
        deliver(made("run_finished", finished(), settings(receiver, give_up=20), now=-30), clock=clock)


def test_an_address_at_which_nobody_listens_is_never_shown(receiver: Receiver) -> None:
    receiver.server.server_close()
    with pytest.raises(NotDeliveredError) as caught:
        deliver(made("run_finished", finished(), settings(receiver), now=0), clock=Hasty())
    assert "no answer (ConnectionError)" in str(caught.value)
    assert "c4n4ry" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_events_and_their_names() -> None:
    quota = QuotaReached(connector="shop", run_id="r", at=NOW, threshold=90, used=9, quota=10, period_end=NOW)
    told = [finished("succeeded"), finished("partial"), finished("failed"), finished("rejected"), finished("stopped")]
    assert [name_of(one) for one in (*told, skipped(), quota)] == [
        "run_finished", "run_partial", "run_failed", "run_failed", "run_stopped", "slot_skipped", "quota",
    ]  # fmt: skip
    assert name_of(StreamStarted(connector="shop", run_id="r", at=NOW, stream="things")) is None


def test_only_what_was_asked_for_is_told_in_order_and_in_the_background(receiver: Receiver) -> None:
    hook = Webhook(clock=Hasty())
    for event in (finished(), skipped(), finished("failed")):
        hook.observe(event, settings(receiver, events=["run_failed", "slot_skipped"]))
    for thread in threading.enumerate():
        if thread.name == "webhook":
            thread.join()
    assert [one["type"] for one in receiver.told()] == ["slot_skipped", "run_failed"]
    assert receiver.told()[0]["run_id"] is None
    assert receiver.told()[0]["data"] == {"slot": "2026-06-01T12:00:00Z", "reason": "busy"}


# --- through connectors.toml


@pytest.fixture
def shop(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HOOK_URL", receiver.url)
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    made_shop = Shop(tmp_path, served([stream("things")], {"things": [{"id": 1}, {"id": "x"}]}))
    monkeypatch.chdir(tmp_path)
    configure(made_shop, 'events = ["run_failed", "schema_changed", "rejects", "run_finished"]')
    return made_shop


def configure(shop: Shop, events: str = "", more: str = "") -> None:
    shop.write(f'{START}extensions = ["alerts"{more}]\ncron = "0 * * * *"\n')
    path = shop.folder / "connectors.toml"
    table = '[extensions.{}]\ntype = "webhook"\nurl = "${{HOOK_URL}}"\nsecret = "${{HOOK_SECRET}}"\n'
    path.write_text(
        path.read_text() + table.format("alerts") + events + "\n" + (table.format("second") if more else "")
    )


def delivered() -> None:
    for thread in threading.enumerate():
        if thread.name == "webhook":
            thread.join()


def test_a_run_tells_what_was_asked_for(shop: Shop, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run"]) == 0
    delivered()
    told = receiver.told()
    assert [one["type"] for one in told] == ["schema_changed"] * (len(told) - 2) + ["rejects", "run_finished"]
    assert told[0]["data"]["change"]["table"] == "things"
    assert told[-2]["data"]["codes"] == {"bad_key": 1}
    assert told[-1]["data"]["rows_written"] == 1
    assert {one["connector"] for one in told} == {"shop"}
    assert "c4n4ry" not in "".join(capsys.readouterr())


def test_two_webhooks_of_one_connector_and_a_slot_that_is_skipped(shop: Shop, receiver: Receiver) -> None:
    configure(shop, 'events = ["slot_skipped"]', ', "second"')
    with time_machine.travel("2026-06-01T07:30:00Z", tick=False):
        assert invoke(["run", "--due"]) == 0
    with time_machine.travel("2026-06-01T09:05:00Z", tick=False):
        assert invoke(["run", "--due"]) == 0
    delivered()
    told = receiver.told()
    assert [one["type"] for one in told if one["type"] == "slot_skipped"] == ["slot_skipped"] * 2
    assert sum(one["type"] == "run_finished" for one in told) == 1
    assert told[0]["data"] == {"slot": "2026-06-01T08:00:00Z", "reason": "nobody was running the schedule"}


def test_the_test_command(shop: Shop, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["webhook", "test"]) == 0
    assert capsys.readouterr().out == "alerts: delivered in 1 attempt\n"
    assert receiver.told()[0]["type"] == "test"
    receiver.statuses = [404]
    assert invoke(["webhook", "test", "alerts", "--json"]) == 5
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"webhook": "alerts", "delivered": False, "problem": "status 404, after 1 attempt"}
    assert "c4n4ry" not in shown.out + shown.err
    assert invoke(["webhook", "test", "other"]) == 2
    assert "no webhook 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "https://user:c4n4ry@example.com",
        "ftp://example.com",
        "https://",
        "http://localhost.evil/",
    ],
)
def test_only_https_or_this_machine(
    shop: Shop, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK_URL", url)
    assert invoke(["check"]) == 2
    said = capsys.readouterr().err
    assert "extensions.alerts.url" in said
    assert "c4n4ry" not in said


def test_its_settings_are_checked_like_any_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HOOK_SECRET")
    configure(shop, 'events = ["run_finnished"]\ngive_upp = 3')
    assert invoke(["check"]) == 2
    said = capsys.readouterr().err
    assert "HOOK_SECRET" in said
    assert "extensions.alerts.events" in said
    assert 'did you mean "give_up"?' in said
    shop.write(f'{START}extensions = ["webhook"]\n')
    assert invoke(["check"]) == 2
    assert "extensions.webhook.url" in capsys.readouterr().err
