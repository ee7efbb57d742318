"""Files: everything comes back, training goes on as if never stopped, nothing is half written or half loaded."""

import json
import os
import warnings

import h5py
import jax
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import optim, saving
from fkeras.core import tree
from fkeras.layers.contract.base import Layer
from fkeras.models import Input, Model, Sequential
from fkeras.optim import schedules
from fkeras.saving import configs, files, hdf5, order
from fkeras.utils import register_keras_serializable


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def chain():
    return Sequential(
        [
            Input((6,)),
            L.Dense(4, activation="relu", kernel_regularizer="l2", name="first"),
            L.BatchNormalization(),
            L.Dropout(0.5),
            L.Dense(3, activation="softmax"),
        ],
        name="chain",
    )


def image_chain():
    return Sequential(
        [
            Input((6, 6, 1)),
            L.Conv2D(2, 3, activation="relu"),
            L.MaxPooling2D(),
            L.BatchNormalization(),
            L.Flatten(),
            L.Dropout(0.25),
            L.Dense(3),
        ]
    )


def words():
    return Sequential([Input((5,), dtype="int32"), L.Embedding(7, 4), L.Flatten(), L.Dense(2)])


def two_in_two_out():
    a, b = Input((6,), name="a"), Input((4,), name="b")
    x = L.Concatenate(name="join")([L.Dense(3, name="da")(a), L.Dense(3, name="db")(b)])
    return Model([a, b], [L.Dense(1, name="left")(x), L.Dense(2, name="right")(x)], name="two")


def named_ends():
    a, b = Input((6,), name="a"), Input((4,), name="b")
    x = L.Concatenate()([a, b])
    return Model({"a": a, "b": b}, {"sum": L.Dense(1, name="p")(x), "rest": L.Dense(2, name="q")(x)})


def shared():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    same = L.Dense(4, name="same")
    return Model([a, b], L.Add()([same(same(a)), same(b)]))


def nested():
    i = Input((4,))
    inner = Model(i, L.BatchNormalization(name="bn")(L.Dense(3, name="d")(i)), name="inner")
    tail = Sequential([Input((3,)), L.Dense(2, name="t0"), L.Dense(2, name="t1")], name="tail")
    a, b = Input((4,), name="a"), Input((4,), name="b")
    x, y = inner(a), inner(b)
    return Model([a, b], [tail(L.Subtract()([x, y])), y])


MODELS = [chain, image_chain, words, two_in_two_out, named_ends, shared, nested]


def inputs(model, rows=5):
    """Random inputs in the form that `model` takes."""
    found = []
    for i, s in enumerate(model.inputs):
        if "int" in str(s.dtype):
            found.append(np.random.default_rng(i).integers(0, 7, (rows, *s.shape[1:])).astype("int32"))
        else:
            found.append(random(rows, *s.shape[1:], seed=i))
    return dict(zip(model.input_names, found, strict=True)) if isinstance(model.input, dict) else found


def outputs(model, x):
    x = x[0] if isinstance(x, list) and len(x) == 1 else x
    return [np.asarray(a) for a in jax.tree.leaves(model(x))]


def filled(make):
    """A model of whose weights none has the value it started with."""
    model = make()
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in model.get_weights()])
    return model


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture
def model():
    return filled(chain)


# ------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("ending", [".h5", ".keras"])
@pytest.mark.parametrize("make", MODELS)
def test_a_model_computes_the_same_after_its_file(make, ending, tmp_path):
    model = filled(make)
    x = inputs(model)
    model.save(tmp_path / f"m{ending}")
    again = saving.load_model(tmp_path / f"m{ending}")
    assert type(again) is type(model) and again.name == model.name
    assert again.get_config() == model.get_config()
    assert_same(outputs(model, x), outputs(again, x))


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
@pytest.mark.parametrize("make", MODELS)
def test_weights_alone_come_back(make, name, tmp_path):
    model, other = filled(make), make()
    model.save_weights(tmp_path / name)
    other.load_weights(tmp_path / name)
    assert_same(model.get_weights(), other.get_weights())


@pytest.mark.parametrize("make", MODELS)
def test_json_describes_the_same_model(make):
    model = make()
    again = saving.model_from_json(saving.to_json(model))
    assert again.get_config() == model.get_config()
    shapes = [{layer.name: [w.shape for w in layer.weights] for layer in m.layers} for m in (model, again)]
    assert shapes[0] == shapes[1]


def test_layouts_are_recognized_by_content_and_not_by_name(model, tmp_path):
    model.save_weights(tmp_path / "m.weights.h5")
    os.rename(tmp_path / "m.weights.h5", tmp_path / "plain.h5")
    model.save(tmp_path / "m.h5")
    os.rename(tmp_path / "m.h5", tmp_path / "whole.keras")
    model.save(tmp_path / "m.keras")
    os.rename(tmp_path / "m.keras", tmp_path / "zip.h5")
    for name in ("plain.h5", "whole.keras", "zip.h5"):
        other = chain()
        other.load_weights(tmp_path / name)
        assert_same(model.get_weights(), other.get_weights())
    for name in ("whole.keras", "zip.h5"):
        assert_same(saving.load_model(tmp_path / name).get_weights(), model.get_weights())


def test_an_open_hdf5_group_is_written_and_read(model, tmp_path):
    with h5py.File(tmp_path / "many.h5", "w") as file:
        saving.save_model(model, file.create_group("one"))
        saving.save_weights(model, file.create_group("two"))
    with h5py.File(tmp_path / "many.h5") as file:
        assert_same(saving.load_model(file["one"]).get_weights(), model.get_weights())
        other = chain()
        saving.load_weights(other, file["two"])
    assert_same(other.get_weights(), model.get_weights())


def test_names_longer_than_a_header_are_split_and_put_together(tmp_path):
    names = [f"{'n' * 70}{i}" for i in range(2000)]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        files.put_names(file, "layer_names", names)
        assert "layer_names" not in file.attrs and {"layer_names0", "layer_names1", "layer_names2"} <= set(file.attrs)
        assert files.get_names(file, "layer_names") == names
        files.put_names(file, "none", [])
        assert files.get_names(file, "none") == [] and files.get_names(file, "absent") is None


def test_bfloat16_weights_come_back_exactly(tmp_path):
    model = Sequential([Input((3,)), L.Dense(2, dtype="bfloat16")])
    for name in ("m.h5", "m.weights.h5", "m.keras"):
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
        other = Sequential([Input((3,)), L.Dense(2, dtype="bfloat16")])
        other.load_weights(tmp_path / name)
        assert_same(other.get_weights(), model.get_weights())
        assert str(other.weights[0].dtype) == "bfloat16"


def test_frozen_layers_stay_frozen_and_keep_their_weights(tmp_path):
    model = filled(nested)
    model.get_layer("inner").get_layer("d").trainable = False
    model.get_layer("tail").trainable = False
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        again = saving.load_model(tmp_path / name)
        assert [w.trainable for w in again.weights] == [w.trainable for w in model.weights]
        assert_same(again.get_weights(), model.get_weights())
        thawed = nested()  # other flags, so another order in Keras's layout: names say which is which
        thawed.load_weights(tmp_path / name)
        assert_same(thawed.get_weights(), model.get_weights())


def test_weights_of_layers_with_other_names_load_in_order(model, tmp_path):
    model.save_weights(tmp_path / "m.h5")
    other = Sequential([Input((6,)), L.Dense(4), L.BatchNormalization(), L.Dense(3)], name="other")
    other.load_weights(tmp_path / "m.h5")
    assert_same(other.get_weights(), model.get_weights())


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_by_name_loads_what_is_there_and_leaves_the_rest(name, model, tmp_path):
    model.save_weights(tmp_path / name)
    other = Sequential([Input((6,)), L.Dense(4, name="first"), L.Dense(9, name="new")])
    before = other.get_weights()
    other.load_weights(tmp_path / name, by_name=True)
    assert_same(other.get_weights()[:2], model.get_weights()[:2])
    assert_same(other.get_weights()[2:], before[2:])


# --------------------------------------------------------------------------------- going on training


def test_training_goes_on_as_if_never_stopped(tmp_path):
    x, y = random(20, 6), np.arange(20) % 3
    model = chain()
    model.compile(optim.Adam(0.02), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    again, other = saving.load_model(tmp_path / "m.h5"), saving.load_model(tmp_path / "m.keras")
    third = chain()
    third.compile(optim.Adam(0.02), "sparse_categorical_crossentropy")
    third.load_weights(tmp_path / "m.weights.h5")
    for found in (again, other, third):
        assert found._seed == model._seed
        assert_same(jax.tree.leaves(found.optimizer.state), jax.tree.leaves(model.optimizer.state))
        assert_same(found.get_weights(), model.get_weights())
    want = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    assert again.fit(x, y, batch_size=8, epochs=2, verbose=0).history == want  # order of data, dropout, moments
    assert_same(again.get_weights(), model.get_weights())


OTHERS = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}  # around others: tested by themselves
OPTIMIZERS = [n for n, cls in optim.optimizers.entries.items() if cls.__name__ == n and n not in OTHERS]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_every_optimizer_comes_back(name, tmp_path):
    settings = {"learning_rate": 0.02, "use_ema": True, "gradient_accumulation_steps": 2}
    if name == "ScheduleFreeAdamW":
        settings = {"learning_rate": 0.02}
    assert_state_comes_back(optim.optimizers.entries[name](**settings), tmp_path)


def test_the_state_of_a_loss_scaled_optimizer_comes_back(tmp_path):
    assert_state_comes_back(optim.LossScaleOptimizer(optim.Adam(0.02)), tmp_path)


def assert_state_comes_back(optimizer, tmp_path):
    model = chain()
    model.compile(optimizer, "mse")
    trained = tree.unflatten({p: a for p, a in tree.flatten(model.params).items() if p in model.trained_paths()})
    optimizer.build(trained)
    leaves, form = jax.tree.flatten(optimizer.state)
    leaves = [np.asarray(random(*np.shape(a), seed=i) * 9).astype(a.dtype) for i, a in enumerate(leaves)]
    optimizer.state = jax.tree.unflatten(form, leaves)
    for file in ("m.h5", "m.keras"):
        model.save(tmp_path / file)
        again = saving.load_model(tmp_path / file).optimizer
        assert jax.tree.structure(again.state) == form
        assert_same(jax.tree.leaves(again.state), leaves)
        config = {**optimizer.get_config(), "learning_rate": 0}
        assert {**again.get_config(), "learning_rate": 0} == config and again.learning_rate == optimizer.learning_rate


def test_compile_settings_come_back(tmp_path):
    from fkeras import losses, metrics

    model = two_in_two_out()
    model.compile(
        optim.SGD(schedules.CosineDecay(0.1, 10), clipnorm=1.0),
        loss={"left": "mse", "right": losses.CategoricalCrossentropy(label_smoothing=0.1)},
        loss_weights={"left": 1.0, "right": 0.5},
        metrics={"left": ["mae"], "right": ["accuracy", metrics.AUC(name="area")]},
        weighted_metrics=[["mse"], None],
        steps_per_execution=3,
    )
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        again = saving.load_model(tmp_path / name)
        got = again.get_compile_config()
        assert got["loss"]["left"] in ("mse", "mean_squared_error")
        assert got["loss"]["right"]["config"]["label_smoothing"] == 0.1
        assert got["loss_weights"] == {"left": 1.0, "right": 0.5} and got["steps_per_execution"] == 3
        assert got["metrics"]["right"][0] == "accuracy" and got["metrics"]["right"][1]["config"]["name"] == "area"
        assert again.optimizer.get_config() == model.optimizer.get_config()
        assert not saving.load_model(tmp_path / name, compile=False).compiled
    model.save(tmp_path / "bare.h5", include_optimizer=False)
    assert not saving.load_model(tmp_path / "bare.h5").compiled


# ------------------------------------------------------------------------------- one's own classes


class Scale(Layer):
    factor: float

    def forward(self, params, state, x, ctx):
        return x * self.factor, state


@register_keras_serializable(package="saving_test")
def double(x):
    return 2 * x


def test_custom_objects_are_passed_or_registered(tmp_path):
    def half_error(y_true, y_pred):
        return abs(y_true - y_pred).mean(-1) / 2

    model = Sequential([Input((3,)), Scale(3.0), L.Lambda(double), L.Dense(1, activation=double)])
    model.compile("sgd", half_error)
    mine = {"Scale": Scale, "half_error": half_error}
    x = [random(2, 3)]
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        again = saving.load_model(tmp_path / name, custom_objects=mine)
        assert_same(outputs(model, x), outputs(again, x))
        assert again.loss is half_error
        with pytest.raises(ValueError, match=rf"{name}.*Unknown layer 'Scale'"):
            saving.load_model(tmp_path / name)
        with pytest.raises(ValueError, match="the part 'loss': Unknown loss 'half_error'"):
            saving.load_model(tmp_path / name, custom_objects={"Scale": Scale})
    again = saving.model_from_json(saving.to_json(model), custom_objects=mine)
    assert type(again.layers[0]) is Scale and again.layers[0].factor == 3.0


def test_code_in_a_file_is_refused_and_replaced_by_name():
    lambda_layer = {"class_name": "Lambda", "config": {"name": "twice", "function": ["4wEAAAAB", None, None]}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [lambda_layer]}}
    with pytest.raises(ValueError, match=r"Lambda layer 'twice' holds the code of a Python function"):
        saving.model_from_json(json.dumps(config))
    with pytest.raises(ValueError, match=r"pass it under the layer's name: custom_objects=\{'twice': function\}"):
        saving.model_from_json(json.dumps(config))
    lambda_layer["config"]["function"] = {"class_name": "__lambda__", "config": {"value": ["4wEAAAAB", None, None]}}
    model = saving.model_from_json(json.dumps(config), custom_objects={"twice": double})
    assert np.asarray(model(np.ones((1, 2), "float32"))).tolist() == [[2.0, 2.0]]


# ---------------------------------------------------------------------------------- configs of graphs


def config_of(*layers, inputs=(("x", 0, 0),), outputs):
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "name": "x"}, "name": "x"}, *layers]
    about = {
        "name": "g",
        "layers": layers,
        "input_layers": [*map(list, inputs)],
        "output_layers": [*map(list, outputs)],
    }
    return json.dumps({"class_name": "Functional", "config": about})


def dense(name, *sources):
    nodes = [[[source, call, 0, {}]] for source, call in sources]
    return {"class_name": "Dense", "config": {"units": 2, "name": name}, "name": name, "inbound_nodes": nodes}


def test_layers_may_come_in_any_order_in_a_config():
    model = saving.model_from_json(config_of(dense("b", ("a", 0)), dense("a", ("x", 0)), outputs=[("b", 0, 0)]))
    assert [layer.name for layer in order.keras_layers(model)] == ["x", "a", "b"]


def test_a_cycle_is_refused_with_the_names_in_it():
    text = config_of(dense("a", ("b", 0)), dense("b", ("a", 0)), dense("c", ("x", 0)), outputs=[("b", 0, 0)])
    with pytest.raises(ValueError, match="has a cycle: the calls of 'a', 'b' wait for each other"):
        saving.model_from_json(text)


@pytest.mark.parametrize(
    ("layers", "outputs", "message"),
    [
        ([dense("a", ("y", 0))], [("a", 0, 0)], "names a layer 'y' that it does not hold"),
        ([dense("abc", ("x", 0))], [("abd", 0, 0)], "layer 'abd' that it does not hold. Did you mean 'abc'?"),
        ([dense("a", ("x", 1))], [("a", 0, 0)], "names call 1 of layer 'x', which has 1 calls"),
        ([dense("a", ("x", 0))], [("a", 0, 1)], "names output 1 of layer 'a', which has 1"),
        ([dense("a", ("x", 0)), dense("a", ("x", 0))], [("a", 0, 0)], "two layers are called 'a'"),
    ],
)
def test_what_a_config_lacks_is_named(layers, outputs, message):
    with pytest.raises(ValueError) as err:
        saving.model_from_json(config_of(*layers, outputs=outputs))
    assert message in str(err.value) and "Functional 'g'" in str(err.value).replace("Model", "Functional")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Cannot read the JSON of a model: it is not JSON"),
        ("[1]", "expected a JSON object, got list"),
        ("{}", "expected the config of a model, with 'class_name' and 'config'"),
        ('{"class_name": "Sequentail", "config": {}}', "a model of the class 'Sequentail', which is not known here"),
        (
            '{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dence", "config": {}}]}}',
            "Unknown layer 'Dence'. Did you mean 'Dense'?",
        ),
        (
            '{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"unit": 2}}]}}',
            "Dense has no argument 'unit'. Did you mean 'units'?",
        ),
    ],
)
def test_bad_json_is_refused_with_what_is_wrong(text, message):
    with pytest.raises(ValueError) as err:
        saving.model_from_json(text)
    assert message in str(err.value)


def test_settings_that_only_keras_needs_are_left_out_in_one_place():
    config = {
        "class_name": "Dense",
        "module": "keras.layers",
        "build_config": {"input_shape": [None, 2]},
        "config": {"units": 2, "quantization_config": None, "autocast": True, "unit": 3},
    }
    assert configs.clean(config) == {
        "class_name": "Dense",
        "module": "keras.layers",
        "config": {"units": 2, "unit": 3},  # not known, not empty: left for the class to refuse
    }


def test_keras_1_chains_are_read():
    text = json.dumps(
        {
            "class_name": "Sequential",
            "config": [
                {"class_name": "Dense", "config": {"output_dim": 3, "input_dim": 2, "init": "uniform", "name": "d"}},
                {"class_name": "Dropout", "config": {"p": 0.5, "name": "o"}},
            ],
        }
    )
    model = saving.model_from_json(text)
    assert model.output_shape == (None, 3) and model.layers[1].rate == 0.5


# ------------------------------------------------------------------- nothing half written, half loaded


def test_an_interrupted_write_leaves_the_old_file(model, tmp_path, monkeypatch):
    for name in ("m.h5", "m.keras", "m.weights.h5"):
        save = model.save_weights if "weights" in name else model.save
        save(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        with monkeypatch.context() as patch:

            def stop(group, name, array):
                raise KeyboardInterrupt

            patch.setattr(files, "put_array", stop)
            with pytest.raises(KeyboardInterrupt):
                save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["m.h5", "m.keras", "m.weights.h5"]


def test_overwrite_false_refuses_an_existing_file(model, tmp_path):
    for name in ("m.h5", "m.keras", "m.weights.h5"):
        save = model.save_weights if "weights" in name else model.save
        save(tmp_path / name, overwrite=False)
        with pytest.raises(FileExistsError, match=rf"Cannot write '.*{name}': it exists. Pass overwrite=True"):
            save(tmp_path / name, overwrite=False)


def test_mode_and_links_of_the_old_file_are_kept(model, tmp_path):
    model.save(tmp_path / "real.h5")
    os.chmod(tmp_path / "real.h5", 0o640)
    os.symlink(tmp_path / "real.h5", tmp_path / "link.h5")
    model.save(tmp_path / "link.h5")
    assert os.path.islink(tmp_path / "link.h5") and os.stat(tmp_path / "real.h5").st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_loading_is_all_or_nothing(name, model, tmp_path):
    model.save_weights(tmp_path / name)
    other = Sequential([Input((6,)), L.Dense(4, name="first"), L.BatchNormalization(), L.Dense(5, name="last")])
    before = other.get_weights()
    with pytest.raises(ValueError) as err:
        other.load_weights(tmp_path / name)
    for part in (str(tmp_path / name), "Dense 'last'", "(4, 5)", "(4, 3)"):
        assert part in str(err.value)
    assert_same(other.get_weights(), before)
    with pytest.warns(UserWarning, match="Its weights stay as they are"):
        other.load_weights(tmp_path / name, skip_mismatch=True)
    assert_same(other.get_weights()[:6], model.get_weights()[:6])
    assert_same(other.get_weights()[6:], before[6:])


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_a_file_of_another_number_of_layers_is_refused(name, model, tmp_path):
    model.save_weights(tmp_path / name)
    short = Sequential([Input((6,)), L.Dense(4, name="first")])
    with pytest.raises(ValueError, match=r"expected weights of 1 layers, the file has 3|no layer for, at layers/"):
        short.load_weights(tmp_path / name)
    long = Sequential([Input((6,)), L.Dense(4), L.BatchNormalization(), L.Dense(3), L.Dense(3, name="more")])
    with pytest.raises(ValueError, match=r"expected weights of 4 layers|Dense 'more' has 2 weights, the file has 0"):
        long.load_weights(tmp_path / name)


# ------------------------------------------------------------------------------------------- bad files


def test_what_is_no_file_of_ours_is_refused_by_name(model, tmp_path):
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(FileNotFoundError, match=r"There is no file '.*absent.h5'"):
        saving.load_model(tmp_path / "absent.h5")
    with pytest.raises(OSError, match=r"text.h5': it is not an HDF5 file"):
        saving.load_model(tmp_path / "text.h5")
    with pytest.raises(IsADirectoryError, match=r"folder.h5"):
        saving.load_model(tmp_path / "folder.h5")
    with pytest.raises(IsADirectoryError, match=r"folder.h5"):
        model.save(tmp_path / "folder.h5")
    with pytest.raises(ValueError, match=r"expected a path that ends in .h5 or .keras, got '.*model'"):
        model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"ends in .weights.h5 or .h5, got '.*m.ckpt'"):
        model.save_weights(tmp_path / "m.ckpt")
    with pytest.raises(TypeError, match="expected filepath as a string or a Path, got int"):
        saving.load_model(3)
    model.save_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"w.h5': it has no model_config, so it holds weights alone"):
        saving.load_model(tmp_path / "w.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2]
    with pytest.raises(ValueError, match="does not hold weights in a layout of Keras"):
        model.load_weights(tmp_path / "other.h5")


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5"])
def test_a_truncated_file_is_an_error_that_names_it(name, model, tmp_path):
    (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    before = model.get_weights()
    for size in (0, 100, len(whole) // 2, len(whole) - 50):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises((OSError, ValueError), match=name):
            model.load_weights(tmp_path / name) if "weights" in name else saving.load_model(tmp_path / name)
    assert_same(model.get_weights(), before)


def link_soft(group, tmp_path):
    group["kernel"] = h5py.SoftLink("/model_weights/chain")
    return "it is a link \\(SoftLink\\)"


def link_out(group, tmp_path):
    group["kernel"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
    return "it is a link \\(ExternalLink\\)"


def store_outside(group, tmp_path):
    group.create_dataset("kernel", (6, 4), "f4", external=[(str(tmp_path / "secret.bin"), 0, 96)])
    return "an external dataset keeps its numbers in other files"


def virtual(group, tmp_path):
    layout = h5py.VirtualLayout((6, 4), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (6, 4))
    group.create_virtual_dataset("kernel", layout)
    return "a virtual dataset keeps its numbers in other files"


def text(group, tmp_path):
    group.create_dataset("kernel", data=np.full((6, 4), "a", object), dtype=h5py.string_dtype())
    return "expected numbers, found object"


def huge(group, tmp_path):
    group.create_dataset("kernel", (10**6, 10**6), "f4", chunks=(1000, 1000))
    return "it claims 4000000000000 bytes of numbers, but only 0 are stored"


def a_group(group, tmp_path):
    group.create_group("kernel")
    return "expected a dataset, found a Group"


def nothing(group, tmp_path):
    return "there is no 'kernel'"


@pytest.mark.parametrize("trick", [link_soft, link_out, store_outside, virtual, text, huge, a_group, nothing])
def test_a_file_speaks_only_for_itself(trick, model, tmp_path):
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        home = file["model_weights/first/first"]  # the layer's group, and its name in the name of the weight
        del home["kernel"]
        message = trick(home, tmp_path)
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"m.h5', at /model_weights/.*kernel: {message}"):
        saving.load_model(tmp_path / "m.h5")
    with pytest.raises(ValueError):
        model.load_weights(tmp_path / "m.h5")
    assert_same(model.get_weights(), before)


def test_another_optimizers_state_is_left_with_a_warning(model, tmp_path):
    model.compile(optim.Adam(), "mse")
    params = tree.unflatten({p: a for p, a in tree.flatten(model.params).items() if p in model.trained_paths()})
    model.optimizer.build(params)
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        settings = json.loads(file.attrs["training_config"])
        settings["optimizer_config"] = {"class_name": "SGD", "config": {"momentum": 0.9}}
        file.attrs["training_config"] = json.dumps(settings)
    with pytest.warns(UserWarning, match="optimizer's 13 arrays do not fit SGD, which has 8; its state starts anew"):
        again = saving.load_model(tmp_path / "m.h5")
    assert again.optimizer.iterations == 0
    assert_same(again.get_weights(), model.get_weights())


def test_saving_does_not_load_h5py_before_it_is_needed():
    import subprocess
    import sys

    code = "import sys, fkeras.models, fkeras.saving; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_that_occur_twice_are_matched_by_what_precedes_them():
    ours = [("m", "a", "kernel"), ("m", "b", "kernel")]
    assert hdf5.match_names(ours, [["b", "kernel"], ["a", "kernel"]]) == [1, 0]
    assert hdf5.match_names(ours, [["p", "kernel"], ["q", "kernel"]]) == [0, 1]
    with warnings.catch_warnings():
        assert hdf5.match_names([], []) == []


class Computed(Model):
    """A model that computes in `call`, with layers in a list and a dict."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.first = L.Dense(units)
        self.blocks = [L.Dense(units), L.Dense(units)]
        self.named = {"last": L.Dense(2)}

    def call(self, x):
        for block in [self.first, *self.blocks, self.named["last"]]:
            x = block(x)
        return x


def test_models_that_compute_in_call_come_back(tmp_path):
    model = Computed(units=4)
    x = random(3, 5)
    want = np.asarray(model(x))
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        again = saving.load_model(tmp_path / name, custom_objects={"Computed": Computed})
        np.testing.assert_array_equal(want, again(x))
        with pytest.raises(ValueError, match="a model of the class 'Computed', which is not known here"):
            saving.load_model(tmp_path / name)
    for name in ("w.h5", "w.weights.h5"):
        model.save_weights(tmp_path / name)
        other = Computed(units=4)
        other.build((None, 5))
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(want, other(x))
