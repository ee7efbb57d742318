"""Sequential both ways, its face before any array exists, and Keras's names and old spellings."""

import re

import numpy as np
import pytest

import fkeras
from fkeras import Sequential, layers
from fkeras.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D
from fkeras.regularizers import l1, l1_l2, l2

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")


def test_by_list_and_by_add_are_the_same():
    by_list = Sequential([Dense(3, activation="relu", input_shape=(4,)), Dense(2)])
    by_add = Sequential()
    by_add.add(Dense(3, activation="relu", input_shape=(4,)))
    by_add.add(Dense(2))
    by_add.set_weights(by_list.get_weights())
    np.testing.assert_array_equal(by_list(X), by_add(X))
    assert by_list.output_shape == (None, 2) and by_list.input_shape == (None, 4)


@pytest.mark.parametrize(
    "begin",
    [
        {"input_shape": (4,)},
        {"input_dim": 4},
        {"batch_input_shape": (None, 4)},
        {"input_shape": (4,), "batch_size": 12},
        {},
    ],
    ids=str,
)
def test_a_first_layer_may_tell_the_input_shape(begin):
    model = Sequential([Dense(3, **begin)])
    assert model.built == bool(begin)
    assert model(X).shape == (12, 3)
    assert model.built


def test_pop_indexing_and_names():
    model = Sequential([fkeras.Input((4,)), Dense(3, name="a"), Dense(2, name="b"), Dense(1, name="c")])
    assert [layer.name for layer in model.layers] == ["a", "b", "c"] and model.layers[1] is model.get_layer("b")
    assert model.get_layer(index=-1).name == "c" and len(model) == 3
    assert model.pop().name == "c" and model.output_shape == (None, 2)
    model.add(Dense(5, name="c"))
    assert model.output_shape == (None, 5)
    head = model[:2]
    assert isinstance(head, Sequential) and head.layers[0] is model.layers[0]
    np.testing.assert_array_equal(head(X), model.layers[1](model.layers[0](X)))


def test_summary_allocates_nothing(capsys):
    model = Sequential([Dense(100_000, input_shape=(100_000,), name="huge"), Dense(1, name="out")])
    model.summary()  # 40 GB if it were allocated
    shown = capsys.readouterr().out
    assert "huge (Dense)" in shown and "(None, 100000)" in shown and "10,000,100,000" in shown
    assert "Total params: 10,000,200,001 (37.25 GB)" in shown
    lines = []
    model.summary(print_fn=lines.append, show_trainable=True)
    assert any("Trainable" in line for line in lines)
    assert model.layers[0]._cell._params is None


def test_summary_shows_connections_of_branches(capsys):
    x = fkeras.Input((4,), name="x")
    a, b = Dense(2, name="a")(x), Dense(2, name="b")(x)
    fkeras.Model(x, layers.Add(name="sum")([a, b])).summary()
    assert "a, b" in capsys.readouterr().out


def test_unknown_input_shape_says_what_to_do():
    with pytest.raises(ValueError, match=r"cannot count parameters yet, its input shape is not known. Give the first"):
        Sequential([Dense(1)]).count_params()


def rows(model, **options):
    lines = []
    model.summary(print_fn=lines.append, line_length=100, **options)
    return "\n".join(lines).splitlines()


def cells(model, name, **options):
    return re.split(r"\s{2,}", next(row for row in rows(model, **options) if name in row).strip())


class Tower(fkeras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Dense(4, name="first")
        self.rest = Sequential([Dense(3, name="second"), Dropout(0.5), Dense(2, name="third")], name="rest")

    def call(self, x):
        return self.rest(self.first(x))


def test_summary_of_a_model_that_computes_in_call_before_and_after_it_is_built():
    model = Tower()
    assert cells(model, "first (Dense)") == ["first (Dense)", "?", "0 (unbuilt)"]
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    assert cells(model, "first (Dense)") == ["first (Dense)", "(None, 4)", "20"]
    assert cells(model, "rest (Seq") == ["rest (Sequential)", "(None, 2)", "23"]
    found = cells(model, "third", expand_nested=True, show_trainable=True)
    assert found == ["└ third (Dense)", "(None, 2)", "8", "Y"]
    assert cells(model, "dropout", expand_nested=True, show_trainable=True)[-1] == "-"


def test_summary_counts_a_shared_layer_once_and_names_each_call():
    a, b, shared = fkeras.Input((4,), name="a"), fkeras.Input((4,), name="b"), Dense(2, name="shared")
    model = fkeras.Model([a, b], layers.Add(name="sum")([shared(a), shared(b)]))
    assert cells(model, "shared") == ["shared (Dense)", "(None, 2)", "10", "a, b"]
    assert " Total params: 10 (40.00 B)" in rows(model)


def test_nested_models_are_layers():
    inner = Sequential([Dense(3, input_shape=(4,)), Dropout(0.5)], name="inner")
    outer = Sequential([inner, Dense(1)])
    assert outer.count_params() == 15 + 4
    outer.compile("sgd", "mse")
    before = inner.get_weights()[0]
    outer.fit(X, X[:, :1], verbose=0)
    assert (inner.get_weights()[0] != before).any()


@pytest.mark.filterwarnings("ignore:.*today:DeprecationWarning")
def test_names_that_scripts_use():
    import fkeras as keras
    from fkeras.optimizers import SGD, schedules

    assert keras.optimizers.Adam is fkeras.optim.Adam and schedules.ExponentialDecay
    assert layers.MaxPool2D is layers.MaxPooling2D is MaxPool2D and issubclass(layers.Convolution2D, Conv2D)
    assert float(SGD(lr=0.25).learning_rate) == 0.25
    assert float(SGD(0.1, decay=1.0).learning_rate) == pytest.approx(0.1)
    assert Dense(2, W_regularizer=l2(0.1)).kernel_regularizer.get_config() == {"l2": pytest.approx(0.1)}
    assert l1(0.1)([1.0]) and l1_l2(0.1, 0.2)([1.0])
    assert keras.Model.from_config(Sequential([Dense(2, input_shape=(4,))]).get_config()).output_shape == (None, 2)
    for name in ("activations backend callbacks config constraints datasets initializers layers losses metrics models "
                 "optimizers random regularizers saving utils").split():  # fmt: skip
        assert getattr(keras, name)


def test_the_third_argument_of_compile_may_be_metrics():
    """Keras 2 and habit: compile(optimizer, loss, metrics); in Keras 3 the loss weights come third."""
    model = Sequential([Dense(1, input_shape=(4,))])
    model.compile("sgd", "mse", ["mae"])
    assert list(model.evaluate(X, X[:, :1], verbose=0, return_dict=True)) == ["loss", "mae"]
    model.compile("sgd", "mse", [0.5], ["mae"])
    halved = model.evaluate(X, X[:, :1], verbose=0)
    model.compile("sgd", "mse")
    assert halved[0] == pytest.approx(model.evaluate(X, X[:, :1], verbose=0) / 2)


def test_the_template_runs_on_images():
    model = Sequential(
        [
            Conv2D(4, (3, 3), activation="relu", kernel_initializer="he_normal", input_shape=(8, 8, 1)),
            MaxPool2D((2, 2)),
            Flatten(),
            Dropout(0.2),
            Dense(10, activation="softmax", kernel_regularizer=l2(0.01)),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    (x, y), _ = fkeras.datasets.digits.load_data()
    history = model.fit(x[:320, ..., None] / 16, y[:320], epochs=4, validation_split=0.2, verbose=0)
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.history["loss"][-1] < history.history["loss"][0]
