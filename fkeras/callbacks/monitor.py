"""Callbacks that watch one number of the logs: better or not, and for how long not."""

import math
import re
import warnings

import numpy as np

from fkeras.callbacks.base import Callback, ConfiguredCallback
from fkeras.callbacks.logs import as_float, as_logs
from fkeras.callbacks.progbar import say
from fkeras.callbacks.schedule import rated
from fkeras.core.settings import choice, nearest, setting, some

# The last words of the names of metrics that should rise and of those that should fall. "precision_at_recall" and its
# kin rise.
_RISES = re.compile(
    r"(^|_)(acc|accuracy|auc|precision|recall|f1|f1_score|fbeta_score|iou|io_u|r2|r2_score|cosine_similarity|"
    r"pearson_correlation|concordance_correlation|(sensitivity|specificity|precision|recall)_at_\w+)$"
)
_FALLS = re.compile(
    r"(^|_)(loss|error|crossentropy|entropy|divergence|hinge|poisson|logcosh|log_cosh|cosh|perplexity|dice|tversky|"
    r"mse|mae|mape|msle|rmse|kld|bce|nll|false_positives|false_negatives)$"
)


def direction(monitor, metrics=()):
    """Returns "min" or "max": which way the logged number `monitor` improves.

    A metric of that name that says so itself (`direction` "up" or "down") decides; otherwise the name does.

    Raises:
        ValueError: Neither the metrics nor the name tell.

    Example:
        >>> direction("val_loss"), direction("val_accuracy"), direction("digit_auc_1")
        ('min', 'max', 'max')
    """
    name = monitor.removeprefix("val_")
    for metric in sorted(metrics, key=lambda metric: getattr(metric, "name", None) != name):  # the exact name first
        own = getattr(metric, "name", None)
        if own and (name == own or name.endswith(f"_{own}")):
            said = getattr(metric, "direction", None) or getattr(metric, "_direction", None)  # ours, or Keras's
            if said in ("up", "down"):
                return "max" if said == "up" else "min"
    bare = re.sub(r"_\d+$", "", name)
    if _RISES.search(bare):
        return "max"
    if _FALLS.search(bare):
        return "min"
    raise ValueError(
        f"mode='auto' cannot tell whether {monitor!r} improves by falling or by rising: its name does not say. "
        f"Pass mode='min' or mode='max'."
    )


def is_improvement(current, best, mode, min_delta=0.0):
    """Whether `current` is better than `best` (None: anything is) by more than `min_delta`. NaN never is.

        min: current + min_delta < best        max: current - min_delta > best

    Example:
        >>> is_improvement(0.5, 0.6, "min"), is_improvement(0.5, 0.6, "min", 0.2), is_improvement(0.5, None, "max")
        (True, False, True)
    """
    if math.isnan(current):
        return False
    if best is None:
        return True
    return current + min_delta < best if mode == "min" else current - min_delta > best


def count(value):
    """Converter: an int of at least 0."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__int__") or int(value) != value or value < 0:
        raise ValueError(f"expected an integer >= 0, got {value!r}.")
    return int(value)


def size(value):
    """Converter: the size of a number, as a float."""
    return abs(float(value))


modes = choice("auto", "min", "max")


class MonitorCallback(ConfiguredCallback):
    """Base of the callbacks that watch one logged number: finds it, and says whether it improved.

    Args:
        monitor: Name of the number in the logs.
        mode: "min", "max", or "auto": by the metric or its name, see `direction`.
    """

    monitor: str = "val_loss"
    mode: str = setting(modes, "auto")

    best = None
    min_delta = 0.0
    _warned = False

    def improves(self, current, best):
        """Whether `current` is better than `best`, None being worse than anything."""
        return is_improvement(current, best, self.direction(), self.min_delta)

    @property
    def monitor_op(self):
        """`np.less` or `np.greater`, as Keras has it; None before the metrics say which way is better."""
        try:
            return {"min": np.less, "max": np.greater}[self.direction()]
        except ValueError:
            return None

    def direction(self):
        """Returns "min" or "max"."""
        if self.mode != "auto":
            return self.mode
        metrics = getattr(self.model, "metrics", None) or ()
        try:
            return direction(self.monitor, metrics)
        except ValueError as err:
            raise ValueError(f"{type(self).__name__}(monitor={self.monitor!r}): {err}") from None

    def current(self, logs, consequence):
        """Returns the monitored number, or None after warning once that it is not among the logs."""
        value = (logs or {}).get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            names = list(logs or {})
            warnings.warn(
                f"{type(self).__name__}: {self.monitor!r} is not among the logs, so {consequence}. "
                f"Available: {some(self.monitor, names) or 'nothing'}.{nearest(self.monitor, names)}",
                stacklevel=3,
            )
        value = as_float(value)
        if value is not None and not isinstance(value, float):
            raise TypeError(
                f"{type(self).__name__}: expected a single number in logs[{self.monitor!r}], got {value!r}."
            )
        return value


class EarlyStopping(MonitorCallback):
    """Stops training when a logged number has not improved for `patience` epochs.

    Args:
        monitor: Name of the number.
        min_delta: Least change that counts as an improvement.
        patience: Epochs without improvement before training stops.
        verbose: 1 prints when it stops and what it restores.
        mode: "min", "max" or "auto" (by the metric or its name).
        baseline: Epochs that do not beat this number count as epochs without improvement.
        restore_best_weights: Go back to the best epoch's weights when training ends, whether or not it was stopped.
        start_from_epoch: Epochs to let pass before watching.

    Attributes:
        best, best_epoch, wait, stopped_epoch: The best number, when it was, epochs since, and when training stopped
            (0: not).

    Raises:
        ValueError: `mode="auto"` and the direction cannot be told (at the first epoch's end).

    Example:
        >>> stop = EarlyStopping("loss", patience=2, restore_best_weights=True)
        >>> stop
        EarlyStopping(monitor='loss', patience=2, restore_best_weights=True)

    Reference:
        As Keras 3, except that NaN is never an improvement and a mode that does not exist is an error.
    """

    monitor: str = "val_loss"
    min_delta: float = setting(size, 0.0)
    patience: int = setting(count, 0)
    verbose: int = 0
    mode: str = setting(modes, "auto")
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: int = setting(count, 0)

    wait = stopped_epoch = best_epoch = 0
    best_weights = None
    remembers = "best", "best_epoch", "best_weights", "wait", "stopped_epoch"

    def on_train_begin(self, logs=None):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None
        self._warned = False

    def on_epoch_end(self, epoch, logs=None):
        current = self.current(logs, "training is not stopped early")
        if current is None or epoch < self.start_from_epoch:
            return
        better = self.improves(current, self.best)
        if better:
            self.best = current
        if better or (self.restore_best_weights and self.best_weights is None):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        self.wait += 1
        if better and (self.baseline is None or self.improves(current, self.baseline)):
            self.wait = 0
        # An epoch that improves without reaching the baseline counts, but training never stops right at one.
        if not better and self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.stopped_epoch and self.verbose:
            best = f"{self.monitor} was best in epoch {self.best_epoch + 1}"
            say(f"Epoch {self.stopped_epoch + 1}: stopped early, {best}.")
        if self.best_weights is not None:
            if self.verbose:
                say(f"The weights of epoch {self.best_epoch + 1} are restored.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when a logged number has not improved for `patience` epochs.

        learning_rate = max(factor * learning_rate, min_lr)

    Also logs the epoch's "learning_rate".

    Args:
        monitor: Name of the number.
        factor: Below 1.
        patience: Epochs without improvement before the learning rate is reduced.
        verbose: 1 prints each reduction.
        mode: "min", "max" or "auto" (by the metric or its name).
        min_delta: Least change that counts as an improvement.
        cooldown: Epochs to wait after a reduction before counting again.
        min_lr: The learning rate never goes below.

    Raises:
        ValueError: `factor` is 1 or more.

    Example:
        >>> ReduceLROnPlateau("loss", factor=1.0)
        Traceback (most recent call last):
        ValueError: ReduceLROnPlateau(factor=1.0): expected a factor below 1, which makes the learning rate smaller.

    Reference:
        As Keras 3, except that NaN is never an improvement.
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = setting(count, 10)
    verbose: int = 0
    mode: str = setting(modes, "auto")
    min_delta: float = setting(size, 1e-4)
    cooldown: int = setting(count, 0)
    min_lr: float = 0.0

    wait = cooldown_counter = 0
    remembers = "best", "wait", "cooldown_counter"

    def check(self):
        if self.factor >= 1:
            raise ValueError(
                f"ReduceLROnPlateau(factor={self.factor!r}): expected a factor below 1, which makes the learning rate "
                f"smaller."
            )

    def in_cooldown(self):
        """Whether epochs are not counted because the learning rate was reduced a short while ago."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs=None):
        self.best, self.wait, self.cooldown_counter, self._warned = None, 0, 0, False

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        several = rated(self.model.optimizer)
        logs["learning_rate"] = float(several[0].learning_rate)
        current = self.current(logs, "the learning rate is not reduced")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best, self.wait = current, 0
            return
        if self.in_cooldown():
            return
        self.wait += 1
        above = [one for one in several if not _at_floor(float(one.learning_rate), self.min_lr)]
        if self.wait >= self.patience and above:
            self.cooldown_counter, self.wait = self.cooldown, 0
            for one in above:
                rate = float(one.learning_rate)
                one.learning_rate = lower = max(rate * self.factor, self.min_lr)
                if self.verbose:
                    say(f"Epoch {epoch + 1}: learning rate lowered from {rate:.6g} to {lower:.6g}.")


def _at_floor(rate, floor):
    return rate <= floor or math.isclose(rate, floor, rel_tol=1e-7)  # the rate was stored in float32, the floor was not


class TerminateOnNaN(Callback):
    """Stops training when the loss is NaN or infinite, and says where that came from.

    A loss that is still being computed is looked at when the next steps have been sent off, so that the device never
    waits: training stops at most one dispatch later than the loss went bad. The loss logged is the mean over the epoch
    so far, so that it stays bad. The step that did it is run again with checks: the first layer, forward or backward,
    the step, the rows of the batch and what went in are named; `model.nan_report` has them.

    Args:
        raise_error: Raise an error instead.

    Raises:
        RuntimeError: The loss is NaN or infinite and `raise_error` is set.

    Reference:
        As Keras 3.
    """

    every_batch = False
    _pending = None

    def __init__(self, raise_error=False):
        self.raise_error = raise_error

    def on_train_begin(self, logs=None):
        self._pending = None

    def on_batch_end(self, batch, logs=None):
        self._look()
        loss = as_logs(logs).arrays().get("loss")
        if loss is not None and not getattr(self.model, "stop_training", False):
            self._pending = (batch, loss)
            if not hasattr(loss, "is_ready"):
                self._look()

    def on_epoch_end(self, epoch, logs=None):
        self._look()

    def _look(self):
        if self._pending is None:
            return
        (batch, loss), self._pending = self._pending, None
        loss = as_float(loss)
        if math.isfinite(loss):
            return
        watch = getattr(self.model, "_watch", None)
        report = watch.look() if watch is not None else None
        why = "" if report is None else f" {report.text}"
        if self.raise_error:
            raise RuntimeError(f"TerminateOnNaN: the loss became {loss} at batch {batch}.{why}")
        say(f"Batch {batch}: the loss is {loss}, training stops.{why}")
        self.model.stop_training = True
