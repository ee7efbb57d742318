"""Files in the layout of Keras 1, against what the raw arrays give in NumPy by the formulas of Keras 1."""

import json
import pathlib

import h5py
import jax
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import optim, saving
from fkeras.optim.schedules import InverseTimeDecay
from tests.test_saving import outputs, random

HERE = pathlib.Path(__file__).parent / "fixtures" / "keras1"
CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # float32, in another order of operations


def raw(file):
    """{array name: array} of a file, whatever the group."""
    found = {}
    with h5py.File(HERE / file) as f:
        f["model_weights"].visititems(
            lambda name, node: found.update({name.split("/")[-1]: node[()]}) if hasattr(node, "shape") else None
        )
    return found


def slots(file):
    with h5py.File(HERE / file) as f:
        group = f["optimizer_weights"]
        return [group[n][()] for n in group.attrs["weight_names"]]


# -------------------------------------------------------------------------------- what Keras 1 computed


def hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def correlate_th(x, w, strides):
    """x [B, C, H, W], w [F, C, r, c], the kernel as it stands; Theano turned it by 180 degrees first."""
    B, _, H, W = x.shape
    F, _, r, c = w.shape
    out = np.zeros((B, F, (H - r) // strides[0] + 1, (W - c) // strides[1] + 1), "float32")
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            patch = x[:, :, i * strides[0] : i * strides[0] + r, j * strides[1] : j * strides[1] + c]
            out[:, :, i, j] = np.einsum("bchw,fchw->bf", patch, w)
    return out


def lstm(x, w, name, mask):
    h = c = np.zeros((x.shape[0], w[f"{name}_b_i"].size), "float32")
    found = []
    for t in range(x.shape[1]):
        z = {g: x[:, t] @ w[f"{name}_W_{g}"] + w[f"{name}_b_{g}"] + h @ w[f"{name}_U_{g}"] for g in "icfo"}
        new_c = hard_sigmoid(z["f"]) * c + hard_sigmoid(z["i"]) * np.tanh(z["c"])
        new_h = hard_sigmoid(z["o"]) * np.tanh(new_c)
        on = mask[:, t, None]
        h, c = np.where(on, new_h, h), np.where(on, new_c, c)
        found.append(h)
    return np.stack(found, 1)


def gru(x, w, name, mask):
    h = np.zeros((x.shape[0], w[f"{name}_b_z"].size), "float32")
    for t in range(x.shape[1]):
        p = {g: x[:, t] @ w[f"{name}_W_{g}"] + w[f"{name}_b_{g}"] for g in "zrh"}
        z = hard_sigmoid(p["z"] + h @ w[f"{name}_U_z"])
        r = hard_sigmoid(p["r"] + h @ w[f"{name}_U_r"])
        new = z * h + (1 - z) * np.tanh(p["h"] + (r * h) @ w[f"{name}_U_h"])
        h = np.where(mask[:, t, None], new, h)
    return h


def mlp(w, x):
    y = np.maximum(x @ w["dense_1_W"] + w["dense_1_b"], 0)
    n = "batchnormalization_1"
    y = (y - w[f"{n}_running_mean"]) / np.sqrt(w[f"{n}_running_std"] + 0.001) * w[f"{n}_gamma"] + w[f"{n}_beta"]
    return softmax(y @ w["dense_2_W"] + w["dense_2_b"])


def images_th(w, x, flip=False):
    kernel = w["convolution2d_1_W"]
    kernel = kernel[:, :, ::-1, ::-1] if flip else kernel
    y = np.maximum(correlate_th(x, kernel, (1, 2)) + w["convolution2d_1_b"][:, None, None], 0)
    B, C, H, W = y.shape
    y = y[:, :, : H // 2 * 2, : W // 2 * 2].reshape(B, C, H // 2, 2, W // 2, 2).max((3, 5))
    y = np.pad(y, ((0, 0), (0, 0), (1, 0), (0, 2)))
    return hard_sigmoid(y.reshape(B, -1) @ w["dense_1_W"] + w["dense_1_b"])


def images_theano(w, x):
    return images_th(w, x, flip=True)


def images_tf(w, x):
    k, B = w["atrous_1_W"], len(x)
    y = np.zeros((B, 4, 4, 3), "float32") + w["atrous_1_b"]
    for a in range(2):
        for b in range(2):
            y += x[:, 2 * a : 2 * a + 4, 2 * b : 2 * b + 4] @ k[a, b]
    up = np.zeros((B, 5, 6, 2), "float32") + w["deconv_1_b"]
    for a in range(2):
        for b in range(3):
            up[:, a : a + 4, b : b + 4] += y @ w["deconv_1_W"][a, b]  # [rows, columns, channels in, filters]
    return up.mean((1, 2))


def signal(w, x):
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    y = sum(padded[:, t : t + 8] @ w["convolution1d_1_W"][t, 0] for t in range(3))
    y = np.tanh(y + w["convolution1d_1_b"])
    return np.repeat(y.reshape(len(x), 4, 2, 4).max(2), 3, axis=1)


def words(w, x):
    mask = x != 0
    y = lstm(w["embedding_1_W"][x], w, "lstm_1", mask)
    back = gru(y[:, ::-1], w, "backward_gru_1", mask[:, ::-1])
    y = np.concatenate([gru(y, w, "forward_gru_1", mask), back], -1)
    return 1 / (1 + np.exp(-(y @ w["dense_1_W"] + w["dense_1_b"])))


def branches(w, a, b):
    y = np.concatenate([np.tanh(a @ w["dense_1_W"] + w["dense_1_b"]), b @ w["dense_2_W"] + w["dense_2_b"]], -1)
    return y @ w["dense_3_W"] + w["dense_3_b"]


def graph(w, a, b, c):
    a, b = (np.tanh(v @ w["dense_1_W"] + w["dense_1_b"]) for v in (a, b))
    n = "timedistributeddense_1"
    return (a * b) @ w["dense_2_W"] + w["dense_2_b"], c @ w[f"{n}_W"] + w[f"{n}_b"]


SENTENCES = np.array([[1, 2, 3, 4, 5], [8, 7, 6, 0, 0]], "int32")
FILES = {
    "mlp": (mlp, [random(3, 4)]),
    "images_th": (images_th, [random(2, 2, 6, 8)]),
    "images_theano": (images_theano, [random(2, 2, 6, 8)]),
    "images_tf": (images_tf, [random(2, 6, 6, 2)]),
    "signal": (signal, [random(2, 8, 2)]),
    "words": (words, [SENTENCES]),
    "branches": (branches, [random(2, 3), random(2, 2, seed=1)]),
    "graph": (graph, [random(2, 3), random(2, 3, seed=1), random(2, 4, 3, seed=2)]),
}


def assert_predicts(model, name):
    formula, x = FILES[name]
    want = formula(raw(f"{name}.h5"), *x)
    for a, b in zip(outputs(model, x), want if isinstance(want, tuple) else [want], strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def assert_alike(model, other):
    settings = [json.dumps(m.get_config()["layers"]) for m in (model, other)]
    assert settings[0] == settings[1]
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_keras_1_predicts_what_its_author_saw(name, tmp_path):
    model = saving.load_model(HERE / f"{name}.h5")
    assert_predicts(model, name)
    for ending in (".h5", ".keras"):  # and is the same model in a file of today
        model.save(tmp_path / f"m{ending}")
        assert_alike(saving.load_model(tmp_path / f"m{ending}"), model)


@pytest.mark.parametrize("name", FILES)
def test_json_and_weights_of_keras_1_in_files_of_their_own(name, tmp_path):
    with h5py.File(HERE / f"{name}.h5") as file, h5py.File(tmp_path / "w.h5", "w") as alone:
        text = file.attrs["model_config"]
        group = file["model_weights"]
        for key in group:
            group.copy(key, alone)
        for key, value in group.attrs.items():
            if key != "keras_version":  # Keras 1.0 gave no version
                alone.attrs[key] = value
    config = json.loads(text)
    for told in ({}, {"keras_version": "1.2.2"}):
        model = saving.model_from_json(json.dumps({**config, **told}))
        model.load_weights(tmp_path / "w.h5")
        assert_alike(model, saving.load_model(HERE / f"{name}.h5"))


def test_what_training_was_set_to_comes_back():
    model = saving.load_model(HERE / "mlp.h5")
    optimizer = model.optimizer
    assert type(optimizer) is optim.Adam and optimizer.epsilon == 1e-8
    rate = InverseTimeDecay(0.002, decay_steps=1, decay_rate=0.5)
    assert optimizer.get_config()["learning_rate"] == saving.serialize_keras_object(rate)
    first, last = model.layers[0], model.layers[3]
    assert first.kernel_regularizer.get_config() == {"l1": 0.0, "l2": pytest.approx(0.01)}
    assert first.kernel_constraint.max_value == 2 and last.activity_regularizer.l2 == pytest.approx(0.1)
    assert model.evaluate(random(4, 4), np.eye(3)[[0, 1, 2, 0]], verbose=0, return_dict=True).keys() == {
        "loss",
        "accuracy",
    }


def test_moments_of_adam_lie_slot_by_slot():
    model, stored = saving.load_model(HERE / "mlp.h5"), slots("mlp.h5")
    state, paths = model.optimizer.state, saving.order.trained_paths(model)
    assert model.optimizer.iterations == 7 and len(stored) == 1 + 2 * len(paths) == 13
    for i, path in enumerate(paths):
        held = optim.base.at(state["slots"], path)
        np.testing.assert_array_equal(held["momentum"], stored[1 + i])
        np.testing.assert_array_equal(held["velocity"], stored[7 + i])


def test_slots_of_gates_are_put_together_as_the_gates_are():
    """RMSprop kept an array per gate, in the order of the weights, and no iterations."""
    model, stored = saving.load_model(HERE / "words.h5"), slots("words.h5")
    state = model.optimizer.state["slots"]
    held = jax.tree.map(np.asarray, {k: v for k, v in state.items()})
    of = stored[1:13]  # W, U, b of i, c, f, o
    want = [np.concatenate([of[3 * g + part] for g in (0, 2, 1, 3)], -1) for part in range(3)]
    inner = held["lstm_1"]["cell"]
    for name, array in zip(("kernel", "recurrent_kernel", "bias"), want, strict=True):
        np.testing.assert_array_equal(inner[name]["velocity"], array)
    back = stored[22:31]  # the second half of both directions: W, U, b of z, r, h
    want = np.concatenate([back[3 * g] for g in range(3)], -1)
    layers = held["bidirectional_1"]["backward_layer"]["cell"]
    np.testing.assert_array_equal(layers["kernel"]["velocity"], want)
    np.testing.assert_array_equal(held["dense_1"]["kernel"]["velocity"], stored[31])


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_arguments_of_keras_1_mean_the_same_in_code():
    pairs = [
        (L.Dense(output_dim=3, init="uniform", bias=False), L.Dense(3, kernel_initializer="uniform", use_bias=False)),
        (
            L.Convolution2D(3, nb_row=2, nb_col=4, border_mode="same", subsample=(1, 2), dim_ordering="th"),
            L.Conv2D(3, (2, 4), padding="same", strides=(1, 2), data_format="channels_first"),
        ),
        (
            L.LSTM(output_dim=2, inner_init="uniform", forget_bias_init="zero", dropout_W=0.25, dropout_U=0.5),
            L.LSTM(2, recurrent_initializer="uniform", unit_forget_bias=False, dropout=0.25, recurrent_dropout=0.5),
        ),
        (L.Embedding(9, 4, input_length=5), L.Embedding(9, 4, batch_shape=(None, 5))),
        (L.SpatialDropout2D(p=0.5, dim_ordering="th"), L.SpatialDropout2D(0.5, data_format="channels_first")),
        (L.ZeroPadding2D(padding=(1, 2, 3, 4), dim_ordering="tf"), L.ZeroPadding2D(((1, 2), (3, 4)))),
        (L.UpSampling1D(length=3), L.UpSampling1D(3)),
        (L.ThresholdedReLU(theta=0.5), L.ReLU(threshold=0.5)),
        (L.AtrousConvolution2D(2, 3, atrous_rate=(2, 2)), L.Conv2D(2, 3, dilation_rate=2)),
    ]
    for old, new in pairs:
        assert {**old.get_config(), "name": ""} == {**new.get_config(), "name": ""}
        assert old.batch_shape == new.batch_shape


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            {"class_name": "BatchNormalization", "config": {"mode": 2, "input_dim": 3, "name": "n"}},
            r"BatchNormalization\(mode=2\): Keras 1's modes 1 .* exist no more",
        ),
        (
            {"class_name": "Highway", "config": {"input_dim": 3, "name": "h"}},
            "Highway layer 'h': that layer of Keras 1 and 2 is not part of Keras 3 and not of this package",
        ),
        (
            {"class_name": "Merge", "config": {"mode": "cos", "name": "m", "layers": []}},
            "Merge layer 'm' has the mode 'cos', which cannot be read. Known modes: sum, mul",
        ),
        (
            {"class_name": "Dense", "config": {"output_dim": 2, "inputdim": 3, "name": "d"}},
            "Dense has no argument 'inputdim'. Its arguments: units",
        ),
    ],
)
def test_what_no_longer_exists_is_named(layer, message):
    text = json.dumps({"class_name": "Sequential", "config": [layer]})
    with pytest.raises(ValueError, match=f"Cannot read the JSON of a model: {message}"):
        saving.model_from_json(text)


def test_words_dropped_by_an_embedding_are_not_dropped_silently():
    with (
        pytest.warns(DeprecationWarning, match="exists no more"),
        pytest.warns(UserWarning, match=r"Keras 1 dropped whole words .* put SpatialDropout1D after it"),
    ):
        L.Embedding(9, 4, dropout=0.2)
