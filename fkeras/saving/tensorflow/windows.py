"""Rules of convolutions and of reductions over windows."""

import itertools

import jax.numpy as jnp
import numpy as np

from fkeras.saving.tensorflow.emit import rule
from fkeras.saving.tensorflow.graph import is_known, product


@rule("conv_general_dilated")
def _convolution(body, call):
    (x, kernel), p, out = call.ins, call.params, call.out
    numbers, rank = p.dimension_numbers, len(call.out.shape) - 2
    if rank > 3 or p.batch_group_count != 1:
        what = f"over {rank} axes" if rank > 3 else "with groups of the batch"
        raise ValueError(f"SavedModel: TensorFlow has no convolution {what}.")
    x = body.transpose(x, [numbers.lhs_spec[0], *numbers.lhs_spec[2:], numbers.lhs_spec[1]])  # [B, *space, C]
    kernel = body.transpose(kernel, [*numbers.rhs_spec[2:], *numbers.rhs_spec[1::-1]])  # [*window, C / G, F]
    x, kernel = body.cast(x, out.dtype), body.cast(kernel, out.dtype)
    more = max(2 - rank, 0)  # there is no convolution over one axis: a second one of size 1 comes in front
    x = body.reshape(x, [x.shape[0], *[1] * more, *x.shape[1:]])
    kernel = body.reshape(kernel, [*[1] * more, *kernel.shape])
    strides, spread, dilation = (
        [1] * more + list(s or [1] * rank) for s in (p.window_strides, p.lhs_dilation, p.rhs_dilation)
    )  # fmt: skip
    pads = [(0, 0)] * more + [tuple(pair) for pair in p.padding]
    groups = p.feature_group_count
    if max(spread) > 1 and max(strides) == groups == 1:
        y = _transposed(body, x, kernel, spread, dilation, pads)
    else:
        x = body.spread(x, [1, *spread, 1])
        y = _grouped(body, x, kernel, strides, dilation, pads, groups)
    y = body.reshape(y, [y.shape[0], *y.shape[1 + more :]])
    places = [numbers.out_spec[0], *numbers.out_spec[2:], numbers.out_spec[1]]
    return body.transpose(y, np.argsort(places).tolist())


def _grouped(body, x, kernel, strides, dilation, pads, groups):
    channels, outputs = x.shape[-1], kernel.shape[-1]
    if groups == 1:
        return _plain(body, x, kernel, strides, dilation, pads)
    if groups == channels and len(strides) == 2:
        return _depthwise(body, x, kernel, strides, dilation, pads)
    parts = []
    for g in range(groups):  # TensorFlow has groups of channels on some devices only
        part = body.slice(x, *_last(x, channels // groups, g))
        filters = body.slice(kernel, *_last(kernel, outputs // groups, g))
        parts.append(_plain(body, part, filters, strides, dilation, pads))
    return body.concat(parts, len(x.shape) - 1, (*parts[0].shape[:-1], outputs))


def _last(x, size, g):
    """Returns (start, stop) of the g-th part of `size` elements of the last axis."""
    return [*[0] * (len(x.shape) - 1), g * size], [*x.shape[:-1], (g + 1) * size]


def _counts(x, reach, strides):
    return [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]


def _padded(body, x, pads, reach, strides, value=None):
    """Returns (x, the name of the padding): TensorFlow's "SAME" where it is that, else zeros around and "VALID"."""
    same = all(
        is_known(n) and (lo, hi) == (total // 2, total - total // 2)
        for n, r, s, (lo, hi) in zip(x.shape[1:-1], reach, strides, pads, strict=True)
        for total in [max((-(-n // s) - 1) * s + r - n, 0) if is_known(n) else 0]
    )
    if same and any(map(any, pads)):
        return x, "SAME", [-(-n // s) for n, s in zip(x.shape[1:-1], strides, strict=True)]
    x = body.pad(x, [(0, 0), *pads, (0, 0)], value)
    return x, "VALID", _counts(x, reach, strides)


def _plain(body, x, kernel, strides, dilation, pads):
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    if len(strides) == 3 or max(strides) > 1:  # where TensorFlow has no dilation on the CPU, the kernel is spread out
        kernel, dilation = body.spread(kernel, [*dilation, 1, 1]), [1] * len(dilation)
    x, padding, counts = _padded(body, x, pads, reach, strides)
    op = "Conv2D" if len(strides) == 2 else "Conv3D"
    shape = [x.shape[0], *counts, kernel.shape[-1]]
    attrs = {"strides": [1, *strides, 1], "padding": padding, "dilations": [1, *dilation, 1]}
    return body.op(op, x, kernel, shape=shape, **attrs)


def _depthwise(body, x, kernel, strides, dilation, pads):
    kernel = body.spread(kernel, [*dilation, 1, 1])
    *window, _, outputs = kernel.shape
    kernel = body.reshape(kernel, [*window, x.shape[-1], outputs // x.shape[-1]])
    if window[0] == 1 == x.shape[1]:
        strides = [strides[1]] * 2
    step = strides if strides[0] == strides[1] else [1, 1]  # TensorFlow's has one stride for both axes
    x, padding, counts = _padded(body, x, pads, window, step)
    shape = [x.shape[0], *counts, outputs]
    y = body.op("DepthwiseConv2dNative", x, kernel, shape=shape, strides=[1, *step, 1], padding=padding)
    return y if step == strides else body.slice(y, [0] * 4, y.shape, [1, *strides, 1])


def _transposed(body, x, kernel, strides, dilation, pads):
    """A convolution of a spread-out input is the gradient of one with strides, by the kernel turned around."""
    kernel = body.spread(kernel, [*dilation, 1, 1])
    rank = len(strides)
    kernel = body.flip(kernel, range(rank))
    kernel = body.transpose(kernel, [*range(rank), rank + 1, rank])  # -> [*window, F, C]
    window, outputs = kernel.shape[:rank], kernel.shape[rank]
    sizes = [(n - 1) * s + k for n, s, k in zip(x.shape[1:-1], strides, window, strict=True)]
    shape = [x.shape[0], *sizes, outputs]
    op = "Conv2DBackpropInput" if rank == 2 else "Conv3DBackpropInputV2"
    attrs = {"strides": [1, *strides, 1], "padding": "VALID"}
    y = body.op(op, body.shape(shape), kernel, x, shape=shape, dtype=x.dtype, **attrs)
    around = [(lo - (k - 1), hi - (k - 1)) for k, (lo, hi) in zip(window, pads, strict=True)]
    return body.pad(y, [(0, 0), *around, (0, 0)])


# ------------------------------------------------------------------------------------ maximum and sum

_COMBINE = {"reduce_window_max": "Maximum", "reduce_window_min": "Minimum", "reduce_window_sum": "AddV2"}


@rule(*_COMBINE)
def _window(body, call):
    (x,), p = call.ins, call.params
    window, strides = list(p.window_dimensions), list(p.window_strides)
    start = None if call.name == "reduce_window_sum" else body.const(_extreme(x.dtype, call.name), x.dtype)
    if max(p.base_dilation) > 1:
        raise ValueError(f"SavedModel: {call.name!r} with spread-out inputs is not written.")
    whole = max(window[0], window[-1], strides[0], strides[-1]) == 1 and not any((*p.padding[0], *p.padding[-1]))
    native = whole and 3 <= len(window) <= 5 and max(p.window_dilation) == 1 and call.name != "reduce_window_min"
    if not native or not jnp.issubdtype(x.dtype, jnp.floating):
        return _by_taps(body, body.pad(x, p.padding, start), window, strides, p.window_dilation, _COMBINE[call.name])
    more = max(4 - len(window), 0)
    x = body.reshape(x, [x.shape[0], *[1] * more, *x.shape[1:]])
    window, strides, pads = ([1] * more + list(v[1:-1]) for v in (window, strides, p.padding))
    pads = [(0, 0) if pad == 1 else tuple(pad) for pad in pads]
    largest = call.name == "reduce_window_max"
    if largest:
        x, padding, counts = _padded(body, x, pads, window, strides, start)
    else:  # zeros count here, where TensorFlow's mean leaves padding out
        x, padding = body.pad(x, [(0, 0), *pads, (0, 0)]), "VALID"
        counts = _counts(x, window, strides)
    op = ("MaxPool" if largest else "AvgPool") + ("3D" if len(window) == 3 else "")
    shape = [x.shape[0], *counts, x.shape[-1]]
    attrs = {"ksize": [1, *window, 1], "strides": [1, *strides, 1], "padding": padding}
    y = body.op(op, x, shape=shape, **attrs)
    if not largest:
        y = body.binary("Mul", y, body.const(product(window), y.dtype))
    return body.reshape(y, [y.shape[0], *y.shape[1 + more :]])


def _extreme(dtype, name):
    low = name == "reduce_window_max"
    if jnp.issubdtype(dtype, jnp.floating):
        return -np.inf if low else np.inf
    return jnp.iinfo(dtype).min if low else jnp.iinfo(dtype).max


def _by_taps(body, x, window, strides, dilation, op):
    """Combines, tap by tap, the elements that the tap meets."""
    total = None
    counts = [
        (n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape, window, strides, dilation, strict=True)
    ]  # fmt: skip
    for tap in itertools.product(*map(range, window)):
        start = [t * d for t, d in zip(tap, dilation, strict=True)]
        stop = [a + (c - 1) * s + 1 for a, c, s in zip(start, counts, strides, strict=True)]
        part = body.slice(x, start, stop, strides)
        total = part if total is None else body.binary(op, total, part)
    return total
