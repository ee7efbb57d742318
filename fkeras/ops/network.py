"""The ops of `keras.ops.nn`: activations, convolutions, pooling, normalizations, losses, attention."""

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.operations import op, other_name, result_type, row, to_float
from fkeras.ops import ctc
from fkeras.ops.arrays import dense

HOME = "nn"

# ----------------------------------------------------------------------------------------------- activations

for _spec, _keras, _kind, _about in (
    ("relu(x)", "Relu", None, "max(x, 0)."),
    ("relu6(x)", "Relu6", None, "min(max(x, 0), 6)."),
    ("sigmoid(x)", "Sigmoid", None, "1 / (1 + exp(-x))."),
    ("sparse_sigmoid(x)", "SparseSigmoid", None, "min(max((x + 1) / 2, 0), 1)."),
    ("softplus(x)", "Softplus", None, "log(1 + exp(x))."),
    ("sparse_plus(x)", "SparsePlus", None, "Integral of `sparse_sigmoid`."),
    ("silu(x)", "Silu", None, "x * sigmoid(x)."),
    ("squareplus(x | b=4)", "Squareplus", None, "(x + sqrt(x^2 + b)) / 2."),
    ("log_sigmoid(x)", "LogSigmoid", None, "log(sigmoid(x)), without overflow."),
    ("leaky_relu(x | negative_slope=0.2)", "LeakyRelu", None, "x where positive, else negative_slope * x."),
    ("hard_sigmoid(x)", "HardSigmoid", None, "min(max(x / 6 + 1 / 2, 0), 1)."),
    ("hard_silu(x)", "HardSilu", None, "x * hard_sigmoid(x)."),
    ("hard_tanh(x)", "HardTanh", None, "min(max(x, -1), 1)."),
    ("elu(x | alpha=1.0)", "Elu", None, "x where positive, else alpha * (exp(x) - 1)."),
    ("selu(x)", "Selu", None, "`elu`, scaled so that activations keep mean 0 and variance 1."),
    ("gelu(x | approximate=True)", "Gelu", None, "x times the normal distribution's share below x."),
    ("celu(x | alpha=1.0)", "Celu", None, "x where positive, else alpha * (exp(x / alpha) - 1)."),
    ("glu(x | axis=-1)", "Glu", None, "First half of an axis, times the sigmoid of the second."),
    ("softmax(x | axis=-1)", "Softmax", None, "exp(x) divided by its sum over an axis."),
    ("log_softmax(x | axis=-1)", "LogSoftmax", None, "Logarithm of `softmax`, without overflow."),
):
    row(HOME, _spec, getattr(jax.nn, _spec.partition("(")[0]), _about, _keras, _kind)
row(HOME, "softsign(x)", jax.nn.soft_sign, "x / (1 + |x|).", "Softsign")
other_name("swish", "silu")
other_name("hard_swish", "hard_silu")


@op(HOME, "TanhShrink")
def tanh_shrink(x):
    """x - tanh(x).

    Source: `fkeras.activations.tanh_shrink`.
    """
    return x - jnp.tanh(x)


@op(HOME, "SoftShrink", settings="threshold")
def soft_shrink(x, threshold=0.5):
    """x moved toward 0 by the threshold: sign(x) * max(|x| - threshold, 0).

    Source: `fkeras.activations.soft_shrink`.
    """
    x = jnp.asarray(x)
    return jnp.where(x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, 0.0))


@op(HOME, "HardShrink", settings="threshold")
def hard_shrink(x, threshold=0.5):
    """x where |x| is above the threshold, else 0.

    Source: `fkeras.activations.hard_shrink`.
    """
    return jnp.where(jnp.abs(x) > threshold, x, 0.0)


@op(HOME, "Threshold", settings="threshold default_value")
def threshold(x, threshold, default_value):
    """x where it is above the threshold, else a value.

    Source: `fkeras.activations.threshold`.
    """
    x = jnp.asarray(x)
    return jnp.where(x > threshold, x, default_value)


@op(HOME, "Sparsemax", settings="axis")
def sparsemax(x, axis=-1):
    """Scores projected onto the probabilities, small ones to exactly 0; see `fkeras.activations.sparsemax`.

    Source: Martins & Astudillo, "From Softmax to Sparsemax", 2016, arXiv:1602.02068.
    """
    from fkeras.activations import sparsemax as project

    return project(x, axis)


@op(HOME, "Polar")
def polar(abs_, angle):
    """Complex numbers of their lengths and angles.

    Source: abs * exp(i angle), as `torch.polar` and Keras.
    """
    return jax.lax.complex(*to_float(abs_ * jnp.cos(angle), abs_ * jnp.sin(angle)))


# ------------------------------------------------------------------------------- convolutions and pooling


def _format(data_format):
    return dtypes.data_format(data_format) == "channels_first"


def _last(x, first):
    return jnp.moveaxis(x, 1, -1) if first else x


def _back(y, first):
    return jnp.moveaxis(y, -1, 1) if first else y


def _to_kernel(inputs, *kernels):
    """Returns the arrays with the inputs in the kernel's dtype: what convolutions take."""
    kernels = [jnp.asarray(k) for k in kernels]
    return jnp.asarray(inputs, kernels[0].dtype), *kernels


@op(HOME, "Conv", settings="strides padding data_format dilation_rate")
def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Slides a kernel over one, two or three axes of space.

        y[b, o, f] = sum over t, c of inputs[b, o * stride + t * dilation - pad, c] * kernel[t, c, f]

    Args:
        inputs: [B, *space, C], or [B, C, *space] with data_format "channels_first".
        kernel: [*window, C / groups, F]; its second size decides the number of groups.
        strides, dilation_rate: Int, or one an axis.
        padding: "valid" or "same".

    Raises:
        ValueError: Channels and kernel do not fit, or the window is larger than an axis.

    Source: `fkeras.layers.convolution.conv`.
    """
    from fkeras.layers.convolution import conv as convolve

    first = _format(data_format)
    inputs, kernel = _to_kernel(inputs, kernel)
    x = _last(inputs, first)
    if x.shape[-1] % kernel.shape[-2]:
        raise ValueError(
            f"ops.conv: the {x.shape[-1]} channels of the inputs are no multiple of the kernel's {kernel.shape[-2]} "
            f"(kernel of shape {kernel.shape}: [*window, channels, filters])."
        )
    return _back(convolve(x, kernel, strides, padding.lower(), dilation_rate, x.shape[-1] // kernel.shape[-2]), first)


@op(HOME, "DepthwiseConv", settings="strides padding data_format dilation_rate")
def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Slides filters of its own over every channel: [*window, C, M] makes C * M channels.

    Source: `fkeras.layers.convolution.depthwise_conv`.
    """
    from fkeras.layers.convolution import depthwise_conv as convolve

    first = _format(data_format)
    inputs, kernel = _to_kernel(inputs, kernel)
    return _back(convolve(_last(inputs, first), kernel, strides, padding.lower(), dilation_rate), first)


@op(HOME, "SeparableConv", settings="strides padding data_format dilation_rate")
def separable_conv(
    inputs, depthwise_kernel, pointwise_kernel, strides=1, padding="valid", data_format=None, dilation_rate=1
):
    """`depthwise_conv`, then a kernel of size 1 that mixes the channels.

    Source: `fkeras.layers.convolution.separable_conv`.
    """
    from fkeras.layers.convolution import separable_conv as convolve

    first = _format(data_format)
    inputs, depthwise_kernel, pointwise_kernel = _to_kernel(inputs, depthwise_kernel, pointwise_kernel)
    x = _last(inputs, first)
    return _back(convolve(x, depthwise_kernel, pointwise_kernel, strides, padding.lower(), dilation_rate), first)


@op(HOME, "ConvTranspose", settings="strides padding output_padding data_format dilation_rate")
def conv_transpose(inputs, kernel, strides=1, padding="valid", output_padding=None, data_format=None, dilation_rate=1):
    """Spreads every cell over a window: the transpose of `conv` as a linear map; kernel [*window, filters, channels].

    Source: `fkeras.layers.convolution.conv_transpose`.
    """
    from fkeras.layers.convolution import conv_transpose as convolve

    first = _format(data_format)
    inputs, kernel = _to_kernel(inputs, kernel)
    y = convolve(_last(inputs, first), kernel, strides, padding.lower(), output_padding, dilation_rate)
    return _back(y, first)


@op(HOME, "MaxPool", settings="pool_size strides padding data_format")
def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """Largest cell of each window.

    Source: `fkeras.layers.pooling.max_pool`.
    """
    from fkeras.layers.pooling import max_pool as pool

    first = _format(data_format)
    return _back(pool(_last(jnp.asarray(inputs), first), pool_size, strides, padding.lower()), first)


@op(HOME, "AveragePool", settings="pool_size strides padding data_format")
def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """Mean of each window; cells of padding do not count.

    Source: `fkeras.layers.pooling.average_pool`.
    """
    from fkeras.layers.pooling import average_pool as pool

    first = _format(data_format)
    return _back(pool(_last(jnp.asarray(inputs), first), pool_size, strides, padding.lower()), first)


def _adaptive(inputs, output_size, data_format, reduce):
    """Reduces the cells from floor(i n / m) to before ceil((i + 1) n / m) of n, for each i of m, axis by axis."""
    first = _format(data_format)
    x = _last(jnp.asarray(inputs), first)
    sizes = (output_size,) * (x.ndim - 2) if np.ndim(output_size) == 0 else tuple(output_size)
    for axis, (n, m) in enumerate(zip(x.shape[1:-1], sizes, strict=True), 1):
        begin, end = np.arange(m) * n // m, -(-np.arange(1, m + 1) * n // m)
        places = begin[:, None] + np.arange(max(end - begin))
        real = (places < end[:, None]).reshape((1,) * axis + places.shape + (1,) * (x.ndim - axis - 1))
        x = reduce(jnp.take(x, np.minimum(places, n - 1), axis=axis), real, axis + 1)
    return _back(x, first)


@op(HOME, "AdaptiveAveragePool", settings="output_size data_format")
def adaptive_average_pool(inputs, output_size, data_format=None):
    """Means of as many windows as asked for, which cover each axis as evenly as they can.

    Window i of m over n cells reaches from floor(i n / m) to before ceil((i + 1) n / m).

    Source: `torch.nn.AdaptiveAvgPool2d`'s rule, as Keras.
    """
    return _adaptive(inputs, output_size, data_format, lambda x, real, axis: jnp.mean(x, axis, where=real))


@op(HOME, "AdaptiveMaxPool", settings="output_size data_format")
def adaptive_max_pool(inputs, output_size, data_format=None):
    """Largest cells of as many windows as asked for, which cover each axis as evenly as they can.

    Window i of m over n cells reaches from floor(i n / m) to before ceil((i + 1) n / m).

    Source: `torch.nn.AdaptiveMaxPool2d`'s rule, as Keras.
    """

    def largest(x, real, axis):
        lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
        return jnp.max(x, axis, where=real, initial=lowest)

    return _adaptive(inputs, output_size, data_format, largest)


def _pair(value):
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def _taps(size, kernel, dilation, padding, stride):
    """Returns the places [windows, kernel] of one axis, padded, that the windows read."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return np.arange(count)[:, None] * stride + np.arange(kernel) * dilation


def _unfold_places(size, kernel_size, dilation, padding, stride):
    both = zip(size, *map(_pair, (kernel_size, dilation, padding, stride)), strict=True)
    rows, columns = (_taps(*axis) for axis in both)
    return rows[:, None, :, None], columns[None, :, None, :]  # [windows down, windows across, kernel down, across]


@op(HOME, "Unfold", settings="kernel_size dilation padding stride")
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """Windows of images as columns: [N, C, H, W] gives [N, C * kh * kw, windows].

    Source: `torch.nn.Unfold`, as Keras.
    """
    x = jnp.asarray(x)
    N, C, H, W = x.shape
    (ph, pw), (kh, kw) = _pair(padding), _pair(kernel_size)
    rows, columns = _unfold_places((H, W), kernel_size, dilation, padding, stride)
    found = jnp.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))[:, :, rows, columns]  # [N, C, windows, kernel]
    return found.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * kh * kw, -1)


@op(HOME, "Fold", settings="output_size kernel_size dilation padding stride")
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Sum of windows laid over an image, the transpose of `unfold`: [N, C * kh * kw, windows] gives [N, C, H, W].

    Source: `torch.nn.Fold`, as Keras.
    """
    x = jnp.asarray(x)
    (H, W), (ph, pw), (kh, kw) = _pair(output_size), _pair(padding), _pair(kernel_size)
    rows, columns = _unfold_places((H, W), kernel_size, dilation, padding, stride)
    N, C = x.shape[0], x.shape[1] // (kh * kw)
    parts = x.reshape(N, C, kh, kw, rows.shape[0], columns.shape[1]).transpose(0, 1, 4, 5, 2, 3)
    image = jnp.zeros((N, C, H + 2 * ph, W + 2 * pw), x.dtype).at[:, :, rows, columns].add(parts)
    return image[:, :, ph : ph + H, pw : pw + W]


@op(HOME, "DepthToSpace", settings="block_size data_format")
def depth_to_space(x, block_size, data_format="channels_last"):
    """Channels laid out as blocks of cells: [N, H, W, C] gives [N, H * b, W * b, C / b^2].

    Source: `tf.nn.depth_to_space`, as Keras.
    """
    x, b = jnp.asarray(x), block_size
    if _format(data_format):  # the channels of a cell are (channel, row, column) here, as in PyTorch
        N, C, H, W = x.shape
        x = x.reshape(N, C // b**2, b, b, H, W).transpose(0, 1, 4, 2, 5, 3)
        return x.reshape(N, C // b**2, H * b, W * b)
    N, H, W, C = x.shape
    x = x.reshape(N, H, W, b, b, C // b**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(N, H * b, W * b, C // b**2)


@op(HOME, "SpaceToDepth", settings="block_size data_format")
def space_to_depth(x, block_size, data_format="channels_last"):
    """Blocks of cells laid out as channels, the inverse of `depth_to_space`.

    Source: `tf.nn.space_to_depth`, as Keras.
    """
    x, b = jnp.asarray(x), block_size
    if _format(data_format):
        N, C, H, W = x.shape
        x = x.reshape(N, C, H // b, b, W // b, b).transpose(0, 1, 3, 5, 2, 4)
        return x.reshape(N, C * b**2, H // b, W // b)
    N, H, W, C = x.shape
    x = x.reshape(N, H // b, b, W // b, b, C).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(N, H // b, W // b, C * b**2)


# ---------------------------------------------------------------------------------------------- normalizations


@op(HOME, "Moments", settings="axes keepdims synchronized")
def moments(x, axes, keepdims=False, synchronized=False):
    """(mean, variance) over axes; half precision is computed in float32, and stays within float16's range.

    Raises:
        ValueError: `synchronized` is True: name a device axis and use `jax.lax.pmean`.

    Source: `tf.nn.moments`, as Keras.
    """
    if synchronized:
        raise ValueError("ops.moments(synchronized=True): not here. Under pmap take `jax.lax.pmean` of the moments.")
    x = jnp.asarray(x)
    axes = tuple(axes) if isinstance(axes, (list, tuple)) else axes
    half = x.dtype in (jnp.float16, jnp.bfloat16)
    wide = x.astype(jnp.float32) if half else x
    found = jnp.mean(wide, axes, keepdims=keepdims), jnp.var(wide, axes, keepdims=keepdims)
    limit = float(jnp.finfo(jnp.float16).max)
    return tuple(jnp.clip(v, -limit, limit).astype(x.dtype) for v in found) if half else found


@op(HOME, "BatchNorm", settings="axis epsilon")
def batch_normalization(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    """Distance to given means in given deviations, scaled and shifted, for each place along an axis.

        y = scale * (x - mean) / sqrt(variance + epsilon) + offset

    Source: Ioffe & Szegedy, "Batch Normalization", 2015, arXiv:1502.03167.
    """
    shape = [1] * jnp.ndim(x)
    shape[axis] = -1
    mean, variance, offset, scale = (
        None if v is None else jnp.reshape(v, shape) for v in (mean, variance, offset, scale)
    )
    factor = jax.lax.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    rest = -mean * factor if offset is None else offset - mean * factor
    return x * factor + rest


@op(HOME, "LayerNorm", settings="axis epsilon rms_scaling")
def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=None, rms_scaling=False):
    """Zero mean and unit variance over axes, scaled by `gamma` and shifted by `beta`; epsilon is Keras's by default.

    Source: Ba, Kiros & Hinton, "Layer Normalization", 2016; `fkeras.layers.normalization.layer_norm`.
    """
    from fkeras.layers import normalization

    x, gamma, beta = _normed(x, gamma, beta)
    epsilon = dtypes.epsilon() if epsilon is None else epsilon
    if rms_scaling:
        return normalization.variance_norm(x, gamma, axis=axis, epsilon=epsilon)
    return normalization.layer_norm(x, gamma, beta, axis=axis, epsilon=epsilon)


@op(HOME, "RMSNorm", settings="axis epsilon")
def rms_normalization(x, scale=None, axis=-1, epsilon=None):
    """x divided by its root mean square over axes, times `scale`.

    Source: Zhang & Sennrich, 2019, arXiv:1910.07467; `fkeras.layers.normalization.rms_norm`.
    """
    from fkeras.layers import normalization

    x, scale = _normed(x, scale)
    return normalization.rms_norm(x, scale, axis=axis, epsilon=dtypes.epsilon() if epsilon is None else epsilon)


def _normed(x, *weights):
    x = to_float(x)
    x = x[None] if x.ndim == 0 else x
    return x, *(None if w is None else jnp.asarray(w) for w in weights)


@op(HOME, "Normalize", settings="axis order epsilon")
def normalize(x, axis=-1, order=2, epsilon=None):
    """x divided by its length over axes, in the norm of an order; by `epsilon` where that is longer.

    Raises:
        ValueError: `order` is not an int from 1 on.

    Source: `keras.utils.normalize`.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"ops.normalize: expected order to be an int from 1 on, got {order!r}.")
    x = jnp.asarray(x)
    x = x[None] if x.ndim == 0 else x
    epsilon = dtypes.epsilon() if epsilon is None else epsilon
    axis = tuple(axis) if isinstance(axis, list) else axis
    if order == 2:
        square = jnp.sum(x * x, axis=axis, keepdims=True)
        return x * jnp.minimum(jax.lax.rsqrt(*_rooted(square)), 1 / epsilon)
    length = jnp.linalg.norm(to_float(x), ord=order, axis=axis, keepdims=True)
    return jnp.divide(x, jnp.maximum(length, epsilon))


def _rooted(x):
    return (x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(dtypes.floatx()),)


# --------------------------------------------------------------------------------------------- classes, losses


@op(HOME, "OneHot", settings="num_classes axis dtype sparse")
def one_hot(x, num_classes, axis=-1, dtype=None, sparse=False):
    """1 at the place of each number on a new axis, else 0; a number outside of the classes gives zeros.

    Source: `jax.nn.one_hot`.
    """
    dense(sparse, "one_hot")
    return jax.nn.one_hot(x, num_classes, axis=axis, dtype=dtype or dtypes.floatx())


@op(HOME, "MultiHot", settings="num_classes axis dtype sparse")
def multi_hot(inputs, num_classes=None, axis=-1, dtype=None, sparse=False, **kwargs):
    """1 at the places of all numbers of a row, else 0.

    Raises:
        ValueError: `num_classes` (once `num_tokens`) is missing.

    Source: `keras.ops.multi_hot`.
    """
    dense(sparse, "multi_hot")
    num_classes = kwargs.pop("num_tokens", None) if num_classes is None else num_classes
    if num_classes is None or kwargs:
        raise ValueError(f"ops.multi_hot: expected num_classes=..., got {num_classes} and {sorted(kwargs)}.")
    x = jnp.asarray(inputs).astype("int32")
    hot = jax.nn.one_hot(x, num_classes, axis=axis, dtype=dtype or dtypes.floatx())
    return jnp.max(hot, axis=1 if x.ndim > 1 else 0)


@op(HOME, "BinaryCrossentropy", settings="from_logits")
def binary_crossentropy(target, output, from_logits=False):
    """-y log p - (1 - y) log(1 - p) of each element; `fkeras.losses` has its mean.

    Source: `fkeras.losses.crossentropy.elementwise_bce`.
    """
    from fkeras.losses.crossentropy import elementwise_bce

    return elementwise_bce(jnp.asarray(target), jnp.asarray(output), from_logits)


@op(HOME, "CategoricalCrossentropy", settings="from_logits axis")
def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-sum(y log p) over the classes on an axis.

    Source: `fkeras.losses.categorical_crossentropy`.
    """
    from fkeras.losses.crossentropy import log_probabilities, need_one_shape

    target, output = jnp.asarray(target), jnp.asarray(output)
    need_one_shape("ops.categorical_crossentropy", target, output)
    return -jnp.sum(target * log_probabilities(output, from_logits, axis), axis=axis)


@op(HOME, "SparseCategoricalCrossentropy", settings="from_logits axis")
def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-log p[y]: crossentropy for targets that are class numbers.

    Source: `fkeras.losses.sparse_categorical_crossentropy`.
    """
    from fkeras.losses.crossentropy import sparse_categorical_crossentropy as crossentropy

    return crossentropy(jnp.asarray(target).astype("int32"), jnp.asarray(output), from_logits, axis=axis)


@op(HOME, "CTCLoss", settings="mask_index")
def ctc_loss(target, output, target_length, output_length, mask_index=0):
    """-log of the summed probability of all alignments of labels with frames, for each sequence.

    Args:
        target: Integers [B, L].
        output: Logits [B, T, classes].
        target_length, output_length: Integers [B]: how many labels and frames of each row count.
        mask_index: The class that stands for no label.

    Source: Graves et al., "Connectionist Temporal Classification", 2006; `fkeras.ops.ctc.loss`.
    """
    dtype = result_type(jnp.result_type(output), "float32")
    return ctc.loss(*(jnp.asarray(v, "int32") for v in (target, target_length, output_length)),
                    jnp.asarray(output, dtype), mask_index)  # fmt: skip


@op(HOME, "CTCDecode", settings="strategy beam_width top_paths merge_repeated mask_index")
def ctc_decode(
    inputs, sequence_lengths, strategy="greedy", beam_width=100, top_paths=1, merge_repeated=True, mask_index=0
):
    """Likely labels of frames: (labels [paths, B, T] with -1 behind the last, scores [B, paths]).

    Args:
        inputs: Logits [B, T, classes].
        sequence_lengths: Integers [B]: how many frames of each row count.
        strategy: "greedy": the best class of each frame; the score is minus the sum of their logits. "beam_search": the
            `top_paths` best of `beam_width` label sequences; the score is the logarithm of their probability.
        merge_repeated: Greedy: equal neighbors are one label.
        mask_index: The class that stands for no label; None is the last.

    Raises:
        ValueError: There is no such strategy.

    Source: Graves, "Supervised Sequence Labelling", 2008, section 7.5; `fkeras.ops.ctc`.
    """
    logits = jnp.asarray(inputs, result_type(jnp.result_type(inputs), "float32"))
    lengths = jnp.asarray(sequence_lengths, "int32")
    blank = logits.shape[-1] - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        return ctc.greedy(logits, lengths, merge_repeated, blank)
    if strategy == "beam_search":
        return ctc.beam_search(logits, lengths, beam_width, top_paths, blank)
    raise ValueError(f"ops.ctc_decode: expected strategy 'greedy' or 'beam_search', got {strategy!r}.")


@op(HOME, "PSNR", settings="max_val")
def psnr(x1, x2, max_val):
    """Peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean((x1 - x2)^2)).

    Raises:
        ValueError: The shapes differ.

    Source: `tf.image.psnr`, over all elements as Keras.
    """
    x1, x2 = jnp.asarray(x1), jnp.asarray(x2)
    if x1.shape != x2.shape:
        raise ValueError(f"ops.psnr: expected arrays of one shape, got {x1.shape} and {x2.shape}.")
    error = jnp.mean(jnp.square(x1 - x2))
    return 20 * jnp.log10(jnp.asarray(max_val, x2.dtype)) - 10 * jnp.log10(error)


@op(HOME, "DotProductAttention", settings="is_causal flash_attention attn_logits_soft_cap")
def dot_product_attention(
    query,
    key,
    value,
    bias=None,
    mask=None,
    scale=None,
    is_causal=False,
    flash_attention=None,
    attn_logits_soft_cap=None,
):
    """Scaled dot-product attention of heads: softmax(scale * query @ key^T + bias, where mask) @ value.

    Args:
        query: [B, T, N, H]: batch, time, heads, features.
        key, value: [B, S, K, H]; K divides N.
        bias, mask: Broadcast to [B, N, T, S]; the mask is True where a query may look.
        scale: 1 / sqrt(H) by default.
        is_causal: Query i looks at keys 0 to i only.
        flash_attention: True demands the device's own kernel, False forbids it; None takes it where there is one and
            `fkeras.config` allows it.

    Raises:
        ValueError: The arrays do not fit each other, or a kernel is demanded that there is not.

    Source: Vaswani et al., "Attention Is All You Need", 2017; `fkeras.layers.kernels.attention`.
    """
    from fkeras.layers.kernels.attention import dot_product_attention as attend

    if attn_logits_soft_cap is not None:
        raise ValueError("ops.dot_product_attention: attn_logits_soft_cap needs a TPU kernel that is not used here.")
    query, key, value = (jnp.asarray(a) for a in (query, key, value))
    dtype = result_type(query.dtype, key.dtype, value.dtype)
    query, key, value = (a.astype(dtype) for a in (query, key, value))
    bias = None if bias is None else jnp.asarray(bias, dtype)
    mask = None if mask is None else jnp.asarray(mask, bool)
    return attend(query, key, value, mask, bias, is_causal, scale=scale, fused=flash_attention).output
