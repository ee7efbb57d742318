"""Folders that are written whole or not at all."""

import contextlib
import ctypes
import os
import shutil

from fkeras.core import paths

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux


@contextlib.contextmanager
def replacing_folder(path, overwrite=True, marker="saved_model.pb"):
    """Yields a fresh folder beside `path`; on leaving without an error it takes the place of `path`.

    Whatever happens before that (an exception, a full disk, a killed process), the old folder stays as it was. On
    Linux the two change places in one step; elsewhere the old one is moved away first.

    Raises:
        FileExistsError: `path` exists, and `overwrite` is False, or it is not a folder that holds `marker`.
    """
    target, fresh = paths.beside(path)
    if os.path.lexists(target):
        if not overwrite:
            raise FileExistsError(f"Cannot write {path!r}: it exists. Pass overwrite=True, or choose another name.")
        if not os.path.isdir(target) or (os.listdir(target) and not os.path.exists(os.path.join(target, marker))):
            raise FileExistsError(
                f"Cannot write {path!r}: it exists and is not a saved model (it holds no {marker}), so that it is not "
                f"replaced. Choose another name."
            )
    try:
        os.mkdir(fresh)
        yield fresh
        for folder, _, names in os.walk(fresh, topdown=False):
            for inner in names:
                _to_disk(os.path.join(folder, inner))
            _to_disk(folder)
        if not os.path.lexists(target):
            os.rename(fresh, target)
        elif not _exchange(fresh, target):
            old = f"{fresh}.old"
            os.rename(target, old)
            os.rename(fresh, target)
            os.rename(old, fresh)
        with contextlib.suppress(OSError):
            _to_disk(os.path.dirname(target))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # what is left of a failure, or the old folder


def is_saved_model(path):
    """Whether a path is a folder that looks like a SavedModel."""
    return os.path.isdir(path) and any(
        os.path.isfile(os.path.join(path, *name))
        for name in (("saved_model.pb",), ("keras_metadata.pb",), ("assets", "saved_model.json"))
    )


def is_checkpoint(path):
    """Whether a path is the prefix of a checkpoint's files."""
    return not os.path.exists(path) and os.path.isfile(f"{path}.index")


def _exchange(a, b):
    """Lets two folders change places in one step; returns False where the system cannot."""
    try:
        return ctypes.CDLL(None).renameat2(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0
    except (AttributeError, OSError, TypeError):
        return False


def _to_disk(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not os.path.isdir(path):  # some file systems have no folders to flush
            raise
    finally:
        os.close(handle)
