"""Attention of arrays: each query takes the mean of the values, weighted by how well their keys fit it.

`dot_product_attention` is the one place that computes attention of heads, and `fused_kernel` the one place that asks
whether the device has a kernel of its own for it. Everything else is written once, in the formulation that was
fastest on the CPU: batched matrix products of heads, and the division by the sum of the softmax put off until after
the product with the values, where it touches T x V numbers and not T x S.

Measured on one CPU core (JAX 0.10, float32, batch 32, T 64, 4 heads of 32, causal), milliseconds of CPU time for
values and all gradients inside `lax.fori_loop`: this 6.1; batched products with `jax.nn.softmax` 7.3; einsums over
[B, T, N, H] 7.9; `jax.nn.dot_product_attention` took 1.3 times the einsums.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from fkeras.core import flags
from fkeras.layers.kernels.noise import dropout

_MASKED = -1e30  # far below any score, far from float32's limit

# -------------------------------------------------------------------------------------- pure functions


def causal_mask(queries, keys):
    """Returns bool [queries, keys]: query i may look at keys 0 to i.

    Example:
        >>> causal_mask(2, 3).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0]]
    """
    return jax.lax.broadcasted_iota(np.int32, (queries, keys), 0) >= jax.lax.broadcasted_iota(
        np.int32, (queries, keys), 1
    )


def window_mask(queries, keys, width):
    """Returns bool [queries, keys]: query i may look at keys i - width + 1 to i + width - 1.

    Example:
        >>> window_mask(3, 3, 2).astype(int).tolist()
        [[1, 1, 0], [1, 1, 1], [0, 1, 1]]

    Reference:
        Beltagy et al., "Longformer", 2020, arXiv:2004.05150; with `causal_mask` the window of Mistral.
    """
    i = jax.lax.broadcasted_iota(np.int32, (queries, keys), 0)
    return jnp.abs(i - jax.lax.broadcasted_iota(np.int32, (queries, keys), 1)) < width


def mask_scores(scores, mask):
    """Pushes scores to about minus infinity where `mask` is False. A row without any True keeps equal scores.

    Args:
        scores: float32 [..., T, S].
        mask: Bool array that broadcasts to `scores`, or None.
    """
    # Chosen, not added: adding is 10 % faster, but lets a gradient through where a query has no key at all.
    return scores if mask is None else jnp.where(mask, scores, np.float32(_MASKED))


@jax.custom_jvp
def wide_matmul(a, b):
    """Returns a @ b in float32, for arrays of one dtype; gradients are products in that dtype too.

    Left to JAX, the gradients of bfloat16 arrays are products of float32: slower, and of larger arrays.

    Example:
        >>> a = jnp.ones((2, 3), "bfloat16")
        >>> wide_matmul(a, a.T).dtype.name, jax.grad(lambda a: wide_matmul(a, a.T).sum())(a).dtype.name
        ('float32', 'bfloat16')
    """
    return jnp.matmul(a, b, preferred_element_type=np.float32)


@functools.partial(wide_matmul.defjvp, symbolic_zeros=True)
def _(values, slopes):
    (a, b), (da, db) = values, slopes
    pairs = [(da, b), (a, db)]
    products = [jnp.matmul(*pair) for pair in pairs if not any(isinstance(one, SymbolicZero) for one in pair)]
    return wide_matmul(a, b), sum(products[1:], products[0]).astype(np.float32)  # backwards the cast narrows


def attend(scores, value, kept=None, rate=0.0):
    """Returns softmax(scores) @ value: the mean of `value`, weighted by the softmax over the last axis.

    Args:
        scores: float32 [..., T, S].
        value: Float array [..., S, V].
        kept: Bool array like `scores`, False where a weight is dropped, or None.
        rate: Fraction dropped (static).

    Returns:
        (output [..., T, V] in the dtype of `value`, weights float32 [..., T, S] before dropout).

    Example:
        >>> attend(jnp.zeros((1, 2)), jnp.array([[1.0], [3.0]]))[0].tolist()
        [[2.0]]
    """
    raised = jnp.exp(scores - jnp.max(jax.lax.stop_gradient(scores), -1, keepdims=True))  # in [0, 1]: fits any dtype
    share = 1 / jnp.sum(raised, -1, keepdims=True)
    used = raised if kept is None else dropout(raised, kept, rate)
    out = wide_matmul(used.astype(value.dtype), value)
    return (out * share).astype(value.dtype), raised * share


class Attended(NamedTuple):
    """What attention of heads gives: `output` [B, T, N, V], and `weights` float32 [B, N, T, S] or None."""

    output: Any
    weights: Any = None


def dot_product_attention(
    query, key, value, mask=None, bias=None, is_causal=False, *, scale=None, kept=None, rate=0.0, with_weights=False,
    fused=None,
):  # fmt: skip
    """Scaled dot-product attention of heads.

        output = softmax(scale * query @ key^T + bias, where mask) @ value

    Scores and softmax are float32 whatever the dtype. Fewer heads of keys and values than of queries are shared by
    consecutive queries' heads (grouped queries). A query all of whose keys are masked takes the mean of all values.

    Args:
        query: Float array [B, T, N, H]: batch, time, heads, features.
        key: Float array [B, S, K, H]; K divides N.
        value: Float array [B, S, K, V].
        mask: Bool array that broadcasts to [B, N, T, S], True where a query may look, or None.
        bias: Float array that broadcasts to [B, N, T, S], added to the scores, or None.
        is_causal: Query i looks at keys 0 to i only (static).
        scale: Float; None is 1 / sqrt(H).
        kept, rate: Dropout of the weights: bool [B, N, T, S] and the fraction dropped, or None.
        with_weights: Also gives the weights, before dropout (static).
        fused: True demands the device's own kernel, False forbids it, None takes it where `fused_kernel` allows.

    Returns:
        `Attended(output, weights)`: [B, T, N, V] in the dtype of `value`, and float32 [B, N, T, S] or None.

    Raises:
        ValueError: The arrays do not fit each other, or `fused` demands a kernel that there is not.

    Example:
        >>> q = jnp.ones((2, 5, 4, 8))
        >>> dot_product_attention(q, q[:, :3, :2], q[:, :3, :2, :6]).output.shape
        (2, 5, 4, 6)

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, eq. 1; grouped: Ainslie et al., "GQA",
        2023, arXiv:2305.13245.
    """
    _check_heads(query, key, value)
    (B, T, N, H), (_, S, K, V) = query.shape, value.shape
    scale = 1 / math.sqrt(H) if scale is None else scale
    if fused or (fused is None and flags.get("flash_attention")):
        wanting = fused_kernel(query, key, value, mask, bias, is_causal, kept is not None, with_weights)
        if wanting is None:
            return Attended(_fused(query, key, value, mask, bias, is_causal, scale))
        if fused:
            raise ValueError(f"dot_product_attention(fused=True): there is no fused kernel for this call: {wanting}.")
    # [B, T, K * G, H] -> [B * K, G * T, H], and [B, S, K, H] -> [B * K, S, H]: one product for each head of keys.
    q = (query * jnp.asarray(scale, query.dtype)).reshape(B, T, K, N // K, H)
    q = q.transpose(0, 2, 3, 1, 4).reshape(B * K, N // K * T, H)
    k, v = (a.swapaxes(1, 2).reshape(B * K, S, -1) for a in (key, value))
    scores = wide_matmul(q, k.swapaxes(1, 2)).reshape(B, N, T, S)
    if bias is not None:
        scores = scores + bias.astype(np.float32)
    if is_causal:
        causal = causal_mask(T, S)[None, None]
        mask = causal if mask is None else mask & causal
    scores = mask_scores(scores, mask).reshape(B * K, N // K * T, S)
    out, weights = attend(scores, v, None if kept is None else kept.reshape(scores.shape), rate)
    out = out.reshape(B, N, T, V).swapaxes(1, 2)  # [B * K, G * T, V] -> [B, T, N, V]
    return Attended(out, weights.reshape(B, N, T, S) if with_weights else None)


def fused_kernel(query, key, value, mask=None, bias=None, is_causal=False, drops=False, with_weights=False):
    """Says why the device's own attention kernel (cuDNN's, on NVIDIA GPUs) cannot take a call; None where it can.

    This is the one place that chooses by platform. The kernel never writes the weights [B, N, T, S] to memory.

    Example:
        >>> q = jnp.ones((2, 4, 1, 8))
        >>> fused_kernel(q, q, q, with_weights=True)
        'the weights are asked for, which it never writes down'
    """
    if drops:
        return "it has no dropout"
    if with_weights:
        return "the weights are asked for, which it never writes down"
    if query.dtype not in (jnp.bfloat16, jnp.float16):
        return f"it takes float16 and bfloat16, not {query.dtype}"
    if query.shape[-1] != value.shape[-1] or query.shape[-1] % 8 or query.shape[-1] > 128:
        return f"its heads have one size, a multiple of 8 up to 128, not {query.shape[-1]} and {value.shape[-1]}"
    if (mask is not None or bias is not None) and (query.shape[1] % 2 or key.shape[1] % 2):
        return f"with a mask it takes even lengths only, not {query.shape[1]} and {key.shape[1]}"
    device = jax.config.jax_default_device or jax.local_devices()[0]
    if getattr(device, "platform", device) != "gpu":
        return f"the device is a {str(getattr(device, 'platform', device)).upper()}"
    capability = getattr(device, "compute_capability", None)
    if not isinstance(capability, str) or "." not in capability or float(capability) < 8:
        return f"it needs an NVIDIA GPU of compute capability 8.0 or later, not {capability}"
    try:  # cuDNN's presence and version, and limits that change with them: trace values and gradients, compute nothing

        def traced(query, key, value, mask, bias):
            out, pull = jax.vjp(lambda q, k, v: _fused(q, k, v, mask, bias, is_causal, 1.0), query, key, value)
            return pull(out)

        jax.eval_shape(traced, *(None if a is None else jax.ShapeDtypeStruct(a.shape, a.dtype)
                                 for a in (query, key, value, mask, bias)))  # fmt: skip
    except Exception as err:
        return f"JAX's cuDNN kernel refused it ({type(err).__name__}: {err})"
    return None


def _fused(query, key, value, mask, bias, is_causal, scale):
    T, S = query.shape[1], key.shape[1]
    if mask is not None:
        mask = jnp.broadcast_to(mask, (*mask.shape[:2], T, S))
    if bias is not None:
        bias = jnp.broadcast_to(bias, (*bias.shape[:2], T, S)).astype(query.dtype)
    return jax.nn.dot_product_attention(
        query, key, value, bias, mask, scale=scale, is_causal=is_causal, implementation="cudnn"
    )


def _check_heads(query, key, value):
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if not query.ndim == key.ndim == value.ndim == 4:
        raise ValueError(f"dot_product_attention: expected [batch, time, heads, features] three times, got {shapes}.")
    if key.shape[:3] != value.shape[:3] or query.shape[0] != key.shape[0] or query.shape[3] != key.shape[3]:
        raise ValueError(
            f"dot_product_attention: key and value need the same batch, time and heads, query and key the same batch "
            f"and features, got {shapes}."
        )
    if query.shape[2] % key.shape[2]:
        raise ValueError(
            f"dot_product_attention: the query's heads must be a multiple of the key's, got {query.shape[2]} and "
            f"{key.shape[2]}."
        )


def dot_scores(query, key, scale=None):
    """Returns float32 [..., T, S]: dot products of queries [..., T, D] and keys [..., S, D], times `scale`.

    Reference:
        Luong et al., "Effective Approaches to Attention-based Neural Machine Translation", 2015, arXiv:1508.04025.
    """
    scores = wide_matmul(query, key.swapaxes(-1, -2))
    return scores if scale is None else scores * scale.astype(np.float32)


def concat_scores(query, key, weight, scale=None):
    """Returns float32 [..., T, S]: weight * sum over features of tanh(scale * (query + key)).

    Reference:
        As Keras 3's `score_mode="concat"`: Luong's "concat" with scalars in place of its matrix and vector.
    """
    both = (query[..., :, None, :] + key[..., None, :, :]).astype(np.float32)
    both = both if scale is None else scale.astype(np.float32) * both
    return weight.astype(np.float32) * jnp.sum(jnp.tanh(both), -1)


def additive_scores(query, key, scale=None):
    """Returns float32 [..., T, S]: sum over features of scale * tanh(query + key), with `scale` [D] or None.

    Example:
        >>> additive_scores(jnp.zeros((2, 3)), jnp.zeros((4, 3))).shape
        (2, 4)

    Reference:
        Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate", 2014,
        arXiv:1409.0473; as Keras 3, without its matrices.
    """
    both = jnp.tanh((query[..., :, None, :] + key[..., None, :, :]).astype(np.float32))
    return jnp.sum(both if scale is None else both * scale.astype(np.float32), -1)
