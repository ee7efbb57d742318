"""Keras 3's steps of one's own on JAX: `train_step(self, state, data) -> (logs, state)` over lists of variables.

    state = trainable_variables, non_trainable_variables, optimizer_variables, metrics_variables
    state = trainable_variables, non_trainable_variables, metrics_variables     # of test_step

The parameters' names tell this form from the pure `train_step(self, ts, batch)`: it is Keras's if one is `state` or
`data`. Both are traced into the same program. A model that writes `compute_metrics` trains by the same steps.
"""

import contextlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import rng, tree
from fkeras.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from fkeras.layers.contract import custom, stateless
from fkeras.metrics import variables as metric_variables
from fkeras.metrics.base import Metric
from fkeras.training.step import OwnSteps, Program, kept


def is_keras_form(step):
    """Whether a `train_step` or `test_step` has the parameters of Keras's."""
    return bool({"state", "data"} & set(inspect.signature(step).parameters))


class CompileMetrics(Metric):
    """The metrics that `compile` was given as one, as Keras 3 lists them: `result()` is the dict of their values.

    Args:
        objectives: List of `Objective`, one per output.
        shapes: Shapes of the targets and of the outputs, two lists.
    """

    def __init__(self, objectives=(), shapes=((), ())):
        super().__init__(name="compile_metrics")
        self._objectives, self._shapes = objectives, shapes

    compiles = False

    def init(self, y_true_shape=None, y_pred_shape=None):
        """Returns {name in the logs: the metric's empty state}."""
        found = {}
        for objective, y, pred in zip(self._objectives, *self._shapes, strict=True):
            found |= {name: metric.init(y, pred) for name, metric, _ in objective.metrics}
        return found

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        """Adds a batch: trees like the model's outputs."""
        new, preds = dict(state), jax.tree.leaves(y_pred)
        lists = (_per_output(part, len(preds)) for part in (y_true, sample_weight))
        for objective, y, pred, w in zip(self._objectives, next(lists), preds, next(lists), strict=True):
            for name, metric, weighted in objective.metrics:
                new[name] = metric.update(state[name], y, pred, w if weighted else None, mask, rows)
        return new

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch to the metric's own state."""
        self._state = self.update(metric_variables.read(self), y_true, y_pred, sample_weight)

    def result(self, state):
        """Returns {name in the logs: value}."""
        out = {}
        for objective in self._objectives:
            for name, metric, _ in objective.metrics:
                value = metric.result(state[name])
                out |= value if isinstance(value, dict) else {name: value}
        return out

    @property
    def variables(self):
        """One variable for each array of the metrics' states."""
        paths = list(tree.flatten(metric_variables.read(self)))
        return [_PartVariable(self, path) for path in paths]


class _PartVariable(metric_variables.Variable):
    """One array of a state that is a dict of dicts."""

    def __init__(self, owner, path):
        super().__init__(owner, "/".join(path))
        self.at = path

    @property
    def value(self):
        return tree.flatten(metric_variables.read(self.owner))[self.at]

    def assign(self, value):
        new = jnp.asarray(value, self.value.dtype)
        self.owner._state = tree.put(metric_variables.read(self.owner), self.at, new)
        return self


class KerasSteps(OwnSteps):
    """The program of a model whose steps have Keras's form. The logs of several batches are those of the last."""

    optimized = Program.optimized

    def train_step(self, ts, batch):
        """Runs the model's step on lists; the noise states in them follow from this iteration's key."""
        model, optimizer = self.model, self.optimizer
        key = rng.fold(ts.key, optimizer.clock(ts.opt))
        layout = [at for _, at in optimizer.variables_layout(optimizer._param_paths(), ts.opt)]
        own = [tree.at(ts.opt, path) for path in layout]
        before, optimizer._state = optimizer._state, ts.opt
        try:
            with self._inside(ts.params, ts.state, key) as noise:
                lists = *stateless.variable_lists(model, ts.params, ts.state, noise), own, ts.metrics["variables"]
                logs, lists = self._two(model.train_step(lists, _data(batch)), 4)
        finally:
            optimizer._state = before
        params, state = self._trees(ts, lists)
        opt = ts.opt
        for path, old, new in zip(layout, own, lists[2], strict=True):
            opt = tree.put(opt, path, kept(old, new))
        return ts._replace(params=params, state=state, opt=opt, metrics=_after(ts.metrics, logs, lists[3]))

    def test_step(self, params, state, metrics, batch, key=None):
        """Runs the model's `test_step` on lists."""
        with self._inside(params, state, jax.random.key(0) if key is None else key) as noise:
            lists = *stateless.variable_lists(self.model, params, state, noise), metrics["variables"]
            logs, lists = self._two(self.model.test_step(lists, _data(batch)), 3)
        return _after(metrics, logs, lists[2]), state

    @contextlib.contextmanager
    def _inside(self, params, state, key):
        """Lets the model's own words mean this step: its weights are the step's, random numbers come from its key."""
        count = len(stateless.noise_states(self.model))
        noise = [jax.random.key_data(rng.fold(rng.as_key(key), "noise", i)) for i in range(count)]
        drawing = rng.drawing(rng.Place(lambda: rng.as_key(key)))
        with drawing, custom.holding(self.model, params, state), stateless.losses_seen():
            yield noise

    def _trees(self, ts, lists):
        params, state, _ = stateless.arrays_of(self.model, *lists[:2])
        return kept((ts.params, ts.state), (params, state))

    def init_metrics(self, ts, batch, training):
        """Returns the metrics' empty arrays, and zeros for the logs."""
        fresh = [jnp.asarray(a) for metric in self.model.metrics for a in metric.stateless_reset_state()]
        metrics = {"variables": fresh, "logs": {}}
        if training:
            step = lambda ts: self.train_step(ts, batch).metrics["logs"]  # noqa: E731
            logs = jax.eval_shape(step, ts._replace(metrics=metrics))
        else:
            logs = jax.eval_shape(lambda ts: self.test_step(ts.params, ts.state, metrics, batch)[0]["logs"], ts)
        return metrics | {"logs": {name: np.zeros(a.shape, a.dtype) for name, a in logs.items()}}

    def logs(self, metrics):
        """Returns the last batch's logs, which are those of all batches so far where metrics made them."""
        return metrics["logs"]

    def _two(self, result, count):
        logs, state = result if isinstance(result, tuple) and len(result) == 2 else (None, None)
        if not isinstance(logs, dict) or not isinstance(state, (tuple, list)) or len(state) != count:
            raise TypeError(
                f"{self.model.label}: a step with the parameters (state, data) returns (logs, state), a dict and a "
                f"tuple of {count} lists, as Keras's do; a pure one is written train_step(self, ts, batch); see "
                f"docs/pure.md."
            )
        return logs, state


class KerasForm:
    """Keras 3's words for steps on lists, as methods of a model: for `super()`, and for loops of one's own."""

    def train_step(self, state, data):
        """One step of training on lists, as Keras 3 has it on JAX. A model may write its own.

        Args:
            state: Lists of arrays: trainable_variables, non_trainable_variables, optimizer_variables,
                metrics_variables.
            data: x, (x, y) or (x, y, sample_weight).

        Returns:
            (logs, state): dict of scalars, and the four lists after the step.
        """
        trained, others, own, metrics = state
        x, y, w = unpack_x_y_sample_weight(data)
        optimizer = self.optimizer

        def objective(trained, others):
            y_pred, others = self.stateless_call(trained, others, x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w, training=True)
            return optimizer.scale_loss(loss, optimizer.state), (loss, y_pred, others)

        grads, (loss, y_pred, others) = jax.grad(objective, has_aux=True)(trained, others)
        trained, own = optimizer.stateless_apply(own, grads, trained)
        logs, metrics = self._add_to_metrics(metrics, loss, x, y, y_pred, w)
        return logs, (trained, others, own, metrics)

    def test_step(self, state, data):
        """Loss and metrics of a batch on lists, as `train_step`; `state` is without optimizer_variables."""
        trained, others, metrics = state
        x, y, w = unpack_x_y_sample_weight(data)
        y_pred, others = self.stateless_call(trained, others, x, training=False)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=w, training=False)
        logs, metrics = self._add_to_metrics(metrics, loss, x, y, y_pred, w)
        return logs, (trained, others, metrics)

    def stateless_compute_loss(
        self, trainable_variables, non_trainable_variables, metrics_variables,
        x=None, y=None, y_pred=None, sample_weight=None, training=True,
    ):  # fmt: skip
        """Returns (the loss of `compute_loss` with these arrays, the three lists)."""
        lists = trainable_variables, non_trainable_variables, metrics_variables
        params, state, _ = stateless.arrays_of(self, trainable_variables, non_trainable_variables)
        with custom.holding(self, params, state):
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        return loss, lists

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Adds a batch to the compiled metrics and returns the values of all. A model may write its own.

        Args:
            x, y, y_pred, sample_weight: Trees like the model's inputs and outputs.

        Returns:
            Dict of scalars for the logs.
        """
        for metric in self.metrics:
            if isinstance(metric, CompileMetrics):
                metric.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self):
        """Returns {name: value} of all `metrics`."""
        found = {}
        for metric in self.metrics:
            value = metric.result()
            found |= value if isinstance(value, dict) else {metric.name: value}
        return found

    def _add_to_metrics(self, arrays, loss, x, y, y_pred, w):
        """Returns (logs, arrays): the metrics with a batch and its loss added, without a side effect."""
        metrics = self.metrics
        before = [metric_variables.read(metric) for metric in metrics]
        states, arrays = [], list(arrays)
        for state in before:
            paths = list(tree.flatten(state))
            states.append(tree.unflatten(dict(zip(paths, arrays[: len(paths)], strict=True))))
            arrays = arrays[len(paths) :]
        try:
            for metric, state in zip(metrics, states, strict=True):
                metric_variables.write(metric, state)
            if metrics and metrics[0] is self.__dict__["_compile_metrics"].get("loss"):
                rows = jax.tree.leaves(x)[0].shape[0]
                metric_variables.write(metrics[0], metrics[0].update(states[0], loss, sample_weight=jnp.float32(rows)))
            logs = self.compute_metrics(x=x, y=y, y_pred=y_pred, sample_weight=w)
            logs = jax.tree.map(lambda v: jnp.asarray(getattr(v, "value", v)), logs)
            after = [a for metric in metrics for a in tree.flatten(metric_variables.read(metric)).values()]
        finally:
            for metric, state in zip(metrics, before, strict=True):
                metric_variables.write(metric, state)
        return logs, after


def _data(batch):
    """Returns a batch of the program as Keras's steps take it: x, (x, y) or (x, y, sample_weight)."""
    y, w = (_one(batch[part]) for part in ("y", "w"))
    return pack_x_y_sample_weight(batch["x"], y, w)


def _one(parts):
    """Returns the one of a list of outputs, or the list; None where there are none."""
    return None if all(a is None for a in parts) else parts[0] if len(parts) == 1 else parts


def _per_output(part, count):
    leaves = jax.tree.leaves(part)
    return leaves if len(leaves) == count else [part] * count if part is None or len(leaves) == 1 else leaves


def _after(metrics, logs, arrays):
    arrays = kept(metrics["variables"], list(arrays))
    flat = {}
    for name, value in logs.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return {"variables": arrays, "logs": {name: jnp.asarray(a, jnp.float32) for name, a in flat.items()}}
