"""The same models, weights and unshuffled data, trained here and in real Keras: curves, names and results agree."""

import numpy as np
import pytest

import fkeras

random = np.random.default_rng(5)
X = random.normal(size=(70, 6)).astype("float32")  # 70 rows in batches of 16: a ragged last batch of 6
LABELS = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0.5)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
TARGET = (X[:, :2] * [1.0, -2.0] + 0.3).astype("float32")
IMAGES = random.normal(size=(40, 8, 8, 2)).astype("float32")


def mlp(k, units, activation, **last):
    return k.Sequential(
        [k.Input((6,)), k.layers.Dense(8, activation="tanh"), k.layers.Dense(units, activation=activation, **last)]
    )


def with_batch_norm(k):
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="relu"),
            k.layers.BatchNormalization(momentum=0.9),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def with_l2(k):
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="relu", kernel_regularizer="l2", activity_regularizer="l1"),
            k.layers.Dense(2, kernel_regularizer=k.regularizers.L1L2(0.01, 0.02), kernel_constraint="max_norm"),
        ]
    )


def cnn(k):
    return k.Sequential(
        [
            k.Input((8, 8, 2)),
            k.layers.Conv2D(4, 3, activation="relu", padding="same"),
            k.layers.MaxPooling2D(),
            k.layers.Conv2D(4, 3, strides=2),
            k.layers.Flatten(),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


CASES = {
    "sgd": (lambda k: mlp(k, 2, None), "sgd", "mse", ["mae"], X, TARGET, {}),
    "adam": (lambda k: mlp(k, 3, "softmax"), "adam", "sparse_categorical_crossentropy", ["accuracy"], X, LABELS, {}),
    "one hot": (
        lambda k: mlp(k, 3, "softmax"), "rmsprop", "categorical_crossentropy", ["acc", "top_k_categorical_accuracy"],
        X, ONE_HOT, {},
    ),
    "binary": (
        lambda k: mlp(k, 1, "sigmoid"), "adam", "binary_crossentropy", ["accuracy", "AUC", "Precision"],
        X, (LABELS > 0).astype("float32"), {},
    ),
    "batch norm": (with_batch_norm, "adam", "sparse_categorical_crossentropy", ["accuracy"], X, LABELS, {}),
    "l2": (with_l2, "sgd", "mse", ["mse"], X, TARGET, {}),
    "class weights": (
        lambda k: mlp(k, 3, "softmax"), "sgd", "sparse_categorical_crossentropy", ["accuracy"], X, LABELS,
        {"class_weight": {0: 0.5, 1: 2.0, 2: 1.0}},
    ),
    "sample weights": (
        lambda k: mlp(k, 2, None), "sgd", "mse", ["mae"], X, TARGET, {"sample_weight": np.linspace(0, 2, 70)},
    ),
    "cnn": (cnn, "adam", "sparse_categorical_crossentropy", ["accuracy"], IMAGES, LABELS[:40], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_loss_curves_agree_with_keras(name, keras):
    make, optimizer, loss, metrics, x, y, options = CASES[name]
    theirs, ours = make(keras), make(fkeras)
    for a, b in zip(theirs.layers, ours.layers, strict=True):
        b.set_weights(a.get_weights())
    histories = []
    for model in (theirs, ours):
        model.compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=["mse"] if "sample_weight" in options else None,
        )
        fitted = model.fit(
            x, y, batch_size=16, epochs=3, shuffle=False, verbose=0, validation_data=(x[:9], y[:9]), **options
        )
        histories.append(fitted.history)
    assert list(histories[0]) == list(histories[1])
    for log, want in histories[0].items():
        # Float sums in other orders, three epochs long.
        np.testing.assert_allclose(histories[1][log], want, rtol=1e-4, atol=1e-5, err_msg=log)
    want = theirs.evaluate(x, y, batch_size=16, verbose=0)
    np.testing.assert_allclose(ours.evaluate(x, y, batch_size=16, verbose=0), want, rtol=2e-4, atol=1e-5)
    want = theirs.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    assert list(ours.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)) == list(want)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-3, atol=1e-5)
    for a, b in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=2e-5)


def branches(k):
    a, b = k.Input((6,), name="left"), k.Input((2,), name="right")
    h = k.layers.Concatenate()([k.layers.Dense(5, activation="relu", name="lifted")(a), b])
    return k.Model(
        [a, b], [k.layers.Dense(2, name="values")(h), k.layers.Dense(3, activation="softmax", name="kind")(h)]
    )


@pytest.mark.parametrize("form", ["lists", "dicts"])
def test_several_outputs_agree_with_keras(form, keras):
    settings = {
        "lists": {"loss": ["mse", "sparse_categorical_crossentropy"], "loss_weights": [0.5, 2.0],
                  "metrics": [["mae"], ["accuracy"]]},
        "dicts": {"loss": {"values": "mse", "kind": "sparse_categorical_crossentropy"},
                  "loss_weights": {"values": 0.5, "kind": 2.0}, "metrics": {"kind": ["accuracy"]}},
    }[form]  # fmt: skip
    theirs, ours = branches(keras), branches(fkeras)
    ours.set_weights(theirs.get_weights())
    y = [TARGET, LABELS] if form == "lists" else {"values": TARGET, "kind": LABELS}
    x = [X, TARGET] if form == "lists" else {"left": X, "right": TARGET}
    results = []
    for model in (theirs, ours):
        model.compile("adam", **settings)
        history = model.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0).history
        results.append((history, model.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0, return_dict=True)))
    assert list(results[0][0]) == list(results[1][0])
    for log, want in results[0][0].items():
        np.testing.assert_allclose(results[1][0][log], want, rtol=1e-4, atol=1e-5, err_msg=log)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-4, atol=1e-5)
    assert list(results[1][2]) == list(results[0][2])


def test_train_on_batch_agrees_with_keras(keras):
    theirs, ours = mlp(keras, 2, None), mlp(fkeras, 2, None)
    ours.set_weights(theirs.get_weights())
    for model in (theirs, ours):
        model.compile("adam", "mse", metrics=["mae"])
    for size in (16, 16, 5):
        want = theirs.train_on_batch(X[:size], TARGET[:size])
        np.testing.assert_allclose(ours.train_on_batch(X[:size], TARGET[:size]), want, rtol=1e-4)
    want = theirs.test_on_batch(X[:9], TARGET[:9], return_dict=True)
    got = ours.test_on_batch(X[:9], TARGET[:9], return_dict=True)
    assert list(got) == list(want)
    np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=1e-4)
    np.testing.assert_allclose(ours.predict_on_batch(X[:3]), theirs.predict_on_batch(X[:3]), rtol=1e-4, atol=1e-5)


def own_sum(k):
    class Largest(k.losses.Loss):
        def call(self, y_true, y_pred):
            return abs(y_true - y_pred).max()

    return Largest(reduction="sum")


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("make", [lambda k: k.losses.Dice(reduction="sum"), lambda k: k.losses.Tversky(reduction="sum"),
                                  lambda k: k.losses.MeanSquaredError(reduction="sum"), own_sum],
                         ids="dice tversky mse own".split())  # fmt: skip
def test_a_sum_of_one_value_for_the_batch_counts_once_or_as_it_is_weighed(make, weighed, keras):
    """Weights of one that a step makes where none were given multiplied it by the number of rows."""
    y = (TARGET[:20] > 0).astype("float32")
    options = {"sample_weight": np.linspace(0.5, 2, 20).astype("float32")} if weighed else {}
    theirs, ours, found = mlp(keras, 2, "sigmoid"), mlp(fkeras, 2, "sigmoid"), []
    ours.set_weights(theirs.get_weights())
    for model, k in ((theirs, keras), (ours, fkeras)):
        model.compile("sgd", make(k))
        fitted = model.fit(X[:20], y, batch_size=8, epochs=2, shuffle=False, verbose=0, **options)
        found.append(fitted.history["loss"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    want = theirs.evaluate(X[:20], y, batch_size=8, verbose=0)
    np.testing.assert_allclose(ours.evaluate(X[:20], y, batch_size=8, verbose=0), want, rtol=1e-5)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-4, atol=1e-6)


def test_the_mask_of_a_normalized_layer_is_that_of_the_layer_inside(keras):
    """Real Keras declares none, but its tensors carry it on: losses leave padding out."""
    x = np.random.default_rng(0).normal(size=(6, 5, 2)).astype("float32")
    x[:, 3:] = 0
    y = np.random.default_rng(1).normal(size=(6, 5, 3)).astype("float32")
    found = []
    for k in (keras, fkeras):
        layers = [k.layers.Masking(), k.layers.SpectralNormalization(k.layers.Dense(3, bias_initializer="ones"))]
        found.append(k.Sequential([k.Input((5, 2)), *layers]))
        found[-1].set_weights(found[0].get_weights())
        found[-1].compile("sgd", "mse")
    losses = [[float(model.train_on_batch(x, y)) for _ in range(3)] for model in found]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
