"""SwapEMAWeights."""

import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.callbacks import BackupAndRestore, Callback, LambdaCallback, ModelCheckpoint, SwapEMAWeights

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def model(**settings):
    fkeras.utils.set_random_seed(1)
    fkeras.utils.clear_session()
    made = fkeras.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    made.compile(fkeras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8, **settings), "mse")
    return made


def fit(made, *callbacks, **more):
    how = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
    return made.fit(X, Y, **how | more, callbacks=list(callbacks)).history


def test_validation_sees_the_averages_and_training_the_weights():
    plain, swapped = fit(model()), fit(model(), SwapEMAWeights())
    assert plain["loss"] == swapped["loss"]
    assert plain["val_loss"] != swapped["val_loss"]
    by_hand = model()
    for loss in swapped["val_loss"]:
        for step in range(0, 32, 8):
            by_hand.train_on_batch(X[step : step + 8], Y[step : step + 8])
        weights = by_hand.get_weights()
        by_hand.set_weights(average_of(by_hand))
        assert by_hand.evaluate(X, Y, verbose=0) == pytest.approx(loss, rel=1e-6)
        by_hand.set_weights(weights)


def average_of(made):
    params, _ = made.gather()
    averages = made.optimizer.finalize(made.optimizer.state, params)
    return [np.asarray(averages[layer.name][w.name]) for layer in made.layers for w in layer.weights]


def test_numbers_are_kerass(keras):
    ours = model()
    theirs = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    theirs.set_weights(ours.get_weights())
    theirs.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), "mse")
    how = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
    expected = theirs.fit(X, Y, **how, callbacks=[keras.callbacks.SwapEMAWeights()]).history
    found = fit(ours, SwapEMAWeights())
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_swapped_by_epochs_a_checkpoint_has_the_averages(tmp_path):
    made, seen = model(), []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((made.get_weights(), average_of(made))))
    save = ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True)
    losses = fit(made, SwapEMAWeights(swap_on_epoch=True), look, save)["loss"]
    assert losses == fit(model())["loss"]
    assert all(np.array_equal(a, b) for pair in seen for a, b in zip(*pair, strict=True))
    again = model()
    again.load_weights(str(tmp_path / "2.weights.h5"))
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), seen[1][0], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), seen[-1][0], strict=True))


class Crash(Exception):
    pass


class CrashAt(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Crash


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_resumed_training_has_both(tmp_path, swap_on_epoch):
    whole = model()
    history = fit(whole, SwapEMAWeights(swap_on_epoch))
    with pytest.raises(Crash):
        fit(model(), SwapEMAWeights(swap_on_epoch), BackupAndRestore(tmp_path), CrashAt(2))
    again = model()
    assert fit(again, SwapEMAWeights(swap_on_epoch), BackupAndRestore(tmp_path)) == history
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), whole.get_weights(), strict=True))


def test_evaluate_and_predict_take_the_averages_too():
    made = model()
    fit(made, epochs=1, validation_data=None)
    made.train_on_batch(X, Y)
    weights = made.get_weights()
    losses = [made.evaluate(X, Y, verbose=0, callbacks=c) for c in ([SwapEMAWeights()], None)]
    outputs = [made.predict(X, verbose=0, callbacks=c) for c in ([SwapEMAWeights()], None)]
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), weights, strict=True))
    assert losses[0] != losses[1] and not np.allclose(*outputs)
    made.set_weights(average_of(made))
    assert losses[0] == made.evaluate(X, Y, verbose=0)


def test_an_optimizer_without_averages_is_refused():
    made = model()
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="keeps no averages. Make it with use_ema=True"):
        fit(made, SwapEMAWeights())
