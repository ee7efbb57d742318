"""What layers on images share: one image or a batch, where the channels are, dtypes, and what is drawn for each row."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import seed_or_none, setting
from fkeras.core.symbol import is_symbolic
from fkeras.layers.contract import custom
from fkeras.layers.contract.arguments import NOTHING
from fkeras.layers.contract.base import Layer

# -------------------------------------------------------------------------------------- pure functions


def as_dtype(x, dtype):
    """Returns `x` in `dtype`; whole numbers are rounded to and kept in its range."""
    if x.dtype == dtype or not jnp.issubdtype(dtype, jnp.integer):
        return x.astype(dtype)
    ends = jnp.iinfo(dtype)
    return jnp.clip(jnp.round(x), ends.min, ends.max).astype(dtype)


def blend(a, b, factor):
    """Mixes images: a + factor * (b - a); `factor` [B] below 0 or above 1 goes on beyond them."""
    return a + per_image(factor, a) * (b - a)


def per_image(values, x):
    """Returns `values` [B] with the rank of `x`, to meet the images of a batch."""
    return values.reshape(-1, *(1 for _ in x.shape[1:])).astype(x.dtype)


def between(uniform, ends):
    """Returns numbers from [0, 1) spread over `ends` (lower, upper)."""
    return ends[0] + uniform * (ends[1] - ends[0])


# ------------------------------------------------------------------------------------------ converters


def limits(low, high, *, mirrored=False, open_low=False):
    """Converter: a pair of numbers that meets [low, high]; one number f in it stands for (max(low, -f), f).

    Args:
        low, high: Ends of what is allowed.
        mirrored: One number f stands for (-|f|, |f|), and both numbers of a pair lie within.
        open_low: `low` itself is not allowed.
    """

    def convert(value):
        pair = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        fits = len(pair) == 2 or pair == (value,)
        if fits := fits and all(hasattr(v, "__float__") and not isinstance(v, (bool, str)) for v in pair):
            lower, upper = min(pair), max(pair)
            fits = upper >= low and lower <= high
            if mirrored or len(pair) == 1:
                fits = low <= lower and upper <= high and not (open_low and lower == low)
        if not fits:
            begin = "(" if open_low else "["
            raise ValueError(f"expected a number or a pair of numbers in {begin}{low}, {high}], got {value!r}.")
        if len(pair) == 2:
            return float(lower), float(upper)
        f = abs(float(value))
        return (-f if mirrored else max(-f, float(low)), f)

    return convert


def value_range(value):
    """Converter: the pair (lowest, highest) of pixel values."""
    wrong = np.ndim(value) != 1 or len(value) != 2 or any(isinstance(v, str) for v in value)
    if wrong or not value[0] < value[1]:
        raise ValueError(f"expected (lowest, highest), such as (0, 255) or (0, 1), got {value!r}.")
    return tuple(value)


# ---------------------------------------------------------------------------------------------- layers


class ImageLayer(Layer):
    """Base of layers on images [B, H, W, C], or one [H, W, C]; [B, C, H, W] where `data_format` says so.

    A layer writes `change(x, ctx)` on a batch of floats, channels last.
    """

    keeps_ints = False  # whole numbers come out as such; else in the compute dtype

    @property
    def takes_ints(self):
        return self.keeps_ints

    def check_input(self, shape):
        if len(shape) not in (3, 4):
            raise ValueError(
                f"{self.label}: expected images [B, H, W, C] or one image [H, W, C], got shape {tuple(shape)}."
            )

    def change(self, x, ctx):
        """Returns the images made of `x` [B, H, W, C]."""
        raise TypeError(f"{type(self).__name__} has no `change(x, ctx)`.")

    def forward(self, params, state, x, ctx):
        if x.ndim not in (3, 4):
            self.check_input(x.shape)
        first = getattr(self, "data_format", None) == "channels_first"
        images = x if x.ndim == 4 else x[None]
        images = jnp.moveaxis(images, 1, -1) if first else images
        images = self.change(images.astype(self.computes_in(x.dtype)), ctx)
        images = jnp.moveaxis(images, -1, 1) if first else images
        return as_dtype(images if x.ndim == 4 else images[0], x.dtype), state

    def computes_in(self, dtype):
        """Returns the dtype of the arithmetic: float32, since half precision cannot number the pixels of a row."""
        return dtypes.at_least_float32(dtype) if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype("float32")


class RandomImageLayer(ImageLayer):
    """Base of layers that vary images while training: a function of (key, row), nothing at inference.

    A layer writes `vary(x, u)`: `u` [B, draws] holds the numbers in [0, 1) drawn for each row. Called on arrays outside
    of a model it varies them unless told `training=False`, as in Keras.
    """

    draws = 1
    seed: Any = setting(seed_or_none, None)

    def __call__(self, x=NOTHING, *args, training=None, **kwargs):
        alone = custom.running() is None and not is_symbolic((x, kwargs))
        return super().__call__(x, *args, training=True if training is None and alone else training, **kwargs)

    def change(self, x, ctx):
        return self.vary(x, ctx.draw(jax.random.uniform, (x.shape[0], self.draws), self.seed))

    def vary(self, x, u):
        """Returns the images made of `x` [B, H, W, C] by the numbers `u` [B, draws]."""
        raise TypeError(f"{type(self).__name__} has no `vary(x, u)`.")

    def forward(self, params, state, x, ctx):
        return super().forward(params, state, x, ctx) if ctx.training else (x, state)
