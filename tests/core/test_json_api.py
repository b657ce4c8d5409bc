"""A JSON API made of what it serves: routes, pages, functions, and faults in front of them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connector_core.testing.faults import CanaryServer, Fault, Request, Response, Status
from connector_core.testing.json_api import JsonApi, Pages

pytest_plugins = ["connector_core.testing.fixtures"]


def get(api: JsonApi, target: str, method: str = "GET") -> Any:
    return requests.request(method, api.url + target, timeout=10)


def test_documents_functions_and_segments() -> None:
    def order(request: Request, id: str, item: str) -> Any:
        return {"id": id, "item": item, "method": request.method}

    routes = {
        "/a.b": [1, None, "é"],
        "/orders/{id}/items/{item}": order,
        "/gone": lambda request: Response(status=410),
    }
    with JsonApi(routes, headers={"X-Rate": "9"}) as api:
        assert (get(api, "/a.b?x=1").json(), get(api, "/a.b").headers["X-Rate"]) == ([1, None, "é"], "9")
        assert get(api, "/aXb").status_code == 404, "a route is no regex"
        found = get(api, "/orders/a%2Fb/items/7", "POST").json()
        assert found == {"id": "a/b", "item": "7", "method": "POST"}
        assert get(api, "/orders/1/items/2/3").status_code == 404
        assert get(api, "/gone").status_code == 410
        assert get(api, "/a.b", "POST").status_code == 405
        api.routes["/new"] = {"late": True}
        assert get(api, "/new").json() == {"late": True}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_pages_hold_each_record_once_and_end(count: int) -> None:
    pages = Pages(records=[{"id": n} for n in range(count)], size=2, at="page.rows", next="links.next", total="n")
    with JsonApi({"/things": pages}) as api:
        link, seen, served = "/things?since=a%26b", [], 0
        while link:
            document = get(api, link).json()
            seen += [row["id"] for row in document["page"]["rows"]]
            link, served = document["links"]["next"], served + 1
            assert document["n"] == count
            assert link is None or "since=a%26b" in link, "other parameters stay"
        assert (seen, served) == (list(range(count)), max(1, -(-count // 2)))


def test_records_may_change_while_they_are_read() -> None:
    records = [1, 2, 3]
    with JsonApi({"/things": Pages(records=records, size=2)}) as api:
        assert get(api, "/things").json()["data"] == [1, 2]
        records.remove(1)
        assert get(api, "/things?page=2").json() == {"data": [], "next": None}, "a row was skipped"


@pytest.mark.parametrize("page", ["0", "-1", "x", ""])
def test_a_page_that_makes_no_sense_is_400(page: str) -> None:
    with JsonApi({"/things": Pages(records=[1])}) as api:
        assert get(api, f"/things?page={page}").status_code == 400


def test_the_fixtures_start_and_end(json_api: Any, fault_front: Any, canary: CanaryServer) -> None:
    api = json_api({"/a": 1}, [Fault(match="/a", action=Status(code=503))])
    other = json_api({"/a": 2})
    front = fault_front(other.url, [Fault(action=Status(code=429))])
    assert [get(one, "/a").status_code for one in (api, api, front, front)] == [503, 200, 429, 200]
    assert get(front, "/a").json() == 2
    assert get(canary, "/x").status_code == 200  # type: ignore[arg-type]  # it is a front as well
    assert len(canary.contacts) == 1
