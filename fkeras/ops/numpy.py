"""The functions of `keras.ops.numpy`, by those names."""

from fkeras.core.operations import exported as _exported
from fkeras.ops import arrays as _filled  # noqa: F401

globals().update(_exported("numpy"))

__all__ = sorted(_exported("numpy"))
