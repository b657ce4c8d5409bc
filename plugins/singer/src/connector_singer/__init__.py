"""The Singer source: any tap as a source, written with nothing but the public interface of the engine."""

from . import source

__all__ = ["source"]
