"""What is left of a model when a step ends in an error.

A step is given the memory of the arrays it replaces, and steps run while the program goes on: when one fails, what it
took is gone. A model of a few megabytes keeps the arrays of the steps under way instead; that costs nothing one can
measure.
"""

import collections

import jax

from fkeras.training.pace import IN_FLIGHT

KEPT_BYTES = 1 << 23  # weights of models whose steps do not take the memory of their arrays


class LastGood:
    """Around training steps: an error in one of them leaves the model with the arrays of the last good one.

    Args:
        model: The model that trains.
        rows: Rows in a batch, for the message.
    """

    def __init__(self, model, rows):
        self.model, self.rows = model, rows
        self.kept = collections.deque(maxlen=IN_FLIGHT + 2)

    def keep(self, ts):
        """Takes note of the `TrainState` that a dispatch is given."""
        self.kept.append(ts)

    def __enter__(self):
        return self

    def __exit__(self, kind, err, where):
        if err is None or not isinstance(err, Exception):
            return
        model = self.model
        state = "as it was after the last good step"
        if not _is_sound((model.gather(), model.optimizer.state)):
            good = next((ts for ts in reversed(self.kept) if _is_sound((ts.params, ts.state, ts.opt))), None)
            if good is not None:
                model._store(good)
            else:
                state = "without its weights, which the failed step had taken: load them from a file"
        if isinstance(err, jax.errors.JaxRuntimeError):
            err.add_note(f"{model.label} is {state}.{self._about_memory(err)}")

    def _about_memory(self, err):
        if "RESOURCE_EXHAUSTED" not in str(err) and "out of memory" not in str(err).lower():
            return ""
        peaks = [
            entry.peak_bytes for entry in self.model.compile_report() if entry.kind == "train" and entry.peak_bytes
        ]
        needs = f" needs about {peaks[-1] / 1e6:,.0f} MB, which" if peaks else ""
        return f" A step over batches of {self.rows} rows{needs} is more than there is: use a smaller batch_size."


def _is_sound(arrays):
    try:
        jax.block_until_ready(arrays)
    except (jax.errors.JaxRuntimeError, RuntimeError):  # what computed it failed, or it was given away
        return False
    return True
