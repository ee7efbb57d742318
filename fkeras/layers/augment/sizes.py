"""Images in another size: resized, cropped in the middle or anywhere."""

from typing import Any

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import choice, positive_int, seed_or_none, setting
from fkeras.layers.augment.base import ImageLayer, RandomImageLayer
from fkeras.layers.contract.base import layers
from fkeras.layers.kernels import images as kernels


def crop_each(x, top, left, height, width):
    """Crops image b of `x` [B, H, W, C] to rows top[b], ..., top[b] + height - 1 and such columns."""
    rows = top[:, None] + jnp.arange(height)
    columns = left[:, None] + jnp.arange(width)
    x = jnp.take_along_axis(x, rows[:, :, None, None], 1)
    return jnp.take_along_axis(x, columns[:, None, :, None], 2)


@layers.register
class Resizing(ImageLayer):
    """Resizes images to (height, width); whole numbers are rounded and stay whole numbers.

    Args:
        height, width: Of the output.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: Cut what is too much from the middle instead of distorting.
        pad_to_aspect_ratio: Add `fill_value` around instead of distorting.
        fill_mode: "constant", the only one.
        fill_value: What is added around.
        antialias: Smooth before making smaller.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> Resizing(2, 3)(np.zeros((5, 8, 8, 1), "uint8")).shape
        (5, 2, 3, 1)
    """

    keeps_ints = True
    moves = True
    height: int = setting(positive_int)
    width: int = setting(positive_int)
    interpolation: str = setting(choice("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"), "bilinear")
    crop_to_aspect_ratio: bool = setting(bool, False)
    pad_to_aspect_ratio: bool = setting(bool, False)
    fill_mode: str = setting(choice("constant"), "constant")
    fill_value: float = setting(float, 0.0)
    antialias: bool = setting(bool, False)
    data_format: Any = setting(dtypes.data_format, None)

    def check(self):
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(f"{self.label}: crop_to_aspect_ratio and pad_to_aspect_ratio do not go together.")

    def change(self, x, ctx):
        size = self.height, self.width
        return kernels.resize(x, size, self.interpolation, self.antialias, self._ratio(), self.fill_value)

    def change_masks(self, x, ctx):
        return kernels.resize(x, (self.height, self.width), "nearest", False, self._ratio(), self.fill_value)

    def move(self, points, ctx, height, width):
        return resized(points, height, width, self.height, self.width, self._ratio())

    def _ratio(self):
        return "crop" if self.crop_to_aspect_ratio else "pad" if self.pad_to_aspect_ratio else None


@layers.register
class CenterCrop(ImageLayer):
    """Crops the middle (height, width) of images; smaller ones are resized, keeping the ratio of their sides.

    Args:
        height, width: Of the output.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> CenterCrop(1, 2)(jnp.arange(12.0).reshape(1, 3, 4, 1)).ravel().tolist()
        [5.0, 6.0]
    """

    height: int = setting(positive_int)
    width: int = setting(positive_int)
    data_format: Any = setting(dtypes.data_format, None)

    moves = True

    def change(self, x, ctx):
        return center_crop(x, self.height, self.width)

    def change_masks(self, x, ctx):
        return center_crop(x, self.height, self.width, "nearest")

    def move(self, points, ctx, height, width):
        top, left = (height - self.height) // 2, (width - self.width) // 2
        if top < 0 or left < 0:
            return resized(points, height, width, self.height, self.width, "crop")
        return points - jnp.array([left, top], points.dtype)


def center_crop(x, height, width, interpolation="bilinear"):
    """Crops the middle of `x` [B, H, W, C], or resizes the largest box of that ratio where it is smaller."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    if top < 0 or left < 0:
        return kernels.resize(x, (height, width), interpolation, False, "crop", 0.0)
    return x[:, top : top + height, left : left + width]


def resized(points, height, width, new_height, new_width, ratio):
    """Moves points [B, n, 2], (x, y), as `kernels.resize` does pixels."""
    (H, W), (top, left) = kernels.kept_box((height, width), (new_height, new_width), ratio)
    scale = jnp.array([new_width / W, new_height / H], points.dtype)
    return (points - jnp.array([left, top], points.dtype)) * scale


@layers.register
class RandomCrop(RandomImageLayer):
    """Crops each image to (height, width) at a random place while training, at inference as `resize` does.

    At inference, and where an image is too small, the largest middle box of that ratio is resized: as Keras documents
    it; its release 3.15 hands images on uncropped at inference, and crops all images of a batch at one place.

    Args:
        height, width: Of the output.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> RandomCrop(2, 2)(np.zeros((4, 8, 8, 3)), training=True).shape
        (4, 2, 2, 3)
    """

    draws = 2
    height: int = setting(positive_int)
    width: int = setting(positive_int)
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)
    name: str = setting(default=None)

    def forward(self, params, state, x, ctx):
        return ImageLayer.forward(self, params, state, x, ctx)

    moves = True

    def change(self, x, ctx, interpolation="bilinear"):
        if self._crops(ctx, *x.shape[1:3]):
            return super().change(x, ctx)
        return kernels.resize(x, (self.height, self.width), interpolation, False, "crop", 0.0)

    def change_masks(self, x, ctx):
        return self.change(x, ctx, "nearest")

    def move(self, points, ctx, height, width):
        if not self._crops(ctx, height, width):
            return resized(points, height, width, self.height, self.width, "crop")
        place = self._places(self.drawn(points.shape[0], ctx), height, width)
        return points - place[:, None, ::-1].astype(points.dtype)

    def vary(self, x, u):
        place = self._places(u, *x.shape[1:3])
        return crop_each(x, place[:, 0], place[:, 1], self.height, self.width)

    def _crops(self, ctx, height, width):
        return ctx.training and height >= self.height and width >= self.width

    def _places(self, u, height, width):
        """Returns where the crops begin, int [B, 2]: rows and columns."""
        rest = jnp.array([height - self.height, width - self.width])
        return jnp.minimum((u * (rest + 1)).astype(jnp.int32), rest)
