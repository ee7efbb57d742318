"""Whether rows of a batch meet in a function: the one authority on what may be done to a batch.

Filling a batch up, joining and cutting batches, splitting them over devices or into parts are right only while each
row of the result depends on its own row of the input. `follow` finds that out from the traced program, for layers,
losses and metrics alike: every array is followed from the inputs on, along which axis its rows lie. What has no rule
here counts as mixing.

A function that may be the user's is traced at two numbers of rows. Whatever differs between the two programs other
than the size of one axis of an array (a literal, a constant, the length of a loop, a second axis) depends on how many
rows there are, and then rows meet too. What cannot be seen: Python that branches on `len(x)` in the same way for both
numbers.
"""

import contextlib
import math
from typing import NamedTuple

import jax
import numpy as np

from fkeras.compiled.primitives import scan_counts

ELEMENTWISE = frozenset(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh bitcast_convert_type cbrt ceil clamp "
    "convert_element_type copy cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt imag integer_pow "
    "is_finite le le_to lgamma log log1p logistic lt lt_to max min mul name ne neg nextafter not optimization_barrier "
    "or population_count pow real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic "
    "shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor "
    # keys and bits: one per entry, whatever axes a key or its bits have behind those of the entry
    "random_bits random_clone random_fold_in random_seed random_split random_unwrap random_wrap threefry2x32".split()
)
CALLS = frozenset("jit pjit closed_call checkpoint remat remat2 custom_jvp_call custom_vjp_call".split())
# What a sum over rows may go through and remain one: f(a + b) = f(a) + f(b).
LINEAR = frozenset(
    "neg convert_element_type copy reshape squeeze broadcast_in_dim transpose reduce_sum stop_gradient name real imag "
    "optimization_barrier reduce_precision expand_dims slice".split()
)
_DOES = {
    "reduce_sum": "sums over the rows", "reduce_max": "takes the maximum over the rows",
    "reduce_min": "takes the minimum over the rows", "reduce_prod": "multiplies over the rows",
    "argmax": "compares the rows", "argmin": "compares the rows", "sort": "sorts the rows", "rev": "reverses the rows",
    "dot_general": "multiplies rows with each other", "concatenate": "joins rows", "gather": "picks rows",
    "slice": "picks rows", "dynamic_slice": "picks rows", "split": "cuts the rows apart", "pad": "adds rows",
    "scan": "loops over the rows", "while": "loops until all rows agree", "reshape": "moves numbers between rows",
    "transpose": "moves the axis of the rows", "cumsum": "adds the rows up", "iota": "numbers the rows",
}  # fmt: skip
COUNTS = "uses the number of rows"
ALIKE = 251  # rows to trace at where once is enough: a prime, so that no other axis is taken for theirs


class Along(int):
    """The axis along which rows lie. ahead: How often all rows are repeated along it, as in [T, B, D] -> [T * B, D]."""

    ahead: int

    def __new__(cls, axis, ahead=1):
        self = super().__new__(cls, axis)
        self.ahead = ahead
        return self

    def __eq__(self, other):
        return isinstance(other, int) and int(self) == int(other) and self.ahead == getattr(other, "ahead", 1)

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash((int(self), self.ahead))


class Met(NamedTuple):
    """Stands for the axis of an array in which rows have met.

    why: "sums over the rows". scopes: Names of the layers around, the innermost last. kind: "sum" or "mean" where the
    array is additive over rows, or the mean of such numbers; else "mixed".
    """

    why: str
    scopes: tuple = ()
    kind: str = "mixed"

    @property
    def mixed(self):
        return self._replace(kind="mixed")


class Number(NamedTuple):
    """Stands for the axis of a number that is proportional to the number of rows, or to its inverse."""

    inverse: bool


class Followed(NamedTuple):
    """What `follow` found.

    places: The tree of the outputs, each leaf the axis along which its rows lie (0 with `rows` entries for what is
        one row each), or None where it has none, or `Met`.
    kept: The tree of the outputs, True where an output is an argument as it was given.
    used: The tree of the arguments without rows, True for those that are computed with.
    shapes: The tree of the outputs' shapes for the first number of rows.
    row_bytes: Bytes of a row in the largest array on the way.
    loops: Whether there is a loop over something.
    """

    places: object
    kept: object
    used: object
    shapes: object
    row_bytes: int
    loops: bool


def two_numbers(rows):
    """Returns the two numbers of rows at which a function of batches of `rows` rows is traced."""
    return max(rows, 5), 3


def follow(function, *args, rows, numbers):
    """Finds along which axis the rows lie in what `function(rows, *args)` returns.

    Args:
        function: Pure function.
        args: Trees of arrays or shapes without rows.
        rows: Tree of shapes whose first axis is the batch; its size does not matter.
        numbers: Two numbers of rows to trace at. Twice the same: what Python makes of the number of rows is not seen.

    Returns:
        `Followed`.

    Raises:
        Exception: What the function raises, which may be one that takes batches of one size only.

    Example:
        >>> x = jax.ShapeDtypeStruct((4, 3), "float32")
        >>> follow(lambda x: (x * 2, x.T, x - x.mean(0)), rows=x, numbers=(4, 7)).places
        (0, 1, Met(why='sums over the rows', scopes=(), kind='mixed'))
    """

    def traced(n):
        given = jax.tree.map(lambda a: jax.ShapeDtypeStruct((n, *a.shape[1:]), a.dtype), rows)
        return jax.make_jaxpr(function, return_shape=True)(given, *args)

    first, shape = traced(numbers[0])
    second, other = (first, shape) if numbers[0] == numbers[1] else traced(numbers[1])
    count = len(jax.tree.leaves(rows))
    walk = _Walk(numbers)
    if jax.tree.structure(shape) != jax.tree.structure(other):
        places = [Met(COUNTS)] * len(first.jaxpr.outvars)
    else:
        axes = [0] * count + [None] * (len(first.jaxpr.invars) - count)
        places = walk.through((first, second), axes, ())
        places = [_as_output(v, place, numbers[0]) for v, place in zip(first.jaxpr.outvars, places, strict=True)]
    kept = [any(v is given for given in first.jaxpr.invars) for v in first.jaxpr.outvars]
    form = jax.tree.structure(shape)
    places, kept = (jax.tree.unflatten(form, leaves) for leaves in (places, kept))
    read = {id(v) for eqn in first.jaxpr.eqns for v in eqn.invars}
    used = jax.tree.unflatten(jax.tree.structure(args), [id(v) in read for v in first.jaxpr.invars[count:]])
    return Followed(places, kept, used, shape, walk.largest // numbers[0], walk.loops)


def _as_output(v, place, rows):
    if isinstance(place, Number):
        return Met(COUNTS)
    several = isinstance(place, int) and v.aval.shape[place] != rows
    return Met("makes several entries of a row") if several else place


def why_rows_meet(function, *rows, known=False):
    """Returns why the values of function(*rows) are not one or more a row, made of that row alone; None if they are.

    Args:
        function: Pure function of trees of arrays, batch axis first.
        rows: Arrays or shapes.
        known: Whether the function is one of this package's, of which only the shape of the values is not known.

    Example:
        >>> y = jax.ShapeDtypeStruct((8, 3), "float32")
        >>> why_rows_meet(lambda t, p: abs(t - p), y, y), why_rows_meet(lambda t, p: abs(t - p).mean(), y, y)
        (None, 'sums over the rows')
    """
    given = jax.tree.leaves(rows)[0].shape[0]
    numbers = two_numbers(given)
    if known:
        like = jax.tree.map(lambda a: jax.ShapeDtypeStruct((ALIKE, *a.shape[1:]), a.dtype), rows)
        out = jax.eval_shape(function, *like)
        return None if out.shape[:1] == (ALIKE,) else "gives no value per row"
    try:
        found = follow(lambda rows: function(*rows), rows=rows, numbers=numbers)
    except Exception as err:
        jax.eval_shape(function, *rows)  # one that fails for any number of rows says why here
        return f"cannot be computed for {numbers[1]} rows ({type(err).__name__})"
    for place in jax.tree.leaves(found.places, is_leaf=is_place):
        if isinstance(place, Met):
            return place.why
        if place != 0:
            return "gives no value per row"
    return None


def is_place(value):
    """True for the leaves of the trees that `follow` returns."""
    return value is None or isinstance(value, (int, Met))


class _Walk:
    """Follows rows through two traces of one program."""

    def __init__(self, numbers):
        self.n, self.m = numbers
        self.largest, self.loops = 0, False

    # ------------------------------------------------------------------------------------- one array

    def scaled(self, a, b):
        """Returns the axes along which two traces of an array differ, or None where they differ otherwise."""
        if len(a.shape) != len(b.shape) or a.dtype != b.dtype:
            return None
        axes = [i for i, (p, q) in enumerate(zip(a.shape, b.shape, strict=True)) if p != q]
        return axes if all(a.shape[i] * self.m == b.shape[i] * self.n for i in axes) else None

    def checked(self, a, b, place):
        """Returns `place` if the sizes of both traces agree with it."""
        if isinstance(place, (Met, Number)):
            return place
        if place is not None and a.aval.shape[place] % self.n:
            return Met("moves numbers between rows")
        if self.n == self.m:
            return place
        axes = self.scaled(a.aval, b.aval)
        if axes is None or len(axes) > 1 or (place is not None and axes != [int(place)] and a.aval.shape[place]):
            return Met(COUNTS)
        return place

    def constant(self, a, b):
        """Returns the place of two traces of a literal or constant."""
        if self.n == self.m or a is b:
            return None
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return Met(COUNTS)
        if a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            return None
        if a.size == 1 and a.dtype.kind in "iuf":
            p, q = float(a), float(b)
            if math.isclose(p * self.m, q * self.n, rel_tol=1e-5):
                return Number(False)
            if math.isclose(p * self.n, q * self.m, rel_tol=1e-5):
                return Number(True)
        return Met(COUNTS)

    # --------------------------------------------------------------------------------------- programs

    def through(self, programs, axes, scopes):
        """Returns the places of the outputs of two traces of a closed program, given those of its inputs."""
        one, two = (getattr(p, "jaxpr", p) for p in programs)
        values = [getattr(p, "consts", ()) for p in programs]
        if one is two:
            values = [values[0]] * 2
        if len(one.eqns) != len(two.eqns) or len(one.constvars) != len(two.constvars):
            return [Met(COUNTS, scopes)] * len(one.outvars)
        known = dict(zip(one.invars, axes, strict=True))
        for v, a, b in zip(one.constvars, *values, strict=False):
            known[v] = self.constant(a, b)

        def place(v, w):
            if hasattr(v, "val"):  # a literal has a value, and no place in a dict
                return self.constant(v.val, getattr(w, "val", None)) if hasattr(w, "val") else Met(COUNTS)
            return known.get(v)

        for eqn, twin in zip(one.eqns, two.eqns, strict=True):
            ins = [place(v, w) for v, w in zip(eqn.invars, twin.invars, strict=False)]
            here = (*scopes, *scopes_of(eqn))
            sizes = [(len(e.invars), len(e.outvars)) for e in (eqn, twin)]
            if eqn.primitive is not twin.primitive or sizes[0] != sizes[1]:
                outs = [Met(COUNTS, here)] * len(eqn.outvars)
            else:
                outs = self.equation(eqn, twin, ins, here)
            for v, w, at in zip(eqn.outvars, twin.outvars, outs, strict=False):
                known[v] = self.checked(v, w, at)
                if isinstance(known[v], Met) and not known[v].scopes:
                    known[v] = known[v]._replace(scopes=here)
                self.largest = max(self.largest, v.aval.size * getattr(v.aval.dtype, "itemsize", 8))
        return [place(v, w) for v, w in zip(one.outvars, two.outvars, strict=True)]

    def equation(self, eqn, twin, ins, scopes):
        """Returns the places of the outputs of an equation."""
        name, count = eqn.primitive.name, len(eqn.outvars)
        if name in CALLS:
            return self.through((_inner(eqn), _inner(twin)), ins, scopes)
        if name == "scan":
            return self.looped(eqn, twin, ins, scopes)
        if name == "while":
            return self.repeated(eqn, twin, ins, scopes)
        if name == "cond":
            return self.branched(eqn, twin, ins, scopes)
        met = next((place for place in ins if isinstance(place, Met)), None)
        if met is None and all(place is None for place in ins) and not self.along(eqn, twin):
            return [None] * count if self.alike(eqn, twin) else [Met(COUNTS, scopes)] * count
        if met is not None or any(isinstance(place, Number) for place in ins):
            return [self.combined(name, ins, met, scopes)] * count
        if not self.alike(eqn, twin):
            return [Met(COUNTS, scopes)] * count
        if all(place is None for place in ins):
            return [None if self.is_even(name, eqn, twin) else Met(_DOES.get(name, COUNTS), scopes)] * count
        try:
            return [_repeated(name, eqn, ins, self.n)] * count
        except _Meets as meets:
            kind = "sum" if meets.additive else "mixed"
            return [Met(_DOES.get(name, f"computes {name!r} over the rows"), scopes, kind)] * count

    def along(self, *eqns):
        """Whether any array of an equation differs in size between the two traces."""
        one, two = ([*e.invars, *e.outvars] for e in eqns)
        return any(getattr(a.aval, "shape", ()) != getattr(b.aval, "shape", ()) for a, b in zip(one, two, strict=True))

    def alike(self, eqn, twin):
        """Whether two traces of an equation say the same, but for sizes proportional to the number of rows."""

        def same(a, b):
            if isinstance(a, (tuple, list)) and type(a) is type(b):
                return len(a) == len(b) and all(same(p, q) for p, q in zip(a, b, strict=True))
            if isinstance(a, (bool, str, float, type(None), np.dtype)):
                return a == b or a != a
            if isinstance(a, (int, np.integer)):
                return a == b or (isinstance(b, (int, np.integer)) and a * self.m == b * self.n)
            if hasattr(getattr(a, "jaxpr", a), "eqns"):  # an inner program
                inputs = getattr(a, "jaxpr", a).invars
                return all(place is None for place in self.through((a, b), [None] * len(inputs), ()))
            return True  # no size

        if eqn is twin:
            return True
        return all(same(value, twin.params.get(key)) for key, value in eqn.params.items())

    def combined(self, name, ins, met, scopes):
        """Returns the place of what an equation makes of sums over rows, or of the number of rows."""
        others = [place for place in ins if place is not met]
        if met is None:  # the number of rows, and what depends on no rows or on single ones
            numbers = [place for place in ins if isinstance(place, Number)]
            same = len(numbers) == 1 and all(place is None for place in ins if not isinstance(place, Number))
            if same and (name in LINEAR or name == "mul" or (name == "div" and ins[0] == numbers[0])):
                return numbers[0]
            if same and name == "div":
                return Number(not numbers[0].inverse)
            return Met(COUNTS, scopes)
        if met.kind == "mixed":
            return met
        if name in LINEAR:
            return met if len(ins) == 1 else met.mixed
        if name in ("add", "sub", "add_any") and len(ins) == 2:
            alike = all(isinstance(o, Met) and o.kind == met.kind for o in ins)
            return met if alike or (met.kind == "mean" and others == [None]) else met.mixed
        if name in ("mul", "div") and others == [None] and (name == "mul" or ins[0] is met):
            return met
        if name in ("mul", "div") and ins[0] is met and isinstance(ins[1], Number) and met.kind == "sum":
            return met._replace(kind="mean") if ins[1].inverse == (name == "mul") else met.mixed
        if name == "mul" and ins[1] is met and isinstance(ins[0], Number) and met.kind == "sum" and ins[0].inverse:
            return met._replace(kind="mean")
        return met.mixed

    def is_even(self, name, eqn, twin):
        """True if an array made of no rows is the same along the axis that is as long: ones, not their numbers."""
        if self.n == self.m:
            return True
        if name == "iota":
            dimension = eqn.params["dimension"]
            return eqn.params["shape"][dimension] == twin.params["shape"][dimension]
        axes = [self.scaled(a.aval, b.aval) for a, b in zip(eqn.invars, twin.invars, strict=True)]
        if any(found is None or len(found) > 1 for found in axes):
            return False
        if not any(axes):
            return name == "broadcast_in_dim"
        with contextlib.suppress(_Meets):
            _repeated(name, eqn, [found[0] if found else None for found in axes], self.n)
            return True
        return False

    # ----------------------------------------------------------------------------- loops and branches

    def looped(self, eqn, twin, ins, scopes):
        """Returns the places of the outputs of `lax.scan`, whose carry may take up rows on its way."""
        self.loops = True
        p = eqn.params
        first, carried = scan_counts(p)
        last = first + carried
        if p["length"] != twin.params["length"] or p["reverse"] != twin.params["reverse"]:
            return [Met(_DOES["scan"] if 0 in ins[last:] else COUNTS, scopes)] * len(eqn.outvars)
        over = Met(_DOES["scan"], scopes)
        steps = [over if isinstance(a, int) and not a else _moved(a, -1) for a in ins[last:]]
        carry = list(ins[first:last])
        while True:
            outs = self.through((p["jaxpr"], twin.params["jaxpr"]), [*ins[:first], *carry, *steps], scopes)
            after = [_joined(a, b, scopes) for a, b in zip(carry, outs, strict=False)]
            if after == carry:
                return carry + [_moved(a, 1) for a in outs[len(carry) :]]
            carry = after

    def repeated(self, eqn, twin, ins, scopes):
        """Returns the places of the outputs of `lax.while_loop`."""
        self.loops = True
        p, q = eqn.params, twin.params
        ahead, behind = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
        carry = list(ins[behind:])
        while True:
            (goes_on,) = self.through((p["cond_jaxpr"], q["cond_jaxpr"]), [*ins[:ahead], *carry], scopes)
            if goes_on is not None:
                why = goes_on if isinstance(goes_on, Met) else Met(_DOES["while"], scopes)
                return [why.mixed] * len(carry)
            outs = self.through((p["body_jaxpr"], q["body_jaxpr"]), [*ins[ahead:behind], *carry], scopes)
            after = [_joined(a, b, scopes) for a, b in zip(carry, outs, strict=True)]
            if after == carry:
                return carry
            carry = after

    def branched(self, eqn, twin, ins, scopes):
        """Returns the places of the outputs of `lax.cond`."""
        if ins[0] is not None:
            why = ins[0] if isinstance(ins[0], Met) else Met("chooses by all rows", scopes)
            return [why.mixed] * len(eqn.outvars)
        pairs = zip(eqn.params["branches"], twin.params["branches"], strict=True)
        every = [self.through(pair, ins[1:], scopes) for pair in pairs]
        outs = every[0]
        for one in every[1:]:
            outs = [_joined(a, b, scopes) for a, b in zip(outs, one, strict=True)]
        return outs


class _Meets(Exception):
    """Rows meet. additive: in a sum over them."""

    def __init__(self, additive=False):
        self.additive = additive


def _joined(a, b, scopes):
    """Returns the place of what is either of two arrays."""
    if a is None or a == b:
        return b
    if b is None:
        return a
    met = next((place for place in (a, b) if isinstance(place, Met)), None)
    return Met("moves numbers between rows", scopes) if met is None else met.mixed


def _inner(eqn):
    return next(p for name, p in eqn.params.items() if name in ("jaxpr", "call_jaxpr"))


def scopes_of(eqn):
    """Returns the names of the scopes that an equation was traced in, the outermost first."""
    return tuple(part for part in str(eqn.source_info.name_stack).split("/") if part)


# ------------------------------------------------------------------------------------ a rule for each primitive


def _moved(place, by):
    return Along(place + by, getattr(place, "ahead", 1)) if isinstance(place, int) else place


def _repeated(name, eqn, ins, rows):
    """`_through`, for arrays in which all rows are repeated alike along their axis."""
    if len(aheads := {getattr(a, "ahead", 1) for a in ins if a is not None}) > 1:
        raise _Meets
    (ahead,) = aheads
    if name == "reshape":
        return _reshaped(eqn.invars[0].aval.shape, ins[0], ahead, eqn.outvars[0].aval.shape, rows)
    if name == "tile" and ins[0] is not None:
        return Along(ins[0], ahead * eqn.params["reps"][ins[0]])
    axis = _through(name, eqn, [None if a is None else int(a) for a in ins])
    return axis if ahead == 1 else Along(axis, ahead)


def _through(name, eqn, ins):
    """Returns along which axis the rows of the outputs lie, given the axes of the inputs. Raises `_Meets`."""
    p, shapes = eqn.params, [v.aval.shape for v in eqn.invars]
    if name == "dot_general":
        return _product(p["dimension_numbers"], shapes, *ins)
    if name == "gather":
        return _gathered(p["dimension_numbers"], p["slice_sizes"], shapes, *ins)
    if len(set(ins) - {None}) > 1:
        raise _Meets
    axis = next(a for a in ins if a is not None)
    if name in ELEMENTWISE or (name in ("concatenate", "split") and _other(axis, p.get("dimension", p.get("axis")))):
        return axis
    if name == "stack":  # all along one new axis
        return axis + (p["axis"] <= axis)
    if ins[0] is None or any(a is not None for a in ins[1:]):
        raise _Meets
    shape = shapes[0]
    if name == "broadcast_in_dim":
        return p["broadcast_dimensions"][axis]
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
        raise _Meets(additive=name == "reduce_sum")
    elif name.startswith("cum") or name in ("sort", "rev", "top_k"):
        along = p.get("axis", p.get("dimension", p.get("dimensions", len(shape) - 1)))
        if _other(axis, along):
            return axis
    elif name == "fft":
        if axis < len(shape) - len(p["fft_lengths"]):
            return axis
    elif name in ("slice", "dynamic_slice"):
        whole = p["limit_indices"][axis] - p["start_indices"][axis] if name == "slice" else p["slice_sizes"][axis]
        if whole == shape[axis] and (p.get("strides") or [1] * len(shape))[axis] == 1:
            return axis
    elif name == "unstack":
        if p["axis"] != axis:
            return axis - (p["axis"] < axis)
    elif name == "pad":
        if p["padding_config"][axis] == (0, 0, 0):
            return axis
    elif name.startswith("reduce_window"):
        alone = (p["window_dimensions"][axis], p["window_strides"][axis], p["base_dilation"][axis])
        if alone == (1, 1, 1) and tuple(p["padding"][axis]) == (0, 0):
            return axis
    raise _Meets


def _other(axis, along):
    return axis not in (along if isinstance(along, (tuple, list)) else (along,))


def _reshaped(before, axis, ahead, after, rows):
    """Returns the axis of `after` along which rows lie, of an array read in one order.

    A row may take several places in sequence along its axis, as after [B, T, D] -> [B * T, D].
    """
    ahead *= math.prod(before[:axis])  # how often all rows are repeated, whatever lies behind them
    for new, size in enumerate(after):
        outer = math.prod(after[:new])
        if size and outer and ahead % outer == 0 and size % (ahead // outer * rows) == 0:
            return new if ahead == outer else Along(new, ahead // outer)
    raise _Meets


def _product(dimensions, shapes, left, right):
    (contracted, batched) = dimensions
    free = [[d for d in range(len(shapes[i])) if d not in contracted[i] and d not in batched[i]] for i in (0, 1)]
    if left is not None and right is not None:
        if left in batched[0] and right in batched[1] and batched[0].index(left) == batched[1].index(right):
            return batched[0].index(left)
        both = left in contracted[0] and right in contracted[1]
        raise _Meets(additive=both and contracted[0].index(left) == contracted[1].index(right))
    side, axis = (0, left) if right is None else (1, right)
    if axis not in free[side]:
        raise _Meets
    return len(batched[0]) + len(free[0]) * side + free[side].index(axis)


def _gathered(numbers, sizes, shapes, operand, indices):
    rank = len(numbers.offset_dims) + len(shapes[1]) - 1
    places = [d for d in range(rank) if d not in numbers.offset_dims]  # where the axes of the indices come out
    if operand is None:  # a table, looked into at each row's indices
        if indices == len(shapes[1]) - 1:
            raise _Meets
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
    raise _Meets
