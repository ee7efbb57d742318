"""Whether rows of a batch meet, and that numbers are right where they do: filled up, cut, joined, split, in parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.compiled import rows
from fkeras.compiled.rows import Along, follow, why_rows_meet
from fkeras.distribute import DataParallel
from fkeras.layers.contract.context import Context
from tests.catalog import layer_rows

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(40, 4)).astype("float32")


# ------------------------------------------------------------------------------ the authority on single functions


def scan_of(step, carry, xs):
    return jax.lax.scan(step, carry, xs)[1]


TABLE = jnp.arange(12.0).reshape(4, 3)
INDEX = np.array([2, 0])
APART = {
    "elementwise": lambda x: jnp.where(x > 0, jnp.exp(x), -x) * 2.0,
    "softmax": lambda x: jax.nn.softmax(x),
    "product": lambda x: x @ TABLE.T,
    "product from the right": lambda x: (TABLE @ x.T).T,
    "rows times themselves": lambda x: jnp.einsum("bi,bj->bij", x, x),
    "merged axes": lambda x: jnp.tanh(x[:, :, None] * TABLE.T).reshape(-1, 4).reshape(len(x), -1),
    "moved axes": lambda x: jnp.moveaxis(jnp.moveaxis(x[..., None], 0, 2) + 1, 2, 0),
    "a table": lambda x: TABLE[jnp.clip(x.astype(int), 0, 3)[:, 0]],
    "places of each row": lambda x: x[:, INDEX],
    "its own places": lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1), 1),
    "sums of each row": lambda x: jnp.cumsum(x, 1) - x.mean(1, keepdims=True),
    "joined": lambda x: jnp.concatenate([x, x[:, 1:], jnp.ones((len(x), 2))], 1),
    "called": jax.checkpoint(lambda x: jax.nn.relu(x) + jax.jit(jnp.tanh)(x)),
    "a loop over time": lambda x: (
        scan_of(lambda c, a: (c + a[:, None], c * 2), jnp.zeros((len(x), 4)), x.T).reshape(-1, len(x), 4).swapaxes(0, 1)
    ),
    "a loop that takes rows up late": lambda x: (
        scan_of(lambda c, a: ((c[1], c[0] + a), c[1]), (jnp.zeros(len(x)), jnp.ones(len(x))), x.T).T
    ),
    "stacked": lambda x: jnp.stack([x, 2 * x], 1) - jnp.stack([x, x], -1).swapaxes(1, 2),
    "stacked before": lambda x: jnp.stack([x, 2 * x])[1],
    "top": lambda x: jax.lax.top_k(x, 2)[0],
    "what nobody reads": lambda x: (x.sum(), x + 1)[1],
    "ones": lambda x: x + jnp.ones(len(x))[:, None] * jnp.arange(3),
    "padded": lambda x: jnp.pad(x, ((0, 0), (1, 1)))[:, ::2],
}
MIXED = {
    "mean": lambda x: x - x.mean(0),
    "its number": lambda x: x + jnp.arange(len(x))[:, None],
    "its number by NumPy": lambda x: x + np.arange(len(x), dtype="float32")[:, None],
    "its number in a call": lambda x: jax.jit(lambda x: x * np.arange(len(x), dtype="float32")[:, None])(x),
    "how many": lambda x: x * jnp.sum(jnp.ones(len(x))),
    "ever more": lambda x: x * jnp.cumsum(jnp.ones(len(x)))[:, None],
    "maximum": lambda x: x + x.max(),
    "softmax": lambda x: jax.nn.softmax(x, 0),
    "sums": lambda x: jnp.cumsum(x, 0),
    "sorted": lambda x: jnp.sort(x, 0),
    "flipped": lambda x: x[::-1],
    "shifted": lambda x: jnp.roll(x, 1, 0),
    "shifted by padding": lambda x: jnp.pad(x, ((1, 0), (0, 0)))[:-1],
    "the first": lambda x: x + x[:1],
    "some": lambda x: x[INDEX],
    "chosen by itself": lambda x: x[jnp.clip(x[:, 0].astype(int), 0, 1)],
    "products of rows": lambda x: (x @ x.T) @ x,
    "sum of products": lambda x: x @ (x.T @ x),
    "other order": lambda x: jnp.tile(x, (2, 1)).reshape(len(x), -1),
    "interleaved": lambda x: x.T.reshape(len(x), -1),
    "joined rows": lambda x: jnp.concatenate([x, x], 0)[: len(x)],
    "windows": lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 1), (1, 1), "SAME"),
    "own reduction": lambda x: x + jax.lax.reduce(x, 0.0, lambda a, b: a + 2 * b, (0,)),
    "no rows": lambda x: jnp.zeros((3, 2)),
    "an unknown loop": lambda x: jax.lax.while_loop(lambda a: a.sum() < 9, lambda a: a + 1, x),
    "a loop over rows": lambda x: jax.lax.scan(lambda c, a: (c + a, c), jnp.zeros(3), x)[1],
    "a loop that mixes late": lambda x: jax.lax.scan(lambda c, _: ((c[1], c[1].sum(0) + c[0]), c[0]), (x, x), None, 3)[
        0
    ][0],
    "both outputs": lambda x: (x, x.sum()),
}
MORE_MIXED = {
    "divided by their number": lambda x: x / len(x),
    "numbers by a scan": lambda x: x + jax.lax.scan(lambda c, _: (c + 1, c), 0.0, None, length=len(x))[1][:, None],
    "as many rounds": lambda x: jax.lax.fori_loop(0, len(x), lambda i, a: a + 1, x),
    "as many rounds, by a condition": lambda x: jax.lax.while_loop(
        lambda c: c[0] < len(x), lambda c: (c[0] + 1, c[1] + 1), (0, x)
    )[1],
    "an axis as long as the batch": lambda x: x / jnp.sum(jnp.ones((len(x), len(x))), 1, keepdims=True),
    "a softmax over all pairs": lambda x: jax.nn.softmax(x @ x.T) @ x,
    "Python branches on it": lambda x: x if len(x) > 16 else 2 * x,
    "all pairs": lambda x: x @ x.T,
    "its size": lambda x: jnp.full((x.shape[0], 1), x.shape[0], x.dtype),
    "ranks": lambda x: jnp.argsort(jnp.argsort(x, 0), 0),
    "a branch on all rows": lambda x: jax.lax.cond(x.sum() > 0, lambda x: x, lambda x: -x, x),
    "small batches inside": lambda x: x.reshape(4, -1, 3) - x.reshape(4, -1, 3).mean(1, keepdims=True),
}


def rows_of(shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct((5, *shape), dtype)


@pytest.mark.parametrize("name", APART)
def test_rows_that_stay_apart(name):
    function, x = APART[name], np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    for numbers in ((32, 3), (10, 3), (4, 3), rows.two_numbers(1), (rows.ALIKE, rows.ALIKE)):
        assert follow(function, rows=rows_of((3,)), numbers=numbers).places == 0
    other = np.concatenate([x[:2], 3 - x[2:]])
    np.testing.assert_allclose(function(x)[:2], function(other)[:2], rtol=1e-6)
    np.testing.assert_allclose(jnp.concatenate([function(x[:2]), function(x[2:])]), function(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("numbers", [(32, 3), (10, 3), (5, 3), rows.two_numbers(2)], ids=str)
@pytest.mark.parametrize("name", [*MIXED, *MORE_MIXED])
def test_rows_that_may_meet(name, numbers):
    if name == "Python branches on it" and numbers[0] < 17:
        return  # neither number is beyond the branch: as docs/speed.md says, that cannot be seen
    function = (MIXED | MORE_MIXED)[name]
    try:
        places = jax.tree.leaves(follow(function, rows=rows_of((3,)), numbers=numbers).places, is_leaf=rows.is_place)
    except (TypeError, IndexError):
        return  # it takes no such number of rows
    assert any(place != 0 for place in places)


def test_what_a_running_value_becomes_is_told():
    counted = follow(lambda x, count: (x * 2, count + 1), jnp.zeros(()), rows=rows_of((3,)), numbers=(32, 3))
    assert counted.places == (0, None) and counted.kept == (False, False) and counted.used == (True,)
    same = follow(lambda x, count: (x + 1, count), jnp.zeros(()), rows=rows_of((3,)), numbers=(32, 3))
    assert same.kept == (False, True) and same.used == (False,) and same.row_bytes == 12


@pytest.mark.parametrize(
    "function, kind",
    [
        (lambda x: jnp.mean(x), "mean"),
        (lambda x: 3 - 0.5 * jnp.mean(jnp.sum(1 + x - x**2, -1)), "mean"),
        (lambda x: jnp.sum(x) * (1 / len(x)), "mean"),
        (lambda x: x.T @ x / len(x), "mean"),
        (lambda x: 2 * jnp.sum(x), "sum"),
        (lambda x: jnp.sum(x) + 1, "mixed"),
        (lambda x: jnp.sqrt(jnp.mean(x)), "mixed"),
        (lambda x: jnp.mean(x) * jnp.mean(x), "mixed"),
        (lambda x: jnp.sum(x) * len(x), "mixed"),
        (lambda x: len(x) / jnp.sum(x), "mixed"),
        (lambda x: jnp.mean(x) / len(x), "mixed"),
        (lambda x: jnp.max(x), "mixed"),
    ],
)
def test_sums_and_means_over_rows_are_told_from_other_ways_to_meet(function, kind):
    place = follow(function, rows=rows_of((3,)), numbers=(32, 3)).places
    assert place.kind == kind
    parts = jnp.asarray(X[:32, :3]).reshape(2, 16, 3)
    whole, halves = function(X[:32, :3]), [function(part) for part in parts]
    if kind != "mixed":
        np.testing.assert_allclose(whole, sum(halves) / (2 if kind == "mean" else 1), rtol=1e-4, atol=1e-5)


def test_rows_that_are_repeated_along_an_axis_are_followed():
    assert Along(0, 2) != 0 and Along(1) == 1 and Along(0, 2) == Along(0, 2)

    def steps_first(x):
        y = jnp.tanh(x.swapaxes(0, 1).reshape(-1, 3) @ TABLE.T)  # [B, T, 3] -> [T * B, 4]
        return y.reshape(x.shape[1], -1, 4).swapaxes(0, 1)

    assert follow(steps_first, rows=rows_of((7, 3)), numbers=(32, 3)).places == 0
    places = follow(lambda x: x.swapaxes(0, 1).reshape(-1, 3), rows=rows_of((7, 3)), numbers=(32, 3)).places
    assert places.why == "makes several entries of a row"


def test_reasons_name_what_happens():
    y = rows_of((3,))
    assert why_rows_meet(lambda t, p: abs(t - p), y, y) is None
    for function, why in {
        lambda t, p: jnp.mean((t - p) ** 2): "sums over the rows",
        lambda t, p: jnp.max(t - p, 0): "takes the maximum over the rows",
        lambda t, p: (t - p)[::-1]: "reverses the rows",
        lambda t, p: (t - p) / len(t): "uses the number of rows",
        lambda t, p: (t - p).T: "gives no value per row",
    }.items():
        assert why_rows_meet(function, y, y) == why


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", {row.kind: row for row in layer_rows()}.values(), ids=str)
def test_what_is_said_of_a_layer_is_true(case, training, key):
    """Every layer of the catalog keeps rows apart, training too, but for what it does with the rows' mask."""
    layer, x = case.build()
    params, state = layer.init(key, x.shape)

    def call(given, params, state):
        x, ids = given
        ctx = Context(training, key, None, ids >= 0, ids, losses=[], probe="fill" if training else "cut")
        return layer.apply_masked(params, state, x, ctx)[0]

    like = jax.ShapeDtypeStruct(x.shape, x.dtype), jax.ShapeDtypeStruct(x.shape[:1], "int32")
    found = follow(call, params, state, rows=like, numbers=(rows.ALIKE, rows.ALIKE))
    assert all(place == 0 for place in jax.tree.leaves(found.places, is_leaf=rows.is_place)), found.places
    if training:
        return
    other = np.concatenate([x[:1], x[:1], x[1:][::-1]])
    found, whole = (layer.apply(params, state, a)[0] for a in (other, x))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(np.asarray(a[0], "float32"), np.asarray(b[0], "float32"), rtol=1e-4, atol=1e-5)


# ------------------------------------------------------- the law: models, losses and metrics in which rows meet

WAYS = {  # [B, 4] -> [B, 4]
    "centre": (lambda x: x - jnp.mean(x, 0), "sums over the rows"),
    "whiten": (lambda x: x / (1 + jnp.std(x, 0)), ""),
    "attend": (lambda x: jax.nn.softmax(x @ x.T) @ x, "multiplies rows with each other"),
    "share": (lambda x: x / len(x), "uses the number of rows"),
    "first": (lambda x: x + x[:1], "picks rows"),
    "rolled": (lambda x: jnp.roll(x, 1, 0), "uses the number of rows"),
    "numbered": (lambda x: x + 0.01 * jnp.arange(len(x))[:, None], "numbers the rows"),
    "counted": (lambda x: x + 0.01 * jax.lax.scan(lambda c, _: (c + 1, c), 0.0, None, len(x))[1][:, None], "uses the"),
    "largest": (lambda x: x - jnp.max(x, 0), "takes the maximum over the rows"),
}


def as_lambda(function):
    return layers.Lambda(function, name="meets")


class Pure(layers.Layer):
    """A layer written as declare/forward."""

    function: object = None

    def forward(self, params, state, x, ctx):
        return self.function(x), state


class KerasWay(layers.Layer):
    """A layer written as Keras's, with a function that its `call` reaches in another way."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.inner = [lambda x: function(x)]

    def call(self, x):
        return self.inner[0](x)


STYLES = {
    "Lambda": as_lambda,
    "declare/forward": lambda f: Pure(f, name="meets"),
    "call": lambda f: KerasWay(f, name="meets"),
}


def model_of(function, style, dense=False, **compiled):
    fkeras.utils.set_random_seed(3)
    inner = [layers.Dense(4, name="dense")] if dense else []
    model = fkeras.Sequential([fkeras.Input((4,)), *inner, STYLES[style](function)])
    model.compile(fkeras.optimizers.SGD(0.1), compiled.pop("loss", "mse"), **compiled)
    return model


def in_batches(function, x, size=32):
    return np.concatenate([function(x[i : i + size]) for i in range(0, len(x), size)])


@pytest.mark.filterwarnings("ignore:Batches run on one of 2 devices")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("way", WAYS)
def test_predict_and_evaluate_give_what_the_batches_give(way, style):
    function, why = WAYS[way]
    model = model_of(function, style)
    for n in (10, 40, 1):
        wanted = in_batches(function, X[:n])
        np.testing.assert_allclose(model.predict(X[:n], verbose=0), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X[:7]), function(X[:7]), rtol=1e-5, atol=1e-6)
    for n in (10, 40):
        wanted = np.mean((in_batches(function, X[:n]) - Y[:n]) ** 2)
        np.testing.assert_allclose(model.evaluate(X[:n], Y[:n], verbose=0), wanted, rtol=1e-5)
    assert f"{model.layers[-1].label} {why}" in str(model.compile_report())
    if style == "call":
        model.compile("sgd", "mse", distribute=2)
        np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), wanted, rtol=1e-5)
        wanted = in_batches(function, X)
        np.testing.assert_allclose(model.predict(X, verbose=0), wanted, rtol=1e-5, atol=1e-6)


def plainly_trained(function, kernel, bias, loss, n, epochs=2):
    """What SGD makes of the weights, batch by batch."""

    def of_batch(weights, x, y):
        return loss(y, function(x @ weights[0] + weights[1]))

    weights = (kernel, bias)
    for _ in range(epochs):
        for i in range(0, n, 32):
            slopes = jax.grad(of_batch)(weights, X[i : min(i + 32, n)], Y[i : min(i + 32, n)])
            weights = jax.tree.map(lambda w, g: w - 0.1 * g, weights, slopes)
    return weights


def mse(y_true, y_pred):
    return jnp.mean((y_true - y_pred) ** 2)


@pytest.mark.filterwarnings("ignore:Batches run on one of 2 devices")
@pytest.mark.parametrize("way, style", [*zip(WAYS, [*STYLES] * 3, strict=True)])
def test_fit_gives_what_the_batches_give(way, style):
    function, why = WAYS[way]
    for n, devices in ((10, None), (40, None), (40, 2)):
        model = model_of(function, style, dense=True, distribute=devices)
        wanted = plainly_trained(function, *model.get_weights(), mse, n)
        model.fit(X[:n], Y[:n], epochs=2, shuffle=False, verbose=0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), tuple(model.get_weights()), wanted)
    model.compile("sgd", "mse", distribute=DataParallel(1, accumulate=2))
    with pytest.raises(ValueError, match=f"accumulate=2: a batch cannot be cut into parts, because .*{why}"):
        model.fit(X, Y, verbose=0)


def contrastive(y_true, y_pred):
    """One value per row that reads all rows."""
    scores = y_pred @ y_pred.T
    return jax.scipy.special.logsumexp(scores, 1) - jnp.diag(scores)


def ranks(y_true, y_pred):
    """One value per row: its rank within the batch."""
    return jnp.argsort(jnp.argsort(y_pred[:, 0])).astype("float32")


def of_all(y_true, y_pred):
    return jnp.max(jnp.abs(y_true - y_pred)) + mse(y_true, y_pred)


@pytest.mark.parametrize("loss", [contrastive, of_all, lambda t, p: jnp.abs(t - p) / len(t)])
def test_losses_that_read_other_rows(loss):
    def value(t, p):
        return jnp.mean(loss(t, p))

    for n, devices in ((10, None), (40, None), (40, 2)):
        model = model_of(jnp.tanh, "Lambda", dense=True, loss=loss, distribute=devices)
        weights = model.get_weights()
        predicted = np.tanh(X[:n] @ weights[0] + weights[1])
        parts = [slice(i, min(i + 32, n)) for i in range(0, n, 32)]
        wanted = sum(value(Y[p], predicted[p]) * (p.stop - p.start) for p in parts) / n
        np.testing.assert_allclose(model.evaluate(X[:n], Y[:n], verbose=0), wanted, rtol=1e-5)
        wanted = plainly_trained(jnp.tanh, *weights, value, n)
        model.fit(X[:n], Y[:n], epochs=2, shuffle=False, verbose=0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), tuple(model.get_weights()), wanted)
    assert "not filled up: loss" in str(model.compile_report())
    model.compile("sgd", loss, distribute=DataParallel(1, accumulate=2))
    with pytest.raises(ValueError, match="accumulate=2: .* needs all rows of a batch at once"):
        model.fit(X[:32], Y[:32], verbose=0)


def test_metrics_that_read_other_rows():
    for devices in (None, 2):
        model = model_of(jnp.tanh, "Lambda", metrics=[ranks], distribute=devices)
        assert model.evaluate(X[:10], Y[:10], verbose=0)[1] == 4.5
        assert model.evaluate(X, Y, verbose=0)[1] == pytest.approx((15.5 * 32 + 3.5 * 8) / 40)
        model = model_of(jnp.tanh, "Lambda", dense=True, metrics=[ranks], distribute=devices)
        assert model.fit(X, Y, verbose=0).history["ranks"] == [pytest.approx((15.5 * 32 + 3.5 * 8) / 40)]
    assert "metric 'ranks'" in str(model.compile_report())


# ----------------------------------------------------------------------------------- losses and logs of layers


def helper(layer, x):
    layer.add_loss(jnp.mean(x))
    (lambda: layer.add_metric(jnp.max(x), name="largest"))()


class Adds(layers.Layer):
    def __init__(self, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way

    def call(self, x):
        if self.way == "helper":
            helper(self, x)
        elif self.way == "lambda":
            (lambda value: self.add_loss(value))(jnp.mean(x))
        elif self.way == "rows":
            self.add_loss(x[:, 0])
        elif self.way == "largest":
            self.add_loss(jnp.max(x))
        return x


N = np.arange(40, dtype="float32")[:, None]


@pytest.mark.parametrize("devices", [None, 2])
@pytest.mark.parametrize("way", ["helper", "lambda", "rows", "largest"])
def test_losses_that_a_layer_adds_by_a_helper_are_those_of_the_real_rows(way, devices, recwarn):
    value = {"rows": np.sum, "largest": np.max}.get(way, np.mean)
    model = fkeras.Sequential([fkeras.Input((1,)), Adds(way)])
    model.compile("sgd", lambda t, p: 0 * p[:, 0], distribute=devices)
    for n in (10, 40):
        wanted = sum(value(N[i : min(i + 32, n)]) * (min(i + 32, n) - i) for i in range(0, n, 32)) / n
        found = model.evaluate(N[:n], N[:n], verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(wanted)
        if way == "helper":
            assert found["largest"] == np.mean([N[i : min(i + 32, n)].max() for i in range(0, n, 32)])
    one = [str(w.message) for w in recwarn if "one of 2 devices" in str(w.message)]
    assert bool(one) == (devices == 2 and way in ("largest", "helper"))  # means of equal parts are the mean


def test_means_that_a_layer_adds_are_trained_on_in_parts():
    """The usual Kullback-Leibler term of an autoencoder: the mean over a batch is that of its equal parts."""

    class Coding(layers.Layer):
        def call(self, x):
            self.add_loss(-0.5 * jnp.mean(1 + x - x**2 - jnp.exp(x)))
            return x

    runs = []
    for how in (None, 2, DataParallel(1, accumulate=2)):
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential([fkeras.Input((4,)), layers.Dense(4), Coding(), layers.Dense(4)])
        model.compile("sgd", "mse", distribute=how)
        runs.append((model.fit(X, Y, epochs=2, verbose=0).history["loss"], model.get_weights()))
    for run in runs[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), run, runs[0])


def test_penalties_of_ones_own_are_computed_on_real_rows():
    def spread(y):
        return jnp.max(y) - jnp.min(y)

    for devices in (None, 2):
        model = fkeras.Sequential([fkeras.Input((1,)), layers.Activation("linear", activity_regularizer=spread)])
        model.compile("sgd", lambda t, p: 0 * p[:, 0], distribute=devices)
        context = pytest.warns(UserWarning, match="one of 2 devices") if devices else _nothing()
        with context:
            assert model.evaluate(N[:10] + 5, N[:10], verbose=0) == pytest.approx(0.9)  # (14 - 5) / 10 rows
    assert "for a penalty on its output" in str(model.compile_report())


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_running_values_of_ones_own_are_those_of_the_real_rows():
    class Running(layers.Layer):
        def build(self, shape):
            self.mean = self.add_weight(shape=(1,), initializer="zeros", trainable=False)
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x, training=False):
            if training:
                self.mean.assign(jnp.mean(x, 0))
                self.calls.assign(self.calls + 1)
            return x * 1.0

    model = fkeras.Sequential([fkeras.Input((1,)), Running(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(N, N, epochs=2, shuffle=False, verbose=0)
    mean, calls = model.layers[0].get_weights()
    assert mean == np.mean(N[32:]) and calls == 4


# ------------------------------------------------------------------------------- outputs, streams, fixed sizes


def test_outputs_without_rows_are_predicted_batch_by_batch():
    gram = fkeras.Sequential([fkeras.Input((4,)), layers.Lambda(lambda a: a @ a.T)])
    np.testing.assert_allclose(gram.predict(X[:10], verbose=0), X[:10] @ X[:10].T, rtol=1e-5)
    size = fkeras.Sequential([fkeras.Input((4,)), layers.Lambda(lambda x: jnp.full((x.shape[0], 1), x.shape[0]))])
    assert size.predict(X[:10], verbose=0).tolist() == [[10]] * 10
    fixed = fkeras.Sequential([fkeras.Input((4,)), layers.Lambda(lambda x: x.T)])
    assert fixed.predict(X[:32], batch_size=16, verbose=0).shape == (8, 16)
    with pytest.raises(ValueError, match="different sizes"):
        gram.predict(X[:10], batch_size=8, verbose=0)
    with pytest.raises(ValueError, match="output 'total' of .* is a single number for a batch, without a batch axis"):
        fkeras.Sequential([fkeras.Input((4,)), layers.Lambda(jnp.sum, name="total")]).predict(X[:10], verbose=0)


def sequences(lengths):
    rng = np.random.default_rng(5)
    return [(x, x[..., :1] * 0.5) for x in (rng.normal(size=(4, t, 2)).astype("float32") for t in lengths)]


@pytest.mark.parametrize("lengths", [(5, 7, 9), (5, 1), (3, 3, 6, 6, 3)])
def test_batches_of_other_lengths_end_a_block(lengths):
    fkeras.utils.set_random_seed(0)
    model = fkeras.Sequential([fkeras.Input((None, 2)), layers.LSTM(3, return_sequences=True), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    data = sequences(lengths)
    start = model.get_weights()
    losses = [float(np.mean((np.asarray(model(x)) - y) ** 2)) for x, y in data]
    assert model.evaluate(iter(data), verbose=0)[0] == pytest.approx(np.mean(losses), rel=1e-5)
    model.fit(iter(data), verbose=0)
    fitted = model.get_weights()
    model.set_weights(start)
    for x, y in data:
        model.train_on_batch(x, y)
    for a, b in zip(fitted, model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    with pytest.raises(ValueError, match="predict: the outputs of the batches have different sizes"):
        model.predict((x for x, _ in data), verbose=0)


def test_batches_of_other_dtypes_and_with_weights_now_and_then_end_a_block():
    model = fkeras.Sequential([fkeras.Input((1,)), layers.Lambda(lambda x: x * 1.0)])
    model.compile("sgd", lambda t, p: p[:, 0])
    y = np.zeros((4, 1), "float32")
    mixed = [(np.full((4, 1), v, d), y) for v, d in ((0, "int32"), (1.5, "float32"), (1, "int32"), (1.5, "float32"))]
    assert model.evaluate(iter(mixed), verbose=0) == pytest.approx(1.0)
    one = np.ones((4, 1), "float32")
    weighed = [(one, y, np.zeros(4)), (one, y), (one, y, np.zeros(4)), (one, y)]
    for order in (weighed, weighed[::-1]):
        assert model.evaluate(iter(order), verbose=0) == pytest.approx(0.5)


class Numbered(fkeras.utils.PyDataset):
    def __init__(self, n=8, **kwargs):
        super().__init__(**kwargs)
        self.n, self.seen = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.seen.append(i)
        return np.full((2, 1), i, "float32"), np.zeros((2, 1), "float32")


def seen_in(model, data, **how):
    """The batches of each epoch, by what the model saw of them."""
    seen = []
    watch = fkeras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(logs["loss"]))
    model.fit(data, callbacks=[watch], verbose=0, **how)
    return seen


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pydataset_is_shuffled_batch_by_batch(workers):
    orders = []
    for _ in range(2):
        fkeras.utils.set_random_seed(2)
        model = fkeras.Sequential([fkeras.Input((1,)), layers.Lambda(lambda x: x)])
        model.compile("sgd", lambda t, p: p[:, 0])
        means = np.array(seen_in(model, Numbered(workers=workers), epochs=3)).reshape(3, 8)
        epochs = np.diff(np.concatenate([np.zeros((3, 1)), means * np.arange(1, 9)], 1)).round().astype(int).tolist()
        orders.append(epochs)
    assert orders[0] == orders[1]  # a function of the seed
    assert all(sorted(epoch) == list(range(8)) for epoch in orders[0])
    assert len({str(epoch) for epoch in orders[0]}) == 3 and list(range(8)) not in orders[0]
    straight = seen_in(model, Numbered(workers=workers), shuffle=False)
    np.testing.assert_allclose(straight, np.cumsum(range(8)) / np.arange(1, 9))


@pytest.mark.parametrize("steps", [8, 3, 11])
def test_epochs_of_so_many_steps_go_on_through_a_pydataset(steps):
    """Scripts of Keras 2 give a data set's own length as steps_per_epoch."""

    class Walked(Numbered):
        """One that can be iterated over as well, as Keras 2's iterators."""

        def __iter__(self):
            return self

        def __next__(self):
            return self[0]

    model = fkeras.Sequential([fkeras.Input((1,)), layers.Lambda(lambda x: x)])
    model.compile("sgd", lambda t, p: p[:, 0])
    for made in (Numbered, Walked):
        data = made()
        losses = model.fit(data, steps_per_epoch=steps, epochs=3, shuffle=False, verbose=0).history["loss"]
        means = np.arange(3 * steps).reshape(3, steps) % 8
        np.testing.assert_allclose(losses, means.mean(1), rtol=1e-6)


def test_a_stateful_layer_refuses_parts():
    model = fkeras.Sequential([fkeras.Input(batch_shape=(4, 3, 1)), layers.LSTM(2, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse", distribute=DataParallel(1, accumulate=2))
    with pytest.raises(ValueError, match="cannot be split over accumulate=2 parts. Give stateful=False"):
        model.fit(np.zeros((8, 3, 1)), np.zeros((8, 1)), batch_size=4, verbose=0)


@pytest.mark.parametrize("stateful", [False, True])
def test_a_fixed_batch_is_the_size_of_batches(stateful):
    model = fkeras.Sequential([fkeras.Input(batch_shape=(2, 3, 1)), layers.LSTM(2, stateful=stateful), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(6, 3, 1)).astype("float32")
    model.fit(x, x[:, 0], shuffle=False, verbose=0)
    assert model.evaluate(x, x[:, 0], verbose=0) > 0
    assert model.predict(x, verbose=0).shape == (6, 1)
    assert model.predict(x[:5], verbose=0).shape == (5, 1)  # the last batch is filled up


def test_epochs_of_fewer_steps_go_on_through_arrays():
    model = fkeras.Sequential([fkeras.Input((1,)), layers.Lambda(lambda x: x * 1.0)])
    model.compile("sgd", lambda t, p: p[:, 0])
    x = np.arange(10, dtype="float32")[:, None]

    def losses(steps, epochs=5, **how):
        return model.fit(x, x, batch_size=2, epochs=epochs, steps_per_epoch=steps, verbose=0, **how).history["loss"]

    assert losses(2, shuffle=False) == [1.5, 5.5, 8.5, 1.5, 5.5]  # as Keras 3: the rest of a pass is an epoch
    assert losses(4, shuffle=False) == [3.5, 8.5, 3.5, 8.5, 3.5]
    assert losses(5, shuffle=False) == [4.5] * 5
    assert sum(losses(1)) == pytest.approx(4.5 * 5)


class Reshaped(layers.Layer):
    """What scripts with a fixed batch write: the number of rows as a literal, here and in a weight."""

    def call(self, x):
        return jnp.reshape(x, (8, -1)) * 2.0


class Shifted(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(3)

    def build(self, shape):
        self.shift = self.add_weight(shape=(2, 2), initializer="ones", name="shift")
        super().build(shape)

    def call(self, x):
        return self.inner(x + jnp.tile(self.shift, (4, 1)).reshape(8, 2, 1)[:, :, 0])


@pytest.mark.parametrize("known", ["batch_shape", "batch_size", "free"])
@pytest.mark.parametrize(
    "written",
    [Reshaped, Shifted, lambda: layers.Lambda(lambda x: jnp.reshape(x, (8, 2)))],
    ids="call inner Lambda".split(),
)
def test_a_call_that_is_written_for_one_number_of_rows(written, known):
    size = {
        "batch_shape": {"batch_shape": (8, 2)},
        "batch_size": {"shape": (2,), "batch_size": 8},
        "free": {"shape": (2,)},
    }
    layer = written()
    chain = [fkeras.Input(**size[known]), layer, layers.Dense(1)]
    model = fkeras.Sequential(chain)
    model.compile("sgd", "mse")
    x, y = X[:32, :2], Y[:32, :1]
    assert np.isfinite(model.fit(x, y, batch_size=8, epochs=2, verbose=0).history["loss"]).all()
    want = np.concatenate([chain[2](layer(x[i : i + 8])) for i in range(0, 32, 8)])
    np.testing.assert_allclose(model.predict(x, batch_size=8, verbose=0), want, rtol=1e-5, atol=1e-6)
    loss = model.evaluate(x, y, batch_size=8, verbose=0)
    assert loss == pytest.approx(((want - y) ** 2).mean(), rel=1e-5)
    if known == "free":
        assert "cannot be computed for 3 rows" in model.batching("predict", jax.ShapeDtypeStruct((8, 2), "float32")).cut
    else:  # the last batch is filled up to the only size there is
        loss = model.evaluate(x[:30], y[:30], batch_size=8, verbose=0)
        assert loss == pytest.approx(((want - y)[:30] ** 2).mean(), rel=1e-5)
        np.testing.assert_allclose(model.predict(x[:30], batch_size=8, verbose=0), want[:30], rtol=1e-5, atol=1e-6)


def test_a_wrong_call_is_told_as_it_is_for_the_usual_size():
    with pytest.raises(TypeError, match=r"got \(3,\) and \(4,\)|\(2, 3\)"):
        layers.Lambda(lambda x: x @ jnp.ones((4, 1)))(fkeras.Input((3,)))
