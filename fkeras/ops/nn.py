"""The functions of `keras.ops.nn`, by those names."""

from fkeras.core.operations import exported as _exported
from fkeras.ops import network as _filled  # noqa: F401

globals().update(_exported("nn"))

__all__ = sorted(_exported("nn"))
