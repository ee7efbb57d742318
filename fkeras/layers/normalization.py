"""Normalization over the batch, over features, over groups of channels, to unit length, and of a kernel's norm.

Statistics and the arithmetic around them are float32 for half-precision inputs, and so are the weights; results have
the layer's compute dtype.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fkeras import initializers
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import positive_int, setting
from fkeras.core.symbol import is_symbolic
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, Spec, Weight, layers
from fkeras.layers.contract.shapes import shapes_of
from fkeras.layers.contract.variables import Variable
from fkeras.layers.contract.weight_settings import GammaBeta, GammaBetaInitializers, GammaBetaPenalties, weight
from fkeras.layers.kernels.convolution import chosen, gradient_once

# -------------------------------------------------------------------------------------- pure functions


def batch_moments(x, axes, real=None, sum_devices=lambda value: value, shift=None):
    """Takes mean and variance of `x` over `axes` in one pass, around a value that lies among the data.

        d = x - shift,  mean = shift + E[d],  variance = E[d^2] - E[d]^2

    With `first_row_mean` as `shift` this is as fast as E[x^2] - E[x]^2 and does not cancel when the mean is large
    against the deviation (a column of years), nor when what does not count lies far away (zeros before the first real
    time step).

    Args:
        x: Float array of at least float32.
        axes: Tuple of axes to reduce.
        real: Bool array that broadcasts to `x`: what counts; None for all.
        sum_devices: Function (tree) -> tree that sums over devices.
        shift: What `first_row_mean` returned, if it is known.

    Returns:
        (mean, variance), each with `axes` of size 1. Variance divides by the count. Where nothing counts, it is 0.

    Example:
        >>> [moment.item() for moment in batch_moments(jnp.array([[1.0], [3.0]]), (0,))]
        [2.0, 1.0]

    Reference:
        Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", 1983: shifted data (eq. 1.6) within a
        device, pairwise combination (eq. 2.1) between devices.
    """
    shift = first_row_mean(x, axes, real) if shift is None else shift
    d = x - shift
    # First over the axes that `real` says nothing of, for each row alone: the mask then meets a small array only.
    inner = tuple(a for a in axes if a > 0 and (real is None or real.shape[a] == 1))
    outer = tuple(a for a in axes if a not in inner)

    def total(value):
        value = jnp.sum(value, inner, keepdims=True)
        return jnp.sum(value if real is None else jnp.where(real, value, 0), outer, keepdims=True)

    count = jnp.ones((), x.dtype) if real is None else jnp.sum(real, axes, x.dtype, keepdims=True)
    count = count * math.prod(x.shape[a] // (1 if real is None else real.shape[a]) for a in axes)
    some = jnp.maximum(count, 1)
    offset = total(d) / some
    variance = jnp.maximum(total(d * d) / some - offset * offset, 0)
    own = shift + offset
    everywhere, weighted = sum_devices((count, count * own))
    if everywhere is count:  # one device
        return own, variance
    mean = weighted / jnp.maximum(everywhere, 1)
    spread = sum_devices(count * (variance + (own - mean) ** 2))
    return mean, spread / jnp.maximum(everywhere, 1)  # to the last bit the same on all devices


def first_row_mean(x, axes, real=None):
    """Returns each channel's mean over the first row that has anything real of it: a constant that lies among the data.

    Args: as `batch_moments`.

    Returns:
        Array with `axes` of size 1, without a gradient; 0 where the mean is not finite.

    Example:
        >>> first_row_mean(jnp.array([[0.0], [5.0], [7.0]]), (0,), jnp.array([[False], [True], [True]])).tolist()
        [[5.0]]
    """
    x = jax.lax.stop_gradient(x)
    if not axes:
        return jnp.where(jnp.isfinite(x), x, 0)
    rest = axes[1:]
    if real is None:
        mean = jnp.mean(jax.lax.slice_in_dim(x, 0, 1, axis=axes[0]), rest, keepdims=True)
    else:
        first = jnp.argmax(jnp.any(real, rest, keepdims=True), axes[0], keepdims=True)
        row, counts = (jnp.take_along_axis(a, first, axes[0], mode="clip") for a in (x, real))
        mean = jnp.sum(jnp.where(counts, row, 0), rest, keepdims=True)
        each = math.prod(row.shape[a] // counts.shape[a] for a in rest)  # entries that one of the mask stands for
        mean = mean / jnp.maximum(jnp.sum(counts, rest, x.dtype, keepdims=True) * each, 1)
    return jnp.where(jnp.isfinite(mean), mean, 0)


def scale_and_shift(x, mean, variance, gamma=None, beta=None, epsilon=1e-3, center=None):
    """Normalizes `x`: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    All arrays broadcast to `x`; `gamma` and `beta` may be None. `center` is a constant near `mean` to take from both
    first, so that nothing cancels when they are large; None is `mean` itself. (In training a shift without a gradient
    makes the step a third faster than the mean.)
    """
    center = mean if center is None else center
    x, mean = x - center, mean - center
    factor = jax.lax.rsqrt(variance + epsilon)
    if gamma is not None:
        factor = factor * gamma
    rest = -mean * factor
    return x * factor + (rest if beta is None else rest + beta)


def layer_norm(x, gamma=None, beta=None, *, axis=-1, epsilon=1e-3):
    """Normalizes `x` over `axis` to zero mean and unit variance, then scales and shifts.

        y = gamma * (x - mean(x)) / sqrt(var(x) + epsilon) + beta

    Args:
        x: Float array [..., C]. Statistics are taken in float32 whatever the dtype.
        gamma, beta: Float arrays with the sizes of `axis`, in order, or None to leave that step out.
        axis: Axis or axes to normalize over (static).
        epsilon: Added to the variance, not to the standard deviation.

    Returns:
        Array with the shape and dtype of `x`.

    Example:
        >>> layer_norm(jnp.array([[1.0, 3.0]]), epsilon=0.0).tolist()
        [[-1.0, 1.0]]

    Reference:
        Ba, Kiros & Hinton, "Layer Normalization", 2016, arXiv:1607.06450, eq. 3-4.
    """
    axes, wide = _axes(axis, x.ndim), _wide(x)
    d = wide - jnp.mean(wide, axes, keepdims=True)
    y = d * jax.lax.rsqrt(jnp.mean(d * d, axes, keepdims=True) + epsilon)
    return _affine(y, gamma, beta, axes).astype(x.dtype)


def variance_norm(x, gamma=None, *, axis=-1, epsilon=1e-3):
    """Divides by the deviation without taking the mean away: y = gamma * x / sqrt(var(x) + epsilon).

    What Keras calls `rms_scaling` of LayerNormalization; `rms_norm` is the root mean square of the literature.
    """
    axes, wide = _axes(axis, x.ndim), _wide(x)
    y = wide * jax.lax.rsqrt(jnp.var(wide, axes, keepdims=True) + epsilon)
    return _affine(y, gamma, None, axes).astype(x.dtype)


def rms_norm(x, scale=None, *, axis=-1, epsilon=1e-6):
    """Divides by the root mean square: y = scale * x / sqrt(mean(x^2) + epsilon).

    Example:
        >>> rms_norm(jnp.array([[3.0, 3.0]]), epsilon=0.0).tolist()
        [[1.0, 1.0]]

    Reference:
        Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467, eq. 4.
    """
    axes, wide = _axes(axis, x.ndim), _wide(x)
    y = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axes, keepdims=True) + epsilon)
    return _affine(y, scale, None, axes).astype(x.dtype)


def group_norm(x, groups, gamma=None, beta=None, *, axis=-1, epsilon=1e-3):
    """Normalizes each row over groups of channels and all other axes but the batch's.

    Args:
        x: Float array [B, ..., C].
        groups: Number of groups, a divisor of C.
        gamma, beta: Float arrays [C], or None.
        axis: The channel axis.

    Example:
        >>> group_norm(jnp.array([[1.0, 3.0, 5.0, 7.0]]), 2, epsilon=0.0).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]

    Reference:
        Wu & He, "Group Normalization", 2018, arXiv:1803.08494, eq. 1-4 and 7.
    """
    axis %= x.ndim
    wide = _wide(x).reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    axes = tuple(a for a in range(1, wide.ndim) if a != axis)
    d = wide - jnp.mean(wide, axes, keepdims=True)
    y = (d * jax.lax.rsqrt(jnp.mean(d * d, axes, keepdims=True) + epsilon)).reshape(x.shape)
    return _affine(y, gamma, beta, (axis,)).astype(x.dtype)


def unit_norm(x, axis=-1, epsilon=1e-12):
    """Divides by the Euclidean length over `axis`: y = x / max(|x|, epsilon). The gradient at 0 is finite.

    Example:
        >>> unit_norm(jnp.array([[0.0, -4.0], [0.0, 0.0]])).round().tolist()
        [[0.0, -1.0], [0.0, 0.0]]
    """
    wide = _wide(x)
    square = jnp.sum(wide * wide, _axes(axis, x.ndim), keepdims=True)
    return (wide * jax.lax.rsqrt(jnp.maximum(square, epsilon**2))).astype(x.dtype)


def spectral_norm(kernel, u, iterations=1):
    """Estimates the largest singular value of `kernel`, seen as a matrix [..., C] -> [I, C], by power iteration.

        v = norm(u W^T),  u = norm(v W),  sigma = v W u^T

    Args:
        kernel: Float array [..., C].
        u: Float array [1, C], the estimate so far.
        iterations: Number of steps.

    Returns:
        (sigma, u): scalar with a gradient to the kernel, and the new estimate.

    Reference:
        Miyato et al., "Spectral Normalization for GANs", 2018, arXiv:1802.05957, algorithm 1.
    """
    w = kernel.reshape(-1, kernel.shape[-1])
    for _ in range(iterations):
        v = unit_norm(u @ w.T, axis=None)
        u = unit_norm(v @ w, axis=None)
    u, v = jax.lax.stop_gradient((u, v))
    return (v @ w @ u.T)[0, 0], u


def _wide(x):
    return x.astype(at_least_float32(x.dtype))


def _axes(axis, ndim):
    axis = range(ndim) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    return tuple(sorted(a % ndim for a in axis))


def _along(weight, axes, ndim, shape):
    """Returns `weight`, whose axes are `axes` of an array of `shape`, with size 1 along the others; None stays."""
    return None if weight is None else weight.reshape([shape[a] if a in axes else 1 for a in range(ndim)])


def _affine(y, gamma, beta, axes):
    gamma, beta = (_along(w, axes, y.ndim, y.shape) for w in (gamma, beta))
    y = y if gamma is None else y * gamma.astype(y.dtype)
    return y if beta is None else y + beta.astype(y.dtype)


# --------------------------------------------------------------------------------------------- layers


def _axis_list(value):
    return [int(a) for a in value] if isinstance(value, (list, tuple)) else int(value)


def _one_axis(value):
    value = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value  # as Keras 2 keeps it
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"expected one axis, an int, got {value!r}.")
    return int(value)


class _Normalizes(Layer):
    """A layer whose weights lie along `axis`; weights stay float32 where others would be cast."""

    casts = False
    supports_masking = True

    def check_input(self, shape):
        self._sizes(shape)

    def _sizes(self, shape):
        given = self.axis if isinstance(self.axis, list) else [self.axis]
        for a in given:
            if not -len(shape) <= a < len(shape):
                raise ValueError(
                    f"{self.label}: axis {a} does not exist in an input of shape {tuple(shape)}: expected "
                    f"{-len(shape)} to {len(shape) - 1}."
                )
        sizes = tuple(shape[a] for a in _axes(given, len(shape)))
        if None in sizes:
            raise ValueError(f"{self.label}: the size of axis {self.axis} must be known, got shape {tuple(shape)}.")
        return sizes

    def gamma_beta(self, sizes, gamma=True, beta=True):
        weights = {}
        if gamma:
            weights["gamma"] = weight(self, "gamma", sizes)
        if beta:
            weights["beta"] = weight(self, "beta", sizes)
        return weights

    def compute_output_spec(self, x):
        self.check_input(tuple(x.shape))
        return Spec(x.shape, self.dtype.compute_dtype)

    def narrow(self, x):
        return jnp.asarray(x).astype(self.dtype.compute_dtype)


@layers.register
class BatchNormalization(GammaBeta, _Normalizes):
    """Normalizes channels over the batch while training, and by running statistics else.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
        moving = momentum * moving + (1 - momentum) * of_this_batch

    Args:
        axis: The channel axis.
        momentum: Share of the running statistics that stays at each step.
        epsilon: Added to the variance.
        center, scale: With `beta`, with `gamma`.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer,
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: Of the weights.
        renorm: Batch renormalization: while training, too, the output follows running statistics.
        renorm_clipping: Dict with any of "rmax", "rmin", "dmax": limits of its correction.
        renorm_momentum: Momentum of its running statistics.
        synchronized: Kept for configs. The statistics are always those of the whole batch, over all devices: on one
            device both values mean the same, and over several False would make results depend on their number.

    Padded rows and masked time steps do not count. The variance in the running statistics is divided by the count, as
    in Keras 3. With `trainable=False` the layer uses its running statistics also while training.

    Input shape: any with a known size of `axis`. Output shape: the same.

    Example:
        >>> layer = BatchNormalization(epsilon=0.0)
        >>> layer(jnp.array([[1.0], [3.0]]), training=True).tolist()
        [[-1.0], [1.0]]

    Reference:
        Ioffe & Szegedy, 2015, arXiv:1502.03167, algorithms 1-2; Ioffe, 2017, arXiv:1702.03275 (renorm).
    """

    rows_meet = True
    axis: int = setting(_one_axis, -1)
    momentum: float = setting(float, 0.99)
    epsilon: float = setting(float, 1e-3)
    center: bool = True
    scale: bool = True
    _initializers: ClassVar[GammaBetaInitializers]
    moving_mean_initializer: Any = setting(initializers, "zeros")
    moving_variance_initializer: Any = setting(initializers, "ones")
    _penalties: ClassVar[GammaBetaPenalties]
    renorm: bool = False
    renorm_clipping: Any = None
    renorm_momentum: float = setting(float, 0.99)
    synchronized: bool = False

    def check(self):
        limits = self.renorm_clipping or {}
        if unknown := set(limits) - {"rmax", "rmin", "dmax"}:
            raise ValueError(f"{self.label}: renorm_clipping takes 'rmax', 'rmin' and 'dmax', got {sorted(unknown)}.")
        if limits.get("rmax") is not None and limits.get("rmin") is not None and limits["rmax"] < limits["rmin"]:
            raise ValueError(f"{self.label}: renorm_clipping needs rmin <= rmax, got {limits}.")
        if limits.get("dmax") is not None and limits["dmax"] < 0:
            raise ValueError(f"{self.label}: renorm_clipping needs dmax >= 0, got {limits}.")

    def declare(self, shape):
        sizes = self._sizes(shape)

        def running(initializer):
            return Weight(sizes, initializer, trainable=False, dtype="float32")

        mean, variance = self.moving_mean_initializer, self.moving_variance_initializer
        weights = self.gamma_beta(sizes, self.scale, self.center)
        weights |= {"moving_mean": running(mean), "moving_variance": running(variance)}
        if self.renorm:
            root = _Root(variance)
            weights |= {"moving_stddev": running(root), "renorm_mean": running(mean), "renorm_stddev": running(root)}
        return weights

    def forward(self, params, state, x, ctx):
        x = _wide(self.narrow(x))
        axis = self.axis % x.ndim
        axes = tuple(a for a in range(x.ndim) if a != axis)

        def along(a):
            return None if a is None else _along(a, (axis,), x.ndim, x.shape).astype(x.dtype)

        gamma, beta = along(params.get("gamma")), along(params.get("beta"))
        if ctx.training and self.trainable:
            x = gradient_once(x) if chosen() == "cpu" else x
            real = self._real(x, ctx)
            center = first_row_mean(x, axes, real)
            mean, variance = batch_moments(x, axes, real, ctx.sum_devices, center)
            if self.renorm:
                gamma, beta, state = self._renormalize(gamma, beta, state, mean, variance, along)
            else:
                state = self._follow(state, moving_mean=mean, moving_variance=variance)
        else:
            mean, variance, center = along(state["moving_mean"]), along(state["moving_variance"]), None
        y = scale_and_shift(x, mean, variance, gamma, beta, self.epsilon, center)
        return self.narrow(y), state

    def _real(self, x, ctx):
        """Returns bool, broadcasting to `x`: which entries count; None for all."""
        real = ctx.row_mask(x.ndim)
        if ctx.mask is not None:
            mask = ctx.mask.reshape(ctx.mask.shape + (1,) * (x.ndim - ctx.mask.ndim)).astype(bool)
            real = mask if real is None else real & mask
        return real

    def _follow(self, state, momentum=None, **now):
        momentum = self.momentum if momentum is None else momentum
        old = {n: state[n] for n in now}
        return state | {n: (old[n] * momentum + now[n].reshape(-1) * (1 - momentum)).astype(old[n].dtype) for n in now}

    def _renormalize(self, gamma, beta, state, mean, variance, along):
        limits, least = self.renorm_clipping or {}, self.epsilon**0.5
        stddev = jnp.sqrt(variance + self.epsilon)
        known = jnp.maximum(along(state["renorm_stddev"]), least)
        r, d = stddev / known, (mean - along(state["renorm_mean"])) / known
        r = jnp.clip(r, limits.get("rmin"), limits.get("rmax"))
        if limits.get("dmax") is not None:
            d = jnp.clip(d, -limits["dmax"], limits["dmax"])
        r, d = jax.lax.stop_gradient((r, d))
        new_gamma, new_beta = (r, d) if gamma is None else (r * gamma, d * gamma)
        new_beta = new_beta if beta is None else new_beta + beta
        state = self._follow(state, self.renorm_momentum, renorm_mean=mean, renorm_stddev=stddev)
        state = self._follow(state, moving_mean=mean, moving_stddev=stddev)
        moving = state["moving_stddev"]
        return new_gamma, new_beta, state | {"moving_variance": jnp.maximum(moving * moving - self.epsilon, 0)}


class _Root:
    """The square root of what another initializer draws."""

    def __init__(self, initializer):
        self.initializer = initializer

    def __call__(self, key, shape, dtype=None):
        return jnp.sqrt(initializers.draw(self.initializer, key, shape, dtype))


@layers.register
class LayerNormalization(GammaBeta, _Normalizes):
    """Normalizes each row over its features: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    Args:
        axis: Axis or axes to normalize over; the weights have their sizes.
        epsilon: Added to the variance.
        center, scale: With `beta`, with `gamma`.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint:
            Of the weights.
        rms_scaling: Keras's older variant, y = gamma * x / sqrt(variance + epsilon), always scaled and never shifted.
            For the root mean square see `RMSNormalization`.

    Example:
        >>> LayerNormalization()(jnp.array([[1.0, 3.0]])).round(2).tolist()
        [[-1.0, 1.0]]

    Reference:
        Ba, Kiros & Hinton, "Layer Normalization", 2016, arXiv:1607.06450.
    """

    axis: Any = setting(_axis_list, -1)
    epsilon: float = setting(float, 1e-3)
    center: bool = True
    scale: bool = True
    _here: ClassVar[GammaBeta]
    rms_scaling: bool = setting(default=False, keyword=True)

    def declare(self, shape):
        return self.gamma_beta(self._sizes(shape), self.scale or self.rms_scaling, self.center and not self.rms_scaling)

    def forward(self, params, state, x, ctx):
        x, at = self.narrow(x), {"axis": self.axis, "epsilon": self.epsilon}
        if self.rms_scaling:
            return self.narrow(variance_norm(x, params["gamma"], **at)), state
        return self.narrow(layer_norm(x, params.get("gamma"), params.get("beta"), **at)), state


@layers.register
class RMSNormalization(_Normalizes):
    """Divides each row by its root mean square: y = scale * x / sqrt(mean(x^2) + epsilon).

    Args:
        axis: Axis or axes to take the mean over; the weight `scale` has their sizes.
        epsilon: Added to the mean square.

    Example:
        >>> RMSNormalization()(jnp.array([[2.0, 2.0]])).round(3).tolist()
        [[1.0, 1.0]]

    Reference:
        Zhang & Sennrich, 2019, arXiv:1910.07467.
    """

    axis: Any = setting(_axis_list, -1)
    epsilon: float = setting(float, 1e-6)
    supports_masking = False  # as Keras 3

    def declare(self, shape):
        return {"scale": Weight(self._sizes(shape), "ones")}

    def forward(self, params, state, x, ctx):
        return rms_norm(self.narrow(x), params["scale"], axis=self.axis, epsilon=self.epsilon), state


def _groups(value):
    if isinstance(value, (bool, str)) or int(value) != value or (value < 1 and value != -1):
        raise ValueError(f"expected groups as an integer >= 1, or -1 for one a channel, got {value!r}.")
    return int(value)


@layers.register
class GroupNormalization(GammaBeta, _Normalizes):
    """Normalizes each row over groups of channels and all of space: `groups=-1` is one group a channel.

    Args:
        groups: Number of groups, a divisor of the channels; -1 for as many as channels (instance normalization).
        axis: The channel axis.
        epsilon, center, scale, beta_initializer, ...: As in `LayerNormalization`; the weights have one entry a channel.

    Example:
        >>> GroupNormalization(2)(jnp.ones((2, 5, 5, 4))).shape
        (2, 5, 5, 4)

    Reference:
        Wu & He, "Group Normalization", 2018, arXiv:1803.08494.
    """

    groups: int = setting(_groups, 32)
    axis: int = setting(_one_axis, -1)
    epsilon: float = setting(float, 1e-3)
    center: bool = True
    scale: bool = True

    casts = False  # of its input, float16 could not hold what is above 65504 before it is normalized

    def check_input(self, shape):
        (channels,) = self._sizes(shape)
        if self.axis % len(shape) == 0:
            raise ValueError(f"{self.label}: axis {self.axis} is the batch axis of an input of shape {tuple(shape)}.")
        if self.groups != -1 and channels % self.groups:
            raise ValueError(
                f"{self.label}: {channels} channels (axis {self.axis} of {tuple(shape)}) do not divide into "
                f"{self.groups} groups. Choose groups among the divisors of {channels}."
            )

    def declare(self, shape):
        return self.gamma_beta(self._sizes(shape), self.scale, self.center)

    def forward(self, params, state, x, ctx):
        groups = x.shape[self.axis] if self.groups == -1 else self.groups
        at = {"axis": self.axis, "epsilon": self.epsilon}
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else self.narrow(x)
        y = group_norm(x, groups, params.get("gamma"), params.get("beta"), **at)
        return y.astype(self.dtype.compute_dtype), state


@layers.register
class UnitNormalization(_Normalizes):
    """Divides each row by its Euclidean length: y = x / max(|x|, 1e-12).

    Args:
        axis: Axis or axes that the length is taken over.

    Example:
        >>> UnitNormalization()(jnp.array([[0.0, 5.0]])).tolist()
        [[0.0, 1.0]]
    """

    axis: Any = setting(_axis_list, -1)

    def check_input(self, shape):
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        if any(not -len(shape) <= a < len(shape) for a in axes):
            raise ValueError(f"{self.label}: axis {self.axis} does not exist in an input of shape {tuple(shape)}.")

    def forward(self, params, state, x, ctx):
        return unit_norm(self.narrow(x), self.axis), state


@layers.register
class SpectralNormalization(Layer):
    """Calls another layer with its kernel divided by the kernel's largest singular value.

    Args:
        layer: A layer with a `kernel` or `embeddings`.
        power_iterations: Steps of power iteration a call.

    While training the kernel is divided and the estimate `vector_u` moves on; in inference the kernel is used as it is
    stored, as in Keras 3. Called on arrays with training=True the layer stores the divided kernel. In `fit` the
    optimizer's next kernel is what is stored, as in Keras on JAX, and differs from it by its norm.

    Example:
        >>> from fkeras.layers.core import Dense
        >>> SpectralNormalization(Dense(4))(jnp.ones((2, 3))).shape
        (2, 4)

    Reference:
        Miyato et al., "Spectral Normalization for GANs", 2018, arXiv:1802.05957.
    """

    layer: Any = setting(layers)
    power_iterations: int = setting(positive_int, 1)
    casts = False
    supports_masking = False  # as Keras 3: the mask ends here

    def check_input(self, shape):
        self.layer.check_input(shape)

    def declare(self, shape):
        inner = self.layer.declare(shape)
        if not {"kernel", "embeddings"} & set(inner):
            raise ValueError(f"{self.label}: {self.layer.label} has no weight 'kernel' or 'embeddings' to normalize.")
        channels = inner.get("kernel", inner.get("embeddings")).shape[-1]
        u = Weight((1, channels), initializers.TruncatedNormal(stddev=0.02), trainable=False, dtype="float32")
        return {"vector_u": u, "layer": inner}

    @property
    def weights(self):
        """The normalized weight, `vector_u`, the others: Keras's order."""
        found = super().weights
        return sorted(found, key=lambda v: v not in self.held_weights)

    @property
    def held_weights(self):
        """The normalized weight, which Keras's files hold here as well as in the layer inside."""
        names = [n for n in ("kernel", "embeddings") if n in self.layer._cell.declared] if self.built else []
        return [Variable(self.layer, name) for name in names[:1]]

    def __call__(self, *args, training=None, **kwargs):
        if not training or not args or custom.running() is not None or is_symbolic(args):
            return super().__call__(*args, training=training, **kwargs)
        self._ensure(shapes_of(jax.tree.map(jnp.asarray, args[0])))
        (weight,) = self.held_weights
        divided, _ = self._divided(weight.value, self.vector_u.value)
        y = super().__call__(*args, training=training, **kwargs)
        if not isinstance(divided, jax.core.Tracer):
            weight.assign(divided)
        return y

    def compute_mask(self, x, previous_mask=None):
        """Returns the mask of the layer inside: Keras says that it has none, and computes with that one."""
        return self.layer.compute_mask(x, previous_mask)

    def forward(self, params, state, x, ctx):
        inner = dict(params["layer"])
        if ctx.training:
            name = "kernel" if "kernel" in inner else "embeddings"
            inner[name], u = self._divided(inner[name], state["vector_u"])
            state = state | {"vector_u": u}
        y, inside, _ = self.layer.apply_masked(inner, state.get("layer", {}), x, ctx.at(self.layer.name))
        return y, state | ({"layer": inside} if "layer" in state else {})

    def _divided(self, kernel, u):
        """Returns (kernel / sigma, new u); of a kernel of zeros both as they are."""
        wide, some = kernel.astype(jnp.float32), jnp.any(kernel != 0)
        sigma, new = spectral_norm(wide, u, self.power_iterations)
        return (wide / jnp.where(some, sigma, 1)).astype(kernel.dtype), jnp.where(some, new, u)
