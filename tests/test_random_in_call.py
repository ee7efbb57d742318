"""Random numbers drawn in a layer's own code: new at every step and call, the same on devices and after a resume."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from tests.ids import plain

X = np.ones((10, 3), "float32")


class Noise(layers.Layer):
    """Adds noise, drawn as `way` says."""

    def __init__(self, way="normal", **kwargs):
        super().__init__(**kwargs)
        self.way, self.generator = way, fkeras.random.SeedGenerator(7)

    def call(self, x):
        draws = {
            "normal": lambda: fkeras.random.normal(x.shape),
            "generator": lambda: fkeras.random.uniform(x.shape, -1, 1, seed=self.generator),
            "dropout": lambda: fkeras.random.dropout(x, 0.5),
            "gamma": lambda: fkeras.random.gamma(x.shape, 2.0 + 0 * x),
            "categorical": lambda: fkeras.random.categorical(0 * x, 3, dtype="float32"),
            "key": lambda: jax.random.normal(self.generator.next(), x.shape),
        }
        return x + draws[self.way]()


def noisy(way="normal", **compiled):
    fkeras.utils.set_random_seed(3)
    made = Noise(way) if isinstance(way, str) else layers.Lambda(way)
    model = fkeras.Sequential([fkeras.Input((3,)), made])
    model.compile(fkeras.optimizers.SGD(0.0), "mse", **compiled)
    return model


WAYS = ["normal", "generator", "dropout", "gamma", "categorical", lambda x: x + fkeras.random.normal(x.shape)]


@pytest.mark.parametrize("way", WAYS, ids=plain)
def test_noise_is_new_at_every_step_and_every_call(way):
    model = noisy(way)
    losses = model.fit(X, X, epochs=4, batch_size=10, verbose=0).history["loss"]
    assert len(set(losses)) == 4, losses
    first, second = model.predict(X, verbose=0), model.predict(X, verbose=0)
    assert (first != second).any() and len({str(row) for row in first}) > 1  # rows differ too
    assert model.evaluate(X, X, verbose=0) != model.evaluate(X, X, verbose=0)
    assert (np.asarray(model(X)) != np.asarray(model(X))).any()
    again = noisy(way)
    assert again.fit(X, X, epochs=4, batch_size=10, verbose=0).history["loss"] == losses
    np.testing.assert_array_equal(again.predict(X, verbose=0), first)


@pytest.mark.parametrize("way", WAYS[:3], ids=plain)
def test_noise_depends_on_its_row_not_on_devices_batches_or_padding(way):
    x = np.ones((40, 3), "float32")
    runs = []
    for devices in (None, 2, fkeras.distribute.DataParallel(1, accumulate=2)):
        model = noisy(way, distribute=devices)
        history = model.fit(x, x, epochs=2, shuffle=False, verbose=0).history["loss"]
        runs.append((history, model.predict(x, verbose=0), model.predict_on_batch(x[:4])))
    for run in runs[1:]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), run, runs[0])
    whole = noisy(way).predict(x, batch_size=40, verbose=0)
    np.testing.assert_allclose(noisy(way).predict(x, batch_size=16, verbose=0), whole, rtol=1e-6)


def test_a_key_taken_by_hand_is_the_steps_own():
    """The whole batch is drawn from one key, so its rows are those of one batch: never filled up, never split."""
    model = noisy("key")
    losses = model.fit(X, X, epochs=3, verbose=0).history["loss"]
    assert len(set(losses)) == 3 and "not filled up" in str(model.compile_report())


def test_a_fixed_seed_draws_the_same_numbers_always():
    model = noisy(lambda x: x + fkeras.random.normal(x.shape, seed=5))
    losses = model.fit(X, X, epochs=3, verbose=0).history["loss"]
    assert len(set(losses)) == 1


def test_draws_of_one_call_differ_and_so_do_layers_and_calls_of_one_layer():
    x = fkeras.Input((3,))
    both = layers.Lambda(lambda x: fkeras.random.normal(x.shape) - fkeras.random.normal(x.shape))
    noise = Noise()
    model = fkeras.Model(x, [both(x), noise(x), noise(x), Noise()(x)])
    outs = model.predict(X, verbose=0)
    assert (outs[0] != 0).all()
    assert (outs[1] != outs[2]).all() and (outs[1] != outs[3]).all()


def test_pure_apply_asks_for_the_key():
    model = noisy()
    with pytest.raises(ValueError, match="draws random numbers"):
        jax.jit(lambda x: model.apply({}, {}, x)[0])(X)
    key = jax.random.key(1)
    one, other = (model.apply({}, {}, X, key=k)[0] for k in (key, jax.random.key(2)))
    np.testing.assert_array_equal(one, model.apply({}, {}, X, key=key)[0])
    assert (np.asarray(one) != np.asarray(other)).any()


def test_a_vae_samples():
    """Keras's own example: mean and spread of many predictions are those of the codes."""

    class Sampling(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = fkeras.random.SeedGenerator(1337)

        def call(self, inputs):
            mean, log_variance = inputs
            epsilon = fkeras.random.normal(shape=(mean.shape[0], mean.shape[1]), seed=self.seed_generator)
            return mean + jnp.exp(0.5 * log_variance) * epsilon

    a, b = fkeras.Input((2,)), fkeras.Input((2,))
    model = fkeras.Model([a, b], Sampling()([a, b]))
    mean, log_variance = np.full((400, 2), 3, "float32"), np.full((400, 2), np.log(4), "float32")
    codes = np.stack([model.predict([mean, log_variance], verbose=0) for _ in range(5)])
    assert abs(codes.mean() - 3) < 0.15 and abs(codes.std() - 2) < 0.15
    assert np.abs(np.corrcoef(codes[..., 0])[np.triu_indices(5, 1)]).max() < 0.2


@pytest.mark.parametrize("make", [lambda: layers.Dropout(0.5), lambda: layers.GaussianNoise(1.0)])
def test_a_layer_called_with_training_true_draws_in_predict_and_evaluate(make):
    """Monte Carlo dropout."""
    fkeras.utils.set_random_seed(1)
    x = fkeras.Input((3,))
    model = fkeras.Model(x, make()(x, training=True))
    model.compile("sgd", "mse")
    first, second = model.predict(X, verbose=0), model.predict(X, verbose=0)
    assert (first != second).any()
    assert model.evaluate(X, 0 * X, verbose=0) != model.evaluate(X, 0 * X, verbose=0)
    assert model.predict_on_batch(X).shape == (10, 3) and model.test_on_batch(X, X) > 0
    assert (np.asarray(model(X)) != np.asarray(model(X))).any()
    fkeras.utils.set_random_seed(1)
    again = fkeras.Model(x, make()(x, training=True))
    again.compile("sgd", "mse")
    np.testing.assert_array_equal(again.predict(X, verbose=0), first)
    history = model.fit(X, X, validation_data=(X, 0 * X), epochs=2, verbose=0).history["val_loss"]
    assert history[0] != history[1]


def test_a_jitted_call_in_training_leaves_nothing_behind():
    model = fkeras.Sequential([fkeras.Input((3,)), layers.BatchNormalization(), layers.Dropout(0.5)])
    before = model.get_weights()
    jax.jit(lambda x: model(x, training=True))(X)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(model.predict(X, verbose=0)).all()
