"""One invocation of the command line: its configuration, its secrets, and how its failures are told."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector_core.errors import ConfigError, ConnectorError

if TYPE_CHECKING:
    from connector_core.config import Config, Connector
    from connector_core.ledger import Ledger

DEFAULT_FILE = "connectors.toml"
FOLDER = ".connector-core"


class Session:
    """What all commands share. `redact` takes secrets out of a text; it knows them once the configuration is loaded."""

    def __init__(self) -> None:
        self.file = Path(DEFAULT_FILE)
        self.debug = False
        self._secrets: frozenset[str] = frozenset()
        self._redactor: Callable[[str], str] | None = None

    # --- configuration and ledger

    def load(self, wanted: Collection[str] | None = None) -> Config:
        """The checked configuration; its warnings go to standard error, its secrets are hidden from now on."""
        from connector_core import config

        loaded = config.load(self.file, wanted=wanted)
        self.use(loaded)
        return loaded

    def use(self, loaded: Config) -> None:
        """Hide the secrets of a configuration from now on, and tell its warnings."""
        self.hide(loaded.secrets())
        self._set_up_logging()
        for warning in loaded.warnings:
            self.say(f"warning: {warning}")

    def hide(self, secrets: Iterable[str]) -> None:
        """Let nothing that is told or logged show these texts any more."""
        self._secrets, self._redactor = self._secrets.union(secrets), None

    def chosen(self, config: Config, names: Collection[str]) -> list[Connector]:
        """The connectors that a command was given by name, else all enabled ones. Raises `ConfigError` for none."""
        if not names and not any(connector.enabled for connector in config.connectors.values()):
            raise ConfigError(
                f"no connector in {self.file} is enabled",
                hint="set enabled = true in one of them",
                code="connector_disabled",
            )
        return [c for key, c in config.connectors.items() if key in names or (not names and c.enabled)]

    def known(self, config: Config, names: Collection[str]) -> None:
        """Raise `ConfigError` for the first name that no connector has."""
        from connector_core.config.problems import did_you_mean

        for name in names:
            if name not in config.connectors:
                raise ConfigError(
                    f"there is no connector {name!r} in {self.file}",
                    hint=did_you_mean(name, list(config.connectors)),
                    code="connector_unknown",
                )

    @contextlib.contextmanager
    def ledger(self, config: Config) -> Iterator[Ledger]:
        """The open ledger."""
        from connector_core.clock import SystemClock
        from connector_core.ledger import Ledger

        with Ledger.open(config.ledger.url.reveal(), clock=SystemClock().now, redact=self.redact) as ledger:
            yield ledger

    @contextlib.contextmanager
    def ledger_if_there(self, config: Config) -> Iterator[Ledger | None]:
        """The open ledger for commands that only read; None where there is no file yet: it is not made for them."""
        start, _, file = config.ledger.url.reveal().partition(":///")
        if start.startswith("sqlite") and file and not Path(file.partition("?")[0]).exists():
            yield None
            return
        with self.ledger(config) as ledger:
            yield ledger

    def known_anywhere(self, config: Config, ledger: Ledger, name: str | None) -> None:
        """Raise `ConfigError` for a connector that is neither configured nor in the ledger."""
        names = list(dict.fromkeys([*config.connectors, *(one.connector for one in ledger.connectors())]))
        if name is not None and name not in names:
            from connector_core.config.problems import did_you_mean

            raise ConfigError(
                f"there is no connector {name!r}",
                hint=did_you_mean(name, names, f"there are: {', '.join(names)}"),
                code="connector_unknown",
            )

    def _set_up_logging(self) -> None:
        import logging

        from connector_core.redact import SecretFilter

        handler: logging.Handler = logging.StreamHandler(sys.stderr) if self.debug else logging.NullHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.addFilter(SecretFilter(self.redact))
        root = logging.getLogger()
        root.handlers[:] = [handler]  # else Python's handler of last resort prints warnings unredacted
        root.setLevel(logging.DEBUG if self.debug else logging.INFO)
        for noisy in ("sqlalchemy", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    # --- telling

    def redact(self, text: str) -> str:
        """The text without secrets."""
        if self._redactor is None:
            from connector_core.redact import redactor

            self._redactor = redactor(self._secrets) if self._secrets else str
        return self._redactor(text)

    def clean(self, text: str) -> str:
        """The text without secrets, and as one line that a terminal shows and does not obey."""
        from connector_core.redact import printable

        return printable(self.redact(text))

    def say(self, text: str) -> None:
        """One line to standard error."""
        print(self.clean(text), file=sys.stderr, flush=True)

    def guarded(self, work: Callable[[], int]) -> int:
        """Do the work of a command; whatever goes wrong becomes one clear line and the documented exit code."""
        try:
            code = work()
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            self.say("stopped")
            return 130
        except Exception as error:
            return self.failed(error)

    def keep(self, error: ConnectorError) -> None:
        """Keep what the other side sent when it went wrong, without secrets, in a file beside the configuration."""
        if error.evidence is not None:
            from connector_core.captured import keep
            from connector_core.clock import SystemClock

            keep(error, beside=self.file.parent, redact=self.redact, now=SystemClock().now())

    def failed(self, error: Exception) -> int:
        """Say what went wrong, where, and what to do; gives the exit code. Unexpected errors leave a crash file."""
        from connector_core.config.problems import InvalidConfigError
        from connector_core.exhausted import ran_out

        error = ran_out(error) or error
        if isinstance(error, ConnectorError):
            several = (
                [f"{line} [{error.code}]" for line in error.lines()] if isinstance(error, InvalidConfigError) else []
            )
            for line in several or [str(error)]:
                self.say(f"error: {line}")
            self.show_traceback(error)
            return error.exit_code
        where = self._write_crash(error)
        told = f"; the details are in {where}" if where else ""
        self.say(f"error: internal error: {type(error).__name__}: {error}{told} [internal]")
        self.show_traceback(error)
        return 6

    def show_traceback(self, error: Exception) -> None:
        """With `--debug`: the traceback, without secrets, to standard error."""
        if self.debug:
            for line in self._traceback(error).splitlines():
                self.say(line)

    def _traceback(self, error: Exception) -> str:
        self._guess_secrets()
        return self.redact("".join(traceback.format_exception(error)))

    def _write_crash(self, error: Exception) -> Path | None:
        """Write the redacted traceback to a file only its owner can read: beside the configuration, else temporary."""
        text = f"connector-core {' '.join(sys.argv[1:2])}\n\n{self._traceback(error)}"
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        for folder in (self.file.parent / FOLDER, Path(tempfile.gettempdir()) / f"connector-core-{os.getpid()}"):
            path = folder / f"crash-{stamp}-{os.getpid()}.txt"
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
                with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
                return path
        return None

    def _guess_secrets(self) -> None:
        """When the configuration could not be loaded: every variable that its text mentions may be a secret."""
        if self._secrets:
            return
        from connector_core.config.placeholders import mentioned

        with contextlib.suppress(OSError):
            with self.file.open("rb") as file:
                text = file.read(1 << 18).decode("utf-8", "replace")
            self._secrets, self._redactor = frozenset(mentioned(text, os.environ)), None

    def cleaned(self, value: Any) -> Any:
        """A JSON-like value with every text in it redacted; instants and durations become ISO texts and seconds."""
        from connector_core.cli.output import as_json

        return as_json(value, self.redact)
