"""What a layer may be called on, looked at once, at the door."""

import inspect

import jax
import numpy as np

from fkeras.core.dtypes import STRING
from fkeras.core.symbol import Symbol
from fkeras.layers.contract import custom
from fkeras.layers.contract.texts import is_text, lists_as_arrays

NOTHING = object()  # the first argument of a call that names all its arguments

_FIRST = ("inputs", "x", "sequences", "sequence", "query")  # what Keras's layers call their first argument


def first_by_name(layer, kwargs):
    """Returns (x, the other arguments) of a call like `layer(inputs=x)`.

    Raises:
        TypeError: The call has no input.
    """
    names = [*inspect.signature(layer.call).parameters][:1] if custom.is_keras_style(layer) else _FIRST
    for name in names:
        if name in kwargs:
            return kwargs[name], {k: v for k, v in kwargs.items() if k != name}
    raise TypeError(f"{layer.label}: called on nothing; expected an array or a symbol as its first argument.")


def by_position(layer, args, training, mask):
    """Returns (args, training, mask) of a call, with the last two where Keras takes them by position after the inputs.

    Raises:
        TypeError: One was given twice.
    """
    order, found = layer.call_order, {"training": training, "mask": mask}
    first = next((i for i, name in enumerate(order) if name in found), len(order))
    given = dict(zip(order[first:], args[first:], strict=False))
    flag = given.get("training")
    if not given or not (flag is None or isinstance(flag, (bool, int, np.bool_))):
        return args, training, mask
    for name, value in given.items():
        if found[name] is not None and value is not None:
            raise TypeError(f"{layer.label}: got {name!r} twice, by position and by name.")
        found[name] = value if found[name] is None else found[name]
    return (*args[:first], *args[len(order) :]), found["training"], found["mask"]


def as_arrays(layer, x):
    """Returns an array for nested lists of Python's numbers or texts; anything else as it is."""
    if layer.on_host:
        return lists_as_arrays(x)
    leaves = jax.tree.leaves(x) if isinstance(x, (list, tuple)) else ()
    return np.asarray(x) if leaves and all(isinstance(leaf, (int, float)) for leaf in leaves) else x


def check_text(layer, x):
    """Raises TypeError for a symbol that stands for text, on a layer that takes numbers."""
    if not layer.on_host and any(leaf.dtype == STRING for leaf in jax.tree.leaves(x)):
        raise TypeError(
            f"{layer.label}: called on a symbol that stands for text, expected numbers. TextVectorization, "
            f"StringLookup or Hashing makes numbers of it."
        )


def check_kinds(layer, x):
    """Raises TypeError for what is neither an array nor a symbol, and for symbols beside arrays."""
    leaves = jax.tree.leaves(x)
    symbols = sum(isinstance(leaf, Symbol) for leaf in leaves)
    if symbols and symbols < len(leaves):
        other = next(leaf for leaf in leaves if not isinstance(leaf, Symbol))
        raise TypeError(
            f"{layer.label}: called on symbols and on an array of shape {np.shape(other)} together. A constant enters "
            f"a graph by an operator (x + array), inside a Lambda, or as an Input of its own."
        )
    if symbols:
        return
    for leaf in [x] if x is None else leaves:
        if not (_is_array(leaf) or (layer.on_host and is_text(leaf))):
            raise TypeError(
                f"{layer.label}: expected an array, a symbol made by Input(...), or a list or dict of them, got "
                f"{_about(leaf)}"
            )


def _is_array(leaf):
    if isinstance(leaf, (jax.Array, int, float, complex)):
        return True
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "OUSMm"
    if isinstance(leaf, type) or type(leaf).__name__ == "KerasTensor":
        return False
    return hasattr(leaf, "__array__") or hasattr(leaf, "__jax_array__")  # tensors of other libraries, frames, handles


def _about(leaf):
    kind = type(leaf)
    if isinstance(leaf, type):
        return f"the class {leaf.__name__}. Did you mean {leaf.__name__}(...)(x)?"
    if hasattr(leaf, "apply_masked"):
        return f"the layer {leaf.label} itself. Call it first: outer(inner(x))."
    if kind.__name__ == "KerasTensor":
        return "a KerasTensor, a symbol of real Keras. Begin the graph with fkeras.Input(...)."
    if isinstance(leaf, np.ndarray):
        return f"an array of dtype {leaf.dtype}. Are there strings or None among the numbers?"
    return f"{leaf!r} ({kind.__name__})." if leaf is not None else "None. Did a function forget to return its result?"
