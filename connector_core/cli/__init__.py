"""The command line: `app` names the commands, a module for each does its work and is imported when it is called."""

from connector_core.cli.app import invoke

__all__ = ["invoke"]
