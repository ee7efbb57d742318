"""The program of predict: batches in a loop, cut or joined to parts whose arrays stay in the processor's cache."""

import jax
import jax.numpy as jnp

from fkeras.compiled import rows as apart
from fkeras.layers.contract.base import Context
from fkeras.training.step import pick

PART_BYTES = 3 << 20  # a batch is cut until the largest array on its way has at most so many bytes,
PART_ROWS = 8  # but not to fewer rows;
JOINED_BYTES = 1 << 19  # batches are joined as long as it has at most so many.
LOOP_BYTES = 1 << 24  # With a loop over time, whose many small operations want many rows, both go to this size


def predictor(model):
    """Returns the pure function that `predict` compiles."""

    def predict(params, state, x, rows, n):
        """Computes the outputs [K, B, ...] of the first `n` batches of `x`, [K, B, ...], up to the last real row."""
        batch = rows.shape[1]

        def one(given, state):
            x, rows = given
            y, state, _ = model.apply_masked(params, state, x, Context(rows=rows))
            return y, state

        def through(outs, state, first, last, size):
            """Fills in the outputs of the parts `first` to `last`, of `size` rows each."""
            given = _parts((x, rows), size)
            real = jnp.any(given[1], 1)
            last = jnp.minimum(last, jnp.max(jnp.where(real, jnp.arange(1, len(real) + 1), 0)))

            def step(i, carry):
                y, state = one(pick(given, i), carry[1])
                return jax.tree.map(
                    lambda all_, a: jax.lax.dynamic_update_index_in_dim(all_, a, i, 0), carry[0], y
                ), state

            outs, state = jax.lax.fori_loop(first, last, step, (_parts(outs, size), state))
            return _parts(outs, batch), state

        size = _part_size(model, params, state, x, rows)
        if len(rows) == 1 and size == batch:
            y, state = one(pick((x, rows), 0), state)
            return jax.tree.map(lambda a: a[None], y), state
        spec = jax.eval_shape(one, pick((x, rows), 0), state)[0]
        outs = jax.tree.map(lambda s: jnp.zeros((len(rows), *s.shape), s.dtype), spec)
        if size <= batch:
            return through(outs, state, 0, n * (batch // size), size)
        joined = size // batch
        outs, state = through(outs, state, 0, n // joined, size)
        return through(outs, state, n // joined * joined, n, batch)

    return predict


def _parts(tree, size):
    """Returns arrays [K, B, ...] as [K * B / size, size, ...]."""
    return jax.tree.map(lambda a: a if a.shape[1:2] == (size,) else a.reshape(-1, size, *a.shape[2:]), tree)


def _part_size(model, params, state, x, rows):
    """Returns how many rows to compute at a time: a batch, an even part of it, or several batches.

    On the CPU arrays of a few MiB are read again from the cache, and products of few rows are slow. Accelerators want
    their batches as they are, and rows that may meet stay together.
    """
    count, batch = rows.shape
    if jax.default_backend() != "cpu":
        return batch

    def probe(given, params, state):
        x, rows = given
        return model.apply_masked(params, state, x, Context(rows=rows))[:2]

    given = jax.tree.map(lambda a: jax.ShapeDtypeStruct((apart.ROWS, *a.shape[2:]), a.dtype), (x, rows))
    try:
        row, loops = apart.look(probe, params, state, rows=given)
    except Exception:  # apart.Mixed, or what a model says that takes batches of one size only
        return batch
    most, joined = (LOOP_BYTES, LOOP_BYTES) if loops else (PART_BYTES, JOINED_BYTES)
    most = max(most, _weight_bytes(params))  # which every part reads anew
    size = batch
    while size % 2 == 0 and size // 2 >= PART_ROWS and size * row > most:
        size //= 2
    while count % 2 == 0 and 2 * size * row <= joined:
        count, size = count // 2, size * 2
    return size


def _weight_bytes(params):
    """Returns the size of the weights."""
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(params))
