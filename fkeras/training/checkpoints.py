"""A folder of checkpoints: each a file that is there whole or not at all, written by a thread of its own.

    folder/epoch-003-step-000120.zip      content.json, and one member for each array
           lock                           held by the training that writes here

Members are stored as they are, with the CRC-32 of zip files. A checkpoint in which a bit was turned is named, and the
one before it is read.
"""

import contextlib
import json
import os
import re
import threading
import warnings
import zipfile
import zlib

import numpy as np

from fkeras.core import paths
from fkeras.core.messages import is_main

_NAME = re.compile(r"epoch-(\d+)-step-(\d+)\.zip")
_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, NotImplementedError, RuntimeError)


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: Where they lie; one for each training.
        keep: So many of the last ones stay.
    """

    def __init__(self, folder, keep=2):
        self.folder, self.keep = folder, keep
        self._lock = self._thread = self._error = None

    @contextlib.contextmanager
    def held(self):
        """Within the `with` nobody else writes here; at its end everything is written.

        Raises:
            RuntimeError: Another training that is running has the folder.
            OSError: The folder cannot be made or written to.
        """
        if not is_main():
            yield
            return
        path = os.path.join(self.folder, "lock")
        try:
            os.makedirs(self.folder, exist_ok=True)
            lock = open(path, "a+")  # noqa: SIM115 (held until training ends)
        except OSError as err:
            why = f"resume={self.folder!r}: cannot write checkpoints there: {err.strerror}."
            raise type(err)(err.errno, why) from None
        with lock:
            if not _locked(lock):
                lock.seek(0)
                who = lock.read().strip() or "of another process"
                raise RuntimeError(
                    f"resume={self.folder!r}: another training ({who}) writes its checkpoints there. Wait for its end, "
                    f"or give each training a folder of its own."
                )
            lock.truncate(0)
            lock.write(f"process {os.getpid()}")
            lock.flush()
            try:
                yield
            finally:
                self.wait()

    def read(self):
        """Returns (file name, content) of the last checkpoint that is sound, or None.

        Raises:
            OSError: There are checkpoints, and all of them are damaged.
        """
        names, damage = self._names(), None
        for name in reversed(names):
            path = os.path.join(self.folder, name)
            try:
                return name, read(path)
            except _DAMAGE as err:
                damage = f"{path!r} is damaged: {_plain(err)}"
                warnings.warn(f"{damage}. The checkpoint before it is used.", stacklevel=2)
        if damage:
            raise OSError(
                f"resume={self.folder!r}: no checkpoint can be read; {damage}. Delete the folder to begin anew."
            )
        return None

    @property
    def busy(self):
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def write(self, epoch, step, content):
        """Begins to write a checkpoint. The arrays of `content` must not change any more."""
        self.wait()
        self._thread = threading.Thread(target=self._write, args=(epoch, step, content), name="fkeras-checkpoint")
        self._thread.start()

    def _write(self, epoch, step, content):
        try:
            write(os.path.join(self.folder, f"epoch-{epoch:03d}-step-{step:06d}.zip"), content)
            for name in self._names()[: -self.keep]:
                os.remove(os.path.join(self.folder, name))
        except Exception as err:
            self._error = err

    def wait(self):
        """Waits until what was begun is written. A checkpoint that could not be written is told of, no more."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            err, self._error = self._error, None
            warnings.warn(f"A checkpoint was not written: {str(err).rstrip('.')}. Training goes on.", stacklevel=2)

    def delete(self):
        """Removes the checkpoints, and the folder unless something else lies in it."""
        with contextlib.suppress(OSError):
            for name in [*self._names(), "lock"]:
                os.remove(os.path.join(self.folder, name))
            os.rmdir(self.folder)

    def _names(self):
        try:
            found = [match for name in os.listdir(self.folder) if (match := _NAME.fullmatch(name))]
        except FileNotFoundError:
            return []
        return [match[0] for match in sorted(found, key=lambda match: (int(match[1]), int(match[2])))]


def write(path, content):
    """Writes a tree of dicts, lists, tuples, arrays, bytes and plain values to a file."""
    arrays = []
    text = json.dumps(_packed(content, arrays, ()))
    with paths.replacing(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        for name, data in arrays:
            file.writestr(name, data)
        file.writestr("content.json", text)


def read(path):
    """Returns the tree that `write` wrote.

    Raises:
        Exception: One of `_DAMAGE`: something in the file is not as it was written.
    """
    paths.check_regular(path)
    with zipfile.ZipFile(path) as file:
        return _unpacked(json.loads(file.read("content.json")), file)


def _packed(value, arrays, at):
    """Returns the JSON form of a tree; the bytes of its arrays go to the list `arrays` as (name, bytes)."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": str(value)}
    if isinstance(value, dict):
        keys = [_packed(key, arrays, at) for key in value]
        below = [_packed(v, arrays, (*at, *(k if isinstance(k, tuple) else (str(k),)))) for k, v in value.items()]
        return {"dict": list(zip(keys, below, strict=True))}
    if isinstance(value, (list, tuple)):
        items = [_packed(v, arrays, (*at, str(i))) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    name = f"{len(arrays)}/{'/'.join(at)}"
    from_torch = type(value).__module__.partition(".")[0] == "torch"
    if hasattr(value, "__array__"):
        a = np.asarray(value)
        if a.dtype.kind not in "OV" or a.dtype.name == "bfloat16" or a.dtype.name.startswith("float8"):
            arrays.append((name, np.ascontiguousarray(a).reshape(-1).view(np.uint8) if a.size else b""))
            form = {"array": name, "dtype": a.dtype.name if a.dtype.kind not in "US" else a.dtype.str, "shape": a.shape}
            return form | ({"torch": True} if from_torch else {})
    raise TypeError(
        f"A checkpoint cannot hold {'/'.join(at)} ({type(value).__name__}): expected dicts, lists, arrays, numbers or "
        f"text."
    )


def _unpacked(value, file):
    if isinstance(value, list):
        return [_unpacked(v, file) for v in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {_unpacked(k, file): _unpacked(v, file) for k, v in value["dict"]}
    if "tuple" in value:
        return tuple(_unpacked(v, file) for v in value["tuple"])
    if "float" in value:
        return float(value["float"])
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    a = np.frombuffer(bytearray(file.read(value["array"])), np.dtype(value["dtype"])).reshape(value["shape"])
    if value.get("torch"):
        import torch

        return torch.from_numpy(a)
    return a if value["shape"] else a[()]


def _plain(err):
    text = str(err.args[0] if isinstance(err, KeyError) else err).rstrip(".")
    return text or type(err).__name__


def _locked(file):
    """Takes the lock on an open file, which ends with the process. Returns False where another has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        def take():
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:

        def take():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    try:
        take()
    except OSError:
        return False
    return True
