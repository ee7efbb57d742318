"""Learning rates as functions of the step: pure formulas first, then the settings that name them.

A schedule is called with the number of steps taken so far (0 before the first update) and returns a float32 scalar.
"""

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras.core.settings import Configured, Registry, custom_object_scope, setting
from fkeras.core.settings import serialize as serialize

schedules = Registry("learning rate schedule", "keras.optimizers.schedules")


def number(value):
    """Converter: a Python float of any real number; a bool, a string or None is refused."""
    scalar = isinstance(value, numbers.Real) or (getattr(value, "shape", None) == () and hasattr(value, "dtype"))
    if isinstance(value, (bool, np.bool_)) or not scalar:
        raise TypeError(f"expected a number, got {value!r}.")
    return float(value)


def positive(value):
    """Converter: a number above zero, an int where one was given."""
    if not number(value) > 0:
        raise ValueError(f"expected a number > 0, got {value!r}.")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


# ------------------------------------------------------------------------------------------ formulas


def _float(step):
    return jnp.asarray(step, jnp.float32)


def _whole(step, period):
    """How many whole periods `step` holds, as a float32.

    Exact where both are integers: a compiled `step / period` may be a product with a rounded reciprocal, and land a
    hair beside a whole number.
    """
    step = jnp.asarray(step)
    if isinstance(period, int) and jnp.issubdtype(step.dtype, jnp.integer):
        return (step // period).astype(jnp.float32)
    return jnp.floor(_float(step) / period)


def exponential_decay(step, initial, decay_steps, decay_rate, *, staircase=False):
    """Multiplies the rate by `decay_rate` every `decay_steps` steps.

        initial * decay_rate ** (step / decay_steps)        (the quotient rounded down when `staircase`)

    Example:
        >>> float(exponential_decay(20, 1.0, 10, 0.5))
        0.25
    """
    p = _whole(step, decay_steps) if staircase else _float(step) / decay_steps
    return initial * jnp.power(decay_rate, p)


def inverse_time_decay(step, initial, decay_steps, decay_rate, *, staircase=False):
    """Divides the rate by a line through 1.

        initial / (1 + decay_rate * step / decay_steps)     (the quotient rounded down when `staircase`)

    Example:
        >>> float(inverse_time_decay(10, 1.0, 10, 1.0))
        0.5
    """
    p = _whole(step, decay_steps) if staircase else _float(step) / decay_steps
    return initial / (1 + decay_rate * p)


def piecewise_constant(step, boundaries, values):
    """`values[i]` for the first i with `step <= boundaries[i]`, else the last value.

    Example:
        >>> [round(float(piecewise_constant(s, [10, 20], [1.0, 0.5, 0.1])), 2) for s in (10, 11, 21)]
        [1.0, 0.5, 0.1]
    """
    step = jnp.asarray(step)
    # As Keras: boundaries take the step's dtype, so that a large int step is never rounded.
    passed = sum((step > jnp.asarray(b).astype(step.dtype)).astype(jnp.int32) for b in boundaries)
    return jnp.asarray(values, jnp.float32)[passed]


def polynomial_decay(step, initial, decay_steps, end, power=1.0, *, cycle=False):
    """Falls from `initial` to `end` over `decay_steps` steps, and stays, or with `cycle` starts a longer fall.

        (initial - end) * (1 - step / decay_steps) ** power + end

    Example:
        >>> float(polynomial_decay(5, 1.0, 10, 0.0))
        0.5
    """
    if cycle:  # the first multiple of decay_steps that is not before step
        decay_steps = decay_steps * jnp.maximum(-_whole(-jnp.asarray(step), decay_steps), 1.0)
    # A compiled step / decay_steps may exceed 1 by a rounding, of which a root would be NaN (as it is in Keras 3).
    left = jnp.maximum(1 - _float(step) / decay_steps, 0.0)
    return (initial - end) * jnp.power(left, power) + end


def cosine_decay(step, initial, decay_steps, alpha=0.0, warmup_target=None, warmup_steps=0):
    """Falls along half a cosine to `alpha` of the start, after a linear warmup when there is a target.

        warmup:  initial + (target - initial) * step / warmup_steps                     while step < warmup_steps
        decay:   top * ((1 - alpha) * (1 + cos(pi * t / decay_steps)) / 2 + alpha)      t counts from the warmup's end

    Example:
        >>> float(cosine_decay(10, 1.0, 10, alpha=0.1)), float(cosine_decay(2, 0.0, 10, 0.0, 1.0, 4))
        (0.10000000149011612, 0.5)

    Reference:
        Loshchilov & Hutter, "SGDR", 2016, arXiv:1608.03983. As in Keras 3, no target means no warmup.
    """
    step = _float(step)
    warmed = warmup_target is not None and warmup_steps > 0
    top = initial if warmup_target is None else warmup_target
    t = jnp.clip(step - (warmup_steps if warmed else 0), 0, decay_steps)
    decayed = top * ((1 - alpha) * 0.5 * (1 + jnp.cos(jnp.pi * t / decay_steps)) + alpha)
    if not warmed:
        return decayed
    return jnp.where(step < warmup_steps, initial + (warmup_target - initial) * step / warmup_steps, decayed)


def cosine_decay_restarts(step, initial, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0):
    """Cosine decay that starts again: run i is `t_mul ** i` times as long and starts at `m_mul ** i` of the rate.

    Example:
        >>> [float(cosine_decay_restarts(s, 1.0, 10, m_mul=0.5)) for s in (0, 10)]
        [1.0, 0.5]

    Reference:
        Loshchilov & Hutter, "SGDR", 2016, arXiv:1608.03983.
    """
    f = _float(step) / first_decay_steps
    if t_mul == 1:
        run = _whole(step, first_decay_steps)
        f = f - run
    else:

        def started(i):  # in first runs: 1 + t_mul + t_mul^2 + ...
            return (1 - jnp.power(t_mul, i)) / (1 - t_mul)

        run = jnp.floor(jnp.log(1 - f * (1 - t_mul)) / jnp.log(_float(t_mul)))
        # A quotient of rounded logarithms may miss a whole number on the very step of a restart, by a run either way.
        run = jnp.where(started(run + 1) <= f * (1 + 1e-6), run + 1, run)
        run = jnp.where(started(run) > f * (1 + 1e-6), run - 1, run)
        f = jnp.maximum(f - started(run), 0.0) / jnp.power(t_mul, run)
    cosine = 0.5 * jnp.power(m_mul, run) * (1 + jnp.cos(jnp.pi * f))
    return initial * ((1 - alpha) * cosine + alpha)


# ------------------------------------------------------------------------------------------ settings


class LearningRateSchedule(Configured):
    """Base of the schedules: a callable `step -> learning rate` with a config.

    Write one's own by naming the settings and the formula (Keras's way, with a constructor, works too):

    Example:
        >>> class Warmup(LearningRateSchedule):
        ...     peak: float
        ...     steps: int = 100
        ...     def __call__(self, step):
        ...         return self.peak * jnp.minimum((step + 1) / self.steps, 1.0)
        >>> float(Warmup(0.5)(49))
        0.25
    """

    def __call__(self, step):
        raise TypeError(f"{type(self).__name__} has no formula: define `__call__(self, step)` on it.")


@schedules.register
class ExponentialDecay(LearningRateSchedule):
    """Names `exponential_decay`. As Keras 3.

    Args:
        initial_learning_rate: Rate at step 0.
        decay_steps: Steps after which the rate has been multiplied by `decay_rate` once; positive.
        decay_rate: The factor.
        staircase: Decay in jumps every `decay_steps` steps.

    Example:
        >>> float(ExponentialDecay(0.5, decay_steps=10, decay_rate=0.5)(10))
        0.25
    """

    initial_learning_rate: float = setting(number)
    decay_steps: int = setting(positive)
    decay_rate: float = setting(number)
    staircase: bool = False
    name: str = "ExponentialDecay"

    def __call__(self, step):
        return exponential_decay(
            step, self.initial_learning_rate, self.decay_steps, self.decay_rate, staircase=self.staircase
        )


@schedules.register
class PiecewiseConstantDecay(LearningRateSchedule):
    """Names `piecewise_constant`. As Keras 3.

    Args:
        boundaries: Increasing steps; the step that equals a boundary still belongs to the interval before it.
        values: Rates, one more than there are boundaries.

    Raises:
        ValueError: The lengths do not fit, or the boundaries fall.

    Example:
        >>> float(PiecewiseConstantDecay([100], [1.0, 0.5])(101))
        0.5
    """

    boundaries: Any = setting(list)
    values: Any = setting(lambda values: [number(v) for v in values])
    name: str = "PiecewiseConstant"

    def check(self):
        if len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: expected one value more than there are boundaries, got "
                f"{len(self.boundaries)} boundaries {self.boundaries!r} and {len(self.values)} values {self.values!r}."
            )
        if any(a > b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"PiecewiseConstantDecay: expected increasing boundaries, got {self.boundaries!r}.")

    def __call__(self, step):
        return piecewise_constant(step, self.boundaries, self.values)


@schedules.register
class PolynomialDecay(LearningRateSchedule):
    """Names `polynomial_decay`. As Keras 3.

    Args:
        initial_learning_rate: Rate at step 0.
        decay_steps: Steps of the fall; positive.
        end_learning_rate: Where it ends.
        power: Exponent of the remaining fraction; 1 is a line.
        cycle: After `decay_steps`, jump up and fall over twice, three times, ... as many steps.

    Example:
        >>> float(PolynomialDecay(1.0, 10, end_learning_rate=0.0)(5))
        0.5
    """

    initial_learning_rate: float = setting(number)
    decay_steps: int = setting(positive)
    end_learning_rate: float = setting(number, 0.0001)
    power: float = setting(number, 1.0)
    cycle: bool = False
    name: str = "PolynomialDecay"

    def __call__(self, step):
        return polynomial_decay(
            step, self.initial_learning_rate, self.decay_steps, self.end_learning_rate, self.power, cycle=self.cycle
        )


@schedules.register
class InverseTimeDecay(LearningRateSchedule):
    """Names `inverse_time_decay`; `decay=d` of Keras 1 and 2 is `InverseTimeDecay(lr, 1, d)`. As Keras 3.

    Args:
        initial_learning_rate: Rate at step 0.
        decay_steps: Steps that count as one unit of time; positive.
        decay_rate: How much one unit adds to the denominator.
        staircase: Count whole units only.

    Example:
        >>> float(InverseTimeDecay(1.0, decay_steps=1, decay_rate=0.5)(2))
        0.5
    """

    initial_learning_rate: float = setting(number)
    decay_steps: int = setting(positive)
    decay_rate: float = setting(number)
    staircase: bool = False
    name: str = "InverseTimeDecay"

    def __call__(self, step):
        return inverse_time_decay(
            step, self.initial_learning_rate, self.decay_steps, self.decay_rate, staircase=self.staircase
        )


@schedules.register
class CosineDecay(LearningRateSchedule):
    """Names `cosine_decay`. As Keras 3.

    Args:
        initial_learning_rate: Rate at step 0.
        decay_steps: Steps of the decay, after the warmup; positive.
        alpha: Fraction of the highest rate that remains at the end.
        warmup_target: Rate that the warmup rises to; None for no warmup.
        warmup_steps: Steps of the warmup.

    Example:
        >>> schedule = CosineDecay(0.0, decay_steps=10, warmup_target=1.0, warmup_steps=4)
        >>> [float(schedule(s)) for s in (2, 4, 14)]
        [0.5, 1.0, 0.0]
    """

    initial_learning_rate: float = setting(number)
    decay_steps: int = setting(positive)
    alpha: float = setting(number, 0.0)
    name: str = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __call__(self, step):
        return cosine_decay(
            step, self.initial_learning_rate, self.decay_steps, self.alpha, self.warmup_target, self.warmup_steps
        )


@schedules.register
class CosineDecayRestarts(LearningRateSchedule):
    """Names `cosine_decay_restarts`. As Keras 3.

    Args:
        initial_learning_rate: Rate at step 0.
        first_decay_steps: Steps of the first run; positive.
        t_mul: Each run is this many times as long as the one before; at least 1.
        m_mul: Each run starts at this fraction of the one before.
        alpha: Fraction of the initial rate that remains at the end of a run.

    Example:
        >>> float(CosineDecayRestarts(1.0, first_decay_steps=10, t_mul=1.0, m_mul=0.5)(10))
        0.5
    """

    initial_learning_rate: float = setting(number)
    first_decay_steps: int = setting(positive)
    t_mul: float = setting(number, 2.0)
    m_mul: float = setting(number, 1.0)
    alpha: float = setting(number, 0.0)
    name: str = "SGDRDecay"

    def check(self):
        if self.t_mul < 1:
            raise ValueError(
                f"CosineDecayRestarts: expected t_mul >= 1, got {self.t_mul!r}: "
                f"runs that shrink come to an end, and the rate would be undefined after it."
            )

    def __call__(self, step):
        return cosine_decay_restarts(
            step, self.initial_learning_rate, self.first_decay_steps, self.t_mul, self.m_mul, self.alpha
        )


def get(identifier):
    """Returns the schedule that a name, class, object or config dict means; None stays None."""
    return schedules.get(identifier)


def deserialize(config, custom_objects=None):
    """Returns the schedule that a config dict describes."""
    with custom_object_scope(custom_objects or {}):
        return get(config)
