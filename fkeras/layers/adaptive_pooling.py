"""Pooling to a given number of cells, whatever the size of the input."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import setting
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.spatial import Spatial

# -------------------------------------------------------------------------------------- pure functions


def adaptive_windows(size, cells):
    """Returns (starts, ends) of `cells` windows over `size` cells: from floor(i n / m) to ceil((i + 1) n / m).

    Example:
        >>> [a.tolist() for a in adaptive_windows(5, 3)]
        [[0, 1, 3], [2, 4, 5]]
    """
    i = np.arange(cells)
    return i * size // cells, -(-(i + 1) * size // cells)


def adaptive_average_pool(x, output_size):
    """Takes the mean of each of `output_size` windows an axis.

    Args:
        x: Float array [B, *space, C].
        output_size: One int an axis of space.

    Returns:
        Array [B, *output_size, C] of the dtype of `x`. Half precision is summed in float32.

    Example:
        >>> adaptive_average_pool(jnp.array([1.0, 3.0, 5.0]).reshape(1, 3, 1), (2,)).ravel().tolist()
        [2.0, 4.0]
    """
    y = x.astype(at_least_float32(x.dtype))
    for axis, cells in enumerate(output_size, 1):
        starts, ends = adaptive_windows(x.shape[axis], cells)
        at = np.arange(x.shape[axis])
        share = ((at >= starts[:, None]) & (at < ends[:, None])) / (ends - starts)[:, None]
        y = jnp.moveaxis(jnp.tensordot(y, jnp.asarray(share.T, y.dtype), axes=(axis, 0)), -1, axis)
    return y.astype(x.dtype)


def adaptive_max_pool(x, output_size):
    """Takes the largest cell of each of `output_size` windows an axis.

    Args: as `adaptive_average_pool`.

    Example:
        >>> adaptive_max_pool(jnp.array([1.0, 3.0, 5.0]).reshape(1, 3, 1), (2,)).ravel().tolist()
        [3.0, 5.0]
    """
    for axis, cells in enumerate(output_size, 1):
        starts, ends = adaptive_windows(x.shape[axis], cells)
        reads = np.minimum(starts[:, None] + np.arange((ends - starts).max()), ends[:, None] - 1)  # the last one twice
        x = jnp.max(jnp.take(x, reads, axis=axis), axis=axis + 1)
    return x


# --------------------------------------------------------------------------------------------- layers


class AdaptivePooling(Spatial):
    """Base of the layers below.

    Args:
        output_size: Int, or one an axis of space: cells of the output.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Input shape: [B, *space, C] of any sizes. Output shape: [B, *output_size, C].
    """

    output_size: Any
    data_format: str = setting(dtypes.data_format, None)

    pool = None  # the pure function

    def check(self):
        self.spread("output_size")

    def forward(self, params, state, x, ctx):
        return self.as_given(self.pool(self.channels_last(x), self.output_size)), state


@layers.register
class AdaptiveAveragePooling1D(AdaptivePooling):
    """Means of `output_size` windows over time: `adaptive_average_pool`.

    Example:
        >>> AdaptiveAveragePooling1D(2)(jnp.ones((1, 5, 3))).shape
        (1, 2, 3)
    """

    spatial = 1
    pool = staticmethod(adaptive_average_pool)


@layers.register
class AdaptiveAveragePooling2D(AdaptivePooling):
    """Means of `output_size` windows over an image: `adaptive_average_pool`.

    Example:
        >>> AdaptiveAveragePooling2D((2, 3))(jnp.ones((1, 5, 7, 3))).shape
        (1, 2, 3, 3)
    """

    spatial = 2
    pool = staticmethod(adaptive_average_pool)


@layers.register
class AdaptiveAveragePooling3D(AdaptivePooling):
    """Means of `output_size` windows over a volume: `adaptive_average_pool`.

    Example:
        >>> AdaptiveAveragePooling3D(2)(jnp.ones((1, 5, 4, 3, 3))).shape
        (1, 2, 2, 2, 3)
    """

    spatial = 3
    pool = staticmethod(adaptive_average_pool)


@layers.register
class AdaptiveMaxPooling1D(AdaptivePooling):
    """Maxima of `output_size` windows over time: `adaptive_max_pool`.

    Example:
        >>> AdaptiveMaxPooling1D(2)(jnp.ones((1, 5, 3))).shape
        (1, 2, 3)
    """

    spatial = 1
    pool = staticmethod(adaptive_max_pool)


@layers.register
class AdaptiveMaxPooling2D(AdaptivePooling):
    """Maxima of `output_size` windows over an image: `adaptive_max_pool`.

    Example:
        >>> AdaptiveMaxPooling2D((2, 3))(jnp.ones((1, 5, 7, 3))).shape
        (1, 2, 3, 3)
    """

    spatial = 2
    pool = staticmethod(adaptive_max_pool)


@layers.register
class AdaptiveMaxPooling3D(AdaptivePooling):
    """Maxima of `output_size` windows over a volume: `adaptive_max_pool`.

    Example:
        >>> AdaptiveMaxPooling3D(2)(jnp.ones((1, 5, 4, 3, 3))).shape
        (1, 2, 2, 2, 3)
    """

    spatial = 3
    pool = staticmethod(adaptive_max_pool)
