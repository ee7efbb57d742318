"""Sliding windows on arrays [B, *space, C]: convolution, maximum and sum, in the formulation that suits the device.

This is the one place that chooses by platform. On GPU and TPU it is `lax.conv_general_dilated` and
`lax.reduce_window`, whose gradients have kernels of their own there. XLA's CPU backend has none: it runs a
convolution fast only with batch first and channels last, and inside a loop (where training happens) it rewrites no
other layout into that one, so that the gradients JAX derives are 20 to 50 times slower there; and it has no fast
gradient of `reduce_window`. So on the CPU

- a convolution's gradients are spelled out as two more convolutions with batch first and channels last; in the one
  with respect to the kernel, the input's channels take the place of the batch;
- a kernel of one input channel a group (first layers on gray images, depthwise) is a sum over its taps; one of size 1,
  and a small one of up to four input channels (first layers on colour images), is a matrix product;
- maxima and sums run over slices: of the split axes where windows do not overlap, else axis by axis.

Convolutions are only as fast as XLA's own library makes them: `fkeras.compiled.programs` keeps them out of YNNPACK,
where XLA puts them by default. Milliseconds an iteration inside `lax.fori_loop`, two CPU cores, JAX 0.10, float32,
batch 64: the values, the gradient for the input, that for the kernel as windows times gradient, as a convolution:

    13x13x32 -> 64 filters of 3x3   1.65   2.2   3.7   2.1      8x8x64 -> 64, "same"             1.7   1.8   3.3   1.9
    32x32x16 -> 16, "same"          3.1    3.0   6.1   4.2      200 steps x 64 -> 128 of 5       2.6   2.9   4.1   3.3
    16x16x32 -> 32, "same"          1.7    1.7   3.9   2.8      28x28x1 -> 32 (taps; 1.2 else)   0.2   1.7   0.33  0.28

Left to YNNPACK the first took 4.65 instead of 1.65. XLA computes chains of cheap operations anew wherever they are
used: at every element of the transposes for a kernel's gradient, for one. `computed_once` keeps it from that (ResNet
+ 11% in training). Tried without gain: barriers (XLA drops them before it fuses), `lax.clamp(x, x, x)`, a choice of
the maximum by a stored index.
"""

import contextlib
import contextvars
import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fkeras.core.dtypes import at_least_float32

_forced = contextvars.ContextVar("formulation", default=None)


@contextlib.contextmanager
def formulation(name):
    """Within the `with`, what is traced uses the formulation for "cpu" or that for accelerators, "lax".

    Both compute the same numbers; a function that `jax.jit` has compiled keeps the one it was traced with. Forward-mode
    derivatives (`jax.jvp`, `jax.jacfwd`) of whole convolutions, and of recurrent layers in training, need "lax" on the
    CPU: the "cpu" one states its reverse-mode derivative only (which can itself be differentiated either way, as
    `jax.hessian` does).

    Example:
        >>> with formulation("lax"):
        ...     chosen()
        'lax'
    """
    if name not in ("cpu", "lax"):
        raise ValueError(f"formulation: expected 'cpu' or 'lax', got {name!r}.")
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def chosen():
    """Returns "cpu" or "lax": the formulation for the device that computations go to by default."""
    if name := _forced.get():
        return name
    device = jax.config.jax_default_device
    platform = jax.default_backend() if device is None else getattr(device, "platform", device)
    return "cpu" if platform == "cpu" else "lax"


# ------------------------------------------------------------------------------------------ geometry


def window_pads(sizes, window, strides, dilation, padding):
    """Finds how much to pad each axis, and how many windows then fit.

    Args:
        sizes, window, strides, dilation: One int an axis.
        padding: "valid", "same" (as many windows as strides, an odd element of padding at the end), "causal" (all
            padding in front), or pairs (before, after).

    Returns:
        (pads, counts): pairs, and the number of windows, one an axis.

    Raises:
        ValueError: The window is larger than an axis.

    Example:
        >>> window_pads((5, 5), (3, 2), (1, 2), (1, 1), "same")
        (((1, 1), (0, 1)), (5, 3))
    """
    pads, counts = [], []
    for i, (size, k, s, d) in enumerate(zip(sizes, window, strides, dilation, strict=True)):
        reach = (k - 1) * d + 1
        total = {"valid": 0, "same": max((-(-size // s) - 1) * s + reach - size, 0), "causal": reach - 1}
        if not isinstance(padding, str):
            before, after = padding[i]
        else:
            before = {"valid": 0, "same": total["same"] // 2, "causal": reach - 1}[padding]
            after = total[padding] - before
        if size + before + after < reach:
            spread = f" (spread to {reach} by dilation {d})" if d > 1 else ""
            raise ValueError(
                f"a window of {k}{spread} does not fit into the {size} elements of axis {i + 1} with padding "
                f"{padding!r}. Use a smaller window, larger inputs or padding 'same'."
            )
        pads.append((before, after))
        counts.append((size + before + after - reach) // s + 1)
    return tuple(pads), tuple(counts)


def transpose_pads(window, strides, dilation, padding, output_padding=None):
    """Finds how much to pad the spread-out input of a transposed convolution, as Keras 3 does.

    With n elements in, a window that reaches over r = (k - 1) * d + 1 of them and stride s, an axis gets

        "valid": (n - 1) * s + max(r, s) elements, or (n - 1) * s + r + p where output_padding p is given,
        "same":  n * s elements, or (n - 1) * s + r % 2 + p.

    Example:
        >>> transpose_pads((3,), (2,), (1,), "same")
        ((2, 1),)
    """
    pads = []
    for i, (k, s, d) in enumerate(zip(window, strides, dilation, strict=True)):
        reach = (k - 1) * d + 1
        more = None if output_padding is None else output_padding[i]
        if padding == "valid":
            pads.append((reach - 1, reach - 1 + (max(s - reach, 0) if more is None else more)))
        else:
            made = s if more is None else reach % 2 + more  # of one element of input
            before = min((reach + made - 1) // 2, reach - 1)
            pads.append((before, reach + made - 2 - before))
    return tuple(pads)


# --------------------------------------------------------------------------------------- convolution


class Windows(NamedTuple):
    """How a kernel slides: one entry an axis, `groups` for all.

    The input is spread out with `spread` - 1 zeros between its elements and padded by `pads` (before, after); the
    kernel is spread out by `dilation` and moves by `strides`.
    """

    strides: tuple
    pads: tuple
    dilation: tuple
    spread: tuple
    groups: int = 1


def convolve(x, kernel, windows):
    """Slides `kernel` over `x`, in the formulation that suits the device.

        y[b, o, f] = sum over t, c of x[b, o * stride + t * dilation - pad, c] * kernel[t, c, f]

    Args:
        x: Float array [B, *space, C].
        kernel: Float array [*window, C / groups, F].
        windows: `Windows`; strides or spread is 1 on every axis.

    Returns:
        Float array [B, *counts, F] of the dtype of `x`.
    """
    if chosen() == "lax":
        return _lax_conv(x, kernel, windows)
    w = windows
    if max(kernel.shape[:-2]) == max(w.spread) == w.groups == 1 and not np.any(w.pads):
        x = x[(slice(None), *(slice(None, None, s) for s in w.strides))]
        y = x.reshape(-1, x.shape[-1]) @ kernel.reshape(kernel.shape[-2:])
        return y.reshape(*x.shape[:-1], -1)
    if kernel.shape[-2] == max(w.spread) == 1 < w.groups and math.prod(kernel.shape[:-2]) <= _MOST_TAPS:
        return _tap_conv(x, kernel, windows)
    return _conv(*varying_alike(x, kernel), windows)


def varying_alike(*arrays):
    """Under `jax.shard_map`, marks what is the same on all devices as varying like the rest.

    JAX does so by itself in front of its own operations, but not in front of one with a derivative of its own.
    """
    kinds = [jax.typeof(a) for a in arrays]
    kinds = [getattr(kind, "manual_axis_type", kind) for kind in kinds]  # names of JAX 0.10, then of versions before
    axes = [frozenset(getattr(kind, "varying", getattr(kind, "vma", ()))) for kind in kinds]
    missing = [tuple(frozenset.union(*axes) - own) for own in axes]
    return [lax.pcast(a, more, to="varying") if more else a for a, more in zip(arrays, missing, strict=True)]


def computed_once(x):
    """Returns float `x`, divided by one: what ends in a division by an array XLA computes once and keeps.

    It computes anew, wherever they are used, long chains of what it holds to be cheap: a normalization and a ReLU for
    every element of a transpose, say. `lax.optimization_barrier` does not keep it from that, it is dropped before.
    """
    return x / jnp.where(x == x, jnp.ones((), x.dtype), 2)


@jax.custom_jvp
def gradient_once(x):
    """Returns `x`; its gradient is `computed_once`."""
    return x


@gradient_once.defjvp
def _(values, slopes):
    (x,), (slope,) = values, slopes
    return x, slope / jnp.where(x == x, jnp.ones((), x.dtype), 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, kernel, windows):
    return _forward(x, kernel, windows)


def _conv_fwd(x, kernel, windows):
    if kernel.shape[-2] * windows.groups > _FEW_CHANNELS:  # with fewer it is an image, and lies there as it is
        x = computed_once(x)
    return _forward(x, kernel, windows), (x, kernel)


def _conv_bwd(windows, saved, g):
    x, kernel = saved
    return _input_gradient(g, kernel, windows, x.shape[1:-1]), _kernel_gradient(x, g, kernel, windows)


_conv.defvjp(_conv_fwd, _conv_bwd)


_FEW_CHANNELS = 4
_FEW_PRODUCTS = 64  # of a window's elements and channels: with so few, copying the windows out is the smaller work
_MOST_TAPS = 512  # of a window: each is an operation to compile


def _forward(x, kernel, windows):
    w, (*window, c, f) = windows, kernel.shape
    if max(w.spread) == 1 and c == 1 and math.prod(window) <= _MOST_TAPS:
        return _tap_conv(x, kernel, w)
    if max(w.spread) == w.groups == 1 and c <= _FEW_CHANNELS and c * math.prod(window) <= _FEW_PRODUCTS:
        slices = list(tap_slices(pad(x, w.pads), window, w.strides, w.dilation))
        return jnp.concatenate(slices, -1) @ kernel.reshape(-1, f)
    return _lax_conv(x, kernel, w)


def _lax_conv(x, kernel, windows, dtype=None):
    n = x.ndim - 2
    last, space = n + 1, range(1, n + 1)
    numbers = lax.ConvDimensionNumbers((0, last, *space), (last, n, *range(n)), (0, last, *space))
    w = windows
    return lax.conv_general_dilated(
        x, kernel, w.strides, w.pads, w.spread, w.dilation, numbers, w.groups, preferred_element_type=dtype
    )


def _tap_conv(x, kernel, windows):
    """A convolution with one input channel a group, as a sum over taps of products."""
    w = windows
    many = kernel.shape[-1] // w.groups  # outputs of each channel
    taps = kernel.reshape(-1, w.groups, many) if 1 < many < kernel.shape[-1] else kernel.reshape(-1, kernel.shape[-1])
    slices = tap_slices(pad(x, w.pads), kernel.shape[:-2], w.strides, w.dilation)
    y = sum((s[..., None] if taps.ndim == 3 else s) * tap for s, tap in zip(slices, taps, strict=True))
    return y.reshape(*y.shape[: x.ndim - 1], -1)


def _input_gradient(g, kernel, windows, sizes):
    """The gradient with respect to the input: the transposed kernel slides over the spread-out `g`."""
    w, n = windows, len(sizes)
    pads = []
    for i in range(n):
        reach = (kernel.shape[i] - 1) * w.dilation[i] + 1
        before = reach - 1 - w.pads[i][0]
        spread_in, spread_g = (sizes[i] - 1) * w.spread[i] + 1, (g.shape[1 + i] - 1) * w.strides[i] + 1
        pads.append((before, spread_in + reach - 1 - spread_g - before))
    *window, c, f = kernel.shape
    flipped = jnp.flip(kernel, range(n)).reshape(*window, c, w.groups, f // w.groups)
    flipped = jnp.moveaxis(flipped, -3, -1)  # [*window, C/G, G, F/G] -> [*window, G, F/G, C/G]
    flipped = jnp.moveaxis(flipped, -3, -2).reshape(*window, f // w.groups, w.groups * c)
    return _forward(g, flipped, Windows(w.spread, tuple(pads), w.dilation, w.strides, w.groups))


def _kernel_gradient(x, g, kernel, windows):
    """The gradient with respect to the kernel: windows of `x` times `g`, summed over rows and places.

    That is a convolution too, with channels for rows: the input [C, *space, B] meets `g` [*counts, B, F] as its kernel.
    """
    w, n = windows, x.ndim - 2
    size = kernel.shape[:-2]
    a, b, strides, pads = x, g, w.strides, w.pads
    if max(w.spread) > 1:  # the same sum, seen from the input: windows of `g` times `x`
        a, b, strides = g, x, w.spread
        pads = tuple(((k - 1) * d - lo, 0) for k, d, (lo, _) in zip(size, w.dilation, w.pads, strict=True))
    need = ((k - 1) * d + (o - 1) * s + 1 for k, d, s, o in zip(size, w.dilation, strides, b.shape[1:-1], strict=True))
    pads = tuple((lo, m - lo - have) for (lo, _), m, have in zip(pads, need, a.shape[1:-1], strict=True))

    def product(a, b):  # [B, *space, A], [B, *counts, F] -> [A, *size, F]
        # XLA would undo the transposes, and has a fast convolution for this order of axes only.
        a, b = lax.optimization_barrier((jnp.swapaxes(a, 0, -1), jnp.moveaxis(b, 0, -2)))
        return _lax_conv(a, b, Windows(w.dilation, pads, strides, (1,) * n), at_least_float32(a.dtype))

    if w.groups == 1:
        total = product(a, b)[..., None, :]
    else:
        a, b = (jnp.moveaxis(v.reshape(*v.shape[:-1], w.groups, -1), -2, 0) for v in (a, b))
        total = jnp.moveaxis(lax.map(lambda ab: product(*ab), (a, b)), 0, -2)
    if max(w.spread) > 1:
        total = jnp.flip(total, range(1, n + 1)).swapaxes(0, -1)
    return jnp.moveaxis(total, 0, -3).reshape(kernel.shape).astype(kernel.dtype)  # [C/G, *k, G, F/G] -> [*k, C/G, F]


def pad(x, pads, value=0):
    """Pads (or, where negative, crops) the space axes of `x` [B, *space, C]."""
    if not np.any(pads):
        return x
    return lax.pad(x, jnp.asarray(value, x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])


def tap_slices(x, window, strides, dilation):
    """Yields, tap by tap in row-major order, the elements of `x` [B, *space, C] that the tap meets, [B, *counts, C]."""
    sizes = x.shape[1:-1]
    counts = [(m - (k - 1) * d - 1) // s + 1 for m, k, s, d in zip(sizes, window, strides, dilation, strict=True)]
    for tap in itertools.product(*map(range, window)):
        start = [t * d for t, d in zip(tap, dilation, strict=True)]
        stop = [a + (o - 1) * s + 1 for a, o, s in zip(start, counts, strides, strict=True)]
        yield lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


# ------------------------------------------------------------------------------------ maximum and sum


_FEW, _MANY = 16, 64  # slices: each is an operation to compile, so large windows take other ways


def window_max(x, window, strides, pads):
    """The largest element of each window of `x` [B, *space, C]; the gradient goes to the first of equal ones."""
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    if chosen() == "lax" or sum(window) > _MANY:
        return _reduce_window(x, lowest, lax.max, window, strides, pads)
    return _combine(pad(x, pads, lowest), _first_max, window, strides)


def window_sum(x, window, strides, pads):
    """The sum of each window of `x` [B, *space, C]."""
    apart = tuple(window) == tuple(strides)
    if chosen() == "lax" or (sum(window) > _MANY and not apart):
        return _reduce_window(x, 0, lax.add, window, strides, pads)
    x = pad(x, pads)
    if apart and math.prod(window) > _FEW:
        return jnp.sum(_split_axes(x, window), _inner_axes(window))
    return _combine(x, lax.add, window, strides)


def _reduce_window(x, start, combine, window, strides, pads):
    start = np.array(start, x.dtype)[()]
    return lax.reduce_window(x, start, combine, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def _first_max(a, b):
    # Where equal all of the gradient goes to the first: `lax.max` shares it, and after a ReLU many are equal.
    return jnp.where((a >= b) | (a != a), a, b)


def _combine(x, combine, window, strides):
    if tuple(window) == tuple(strides) and math.prod(window) <= _FEW:
        x, all_ = _split_axes(x, window), slice(None)  # every element is in one window
        taps = itertools.product(*map(range, window))
        return functools.reduce(combine, [x[(all_, *itertools.chain(*((all_, t) for t in tap)))] for tap in taps])
    for i in reversed(range(x.ndim - 2)):  # the last axis first: then the first of equals is the first in memory order
        k, s, axis = window[i], strides[i], i + 1
        count = (x.shape[axis] - k) // s + 1
        slices = [lax.slice_in_dim(x, t, t + (count - 1) * s + 1, s, axis) for t in range(k)]
        x = functools.reduce(combine, slices)
    return x


def _split_axes(x, window):
    """Reshapes [B, *space, C] to [B, count, window, count, window, ..., C], dropping what fills no window."""
    counts = [m // k for m, k in zip(x.shape[1:-1], window, strict=True)]
    x = x[(slice(None), *(slice(o * k) for o, k in zip(counts, window, strict=True)))]
    return x.reshape(x.shape[0], *itertools.chain(*zip(counts, window, strict=True)), x.shape[-1])


def _inner_axes(window):
    return tuple(range(2, 2 * len(window) + 1, 2))
