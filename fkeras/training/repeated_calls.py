"""Predictions of a few rows, asked for again and again: nothing that stays the same is looked up twice."""

import jax
import numpy as np

from fkeras.data.sources import host_array
from fkeras.layers.contract.variables import revision


class Direct:
    """Compiled predictions of a model with one input, kept with its arrays until any array or layer changes.

    `Model.predict` (one row) and `predict_on_batch` ask `of(x)` first; whatever it does not know goes the long way,
    past all checks, and may be remembered by `keep`.
    """

    def __init__(self, model):
        self.revision = revision.now  # before the arrays are gathered: a change on the way then counts as one
        self.params, self.state = model.gather()
        self.checks = [layer.check_values for layer, _ in model.input_consumers() if hasattr(layer, "check_values")]
        self.is_tree = not jax.tree_util.treedef_is_leaf(jax.tree.structure(model.output_specs()))
        self.kept = {}

    def of(self, x):
        """Returns the outputs for a batch [B, ...] as NumPy arrays, or None for a shape or dtype not kept."""
        if (kept := self.kept.get((x.shape, x.dtype))) is None:
            same = host_array(x)  # in a dtype JAX keeps
            return None if same is x else self.of(same)
        for check in self.checks:
            check(x)
        run, rows = kept
        out, _ = run(self.params, self.state, x[None], rows, 1)
        return jax.tree.map(_only, out) if self.is_tree else _only(out)

    def keep(self, x, program):
        """Remembers the program for batches like `x` [B, ...]."""
        rows = jax.device_put(np.ones((1, len(x)), bool))
        self.kept[x.shape, x.dtype] = program.ready(self.params, self.state, x[None], rows, 1), rows


def _only(outputs):
    """Returns the one batch of `outputs` [1, B, ...], on the host."""
    return np.array(outputs)[0]
