"""forecast: what is known from shapes alone is what compiling and running finds."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers


def model(**first):
    fkeras.utils.clear_session()
    made = fkeras.Sequential(
        [layers.Input((16,), **first), layers.Dense(64, "relu"), layers.BatchNormalization(), layers.Dense(3)]
    )
    made.compile("adam", fkeras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return made


def test_a_step_needs_what_was_said_and_nothing_was_allocated():
    made = model()
    expected = made.forecast(32)
    assert all(layer._cell is None or layer._cell._params is None for layer in made.layers)
    expected_predict = made.forecast(32, "predict")
    rows = 32 * 200
    made.fit(np.zeros((rows, 16), "float32"), np.zeros(rows, "int32"), batch_size=32, verbose=0)
    made.predict(np.zeros((rows, 16), "float32"), batch_size=32, verbose=0)
    trained, predicted = made.compile_report()
    for found, said in ((trained, expected), (predicted, expected_predict)):
        assert said.flops == pytest.approx(found.flops, rel=0.15)
        assert said.peak_bytes == pytest.approx(found.peak_bytes, rel=0.15)
    assert expected.parameters == made.count_params() and expected.compile_seconds > 0 and expected.fits
    text = str(expected)
    assert re.search(r"train, batches of +32 rows\nparameters +1,539\n", text) and "peak memory" in text


def test_the_largest_batch_fits_and_a_sixteenth_more_does_not():
    made = model()
    memory = 2.5e6
    found = made.forecast("largest", memory=memory, kind="predict")
    assert found.fits and found.peak_bytes <= memory
    more = made.forecast(found.batch_size + found.batch_size // 8, "predict")
    assert more.peak_bytes > memory
    assert made.forecast("largest", memory=1e12, most=64, kind="predict").batch_size == 64
    with pytest.raises(ValueError, match="over one row takes 0 MB, and there are 0 MB"):
        made.forecast("largest", memory=10.0, kind="predict")


def test_targets_and_free_sizes_may_be_given_as_shapes():
    x = layers.Input((None, 4))
    made = fkeras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has the shape .None, None, 4., whose sizes are not all known. Give x="):
        made.forecast(8)
    shapes = jax.ShapeDtypeStruct((1, 10, 4), jnp.float32), jax.ShapeDtypeStruct((1, 2), jnp.float32)
    long = jax.ShapeDtypeStruct((1, 100, 4), jnp.float32)
    assert made.forecast(8, x=shapes[0], y=shapes[1]).flops < made.forecast(8, x=long).flops


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="expected kind 'train' or 'predict', got 'test'"):
        model().forecast(8, "test")


def test_a_summary_counts_operations_by_layer(capsys):
    x = layers.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, name="conv")(x)
    inner = fkeras.Sequential([layers.Input((6, 6, 4)), layers.Flatten(), layers.Dense(5, name="dense")], name="inner")
    looped = layers.LSTM(2, name="loop")(layers.Reshape((5, 1))(inner(y)))
    made = fkeras.Model(x, layers.Dense(1, name="last", use_bias=False)(looped))
    made.summary(flops=True, expand_nested=True, line_length=120)
    text = capsys.readouterr().out
    found = {k: int(v.replace(",", "")) for k, v in re.findall(r"(\w+) \(\w+\) .* ([\d,]+) *$", text, re.M)}
    assert found["conv"] == 2 * 6 * 6 * 4 * 27 + 6 * 6 * 4
    assert found["dense"] == found["inner"] == 2 * 144 * 5 + 5
    assert found["last"] == 2 * 2
    assert found["loop"] >= 5 * 2 * (1 + 2) * 8
    assert f"FLOPs of one row: {sum(found[n] for n in ('conv', 'inner', 'loop', 'last')):,}" in text
    assert all(layer._cell is None or not layer._cell._params for layer in made.layers)


def test_a_summary_of_free_sizes_says_what_is_missing():
    x = layers.Input((None, 4))
    with pytest.raises(ValueError, match=r"summary\(flops=True\): the input .* whose sizes are not all known"):
        fkeras.Model(x, layers.Dense(2)(x)).summary(flops=True)
