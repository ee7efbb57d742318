"""Calls of every op of `fkeras.ops`, written once for ours and for Keras's: `call(ops, x)`.

`x(*shape)` gives the next array of a call: an array here, a tracer under jit, a symbol in a graph.
"""

import jax.numpy as jnp
import numpy as np

DTYPES = ("float32", "int32", "bool", "bfloat16", "int8", "float16")

# Ops of one array, of two, and along axes: each in every dtype.
UNARY = """
abs absolute angle arccos arccosh arcsin arcsinh arctan arctanh bitwise_invert bitwise_not cbrt ceil conj conjugate
copy cos cosh deg2rad exp exp2 expm1 fabs floor i0 imag isfinite isinf isnan isneginf isposinf isreal log log10 log1p
log2 logical_not negative rad2deg real reciprocal round sign signbit sin sinc sinh sqrt square tan tanh trunc celu elu
gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid relu relu6 selu sigmoid silu
soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus swish tanh_shrink erf erfc erfinv rsqrt nan_to_num
zeros_like ones_like empty_like ravel shape size ndim dtype is_tensor convert_to_tensor convert_to_numpy array
stop_gradient softmax log_softmax
""".split()  # fmt: skip
BINARY = """
add arctan2 divide divide_no_nan equal floor_divide fmax fmin fmod gcd greater greater_equal heaviside hypot kron lcm
less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor maximum minimum mod multiply nextafter
not_equal power subtract true_divide bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift
left_shift right_shift inner outer vdot dot isclose allclose append
""".split()  # fmt: skip
REDUCTIONS = """
all any amax amin argmax argmin max min mean median nanargmax nanargmin nanmax nanmean nanmedian nanmin nanprod nanstd
nansum nanvar prod ptp std sum var logsumexp
""".split()  # fmt: skip
INTEGERS = {"gcd", "lcm"} | {n for n in [*UNARY, *BINARY] if n.startswith("bitwise_") or n.endswith("_shift")}
# What means nothing by dtype in Keras either: no numbers to compare.
NO_NUMBERS = {"empty_like", "empty"}
BETWEEN_ZERO_AND_ONE = {"arccos", "arcsin", "arctanh", "erfinv"}

SPECIAL = {
    "adaptive_average_pool": lambda o, x: o.adaptive_average_pool(x(2, 7, 6, 3), (3, 4)),
    "adaptive_average_pool 1d": lambda o, x: o.adaptive_average_pool(x(2, 3, 7), 3, data_format="channels_first"),
    "adaptive_max_pool": lambda o, x: o.adaptive_max_pool(x(2, 7, 6, 3), 2),
    "adaptive_max_pool 3d": lambda o, x: o.adaptive_max_pool(x(1, 4, 5, 6, 2), (2, 3, 4)),
    "arange": lambda o, x: [o.arange(5), o.arange(1, 7, 2), o.arange(0.0, 1.0, 0.25), o.arange(3, dtype="int8")],
    "argpartition": lambda o, x: o.sort(o.take_along_axis(v := x(3, 6), o.argpartition(v, 2)[:, :2], axis=1)),
    "argsort": lambda o, x: [o.argsort(x(3, 6)), o.argsort(x(3, 6), axis=0)],
    "array": lambda o, x: o.array([[1, 2], [3, 4]], dtype="float32"),
    "array_split": lambda o, x: o.array_split(x(7, 2), 3),
    "associative_scan": lambda o, x: o.associative_scan(lambda a, b: a + b, x(5, 2)),
    "associative_scan backwards": lambda o, x: o.associative_scan(lambda a, b: a * b, x(3, 5), reverse=True, axis=1),
    "average": lambda o, x: [o.average(x(3, 4), axis=1, weights=x(4, low=0.1)), o.average(x(3, dtype="int32"))],
    "average_pool": lambda o, x: o.average_pool(x(2, 6, 5, 3), 2, 2),
    "average_pool same": lambda o, x: o.average_pool(x(2, 3, 7), 3, 2, "same", data_format="channels_first"),
    "bartlett": lambda o, x: o.bartlett(7),
    "batch_normalization": lambda o, x: o.batch_normalization(
        x(3, 4), x(4), x(4, low=0.5), -1, x(4), x(4), epsilon=1e-2
    ),
    "batch_normalization plain": lambda o, x: o.batch_normalization(x(3, 4, 2), x(4), x(4, low=0.5), axis=1),
    "binary_crossentropy": lambda o, x: [
        o.binary_crossentropy(x(3, 4, low=0, high=1), x(3, 4, low=0, high=1)),
        o.binary_crossentropy(x(3, 4, low=0, high=1), x(3, 4), from_logits=True),
    ],
    "bincount": lambda o, x: [
        o.bincount(x(6, dtype="int32", low=0, high=4), minlength=3),
        o.bincount(x(6, dtype="int32", low=0, high=4), weights=x(6)),
    ],
    "blackman": lambda o, x: o.blackman(6),
    "broadcast_to": lambda o, x: o.broadcast_to(x(4), (3, 4)),
    "cast": lambda o, x: [o.cast(x(3), "int32"), o.cast(x(3, dtype="int32"), "bfloat16"), o.cast(x(2), "bool")],
    "categorical_crossentropy": lambda o, x: [
        o.categorical_crossentropy(x(3, 4, low=0, high=1), x(3, 4, low=0.1, high=1)),
        o.categorical_crossentropy(x(4, 3, low=0, high=1), x(4, 3), from_logits=True, axis=0),
    ],
    "cdist": lambda o, x: o.cdist(x(2, 3, 4), x(2, 5, 4)),
    "cholesky": lambda o, x: [
        o.cholesky(_positive(o, x(3, 3))), o.cholesky(_positive(o, x(2, 3, 3)), upper=True)
    ],
    "cholesky_inverse": lambda o, x: [
        o.cholesky_inverse(o.cholesky(_positive(o, x(3, 3)))),
        o.cholesky_inverse(o.cholesky(_positive(o, x(3, 3)), upper=True), upper=True),
    ],
    "clip": lambda o, x: [o.clip(x(3, 4), -0.5, 1), o.clip(x(5, dtype="bool"), 0, 1), o.clip(x(5, dtype="int8"), 0, 1)],
    "concatenate": lambda o, x: [o.concatenate([x(2, 3), x(2, 4)], axis=1), o.concatenate((x(2), x(3, dtype="int8")))],
    "cond": lambda o, x: o.cond(x(1, dtype="bool")[0], lambda: np.float32(1), lambda: np.float32(2)),
    "conv": lambda o, x: o.conv(x(2, 6, 5, 3), x(3, 2, 3, 4), 1, "valid"),
    "conv same": lambda o, x: o.conv(x(2, 7, 4), x(3, 4, 2), 2, "same"),
    "conv groups": lambda o, x: o.conv(x(2, 4, 6, 6), x(3, 3, 2, 6), padding="same", data_format="channels_first"),
    "conv dilated 3d": lambda o, x: o.conv(x(1, 5, 5, 5, 2), x(2, 2, 2, 2, 3), dilation_rate=2),
    "conv_transpose": lambda o, x: o.conv_transpose(x(2, 4, 5, 3), x(3, 3, 2, 3), 2, "same"),
    "conv_transpose valid": lambda o, x: o.conv_transpose(x(2, 4, 3), x(3, 2, 3), 2, output_padding=1),
    "correlate": lambda o, x: [o.correlate(x(6), x(3)), o.correlate(x(4), x(3), mode="full")],
    "corrcoef": lambda o, x: o.corrcoef(x(3, 6)),
    "count_nonzero": lambda o, x: [o.count_nonzero(x(3, 4, dtype="bool")), o.count_nonzero(x(3, 4), axis=1)],
    "cross": lambda o, x: o.cross(x(4, 3), x(4, 3)),
    "ctc_decode": lambda o, x: o.ctc_decode(x(2, 6, 4), np.array([6, 4], "int32")),
    "ctc_decode unmerged": lambda o, x: o.ctc_decode(x(2, 6, 4), np.array([6, 4]), merge_repeated=False, mask_index=3),
    "ctc_decode beams": lambda o, x: o.ctc_decode(
        x(2, 5, 3), np.array([5, 4]), strategy="beam_search", beam_width=20, top_paths=2
    ),
    "ctc_loss": lambda o, x: o.ctc_loss(
        np.array([[1, 2, 2], [3, 1, 0]]), x(2, 7, 4), np.array([3, 2]), np.array([7, 5])
    ),
    "ctc_loss masked": lambda o, x: o.ctc_loss(
        np.array([[1, 2], [0, 0]]), x(2, 5, 4), np.array([2, 2]), np.array([5, 5]), mask_index=3
    ),
    "cumprod": lambda o, x: [o.cumprod(x(3, 4), axis=1), o.cumprod(x(4, dtype="int8"))],
    "cumsum": lambda o, x: [o.cumsum(x(3, 4)), o.cumsum(x(3, 4), axis=0, dtype="float16"),
               o.cumsum(x(4, dtype="bool"))],
    "custom_gradient": lambda o, x: o.custom_gradient(lambda v: (v * 2, lambda g: g * 3))(x(3)),
    "depth_to_space": lambda o, x: [
        o.depth_to_space(x(2, 3, 2, 8), 2), o.depth_to_space(x(2, 8, 3, 2), 2, data_format="channels_first")
    ],
    "depthwise_conv": lambda o, x: o.depthwise_conv(x(2, 6, 5, 3), x(3, 3, 3, 2), 1, "same"),
    "det": lambda o, x: o.det(x(2, 3, 3)),
    "diag": lambda o, x: [o.diag(x(3), k=1), o.diag(x(3, 4))],
    "diagflat": lambda o, x: o.diagflat(x(2, 2)),
    "diagonal": lambda o, x: o.diagonal(x(2, 3, 4), offset=1, axis1=1, axis2=2),
    "diff": lambda o, x: o.diff(x(3, 5), n=2),
    "digitize": lambda o, x: o.digitize(x(3, 4), np.array([-1.0, 0.0, 1.0], "float32")),
    "dot_product_attention": lambda o, x: o.dot_product_attention(x(2, 5, 4, 8), x(2, 3, 2, 8), x(2, 3, 2, 8)),
    "dot_product_attention masked": lambda o, x: o.dot_product_attention(
        x(2, 4, 2, 8), x(2, 4, 2, 8), x(2, 4, 2, 8), bias=x(1, 2, 4, 4), mask=np.tri(4, dtype="bool")[None, None],
        scale=0.3, is_causal=True,
    ),
    "dsplit": lambda o, x: o.dsplit(x(2, 3, 4), 2),
    "dstack": lambda o, x: o.dstack([x(2, 3), x(2, 3)]),
    "eig": lambda o, x: o.eig(x(3, 3))[0].real.sum(),
    "eigh": lambda o, x: o.abs(o.eigh(_positive(o, x(3, 3)))[1]),
    "einsum": lambda o, x: [
        o.einsum("bij,bjk->bik", x(2, 3, 4), x(2, 4, 5)),
        o.einsum("ij,jk", x(2, 3, dtype="int8"), x(3, 2, dtype="int8")),
    ],
    "empty": lambda o, x: o.empty((2, 3)),
    "expand_dims": lambda o, x: [o.expand_dims(x(2, 3), 1), o.expand_dims(x(2, 3), (0, -1))],
    "extract_sequences": lambda o, x: o.extract_sequences(x(2, 3, 9), 4, 2),
    "eye": lambda o, x: [o.eye(3), o.eye(2, 4, 1, "int32")],
    "fft": lambda o, x: o.fft((x(2, 6), x(2, 6))),
    "fft2": lambda o, x: o.fft2((x(2, 4, 6), x(2, 4, 6))),
    "flip": lambda o, x: [o.flip(x(2, 3)), o.flip(x(2, 3), axis=1)],
    "fliplr": lambda o, x: o.fliplr(x(2, 3)),
    "flipud": lambda o, x: o.flipud(x(2, 3)),
    "fold": lambda o, x: o.fold(x(2, 12, 6), (3, 4), 2),
    "fold padded": lambda o, x: o.fold(o.unfold(x(1, 2, 5, 6), (2, 3), 1, 1, 2), (5, 6), (2, 3), padding=1, stride=2),
    "fori_loop": lambda o, x: o.fori_loop(1, 4, lambda i, v: v * i, x(3)),
    "full": lambda o, x: [o.full((2, 3), 2), o.full((2,), 7, dtype="int8")],
    "full_like": lambda o, x: o.full_like(x(2, 3, dtype="int32"), 2),
    "geomspace": lambda o, x: o.geomspace(1.0, 16.0, 5),
    "get_item": lambda o, x: [o.get_item(x(3, 4), (slice(None), 1)), o.get_item(x(3, 4), 0)],
    "glu": lambda o, x: o.glu(x(2, 6)),
    "hamming": lambda o, x: o.hamming(5),
    "hanning": lambda o, x: o.hanning(5),
    "histogram": lambda o, x: [o.histogram(x(9), bins=4), o.histogram(x(9), bins=3, range=(-1, 1))],
    "hsplit": lambda o, x: o.hsplit(x(2, 4), [1, 3]),
    "hstack": lambda o, x: o.hstack([x(2, 3), x(2, 1)]),
    "identity": lambda o, x: o.identity(3),
    "ifft2": lambda o, x: o.ifft2((x(2, 4, 6), x(2, 4, 6))),
    "in_top_k": lambda o, x: o.in_top_k(np.array([1, 0, 2], "int32"), x(3, 4), 2),
    "inv": lambda o, x: o.inv(_positive(o, x(2, 3, 3))),
    "irfft": lambda o, x: [o.irfft((x(2, 5), x(2, 5))), o.irfft((x(5), x(5)), fft_length=7)],
    "isin": lambda o, x: o.isin(x(3, 4, dtype="int32"), np.array([1, 2])),
    "istft": lambda o, x: o.istft(o.stft(x(2, 64), 16, 4, 16), 16, 4, 16),
    "istft uncentered": lambda o, x: o.istft(
        o.stft(x(2, 64), 12, 4, 16, window="hamming", center=False), 12, 4, 16, window="hamming", center=False,
        length=40,
    )[..., 8:36],
    "jvp": lambda o, x: o.jvp(lambda v: v * v, (x(3),), (x(3),)),
    "kaiser": lambda o, x: o.kaiser(5, 8.0),
    "layer_normalization": lambda o, x: [
        o.layer_normalization(x(3, 4), x(4), x(4)), o.layer_normalization(x(2, 3, 4), axis=(1, 2), epsilon=1e-2)
    ],
    "ldexp": lambda o, x: o.ldexp(x(3), np.array([1, 2, -1])),
    "linspace": lambda o, x: [o.linspace(0.0, 1.0, 5), o.linspace(x(2), x(2), 3, endpoint=False, axis=1)],
    "logdet": lambda o, x: o.logdet(_positive(o, x(2, 3, 3))),
    "logspace": lambda o, x: o.logspace(0.0, 2.0, 4, base=2),
    "lstsq": lambda o, x: o.lstsq(x(5, 3), x(5, 2)),
    "lu_factor": lambda o, x: [o.lu_factor(x(3, 3)), o.lu_factor(x(2, 3, 3))],
    "map": lambda o, x: o.map(lambda v: v * 2, x(4, 2)),
    "matmul": lambda o, x: [
        o.matmul(x(2, 3, 4), x(4, 5)), o.matmul(x(2, 3, dtype="int8"), x(3, 2, dtype="int8")),
        o.matmul(x(3, dtype="bfloat16"), x(3, 2)),
    ],
    "matrix_rank": lambda o, x: o.matrix_rank(x(2, 3, 4)),
    "max initial": lambda o, x: o.max(x(3, 4), axis=1, initial=1.0),
    "max_pool": lambda o, x: o.max_pool(x(2, 6, 5, 3), 2, 2),
    "max_pool same": lambda o, x: o.max_pool(x(2, 3, 7), 3, 2, "same", data_format="channels_first"),
    "meshgrid": lambda o, x: [o.meshgrid(x(3), x(2)), o.meshgrid(x(3), x(2), indexing="ij")],
    "min initial": lambda o, x: o.min(x(3, 4), keepdims=True, initial=-1.0),
    "moments": lambda o, x: [o.moments(x(3, 4, 5), axes=[0, 2]), o.moments(x(3, 4, dtype="float16"), 0, keepdims=True)],
    "moveaxis": lambda o, x: o.moveaxis(x(2, 3, 4), (0, 1), (2, 0)),
    "multi_hot": lambda o, x: [
        o.multi_hot(np.array([[1, 3], [0, 0]]), 4), o.multi_hot(np.array([0, 2]), num_classes=3, dtype="int32")
    ],
    "nancumprod": lambda o, x: o.nancumprod(x(3, 4), axis=1),
    "nancumsum": lambda o, x: o.nancumsum(x(3, 4)),
    "nanpercentile": lambda o, x: o.nanpercentile(x(3, 5), 30.0, axis=1),
    "nanquantile": lambda o, x: o.nanquantile(x(3, 5), 0.3, keepdims=True),
    "nonzero": lambda o, x: o.nonzero(x(3, 4, dtype="bool")),
    "norm": lambda o, x: [
        o.norm(x(3, 4)), o.norm(x(3, 4), ord=1, axis=1), o.norm(x(2, 3, 4), ord="fro", axis=(1, 2), keepdims=True),
        o.norm(x(3, dtype="int32")),
    ],
    "normalize": lambda o, x: [o.normalize(x(3, 4)), o.normalize(x(3, 4), axis=0, order=3)],
    "one_hot": lambda o, x: [
        o.one_hot(np.array([0, 2, -1, 5]), 4), o.one_hot(np.array([[1, 0]]), 3, axis=1, dtype="int8")
    ],
    "ones": lambda o, x: [o.ones((2, 3)), o.ones(3, dtype="bool")],
    "pad": lambda o, x: [
        o.pad(x(2, 3), ((1, 0), (2, 1))), o.pad(x(3), (1, 1), constant_values=5),
        o.pad(x(4, 3), ((2, 1), (0, 0)), mode="reflect"),
    ],
    "percentile": lambda o, x: o.percentile(x(3, 5), np.array([10.0, 50.0], "float32"), axis=1),
    "pinv": lambda o, x: o.pinv(x(3, 4)),
    "polar": lambda o, x: o.polar(x(3, low=0.1), x(3)),
    "prod dtype": lambda o, x: o.prod(x(3, 2, dtype="int8"), axis=0, dtype="int32"),
    "psnr": lambda o, x: o.psnr(x(2, 4, 4, 3), x(2, 4, 4, 3), 2.0),
    "qr": lambda o, x: [o.qr(x(4, 3)), o.qr(x(4, 3), mode="complete")],
    "quantile": lambda o, x: [o.quantile(x(3, 5), 0.25), o.quantile(x(3, 5), 0.5, axis=1, method="nearest")],
    "rearrange": lambda o, x: [
        o.rearrange(x(2, 3, 4), "a b c -> c (a b)"), o.rearrange(x(2, 12), "a (b c) -> a c b", b=3)
    ],
    "repeat": lambda o, x: [o.repeat(x(2, 3), 2), o.repeat(x(2, 3), 2, axis=1)],
    "reshape": lambda o, x: [o.reshape(x(2, 6), (3, 4)), o.reshape(x(2, 6), (-1, 2)), o.reshape(x(4), [2, 2])],
    "rfft": lambda o, x: [o.rfft(x(2, 6)), o.rfft(x(2, 6), fft_length=8)],
    "rms_normalization": lambda o, x: [o.rms_normalization(x(3, 4), x(4)), o.rms_normalization(x(3, 4), axis=0)],
    "roll": lambda o, x: [o.roll(x(2, 3), 1), o.roll(x(2, 3), (1, 2), axis=(0, 1))],
    "rot90": lambda o, x: [o.rot90(x(2, 3)), o.rot90(x(2, 3, 4), k=3, axes=(1, 2))],
    "round decimals": lambda o, x: [o.round(x(4) * 100, -1), o.round(x(4, dtype="int32", high=200), -2)],
    "saturate_cast": lambda o, x: [
        o.saturate_cast(x(4) * 300, "int8"), o.saturate_cast(x(4, dtype="int32") * 300, "uint8"),
        o.saturate_cast(x(3), "int32"),
    ],
    "scan": lambda o, x: o.scan(lambda c, v: (c + v, c * v), x(2), x(4, 2)),
    "scatter": lambda o, x: o.scatter(np.array([[0, 1], [2, 0], [0, 1]]), x(3), (3, 2)),
    "scatter_update": lambda o, x: [
        o.scatter_update(x(4), np.array([[1], [3]]), x(2)),
        o.scatter_update(x(4), np.array([[1], [1]]), x(2), reduction="add"),
        o.scatter_update(x(4, 2), np.array([[1, 0]]), x(1), reduction="max"),
    ],
    "searchsorted": lambda o, x: o.searchsorted(np.array([-1.0, 0.0, 1.0], "float32"), x(3, 4), side="right"),
    "segment_max": lambda o, x: o.segment_max(x(4, 2), np.array([0, 0, 1, 2]), 3),
    "segment_min": lambda o, x: o.segment_min(x(4), np.array([0, 0, 1, 2]), num_segments=3, sorted=True),
    "segment_prod": lambda o, x: o.segment_prod(x(4), np.array([0, 0, 1, 2]), 3),
    "segment_sum": lambda o, x: o.segment_sum(x(4, 2), np.array([0, 2, 2, 1]), num_segments=4),
    "select": lambda o, x: o.select([x(3, dtype="bool"), x(3, dtype="bool")], [x(3), x(3)], default=7.0),
    "separable_conv": lambda o, x: o.separable_conv(x(2, 6, 5, 3), x(3, 3, 3, 2), x(1, 1, 6, 4), padding="same"),
    "slice": lambda o, x: [o.slice(x(4, 5), (1, 2), (2, 3)), o.slice(x(4, 5), np.array([1, 0]), (2, -1))],
    "slice_update": lambda o, x: o.slice_update(x(4, 5), (1, 2), x(2, 3)),
    "slogdet": lambda o, x: o.slogdet(x(2, 3, 3)),
    "softmax axis": lambda o, x: [o.softmax(x(3, 4), axis=0), o.log_softmax(x(3, 4), axis=0)],
    "solve": lambda o, x: o.solve(_positive(o, x(3, 3)), x(3, 2)),
    "solve_triangular": lambda o, x: o.solve_triangular(_positive(o, x(3, 3)), x(3, 2), lower=True),
    "sort": lambda o, x: [o.sort(x(3, 4)), o.sort(x(3, 4, dtype="int8"), axis=0)],
    "space_to_depth": lambda o, x: [
        o.space_to_depth(x(2, 4, 6, 3), 2), o.space_to_depth(x(2, 3, 4, 6), 2, data_format="channels_first")
    ],
    "sparse_categorical_crossentropy": lambda o, x: [
        o.sparse_categorical_crossentropy(np.array([1, 0, 3]), x(3, 4, low=0.1, high=1)),
        o.sparse_categorical_crossentropy(np.array([[1], [0]]), x(2, 4), from_logits=True),
    ],
    "sparsemax": lambda o, x: o.sparsemax(x(1, 4) * 10),  # one entry survives: Keras 3.15 is wrong for more
    "split": lambda o, x: [o.split(x(2, 6), 3, axis=1), o.split(x(6, 2), [1, 4])],
    "squeeze": lambda o, x: [o.squeeze(x(1, 3, 1)), o.squeeze(x(1, 3, 1), axis=2)],
    "stack": lambda o, x: o.stack([x(2, 3), x(2, 3)], axis=1),
    "stft": lambda o, x: [o.stft(x(2, 40), 16, 4, 16), o.stft(x(40), 10, 5, 16, window=None, center=False)],
    "svd": lambda o, x: [o.svd(x(4, 3), compute_uv=False), o.abs(o.svd(x(4, 3), full_matrices=False)[2])],
    "swapaxes": lambda o, x: o.swapaxes(x(2, 3, 4), 0, 2),
    "switch": lambda o, x: o.switch(1, [lambda a, b: a + b, lambda a, b: a * b], x(3), x(3)),
    "take": lambda o, x: [o.take(x(3, 4), np.array([0, 2]), axis=1), o.take(x(3, 4), np.array([[5, 1]]))],
    "take_along_axis": lambda o, x: o.take_along_axis(x(3, 4), np.array([[0], [3], [1]]), axis=1),
    "tensordot": lambda o, x: [o.tensordot(x(2, 3, 4), x(3, 4, 5)), o.tensordot(x(2, 3), x(4, 3), axes=[[1], [1]])],
    "threshold": lambda o, x: o.threshold(x(3, 4), 0.5, -1.0),
    "tile": lambda o, x: [o.tile(x(2, 3), 2), o.tile(x(2, 3), (2, 1, 2))],
    "top_k": lambda o, x: o.top_k(x(3, 6), 2),
    "trace": lambda o, x: o.trace(x(3, 4, 2), offset=1),
    "transpose": lambda o, x: [o.transpose(x(2, 3, 4)), o.transpose(x(2, 3, 4), (1, 0, 2))],
    "trapezoid": lambda o, x: [o.trapezoid(x(3, 4), dx=0.5), o.trapezoid(x(3, 4), x=[0.0, 1.0, 3.0, 4.0])],
    "tri": lambda o, x: [o.tri(3), o.tri(2, 4, 1, "int32")],
    "tril": lambda o, x: o.tril(x(2, 3, 4), k=-1),
    "triu": lambda o, x: o.triu(x(3, 4), k=1),
    "unfold": lambda o, x: [o.unfold(x(2, 3, 5, 6), 2), o.unfold(x(1, 2, 6, 7), (2, 3), (2, 1), (1, 0), (1, 2))],
    "unique": lambda o, x: [
        o.unique(np.array([3, 1, 3])), o.unique(np.array([3, 1, 3]), return_inverse=True, return_counts=True),
        o.unique(x(4, dtype="int32", low=0, high=3), size=4, fill_value=-1),
    ],
    "unravel_index": lambda o, x: o.unravel_index(np.array([1, 5]), (2, 3)),
    "unstack": lambda o, x: [o.unstack(x(3, 2)), o.unstack(x(2, 3), num=3, axis=1)],
    "vander": lambda o, x: [o.vander(x(3)), o.vander(x(3), N=2, increasing=True)],
    "vectorize": lambda o, x: o.vectorize(lambda a, b: a + b)(x(3, 1), x(4)),
    "vectorized_map": lambda o, x: o.vectorized_map(lambda v: v[0] * v[1], [x(3, 2), x(3, 2)]),
    "view": lambda o, x: o.view(x(3), "int32"),
    "view_as_complex": lambda o, x: o.view_as_complex(x(3, 2)),
    "view_as_real": lambda o, x: o.view_as_real(o.view_as_complex(x(3, 2))),
    "vsplit": lambda o, x: o.vsplit(x(4, 2), 2),
    "vstack": lambda o, x: o.vstack([x(3), x(3)]),
    "where": lambda o, x: [o.where(x(3, dtype="bool"), x(3), 0.0), o.where(x(3, dtype="bool"), x(3, dtype="int8"), 2)],
    "while_loop": lambda o, x: [
        o.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * 2), (0, x(2))),
        o.while_loop(lambda v: o.max(v) < 100, lambda v: v + 1, x(2), maximum_iterations=2),
    ],
    "zeros": lambda o, x: [o.zeros((2, 3)), o.zeros([2], dtype="int32")],
    "image.affine_transform": lambda o, x: o.image.affine_transform(
        x(2, 5, 6, 3), np.array([[1, 0.2, 0.5, 0.1, 0.9, -0.3, 0, 0]] * 2, "float32")
    ),
    "image.affine_transform nearest": lambda o, x: o.image.affine_transform(
        x(3, 5, 6), np.array([0.8, 0.2, 0.4, -0.1, 1.1, 0.3, 0, 0], "float32"), "nearest", "reflect",
        data_format="channels_first",
    ),
    "image.crop_images": lambda o, x: o.image.crop_images(x(2, 6, 7, 3), 1, 2, target_height=3, target_width=4),
    "image.elastic_transform": lambda o, x: o.image.elastic_transform(x(2, 6, 7, 3), sigma=0.8, seed=1) * 0,
    "image.extract_patches": lambda o, x: [
        o.image.extract_patches(x(2, 6, 7, 3), (2, 3)),
        o.image.extract_patches(x(3, 6, 7), 2, 3, 2, "same", data_format="channels_first"),
    ],
    "image.extract_patches_3d": lambda o, x: o.image.extract_patches_3d(x(1, 4, 5, 6, 2), 2, 2),
    "image.gaussian_blur": lambda o, x: o.image.gaussian_blur(
        x(2, 6, 7, 3), (3, 5), (1.0, 2.0), data_format="channels_last"
    ),
    "image.hsv_to_rgb": lambda o, x: o.image.hsv_to_rgb(x(2, 3, 4, 3, low=0, high=1)),
    "image.map_coordinates": lambda o, x: [
        o.image.map_coordinates(x(5, 6), x(2, 7, low=-1, high=6), 1),
        o.image.map_coordinates(x(5, 6), x(2, 7, low=-1, high=6), 0, "wrap"),
    ],
    "image.pad_images": lambda o, x: o.image.pad_images(
        x(4, 5, 3), 1, bottom_padding=2, left_padding=1, target_width=9
    ),
    "image.perspective_transform": lambda o, x: o.image.perspective_transform(
        x(2, 6, 7, 3), np.array([[[0, 0], [0, 5], [6, 0], [6, 5]]] * 2, "float32"),
        np.array([[[1, 0], [0, 4], [5, 1], [6, 5]]] * 2, "float32"),
    ),
    "image.resize": lambda o, x: [
        o.image.resize(x(2, 6, 7, 3), (4, 9)), o.image.resize(x(3, 6, 7), (3, 3), "bicubic", antialias=True,
                                                              data_format="channels_first"),
        o.image.resize(x(6, 9, 1), (4, 4), "nearest", crop_to_aspect_ratio=True),
        o.image.resize(x(1, 6, 9, 1), (4, 4), pad_to_aspect_ratio=True, fill_value=2.0),
    ],
    "image.rgb_to_grayscale": lambda o, x: [
        o.image.rgb_to_grayscale(x(2, 3, 4, 3)), o.image.rgb_to_grayscale(x(3, 3, 4), data_format="channels_first")
    ],
    "image.rgb_to_hsv": lambda o, x: o.image.rgb_to_hsv(x(2, 3, 4, 3, low=0, high=1)),
    "image.scale_and_translate": lambda o, x: o.image.scale_and_translate(
        x(2, 5, 6, 3), (2, 4, 4, 3), np.array([0.8, 0.7], "float32"), np.array([0.5, 0.0], "float32"), (1, 2), "linear"
    ),
    "image.sobel_edges": lambda o, x: o.image.sobel_edges(x(2, 5, 6, 3)),
    "image.ssim": lambda o, x: [
        o.image.ssim(x(2, 9, 8, 2), x(2, 9, 8, 2), filter_size=7),
        o.image.ssim(x(12, 13, 1), x(12, 13, 1), filter_size=5),
    ],
}  # fmt: skip

# Calls whose results have a shape that depends on numbers, or that are no arrays: neither compiled nor drawn.
EAGER_ONLY = {"bincount", "nonzero", "unique", "is_tensor", "convert_to_numpy", "shape", "ndim", "size", "dtype", "eig"}
# Calls that in a graph hold functions, or are made of Python's own numbers.
NO_GRAPH = EAGER_ONLY | {"cond", "vectorize", "custom_gradient", "eig", "array", "jvp", "view_as_real"}


def _positive(ops, x):
    """Returns well-conditioned positive definite matrices."""
    return ops.matmul(x, ops.swapaxes(x, -1, -2)) + 2 * np.eye(3, dtype="float32")


def draw(seed, shape, dtype, low=-2.0, high=2.0):
    """Returns numbers that are the same in every run."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if "int" in dtype:
        return np.asarray(rng.integers(int(low), int(high) + 3, shape), dtype)
    return np.asarray(rng.uniform(low, high, shape), jnp.dtype(dtype))


def _special(call):
    return lambda ops, x: call(ops, x)


def _unary(name, shape, dtype):
    low, high = (-0.9, 0.9) if name in BETWEEN_ZERO_AND_ONE else (-2.0, 2.0)
    return lambda ops, x: getattr(ops, name)(x(*shape, dtype=dtype, low=low, high=high))


def _binary(name, dtype, other):
    if other == "number":
        return lambda ops, x: getattr(ops, name)(x(2, 3, dtype=dtype), 2)
    return lambda ops, x: getattr(ops, name)(x(2, 3, dtype=dtype), x(3, dtype=other))


def _reduction(name, dtype, axis, keepdims):
    return lambda ops, x: getattr(ops, name)(x(2, 3, 4, dtype=dtype), axis=axis, keepdims=keepdims)


def cases():
    """Returns {id: (op, call)} of the whole product."""
    found = {}
    for name in UNARY:
        for dtype in DTYPES:
            for shape in ((2, 3), (), (4,)):
                found[f"{name} {dtype}{list(shape)}"] = name, _unary(name, shape, dtype)
    for name in BINARY:
        shape_bound = name in ("inner", "outer", "vdot", "dot")
        for i, dtype in enumerate(DTYPES):
            for other in (dtype, DTYPES[i - 1], DTYPES[i - 2], "number"):
                if not (name == "vdot" or (shape_bound and other == "number")):
                    found[f"{name} {dtype} {other}"] = name, _binary(name, dtype, other)
    for dtype in DTYPES:
        found[f"vdot {dtype}"] = "vdot", lambda ops, x, d=dtype: ops.vdot(x(2, 3, dtype=d), x(3, 2, dtype=d))
    for name in REDUCTIONS:
        axes = (None, 1, -1) if "arg" in name else (None, 1, (0, -1))
        for dtype in DTYPES:
            for axis in axes:
                for keepdims in (False, True):
                    call = _reduction(name, dtype, axis, keepdims)
                    found[f"{name} {dtype} {axis} {keepdims}"] = name, call
    for name, call in SPECIAL.items():
        found[name] = name.split()[0], _special(call)
    return found
