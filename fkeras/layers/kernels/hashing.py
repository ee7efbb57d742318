"""Hashes of texts and whole numbers: FarmHash's fingerprint, SipHash, and fingerprints joined.

Each formula is written once, over numbers of 64 bits without a sign. They are NumPy's for columns of texts on the host,
and pairs of 32 bits (`Wide`) for whole numbers in a compiled program, where JAX has no such numbers by default.

References:
    Pike, "FarmHash", 2014 (`farmhashna::Hash64`, which is `Fingerprint64`).
    Aumasson & Bernstein, "SipHash: a fast short-input PRF", 2012 (SipHash-2-4).
"""

import jax
import jax.numpy as jnp
import numpy as np

K0, K1, K2 = map(np.uint64, (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
DIGITS = 11  # characters of a whole number of 32 bits, with its sign

# ------------------------------------------------------------------------------------- 64 bits in JAX


class Wide:
    """Whole numbers of 64 bits without a sign, in two JAX arrays of 32: the arithmetic that the hashes need."""

    __array_ufunc__ = None  # NumPy's constants leave the operators to this class

    def __init__(self, high, low):
        self.high, self.low = jnp.asarray(high, jnp.uint32), jnp.asarray(low, jnp.uint32)

    @classmethod
    def of(cls, value):
        """Returns a constant, or an array of whole numbers with their sign carried on, as `Wide`."""
        if isinstance(value, cls):
            return value
        if isinstance(value, (int, np.integer)):
            return cls(int(value) >> 32 & 0xFFFFFFFF, int(value) & 0xFFFFFFFF)
        return cls(-(value < 0).astype(jnp.uint32), value.astype(jnp.uint32))

    def __add__(self, other):
        other = Wide.of(other)
        low = self.low + other.low
        return Wide(self.high + other.high + (low < other.low), low)

    def __mul__(self, other):
        other = Wide.of(other)
        (a1, a0), (b1, b0) = ((n >> 16, n & 0xFFFF) for n in (self.low, other.low))
        middle = (a0 * b0 >> 16) + (a0 * b1 & 0xFFFF) + (a1 * b0 & 0xFFFF)
        above = a1 * b1 + (a0 * b1 >> 16) + (a1 * b0 >> 16) + (middle >> 16)
        return Wide(above + self.high * other.low + self.low * other.high, self.low * other.low)

    def __xor__(self, other):
        other = Wide.of(other)
        return Wide(self.high ^ other.high, self.low ^ other.low)

    def __or__(self, other):
        return Wide(self.high | other.high, self.low | other.low)

    def __rshift__(self, n):
        n = int(n)
        if n >= 32:
            return Wide(jnp.zeros_like(self.high), self.high >> n - 32)
        return Wide(self.high >> n, self.low >> n | self.high << 32 - n)

    def __lshift__(self, n):
        n = int(n)
        if n >= 32:
            return Wide(self.low << n - 32, jnp.zeros_like(self.low))
        return Wide(self.high << n | self.low >> 32 - n, self.low << n)

    __radd__, __rmul__, __rxor__ = __add__, __mul__, __xor__

    def __mod__(self, n):
        """The remainder by an int below 2 ** 31, as int32: long division, as many bits at a time as fit."""
        bits = 32 - int(n).bit_length()
        rest, left = jnp.zeros_like(self.low), 64
        while left:
            take = min(bits, left)
            left -= take
            rest = (rest << take | (self >> left if left else self).low & ((1 << take) - 1)) % jnp.uint32(n)
        return rest.astype(jnp.int32)


def choose(condition, a, b):
    """Returns `Wide` numbers of `a` where the condition holds, else of `b`."""
    return Wide(jnp.where(condition, a.high, b.high), jnp.where(condition, a.low, b.low))


# ---------------------------------------------------------------------------------------- the formulas


def _rotated(n, bits):
    """Rotated to the right."""
    return n >> np.uint64(bits) | n << np.uint64(64 - bits)


def _mixed(n):
    return n ^ (n >> np.uint64(47))


def _joined(u, v, factor):
    a = _mixed((u ^ v) * factor)
    return _mixed((v ^ a) * factor) * factor


def _farm_1_to_3(size, first, middle, last):
    return _mixed((first + (middle << np.uint64(8))) * K2 ^ (size + (last << np.uint64(2))) * K0) * K2


def _farm_4_to_7(size, first, last):
    return _joined(size + (first << np.uint64(3)), last, size * np.uint64(2) + K2)


def _farm_8_to_16(size, first, last):
    factor, a = size * np.uint64(2) + K2, first + K2
    return _joined(_rotated(last, 37) * factor + a, (_rotated(a, 25) + last) * factor, factor)


def _farm_17_to_32(size, word):
    factor = size * np.uint64(2) + K2
    a, b, c, d = word(0) * K1, word(8), word(-8) * factor, word(-16) * K2
    return _joined(_rotated(a + b, 43) + _rotated(c, 30) + d, a + _rotated(b + K2, 18) + c, factor)


def _farm_33_to_64(size, word):
    factor = size * np.uint64(2) + K2
    a, b, c, d = word(0) * K2, word(8), word(-8) * factor, word(-16) * K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _joined(y, a + _rotated(b + K2, 18) + c, factor)
    e, f, g, h = word(16) * factor, word(24), (y + word(-32)) * factor, (z + word(-24)) * factor
    return _joined(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, factor)


def _weak(w, x, y, z, a, b):
    a = a + w
    b, c = _rotated(b + a + z, 21), a
    a = a + x + y
    return a + z, b + _rotated(a, 44) + c


def _farm_round(word, state, factor, w2=1, v1=1):
    """One round over 64 bytes; the last one weighs two of its parts."""
    x, y, z, (v, vv), (w, ww) = state
    x = _rotated(x + y + v + word(8), 37) * factor
    y = _rotated(y + vv + word(48), 42) * factor
    x = x ^ ww * np.uint64(w2)
    y = y + v * np.uint64(v1) + word(40)
    z = _rotated(z + w, 33) * factor
    v2 = _weak(word(0), word(8), word(16), word(24), vv * factor, x + w)
    return z, y, x, v2, _weak(word(32), word(40), word(48), word(56), z + ww, y + word(16))


def _farm_long(size, word):
    """More than 64 bytes; `word(at)` reads at the places `at`, one for each text."""
    zero = np.zeros_like(size)
    x = zero + np.uint64(81)
    y = x * K1 + np.uint64(113)
    state = x * K2 + word(zero), y, _mixed(y * K2 + np.uint64(113)) * K2, (zero, zero), (zero, zero)
    rounds = (size - np.uint64(1)) >> np.uint64(6)
    for i in range(int(rounds.max(initial=0))):
        on, start = i < rounds, np.where(i < rounds, np.uint64(64 * i), zero)
        after = _farm_round(lambda at, start=start: word(start + np.uint64(at)), state, K1)
        state = jax.tree.map(lambda new, old, on=on: np.where(on, new, old), after, state)
    x, y, z, (v, vv), (w, ww) = state
    factor = K1 + ((z & np.uint64(255)) << np.uint64(1))
    w = w + (size - np.uint64(1) & np.uint64(63))
    v = v + w
    last = size - np.uint64(64)
    state = x, y, z, (v, vv), (w + v, ww)
    x, y, z, (v, vv), (w, ww) = _farm_round(lambda at: word(last + np.uint64(at)), state, factor, 9, 9)
    return _joined(_joined(v, w, factor) + _mixed(y) * K0 + z, _joined(vv, ww, factor) + x, factor)


def _sip_round(v):
    a, b, c, d = v
    a, c = a + b, c + d
    b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
    a, c = _rotated(a, 32) + d, c + b
    d, b = _rotated(d, 43) ^ a, _rotated(b, 47) ^ c
    return a, b, _rotated(c, 32), d


def _sip_start(key, like):
    """The state before the first word, in the form of the zeros `like`."""
    parts = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573
    return tuple(like ^ np.uint64(p ^ k & (1 << 64) - 1) for p, k in zip(parts, (*key, *key), strict=True))


def _sip_word(v, word):
    a, b, c, d = _sip_round(_sip_round((*v[:3], v[3] ^ word)))
    return a ^ word, b, c, d


def _sip_end(v):
    v = v[0], v[1], v[2] ^ np.uint64(0xFF), v[3]
    for _ in range(4):
        v = _sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def joined_fingerprints(first, second):
    """Returns one fingerprint for two: what crosses of features are hashed by.

    Source: `FingerprintCat64` of TensorFlow (core/platform/fingerprint.h).
    """
    factor = np.uint64(0xC6A4A7935BD1E995)
    found = first ^ factor
    found = (found ^ _mixed(second * factor) * factor) * factor
    return _mixed(_mixed(found) * factor)


# -------------------------------------------------------------------------------- of texts, on the host


class _Bytes:
    """Texts one after the other in memory, with where each begins and its size."""

    def __init__(self, texts):
        parts = [t.encode() if isinstance(t, str) else t for t in texts]
        self.size = np.array([len(p) for p in parts], np.uint64)
        self.start = np.concatenate([[0], np.cumsum(self.size)[:-1]]).astype(np.int64) if parts else self.size
        self.memory = np.frombuffer(b"".join([*parts, bytes(72)]), np.uint8)
        self.words = np.ndarray(len(self.memory) - 7, "<u8", self.memory, strides=(1,))  # at every byte

    def word(self, some):
        """Returns the function that reads 8 bytes of each of `some` texts, from its start or, below 0, its end."""
        start, size = self.start[some], self.size[some].astype(np.int64)

        def read(at):
            from_end = isinstance(at, int) and at < 0
            return self.words[start + (size + at if from_end else np.asarray(at).astype(np.int64))].astype(np.uint64)

        return read


def fingerprints(texts):
    """Returns FarmHash's 64-bit fingerprints of texts, as uint64 array.

    Args:
        texts: List or array of str or bytes.

    Example:
        >>> [hex(n) for n in fingerprints(["", "abc"])]
        ['0x9ae16a3b2f90404f', '0x24a5b3a074e7f369']
    """
    given = _Bytes(texts)
    size, found = given.size, np.full(len(given.size), K2, np.uint64)
    low = np.uint64(0xFFFFFFFF)
    for least, most in ((1, 3), (4, 7), (8, 16), (17, 32), (33, 64), (65, None)):
        some = np.flatnonzero((size >= least) & (size <= most if most else True))
        if not len(some):
            continue
        word, n, start = given.word(some), size[some], given.start[some]
        if most == 3:
            at = start, start + (n >> np.uint64(1)).astype(np.int64), start + n.astype(np.int64) - 1
            found[some] = _farm_1_to_3(n, *(given.memory[a].astype(np.uint64) for a in at))
        elif most == 7:
            found[some] = _farm_4_to_7(n, word(0) & low, word(-4) & low)
        elif most == 16:
            found[some] = _farm_8_to_16(n, word(0), word(-8))
        else:
            found[some] = {32: _farm_17_to_32, 64: _farm_33_to_64, None: _farm_long}[most](n, word)
    return found


def sip_hashes(texts, key):
    """Returns SipHash-2-4 of texts by a key of two ints, as uint64 array.

    Example:
        >>> hex(sip_hashes([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908))[0])
        '0xa129ca6149be45e5'
    """
    given = _Bytes(texts)
    size = given.size
    word, words = given.word(slice(None)), size >> np.uint64(3)
    v = _sip_start(key, np.zeros(len(size), np.uint64))
    for i in range(int(words.max(initial=0))):
        on = i < words
        at = np.where(on, np.uint64(8 * i), np.uint64(0))
        v = tuple(np.where(on, new, old) for new, old in zip(_sip_word(v, word(at)), v, strict=True))
    rest = np.uint64(8) * (size & np.uint64(7))  # bits of the last word that are of the text
    last = word(words << np.uint64(3)) & ((np.uint64(1) << rest) - np.uint64(1)) | size << np.uint64(56)
    return _sip_end(_sip_word(v, last))


def hashes(values, salt=None):
    """Returns hashes of texts, or of whole numbers as they are written, as uint64 array of the same shape.

    Args:
        values: NumPy array of str, bytes or ints.
        salt: Key of SipHash, two ints; None takes FarmHash's fingerprint.
    """
    values = np.asarray(values)
    flat = values.ravel().tolist()
    texts = [str(v) for v in flat] if values.dtype.kind in "iub" else flat
    found = fingerprints(texts) if salt is None else sip_hashes(texts, salt)
    return found.reshape(values.shape)


# -------------------------------------------------------------------------- of whole numbers, compiled


def number_hashes(values, salt=None):
    """Returns `hashes` of an int32 array, as `Wide`, in operations that JAX compiles."""
    text, size = _written(values)
    n = Wide.of(size)

    def word(start):
        at = start[..., None] + jnp.arange(8)
        held = jnp.take_along_axis(text, jnp.clip(at, 0, DIGITS - 1), -1)
        held = jnp.where(at < size[..., None], held, 0).astype(jnp.uint32)
        shifted = held << (8 * (jnp.arange(8) % 4)).astype(jnp.uint32)
        low, high = jnp.sum(shifted[..., :4], -1, dtype=jnp.uint32), jnp.sum(shifted[..., 4:], -1, dtype=jnp.uint32)
        return Wide(high, low)

    first = word(jnp.zeros_like(size))
    if salt is not None:
        v = _sip_start(salt, Wide.of(jnp.zeros_like(size)))
        some = _sip_word(v, first)
        long = size >= 8
        v = tuple(choose(long, new, old) for new, old in zip(some, v, strict=True))
        rest = word(jnp.where(long, 8, 0))
        return _sip_end(_sip_word(v, rest | Wide(size.astype(jnp.uint32) << 24, 0)))
    half = lambda w: Wide(jnp.zeros_like(w.low), w.low)  # noqa: E731
    byte = lambda w: Wide(jnp.zeros_like(w.low), w.low & 0xFF)  # noqa: E731
    short = _farm_1_to_3(n, byte(first), byte(word(size >> 1)), byte(word(size - 1)))
    middle = _farm_4_to_7(n, half(first), half(word(jnp.maximum(size - 4, 0))))
    long = _farm_8_to_16(n, first, word(jnp.maximum(size - 8, 0)))
    return choose(size >= 8, long, choose(size >= 4, middle, short))


def _written(values):
    """Returns (characters [..., DIGITS], how many there are) of int32 numbers as they are written."""
    values = jnp.asarray(values).astype(jnp.int32)
    minus = values < 0
    size = jnp.where(minus, (~values).astype(jnp.uint32) + 1, values.astype(jnp.uint32))  # also of the smallest one
    powers = np.array([10**i for i in range(DIGITS - 2, -1, -1)], np.uint32)
    digits = size[..., None] // powers % 10 + ord("0")  # [..., 10], zeros before the number
    count = jnp.maximum(jnp.sum(size[..., None] >= powers, -1), 1)
    at = jnp.arange(DIGITS) - minus[..., None] + (DIGITS - 1 - count[..., None])
    text = jnp.take_along_axis(digits, jnp.clip(at, 0, DIGITS - 2), -1)
    text = jnp.where(minus[..., None] & (jnp.arange(DIGITS) == 0), ord("-"), text)
    return text, (count + minus).astype(jnp.int32)
