"""The learning rate: what it may be given as, and how it is read and written during training."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.optim.schedules import LearningRateSchedule, number, schedules


def rate(value):
    """Converter: a float >= 0, a schedule (object, config or name), or a callable of the step or of nothing."""
    if isinstance(value, (str, dict)):
        return schedules.get(value)
    if callable(value):
        return value
    try:
        value = number(value)
        if value < 0:
            raise ValueError(f"expected a learning rate >= 0, got {value!r}. To climb, change the sign of the loss.")
        return value
    except TypeError:
        raise TypeError(
            f"expected a number, a LearningRateSchedule or a callable of the step, got {value!r}."
        ) from None


class Rate(float):
    """A learning rate as it was when read: a float, with Keras's ways of reading and writing a variable."""

    def __new__(cls, value, write):
        self = super().__new__(cls, value)
        self._write = write
        return self

    def assign(self, value):
        """Sets the optimizer's learning rate, as `optimizer.learning_rate = value`."""
        self._write(value)

    shape, ndim, dtype = (), 0, np.dtype("float32")
    value = property(lambda self: jnp.asarray(self, jnp.float32), doc="The rate as a float32 array.")

    def numpy(self):
        """Returns the rate as a NumPy float32."""
        return np.float32(self)

    def __reduce__(self):
        return float, (float(self),)


def takes_step(schedule):
    """Whether what computes the rate is called with the step, rather than with nothing."""
    if isinstance(schedule, LearningRateSchedule):
        return True
    try:
        inspect.signature(schedule).bind(0)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def placed_like(value, old):
    """A float32 scalar placed as `old` is, so that a compiled step takes it without compiling again."""
    new = jnp.asarray(value, jnp.float32)
    return jax.device_put(new, old.sharding) if getattr(old, "_committed", False) else new
