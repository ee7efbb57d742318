"""Which learning rate to begin with: a short training in which it grows from step to step."""

import math
from typing import NamedTuple

import numpy as np

from fkeras.callbacks import Callback
from fkeras.callbacks.schedule import rated
from fkeras.core.optional import need
from fkeras.training.rehearsal import AsItWas

SMOOTHING = 0.9  # of the losses, by an average that forgets
TOO_HIGH = 4.0  # times the lowest smoothed loss: the test ends there


class RangeTest(NamedTuple):
    """What `find_learning_rate` found.

    rates, losses: Of each step: its learning rate and the loss of its batch.
    smoothed: Means of the losses around each step.
    suggestion: The rate at which the smoothed loss falls fastest.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def __repr__(self):
        return f"RangeTest(suggestion={self.suggestion:.3g}, steps={len(self.rates)})"

    def plot(self, path=None, show=None):
        """Draws the losses over the learning rates, and the suggestion.

        Args:
            path: File to save the picture in, instead of showing it.
            show: Whether to show it; by default if there is no `path`.

        Returns:
            With show=False and no path the matplotlib figure, else None.
        """
        show = path is None if show is None else show
        module = "matplotlib.pyplot" if show else "matplotlib.figure"
        made = need(module, "RangeTest.plot")
        figure = (made.figure if show else made.Figure)(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(self.rates, self.losses, ".", alpha=0.3, label="loss of a batch")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, linestyle="--", color="gray", label=f"suggestion: {self.suggestion:.2g}")
        low, high = np.nanmin(self.smoothed), np.nanmax(self.smoothed[: max(len(self.smoothed) // 2, 1)])
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - 0.1 * (high - low or 1), None))
        axes.set_ylim(top=high + 0.5 * (high - low or 1))
        axes.grid(alpha=0.3)
        axes.legend()
        if path is not None:
            figure.savefig(path)
        elif show:
            made.show()
        else:
            return figure
        return None


class _Raising(Callback):
    """Raises the learning rate from step to step, notes the losses, and stops when they are far too high."""

    expects_nan = True

    def __init__(self, rates):
        self.rates, self.losses, self.before, self.mean, self.low = rates, [], None, 0.0, math.inf

    def on_train_begin(self, logs=None):
        self.before = self.before or AsItWas(self.model)

    def on_train_batch_begin(self, batch, logs=None):
        for one in rated(self.model.optimizer):
            one.learning_rate = self.rates[len(self.losses)]

    def on_train_batch_end(self, batch, logs=None):
        mean = logs["loss"]
        self.losses.append(mean * (batch + 1) - (self.mean * batch if batch else 0.0))
        self.mean = mean
        now = smoothed(self.losses)[-1]
        if math.isfinite(now):
            self.low = min(self.low, now)
        far = len(self.losses) > 10 and now > TOO_HIGH * abs(self.low)
        if not math.isfinite(now) or far or len(self.losses) == len(self.rates):
            self.model.stop_training = True


def smoothed(values, by=SMOOTHING):
    """Returns an average that forgets, without its lean towards zero at the beginning.

        a_t = by a_(t-1) + (1 - by) x_t,    smoothed_t = a_t / (1 - by^t)

    Example:
        >>> smoothed([2.0, 2.0, 5.0], by=0.5).round(3).tolist()
        [2.0, 2.0, 3.714]
    """
    out, average = [], 0.0
    for t, value in enumerate(values, 1):
        average = by * average + (1 - by) * value
        out.append(average / (1 - by**t))
    return np.array(out)


def centred(values):
    """Returns the mean of each value and those around it, a tenth of all: smooth, and without a lag.

    Example:
        >>> centred([1.0] * 10 + [2.0] * 10).round(2).tolist()[8:12]
        [1.0, 1.33, 1.67, 2.0]
    """
    half = max(len(values) // 20, 1)
    return np.array([np.mean(values[max(i - half, 0) : i + half + 1]) for i in range(len(values))])


def suggested(rates, losses):
    """Returns the rate at which the loss falls fastest with the logarithm of the rate, left of its minimum.

    The first tenth is left out: there the rate does nothing yet, and batches differ.

    Example:
        >>> rates = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
        >>> float(suggested(rates, np.array([3.0, 2.9, 1.5, 1.2, 9.0])))
        0.01
    """
    losses = np.asarray(losses, float)
    begin, end = len(losses) // 10, int(np.nanargmin(losses)) + 1
    if end - begin < 3:
        return rates[max(end - 1, 0)]
    return rates[begin + int(np.argmin(np.gradient(losses[begin:end], np.log(rates[begin:end]))))]


def find(model, x, y, batch_size, least, most, steps, **fit):
    """See `Trainer.find_learning_rate`."""
    if not 0 < least < most or steps < 10:
        raise ValueError(
            f"find_learning_rate: expected 0 < least < most and at least 10 steps, got least={least!r}, most={most!r}, "
            f"steps={steps!r}."
        )
    if any(one._schedule is not None for one in rated(model.optimizer)):
        raise ValueError(
            "find_learning_rate: the optimizer's learning rate is a schedule, which cannot be raised. Compile with a "
            "number for the test."
        )
    raising = _Raising(np.geomspace(least, most, steps))
    history = getattr(model, "history", None)
    try:
        model.fit(x, y, batch_size=batch_size, epochs=steps, verbose=0, callbacks=[raising], **fit)
    finally:
        if raising.before is not None:
            raising.before.history = history
            raising.before.restore()
    losses = np.array(raising.losses)
    losses = losses[: np.argmin(np.isfinite(losses)) if not np.isfinite(losses).all() else None]
    if not len(losses):
        raise ValueError(f"find_learning_rate: the loss was no number at the first step, at a rate of {least:g}.")
    rates, means = raising.rates[: len(losses)], centred(losses)
    return RangeTest(rates, losses, means, float(suggested(rates, means)))
