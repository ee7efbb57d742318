"""Activations with settings or weights of their own, as layers."""

from typing import Any

import jax.numpy as jnp

from fkeras import activations, constraints, initializers, regularizers
from fkeras.core.settings import at_least_zero, optional, setting
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.contract.weight_settings import weight
from fkeras.layers.contract.windows import each_alone


def _axes(value):
    if value is None:
        return None
    return [int(a) for a in value] if isinstance(value, (list, tuple)) else [int(value)]


# -------------------------------------------------------------------------------------- pure functions


def prelu(x, alpha):
    """Rectifier with a learned slope below zero: max(x, 0) + alpha * min(x, 0).

    Args:
        x: Float array [B, ...].
        alpha: Float array of the input's rank without the batch axis; axes of size 1 share a slope.

    Example:
        >>> prelu(jnp.array([[-2.0, 3.0]]), jnp.array([0.5, 0.5])).tolist()
        [[-1.0, 3.0]]

    Reference:
        He et al., "Delving Deep into Rectifiers", 2015, arXiv:1502.01852, eq. 1.
    """
    return activations.relu(x) - alpha[None] * activations.relu(-x)


def masked_softmax(x, mask=None, axis=-1):
    """Softmax over `axis` among the places where `mask` is True; the others get 0, also where all are masked.

    Args:
        x: Float array.
        mask: Bool array (other dtypes: True above 0.5) of the shape of `x`, or of its leading axes (time steps),
            or one that broadcasts to it; None for no mask.
        axis: Axis or axes that sum to 1.

    Raises:
        ValueError: `mask` fits `x` in none of these ways.

    Example:
        >>> masked_softmax(jnp.array([[1.0, 1.0, 5.0]]), jnp.array([[True, True, False]])).tolist()
        [[0.5, 0.5, 0.0]]
    """
    axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    if mask is None:
        return activations.softmax(x, axis=axis)
    mask = mask if mask.dtype == bool else mask > 0.5
    if mask.ndim < x.ndim and mask.shape == x.shape[: mask.ndim]:
        mask = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))  # time steps: [B, T] -> [B, T, 1]
    pairs = list(zip(mask.shape[::-1], x.shape[::-1], strict=False))
    if mask.ndim > x.ndim or any(m not in (1, d) for m, d in pairs):
        raise ValueError(f"Softmax: expected a mask that broadcasts to the input's shape {x.shape}, got {mask.shape}.")
    mask = mask.reshape((1,) * (x.ndim - mask.ndim) + mask.shape)
    floor = jnp.asarray(-3e4 if x.dtype == jnp.float16 else -1e9, x.dtype)
    return jnp.where(mask, activations.softmax(jnp.where(mask, x, floor), axis=axis), jnp.zeros((), x.dtype))


# --------------------------------------------------------------------------------------------- layers


@layers.register
class ReLU(Layer):
    """Rectifier: x above `threshold` up to `max_value`, negative_slope * (x - threshold) below.

    Example:
        >>> ReLU(max_value=2.0, negative_slope=0.5)(jnp.array([-2.0, 1.0, 9.0])).tolist()
        [-1.0, 1.0, 2.0]
    """

    max_value: Any = setting(optional(at_least_zero), None)
    negative_slope: float = setting(at_least_zero, 0.0)
    threshold: float = setting(at_least_zero, 0.0)
    supports_masking = True
    windows = each_alone

    def forward(self, params, state, x, ctx):
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold), state


@layers.register
class LeakyReLU(Layer):
    """Rectifier that leaks: x above 0, negative_slope * x below (0.3; the function `leaky_relu` has 0.2).

    Example:
        >>> LeakyReLU(negative_slope=0.5)(jnp.array([-2.0, 1.0])).tolist()
        [-1.0, 1.0]
    """

    negative_slope: float = setting(at_least_zero, 0.3)
    supports_masking = True
    windows = each_alone

    def forward(self, params, state, x, ctx):
        return activations.leaky_relu(x, self.negative_slope), state


@layers.register
class PReLU(Layer):
    """Rectifier with a learned slope below zero: max(x, 0) + alpha * min(x, 0).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: Of the slopes.
        shared_axes: Axes (from 1; 0 is the batch) along which one slope is shared, such as [1, 2] for images.

    Input shape: [B, ...], all sizes known but those of shared axes. Output shape: the same.

    Example:
        >>> PReLU(shared_axes=[1, 2])(jnp.ones((2, 5, 5, 3))).shape
        (2, 5, 5, 3)

    Reference:
        He et al., "Delving Deep into Rectifiers", 2015, arXiv:1502.01852.
    """

    alpha_initializer: Any = setting(initializers, "zeros")
    alpha_regularizer: Any = setting(optional(regularizers), None)
    alpha_constraint: Any = setting(optional(constraints), None)
    shared_axes: Any = setting(_axes, None)
    supports_masking = True

    def check_input(self, shape):
        self._alpha(shape)

    def _alpha(self, shape):
        shared = {a % len(shape) if -len(shape) <= a < len(shape) else 0 for a in self.shared_axes or ()}
        if 0 in shared:
            raise ValueError(
                f"{self.label}: shared_axes {self.shared_axes} do not fit an input of shape {shape}: "
                f"expected axes from 1 to {len(shape) - 1}."
            )
        sizes = tuple(1 if i in shared else d for i, d in enumerate(shape) if i)
        if None in sizes:
            raise ValueError(
                f"{self.label}: axis {sizes.index(None) + 1} of the input has no known size, got shape {shape}. "
                f"Share the slope along it with shared_axes=[...]."
            )
        return sizes

    def declare(self, shape):
        return {"alpha": weight(self, "alpha", self._alpha(shape))}

    def forward(self, params, state, x, ctx):
        return prelu(x, params["alpha"]), state


@layers.register
class ELU(Layer):
    """Exponential linear unit: x above 0, alpha * (exp(x) - 1) below.

    Example:
        >>> ELU()(jnp.array([2.0])).tolist()
        [2.0]

    Reference:
        Clevert et al., "Fast and Accurate Deep Network Learning by ELUs", 2015, arXiv:1511.07289.
    """

    alpha: float = setting(float, 1.0)
    supports_masking = True
    windows = each_alone

    def forward(self, params, state, x, ctx):
        return activations.elu(x, self.alpha), state


@layers.register
class Softmax(Layer):
    """Turns scores into probabilities over `axis`, leaving out what the mask leaves out.

    Args:
        axis: Axis or axes that sum to 1.

    Masked places get probability 0. A mask of time steps [B, T] stands for all features of a step; one of the input's
    own shape, given as `layer(x, mask=...)`, is taken place by place.

    Example:
        >>> Softmax()(jnp.array([[0.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """

    axis: Any = -1
    supports_masking = True
    call_order = ("mask",)

    def forward(self, params, state, x, ctx):
        return masked_softmax(x, ctx.mask, self.axis), state
