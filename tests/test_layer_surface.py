"""Layers as programs touch them: weights left out, shapes and masks by name, adapters, new layers beside Keras's."""

import copy
import doctest
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras.core.settings import custom_object_scope

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 3)).astype("float32")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

# -------------------------------------------------------------------------------- weights, shapes, masks


@pytest.mark.parametrize(
    ("make", "shape", "names"),
    [
        (lambda k: k.layers.Dense(2, use_bias=False), (None, 3), ["bias"]),
        (lambda k: k.layers.Conv1D(2, 2, use_bias=False), (None, 5, 3), ["bias"]),
        (lambda k: k.layers.DepthwiseConv2D(2, use_bias=False), (None, 5, 5, 3), ["bias"]),
        (lambda k: k.layers.SeparableConv1D(2, 2, use_bias=False), (None, 5, 3), ["bias"]),
        (lambda k: k.layers.Conv2DTranspose(2, 2, use_bias=False), (None, 5, 5, 3), ["bias"]),
        (lambda k: k.layers.EinsumDense("ab,bc->ac", 2), (None, 3), ["bias"]),
        (lambda k: k.layers.LayerNormalization(scale=False, center=False), (None, 3), ["gamma", "beta"]),
        (lambda k: k.layers.BatchNormalization(scale=False, center=False), (None, 3), ["gamma", "beta"]),
        (lambda k: k.layers.GRUCell(2, use_bias=False), (None, 3), ["bias"]),
    ],
)
def test_a_weight_that_is_left_out_is_none(make, shape, names, keras):
    for k in (fkeras, keras):
        layer = make(k)
        layer.build(shape)
        assert [getattr(layer, name) for name in names] == [None] * len(names)
    with pytest.raises(AttributeError, match="has no attribute 'bias_of_its_own'"):
        _ = layer.__class__ and L.Dense(2).bias_of_its_own
    with pytest.raises(AttributeError, match="It has no weights yet"):
        _ = L.Dense(2, use_bias=False).bias


def test_shapes_of_outputs_by_arguments_and_by_name(keras):
    for k in (fkeras, keras):
        attention, query, value = k.layers.MultiHeadAttention(2, 2), (2, 4, 3), (2, 5, 3)
        assert attention.compute_output_shape(query, value) == query
        assert attention.compute_output_shape(query, value, value) == query
        assert attention.compute_output_shape(query_shape=query, value_shape=value, key_shape=value) == query
        assert k.layers.LSTM(2).compute_output_shape(sequences_shape=(2, 4, 3)) == (2, 2)
        assert k.layers.Dense(2).compute_output_shape(input_shape=(2, 3)) == (2, 2)
        assert k.layers.Add().compute_output_shape([(2, 3), (2, 3)]) == (2, 3)
        assert tuple(k.layers.ReversibleEmbedding(7, 3).compute_output_shape((2, 4))) == (2, 4, 3)


def test_masks_are_asked_for_as_in_keras(keras):
    mask = np.arange(5) < np.array([[3], [1]])
    for k in (fkeras, keras):
        np.testing.assert_array_equal(k.layers.Dense(2).compute_mask(X, previous_mask=mask), mask)
        np.testing.assert_array_equal(k.layers.Dense(2).compute_mask(X, mask), mask)
        assert k.layers.LSTM(2).compute_mask(X, mask) is None


def test_own_arrays_and_builds_travel(keras):
    ours, theirs, store = L.BatchNormalization(), keras.layers.BatchNormalization(), {}
    for layer in (ours, theirs):
        layer.build((None, 3))
    ours.set_weights([RNG.uniform(size=3) for _ in range(4)])
    ours.save_own_variables(store)
    theirs.load_own_variables(store)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    again = L.BatchNormalization()
    assert again.get_build_config() is None
    again.build_from_config(ours.get_build_config())
    again.load_own_variables(store)
    np.testing.assert_array_equal(again.get_weights()[3], ours.get_weights()[3])
    with pytest.raises(ValueError, match="expected 4 arrays of its own, got 1"):
        again.load_own_variables({"0": np.ones(3)})
    assert ours.quantization_mode is None and ours.metrics_variables == []


# ----------------------------------------------------------------------------------------------- adapters

ADAPTED = {
    "dense": (lambda k, **kw: k.layers.Dense(4, activation="tanh", **kw), X),
    "einsum": (lambda k, **kw: k.layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="e", **kw), X),
    "embedding": (lambda k, **kw: k.layers.Embedding(6, 4, **kw), RNG.integers(0, 6, (2, 5))),
    "conv": (lambda k, **kw: k.layers.Conv1D(4, 2, **kw), X),
    "conv2d": (lambda k, **kw: k.layers.Conv2D(2, 2, use_bias=False, **kw), X[..., None]),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", ADAPTED)
def test_adapters_are_keras_adapters(kind, late, keras):
    make, x = ADAPTED[kind]
    alpha = 3 if late or kind not in ("dense", "embedding") else 2  # these two of Keras forget their lora_alpha
    both = []
    for k in (fkeras, keras):
        layer = make(k) if late else make(k, lora_rank=2, lora_alpha=alpha)
        layer.build(x.shape)
        if late:
            layer.enable_lora(2, lora_alpha=alpha)
        both.append(layer)
    ours, theirs = both
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.name for w in ours.trainable_weights] == [w.name for w in theirs.trainable_weights]
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    np.testing.assert_allclose(ours.get_weights()[-1], 0)  # at first they add nothing
    theirs.set_weights([RNG.normal(size=w.shape) for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), **CLOSE)
    assert {n: v for n, v in ours.get_config().items() if "lora" in n} == {"lora_rank": 2, "lora_alpha": alpha}


def test_adapters_train_and_files_hold_the_sum(keras, tmp_path):
    def make(k):
        model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(4, name="d"), k.layers.Dense(1)])
        return model

    fkeras.utils.set_random_seed(0)
    model, x = make(fkeras), X[:, 0]
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], verbose=0)
    before = model.get_layer("d").kernel.numpy()
    model.get_layer("d").enable_lora(2)
    with pytest.warns(UserWarning, match="`trainable` changed"):
        model.fit(x, x[:, :1], epochs=3, verbose=0)
    layer = model.get_layer("d")
    own = {w.name: w.numpy() for w in layer.weights}
    np.testing.assert_array_equal(own["kernel"], before)
    both = before + own["lora_kernel_a"] @ own["lora_kernel_b"]
    np.testing.assert_allclose(layer.kernel, both, **CLOSE)  # what computes, as in Keras
    assert abs(layer.lora_kernel_b.numpy()).max() > 0
    want = model.predict(x, verbose=0)
    for path in (str(tmp_path / "m.keras"), str(tmp_path / "m.weights.h5")):
        if path.endswith("keras"):
            model.save(path)
            loaded, theirs = fkeras.models.load_model(path), keras.models.load_model(path)
            assert loaded.get_layer("d").lora_rank == 2
        else:
            model.save_weights(path)
            loaded, theirs = make(fkeras), make(keras)
            loaded.load_weights(path), theirs.load_weights(path)
        np.testing.assert_allclose(loaded.predict(x, verbose=0), want, **CLOSE)
        np.testing.assert_allclose(theirs.predict(x, verbose=0), want, **CLOSE)
    np.testing.assert_allclose(copy.deepcopy(model).predict(x, verbose=0), want, **CLOSE)


def test_adapters_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="cannot add adapters yet, its input shape is not known"):
        L.Dense(2).enable_lora(2)
    layer = L.Dense(2)
    layer.build((None, 3))
    layer.enable_lora(1)
    with pytest.raises(ValueError, match="it has adapters already, of rank 1"):
        layer.enable_lora(2)
    with pytest.raises(ValueError, match="expected a positive integer, got 0"):
        L.Dense(2, lora_rank=0)
    bound = L.Dense(2, kernel_constraint="non_neg")
    bound.build((None, 3))
    with pytest.raises(ValueError, match="adapters do not go together with a kernel_constraint"):
        bound.enable_lora(1)


# ---------------------------------------------------------------------------------------------- new layers


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize(
    ("shape", "size"), [((2, 7, 3), 3), ((2, 7, 5, 3), (3, 2)), ((2, 4, 5, 3, 2), (2, 3, 3)), ((1, 3, 2), 5)], ids=str
)
def test_adaptive_pooling_is_that_of_keras(kind, shape, size, data_format, keras):
    x = RNG.normal(size=shape).astype("float32")
    name = f"Adaptive{kind}Pooling{len(shape) - 2}D"
    ours, theirs = (getattr(k.layers, name)(size, data_format=data_format) for k in (fkeras, keras))
    np.testing.assert_allclose(ours(x), theirs(x), **CLOSE)
    again = type(ours).from_config(ours.get_config())
    assert again.compute_output_shape(shape) == tuple(theirs(x).shape)
    free = list(shape)
    free[-2 if data_format == "channels_last" else -1] = None  # of any size
    assert again.compute_output_shape(tuple(free)) == tuple(theirs(x).shape)


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}, {"logit_soft_cap": 2.0, "mask_zero": True}], ids=str)
def test_an_embedding_goes_both_ways(options, keras):
    tokens = RNG.integers(0, 6, (2, 5))
    ours, theirs = (k.layers.ReversibleEmbedding(6, 4, **options) for k in (fkeras, keras))
    for layer in (ours, theirs):
        layer.build((None, 5))
    theirs.set_weights([RNG.normal(size=w.shape) for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    vectors = ours(tokens)
    np.testing.assert_allclose(vectors, theirs(tokens), **CLOSE)
    np.testing.assert_allclose(ours(vectors, reverse=True), theirs(np.asarray(vectors), reverse=True), **CLOSE)
    half = L.ReversibleEmbedding(6, 4, reverse_dtype="bfloat16")
    half(tokens)
    assert half(vectors, reverse=True).dtype == "bfloat16"

    def make(k):
        i = k.layers.Input((5,), dtype="int32")
        layer = k.layers.ReversibleEmbedding(6, 4, name="e", **options)
        return k.Model(i, layer(k.layers.Dense(4)(layer(i)), reverse=True))

    model = make(fkeras)
    assert model.output_shape == (None, 5, 6) and len(model.layers) == 3
    model.compile("sgd", fkeras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(tokens, tokens, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]


def init_net(rng, inputs, training):
    keys = jax.random.split(rng, 2)
    hidden = jax.random.normal(keys[0], (inputs.shape[-1], 4)), jnp.zeros(4)
    return [{"w": hidden[0], "b": hidden[1]}, {"w": jax.random.normal(keys[1], (4, 1))}], {"seen": jnp.zeros(())}


def call_net(params, state, rng, inputs, training):
    first, last = params
    h = jnp.tanh(inputs @ first["w"] + first["b"])
    h = h + 0.01 * jax.random.normal(rng, h.shape) if training else h
    return h @ last["w"], {"seen": state["seen"] + training}


def test_a_jax_function_is_a_layer(keras, tmp_path):
    x = X[:, 0]
    for k in (fkeras, keras):
        given = init_net(jax.random.key(0), x, True)
        layer = k.layers.JaxLayer(call_net, params=given[0], state=given[1])
        model = k.Sequential([k.layers.Input((3,)), layer])
        want = np.tanh(x @ given[0][0]["w"]) @ given[0][1]["w"]
        np.testing.assert_allclose(model.predict(x, verbose=0), want, **CLOSE)
        assert sorted(tuple(w.shape) for w in layer.trainable_weights) == [(3, 4), (4,), (4, 1)]
        assert len(layer.non_trainable_weights) >= 1
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], epochs=3, verbose=0)
    ours = L.JaxLayer(call_net, init_net, seed=3, name="net")
    model = fkeras.Sequential([L.Input((3,)), ours])
    assert [w.name for w in ours.weights] == ["params.0.b", "params.0.w", "params.1.w", "state.seen"]
    model.compile("sgd", "mse")
    losses = model.fit(x, x[:, :1], epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and float(ours.weights[-1]) == 5
    with custom_object_scope({"call_net": call_net, "init_net": init_net}):
        model.save(str(tmp_path / "m.keras"))
        again = fkeras.models.load_model(str(tmp_path / "m.keras"))
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    params, _ = ours.init(jax.random.key(0), (None, 3))
    np.testing.assert_array_equal(
        params["params.0.w"], L.JaxLayer(call_net, init_net, seed=3).init(1, (2, 3))[0]["params.0.w"]
    )


def test_a_jax_layer_says_which_parameters_its_functions_lack():
    with pytest.raises(
        ValueError, match="call_fn needs the parameters 'params' and 'inputs', got .*, which has no 'inputs'"
    ):
        L.JaxLayer(lambda params, x: x)
    with pytest.raises(ValueError, match="init_fn needs the parameters 'rng' and 'inputs', got None"):
        L.JaxLayer(lambda params, inputs: inputs)
    with pytest.raises(ValueError, match="call_fn takes a `state`; give one beside `params`"):
        L.JaxLayer(lambda params, state, inputs: inputs, params={})


@pytest.mark.parametrize("name", ["lora", "adaptive_pooling", "jax_layer", "embedding", "normalization"])
def test_examples_run(name):
    found = doctest.testmod(importlib.import_module(f"fkeras.layers.{name}"), extraglobs={"jax": jax, "jnp": jnp})
    assert found.failed == 0 and found.attempted > 0
