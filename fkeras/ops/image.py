"""The functions of `keras.ops.image`, by those names."""

from fkeras.ops import images as _filled  # noqa: F401
from fkeras.ops.table import exported as _exported

globals().update(_exported("image"))

__all__ = sorted(_exported("image"))
