"""Bad calls get one clear error at the door: what, where, expected, got, hint. The messages are quoted here."""

import re
import time

import numpy as np
import pytest

import fkeras
from fkeras import Sequential, layers
from fkeras.core.settings import REQUIRED, Configured, Registry

random = np.random.default_rng(0)
X = random.normal(size=(40, 6)).astype("float32")
LABELS = (X[:, 0] > 0).astype("int32")
ONE_HOT = np.eye(3, dtype="float32")[LABELS]


def classifier(loss="sparse_categorical_crossentropy", units=3, activation="softmax"):
    model = Sequential([layers.Dense(4, input_shape=(6,)), layers.Dense(units, activation=activation, name="out")])
    model.compile("sgd", loss)
    return model


BAD_FITS = {
    "unequal lengths": ({"y": LABELS[:5]}, "all arrays need the same number of rows: x has 40, y has 5"),
    "empty": ({"x": X[:0], "y": LABELS[:0]}, "the data are empty: x has 0 rows"),
    "labels out of range": ({"y": LABELS + 5}, "expected class numbers from 0 to 2"),
    "one-hot for indices": ({"y": ONE_HOT}, "Use 'categorical_crossentropy', or y.argmax(-1)"),
    "batch_size=0": ({"batch_size": 0}, "expected batch_size >= 1, got 0"),
    "validation_split=2": ({"validation_split": 2}, "expected validation_split as a fraction in [0, 1), got 2"),
    "strings": ({"x": np.array(["a"] * 40)}, "Expected numbers, got data of dtype <U1 (such as 'a')"),
    "negative epochs": ({"epochs": -1}, "expected epochs as an integer >= 0, got -1"),
    "class weight lacks a class": ({"class_weight": {0: 1.0}}, "class_weight has no weight for class 1"),
    "other features": (
        {"x": X[:, :5]},
        "expected 'dense_input' of shape (None, 6) (the batch axis first), got an array",
    ),
    "no targets": ({"y": None}, "the model was compiled with a loss, but there are no targets: y is None"),
    "misspelt argument": ({"epoch": 3}, "fit() has no argument 'epoch'. Did you mean 'epochs'?"),
    "bad validation data": ({"validation_data": 3}, "expected validation_data as (x, y)"),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_fit_refuses(case):
    fkeras.utils.clear_session()
    changes, message = BAD_FITS[case]
    model = classifier()
    before = model.get_weights()
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        model.fit(**{"x": X, "y": LABELS, "verbose": 0, **changes})
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_indices_where_one_hot_belongs():
    with pytest.raises(ValueError, match="Use 'sparse_categorical_crossentropy', or to_categorical"):
        classifier("categorical_crossentropy").fit(X, LABELS, verbose=0)


def test_a_target_that_would_only_broadcast():
    with pytest.raises(ValueError, match="They would only be broadcast against each other"):
        classifier("mse", activation=None).fit(X, X[:, :1], verbose=0)


def test_no_loss_at_all():
    with pytest.raises(ValueError, match=r"there is nothing to minimize: compile\(\) was given no loss"):
        classifier(None).fit(X, LABELS, verbose=0)


def test_fit_before_compile():
    with pytest.raises(RuntimeError, match=r"call compile\(optimizer, loss\) before fit"):
        Sequential([layers.Dense(1)]).fit(X, LABELS)


def test_an_index_beyond_the_embedding():
    model = Sequential([layers.Embedding(10, 3, input_shape=(4,), name="words"), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Embedding 'words': largest index 11 is outside its table of 10 rows"):
        model.fit(np.full((5, 4), 11), np.zeros((5, 1)), verbose=0)


def test_nan_in_the_data_warns():
    x = X.copy()
    x[0, 0] = np.nan
    with pytest.warns(UserWarning, match="x contains NaN or infinity"):
        classifier().fit(x, LABELS, verbose=0)


def test_softmax_over_one_unit_warns():
    with pytest.warns(UserWarning, match="'out' applies softmax to a single unit, which is always 1"):
        classifier("binary_crossentropy", units=1).fit(X, LABELS, verbose=0)


BAD_CALLS = {
    "optimizer": (lambda m: m.compile("adm", "mse"), "Unknown optimizer 'adm'. Did you mean 'Adam'"),
    "loss": (lambda m: m.compile("sgd", "msee"), "Unknown loss 'msee'. Did you mean 'mse'"),
    "metric": (lambda m: m.compile("sgd", "mse", metrics=["acuracy"]), "Unknown metric 'acuracy'. Did you mean 'acc"),
    "activation": (lambda m: layers.Dense(3, activation="rleu"), "Unknown activation 'rleu'. Did you mean 'relu'"),
    "argument": (lambda m: layers.Dense(3, activaton="relu"), "Dense has no argument 'activaton'. Did you mean 'activ"),
    "units": (lambda m: layers.Dense(-3), "Dense(units=-3): expected a positive integer"),
    "add a string": (lambda m: m.add("relu"), "expected a layer, got str: 'relu'"),
    "add a class": (lambda m: m.add(layers.Dense), "expected a layer, got the class Dense. Did you mean Dense(...)?"),
    "add a name twice": (lambda m: m.add(layers.Dense(3, name="out")), "it already has a layer called 'out'"),
    "add what cannot fit": (lambda m: m.add(layers.Reshape((7,), name="seven")), "Reshape 'seven'"),
    "get_layer": (lambda m: m.get_layer("ot"), "has no layer 'ot'. Did you mean 'out'"),
    "predict": (lambda m: m.predict(X[:, :3], verbose=0), "of shape (None, 6) (the batch axis first), got an array"),
    "set_weights": (lambda m: m.set_weights(m.get_weights()[:-1]), "set_weights expected 4 arrays, got 3"),
    "transposed weights": (
        lambda m: m.set_weights([w.T for w in m.get_weights()]), "expected an array of shape (6, 4) for 'kernel'",
    ),
    "output name": (lambda m: m.compile("sgd", {"ot": "mse"}), "no output is called 'ot'. Did you mean 'out'?"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CALLS)
def test_refuses(case):
    call, message = BAD_CALLS[case]
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call(classifier())


def test_errors_inside_a_layer_name_it():
    model = Sequential([fkeras.Input((6,))])
    with pytest.raises(TypeError) as caught:
        model.add(layers.Lambda(lambda x: x @ np.zeros((7, 2)), name="wrong"))
    assert any("in layer 'wrong' (Lambda), called on float32[2, 6]" in note for note in caught.value.__notes__)


def test_two_thousand_layers_build_in_seconds():
    start = time.process_time()
    model = Sequential([layers.Dense(4, input_shape=(4,)), *(layers.Dense(4) for _ in range(1999))])
    assert model.count_params() == 40000
    assert time.process_time() - start < 30  # not a speed test: quadratic work would take minutes


@pytest.mark.parametrize("registry", Registry.all, ids=lambda r: r.kind)
def test_an_unknown_name_is_answered_briefly_with_the_nearest(registry):
    for name in list(registry.entries):
        if registry.find(name + "x") is None:
            with pytest.raises(ValueError) as err:
                registry.lookup(name + "x")
            message = str(err.value)
            assert message.startswith(f"Unknown {registry.kind} {name + 'x'!r}. Did you mean ")
            meant = re.search(r"Did you mean '(.*?)'\?", message)[1].split("' or '")
            assert registry.find(name) in map(registry.find, meant) and len(message) < 300
    for name in ("", "no such thing", "x" * 5000):
        with pytest.raises(ValueError, match=rf"Unknown {registry.kind} .*Known names: ") as err:
            registry.lookup(name)
        assert len(str(err.value)) < 300 and str(err.value).count(", ") <= 6
    with pytest.raises((TypeError, ValueError)) as err:
        registry.get({"config": {str(i): i for i in range(1000)}})
    assert len(str(err.value)) < 300


def test_wrong_arguments_are_answered_briefly():
    classes = {*layers.registry.entries.values(), *fkeras.optim.optimizers.entries.values()}
    for cls in (c for c in classes if c.__init__ is Configured.__init__):
        wrong = [((), {"unitz": 3, "no_such_" * 20: 1}), (range(1000), {})]
        wrong += [((), {})] * any(f.default is REQUIRED for f in cls._fields.values())
        for args, kwargs in wrong:
            with pytest.raises(TypeError) as err:
                cls(*args, **kwargs)
            assert len(str(err.value)) < 300 and cls.__name__ in str(err.value)


def test_a_missing_argument_is_named():
    with pytest.raises(TypeError, match=r"needs 'filters' and 'kernel_size': Conv2D\(filters, kernel_size, ...\)\.$"):
        layers.Conv2D()
