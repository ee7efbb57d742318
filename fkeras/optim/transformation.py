"""A gradient transformation of another library (optax) as an optimizer.

Anything with `init(params) -> state` and `update(grads, state, params) -> (updates, state)` is one; the library itself
is never imported.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fkeras.core.settings import setting
from fkeras.core.tree import flatten, unflatten
from fkeras.optim.base import Optimizer, rate, wide


def is_transformation(value):
    """Whether a value is a pair of functions like optax's `GradientTransformation`.

    Example:
        >>> from collections import namedtuple
        >>> is_transformation(namedtuple("T", "init update")(lambda p: (), lambda g, s, p: (g, s)))
        True
    """
    if isinstance(value, (type, Optimizer)):
        return False
    return callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))


def _transformation(value):
    if not is_transformation(value):
        raise TypeError(f"expected functions `init` and `update`, as optax's, got {value!r}.")
    return value


class Transformation(Optimizer):
    """An optax transformation: p = p + update(g). `compile(optimizer=optax.adam(1e-3))` makes one.

    Args:
        transformation: Object with `init(params)` and `update(grads, state, params)`.
        name: Name.

    The learning rate is inside of the transformation: it can neither be read nor set here.

    Example:
        >>> from collections import namedtuple
        >>> def half_down(grads, state, params):
        ...     return jax.tree.map(lambda g: -0.5 * g, grads), state
        >>> p = {"w": jnp.float32(1.0)}
        >>> opt = Transformation(namedtuple("T", "init update")(lambda p: (), half_down))
        >>> float(opt.update(p, opt.init(p), p)[0]["w"])
        0.5
    """

    transformation: Any = setting(_transformation)
    name: str = None
    learning_rate: Any = setting(rate, 0.0, keyword=True)

    def init(self, params):
        state = {"iterations": jnp.zeros((), jnp.int32), "learning_rate": jnp.zeros((), jnp.float32)}
        leaves = jax.tree.leaves(self.transformation.init(params))
        return state | {"slots": {}, "held": {f"{i:04}": jnp.asarray(a) for i, a in enumerate(leaves)}}

    def extend(self, opt_state, params):
        """Returns the state; a new one where other arrays are trained, which a transformation cannot take up."""
        if opt_state is not None:
            fresh = jax.tree.leaves(jax.eval_shape(self.transformation.init, params))
            if [a.shape for a in fresh] == [a.shape for a in opt_state["held"].values()]:
                return opt_state
        return self.init(params)

    def update(self, grads, opt_state, params):
        leaves, known = flatten(params), self._aligned(params, grads)
        if not leaves:
            return params, opt_state
        # In a form of its own: a gradient that is missing counts 0, and what has none keeps its value.
        full = unflatten({p: known[p].astype(a.dtype) if p in known else jnp.zeros_like(a) for p, a in leaves.items()})
        form = jax.tree.structure(jax.eval_shape(self.transformation.init, params))
        inner = jax.tree.unflatten(form, list(opt_state["held"].values()))
        change, inner = self.transformation.update(full, inner, params)
        change = flatten(change)
        new = {p: (a.astype(wide(a)) + change[p].astype(wide(a))).astype(a.dtype) for p, a in leaves.items()}
        held = dict(zip(opt_state["held"], jax.tree.leaves(inner), strict=True))
        held = {name: jnp.asarray(a).astype(opt_state["held"][name].dtype) for name, a in held.items()}
        new = unflatten({p: a if p in known else leaves[p] for p, a in new.items()})
        return new, {**opt_state, "iterations": opt_state["iterations"] + 1, "held": held}

    def variables_layout(self, params_paths, opt_state=None):
        opt_state = self._known_state(opt_state)
        return [("iteration", ("iterations",))] + [(f"held_{name}", ("held", name)) for name in opt_state["held"]]

    def holds(self, path):
        return True

    def _get_learning_rate(self):
        raise AttributeError(
            f"{self.name!r}: the learning rate is inside of the transformation, where it cannot be read or set. Give "
            f"the transformation a schedule, or use fkeras.optimizers."
        )

    def _set_learning_rate(self, value):
        if self._sealed:
            self._get_learning_rate()

    def __repr__(self):
        return f"Transformation({self.transformation!r})"

    def get_config(self):
        raise ValueError(
            f"{self.name!r} cannot be written into a config: a transformation is code, which is never stored. Save the "
            f"weights, or compile with one of fkeras.optimizers."
        )
