"""Predictions of a few rows, again and again: the short way gives what the long way gives, whatever changed."""

import itertools

import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.training.repeated_calls import Direct

ROW = np.array([[0.5, -1.0, 2.0]], np.float32)


def chain(*more):
    model = fkeras.Sequential([layers.Dense(4, "tanh", input_shape=(3,)), *more, layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def asked(model, x=ROW, times=7):
    """Predicts so often that the short way is open."""
    for _ in range(times):
        model.predict(x, verbose=0), model.predict_on_batch(x)
    return model


def computed(model, x=ROW):
    return np.asarray(model(x))


def both_ways(model, x=ROW):
    return model.predict(x, verbose=0), model.predict_on_batch(x)


def halve(model):
    model.set_weights([a / 2 for a in model.get_weights()])


def assign(model):
    model.layers[0].kernel.assign(model.layers[0].kernel.value + 1)


def train(model):
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)


def train_on_batch(model):
    model.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))


def train_a_model_of_its_layers(model):
    other = fkeras.Sequential([*model.layers, layers.Dense(1)])
    other.compile("sgd", "mse")
    other.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)


def compile_again(model):
    assign(model)
    model.compile("adam", "mse")


def grow(model):
    model.add(layers.Dense(5))


@pytest.mark.parametrize(
    "change", [halve, assign, train, train_on_batch, train_a_model_of_its_layers, compile_again, grow]
)
def test_a_change_is_seen_at_once(change):
    model = asked(chain())
    before = model.predict(ROW, verbose=0)
    change(model)
    for _ in range(2):
        for found in both_ways(model):
            np.testing.assert_allclose(found, computed(model), rtol=1e-5, atol=1e-6)
            assert found.shape != before.shape or not np.allclose(found, before)


def test_nothing_is_looked_up_twice(monkeypatch):
    model = asked(chain())
    expected = both_ways(model)
    monkeypatch.setattr(type(model), "_ready", lambda *_: pytest.fail("the long way"))
    for found, wanted in zip(both_ways(model), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(model.predict_on_batch(ROW.astype("float64")), expected[1])


def test_each_shape_has_its_own_program():
    model = chain()
    for rows in (1, 2, 5, 2, 1):
        x = np.repeat(ROW, rows, 0) * np.arange(1, rows + 1)[:, None]
        np.testing.assert_allclose(model.predict_on_batch(x), computed(model, x), rtol=1e-5, atol=1e-6)
    assert len(model.compile_report()) == 3
    with pytest.raises(ValueError, match=r"expected .* of shape \(None, 3\)"):
        model.predict_on_batch(ROW[:, :2])


def test_outputs_are_the_callers_own():
    model = asked(chain())
    first = model.predict_on_batch(ROW)
    first += 1
    np.testing.assert_allclose(model.predict_on_batch(ROW), computed(model), rtol=1e-5, atol=1e-6)


def test_an_index_outside_the_table_is_refused_each_time():
    model = fkeras.Sequential([layers.Embedding(5, 2, input_shape=(3,)), layers.Flatten(), layers.Dense(1)])
    asked(model, np.array([[0, 1, 4]]))
    for predict in (model.predict_on_batch, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="largest index 5 is outside"):
            predict(np.array([[0, 1, 5]]))


def test_several_outputs_and_a_dict_of_inputs():
    a = layers.Input((3,), name="a")
    model = fkeras.Model({"a": a}, {"y": layers.Dense(2)(a), "z": layers.Dense(1)(a)})
    twin = fkeras.Model(a, [layers.Dense(2)(a), layers.Dense(1)(a)])
    for one in (model, twin):
        asked(one)
        for found in both_ways(one):
            for f, c in zip(*(list(getattr(v, "values", lambda v=v: v)()) for v in (found, one(ROW))), strict=True):
                np.testing.assert_allclose(f, c, rtol=1e-5, atol=1e-6)


def test_a_stateful_layer_goes_the_long_way():
    model = fkeras.Sequential([layers.LSTM(2, stateful=True, batch_input_shape=(1, 2, 3))])
    x = np.ones((1, 2, 3), np.float32)
    steps = [model.predict_on_batch(x) for _ in range(4)]
    model.layers[0].reset_states()
    np.testing.assert_array_equal(model.predict_on_batch(x), steps[0])
    assert all((a != b).all() for a, b in itertools.pairwise(steps))


def test_training_lets_go_of_the_arrays():
    model = asked(chain())
    assert isinstance(model._direct, Direct)
    train(model)
    assert model._direct is None
