"""What `compile` fixes, and what follows from it: objectives, programs, devices, what may be done to batches."""

import contextlib
import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import optim
from fkeras.compiled.programs import CompileReport, Programs
from fkeras.compiled.quick_jit import jit_once
from fkeras.core import host_random as draws
from fkeras.core import rng, tree
from fkeras.core.settings import named_arguments
from fkeras.data.sources import Columns
from fkeras.distribute import parallel
from fkeras.layers.contract import stateless
from fkeras.layers.contract.masks import mask_of
from fkeras.layers.contract.variables import lock
from fkeras.metrics import Mean
from fkeras.training.batching import Batching, of_model
from fkeras.training.keras_steps import CompileMetrics, KerasForm, KerasSteps, is_keras_form
from fkeras.training.last_good import KEPT_BYTES
from fkeras.training.objectives import (
    looks_like_metrics,
    make_objectives,
    resolve_losses,
    resolve_metrics,
    spread,
    sums,
)
from fkeras.training.predict import predictor
from fkeras.training.step import OwnSteps, Program, TrainState

AS_IT_IS = Batching("it is one batch, as it was given")
_NO_HOOKS = {
    "predict_step": "`call`, or a model of other outputs",
    "make_train_function": "train_step(self, ts, batch)",
    "make_test_function": "test_step(self, ts, batch)",
    "make_predict_function": "`call`",
}


class Compilation(KerasForm):
    """The half of `Trainer` that runs nothing: see there."""

    optimizer = None
    stop_training = stop_evaluating = stop_predicting = False
    _compiled = None
    _trained_at_compile = frozenset()
    _programs = None
    _norms = None  # while a `GradientNorms` watches: whether it asks for each layer's too
    _last_trained = None, None  # the program of the last training step, and what `compile` had fixed then
    nan_report = None  # where the first NaN of the last `fit` came from: a `training.autopsy.Report`
    _watch = None  # the `training.autopsy.Watch` of an epoch that runs
    _lone_rows = 0  # predictions of a single row, one after the other; once at `LONE_ROWS` it does not fall back
    _direct = None  # the `Direct` of the last single batches

    # --------------------------------------------------------------------------------------- compile

    @named_arguments
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | str | None = None,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        distribute: Any = None,
    ) -> None:
        """Chooses optimizer, losses and metrics; weights stay as they are.

        Args:
            optimizer: Name, object or config.
            loss: Name, function (y_true, y_pred), object, or a list or dict of them, one per output.
            loss_weights: Factor per output: number, list or dict.
            metrics: List of names, functions or objects; for several outputs a list of lists or a dict by output name.
            weighted_metrics: The same, counted with the sample weights.
            run_eagerly: Run step by step without compiling, for debugging.
            steps_per_execution: Steps per dispatch; None chooses by the measured time of a step.
            jit_compile: False runs eagerly too.
            auto_scale_loss: A model of the policy "mixed_float16" gets a `LossScaleOptimizer` around its optimizer.
            distribute: A `fkeras.distribute.DataParallel`, or a number or list of devices; False for one device. None
                takes all local accelerators where there are several.
        """
        if looks_like_metrics(loss_weights) and not looks_like_metrics(metrics):
            # Keras 2 and habit write compile(optimizer, loss, metrics); Keras 3 has loss_weights there.
            loss_weights, metrics = (metrics, loss_weights)
        if steps_per_execution is not None and (isinstance(steps_per_execution, str) or steps_per_execution < 1):
            if steps_per_execution != "auto":
                raise ValueError(f"compile: expected steps_per_execution >= 1, got {steps_per_execution!r}.")
            steps_per_execution = None
        if self.built:  # names of outputs are known: a wrong one stops here
            given = {
                "loss": loss,
                "loss_weights": loss_weights,
                "metrics": metrics,
                "weighted_metrics": weighted_metrics,
            }
            for name, value in given.items():
                spread(value, self.output_names, name, name.endswith("metrics"))
        old = self.optimizer
        self.optimizer = optim.get(optimizer)
        scaled = isinstance(self.optimizer, optim.LossScaleOptimizer)
        if auto_scale_loss and self.dtype.name == "mixed_float16" and not scaled:
            self.optimizer = optim.LossScaleOptimizer(self.optimizer)
        if not isinstance(self.optimizer, optim.Optimizer):
            raise TypeError(
                f"compile(optimizer={optimizer!r}): expected a name such as 'adam' or an object of fkeras.optimizers."
            )
        self.optimizer.serve(self)
        if old is not self.optimizer and getattr(self.optimizer, "state", None) is not None:
            self._check_optimizer_fits()
        self._compiled = {
            "loss": resolve_losses(loss),
            "loss_weights": loss_weights,
            "metrics": resolve_metrics(metrics, "metrics"),
            "weighted_metrics": resolve_metrics(weighted_metrics, "weighted_metrics"),
            "run_eagerly": bool(run_eagerly) or jit_compile is False,
            "steps_per_execution": steps_per_execution,
            "distribute": parallel.resolve(distribute),
        }
        self._compile_arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        self.__dict__["_trained_at_compile"] = frozenset(self.trained_paths()) if self.built else frozenset()
        self._seed = rng.next_seed()
        self._programs, self._objective_cache, self._paces = Programs(), {}, {}
        self.__dict__["_compile_metrics"] = {}
        self.__dict__["_lone_rows"] = 0

    @property
    def _seed(self):
        """Decides data order and noise. Stored in files, so that training resumed is the same training."""
        return self.__dict__["_drawn_seed"]

    @_seed.setter
    def _seed(self, seed):
        self.__dict__["_drawn_seed"] = seed
        self.__dict__["_train_key"] = np.asarray(jax.random.key_data(draws.make_key(seed)))

    def __getstate__(self):
        """What pickle and deepcopy take: all but compiled programs and what was measured or kept to run them."""
        own = {"_programs", "_direct", "_last_trained", "_lone_rows"}
        state = {name: value for name, value in super().__getstate__().items() if name not in own}
        return state | {"_paces": {}} if "_paces" in state else state

    def _check_optimizer_fits(self):
        """An optimizer that already has slots of another model starts afresh here."""
        if not self.built:
            return
        params = {p for p in self.trained_paths()}
        slots = self.optimizer.state.get("slots", {})
        known = {p[:-1] for p in tree.flatten(slots)}
        if known and not known & params:
            self.optimizer.state = None

    def unjudged_outputs(self):
        """Returns the names of the outputs that have neither a loss nor a metric."""
        if not self.compiled or self._io is None:
            return []
        kinds = ("loss", False), ("metrics", True), ("weighted_metrics", True)
        given = [spread(self._compiled[what], self.output_names, what, many) for what, many in kinds]
        return [name for name, *specs in zip(self.output_names, *given, strict=True) if not any(specs)]

    def _require_compiled(self, what):
        if self._compiled is None:
            raise RuntimeError(
                f"{self.label}: call compile(optimizer, loss) before {what}(): "
                f"it has neither an optimizer nor a loss yet."
            )

    @property
    def compiled(self):
        """True once `compile` was called."""
        return self._compiled is not None

    @property
    def run_eagerly(self):
        """Whether steps run without being compiled. May be set after `compile`."""
        return bool(self.compiled and self._compiled["run_eagerly"])

    @run_eagerly.setter
    def run_eagerly(self, value):
        self._require_compiled("run_eagerly = ...")
        self._compiled["run_eagerly"] = self._compile_arguments["run_eagerly"] = bool(value)
        self._programs, self._paces = Programs(), {}

    @property
    def jit_compile(self):
        """Whether steps are compiled."""
        return not self.run_eagerly

    @property
    def loss(self):
        """The loss as given to `compile`."""
        return self._compile_arguments["loss"] if self.compiled else None

    @property
    def metrics_names(self):
        """Names of what `evaluate` returns, in order: the loss, losses per output, metrics as compiled, layers' logs.

        The loss alone before the first data. With several outputs metrics are sorted by name, as Keras 3 lists them.
        """
        names = ["loss"]
        for objectives in list(self._objective_cache.values())[-1:] if self.compiled else []:
            names += [g.loss_name for g in objectives if g.loss_name]
            metrics = [name for g in objectives for name, _, _ in g.metrics]
            names += metrics if len(objectives) == 1 else sorted(metrics)
        programs = self._programs.made.values() if self._programs is not None else ()
        logs = (name for program, _ in programs for name in program.layer_logs or ())
        return list(dict.fromkeys([*names, *logs]))

    @property
    def metrics(self):
        """The mean of the loss and the compiled metrics as one, as Keras 3 lists them, then those held as attributes.

        Steps in Keras's form carry their arrays (`metrics_variables`). A model may write a property of its own.
        """
        if not self.compiled:
            return super().metrics
        objectives, shapes = self._last_objectives()
        made = self.__dict__.setdefault("_compile_metrics", {})  # {"loss", id of the objectives: metric}
        if id(objectives) not in made:
            given = any(jax.tree.leaves(self._compiled[name]) for name in ("metrics", "weighted_metrics"))
            made[id(objectives)] = [CompileMetrics(objectives, shapes)] if given else []
            made.setdefault("loss", Mean(name="loss"))
        return [made["loss"], *made[id(objectives)], *super().metrics]

    def _last_objectives(self):
        """Returns the objectives of the last data seen, and the shapes of its targets and of the outputs."""
        if not self._objective_cache:
            return (), ((), ())
        (shapes, *_), objectives = list(self._objective_cache.items())[-1]
        shapes = [(None, *s) for s in shapes] or [None] * len(objectives)
        return objectives, (shapes, [tuple(s.shape) for s in jax.tree.leaves(self.output_specs())])

    def steps_itself(self, kind):
        """Whether the model writes what "train" or "test" does: a step, or `compute_metrics` in Keras's form."""
        written = getattr(getattr(self, f"{kind}_step", None), "__func__", None)
        return kind != "predict" and (written is not vars(KerasForm)[f"{kind}_step"] or self.computes_metrics)

    @property
    def takes_lists(self):
        """Whether the model writes its steps in Keras's form, or `compute_metrics`."""
        kinds = [kind for kind in ("train", "test") if self.steps_itself(kind)]
        return any(is_keras_form(getattr(self, f"{kind}_step")) for kind in kinds)

    @property
    def computes_metrics(self):
        """Whether the model's class writes `compute_metrics`."""
        return type(self).compute_metrics is not KerasForm.compute_metrics

    def reset_metrics(self):
        """Does nothing: no metric state outlives a call of fit, evaluate, train_on_batch or test_on_batch."""

    def get_compile_config(self):
        """Returns what `compile` was given, in JSON's types."""
        from fkeras.core.settings import serialize

        return {k: serialize(v) for k, v in self._compile_arguments.items()} if self.compiled else {}

    def compile_from_config(self, config):
        """Compiles as `get_compile_config` of another model said."""
        from fkeras.core.settings import deserialize

        config = {k: v if isinstance(v, (str, bool)) else deserialize(v) for k, v in config.items()}
        self.compile(**config)

    # ------------------------------------------------------------------------------ a loss of the model's own

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss of a batch: as compiled, with penalties and what layers add. A model may write its own.

        Args:
            x, y, y_pred, sample_weight: Trees like the model's inputs and outputs. Here, only y and y_pred count, and
                the weights if they are given.
            training: Whether it is a training step.

        A model's own one is traced into the training step: `self.dense.kernel` and its like are the step's arrays, and
        `super().compute_loss(...)` is the usual loss. Batches are then computed as they are, on one device.

        Example:
            >>> class Doubled(Model):
            ...     def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            ...         return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)
            >>> x = Input((2,))
            >>> model = Doubled(x, Dense(1, kernel_initializer="ones")(x))
            >>> model.compile("sgd", "mse")
            >>> model.evaluate(np.ones((4, 2)), np.zeros((4, 1)), verbose=0)
            8.0

        Reference:
            As Keras 3's `Model.compute_loss`.
        """
        if (usual := self.__dict__.get("_usual_loss")) is not None:
            return usual(y, y_pred, sample_weight)[0]
        self._require_compiled("compute_loss")
        ys, preds = jax.tree.leaves(y), jax.tree.leaves(y_pred)
        weights = jax.tree.leaves(sample_weight) or [None] * len(preds)
        objectives, masks = make_objectives(self, Columns(preds, ys)), [mask_of(pred) for pred in preds]
        of = zip(objectives, ys, preds, weights, masks, strict=True)
        parts = [o.weight * o.loss(y, pred, w, mask=mask) for o, y, pred, w, mask in of if o.loss]
        added = stateless.losses_of(preds)
        return sum([*parts, *(self.losses if added is None else added)], jnp.float32(0))

    def has_own(self, method):
        """Whether the model's class writes this method of `Compilation` itself."""
        return getattr(type(self), method) is not getattr(Compilation, method)

    @property
    def computes_loss(self):
        """Whether the model's class writes `compute_loss`."""
        return self.has_own("compute_loss")

    @contextlib.contextmanager
    def usual_loss(self, function):
        """Within the `with`, `compute_loss` of the base class is `function(y, y_pred, sample_weight)`."""
        self.__dict__["_usual_loss"] = function
        try:
            yield
        finally:
            del self.__dict__["_usual_loss"]

    def _check_hooks(self):
        """Refuses what Keras calls in a training and fkeras does not."""
        for name, instead in _NO_HOOKS.items():
            if hasattr(type(self), name):
                raise TypeError(
                    f"{self.label}: {name} is a hook of Keras that fkeras does not call. Write {instead} instead; see "
                    f"docs/pure.md."
                )

    # --------------------------------------------------------------------------- objectives and programs

    def _objectives(self, columns):
        """Returns the list of `Objective`s for data like `columns`: metrics resolved by the shapes of targets."""
        about = tuple(tuple(a.shape[1:]) for a in columns.y or []), tuple(str(a.dtype) for a in columns.y or [])
        losses = spread(self._compiled["loss"], self.output_names, "loss", False)
        about += (any(map(sums, losses)) and columns.w is None,)
        if about not in self._objective_cache:
            self._objective_cache[about] = make_objectives(self, columns)
        return self._objective_cache[about]

    def _devices(self):
        """Returns who runs the programs now: `OneDevice` or a `DataParallel`."""
        devices = parallel.choose(self._compiled and self._compiled["distribute"])
        if devices.count * devices.accumulate > 1 and self._is_stateful():
            over = f"{devices.count} devices" if devices.count > 1 else f"accumulate={devices.accumulate} parts"
            raise ValueError(
                f"{self.label}: a stateful layer keeps its state row by row from batch to batch, which cannot be split "
                f"over {over}. Give stateful=False, or compile(distribute=False)."
            )
        eager = self._compiled is not None and self._compiled["run_eagerly"]
        return parallel.ONE_DEVICE if eager else devices

    def _program(self, kind, objectives, capacity=1, devices=parallel.ONE_DEVICE, like=None, batching=AS_IT_IS):
        """Returns (program, compiled function) of `kind`: "train", "test" or "predict".

        `like` is the program of other devices whose metrics this one goes on with, `batching` what is done to batches.
        """
        if self._programs is None:
            self._programs = Programs()
        draws = batching.draws and kind != "train"  # there, noise is drawn by the key that training has anyway
        facts = {
            "kind": kind,
            "losses or metrics": id(objectives),
            "trainable layers": self._flags(),
            "steps per dispatch": capacity,
            "optimizer settings": getattr(self.optimizer, "revision", 0),
            "devices": devices.key,
            "noise": draws,
            "norms of gradients": self._norms if kind == "train" else None,
        }
        make = functools.partial(self._make_program, kind, objectives, devices, draws)
        program, function = self._programs.get(facts, make, str(batching))
        if like is not None:
            program.layer_logs = like.layer_logs
        return program, function

    def _make_program(self, kind, objectives, devices, draws):
        trained = frozenset(self.trained_paths())
        if kind == "train" and not trained and self._trained_at_compile:
            trained = self._trained_at_compile
            warnings.warn(
                f"{self.label}: all of its weights were frozen after compile(). Those that were trained then are "
                f"trained on, as in Keras 2, whose GANs freeze a discriminator so; Keras 3 trains nothing. To freeze "
                f"it here, set `trainable` before compile().",
                stacklevel=5,
            )
        if self.steps_itself(kind):
            form = KerasSteps if is_keras_form(getattr(self, f"{kind}_step")) else OwnSteps
            program, compiled = form(self, self.optimizer, objectives or [], trained), devices.partition
        else:
            how = devices.axis, devices.synchronizes, devices.accumulate
            program = Program(self, self.optimizer, objectives or [], trained, *how)
            compiled = devices.compile
        function, donate = {
            "train": (program.train_block, (0,)),
            "test": (program.test_block, (2,)),
            "predict": (predictor(self), ()),
        }[kind]
        if kind == "train" and self._norms is not None:
            program.norms = self._norms
        if self._compiled and self._compiled["run_eagerly"]:
            return program, function
        if kind == "train" and sum(a.nbytes for a in jax.tree.leaves(self.gather())) <= KEPT_BYTES:
            donate = ()
        return program, compiled(function, kind, donate, draws)

    def compile_report(self):
        """Returns which programs were compiled since `compile`, when and why, how long it took and what each costs.

        Returns:
            `CompileReport`: a list of `Compiled` (kind, why, at, seconds, flops, peak_bytes) that prints as a table.

        Example:
            >>> model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(2,))])
            >>> model.compile("sgd", "mse")
            >>> _ = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
            >>> [(program.kind, program.why) for program in model.compile_report()]
            [('train', 'the first of its kind')]
        """
        return CompileReport() if self._programs is None else self._programs.report()

    def _eager(self):
        return jax.disable_jit(bool(self._compiled and self._compiled["run_eagerly"]))

    def _train_state(self, program, metrics):
        params, state = self.gather()
        self.__dict__["_direct"] = None  # it would hold on to arrays that are replaced now
        trained = program.optimized(params)
        if self.optimizer.state is None:
            self._begin_optimizer(trained)
        elif program is not self._last_trained[0]:
            self.optimizer.state = self.optimizer.extend(self.optimizer.state, trained)
            self._warn_of_flags(program)
        self._last_trained = program, self._compiled
        return TrainState(params, state, self.optimizer.state, metrics, self._train_key)

    def _begin_optimizer(self, trained=None):
        """Returns the optimizer's state, made if there is none yet."""
        if self.optimizer.state is None:
            trained = tree.split(self.gather()[0], frozenset(self.trained_paths()))[0] if trained is None else trained
            self.optimizer.state = jit_once(self.optimizer.init)(trained)
        return self.optimizer.state

    def _warn_of_flags(self, program):
        """Warns where Keras goes on with the weights that were trainable when training began."""
        before, compiled = self._last_trained
        if before is None or compiled is not self._compiled or before.trained == program.trained:
            return
        changed = sorted("/".join(path) for path in before.trained ^ program.trained)
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        warnings.warn(
            f"{self.label}: `trainable` changed since it was compiled and trained ({', '.join(changed[:3])}{more}). "
            f"It holds from now on; in Keras only after compile(), which starts the optimizer anew.",
            stacklevel=5,
        )

    def _store(self, ts):
        self.scatter(ts.params, ts.state)
        self.optimizer.state = ts.opt

    @contextlib.contextmanager
    def _settled(self):
        """Afterwards all arrays are on one device again, also after an error: whoever reads them need not know."""
        try:
            yield
        finally:
            with lock:
                self.scatter(*parallel.single(self.gather()))
                if self.optimizer is not None:
                    self.optimizer.state = parallel.single(self.optimizer.state)

    def batching(self, kind, x):
        """Returns what may be done to batches like `x` in a program of `kind`: a `Batching`, asked once.

        Args:
            kind: "train", "test" or "predict".
            x: Tree of the inputs' arrays or shapes, batch axis first.
        """
        if self._programs is None:
            self._programs = Programs()
        leaves, form = jax.tree.flatten(x)
        about = kind, self._flags(), form, *((a.shape, a.dtype) for a in leaves)
        known = self._programs.batching
        if about not in known:
            batch = leaves[0].shape[0]
            with lock:  # a `call` that is traced finds its arrays in the layers
                known[about] = of_model(self, kind == "train", x, batch, "cut" if kind == "predict" else "fill")
        return known[about]

    def _batching_of(self, kind, objectives, columns, batch):
        """Returns the `Batching` of the model with its losses and metrics."""
        if self.steps_itself("train") or self.steps_itself("test"):
            return Batching(f"{self.label} has a train_step, test_step or compute_metrics of its own")
        found = self.batching(kind, self._input_tree(like(columns.x, batch)))
        if self.computes_loss:
            why = f"{self.label} has a compute_loss of its own"
            return found._replace(fill=why, split=why)
        if found.fill is None:
            specs = found.outputs or jax.tree.leaves(self.output_specs())
            shown = zip(objectives, columns.y or [None] * len(objectives), specs, strict=True)
            why = next(
                (why for objective, y, spec in shown if (why := _why_whole(objective, y, spec)) is not None), None
            )
            found = found._replace(fill=why)
        return found

    def _flags(self):
        return tuple(layer.flags for layer in self.own_and_inner())

    def _is_stateful(self):
        """True if a layer keeps its state from batch to batch in inference too, as a stateful LSTM does."""
        return any(getattr(layer, "stateful", False) for layer in self.own_and_inner())


def _why_whole(objective, y, spec):
    """Returns why loss or metrics of an output need their batches as they are, so that none may be filled up."""
    if y is None:
        return None
    y = jax.ShapeDtypeStruct(y.shape, y.dtype)
    pred = jax.ShapeDtypeStruct((y.shape[0], *spec.shape[1:]), spec.dtype)
    parts = [("loss", objective.loss)] * (objective.loss is not None) + [("metric", m) for _, m, _ in objective.metrics]
    reasons = ((what, part.name, part.rows_meet(y, pred)) for what, part in parts)
    return next((f"{what} {name!r} {why}" for what, name, why in reasons if why is not None), None)


def like(arrays, rows):
    """Returns the shapes of arrays [B, ...] with so many rows."""
    return [jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype) for a in arrays]
