"""What pickle refuses though its name leads to it: JAX's wrapped functions, such as `jax.nn.relu` and `jnp.tanh`."""

import importlib
import sys
import types

from fkeras.core.settings import Configured


class _Named:
    """Stands for a function of a module; pickle and deepcopy make the function itself of it."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return _find, (self.function.__module__, self.function.__name__)


def _find(module, name):
    return getattr(importlib.import_module(module), name)


def portable(value):
    """Returns `value`, or what pickle takes in its place."""
    if callable(value) and not isinstance(value, (type, types.FunctionType, Configured)):
        module = sys.modules.get(getattr(value, "__module__", None))
        if getattr(module, getattr(value, "__name__", ""), None) is value:
            return _Named(value)
    return value
