"""Images in other colors: contrast, brightness, hue, saturation, gray."""

from typing import Any

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import optional, seed_or_none, setting
from fkeras.layers.augment.base import RandomImageLayer, between, blend, limits, per_image, value_range
from fkeras.layers.contract.base import layers
from fkeras.layers.kernels import images as kernels

# -------------------------------------------------------------------------------------- pure functions


def to_unit(x, ends):
    """Returns pixels of range `ends` in [0, 1]."""
    return (x - ends[0]) / (ends[1] - ends[0])


def from_unit(x, ends):
    """Inverse of `to_unit`, kept within `ends`."""
    return jnp.clip(x, 0, 1) * (ends[1] - ends[0]) + ends[0]


def change_contrast(x, factor, ends):
    """Moves pixels away from each channel's mean, by `factor` [B]; 1 changes nothing."""
    mean = jnp.mean(x, (1, 2), keepdims=True)
    return jnp.clip(blend(mean, x, factor), *ends)


def change_brightness(x, factor, ends):
    """Adds `factor` [B] times the length of the range `ends`."""
    return jnp.clip(x + per_image(factor * (ends[1] - ends[0]), x), *ends)


def change_hue(x, turn, ends):
    """Turns the hue of RGB by `turn` [B], 1 being the whole circle."""
    return _in_hsv(x, ends, lambda hue, s, v: (jnp.mod(hue + per_image(turn, hue), 1.0), s, v))


def change_saturation(x, factor, ends):
    """Multiplies the saturation of RGB by `factor` [B]."""
    return _in_hsv(x, ends, lambda hue, s, v: (hue, jnp.clip(s * per_image(factor, s), 0, 1), v))


def _in_hsv(x, ends, function):
    hsv = kernels.rgb_to_hsv(to_unit(x, ends))
    return from_unit(kernels.hsv_to_rgb(jnp.stack(function(*(hsv[..., i] for i in range(3))), -1)), ends)


def gray(x):
    """Returns RGB as gray, in as many channels."""
    weights = jnp.array([0.2989, 0.5870, 0.1140], x.dtype)
    return jnp.broadcast_to(jnp.sum(x * weights, -1, keepdims=True), x.shape)


def saturation_of(factor):
    """Returns what saturation is multiplied by: f / (1 - f), so that 0.5 changes nothing, and 0 is gray."""
    return factor / (1 - factor + 1e-7)


# ---------------------------------------------------------------------------------------------- layers


class ColorLayer(RandomImageLayer):
    """A layer on red, green and blue."""

    def check_input(self, shape):
        super().check_input(shape)
        channels = shape[-3] if self.data_format == "channels_first" else shape[-1]
        if channels not in (3, None):
            raise ValueError(f"{self.label}: expected 3 channels, red, green and blue, got shape {tuple(shape)}.")


@layers.register
class RandomContrast(RandomImageLayer):
    """Moves pixels away from, or towards, the mean of their image and channel while training.

        y = mean + f * (x - mean), f drawn from [1 - lower, 1 + upper] for each image

    Args:
        factor: (lower, upper), or f for (0, f).
        value_range: (lowest, highest) pixel; the result is kept within.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomContrast(0.2, value_range=(0, 1))(jnp.full((2, 4, 4, 3), 0.5), training=True).shape
        (2, 4, 4, 3)
    """

    factor: Any = setting(limits(0, 1))
    value_range: Any = setting(value_range, (0, 255))
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None, keyword=True)

    def vary(self, x, u):
        return change_contrast(x, between(u[:, 0], (1 - self.factor[0], 1 + self.factor[1])), self.value_range)


@layers.register
class RandomBrightness(RandomImageLayer):
    """Makes each image brighter or darker while training: y = x + f * (highest - lowest).

    Args:
        factor: (lower, upper), or f for (-f, f); within [-1, 1].
        value_range: (lowest, highest) pixel; the result is kept within.
        seed: Int that sets this layer's draws apart, or None.

    Whole numbers stay whole numbers, as in Keras.

    Example:
        >>> RandomBrightness((0.5, 0.5), value_range=(0, 1))(jnp.full((1, 1, 1), 0.25)).ravel().tolist()
        [0.75]
    """

    keeps_ints = True
    factor: Any = setting(limits(-1, 1))
    value_range: Any = setting(value_range, (0, 255))
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None, keyword=True)

    def vary(self, x, u):
        return change_brightness(x, between(u[:, 0], self.factor), self.value_range)


@layers.register
class RandomHue(ColorLayer):
    """Turns the hue of each image while training, by f / 2 of the circle, one way or the other.

    Args:
        factor: (lower, upper) of f, or f for (0, f); within [0, 1].
        value_range: (lowest, highest) pixel.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomHue(0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    draws = 2
    factor: Any = setting(limits(0, 1))
    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        return change_hue(x, _either_way(between(u[:, 0], self.factor), u[:, 1]) / 2, self.value_range)


def _either_way(values, u):
    return jnp.where(u > 0.5, values, -values)


@layers.register
class RandomSaturation(ColorLayer):
    """Multiplies the saturation of each image by f / (1 - f) while training: 0 is gray, 0.5 changes nothing.

    Args:
        factor: (lower, upper) of f, or f for (-f, f), as in Keras; what is below 0 counts as 0.
        value_range: (lowest, highest) pixel.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> RandomSaturation((0.3, 0.7))(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    factor: Any = setting(limits(-1, 1))
    value_range: Any = setting(value_range, (0, 255))
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        return change_saturation(x, saturation_of(between(u[:, 0], self.factor)), self.value_range)


def _probability(value):
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not 0 <= float(value) <= 1:
        raise ValueError(f"expected the share of images that are changed, in [0, 1], got {value!r}.")
    return float(value)


@layers.register
class RandomGrayscale(ColorLayer):
    """Makes a share of the images gray while training, in three equal channels.

    Args:
        factor: Probability, in [0, 1].
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Example:
        >>> [round(v, 2) for v in RandomGrayscale(1.0)(jnp.array([[[1.0, 0.0, 0.0]]])).ravel().tolist()]
        [0.3, 0.3, 0.3]
    """

    factor: float = setting(_probability, 0.5)
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def vary(self, x, u):
        return jnp.where(per_image(u[:, 0], x) < self.factor, gray(x), x)


@layers.register
class RandomColorJitter(ColorLayer):
    """Changes brightness, contrast, saturation and hue of each image while training, in this order.

    Args:
        value_range: (lowest, highest) pixel.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: As `RandomBrightness`, `RandomContrast`,
            `RandomSaturation` and `RandomHue` take them, or None to leave it.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> RandomColorJitter((0, 1), brightness_factor=0.2, hue_factor=0.1)(jnp.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    draws = 5
    value_range: Any = setting(value_range, (0, 255))
    brightness_factor: Any = setting(optional(limits(-1, 1)), None)
    contrast_factor: Any = setting(optional(limits(0, 1)), None)
    saturation_factor: Any = setting(optional(limits(-1, 1)), None)
    hue_factor: Any = setting(optional(limits(0, 1)), None)
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def vary(self, x, u):
        ends = self.value_range
        if self.brightness_factor is not None:
            x = change_brightness(x, between(u[:, 0], self.brightness_factor), ends)
        if (f := self.contrast_factor) is not None:
            x = change_contrast(x, between(u[:, 1], (1 - f[0], 1 + f[1])), ends)
        if self.saturation_factor is not None:
            x = change_saturation(x, saturation_of(between(u[:, 2], self.saturation_factor)), ends)
        if self.hue_factor is not None:
            x = change_hue(x, _either_way(between(u[:, 3], self.hue_factor), u[:, 4]) / 2, ends)
        return x
