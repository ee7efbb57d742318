"""Names of Keras's root beside layers and models: rematerialization, devices, meshes, functions, Flax modules."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import distribution as D
from fkeras import layers as L

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def counted(model):
    """Returns how many parts of the gradient's program are computed again, and the gradient."""

    def loss(params):
        y, state = model.apply(params, model.state, X, training=True, key=jax.random.key(0))
        return jnp.sum(y**2), state

    text = str(jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True))(model.params))
    return text.count("checkpoint[") + text.count("remat2["), jax.grad(loss, has_aux=True)(model.params)


def net():
    class Own(L.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = L.Dense(3, activation="relu", name="inner")

        def call(self, x):
            self.add_loss(jnp.mean(x))
            return self.inner(x)

    wide = L.Dense(40, activation="gelu", name="wide", activity_regularizer="l2")
    norm = L.BatchNormalization(name="norm")
    return fkeras.Sequential([fkeras.Input((5,)), wide, norm, L.Dropout(0.3, seed=1), Own(name="own"), L.Dense(2)])


@pytest.mark.parametrize(
    "options, least",
    [
        ({}, 5),
        ({"mode": "list_of_layers", "layer_names": ["wide"]}, 1),
        ({"mode": "larger_than", "output_size_threshold": 20}, 3),
        ({"mode": "activations"}, 5),
        ({"mode": None}, 0),
    ],
)
def test_what_is_computed_again_gives_the_same_numbers(options, least):
    plain = net()
    with fkeras.RematScope(**options):
        saved = net()
    saved.set_weights(plain.get_weights())
    (none, wanted), (some, got) = counted(plain), counted(saved)
    assert none == 0 and (some >= least if least else some == 0)
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    histories = []
    for model in (plain, saved):
        fkeras.utils.set_random_seed(3)
        model.compile("sgd", "mse")
        histories.append(model.fit(X, X[:, :2], batch_size=4, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_remat_of_a_function_and_unknown_modes():
    f = fkeras.remat(lambda x: jnp.sin(jnp.sin(x)))
    assert jax.grad(f)(0.3) == jax.grad(lambda x: jnp.sin(jnp.sin(x)))(0.3)
    with pytest.raises(ValueError, match="expected a mode of 'full', .* got 'all'"):
        fkeras.RematScope("all")


def test_devices_by_name():
    cpu = jax.devices("cpu")
    with fkeras.device(f"cpu:{cpu[-1].id}"):
        assert jnp.ones(2).devices() == {cpu[-1]}
    with fkeras.device("cpu"), fkeras.device(cpu[0]):
        assert jnp.ones(2).devices() == {cpu[0]}
    with pytest.raises(ValueError, match="device 'tpu:7': there is none; expected one of cpu:0"):
        fkeras.device("tpu:7")


def test_a_distribution_is_what_models_train_on():
    names = D.list_devices("cpu")[:2]
    assert D.get_device_count("cpu") == len(D.list_devices("CPU")) >= 2 and D.distribution() is None
    mesh = D.DeviceMesh((2,), ["batch"], names)
    two = D.DataParallel(device_mesh=mesh)
    assert [d.id for d in D.DataParallel(devices=names).devices] == [d.id for d in two.devices]
    model = fkeras.Sequential([fkeras.Input((5,)), L.Dense(1)])
    model.compile("sgd", "mse")
    alone = copy.deepcopy(model).fit(X, X[:, :1], shuffle=False, verbose=0).history["loss"]
    D.set_distribution(two)
    try:
        assert D.distribution() is two and model._devices().count == 2
        np.testing.assert_allclose(model.fit(X, X[:, :1], shuffle=False, verbose=0).history["loss"], alone, rtol=1e-6)
    finally:
        D.set_distribution(None)
    with pytest.raises(TypeError, match="expected a DataParallel or None, got 3"):
        D.set_distribution(3)
    with pytest.raises(ValueError, match="each process gives its own rows"):
        D.DataParallel(auto_shard_dataset=False)
    with pytest.raises(TypeError, match="does not split parameters over devices"):
        D.ModelParallel(layout_map=None)


def test_layouts_lay_arrays_on_a_mesh():
    mesh = D.DeviceMesh((1, 2), ["batch", "model"], D.list_devices("cpu")[:2])
    layouts = D.LayoutMap(mesh)
    layouts["dense.*kernel"] = D.TensorLayout([None, "model"])
    layouts["bias"] = ("model",)
    assert layouts["model/dense_3/kernel"].axes == (None, "model") and layouts["embedding"] is None
    assert list(layouts) == ["dense.*kernel", "bias"] and "bias" in layouts and len(layouts) == 2
    array = D.distribute_tensor(np.ones((2, 4)), layouts["dense/kernel"])
    assert {s.data.shape for s in array.addressable_shards} == {(2, 2)} and array.sharding.mesh.shape["model"] == 2
    layouts["dense"] = ("batch",)
    with pytest.raises(ValueError, match=r"'dense/kernel' fits several keys: 'dense\.\*kernel', 'dense'"):
        layouts["dense/kernel"]
    for wrong in (
        lambda: D.DeviceMesh((2,), ["a", "b"], ["cpu:0", "cpu:1"]),
        lambda: D.DeviceMesh((3,), ["a"], ["cpu:0"]),
        lambda: D.TensorLayout(["depth"], mesh),
        lambda: layouts.__setitem__("bias", ("model",)),
        lambda: layouts.__setitem__("other", 3),
        lambda: D.TensorLayout([None]).backend_layout,
    ):
        with pytest.raises(ValueError, match="DeviceMesh|TensorLayout|LayoutMap"):
            wrong()


def test_a_function_between_symbols(keras):
    def made(k):
        a, b = k.Input((3,)), k.Input((3,))
        function = k.Function([a, b], [a + b, k.ops.sum(a * b, axis=1)])
        return [np.asarray(v) for v in function([X[:, :3], X[:, 2:]])], len(function.operations) > 0

    for a, b in zip(made(fkeras)[0], made(keras)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


class Module:
    """What a module of Flax answers to: `init` and `apply`."""

    def __call__(self, inputs, training):
        raise AssertionError

    def init(self, rngs, inputs, method=None, training=None):
        assert set(rngs) == {"params", "dropout", "default"} and method is None
        kernel = jax.random.normal(rngs["params"], (inputs.shape[-1], 2))
        return {"params": {"kernel": kernel}, "batch_stats": {"mean": jnp.zeros(2)}}

    def apply(self, variables, inputs, method=None, rngs=None, mutable=False, training=None):
        y = inputs @ variables["params"]["kernel"]
        if not mutable:
            assert rngs is None and training is False
            return y - variables["batch_stats"]["mean"]
        assert mutable == ["batch_stats"] and training is True and set(rngs) == {"dropout", "default"}
        return y - y.mean(0), {"batch_stats": {"mean": 0.5 * variables["batch_stats"]["mean"] + 0.5 * y.mean(0)}}


def test_modules_of_flax_are_layers(tmp_path):
    model = fkeras.Sequential([fkeras.Input((5,)), L.FlaxLayer(Module(), name="flax"), L.Dense(1)])
    layer = model.layers[0]
    assert [w.name for w in layer.trainable_weights] == ["params.kernel"]
    assert [w.name for w in layer.non_trainable_weights] == ["state.batch_stats.mean"]
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, X[:, :1], epochs=2, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    wanted = X @ np.asarray(layer.weights[0].value) - np.asarray(layer.weights[1].value)
    np.testing.assert_allclose(layer(X), wanted, rtol=1e-4, atol=1e-5)
    given = {"params": {"kernel": np.ones((5, 2), "float32")}, "batch_stats": {"mean": np.ones(2, "float32")}}
    np.testing.assert_allclose(L.FlaxLayer(Module(), variables=given)(X), X @ np.ones((5, 2)) - 1, rtol=1e-4, atol=1e-5)
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(TypeError, match="a Flax module is code, which a config does not carry"):
        model.save(tmp_path / "m.keras")


def test_a_real_module_of_flax(tmp_path):
    nn = pytest.importorskip("flax.linen", reason="Flax is no part of the extras")

    class Block(nn.Module):
        @nn.compact
        def __call__(self, inputs, training):
            x = nn.Dense(4)(inputs)
            x = nn.BatchNorm(use_running_average=not training)(x)
            return nn.Dropout(0.5, deterministic=not training)(x)

    model = fkeras.Sequential([fkeras.Input((5,)), L.FlaxLayer(Block()), L.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(X, X[:, :1], epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0] and len(model.layers[0].weights) == 6
