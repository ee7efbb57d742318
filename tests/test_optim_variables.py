"""Optimizers on variables, as lists of variables, several as one, and those of another library."""

import copy
import doctest
import importlib
import pickle
from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras import optimizers as O

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :2] * 2 - 1
KINDS = {
    "sgd": lambda k: k.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda k: k.optimizers.Adam(0.1, amsgrad=True),
    "rmsprop": lambda k: k.optimizers.RMSprop(0.1, centered=True),
    "schedule": lambda k: k.optimizers.AdamW(k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    "accumulates": lambda k: k.optimizers.Nadam(0.1, gradient_accumulation_steps=2),
}
CLOSE = {"rtol": 2e-5, "atol": 1e-6}


def starts():
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype("float32") for shape in ((3, 2), (2,), ())]


def gradients(step):
    return [np.full_like(a, np.sin(step + i)) for i, a in enumerate(starts())]


def variables(k):
    return [k.Variable(a, name=name) for a, name in zip(starts(), ("kernel", "bias", "scale"), strict=True)]


# ------------------------------------------------------------------------------------------- Variable


def test_a_variable_acts_as_in_keras(keras):
    for k in (fkeras, keras):
        v = k.Variable(np.ones((2, 3), "float32"), name="v", trainable=False)
        assert (tuple(v.shape), str(v.dtype), v.ndim, v.name, v.path, v.trainable) == (
            (2, 3), "float32", 2, "v", "v", False,
        )  # fmt: skip
        v.assign(np.full((2, 3), 2.0))
        v.assign_add(np.ones((2, 3)))
        v.assign_sub(jnp.full((2, 3), 0.5))
        np.testing.assert_array_equal(v.numpy(), np.full((2, 3), 2.5))
        np.testing.assert_array_equal(np.asarray(v), v.value)
        results = {3.5: v + 1, -1.5: 1 - v, 6.25: v * v, 0.8: 2 / v, -2.5: -v, 2.5: abs(v), 15.625: v**3}
        for want, got in results.items():
            np.testing.assert_allclose(np.asarray(got), np.full((2, 3), want))
        np.testing.assert_array_equal(np.asarray(v > 2), np.ones((2, 3), bool))
        np.testing.assert_array_equal(np.asarray(v @ jnp.ones((3, 1))), [[7.5], [7.5]])
        assert float(v[1, 2]) == 2.5 and float(np.sum(v)) == 15.0 and jnp.stack([v, v]).shape == (2, 2, 3)
        assert np.asarray(jnp.asarray(v) + v).tolist() == (np.ones((2, 3)) * 5).tolist()
        drawn = k.Variable(lambda shape, dtype: jnp.zeros(shape, dtype), shape=(2,))
        assert tuple(drawn.shape) == (2,) and str(drawn.dtype) == "float32" and int(k.Variable(3)) == 3
        assert str(k.Variable([1.0, 2.0]).dtype) == "float32" and str(k.Variable(3, dtype="int32").dtype) == "int32"
        with pytest.raises(ValueError, match="shape"):
            v.assign(np.ones(3))
        with pytest.raises(ValueError):
            k.Variable(lambda shape, dtype: None)
    assert isinstance(L.Dense(2).variables, list)
    dense = L.Dense(2)
    dense.build((None, 3))
    assert isinstance(dense.kernel, fkeras.Variable) and len({dense.kernel, dense.kernel, dense.bias}) == 2


def test_variables_are_leaves_of_trees_and_copies_do_not_share():
    v = fkeras.Variable([1.0, 2.0], name="v")
    twin = copy.deepcopy(v)
    other = pickle.loads(pickle.dumps(v))
    v.assign([3.0, 4.0])
    assert twin.numpy().tolist() == other.numpy().tolist() == [1.0, 2.0]
    assert jax.tree.leaves({"a": v}) == [v]
    kept = v.value
    jax.jit(lambda a: a + 1, donate_argnums=0)(v.value)
    assert v.numpy().tolist() == kept.tolist() == [3.0, 4.0]


# --------------------------------------------------------------------------- against Keras, step by step


@pytest.mark.parametrize("kind", KINDS)
def test_steps_on_variables_are_keras_steps(kind, keras):
    found = []
    for k in (fkeras, keras):
        optimizer, vs = KINDS[kind](k), variables(k)
        optimizer.build(vs)
        for step in range(4):
            grads = gradients(step)
            if step % 2:
                optimizer.apply_gradients(zip(grads, vs, strict=True))
            else:
                optimizer.apply([jnp.asarray(g) for g in grads], vs)
        assert int(optimizer.iterations) == (2 if kind == "accumulates" else 4)
        found.append((vs, optimizer.variables))
    for ours, theirs in zip(*(vs for vs, _ in found), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), **CLOSE)
    if kind == "accumulates":  # Keras lists the sums of gradients at another place
        return
    assert [v.shape for v in found[0][1]] == [tuple(v.shape) for v in found[1][1]]
    for ours, theirs in zip(*(own for _, own in found), strict=True):
        np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adam", "schedule"])
def test_the_stateless_form_is_the_same_step(kind, keras):
    found = []
    for k in (fkeras, keras):
        optimizer, vs = KINDS[kind](k), variables(k)
        optimizer.build(vs)
        own, trained = [v.value for v in optimizer.variables], [v.value for v in vs]
        step = jax.jit(optimizer.stateless_apply) if k is fkeras else optimizer.stateless_apply
        for i in range(3):
            trained, own = step(own, [jnp.asarray(g) for g in gradients(i)], trained)
        found.append((trained, own))
        assert int(optimizer.iterations) == 0 and (vs[0].numpy() == starts()[0]).all()  # nothing was assigned
    for ours, theirs in zip(*(a + b for a, b in found), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def loop(model, optimizer, steps):
    """A loop of one's own over the weights' handles."""

    @jax.jit
    def slope(params, x, y):
        return jax.grad(lambda p: jnp.mean((x @ p[0] + p[1] - y) ** 2))(params)

    for _ in range(steps):
        handles = model.trainable_weights
        optimizer.apply_gradients(zip(slope([v.value for v in handles], X, Y), handles, strict=True))


def test_loops_of_ones_own_and_fit_share_slots_and_count():
    """Handles on the weights of a compiled model mean the arrays that `fit` trains: one state."""
    weights = []
    for own in (False, True):
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential([L.Input((3,)), L.Dense(2, name="d")])
        model.compile(O.Adam(0.1), "mse")
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        if own:
            loop(model, model.optimizer, 2)
        else:
            model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        model.fit(X, Y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        assert model.optimizer.iterations == 5
        assert [v.name for v in model.optimizer.variables] == [
            "iteration", "learning_rate", "d_kernel_momentum", "d_kernel_velocity", "d_bias_momentum",
            "d_bias_velocity",
        ]  # fmt: skip
        weights.append([*model.get_weights(), *model.optimizer.get_weights()])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_an_optimizer_of_ones_own_trains_handles_and_constraints_hold():
    dense = L.Dense(2, kernel_constraint="non_neg", bias_initializer="ones")
    dense.build((None, 3))
    dense.kernel.assign(np.ones((3, 2)))
    optimizer = O.SGD(1.0)
    with pytest.warns(UserWarning, match="no gradients for dense/bias; left as is"):
        optimizer.apply_gradients([(np.full((3, 2), 5.0, "float32"), dense.kernel), (None, dense.bias)])
    assert (dense.kernel.numpy() == 0).all() and (dense.bias.numpy() == 1).all()
    assert dense(np.ones((1, 3), "float32")).tolist() == [[1.0, 1.0]]


# ------------------------------------------------------------------------------------ the optimizer's own


def test_rates_and_counts_read_and_write_like_variables(keras):
    for k in (fkeras, keras):
        optimizer = k.optimizers.Adam(0.5)
        assert float(optimizer.learning_rate) == 0.5 and float(optimizer.learning_rate.numpy()) == 0.5
        assert float(optimizer.learning_rate.value) == 0.5
        optimizer.build(variables(k))
        optimizer.learning_rate.assign(0.25)
        assert float(optimizer.learning_rate) == 0.25 and float(optimizer.variables[1].numpy()) == 0.25
        optimizer.learning_rate = 0.125
        assert float(optimizer.learning_rate) == 0.125 and float(optimizer.variables[1].numpy()) == 0.125
        optimizer.iterations.assign(7)
        assert int(optimizer.iterations) == int(optimizer.iterations.numpy()) == int(optimizer.iterations.value) == 7
        assert int(optimizer.variables[0].numpy()) == 7
        optimizer.variables[0].assign(9)
        assert int(optimizer.iterations) == 9


def test_weights_of_optimizers_travel(keras):
    optimizer, vs = O.Adam(0.1), variables(fkeras)
    optimizer.build(vs)
    optimizer.apply(gradients(0), vs)
    theirs = keras.optimizers.Adam(0.1)
    theirs.build(variables(keras))
    theirs.set_weights(optimizer.get_weights())
    again, store = O.Adam(0.1), {}
    again.build(variables(fkeras))
    theirs.save_own_variables(store)
    again.load_own_variables(store)
    for a, b in zip(optimizer.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a.path.startswith("adam/")
    copied = copy.deepcopy(optimizer)
    assert copied.iterations == 1
    with pytest.raises(ValueError, match="set_weights expected 8 arrays, got 2"):
        optimizer.set_weights([0, 0.1])
    with pytest.raises(ValueError, match=r"expected an array of shape \(3, 2\), got \(2, 3\)"):
        optimizer.set_weights([a.T for a in optimizer.get_weights()])


def test_mistakes_are_answered():
    vs, optimizer = variables(fkeras), O.SGD(0.1)
    with pytest.raises(ValueError, match=r"SGD 'sgd': apply\(grads\) without variables needs build\(variables\) first"):
        optimizer.apply(gradients(0))
    with pytest.raises(ValueError, match="expected one gradient a variable, got 2 gradients for 3 variables"):
        optimizer.apply(gradients(0)[:2], vs)
    with pytest.raises(ValueError, match="no gradients provided for any variable"):
        optimizer.apply([None] * 3, vs)
    with pytest.raises(ValueError, match="a variable is given twice"):
        optimizer.build([vs[0], vs[0]])
    with pytest.raises(ValueError, match=r"stateless_apply needs build\(variables\) first"):
        O.SGD(0.1).stateless_apply([], [], [])
    assert optimizer.apply([], []) == []
    optimizer.build(vs)
    optimizer.apply(gradients(1))  # on what it was built on
    assert optimizer.iterations == 1 and not (vs[0].numpy() == starts()[0]).all()


# ----------------------------------------------------------------------------------------- several as one


def test_each_variable_is_trained_by_the_optimizer_of_its_path(keras):
    found = []
    for k in (fkeras, keras):
        chosen = k.optimizers.OptimizerMap(k.optimizers.SGD(0.5), {"ker.*": k.optimizers.Adam(0.1)})
        chosen["scale"] = k.optimizers.RMSprop(0.1)
        optimizer, vs = k.optimizers.MultiOptimizer(chosen), variables(k)
        optimizer.build(vs)
        for step in range(3):
            optimizer.apply([jnp.asarray(g) for g in gradients(step)], vs)
        assert [type(o).__name__ for o in optimizer.optimizers] == ["Adam", "RMSprop", "SGD"]
        assert int(optimizer.iterations) == 3 and [int(o.iterations) for o in optimizer.optimizers] == [3, 3, 3]
        with pytest.raises(AttributeError):
            _ = optimizer.learning_rate
        found.append([np.asarray(v) for v in vs])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("as_map", [True, False])
def test_several_optimizers_train_a_model_and_travel(as_map, tmp_path):
    def make():
        chosen = O.OptimizerMap(O.SGD(0.1), {".*first/.*": O.Adam(0.1)})
        adam, sgd = O.Adam(0.1), O.SGD(0.1)
        choose = chosen if as_map else lambda v: adam if "first" in v.path else sgd
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential([L.Input((3,)), L.Dense(2, name="first"), L.Dense(2, name="last")])
        model.compile(O.MultiOptimizer(choose), "mse")
        return model

    model = make()
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    optimizer = model.optimizer
    assert optimizer.iterations == 4 and sorted(type(o).__name__ for o in optimizer.optimizers) == ["Adam", "SGD"]
    adam = next(o for o in optimizer.optimizers if isinstance(o, O.Adam))
    adam.learning_rate = 0.0  # also between two calls of fit
    before = model.get_weights()
    model.fit(X, Y, batch_size=4, verbose=0)
    assert (model.get_weights()[0] == before[0]).all() and not (model.get_weights()[2] == before[2]).all()
    if not as_map:
        return
    again = []
    for ending in ("keras", "h5"):
        model.save(str(tmp_path / f"m.{ending}"))
        again.append(fkeras.models.load_model(str(tmp_path / f"m.{ending}")))
    for one in (*again, model):
        one.fit(X, Y, batch_size=4, epochs=1, verbose=0)
        assert one.optimizer.iterations == 8
    for one in again:
        for a, b in zip(one.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_callbacks_change_the_rates_of_all_optimizers():
    first, second = O.SGD(0.1), O.SGD(0.01)
    model = fkeras.Sequential([L.Input((3,)), L.Dense(2, name="first"), L.Dense(2)])
    model.compile(O.MultiOptimizer(O.OptimizerMap(second, {".*first/.*": first})), "mse")
    halve = fkeras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    plateau = fkeras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[halve]).history
    assert history["learning_rate"] == [0.05, 0.025]  # that of the first
    assert (float(first.learning_rate), float(second.learning_rate)) == (0.025, 0.0025)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[plateau])
    assert (float(first.learning_rate), float(second.learning_rate)) == (0.0125, 0.00125)


def test_variables_in_scopes_are_called_by_them(keras):
    for k in (fkeras, keras):
        with k.name_scope("outer"), k.name_scope("inner"):
            assert k.Variable([1.0], name="v").path == "outer/inner/v"
        assert k.Variable([1.0], name="v").path == "v"


def test_maps_of_optimizers_refuse_what_is_not_clear():
    chosen = O.OptimizerMap(O.SGD(), {".*a.*": O.Adam(), ".*b.*": O.SGD()})
    with pytest.raises(ValueError, match=r"'ab' is matched by '\.\*a\.\*' and by '\.\*b\.\*'; expected one"):
        chosen["ab"]
    with pytest.raises(ValueError, match="has an optimizer for '.*a.*' already"):
        chosen[".*a.*"] = O.SGD()
    for wrong in (O.LossScaleOptimizer("sgd"), O.MultiOptimizer(O.OptimizerMap(O.SGD())), "adam"):
        with pytest.raises(ValueError, match="expected an optimizer of its own for 'c'"):
            chosen["c"] = wrong
    scaled = O.MultiOptimizer(O.OptimizerMap(O.SGD(0.1, loss_scale_factor=2.0)), loss_scale_factor=5.0)
    v = fkeras.Variable([2.0])
    scaled.apply([np.array([10.0], "float32")], [v])
    assert float(scaled.scale_loss(jnp.float32(2.0))) == 10.0 and v.numpy().tolist() == pytest.approx([1.8])


# ------------------------------------------------------------------------------------- of another library

GradientTransformation = namedtuple("GradientTransformation", "init update")
ScaleByAdam = namedtuple("ScaleByAdam", "count mu nu")


def scale_by_adam(rate, b1=0.9, b2=0.999, eps=1e-7):
    """Adam in the form of an optax transformation."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return (ScaleByAdam(jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, params)), ())

    def update(grads, state, params=None):
        count, mu, nu = state[0]
        count = count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, nu, grads)
        scale = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
        return jax.tree.map(lambda m, v: -scale * m / (jnp.sqrt(v) + eps), mu, nu), (ScaleByAdam(count, mu, nu), ())

    return GradientTransformation(init, update)


def test_compile_takes_an_optax_transformation():
    weights = []
    for optimizer in (scale_by_adam(0.1), O.Adam(0.1)):
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential([L.Input((3,)), L.Dense(4, "relu"), L.Dense(2)])
        model.compile(optimizer, "mse")
        model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
        assert model.optimizer.iterations == 6
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_transformation_works_on_variables_and_says_what_it_cannot():
    vs, model = variables(fkeras), fkeras.Sequential([L.Input((3,)), L.Dense(2)])
    optimizer = O.get(scale_by_adam(0.1))
    optimizer.apply(gradients(0), vs)
    np.testing.assert_allclose(vs[1].numpy(), starts()[1] - 0.1 * np.sign(gradients(0)[1]), rtol=1e-4)
    assert len(optimizer.variables) == 8 and not hasattr(optimizer, "learning_rate")
    with pytest.raises(AttributeError, match="the learning rate is inside of the transformation"):
        optimizer.learning_rate = 0.1
    with pytest.raises(ValueError, match="a transformation is code, which is never stored"):
        optimizer.get_config()
    with pytest.raises(TypeError, match="expected functions `init` and `update`"):
        O.Transformation(3)
    model.compile(scale_by_adam(0.1), "mse")
    model.train_on_batch(X, Y)
    model.layers[0].trainable = False
    with pytest.warns(UserWarning, match="frozen after compile"):
        model.train_on_batch(X, Y)


@pytest.mark.parametrize(
    "name", ["core.variable", "core.tracing", "optim.variables", "optim.multi", "optim.transformation"]
)
def test_examples_run(name):
    known = {"jax": jax, "jnp": jnp, "fkeras": fkeras, "SGD": O.SGD, "Adam": O.Adam}
    found = doctest.testmod(importlib.import_module(f"fkeras.{name}"), extraglobs=known)
    assert found.failed == 0 and found.attempted > 0
