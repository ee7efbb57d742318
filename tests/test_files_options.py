"""Keras 3's options of saving and loading: `zipped`, `objects_to_skip`, `safe_mode`."""

import json
import os

import numpy as np
import pytest

from fkeras import layers as L
from fkeras import losses, optim, saving
from fkeras.models import Input, Sequential, load_model
from tests.test_saving import assert_same


def make(head=2):
    return Sequential([Input((3,)), L.Dense(4, name="body"), L.Dense(head, name="head")], name="m")


@pytest.fixture
def trained():
    model = make()
    model.compile(optim.Adam(0.01), "mse")
    model.train_on_batch(np.ones((4, 3), "float32"), np.zeros((4, 2), "float32"))
    return model


def test_a_folder_instead_of_an_archive_holds_the_same(trained, tmp_path):
    for _ in range(2):  # anew, and in the place of the last
        trained.save(tmp_path / "folder", zipped=False)
        assert sorted(os.listdir(tmp_path / "folder")) == ["config.json", "metadata.json", "model.weights.h5"]
        assert os.listdir(tmp_path) == ["folder"]
    loaded = load_model(tmp_path / "folder")
    assert_same(loaded.get_weights(), trained.get_weights())
    assert int(loaded.optimizer.state["iterations"]) == 1
    other = make()
    other.load_weights(tmp_path / "folder")
    assert_same(other.get_weights(), trained.get_weights())
    with pytest.raises(FileExistsError, match="folder': it exists"):
        trained.save(tmp_path / "folder", overwrite=False, zipped=False)


def test_keras_opens_our_folder_and_we_open_its(trained, keras, tmp_path):
    trained.save(tmp_path / "ours", zipped=False)
    theirs = keras.saving.load_model(tmp_path / "ours")
    assert_same(theirs.get_weights(), trained.get_weights())
    theirs.save(tmp_path / "theirs", zipped=False)
    assert_same(load_model(tmp_path / "theirs").get_weights(), trained.get_weights())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "config.json",
            lambda d: d.replace(b'"units": 4', b'"units": 5'),
            r"config.json: it is damaged \(its checksum",
        ),
        ("metadata.json", lambda d: d.replace(b'"3.', b'"1.'), r"metadata.json: it is damaged \(its checksum"),
        ("config.json", lambda d: d[:50], "config.json: it is not JSON"),
        ("model.weights.h5", lambda d: d[:50], "model.weights.h5: it is damaged"),
        ("model.weights.h5", None, "the archive has no model.weights.h5"),
        ("metadata.json", None, "the archive has no metadata.json"),
        ("model.weights.h5", "pipe", r"model.weights.h5': expected a file, it is a pipe"),
        ("model.weights.h5", "loop", "model.weights.h5': Too many levels"),
    ],
)
def test_what_is_wrong_in_a_folder_is_named(name, change, message, trained, tmp_path):
    trained.save(tmp_path / "folder", zipped=False)
    path = tmp_path / "folder" / name
    data = path.read_bytes()
    path.unlink()
    if change == "pipe":
        os.mkfifo(path)
    elif change == "loop":
        path.symlink_to(name)
    elif change is not None:
        path.write_bytes(change(data))
    with pytest.raises((ValueError, OSError), match=f"folder.*{message}"):
        load_model(tmp_path / "folder")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_name_with_an_ending_is_no_folder(name, trained, tmp_path):
    with pytest.raises(ValueError, match=rf"zipped=False writes a folder, expected a path without an ending.*{name}"):
        trained.save(tmp_path / name, zipped=False)
    trained.save(tmp_path / name, zipped=True)
    assert os.path.isfile(tmp_path / name)


def test_a_folder_of_somebody_elses_is_not_replaced(trained, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("text")
    with pytest.raises(FileExistsError, match=r"it exists and is not a saved model \(it holds no config.json\)"):
        trained.save(tmp_path / "folder", zipped=False)
    assert os.listdir(tmp_path / "folder") == ["mine"]


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "w.h5", "w.weights.h5", "saved", "folder"])
def test_layers_to_skip_keep_their_weights_whatever_the_file_has(name, trained, tmp_path):
    options = {"saved": {"save_format": "tf"}, "folder": {"zipped": False}}.get(name, {})
    (trained.save_weights if name.startswith("w") else trained.save)(tmp_path / name, **options)
    other = make(head=5)
    kept = other.get_layer("head").get_weights()
    with pytest.raises(ValueError, match=r"Dense 'head' expects shape \(4, 5\)"):
        other.load_weights(tmp_path / name)
    other.load_weights(tmp_path / name, objects_to_skip=[other.get_layer("head")])
    assert_same(other.get_layer("body").get_weights(), trained.get_layer("body").get_weights())
    assert_same(other.get_layer("head").get_weights(), kept)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "m.keras"])
def test_layers_inside_of_others_are_skipped_too(name, tmp_path):
    def nested(last):
        inner = Sequential([Input((3,)), L.Dense(3, name="a"), L.Dense(last, name="b")], name="inner")
        return Sequential([Input((3,)), inner, L.Dense(2, name="c")])

    one, two = nested(3), nested(3)
    (one.save if name.endswith("keras") else one.save_weights)(tmp_path / name)
    kept = two.get_layer("inner").get_layer("b").get_weights()
    two.load_weights(tmp_path / name, objects_to_skip=[two.get_layer("inner").get_layer("b")])
    assert_same(two.get_layer("inner").get_layer("b").get_weights(), kept)
    assert_same(
        two.get_layer("inner").get_layer("a").get_weights(), one.get_layer("inner").get_layer("a").get_weights()
    )
    before = two.get_weights()
    two.load_weights(tmp_path / name, objects_to_skip=[two])
    assert_same(two.get_weights(), before)
    with pytest.raises(TypeError, match="expected layers in objects_to_skip, got str"):
        two.load_weights(tmp_path / name, objects_to_skip=["inner"])


@pytest.mark.parametrize("safe_mode", [True, False, None])
def test_code_is_never_run_whatever_safe_mode_says(safe_mode):
    dense = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3, "name": "d"}}
    assert saving.deserialize_keras_object(dense, safe_mode=safe_mode).units == 3
    found = saving.deserialize_keras_object([saving.serialize_keras_object(losses.Huber(delta=2.0)), 5, None])
    assert found[0].delta == 2.0 and found[1:] == [5, None]
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAB", "defaults": None, "closure": None}}
    twice = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "twice", "function": code}}
    with pytest.raises(ValueError, match="Lambda layer 'twice' holds the code of a Python function"):
        saving.deserialize_keras_object(json.loads(json.dumps(twice)), safe_mode=safe_mode)
