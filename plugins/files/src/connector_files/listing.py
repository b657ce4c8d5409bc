"""Which files a stream has, and when each was changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from connector_core.errors import Place, SourceError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as it was listed: `name` below the folder, `changed_at` (whole microseconds), and its identity, which is
    another one after any change of the content."""

    path: Path
    name: str
    identity: tuple[int, ...]
    changed_at: datetime


def identity(stat: os.stat_result) -> tuple[int, ...]:
    """What is another one once a file was written to or replaced."""
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def changed_at(stat: os.stat_result) -> datetime:
    """When the file came to be as it is here. The modification time alone would not do: a copy that keeps it, or a file
    that is moved here, may be older than what was read before. The change time of the inode cannot be set back; where
    the system has none (Windows) it is the time of creation."""
    return _EPOCH + timedelta(microseconds=max(stat.st_ctime_ns, stat.st_mtime_ns if os.name == "nt" else 0) // 1000)


def listing(folder: Path, patterns: Sequence[str]) -> list[File]:
    """The files that match, in the order of change and name. Raises `SourceError` when the folder cannot be read."""
    if not folder.is_dir():
        raise SourceError(
            f"the folder {str(folder)!r} is not there",
            hint="mount it, or mend folder in the connector's config",
            code="folder_missing",
        )
    found: dict[str, File] = {}
    for path in (path for pattern in patterns for path in folder.glob(pattern)):
        name = path.relative_to(folder).as_posix()
        if name in found or any(part.startswith(".") for part in name.split("/")):
            continue
        try:
            if not path.is_file():
                continue
            stat = path.stat()
        except FileNotFoundError:  # it went while the folder was listed
            continue
        except OSError as error:
            raise unreadable(name, error) from error
        found[name] = File(path=path, name=name, identity=identity(stat), changed_at=changed_at(stat))
    return sorted(found.values(), key=lambda file: (file.changed_at, file.name))


def unreadable(name: str, error: OSError) -> SourceError:
    """The error for a file that the system does not let us read."""
    return SourceError(
        f"the file cannot be read: {error.strerror or error}",
        hint="give the user of the engine the right to read it; what was read before it is stored",
        place=Place(file=name),
        code="file_unreadable",
    )
