"""Optimizers: laws on every row of the catalog, real Keras's numbers, and the surprising cases by name."""

import copy
import functools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras.optim as optim
from fkeras.core.settings import setting
from fkeras.core.tree import flatten, unflatten
from fkeras.optim.base import Optimizer, optimizers
from tests.catalog.optim import CATALOG, OWN, PATHS, STEPS, arrays, gradients

rows = pytest.mark.parametrize("row", CATALOG, ids=str)
each_class = pytest.mark.parametrize("row", {r.name: r for r in OWN}.values(), ids=lambda r: r.name)


def tree(leaves, dtype="float32"):
    return unflatten({path: jnp.asarray(a, dtype) for path, a in leaves.items()})


def run(opt, update, steps):
    params = tree(arrays(0))
    state, course = opt.init(params), []
    for g in gradients()[:steps]:
        params, state = update(tree(g), state, params)
        course.append((params, state))
    return course


@functools.cache
def compiled(index):
    """(optimizer, traces, [(parameters, state) after each step]) of a row, from one compiled update."""
    opt, traces = CATALOG[index].build(optim), []

    @jax.jit
    def update(g, s, p):
        traces.append(1)
        return opt.update(g, s, p)

    return opt, traces, run(opt, update, STEPS)


def close(got, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), got, expected)


# ---------------------------------------------------------------------------------------------- laws


@rows
def test_compiled_update_equals_eager_update(row):
    opt, _, course = compiled(CATALOG.index(row))
    # The two fuse products and sums differently; Muon's matrix iteration enlarges that rounding.
    with jax.disable_jit():
        eager = run(opt, opt.update, 3)[2]
    close(course[2], eager, rtol=2e-4 if row.name == "Muon" else 2e-5, atol=2e-6)


@rows
def test_state_keeps_its_structure_and_an_update_is_traced_once(row):
    opt, traces, course = compiled(CATALOG.index(row))
    params, state = course[-1]
    fresh = opt.init(tree(arrays(0)))
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    assert [(a.shape, a.dtype) for a in jax.tree.leaves(state)] == [(a.shape, a.dtype) for a in jax.tree.leaves(fresh)]
    assert traces == [1]
    assert all(np.isfinite(a).all() for a in jax.tree.leaves((params, state)))
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), params, tree(arrays(0)))
    assert all(jax.tree.leaves(moved))


@rows
def test_config_survives_a_round_trip(row):
    opt = row.build(optim)
    config = json.loads(json.dumps(optim.serialize(opt)))
    again = optim.get(config)
    assert type(again) is type(opt) and again.get_config() == opt.get_config()
    assert optim.deserialize(config).get_config() == opt.get_config()


@rows
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_its_dtype_and_remembers_in_float32(row, dtype):
    opt, params = row.build(optim), tree(arrays(0), dtype)
    shapes = jax.eval_shape(lambda g, p: opt.update(g, opt.init(p), p), params, params)
    assert {a.dtype.name for a in jax.tree.leaves(shapes[0])} == {dtype}
    assert {a.dtype.name for a in jax.tree.leaves(shapes[1])} <= {"float32", "int32"}


@each_class
def test_a_quadratic_bowl_is_descended(row):
    lr = {"Adadelta": 30.0, "Adagrad": 0.9, "Ftrl": 2.0, "Adafactor": 0.5}.get(row.name, 0.05)
    opt, params = getattr(optim, row.name)(lr), {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]])}

    @jax.jit
    def descend(params):
        def step(_, carry):
            params, state = carry
            return opt.update(jax.tree.map(lambda w: w - 0.3, params), state, params)

        return jax.lax.fori_loop(0, 300, step, (params, opt.init(params)))[0]

    far, near = (float(jnp.sum((w["w"] - 0.3) ** 2)) for w in (params, descend(params)))
    assert near < 0.02 * far, f"{row.name}: {far} -> {near}"


def test_half_precision_follows_float32_where_kerass_own_dtype_would_not():
    # In float16 the square of 1e-4 is zero, and Adam would divide by epsilon alone, itself rounded to zero.
    opt, params = optim.Adam(0.125), {"w": jnp.ones((3,), jnp.float16)}
    new, _ = opt.update({"w": jnp.full((3,), 1e-4, jnp.float16)}, opt.init(params), params)
    step = 0.125 / (1 + 1e-7 / (1e-4 * 0.001**0.5))
    np.testing.assert_allclose(new["w"], 1 - step, atol=1e-3)  # float16 has about three digits


def test_eval_shape_of_init_costs_nothing_even_under_a_schedule():
    opt = optim.Adam(optim.schedules.CosineDecay(0.1, 10))
    shapes = jax.eval_shape(opt.init, tree(arrays(0)))
    assert shapes["slots"]["dense"]["kernel"]["momentum"].shape == (3, 2)


def test_layers_without_arrays_keep_their_place():
    params = {"dense": {"kernel": jnp.ones(2)}, "dropout": {}}
    new, _ = optim.Adam().update(params, optim.Adam().init(params), params)
    assert new.keys() == params.keys() and new["dropout"] == {}


def test_an_update_can_be_donated_and_mapped():
    for opt in (optim.Adam(0.1, use_ema=True), optim.ScheduleFreeAdamW(0.1)):
        params, grads = tree(arrays(0)), tree(arrays(1))

        def step(p, g, opt=opt):
            return opt.update(g, opt.init(p), p)[0]

        expected = jax.jit(step)(params, grads)
        twice = jax.tree.map(lambda a: jnp.stack([a, a]), (params, grads))
        mapped = jax.jit(jax.vmap(step))(*twice)
        close(jax.tree.map(lambda a: a[1], mapped), expected, rtol=1e-5, atol=1e-6)  # fused differently
        donated, _ = jax.jit(opt.update, donate_argnums=(1, 2))(grads, opt.init(params), params)
        close(donated, expected, rtol=1e-5, atol=1e-6)


# --------------------------------------------------------------------------------- the judge: Keras 3


def keras_variables(keras):
    made = []
    for (layer, weight), value in arrays(0).items():
        with keras.name_scope(layer):
            made.append(keras.Variable(value, name=weight))
    return made


@rows
def test_numbers_slots_and_order_are_kerass(row, keras):
    opt, _, course = compiled(CATALOG.index(row))
    params, state = course[-1]
    judge, variables = row.build(keras.optimizers), keras_variables(keras)
    judge.build(variables)
    values, held = [v.value for v in variables], [v.value for v in judge.variables]
    # One compiled step where Keras branches, which it would compile anew each time; else operation by operation.
    apply = jax.jit(judge.stateless_apply) if opt.gradient_accumulation_steps else judge.stateless_apply
    for g in gradients():
        values, held = apply(held, [jnp.asarray(g[path]) for path in PATHS], values)
    for variable, value in zip([*variables, *judge.variables], [*values, *held], strict=True):
        variable.assign(value)
    # 1e-5 with room for entries that cancel; Muon's five matrix iterations enlarge float32's rounding.
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if row.name == "Muon" else {"rtol": 1e-5, "atol": 1e-6}
    ours = flatten(params)
    for path, variable in zip(PATHS, variables, strict=True):
        np.testing.assert_allclose(ours[path], variable.numpy(), **tolerance, err_msg=str(path))
    layout = opt.variables_layout(PATHS, state)
    held = opt.to_arrays(PATHS, state)
    assert [a.shape for a in held] == [tuple(v.shape) for v in judge.variables]
    for (name, _), array, variable in zip(layout, held, judge.variables, strict=True):
        np.testing.assert_allclose(array, variable.numpy(), **tolerance, err_msg=name)
    final = flatten(opt.finalize(state, params))
    if row.kwargs.get("use_ema"):
        judge.finalize_variable_values(variables)
        for path, variable in zip(PATHS, variables, strict=True):
            np.testing.assert_allclose(final[path], variable.numpy(), **tolerance)


@rows
def test_names_of_the_state_are_kerass(row, keras):
    if row.name == "Adafactor":
        pytest.skip("Keras names its row and column means all alike, which a file cannot hold")
    opt, _, course = compiled(CATALOG.index(row))
    state = course[-1][1]
    judge = row.build(keras.optimizers)
    judge.build(keras_variables(keras))
    theirs = [v.path.split("/", 1)[-1] for v in judge.variables]
    theirs = ["u_product" if name.startswith("variable") else name for name in theirs]
    assert [name for name, _ in opt.variables_layout(PATHS, state)] == theirs


@rows
def test_a_config_of_keras_is_read_and_ours_is_read_by_keras(row, keras):
    judge = row.build(keras.optimizers)
    opt = optim.get(keras.saving.serialize_keras_object(judge))
    theirs, ours = judge.get_config(), opt.get_config()
    assert theirs.keys() == ours.keys()
    for key in theirs.keys() - {"name", "learning_rate"}:
        assert ours[key] == theirs[key], key
    assert np.isclose(float(opt.learning_rate), float(judge.learning_rate), rtol=1e-6)
    again = getattr(keras.optimizers, row.name).from_config(row.build(optim).get_config())
    assert again.get_config().keys() == ours.keys()


@each_class
def test_defaults_and_positions_are_kerass(row, keras):
    import inspect

    theirs = inspect.signature(getattr(keras.optimizers, row.name).__init__).parameters
    theirs = {n: p.default for n, p in theirs.items() if n not in ("self", "kwargs")}
    ours = {n: p.default for n, p in inspect.signature(getattr(optim, row.name)).parameters.items()}
    assert list(ours) == list(theirs) and ours == theirs


def test_weight_decay_exclusions_are_kerass(keras):
    for exclude in ({"var_names": ["bias", "^embeddings$"]}, {"var_list": True}):
        judge, variables = keras.optimizers.AdamW(0.1, weight_decay=0.5), keras_variables(keras)
        opt = optim.AdamW(0.1, weight_decay=0.5)
        if "var_list" in exclude:
            judge.exclude_from_weight_decay(var_list=variables[:2])
            opt.exclude_from_weight_decay(var_list=["dense/kernel", ("dense", "bias")])
        else:
            judge.exclude_from_weight_decay(**exclude)
            opt.exclude_from_weight_decay(var_names=["bias", "embeddings$"])
        judge.apply([jnp.asarray(a) for a in arrays(1).values()], variables)
        params = tree(arrays(0))
        new = flatten(opt.update(tree(arrays(1)), opt.init(params), params)[0])
        for path, variable in zip(PATHS, variables, strict=True):
            np.testing.assert_allclose(new[path], variable.numpy(), rtol=1e-5, atol=1e-6)
        opt.build(params)
        with pytest.raises(ValueError, match="must be called before the optimizer is built"):
            opt.exclude_from_weight_decay(var_names=["kernel"])


def test_a_keras_variable_names_what_to_exclude(keras):
    opt = optim.AdamW()
    with keras.name_scope("model"):
        opt.exclude_from_weight_decay(var_list=[keras_variables(keras)[0]])
    assert opt.excludes(("dense", "kernel")) and not opt.excludes(("dense", "bias"))


def test_loss_scale_optimizer_is_kerass(keras):
    judge = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.05), 8.0, dynamic_growth_steps=2)
    opt = optim.LossScaleOptimizer(optim.Adam(0.05), 8.0, dynamic_growth_steps=2)
    variables, params = keras_variables(keras), tree(arrays(0))
    judge.build(variables)
    apply = jax.jit(judge.stateless_apply)
    values, held = [v.value for v in variables], [v.value for v in judge.variables]
    state, update = opt.init(params), jax.jit(opt.update)
    for i, g in enumerate(gradients()):
        if i in (2, 3):
            g = {**g, PATHS[0]: np.full_like(g[PATHS[0]], np.inf)}
        values, held = apply(held, [jnp.asarray(g[path]) for path in PATHS], values)
        params, state = update(tree(g), state, params)
        assert float(state["dynamic_scale"]) == float(held[3])
    for (name, _), array, value in zip(
        opt.variables_layout(PATHS, state), opt.to_arrays(PATHS, state), held, strict=True
    ):
        np.testing.assert_allclose(array, value, rtol=1e-5, atol=1e-6, err_msg=name)
    for path, value in zip(PATHS, values, strict=True):
        np.testing.assert_allclose(flatten(params)[path], value, rtol=1e-5, atol=1e-6)
    again = optim.get(keras.saving.serialize_keras_object(judge))
    assert again.get_config() == opt.get_config() | {"inner_optimizer": again.get_config()["inner_optimizer"]}
    opt.state = state
    assert opt.iterations == 4 and opt.learning_rate == 0.05
    opt.learning_rate = 0.5
    assert (
        float(opt.state["inner"]["learning_rate"]) == 0.5
        and opt.get_config()["inner_optimizer"]["config"]["learning_rate"] == 0.5
    )
    with pytest.raises(ValueError, match=r"clipnorm=1\.0 belongs to the inner optimizer"):
        optim.LossScaleOptimizer("sgd", clipnorm=1.0)


# --------------------------------------------------------------------------------- the learning rate


def test_changing_the_learning_rate_takes_effect_without_compiling_again():
    opt, params, traces = optim.SGD(0.5), {"w": jnp.ones(2)}, []

    @jax.jit
    def update(g, s, p):
        traces.append(1)
        return opt.update(g, s, p)

    opt.build(params)
    grads = {"w": jnp.ones(2)}
    for lr, expected in ((None, 0.5), (0.25, 0.25), (0.125, 0.125)):
        if lr:
            opt.learning_rate = lr
        params, opt.state = update(grads, opt.state, params)
        np.testing.assert_allclose(params["w"], expected)
    assert traces == [1] and update._cache_size() == 1
    assert opt.iterations == 3


def test_the_learning_rate_is_read_and_written_in_every_way_keras_users_know():
    opt = optim.Adam(0.01)
    assert opt.learning_rate == 0.01 and opt.lr == 0.01 and float(opt.learning_rate) == 0.01
    opt.build({"w": jnp.ones(2)})
    assert opt.get_config()["learning_rate"] == 0.01, "0.01 as given, not float32's neighbour of it"
    opt.learning_rate.assign(0.1)
    assert opt.lr == 0.1 and opt.learning_rate.numpy() == np.float32(0.1) and opt.learning_rate * 2 == 0.2
    opt.lr = 0.2
    opt.lr *= 0.5
    assert opt.get_config()["learning_rate"] == 0.1 and json.dumps(opt.get_config())
    opt.learning_rate = np.float32(0.5)
    opt.learning_rate = jnp.float32(0.25)
    assert float(opt.state["learning_rate"]) == 0.25
    opt.state = {**opt.state, "learning_rate": jnp.float32(0.75)}  # as a loaded file does
    assert opt.learning_rate == 0.75 and opt.get_config()["learning_rate"] == 0.75
    with pytest.raises(TypeError, match="expected a number, a LearningRateSchedule or a callable"):
        opt.learning_rate = None
    with pytest.raises(AttributeError, match=r"Adam\.beta_1 is fixed when the object is made"):
        opt.beta_1 = 0.5


def test_a_scheduled_rate_cannot_be_set_but_can_be_replaced():
    opt = optim.SGD(optim.schedules.ExponentialDecay(0.5, 1, 0.5))
    with pytest.raises(TypeError, match=r"cannot set the learning rate to 0\.1, because it is computed by Exponential"):
        opt.learning_rate = 0.1
    assert opt.learning_rate == 0.5 and optim.SGD(0.1).schedule is None
    assert opt.apply({"w": jnp.float32(1)}, {"w": jnp.float32(1)})["w"] == 0.5
    assert opt.learning_rate == 0.25 and opt.variables_layout([("w",)]) == [("iteration", ("iterations",))]
    before = opt.revision
    opt.learning_rate = optim.schedules.PiecewiseConstantDecay([1], [1.0, 2.0])
    assert opt.revision == before + 1 and opt.apply({"w": jnp.float32(1)}, {"w": jnp.float32(1)})["w"] == 0.0


def test_repr_shows_what_was_set_and_a_schedule_as_itself():
    assert repr(optim.SGD(0.1, nesterov=True)) == "SGD(learning_rate=0.1, nesterov=True, name='sgd')"
    assert repr(optim.Adam(optim.schedules.ExponentialDecay(0.5, 2, 0.5))).startswith(
        "Adam(learning_rate=ExponentialDecay(initial_learning_rate=0.5, decay_steps=2"
    )


def test_a_callable_rate_sees_the_step_or_is_asked_before_each_step():
    params = {"w": jnp.float32(0)}
    of_step = optim.SGD(lambda step: 1.0 / (step + 1))
    of_step.build(params)
    rates, chosen = [], [0.5]
    asked = optim.SGD(lambda: chosen[0])
    for value in (0.5, 0.25):
        chosen[0] = value
        rates.append((float(of_step.apply({"w": jnp.float32(1)}, params)["w"]), float(asked.learning_rate)))
        np.testing.assert_allclose(asked.apply({"w": jnp.float32(1)}, params)["w"], -value)
    assert rates == [(-1.0, 0.5), (-0.5, 0.25)]


# -------------------------------------------------------------------------------------------- facade


@pytest.mark.parametrize("name", ["sgd", "SGD", "rmsprop", "RMSProp", "adam", "adamw", "AdamW", "adam_w", "nadam"])
def test_names_in_any_case_mean_the_optimizer(name):
    assert type(optim.get(name)).__name__.lower() == name.lower().replace("_", "")


def test_get_takes_names_classes_objects_and_configs():
    opt = optim.Adam(0.5)
    assert optim.get(opt) is opt and optim.get(None) is None and type(optim.get(optim.Adam)) is optim.Adam
    assert optim.get({"class_name": "adam", "config": {"learning_rate": 0.5}}).learning_rate == 0.5
    with pytest.raises(ValueError, match=r"Unknown optimizer 'adma'. Did you mean .*'Adam'"):
        optim.get("adma")
    with pytest.raises(TypeError, match="expected an optimizer, its name or its config, got"):
        optim.get(lambda g: g)
    assert set(optimizers.entries) >= {"SGD", "Adam", "Muon", "Lamb"}


def test_arrays_in_kerass_order_survive_a_round_trip():
    opt, _, course = compiled(7)
    state = course[-1][1]
    held = opt.to_arrays(PATHS, state)
    back = opt.from_arrays(PATHS, held, opt.init(tree(arrays(0))))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)
    with pytest.raises(ValueError, match=r"expected 14 arrays \(iteration, learning_rate, dense_kernel_momentum"):
        opt.from_arrays(PATHS, held[1:], state)
    with pytest.raises(ValueError, match=r"expected 'dense_kernel_momentum' of shape \(3, 2\), got \(2, 3\)"):
        opt.from_arrays(PATHS, [a.T for a in held], state)
    with pytest.raises(ValueError, match="has no state yet"):
        optim.Adam().to_arrays(PATHS)


def test_extending_keeps_what_is_there_through_freezing_and_thawing():
    opt = optim.Adam(use_ema=True, gradient_accumulation_steps=2)
    params = tree(arrays(0))
    some = {"dense": params["dense"]}
    _, state = opt.update(some, opt.init(some), some)
    more = opt.extend(state, params)
    assert more["slots"]["dense"] == state["slots"]["dense"] and more["iterations"] == 1
    assert more["slots"]["conv"]["kernel"]["velocity"].shape == (2, 2, 1, 3)
    np.testing.assert_array_equal(more["ema"]["conv"]["kernel"], params["conv"]["kernel"])
    new, after = opt.update(some, more, some)  # conv is frozen again: its slots wait
    assert new.keys() == {"dense"} and after["slots"]["conv"] == more["slots"]["conv"]
    assert jax.tree.structure(opt.extend(after, params)) == jax.tree.structure(more)
    with pytest.raises(ValueError, match=r"no slots for conv/kernel.*`extend"):
        opt.update({"conv": params["conv"]}, state, {"conv": params["conv"]})


def test_apply_keeps_the_state_and_a_none_gradient_leaves_its_array():
    opt = optim.Adam(0.1)
    new = opt.apply({"a": jnp.float32(1), "b": None}, {"a": jnp.float32(1), "b": jnp.float32(2)})
    assert new["b"] == 2 and np.isclose(new["a"], 0.9) and opt.iterations == 1
    pairs = [(jnp.full((), float(i)), jnp.ones(())) for i in range(12)]
    moved = optim.SGD(1.0).apply_gradients(pairs)
    assert [float(p) for p in moved] == [1.0 - i for i in range(12)]


def test_an_optimizer_can_be_copied_and_pickled_after_use():
    opt = optim.Adam(0.1)
    opt.apply({"w": jnp.float32(1)}, {"w": jnp.float32(1)})
    for twin in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert twin.get_config() == opt.get_config() and twin.iterations == 1
        twin.learning_rate = 0.5
    assert opt.learning_rate == 0.1


def test_an_optimizer_of_ones_own_is_a_rule_and_its_slots():
    class SignSGD(Optimizer):
        learning_rate: float = 0.5
        decay: float = setting(float, 0.5)

        def slots(self, p):
            return {"total": jnp.zeros_like(p)}

        def rule(self, g, p, slots, lr, step):
            total = self.decay * slots["total"] + g
            return p - lr * jnp.sign(total), {"total": total}

    opt = SignSGD(clipnorm=1.0)
    assert opt.name == "sign_sgd" and opt.get_config()["decay"] == 0.5
    new = opt.apply({"w": jnp.float32(-3)}, {"w": jnp.float32(1)})
    assert new["w"] == 1.5 and opt.state["slots"]["w"]["total"] == -1
    assert [name for name, _ in opt.variables_layout([("w",)])] == ["iteration", "learning_rate", "w_total"]


# -------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD(clipnorm=1.0, clipvalue=2.0), ValueError, "at most one of clipnorm, clipvalue and global"),
        (lambda: optim.SGD(momentum=1.5), ValueError, r"expected momentum in \[0, 1\], got 1.5"),
        (lambda: optim.AdamW(weight_decay=None), ValueError, "AdamW: expected a float weight_decay, got None"),
        (lambda: optim.Adam(gradient_accumulation_steps=1), ValueError, "expected an integer >= 2 or None, got 1"),
        (lambda: optim.Adam(use_ema=True, ema_momentum=2.0), ValueError, r"expected ema_momentum in \[0, 1\]"),
        (lambda: optim.Adam(ema_overwrite_frequency=0), ValueError, "expected an integer >= 1 or None, got 0"),
        (lambda: optim.Ftrl(learning_rate_power=0.5), ValueError, "expected learning_rate_power <= 0, got 0.5"),
        (lambda: optim.Ftrl(l1_regularization_strength=-1), ValueError, "l1_regularization_strength >= 0, got -1"),
        (lambda: optim.Lion(beta_1=0.0), ValueError, r"Lion: expected beta_1 in \(0, 1\]"),
        (lambda: optim.Adam([0.1]), TypeError, r"Adam\(learning_rate=\[0.1\]\): expected a number"),
        (lambda: optim.Adam(epsilon=None), TypeError, r"Adam\(epsilon=None\): expected a number, got None"),
        (lambda: optim.Adam("cosine"), ValueError, "Unknown learning rate schedule 'cosine'"),
        (
            lambda: optim.LossScaleOptimizer(optim.SGD(loss_scale_factor=2.0)),
            ValueError,
            "loss_scale_factor of its own",
        ),
    ],
)
def test_a_wrong_setting_is_answered_where_it_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_gradients_that_do_not_fit_are_named():
    opt, params = optim.SGD(), {"a": jnp.ones(2), "b": jnp.ones(2)}
    state = opt.init(params)
    with pytest.raises(ValueError, match="got none for b and some for unknown c"):
        opt.update({"a": jnp.ones(2), "c": jnp.ones(2)}, state, params)
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(2,\) for a, got \(3,\)"):
        opt.update({"a": jnp.ones(3), "b": jnp.ones(2)}, state, params)
    with pytest.raises(ValueError, match="all gradients are None"):
        opt.update({"a": None, "b": None}, state, params)


def test_a_gradient_that_is_not_finite_poisons_all_under_a_global_norm(keras):
    opt, params = optim.SGD(1.0, global_clipnorm=1.0), {"a": jnp.ones(()), "b": jnp.ones(())}
    new, _ = opt.update({"a": jnp.float32(np.inf), "b": jnp.ones(())}, opt.init(params), params)
    assert np.isnan(new["a"]) and np.isnan(new["b"])  # as Keras, rather than a step along b alone


def test_adam_first_step_is_learning_rate_times_sign_of_gradient():
    params = {"w": jnp.zeros(3)}
    new, _ = optim.Adam(0.1).update({"w": jnp.array([5.0, -0.2, 1.0])}, optim.Adam(0.1).init(params), params)
    np.testing.assert_allclose(new["w"], [-0.1, 0.1, -0.1], rtol=1e-4)  # epsilon is 2e-5 of the smallest root
