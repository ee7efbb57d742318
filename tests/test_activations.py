"""Activations: Keras's numbers and gradients, finite everywhere, found by every name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import activations
from fkeras.core import settings
from tests.catalog.floor1 import ACTIVATIONS

# Keras 3.15's own sparsemax does not sum to 1 (keras issue 23425): its judge is the definition, below.
QUICKLY = {"xla_backend_optimization_level": 0}  # compiling is what these tests spend their time on
JUDGED = [row for row in ACTIVATIONS if row.name != "sparsemax"]
# Away from kinks, where the choice of a slope is free: multiples of 0.1 shifted by 0.03.
X = (np.random.default_rng(0).integers(-75, 75, (4, 6)) / 10 + 0.03).astype(np.float32)


def functions(module, rows):
    return {str(row): functools.partial(getattr(module, row.name), **row.settings) for row in rows}


def values_and_slopes(fns, x):
    """Returns {name: (f(x), gradient of a weighted sum of f(x))}, as one program when jitted."""

    def weighted(f, x):
        y = f(x)
        weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return jnp.sum(weights * y.astype(jnp.float32)), y

    out = {}
    for name, f in fns.items():
        slope, y = jax.grad(lambda x, f=f: weighted(f, x), has_aux=True)(x)
        out[name] = y, slope
    return out


@pytest.fixture(scope="module")
def ours():
    return jax.jit(lambda x: values_and_slopes(functions(activations, ACTIVATIONS), x), compiler_options=QUICKLY)(X)


def test_values_and_gradients_are_those_of_keras(keras, ours):
    judge = jax.jit(lambda x: values_and_slopes(functions(keras.activations, JUDGED), x), compiler_options=QUICKLY)(X)
    for name, (value, slope) in judge.items():
        # 1e-6 absolute: where x + sqrt(x^2 + b) and x - tanh(x) cancel, float32 leaves the judge so many digits.
        np.testing.assert_allclose(ours[name][0], value, rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(ours[name][1], slope, rtol=1e-5, atol=1e-6, err_msg=name)


def test_compiled_equals_eager(ours):
    for name, f in functions(activations, ACTIVATIONS).items():
        # 1e-6: XLA may fuse multiply and add
        np.testing.assert_allclose(f(X), ours[name][0], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_values_and_gradients_are_finite_everywhere_and_keep_the_dtype(dtype):
    far = (
        [1e30, 1e20, 1e10] if dtype != "float16" else [3e4, 1e4, 2e3]
    )  # log_softmax of 6e4 and -6e4 would be beyond float16
    x = [0.0, 0.5, 1.0, 3.0, 6.0, 10.0, 40.0, 90.0, 150.0, 300.0, 1e3, *far]
    x = jnp.array([x, [-v for v in x]], dtype)
    fns = functions(activations, ACTIVATIONS)
    growth = fns.pop("exponential")
    for name, (value, slope) in jax.jit(lambda x: values_and_slopes(fns, x), compiler_options=QUICKLY)(x).items():
        assert value.dtype == slope.dtype == dtype, name
        assert np.isfinite(np.asarray(value, np.float32)).all(), name
        assert np.isfinite(np.asarray(slope, np.float32)).all(), name
    assert growth(x).dtype == dtype


def test_integers_give_floats_where_a_fraction_is_meant():
    x = np.array([[1, -2], [0, 3]])
    for name, f in functions(activations, ACTIVATIONS).items():
        if name.split("-")[0] not in ("linear", "relu", "relu6", "hard_tanh", "hard_shrink"):
            assert jnp.issubdtype(jax.eval_shape(f, x).dtype, jnp.floating), name
    assert activations.relu(x).tolist() == [[1, 0], [0, 3]]
    np.testing.assert_allclose(activations.sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-6)


def test_lists_are_taken_as_arrays():
    for name in ("relu", "relu6", "leaky_relu", "tanh", "sigmoid", "softmax", "hard_shrink"):
        f = activations.get(name)
        np.testing.assert_array_equal(f([1.0, -2.0]), f(np.array([1.0, -2.0], np.float32)))


def test_float16_gelu_has_a_gradient_where_the_cube_overflows():
    slope = jax.grad(lambda x: activations.gelu(x, approximate=True))
    assert slope(jnp.float16(200.0)) == 1.0 and slope(jnp.float16(-200.0)) == 0.0


def test_squareplus_keeps_its_digits_where_the_printed_formula_cancels_or_overflows():
    x = np.array([-1000.0, -100.0, 1000.0])
    exact = (x + np.sqrt(x**2 + 4)) / 2  # float64
    np.testing.assert_allclose(activations.squareplus(x.astype(np.float32)), exact, rtol=1e-6)
    assert activations.squareplus(jnp.float16(1000.0)) == 1000.0


def test_sparsemax_is_the_projection_onto_the_simplex():
    z = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)

    def projection(row):  # bisection for tau in sum(max(z - tau, 0)) = 1
        low, high = row.min() - 1, row.max()
        for _ in range(60):
            tau = (low + high) / 2
            low, high = (tau, high) if np.maximum(row - tau, 0).sum() > 1 else (low, tau)
        return np.maximum(row - low, 0)

    expected = np.stack([projection(row.astype(np.float64)) for row in z])
    sparsemax = jax.jit(activations.sparsemax, static_argnames="axis")
    for scores in (z, z + 1000):  # 3e-4 below: float32 has steps of 6e-5 at 1000
        np.testing.assert_allclose(sparsemax(scores), expected, atol=1e-6 if scores is z else 3e-4)
    np.testing.assert_allclose(sparsemax(z.T, axis=0), expected.T, atol=1e-6)
    # The Jacobian projects onto sums of zero over the support S: diag(s) - s s^T / |S|.
    s = (expected[0] > 0).astype(np.float32)
    jacobian = jax.jit(jax.jacobian(activations.sparsemax))(jnp.asarray(z[0]))
    np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s) / s.sum(), atol=1e-6)


def test_glu_says_that_the_axis_must_be_even():
    with pytest.raises(ValueError, match=r"glu: expected an even size on axis -1, .*got \(2, 3\)"):
        activations.glu(jnp.ones((2, 3)))


# ---------------------------------------------------------------------------------------------- names


def test_every_activation_has_a_row_and_keras_has_no_more(keras):
    from keras.src.activations import ALL_OBJECTS_DICT

    entries = {n: f for n, f in activations.activations.entries.items() if f.__module__ != "fkeras.compat"}
    assert {f.__name__ for f in entries.values()} == {row.name for row in ACTIVATIONS}
    assert set(ALL_OBJECTS_DICT) <= set(entries)
    assert all(hasattr(activations, name) for name in entries)


def test_a_name_goes_through_a_config_and_comes_back():
    for name, f in activations.activations.entries.items():
        assert activations.get(name) is f
        assert activations.get(activations.serialize(f)) is f
        assert activations.deserialize(activations.serialize(f)) is f
        assert activations.get({"module": "builtins", "class_name": "function", "config": name}) is f
    assert activations.serialize(activations.hard_swish) == "hard_silu"


def test_names_are_found_in_any_style_and_none_is_linear():
    for name in ("ReLU", "relu", "RELU"):
        assert activations.get(name) is activations.relu
    assert activations.get("LogSoftmax") is activations.log_softmax
    assert activations.get("hardSwish") is activations.hard_silu
    assert activations.get(None) is activations.linear


def test_a_typo_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match=r"Unknown activation 'rleu'\. Did you mean .*'relu'.*\? For one of your own"):
        activations.get("rleu")
    with pytest.raises(TypeError, match="Cannot read 3 as an activation: expected a name, a function"):
        activations.get(3)


def test_a_function_of_ones_own_passes_and_is_found_by_name():
    def double(x):
        return 2 * x

    assert activations.get(double) is double
    with settings.custom_object_scope({"double": double}):
        assert activations.get("double") is double
    assert activations.deserialize("double", {"double": double}) is double
    assert activations.deserialize({"class_name": "function", "config": "double"}, {"double": double}) is double


def test_the_config_of_a_layer_is_that_layer_and_not_the_function_of_like_letters(keras, monkeypatch):
    monkeypatch.setattr(settings.Registry, "all", [activations.activations])
    layers = settings.Registry("layer", "keras.layers")

    @layers.register
    class LeakyReLU(settings.Configured):
        negative_slope: float = 0.3
        dtype: object = None
        trainable: bool = True
        name: str = settings.setting(default=None, keyword=True)

        def __call__(self, x):
            return jnp.maximum(x, self.negative_slope * x)

    layer = activations.get({"class_name": "LeakyReLU", "config": {"negative_slope": 0.5}})
    assert isinstance(layer, LeakyReLU) and layer(-2.0) == -1.0
    written = keras.activations.serialize(keras.layers.LeakyReLU(negative_slope=0.25))
    assert activations.get(written)(-2.0) == -0.5
    assert activations.get(layer) is layer
    assert activations.get(activations.serialize(layer)).negative_slope == 0.5
    assert activations.get("LeakyReLU") is activations.leaky_relu
