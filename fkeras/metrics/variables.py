"""Metrics written the Keras way, run purely.

A class that defines `update_state` assigns to variables. Its `update` is made from that: for the length of one call the
metric's variables hold the given state's arrays, `update_state` runs, the arrays they then hold are the new state, and
the metric's own arrays are put back. Nothing traced stays behind, so it compiles under `jit` and `scan`.
"""

import inspect
import operator

import jax
import jax.numpy as jnp

from fkeras import initializers
from fkeras.core.settings import Configured


class Variable:
    """One named array of a metric's own state, read and assigned as in Keras; functions of JAX take its `value`."""

    __array_priority__ = 100  # numpy_array + variable asks the variable

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    @property
    def value(self):
        if self.owner._state is None:
            start(self.owner)
        return self.owner._state[self.name]

    def assign(self, value):
        old = self.value
        new = jnp.asarray(value, old.dtype)
        if new.shape not in ((), old.shape):
            raise ValueError(
                f"Metric {self.owner.name!r}, variable {self.name!r}: expected shape {old.shape}, got {new.shape}."
            )
        self.owner._state = {**self.owner._state, self.name: jnp.broadcast_to(new, old.shape)}
        return self

    def assign_add(self, value):
        return self.assign(self.value + value)

    def assign_sub(self, value):
        return self.assign(self.value - value)

    def numpy(self):
        return self.__array__()

    def __jax_array__(self):
        return self.value

    def __array__(self, dtype=None, copy=None):
        return self.value.__array__(dtype)

    def __getattr__(self, name):  # shape, dtype, sum, astype, ...
        if name.startswith("__") or name == "owner":
            raise AttributeError(name)
        return getattr(self.value, name)

    def __repr__(self):
        return f"<Variable {self.name!r} of metric {self.owner.name!r}: {self.value}>"


def _forward(name):
    rule = getattr(operator, name, None) or {"__float__": float, "__int__": int, "__bool__": bool, "__len__": len}[name]
    return lambda self, *args: rule(self.value, *(getattr(a, "value", a) for a in args))


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "pow", "matmul", "lt", "le", "gt", "ge", "eq", "ne", "getitem")
for _name in (*_BINARY, "neg", "abs", "float", "int", "bool", "len"):
    setattr(Variable, f"__{_name}__", _forward(f"__{_name}__"))
for _name in _BINARY[:6]:
    _rule = getattr(operator, f"__{_name}__")
    setattr(Variable, f"__r{_name}__", lambda self, other, rule=_rule: rule(other, self.value))
Variable.__hash__ = object.__hash__

# ------------------------------------------------------------------- where a metric's arrays are kept


def inner(metric):
    """Returns {attribute: metric} for the metrics that a Keras-style metric holds, also in lists and dicts."""
    found = {}
    for attribute, value in vars(metric).items() if metric.keras_style else ():
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        for key, part in parts or [("", value)]:
            if isinstance(part, Configured) and hasattr(part, "update_state"):
                found[f"{attribute}.{key}" if parts else attribute] = part
    return found


def start(metric, *shapes):
    """Gives a metric, and those inner metrics that have none yet, the state of an empty stream."""
    state, parts = metric.init(*shapes), inner(metric)
    metric._state = {name: a for name, a in state.items() if name not in parts}
    for name, part in parts.items():
        if part._state is None:
            write(part, state[name])


def read(metric):
    """Returns a metric's own state, with those of its inner metrics under their attributes."""
    if metric._state is None:
        start(metric)
    return {**metric._state, **{name: read(part) for name, part in inner(metric).items()}}


def write(metric, state):
    """Makes `state` a metric's own state; None forgets it."""
    parts = inner(metric)
    metric._state = None if state is None else {name: a for name, a in state.items() if name not in parts}
    for name, part in parts.items():
        write(part, None if state is None else state[name])


def reset(metric):
    """Puts a metric's own state back to an empty stream's, keeping shapes that were learned from data."""
    if metric._state is not None and metric.keras_style:
        declared = metric._declared
        metric._state = {n: initial(*declared[n]) if n in declared else a * 0 for n, a in metric._state.items()}
    else:
        metric._state = None
    for part in inner(metric).values():
        part.reset_state()


def bound(metric, state, call, *args, **kwargs):
    """Returns (call(metric, ...), the state it left), with `state` as the metric's own for that long."""
    family, todo = [], [metric]
    while todo:
        family.append(one := todo.pop())
        todo.extend(inner(one).values())
    before = [(one, one._state) for one in family]
    try:
        write(metric, state)
        out = call(metric, *args, **kwargs)
        return jax.tree.map(lambda v: v.value if isinstance(v, Variable) else v, out), read(metric)
    finally:
        for one, own in before:
            one._state = own


def declare(metric, shape, initializer, dtype, name):
    """Notes that `metric` keeps an array of this shape, and returns its variable."""
    declared = vars(metric).setdefault("_declared", {})
    name = name or f"variable_{len(declared)}"
    if name in declared:
        raise ValueError(f"Metric {metric.name!r} already has a variable named {name!r}: give each its own name.")
    declared[name] = (tuple(shape), initializer, dtype)
    if metric._state is not None:
        metric._state = {**metric._state, name: initial(*declared[name])}
    return Variable(metric, name)


def initial(shape, initializer, dtype):
    """Returns the array that a variable starts with."""
    return jnp.zeros(shape, dtype) if initializer is None else initializers.get(initializer)(shape, dtype)


# ---------------------------------------------------------- the pure four of a class written the Keras way


def _init(self, y_true_shape=None, y_pred_shape=None):
    state = pure(type(self), "init")(self, y_true_shape, y_pred_shape)
    state |= {name: initial(*how) for name, how in self._declared.items()}
    state |= {name: part.init(y_true_shape, y_pred_shape) for name, part in inner(self).items()}
    _, state = bound(self, state, type(self).reset_state)
    return state


def _update(self, state, y_true, y_pred=None, sample_weight=None, mask=None, rows=None):
    accepted = inspect.signature(self.update_state).parameters
    if rows is not None and "rows" not in accepted:
        raise ValueError(
            f"Metric {self.name!r} cannot leave out padded rows: its `update_state` has no `rows` parameter. "
            f"Give it the real rows only, with rows=None."
        )
    batch = (y_true,) if y_pred is None else (y_true, y_pred)  # a Mean takes `values` alone
    extra = {k: v for k, v in {"mask": mask, "rows": rows}.items() if k in accepted}
    if sample_weight is not None or "sample_weight" in accepted:
        extra["sample_weight"] = sample_weight
    _, new = bound(self, state, type(self).update_state, *batch, **extra)
    if jax.tree.structure(new) != jax.tree.structure(state):
        raise ValueError(
            f"Metric {self.name!r}: `update_state` made variables ({', '.join(sorted(set(new) - set(state)))}). "
            f"Make them in `__init__`, so that the state keeps its structure."
        )
    return new


def _merge(self, a, b):
    parts = inner(self)
    out = {n: parts[n].merge(a[n], b[n]) if n in parts else a[n] + b[n] for n in a}
    return out | {name: out[name] - initial(*how) for name, how in self._declared.items()}


def _rows_meet(self, y_true, y_pred):
    if "rows" not in inspect.signature(self.update_state).parameters:
        return "takes no `rows` in `update_state`"
    return None


_RULES = {"init": _init, "update": _update, "merge": _merge, "rows_meet": _rows_meet}


def lift(cls):
    """Gives a class that defines `update_state` the pure `init`, `update`, `merge`, `rows_meet` that follow from it."""
    cls.keras_style = True
    for name, rule in _RULES.items():
        if name not in vars(cls):
            setattr(cls, name, rule)


def pure(cls, name):
    """Returns the nearest method of that name that was written, not lifted."""
    return next(vars(c)[name] for c in cls.__mro__ if vars(c).get(name, _RULES[name]) is not _RULES[name])
