"""From a jaxpr to TensorFlow's operations, primitive by primitive.

Each rule below is one primitive. A value that is only repeated along an axis stays small (size 1 there) as long as
what it meets repeats it by itself, as TensorFlow's elementwise operations do: a bias is added as it is.
"""

import types

import numpy as np

RULES = {}  # primitive: (function of (body, call), whether it takes small values)


class Call:
    """One equation of a jaxpr.

    name: The primitive. ins: Its inputs. in_shapes: Their full shapes. outs: What its outputs are, shapes and dtypes.
    out: The first of them. params: The primitive's.
    used: For every output, whether anything asks for it.
    """

    def __init__(self, name, ins, in_shapes, outs, params, used):
        self.name, self.ins, self.in_shapes, self.outs, self.used = name, ins, in_shapes, outs, used
        self.params = types.SimpleNamespace(**params)

    @property
    def out(self):
        return self.outs[0]


def rule(*names, small=False):
    """Decorator: how these primitives are computed; with `small`, from values that are not repeated yet."""

    def register(function):
        RULES.update(dict.fromkeys(names, (function, small)))
        return function

    return register


def emit(body, jaxpr, consts, args):
    """Adds the operations of a jaxpr to `body`; returns its outputs.

    Args:
        jaxpr: An open jaxpr.
        consts, args: Tensors of its constants and arguments.

    Raises:
        ValueError: A primitive has no counterpart in TensorFlow here; the message names it and the layer.
    """
    values = dict(zip(jaxpr.constvars, consts, strict=True)) | dict(zip(jaxpr.invars, args, strict=True))

    def read(v):
        return body.const(np.asarray(v.val, v.aval.dtype)) if hasattr(v, "val") else values[v]

    live = {v for v in jaxpr.outvars if not hasattr(v, "val")}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        used = [v in live for v in eqn.outvars]
        if any(used):
            kept.append((eqn, used))
            live.update(v for v in eqn.invars if not hasattr(v, "val"))
    outer = body.scope
    for eqn, used in reversed(kept):
        names = str(eqn.source_info.name_stack)
        body.scope = f"{outer}/{names}".strip("/") if names else outer
        outs = _apply(body, eqn, [read(v) for v in eqn.invars], used)
        values.update(zip(eqn.outvars, outs, strict=True))
    body.scope = outer
    return [read(v) for v in jaxpr.outvars]


def whole(body, tensor, aval):
    """Returns a value in its full shape."""
    return body.broadcast(tensor, aval.shape)


def _apply(body, eqn, ins, used):
    name = eqn.primitive.name
    inner = next((eqn.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in eqn.params), None)
    if inner is not None and name not in RULES:  # a call of a function: its operations, in its place
        closed = getattr(inner, "consts", None)
        consts = [] if closed is None else [body.const(np.asarray(c)) for c in closed]
        return emit(body, getattr(inner, "jaxpr", inner), consts, ins)
    if name not in RULES:
        raise ValueError(
            f"SavedModel: the computation {body.scope!r} uses {name!r}, which has no counterpart among TensorFlow's "
            f"operations here. Export with format='stablehlo', or compute it in another way."
        )
    function, small = RULES[name]
    if not small:
        ins = [whole(body, t, v.aval) for t, v in zip(ins, eqn.invars, strict=True)]
    shapes, avals = [v.aval.shape for v in eqn.invars], [v.aval for v in eqn.outvars]
    outs = function(body, Call(name, ins, shapes, avals, eqn.params, used))
    return outs if isinstance(outs, list) else [outs]
