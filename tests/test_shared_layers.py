"""A layer's arrays are one truth, however many paths lead to the layer; judged by real Keras."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("float32")


def in_a_submodel_and_beside(k):
    shared = k.layers.Dense(3, kernel_regularizer=k.regularizers.L2(0.1), name="shared")
    inner = k.Sequential([k.Input((3,)), k.layers.Dense(3, activation="tanh", name="own"), shared], name="inner")
    x = k.Input((3,))
    return k.Model(x, k.layers.Add()([inner(x), shared(x)]))


def a_model_held_twice(k):
    leaf = k.Sequential([k.Input((3,)), k.layers.Dense(3, name="leaf_dense"), k.layers.BatchNormalization(name="norm")])
    left = k.Sequential([k.Input((3,)), leaf], name="left")
    right = k.Sequential([k.Input((3,)), k.layers.Dense(3, name="right_dense"), leaf], name="right")
    x = k.Input((3,))
    return k.Model(x, k.layers.Add()([left(x), right(x), leaf(x)]))


def a_tied_kernel(k):
    class Tied(k.layers.Layer):
        def __init__(self, dense, **kwargs):
            super().__init__(**kwargs)
            self.dense = dense

        def call(self, x):
            return k.ops.matmul(x - self.dense.bias, k.ops.transpose(self.dense.kernel))

        def compute_output_shape(self, shape):
            return shape

    x = k.Input((3,))
    dense = k.layers.Dense(3, name="tied")
    return k.Model(x, Tied(dense, name="back")(k.layers.Activation("tanh")(dense(x))))


def in_a_layer_of_ones_own(k):
    class Block(k.layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.first, self.norm = inner

        def call(self, x, training=None):
            return self.norm(self.first(x), training=training)

        def compute_output_shape(self, shape):
            return shape

    inner = k.layers.Dense(3, name="first"), k.layers.BatchNormalization(name="norm")
    x = k.Input((3,))
    y = inner[1](inner[0](x))
    return k.Model(x, Block(inner, name="block")(Block(inner, name="again")(y)))


def at_random(seed):
    def build(k):
        rng = np.random.default_rng(seed)
        pool = [k.layers.Dense(3, activation="tanh", name=f"dense_{i}") for i in range(2)]
        pool += [k.layers.BatchNormalization(name="norm"), k.layers.Dense(3, name="last")]
        for depth in range(3):
            parts = [pool[i] for i in rng.integers(0, len(pool), 2)]
            pool.append(k.Sequential([k.Input((3,)), *dict.fromkeys(parts)], name=f"part_{depth}"))
        x = k.Input((3,))
        ends = [pool[i](x) for i in rng.integers(0, len(pool), 2)] + [pool[-1](x)]
        return k.Model(x, k.layers.Add()(ends))

    build.__name__ = f"seed {seed}"
    return build


FORMS = [in_a_submodel_and_beside, a_model_held_twice, a_tied_kernel, in_a_layer_of_ones_own, *map(at_random, range(6))]


def by_layer(model, k):
    """{(layer, weight): array} of all layers inside, each once."""
    layers = model._flatten_layers() if k is not fkeras else model.own_and_inner()
    found = {}
    for layer in layers:
        own = [w for w in layer.weights if getattr(w, "layer", layer) is layer] if k is fkeras else layer._own(layer)
        found |= {(layer.name, w.name): np.asarray(w.numpy() if hasattr(w, "numpy") else w) for w in own}
    return found


@pytest.mark.parametrize("build", FORMS, ids=lambda f: f.__name__.replace("_", " "))
def test_shared_layers_train_as_in_keras(build, keras):
    fkeras.utils.set_random_seed(4)
    ours, its = build(fkeras), build(keras)
    count = len(ours.weights)
    assert count == len(its.weights) and ours.count_params() == its.count_params()
    order = [(w.layer.name, w.name) for w in ours.weights]
    theirs = [tuple(w.path.split("/")[-2:]) for w in its.weights]
    if order != theirs:  # the same arrays, listed in another order
        assert sorted(order) == sorted(theirs)
    values = dict(zip(order, ours.get_weights(), strict=True))
    its.set_weights([values[name] for name in theirs])
    for model, k in ((ours, fkeras), (its, keras)):
        model.compile(k.optimizers.SGD(0.05), "mse")
    np.testing.assert_allclose(ours.predict(X, verbose=0), its.predict(X, verbose=0), rtol=1e-4, atol=1e-5)
    found = ours.fit(X, Y, batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"]
    wanted = its.fit(X, Y, batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    after = dict(zip(theirs, its.get_weights(), strict=True))
    for name, value in zip(order, ours.get_weights(), strict=True):
        np.testing.assert_allclose(value, after[name], rtol=1e-3, atol=2e-5, err_msg=str(name))


@pytest.mark.parametrize("build", FORMS[:4], ids=lambda f: f.__name__.replace("_", " "))
def test_trees_hold_each_array_once_and_gradients_are_whole(build):
    model = build(fkeras)
    params, state = model.gather()
    assert len(jax.tree.leaves((params, state))) == len(model.weights)
    drawn, running = model.init(jax.random.key(0), (None, 3))
    assert jax.tree.structure((drawn, running)) == jax.tree.structure((params, state))

    def loss(params):
        return jnp.sum(model.apply(params, state, X)[0] ** 2)

    slopes = jax.grad(loss)(params)
    eps, paths = 1e-2, jax.tree.leaves(params)
    for i, slope in enumerate(jax.tree.leaves(slopes)):

        def moved(by, i=i):
            leaves = [a + by * (j == i) for j, a in enumerate(paths)]
            return float(loss(jax.tree.unflatten(jax.tree.structure(params), leaves)))

        np.testing.assert_allclose(float(jnp.sum(slope)), (moved(eps) - moved(-eps)) / (2 * eps), rtol=2e-2, atol=0.1)


def test_penalties_and_freezing_go_by_the_layer():
    model = in_a_submodel_and_beside(fkeras)
    shared = model.get_layer("shared")
    model.compile("sgd", lambda t, p: 0 * p[:, 0])
    wanted = 0.1 * float(np.sum(shared.get_weights()[0] ** 2))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(wanted, rel=1e-5)
    shared.trainable = False
    model.compile("sgd", "mse")
    before = shared.get_weights()
    model.fit(X, Y, verbose=0)
    for a, b in zip(before, shared.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("devices", [2, fkeras.distribute.DataParallel(1, accumulate=2)], ids=["devices", "parts"])
def test_devices_and_parts_train_shared_layers_alike(devices):
    runs = []
    for how in (None, devices):
        fkeras.utils.set_random_seed(0)
        fkeras.utils.clear_session()
        model = in_a_submodel_and_beside(fkeras)
        model.compile("sgd", "mse", distribute=how)
        model.fit(X, Y, batch_size=6, verbose=0)
        runs.append(model.get_weights())
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("build", FORMS[:2], ids=lambda f: f.__name__.replace("_", " "))
def test_files_bring_shared_layers_back(build, ending, tmp_path):
    model, path = build(fkeras), str(tmp_path / f"x{ending}")
    if ending == ".weights.h5":
        model.save_weights(path)
        fkeras.utils.clear_session()
        again = build(fkeras)
        again.load_weights(path)
    else:
        model.save(path)
        again = fkeras.models.load_model(path)
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    assert len(again.weights) == len(model.weights)
