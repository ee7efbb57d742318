"""The program of predict: batches in a loop, in parts whose arrays stay in the processor's cache."""

import jax
import jax.numpy as jnp

from fkeras import apart
from fkeras.layers.base import Context
from fkeras.train import pick

PART_BYTES = 1 << 22  # the largest array on a part's way has at most about so many bytes
PART_ROWS = 8  # and a part at least so many rows


def predictor(model):
    """Returns the pure function that `predict` compiles."""

    def predict(params, state, x, rows, n):
        """Computes the outputs [K, B, ...] for the first `n` batches of `x`, leaves [K, B, ...]."""
        batch = rows.shape[1]
        size = _part_size(model, params, state, x, batch)
        x, parts = jax.tree.map(lambda a: a.reshape(-1, size, *a.shape[2:]), (x, rows))

        def one(i, state):
            y, state, _ = model.apply_masked(params, state, pick(x, i), Context(rows=parts[i]))
            return y, state

        def step(i, carry):
            y, state = one(i, carry[1])
            return jax.tree.map(lambda all_, a: jax.lax.dynamic_update_index_in_dim(all_, a, i, 0), carry[0], y), state

        if len(parts) == 1:
            y, state = one(0, state)
            return jax.tree.map(lambda a: a[None], y), state
        spec = jax.eval_shape(one, 0, state)[0]
        outs = jax.tree.map(lambda s: jnp.zeros((len(parts), *s.shape), s.dtype), spec)
        outs, state = jax.lax.fori_loop(0, n * (batch // size), step, (outs, state))
        if size < batch:
            outs = jax.tree.map(lambda a: a.reshape(*rows.shape, *a.shape[2:]), outs)
        return outs, state

    return predict


def _part_size(model, params, state, x, batch):
    """Returns how many of the rows of a batch to compute at a time: all, or an even part that fits the cache.

    On the CPU an array of a few MiB is read again from the cache. Loops, as of recurrent layers, want all rows, and
    rows that may meet stay together.
    """
    if jax.default_backend() != "cpu" or batch % 2:
        return batch

    def probe(given, params, state):
        x, rows = given
        return model.apply_masked(params, state, x, Context(rows=rows))[:2]

    given = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((apart.ROWS, *a.shape[2:]), a.dtype), (x, jnp.ones((1, 1), bool))
    )
    try:
        largest = apart.row_bytes(probe, params, state, rows=given)
    except apart.Mixed:
        return batch
    enough = max(PART_BYTES, _weight_bytes(params))
    while batch % 2 == 0 and batch // 2 >= PART_ROWS and batch * largest > enough:
        batch //= 2
    return batch


def _weight_bytes(params):
    """Returns the size of the weights, which every part reads anew."""
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(params))
