"""Finds in a traced program whether its rows stay apart: whether a row of the output is made of that row alone.

Every array is followed from the inputs on: along which axis its rows lie, that it has none, or that rows may have met.
A row may take several places in sequence along its axis, as after [B, T, D] -> [B * T, D]. What this file has no rule
for counts as mixing. A number that Python makes of the batch's size (`x / len(x)`) is not seen.
"""

import contextlib
import math

import jax

ROWS = 251  # traced for so many, a prime: then the size of an axis tells whether rows lie along it

ELEMENTWISE = frozenset(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type copy cos cosh "
    "digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt imag integer_pow is_finite le lgamma log log1p "
    "logistic lt max min mul name ne neg nextafter not optimization_barrier or population_count pow real "
    "reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh "
    "sqrt square stop_gradient sub tan tanh xor".split()
)
CALLS = frozenset("jit pjit closed_call checkpoint remat remat2 custom_jvp_call custom_vjp_call".split())
MIXED = "mixed"  # stands for the axis of an array in which rows may have met


class Mixed(Exception):
    """Rows may meet."""


def look(function, *args, rows):
    """Looks at what `function(rows, *args)` makes of rows.

    Args:
        function: Pure function (rows, *args) -> (outputs, what is left as it was).
        args: Trees of arrays or shapes without rows.
        rows: Tree of shapes with `ROWS` rows along the first axis.

    Returns:
        (bytes of a row in the largest array, whether there is a loop over time).

    Raises:
        Mixed: Rows may meet on the way, or an output is not one of rows.
    """
    program, shape = jax.make_jaxpr(function, return_shape=True)(rows, *args)
    jaxpr, count = program.jaxpr, len(jax.tree.leaves(rows))
    seen = Seen()
    axes = _follow(jaxpr, [0] * count + [None] * (len(jaxpr.invars) - count), seen)
    outputs = len(jax.tree.leaves(shape[0]))
    if any(axis != 0 or v.aval.shape[:1] != (ROWS,) for axis, v in zip(axes[:outputs], jaxpr.outvars, strict=False)):
        raise Mixed
    if not all(any(v is given for given in jaxpr.invars) for v in jaxpr.outvars[outputs:]):
        raise Mixed
    return seen.largest // ROWS, seen.loops


class Seen:
    """What was met on the way: the size of the largest array made of rows, in bytes, and loops."""

    largest = 0
    loops = False


def _follow(jaxpr, axes, seen):
    """Returns along which axis the rows of each output lie, or None, or MIXED."""
    known = dict(zip(jaxpr.invars, axes, strict=True))

    def axis_of(v):
        if not hasattr(v, "val") and v in known:  # a literal has a value, and no place in a dict
            return known[v]
        return None if _along(v) is None else MIXED  # a constant as long as the batch: NumPy's numbers of rows, say

    for eqn in jaxpr.eqns:
        ins = [axis_of(v) for v in eqn.invars]
        without = all(axis is None for axis in ins)
        if without and all(_along(v) is None for v in (*eqn.invars, *eqn.outvars)):
            known.update(dict.fromkeys(eqn.outvars))
            continue
        name, outs = eqn.primitive.name, [MIXED] * len(eqn.outvars)
        if name in CALLS:
            inner = next(p for name, p in eqn.params.items() if name in ("jaxpr", "call_jaxpr"))
            outs = _follow(getattr(inner, "jaxpr", inner), ins, seen)
        elif name == "scan":
            outs = _looped(eqn.params, ins, seen)
        elif without:
            outs = [None if _is_even(name, eqn) else MIXED] * len(outs)
        elif MIXED not in ins:
            with contextlib.suppress(Mixed):
                outs = [_through(name, eqn, ins)] * len(outs)
        for v, axis in zip(eqn.outvars, outs, strict=True):
            known[v] = axis if axis in (None, MIXED) or v.aval.shape[axis] % ROWS == 0 else MIXED
            seen.largest = max(seen.largest, v.aval.size * v.aval.dtype.itemsize)
    return [axis_of(v) for v in jaxpr.outvars]


def _along(v):
    """Returns the first axis that is as long as rows are, or None."""
    return next((axis for axis, size in enumerate(v.aval.shape) if size and size % ROWS == 0), None)


def _is_even(name, eqn):
    """True if an array that is not made of rows is the same along the axis that is as long: ones, not their numbers."""
    if name == "iota":
        return eqn.params["shape"][eqn.params["dimension"]] % ROWS > 0
    ins = [_along(v) for v in eqn.invars]
    if all(axis is None for axis in ins):
        return name == "broadcast_in_dim"
    with contextlib.suppress(Mixed):
        _through(name, eqn, ins)
        return True
    return False


def _looped(p, ins, seen):
    """`_follow` through `lax.scan`, whose carry may take up rows on its way."""
    seen.loops = True
    first, last = p["num_consts"], p["num_consts"] + p["num_carry"]
    steps = [MIXED if axis in (0, MIXED) else axis and axis - 1 for axis in ins[last:]]
    carry = ins[first:last]
    while True:
        outs = _follow(p["jaxpr"].jaxpr, [*ins[:first], *carry, *steps], seen)
        after = [b if a is None else a if b in (None, a) else MIXED for a, b in zip(carry, outs, strict=False)]
        if after == carry:
            return carry + [axis if axis in (None, MIXED) else axis + 1 for axis in outs[len(carry) :]]
        carry = after


def _through(name, eqn, ins):
    """Returns along which axis the rows of the outputs lie, given the axes of the inputs. Raises Mixed."""
    p, shapes = eqn.params, [v.aval.shape for v in eqn.invars]
    if name == "dot_general":
        return _product(p["dimension_numbers"], shapes, *ins)
    if name == "gather":
        return _gathered(p["dimension_numbers"], p["slice_sizes"], shapes, *ins)
    if len(set(ins) - {None}) > 1:
        raise Mixed
    axis = next(a for a in ins if a is not None)
    if name in ELEMENTWISE or (name in ("concatenate", "split") and _other(axis, p.get("dimension", p.get("axis")))):
        return axis
    if ins[0] is None or any(a is not None for a in ins[1:]):
        raise Mixed
    shape = shapes[0]
    if name == "broadcast_in_dim":
        return p["broadcast_dimensions"][axis]
    if name == "reshape":
        return _reshaped(shape, axis, eqn.outvars[0].aval.shape)
    if name == "transpose":
        return p["permutation"].index(axis)
    if name == "conv_general_dilated":
        spec = p["dimension_numbers"]
        if spec.lhs_spec[0] == axis and p["batch_group_count"] == 1:
            return spec.out_spec[0]
    elif name == "squeeze" or (name.startswith(("reduce_", "arg")) and "axes" in p):
        gone = p["dimensions"] if name == "squeeze" else p["axes"]
        if axis not in gone:
            return axis - sum(d < axis for d in gone)
    elif name.startswith("cum") or name in ("sort", "rev", "top_k"):
        along = p.get("axis", p.get("dimension", p.get("dimensions", len(shape) - 1)))
        if _other(axis, along):
            return axis
    elif name in ("slice", "dynamic_slice"):
        whole = p["limit_indices"][axis] - p["start_indices"][axis] if name == "slice" else p["slice_sizes"][axis]
        if whole == shape[axis] and (p.get("strides") or [1] * len(shape))[axis] == 1:
            return axis
    elif name == "pad":
        if p["padding_config"][axis] == (0, 0, 0):
            return axis
    elif name.startswith("reduce_window"):
        alone = (p["window_dimensions"][axis], p["window_strides"][axis], p["base_dilation"][axis])
        if alone == (1, 1, 1) and tuple(p["padding"][axis]) == (0, 0):
            return axis
    raise Mixed


def _other(axis, along):
    return axis not in (along if isinstance(along, (tuple, list)) else (along,))


def _reshaped(before, axis, after):
    """Returns the axis of `after` whose places hold the same rows in the same order."""
    ahead = math.prod(before[:axis])
    for new in range(len(after)):
        if math.prod(after[:new]) == ahead and after[new] % ROWS == 0:
            return new
    raise Mixed


def _product(dimensions, shapes, left, right):
    (contracted, batched) = dimensions
    free = [[d for d in range(len(shapes[i])) if d not in contracted[i] and d not in batched[i]] for i in (0, 1)]
    if left is not None and right is not None:
        if left in batched[0] and right in batched[1] and batched[0].index(left) == batched[1].index(right):
            return batched[0].index(left)
        raise Mixed
    side, axis = (0, left) if right is None else (1, right)
    if axis not in free[side]:
        raise Mixed
    return len(batched[0]) + len(free[0]) * side + free[side].index(axis)


def _gathered(numbers, sizes, shapes, operand, indices):
    rank = len(numbers.offset_dims) + len(shapes[1]) - 1
    places = [d for d in range(rank) if d not in numbers.offset_dims]  # where the axes of the indices come out
    if operand is None:  # a table, looked into at each row's indices
        if indices == len(shapes[1]) - 1:
            raise Mixed
        return places[indices]
    if operand in numbers.operand_batching_dims:  # each row looks into itself
        pair = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(operand)]
        if indices == pair:
            return places[pair]
    elif indices is None and sizes[operand] == shapes[0][operand]:  # the same places of every row
        kept = [
            d for d in range(len(sizes)) if d not in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
        ]
        return numbers.offset_dims[kept.index(operand)]
    raise Mixed
