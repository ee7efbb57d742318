"""Layers that make one array of several, and the same as functions: `add([a, b])` is `Add()([a, b])`."""

import functools
import operator
from typing import Any

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import setting
from fkeras.layers.contract.base import Layer, Spec, layers

# -------------------------------------------------------------------------------------- pure functions


def align(arrays):
    """Gives arrays of different rank one rank: axes of size 1 are put in after the batch axis.

    Example:
        >>> [a.shape for a in align([jnp.ones((2, 5, 3)), jnp.ones((2, 3))])]
        [(2, 5, 3), (2, 1, 3)]
    """
    ndim = max(a.ndim for a in arrays)
    return [a.reshape(a.shape[:1] + (1,) * (ndim - a.ndim) + a.shape[1:]) for a in arrays]


def merge_masked(function, arrays, masks):
    """Folds `function` over arrays; a masked step of one takes the value of the others.

    Args:
        function: Function of two arrays, such as `jnp.maximum`.
        arrays: List of arrays [B, T, ...].
        masks: List of bool arrays [B, T] or None, one an array.

    Example:
        >>> a, b = jnp.ones((1, 2, 1)), 3 * jnp.ones((1, 2, 1))
        >>> merge_masked(jnp.maximum, [a, b], [None, jnp.array([[True, False]])]).tolist()
        [[[3.0], [1.0]]]
    """

    out, known = arrays[0], _spread(masks[0], arrays[0])
    for x, mask in zip(arrays[1:], masks[1:], strict=True):
        mask = _spread(mask, x)
        x = x if mask is None else jnp.where(mask, x, out)
        out = out if known is None else jnp.where(known, out, x)
        known = known | mask if known is not None and mask is not None else None
        out = function(out, x)
    return out


def multiply_masked(arrays, masks):
    """Multiplies arrays; a masked step of one counts as 1, and a step masked in all gives 0.

    Args:
        arrays: List of arrays [B, T, ...].
        masks: List of bool arrays [B, T] or None, one an array.

    Example:
        >>> a, b = 2 * jnp.ones((1, 2, 1)), 3 * jnp.ones((1, 2, 1))
        >>> multiply_masked([a, b], [None, jnp.array([[True, False]])]).tolist()
        [[[6.0], [2.0]]]
    """
    masks = [_spread(mask, x) for mask, x in zip(masks, arrays, strict=True)]
    kept = [x if m is None else jnp.where(m, x, jnp.ones((), x.dtype)) for m, x in zip(masks, arrays, strict=True)]
    out = functools.reduce(jnp.multiply, kept)
    if any(m is None for m in masks):
        return out
    return jnp.where(functools.reduce(operator.or_, masks), out, jnp.zeros((), out.dtype))


def _spread(mask, x):
    """[B, T] -> [B, T, 1, ...] of the rank of `x`; None stays."""
    return None if mask is None else mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def batch_dot(x, y, axes, normalize=False):
    """Sums the products of two arrays along one axis of each, row by row of the batch.

    Args:
        x, y: Float arrays [B, ...].
        axes: Pair of ints: the axis of `x` and that of `y`; not the batch axis.
        normalize: Divides by the Euclidean lengths along these axes first: the cosine.

    Returns:
        [B, other axes of x, other axes of y]; [B, 1] where no other axes are left.

    Example:
        >>> batch_dot(jnp.ones((2, 3, 5)), jnp.ones((2, 10, 3)), (1, 2)).shape
        (2, 5, 10)
    """
    i, j = axes[0] % x.ndim, axes[1] % y.ndim
    if normalize:
        least = dtypes.epsilon() ** 2
        x = x / jnp.sqrt(jnp.maximum(jnp.sum(x * x, i, keepdims=True), least))
        y = y / jnp.sqrt(jnp.maximum(jnp.sum(y * y, j, keepdims=True), least))
    over_x, over_y = list(range(x.ndim)), [0, *range(x.ndim, x.ndim + y.ndim - 1)]
    over_y[j] = i
    kept = [a for a in over_x if a != i] + [a for a in over_y[1:] if a != i]
    out = jnp.einsum(x, over_x, y, over_y, kept)
    return out[:, None] if out.ndim == 1 else out


# --------------------------------------------------------------------------------------------- layers


class Merge(Layer):
    """Base of layers that merge a list of inputs place by place; subclasses write `merge(arrays)`."""

    takes_ints = True
    supports_masking = True
    exactly = None  # number of inputs, where only one is right

    def merge(self, arrays):
        raise TypeError(f"{type(self).__name__} has no `merge(arrays)`.")

    def forward(self, params, state, x, ctx):
        return self.merge(align(list(x))), state

    def check_input(self, shape):
        if not isinstance(shape, (list, tuple)) or not shape or not all(isinstance(s, (list, tuple)) for s in shape):
            raise ValueError(f"{self.label}: expected a list of inputs, got one of shape {shape}. Try layer([a, b]).")
        if self.exactly is not None and len(shape) != self.exactly:
            raise ValueError(f"{self.label}: expected {self.exactly} inputs, got {len(shape)}: shapes {list(shape)}.")
        if len(batches := {s[0] for s in shape if s} - {None}) > 1:
            raise ValueError(f"{self.label}: the inputs' batches differ in size, {sorted(batches)}: {list(shape)}.")
        self.merged(shape)

    def merged(self, shapes):
        """Returns the output's shape; a size of None or 1 gives way to the others'."""
        ndim = max(map(len, shapes))
        wide = [(s[0], *(1 for _ in range(ndim - len(s))), *s[1:]) for s in shapes]
        out = []
        for axis, sizes in enumerate(zip(*wide, strict=True)):
            known = {d for d in sizes if d not in (None, 1)}
            if len(known) > 1:
                raise ValueError(
                    f"{self.label}: the inputs do not fit each other on axis {axis}, sizes {list(sizes)}: shapes "
                    f"{[tuple(s) for s in shapes]}."
                )
            out.append(known.pop() if known else None if None in sizes else 1)
        return tuple(out)

    def compute_output_spec(self, x):
        self.check_input([tuple(s.shape) for s in x])
        compute = self.dtype.compute_dtype
        kinds = [compute if jnp.issubdtype(s.dtype, jnp.floating) else s.dtype for s in x]
        return Spec(self.merged([tuple(s.shape) for s in x]), self.result_dtype(jnp.result_type(*kinds)))

    def result_dtype(self, dtype):
        return dtype

    def compute_mask(self, inputs, mask=None):
        masks = self._masks(inputs, mask)
        return None if any(m is None for m in masks) else functools.reduce(jnp.logical_or, masks)

    def _masks(self, inputs, mask):
        """Returns the list of the inputs' masks. Raises ValueError where it does not fit the inputs."""
        lists = [isinstance(one, (list, tuple)) for one in (inputs, mask)]
        if not lists[0] or (mask is not None and (not lists[1] or len(mask) != len(inputs))):
            raise ValueError(
                f"{self.label}: compute_mask expected a list of inputs, and a list of as many masks, got "
                f"{_counted(inputs)} and {_counted(mask)}."
            )
        return [None if m is None else jnp.asarray(m) for m in mask or [None] * len(inputs)]


@layers.register
class Add(Merge):
    """Sum of a list of inputs.

    Inputs of lower rank get axes of size 1 after the batch axis; sizes of 1 broadcast. A step is masked where it is
    masked in all inputs.

    Example:
        >>> Add()([jnp.array([1.0]), jnp.array([2.0])]).tolist()
        [3.0]
    """

    def merge(self, arrays):
        return functools.reduce(jnp.add, arrays)


@layers.register
class Subtract(Merge):
    """First of two inputs minus the second.

    Example:
        >>> Subtract()([jnp.array([1.0]), jnp.array([2.0])]).tolist()
        [-1.0]
    """

    exactly = 2

    def merge(self, arrays):
        return jnp.subtract(*arrays)


@layers.register
class Multiply(Merge):
    """Product of a list of inputs; steps masked in one input do not take part, those masked in all give 0.

    Example:
        >>> Multiply()([jnp.array([3.0]), jnp.array([2.0])]).tolist()
        [6.0]
    """

    def forward(self, params, state, x, ctx):
        return multiply_masked(align(list(x)), _masks(ctx, x)), state


@layers.register
class Average(Merge):
    """Mean of a list of inputs.

    Example:
        >>> Average()([jnp.array([1.0]), jnp.array([2.0])]).tolist()
        [1.5]
    """

    def merge(self, arrays):
        return functools.reduce(jnp.add, arrays) / len(arrays)

    def result_dtype(self, dtype):
        return dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.dtype("float32")


def _counted(given):
    return f"a list of {len(given)}" if isinstance(given, (list, tuple)) else type(given).__name__


def _masks(ctx, x):
    return list(ctx.mask) if isinstance(ctx.mask, (list, tuple)) else [None] * len(x)


class _Extreme(Merge):
    def forward(self, params, state, x, ctx):
        return merge_masked(type(self).pick, align(list(x)), _masks(ctx, x)), state


@layers.register
class Maximum(_Extreme):
    """Largest of a list of inputs, place by place; steps masked in one input do not take part.

    Example:
        >>> Maximum()([jnp.array([1.0]), jnp.array([2.0])]).tolist()
        [2.0]
    """

    pick = staticmethod(jnp.maximum)


@layers.register
class Minimum(_Extreme):
    """Smallest of a list of inputs, place by place; steps masked in one input do not take part.

    Example:
        >>> Minimum()([jnp.array([1.0]), jnp.array([2.0])]).tolist()
        [1.0]
    """

    pick = staticmethod(jnp.minimum)


@layers.register
class Concatenate(Merge):
    """Joins inputs along `axis`.

    Example:
        >>> Concatenate()([jnp.ones((2, 3)), jnp.ones((2, 4))]).shape
        (2, 7)
    """

    axis: int = setting(int, -1)

    def merged(self, shapes):
        ranks = {len(s) for s in shapes}
        if len(ranks) > 1:
            raise ValueError(f"{self.label}: the inputs differ in rank: shapes {[tuple(s) for s in shapes]}.")
        ndim = ranks.pop()
        if not -ndim <= self.axis < ndim:
            raise ValueError(f"{self.label}: axis {self.axis} does not exist in inputs of rank {ndim}.")
        out = []
        for axis, sizes in enumerate(zip(*shapes, strict=True)):
            known = {d for d in sizes if d is not None}
            if axis == self.axis % ndim:
                out.append(None if None in sizes else sum(sizes))
            elif len(known) > 1:
                raise ValueError(
                    f"{self.label}: the inputs may differ on axis {self.axis % ndim} only, but have sizes "
                    f"{list(sizes)} on axis {axis}: shapes {[tuple(s) for s in shapes]}."
                )
            else:
                out.append(known.pop() if known else None)
        return tuple(out)

    def check_input(self, shape):
        if self.axis == 0:  # batches may differ where they are what is joined
            self.merged(shape)
        else:
            super().check_input(shape)

    def forward(self, params, state, x, ctx):
        return jnp.concatenate(list(x), self.axis), state

    def compute_mask(self, inputs, mask=None):
        masks = self._masks(inputs, mask)
        if all(m is None for m in masks):
            return None
        wide = [
            jnp.ones(a.shape, bool)
            if m is None
            else m
            if m.ndim == a.ndim
            else _spread(m, a) | jnp.zeros(a.shape, bool)
            for a, m in zip(inputs, masks, strict=True)
        ]
        joined = jnp.concatenate(wide, self.axis)
        return jnp.any(joined, axis=-1) if joined.ndim < 3 else jnp.any(joined, axis=tuple(range(2, joined.ndim)))


@layers.register
class Dot(Merge):
    """Sums the products of two inputs along one axis of each.

    Args:
        axes: Axis of both, or the pair (axis of the first, axis of the second); not the batch axis 0.
        normalize: Divides by the lengths along the axes first, which gives the cosine.

    Input shape: two of [B, ...]. Output shape: [B, other axes of both]; [B, 1] for two of [B, C]. The mask ends here.

    Example:
        >>> Dot(axes=1)([jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]])]).tolist()
        [[11.0]]
    """

    axes: Any
    normalize: bool = False
    exactly = 2

    def check(self):
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        if not isinstance(pair, (list, tuple)):
            raise TypeError(f"{self.label}: expected axes as an int or a pair of ints, got {self.axes!r}.")
        if len(pair) != 2 or not all(isinstance(a, int) for a in pair):
            raise ValueError(f"{self.label}: expected axes as an int or a pair of ints, got {self.axes!r}.")
        if 0 in pair:
            raise ValueError(f"{self.label}: axis 0 is the batch and cannot be summed over, got axes {self.axes!r}.")
        object.__setattr__(self, "_pair", tuple(pair))

    def merged(self, shapes):
        for a, s in zip(self._pair, shapes, strict=True):
            if not -len(s) < a < len(s):
                raise ValueError(f"{self.label}: axis {a} is not one after the batch axis of shape {tuple(s)}.")
        i, j = (a % len(s) for a, s in zip(self._pair, shapes, strict=True))
        if None not in (shapes[0][i], shapes[1][j]) and shapes[0][i] != shapes[1][j]:
            raise ValueError(
                f"{self.label}: axis {i} of {tuple(shapes[0])} and axis {j} of {tuple(shapes[1])} differ in size, "
                f"{shapes[0][i]} and {shapes[1][j]}."
            )
        batch = shapes[0][0] if shapes[0][0] is not None else shapes[1][0]
        rest = [d for a, d in enumerate(shapes[0]) if a not in (0, i)]
        rest += [d for a, d in enumerate(shapes[1]) if a not in (0, j)]
        return (batch, *(rest or [1]))

    def forward(self, params, state, x, ctx):
        return batch_dot(*x, self._pair, self.normalize), state

    def compute_mask(self, inputs, mask=None):
        return None


# ------------------------------------------------------------------------------------- as functions


def add(inputs, **kwargs):
    """Sum of a list of arrays or symbols: `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """First of two minus the second: `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """Product of a list: `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """Mean of a list: `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """Largest of a list, place by place: `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """Smallest of a list, place by place: `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """Joins a list along `axis`: `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Sums products of two along `axes`: `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
