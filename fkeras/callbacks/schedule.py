"""A learning rate that a function sets at the beginning of each epoch."""

import inspect
import numbers

from fkeras.callbacks.base import ConfiguredCallback
from fkeras.callbacks.logs import as_float
from fkeras.callbacks.progbar import say
from fkeras.core.settings import setting


def _function(value):
    if not callable(value):
        raise TypeError(f"expected a function of (epoch, learning_rate) or of (epoch), got {value!r}.")
    return value


class LearningRateScheduler(ConfiguredCallback):
    """Sets the optimizer's learning rate to `schedule(epoch, learning_rate)` before each epoch, and logs it after.

    Args:
        schedule: Function of (epoch, learning rate) or of (epoch) alone, epochs counted from 0; returns a number.
        verbose: 1 prints each new learning rate.

    Raises:
        ValueError: `schedule` returned something that is not a number.

    Example:
        >>> LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch)).next(3, 0.1)
        0.025

    Reference:
        As Keras 3. There a TypeError raised inside a schedule of two arguments is lost; here it surfaces.
    """

    schedule: object = setting(_function, saved=False)
    verbose: int = 0

    def next(self, epoch, learning_rate):
        """Returns the learning rate for `epoch`."""
        arguments = (epoch, learning_rate) if _takes_two(self.schedule) else (epoch,)
        result = self.schedule(*arguments)
        rate = as_float(result)
        if not isinstance(rate, numbers.Real) or isinstance(result, bool):
            raise ValueError(
                f"LearningRateScheduler: expected the schedule to return a number, got {result!r} for epoch {epoch}."
            )
        return float(rate)

    def on_epoch_begin(self, epoch, logs=None):
        for optimizer in rated(self.model.optimizer):
            optimizer.learning_rate = rate = self.next(epoch, float(optimizer.learning_rate))
            if self.verbose:
                say(f"Epoch {epoch + 1}: learning rate {rate:.6g}.")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(rated(self.model.optimizer)[0].learning_rate)


def rated(optimizer):
    """Returns the optimizers that have learning rates: those inside of a `MultiOptimizer`, or the one."""
    return getattr(optimizer, "optimizers", None) or [optimizer]


def _takes_two(function):
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell its arguments
        return True
    return True
