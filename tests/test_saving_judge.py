"""Files against real Keras 3, both ways: what one writes the other opens, and both compute the same."""

import importlib
import json
import pkgutil
import re

import h5py
import jax
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import optim, saving
from fkeras.models import Input, Model, Sequential
from fkeras.saving import files, order
from tests import catalog
from tests.catalog import image_layers
from tests.test_saving import MODELS, OPTIMIZERS, Computed, filled, inputs, nested, outputs, random

# The same float32 arithmetic in another order of operations.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _settings(row):
    return len(getattr(row, "kwargs", ()))


LAYER_ROWS = {  # one row per layer: that with the most settings
    r.kind: r
    for m in pkgutil.iter_modules(catalog.__path__)
    if m.name.startswith("layers_")
    for r in sorted(getattr(importlib.import_module(f"tests.catalog.{m.name}"), "ROWS", []), key=_settings)
    if hasattr(r, "kind") and r.make is None and all(isinstance(n, int) for n in r.shape)
}


def assert_close(ours, theirs):
    theirs = [np.asarray(a) for a in jax.tree.leaves(theirs)]
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def keras_outputs(model, x):
    return model(x[0] if isinstance(x, list) and len(x) == 1 else x, training=False)


def keras_twin(keras, model, seed=5):
    """The model that real Keras builds of our JSON, with weights of its own."""
    twin = keras.models.model_from_json(saving.to_json(model))
    rng = np.random.default_rng(seed)
    twin.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in twin.get_weights()])
    return twin


# -------------------------------------------------------------------------------------------- ours in Keras


@pytest.mark.parametrize("make", MODELS)
def test_keras_opens_our_files(keras, make, tmp_path):
    model = filled(make)
    x = inputs(model)
    want = outputs(model, x)
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        assert_close(want, keras_outputs(keras.models.load_model(tmp_path / name), x))
    for name in ("plain.h5", "m.weights.h5"):
        model.save_weights(tmp_path / name)
        twin = keras_twin(keras, model)
        twin.load_weights(tmp_path / name)
        assert_close(want, keras_outputs(twin, x))


@pytest.mark.parametrize("make", MODELS)
def test_we_open_files_of_keras(keras, make, tmp_path):
    model = make()
    twin = keras_twin(keras, model)
    x = inputs(model)
    want = keras_outputs(twin, x)
    for name in ("m.h5", "m.keras"):
        twin.save(tmp_path / name)
        assert_close(outputs(saving.load_model(tmp_path / name), x), want)
    twin.save_weights(tmp_path / "m.weights.h5")
    for name in ("m.weights.h5", "m.h5", "m.keras"):
        other = saving.model_from_json(twin.to_json())
        other.load_weights(tmp_path / name)
        assert_close(outputs(other, x), want)


def test_frozen_inner_layers_come_in_the_order_of_keras(keras, tmp_path):
    for frozen in ("inner", "tail", "d", "t0"):
        model = filled(nested)
        tail, inner = model.get_layer("tail"), model.get_layer("inner")
        place = {"inner": inner, "tail": tail, "d": inner.get_layer("d"), "t0": tail.get_layer("t0")}[frozen]
        place.trainable = False
        x = inputs(model)
        model.save(tmp_path / "m.h5")
        theirs = keras.models.load_model(tmp_path / "m.h5")
        assert_close(outputs(model, x), keras_outputs(theirs, x))
        assert [w.trainable for w in theirs.weights].count(False) == [w.trainable for w in model.weights].count(False)
        theirs.set_weights([w + 0.25 for w in theirs.get_weights()])
        theirs.save(tmp_path / "k.h5")
        again = saving.load_model(tmp_path / "k.h5")
        assert_close(outputs(again, x), keras_outputs(theirs, x))
        inner = theirs.get_layer("inner")
        legacy = inner.trainable_weights + inner.non_trainable_weights
        ours = ["/".join(n[-2:]) for _, n, _ in order.legacy_weights(again.get_layer("inner"))]
        assert ours == ["/".join(w.path.split("/")[-2:]) for w in legacy]


# ------------------------------------------------------------------------------------------- every layer


def row_models(keras, row):
    ints = "int32" if row.ints is not None else None
    ours = Sequential([Input(row.shape[1:], dtype=ints), row.build()[0]])
    theirs = keras.Sequential([keras.Input(row.shape[1:], dtype=ints), row.twin(keras)])
    return ours, theirs


TRAVELLING = {kind: row for kind, row in LAYER_ROWS.items() if kind not in image_layers()}  # they: test_augment.py


@pytest.mark.parametrize("row", list(TRAVELLING.values()), ids=list(TRAVELLING))
def test_every_layer_travels_both_ways(keras, row, tmp_path):
    """Settings and weights of each row of the catalog of layers survive the way to Keras and back again."""
    try:
        ours, theirs = row_models(keras, row)
    except ValueError as err:
        pytest.skip(f"real Keras has no such setting: {err}")
    rng = np.random.default_rng(1)
    theirs.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in theirs.get_weights()])
    theirs.save(tmp_path / "k.h5")
    theirs.save_weights(tmp_path / "k.weights.h5")
    came = saving.load_model(tmp_path / "k.h5")
    ours.load_weights(tmp_path / "k.weights.h5")
    assert [a.tolist() for a in came.get_weights()] == [a.tolist() for a in ours.get_weights()]
    came.save(tmp_path / "m.h5")
    came.save_weights(tmp_path / "m.weights.h5")
    back = keras.models.load_model(tmp_path / "m.h5")
    want = [a.tolist() for a in theirs.get_weights()]
    assert [a.tolist() for a in back.get_weights()] == want
    plain = re.compile(r'"(forward|backward)?_?[a-z_0-9]*": null, |"name": "[^"]*"')
    same = [plain.sub("", json.dumps(m.layers[0].get_config(), sort_keys=True)) for m in (back, theirs)]
    assert same[0] == same[1]
    theirs.set_weights([np.zeros_like(w) for w in theirs.get_weights()])
    theirs.load_weights(tmp_path / "m.weights.h5")
    assert [a.tolist() for a in theirs.get_weights()] == want


def attentive(q, v):
    """Calls with several arguments, some of them constants."""
    from fkeras.layers import attention

    a = attention.MultiHeadAttention(2, 3, name="mha")(q, v, use_causal_mask=True)
    b = attention.GroupQueryAttention(2, 4, 2, name="gqa")(q, value=v, key=v)
    return [a, attention.AdditiveAttention(name="additive")([b, v]), attention.Attention(name="dot")([q, v])]


def operated(q, v):
    """Python's operators and indexing on symbols."""
    return [2.0 - q, q / (q * q + 1), q[:, 0] - v[:, -1], abs(-q[..., None, 1:]) ** 2, q @ v[:, :3], q > 0.5]


def merged(q, v):
    return [L.Dot(axes=(2, 2), normalize=True)([q, v]), L.Concatenate(axis=1)([q, v]), L.Add()([q, q, q])]


@pytest.mark.parametrize("make", [attentive, operated, merged])
def test_calls_of_several_arguments_travel_both_ways(keras, make, tmp_path):
    q, v = Input((4, 3), name="q"), Input((5, 3), name="v")
    model = Model([q, v], make(q, v))
    x = inputs(model)
    want = outputs(model, x)
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        assert_close(want, outputs(saving.load_model(tmp_path / name), x))
        theirs = keras.models.load_model(tmp_path / name)
        theirs.save(tmp_path / f"k{name}")
        assert_close(want, outputs(saving.load_model(tmp_path / f"k{name}"), x))
    assert_close(want, keras_outputs(theirs, x))


def test_activations_of_keras_ops_are_read_and_other_operations_are_named(keras):
    x = keras.Input((4, 3))
    again = saving.model_from_json(keras.Model(x, keras.ops.relu(x)).to_json())
    assert_close(outputs(again, [random(2, 4, 3)]), keras.ops.relu(random(2, 4, 3)))
    config = keras.Model(x, keras.ops.transpose(x, (0, 2, 1))).to_json().replace("Transpose", "Transposed")
    with pytest.raises(ValueError, match="Transposed"):
        saving.model_from_json(config)


def test_weights_of_models_that_compute_in_call_travel_both_ways(keras, tmp_path):
    class Theirs(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(3)
            self.blocks = [keras.layers.Dense(3), keras.layers.Dense(3)]
            self.named = {"last": keras.layers.Dense(2)}

        call = Computed.call

    x, ours, theirs = random(2, 4), Computed(), Theirs()
    np.asarray(ours(x)), np.asarray(theirs(x))
    theirs.save_weights(tmp_path / "k.weights.h5")
    ours.load_weights(tmp_path / "k.weights.h5")
    assert_close([np.asarray(ours(x))], theirs(x))
    ours.set_weights([w + 1 for w in ours.get_weights()])
    ours.save_weights(tmp_path / "m.weights.h5")
    theirs.load_weights(tmp_path / "m.weights.h5")
    assert_close([np.asarray(ours(x))], theirs(x))


def recurring(q, v):
    """Layers of several outputs, states handed on, cells in a list."""
    from fkeras.layers import recurrent

    y, h, _ = recurrent.LSTM(2, return_state=True, return_sequences=True, name="lstm")(q)
    gru = recurrent.GRU(2, name="gru")(y, initial_state=[h])
    return [gru, recurrent.RNN([recurrent.LSTMCell(2), recurrent.GRUCell(3)], name="stack")(v)]


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5"])
def test_recurrent_layers_travel_both_ways(keras, name, tmp_path):
    q, v = Input((4, 3), name="q"), Input((5, 3), name="v")
    model = filled(lambda: Model([q, v], recurring(q, v)))
    x = inputs(model)
    want = outputs(model, x)
    if "weights" in name:
        theirs = keras_twin(keras, model)
        model.save_weights(tmp_path / name)
        theirs.load_weights(tmp_path / name)
        theirs.save_weights(tmp_path / name)
        model.set_weights([w + 1 for w in model.get_weights()])
        model.load_weights(tmp_path / name)
        assert_close(want, outputs(model, x))
    else:
        model.save(tmp_path / name)
        theirs = keras.models.load_model(tmp_path / name)
        theirs.save(tmp_path / name)
        assert_close(want, outputs(saving.load_model(tmp_path / name), x))
    if name == "m.h5":
        assert_close(want, keras_outputs(theirs, x))


# ---------------------------------------------------------------------------------------- orders and JSON


def random_graph(seed):
    """A graph with branches, shared layers and unused inputs, in a random order of making."""
    rng = np.random.default_rng(seed)
    ends = [Input((4,), name=f"in{i}") for i in range(3)]
    made, pool = [], list(ends)
    for i in range(8):
        x = pool[rng.integers(len(pool))]
        if made and rng.random() < 0.3:
            pool.append(made[rng.integers(len(made))](x))
        elif rng.random() < 0.3:
            pool.append(L.Add(name=f"add{i}")([x, pool[rng.integers(len(pool))]]))
        else:
            made.append(L.Dense(4, name=f"d{i}"))
            pool.append(made[-1](x))
    picked = rng.choice(np.arange(3, len(pool)), 2, replace=False)
    return Model(ends, [pool[i] for i in picked])


@pytest.mark.parametrize("seed", range(12))
def test_layers_come_in_the_order_of_keras(keras, seed, tmp_path):
    model = random_graph(seed)
    twin = keras_twin(keras, model)
    assert [layer.name for layer in order.keras_layers(model)] == [layer.name for layer in twin.layers]
    x = inputs(model)
    again = saving.model_from_json(twin.to_json())
    twin.save_weights(tmp_path / "m.weights.h5")
    again.load_weights(tmp_path / "m.weights.h5")
    assert_close(outputs(again, x), keras_outputs(twin, x))
    config, theirs = json.loads(saving.to_json(again))["config"], json.loads(twin.to_json())["config"]
    for ours in (config, theirs):
        ours["calls"] = {
            c["name"]: [n["args"] for n in c["inbound_nodes"]] for c in ours.pop("layers") if c["inbound_nodes"]
        }
    assert config == theirs


def test_json_of_keras_compiles_what_keras_compiled(keras):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Nadam(0.02), loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=["mae"])
    again = saving.model_from_json(model.to_json())
    assert type(again.optimizer) is optim.Nadam and again.optimizer.learning_rate == pytest.approx(0.02)
    assert again.loss.from_logits is True


# ---------------------------------------------------------------------------------- compile settings, training


def test_an_archive_whose_hdf5_file_lies_at_a_user_blocks_offset_is_an_archive(tmp_path):
    """HDF5 searches its signature at bytes 0, 512, 1024, ..., where the file inside a .keras archive may lie."""
    import h5py

    path = tmp_path / "m.keras"
    path.write_bytes(b"PK\x03\x04".ljust(512, b"0") + b"\x89HDF\r\n\x1a\n".ljust(512, b"0"))
    assert h5py.is_hdf5(path) and not files.is_hdf5(path)


def test_we_go_on_training_where_keras_stopped(keras, tmp_path):
    x, y = random(12, 6), random(12, 2)
    theirs = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    theirs.compile(keras.optimizers.Adam(0.02), "mean_squared_error")

    def losses(model):
        found = []
        for _ in range(3):
            model.reset_metrics()
            found.append(float(np.ravel(model.train_on_batch(x, y))[0]))
        return found

    losses(theirs)
    theirs.save(tmp_path / "k.keras")
    theirs.save(tmp_path / "k.h5")
    want = losses(theirs)
    ours, other = saving.load_model(tmp_path / "k.h5"), saving.load_model(tmp_path / "k.keras")
    assert ours.optimizer.iterations == other.optimizer.iterations == 3
    for a, b in zip(jax.tree.leaves(ours.optimizer.state), jax.tree.leaves(other.optimizer.state), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(losses(ours), want, rtol=1e-5)  # float32, three steps


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_reads_the_state_of_our_optimizers(keras, name, tmp_path):
    if not hasattr(keras.optimizers, name):
        pytest.skip(f"this Keras has no {name}")
    model = Sequential([Input((3,)), L.Dense(2, name="a"), L.Dense(2, name="b")])
    model.compile(optim.optimizers.entries[name](learning_rate=0.02), "mse")
    model.optimizer.build(model.params)
    leaves, form = jax.tree.flatten(model.optimizer.state)
    leaves = [np.asarray(random(*np.shape(a), seed=i) * 9).astype(a.dtype) for i, a in enumerate(leaves)]
    model.optimizer.state = jax.tree.unflatten(form, leaves)
    model.save(tmp_path / "m.keras")
    theirs = keras.models.load_model(tmp_path / "m.keras")
    ours = model.optimizer.to_arrays(order.trained_paths(model))
    assert [v.shape for v in theirs.optimizer.variables] == [a.shape for a in ours]
    for v, a in zip(theirs.optimizer.variables, ours, strict=True):
        np.testing.assert_array_equal(np.asarray(v), a)
    theirs.save(tmp_path / "k.keras")
    again = saving.load_model(tmp_path / "k.keras").optimizer
    for a, b in zip(jax.tree.leaves(again.state), leaves, strict=True):
        np.testing.assert_array_equal(a, b)
    if name != "Lamb":  # which Keras cannot read from any HDF5 file, its own included
        model.save(tmp_path / "m.h5")
        assert type(keras.models.load_model(tmp_path / "m.h5").optimizer).__name__ == name


LOSSES = {
    "short name": lambda k: "mse",
    "name": lambda k: "binary_crossentropy",
    "class": lambda k: k.losses.Poisson(),
    "settings": lambda k: k.losses.BinaryCrossentropy(label_smoothing=0.25, reduction="sum"),
    "function": lambda k: k.losses.mean_absolute_error,
}
METRICS = {
    "names": lambda k: ["mae", "accuracy"],
    "objects": lambda k: [
        k.metrics.BinaryAccuracy(name="above", threshold=0.3),
        k.metrics.MeanSquaredError(name="err"),
    ],
    "functions": lambda k: [k.metrics.mean_absolute_percentage_error],
    "none": lambda k: None,
}


def evaluated(model, x, y):
    """What Keras evaluates. Reading "mae" from HDF5, also from its own, Keras forgets the short name of the metric."""
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    return {name.replace("mean_absolute_error", "mae"): value for name, value in found.items()}


@pytest.mark.parametrize(("loss", "metrics"), [*zip(LOSSES, [*METRICS, "names"], strict=True)])
def test_compile_settings_travel_both_ways(keras, loss, metrics, tmp_path):
    import fkeras.losses
    import fkeras.metrics

    class Ours:
        losses, metrics = fkeras.losses, fkeras.metrics

    x, y = random(6, 3), np.abs(random(6, 1)) / 9
    model = Sequential([Input((3,)), L.Dense(1, activation="sigmoid")])
    model.compile("sgd", LOSSES[loss](Ours), metrics=METRICS[metrics](Ours))
    want = model.evaluate(x, y, verbose=0, return_dict=True)
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        theirs = keras.models.load_model(tmp_path / name)
        assert evaluated(theirs, x, y) == pytest.approx(want, rel=1e-5)
    theirs.compile("sgd", LOSSES[loss](keras), metrics=METRICS[metrics](keras))
    for name in ("k.keras", "k.h5"):
        theirs.save(tmp_path / name)
        again = saving.load_model(tmp_path / name)
        assert evaluated(again, x, y) == pytest.approx(want, rel=1e-5)


def test_settings_of_several_outputs_and_schedules_travel_both_ways(keras, tmp_path):
    from fkeras.optim import schedules

    a = Input((3,), name="a")
    model = Model(a, [L.Dense(1, name="p")(a), L.Dense(2, name="q", activation="softmax")(a)])
    model.compile(
        optim.Adam(schedules.ExponentialDecay(0.1, 10, 0.5), clipnorm=1.0),
        loss={"p": "mse", "q": "categorical_crossentropy"},
        loss_weights={"p": 1.0, "q": 0.5},
        metrics={"p": ["mae"], "q": ["accuracy"]},
    )
    x, y = random(4, 3), [random(4, 1), np.eye(2, dtype="float32")[[0, 1, 1, 0]]]
    want = model.evaluate(x, y, verbose=0, return_dict=True)
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        theirs = keras.models.load_model(tmp_path / name)
        assert evaluated(theirs, x, y) == pytest.approx(want, rel=1e-5)
        rate = theirs.optimizer.get_config()["learning_rate"]
        assert (rate["class_name"], rate["config"]["decay_rate"]) == ("ExponentialDecay", 0.5)
        theirs.save(tmp_path / f"k{name}")
        again = saving.load_model(tmp_path / f"k{name}")
        assert evaluated(again, x, y) == pytest.approx(want, rel=1e-5)
        assert again.optimizer.get_config()["learning_rate"]["config"]["decay_rate"] == 0.5


# ------------------------------------------------------------------------------------------ older words


def as_keras_2(config):
    """Rewrites a Keras 3 config as Keras 2 wrote it: no modules, calls as lists, inner models' calls from 1."""
    if isinstance(config, list):
        return [as_keras_2(c) for c in config]
    if not isinstance(config, dict):
        return config
    out = {k: as_keras_2(v) for k, v in config.items() if k not in ("module", "registered_name", "build_config")}
    if "batch_shape" in out:
        out["batch_input_shape"] = out.pop("batch_shape")
    if "input_layers" in out:
        models = {c["name"] for c in out["layers"] if c["class_name"] in ("Functional", "Sequential")}
        for layer in out["layers"]:
            nodes = []
            for node in layer["inbound_nodes"]:
                tensors = node["args"][0] if isinstance(node["args"][0], list) else [node["args"][0]]
                histories = [t["config"]["keras_history"] for t in tensors]
                nodes.append([[n, c + (n in models), i, {}] for n, c, i in histories])
            layer["inbound_nodes"] = nodes
        for key in ("input_layers", "output_layers"):
            ends = out[key] if isinstance(out[key][0], list) else [out[key]]
            sequential = {c["name"] for c in out["layers"] if c["class_name"] == "Sequential"}
            out[key] = [[n, c + (n in sequential and key == "output_layers"), i] for n, c, i in ends]
    return out


@pytest.mark.parametrize("make", [m for m in MODELS if m.__name__ != "named_ends"])
def test_configs_in_the_words_of_keras_2_are_read(keras, make, tmp_path):
    twin = keras_twin(keras, make())
    x = inputs(make())
    twin.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        old = as_keras_2(json.loads(twin.to_json()))
        file.attrs["model_config"] = json.dumps(old)
        file.attrs["keras_version"] = "2.15.0"
    assert_close(outputs(saving.load_model(tmp_path / "m.h5"), x), keras_outputs(twin, x))


def test_files_of_keras_2_13_name_their_groups_otherwise(keras, tmp_path):
    model = filled(nested)
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:

        def rename(group):
            for name in list(group):
                if isinstance(group[name], h5py.Group):
                    rename(group[name])
                if name == "layers":
                    group.move("layers", "_layer_checkpoint_dependencies")

        rename(file)
    other = nested()
    other.load_weights(tmp_path / "m.weights.h5")
    assert [a.tolist() for a in other.get_weights()] == [a.tolist() for a in model.get_weights()]
