"""Files of Keras 2: tf_keras, the line that is still kept, writes and opens them as the judge."""

import importlib
import json
import pkgutil

import h5py
import jax
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import losses, optim, saving
from fkeras.models import Input, Model, Sequential
from tests import catalog
from tests.catalog import image_layers
from tests.test_saving import chain, filled, inputs, nested, outputs, random, shared, two_in_two_out
from tests.test_saving_judge import LAYER_ROWS

# The same float32 arithmetic in another order of operations.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:tf_keras", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def old():
    """The Keras 2 line."""
    return pytest.importorskip("tf_keras", reason="the judge of Keras 2's files")


def assert_close(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), **CLOSE)


def outputs_of(model, x):
    """What a model of tf_keras computes."""
    return [np.asarray(a) for a in jax.tree.leaves(model(x if len(x) > 1 else x[0], training=False))]


def at_once(model, x):
    """What a model of many branches computes: one program instead of one for each operation."""
    params, state = model.gather()
    return [np.asarray(a) for a in jax.jit(model.apply)(params, state, x)[0]]


def randomize(model, seed=0):
    """Gives a model of either library weights of its own."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


# -------------------------------------------------------------------------------------------- every layer

LACKS = {
    "Wrapper": "abstract in Keras 2",
    "RMSNormalization": "since Keras 3",
    "GroupQueryAttention": "since Keras 3",
    "ReversibleEmbedding": "since Keras 3",
    "MelSpectrogram": "since Keras 3",
    "STFTSpectrogram": "since Keras 3",
    **{f"Adaptive{kind}Pooling{n}D": "since Keras 3" for kind in ("Average", "Max") for n in (1, 2, 3)},
    "Operator": "ours",
    "GetItem": "ours",
    **dict.fromkeys(image_layers(), "of other settings in Keras 2"),
}


def rows_of(old):
    """The rows of the catalog of layers that Keras 2 has too."""
    rows = {r.kind: r for r in LAYER_ROWS.values()}
    for m in pkgutil.iter_modules(catalog.__path__):  # rather one whose settings Keras 2 knows
        for row in getattr(importlib.import_module(f"tests.catalog.{m.name}"), "ROWS", ()):
            if getattr(row, "kind", None) in rows and row.make is None and all(isinstance(n, int) for n in row.shape):
                rows.setdefault((row.kind, row.id), row)
    found = {}
    for row in rows.values():
        if row.kind in LACKS or row.kind in found or "bicubic" in str(row):  # TensorFlow's is of 10 bits only
            continue
        try:
            found[row.kind] = row, row.twin(old)
        except (TypeError, ValueError, AttributeError):
            continue
    return found


def packed(make, model, rows, twin):
    """A model with one branch per row: one file carries them all."""
    ends = [make(r.shape[1:], dtype="int32" if r.ints is not None else "float32") for r in rows]
    return model(ends, [layer(end) for layer, end in zip(twin, ends, strict=True)])


def test_keras_2_has_every_layer_but_these(old):
    assert set(LAYER_ROWS) - set(rows_of(old)) == set(LACKS) & set(LAYER_ROWS)


def test_every_layer_of_keras_2_comes_back(old, tmp_path):
    found = rows_of(old)
    rows = [r for r, _ in found.values()]
    theirs = randomize(packed(old.Input, old.Model, rows, [t for _, t in found.values()]))
    x = [r.input() for r in rows]
    for name in ("k.h5", "k.keras"):
        theirs.save(tmp_path / name)
    for name in ("k.weights.h5", "plain.h5"):
        theirs.save_weights(tmp_path / name)
    ours = saving.load_model(tmp_path / "k.h5")
    for row, a, b in zip(rows, at_once(ours, x), outputs_of(theirs, x), strict=True):
        np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), **CLOSE, err_msg=str(row))
    other, want = saving.load_model(tmp_path / "k.keras"), ours.get_weights()
    assert other.get_config() == ours.get_config()
    for name in ("k.keras", "k.weights.h5", "plain.h5"):
        if name != "k.keras":
            other.set_weights([np.zeros_like(w) for w in want])
            other.load_weights(tmp_path / name)
        for a, b in zip(other.get_weights(), want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_both_lines_of_keras_open_our_file_of_every_layer(old, keras, tmp_path):
    # Another formula under one name; and what Keras 3 looks up in TensorFlow's tables, which JAX cannot trace.
    looked_up = "IntegerLookup", "Hashing"
    rows = [r for r, _ in rows_of(old).values() if "hard_sigmoid" not in str(r) and r.kind not in looked_up]
    ours = randomize(packed(Input, Model, rows, [r.build()[0] for r in rows]))
    x = [r.input() for r in rows]
    want = at_once(ours, x)
    ours.compile(optim.Adam(0.01), "mse")  # tf_keras compiles what it opens
    ours.save(tmp_path / "m.h5")
    ours.save_weights(tmp_path / "plain.h5")
    theirs, third = (k.models.load_model(tmp_path / "m.h5") for k in (old, keras))
    for found in (outputs_of(theirs, x), jax.jit(lambda x: third(x, training=False))(x)):
        for row, a, b in zip(rows, want, found, strict=True):
            np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), **CLOSE, err_msg=str(row))
    randomize(theirs, 1)
    theirs.load_weights(tmp_path / "plain.h5")
    for row, a, b in zip(rows, want, outputs_of(theirs, x), strict=True):
        np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), **CLOSE, err_msg=str(row))


# --------------------------------------------------------------------------------------- graphs and calls


def cells(k):
    return k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2)], name="cells")


def sentences(k):
    """Masks, states handed on by keyword, both directions, shared and nested models."""
    words, other = k.Input((5,), dtype="int32", name="words"), k.Input((5, 4), name="other")
    x = k.layers.Embedding(9, 4, mask_zero=True, name="e")(words)
    y, h, c = k.layers.LSTM(3, return_sequences=True, return_state=True, name="enc")(x)
    dec = k.layers.LSTM(3, name="dec")(other, initial_state=[h, c])
    both = k.layers.Bidirectional(k.layers.GRU(2, return_sequences=True), merge_mode="sum", name="both")(y)
    inner_in = k.Input((2,), name="inner_in")
    inner = k.Model(inner_in, k.layers.BatchNormalization(name="bn")(k.layers.Dense(3, name="d")(inner_in)), name="in")
    tail = k.Sequential([k.layers.Dense(3, name="t0", activation="relu"), k.layers.Dense(3, name="t1")], name="tail")
    last = k.layers.GlobalAveragePooling1D(name="mean")(both)
    steps = k.layers.TimeDistributed(k.layers.Dense(2), name="steps")(other)
    attended = k.layers.MultiHeadAttention(2, 3, name="mha")(other, other, use_causal_mask=True)
    dot = k.layers.Attention(name="dot")([other, attended])
    first = inner(last)
    return k.Model(
        [words, other],
        [tail(first), inner(k.layers.Add(name="add")([last, last])), k.layers.Dot(1, name="prod")([dec, tail(dec)]),
         steps, dot, cells(k)(other)],
    )  # fmt: skip


def sentence_inputs():
    words = np.random.default_rng(0).integers(1, 9, (3, 5))
    words[1, 3:] = 0
    return [words.astype("int32"), random(3, 5, 4)]


def test_graphs_of_keras_2_come_back(old, tmp_path):
    theirs, x = randomize(sentences(old)), sentence_inputs()
    for name in ("k.h5", "k.keras"):
        theirs.save(tmp_path / name)
    theirs.save_weights(tmp_path / "w.h5")
    ours = saving.load_model(tmp_path / "k.h5")
    assert_close(at_once(ours, x), outputs_of(theirs, x))
    from_json = saving.model_from_json(theirs.to_json())
    from_json.load_weights(tmp_path / "w.h5")
    for other in (saving.load_model(tmp_path / "k.keras"), from_json):
        assert other.get_config() == ours.get_config()
        for a, b in zip(other.get_weights(), ours.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_tf_keras_opens_our_graphs(old, tmp_path):
    for make in (chain, two_in_two_out, shared):
        ours = filled(make)
        ours.compile(optim.SGD(0.1, momentum=0.9), "mse", [["mae"]] * len(ours.output_names))
        ours.save(tmp_path / "m.h5")
        theirs = old.models.load_model(tmp_path / "m.h5")
        assert_close(outputs(ours, inputs(ours)), outputs_of(theirs, inputs(ours)))
        assert theirs.optimizer.get_config()["momentum"] == pytest.approx(0.9)


def test_layers_in_a_graph_of_nested_models_keep_their_own_weights(old, tmp_path):
    ours = filled(nested)
    ours.save_weights(tmp_path / "w.h5")
    twin = nested()
    twin.load_weights(tmp_path / "w.h5")
    assert_close(outputs(ours, inputs(ours)), outputs(twin, inputs(ours)))


def test_functions_of_tensorflow_in_a_graph_become_layers_or_are_named(old, tmp_path):
    tf = importlib.import_module("tensorflow")
    i, j = old.Input((4, 6)), old.Input((4, 6))
    a, b = old.layers.Dense(6)(i), old.layers.Dense(6)(j)
    made = [
        a + b, 2.0 - a, a * 2, a[:, 0], a[..., 1:], a[:, tf.newaxis], tf.nn.relu(a), tf.reshape(a, (-1, 24)),
        tf.concat([a, b], axis=-1), tf.transpose(a, (0, 2, 1)), tf.maximum(a, b), tf.nn.softmax(a), a / b, -a,
        tf.cast(a, "float32"), tf.square(a), tf.add_n([a, b]), a > b, tf.sigmoid(a), tf.nn.leaky_relu(a),
    ]  # fmt: skip
    theirs, x = old.Model([i, j], made), [random(2, 4, 6), random(2, 4, 6, seed=1)]
    theirs.save(tmp_path / "k.h5")
    assert_close(outputs(saving.load_model(tmp_path / "k.h5"), x), outputs_of(theirs, x))
    old.Model(i, tf.reduce_mean(a, 1)).save(tmp_path / "k.h5")
    with pytest.raises(ValueError, match=r"k.h5', model_config: Layer 'tf.math.reduce_mean' is a call of the function"):
        saving.load_model(tmp_path / "k.h5")


def test_operations_as_tf_2_0_wrote_them_are_read():
    node = {"name": "add", "op": "AddV2", "input": ["x", "add/y"], "attr": {"T": {"type": "DT_FLOAT"}}}
    layers = [
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 2], "name": "x"}, "name": "x"},
        {
            "class_name": "TensorFlowOpLayer",
            "config": {"name": "add", "node_def": node, "constants": {"1": 2.5}},
            "name": "add",
            "inbound_nodes": [[["x", 0, 0, {}]]],
        },
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["add", 0, 0]]}
    text = json.dumps({"class_name": "Model", "config": config, "keras_version": "2.2.4-tf"})
    assert outputs(saving.model_from_json(text), [np.ones((1, 2), "float32")])[0].tolist() == [[3.5, 3.5]]
    layers[1]["config"]["node_def"] = {**node, "op": "Cumsum"}
    with pytest.raises(ValueError, match="'add' is a call of the function 'Cumsum' of TensorFlow"):
        saving.model_from_json(json.dumps({"class_name": "Model", "config": config, "keras_version": "2.2.4-tf"}))


# ------------------------------------------------------------------- formulas that changed under one name


def gated(k):
    return k.Sequential(
        [
            k.Input((4, 3)),
            k.layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True),
            k.layers.GRU(3, recurrent_activation="hard_sigmoid", reset_after=False),
            k.layers.Dense(3, activation="hard_sigmoid"),
        ]
    )


def test_hard_sigmoid_is_what_its_writer_meant_and_stays_so(old, tmp_path):
    theirs, x = randomize(gated(old)), [random(2, 4, 3)]
    want = outputs_of(theirs, x)
    for name in ("k.h5", "k.keras"):
        theirs.save(tmp_path / name)
        ours = saving.load_model(tmp_path / name)
        assert_close(outputs(ours, x), want)
    for name in ("m.h5", "m.keras"):  # what a load, save, load keeps
        ours.save(tmp_path / name)
        assert_close(outputs(saving.load_model(tmp_path / name), x), want)
    theirs.save_weights(tmp_path / "w.h5")
    for text in (theirs.to_json(), saving.to_json(ours)):
        again = saving.model_from_json(text)
        again.load_weights(tmp_path / "w.h5")
        assert_close(outputs(again, x), want)
    theirs = old.models.load_model(
        tmp_path / "m.h5", custom_objects={"hard_sigmoid_keras2": old.activations.hard_sigmoid}
    )
    assert_close(outputs_of(theirs, x), want)


def test_a_file_of_keras_3_keeps_its_own_hard_sigmoid(keras, tmp_path):
    theirs, x = randomize(gated(keras)), [random(2, 4, 3)]
    for name in ("k.h5", "k.keras"):
        theirs.save(tmp_path / name)
        assert_close(outputs(saving.load_model(tmp_path / name), x), [np.asarray(theirs(x[0]))])


def test_a_gru_from_before_reset_after_resets_before(old, tmp_path):
    theirs = randomize(old.Sequential([old.Input((4, 3)), old.layers.GRU(2, reset_after=False)]))
    theirs.save(tmp_path / "k.h5")
    with h5py.File(tmp_path / "k.h5", "r+") as file:  # Keras 2.0 to 2.1 had no such setting
        config = json.loads(file.attrs["model_config"])
        del config["config"]["layers"][1]["config"]["reset_after"]
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.1.6"
    x = [random(2, 4, 3)]
    assert_close(outputs(saving.load_model(tmp_path / "k.h5"), x), outputs_of(theirs, x))


def test_layers_of_cudnn_are_read(old, tmp_path):
    cudnn = importlib.import_module("tf_keras.src.layers.rnn")
    pairs = [
        (importlib.import_module("tf_keras.src.layers.rnn.cudnn_lstm").CuDNNLSTM, old.layers.LSTM(3, name="a")),
        (importlib.import_module("tf_keras.src.layers.rnn.cudnn_gru").CuDNNGRU, old.layers.GRU(3, name="a")),
    ]
    assert cudnn
    x = [random(2, 4, 5)]
    for cls, plain in pairs:
        theirs = randomize(old.Sequential([old.Input((4, 5)), cls(3, name="a")]))
        theirs.save(tmp_path / "k.h5")
        judge = old.Sequential([old.Input((4, 5)), plain])
        judge.load_weights(tmp_path / "k.h5")
        assert_close(outputs(saving.load_model(tmp_path / "k.h5"), x), outputs_of(judge, x))


def test_normalized_axes_in_another_order_are_read_and_written(old, tmp_path):
    theirs = randomize(old.Sequential([old.Input((4, 3)), old.layers.LayerNormalization(axis=[2, 1])]))
    theirs.save(tmp_path / "k.h5")
    ours, x = saving.load_model(tmp_path / "k.h5"), [random(2, 4, 3)]
    assert_close(outputs(ours, x), outputs_of(theirs, x))
    ours.save(tmp_path / "m.h5")
    assert_close(outputs(ours, x), outputs_of(old.models.load_model(tmp_path / "m.h5"), x))


def test_names_do_not_say_what_a_file_is(old, tmp_path):
    theirs = randomize(old.Sequential([old.Input((4,)), old.layers.Dense(3, name="d")]))
    x = [random(2, 4)]
    theirs.save(tmp_path / "k.h5")
    theirs.save_weights(tmp_path / "w.h5")
    (tmp_path / "k.h5").rename(tmp_path / "hdf5.keras")
    (tmp_path / "w.h5").rename(tmp_path / "legacy.weights.h5")
    ours = saving.load_model(tmp_path / "hdf5.keras")
    assert_close(outputs(ours, x), outputs_of(theirs, x))
    for name in ("hdf5.keras", "legacy.weights.h5"):
        ours.set_weights([w * 0 for w in ours.get_weights()])
        ours.load_weights(tmp_path / name)
        assert_close(outputs(ours, x), outputs_of(theirs, x))


# ------------------------------------------------------------------------------------------ optimizers

NEW_SLOTS = {
    "SGD": {"momentum": "momentums"},
    "Adam": {"momentum": "_momentums", "velocity": "_velocities", "velocity_hat": "_velocity_hats"},
    "AdamW": {"momentum": "_momentums", "velocity": "_velocities"},
    "RMSprop": {"velocity": "_velocities", "momentum": "_momentums", "average_gradient": "_average_gradients"},
    "Adagrad": {"accumulator": "_accumulators"},
    "Adadelta": {"accumulated_grad": "_accumulated_grads", "accumulated_delta_var": "_accumulated_delta_vars"},
    "Adamax": {"momentum": "_m", "norm": "_u"},
    "Nadam": {"momentum": "_momentums", "velocity": "_velocities"},
    "Ftrl": {"accumulator": "_accumulators", "linear": "_linears"},
}
OLD_SLOTS = {
    "SGD": {"momentum": "momentum"},
    "Adam": {"momentum": "m", "velocity": "v", "velocity_hat": "vhat"},
    "RMSprop": {"velocity": "rms", "momentum": "momentum", "average_gradient": "mg"},
    "Adagrad": {"accumulator": "accumulator"},
    "Adadelta": {"accumulated_grad": "accum_grad", "accumulated_delta_var": "accum_var"},
    "Adamax": {"momentum": "m", "norm": "v"},
    "Ftrl": {"accumulator": "accumulator", "linear": "linear"},
}
SETTINGS = {"SGD": {"momentum": 0.9}, "Adam": {"amsgrad": True}, "RMSprop": {"momentum": 0.5, "centered": True}}


def learner(old, optimizer):
    model = old.Sequential(
        [
            old.Input((4,)),
            old.layers.Dense(3, name="a"),
            old.layers.BatchNormalization(name="n"),
            old.layers.Dense(2, name="b"),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
    return model


def with_state(old, optimizer):
    """A compiled model whose optimizer's arrays are all different; and the iterations it says it has done."""
    model = learner(old, optimizer)
    if hasattr(optimizer, "build"):
        optimizer.build(model.trainable_variables)
        held = optimizer.variables
    else:
        optimizer._create_all_weights(model.trainable_variables)
        held = optimizer.weights
    for i, v in enumerate(held):
        v.assign(np.asarray(7) if i == 0 else np.abs(random(*v.shape, seed=i)))
    return model


def assert_state(ours, theirs, find):
    """`find(slot, i)` returns the i-th array of a slot of the judge."""
    state = ours.optimizer.state
    paths = [path for path, _, v in saving.order.weights_by_path(ours) if v.trainable]
    slots = {slot for path in paths for slot in optim.base.at(state["slots"], path)}
    assert ours.optimizer.iterations == 7 and slots
    for i, path in enumerate(paths):
        for slot in slots:
            np.testing.assert_array_equal(optim.base.at(state["slots"], path)[slot], np.asarray(find(slot, i)))


@pytest.mark.parametrize("name", NEW_SLOTS)
def test_the_state_of_tf_keras_optimizers_comes_back(old, name, tmp_path):
    theirs = with_state(old, getattr(old.optimizers, name)(0.01, **SETTINGS.get(name, {})))
    for file in ("k.h5", "k.keras"):
        theirs.save(tmp_path / file)
        ours = saving.load_model(tmp_path / file)
        assert type(ours.optimizer).__name__ == name and ours.optimizer.learning_rate == pytest.approx(0.01)
        assert_state(ours, theirs, lambda slot, i: getattr(theirs.optimizer, NEW_SLOTS[name][slot])[i])


@pytest.mark.parametrize("name", OLD_SLOTS)
def test_the_state_of_older_optimizers_comes_back_and_goes_back(old, name, tmp_path):
    theirs = with_state(old, getattr(old.optimizers.legacy, name)(0.01, **SETTINGS.get(name, {})))
    theirs.save(tmp_path / "k.h5")
    ours = saving.load_model(tmp_path / "k.h5")

    def find(slot, i):
        return theirs.optimizer.get_slot(theirs.trainable_variables[i], OLD_SLOTS[name][slot])

    assert_state(ours, theirs, find)
    ours.save(tmp_path / "m.h5")
    back = old.models.load_model(tmp_path / "m.h5")
    for a, b in zip(back.optimizer.get_weights(), theirs.optimizer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with h5py.File(tmp_path / "k.h5", "r+") as file:  # Keras before TensorFlow took it in: names that say nothing
        group = file["optimizer_weights"]
        arrays = [group[n][()] for n in group.attrs["weight_names"]]
        if name == "Ftrl":
            return
        if name == "RMSprop":  # it had no other slots, and kept no iterations
            arrays = [np.int64(7), *arrays[1:]]
        del file["optimizer_weights"]
        group = file.create_group("optimizer_weights")
        names = [f"training/{name}/Variable_{i}:0" for i in range(len(arrays))]
        group.attrs["weight_names"] = [n.encode() for n in names]
        for n, a in zip(names, arrays, strict=True):
            group.create_dataset(n, data=a)
        file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = "2.2.4"
    assert_state(saving.load_model(tmp_path / "k.h5"), theirs, find)


def test_placeholders_of_kerass_adam_are_left(old, tmp_path):
    """Keras 2.1 to 2.3 stored an array of size 1 for each weight where Adam had no third moment."""
    theirs = with_state(old, old.optimizers.legacy.Adam(0.01))
    theirs.save(tmp_path / "k.h5")
    with h5py.File(tmp_path / "k.h5", "r+") as file:
        group = file["optimizer_weights"]
        arrays = [group[n][()] for n in group.attrs["weight_names"]] + [np.zeros(1, "float32")] * 6
        del file["optimizer_weights"]
        group = file.create_group("optimizer_weights")
        names = [f"Adam_1/Variable_{i}:0" for i in range(len(arrays))]
        group.attrs["weight_names"] = [n.encode() for n in names]
        for n, a in zip(names, arrays, strict=True):
            group.create_dataset(n, data=a)
        file.attrs["keras_version"] = "2.2.4"
    assert_state(
        saving.load_model(tmp_path / "k.h5"),
        theirs,
        lambda slot, i: theirs.optimizer.get_slot(theirs.trainable_variables[i], OLD_SLOTS["Adam"][slot]),
    )


@pytest.mark.parametrize("kind", ["Adam", "Nadam", "old Adam", "old SGD with decay"])
def test_training_goes_on_with_the_losses_of_keras_2(old, kind, tmp_path):
    optimizer = {
        "Adam": lambda: old.optimizers.Adam(0.02),
        "Nadam": lambda: old.optimizers.Nadam(0.02),
        "old Adam": lambda: old.optimizers.legacy.Adam(lr=0.02),
        "old SGD with decay": lambda: old.optimizers.legacy.SGD(0.02, momentum=0.9, nesterov=True, decay=0.1),
    }[kind]()
    x, y = random(8, 4), random(8, 2)
    theirs = learner(old, optimizer)

    def losses(model):
        found = []
        for _ in range(3):
            model.reset_metrics()
            found.append(float(np.ravel(model.train_on_batch(x, y))[0]))
        return found

    losses(theirs)
    theirs.save(tmp_path / "k.h5")
    ours = saving.load_model(tmp_path / "k.h5")
    if kind == "old Adam":
        ours.save(tmp_path / "m.h5")
        assert losses(old.models.load_model(tmp_path / "m.h5")) == pytest.approx(losses(ours), rel=1e-5)
        ours = saving.load_model(tmp_path / "k.h5")
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-5)  # float32, three steps


def test_the_older_nadam_is_read_with_a_warning(old, tmp_path):
    theirs = with_state(old, old.optimizers.legacy.Nadam(0.01))
    theirs.save(tmp_path / "k.h5")
    with pytest.warns(UserWarning, match="training goes on with the formula of Keras 3"):
        ours = saving.load_model(tmp_path / "k.h5")
    assert_state(
        ours,
        theirs,
        lambda slot, i: theirs.optimizer.get_slot(
            theirs.trainable_variables[i], {"momentum": "m", "velocity": "v"}[slot]
        ),
    )


# ------------------------------------------------------------------------------------ compile settings

LOSSES = ["mse", "mae", "msle", "kld", "hinge", "binary_crossentropy", "logcosh", "poisson", "cosine_similarity"]


def test_losses_and_metrics_of_keras_2_are_understood(old, tmp_path):
    x, y = random(6, 4), np.abs(random(6, 1)) / 3
    theirs = randomize(old.Sequential([old.Input((4,)), old.layers.Dense(1, activation="sigmoid", name="d")]))
    for given in [*LOSSES, old.losses.BinaryCrossentropy(label_smoothing=0.25), old.losses.Huber(0.5)]:
        theirs.compile("sgd", given, metrics=["mae", "accuracy"], run_eagerly=True)
        want = theirs.evaluate(x, y, verbose=0, return_dict=True)
        theirs.save(tmp_path / "k.h5")
        ours = saving.load_model(tmp_path / "k.h5")
        if given == "mse":
            assert ours.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(want, rel=1e-4), given
        else:
            value = ours.loss if callable(ours.loss) else losses.get(ours.loss)
            got = float(np.mean(np.asarray(value(y, np.asarray(ours(x))))))
            assert got == pytest.approx(want["loss"], rel=1e-4), given


def test_settings_of_several_outputs_are_understood(old, tmp_path):
    a = old.Input((3,), name="a")
    out = {n: old.layers.Dense(u, name=n, activation=f)(a) for n, u, f in (("p", 1, None), ("q", 2, "softmax"))}
    theirs = old.Model(a, list(out.values()))
    theirs.compile(
        old.optimizers.Adam(old.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), clipnorm=1.0),
        loss={"p": "mse", "q": "categorical_crossentropy"},
        loss_weights={"p": 1.0, "q": 0.5},
        metrics={"p": ["mae"], "q": ["accuracy"]},
        run_eagerly=True,
    )
    x, y = random(4, 3), [random(4, 1), np.eye(2, dtype="float32")[[0, 1, 1, 0]]]
    want = theirs.evaluate(x, y, verbose=0, return_dict=True)
    for name in ("k.h5", "k.keras"):
        theirs.save(tmp_path / name)
        ours = saving.load_model(tmp_path / name)
        if name == "k.h5":
            assert ours.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(want, rel=1e-5)
        assert ours.get_compile_config()["loss_weights"] == {"p": 1.0, "q": 0.5}
        assert ours.optimizer.get_config()["learning_rate"]["config"]["decay_rate"] == 0.5


def test_policies_and_old_names_of_layers_are_read(old, tmp_path):
    half = old.Sequential([old.Input((4,)), old.layers.Dense(3, dtype="mixed_bfloat16", name="d")])
    half.save(tmp_path / "k.h5")
    assert saving.load_model(tmp_path / "k.h5").layers[0].dtype.name == "mixed_bfloat16"
    half.compile(old.mixed_precision.LossScaleOptimizer(old.optimizers.Adam(0.02), initial_scale=64.0), "mse")
    half.save(tmp_path / "k.h5")
    scaled = saving.load_model(tmp_path / "k.h5").optimizer
    assert type(scaled) is optim.LossScaleOptimizer and scaled.initial_scale == 64
    assert type(scaled.inner_optimizer) is optim.Adam
    layers = [
        {"class_name": "Embedding", "config": {"input_dim": 9, "output_dim": 2, "input_length": 5, "name": "e"}},
        {"class_name": "CuDNNLSTM", "config": {"units": 2, "return_sequences": True, "name": "l"}},
        {"class_name": "ThresholdedReLU", "config": {"theta": 0.1, "name": "t"}},
        {"class_name": "BatchNormalizationV1", "config": {"axis": [2], "name": "n"}},
    ]
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": layers}, "keras_version": "2.3.1"})
    model = saving.model_from_json(text)
    assert [type(layer) for layer in model.layers] == [L.Embedding, L.LSTM, L.ReLU, L.BatchNormalization]
    assert model.output_shape == (None, 5, 2) and isinstance(model, Sequential)
