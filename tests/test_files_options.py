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


# ------------------------------------------------------------------------------------------- several files


def wide():
    return Sequential([Input((30,)), L.Dense(40, name="a"), L.BatchNormalization(name="n"), L.Dense(50, name="b")])


def test_weights_over_several_files_come_back(tmp_path):
    model, other = wide(), wide()
    for count in (1, 2):
        model.get_layer("a").set_weights([np.full((30, 40), count), np.ones(40)])
        model.save_weights(tmp_path / "w.weights.json", max_shard_size=6e-6)
        assert len(list(tmp_path.iterdir())) == 3  # those of the last save are gone
        other.load_weights(tmp_path / "w.weights.json")
        assert_same(other.get_weights(), model.get_weights())
    kept = other.get_layer("a").get_weights()
    model.get_layer("a").set_weights([np.full((30, 40), 9), np.ones(40)])
    model.save_weights(tmp_path / "w.weights.json", max_shard_size=1)
    other.load_weights(tmp_path / "w.weights.json", objects_to_skip=[other.get_layer("a")])
    assert_same(other.get_layer("a").get_weights(), kept)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(FileExistsError, match="w.weights.json': it exists"):
        model.save_weights(tmp_path / "w.weights.json", overwrite=False, max_shard_size=1)


def test_keras_reads_our_files_and_we_read_its(keras, tmp_path):
    theirs = keras.Sequential([keras.Input((30,)), keras.layers.Dense(40), keras.layers.BatchNormalization(),
                               keras.layers.Dense(50)])  # fmt: skip
    ours = wide()
    ours.save_weights(tmp_path / "ours.weights.json", max_shard_size=6e-6)
    theirs.load_weights(tmp_path / "ours.weights.json")
    assert_same(theirs.get_weights(), ours.get_weights())
    theirs.set_weights([w + 1 for w in theirs.get_weights()])
    theirs.save_weights(tmp_path / "theirs.weights.json", max_shard_size=8.2e-6)
    ours.load_weights(tmp_path / "theirs.weights.json")
    assert_same(ours.get_weights(), theirs.get_weights())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace('"total_size": ', '"total_size": 1'), r"it is damaged \(its checksum is wrong"),
        (lambda t: '{"weight_map": 3}', "it has no 'weight_map'"),
        (
            lambda t: '{"weight_map": {"/layers/dense/vars": ["../x.h5"]}}',
            "it names '../x.h5', expected files beside it",
        ),
        (lambda t: '{"weight_map": {"/layers/dense/vars": [3]}}', "it names '3', expected files beside it"),
        (lambda t: '{"weight_map": {"/layers/dense/vars": ["lost.h5"]}}', "There is no file '.*lost.h5'"),
        (lambda t: '{"weight_map": {}}', "Dense 'a' has 2 weights, the files have 0"),
        (lambda t: "[", "it is not JSON"),
    ],
)
def test_what_is_wrong_with_a_list_of_files_is_named(change, message, tmp_path):
    model = wide()
    path = tmp_path / "w.weights.json"
    model.save_weights(path, max_shard_size=6e-6)
    path.write_text(change(path.read_text()))
    before = model.get_weights()
    with pytest.raises((ValueError, OSError), match=message) as err:
        model.load_weights(path)
    assert "w.weights.json" in str(err.value)
    assert_same(model.get_weights(), before)


def test_files_of_two_saves_are_not_mixed(tmp_path):
    """As a save leaves them that is killed while it puts them in their places."""
    model, path = wide(), tmp_path / "w.weights.json"
    model.save_weights(path, max_shard_size=6e-6)
    before = (tmp_path / "w_00001.weights.h5").read_bytes()
    model.save_weights(path, max_shard_size=6e-6)
    (tmp_path / "w_00001.weights.h5").write_bytes(before)
    with pytest.raises(ValueError, match="w.weights.json': 'w_00001.weights.h5' is of another save"):
        model.load_weights(path)


@pytest.mark.parametrize(("name", "size"), [("w.weights.h5", 1), ("w.weights.json", 0), ("w.weights.json", "2GB")])
def test_a_size_of_files_needs_a_list_and_a_number(name, size, tmp_path):
    with pytest.raises(ValueError, match=r"max_shard_size needs a path that ends in .weights.json and a size"):
        wide().save_weights(tmp_path / name, max_shard_size=size)
    assert not list(tmp_path.iterdir())
