"""Optimizers that remember the direction: gradient descent with momentum, Lion, Muon."""

import re
from typing import Any

import jax.numpy as jnp

from fkeras.core.settings import optional, setting
from fkeras.optim.base import Optimizer, optimizers, rate, steps
from fkeras.optim.moments import adam
from fkeras.optim.schedules import number

# ------------------------------------------------------------------------------------------ the rules


def sgd(g, p, lr):
    """Gradient descent: `p - lr * g`."""
    return p - lr * g


def momentum_sgd(g, p, m, lr, *, momentum, nesterov=False):
    """Gradient descent with momentum; returns (p, m).

        m = momentum * m - lr * g
        p = p + m                            or, with Nesterov's look ahead, p + momentum * m - lr * g

    Reference:
        Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013. As in Keras 3.
    """
    m = momentum * m - lr * g
    return p + (momentum * m - lr * g if nesterov else m), m


def lion(g, p, m, lr, *, beta_1, beta_2):
    """A step of fixed size along the sign of an interpolated momentum; returns (p, m).

        p = p - lr * sign(beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g

    Reference:
        Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, arXiv:2302.06675.
    """
    return p - lr * jnp.sign(beta_1 * m + (1 - beta_1) * g), beta_2 * m + (1 - beta_2) * g


def newton_schulz(x, *, steps, a, b, c):
    """Moves the singular values of a matrix [N, M] near 1 by a quintic iteration, keeping its singular vectors.

        X <- a X + b (X X') X + c (X X')^2 X        after X / |X|

    Reference:
        Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x  # the smaller side first: X X' is then the smaller product
    x = x / (jnp.sqrt(jnp.sum(x * x, axis=(-2, -1), keepdims=True)) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


def muon(g, p, m, lr, *, momentum, nesterov, ns_steps, a, b, c, rms_rate):
    """Momentum whose matrix is made orthogonal before it is applied; returns (p, m).

        m = momentum * m + g
        p = p - lr * newton_schulz(g + momentum * m or m) * sqrt(max(N, M)) * rms_rate

    Reference:
        Liu et al., "Muon is Scalable for LLM Training", 2025, arXiv:2502.16982, for `rms_rate`.
    """
    m = momentum * m + g
    direction = newton_schulz(g + momentum * m if nesterov else m, steps=ns_steps, a=a, b=b, c=c)
    scale = 1.0 if rms_rate is None else max(p.shape) ** 0.5 * rms_rate
    return p - (lr * scale) * direction, m


# ---------------------------------------------------------------------------------------- the settings


@optimizers.register
class SGD(Optimizer):
    """Gradient descent, with momentum when there is one: `sgd`, `momentum_sgd`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`, also for the arguments after these.
        momentum: In [0, 1]; 0 remembers nothing.
        nesterov: Look ahead along the momentum; without one it changes nothing.

    Raises:
        ValueError: `momentum` is outside [0, 1].

    Example:
        >>> opt, p = SGD(0.1), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(2.0)}, opt.init(p), p)[0]["w"]), 3)
        0.8
    """

    learning_rate: Any = setting(rate, 0.01)
    momentum: float = setting(number, 0.0)
    nesterov: bool = False

    def check(self):
        super().check()
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"SGD: expected momentum in [0, 1], got {self.momentum!r}.")

    def slots(self, p):
        return {"momentum": jnp.zeros_like(p)} if self.momentum else {}

    def rule(self, g, p, slots, lr, step):
        if not self.momentum:
            return sgd(g, p, lr), {}
        p, m = momentum_sgd(g, p, slots["momentum"], lr, momentum=self.momentum, nesterov=self.nesterov)
        return p, {"momentum": m}


@optimizers.register
class Lion(Optimizer):
    """Sign of an interpolated momentum: `lion`. As Keras 3.

    Args:
        learning_rate: See `Optimizer`; typically 3 to 10 times smaller than Adam's.
        beta_1: Share of the momentum in the step, in (0, 1].
        beta_2: Share of the old momentum in the new.

    Example:
        >>> opt, p = Lion(0.1), {"w": jnp.float32(1.0)}
        >>> round(float(opt.update({"w": jnp.float32(7.0)}, opt.init(p), p)[0]["w"]), 3)
        0.9
    """

    learning_rate: Any = setting(rate, 0.001)
    beta_1: float = setting(number, 0.9)
    beta_2: float = setting(number, 0.99)

    def check(self):
        super().check()
        if not 0 < self.beta_1 <= 1:
            raise ValueError(f"Lion: expected beta_1 in (0, 1], got {self.beta_1!r}: at 0 the momentum has no effect.")

    def slots(self, p):
        return {"momentum": jnp.zeros_like(p)}

    def rule(self, g, p, slots, lr, step):
        p, m = lion(g, p, slots["momentum"], lr, beta_1=self.beta_1, beta_2=self.beta_2)
        return p, {"momentum": m}


@optimizers.register
class Muon(Optimizer):
    """Orthogonalized momentum for matrices, Adam for everything else: `muon`, `adam`. As Keras 3.

    Adam takes arrays that are not matrices, those with "embedding" in their path, and those `exclude_layers` finds.

    Args:
        learning_rate: See `Optimizer`, also for the arguments from `clipnorm` to `name`.
        adam_beta_1, adam_beta_2, epsilon: Adam's.
        adam_weight_decay: Weight decay of the arrays that Adam takes, or None.
        weight_decay: Weight decay of the others, or None.
        exclude_layers: Regular expressions; a path in which one is found goes to Adam. Name the output layer here.
        exclude_embeddings: Paths with "embedding" in them go to Adam.
        muon_a, muon_b, muon_c, ns_steps: Coefficients and number of the iterations of `newton_schulz`.
        adam_lr_ratio: Adam's learning rate as a multiple of `learning_rate`.
        momentum, nesterov: The momentum.
        rms_rate: Scale of a step, so that Adam's rates and decays fit; None for the unscaled rule.

    Example:
        >>> params = {"dense": {"kernel": jnp.eye(2), "bias": jnp.zeros(2)}}
        >>> {k: sorted(v) for k, v in Muon().init(params)["slots"]["dense"].items()}
        {'kernel': ['momentum'], 'bias': ['momentum', 'velocity']}
    """

    learning_rate: Any = setting(rate, 0.001)
    adam_beta_1: float = setting(number, 0.9)
    adam_beta_2: float = setting(number, 0.999)
    adam_weight_decay: float | None = setting(optional(number), 0.004)
    epsilon: float = setting(number, 1e-7)
    weight_decay: float | None = setting(optional(number), 0.004)
    clipnorm: float | None = setting(optional(number), None)
    clipvalue: float | None = setting(optional(number), None)
    global_clipnorm: float | None = setting(optional(number), None)
    use_ema: bool = False
    ema_momentum: float = setting(number, 0.99)
    ema_overwrite_frequency: int | None = setting(steps(1), None)
    loss_scale_factor: float | None = setting(optional(number), None)
    gradient_accumulation_steps: int | None = setting(steps(2), None)
    name: str = None
    exclude_layers: Any = setting(lambda patterns: list(patterns or ()), None)
    exclude_embeddings: bool = True
    muon_a: float = setting(number, 3.4445)
    muon_b: float = setting(number, -4.7750)
    muon_c: float = setting(number, 2.0315)
    adam_lr_ratio: float = setting(number, 1)
    momentum: float = setting(number, 0.95)
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: float | None = setting(optional(number), 0.2)

    blocks = (("momentum", "velocity"),)

    def takes_adam(self, path, p):
        """Whether the array at `path` is updated by Adam."""
        path = "/".join(path)
        return (
            len(p.shape) != 2
            or (self.exclude_embeddings and "embedding" in path.lower())
            or any(re.search(pattern, path) for pattern in self.exclude_layers)
        )

    def decay_at(self, path, p):
        if self.excludes(path):
            return None
        return self.adam_weight_decay if self.takes_adam(path, p) else self.weight_decay

    def slots_at(self, path, p):
        momentum = {"momentum": jnp.zeros_like(p)}
        return {**momentum, "velocity": jnp.zeros_like(p)} if self.takes_adam(path, p) else momentum

    def rule(self, g, p, slots, lr, step):
        m = slots["momentum"]
        if "velocity" in slots:
            betas = {"beta_1": self.adam_beta_1, "beta_2": self.adam_beta_2, "epsilon": self.epsilon}
            p, m, v = adam(g, p, m, slots["velocity"], lr * self.adam_lr_ratio, step, **betas)
            return p, {"momentum": m, "velocity": v}
        p, m = muon(
            g,
            p,
            m,
            lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            ns_steps=self.ns_steps,
            a=self.muon_a,
            b=self.muon_b,
            c=self.muon_c,
            rms_rate=self.rms_rate,
        )
        return p, {"momentum": m}
