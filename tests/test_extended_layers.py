"""Classes that extend a layer or a model with a `call` or `build` of their own, and weights before a layer is built."""

import jax
import numpy as np
import pytest

import fkeras
from fkeras import layers as L

X = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _twice(k, base, call):
    return type(f"Twice{base.__name__}", (base,), {"call": call})


def _call(self, x, training=False):
    return 2 * super(type(self), self).call(x, training=training) + 1


def _call_plain(self, inputs):
    return 2 * super(type(self), self).call(inputs) + 1


def _call_recurrent(self, sequences, initial_state=None, mask=None, training=False):
    return 2 * super(type(self), self).call(sequences, mask=mask, training=training) + 1


def _call_attention(self, query, value, key=None, **kwargs):
    return 2 * super(type(self), self).call(query, value, key, **kwargs) + 1


def _call_cell(self, inputs, states, training=False):
    y, states = super(type(self), self).call(inputs, states, training=training)
    return 2 * y + 1, states


EXTENDED = {
    "Dense": lambda k: (_twice(k, k.layers.Dense, _call)(2), {}),
    "Conv1D": lambda k: (_twice(k, k.layers.Conv1D, _call_plain)(2, 2), {}),
    "BatchNormalization": lambda k: (_twice(k, k.layers.BatchNormalization, _call)(), {"training": True}),
    "LSTM": lambda k: (
        _twice(k, k.layers.LSTM, _call_recurrent)(2),
        {"mask": np.arange(5) < np.arange(2, 6)[:, None]},
    ),
    "MultiHeadAttention": lambda k: (
        _twice(k, k.layers.MultiHeadAttention, _call_attention)(2, 2),
        {"value": X[:, :4], "use_causal_mask": True},
    ),
    "GRUCell": lambda k: (k.layers.RNN(_twice(k, k.layers.GRUCell, _call_cell)(2)), {}),
    "TimeDistributed": lambda k: (_twice(k, k.layers.TimeDistributed, _call)(k.layers.Dense(2)), {}),
}


@pytest.mark.parametrize("kind", EXTENDED)
def test_a_call_of_ones_own_counts_and_super_is_the_layer_s(kind, keras):
    found = []
    for k in (fkeras, keras):
        layer, how = EXTENDED[kind](k)
        y = layer(X, **how)
        if k is fkeras:
            ours = layer
            layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.weights])
            start = layer.get_weights()
        else:
            assert [tuple(w.shape) for w in layer.weights] == [w.shape for w in ours.weights]
            layer.set_weights(start)
        y = layer(X, **how)
        found.append((np.asarray(y), layer.get_weights()))
    np.testing.assert_allclose(found[0][0], found[1][0], **CLOSE)
    for a, b in zip(found[0][1], found[1][1], strict=True):  # running values too
        np.testing.assert_allclose(a, b, **CLOSE)


def test_an_extended_layer_trains_as_keras_s(keras):
    def made(k):
        class Gained(k.layers.Dense):
            def build(self, input_shape):
                super().build(input_shape)
                assert tuple(self.kernel.shape) == (3, 2)
                self.gain = self.add_weight(shape=(2,), name="gain", initializer="ones")
                self.norm = k.layers.LayerNormalization()

            def call(self, inputs):
                return self.norm(super().call(inputs)) * self.gain

        class Doubled(k.Sequential):
            def call(self, inputs, training=None):
                return 2 * super().call(inputs, training=training)

        return Doubled([k.layers.Input((3,)), Gained(2, kernel_initializer="ones")])

    found = []
    for k in (fkeras, keras):
        model, x = made(k), X[:, 0]
        model.compile(k.optimizers.SGD(0.1), "mse")
        kernel = np.linspace(-1, 1, 6).reshape(3, 2)
        model.set_weights([kernel, *model.get_weights()[1:]])
        model.fit(x, x[:, :2], epochs=3, batch_size=2, shuffle=False, verbose=0)
        found.append((model.get_weights(), model.predict(x, verbose=0)))
    for a, b in zip(jax.tree.leaves(found[0]), jax.tree.leaves(found[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_what_the_class_above_knows_of_its_shape_and_rows_is_not_believed_for_another_call():
    class Flat(L.Dense):
        def call(self, x):
            return super().call(x).mean(0, keepdims=True) + x[:, :1]

    class Edges(L.Conv2D):
        def call(self, x):
            return super().call(x)[:, ::2] + x[:, -1:, -1:].mean()

    assert L.Dense(2).compute_output_shape((None, 3)) == (None, 2)
    assert fkeras.Sequential([L.Input((3,)), Flat(2)]).output_shape == (None, 2)
    layer = Edges(2, 2)
    assert layer.windows(4) is None and L.Conv2D(2, 2).windows(4) is not None
    model = fkeras.Sequential([L.Input((7, 7, 1)), layer, L.MaxPooling2D(2)])
    x = np.random.default_rng(0).normal(size=(3, 7, 7, 1)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), L.MaxPooling2D(2)(layer(x)), **CLOSE)
    layer = Flat(2)
    model = fkeras.Sequential([L.Input((3,)), layer])
    np.testing.assert_allclose(model.predict(X[:3, 0], verbose=0), layer(X[:3, 0]), **CLOSE)


def test_layers_made_in_build_are_made_once():
    class Outer(L.Layer):
        def build(self, input_shape):
            self.inner = L.Dense(2)

        def call(self, x):
            return self.inner(x)

    layer = Outer()
    layer(X[0])
    inner, weights = layer.inner, layer.get_weights()
    np.testing.assert_array_equal(layer(X[0, :2]), layer(X[0])[:2])  # another number of rows
    assert layer.inner is inner
    np.testing.assert_array_equal(weights[0], layer.get_weights()[0])


def test_weights_can_be_read_and_set_before_the_layer_is_built(keras):
    def made(k):
        class Early(k.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.gain = self.add_weight(shape=(3,), initializer="ones", name="gain")
                self.count = self.add_weight(dtype="int32", trainable=False)
                self.own = k.Variable(np.full(3, 2.0, "float32"), name="own")
                self.more = [k.Variable(np.float32(4.0), trainable=False)]

            def call(self, x):
                return x * self.gain * self.own + self.more[0]

        return Early()

    for k in (fkeras, keras):
        layer = made(k)
        assert [tuple(w.shape) for w in layer.weights] == [(3,), (3,), (), ()] or k is fkeras
        assert sorted(w.name for w in layer.trainable_weights) == ["gain", "own"]
        assert tuple(layer.gain.shape) == (3,) and str(np.dtype(str(layer.count.dtype))) == "int32"
        np.testing.assert_array_equal(layer.gain, np.ones(3))
        layer.gain.assign([1.0, 2.0, 3.0])
        np.testing.assert_allclose(layer(X), X * np.array([2.0, 4.0, 6.0], "float32") + 4, rtol=1e-6)
        layer.own.assign(np.zeros(3))  # the variable and the weight are one
        np.testing.assert_allclose(layer(X), np.full(X.shape, 4.0))
        model = k.Sequential([k.layers.Input((5, 3)), layer])
        model.compile(k.optimizers.SGD(0.5), "mse")
        model.fit(X, X, verbose=0, batch_size=4)
        assert abs(np.asarray(layer.own)).max() > 0.1


def test_a_weight_that_comes_too_late_is_refused(keras):
    for k in (fkeras, keras):

        class Late(k.layers.Layer):
            def call(self, x):
                self.w = self.add_weight(shape=(), initializer="zeros")
                return x

        with pytest.raises(ValueError, match=r"cannot add (a weight once it is built|new elements of state)"):
            Late()(X)


def test_build_is_told_the_shapes_of_the_arguments_it_names(keras):
    for k in (fkeras, keras):

        class Named(k.layers.Layer):
            def build(self, bar_shape, foo_shape):
                self.shapes = bar_shape, foo_shape

            def call(self, foo, bar=None):
                return foo[:, 0] + bar[:, 0]

        class Odd(Named):
            def build(self, foo_shape, bar):
                pass

        class Unknown(Named):
            def build(self, foo_shape, baz_shape):
                pass

        layer = Named()
        layer(X[0], bar=X[0, :, :2])
        assert [tuple(s) for s in layer.shapes] == [(5, 2), (5, 3)]
        with pytest.raises(ValueError, match="bar"):
            Odd()(X[0], X[0])
        with pytest.raises(ValueError, match="baz_shape"):
            Unknown()(X[0], X[0])


def test_masks_of_merges_fit_their_inputs(keras):
    mask = np.arange(5) < np.arange(1, 5)[:, None]
    for k in (fkeras, keras):
        for layer in (k.layers.Add(), k.layers.Concatenate()):
            assert layer.compute_mask([X, X], None) is None and layer.compute_mask([X, X], [None, None]) is None
            np.testing.assert_array_equal(layer.compute_mask(inputs=[X, X], mask=[mask, mask]), mask)
            for wrong in (([X, X], mask), (X, [mask, mask]), ([X, X], [mask])):
                with pytest.raises(ValueError, match="list"):
                    layer.compute_mask(*wrong)
        assert np.array_equal(k.layers.Attention().compute_mask(inputs=[X, X], mask=[mask[0], mask[0]]), mask[0])


def test_a_mask_may_follow_the_input_by_position(keras):
    mask = np.arange(5) < np.arange(1, 5)[:, None]
    for k in (fkeras, keras):
        np.testing.assert_allclose(
            k.layers.GlobalAveragePooling1D()(X, mask), k.layers.GlobalAveragePooling1D()(X, mask=mask)
        )
    with pytest.raises(TypeError, match="got 'mask' twice"):
        L.Softmax()(X[:, :, 0], mask, mask=mask)


def test_configs_shapes_and_settings_are_as_in_keras(keras):
    for k in (fkeras, keras):
        assert k.layers.Conv2D(2, 3).get_config()["kernel_size"] == (3, 3)
        assert k.layers.AdaptiveMaxPooling2D(4).get_config()["output_size"] == (4, 4)
        layer = k.layers.Embedding(3, 2, mask_zero=True)
        assert layer.supports_masking and not k.layers.Embedding(3, 2).supports_masking
        layer.build()
        assert tuple(layer.embeddings.shape) == (3, 2)
        start = {"initial_table" if k is fkeras else "weights": np.ones((3, 2))}
        layer = k.layers.Embedding(3, 2, **start)
        np.testing.assert_array_equal(layer.embeddings, np.ones((3, 2)))
        attention = k.layers.MultiHeadAttention(2, 2)
        assert attention.compute_output_shape((2, 4, 8), (2, 3, 8), None) == (2, 4, 8)
        with pytest.raises(ValueError, match=r"must be equal|expected query"):
            attention.compute_output_shape((2, 4, 8), (2, 3, 8), (2, 1, 7))
        attention.build((2, 4, 8), (2, 3, 8))
        assert tuple(attention.query_dense.kernel.shape) == (8, 2, 2)
        for trainable in ("yes", 1, None):
            with pytest.raises(ValueError, match=r"boolean|True or False"):
                k.layers.Dense(2, trainable=trainable)
        for groups in (0, -2, 1.5, "32"):
            with pytest.raises(ValueError, match="groups"):
                k.layers.GroupNormalization(groups=groups)
        y = k.layers.GroupNormalization(2, dtype="mixed_float16")(np.full((2, 4, 8), 70000.0, "float32"))
        assert str(y.dtype) == "float16" and not np.isnan(np.asarray(y)).any()
        layer = k.layers.Dense(2, lora_rank=2, kernel_regularizer="l2")
        layer.build((None, 3))
        assert len(layer.losses) == 2
        mean = k.layers.Normalization(axis=2, mean=np.arange(5.0), variance=np.ones(5))
        mean.build((2, 4, 5, 3))
        assert tuple(mean.mean.shape) == (1, 1, 5, 1)
    with pytest.raises(ValueError, match=r"build\(input_shape\) needs a shape, batch axis first"):
        L.Dense(2).build()


def test_settings_that_no_array_depends_on_may_be_set_anew(keras):
    for k in (fkeras, keras):
        layer = k.layers.Dense(2, activation="relu", kernel_initializer=k.initializers.Constant(-1.0))
        model = k.Sequential([k.layers.Input((3,)), layer])
        assert model.predict(np.ones((1, 3)), verbose=0).max() == 0
        layer.activation = None if k is fkeras else k.activations.linear
        if k is fkeras:  # Keras keeps the program that it compiled
            assert model.predict(np.ones((1, 3)), verbose=0).max() == -3
        np.testing.assert_array_equal(layer(np.ones((1, 3))), [[-3.0, -3.0]])


def test_integers_reach_a_call_of_ones_own_as_they_are(keras):
    seen = []
    for k in (fkeras, keras):

        class Look(k.layers.Layer):
            def call(self, x):
                seen.append([str(np.dtype(str(a.dtype))) for a in x])
                return x[0]

        Look()([np.zeros(1, "float64"), np.zeros(1, "int32")])
    assert set(map(tuple, seen)) == {("float32", "int32")}


def test_an_input_begins_with_a_symbol(keras):
    for k in (fkeras, keras):
        t = k.Input((3,), batch_size=2)
        assert k.layers.InputLayer(input_tensor=t).output is t
        assert tuple(k.Model(k.Input(tensor=t), k.layers.Dense(2)(t))(np.ones((2, 3), "float32")).shape) == (2, 2)
        for other in ({"shape": (4,)}, {"batch_size": 5}, {"dtype": "float16"}):
            with pytest.raises(ValueError, match="input_tensor"):
                k.layers.InputLayer(input_tensor=t, **other)
        for both in ({"shape": (2,)}, {"batch_size": 2}):
            with pytest.raises(ValueError, match="batch_shape"):
                k.layers.InputLayer(batch_shape=(2, 2), **both)


def test_a_layer_inside_time_distributed_that_takes_a_mask_is_given_each_step_s(keras):
    mask = np.array([[False, True], [True, True]])
    found = []
    for k in (fkeras, keras):

        class Masked(k.layers.Layer):
            def call(self, x, mask=None):
                return x if mask is None else x * (mask[:, None] + 0.0)

        found.append(np.asarray(k.layers.TimeDistributed(Masked())(X[:2, :2], mask=mask)))
    np.testing.assert_allclose(*found)
