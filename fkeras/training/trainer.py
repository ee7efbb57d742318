"""compile, fit, evaluate, predict: the stateful face of the pure step in `fkeras.training.step`.

The way of a batch: source -> block [K, B, ...] -> gather the layers' cells into a TrainState -> one compiled program of
up to K steps -> scatter the new arrays back into the cells. Nothing is kept in between, so that a callback may read or
set weights and the learning rate at any hook.
"""

import collections
import collections.abc
import contextlib
import functools
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import callbacks as callbacks_lib
from fkeras import optim
from fkeras.compiled.programs import CompileReport, Programs
from fkeras.compiled.quick_jit import jit_once
from fkeras.core import flags, messages, rng, tree
from fkeras.core import host_random as draws
from fkeras.core.settings import named_arguments
from fkeras.data import feed
from fkeras.data.sources import Columns
from fkeras.distribute import parallel, processes
from fkeras.layers.contract.variables import lock, revision
from fkeras.training import run as loop
from fkeras.training.batching import Batching, of_model
from fkeras.training.objectives import looks_like_metrics, make_objectives, resolve_losses, resolve_metrics, spread
from fkeras.training.pace import DISPATCH_SECONDS, FOLLOWED_SECONDS, IN_FLIGHT, Pace, block_steps
from fkeras.training.predict import predictor
from fkeras.training.repeated_calls import Direct
from fkeras.training.step import OwnSteps, Program, TrainState

AS_IT_IS = Batching("it is one batch, as it was given")
LONE_ROWS = 5  # so many predictions of one row in a row, and a program for a single row is worth its compilation


class Trainer:
    """Adds training to a model; see `fkeras.models.Model`."""

    optimizer = None
    stop_training = stop_evaluating = stop_predicting = False
    _compiled = None
    _programs = None
    _last_trained = None, None  # the program of the last training step, and what `compile` had fixed then
    _lone_rows = 0  # predictions of a single row, one after the other; once at `LONE_ROWS` it does not fall back
    _direct = None  # the `Direct` of the last single batches
    train_step = None  # a model of one's own may define train_step(ts, batch) -> (ts, logs), pure
    test_step = None  # and test_step(ts, batch) -> logs

    # --------------------------------------------------------------------------------------- compile

    @named_arguments
    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=None,
        jit_compile="auto",
        auto_scale_loss=True,
        distribute=None,
    ):
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
        self._seed = rng.next_seed()
        self._programs, self._objective_cache, self._paces = Programs(), {}, {}
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
        """The metric objects of the last data seen, in the logs' order."""
        found = list(self._objective_cache.values())[-1:] if self.compiled else []
        return [m for objectives in found for g in objectives for _, m, _ in g.metrics]

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
        objectives = make_objectives(self, Columns(preds, ys))
        parts = [o.weight * o.loss(*of) for o, *of in zip(objectives, ys, preds, weights, strict=True) if o.loss]
        return sum([*parts, *self.losses], jnp.float32(0))

    @property
    def computes_loss(self):
        """Whether the model's class writes `compute_loss`."""
        return type(self).compute_loss is not Trainer.compute_loss

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
        shapes = tuple(tuple(a.shape[1:]) for a in columns.y or []), tuple(str(a.dtype) for a in columns.y or [])
        if shapes not in self._objective_cache:
            self._objective_cache[shapes] = make_objectives(self, columns)
        return self._objective_cache[shapes]

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
        }
        make = functools.partial(self._make_program, kind, objectives, devices, draws)
        program, function = self._programs.get(facts, make, str(batching))
        if like is not None:
            program.layer_logs = like.layer_logs
        return program, function

    def _make_program(self, kind, objectives, devices, draws):
        trained = frozenset(self.trained_paths())
        if {"train": self.train_step, "test": self.test_step, "predict": None}[kind] is not None:
            program, compiled = OwnSteps(self, self.optimizer, objectives or [], trained), devices.partition
        else:
            how = devices.axis, devices.synchronizes, devices.accumulate
            program = Program(self, self.optimizer, objectives or [], trained, *how)
            compiled = devices.compile
        function, donate = {
            "train": (program.train_block, (0,)),
            "test": (program.test_block, (2,)),
            "predict": (predictor(self), ()),
        }[kind]
        if self._compiled and self._compiled["run_eagerly"]:
            return program, function
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
            self.optimizer.state = jit_once(self.optimizer.init)(trained)
        elif program is not self._last_trained[0]:
            self.optimizer.state = self.optimizer.extend(self.optimizer.state, trained)
            self._warn_of_flags(program)
        self._last_trained = program, self._compiled
        return TrainState(params, state, self.optimizer.state, metrics, self._train_key)

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

    # ------------------------------------------------------------------------------------------- fit

    @named_arguments
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Trains the model.

        Args: as Keras 3. `x` may be arrays, lists, frames, HDF5 data sets, memory maps, or an iterable of batches
            (generator, `PyDataset`, torch DataLoader, tf.data); `shuffle="batch"` moves whole batches.

        Returns:
            `History`: `.history` maps each log's name to its value per epoch, `.epoch` lists the epochs.
        """
        self._require_compiled("fit")
        epochs, initial_epoch = _epochs(epochs, "epochs"), _epochs(initial_epoch, "initial_epoch")
        source = feed.training_source(self, x, y, sample_weight, class_weight, batch_size, shuffle, steps_per_epoch)
        size = batch_size if validation_batch_size is None else validation_batch_size
        source, validation = feed.validation_source(
            self, source, validation_data, validation_split, size, validation_steps
        )
        if not isinstance(validation_freq, collections.abc.Container) and not validation_freq >= 1:
            raise ValueError(f"fit: expected validation_freq >= 1 or a list of epochs, got {validation_freq!r}.")
        self._ready(source, "fit")
        if validation is not None:
            self._ready(validation, "fit(validation_data=...)")
        steps = _steps(source, steps_per_epoch, "steps_per_epoch")
        verbose = _verbosity(verbose)
        if not isinstance(callbacks, callbacks_lib.CallbackList):
            callbacks = callbacks_lib.CallbackList(
                callbacks, add_history=True, add_progbar=verbose != 0, verbose=verbose, epochs=epochs, steps=steps,
                model=self,
            )  # fmt: skip
        self.stop_training, self._initial_epoch = False, None
        objectives = self._objectives(source.peek())
        devices = self._devices()
        if verbose:
            parallel.announce(devices)
        if devices.parts > 1:
            facts = {"batch_size": source.batch_size, "number of steps": steps, "epochs": epochs, "seed": self._seed}
            processes.check_agreement(self, facts, weights=not len(self.compile_report()))
        callbacks.on_train_begin()
        logs = {}
        with self._settled():
            for epoch in range(self._initial_epoch or initial_epoch, epochs):  # BackupAndRestore may set it
                callbacks.on_epoch_begin(epoch)
                logs = self._train_epoch(source, objectives, steps, callbacks)
                if validation is not None and _validates(epoch, validation_freq):
                    key = rng.fold(self._train_key, "validation", self._iterations())  # a run that resumes draws it too
                    found = self._evaluate(validation, validation_steps, callbacks, key)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        self._finish_training()
        callbacks.on_train_end(logs)
        return self.history

    def _finish_training(self):
        """Puts averaged weights in place where the optimizer keeps them."""
        if self.optimizer.state is None:
            return
        params, state = self.gather()
        trained, frozen = tree.split(params, frozenset(self.trained_paths()))
        averaged = self.optimizer.finalize(self.optimizer.state, trained)
        if averaged is not trained:
            self.scatter(tree.join(jax.tree.map(jnp.array, averaged), frozen), state)  # not shared with the state

    def _train_epoch(self, source, objectives, steps, callbacks):
        devices = self._devices()
        pace = self._pace(source, objectives, callbacks, "train", devices)
        at = functools.partial(self._program, "train", objectives, pace.capacity, batching=pace.batching)
        program, run = at(devices)
        metrics, logs = self._empty_metrics(program, source, True), None

        def dispatch(block, n, step, where):
            nonlocal metrics, logs
            take, block = run if where is devices else at(where, like=program)[1], self._arrange(block, pace.pads)
            with loop.undisturbed(), lock:  # the step takes the arrays' memory: until they are stored there are none
                ts = where.hold(self._train_state(program, metrics))
                with self._eager():
                    ts, logs = take(ts, where.split(block), n)
                self._store(ts)
            metrics = ts.metrics
            return logs, next(iter(logs.values()))

        order = self._seed, self._iterations()
        step = loop.run(self, "train", source, steps, pace, devices, callbacks, dispatch, order)
        source.end_epoch(step)
        if logs is None:
            raise ValueError(
                f"{self.label}: the data ran out: no batch was left for this epoch. A generator must go on for "
                f"epochs x steps_per_epoch batches; a list of batches or a PyDataset can be read again."
            )
        if steps is not None and step < steps and not self.stop_training and not getattr(source, "rows", 0):
            warnings.warn(
                f"fit: the data ran out after {step} of {steps} steps; training stops here. A generator must give "
                f"steps_per_epoch x epochs batches.",
                stacklevel=3,
            )
            self.stop_training = True
        return _floats(logs)

    def _iterations(self):
        state = self.optimizer.state
        return 0 if state is None else int(self.optimizer.clock(state))

    def _empty_metrics(self, program, source, training):
        """Returns the empty metrics for a source, shaped by its first rows; made once for a program."""
        if program.empty is None:
            columns = source.peek()
            rows = np.ones((1, columns.rows), bool)
            block = {"x": [a[None] for a in columns.x], "rows": rows}
            block |= {k: None if v is None else [a[None] for a in v] for k, v in (("y", columns.y), ("w", columns.w))}
            batch = jax.tree.map(lambda a: a[0], self._arrange(block, False))
            ts = self._train_state(program, None) if training else TrainState(*self.gather(), None, None, None)
            program.empty = jax.tree.map(np.asarray, program.init_metrics(ts, batch, training))
        return program.empty

    # ------------------------------------------------------------------------- evaluate and predict

    @named_arguments
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """Computes loss and metrics on held-out data.

        Returns:
            The loss, or a list [loss, metric, ...] named by `metrics_names`, or a dict if `return_dict`.
        """
        self._require_compiled("evaluate")
        source = feed.training_source(self, x, y, sample_weight, None, batch_size, False, steps, "evaluate")
        self._ready(source, "evaluate")
        verbose = _verbosity(verbose)
        if not isinstance(callbacks, callbacks_lib.CallbackList):
            callbacks = callbacks_lib.CallbackList(
                callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=_steps(source, steps, "steps"),
                model=self,
            )  # fmt: skip
        logs = self._evaluate(source, steps, callbacks)
        return self._result(logs, return_dict)

    def _evaluate(self, source, steps, callbacks, key=None):
        objectives, devices = self._objectives(source.peek()), self._devices()
        steps = _steps(source, steps, "steps")
        pace = self._pace(source, objectives, callbacks, "test", devices)
        at = functools.partial(self._program, "test", objectives, pace.capacity, batching=pace.batching)
        program, run = at(devices)
        metrics, logs = self._empty_metrics(program, source, False), None
        draws = pace.batching.draws
        if draws and key is None:
            key = rng.next_key()

        def dispatch(block, n, step, where):
            nonlocal metrics, logs
            take = run if where is devices else at(where, like=program)[1]
            block = where.split(self._arrange(block, pace.pads))
            with lock, self._eager():
                params, state, metrics = where.hold((*self.gather(), metrics))
                metrics, state, logs = take(params, state, metrics, block, n, *((key, step) if draws else ()))
                if self._is_stateful():
                    self.scatter(params, state)
            return logs, next(iter(logs.values()))

        self.stop_evaluating = False
        callbacks.on_test_begin()
        step = loop.run(self, "test", source, steps, pace, devices, callbacks, dispatch)
        source.end_epoch(step)
        if logs is None:
            raise ValueError(f"{self.label}: evaluate got no batch: the data are empty or used up.")
        logs = _floats(logs)
        callbacks.on_test_end(logs)
        return logs

    @named_arguments
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Computes the outputs for all rows of `x`, in batches.

        Returns:
            NumPy array (a tree of them for several outputs), one row per input row.
        """
        one_row = verbose == 0 and callbacks is None and type(x) is np.ndarray and x.shape[:1] == (1,)
        if one_row and (outputs := self._direct_outputs(x)) is not None:
            return outputs
        source = feed.prediction_source(self, x, batch_size, steps)
        self._ready(source, "predict")
        lone = source.in_memory and source.rows == 1
        if lone or self._lone_rows < LONE_ROWS:  # a program for a single row, once there, is used whenever there is one
            self.__dict__["_lone_rows"] = self._lone_rows + 1 if lone else 0
        if lone and self._lone_rows >= LONE_ROWS:
            source.batch_size = 1
        verbose = _verbosity(verbose)
        total = _steps(source, steps, "steps")
        if not isinstance(callbacks, callbacks_lib.CallbackList):
            callbacks = callbacks_lib.CallbackList(
                callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=total, model=self
            )
        devices = self._devices()
        watched = callbacks.has_batch_hooks("predict")
        capacity = 1 if watched else self._predict_steps(source)
        peeked = source.peek()
        batching = self.batching("predict", self._input_tree(_like(peeked.x, source.batch_size)))
        pace = Pace(0, capacity, batching)
        waiting, done = collections.deque(), []
        key = rng.next_key() if batching.draws else None
        (params, state), stateful = self.gather(), self._is_stateful()

        def dispatch(block, n, step, where):
            nonlocal params, state
            with lock:
                if not stateful:  # `fit` in another thread may have replaced them
                    params, state = self.gather()
                params, state = where.hold_here((params, state))
                out, state = self._run_predict(params, state, block, n, where, batching, key, step)
            rows = block["rows"][:n]
            waiting.append((where, out, rows))
            if len(waiting) > IN_FLIGHT:
                done.append(_fetch(*waiting.popleft()))
            return {"outputs": _fetch(where, out, rows)} if watched else None, jax.tree.leaves(out)[0]

        self.stop_predicting = False
        callbacks.on_predict_begin()
        loop.run(self, "predict", source, total, pace, devices, callbacks, dispatch)
        done += [_fetch(*w) for w in waiting]
        if self._is_stateful():
            self.scatter(params, state)
        if source.batch_size == 1 and lone and pace.pads and key is None:
            self._keep_direct(source.columns.x, devices)
        callbacks.on_predict_end()
        if not done:
            raise ValueError(f"{self.label}: predict got no batch: the data are empty or used up.")
        return _joined(self, done)

    def _predict_steps(self, source):
        """Returns how many batches one dispatch of predict takes: inputs and outputs of a block stay small."""
        if not source.in_memory or source.batch_size == 1 or (self._compiled and self._compiled["run_eagerly"]):
            return 1
        sizes = [
            math.prod(s.shape[1:]) * s.dtype.itemsize
            for s in jax.tree.leaves(self.output_specs())
            if None not in s.shape[1:]
        ]
        batch = max(sum(a[:1].nbytes for a in source.columns.x), sum(sizes)) * source.batch_size
        return 1 << block_steps(2 * batch).bit_length() - 1  # a power of two: batches are joined in pairs

    def _direct_outputs(self, x):
        """Returns the outputs for rows like those of earlier calls without further questions, or None."""
        known = self._direct
        if known is None or parallel.in_scope():
            return None
        with lock:
            return known.of(x) if known.revision is revision.now else None

    def _keep_direct(self, x, devices):
        """Remembers the program that predicted the inputs `x` as one batch, for `_direct_outputs`."""
        if devices is not parallel.ONE_DEVICE or parallel.in_scope():
            return
        _, run = self._program("predict", None)
        if not hasattr(run, "ready") or self._input_tree(x) is not x[0] or self._is_stateful():
            return
        if self._direct is None or self._direct.revision is not revision.now:
            self.__dict__["_direct"] = Direct(self)  # nothing changes by it
        self._direct.keep(x[0], run)

    def _run_predict(self, params, state, block, n, devices, batching, key=None, step=0):
        """Returns (outputs [K, B, ...], new state) of the first `n` batches of a block, the first one number `step`."""
        rows, noise = (block["rows"] if batching.fill is None else None), ()
        if key is not None:
            count, size = block["rows"].shape
            noise = key, devices.split((step * size + np.arange(count * size, dtype=np.int32)).reshape(count, size))
        x, rows = devices.split((self._input_tree(block["x"]), rows))
        _, run = self._program("predict", None, devices=devices, batching=batching)
        with self._eager():
            return run(params, state, x, rows, n, *noise)

    # -------------------------------------------------------------------------------- single batches

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Trains on one batch as it is; returns its loss and metrics in the form of `evaluate`."""
        self._require_compiled("train_on_batch")
        source = feed.single_batch(self, x, y, sample_weight, class_weight)
        self._ready(source, "train_on_batch")
        objectives, block, devices, batching = self._single(source, "train")
        pads = batching.fill is None
        program, run = self._program("train", objectives, devices=devices, batching=batching)
        empty = self._empty_metrics(program, source, True)
        with self._settled(), loop.undisturbed(), lock, self._eager():
            ts = devices.hold(self._train_state(program, empty))
            ts, logs = run(ts, devices.split(self._arrange(block, pads)), 1)
            self._store(ts)
        return self._result(_floats(logs), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Computes loss and metrics on one batch, in the form of `evaluate`."""
        self._require_compiled("test_on_batch")
        source = feed.single_batch(self, x, y, sample_weight, None)
        self._ready(source, "test_on_batch")
        objectives, block, devices, batching = self._single(source, "test")
        pads = batching.fill is None
        x = jax.tree.map(lambda a: a[0], self._input_tree(block["x"]))
        draws = self.batching("test", x).draws
        program, run = self._program("test", objectives, devices=devices, batching=batching._replace(draws=draws))
        with self._eager():
            args = devices.hold((*self.gather(), self._empty_metrics(program, source, False)))
            _, _, logs = run(
                *args, devices.split(self._arrange(block, pads)), 1, *((rng.next_key(), 0) if draws else ())
            )
        return self._result(_floats(logs), return_dict)

    def predict_on_batch(self, x):
        """Computes the outputs for one batch as it is, as NumPy arrays."""
        if type(x) is np.ndarray and x.ndim and (outputs := self._direct_outputs(x)) is not None:
            return outputs
        source = feed.single_batch(self, x, None, None, None, targets=False)
        self._ready(source, "predict_on_batch")
        devices = self._devices()
        batching = self.batching("predict", self._input_tree(source.columns.x))
        reader = source.reader(share=loop.share(devices, "predict"))
        pads = batching.fill is None
        block, _ = reader.read(1, 1, pads)
        devices = loop.fitting(devices, block, reader, batching)
        key = rng.next_key() if batching.draws else None
        with lock:
            params, state = devices.hold_here(self.gather())
            out, state = self._run_predict(params, state, block, 1, devices, batching, key)
        if self._is_stateful():
            self.scatter(params, state)
        if pads and key is None:
            self._keep_direct(source.columns.x, devices)
        return _joined(self, [jax.tree.map(np.array, _fetch(devices, out, block["rows"]))])

    def _single(self, source, kind):
        """Returns (objectives, block, devices, batching) of one batch, which only devices may have filled up."""
        objectives, devices = self._objectives(source.peek()), self._devices()
        batching = AS_IT_IS
        if devices.width > 1:
            batching = self._pace(source, objectives, None, kind, devices).batching
        reader = source.reader(share=loop.share(devices))
        block, _ = reader.read(1, 1, batching.fill is None)
        return objectives, block, loop.fitting(devices, block, reader, batching), batching

    def _result(self, logs, return_dict):
        """The forms evaluate and the single-batch methods return: a dict, or the loss, or [loss, metric, ...]."""
        if return_dict:
            return logs
        names = [n for n in self.metrics_names if n in logs]
        values = [logs[n] for n in [*names, *(n for n in logs if n not in names)]]
        return values[0] if len(values) == 1 else values

    # ----------------------------------------------------------------------------------- arrangement

    def _is_stateful(self):
        """True if a layer keeps its state from batch to batch in inference too, as a stateful LSTM does."""
        return any(getattr(layer, "stateful", False) for layer in self.own_and_inner())

    def _ready(self, source, what):
        """Builds the model for the data, and looks at both together: bad data stop here, at the door."""
        self._check_hooks()
        columns = source.peek()
        if not self.built:
            self.build(self._input_tree([(None, *a.shape[1:]) for a in columns.x]))
        feed.check(self, source, columns, what, self._objectives(columns) if what not in _PREDICTS else None)

    def _arrange(self, block, pads=True):
        """Gives a block of columns the form that the step expects: weights of one where none were given."""
        rows, outputs = block["rows"], self.output_count()
        w = block["w"] or [rows.astype(np.float32)] * outputs
        y = block["y"] or [None] * outputs
        return {"x": self._input_tree(block["x"]), "y": y, "w": w, "rows": rows if pads else None}

    def _pace(self, source, objectives, callbacks, kind, devices):
        """Returns the `Pace` for an epoch: one step per dispatch where somebody looks at each, else several."""
        each = callbacks is None or callbacks.has_batch_hooks(kind)
        seconds = FOLLOWED_SECONDS if each or callbacks.follows_batches(kind) else DISPATCH_SECONDS
        columns = source.peek()
        row = sum(a[:1].nbytes for a in [*columns.x, *(columns.y or [])])  # not weights: they come and go
        size = row * source.batch_size
        about = kind, id(objectives), size, each, seconds, devices.key, self._flags()
        if about not in self._paces:
            batching = self._batching_of(kind, objectives, columns, source.batch_size)
            if batching.fill is None:
                devices.notice(source.batch_size)
            own = self.train_step is not None or self.test_step is not None
            fixed = 1 if each or own or self._compiled["run_eagerly"] else self._compiled["steps_per_execution"]
            self._paces[about] = Pace(size, fixed, batching, devices.parts, seconds)
        return self._paces[about].begin()

    def batching(self, kind, x):
        """Returns what may be done to batches like `x` in a program of `kind`: a `Batching`, asked once.

        Args:
            kind: "train", "test" or "predict".
            x: Tree of the inputs' arrays or shapes, batch axis first.
        """
        if self._programs is None:
            self._programs = Programs()
        about = kind, self._flags(), str(jax.tree.map(lambda a: (a.shape, str(a.dtype)), x))
        known = self._programs.batching
        if about not in known:
            batch = jax.tree.leaves(x)[0].shape[0]
            known[about] = of_model(self, kind == "train", x, batch, "cut" if kind == "predict" else "fill")
        return known[about]

    def _batching_of(self, kind, objectives, columns, batch):
        """Returns the `Batching` of the model with its losses and metrics."""
        if self.train_step is not None or self.test_step is not None:
            return Batching(f"{self.label} has a train_step or test_step of its own")
        found = self.batching(kind, self._input_tree(_like(columns.x, batch)))
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


_PREDICTS = ("predict", "predict_on_batch")
_NO_HOOKS = {
    "compute_metrics": "metrics for compile(metrics=...)",
    "predict_step": "`call`, or a model of other outputs",
    "make_train_function": "train_step(self, ts, batch)",
    "make_test_function": "test_step(self, ts, batch)",
    "make_predict_function": "`call`",
}


def _why_whole(objective, y, spec):
    """Returns why loss or metrics of an output need their batches as they are, so that none may be filled up."""
    if y is None:
        return None
    y = jax.ShapeDtypeStruct(y.shape, y.dtype)
    pred = jax.ShapeDtypeStruct((y.shape[0], *spec.shape[1:]), spec.dtype)
    parts = [("loss", objective.loss)] * (objective.loss is not None) + [("metric", m) for _, m, _ in objective.metrics]
    reasons = ((what, part.name, part.rows_meet(y, pred)) for what, part in parts)
    return next((f"{what} {name!r} {why}" for what, name, why in reasons if why is not None), None)


def _like(arrays, rows):
    """Returns the shapes of arrays [B, ...] with so many rows."""
    return [jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype) for a in arrays]


def _joined(model, outputs):
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


def _verbosity(verbose):
    """Returns how much to print: nothing but in the process that prints."""
    usual = 1 if messages.is_interactive_logging_enabled() else 2
    return (usual if verbose == "auto" else int(verbose)) if processes.is_main() else 0


def _fetch(devices, out, rows):
    """Returns the outputs [rows, ...] on the host for outputs [K, B, ...], of which `rows` [n, B] are real.

    They may lie in XLA's own memory: a copy is the caller's to make. None stands for one number per batch.
    """
    out = jax.tree.map(lambda a: np.asarray(a)[: len(rows)], devices.join(out))
    if rows.all():
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]) if a.ndim > 1 else None, out)
    return jax.tree.map(lambda a: a[rows], out)


def _floats(logs):
    """Fetches logs to the host. Keras sorts the names of an epoch's logs; so do we."""
    with processes.waiting("the end of an epoch"):
        host = jax.device_get(logs)
    return {k: float(v) if np.ndim(v) == 0 else np.asarray(v) for k, v in sorted(host.items())}


def _epochs(value, name):
    if isinstance(value, bool) or not hasattr(value, "__int__") or int(value) != value or value < 0:
        raise ValueError(f"fit: expected {name} as an integer >= 0, got {value!r}.")
    most = flags.get("max_epochs")
    return int(value) if most is None or name != "epochs" else min(int(value), most)


def _steps(source, steps, name):
    if (most := flags.get("max_steps_per_epoch")) is not None:
        steps = most if steps is None else min(steps, most)
    if steps is None:
        return source.steps
    if isinstance(steps, bool) or not hasattr(steps, "__int__") or steps < 1:
        raise ValueError(f"expected {name} >= 1, got {steps!r}.")
    if source.in_memory:
        return min(int(steps), source.steps)
    return int(steps)


def _validates(epoch, freq):
    return (epoch + 1) in freq if isinstance(freq, collections.abc.Container) else (epoch + 1) % freq == 0
