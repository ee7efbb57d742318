"""A layer that is reached by several paths is written once and comes back as one layer."""

import json
import random

import numpy as np
import pytest

from fkeras import layers as L
from fkeras import models, saving
from fkeras.models import Input, Model, Sequential
from tests.test_saving import assert_same

FILES = ["m.h5", "m.keras", "saved"]


def drawn(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in dict.fromkeys(model.weights):
        variable.assign(rng.normal(size=variable.shape).astype("float32"))
    return model


def save(model, path):
    model.save(path, **({"save_format": "tf"} if path.name == "saved" else {}))
    return saving.load_model(path)


def sharing(seed):
    """A model that reaches layers at random: directly, in chains, in graphs, and in graphs inside of those."""
    rng = random.Random(seed)
    pool = [L.Dense(3, name=f"d{i}") for i in range(3)] + [L.BatchNormalization(name="n")]

    def inner(depth, name):
        end = Input((3,))
        x, used = end, set()
        for i in range(rng.randrange(1, 4)):
            kind = rng.choice(["layer", "layer", "chain", "graph"]) if depth else "layer"
            if kind == "layer":
                layer = rng.choice(pool)
            elif kind == "chain":
                layer = Sequential([Input((3,)), *rng.sample(pool, 2)], name=f"{name}c{i}")
            else:
                layer = inner(depth - 1, f"{name}g{i}")
            x, used = layer(x), used | {layer.name}
        return Model(end, x, name=name)

    return drawn(inner(2, "m"), seed)


def layer_paths(model):
    """Returns {path of names: number of the layer}, layers numbered as they come."""
    numbers, found = {}, []

    def walk(layer, path):
        found.append((path, numbers.setdefault(id(layer), len(numbers))))
        for child in layer._inside():
            if not isinstance(child, L.InputLayer):
                walk(child, (*path, child.name))

    walk(model, ())
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(6))
def test_what_shares_at_random_shares_the_same_way_after_its_file(seed, name, tmp_path):
    model = sharing(seed)
    x = np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
    loaded = save(model, tmp_path / name)
    inputs = {i for _, i in layer_paths(model)}
    assert inputs and [p for p, _ in layer_paths(loaded)] == [p for p, _ in layer_paths(model)]
    assert layer_paths(loaded) == layer_paths(model)
    assert loaded.count_params() == model.count_params()
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
    drawn(loaded, 9)
    loaded.load_weights(tmp_path / name)
    assert_same(loaded.get_weights(), model.get_weights())


def two_paths(layers, model, begin):
    """A layer in a model, and beside it."""
    shared, end = layers.Dense(3, name="shared"), begin((3,))
    inner = model(end, shared(end), name="inner")
    return model(end, shared(inner(end)), name="m")


@pytest.mark.parametrize("name", ["k.h5", "k.keras"])
def test_a_shared_layer_of_keras_is_shared_here(name, keras, tmp_path):
    """In its own .keras files too, which Keras cannot open: it numbers a layer from its second config on."""
    theirs = two_paths(keras.layers, keras.Model, keras.Input)
    theirs.save(tmp_path / name)
    ours = saving.load_model(tmp_path / name)
    x = np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(theirs(x)), rtol=1e-5, atol=1e-6)
    if name == "k.keras":  # HDF5 files of Keras do not tell
        assert ours.get_layer("inner").layers[-1] is ours.get_layer("shared") and ours.count_params() == 12


def test_keras_opens_our_file_of_a_shared_layer(keras, tmp_path):
    ours = drawn(two_paths(L, Model, Input))
    ours.save(tmp_path / "m.h5")
    x = np.random.default_rng(1).normal(size=(2, 3)).astype("float32")
    theirs = keras.saving.load_model(tmp_path / "m.h5")
    np.testing.assert_allclose(np.asarray(theirs(x)), np.asarray(ours(x)), rtol=1e-5, atol=1e-6)


def test_layers_of_one_name_in_two_models_stay_two(tmp_path):
    def inner(name):
        return Sequential([Input((3,)), L.Dense(3, name="same")], name=name)

    model = drawn(Sequential([Input((3,)), inner("a"), inner("b")]))
    for name in FILES:
        loaded = save(model, tmp_path / name)
        assert loaded.layers[0].layers[0] is not loaded.layers[1].layers[0]
        assert_same(loaded.get_weights(), model.get_weights())


def test_only_shared_layers_are_numbered():
    assert "shared_object_id" not in saving.to_json(Sequential([Input((3,)), L.Dense(3), L.Dense(3)]))
    assert saving.to_json(two_paths(L, Model, Input)).count("shared_object_id") == 2
    assert "shared_object_id" not in json.dumps(two_paths(L, Model, Input).get_config()["layers"][-1])


def test_a_chain_that_holds_a_graph_is_made_of_its_config():
    """Its config has calls, those of the graph inside: `Model.from_config` took it for a graph with a cycle."""
    end = Input((3,))
    graph = Model(end, L.Add()([L.Dense(3)(end), end]), name="graph")
    chain = Sequential([Input((3,)), graph, L.Dense(2)], name="chain")
    for cls in (Model, Sequential, models.Functional):
        made = cls.from_config(chain.get_config())
        assert isinstance(made, Sequential) and [layer.name for layer in made.layers] == ["graph", chain.layers[1].name]
        assert made.count_params() == chain.count_params()
