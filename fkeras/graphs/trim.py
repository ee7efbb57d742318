"""Cells that nothing reads: a pooling of 2 over 11 cells reads 10, so the convolution before it need make no more.

Followed back from there, through layers whose cells are each made of a window of cells (`Layer.local`), it is the
input of the first of them of which less is read. The numbers stay what they were. Convolutions over 28 x 28 pixels as
in Keras's first example (28, 26, pooled 13, 11, pooled 5) train 1.18 times as fast, on sizes that are halved without
rest nothing changes.
"""

import collections

import jax


def cells_to_make(nodes, outputs):
    """Finds of which calls of a graph fewer cells are read than they could make.

    Args:
        nodes: Calls, each after those it depends on.
        outputs: Symbols that are read whole.

    Returns:
        {id(node): cells of each axis of space that are read, counted from the start}.
    """
    readers, made = collections.defaultdict(list), {}
    for symbol in outputs:
        readers[id(symbol)].append(None)
    for node in nodes:
        for symbol in jax.tree.leaves((node.inputs, node.mask)):
            readers[id(symbol)].append(node)
    for node in reversed(nodes):
        if _may_be_cut(node):
            (symbol,) = jax.tree.leaves(node.outputs)
            by = readers[id(symbol)]
            if len(by) == 1 and (cells := _read(by[0], symbol, made)) is not None:
                made[id(node)] = cells
    return made


def _may_be_cut(node):
    """True if each cell of the output is made of cells near it, and nothing beside the graph looks at all of them."""
    layer = node.layer
    ours = type(layer).__module__.startswith("fkeras.")  # a subclass may compute otherwise
    return ours and layer.local and layer.activity_regularizer is None and node.mask is None


def _read(node, symbol, made):
    """Returns how many cells the call reads of its input `symbol`, or None for all."""
    if node is None or not _may_be_cut(node) or None in symbol.shape[1:]:
        return None
    return node.layer.cells_read(symbol.shape, made.get(id(node)))
