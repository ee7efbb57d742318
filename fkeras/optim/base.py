"""What every optimizer shares: lifting a rule over trees, clipping, weight decay, averaging, accumulation, the rate.

An optimizer of one's own is the paper's rule for one array and the arrays it remembers:

    class SignSGD(Optimizer):
        learning_rate: float = setting(rate, 0.01)
        momentum: float = setting(number, 0.9)

        def slots(self, p):
            return {"momentum": jnp.zeros_like(p)}

        def rule(self, g, p, slots, lr, step):
            m = self.momentum * slots["momentum"] + g
            return p - lr * jnp.sign(m), {"momentum": m}
"""

import copy
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import Configured, Registry, optional, serialize, setting
from fkeras.core.tree import flatten
from fkeras.optim.clipping import clip_by_global_norm, clip_by_norm
from fkeras.optim.rates import Rate, placed_like, rate, takes_step
from fkeras.optim.schedules import number
from fkeras.optim.variables import Count, OnVariables

optimizers = Registry("optimizer", "keras.optimizers")

# ------------------------------------------------------------------------------- arrays and trees


def at(tree, path):
    """Returns what lies at `path` of a nested dict, or None."""
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return None
        tree = tree[key]
    return tree


def graft(tree, leaves):
    """Returns a copy of a nested dict in which these {path: leaf} are replaced or added.

    Example:
        >>> graft({"a": {"b": 1, "c": 2}, "d": {}}, {("a", "b"): 3})
        {'a': {'b': 3, 'c': 2}, 'd': {}}
    """
    if () in leaves:
        return leaves[()]
    out, below = dict(tree), {}
    for (key, *rest), leaf in leaves.items():
        below.setdefault(key, {})[tuple(rest)] = leaf
    for key, sub in below.items():
        out[key] = graft(out.get(key, {}), sub)
    return out


def moving_average(average, p, momentum):
    """One step of an exponential moving average: `momentum * average + (1 - momentum) * p`."""
    return momentum * average + (1 - momentum) * p


def wide(p):
    """The dtype an update of `p` is computed and remembered in: at least float32."""
    return at_least_float32(p.dtype)


# ------------------------------------------------------------------------------------ the optimizer


def steps(least):
    """Converter: an int of at least `least`, or None."""

    def convert(value):
        if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
            raise ValueError(f"expected an integer >= {least} or None, got {value!r}.")
        return int(value)

    return lambda value: None if value is None else convert(value)


class Optimizer(OnVariables, Configured):
    """Base of all optimizers. Pure: `init`, `update`, `extend`, `finalize`; stateful only: `state`.

    On lists of variables, as in Keras: `apply`, `apply_gradients`, `variables`, `stateless_apply` (`OnVariables`).

    A subclass writes `slots` and `rule`; see the top of this file. The state is a dict of arrays:

        {"iterations": int32 [], "learning_rate": float32 [], "slots": {layer: {weight: {slot: array}}}}

    and, when used, "ema" and "accumulated" (trees like the parameters), "shared" (scalars for all arrays) and "idle"
    (int32 [], the updates that had nothing to train). The
    order within an update is Keras 3's: unscale, accumulate, clip, decay weights, rule, average. Half precision
    parameters keep their dtype; the update is computed, and slots are kept, in float32 (Keras keeps the parameter's
    dtype, in which Adam's second moment of small gradients is zero).

    Args:
        learning_rate: Float, `LearningRateSchedule`, or a callable. A callable of the step is compiled into the update;
            one without arguments is read whenever `state` is.
        weight_decay: Decoupled decay: `p -= p * weight_decay * learning_rate` before the rule.
        clipnorm: Greatest 2-norm of each gradient array.
        clipvalue: Greatest absolute value of each gradient entry.
        global_clipnorm: Greatest 2-norm of all gradients together. At most one of the three.
        use_ema: Keep moving averages of the parameters; `finalize` puts them in place at the end.
        ema_momentum: `average = ema_momentum * average + (1 - ema_momentum) * p`.
        ema_overwrite_frequency: Also put the averages in place every so many updates.
        loss_scale_factor: `scale_loss` multiplies the loss by it, `update` divides the gradients.
        gradient_accumulation_steps: Average the gradients of so many calls, and update on the last of them.
        name: Name; the class name in snake case by default.

    Raises:
        ValueError: More than one way of clipping, or a number outside its range.

    Example:
        >>> params = {"dense": {"kernel": jnp.ones((2, 2))}}
        >>> opt = SGD(0.5)
        >>> new, state = opt.update(params, opt.init(params), params)
        >>> float(new["dense"]["kernel"][0, 0]), int(state["iterations"])
        (0.5, 1)
    """

    learning_rate: Any = setting(rate)
    weight_decay: float | None = setting(optional(number), None)
    clipnorm: float | None = setting(optional(number), None)
    clipvalue: float | None = setting(optional(number), None)
    global_clipnorm: float | None = setting(optional(number), None)
    use_ema: bool = False
    ema_momentum: float = setting(number, 0.99)
    ema_overwrite_frequency: int | None = setting(steps(1), None)
    loss_scale_factor: float | None = setting(optional(number), None)
    gradient_accumulation_steps: int | None = setting(steps(2), None)
    name: str = None

    # Slot names in the order of Keras's variable list: one block after the other, each interleaved array by array.
    blocks = ()

    _schedule = None  # what computes the rate, if anything does
    _takes_step = True
    _rate = 0.0  # the rate as it was last set, where nothing computes it
    _state = None
    _excluded = (frozenset(), None)
    revision = 0  # counts changes that a compiled update has not seen: part of the key of any cache of compiled steps

    def check(self):
        clips = {n: getattr(self, n) for n in ("clipnorm", "clipvalue", "global_clipnorm")}
        if sum(v is not None for v in clips.values()) > 1:
            raise ValueError(
                f"{type(self).__name__}: expected at most one of clipnorm, clipvalue and global_clipnorm, "
                f"got {', '.join(f'{n}={v!r}' for n, v in clips.items() if v is not None)}."
            )
        if not 0 <= self.ema_momentum <= 1:
            raise ValueError(f"{type(self).__name__}: expected ema_momentum in [0, 1], got {self.ema_momentum!r}.")

    # ------------------------------------------------------------------------ what a subclass writes

    def slots(self, p):
        """Returns the arrays to remember for parameter `p`: {name: array}; `p` comes in at least float32."""
        return {}

    def rule(self, g, p, slots, lr, step):
        """Returns (new p, new slots) for one array; `lr` and `step` (1 at the first update) are float32 scalars."""
        raise TypeError(f"{type(self).__name__} has no rule: define `rule(self, g, p, slots, lr, step)` on it.")

    def shared(self):
        """Returns scalars that all arrays share, {name: float}; `rule` finds them among its slots."""
        return {}

    def advance(self, shared, step):
        """Returns the shared scalars of this step, computed once before the rule is applied to the arrays."""
        return shared

    def slots_at(self, path, p):
        """As `slots`, for an optimizer that treats arrays by their path."""
        return self.slots(p)

    def decay_at(self, path, p):
        """Returns the weight decay of the array at `path`, or None."""
        return None if self.excludes(path) else self.weight_decay

    # ------------------------------------------------------------------------------------------ pure

    def init(self, params):
        """Returns the state for a nested dict of float arrays, before the first step."""
        leaves = flatten(params)
        state = {"iterations": jnp.zeros((), jnp.int32), "learning_rate": jnp.asarray(self._plain_rate(), jnp.float32)}
        state["learning_rate"] = self.rate_at(state)
        state["slots"] = graft({}, {path: self._slots_of(path)(p) for path, p in leaves.items()})
        if shared := self.shared():
            state["shared"] = {k: jnp.asarray(v, jnp.float32) for k, v in shared.items()}
        for name in self._copies():
            state[name] = graft({}, {path: jnp.zeros(p.shape, wide(p)) for path, p in leaves.items()})
        return state if leaves else {**state, "idle": jnp.zeros((), jnp.int32)}

    def extend(self, opt_state, params):
        """Returns the state with fresh slots for the paths of `params` it lacks; slots of frozen arrays are kept."""
        if opt_state is None:
            return self.init(params)
        leaves, out = flatten(params), dict(opt_state)
        sizes = {path: jax.eval_shape(self._slots_of(path), p) for path, p in leaves.items()}
        new = {path: p for path, p in leaves.items() if not _same_shapes(at(out["slots"], path), sizes[path])}
        out["slots"] = graft(out["slots"], {path: self._slots_of(path)(p) for path, p in new.items()})
        for name in self._copies():
            missing = {q: p for q, p in leaves.items() if getattr(at(out[name], q), "shape", None) != p.shape}
            # The average of an array that was not yet averaged starts at the array: a zero would be averaged in.
            start = (lambda p: jnp.array(p, wide(p))) if name == "ema" else (lambda p: jnp.zeros(p.shape, wide(p)))
            out[name] = graft(out[name], {path: start(p) for path, p in missing.items()})
        return out if leaves else {"idle": jnp.zeros((), jnp.int32), **out}

    def update(self, grads, opt_state, params):
        """One step: returns (new params, new state). Pure; give it to `jax.jit`.

        Args:
            grads: Tree like `params`; a leaf None leaves its parameter and slots as they are.
            opt_state: What `init` or the last `update` returned. "learning_rate" may be replaced at any time.
            params: Nested dict of float arrays.

        Raises:
            ValueError: The gradients or the state do not belong to these parameters.
        """
        leaves, grads = flatten(params), self._aligned(params, grads)
        slots = {path: at(opt_state["slots"], path) for path in leaves}
        if lost := [path for path in grads if slots[path] is None]:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: the state has no slots for {_show(lost)}. "
                f"Was it made for other parameters? `extend(opt_state, params)` adds what is missing."
            )
        if not leaves:  # nothing is trained: that is no iteration, but noise and the order of data go on
            return params, {**opt_state, "idle": opt_state.get("idle", 0) + 1}
        state, count = dict(opt_state), opt_state["iterations"]
        lr = self.rate_at(opt_state)
        grads = {path: g.astype(wide(leaves[path])) for path, g in grads.items()}
        if self.loss_scale_factor is not None:
            grads = {path: g / self.loss_scale_factor for path, g in grads.items()}
        step = self._updates(count)  # updates done before this one
        moving = slots, opt_state.get("shared", {})
        if n := self.gradient_accumulation_steps:
            kept = {path: at(opt_state["accumulated"], path) for path in grads}
            total = {path: kept[path] + g for path, g in grads.items()}

            def act():
                return *self._apply({k: t / n for k, t in total.items()}, leaves, *moving, lr, step), {
                    k: jnp.zeros_like(t) for k, t in total.items()
                }

            new, slots, shared, kept = jax.lax.cond((count + 1) % n == 0, act, lambda: (leaves, *moving, total))
            state["accumulated"] = graft(opt_state["accumulated"], kept)
        else:
            new, slots, shared = self._apply(grads, leaves, *moving, lr, step)
        if self.use_ema:
            new, state["ema"] = self._average(new, opt_state["ema"], step)
        if shared:
            state["shared"] = shared
        state["slots"] = graft(opt_state["slots"], slots)
        state["learning_rate"] = lr
        state["iterations"] = count + 1
        return graft(params, new), state

    def finalize(self, opt_state, params):
        """Returns the parameters to keep after training: their moving averages with `use_ema`, else themselves."""
        if not self.use_ema:
            return params
        leaves = {path: (p, at(opt_state["ema"], path)) for path, p in flatten(params).items()}
        return graft(params, {path: p if a is None else a.astype(p.dtype) for path, (p, a) in leaves.items()})

    def scale_loss(self, loss, opt_state=None):
        """Returns the loss to take the gradient of, so that half precision gradients do not vanish."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def rate_at(self, opt_state):
        """Returns the learning rate that the next `update` of this state uses, a float32 scalar."""
        if self._schedule is None or not self._takes_step:
            return opt_state["learning_rate"]
        return jnp.asarray(self._schedule(opt_state["iterations"]), jnp.float32)

    def clock(self, opt_state):
        """Returns how often `update` was called on this state, an int32 scalar: what noise and data order depend on."""
        return opt_state["iterations"] + opt_state.get("idle", 0)

    # -------------------------------------------------------------------------------- parts of update

    def _apply(self, grads, leaves, slots, shared, lr, step):
        grads = self._clip(grads)
        step = step.astype(jnp.float32) + 1
        shared = self.advance(shared, step)
        leaves, slots = dict(leaves), dict(slots)
        for path, g in grads.items():
            p, old = leaves[path], slots[path]
            x, rate, n = p.astype(g.dtype), lr.astype(g.dtype), step.astype(g.dtype)
            if decay := self.decay_at(path, p):
                x = x - x * (decay * rate)
            common = {name: s.astype(g.dtype) for name, s in shared.items()}
            x, new = self.rule(g, x, {**old, **common}, rate, n)
            leaves[path] = x.astype(p.dtype)
            slots[path] = {k: jnp.asarray(new.get(k, v)).astype(v.dtype) for k, v in old.items()}
        return leaves, slots, shared

    def _clip(self, grads):
        if self.clipnorm:
            return {path: clip_by_norm(g, self.clipnorm) for path, g in grads.items()}
        if self.clipvalue:
            return {path: jnp.clip(g, -self.clipvalue, self.clipvalue) for path, g in grads.items()}
        if self.global_clipnorm:
            clipped = clip_by_global_norm(list(grads.values()), self.global_clipnorm)
            return dict(zip(grads, clipped, strict=True))
        return grads

    def _average(self, leaves, ema, step):
        # As Keras 3: during the first update the average is the parameter itself, and with accumulation every call
        # averages, not only those that update.
        momentum = jnp.where(step == 0, 0.0, self.ema_momentum)
        averages = {path: moving_average(at(ema, path), p.astype(wide(p)), momentum) for path, p in leaves.items()}
        if self.ema_overwrite_frequency:
            due = (step + 1) % self.ema_overwrite_frequency == 0
            leaves = {path: jnp.where(due, averages[path].astype(p.dtype), p) for path, p in leaves.items()}
        return leaves, graft(ema, averages)

    def _aligned(self, params, grads):
        leaves, grads = flatten(params), flatten(grads)
        unknown = [path for path in grads if path not in leaves]
        missing = [path for path in leaves if path not in grads]
        if unknown or missing:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: expected gradients for exactly the parameters, "
                f"got none for {_show(missing)} and some for unknown {_show(unknown)}."
            )
        for path, g in grads.items():
            if g is not None and g.shape != leaves[path].shape:
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: expected a gradient of shape {leaves[path].shape} "
                    f"for {'/'.join(path)}, got {g.shape}."
                )
        grads = {path: grads[path] for path in leaves if grads[path] is not None}
        if leaves and not grads:
            raise ValueError(f"{type(self).__name__} {self.name!r}: all gradients are None.")
        return grads

    def _copies(self):
        return ("ema",) * self.use_ema + ("accumulated",) * bool(self.gradient_accumulation_steps)

    def _slots_of(self, path):
        return lambda p: self.slots_at(path, p.astype(wide(p)))

    def _updates(self, count):
        return count // (self.gradient_accumulation_steps or 1)

    # ------------------------------------------------------------------------------------- weight decay

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Leaves arrays out of weight decay; call it before the optimizer is built.

        Args:
            var_list: Paths such as "dense/kernel", tuples of keys, or objects with a `path`.
            var_names: Regular expressions; an array is left out when one is found in its path. ("bias" leaves
                out all biases. Keras 3 searches the last part of the path only.)

        Raises:
            ValueError: The optimizer is built already.
        """
        if self._state is not None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: exclude_from_weight_decay() must be called before the "
                f"optimizer is built: before the first training step or `build`."
            )
        listed = [getattr(v, "path", v) for v in var_list or ()]
        listed = frozenset(v if isinstance(v, str) else "/".join(v) for v in listed)
        self._excluded = (listed, re.compile("|".join(var_names)) if var_names else None)
        self.revision += 1

    def excludes(self, path):
        """Whether the array at `path` was left out of weight decay."""
        listed, pattern = self._excluded
        path = "/".join(path)
        # A Keras variable's path begins with its model's name, which trees here do not have.
        return any(v == path or v.endswith("/" + path) for v in listed) or bool(pattern and pattern.search(path))

    # ------------------------------------------------------------------------------- Keras's variables

    def variables_layout(self, params_paths, opt_state=None):
        """Returns Keras 3's variable list: [(name, path into the state)] in Keras's order.

        Args:
            params_paths: Paths of the trainable arrays in Keras's order: [("dense", "kernel"), ...].
            opt_state: The state, or None for the optimizer's own.

        Raises:
            ValueError: There is no state yet, or it knows nothing of a path.
        """
        opt_state = self._known_state(opt_state)
        paths = [tuple(path) for path in params_paths]
        held = {path: at(opt_state["slots"], path) for path in paths}
        if lost := [path for path in paths if held[path] is None]:
            raise ValueError(f"{type(self).__name__} {self.name!r}: the state has no slots for {_show(lost)}.")
        layout = [("iteration", ("iterations",))]
        if self._schedule is None:
            layout.append(("learning_rate", ("learning_rate",)))
        for name in self._copies():
            label = {"ema": "average", "accumulated": "gradient_accumulator"}[name]
            layout += [("_".join((*path, label)), (name, *path)) for path in paths]
        named = {slot for block in self.blocks for slot in block}
        rest = sorted({slot for slots in held.values() for slot in slots} - named)
        for block in (*self.blocks, rest):
            pairs = [(path, slot) for path in paths for slot in block if slot in held[path]]
            layout += [("_".join((*path, slot)), ("slots", *path, slot)) for path, slot in pairs]
        return layout + [(name, ("shared", name)) for name in opt_state.get("shared", {})]

    def to_arrays(self, params_paths, opt_state=None):
        """Returns the state's arrays in Keras 3's order, as NumPy arrays: what Keras's files hold."""
        opt_state = self._known_state(opt_state)
        return [np.asarray(at(opt_state, path)) for _, path in self.variables_layout(params_paths, opt_state)]

    def from_arrays(self, params_paths, arrays, opt_state=None):
        """Returns the state with its arrays replaced by `arrays`, given in Keras 3's order.

        Raises:
            ValueError: Another number of arrays, or an array of another shape.
        """
        opt_state, arrays = self._known_state(opt_state), [np.asarray(a) for a in arrays]
        layout = self.variables_layout(params_paths, opt_state)
        if len(layout) != len(arrays):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: expected {len(layout)} arrays "
                f"({', '.join(name for name, _ in layout[:4])}, ...), got {len(arrays)}."
            )
        held = {path: at(opt_state, path) for _, path in layout}
        for (name, path), array in zip(layout, arrays, strict=True):
            if array.shape != held[path].shape:
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: expected {name!r} of shape {held[path].shape}, "
                    f"got {array.shape}."
                )
        cast = {p: jnp.asarray(a, old.dtype) for a, (p, old) in zip(arrays, held.items(), strict=True)}
        return graft(opt_state, cast)

    def _known_state(self, opt_state):
        opt_state = self.state if opt_state is None else opt_state
        if opt_state is None:
            raise ValueError(f"{type(self).__name__} {self.name!r} has no state yet: call `build(params)` first.")
        return opt_state

    # ----------------------------------------------------------------------------------------- facade

    def __setattr__(self, name, value):
        if name == "learning_rate":  # the one setting that changes during training
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def _get_learning_rate(self):
        return Rate(self._present_rate(), self._set_learning_rate)

    def _plain_rate(self):
        """The rate where no schedule computes it: as last set, or as the callable without arguments says now."""
        return self._rate if self._schedule is None or self._takes_step else number(self._schedule())

    def _present_rate(self):
        if self._schedule is not None and self._takes_step:
            return float(self._schedule(0 if self._state is None else self._state["iterations"]))
        if self._schedule is None and self._state is not None and self._held_rate() != np.float32(self._rate):
            return float(self._held_rate())  # a state from a file, say; otherwise 0.01 rather than 0.00999999977
        return self._plain_rate()

    def _held_rate(self):
        return np.float32(self._state["learning_rate"])

    def _set_learning_rate(self, value):
        try:
            value = rate(value)
        except (TypeError, ValueError) as err:
            raise type(err)(f"{type(self).__name__} {self.name!r}, learning_rate: {err}") from None
        if callable(value):
            self._schedule, self._takes_step = value, takes_step(value)
            self.revision += 1
            return
        if self._schedule is not None:
            raise TypeError(
                f"{type(self).__name__} {self.name!r}: cannot set the learning rate to {value}, because it is computed "
                f"by {self._schedule!r}. Give the optimizer a float learning_rate if you want to set it."
            )
        self._rate = value
        if self._state is not None:
            self._hold_rate(value)

    def _refresh(self):
        if not self._takes_step:
            self._hold_rate(self._plain_rate())

    def _hold_rate(self, value):
        self._state = {**self._state, "learning_rate": placed_like(value, self._state["learning_rate"])}

    @property
    def lr(self):
        """Keras 1 and 2's name of `learning_rate`."""
        return self._get_learning_rate()

    @lr.setter
    def lr(self, value):
        self._set_learning_rate(value)

    @property
    def schedule(self):
        """What computes the learning rate, or None where it is a number."""
        return self._schedule

    @property
    def state(self):
        """The current state, or None before `build`: a training loop reads it before a step and writes it after."""
        if self._state is not None:
            self._refresh()
        return self._state

    @state.setter
    def state(self, value):
        self._state = value

    @property
    def built(self):
        """Whether there is a state."""
        return self._state is not None

    @property
    def iterations(self):
        """Updates done so far, an int that can also be assigned to; can be set."""
        return Count(0 if self._state is None else self._updates(self._state["iterations"]), self._set_iterations)

    @iterations.setter
    def iterations(self, value):
        self._set_iterations(value)

    def _set_iterations(self, value):
        count = int(value) * (self.gradient_accumulation_steps or 1)
        self._state = {**self._known_state(None), "iterations": jnp.asarray(count, jnp.int32)}

    def holds(self, path):
        """Whether the state has slots for the array at `path`."""
        return at(self._known_state(None)["slots"], path) is not None

    def __getstate__(self):
        """What pickle and deepcopy take: no compiled function, and no variables, which belong to a model."""
        own = {"_compiled", "_model", "_paths", "_built_on"}
        return {k: v for k, v in self.__dict__.items() if k not in own}

    def __copy__(self):
        """A deep copy, as in Keras: a training step gives the old state's memory away."""
        return copy.deepcopy(self)

    def __repr__(self):
        values = {"learning_rate": self._rate if self._schedule is None else self._schedule}
        values |= {n: getattr(self, n) for n in self._fields if n != "learning_rate"}
        shown = [f"{n}={v!r}" for n, v in values.items() if v is not None and v != self._fields[n].default]
        return f"{type(self).__name__}({', '.join(shown)})"

    def get_config(self):
        """Returns the settings in JSON's types; the learning rate is the present one, or its schedule."""
        config = super().get_config()
        config["learning_rate"] = serialize(self._schedule if self._schedule is not None else self._present_rate())
        return config


# The field was collected above; the name now reads and writes the rate that training uses.
Optimizer.learning_rate = property(
    lambda self: self._get_learning_rate(),
    lambda self, value: self._set_learning_rate(value),
    doc="The present learning rate; set it at any time, unless a schedule computes it.",
)


def _same_shapes(held, fresh):
    return held is not None and {k: v.shape for k, v in held.items()} == {k: v.shape for k, v in fresh.items()}


def _show(paths):
    return ", ".join("/".join(path) for path in paths[:5]) + (", ..." if len(paths) > 5 else "") or "nothing"


# -------------------------------------------------------------------------------------- the family
