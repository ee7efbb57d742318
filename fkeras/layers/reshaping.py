"""Layers that move numbers and leave them as they are: Flatten, Reshape, Permute, RepeatVector."""

import math
from typing import Any

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import positive_int, setting
from fkeras.layers.contract.base import Layer, Spec, layers


def _size(sizes):
    return None if None in sizes else math.prod(sizes)


class _Moved(Layer):
    """A layer whose output has the input's dtype and a shape that `moved(shape)` gives."""

    takes_ints = True

    def moved(self, shape):
        raise TypeError(f"{type(self).__name__} has no `moved(shape)`.")

    def check_input(self, shape):
        super().check_input(shape)
        self.moved(shape)

    def compute_output_spec(self, x):
        compute = self.dtype.compute_dtype
        return Spec(self.moved(tuple(x.shape)), compute if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype)


@layers.register
class Flatten(_Moved):
    """Flattens all axes but the batch axis into one, the channels varying fastest.

    Args:
        data_format: "channels_last", or "channels_first", which moves axis 1 to the end first.

    Input shape: [B, ...]. Output shape: [B, product of the others].

    Example:
        >>> Flatten()(jnp.ones((2, 3, 4))).shape
        (2, 12)
    """

    data_format: Any = setting(dtypes.data_format, None)

    def check_input(self, shape):
        if not shape:
            raise ValueError(f"{self.label}: expected an input with a batch axis, got a scalar.")

    def moved(self, shape):
        return (shape[0], _size(shape[1:]))

    def forward(self, params, state, x, ctx):
        if self.data_format == "channels_first" and x.ndim > 2:
            x = jnp.moveaxis(x, 1, -1)  # [B, C, ...] -> [B, ..., C]
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state


@layers.register
class Reshape(_Moved):
    """Gives each row another shape with as many numbers.

    Args:
        target_shape: Without the batch axis; one size may be -1: what is left.

    Example:
        >>> Reshape((2, -1))(jnp.ones((5, 6))).shape
        (5, 2, 3)
    """

    target_shape: tuple = setting(lambda s: tuple(-1 if d is None else int(d) for d in s))

    def check(self):
        if self.target_shape.count(-1) > 1 or any(d < 0 and d != -1 for d in self.target_shape):
            raise ValueError(
                f"{self.label}: expected sizes >= 0 in target_shape and at most one -1, got {self.target_shape}."
            )

    def moved(self, shape):
        size, known = _size(shape[1:]), math.prod(d for d in self.target_shape if d != -1)
        if -1 not in self.target_shape:
            fits, left = size is None or size == known, None
        else:
            fits = size is None or (size % known == 0 if known else size == 0)
            left = None if size is None else (size // known if known else 0)
        if not fits:
            many = " times a whole number" if -1 in self.target_shape else ""
            raise ValueError(
                f"{self.label}: an input of shape {tuple(shape)} has {size} numbers a row, which do not fill "
                f"target_shape {self.target_shape}: expected {known}{many}."
            )
        return (shape[0], *(left if d == -1 else d for d in self.target_shape))

    def forward(self, params, state, x, ctx):
        return x.reshape(self.moved(x.shape)), state


@layers.register
class Permute(_Moved):
    """Reorders the axes after the batch axis: output axis i is input axis dims[i - 1].

    Args:
        dims: The axes 1, 2, ..., in their new order.

    Example:
        >>> Permute((2, 1))(jnp.ones((5, 3, 4))).shape
        (5, 4, 3)
    """

    dims: tuple = setting(lambda dims: tuple(int(d) for d in dims))

    def check(self):
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self.label}: expected dims to be an order of 1..{len(self.dims)}, got {self.dims}. "
                f"The batch axis 0 stays first and is left out."
            )

    def moved(self, shape):
        if len(shape) != len(self.dims) + 1:
            raise ValueError(
                f"{self.label}: dims {self.dims} need an input of rank {len(self.dims) + 1}, got shape {tuple(shape)}."
            )
        return (shape[0], *(shape[d] for d in self.dims))

    def forward(self, params, state, x, ctx):
        return x.transpose(0, *self.dims), state


@layers.register
class RepeatVector(_Moved):
    """Repeats each row `n` times along a new time axis.

    Input shape: [B, C]. Output shape: [B, n, C].

    Example:
        >>> RepeatVector(3)(jnp.ones((2, 4))).shape
        (2, 3, 4)
    """

    n: int = setting(positive_int)
    rank = (2, "[B, C]")

    def moved(self, shape):
        return (shape[0], self.n, *shape[1:])

    def forward(self, params, state, x, ctx):
        return jnp.broadcast_to(x[:, None], (x.shape[0], self.n, x.shape[1])), state
