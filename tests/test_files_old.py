"""Real old files: layers that are no more, forms that only some writers made. tf_keras and Keras are the judges."""

import itertools
import json
import zipfile

import h5py
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import saving
from fkeras.models import Input, Model, Sequential
from tests.test_files_safety import rewrite
from tests.test_saving import assert_same

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:tf_keras", "ignore::DeprecationWarning")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # the same float32 arithmetic in another order of operations


@pytest.fixture(scope="module")
def old():
    """The Keras 2 line."""
    return pytest.importorskip("tf_keras", reason="the judge of Keras 2's files")


def drawn(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model


# --------------------------------------------------------------------------- convolutions that share nothing

LOCAL = [
    (kind, shape if fmt == "channels_last" else (shape[-1], *shape[:-1]),
     {"filters": 3, "kernel_size": k, "strides": s, "implementation": impl, "padding": pad, "data_format": fmt})
    for kind, shape, k, s in (("LocallyConnected1D", (7, 2), 3, 2), ("LocallyConnected2D", (5, 4, 2), (3, 2), (2, 1)))
    for impl, fmt, pad in itertools.product((1, 2, 3), ("channels_last", "channels_first"), ("valid", "same"))
    if impl > 1 or pad == "valid"
]  # fmt: skip


@pytest.mark.parametrize("kind", ["LocallyConnected1D", "LocallyConnected2D"])
def test_locally_connected_layers_of_old_files_compute_what_they_did(kind, old, tmp_path):
    """All settings as branches of one model, so that one file carries them."""
    rows = [(shape, {**kwargs, "activation": "tanh"}) for name, shape, kwargs in LOCAL if name == kind]
    rows.append((rows[0][0], {"filters": 2, "kernel_size": 2, "use_bias": False}))
    ends = [old.Input(shape) for shape, _ in rows]
    theirs = drawn(old.Model(ends, [getattr(old.layers, kind)(**k)(e) for e, (_, k) in zip(ends, rows, strict=True)]))
    x = [np.random.default_rng(1).normal(size=(2, *shape)).astype("float32") for shape, _ in rows]
    want = theirs(x)
    for name in ("m.h5", "m.keras"):
        theirs.save(tmp_path / name)
    theirs.save_weights(tmp_path / "w.h5")
    for name in ("m.h5", "m.keras"):
        ours = saving.load_model(tmp_path / name)
        assert_same(ours.get_weights(), theirs.get_weights())
    for (_, settings), a, b in zip(rows, ours(x), want, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), **CLOSE, err_msg=str(settings))
    drawn(ours, 5).load_weights(tmp_path / "w.h5")
    assert_same(ours.get_weights(), theirs.get_weights())
    ours.save(tmp_path / "ours.h5")
    back = old.models.load_model(tmp_path / "ours.h5")
    for a, b in zip(back(x), want, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_locally_connected_layers_are_told_what_they_need():
    with pytest.raises(ValueError, match=r"LocallyConnected1D 'c': padding 'same' needs implementation=2 or 3, got"):
        L.LocallyConnected1D(2, 3, padding="same", name="c")
    with pytest.raises(ValueError, match=r"must be known, got input of shape \(None, None, 3\)"):
        L.LocallyConnected1D(2, 3)(Input((None, 3)))
    with pytest.raises(ValueError, match="LocallyConnected2D 'c': "):
        L.LocallyConnected2D(2, 5, name="c")(Input((4, 4, 1)))


def test_each_place_has_a_kernel_of_its_own():
    """By hand: windows of two on three cells, every weight a power of ten."""
    layer = L.LocallyConnected1D(1, 2)
    layer.build((None, 3, 1))
    layer.set_weights([np.array([[[1.0], [10.0]], [[100.0], [1000.0]]]), np.array([[0.5], [0.25]])])
    assert np.asarray(layer(np.array([[[1.0], [2.0], [3.0]]])))[0, :, 0].tolist() == [21.5, 3200.25]


# --------------------------------------------------------------------------------------------- Keras 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"name": "MinMaxNorm", "low": 0.0, "high": 1.0, "rate": 1.0, "axis": 0}, (0.0, 1.0, 1.0, 0)),
        ({"name": "MinMaxNorm", "low": 0.25, "high": 3.0, "rate": 0.5, "axis": 1}, (0.25, 3.0, 0.5, 1)),
        ({"class_name": "MinMaxNorm", "config": {"min_value": 0.5, "max_value": 2.0, "rate": 1.0, "axis": 0}},
         (0.5, 2.0, 1.0, 0)),
    ],
)  # fmt: skip
def test_a_norm_between_two_bounds_of_keras_1_is_read(written, meant):
    dense = {"name": "d", "output_dim": 2, "input_dim": 3, "W_constraint": written, "activation": "linear"}
    text = json.dumps({"class_name": "Sequential", "keras_version": "1.2.2",
                       "config": [{"class_name": "Dense", "config": dense}]})  # fmt: skip
    found = saving.model_from_json(text).layers[0].kernel_constraint
    assert (found.min_value, found.max_value, found.rate, found.axis) == meant


# --------------------------------------------------------------------------------------------- Windows


def on_windows(path):
    """Gives the groups of an archive's weights the names that Keras 2.13 to 2.15 gave them on Windows."""
    with zipfile.ZipFile(path) as archive:
        inner = path.with_suffix(".inner")
        inner.write_bytes(archive.read("model.weights.h5"))
    with h5py.File(inner, "r+") as file:
        groups = []
        file.visititems(lambda name, node: groups.append(name) if "vars" in getattr(node, "keys", tuple)() else None)
        for name in groups:
            if "/" in name:
                file.create_group(name.replace("/", "\\"))
                file.move(f"{name}/vars", name.replace("/", "\\") + "/vars")
        for top in ("layers", "_layer_checkpoint_dependencies"):
            if top in file:
                del file[top]
        assert any("\\" in name for name in file)
    rewrite(path, "model.weights.h5", lambda _: inner.read_bytes())
    return inner


@pytest.mark.parametrize("writer", ["tf_keras", "fkeras"])
def test_groups_whose_names_hold_back_slashes_are_found(writer, request, tmp_path):
    if writer == "tf_keras":
        old = request.getfixturevalue("old")
        layers, make, model = old.layers, old.Input, old.Model
    else:
        layers, make, model = L, Input, Model
    end = make((4, 3))
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="b")(end)
    x = layers.MultiHeadAttention(2, 3, name="a")(x, x)
    x = layers.Conv1D(3, 2, name="c1")(layers.Conv1D(3, 2, name="c2")(x))
    theirs = drawn(model(end, layers.Dense(2, name="d")(layers.BatchNormalization(name="n")(x))))
    theirs.save(tmp_path / "m.keras")
    inner = on_windows(tmp_path / "m.keras")
    ours = saving.load_model(tmp_path / "m.keras")
    data = np.random.default_rng(2).normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(np.asarray(ours(data)), np.asarray(theirs(data)), **CLOSE)
    other = drawn(saving.load_model(tmp_path / "m.keras"), 7)
    other.load_weights(inner)
    assert_same(other.get_weights(), ours.get_weights())


def test_a_file_of_windows_that_lacks_a_layer_says_which(tmp_path):
    model = Sequential([Input((3,)), L.Dense(2, name="d"), L.Dense(2, name="e")])
    model.save(tmp_path / "m.keras")
    inner = on_windows(tmp_path / "m.keras")
    with h5py.File(inner, "r+") as file:
        del file["layers\\dense_1"]
    with pytest.raises(ValueError, match=r"layers/dense_1: Dense 'e' has 2 weights, the file has 0"):
        model.load_weights(inner)


# ------------------------------------------------------------------------------------ a weight stored twice


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "w.weights.h5"])
@pytest.mark.parametrize("inner", ["Dense", "Conv2D", "Embedding"])
def test_spectral_normalization_travels_both_ways_with_its_second_weight(inner, name, keras, tmp_path):
    arguments = {"Dense": (3,), "Conv2D": (3, 2), "Embedding": (5, 3)}[inner]
    shape = {"Dense": (4,), "Conv2D": (4, 4, 2), "Embedding": (4,)}[inner]

    def make(layers, sequential, begin):
        dtype = "int32" if inner == "Embedding" else "float32"
        wrapped = getattr(layers, inner)(*arguments, name="i")
        return sequential([begin(shape, dtype=dtype), layers.SpectralNormalization(wrapped, name="s")])

    theirs, ours = drawn(make(keras.layers, keras.Sequential, keras.Input)), drawn(make(L, Sequential, Input), 9)
    for a, b in ((theirs, ours), (ours, drawn(make(keras.layers, keras.Sequential, keras.Input), 4))):
        (a.save_weights if name.startswith("w") else a.save)(tmp_path / name)
        if name.startswith("w"):
            b.load_weights(tmp_path / name)
        else:
            b = (saving if a is theirs else keras.saving).load_model(tmp_path / name)
        assert_same(b.get_weights(), a.get_weights())


def test_files_of_fkeras_from_before_the_second_weight_load(tmp_path):
    model = Sequential([Input((4,)), L.SpectralNormalization(L.Dense(3))])
    model.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        group = file["layers/spectral_normalization/vars"]
        del group["0"]
        vector = group["1"][()]
        del group["1"]
        group["0"] = vector
    want = model.get_weights()
    drawn(model).load_weights(tmp_path / "w.weights.h5")
    assert_same(model.get_weights(), want)
