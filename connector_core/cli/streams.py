"""Standard streams that a closed terminal, a closed pipe or an old locale cannot turn into a traceback."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

_GONE = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ESHUTDOWN}  # nobody reads any more


class Forgiving(io.TextIOWrapper):
    """Text output that falls silent when its reader has gone (`connector-core status | head -1`, a closed terminal).

    With `whatever` it falls silent for every reason: standard error must not stop a run, even on a full disk.
    """

    whatever = False

    def write(self, text: str, /) -> int:
        """Write, or be silent."""
        try:
            return super().write(text)
        except (OSError, ValueError) as error:
            self._silence(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or be silent."""
        try:
            super().flush()
        except (OSError, ValueError) as error:
            self._silence(error)

    def _silence(self, error: OSError | ValueError) -> None:
        if isinstance(error, OSError) and error.errno not in _GONE and not self.whatever:
            raise error
        # What is still buffered goes nowhere, also when the interpreter flushes for the last time.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self.fileno())
        except (OSError, ValueError):
            return
        finally:
            os.close(nowhere)


def forgiving() -> None:
    """Make this process's standard streams forgiving, and open those that were closed.

    A closed standard stream would be given to the next file that is opened, for instance the ledger, and messages
    would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # takes the lowest free number
    sys.stdout = _wrapped(sys.stdout, 1)
    sys.stderr = _wrapped(sys.stderr, 2)
    sys.stderr.whatever = True


def _wrapped(stream: TextIO | None, number: int) -> Forgiving:
    buffer = open(number, "wb", closefd=False) if stream is None else stream.buffer  # noqa: SIM115 - for ever
    return Forgiving(
        buffer,
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",  # what an old locale cannot show is spelled out
        line_buffering=True,
    )
