"""What may be done to the batches of a model, asked once per program: filled up, split over devices, cut and joined.

`compiled.rows` follows the rows through the traced program of the model; here it is asked about models, losses and
metrics, and its answers become reasons that `compile_report()`, warnings and refusals quote.
"""

from typing import NamedTuple

import jax

from fkeras.compiled.rows import ALIKE, Met, follow, is_place, two_numbers
from fkeras.layers.contract.context import Context


class Batching(NamedTuple):
    """What may be done to batches: None where it may, else why not.

    fill: Rows may be added that losses, metrics and statistics leave out. split: A batch may be split evenly over
    devices, or into parts whose gradients add up. cut: Batches may be cut and joined anywhere.
    row_bytes, loops: As `compiled.rows.Followed` has them. draws: Whether random numbers are drawn. outputs: List of
    the outputs' shapes, with any number of rows; None where they are not known.
    """

    fill: str | None = None
    split: str | None = None
    cut: str | None = None
    row_bytes: int = 0
    loops: bool = False
    draws: bool = False
    outputs: list | None = None

    def __str__(self):
        if self.fill is None:
            return "filled up"
        return f"not filled up: {self.fill}"


def of_model(model, training, x, batch, probe="fill"):
    """Returns the `Batching` of a model.

    Args:
        model: A built model.
        training: Whether it is called so.
        x: Tree of its inputs' arrays or shapes, batch axis first.
        batch: Rows of a batch.
        probe: See `Context`: "cut" for predictions.
    """
    fixed = model.fixed_batch
    user = any(layer.runs_user_code for layer in model.own_and_inner())
    numbers = two_numbers(fixed or batch) if user else (fixed, fixed) if fixed else (ALIKE, ALIKE)
    params, state = model.gather()
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct((batch, *a.shape[1:]), a.dtype), x)
    each = jax.ShapeDtypeStruct((batch,), bool), jax.ShapeDtypeStruct((batch,), "int32")

    def call(given, key, params, state):
        x, rows, row_ids = given
        ctx = Context(training, key, None, rows, row_ids, losses=None if probe == "cut" else [], probe=probe)
        y, after, mask = model.apply_masked(params, state, x, ctx)
        added = {kind: [one.value for one in ctx.losses or () if one.kind == kind] for kind in _ADDED}
        return {"y": y, "mask": mask, "state": after, **added}

    given, why = (jax.random.key(0), params, state), None
    try:
        found = follow(call, *given, rows=(like, *each), numbers=numbers)
    except Exception as err:
        why = f"{model.label} cannot be computed for {numbers[1]} rows ({type(err).__name__})"
        if not fixed:
            jax.eval_shape(call, (like, *each), *given)  # one that always fails says why here
            return Batching(why, why, why)
        found = follow(call, *given, rows=(like, *each), numbers=(fixed, fixed))  # of that size it may be filled up
    labels = {layer.name: layer.label for layer in model.own_and_inner()}
    judged = _judged(model, found, labels, fixed or numbers[0])
    return judged._replace(split=judged.split or why, cut=judged.cut or why)


_ADDED = ("value", "total", "penalty", "log")


def _judged(model, found, labels, batch):
    places = found.places
    leaves = {kind: jax.tree.leaves(places[kind], is_leaf=is_place) for kind in places}

    def met(place, what=""):
        label = next((labels[name] for name in reversed(place.scopes) if name in labels), model.label)
        return f"{label} {place.why}{what}"

    fill = split = cut = None
    for name, place in zip(model.output_names or [""] * len(leaves["y"]), leaves["y"], strict=False):
        if place != 0:
            fill = fill or (met(place) if isinstance(place, Met) else f"output {name!r} has no rows on its first axis")
    for place in leaves["mask"]:
        if isinstance(place, Met):
            fill = fill or met(place, " for a mask")
    split = cut = fill
    for place in leaves["value"]:
        if isinstance(place, Met):
            fill = fill or met(place, " for a loss or a log it adds")
            if place.kind != "mean":
                split = split or met(place, " for a loss or a log it adds")
        elif place:
            fill = split = fill or f"{model.label} adds a loss whose rows are on axis {place}"
    for total, count in places["total"]:
        for part in jax.tree.leaves((total, count), is_leaf=is_place):
            if isinstance(part, Met):
                fill = fill or met(part, " for a loss it adds")
                if part.kind != "sum":
                    split = split or met(part, " for a loss it adds")
    for place in leaves["penalty"]:
        if isinstance(place, Met):
            fill = fill or met(place, " for a penalty on its output")
            if place.kind != "sum":
                split = split or met(place, " for a penalty on its output")
    for place in leaves["log"]:
        if isinstance(place, Met) or place is not None:
            why = met(place, " for a metric") if isinstance(place, Met) else f"{model.label} logs rows"
            fill, split = fill or why, split or why
    for place, kept in zip(leaves["state"], jax.tree.leaves(found.kept["state"]), strict=True):
        if not kept:
            cut = cut or f"{model.label} changes running values"
            if isinstance(place, Met):
                why = met(place, " for a running value")
                fill, split = fill or why, split or why
    return Batching(
        fill, split, cut or fill, found.row_bytes, found.loops, found.used[0], jax.tree.leaves(found.shapes["y"])
    )
