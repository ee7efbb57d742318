"""What surrounds one call of a layer."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fkeras.core import rng


@dataclasses.dataclass(frozen=True)
class Context:
    """What surrounds one call of a layer, beside its parameters, state and input.

    Args:
        training: Training or inference (static).
        key: JAX key of this step, or None where nothing random may happen.
        mask: Bool array [B, T] of the input's real time steps, or None; a tree like the input's for several inputs.
        rows: Bool array [B], which rows are real and not padding, or None for all.
        row_ids: int32 [B], each row's place in the global batch, or None for 0..B-1.
        axis: Name of the device axis under pmap, or None.
        path: Places of the layers around this call; random keys are folded by it.
        losses: List that inner losses are added to as (sum, count), and `custom.Log`s, or None to drop them.
        probe: None, or that the call is only traced, to see whether rows of a batch meet in it (see `compiled.rows`):
            "fill" if what a layer does with `rows` is trusted (`Layer.rows_meet`), "cut" if not. What layers add to the
            loss is then kept as it comes, as `Probed`.
        eager: Whether a layer that draws without a key takes a new one of the process's stream: in a call on arrays.
        shared: {id(layer): its state now} of the layers that are reached by several paths; one call hands it to the
            next.
    """

    training: bool = False
    key: Any = None
    mask: Any = None
    rows: Any = None
    row_ids: Any = None
    axis: str | None = None
    path: tuple = ()
    losses: list | None = None
    probe: str | None = None
    eager: bool = False
    shared: dict | None = None

    def at(self, *path, **changes):
        """Returns the context of a call further inside."""
        return dataclasses.replace(self, path=(*self.path, *path), **changes)

    def layer_key(self, seed=None):
        """Returns the key of this place: folded by path, and by the layer's own `seed` setting.

        Raises:
            ValueError: The call was given no key.
        """
        if self.key is None and not self.eager:
            raise ValueError(
                "This layer draws random numbers while training: pass `key=jax.random.key(...)` to `apply`."
            )
        key, place = rng.next_key() if self.key is None else self.key, "/".join(map(str, self.path))
        return rng.fold(key, place) if seed is None else rng.fold(key, place, seed)

    def place(self, x):
        """Returns the `rng.Place` that a user's own code in this call draws from, on input `x`."""
        batch = next((a.shape[0] for a in jax.tree.leaves(x) if jnp.ndim(a)), None)
        return rng.Place(self.layer_key, batch, self.row_ids)

    def draw(self, sample, shape, seed=None):
        """Draws `sample(key, shape)` row by row, so that devices and padding do not change the numbers."""
        rows = jnp.arange(shape[0]) if self.row_ids is None else self.row_ids
        return rng.rows_draw(sample, self.layer_key(seed), rows, shape)

    def add_loss(self, total, count=None):
        """Adds total / count (None: 1) to the loss of the step; under pmap both are summed over devices first."""
        if self.losses is not None:
            self.losses.append((total, count) if self.probe is None else Probed("total", (total, count)))

    def row_mask(self, ndim):
        """Returns `rows` as a bool array [B, 1, ...] of rank `ndim`, or None."""
        return None if self.rows is None else self.rows.reshape((-1,) + (1,) * (ndim - 1))

    def count_rows(self, batch):
        """Returns the number of real rows on this device, as float32."""
        return jnp.float32(batch) if self.rows is None else jnp.sum(self.rows, dtype=jnp.float32)

    def sum_devices(self, value):
        """Sums `value` over the device axis, if there is one."""
        return value if self.axis is None else jax.lax.psum(value, self.axis)


class Probed(NamedTuple):
    """What a layer adds to the loss or the logs, as it comes while rows are followed.

    kind: "value" (one number, or one or more per row), "total" (sum and count), "penalty" (an activity regularizer's),
    "log" (the state of a metric).
    """

    kind: str
    value: Any
