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
from fkeras.core import flags, rng, tree
from fkeras.core import host_random as draws
from fkeras.core.settings import named_arguments
from fkeras.data import feed, sources
from fkeras.distribute import parallel, processes
from fkeras.layers.contract.variables import revision
from fkeras.training.objectives import looks_like_metrics, make_goals, resolve_losses, resolve_metrics, spread
from fkeras.training.pace import DISPATCH_SECONDS, FOLLOWED_SECONDS, IN_FLIGHT, Pace, block_steps
from fkeras.training.predict import predictor
from fkeras.training.repeated_calls import Direct
from fkeras.training.step import OwnSteps, Program, TrainState

LONE_ROWS = 5  # so many predictions of one row in a row, and a program for a single row is worth its compilation


class Trainer:
    """Adds training to a model; see `fkeras.models.Model`."""

    optimizer = None
    stop_training = False
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
        self._programs, self._goal_cache, self._paces = Programs(), {}, {}
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
        for goals in list(self._goal_cache.values())[-1:] if self.compiled else []:
            names += [g.loss_name for g in goals if g.loss_name]
            metrics = [name for g in goals for name, _, _ in g.metrics]
            names += metrics if len(goals) == 1 else sorted(metrics)
        programs = self._programs.made.values() if self._programs is not None else ()
        logs = (name for program, _ in programs for name in program.layer_logs or ())
        return list(dict.fromkeys([*names, *logs]))

    @property
    def metrics(self):
        """The metric objects of the last data seen, in the logs' order."""
        found = list(self._goal_cache.values())[-1:] if self.compiled else []
        return [m for goals in found for g in goals for _, m, _ in g.metrics]

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

    # --------------------------------------------------------------------------- goals and programs

    def _goals(self, columns):
        """Returns the list of `OutputGoal`s for data like `columns`: metrics resolved by the shapes of targets."""
        shapes = tuple(tuple(a.shape[1:]) for a in columns.y or []), tuple(str(a.dtype) for a in columns.y or [])
        if shapes not in self._goal_cache:
            self._goal_cache[shapes] = make_goals(self, columns)
        return self._goal_cache[shapes]

    def _devices(self):
        """Returns who runs the programs now: `OneDevice` or a `DataParallel`."""
        devices = parallel.choose(self._compiled and self._compiled["distribute"])
        if devices.count > 1 and self._is_stateful():
            raise ValueError(
                f"{self.label}: a stateful layer keeps its state row by row from batch to batch, which cannot be split "
                f"over {devices.count} devices. Give stateful=False, or compile(distribute=False)."
            )
        eager = self._compiled is not None and self._compiled["run_eagerly"]
        return parallel.ONE_DEVICE if eager else devices

    def _program(self, kind, goals, capacity=1, devices=parallel.ONE_DEVICE, like=None):
        """Returns (program, compiled function) of `kind`: "train", "test" or "predict".

        `like` is the program of other devices whose metrics this one goes on with.
        """
        if self._programs is None:
            self._programs = Programs()
        facts = {
            "kind": kind,
            "losses or metrics": id(goals),
            "trainable layers": tuple(layer.flags for layer in self.own_and_inner()),
            "steps per dispatch": capacity,
            "optimizer settings": getattr(self.optimizer, "revision", 0),
            "devices": devices.key,
        }
        program, function = self._programs.get(facts, lambda: self._make_program(kind, goals, devices))
        if like is not None:
            program.layer_logs = like.layer_logs
        return program, function

    def _make_program(self, kind, goals, devices):
        trained = frozenset(self.trained_paths())
        if {"train": self.train_step, "test": self.test_step, "predict": None}[kind] is not None:
            program, compiled = OwnSteps(self, self.optimizer, goals or [], trained), devices.partition
        else:
            how = devices.axis, devices.synchronizes, devices.accumulate
            program = Program(self, self.optimizer, goals or [], trained, *how)
            compiled = devices.compile
        function, donate = {
            "train": (program.train_block, (0,)),
            "test": (program.test_block, (2,)),
            "predict": (predictor(self), ()),
        }[kind]
        if self._compiled and self._compiled["run_eagerly"]:
            return program, function
        return program, compiled(function, kind, donate)

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
        steps = _steps(source, steps_per_epoch, "steps_per_epoch")
        verbose = _verbosity(verbose)
        if not isinstance(callbacks, callbacks_lib.CallbackList):
            callbacks = callbacks_lib.CallbackList(
                callbacks, add_history=True, add_progbar=verbose != 0, verbose=verbose, epochs=epochs, steps=steps,
                model=self,
            )  # fmt: skip
        self.stop_training, self._initial_epoch = False, None
        goals = self._goals(source.peek())
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
                logs = self._train_epoch(source, goals, steps, callbacks)
                if validation is not None and _validates(epoch, validation_freq):
                    found = self._evaluate(validation, validation_steps, callbacks)
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

    def _train_epoch(self, source, goals, steps, callbacks):
        devices = self._devices()
        pace = self._pace(source, goals, callbacks, "train", devices)
        at = functools.partial(self._program, "train", goals, pace.capacity)
        program, run = at(devices)
        metrics = self._empty_metrics(program, source, True)
        reader = source.reader((self._seed, self._iterations()), _share(devices))
        step, logs = 0, None
        with contextlib.closing(reader):
            while steps is None or step < steps:
                wanted = pace.steps if steps is None else min(pace.steps, steps - step)
                got = reader.read(wanted, pace.capacity, pace.pads)
                if got is None:
                    break
                block, n = got
                callbacks.on_train_batch_begin(step)
                where = _fitting(devices, block, reader, pace.pads)
                ts = where.hold(self._train_state(program, metrics))
                with self._eager():
                    take = run if where is devices else at(where, like=program)[1]
                    ts, logs = take(ts, where.split(self._arrange(block, pace.pads)), n)
                self._store(ts)
                metrics = ts.metrics
                step += n
                pace.dispatched(next(iter(logs.values())), n)
                callbacks.on_train_batch_end(step - 1, logs)
                if self.stop_training:
                    break
        source.end_epoch()
        if logs is None:
            raise ValueError(
                f"{self.label}: the data ran out: no batch was left for this epoch. A generator must go on for "
                f"epochs x steps_per_epoch batches; a list of batches or a PyDataset can be read again."
            )
        if steps is not None and step < steps and not self.stop_training:
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

    def _evaluate(self, source, steps, callbacks):
        goals, devices = self._goals(source.peek()), self._devices()
        steps = _steps(source, steps, "steps")
        pace = self._pace(source, goals, callbacks, "test", devices)
        at = functools.partial(self._program, "test", goals, pace.capacity)
        program, run = at(devices)
        metrics = self._empty_metrics(program, source, False)
        callbacks.on_test_begin()
        reader, step, logs = source.reader(share=_share(devices)), 0, None
        with contextlib.closing(reader):
            while steps is None or step < steps:
                wanted = pace.steps if steps is None else min(pace.steps, steps - step)
                got = reader.read(wanted, pace.capacity, pace.pads)
                if got is None:
                    break
                block, n = got
                callbacks.on_test_batch_begin(step)
                where = _fitting(devices, block, reader, pace.pads)
                params, state, metrics = where.hold((*self.gather(), metrics))
                with self._eager():
                    take = run if where is devices else at(where, like=program)[1]
                    metrics, state, logs = take(params, state, metrics, where.split(self._arrange(block, pace.pads)), n)
                if self._is_stateful():
                    self.scatter(params, state)
                step += n
                pace.dispatched(next(iter(logs.values())), n)
                callbacks.on_test_batch_end(step - 1, logs)
        source.end_epoch()
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
        callbacks.on_predict_begin()
        _, run = self._program("predict", None, devices=devices)
        params, state = devices.hold_here(self.gather())
        reader, step = source.reader(share=sources.Share(devices.width)), 0
        waiting, done = collections.deque(), []
        with contextlib.closing(reader):
            while total is None or step < total:
                got = reader.read(capacity if total is None else min(capacity, total - step), capacity)
                if got is None:
                    break
                block, n = got
                callbacks.on_predict_batch_begin(step)
                out, state = self._run_predict(run, params, state, block, n, devices)
                waiting.append((out, block["rows"][:n]))
                if len(waiting) > IN_FLIGHT:
                    done.append(_fetch(devices, *waiting.popleft()))
                step += n
                logs = {"outputs": _fetch(devices, out, block["rows"][:n])} if watched else None
                callbacks.on_predict_batch_end(step - 1, logs)
        done += [_fetch(devices, *w) for w in waiting]
        if self._is_stateful():
            self.scatter(params, state)
        if source.batch_size == 1 and lone:
            self._keep_direct(source.columns.x, devices)
        callbacks.on_predict_end()
        if not done:
            raise ValueError(f"{self.label}: predict got no batch: the data are empty or used up.")
        return jax.tree.map(lambda *parts: np.concatenate(parts), *done)

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
        if known is None or known.revision is not revision.now or parallel.in_scope():
            return None
        return known.of(x)

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

    def _run_predict(self, run, params, state, block, n, devices):
        x, rows = devices.split((self._input_tree(block["x"]), block["rows"]))
        with self._eager():
            return run(params, state, x, rows, n)

    # -------------------------------------------------------------------------------- single batches

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Trains on one batch as it is; returns its loss and metrics in the form of `evaluate`."""
        self._require_compiled("train_on_batch")
        source = feed.single_batch(self, x, y, sample_weight, class_weight)
        self._ready(source, "train_on_batch")
        goals, block, devices, pads = self._single(source)
        program, run = self._program("train", goals, devices=devices)
        with self._settled(), self._eager():
            ts = devices.hold(self._train_state(program, self._empty_metrics(program, source, True)))
            ts, logs = run(ts, devices.split(self._arrange(block, pads)), 1)
            self._store(ts)
        return self._result(_floats(logs), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Computes loss and metrics on one batch, in the form of `evaluate`."""
        self._require_compiled("test_on_batch")
        source = feed.single_batch(self, x, y, sample_weight, None)
        self._ready(source, "test_on_batch")
        goals, block, devices, pads = self._single(source)
        program, run = self._program("test", goals, devices=devices)
        with self._eager():
            args = devices.hold((*self.gather(), self._empty_metrics(program, source, False)))
            _, _, logs = run(*args, devices.split(self._arrange(block, pads)), 1)
        return self._result(_floats(logs), return_dict)

    def predict_on_batch(self, x):
        """Computes the outputs for one batch as it is, as NumPy arrays."""
        if type(x) is np.ndarray and x.ndim and (outputs := self._direct_outputs(x)) is not None:
            return outputs
        source = feed.single_batch(self, x, None, None, None, targets=False)
        self._ready(source, "predict_on_batch")
        devices = self._devices()
        block, _ = source.reader(share=sources.Share(devices.width)).read(1, 1)
        params, state = devices.hold_here(self.gather())
        _, run = self._program("predict", None, devices=devices)
        out, state = self._run_predict(run, params, state, block, 1, devices)
        if self._is_stateful():
            self.scatter(params, state)
        self._keep_direct(source.columns.x, devices)
        return jax.tree.map(np.array, _fetch(devices, out, block["rows"]))

    def _single(self, source):
        """Returns (goals, block, devices, pads) for a source of one batch: filled up only where devices ask for it."""
        goals, devices = self._goals(source.peek()), self._devices()
        pads = devices.count > 1 and self._pace(source, goals, None, "train", devices).pads
        reader = source.reader(share=_share(devices))
        block, _ = reader.read(1, 1, pads)
        return goals, block, _fitting(devices, block, reader, pads), pads

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
        columns = source.peek()
        if not self.built:
            self.build(self._input_tree([(None, *a.shape[1:]) for a in columns.x]))
        feed.check(self, source, columns, what, self._goals(columns) if what not in _PREDICTS else None)

    def _arrange(self, block, pads=True):
        """Gives a block of columns the form that the step expects: weights of one where none were given."""
        rows, outputs = block["rows"], self.output_count()
        w = block["w"] or [rows.astype(np.float32)] * outputs
        y = block["y"] or [None] * outputs
        return {"x": self._input_tree(block["x"]), "y": y, "w": w, "rows": rows if pads else None}

    def _pace(self, source, goals, callbacks, kind, devices):
        """Returns the `Pace` for an epoch: one step per dispatch where somebody looks at each, else several."""
        each = callbacks is None or callbacks.has_batch_hooks(kind)
        seconds = FOLLOWED_SECONDS if each or callbacks.follows_batches(kind) else DISPATCH_SECONDS
        columns = source.peek()
        row = sum(a[:1].nbytes for a in [*columns.x, *(columns.y or [])])  # not weights: they come and go
        about = id(goals), row * source.batch_size, each, seconds, devices.key
        if about not in self._paces:
            pads = self._may_pad(goals, columns)
            if pads:
                devices.notice(source.batch_size)
            single = each or not pads or self._compiled["run_eagerly"]
            fixed = 1 if single else self._compiled["steps_per_execution"]
            self._paces[about] = Pace(about[1], fixed, pads, devices.parts, seconds)
        return self._paces[about].begin()

    def _may_pad(self, goals, columns):
        """True if a ragged batch may be filled up with rows that a mask leaves out."""
        if self.train_step is not None or self.test_step is not None or self.sees_batches():
            return False
        specs = jax.tree.leaves(self.output_specs())
        return all(_keeps_rows(g, y, s) for g, y, s in zip(goals, columns.y or [None] * len(goals), specs, strict=True))


_PREDICTS = ("predict", "predict_on_batch")


def _keeps_rows(goal, y, spec):
    """True if loss and metrics of an output give values per row, so that padded rows can be left out."""
    if y is None:
        return True
    y = jax.ShapeDtypeStruct(y.shape, y.dtype)
    pred = jax.ShapeDtypeStruct((y.shape[0], *spec.shape[1:]), spec.dtype)
    parts = [goal.loss] * (goal.loss is not None) + [m for _, m, _ in goal.metrics]
    return all(p.per_row(y, pred) for p in parts)


def _verbosity(verbose):
    """Returns how much to print: nothing but in the process that prints."""
    usual = 1 if flags.get("interactive_logging") else 2
    return (usual if verbose == "auto" else int(verbose)) if processes.is_main() else 0


def _share(devices):
    """Returns the part of each batch that this process reads."""
    return sources.Share(devices.width * devices.parts, devices.parts, devices.part)


def _fitting(devices, block, reader, pads):
    """Returns `devices`, or one of them for a batch that may not be filled up and does not split evenly."""
    rows = block["rows"]
    even = pads or rows.shape[1] % devices.width == 0
    if reader.whole or (devices.parts == 1 and not even):
        return parallel.ALONE
    if not even or (not pads and not rows[0].all()):
        raise ValueError(
            f"This process's {int(rows[0].sum())} rows of a batch cannot be split over its {devices.width} devices: a "
            f"loss, metric or step that needs whole batches leaves no way to fill them up. Give batches that split "
            f"evenly, all of one size."
        )
    return devices


def _fetch(devices, out, rows):
    """Returns the outputs [rows, ...] on the host for outputs [K, B, ...], of which `rows` [n, B] are real.

    They may lie in XLA's own memory: a copy is the caller's to make.
    """
    out = jax.tree.map(lambda a: np.asarray(a)[: len(rows)], devices.join(out))
    if rows.all():
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), out)
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
