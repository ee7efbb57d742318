"""Layers written the Keras way (`build` with `add_weight`, `call`), run purely.

`build` runs on a scratch copy that records what is declared. `call` runs on the layer itself while the cells of it and
of the layers inside hold this call's arrays; what the cells hold afterwards is the new state, and their own arrays are
put back. Nothing traced stays behind, so that such a layer is safe under jit, grad, scan, vmap and pmap.
"""

import contextlib
import dataclasses
import functools
import inspect
import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fkeras.core.symbol import Static, is_symbolic
from fkeras.core.tree import unflatten
from fkeras.layers.contract import masks
from fkeras.layers.contract.context import Context, Probed
from fkeras.layers.contract.masks import carrying, mask_of, remember_mask
from fkeras.layers.contract.shapes import BATCH, PROBES, Spec, at_some_batch, filled, is_shape, is_spec
from fkeras.layers.contract.variables import Variable

_local = threading.local()


def is_keras_style(layer):
    """True for a layer that computes in `call`."""
    return hasattr(type(layer), "call")


# ----------------------------------------------------------------------------------------- declaration


def declare(layer, shape):
    """Returns what `build(shape)`, and the layers that `call` uses, declare."""
    known = layer.__dict__.setdefault("_recorded", {})
    about = repr(shape)
    if about not in known:
        scratch = object.__new__(type(layer))
        scratch.__dict__.update(layer.__dict__)
        recorder = dict(layer.__dict__.get("_early", {}))
        object.__setattr__(scratch, "_recorder", recorder)
        object.__setattr__(scratch, "_real", layer)
        object.__setattr__(scratch, "_sealed", False)
        if hasattr(type(layer), "_build"):
            _call_build(scratch, shape)
        for name, value in scratch.__dict__.items():
            held = layer.__dict__.get(name, scratch)
            if held is scratch or (held is not value and not name.startswith("_")):  # new, or set anew by `build`
                object.__setattr__(layer, name, value)
        for name in ("_recorder", "_real"):
            layer.__dict__.pop(name, None)
        known[about] = recorder
        _declare_inner(layer, shape, recorder)
    return dict(known[about])


def _call_build(scratch, shape):
    parameters = list(inspect.signature(type(scratch)._build).parameters)[1:]
    if isinstance(shape, dict) and set(shape) == {"args", "kwargs"}:  # `build` is told the arguments' shapes
        args = unpack(shape)[0]
        shape = args if len(parameters) > 1 else args[0]
    if len(parameters) > 1 and isinstance(shape, (list, tuple)) and shape and isinstance(shape[0], tuple):
        scratch._build(*shape)
    else:
        scratch._build(shape)


def _declare_inner(layer, shape, recorder):
    """Finds out the input shapes of inner layers that `build` left unbuilt, by tracing `call`."""
    inner = layer.children()
    for key, child in inner.items():
        if child.built:
            child._require_built("declare its weights")
            recorder[key] = unflatten(child.declarations())
    waiting = {id(c): k for k, c in inner.items() if k not in recorder}
    if not waiting:
        return

    def concrete(batch):
        def spec(shape, dtype):
            return jax.ShapeDtypeStruct(filled(shape, BATCH, batch), dtype)

        x = jax.tree.map(lambda s: spec(s, layer.dtype.compute_dtype), shape, is_leaf=is_shape)
        return x, jax.tree.map(lambda m: spec(m.shape, m.dtype), expected_mask(layer, shape), is_leaf=is_spec)

    family = [(one, c := one._cell, c and (c._params, c._state)) for one in layer.own_and_inner()]
    lent = [_lend(layer, {k: w for k, w in recorder.items() if k not in inner})]

    def trace(x, mask, training):
        ctx = Context(training, jax.random.key(0), mask, path=(layer.name,))
        first = carrying(unpack(x)[0][0], _first_mask(x, mask))
        with _calling(layer, x, ctx, (recorder, lent)), _trained_as_arrays(layer), first:
            return _call(layer, x, ctx)

    try:
        _, batch = at_some_batch(lambda batch: jax.eval_shape(lambda *a: trace(*a, False), *concrete(batch)), True)
        if any(key not in recorder for key in waiting.values()):  # layers that only a training call uses
            with contextlib.suppress(Exception):  # what is wrong in there shows when it is trained
                jax.eval_shape(lambda *a: trace(*a, True), *concrete(batch))
    finally:
        for one in [inner for outer in lent for inner in outer.own_and_inner()]:
            object.__setattr__(one, "_cell", None)
        for one, cell, arrays in family:
            object.__setattr__(one, "_cell", cell)
            if cell is not None:
                cell._params, cell._state = arrays


@contextlib.contextmanager
def expecting(layer, shapes, mask):
    """Within the `with`, `call` of this layer, traced for shapes on inputs of `shapes`, sees masks like `mask`."""
    before = _local.__dict__.get("expected")
    _local.expected = layer, shapes, mask
    try:
        yield
    finally:
        _local.expected = before


def expected_mask(layer, shapes):
    """Returns the tree of the specs of the masks that `call` is to see on inputs of `shapes`, or None."""
    owner, seen, mask = _local.__dict__.get("expected") or (None, None, None)
    if owner is not layer or mask is None or _without_batch(seen) != _without_batch(shapes):
        return None
    batch = jax.tree.leaves(shapes, is_leaf=is_shape)[0][:1]
    return jax.tree.map(lambda m: Spec((*batch, *jnp.shape(m)[1:]), getattr(m, "dtype", bool)), mask, is_leaf=is_spec)


def _without_batch(shapes):
    return jax.tree.map(lambda s: s[1:], shapes, is_leaf=is_shape)


def _lend(layer, declared):
    """Gives a layer cells full of zeros for the time of a trace."""
    layer._adopt(declared)
    for one in layer.own_and_inner():
        if one._cell is not None and one._cell._params is None:
            zeros = {n: jnp.zeros(w.shape, w.dtype or one.dtype.variable_dtype) for n, w in one._cell.declared.items()}
            one._cell.store(zeros, zeros)
    return layer


# ---------------------------------------------------------------------------------------- computation


class _Frame:
    """One running `call`: its layer, its context, and where declarations are recorded if they are."""

    def __init__(self, layer, x, ctx, recorder):
        self.ctx, self.recorder = ctx, recorder
        self.batch = next((a.shape[0] for a in jax.tree.leaves(x) if jnp.ndim(a)), None)
        self.keys = {id(child): key for key, child in layer.children().items()}
        self.calls = {}


@contextlib.contextmanager
def _calling(layer, x, ctx, recorder=None):
    stack = _local.__dict__.setdefault("stack", [])
    stack.append(_Frame(layer, x, ctx, recorder))
    try:
        with masks.table():
            yield
    finally:
        stack.pop()


@contextlib.contextmanager
def holding(layer, params, state):
    """Within the `with`, the layer's cells, and those inside, hold these arrays; afterwards their own again."""
    family = [one for one in layer.own_and_inner() if one._cell is not None]
    before = [(one._cell, one._cell._params, one._cell._state) for one in family]
    try:
        layer.scatter(params, state)
        yield
    finally:
        for cell, own_params, own_state in before:
            cell._params, cell._state = own_params, own_state


def forward(layer, params, state, x, ctx):
    """Computes (y, new state) by running `call` with these arrays in the layer's cells."""
    created = layer._cell is None
    if created:
        layer._adopt(layer.declare(jax.tree.map(lambda a: tuple(a.shape), x)))
    with contextlib.ExitStack() as stack:
        if created:
            stack.callback(layer._forget)
        stack.enter_context(holding(layer, params, state))
        shared = [one for one in layer.own_and_inner() if one is not layer and id(one) in (ctx.shared or {})]
        for one in shared:
            one.scatter(one.gather()[0], ctx.shared[id(one)])
        first = carrying(unpack(x)[0][0], _first_mask(x, ctx.mask))
        inside = dataclasses.replace(ctx, shared=None)  # there the cells hand the state on
        with _calling(layer, x, inside), _trained_as_arrays(layer), _metrics_recorded(layer, ctx), first:
            y = _call(layer, x, ctx)
        for one in shared:
            ctx.shared[id(one)] = one.gather()[1]
        return y, layer.gather()[1]


def forward_masked(layer, params, state, x, ctx):
    """Computes (y, new state, mask of y): that which the layers inside left on `y`, else what `compute_mask` says."""
    with masks.table():
        y, state = layer.forward(params, state, x, ctx)
        if (mask := mask_of(y)) is not None:
            return y, state, mask
    args, _ = unpack(x)
    return y, state, layer.compute_mask(args[0], _first_mask(x, ctx.mask))


@contextlib.contextmanager
def _trained_as_arrays(layer):
    """Lets `self.kernel` be an array while `call` runs, so that any jnp function takes it.

    Running values stay handles, because `call` assigns to them.
    """

    def swap(value):
        if isinstance(value, Variable) and value.declared.trainable and value.layer._cell is not None:
            return value.layer._cell.get(value.name)
        return value

    own = layer.__dict__
    found = {n: v for n, v in own.items() if isinstance(v, Variable)}
    found |= {n: v for n, v in own.items() if isinstance(v, list) and any(isinstance(e, Variable) for e in v)}
    for name, value in found.items():
        own[name] = [swap(v) for v in value] if isinstance(value, list) else swap(value)
    try:
        yield
    finally:
        own.update(found)


def _call(layer, x, ctx):
    parameters = inspect.signature(layer.call).parameters
    extra = {}
    if "training" in parameters:
        extra["training"] = ctx.training
    if "mask" in parameters:
        extra["mask"] = _first_mask(x, ctx.mask)
    args, kwargs = unpack(x)
    return layer.call(*args, **{**kwargs, **extra})


def _first_mask(x, mask):
    """Returns the mask of a call's first argument."""
    packed = isinstance(x, dict) and set(x) == {"args", "kwargs"}
    return mask["args"][0] if packed and isinstance(mask, dict) and mask.get("args") else mask


def pack(x, args, kwargs):
    """Returns one tree of the arguments of a call: `x` alone, or {"args", "kwargs"}.

    Flags and names become `Static`, and so do numbers and constant arrays beside symbols; what is None is left out.
    """
    kwargs = {k: v for k, v in kwargs.items() if v is not None}
    in_graph = is_symbolic((x, args, kwargs))

    def hold(value):
        constant = in_graph and not is_symbolic(value)
        return Static(value) if constant or isinstance(value, (bool, str)) else value

    args, kwargs = jax.tree.map(hold, (list(args), kwargs))
    return {"args": [x, *args], "kwargs": kwargs} if args or kwargs else x


def unpack(x):
    """Inverse of `pack`: (args, kwargs)."""
    if isinstance(x, dict) and set(x) == {"args", "kwargs"}:
        free = jax.tree.map(lambda v: v.value if isinstance(v, Static) else v, x, is_leaf=_is_static)
        return free["args"], free["kwargs"]
    return [x], {}


def _is_static(value):
    return isinstance(value, Static)


def running():
    """Returns the innermost running `call`, or None."""
    stack = _local.__dict__.get("stack")
    return stack[-1] if stack else None


def inner_call(frame, layer, x, training, mask):
    """Calls `layer`, which belongs to the layer whose `call` is running, on arrays."""
    key = frame.keys[id(layer)]
    n = frame.calls[key] = frame.calls.get(key, -1) + 1
    ctx = frame.ctx.at(key, *([n] if n else []), mask=mask_of(x) if mask is None else mask)
    if training is not None:
        ctx = ctx.at(training=bool(training))
    if frame.recorder is not None and layer._cell is None:
        recorder, lent = frame.recorder
        shapes = jax.tree.map(lambda a: tuple(a.shape), x)
        layer.check_input(shapes)
        with expecting(layer, shapes, ctx.mask):
            recorder[key] = layer.declare(shapes)
        lent.append(_lend(layer, recorder[key]))
    params, state = layer.gather() if layer._cell is not None else ({}, {})
    before = len(ctx.losses or ())
    y, state, mask = layer.apply_masked(params, state, x, ctx)
    if layer._cell is not None:
        layer.scatter(params, state)
    keep_losses(layer, (ctx.losses or [])[before:])
    object.__setattr__(layer, "_output_seen", jax.tree.map(_about, y))  # for `summary`
    return remember_mask(y, mask) if mask is not None else y


def _about(array):
    shape = [None if size in PROBES else size for size in jnp.shape(array)]
    return Spec((None, *shape[1:]) if shape else (), array.dtype)


# ------------------------------------------------------------------------------------- losses and logs


class Log(NamedTuple):
    """What one call adds to the logs: the state of `metric` (a monoid) after this batch; `empty()` is its zero."""

    state: Any
    metric: Any
    name: str
    empty: Any


def by_name(logs):
    """Returns {name: Log}: of one name the states are merged, as when a shared layer is called twice."""
    found = {}
    for log in logs:
        name, n = log.name, 0
        while name in found and type(found[name].metric) is not type(log.metric):
            n += 1
            name = f"{log.name}_{n}"
        if name in found:
            log = found[name]._replace(state=log.metric.merge(found[name].state, log.state))
        found[name] = log
    return found


class LogMean:
    """The monoid behind `add_metric`: the mean of all values."""

    def init(self):
        return {"total": jnp.float32(0), "count": jnp.float32(0)}

    def merge(self, a, b):
        return jax.tree.map(jnp.add, a, b)

    def result(self, state):
        return state["total"] / jnp.maximum(state["count"], 1.0)


def add_loss(loss):
    """Adds to the loss of the step, from inside a running `call`."""
    frame = running()
    if frame is not None and frame.ctx.losses is not None:
        for one in jax.tree.leaves(loss):
            if frame.ctx.probe:
                frame.ctx.losses.append(_probed("value", one))
                continue
            total, _ = _sum_of_real(one, frame)
            # Of one value per row the sum counts; one number is the same on all devices, or the mean over equal parts.
            frame.ctx.add_loss(total, None if _has_rows(one, frame) else jnp.float32(1))


def add_metric(value, name):
    """Adds a value to the logs of the step, from inside a running `call`."""
    frame = running()
    if frame is not None and frame.ctx.losses is not None:
        if frame.ctx.probe:
            frame.ctx.losses.append(_probed("value", value))
            return
        total, count = _sum_of_real(value, frame)
        frame.ctx.losses.append(Log({"total": total, "count": count}, LogMean(), name, LogMean().init))


def _probed(kind, value):
    return Probed(kind, jax.tree.map(jnp.asarray, value))


def _has_rows(value, frame):
    """True for an array with an entry per row of the batch."""
    return jnp.ndim(value) > 0 and jnp.shape(value)[0] == frame.batch


def _sum_of_real(value, frame):
    """Returns (sum, count) of an array; of one with an entry per row those of the real rows."""
    value, ctx = jnp.asarray(value, jnp.float32), frame.ctx
    if ctx.rows is not None and _has_rows(value, frame):
        real = jnp.broadcast_to(ctx.row_mask(value.ndim), value.shape)
        return jnp.sum(jnp.where(real, value, 0.0)), jnp.sum(real, dtype=jnp.float32)
    return jnp.sum(value), jnp.float32(value.size)


def keep_losses(layer, entries):
    """Remembers the losses of an eager call for `layer.losses`; those of a trace must not stay behind."""
    pairs = [e for e in entries or () if not isinstance(e, Log)]
    if not any(isinstance(v, jax.core.Tracer) for v in jax.tree.leaves(pairs)):
        values = [total / (1 if count is None else count) for total, count in pairs]
        object.__setattr__(layer, "_last_losses", values)


def metrics_of(layer):
    """Returns the metrics among a layer's attributes, and in lists and dicts of them."""

    def is_metric(value):
        return all(hasattr(type(value), n) for n in ("init", "update", "merge", "result", "update_state"))

    def walk(value):
        if is_metric(value):
            yield value
        elif isinstance(value, (list, tuple, dict)) and id(value) not in within:  # a list may hold itself
            within.append(id(value))
            for one in value.values() if isinstance(value, dict) else value:
                yield from walk(one)
            within.pop()

    within = []
    return [metric for value in layer.__dict__.values() for metric in walk(value)]


@contextlib.contextmanager
def _metrics_recorded(layer, ctx):
    """While `call` runs in a step, `metric.update_state(...)` adds to the logs of the step and to nothing else."""
    found = metrics_of(layer)

    def recorder(metric):
        plain = metric.update_state

        def update_state(*args, **kwargs):
            if ctx.losses is None or any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves((args, kwargs))):
                if ctx.losses is not None:
                    shapes = [jnp.shape(a) for a in args[:2]]
                    empty = functools.partial(metric.init, *shapes)
                    state = metric.update(empty(), *args, **kwargs)
                    ctx.losses.append(_probed("log", state) if ctx.probe else Log(state, metric, metric.name, empty))
            else:
                plain(*args, **kwargs)

        return update_state

    for metric in found:
        object.__setattr__(metric, "update_state", recorder(metric))
    try:
        yield
    finally:
        for metric in found:
            metric.__dict__.pop("update_state", None)
