"""Data sets that come with the package."""

from fkeras.datasets import digits

__all__ = ["digits"]
