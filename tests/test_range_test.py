"""find_learning_rate: the losses are those of a training by hand, and the model is as it was."""

import numpy as np
import pytest

import fkeras
from fkeras import layers, optimizers

X = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def model(optimizer=None):
    fkeras.utils.set_random_seed(1)
    fkeras.utils.clear_session()
    made = fkeras.Sequential([layers.Input((3,)), layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(1)])
    made.compile(optimizer or optimizers.SGD(0.05, momentum=0.9), "mse")
    return made


def test_losses_are_those_of_steps_by_hand_and_nothing_is_left():
    made, by_hand = model(), model()
    found = made.find_learning_rate(X, Y, batch_size=16, steps=14, least=1e-4, most=1e-2, shuffle=False)
    expected = []
    for i, rate in enumerate(np.geomspace(1e-4, 1e-2, 14)):
        by_hand.optimizer.learning_rate = rate
        at = slice(16 * i % 96, 16 * i % 96 + 16)
        expected.append(by_hand.train_on_batch(X[at], Y[at]))
    np.testing.assert_allclose(found.losses, expected, rtol=1e-3)
    assert found.rates[0] == pytest.approx(1e-4) and found.rates[-1] == pytest.approx(1e-2)
    whole = model()
    assert made.history is None and made.optimizer.learning_rate == whole.optimizer.learning_rate
    histories = [one.fit(X, Y, epochs=2, verbose=0).history for one in (made, whole)]
    assert histories[0] == histories[1]
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), whole.get_weights(), strict=True))


def test_the_suggestion_trains_and_a_loss_that_breaks_ends_the_test(tmp_path):
    made = model(optimizers.SGD(1.0))
    found = made.find_learning_rate(X, Y, batch_size=16, most=1e6, steps=120)
    assert len(found.losses) < 120 and made.nan_report is None
    assert 1e-4 < found.suggestion < 1 and repr(found).startswith("RangeTest(suggestion=")
    made.optimizer.learning_rate = found.suggestion
    losses = made.fit(X, Y, epochs=5, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    pytest.importorskip("matplotlib")
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000
    assert len(found.plot(show=False).axes[0].lines) == 3


@pytest.mark.parametrize(
    "how, message",
    [
        ({"least": 1.0, "most": 0.1}, "expected 0 < least < most and at least 10 steps, got least=1.0, most=0.1"),
        ({"steps": 3}, "steps=3"),
    ],
)
def test_a_range_that_is_none_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        model().find_learning_rate(X, Y, **how)


def test_a_schedule_is_refused():
    made = model(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)))
    with pytest.raises(ValueError, match="is a schedule, which cannot be raised. Compile with a number"):
        made.find_learning_rate(X, Y)
