"""Constraints: projections that weights go through after each update, as pure functions and as settings.

A constraint is any function array -> array of the same shape and dtype.
"""

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import Configured, Registry, custom_object_scope, setting
from fkeras.core.settings import serialize as _serialize

# -------------------------------------------------------------------------------------- pure functions


def project_norm(w, min_value=0.0, max_value=float("inf"), rate=1.0, axis=0):
    """Scales vectors along `axis` so that their Euclidean norms n move into [min_value, max_value].

        w * ((1 - rate) * n + rate * clip(n, min_value, max_value)) / (n + epsilon)

    Args:
        w: Float array; half precision is computed in float32.
        min_value, max_value: Bounds.
        rate: 1 puts the norm inside the bounds, less moves it only a part of the way.
        axis: Axis or axes that make up a vector. A dense kernel [inputs, units] has one vector a unit for 0, a
            convolution kernel [H, W, inputs, filters] has one a filter for (0, 1, 2).

    Returns:
        Array with the shape and dtype of `w`; zeros stay zeros.

    Example:
        >>> [round(x, 4) for x in project_norm(jnp.array([[3.0, 0.3], [4.0, 0.4]]), max_value=1.0).ravel().tolist()]
        [0.6, 0.3, 0.8, 0.4]
    """
    w = jnp.asarray(w)
    wide = w.astype(at_least_float32(w.dtype))
    squares = jnp.sum(jnp.square(wide), axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True)
    norms = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)  # the root's slope at 0 is infinite
    wanted = rate * jnp.clip(norms, min_value, max_value) + (1 - rate) * norms
    return (wide * (wanted / (norms + dtypes.epsilon()))).astype(w.dtype)


# --------------------------------------------------------------------------------------------- family

constraints = Registry("constraint", "keras.constraints")


def get(identifier):
    """Returns the constraint that `identifier` means: a name, a config, a class, an object, a function; None is none.

    Raises:
        ValueError: No constraint has that name. TypeError: `identifier` is of another kind.

    Example:
        >>> get("non_neg"), get({"class_name": "MaxNorm", "config": {"max_value": 3, "axis": 0}})
        (NonNeg(), MaxNorm(max_value=3))
    """
    return constraints.get(identifier)


def serialize(constraint):
    """Returns the config dict of `constraint`, or the name of a function."""
    return _serialize(constraint)


def deserialize(config, custom_objects=None):
    """Returns the constraint that `serialize` wrote as `config`; `custom_objects` maps further names."""
    with custom_object_scope(custom_objects or {}):
        return constraints.get(config)


def _axis(value):
    """Converter: an int, or a tuple or list of ints, which configs write as they were given."""
    axes = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(a, (bool, np.bool_)) or not hasattr(a, "__index__") for a in axes):
        raise ValueError(f"expected an axis or a tuple of axes, got {value!r}.")
    return type(value)(int(a) for a in axes) if isinstance(value, (list, tuple)) else int(value)


@constraints.register
class Constraint(Configured):
    """Base of constraints: leaves weights as they are. One of your own defines `__call__(self, w)`.

    Example:
        >>> class Box(Constraint):
        ...     size: float = 1.0
        ...     def __call__(self, w):
        ...         return jnp.clip(w, -self.size, self.size)
        >>> Box(2.0)(jnp.array([-3.0, 1.0])).tolist()
        [-2.0, 1.0]
    """

    def __call__(self, w):
        """Returns the projection of `w`."""
        return w


@constraints.register("max_norm")
class MaxNorm(Constraint):
    """Bounds norms from above; see `project_norm`.

    Example:
        >>> [round(x, 4) for x in MaxNorm(1.0)(jnp.array([3.0, 4.0])).tolist()]
        [0.6, 0.8]

    Reference:
        Srivastava et al., "Dropout", 2014, section 5.1.
    """

    max_value: float = 2
    axis: int = setting(_axis, 0)

    def __call__(self, w):
        return project_norm(w, max_value=self.max_value, axis=self.axis)


@constraints.register("non_neg")
class NonNeg(Constraint):
    """Sets negative weights to 0.

    Example:
        >>> NonNeg()(jnp.array([-3.0, 4.0])).tolist()
        [0.0, 4.0]
    """

    def __call__(self, w):
        return jnp.maximum(jnp.asarray(w), 0)


@constraints.register("unit_norm")
class UnitNorm(Constraint):
    """Scales norms to 1; see `project_norm`.

    Example:
        >>> [round(x, 4) for x in UnitNorm()(jnp.array([3.0, 4.0])).tolist()]
        [0.6, 0.8]
    """

    axis: int = setting(_axis, 0)

    def __call__(self, w):
        return project_norm(w, 1.0, 1.0, axis=self.axis)


@constraints.register("min_max_norm")
class MinMaxNorm(Constraint):
    """Moves norms into [min_value, max_value], at `rate` of the way; see `project_norm`.

    Example:
        >>> [round(x, 4) for x in MinMaxNorm(10.0, 20.0)(jnp.array([3.0, 4.0])).tolist()]
        [6.0, 8.0]
    """

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int = setting(_axis, 0)

    def __call__(self, w):
        return project_norm(w, self.min_value, self.max_value, self.rate, self.axis)


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm  # Keras's other names
