"""Randomness as a function of (seed, path, row): never of call order or of the number of devices.

A key is derived by folding in where it is used: the path of the layer (its CRC-32), the step, the row of the
global batch. The only remembered number is the process-wide seed that unseeded things draw from.
"""

import contextlib
import random
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


def named_words(name):
    """Returns ints that follow from the process's seed and a name; the stream does not move."""
    global _seed
    with _lock:
        if _seed is None:
            _seed = secrets.randbits(32)
        return _seed, zlib.crc32(name.encode())


def position():
    """Returns where the process-wide stream of seeds stands, for `set_position`."""
    return _seed, _drawn


def set_position(where):
    """Puts the process-wide stream of seeds where it stood."""
    global _seed, _drawn
    with _lock:
        _seed, _drawn = where


def streams():
    """Returns the states of NumPy's and Python's global generators, which data sets of one's own draw from."""
    return {"numpy": np.random.get_state(legacy=False), "python": random.getstate()}


def set_streams(states):
    """Puts NumPy's and Python's global generators where they stood."""
    np.random.set_state(states["numpy"])
    random.setstate(states["python"])


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


def rows_draw(sample, key, rows, shape, *params):
    """Draws `sample(key_of_row, shape[1:], *params of the row)` for every row of the batch.

    Row i of the result depends on (key, rows[i]) only, so that a batch split over devices or padded
    at its end sees the same numbers in the same rows.

    Args:
        sample: Function (key, shape) -> array, such as `jax.random.normal`.
        key: JAX key.
        rows: int32 [B], each row's place in the global batch.
        shape: Shape of the result; shape[0] is B.
        params: Arrays [B, ...].
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, rows)
    return jax.vmap(lambda k, *own: sample(k, tuple(shape[1:]), *own))(keys, *params)


class Place:
    """Where numbers are drawn from inside a layer's `call`, or a loss: a key for each draw, and one for each row.

    Args:
        key: Function () -> the key of this place.
        batch: Rows of the batch; what has as many entries is drawn row by row.
        rows: int32 [B], each row's number in the global batch, or None for 0..B-1.
    """

    def __init__(self, key, batch=None, rows=None):
        self.key, self.batch, self.rows, self.draws = key, batch, rows, 0

    def next_key(self, seed=None):
        """Returns the key of the next draw."""
        self.draws += 1
        return fold(self.key(), "draw", self.draws if seed is None else seed, *([] if seed is None else [self.draws]))


_places = threading.local()


@contextlib.contextmanager
def drawing(place):
    """Within the `with`, `draw` draws from this `Place`."""
    before = _places.__dict__.get("now")
    _places.now = place
    try:
        yield
    finally:
        _places.now = before


def place():
    """Returns the `Place` of the layer that runs now, or None."""
    return _places.__dict__.get("now")


def draw(sample, shape, seed=None, *params):
    """Draws `sample(key, shape, *params)`: inside a layer from the step's key, row by row where `shape` has the batch.

    Args:
        sample: Function such as `jax.random.normal`.
        shape: Tuple.
        seed: None or something with `next()`: other numbers at every call. An int or a key: the same ones.
        params: Arrays that broadcast to `shape`, one value for each number drawn.
    """
    shape, now = tuple(shape), place()
    if now is None or not (seed is None or hasattr(seed, "next")):
        return sample(seed.next() if hasattr(seed, "next") else as_key(seed), shape, *params)
    key = now.next_key(getattr(seed, "seed", None))
    if not shape or shape[0] != now.batch:
        return sample(key, shape, *params)
    rows = jnp.arange(shape[0]) if now.rows is None else now.rows
    return rows_draw(sample, key, rows, shape, *(jnp.broadcast_to(p, shape) for p in params))


def as_key(key):
    """Returns a JAX key for an int seed, a key of either kind, or None (drawn from the process-wide stream)."""
    if key is None:
        return next_key()
    return host_random.make_key(int(key)) if isinstance(key, (int, np.integer)) else jnp.asarray(key)
