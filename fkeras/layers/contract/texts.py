"""Arrays of texts, which JAX does not have: what they are, how they are read, and what stands for them in programs."""

import jax
import numpy as np

from fkeras.core.dtypes import STRING

_KINDS = "OSUT"  # NumPy's objects, bytes, texts of one length, texts


@jax.tree_util.register_pytree_node_class
class Prepared:
    """The inputs of a model's compiled part: what its host part made of texts, and the inputs it left alone.

    Args:
        leaves: Arrays, in the order of `graphs.host.HostPart`.
    """

    def __init__(self, leaves):
        self.leaves = list(leaves)

    def tree_flatten(self):
        return self.leaves, None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(leaves)

    def __repr__(self):
        return f"Prepared({self.leaves})"


def is_text(a):
    """True for text: str, bytes, or an array, frame or tensor of them.

    Example:
        >>> is_text(np.array(["a"])), is_text(b"a"), is_text(np.ones(1)), is_text(np.array([1.0, None]))
        (True, True, False, False)
    """
    if isinstance(a, (str, bytes)):
        return True
    dtype = getattr(a, "dtype", None)
    kind = getattr(dtype, "kind", None)
    if isinstance(a, np.ndarray) and kind == "O":
        return isinstance(next(iter(a.flat), ""), (str, bytes))
    return kind in ("S", "U", "T") or getattr(dtype, "name", None) in ("string", "str", "object")


def holds_text(x):
    """True if any leaf of the tree `x` is text, or a symbol or spec that stands for it."""
    return any(getattr(a, "dtype", None) == STRING or is_text(a) for a in jax.tree.leaves(x))


def text_array(a, what="the data"):
    """Returns a NumPy array of str or bytes.

    Args:
        a: Text, list, array, frame, or tensor of TensorFlow's.
        what: What it is called in messages.

    Raises:
        ValueError: Something in it is no text, or its rows have different lengths; the message says what and where.
    """
    for name in ("to_numpy", "numpy"):
        if hasattr(a, name) and not isinstance(a, np.ndarray):
            a = getattr(a, name)()
    try:
        a = np.asarray(a)
    except ValueError as err:
        raise ValueError(f"Cannot make an array of {what}: {err}. Do all rows have one length?") from None
    if a.dtype.kind not in _KINDS:
        raise ValueError(f"Expected text as {what}, got data of dtype {a.dtype}. Convert it first: x.astype(str).")
    if a.dtype.kind in "ST":
        a = a.astype(object)
    if a.dtype.kind == "O":
        flat = a.ravel().tolist()
        if not all(isinstance(v, (str, bytes)) for v in flat):
            at = next(i for i, v in enumerate(flat) if not isinstance(v, (str, bytes)))
            place = list(map(int, np.unravel_index(at, a.shape))) if a.ndim else ""
            raise ValueError(
                f"Expected text as {what}, got {str(flat[at])[:40]!r} ({type(flat[at]).__name__}) at {place}. Fill "
                f"what is missing: series.fillna('')."
            )
    return a


def as_column(a, shape):
    """Returns rows [B] as [B, 1] where an input of that `shape` is wanted, and the reverse, as Keras does."""
    if len(shape) == 2 and shape[1] == 1 and len(np.shape(a)) == 1:
        return a[:, None]
    return a[:, 0] if len(shape) == 1 and np.shape(a)[1:] == (1,) else a


def from_utf8(key, errors="surrogateescape"):
    """Returns bytes of UTF-8 as text; those that are none are kept, so that `utf8` goes back, or shown as "replace"."""
    return key.decode("utf-8", errors)


def utf8(texts, encoding="utf-8"):
    """Returns the list of the texts of an array as bytes of UTF-8.

    Args:
        texts: NumPy array of str, or of bytes in `encoding`.
    """
    flat = np.asarray(texts).ravel().tolist()
    same = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    return [
        v.encode("utf-8", "surrogateescape")
        if isinstance(v, str)
        else v
        if same
        else v.decode(encoding, "replace").encode()
        for v in flat
    ]


def lists_as_arrays(x):
    """Returns `x` with lists of texts, or of numbers, as arrays, in a list or dict of several too.

    Example:
        >>> lists_as_arrays({"word": ["a", "b"], "size": [1, 2]})
        {'word': array(['a', 'b'], dtype='<U1'), 'size': array([1, 2])}
    """
    if isinstance(x, (str, bytes)):
        return np.array(x, object)
    if isinstance(x, dict):
        return {k: lists_as_arrays(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)) and x:
        leaves = jax.tree.leaves(x)
        if leaves and all(isinstance(v, (str, bytes)) for v in leaves):
            return text_array(list(x))
        if leaves and all(isinstance(v, (int, float, np.number)) for v in leaves):
            return np.asarray(x)
        if any(isinstance(v, (list, tuple, str, bytes)) for v in x):
            return type(x)(map(lists_as_arrays, x))
    return x


def batches_of(data, steps=None):
    """Yields the arrays of `data`: an array, a list of values, or an iterable or indexable of batches.

    Args:
        data: As above. A batch is x, or a tuple that starts with x; a single value counts as one.
        steps: How many batches to take, or None for all.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(data, (list, tuple)) and not hasattr(next(iter(data), None), "shape"):
        data = lists_as_arrays(data)
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    is_array = hasattr(data, "shape") and hasattr(data, "dtype") and hasattr(data, "__array__")
    if is_array:
        yield _as_numpy(data)
        return
    if not hasattr(data, "__iter__") and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        data = map(data.__getitem__, range(len(data)))
    if not hasattr(data, "__iter__") or isinstance(data, (str, bytes, dict)):
        raise TypeError(f"adapt: expected an array or an iterable of batches, got {type(data).__name__}.")
    for number, batch in enumerate(data):
        if steps is not None and number >= steps:
            return
        batch = batch[0] if isinstance(batch, (list, tuple)) and hasattr(batch[0], "shape") else batch
        batch = lists_as_arrays(batch)
        if not hasattr(batch, "shape"):
            raise TypeError(f"adapt: expected batches that are arrays, got {type(batch).__name__}. Try np.array(data).")
        yield _as_numpy(batch)


def _as_numpy(a):
    if is_text(a):
        return text_array(a)
    return np.asarray(a.numpy() if hasattr(a, "numpy") and not isinstance(a, np.ndarray) else a)
