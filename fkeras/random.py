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
        """Returns the next JAX key of the stream."""
        self._drawn += 1
        return jax.random.fold_in(jax.random.key(self.seed), self._drawn)

    def get_config(self):
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _key(seed):
    return seed.next() if isinstance(seed, SeedGenerator) else rng.as_key(seed)


def _dtype(dtype):
    return dtype or dtypes.floatx()


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Draws from the normal distribution."""
    return mean + stddev * jax.random.normal(_key(seed), shape, _dtype(dtype))


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Draws from the normal distribution cut off at two standard deviations."""
    return mean + stddev * jax.random.truncated_normal(_key(seed), -2.0, 2.0, shape, _dtype(dtype))


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Draws from the uniform distribution over [minval, maxval)."""
    return jax.random.uniform(_key(seed), shape, _dtype(dtype), minval, maxval)


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Draws integers from [minval, maxval)."""
    return jax.random.randint(_key(seed), shape, minval, maxval, dtype)


def categorical(logits, num_samples, dtype="int32", seed=None):
    """Draws `num_samples` class indices for each row of `logits` [B, classes]: [B, num_samples]."""
    shape = (num_samples, logits.shape[0])
    return jax.random.categorical(_key(seed), logits, axis=-1, shape=shape).T.astype(dtype)


def dropout(inputs, rate, noise_shape=None, seed=None):
    """Sets the fraction `rate` of the inputs to zero and scales the others by 1 / (1 - rate)."""
    keep = jax.random.bernoulli(_key(seed), 1 - rate, noise_shape or jnp.shape(inputs))
    return jnp.where(keep, inputs / (1 - rate), 0.0)


def shuffle(x, axis=0, seed=None):
    """Returns `x` with its slices along `axis` in random order."""
    return jax.random.permutation(_key(seed), x, axis)


def gamma(shape, alpha, dtype=None, seed=None):
    """Draws from the gamma distribution of shape parameter `alpha`."""
    return jax.random.gamma(_key(seed), alpha, shape, _dtype(dtype))


def beta(shape, alpha, beta, dtype=None, seed=None):
    """Draws from the beta distribution."""
    return jax.random.beta(_key(seed), alpha, beta, shape, _dtype(dtype))


def binomial(shape, counts, probabilities, dtype=None, seed=None):
    """Draws numbers of successes of `counts` trials."""
    return jax.random.binomial(_key(seed), counts, probabilities, shape, _dtype(dtype))
