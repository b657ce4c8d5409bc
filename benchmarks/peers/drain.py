"""The limit of reading: drain.py URL DATABASE reads and parses every page of the API, and does nothing with it."""

from __future__ import annotations

import sys

import orjson
import urllib3


def drain(pool: urllib3.PoolManager, site: str, stream: str) -> int:
    """Follow the links of a list to its end; returns how many records it had."""
    link, records = f"/api/v2/{stream}?page=1", 0
    while link:
        page = orjson.loads(pool.request("GET", site + link).data)
        records += len(page["_embedded"]["entries"])
        link = page["_links"]["next"] and page["_links"]["next"]["href"]
    return records


if __name__ == "__main__":
    connections = urllib3.PoolManager()
    print(*(drain(connections, sys.argv[1], stream) for stream in ("cases", "customers")))
