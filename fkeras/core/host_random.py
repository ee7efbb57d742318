"""What `jax.random` draws, computed by NumPy where the key is at hand: the same bits, and nothing to compile.

A program that draws one weight takes XLA 0.2 s to compile and a millisecond to run, and every shape needs its own. So
outside of a trace the counter-based generator runs on the host. Under a trace, and for keys of another kind than JAX's
default, `jax.random` itself is called.

Reference:
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011 (Threefry-2x32 with 20 rounds); Giles,
    "Approximating the erfinv Function", 2010, table 5, for normal numbers from uniform ones.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
LARGEST = 1 << 22  # numbers: more than these an optimized program draws sooner, its compilation included
_CHUNK = 1 << 15  # numbers worked on at a time, so that they stay in the processor's cache
_CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
            -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
_TAILS = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
          0.00943887047, 1.00167406, 2.83297682)  # fmt: skip


def uniform(key, shape, dtype, minval=0.0, maxval=1.0):
    """As `jax.random.uniform`, to the last bit."""
    words = _words(key, shape, dtype)
    if words is None:
        return jax.random.uniform(key, shape, dtype, minval, maxval)
    minval, maxval = np.float32(minval), np.float32(maxval)
    unit = (_bits(words, math.prod(shape)) >> 9 | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    return np.maximum(minval, unit * (maxval - minval) + minval).reshape(shape)


def normal(key, shape, dtype):
    """As `jax.random.normal`, up to rounding."""
    if _words(key, shape, dtype) is None:
        return jax.random.normal(key, shape, dtype)
    return np.float32(math.sqrt(2)) * _erf_inv(uniform(key, shape, dtype, np.nextafter(np.float32(-1), np.float32(0))))


def truncated_normal(key, lower, upper, shape, dtype):
    """As `jax.random.truncated_normal`, up to rounding."""
    if _words(key, shape, dtype) is None:
        return jax.random.truncated_normal(key, lower, upper, shape, dtype)
    ends = [math.erf(end / math.sqrt(2)) for end in (lower, upper)]
    values = np.float32(math.sqrt(2)) * _erf_inv(uniform(key, shape, dtype, *ends))
    lower, upper = np.float32(lower), np.float32(upper)
    return np.clip(values, np.nextafter(lower, np.float32(np.inf)), np.nextafter(upper, np.float32(-np.inf)))


def make_key(seed):
    """As `jax.random.key`, for an int `seed`."""
    if jax.config.jax_default_prng_impl != "threefry2x32" or not 0 <= seed < 2**32:
        return jax.random.key(seed)
    return jax.random.wrap_key_data(np.array([0, seed], np.uint32), impl="threefry2x32")


def fold_in(key, data):
    """As `jax.random.fold_in`, to the last bit, for an int `data`."""
    words = key_words(key)
    if words is None or isinstance(data, jax.core.Tracer):
        return jax.random.fold_in(key, data)
    folded = threefry(words, np.zeros(1, np.uint32), np.array([data], np.int64).astype(np.uint32))
    folded = np.concatenate(folded)
    return jax.random.wrap_key_data(folded, impl="threefry2x32") if _is_typed(key) else jnp.asarray(folded)


def key_words(key):
    """Returns the two words of a default key that is at hand, or None for others."""
    if isinstance(key, jax.core.Tracer):
        return None
    if _is_typed(key):
        if str(jax.random.key_impl(key)) != "threefry2x32":
            return None
        key = jax.random.key_data(key)
        if isinstance(key, jax.core.Tracer):  # a key at hand, but within a trace, where all operations are traced
            return None
    words = np.asarray(key)
    return words if words.shape == (2,) and words.dtype == np.uint32 else None


def _is_typed(key):
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key)


def _words(key, shape, dtype):
    """Returns the words of a key that NumPy may draw with, or None where `jax.random` has to."""
    usual = jnp.dtype(dtype) == np.float32 and jax.config.jax_threefry_partitionable
    return key_words(key) if usual and math.prod(shape) <= LARGEST else None


def _bits(words, n):
    """Returns n random uint32: number i is the two halves of Threefry of the counter i, xored."""
    out = np.empty(n, np.uint32)
    for start in range(0, n, _CHUNK):
        counter = np.arange(start, min(start + _CHUNK, n), dtype=np.uint64)
        high, low = threefry(words, (counter >> 32).astype(np.uint32), counter.astype(np.uint32))
        np.bitwise_xor(high, low, out=out[start : start + _CHUNK])
    return out


def threefry(words, x0, x1):
    """Returns the two uint32 arrays that Threefry-2x32 makes of the counters `x0`, `x1` under the key `words`."""
    keys = [np.uint32(words[0]), np.uint32(words[1])]
    keys.append(keys[0] ^ keys[1] ^ np.uint32(0x1BD11BDA))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for block in range(5):
        for by in _ROTATIONS[block % 2]:
            x0 += x1
            x1 = (x1 << np.uint32(by)) | (x1 >> np.uint32(32 - by))
            x1 ^= x0
        x0 += keys[(block + 1) % 3]
        x1 += np.uint32((int(keys[(block + 2) % 3]) + block + 1) % 2**32)
    return x0, x1


def _erf_inv(x):
    """Returns the inverse of the error function of float32 `x` in (-1, 1)."""
    w = -np.log1p(-x * x)
    central = w < 5
    w = np.where(central, w - np.float32(2.5), np.sqrt(np.maximum(w, 5)) - np.float32(3))
    total = np.zeros_like(w)
    for inner, outer in zip(_CENTRAL, _TAILS, strict=True):
        total = total * w + np.where(central, np.float32(inner), np.float32(outer))
    return total * x
