"""Losses between distributions and counts: Kullback-Leibler divergence and Poisson."""

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.losses.arrays import on_floats, on_symbols
from fkeras.losses.base import Standard, registry


@registry.register("kld", "KLD", "kullback_leibler_divergence")
@on_symbols
@on_floats
def kl_divergence(y_true, y_pred):
    """sum over the last axis of y log(y / p), with both held inside [epsilon, 1].

    Example:
        >>> round(kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).item(), 4)
        0.1438
    """
    y, p = (jnp.clip(x, dtypes.epsilon(), 1.0) for x in (y_true, y_pred))
    return jnp.sum(y * jnp.log(y / p), axis=-1)


@registry.register
@on_symbols
@on_floats
def poisson(y_true, y_pred):
    """Mean over the last axis of p - y log(p + epsilon): negative log-likelihood of counts y at rates p.

    Example:
        >>> round(poisson([[2.0]], [[1.0]]).item(), 4)
        1.0
    """
    return jnp.mean(y_pred - y_true * jnp.log(y_pred + dtypes.epsilon()), axis=-1)


@registry.register
class KLDivergence(Standard):
    """`kl_divergence` as an object; see `Loss` for reduction, name and dtype.

    Example:
        >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    function = staticmethod(kl_divergence)


@registry.register
class Poisson(Standard):
    """`poisson` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(poisson)
