"""Slices between reading and loading: bounded by the memory that they share."""

from __future__ import annotations

import threading

import pytest

from connector_core.budget import Stopped
from connector_core.slices import WEIGHT, Slice, SliceQueue, room


def slice_of(size: int) -> Slice:
    return Slice(kind="rows", stream="things", size=size)


def test_what_is_being_filled_and_what_is_being_loaded_fits_into_the_memory() -> None:
    for readers in (1, 2, 7):
        assert (readers + 1) * room(32 << 20, readers=readers) * WEIGHT <= 32 << 20
        assert (readers + 2) * room(32 << 20, readers=readers, parents=1) * WEIGHT <= 32 << 20


def test_a_reader_waits_until_the_slice_before_is_loaded() -> None:
    queue = SliceQueue(10, threading.Event())
    first, second = slice_of(8), slice_of(8)
    queue.put(first)
    waiting = threading.Thread(target=queue.put, args=(second,))
    waiting.start()
    assert queue.get(1) is first
    assert queue.get(0.05) is None  # it is being loaded: the reader has to keep the next one
    queue.loaded(first)
    assert queue.get(5) is second
    waiting.join(5)


def test_a_slice_larger_than_the_memory_passes_alone() -> None:
    queue = SliceQueue(10, threading.Event())
    queue.put(slice_of(1_000))
    assert queue.get(1).size == 1_000


def test_nobody_waits_for_a_loader_that_has_gone() -> None:
    gone = threading.Event()
    queue = SliceQueue(10, gone)
    queue.put(slice_of(8))
    gone.set()
    with pytest.raises(Stopped):
        queue.put(slice_of(8))
