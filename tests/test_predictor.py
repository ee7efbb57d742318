"""Predictions computed in parts: the same numbers, and only where rows surely do not meet."""

import jax
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.data import sources
from fkeras.training import predict as predictor


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
    return predictor._part_size(model, model.gather()[0], jax.ShapeDtypeStruct((batches, rows, *shape), "float32"))


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
