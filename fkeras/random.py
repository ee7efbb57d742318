"""Random numbers by Keras's names: `seed` is an int, a `SeedGenerator`, or None for the process-wide stream."""

import jax
import jax.numpy as jnp

from fkeras.core import dtypes, rng


class SeedGenerator:
    """A stream of keys from one seed, for code that wants a new key at every call.

    Example:
        >>> g = SeedGenerator(1)
        >>> bool((normal((2,), seed=g) == normal((2,), seed=g)).all())
        False
    """

    def __init__(self, seed=None, name=None):
        self.seed, self.name = rng.next_seed() if seed is None else int(seed), name
        self._drawn = 0

    def next(self):
        """Returns the next JAX key of the stream; inside a layer's `call` one of the step's own."""
        if (now := rng.place()) is not None:
            return now.next_key(self.seed)
        self._drawn += 1
        return jax.random.fold_in(jax.random.key(self.seed), self._drawn)

    def get_config(self):
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _dtype(dtype):
    return dtype or dtypes.floatx()


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Draws from the normal distribution."""
    return mean + stddev * rng.draw(lambda key, shape: jax.random.normal(key, shape, _dtype(dtype)), shape, seed)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Draws from the normal distribution cut off at two standard deviations."""

    def sample(key, shape):
        return jax.random.truncated_normal(key, -2.0, 2.0, shape, _dtype(dtype))

    return mean + stddev * rng.draw(sample, shape, seed)


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Draws from the uniform distribution over [minval, maxval)."""

    def sample(key, shape):
        if dtype is not None and jnp.issubdtype(jnp.dtype(dtype), jnp.integer):
            return jax.random.randint(key, shape, minval, maxval, dtype)
        return jax.random.uniform(key, shape, _dtype(dtype), minval, maxval)

    return rng.draw(sample, shape, seed)


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Draws integers from [minval, maxval)."""
    return rng.draw(lambda key, shape: jax.random.randint(key, shape, minval, maxval, dtype), shape, seed)


def categorical(logits, num_samples, dtype="int32", seed=None):
    """Draws `num_samples` class indices for each row of `logits` [B, classes]: [B, num_samples]."""
    logits = jnp.asarray(logits)
    noise = rng.draw(jax.random.gumbel, (logits.shape[0], num_samples, logits.shape[1]), seed)
    return jnp.argmax(logits[:, None] + noise, -1).astype(dtype)  # Gumbel's trick


def dropout(inputs, rate, noise_shape=None, seed=None):
    """Sets the fraction `rate` of the inputs to zero and scales the others by 1 / (1 - rate)."""
    shape = jnp.shape(inputs)
    if noise_shape is not None:
        shape = tuple(n if m is None else m for m, n in zip(noise_shape, shape, strict=True))
    keep = rng.draw(lambda key, shape: jax.random.bernoulli(key, 1 - rate, shape), shape, seed)
    return jnp.where(keep, inputs / (1 - rate), 0.0)


def shuffle(x, axis=0, seed=None):
    """Returns `x` with its slices along `axis` in random order."""
    return rng.draw(lambda key, shape: jax.random.permutation(key, x, axis), (), seed)


def gamma(shape, alpha, dtype=None, seed=None):
    """Draws from the gamma distribution of shape parameter `alpha`."""
    return rng.draw(lambda key, shape, a: jax.random.gamma(key, a, shape, _dtype(dtype)), shape, seed, alpha)


def beta(shape, alpha, beta, dtype=None, seed=None):
    """Draws from the beta distribution."""
    return rng.draw(lambda key, shape, a, b: jax.random.beta(key, a, b, shape, _dtype(dtype)), shape, seed, alpha, beta)


def binomial(shape, counts, probabilities, dtype=None, seed=None):
    """Draws numbers of successes of `counts` trials."""

    def sample(key, shape, n, p):
        return jax.random.binomial(key, n, p, shape, _dtype(dtype))

    return rng.draw(sample, shape, seed, counts, probabilities)
