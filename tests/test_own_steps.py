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
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60


@pytest.fixture(scope="module", params=["VAE", "GAN"])
def trained(request):
    """(class, model after an epoch, digits)."""
    (x, _), _ = fkeras.datasets.digits.load_data()
    x = x[:64].reshape(-1, 64).astype("float32") / 16
    cls = getattr(example(request.param.lower()), request.param)
    model = cls()
    model.compile(fkeras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=32, verbose=0)
    return cls, model, x


@pytest.mark.parametrize("file", ["m.keras", "m.h5"])
def test_examples_survive_files_and_train_on(trained, file, tmp_path):
    cls, model, x = trained
    model.save(tmp_path / file)
    twin = fkeras.models.load_model(tmp_path / file, custom_objects={cls.__name__: cls})
    np.testing.assert_allclose(twin.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    # The twin's layers have numbers of their own, by which the states are sorted: dense_10 stands before dense_9.
    states = [map(np.asarray, jax.tree.leaves(m.optimizer.state)) for m in (twin, model)]
    states = [sorted(state, key=lambda a: (a.shape, a.tobytes())) for state in states]
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)
    before = twin.get_weights()
    twin.fit(x, verbose=0)
    assert any((a != b).any() for a, b in zip(before, twin.get_weights(), strict=True))


def test_examples_survive_json_and_weights(trained, tmp_path):
    cls, model, x = trained
    model.save_weights(tmp_path / "m.weights.h5")
    for twin in (cls(), fkeras.models.model_from_json(model.to_json(), custom_objects={cls.__name__: cls})):
        twin.build((None, 64))
        twin.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_allclose(twin.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_real_keras_opens_the_networks_and_weights_of_the_examples(trained, tmp_path, keras):
    cls, model, _ = trained
    inner = model.decoder if cls.__name__ == "VAE" else model.generator
    z = np.random.default_rng(0).normal(size=(5, model.latent)).astype("float32")
    for file in ("part.keras", "part.h5"):
        inner.save(tmp_path / file)
        theirs = keras.models.load_model(tmp_path / file, compile=False)
        np.testing.assert_allclose(theirs(z), inner(z), rtol=1e-5, atol=1e-6)

    class Twin(keras.Model):  # the same attributes, filled with networks of real Keras
        def __init__(self):
            super().__init__()
            for name in model.children():
                setattr(self, name, keras.models.model_from_json(getattr(model, name).to_json()))

        def call(self, x):
            return [getattr(self, name)(x) for name in model.children()]

    model.save_weights(tmp_path / "m.weights.h5")
    twin = Twin()
    twin.build((None, 64))
    twin.load_weights(tmp_path / "m.weights.h5")
    for name in model.children():
        for a, b in zip(getattr(twin, name).get_weights(), getattr(model, name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


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


class Stateful(Line):
    """Written for Keras: the step takes its data alone."""

    def train_step(self, data):
        return {"loss": 0.0}


class Reversed(Line):
    """Returns as Keras's stateless step does: logs first."""

    def train_step(self, ts, batch):
        return {"loss": jnp.float32(0)}, ts


class Mixed(Line):
    """The parameters of Keras's step for JAX, the result of the pure one."""

    def train_step(self, state, data):
        return state, {"loss": jnp.float32(0)}


def test_steps_in_keras_form_are_answered_with_the_pure_form():
    x = np.ones((4, 1), "float32")
    for cls, message in (
        (Stateful, r"Stateful 'a': train_step\(self, data\) is Keras's form for TensorFlow. Here it is the pure"),
        (Reversed, r"Reversed 'a': train_step returned \(dict, TrainState\); expected \(ts, logs\)"),
        (Mixed, r"Mixed 'a': a step with the parameters \(state, data\) returns \(logs, state\)"),
    ):
        model = cls(name="a")
        model.compile("sgd", "mse")
        with pytest.raises(TypeError, match=message):
            model.fit(x, x, verbose=0)
