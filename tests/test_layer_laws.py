"""Laws that hold for every layer of the catalog."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras.layers.base import Context, layers
from tests.catalog import layer_rows

ROWS = layer_rows()
every_layer = pytest.mark.parametrize("case", ROWS, ids=str)


def _all_equal(a, b, tolerance=1e-6):
    """Equal up to the order of float sums, which a compiler may change."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(np.asarray(x, "float64"), np.asarray(y, "float64"), tolerance, tolerance)


def _shapes(tree):
    return jax.tree.map(lambda a: (a.shape, str(a.dtype)), tree)


@every_layer
def test_pure_apply(case, key):
    """jit equals eager, the second call does not retrace, shapes are as declared, state keeps its structure."""
    layer, x = case.build()
    params, state = layer.init(key, x.shape)
    traces = []

    @jax.jit
    def apply(params, state, x, key):
        traces.append(1)
        return layer.apply(params, state, x, training=True, key=key)

    y, after = apply(params, state, x, key)
    apply(params, after, x, key)
    assert len(traces) == 1
    assert _shapes(after) == _shapes(state)
    _all_equal((y, after), layer.apply(params, state, x, training=True, key=key), 2e-5)
    declared = layer.compute_output_shape((None, *x.shape[1:]))
    assert declared == (None, *y.shape[1:])
    _, still = layer.apply(params, state, x)
    _all_equal(still, state)  # inference leaves running values alone


@every_layer
def test_gradients_are_finite_and_not_zero(case, key):
    layer, x = case.build()
    params, state = layer.init(key, x.shape)
    if case.ints is not None:
        diff, apply = params, lambda p: layer.apply(p, state, x)[0]
    else:
        diff = (params, jnp.asarray(x))
        apply = lambda d: layer.apply(d[0], state, d[1])[0]  # noqa: E731
    grads = jax.grad(lambda d: jnp.sum(jnp.sin(apply(d).astype(jnp.float32))))(diff)
    leaves = jax.tree.leaves(grads)
    assert all(bool(jnp.isfinite(g).all()) for g in leaves)
    if case.grad and leaves:
        assert all(bool(jnp.any(g != 0)) for g in leaves), _shapes(grads)


@every_layer
def test_config_makes_an_equal_layer(case, key):
    layer, x = case.build()
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert type(layers.from_config({"class_name": type(layer).__name__, "config": layer.get_config()})) is type(layer)
    params, state = layer.init(key, x.shape)
    _all_equal(twin.apply(params, state, x)[0], layer.apply(params, state, x)[0])


@every_layer
def test_weights_survive_a_round_trip(case):
    layer, x = case.build()
    layer(x)
    twin = type(layer).from_config(layer.get_config())
    twin.build(x.shape)
    twin.set_weights(layer.get_weights())
    for a, b in zip(layer.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(layer(x), twin(x))
    assert layer.count_params() == sum(w.size for w in layer.get_weights())


@every_layer
def test_half_precision_keeps_dtypes(case, key):
    if not case.half:
        pytest.skip("integers in, integers out")
    layer, x = case.build()
    config = {**layer.get_config(), "dtype": "mixed_bfloat16"}
    half = type(layer).from_config(config)
    params, state = half.init(key, x.shape)
    y, after = half.apply(params, state, x, training=True, key=key)
    assert all(a.dtype == jnp.bfloat16 for a in jax.tree.leaves(y))
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves((params, after)) if a.dtype.kind == "f")


@every_layer
def test_padded_rows_change_nothing(case, key):
    """A batch filled up with padding gives the same rows, and the same running values, as the batch without it."""
    layer, x = case.build()
    params, state = layer.init(key, x.shape)
    y, after = layer.apply(params, state, x, training=True, key=key)
    padded = np.concatenate([x, x[:1]])
    rows = jnp.arange(len(padded)) < len(x)
    y2, after2 = layer.apply(params, state, padded, training=True, key=key, rows=rows)
    _all_equal(y2[: len(x)], y, 2e-5)
    _all_equal(after2, after, 2e-5)


@every_layer
def test_agrees_with_keras(case, key, keras):
    """Forward values, gradients and the order of weights are real Keras's."""
    layer, x = case.build()
    twin = case.twin(keras)
    twin.build(x.shape)
    layer.build(x.shape)
    assert [tuple(w.shape) for w in twin.weights] == [w.shape for w in layer.weights]
    assert [w.name for w in twin.weights] == [w.name for w in layer.weights]
    random = np.random.default_rng(3)
    values = [random.uniform(0.5, 1.5, w.shape).astype(w.dtype) * 0.5 for w in layer.weights]
    layer.set_weights(values)
    twin.set_weights(values)
    # The order of float sums differs between formulations: 1e-5 relative to the largest value.
    want = np.asarray(twin(x, training=False) if "training" in twin._call_signature.parameters else twin(x))
    np.testing.assert_allclose(layer(x), want, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(want).max()))
    if case.random:
        return
    trained, running = [v.value for v in twin.trainable_variables], [v.value for v in twin.non_trainable_variables]
    training = {"training": True} if "training" in twin._call_signature.parameters else {}

    def theirs(trained, x):
        y, after = twin.stateless_call(trained, running, x, **training)
        return jnp.sum(jnp.sin(y)), after

    def ours(params, x):
        y, after = layer.apply(params, layer.state, x, training=True, key=key)
        return jnp.sum(jnp.sin(y)), after

    wrt = 0 if case.ints is not None else (0, 1)
    want, want_state = jax.grad(theirs, wrt, has_aux=True)(trained, x)
    got, got_state = jax.grad(ours, wrt, has_aux=True)(layer.params, x)
    got_params = got if case.ints is not None else got[0]
    want_params = want if case.ints is not None else want[0]
    ordered = [got_params[v.name] for v in layer.weights if v.declared.trainable]
    for a, b in zip(ordered, want_params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * max(1.0, float(jnp.abs(b).max())))
    if case.ints is None:
        np.testing.assert_allclose(got[1], want[1], rtol=1e-4, atol=2e-5 * max(1.0, float(jnp.abs(want[1]).max())))
    ordered = [got_state[v.name] for v in layer.weights if not v.declared.trainable]
    for a, b in zip(ordered, want_state, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_every_registered_layer_is_in_the_catalog():
    without = {"InputLayer", "Functional", "Sequential", "Lambda"}  # tested by name elsewhere
    classes = {cls.__name__ for cls in layers.entries.values()}
    missing = classes - {row.kind for row in ROWS} - without
    assert not missing, f"add a row to tests/catalog for {sorted(missing)}"
