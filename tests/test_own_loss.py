"""A model's own `compute_loss`, as Keras documents it, is what training minimizes."""

import numpy as np
import pytest

import fkeras

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(10, 1)).astype("float32")


def own(k, kind):
    """A model of Keras's own guides: `call`, two layers, a loss of its own."""

    class Own(k.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = k.layers.Dense(4, activation="tanh", kernel_initializer="ones", name="first")
            self.last = k.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=k.regularizers.L2(0.1))

        def call(self, x):
            return self.last(self.first(x))

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            if kind == "plain":
                return k.ops.mean(k.ops.square(y - y_pred)) * 3
            if kind == "weights":
                return k.ops.mean(k.ops.abs(y - y_pred)) + 0.5 * k.ops.sum(k.ops.square(self.first.kernel))
            if kind == "inputs":
                return k.ops.mean(k.ops.square(k.ops.sum(x, -1, keepdims=True) - y_pred))
            usual = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
            return usual + 0.01 * k.ops.sum(k.ops.square(y_pred))

    return Own()


@pytest.mark.parametrize("kind", ["plain", "weights", "inputs", "super"])
def test_it_trains_as_in_keras(kind, keras):
    runs = []
    for k in (fkeras, keras):
        model = own(k, kind)
        model.compile(k.optimizers.SGD(0.05), "mse" if kind == "super" else None)
        losses = model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
        runs.append((losses, [np.asarray(w) for w in model.get_weights()], model.evaluate(X, Y, verbose=0)))
    ours, its = runs
    np.testing.assert_allclose(ours[0], its[0], rtol=1e-4)
    for a, b in zip(ours[1], its[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ours[2], its[2], rtol=1e-4)


def test_it_needs_no_targets_and_sees_whole_batches():
    class Own(fkeras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            assert y is None
            return (y_pred - y_pred.mean(0)).std()

    x = fkeras.Input((3,))
    model = Own(x, fkeras.layers.Dense(2)(x))
    model.compile("sgd")
    wanted = float(np.std(model.predict(X, verbose=0) - model.predict(X, verbose=0).mean(0)))
    assert model.evaluate(X, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert len(model.fit(X, epochs=2, verbose=0).history["loss"]) == 2
    assert "has a compute_loss of its own" in str(model.compile_report())
    model.compile("sgd", distribute=2)
    with pytest.warns(UserWarning, match="one of 2 devices, because .* has a compute_loss of its own"):
        model.fit(X, verbose=0)


def test_metrics_go_on_beside_it():
    model = own(fkeras, "plain")
    model.compile("sgd", "mse", metrics=["mae"])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    error = np.asarray(model(X)) - Y
    assert logs["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert logs["loss"] == pytest.approx(3 * np.mean(error**2), rel=1e-5)


@pytest.mark.parametrize("name", ["predict_step", "make_train_function", "make_predict_function"])
def test_hooks_that_are_not_called_are_refused_by_name(name):
    made = type("Own", (fkeras.Sequential,), {name: lambda self, *args: None})([fkeras.layers.Dense(1)])
    made.compile("sgd", "mse")
    with pytest.raises(TypeError, match=f"{name} is a hook of Keras that fkeras does not call"):
        made.fit(X, Y, verbose=0)
    with pytest.raises(TypeError, match=name):
        made.predict(X, verbose=0)


def test_columns_gain_the_axis_of_an_input_of_one_feature():
    a, b = fkeras.Input((1,), name="a"), fkeras.Input((1,), name="b")
    model = fkeras.Model({"a": a, "b": b}, fkeras.layers.Concatenate()([a, b]))
    model.compile("sgd", "mse")
    columns = {"a": np.array([1.0, 2]), "b": np.array([3.0, 4])}
    both = [[1.0, 3.0], [2.0, 4.0]]
    assert model.predict(columns, verbose=0).tolist() == both
    assert model.evaluate(columns, np.array(both), verbose=0) == 0
    line = fkeras.Sequential([fkeras.Input((1,)), fkeras.layers.Dense(1)])
    line.compile("sgd", "mse")
    assert np.isfinite(line.fit(np.arange(4.0), np.arange(4.0), verbose=0).history["loss"][0])
    assert np.isfinite(line.train_on_batch(np.arange(4.0), np.arange(4.0)))
