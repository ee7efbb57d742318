"""Keras's `ops`: functions on arrays, usable under jit, grad, vmap and pmap; on symbols they record calls in the graph.

On arrays each is a thin skin over JAX with Keras's names, arguments and dtypes (see `fkeras.core.operations`).
"""

from fkeras.core.operations import exported as _exported
from fkeras.ops import control as control
from fkeras.ops import einops as einops
from fkeras.ops import image as image
from fkeras.ops import linalg as linalg
from fkeras.ops import nn as nn
from fkeras.ops import numpy as numpy
from fkeras.ops import signals as signals

_functions = _exported("numpy", "nn", "core", "math", "linalg", "einops")
globals().update(_functions)

__all__ = sorted({*_functions, "image", "linalg", "nn", "numpy"})
