"""Regularizers: penalties on weights or outputs, as pure functions of one array and as settings.

A regularizer is any function array -> scalar; its value is added to the loss.
"""

import math

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import Configured, Registry, choice, custom_object_scope, setting
from fkeras.core.settings import serialize as _serialize

# -------------------------------------------------------------------------------------- pure functions


def l1_l2_penalty(x, l1=0.0, l2=0.0):
    """Returns l1 * sum(|x|) + l2 * sum(x^2), summed in float32 for half precision; a term of factor 0 is left out.

    Example:
        >>> l1_l2_penalty(jnp.array([3.0, -4.0]), l1=1.0, l2=2.0).tolist()
        57.0
    """
    x, dtype = _wide(x)
    penalty = jnp.zeros((), x.dtype)
    if l1:
        penalty += l1 * jnp.sum(jnp.abs(x))
    if l2:
        penalty += l2 * jnp.sum(jnp.square(x))
    return penalty.astype(dtype)


def orthogonality_penalty(x, factor=0.01, mode="rows"):
    """Returns `factor` times the mean of |cosine| over all pairs of rows, or of columns.

    Args:
        x: Float array [rows, columns].
        factor: What to multiply by.
        mode: "rows" or "columns".

    Returns:
        Scalar; 0 for a single row (where Keras has 0 / 0).

    Raises:
        ValueError: `x` is no matrix.

    Example:
        >>> orthogonality_penalty(jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), factor=3.0).tolist()
        1.0
    """
    if jnp.ndim(x) != 2:
        raise ValueError(f"OrthogonalRegularizer: expected a matrix, got an array of shape {jnp.shape(x)}.")
    x, dtype = _wide(x)
    x = x if mode == "rows" else x.T
    squares = jnp.sum(jnp.square(x), 1, keepdims=True)
    unit = x / jnp.sqrt(jnp.maximum(squares, dtypes.epsilon() ** 2))  # a row of zeros stays one, with gradient 0
    size = x.shape[0]
    cosines = jnp.abs(unit @ unit.T) * (1 - jnp.eye(size, dtype=x.dtype))
    return (factor * jnp.sum(cosines) / max(size * (size - 1), 1)).astype(dtype)


def _wide(x):
    """Returns (`x` in at least float32, the dtype of the result)."""
    x = jnp.asarray(x)
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.dtype("float32")
    return x.astype(at_least_float32(dtype)), dtype


# --------------------------------------------------------------------------------------------- family


class _Regularizers(Registry):
    """The family of regularizers."""

    def get(self, identifier):
        # By this name Keras documents factors of 0.01; those of the class are 0, and a penalty of nothing has no use.
        return L1L2(0.01, 0.01) if identifier == "l1_l2" else super().get(identifier)


regularizers = _Regularizers("regularizer", "keras.regularizers")


def get(identifier):
    """Returns the regularizer that `identifier` means: a name, a config, a class, an object, a function; None is none.

    Raises:
        ValueError: No regularizer has that name. TypeError: `identifier` is of another kind.

    Example:
        >>> get("l2").get_config(), get("l1_l2")
        ({'l2': 0.01}, L1L2(l1=0.01, l2=0.01))
    """
    return regularizers.get(identifier)


def serialize(regularizer):
    """Returns the config dict of `regularizer`, or the name of a function."""
    return _serialize(regularizer)


def deserialize(config, custom_objects=None):
    """Returns the regularizer that `serialize` wrote as `config`; `custom_objects` maps further names."""
    with custom_object_scope(custom_objects or {}):
        return regularizers.get(config)


def _factor(default):
    """Makes a converter: a finite number that is 0 or more, as a float; None is `default`."""

    def convert(value):
        value = default if value is None else value
        number = hasattr(value, "__float__") and not isinstance(value, bool)
        if not number or not 0 <= float(value) < math.inf:
            raise ValueError(f"expected a finite number that is 0 or more, got {value!r}.")
        return float(value)

    return convert


@regularizers.register
class Regularizer(Configured):
    """Base of regularizers: no penalty. One of your own defines `__call__(self, x)`.

    Example:
        >>> class Mean(Regularizer):
        ...     factor: float = 1.0
        ...     def __call__(self, x):
        ...         return self.factor * jnp.mean(x)
        >>> Mean(2.0)(jnp.ones(3)).tolist(), Mean(2.0).get_config()
        (2.0, {'factor': 2.0})
    """

    def __call__(self, x):
        """Returns the penalty for `x`, a scalar."""
        return 0.0


@regularizers.register("l1")
class L1(Regularizer):
    """Penalty l1 * sum(|x|).

    Example:
        >>> L1(0.5)(jnp.array([3.0, -4.0])).tolist()
        3.5
    """

    l1: float = setting(_factor(0.01), 0.01)

    def __call__(self, x):
        return l1_l2_penalty(x, l1=self.l1)


@regularizers.register("l2")
class L2(Regularizer):
    """Penalty l2 * sum(x^2).

    Example:
        >>> L2(0.5)(jnp.array([3.0, -4.0])).tolist()
        12.5
    """

    l2: float = setting(_factor(0.01), 0.01)

    def __call__(self, x):
        return l1_l2_penalty(x, l2=self.l2)


@regularizers.register("l1_l2")
class L1L2(Regularizer):
    """Penalty l1 * sum(|x|) + l2 * sum(x^2). Both factors are 0 by default, but 0.01 by the name "l1_l2".

    Example:
        >>> L1L2(l1=1.0, l2=2.0)(jnp.array([3.0, -4.0])).tolist()
        57.0
    """

    l1: float = setting(_factor(0.0), 0.0)
    l2: float = setting(_factor(0.0), 0.0)

    def __call__(self, x):
        return l1_l2_penalty(x, self.l1, self.l2)


@regularizers.register("orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """Penalty on the cosines between the rows (or columns) of a matrix; see `orthogonality_penalty`.

    Example:
        >>> OrthogonalRegularizer(1.0)(jnp.array([[1.0, 0.0], [0.0, 2.0]])).tolist()
        0.0
    """

    factor: float = setting(_factor(0.01), 0.01)
    mode: str = setting(choice("rows", "columns"), "rows")

    def __call__(self, x):
        return orthogonality_penalty(x, self.factor, self.mode)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer  # Keras's other names for the classes
