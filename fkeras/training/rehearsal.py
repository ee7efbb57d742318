"""A training in small, `fit(dry_run=2)`, and what lets a model be as it was before one."""

import contextlib
import os
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.callbacks import BackupAndRestore, Callback, CallbackList
from fkeras.callbacks.progbar import say
from fkeras.callbacks.schedule import rated
from fkeras.core import flags, rng


class AsItWas:
    """What training changes of a built model, copied to the host; `restore` puts it back, and the `History` given."""

    def __init__(self, model, history=None):
        self.model, self.history = model, history
        self.arrays = jax.tree.map(np.array, (model.gather(), model.optimizer.state))
        self.rates = [float(one.learning_rate) for one in rated(model.optimizer)]
        self.seed, self.stop = model._seed, model.stop_training
        self.random, self.streams = rng.position(), rng.streams()

    def restore(self):
        """Puts everything back."""
        model = self.model
        trees, model.optimizer.state = jax.tree.map(jnp.asarray, self.arrays)
        model.scatter(*trees)
        for one, rate in zip(rated(model.optimizer), self.rates, strict=True):
            with contextlib.suppress(TypeError):  # a schedule computes it
                one.learning_rate = rate
        model._seed, model.stop_training, model.history = self.seed, self.stop, self.history
        rng.set_position(self.random)
        rng.set_streams(self.streams)


class _Beginning(Callback):
    """Takes note of the model when it is built, before the first step."""

    def __init__(self, history):
        self.history, self.before = history, None

    def on_train_begin(self, logs=None):
        self.before = AsItWas(self.model, self.history)


@contextlib.contextmanager
def rehearsal(model, steps, callbacks, resume, verbose):
    """Around a short training: bounds it, and leaves model, callbacks and their files as they were.

    Yields:
        (callbacks, resume) to train with.

    Raises:
        ValueError: `steps` is no positive number.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"fit: expected dry_run as a number of steps, such as 2, got {steps!r}.")
    beginning, most = _Beginning(getattr(model, "history", None)), flags.get("max_steps_per_epoch")
    if isinstance(callbacks, CallbackList):
        params = {} if callbacks.params is None else callbacks.params
        callbacks = CallbackList([beginning, *callbacks], model=model, **params)
    else:
        callbacks = CallbackList([beginning, callbacks or []]).callbacks
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            stack.enter_context(_elsewhere(callback))
            stack.enter_context(_soon(callback, steps))
            if remembers := getattr(callback, "remembers", ()):
                kept = {name: getattr(callback, name, None) for name in remembers}
                stack.callback(callback.__dict__.update, kept)
        if isinstance(resume, BackupAndRestore):
            stack.enter_context(_elsewhere(resume))
        elif resume is not None:
            resume = stack.enter_context(_beside(resume, True))
        stack.callback(flags.put, "max_steps_per_epoch", most)
        flags.put("max_steps_per_epoch", steps if most is None else min(steps, most))
        try:
            yield callbacks, resume
        finally:
            if beginning.before is not None:
                beginning.before.restore()
    if verbose:
        say(f"Dry run: {steps} steps an epoch went through; the model is as it was before.")


@contextlib.contextmanager
def _elsewhere(callback):
    """Lets a callback write into a folder that is gone afterwards, beside where it usually does."""
    name = getattr(callback, "writes", None)
    if name is None:
        yield
        return
    usual = getattr(callback, name)
    with _beside(usual, callback.makes_folders) as path:
        setattr(callback, name, path)
        try:
            yield
        finally:
            setattr(callback, name, usual)


@contextlib.contextmanager
def _soon(callback, steps):
    """Lets a callback that saves every so many batches or epochs do so within so few."""
    usual = getattr(callback, "save_freq", None)
    if usual is None or usual == "epoch":
        yield
        return
    callback.save_freq = min(usual, steps) if isinstance(usual, int) else "epoch"
    try:
        yield
    finally:
        callback.save_freq = usual


@contextlib.contextmanager
def _beside(path, makes_folders):
    """Yields `path` within a temporary folder of the same folder; of its next parent there is, if others are made."""
    folder, name = os.path.split(os.path.abspath(path))
    while makes_folders and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    try:
        inner = tempfile.mkdtemp(prefix=".dry_run_", dir=folder)
    except OSError as err:
        raise type(err)(err.errno, f"fit(dry_run=...): {path!r} could not be written: {err.strerror}.") from err
    try:
        yield os.path.join(inner, name)
    finally:
        shutil.rmtree(inner, ignore_errors=True)
