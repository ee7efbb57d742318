"""HDF5 files: written with checksums, read with nothing trusted. The one guarded way into them."""

import collections
import contextlib
import functools
import inspect
import itertools
import math
import mmap
import os
import re
import zlib

import jax.numpy as jnp
import numpy as np

from fkeras.core.paths import check_regular, replacing

HEADER_LIMIT = 64512  # bytes that fit into one attribute of an HDF5 object's header, as Keras counts them
EXPANSION = 1000  # a compressed array may be this many times larger than its bytes in the file
TOGETHER = 100  # all arrays of a file together may be this many times larger,
FREE = 1 << 27  # where they are larger than these bytes
TEXT = 1 << 26  # bytes of one text, or of a list of names
NAMES = 1 << 16  # names in a list
CHUNK = 1 << 20  # bytes: a chunk may be as large though its array is smaller
CHUNKS, SMALL = 1 << 16, 1 << 12  # more chunks than these may not have fewer bytes each than those
FILTERS = {1: "gzip", 2: "shuffle", 3: "Fletcher-32", 32000: "LZF"}  # what may have been done to a chunk
LONGEST = 450  # letters of a message, beside the name of the file
CHECK = "fkeras_crc32"  # the attribute that holds the checksums of an array, or of other attributes


# -------------------------------------------------------------------------------------------- writing


@contextlib.contextmanager
def writing(filepath, overwrite=True):
    """Yields an h5py file that becomes `filepath` when it is complete; an open h5py group is written into as it is."""
    import h5py

    if isinstance(filepath, h5py.Group):
        yield filepath
        return
    with replacing(filepath, overwrite) as fresh, h5py.File(fresh, "w") as file:
        yield file


def put_names(group, name, values):
    """Stores a list of strings as an attribute, split into name0, name1, ... when it is too long for one."""
    data = np.array([v.encode("utf8") for v in values]) if values else np.zeros(0, "S1")
    if data.itemsize > HEADER_LIMIT:
        raise ValueError(f"A name of {data.itemsize} bytes is too long for an HDF5 file: {values[0][:80]!r}...")
    parts = -(-data.nbytes // HEADER_LIMIT) or 1
    while max(chunk.nbytes for chunk in np.array_split(data, parts)) > HEADER_LIMIT:
        parts += 1
    if parts == 1:
        group.attrs[name] = data
    else:
        for i, chunk in enumerate(np.array_split(data, parts)):
            group.attrs[f"{name}{i}"] = chunk


def put_texts(group, **texts):
    """Stores texts as attributes, and their lengths and checksums in one more."""
    checks = _checks(group)
    for name, text in texts.items():
        group.attrs[name] = text
        checks[name] = len(text), check_of_text(text)
    group.attrs[CHECK] = np.bytes_(" ".join(f"{name}={size}:{check}" for name, (size, check) in checks.items()))


def _checks(group):
    """Returns {attribute: (length, checksum)} of the texts that were written with one."""
    text = _raw_attribute(group, CHECK) if CHECK in group.attrs else b""
    pairs = re.findall(r"(\w+)=(\d{1,9}):(\w+)", text.decode("latin1")) if isinstance(text, bytes) else ()
    return {name: (int(size), check) for name, size, check in pairs}


def check_of_text(text):
    """Returns the checksum of a text, as eight digits."""
    return f"{zlib.crc32(text.encode('utf8', 'surrogatepass')):08x}"


def put_array(group, name, array):
    """Stores an array and its checksum. bfloat16, which HDF5 does not have, becomes float32 and comes back exactly.

    Raises:
        TypeError: HDF5 has no numbers of that kind.
    """
    array = np.asarray(array)
    if array.dtype == jnp.bfloat16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Cannot write {name!r} into {_filename(group)!r}: expected numbers, got {array.dtype}.")
    data = group.create_dataset(name, data=array)
    data.attrs[CHECK] = np.bytes_(_check_of(array, data.name))


def _check_of(array, path):
    """Returns the checksum of an array: of its name, the last part of its path, its dtype, shape and numbers."""
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    head = f"{path.rpartition('/')[2]} {array.dtype.str} {array.shape}".encode()
    return f"{zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, zlib.crc32(head)):08x}"


# -------------------------------------------------------------------------------------------- reading


def refusing(function):
    """Decorator of what reads a file: whatever goes wrong inside is a ValueError or OSError that names its `where`."""
    at = list(inspect.signature(function).parameters).index("where")

    @functools.wraps(function)
    def read(*args, **kwargs):
        where = kwargs["where"] if "where" in kwargs else args[at]
        try:
            return function(*args, **kwargs)
        except Warning:
            raise
        except Exception as err:
            path = where.partition("'")[2].partition("'")[0] or where
            kind = OSError if isinstance(err, OSError) else ValueError
            if isinstance(err, (ValueError, OSError)) and path in str(err):
                if len(str(err)) <= LONGEST + len(path):
                    raise
                raise kind(_short(f"{err}", LONGEST + len(path))) from err
            said = f"{err}" if isinstance(err, (ValueError, OSError)) else f"{type(err).__name__}: {err}"
            said = "it is nested too deeply." if isinstance(err, RecursionError) else said
            raise kind(_short(f"Cannot read {where}: {said}", LONGEST + len(path))) from err

    return read


def _short(text, most):
    """Returns a message without its middle where it is long: what a file holds may be of any length."""
    return text if len(text) <= most else f"{text[: most - 105]} ... {text[-100:]}"


def is_hdf5(filepath):
    """Whether the file begins as HDF5 files do (a user block may come first, but not the beginning of a zip).

    A .keras archive holds an HDF5 file; where that happens to lie at byte 512, 1024, ... HDF5 takes all before it for a
    user block.
    """
    import h5py

    check_regular(filepath)
    with open(filepath, "rb") as file:
        return file.read(2) != b"PK" and h5py.is_hdf5(filepath)


@contextlib.contextmanager
def reading(filepath):
    """Yields an h5py file opened for reading; an open h5py group is yielded as it is.

    Raises:
        OSError: There is no such file, or it is not HDF5, or it is damaged; the message names the file.
    """
    import h5py

    if isinstance(filepath, h5py.Group):
        yield filepath
        return
    if not is_hdf5(filepath):
        raise OSError(f"Cannot read {filepath!r}: it is not an HDF5 file, or it was cut off at its beginning.")
    try:
        _longest_text(filepath)
        file = h5py.File(filepath, "r")
    except Exception as err:  # h5py raises many kinds for damaged files
        raise OSError(f"Cannot read {filepath!r}: the HDF5 file is damaged ({err}).") from err
    with file:
        yield file


_HEAP = b"GCOL\x01\0\0\0"  # how a heap of texts begins in HDF5: signature, version, three bytes of zero


def _longest_text(filepath):
    about = os.stat(filepath)
    return _longest_text_of(filepath, about.st_size, about.st_mtime_ns)


@functools.lru_cache(16)
def _longest_text_of(filepath, size, changed):
    with open(filepath, "rb") as plain, mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return check_heaps(data)


def check_heaps(data):
    """Returns how many bytes the longest entry has in the heaps of texts of an HDF5 file.

    Args:
        data: The bytes of an HDF5 file, or a map of them.

    Raises:
        ValueError: There is a heap in which libhdf5 would walk for ever: an entry that takes no room.
    """
    longest, at = 0, data.find(_HEAP)
    while at >= 0:
        place, end = at + 16, min(at + int.from_bytes(data[at + 8 : at + 16], "little"), len(data))
        while place + 16 <= end:
            index = int.from_bytes(data[place : place + 2], "little")
            size = int.from_bytes(data[place + 8 : place + 16], "little")
            step = (size if index == 0 else 16 + (size + 7) // 8 * 8) % 2**64
            if step == 0:
                raise ValueError(f"the heap of texts at byte {at} does not end")
            longest = max(longest, size) if index else longest
            place += step
        at = data.find(_HEAP, at + 8)
    return longest


def where(group, name=""):
    """How messages name a place: "'model.h5', at /model_weights/dense"."""
    at = f"{group.name.rstrip('/')}/{name}".rstrip("/")
    return f"{_filename(group)!r}, at {at or '/'}"


def _filename(group):
    name = group.file.filename
    return "model.weights.h5 of the archive" if "BytesIO" in str(name) else name


def get_node(group, name, kind):
    """Returns the group or dataset at the path `name`, following hard links only.

    Raises:
        ValueError: There is none, it is of the other kind, or the way leaves the file.
    """
    import h5py

    node = group
    parts = [p for p in name.split("/") if p]
    for i, part in enumerate(parts):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise ValueError(f"Cannot read {where(group, name)}: there is no {part!r}.")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"Cannot read {where(group, name)}: it is a link ({type(link).__name__}), and links are not followed: "
                f"a file may only speak for itself."
            )
        try:
            node = node[part]
        except Exception as err:
            raise ValueError(f"Cannot read {where(group, name)}: the file is damaged there ({err}).") from err
        if not isinstance(node, h5py.Group if kind == "group" or i + 1 < len(parts) else h5py.Dataset):
            raise ValueError(f"Cannot read {where(group, name)}: expected a {kind}, found a {type(node).__name__}.")
    return node


def has(group, name):
    """Whether there is a hard-linked child `name`."""
    import h5py

    return isinstance(group, h5py.Group) and isinstance(group.get(name, getlink=True), h5py.HardLink)


def find_group(group, name):
    """Returns the inner group `name`, or None if there is nothing of that name.

    Raises:
        ValueError: There is, but it is a link, which is not followed, or no group.
    """
    return None if group.get(name, getlink=True) is None else get_group(group, name)


def get_group(group, name):
    """Returns the inner group at the path `name`; see `get_node`."""
    return get_node(group, name, "group")


def get_dataset(group, name):
    """Returns the dataset at the path `name`, after checking that its numbers lie in this file; nothing is read yet."""
    data = get_node(group, name, "dataset")
    if data.external or data.is_virtual:
        kind = "an external" if data.external else "a virtual"
        raise ValueError(f"Cannot read {where(group, name)}: {kind} dataset keeps its numbers in other files.")
    if data.shape is None:
        raise ValueError(f"Cannot read {where(group, name)}: the dataset is empty.")
    if data.dtype.kind not in "fiub" and data.dtype != np.dtype("V2"):
        raise ValueError(
            f"Cannot read {where(group, name)}: expected numbers, found {data.dtype} of shape {data.shape}."
        )
    size, stored = _sizes(data)
    if size > max(stored, 1 << 16) * EXPANSION:
        raise ValueError(
            f"Cannot read {where(group, name)}: it claims {size} bytes of numbers, but only {stored} are stored."
        )
    if data.chunks:
        _check_chunks(data, size)
    return data


def _sizes(data):
    """Returns (bytes of the numbers of a dataset, bytes that the file holds of them)."""
    return math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()


def _check_chunks(data, size):
    """Raises ValueError for chunks that would take far more memory or time than their array."""
    chunk, plan = math.prod(data.chunks) * data.dtype.itemsize, data.id.get_create_plist()
    count = math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    wrong = None
    if chunk > max(size, CHUNK) * 2:
        wrong = f"an array of shape {data.shape} is kept in chunks of {data.chunks}, {chunk} bytes each"
    elif count > CHUNKS and size < count * SMALL:
        wrong = f"an array of {size} bytes is kept in {count} chunks"
    elif unknown := [f for f in filters if f not in FILTERS]:
        wrong = f"it is packed by the filter {unknown[0]}, known are {', '.join(FILTERS.values())}"
    elif len(set(filters) & {1, 32000}) > 1 or len(set(filters)) < len(filters):
        wrong = "it is packed twice"
    if wrong:
        raise ValueError(f"Cannot read {where(data)}: {wrong}.")


def _check_unpacked(data):
    """Raises ValueError for a chunk that unpacks to more than its size: libhdf5 would take memory until it ends."""
    plan, size = data.id.get_create_plist(), math.prod(data.chunks) * data.dtype.itemsize
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if 1 not in filters:
        return
    skipped = 1 << filters.index(1)
    for place in itertools.product(*(range(0, n, c) for n, c in zip(data.shape, data.chunks, strict=True))):
        if not data.id.get_chunk_info_by_coord(place).size:
            continue
        mask, packed = data.id.read_direct_chunk(place)
        if not mask & skipped and len(zlib.decompressobj().decompress(packed, size + 8)) > size + 4:
            raise ValueError(f"the chunk at {place} unpacks to more than its {size} bytes")


def check_together(datasets, where):
    """Raises ValueError if these checked datasets claim far more bytes than the file holds, or are one another's."""
    datasets = [d for d in datasets if hasattr(d, "chunks")]
    sizes = [_sizes(d) for d in datasets]
    seen = {}
    for data in datasets:
        first = seen.setdefault(addresses(data), data)
        if first is not data and first.name != data.name and CHECK in data.attrs:
            raise ValueError(f"Cannot read {where}: {data.name!r} leads to the array of {first.name!r}: it is damaged.")
    size, stored = (sum(s) for s in zip(*sizes, strict=True)) if sizes else (0, 0)
    if size > max(FREE, stored * TOGETHER):
        raise ValueError(f"Cannot read {where}: its arrays claim {size} bytes together, but only {stored} are stored.")


def read_array(data):
    """Reads a checked dataset into a NumPy array of the machine's byte order, and compares the checksum if it has one.

    Raises:
        ValueError: The numbers are not those that were written; the message names the place.
    """
    try:
        if data.chunks:
            _check_unpacked(data)
        array = np.asarray(data[()])
        check = _raw_attribute(data, CHECK) if CHECK in data.attrs else None
    except Exception as err:
        raise ValueError(f"Cannot read {where(data)}: the numbers are damaged ({err}).") from err
    if isinstance(check, bytes) and check.decode("latin1") != _check_of(array, data.name):
        raise ValueError(
            f"Cannot read {where(data)}: the numbers are damaged (their checksum is wrong). If you changed them "
            f"yourself, delete the attribute {CHECK!r} there."
        )
    if data.dtype == np.dtype("V2"):  # bfloat16 as Keras stores it
        return array.view(jnp.bfloat16)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # long doubles, which JAX does not have
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def get_names(group, name):
    """Returns the list of strings of an attribute, put together from its parts; None if there is no such attribute."""
    if name in group.attrs:
        found = _list(group, name)
    else:
        found, i = [], 0
        while f"{name}{i}" in group.attrs:
            found += _list(group, f"{name}{i}")
            i += 1
            if len(found) > NAMES or i > NAMES // 64:
                raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} names more than {NAMES}.")
        if not i:
            return None
    names = [_text(group, name, v) for v in found]
    if len(set(names)) < len(names):
        twice = sorted(n for n, count in collections.Counter(names).items() if count > 1)
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} names {twice[:3]} twice.")
    return names


def get_text(group, name):
    """Returns a string attribute, or None if there is none."""
    if name not in group.attrs:
        return None
    text = _text(group, name, _attribute(group, name))
    size, check = _checks(group).get(name, (None, None))
    if size == len(text) and check != check_of_text(text):  # of another length: somebody wrote it anew
        raise ValueError(
            f"Cannot read {where(group)}: its attribute {name!r} is damaged (its checksum is wrong). If you changed it "
            f"yourself, delete the attribute {CHECK!r} there."
        )
    return text


def get_int(group, name):
    """Returns an attribute that is an integer from 0 to 2**63, or None if there is none or it is another thing."""
    value = np.asarray(_attribute(group, name)) if name in group.attrs else np.zeros(2)
    return int(value) if value.shape == () and value.dtype.kind in "iu" and 0 <= value < 2**63 else None


def addresses(group):
    """Returns what tells an object of a file from the others, whatever names lead to it."""
    import h5py

    about = h5py.h5o.get_info(group.id)
    return about.fileno, about.addr


def _list(group, name):
    found = _attribute(group, name)
    if not isinstance(found, np.ndarray) or found.ndim != 1:
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} is not a list of names.")
    return list(found)


def _attribute(group, name):
    try:
        return _raw_attribute(group, name)
    except Exception as err:
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} is damaged ({err}).") from err


def _raw_attribute(group, name):
    """Returns the value of an attribute, after looking at how much memory it can take: references may repeat a text."""
    import h5py

    about = h5py.h5a.open(group.id, name.encode("utf8", "surrogatepass"))
    count = math.prod(about.shape)
    size = count * about.get_type().get_size()
    if about.dtype.hasobject and os.path.isfile(group.file.filename):
        size += count * _longest_text(group.file.filename)
    elif about.dtype.hasobject and count > 1:  # in memory, where one text more is no more than what is there
        size += count * group.file.id.get_filesize()
    # Nobody knows which text a reference leads to before it is followed. In a large model the longest is its config,
    # a MB long, and a list has a thousand names: a bound of the whole file's size tells that from a bomb.
    if size > (most := max(TEXT, TOGETHER * group.file.id.get_filesize())):
        raise ValueError(f"its {count} values can take {size} bytes, expected at most {most}")
    return group.attrs[name]


def _text(group, name, value):
    try:
        return value.decode("utf8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as err:
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} is not text ({err}).") from err
