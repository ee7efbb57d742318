"""Where a NaN came from: the layer, forward or backward, the step, the rows and the values are named."""

import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import distribute, layers
from fkeras.callbacks import Callback, TerminateOnNaN

X = np.random.default_rng(0).uniform(1, 2, size=(64, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def log(x):
    return jnp.log(x)


def root(x):
    return jnp.sqrt(x)


def model(*inner, loss="mse", optimizer=None, **compiled):
    fkeras.utils.set_random_seed(1)
    fkeras.utils.clear_session()
    made = fkeras.Sequential([layers.Input((3,)), *inner])
    made.compile(optimizer or fkeras.optimizers.SGD(1e-4), loss, **compiled)
    return made


def fit(made, x=X, y=Y, **more):
    return made.fit(x, y, **{"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False} | more)


def with_row(value, row, column=1):
    x = X.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize("how", ["one step", "several steps", "two devices"])
def test_a_forward_layer_is_named_with_step_rows_and_values(how):
    made = model(layers.Lambda(lambda x: x - 0.5), layers.Lambda(log, name="logarithm"), layers.Dense(1),
                 **({"distribute": distribute.DataParallel(2)} if how == "two devices" else {}))  # fmt: skip
    x = with_row(-3.0, 8 * 5 + 2)
    callbacks = [Batches()] if how == "one step" else []
    said = (
        r"Epoch 1, step 6: the loss became nan. Lambda 'logarithm' made it, forward, of finite numbers, in row 2 of 8"
    )
    with pytest.warns(RuntimeWarning, match=said):
        fit(made, x, callbacks=callbacks)
    report = made.nan_report
    assert (report.epoch, report.step, report.phase, report.layer, report.rows) == (1, 6, "forward", "logarithm", [2])
    np.testing.assert_array_equal(report.values, x[42:43] - 0.5)
    assert "In went float32[1, 3] from -3.5 to 1.47" in report.text


class Batches(Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


def test_a_gradient_that_breaks_is_found_where_it_broke():
    """sqrt(0) is 0, its slope is infinite, and 0 times that is NaN."""
    before = layers.Dense(3, use_bias=False, kernel_initializer="identity", name="before")
    made = model(before, layers.Lambda(root, name="root"), layers.Dense(1, name="after"))
    x = X.copy()
    x[21] = 0
    said = "Epoch 1, step 3: weights became NaN or infinite. The loss is finite, but the gradient through Lambda 'root'"
    with pytest.warns(RuntimeWarning, match=said):
        fit(made, x)
    report = made.nan_report
    assert (report.step, report.phase, report.layer, report.rows) == (3, "backward", "root", [5])


def test_nested_models_and_branches_name_the_layer_within():
    inner = fkeras.Sequential([layers.Input((3,)), layers.Dense(3), layers.Lambda(log, name="deep")], name="inner")
    x = layers.Input((3,))
    both = layers.Add()([inner(x), layers.Dense(3, name="side")(x)])
    fkeras.utils.set_random_seed(0)
    made = fkeras.Model(x, layers.Dense(1)(both))
    made.compile("sgd", "mse")
    made.get_layer("inner").layers[0].set_weights([-np.eye(3), np.zeros(3)])
    with pytest.warns(RuntimeWarning, match="Lambda 'deep' made it, forward, of finite numbers, in all 8 rows"):
        fit(made)
    assert made.nan_report.step == 1 and made.nan_report.rows is None


def test_layers_with_loops_are_named_as_a_whole():
    made = model(layers.Reshape((3, 1)), layers.LSTM(2, activation=log, name="loop"), layers.Dense(1))
    with pytest.warns(RuntimeWarning, match="LSTM 'loop' made it, forward"):
        fit(made)


def test_data_are_blamed_for_what_is_theirs():
    y = Y.copy()
    y[[17, 19]] = np.nan
    made = model(layers.Dense(1))
    with pytest.warns(UserWarning, match="y contains NaN"):  # said once, at the door; the report says where
        fit(made, y=y)
    assert "The data are why: targets of rows 1, 3 of 8 are NaN or infinite" in made.nan_report.text
    assert (made.nan_report.step, made.nan_report.phase) == (3, "data")
    weights = np.ones(64)
    weights[12] = np.inf
    with pytest.warns(RuntimeWarning, match="Epoch 1, step 2: .* sample weights of row 4 of 8 are NaN or infinite"):
        fit(model(layers.Dense(1)), sample_weight=weights)


def test_a_loss_and_an_update_are_told_apart():
    made = model(layers.Dense(1), loss=lambda t, p: jnp.log(-jnp.square(p)))
    with pytest.warns(RuntimeWarning, match="The layers gave finite numbers, the loss did not of outputs from"):
        fit(made)
    made = model(layers.Dense(1), optimizer=fkeras.optimizers.SGD(1e38))
    with pytest.warns(RuntimeWarning, match="the optimizer's update made it .learning rate 1e.38"):
        fit(made, 100 * X)
    assert (made.nan_report.phase, made.nan_report.step) == ("update", 1)


def test_terminate_on_nan_says_it_too(capsys):
    made = model(layers.Lambda(log, name="logarithm"), layers.Dense(1))
    fit(made, with_row(-1.0, 0), callbacks=[TerminateOnNaN()])
    assert "training stops. Epoch 1, step 1: the loss became nan. Lambda 'logarithm' made it" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="step 1: the loss became nan. Lambda 'logarithm' made it, forward"):
        fit(model(layers.Lambda(log, name="logarithm"), layers.Dense(1)), -X, callbacks=[TerminateOnNaN(True)])


def test_a_nan_between_two_looks_is_found_too(monkeypatch):
    monkeypatch.setattr("fkeras.training.autopsy.EVERY", 3)
    for step in (2, 3, 4, 8):
        made = model(layers.Lambda(log, name="logarithm"), layers.Dense(1))
        with pytest.warns(RuntimeWarning, match=f"Epoch 1, step {step}: the loss became nan. Lambda 'logarithm' made"):
            fit(made, with_row(-3.0, 8 * (step - 1)), callbacks=[Batches()], epochs=1)


def test_a_sound_training_has_no_report_and_keeps_nothing():
    made = model(layers.Dense(1))
    fit(made)
    assert made.nan_report is None and made._watch is None
    assert len(made.compile_report()) == 1


def test_a_model_whose_state_is_not_kept_says_so(monkeypatch):
    monkeypatch.setattr("fkeras.training.compilation.KEPT_BYTES", 0)
    made = model(layers.Lambda(log), layers.Dense(1))
    with pytest.warns(RuntimeWarning, match="Of a model this large the state before the step is not kept"):
        fit(made, -X)


def test_weights_that_were_nan_before_are_said_to_be():
    made = model(layers.Dense(1))
    made.set_weights([np.full((3, 1), np.nan), np.zeros(1)])
    with pytest.warns(RuntimeWarning, match="Weights were NaN or infinite before the steps that are kept"):
        fit(made)
