"""Rules of primitives that read and write at places given by indices.

The general way goes through the flat array: the place of each element that is read or written is computed as a number.
"""

import jax.numpy as jnp
import numpy as np

from fkeras.saving.tensorflow.elementwise import choose
from fkeras.saving.tensorflow.emit import rule
from fkeras.saving.tensorflow.graph import is_known, product, same


@rule("dynamic_slice")
def _dynamic_slice(body, call):
    x, *starts = call.ins
    return _slice_at(body, x, starts, call.out.shape)


def _slice_at(body, x, starts, sizes):
    starts = [_inside(body, s, n, size) for s, n, size in zip(starts, x.shape, sizes, strict=True)]
    begin = body.op("Pack", starts, shape=(len(starts),), N=len(starts)) if starts else body.ints([])
    return body.op("Slice", x, begin, body.shape(sizes), shape=sizes)


def _inside(body, start, n, size):
    """Returns a start, scalar int32, moved so that `size` elements from it are inside an axis of `n`."""
    if same(n, size):
        return body.ints(0)
    if start.value is not None and is_known(n) and is_known(size):
        return body.ints(int(np.clip(start.value, 0, n - size)))
    start = body.binary("Maximum", body.cast(start, np.int32), body.ints(0))
    return body.binary("Minimum", start, body.size(n - size))


@rule("dynamic_update_slice")
def _dynamic_update(body, call):
    x, update, *starts = call.ins
    starts = [_inside(body, s, n, k) for s, n, k in zip(starts, x.shape, update.shape, strict=True)]
    for axis in range(len(x.shape)):  # axis by axis, the update grows to the whole: elements of x before and behind it
        n, k = x.shape[axis], update.shape[axis]
        if same(n, k):
            continue
        rest = [i for i in range(axis + 1, len(x.shape)) if not same(x.shape[i], update.shape[i])]
        rows = x
        if rest:  # the rows of x that the update lies in
            sizes = [*x.shape[: axis + 1], *update.shape[axis + 1 :]]
            at = [body.ints(0)] * (axis + 1) + starts[axis + 1 :]
            rows = _slice_at(body, x, at, sizes)
        update = _between(body, rows, update, starts[axis], axis)
    return update


def _between(body, x, update, start, axis):
    """Returns `x` with the elements of one axis from `start` on replaced by `update`."""
    rank, n = len(x.shape), x.shape[axis]
    stop = body.binary("AddV2", start, body.size(update.shape[axis]))
    unknown = [-1 if i == axis else d for i, d in enumerate(x.shape)]

    def taken(begin, size):
        begin = [body.ints(0)] * axis + [begin] + [body.ints(0)] * (rank - axis - 1)
        size = [size if i == axis else body.size(d) for i, d in enumerate(unknown)]
        begin, size = (body.op("Pack", v, shape=(rank,), N=rank) for v in (begin, size))
        return body.op("Slice", x, begin, size, shape=x.shape)

    before = taken(body.ints(0), start)
    behind = taken(stop, body.binary("Sub", body.size(n), stop))
    return body.concat([before, update, behind], axis, x.shape)


# ------------------------------------------------------------------------------------------------ gather


@rule("gather")
def _gather(body, call):
    (x, indices), p, out = call.ins, call.params, call.out
    numbers, sizes = p.dimension_numbers, p.slice_sizes
    fills = "FILL" in str(p.mode).upper()
    axes, gone = numbers.start_index_map, numbers.collapsed_slice_dims
    batching = tuple(numbers.operand_batching_dims)
    if len(indices.shape) == 1 and not batching and (not fills or indices.value is not None):
        starts = [body.ints(0)] * len(x.shape)
        for i, axis in enumerate(axes):
            if indices.value is not None:
                starts[axis] = body.ints(int(indices.value[i]))
            else:
                starts[axis] = body.reshape(body.slice(indices, [i], [i + 1]), ())
        if all(s.value is not None for s in starts) and all(map(_fits, starts, x.shape, sizes)):
            begin = [int(s.value) for s in starts]
            found = body.slice(x, begin, [b + n for b, n in zip(begin, sizes, strict=True)])
        else:
            found = _slice_at(body, x, starts, sizes)
        return body.reshape(found, [n for i, n in enumerate(sizes) if i not in gone])
    indices = body.cast(indices, np.int32)
    whole = all(i in axes or same(n, x.shape[i]) for i, n in enumerate(sizes))
    if len(axes) == 1 and tuple(gone) == tuple(axes) and not batching and whole:
        found, valid = _take(body, x, indices, axes[0], numbers, out, p.mode)
    else:
        places, valid = _places(body, x.shape, indices, sizes, numbers.offset_dims, gone, axes, batching,
                                numbers.start_indices_batching_dims, out.shape, clip=True)  # fmt: skip
        found = body.take(body.reshape(x, [product(x.shape)]), places)
    if not fills:
        return found
    fill = p.fill_value
    if fill is None:
        fill = np.nan if jnp.issubdtype(x.dtype, jnp.inexact) else _lowest(x.dtype)
    return choose(body, valid, found, body.const(fill, x.dtype))


def _fits(start, n, size):
    return same(n, size) or (is_known(n) and is_known(size) and 0 <= int(start.value) <= n - size)


def _lowest(dtype):
    if dtype == jnp.bool_:
        return True
    return jnp.iinfo(dtype).max if jnp.issubdtype(dtype, jnp.unsignedinteger) else jnp.iinfo(dtype).min


def _take(body, x, indices, axis, numbers, out, mode):
    """Whole elements of one axis. Returns (them, which of them there are)."""
    indices = body.reshape(indices, indices.shape[:-1])
    batch = [i for i in range(len(out.shape)) if i not in numbers.offset_dims]
    last = body.size(x.shape[axis] - 1)
    safe = indices
    if "PROMISE" not in str(mode).upper():
        safe = body.binary("Minimum", body.binary("Maximum", indices, body.ints(0)), last)
    found = body.take(x, safe, axis)
    places = [*numbers.offset_dims[:axis], *batch, *numbers.offset_dims[axis:]]
    found = body.transpose(found, np.argsort(places).tolist())
    valid = body.binary("Equal", indices, safe, np.bool_)
    return found, body.reshape(valid, [d if i in batch else 1 for i, d in enumerate(out.shape)])


def _places(body, shape, indices, sizes, offsets, gone, axes, batching, index_batching, out, clip):
    """Returns (the place in the flat array for each element of `out`, whether its slice is inside), both small.

    offsets: Axes of `out` that run through a slice. batching, index_batching: Axes that array and indices share.
    """
    rank = len(out)
    steps = [body.size(product(shape[i + 1 :])) for i in range(len(shape))]
    batch = [i for i in range(rank) if i not in offsets]
    total, valid = None, None

    def add(number, axis, places):
        nonlocal total
        wide = [1] * rank
        for place, size in zip(places, number.shape, strict=True):
            wide[place] = size
        part = body.binary("Mul", body.reshape(number, wide), steps[axis])
        total = part if total is None else body.binary("AddV2", total, part)

    for i, axis in enumerate(axes):
        start = [0] * (len(indices.shape) - 1) + [i]
        number = body.slice(indices, start, [*indices.shape[:-1], i + 1])
        number = body.reshape(number, indices.shape[:-1])
        last = body.size(shape[axis] - sizes[axis])
        safe = body.binary("Minimum", body.binary("Maximum", number, body.ints(0)), last)
        inside = body.reshape(
            body.binary("Equal", number, safe, np.bool_), [d if k in batch else 1 for k, d in enumerate(out)]
        )
        valid = inside if valid is None else body.binary("LogicalAnd", valid, inside, np.bool_)
        add(safe if clip else number, axis, batch)
    for axis, place in zip(batching, index_batching, strict=True):
        add(body.range(shape[axis]), axis, [batch[place]])
    kept = [i for i in range(len(shape)) if i not in gone and i not in batching]
    for axis, place in zip(kept, offsets, strict=True):
        add(body.range(sizes[axis]), axis, [place])
    return body.broadcast(total, out), valid


# ----------------------------------------------------------------------------------------------- scatter

_SCATTER = {"scatter": "Update", "scatter_add": "Add", "scatter-add": "Add", "scatter_min": "Min",
            "scatter-min": "Min", "scatter_max": "Max", "scatter-max": "Max"}  # fmt: skip


@rule(*_SCATTER)
def _scatter(body, call):
    (x, indices, updates), p = call.ins, call.params
    numbers, indices = p.dimension_numbers, body.cast(call.ins[1], np.int32)
    gone, batching = tuple(numbers.inserted_window_dims), tuple(numbers.operand_batching_dims)
    kept = [i for i in range(len(x.shape)) if i not in gone and i not in batching]
    sizes = [1] * len(x.shape)
    for axis, place in zip(kept, numbers.update_window_dims, strict=True):
        sizes[axis] = updates.shape[place]
    clip = "CLIP" in str(p.mode).upper()
    places, valid = _places(body, x.shape, indices, sizes, numbers.update_window_dims, gone,
                            numbers.scatter_dims_to_operand_dims, batching, numbers.scatter_indices_batching_dims,
                            updates.shape, clip)  # fmt: skip
    size = product(x.shape)
    if not clip and valid is not None:  # what lies outside goes to an element of its own, which is cut off again
        places = choose(body, valid, places, body.size(size))
    flat = body.pad(body.reshape(x, [size]), [(0, 1)])
    count = product(updates.shape)
    at = [body.reshape(places, [count, 1]), body.reshape(updates, [count])]
    flat = body.op(f"TensorScatter{_SCATTER[call.name]}", flat, *at, shape=flat.shape)
    return body.reshape(body.slice(flat, [0], [size]), x.shape)
