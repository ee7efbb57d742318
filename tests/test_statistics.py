"""Means and variances: what does not count has no part in them, and large means do not cancel.

The judge is NumPy in float64 on the entries that count alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers, metrics
from fkeras.layers.contract.base import Context
from fkeras.layers.normalization import batch_moments, scale_and_shift

B, T, C = 8, 6, 3


def masks():
    """Masks [B, T] by what is padding; each says which steps are real."""
    steps = np.arange(T)
    some = np.random.default_rng(5).random((B, T)) < 0.5
    return {
        "before": np.broadcast_to(steps >= 2, (B, T)),
        "before, by rows": steps >= np.array([5, 6, 1, 2, 3, 4, 5, 0])[:, None],
        "first rows": np.broadcast_to(np.arange(B)[:, None] >= 3, (B, T)),
        "behind": steps < np.array([6, 5, 4, 3, 2, 1, 1, 1])[:, None],
        "here and there": some,
        "one step": (steps == T - 1) & (np.arange(B)[:, None] == B - 1),
    }


def padded(mean, mask, filler):
    x = np.random.default_rng(0).normal(mean, [1.0, 0.5, 2.0], (B, T, C)).astype("float32")
    return np.where(mask[..., None], x, np.float32(filler)), x[mask].astype("float64")


@pytest.mark.parametrize("kind", masks())
@pytest.mark.parametrize(("mean", "filler"), [(2000.0, 0.0), (0.0, 1e6), (-2000.0, np.inf), (2000.0, np.nan)], ids=str)
def test_masked_steps_shift_no_moments(kind, mean, filler):
    mask = masks()[kind]
    x, real = padded(mean, mask, filler)
    got = batch_moments(jnp.asarray(x), (0, 1), jnp.asarray(mask)[..., None])
    # A float32 at 2000 is known to 1.2e-4, so that a deviation of 1 is known to 1e-4.
    np.testing.assert_allclose(got[0].ravel(), real.mean(0), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(got[1].ravel(), real.var(0), rtol=2e-3, atol=1e-4)


def test_masked_steps_shift_no_moments_where_channels_come_first():
    """Then the mask [B, T] lies along the channels: each has a first real row of its own."""
    mask = masks()["before, by rows"]
    x = np.where(mask[..., None], np.random.default_rng(0).normal(2000.0, 1.0, (B, T, C)), 0).astype("float32")
    mean, variance = batch_moments(jnp.asarray(x), (0, 2), jnp.asarray(mask)[..., None])
    for t in range(T):
        real = x[:, t][mask[:, t]].astype("float64")
        np.testing.assert_allclose(mean[0, t, 0], real.mean(), rtol=1e-6)
        np.testing.assert_allclose(variance[0, t, 0], real.var(), rtol=2e-3)


@pytest.mark.parametrize("filler", [0.0, 1e6, np.nan])
def test_padded_rows_in_front_shift_no_moments(filler):
    x = np.random.default_rng(0).normal(2000.0, 1.0, (B, C)).astype("float32")
    rows = np.arange(B) >= 3
    mean, variance = batch_moments(jnp.where(rows[:, None], x, filler), (0,), rows[:, None])
    np.testing.assert_allclose(mean[0], x[3:].astype("float64").mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance[0], x[3:].astype("float64").var(0), rtol=2e-3)


def test_a_first_value_far_from_the_others_shifts_no_moments():
    """The corner of an image is often background: 0 among thousands of others."""
    x = np.random.default_rng(0).normal(3000.0, 1.0, (4, 32, 32, 2)).astype("float32")
    x[0, 0, 0] = 0.0
    variance = batch_moments(jnp.asarray(x), (0, 1, 2))[1]
    np.testing.assert_allclose(variance.ravel(), x.astype("float64").var((0, 1, 2)), rtol=1e-4)


def test_every_device_finds_a_shift_among_its_own_real_steps():
    """One device's steps are all padding, another's begin with it: the moments are those of the whole batch."""
    mask = masks()["before"] & (np.arange(B)[:, None] >= 2)
    x, real = padded(2000.0, mask, 0.0)
    layer = layers.BatchNormalization(momentum=0.0)
    params, state = layer.init(jax.random.key(0), x.shape)

    def part(x, mask):
        ctx = Context(training=True, mask=mask, axis="devices")
        return layer.apply(params, state, x, ctx)[1]

    split = jax.vmap(part, axis_name="devices")(x.reshape(4, 2, T, C), mask.reshape(4, 2, T))
    whole = layer.apply(params, state, jnp.asarray(x), training=True, mask=jnp.asarray(mask))[1]
    for states in (whole, *(jax.tree.map(lambda a, d=d: a[d], split) for d in range(4))):
        np.testing.assert_allclose(states["moving_variance"], real.var(0), rtol=2e-3)
        np.testing.assert_allclose(states["moving_mean"], real.mean(0), rtol=1e-6)


def test_the_variance_after_fit_is_that_of_the_real_steps():
    """Pre-padded sequences and a ragged batch: the mask and the row filling meet."""
    x = np.zeros((7, T, C), "float32")
    x[:, 2:] = 2000 + np.random.default_rng(0).normal(size=(7, T - 2, C))
    norm = layers.BatchNormalization(momentum=0.0)
    model = fkeras.Sequential([layers.Input((T, C)), layers.Masking(), norm, layers.GlobalAveragePooling1D()])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((7, C)), batch_size=5, shuffle=False, verbose=0)
    np.testing.assert_allclose(norm.moving_variance, x[5:, 2:].astype("float64").reshape(-1, C).var(0), rtol=2e-3)


def test_normalizing_does_not_cancel_when_the_mean_is_large():
    x = np.random.default_rng(0).normal(1e5, 0.5, (256, 2)).astype("float32")
    mean, variance = batch_moments(jnp.asarray(x), (0,))
    exact = (x.astype("float64") - np.asarray(mean)) / np.sqrt(np.asarray(variance, "float64") + 1e-3)
    for center in (None, x[:1]):
        np.testing.assert_allclose(scale_and_shift(x, mean, variance, center=center), exact, rtol=1e-4, atol=1e-6)

    def loss(factor):
        return jnp.sum(jnp.sin(scale_and_shift(x, mean, variance, factor, center=x[:1])))

    slope = jax.grad(loss)(jnp.ones(2))
    np.testing.assert_allclose(slope, (np.cos(exact) * exact).sum(0), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_masked_moments_in_half_precision(dtype):
    mask = masks()["before"]
    x, _ = padded(100.0, mask, 0.0)
    norm = layers.BatchNormalization(momentum=0.0, dtype=dtype)
    norm(x, training=True, mask=mask)
    real = np.asarray(jnp.asarray(x).astype(norm.compute_dtype).astype("float32"))[mask]
    np.testing.assert_allclose(norm.moving_variance, real.astype("float64").var(0), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_normalization_in_float16_takes_variances_that_float16_cannot_hold(dtype):
    data = np.random.default_rng(0).normal(0.0, 500.0, (64, 2)).astype("float32")  # of variance 250000
    layer = layers.Normalization(dtype=dtype)
    layer.adapt(data)
    np.testing.assert_allclose(layer(data).astype("float32"), (data - data.mean(0)) / data.std(0), atol=0.01)


@pytest.mark.parametrize("mean", [0.0, 2000.0])
@pytest.mark.parametrize("options", [{}, {"class_aggregation": None}], ids=str)
def test_r2_of_targets_with_a_large_mean(mean, options):
    rng = np.random.default_rng(0)
    y = rng.normal(mean, 1.0, (90, 2)).astype("float32")
    pred = (y + rng.normal(0.0, 0.3, y.shape)).astype("float32")
    metric = metrics.R2Score(**options)
    for part in range(3):  # batches, merged as devices do
        metric.update_state(y[part * 30 : part * 30 + 30], pred[part * 30 : part * 30 + 30])
    states = [metric.update(metric.init(None, (None, 2)), y[i::2], pred[i::2]) for i in range(2)]
    wide, wide_pred = y.astype("float64"), pred.astype("float64")
    want = 1 - ((wide - wide_pred) ** 2).sum(0) / ((wide - wide.mean(0)) ** 2).sum(0)
    for got in (metric.result(), metric.result(metric.merge(*states))):
        np.testing.assert_allclose(got, want if options else want.mean(), rtol=1e-4)


def test_a_score_of_one_output_stays_a_vector_in_the_history(keras):
    """As `evaluate` gives it, and as Keras."""
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    found = []
    for k in (keras, fkeras):
        model = k.Sequential([k.layers.Input((2,)), k.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse", metrics=[k.metrics.R2Score(class_aggregation=None)])
        history = model.fit(x, x[:, :1], verbose=0).history
        found.append((np.asarray(history["r2_score"][0]), model.evaluate(x, x[:, :1], verbose=0)[1]))
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert np.shape(ours) == np.shape(theirs) == (1,)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
