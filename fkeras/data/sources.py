"""Sources of batches: arrays in memory, files read by slices, and iterables of batches.

A source hands out *blocks*: up to K batches of B rows in arrays [K, B, ...], always of one shape, whatever is left of
the data. The ragged last batch is filled up with copies of real rows, and `rows` says which rows are real.
"""

import collections.abc
import copy
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from fkeras.callbacks.progbar import say
from fkeras.core import dtypes, rng
from fkeras.data import files, marks
from fkeras.data.ahead import Ahead
from fkeras.data.datasets import Dataset
from fkeras.data.memory import BlockPool
from fkeras.data.pydataset import PyDataset, read_ahead

BLOCK_BYTES = 1 << 23  # a block on the CPU is kept around this size: few dispatches, and little that is held twice
ACCELERATOR_BLOCK_BYTES = 1 << 27  # on an accelerator, where a step is short and a dispatch costs more
READ_BYTES = 1 << 20  # a file is read in pieces of about this size, not batch by batch
BLOCK_STEPS = 1024  # batches in a block at most


class Columns:
    """The arrays of one batch or data set: inputs (list), targets (list or None), weights (list or None).

    `real` counts the rows that are not filling; `mark` says where the data stood after this batch, if asked for.
    """

    mark = None

    def __init__(self, x, y=None, w=None, real=None):
        self.x, self.y, self.w, self._real = x, y, w, real

    def all(self):
        return [*self.x, *(self.y or []), *(self.w or [])]

    def map(self, fn):
        y, w = (None if part is None else [fn(a) for a in part] for part in (self.y, self.w))
        return Columns([fn(a) for a in self.x], y, w)

    @property
    def rows(self):
        return len(self.all()[0])

    @property
    def real(self):
        return self.rows if self._real is None else self._real

    @property
    def nbytes(self):
        return sum(a.nbytes for a in self.all())

    @property
    def form(self):
        """What batches must have in common to lie in one block: which arrays there are, their sizes and dtypes."""
        return tuple(
            None if part is None else tuple(None if a is None else (a.shape[1:], a.dtype) for a in part)
            for part in (self.x, self.y, self.w)
        )


class Share(NamedTuple):
    """The part of each batch that a reader hands out.

    A batch is filled up to a multiple of `multiple` rows and cut into `parts` equal parts; `part` is this reader's.
    """

    multiple: int = 1
    parts: int = 1
    part: int = 0

    def width(self, rows):
        """Returns how many rows the part of a batch of `rows` rows has, filling included."""
        return math.ceil(rows / self.multiple) * self.multiple // self.parts


WHOLE = Share()


class Source:
    """Base: rows in batches of `batch_size`; `steps` is the number of batches in an epoch, None if unknown."""

    steps = None
    batch_size = None
    in_memory = False
    marking = False  # whether batches carry the mark of their place, for a training that can be resumed

    @functools.cached_property
    def pool(self):
        """Memory for the blocks."""
        return BlockPool()

    def reader(self, order_seed=None, share=WHOLE, start=0):
        """Returns a `Reader` for one epoch, from batch `start` on, where `restore` has led."""
        raise TypeError(f"{type(self).__name__} is not a source of data.")

    def peek(self):
        """Returns `Columns` of a few first rows, to learn shapes and dtypes from."""
        raise TypeError(f"{type(self).__name__} is not a source of data.")

    def end_epoch(self, batches=None):
        """Called after each epoch, with the number of batches that were used."""

    def begin_marking(self):
        """From now on batches carry the mark of their place."""

    def mark(self):
        """Returns what `restore` needs to go on from here: a tree of plain values and arrays."""
        return None

    def restore(self, mark):
        """Goes on where a source of the same data stood in another process.

        Returns:
            Whether the global generators have to be put where they stood; what is read forward draws from them itself.
        """
        return True


class Reader:
    """Reads one epoch of an iterator of `Columns` in blocks, a thread of its own reading ahead."""

    whole = False  # whether the last block has all rows of its batches, not this process's part of them
    mark = None  # that of the last batch read

    def __init__(self, batches, batch_size, share, pool):
        self.batches, self.batch_size, self.share, self.pool = Ahead(batches), batch_size, share, pool

    def read(self, n, capacity, pad=True):
        """Returns (block, number of batches in it) of up to `n` batches, or None at the end.

        The block's leaves have shape [capacity, B, ...]; slots behind the batches read are uninitialized. A block ends
        where batches of another form begin; without `pad`, also where they have another number of rows.
        """
        got = self.batches.take(n, (lambda c: c.form) if pad else (lambda c: (c.rows, c.form)))
        if not got:
            return None
        self.mark = got[-1].mark
        if not pad:
            whole = got[0].rows == self.batch_size or len(got) > 1
            return self._pack(got, capacity if whole else 1, got[0].rows), len(got)
        self.batch_size = max(self.batch_size, *(columns.rows for columns in got))
        return self._pack(got, capacity, self.share.width(self.batch_size)), len(got)

    def _pack(self, got, capacity, size):
        rows = np.zeros((capacity, size), bool)
        for i, columns in enumerate(got):
            rows[i, : columns.real] = True
        first = got[0].all()
        packed = []
        for j, like in enumerate(first):
            out = self.pool.empty((capacity, size, *like.shape[1:]), like.dtype)
            for i, columns in enumerate(got):
                a = columns.all()[j]
                out[i, : len(a)] = a
                out[i, len(a) :] = a[:1]
            packed.append(out)
        return _as_block(packed, got[0], rows)

    def close(self):
        """Ends the reading."""
        self.batches.close()


class ArrayReader:
    """Reads arrays in memory: one gather per column and block."""

    mark = None

    def __init__(self, columns, order, batch_size, share, pool):
        self.columns, self.share, self.batch_size, self.pool = columns, share, batch_size, pool
        on_host = isinstance(columns.x[0], np.ndarray)
        self.whole = False
        self.straight = order is None and on_host and share.width(batch_size) == batch_size
        self.order = np.arange(columns.rows) if order is None else order
        self.at = 0

    def read(self, n, capacity, pad=True):
        """As `Reader.read`."""
        take = self.order[self.at : self.at + n * self.batch_size]
        if not len(take):
            return None
        if not pad and len(take) > self.batch_size:  # the ragged batch comes by itself
            take = take[: len(take) // self.batch_size * self.batch_size]
        elif not pad and len(take) < self.batch_size:
            capacity = 1
        start, self.at = self.at, self.at + len(take)
        if self.straight and pad and len(take) == capacity * self.batch_size:  # whole batches as they lie: no copy
            shape = (capacity, self.batch_size)
            whole = [a[start : self.at].reshape(*shape, *a.shape[1:]) for a in self.columns.all()]
            return _as_block(whole, self.columns, np.ones(shape, bool)), capacity
        index, real = self._filled(take, pad)
        count, size = index.shape
        rows = np.zeros((capacity, size), bool)
        rows[:count] = real
        return _as_block([self._gather(a, index, capacity) for a in self.columns.all()], self.columns, rows), count

    def _gather(self, a, index, capacity):
        """Returns the rows `index` of `a` in a block of `capacity` batches, where the array is: host or device."""
        count, size = index.shape
        if not isinstance(a, np.ndarray):
            whole = np.zeros((capacity, size), np.int32)
            whole[:count] = index
            return _taker()(a, whole)
        out = self.pool.empty((capacity, size, *a.shape[1:]), a.dtype)
        np.take(a, index, axis=0, out=out[:count], mode="clip")
        return out

    def _filled(self, take, pad):
        """Returns which row goes where [count, B], and which of them are real: the others repeat a batch's first."""
        if not pad:  # batches of one size: that of the first
            size, parts = min(len(take), self.batch_size), self.share.parts
            self.whole = size % self.share.multiple > 0
            own = size if self.whole else size // parts
            part = 0 if self.whole else self.share.part
            return take.reshape(-1, size)[:, part * own : (part + 1) * own], True
        count, size, share = math.ceil(len(take) / self.batch_size), self.batch_size, self.share
        places = np.arange(share.width(size) * share.parts)
        at = np.arange(count)[:, None] * size + places
        real = (places < size) & (at < len(take))
        index = take[np.where(real, at, at[:, :1])]
        mine = slice(share.part * share.width(size), (share.part + 1) * share.width(size))
        return index[:, mine], real[:, mine]

    def close(self):
        """Nothing is under way."""


def block_bytes():
    """Returns about how many bytes a block should have on this machine."""
    import jax

    return BLOCK_BYTES if jax.default_backend() == "cpu" else ACCELERATOR_BLOCK_BYTES


@functools.cache
def _taker():
    """Returns the function that gathers rows on the device their array is on."""
    import jax

    return jax.jit(lambda a, rows: a[rows])


def _fits_device(size):
    """True if `size` bytes may stay on the accelerator for a whole training: at most a quarter of its memory."""
    import jax

    if jax.default_backend() == "cpu":  # there the host's own gather is as fast, and takes no second copy
        return False
    about = jax.local_devices()[0].memory_stats() or {}
    return size <= about.get("bytes_limit", 8 << 30) / 4


def _as_block(packed, columns, rows):
    """Names the packed columns: {"x": [...], "y": [...], "w": [...], "rows"}."""
    nx, ny = len(columns.x), len(columns.y or [])
    return {
        "x": packed[:nx],
        "y": packed[nx : nx + ny] if columns.y is not None else None,
        "w": packed[nx + ny :] if columns.w is not None else None,
        "rows": rows,
    }


class RowSource(Source):
    """Base of sources that know all their rows.

    Args:
        columns: `Columns`.
        batch_size: Rows in a batch.
        shuffle: False, True, or "batch": whole batches change places, rows stay in theirs.

    With `goes_on` an epoch that ends before all rows were used is continued by the next one.
    """

    goes_on = False
    used, seed = 0, None  # batches of the current pass that earlier epochs used, and the seed of its order

    def __init__(self, columns, batch_size, shuffle=False):
        self.columns, self.batch_size, self.shuffle = columns, batch_size, shuffle
        self.rows = columns.rows
        self.steps = math.ceil(self.rows / batch_size)

    def end_epoch(self, batches=None):
        done = self.used + (batches or 0)
        self.used = done if self.goes_on and done < self.steps else 0

    def mark(self):
        return {"used": self.used, "seed": self.seed, "streams": rng.streams()}

    def restore(self, mark):
        self.used, self.seed = mark["used"], mark["seed"]
        return True

    def order(self, seed, start=0):
        """Returns the order of the rows in an epoch from batch `start` on, or None where they stay as they lie."""
        if not self.used:
            self.seed = seed
        order, start = self._order(self.seed), (self.used + start) * self.batch_size
        return order if not start else np.arange(start, self.rows) if order is None else order[start:]

    def _order(self, seed):
        if not self.shuffle:
            return None
        drawn = np.random.default_rng(seed)
        if self.shuffle != "batch":
            return drawn.permutation(self.rows)
        whole = np.arange(self.rows // self.batch_size * self.batch_size).reshape(-1, self.batch_size)
        return np.concatenate([drawn.permutation(whole).ravel(), np.arange(whole.size, self.rows)])


class ArraySource(RowSource):
    """Arrays in memory."""

    in_memory = True
    whole = property(lambda self: self.columns)  # all rows, to be looked at before they are used
    on_device = None  # a copy of the columns, once they were put there

    def __init__(self, columns, batch_size, shuffle=False):
        super().__init__(columns.map(host_array), batch_size, shuffle)

    def reader(self, order_seed=None, share=WHOLE, start=0):
        return ArrayReader(self._placed(share), self.order(order_seed, start), self.batch_size, share, self.pool)

    def _placed(self, share):
        """Returns the columns where they are read from: on the device, if it is one accelerator and they fit."""
        if share != WHOLE or self.steps == 1 or not _fits_device(self.columns.nbytes):
            return self.columns
        if self.on_device is None:
            import jax

            self.on_device = self.columns.map(jax.device_put)
        return self.on_device

    def peek(self):
        return self.columns.map(lambda a: a[:8])

    def split(self, fraction, batch_size):
        """Returns two sources: the first rows, and the last `fraction` of them, in batches of their own, unshuffled."""
        at = math.floor(self.rows * (1 - fraction))
        first = ArraySource(self.columns.map(lambda a: a[:at]), self.batch_size, self.shuffle)
        first.goes_on = self.goes_on
        return first, ArraySource(self.columns.map(lambda a: a[at:]), batch_size)


class FileSource(RowSource):
    """Arrays that stay in their file (h5py data sets, memory maps): read batch by batch, never whole."""

    joins = True  # whether several batches may be read at once

    def reader(self, order_seed=None, share=WHOLE, start=0):
        order, width = self.order(order_seed, start), share.width(self.batch_size)
        order = np.arange(self.rows) if order is None else order
        row = sum(a[:1].nbytes for a in self.peek().all())
        at_once = max(READ_BYTES // (row * self.batch_size), 1) if share == WHOLE and self.joins else 1  # batches

        def mine(start):
            rows = order[start : start + self.batch_size * at_once]
            return rows[share.part * width : (share.part + 1) * width] if share != WHOLE else rows

        def batches():
            starts = range(0, len(order), self.batch_size * at_once)
            with files.announcing(self.columns.all() if self.shuffle is True else ()) as announce:
                announce(mine(0))
                for start in starts:
                    announce(mine(start + starts.step))
                    rows = mine(start)
                    take = rows if len(rows) else order[start:][:1]  # filled with a row that counts nothing
                    read = self.read(take)
                    for at in range(0, len(take), width):
                        part = read.map(lambda a, at=at: a[at : at + width])
                        yield Columns(part.x, part.y, part.w, min(len(rows) - at, width))

        return Reader(batches(), width, Share(width), self.pool)

    def read(self, rows):
        """Returns `Columns` of these rows, an int array."""
        return self.columns.map(lambda a: host_array(files.read_rows(a, rows)))

    def peek(self):
        return self.columns.map(lambda a: host_array(np.asarray(a[:8])))

    def split(self, fraction, batch_size):
        at = math.floor(self.rows * (1 - fraction))
        first = self.columns.map(lambda a: files.RowsOf(a, 0, at))
        last = self.columns.map(lambda a: files.RowsOf(a, at, self.rows))
        first = FileSource(first, self.batch_size, self.shuffle)
        first.goes_on = self.goes_on
        return first, FileSource(last, batch_size)


class BatchSource(Source):
    """An iterable of batches: a generator, a `PyDataset`, a torch DataLoader, a tf.data data set, a list.

    Args:
        data: The iterable; one with `__len__` and `__getitem__` only is indexed.
        arrange: Function batch -> Columns.
        steps: Batches per epoch, or None for until the iterable ends.
        name: What it is called in messages.
        goes_on: An epoch of `steps` batches begins where the last one ended, not at the first batch. An iterator always
            does.
        shuffle: Whether a `PyDataset` gives its batches in a new order each epoch.
    """

    check = None  # function of `Columns` that raises ValueError for what cannot be used
    attributes = None  # `marks.Attributes` of a data set that is asked by number
    ended = False  # whether this pass came to the end of the data
    kept = None  # batch 0 of a data set to be shuffled, once it was read to learn the shapes

    def __init__(self, data, arrange, steps=None, name="the data", goes_on=True, shuffle=False):
        self.data, self.arrange, self.name = data, arrange, name
        self.indexed = isinstance(data, PyDataset) or (
            hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "__iter__")
        )
        self.is_iterator = isinstance(data, collections.abc.Iterator) and not isinstance(data, PyDataset)
        self.known = _length(data)
        if hasattr(data, "num_batches"):
            self.known = data.num_batches
        self.shuffle = bool(shuffle) and isinstance(data, PyDataset) and self.known is not None
        self.steps = steps if steps is not None else self.known
        self.given_steps = steps
        self.goes_on = self.is_iterator or (goes_on and steps is not None)
        self.at, self.seed = 0, None
        self.passes = []  # batches of the passes before this one
        self.first_epoch = getattr(data, "epoch", None) if isinstance(data, Dataset) else None
        self.iterator = self._iterate()
        self.first = self.sample = self._next()
        if self.first is None:
            raise ValueError(f"{name} is empty: it gave no batch.")
        self.batch_size = self.first.rows

    def _iterate(self):
        if self.at:
            self.passes.append(self.at)
        self.at, self.ended = 0, False
        if not self.indexed:
            return iter(self.data)
        begin = getattr(self.data, "on_epoch_begin", None)
        if begin:
            begin()
        return self._numbered()

    def _numbered(self, start=0):
        """Returns the iterator of the batches of a data set that is asked by number, from place `start` on."""
        self._look()
        numbers = itertools.count(start) if self.known is None else range(start, self.known)
        if self.shuffle and self.seed is not None:
            numbers = np.random.default_rng(self.seed).permutation(self.known)[start:].tolist()
        if getattr(self.data, "workers", 1) > 1 or getattr(self.data, "use_multiprocessing", False):
            return read_ahead(self.data, numbers)
        return map(self._read, numbers)

    def _read(self, number):
        """Returns a batch by its number; the one that was read to learn the shapes is not read again."""
        if number == 0 and self.kept is not None:
            batch, self.kept = self.kept, None
            return batch
        return self.data[number]

    def _next(self):
        batch = next(self.iterator, None)
        if self.shuffle and self.seed is None:
            self.kept = batch
        if batch is None:
            self.ended = True
            return None
        number, self.at = self.at, self.at + 1
        try:
            columns = self.arrange(batch)
            if self.check is not None:
                self.check(columns)
        except (TypeError, ValueError) as err:
            raise type(err)(f"{self.name}, batch {number}: {err}") from err
        # A generator may fill the same memory again while this batch still waits to be used.
        columns = columns.map(lambda a: a.copy() if isinstance(a, np.ndarray) else a)
        if self.marking:
            columns.mark = self.mark()
        return columns

    def begin_marking(self):
        self.marking = True
        if self.indexed and hasattr(self.data, "__dict__"):
            self.attributes = marks.Attributes(self.data)
        if self.first is not None:
            self.first.mark = self.mark()

    def _look(self):
        if self.attributes is not None:
            self.attributes.look()

    def mark(self):
        about = {"passes": list(self.passes), "at": self.at, "ended": self.ended, "seed": self.seed}
        about |= {"rows": self.batch_size, "kept": self.kept is not None, "streams": rng.streams()}
        own = marks.methods(self.data) or marks.methods(self.iterator)
        if own is not None:
            about["own"] = copy.deepcopy(own[0]())
        elif self.attributes is not None:
            about["attributes"] = self.attributes.state()
        return about

    def restore(self, mark):
        own, exact = "own" in mark, True
        self.first = None
        if not mark["kept"]:
            self.kept = None
        self.seed = mark["seed"]
        self.batch_size = max(self.batch_size, mark["rows"] or 0)
        if own and (methods := marks.methods(self.data)) is not None:
            methods[1](mark["own"])
            self.iterator = iter(self.data)
        elif own and (methods := marks.methods(self.iterator)) is not None:
            methods[1](mark["own"])
        elif self.indexed:
            if "attributes" in mark:
                self.attributes.restore(mark["attributes"])
            self.iterator = self._numbered(mark["at"])
        elif isinstance(self.data, Dataset):  # its elements are a function of the seed and the number of the pass
            self.data.epoch = self.first_epoch + len(mark["passes"])
            rest = self.data.skip(mark["at"])
            rest.epoch, self.data.epoch = self.data.epoch, self.data.epoch + 1
            self.iterator = iter(rest)
        elif isinstance(self.data, collections.abc.Sequence):
            self.iterator = itertools.islice(iter(self.data), mark["at"], None)
        else:
            self._read_forward(mark)
            exact = False
        self.passes, self.at, self.ended = list(mark["passes"]), mark["at"], mark["ended"]
        return exact

    def _read_forward(self, mark):
        """Reads a stream that cannot tell where it stands as often and as far as it was read before."""
        ahead = sum(mark["passes"]) + mark["at"]
        say(
            f"{self.name} ({type(self.data).__name__}) cannot tell where it stands: its first {ahead} batches are read "
            f"again. With methods state() and restore(state) it goes on at once."
        )
        read = 1  # the first, to learn the shapes
        for batches in mark["passes"]:
            to_the_end = self.goes_on or self.given_steps is None
            for _ in range(batches - read + to_the_end):
                next(self.iterator, None)
            self.iterator, read = iter(self.data), 0
        for _ in range(mark["at"] - read + mark["ended"]):
            next(self.iterator, None)

    def peek(self):
        return self.sample

    def reader(self, order_seed=None, share=WHOLE, start=0):
        first, self.first = self.first, None
        if not start:  # else `restore` has led there
            if self.shuffle and (first is not None or not self.goes_on or self.seed is None):
                first = None  # it was read to learn the shapes, and comes in its place of the order
                self.seed, self.iterator = order_seed, None
            if first is None and (self.iterator is None or not self.goes_on):
                self.iterator = self._iterate()

        def batches():
            given = start
            while self.steps is None or given < self.steps:
                batch = self._next() if given or first is None else first
                if batch is None:
                    if self.is_iterator or self.given_steps is None or not self.at:  # not a batch in a whole pass
                        return
                    if self.shuffle:
                        self.seed = (*np.atleast_1d(self.seed).tolist(), given)
                    self.iterator = self._iterate()  # an epoch of `steps` batches may span several passes
                    continue
                given += 1
                self.batch_size = max(self.batch_size, batch.rows)
                yield batch

        return Reader(batches(), self.batch_size, Share(share.multiple // share.parts), self.pool)

    def end_epoch(self, batches=None):
        if hasattr(self.data, "on_epoch_end"):
            self.data.on_epoch_end()
        self._look()


def _length(data):
    """Returns the number of batches, or None where the data do not know it or have no end."""
    try:
        return len(data) if hasattr(data, "__len__") else None
    except (TypeError, NotImplementedError, ValueError):
        return None


def host_array(a):
    """Returns a NumPy array in a dtype JAX keeps: float64 becomes floatx, int64 int32.

    Raises:
        ValueError: Strings or objects where numbers belong.
    """
    if hasattr(a, "detach"):  # a torch tensor
        a = a.detach().cpu()
    if hasattr(a, "to_numpy"):  # pandas
        a = a.to_numpy()
    if type(a).__name__ == "KerasVariable" or (hasattr(a, "numpy") and not isinstance(a, np.ndarray)):
        a = a.numpy()
    try:
        a = np.asarray(a)
    except ValueError as err:
        raise ValueError(f"Cannot make an array of the data: {err}. Do all rows have one length?") from None
    if a.dtype.kind in "OSUVMm" and a.dtype.name != "bfloat16":
        if a.dtype.kind == "O":
            try:
                return host_array(a.astype("float64"))
            except (TypeError, ValueError):
                pass
        raise ValueError(
            f"Expected numbers, got data of dtype {a.dtype} (such as {str(_no_number(a))[:40]!r}). "
            f"Encode strings and dates as integers or vectors first."
        )
    if a.dtype.kind == "c":
        raise ValueError(f"Expected real numbers, got {a.dtype}. Give real and imaginary parts as two channels.")
    if not a.dtype.isnative or a.dtype.itemsize > 8:
        a = a.astype(np.float64 if a.dtype.kind == "f" else a.dtype.newbyteorder("="))
    if a.dtype == np.float64:
        return a.astype(dtypes.floatx())
    if a.dtype in (np.int64, np.uint64):
        small = a.astype(np.int32)
        if not np.array_equal(small, a):
            raise ValueError(f"Integer data reach beyond 32 bits: from {a.min()} to {a.max()}.")
        return small
    return a


def _no_number(a):
    """Returns the first value of an array that is no number."""

    def is_number(value):
        try:
            return a.dtype.kind == "O" and float(value) is not None
        except (TypeError, ValueError):
            return False

    return next((value for value in a.flat if not is_number(value)), a.flat[0] if a.size else "")


def is_rows(x):
    """True for something that holds all rows (an array, a frame, a file's data set), not an iterable of batches."""
    return hasattr(x, "shape") and not isinstance(x, type) and not hasattr(x, "element_spec")


def make_source(columns, batch_size, shuffle=False):
    """Returns the source for `Columns` of arrays: in memory, or in a file if any of them is."""
    if isinstance(shuffle, str) and shuffle != "batch":
        raise ValueError(f"expected shuffle as True, False or 'batch', got {shuffle!r}.")
    if any(files.stays_in_file(a) for a in columns.all()):
        return FileSource(columns.map(files.mapped), batch_size, shuffle)
    return ArraySource(columns, batch_size, shuffle)
