"""How targets and predictions meet: one rule for dtypes, one rule for ranks, powers with finite slopes."""

import functools

import jax.numpy as jnp
from jax import lax

from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.symbol import Symbol


def on_symbols(function):
    """Decorator: a loss of symbols is a symbol, for `model.add_loss(mse(inputs, outputs))`.

    Example:
        >>> mean_squared_error(Input((3,)), Input((3,))).shape
        (None,)
    """

    @functools.wraps(function)
    def call(y_true, y_pred, *args, **kwargs):
        if isinstance(y_true, Symbol) or isinstance(y_pred, Symbol):
            from fkeras.layers import Lambda

            if isinstance(y_true, Symbol) and isinstance(y_pred, Symbol):
                return Lambda(lambda pair: function(*pair, *args, **kwargs))([y_true, y_pred])
            if isinstance(y_true, Symbol):
                return Lambda(lambda y_true: function(y_true, y_pred, *args, **kwargs))(y_true)
            return Lambda(lambda y_pred: function(y_true, y_pred, *args, **kwargs))(y_pred)
        return function(y_true, y_pred, *args, **kwargs)

    return call


def same_rank(y_true, y_pred):
    """Returns both arrays at one rank when they differ by a last axis of size 1; else unchanged.

    [B] against [B, 1] becomes [B, 1] twice; at higher ranks the last axis of size 1 is dropped, as Keras 3.

    Example:
        >>> [a.shape for a in same_rank(jnp.zeros(4), jnp.zeros((4, 1)))]
        [(4, 1), (4, 1)]
    """
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        return (y_true[:, None], y_pred) if y_true.ndim == 1 else (y_true, y_pred[..., 0])
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return (y_true, y_pred[:, None]) if y_pred.ndim == 1 else (y_true[..., 0], y_pred)
    return y_true, y_pred


def as_float(x):
    """Returns `x` as a float array: floats keep their dtype, anything else becomes `floatx`."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(dtypes.floatx())


def on_floats(function):
    """Decorator for losses of numbers: both arrays in the prediction's dtype, at the same rank.

    Half precision is computed in float32 (1 - 1e-7 is 1 in float16) and the result is cast back.
    """

    @functools.wraps(function)
    def wrapped(y_true, y_pred, *args, **kwargs):
        y_pred = as_float(y_pred)
        wide = at_least_float32(y_pred.dtype)
        y_true, wide_pred = same_rank(jnp.asarray(y_true).astype(wide), y_pred.astype(wide))
        return function(y_true, wide_pred, *args, **kwargs).astype(y_pred.dtype)

    return wrapped


def on_labels(function):
    """Decorator for losses of class numbers: int32 targets, float predictions computed in float32 or wider."""

    @functools.wraps(function)
    def wrapped(y_true, y_pred, *args, **kwargs):
        y_pred = as_float(y_pred)
        wide = at_least_float32(y_pred.dtype)
        return function(jnp.asarray(y_true).astype(jnp.int32), y_pred.astype(wide), *args, **kwargs).astype(
            y_pred.dtype
        )

    return wrapped


def power(base, exponent):
    """Returns base ** exponent for base >= 0, with slope 0 below epsilon instead of an infinite one.

    Example:
        >>> import jax
        >>> float(power(jnp.float32(0.0), 0.5)), float(jax.grad(power)(0.0, 0.5))
        (0.0, 0.0)
    """
    inside = base > dtypes.epsilon()
    return jnp.where(inside, jnp.where(inside, base, 1.0) ** exponent, lax.stop_gradient(base) ** exponent)


def clip_probabilities(p):
    """Returns `p` held inside [epsilon, 1 - epsilon], where its logarithms and their slopes are finite."""
    return jnp.clip(p, dtypes.epsilon(), 1.0 - dtypes.epsilon())
