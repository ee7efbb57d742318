"""The program of predict: batches in a loop, cut or joined to parts whose arrays stay in the processor's cache."""

import jax
import jax.numpy as jnp

from fkeras.layers.contract.context import Context
from fkeras.training.step import pick

PART_BYTES = 3 << 20  # a batch is cut until the largest array on its way has at most so many bytes,
PART_ROWS = 8  # but not to fewer rows;
JOINED_BYTES = 1 << 19  # batches are joined as long as it has at most so many.
LOOP_BYTES = 1 << 24  # With a loop over time, whose many small operations want many rows, both go to this size


def predictor(model):
    """Returns the pure function that `predict` compiles."""

    def predict(params, state, x, rows, n, key=None, ids=None):
        """Computes the outputs [K, B, ...] of the first `n` batches of `x`, [K, B, ...], up to the last real row.

        Args:
            params, state: As `model.gather()` returns them.
            rows: Bool [K, B], which rows are real; None for all.
            key: JAX key of this call of `predict`, for layers that draw random numbers in inference too.
            ids: int32 [K, B], each row's number in all that is predicted, which its noise depends on.
        """
        count, batch = jax.tree.leaves(x)[0].shape[:2]

        def one(given, state):
            x, rows, ids = given
            y, state, _ = model.apply_masked(params, state, x, Context(key=key, rows=rows, row_ids=ids))
            return y, state

        def through(outs, state, first, last, size):
            """Fills in the outputs of the parts `first` to `last`, of `size` rows each."""
            cut = (lambda tree, size: tree) if size == batch else _parts  # outputs of a batch may have other sizes
            given = cut((x, rows, ids), size)
            if rows is not None:
                real = jnp.any(given[1], 1)
                last = jnp.minimum(last, jnp.max(jnp.where(real, jnp.arange(1, len(real) + 1), 0)))

            def step(i, carry):
                y, state = one(pick(given, i), carry[1])
                return jax.tree.map(
                    lambda all_, a: jax.lax.dynamic_update_index_in_dim(all_, a, i, 0), carry[0], y
                ), state

            outs, state = jax.lax.fori_loop(first, last, step, (cut(outs, size), state))
            return cut(outs, batch), state

        size = _part_size(model, params, x)
        if count == 1 and size == batch:
            y, state = one(pick((x, rows, ids), 0), state)
            return jax.tree.map(lambda a: a[None], y), state
        spec = jax.eval_shape(one, pick((x, rows, ids), 0), state)[0]
        outs = jax.tree.map(lambda s: jnp.zeros((count, *s.shape), s.dtype), spec)
        if size <= batch:
            return through(outs, state, 0, n * (batch // size), size)
        joined = size // batch
        outs, state = through(outs, state, 0, n // joined, size)
        return through(outs, state, n // joined * joined, n, batch)

    return predict


def _parts(tree, size):
    """Returns arrays [K, B, ...] as [K * B / size, size, ...]."""

    def cut(a):  # the number of parts is not left to -1: an array may have no columns
        return a if a.shape[1:2] == (size,) else a.reshape(a.shape[0] * a.shape[1] // size, size, *a.shape[2:])

    return jax.tree.map(cut, tree)


def _part_size(model, params, x):
    """Returns how many rows to compute at a time: a batch, an even part of it, or several batches.

    On the CPU arrays of a few MiB are read again from the cache, and products of few rows are slow. Accelerators want
    their batches as they are, and rows that may meet stay together.
    """
    count, batch = jax.tree.leaves(x)[0].shape[:2]
    found = model.batching("predict", jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), x))
    if jax.default_backend() != "cpu" or found.cut is not None:
        return batch
    most, joined = (LOOP_BYTES, LOOP_BYTES) if found.loops else (PART_BYTES, JOINED_BYTES)
    most = max(most, _weight_bytes(params))  # which every part reads anew
    size, row = batch, found.row_bytes
    while size % 2 == 0 and size // 2 >= PART_ROWS and size * row > most:
        size //= 2
    while count % 2 == 0 and 2 * size * row <= joined:
        count, size = count // 2, size * 2
    return size


def _weight_bytes(params):
    """Returns the size of the weights."""
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(params))
