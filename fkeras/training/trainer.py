"""compile, fit, evaluate, predict: the stateful face of the pure step in `fkeras.training.step`.

The way of a batch: source -> block [K, B, ...] -> gather the layers' cells into a TrainState -> one compiled program of
up to K steps -> scatter the new arrays back into the cells. Nothing is kept in between, so that a callback may read or
set weights and the learning rate at any hook.
"""

import collections
import collections.abc
import functools
import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import callbacks as callbacks_lib
from fkeras.core import flags, messages, rng, tree
from fkeras.core.settings import named_arguments
from fkeras.data import feed
from fkeras.distribute import parallel, processes
from fkeras.layers.contract.variables import lock, revision
from fkeras.training import autopsy, forecast, norms, range_test
from fkeras.training import run as loop
from fkeras.training import survival as survive
from fkeras.training.compilation import AS_IT_IS, Compilation, like
from fkeras.training.last_good import LastGood
from fkeras.training.pace import DISPATCH_SECONDS, FOLLOWED_SECONDS, IN_FLIGHT, Pace, block_steps
from fkeras.training.rehearsal import rehearsal
from fkeras.training.repeated_calls import Direct
from fkeras.training.results import fetch, floats, joined
from fkeras.training.step import TrainState

LONE_ROWS = 5  # so many predictions of one row in a row, and a program for a single row is worth its compilation


class Trainer(Compilation):
    """Adds training to a model; see `fkeras.models.Model`."""

    # ------------------------------------------------------------------------------------------- fit

    @named_arguments
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        resume: Any = None,
        dry_run: int | None = None,
    ) -> Any:
        """Trains the model.

        Args:
            x: Inputs: an array, a list of arrays or a dict by input name, a frame, an HDF5 data set, a memory map; or
                an iterable of batches `(x, y)` or `(x, y, sample_weight)`: a generator, a `PyDataset`, a reader of
                folders, a torch DataLoader, a tf.data data set.
            y: Targets, row by row with `x`: an array, or a list or dict for several outputs. None if `x` gives batches.
            batch_size: Rows between two updates of the weights, over all devices; 32 if it is None. Of iterables the
                batches come as they are.
            epochs: Number of the last epoch to train: with `initial_epoch=0`, how many passes over the data.
            verbose: 0 prints nothing, 1 a progress bar, 2 a line an epoch; "auto" is 1.
            callbacks: List of `fkeras.callbacks.Callback`s.
            validation_split: Share of the last rows, in [0, 1), to validate on (`val_loss`) instead of training on it.
            validation_data: `(x, y)` or `(x, y, sample_weight)`, or an iterable of batches, to validate on instead.
            shuffle: Draw a new order of rows for each epoch; "batch" moves whole batches, for files; False keeps it.
            class_weight: `{class: weight}`: how much rows of a class count in the loss.
            sample_weight: Weight of each row in the loss, [B], or of each step, [B, T].
            initial_epoch: Epoch to begin with, to go on with a numbering.
            steps_per_epoch: Batches in an epoch; None goes through the data once. Needed for endless iterables.
            validation_steps: Batches in a validation; None goes through all of them.
            validation_batch_size: Rows in a batch of the validation; None is `batch_size`.
            validation_freq: Validate every so many epochs, or in the epochs of a list, counted from 1.
            resume: Folder of checkpoints. Killed at any moment and started again, the same script goes on at the last
                checkpoint and ends with the same bits as if nothing had happened. A checkpoint is written after every
                epoch, every 60 seconds, and when SIGTERM or Ctrl-C ends the program; a `BackupAndRestore` in its
                place sets other times.
            dry_run: Number of steps, such as 2: so many steps of as many epochs and of their validations, with all
                callbacks and a checkpoint, to find what would fail in hours. The model is as it was afterwards, and
                what fkeras's own callbacks write goes to a folder beside that is deleted.

        Returns:
            `History`: `.history` maps each log's name to its value per epoch, `.epoch` lists the epochs.

        Raises:
            RuntimeError: The model was not compiled.
            ValueError: Data do not fit the model, the loss or each other.

        Example:
            >>> model = Sequential([Input((2,)), Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, verbose=0).epoch
            [0, 1]
        """
        self._require_compiled("fit")
        epochs, initial_epoch = _epochs(epochs, "epochs"), _epochs(initial_epoch, "initial_epoch")
        if dry_run:
            with rehearsal(self, dry_run, callbacks, resume, _verbosity(verbose)) as (callbacks, resume):
                return Trainer.fit(
                    self, x, y, batch_size, min(epochs, initial_epoch + dry_run), verbose, callbacks, validation_split,
                    validation_data, shuffle, class_weight, sample_weight, initial_epoch, steps_per_epoch,
                    validation_steps, validation_batch_size, 1, resume,
                )  # fmt: skip
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
        self.stop_training = False
        self.__dict__["nan_report"] = None
        objectives = self._objectives(source.peek())
        devices = self._devices()
        if verbose:
            parallel.announce(devices)
        if devices.parts > 1:
            facts = {"batch_size": source.batch_size, "number of steps": steps, "epochs": epochs, "seed": self._seed}
            facts |= processes.facts_of(self, source, validation)
            processes.check_agreement(self, facts, weights=not len(self.compile_report()))
        survival = survive.of(self, resume, source, validation, callbacks, devices, steps)
        with survival.running(), self._settled(), norms.watched(self, callbacks):
            callbacks.on_train_begin()
            first, logs = survival.first_epoch(initial_epoch, epochs), {}
            for epoch in range(first, first if survival.stopped else epochs):
                callbacks.on_epoch_begin(epoch)
                logs = self._train_epoch(epoch, source, objectives, steps, callbacks, survival)
                if validation is not None and _validates(epoch, validation_freq):
                    key = rng.fold(self._train_key, "validation", self._iterations())  # a run that resumes draws it too
                    with survival.interruptible():
                        found = self._evaluate(validation, validation_steps, callbacks, key)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                callbacks.on_epoch_end(epoch, logs)
                survival.leave(epoch, logs)
                if self.stop_training:
                    break
        self._finish_training()
        callbacks.on_train_end(logs)
        return self.history

    def find_learning_rate(self, x=None, y=None, batch_size=None, least=1e-7, most=10.0, steps=100, **fit):
        """Trains for some steps while the learning rate grows, and says which one to begin with.

        The rate grows by the same factor from step to step; the test ends early when the loss is far above its lowest.
        Afterwards the model, its optimizer and all noise are as they were.

        Args:
            x, y, batch_size: As in `fit`; further arguments are `fit`'s too.
            least, most: The first and the last rate.
            steps: How many steps.

        Returns:
            `training.range_test.RangeTest`: `rates`, `losses`, `smoothed`, `suggestion` (where the loss falls fastest),
            and `plot()`.

        Raises:
            ValueError: The learning rate is computed by a schedule, or the range is none.

        Example:
            >>> model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(2,))])
            >>> model.compile("sgd", "mse")
            >>> found = model.find_learning_rate(np.ones((64, 2)), np.ones((64, 1)), batch_size=8)
            >>> 1e-4 < found.suggestion < 1, float(model.optimizer.learning_rate) < 0.011
            (True, True)

        Reference:
            Smith, "Cyclical Learning Rates for Training Neural Networks", 2015, arXiv:1506.01186, section 3.3.
        """
        self._require_compiled("find_learning_rate")
        return range_test.find(self, x, y, batch_size, least, most, steps, **fit)

    def forecast(self, batch_size=32, kind="train", memory=None, most=65536, x=None, y=None):
        """Says what a step will need, from shapes alone: it is compiled, and nothing is allocated or run.

        Args:
            batch_size: Rows in a batch, or "largest": the largest batch that fits, to within a sixteenth.
            kind: "train" or "predict".
            memory: Bytes there are, for "largest"; by default those of the device.
            most: The largest batch to look at, for "largest".
            x, y: Arrays, or shapes (`jax.ShapeDtypeStruct`), like the data where the model does not say their sizes,
                or targets have another shape than the outputs.

        Returns:
            `training.forecast.Forecast`: parameters, flops, bytes, peak_bytes, memory_bytes, fits, compile_seconds.

        Raises:
            ValueError: A size of the inputs is not known, or no batch fits.

        Example:
            >>> model = fkeras.Sequential([fkeras.layers.Dense(10, input_shape=(20,))])
            >>> model.compile("sgd", "mse")
            >>> expected = model.forecast(64)
            >>> expected.parameters, expected.fits
            (210, True)
        """
        if kind == "train":
            self._require_compiled("forecast")
        if kind not in ("train", "predict"):
            raise ValueError(f"forecast: expected kind 'train' or 'predict', got {kind!r}.")
        self._require_built("forecast")
        if batch_size == "largest":
            return forecast.largest(self, kind, memory, most, x, y)
        return forecast.forecast(self, batch_size, kind, x, y)

    def _finish_training(self):
        """Puts averaged weights in place where the optimizer keeps them."""
        if self.optimizer.state is None:
            return
        params, state = self.gather()
        trained, frozen = tree.split(params, frozenset(self.trained_paths()))
        averaged = self.optimizer.finalize(self.optimizer.state, trained)
        if averaged is not trained:
            self.scatter(tree.join(jax.tree.map(jnp.array, averaged), frozen), state)  # not shared with the state

    def _train_epoch(self, epoch, source, objectives, steps, callbacks, survival):
        devices = self._devices()
        pace = self._pace(source, objectives, callbacks, "train", devices)
        at = functools.partial(self._program, "train", objectives, pace.capacity, batching=pace.batching)
        program, run = at(devices)
        begin = survival.enter(epoch, (self._seed, self._iterations()))
        metrics, logs = self._empty_metrics(program, source, True), begin.logs
        if begin.metrics is not None:
            metrics = jax.tree.unflatten(jax.tree.structure(metrics), begin.metrics)
        if begin.step and self.stop_training:  # what stopped it did so right before the checkpoint
            steps = begin.step

        def dispatch(block, n, step, where):
            nonlocal metrics, logs
            take, block = run if where is devices else at(where, like=program)[1], self._arrange(block, pace.pads)
            with loop.undisturbed(), lock:  # the step takes the arrays' memory: until they are stored there are none
                before = where.hold(self._train_state(program, metrics))
                good.keep(before)
                with self._eager():
                    ts, logs = take(before, where.split(block), n)
                self._store(ts)
            metrics = ts.metrics
            watch.keep(before, block, n, step, logs)
            survival.dispatched(metrics, logs)
            return logs, next(iter(logs.values()))

        with LastGood(self, source.batch_size) as good, autopsy.watched(self, program, epoch, callbacks) as watch:
            step = loop.run(
                self, "train", source, steps, pace, devices, callbacks, dispatch, begin.order, begin.step, survival
            )
            logs = None if logs is None else floats(logs)  # here, errors of the last steps come to light
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
        return logs

    def _iterations(self):
        state = self.optimizer.state
        return 0 if state is None else int(self.optimizer.clock(state))

    def _empty_metrics(self, program, source, training):
        """Returns the empty metrics for a source, shaped by its first rows; made once for a program."""
        if program.empty is None:
            columns = source.peek()
            some = np.arange(source.batch_size) % columns.rows  # a layer may be written for that size alone
            rows = np.ones((1, len(some)), bool)
            block = {"x": [a[some][None] for a in columns.x], "rows": rows}
            given = ("y", columns.y), ("w", columns.w)
            block |= {k: None if v is None else [a[some][None] for a in v] for k, v in given}
            batch = jax.tree.map(lambda a: a[0], self._arrange(block, False))
            ts = self._train_state(program, None) if training else TrainState(*self.gather(), None, None, None)
            with lock:
                program.empty = jax.tree.map(np.asarray, program.init_metrics(ts, batch, training))
        return program.empty

    # ------------------------------------------------------------------------- evaluate and predict

    @named_arguments
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Computes loss and metrics on held-out data.

        Args:
            x, y: Inputs and targets, or an iterable of batches, as `fit` takes them.
            batch_size: Rows in a batch; 32 if it is None. The result does not depend on it.
            verbose: 0 prints nothing, 1 a progress bar, 2 a line; "auto" is 1.
            sample_weight: Weight of each row, [B], or of each step, [B, T].
            steps: Batches to look at; None goes through all of them.
            callbacks: List of `fkeras.callbacks.Callback`s.
            return_dict: Return a dict by name instead of a list.

        Returns:
            The loss, or a list [loss, metric, ...] named by `metrics_names`, or a dict if `return_dict`.

        Raises:
            RuntimeError: The model was not compiled.
            ValueError: Data do not fit the model, the loss or each other.
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
        logs = floats(logs)
        callbacks.on_test_end(logs)
        return logs

    @named_arguments
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Computes the outputs for all rows of `x`, in batches.

        Args:
            x: Inputs, as `fit` takes them, or an iterable of batches; its targets are left out.
            batch_size: Rows in a batch; 32 if it is None. The result does not depend on it.
            verbose: 0 prints nothing, 1 a progress bar, 2 a line; "auto" is 1.
            steps: Batches to predict; None goes through all of them.
            callbacks: List of `fkeras.callbacks.Callback`s.

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
        stride = self._compiled["steps_per_execution"] if watched and self._compiled else None
        capacity = stride or (1 if watched else self._predict_steps(source))
        peeked = source.peek()
        batching = self.batching("predict", self._input_tree(like(peeked.x, source.batch_size)))
        pace = Pace(0, capacity, batching, stride=stride)
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
                done.append(fetch(*waiting.popleft()))
            return {"outputs": fetch(where, out, rows)} if watched else None, jax.tree.leaves(out)[0]

        self.stop_predicting = False
        callbacks.on_predict_begin()
        loop.run(self, "predict", source, total, pace, devices, callbacks, dispatch)
        done += [fetch(*w) for w in waiting]
        if stateful:
            self.scatter(params, state)
        if source.batch_size == 1 and lone and pace.pads and key is None:
            self._keep_direct(source.columns.x, devices)
        callbacks.on_predict_end()
        if not done:
            raise ValueError(f"{self.label}: predict got no batch: the data are empty or used up.")
        return joined(self, done)

    def _predict_steps(self, source):
        """Returns how many batches one dispatch of predict takes: inputs and outputs of a block stay small."""
        if not source.in_memory or source.batch_size == 1 or (self._compiled and self._compiled["run_eagerly"]):
            return 1
        sizes = [
            math.prod(s.shape[1:]) * s.dtype.itemsize
            for s in jax.tree.leaves(self.output_specs())
            if None not in s.shape[1:]
        ]
        batch = max(sum(a[:1].nbytes for a in source.peek().x), sum(sizes)) * source.batch_size
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

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch as it is; returns its loss and metrics in the form of `evaluate`.

        Args:
            x, y: Inputs and targets of the batch.
            sample_weight: Weight of each row, [B], or of each step, [B, T].
            class_weight: `{class: weight}`: how much rows of a class count in the loss.
            return_dict: Return a dict by name instead of a list.
        """
        self._require_compiled("train_on_batch")
        source = feed.single_batch(self, x, y, sample_weight, class_weight)
        self._ready(source, "train_on_batch")
        objectives, block, devices, batching = self._single(source, "train")
        pads = batching.fill is None
        program, run = self._program("train", objectives, devices=devices, batching=batching)
        empty = self._empty_metrics(program, source, True)
        good = LastGood(self, source.batch_size)
        with self._settled(), good, loop.undisturbed(), lock, self._eager():
            ts = devices.hold(self._train_state(program, empty))
            good.keep(ts)
            ts, logs = run(ts, devices.split(self._arrange(block, pads)), 1)
            self._store(ts)
            logs = floats(logs)
        return self._result(logs, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Computes loss and metrics on one batch, in the form of `evaluate`.

        Args:
            x, y: Inputs and targets of the batch.
            sample_weight: Weight of each row, [B], or of each step, [B, T].
            return_dict: Return a dict by name instead of a list.
        """
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
        return self._result(floats(logs), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Computes the outputs for one batch as it is, as NumPy arrays.

        Args:
            x: Inputs of the batch.
        """
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
        return joined(self, [jax.tree.map(np.array, fetch(devices, out, block["rows"]))])

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
        w = block["w"] or [None if self.takes_lists else rows.astype(np.float32)] * outputs
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
            own = self.steps_itself("train") or self.steps_itself("test")
            asked = None if own else self._compiled["steps_per_execution"]
            fixed = asked or (1 if each or own or self._compiled["run_eagerly"] else None)
            self._paces[about] = Pace(size, fixed, batching, devices.parts, seconds, stride=asked)
        return self._paces[about].begin()


_PREDICTS = ("predict", "predict_on_batch")


def _verbosity(verbose):
    """Returns how much to print: nothing but in the process that prints."""
    usual = 1 if messages.is_interactive_logging_enabled() else 2
    return (usual if verbose == "auto" else int(verbose)) if messages.is_main() else 0


def _epochs(value, name):
    if isinstance(value, bool) or not hasattr(value, "__int__") or int(value) != value or value < 0:
        raise ValueError(f"fit: expected {name} as an integer >= 0, got {value!r}.")
    most = flags.get("max_epochs")
    return int(value) if most is None or name != "epochs" else min(int(value), most)


def _steps(source, steps, name):
    if steps is not None:
        if isinstance(steps, bool) or not hasattr(steps, "__int__") or steps < 1:
            raise ValueError(f"expected {name} >= 1, got {steps!r}.")
        steps = min(int(steps), source.steps) if source.in_memory else int(steps)
    bounds = [n for n in (source.steps if steps is None else steps, flags.get("max_steps_per_epoch")) if n is not None]
    return min(bounds, default=None)


def _validates(epoch, freq):
    return (epoch + 1) in freq if isinstance(freq, collections.abc.Container) else (epoch + 1) % freq == 0
