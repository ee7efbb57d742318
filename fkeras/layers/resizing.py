"""Space made larger or smaller without weights: zero padding, cropping, upsampling."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import choice, ints, setting
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.spatial import Spatial
from fkeras.layers.kernels import convolution as kernels

# -------------------------------------------------------------------------------------- pure functions


def zero_pad(x, padding):
    """Adds zeros around the space axes of `x` [B, *space, C]; `padding` has a pair (before, after) for each.

    Example:
        >>> zero_pad(jnp.ones((1, 2, 1)), ((1, 0),)).ravel().tolist()
        [0.0, 1.0, 1.0]
    """
    return kernels.pad(x, padding)


def crop(x, cropping):
    """Crops the space axes of `x` [B, *space, C]; `cropping` has a pair (before, after) for each.

    Raises:
        ValueError: Nothing would be left.

    Example:
        >>> crop(jnp.arange(4.0).reshape(1, 4, 1), ((1, 2),)).ravel().tolist()
        [1.0]
    """
    for i, (size, (before, after)) in enumerate(zip(x.shape[1:-1], cropping, strict=True)):
        if before + after >= size:
            raise ValueError(
                f"crop: axis {i + 1} has {size} elements, cannot take {before} + {after} off and keep one."
            )
    return x[(slice(None), *(slice(b, m - a) for m, (b, a) in zip(x.shape[1:-1], cropping, strict=True)))]


def upsample(x, size, interpolation="nearest"):
    """Makes the space axes of `x` [B, *space, C] `size` times as large.

    Args:
        x: Array [B, *space, C].
        size: Int >= 1 for each space axis.
        interpolation: "nearest" repeats elements; "bilinear", "bicubic", "lanczos3", "lanczos5" resample around the
            centres of pixels, without antialiasing (nothing is made smaller).

    Example:
        >>> upsample(jnp.array([1.0, 2.0]).reshape(1, 2, 1), (2,)).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    wide = [m * k for m, k in zip(x.shape[1:-1], size, strict=True)]
    if interpolation != "nearest":
        return jax.image.resize(x, (x.shape[0], *wide, x.shape[-1]), interpolation, antialias=False)
    # One broadcast of all axes: its gradient is one sum, where that of `jnp.repeat` is a scatter.
    spread = [x.shape[0], *(n for m in x.shape[1:-1] for n in (m, 1)), x.shape[-1]]
    full = [x.shape[0], *(n for mk in zip(x.shape[1:-1], size, strict=True) for n in mk), x.shape[-1]]
    return jnp.broadcast_to(x.reshape(spread), full).reshape(x.shape[0], *wide, x.shape[-1])


# ---------------------------------------------------------------------------------------------- layers


class Framed(Spatial):
    """Base of layers that add or take off a frame: reads an int, an int an axis, or a pair (before, after) an axis."""

    frame = "padding"  # the setting that holds it

    def check(self):
        given = getattr(self, self.frame)
        try:
            if self.spatial == 1:
                pairs = (ints(2, 0)(given[0] if np.ndim(given) == 2 and len(given) == 1 else given),)
            elif np.ndim(given) == 0:
                pairs = (ints(2, 0)(given),) * self.spatial
            elif len(given) == self.spatial:
                pairs = tuple(ints(2, 0)(g) for g in given)
            else:
                raise ValueError(f"expected {self.spatial} entries, got {given!r}.")
        except (TypeError, ValueError) as err:
            raise ValueError(
                f"{self.label}, {self.frame}={given!r}: {err} Give an integer, one an axis, or a pair (before, after) "
                f"an axis."
            ) from None
        setattr(self, self.frame, pairs[0] if self.spatial == 1 else pairs)

    @property
    def pairs(self):
        """The frame as a tuple of pairs, one an axis."""
        frame = getattr(self, self.frame)
        return (frame,) if self.spatial == 1 else frame


class ZeroPadding(Framed):
    """Base of layers that add zeros around space.

    Args:
        padding: Int, one an axis, or a pair (before, after) an axis.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        The same with the padding added to space.

    Example:
        >>> ZeroPadding2D(((1, 0), (2, 2)))(jnp.ones((1, 3, 3, 1))).shape
        (1, 4, 7, 1)

    Reference:
        As Keras 3.
    """

    padding: Any = 1
    data_format: str = setting(dtypes.data_format, None)

    def forward(self, params, state, x, ctx):
        return self.as_given(zero_pad(self.channels_last(x), self.pairs)), state


class Cropping(Framed):
    """Base of layers that crop the edges of space.

    Args:
        cropping: Int, one an axis, or a pair (before, after) an axis.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        The same with the cropping taken from space.

    Example:
        >>> Cropping2D(((1, 0), (1, 1)))(jnp.ones((1, 3, 4, 1))).shape
        (1, 2, 2, 1)

    Reference:
        As Keras 3.
    """

    frame = "cropping"

    def check_input(self, shape):
        super().check_input(shape)
        for i, (size, pair) in enumerate(zip(self.channels_last(shape)[1:-1], self.pairs, strict=True)):
            if size is not None and sum(pair) >= size:
                raise ValueError(
                    f"{self.label}: space axis {i + 1} has {size} elements, cannot take {pair[0]} + {pair[1]} off and "
                    f"keep one. Input shape: {shape}."
                )

    def forward(self, params, state, x, ctx):
        return self.as_given(crop(self.channels_last(x), self.pairs)), state


class UpSampling(Spatial):
    """Base of layers that make space a whole number of times larger.

    Args:
        size: Int, or one an axis (`UpSampling1D`: an int).
        data_format: "channels_last", "channels_first", or None for the process-wide default (2D, 3D).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5" (2D).

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        The same with space multiplied by `size`.

    Example:
        >>> UpSampling2D((2, 3))(jnp.ones((1, 3, 3, 1))).shape
        (1, 6, 9, 1)

    Reference:
        As Keras 3.
    """

    interpolation = "nearest"  # a setting in 2D

    def check(self):
        self.spread("size")

    def forward(self, params, state, x, ctx):
        return self.as_given(upsample(self.channels_last(x), self.size, self.interpolation)), state


@layers.register
class ZeroPadding1D(ZeroPadding):
    """Zeros before and after time [B, T, C]."""

    spatial = 1


@layers.register
class ZeroPadding2D(ZeroPadding):
    """Zeros around images [B, H, W, C]."""

    spatial = 2


@layers.register
class ZeroPadding3D(ZeroPadding):
    """Zeros around volumes [B, D, H, W, C]."""

    spatial = 3


@layers.register
class Cropping1D(Cropping):
    """Takes off first and last time steps [B, T, C]; always with the channels last."""

    spatial = 1
    cropping: Any = (1, 1)


@layers.register
class Cropping2D(Cropping):
    """Takes off edges of images [B, H, W, C]."""

    spatial = 2
    cropping: Any = ((0, 0), (0, 0))
    data_format: str = setting(dtypes.data_format, None)


@layers.register
class Cropping3D(Cropping):
    """Takes off edges of volumes [B, D, H, W, C]."""

    spatial = 3
    cropping: Any = ((1, 1), (1, 1), (1, 1))
    data_format: str = setting(dtypes.data_format, None)


@layers.register
class UpSampling1D(UpSampling):
    """Repeats time steps [B, T, C] `size` times; always with the channels last."""

    spatial = 1
    size: Any = 2

    def check(self):
        if np.ndim(self.size) == 1 and len(self.size) == 1:
            self.size = self.size[0]
        super().check()
        self.size = self.size[0]  # Keras keeps an int here

    def forward(self, params, state, x, ctx):
        return upsample(x, (self.size,)), state


@layers.register
class UpSampling2D(UpSampling):
    """Makes images [B, H, W, C] larger."""

    spatial = 2
    size: Any = 2
    data_format: str = setting(dtypes.data_format, None)
    interpolation: str = setting(choice("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"), "nearest")


@layers.register
class UpSampling3D(UpSampling):
    """Repeats the voxels of volumes [B, D, H, W, C]."""

    spatial = 3
    size: Any = 2
    data_format: str = setting(dtypes.data_format, None)
