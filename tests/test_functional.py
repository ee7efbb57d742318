"""Graphs: shared layers, nesting, cuts, operators, clear errors, and ten classic architectures that train."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import Input, Model, Sequential, layers
from fkeras.layers import (
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    Lambda,
    MaxPooling2D,
)

X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
(DIGITS, LABELS), _ = fkeras.datasets.digits.load_data()
DIGITS = DIGITS[:64, ..., None].astype("float32") / 16
LABELS = LABELS[:64].astype("int32")


def test_shared_layers_share_weights():
    a, b = Input((6,), name="a"), Input((6,), name="b")
    tower = Dense(3)
    model = Model([a, b], layers.Subtract()([tower(a), tower(b)]))
    assert model.count_params() == 21
    np.testing.assert_allclose(model.predict([X, X], verbose=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(model.predict({"a": X, "b": X}, verbose=0), 0.0, atol=1e-6)


def test_nested_models_three_deep():
    inner = Sequential([Dense(4, input_shape=(6,))], name="inner")
    x = Input((6,))
    middle = Model(x, Dense(2)(inner(x)), name="middle")
    y = Input((6,))
    outer = Model(y, middle(y) * 2.0)
    np.testing.assert_allclose(outer(X), 2 * np.asarray(middle(X)), rtol=1e-6)
    outer.compile("sgd", "mse")
    before = inner.get_weights()[0]
    outer.fit(X, X[:, :2], verbose=0)
    assert (inner.get_weights()[0] != before).any()
    assert outer.get_layer("middle").get_layer("inner") is inner


def test_a_model_cut_at_an_inner_layer():
    x = Input((6,))
    model = Model(x, Dense(1)(Dense(5, activation="relu", name="features")(x)))
    features = Model(model.input, model.get_layer("features").output)
    assert features.output_shape == (None, 5)
    np.testing.assert_allclose(features(X), model.get_layer("features")(X), rtol=1e-6)
    head = Model(model.get_layer("features").output, model.output)
    np.testing.assert_allclose(head(features(X)), model(X), rtol=1e-6)


def test_operators_on_symbols_are_those_on_arrays():
    x = Input((6,))
    made = Model(x, [1 + x, x * 2, 3 - x, x / 2, -x, abs(x), x**2, x[:, 0], x[..., 1:3], x @ np.eye(6), x > 0])
    want = [1 + X, X * 2, 3 - X, X / 2, -X, abs(X), X**2, X[:, 0], X[..., 1:3], X, X > 0]
    for a, b in zip(made.predict(X, verbose=0), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    twin = Model.from_config(made.get_config())
    for a, b in zip(twin.predict(X, verbose=0), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def every_operator(x, y, six, round=round):
    eye = np.eye(6, dtype="float32")
    return [
        x + y, x - y, x * y, x / y, x // y, x % y, x**2.0, 2.0**x, 2 / x, 7 // x, 7 % x, x @ eye, abs(-x), round(x),
        six + x, six - x, six * x, six / x, np.float32(2) * x, x + list(six),
        x < y, x <= y, x > y, x >= y, 0.5 < x, (x > 0) & (y > 0), (x > 0) | (y > 0), (x > 0) ^ (y > 0), ~(x > 0),
        x[..., None], x[:, None, :], x[:, -1], x[:, ::-1], x[:, 1:-1], x[..., -2:],
    ]  # fmt: skip


def test_every_operator_equals_that_on_arrays_and_survives_json_and_keras(keras):
    x, y, six = Input((6,)), Input((6,)), np.arange(1.0, 7, dtype="float32")
    made = Model([x, y], every_operator(x, y, six))
    theirs = keras.models.model_from_json(made.to_json())
    a, b = X, X + 1
    for other in (made, fkeras.models.model_from_json(made.to_json()), theirs):
        for got, want in zip(other([a, b]), every_operator(a, b, six, np.round), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(Model(x, jnp.arange(6.0) + x)(X), X + np.arange(6), rtol=1e-6)


def test_a_list_of_one_input_or_output_is_that_input_or_output():
    x = Input((6,), name="x")
    model = Model([x], [Dense(2)(x)])
    assert model.output_shape == (None, 2) and model(X).shape == model([X]).shape == (24, 2)
    assert model.predict([X], verbose=0).shape == model.predict({"x": X}, verbose=0).shape == (24, 2)


def test_a_call_may_fix_training_and_bring_a_mask():
    x = Input((50,))
    always = Model(x, layers.Dropout(0.5)(x, training=True))
    y, _ = always.apply({}, {}, np.ones((2, 50), "float32"), key=jax.random.key(0))
    assert (np.asarray(y) == 0).any()
    scores, keep = Input((4,)), Input((4,), dtype="bool")
    made = Model([scores, keep], layers.Softmax()(scores, mask=keep))
    got = made.predict([np.zeros((1, 4), "float32"), np.array([[True, True, False, False]])], verbose=0)
    np.testing.assert_allclose(got, [[0.5, 0.5, 0, 0]], atol=1e-6)


def test_layers_and_weights_come_in_keras_order(keras):
    def build(k):
        x = k.Input((6,), name="x")
        late = k.layers.Dense(3, name="late")(x)  # made first, needed last
        h = k.layers.Dense(3, name="b")(k.layers.Dense(3, name="a")(x))
        return k.Model(x, k.layers.Add(name="sum")([h, late]))

    theirs, ours = build(keras), build(fkeras)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(X), theirs(X), rtol=1e-5, atol=1e-6)


def test_stateful_layers_go_on_from_batch_to_batch():
    model = Sequential([Input(batch_shape=(4, 3, 2)), layers.LSTM(5, stateful=True)])
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
    first, second = (model.predict(x, batch_size=4, verbose=0) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    model.layers[0].reset_states()
    np.testing.assert_allclose(model.predict(x, batch_size=4, verbose=0), first, rtol=1e-6)


def test_jax_functions_through_lambda():
    x = Input((6,))
    made = Model(x, Lambda(lambda v: jnp.sort(v, axis=-1))(x))
    np.testing.assert_allclose(made(X), np.sort(X, -1))


def test_clone_model_has_the_architecture_and_weights_of_its_own():
    x = Input((6,))
    model = Model(x, Dense(2)(x))
    clone = fkeras.models.clone_model(model)
    assert clone.get_config() == model.get_config()
    assert (clone.get_weights()[0] != model.get_weights()[0]).any()
    wide = Input((6,), name="wide")

    def halved(layer):
        return type(layer).from_config({**layer.get_config(), "units": layer.units // 2})

    other = fkeras.models.clone_model(model, wide, halved)
    assert other.output_shape == (None, 1) and other.input_names == ["wide"]
    chain = Sequential([Dense(4, input_shape=(6,)), Dense(2)])
    assert fkeras.models.clone_model(chain, clone_function=halved).output_shape == (None, 1)


def test_transfer_learning_by_freezing_and_cutting():
    base = Sequential([Dense(8, activation="relu", input_shape=(6,)), Dense(4)])
    base.trainable = False
    model = Sequential([base, Dense(1)])
    model.compile("sgd", "mse")
    frozen = base.get_weights()
    model.fit(X, X[:, :1], verbose=0)
    for a, b in zip(frozen, base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.trainable_weights) == 2 and len(model.non_trainable_weights) == 4


class Holder(layers.Layer):
    def call(self, x):
        return self.inner(x)


def hold_each_other():
    first, second = Holder(name="first"), Holder(name="second")
    first.inner = second
    second.inner = first


def swapped():
    x = Input((6,))
    features = Dense(2, name="features")(x)
    Model(Dense(1, name="head")(features), features)


def holds_itself():
    model = Sequential(name="snake")
    model.add(Sequential([model], name="tail"))


def two_inputs():
    a, b = Input((6,), name="a"), Input((6,), name="b")
    return Model([a, b], Add()([a, b]), name="pair")


BAD_GRAPHS = {
    "not symbols": (lambda: Model(X, X), "expected its inputs to be symbols"),
    "a layer as output": (lambda: Model(Input((6,)), Dense(2)), "expected its outputs to be symbols"),
    "only inputs": (lambda: Model(Input((6,))), "Model(inputs, outputs) needs both"),
    "an array has no shape yet": (lambda: np.asarray(Input((6,))), "has no numbers yet"),
    "a function of numpy": (lambda: np.exp(Input((6,))), "or wrap the function in Lambda, to compute with it"),
    "a function of jax": (lambda: jnp.sum(Input((6,))), "has no numbers yet: it stands for a value of a graph. Use a "),
    "a compiled function": (lambda: jax.jit(jnp.exp)(Input((6,))), "wrap the function in Lambda, to compute with it"),
    "truth": (lambda: bool(Input((6,))), "has no truth value"),
    "odd index": (lambda: Input((6,))[[0, 1]], "A symbol is indexed by ints, slices, ... and None, got [0, 1]"),
    "a string": (lambda: Dense(2, name="d")("hello"), "Dense 'd': expected an array, a symbol made by Input(...), or a "
                 "list or dict of them, got 'hello' (str)."),
    "None": (lambda: Dense(2)(None), "got None. Did a function forget to return its result?"),
    "nothing": (lambda: Dense(2, name="d")(), "Dense 'd': called on nothing; expected an array or a symbol"),
    "junk": (lambda: Dense(2)({"a": object}), "got the class object. Did you mean object(...)(x)?"),
    "a layer": (lambda: Dense(2)(Dense(3, name="e")), "got the layer Dense 'e' itself. Call it first:"),
    "a class": (lambda: Dense(2)(Dense), "got the class Dense. Did you mean Dense(...)(x)?"),
    "strings": (lambda: Dense(2)(np.array(["a"])), "got an array of dtype <U1. Are there strings or None among"),
    "a model on None": (lambda: two_inputs()(None), "Model 'pair': expected 2 inputs (a, b), got 1."),
    "symbols and arrays": (lambda: Add(name="sum")([Input((6,)), X]), "Add 'sum': called on symbols and on an array of "
                           "shape (24, 6) together. A constant enters a graph by an operator (x + array)"),
    "three of two inputs": (lambda: two_inputs()([X, X, X]), "Model 'pair': expected 2 inputs (a, b), got 3."),
    "a wrong key": (lambda: two_inputs()({"a": X, "c": X}), "expected inputs called a, b, got a, c: there is no 'b'."),
    "an input and a layer of one name": (lambda: Model(x := Input((6,), name="d"), Dense(1, name="d")(x)),
                                         "2 layers are called 'd' (InputLayer, Dense)"),
    "swapped ends": (swapped, "its input 'head' is computed from its output 'features', so that the graph would be a "
                     "cycle. Are inputs and outputs swapped?"),
    "layers in a circle": (hold_each_other, "Holder 'second': cannot hold Holder 'first' as 'inner', which holds it: a "
                           "cycle."),
    "a model in itself": (holds_itself, "Sequential 'snake': cannot hold itself, which would be a cycle"),
}  # fmt: skip


def test_a_symbol_of_real_keras_is_named(keras):
    with pytest.raises(
        TypeError, match=r"got a KerasTensor, a symbol of real Keras. Begin the graph with fkeras.Input"
    ):
        Dense(2)(keras.Input((6,)))


def test_the_first_argument_may_be_named_and_numbers_may_be_lists():
    q = np.ones((1, 3, 4), "float32")
    assert Dense(2)(inputs=X).shape == (24, 2) and layers.MultiHeadAttention(2, 2)(query=q, value=q).shape == (1, 3, 4)
    assert Dense(2)([[1.0, 2.0]]).shape == (1, 2)


@pytest.mark.parametrize("case", BAD_GRAPHS)
def test_bad_graphs_get_clear_errors(case):
    make, message = BAD_GRAPHS[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)


def test_a_disconnected_output_names_the_layer():
    a, b = Input((6,), name="a"), Input((6,), name="forgotten")
    with pytest.raises(ValueError, match="its outputs also depend on InputLayer 'forgotten', which is not among its"):
        Model(a, Add()([a, b]))


def test_two_layers_of_one_name():
    x = Input((6,))
    with pytest.raises(ValueError, match=r"2 layers are called 'twin' \(Dense, Dense\)"):
        Model(x, Dense(1, name="twin")(Dense(2, name="twin")(x)))


def test_a_wrong_number_of_inputs():
    a, b = Input((6,), name="a"), Input((6,), name="b")
    model = Model([a, b], Add()([a, b]))
    with pytest.raises(ValueError, match=r"expected 2 arrays for the model's inputs \(a, b\), got 3"):
        model.predict([X, X, X], verbose=0)
    with pytest.raises(ValueError, match="x has no 'b'"):
        model.predict({"a": X, "c": X}, verbose=0)


# ------------------------------------------------------------------------- ten classic architectures


def resnet():
    x = Input((8, 8, 1))
    h = Conv2D(4, 3, padding="same")(x)
    skip = h
    h = Conv2D(4, 3, padding="same", activation="relu")(BatchNormalization()(h))
    h = Add()([skip, h])
    return Model(x, Dense(10, activation="softmax")(GlobalAveragePooling2D()(h))), DIGITS, LABELS


def unet():
    x = Input((8, 8, 1))
    a = Conv2D(4, 3, padding="same", activation="relu")(x)
    b = Conv2D(8, 3, padding="same", activation="relu")(MaxPooling2D()(a))
    up = Conv2DTranspose(4, 2, strides=2)(b)
    return Model(x, Conv2D(1, 1, activation="sigmoid")(Concatenate()([a, up]))), DIGITS, DIGITS


def inception():
    x = Input((8, 8, 1))
    parts = [Conv2D(2, k, padding="same", activation="relu")(x) for k in (1, 3, 5)]
    parts.append(Conv2D(2, 1)(MaxPooling2D(3, strides=1, padding="same")(x)))
    return Model(x, Dense(10, activation="softmax")(Flatten()(Concatenate()(parts)))), DIGITS, LABELS


def siamese():
    a, b = Input((8, 8, 1), name="a"), Input((8, 8, 1), name="b")
    tower = Sequential([Flatten(input_shape=(8, 8, 1)), Dense(8, activation="tanh")])
    distance = layers.Dot(axes=1, normalize=True)([tower(a), tower(b)])
    same = (LABELS[:-1] == LABELS[1:]).astype("float32")
    return Model([a, b], Dense(1, activation="sigmoid")(distance)), [DIGITS[:-1], DIGITS[1:]], same[:, None]


def multi_task():
    x = Input((8, 8, 1))
    h = Dense(16, activation="relu")(Flatten()(x))
    outputs = [Dense(10, activation="softmax", name="digit")(h), Dense(1, activation="sigmoid", name="even")(h)]
    return Model(x, outputs), DIGITS, [LABELS, (LABELS % 2 == 0).astype("float32")[:, None]]


def wide_and_deep():
    wide, deep = Input((6,), name="wide"), Input((6,), name="deep")
    h = Dense(4, activation="relu")(Dense(8, activation="relu")(deep))
    return Model([wide, deep], Dense(1)(Concatenate()([wide, h]))), [X, X], X[:, :1]


SEQUENCES = np.random.default_rng(1).integers(1, 9, (32, 5)).astype("int32")


def seq2seq():
    source, target = Input((5,), dtype="int32", name="source"), Input((5,), dtype="int32", name="target")
    _, h, c = layers.LSTM(8, return_state=True)(layers.Embedding(10, 4)(source))
    decoded = layers.LSTM(8, return_sequences=True)(layers.Embedding(10, 4)(target), initial_state=[h, c])
    shifted = np.concatenate([np.zeros((32, 1), "int32"), SEQUENCES[:, ::-1][:, :-1]], axis=1)
    return Model([source, target], Dense(10, activation="softmax")(decoded)), [SEQUENCES, shifted], SEQUENCES[:, ::-1]


def transformer():
    def block(h, memory=None):
        attended = layers.MultiHeadAttention(2, 4)(h, h if memory is None else memory)
        h = layers.LayerNormalization()(Add()([h, attended]))
        return layers.LayerNormalization()(Add()([h, Dense(8)(Dense(16, activation="relu")(h))]))

    source, target = Input((5,), dtype="int32", name="source"), Input((5,), dtype="int32", name="target")
    encoded = block(layers.Embedding(10, 8)(source))
    h = layers.Embedding(10, 8)(target)
    h = Add()([h, layers.MultiHeadAttention(2, 4)(h, h, use_causal_mask=True)])
    shifted = np.concatenate([np.zeros((32, 1), "int32"), SEQUENCES[:, :-1]], axis=1)
    out = Dense(10, activation="softmax")(block(h, encoded))
    return Model([source, target], out), [SEQUENCES, shifted], SEQUENCES


ARCHITECTURES = [resnet, unet, inception, siamese, multi_task, wide_and_deep, seq2seq, transformer]
LOSSES = {
    "resnet": "sparse_categorical_crossentropy", "unet": "binary_crossentropy",
    "inception": "sparse_categorical_crossentropy", "siamese": "binary_crossentropy",
    "multi_task": ["sparse_categorical_crossentropy", "binary_crossentropy"], "wide_and_deep": "mse",
    "seq2seq": "sparse_categorical_crossentropy", "transformer": "sparse_categorical_crossentropy",
}  # fmt: skip


@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda f: f.__name__)
def test_architectures_train_and_survive_files(make, tmp_path, keras):
    model, x, y = make()
    model.compile("adam", LOSSES[make.__name__])
    losses = model.fit(x, y, epochs=4, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    want = jax.tree.leaves(model.predict(x, verbose=0))
    model.save(tmp_path / "m.h5")
    twin = fkeras.models.model_from_json(model.to_json())
    twin.set_weights(model.get_weights())
    theirs = keras.models.load_model(tmp_path / "m.h5", compile=False)
    for other in (fkeras.models.load_model(tmp_path / "m.h5"), twin, theirs):
        got = jax.tree.leaves(other.predict(x, verbose=0))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_inference_models_cut_from_seq2seq_decode_step_by_step_and_keras_opens_them(keras):
    source, target = Input((None, 5), name="source"), Input((None, 5), name="target")
    _, h, c = layers.LSTM(4, return_state=True)(source)
    rnn, head = layers.LSTM(4, return_sequences=True, return_state=True), Dense(3, activation="softmax")
    model = Model([source, target], head(rnn(target, initial_state=[h, c])[0]))
    encoder = Model(source, [h, c])
    states = [Input((4,)), Input((4,))]
    y, *after = rnn(target, initial_state=states)
    decoder = Model([target, *states], [head(y), *after])
    x = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    now, steps = encoder(x), []
    for t in range(3):
        y, *now = decoder([x[:, t : t + 1], *now])
        steps.append(y)
    np.testing.assert_allclose(np.concatenate(steps, 1), model([x, x]), rtol=1e-5, atol=1e-6)
    theirs = keras.models.model_from_json(decoder.to_json())
    theirs.set_weights(decoder.get_weights())
    begin = [x[:, :1], np.zeros((2, 4), "float32"), np.ones((2, 4), "float32")]
    for got, want in zip(theirs(begin), decoder(begin), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_model_called_on_arrays_takes_them_at_its_rank_and_any_number_of_rows(keras):
    for k in (fkeras, keras):
        x = k.layers.Input((3,), batch_size=2)
        model = k.Model(x, k.layers.Dense(2)(x))
        assert tuple(model(np.ones((2, 3, 1), "float32")).shape) == (2, 2)
        assert tuple(model(np.ones((5, 3), "float32")).shape) == (5, 2)
        x = k.layers.Input((1,))
        assert tuple(k.Model(x, k.layers.Dense(2)(x))(np.ones(4, "float32")).shape) == (4, 2)


def test_a_model_may_hold_a_list_that_holds_itself(tmp_path):
    class Cyclic(fkeras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.blocks = []
            self.blocks.append(self.blocks)
            self.out = layers.Dense(2)

        def call(self, x):
            return self.out(x)

    model, x = Cyclic(), np.ones((2, 3), "float32")
    y = model(x)
    model.save(str(tmp_path / "m.keras"))
    again = fkeras.models.load_model(str(tmp_path / "m.keras"), custom_objects={"Cyclic": Cyclic})
    np.testing.assert_allclose(again(x), y, rtol=1e-6)


def test_objects_and_values_that_json_does_not_know_travel_in_configs(keras):
    class Held(fkeras.layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, x):
            return self.inner(x)

        def get_config(self):
            return {**super().get_config(), "inner": self.inner}

    config = json.loads(json.dumps(fkeras.utils.serialize_keras_object(Held(layers.Dense(3)))))
    again = fkeras.utils.deserialize_keras_object(config, custom_objects={"Held": Held})
    assert again(np.ones((2, 4), "float32")).shape == (2, 3)
    for value in (..., b"text", slice(None, 20, 2)):
        config = json.loads(json.dumps(fkeras.utils.serialize_keras_object(value)))
        assert config == keras.saving.serialize_keras_object(value)
        assert fkeras.utils.deserialize_keras_object(config) == value


def test_a_model_whose_compile_is_its_own_is_loaded_uncompiled(tmp_path):
    class Own(fkeras.Sequential):
        def compile(self, first, second):
            super().compile(first, second)

    model = Own([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.save(str(tmp_path / "m.keras"))
    with pytest.warns(UserWarning, match=r"`compile\(\)` was not called as part of model loading"):
        again = fkeras.models.load_model(str(tmp_path / "m.keras"), custom_objects={"Own": Own})
    assert not again.compiled
