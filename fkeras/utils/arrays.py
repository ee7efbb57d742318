"""NumPy helpers that prepare data: one-hot labels, unit vectors, padded sequences, splits, (x, y, sample_weight)."""

import functools

import jax
import numpy as np

from fkeras.core import rng
from fkeras.core.settings import named_arguments
from fkeras.data import Dataset


def _in_kind(fn):
    """A function of arrays returns an array of JAX for one of JAX, else one of NumPy."""

    @functools.wraps(fn)
    def call(x, *args, **kwargs):
        out = fn(x, *args, **kwargs)
        return jax.numpy.asarray(out) if isinstance(x, jax.Array) else out

    return call


@functools.partial(named_arguments, what="to_categorical")
@_in_kind
def to_categorical(x, num_classes=None, dtype=None):
    """One-hot rows for integer class labels.

    Args:
        x: Integers of any shape, at least 0; a trailing axis of 1 is dropped.
        num_classes: Number of classes; by default the largest label plus 1.
        dtype: Of the result, as Keras 2 let it be chosen.

    Returns:
        Array of shape (*x.shape, num_classes); float64 as Keras 3, unless `dtype` says otherwise.

    Raises:
        ValueError: A label outside [0, num_classes).

    Example:
        >>> to_categorical([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = np.asarray(x)
    labels = labels.astype("int64")
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    labels = labels.reshape(shape)
    num_classes = int(labels.max()) + 1 if num_classes is None else int(num_classes)
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"to_categorical: labels must be in [0, {num_classes}), got values from {labels.min()} to {labels.max()}."
        )
    return np.eye(num_classes, dtype=dtype or "float64")[labels]


@_in_kind
def normalize(x, axis=-1, order=2):
    """Scales `x` to unit norm of that `order` along `axis`; zero vectors stay zero.

    Example:
        >>> normalize(np.array([[3.0, 4.0]])).tolist()
        [[0.6, 0.8]]
    """
    x = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)


def pad_sequences(sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0.0):
    """Pads and cuts a list of sequences to one length: an array [N, maxlen, ...].

    Args:
        sequences: List of sequences of numbers or of equally shaped arrays.
        maxlen: Length; by default that of the longest.
        dtype: Of the result; object or "<U9" for texts.
        padding, truncating: "pre" or "post": at which end values are added or dropped.
        value: The padding value.

    Example:
        >>> pad_sequences([[1], [2, 3]]).tolist()
        [[0, 1], [2, 3]]
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"pad_sequences: expected {name} 'pre' or 'post', got {side!r}.")
    if not hasattr(sequences, "__len__") or any(not hasattr(s, "__len__") for s in sequences):
        raise ValueError("pad_sequences: expected a list of sequences, one per row.")
    maxlen = max(map(len, sequences), default=0) if maxlen is None else maxlen
    inner = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    kind = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OU":
        raise ValueError(
            f"pad_sequences: value={value!r} is a text, which dtype {kind} cannot hold; pass dtype=object."
        )
    out = np.full((len(sequences), maxlen, *inner), value, kind)
    for row, s in zip(out, sequences, strict=True):
        if not len(s) or not maxlen:
            continue
        kept = np.asarray(s[-maxlen:] if truncating == "pre" else s[:maxlen], kind)
        if kept.shape[1:] != inner:
            raise ValueError(f"pad_sequences: expected items of shape {inner}, got {kept.shape[1:]}.")
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[-len(kept) :] = kept
    return out


def split_dataset(dataset, left_size=None, right_size=None, shuffle=False, seed=None, stratify_by_class=None):
    """Splits data in two by rows.

    Args:
        dataset: An array, or a tuple, list or dict of arrays with equally many rows; or a `Dataset`, or rows by number
            (such as a torch data set), both of which are split by elements.
        left_size, right_size: Rows (int) or fraction (float) of each part; one may be left out.
        shuffle: Whether to shuffle the rows first, by `seed`.
        stratify_by_class: Labels [N], or True for the last array: both parts get each class in equal shares.

    Returns:
        (left, right), each in the form of `dataset`; of rows by number two `Dataset`s.

    Example:
        >>> left, right = split_dataset((np.arange(10), np.arange(10)), left_size=0.8)
        >>> right[0].tolist()
        [8, 9]
    """
    by_number = all(hasattr(dataset, name) for name in ("__len__", "__getitem__"))
    if by_number and not isinstance(dataset, (list, tuple, dict, Dataset)) and not hasattr(dataset, "shape"):
        dataset = Dataset.of_rows(len(dataset), dataset.__getitem__)
    if isinstance(dataset, Dataset):
        if stratify_by_class is not None:
            raise ValueError("split_dataset: stratify_by_class needs arrays; a Dataset is split by elements.")
        return _split_elements(dataset, left_size, right_size, shuffle, seed)
    parts = list(dataset.values()) if isinstance(dataset, dict) else dataset
    single = not isinstance(parts, (list, tuple))
    arrays = [np.asarray(a) for a in ([parts] if single else parts)]
    n = len(arrays[0])
    if any(len(a) != n for a in arrays):
        raise ValueError(f"split_dataset: all arrays need equally many rows, got {[len(a) for a in arrays]}.")
    left, right = _sizes(left_size, right_size, n)
    random = np.random.default_rng(seed)
    order = random.permutation(n) if shuffle else np.arange(n)
    if stratify_by_class is not None and stratify_by_class is not False:
        labels = arrays[-1] if stratify_by_class is True else np.asarray(stratify_by_class)
        takes = []
        for c in np.unique(labels):
            ids = order[labels[order] == c]
            at = round(len(ids) * left / n)
            takes.append((ids[:at], ids[at:][: round(len(ids) * right / n)]))
        chosen = [np.concatenate([t[i] for t in takes]) for i in (0, 1)]
    else:
        chosen = [order[:left], order[left : left + right]]

    def form(rows):
        taken = [a[rows] for a in arrays]
        if isinstance(dataset, dict):
            return dict(zip(dataset, taken, strict=True))
        return taken[0] if single else type(dataset)(taken)

    return form(chosen[0]), form(chosen[1])


def _split_elements(dataset, left_size, right_size, shuffle, seed):
    if not hasattr(dataset, "__len__"):
        raise ValueError("split_dataset: the Dataset does not know its length; use take(n) and skip(n).")
    n = len(dataset)
    left, right = _sizes(left_size, right_size, n)
    if shuffle:
        dataset = dataset.shuffle(n, rng.next_seed() if seed is None else seed, reshuffle_each_iteration=False)
    return dataset.take(left), dataset.skip(left).take(right)


def _sizes(left, right, n):
    if left is None and right is None:
        raise ValueError("split_dataset: give left_size, right_size or both.")

    def rows(size, name):
        if size is None:
            return None
        if isinstance(size, float):
            if not 0 < size < 1:
                raise ValueError(
                    f"split_dataset: expected {name} as a fraction in (0, 1) or a number of rows, got {size}."
                )
            return round(size * n)
        if not 0 < size < n:
            raise ValueError(f"split_dataset: expected {name} in (0, {n}), the rows there are, got {size}.")
        return int(size)

    left, right = rows(left, "left_size"), rows(right, "right_size")
    left = n - right if left is None else left
    right = n - left if right is None else right
    if left + right > n:
        raise ValueError(f"split_dataset: {left} + {right} rows were asked for, there are {n}.")
    return left, right
