"""TensorFlow's tensor bundles: `variables.index` says which array lies where in `variables.data-00000-of-00001`.

The index is a table {name: BundleEntry}, under the empty name the header. Arrays lie row by row, little-endian.
"""

import math
import os
import struct

import numpy as np

from fkeras.core.checksum import crc32c, masked
from fkeras.core.paths import check_regular
from fkeras.core.tensors import dtype_of, number_of, shape_message
from fkeras.core.wire import read_varint, varint
from fkeras.saving.tensorflow.messages import BUNDLE_ENTRY, BUNDLE_HEADER
from fkeras.saving.tensorflow.table import read_table, write_table

INDEX_LIMIT = 1 << 26  # bytes: a million arrays
SHARDS = 10_000


def write_bundle(prefix, arrays):
    """Writes {name: array or bytes} to `prefix`.index and `prefix`.data-00000-of-00001; bytes are one string."""
    header = {"num_shards": 1, "version": {"producer": 1}}
    index = {b"": BUNDLE_HEADER.encode(header)}
    with open(_shard(prefix, 0, 1), "wb") as file:
        for name in sorted(arrays):
            place, array = file.tell(), arrays[name]
            if isinstance(array, bytes):
                number, shape, (data, crc) = number_of("string"), (), _string(array)
            else:
                array = np.asarray(array)
                number, shape = number_of(array.dtype), array.shape
                data = np.ascontiguousarray(array).view(np.uint8) if array.size and array.ndim else array.tobytes()
                crc = crc32c(data)
            file.write(data)
            entry = {"dtype": number, "shape": shape_message(shape)}
            entry |= {"offset": place, "size": file.tell() - place, "crc32c": masked(crc)}
            index[name.encode()] = BUNDLE_ENTRY.encode(entry)
    with open(f"{prefix}.index", "wb") as file:
        file.write(write_table(index))


def _shard(prefix, i, n):
    return f"{prefix}.data-{i:05d}-of-{n:05d}"


def _string(text):
    """Returns (bytes, checksum) of one string: its length, the length's checksum, the string."""
    crc = crc32c(struct.pack("<I", len(text)))
    check = struct.pack("<I", masked(crc))
    return varint(len(text)) + check + text, crc32c(check + text, crc)


class Bundle:
    """A bundle that is open for reading: its index is read, its arrays are read when they are asked for.

    Args:
        prefix: Path without ".index".

    Raises:
        OSError: A file is missing. ValueError: The index is damaged; the message names the file.
    """

    def __init__(self, prefix):
        self.prefix, self.where = prefix, repr(f"{prefix}.index")
        data = read_file(f"{prefix}.index", INDEX_LIMIT)
        found = read_table(data, self.where)
        if b"" not in found:
            raise ValueError(f"Cannot read {self.where}: it has no header.")
        header = BUNDLE_HEADER.decode(found.pop(b""), self.where)
        self.shards = header.get("num_shards", 1)
        if not 1 <= self.shards <= SHARDS:
            raise ValueError(f"Cannot read {self.where}: it claims {self.shards} files of data.")
        if header.get("endianness", 0) != 0:
            raise ValueError(f"Cannot read {self.where}: its numbers are big-endian.")
        self.entries = {k.decode("utf8", "replace"): BUNDLE_ENTRY.decode(v, self.where) for k, v in found.items()}

    def __contains__(self, name):
        return name in self.entries

    def shape(self, name):
        """Returns the shape of an array; nothing is read."""
        return tuple(d.get("size", 0) for d in self._entry(name).get("shape", {}).get("dim", []))

    def dtype(self, name):
        """Returns the dtype of an array, or "string"."""
        return dtype_of(self._entry(name).get("dtype", 0), f"{self.where}, {name!r}")

    def _entry(self, name):
        if name not in self.entries:
            raise ValueError(f"Cannot read {self.where}: there is no {name!r}.")
        return self.entries[name]

    def _bytes(self, name):
        """Returns the bytes of an entry, after checking that they are in the file; the checksum is the caller's."""
        entry = self._entry(name)
        path, size = _shard(self.prefix, entry.get("shard_id", 0), self.shards), entry.get("size", 0)
        place = entry.get("offset", 0)
        if entry.get("slices"):
            raise ValueError(f"Cannot read {self.where}: {name!r} is stored in slices, which is not read here.")
        try:
            check_regular(path)
            with open(path, "rb") as file:
                if place < 0 or size < 0 or place + size > os.fstat(file.fileno()).st_size:
                    raise ValueError(f"Cannot read {path!r}: {name!r} ends beyond the file. Was the file cut off?")
                file.seek(place)
                return file.read(size), path
        except OSError as err:
            raise OSError(f"Cannot read {path!r}, which should hold {name!r}: {err}") from err

    def read(self, name):
        """Returns an array, in the dtype that it was stored in.

        Raises:
            ValueError: There is none, it is damaged, or it is of strings; the message names the file and the array.
        """
        entry = self._entry(name)
        dtype, shape = self.dtype(name), self.shape(name)
        if isinstance(dtype, str):
            raise ValueError(f"Cannot read {self.where}: {name!r} holds text, expected numbers.")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != entry.get("size", 0):
            raise ValueError(
                f"Cannot read {self.where}: {name!r} claims shape {shape} of {dtype} in {entry.get('size', 0)} bytes."
            )
        data, path = self._bytes(name)
        if masked(crc32c(data)) != entry.get("crc32c", 0):
            raise ValueError(f"Cannot read {path!r}: {name!r} is damaged (its checksum is wrong).")
        return np.frombuffer(data, dtype).reshape(shape)

    def read_text(self, name):
        """Returns the bytes of an entry that is one string. Raises ValueError."""
        data, path = self._bytes(name)
        size, at = read_varint(data, 0, f"{path!r}, {name!r}")
        text = data[at + 4 :]
        if len(text) != size or masked(_string(text)[1]) != self._entry(name).get("crc32c", 0):
            raise ValueError(f"Cannot read {path!r}: {name!r} is damaged (its checksum is wrong).")
        return text


def read_file(path, limit):
    """Returns the bytes of a file of at most `limit` bytes. Raises OSError, ValueError naming it."""
    check_regular(path)
    size = os.path.getsize(path)
    if size > limit:
        raise ValueError(f"Cannot read {path!r}: it has {size} bytes, more than the {limit} expected at most.")
    with open(path, "rb") as file:
        return file.read()
