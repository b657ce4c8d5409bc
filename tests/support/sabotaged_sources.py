"""The contract of sources for each saboteur, and for the source without a defect; `test_source_contract_goes_red` runs
it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connector_core.testing import SourceContract
from connector_core.testing.faults import Request
from connector_core.testing.json_api import JsonApi, Pages
from tests.support.source_saboteurs import SABOTEURS, TOKEN, Saboteur

SERVED = [{"id": number, "updated_at": f"2026-03-0{number}T10:00:00Z"} for number in range(1, 6)]


def orders(request: Request) -> Any:
    (since,) = parse_qs(urlsplit(request.target).query).get("updated_since", [""])
    return Pages(records=[order for order in SERVED if str(order["updated_at"]) >= since], size=2).document(request)


def items(request: Request, order: str) -> Any:
    return {"data": [{"id": int(order) * 10 + number, "order_id": int(order)} for number in range(2)]}


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with JsonApi({"/api/orders": orders, "/api/orders/{order}/items": items}) as api:
        yield api.url


class Sabotaged(SourceContract):
    """The contract for one saboteur."""

    parents = 1
    saboteur: Callable[[], Saboteur]

    @pytest.fixture
    def source(self) -> Saboteur:
        return type(self).saboteur()

    @pytest.fixture
    def api(self, shop: str) -> str:
        return shop

    @pytest.fixture
    def config(self, url: str) -> Mapping[str, Any]:
        return {"url": url, "token": TOKEN}


class Test_honest(Sabotaged):  # noqa: N801 - named as those below are
    saboteur = Saboteur


for _name, (_saboteur, _) in SABOTEURS.items():
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (Sabotaged,), {"saboteur": staticmethod(_saboteur)})
