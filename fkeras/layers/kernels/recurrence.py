"""A recurrence around one matrix product, run over time with a derivative of its own.

What JAX derives from `lax.scan` adds up the recurrent kernel's gradient step by step, in many small operations. Here
the scan back only finds what flows into the product at each step; one matrix product over all steps then gives the
kernel's gradient. Milliseconds for values and gradients on two CPU cores in a loop, LSTM, shapes B, T, C, U (JAX 0.10,
float32), as derived and as here:

    32,  80,  64,  64    11.0   6.5        128, 28, 28, 128    24.9   22.3
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from fkeras.core.dtypes import at_least_float32
from fkeras.layers.kernels.convolution import varying_alike


class Derived:
    """What a recurrence does after its product, with the derivative that JAX finds.

    behind: Function (x_t, product, states) -> states that closes over no traced array.
    """

    def __init__(self, behind):
        self.behind = behind

    def forward(self, x, product, states):
        """Returns (states, tree of arrays to keep for `backward`)."""
        if jax.config.jax_disable_jit:  # each step's derivative would be another function, which no scan can stack
            return self.behind(x, product, states), (x, product, states)
        states, pull = jax.vjp(self.behind, x, product, states)
        return states, pull

    def backward(self, saved, before, after, g):
        """Returns the gradients (of x_t, of the product, of the states before) from that of the states after."""
        pull = jax.vjp(self.behind, *saved)[1] if isinstance(saved, tuple) else saved
        return pull(g)


def scan_product(step, x, states, kernel, bias=None, mask=None, *, all_outputs=True, unroll=False):
    """Runs states = step(x_t, states[0] @ kernel + bias, states) along time; a masked step leaves them as they are.

    It has a reverse-mode derivative only (which can itself be differentiated either way).

    Args:
        step: A `Derived`, or an object with its methods.
        x: Float array [T, B, G].
        states: List of float arrays [B, ...], the first [B, U].
        kernel: Float array [U, G].
        bias: Float array [G], or None.
        mask: Bool array [T, B], False where a row has no such step, or None.
        all_outputs: Whether the first state is wanted after every step.
        unroll: Write the steps out instead of looping.

    Returns:
        (first state after each step [T, B, U] or None, states after the last).

    Example:
        >>> add = Derived(lambda x, product, states: [x + product])
        >>> ys, _ = scan_product(add, jnp.ones((3, 1, 1)), [jnp.zeros((1, 1))], jnp.full((1, 1), 2.0))
        >>> ys.ravel().tolist()
        [1.0, 3.0, 7.0]
    """
    arrays, form = jax.tree.flatten((x, states, kernel, bias, mask))
    return _scan(step, all_outputs, unroll, *jax.tree.unflatten(form, varying_alike(*arrays)))


def _choose(real, a, b):
    """Returns the trees' arrays `a` where `real` [B], else `b`."""
    if real is None:
        return a
    return jax.tree.map(lambda a, b: jnp.where(real.reshape(real.shape + (1,) * (a.ndim - 1)), a, b), a, b)


def _run(step, keep, unroll, x, states, kernel, bias, mask):
    """Returns (states after the last step, what `keep(states, saved)` returned of each step)."""

    def body(before, now):
        x, real = now
        product = before[0] @ kernel if bias is None else before[0] @ kernel + bias
        after, saved = step.forward(x, product, before)
        after = _choose(real, after, before)
        return after, keep(after, saved)

    return lax.scan(body, states, (x, mask), unroll=unroll)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _scan(step, all_outputs, unroll, x, states, kernel, bias, mask):
    def keep(states, saved):
        return states[0] if all_outputs else None

    states, outputs = _run(step, keep, unroll, x, states, kernel, bias, mask)
    return outputs, states


def _scan_fwd(step, all_outputs, unroll, x, states, kernel, bias, mask):
    last, (after, saved) = _run(step, lambda *kept: kept, unroll, x, states, kernel, bias, mask)
    return (after[0] if all_outputs else None, last), (states, after, saved, kernel, bias, mask)


def _scan_bwd(step, all_outputs, unroll, kept, g):
    states, after, saved, kernel, bias, mask = kept
    g_outputs, g_states = g
    before = [jnp.concatenate([first[None], a[:-1]]) for first, a in zip(states, after, strict=True)]
    back = kernel.T

    def body(g, now):
        g_output, real, before, after, saved = now
        if g_output is not None:
            g = [g[0] + g_output, *g[1:]]
        zeros = jax.tree.map(jnp.zeros_like, g)
        g_x, g_product, g_before = step.backward(saved, before, after, _choose(real, g, zeros))
        g_before = [g_before[0] + g_product @ back, *g_before[1:]]
        if real is not None:
            g_before = jax.tree.map(jnp.add, g_before, _choose(~real, g, zeros))
        return g_before, (None if g_x is g_product else g_x, g_product)

    steps = g_outputs, mask, before, after, saved
    g_states, (g_x, g_product) = lax.scan(body, list(g_states), steps, reverse=True, unroll=unroll)
    g_x = g_product if g_x is None else g_x
    wide = at_least_float32(kernel.dtype)
    flat, flat_before = (a.reshape(-1, a.shape[-1]) for a in (g_product, before[0]))
    g_kernel = jnp.matmul(flat.T, flat_before, preferred_element_type=wide).T.astype(kernel.dtype)
    g_bias = None if bias is None else jnp.sum(flat, 0, wide).astype(bias.dtype)
    return g_x, g_states, g_kernel, g_bias, None


_scan.defvjp(_scan_fwd, _scan_bwd)
