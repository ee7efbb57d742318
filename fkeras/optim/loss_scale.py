"""Loss scaling that finds its own factor, for training in float16."""

from typing import Any

import jax
import jax.numpy as jnp

from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import positive_int, setting
from fkeras.optim.base import Optimizer, optimizers, rate
from fkeras.optim.resolve import get
from fkeras.optim.schedules import number
from fkeras.optim.variables import Count


def next_scale(finite, scale, counter, growth_steps):
    """The loss scale after a step: halved when gradients overflowed, doubled after `growth_steps` without.

    Returns:
        (scale float32 [], counter int32 []), the counter of steps since the scale last changed.

    Example:
        >>> [float(next_scale(ok, 8.0, 4, 5)[0]) for ok in (True, False)]
        [16.0, 4.0]

    Reference:
        Micikevicius et al., "Mixed Precision Training", 2017, arXiv:1710.03740.
    """
    full = jnp.equal(counter, growth_steps - 1)
    factor = jnp.where(finite, jnp.where(full, 2.0, 1.0), 0.5)
    return scale * factor, jnp.where(finite & ~full, counter + 1, 0)


def _dynamic(value):
    if not value:
        raise ValueError("a fixed scale is the optimizer's own: set `loss_scale_factor` on it, without this wrapper.")
    return True


@optimizers.register
class LossScaleOptimizer(Optimizer):
    """Another optimizer, with gradients of a scaled loss; steps whose gradients overflow are skipped. As Keras 3.

    Args:
        inner_optimizer: The optimizer (name, object or config) that is given the unscaled gradients.
        initial_scale: The scale to start from; too high costs a few skipped steps, too low costs many steps.
        dynamic_growth_steps: Steps without overflow after which the scale is doubled.
        dynamic: Only True, Keras's name of what this optimizer does.
        name: Name. All other arguments of `Optimizer` belong to the inner optimizer.

    Raises:
        ValueError: An argument that belongs to the inner optimizer, or an inner optimizer with a scale of its own.

    Example:
        >>> opt, p = LossScaleOptimizer(SGD(0.1), initial_scale=8.0), {"w": jnp.float16(1.0)}
        >>> state = opt.init(p)
        >>> grads = jax.grad(lambda p: opt.scale_loss(p["w"] ** 2, state).astype(jnp.float32))(p)
        >>> round(float(opt.update(grads, state, p)[0]["w"]), 2)
        0.8
    """

    inner_optimizer: Any = setting(get)
    initial_scale: float = setting(number, 2.0**15)
    dynamic_growth_steps: int = setting(positive_int, 2000)
    name: str = None
    learning_rate: Any = setting(rate, 0.0, keyword=True)
    dynamic: bool = setting(_dynamic, True, keyword=True, saved=False)

    def check(self):
        for name, field in self._fields.items():
            if name in Optimizer._fields and name not in ("learning_rate", "name"):
                _inner_only(name, getattr(self, name), field.default)
        if self.inner_optimizer.loss_scale_factor is not None:
            raise ValueError("LossScaleOptimizer: the inner optimizer has a loss_scale_factor of its own; drop it.")

    # ------------------------------------------------------------------------------------------ pure

    def init(self, params):
        return {
            "iterations": jnp.zeros((), jnp.int32),  # this and the rate are only there for Keras's files: the ones
            "learning_rate": jnp.zeros((), jnp.float32),  # that count are the inner optimizer's
            "step_counter": jnp.zeros((), jnp.int32),
            "dynamic_scale": jnp.asarray(self.initial_scale, jnp.float32),
            "inner": self.inner_optimizer.init(params),
        }

    def extend(self, opt_state, params):
        if opt_state is None:
            return self.init(params)
        return {**opt_state, "inner": self.inner_optimizer.extend(opt_state["inner"], params)}

    def update(self, grads, opt_state, params):
        inner, scale = opt_state["inner"], opt_state["dynamic_scale"]
        finite = jnp.all(jnp.stack([jnp.bool_(True), *(jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(grads))]))
        # In float32: a scale above 65504 is infinite in float16.
        grads = jax.tree.map(lambda g: g.astype(at_least_float32(g.dtype)) / scale, grads)
        params, inner = jax.lax.cond(
            finite, lambda: self.inner_optimizer.update(grads, inner, params), lambda: (params, inner)
        )
        scale, counter = next_scale(finite, scale, opt_state["step_counter"], self.dynamic_growth_steps)
        return params, {**opt_state, "inner": inner, "dynamic_scale": scale, "step_counter": counter}

    def finalize(self, opt_state, params):
        return self.inner_optimizer.finalize(opt_state["inner"], params)

    def scale_loss(self, loss, opt_state=None):
        opt_state = self.state if opt_state is None else opt_state
        return loss * (self.initial_scale if opt_state is None else opt_state["dynamic_scale"])

    def rate_at(self, opt_state):
        return self.inner_optimizer.rate_at(opt_state["inner"])

    def clock(self, opt_state):
        return self.inner_optimizer.clock(opt_state["inner"])

    def variables_layout(self, params_paths, opt_state=None):
        inner = self.inner_optimizer
        below = inner.variables_layout(params_paths, self._known_state(opt_state)["inner"])
        own = ["iteration", "learning_rate", "step_counter", "dynamic_scale"]
        layout = [(name, ("iterations" if name == "iteration" else name,)) for name in own]
        return layout + [(f"{inner.name}/{name}", ("inner", *path)) for name, path in below]

    # ----------------------------------------------------------------------------------------- facade

    def _inner(self):
        """The inner optimizer, holding its part of this one's state."""
        self.inner_optimizer.state = None if self._state is None else self._state["inner"]
        return self.inner_optimizer

    def _take(self, inner):
        if self._state is not None:
            self._state = {**self._state, "inner": inner.state}

    def _refresh(self):
        if not self.inner_optimizer._takes_step:
            self._take(self._inner())

    def _present_rate(self):
        return self._inner()._present_rate()

    def _set_learning_rate(self, value):
        if not self._sealed:
            return _inner_only("learning_rate", value, 0.0)
        inner = self._inner()
        inner.learning_rate = value
        self._take(inner)

    @property
    def schedule(self):
        return self.inner_optimizer.schedule

    @property
    def revision(self):
        return self.inner_optimizer.revision

    @property
    def iterations(self):
        return Count(self._inner().iterations, self._set_iterations)

    @iterations.setter
    def iterations(self, value):
        self._set_iterations(value)

    def _set_iterations(self, value):
        inner = self._inner()
        inner.iterations = value
        self._take(inner)

    def holds(self, path):
        return self._inner().holds(path)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self._inner().exclude_from_weight_decay(var_list, var_names)

    def get_config(self):
        config = super().get_config()
        return {n: config[n] for n in ("name", "inner_optimizer", "initial_scale", "dynamic_growth_steps")}


def _inner_only(name, value, default):
    if value != default:
        raise ValueError(f"LossScaleOptimizer: {name}={value!r} belongs to the inner optimizer; set it there.")
