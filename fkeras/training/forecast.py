"""What a step will need, known before it runs: the program is compiled from shapes alone, nothing is allocated."""

import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fkeras.compiled.programs import compile_for
from fkeras.core import tree
from fkeras.data.sources import Columns
from fkeras.training.compilation import like
from fkeras.training.last_good import KEPT_BYTES
from fkeras.training.objectives import make_objectives
from fkeras.training.pace import block_steps
from fkeras.training.predict import predictor
from fkeras.training.step import Program, TrainState

CLOSE = 16  # the largest batch is found to within a part in so many


class Forecast(NamedTuple):
    """What `Model.forecast` found; prints as a table.

    kind: "train" or "predict". batch_size: Rows in a batch. parameters: Numbers the model has.
    flops, bytes: Operations, and bytes read and written, of one step, as XLA counts them; None where it does not.
    peak_bytes: Arguments, results and scratch together. memory_bytes: What the device has, or None where it is not
    known. compile_seconds: What tracing and compiling took.
    """

    kind: str
    batch_size: int
    parameters: int
    flops: float | None
    bytes: float | None
    peak_bytes: int
    memory_bytes: int | None
    compile_seconds: float

    @property
    def fits(self):
        """Whether the device has the memory; None where that is not known."""
        return None if self.memory_bytes is None else self.peak_bytes <= self.memory_bytes

    def __str__(self):
        def amount(value, unit, size):
            return "?" if value is None else f"{value / size:,.4g} {unit}"

        has = "" if self.memory_bytes is None else f" of {amount(self.memory_bytes, 'MB', 1e6)}"
        rows = (
            (f"{self.kind}, batches of", f"{self.batch_size} rows"),
            ("parameters", f"{self.parameters:,}"),
            ("operations a step", amount(self.flops, "GFLOP", 1e9)),
            ("memory read and written", amount(self.bytes, "MB a step", 1e6)),
            ("peak memory", amount(self.peak_bytes, "MB", 1e6) + has),
            ("compiling", f"{self.compile_seconds:.1f} s"),
        )
        return "\n".join(f"{label:24} {text}" for label, text in rows)


def forecast(model, batch_size, kind, x, y):
    """See `Trainer.forecast`."""
    begin = time.perf_counter()
    compiled = _lowered(model, batch_size, kind, x, y)
    seconds = time.perf_counter() - begin
    costs = compiled.cost_analysis() or {}
    costs = costs[0] if isinstance(costs, (list, tuple)) else costs
    memory = compiled.memory_analysis()
    kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    flops, moved = (None if costs.get(name) is None else float(costs[name]) for name in ("flops", "bytes accessed"))
    return Forecast(
        kind, batch_size, model.count_params(), flops, moved, int(kept + memory.temp_size_in_bytes), device_memory(),
        seconds,
    )  # fmt: skip


def device_memory():
    """Returns the bytes that the default device has for arrays, or None where it does not say."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not a system that tells
        return None


def largest(model, kind, memory, most, x, y):
    """Returns the `Forecast` of the largest batch whose step fits `memory` bytes.

    Peaks grow about evenly with the rows: those of the ends tell where to look, and at last the middle.

    Raises:
        ValueError: One row is too much already, or the device does not say what it has.
    """
    memory = device_memory() if memory is None else memory
    if memory is None:
        raise ValueError("forecast: the device does not say what memory it has. Give memory=..., in bytes.")
    known = {}

    def fits(rows):
        if rows not in known:
            known[rows] = forecast(model, rows, kind, x, y)._replace(memory_bytes=int(memory))
        return known[rows].fits

    if not fits(1):
        raise ValueError(
            f"forecast: a step of {model.label} over one row takes {known[1].peak_bytes / 1e6:,.0f} MB, and there are "
            f"{memory / 1e6:,.0f} MB."
        )
    if fits(most):
        return known[most]
    low, high = 1, most  # fits, does not
    while high - low > max(low // CLOSE, 1):
        near = max((high - low) // CLOSE, 1)
        a, b = (known[rows].peak_bytes for rows in (low, high))
        guess = low + int((high - low) * (memory - a) / max(b - a, 1))
        probe = min(max(guess, low + near), high - near) if len(known) < 8 else (low + high) // 2
        low, high = (probe, high) if fits(probe) else (low, probe)
    return known[low]


def _lowered(model, size, kind, x, y):
    """Returns the compiled program of one step over `size` rows."""
    xs = inputs(model, size, x)
    shapes = [a.shape for a in jax.tree.leaves(xs)]
    params, state = jax.eval_shape(lambda: model.init(jax.random.key(0), model._input_tree(shapes)))
    rows = jax.ShapeDtypeStruct((size,), bool)
    tree_of_x = model._input_tree(xs)
    if kind == "predict":
        outputs = [jax.ShapeDtypeStruct((size, *s.shape[1:]), s.dtype) for s in jax.tree.leaves(model.output_specs())]
        steps = block_steps(2 * max(_nbytes(xs), _nbytes(outputs)))
        block = _blocks((tree_of_x, rows), 1 << steps.bit_length() - 1)
        return compile_for("predict", jax.jit(predictor(model)).lower(params, state, *block, 1))
    ys = _targets(model, size, y)
    objectives = make_objectives(model, Columns(list(xs), list(ys)))
    program = Program(model, model.optimizer, objectives, frozenset(model.trained_paths()))
    weights = [jax.ShapeDtypeStruct((size,), jnp.float32)] * len(ys)
    batch = {"x": tree_of_x, "y": list(ys), "w": weights, "rows": rows}
    opt = jax.eval_shape(model.optimizer.init, tree.split(params, program.trained)[0])
    key = jax.ShapeDtypeStruct(model._train_key.shape, model._train_key.dtype)
    ts = TrainState(params, state, opt, None, key)
    ts = ts._replace(metrics=jax.eval_shape(lambda: program.init_metrics(ts, batch, True)))
    donate = () if _nbytes((params, state)) <= KEPT_BYTES else (0,)
    run = jax.jit(program.train_block, donate_argnums=donate)
    return compile_for("train", run.lower(ts, _blocks(batch, block_steps(_nbytes((xs, ys)))), 1))


def _nbytes(shapes):
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(shapes))


def _blocks(batch, steps):
    """Returns the shapes of a block of so many batches, as `fit` dispatches them."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((steps, *a.shape), a.dtype), batch)


def inputs(model, size, x=None, what="forecast"):
    """Returns the shapes of the model's inputs for so many rows, or of `x` with so many.

    Raises:
        ValueError: A size is not known.
    """
    if x is not None:
        return like(jax.tree.leaves(x), size)
    found = []
    for symbol in model.program_specs():
        if None in symbol.shape[1:]:
            raise ValueError(
                f"{what}: the input {symbol.name!r} has the shape {tuple(symbol.shape)}, whose sizes are not all "
                f"known. Give x=..., arrays or jax.ShapeDtypeStructs like the data."
            )
        found.append(jax.ShapeDtypeStruct((size, *symbol.shape[1:]), symbol.dtype))
    return found


def _targets(model, size, y):
    """Returns shapes of targets: those given, else of classes where a loss takes them, else of the outputs."""
    if y is not None:
        return like(jax.tree.leaves(y), size)
    specs, losses = jax.tree.leaves(model.output_specs()), jax.tree.leaves(model._compiled["loss"])
    found = []
    for i, spec in enumerate(specs):
        loss = losses[min(i, len(losses) - 1)] if losses else None
        sparse = "sparse" in type(loss).__name__.lower() or "sparse" in str(getattr(loss, "name", "")).lower()
        shape = spec.shape[1:-1] if sparse else spec.shape[1:]
        found.append(jax.ShapeDtypeStruct((size, *shape), jnp.int32 if sparse else jnp.float32))
    return found
