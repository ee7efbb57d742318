"""The functions of `keras.ops.nn`, by those names."""

from fkeras.ops import network as _filled  # noqa: F401
from fkeras.ops.table import exported as _exported

globals().update(_exported("nn"))

__all__ = sorted(_exported("nn"))
