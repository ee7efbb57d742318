"""Optimizers that scale each entry by the size of its past gradients: Adagrad, RMSprop, Adadelta, Ftrl, Adafactor."""

from typing import Any

import jax.numpy as jnp

from fkeras.core.settings import setting
from fkeras.optim.base import Optimizer, optimizers, rate
from fkeras.optim.schedules import number

# ------------------------------------------------------------------------------------------ the rules


def adagrad(g, p, accumulator, lr, *, epsilon):
    """Divides by the root of the sum of squares; returns (p, accumulator).

        n = n + g * g;    p = p - lr * g / sqrt(n + epsilon)

    Reference:
        Duchi, Hazan & Singer, "Adaptive Subgradient Methods", 2011.
    """
    accumulator = accumulator + g * g
    return p - lr * g / jnp.sqrt(accumulator + epsilon), accumulator


def rmsprop_increment(g, v, mean, lr, *, rho, epsilon):
    """The gradient over its root mean square; returns (increment, v, mean).

        v = rho * v + (1 - rho) * g * g
        increment = lr * g / sqrt(v + epsilon)      or, with a `mean` of the gradients, sqrt(v - mean * mean + epsilon)

    Reference:
        Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012. As in Keras 3 epsilon is inside the root.
    """
    v = rho * v + (1 - rho) * (g * g)
    if mean is None:
        return lr * g / jnp.sqrt(v + epsilon), v, None
    mean = rho * mean + (1 - rho) * g
    return lr * g / jnp.sqrt(v - mean * mean + epsilon), v, mean


def adadelta(g, p, squares, deltas, lr, *, rho, epsilon):
    """Steps as large as the steps before them; returns (p, squares, deltas).

        s = rho * s + (1 - rho) * g * g
        d = -sqrt(D + epsilon) / sqrt(s + epsilon) * g
        D = rho * D + (1 - rho) * d * d;    p = p + lr * d

    Reference:
        Zeiler, "ADADELTA", 2012, arXiv:1212.5701.
    """
    squares = rho * squares + (1 - rho) * (g * g)
    d = -g * jnp.sqrt(deltas + epsilon) / jnp.sqrt(squares + epsilon)
    return p + lr * d, squares, rho * deltas + (1 - rho) * (d * d)


def ftrl(g, p, accumulator, linear, lr, *, power, l1, l2, shrinkage, beta):
    """Follow the regularized leader; returns (p, accumulator, linear).

        n' = n + g * g
        z = z + g + 2 * shrinkage * p - (n' ** -power - n ** -power) / lr * p
        p = (clip(z, -l1, l1) - z) / (n' ** -power / lr + 2 * l2 + beta / lr)

    Reference:
        McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013. As in Keras 3.
    """
    total = accumulator + g * g
    root, old = jnp.power(total, -power), jnp.power(accumulator, -power)
    linear = linear + (g + 2 * shrinkage * p if shrinkage else g) - (root - old) / lr * p
    quadratic = root / lr + 2 * (l2 + beta / (2 * lr))
    return (jnp.clip(linear, -l1, l1) - linear) / quadratic, total, linear


def factored_squares(g2, r, c, beta_2):
    """Moving means of `g2` [..., N, M] over rows and columns, and the product that stands for it; returns (v, r, c).

    r [..., N], c [..., M];    v = r * c / mean(r)
    """
    r = beta_2 * r + (1 - beta_2) * jnp.mean(g2, axis=-1)
    c = beta_2 * c + (1 - beta_2) * jnp.mean(g2, axis=-2)
    return (r / jnp.mean(r, axis=-1, keepdims=True))[..., :, None] * c[..., None, :], r, c


def root_mean_square(x):
    """`sqrt(mean(x * x))` over the whole array."""
    return jnp.sqrt(jnp.mean(x * x))


def adafactor_step(g, p, v, rho, *, epsilon_2, clip_threshold):
    """Applies a gradient over the root of `v`, clipped, in proportion to the size of `p`; returns p.

        u = g / sqrt(v);    p = p - max(epsilon_2, rms(p)) * rho * u / max(1, rms(u) / clip_threshold)

    Reference:
        Shazeer & Stern, "Adafactor", 2018, arXiv:1804.04235.
    """
    u = g / jnp.sqrt(v)
    alpha = jnp.maximum(epsilon_2, root_mean_square(p)) * rho
    return p - (alpha / jnp.maximum(1.0, root_mean_square(u) / clip_threshold)) * u


# ---------------------------------------------------------------------------------------- the settings


@optimizers.register
class Adagrad(Optimizer):
    """Divides by the root of the sum of squared gradients: `adagrad`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        initial_accumulator_value: Where the sum starts; not negative.
        epsilon: Added to the sum.

    Example:
        >>> opt, p = Adagrad(0.1, initial_accumulator_value=0.0), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 3)
        0.9
    """

    learning_rate: Any = setting(rate, 0.001)
    initial_accumulator_value: float = setting(number, 0.1)
    epsilon: float = setting(number, 1e-7)

    def check(self):
        super().check()
        _not_negative(self, "initial_accumulator_value")

    def slots(self, p):
        return {"accumulator": jnp.full_like(p, self.initial_accumulator_value)}

    def rule(self, g, p, slots, lr, step):
        p, accumulator = adagrad(g, p, slots["accumulator"], lr, epsilon=self.epsilon)
        return p, {"accumulator": accumulator}


@optimizers.register
class RMSprop(Optimizer):
    """Divides by a moving root mean square of the gradients: `rmsprop_increment`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        rho: Decay of the moving averages.
        momentum: Of the increments; 0 for none.
        epsilon: Added inside the root.
        centered: Divide by the standard deviation instead.

    Example:
        >>> opt, p = RMSprop(0.1, rho=0.0), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 3)
        0.9
    """

    learning_rate: Any = setting(rate, 0.001)
    rho: float = setting(number, 0.9)
    momentum: float = setting(number, 0.0)
    epsilon: float = setting(number, 1e-7)
    centered: bool = False

    blocks = (("velocity",), ("momentum",), ("average_gradient",))

    def check(self):
        super().check()
        _not_negative(self, "momentum")

    def slots(self, p):
        names = ("velocity",) + ("momentum",) * (self.momentum > 0) + ("average_gradient",) * bool(self.centered)
        return {name: jnp.zeros_like(p) for name in names}

    def rule(self, g, p, slots, lr, step):
        mean = slots["average_gradient"] if self.centered else None
        d, v, mean = rmsprop_increment(g, slots["velocity"], mean, lr, rho=self.rho, epsilon=self.epsilon)
        new = {"velocity": v} | ({"average_gradient": mean} if self.centered else {})
        if self.momentum > 0:
            d = new["momentum"] = self.momentum * slots["momentum"] + d
        return p - d, new


@optimizers.register
class Adadelta(Optimizer):
    """Steps as large as the steps before them: `adadelta`. As Keras 3; the paper's rate is 1.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        rho: Decay of the moving averages.
        epsilon: Added inside the roots; it is what starts the motion.

    Example:
        >>> opt, p = Adadelta(1.0), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 5)
        0.99859
    """

    learning_rate: Any = setting(rate, 0.001)
    rho: float = setting(number, 0.95)
    epsilon: float = setting(number, 1e-7)

    blocks = (("accumulated_grad", "accumulated_delta_var"),)

    def slots(self, p):
        return {name: jnp.zeros_like(p) for name in self.blocks[0]}

    def rule(self, g, p, slots, lr, step):
        squares, deltas = (slots[name] for name in self.blocks[0])
        p, squares, deltas = adadelta(g, p, squares, deltas, lr, rho=self.rho, epsilon=self.epsilon)
        return p, {"accumulated_grad": squares, "accumulated_delta_var": deltas}


@optimizers.register
class Ftrl(Optimizer):
    """Follow the regularized leader, for sparse linear models: `ftrl`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        learning_rate_power: Exponent of the accumulator in the rate; at most 0, where 0 keeps the rate fixed.
        initial_accumulator_value: Where the sum of squares starts; not negative.
        l1_regularization_strength: Below it entries are exactly 0.
        l2_regularization_strength: Stabilizing penalty.
        l2_shrinkage_regularization_strength: Penalty on the magnitude.
        beta: The paper's.

    Raises:
        ValueError: A strength or the accumulator is negative, or the power positive.

    Example:
        >>> opt, p = Ftrl(0.1, l1_regularization_strength=100.0), {"w": jnp.float32(1.0)}
        >>> float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"])
        0.0
    """

    learning_rate: Any = setting(rate, 0.001)
    learning_rate_power: float = setting(number, -0.5)
    initial_accumulator_value: float = setting(number, 0.1)
    l1_regularization_strength: float = setting(number, 0.0)
    l2_regularization_strength: float = setting(number, 0.0)
    l2_shrinkage_regularization_strength: float = setting(number, 0.0)
    beta: float = setting(number, 0.0)

    blocks = (("accumulator", "linear"),)

    def check(self):
        super().check()
        if self.learning_rate_power > 0:
            raise ValueError(f"Ftrl: expected learning_rate_power <= 0, got {self.learning_rate_power!r}.")
        _not_negative(
            self,
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
        )

    def slots(self, p):
        return {"accumulator": jnp.full_like(p, self.initial_accumulator_value), "linear": jnp.zeros_like(p)}

    def rule(self, g, p, slots, lr, step):
        p, accumulator, linear = ftrl(
            g,
            p,
            slots["accumulator"],
            slots["linear"],
            lr,
            power=self.learning_rate_power,
            l1=self.l1_regularization_strength,
            l2=self.l2_regularization_strength,
            shrinkage=self.l2_shrinkage_regularization_strength,
            beta=self.beta,
        )
        return p, {"accumulator": accumulator, "linear": linear}


@optimizers.register
class Adafactor(Optimizer):
    """Adaptive steps from row and column means of the squares: `factored_squares`, `adafactor_step`. As Keras 3.

    Args:
        learning_rate: Upper bound of the relative step. See `Optimizer`, also for the arguments after these.
        beta_2_decay: The second moment decays by `1 - step ** beta_2_decay`.
        epsilon_1: Added to the squared gradient.
        epsilon_2: Least size of a parameter, so that zeros move too.
        clip_threshold: Largest root mean square of a step before the rate.
        relative_step: Let a constant rate be at most `1 / sqrt(step)`. As in Keras 3 that bound holds in the step
            size itself too, so that False changes no number.

    Example:
        >>> params = {"dense": {"kernel": jnp.ones((3, 2))}}
        >>> {k: v.shape for k, v in Adafactor().init(params)["slots"]["dense"]["kernel"].items()}
        {'r': (3,), 'c': (2,), 'velocity': (3, 2)}
    """

    learning_rate: Any = setting(rate, 0.001)
    beta_2_decay: float = setting(number, -0.8)
    epsilon_1: float = setting(number, 1e-30)
    epsilon_2: float = setting(number, 1e-3)
    clip_threshold: float = setting(number, 1.0)
    relative_step: bool = True

    blocks = (("r", "c", "velocity"),)

    def slots(self, p):
        if p.ndim < 2:  # Keras's list has two placeholders here, so files do
            return {"r": jnp.zeros((), jnp.int32), "c": jnp.zeros((), jnp.int32), "velocity": jnp.zeros_like(p)}
        r, c = p.shape[:-1], (*p.shape[:-2], p.shape[-1])
        return {"r": jnp.zeros(r, p.dtype), "c": jnp.zeros(c, p.dtype), "velocity": jnp.zeros_like(p)}

    def rule(self, g, p, slots, lr, step):
        new, beta_2 = dict(slots), 1 - step**self.beta_2_decay
        g2 = g * g + self.epsilon_1
        if p.ndim < 2:
            v = beta_2 * slots["velocity"] + (1 - beta_2) * g2
        else:
            v, new["r"], new["c"] = factored_squares(g2, slots["r"], slots["c"], beta_2)
        new["velocity"] = v
        rho = jnp.minimum(lr, 1 / jnp.sqrt(step))
        return adafactor_step(g, p, v, rho, epsilon_2=self.epsilon_2, clip_threshold=self.clip_threshold), new


def _not_negative(optimizer, *names):
    for name in names:
        if (value := getattr(optimizer, name)) < 0:
            raise ValueError(f"{type(optimizer).__name__}: expected {name} >= 0, got {value!r}.")
