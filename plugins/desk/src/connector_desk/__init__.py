"""The Desk source (API version 2, as Stitch read it in its version 15-10-2015)."""

from .source import source

__all__ = ["source"]
