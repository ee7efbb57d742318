"""Shapes of values in a graph: tuples with the batch axis first and None where a size is unknown, and trees of them."""

import contextlib
import itertools

import jax
import numpy as np

from fkeras.core.dtypes import symbol_dtype
from fkeras.core.symbol import Static, Symbol

BATCH = 2  # the size that stands for an unknown batch while shapes are traced
SMALL_PROBES = (7, 11)  # where a layer takes no more: a table of positions
OTHER_BATCHES = (32, 64, 128, 16, 8, 4, 1, 256, 10, 20, 50, 100)  # for calls that can be computed for one size alone
PROBES = (1031, 2053)  # sizes that stand for unknown other axes; a size that follows them is unknown too


class Spec:
    """Shape (None where unknown) and dtype of a value in a graph."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(shape), symbol_dtype(dtype)

    def __repr__(self):
        return f"Spec({self.shape}, {self.dtype})"


def is_shape(s):
    """True for one shape: a tuple of ints and None."""
    return isinstance(s, tuple) and all(d is None or isinstance(d, (int, np.integer)) for d in s)


def is_spec(s):
    """True for what has a shape and a dtype but no numbers."""
    return isinstance(s, (Spec, Symbol))


def as_shape(shape):
    """Returns a shape as a tuple of ints and None; trees (lists, dicts) of shapes keep their form."""
    if isinstance(shape, dict):
        return {k: as_shape(s) for k, s in shape.items()}
    if isinstance(shape, (list, tuple)) and any(isinstance(s, (list, tuple, dict)) for s in shape):
        return [None if s is None else as_shape(s) for s in shape]  # None: a mask that is not given
    if isinstance(shape, Static):
        return shape
    if not isinstance(shape, (list, tuple)):
        if not hasattr(shape, "__iter__") or isinstance(shape, str):
            raise ValueError(f"expected a shape, a tuple of sizes with the batch axis first, got {shape!r}.")
        shape = tuple(shape)
    return tuple(_size(d, shape) for d in shape)


def _size(d, shape):
    if d is not None and (isinstance(d, str) or int(d) != d or d < 0):
        raise ValueError(f"expected a shape of sizes >= 0, or None where one is not known, got {tuple(shape)}.")
    return None if d is None else int(d)


def shapes_of(x):
    """Returns the tree of the shapes of arrays, specs or symbols."""
    return jax.tree.map(lambda a: tuple(a.shape), x, is_leaf=is_spec)


def has_free_sizes(shapes):
    """True if a size other than the batch's is unknown."""
    return any(d is None for s in shapes for d in s[1:])


def filled(shape, probe, batch=BATCH):
    """Returns the shape with `batch` for an unknown batch and `probe` for other unknown sizes."""
    sizes = itertools.chain([batch], itertools.repeat(probe))
    return tuple(size if d is None else d for d, size in zip(shape, sizes, strict=False))


def at_some_batch(trace, others):
    """Returns (trace(batch), batch) for `BATCH`, or, if `others`, for another size that can be traced and comes out.

    Code that says `reshape(x, (32, -1))` can be computed for batches of 32 alone.
    """
    try:
        return trace(BATCH), BATCH
    except (TypeError, ValueError):
        for batch in OTHER_BATCHES if others else ():
            with contextlib.suppress(TypeError, ValueError):
                found = trace(batch)
                if all(a.shape[:1] == (batch,) for a in jax.tree.leaves(found)):
                    return found, batch
        raise


def shown(shape):
    """A shape for messages: the batch axis may be of any size."""
    return str((None, *shape[1:]) if is_shape(shape) and shape else shape)
