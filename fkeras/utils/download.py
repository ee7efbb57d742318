"""`get_file`: a file from the web, in a cache that is Keras's own (`~/.keras`, or what KERAS_HOME says).

A download goes into `<name>.part` beside its place and gets its name when it is complete and its hash is right. One
that broke off is continued: at once a few times, and by the next call.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import urllib.parse

from fkeras.callbacks.progbar import say


def get_file(
    fname=None,
    origin=None,
    untar=False,
    md5_hash=None,
    file_hash=None,
    cache_subdir="datasets",
    hash_algorithm="auto",
    extract=False,
    archive_format="auto",
    cache_dir=None,
    force_download=False,
    allow_http=False,
):
    """Returns the path of a file, which is downloaded if it is not in the cache.

    Args:
        fname: Name in the cache; by default that in `origin`.
        origin: Its address, https://..., or file:///... on this computer.
        untar: Old word for `extract`.
        md5_hash: Old word for `file_hash` by MD5.
        file_hash: SHA-256 (64 hexadecimal digits) or MD5 (32) that the file has to have: checked after a download, and
            before a file that is in the cache is used.
        cache_subdir: Folder in the cache; an absolute path is taken as it is.
        hash_algorithm: "sha256", "md5", or "auto": by the number of digits.
        extract: Unpack the archive and return the path of its folder.
        archive_format: "tar", "zip", or "auto".
        cache_dir: The cache; by default the environment's KERAS_HOME, else ~/.keras.
        force_download: Download what is in the cache too.
        allow_http: Also take addresses that begin with http://, which anybody between here and there can change.

    Raises:
        ValueError: The address is not https, the hash is another, or the archive is damaged or hostile.
        OSError: It could not be downloaded; the message says where to put the file by hand.

    Reference:
        As Keras 3, with its places in the cache; safe unpacking, https, resuming and checked hashes are added.
    """
    from fkeras.utils import archives, transfer  # here, so that `import fkeras` stays light

    schemes = ("https", "http") if allow_http else ("https",)
    _check_origin(origin, (*schemes, "file"))
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    check = None if file_hash is None else _Hash(file_hash, hash_algorithm)
    target, folder = _places(fname, origin, extract or untar, cache_subdir, cache_dir)
    _make_folder(target.parent)
    with _locked(target.parent):
        fresh = force_download or not target.exists()
        if not fresh and check and not check.fits(target):
            say(f"{target} is not the file that is wanted: its {check.name} is another. It is downloaded again.")
            fresh = True
        if fresh:
            say(f"Downloading data from {origin}")
            transfer.download(origin, target, check, functools.partial(_check_origin, schemes=schemes))
        if folder is None:
            return str(target)
        if fresh or not folder.is_dir():
            archives.extract(target, folder, archive_format)
    return str(folder)


def cache_folder(cache_dir=None):
    """Returns the folder of the cache: what is given, the environment's KERAS_HOME, or ~/.keras."""
    return pathlib.Path(cache_dir or os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _check_origin(origin, schemes):
    scheme = urllib.parse.urlsplit(origin or "").scheme
    if scheme not in schemes:
        hint = " Try https://, or pass allow_http=True." if scheme == "http" else ""
        raise ValueError(f"get_file: expected origin as an address https://..., got {origin!r}.{hint}")


def _places(fname, origin, unpack, cache_subdir, cache_dir):
    """Returns the path of the file and that of its unpacked folder, or None, as Keras 3 chooses them."""
    given = None if fname is None else os.fspath(fname)
    name = given or urllib.parse.unquote(os.path.basename(urllib.parse.urlsplit(origin).path))
    if name in ("", ".", ".."):
        raise ValueError(f"get_file: give fname: there is no name of a file in {origin!r}.")
    if os.path.basename(name) != name or "\\" in name:
        raise ValueError(f"get_file: expected fname without folders, got {name!r}; those are for cache_subdir.")
    base = cache_folder(cache_dir) / os.path.expanduser(cache_subdir)
    if not unpack:
        return base / name, None
    if given and "." in given:
        return base / name, base / f"{name[: name.index('.')]}_extracted"
    return base / f"{name}_archive", base / name


def _make_folder(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OSError(
            f"get_file: cannot make the folder {str(folder)!r} ({err.strerror}). Give cache_dir, or name another "
            f"folder in the environment's KERAS_HOME."
        ) from err


class _Hash:
    """The hash that a file has to have."""

    def __init__(self, value, algorithm):
        if algorithm not in ("auto", "sha256", "md5"):
            raise ValueError(f"get_file: expected hash_algorithm 'auto', 'sha256' or 'md5', got {algorithm!r}.")
        self.value = str(value).lower()
        self.name = ("sha256" if len(self.value) == 64 else "md5") if algorithm == "auto" else algorithm
        if len(self.value) != (64 if self.name == "sha256" else 32) or not re.fullmatch("[0-9a-f]*", self.value):
            raise ValueError(f"get_file: {value!r} is no {self.name}: 64 hexadecimal digits, or 32 for md5.")

    def of(self, path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(self.name, usedforsecurity=False)).hexdigest()

    def fits(self, path):
        return self.of(path) == self.value


@contextlib.contextmanager
def _locked(folder):
    """One process at a time: the others find the file complete when their turn comes."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
