"""Several optimizers as one: each array is trained by the one that its path chooses."""

import re
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp

from fkeras.core.settings import deserialize, optional, serialize, setting
from fkeras.core.tree import flatten, unflatten
from fkeras.optim.base import Optimizer, optimizers, rate
from fkeras.optim.loss_scale import LossScaleOptimizer
from fkeras.optim.schedules import number
from fkeras.optim.variables import Count


@optimizers.register
class OptimizerMap(MutableMapping):
    """Optimizers by the paths of variables: an exact path, or a regular expression that matches all of it.

    Args:
        default_optimizer: Where nothing matches.
        optimizer_map: Dict {path or expression: optimizer}.

    Raises:
        ValueError: A key that is there already, an optimizer of several, or two expressions that match one path.

    Example:
        >>> chosen = OptimizerMap(SGD(), {"encoder/.*": Adam()})
        >>> chosen["encoder/dense/kernel"].name, chosen["decoder/kernel"].name
        ('adam', 'sgd')
    """

    def __init__(self, default_optimizer, optimizer_map=None):
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(f"OptimizerMap(default_optimizer={default_optimizer!r}): expected an optimizer.")
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(f"OptimizerMap(optimizer_map={optimizer_map!r}): expected a dict of optimizers by path.")
        self.default_optimizer, self._map = default_optimizer, {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    def __getitem__(self, path):
        if path in self._map:
            return self._map[path]
        found = [key for key in self._map if re.fullmatch(key, path)]
        if len(found) > 1:
            raise ValueError(f"OptimizerMap: {path!r} is matched by {found[0]!r} and by {found[1]!r}; expected one.")
        return self._map[found[0]] if found else self.default_optimizer

    def __setitem__(self, key, optimizer):
        if not isinstance(key, str):
            raise ValueError(f"OptimizerMap: expected a path or an expression as key, got {key!r}.")
        if key in self._map:
            raise ValueError(f"OptimizerMap: it has an optimizer for {key!r} already; delete that one first.")
        self._map[key] = _single(optimizer, key)

    def __delitem__(self, key):
        del self._map[key]

    def __len__(self):
        return len(self._map)

    def __iter__(self):
        return iter(self._map)

    def values(self):
        """The optimizers, without the default."""
        return self._map.values()

    def items(self):
        """Pairs (path or expression, optimizer), without the default."""
        return self._map.items()

    def __call__(self, variable):
        """Returns the optimizer of a variable, by its `path`."""
        return self[variable.path]

    def get_config(self):
        """Returns both optimizers' settings in JSON's types."""
        inner = {key: serialize(optimizer) for key, optimizer in self._map.items()}
        return {"default_optimizer": serialize(self.default_optimizer), "optimizer_map": inner}

    @classmethod
    def from_config(cls, config):
        """Makes the map that `get_config` described."""
        inner = {key: deserialize(value) for key, value in (config.get("optimizer_map") or {}).items()}
        return cls(deserialize(config["default_optimizer"]), inner)


def _single(optimizer, key):
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise ValueError(
            f"MultiOptimizer: expected an optimizer of its own for {key!r} (no LossScaleOptimizer, no MultiOptimizer), "
            f"got {optimizer!r}."
        )
    return optimizer


def _chooser(value):
    value = deserialize(value) if isinstance(value, dict) else value
    if not callable(value):
        raise TypeError(f"expected an OptimizerMap or a function variable -> optimizer, got {value!r}.")
    return value


@optimizers.register
class MultiOptimizer(Optimizer):
    """Several optimizers as one: each variable is trained by the one that its path chooses. As Keras 3.

    Args:
        optimizer_map: `OptimizerMap`, or a function of a variable (its `path` and `name`) that returns an optimizer.
        loss_scale_factor: In place of those of the optimizers.
        name: Name. There is no learning rate of its own: see those of `optimizers`.

    Example:
        >>> opt = MultiOptimizer(OptimizerMap(SGD(0.5), {"a": SGD(1.0)}))
        >>> p = {"a": jnp.float32(1.0), "b": jnp.float32(1.0)}
        >>> new, _ = opt.update(p, opt.init(p), p)
        >>> float(new["a"]), float(new["b"])
        (0.0, 0.5)
    """

    optimizer_map: Any = setting(_chooser)
    loss_scale_factor: float | None = setting(optional(number), None)
    name: str = None
    learning_rate: Any = setting(rate, 0.0, keyword=True)

    _count = None

    def check(self):
        super().check()
        chosen = list(getattr(self.optimizer_map, "values", tuple)())
        chosen += [one] if (one := getattr(self.optimizer_map, "default_optimizer", None)) is not None else []
        object.__setattr__(self, "optimizers", [])
        for one in chosen:
            self._index(_single(one, "default_optimizer"))

    def _index(self, optimizer):
        """Returns the place of an optimizer among `optimizers`, where a new one is added."""
        for i, one in enumerate(self.optimizers):
            if one is optimizer:
                return i
        if optimizer.loss_scale_factor != self.loss_scale_factor:
            object.__setattr__(optimizer, "loss_scale_factor", self.loss_scale_factor)
            optimizer.revision += 1
        self.optimizers.append(optimizer)
        return len(self.optimizers) - 1

    def _place(self, path):
        """Returns which optimizer trains the array at `path`, by its variable's path where a model is known."""
        model = self._model() if self._model is not None else None
        handle = model.variables_by_path().get(path) if model is not None and model.built else None
        seen = SimpleNamespace(path="/".join(path), name=path[-1].rsplit("/")[-1]) if handle is None else handle
        return self._index(_single(self.optimizer_map(seen), seen.path))

    def _parts(self, tree):
        """Returns {place of an optimizer: its part of a nested dict}."""
        parts = {}
        for path, leaf in flatten(tree).items():
            parts.setdefault(str(self._place(path)), {})[path] = leaf
        return {place: unflatten(leaves) for place, leaves in sorted(parts.items())}

    # ------------------------------------------------------------------------------------------ pure

    def init(self, params):
        return self.extend({"iterations": jnp.zeros((), jnp.int32), "parts": {}}, params)

    def extend(self, opt_state, params):
        if opt_state is None:
            return self.init(params)
        parts = dict(opt_state["parts"])
        for place, part in self._parts(params).items():
            parts[place] = self.optimizers[int(place)].extend(parts.get(place), part)
        return {**opt_state, "parts": parts}

    def update(self, grads, opt_state, params):
        self._aligned(params, grads)
        parts, new = dict(opt_state["parts"]), {}
        split, none = self._parts(grads), not flatten(params)
        for place, part in self._parts(params).items():
            if all(g is None for g in flatten(split[place]).values()):
                new |= flatten(part)
                continue
            after, parts[place] = self.optimizers[int(place)].update(split[place], parts[place], part)
            new |= flatten(after)
        ordered = {path: new[path] for path in flatten(params)}
        return unflatten(ordered), {"iterations": opt_state["iterations"] + int(not none), "parts": parts}

    def finalize(self, opt_state, params):
        if not any(one.use_ema for one in self.optimizers):
            return params
        new = {}
        for place, part in self._parts(params).items():
            new |= flatten(self.optimizers[int(place)].finalize(opt_state["parts"][place], part))
        return unflatten({path: new[path] for path in flatten(params)})

    def clock(self, opt_state):
        return opt_state["iterations"]

    def rate_at(self, opt_state):
        raise AttributeError(f"{self.name!r} has no learning rate of its own: see those of its `optimizers`.")

    def variables_layout(self, params_paths, opt_state=None):
        opt_state, layout = self._known_state(opt_state), [("iteration", ("iterations",))]
        mine = {}
        for path in map(tuple, params_paths):
            mine.setdefault(self._place(path), []).append(path)
        for i, one in enumerate(self.optimizers):
            if (part := opt_state["parts"].get(str(i))) is not None:
                below = one.variables_layout(mine.get(i, []), part)
                layout += [(f"{one.name}/{name}", ("parts", str(i), *path)) for name, path in below]
        return layout

    # ----------------------------------------------------------------------------------------- facade

    @property
    def state(self):
        """The current state; each optimizer holds its part of it."""
        if self._count is None:
            return None
        held = {str(i): one.state for i, one in enumerate(self.optimizers) if one.state is not None}
        return {"iterations": self._count, "parts": held}

    @state.setter
    def state(self, value):
        object.__setattr__(self, "_count", None if value is None else value["iterations"])
        for i, one in enumerate(self.optimizers):
            one.state = None if value is None else value["parts"].get(str(i))

    _state = state

    def holds(self, path):
        held = self._known_state(None)["parts"].get(str(self._place(path)))
        return held is not None and self.optimizers[self._place(path)].holds(path)

    @property
    def iterations(self):
        return Count(0 if self._count is None else self._count, self._set_iterations)

    @iterations.setter
    def iterations(self, value):
        self._set_iterations(value)

    def _set_iterations(self, value):
        self._known_state(None)
        object.__setattr__(self, "_count", jnp.asarray(int(value), jnp.int32))

    def _get_learning_rate(self):
        raise AttributeError(f"{self.name!r} has no learning rate of its own: see those of its `optimizers`.")

    def _set_learning_rate(self, value):
        if self._sealed:
            self._get_learning_rate()

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for one in self.optimizers:
            one.exclude_from_weight_decay(var_list, var_names)

    @property
    def revision(self):
        return sum(one.revision for one in self.optimizers)

    def __repr__(self):
        return f"MultiOptimizer({', '.join(map(repr, self.optimizers))})"

    def get_config(self):
        chooser = self.optimizer_map
        if not hasattr(chooser, "get_config"):
            raise ValueError(
                f"MultiOptimizer {self.name!r} cannot be written into a config: its choice is a function, and code is "
                f"never stored. Use an OptimizerMap."
            )
        return {"name": self.name, "optimizer_map": serialize(chooser), "loss_scale_factor": self.loss_scale_factor}
