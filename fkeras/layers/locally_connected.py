"""Convolutions that share no kernel: every place of the output has one of its own. Layers of Keras 1 and 2."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras import activations, constraints, initializers, regularizers
from fkeras.core import dtypes
from fkeras.core.settings import choice, optional, positive_int, setting
from fkeras.layers.contract.base import Weight, layers
from fkeras.layers.contract.spatial import Spatial
from fkeras.layers.kernels.convolution import window_pads

# -------------------------------------------------------------------------------------- pure functions


def local_conv(x, kernel, cells):
    """Applies to every window of `x` a kernel of its own.

        y[b, o, f] = sum over k, c of x[b, cells[o, k], c] * kernel[o, k, c, f]

    Args:
        x: Float array [B, S, C], the space flat.
        kernel: Float array [O, K, C, F].
        cells: Int array [O, K]: the cell of the input under each cell of each window, -1 for padding.

    Returns:
        Float array [B, O, F].

    Example:
        >>> x, kernel = jnp.array([[[1.0], [2.0], [3.0]]]), jnp.array([1.0, 10.0]).reshape(2, 1, 1, 1)
        >>> local_conv(x, kernel, window_cells((3,), (1,), (2,), "valid")[0]).ravel().tolist()
        [1.0, 30.0]
    """
    seen = jnp.where(cells[..., None] >= 0, x[:, np.maximum(cells, 0)], jnp.zeros((), x.dtype))
    return jnp.einsum("bokc,okcf->bof", seen, kernel)


def window_cells(sizes, window, strides, padding):
    """Returns (int array [O, K] of the flat cell of the input under each cell of each window, -1 for padding; counts).

    Args:
        sizes: Cells of the input on each axis.
        window, strides: Ints, one an axis.
        padding: "valid" or "same": windows begin window // 2 cells before o * stride, whatever the stride.

    Example:
        >>> window_cells((3,), (2,), (2,), "same")[0].tolist()
        [[-1, 0], [1, 2]]
    """
    pads, counts = window_pads(sizes, window, strides, (1,) * len(sizes), padding)
    flat = np.zeros((1, 1), int)
    for size, k, s, (before, _), count in zip(sizes, window, strides, pads, counts, strict=True):
        before = k // 2 if padding == "same" else before  # Keras centers the window on cell o * stride
        axis = np.arange(count)[:, None] * s + np.arange(k) - before
        axis = np.where((axis >= 0) & (axis < size), axis, -1)
        joined = np.where((flat < 0)[:, None, :, None] | (axis < 0)[None, :, None, :], -1,
                          flat[:, None, :, None] * size + axis[None, :, None, :])  # fmt: skip
        flat = joined.reshape(flat.shape[0] * count, flat.shape[1] * k)
    return flat, tuple(counts)


# ---------------------------------------------------------------------------------------------- layers


class LocallyConnected(Spatial):
    """Base of LocallyConnected1D and LocallyConnected2D: a convolution whose kernel is not shared between places.

        y[b, o, f] = activation(sum over k, c of x[b, o * stride + k - pad, c] * kernel[o, k, c, f] + bias[o, f])

    Args:
        filters: Number of channels of the output.
        kernel_size: Int, or one an axis.
        strides: Int, or one an axis.
        padding: "valid", or with implementation 2 and 3 "same".
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        activation: Function of the result; None is linear.
        use_bias: Adds a bias, one a place and filter.
        kernel_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, bias_regularizer: Penalties on the weights.
        activity_regularizer: Penalty on the output.
        kernel_constraint, bias_constraint: Applied to the weights after each update.
        implementation: How the kernel is kept, as in Keras 2 and its files; what is computed is the same. 1: the
            windows' cells, 2: every cell of the input with every cell of the output, of which those apart are not
            used, 3: a list of the pairs that meet.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first"; all sizes but the batch are known.

    Output shape:
        [B, *cells, filters], or [B, filters, *cells].

    Weights:
        kernel [cells, window * C, filters], [*space, C, *cells, filters] or [pairs], bias [*cells, filters].

    Raises:
        ValueError: A size is unknown, the window does not fit, or padding is "same" with implementation 1.

    Example:
        >>> LocallyConnected1D(4, 3)(jnp.ones((2, 6, 3))).shape
        (2, 4, 4)

    Reference:
        As tf.keras 2; Keras 3 has them no more.
    """

    filters: int = setting(positive_int)
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(choice("valid", "same"), "valid")
    data_format: str = setting(dtypes.data_format, None)
    activation: Any = setting(activations, None)
    use_bias: bool = True
    kernel_initializer: Any = setting(initializers, "glorot_uniform")
    bias_initializer: Any = setting(initializers, "zeros")
    kernel_regularizer: Any = setting(optional(regularizers), None)
    bias_regularizer: Any = setting(optional(regularizers), None)
    activity_regularizer: Any = setting(optional(regularizers), None)
    kernel_constraint: Any = setting(optional(constraints), None)
    bias_constraint: Any = setting(optional(constraints), None)
    implementation: int = setting(choice(1, 2, 3), 1)

    def check(self):
        for name in ("kernel_size", "strides"):
            self.spread(name)
        if self.implementation == 1 and self.padding != "valid":
            raise ValueError(
                f"{self.label}: padding {self.padding!r} needs implementation=2 or 3, got implementation=1, which "
                f"keeps no weights for windows that reach over the edge."
            )

    def check_input(self, shape):
        super().check_input(shape)
        if None in shape[1:]:
            raise ValueError(
                f"{self.label}: every place has a kernel of its own, so that all sizes but the batch must be known, "
                f"got input of shape {shape}."
            )
        self.check_windows(shape, self.kernel_size, self.strides, (1,) * self.spatial, self.padding)

    def declare(self, shape):
        self.check_input(shape)
        _, *sizes, channels = self.channels_last(shape)
        cells, counts = window_cells(sizes, self.kernel_size, self.strides, self.padding)
        if self.implementation == 1:
            size = (len(cells), cells.shape[1] * channels, self.filters)
        elif self.implementation == 2:
            size = (*self._order(sizes, channels), *self._order(counts, self.filters))
        else:
            size = (int(np.sum(cells >= 0)) * channels * self.filters,)
        kernel = Weight(size, self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint)
        bias = Weight((*counts, self.filters), self.bias_initializer, self.bias_regularizer, self.bias_constraint)
        return {"kernel": kernel, "bias": bias} if self.use_bias else {"kernel": kernel}

    def _order(self, sizes, channels):
        return (channels, *sizes) if self.channels_first else (*sizes, channels)

    def kernel_of_windows(self, kernel, cells, sizes, counts, channels):
        """Returns the kernel in the form [O, K, C, F], whatever form it is kept in."""
        (places, window), filters, n = cells.shape, self.filters, len(sizes)
        if self.implementation == 1:
            if self.channels_first:  # a window is flattened as it lies: channels first
                return kernel.reshape(places, channels, window, filters).swapaxes(1, 2)
            return kernel.reshape(places, window, channels, filters)
        meets = cells[..., None, None] >= 0
        if self.implementation == 2:
            if self.channels_first:
                kernel = kernel.transpose(*range(1, n + 1), 0, *range(n + 2, 2 * n + 2), n + 1)
            kernel = kernel.reshape(math.prod(sizes), channels, places, filters)
            kernel = kernel[np.maximum(cells, 0), :, np.arange(places)[:, None]]
        else:
            kernel = kernel[self._numbers_of_pairs(cells, math.prod(sizes), channels)]
        return jnp.where(meets, kernel, jnp.zeros((), kernel.dtype))

    def _numbers_of_pairs(self, cells, size, channels):
        """Returns for [O, K, C, F] where the pair stands in the list: sorted by output, then by input, both flat."""
        places, filters = len(cells), self.filters
        o, i = np.arange(places)[:, None, None, None], cells[..., None, None]
        c, f = np.arange(channels)[:, None], np.arange(filters)
        first = self.channels_first
        out = f * places + o if first else o * filters + f
        into = c * size + i if first else i * channels + c
        key = out * (size * channels) + into
        numbers = np.zeros(key.shape, int)
        real = np.broadcast_to(i >= 0, key.shape)
        numbers[real] = np.argsort(np.argsort(key[real]))
        return numbers

    def forward(self, params, state, x, ctx):
        x = self.channels_last(x)
        batch, *sizes, channels = x.shape
        cells, counts = window_cells(sizes, self.kernel_size, self.strides, self.padding)
        kernel = self.kernel_of_windows(params["kernel"], cells, sizes, counts, channels)
        y = local_conv(x.reshape(batch, -1, channels), kernel, cells).reshape(batch, *counts, self.filters)
        y = self.as_given(y)
        if self.use_bias:  # with channels first the bias is taken as it lies, as Keras 2 did
            y = y + params["bias"].reshape(y.shape[1:])
        return self.activation(y), state


@layers.register
class LocallyConnected1D(LocallyConnected):
    __doc__ = LocallyConnected.__doc__.replace("Base of LocallyConnected1D and LocallyConnected2D: a", "A")
    spatial = 1


@layers.register
class LocallyConnected2D(LocallyConnected):
    __doc__ = LocallyConnected1D.__doc__.replace(
        "LocallyConnected1D(4, 3)(jnp.ones((2, 6, 3))).shape\n        (2, 4, 4)",
        "LocallyConnected2D(4, 3)(jnp.ones((2, 5, 6, 3))).shape\n        (2, 3, 4, 4)",
    )
    spatial = 2
