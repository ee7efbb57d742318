"""Ops in functional models: what a graph records of them, sizes that are unknown, files both ways."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import Input, KerasTensor, Model, Operation, layers, ops
from tests.catalog.ops import NO_GRAPH
from tests.test_ops import ALL, ONCE, Arrays, _arrays_of

X = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")


# ------------------------------------------------------------------------------------------------ recording


def test_symbols_are_keras_tensors_with_sizes_that_may_be_unknown():
    x = Input((None, 4), dtype="int32")
    assert isinstance(x, KerasTensor) and ops.shape(x) == (None, None, 4) and ops.dtype(x) == "int32"
    assert not ops.is_tensor(x) and ops.is_tensor(jnp.ones(2))
    assert KerasTensor((2, 3)).dtype == "float32" and KerasTensor((2, None), "int8", name="a").ndim == 2


def test_calls_keep_nested_symbols_constants_and_words():
    a, b = Input((4, 6)), Input((6,))
    chosen = ops.select([a > 1, a < -1], [a, 2 * a], default=ops.mean(a))
    parts = ops.split(chosen, [1, 3], axis=1)
    joined = ops.concatenate([parts[0], *ops.unstack(ops.expand_dims(parts[1], 0), axis=0)], axis=1)
    values, places = ops.top_k(joined, k=2)
    out = ops.where(places > 2, x2=values, x1=np.float32(7)) + ops.einsum("bt,bs->bts", b[:, :3], b[:, :2])
    model = Model([a, b], {"out": out, "rest": ops.add(parts[2], [1.0] * 6)})

    def plain(x, y):
        chosen = np.select([x > 1, x < -1], [x, 2 * x], x.mean())
        joined = chosen[:, :3]
        places = np.argsort(-joined, -1, kind="stable")[..., :2]
        values = np.take_along_axis(joined, places, -1)
        return np.where(places > 2, 7, values) + np.einsum("bt,bs->bts", y[:, :3], y[:, :2]), chosen[:, 3:] + 1

    want = plain(X, X[:, 0])
    for found in (model([X, X[:, 0]]), model.predict([X, X[:, 0]], batch_size=3, verbose=0)):
        np.testing.assert_allclose(found["out"], want[0], rtol=1e-5)
        np.testing.assert_allclose(found["rest"], want[1], rtol=1e-5)


def test_python_operators_are_ops():
    x = Input((4, 6))
    assert [s.node.layer.function for s in (x + 1, 2 - x, -x, x @ np.ones((6, 2)), x[:, 0], x > 0, abs(x), x**2)] == [
        "add", "subtract", "negative", "matmul", "get_item", "greater", "absolute", "power"
    ]  # fmt: skip


def test_a_model_with_ops_trains_is_copied_and_pickled():
    x = Input((4, 6))
    h = layers.Dense(5)(ops.mean(x, axis=1))
    y = ops.softmax(h - ops.max(h, axis=-1, keepdims=True))
    model = Model(x, y)
    model.compile("sgd", "mse")
    model.fit(X, np.eye(5, dtype="float32")[:3], epochs=2, verbose=0)
    assert np.isfinite(model.predict(X, verbose=0)).all()
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model))(X), model(X))
    clone = fkeras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(X), model(X))


def test_an_operation_of_ones_own_computes_in_call():
    class Scaled(Operation):
        def __init__(self, factor, name=None):
            super().__init__(name=name)
            self.factor = factor

        def call(self, x, shift=0.0):
            return self.factor * x + shift

    op = Scaled(3.0)
    assert op(jnp.ones(2)).tolist() == [3, 3]
    x = Input((4, 6))
    y = op(x, shift=1.0)
    assert y.shape == (None, 4, 6)
    np.testing.assert_allclose(Model(x, y)(X), 3 * X + 1, rtol=1e-6)


def test_control_flow_over_symbols():
    x = Input((4, 6))
    carried, _ = ops.scan(lambda c, v: (c + v, v), ops.zeros_like(x[0, 0]), x[0])
    looped = ops.fori_loop(0, 3, lambda i, v: v * 2, x)
    until = ops.while_loop(lambda v: ops.max(v) < 100, lambda v: v * 2 + 1, x, maximum_iterations=3)
    model = Model(x, [carried, looped, until, ops.vectorized_map(lambda v: v.sum(), x), ops.map(lambda v: v[0], x)])
    found = model(X)
    np.testing.assert_allclose(found[0], X[0].sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], 8 * X, rtol=1e-6)
    np.testing.assert_allclose(found[2], 8 * X + 7, rtol=1e-5)
    np.testing.assert_allclose(found[3], X.sum((1, 2)), rtol=1e-4)


WRONG = {
    "unknown word": (lambda: ops.mean(X, axes=1), TypeError, "ops.mean(x, axis=None, keepdims=False): "),
    "near word": (lambda: ops.mean(X, axes=1), TypeError, "Did you mean 'axis'?"),
    "numbers decide the shape": (lambda: ops.nonzero(Input((3,))), ValueError, "a shape that depends on the numbers"),
    "with size": (lambda: ops.unique(Input((3,))), ValueError, "and with size=... in one."),
    "unknown count": (lambda: ops.unstack(Input((3,)), axis=0), ValueError, "depends on a size that is not known"),
    "no op": (lambda: Operation("maen"), ValueError, "Did you mean 'mean'"),
    "dtype": (lambda: ops.cast(X, "flaot32"), ValueError, "Unknown dtype 'flaot32'. Did you mean 'float32'?"),
    "fill": (lambda: ops.image.resize(X, (2, 2), fill_mode="edge"), ValueError, "unknown fill_mode 'edge'"),
    "sparse": (lambda: ops.one_hot([1], 2, sparse=True), ValueError, "fkeras has no sparse arrays"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls_say_what_is_wrong(case):
    call, kind, text = WRONG[case]
    with pytest.raises(kind) as info:
        call()
    assert text in str(info.value) and len(str(info.value)) < 300


# -------------------------------------------------------------------------------------------- unknown sizes


def _drawn_with_unknown_batch(namespace, tensor, key, arrays):
    def symbol(array):
        free = array.ndim > 1 and array.shape[0] == arrays[0].shape[0]
        shape = (None, *array.shape[1:]) if free else array.shape
        return tensor(shape, str(array.dtype))

    return jax.tree.leaves(ALL[key][1](namespace, Arrays(arrays, symbol)))


@pytest.mark.parametrize("start", range(2))
def test_unknown_sizes_are_followed_at_least_as_far_as_in_keras(start, keras):
    for key in ONCE[start::2]:
        arrays = _arrays_of(key)
        if ALL[key][0] in NO_GRAPH or not arrays or arrays[0].ndim < 2 or arrays[0].shape[0] == 1:
            continue
        try:
            theirs = _drawn_with_unknown_batch(keras.ops, keras.KerasTensor, key, arrays)
        except Exception:
            continue
        ours = _drawn_with_unknown_batch(ops, KerasTensor, key, arrays)
        real = jax.tree.leaves(jax.eval_shape(lambda a, k=key: ALL[k][1](ops, Arrays(a)), arrays))
        for a, b, c in zip(ours, theirs, real, strict=True):
            assert len(a.shape) == len(c.shape), key
            assert all(p in (None, q) for p, q in zip(a.shape, c.shape, strict=True)), (key, a.shape, c.shape)
            if len(b.shape) == len(c.shape):  # Keras names some ranks wrong
                more = [q for p, q in zip(a.shape, b.shape, strict=True) if p is None and q is not None]
                assert not more or key in LESS_THAN_KERAS, (key, a.shape, b.shape)


# The size follows that of the array, whatever `output_shape` says of an axis that is not scaled.
# Correlations of n rows are n times n; Keras names the shape of its argument.
LESS_THAN_KERAS = ("image.scale_and_translate", "corrcoef")


# ---------------------------------------------------------------------------------------------------- files

# Calls whose arguments take every form that files know.
IN_FILES = [
    "select", "get_item", "take", "slice", "meshgrid", "batch_normalization plain", "image.resize", "trapezoid",
    "einsum",
    "pad", "split", "where", "top_k", "cast", "clip", "concatenate", "one_hot", "scatter_update",
    "segment_sum", "moments", "fft", "dot_product_attention masked", "layer_normalization", "conv same", "max_pool",
    "image.crop_images", "image.extract_patches_3d", "tensordot", "transpose", "linspace", "unstack", "average",
]  # fmt: skip


def _built(package, key, arrays):
    symbols = []

    def symbol(array):
        symbols.append(package.Input(batch_shape=array.shape, dtype=str(array.dtype)))
        return symbols[-1]

    made = jax.tree.leaves(ALL[key][1](package.ops, Arrays(arrays, symbol)))
    return symbols, [s for s in made if isinstance(s, package.KerasTensor)]


def _whole(package):
    """Returns one model of many calls, and the arrays it takes."""
    symbols, outputs, arrays = [], [], []
    for key in IN_FILES:
        given = _arrays_of(key)
        own, made = _built(package, key, given)
        symbols, outputs, arrays = symbols + own, outputs + made, arrays + given
    return package.Model(symbols, outputs), arrays


def _leaves(model, arrays):
    return [np.asarray(v) for v in jax.tree.leaves(jax.jit(lambda a: model(a))(arrays))]


@pytest.mark.parametrize("ending", ["keras", "h5", "json"])
def test_a_model_of_ops_that_keras_saved_loads_here(ending, keras, tmp_path):
    theirs, arrays = _whole(keras)
    if ending == "json":
        ours = fkeras.models.model_from_json(theirs.to_json())
    else:
        theirs.save(tmp_path / f"m.{ending}")
        ours = fkeras.models.load_model(tmp_path / f"m.{ending}")
    for a, b in zip(_leaves(ours, arrays), _leaves(theirs, arrays), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("ending", ["keras", "json"])
def test_a_model_of_ops_saved_here_loads_in_keras_and_here(ending, keras, tmp_path):
    ours, arrays = _whole(fkeras)
    want = _leaves(ours, arrays)
    for package in (keras, fkeras):
        if ending == "json":
            again = package.models.model_from_json(ours.to_json())
        else:
            ours.save(tmp_path / "m.keras")
            again = package.models.load_model(tmp_path / "m.keras")
        for a, b in zip(_leaves(again, arrays), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("kind", ["Add", "Multiply", "Maximum", "Concatenate"])
def test_operations_of_keras_that_only_carry_masks_are_read(kind, ending, keras, tmp_path):
    a, b = (keras.Input((5,), dtype="int32") for _ in range(2))
    made = [keras.layers.Embedding(7, 3, mask_zero=True)(s) for s in (a, b)]
    theirs = keras.Model([a, b], keras.layers.LSTM(4)(getattr(keras.layers, kind)()(made)))
    theirs.save(tmp_path / f"m.{ending}")
    x = [np.array([[1, 2, 0, 0, 0], [3, 4, 5, 0, 0]]), np.array([[1, 2, 3, 0, 0], [0, 4, 0, 0, 6]])]
    ours = fkeras.models.load_model(tmp_path / f"m.{ending}")
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)


def test_old_files_that_name_operators_still_load():
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}

    def layer(name, kind, config, *args):
        nodes = [{"args": list(args), "kwargs": {}}] if args else []
        about = {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "name": name}
        return {**about, "inbound_nodes": nodes}

    config = {
        "name": "old",
        "layers": [
            layer("x", "InputLayer", {"batch_shape": [None, 4]}),
            layer("minus", "Operator", {"operator": "sub", "constant": 1.0, "swapped": True}, tensor),
            layer("twice", "Operator", {"operator": "add"}, [tensor, tensor]),
            layer("first", "GetItem", {"index": [[None, None, None], 0]}, tensor),
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["minus", 0, 0], ["twice", 0, 0], ["first", 0, 0]],
    }
    model = Model.from_config(config)
    found = model(X[:, 0, :4])
    for a, b in zip(found, (1 - X[:, 0, :4], 2 * X[:, 0, :4], X[:, 0, 0]), strict=True):
        np.testing.assert_allclose(a, b)
    again = fkeras.models.model_from_json(model.to_json())
    np.testing.assert_allclose(again(X[:, 0, :4])[0], found[0])


def test_functions_in_files_go_by_registered_names_only(keras):
    x = Input((4, 6))
    with pytest.raises(ValueError, match="takes a function of no name. Register it"):
        Model(x, ops.map(lambda v: v * 2, x)).to_json()
    theirs = keras.Input((4, 6))
    text = keras.Model(theirs, keras.ops.map(lambda v: v * 2, theirs)).to_json()
    with pytest.raises(ValueError, match="takes the code of a function; code in files is never run"):
        fkeras.models.model_from_json(text)

    @fkeras.saving.register_keras_serializable(package="tests_of_ops")
    def double(v):
        return v * 2

    model = fkeras.models.model_from_json(Model(x, ops.map(double, x)).to_json())
    np.testing.assert_allclose(model(X), 2 * X)


def test_a_computed_setting_cannot_be_written():
    x = Input((4, 6))
    model = Model(x, ops.clip(x, 0.0, ops.max(x)))
    np.testing.assert_allclose(model(X), X.clip(0, X.max()))
    with pytest.raises(ValueError, match="its x_max is computed, where Keras takes a setting"):
        model.to_json()
