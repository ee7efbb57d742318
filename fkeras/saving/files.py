"""Files: written whole or not at all, read with nothing trusted. The one place where h5py is imported."""

import contextlib
import functools
import inspect
import mmap
import os
import secrets
import stat
import tempfile

import jax.numpy as jnp
import numpy as np

from fkeras.distribute import is_main

HEADER_LIMIT = 64512  # bytes that fit into one attribute of an HDF5 object's header, as Keras counts them
EXPANSION = 1000  # a compressed array may be this many times larger than its bytes in the file


def path_of(filepath, what):
    """Returns `filepath` as a string. Raises TypeError for anything that is not a path."""
    try:
        return os.fspath(filepath)
    except TypeError:
        raise TypeError(f"{what}: expected filepath as a string or a Path, got {type(filepath).__name__}.") from None


# -------------------------------------------------------------------------------------------- writing


@contextlib.contextmanager
def replacing(filepath, overwrite=True):
    """Yields the path of a fresh file beside `filepath`; on leaving without an error it takes the place of `filepath`.

    Whatever happens before that (an exception, a full disk, a killed process), the old file stays as it was.

    Raises:
        FileExistsError: The file exists and `overwrite` is False, also when another process has just written it.
        IsADirectoryError: `filepath` is a folder.
        OSError: It cannot be written, because the disk is full for example; the old file is as it was.
    """
    filepath = os.fspath(filepath)
    if not is_main():  # of several processes one writes; the others go through the same motions
        with tempfile.TemporaryDirectory() as folder:
            yield os.path.join(folder, os.path.basename(filepath))
        return
    target = os.path.realpath(filepath)
    if os.path.isdir(target):
        raise IsADirectoryError(f"Cannot write {filepath!r}: it is a folder.")
    if not overwrite and os.path.exists(target):
        raise _exists(filepath)
    folder, name = os.path.split(target)
    os.makedirs(folder, exist_ok=True)
    fresh = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    try:
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        if os.path.exists(target):
            os.chmod(fresh, stat.S_IMODE(os.stat(target).st_mode))
        yield fresh
        _to_disk(fresh)
        _put(fresh, target, filepath, overwrite)
    except BaseException as err:
        with contextlib.suppress(OSError):
            os.remove(fresh)
        if isinstance(err, (OSError, RuntimeError)) and repr(filepath) not in str(err):  # h5py's are of both kinds
            number = getattr(err, "errno", None)
            text = f"Cannot write {filepath!r}: {err}. What was there before is as it was."
            raise (OSError(number, text) if number else OSError(text)) from err
        raise
    with contextlib.suppress(OSError):  # some file systems have no folders to flush
        _to_disk(folder)


def _put(fresh, target, filepath, overwrite):
    if overwrite:
        os.replace(fresh, target)
        return
    try:
        os.link(fresh, target)  # which, unlike a renaming, never takes the place of a file
    except FileExistsError:
        raise _exists(filepath) from None
    except OSError:  # a file system without hard links
        os.rename(fresh, target)
    else:
        os.remove(fresh)


def _exists(filepath):
    return FileExistsError(f"Cannot write {filepath!r}: it exists. Pass overwrite=True, or choose another name.")


def _to_disk(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def put_array(group, name, array):
    """Stores an array. bfloat16, which HDF5 does not have, becomes float32 and comes back exactly."""
    array = np.asarray(array)
    if array.dtype == jnp.bfloat16:
        array = array.astype(np.float32)
    group.create_dataset(name, data=array)


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
            if isinstance(err, (ValueError, OSError)) and path in str(err):
                raise
            kind = OSError if isinstance(err, OSError) else ValueError
            said = f"{err}" if isinstance(err, (ValueError, OSError)) else f"{type(err).__name__}: {err}"
            said = "it is nested too deeply." if isinstance(err, RecursionError) else said
            raise kind(f"Cannot read {where}: {said}") from err

    return read


def is_hdf5(filepath):
    """Whether the file begins as HDF5 files do (a user block may come first, but not the beginning of a zip).

    A .keras archive holds an HDF5 file; where that happens to lie at byte 512, 1024, ... HDF5 takes all before it for a
    user block.
    """
    import h5py

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
    if not os.path.exists(filepath):
        raise FileNotFoundError(f"There is no file {filepath!r}.")
    if os.path.isdir(filepath):
        raise IsADirectoryError(f"Cannot read {filepath!r}: expected an HDF5 file, it is a folder.")
    if not is_hdf5(filepath):
        raise OSError(f"Cannot read {filepath!r}: it is not an HDF5 file, or it was cut off at its beginning.")
    try:
        with open(filepath, "rb") as plain, mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_heaps(data)
        file = h5py.File(filepath, "r")
    except Exception as err:  # h5py raises many kinds for damaged files
        raise OSError(f"Cannot read {filepath!r}: the HDF5 file is damaged ({err}).") from err
    with file:
        yield file


_HEAP = b"GCOL\x01\0\0\0"  # how a heap of texts begins in HDF5: signature, version, three bytes of zero


def check_heaps(data):
    """Raises ValueError for a heap of texts in which libhdf5 would walk for ever: an entry that takes no room.

    Args:
        data: The bytes of an HDF5 file, or a map of them.
    """
    at = data.find(_HEAP)
    while at >= 0:
        place, end = at + 16, min(at + int.from_bytes(data[at + 8 : at + 16], "little"), len(data))
        while place + 16 <= end:
            index = int.from_bytes(data[place : place + 2], "little")
            size = int.from_bytes(data[place + 8 : place + 16], "little")
            step = (size if index == 0 else 16 + (size + 7) // 8 * 8) % 2**64
            if step == 0:
                raise ValueError(f"the heap of texts at byte {at} does not end")
            place += step
        at = data.find(_HEAP, at + 8)


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
    size, stored = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize, data.id.get_storage_size()
    if size > max(stored, 1 << 16) * EXPANSION:
        raise ValueError(
            f"Cannot read {where(group, name)}: it claims {size} bytes of numbers, but only {stored} are stored."
        )
    return data


def read_array(data):
    """Reads a checked dataset into a NumPy array."""
    try:
        array = data[()]
    except Exception as err:
        raise ValueError(f"Cannot read {where(data.parent, data.name)}: the numbers are damaged ({err}).") from err
    if data.dtype == np.dtype("V2"):  # bfloat16 as Keras stores it
        array = array.view(jnp.bfloat16)
    return np.asarray(array)


def get_names(group, name):
    """Returns the list of strings of an attribute, put together from its parts; None if there is no such attribute."""
    if name in group.attrs:
        found = _list(group, name)
    else:
        found, i = [], 0
        while f"{name}{i}" in group.attrs:
            found += _list(group, f"{name}{i}")
            i += 1
        if not i:
            return None
    names = [_text(group, name, v) for v in found]
    if twice := {n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else ():
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} names {sorted(twice)[:3]} twice.")
    return names


def get_text(group, name):
    """Returns a string attribute, or None if there is none."""
    return _text(group, name, _attribute(group, name)) if name in group.attrs else None


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
        return group.attrs[name]
    except Exception as err:
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} is damaged ({err}).") from err


def _text(group, name, value):
    try:
        return value.decode("utf8") if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as err:
        raise ValueError(f"Cannot read {where(group)}: its attribute {name!r} is not text ({err}).") from err
