"""What JAX says when code asks a traced array for its values, in words for its author; and who watches layers.

Within `watching(function)` every layer that is called hands its call to `function(layer, params, x, y)`, which returns
`y` or what takes its place.
"""

import contextlib
import threading

import jax
from jax.extend.core import get_opaque_trace_state

_BRANCH = jax.errors.TracerBoolConversionError
_NUMPY = jax.errors.TracerArrayConversionError
_OTHER = jax.errors.ConcretizationTypeError, jax.errors.TracerIntegerConversionError


def untraceable(error):
    """Returns what to do about an error of this kind, or None for any other error.

    Example:
        >>> try:
        ...     jax.jit(lambda x: x if x > 0 else -x)(1.0)
        ... except Exception as error:
        ...     untraceable(error).partition(":")[0]
        'a Python branch (`if`, `while`, `and`) on the values of an array'
    """
    if isinstance(error, _BRANCH):
        return (
            "a Python branch (`if`, `while`, `and`) on the values of an array: they are not known while the step is "
            "compiled. Use jnp.where(condition, a, b) or jax.lax.cond."
        )
    if isinstance(error, _NUMPY):
        return "NumPy was given an array that is being compiled. Use jax.numpy's function of that name."
    if isinstance(error, _OTHER):
        return (
            "Python asked for the value of an array (float(x), int(x), range(n)), which is not known while the step is "
            "compiled. Use jax.numpy, jax.lax.cond or jax.lax.fori_loop."
        )
    return None


_watchers = threading.local()


@contextlib.contextmanager
def watching(function):
    """Within the `with`, calls of layers are handed to `function`."""
    before = watcher()
    _watchers.now = function
    try:
        yield
    finally:
        _watchers.now = before


def watcher():
    """Returns who watches calls of layers now, or None."""
    return _watchers.__dict__.get("now")


def trace_state():
    """Returns what is equal for two places of one trace, and another within a loop or a mapped function there."""
    return get_opaque_trace_state(convention="flax")
