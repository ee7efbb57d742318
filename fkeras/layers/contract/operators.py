"""Python's operators and indexing on the symbols of a graph: `a + b`, `2 * a`, `a[:, 0]`."""

import operator

import jax.numpy as jnp
import numpy as np

from fkeras.core.settings import choice, setting
from fkeras.core.symbol import Symbol
from fkeras.layers.contract.base import Layer, layers

BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt", "ge", "eq", "ne")
LOGICAL = ("and", "or", "xor")
UNARY = ("neg", "abs", "round", "invert")


def _logical(function):
    """Keras's `&`, `|`, `^` and `~` are logical on any dtype: what is not zero is true."""
    return lambda *arrays: function(*(a.astype(bool) for a in arrays))


_OWN = {"and": _logical(jnp.logical_and), "or": _logical(jnp.logical_or), "xor": _logical(jnp.logical_xor),
        "invert": _logical(jnp.logical_not), "round": jnp.round}  # fmt: skip


@layers.register
class Operator(Layer):
    """Applies one of Python's operators to its input: to two inputs, or to one and a constant.

    Args:
        operator: Name in Python's `operator` module: "add", "sub", "mul", "truediv", "pow", "matmul", "neg", ...
            "and", "or", "xor" and "invert" are logical.
        constant: The other operand (a number or nested lists of numbers), or None with two inputs.
        swapped: The constant stands on the left.

    Example:
        >>> Operator("sub", constant=1.0, swapped=True)(jnp.array([0.25])).tolist()
        [0.75]
    """

    operator: str = setting(choice(*BINARY, *LOGICAL, *UNARY))
    constant: object = None
    swapped: bool = False
    takes_ints = True
    is_operation = True

    def forward(self, params, state, x, ctx):
        apply = _OWN.get(self.operator) or getattr(operator, self.operator)
        if self.operator in UNARY:
            return apply(x), state
        if self.constant is None:
            return apply(*x), state
        constant = jnp.asarray(self.constant)
        if jnp.issubdtype(x.dtype, jnp.floating):
            constant = constant.astype(x.dtype)
        return (apply(constant, x) if self.swapped else apply(x, constant)), state


@layers.register
class GetItem(Layer):
    """Indexes its input: x[index].

    Args:
        index: List with one entry per axis: an int, [start, stop, step], "..." or None for a new axis.

    Example:
        >>> GetItem([[None, None, None], 0])(jnp.array([[1, 2], [3, 4]])).tolist()
        [1, 3]
    """

    index: list
    takes_ints = True
    is_operation = True

    def forward(self, params, state, x, ctx):
        return x[tuple(_entry(i) for i in self.index)], state


def _entry(i):
    return slice(*i) if isinstance(i, (list, tuple)) else ... if i == "..." else i


def _written(i):
    """An index as a config holds it. Raises TypeError for one that is not fixed when the graph is drawn."""
    if isinstance(i, slice):
        return [i.start, i.stop, i.step]
    if i is ...:
        return "..."
    if i is None or hasattr(i, "__index__"):
        return None if i is None else operator.index(i)
    raise TypeError(f"A symbol is indexed by ints, slices, ... and None, got {i!r}.")


def _binary(name, swapped=False):
    def method(self, other):
        if isinstance(other, Symbol):
            return Operator(name)([other, self] if swapped else [self, other])
        if not (hasattr(other, "__array__") or isinstance(other, (int, float, list, tuple))):
            return NotImplemented
        return Operator(name, np.asarray(other).tolist(), swapped)(self)

    return method


def _unary(name):
    return lambda self: Operator(name)(self)


for _name in (*BINARY[:-2], *LOGICAL):  # == and != stay Python's: symbols are compared as objects and are keys of dicts
    setattr(Symbol, f"__{_name}__", _binary(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", *LOGICAL):
    setattr(Symbol, f"__r{_name}__", _binary(_name, swapped=True))
for _name in UNARY:
    setattr(Symbol, f"__{_name}__", _unary(_name))
Symbol.__getitem__ = lambda self, index: GetItem(
    [_written(i) for i in (index if isinstance(index, tuple) else (index,))]
)(self)
