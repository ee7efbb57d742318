"""Images moved: flipped, turned, zoomed, shifted, sheared."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import choice, optional, seed_or_none, setting
from fkeras.layers.augment.base import RandomImageLayer, between, limits, per_image, value_range, where
from fkeras.layers.augment.filters import blur
from fkeras.layers.contract.base import layers
from fkeras.layers.kernels import images as kernels

ELASTIC_WINDOW = 19  # cells: three widths to each side
_ORDERS = {"nearest": 0, "bilinear": 1}
_fill_mode = choice("constant", "nearest", "wrap", "reflect")
_interpolation = choice("bilinear", "nearest")


_either_way = limits(-1, 1, mirrored=True)


def _shear(value):
    lower, upper = _either_way(value)
    if lower < 0 and (lower != -upper or (np.ndim(value) == 0 and value < 0)):
        raise ValueError(f"expected a number or a pair of numbers in [0, 1], got {value!r}.")
    return upper if lower == -upper else (lower, upper)  # Keras's configs have (-f, f), which Keras does not read


def _share(value):
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not 0 <= float(value) <= 1:
        raise ValueError(f"expected a number in [0, 1], got {value!r}.")
    return float(value)


# -------------------------------------------------------------------------------------- pure functions


def rotation(angle, height, width):
    """Returns transforms [B, 8] for `kernels.affine` that turn images by `angle` [B] about their middle."""
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    return _about_middle((cos, -sin, sin, cos), height, width)


def zoom(vertical, horizontal, height, width):
    """Returns transforms [B, 8] that show `vertical` and `horizontal` [B] times as much, about the middle."""
    zero = jnp.zeros_like(vertical)
    return _about_middle((horizontal, zero, zero, vertical), height, width)


def shift(down, right):
    """Returns transforms [B, 8] that move images by so many pixels [B]."""
    one, zero = jnp.ones_like(down), jnp.zeros_like(down)
    return jnp.stack([one, zero, -right, zero, one, -down, zero, zero], -1)


def _about_middle(matrix, height, width):
    a0, a1, b0, b1 = matrix
    x, y = (width - 1) / 2, (height - 1) / 2
    zero = jnp.zeros_like(a0)
    return jnp.stack([a0, a1, x - a0 * x - a1 * y, b0, b1, y - b0 * x - b1 * y, zero, zero], -1)


# ---------------------------------------------------------------------------------------------- layers


@layers.register
class RandomFlip(RandomImageLayer):
    """Flips half of the images while training.

    Args:
        mode: "horizontal", "vertical", or "horizontal_and_vertical": both ways at once, as Keras 3 does.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> RandomFlip("horizontal")(jnp.ones((2, 4, 4, 3)), training=False).shape
        (2, 4, 4, 3)
    """

    moves = True
    mode: str = setting(choice("horizontal", "vertical", "horizontal_and_vertical"), "horizontal_and_vertical")
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def vary(self, x, u):
        axes = {"horizontal": 2, "vertical": 1, "horizontal_and_vertical": (1, 2)}[self.mode]
        return jnp.where(per_image(u[:, 0], x) <= 0.5, jnp.flip(x, axes), x)

    def move_drawn(self, points, u, height, width):
        across, down = (name in self.mode for name in ("horizontal", "vertical"))
        x, y = points[..., 0], points[..., 1]
        flipped = jnp.stack([width - x if across else x, height - y if down else y], -1)
        return jnp.where(per_image(u[:, 0], points) <= 0.5, flipped, points)


class _Warps(RandomImageLayer):
    """A layer that reads its images at other places: `transform(u, height, width)` says which."""

    moves = True

    def vary(self, x, u, order=None):
        transform = self.transform(u.astype(x.dtype), *x.shape[1:3])
        order = _ORDERS[self.interpolation] if order is None else order
        return kernels.affine(x, transform, order, self.fill_mode, self.fill_value)

    def vary_masks(self, x, u):
        return self.vary(x, u, 0)

    def move_drawn(self, points, u, height, width):
        return kernels.unaffine(points, self.transform(u, height, width))


@layers.register
class RandomRotation(_Warps):
    """Turns each image while training, by an angle between the factors times a whole turn, counter-clockwise.

    Args:
        factor: (lower, upper) in whole turns, or f for (-f, f); within [-1, 1].
        fill_mode: What lies outside: "reflect", "constant", "wrap" or "nearest".
        interpolation: "bilinear" or "nearest".
        seed: Int that sets this layer's draws apart, or None.
        fill_value: With "constant".
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> RandomRotation((0.5, 0.5))(jnp.arange(4.0).reshape(2, 2, 1)).round().ravel().tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    factor: Any = setting(limits(-1, 1))
    fill_mode: str = setting(_fill_mode, "reflect")
    interpolation: str = setting(_interpolation, "bilinear")
    seed: Any = setting(seed_or_none, None)
    fill_value: float = setting(float, 0.0)
    data_format: Any = setting(dtypes.data_format, None)

    def transform(self, u, height, width):
        return rotation(2 * math.pi * between(u[:, 0], self.factor), height, width)


@layers.register
class RandomZoom(_Warps):
    """Zooms each image while training: out by factors above 0, in by those below.

    Args:
        height_factor: (lower, upper), or f for (-f, f); within (-1, 1]. 0.2 shows 120 % of the height.
        width_factor: The same across, or None to zoom both sides alike.
        fill_mode, interpolation, seed, fill_value, data_format: As in `RandomRotation`.

    Example:
        >>> RandomZoom(0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    draws = 2
    height_factor: Any = setting(limits(-1, 1, mirrored=True, open_low=True))
    width_factor: Any = setting(optional(limits(-1, 1, mirrored=True, open_low=True)), None)
    fill_mode: str = setting(_fill_mode, "reflect")
    interpolation: str = setting(_interpolation, "bilinear")
    seed: Any = setting(seed_or_none, None)
    fill_value: float = setting(float, 0.0)
    data_format: Any = setting(dtypes.data_format, None)

    def transform(self, u, height, width):
        vertical = 1 + between(u[:, 0], self.height_factor)
        horizontal = vertical if self.width_factor is None else 1 + between(u[:, 1], self.width_factor)
        return zoom(vertical, horizontal, height, width)


@layers.register
class RandomTranslation(_Warps):
    """Shifts each image while training, by fractions of its sides: down and right by factors above 0.

    Args:
        height_factor, width_factor: (lower, upper), or f for (-f, f); within [-1, 1].
        fill_mode, interpolation, seed, fill_value, data_format: As in `RandomRotation`.

    Example:
        >>> RandomTranslation((0.5, 0.5), 0.0, fill_mode="constant")(jnp.ones((2, 2, 1))).ravel().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    draws = 2
    height_factor: Any = setting(limits(-1, 1, mirrored=True))
    width_factor: Any = setting(limits(-1, 1, mirrored=True))
    fill_mode: str = setting(_fill_mode, "reflect")
    interpolation: str = setting(_interpolation, "bilinear")
    seed: Any = setting(seed_or_none, None)
    fill_value: float = setting(float, 0.0)
    data_format: Any = setting(dtypes.data_format, None)

    def transform(self, u, height, width):
        down, right = between(u[:, 0], self.height_factor), between(u[:, 1], self.width_factor)
        return shift(height * down, width * right)


@layers.register
class RandomShear(_Warps):
    """Shears each image while training about its upper left corner, one way or the other: both sides the same way.

        (x, y) shows what was at (x + a y, y + b x)

    Args:
        x_factor, y_factor: (lower, upper) of a and b, or f for (-f, f); within [0, 1].
        interpolation, fill_mode, fill_value, data_format, seed: As in `RandomRotation`.

    Example:
        >>> RandomShear(0.2, 0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    draws = 3
    x_factor: Any = setting(_shear, 0.0)
    y_factor: Any = setting(_shear, 0.0)
    interpolation: str = setting(_interpolation, "bilinear")
    fill_mode: str = setting(_fill_mode, "reflect")
    fill_value: float = setting(float, 0.0)
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def transform(self, u, height, width):
        way = jnp.where(u[:, 2] > 0.5, 1.0, -1.0)
        a, b = (way * between(u[:, i], _either_way(f)) for i, f in enumerate((self.x_factor, self.y_factor)))
        one, zero = jnp.ones_like(a), jnp.zeros_like(a)
        return jnp.stack([one, a, zero, b, one, zero, zero, zero], -1)


@layers.register
class RandomPerspective(RandomImageLayer):
    """Shows images from elsewhere while training: each corner moves inwards by a part of the sides.

    Args:
        factor: (lower, upper) of the probability that an image is changed, drawn for each; f is (0, f).
        scale: Corners move by up to `scale` times half a side, within [0, 1].
        interpolation, fill_value, seed, data_format: As in `RandomRotation`; what lies outside is `fill_value`.

    Example:
        >>> RandomPerspective(scale=0.3)(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    rows_meet = False  # one small system of equations an image: `compiled.rows` has no rule for it
    draws = 10
    factor: Any = setting(limits(0, 1), 1.0)
    scale: float = setting(_share, 1.0)
    interpolation: str = setting(_interpolation, "bilinear")
    fill_value: float = setting(float, 0.0)
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    moves = True

    def vary(self, x, u, order=None):
        start, end = self.corners(u.astype(x.dtype), *x.shape[1:3])
        order = _ORDERS[self.interpolation] if order is None else order
        return where(self.chosen(u), kernels.perspective(x, start, end, order, self.fill_value), x)

    def vary_masks(self, x, u):
        return self.vary(x, u, 0)

    def move_drawn(self, points, u, height, width):
        start, end = self.corners(u, height, width)
        moved = kernels.project(kernels.projection(end, start), points[..., 0] - 0.5, points[..., 1] - 0.5)
        return jnp.where(per_image(self.chosen(u), points), jnp.stack(moved, -1) + 0.5, points)

    def chosen(self, u):
        """Returns which images are changed, bool [B]."""
        return u[:, 1] < between(u[:, 0], self.factor)

    def corners(self, u, height, width):
        """Returns the corners [B, 4, 2], as (x, y), and where they move."""
        far = jnp.array([width - 1, height - 1], u.dtype)
        corners = jnp.array([[0, 0], [1, 0], [0, 1], [1, 1]], u.dtype)
        # A whole half side would let two corners meet, and the map have no inverse.
        inwards = u[:, 2:10].reshape(-1, 4, 2) * (0.49 * self.scale) * (1 - 2 * corners)
        return jnp.broadcast_to(corners * far, inwards.shape), (corners + inwards) * far


@layers.register
class RandomElasticTransform(RandomImageLayer):
    """Bends images while training: each pixel is read near its place, by a smooth field of random displacements.

        d = 2 s n / |G|,  n = G * white noise,  G a Gaussian window of width 3 s pixels

    so that displacements have the deviation 2 s pixels, about as Keras's have.

    Args:
        factor: (lower, upper) of the probability that an image is bent, drawn for each; f is (0, f).
        scale: (lower, upper) of s, drawn for each image; f is (0, f); within [0, 1].
        interpolation, fill_mode, fill_value: As in `RandomRotation`.
        value_range: (lowest, highest) pixel; the result is kept within.
        seed, data_format: As in `RandomRotation`.

    Masks bend with their images; boxes are refused, as in Keras.

    Example:
        >>> RandomElasticTransform()(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)

    Reference:
        Simard, Steinkraus & Platt, "Best Practices for Convolutional Neural Networks", 2003, section 2.
    """

    moves = True
    factor: Any = setting(limits(0, 1), 1.0)
    scale: Any = setting(limits(0, 1), 1.0)
    interpolation: str = setting(_interpolation, "bilinear")
    fill_mode: str = setting(_fill_mode, "reflect")
    fill_value: float = setting(float, 0.0)
    value_range: Any = setting(value_range, (0, 255))
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def change(self, x, ctx):
        return jnp.clip(self._bent(x, ctx, _ORDERS[self.interpolation]), *self.value_range)

    def change_masks(self, x, ctx):
        return self._bent(x, ctx, 0)

    def _bent(self, x, ctx, order):
        count, height, width = x.shape[:3]
        u = ctx.draw(jax.random.uniform, (count, 3 + 2 * height * width), self.seed).astype(x.dtype)
        scale = jnp.maximum(between(u[:, 2], self.scale), 0.05)  # of no width the window would have no weights
        white = (2 * u[:, 3:] - 1) * math.sqrt(3)
        field = elastic_field(white.reshape(count, height, width, 2), scale)
        rows, columns = kernels.grid(x)
        places = jnp.stack([rows + field[..., 0], columns + field[..., 1]], 1)
        bent = kernels.warp(x, places, order, self.fill_mode, self.fill_value)
        return where(u[:, 1] < between(u[:, 0], self.factor), bent, x)


def elastic_field(white, scale):
    """Returns displacements [B, H, W, 2] of deviation 2 `scale` [B], of noise of deviation 1."""
    sigma = jnp.stack([3 * scale] * 2, -1)
    window = jax.vmap(lambda s: kernels.gaussian(ELASTIC_WINDOW, s, white.dtype))(sigma[:, 0])
    smooth = blur(white, (ELASTIC_WINDOW, ELASTIC_WINDOW), sigma)
    return smooth * per_image(2 * scale / jnp.sum(window**2, -1), white)
