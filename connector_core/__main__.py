"""The command `connector-core`, also as `python -m connector_core`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the codes are those of `connector_core.errors`."""
    try:
        from connector_core.cli.streams import forgiving

        forgiving()
        from connector_core.cli import invoke

        return invoke(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # while modules are imported; later the session sees to it
        return 130


if __name__ == "__main__":
    sys.exit(main())
