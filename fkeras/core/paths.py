"""Paths: what they lead to, and files that are written whole or not at all: beside the target, to disk, renamed."""

import contextlib
import functools
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
import time
import zlib

from fkeras.core.messages import is_main


def path_of(filepath, what):
    """Returns `filepath` as a string.

    Raises:
        TypeError: It is not a path. ValueError: No file can have that name.
    """
    try:
        path = os.fsdecode(filepath)
    except TypeError:
        raise TypeError(f"{what}: expected filepath as a string or a Path, got {type(filepath).__name__}.") from None
    if "\0" in path:
        raise ValueError(f"{what}: expected a path, got {path!r}, which holds a zero byte.")
    return path


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _kind(path, doing):
    """Returns what a path leads to, None if there is nothing. Raises OSError where the way does not end."""
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise type(err)(err.errno, f"Cannot {doing} {path!r}: {err.strerror}.") from None


def check_regular(path):
    """Raises OSError, naming the path, unless it leads to a regular file: reading a pipe or a device may not end."""
    kind = _kind(path, "read")
    if kind is None:
        raise FileNotFoundError(f"There is no file {path!r}.")
    if kind != stat.S_IFREG:
        error = IsADirectoryError if kind == stat.S_IFDIR else OSError
        raise error(f"Cannot read {path!r}: expected a file, it is {_KINDS.get(kind, 'something else')}.")


# -------------------------------------------------------------------------------------------- replacing


@contextlib.contextmanager
def replacing(filepath, overwrite=True):
    """Yields the path of a fresh file beside `filepath`; on leaving without an error it takes the place of `filepath`.

    Whatever happens before that (an exception, a full disk, a killed process), the old file stays as it was.

    Raises:
        FileExistsError: The file exists and `overwrite` is False, also when another process has just written it.
        IsADirectoryError: `filepath` is a folder.
        OSError: It cannot be written, because the disk is full or a pipe, socket or device has that name; what was
            there is as it was.
    """
    filepath = path_of(filepath, "save")
    if not is_main():  # of several processes one writes; the others go through the same motions
        with tempfile.TemporaryDirectory() as folder:
            yield os.path.join(folder, os.path.basename(filepath))
        return
    if (kind := _kind(filepath, "write")) is not None and kind != stat.S_IFREG:
        error = IsADirectoryError if kind == stat.S_IFDIR else OSError
        raise error(f"Cannot write {filepath!r}: it is {_KINDS.get(kind, 'no file')}, and only files are replaced.")
    if not overwrite and kind is not None:
        raise _exists(filepath)
    target, fresh = beside(filepath)
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
        if isinstance(err, RecursionError):
            raise
        if isinstance(err, (OSError, RuntimeError)) and repr(filepath) not in str(err):  # h5py's are of both kinds
            number = getattr(err, "errno", None)
            text = f"Cannot write {filepath!r}: {err}. What was there before is as it was."
            raise (OSError(number, text) if number else OSError(text)) from err
        raise
    with contextlib.suppress(OSError):  # some file systems have no folders to flush
        _to_disk(os.path.dirname(target))


def beside(filepath):
    """Returns (where `filepath` leads, a free name beside it), and removes what dead processes left in that folder.

    Raises:
        OSError: The folder cannot be made.
    """
    target = os.path.realpath(filepath)
    folder, name = os.path.split(target)
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(f"Cannot write {filepath!r}: {os.path.dirname(filepath)!r} is not a folder.") from None
    except OSError as err:
        raise type(err)(err.errno, f"Cannot write {filepath!r}: {err.strerror}.") from None
    _sweep(folder)
    home, pid = _home(), os.getpid()
    return target, os.path.join(folder, f".{name[:60]}.{home}-{pid}-{_began(pid)}-{secrets.token_hex(4)}.tmp")


# What `beside` names: home, process, when it began, and ".old" for a folder that is being replaced.
_LEFT = re.compile(r"\.(.+)\.([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}\.tmp(\.old)?")
_STALE = 86400  # seconds without a change after which also the unfinished files of other machines are taken for dead


def _sweep(folder):
    """Removes unfinished files of processes that are gone; a folder that was just being replaced is put back."""
    with contextlib.suppress(OSError):
        found = [(entry.path, m) for entry in os.scandir(folder) if (m := _LEFT.fullmatch(entry.name))]
        for path, m in found:
            pid = int(m[3])
            with contextlib.suppress(OSError):
                if m[2] == _home() and _HAS_PROC:
                    dead = _began(pid) != int(m[4])
                else:
                    dead = time.time() - os.lstat(path).st_mtime > _STALE
                if not dead:
                    continue
                if m[5] and not os.path.lexists(os.path.join(folder, m[1])):
                    os.rename(path, os.path.join(folder, m[1]))
                elif os.path.isdir(path):
                    shutil.rmtree(path)
                else:
                    os.remove(path)


_HAS_PROC = os.path.exists("/proc/self/stat")


@functools.cache
def _home():
    """Returns eight digits that tell apart the systems whose processes do not see each other."""
    about = socket.gethostname()
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="utf8") as file:
        about += file.read()
    with contextlib.suppress(OSError):
        about += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(about.encode()):08x}"


def _began(pid):
    """Returns when a process began, in the system's clock; 0 if there is none of that number, or no way to know."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


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
