"""What must hold for the streams that a source names, beyond each stream's own schema (`validate.check_schema`)."""

from __future__ import annotations

from collections.abc import Sequence

from connector_core.streams import Stream


def problem(streams: Sequence[Stream]) -> str | None:
    """Why these streams cannot be read, None when they can. A stream that nobody would ever read is a problem too."""
    before: dict[str, Stream] = {}
    for stream in streams:
        if stream.name in before:
            return f"names the stream {stream.name!r} twice"
        wrong = None if stream.parent is None else _orphan(stream, before)
        if wrong:
            return wrong
        before[stream.name] = stream
    return None


def _orphan(child: Stream, before: dict[str, Stream]) -> str | None:
    parent = before.get(child.parent or "")
    if parent is None:
        return f"names {child.parent!r} as the parent of {child.name!r}, but no such stream comes before it"
    if parent.parent is not None:
        return f"names {parent.name!r} as the parent of {child.name!r}, which has a parent itself"
    if parent.stateful:
        return f"gives {child.name!r} the parent {parent.name!r}, which is stateful: such a stream has no children"
    if parent.replication == "incremental" and not child.primary_key:
        return (
            f"gives the stream {child.name!r} no primary key: when its parent {parent.name!r} is read again, "
            "its records could not be told from those that are stored"
        )
    return None
