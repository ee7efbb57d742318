"""Keras 2's K over ops, `tree`, `dtype_policies` and `config`, judged by Keras's own."""

import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import Input, Model, layers
from fkeras import backend as K

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(2, 3, 4)).astype("float32") for _ in range(2))
P = np.abs(A) / np.abs(A).sum(-1, keepdims=True)
IMAGE = RNG.normal(size=(2, 4, 5, 3)).astype("float32")
KERNEL = RNG.normal(size=(3, 3, 3, 2)).astype("float32")

GIVEN = {"A": A, "B": B, "P": P, "IMAGE": IMAGE, "KERNEL": KERNEL, "SWAPPED": A.transpose(0, 2, 1), "TURNED": B[0].T,
         "LABELS": P.round()}  # fmt: skip

# Calls of K, written once for ours and for the K that Keras 3 still holds.
CALLS = {
    "abs": lambda k, a: k.abs(a.A),
    "all": lambda k, a: k.all(a.A > -9, axis=1),
    "any": lambda k, a: k.any(a.A > 1, keepdims=True),
    "arange": lambda k, a: k.arange(3),
    "argmax": lambda k, a: k.argmax(a.A),
    "argmin": lambda k, a: k.argmin(a.A, axis=0),
    "batch_dot": lambda k, a: k.batch_dot(a.A, a.SWAPPED),
    "batch_dot axes": lambda k, a: k.batch_dot(a.A, a.B, axes=[2, 2]),
    "batch_flatten": lambda k, a: k.batch_flatten(a.A),
    "bias_add": lambda k, a: k.bias_add(a.IMAGE, np.arange(3, dtype="float32")),
    "binary_crossentropy": lambda k, a: k.binary_crossentropy(a.LABELS, a.P),
    "cast": lambda k, a: k.cast(a.A, "int32"),
    "cast_to_floatx": lambda k, a: k.cast_to_floatx(np.arange(3)),
    "categorical_crossentropy": lambda k, a: k.categorical_crossentropy(a.P, a.P),
    "clip": lambda k, a: k.clip(a.A, -0.5, 0.5),
    "concatenate": lambda k, a: k.concatenate([a.A, a.B]),
    "conv2d": lambda k, a: k.conv2d(a.IMAGE, a.KERNEL, padding="same"),
    "cumsum": lambda k, a: k.cumsum(a.A, axis=1),
    "cumprod": lambda k, a: k.cumprod(a.A),
    "depthwise_conv2d": lambda k, a: k.depthwise_conv2d(a.IMAGE, a.KERNEL),
    "dot": lambda k, a: k.dot(a.A[0], a.TURNED),
    "dot 3d": lambda k, a: k.dot(a.A, a.TURNED),
    "elu": lambda k, a: k.elu(a.A, 0.5),
    "equal": lambda k, a: k.equal(a.A, a.A),
    "exp": lambda k, a: k.exp(a.A),
    "expand_dims": lambda k, a: k.expand_dims(a.A),
    "eye": lambda k, a: k.eye(3),
    "flatten": lambda k, a: k.flatten(a.A),
    "gather": lambda k, a: k.gather(a.A, np.array([1, 0])),
    "hard_sigmoid": lambda k, a: k.hard_sigmoid(3 * a.A),
    "int_shape": lambda k, a: k.int_shape(k.variable(a.A)),
    "l2_normalize": lambda k, a: k.l2_normalize(a.A, axis=1),
    "less_equal": lambda k, a: k.less_equal(a.A, a.B),
    "log": lambda k, a: k.log(a.P),
    "max": lambda k, a: k.max(a.A, axis=[0, 1]),
    "maximum": lambda k, a: k.maximum(a.A, a.B),
    "mean": lambda k, a: k.mean(a.A, axis=-1, keepdims=True),
    "min": lambda k, a: k.min(a.A),
    "ndim": lambda k, a: k.ndim(k.constant(a.A)),
    "ones": lambda k, a: k.ones((2, 3)),
    "ones_like": lambda k, a: k.ones_like(a.A),
    "one_hot": lambda k, a: k.one_hot(np.array([1, 0]), 3),
    "permute_dimensions": lambda k, a: k.permute_dimensions(a.A, (1, 0, 2)),
    "pool2d": lambda k, a: k.pool2d(a.IMAGE, (2, 2), (2, 2), pool_mode="avg"),
    "pow": lambda k, a: k.pow(a.A, 2.0),
    "prod": lambda k, a: k.prod(a.A, axis=1),
    "relu": lambda k, a: k.relu(a.A, alpha=0.1, max_value=0.5),
    "repeat": lambda k, a: k.repeat(a.A[0], 3),
    "repeat_elements": lambda k, a: k.repeat_elements(a.A, 2, axis=1),
    "reshape": lambda k, a: k.reshape(a.A, (-1, 4)),
    "resize_images": lambda k, a: k.resize_images(a.IMAGE, 2, 3, "channels_last"),
    "reverse": lambda k, a: k.reverse(a.A, 1),
    "round": lambda k, a: k.round(a.A),
    "sigmoid": lambda k, a: k.sigmoid(a.A),
    "softmax": lambda k, a: k.softmax(a.A),
    "spatial_2d_padding": lambda k, a: k.spatial_2d_padding(a.IMAGE, ((1, 0), (2, 1))),
    "sqrt": lambda k, a: k.sqrt(a.P),
    "square": lambda k, a: k.square(a.A),
    "squeeze": lambda k, a: k.squeeze(a.A[:1], 0),
    "stack": lambda k, a: k.stack([a.A, a.B], axis=1),
    "std": lambda k, a: k.std(a.A, axis=1),
    "sum": lambda k, a: k.sum(a.A, axis=1),
    "switch": lambda k, a: k.switch(a.A[..., 0] > 0, a.A, a.B),
    "tanh": lambda k, a: k.tanh(a.A),
    "temporal_padding": lambda k, a: k.temporal_padding(a.A, (1, 2)),
    "tile": lambda k, a: k.tile(a.A, [1, 2, 1]),
    "transpose": lambda k, a: k.transpose(a.A[0]),
    "var": lambda k, a: k.var(a.A),
    "zeros_like": lambda k, a: k.zeros_like(a.A),
}


@pytest.mark.parametrize("name", CALLS)
def test_k_computes_what_keras_still_computes_under_that_name(name):
    theirs = pytest.importorskip("keras.src.legacy.backend")
    tf = pytest.importorskip("tensorflow", reason="Keras's own K computes with it")
    tensors = types.SimpleNamespace(**{n: tf.constant(v) for n, v in GIVEN.items()})
    want, ours = CALLS[name](theirs, tensors), CALLS[name](K, types.SimpleNamespace(**GIVEN))
    np.testing.assert_allclose(np.asarray(ours), np.asarray(want), rtol=2e-5, atol=2e-6)
    if not isinstance(ours, (int, tuple)):
        assert np.asarray(ours).shape == np.asarray(want).shape


def test_k_has_the_arguments_of_keras():
    theirs = pytest.importorskip("keras.src.legacy.backend")
    for name in set(K._TABLE) & set(dir(theirs)):
        want = list(inspect.signature(getattr(theirs, name)).parameters)
        assert list(inspect.signature(getattr(K, name)).parameters) == [n for n in want if n != "ignore_class"], name


def test_k_works_on_symbols():
    x = Input((3, 4))
    y = K.sum(K.square(K.permute_dimensions(x, (0, 2, 1))), axis=-1)
    z = K.switch(y > 1.0, K.zeros_like(y), K.relu(y, alpha=0.1))
    assert K.int_shape(z) == (None, 4) and K.is_keras_tensor(z)
    plain = (A**2).sum(1)
    np.testing.assert_allclose(Model(x, z)(A), np.where(plain > 1, 0, plain), rtol=1e-5)
    dots = K.batch_dot(x, Input((4, 2)))
    assert K.int_shape(dots) == (None, 3, 2)


def test_functions_and_gradients_of_symbols():
    model = fkeras.Sequential([Input((4,)), layers.Dense(3, activation="tanh"), layers.Dropout(0.5), layers.Dense(2)])
    loss = K.mean(model.output[:, 0])
    slopes = K.gradients(loss, model.input)[0]
    iterate = K.function([model.input, K.learning_phase()], [loss, slopes])
    x = A[0]
    value, found = iterate([x, 0])

    def plain(x):
        return model.apply(model.params, model.state, x)[0][:, 0].mean()

    np.testing.assert_allclose(value, plain(x), rtol=1e-5)
    np.testing.assert_allclose(found, jax.grad(plain)(jnp.asarray(x)), rtol=1e-4, atol=1e-6)
    inner = K.function(model.input, model.layers[0].output)
    assert inner(x).shape == (3, 3)
    other = K.gradients(loss, model.layers[0].output)[0]
    assert other.shape == (None, 3) and K.gradients(loss, Input((2,))) == [None]
    dropped = K.function([model.input, K.learning_phase()], [model.layers[1].output])
    assert (dropped([x, 1])[0] == 0).any() and not (dropped([x, 0])[0] == 0).any()


def test_variables_of_k():
    v = K.variable([[1.0, 2.0]], name="v")
    assert v.name == "v" and K.dtype(v) == "float32" and K.count_params(v) == 2
    K.set_value(v, [[3.0, 4.0]])
    K.update_add(v, [[1.0, 1.0]])
    np.testing.assert_array_equal(K.get_value(v), [[4, 5]])
    np.testing.assert_array_equal(K.eval(K.update_sub(v, 1.0 * np.ones((1, 2)))), [[3, 4]])
    np.testing.assert_array_equal(K.get_value(K.sum(v, axis=-1)), [7])
    K.batch_set_value([(v, np.zeros((1, 2)))])
    assert K.batch_get_value([v])[0].sum() == 0
    assert K.variable(np.arange(3)).dtype == "int32" and K.constant(2, shape=(2,)).tolist() == [2, 2]


REFUSED = {
    "session": (K.get_session, "fkeras runs on JAX, without sessions"),
    "placeholder": (lambda: K.placeholder((None, 3)), "a graph begins with Input((3,))"),
    "phase": (lambda: K.set_learning_phase(1), "Say it in the call, model(x, training=True)"),
    "phase as a number": (lambda: 1 * K.learning_phase(), "layers are told by `training=True`"),
    "updates": (lambda: K.function([Input((2,))], [], updates=[1]), "assigns nothing"),
    "weights": (lambda: K.gradients(Input((2,)), [K.variable(1.0)]), "jax.grad(lambda p:"),
    "misspelt": (lambda: K.clip(A, min=1), "backend.clip(x, min_value, max_value)"),
    "unsafe": (fkeras.config.enable_unsafe_deserialization, "is never run by fkeras"),
    "epochs": (lambda: fkeras.config.set_max_epochs(1.5), "expected an int from 0 on"),
    "policy class": (lambda: fkeras.dtype_policies.deserialize({"class_name": "Int8", "config": {}}), "Quantization"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_name(case):
    call, text = REFUSED[case]
    with pytest.raises((ValueError, TypeError)) as info:
        call()
    assert text in str(info.value) and len(str(info.value)) < 300


# ------------------------------------------------------------------------------------ tree, policies, settings

TREES = [{"b": 1, "a": [2, None, (3,)]}, [1, [2, {"x": 3}]], 5, None, (), {"k": ()}]


def _or_error(call):
    try:
        return call()
    except ValueError:
        return ValueError


def test_tree_does_as_keras(keras):
    ours, theirs = fkeras.tree, keras.tree
    assert {n for n in dir(theirs) if not n.startswith("_")} == set(ours.__all__)
    for t in TREES:
        for name in ("flatten", "flatten_with_path", "is_nested", "lists_to_tuples"):
            assert getattr(ours, name)(t) == getattr(theirs, name)(t), (name, t)
        for tree in (ours, theirs):
            assert tree.map_structure(lambda v: v, t) == t
            assert tree.pack_sequence_as(t, tree.flatten(t)) == t
        for other in TREES:
            for name in ("assert_same_structure", "assert_same_paths"):
                outcomes = [_or_error(lambda m=m: getattr(m, name)(t, other)) for m in (ours, theirs)]  # noqa: B023
                assert outcomes[0] == outcomes[1], (name, t, other)
        for down in (True, False):
            found = []
            for tree in (ours, theirs):
                visit = lambda v: tree.MAP_TO_NONE if v == 1 else [9] if v == 2 else None  # noqa: B023, E731
                found.append(tree.traverse(visit, t, down))
            assert found[0] == found[1]
    shapes = {"a": (1, None), "b": [(2, 3), [4]]}
    assert ours.map_shape_structure(len, shapes) == theirs.map_shape_structure(len, shapes)
    deep = [1, [2, 3]], [4, 5]
    pair = lambda a, b: (a, b)  # noqa: E731
    assert ours.map_structure_up_to([1, 2], pair, *deep) == theirs.map_structure_up_to([1, 2], pair, *deep)
    assert _or_error(lambda: ours.pack_sequence_as([1], [1, 2])) is ValueError


def test_dtype_policies_do_as_keras(keras):
    ours, theirs = fkeras.dtype_policies, keras.dtype_policies
    left_out = {n for n in dir(theirs) if "Quantized" in n or n[:3] in ("AWQ", "GPT", "Int")}
    assert {n for n in dir(theirs) if not n.startswith("_")} - left_out == set(ours.__all__)
    for name in ("float16", "mixed_bfloat16"):
        assert ours.serialize(ours.get(name)) == theirs.serialize(theirs.get(name))
        assert ours.get(theirs.serialize(theirs.get(name))) == ours.get(name)
    made = [m.DTypePolicyMap("float32", {"a/b": m.get("mixed_float16")}) for m in (ours, theirs)]
    for policies, module in zip(made, (ours, theirs), strict=True):
        policies["layer_.*"] = module.get("bfloat16")
        assert [policies[p].name for p in ("a/b", "layer_3", "x")] == ["mixed_float16", "bfloat16", "float32"]
        assert policies.name == "map_float32" and len(policies) == 2 and list(policies) == ["a/b", "layer_.*"]
    assert made[0].get_config() == made[1].get_config()
    again = ours.deserialize(ours.serialize(made[0]))
    assert again["layer_1"].name == "bfloat16"


def test_config_has_keras_s_names_and_its_settings_mean_something(keras, capsys):
    config = fkeras.config
    names = {n for n in dir(keras.config) if not n.startswith("_")}
    ours = {f"{do}_old_spelling_warning" for do in ("enable", "disable")} | {"is_old_spelling_warning_enabled"}
    assert names - {"set_backend"} == set(config.__all__) - ours
    model = fkeras.Sequential([Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = A[0], A[0][:, :1]
    try:
        config.disable_interactive_logging()
        config.set_max_epochs(2)
        config.set_max_steps_per_epoch(1)
        history = model.fit(x, y, epochs=5, batch_size=1)
        assert len(history.epoch) == 2 and model.optimizer.iterations == 2
        assert "\r" not in capsys.readouterr().out
        assert model.predict(x, batch_size=1).shape == (1, 1)
        config.disable_traceback_filtering()
        assert jax.config.jax_traceback_filtering == "off" and not config.is_traceback_filtering_enabled()
        config.disable_flash_attention()
        assert not config.is_flash_attention_enabled()
    finally:
        config.enable_interactive_logging()
        config.set_max_epochs(None)
        config.set_max_steps_per_epoch(None)
        config.enable_traceback_filtering()
        config.enable_flash_attention()
    assert config.max_epochs() is None and config.max_steps_per_epoch() is None and not config.is_nnx_enabled()
    assert jax.config.jax_traceback_filtering == "auto"
