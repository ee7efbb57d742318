"""Arrays that stay in their file: which they are, and how their rows are read in any order."""

import contextlib
import mmap
import os

import numpy as np

PAGE_BYTES = 4096
SMALL_BYTES = 1 << 28  # a file up to this size is soon in memory


def stays_in_file(a):
    """True for arrays that are read by slices: h5py data sets and memory maps."""
    return isinstance(a, (np.memmap, RowsOf, SparseRows)) or _is_dataset(a)


def _is_dataset(a):
    return hasattr(a, "id") and hasattr(a, "chunks") and hasattr(a, "file")


def mapped(a):
    """Returns a memory map of an h5py data set that lies in its file as an array does, anything else as it is.

    That is one in a single piece, uncompressed, of numbers as this machine has them, in a file opened to read. Its rows
    come without a copy, in any order: HDF5 takes 100 us and more to find the rows of a batch that was shuffled.
    """
    if not _is_dataset(a) or a.file.mode != "r" or a.file.driver != "sec2" or os.name != "posix":
        return a
    start = a.id.get_offset()  # None where it is in pieces, or elsewhere
    if start is None or a.external or not a.dtype.isnative or a.dtype.kind not in "biuf":
        return a
    if not a.size or a.id.get_storage_size() != a.nbytes:  # nothing was written yet
        return a
    with os.fdopen(os.dup(a.file.id.get_vfd_handle()), "rb") as file:  # the file that h5py has open, whatever its name
        _check_size(a.file.filename, os.fstat(file.fileno()).st_size, start + a.nbytes)  # HDF5 reads zeros there
        found = np.memmap(file, a.dtype, "r", start, a.shape)
    found.filename = a.file.filename
    return found


class RowsOf:
    """Rows start..stop of an array-like that is not read before it is indexed."""

    def __init__(self, array, start, stop):
        self.array, self.start, self.stop = array, start, stop
        self.shape, self.dtype = (stop - start, *array.shape[1:]), array.dtype

    def __len__(self):
        return self.stop - self.start

    def __getitem__(self, index):
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return self.array[self.start + start : self.start + stop]
        return read_rows(self.array, np.asarray(index) + self.start)


class Column(RowsOf):
    """An array-like [n] as [n, 1]."""

    def __init__(self, array):
        super().__init__(array, 0, array.shape[0])
        self.shape = (*self.shape, 1)

    def __getitem__(self, index):
        return super().__getitem__(index)[:, None]


class SparseRows:
    """A sparse matrix of SciPy, whose rows become dense when they are read."""

    def __init__(self, matrix):
        self.matrix = matrix.tocsr()
        self.shape, self.dtype, self.ndim = matrix.shape, matrix.dtype, 2

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        return self.matrix[index].toarray()


def read_rows(a, rows):
    """Reads rows in any order; HDF5 wants them ascending.

    Raises:
        OSError: The file of a memory map was cut short since: its pages are gone, and touching them ends the process.
    """
    _check_whole(a)
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        out = np.asarray(a[int(rows[0]) : int(rows[0]) + len(rows)])
        if isinstance(a, np.memmap) and out.flags.c_contiguous:
            # A memory map: its pages come here, in the thread that reads ahead, and no copy is taken.
            out.reshape(-1).view(np.uint8)[::PAGE_BYTES].max(initial=0)
        return out
    if isinstance(a, np.ndarray):
        return np.asarray(a[rows])
    order = np.argsort(rows)
    out = np.asarray(a[rows[order]])
    return out[np.argsort(order)]


def _check_whole(a):
    """Raises OSError for a memory map whose file has become shorter than the map."""
    held = getattr(a, "_mmap", None)
    if not isinstance(held, mmap.mmap):
        return
    end = a.offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY + len(held)
    _check_size(a.filename, held.size(), end)


def _check_size(path, size, end):
    if size < end:
        raise OSError(
            f"{path}: cannot read rows: the file has {size} bytes, expected {end} or more. "
            f"Was it truncated or written anew? Write data beside the old ones and rename them."
        )


@contextlib.contextmanager
def announcing(arrays):
    """Yields `announce(rows)`, which tells the system the rows of large memory maps that are read next.

    Then the disk is asked for all of them at once. It would be asked page by page as rows are touched, and for 128 KB
    around each: 170 rows/s of 3 KB from a file larger than memory, instead of 23,000.
    """
    with contextlib.ExitStack() as open_files:
        known = []
        for a in arrays:
            first = a.start if isinstance(a, RowsOf) else 0
            a = a.array if isinstance(a, RowsOf) else a
            if not hasattr(os, "posix_fadvise") or not isinstance(a, np.memmap) or a.nbytes <= SMALL_BYTES:
                continue
            if a.filename is None or not a.flags.c_contiguous:
                continue
            with contextlib.suppress(OSError):  # the file has another name by now
                file = os.open(a.filename, os.O_RDONLY)
                open_files.callback(os.close, file)
                ahead = a.ctypes.data - np.frombuffer(a._mmap, np.uint8).ctypes.data  # of a part of a map
                ahead += a.offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
                known.append((file, ahead + first * a.strides[0], a.strides[0]))

        def announce(rows):
            for file, ahead, size in known:
                for at in (ahead + rows * size).tolist():
                    os.posix_fadvise(file, at, size, os.POSIX_FADV_WILLNEED)

        yield announce
