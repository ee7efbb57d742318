"""Laws that hold for every layer of the catalog."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras.core.settings import Configured
from fkeras.layers.contract.base import layers
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
    grads = jax.jit(jax.grad(lambda d: jnp.sum(jnp.sin(apply(d).astype(jnp.float32)))))(diff)
    leaves = [np.asarray(g) for g in jax.tree.leaves(grads)]
    assert all(np.isfinite(g).all() for g in leaves)
    if case.grad and leaves:
        assert all(np.any(g != 0) for g in leaves), _shapes(grads)


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
    np.testing.assert_array_equal(layer(x, training=False), twin(x, training=False))
    assert layer.count_params() == sum(w.size for w in layer.get_weights())


@every_layer
def test_half_precision_keeps_dtypes(case, key):
    layer, x = case.build()
    config = {**layer.get_config(), "dtype": "mixed_bfloat16"}
    half = type(layer).from_config(config)
    params, state = jax.eval_shape(lambda key: half.init(key, x.shape), key)
    y, after = jax.eval_shape(lambda p, s, x: half.apply(p, s, x, training=True, key=key), params, state, x)
    assert all(a.dtype == jnp.bfloat16 for a in jax.tree.leaves(y) if case.half)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves((params, after)) if a.dtype.kind == "f")


@every_layer
def test_padded_rows_change_nothing(case, key):
    """A batch filled up with padding gives the same rows, and the same running values, as the batch without it."""
    layer, x = case.build()
    params, state = layer.init(key, x.shape)
    apply = jax.jit(lambda x, rows=None: layer.apply(params, state, x, training=True, key=key, rows=rows))
    y, after = apply(x)
    padded = np.concatenate([x, x[:1]])
    y2, after2 = apply(padded, np.arange(len(padded)) < len(x))
    _all_equal(y2[: len(x)], y, 2e-5)
    _all_equal(after2, after, 2e-5)


def test_every_registered_layer_is_in_the_catalog():
    # Models and what takes several inputs or a function has tests of its own.
    elsewhere = {
        "InputLayer",
        "Model",
        "Sequential",
        "Lambda",
        "SpectralNormalization",
        "Operation",
        "Operator",
        "GetItem",
        "FlaxLayer",
        "JaxLayer",
        "MixUp",  # rows meet in these two
        "CutMix",
        "StringLookup",  # these read text
        "TextVectorization",
        "HashedCrossing",
        "AddLoss",  # tested with old scripts
        "CustomScaleLayer",  # and these with the applications
        "LayerScale",
        "Pipeline",  # of layers on images
    }
    classes = {cls.__name__ for cls in layers.entries.values()}
    missing = classes - {row.kind for row in layer_rows(several_inputs=True)} - elsewhere
    assert not missing, f"add a row to tests/catalog for {sorted(missing)}"


def test_arguments_by_position_are_keras(keras):
    renamed = {"weights": "initial_table"}
    absent = {"lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size", "args", "kwargs"}
    elsewhere = {
        "InputLayer": "sparse, ragged",
        "Bidirectional": "weights",
        "Layer": "all",
        "Wrapper": "none",
        "FlaxLayer": "own",
        "JaxLayer": "own",
        "Pipeline": "name",
    }
    seen = 0
    for name, own in layers.entries.items():
        other = getattr(keras.layers, name, None)
        if not inspect.isclass(other) or name in elsewhere:
            continue
        theirs = [renamed.get(n, n) for n in inspect.signature(other).parameters if n not in absent]
        mine = [n for n, f in own._fields.items() if not f.keyword]
        assert mine[: len(theirs)] == theirs, name
        seen += 1
    assert seen > 80


def test_editors_see_every_setting():
    """`help` and `inspect` by the signature, type checkers by the annotations of a class and its bases."""
    for name, own in layers.entries.items():
        annotated = {n for base in own.__mro__ for n in inspect.get_annotations(base)}
        assert set(own._fields) <= annotated, name
        if own.__init__ is Configured.__init__:
            assert set(inspect.signature(own).parameters) == set(own._fields), name
