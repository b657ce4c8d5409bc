"""The file source: CSV and NDJSON, plain or gzip, written with nothing but the public interface of the engine."""

from . import source

__all__ = ["source"]
