"""Layers that neither convolve, recur nor attend, against real Keras and against their own laws."""

import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras.core.settings import custom_object_scope, register_keras_serializable
from fkeras.layers.contract.base import Context, Spec, layers
from fkeras.layers.kernels.noise import random_words
from fkeras.layers.normalization import batch_moments
from tests.catalog.layers_core import MERGE_ROWS, ROWS

CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # float32 sums in another order
KINDS = sorted({r.kind for r in ROWS + MERGE_ROWS})


def make(kind, *args, **kwargs):
    return layers.lookup(kind)(*args, **kwargs)


def filled(layer, shape):
    """Builds the layer and gives it weights that are neither 0 nor 1; returns them."""
    layer.build(shape)
    random = np.random.default_rng(3)
    weights = [
        np.asarray(w.numpy() if w.dtype == "int32" else random.uniform(0.5, 1.5, w.shape), w.dtype)
        for w in layer.weights
    ]
    layer.set_weights(weights)
    return weights


def shapes_of(x):
    return [a.shape for a in x] if isinstance(x, list) else x.shape


def twins(row, keras):
    layer, x = row.build()
    weights = filled(layer, shapes_of(x))
    twin = row.twin(keras)
    twin.build(shapes_of(x))
    twin.set_weights(weights)
    if hasattr(twin, "finalize_state"):
        twin.finalize_state()  # Normalization looks at its weights only then
    return layer, twin, x


def spread(y):
    """A number that depends on every entry of `y` differently."""
    return jnp.sum(jnp.sin(y.astype(jnp.float32) * jnp.linspace(0.5, 1.5, y.size).reshape(y.shape)))


def run_both(layer, twin, x, training, grad):
    """Returns what each library computes: (y, running values), and gradients of its weights and inputs if asked."""
    params, state = layer.gather()
    trained, running = ([v.value for v in vs] for vs in (twin.trainable_variables, twin.non_trainable_variables))
    told = {"training": training} if "training" in inspect.signature(twin.call).parameters else {}

    def ours(params, x):
        y, after = layer.apply(params, state, x, training=training, key=jax.random.key(1))
        return spread(y), (y, [after[w.name] for w in layer.weights if not w.declared.trainable])

    def theirs(trained, x):
        y, after = twin.stateless_call(trained, running, x, **told)
        return spread(y), (y, after[: len(twin.non_trainable_weights)])  # without the states of seeds

    def run(params, trained, x):  # one program for both libraries: one compilation
        if not grad:
            return ours(params, x)[1], theirs(trained, x)[1]
        wrt = (0,) if jnp.issubdtype(jax.tree.leaves(x)[0].dtype, jnp.integer) else (0, 1)
        mine, my_out = jax.grad(ours, wrt, has_aux=True)(params, x)
        other, other_out = jax.grad(theirs, wrt, has_aux=True)(trained, x)
        mine = [mine[0][w.name] for w in layer.weights if w.declared.trainable], *mine[1:]
        return (my_out, mine), (other_out, other)

    return jax.jit(run)(params, trained, x)


def assert_same(a, b):
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    assert [np.shape(v) for v in a] == [np.shape(v) for v in b]
    for u, v in zip(a, b, strict=True):
        np.testing.assert_allclose(np.asarray(u), np.asarray(v), **CLOSE)


@pytest.mark.parametrize("row", ROWS + MERGE_ROWS, ids=str)
def test_numbers_gradients_weights_and_shapes_are_keras(row, keras):
    layer, twin, x = twins(row, keras)
    assert [(w.name, w.shape) for w in layer.weights] == [(w.name, tuple(w.shape)) for w in twin.weights]
    assert [w.name for w in layer.trainable_weights] == [w.name for w in twin.trainable_variables]
    arrays = jax.tree.map(jnp.asarray, x)
    told = "training" in inspect.signature(twin.call).parameters
    for training in (False,) if row.random else (False, True) if told else (True,):
        mine, other = run_both(layer, twin, arrays, training, grad=row.grad and not row.random and training)
        assert jax.tree.leaves(mine)[0].dtype == jax.tree.leaves(other)[0].dtype
        assert_same(mine, other)
    assert layer.compute_output_shape(shapes_of(x)) == jax.tree.leaves(mine)[0].shape


@pytest.mark.parametrize("row", ROWS + MERGE_ROWS, ids=str)
def test_real_keras_reads_our_config_and_we_read_it_back(row, keras):
    layer, _ = row.build()
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    twin = getattr(keras.layers, row.kind).from_config(
        {k: v for k, v in config.items() if not (k == "dtype" and row.kind.startswith("Norm"))}
    )
    theirs = twin.get_config()
    for name in set(config) & set(theirs) - {"dtype", "mean", "variance"}:
        if not isinstance(theirs[name], dict) and config[name] != theirs[name]:
            assert jax.tree.leaves(config[name]) == jax.tree.leaves(theirs[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_defaults_names_and_masking_are_keras(kind, keras):
    own, other = layers.lookup(kind), getattr(keras.layers, kind)
    absent = {"lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size", "kwargs", "sparse"}
    absent |= {"weights"} if kind == "Embedding" else set()
    theirs = [p for p in inspect.signature(other).parameters.values() if p.name not in absent | {"name", "dtype"}]
    mine = inspect.signature(own).parameters
    assert list(mine)[: len(theirs)] == [p.name for p in theirs]
    for p in theirs:
        if isinstance(p.default, (int, float, bool)):
            assert mine[p.name].default == p.default, p.name
    made = next(r for r in ROWS + MERGE_ROWS if r.kind == kind)
    layer, twin = made.build()[0], made.twin(keras)
    assert re.sub(r"_\d+$", "", layer.name) == re.sub(r"_\d+$", "", twin.name)
    assert layer.supports_masking == twin.supports_masking


def test_shapes_with_unknown_sizes():
    def shape(kind, of, **kwargs):
        return make(kind, **kwargs).compute_output_shape(of)

    assert shape("Dense", (None, None, 3), units=4) == (None, None, 4)
    assert shape("Flatten", (None, None, 3)) == (None, None)
    assert shape("Reshape", (None, None, 4), target_shape=(-1, 2)) == (None, None, 2)
    assert shape("Reshape", (None, 6), target_shape=(2, -1)) == (None, 2, 3)
    assert shape("Permute", (None, None, 4), dims=(2, 1)) == (None, 4, None)
    assert shape("RepeatVector", (None, 4), n=3) == (None, 3, 4)
    assert shape("Embedding", (None, None), input_dim=5, output_dim=2) == (None, None, 2)
    assert shape("Add", [(None, None, 3), (None, 5, 1)]) == (None, 5, 3)
    assert shape("Concatenate", [(None, None, 3), (None, 5, 3)], axis=1) == (None, None, 3)
    assert shape("Concatenate", [(None, None, 3), (None, 5, 2)]) == (None, 5, 5)
    assert shape("Dot", [(None, 4, None), (None, 4, 7)], axes=1) == (None, None, 7)
    assert shape("EinsumDense", (None, None, 3), equation="abc,cd->abd", output_shape=(None, 4)) == (None, None, 4)
    assert shape("BatchNormalization", (None, None, 3)) == (None, None, 3)
    assert shape("Lambda", (None, None, 3), function=lambda x: x.sum(1)) == (None, 3)
    assert shape("Lambda", (None, 3), function=lambda x: x, output_shape=(3,)) == (None, 3)
    assert shape("Dropout", (None, 3), rate=0.5) == (None, 3)


def test_integers_pass_through_layers_that_only_move_them():
    x = jnp.arange(12).reshape(2, 6)
    for layer in (make("Flatten"), make("Reshape", (2, 3)), make("RepeatVector", 2), make("Identity")):
        assert layer(x).dtype == jnp.int32
        assert layer.compute_output_spec(Spec(x.shape, x.dtype)).dtype == jnp.int32
    assert make("Permute", (2, 1))(x[:, None]).dtype == jnp.int32
    assert make("Add")([x, x]).dtype == jnp.int32
    assert make("Average")([x, x]).dtype == make("Average").compute_output_spec([Spec((2,), x.dtype)] * 2).dtype
    assert make("Dense", 2)(x).dtype == jnp.float32


# ------------------------------------------------------------------------------------------ half precision


@pytest.mark.parametrize("kind", ["BatchNormalization", "LayerNormalization", "GroupNormalization"])
def test_mixed_precision_normalizes_in_float32_like_keras(kind, keras):
    kwargs = {"groups": 2} if kind == "GroupNormalization" else {}
    x = np.random.default_rng(0).normal(3.0, 0.1, (8, 4)).astype("float32")
    layer = make(kind, dtype="mixed_bfloat16", **kwargs)
    twin = getattr(keras.layers, kind)(dtype="mixed_bfloat16", **kwargs)
    weights = filled(layer, x.shape)
    twin.build(x.shape)
    twin.set_weights(weights)
    y = layer(x.astype(jnp.bfloat16), training=True)
    assert y.dtype == jnp.bfloat16
    other = twin(jnp.asarray(x, jnp.bfloat16), training=True)
    # One step of bfloat16 at 2: the two round the same float32 numbers, which differ in the last bits.
    np.testing.assert_allclose(y.astype("float32"), other.astype("float32"), atol=2**-6)
    for mine, theirs in zip(layer.get_weights(), twin.get_weights(), strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, theirs, **CLOSE)


def test_bfloat16_indices_are_not_rounded():
    layer = make("Embedding", 2000, 2, dtype="mixed_bfloat16")
    assert (layer(jnp.array([1001.0])) == layer(jnp.array([1001]))).all()


# ---------------------------------------------------------------------------------------------- masks


def test_masks_are_keras(keras):
    m, n = np.array([[True, False, True]]), np.array([[True, True, False]])
    a, b = (np.random.default_rng(i).normal(size=(1, 3, 2)).astype("float32") for i in (0, 1))
    for kind in ("Add", "Maximum", "Concatenate"):
        for axis, masks in ((-1, [m, n]), (-1, [m, None]), (1, [m, n]), (1, [None, n]), (-1, [None, None])):
            kwargs = {"axis": axis} if kind == "Concatenate" else {}
            mine = make(kind, **kwargs).compute_mask([a, b], masks)
            other = getattr(keras.layers, kind)(**kwargs).compute_mask([a, b], masks)
            assert (mine is None) == (other is None)
            if mine is not None:
                np.testing.assert_array_equal(mine, other)
    assert make("Dot", 1).compute_mask([a, b], [m, n]) is None
    assert make("Embedding", 5, 2, mask_zero=True).compute_mask(jnp.array([[0, 2]]), None).tolist() == [[False, True]]
    assert make("Embedding", 5, 2).compute_mask(jnp.array([[0, 2]])) is None
    assert make("Masking", 1.0).compute_mask(jnp.array([[[1.0, 1.0], [1.0, 0.0]]])).tolist() == [[False, True]]
    assert make("Dropout", 0.5).compute_mask(a, m) is m and make("Flatten").compute_mask(a, m) is None


@pytest.mark.parametrize("kind", ["Maximum", "Minimum", "Multiply"])
def test_masked_steps_do_not_take_part_in_extremes_and_products(kind, keras):
    m, n = jnp.array([[True, False, True]]), jnp.array([[True, True, False]])
    a, b = (jnp.asarray(np.random.default_rng(i).normal(size=(1, 3, 2)), "float32") for i in (0, 1))
    for masks in ([m, n], [m, None], [None, n]):
        inputs = []
        for x, mask in zip((a, b), masks, strict=True):
            x = jnp.array(x)
            if mask is not None:
                x._keras_mask = mask
            inputs.append(x)
        other = getattr(keras.layers, kind)()(inputs)
        np.testing.assert_array_equal(make(kind)([a, b], mask=masks), other)


def test_softmax_leaves_out_what_is_masked(keras):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), "float32")
    mask = jnp.asarray(np.random.default_rng(1).random((2, 3, 4)) > 0.5).at[0, 0].set(False)
    for axis in (-1, 1, (1, 2)):
        mine = make("Softmax", axis)(x, mask=mask)
        np.testing.assert_allclose(mine, keras.layers.Softmax(axis)(x, mask=mask), **CLOSE)
    steps = make("Softmax", 1)(x, mask=jnp.array([[True, True, False]] * 2))
    np.testing.assert_allclose(steps[:, :2], jax.nn.softmax(x[:, :2], 1), **CLOSE)
    assert (steps[:, 2] == 0).all()
    with pytest.raises(ValueError, match=r"a mask that broadcasts to the input's shape \(2, 3, 4\), got \(5,\)"):
        make("Softmax")(x, mask=jnp.ones(5, bool))


# --------------------------------------------------------------------------------- BatchNormalization


def normalized(layer, x, **around):
    params, state = layer.gather()
    axis = around.pop("axis", None)

    def run(x, around):
        return layer.apply(params, state, x, Context(training=True, axis=axis, **around))

    return jax.jit(run)(x, around)


def test_masked_steps_do_not_count_in_the_statistics(keras):
    x = np.random.default_rng(0).normal(5.0, 2.0, (4, 6, 3)).astype("float32")
    mask = np.arange(6) < np.array([[6], [3], [1], [0]])
    layer, twin = make("BatchNormalization"), keras.layers.BatchNormalization()
    twin.build(x.shape)
    twin.set_weights(filled(layer, x.shape))
    y, state = normalized(layer, x, mask=jnp.asarray(mask))
    other = twin(x, training=True, mask=mask)
    np.testing.assert_allclose(np.asarray(y), other, **CLOSE)
    np.testing.assert_allclose(state["moving_variance"], twin.moving_variance, **CLOSE)
    np.testing.assert_allclose(state["moving_mean"], twin.moving_mean, **CLOSE)


def test_padded_rows_do_not_count_in_values_statistics_or_gradients():
    x = jnp.asarray(np.random.default_rng(0).normal(5.0, 2.0, (5, 4, 3)), "float32")
    padded = jnp.concatenate([x, jnp.full((3, 4, 3), 1e3)])
    rows, layer = jnp.arange(8) < 5, make("BatchNormalization")
    filled(layer, x.shape)
    for mask in (None, jnp.arange(4) < 3):
        masks = [None if mask is None else jnp.broadcast_to(mask, (n, 4)) for n in (5, 8)]
        y, state = normalized(layer, x, mask=masks[0])
        y_padded, state_padded = normalized(layer, padded, rows=rows, mask=masks[1])
        assert_same(y_padded[:5], y)
        assert_same(state_padded, state)
    g = jax.jit(jax.grad(lambda a: spread(normalized(layer, a)[0])))(x)
    g_padded = jax.jit(jax.grad(lambda a: spread(normalized(layer, a, rows=rows)[0][:5])))(padded)
    assert_same(g_padded[:5], g)
    assert (g_padded[5:] == 0).all()


def test_statistics_are_those_of_all_devices_together():
    x = jnp.asarray(np.random.default_rng(0).normal(5.0, 2.0, (8, 3)), "float32")
    rows, layer = jnp.arange(8) < 5, make("BatchNormalization")  # the second device has one real row of four
    filled(layer, x.shape)
    whole, state = normalized(layer, x, rows=rows)

    def part(x, rows):
        return normalized(layer, x, rows=rows, axis="devices")

    split, states = jax.vmap(part, axis_name="devices")(x.reshape(2, 4, 3), rows.reshape(2, 4))
    assert_same(split.reshape(8, 3), whole)
    assert_same(jax.tree.map(lambda a: a[0], states), state)


def test_variance_does_not_cancel_when_the_mean_is_large():
    x = np.random.default_rng(0).normal(2000.0, 0.5, (256, 2)).astype("float32")
    mean, variance = batch_moments(jnp.asarray(x), (0,))
    exact = x.astype("float64").var(0)
    # E[x^2] - E[x]^2 in float32 is off by 100 % here.
    np.testing.assert_allclose(variance[0], exact, rtol=1e-5)
    np.testing.assert_allclose(mean[0], x.astype("float64").mean(0), rtol=1e-7)


def test_a_frozen_batch_normalization_uses_and_keeps_its_running_statistics():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)), "float32")
    layer = make("BatchNormalization")
    filled(layer, x.shape)
    still = layer(x)
    before = layer.get_weights()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), still)
    assert_same(layer.get_weights(), before)


# ---------------------------------------------------------------------------------------------- noise


def drawn(layer, x, n=None, ids=None, seed=1):
    def run(x, ids, key):
        return layer.apply({}, {}, x, Context(training=True, key=key, row_ids=ids, path=("net", layer.name)))[0]

    return jax.jit(run)(x[:n], ids, jax.random.key(seed))


@pytest.mark.parametrize("row", [r for r in ROWS if r.random], ids=str)
def test_noise_of_a_row_depends_on_nothing_but_its_place(row):
    layer, x = row.build()
    whole = drawn(layer, x)
    np.testing.assert_array_equal(drawn(layer, x, 3), whole[:3])
    np.testing.assert_array_equal(drawn(layer, x[2:], ids=jnp.arange(2, 4)), whole[2:])
    assert (drawn(layer, x, seed=2) != whole).any()
    np.testing.assert_array_equal(layer(x), x)


def test_dropout_drops_its_rate_and_keeps_the_mean():
    x = jnp.ones((50, 2000))
    for rate in (0.1, 0.25, 0.5, 0.9):
        y = drawn(make("Dropout", rate), x)
        assert abs(float((y == 0).mean()) - rate) < 5 * (rate * (1 - rate) / 1e5) ** 0.5  # five deviations of a count
        np.testing.assert_allclose(np.unique(y)[1:], 1 / (1 - rate), rtol=1e-6)
    assert (drawn(make("Dropout", 1.0), x) == 0).all()


def test_noise_has_its_mean_and_deviation():
    x = jnp.ones((50, 2000))
    y = drawn(make("GaussianNoise", 0.3), x)
    assert abs(y.mean() - 1) < 0.005 and abs(y.std() - 0.3) < 0.005  # five deviations over 100,000 draws
    y = drawn(make("GaussianDropout", 0.2), x)
    assert abs(y.mean() - 1) < 0.01 and abs(y.std() - 0.5) < 0.01
    x = jax.random.normal(jax.random.key(5), (50, 2000))
    y = drawn(make("AlphaDropout", 0.3), x)
    assert abs(y.mean()) < 0.03 and abs(y.std() - 1) < 0.03


def test_axes_of_size_one_in_the_noise_fall_together():
    x = jnp.ones((4, 6, 50))
    y = drawn(make("SpatialDropout1D", 0.5), x)
    assert (y == y[:, :1]).all() and (y[0] != y[1]).any()
    y = drawn(make("Dropout", 0.5, noise_shape=(1, None, None)), x)
    assert (y == y[:1]).all() and 0 < (y == 0).mean() < 1
    y = drawn(make("SpatialDropout2D", 0.5, data_format="channels_first"), jnp.ones((4, 50, 3, 3)))
    assert (y == y[:, :, :1, :1]).all()


def test_random_words_are_uniform_and_rows_unrelated():
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(64))
    words = np.asarray(jax.vmap(lambda k: random_words(k, (4096,)))(keys))
    for shift in (0, 8, 16, 24):  # each byte: chi-squared with 255 degrees of freedom, mean 255, deviation 22.6
        counts = np.bincount((words.ravel() >> shift) & 255, minlength=256)
        chi2 = ((counts - words.size / 256) ** 2 / (words.size / 256)).sum()
        assert abs(chi2 - 255) < 5 * 22.6
    u = words / 2**32 - 0.5
    between_rows = np.corrcoef(u) - np.eye(64)
    assert np.abs(between_rows).max() < 5.5 / 4096**0.5  # 2016 pairs
    for lag in (1, 2, 3, 16, 32):
        assert abs((u[:, lag:] * u[:, :-lag]).mean() * 12) < 5 / words.size**0.5
    bits = [((words >> i) & 1).mean() for i in range(32)]
    assert max(abs(b - 0.5) for b in bits) < 5 * 0.5 / words.size**0.5


# ----------------------------------------------------------------------------- preprocessing, wrappers


def test_adapted_statistics_are_keras(keras):
    x = np.random.default_rng(0).normal(5.0, 2.0, (10, 4, 3)).astype("float32")
    for axis, data in ((-1, x), (None, x), ((1, 2), [x[:3], x[3:]])):
        layer, twin = make("Normalization", axis), keras.layers.Normalization(axis=axis)
        layer.adapt(data)
        twin.adapt(x)
        assert_same(layer.get_weights(), twin.get_weights())
        assert_same([layer.mean, layer.variance], [twin.mean, twin.variance])
        assert_same(layer(x), twin(x))
    assert type(layer).from_config(layer.get_config()).mean is None
    layer.adapt((batch, None) for batch in (x[:1], x[1:]))
    np.testing.assert_allclose(layer.get_weights()[0], x.mean(0), **CLOSE)
    with pytest.raises(ValueError, match="adapt expected at least one batch of data, got none"):
        make("Normalization").adapt([])
    with pytest.raises(ValueError, match="both mean and variance or neither"):
        make("Normalization", mean=1.0)
    with pytest.raises(TypeError, match="batches that are arrays, got float"):
        make("Normalization").adapt(iter([1.0, 2.0]))
    layer = make("Normalization")
    layer.adapt([[1.0], [3.0]])  # a list of numbers is an array
    np.testing.assert_allclose(layer(np.array([[5.0]])), [[3.0]], **CLOSE)


def test_adapted_bins_hold_equally_many():
    layer = make("Discretization", num_bins=4)
    with pytest.raises(ValueError, match="has no boundaries yet: call adapt"):
        layer(jnp.ones(3))
    layer.adapt([np.arange(60.0), np.arange(60.0, 100.0)])
    assert np.bincount(layer(jnp.arange(100.0))).tolist() == [25] * 4
    again = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(again(jnp.arange(100.0)), layer(jnp.arange(100.0)))


def test_counts_are_weighted(keras):
    x, w = np.array([[1, 1, 3]]), np.array([[0.5, 2.0, 4.0]], "float32")
    other = keras.layers.CategoryEncoding(4, "count")(x, count_weights=w)
    np.testing.assert_allclose(make("CategoryEncoding", 4, "count")(x, count_weights=w), other)


def test_spectral_normalization_trains_with_keras_numbers(keras):
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    layer = make("SpectralNormalization", make("Dense", 4), power_iterations=3)
    twin = keras.layers.SpectralNormalization(keras.layers.Dense(4), power_iterations=3)
    weights = filled(layer, x.shape)
    twin.build(x.shape)
    assert [w.name for w in layer.weights] == [w.name for w in twin.weights]
    twin.set_weights(weights)
    assert_same(layer(x, training=True), twin(x, training=True))
    np.testing.assert_allclose(layer.get_weights()[1], twin.get_weights()[1], **CLOSE)  # vector_u
    assert_same(layer.layer.get_weights(), twin.layer.get_weights())  # the divided kernel is stored
    assert_same(layer(x), twin(x))


# ---------------------------------------------------------------------------------------------- Lambda


def test_lambda_configs_name_functions_and_never_hold_code(keras):
    @register_keras_serializable(package="tests")
    def double(x, by=2.0):
        return by * x

    layer = make("Lambda", double, arguments={"by": 3.0})
    config = layer.get_config()
    assert config["function"] == keras.saving.serialize_keras_object(
        keras.saving.register_keras_serializable(package="tests")(double)
    )
    assert type(layer).from_config(config)(jnp.array([1.0])).tolist() == [3.0]
    with pytest.raises(ValueError, match="'<lambda>' is not registered, and code is never"):
        make("Lambda", lambda x: x).get_config()
    with pytest.raises(ValueError, match="holds the code of a function, which is never run from a file"):
        make("Lambda", {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}})
    with pytest.raises(ValueError, match="no function is registered as 'halve'"):
        make("Lambda", {"class_name": "function", "config": "halve"})
    with custom_object_scope({"halve": lambda x: x / 2}):
        assert make("Lambda", {"class_name": "function", "config": "halve"})(jnp.array([1.0])).tolist() == [0.5]


def test_lambda_is_told_mask_and_training():
    def f(x, mask=None, training=False):
        return jnp.where(mask[..., None], x, -1.0) + training

    x, mask = np.zeros((1, 2, 1)), jnp.array([[True, False]])
    assert make("Lambda", f)(x, mask=mask, training=True).ravel().tolist() == [1.0, 0.0]
    assert make("Lambda", f, mask=lambda x, m: ~m).compute_mask(x, mask).tolist() == [[False, True]]


# ---------------------------------------------------------------------------------------------- errors

REFUSED = [
    ("Dense", {"units": 2}, (3,), "expected an input of rank 2 or more, [B, ..., features], got shape (3,)"),
    ("Dense", {"units": 2}, (None, None), "the size of the input's last axis must be known"),
    ("EinsumDense", {"equation": "ab,bc", "output_shape": 2}, (2, 3), "expected the form 'ab,bc->ac'"),
    ("EinsumDense", {"equation": "ab,bc->ad", "output_shape": 2}, (2, 3), "axis 'd' of the output is in neither"),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (7, 2)}, (2, 5, 3), "size 5 in the input and 7"),
    ("Reshape", {"target_shape": (4, 2)}, (2, 6), "has 6 numbers a row, which do not fill target_shape (4, 2)"),
    ("Reshape", {"target_shape": (4, -1)}, (2, 6), "expected 4 times a whole number"),
    ("Permute", {"dims": (2, 1)}, (2, 3), "dims (2, 1) need an input of rank 3, got shape (2, 3)"),
    ("RepeatVector", {"n": 2}, (2, 3, 4), "expected an input of rank 2, [B, C], got shape (2, 3, 4)"),
    ("PReLU", {}, (None, None, 3), "axis 1 of the input has no known size"),
    ("PReLU", {"shared_axes": [3]}, (2, 3), "shared_axes [3] do not fit an input of shape (2, 3)"),
    ("Dropout", {"rate": 0.5, "noise_shape": (2, 5)}, (2, 3), "noise_shape (2, 5) does not broadcast to an input"),
    ("SpatialDropout2D", {"rate": 0.5}, (2, 3), "expected an input of rank 4, [B, H, W, C]"),
    ("BatchNormalization", {"axis": 2}, (2, 3), "axis 2 does not exist in an input of shape (2, 3)"),
    ("LayerNormalization", {}, (2, None), "the size of axis -1 must be known"),
    ("GroupNormalization", {"groups": 4}, (2, 6), "6 channels (axis -1 of (2, 6)) do not divide into 4 groups"),
    ("Normalization", {"mean": [1.0, 2.0], "variance": [1.0, 1.0]}, (2, 3), "of shape (2,) do not fit axis (-1,)"),
    ("Add", {}, (2, 3), "expected a list of inputs, got one of shape (2, 3). Try layer([a, b])"),
    ("Add", {}, [(2, 3), (2, 4)], "the inputs do not fit each other on axis 1, sizes [3, 4]"),
    ("Add", {}, [(2, 3), (4, 3)], "the inputs' batches differ in size, [2, 4]"),
    ("Subtract", {}, [(2, 3)] * 3, "expected 2 inputs, got 3"),
    ("Concatenate", {}, [(2, 3, 1), (2, 4, 1)], "may differ on axis 2 only, but have sizes [3, 4] on axis 1"),
    ("Dot", {"axes": 1}, [(2, 3), (2, 4)], "axis 1 of (2, 3) and axis 1 of (2, 4) differ in size, 3 and 4"),
]


@pytest.mark.parametrize("kind, kwargs, shape, message", REFUSED, ids=lambda v: str(v)[:30])
def test_an_input_that_cannot_fit_is_refused_by_name(kind, kwargs, shape, message):
    layer = make(kind, **kwargs)
    with pytest.raises(ValueError, match=re.escape(message)) as err:
        layer.build(shape)
    assert layer.label in str(err.value)


SETTINGS = [
    (lambda: make("Dense", 0), "expected a positive integer, got 0"),
    (lambda: make("Dropout", 1.5), "expected a number in [0, 1]: the fraction that is dropped, got 1.5"),
    (lambda: make("Dropout", 0.5, noise_shape="ab"), "expected a tuple of sizes or None"),
    (lambda: make("ReLU", negative_slope=-1.0), "expected a number >= 0, got -1.0"),
    (lambda: make("Reshape", (-1, -1)), "at most one -1, got (-1, -1)"),
    (lambda: make("Permute", (0, 1)), "expected dims to be an order of 1..2, got (0, 1)"),
    (lambda: make("GroupNormalization", 0), "expected groups as an integer >= 1, or -1 for one a channel, got 0"),
    (lambda: make("BatchNormalization", renorm_clipping={"max": 1}), "takes 'rmax', 'rmin' and 'dmax', got ['max']"),
    (lambda: make("Dot", (1, 2, 3)), "expected axes as an int or a pair of ints, got (1, 2, 3)"),
    (lambda: make("Dot", 0), "axis 0 is the batch and cannot be summed over"),
    (lambda: make("Discretization"), "expected bin_boundaries, or num_bins and a call of adapt(data)"),
    (lambda: make("Embedding", 3, 2, initial_table=np.ones((2, 2))), "a table of shape (3, 2), got (2, 2)"),
]


@pytest.mark.parametrize("make_it, message", SETTINGS, ids=lambda v: v[:30] if isinstance(v, str) else "")
def test_a_setting_that_cannot_be_is_refused(make_it, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_it()


def test_indices_are_checked_on_the_host():
    layer = make("Embedding", 10, 2, name="words")
    layer.check_values(np.array([[0, 9]]))
    layer.check_values(np.array([9.0]))
    with pytest.raises(ValueError, match=r"Embedding 'words': largest index 10 is outside its table of 10 rows"):
        layer.check_values(np.array([[0, 10]]))
    with pytest.raises(ValueError, match="smallest index -1"):
        layer.check_values(np.array([-1]))
    with pytest.raises(ValueError, match=r"whole numbers as indices, got 1\.5"):
        layer.check_values(np.array([1.5]))
    with pytest.raises(ValueError, match="expected numbers from 0 to 3, got 1 to 4"):
        make("CategoryEncoding", 4).check_values(np.array([1, 4]))


def test_half_precision_rows_of_an_embedding_add_up_in_float32():
    """A table cast as a whole has gradients that are sums in bfloat16: of 1,000 ones 256 were left."""
    layer = make("Embedding", 2, 1, dtype="mixed_bfloat16")
    params, _ = layer.init(jax.random.key(0), (1000,))

    def total(params):
        y, _ = layer.apply(params, {}, jnp.ones(1000, jnp.int32))
        assert y.dtype == jnp.bfloat16
        return jnp.sum(y.astype(jnp.float32))

    assert jax.grad(total)(params)["embeddings"].ravel().tolist() == [0, 1000]


def test_embedding_starts_from_a_given_table():
    table = np.arange(6.0, dtype="float32").reshape(3, 2)
    layer = make("Embedding", 3, 2, initial_table=[table])
    np.testing.assert_array_equal(layer(jnp.array([2])), table[2:])
    assert "initial_table" not in layer.get_config()


def test_a_channel_axis_may_be_a_list_of_one():
    assert make("BatchNormalization", [3]).axis == 3 and make("GroupNormalization", 2, [-1]).axis == -1
    with pytest.raises(
        TypeError, match=r"BatchNormalization\(axis=\[1, 2\]\): expected one axis, an int, got \[1, 2\]."
    ):
        make("BatchNormalization", [1, 2])
