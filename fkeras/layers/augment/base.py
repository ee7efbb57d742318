"""What layers on images share: one image or a batch, where the channels are, dtypes, and what is drawn for each row."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import optional, seed_or_none, setting
from fkeras.core.symbol import is_symbolic
from fkeras.layers.contract import custom
from fkeras.layers.contract.arguments import NOTHING
from fkeras.layers.contract.base import Layer
from fkeras.layers.kernels import boxes as box_kernels

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


def where(applied, changed, x):
    """Takes the images of `changed` where `applied` [B], else those of `x`."""
    return jnp.where(applied.reshape(-1, 1, 1, 1), changed, x)


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
            return float(lower) + 0.0, float(upper) + 0.0  # -0.0 would not be the same config as 0.0
        f = abs(float(value))
        return (-f if mirrored else max(-f, float(low))) + 0.0, f

    return convert


def value_range(value):
    """Converter: the pair (lowest, highest) of pixel values."""
    wrong = np.ndim(value) != 1 or len(value) != 2 or any(isinstance(v, str) for v in value)
    if wrong or not value[0] < value[1]:
        raise ValueError(f"expected (lowest, highest), such as (0, 255) or (0, 1), got {value!r}.")
    return tuple(value)


# ---------------------------------------------------------------------------------------------- layers


KEYS = ("images", "labels", "bounding_boxes", "segmentation_masks")


class ImageLayer(Layer):
    """Base of layers on images [B, H, W, C], or one [H, W, C]; [B, C, H, W] where `data_format` says so.

    Or on a dict: "images", and what belongs to them: "labels", "segmentation_masks" (as images, of class numbers), and
    "bounding_boxes", {"boxes": [B, N, 4], "labels": [B, N]} in the format `bounding_box_format`. Where pixels move,
    masks and boxes move with them; a box of which nothing is left gets the label -1.

    A layer writes `change(x, ctx)` on a batch of floats, channels last. One that moves pixels says `moves = True`, and
    writes `change_masks(x, ctx)` where it has to differ, and `move(points, ctx, height, width)`.
    """

    keeps_ints = False  # whole numbers come out as such; else in the compute dtype
    takes_ints = True  # so that labels and masks stay whole numbers; images are cast here
    moves = False
    bounding_box_format: Any = setting(optional(box_kernels.box_format), None, keyword=True)

    def get_config(self):
        config = super().get_config()
        if self.bounding_box_format is None:  # as Keras, whose older releases do not know it
            del config["bounding_box_format"]
        return config

    def check_input(self, shape):
        if isinstance(shape, dict):
            shape = self._check_parts(shape)
        if len(shape) not in (3, 4):
            raise ValueError(
                f"{self.label}: expected images [B, H, W, C] or one image [H, W, C], got shape {tuple(shape)}."
            )

    def _check_parts(self, parts):
        """Returns the shape of the images of a dict."""
        if "images" not in parts or (others := set(parts) - set(KEYS)):
            others = set(parts) if "images" not in parts else others
            raise ValueError(
                f"{self.label}: expected a dict with 'images' and of {', '.join(map(repr, KEYS[1:]))}, got the keys "
                f"{', '.join(sorted(map(repr, others)))}."
            )
        if "bounding_boxes" in parts and self.bounding_box_format is None:
            raise ValueError(f"{self.label}: pass bounding_box_format, such as 'xyxy', to say what the boxes mean.")
        if "bounding_boxes" in parts and "boxes" not in parts["bounding_boxes"]:
            raise ValueError(f"{self.label}: expected bounding_boxes={{'boxes': ..., 'labels': ...}}.")
        return parts["images"]

    def change(self, x, ctx):
        """Returns the images made of `x` [B, H, W, C]."""
        raise TypeError(f"{type(self).__name__} has no `change(x, ctx)`.")

    def change_masks(self, x, ctx):
        """Returns the masks made of `x` [B, H, W, C] as the images are, with no number between two classes."""
        return self.change(x, ctx)

    def move(self, points, ctx, height, width):
        """Returns where points [B, n, 2], (x, y) in pixels of images of that size, are afterwards."""
        raise ValueError(f"{self.label}: it cannot move bounding boxes. Leave them out.")

    def forward(self, params, state, x, ctx):
        if isinstance(x, dict):
            return self.forward_parts(x, ctx), state
        return self.on_images(x, ctx, self.change), state

    def on_images(self, x, ctx, change, keeps_ints=None):
        """Applies `change` to images, whatever their axes and dtype; or to masks, whose whole numbers are kept."""
        if x.ndim not in (3, 4):
            self.check_input(x.shape)
        keeps_ints = self.keeps_ints if keeps_ints is None else keeps_ints
        if not keeps_ints and not jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(self.dtype.compute_dtype)
        images = self.as_batch(x)
        images = change(images.astype(self.computes_in(x.dtype)), ctx)
        images = jnp.moveaxis(images, -1, 1) if self._is_first() else images
        return as_dtype(images if x.ndim == 4 else images[0], x.dtype)

    def as_batch(self, x):
        """Returns images [B, H, W, C] of any that the layer takes."""
        images = x if x.ndim == 4 else x[None]
        return jnp.moveaxis(images, 1, -1) if self._is_first() else images

    def _is_first(self):
        return getattr(self, "data_format", None) == "channels_first"

    def forward_parts(self, parts, ctx):
        """Applies the layer to a dict, see the class."""
        self._check_parts(parts)
        out = {**parts, "images": self.on_images(parts["images"], ctx, self.change)}
        if not self.moves:
            return out
        if "segmentation_masks" in parts:
            out["segmentation_masks"] = self.on_images(parts["segmentation_masks"], ctx, self.change_masks, True)
        if "bounding_boxes" in parts:
            sizes = [self.as_batch(x).shape[1:3] for x in (parts["images"], out["images"])]
            out["bounding_boxes"] = self.move_boxes(parts["bounding_boxes"], ctx, *sizes)
        return out

    def move_boxes(self, given, ctx, before, after):
        """Returns boxes moved as the pixels are, from images of the size `before` to `after`."""
        boxes, labels, kind = given["boxes"], given.get("labels"), self.bounding_box_format
        alone = boxes.ndim == 2
        dtype = dtypes.at_least_float32(boxes.dtype) if jnp.issubdtype(boxes.dtype, jnp.floating) else jnp.float32
        corners = box_kernels.to_corners((boxes[None] if alone else boxes).astype(dtype), kind, *before)
        points = box_kernels.corner_points(corners)  # [B, N, 4, 2]
        moved = self.move(points.reshape(points.shape[0], -1, 2), ctx, *before)
        corners = box_kernels.around(moved.reshape(points.shape))
        labels = labels[None] if alone and labels is not None else labels
        corners, labels = box_kernels.clip(corners, labels, *after)
        boxes = box_kernels.from_corners(corners, kind, *after)
        out = {**given, "boxes": boxes[0] if alone else boxes}
        if labels is not None:
            out["labels"] = labels[0] if alone else labels
        return out

    def computes_in(self, dtype):
        """Returns the dtype of the arithmetic: float32, since half precision cannot number the pixels of a row."""
        return dtypes.at_least_float32(dtype) if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype("float32")


class VariesAlone:
    """Called on arrays outside of a model it varies them unless told `training=False`, as in Keras."""

    def __call__(self, x=NOTHING, *args, training=None, **kwargs):
        alone = custom.running() is None and not is_symbolic((x, kwargs))
        return super().__call__(x, *args, training=True if training is None and alone else training, **kwargs)


class RandomImageLayer(VariesAlone, ImageLayer):
    """Base of layers that vary images while training: a function of (key, row), nothing at inference.

    A layer writes `vary(x, u)`: `u` [B, draws] holds the numbers in [0, 1) drawn for each row. Called on arrays outside
    of a model it varies them unless told `training=False`, as in Keras.
    """

    draws = 1
    seed: Any = setting(seed_or_none, None)

    def drawn(self, count, ctx):
        """Returns the numbers [count, draws] of a call: the same ones whenever it asks."""
        return ctx.draw(jax.random.uniform, (count, self.draws), self.seed)

    def change(self, x, ctx):
        return self.vary(x, self.drawn(x.shape[0], ctx))

    def change_masks(self, x, ctx):
        return self.vary_masks(x, self.drawn(x.shape[0], ctx))

    def move(self, points, ctx, height, width):
        return self.move_drawn(points, self.drawn(points.shape[0], ctx).astype(points.dtype), height, width)

    def vary(self, x, u):
        """Returns the images made of `x` [B, H, W, C] by the numbers `u` [B, draws]."""
        raise TypeError(f"{type(self).__name__} has no `vary(x, u)`.")

    def vary_masks(self, x, u):
        """Returns the masks made of `x` by the same numbers, see `change_masks`."""
        return self.vary(x, u)

    def move_drawn(self, points, u, height, width):
        """Returns where points are afterwards, by the same numbers, see `move`."""
        return ImageLayer.move(self, points, None, height, width)

    def forward(self, params, state, x, ctx):
        return super().forward(params, state, x, ctx) if ctx.training else (x, state)
