"""What a config says of shapes, dtypes and depth is looked at before anything is made of it, and refused by name."""

import json

import numpy as np
import pytest

from fkeras import layers as L
from fkeras import saving
from fkeras.models import Input, Sequential
from tests.test_files_bombs import chain
from tests.test_files_safety import rewrite

DENSE = ("Dense", {"units": 2})
SIZES = "expected integers from 1 on, or null"


def without_input(**beside):
    """The config of a chain of one Dense that does not tell its input."""
    layers = [{"class_name": "Dense", "module": "keras.layers", "config": {"units": 2, "name": "d"}}]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}, **beside}


def changed(layer, **settings):
    config = json.loads(chain(DENSE))
    config["config"]["layers"][layer]["config"].update(settings)
    return config


def built(layer, shape):
    config = json.loads(chain(DENSE))
    config["config"]["layers"][layer]["build_config"] = {"input_shape": shape}
    return config


BAD = [[None, 4.5], [None, 4.0], [None, -4], [None, 0], [None, True], "abc", [None, "4"], 5, [], [None, float("nan")]]
CASES = [(without_input(build_config={"input_shape": s}), "Sequential 's': build_config, input_shape is") for s in BAD]
CASES += [(changed(0, batch_shape=s), "InputLayer 'i': batch_shape is") for s in BAD]
CASES += [(built(1, s), "Dense 'l0': build_config, input_shape is") for s in BAD]
CASES += [(changed(1, **{k: [4.5]}), f"Dense 'l0': {k} is") for k in ("input_shape", "batch_input_shape")]
CASES = [(config, f"{said} .*{SIZES}") for config, said in CASES]
CASES += [
    (without_input(build_config=[1]), "Sequential 's': expected its build_config as an object"),
    (
        built(1, [None, 9]),
        r"Dense 'l0': its build_config says .* of shape \[None, 9\], in the model it gets \(None, 4\)",
    ),
    ({**json.loads(chain(DENSE)), "build_config": {"input_shape": [None, 7]}}, "Sequential 's': its build_config says"),
]
NAMES = [
    "os.system",
    "numpy.float32",
    "float32,float32",
    "O",
    "object",
    "datetime64",
    "U10",
    "V4",
    "<f4",
    "void",
    "float128",
]
CASES += [(changed(0, dtype=n), f"InputLayer 'i': unknown dtype '{n}'") for n in NAMES]
CASES += [(changed(0, dtype=d), "InputLayer 'i': unknown dtype") for d in (5, [], {"config": {"name": "os"}})]
CASES += [(changed(1, dtype=n), f"Dense\\(dtype='{n}'\\): Unknown dtype policy") for n in NAMES]


@pytest.mark.parametrize(("config", "message"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_shapes_and_dtypes_that_are_none_are_refused_by_name(config, message):
    with pytest.raises(ValueError, match=f"Cannot read the JSON of a model.*{message}") as err:
        saving.model_from_json(json.dumps(config))
    assert len(str(err.value)) < 500


def test_the_dtype_of_a_constant_is_one_of_arrays():
    symbol = {"class_name": "__keras_tensor__", "config": {"keras_history": ["i", 0, 0]}}
    constant = {"class_name": "__numpy__", "config": {"value": [1, 2, 3, 4], "dtype": "os.system"}}
    found = [{"class_name": "InputLayer", "name": "i", "config": {"batch_shape": [None, 4], "name": "i"},
              "inbound_nodes": []},
             {"class_name": "Add", "name": "a", "config": {"name": "a"},
              "inbound_nodes": [{"args": [[symbol, constant]], "kwargs": {}}]}]  # fmt: skip
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [["a", 0, 0]]}
    with pytest.raises(ValueError, match="unknown dtype 'os.system'"):
        saving.model_from_json(
            json.dumps({"class_name": "Functional", "config": {"name": "f", "layers": found, **ends}})
        )


@pytest.mark.parametrize("shape", [[None, 4.5], [None, 9]])
def test_build_configs_in_an_archive_are_looked_at_too(shape, tmp_path):
    Sequential([Input((4,)), L.Dense(2, name="d")]).save(tmp_path / "m.keras")

    def change(text):
        config = json.loads(text)
        config["config"]["layers"][1]["build_config"] = {"input_shape": shape}
        return json.dumps(config)

    rewrite(tmp_path / "m.keras", "config.json", change)
    with pytest.raises(ValueError, match=r"m.keras', config.json: Dense 'd': "):
        saving.load_model(tmp_path / "m.keras")


def test_a_layer_that_was_built_on_another_size_for_which_its_weights_are_the_same_loads():
    config = json.loads(chain(("Conv2D", {"filters": 2, "kernel_size": 3}), shape=(None, 9, 9, 1)))
    config["config"]["layers"][1]["build_config"] = {"input_shape": [32, 28, 28, 1]}
    assert saving.model_from_json(json.dumps(config)).output_shape == (None, 7, 7, 2)


@pytest.mark.parametrize("depth", [150, 300])
@pytest.mark.parametrize("suffix", [".json", ".h5", ".keras"])
def test_what_is_nested_too_deeply_is_said_shortly(depth, suffix, tmp_path):
    model = Sequential([Input((4,)), L.Dense(1)])
    text = chain(("Dense", {"units": 1}))
    for i in range(depth):
        text = json.dumps({"class_name": "TimeDistributed", "config": {"name": f"t{i}", "layer": "@"}}).replace(
            '"@"', text
        )
    text = chain().replace("]}}", f", {text}]}}}}")
    path = tmp_path / f"m{suffix}"
    if suffix == ".json":
        load, where = (lambda: saving.model_from_json(text)), "the JSON of a model"
    else:
        model.save(path)
        if suffix == ".h5":
            import h5py

            with h5py.File(path, "r+") as file:
                file.attrs["model_config"] = text
        else:
            rewrite(path, "config.json", lambda _: text)
        load, where = (lambda: saving.load_model(path)), f"m{suffix}'"
    with pytest.raises(ValueError, match=f"Cannot read .*{where}.*nested too deeply|not JSON|rank 3 or more") as err:
        load()
    assert len(str(err.value)) < 500


@pytest.mark.parametrize(
    "settings", [{"units": "x" * 5000}, {"units": 2, "k" * 5000: 5}, {"units": 2, "activation": "relu" * 2000}]
)
def test_messages_do_not_repeat_all_that_a_file_says(settings):
    with pytest.raises(ValueError, match="Cannot read the JSON of a model: ") as err:
        saving.model_from_json(chain(("Dense", settings)))
    assert len(str(err.value)) < 500


class Holds(L.Layer):
    """A layer whose config is what it was given."""

    def __init__(self, items=None, **kwargs):
        super().__init__(**kwargs)
        self.items = items

    def call(self, x):
        return x

    def get_config(self):
        return {**super().get_config(), "items": around(self.items)}


def around(kind):
    """A list or dict that holds itself."""
    if kind == "list":
        held = [1]
        held.append([held])
    else:
        held = {"a": {}}
        held["a"]["b"] = held
    return held


@pytest.mark.parametrize("kind", ["list", "dict"])
@pytest.mark.parametrize("name", ["m.h5", "m.keras", "saved"])
def test_a_container_that_holds_itself_cannot_be_saved(kind, name, tmp_path):
    model = Sequential([Input((2,)), Holds(kind, name="h")], name="m")
    with pytest.raises(ValueError, match="Sequential 'm': cannot be written: the config of a layer in it holds itself"):
        model.save(tmp_path / name, **({"save_format": "tf"} if name == "saved" else {}))
    assert not list(tmp_path.iterdir())


def test_loading_into_a_model_of_fewer_layers_says_both_counts(tmp_path):
    large = Sequential([Input((3,)), L.Dense(3, name="a"), L.Dense(3, name="b"), L.Dense(3, name="c")])
    small = Sequential([Input((3,)), L.Dense(3, name="a"), L.Dense(3, name="b")])
    for name in ("w.h5", "w.weights.h5", "m.keras"):
        (large.save if name.endswith("keras") else large.save_weights)(tmp_path / name)
        with pytest.raises(ValueError, match=r"(model has|of) 2 layers.*the file has 3") as err:
            small.load_weights(tmp_path / name)
        assert name in str(err.value)
    large.save(tmp_path / "saved", save_format="tf")
    with pytest.raises(ValueError, match=r"of 2 layers .*the file has 3"):
        small.load_weights(tmp_path / "saved")
    assert np.isfinite(small.get_weights()[0]).all()
