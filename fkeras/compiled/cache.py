"""JAX's persistent compilation cache, on by default: a second process that compiles the same programs starts faster.

It lies in a directory that only its owner may write to, because what is read from it is run. Turned off by the
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
