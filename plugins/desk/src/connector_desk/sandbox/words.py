"""Text of the invented site: several languages, with the characters that break loaders in the places where people put
them."""

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
LANGUAGES: Final = (None, "en", "en", "en", "de", "en_us", "sv", "ja", "ar", "pt_br", "ru")

SUBJECTS: Final = (
    "Parcel missing",
    "Rechnung Nr. 4711 – falscher Betrag",
    "Can't log in",
    "",
    "Order #A-77 (again!)",
    "返品について",
    'He said "no refund"',
    "Reembolso urgente!!",
    "Path C:\\temp\\new",
    "Проблема с заказом",
    "Tabbed\tsubject",
    "طلب استرجاع",
    "Your e-mail of 24:00",
    "NULL",
    "Re: Re: Fwd: hej",
    "Emoji 👩‍👩‍👧 & co",
    "=SUM(A1:A9)",
    "007",
    "1e5",
    "<b>bold</b> & more",
)
SENTENCES: Final = (
    "Hello, my parcel has not arrived.",
    "The tracking page says “delivered”, but nobody rang.",
    "Ich habe die Rechnung schon zweimal bezahlt – bitte prüfen Sie das.",
    "Tack för snabbt svar, vänliga hälsningar från Åmål!",
    "注文した商品がまだ届いていません。ご確認をお願いします。",
    "No puedo iniciar sesión desde ayer; ¿qué debo hacer?",
    "Здравствуйте, товар пришёл повреждённым.",
    "لم يصل الطلب حتى الآن، أرجو المساعدة.",
    "It says \"error\\n\" when I click 'Pay'.",
    "I keep the file in C:\\Users\\new\\table.csv and it fails with \\N.",
    "Column A\tColumn B\tColumn C",
    "Is it 50% off, or 0.50 % off?",
    "Thanks a million 🙏🏽 – you are the best 🎉!",
    "Cafe\u0301 and caf\u00e9 are not the same to my computer.",
    "{{customer.name}} was printed instead of my name; also ${HOME} and %s.",
    "Robert'); DROP TABLE cases;--",
    "The amount was 1.234,56 € and not 1,234.56 €.",
    "See https://example.test/a/b?c=d&e=%2F for details.",
    "Zero\u200bwidth and a no\u00a0break space.",
    "Kind regards",
)
PARAGRAPH: Final = ("\r\n\r\n", "\n", " ", "\r\n")
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


def letter(rng: Random) -> str:
    """The text of a message: one to five sentences, mixed languages, Unix or Windows line ends."""
    glue = pick(rng, PARAGRAPH)
    return glue.join(pick(rng, SENTENCES) for _ in range(1 + int(rng.random() * 5)))


def person(number: int) -> tuple[str, str]:
    """First and last name that belong to a customer's or user's id, always the same."""
    return FIRST[number * 7 % len(FIRST)], LAST[number * 11 % len(LAST)]


def customer_address(number: int) -> str:
    """The mail address of a customer's id."""
    return f"customer.{number}@example.test"
