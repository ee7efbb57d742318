"""Predictions computed in parts: the same numbers, and only where rows surely do not meet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.compiled import rows as apart
from fkeras.data import sources
from fkeras.layers.contract.context import Context
from fkeras.training import predict as predictor
from tests.catalog import layer_rows


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


def rows_of(shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct((apart.ROWS, *shape), dtype)


@pytest.mark.parametrize("name", APART)
def test_rows_that_stay_apart(name):
    function, x = APART[name], np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    assert apart.look(lambda x: (function(x), ()), rows=rows_of((3,)))[0] >= 4
    other = np.concatenate([x[:2], 3 - x[2:]])
    np.testing.assert_allclose(function(x)[:2], function(other)[:2], rtol=1e-6)
    np.testing.assert_allclose(jnp.concatenate([function(x[:2]), function(x[2:])]), function(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_may_meet(name):
    with pytest.raises(apart.Mixed):
        apart.look(lambda x: (MIXED[name](x), ()), rows=rows_of((3,)))


def test_a_running_value_that_changes_is_no_pure_prediction():
    with pytest.raises(apart.Mixed):
        apart.look(lambda x, count: (x * 2, count + 1), jnp.zeros(()), rows=rows_of((3,)))
    assert apart.look(lambda x, count: (x * count, count), jnp.zeros(()), rows=rows_of((3,))) == (12, False)


@pytest.mark.parametrize("case", {row.kind: row for row in layer_rows()}.values(), ids=str)
def test_what_is_said_of_a_layer_is_true(case, key):
    """Few layers are not known to keep rows apart, for unusual loops or axes; the others' do not change with others."""
    layer, x = case.build()
    params, state = layer.init(key, x.shape)
    like = jax.ShapeDtypeStruct((apart.ROWS, *x.shape[1:]), x.dtype)
    try:
        apart.look(lambda x, *arrays: layer.apply_masked(*arrays, x, Context())[:2], params, state, rows=like)
    except apart.Mixed:
        assert case.kind.startswith(("Discretization", "ConvLSTM")), case
        return
    other = np.concatenate([x[:1], x[:1], x[1:][::-1]])
    found, whole = (layer.apply(params, state, a)[0] for a in (other, x))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(np.asarray(a[0], "float32"), np.asarray(b[0], "float32"), rtol=1e-4, atol=1e-5)


def cnn():
    return fkeras.Sequential(
        [layers.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(),
         layers.MaxPool2D(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)]
    )  # fmt: skip


def two_ends():
    a, b = layers.Input((4,), name="a"), layers.Input((6, 4), name="b")
    mixed = layers.MultiHeadAttention(2, 3)(b, b)
    joined = layers.Concatenate()([a, layers.GlobalAveragePooling1D()(mixed)])
    return fkeras.Model([a, b], {"one": layers.Dense(2)(joined), "all": mixed})


def lstm():
    return fkeras.Sequential([layers.Input((5,)), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(6)])


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of parts that were chosen, in order."""
    found, choose = [], predictor._part_size
    monkeypatch.setattr(predictor, "_part_size", lambda *args: found.append(choose(*args)) or found[-1])
    return found


@pytest.mark.parametrize("make", [cnn, two_ends, lstm])
def test_parts_give_what_the_batches_give(make, sizes, monkeypatch):
    """150 rows in batches of 32: each cut in eight, and several joined."""
    model, rng = make(), np.random.default_rng(1)
    x = [rng.integers(0, 9, (150, *spec.shape[1:])).astype(spec.dtype) for spec in model.input_specs()]
    x = x[0] if len(x) == 1 else x

    def predicted(part, joined):
        for name, value in dict(PART_BYTES=part, JOINED_BYTES=joined, LOOP_BYTES=max(part, joined)).items():
            monkeypatch.setattr(predictor, name, value)
        model.compile("sgd", "mse")  # forgets the programs
        return model.predict(x, verbose=0), model.predict_on_batch(x)

    monkeypatch.setattr(predictor, "PART_ROWS", 4)
    monkeypatch.setattr(predictor, "_weight_bytes", lambda params: 0)
    monkeypatch.setattr(sources, "BLOCK_BYTES", 8 * 32 * 2 * max(4 * 8 * 8, sum(a[:1].nbytes for a in x)))
    parts, joined = predicted(1, 0), predicted(1 << 40, 1 << 40)
    assert sizes[:2] == [4, 75] and sizes[2] >= 64 and sizes[3] == 150
    whole = model(x)
    for one in (*parts, *joined):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_parts_without_a_real_row_are_not_computed(monkeypatch):
    monkeypatch.setattr(predictor, "PART_BYTES", 1)
    model = fkeras.Sequential([fkeras.Input((3,)), layers.Lambda(lambda x: x + 1)])
    x, rows = np.zeros((2, 32, 3), "float32"), np.arange(64).reshape(2, 32) < 42
    found, _ = jax.jit(predictor.predictor(model))({}, {}, x, rows, 2)
    np.testing.assert_array_equal(found.reshape(64, 3)[:, 0], np.arange(64) < 48)  # six parts of eight rows


def test_a_layer_that_mixes_rows_sees_its_whole_batch(monkeypatch):
    monkeypatch.setattr(predictor, "PART_BYTES", 1)
    model = fkeras.Sequential([layers.Input((3,)), layers.Lambda(lambda x: x - x.mean(0))])
    x = np.random.default_rng(0).normal(size=(128, 3)).astype("float32")
    wanted = np.concatenate([a - a.mean(0) for a in np.split(x, 2)])
    np.testing.assert_allclose(model.predict(x, batch_size=64, verbose=0), wanted, atol=1e-6)


def part_size(model, rows, batches=1):
    shape = model.input_specs()[0].shape[1:]
    x = jax.ShapeDtypeStruct((batches, rows, *shape), "float32")
    return predictor._part_size(model, *model.gather(), x, jax.ShapeDtypeStruct((batches, rows), bool))


def test_parts_are_as_large_as_the_cache_likes_them(monkeypatch):
    model, row = cnn(), 6 * 6 * 4 * 4  # bytes of the first convolution's output
    assert part_size(model, 64) == 64
    assert part_size(model, 1 << 20) * row <= predictor.PART_BYTES < part_size(model, 1 << 20) * row * 2
    assert part_size(model, 32, 1024) * row <= predictor.JOINED_BYTES < part_size(model, 32, 1024) * row * 2
    assert part_size(model, 33, 3) == 33
    monkeypatch.setattr(predictor, "_weight_bytes", lambda params: predictor.PART_BYTES * 4)  # read by every part
    assert part_size(model, 1 << 20) * row > predictor.PART_BYTES * 2
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert part_size(model, 1 << 20) == 1 << 20
