"""Outputs that nothing reads: a pooling of 2 over 11 columns reads 10, so the convolution before it need make no more.

The graph asks its layers which windows of their input they read (`Layer.windows`), follows the sizes back from there,
and cuts the input of the first layer of such a chain; those after it make less because they get less. Everything is
stated per axis of the arrays, so that layers with other data formats may follow each other. The numbers stay what they
were. See ARCHITECTURE.md for what it gains.
"""

import collections

import jax

from fkeras.core.symbol import Symbol


def find_cuts(nodes, outputs):
    """Finds where a graph computes from more than is read in the end.

    Args:
        nodes: Calls, each after those it depends on.
        outputs: Symbols that are read whole.

    Returns:
        {id(node): sizes after the batch axis}: to how much of its input, from the start, a call should be restricted.
    """
    readers = collections.Counter(map(id, outputs))
    readers.update(id(s) for node in nodes for s in jax.tree.leaves((node.inputs, node.mask)))
    known, needed, cuts = set(map(id, nodes)), {}, {}
    for node in reversed(nodes):
        if _windows(node) is None:
            continue
        x, y = node.inputs, node.outputs
        reads = _read(node, needed.get(id(y), y.shape[1:]))
        if reads is None or reads == x.shape[1:]:
            continue
        if readers[id(x)] == 1 and id(x.node) in known and _read(x.node, reads) is not None:
            needed[id(x)] = reads
        elif id(y) in needed:
            cuts[id(node)] = reads
    return cuts


def cut(x, drawn, sizes):
    """Returns the array `x` restricted to `sizes`, if it has the sizes that its graph was drawn with."""
    return x[(slice(None), *map(slice, sizes))] if x.shape[1:] == drawn.shape[1:] else x


def _windows(node):
    """Returns the windows that a call reads, or None where more than its output depends on all of its input."""
    layer, x, y = node.layer, node.inputs, node.outputs
    ours = type(layer).__module__.startswith("fkeras.")  # a subclass may compute otherwise
    alone = isinstance(x, Symbol) and isinstance(y, Symbol) and node.mask is None
    if not (ours and alone and layer.activity_regularizer is None) or None in (*x.shape[1:], *y.shape[1:]):
        return None
    return layer.windows(len(x.shape))


def _read(node, needed):
    """Returns the sizes of its input that a call computes its first `needed` outputs from, or None if it cannot."""
    if (windows := _windows(node)) is None:
        return None
    reads = []
    for window, size, made, n in zip(windows, node.inputs.shape[1:], node.outputs.shape[1:], needed, strict=True):
        if window is None and n != made:
            return None
        reads.append(size if window is None else window.reads(n))
    return tuple(reads)
