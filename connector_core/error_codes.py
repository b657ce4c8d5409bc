"""Every code of an error that the engine and its own plugins raise: what causes it, and what to do next.

docs/errors.md is made from this table. Sources and destinations of others use these codes where they fit, or their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Code:
    """What an error with this code comes from, and what its reader does about it."""

    cause: str
    next: str


def _code(cause: str, then: str) -> Code:
    return Code(cause=cause, next=then)


CONFIGURATION: Final[Mapping[str, Code]] = {
    "config_file": _code(
        "`connectors.toml` is missing, unreadable, no UTF-8, too long or no TOML.",
        "Look at the line that is named; the file is named with `--config` or `CONNECTOR_CORE_CONFIG`.",
    ),
    "config_invalid": _code(
        "A setting is missing, unknown, misspelt or of the wrong kind, or a variable or file for it is not there.",
        "Each problem has a line of its own with file, line, key and the nearest known name: mend all, then `check`.",
    ),
    "connector_unknown": _code("A connector is named that the configuration does not have.", "Use one of the names."),
    "connector_disabled": _code("The connector has `enabled = false`.", "Set `enabled = true`, or name another one."),
    "stream_child": _code(
        "A child stream was named where its parent is due.", "Name the parent; it takes its children along."
    ),
    "stream_unknown": _code(
        "A stream is named that the source does not have.", "Use one of the names that are listed."
    ),
    "lookback_key": _code(
        "`lookback` is set for a stream without primary key.", "Take `lookback` out for this stream."
    ),
    "start_date_changed": _code(
        "`start_date` is another one than in the first run: everything would be read again from there.",
        "Set it back, or accept with `run --confirm`.",
    ),
    "schedule": _code("Frequency and time zone do not fit together.", "Set a frequency that divides a day."),
    "plugin_unknown": _code("No installed distribution offers this plugin.", "Mend the name, or `pip install` it."),
    "new_package": _code(
        "`new` was given a name that no plugin can have or that is taken, or its folder exists or cannot be written.",
        "Give another name or another `--folder`.",
    ),
    "tap_unknown": _code("The executable of a Singer tap is not there.", "Mend it, or `plugins install-tap`."),
    "tap_install": _code("A tap could not be installed.", "Read what pip said; try it in an environment by hand."),
    "property_needed": _code("A key is among the properties that are excluded.", "Take it out of `exclude`."),
    "plugin_claimed_twice": _code("Two distributions offer a plugin of one name.", "Uninstall all but one of them."),
    "site_url": _code(
        "The site's address is no https address of a host, or carries what an address must not carry.",
        "Write it like `https://acme.example.com`; http is for this machine only.",
    ),
    "missing_secret": _code("A setting with a credential is empty.", "Set it: the variable or file that it names."),
    "bad_secret": _code(
        "A credential holds a line break or a character that no HTTP header can carry.",
        "Copy it again, without what stands around it.",
    ),
    "destination_setting": _code(
        "A setting of the destination cannot be used: a path, a size, an address.", "Mend the setting that is named."
    ),
    "namespace": _code(
        "The name gives no possible schema, or the schema cannot be used.", "Set another `name` or `namespace`."
    ),
    "namespace_changed": _code(
        "The connector ran with another schema before, and a schema never changes.",
        "Set `name` or `namespace` back, or give the connector another NAME.",
    ),
    "namespace_taken": _code("Another connector owns this schema.", "Set another `name` or `namespace`."),
    "key_changed": _code(
        "A stream has another primary key than the one its tables were made with, has one now or has none any more.",
        "`reset` the stream: its rows are read anew.",
    ),
    "key_type": _code(
        "The type of a primary key has changed at the source.", "`reset` the stream: its rows are read anew."
    ),
    "bookmark_version": _code("A newer version has written the bookmark.", "Install that version of connector-core."),
    "bookmark_unreadable": _code(
        "A bookmark in the destination was altered.", "Restore `_sdc_commits`, or `run --full`."
    ),
    "ledger_url": _code(
        "`[ledger] url` names no database that can be used.", "Write `sqlite:///FILE` or `postgresql://…`."
    ),
    "ledger_file": _code(
        "The ledger's file is no ledger, damaged, read-only or a link.",
        "Do what the message says; moved away, the next run makes a new one from the destination's copy.",
    ),
    "ledger_driver": _code("The ledger's database needs a Python package.", "`pip install` the package that is named."),
    "ledger_version": _code("A newer version has written the ledger.", "Install that version of connector-core."),
    "usage": _code("Options of a command contradict each other or cannot be read.", "See `--help` of the command."),
    "not_confirmed": _code(
        "The command deletes, and nobody has confirmed it.", "Look with `--dry-run`, then add `--yes`."
    ),
    "init_values": _code(
        "`init` lacks values or got wrong ones.", "Give the options that are named, or use a terminal."
    ),
    "secret_in_arguments": _code(
        "A secret on a command line is readable by all.", "Give `KEY=env:NAME` or `KEY=file:PATH`."
    ),
    "file_exists": _code("`init` would overwrite a file.", "Move it away, or give `--overwrite`."),
    "not_writable": _code("A file could not be written.", "Look at the folder's owner, permissions and free space."),
}
"""Exit 2: edit the configuration or the command line; nothing was started. (`not_writable` may also come later.)"""

SOURCE: Final[Mapping[str, Code]] = {
    "auth": _code(
        "The source refused the credentials; it does not say which part is wrong. A clock minutes off does it too.",
        "Renew the credentials that are named; take care not to mix up Secret and Token Secret.",
    ),
    "no_token": _code("The token endpoint gave no token.", "Look at its address and the client's credentials."),
    "not_found": _code("The source does not have what was asked for.", "Look at the site's address."),
    "http_*": _code(
        "The source answered with this status (403: no right to read; 429: too many calls; 5xx: trouble of its own).",
        "403: give the user of the credentials the right. Otherwise run again later; rows so far are kept.",
    ),
    "folder_missing": _code("The folder of a file source is not there.", "Mount it, or mend `folder`."),
    "file_unreadable": _code(
        "The system does not let a file be read.", "Give the user of the engine the right; what was read is stored."
    ),
    "file_damaged": _code(
        "A file cannot be unpacked, has no readable header, or a line longer than 16 MiB.",
        "Put a whole file in its place; the next run goes on before it.",
    ),
    "file_changed": _code(
        "A file was written to, replaced or removed while it was read.",
        "Write under another name and rename when complete; the next run reads it from its start.",
    ),
    "file_format": _code("A file's name does not tell its format.", "Set `format` for the stream."),
    "key_untyped": _code(
        "No sample has a value of the primary key, so that its type is not known.", "Say it in `types` of the stream."
    ),
    "tap_start": _code("A Singer tap cannot be started.", "Look at the file, its rights and its first line."),
    "tap_catalog": _code(
        "What a tap writes with `--discover` is no catalog.", "Try it by hand; a tap has to be able to discover."
    ),
    "tap_failed": _code(
        "A tap ended with an exit code, or by a signal.",
        "Its last words are in the message and the log. The next run goes on from the last STATE.",
    ),
    "tap_silent": _code(
        "A tap said nothing for `silence_seconds`, and was ended.", "Look at its source, or raise the setting."
    ),
    "tap_output": _code(
        "A tap wrote something that is no message, not allowed there or not supported.",
        "Look at the captured line; tell the tap's author. The next run goes on from the last STATE.",
    ),
    "tap_version": _code(
        "A tap did not activate a version of a table, or changed it while reading.",
        "Nothing was replaced. Run again; look at the tap's log.",
    ),
    "state_missing": _code(
        "A stream without primary key ended with records that the source's state does not cover.",
        "They are read again. Read it as a full table, or give it a primary key.",
    ),
    "connection": _code("No connection, or it broke.", "Look at the address, the network and the source's status."),
    "timeout": _code("No complete answer in time.", "Run again later, or raise the source's `request_timeout`."),
    "tls": _code(
        "A certificate does not hold, or the server does not speak TLS.",
        "Nothing was sent. Mend the address, or tell the administrator.",
    ),
    "bad_address": _code("The address cannot be asked.", "Mend the site's address in the configuration."),
    "plain_http": _code("Credentials would travel unencrypted.", "Use an https address."),
    "foreign_origin": _code(
        "A link or redirect leads to another site; nothing was sent there.",
        "Set the site's own address; else report it.",
    ),
    "private_address": _code(
        "The site's name leads into a private network; nothing was sent there.",
        "If the site really is in your own network: `private_network = true`; else look at the name.",
    ),
    "redirect_loop": _code("Redirects lead in a circle.", "Look at the site's address; tell its administrator."),
    "wait_too_long": _code(
        "The source asks to wait longer than `longest_wait`.", "Run later, or raise `longest_wait`."
    ),
    "asked_again": _code(
        "The answer says by its content, as the source declares, that it is to be asked for again.",
        "Run again later; it was repeated already.",
    ),
    "html": _code("A web page came instead of JSON.", "Look at the captured page: often a login or maintenance page."),
    "empty": _code("The answer was empty.", "Run again later; it was repeated already."),
    "unreadable": _code("The answer is no JSON.", "Look at the captured page; run again later."),
    "packing": _code(
        "The answer is packed otherwise than it says.", "Run again later; tell the source's administrator."
    ),
    "short_body": _code("The answer ended early.", "Run again later; a short answer is never taken for the end."),
    "too_large": _code(
        "An answer is larger than the limit.", "Ask for fewer records a page, such as a lower `page_size`."
    ),
    "no_records": _code(
        "The answer holds no list of records.", "Look at the captured page; the source may have an error."
    ),
    "no_links": _code(
        "The answer says not whether there is a next page.", "Look at the captured page; run again later."
    ),
    "no_key": _code("Records lack the key by which the list goes on.", "Look at the captured page; report it."),
    "no_address": _code("A record lacks what its children's address needs.", "Report it to the source's author."),
    "bad_cursor": _code(
        "The place where the list goes on cannot be read.", "Look at the captured page; run again later."
    ),
    "empty_page": _code("An empty page says that more will come.", "Run again later; rows so far are kept."),
    "empty_pages": _code("Several pages in a row were empty.", "Run again later; rows so far are kept."),
    "loop": _code("The list goes in a circle.", "Rows so far are kept; tell the maintainer of the API."),
    "moving": _code("Records kept moving while they were read.", "Run again when the source is quieter."),
    "order": _code("Records do not come in the order that was asked for.", "Tell the source's author; rows are kept."),
    "page_cap": _code(
        "The source refuses pages beyond its cap.", "Rows so far are kept; report it to the source's author."
    ),
    "incomplete": _code(
        "A full pass showed fewer records than the source counts, twice; it was not activated.",
        "Run again; the tables are as they were.",
    ),
    "guard": _code(
        "A full pass would delete most rows; it was not activated.",
        "If the source really shrank: `run --allow-deletes STREAM`, once.",
    ),
}
"""Exit 4: the source failed or refused the credentials; what was committed stays."""

DESTINATION: Final[Mapping[str, Code]] = {
    "unreachable": _code("The destination cannot be reached.", "Look at host, port, database and the network."),
    "server_version": _code("The database server is too old.", "Upgrade it, or load into another one."),
    "connection_lost": _code("The connection broke while loading.", "Run again: nothing is half written."),
    "credentials": _code("The destination refused the login.", "Mend user and password of the destination."),
    "permission": _code("A right is missing.", "`check` lists what to grant."),
    "missing": _code(
        "Database, schema, role or table is not there, or not visible.", "Make it, or grant the right to it."
    ),
    "warehouse": _code("The warehouse is not there, suspended or without right.", "Start it, or grant USAGE on it."),
    "upload": _code("Files could not be sent to the stage.", "Run again; look at the network if it comes again."),
    "row_count": _code(
        "The destination took another number of rows than were sent.", "Run again; report it if it comes again."
    ),
    "read_only": _code("The database takes no writes.", "Load into the primary."),
    "locked": _code("Another session locks a table.", "End it, or raise `lock_timeout`; then run again."),
    "conflict": _code("Another session did the same at the same time.", "Run again; it was repeated already."),
    "disk_full": _code("No space is left.", "Free some; nothing of this batch was written."),
    "memory": _code("The database ran out of memory.", "Raise `memory_limit`, or lower `batch_records`."),
    "dependents": _code("A view or index depends on a column that must change.", "Drop it, run, make it again."),
    "foreign_table": _code("A table of somebody else has this name.", "Rename it, or choose another schema."),
    "column_type": _code("Somebody changed a column's type.", "Change it back, or `reset` the stream."),
    "column_name": _code("A column has a name that the engine needs.", "Rename that column."),
    "column_dropped": _code(
        "A column that identifies rows was dropped.", "`reset` the stream: its rows are read anew."
    ),
    "table_unknown": _code("A table is named that no stream has.", "Use one of the names that are listed."),
    "refused": _code("The database refuses a record's value.", "The record is rejected alone; look at `rejects list`."),
    "database": _code("The database refused a statement.", "The message is the database's own; look it up there."),
    "not_committed": _code(
        "A batch could not be committed in several attempts.", "Look at the destination; run again."
    ),
    "stale_writer": _code("A later run has taken over.", "Nothing to do: nothing was written, the later run goes on."),
    "unknown_commit": _code("The connection was lost at COMMIT.", "Run again: the engine asks what was committed."),
}
"""Exit 5: the destination failed; its last transaction did not happen."""

OTHERS: Final[Mapping[str, Code]] = {
    "max_rejects": _code(
        "More records were rejected than `max_rejects` allows; the batch was not loaded.",
        "Look at the captured records; mend the source, or raise the limit.",
    ),
    "plugin": _code(
        "A plugin raised something foreign or broke its contract.", "Tell its author; `--debug` shows more."
    ),
    "unbalanced": _code(
        "The counts of a commit do not balance: a defect of the engine.", "Report it with the run's log."
    ),
    "ledger": _code("The ledger does not know what it was asked: a defect of the engine.", "Report it."),
    "internal": _code("A defect of the engine.", "Report it with the crash file that is named; it holds no secrets."),
    "open_files": _code(
        "The process has as many files and connections open as the system lets it.",
        "Raise its limit: `ulimit -n`, or LimitNOFILE of its service. Nothing of the batch in hand was written.",
    ),
    "no_memory": _code(
        "The process may have no more memory.",
        "Give it more, or lower `memory` or `calls_in_flight`. Nothing of the batch in hand was written.",
    ),
    "busy": _code(
        "Another run holds the connector, or another process the file.", "Wait until it ends, then run again."
    ),
    "quota": _code(
        "The period's quota of rows is used up.", "Raise `quota`, wait for the next period, or see `usage`."
    ),
    "webhook": _code("A webhook is not configured, or did not take an event.", "Look at its address and its receiver."),
    "slot_taken": _code("Another scheduler runs this slot.", "Nothing to do."),
    "unknown_run": _code("No run of this name is in the ledger.", "`connector-core status` and `logs` name runs."),
}
"""Exits 3 (`max_rejects`), 6 and 75."""

CODES: Final[Mapping[str, Code]] = {**CONFIGURATION, **SOURCE, **DESTINATION, **OTHERS}
