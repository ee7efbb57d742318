"""Bounds on gradients: one by one, and all together."""

import jax.numpy as jnp


def clip_by_norm(g, norm):
    """Shrinks `g` so that its own 2-norm is at most `norm`.

        g * norm / max(|g|, norm)

    Example:
        >>> clip_by_norm(jnp.array([3.0, 4.0]), 2.5).round(2).tolist()
        [1.5, 2.0]
    """
    return g * (norm / jnp.maximum(jnp.sqrt(jnp.sum(g * g)), norm))


def clip_by_global_norm(grads, norm):
    """Shrinks all arrays of the list by one factor so that their joint 2-norm is at most `norm`.

        g * norm / max(sqrt(sum |g_i|^2), norm);    all NaN when the joint norm is not finite, as in Keras 3

    Example:
        >>> [float(g) for g in clip_by_global_norm([jnp.float32(3.0), jnp.float32(4.0)], 2.5)]
        [1.5, 2.0]
    """
    total = jnp.sqrt(sum(jnp.sum(g * g) for g in grads))
    scale = jnp.where(jnp.isfinite(total), norm / jnp.maximum(total, norm), jnp.nan)
    return [g * scale for g in grads]
