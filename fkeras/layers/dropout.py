"""Noise while training: dropout in its forms, Gaussian noise, and the penalty on activations.

Which numbers are dropped is a function of (key, row, place in the row), so that padding, devices and the size of the
batch do not change it.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import regularizers
from fkeras.core import dtypes
from fkeras.core.settings import at_least_zero, fraction, seed_or_none, setting
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.kernels.noise import draw_kept, dropout

# -------------------------------------------------------------------------------------- pure functions


def alpha_dropout(x, kept, rate):
    """Sets `x` to SELU's value at minus infinity where `kept` is False, then restores mean 0 and variance 1.

    Reference:
        Klambauer et al., "Self-Normalizing Neural Networks", 2017, arXiv:1706.02515, section "alpha dropout".
    """
    low = -1.6732632423543772 * 1.0507009873554805  # -alpha * lambda of SELU
    a = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    b = -a * low * rate
    return jnp.where(kept, x * jnp.asarray(a, x.dtype) + jnp.asarray(b, x.dtype), jnp.asarray(a * low + b, x.dtype))


def draw_kept_rows(ctx, shape, rate, seed=None):
    """Draws `draw_kept` for a batch: row by row, or one draw for all rows where shape[0] is 1.

    Args:
        ctx: The call's `Context`.
        shape: Shape of the noise, batch axis first.
        rate: Fraction dropped.
        seed: The layer's own, folded into the key.
    """
    if shape and shape[0] == 1:
        return draw_kept(ctx.layer_key(seed), shape, rate)
    return ctx.draw(lambda key, inner: draw_kept(key, inner, rate), shape, seed)


# ------------------------------------------------------------------------------------------ converters


def _rate(value):
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not 0 <= float(value) <= 1:
        raise ValueError(f"expected a number in [0, 1]: the fraction that is dropped, got {value!r}.")
    return float(value)


def _noise_shape(value):
    if value is None:
        return None
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ValueError(f"expected a tuple of sizes or None for the input's own, got {value!r}.")
    for d in value:
        if d is not None and (isinstance(d, bool) or not isinstance(d, (int, np.integer)) or d < 1):
            raise ValueError(f"expected sizes >= 1 or None for the input's own, got {tuple(value)!r}.")
    return tuple(None if d is None else int(d) for d in value)


# --------------------------------------------------------------------------------------------- layers


class _Drops(Layer):
    """A layer that drops numbers while training; `noise(shape)` says along which axes they fall together."""

    supports_masking = True

    def noise(self, shape):
        return shape

    def drop(self, x, kept):
        return dropout(x, kept, self.rate)

    def forward(self, params, state, x, ctx):
        if not ctx.training or self.rate == 0:
            return x, state
        return self.drop(x, draw_kept_rows(ctx, self.noise(x.shape), self.rate, self.seed)), state

    def _given_noise(self, shape):
        if self.noise_shape is None:
            return shape
        noise = tuple(d if n is None else n for n, d in zip(self.noise_shape, shape, strict=False))
        if len(self.noise_shape) != len(shape) or any(
            None not in (n, d) and n not in (1, d) for n, d in zip(noise, shape, strict=True)
        ):
            raise ValueError(
                f"{self.label}: noise_shape {self.noise_shape} does not broadcast to an input of shape {tuple(shape)}: "
                f"expected as many sizes, each 1, None or the input's."
            )
        return noise


@layers.register
class Dropout(_Drops):
    """Zeroes a fraction `rate` of its input while training and divides the rest by 1 - rate; else puts it out.

    Args:
        rate: Fraction dropped, in [0, 1].
        noise_shape: Shape of the drawn mask with the batch axis; along axes of size 1 numbers fall together,
            None is the input's size. (None, 1, None) drops features for all time steps alike.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> Dropout(0.5)(jnp.ones((2, 3))).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 2014.
    """

    rate: float = setting(_rate)
    noise_shape: Any = setting(_noise_shape, None)
    seed: Any = setting(seed_or_none, None)

    def check_input(self, shape):
        self.noise(shape)

    def noise(self, shape):
        return self._given_noise(shape)


class _SpatialDropout(_Drops):
    data_format = "channels_last"

    def noise(self, shape):
        if self.data_format == "channels_first":
            return (*shape[:2], *(1 for _ in shape[2:]))
        return (shape[0], *(1 for _ in shape[1:-1]), shape[-1])

    def get_config(self):
        # Keras's constructors of these take no `trainable`.
        return {k: v for k, v in super().get_config().items() if k != "trainable"}


@layers.register
class SpatialDropout1D(_SpatialDropout):
    """Drops whole channels of [B, T, C] while training: one draw for all time steps.

    Reference:
        Tompson et al., "Efficient Object Localization Using Convolutional Networks", 2014, arXiv:1411.4280.
    """

    rate: float = setting(_rate)
    seed: Any = setting(seed_or_none, None)
    name: str = setting(default=None)
    dtype: Any = setting(dtypes.policy, None, saved=False)
    rank = (3, "[B, T, C]")


class _DropsMaps(_SpatialDropout):
    rate: float = setting(_rate)
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)
    name: str = setting(default=None)
    dtype: Any = setting(dtypes.policy, None, saved=False)


@layers.register
class SpatialDropout2D(_DropsMaps):
    """Drops whole channels of images [B, H, W, C] (or [B, C, H, W]) while training; see `SpatialDropout1D`."""

    rank = (4, "[B, H, W, C]")


@layers.register
class SpatialDropout3D(_DropsMaps):
    """Drops whole channels of volumes [B, H, W, D, C] (or [B, C, ...]) while training; see `SpatialDropout1D`."""

    rank = (5, "[B, H, W, D, C]")


@layers.register
class GaussianNoise(Layer):
    """Adds normal noise while training: y = x + stddev * n, n ~ N(0, 1).

    Example:
        >>> GaussianNoise(0.1)(jnp.array([[2.0]])).tolist()
        [[2.0]]
    """

    stddev: float = setting(at_least_zero)
    seed: Any = setting(seed_or_none, None)
    supports_masking = True

    def forward(self, params, state, x, ctx):
        if not ctx.training or self.stddev == 0:
            return x, state
        return x + (self.stddev * ctx.draw(jax.random.normal, x.shape, self.seed)).astype(x.dtype), state


@layers.register
class GaussianDropout(Layer):
    """Multiplies by normal noise of mean 1 and variance rate / (1 - rate) while training.

    Reference:
        Srivastava et al., "Dropout", JMLR 2014, section 10.
    """

    rate: float = setting(fraction)
    seed: Any = setting(seed_or_none, None)
    supports_masking = True

    def forward(self, params, state, x, ctx):
        if not ctx.training or self.rate == 0:
            return x, state
        noise = 1 + math.sqrt(self.rate / (1 - self.rate)) * ctx.draw(jax.random.normal, x.shape, self.seed)
        return x * noise.astype(x.dtype), state


@layers.register
class AlphaDropout(_Drops):
    """Dropout that keeps mean 0 and variance 1 of its input, for networks of SELUs.

    Args:
        rate, noise_shape, seed: As in `Dropout`; rate below 1.

    Reference:
        Klambauer et al., "Self-Normalizing Neural Networks", 2017, arXiv:1706.02515.
    """

    rate: float = setting(fraction)
    noise_shape: Any = setting(_noise_shape, None)
    seed: Any = setting(seed_or_none, None)

    def check_input(self, shape):
        self.noise(shape)

    def noise(self, shape):
        return self._given_noise(shape)

    def drop(self, x, kept):
        return alpha_dropout(x, kept, self.rate)


@layers.register
class ActivityRegularization(Layer):
    """Puts out its input and adds l1 * sum|x| + l2 * sum(x^2), divided by the rows of the batch, to the loss.

    Example:
        >>> ActivityRegularization(l2=0.1)(jnp.ones((2, 3))).shape
        (2, 3)
    """

    l1: float = setting(at_least_zero, 0.0)
    l2: float = setting(at_least_zero, 0.0)
    supports_masking = True

    def check(self):
        self.activity_regularizer = regularizers.L1L2(l1=self.l1, l2=self.l2)

    def forward(self, params, state, x, ctx):
        return x, state

    def get_config(self):
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
