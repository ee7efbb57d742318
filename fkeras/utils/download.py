"""`get_file`: a file from the web, in a cache that is Keras's own (`~/.keras`, or what KERAS_HOME says).

A download goes into `<name>.part` beside its place and gets its name when it is complete and its hash is right. One
that broke off is continued: at once a few times, and by the next call.
"""

import contextlib
import hashlib
import http.client
import os
import pathlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request

from fkeras.callbacks.progbar import Progbar, say
from fkeras.utils import archives

TRIES = 4  # of a transfer that breaks off
PAUSE = 1.0  # seconds before the second try, doubled before each that follows
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be others a moment later


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
        origin: Its address, https://...
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
    _check_origin(origin, allow_http)
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
            _download(origin, target, check, allow_http)
        if folder is None:
            return str(target)
        if fresh or not folder.is_dir():
            archives.extract(target, folder, archive_format)
    return str(folder)


def cache_folder(cache_dir=None):
    """Returns the folder of the cache: what is given, the environment's KERAS_HOME, or ~/.keras."""
    return pathlib.Path(cache_dir or os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _check_origin(origin, allow_http):
    scheme = urllib.parse.urlsplit(origin or "").scheme
    if scheme == "https" or (allow_http and scheme == "http"):
        return
    hint = "Try https://, or pass allow_http=True." if scheme == "http" else ""
    raise ValueError(f"get_file: expected origin as an address https://..., got {origin!r}. {hint}".rstrip())


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


# ---------------------------------------------------------------------------------------- the transfer


class _Broken(OSError):
    """A transfer that may succeed when it is tried again."""


def _download(origin, target, check, allow_http):
    part = target.with_name(target.name + ".part")
    opener = urllib.request.build_opener(_Redirects(allow_http))
    for left in reversed(range(TRIES)):
        try:
            certain = _transfer(opener, origin, part, check)
        except _Broken as err:
            if not left:
                raise _unreachable(origin, target, check, err) from err
            time.sleep(PAUSE * 2 ** (TRIES - 1 - left))
            continue
        except OSError as err:
            raise _unreachable(origin, target, check, err) from err
        if not check or check.fits(part):
            os.replace(part, target)
            _forget(part)
            return
        got = check.of(part)
        _forget(part)
        if certain or not left:
            raise ValueError(
                f"get_file: {origin} is not the file that is wanted: expected {check.name} {check.value[:16]}..., "
                f"got {got[:16]}... It was not kept. Was it changed there?"
            )


def _unreachable(origin, target, check, reason):
    known = f" ({check.name} {check.value})" if check else ""
    return OSError(
        f"get_file: cannot download {origin}: {reason}. To do without a network, put the file at {target}{known}."
    )


def _transfer(opener, origin, part, check):
    """Downloads to `part`, or its rest if a beginning is there.

    Returns:
        True if the file is the server's for certain: of the length that it said, and not joined to a beginning.

    Raises:
        _Broken: The connection broke off, or the server is busy.
        OSError: The server refuses, or is not there.
    """
    mark = _mark_of(part)
    known = mark.read_text().splitlines() if mark.exists() else []
    ours, version = known[:1] in ([], [origin]), (known[1:] or [""])[0]
    have = part.stat().st_size if part.exists() and ours and (version or check) else 0
    request = urllib.request.Request(origin, headers={"User-Agent": "fkeras"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if version:
            request.add_header("If-Range", version)
    try:
        answer = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as err:
        with err:
            if err.code == 416 and have:  # there is no rest: complete, or not the same file
                if err.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return False
                _forget(part)
                raise _Broken("the beginning that was there is of another file") from None
            raise (_Broken if err.code in _PASSING else OSError)(f"{err.code} {err.reason}") from None
    except urllib.error.URLError as err:
        passing = isinstance(err.reason, (TimeoutError, ConnectionError))
        raise (_Broken if passing else OSError)(str(err.reason)) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError) as err:
        raise _Broken(str(err) or type(err).__name__) from None
    with answer:
        start = _start(answer)
        if start != have:
            have = 0
            if start:
                _forget(part)
                raise _Broken("the server sent another part than it was asked for")
        if not have:
            version = _version(answer.headers)
            mark.write_text(f"{origin}\n{version}")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        with open(part, "ab" if have else "wb") as out:
            _copy(answer, out, have, total)
            out.flush()
            os.fsync(out.fileno())
    return not have and total is not None


def _start(answer):
    """Returns the number of the byte that an answer begins with."""
    if answer.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else -1


def _copy(answer, out, have, total):
    bar = Progbar(total, unit_name="byte")
    at = have
    while True:
        try:
            piece = answer.read(CHUNK)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as err:
            raise _Broken(f"the connection broke off after {at:,} bytes ({type(err).__name__})") from None
        if not piece:
            break
        out.write(piece)
        at += len(piece)
        if total is None or at <= total:
            bar.update(at)
    if total is not None and at != total:
        raise _Broken(f"the connection broke off after {at:,} of {total:,} bytes")
    if total is None:
        bar.update(at, finalize=True)


def _version(headers):
    """Returns what tells this version of a file from others: its strong ETag, or its date."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _mark_of(part):
    return part.with_name(part.name + "-of")


def _forget(part):
    part.unlink(missing_ok=True)
    _mark_of(part).unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to anything else."""

    def __init__(self, allow_http):
        self.allow_http = allow_http

    def redirect_request(self, request, file, code, message, headers, url):
        try:
            _check_origin(url, self.allow_http)
        except ValueError as err:
            raise OSError(f"it leads to an address that is not https: {url}") from err
        return super().redirect_request(request, file, code, message, headers, url)
