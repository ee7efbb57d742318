"""All rules: a jaxpr's primitives as TensorFlow's operations."""

from fkeras.saving.tensorflow import arrays, control, elementwise, indexing, windows
from fkeras.saving.tensorflow.emit import RULES, emit, whole

FAMILIES = (arrays, control, elementwise, indexing, windows)

__all__ = ["FAMILIES", "RULES", "emit", "whole"]
