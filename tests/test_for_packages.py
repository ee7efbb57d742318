"""What packages written for Keras reach for beside its public names; benchmarks/clients.py runs such packages."""

import io
import subprocess
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L

X = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")


def test_private_names_of_keras_are_found():
    code = """
        import fkeras.as_keras
        from keras.src.backend import get_keras_mask, set_keras_mask
        from keras.src.distribution import distribution_lib
        from keras.src.losses.losses import LossFunctionWrapper
        from keras.src.saving import saving_lib, serialization_lib
        from keras.src.saving.saving_lib import load_model, save_model
        from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights as weigh
        from keras.src.utils.backend_utils import in_grain_data_pipeline
        import keras, numpy as np, os, tempfile
        assert distribution_lib.distribution() is None and not in_grain_data_pipeline()
        assert weigh(np.array([[0], [1]]), {0: 2.0}).tolist() == [2.0, 1.0]
        assert weigh(np.eye(2), {1: 3.0}).tolist() == [1.0, 3.0]
        x = np.ones(3)
        import jax.numpy as jnp
        y = jnp.ones((1, 2))
        set_keras_mask(y, y > 0)
        assert get_keras_mask(y).all()
        with tempfile.TemporaryDirectory() as folder:
            store = keras.src.saving.saving_lib.H5IOStore(path := os.path.join(folder, "a.h5"), mode="w")
            store.make("lora")["rank"] = 4
            store.close()
            store = keras.src.saving.saving_lib.H5IOStore(path, mode="r")
            assert int(store.get("lora")["rank"][()]) == 4 and list(store.get("lora").keys()) == ["rank"]
            store.close()
        try:
            import tensorflow.python.keras.engine.input_layer.InputLayer
        except ModuleNotFoundError:
            print("right")
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout == "right\n", done.stderr


def test_models_go_through_files_in_memory(keras):
    model = fkeras.Sequential([fkeras.Input((3,)), L.Dense(2)])
    model.save(stream := io.BytesIO())
    stream.seek(0)
    again = fkeras.models.load_model(stream)
    np.testing.assert_array_equal(again(X[0, :, :3]), model(X[0, :, :3]))
    stream.seek(0)
    theirs = keras.src.saving.saving_lib.load_model(stream)
    np.testing.assert_allclose(theirs(X[0, :, :3]), model(X[0, :, :3]), rtol=1e-5, atol=1e-6)
    with pytest.raises(OSError, match="Cannot read an open BytesIO: "):
        fkeras.models.load_model(io.BytesIO(b"nothing"))


def test_objects_by_name_and_config_of_a_package():
    class Greedy:
        def __init__(self, k=1):
            self.k = k

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    known = {"greedy": Greedy, "Greedy": Greedy}
    get = fkeras.saving.deserialize_keras_object
    assert get("greedy", module_objects=known).k == 1
    assert get({"class_name": "Greedy", "config": {"k": 3}}, module_objects=known).k == 3
    with pytest.warns(DeprecationWarning, match="keras.utils.legacy is called keras.utils today"):
        legacy = fkeras.utils.legacy.deserialize_keras_object
    assert legacy({"class_name": "Greedy", "config": {"k": 3}}, None, known).k == 3
    with pytest.raises(ValueError, match=r"Unknown sampler 'gredy'. Did you mean 'greedy'"):
        get("gredy", module_objects=known, printable_module_name="sampler")


def test_models_are_walked_by_keras_inner_names():
    x = fkeras.Input((4,), name="in")
    a, b = L.Dense(3, name="a")(x), L.Dense(3, name="b")(x)
    model = fkeras.Model(x, L.Add(name="sum")([a, b]))
    assert [layer.name for layer in model._layers] == ["in", "a", "b", "sum"]
    (node,) = model.get_layer("sum")._inbound_nodes
    assert [parent.operation.name for parent in node.parent_nodes] == ["a", "b"]
    assert node.output_tensors == [model.outputs[0]] and not node.is_input
    assert model.get_layer("in")._inbound_nodes[0].is_input
    assert [layer.name for layer in model._flatten_layers(include_self=False)] == ["in", "a", "b", "sum"]
    with pytest.raises(AttributeError, match="Dense has no attribute '_outbound'"):
        model.get_layer("a")._outbound  # noqa: B018


def test_settings_of_a_model_that_packages_read_and_set():
    model = fkeras.Sequential([fkeras.Input((3,)), L.Dense(2)])
    with pytest.raises(RuntimeError, match="call compile"):
        model.run_eagerly = True
    model.compile("sgd", "mse")
    assert not model.run_eagerly and model.jit_compile
    model.run_eagerly = True
    assert model.get_compile_config()["run_eagerly"] and not model.jit_compile
    model.fit(X[0, :, :3], X[0, :, :2], verbose=0)
    layer = L.Dense(2)
    layer.dtype_policy = "mixed_bfloat16"
    assert layer(np.ones((1, 2))).dtype == jnp.bfloat16


class Positions(L.Layer):
    """Takes no longer sequence than its table."""

    def build(self, shape):
        self.table = self.add_weight((12, shape[-1]), name="table")

    def call(self, x):
        return x + fkeras.ops.slice(self.table, (0, 0), (fkeras.ops.shape(x)[1], x.shape[-1]))


class Told(Positions):
    """Takes one length only, and says what comes out."""

    def call(self, x):
        return super().call(x + jnp.ones((1, 6, 1)))

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize("cls", [Positions, Told])
def test_unknown_lengths_reach_layers_that_take_few(cls):
    x = fkeras.Input((None, 8))
    layer = cls()
    model = fkeras.Model(x, layer(x))
    assert model.output_shape == (None, None, 8)
    np.testing.assert_allclose(model.predict(X, verbose=0), layer(X), rtol=1e-6)


class Cached(L.MultiHeadAttention):
    """Attention with a cache, as libraries of language models write it over Keras's inner words."""

    def call(self, query, value, key=None, attention_mask=None, cache=None, at=None, training=None):
        key = value if key is None else key
        query = self._query_dense(query)
        key, value = self._key_dense(key), self._value_dense(value)
        if cache is not None:
            key = fkeras.ops.slice_update(cache[:, 0], [0, at, 0, 0], key)
            value = fkeras.ops.slice_update(cache[:, 1], [0, at, 0, 0], value)
            cache = fkeras.ops.stack((key, value), axis=1)
        out, _ = self._compute_attention(
            query=query, key=key, value=value, attention_mask=attention_mask, training=training
        )
        out = self._output_dense(out)
        return out if cache is None else (out, cache)


def test_attention_of_ones_own_over_the_projections(tmp_path):
    plain, cached = L.MultiHeadAttention(2, 4, name="mha"), Cached(2, 4, name="mha")
    wanted = plain(X, X)
    params, _ = Cached(2, 4).init(0, {"args": [(2, 6, 8)] * 2, "kwargs": {}})
    assert params["query"]["kernel"].shape == (8, 2, 4)
    cached(X, X)
    cached.set_weights(plain.get_weights())
    np.testing.assert_allclose(cached(X, X), wanted, rtol=1e-5, atol=1e-6)
    causal = np.tril(np.ones((1, 6, 6), bool))
    whole, cache = plain(X, X, use_causal_mask=True), jnp.zeros((2, 2, 6, 2, 4))
    for i in range(6):  # one step after the other gives what all at once give
        step, cache = cached(X[:, i : i + 1], X[:, i : i + 1], attention_mask=causal[:, i : i + 1], cache=cache, at=i)
        np.testing.assert_allclose(step[:, 0], whole[:, i], rtol=1e-4, atol=1e-5)
    x = fkeras.Input((None, 8))
    model = fkeras.Model(x, L.GlobalAveragePooling1D()(cached(x, x)))
    model.compile("sgd", "mse")
    before = cached.get_weights()
    model.fit(X, X[:, 0], verbose=0)
    assert any((a != b).any() for a, b in zip(before, cached.get_weights(), strict=True))
    model.save(tmp_path / "m.keras")
    again = fkeras.models.load_model(tmp_path / "m.keras", custom_objects={"Cached": Cached})
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5)


def test_settings_change_in_layers_that_are_in_use(keras):
    """`model.layers[-1].activation = None`, as Keras's example of Grad-CAM has it."""

    def run(k, weights=None):
        model = k.Sequential(
            [k.Input((8,)), k.layers.Dense(3, "relu"), k.layers.Dropout(0.5), k.layers.Dense(2, "softmax")]
        )
        if weights is not None:
            model.set_weights(weights)
        model.compile("sgd", "mse")
        got = [model.predict(X[0], verbose=0), model.evaluate(X[0], X[0, :, :2], verbose=0)]
        model.layers[-1].activation = k.activations.get(None)
        model.layers[1].rate = 0.1
        model.compile("sgd", "mse")
        got += [model.predict(X[0], verbose=0), model.evaluate(X[0], X[0, :, :2], verbose=0), model(X[0])]
        return model, got

    model, ours = run(fkeras)
    _, theirs = run(keras, model.get_weights())
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert model.layers[-1].get_config()["activation"] == "linear"
    dense = model.layers[0]
    for name, value in (("units", 4), ("use_bias", False)):
        with pytest.raises(ValueError, match=f"{name} = {value} would change its weights or the shape of its output"):
            setattr(dense, name, value)
    assert dense.units == 3 and dense.use_bias
    x = fkeras.Input((6, 6, 1))
    pool = L.MaxPooling2D()
    pool(x)
    with pytest.raises(ValueError, match="would change"):
        pool.strides = 1
    fresh = L.Dense(2)
    fresh.units = 5
    assert fresh(X).shape == (2, 6, 5)
