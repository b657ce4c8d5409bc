"""Names and texts of the invented site with the characters that break loaders, in the places where people put them."""

# ruff: noqa: RUF001 - the letters that look like others are the point of these texts

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, TypeVar

Item = TypeVar("Item")

FIRST: Final = (
    "Jo",
    "Åsa",
    "Renée",
    "José",
    "Zoë",
    "Łukasz",
    "Miloš",
    "Aoife",
    "Ng\u1ecdc",
    "陽子",
    "伟",
    "Мария",
    "محمد",
    "שרה",
    "Siân",
    "Jürgen",
    "D'Arcy",
    "Anne-Marie",
    "Oğuz",
    "Kai",
)
LAST: Final = (
    "Lind",
    "Müller",
    "O'Neill",
    "Peña",
    "Björk",
    "Nguy\u1ec5n",
    "田中",
    "王",
    "Иванова",
    "الأحمد",
    "כהן",
    "van der Berg",
    "Smith",
    "Çelik",
    "Jones-Löwe",
    "Dvořák",
    "MacDonald",
    "Ødegård",
)
COMPANIES: Final = (
    "Lind AB",
    "Müller & Söhne GmbH",
    'The "Quoted" Company',
    "O'Neill Ltd.",
    "東京商事株式会社",
    "Пример ООО",
    "Back\\slash Inc.",
    "Café Zürich",
    "شركة المثال",
    "Tab\tDelimited LLC",
    "100% Organic, S.A.",
    "Nordic; Fish A/S",
)
LABELS: Final = (
    "shipping",
    "urgent",
    "refund",
    "vip",
    "bug",
    "größer",
    "返品",
    "needs reply",
    "50%",
    "a,b",
    'say "hi"',
    "back\\slash",
    "Überfällig",
    "возврат",
)
GROUPS: Final = (
    "Billing",
    "Support Tier 1",
    "Support Tier 2",
    "Vertrieb & Öffentlichkeit",
    "日本サポート",
    "Night shift",
)
ODD_SUBJECTS: Final = (
    "",
    "Order #A-77 (again!)",
    'He said "no refund"',
    "Path C:\\temp\\new",
    "Tabbed\tsubject",
    "Your e-mail of 24:00",
    "NULL",
    "Re: Re: Fwd: hej",
    "Emoji 👩‍👩‍👧 & co",
    "=SUM(A1:A9)",
    "007",
    "1e5",
    "<b>bold</b> & more",
)
ODD_SENTENCES: Final = (
    "It says \"error\\n\" when I click 'Pay'.",
    "I keep the file in C:\\Users\\new\\table.csv and it fails with \\N.",
    "Column A\tColumn B\tColumn C",
    "Is it 50% off, or 0.50 % off?",
    "Thanks a million 🙏🏽 – you are the best 🎉! 🇸🇪 1\ufe0f\u20e3",
    "Cafe\u0301 and caf\u00e9 are not the same to my computer.",
    "{{customer.name}} was printed instead of my name; also ${HOME} and %s.",
    "Robert'); DROP TABLE cases;--",
    "The amount was 1.234,56 € and not 1,234.56 €.",
    "See https://example.test/a/b?c=d&e=%2F for details.",
    "Zero\u200bwidth, a no\u00a0break space and a\ufeff mark.",
    "Mixed: abc \u05d0\u05d1\u05d2 123 \u200f\u0627\u0644\u0639\u200e (v1.2), and \u202enot this way\u202c.",
    "H\u0351\u036b\u0343e\u0349\u0316l\u0334\u0321p\u0338\u0359, it looks like this.",
    "On one line:\u2028on the next, says my editor.",
    "日本語とEnglishと한국어 in one sentence.",
)
BIOS: Final = ("Coffee, code & cats ☕", "Ex-pat in Malmö.\r\nTweets are my own", "#1 fan of parcels", "")
ADDRESSES: Final = (
    "1 Main St\r\nTown",
    "Storgatan 5\r\n123 45 Göteborg\r\nSverige",
    "東京都千代田区1-1",
    'Apt. "B"\r\nP.O. Box 9\tDublin',
    "Königsallee 3, 40212 Düsseldorf",
)
TITLES: Final = (None, "CEO", "Büroleiterin", "", 'Head of "Things"')
NUL_BLURB: Final = "NUL \u0000 inside"


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """One of the items, evenly (a fraction of the cost of ``Random.choice``, which a page of lazily made cases
    feels)."""
    return items[int(rng.random() * len(items))]


def person(number: int) -> tuple[str, str]:
    """First and last name that belong to a customer's or user's id, always the same."""
    return FIRST[number * 7 % len(FIRST)], LAST[number * 11 % len(LAST)]


def customer_address(number: int) -> str:
    """The mail address of a customer's id."""
    return f"customer.{number}@example.test"
