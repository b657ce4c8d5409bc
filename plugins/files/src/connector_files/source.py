"""The hooks of the file source: which streams there are, and their pages.

A stream is read file by file in the order of change and name, so its bookmark is the change time of the newest file
that was read to its end. A file that is younger than `SETTLED` when the run begins may be written to once more within
the same tick of the file system's clock: it is read, but the bookmark stays before it, and the next run reads it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from glob import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector_core.errors import Place, SourceError
from connector_core.hookspecs import hookimpl
from connector_core.streams import Catalog, Description, Page, Stream, Unreadable, Window

from .inference import Column, converter, declared, kind_of, kind_of_cell, note
from .lines import RESERVED, Entry, Reader, numbered
from .listing import File, listing
from .settings import CONFIG, Form, form

log = logging.getLogger(__name__)

FILE, LINE, CHANGED_AT = RESERVED
KEYS: Final = ("string", "integer", "date", "date-time")
SETTLED: Final = timedelta(seconds=2)  # the coarsest clock of a file system
TICK: Final = timedelta(microseconds=1)
SAMPLED_FILES: Final = 8
SAMPLE: Final = 64 * 1024  # bytes of each of them
NOTED: Final = 5  # bad lines of a page of which each gets a remark


class Token(NamedTuple):
    """Where the next page begins: the file's place in the listing, unpacked bytes and lines before."""

    file: int
    offset: int
    line: int


@dataclass(kw_only=True)
class Client:
    """What a run remembers: each stream's settings, its files as listed by the first page, and the file in reading."""

    folder: Path
    forms: dict[str, Form] = field(default_factory=dict)
    files: dict[str, list[File]] = field(default_factory=dict)
    open: dict[str, tuple[Token, Reader]] = field(default_factory=dict)


@hookimpl
def describe() -> Description:
    """A source of files of one folder."""
    return Description(
        kind="source",
        name="files",
        title="Files",
        summary="CSV and NDJSON files of a folder, plain or gzip: those that have changed, or all of them",
        config_schema=CONFIG,
        snapshot={
            "Columns that are added": {
                FILE: "the file's name below the folder (incremental, or without primary key)",
                LINE: "the line on which the record begins (incremental, or without primary key)",
                CHANGED_AT: "when the file was changed here: the replication key (incremental)",
            },
            "Types": {
                "CSV": f"inferred from the beginnings of up to {SAMPLED_FILES} files; check says what, and why",
                "NDJSON": "as JSON has them; instants and dates inferred",
            },
        },
    )


@hookimpl
def authenticate(config: Mapping[str, Any]) -> Client:
    """Nobody is asked."""
    return Client(folder=Path(config["folder"]))


@hookimpl
def discover(config: Mapping[str, Any], client: Client) -> Catalog:
    """The configured streams, else one for each file name; types from samples."""
    began = now()
    given = config.get("streams")
    forms = (
        [form(name, one) for name, one in given.items()]
        if given
        else _each(client.folder, tuple(config.get("files", ("*",))))
    )
    client.forms = {one.name: one for one in forms}
    streams, notes = [], []
    for one in forms:
        files = listing(client.folder, one.files)
        stream, told = _stream(one, files)
        streams.append(stream)
        notes.append(told)
        log.info(told, extra={"stream": one.name})
    return Catalog(streams=tuple(streams), served_at=began - SETTLED, notes=tuple(notes))


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@hookimpl
def extract(
    client: Client,
    config: Mapping[str, Any],
    stream: Stream,
    window: Window,
    parent: Mapping[str, Any] | None,
    page: Hashable | None,
) -> Page:
    """The next records of a file, about a megabyte of it."""
    one = client.forms[stream.name]
    notes: list[str] = []
    if page is None:
        files = listing(client.folder, one.files)
        if not files:
            notes.append(f"no file matches {' or '.join(one.files)}")
        if stream.replication == "incremental":
            files = _since(files, window.since, stream.name)
        client.files[stream.name] = files
        page = Token(0, 0, 0)
    assert isinstance(page, Token)  # noqa: S101 - every token is made below
    files = client.files[stream.name]
    if page.file >= len(files):
        return Page(records=(), notes=tuple(notes), requests=0)
    file = files[page.file]
    reader = _reader(client, one, stream.name, file, page)
    records, size, ended = _read(reader, one, stream, file, notes)
    reader.check()
    if ended:
        reader.close()
        following: Token | None = Token(page.file + 1, 0, 0) if page.file + 1 < len(files) else None
    else:
        following = Token(page.file, reader.offset, reader.line)
        client.open[stream.name] = (following, reader)
    return Page(
        records=records,
        next=following,
        size=size,
        url=file.name,
        notes=tuple(notes),
        settled=_settled(files, page.file, ended) if stream.replication == "incremental" else None,
    )


def _since(files: Sequence[File], since: datetime | int | None, stream: str) -> list[File]:
    """The files that have changed since the bookmark, or since the start date."""
    wanted = [file for file in files if not isinstance(since, datetime) or file.changed_at >= since]
    log.info(
        "%d of %d files have changed since %s",
        len(wanted),
        len(files),
        since or "the beginning",
        extra={"stream": stream},
    )
    return wanted


def _settled(files: Sequence[File], at: int, ended: bool) -> datetime:
    """The change time before which every file was read to its end. Just past the one of a file that was read whole: it
    is older than `SETTLED` when the bookmark gets there, so that no other change can have its instant."""
    if ended and (at + 1 == len(files) or files[at + 1].changed_at > files[at].changed_at):
        return files[at].changed_at + TICK
    return files[at].changed_at


def _reader(client: Client, one: Form, stream: str, file: File, token: Token) -> Reader:
    """The file at the token's position: the one that is open already, or opened anew."""
    kept = client.open.pop(stream, None)
    if kept is not None:
        if kept[0] == token and token.offset:
            kept[1].check()
            return kept[1]
        kept[1].close()
    return Reader(file, one, offset=token.offset, line=token.line)


def _read(reader: Reader, one: Form, stream: Stream, file: File, notes: list[str]) -> tuple[list[Any], int, bool]:
    """Records of a page, the bytes they took, and whether the file is at its end."""
    added: dict[str, Any] = {FILE: file.name} if FILE in stream.schema["properties"] else {}
    if CHANGED_AT in stream.schema["properties"]:
        added[CHANGED_AT] = file.changed_at.isoformat().replace("+00:00", "Z")
    build = _builder(reader, one, stream, file)
    records: list[Any] = []
    before, bad = reader.offset, 0
    for entry in map(build, reader.entries()):
        if entry.wrong:
            bad += 1
            reason = f"{file.name}, line {entry.line}: {entry.wrong}"
            if bad <= NOTED:
                notes.append(f"{reason}; the line is rejected")
            records.append(Unreadable(entry.value, reason=reason))
        else:
            records.append({**entry.value, **added, LINE: entry.line} if added else entry.value)
    if bad > NOTED:
        notes.append(f"{file.name}: {bad - NOTED:,} more lines near line {reader.line:,} are rejected")
    size = reader.offset - before
    return records, size, reader.ended


def _builder(reader: Reader, one: Form, stream: Stream, file: File) -> Callable[[Entry], Entry]:
    """Turns an entry of the file into one whose value is a record, as far as it is good."""
    if one.format_of(file.name) != "csv":
        return lambda entry: entry
    shapes = stream.schema["properties"]
    names: Sequence[str] = reader.names
    converters = [converter(shapes.get(name)) for name in names]

    def row(entry: Entry) -> Entry:
        if entry.wrong:
            return entry
        listed = names or numbered(entry.value)
        made = converters or [converter(shapes.get(name)) for name in listed]
        values = [None if not c else c if f is None else f(c) for c, f in zip(entry.value, made, strict=True)]
        return entry._replace(value=dict(zip(listed, values, strict=True)))

    return row


# --- which streams there are


def _each(folder: Path, patterns: Sequence[str]) -> list[Form]:
    """A stream for each file name without its endings, of files in a format that is known by its ending."""
    plain = Form(name="", files=())
    found: dict[str, list[str]] = {}
    for file in listing(folder, patterns):
        if plain.format_of(file.name) is not None:
            found.setdefault(file.name.split("/")[-1].split(".")[0], []).append(escape(file.name))
    return [Form(name=name, files=tuple(sorted(found[name]))) for name in sorted(found)]


def _stream(one: Form, files: Sequence[File]) -> tuple[Stream, str]:
    """The stream, and what was inferred for it from which samples."""
    for file in files:
        if one.format_of(file.name) is None:
            raise SourceError(
                f"the name of {file.name!r} does not tell its format",
                hint='set format = "csv" or "ndjson", or a pattern that fits fewer files',
                place=Place(stream=one.name),
                code="file_format",
            )
    sampled = files if len(files) <= SAMPLED_FILES else _ends(files)
    found, skipped = _sampled(one, sampled)
    types = one.types or {}
    properties: dict[str, Any] = {}
    told: list[str] = []
    for name in dict.fromkeys((*one.primary_key, *found, *types)):
        column = found.get(name, Column())
        kind = types.get(name) or column.kind()
        if name in one.primary_key:
            if name not in types and not column.found:
                raise _untyped(one, name)
            kind = kind if kind in KEYS else "string"
        properties[name] = declared(kind, key=name in one.primary_key)
        told.append(f"{name} {kind or 'as it comes'} ({'set' if name in types else column.why()})")
    incremental = one.replication == "incremental"
    if incremental or not one.primary_key:
        properties |= {FILE: {"type": "string"}, LINE: {"type": "integer"}}
    if incremental:
        properties[CHANGED_AT] = {"type": "string", "format": "date-time"}
    stream = Stream(
        name=one.name,
        schema={"type": "object", "properties": properties},
        primary_key=one.primary_key or (FILE, LINE),
        replication=one.replication,
        replication_key=CHANGED_AT if incremental else None,
    )
    basis = f"{len(sampled) - len(skipped)} of {len(files)} files sampled"
    lost = f"; not readable: {', '.join(skipped)}" if skipped else ""
    return stream, f"{one.name}: {basis}{lost}: {', '.join(told) or 'no columns'}"


def _ends(files: Sequence[File]) -> list[File]:
    """The first and the last files by name: as long as possible the same ones, and those with the newest columns."""
    ordered = sorted(files, key=lambda file: file.name)
    return [*ordered[: SAMPLED_FILES // 2], *ordered[-(SAMPLED_FILES // 2) :]]


def _sampled(one: Form, files: Sequence[File]) -> tuple[dict[str, Column], list[str]]:
    """What the beginnings of the files hold, by column, and the names of files that cannot be read."""
    found: dict[str, Column] = {}
    skipped: list[str] = []
    for file in files:
        try:
            reader = Reader(file, one)
        except SourceError:  # reading the stream meets it again and says so; other streams are read
            skipped.append(file.name)
            continue
        try:
            is_csv = one.format_of(file.name) == "csv"
            for entry in reader.entries(SAMPLE):
                if is_csv and not entry.wrong:
                    note(found, zip(reader.names or numbered(entry.value), entry.value, strict=True), kind_of_cell)
                elif not is_csv and not entry.wrong:
                    note(found, entry.value.items(), kind_of)
        except SourceError:
            skipped.append(file.name)
        finally:
            reader.close()
    return found, skipped


def _untyped(one: Form, name: str) -> SourceError:
    return SourceError(
        f"no sample of stream {one.name!r} has a value of its primary key {name!r}, so that its type is not known",
        hint=f'say it: types = {{ {name} = "string" }} (or integer, date, date-time); or mend files or primary_key',
        place=Place(stream=one.name),
        code="key_untyped",
    )
