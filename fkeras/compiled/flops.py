"""Operations of a traced program, by the scopes (layers' names) they were traced in. Nothing is compiled.

A multiplication and an addition count as two, an elementwise function as one for each number, moving numbers as none.
"""

import collections
import math

import jax

from fkeras.compiled.rows import scopes_of

_MOVES = set(
    "reshape transpose broadcast_in_dim squeeze slice dynamic_slice dynamic_update_slice concatenate pad gather rev "
    "iota convert_element_type copy copy_p stop_gradient optimization_barrier split device_put bitcast_convert_type "
    "random_bits random_fold_in random_wrap random_unwrap random_seed expand_dims".split()
)


def by_scope(function, *args):
    """Returns {scope: operations} of `function(*args)`; what lies in several scopes counts in each, all of it in "".

    Example:
        >>> def f(x):
        ...     with jax.named_scope("product"):
        ...         x = x @ jnp.ones((4, 3))
        ...     return jnp.tanh(x)
        >>> dict(by_scope(f, jax.ShapeDtypeStruct((2, 4), "float32")))
        {'': 54, 'product': 48}
    """
    found = collections.Counter()
    _count(jax.make_jaxpr(function)(*args).jaxpr, (), 1, found)
    return found


def _count(jaxpr, scopes, times, found):
    for eqn in jaxpr.eqns:
        here, name = (*scopes, *scopes_of(eqn)), eqn.primitive.name
        inner = [p for value in eqn.params.values() for p in _programs(value)]
        if inner:
            if name == "cond":  # one of its branches runs: the dearest
                inner = [max(inner, key=lambda p: _total(p))]
            for program in inner:
                _count(program, here, times * (eqn.params["length"] if name == "scan" else 1), found)
            continue
        for scope in {"", *here}:
            found[scope] += times * _operations(eqn, name)


def _total(jaxpr):
    found = collections.Counter()
    _count(jaxpr, (), 1, found)
    return found[""]


def _programs(value):
    """Yields the programs in a parameter of a primitive."""
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _programs(one)
    elif hasattr(value, "eqns"):
        yield value
    elif hasattr(value, "jaxpr") and hasattr(value.jaxpr, "eqns"):
        yield value.jaxpr


def _operations(eqn, name):
    out = sum(math.prod(v.aval.shape) for v in eqn.outvars if hasattr(v.aval, "shape"))
    if name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2 * out * math.prod(eqn.invars[0].aval.shape[d] for d in contracted)
    if name == "conv_general_dilated":
        spec = eqn.params["dimension_numbers"].rhs_spec  # output channels, input channels of a group, sizes
        return 2 * out * math.prod(eqn.invars[1].aval.shape[d] for d in spec[1:])
    if name.startswith(("reduce_window", "select_and_scatter")):
        return out * math.prod(eqn.params.get("window_dimensions", (1,)))
    if name.startswith(("reduce", "arg", "cum", "sort", "top_k")):
        return math.prod(eqn.invars[0].aval.shape)
    return 0 if name in _MOVES else out
