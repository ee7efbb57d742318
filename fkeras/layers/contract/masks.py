"""The mask that an array carries along outside of graphs: in eager calls, and inside a layer's `call`.

In a graph masks travel beside the values, and while it is drawn their shapes can be asked for. Where a layer written
the Keras way calls others on arrays, the mask hangs on the array itself, under the name that Keras gives it. What is
traced takes no attributes; its masks are kept in a table while the outermost `call` runs. This file alone knows.
"""

import contextlib
import threading

import jax

_NAME = "_keras_mask"
_local = threading.local()  # .table: {id(array): (array, mask)}, or None outside of any `call`


@contextlib.contextmanager
def table():
    """Within the `with`, traced arrays can carry masks too."""
    outer = getattr(_local, "table", None)
    _local.table = {} if outer is None else outer
    try:
        yield
    finally:
        _local.table = outer


def _read(array):
    if (mask := getattr(array, _NAME, None)) is not None:
        return mask
    found = (getattr(_local, "table", None) or {}).get(id(array))
    return None if found is None else found[1]


def mask_of(x):
    """Returns the mask of an array, or a tree of masks like the tree `x`; None if there is none."""
    found = jax.tree.map(_read, x)
    return found if jax.tree.leaves(found) else None


def remember_mask(x, mask):
    """Hangs masks on the arrays of `x`: one for all, or a tree of them in the order of the arrays. Returns `x`."""
    leaves = jax.tree.leaves(x)
    for leaf, one in zip(leaves, spread(mask, len(leaves)), strict=True):
        _hang(leaf, one)
    return x


def spread(mask, count):
    """Returns the list of the masks of `count` arrays, from one for all or a tree of as many."""
    found = jax.tree.leaves(mask, is_leaf=lambda m: m is None)
    return found if len(found) == count else found[:1] * count


def drawn(x):
    """Returns the tree of the masks' specs of the symbols of `x`, None where there is none; None if there are none."""
    waiting, stack = {}, [s.node for s in jax.tree.leaves(x)]
    while stack:
        if (node := stack.pop()).masks is None and id(node) not in waiting:
            waiting[id(node)] = node
            stack += [s.node for s in jax.tree.leaves(node.inputs)]
    for node in sorted(waiting.values(), key=lambda n: n.order):  # a call comes after those it depends on
        mask = _of_symbols(node.inputs) if node.mask is None else node.mask
        node.masks = spread(node.layer.mask_specs(node.inputs, mask), len(jax.tree.leaves(node.outputs)))
    return _of_symbols(x)


def _of_symbols(x):
    found = jax.tree.map(lambda s: s.node.masks[s.index], x)
    return found if jax.tree.leaves(found) else None


@contextlib.contextmanager
def carrying(x, mask):
    """Within the `with`, the arrays of `x` carry these masks; None leaves those that they have."""
    before = [(leaf, _read(leaf)) for leaf in jax.tree.leaves(x)]
    if mask is not None:
        remember_mask(x, mask)
    try:
        yield
    finally:
        for leaf, one in before:
            _hang(leaf, one)


def _hang(array, mask):
    if _read(array) is mask:
        return
    try:
        setattr(array, _NAME, mask)
    except AttributeError:
        if getattr(_local, "table", None) is not None:
            _local.table[id(array)] = (array, mask)
