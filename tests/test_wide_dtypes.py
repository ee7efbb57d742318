"""float64 throughout, and JAX's strict promotion of dtypes: fit, evaluate and predict work, with the right numbers.

Most cases only trace the programs of training, evaluation and prediction, which is where dtypes meet; a few run.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras import metrics as M
from fkeras import optimizers as O
from fkeras.compiled import programs

RNG = np.random.default_rng(0)
X, Y, C = RNG.normal(size=(5, 4, 3)), RNG.normal(size=(5, 2)), RNG.integers(0, 2, 5)
ONE_HOT = np.eye(2)[C]


@pytest.fixture(params=["float64", "x64", "strict"])
def mode(request):
    """JAX's 64 bits with floatx and policy "float64"; 64 bits alone; strict promotion."""
    wide = request.param != "strict"
    name = "jax_enable_x64" if wide else "jax_numpy_dtype_promotion"
    before = getattr(jax.config, name)
    jax.config.update(name, True if wide else "strict")
    if request.param == "float64":
        fkeras.config.set_floatx("float64")
        fkeras.config.set_dtype_policy("float64")
    try:
        yield request.param
    finally:
        jax.config.update(name, before)
        fkeras.config.set_floatx("float32")
        fkeras.config.set_dtype_policy(None)


class _Traced(Exception):
    pass


@pytest.fixture
def only_traced(monkeypatch):
    def stop(kind, lowered):
        raise _Traced(kind)

    monkeypatch.setattr(programs, "compile_for", stop)


def trace(layers, target=Y, loss="mse", optimizer="sgd", metrics=(), x=X, out=2):
    model = fkeras.Sequential([L.Input(x.shape[1:]), *layers, L.Flatten(), L.Dense(out, "sigmoid")])
    model.compile(optimizer, loss, metrics=list(metrics))
    for kind, run in (
        ("train", lambda: model.fit(x, target, batch_size=3, verbose=0)),
        ("test", lambda: model.evaluate(x, target, batch_size=3, verbose=0)),
        ("predict", lambda: model.predict(x, batch_size=3, verbose=0)),
    ):
        with pytest.raises(_Traced, match=kind):
            run()


LAYERS = {
    "normalizing": lambda: [
        L.BatchNormalization(), L.LayerNormalization(), L.GroupNormalization(3), L.RMSNormalization(),
        L.UnitNormalization(), L.TimeDistributed(L.BatchNormalization()), L.Normalization(), L.Rescaling(0.5),
        L.BatchNormalization(renorm=True),
    ],
    "spectral": lambda: [L.SpectralNormalization(L.Dense(2))],
    "convolving": lambda: [
        L.Conv1D(2, 2, activation="relu"), L.MaxPooling1D(2), L.UpSampling1D(3), L.SeparableConv1D(2, 2),
        L.DepthwiseConv1D(2), L.Conv1DTranspose(2, 2), L.AveragePooling1D(2), L.ZeroPadding1D(1), L.Cropping1D(1),
    ],
    "recurring": lambda: [
        L.Masking(), L.LSTM(2, return_sequences=True), L.GRU(2, return_sequences=True, dropout=0.1),
        L.Bidirectional(L.SimpleRNN(2, recurrent_dropout=0.1, return_sequences=True)), L.GRU(2, reset_after=False),
    ],
    "random": lambda: [
        L.Dropout(0.3), L.SpatialDropout1D(0.3), L.GaussianDropout(0.3), L.GaussianNoise(0.3), L.AlphaDropout(0.3),
        L.ActivityRegularization(0.1),
    ],
    "activating": lambda: [
        L.Activation("gelu"), L.ELU(), L.LeakyReLU(), L.PReLU(), L.ReLU(6.0, 0.1, 0.2), L.Softmax(),
        *[L.Activation(name) for name in ("selu", "softplus", "mish", "hard_sigmoid", "celu", "glu")[:5]],
    ],
    "penalized": lambda: [
        L.Dense(3, kernel_regularizer="l1_l2", kernel_constraint="max_norm", activity_regularizer="l2"),
        L.Dense(3, kernel_regularizer="orthogonal_regularizer", kernel_constraint="unit_norm"),
        L.Dense(3, kernel_constraint=fkeras.constraints.MinMaxNorm(0.1, 1.0), bias_constraint="non_neg"),
        L.EinsumDense("abc,cd->abd", (None, 2), bias_axes="d"),
    ],
    "shaping": lambda: [L.Permute((2, 1)), L.Reshape((12,)), L.RepeatVector(2), L.GlobalMaxPooling1D(), L.Dense(3)],
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_meet_their_dtypes(kind, mode, only_traced):
    trace(LAYERS[kind]())


LOSSES = (
    "mse mae mape msle log_cosh huber hinge squared_hinge categorical_hinge kl_divergence poisson cosine_similarity "
    "binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy dice tversky"
).split()


@pytest.mark.parametrize("part", range(3))
def test_losses_meet_their_dtypes(part, mode, only_traced):
    """All of one part at once, each on an output of its own."""
    names = LOSSES[part::3]
    x = L.Input((3,))
    model = fkeras.Model(x, [L.Dense(2, "softmax")(x) for _ in names])
    model.compile("sgd", loss=list(names))
    for kind, run in (("train", model.fit), ("test", model.evaluate)):
        with pytest.raises(_Traced, match=kind):
            run(X[:, 0], [ONE_HOT] * len(names), verbose=0)


METRICS = {
    "shape": lambda: ["accuracy", "mse", "mae", M.RootMeanSquaredError(), M.R2Score(), M.CosineSimilarity()],
    "confusion": lambda: [M.AUC(), M.Precision(), M.Recall(), M.PrecisionAtRecall(0.5), M.TruePositives(), M.F1Score()],
    "classes": lambda: [
        M.TopKCategoricalAccuracy(1), M.BinaryAccuracy(), M.OneHotMeanIoU(2), M.BinaryIoU(), M.AUC(multi_label=True),
        M.FBetaScore(threshold=0.5), M.CategoricalCrossentropy(), M.SensitivityAtSpecificity(0.5),
    ],
    "apart": lambda: [
        M.KLDivergence(), M.Poisson(), M.LogCoshError(), M.Hinge(), M.PearsonCorrelation(), M.ConcordanceCorrelation(),
        lambda a, b: abs(a - b),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", METRICS)
def test_metrics_meet_their_dtypes(kind, mode, only_traced):
    trace([], ONE_HOT, metrics=METRICS[kind]())


def test_class_numbers_meet_their_dtypes(mode, only_traced):
    kinds = [M.SparseTopKCategoricalAccuracy(1), "accuracy", M.MeanIoU(2, sparse_y_pred=False)]
    trace([], C, "sparse_categorical_crossentropy", metrics=kinds)
    trace([L.Embedding(5, 3, mask_zero=True), L.LSTM(2)], x=RNG.integers(0, 5, (5, 4)))


SCHEDULES = O.schedules
OPTIMIZERS = {
    "momentum": [lambda: O.SGD(0.1, momentum=0.9, nesterov=True), O.Lion, O.Muon, lambda: O.RMSprop(centered=True)],
    "adam": [lambda: O.Adam(amsgrad=True, clipnorm=1.0), O.AdamW, O.Adamax, O.Nadam, O.Lamb, O.ScheduleFreeAdamW],
    "adaptive": [O.Adagrad, O.Adadelta, O.Adafactor, O.Ftrl],
    "around": [
        lambda: O.Adam(global_clipnorm=1.0, use_ema=True, ema_overwrite_frequency=2),
        lambda: O.Adam(gradient_accumulation_steps=2, weight_decay=0.1),
        lambda: O.LossScaleOptimizer("adam"),
        lambda: O.MultiOptimizer(O.OptimizerMap(O.SGD(loss_scale_factor=2.0), {".*bias": O.Adam()})),
        lambda: O.SGD(SCHEDULES.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=2)),
        lambda: O.SGD(SCHEDULES.PiecewiseConstantDecay([1, 2], [0.1, 0.2, 0.3])),
        lambda: O.SGD(SCHEDULES.CosineDecayRestarts(0.1, 2)),
    ],
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_meet_their_dtypes(kind, mode):
    """The pure update, on a tree of matrices and vectors: traced, with dtypes that stay."""
    dtype = jnp.float64 if mode == "float64" else jnp.float32
    params = {"d": {"kernel": jnp.ones((3, 2), dtype), "bias": jnp.ones(2, dtype)}}
    for make in OPTIMIZERS[kind]:
        optimizer = make()
        state = optimizer.init(params)
        new = jax.eval_shape(optimizer.update, params, state, params)
        for before, after in zip(jax.tree.leaves((params, state)), jax.tree.leaves(new), strict=True):
            assert (before.shape, before.dtype) == (after.shape, after.dtype), optimizer


# --------------------------------------------------------------------------------------------- in numbers


def test_training_keeps_the_precision_of_float64(mode):
    x, y = X[:, 0], Y
    model = fkeras.Sequential([L.Input((3,)), L.Dense(2, kernel_regularizer="l2")])
    kernel = np.linspace(-1, 1, 6).reshape(3, 2)
    model.layers[0].set_weights([kernel, np.zeros(2)])
    model.compile(O.SGD(0.5), "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=5, epochs=2, verbose=0).history
    bias = np.zeros(2)
    for _ in range(2):
        error = x @ kernel + bias - y
        bias = bias - 0.5 * error.sum(0) / 5
        kernel = kernel - 0.5 * (x.T @ error / 5 + 0.02 * kernel)
    exact = {"rtol": 1e-12, "atol": 1e-14} if mode == "float64" else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(model.layers[0].get_weights()[0], kernel, **exact)
    np.testing.assert_allclose(model.layers[0].get_weights()[1], bias, **exact)
    got = model.predict(x, verbose=0)
    assert got.dtype == (np.float64 if mode == "float64" else np.float32)
    np.testing.assert_allclose(got, x @ kernel + bias, **exact)
    assert history["loss"][1] < history["loss"][0]
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(np.abs(got - y).mean(), rel=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16", "bfloat16"])
def test_half_precision_meets_its_dtypes(policy, mode, only_traced):
    layers = [L.Conv1D(2, 2), L.BatchNormalization(), L.LayerNormalization(), L.MaxPooling1D(), L.LSTM(2), L.Dense(2)]
    twins = [type(layer).from_config(layer.get_config() | {"dtype": policy}) for layer in layers]
    trace(twins, metrics=["mae"], optimizer="adam")


def test_own_layers_and_metrics_train(mode):
    class Own(L.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

        def call(self, x, training=False):
            if training:
                self.seen.assign(self.seen + 1)
            self.add_loss((self.kernel**2).sum())
            return x @ self.kernel

    class Total(M.Metric):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.total = self.add_variable((), "zeros", name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add(abs(y_true - y_pred).sum())

        def result(self):
            return self.total

    model = fkeras.Sequential([L.Input((3,)), Own()])
    model.compile("adam", "mse", metrics=[Total(name="total")])
    model.fit(X[:, 0], Y, batch_size=5, epochs=2, verbose=0, sample_weight=np.ones(5))
    total = model.evaluate(X[:, 0], Y, verbose=0, return_dict=True)["total"]
    assert total == pytest.approx(np.abs(model.predict(X[:, 0], verbose=0) - Y).sum(), rel=1e-5)
    assert float(model.layers[0].seen) == 2
