"""The functions of `keras.ops.numpy`, by those names."""

from fkeras.ops import arrays as _filled  # noqa: F401
from fkeras.ops.table import exported as _exported

globals().update(_exported("numpy"))

__all__ = sorted(_exported("numpy"))
