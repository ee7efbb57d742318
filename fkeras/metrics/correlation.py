"""Correlations of labels and predictions along an axis."""

import jax.numpy as jnp

from fkeras.core.dtypes import epsilon
from fkeras.core.settings import setting
from fkeras.losses.arrays import on_floats
from fkeras.metrics.base import dtype_name, functions, registry
from fkeras.metrics.reduction import FunctionMean


@functions.register
@on_floats
def pearson_correlation(y_true, y_pred, axis=-1):
    """Returns the linear correlation along `axis`: cov(t, p) / (std(t) std(p)); NaN where one is constant.

    Args:
        y_true, y_pred: Float arrays of one shape, up to a last axis of size 1.
        axis: The axis to correlate along.

    Returns:
        Array without that axis.

    Example:
        >>> pearson_correlation(jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 3.0, 5.0])).round(4).tolist()
        1.0
    """
    true, pred = _centred(y_true, axis), _centred(y_pred, axis)
    true, pred = true / jnp.std(true, axis, keepdims=True), pred / jnp.std(pred, axis, keepdims=True)
    return jnp.mean(true * pred, axis)


@functions.register
@on_floats
def concordance_correlation(y_true, y_pred, axis=-1):
    """Returns the agreement along `axis`: 2 cov(t, p) / (var(t) + var(p) + (mean(t) - mean(p))^2 + epsilon).

    Args:
        y_true, y_pred: Float arrays of one shape, up to a last axis of size 1.
        axis: The axis to correlate along.

    Returns:
        Array without that axis.

    Example:
        >>> concordance_correlation(jnp.array([0.0, 1.0, 2.0]), jnp.array([0.0, 1.0, 2.0])).round(4).tolist()
        1.0

    Reference:
        Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility", 1989.
    """
    covariance = jnp.mean(_centred(y_true, axis) * _centred(y_pred, axis), axis)
    apart = jnp.mean(y_true, axis) - jnp.mean(y_pred, axis)
    return 2 * covariance / (jnp.var(y_true, axis) + jnp.var(y_pred, axis) + apart**2 + epsilon())


def _centred(x, axis):
    return x - jnp.mean(x, axis, keepdims=True)


@registry.register("pearson_correlation")
class PearsonCorrelation(FunctionMean):
    """The mean over rows of the linear correlation of labels and predictions along `axis`.

    Args:
        name, dtype: See `Metric`.
        axis: The axis to correlate along.

    Example:
        >>> y_true, y_pred = [[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]
        >>> round(float(PearsonCorrelation()(y_true, y_pred)), 4)
        0.9967
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    axis: int = -1

    direction = "up"
    function = staticmethod(pearson_correlation)


@registry.register("concordance_correlation")
class ConcordanceCorrelation(FunctionMean):
    """The mean over rows of the agreement of labels and predictions along `axis`: correlation, level and scale.

    Args:
        name, dtype: See `Metric`.
        axis: The axis to correlate along.

    Example:
        >>> y_true, y_pred = [[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]
        >>> round(float(ConcordanceCorrelation()(y_true, y_pred)), 4)
        0.9816
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    axis: int = -1

    direction = "up"
    function = staticmethod(concordance_correlation)
