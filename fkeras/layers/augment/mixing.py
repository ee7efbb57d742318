"""Images mixed with others of their batch, labels with them."""

from typing import Any

import jax
import jax.numpy as jnp

from fkeras.core import dtypes, rng
from fkeras.core.settings import at_least_zero, seed_or_none, setting
from fkeras.layers.augment.base import RandomImageLayer, blend, limits
from fkeras.layers.augment.filters import boxes
from fkeras.layers.contract.base import layers


class Mixes(RandomImageLayer):
    """Base of layers that mix each image with another of its batch, on [B, H, W, C] or a dict, see `ImageLayer`.

    Rows meet, on purpose: such a batch is neither filled up nor cut. A layer writes `mix(x, other, ctx)`.
    """

    def check_input(self, shape):
        if isinstance(shape, dict):
            shape = self._check_parts(shape)
        super().check_input(shape)

    def forward(self, params, state, x, ctx):
        if not ctx.training:
            return x, state
        parts = x if isinstance(x, dict) else {"images": x}
        images = parts["images"]
        if images.ndim != 4:
            raise ValueError(f"{self.label}: expected a batch of images [B, H, W, C], got shape {images.shape}.")
        partner = jax.random.permutation(rng.fold(ctx.layer_key(self.seed), "partner"), images.shape[0])
        shares = []

        def change(x, ctx):
            mixed, share = self.mix(x, x[partner], ctx)
            shares.append(share)
            return mixed

        out = {**parts, "images": self.on_images(images, ctx, change)}
        if "labels" in parts:
            labels = parts["labels"]
            labels = labels if jnp.issubdtype(labels.dtype, jnp.floating) else labels.astype(out["images"].dtype)
            out["labels"] = blend(labels, labels[partner], shares[0])
        if "segmentation_masks" in parts:
            masks = parts["segmentation_masks"]
            out["segmentation_masks"] = self.mix_masks(masks, partner, ctx)
        if "bounding_boxes" in parts:
            out["bounding_boxes"] = self.mix_boxes(parts["bounding_boxes"], partner)
        return out if isinstance(x, dict) else out["images"], state

    def mix_masks(self, masks, partner, ctx):
        """Returns the masks of mixed images."""
        raise TypeError(f"{type(self).__name__} has no `mix_masks(masks, partner, ctx)`.")

    def mix_boxes(self, boxes, partner):
        """Returns the boxes of mixed images."""
        raise ValueError(f"{self.label}: it cannot mix bounding boxes, of which parts would be seen. Leave them out.")

    def mix(self, x, other, ctx):
        """Returns (images, the share [B] of `other` in each)."""
        raise TypeError(f"{type(self).__name__} has no `mix(x, other, ctx)`.")


@layers.register
class MixUp(Mixes):
    """Mixes each image, and its label, with another of the batch while training.

        y = (1 - s) x_i + s x_j, 1 - s ~ Beta(alpha, alpha)

    Args:
        alpha: Above 0; the larger, the closer to halves.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        seed: Int that sets this layer's draws apart, or None.

    Input shape:
        [B, H, W, C], or a dict with that at "images", and "labels" [B, ...]: vectors, such as one-hot ones. Boxes of
        both images come one after the other, and so do the channels of their masks, as in Keras.

    Example:
        >>> mixed = MixUp()({"images": jnp.ones((4, 2, 2, 3)), "labels": jnp.eye(4)}, training=True)
        >>> mixed["labels"].shape
        (4, 4)

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017, arXiv:1710.09412.
    """

    alpha: float = setting(at_least_zero, 0.2)
    data_format: Any = setting(dtypes.data_format, None)
    seed: Any = setting(seed_or_none, None)

    def check(self):
        if self.alpha == 0:
            raise ValueError(f"{self.label}: expected alpha > 0, got 0.")

    def mix(self, x, other, ctx):
        keep = ctx.draw(lambda key, shape: jax.random.beta(key, self.alpha, self.alpha, shape), x.shape[:1], self.seed)
        return blend(x, other, 1 - keep), 1 - keep

    def mix_masks(self, masks, partner, ctx):
        channels = 1 if self.data_format == "channels_first" else -1
        return jnp.concatenate([masks, masks[partner]], channels)

    def mix_boxes(self, boxes, partner):
        return {name: jnp.concatenate([value, value[partner]], 1) for name, value in boxes.items()}


@layers.register
class CutMix(Mixes):
    """Replaces a box of each image by that of another of the batch while training, and mixes labels by its area.

    Args:
        factor: (lower, upper) of the part of the image that the box covers, drawn for each side; f is (0, f).
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Input shape:
        [B, H, W, C], or a dict with that at "images", and "labels" [B, ...]: vectors, such as one-hot ones. Masks are
        cut as the images are; boxes are refused, as in Keras.

    Example:
        >>> CutMix()(jnp.ones((4, 2, 2, 3)), training=True).shape
        (4, 2, 2, 3)

    Reference:
        Yun et al., "CutMix", 2019, arXiv:1905.04899.
    """

    factor: Any = setting(limits(0, 1), 1.0)
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def mix(self, x, other, ctx):
        u = ctx.draw(jax.random.uniform, (x.shape[0], 4), self.seed)
        inside = boxes(u[:, :2], u[:, 2:], self.factor, *x.shape[1:3])
        return jnp.where(inside[..., None], other, x), jnp.mean(inside, (1, 2), dtype=x.dtype)

    def mix_masks(self, masks, partner, ctx):
        return self.on_images(masks, ctx, lambda x, ctx: self.mix(x, x[partner], ctx)[0], True)
