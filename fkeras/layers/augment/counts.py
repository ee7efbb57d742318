"""What belongs to images brought to one size: a fixed number of boxes."""

from typing import Any

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import positive_int, setting
from fkeras.layers.augment.base import ImageLayer
from fkeras.layers.contract.base import layers
from fkeras.layers.kernels.boxes import NO_BOX


@layers.register
class MaxNumBoundingBoxes(ImageLayer):
    """Cuts or fills up the boxes of each image to one number, so that batches have one shape.

    Args:
        max_number: Number of boxes of the result.
        fill_value: What boxes and labels are filled up with; -1, the label of no box.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Example:
        >>> boxes = {"boxes": jnp.ones((1, 3, 4)), "labels": jnp.array([[1, 2, 3]])}
        >>> layer = MaxNumBoundingBoxes(2, bounding_box_format="xyxy")
        >>> layer({"images": jnp.ones((1, 2, 2, 3)), "bounding_boxes": boxes})["bounding_boxes"]["labels"].tolist()
        [[1, 2]]
    """

    keeps_ints = True
    max_number: int = setting(positive_int)
    fill_value: float = setting(float, float(NO_BOX), saved=False)  # as Keras, which does not write it
    data_format: Any = setting(dtypes.data_format, None)

    def change(self, x, ctx):
        return x

    def forward_parts(self, parts, ctx):
        out = super().forward_parts(parts, ctx)
        if "bounding_boxes" in parts:
            axis = parts["images"].ndim - 3  # of boxes: images [B, H, W, C] have [B, N, 4], one has [N, 4]
            out["bounding_boxes"] = {n: self._sized(a, axis) for n, a in parts["bounding_boxes"].items()}
        return out

    def _sized(self, array, axis):
        array = jnp.take(array, jnp.arange(min(self.max_number, array.shape[axis])), axis)
        pads = [(0, 0)] * array.ndim
        pads[axis] = (0, self.max_number - array.shape[axis])
        return jnp.pad(array, pads, constant_values=jnp.asarray(self.fill_value, array.dtype))
