"""The host's draws are those of `jax.random`, and compile nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import initializers
from fkeras.core import host_random, rng

SHAPES = [(), (5,), (3, 7, 11), (40_000,)]  # the last one is drawn in two chunks


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_are_those_of_jax(shape):
    key = jax.random.fold_in(jax.random.key(7), 3)
    np.testing.assert_array_equal(
        host_random.uniform(key, shape, "float32", -0.3, 0.7), jax.random.uniform(key, shape, "float32", -0.3, 0.7)
    )
    # The inverse error function is a polynomial evaluated with other roundings.
    np.testing.assert_allclose(
        host_random.normal(key, shape, "float32"), jax.random.normal(key, shape), rtol=2e-6, atol=1e-7
    )
    np.testing.assert_allclose(
        host_random.truncated_normal(key, -2.0, 2.0, shape, "float32"),
        jax.random.truncated_normal(key, -2.0, 2.0, shape),
        rtol=2e-6, atol=1e-7,
    )  # fmt: skip


def test_keys_are_made_and_fold_as_in_jax():
    assert bool(host_random.make_key(2**32 - 1) == jax.random.key(2**32 - 1))
    for key in (jax.random.key(5), jax.random.key_data(jax.random.key(5))):
        for data in (0, 1, 2**32 - 1):
            ours, theirs = host_random.fold_in(key, data), jax.random.fold_in(key, data)
            assert ours.dtype == theirs.dtype and bool(jnp.all(ours == theirs))


def test_under_a_trace_and_for_other_keys_jax_draws(key):
    inside = jax.jit(lambda k: initializers.GlorotNormal()(rng.fold(k, "kernel"), (3, 4)))(key)
    np.testing.assert_allclose(
        inside, initializers.GlorotNormal()(rng.fold(key, "kernel"), (3, 4)), rtol=2e-6, atol=1e-7
    )
    other = jax.random.key(3, impl="rbg")
    np.testing.assert_array_equal(host_random.normal(other, (4,), "float32"), jax.random.normal(other, (4,)))
    assert isinstance(host_random.normal(key, (4,), "bfloat16"), jax.Array)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_normal", "random_normal", "orthogonal", "ones", "zeros"])
def test_drawing_a_weight_compiles_nothing(name, key):
    import fkeras

    def build(units):
        layer = fkeras.layers.Dense(units, kernel_initializer=name)
        layer.build((None, 6))
        return layer.get_weights()

    build(3)  # what JAX compiles once in a process, such as making a key
    found = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **about: found.append(event))
    build(5)
    assert "/jax/core/compile/backend_compile_duration" not in found
