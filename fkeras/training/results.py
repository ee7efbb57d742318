"""From devices to what users get: outputs joined on the host, logs as numbers."""

import jax
import numpy as np

from fkeras.distribute import processes


def joined(model, outputs):
    """Returns the outputs of all batches as one tree of arrays."""
    leaves = jax.tree.leaves(outputs[0], is_leaf=lambda a: a is None)
    for name, first in zip(model.output_names or [""], leaves, strict=False):
        if first is None:
            raise ValueError(
                f"predict: output {name!r} of {model.label} is a single number for a batch, without a batch axis. Give "
                f"it one, or call the model on the array itself: model(x)."
            )
    if len(outputs) == 1:
        return outputs[0]
    try:
        return jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)
    except ValueError:
        shapes = sorted({str(tuple(a.shape[1:])) for one in outputs for a in jax.tree.leaves(one)})
        raise ValueError(
            f"predict: the outputs of the batches have different sizes ({', '.join(shapes[:3])}) and cannot be joined. "
            f"Give inputs of one length, or predict batch by batch with predict_on_batch."
        ) from None


def fetch(devices, out, rows):
    """Returns the outputs [rows, ...] on the host for outputs [K, B, ...], of which `rows` [n, B] are real.

    They may lie in XLA's own memory: a copy is the caller's to make. None stands for one number per batch.
    """
    out = jax.tree.map(lambda a: np.asarray(a)[: len(rows)], devices.join(out))
    if rows.all():
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]) if a.ndim > 1 else None, out)
    return jax.tree.map(lambda a: a[rows], out)


def floats(logs):
    """Fetches logs to the host. Keras sorts the names of an epoch's logs; so do we."""
    with processes.waiting("the end of an epoch"):
        host = jax.device_get(logs)
    return {k: float(v) if np.ndim(v) == 0 else np.asarray(v) for k, v in sorted(host.items())}
