"""Convolutions and an LSTM for XLA's CPU backend, written out plainly: the quickest formulations known.

XLA runs a convolution quickly on the CPU, also inside loops, if it is batch first and channels last, so gradients are
spelled out in that form, and if it is not handed to YNNPACK (`OPTIONS`).
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

_YNNPACK = "xla_cpu_experimental_ynn_fusion_type"
OPTIONS = {
    "train": {_YNNPACK: "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"},
    "predict": {_YNNPACK: ""},
}


def same(sizes, window, stride):
    """Padding (before, after) of each axis for ceil(size / stride) windows."""
    need = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k in zip(sizes, window, strict=True)]
    return tuple((p // 2, p - p // 2) for p in need)


def _slide(x, kernel, stride, pads, spread=1):
    n = x.ndim - 2
    if kernel.shape[-2] == 1 and spread == 1:  # one input channel: a sum over taps
        taps = kernel.reshape(-1, kernel.shape[-1])
        return sum(s * t for s, t in zip(_taps(x, kernel.shape[:n], stride, pads), taps, strict=True))
    form = ("NHC", "HIO", "NHC") if n == 1 else ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride,) * n, pads, (spread,) * n, dimension_numbers=form)


def _taps(x, window, stride, pads):
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    counts = [(n - k) // stride + 1 for n, k in zip(x.shape[1:-1], window, strict=True)]
    for tap in itertools.product(*map(range, window)):
        stop = [t + (o - 1) * stride + 1 for t, o in zip(tap, counts, strict=True)]
        yield lax.slice(x, (0, *tap, 0), (len(x), *stop, x.shape[-1]), (1, *[stride] * len(tap), 1))


def _for_input(g, kernel, stride, pads, sizes):
    window = kernel.shape[:-2]
    back = []
    for k, (before, _), n, o in zip(window, pads, sizes, g.shape[1:-1], strict=True):
        back.append((k - 1 - before, n + k - 1 - ((o - 1) * stride + 1) - (k - 1 - before)))
    flipped = jnp.flip(kernel, range(len(window))).swapaxes(-1, -2)
    return _slide(g, flipped, 1, tuple(back), spread=stride)


def _for_kernel(x, g, window, stride, pads):
    n = len(window)
    need = [k + (o - 1) * stride for k, o in zip(window, g.shape[1:-1], strict=True)]
    pads = [(lo, m - lo - have) for (lo, _), m, have in zip(pads, need, x.shape[1:-1], strict=True)]
    # Channels for rows: [C, *space, B] meets [*counts, B, F]. XLA would undo the transposes.
    x, g = lax.optimization_barrier((jnp.swapaxes(x, 0, -1), jnp.moveaxis(g, 0, -2)))
    form = ("NHC", "HIO", "NHC") if n == 1 else ("NHWC", "HWIO", "NHWC")
    out = lax.conv_general_dilated(x, g, (1,) * n, pads, None, (stride,) * n, dimension_numbers=form)
    return jnp.moveaxis(out, 0, -2)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x, kernel, stride, pads):
    """Slides kernel [*window, C, F] over x [B, *space, C]."""
    return _slide(x, kernel, stride, pads)


def _conv_back(stride, pads, saved, g):
    x, kernel = saved
    window = kernel.shape[:-2]
    return _for_input(g, kernel, stride, pads, x.shape[1:-1]), _for_kernel(x, g, window, stride, pads)


def _conv_ahead(x, kernel, stride, pads):
    x = x if kernel.shape[-2] <= 4 else x / _one(x)
    return _slide(x, kernel, stride, pads), (x, kernel)


conv.defvjp(_conv_ahead, _conv_back)


def _one(x):
    return jnp.where(x == x, 1.0, 2.0)  # XLA computes a quotient once, and chains of cheaper operations at each use


@jax.custom_jvp
def gradient_once(x):
    """Returns x, whose gradient is computed once."""
    return x


gradient_once.defjvp(lambda values, slopes: (values[0], slopes[0] / _one(values[0])))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv_transpose(x, kernel, stride):
    """The transpose of a "same" convolution with `stride`: x [B, *space, C] and kernel [*window, F, C]."""
    sizes = [n * stride for n in x.shape[1:-1]]
    return _for_input(x, kernel, stride, same(sizes, kernel.shape[:-2], stride), sizes)


def _transpose_back(stride, saved, g):
    x, kernel = saved
    window = kernel.shape[:-2]
    pads = same(g.shape[1:-1], window, stride)
    return _slide(g, kernel, stride, pads), _for_kernel(g, x, window, stride, pads)


conv_transpose.defvjp(lambda x, kernel, stride: (conv_transpose(x, kernel, stride), (x, kernel)), _transpose_back)


def max_pool(x):
    """The largest of each 2x2 cells; the gradient goes to the first of equal ones."""
    B, H, W, C = x.shape
    x = x[:, : H // 2 * 2, : W // 2 * 2].reshape(B, H // 2, 2, W // 2, 2, C)
    parts = [x[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]
    best = parts[0]
    for part in parts[1:]:
        best = jnp.where(best >= part, best, part)
    return best


@jax.custom_vjp
def lstm(x, kernel, recurrent, bias):
    """The last output of an LSTM over x [T, B, C]; gates i, f, g, o. One scan forward, one back."""
    return _lstm_forward(x, kernel, recurrent, bias)[0]


def _lstm_forward(x, kernel, recurrent, bias):
    units = recurrent.shape[0]
    zero = jnp.zeros((x.shape[1], units))

    def step(carry, x):
        h, c = carry
        z = x @ kernel + h @ recurrent + bias
        gates = jax.nn.sigmoid(z)
        i, f, o = gates[:, :units], gates[:, units : 2 * units], gates[:, 3 * units :]
        g = jnp.tanh(z[:, 2 * units : 3 * units])
        after = f * c + i * g
        return (o * jnp.tanh(after), after), (h, c, i, f, g, o, after)

    (h, _), saved = lax.scan(step, (zero, zero), x)
    return h, (x, kernel, recurrent, saved)


def _lstm_back(saved, dh):
    x, kernel, recurrent, steps = saved

    def step(carry, now):
        dh, dc = carry
        _, c, i, f, g, o, after = now
        t = jnp.tanh(after)
        dc = dc + dh * o * (1 - t * t)
        dz = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)]
        dz = jnp.concatenate(dz, -1)
        return (dz @ recurrent.T, dc * f), dz

    _, dz = lax.scan(step, (dh, jnp.zeros_like(dh)), steps, reverse=True)
    T, B, wide = dz.shape
    flat, before = dz.reshape(T * B, wide), steps[0].reshape(T * B, -1)
    dx = (flat @ kernel.T).reshape(x.shape)
    return dx, x.reshape(T * B, -1).T @ flat, before.T @ flat, flat.sum(0)


lstm.defvjp(_lstm_forward, _lstm_back)
