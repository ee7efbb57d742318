"""The hard cases of the layer contract: state, keys, masks, nesting, several inputs, scans, layers of one's own."""

import inspect
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import initializers, layers
from fkeras.core import settings
from fkeras.core.settings import setting
from fkeras.layers import Context, Dense, Dropout, Layer, Weight

X = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")


class Scale(Layer):
    initializer: object = setting(initializers, "ones")

    def declare(self, shape):
        return {"scale": Weight(shape[-1:], self.initializer)}

    def forward(self, params, state, x, ctx):
        return x * params["scale"], state


class Counter(Layer):
    """Keeps a running value and takes a dict of two inputs."""

    takes_ints = True

    def declare(self, shape):
        return {"calls": Weight((), "zeros", trainable=False)}

    def forward(self, params, state, x, ctx):
        return x["a"] + x["b"], {"calls": state["calls"] + 1.0}


class Scanned(Layer):
    """Calls an inner layer inside a scan over time."""

    cell: Layer

    def declare(self, shape):
        return {"cell": self.cell.declare((shape[0], 2 * shape[2]))}

    def forward(self, params, state, x, ctx):
        inner = ctx.at("cell", losses=None)

        def step(h, x_t):
            h, _ = self.cell.apply(params["cell"], {}, jnp.concatenate([x_t, h], -1), inner)
            return h, h

        h = jnp.zeros((x.shape[0], x.shape[2]))
        return jax.lax.scan(step, h, x.swapaxes(0, 1))[1].swapaxes(0, 1), state


class KerasDense(Layer):
    """Written the Keras way: a constructor of its own, build, call, a loss, a running value."""

    def __init__(self, units, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.factor = units, factor

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="he_normal", name="kernel")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")
        self.built = True

    def call(self, x, training=None):
        if training:
            self.calls.assign_add(1.0)
        self.add_loss(0.1 * jnp.sum(self.kernel**2))
        return self.factor * jnp.dot(x, self.kernel)


class Block(Layer):
    """Written the Keras way, with layers inside that are built when they are first called."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = KerasDense(units)
        self.others = [Dense(units, activation="relu"), Dropout(0.5), Dense(units)]

    def call(self, x, training=False):
        x = self.first(x)
        for layer in self.others:
            x = layer(x)
        return x


def test_running_values_are_returned_and_not_remembered(key):
    layer = Counter()
    x = {"a": X, "b": X}
    params, state = layer.init(key, {"a": X.shape, "b": X.shape})
    y, after = jax.jit(layer.apply)(params, state, x)
    assert float(after["calls"]) == 1.0 and float(state["calls"]) == 0.0
    np.testing.assert_allclose(y, 2 * X)


def test_noise_depends_on_row_and_place_only(key):
    layer = Dropout(0.5)
    y, _ = layer.apply({}, {}, np.ones((8, 100)), training=True, key=key)
    ctx = Context(training=True, key=key, row_ids=jnp.arange(4, 8))
    second_half, _ = layer.apply({}, {}, np.ones((4, 100)), ctx)
    np.testing.assert_array_equal(second_half, y[4:])
    elsewhere, _ = layer.apply({}, {}, np.ones((8, 100)), Context(training=True, key=key, path=("other",)))
    assert (np.asarray(elsewhere) != np.asarray(y)).any()
    with pytest.raises(ValueError, match="draws random numbers while training: pass `key="):
        layer.apply({}, {}, np.ones((2, 2)), training=True)


def test_a_shared_layer_shares_weights_but_draws_its_own_noise():
    x = fkeras.Input((50,))
    shared = Dropout(0.5)
    model = fkeras.Model(x, [shared(x), shared(x)])
    (a, b), _ = model.apply({}, {}, np.ones((3, 50), "float32"), training=True, key=jax.random.key(0))
    assert (np.asarray(a) != np.asarray(b)).any()


def test_masks_travel_to_the_loss():
    model = fkeras.Sequential([fkeras.Input((5, 2)), layers.Masking(), Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 5, 2), "float32")
    x[:, 3:] = 0.0  # two masked steps, whose targets are far off
    y = np.zeros((4, 5, 1), "float32")
    y[:, 3:] = 1e6
    assert model.evaluate(x, y, verbose=0) < 100


def test_an_inner_layer_inside_a_scan(key):
    layer = Scanned(Dense(4, activation="tanh"))
    x = np.ones((2, 3, 4), "float32")
    params, state = layer.init(key, x.shape)
    assert jax.tree.map(jnp.shape, params) == {"cell": {"bias": (4,), "kernel": (8, 4)}}
    grads = jax.grad(lambda p: layer.apply(p, state, x)[0].sum())(params)
    assert all(bool(jnp.any(g != 0)) for g in jax.tree.leaves(grads))
    assert layer(x).shape == (2, 3, 4) and layer.cell.built


@pytest.mark.parametrize("transform", ["jit", "vmap", "pmap", "scan", "grad"])
def test_keras_style_layers_are_pure(transform, key):
    layer = Block(3)
    params, state = layer.init(key, X.shape)
    assert not layer.built  # init and apply leave the object alone
    want, after = layer.apply(params, state, X, training=True, key=key)
    assert float(after["first"]["calls"]) == 1.0
    if transform == "jit":
        got = jax.jit(lambda p: layer.apply(p, state, X, training=True, key=key)[0])(params)
    elif transform == "vmap":
        got = jax.vmap(lambda x: layer.apply(params, state, x, training=True, key=key)[0])(X[None])[0]
    elif transform == "pmap":
        got = jax.pmap(lambda x: layer.apply(params, state, x, training=True, key=key)[0])(X[None])[0]
    elif transform == "scan":

        def step(s, x):
            y, s = layer.apply(params, s, x, training=True, key=key)
            return s, y

        last, ys = jax.lax.scan(step, state, np.stack([X, X]))
        got = ys[0]
        assert float(last["first"]["calls"]) == 2.0
    else:
        losses = []

        def loss(p):
            ctx = Context(training=True, key=key, losses=(inner := []))
            y, _ = layer.apply(p, state, X, ctx)
            losses.append(len(inner))
            return y.sum() + sum(v / n for v, n in inner)

        grads = jax.grad(loss)(params)
        assert losses == [1] and bool(jnp.any(grads["first"]["kernel"] != 0))
        got = want
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_keras_style_layers_train_save_config_and_share_weights():
    model = fkeras.Sequential([fkeras.Input((4,)), Block(3, name="block"), Dense(1)])
    assert [v.path for v in model.layers[0].weights][:2] == [
        f"{model.name}/block/{model.layers[0].first.name}/{n}" for n in ("kernel", "calls")
    ]
    model.compile(fkeras.optimizers.Adam(0.05), "mse")
    history = model.fit(X, X[:, :1], epochs=10, verbose=0, batch_size=2).history["loss"]
    assert history[-1] < history[0]
    assert float(model.layers[0].first.calls.numpy()) == 30.0
    assert model.layers[0].get_config() == {"name": "block", "trainable": True, "dtype": "float32", "units": 3}
    twin = Block.from_config(model.layers[0].get_config())
    twin.build((None, 4))
    twin.set_weights(model.layers[0].get_weights())
    np.testing.assert_allclose(twin(X), model.layers[0](X), rtol=1e-6)


class Branching(fkeras.Model):
    """Uses one layer in training only, and one never."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.drop, self.extra, self.unused = Dense(5), Dropout(0.5), Dense(5), Dense(7)
        self._rest = {"head": [Dense(2)]}

    def call(self, x, training=False):
        x = self.first(x)
        if training:
            x = self.drop(self.extra(x))
        return self._rest["head"][0](x)


def test_layers_that_only_training_calls_are_declared_and_drawn():
    model = Branching()
    first = model(X)  # eager, unbuilt, a batch of a known size
    assert first.shape == (6, 2) and np.abs(first).max() > 0
    np.testing.assert_allclose(model(X[:3]), first[:3], rtol=1e-5)
    assert model.extra.built and not model.unused.built and model.count_params() == 25 + 30 + 12
    model.compile("sgd", "mse")
    before = model.extra.get_weights()[0]
    model.fit(X, X[:, :2], verbose=0)
    assert (model.extra.get_weights()[0] != before).any()


def test_a_pure_layer_in_six_lines_has_everything():
    layer = Scale(initializer="ones", name="s")
    assert layer.get_config()["initializer"]["class_name"] == "Ones"
    model = fkeras.Sequential([fkeras.Input((4,)), layer, Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert (layer.scale.numpy() != 1).any() and layer.count_params() == 4
    layer.initializer = "zeros"
    assert layer.get_config()["initializer"]["class_name"] == "Zeros" and (layer.scale.numpy() != 1).any()


def test_variables_act_like_arrays_and_take_assignments():
    layer = Dense(2)
    layer.build((None, 4))
    layer.kernel.assign(np.ones((4, 2)))
    np.testing.assert_allclose(layer(X), X @ np.ones((4, 2), "float32"), rtol=1e-6)
    assert (layer.kernel + 1).shape == (4, 2) and layer.kernel.sum() == 8
    with pytest.raises(ValueError, match=r"expected an array of shape \(4, 2\) for 'kernel', got \(2, 4\)"):
        layer.kernel.assign(np.ones((2, 4)))
    with pytest.raises(AttributeError, match="It has no weights yet"):
        Dense(2).kernel  # noqa: B018


class Averager(Layer):
    """Written the Keras way with a `build` that calls its base's, a loss, a log, and a metric of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.largest = fkeras.metrics.Mean(name="largest")

    def build(self, input_shape):
        self.factor = self.add_weight("factor", shape=(input_shape[-1],), initializer="ones")  # Keras 2's order
        super().build(input_shape)

    def call(self, x):
        x = x * self.factor
        self.add_loss(jnp.mean(x**2))
        self.add_metric(jnp.mean(x), name="activity")
        self.largest.update_state(jnp.max(x, axis=1))
        return x


def averager():
    model = fkeras.Sequential([fkeras.Input((4,)), Averager()])
    model.compile(fkeras.optimizers.SGD(0.0))
    return model


def test_losses_logs_and_metrics_of_a_layer_count_real_rows_only():
    model = averager()
    parts = X[:4], X[4:]  # a ragged batch of two rows, which must not be filled up
    want = {
        "loss": np.mean(X**2),
        "activity": np.mean([p.mean() for p in parts]),
        "largest": X.max(axis=1).mean(),
    }
    history = model.fit(X, X, batch_size=4, shuffle=False, verbose=0, validation_data=(X, X)).history
    found = model.evaluate(X, X, batch_size=4, verbose=0, return_dict=True)
    for name, value in want.items():
        for got in (history[name][0], history[f"val_{name}"][0], found[name]):
            np.testing.assert_allclose(got, value, rtol=1e-5)
    assert model.metrics_names == ["loss", "activity", "largest"]
    assert model.evaluate(X, X, batch_size=4, verbose=0) == [found[name] for name in model.metrics_names]
    assert float(model.layers[0].largest.result()) == 0.0  # a step leaves the metric's own state alone


def test_layer_logs_are_the_same_on_two_steps_of_one_dispatch_and_in_gradients():
    model = averager()
    model.fit(X, X, batch_size=2, epochs=2, verbose=0)
    objectives = [fkeras.training.Objective(None, 1.0, None, ())]
    program = fkeras.training.Program(model, fkeras.optimizers.SGD(0.1), objectives, model.trained_paths())
    batch = {"x": X, "y": [None], "w": [np.ones(6, "float32")], "rows": None}
    params, state = model.gather()
    ts = fkeras.training.TrainState(params, state, program.optimizer.init(params), None, jax.random.key(0))
    ts = ts._replace(metrics=program.init_metrics(ts, batch, True))
    after = jax.jit(program.train_step)(ts, batch)
    assert set(program.logs(after.metrics)) == {"loss", "activity", "largest"}
    np.testing.assert_allclose(
        after.params["averager" if "averager" in params else next(iter(params))]["factor"],
        1 - 0.1 * 2 * np.mean(X**2, axis=0) / 4, rtol=1e-5,
    )  # fmt: skip


def test_losses_of_an_eager_call_and_of_weights():
    layer = Averager()
    layer(X)
    np.testing.assert_allclose(layer.losses, [np.mean(X**2)], rtol=1e-5)
    layer(2 * X)
    np.testing.assert_allclose(layer.losses, [np.mean(4 * X**2)], rtol=1e-5)  # of the last call alone
    model = fkeras.Sequential([fkeras.Input((4,)), Dense(3, kernel_regularizer="l2", activity_regularizer="l1")])
    assert len(model.losses) == 1
    model(X)
    assert len(model.losses) == 2
    with pytest.raises(ValueError, match=r"add_metric\(value, name=...\) needs a name for the logs, got None"):
        layer.add_metric(1.0)


class Padded(fkeras.Model):
    """Calls layers on each other's arrays; the mask goes along."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embed, self.rnn, self.head = layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3), Dense(1)

    def call(self, x):
        return self.head(self.rnn(self.embed(x)))


def test_masks_go_along_inside_call_and_in_eager_calls():
    model, tokens = Padded(), np.array([[1, 2, 0, 0, 0]])
    want = model(tokens[:, :2])
    np.testing.assert_allclose(model(tokens), want, rtol=1e-5)
    np.testing.assert_allclose(model.predict(tokens, verbose=0), want, rtol=1e-5)
    np.testing.assert_allclose(model.head(model.rnn(model.embed(tokens))), want, rtol=1e-5)


class FirstSteps(Layer):
    def compute_mask(self, x, mask=None):
        return jnp.arange(x.shape[1])[None, :] < jnp.full((x.shape[0], 1), 2)

    def call(self, x):
        return x


class Tagger(fkeras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.head = FirstSteps(), Dense(1)

    def call(self, x):
        return self.head(self.first(x))


def test_a_mask_made_by_compute_mask_reaches_the_loss_of_a_model_that_computes_in_call():
    x = np.ones((4, 5, 2), "float32")
    y = np.zeros((4, 5, 1), "float32")
    y[:, 2:] = 1e6
    for model in (Tagger(), fkeras.Sequential([fkeras.Input((5, 2)), FirstSteps(), Dense(1)])):
        model.compile("sgd", "mse")
        assert model.evaluate(x, y, verbose=0) < 100


class Checked(Layer):
    def build(self, input_shape):
        self.input_spec = layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, x):
        return x * 1.0


def test_input_specs_are_checked_at_the_door():
    layer = Checked(name="c")
    assert layer(X).shape == X.shape
    with pytest.raises(ValueError, match=r"Checked 'c': expected size 4 on axis -1, got an input of shape \(6, 3\)"):
        layer(X[:, :3])
    for spec, shape, wrong in (
        (layers.InputSpec(ndim=3), (2, 3), "expected rank 3"),
        (layers.InputSpec(max_ndim=1), (2, 3), "expected rank 1 at most"),
        (layers.InputSpec(shape=(None, 4)), (2, 3), "expected shape (None, 4)"),
        (layers.InputSpec(shape=(None, 1), allow_last_axis_squeeze=True), (2,), None),
        (layers.InputSpec(shape=(None, 4)), (None, None), None),
    ):
        assert spec.mismatch(shape) == wrong


def test_one_weight_of_a_layer_can_be_frozen():
    model = fkeras.Sequential([fkeras.Input((4,)), Dense(2)])
    model.layers[0].kernel.trainable = False
    assert [v.name for v in model.trainable_weights] == ["bias"]
    model.compile("sgd", "mse")
    kernel, bias = model.get_weights()
    model.fit(X, X[:, :2], verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    assert (model.get_weights()[1] != bias).any()
    model.layers[0].kernel.trainable = True
    with pytest.warns(UserWarning, match=r"`trainable` changed since it was compiled and trained \(dense.*/kernel\)"):
        model.fit(X, X[:, :2], verbose=0)
    assert (model.get_weights()[0] != kernel).any()


class Drawn(fkeras.Model):
    """Draws its graph in a constructor with settings of its own."""

    def __init__(self, units, **kwargs):
        x = fkeras.Input((4,))
        super().__init__(inputs=x, outputs=Dense(units)(x), **kwargs)
        self.units = units


def test_a_model_that_draws_its_graph_in_init_is_saved_by_its_settings(tmp_path):
    model = Drawn(3, name="drawn")
    assert model.get_config()["units"] == 3 and "layers" not in model.get_config()
    for file in ("m.keras", "m.h5"):
        model.save(tmp_path / file)
        twin = fkeras.models.load_model(tmp_path / file, custom_objects={"Drawn": Drawn})
        assert type(twin) is Drawn and twin.name == "drawn"
        np.testing.assert_allclose(twin(X), model(X), rtol=1e-6)


class Counts(Layer):
    """Written the Keras way; cannot do without a mask, and has a layer whose input shape only `call` knows."""

    supports_masking = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Dense(2, kernel_initializer="ones")

    def call(self, x, mask):
        assert mask.shape == x.shape[:2]
        return self.inner(x) * mask[..., None]


class Around(Layer):
    """Written the Keras way around such a layer, which finds the mask on its input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.counts = Counts()

    def call(self, x):
        return self.counts(x)


IDS = np.array([[3, 1, 0], [2, 0, 0]])


@pytest.mark.parametrize("make", [Counts, Around, lambda: fkeras.Sequential([Counts()])])
def test_call_sees_the_mask_also_while_shapes_are_found(make):
    table = layers.Embedding(4, 5, mask_zero=True)
    eager = np.array(make()(table(IDS)))
    for size in (3, None):
        x = fkeras.Input((size,), dtype="int32")
        h = layers.Activation("linear")(table(x))
        y = make()(h)
        assert y.shape == (None, size, 2)
        model = fkeras.Model(x, y)
        np.testing.assert_allclose(model(IDS), eager, rtol=1e-6)  # sums of five numbers in another order
    assert (eager[IDS == 0] == 0).all() and (eager[IDS != 0] != 0).all()


def test_masks_of_several_and_of_deep_inputs_are_known_while_a_graph_is_drawn():
    x = fkeras.Input((3,), dtype="int32")
    one = layers.Embedding(4, 5, mask_zero=True)(x)
    both = layers.Concatenate(axis=1)([one, Dense(5)(fkeras.Input((2, 4)))])
    assert Counts()(both).shape == (None, 5, 2)
    deep = one
    for _ in range(1500):  # more than Python's stack is high
        deep = layers.Activation("linear")(deep)
    assert Counts()(deep).shape == (None, 3, 2)
    kept = fkeras.Input((3,), dtype="bool")
    assert Counts()(fkeras.Input((3, 4)), mask=kept).shape == (None, 3, 2)


def test_a_layer_orders_its_weights_for_the_model_around_it_too(keras):
    def chain(of):
        return of.Sequential([of.layers.SpectralNormalization(of.layers.Dense(3)), of.layers.Dense(2)])

    ours, theirs = chain(fkeras), chain(keras)
    ours(X), theirs(X)
    assert [v.shape for v in ours.weights] == [tuple(v.shape) for v in theirs.weights]
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours.layers[0].layer.get_weights()[0], theirs.layers[0].layer.kernel)
    twice = Dense(4)
    assert len(fkeras.Sequential([fkeras.Input((4,)), twice, fkeras.Sequential([twice])]).weights) == 2


@pytest.mark.parametrize("kind", [n for n, c in layers.registry.entries.items() if "seed" in c._fields])
def test_a_seed_is_an_int_or_none(kind):
    cls = layers.registry.entries[kind]
    needed = {
        n: 0.5 if n in ("rate", "stddev") else 1 for n, f in cls._fields.items() if f.default is settings.REQUIRED
    }
    assert cls(**needed, seed=np.int64(3)).seed == 3
    with pytest.raises(TypeError, match=r"\(seed='3'\): expected an int or None, got '3'\."):
        cls(**needed, seed="3")


def test_inherited_settings_stand_behind_ones_own_or_where_a_line_says_so():
    class Penalties(settings.Configured, kw_only=True):
        l1: float = 0.0
        l2: float = 0.0

    class Behind(Penalties):
        units: int
        seed: int = 7

    class Between(Penalties):
        units: int
        _here: ClassVar[Penalties]
        seed: int = 7

    assert list(Behind._fields) == ["units", "seed", "l1", "l2"]
    assert list(Between._fields) == ["units", "l1", "l2", "seed"]
    assert Between(3, 0.5).get_config() == {"units": 3, "l1": 0.5, "l2": 0.0, "seed": 7}
    assert str(inspect.signature(Between)) == "(units, l1=0.0, l2=0.0, seed=7)"
