"""Layers written the Keras way (`build` with `add_weight`, `call`), run purely.

`build` runs on a scratch copy that records what is declared. `call` runs on the layer itself while the cells of it and
of the layers inside hold this call's arrays; what the cells hold afterwards is the new state, and their own arrays are
put back. Nothing traced stays behind, so that such a layer is safe under jit, grad, scan, vmap and pmap.
"""

import contextlib
import copy
import inspect
import threading

import jax
import jax.numpy as jnp

from fkeras.layers.symbol import Static, is_symbolic

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
        scratch = copy.copy(layer)
        recorder = dict(layer.__dict__.get("_early", {}))
        object.__setattr__(scratch, "_recorder", recorder)
        object.__setattr__(scratch, "_real", layer)
        object.__setattr__(scratch, "_sealed", False)
        if hasattr(type(layer), "_build"):
            _call_build(scratch, shape)
        for name, value in scratch.__dict__.items():
            if name not in layer.__dict__ and name not in ("_recorder", "_real"):
                object.__setattr__(layer, name, value)
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
            recorder[key] = _as_tree(child.declarations())
    waiting = {id(c): k for k, c in inner.items() if k not in recorder}
    if not waiting:
        return
    specs = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(tuple(2 if d is None else d for d in s), layer.dtype.compute_dtype),
        shape,
        is_leaf=lambda s: isinstance(s, tuple) and all(d is None or isinstance(d, int) for d in s),
    )
    from fkeras.layers.base import Context

    family = [(one, c := one._cell, c and (c._params, c._state)) for one in layer.own_and_inner()]
    lent = [_lend(layer, {k: w for k, w in recorder.items() if k not in inner})]

    def trace(x, training):
        key = jax.random.key(0) if training else None
        ctx = Context(training, key, path=(layer.name,))
        with _calling(layer, ctx, (recorder, lent)), _trained_as_arrays(layer):
            return _call(layer, x, ctx)

    try:
        jax.eval_shape(lambda x: trace(x, False), specs)
        if any(key not in recorder for key in waiting.values()):  # layers that only a training call uses
            with contextlib.suppress(Exception):  # what is wrong in there shows when it is trained
                jax.eval_shape(lambda x: trace(x, True), specs)
    finally:
        for one in lent:
            one._forget()
        for one, cell, arrays in family:
            object.__setattr__(one, "_cell", cell)
            if cell is not None:
                cell._params, cell._state = arrays


def _lend(layer, declared):
    """Gives a layer cells full of zeros for the time of a trace."""
    layer._adopt(declared)
    for one in layer.own_and_inner():
        if one._cell is not None and one._cell._params is None:
            zeros = {n: jnp.zeros(w.shape, w.dtype or one.dtype.variable_dtype) for n, w in one._cell.declared.items()}
            one._cell.store(zeros, zeros)
    return layer


def _as_tree(declared):
    from fkeras.tree import unflatten

    return unflatten(declared)


# ---------------------------------------------------------------------------------------- computation


class _Frame:
    """One running `call`: its layer, its context, and where declarations are recorded if they are."""

    def __init__(self, layer, ctx, recorder):
        self.ctx, self.recorder = ctx, recorder
        self.keys = {id(child): key for key, child in layer.children().items()}
        self.calls = {}


@contextlib.contextmanager
def _calling(layer, ctx, recorder=None):
    stack = _local.__dict__.setdefault("stack", [])
    stack.append(_Frame(layer, ctx, recorder))
    try:
        yield
    finally:
        stack.pop()


def forward(layer, params, state, x, ctx):
    """Computes (y, new state) by running `call` with these arrays in the layer's cells."""
    family = [one for one in layer.own_and_inner() if one._cell is not None]
    before = [(one._cell, one._cell._params, one._cell._state) for one in family]
    created = layer._cell is None
    if created:
        layer._adopt(layer.declare(jax.tree.map(lambda a: tuple(a.shape), x)))
        family = [one for one in layer.own_and_inner() if one._cell is not None]
    try:
        layer.scatter(params, state)
        with _calling(layer, ctx), _trained_as_arrays(layer):
            y = _call(layer, x, ctx)
        return y, layer.gather()[1]
    finally:
        for one in family:
            one._cell._params = one._cell._state = None
        for cell, own_params, own_state in before:
            cell._params, cell._state = own_params, own_state
        if created:
            layer._forget()


@contextlib.contextmanager
def _trained_as_arrays(layer):
    """Lets `self.kernel` be an array while `call` runs, so that any jnp function takes it.

    Running values stay handles, because `call` assigns to them.
    """
    from fkeras.layers.base import Variable

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
        extra["mask"] = ctx.mask
    args, kwargs = unpack(x)
    return layer.call(*args, **{**kwargs, **extra})


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
    ctx = frame.ctx.at(key, *([n] if n else []), mask=mask)
    if training is not None:
        ctx = ctx.at(training=bool(training))
    if frame.recorder is not None and layer._cell is None:
        recorder, lent = frame.recorder
        shapes = jax.tree.map(lambda a: tuple(a.shape), x)
        layer.check_input(shapes)
        recorder[key] = layer.declare(shapes)
        lent.append(_lend(layer, recorder[key]))
    params, state = layer.gather() if layer._cell is not None else ({}, {})
    y, state, _ = layer.apply_masked(params, state, x, ctx)
    if layer._cell is not None:
        layer.scatter(params, state)
    return y


def add_loss(loss):
    """Adds to the loss of the step, from inside a running `call`."""
    frame = running()
    if frame is not None:
        frame.ctx.add_loss(jnp.sum(jnp.asarray(loss, jnp.float32)), jnp.float32(1))
