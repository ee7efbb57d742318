"""Pickles and copies: of a trained model they train on as it would, and nothing is shared with it."""

import copy
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import callbacks, layers, losses, metrics, optim
from tests.catalog import layer_rows
from tests.catalog.losses import CATALOG as LOSSES
from tests.catalog.metrics import CATALOG as METRICS
from tests.catalog.optim import CATALOG as OPTIMIZERS

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


WAYS = [pickled, copy.deepcopy, copy.copy]
each_way = pytest.mark.parametrize("way", WAYS, ids=["pickle", "deepcopy", "copy"])


class Own(layers.Layer):
    """A layer written the Keras way, with an attribute that no config holds."""

    def __init__(self, units):
        super().__init__()
        self.units, self.notes = units, {"seen": [1]}

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.inner = layers.Dense(3)

    def call(self, x):
        return self.inner(x @ self.kernel)


class Net(fkeras.Model):
    """A model that computes in `call`, never registered."""

    def __init__(self):
        super().__init__()
        self.blocks, self.drop, self.last = [Own(2), layers.Dense(4, "tanh")], layers.Dropout(0.5), layers.Dense(1)

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x)
        return self.last(self.drop(x, training=training))


class Steps(metrics.Metric):
    """A metric written the Keras way."""

    def __init__(self, name="steps"):
        super().__init__(name=name)
        self.count = self.add_weight(name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count.assign_add(1.0)

    def result(self):
        return self.count


def chain():
    first = layers.Dense(4, activation="relu", kernel_regularizer="l2")
    return fkeras.Sequential([first, layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)])


def graph():
    x, shared = fkeras.Input((4,)), layers.Dense(4)
    inner = fkeras.Sequential([layers.Input((4,)), layers.Dense(2)])
    return fkeras.Model(x, layers.Dense(1)(Own(3)(inner(shared(shared(x)) * 2.0 + x))))


def trained(make):
    model = make()
    rate = optim.schedules.ExponentialDecay(0.05, 2, 0.5)
    model.compile(optim.Adam(rate, clipnorm=1.0), "mse", metrics=["mae", Steps()])
    train(model)
    return model


def train(model):
    return model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history


def same_arrays(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.parametrize("make", [chain, graph, Net])
def test_a_trained_model_comes_back_and_trains_on_as_it_would(make):
    model = trained(make)
    model.stop_training = True
    about = model.get_weights(), model.optimizer.state, model.predict(X, verbose=0)
    about = jax.tree.map(np.array, about)
    twins = [way(model) for way in WAYS]
    for twin in twins:
        assert same_arrays(about, (twin.get_weights(), twin.optimizer.state, twin.predict(X, verbose=0)))
        assert twin.get_compile_config() == model.get_compile_config()
        assert twin.metrics_names == model.metrics_names and twin.stop_training
        assert twin.optimizer.learning_rate == model.optimizer.learning_rate
        assert twin.history.history == model.history.history and twin.history.model is twin
    courses = [train(one) for one in (*twins[:-1], model)]  # each gives its old buffers away
    assert courses[0] == courses[1] == courses[2]
    assert same_arrays(about, (twins[-1].get_weights(), twins[-1].optimizer.state, twins[-1].predict(X, verbose=0)))


def test_a_fresh_process_goes_on_where_this_one_stopped(tmp_path):
    model = trained(Net)
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    code = (
        "import pickle, sys\n"
        "model = pickle.load(open(sys.argv[1], 'rb'))\n"
        "from tests.test_pickle import X, train\n"
        "print(model.blocks[0].notes, model.predict(X, verbose=0).tolist(), train(model))"
    )
    out = subprocess.run([sys.executable, "-c", code, tmp_path / "model"], capture_output=True, text=True)
    assert out.stdout.strip() == f"{{'seen': [1]}} {model.predict(X, verbose=0).tolist()} {train(model)}", out.stderr


@each_way
def test_every_layer_can_be_copied_before_and_after_it_is_built(way):
    for case in layer_rows():
        layer, x = case.build()
        assert way(layer).get_config() == layer.get_config()
        layer.build(x.shape)
        twin = way(layer)
        assert same_arrays(twin.get_weights(), layer.get_weights()), case
        assert twin.get_config() == layer.get_config() and [v.path for v in twin.weights] == [
            v.path for v in layer.weights
        ]


@each_way
def test_losses_metrics_and_optimizers_can_be_copied(way):
    made = [getattr(family, case.cls)(**case.options) for family, rows in ((losses, LOSSES), (metrics, METRICS))
            for case in rows] + [row.build(optim) for row in OPTIMIZERS]  # fmt: skip
    for thing in made:
        twin = way(thing)
        assert twin is not thing and type(twin) is type(thing) and twin.get_config() == thing.get_config()
    for metric in (metrics.AUC(), Steps()):
        metric.update_state([0.0, 1.0], [0.25, 0.75])
        twin, before = way(metric), float(metric.result())
        assert float(twin.result()) == before
        twin.update_state([1.0, 1.0], [0.25, 0.125])
        assert float(twin.result()) != before == float(metric.result())


@each_way
def test_a_copied_optimizer_survives_the_steps_of_the_other(way):
    model = trained(chain)
    twin = way(model.optimizer)
    before = jax.tree.map(np.array, twin.state)
    train(model)
    assert same_arrays(before, twin.state)


@pytest.mark.parametrize("way", [pickled, copy.deepcopy])
def test_long_graphs_do_not_nest_too_deep(way):
    x = y = fkeras.Input((2,))
    for _ in range(250):
        y = layers.Activation("relu")(y)
    model = fkeras.Model(x, y)
    tail = fkeras.Model(model.layers[-2].output, y)  # begins behind what computes its input
    for one in (model, fkeras.Sequential(model.layers), tail):
        assert len(way(one).layers) == len(one.layers)


def test_graphs_that_share_layers_share_them_still_and_can_be_built_upon():
    x = fkeras.Input((4,))
    code = layers.Dense(2)(x)
    whole, part = pickled((fkeras.Model(x, layers.Dense(4)(code)), fkeras.Model(x, code)))
    whole.compile("sgd", "mse")
    before = part.predict(X, verbose=0)
    whole.fit(X, X, verbose=0)
    assert (part.predict(X, verbose=0) != before).any()
    more = fkeras.Model(whole.input, layers.Dense(3)(whole.output) + part.layers[1](whole.input)[:, :1])
    assert more.predict(X, verbose=0).shape == (12, 3)
    calls = [len(layer._nodes) for layer in (part.layers[1], part.layers[0], pickled(part.layers[0]))]
    assert calls == [2, 1, 1] and whole.layers[1] is part.layers[1]  # the call that both share is there once


def test_functions_of_jax_travel_by_name_and_a_lambda_is_named():
    x = fkeras.Input((4,))
    model = fkeras.Model(x, layers.Dense(2, activation=jax.nn.relu)(layers.Lambda(jnp.tanh)(x)))
    for way in WAYS:
        twin = way(model)
        assert twin.layers[-1].activation is jax.nn.relu and twin.layers[1].function is jnp.tanh
    plain = fkeras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: 2 * x)])
    assert (copy.deepcopy(plain).predict(X, verbose=0) == 2 * X).all()
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(plain)


def test_devices_frozen_weights_and_the_middle_of_training_travel_too():
    class Keep(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            held.append((pickle.dumps(self.model), self.model.get_weights()))

    held, model = [], fkeras.Sequential([layers.Input((4,)), layers.Dense(4), layers.Dense(1)])
    model.layers[0].trainable = False
    model.layers[1].weights[1].trainable = False
    model.compile("sgd", "mse", distribute=fkeras.distribute.DataParallel(2, accumulate=2))
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=[Keep()])
    twin = pickle.loads(held[-1][0])
    assert same_arrays(twin.get_weights(), held[-1][1]) and twin._devices().key == model._devices().key
    assert [v.trainable for v in twin.weights] == [False, False, True, False]
    model.compile("sgd", "mse", distribute=False)
    assert pickled(model)._devices() is model._devices()
