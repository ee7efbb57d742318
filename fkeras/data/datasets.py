"""`Dataset`: what the folder readers return, an iterable with the methods that are written after their calls.

    train = fkeras.utils.image_dataset_from_directory("photos", seed=1)
    train = train.map(lambda x, y: (x / 255, y), num_parallel_calls=4).cache().shuffle(1000).prefetch(2)

A data set is a recipe: `plan(epoch)` gives its elements in order as pairs (reads, join). `reads` are functions without
arguments that may run in any thread (decoding of files), `join` makes the element of what they return. Skipping,
shuffling, repeating and batching work on the pairs, so nothing is read for an element that nobody takes.
"""

import collections
import itertools
import os
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import numpy as np

from fkeras.core import rng

THREADS = min(os.cpu_count() or 1, 16)
AUTOTUNE = -1  # where a number of threads or batches is asked for: as many as suit the machine
INFINITE, UNKNOWN = -1, -2  # of `cardinality`
_END = object()


class Values(np.ndarray):
    """A NumPy array that also answers `.numpy()`, and whose elements do: scripts written for tf.data read on.

    Example:
        >>> Values.of(np.arange(3))[1].numpy() == 1
        np.True_
    """

    @classmethod
    def of(cls, a):
        """Returns a view of `a`."""
        return np.asarray(a).view(cls)

    def numpy(self):
        """Returns the plain array, or the plain number or text."""
        return self.view(np.ndarray)[()]

    def __getitem__(self, index):
        got = super().__getitem__(index)
        return got if isinstance(got, np.ndarray) else Values.of(_plain(got))

    def __hash__(self):
        if self.ndim:
            raise TypeError("an array of several values cannot be a key")
        return hash(self.item())  # one value, such as a label, can


def _plain(value):
    return np.array(value, object) if isinstance(value, (str, bytes)) else value


class Dataset:
    """Elements in order, read again at each pass: batches, or rows before `batch`.

    Iterating gives NumPy arrays in tuples, as `fit`, `evaluate` and `predict` take them. Files are read by threads
    that run ahead. The order of a pass is a function of the seed and of the number of the pass, `epoch`, which counts
    up with every pass begun and may be set: a run that is continued in epoch 7 sets it to 7 and reads the same rows.

    Args:
        plan: Function of the epoch that returns an iterator of pairs (reads, join).
        size: Number of elements; None if unknown, infinity if there is no end.
        about: Attributes that all data sets derived from this one keep: class_names, file_paths.

    Example:
        >>> data = Dataset.of_rows(5, lambda i: (np.float32(i), np.int32(i % 2)))
        >>> [x.tolist() for x, y in data.map(lambda x, y: (x + 1, y)).batch(2)]
        [[1.0, 2.0], [3.0, 4.0], [5.0]]
        >>> len(data.batch(2)), data.skip(3).repeat().cardinality()
        (3, -1)
    """

    def __new__(cls, plan, size=None, about=None):
        sized = cls is Dataset and size is not None and size != float("inf")
        return super().__new__(_Sized if sized else cls)

    def __init__(self, plan, size=None, about=None):
        self._plan, self._size, self._about = plan, size, dict(about or {})
        self.__dict__.update(self._about)
        self.epoch = 0

    @classmethod
    def of_rows(cls, n, read, shuffle=False, seed=None, about=None):
        """Returns the data set of read(0), ..., read(n - 1), read by threads; with `shuffle` anew in every epoch."""
        order = _order(n, shuffle, seed)
        return cls(lambda epoch: (([lambda i=i: read(i)], _first) for i in order(epoch).tolist()), n, about)

    @classmethod
    def of_batches(cls, n, batch_size, gather, shuffle=False, seed=None):
        """Returns the data set of batches of n rows in memory: `gather` takes an array of their numbers.

        No thread reads ahead: it would cost more than the gathering.
        """
        order = _order(n, shuffle, seed)

        def plan(epoch):
            rows = order(epoch)
            for start in range(0, n, batch_size):
                yield (), lambda _, start=start: gather(rows[start : start + batch_size])

        return cls(plan, -(-n // batch_size))

    # ------------------------------------------------------------------------------------- reading

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return (_tree_map(Values.of, value) for value in self._values(epoch))

    def as_numpy_iterator(self):
        """Returns an iterator of the elements as plain NumPy arrays."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        return (_tree_map(lambda a: np.asarray(a)[()], value) for value in self._values(epoch))

    def cardinality(self):
        """Returns the number of elements, -1 if there is no end, -2 if it is not known before they are read."""
        if self._size is None:
            return UNKNOWN
        return INFINITE if self._size == float("inf") else self._size

    def _values(self, epoch, threads=THREADS):
        return _read(self._plan(epoch), threads)

    def __repr__(self):
        names = {INFINITE: "without end", UNKNOWN: "of unknown length"}
        return f"<Dataset {names.get(self.cardinality(), f'of {self._size} elements')}>"

    # ------------------------------------------------------------------- which elements, and in what order

    def _like(self, plan, size):
        return Dataset(plan, size, self._about)

    def take(self, count):
        """Returns the first `count` elements; -1: all."""
        if count < 0:
            return self._like(self._plan, self._size)
        size = count if self._size == float("inf") else self._size and min(self._size, count)
        return self._like(lambda epoch: itertools.islice(self._plan(epoch), count), size)

    def skip(self, count):
        """Returns the elements after the first `count`, without reading those; -1: none."""
        if count < 0:
            count = self._size if isinstance(self._size, int) else 1 << 62
        size = None if self._size is None else max(self._size - count, 0)
        return self._like(lambda epoch: itertools.islice(self._plan(epoch), count, None), size)

    def repeat(self, count=None):
        """Returns the elements `count` times over, or without end; every time is an epoch of its own."""
        count = None if count is not None and count < 0 else count

        def plan(epoch):
            times = itertools.count() if count is None else range(epoch * count, (epoch + 1) * count)
            for epoch in times:
                empty = True
                for pair in self._plan(epoch):
                    empty = False
                    yield pair
                if empty:
                    return

        size = (float("inf") if self._size != 0 else 0) if count is None else self._size
        return self._like(plan, size if count is None or size is None else size * count)

    def shuffle(self, buffer_size, seed=None, reshuffle_each_iteration=True):
        """Returns the elements in random order: each is drawn from the next `buffer_size` that were not drawn yet.

        Args:
            buffer_size: As many as there are elements make every order equally probable.
            seed: With the number of the epoch it decides the order; by default drawn once.
            reshuffle_each_iteration: False: the same order in every epoch.
        """
        if buffer_size < 1:
            raise ValueError(f"Dataset.shuffle: expected buffer_size >= 1, got {buffer_size!r}.")
        seed = rng.next_seed() if seed is None else int(seed)

        def plan(epoch):
            drawn = np.random.default_rng([seed, epoch if reshuffle_each_iteration else 0])
            buffer = []
            for pair in self._plan(epoch):
                buffer.append(pair)
                if len(buffer) >= buffer_size:
                    yield _draw(buffer, drawn)
            while buffer:
                yield _draw(buffer, drawn)

        return self._like(plan, self._size)

    def concatenate(self, dataset):
        """Returns these elements and then those of `dataset`."""
        known = None not in (self._size, dataset._size)
        size = self._size + dataset._size if known else None
        return self._like(lambda epoch: itertools.chain(self._plan(epoch), dataset._plan(epoch)), size)

    # ---------------------------------------------------------------------------------- what they hold

    def map(self, map_func, num_parallel_calls=None, deterministic=None):
        """Returns the elements as `map_func` returns them; it takes the parts of a tuple as arguments of their own.

        Args:
            map_func: Function of arrays, of NumPy, JAX, or layers of this library.
            num_parallel_calls: Threads that call it; -1: as many as there are processors. By default one call follows
                the other: give no number to a function that draws from a common random generator.
            deterministic: Results come in order, whatever is given here.
        """

        def call(value):
            return _tree_map(_host, map_func(*value) if isinstance(value, tuple) else map_func(value))

        threads = THREADS if num_parallel_calls == AUTOTUNE else num_parallel_calls or 1

        def plan(epoch):
            values = self._values(epoch)
            if threads > 1:
                values = _read((([lambda v=v: call(v)], _first) for v in values), threads)
            else:
                values = map(call, values)
            return map(_given, values)

        return self._like(plan, self._size)

    def filter(self, predicate):
        """Returns the elements of which `predicate` says True; how many those are is not known."""

        def wanted(value):
            return bool(predicate(*value) if isinstance(value, tuple) else predicate(value))

        return self._like(
            lambda epoch: map(_given, filter(wanted, self._values(epoch))), 0 if self._size == 0 else None
        )

    def batch(self, batch_size, drop_remainder=False, num_parallel_calls=None, deterministic=None, stack=None):
        """Returns batches of `batch_size` elements; the last is smaller, or left out with `drop_remainder`.

        Args:
            num_parallel_calls, deterministic: Elements are read in parallel and come in order, whatever is given here.
            stack: Function that makes a batch of a list of elements; by default their arrays get a new first axis.
        """
        stack = stack or _stack
        if isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"Dataset.batch: expected batch_size >= 1, got {batch_size!r}.")

        def plan(epoch):
            pairs = self._plan(epoch)
            while rows := list(itertools.islice(pairs, batch_size)):
                if len(rows) == batch_size or not drop_remainder:
                    yield _together(rows, stack)

        whole = isinstance(self._size, int)
        size = (self._size if drop_remainder else self._size + batch_size - 1) // batch_size if whole else self._size
        return self._like(plan, size)

    def unbatch(self):
        """Returns the rows of the batches, one by one; how many those are is not known before they are read."""

        def plan(epoch):
            for value in self._values(epoch):
                leaves = _leaves(value)
                for i in range(len(leaves[0]) if leaves else 0):
                    yield _given(_tree_map(lambda a, i=i: a[i], value))

        return self._like(plan, None)

    # ------------------------------------------------------------------------------------------- speed

    def cache(self):
        """Returns the same elements, kept in memory from the first complete pass on, in the order of epoch 0."""
        kept = []

        def plan(epoch):
            if kept:
                return map(_given, kept[0])
            return map(_given, fill())

        def fill():
            values = []
            for value in self._values(0):
                values.append(value)
                yield value
            kept[:] = [values]

        return self._like(plan, self._size)

    def prefetch(self, buffer_size):
        """Returns the same elements, made by a thread of their own, `buffer_size` ahead of who takes them; -1: two."""
        ahead = 2 if buffer_size < 0 else buffer_size

        def plan(epoch):
            return map(_given, _ahead(self._values(epoch), ahead)) if ahead else self._plan(epoch)

        return self._like(plan, self._size)


class _Sized(Dataset):
    """A data set that knows its length."""

    def __len__(self):
        return self._size


# ---------------------------------------------------------------------------------------------- elements


def _order(n, shuffle, seed):
    """Returns the function of the epoch that gives the order of n rows."""
    seed = rng.next_seed() if seed is None else seed
    return lambda epoch: np.random.default_rng([seed, epoch]).permutation(n) if shuffle else np.arange(n)


def _first(read):
    return read[0]


def _given(value):
    """Returns the pair of an element that is there."""
    return [], lambda _: value


def _together(pairs, stack):
    """Returns the pair of a batch: the reads of its rows, side by side."""
    counts = [len(reads) for reads, _ in pairs]

    def join(read):
        read = iter(read)
        return stack([join(list(itertools.islice(read, n))) for n, (_, join) in zip(counts, pairs, strict=True)])

    return [read for reads, _ in pairs for read in reads], join


def _draw(buffer, drawn):
    i = int(drawn.integers(len(buffer)))
    buffer[i], buffer[-1] = buffer[-1], buffer[i]
    return buffer.pop()


def _tree_map(fn, value):
    if isinstance(value, (tuple, list)):
        return tuple(_tree_map(fn, v) for v in value)
    if isinstance(value, dict):
        return {k: _tree_map(fn, v) for k, v in value.items()}
    return fn(value)


def _leaves(value):
    found = []
    _tree_map(found.append, value)
    return found


def _host(a):
    """Returns a NumPy array of what a function returned."""
    return np.asarray(_plain(a.numpy() if hasattr(a, "numpy") and not isinstance(a, np.ndarray) else a))


def _stack(rows):
    first = rows[0]
    if isinstance(first, (tuple, list)):
        return tuple(_stack(list(parts)) for parts in zip(*rows, strict=True))
    if isinstance(first, dict):
        return {k: _stack([row[k] for row in rows]) for k in first}
    arrays = [np.asarray(_plain(row)) for row in rows]
    if len({a.shape for a in arrays}) > 1:
        raise ValueError(
            f"Dataset.batch: all elements of a batch need one shape, got {sorted({a.shape for a in arrays})[:4]}. "
            f"Resize or pad them first, or take batches of 1."
        )
    return np.stack(arrays)


# ----------------------------------------------------------------------------------------------- threads


def _read(pairs, threads):
    """Yields the elements of `pairs` in order, while threads read those that follow: twice as many as there are."""
    waiting, under_way, pool = collections.deque(), 0, None
    try:
        for reads, join in pairs:
            if not reads and not waiting:
                yield join(())
                continue
            pool = pool or futures.ThreadPoolExecutor(threads, "fkeras-reads")
            waiting.append(([pool.submit(read) for read in reads], join))
            under_way += len(reads)
            while under_way >= 2 * threads and len(waiting) > 1:
                under_way -= len(waiting[0][0])
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _result(reads, join):
    return join([read.result() for read in reads])


def _ahead(values, n):
    """Yields `values`, taken from their iterator by one thread, `n` of them ahead."""
    with futures.ThreadPoolExecutor(1, "fkeras-prefetches") as pool:
        waiting = collections.deque(pool.submit(next, values, _END) for _ in range(n))
        try:
            while (value := waiting.popleft().result()) is not _END:
                waiting.append(pool.submit(next, values, _END))
                yield value
        finally:
            pool.shutdown(cancel_futures=True)
            values.close()
