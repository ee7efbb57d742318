"""A variational autoencoder on the digits: a model with a training step of its own (Kingma & Welling, 2013)."""

import argparse

import jax
import jax.numpy as jnp

import fkeras
from fkeras import Sequential
from fkeras.layers import Dense, Input


class VAE(fkeras.Model):
    def __init__(self, latent=8, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        self.encoder = Sequential([Input((64,)), Dense(128, "relu"), Dense(2 * latent)])
        self.decoder = Sequential([Input((latent,)), Dense(128, "relu"), Dense(64)])

    def call(self, x):
        mean, _ = jnp.split(self.encoder(x), 2, axis=-1)
        return jax.nn.sigmoid(self.decoder(mean))

    def losses(self, params, x, key):
        code, _ = self.encoder.apply(params["encoder"], {}, x)
        mean, log_var = jnp.split(code, 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape)
        logits, _ = self.decoder.apply(params["decoder"], {}, z)
        reconstruction = jnp.sum(jnp.logaddexp(0.0, logits) - x * logits, axis=-1).mean()
        kl = 0.5 * jnp.sum(jnp.exp(log_var) + mean**2 - 1.0 - log_var, axis=-1).mean()
        return reconstruction + kl, {"reconstruction": reconstruction, "kl": kl}

    def train_step(self, ts, batch):
        gradient = jax.value_and_grad(self.losses, has_aux=True)
        (loss, logs), grads = gradient(ts.params, batch["x"], ts.key)
        params, opt = self.optimizer.update(grads, ts.opt, ts.params)
        return ts._replace(params=params, opt=opt), {"loss": loss, **logs}

    def test_step(self, ts, batch):
        loss, logs = self.losses(ts.params, batch["x"], jax.random.key(0))
        return {"loss": loss, **logs}


def main(epochs=20):
    (x, _), (x_test, _) = fkeras.datasets.digits.load_data()
    x, x_test = (a.reshape(-1, 64).astype("float32") / 16 for a in (x, x_test))
    model = VAE()
    model.compile(fkeras.optimizers.Adam(3e-3))
    history = model.fit(x, epochs=epochs, batch_size=64, verbose=2, validation_data=(x_test,))
    return model, history.history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
