"""The functions of `keras.ops.linalg`, by those names."""

from fkeras.core.operations import exported as _exported
from fkeras.ops import matrices as _filled  # noqa: F401

globals().update(_exported("linalg"))

__all__ = sorted(_exported("linalg"))
