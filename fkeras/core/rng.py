"""Randomness as a function of (seed, path, row): never of call order or of the number of devices.

A key is derived by folding in where it is used: the path of the layer (its CRC-32), the step, the row of the
global batch. The only remembered number is the process-wide seed that unseeded things draw from.
"""

import secrets
import threading
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import host_random

_lock = threading.Lock()
_seed = None  # set by `set_seed`, else drawn from the operating system at first use
_drawn = 0


def set_seed(seed):
    """Starts the process-wide stream of seeds anew at `seed` (an int in [0, 2**32))."""
    global _seed, _drawn
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed: expected an integer in [0, 2**32), got {seed!r}.")
    with _lock:
        _seed, _drawn = int(seed), 0


def next_seed():
    """Draws the next int seed of the process-wide stream."""
    global _seed, _drawn
    with _lock:
        if _seed is None:
            _seed = secrets.randbits(32)
        _drawn += 1
        return int(np.random.SeedSequence((_seed, _drawn)).generate_state(1)[0] >> 1)


def next_key():
    """Draws a fresh JAX key from the process-wide stream."""
    return host_random.make_key(next_seed())


def fold(key, *parts):
    """Folds strings (by CRC-32) and ints into `key`: the key of that place.

    Example:
        >>> k = fold(jax.random.key(0), "encoder/dense", "kernel")
        >>> bool(k == fold(jax.random.key(0), "encoder/dense", "bias"))
        False
    """
    for part in parts:
        key = host_random.fold_in(key, zlib.crc32(part.encode()) if isinstance(part, str) else part)
    return key


def rows_draw(sample, key, rows, shape):
    """Draws `sample(key_of_row, shape[1:])` for every row of the batch.

    Row i of the result depends on (key, rows[i]) only, so that a batch split over devices or padded
    at its end sees the same numbers in the same rows.

    Args:
        sample: Function (key, shape) -> array, such as `jax.random.normal`.
        key: JAX key.
        rows: int32 [B], each row's place in the global batch.
        shape: Shape of the result; shape[0] is B.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, rows)
    return jax.vmap(lambda k: sample(k, tuple(shape[1:])))(keys)


def as_key(key):
    """Returns a JAX key for an int seed, a key of either kind, or None (drawn from the process-wide stream)."""
    if key is None:
        return next_key()
    return host_random.make_key(int(key)) if isinstance(key, (int, np.integer)) else jnp.asarray(key)
