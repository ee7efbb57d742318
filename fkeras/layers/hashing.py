"""Categories without a vocabulary: texts and whole numbers become one of so many bins by a hash."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.settings import choice, positive_int, setting
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.host import HostLayer, host_policy
from fkeras.layers.contract.shapes import Spec
from fkeras.layers.contract.texts import is_text, utf8
from fkeras.layers.kernels import hashing
from fkeras.layers.lookup import read_salt
from fkeras.layers.preprocessing import dense_only, encode_categories, encode_on_host, encoded_shape

CROSS = 0xDECAFCAFFE  # what the fingerprint of a cross begins with

# -------------------------------------------------------------------------------------- pure functions


def hashed(x, bins, salt=None, mask=None):
    """Returns a bin in [0, bins) for each text or whole number.

    Args:
        x: NumPy array of texts or ints, or an int array of JAX's: the same bins.
        bins: How many.
        salt: Key of SipHash, two ints; None takes FarmHash.
        mask: Value that gets bin 0, which then no other gets; None for none.

    Example:
        >>> hashed(np.array(["a", "b"], object), 4).tolist(), hashed(jnp.array([7]), 4) == hashed(np.array([7]), 4)
        ([3, 2], Array([ True], dtype=bool))
    """
    if isinstance(x, np.ndarray):
        text = is_text(x)
        given = np.array(utf8(x) if text else x.ravel().tolist(), object if text else np.int64)
        divisor = np.uint64(max(bins - (mask is not None), 1))
        found = (hashing.hashes(given, salt) % divisor).astype(np.int32).reshape(x.shape)
        if mask is None:
            return found
        masked = np.array([v == utf8(mask)[0] for v in given.tolist()], bool) if text else given == mask
        return np.where(masked.reshape(x.shape), 0, found + 1).astype(np.int32)
    found = hashing.number_hashes(x, salt) % max(bins - (mask is not None), 1)
    return found if mask is None else jnp.where(x == mask, 0, found + 1)


def crossed(columns, bins):
    """Returns a bin in [0, bins) for each row of several columns of texts or whole numbers, by all of them together.

    Args:
        columns: Arrays of one shape: NumPy's of texts or ints, or int arrays of JAX's.

    Example:
        >>> crossed([np.array(["A", "B"]), np.array([101, 102])], 5).tolist()
        [1, 1]
    """
    on_host = isinstance(columns[0], np.ndarray)
    joined = None
    for x in columns:
        if not on_host:
            own = hashing.Wide.of(x)
        else:
            own = hashing.hashes(np.array([*utf8(x), b""], object))[:-1] if is_text(x) else x.astype(np.int64).ravel()
            own = own.astype(np.uint64)
        if joined is None:
            joined = np.full(own.shape, CROSS, np.uint64) if on_host else hashing.Wide.of(CROSS)
        joined = hashing.joined_fingerprints(joined, own)
    if not on_host:
        return joined % bins
    return (joined % np.uint64(bins)).astype(np.int32).reshape(columns[0].shape)


# --------------------------------------------------------------------------------------------- layers


def _bins(value):
    if value is None or positive_int(value) >= 1 << 31:
        raise ValueError(f"expected a positive integer below 2**31, got {value!r}.")
    return positive_int(value)


class HashingLayer(HostLayer):
    """Base of `Hashing` and `HashedCrossing`: bins, or vectors of them."""

    only_host = False
    takes_ints = "only"
    rows_meet = False

    def _host_encoded(self, bins):
        if self.output_mode == "int":
            return bins
        return encode_on_host(bins, self.num_bins, self.output_mode, self.dtype.compute_dtype)

    def _encoded(self, bins):
        if self.output_mode == "int":
            return bins
        return encode_categories(bins, self.num_bins, self.output_mode, dtype=self.dtype.compute_dtype)

    def _encoded_spec(self, shape):
        if self.output_mode == "int":
            return Spec(shape, "int32")
        return Spec(encoded_shape(shape, self.num_bins, self.output_mode, self.label), self.dtype.compute_dtype)

    def _whole(self, x):
        """Raises ValueError for data that are neither text nor numbers."""
        if is_text(x) or x.dtype.kind in "iub":
            return x
        raise ValueError(f"{self.label}: expected text or whole numbers, got data of dtype {x.dtype}.")

    def get_config(self):
        config = super().get_config()
        return config | {"dtype": "int64"} if self.output_mode == "int" else config


@layers.register
class Hashing(HashingLayer):
    """Puts texts or whole numbers into bins by a hash, without a vocabulary.

    Args:
        num_bins: How many bins, the mask's included.
        mask_value: Text or number that gets bin 0, which then no other gets; None for none.
        salt: Key of the hash: an int or two. None takes another hash, without a key.
        output_mode: "int", "one_hot", "multi_hot" or "count"; see `CategoryEncoding`.
        sparse: Only False: JAX has dense arrays alone.

    Texts are read on the host, ahead of the compiled part of a model; whole numbers are hashed anywhere in a graph.

    Example:
        >>> Hashing(3)(np.array([["A"], ["B"], ["C"]])).tolist()
        [[1], [0], [1]]

    Reference:
        As Keras 3: FarmHash's 64-bit fingerprint, or SipHash-2-4 with a salt, of the text or of the number as written.
    """

    num_bins: int = setting(_bins)
    mask_value: Any = None
    salt: Any = setting(read_salt, None)
    output_mode: str = setting(choice("int", "one_hot", "multi_hot", "count"), "int")
    sparse: bool = setting(dense_only, False)

    def host(self, x):
        x = self._whole(x) if x.dtype.kind != "f" else x.astype(np.int64)
        mask = self.mask_value
        if mask is not None and is_text(x) != isinstance(mask, (str, bytes)):
            raise ValueError(f"{self.label}: mask_value={mask!r} is of another kind than the input, {x.dtype}.")
        return self._host_encoded(hashed(x, self.num_bins, self.salt, mask))

    def forward(self, params, state, x, ctx):
        return self._encoded(hashed(x.astype(jnp.int32), self.num_bins, self.salt, self.mask_value)), state

    def host_spec(self, x):
        return self._encoded_spec(x.shape)


@layers.register
class HashedCrossing(HashingLayer):
    """Puts combinations of several categories into bins by a hash.

    Args:
        num_bins: How many bins.
        output_mode: "int" or "one_hot".
        sparse: Only False: JAX has dense arrays alone.

    Input: a list of two or more columns [B] or [B, 1] of texts or whole numbers.

    Example:
        >>> HashedCrossing(5)([np.array(["A", "B", "A"]), np.array([101, 102, 101])]).tolist()
        [1, 1, 1]

    Reference:
        As Keras 3: FarmHash's fingerprints of texts, and whole numbers themselves, joined one after the other.
    """

    num_bins: int = setting(_bins)
    output_mode: str = setting(choice("int", "one_hot"), "int")
    sparse: bool = setting(dense_only, False)
    name: str = setting(default=None)
    dtype: Any = setting(host_policy, None, saved=False)

    def check_input(self, shape):
        self._check_columns(list(shape) if isinstance(shape, (list, tuple)) and all(map(_is_shape, shape)) else [])

    def _check_columns(self, shapes):
        if len(shapes) < 2:
            raise ValueError(f"{self.label}: expected a list of two or more columns to cross, got {len(shapes)}.")
        for shape in shapes:
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1) or len(shape) != len(shapes[0]):
                shown = ", ".join(map(str, shapes))
                raise ValueError(f"{self.label}: expected columns [B] or [B, 1] of one rank, got shapes {shown}.")

    def host(self, x):
        columns = [self._whole(a) for a in x]
        self._check_columns([a.shape for a in columns])
        return self._host_encoded(crossed(columns, self.num_bins))

    def forward(self, params, state, x, ctx):
        return self._encoded(crossed([a.astype(jnp.int32) for a in x], self.num_bins)), state

    def host_spec(self, x):
        columns = list(x)
        self._check_columns([tuple(s.shape) for s in columns])
        for s in columns:
            if s.dtype != dtypes.STRING and s.dtype.kind not in "iub":
                raise ValueError(f"{self.label}: expected text or whole numbers, got a symbol of {s.dtype}.")
        return self._encoded_spec(columns[0].shape)


def _is_shape(shape):
    return isinstance(shape, (tuple, list))
