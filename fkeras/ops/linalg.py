"""The functions of `keras.ops.linalg`, by those names."""

from fkeras.ops import matrices as _filled  # noqa: F401
from fkeras.ops.table import exported as _exported

globals().update(_exported("linalg"))

__all__ = sorted(_exported("linalg"))
