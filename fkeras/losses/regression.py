"""Losses of numbers: squared, absolute, relative and logarithmic errors, Huber, log-cosh, cosine.

Each function takes targets and predictions [..., D] (a target without the last axis of size 1 fits as well), reduces
the last axis and returns [...] in the prediction's dtype.
"""

import jax
import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.losses.arrays import on_floats, on_symbols
from fkeras.losses.base import Standard, registry


@registry.register("mse", "MSE")
@on_symbols
@on_floats
def mean_squared_error(y_true, y_pred):
    """Mean over the last axis of (y_true - y_pred)^2.

    Example:
        >>> mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]]).tolist()
        [2.5]
    """
    return jnp.mean(jnp.square(y_true - y_pred), axis=-1)


@registry.register("mae", "MAE")
@on_symbols
@on_floats
def mean_absolute_error(y_true, y_pred):
    """Mean over the last axis of |y_true - y_pred|.

    Example:
        >>> mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]]).tolist()
        [1.5]
    """
    return jnp.mean(jnp.abs(y_true - y_pred), axis=-1)


@registry.register("mape", "MAPE")
@on_symbols
@on_floats
def mean_absolute_percentage_error(y_true, y_pred):
    """Mean over the last axis of 100 |y_true - y_pred| / max(|y_true|, epsilon).

    Example:
        >>> mean_absolute_percentage_error([[1.0, 2.0]], [[1.5, 2.0]]).tolist()
        [25.0]
    """
    error = jnp.abs((y_true - y_pred) / jnp.maximum(jnp.abs(y_true), dtypes.epsilon()))
    return 100.0 * jnp.mean(error, axis=-1)


@registry.register("msle", "MSLE")
@on_symbols
@on_floats
def mean_squared_logarithmic_error(y_true, y_pred):
    """Mean over the last axis of (log(1 + y_true) - log(1 + y_pred))^2, with both held at epsilon or above.

    Example:
        >>> round(mean_squared_logarithmic_error([[0.0]], [[1.0]]).item(), 4)
        0.4805
    """
    true, pred = (jnp.log1p(jnp.maximum(y, dtypes.epsilon())) for y in (y_true, y_pred))
    return jnp.mean(jnp.square(true - pred), axis=-1)


@registry.register("huber_loss")
@on_symbols
@on_floats
def huber(y_true, y_pred, delta=1.0):
    """Squared error near zero, absolute error beyond `delta`; mean over the last axis.

        loss = e^2 / 2                    where |e| <= delta
               delta |e| - delta^2 / 2    elsewhere

    Example:
        >>> huber([[0.0, 0.0]], [[0.5, 2.0]]).tolist()
        [0.8125]

    Reference:
        Huber, "Robust Estimation of a Location Parameter", 1964.
    """
    error = jnp.abs(y_pred - y_true)
    return jnp.mean(jnp.where(error <= delta, 0.5 * jnp.square(error), delta * error - 0.5 * delta**2), axis=-1)


@registry.register("logcosh")
@on_symbols
@on_floats
def log_cosh(y_true, y_pred):
    """Mean over the last axis of log(cosh(y_pred - y_true)), without overflow.

    Example:
        >>> round(log_cosh([[0.0]], [[1000.0]]).item(), 3)
        999.307
    """
    error = y_pred - y_true  # log cosh e = e + log(1 + exp(-2 e)) - log 2
    return jnp.mean(error + jax.nn.softplus(-2.0 * error) - jnp.log(2.0), axis=-1)


@registry.register("cosine", "cosine_proximity")
@on_symbols
@on_floats
def cosine_similarity(y_true, y_pred, axis=-1):
    """Minus the cosine of the angle between target and prediction along `axis`: -1 is best, 0 orthogonal.

        loss = -sum(y_true * y_pred) / (|y_true| |y_pred|),    lengths held at epsilon or above

    Example:
        >>> cosine_similarity([[0.0, 2.0]], [[0.0, 1.0]]).tolist()
        [-1.0]
    """

    def unit(x):
        # The square is held above epsilon^2, so that the slope at the zero vector is finite.
        return x / jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(x), axis=axis, keepdims=True), dtypes.epsilon() ** 2))

    return -jnp.sum(unit(y_true) * unit(y_pred), axis=axis)


@registry.register
class MeanSquaredError(Standard):
    """`mean_squared_error` as an object; see `Loss` for reduction, name and dtype.

    Example:
        >>> float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]]))
        2.5
    """

    function = staticmethod(mean_squared_error)


@registry.register
class MeanAbsoluteError(Standard):
    """`mean_absolute_error` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(mean_absolute_error)


@registry.register
class MeanAbsolutePercentageError(Standard):
    """`mean_absolute_percentage_error` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(mean_absolute_percentage_error)


@registry.register
class MeanSquaredLogarithmicError(Standard):
    """`mean_squared_logarithmic_error` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(mean_squared_logarithmic_error)


@registry.register
class Huber(Standard):
    """`huber` as an object.

    Args:
        delta: Where the squared error turns into the absolute one.
        reduction, name, dtype: See `Loss`.
    """

    delta: float = 1.0
    reduction: str = Standard._fields["reduction"]
    name: str = "huber_loss"
    function = staticmethod(huber)


@registry.register
class LogCosh(Standard):
    """`log_cosh` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(log_cosh)


@registry.register
class CosineSimilarity(Standard):
    """`cosine_similarity` as an object.

    Args:
        axis: The axis along which the angle is taken.
        reduction, name, dtype: See `Loss`.
    """

    axis: int = -1
    function = staticmethod(cosine_similarity)
