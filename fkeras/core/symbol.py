"""Symbols stand for arrays while a graph is drawn; nodes remember which layer was called on which of them."""

import itertools

import jax
import numpy as np

from fkeras.core import dtypes

_order = itertools.count()

_UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "true_divide": "truediv",
    "floor_divide": "floordiv", "remainder": "mod", "power": "pow", "matmul": "matmul", "less": "lt",
    "less_equal": "le", "greater": "gt", "greater_equal": "ge", "bitwise_and": "and", "bitwise_or": "or",
    "bitwise_xor": "xor",
}  # fmt: skip
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


class Symbol:
    """A value of a graph: shape (None where unknown), dtype, and the node that computes it.

    Python's operators and indexing on symbols add layers that do the same to arrays.
    """

    __slots__ = ("dtype", "index", "name", "node", "shape")

    def __init__(self, shape, dtype="float32", node=None, index=0, name=None):
        self.shape, self.node, self.index, self.name = tuple(shape), node, index, name
        self.dtype = dtypes.symbol_dtype(dtype)

    @property
    def ndim(self):
        return len(self.shape)

    def __repr__(self):
        return f"<Symbol {self.name} {dtypes.dtype_name(self.dtype)}{list(self.shape)}>"

    def _no_numbers(self):
        return (
            f"{self!r} has no numbers yet: it stands for a value of a graph. Use a layer, or wrap the function "
            f"in Lambda, to compute with it: Lambda(jnp.exp)(x)."
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(self._no_numbers())

    @property
    def weak_type(self):
        """What JAX asks of all that looks like an array: its functions find no numbers here either."""
        raise ValueError(self._no_numbers())  # a TypeError would be replaced by one that speaks of static arguments

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """NumPy's functions find no numbers here; its operators (array + symbol) are those of the symbol."""
        name = _UFUNCS.get(ufunc.__name__)
        if method != "__call__" or name is None or kwargs or len(inputs) != 2:
            return self.__array__()
        if isinstance(inputs[0], Symbol):
            return getattr(inputs[0], f"__{name}__")(inputs[1])
        mirrored = _MIRRORED.get(name, f"r{name}")
        return getattr(self, f"__{mirrored}__")(inputs[0])

    def __bool__(self):
        raise TypeError(f"{self!r} has no truth value: it stands for a value of a graph. Use a layer to branch.")

    def __iter__(self):
        raise TypeError(f"{self!r} cannot be iterated over: it stands for a value of a graph.")


@jax.tree_util.register_static
class Static:
    """An argument of a call that is no array of the graph: a flag, a number, a name, a constant array.

    It stands in the tree of arguments without being a leaf of it: maps over arrays and tracing leave it alone, a
    node keeps it, and `forward` reads `value` as Python's own.
    """

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    shape = property(lambda self: np.shape(self.value))  # so that configs write it as they write arrays and numbers

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)

    def _about(self):
        a = np.asarray(self.value)
        return type(self.value).__name__, a.shape, str(a.dtype), a.tobytes()

    def __eq__(self, other):
        return isinstance(other, Static) and self._about() == other._about()

    def __hash__(self):
        return hash(self._about())

    def __repr__(self):
        return f"Static({self.value!r})"


class Node:
    """One call of one layer: its input symbols and its output symbols.

    `call` counts the calls of this layer, `order` all calls of the process, so that sorting by it is topological.
    """

    __slots__ = ("call", "inputs", "layer", "mask", "masks", "order", "outputs", "training")

    def __init__(self, layer, inputs, call, training=None, mask=None):
        self.layer, self.inputs, self.call, self.order = layer, inputs, call, next(_order)
        self.outputs, self.training, self.mask = None, training, mask
        self.masks = None  # specs of the outputs' masks, once somebody asked

    def connect(self, specs):
        """Makes the output symbols from a tree of specs, remembers and returns them."""
        leaves, form = jax.tree.flatten(specs, is_leaf=lambda s: hasattr(s, "dtype"))
        symbols = [Symbol(s.shape, s.dtype, self, i, self.layer.name) for i, s in enumerate(leaves)]
        self.outputs = jax.tree.unflatten(form, symbols)
        return self.outputs

    operation = property(lambda self: self.layer, doc="Keras 3's name of `layer`.")
    input_tensors = property(lambda self: jax.tree.leaves(self.inputs), doc="The list of the inputs' symbols.")
    output_tensors = property(lambda self: jax.tree.leaves(self.outputs), doc="The list of the outputs' symbols.")
    is_input = property(lambda self: not self.input_tensors, doc="Whether it begins a graph.")

    @property
    def parent_nodes(self):
        """The calls that made the inputs, as Keras 3 has it."""
        return list(dict.fromkeys(s.node for s in self.input_tensors))

    def __getstate__(self):
        state = {name: getattr(self, name) for name in self.__slots__ if name != "order"}
        return state, any(node is self for node in self.layer._nodes)

    def __setstate__(self, state):
        """Joins its layer again, after all calls of this process; those it depends on were set up before."""
        state, is_known = state
        for name, value in state.items():
            setattr(self, name, value)
        self.order = next(_order)
        if is_known and not any(node is self for node in self.layer._nodes):
            object.__setattr__(self.layer, "_nodes", (*self.layer._nodes, self))


def is_symbolic(x):
    """True if any leaf of the tree is a symbol."""
    return any(isinstance(leaf, Symbol) for leaf in jax.tree.leaves(x))
