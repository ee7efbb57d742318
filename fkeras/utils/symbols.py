"""Questions about the values of graphs, and names of dtypes."""

import jax
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import nearest
from fkeras.core.symbol import Symbol

DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 bfloat16 float16 float32 float64 complex64 complex128 "
    "string float8_e4m3fn float8_e5m2 int4 uint4"
).split()
_OF_PYTHON = {bool: "bool", int: "int32", float: None, str: "string"}  # None: floatx


def is_keras_tensor(x):
    """Returns whether `x` stands for a value of a graph, as `Input()` does.

    Example:
        >>> is_keras_tensor(Input((3,))), is_keras_tensor(np.zeros(3))
        (True, False)
    """
    return isinstance(x, Symbol)


def get_source_inputs(tensor):
    """Returns the list of inputs of the graph that a value is computed of.

    Example:
        >>> a, b = Input((3,), name="a"), Input((3,), name="b")
        >>> [x.name for x in get_source_inputs(a + 2 * b)]
        ['a', 'b']
    """
    found, seen = [], set()

    def visit(symbol):
        node = symbol.node
        if node is None or not any(isinstance(leaf, Symbol) for leaf in jax.tree.leaves(node.inputs)):
            if not any(symbol is known for known in found):
                found.append(symbol)
        elif id(node) not in seen:
            seen.add(id(node))
            for leaf in jax.tree.leaves(node.inputs):
                if isinstance(leaf, Symbol):
                    visit(leaf)

    for leaf in jax.tree.leaves(tensor):
        visit(leaf)
    return found


def standardize_dtype(dtype):
    """Returns the name of a dtype: of NumPy's, JAX's, torch's and TensorFlow's, of Python's types; None is floatx.

    Raises:
        ValueError: It is none.

    Example:
        >>> standardize_dtype(np.float16), standardize_dtype(int), standardize_dtype(None)
        ('float16', 'int32', 'float32')
    """
    if dtype is None:
        return dtypes.floatx()
    if isinstance(dtype, type) and dtype in _OF_PYTHON:
        return _OF_PYTHON[dtype] or dtypes.floatx()
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if not isinstance(name, str):
        name = str(dtype).removeprefix("torch.") if "torch" in str(dtype) else np.dtype(dtype).name
    if name not in DTYPES:
        raise ValueError(f"Unknown dtype {name!r}.{nearest(name, DTYPES)}")
    return name
