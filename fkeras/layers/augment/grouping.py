"""Layers around others: several one after the other, and as many boxes for each image."""

from typing import Any

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import deserialize, positive_int, setting
from fkeras.layers.augment.base import ImageLayer, VariesAlone
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.kernels.boxes import NO_BOX


def _layers(value):
    found = [deserialize(v) if isinstance(v, dict) else v for v in value]
    if wrong := [v for v in found if not isinstance(v, Layer)]:
        raise TypeError(f"expected a list of layers, got one with {wrong[0]!r}.")
    return found


@layers.register
class Pipeline(VariesAlone, Layer):
    """Applies layers one after the other, as one layer.

    Args:
        layers: List of layers.

    Example:
        >>> Pipeline([RandomFlip(), Resizing(2, 2)])(jnp.ones((1, 4, 4, 3))).shape
        (1, 2, 2, 3)
    """

    casts = False
    takes_ints = True
    layers: Any = setting(_layers)

    def get_config(self):
        config = super().get_config()
        return {name: config[name] for name in ("name", "layers")}  # Keras's takes no more

    def _named(self):
        return [(f"layers_{i}", layer) for i, layer in enumerate(self.layers)]

    def check_input(self, shape):
        if self.layers:
            self.layers[0].check_input(shape)

    def declare(self, shape):
        declared, named = {}, self._named()
        for i, (name, layer) in enumerate(named):
            if own := layer.declare(shape):
                declared[name] = own
            if i + 1 < len(named):
                shape = layer.compute_output_shape(shape)
        return declared

    def forward(self, params, state, x, ctx):
        state = dict(state)
        for name, layer in self._named():
            x, inner, _ = layer.apply_masked(params.get(name, {}), state.get(name, {}), x, ctx.at(name))
            if name in state:
                state[name] = inner
        return x, state


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
