"""The training step, written once: a pure function of a TrainState and a batch.

`fit`, `train_on_batch`, several steps per dispatch and loops of one's own all call `Program.train_step`.
A batch is a dict {"x", "y", "w", "rows"}: inputs (a tree like the model's), targets and sample weights (lists with one
entry per output), and the bool mask [B] of the rows that are real, or None for all.
"""

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fkeras import losses
from fkeras.core import rng, tree
from fkeras.core.dtypes import at_least_float32
from fkeras.layers.contract import custom
from fkeras.layers.contract.context import Context
from fkeras.layers.kernels import convolution as kernels
from fkeras.training import norms


class TrainState(NamedTuple):
    """Everything that a training step reads and writes.

    params, state: The model's arrays, as `model.gather()` returns them.
    opt: The optimizer's state. metrics: {name: metric state}.
    key: JAX key; with the optimizer's count of iterations it decides all noise.
    """

    params: Any
    state: Any
    opt: Any
    metrics: Any
    key: Any


class LossMean:
    """Mean of a loss over rows: the monoid behind 'loss' and 'output_loss' in the logs."""

    def init(self):
        return {"total": jnp.float32(0), "rows": jnp.float32(0)}

    def add(self, state, loss, rows):
        return {"total": state["total"] + jnp.asarray(loss, jnp.float32) * rows, "rows": state["rows"] + rows}

    def result(self, state):
        return state["total"] / jnp.maximum(state["rows"], 1.0)


_mean = LossMean()


class Program:
    """What `compile` fixed, resolved for a model with known shapes: the pure functions of training.

    Args:
        model: A built layer; used for its pure `apply_masked` and its declarations.
        optimizer: From `fkeras.optim`.
        outputs: List of `Objective`, one per output.
        trained: Set of parameter paths that training changes.
        axis: Name of the device axis the steps run over, or None. Batches are then a device's share of the rows,
            everything else is the same on all devices and stays so.
        synchronizes: Whether BatchNormalization takes its statistics over all devices.
        accumulate: Into how many parts a training step cuts its batch, to go through them one after the other.
    """

    empty = None  # the metrics' empty states, once they were made
    norms = None  # whether a step computes norms of gradients: None, or whether of each layer too
    layer_logs = None  # {name: (monoid, () -> empty state)} of what layers add to the logs, once `init_metrics` looked

    def __init__(self, model, optimizer, outputs, trained, axis=None, synchronizes=True, accumulate=1):
        self.model, self.optimizer, self.outputs = model, optimizer, outputs
        self.trained, self.axis, self.synchronizes = frozenset(trained), axis, synchronizes
        self.accumulate = accumulate
        declared = {p: w for p, w in model.declarations().items() if w.trainable}
        self.penalties = [(p, w.regularizer) for p, w in declared.items() if w.regularizer is not None and p in trained]
        self.constraints = {p: w.constraint for p, w in declared.items() if w.constraint is not None and p in trained}

    def optimized(self, params):
        """Returns the part of `params` that the optimizer keeps slots for."""
        return tree.split(params, self.trained)[0]

    # ---------------------------------------------------------------------------------------- pieces

    def forward(self, params, state, batch, *, training, key=None, part=0):
        """Runs the model on a part of this device's rows. Returns (y_pred, state, mask, inner losses)."""
        size = _size(batch)
        if self.axis is not None:
            part = part + jax.lax.axis_index(self.axis) * (self.accumulate if training else 1)
        row_ids = part * size + jnp.arange(size, dtype=jnp.int32)
        axis = self.axis if self.synchronizes else None
        ctx = Context(training, key, None, batch["rows"], row_ids, axis, (), [])
        y_pred, state, mask = self.model.apply_masked(params, state, batch["x"], ctx)
        if axis != self.axis and training:
            state = jax.tree.map(self._device_mean, state)
        return y_pred, state, mask, ctx.losses

    def total_loss(self, params, batch, y_pred, mask, inner, mean=None):
        """Returns (loss of the step, parts): data losses, weight penalties and inner losses.

        `mean(total, count)` gives these rows' share of a mean over the whole batch; by default over all devices.
        The parts are one loss per output and, last, what layers add to the logs: {name: state of this batch}.
        """
        parts, mean = [], mean or self._mean
        preds, masks = _per_output(y_pred, mask, len(self.outputs))
        for i, objective in enumerate(self.outputs):
            if objective.loss is None:
                parts.append(None)
                continue
            weights = batch["w"][i] if objective.weighted else None
            of = batch["y"][i], preds[i], weights, masks[i], batch["rows"]
            if self.axis is not None and objective.loss.sees_batch(*of[:2]):
                total, count = objective.loss.total(
                    *self._whole(of)
                )  # the same on all devices, each of which adds a share
                parts.append(losses.ratio(total, count) / self.devices)
            else:
                parts.append(mean(*objective.loss.total(*of)))
        total = _added(p * g.weight for p, g in zip(parts, self.outputs, strict=True) if p is not None)
        for value, count in (one for one in inner if not isinstance(one, custom.Log)):
            total = _added([total, mean(value, count)])
        parts.append(self._logs_of(inner))
        leaves = tree.flatten(params)
        penalty = _added(regularizer(leaves[p]) for p, regularizer in self.penalties)
        shares = self.devices * (self.accumulate if mean != self._mean else 1)
        return _added(
            [total, penalty / shares]
        ), parts  # all devices and parts compute the same penalty: their sum is it once

    def loss_of(self, arrays, batch, y_pred, mask, inner, mean=None, *, training):
        """Returns `total_loss`, or in its place what the model's own `compute_loss` makes of the batch.

        arrays: (params, state), which the model's weights are while `compute_loss` runs.
        """
        if not self.model.computes_loss:
            return self.total_loss(arrays[0], batch, y_pred, mask, inner, mean)

        def usual(y, y_pred, sample_weight):
            leaves = batch["y"] if y is None else jax.tree.leaves(y)
            weights = batch["w"] if sample_weight is None else jax.tree.leaves(sample_weight)
            return self.total_loss(arrays[0], batch | {"y": leaves, "w": weights}, y_pred, mask, inner, mean)

        def in_form(leaves):
            given = all(v is not None for v in leaves)
            return jax.tree.unflatten(jax.tree.structure(y_pred), leaves) if given else None

        y, w = in_form(batch["y"]), in_form(batch["w"])
        with custom.holding(self.model, *arrays), self.model.usual_loss(usual):
            loss = self.model.compute_loss(x=batch["x"], y=y, y_pred=y_pred, sample_weight=w, training=training)
        named = y is not None and any(objective.loss_name for objective in self.outputs)
        parts = usual(y, y_pred, w)[1] if named else [None] * len(self.outputs) + [self._logs_of(inner)]
        return jnp.asarray(loss, jnp.float32), parts

    def _logs_of(self, inner):
        logs = [one for one in inner if isinstance(one, custom.Log)]
        return {name: self._joined(log) for name, log in custom.by_name(logs).items()}

    def _joined(self, log):
        """Returns a device's share of the state of all devices: their sum is it once."""
        if self.axis is None or isinstance(log.metric, custom.LogMean):
            return log.state
        return jax.tree.map(lambda a: a / self.devices, self._merge_devices(log.metric, log.empty(), log.state))

    @property
    def devices(self):
        """How many devices a step runs on."""
        return 1 if self.axis is None else jax.lax.axis_size(self.axis)

    def _whole(self, arrays):
        """Returns the whole batch's arrays for a device's."""
        return jax.tree.map(lambda a: jax.lax.all_gather(a, self.axis, tiled=True), arrays)

    def _device_mean(self, a):
        return jax.lax.pmean(a, self.axis) if jnp.issubdtype(a.dtype, jnp.floating) else a

    def _mean(self, total, count):
        """A device's share of a global mean: its sum over the count of all devices."""
        if count is None:
            return jnp.asarray(total, jnp.float32)
        if self.axis is not None:
            count = jax.lax.psum(count, self.axis)
        return total / jnp.where(count == 0, 1, count)

    def init_metrics(self, ts, batch, training):
        """Returns the empty state of all metrics for batches like this one."""
        preds = [tuple(s.shape) for s in jax.tree.leaves(self.model.output_specs())]
        found = {"loss": _mean.init()}
        for i, objective in enumerate(self.outputs):
            if objective.loss_name:
                found[objective.loss_name] = _mean.init()
            for name, metric, _ in objective.metrics:
                found[name] = metric.init(None if batch["y"][i] is None else batch["y"][i].shape, preds[i])
        if self.layer_logs is None:
            self.layer_logs = self._find_layer_logs(ts, batch, training)
        found |= {name: _mean.init() for name in self._norm_names()}
        return found | {name: empty() for name, (_, empty) in self.layer_logs.items()}

    def _norm_names(self):
        return [] if self.norms is None else norms.names(self.trained, self.norms)

    def _find_layer_logs(self, ts, batch, training):
        """Returns {name: (monoid, () -> its empty state)} of what layers add to the logs in `call`."""
        if not any(layer.runs_user_code for layer in self.model.own_and_inner()):
            return {}
        found = {}

        def trace(params, state, x):
            ctx = Context(bool(training), jax.random.key(0), None, batch["rows"], losses=[])
            self.model.apply_masked(params, state, x, ctx)
            found.update(custom.by_name([one for one in ctx.losses if isinstance(one, custom.Log)]))

        jax.eval_shape(trace, ts.params, ts.state, batch["x"])
        return {name: (log.metric, log.empty) for name, log in found.items()}

    def update_metrics(self, metrics, batch, y_pred, mask):
        """Adds one batch to the metrics' states; on each device its own rows, until `_merged` brings them together."""
        preds, masks = _per_output(y_pred, mask, len(self.outputs))
        out = dict(metrics)
        for i, objective in enumerate(self.outputs):
            for name, metric, weighted in objective.metrics:
                of = batch["y"][i], preds[i], batch["w"][i] if weighted else None, masks[i], batch["rows"]
                if self.axis is not None and _sees_batch(metric, *of[:2]):
                    of = self._whole(of)
                out[name] = kept(metrics[name], metric.update(metrics[name], *of))
        return out

    def update_losses(self, metrics, batch, loss, parts):
        """Adds the losses of one step, which are those of all devices, and what layers log."""
        rows = batch["rows"]
        count = jnp.float32(_size(batch)) if rows is None else jnp.sum(rows, dtype=jnp.float32)
        if self.axis is not None:
            count = jax.lax.psum(count, self.axis)
        out = metrics | {"loss": _mean.add(metrics["loss"], loss, count)}
        for i, objective in enumerate(self.outputs):
            if objective.loss_name:
                out[objective.loss_name] = _mean.add(metrics[objective.loss_name], parts[i], count)
        for name, state in parts[-1].items():
            if name in metrics:
                out[name] = kept(metrics[name], self.layer_logs[name][0].merge(metrics[name], state))
        return out

    def _own(self, metrics, batch):
        """Returns the metrics' states to begin with on this device: what is counted by rows starts at nothing."""
        if self.axis is None:
            return metrics
        empty = self.init_metrics(None, batch, None)
        return {name: empty[name] if name in self._by_rows(batch) else state for name, state in metrics.items()}

    def _merged(self, before, metrics, batch):
        """Returns the metrics' states over all devices: `before`, and what each device added to nothing."""
        if self.axis is None:
            return metrics
        by_rows = self._by_rows(batch)
        return {
            name: self._merge_devices(by_rows[name], before[name], state) if name in by_rows else state
            for name, state in metrics.items()
        }

    def _by_rows(self, batch):
        """Returns {name: metric} of the metrics that see a device's rows, not the whole batch."""
        preds = jax.tree.leaves(self.model.output_specs())
        size, found = _size(batch), {}
        for i, objective in enumerate(self.outputs):
            pred = jax.ShapeDtypeStruct((size, *preds[i].shape[1:]), preds[i].dtype)
            found |= {
                name: metric for name, metric, _ in objective.metrics if not _sees_batch(metric, batch["y"][i], pred)
            }
        return found

    def _merge_devices(self, metric, before, state):
        every = jax.lax.all_gather(state, self.axis)

        def add(d, merged):
            return metric.merge(merged, pick(every, d))

        return jax.lax.fori_loop(0, self.devices, add, before)

    def logs(self, metrics):
        """Returns {name: scalar} for the logs, in Keras's order."""
        out = {"loss": _mean.result(metrics["loss"])}
        out |= {g.loss_name: _mean.result(metrics[g.loss_name]) for g in self.outputs if g.loss_name}
        for objective in self.outputs:
            for name, metric, _ in objective.metrics:
                value = metric.result(metrics[name])
                out |= value if isinstance(value, dict) else {name: value}
        out |= {name: _mean.result(metrics[name]) for name in self._norm_names()}
        return out | {name: metric.result(metrics[name]) for name, (metric, _) in (self.layer_logs or {}).items()}

    # ----------------------------------------------------------------------------------------- steps

    def train_step(self, ts, batch):
        """Computes the next TrainState: forward, losses, gradient, update, constraints, metrics. Pure."""
        trained, frozen = tree.split(ts.params, self.trained)
        key = rng.fold(ts.key, self.optimizer.clock(ts.opt))

        def objective(trained, state, batch, part, mean):
            params = tree.join(trained, frozen)
            y_pred, state, mask, inner = self.forward(params, state, batch, training=True, key=key, part=part)
            with rng.drawing(rng.Place(lambda: rng.fold(key, "loss"))):
                loss, parts = self.loss_of((params, state), batch, y_pred, mask, inner, mean, training=True)
            return self.optimizer.scale_loss(loss, ts.opt), (loss, parts, y_pred, state, mask)

        if self.accumulate > 1:
            grads, loss, parts, state, metrics = self._accumulated(objective, trained, ts, batch)
        else:
            slope = jax.grad(objective, has_aux=True)
            grads, (loss, parts, y_pred, state, mask) = slope(trained, ts.state, batch, 0, None)
            metrics = self.update_metrics(ts.metrics, batch, y_pred, mask)
        if self.axis is not None:
            grads, loss, parts = jax.lax.psum((grads, loss, parts), self.axis)
        before = trained
        trained, opt = self.optimizer.update(grads, ts.opt, trained)
        if self.constraints:
            leaves = tree.flatten(trained)
            trained = tree.unflatten(
                {p: self.constraints[p](a) if p in self.constraints else a for p, a in leaves.items()}
            )
        metrics = self.update_losses(metrics, batch, loss, parts)
        if self.norms is not None:
            scale = self.optimizer.scale_loss(jnp.float32(1), ts.opt)
            found = norms.of_step(grads, scale, before, trained, self.norms)
            metrics |= {name: _mean.add(metrics[name], value, 1.0) for name, value in found.items()}
        return TrainState(tree.join(trained, frozen), state, opt, metrics, ts.key)

    def _accumulated(self, objective, trained, ts, batch):
        """Goes through the parts of a batch one after the other; returns (grads, loss, parts, state, metrics).

        The counts that means divide by are those of the whole batch, so they come first; that the compiler finds
        nothing else to do for them makes the extra pass free.
        """
        self._check_accumulates(batch)
        m = self.accumulate
        pieces = jax.tree.map(lambda a: a.reshape(m, a.shape[0] // m, *a.shape[1:]), batch)

        def counts(i):
            seen = []

            def collect(total, count):
                seen.append(jnp.float32(0) if count is None else count)
                return total

            objective(trained, ts.state, pick(pieces, i), i, collect)
            return seen

        whole = jax.tree.map(lambda a: jnp.sum(a, 0), jax.lax.map(counts, jnp.arange(m)))
        if self.axis is not None:
            whole = [jax.lax.psum(c, self.axis) for c in whole]

        def add(i, carry):
            *sums, state, metrics = carry
            piece, known = pick(pieces, i), iter(whole)

            def mean(total, count):
                c = next(known)
                return total if count is None else total / jnp.where(c == 0, 1, c)

            grads, (loss, parts, y_pred, state, mask) = slope(trained, state, piece, i, mean)
            sums = jax.tree.map(jnp.add, sums, [grads, loss, parts])
            return [*sums, state, self.update_metrics(metrics, piece, y_pred, mask)]

        slope = jax.grad(objective, has_aux=True)
        grads, aux = jax.eval_shape(lambda: slope(trained, ts.state, pick(pieces, 0), 0, lambda t, c: t))
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), [grads, *aux[:2]])
        return jax.lax.fori_loop(0, m, add, [*zeros, ts.state, ts.metrics])

    def _check_accumulates(self, batch):
        """Refuses what needs the rows of the whole batch at once."""
        preds = jax.tree.leaves(self.model.output_specs())
        for i, objective in enumerate(self.outputs):
            pred = jax.ShapeDtypeStruct((_size(batch), *preds[i].shape[1:]), preds[i].dtype)
            wants = (
                [objective.loss]
                if objective.loss is not None and objective.loss.sees_batch(batch["y"][i], pred)
                else []
            )
            wants += [metric for _, metric, _ in objective.metrics if _sees_batch(metric, batch["y"][i], pred)]
            if wants:
                raise ValueError(
                    f"accumulate={self.accumulate}: {wants[0].name!r} needs all rows of a batch at once, so the batch "
                    f"cannot be cut into parts. Use accumulate=1, or a function that gives one value per row."
                )

    def test_step(self, params, state, metrics, batch, key=None):
        """Adds a batch to the metrics without training: returns (metrics, state), the latter for stateful layers."""
        y_pred, after, mask, inner = self.forward(params, state, batch, training=False, key=key)
        loss, parts = self.loss_of((params, state), batch, y_pred, mask, inner, training=False)
        if self.axis is not None:
            loss, parts = jax.lax.psum((loss, parts), self.axis)
        return self.update_losses(self.update_metrics(metrics, batch, y_pred, mask), batch, loss, parts), after

    # ---------------------------------------------------------------------- several steps per dispatch

    def train_block(self, ts, block, n):
        """Runs `n` training steps on the first `n` batches of `block` (leaves [K, B, ...]).

        `n` is an array, at least 1: one compiled program serves every number of steps up to K.
        """
        first, before = pick(block, 0), ts.metrics
        ts = ts._replace(metrics=self._own(before, first))
        ts = _through(block, n, lambda i, ts: self.train_step(ts, pick(block, i)), ts)
        ts = ts._replace(metrics=self._merged(before, ts.metrics, first))
        return ts, self.logs(ts.metrics)

    def test_block(self, params, state, metrics, block, n, key=None, first=None):
        """Adds the first `n` batches of `block` to the metrics; returns (metrics, state, logs).

        Args:
            key: JAX key of this evaluation, for layers that draw random numbers in inference too.
            first: int32, the number of the block's first batch.
        """

        def step(i, carry):
            own = None if key is None else rng.fold(key, first + i)
            return self.test_step(params, carry[1], carry[0], pick(block, i), own)

        one = pick(block, 0)
        after, state = _through(block, n, step, (self._own(metrics, one), state))
        metrics = self._merged(metrics, after, one)
        return metrics, state, self.logs(metrics)


class OwnSteps(Program):
    """The program of a model that writes `train_step(ts, batch) -> (ts, logs)` or `test_step(ts, batch) -> logs`.

    Logs are scalars, means over the batch; an epoch's are their means over its rows.

    Raises:
        TypeError: A step takes or returns something else, as Keras's do.
    """

    def __init__(self, model, *args, **kwargs):
        super().__init__(model, *args, **kwargs)
        for name, gives in (("train_step", "(ts, logs)"), ("test_step", "logs")):
            step = getattr(model, name)
            if len(parameters := inspect.signature(step).parameters) != 2:
                raise TypeError(
                    f"{model.label}: {name}(self, {', '.join(parameters)}) is Keras's form for TensorFlow. Here it is "
                    f"the pure {name}(self, ts, batch) -> {gives}, or Keras's for JAX, {name}(self, state, data); see "
                    f"docs/pure.md."
                )

    @property
    def norms(self):
        return None

    @norms.setter
    def norms(self, per_layer):
        raise ValueError(
            f"{self.model.label}: callbacks.GradientNorms sees the gradients of the usual step, not those of a "
            f"train_step of its own. Return their norms in its logs."
        )

    def _checked(self, result):
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], TrainState):
            return result
        kinds = ", ".join(type(r).__name__ for r in result) if isinstance(result, tuple) else type(result).__name__
        raise TypeError(
            f"{self.model.label}: train_step returned ({kinds}); expected (ts, logs), the next TrainState and a dict; "
            f"Keras's form for JAX has the parameters (self, state, data)."
        )

    def optimized(self, params):
        """All of them: the model's own step updates its whole tree, frozen arrays are put back afterwards."""
        return params

    def train_step(self, ts, batch):
        """Runs the model's own step with the key of this iteration; frozen arrays stay as they are."""
        key = rng.fold(ts.key, self.optimizer.clock(ts.opt))
        with rng.drawing(rng.Place(lambda: key)):
            new, logs = self._checked(self.model.train_step(ts._replace(metrics=None, key=key), batch))
        frozen = tree.split(ts.params, self.trained)[1]
        params = tree.join(tree.split(new.params, self.trained)[0], frozen)
        return new._replace(params=params, metrics=self._add(ts.metrics, logs, batch), key=ts.key)

    def test_step(self, params, state, metrics, batch, key=None):
        """Adds the logs of the model's own step for one batch."""
        logs = self.model.test_step(TrainState(params, state, None, None, None), batch)
        return self._add(metrics, logs, batch), state

    def init_metrics(self, ts, batch, training):
        """Returns an empty mean for each log."""
        step = (lambda ts, b: self._checked(self.model.train_step(ts, b))[1]) if training else self.model.test_step
        return {name: _mean.init() for name in jax.eval_shape(step, ts, batch)}

    def logs(self, metrics):
        return {name: _mean.result(state) for name, state in metrics.items()}

    def _add(self, metrics, logs, batch):
        rows = jnp.float32(_size(batch))
        return {name: _mean.add(metrics[name], jnp.asarray(v, jnp.float32), rows) for name, v in logs.items()}


class Objective(NamedTuple):
    """What one output of the model is trained towards.

    loss: From `fkeras.losses`, or None. weight: Its factor in the total.
    loss_name: Its name in the logs, or None with a single output.
    metrics: Tuple of (name in the logs, metric, whether sample weights count).
    weighted: False where the loss is to see no weights. One each is the same, but for the sum of a single value.
    """

    loss: Any
    weight: float
    loss_name: str | None
    metrics: tuple
    weighted: bool = True


def _added(values):
    """Returns the sum of scalars as a float32, or in the widest of their dtypes where that is wider."""
    values = [jnp.asarray(v) for v in values]
    dtype = max((at_least_float32(v.dtype) for v in values), key=lambda d: d.itemsize, default=jnp.dtype(jnp.float32))
    return sum((v.astype(dtype) for v in values), jnp.zeros((), dtype))


def kept(before, after):
    """Returns the state `after` in the dtypes of `before`, as a loop needs it: float32 also for float64 data."""
    return jax.tree.map(lambda a, b: jnp.asarray(b).astype(jnp.asarray(a).dtype), before, after)


def _size(batch):
    return jax.tree.leaves(batch["x"])[0].shape[0]


def _through(block, n, step, carry):
    """Returns the carry after step(i, carry) for the first `n` batches of a block.

    On accelerators a block of one batch is no loop: on a GPU XLA copies a loop's condition to the host before each
    round, and after the last, and waits for it, so that no dispatch could be made while another is under way.
    """
    if kernels.chosen() == "lax" and jax.tree.leaves(block)[0].shape[0] == 1:
        return step(0, carry)
    return jax.lax.fori_loop(0, n, step, carry)


def pick(block, i):
    """Returns batch `i` of a block, leaves [K, B, ...]."""
    return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, i, 0, keepdims=False), block)


def _sees_batch(metric, y_true, y_pred):
    """True for a metric that needs all rows of a batch at once."""
    return y_true is not None and not metric.per_row(y_true, y_pred)


def _per_output(y_pred, mask, n):
    """Returns lists (predictions, masks) with one entry per output."""
    preds = jax.tree.leaves(y_pred)
    masks = jax.tree.leaves(mask, is_leaf=lambda m: m is None) if mask is not None else []
    return preds, (masks if len(masks) == n else [None] * n)
