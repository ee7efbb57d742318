"""Convolutions over time, images and volumes: plain, depthwise, separable, transposed."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras import activations, constraints, initializers, regularizers
from fkeras.core import dtypes
from fkeras.core.settings import choice, optional, positive_int, setting
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.spatial import Spatial
from fkeras.layers.contract.weight_settings import KernelBias, weight
from fkeras.layers.contract.windows import Window
from fkeras.layers.kernels import convolution as kernels
from fkeras.layers.lora import Lora

# -------------------------------------------------------------------------------------- pure functions


def conv(x, kernel, strides=1, padding="valid", dilation=1, groups=1):
    """Convolves `x` with `kernel` (in the sense of deep learning: the kernel is not flipped).

        y[b, o, f] = sum over t, c of x[b, o * stride + t * dilation - pad, c] * kernel[t, c, f]

    Args:
        x: Float array [B, *space, C].
        kernel: Float array [*window, C / groups, F].
        strides, dilation: Int, or one an axis.
        padding: "valid", "same" (ceil(size / stride) elements out, an odd one of padding at the end), "causal"
            (padding in front only), or pairs (before, after).
        groups: Channels and filters are cut into so many groups; each filter sees the channels of its group.

    Returns:
        Float array [B, *sizes, F] of the dtype of `x`.

    Raises:
        ValueError: Channels and kernel do not fit, or the window is larger than an axis.

    Example:
        >>> conv(jnp.arange(4.0).reshape(1, 4, 1), jnp.ones((2, 1, 1))).ravel().tolist()
        [1.0, 3.0, 5.0]
    """
    n = x.ndim - 2
    if x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise ValueError(
            f"conv: a kernel of shape {kernel.shape} in {groups} groups needs {kernel.shape[-2] * groups} channels and "
            f"filters divisible by {groups}, got input of shape {x.shape}."
        )
    strides, dilation = _each(strides, n), _each(dilation, n)
    pads, _ = kernels.window_pads(x.shape[1:-1], kernel.shape[:-2], strides, dilation, padding)
    return kernels.convolve(x, kernel, kernels.Windows(strides, pads, dilation, (1,) * n, groups))


def depthwise_conv(x, kernel, strides=1, padding="valid", dilation=1):
    """Convolves every channel with filters of its own; channel c makes the outputs c * M to c * M + M - 1.

    Args:
        x: Float array [B, *space, C].
        kernel: Float array [*window, C, M].
        strides, padding, dilation: As `conv`.

    Returns:
        Float array [B, *sizes, C * M].

    Example:
        >>> depthwise_conv(jnp.ones((1, 3, 2)), jnp.array([[[1.0], [2.0]]])).tolist()[0][0]
        [1.0, 2.0]
    """
    *window, channels, many = kernel.shape
    return conv(x, kernel.reshape(*window, 1, channels * many), strides, padding, dilation, channels)


def separable_conv(x, depthwise_kernel, pointwise_kernel, strides=1, padding="valid", dilation=1):
    """Convolves every channel on its own, then mixes the channels: `depthwise_conv`, then a kernel of size 1.

    Args:
        x: Float array [B, *space, C].
        depthwise_kernel: Float array [*window, C, M].
        pointwise_kernel: Float array [*ones, C * M, F].

    Example:
        >>> separable_conv(jnp.ones((1, 3, 2)), jnp.ones((2, 2, 1)), jnp.ones((1, 2, 4))).shape
        (1, 2, 4)

    Reference:
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2017, arXiv:1610.02357.
    """
    return conv(depthwise_conv(x, depthwise_kernel, strides, padding, dilation), pointwise_kernel)


def conv_transpose(x, kernel, strides=1, padding="valid", output_padding=None, dilation=1):
    """Spreads every element of `x` over a window: the transpose of `conv` as a linear map.

        y[b, o, f] = sum over i, t, c with o = i * stride + t * dilation - cut of x[b, i, c] * kernel[t, f, c]

    Args:
        x: Float array [B, *space, C].
        kernel: Float array [*window, F, C]: filters before channels.
        strides, dilation: Int, or one an axis.
        padding, output_padding: With n elements in and r = (window - 1) * dilation + 1, an axis has
            "valid": (n - 1) * stride + max(r, stride) elements, or (n - 1) * stride + r + output_padding where given;
            "same": n * stride elements, or (n - 1) * stride + r % 2 + output_padding.

    Returns:
        Float array [B, *sizes, F] of the dtype of `x`.

    Raises:
        ValueError: Channels and kernel do not fit, or nothing would be left.

    Example:
        >>> conv_transpose(jnp.array([[[1.0], [2.0]]]), jnp.ones((2, 1, 1)), strides=2).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]

    Reference:
        Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285, section 4.
    """
    n, window = x.ndim - 2, kernel.shape[:-2]
    if x.shape[-1] != kernel.shape[-1]:
        raise ValueError(
            f"conv_transpose: a kernel of shape {kernel.shape}, [*window, filters, channels], needs {kernel.shape[-1]} "
            f"channels, got input of shape {x.shape}."
        )
    strides, dilation = _each(strides, n), _each(dilation, n)
    output_padding = None if output_padding is None else _each(output_padding, n)
    _transposed_sizes(x.shape[1:-1], window, strides, padding, output_padding, dilation)
    pads = kernels.transpose_pads(window, strides, dilation, padding, output_padding)
    flipped = jnp.flip(kernel, range(n)).swapaxes(-1, -2)
    return kernels.convolve(x, flipped, kernels.Windows((1,) * n, pads, dilation, strides))


def _transposed_sizes(sizes, window, strides, padding, output_padding, dilation):
    pads = kernels.transpose_pads(window, strides, dilation, padding, output_padding)
    out = []
    for m, k, s, d, (before, after) in zip(sizes, window, strides, dilation, pads, strict=True):
        out.append(None if m is None else (m - 1) * s + 1 + before + after - (k - 1) * d)
        if m is not None and out[-1] < 1:
            raise ValueError(
                f"transposing a window of {k} with stride {s} and padding {padding!r} leaves nothing of {m} elements. "
                f"Use padding 'valid' or a larger output_padding."
            )
    return tuple(out)


def _each(value, n):
    return (int(value),) * n if np.ndim(value) == 0 else tuple(value)


# ---------------------------------------------------------------------------------------------- layers


class Convolution(Spatial):
    """Base of the families below: what their settings must be, the bias, the activation."""

    causal = False  # padding may be "causal"
    groups = 1
    strides_with_dilation = False

    def check(self):
        for name in ("kernel_size", "strides", "dilation_rate"):
            self.spread(name)
        if self.padding == "causal" and not self.causal:
            raise ValueError(
                f"{self.label}: padding 'causal' looks back along one axis of time and belongs to Conv1D; "
                f"expected 'valid' or 'same'."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1 and not self.strides_with_dilation:
            raise ValueError(
                f"{self.label}: strides > 1 and dilation_rate > 1 do not go together, got strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}. Set one of them to 1."
            )

    def check_input(self, shape):
        super().check_input(shape)
        channels = self.known_channels(shape)
        if channels % self.groups:
            raise ValueError(
                f"{self.label}: the input's {channels} channels cannot be cut into groups={self.groups} of equal size. "
                f"Input shape: {shape}."
            )
        self.check_fits(shape)

    def check_fits(self, shape):
        """Raises ValueError, naming the layer, where the output would be empty."""
        self.check_windows(shape, self.kernel_size, self.strides, self.dilation_rate, self.padding)

    def windows(self, rank):
        if self.padding == "same" or not activations.is_elementwise(self.activation):
            return None
        causal = self.padding == "causal"
        slide = zip(self.kernel_size, self.strides, self.dilation_rate, strict=True)
        return self.windows_of((Window(k, s, d, (k - 1) * d * causal) for k, s, d in slide), None)

    def with_bias(self, weights, size):
        """Returns the declarations with a bias [size] added, if the layer has one."""
        return {**weights, "bias": weight(self, "bias", (size,))} if self.use_bias else weights

    def finish(self, y, params):
        """Adds the bias, puts the channels where they belong, applies the activation."""
        if self.use_bias:
            y = y + params["bias"].reshape((1,) * (y.ndim - 1) + (-1,))
        return self.activation(self.as_given(y))


class Conv(KernelBias, Lora, Convolution):
    """Base of Conv1D, Conv2D and Conv3D: y = activation(conv(x, kernel) + bias).

    Args:
        filters: Number of channels of the output.
        kernel_size: Int, or one an axis.
        strides: Int, or one an axis.
        padding: "valid", "same" (ceil(size / stride) elements out), or in Conv1D "causal": step t of the output sees no
            later step of the input.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        dilation_rate: Int, or one an axis: the distance of the kernel's elements. Not with strides > 1.
        groups: Input channels and filters are cut into so many groups that do not see each other.
        activation: Function of the result; None is linear.
        use_bias: Adds a bias.
        kernel_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, bias_regularizer: Penalties on the weights.
        activity_regularizer: Penalty on the output.
        kernel_constraint, bias_constraint: Applied to the weights after each update.
        lora_rank, lora_alpha: See `Lora`.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        [B, *sizes, filters], or [B, filters, *sizes].

    Weights:
        kernel [*kernel_size, C / groups, filters], bias [filters].

    Example:
        >>> Conv2D(8, 3, padding="same", activation="relu")(jnp.ones((2, 5, 5, 3))).shape
        (2, 5, 5, 8)

    Reference:
        As Keras 3.
    """

    filters: int = setting(positive_int)
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(choice("valid", "same", "causal"), "valid")
    data_format: str = setting(dtypes.data_format, None)
    dilation_rate: Any = 1
    groups: int = setting(positive_int, 1)
    activation: Any = setting(activations, None)
    use_bias: bool = True

    def check(self):
        super().check()
        if self.filters % self.groups:
            raise ValueError(
                f"{self.label}: filters={self.filters} cannot be cut into groups={self.groups} of equal size."
            )

    def declare(self, shape):
        self.check_input(shape)
        size = (*self.kernel_size, self.known_channels(shape) // self.groups, self.filters)
        return self.with_adapters(self.with_bias({"kernel": weight(self, "kernel", size)}, self.filters))

    def forward(self, params, state, x, ctx):
        x = self.channels_last(x)
        y = conv(x, params["kernel"], self.strides, self.padding, self.dilation_rate, self.groups)
        return self.finish(y, params), state


class DepthwiseConv(Convolution):
    """Base of DepthwiseConv1D and DepthwiseConv2D: every channel is convolved with filters of its own.

    Args:
        kernel_size: Int, or one an axis.
        strides: Int, or one an axis.
        padding: "valid" or "same".
        depth_multiplier: Number of outputs of each input channel.
        data_format, dilation_rate, activation, use_bias: As Conv2D; strides and dilation go together here.
        depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer, activity_regularizer,
        depthwise_constraint, bias_constraint: As Conv2D's for the kernel and the bias.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        [B, *sizes, C * depth_multiplier], or [B, C * depth_multiplier, *sizes].

    Weights:
        kernel [*kernel_size, C, depth_multiplier], bias [C * depth_multiplier].

    Example:
        >>> DepthwiseConv2D(3, depth_multiplier=2)(jnp.ones((2, 5, 5, 3))).shape
        (2, 3, 3, 6)

    Reference:
        As Keras 3.
    """

    kernel_size: Any
    strides: Any = 1
    padding: str = setting(choice("valid", "same", "causal"), "valid")
    depth_multiplier: int = setting(positive_int, 1)
    data_format: str = setting(dtypes.data_format, None)
    dilation_rate: Any = 1
    activation: Any = setting(activations, None)
    use_bias: bool = True
    depthwise_initializer: Any = setting(initializers, "glorot_uniform")
    bias_initializer: Any = setting(initializers, "zeros")
    depthwise_regularizer: Any = setting(optional(regularizers), None)
    bias_regularizer: Any = setting(optional(regularizers), None)
    activity_regularizer: Any = setting(optional(regularizers), None)
    depthwise_constraint: Any = setting(optional(constraints), None)
    bias_constraint: Any = setting(optional(constraints), None)

    strides_with_dilation = True

    def declare(self, shape):
        self.check_input(shape)
        channels = self.known_channels(shape)
        size = (*self.kernel_size, channels, self.depth_multiplier)
        return self.with_bias({"kernel": weight(self, "depthwise", size)}, channels * self.depth_multiplier)

    def forward(self, params, state, x, ctx):
        x = self.channels_last(x)
        y = depthwise_conv(x, params["kernel"], self.strides, self.padding, self.dilation_rate)
        return self.finish(y, params), state


class SeparableConv(Convolution):
    """Base of SeparableConv1D and SeparableConv2D: every channel on its own, then a mix of the channels.

    Args:
        filters: Number of channels of the output.
        kernel_size, strides, padding, data_format, dilation_rate: As DepthwiseConv2D.
        depth_multiplier: Number of outputs of each input channel, before they are mixed.
        activation, use_bias: As Conv2D.
        depthwise_initializer, pointwise_initializer, bias_initializer, depthwise_regularizer, pointwise_regularizer,
        bias_regularizer, activity_regularizer, depthwise_constraint, pointwise_constraint, bias_constraint: As Conv2D's
            for the two kernels and the bias.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        [B, *sizes, filters], or [B, filters, *sizes].

    Weights:
        depthwise_kernel [*kernel_size, C, depth_multiplier], pointwise_kernel [*ones, C * depth_multiplier, filters],
        bias [filters].

    Example:
        >>> SeparableConv2D(8, 3)(jnp.ones((2, 5, 5, 3))).shape
        (2, 3, 3, 8)

    Reference:
        Chollet, 2017, arXiv:1610.02357; settings as Keras 3.
    """

    filters: int = setting(positive_int)
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(choice("valid", "same", "causal"), "valid")
    data_format: str = setting(dtypes.data_format, None)
    dilation_rate: Any = 1
    depth_multiplier: int = setting(positive_int, 1)
    activation: Any = setting(activations, None)
    use_bias: bool = True
    depthwise_initializer: Any = setting(initializers, "glorot_uniform")
    pointwise_initializer: Any = setting(initializers, "glorot_uniform")
    bias_initializer: Any = setting(initializers, "zeros")
    depthwise_regularizer: Any = setting(optional(regularizers), None)
    pointwise_regularizer: Any = setting(optional(regularizers), None)
    bias_regularizer: Any = setting(optional(regularizers), None)
    activity_regularizer: Any = setting(optional(regularizers), None)
    depthwise_constraint: Any = setting(optional(constraints), None)
    pointwise_constraint: Any = setting(optional(constraints), None)
    bias_constraint: Any = setting(optional(constraints), None)

    strides_with_dilation = True

    def declare(self, shape):
        self.check_input(shape)
        channels = self.known_channels(shape)
        depthwise = weight(self, "depthwise", (*self.kernel_size, channels, self.depth_multiplier))
        ones = (1,) * self.spatial
        pointwise = weight(self, "pointwise", (*ones, channels * self.depth_multiplier, self.filters))
        return self.with_bias({"depthwise_kernel": depthwise, "pointwise_kernel": pointwise}, self.filters)

    def forward(self, params, state, x, ctx):
        y = separable_conv(
            self.channels_last(x),
            params["depthwise_kernel"],
            params["pointwise_kernel"],
            self.strides,
            self.padding,
            self.dilation_rate,
        )
        return self.finish(y, params), state


class ConvTranspose(KernelBias, Convolution):
    """Base of Conv1DTranspose, Conv2DTranspose and Conv3DTranspose: a convolution turned round, to make space larger.

    Args:
        filters: Number of channels of the output.
        kernel_size, strides, padding, data_format, dilation_rate: As Conv2D; `conv_transpose` gives the sizes.
        output_padding: Int, or one an axis, less than the stride: chooses among the sizes that a convolution with
            these strides takes to the input's size. None chooses as `conv_transpose` says.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        activity_regularizer, kernel_constraint, bias_constraint: As Conv2D.

    Input shape:
        [B, *space, C], or [B, C, *space] with "channels_first".

    Output shape:
        [B, *sizes, filters], or [B, filters, *sizes].

    Weights:
        kernel [*kernel_size, filters, C], bias [filters].

    Example:
        >>> Conv2DTranspose(8, 3, strides=2, padding="same")(jnp.ones((2, 7, 7, 3))).shape
        (2, 14, 14, 8)

    Reference:
        Sizes and settings as Keras 3.
    """

    filters: int = setting(positive_int)
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(choice("valid", "same", "causal"), "valid")
    output_padding: Any = None
    data_format: str = setting(dtypes.data_format, None)
    dilation_rate: Any = 1
    activation: Any = setting(activations, None)
    use_bias: bool = True

    def check(self):
        super().check()
        if self.output_padding is not None:
            self.spread("output_padding", 0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{self.label}: output_padding must be less than the stride on every axis, got "
                    f"output_padding={self.output_padding} and strides={self.strides}."
                )

    def windows(self, rank):
        return None

    def check_fits(self, shape):
        try:
            _transposed_sizes(
                self.channels_last(shape)[1:-1],
                self.kernel_size,
                self.strides,
                self.padding,
                self.output_padding,
                self.dilation_rate,
            )
        except ValueError as err:
            raise ValueError(f"{self.label}: {err} Input shape: {shape}.") from None

    def declare(self, shape):
        self.check_input(shape)
        size = (*self.kernel_size, self.filters, self.known_channels(shape))
        return self.with_bias({"kernel": weight(self, "kernel", size)}, self.filters)

    def forward(self, params, state, x, ctx):
        y = conv_transpose(
            self.channels_last(x), params["kernel"], self.strides, self.padding, self.output_padding, self.dilation_rate
        )
        return self.finish(y, params), state


@layers.register
class Conv1D(Conv):
    """Convolution over time [B, T, C]."""

    spatial = 1
    causal = True


@layers.register
class Conv2D(Conv):
    """Convolution over images [B, H, W, C]."""

    spatial = 2


@layers.register
class Conv3D(Conv):
    """Convolution over volumes [B, D, H, W, C]."""

    spatial = 3


@layers.register
class DepthwiseConv1D(DepthwiseConv):
    """Depthwise convolution over time [B, T, C]."""

    spatial = 1


@layers.register
class DepthwiseConv2D(DepthwiseConv):
    """Depthwise convolution over images [B, H, W, C]."""

    spatial = 2


@layers.register
class SeparableConv1D(SeparableConv):
    """Separable convolution over time [B, T, C].

    Padding may be "causal", as in Keras 2; Keras 3 refuses it.
    """

    spatial = 1
    causal = True


@layers.register
class SeparableConv2D(SeparableConv):
    """Separable convolution over images [B, H, W, C]."""

    spatial = 2


@layers.register
class Conv1DTranspose(ConvTranspose):
    """Transposed convolution over time [B, T, C]."""

    spatial = 1


@layers.register
class Conv2DTranspose(ConvTranspose):
    """Transposed convolution over images [B, H, W, C]."""

    spatial = 2


@layers.register
class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over volumes [B, D, H, W, C].

    As in Keras, `data_format` comes before `output_padding` by position here.
    """

    spatial = 3
    filters: int = setting(positive_int)
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(choice("valid", "same", "causal"), "valid")
    data_format: str = setting(dtypes.data_format, None)
