"""Rules of primitives that rearrange, reduce and multiply arrays."""

import jax.numpy as jnp
import numpy as np

from fkeras.saving.tensorflow.emit import rule
from fkeras.saving.tensorflow.graph import DType, is_known, product

# ------------------------------------------------------------------------------------------ rearranging


@rule("broadcast_in_dim", small=True)
def _broadcast(body, call):
    (x, *_), shape = call.ins, [1] * len(call.out.shape)
    for size, place in zip(x.shape, call.params.broadcast_dimensions, strict=True):
        shape[place] = size
    return body.reshape(x, shape)


@rule("squeeze", small=True)
def _squeeze(body, call):
    (x,), gone = call.ins, call.params.dimensions
    return body.reshape(x, [d for i, d in enumerate(x.shape) if i not in gone])


@rule("transpose", small=True)
def _transpose(body, call):
    return body.transpose(call.ins[0], call.params.permutation)


@rule("reshape", small=True)
def _reshape(body, call):
    (x, *_), rank = call.ins, len(call.out.shape)
    if all(is_known(d) and d == 1 for d in x.shape):
        return body.reshape(x, (1,) * rank)
    return body.reshape(body.broadcast(x, call.in_shapes[0]), call.out.shape)


@rule("expand_dims")
def _expand(body, call):
    return body.reshape(call.ins[0], call.out.shape)


@rule("iota")
def _iota(body, call):
    axis, shape = call.params.dimension, call.out.shape
    numbers = body.cast(body.range(shape[axis]), call.out.dtype)
    return body.reshape(numbers, [d if i == axis else 1 for i, d in enumerate(shape)])


@rule("concatenate")
def _concatenate(body, call):
    return body.concat(call.ins, call.params.dimension, call.out.shape)


@rule("stack")
def _stack(body, call):
    return body.op("Pack", list(call.ins), shape=call.out.shape, N=len(call.ins), axis=call.params.axis)


@rule("unstack")
def _unstack(body, call):
    (x,), axis, shapes = call.ins, call.params.axis, [o.shape for o in call.outs]
    n = len(shapes)
    return body.op("Unpack", x, shape=shapes, dtype=[x.dtype] * n, count=n, num=n, axis=axis)


@rule("tile")
def _tile(body, call):
    return body.op("Tile", call.ins[0], body.shape(call.params.reps), shape=call.out.shape)


@rule("rev")
def _reverse(body, call):
    return body.flip(call.ins[0], call.params.dimensions)


@rule("slice")
def _slice(body, call):
    p = call.params
    return body.slice(call.ins[0], p.start_indices, p.limit_indices, p.strides)


@rule("split")
def _split(body, call):
    (x,), p = call.ins, call.params
    if len(p.sizes) == 1:
        return [x]
    sizes, axis = body.shape(p.sizes), body.ints(p.axis)
    n = len(p.sizes)
    shapes = [o.shape for o in call.outs]
    return body.op("SplitV", x, sizes, axis, shape=shapes, dtype=[x.dtype] * n, count=n, num_split=n)


@rule("pad")
def _pad(body, call):
    x, value = call.ins
    config = call.params.padding_config
    if any(inner for *_, inner in config):
        if value.value is None or value.value != 0:
            raise ValueError("SavedModel: padding between elements is only written for zeros.")
        x = body.spread(x, [inner + 1 for *_, inner in config])
    return body.pad(x, [(lo, hi) for lo, hi, _ in config], value)


@rule("bitcast_convert_type")
def _bitcast(body, call):
    (x,), out = call.ins, call.out
    return body.op("Bitcast", x, shape=out.shape, dtype=out.dtype, type=DType(out.dtype))


# ------------------------------------------------------------------------------------------- reductions

_REDUCTIONS = {"reduce_sum": "Sum", "reduce_prod": "Prod", "reduce_max": "Max", "reduce_min": "Min",
               "reduce_and": "All", "reduce_or": "Any"}  # fmt: skip


@rule(*_REDUCTIONS)
def _reduce(body, call):
    (x,), op, out = call.ins, _REDUCTIONS[call.name], call.out
    if x.dtype == jnp.bool_:
        op = {"Sum": "Any", "Max": "Any", "Prod": "All", "Min": "All"}.get(op, op)
    return body.op(op, x, body.ints(call.params.axes), shape=out.shape, dtype=out.dtype)


@rule("argmax", "argmin")
def _extreme(body, call):
    (x,), out = call.ins, call.out
    op = "ArgMax" if call.name == "argmax" else "ArgMin"
    (axis,) = call.params.axes
    found = body.op(op, x, body.ints(axis), shape=out.shape, dtype=np.int32, output_type=DType(np.int32))
    return body.cast(found, out.dtype)


_RUNNING = {"cumsum": "Cumsum", "cumprod": "Cumprod", "cumlogsumexp": "CumulativeLogsumexp"}


@rule(*_RUNNING)
def _running(body, call):
    (x,), p = call.ins, call.params
    return body.op(_RUNNING[call.name], x, body.ints(p.axis), shape=x.shape, reverse=bool(p.reverse))


_FOURIER = ("FFT", "IFFT", "RFFT", "IRFFT")  # by the number of JAX's type


@rule("fft")
def _fourier(body, call):
    (x,), p = call.ins, call.params
    if len(p.fft_lengths) != 1:
        raise ValueError("SavedModel: a Fourier transform over several axes at once is not written.")
    op, dtype, size = _FOURIER[int(p.fft_type)], call.out.dtype, p.fft_lengths[0]
    if op in ("FFT", "IFFT"):
        return body.op(op, x, shape=x.shape)
    shape = (*x.shape[:-1], size if op == "IRFFT" else size // 2 + 1)
    kind = {"Treal": DType(dtype)} if op == "IRFFT" else {"Tcomplex": DType(dtype)}
    return body.op(op, x, body.ints([size]), shape=shape, dtype=dtype, **kind)


@rule("cummax", "cummin")
def _running_extreme(body, call):
    """By doubling: after step k every element has the largest of the 2^k elements up to it."""
    (x,), p = call.ins, call.params
    n, reach = x.shape[p.axis], 1
    if not is_known(n):
        raise ValueError(f"SavedModel: {call.name!r} along an axis of unknown size is not written.")
    while reach < n:
        start, stop = [0] * len(x.shape), list(x.shape)
        ends = [[0] * len(x.shape), list(x.shape)]
        if p.reverse:
            start[p.axis], ends[0][p.axis] = reach, n - reach
        else:
            stop[p.axis], ends[1][p.axis] = n - reach, reach
        moved, kept = body.slice(x, start, stop), body.slice(x, *ends)
        parts = [moved, kept] if p.reverse else [kept, moved]
        moved = body.concat(parts, p.axis, x.shape)
        x = body.binary("Maximum" if call.name == "cummax" else "Minimum", x, moved)
        reach *= 2
    return x


@rule("sort")
def _sort(body, call):
    """Stable sorts from the last key to the first."""
    ins, p = list(call.ins), call.params
    rank, axis = len(ins[0].shape), p.dimension
    order = [i for i in range(rank) if i != axis] + [axis]
    ins = [body.transpose(x, order) for x in ins]
    for key in reversed(range(p.num_keys)):
        places = _ascending(body, ins[key])
        ins = [
            body.op("GatherV2", x, places, body.ints(rank - 1), shape=x.shape, batch_dims=rank - 1) for x in ins
        ]  # fmt: skip
    return [body.transpose(x, np.argsort(order).tolist()) for x in ins]


def _ascending(body, key):
    """Returns the places of the elements of the last axis in rising order, equal ones in their order."""
    if key.dtype == jnp.bool_ or (key.dtype.itemsize < 4 and not jnp.issubdtype(key.dtype, jnp.floating)):
        key = body.cast(key, np.int32)
    falling = body.op("Neg" if jnp.issubdtype(key.dtype, jnp.floating) else "Invert", key, shape=key.shape)
    count = [body.size(key.shape[-1])]
    dtypes, shapes = [key.dtype, np.dtype(np.int32)], [key.shape] * 2
    _, places = body.op("TopKV2", falling, *count, shape=shapes, dtype=dtypes, count=2)
    return _output(places, "indices")


def _output(tensor, name):
    """Names the only tensor of another output of the same node."""
    tensor.ref = f"{tensor.ref.split(':')[0]}:{name}:0"
    return tensor


@rule("top_k")
def _top_k(body, call):
    (x,), outs = call.ins, call.outs
    if getattr(call.params, "axis", len(x.shape) - 1) not in (-1, len(x.shape) - 1):
        raise ValueError("SavedModel: 'top_k' is only written along the last axis.")
    shapes = [o.shape for o in outs]
    values, places = body.op(
        "TopKV2", x, body.size(call.params.k), shape=shapes, dtype=[x.dtype, np.int32], count=2
    )  # fmt: skip
    return [values, body.cast(_output(places, "indices"), outs[1].dtype)]


# ------------------------------------------------------------------------------------------- products


@rule("dot_general")
def _dot(body, call):
    (x, y), out = call.ins, call.out
    (xc, yc), (xb, yb) = call.params.dimension_numbers
    xf = [i for i in range(len(x.shape)) if i not in (*xc, *xb)]
    yf = [i for i in range(len(y.shape)) if i not in (*yc, *yb)]
    dtype = out.dtype if out.dtype != jnp.bool_ else np.int32
    x, y = body.cast(x, dtype), body.cast(y, dtype)
    swapped = not xb and not is_known(product(y.shape[i] for i in yf)) and is_known(product(x.shape[i] for i in xf))
    if swapped:  # TFLite takes unknown sizes in the first matrix only
        x, xb, xf, xc, y, yb, yf, yc = y, yb, yf, yc, x, xb, xf, xc
    batch, rows, columns = ([t.shape[i] for i in axes] for t, axes in ((x, xb), (x, xf), (y, yf)))
    inner = product(x.shape[i] for i in xc)
    flipped = [*yb, *yf, *yc] == list(range(len(y.shape))) != [*yb, *yc, *yf]
    x = body.reshape(body.transpose(x, [*xb, *xf, *xc]), [*batch, product(rows), inner])
    if flipped:
        y = body.reshape(y, [*batch, product(columns), inner])
    else:
        y = body.reshape(body.transpose(y, [*yb, *yc, *yf]), [*batch, inner, product(columns)])
    shape = [*batch, product(rows), product(columns)]
    if batch:
        found = body.op("BatchMatMulV2", x, y, shape=shape, adj_y=flipped)
    else:
        found = body.op("MatMul", x, y, shape=shape, transpose_b=flipped)
    found = body.reshape(found, [*batch, *rows, *columns])
    if swapped:
        n = len(rows)
        found = body.transpose(found, [*range(n, n + len(columns)), *range(n)])
    return body.cast(found, out.dtype)
