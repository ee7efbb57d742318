"""Single layers, losses, metrics and optimizers beside their twins of real Keras: numbers, names and files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras.layers.kernels.recurrence import Derived, scan_product
from tests.ids import plain

X = np.random.default_rng(0).normal(size=(6, 4, 3)).astype("float32")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def both(keras, make):
    """Returns (of fkeras, of keras) of `make(package)`, built alike and given the same weights."""
    ours, theirs = make(fkeras), make(keras)
    rng = np.random.default_rng(3)
    theirs.set_weights([rng.uniform(-1, 1, w.shape).astype("float32") for w in theirs.weights])
    ours.set_weights(theirs.get_weights())
    return ours, theirs


# ----------------------------------------------------------------------------- SpectralNormalization

SPECTRAL = {
    "dense": (lambda k: k.layers.Dense(4), (3,)),
    "conv": (lambda k: k.layers.Conv1D(4, 2), (4, 3)),
    "frozen": (lambda k: k.layers.Dense(4, trainable=False), (3,)),
}


def spectral(kind):
    inner, shape = SPECTRAL[kind]

    def make(k):
        wrapped = k.layers.SpectralNormalization(inner(k), power_iterations=2, name="n")
        return k.Sequential([k.layers.Input(shape), wrapped, k.layers.Flatten(), k.layers.Dense(2)])

    return make, np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")


@pytest.mark.parametrize("kind", SPECTRAL)
def test_spectral_normalization_uses_its_kernel_as_it_is_in_inference(kind, keras):
    make, x = spectral(kind)
    ours, theirs = both(keras, make)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), **CLOSE)
    if kind == "frozen":  # Keras on JAX then stores the divided kernel in `fit`, which else the optimizer overwrites
        return
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((6, 2)), batch_size=3, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SPECTRAL)
def test_spectral_normalization_stores_the_divided_kernel_of_a_training_call(kind, keras):
    make, x = spectral(kind)
    ours, theirs = both(keras, make)
    ours, theirs = ours.get_layer("n"), theirs.get_layer("n")
    for _ in range(2):
        np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), **CLOSE)
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, **CLOSE)
    zero = L.SpectralNormalization(L.Dense(2, kernel_initializer="zeros"))
    assert (zero(X[:, 0], training=True) == 0).all() and (zero.layer.kernel.numpy() == 0).all()
    before = ours.get_weights()
    jax.eval_shape(lambda a: ours(a), x)  # a trace stores nothing
    np.testing.assert_array_equal(ours.get_weights()[0], before[0])


@pytest.mark.parametrize("ending", [".weights.h5", ".keras", ".h5"])
def test_files_hold_the_kernel_of_spectral_normalization_as_keras(ending, keras, tmp_path):
    make, x = spectral("dense")
    ours, theirs = both(keras, make)
    here, there = str(tmp_path / f"ours{ending}"), str(tmp_path / f"theirs{ending}")
    if ending == ".weights.h5":
        ours.save_weights(here), theirs.save_weights(there)
        fresh, other = make(fkeras), make(keras)
        fresh.load_weights(there), other.load_weights(here)
    else:
        ours.save(here), theirs.save(there)
        fresh, other = fkeras.models.load_model(there), keras.models.load_model(here)
    np.testing.assert_allclose(fresh(x), theirs(x), **CLOSE)
    np.testing.assert_allclose(other(x), ours(x), **CLOSE)


# ------------------------------------------------------------------------------------ recurrent layers

STACKS = {
    "two": lambda k: [k.layers.GRUCell(4), k.layers.SimpleRNNCell(2)],
    "three": lambda k: [k.layers.SimpleRNNCell(3), k.layers.LSTMCell(2), k.layers.GRUCell(2)],
}


@pytest.mark.parametrize(
    ("kind", "masked", "sequences"),
    [("two", True, True), ("two", False, False), ("three", False, True)],
)
def test_stacked_cells_go_backwards(kind, masked, sequences, keras):
    """Against Keras, and against the same cells on the reversed input."""

    def make(k, **options):
        layer = k.layers.RNN(STACKS[kind](k), return_sequences=sequences, **options)
        layer.build(X.shape)
        return layer

    ours, theirs = both(keras, lambda k: make(k, go_backwards=True))
    mask = np.arange(4) < np.array([4, 3, 2, 1, 4, 2])[:, None] if masked else None
    got = ours(X, mask=mask)
    np.testing.assert_allclose(got, theirs(X, mask=mask), **CLOSE)
    forwards = make(fkeras)
    forwards.set_weights(ours.get_weights())
    np.testing.assert_allclose(got, forwards(X[:, ::-1], mask=None if mask is None else mask[:, ::-1]), **CLOSE)


def test_stacked_cells_go_both_ways(keras):
    def make(k):
        layer = k.layers.Bidirectional(k.layers.RNN(STACKS["two"](k), return_sequences=True))
        model = k.Sequential([k.layers.Input((4, 3)), layer, k.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    ours, theirs = both(keras, make)
    np.testing.assert_allclose(ours(X), theirs(X), **CLOSE)
    for model in (ours, theirs):
        model.fit(X, X[..., :1], batch_size=6, epochs=2, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [L.Masking(), L.GRU(2, return_sequences=True), L.LSTM(2, activation="relu")],
        lambda: [L.Bidirectional(L.RNN([L.GRUCell(2), L.SimpleRNNCell(1)]))],
    ],
    ids=["masked", "stack"],
)
def test_recurrent_layers_train_step_by_step_as_compiled(make):
    losses = []
    for eager in (False, True):
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential([L.Input((2, 3)), *make(), L.Flatten(), L.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=eager)
        losses.append([float(model.train_on_batch(X[:, :2], X[:, 0, :1])) for _ in range(2)])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_derivative_over_time_needs_no_compiler():
    step = Derived(lambda x, product, states: [jnp.sin(x + product)])

    def loss(kernel):
        return jnp.sum(scan_product(step, jnp.ones((3, 2, 1)), [jnp.zeros((2, 1))], kernel)[0])

    compiled = jax.grad(loss)(jnp.full((1, 1), 0.5))
    with jax.disable_jit():
        np.testing.assert_allclose(jax.grad(loss)(jnp.full((1, 1), 0.5)), compiled, rtol=1e-6)


# ------------------------------------------------------------------------------------- losses and logs


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 2), (2,)], ids=plain)
@pytest.mark.parametrize("kind", ["MeanSquaredError", "MeanAbsoluteError", "BinaryCrossentropy"])
def test_a_mean_by_weights_without_weights_is_the_mean(kind, shape, keras):
    """`fit` and `evaluate` count every row, at each of its steps; they do not divide by rows alone."""
    rng = np.random.default_rng(0)
    x, y = rng.random((7, *shape)).astype("float32"), rng.integers(0, 2, (7, *shape)).astype("float32")
    found = []
    for k in (fkeras, keras):
        model = k.Sequential([k.layers.Input(shape), k.layers.Dense(2, "sigmoid", kernel_initializer="ones")])
        loss = getattr(k.losses, kind)(reduction="mean_with_sample_weight")
        model.compile(k.optimizers.SGD(0.1), loss)
        fitted = model.fit(x, y, batch_size=7, verbose=0).history["loss"][0]
        found.append((fitted, model.evaluate(x, y, batch_size=7, verbose=0), *model.get_weights()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


def test_a_mean_by_weights_counts_a_rows_weight_at_each_step():
    y, p = np.zeros((3, 4, 2), "float32"), np.ones((3, 4, 2), "float32")
    loss, weight = fkeras.losses.MeanSquaredError(reduction="mean_with_sample_weight"), np.array([1.0, 0.5, 2.0])
    assert float(loss(y, p, weight)) == pytest.approx(1.0)
    mask = np.arange(4) < np.array([4, 1, 2])[:, None]
    p[0] = 2.0
    want = (4 * 1.0 * 4 + 0.5 * 1 + 2.0 * 2) / (4 * 1.0 + 0.5 + 2 * 2.0)
    assert float(loss(y, p, weight, mask=mask)) == pytest.approx(want)


def logs_of(k, losses, metrics, weighted):
    i = k.layers.Input((3,))
    heads = [k.layers.Dense(1, name=name)(i) for name in "ab"[: len(losses)]]
    model = k.Model(i, heads if len(heads) > 1 else heads[0])
    model.compile("sgd", loss=losses if len(losses) > 1 else losses[0], metrics=metrics, weighted_metrics=weighted)
    x, targets = X[:, 0], [X[:, 0, :1]] * len(losses)
    y = targets if len(losses) > 1 else targets[0]
    history = model.fit(x, y, sample_weight=None if len(losses) > 1 else np.arange(6.0), verbose=0).history
    return sorted(history), list(model.evaluate(x, y, verbose=0, return_dict=True))


@pytest.mark.parametrize(
    ("losses", "metrics", "weighted"),
    [
        (["mse"], ["mse"], ["mse"]),
        (["mse"], ["accuracy"], ["accuracy"]),
        (["mse"], ["mse", "mse", "mse"], ["mse", "mae", "mae", "mae"]),
        (["mse"], ["mae"], ["mse"]),
        (["mse", "mae"], [["mse"], ["mse"]], [["mse"], ["mae"]]),
        (["mse", None], [["mse"], ["mse"]], None),
        ([None, "mse"], None, [["mse"], ["mse"]]),
        (["mse", None], [["mse"], ["mse"]], [["mse"], ["mse"]]),
    ],
    ids=plain,
)
def test_logs_are_called_as_in_keras(losses, metrics, weighted, keras):
    ours, theirs = (logs_of(k, losses, metrics, weighted) for k in (fkeras, keras))
    assert ours[0] == theirs[0] and sorted(ours[1]) == sorted(theirs[1])


def test_a_weighted_metric_can_be_watched(tmp_path):
    model = fkeras.Sequential([L.Input((3,)), L.Dense(1)])
    model.compile("sgd", "mse", metrics=["mse"], weighted_metrics=["mse"])
    stop = fkeras.callbacks.EarlyStopping("val_weighted_mse", min_delta=100.0)
    weights = np.arange(6.0)
    history = model.fit(
        X[:, 0], X[:, 0, :1], sample_weight=weights, validation_data=(X[:, 0], X[:, 0, :1], weights), epochs=3,
        verbose=0, callbacks=[stop],
    ).history  # fmt: skip
    assert len(history["val_weighted_mse"]) == 2 and history["val_mse"] != history["val_weighted_mse"]


# ----------------------------------------------------------------------------------------------- names


def named_weights(k):
    x, found = X[:2], []
    model = k.layers

    class Own(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense, self.lstm = k.layers.Dense(2), k.layers.LSTM(2)

        def build(self, shape):
            self.w = self.add_weight(shape=(3,), name="w")
            self.dense.build(shape)
            self.lstm.build((None, 4, 2))
            self.built = True

        def call(self, inputs):
            return self.lstm(self.dense(inputs))

    for layer, *inputs in [
        (model.LSTM(2, name="n1"), x),
        (model.Bidirectional(model.GRU(2)), x),
        (model.RNN([model.GRUCell(2), model.LSTMCell(2)]), x),
        (model.TimeDistributed(model.Dense(2)), x),
        (model.MultiHeadAttention(2, 2), x, x),
        (model.GroupQueryAttention(2, 2, 1), x, x),
        (model.GroupQueryAttention(2, 2, 1), x, x),
        (model.SpectralNormalization(model.Dense(2)), x[:, 0]),
        (model.ConvLSTM1D(2, 2), x[..., None]),
        (model.BatchNormalization(), x),
        (Own(), x),
    ]:
        layer(*inputs)
        found += layer.weights
    chains = [
        k.Sequential([model.Dense(2), model.Dense(2)]),
        k.Sequential([model.Dense(2), k.Sequential([model.Dense(2), model.Dense(1)])]),
        k.Sequential([model.Input((3,)), model.Dense(2), k.Sequential([model.Input((2,)), model.Dense(1)])]),
    ]
    i = model.Input((3,))
    functional = k.Model(i, model.Dense(2)(i))
    for chain in (*chains, functional, k.Sequential([functional, model.Dense(1)])):
        chain.build((None, 3))
        found += chain.weights
    return [w.path for w in found]


def test_paths_of_weights_name_the_layers_around_them(keras):
    keras.utils.clear_session()
    assert named_weights(fkeras) == named_weights(keras)
    assert L.LSTM(2, name="n1").path == "n1"


def test_paths_of_weights_survive_copies_and_pickles():
    import copy
    import pickle

    model = fkeras.Sequential([L.Input((4, 3)), L.LSTM(2, name="n1")], name="m")
    want = [f"m/n1/lstm_cell/{name}" for name in ("kernel", "recurrent_kernel", "bias")]
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [w.path for w in one.weights] == want
    assert repr(model.weights[2]) == "<Variable m/n1/lstm_cell/bias float32[8]>"


def test_the_layers_of_a_model_are_those_with_names_of_ones_own(keras):
    def make(k):
        i, j = k.layers.Input((3,), name="i"), k.layers.Input((3,), name="j")
        h = k.layers.Dense(3, name="d")(i)
        return k.Model([i, j], k.layers.Dense(1, name="e")((h * 2 + 1 - j)[:, 0:1] / 3))

    ours, theirs = both(keras, make)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.get_layer(index=2).name == theirs.get_layer(index=2).name
    assert len(ours.operations) == len(ours.layers) + 5  # *, +, -, [], /
    lines = []
    ours.summary(print_fn=lines.append)
    assert sum("(Operation)" in line for line in "\n".join(lines).splitlines()) == 5
    x = [X[:, 0], X[:, 1]]
    for other in (fkeras.models.clone_model(ours), fkeras.models.model_from_json(ours.to_json())):
        other.set_weights(ours.get_weights())
        np.testing.assert_allclose(other(x), theirs(x), **CLOSE)


# -------------------------------------------------------------------------------------------- optimizers


@pytest.mark.parametrize("optimizer", ["sgd", "adam", lambda: fkeras.optimizers.LossScaleOptimizer("sgd")], ids=plain)
def test_a_step_that_trains_nothing_is_no_iteration(optimizer):
    def make():
        model = fkeras.Sequential([L.Input((3,)), L.Dense(3), L.GaussianNoise(1.0)])
        model.layers[0].trainable = False
        model.compile(optimizer() if callable(optimizer) else optimizer, "mse")
        return model

    model = make()
    seen = [model.train_on_batch(X[:, 0], X[:, 0]) for _ in range(3)]
    assert model.optimizer.iterations == 0
    assert len(set(map(float, seen))) == 3  # noise is drawn anew all the same
    model.fit(X[:, 0], X[:, 0], verbose=0)
    assert model.optimizer.iterations == 0
    model.layers[0].trainable = True
    with pytest.warns(UserWarning, match="`trainable` changed"):
        model.fit(X[:, 0], X[:, 0], batch_size=3, verbose=0)
    assert model.optimizer.iterations == 2


def test_the_arrays_of_a_metric_have_names(keras):
    for k in (fkeras, keras):
        precision = k.metrics.Precision()
        np.testing.assert_array_equal(np.asarray(precision.true_positives), [0.0])
        precision.update_state([0, 1, 1], [0.2, 0.9, 0.8])
        np.testing.assert_array_equal(np.asarray(precision.true_positives), [2.0])
        mean = k.metrics.Mean()
        mean.update_state([1.0, 3.0])
        assert float(mean.total.numpy()) == 4.0 and float(mean.count.numpy()) == 2.0
        with pytest.raises(AttributeError):
            _ = mean.true_positives
