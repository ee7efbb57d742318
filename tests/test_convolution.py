"""Convolution, pooling and resizing: both formulations against each other, and all layers against real Keras."""

import dataclasses
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras.layers.contract.base import Spec, layers
from fkeras.layers.convolution import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    DepthwiseConv2D,
    SeparableConv1D,
    conv,
    conv_transpose,
)
from fkeras.layers.kernels import convolution as kernels
from fkeras.layers.kernels.convolution import formulation
from fkeras.layers.pooling import AveragePooling2D, GlobalAveragePooling1D, MaxPooling2D, average_pool, max_pool
from fkeras.layers.resizing import Cropping1D, Cropping2D, UpSampling2D, ZeroPadding2D
from tests.catalog.layers_conv import ROWS

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32 sums of up to some hundred terms near 1, in another order
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}  # compiles in half the time
KINDS = sorted({row.kind for row in ROWS})


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), "float32")


def spread(y):
    """A number that depends on every entry of `y` differently."""
    return jnp.sum(jnp.sin(y.astype(jnp.float32) * np.linspace(0.5, 1.5, y.size, dtype="float32").reshape(y.shape)))


def assert_same(a, b):
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    assert [(np.shape(v), v.dtype) for v in a] == [(np.shape(v), v.dtype) for v in b]
    for u, v in zip(a, b, strict=True):
        np.testing.assert_allclose(u, v, **CLOSE)


def by_both(cases):
    """Computes values and gradients of every (function, *arrays), in one program a formulation."""

    def run(arrays):
        def outcome(f, *args):
            y, pull = jax.vjp(f, *args)
            return y, pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

        return [outcome(f, *args) for (f, *_), args in zip(cases, arrays, strict=True)]

    def traced(name):
        with formulation(name):
            return jax.jit(lambda arrays: run(arrays), compiler_options=QUICK)([c[1:] for c in cases])

    return traced("cpu"), traced("lax")


# -------------------------------------------------------------------------------- the two formulations

STRIDES, DILATIONS = [(1, 1), (2, 1), (2, 3)], [(1, 1), (1, 3)]


@pytest.mark.parametrize("groups, channels, filters", [(1, 5, 4), (1, 3, 4), (2, 4, 6), (1, 1, 3), (3, 3, 6)])
def test_both_formulations_of_convolution_agree(groups, channels, filters):
    x, kernel = drawn(2, 9, 8, channels), drawn(3, 2, channels // groups, filters, seed=1)
    cases = [
        (lambda x, k, s=s, p=p, d=d: conv(x, k, s, p, d, groups), x, kernel)
        for s, p, d in itertools.product(STRIDES, ["valid", "same"], DILATIONS)
    ]
    assert_same(*by_both(cases))


def test_both_formulations_of_transposed_convolution_agree():
    x, kernel = drawn(2, 4, 3, 3), drawn(3, 2, 2, 3, seed=1)
    cases = [
        (lambda x, k, s=s, p=p, o=o, d=d: conv_transpose(x, k, s, p, o, d), x, kernel)
        for s, p, o, d in [
            ((1, 1), "valid", None, (1, 1)),
            ((2, 3), "valid", None, (1, 1)),
            ((2, 3), "same", None, (1, 1)),
            ((4, 5), "same", (1, 2), (1, 1)),
            ((4, 5), "valid", (3, 0), (1, 1)),
            ((1, 1), "same", None, (2, 3)),
            ((2, 2), "same", (0, 1), (1, 2)),
        ]
    ]
    assert_same(*by_both(cases))


def test_both_formulations_agree_along_one_and_three_axes():
    cases = [
        (lambda x, k: conv(x, k, 2, "causal"), drawn(2, 7, 3), drawn(3, 3, 4, seed=1)),
        (lambda x, k: conv(x, k, 1, "causal", 2), drawn(2, 7, 1), drawn(3, 1, 4, seed=1)),
        (lambda x, k: conv(x, k, (1, 2, 1), "same"), drawn(2, 3, 4, 3, 2), drawn(2, 2, 3, 2, 3, seed=1)),
        (lambda x, k: conv(x, k, 2), drawn(2, 3, 4, 2), drawn(1, 1, 2, 3, seed=1)),
        (lambda x, k: conv(x, k, 2, ((1, 0), (2, 3))), drawn(2, 3, 4, 2), drawn(2, 1, 2, 3, seed=1)),
    ]
    assert_same(*by_both(cases))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_both_formulations_of_pooling_agree_also_in_ties(padding):
    ties = jnp.round(drawn(2, 7, 6, 3)).clip(0)  # mostly zeros, as behind a ReLU
    line, volume = jnp.round(drawn(2, 9, 2)), jnp.round(drawn(1, 4, 5, 4, 2))
    windows = [(ties, 2, None), (ties, (2, 3), None), (ties, 3, 2), (ties, (2, 3), (1, 2)), (ties, 1, 2)]
    windows += [(line, 3, 2), (volume, 2, None)]
    windows += [(ties, 5, None), (drawn(1, 70, 1), 65, 2)]  # beyond 16 and 64 slices
    cases = [(lambda x, k=k, s=s: max_pool(x, k, s, padding), x) for x, k, s in windows]
    cases += [
        (lambda x, k=k, s=s: average_pool(x, k, s, padding), x)
        for x, k, s in [(ties, 2, None), (ties, 5, None), (volume, (2, 3, 2), 2), (drawn(1, 70, 1), 65, 2)]
    ]
    assert_same(*by_both(cases))


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equal_elements():
    for strides in (2, 1):
        grad = jax.grad(lambda x, s=strides: max_pool(x, 2, s).sum())(jnp.zeros((1, 2, 2, 1)))
        np.testing.assert_array_equal(grad.reshape(2, 2), [[1, 0], [0, 0]])


@pytest.mark.parametrize("name", ["cpu", "lax"])
def test_a_nan_stays_in_the_maximum(name):
    with formulation(name):
        y = max_pool(jnp.array([1, jnp.nan, jnp.nan, 1, 2, 3.0]).reshape(1, 6, 1), 2)
    np.testing.assert_array_equal(y.ravel(), [np.nan, np.nan, 3])


def test_integers_have_maxima_too():
    x = jnp.array([[-5, -7, -9]]).reshape(1, 3, 1)
    assert max_pool(x, 2, padding="same").ravel().tolist() == [-5, -9]


def test_convolution_maps_over_an_axis_and_derives_twice():
    x, kernel = drawn(2, 4, 3, 2), drawn(2, 2, 2, 2, seed=1)

    def loss(kernel):
        return jnp.sum(jnp.tanh(conv(x, kernel)))

    together = jax.vmap(loss)(jnp.stack([kernel, 2 * kernel]))
    np.testing.assert_allclose(together, [loss(kernel), loss(2 * kernel)], rtol=1e-5)  # sums in another order

    def times(v):  # Hessian times v, by differentiating backwards twice
        return jax.grad(lambda k: jnp.vdot(jax.grad(loss)(k), v))(kernel)

    v = drawn(2, 2, 2, 2, seed=2)
    forward = jax.jvp(jax.grad(loss), (kernel,), (v,))[1]
    with formulation("lax"):
        straight = jax.jvp(lambda k: jnp.sum(jnp.tanh(conv(x, k))), (kernel,), (v,))[1]
    np.testing.assert_allclose(times(v), forward, rtol=1e-4, atol=1e-5)  # second derivatives of float32 sums
    np.testing.assert_allclose(straight, jnp.vdot(jax.grad(loss)(kernel), v), rtol=1e-5)


def test_the_formulation_follows_the_device():
    assert kernels.chosen() == ("cpu" if jax.default_backend() == "cpu" else "lax")
    with formulation("lax"), jax.default_device(jax.devices("cpu")[0]):
        assert kernels.chosen() == "lax"
    with jax.default_device(jax.devices("cpu")[0]):
        assert kernels.chosen() == "cpu"
    with pytest.raises(ValueError, match="formulation: expected 'cpu' or 'lax', got 'gpu'"), formulation("gpu"):
        pass


def test_gradients_of_a_replicated_kernel_are_whole_under_shard_map():
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    x, kernel = drawn(2, 4, 3, 2), drawn(2, 2, 2, 2, seed=1)
    here, split = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("d")

    def grad(kernel, x):
        return jax.grad(lambda k: jnp.sum(jnp.sin(conv(x, k))))(kernel)

    with formulation("cpu"):  # used to fail: a derivative of our own must name the axes that its result varies over
        y = jax.jit(jax.shard_map(grad, mesh=mesh, in_specs=(here, split), out_specs=here))(kernel, x)
    np.testing.assert_allclose(y, jax.grad(lambda k: jnp.sum(jnp.sin(conv(x, k))))(kernel), **CLOSE)


def test_training_on_the_cpu_holds_no_convolution_in_a_layout_that_is_slow_in_loops():
    x, kernel = drawn(2, 6, 6, 5), drawn(3, 3, 5, 6, seed=1)
    with formulation("cpu"):
        program = str(jax.make_jaxpr(jax.grad(lambda x, k: max_pool(conv(x, k), 2).sum(), (0, 1)))(x, kernel))
    assert program.count("conv_general_dilated") == 3  # values and both gradients
    assert program.count("lhs_spec=(0, 3, 1, 2)") == program.count("rhs_spec=(3, 2, 0, 1)") == 3
    assert "reduce_window" not in program and "select_and_scatter" not in program


# ------------------------------------------------------------------------------------------ real Keras


def undrawn(kind):
    """Initializers that cost no compilation; the weights are set afterwards."""
    return {n: "zeros" for n in inspect.signature(layers.lookup(kind)).parameters if n.endswith("_initializer")}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_gradients_weights_and_shapes_are_keras(kind, keras):
    pairs = []
    for row in (r for r in ROWS if r.kind == kind):
        row = dataclasses.replace(row, kwargs=row.kwargs | undrawn(kind))
        (layer, x), twin = row.build(), row.twin(keras)
        layer.build(x.shape)
        twin.build(x.shape)
        assert [(w.name, w.shape) for w in layer.weights] == [(w.name, tuple(w.shape)) for w in twin.weights]
        weights = [np.asarray(drawn(*w.shape, seed=i + 1)) for i, w in enumerate(layer.weights)]
        layer.set_weights(weights)
        twin.set_weights(weights)
        pairs.append((layer, twin, jnp.asarray(x)))

    def ours(layer):
        return lambda ws, x: layer.apply(dict(zip((w.name for w in layer.weights), ws, strict=True)), {}, x)[0]

    def theirs(twin):
        return lambda ws, x: twin.stateless_call(ws, [], x)[0]

    def outcome(f, weights, x):
        y, pull = jax.vjp(f, weights, x)
        return y, pull(jax.grad(spread)(y))

    for layer, twin, x in pairs:
        weights = [jnp.asarray(w) for w in layer.get_weights()]
        fs = ours(layer), theirs(twin)
        run = jax.jit(lambda *a, fs=fs: [outcome(f, *a) for f in fs], compiler_options=QUICK)
        mine, other = run(weights, x)
        assert_same(mine, other)
        assert layer.compute_output_shape(x.shape) == mine[0].shape == tuple(twin.compute_output_shape(x.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_defaults_and_configs_are_keras(kind, keras):
    theirs = inspect.signature(getattr(keras.layers, kind)).parameters
    mine = inspect.signature(layers.lookup(kind)).parameters
    shared = [n for n in theirs if n not in ("name", "kwargs", "lora_rank", "lora_alpha", "quantization_config")]
    assert list(mine)[: len(shared)] == shared
    row = next(r for r in ROWS if r.kind == kind)
    layer = row.build()[0]
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    twin = getattr(keras.layers, kind).from_config(config).get_config()
    default = getattr(keras.layers, kind)(**{n: 2 for n in shared if mine[n].default is inspect.Parameter.empty})
    own_default = layers.lookup(kind)(**{n: 2 for n in shared if mine[n].default is inspect.Parameter.empty})
    for theirs_, mine_ in ((twin, config), (default.get_config(), own_default.get_config())):
        for name in shared:
            if name in theirs_ and not isinstance(theirs_[name], dict) and name != "activity_regularizer":
                assert jax.tree.leaves(mine_[name]) == jax.tree.leaves(theirs_[name]), name


def test_the_mean_over_time_leaves_out_masked_steps(keras):
    x, mask = drawn(3, 4, 2), np.array([[1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 1]], bool)
    for kwargs in ({}, {"keepdims": True}):
        mine = GlobalAveragePooling1D(**kwargs).apply({}, {}, x, mask=mask)[0]
        np.testing.assert_allclose(mine, keras.layers.GlobalAveragePooling1D(**kwargs)(x, mask=mask), **CLOSE)
    assert GlobalAveragePooling1D().compute_mask(x, mask) is None


def test_a_row_without_real_steps_averages_to_zero_and_its_gradient_is_finite():
    x = drawn(2, 3, 2)
    layer, mask = GlobalAveragePooling1D(), np.array([[1, 0, 1], [0, 0, 0]], bool)
    y, grad = jax.value_and_grad(lambda x: layer.apply({}, {}, x, mask=mask)[0].sum())(x)
    assert np.isfinite(y) and not np.any(grad[1])
    assert not np.any(layer.apply({}, {}, x, mask=mask)[0][1])


def test_causal_separable_convolution_looks_back_only():
    layer, x = SeparableConv1D(4, 3, padding="causal", dilation_rate=2, **undrawn("SeparableConv1D")), drawn(1, 6, 2)
    layer.build(x.shape)
    layer.set_weights([drawn(*w.shape, seed=1) for w in layer.weights])
    y = layer(x)
    later = layer(x.at[:, 3:].add(1.0))
    np.testing.assert_array_equal(y[:, :3], later[:, :3])
    assert np.all(y[:, 3:] != later[:, 3:])


def test_half_precision_averages_in_float32():
    x = jnp.full((1, 64, 64, 1), 100.0, "float16")  # its sum, 409600, is beyond float16
    assert average_pool(x, 64).tolist() == [[[[100.0]]]]
    assert average_pool(x, 64).dtype == "float16"
    kernel = jnp.ones((2, 2, 2, 3), "bfloat16")
    grads = jax.grad(lambda x, k: conv(x, k).astype("float32").sum(), (0, 1))(
        jnp.ones((1, 3, 3, 2), "bfloat16"), kernel
    )
    assert [g.dtype for g in grads] == ["bfloat16", "bfloat16"]


def test_shapes_with_unknown_sizes():
    assert Conv2D(4, 3).compute_output_shape((None, None, 7, 3)) == (None, None, 5, 4)
    assert MaxPooling2D(2, data_format="channels_first").compute_output_shape((None, 3, None, None)) == (
        None,
        3,
        None,
        None,
    )
    assert Conv1D(4, 3, padding="causal").compute_output_shape((None, None, 3)) == (None, None, 4)
    assert Conv2D(4, 3).compute_output_spec(Spec((None, 8, 8, 1), "float32")).shape == (None, 6, 6, 4)


# --------------------------------------------------------------------------------------------- errors

NOTHING_LEFT = Conv2DTranspose(4, 2, padding="same", output_padding=0)
MISTAKES = [
    (lambda: Conv2D(4, 5).build((None, 4, 9, 3)), r"Conv2D 'conv2d.*': a window of 5 does not fit into the 4 .*axis 1"),
    (lambda: Conv2D(4, 3, dilation_rate=3).build((None, 9, 6, 3)), r"to 7 by dilation 3.* 6 elements of space axis 2"),
    (lambda: Conv2D(4, 3, groups=2).build((None, 9, 9, 3)), r"the input's 3 channels cannot be cut into groups=2"),
    (lambda: Conv2D(4, 3, groups=2, data_format="channels_first").build((None, 3, 9, 9)), r"3 channels cannot be cut"),
    (lambda: Conv2D(5, 3, groups=2), r"Conv2D 'conv2d.*': filters=5 cannot be cut into groups=2"),
    (lambda: Conv2D(4, 3, strides=2, dilation_rate=2), r"strides > 1 and dilation_rate > 1 do not go together"),
    (lambda: Conv2D(4, 3, padding="causal"), r"Conv2D 'conv2d.*': padding 'causal' .* belongs to Conv1D"),
    (lambda: Conv2D(4, (3, 3, 3)), r"Conv2D 'conv2d.*', kernel_size: expected an integer >= 1 or a tuple of 2"),
    (lambda: Conv2D(4, 3, strides=0), r"strides: expected an integer >= 1"),
    (lambda: Conv2D(4, 3, padding="full"), r"expected one of 'valid', 'same', 'causal', got 'full'"),
    (lambda: Conv2D(0, 3), r"expected a positive integer, got 0"),
    (lambda: Conv2D(4, 3).build((None, 28, 28)), r"expected an input of rank 4, \[B, H, W, C\], .* channel axis"),
    (lambda: Conv3D(4, 3, data_format="channels_first").build((None, 8, 8)), r"rank 5, \[B, C, D, H, W\]"),
    (lambda: Conv2D(4, 3).build((None, 8, 8, None)), r"the number of channels must be known"),
    (lambda: DepthwiseConv2D(3, padding="causal"), r"DepthwiseConv2D 'depthwise_conv2d.*': padding 'causal'"),
    (lambda: Conv2DTranspose(4, 3, strides=2, output_padding=2), r"output_padding must be less than the stride"),
    (lambda: NOTHING_LEFT.build((None, 1, 4, 3)), r"'conv2d_transpose.*leaves nothing of 1 elements"),
    (
        lambda: MaxPooling2D(3).build((None, 2, 9, 3)),
        r"MaxPooling2D 'max_pooling2d.*': a window of 3 does not fit into",
    ),
    (lambda: AveragePooling2D(2, padding="causal"), r"expected one of 'valid', 'same', got 'causal'"),
    (lambda: Cropping1D((2, 3)).build((None, 5, 2)), r"Cropping1D 'cropping1d.*': .* 5 elements, cannot take 2 \+ 3"),
    (lambda: Cropping2D((1, 2, 3)), r"Cropping2D 'cropping2d.*', cropping=\(1, 2, 3\): expected 2 entries"),
    (lambda: ZeroPadding2D(-1), r"ZeroPadding2D 'zero_padding2d.*', padding=-1: expected an integer >= 0"),
    (lambda: UpSampling2D(interpolation="linear"), r"expected one of 'nearest', .* Did you mean 'bilinear'"),
    (
        lambda: conv(jnp.ones((1, 4, 3)), jnp.ones((2, 2, 4))),
        r"kernel of shape \(2, 2, 4\) in 1 groups needs 2 channels",
    ),
    (lambda: conv_transpose(jnp.ones((1, 4, 3)), jnp.ones((2, 2, 4))), r"needs 4 channels, got input of shape"),
]


@pytest.mark.parametrize("mistake, message", MISTAKES)
def test_mistakes_are_named(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()
