"""The functions of `keras.ops.image`, by those names."""

from fkeras.core.operations import exported as _exported
from fkeras.ops import images as _filled  # noqa: F401

globals().update(_exported("image"))

__all__ = sorted(_exported("image"))
