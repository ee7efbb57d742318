"""Adam and its relatives: a moving mean of the gradients over a moving size of them.

The bias corrections are scalars of the step, folded into one factor as in Keras 3, so that an array is read once.
"""

from typing import Any

import jax.numpy as jnp

from fkeras.core.settings import optional, setting
from fkeras.optim.base import Optimizer, optimizers, rate
from fkeras.optim.schedules import number

# ------------------------------------------------------------------------------------------ the rules


def moments(g, m, v, *, beta_1, beta_2):
    """Moving averages of the gradient and of its square; returns (m, v).

    m = m + (1 - beta_1) * (g - m);    v = v + (1 - beta_2) * (g * g - v)
    """
    return m + (g - m) * (1 - beta_1), v + (g * g - v) * (1 - beta_2)


def adam_scale(lr, step, *, beta_1, beta_2):
    """Adam's two bias corrections as one scalar: `lr * sqrt(1 - beta_2 ** step) / (1 - beta_1 ** step)`."""
    return lr * jnp.sqrt(1 - beta_2**step) / (1 - beta_1**step)


def adam(g, p, m, v, lr, step, *, beta_1, beta_2, epsilon):
    """Adam; returns (p, m, v).

        m, v = moments(g, m, v)
        p = p - adam_scale(lr, step) * m / (sqrt(v) + epsilon)

    Reference:
        Kingma & Ba, "Adam", 2014, arXiv:1412.6980. As in Keras 3 `epsilon` is the "epsilon hat" of the paper's
        remark before section 2.1.
    """
    m, v = moments(g, m, v, beta_1=beta_1, beta_2=beta_2)
    return p - adam_scale(lr, step, beta_1=beta_1, beta_2=beta_2) * m / (jnp.sqrt(v) + epsilon), m, v


def amsgrad(g, p, m, v, v_hat, lr, step, *, beta_1, beta_2, epsilon):
    """Adam over the largest `v` so far; returns (p, m, v, v_hat).

    Reference:
        Reddi et al., "On the Convergence of Adam and Beyond", 2018.
    """
    m, v = moments(g, m, v, beta_1=beta_1, beta_2=beta_2)
    v_hat = jnp.maximum(v_hat, v)
    return p - adam_scale(lr, step, beta_1=beta_1, beta_2=beta_2) * m / (jnp.sqrt(v_hat) + epsilon), m, v, v_hat


def adamax(g, p, m, u, lr, step, *, beta_1, beta_2, epsilon):
    """Adam with the infinity norm; returns (p, m, u).

        u = max(beta_2 * u, |g|)
        p = p - lr / (1 - beta_1 ** step) * m / (u + epsilon)

    Reference:
        Kingma & Ba, "Adam", 2014, arXiv:1412.6980, section 7.1.
    """
    m = m + (g - m) * (1 - beta_1)
    u = jnp.maximum(beta_2 * u, jnp.abs(g))
    return p - (lr / (1 - beta_1**step)) * m / (u + epsilon), m, u


def nadam_momentum(step, beta_1):
    """Nadam's momentum at a step: `beta_1 * (1 - 0.96 ** step / 2)`."""
    return beta_1 * (1 - 0.5 * 0.96**step)


def nadam(g, p, m, v, u_product, lr, step, *, beta_1, beta_2, epsilon):
    """Adam with Nesterov's look ahead; `u_product` is the product of the momenta up to this step. Returns (p, m, v).

    Reference:
        Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    """
    u, u_next = nadam_momentum(step, beta_1), nadam_momentum(step + 1, beta_1)
    m, v = moments(g, m, v, beta_1=beta_1, beta_2=beta_2)
    ahead = (u_next / (1 - u_product * u_next)) * m + ((1 - u) / (1 - u_product)) * g
    return p - lr * ahead / (jnp.sqrt(v / (1 - beta_2**step)) + epsilon), m, v


def lamb(g, p, m, v, lr, step, *, beta_1, beta_2, epsilon):
    """Adam whose step on each array is scaled to the array's own norm; returns (p, m, v).

        d = m_hat / (sqrt(v_hat) + epsilon);    p = p - lr * |p| / |d| * d       (the ratio is 1 where a norm is 0)

    Reference:
        You et al., "Large Batch Optimization for Deep Learning", 2019, arXiv:1904.00962.
    """
    m, v = moments(g, m, v, beta_1=beta_1, beta_2=beta_2)
    d = (m / (1 - beta_1**step)) / (jnp.sqrt(v / (1 - beta_2**step)) + epsilon)
    size, length = jnp.sqrt(jnp.sum(p * p)), jnp.sqrt(jnp.sum(d * d))
    some = (size > 0) & (length > 0)
    return p - (lr * jnp.where(some, size / jnp.where(some, length, 1.0), 1.0)) * d, m, v


def schedule_free_adamw(g, y, z, v, lr, step, *, beta_1, beta_2, epsilon):
    """Adam on `z`, its mean `x`, and gradients taken between them at `y`; returns (y, z, v).

        z = z - lr * g / (sqrt(v_hat) + epsilon);    x = x + (z - x) / step;    y = (1 - beta_1) * z + beta_1 * x

    Reference:
        Defazio et al., "The Road Less Scheduled", 2024, arXiv:2405.15682.
    """
    x = (y - (1 - beta_1) * z) / beta_1  # y is what is kept, x comes back from it
    v = v + (g * g - v) * (1 - beta_2)
    z = z - lr * g / (jnp.sqrt(v / (1 - beta_2**step)) + epsilon)
    x = (1 - 1 / step) * x + (1 / step) * z
    return (1 - beta_1) * z + beta_1 * x, z, v


# ---------------------------------------------------------------------------------------- the settings


class _Moments(Optimizer):
    """What the relatives share: two slots, and two betas with an epsilon."""

    blocks = (("momentum", "velocity"), ("velocity_hat",))

    def slots(self, p):
        return {"momentum": jnp.zeros_like(p), "velocity": jnp.zeros_like(p)}

    @property
    def betas(self):
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@optimizers.register
class Adam(_Moments):
    """Moving mean of the gradient over the root of the moving mean of its square: `adam`, `amsgrad`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        beta_1, beta_2: Decay of the first and of the second moment.
        epsilon: Added to the root of the second moment.
        amsgrad: Divide by the largest second moment so far.

    Example:
        >>> opt, p = Adam(0.1), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 3)  # lr * sign(g) at first
        0.9
    """

    learning_rate: Any = setting(rate, 0.001)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.999)
    epsilon: float = setting(number, 1e-7)
    amsgrad: bool = False

    def slots(self, p):
        return super().slots(p) | ({"velocity_hat": jnp.zeros_like(p)} if self.amsgrad else {})

    def rule(self, g, p, slots, lr, step):
        m, v = slots["momentum"], slots["velocity"]
        if self.amsgrad:
            p, m, v, v_hat = amsgrad(g, p, m, v, slots["velocity_hat"], lr, step, **self.betas)
            return p, {"momentum": m, "velocity": v, "velocity_hat": v_hat}
        p, m, v = adam(g, p, m, v, lr, step, **self.betas)
        return p, {"momentum": m, "velocity": v}


@optimizers.register
class AdamW(Adam):
    """Adam with decoupled weight decay from the start. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        weight_decay: Decay per step, times the learning rate.
        beta_1, beta_2, epsilon, amsgrad: See `Adam`.

    Raises:
        ValueError: `weight_decay` is None.

    Example:
        >>> opt, p = AdamW(0.1, weight_decay=0.5), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(0.0)}, opt.init(p), p)[0]["w"]), 3)
        0.95

    Reference:
        Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2017, arXiv:1711.05101.
    """

    learning_rate: Any = setting(rate, 0.001)
    weight_decay: float = setting(optional(number), 0.004)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.999)
    epsilon: float = setting(number, 1e-7)
    amsgrad: bool = False

    def check(self):
        super().check()
        if self.weight_decay is None:
            raise ValueError("AdamW: expected a float weight_decay, got None. Adam is AdamW without weight decay.")


@optimizers.register
class Adamax(_Moments):
    """Adam with the infinity norm: `adamax`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        beta_1, beta_2: Decay of the mean and of the norm.
        epsilon: Added to the norm.

    Example:
        >>> opt, p = Adamax(0.1), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 3)
        0.9
    """

    learning_rate: Any = setting(rate, 0.001)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.999)
    epsilon: float = setting(number, 1e-7)

    blocks = (("momentum", "norm"),)

    def slots(self, p):
        return {"momentum": jnp.zeros_like(p), "norm": jnp.zeros_like(p)}

    def rule(self, g, p, slots, lr, step):
        p, m, u = adamax(g, p, slots["momentum"], slots["norm"], lr, step, **self.betas)
        return p, {"momentum": m, "norm": u}


@optimizers.register
class Nadam(_Moments):
    """Adam with Nesterov's look ahead: `nadam`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        beta_1, beta_2, epsilon: See `Adam`.

    Example:
        >>> opt, p = Nadam(0.1), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 3)
        0.894
    """

    learning_rate: Any = setting(rate, 0.001)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.999)
    epsilon: float = setting(number, 1e-7)

    def shared(self):
        return {"u_product": 1.0}

    def advance(self, shared, step):
        return {"u_product": shared["u_product"] * nadam_momentum(step, self.beta_1)}

    def rule(self, g, p, slots, lr, step):
        p, m, v = nadam(g, p, slots["momentum"], slots["velocity"], slots["u_product"], lr, step, **self.betas)
        return p, {"momentum": m, "velocity": v}


@optimizers.register
class Lamb(_Moments):
    """Adam with a step in proportion to each array's norm: `lamb`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        beta_1, beta_2, epsilon: See `Adam`.

    Example:
        >>> opt, p = Lamb(0.1), {"w": jnp.array([3.0, 4.0])}
        >>> opt.update({"w": jnp.array([1.0, 0.0])}, opt.init(p), p)[0]["w"].round(3).tolist()
        [2.5, 4.0]
    """

    learning_rate: Any = setting(rate, 0.001)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.999)
    epsilon: float = setting(number, 1e-7)

    def rule(self, g, p, slots, lr, step):
        p, m, v = lamb(g, p, slots["momentum"], slots["velocity"], lr, step, **self.betas)
        return p, {"momentum": m, "velocity": v}


@optimizers.register
class ScheduleFreeAdamW(_Moments):
    """Adam that averages its iterates instead of lowering the rate: `schedule_free_adamw`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        beta_1: Where between iterate and mean the gradient is taken; positive.
        beta_2, epsilon: See `Adam`.
        warmup_steps: Steps over which the rate rises linearly from 0.

    Raises:
        ValueError: `beta_1` is not in (0, 1].

    Example:
        >>> opt, p = ScheduleFreeAdamW(0.1), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(9.0)}, opt.init(p), p)[0]["w"]), 3)
        0.9
    """

    learning_rate: Any = setting(rate, 0.0025)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.999)
    epsilon: float = setting(number, 1e-8)
    warmup_steps: int = 0

    def check(self):
        super().check()
        if not 0 < self.beta_1 <= 1:
            raise ValueError(f"ScheduleFreeAdamW: expected beta_1 in (0, 1], got {self.beta_1!r}.")

    def slots(self, p):
        return {"momentum": jnp.array(p), "velocity": jnp.zeros_like(p)}  # a copy: both may be donated

    def rule(self, g, p, slots, lr, step):
        if self.warmup_steps:
            lr = lr * jnp.minimum(step / self.warmup_steps, 1.0)
        p, z, v = schedule_free_adamw(g, p, slots["momentum"], slots["velocity"], lr, step, **self.betas)
        return p, {"momentum": z, "velocity": v}
