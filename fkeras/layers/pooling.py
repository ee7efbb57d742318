"""Pooling: maxima and means over windows or over all of space."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import choice, setting
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.spatial import Spatial
from fkeras.layers.contract.windows import Window
from fkeras.layers.kernels import convolution as kernels

# -------------------------------------------------------------------------------------- pure functions


def max_pool(x, pool_size, strides=None, padding="valid"):
    """Takes the largest element of each window.

    The gradient goes to the first of equal elements, on every device.

    Args:
        x: Array [B, *space, C].
        pool_size: Int, or one an axis.
        strides: Int, or one an axis, or None for `pool_size`.
        padding: "valid", "same" (padding never wins), or pairs (before, after).

    Returns:
        Array [B, *windows, C] of the dtype of `x`.

    Raises:
        ValueError: The window is larger than an axis.

    Example:
        >>> max_pool(jnp.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 4, 1), 2).ravel().tolist()
        [3.0, 5.0]
    """
    window, strides, pads, _ = _windows(x, pool_size, strides, padding)
    return kernels.window_max(x, window, strides, pads)


def average_pool(x, pool_size, strides=None, padding="valid"):
    """Takes the mean of each window; padding does not count.

    Args:
        As `max_pool`; `x` is a float array. Half precision is summed in float32.

    Example:
        >>> average_pool(jnp.array([1.0, 3.0, 2.0]).reshape(1, 3, 1), 2, padding="same").ravel().tolist()
        [2.0, 2.0]
    """
    window, strides, pads, counts = _windows(x, pool_size, strides, padding)
    total = kernels.window_sum(x.astype(at_least_float32(x.dtype)), window, strides, pads)
    counted = np.ones((), "float32")  # elements of a window that are no padding: the product of those of each axis
    for size, k, s, (before, _), count in zip(x.shape[1:-1], window, strides, pads, counts, strict=True):
        start = np.arange(count) * s - before
        counted = np.multiply.outer(counted, np.minimum(start + k, size) - np.maximum(start, 0))
    counted = counted.max() if counted.min() == counted.max() else counted[None, ..., None]
    return (total / counted.astype(total.dtype)).astype(x.dtype)


def masked_mean(x, mask):
    """Takes the mean over the time steps of `x` [B, T, C] that `mask` [B, T] marks; 0 where there are none."""
    real = mask.astype(bool)[..., None]
    count = jnp.sum(real, 1, dtype=jnp.float32)
    total = jnp.sum(jnp.where(real, x, 0), 1, dtype=at_least_float32(x.dtype))
    return (total / jnp.maximum(count, 1).astype(total.dtype)).astype(x.dtype)


def _windows(x, pool_size, strides, padding):
    n = x.ndim - 2
    window = (pool_size,) * n if np.ndim(pool_size) == 0 else tuple(pool_size)
    strides = window if strides is None else (strides,) * n if np.ndim(strides) == 0 else tuple(strides)
    return window, strides, *kernels.window_pads(x.shape[1:-1], window, strides, (1,) * n, padding)


# ---------------------------------------------------------------------------------------------- layers


class Pooling(Spatial):
    """Base of layers that pool over windows.

    Args:
        pool_size: Int, or one an axis.
        strides: Int, or one an axis; None is `pool_size`.
        padding: "valid", or "same": as many windows as strides.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        The same with (size - pool) // stride + 1 elements an axis ("valid") or ceil(size / stride) ("same").

    Example:
        >>> MaxPooling2D(2)(jnp.zeros((1, 6, 7, 3))).shape
        (1, 3, 3, 3)

    Reference:
        As Keras 3.
    """

    pool_size: Any = 2
    strides: Any = None
    padding: str = setting(choice("valid", "same"), "valid")
    data_format: str = setting(dtypes.data_format, None)
    name: str = setting(default=None)

    pool = staticmethod(max_pool)

    def check(self):
        self.spread("pool_size")
        if self.strides is None:
            self.strides = self.pool_size
        self.spread("strides")

    def check_input(self, shape):
        super().check_input(shape)
        self.check_windows(shape, self.pool_size, self.strides, (1,) * self.spatial, self.padding)

    def windows(self, rank):
        space = map(Window, self.pool_size, self.strides)
        return self.windows_of(space, Window()) if self.padding == "valid" else None

    def forward(self, params, state, x, ctx):
        x = self.channels_last(x)
        return self.as_given(self.pool(x, self.pool_size, self.strides, self.padding)), state


class GlobalPooling(Spatial):
    """Base of layers that pool over all of space.

    Args:
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        keepdims: The space axes stay, with size 1.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        [B, C], or the input's with ones for space.

    Example:
        >>> GlobalAveragePooling2D()(jnp.ones((2, 4, 4, 3))).shape
        (2, 3)

    Reference:
        As Keras 3.
    """

    data_format: str = setting(dtypes.data_format, None)
    keepdims: bool = False

    def flat(self, y):
        """Gives [B, C] its space axes of size 1 back, where they are to be kept."""
        return self.as_given(y.reshape(y.shape[0], *(1,) * self.spatial, y.shape[1])) if self.keepdims else y


class MaxPooling(Pooling):
    """Maximum over windows."""


class AveragePooling(Pooling):
    """Mean over windows; padding does not count. `Pooling` describes the settings."""

    pool_size: Any
    pool = staticmethod(average_pool)


class GlobalMaxPooling(GlobalPooling):
    """Maximum over all of space."""

    def forward(self, params, state, x, ctx):
        # The gradient looks for the largest by its value: computed anew, and rounded otherwise, it would not be found.
        x = (
            kernels.computed_once(self.channels_last(x))
            if jnp.issubdtype(x.dtype, jnp.floating)
            else self.channels_last(x)
        )
        return self.flat(jnp.max(x, tuple(range(1, x.ndim - 1)))), state


class GlobalAveragePooling(GlobalPooling):
    """Mean over all of space."""

    def forward(self, params, state, x, ctx):
        return self.flat(jnp.mean(self.channels_last(x), tuple(range(1, x.ndim - 1)))), state


@layers.register
class MaxPooling1D(MaxPooling):
    """Maximum over windows of time [B, T, C]."""

    spatial = 1


@layers.register
class MaxPooling2D(MaxPooling):
    """Maximum over windows of images [B, H, W, C]."""

    spatial = 2


@layers.register
class MaxPooling3D(MaxPooling):
    """Maximum over windows of volumes [B, D, H, W, C]."""

    spatial = 3


@layers.register
class AveragePooling1D(AveragePooling):
    """Mean over windows of time [B, T, C]."""

    spatial = 1


@layers.register
class AveragePooling2D(AveragePooling):
    """Mean over windows of images [B, H, W, C]."""

    spatial = 2


@layers.register
class AveragePooling3D(AveragePooling):
    """Mean over windows of volumes [B, D, H, W, C]."""

    spatial = 3


@layers.register
class GlobalMaxPooling1D(GlobalMaxPooling):
    """Maximum over all steps of time [B, T, C]."""

    spatial = 1


@layers.register
class GlobalMaxPooling2D(GlobalMaxPooling):
    """Maximum over all of an image [B, H, W, C]."""

    spatial = 2


@layers.register
class GlobalMaxPooling3D(GlobalMaxPooling):
    """Maximum over all of a volume [B, D, H, W, C]."""

    spatial = 3


@layers.register
class GlobalAveragePooling1D(GlobalAveragePooling):
    """Mean over all steps of time [B, T, C] that the mask marks.

    A row without a marked step gives 0, where Keras gives NaN: padded rows of a batch are such rows, and a NaN of
    theirs would reach the weights.
    """

    spatial = 1
    supports_masking = True
    call_order = ("mask",)

    def compute_mask(self, inputs, mask=None):
        return None

    def forward(self, params, state, x, ctx):
        if ctx.mask is None:
            return super().forward(params, state, x, ctx)
        return self.flat(masked_mean(self.channels_last(x), ctx.mask)), state


@layers.register
class GlobalAveragePooling2D(GlobalAveragePooling):
    """Mean over all of an image [B, H, W, C]."""

    spatial = 2


@layers.register
class GlobalAveragePooling3D(GlobalAveragePooling):
    """Mean over all of a volume [B, D, H, W, C]."""

    spatial = 3
