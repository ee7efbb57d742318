"""Images filtered: blurred, sharpened, inverted, in fewer shades, with parts erased, histograms spread."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import ints, optional, positive_int, seed_or_none, setting
from fkeras.layers.augment.base import (
    ImageLayer,
    RandomImageLayer,
    between,
    blend,
    limits,
    per_image,
    value_range,
    where,
)
from fkeras.layers.augment.colors import ColorLayer, from_unit, gray, to_unit
from fkeras.layers.contract.base import layers
from fkeras.layers.kernels import images as kernels

# -------------------------------------------------------------------------------------- pure functions


def blur(x, kernel_size, sigma):
    """Smooths each image of `x` [B, H, W, C] by Gaussians of its own width; zeros lie outside.

    Args:
        kernel_size: Cells of the window, across and down.
        sigma: Widths [B, 2], across and down.
    """
    dtype = x.dtype
    for axis, size, width in ((2, kernel_size[0], sigma[:, 0]), (1, kernel_size[1], sigma[:, 1])):
        weights = jax.vmap(lambda s, size=size: kernels.gaussian(size, s, dtype))(width)  # [B, size]
        pads = [(0, 0)] * 4
        pads[axis] = ((size - 1) // 2, size // 2)
        wide, length = jnp.pad(x, pads), x.shape[axis]
        x = sum(per_image(weights[:, i], x) * jax.lax.slice_in_dim(wide, i, i + length, axis=axis) for i in range(size))
    return x


def smoothed(x):
    """Returns the mean of 3 x 3 pixels, the middle one counted five times; zeros lie outside."""
    wide = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    around = sum(wide[:, i : i + height, j : j + width] for i in range(3) for j in range(3))
    return (around + 4 * x) / 13


def equalize(x, bins=256):
    """Spreads the histogram of each image and channel: pixels from 0 to 255 become shares of darker ones.

        y = round(255 * (cdf(x) - cdf_min) / (n - cdf_min))

    An image of one color stays as it is.

    Reference:
        Gonzalez & Woods, "Digital Image Processing", section 3.3.
    """

    def one(channel):  # [n] whole numbers below `bins`
        counts = jnp.zeros(bins, jnp.int32).at[channel].add(1)
        total = jnp.cumsum(counts)
        least = counts[jnp.argmax(counts > 0)]
        rest = total[-1] - least
        shares = jnp.round((total - least) * (255 / jnp.maximum(rest, 1)))
        return jnp.where(rest > 0, shares[channel], -1.0)

    flat = jnp.moveaxis(x, -1, 1).reshape(x.shape[0], x.shape[-1], -1)  # [B, C, H * W]
    levels = jnp.clip(jnp.floor(flat * (bins / 256)), 0, bins - 1).astype(jnp.int32)
    y = jax.vmap(jax.vmap(one))(levels).astype(x.dtype)
    y = jnp.where(y < 0, flat, y)
    return jnp.moveaxis(y.reshape(x.shape[0], x.shape[-1], *x.shape[1:3]), 1, -1)


def equalize_tiles(x, tiles, clip_limit):
    """Spreads the histogram of each tile of each image and channel, with limited contrast.

        f(v) = 255 * (cdf(v) - cdf(0)) / (n - cdf(0))

    of a tile of n pixels, whose counts are cut at `clip_limit` n / 256; what is cut goes to all 256 alike. A pixel gets
    what the four tiles whose middles are nearest make of it, weighted by how near they are.

    Args:
        x: Pixels [B, H, W, C] from 0 to 255.
        tiles: How many (down, across); the image goes on in the mirror until they are equal.
        clip_limit: Largest count, in counts of a flat histogram; 0 for no limit.

    Reference:
        Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994.
    """
    (B, H, W, C), (down, across) = x.shape, tiles
    h, w = -(-H // down), -(-W // across)
    levels = jnp.clip(x, 0, 255).astype(jnp.int32).transpose(0, 3, 1, 2).reshape(B * C, H, W)
    wide = jnp.pad(levels, ((0, 0), (0, h * down - H), (0, w * across - W)), "symmetric")
    cut = wide.reshape(B * C, down, h, across, w).swapaxes(2, 3).reshape(-1, h * w)  # a tile each
    counts = jax.vmap(lambda tile: jnp.zeros(256, x.dtype).at[tile].add(1))(cut)
    if clip_limit > 0:
        kept = jnp.minimum(counts, clip_limit * h * w / 256)
        counts = kept + jnp.mean(counts - kept, -1, keepdims=True)
    total = jnp.cumsum(counts, -1)
    least, rest = total[:, :1], h * w - total[:, :1]
    curves = jnp.clip((total - least) * 255 / jnp.where(rest == 0, 1, rest), 0, 255).reshape(B * C, down, across, 256)

    def nearest_two(length, size, count):
        place = (jnp.arange(length, dtype=x.dtype) - size / 2) / size
        before = jnp.floor(place)
        ends = (jnp.clip(before + i, 0, count - 1).astype(jnp.int32) for i in (0, 1))
        return list(zip(ends, (before + 1 - place, place - before), strict=True))

    rows, columns = nearest_two(H, h, down), nearest_two(W, w, across)
    read = jax.vmap(lambda curve, level, i, j: curve[i[:, None], j, level], (0, 0, None, None))
    y = sum(a[:, None] * b * read(curves, levels, i, j) for i, a in rows for j, b in columns)
    return y.reshape(B, C, H, W).transpose(0, 2, 3, 1)


def chosen(u, v, factor):
    """Returns which images are changed: each with a probability drawn from the range `factor` by `u`; bool [B]."""
    return v < between(u, factor)


# ------------------------------------------------------------------------------------------ converters


def _bits(value):
    low, high = (1, value) if np.ndim(value) == 0 else tuple(value)
    if not 1 <= low <= high <= 8 or int(low) != low or int(high) != high:
        raise ValueError(f"expected whole numbers of bits from 1 to 8, or a pair of them, got {value!r}.")
    return int(low), int(high)


# ---------------------------------------------------------------------------------------------- layers


@layers.register
class RandomGaussianBlur(RandomImageLayer):
    """Blurs images by a Gaussian window while training.

    Args:
        factor: (lower, upper) of the probability that an image is blurred, drawn for each; f is (0, f).
        kernel_size: Cells of the window, one number or (across, down).
        sigma: (lower, upper) of the Gaussian's width, drawn for each image and side; s is (0, s).
        value_range: (lowest, highest) pixel; the result is kept within.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomGaussianBlur()(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    draws = 4
    factor: Any = setting(limits(0, 1), 1.0)
    kernel_size: Any = setting(ints(2), 3)
    sigma: Any = setting(limits(0, float("inf")), 1.0)
    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        sigma = jnp.maximum(between(u[:, 2:], self.sigma), 1e-3)  # 0 is no blur
        blurred = jnp.clip(blur(x, self.kernel_size, sigma.astype(x.dtype)), *self.value_range)
        return where(chosen(u[:, 0], u[:, 1], self.factor), blurred, x)


@layers.register
class RandomSharpness(RandomImageLayer):
    """Makes images softer or sharper while training: factor 0 smooths, 0.5 changes nothing, 1 sharpens.

        y = s + 2 f (x - s), s being `smoothed(x)`

    Args:
        factor: (lower, upper) of f within [0, 1], or f for (0, f).
        value_range: (lowest, highest) pixel; the result is kept within.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomSharpness((0.5, 0.5))(jnp.ones((2, 2, 1))).ravel().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """

    factor: Any = setting(limits(0, 1))
    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        return jnp.clip(blend(smoothed(x), x, 2 * between(u[:, 0], self.factor)), *self.value_range)


@layers.register
class RandomColorDegeneration(ColorLayer):
    """Mixes images with their gray while training: factor 0 changes nothing, 1 is gray, below 0 has more color.

    Args:
        factor: (lower, upper), or f for (-f, f); within [-1, 1].
        value_range: (lowest, highest) pixel; the result is kept within.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomColorDegeneration(0.5)(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    factor: Any = setting(limits(-1, 1))
    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        return jnp.clip(blend(x, gray(x), between(u[:, 0], self.factor)), *self.value_range)


@layers.register
class RandomInvert(RandomImageLayer):
    """Inverts images while training: y = highest + lowest - x.

    Args:
        factor: (lower, upper) of the probability that an image is inverted, drawn for each; f is (0, f).
        value_range: (lowest, highest) pixel.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> RandomInvert((1.0, 1.0), value_range=(0, 1))(jnp.array([[[0.25]]])).ravel().tolist()
        [0.75]
    """

    draws = 2
    factor: Any = setting(limits(0, 1), 1.0)
    value_range: Any = setting(value_range, (0, 255))
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def vary(self, x, u):
        return where(chosen(u[:, 0], u[:, 1], self.factor), sum(self.value_range) - x, x)


@layers.register
class RandomPosterization(RandomImageLayer):
    """Keeps only the upper bits of each pixel's 8 while training.

    Args:
        factor: (lower, upper): bits from lower to upper - 1 are kept, as in Keras, or (b, b); b is (1, b).
        value_range: (lowest, highest) pixel.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomPosterization((1, 1))(jnp.array([[[100.0], [200.0]]])).ravel().tolist()
        [0.0, 128.0]
    """

    factor: Any = setting(_bits)
    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        step = per_image(2.0 ** (8 - jnp.floor(between(u[:, 0], self.factor))), x)
        eighth = jnp.floor(to_unit(x, self.value_range) * 255 + 1e-3)  # x of a power of two may come out just below
        return from_unit(jnp.floor(eighth / step) * step / 255, self.value_range)


@layers.register
class Solarization(RandomImageLayer):
    """Adds to the pixels of images, then inverts those above a threshold, while training.

    Args:
        addition_factor: (lower, upper) of what is added, in lengths of the range of values; f is (0, f).
        threshold_factor: (lower, upper) of the threshold, in such lengths; f is (0, f).
        value_range: (lowest, highest) pixel.
        seed: Int that sets this layer's draws apart, or None.

    Both are drawn from the whole range given; Keras's release 3.15 draws them from (0, upper).

    Example:
        >>> Solarization()(jnp.array([[[55.0]]])).ravel().tolist()
        [200.0]
    """

    draws = 2
    addition_factor: Any = setting(limits(0, 1), 0.0)
    threshold_factor: Any = setting(limits(0, 1), 0.0)
    value_range: Any = setting(value_range, (0, 255))
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None, keyword=True)

    def vary(self, x, u):
        low, high = self.value_range
        added = between(u[:, 0], self.addition_factor) * (high - low)
        threshold = low + between(u[:, 1], self.threshold_factor) * (high - low)
        x = jnp.clip(x + per_image(added, x), low, high)
        return jnp.where(x < per_image(threshold, x), x, high + low - x)


@layers.register
class AutoContrast(ImageLayer):
    """Stretches each channel of each image over the whole range of values, at inference too; flat ones stay.

    Args:
        value_range: (lowest, highest) pixel.

    Example:
        >>> AutoContrast()(jnp.array([[[1.0], [2.0], [3.0]]])).ravel().tolist()
        [0.0, 127.5, 255.0]
    """

    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None, keyword=True)

    def change(self, x, ctx):
        low, high = (f(x, (1, 2), keepdims=True) for f in (jnp.min, jnp.max))
        spread = jnp.where(high > low, high - low, 1)
        stretched = from_unit((x - low) / spread, self.value_range)
        return jnp.where(high > low, stretched, x)


@layers.register
class Equalization(ImageLayer):
    """Spreads the histogram of each channel of each image, at inference too; see `equalize`.

    Args:
        value_range: (lowest, highest) pixel.
        bins: Of the histogram.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    As documented for Keras; its release 3.15 takes one histogram of a whole batch, and none with `training=False`.

    Example:
        >>> Equalization()(jnp.array([[[7.0], [8.0], [90.0]]])).ravel().tolist()
        [0.0, 128.0, 255.0]
    """

    rows_meet = False  # a histogram of each image: `compiled.rows` has no rule for their scatter
    value_range: Any = setting(value_range, (0, 255))
    bins: int = setting(positive_int, 256)
    data_format: Any = setting(dtypes.data_format, None)

    def change(self, x, ctx):
        low, high = self.value_range
        step = (high - low) / 255  # whole numbers stay whole where it is 1
        return equalize((x - low) / step, self.bins) * step + low


@layers.register
class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Spreads the histograms of tiles of each image, at inference too; see `equalize_tiles`.

    Args:
        value_range: (lowest, highest) pixel.
        clip_limit: The largest count in a histogram, in counts of a flat one: the lower, the less contrast; 0 for none.
        tile_grid_size: How many tiles, (down, across).
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> image = jnp.arange(64.0).reshape(8, 8, 1)
        >>> y = ContrastLimitedAdaptiveHistogramEqualization(clip_limit=0, tile_grid_size=(1, 1))(image)
        >>> float(y.min()), float(y.max())
        (0.0, 255.0)
    """

    rows_meet = False  # as for Equalization
    value_range: Any = setting(value_range, (0, 255))
    clip_limit: float = setting(float, 4.0)
    tile_grid_size: Any = setting(ints(2), (8, 8))
    data_format: Any = setting(dtypes.data_format, None)

    def change(self, x, ctx):
        y = equalize_tiles(to_unit(x, self.value_range) * 255, self.tile_grid_size, self.clip_limit)
        return from_unit(y / 255, self.value_range)


@layers.register
class RandomErasing(RandomImageLayer):
    """Fills a box of each image with noise or one value while training.

    Args:
        factor: (lower, upper) of the probability that an image is changed, drawn for each; f is (0, f).
        scale: (lower, upper) of the part of the image that the box covers; each side is drawn by itself.
        fill_value: A pixel value, or None for normal noise, kept within the range of values.
        value_range: (lowest, highest) pixel.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> RandomErasing((1.0, 1.0), scale=(1.0, 1.0), fill_value=0.0)(jnp.ones((1, 2, 1))).ravel().tolist()
        [0.0, 0.0]

    Reference:
        Zhong et al., "Random Erasing Data Augmentation", 2017, arXiv:1708.04896.
    """

    factor: Any = setting(limits(0, 1), 1.0)
    scale: Any = setting(limits(0, 1), (0.02, 0.33))
    fill_value: Any = setting(optional(float), None)
    value_range: Any = setting(value_range, (0, 255))
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def change(self, x, ctx):
        def sample(key, shape):
            for_box, for_noise = jax.random.split(key)
            return jax.random.uniform(for_box, (6,)), jax.random.normal(for_noise, shape)

        u, noise = ctx.draw(sample, x.shape, self.seed)
        noise = from_unit(noise.astype(x.dtype), self.value_range) if self.fill_value is None else self.fill_value
        inside = boxes(u[:, 2:4], u[:, 4:6], self.scale, *x.shape[1:3])
        erased = chosen(u[:, 0], u[:, 1], self.factor)[:, None, None] & inside
        return jnp.where(erased[..., None], noise, x)


def boxes(size, place, scale, height, width):
    """Returns bool [B, height, width]: one box an image, its sides the roots of `scale` times the image's.

    Args:
        size, place: Numbers [B, 2] in [0, 1) that choose within `scale`, and among the places where the box fits.
    """

    def along(axis, n):
        length = jnp.round(n * jnp.sqrt(between(size[:, axis], scale)))[:, None]
        start = jnp.floor(place[:, axis, None] * (n - length + 1))
        at = jnp.arange(n, dtype=length.dtype)
        return (at >= start) & (at < start + length)

    return along(0, height)[:, :, None] & along(1, width)[:, None, :]
