"""Norms of gradients and of updates, computed within a training step that is asked for them."""

import contextlib

import jax
import jax.numpy as jnp

from fkeras.callbacks import GradientNorms
from fkeras.callbacks.norms import GRADIENT, UPDATE
from fkeras.core import tree


def names(paths, per_layer):
    """Returns the names in the logs for trained arrays at these paths.

    Example:
        >>> names([("dense", "kernel"), ("dense", "bias")], True)
        ['gradient_norm', 'gradient_norm/dense', 'update_norm', 'update_norm/dense']
    """
    layers = list(dict.fromkeys("/".join(path[:-1]) for path in sorted(paths))) if per_layer else []
    return [name for kind in (GRADIENT, UPDATE) for name in (kind, *(f"{kind}/{layer}" for layer in layers))]


def norms(kind, arrays, per_layer):
    """Returns {name: float32 []}: the 2-norm of all arrays together and, if asked, of each layer's.

        norm = sqrt(sum of squares)

    Args:
        kind: First part of the names.
        arrays: Nested dict; leaves None count nothing.

    Example:
        >>> found = norms("n", {"a": {"w": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}}, True)
        >>> {name: float(value) for name, value in found.items()}
        {'n': 5.0, 'n/a': 5.0}
    """
    squares = {}
    for path, a in tree.flatten(arrays).items():
        if a is not None:
            layer = "/".join(path[:-1])
            squares[layer] = squares.get(layer, 0.0) + _squared(a.astype(jnp.float32))
    out = {kind: jnp.sqrt(sum(squares.values(), jnp.float32(0)))}
    return out | ({f"{kind}/{layer}": jnp.sqrt(s) for layer, s in squares.items()} if per_layer else {})


def _squared(a):
    """Returns the sum of squares. On the CPU XLA adds rows with vector operations, and one number after the other."""
    if a.ndim < 2:
        return jnp.sum(jnp.square(a))
    rows = jnp.sum(jnp.square(a), range(a.ndim - 1))
    return jnp.sum(jax.lax.optimization_barrier(rows))  # else XLA makes one sum of both


def of_step(grads, scale, before, after, per_layer):
    """Returns {name: norm} of a step: of its gradients, which a loss scale multiplied, and of what it changed."""
    # Else XLA computes what goes into the sums a second time: 4 % of an Adam step of an MLP at 128 rows
    grads, after = jax.lax.optimization_barrier((grads, after))
    changes = jax.tree.map(lambda a, b: b.astype(jnp.float32) - a.astype(jnp.float32), before, after)
    found = norms(GRADIENT, grads, per_layer)
    return {name: value / scale for name, value in found.items()} | norms(UPDATE, changes, per_layer)


@contextlib.contextmanager
def watched(model, callbacks):
    """Within the `with`, the model's training steps compute what a `GradientNorms` among the callbacks asks for."""
    asked = next((callback for callback in callbacks if isinstance(callback, GradientNorms)), None)
    model.__dict__["_norms"] = None if asked is None else bool(asked.per_layer)
    try:
        yield
    finally:
        model.__dict__["_norms"] = None
