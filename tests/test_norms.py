"""GradientNorms: the norms are those of the gradients and of the steps, on any devices, and the step is as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import distribute, layers, optimizers
from fkeras.callbacks import BackupAndRestore, GradientNorms, LambdaCallback
from fkeras.core import tree

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def model(optimizer=None, **compiled):
    fkeras.utils.set_random_seed(1)
    fkeras.utils.clear_session()
    made = fkeras.Sequential(
        [layers.Input((3,)), layers.Dense(4, "tanh", name="hidden"), layers.Dense(1, kernel_constraint="unit_norm")]
    )
    made.compile(optimizer or optimizers.SGD(0.1, clipnorm=0.01), "mse", **compiled)
    return made


def fit(made, *callbacks, **more):
    how = {"batch_size": 32, "epochs": 2, "verbose": 0}
    return made.fit(X, Y, callbacks=list(callbacks), **how | more).history


def test_norms_are_those_of_jaxs_gradient():
    made = model()
    start, state = made.gather()

    def loss(params):
        return jnp.mean((made.apply(params, state, X)[0] - Y) ** 2)

    grads = tree.flatten(jax.grad(loss)(start))
    start = {path: np.array(a) for path, a in tree.flatten(start).items()}
    history = fit(made, GradientNorms(), epochs=1)
    after = tree.flatten(made.gather()[0])
    changes = {path: after[path] - start[path] for path in start}
    for kind, arrays in (("gradient_norm", grads), ("update_norm", changes)):
        by_layer = {}
        for path, a in arrays.items():
            by_layer.setdefault(path[0], []).append(np.ravel(a))
        every = [a for of in by_layer.values() for a in of]
        expected = {kind: every} | {f"{kind}/{layer}": of for layer, of in by_layer.items()}
        for name, of in expected.items():
            np.testing.assert_allclose(history[name][0], np.linalg.norm(np.concatenate(of)), rtol=1e-4, err_msg=name)


def test_training_is_as_it_was_and_pays_nothing_when_nobody_asks():
    watched, plain = model(), model()
    history, expected = fit(watched, GradientNorms(per_layer=False)), fit(plain)
    assert history.pop("gradient_norm") and history.pop("update_norm")
    assert history == expected
    assert [program.why for program in watched.compile_report()] == ["the first of its kind"]
    assert fit(watched).keys() == {"loss"}
    assert watched.compile_report()[-1].why.startswith("other norms of gradients")


def test_several_devices_parts_and_steps_give_the_same_norms():
    expected = fit(model(), GradientNorms(), batch_size=16)
    for how in (distribute.DataParallel(2), distribute.DataParallel(1, accumulate=2)):
        found = fit(model(distribute=how), GradientNorms(), batch_size=16)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)
    seen = []
    look = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["gradient_norm"]))
    by_steps = fit(model(), GradientNorms(), look, batch_size=16)
    assert by_steps["gradient_norm"] == pytest.approx([seen[1], seen[3]])
    np.testing.assert_allclose(by_steps["gradient_norm"], expected["gradient_norm"], rtol=1e-5)


def test_a_loss_scale_is_taken_out():
    scaled = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=1024.0)
    plain, found = (fit(model(o), GradientNorms(), epochs=1) for o in (optimizers.SGD(0.1), scaled))
    np.testing.assert_allclose(found["gradient_norm"], plain["gradient_norm"], rtol=1e-5)


def test_frozen_layers_have_none():
    made = model()
    made.get_layer("hidden").trainable = False
    made.compile("sgd", "mse")
    assert {name for name in fit(made, GradientNorms()) if "/hidden" in name} == set()


def test_a_resumed_training_has_the_same(tmp_path):
    whole = fit(model(), GradientNorms(), batch_size=8)

    def stop(batch, logs):
        if batch == 2:
            raise KeyError("crash")

    with pytest.raises(KeyError):
        fit(
            model(),
            GradientNorms(),
            BackupAndRestore(tmp_path, 1),
            LambdaCallback(on_train_batch_end=stop),
            batch_size=8,
        )
    assert fit(model(), GradientNorms(), BackupAndRestore(tmp_path, 1), batch_size=8) == whole


def test_the_bar_leaves_layers_out(capsys):
    fit(model(), GradientNorms(), verbose=2, epochs=1)
    line = capsys.readouterr().out
    assert "gradient_norm: " in line and "update_norm: " in line and "/hidden" not in line


def test_a_step_of_ones_own_is_refused():
    class Own(fkeras.Sequential):
        def train_step(self, ts, batch):
            return ts, {"loss": jnp.float32(0)}

    made = Own([layers.Input((3,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="sees the gradients of the usual step, not those of a train_step of its own"):
        fit(made, GradientNorms())
