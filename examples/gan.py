"""A generative adversarial network on the digits: two networks, two losses, one pure step (Goodfellow et al., 2014)."""

import argparse

import jax
import jax.numpy as jnp

import fkeras
from fkeras import Sequential
from fkeras.layers import Dense, Input, LeakyReLU


class GAN(fkeras.Model):
    def __init__(self, latent=16, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        self.generator = Sequential([Input((latent,)), Dense(64, "relu"), Dense(64, "sigmoid")])
        self.discriminator = Sequential([Input((64,)), Dense(64), LeakyReLU(0.2), Dense(1)])

    def call(self, x):
        return self.discriminator(x)

    def train_step(self, ts, batch):
        real = batch["x"]
        z = jax.random.normal(ts.key, (real.shape[0], self.latent))

        def judge(params, x):
            return self.discriminator.apply(params, {}, x)[0]

        def generate(params):
            return self.generator.apply(params, {}, z)[0]

        def d_loss(params):
            fake = jax.lax.stop_gradient(generate(ts.params["generator"]))
            return jax.nn.softplus(-judge(params, real)).mean() + jax.nn.softplus(judge(params, fake)).mean()

        def g_loss(params):
            return jax.nn.softplus(-judge(ts.params["discriminator"], generate(params))).mean()

        d, d_grads = jax.value_and_grad(d_loss)(ts.params["discriminator"])
        g, g_grads = jax.value_and_grad(g_loss)(ts.params["generator"])
        grads = {"discriminator": d_grads, "generator": g_grads}
        params, opt = self.optimizer.update(grads, ts.opt, ts.params)
        return ts._replace(params=params, opt=opt), {"d_loss": d, "g_loss": g}


def main(epochs=40):
    (x, _), _ = fkeras.datasets.digits.load_data()
    model = GAN()
    model.compile(fkeras.optimizers.Adam(1e-3, beta_1=0.5))
    history = model.fit(x.reshape(-1, 64) / 16, epochs=epochs, batch_size=64, verbose=2)
    samples = model.generator.predict(jnp.asarray(fkeras.random.normal((4, model.latent), seed=0)), verbose=0)
    return samples.reshape(-1, 8, 8), history.history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
