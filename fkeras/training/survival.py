"""A training that survives its process: checkpoints within and between epochs, and the way back into them.

`fit` tells it where it is; it decides when a checkpoint is due, copies the arrays, and leaves the writing to a thread.
What a checkpoint holds decides everything that comes after it: weights, optimizer, running values, the metrics of the
epoch begun, what callbacks remember, the place in the data, and the seeds.
"""

import contextlib
import json
import os
import signal
import threading
import time
import warnings
import zlib

import jax
import numpy as np

from fkeras.callbacks import BackupAndRestore
from fkeras.callbacks.progbar import say
from fkeras.callbacks.schedule import rated
from fkeras.core import messages, rng
from fkeras.training.checkpoints import Checkpoints

FORMAT = 1
_KINDS = "params", "state"


class Interrupted(BaseException):
    """Raised where a signal may end the training at once; never leaves `fit`."""


class Place:
    """Where a training is.

    Args:
        epoch: Number of the epoch, from 0.
        step: Batches of the epoch that were trained on.
        order: Seed of the epoch's order, or None where it has not begun.
        metrics: Leaves of the states of its metrics, or None.
        logs: Its logs so far, or None.
    """

    def __init__(self, epoch, step=0, order=None, metrics=None, logs=None):
        self.epoch, self.step, self.order, self.metrics, self.logs = epoch, step, order, metrics, logs


class NoSurvival:
    """A training that is not backed up."""

    stopped = False

    @contextlib.contextmanager
    def running(self):
        yield

    def first_epoch(self, initial_epoch, epochs):
        return initial_epoch

    def enter(self, epoch, order):
        return Place(epoch, 0, order)

    def most(self, steps):
        return steps

    def interruptible(self):
        return contextlib.nullcontext()

    def dispatched(self, metrics, logs):
        pass

    def passed(self, step, reader):
        pass

    def leave(self, epoch, logs):
        pass


class Survival(NoSurvival):
    """See the top of this file.

    Args:
        model: The model that trains.
        backup: `BackupAndRestore`: the folder, and how often.
        source, validation: Sources of data, the second or None.
        callbacks: `CallbackList`.
        facts: {words: value} that make this training what it is, compared when it goes on.
    """

    def __init__(self, model, backup, source, validation, callbacks, facts):
        self.model, self.backup, self.callbacks, self.facts = model, backup, callbacks, facts
        self.sources = {"data": source} | ({} if validation is None else {"validation": validation})
        self.folder = backup.backup_dir
        self.files = Checkpoints(self.folder, 2 if backup.double_checkpoint else 1)
        self.steps, self.seconds = backup.every()
        self.found, self.caught, self.at_once = None, None, False
        self.place, self.marks, self.metrics, self.logs = None, {}, None, None
        self.saved_step, self.saved_time = 0, time.monotonic()
        self.done = 0  # steps of this training

    # ------------------------------------------------------------------------------------- surroundings

    @contextlib.contextmanager
    def running(self):
        """Around the whole training: the folder is held, signals wait for a checkpoint."""
        with self.files.held(), self._signals():
            for source in self.sources.values():
                source.begin_marking()
            ended = False
            try:
                yield
            except Interrupted:
                ended = True
            if ended:
                self._last_words()
            self.files.wait()
            if self.backup.delete_checkpoint and messages.is_main():
                self.files.delete()

    @contextlib.contextmanager
    def _signals(self):
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        ours = [number for number, handler in before.items() if callable(handler) or handler is signal.SIG_DFL]

        def notice(number, frame):
            if self.caught is not None:  # the second: at once
                _raise(number)
            self.caught = number
            if self.at_once:
                raise Interrupted

        for number in ours:
            signal.signal(number, notice)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def _last_words(self):
        if self.place is not None:
            self._save()
            self.files.wait()
        name = signal.Signals(self.caught).name
        where = (
            "before its first step"
            if self.place is None
            else f"in epoch {self.place.epoch + 1}, step {self.place.step}"
        )
        say(f"{name}: training ends {where}. What is done is in {self.folder!r}; the same script goes on from there.")
        _raise(self.caught)

    @contextlib.contextmanager
    def interruptible(self):
        """Around waiting for data, and a validation, which change nothing: a signal ends the training there."""
        self.at_once = True
        try:
            if self.caught is not None:
                raise Interrupted
            yield
        finally:
            self.at_once = False

    # ------------------------------------------------------------------------------------------ going on

    def first_epoch(self, initial_epoch, epochs):
        """Returns the epoch to begin with, once callbacks have begun: that of the checkpoint, if there is one.

        A checkpoint between two epochs is taken up here; one within an epoch by `enter`, when that has begun.
        """
        found = self.files.read()
        if found is None:
            return self._first_epoch_of_keras(initial_epoch)
        name, self.found = found
        self._compare(name)
        epoch, within = self.found["place"]["epoch"], self.found["place"]["order"] is not None
        if self.callbacks.params.get("verbose"):
            step = f", step {self.found['place']['step']}" if within else ""
            done = epoch >= epochs or (self.found["stop"] and not within)
            where = "is complete already" if done else f"goes on at epoch {epoch + 1}{step}"
            say(f"Training {where}: {os.path.join(self.folder, name)!r}.")
        if not within:
            self.stopped = self.found["stop"]
            self._restore()
        return epoch

    def enter(self, epoch, order):
        """Returns the `Place` at the beginning of an epoch, `on_epoch_begin` being called."""
        found, self.found = self.found, None
        self.marks = {name: source.mark() for name, source in self.sources.items()}
        if found is None or found["place"]["order"] is None:
            self.place = Place(epoch, 0, order)
        else:
            self.found = found
            self._restore()
            self.found, self.marks = None, found["sources"]
            self.place = Place(**found["place"])
        self.metrics, self.logs = self.place.metrics, self.place.logs
        return self.place

    def _restore(self):
        found, model = self.found, self.model
        model._seed, model.stop_training = found["seed"], found["stop"]
        names = dict(zip(found["weights"], _weights(model), strict=True))  # layers may have got other names here
        trees = model.gather()
        params, state = (_refilled(kind, of, found[kind], names) for kind, of in zip(_KINDS, trees, strict=True))
        model.scatter(params, state)
        if found["optimizer"] is not None:
            model.optimizer.state = _refilled("optimizer", model._begin_optimizer(), found["optimizer"], names)
        for one, rate in zip(rated(model.optimizer), found["rates"], strict=False):
            with contextlib.suppress(TypeError):  # a schedule computes it
                one.learning_rate = rate
        kept = dict(found["callbacks"])
        for name, callback in _named(self.callbacks):
            if name in kept:
                callback.restore(kept.pop(name))
        if kept:
            warnings.warn(f"The checkpoint knows of callbacks that are not here: {', '.join(kept)}.", stacklevel=4)
        for name, source in self.sources.items():
            mark = found["sources"].get(name)
            if mark is not None and source.restore(mark) and name == "data":
                rng.set_streams(mark["streams"])
        rng.set_position(found["random"])

    def _compare(self, name):
        """Says what is not as it was when the checkpoint was written."""
        was, found = self.found["facts"], []
        for what, value in self.facts.items():
            if what in was and was[what] != value:
                found.append(f"{what} was {_shown(was[what])}, is {_shown(value)}")
        if not found:
            return
        text = f"{os.path.join(self.folder, name)!r} is of another training: {'; '.join(found)}."
        changed = {what for what in self.facts if was.get(what) != self.facts[what]}
        if self.found["format"] != FORMAT or changed & {"model", "optimizer"}:
            raise ValueError(f"{text} Delete the folder to begin anew, or give another one.")
        if self.found["place"]["order"] is not None and changed & {"batch size", "rows", "steps", "data"}:
            raise ValueError(
                f"{text} It stands within an epoch, whose batches are not the same any more. Put back what it was, or "
                f"delete the folder to begin anew."
            )
        warnings.warn(f"{text} Training goes on, with other numbers than one that was not interrupted.", stacklevel=4)

    def _first_epoch_of_keras(self, initial_epoch):
        """Takes up a backup that Keras wrote, which has weights and the number of the epoch."""
        path = os.path.join(self.folder, "training_metadata.json")
        if not os.path.exists(path):
            return initial_epoch
        with open(path) as file:
            done = json.load(file)
        weights = os.path.basename(str(done.get("weights", "latest.weights.h5")))
        self.model.load_weights(os.path.join(self.folder, weights))
        return int(done["epoch"])

    # ------------------------------------------------------------------------------------------- saving

    def most(self, steps):
        """Returns how many of `steps` steps may be dispatched: up to the next checkpoint."""
        return steps if self.steps is None else min(steps, max(self.saved_step + self.steps - self.done, 1))

    def dispatched(self, metrics, logs):
        """Takes note of what a dispatch gave."""
        self.metrics, self.logs = metrics, logs

    def passed(self, step, reader):
        """Called after the hooks of a dispatch."""
        self.done += step - self.place.step
        self.place.step = step
        self.marks["data"] = reader.mark or self.sources["data"].mark()
        if self.caught is not None:
            raise Interrupted
        by_steps = self.steps is not None and self.done - self.saved_step >= self.steps
        by_time = self.seconds is not None and time.monotonic() - self.saved_time >= self.seconds
        if by_steps or (by_time and not self.files.busy):
            self._save()

    def leave(self, epoch, logs):
        """Called after the hooks of an epoch's end."""
        self.place, self.metrics, self.logs = Place(epoch + 1), None, logs
        self.marks = {name: source.mark() for name, source in self.sources.items()}
        self._save()
        if self.caught is not None:
            raise Interrupted

    def _save(self):
        self.saved_step, self.saved_time = self.done, time.monotonic()
        if not messages.is_main():
            return
        model, place = self.model, self.place
        params, state = model.gather()
        content = {
            "format": FORMAT,
            "facts": self.facts,
            "place": {"epoch": place.epoch, "step": place.step, "order": place.order}
            | {"metrics": None if self.metrics is None else [_host(a) for a in jax.tree.leaves(self.metrics)]}
            | {"logs": None if self.logs is None else {k: _host(v) for k, v in self.logs.items()}},
            "stop": bool(model.stop_training),
            "seed": model._seed,
            "random": rng.position(),
            "weights": _weights(model),
            "params": _leaves(params),
            "state": _leaves(state),
            "optimizer": None if model.optimizer.state is None else _leaves(model.optimizer.state),
            "rates": [float(one.learning_rate) for one in rated(model.optimizer)],  # in Python's precision
            "callbacks": {name: state for name, callback in _named(self.callbacks) if (state := callback.state())},
            "sources": self.marks,
        }
        self.files.write(place.epoch, place.step, content)


def of(model, resume, source, validation, callbacks, devices, steps):
    """Returns the `Survival` that `fit(resume=...)` or a `BackupAndRestore` among the callbacks asks for, or none."""
    asked = [callback for callback in callbacks if isinstance(callback, BackupAndRestore)]
    if resume is not None:
        if asked:
            raise ValueError("fit: give resume=..., or a BackupAndRestore among the callbacks, not both.")
        kept = {"save_freq": "60s", "double_checkpoint": True, "delete_checkpoint": False}
        asked = [resume if isinstance(resume, BackupAndRestore) else BackupAndRestore(resume, **kept)]
    if len(asked) > 1:
        raise ValueError(f"fit: expected one BackupAndRestore among the callbacks, got {len(asked)}.")
    if not asked:
        return NoSurvival()
    return Survival(model, asked[0], source, validation, callbacks, _facts(model, source, devices, steps))


def _facts(model, source, devices, steps):
    """Returns what has to be the same when a training goes on: {words: plain value}."""
    leaves = {path: a for of in model.gather() for path, a in _paths(of)}
    shapes = [f"{path[-1]}: {leaves[path].dtype}{list(leaves[path].shape)}" for path in _weights(model)]
    first = source.peek()
    data = [zlib.crc32(np.ascontiguousarray(a)) for a in first.all()] if source.in_memory else None
    return {
        "model": shapes,
        "optimizer": type(model.optimizer).__name__,
        "batch size": source.batch_size,
        "rows": getattr(source, "rows", None),
        "steps": steps,
        "data": data,
        "devices": devices.width,
    }


def _weights(model):
    """Returns the paths of the model's arrays, in the order they are declared in."""
    return [tuple(map(str, path)) for path in model.declarations()]


def _leaves(of):
    return {path: _host(a) for path, a in _paths(of)}


def _paths(of):
    """Returns [(path, leaf)] of any tree, a path being a tuple of strings."""
    named = jax.tree_util.tree_leaves_with_path(of)
    return [(tuple(jax.tree_util.keystr((key,), simple=True) for key in path), a) for path, a in named]


def _host(a):
    """Returns a copy on the host: the array itself may be given to the next step."""
    return np.array(a) if hasattr(a, "shape") else a


def _refilled(kind, of, leaves, names):
    """Returns a tree with the leaves of a checkpoint in their places.

    Args:
        names: {path of a weight in the checkpoint: its path here}.
    """
    kept = {_renamed(path, names): a for path, a in leaves.items()}
    own = _paths(of)
    if {path: a.shape for path, a in own} != {path: tuple(a.shape) for path, a in kept.items()}:
        odd = sorted({"/".join(path) for path in {path for path, _ in own} ^ set(kept)}) or ["sizes"]
        raise ValueError(
            f"The checkpoint does not fit the model's {kind}: {odd[0]} and {len(odd) - 1} more differ. Delete the "
            f"folder to begin anew."
        )
    return jax.tree.unflatten(jax.tree.structure(of), [jax.numpy.asarray(kept[path]) for path, _ in own])


def _renamed(path, names):
    """Returns the path with the weight it speaks of under its name here."""
    for start in range(len(path)):
        for end in range(len(path), start, -1):
            if path[start:end] in names:
                return path[:start] + names[path[start:end]] + path[end:]
    return path


def _named(callbacks):
    """Yields (name, callback) of the callbacks that remember something."""
    count = {}
    for callback in callbacks:
        if callable(getattr(callback, "state", None)) and callable(getattr(callback, "restore", None)):
            kind = type(callback).__name__
            count[kind] = count.get(kind, 0) + 1
            yield f"{kind} {count[kind]}", callback


def _shown(value):
    return f"{len(value)} arrays of other names or shapes" if isinstance(value, list) else value


def _raise(number):
    """Ends the program as the signal asks."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
