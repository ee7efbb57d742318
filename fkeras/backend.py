"""Keras 2's `K`: functions that scripts still call, by their old names and arguments, in one table over `fkeras.ops`.

They take arrays, and symbols of a graph, as ops do. What needs a TensorFlow graph or session is refused by name, with
what does the same today.
"""

import builtins  # their names are the table's here
import inspect

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import activations, losses, ops, random
from fkeras.core import messages
from fkeras.core.docstrings import completed
from fkeras.core.dtypes import (  # noqa: F401
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from fkeras.core.operations import parameters_of, result_type, standard_dtype  # noqa: F401
from fkeras.core.settings import nearest
from fkeras.core.symbol import Symbol
from fkeras.core.variable import Variable, name_scope  # noqa: F401
from fkeras.layers.contract import custom
from fkeras.layers.input import Input, InputLayer  # noqa: F401  (Input: of the examples)
from fkeras.layers.merging import batch_dot as _batch_dot
from fkeras.layers.wrappers import Wrapper
from fkeras.utils.session import clear_session  # noqa: F401

standardize_dtype = standard_dtype


def backend():
    """Returns "jax", the only backend there is."""
    return "jax"


# ------------------------------------------------------------------------------------ the table: old name, today's


_ORDERS = {"tf": "channels_last", "th": "channels_first"}
_OLD_ARGUMENTS = {"std": "stddev", "scale": "stddev", "low": "minval", "high": "maxval", "dim_ordering": "data_format",
                  "border_mode": "padding", "nb_classes": "num_classes", "y_true": "target", "y_pred": "output",
                  "p": "level", "filter_dilation": "dilation_rate"}  # fmt: skip


def _row(spec, function, today=None):
    """Makes a function of an old name: `spec` is its signature, `function` takes the arguments in that order."""
    name = spec.partition("(")[0]
    signature = inspect.Signature(parameters_of(spec))
    today = today or f"ops.{getattr(function, '__name__', name)}"

    def call(*args, **kwargs):
        if kwargs.keys() - signature.parameters.keys():
            old = {k: v for k, v in _OLD_ARGUMENTS.items() if k in kwargs and v in signature.parameters}
            for k, v in old.items():
                if v in kwargs:
                    raise TypeError(f"backend.{name} got {v!r} twice: also as {k!r}, its name of old. Leave {k!r} out.")
                messages.old_spelling(f"backend.{name}({k}=)", f"backend.{name}({v}=)")
                kwargs[v] = _ORDERS.get(kwargs[k], kwargs[k]) if k == "dim_ordering" else kwargs[k]
                del kwargs[k]
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as err:
            hint = nearest(next((k for k in kwargs if k not in signature.parameters), ""), signature.parameters)
            raise TypeError(f"backend.{name}{signature}: {err}.{hint}") from None
        bound.apply_defaults()
        return function(*bound.arguments.values())

    call.__name__ = call.__qualname__ = name
    call.__signature__ = signature
    about = (function.__doc__ or "").strip().partition("\n")[0] if not today.startswith("`") else ""
    call.__doc__ = completed(f"{about or 'Keras 2 called it so.'} Today: `{today.strip('`')}`.", signature.parameters)
    return name, call


def _padded(x, pads, data_format):
    x = x if isinstance(x, Symbol) else jnp.asarray(x)
    first = (data_format or image_data_format()) == "channels_first"
    none = [(0, 0)]
    return ops.pad(x, [*none, *none * first, *map(tuple, pads), *none * (not first)])


def _resized(x, factors, data_format, interpolation="nearest"):
    first = 2 if (data_format or image_data_format()) == "channels_first" else 1
    if interpolation == "nearest":
        for axis, factor in enumerate(factors, first):
            x = ops.repeat(x, factor, axis=axis)
        return x
    size = [n * f for n, f in zip(ops.shape(x)[first : first + len(factors)], factors, strict=True)]
    return ops.image.resize(x, size, interpolation, data_format=data_format)


def _pooled(x, pool_size, strides, padding, data_format, pool_mode):
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise ValueError(f"backend.pool2d: expected pool_mode 'max' or 'avg', got {pool_mode!r}.")
    return pools[pool_mode](x, pool_size, strides, padding, data_format)


def _relu(x, alpha, max_value, threshold):
    if isinstance(x, Symbol):
        from fkeras.layers import ReLU

        return ReLU(max_value, alpha, threshold)(x)
    return activations.relu(x, alpha, max_value, threshold)


def _slice(x, start, size):
    return x[tuple(builtins.slice(i, None if n == -1 else i + n) for i, n in zip(start, size, strict=True))]


def _switch(condition, then_expression, else_expression):
    if callable(then_expression) or callable(else_expression):
        return ops.cond(condition, then_expression, else_expression)
    missing = len(ops.shape(then_expression)) - len(ops.shape(condition))
    for _ in range(missing):
        condition = ops.expand_dims(condition, -1)
    return ops.where(condition, then_expression, else_expression)


def _flat_rows(x):
    return ops.reshape(x, (-1, int(np.prod(ops.shape(x)[1:]))))


def _l2_normalize(x, axis):
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, 1e-12))


def _dot(x, y):
    shapes = ops.shape(x), ops.shape(y)
    if len(shapes[0]) > 2 or len(shapes[1]) > 2:  # the last axis of x with the last but one of y
        return ops.tensordot(x, y, axes=[[len(shapes[0]) - 1], [builtins.max(len(shapes[1]) - 2, 0)]])
    return ops.matmul(x, y)


def _dot_batches(x, y, axes):
    ranks = len(ops.shape(x)), len(ops.shape(y))
    axes = (ranks[0] - 1, ranks[1] - 2 if ranks[1] > 2 else ranks[1] - 1) if axes is None else axes
    axes = (axes, axes) if isinstance(axes, int) else tuple(axes)
    if isinstance(x, Symbol) or isinstance(y, Symbol):
        from fkeras.layers import Dot

        return Dot(axes=axes)([x, y])
    return _batch_dot(jnp.asarray(x), jnp.asarray(y), axes)


def _with_bias(x, bias, data_format):
    first = (data_format or image_data_format()) == "channels_first"
    rank = len(ops.shape(x))
    if len(ops.shape(bias)) == 1 and first and rank > 2:
        bias = ops.reshape(bias, (-1, *[1] * (rank - 2)))
    return ops.add(x, bias)


def _folded(reverse):
    def fold(fn, elems, initializer, name):
        start = elems[-1 if reverse else 0] if initializer is None else initializer
        rest = elems if initializer is not None else elems[:-1] if reverse else elems[1:]
        return ops.scan(lambda carry, x: (fn(carry, x), 0), start, rest, reverse=reverse)[0]

    return fold


def _ctc_batch_cost(y_true, y_pred, input_length, label_length):
    logits = ops.log(ops.add(y_pred, epsilon()))
    blank = ops.shape(y_pred)[-1] - 1
    lengths = (ops.reshape(n, (-1,)) for n in (label_length, input_length))
    return ops.expand_dims(ops.ctc_loss(y_true, logits, *lengths, mask_index=blank), 1)


def _ctc_decode(y_pred, input_length, greedy, beam_width, top_paths):
    strategy = "greedy" if greedy else "beam_search"
    logits = ops.log(ops.add(y_pred, epsilon()))
    paths, scores = ops.ctc_decode(
        logits, input_length, strategy, beam_width=beam_width, top_paths=top_paths, mask_index=None
    )
    return list(paths), scores


def _bernoulli(shape, p, dtype, seed):
    return ops.cast(random.uniform(shape, seed=seed) < p, dtype)


def _conv(x, kernel, strides, padding, data_format, dilation_rate):
    if padding == "causal":
        width = (ops.shape(kernel)[0] - 1) * (dilation_rate if isinstance(dilation_rate, int) else dilation_rate[0])
        x, padding = _padded(x, [(width, 0)], data_format), "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def _conv_transpose(x, kernel, output_shape, strides, padding, data_format, dilation_rate):
    found = ops.conv_transpose(x, kernel, strides, padding, None, data_format, dilation_rate)
    wanted = tuple(int(n) for n in output_shape[1:])
    if tuple(found.shape[1:]) != wanted:
        raise ValueError(
            f"backend.conv2d_transpose: expected the output shape {tuple(found.shape[1:])} that kernel, strides and "
            f"padding give, got {wanted}. Other sizes: ops.conv_transpose(output_padding=...)."
        )
    return found


def _batch_normalized(x, gamma, beta, reduction_axes, epsilon):
    mean, var = ops.moments(x, axes=list(reduction_axes), keepdims=True)
    shape = ops.shape(mean)
    scale = 1.0 if gamma is None else ops.reshape(gamma, shape)
    shift = 0.0 if beta is None else ops.reshape(beta, shape)
    normed = (x - mean) * ops.rsqrt(var + epsilon) * scale + shift
    return normed, ops.reshape(mean, (-1,)), ops.reshape(var, (-1,))


_CONV = "padding='valid', data_format=None, dilation_rate"
_TABLE = dict(
    [
        *(_row(f"{n}(x, axis=None, keepdims=False)", getattr(ops, n)) for n in
          ("all", "any", "max", "mean", "min", "prod", "std", "sum", "var", "logsumexp")),
        *(_row(f"{n}(x)", getattr(ops, n)) for n in
          ("abs", "cos", "dtype", "exp", "log", "ndim", "round", "shape", "sigmoid", "sign", "sin", "softplus",
           "softsign",
           "sqrt", "square", "tanh", "transpose")),
        *(_row(f"{n}(x, y)", getattr(ops, n)) for n in
          ("equal", "greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "not_equal")),
        _row("arange(start, stop=None, step=1, dtype='int32')", ops.arange),
        _row("argmax(x, axis=-1)", ops.argmax),
        _row("argmin(x, axis=-1)", ops.argmin),
        _row("batch_dot(x, y, axes=None)", _dot_batches, "layers.Dot"),
        _row("batch_flatten(x)", _flat_rows, "ops.reshape(x, (-1, n))"),
        _row("batch_normalization(x, mean, var, beta, gamma, axis=-1, epsilon=0.001)",
             lambda x, mean, var, beta, gamma, axis, epsilon: ops.batch_normalization(
                 x, mean, var, axis, beta, gamma, epsilon), "ops.batch_normalization"),
        _row("bias_add(x, bias, data_format=None)", _with_bias, "ops.add"),
        _row("asymmetric_spatial_2d_padding(x, top_pad=1, bottom_pad=1, left_pad=1, right_pad=1, dim_ordering=None)",
             lambda x, top, bottom, left, right, order: _padded(
                 x, ((top, bottom), (left, right)), _ORDERS.get(order, order)), "ops.pad"),
        _row("binary_focal_crossentropy(target, output, apply_class_balancing=False, alpha=0.25, gamma=2.0, "
             "from_logits=False)", lambda y, p, balance, alpha, gamma, logits: losses.binary_focal_crossentropy(
                 y, p, balance, alpha, gamma, logits), "losses.binary_focal_crossentropy"),
        _row("binary_crossentropy(target, output, from_logits=False)", ops.binary_crossentropy),
        _row("cast(x, dtype)", ops.cast),
        _row("cast_to_floatx(x)", lambda x: ops.cast(x, floatx()), "ops.cast(x, floatx())"),
        _row("categorical_crossentropy(target, output, from_logits=False, axis=-1)", ops.categorical_crossentropy),
        _row("categorical_focal_crossentropy(target, output, alpha=0.25, gamma=2.0, from_logits=False, axis=-1)",
             lambda y, p, alpha, gamma, logits, axis: losses.categorical_focal_crossentropy(
                 y, p, alpha, gamma, logits, axis=axis), "losses.categorical_focal_crossentropy"),
        _row("clip(x, min_value, max_value)", ops.clip),
        _row("concatenate(tensors, axis=-1)", lambda xs, axis: ops.concatenate(list(xs), axis), "ops.concatenate"),
        _row(f"conv1d(x, kernel, strides=1, {_CONV}=1)", _conv, "ops.conv"),
        _row(f"conv2d(x, kernel, strides=1, {_CONV}=1)", _conv, "ops.conv"),
        _row(f"conv3d(x, kernel, strides=1, {_CONV}=1)", _conv, "ops.conv"),
        _row("conv2d_transpose(x, kernel, output_shape, strides=1, padding='valid', data_format=None, "
             "dilation_rate=1)", _conv_transpose, "ops.conv_transpose"),
        _row("ctc_batch_cost(y_true, y_pred, input_length, label_length)", _ctc_batch_cost, "ops.ctc_loss"),
        _row("ctc_decode(y_pred, input_length, greedy=True, beam_width=100, top_paths=1)", _ctc_decode,
             "ops.ctc_decode"),
        _row("cumprod(x, axis=0)", ops.cumprod),
        _row("cumsum(x, axis=0)", ops.cumsum),
        _row(f"depthwise_conv2d(x, depthwise_kernel, strides=1, {_CONV}=1)", ops.depthwise_conv),
        _row("dot(x, y)", _dot, "ops.matmul"),
        _row("dropout(x, level, noise_shape=None, seed=None)", random.dropout, "random.dropout"),
        _row("elu(x, alpha=1.0)", ops.elu),
        _row("expand_dims(x, axis=-1)", ops.expand_dims),
        _row("eye(size, dtype=None, name=None)", lambda size, dtype, name: ops.eye(
            *(size if isinstance(size, (list, tuple)) else (size,)), dtype=dtype), "ops.eye"),
        _row("flatten(x)", ops.ravel),
        _row("foldl(fn, elems, initializer=None, name=None)", _folded(False), "ops.scan"),
        _row("foldr(fn, elems, initializer=None, name=None)", _folded(True), "ops.scan"),
        _row("gather(reference, indices)", lambda x, indices: ops.take(x, indices, axis=0), "ops.take(x, i, axis=0)"),
        _row("hard_sigmoid(x)", lambda x: ops.clip(0.2 * x + 0.5, 0.0, 1.0), "ops.hard_sigmoid, with other slopes"),
        _row("identity(x, name=None)", lambda x, name: x, "the value itself"),
        _row("in_top_k(predictions, targets, k)", lambda p, t, k: ops.in_top_k(t, p, k), "ops.in_top_k"),
        _row("int_shape(x)", lambda x: ops.shape(x), "ops.shape"),
        _row("l2_normalize(x, axis=None)", _l2_normalize, "ops.normalize"),
        _row("map_fn(fn, elems, name=None, dtype=None)", lambda fn, elems, name, dtype: ops.map(fn, elems), "ops.map"),
        _row("normalize_batch_in_training(x, gamma, beta, reduction_axes, epsilon=0.001)", _batch_normalized,
             "ops.moments, ops.batch_normalization"),
        _row("one_hot(indices, num_classes)", ops.one_hot),
        _row("ones(shape, dtype=None, name=None)", lambda s, d, n: variable(ops.ones(s, d), name=n), "ops.ones"),
        _row("ones_like(x, dtype=None, name=None)", lambda x, d, n: ops.ones_like(x, d), "ops.ones_like"),
        _row("permute_dimensions(x, pattern)", ops.transpose),
        _row("pool2d(x, pool_size, strides=1, padding='valid', data_format=None, pool_mode='max')", _pooled,
             "ops.max_pool"),
        _row("pool3d(x, pool_size, strides=1, padding='valid', data_format=None, pool_mode='max')", _pooled,
             "ops.max_pool"),
        _row("pow(x, a)", ops.power),
        _row("random_bernoulli(shape, p=0.0, dtype=None, seed=None)",
             _bernoulli, "random.uniform(shape) < p"),
        _row("random_binomial(shape, p=0.0, dtype=None, seed=None)",
             _bernoulli, "random.uniform(shape) < p"),
        _row("random_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None)", random.normal, "random.normal"),
        _row("random_uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None)", random.uniform, "random.uniform"),
        _row("relu(x, alpha=0.0, max_value=None, threshold=0.0)", _relu, "activations.relu"),
        _row("repeat(x, n)", lambda x, n: ops.repeat(ops.expand_dims(x, 1), n, axis=1), "layers.RepeatVector"),
        _row("repeat_elements(x, rep, axis)", ops.repeat),
        _row("reshape(x, shape)", ops.reshape),
        _row("resize_images(x, height_factor, width_factor, data_format=None, interpolation='nearest')",
             lambda x, h, w, data_format, how: _resized(x, (h, w), data_format, how), "ops.image.resize"),
        _row("resize_volumes(x, depth_factor, height_factor, width_factor, data_format=None)",
             lambda x, d, h, w, data_format: _resized(x, (d, h, w), data_format), "layers.UpSampling3D"),
        _row("reverse(x, axes)", ops.flip),
        _row(f"separable_conv2d(x, depthwise_kernel, pointwise_kernel, strides=1, {_CONV}=1)", ops.separable_conv),
        _row("softmax(x, axis=-1)", ops.softmax),
        _row("sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1)",
             ops.sparse_categorical_crossentropy),
        _row("spatial_2d_padding(x, padding=1, data_format=None)", lambda x, padding, data_format: _padded(
            x, ((padding,) * 2,) * 2 if isinstance(padding, int) else padding, data_format), "ops.pad"),
        _row("spatial_3d_padding(x, padding=1, data_format=None)", lambda x, padding, data_format: _padded(
            x, ((padding,) * 2,) * 3 if isinstance(padding, int) else padding, data_format), "ops.pad"),
        _row("squeeze(x, axis)", ops.squeeze),
        _row("stack(x, axis=0)", lambda x, axis: ops.stack(list(x), axis), "ops.stack"),
        _row("stop_gradient(variables)", lambda v: [*map(ops.stop_gradient, v)] if isinstance(v, (list, tuple))
             else ops.stop_gradient(v), "ops.stop_gradient"),
        _row("slice(x, start, size)", _slice, "x[start:stop]"),
        _row("switch(condition, then_expression, else_expression)", _switch, "ops.where"),
        _row("temporal_padding(x, padding=1)", lambda x, padding: _padded(
            x, ((padding,) * 2 if isinstance(padding, int) else padding,), "channels_last"), "ops.pad"),
        _row("tile(x, n)", ops.tile),
        _row("truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None)", random.truncated_normal,
             "random.truncated_normal"),
        _row("zeros(shape, dtype=None, name=None)", lambda s, d, n: variable(ops.zeros(s, d), name=n), "ops.zeros"),
        _row("zeros_like(x, dtype=None, name=None)", lambda x, d, n: ops.zeros_like(x, d), "ops.zeros_like"),
    ]
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------ variables


def variable(value, dtype=None, name=None, constraint=None):
    """Returns a variable that holds `value`: an array that can be assigned to.

    Args:
        value: Array, number or nested lists.
        dtype: None is that of the array, floatx for Python's numbers.
        constraint: Applied by whoever trains it.

    Example:
        >>> v = variable([1.0, 2.0])
        >>> v.assign_add([1.0, 1.0]).numpy().tolist()
        [2.0, 3.0]
    """
    dtype = standard_dtype(dtype or (np.asarray(value).dtype if hasattr(value, "dtype") else None))
    return Variable(ops.convert_to_tensor(value, dtype), name=name, constraint=constraint)


def constant(value, dtype=None, shape=None, name=None):
    """Returns an array of `value`, of floatx by default, repeated to a shape where given."""
    array = ops.convert_to_tensor(value, dtype or (None if hasattr(value, "dtype") else floatx()))
    return array if shape is None else ops.broadcast_to(array, tuple(shape))


def get_value(x):
    """Returns the NumPy value of a weight, an array or a number."""
    return np.asarray(x)


eval = get_value  # Keras's name


def set_value(x, value):
    """Sets a weight."""
    x.assign(value)


def batch_get_value(tensors):
    """Returns the NumPy values of weights."""
    return [get_value(t) for t in tensors]


def batch_set_value(tuples):
    """Sets weights from pairs (weight, value)."""
    for x, value in tuples:
        set_value(x, value)


def update(x, new_x):
    """Sets a weight; returns it."""
    return x.assign(new_x)


def update_add(x, increment):
    """Adds to a weight; returns it."""
    return x.assign_add(increment)


def update_sub(x, decrement):
    """Subtracts from a weight; returns it."""
    return x.assign_sub(decrement)


def moving_average_update(x, value, momentum):
    """Sets a weight to momentum * x + (1 - momentum) * value; returns it."""
    return x.assign(x.value * momentum + jnp.asarray(value) * (1 - momentum))


def random_normal_variable(shape, mean, scale, dtype=None, name=None, seed=None):
    """Returns a variable of normal random numbers."""
    return variable(random.normal(shape, mean, scale, dtype, seed), name=name)


def random_uniform_variable(shape, low, high, dtype=None, name=None, seed=None):
    """Returns a variable of random numbers from `low` to `high`."""
    return variable(random.uniform(shape, low, high, dtype, seed), name=name)


def count_params(x):
    """Returns the number of numbers in a weight."""
    return int(np.prod(ops.shape(x)))


# ------------------------------------------------------------------------------------------------ kinds and names


def is_keras_tensor(x):
    """Returns whether `x` is a symbol of a graph."""
    return isinstance(x, Symbol)


def is_tensor(x):
    """Returns whether `x` is a JAX array."""
    return ops.is_tensor(x)


def is_sparse(tensor):
    """Returns False: there are no sparse arrays here."""
    return False


def to_dense(tensor):
    """Returns the array itself: there are no sparse ones here."""
    return tensor


def is_float_dtype(dtype):
    """Returns whether a dtype is one of floats."""
    return "float" in standard_dtype(dtype)


def is_int_dtype(dtype):
    """Returns whether a dtype is one of integers."""
    return "int" in standard_dtype(dtype)


_uids: dict[str, int] = {}


def get_uid(prefix=""):
    """Returns 1, 2, 3, ...: how often it was asked for this prefix."""
    _uids[prefix] = _uids.get(prefix, 0) + 1
    return _uids[prefix]


def reset_uids():
    """Begins counting anew for every prefix."""
    _uids.clear()


def image_dim_ordering():
    """Returns Keras 1's word for where images have their channels: "tf" for last, "th" for first."""
    return "tf" if image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering):
    """Sets where images have their channels, in Keras 1's words: "tf" for last, "th" for first."""
    if dim_ordering not in ("tf", "th"):
        raise ValueError(f"set_image_dim_ordering: expected 'tf' or 'th', got {dim_ordering!r}.")
    set_image_data_format("channels_last" if dim_ordering == "tf" else "channels_first")


def manual_variable_initialization(value):
    """Does nothing but say so: arrays are drawn when they are first needed."""
    if value:
        raise ValueError("manual_variable_initialization(True): there is no session to initialize variables in.")


# ---------------------------------------------------------------------------------------- functions of symbols


class _Phase:
    """What `learning_phase()` returns: a place in the inputs of `function`, and nothing else."""

    def _refuse(self, *args):
        raise TypeError(
            "learning_phase() is no number here: layers are told by `training=True` in their call. It is taken as an "
            "input of K.function only."
        )

    __bool__ = __int__ = __float__ = __array__ = __add__ = __radd__ = __mul__ = __rmul__ = __index__ = _refuse


_PHASE = _Phase()


def learning_phase():
    """Returns the place of the flag "training or not" among the inputs of `function`.

    Layers are told by `training=` in their call; as a number it is refused.
    """
    return _PHASE


def set_learning_phase(value):
    """Refuses: whether a call is training is said in the call.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f"set_learning_phase({value!r}): there is no process-wide phase. Say it in the call, model(x, training=True); "
        f"fit and predict do so themselves."
    )


def placeholder(shape=None, ndim=None, dtype=None, sparse=False, name=None):
    """Refuses: a graph begins with Input.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f"placeholder: a graph begins with Input({tuple(shape or ())[1:]}), a symbol; there are no sessions."
    )


def learning_phase_scope(value):
    """Refuses, as `set_learning_phase` does.

    Raises:
        ValueError: Always.
    """
    set_learning_phase(value)


def print_tensor(x, message="", summarize=3):
    """Prints a value when it is computed, also in a compiled step; returns it. Today: `jax.debug.print`.

    Example:
        >>> int(print_tensor(jnp.int32(3), "x = "))
        x = 3
        3
    """
    jax.debug.print("{message}{x}", message=message, x=x)
    return x


def rnn(step_function, inputs, initial_states, go_backwards=False, mask=None, constants=None, unroll=False,
        input_length=None, time_major=False, zero_output_for_mask=False, return_all_outputs=True):  # fmt: skip
    """Runs a step over the time axis of arrays.

    Args:
        step_function: Function (x [B, ...], states) -> (output, states). `constants` are added to the states it sees.
        inputs: Array [B, T, ...], or [T, B, ...] if `time_major`.
        initial_states: List of arrays.
        go_backwards: Begin with the last step; outputs come in the order of computation.
        mask: Bools [B, T]: a step that is False keeps states and output, or gives zeros if `zero_output_for_mask`.
        constants: List of arrays that every step sees after the states.
        unroll, input_length: Taken: how Keras computed, and what the array tells itself.
        return_all_outputs: Return the outputs of all steps, not those of the last as a sequence of one.

    Returns:
        (last output, outputs [B, T, ...], list of new states).

    Example:
        >>> total = lambda x, states: (x + states[0], [x + states[0]])
        >>> last, all_, _ = rnn(total, jnp.arange(3.0).reshape(1, 3, 1), [jnp.zeros((1, 1))])
        >>> last.tolist(), all_.ravel().tolist()
        ([[3.0]], [0.0, 1.0, 3.0])
    """
    constants = list(constants or [])
    x = jnp.asarray(inputs) if time_major else jnp.swapaxes(jnp.asarray(inputs), 0, 1)  # [T, B, ...]
    keep = jnp.ones(x.shape[:2], bool) if mask is None else jnp.asarray(mask, bool).reshape(*x.shape[1::-1]).T
    if go_backwards:
        x, keep = x[::-1], keep[::-1]
    states = [jnp.asarray(s) for s in initial_states]
    out = jax.eval_shape(lambda: step_function(x[0], [*states, *constants])[0])

    def step(carry, now):
        before, states = carry
        x, keep = now
        y, new = step_function(x, [*states, *constants])

        def wide(a):
            return keep.reshape(-1, *[1] * (a.ndim - 1))

        new = [jnp.where(wide(s), n, s).astype(s.dtype) for n, s in zip(new, states, strict=False)]
        kept = jnp.where(wide(y), y, before)
        return (kept, new), jnp.where(wide(y), y, 0 * y) if zero_output_for_mask else kept

    (last, states), outputs = jax.lax.scan(step, (jnp.zeros(out.shape, out.dtype), states), (x, keep))
    outputs = outputs if return_all_outputs else outputs[-1:]
    return last, outputs if time_major else jnp.swapaxes(outputs, 0, 1), states


def get_session():
    """Refuses: there is no TensorFlow underneath.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        "get_session: fkeras runs on JAX, without sessions. Values: K.get_value(x); functions of symbols: K.function; "
        "devices: jax.devices(). A line that only sets GPU memory can go."
    )


def set_session(session):
    """Refuses: there is no TensorFlow underneath.

    Raises:
        ValueError: Always.
    """
    get_session()


def function(inputs, outputs, updates=None, name=None):
    """Returns a function from NumPy arrays for the input symbols to a list of NumPy arrays for the outputs.

    Args:
        inputs: Symbol or list of symbols; `learning_phase()` among them stands for a flag.
        outputs: Symbol or list of symbols, or a dict.
        updates: None or empty: nothing is assigned.

    Example:
        >>> x = Input((2,))
        >>> function([x], [_TABLE["sum"](x, axis=-1)])([np.ones((1, 2))])[0].tolist()
        [2.0]
    """
    from fkeras.models import Model

    if updates:
        raise ValueError("function(updates=...): a function of symbols assigns nothing. Use assign() on the weights.")
    places = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    one = not isinstance(outputs, (list, tuple, dict))
    symbols = [s for s in places if s is not _PHASE]
    model = Model(symbols, [outputs] if one else outputs)

    def run(params, state, arrays, training):
        key = jax.random.key(0) if training else None
        return model.apply(params, state, arrays if len(arrays) > 1 else arrays[0], training=training, key=key)[0]

    compiled = jax.jit(run, static_argnums=3)

    def call(values):
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        if len(values) != len(places):
            raise ValueError(f"This function takes {len(places)} inputs, got {len(values)}.")
        training = builtins.any(bool(v) for p, v in zip(places, values, strict=True) if p is _PHASE)
        arrays = [
            jnp.asarray(v, p.dtype) for p, v in zip(places, values, strict=True) if p is not _PHASE
        ]  # in the dtype of each Input
        out = jax.tree.map(np.asarray, compiled(*model.gather(), arrays, training))
        found = out if isinstance(out, (list, tuple, dict)) else [out]
        return found[0] if one else found

    return call


class _Gradient(Wrapper):
    """The slope of the sum of a model's output, by the first of its inputs."""

    def forward_masked(self, params, state, x, ctx):
        first, *rest = x if isinstance(x, (list, tuple)) else [x]

        def total(first):
            y = self._call_inner(params, state, [first, *rest] if rest else first, ctx)[0]
            return builtins.sum(jnp.sum(a) for a in jax.tree.leaves(y))

        return jax.grad(total)(first), state, None


def gradients(loss, variables):
    """Returns the slopes of the sum of `loss` by symbols of its graph, as symbols: through `jax.grad`.

    Args:
        loss: Symbol.
        variables: Symbol or list of symbols that the loss is computed from.

    Returns:
        List with a symbol for each variable, None for one that the loss does not depend on.

    Raises:
        TypeError: `variables` are weights: take `jax.grad` of `model.apply` by its params.

    Example:
        >>> x = Input((2,))
        >>> slope = gradients(_TABLE["square"](x), x)[0]
        >>> function([x], [slope])([np.array([[1.0, 3.0]])])[0].tolist()
        [[2.0, 6.0]]
    """
    from fkeras.models import Model

    several = isinstance(variables, (list, tuple))
    found = []
    for symbol in variables if several else [variables]:
        if not isinstance(symbol, Symbol) or not isinstance(loss, Symbol):
            raise TypeError(
                "gradients: takes symbols of a graph. The slopes by weights: jax.grad(lambda p: loss(model.apply(p, "
                "state, x)[0]))(model.params)."
            )
        roots, depends = _roots(loss, symbol)
        if not depends:
            found.append(None)
            continue
        inputs = [symbol, *roots]
        inner = Model(inputs if roots else symbol, loss)
        found.append(_Gradient(inner)(inputs if roots else symbol))
    return found


def _roots(end, cut):
    """Returns (the inputs of `end` in a graph that begins at `cut`, whether `end` is computed from `cut`)."""
    roots, seen, stack, depends = {}, set(), [end], False
    while stack:
        one = stack.pop()
        if one is cut:
            depends = True
        elif isinstance(one.node.layer, InputLayer):
            roots[id(one)] = one
        elif id(one.node) not in seen:
            seen.add(id(one.node))
            stack += [s for s in jax.tree.leaves((one.node.inputs, one.node.mask)) if isinstance(s, Symbol)]
    return list(roots.values()), depends


def in_train_phase(x, alt, training=None):
    """Returns `x` where `training` is True, else `alt`; either may be a function of nothing.

    Within the `call` of a layer or model `training` is known where it is not given.

    Raises:
        ValueError: It is neither given nor known.
    """
    if (training is None or training is _PHASE) and (frame := custom.running()) is not None:
        training = frame.ctx.training
    if training is None or training is _PHASE:
        raise ValueError("in_train_phase: pass training=..., which `call(self, x, training=False)` gets.")
    chosen = x if training else alt
    return chosen() if callable(chosen) else chosen


def in_test_phase(x, alt, training=None):
    """Returns `alt` where `training` is True, else `x`; see `in_train_phase`."""
    return in_train_phase(alt, x, training)


globals().update(_TABLE)

_HERE = """
backend batch_get_value batch_set_value clear_session constant count_params epsilon eval floatx function get_session
get_uid get_value gradients image_data_format image_dim_ordering in_test_phase in_train_phase is_float_dtype
is_int_dtype is_keras_tensor is_sparse is_tensor learning_phase learning_phase_scope manual_variable_initialization
moving_average_update name_scope placeholder print_tensor random_normal_variable random_uniform_variable reset_uids
result_type rnn set_epsilon set_floatx set_image_data_format set_image_dim_ordering set_learning_phase set_session
set_value standardize_dtype to_dense
update update_add update_sub variable
"""
__all__ = sorted({*_TABLE, *_HERE.split()})
