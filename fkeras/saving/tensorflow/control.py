"""Rules of loops and branches: their bodies become functions of the graph's library."""

import numpy as np

from fkeras.compiled.primitives import scan_counts
from fkeras.saving.tensorflow.emit import emit, rule, whole
from fkeras.saving.tensorflow.graph import DType, Shape, is_known


def _function(body, name, tensors, make):
    """Adds a function to the library; its last arguments are the sizes that are known outside."""
    inner = body.inner(name)
    given = [inner.arg(t.dtype, t.shape) for t in tensors]
    inner.sizes = {size: inner.arg(np.int32, ()) for size in body.sizes}
    sizes = list(inner.sizes.values())
    return inner.finish(make(inner, sizes, given))


def _closed(body, jaxpr, args):
    """Emits a closed jaxpr; its results in full."""
    consts = [body.const(np.asarray(c)) for c in jaxpr.consts]
    outs = emit(body, jaxpr.jaxpr, consts, args)
    return [whole(body, t, v.aval) for t, v in zip(outs, jaxpr.jaxpr.outvars, strict=True)]


def _loop(body, variables, condition, step, length=None):
    """Runs `step` while `condition` holds, functions of (body, count of steps, variables). Returns the last variables.

    The count of steps and their greatest number come first: there TensorFlow's gradient of a loop looks for them.
    """
    sizes = list(body.sizes.values())
    variables = [body.ints(0), body.ints(-1) if length is None else body.size(length), *variables]

    def test(inner, _, given):
        return [condition(inner, given[0], given[2:])]

    def go(inner, sizes, given):
        count = inner.binary("AddV2", given[0], inner.ints(1))
        return [count, given[1], *step(inner, given[0], given[2:]), *sizes]

    functions = {"cond": _function(body, "cond", variables, test), "body": _function(body, "body", variables, go)}
    inputs = [*variables, *sizes]
    shapes, dtypes = [t.shape for t in inputs], [t.dtype for t in inputs]
    attrs = {"T": [DType(d) for d in dtypes], "output_shapes": [Shape(s) for s in shapes], **functions}
    outs = body.op("StatelessWhile", inputs, shape=shapes, dtype=dtypes, count=len(inputs), **attrs)
    return outs[2 : len(variables)]


@rule("while")
def _while(body, call):
    p = call.params
    n, m = p.cond_nconsts, p.cond_nconsts + p.body_nconsts

    def condition(inner, _, given):
        return _closed(inner, p.cond_jaxpr, [*given[:n], *given[m:]])[0]

    def step(inner, _, given):
        return [*given[:m], *_closed(inner, p.body_jaxpr, given[n:])]

    return _loop(body, call.ins, condition, step)[m:]


@rule("scan")
def _scan(body, call):
    """A loop over the count of steps; what the steps put out is collected in lists of tensors."""
    p, jaxpr, length = call.params, call.params.jaxpr, call.params.length
    n, carried = scan_counts(vars(p))
    m = n + carried
    consts, carry, xs = call.ins[:n], call.ins[n:m], call.ins[m:]
    outs = call.outs[carried:]
    wanted = [i for i, used in enumerate(call.used[carried:]) if used]
    lists = [_new_list(body, outs[i], length) for i in wanted]
    ends = np.cumsum([len(consts), len(carry), len(xs), len(lists)]).tolist()

    def condition(inner, count, _):
        return inner.binary("Less", count, inner.size(length), np.bool_)

    def step(inner, count, given):
        consts, carry, xs, lists = (given[a:b] for a, b in zip([0, *ends], ends, strict=False))
        at = inner.binary("Sub", inner.size(length - 1), count) if p.reverse else count
        results = _closed(inner, jaxpr, [*consts, *carry, *(inner.take(x, at) for x in xs)])
        ys = results[carried:]
        lists = [_put(inner, held, at, ys[i]) for held, i in zip(lists, wanted, strict=True)]
        return [*consts, *results[:carried], *xs, *lists]

    found = _loop(body, [*consts, *carry, *xs, *lists], condition, step, length)
    stacked = dict.fromkeys(range(len(outs)))
    for i, held in zip(wanted, found[ends[2] :], strict=True):
        stacked[i] = _stack(body, held, outs[i])
    return [*found[ends[0] : ends[1]], *stacked.values()]


def _new_list(body, out, length):
    attrs = {"element_dtype": DType(out.dtype), "shape_type": DType(np.int32)}
    shape = body.shape(out.shape[1:])
    held = body.op("TensorListReserve", shape, body.size(length), shape=(), dtype="variant", **attrs)
    return held


def _put(body, held, at, value):
    attrs = {"element_dtype": DType(value.dtype)}
    return body.op("TensorListSetItem", held, at, value, shape=(), dtype="variant", **attrs)


def _stack(body, held, out):
    attrs = {"element_dtype": DType(out.dtype), "num_elements": out.shape[0] if is_known(out.shape[0]) else -1}
    return body.op("TensorListStack", held, body.shape(out.shape[1:]), shape=out.shape, dtype=out.dtype, **attrs)


@rule("cond")
def _branch(body, call):
    which, *given = call.ins
    names = [f"branch_{i}" for i in range(len(call.params.branches))]
    functions = [
        _function(body, name, given, lambda inner, sizes, args, jaxpr=jaxpr: _closed(inner, jaxpr, args))
        for name, jaxpr in zip(names, call.params.branches, strict=True)
    ]
    inputs = [*given, *body.sizes.values()]
    shapes, dtypes = [o.shape for o in call.outs], [o.dtype for o in call.outs]
    attrs = {"Tin": [DType(t.dtype) for t in inputs], "Tout": [DType(d) for d in dtypes],
             "output_shapes": [Shape(s) for s in shapes]}  # fmt: skip
    attrs |= {"shape": shapes, "dtype": dtypes, "count": len(shapes)}
    which = body.cast(which, np.int32)
    if len(functions) == 2:
        picked = {"Tcond": DType(np.bool_), "then_branch": functions[1], "else_branch": functions[0]}
        second = body.binary("NotEqual", which, body.ints(0), np.bool_)
        return body.op("StatelessIf", second, inputs, **attrs, **picked)
    return body.op("StatelessCase", which, inputs, **attrs, branches=functions)
