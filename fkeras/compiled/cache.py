"""JAX's persistent compilation cache, on by default: a second process that compiles the same programs starts faster.

It lies in a directory that only its owner may write to, because what is read from it is run; an entry that is damaged
or of another name is compiled anew. Turned off by the
environment variable `FKERAS_COMPILATION_CACHE=0`; put elsewhere by its value. Whoever configured JAX's own cache
(`jax_compilation_cache_dir`) keeps that.
"""

import contextlib
import hashlib
import os
import pathlib
import platform
import stat

import jax

LARGEST = 1 << 30  # bytes: with more than these, a process removes the entries that were longest unused
SHORTEST = 0.1  # seconds: what compiles faster is not kept
_asked = False


def use_cache():
    """Turns the cache on, once in a process, before the first program is compiled."""
    global _asked
    if _asked:
        return
    _asked = True
    wanted = os.environ.get("FKERAS_COMPILATION_CACHE", "")
    if wanted.lower() in ("0", "off", "false") or jax.config.jax_compilation_cache_dir:
        return
    place = pathlib.Path(wanted or _default_place()) / _machine()
    if not _is_private(place):
        return
    _trim(place)
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    _look_again()
    with contextlib.suppress(Exception):  # without JAX's inner names entries are read unchecked, as JAX reads them
        _seal_entries()


def _default_place():
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "fkeras")


def _machine():
    """Names the kind of processor: a program compiled for one may not run on another that shares the directory."""
    about = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        about += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return "xla-" + hashlib.sha256(about.encode()).hexdigest()[:12]


def _is_private(place):
    """Makes the directory; returns whether it is there and only its owner may write to it."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = place.lstat()
    except OSError:  # no home, a full or read-only disk: then programs are compiled as they always were
        return False
    owned = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    return owned and stat.S_ISDIR(about.st_mode) and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _trim(place):
    """Removes the entries that were longest unused until at most `LARGEST` bytes are left."""
    with contextlib.suppress(OSError):
        found = [(e.stat().st_mtime, e.stat().st_size, e.path) for e in os.scandir(place) if e.is_file()]
        size = sum(entry[1] for entry in found)
        for _, bytes_, path in sorted(found):
            if size <= LARGEST:
                break
            os.remove(path)
            size -= bytes_


def _look_again():
    """Makes JAX look at its configuration again, where a program was compiled before the cache was turned on."""
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()


def _seal_entries():
    """Makes JAX's cache check every entry: JAX takes what lies under a name for the program of that name."""
    from jax._src import compilation_cache

    compilation_cache._initialize_cache()
    if compilation_cache._cache is not None:
        compilation_cache._cache = _Sealed(compilation_cache._cache)


class _Sealed:
    """JAX's cache on disk, whose entries begin with a digest of their name and content.

    Args:
        held: The cache.
    """

    def __init__(self, held):
        self._held = held

    def __getattr__(self, name):
        return getattr(self._held, name)

    def get(self, key):
        """Returns the entry, or None, and removes it, if it is not what was put there under this name."""
        value = self._held.get(key)
        if value is None or value.startswith(_digest(key, value[_DIGEST:])):
            return None if value is None else value[_DIGEST:]
        with contextlib.suppress(OSError):
            os.remove(os.path.join(self._held._path, f"{key}-cache"))
        return None

    def put(self, key, value):
        self._held.put(key, _digest(key, value) + value)


_DIGEST = 32  # bytes


def _digest(key, value):
    return hashlib.sha256(key.encode() + b"\0" + value).digest()
