"""Calls of ops in graphs: what `fkeras.ops` records on symbols, and Python's operators and indexing, which are ops.

One layer, `Operation`, stands for a call of any op. What the op is called on, symbols and constants alike, is kept
by the node of the graph, its settings by the layer, as in Keras's files.
"""

import contextlib
import inspect
import operator

import jax
import numpy as np

from fkeras.core import operations as table
from fkeras.core.settings import choice, nearest, setting
from fkeras.core.symbol import Static, Symbol
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.contract.shapes import Spec, is_spec

_METHODS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "mod",
    "pow": "power", "matmul": "matmul", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "and": "logical_and", "or": "logical_or", "xor": "logical_xor", "neg": "negative", "abs": "absolute",
    "round": "round", "invert": "logical_not", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
PROBES = (2520, 5040)  # sizes that stand for unknown ones while shapes are traced: many parts divide them
_UNARY = ("neg", "abs", "round", "invert")
_REFLECTED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")


def _known(name):
    if name is not None and name not in table.OPS:
        raise ValueError(f"unknown op.{nearest(str(name), table.OPS)}")
    return name


@layers.register
class Operation(Layer):
    """A call of one of `fkeras.ops` in a graph, or the base of an operation of your own, which computes in `call`.

    Args:
        function: Name of the op: "mean", "image.resize".
        settings: Dict of those of its arguments that Keras keeps as settings of the operation: {"axis": -1}.

    Example:
        >>> Operation("mean", {"axis": -1})(jnp.array([[1.0, 3.0]])).tolist()
        [2.0]
        >>> class Half(Operation):
        ...     def call(self, x):
        ...         return x / 2
        >>> Half()(jnp.array([3.0])).tolist()
        [1.5]

    Source: `keras.Operation`.
    """

    function: str = setting(_known, None)
    settings: dict = None

    takes_ints = True
    casts = False  # an op takes arrays as they are
    is_operation = True

    @property
    def op(self):
        """The op's entry in `fkeras.core.operations.OPS`, or None for an operation that computes in `call`."""
        return None if self.function is None else table.OPS[self.function]

    def __call__(self, *args, **kwargs):
        if self.op is None:
            return super().__call__(*args, **kwargs)
        if not table.has_symbol((args, kwargs)):
            return self.run(args, kwargs)
        return self._connect(self.pack(*args, **kwargs))

    def pack(self, *args, **kwargs):
        """Returns {"args", "kwargs"}: symbols are leaves of this tree, everything else is `Static`."""
        if self.op is None:
            return super().pack(*args, **kwargs)
        return {"args": [_held(a) for a in args], "kwargs": {k: _held(v) for k, v in kwargs.items()}}

    def forward(self, params, state, x, ctx):
        if self.op is None:
            return super().forward(params, state, x, ctx)
        return self.run(*_free(x)), state

    def run(self, args, kwargs):
        """Computes the op on arrays and constants."""
        bound = self.arguments(args, kwargs)
        return self.op.function(*bound.args, **bound.kwargs)

    def arguments(self, args, kwargs):
        """Returns all arguments of the op, bound: those of this call and the settings."""
        names = [n for n in self.op.signature.parameters if n not in (self.settings or {})]
        kinds = self.op.signature.parameters
        given, rest = {}, list(args)
        for name in names:
            if kinds[name].kind is inspect.Parameter.VAR_POSITIONAL:
                given[name], rest = tuple(rest), []
            elif rest and kinds[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
                given[name], *rest = rest
        bound = inspect.BoundArguments(self.op.signature, {})
        spread = next((n for n, p in kinds.items() if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        known = {k: v for k, v in kwargs.items() if k in kinds}
        values = {**(self.settings or {}), **given, **known}
        if spread and len(known) < len(kwargs):
            values[spread] = {k: v for k, v in kwargs.items() if k not in kinds}
        if rest or (not spread and len(known) < len(kwargs)):
            wrong = next((k for k in kwargs if k not in kinds), f"{len(rest)} more")
            raise TypeError(f"{self.label}: ops.{self.function}{self.op.signature} does not take {wrong}.")
        bound.arguments.update({n: values[n] for n in kinds if n in values})
        return bound

    def compute_output_spec(self, x, *args, **kwargs):
        """Returns the outputs' specs; sizes that follow unknown ones are unknown, wherever they stand."""
        if self.op is None:
            return super().compute_output_spec(x, *args, **kwargs)
        packed = isinstance(x, dict) and set(x) == {"args", "kwargs"} and not args and not kwargs
        x = x if packed else self.pack(x, *args, **kwargs)
        specs = [s for s in jax.tree.leaves(x, is_leaf=is_spec) if is_spec(s)]
        probes = PROBES if any(d is None for s in specs for d in s.shape) else PROBES[:1]
        try:
            found = [self._traced(x, probe) for probe in probes]
        except (TypeError, ValueError):
            if (only := self._fixed_by_constants(x)) is None:
                raise
            found = [only]
        if len({jax.tree.structure(f) for f in found}) > 1:
            raise ValueError(
                f"{self.label}: how many results ops.{self.function} has depends on a size that is not known, of "
                f"{[s.shape for s in specs]}. Give the Input that size."
            )
        return jax.tree.map(_joined, *found)

    def _fixed_by_constants(self, x):
        """Returns the specs if only one size is possible for the unknown ones: that of a constant, or a small one."""
        held = jax.tree.leaves((x, self.settings), is_leaf=lambda v: isinstance(v, Static))
        held = [v.value if isinstance(v, Static) else v for v in held]
        sizes = {n for v in held for n in (np.shape(v) if hasattr(v, "shape") else (v,)) if isinstance(n, int)}
        for size in (*sorted(n for n in sizes if n > 1), *range(1, 17)):
            with contextlib.suppress(TypeError, ValueError):
                return jax.tree.map(_joined, self._traced(x, size))
        return None

    def _traced(self, x, probe):
        def concrete(spec):
            return jax.ShapeDtypeStruct(tuple(probe if d is None else d for d in spec.shape), spec.dtype)

        arrays = jax.tree.map(concrete, x, is_leaf=is_spec)
        try:
            return jax.eval_shape(lambda x: self.run(*_free(x)), arrays)
        except (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError) as err:
            raise ValueError(
                f"{self.label}: the result of ops.{self.function} has a shape that depends on the numbers, which a "
                f"compiled program cannot have. It works on arrays outside of a model"
                + (", and with size=... in one." if "size" in self.op.signature.parameters else ".")
            ) from err


def _joined(*specs):
    return Spec(tuple(a[0] if len(set(a)) == 1 else None for a in zip(*(s.shape for s in specs), strict=True)),
                specs[0].dtype)  # fmt: skip


def _held(value):
    """Wraps in `Static` whatever is no symbol, in nested lists, tuples and dicts."""
    if isinstance(value, Symbol) or is_spec(value):
        return value
    if table.has_symbol(value):
        if isinstance(value, dict):
            return {k: _held(v) for k, v in value.items()}
        return type(value)(map(_held, value)) if type(value) in (list, tuple) else type(value)(*map(_held, value))
    return Static(value)


def _free(x):
    free = jax.tree.map(lambda v: v.value if isinstance(v, Static) else v, x, is_leaf=lambda v: isinstance(v, Static))
    return free["args"], free["kwargs"]


def record(op, given):
    """Adds a call of `op` with the arguments `given`, {name: value}, to the graph; returns its symbols."""
    settings, args, kwargs = {}, [], {}
    last = max((i for i, n in enumerate(op.signature.parameters) if n in given and n not in op.settings), default=-1)
    for i, (name, parameter) in enumerate(op.signature.parameters.items()):
        value = given.get(name, parameter.default)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            args += given.get(name, ())
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            kwargs |= given.get(name, {})
        elif name in op.settings and not table.has_symbol(value):
            settings[name] = (
                table.standard_dtype(value) if name == "dtype" and value is not None else table.plain(value)
            )
        elif name in op.settings:  # computed, which files cannot hold
            kwargs[name] = value
        elif i <= last:
            is_list = isinstance(value, (list, tuple)) and name not in op.raw and not table.has_symbol(value)
            args.append(np.asarray(value) if is_list else value)
    function = f"image.{op.name}" if op.home == "image" else op.name
    layer = Operation(function, op.recorded(settings), name=Operation.default_name(op.keras or op.name))
    return layer(*args, **kwargs)


table.recorder = record


# ------------------------------------------------------------------------------------------- Python's operators


@layers.register
class Operator(Operation):
    """Applies one of Python's operators to its input: to two inputs, or to one and a constant it holds.

    What files of fkeras and graphs of tf.keras name; symbols record the op itself.

    Args:
        operator: Name in Python's `operator` module: "add", "sub", "mul", "truediv", "pow", "matmul", "neg", ...
            "and", "or", "xor" and "invert" are logical.
        constant: The other operand (a number or nested lists of numbers), or None with two inputs.
        swapped: The constant stands on the left.

    Example:
        >>> Operator("sub", constant=1.0, swapped=True)(jnp.array([0.25])).tolist()
        [0.75]
    """

    operator: str = setting(choice(*_METHODS))
    constant: object = None
    swapped: bool = False

    @property
    def op(self):
        return table.OPS[_METHODS[self.operator]]

    def pack(self, x, *more):
        x = [*x] if isinstance(x, (list, tuple)) else [x, *more]
        if self.constant is not None:
            constant = self.constant if np.ndim(self.constant) == 0 else np.asarray(self.constant)
            x = [constant, *x] if self.swapped else [*x, constant]
        return super().pack(*x)

    def __call__(self, x, *more):
        if table.has_symbol((x, more)):
            return self._connect(self.pack(x, *more))
        return self.run(*_free(self.pack(x, *more)))


@layers.register
class GetItem(Operation):
    """Indexes its input: x[index].

    What files of fkeras and graphs of tf.keras name; symbols record the op itself.

    Args:
        index: List with one entry per axis: an int, [start, stop, step], "..." or None for a new axis.

    Example:
        >>> GetItem([[None, None, None], 0])(jnp.array([[1, 2], [3, 4]])).tolist()
        [1, 3]
    """

    index: list

    @property
    def op(self):
        return table.OPS["get_item"]

    def pack(self, x):
        return super().pack(x, tuple(_entry(i) for i in self.index))

    def __call__(self, x):
        return self._connect(self.pack(x)) if table.has_symbol(x) else self.run(*_free(self.pack(x)))


def _entry(i):
    return slice(*i) if isinstance(i, (list, tuple)) else ... if i == "..." else i


def _index(key):
    """Returns an index as the graph keeps it. Raises TypeError for what is not fixed when the graph is drawn."""
    found = []
    for i in key if isinstance(key, tuple) else (key,):
        if isinstance(i, slice):
            found.append(slice(*(None if v is None else operator.index(v) for v in (i.start, i.stop, i.step))))
        elif i is ... or i is None or (hasattr(i, "__index__") and np.ndim(i) == 0):
            found.append(i if i is ... or i is None else operator.index(i))
        elif isinstance(i, (Symbol, np.ndarray, jax.Array)):
            found.append(i if isinstance(i, Symbol) else np.asarray(i))
        else:
            raise TypeError(f"A symbol is indexed by ints, slices, ... and None, got {i!r} (or by arrays: np.array).")
    return tuple(found) if isinstance(key, tuple) else found[0]


def _binary(name, swapped=False):
    def method(self, other):
        if not (
            isinstance(other, Symbol) or hasattr(other, "__array__") or isinstance(other, (int, float, list, tuple))
        ):
            return NotImplemented
        op = table.OPS[_METHODS[name]]
        return op(other, self) if swapped else op(self, other)

    return method


for _name in _METHODS:
    if _name in _UNARY:
        setattr(Symbol, f"__{_name}__", lambda self, *rest, name=_METHODS[_name]: table.OPS[name](self, *rest))
    elif _name not in ("eq", "ne"):  # they stay Python's: symbols are compared as objects and are keys of dicts
        setattr(Symbol, f"__{_name}__", _binary(_name))
for _name in _REFLECTED:
    setattr(Symbol, f"__r{_name}__", _binary(_name, swapped=True))
Symbol.__getitem__ = lambda self, key: table.OPS["get_item"](self, _index(key))
