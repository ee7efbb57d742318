"""Why a loss became NaN or infinite: the step that did it is run again, with checks after each layer.

While nothing is wrong, the states and batches of the last dispatches are held on to, and the loss of each is looked at
once it has been computed. Of a model whose steps take the memory of their arrays (more than `KEPT_BYTES`) nothing is
held: there is a word on that it was so, and none on why.
"""

import collections
import contextlib
import math
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.callbacks import TerminateOnNaN
from fkeras.core import rng, tree
from fkeras.core.settings import shortened
from fkeras.core.tracing import trace_state, watching
from fkeras.distribute import parallel
from fkeras.training.pace import IN_FLIGHT
from fkeras.training.step import OwnSteps, Program, pick

EVERY = 16  # dispatches from one look to the next, of a model whose states are small
SMALL_BYTES = 1 << 20
SHOWN = 5  # rows and values that a message names


class Report(NamedTuple):
    """Where the first number that is not finite came from.

    epoch, step: Of the step, counted from 1.
    phase: "data", "weights" (of samples), "forward", "loss", "backward" or "update"; None where it was not found.
    layer: Name of the layer, or None.
    rows: Numbers of the batch's rows that are concerned, or None for all.
    values: The arrays that went into the layer, or the data themselves: those rows of them.
    text: All of it in words.
    """

    epoch: int
    step: int
    phase: str | None
    layer: str | None
    rows: list | None
    values: Any
    text: str

    def __str__(self):
        return self.text


class Watch:
    """Looks at the loss of each dispatch of an epoch, and says once why it is no number.

    Args:
        model: The model that trains; gets the `Report` as `nan_report`.
        program: The `Program` of its steps.
        epoch: Number of the epoch, from 0.
        tells: Whether to warn; a callback may say it instead.
    """

    def __init__(self, model, program, epoch, tells=True):
        self.model, self.program, self.epoch, self.tells = model, program, epoch, tells
        size = sum(a.nbytes for a in jax.tree.leaves((model.gather(), model.optimizer.state)))
        self.every, self.count = EVERY if size <= SMALL_BYTES else 1, 0
        self.kept = collections.deque(maxlen=self.every + IN_FLIGHT + 2)  # one before the first whose loss may be bad
        self.unread = collections.deque()

    def keep(self, ts, block, n, step, logs):
        """Takes note of a dispatch: the state it began with, its block, how many steps, the first's number, logs."""
        if self.every and "loss" in logs and self.model.nan_report is None:
            self.kept.append((ts, block, n, step))
            self.unread.append(logs["loss"])
            self.count += 1
            if self.count % self.every == 0:
                self.look(False)

    def look(self, wait=True):
        """Looks at the losses that are there, or waits for them; returns the `Report`, or None while all is well."""
        if self.model.nan_report is not None:
            return self.model.nan_report
        newest = None  # a mean over the epoch so far: what is no number stays none
        while self.unread and (wait or self.unread[0].is_ready()):
            newest = self.unread.popleft()
        if newest is not None and not math.isfinite(newest):
            self.model.__dict__["nan_report"] = report = self._examine(float(newest))
            if self.tells and report.phase != "data":  # of which `fit` warns at the door
                warnings.warn(report.text, RuntimeWarning, stacklevel=2)
        return self.model.nan_report

    def _examine(self, loss):
        step = self.kept[-1][3] + 1
        try:
            found = self._first_bad_step()
            if isinstance(found, str):
                return Report(self.epoch + 1, step, None, None, None, None, self._sentence(step, loss, found))
            ts, batch, step, loss, program = found
            phase, layer, rows, values, why = examine(program, ts, batch)
        except jax.errors.JaxRuntimeError as err:  # no memory for it, or the arrays were given away
            why = f"Why could not be seen: {shortened(str(err))}"
            return Report(self.epoch + 1, step, None, None, None, None, self._sentence(step, loss, why))
        return Report(self.epoch + 1, step, phase, layer, rows, values, self._sentence(step, loss, why))

    def _sentence(self, step, loss, why):
        what = f"the loss became {loss}" if not math.isfinite(loss) else "weights became NaN or infinite"
        return f"Epoch {self.epoch + 1}, step {step}: {what}. {why}"

    def _first_bad_step(self):
        """Returns (state before it, batch, number, loss, program) of the first step that went wrong, or why not."""
        if jax.process_count() > 1:
            return "Steps of several processes are not run again."
        if any(getattr(a, "is_deleted", bool)() for a in jax.tree.leaves(self.kept[0][0])):
            return "Of a model this large the state before the step is not kept, so that why cannot be seen."
        old = self.program
        if isinstance(old, OwnSteps):
            return "The model has a train_step of its own, which is not looked into."
        program = Program(self.model, old.optimizer, old.outputs, old.trained)
        program.layer_logs, program.norms = old.layer_logs, old.norms
        step = jax.jit(lambda ts, block, i: program.train_step(ts, pick(block, i)))
        for ts, block, n, first in self.kept:
            ts = parallel.single(ts)
            if not all_finite(ts.params):
                return "Weights were NaN or infinite before the steps that are kept: why cannot be seen any more."
            for i in range(n):
                after = step(ts, block, i)
                loss = program.logs(after.metrics)["loss"]
                if not (math.isfinite(loss) and all_finite(after.params)):
                    return ts, jax.tree.map(lambda a, i=i: a[i], block), first + i + 1, float(loss), program
                ts = after
        return "Run again, the same steps gave numbers: the computation is not the same each time."


@contextlib.contextmanager
def watched(model, program, epoch, callbacks):
    """Yields the `Watch` of an epoch; looks at what is left at its end."""
    tells = not any(isinstance(callback, TerminateOnNaN) for callback in callbacks)
    model.__dict__["_watch"] = watch = Watch(model, program, epoch, tells)
    if any(getattr(callback, "expects_nan", False) for callback in callbacks):  # a test that goes on until it breaks
        watch.every = 0
    try:
        yield watch
        watch.look()
    finally:
        model.__dict__["_watch"] = None


def all_finite(arrays):
    """Whether there is no NaN and nothing infinite in a tree of arrays.

    Example:
        >>> all_finite([jnp.ones(2), jnp.arange(3)]), all_finite([jnp.array([1.0, jnp.inf])])
        (True, False)
    """
    return all(bool(_finite(a)) for a in jax.tree.leaves(arrays))


def _finite(a):
    return jnp.all(jnp.isfinite(a)) if jnp.issubdtype(jnp.result_type(a), jnp.inexact) else jnp.bool_(True)


# ------------------------------------------------------------------------------------- one step, with checks


class _Calls:
    """Notes calls of layers in one trace, and adds to the leaves of each output what `taps` has for them.

    A layer whose inner layers were noted is left out: they say more.
    """

    def __init__(self, taps=None, wanted=None):
        self.taps, self.wanted, self.home = taps, wanted, trace_state()
        self.layers, self.about, self.read, self.made, self.given = [], [], [], [], None

    def __call__(self, layer, params, x, y):
        if trace_state() != self.home:  # within a loop, where arrays cannot be taken out
            return y
        inner = {id(one) for one in layer.own_and_inner()} - {id(layer)}
        if any(id(one) in inner for one in self.layers):
            return y
        number = len(self.layers)
        leaves, form = jax.tree.flatten(y)
        if self.taps is not None:
            pairs = zip(leaves, self.taps[number], strict=True)
            leaves = [a if tap is None else a + tap for a, tap in pairs]
        if number == self.wanted:
            self.given = x
        self.layers.append(layer)
        self.read.append(jax.tree.leaves(x))
        self.made.append(leaves)
        self.about.append({"x": _known(x), "params": _known(params), "y": _known(leaves)})
        return jax.tree.unflatten(form, leaves)

    def feeds(self):
        """Returns of each call the numbers of those whose outputs it read."""
        made = [set(map(id, leaves)) for leaves in self.made]
        return [[i for i in range(n) if made[i] & set(map(id, read))] for n, read in enumerate(self.read)]


def _known(arrays):
    """Returns what is said of arrays: whether they are finite, their range, and which rows are finite or None."""
    leaves = [a for a in jax.tree.leaves(arrays) if jnp.issubdtype(jnp.result_type(a), jnp.inexact)]
    rows = [jnp.all(jnp.isfinite(a), range(1, a.ndim)) for a in leaves if a.ndim]
    low = [jnp.min(jnp.where(jnp.isfinite(a), a, jnp.inf)).astype(jnp.float32) for a in leaves if a.size]
    high = [jnp.max(jnp.where(jnp.isfinite(a), a, -jnp.inf)).astype(jnp.float32) for a in leaves if a.size]
    return {
        "finite": jnp.all(jnp.array([True, *map(_finite, leaves)])),
        "rows": rows,
        "low": jnp.min(jnp.array([jnp.inf, *low])),
        "high": jnp.max(jnp.array([-jnp.inf, *high])),
    }


def examine(program, ts, batch):
    """Runs a step again with checks; returns (phase, name of the layer, rows, values, words), see `Report`."""
    size = jax.tree.leaves(batch["x"])[0].shape[0]
    for kind, name in (("x", "input"), ("y", "target"), ("w", "sample weight")):
        bad = [np.asarray(a) for a in jax.tree.leaves(batch[kind])]
        bad = [a for a in bad if a.dtype.kind in "fc" and not np.isfinite(a).all()]
        if bad:
            rows = _bad_rows([np.isfinite(a).reshape(len(a), -1).all(1) for a in bad], size)
            values = [a[rows] for a in bad]
            why = f"The data are why: {name}s of {_rows(rows, size)} are NaN or infinite."
            return "weights" if kind == "w" else "data", None, rows, values, why
    trained, frozen = tree.split(ts.params, program.trained)
    key = rng.fold(ts.key, program.optimizer.clock(ts.opt))
    seen = None

    def objective(trained, taps, wanted=None):
        nonlocal seen
        params, seen = tree.join(trained, frozen), _Calls(taps, wanted)
        with watching(seen):
            y_pred, _, mask, inner = program.forward(params, ts.state, batch, training=True, key=key)
        with rng.drawing(rng.Place(lambda: rng.fold(key, "loss"))):
            loss, _ = program.loss_of((params, ts.state), batch, y_pred, mask, inner, training=True)
        return loss, (seen.about, loss, seen.given)

    about, loss, _ = jax.device_get(jax.jit(lambda t: objective(t, None)[1])(trained))
    layers, shapes = seen.layers, [[jax.ShapeDtypeStruct(a.shape, a.dtype) for a in made] for made in seen.made]

    def values_into(number):
        return jax.jit(lambda t: objective(t, None, number)[1][2])(trained)

    for number, one in enumerate(about):
        if one["x"]["finite"] and one["params"]["finite"] and not one["y"]["finite"]:
            rows = _bad_rows(one["y"]["rows"], size)
            values = _some(values_into(number), rows, size)
            what = f"{layers[number].label} made it, forward, of finite numbers"
            return (
                "forward",
                layers[number].name,
                rows,
                values,
                f"{what}, in {_rows(rows, size)}. {_range(one, values)}",
            )
    if not np.isfinite(loss):
        why = "The layers gave finite numbers, the loss did not"
        last = about[-1]["y"] if about else None
        return "loss", None, None, None, f"{why}{_from(last, ' of outputs') if last else ''}."

    taps = [list(map(_tap, leaves)) for leaves in shapes]
    slopes = jax.jit(lambda t, taps: jax.grad(lambda *a: objective(*a)[0], (0, 1))(t, taps))
    grads, back = slopes(trained, taps)
    feeds = seen.feeds()
    into = [_known(b) for b in back]
    finite = [bool(one["finite"]) for one in into]
    wrong = {path[:-1] for path, g in tree.flatten(grads).items() if g is not None and not all_finite(g)}
    own = [any(path and path[-1] == layer.name for path in wrong) for layer in layers]
    number = _first_backward(finite, own, feeds)
    if number is None and all(finite) and not any(own) and not wrong:
        scale = program.optimizer.scale_loss(jnp.float32(1), ts.opt)
        return "update", None, None, None, (
            f"Loss and gradients are finite: the optimizer's update made it (learning rate "
            f"{float(program.optimizer.rate_at(ts.opt)):.3g}, loss scale {float(scale):.3g})."
        )  # fmt: skip
    if number is None:
        return "loss", None, None, None, "The loss is finite, its gradient with respect to the outputs is not."
    sources = [i for i in feeds[number] if not finite[i]]
    rows = _bad_rows([np.asarray(r) for r in into[sources[-1]]["rows"]], size) if sources else None
    values = _some(values_into(number), rows, size)
    what = f"The loss is finite, but the gradient through {layers[number].label} is not, in {_rows(rows, size)}"
    return "backward", layers[number].name, rows, values, f"{what}. {_range(about[number], values)}"


def _tap(shape):
    """Returns zeros to add to an output, so that there is a gradient with respect to it, or None."""
    return jnp.zeros(shape.shape, shape.dtype) if jnp.issubdtype(shape.dtype, jnp.inexact) else None


def _first_backward(finite, own, feeds):
    """Returns which call, going back from the loss, is the first to make a gradient that is not finite; None: none.

    Args:
        finite: Of each call, whether the gradient with respect to its output is finite.
        own: Of each call, whether that with respect to its own weights is not.
        feeds: Of each call, the numbers of those it read.
    """
    first = (n for n in reversed(range(len(finite))) if finite[n] and (own[n] or not all(finite[i] for i in feeds[n])))
    return next(first, None)


def _bad_rows(finite, size):
    """Returns the numbers of the rows that are not finite in one of these arrays [B], or None for all."""
    known = [np.asarray(r) for r in finite if len(r) == size]
    rows = [] if not known else np.flatnonzero(~np.all(known, 0)).tolist()
    return None if len(rows) in (0, size) else rows


def _rows(rows, size):
    if rows is None:
        return f"all {size} rows"
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:SHOWN]))}{more} of {size}"


def _some(arrays, rows, size):
    """Returns those rows of arrays, on the host."""
    host = jax.tree.map(np.asarray, arrays)
    return jax.tree.map(lambda a: a[rows] if rows is not None and np.ndim(a) and len(a) == size else a, host)


def _from(one, what):
    return f"{what} from {float(one['low']):.3g} to {float(one['high']):.3g}" if one["low"] <= one["high"] else ""


def _range(one, values):
    """Says what went into a call."""
    kinds = ", ".join(f"{a.dtype}{list(a.shape)}" for a in jax.tree.leaves(values))
    return f"In went {kinds}{_from(one['x'], '')}{_from(one['params'], ', weights')}."
