"""The ops of `keras.ops`' core: dtypes and conversion, slices, scatter, and the control flow of `jax.lax`."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.operations import as_array, op, standard_dtype
from fkeras.core.symbol import Symbol

HOME = "core"


@op(HOME, "Cast", settings="dtype")
def cast(x, dtype):
    """The array in another dtype.

    Example:
        >>> str(cast([1.5, -0.5], "int32").dtype)
        'int32'

    Source: `jax.numpy.asarray`, by Keras's names of dtypes.
    """
    return jnp.asarray(x, dtype)


@op(HOME, "SaturateCast", settings="dtype")
def saturate_cast(x, dtype):
    """The array in another dtype; what does not fit becomes the largest or smallest number that does.

    Source: `tf.saturate_cast`.
    """
    x = jnp.asarray(x)
    low, high = _range(dtype)
    own_low, own_high = _range(x.dtype)
    if jnp.issubdtype(x.dtype, jnp.floating) and not jnp.issubdtype(dtype, jnp.floating):
        # The largest float of this dtype that is not above the largest integer.
        clipped = jnp.clip(x, _inside(low, x.dtype), _inside(high, x.dtype))
        return clipped.astype(dtype)
    return jnp.clip(x, max(low, own_low), min(high, own_high)).astype(dtype)


def _range(dtype):
    dtype = jnp.dtype(dtype)
    if dtype.kind == "b":
        return 0, 1
    info = jnp.finfo(dtype) if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype)
    return (float(info.min), float(info.max)) if jnp.issubdtype(dtype, jnp.floating) else (int(info.min), int(info.max))


def _inside(bound, dtype):
    """Returns the float of a dtype nearest to an integer bound that leaves neither the integers' range nor its own."""
    lowest, highest = _range(dtype)
    if not lowest <= bound <= highest:
        return lowest if bound < 0 else highest
    value = np.asarray(bound).astype(dtype)
    return np.nextafter(value, np.zeros((), dtype)) if abs(int(value)) > abs(bound) else value


@op(HOME, "ConvertToTensor", settings="dtype sparse ragged", converts=False)
def convert_to_tensor(x, dtype=None, sparse=None, ragged=None):
    """A JAX array of numbers, lists, variables, NumPy arrays or tensors of other libraries.

    Raises:
        ValueError: `sparse` or `ragged` is True: there are no such arrays here.

    Source: `jax.numpy.asarray`.
    """
    if sparse or ragged:
        raise ValueError("ops.convert_to_tensor: fkeras has neither sparse nor ragged arrays. Leave both out.")
    return jnp.asarray(as_array(x), None if dtype is None else standard_dtype(dtype))


@op(HOME, None)
def convert_to_numpy(x):
    """A NumPy copy of an array.

    Source: `numpy.array`.
    """
    return np.array(x)


@op(HOME, None, raw="x", records=False)
def is_tensor(x):
    """Whether `x` is a JAX array, also a traced one. A symbol is none.

    Source: `isinstance(x, jax.Array)`.
    """
    return isinstance(x, jax.Array)


@op(HOME, None, raw="x", records=False)
def shape(x):
    """The sizes of an array as a tuple; of a symbol's unknown ones None.

    Source: `jax.numpy.shape`.
    """
    return x.shape if isinstance(x, Symbol) else tuple(jnp.shape(as_array(x)))


@op(HOME, None, raw="x", records=False)
def dtype(x):
    """The name of an array's or symbol's dtype.

    Source: `jax.Array.dtype`.
    """
    return standard_dtype(x.dtype if hasattr(x, "dtype") else jnp.result_type(as_array(x)))


@op(HOME, "Slice", settings="shape", raw="start_indices")
def slice_(inputs, start_indices, shape):
    """The block of a shape that begins at some indices, which may be computed; -1 takes all that is left of an axis.

    Source: `jax.lax.dynamic_slice`: a start too far out is moved in.
    """
    inputs = jnp.asarray(inputs)
    sizes = [inputs.shape[i] - int(start_indices[i]) if n == -1 else n for i, n in enumerate(shape)]
    return jax.lax.dynamic_slice(inputs, _starts(start_indices), sizes)


def _starts(indices):
    return (
        [jnp.asarray(i, "int32") for i in indices] if isinstance(indices, (list, tuple)) else list(jnp.asarray(indices))
    )


@op(HOME, "SliceUpdate", raw="start_indices")
def slice_update(inputs, start_indices, updates):
    """The array with a block written over it at some indices, which may be computed.

    Source: `jax.lax.dynamic_update_slice`.
    """
    inputs = jnp.asarray(inputs)
    return jax.lax.dynamic_update_slice(inputs, jnp.asarray(updates, inputs.dtype), _starts(start_indices))


@op(HOME, "Scatter", settings="shape")
def scatter(indices, values, shape):
    """Zeros with values added at places: `indices` [..., axes] names one place for each value.

    Source: `tf.scatter_nd`.
    """
    values = jnp.asarray(values)
    return jnp.zeros(tuple(shape), values.dtype).at[tuple(jnp.moveaxis(jnp.asarray(indices), -1, 0))].add(values)


@op(HOME, "ScatterUpdate", settings="reduction")
def scatter_update(inputs, indices, updates, reduction=None):
    """The array with values set, or combined ("add", "max", "min", "mul"), at the places that `indices` name.

    Raises:
        ValueError: There is no such reduction.

    Source: `tf.tensor_scatter_nd_update`.
    """
    ways = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
    if reduction not in ways:
        raise ValueError(
            f"ops.scatter_update: expected reduction None, 'add', 'max', 'min' or 'mul', got {reduction!r}."
        )
    place = jnp.asarray(inputs).at[tuple(jnp.moveaxis(jnp.asarray(indices), -1, 0))]
    return getattr(place, ways[reduction])(updates)


@op(HOME, "Unstack", settings="num axis")
def unstack(x, num=None, axis=0):
    """The slices along an axis, as a list of arrays without it.

    Source: `tf.unstack`; `num` may say how many there are.
    """
    x = jnp.asarray(x)
    if num is not None and num != x.shape[axis]:
        raise ValueError(f"ops.unstack: axis {axis} of shape {x.shape} has {x.shape[axis]} slices, not num={num}.")
    return list(jnp.unstack(x, axis=axis))


@op(HOME, "StopGradient")
def stop_gradient(variable):
    """The same numbers, through which no slope goes.

    Source: `jax.lax.stop_gradient`.
    """
    return jax.lax.stop_gradient(variable)


@op(HOME, None, converts=False)
def custom_gradient(f):
    """Decorator: `f(*arrays)` returns its result and a function from the result's slope to those of the arrays.

    Example:
        >>> @custom_gradient
        ... def safe_log(x):
        ...     return jnp.log(x), lambda slope: slope / jnp.maximum(x, 0.5)
        >>> jax.grad(safe_log)(0.0).item()
        2.0

    Source: `jax.custom_gradient`.
    """
    inner = jax.custom_gradient(f)

    def wrapped(*args, **kwargs):
        from_lists = jax.tree.map(as_array, (args, kwargs), is_leaf=lambda v: hasattr(v, "__jax_array__"))
        return inner(*from_lists[0], **from_lists[1])

    wrapped.__name__, wrapped.__doc__ = getattr(f, "__name__", "function"), f.__doc__
    return wrapped


# ------------------------------------------------------------------------------------------------ control flow


@op(HOME, "Cond", raw="true_fn false_fn")
def cond(pred, true_fn, false_fn):
    """`true_fn()` where the bool is true, else `false_fn()`; both are traced, one runs.

    Source: `jax.lax.cond`.
    """
    return jax.lax.cond(jnp.asarray(pred), true_fn, false_fn)


@op(HOME, "Switch", raw="branches")
def switch(index, branches, *operands):
    """`branches[index](*operands)`; an index outside is moved in.

    Source: `jax.lax.switch`.
    """
    return jax.lax.switch(jnp.asarray(index), list(branches), *operands)


@op(HOME, "Scan", settings="length reverse unroll", raw="f init xs")
def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    """Runs `f(carry, x) -> (carry, y)` over the first axis of `xs`: (last carry, all y stacked).

    Raises:
        ValueError: `unroll` is neither a bool nor a positive int.

    Source: `jax.lax.scan`.
    """
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(f"ops.scan: expected unroll to be a bool or a positive int, got {unroll!r}.")
    init, xs = jax.tree.map(jnp.asarray, (init, xs))
    return jax.lax.scan(f, init, xs, length=length, reverse=reverse, unroll=unroll)


@op(HOME, "AssociativeScan", settings="reverse axis", raw="f elems")
def associative_scan(f, elems, reverse=False, axis=0):
    """All running results of an associative `f(a, b)` along an axis, computed in parallel.

    Source: `jax.lax.associative_scan`.
    """
    return jax.lax.associative_scan(f, jax.tree.map(jnp.asarray, elems), reverse=reverse, axis=axis)


@op(HOME, "Map", raw="f xs")
def map_(f, xs):
    """`f` of each slice of the first axis, one after the other, stacked.

    Source: `jax.lax.map`.
    """
    return jax.lax.map(f, jax.tree.map(jnp.asarray, xs))


@op(HOME, "VectorizedMap", settings="function", raw="elements")
def vectorized_map(function, elements):
    """`function` of each slice of the first axis, all at once, stacked.

    Source: `jax.vmap`.
    """
    return jax.vmap(function)(jax.tree.map(jnp.asarray, elements))


@op(HOME, "WhileLoop", settings="cond body maximum_iterations", raw="loop_vars")
def while_loop(cond, body, loop_vars, maximum_iterations=None):
    """Runs `body(*loop_vars)`, which returns them anew, as long as `cond(*loop_vars)` is true.

    Source: `jax.lax.while_loop`, with a bound on the number of runs where asked for.
    """
    several = isinstance(loop_vars, (list, tuple))
    start = tuple(loop_vars) if several else (loop_vars,)
    limit = math.inf if maximum_iterations is None else maximum_iterations

    def goes_on(carry):
        count, values = carry
        return jnp.logical_and(cond(*values), count < limit)

    def run(carry):
        count, values = carry
        after = body(*values)
        return count + 1, tuple(after) if several else (after,)

    start = jax.tree.map(jnp.asarray, start)
    values = jax.lax.while_loop(goes_on, run, (jnp.int32(0), start))[1]
    return values if several else values[0]


@op(HOME, "ForiLoop", settings="lower upper body_fun", raw="init_val")
def fori_loop(lower, upper, body_fun, init_val):
    """Runs `body_fun(i, value) -> value` for i from `lower` to before `upper`.

    Source: `jax.lax.fori_loop`.
    """
    return jax.lax.fori_loop(lower, upper, body_fun, jax.tree.map(jnp.asarray, init_val))
