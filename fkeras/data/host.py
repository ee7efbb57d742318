"""Rows with text among their columns: the model's host part reads them, in the thread that reads ahead."""

import functools
import math

import numpy as np

from fkeras.data import files
from fkeras.data.sources import Columns, FileSource

KEPT_BYTES = 1 << 28  # what the host part made of all rows is kept up to this size, for the epochs that follow


class HostSource(FileSource):
    """Columns of which some are text, in memory or in files.

    Args:
        columns: `Columns`.
        batch_size, shuffle: As `RowSource` has them.
        prepare: Function of `Columns` of a batch -> those that programs take.
        part: The `graphs.host.HostPart` behind it.

    Rows whose form does not depend on those beside them are read once and kept, if all of them are not too large.
    """

    in_memory = True

    def __init__(self, columns, batch_size, shuffle, prepare, part):
        super().__init__(columns.map(files.mapped), batch_size, shuffle)
        self.prepare, self.part = prepare, part
        self.joins = all(None not in s.shape[1:] for s in part.all_symbols)
        self.kept = self.done = self.version = None

    def read(self, rows):
        """Returns `Columns` of these rows, an int array, as programs take them."""
        if not self._keeps:
            return self._prepared(rows)
        if self.version != self.part.version:  # none yet, or a layer has learned another vocabulary
            self.version = self.part.version
            self.kept = [np.empty((self.rows, *a.shape[1:]), a.dtype) for a in self.peek().all()]
            self.done = np.zeros(self.rows, bool)
        if len(missing := rows[~self.done[rows]]):
            for held, a in zip(self.kept, self._prepared(missing).all(), strict=True):
                held[missing] = a
            self.done[missing] = True
        given, at = self.columns, len(self.part.all_symbols)
        found = [held[rows] for held in self.kept]
        y = None if given.y is None else found[at : at + len(given.y)]
        return Columns(found[:at], y, None if given.w is None else found[at + len(given.y or []) :])

    @property
    def _keeps(self):
        row = sum(a[:1].nbytes for a in self.peek().all())
        return self.joins and self.rows * row <= KEPT_BYTES

    def _prepared(self, rows):
        return self.prepare(self.columns.map(lambda a: files.read_rows(a, rows)))

    @functools.cached_property
    def _first(self):
        return self._prepared(np.arange(min(8, self.rows)))

    def peek(self):
        return self._first

    @property
    def whole(self):
        """All rows to look at, as far as they are in memory; of what the host part makes, or files hold, the first."""
        first = self.peek()
        given = dict(zip(map(id, self.part.inputs), self.columns.x, strict=True))

        def known(arrays, few):
            return few and [b if a is None or files.stays_in_file(a) else a for a, b in zip(arrays, few, strict=True)]

        x = known([given.get(id(s)) for s in self.part.all_symbols], first.x)
        return Columns(x, known(self.columns.y, first.y), known(self.columns.w, first.w))

    def split(self, fraction, batch_size):
        """As `RowSource.split`."""
        at = math.floor(self.rows * (1 - fraction))

        def cut(start, stop):
            return self.columns.map(lambda a: files.RowsOf(a, start, stop) if files.stays_in_file(a) else a[start:stop])

        first = HostSource(cut(0, at), self.batch_size, self.shuffle, self.prepare, self.part)
        return first, HostSource(cut(at, self.rows), batch_size, False, self.prepare, self.part)
