"""Imported by a process that forks runs: pages of a Singer tap then hold two records, so that a few are many pages."""

from connector_singer import reading

reading.PAGE_RECORDS = 2  # type: ignore[misc]
