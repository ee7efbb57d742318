"""Models that write their training step themselves, and the examples that show it."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vae_learns_the_digits():
    model, history = example("vae").main(epochs=3)
    assert list(history) == ["kl", "loss", "reconstruction", "val_kl", "val_loss", "val_reconstruction"]
    assert history["val_loss"][-1] < 0.9 * history["val_loss"][0]
    np.testing.assert_allclose(history["loss"], np.add(history["kl"], history["reconstruction"]), rtol=1e-4)
    assert model.predict(np.zeros((2, 64)), verbose=0).shape == (2, 64)


def test_gan_plays_its_game():
    samples, history = example("gan").main(epochs=2)
    assert list(history) == ["d_loss", "g_loss"] and history["d_loss"][-1] < 2 * np.log(2)
    assert samples.shape == (4, 8, 8) and (0 <= samples).all() and (samples <= 1).all()


@pytest.mark.parametrize("name", ["vae", "gan"])
def test_examples_stay_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 75
    body = (EXAMPLES / f"{name}.py").read_text().split("class ")[1].split("def main")[0]
    assert len(body.splitlines()) < 60


class Line(fkeras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.slope, self.offset = fkeras.layers.Dense(1, use_bias=False), fkeras.layers.Dense(1)

    def call(self, x):
        return self.slope(x) + self.offset(jnp.zeros_like(x))

    def train_step(self, ts, batch):
        def loss(params):
            y, _ = self.apply(params, ts.state, batch["x"])
            return jnp.mean((y - batch["y"][0]) ** 2)

        value, grads = jax.value_and_grad(loss)(ts.params)
        params, opt = self.optimizer.update(grads, ts.opt, ts.params)
        return ts._replace(params=params, opt=opt), {"loss": value}


def test_a_step_of_ones_own_equals_the_built_in_step_and_honours_freezing():
    x = np.linspace(-1, 1, 40, dtype="float32").reshape(-1, 1)
    own, built_in = Line(), fkeras.Sequential([fkeras.layers.Dense(1, use_bias=False, input_shape=(1,))])
    own.compile(fkeras.optimizers.SGD(0.1), "mse")
    own.build((None, 1))
    own.offset.trainable = False
    built_in.set_weights(own.slope.get_weights())
    built_in.compile(fkeras.optimizers.SGD(0.1), "mse")
    frozen = own.offset.get_weights()
    runs = [m.fit(x, 2 * x, epochs=3, batch_size=10, shuffle=False, verbose=0).history["loss"] for m in (own, built_in)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-5)
    for a, b in zip(frozen, own.offset.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
