"""fit(dry_run=2): everything runs, and nothing is left of it."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
)
from fkeras.core import flags

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def model(built=True):
    fkeras.utils.set_random_seed(1)
    fkeras.utils.clear_session()
    head = [layers.Input((3,))] if built else []
    made = fkeras.Sequential(
        [*head, layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
    )
    made.compile(fkeras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return made


class Seen(Callback):
    def __init__(self):
        self.hooks = []

    def on_train_batch_end(self, batch, logs=None):
        self.hooks.append("train")

    def on_test_batch_end(self, batch, logs=None):
        self.hooks.append("test")

    def on_epoch_end(self, epoch, logs=None):
        self.hooks.append(f"epoch {epoch}")


def fit(made, callbacks=None, **more):
    how = {"batch_size": 8, "epochs": 5, "verbose": 0, "validation_split": 0.5}
    return made.fit(X, Y, callbacks=callbacks, **how | more).history


@pytest.mark.parametrize("built", [True, False])
def test_training_after_a_dry_run_has_the_bits_of_one_without(built):
    whole, seen = model(built), Seen()
    expected = fit(whole)
    made = model(built)
    rehearsed = fit(made, [seen, ReduceLROnPlateau(patience=0, min_delta=100.0)], dry_run=2, validation_freq=3)
    assert seen.hooks == ["train", "train", "test", "test", "epoch 0", "train", "train", "test", "test", "epoch 1"]
    assert len(rehearsed["val_mae"]) == 2
    assert made.optimizer.iterations == 0 and made.history is None
    assert fit(made) == expected
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), whole.get_weights(), strict=True))


def test_a_trained_model_goes_on_as_if_there_had_been_none(capsys):
    whole, made = model(), model()
    for one in (whole, made):
        fit(one, epochs=1)
    made.optimizer.learning_rate = whole.optimizer.learning_rate = 0.003
    history = made.history
    fit(made, [ReduceLROnPlateau(patience=0, min_delta=100.0)], dry_run=3, epochs=3, initial_epoch=1, verbose=1)
    assert "Dry run: 3 steps an epoch went through" in capsys.readouterr().out
    assert made.history is history and float(made.optimizer.learning_rate) == pytest.approx(0.003)
    assert fit(made, epochs=2) == fit(whole, epochs=2)


def test_what_callbacks_write_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("precious")
    (tmp_path / "best.keras").write_text("precious")
    saved = []

    class Checkpoint(ModelCheckpoint):
        def save(self, *args):
            super().save(*args)
            saved.append(os.path.exists(self.filepath))

    best = Checkpoint("best.keras", save_best_only=True, save_freq="3 epochs")
    every = Checkpoint("new/folder/{batch}.keras", save_freq=100)
    board = TensorBoard("logs", histogram_freq=1, profile_batch=0)
    stop = EarlyStopping(patience=0, restore_best_weights=True)
    made = model()
    fit(made, [best, every, CSVLogger("log.csv"), board, stop], dry_run=2, resume="kept")
    fit(made, [BackupAndRestore("other", save_freq=1000)], dry_run=2)
    assert sorted(os.listdir(tmp_path)) == ["best.keras", "log.csv"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"precious"}
    assert saved.count(True) >= 1 and len(saved) >= 2
    assert (best.best, best.filepath, best.save_freq) == (None, "best.keras", "3 epochs")
    assert (board.log_dir, every.save_freq) == ("logs", 100)


def test_a_folder_that_is_not_there_is_found_out(tmp_path):
    made = model()
    weights = made.get_weights()
    with pytest.raises(FileNotFoundError, match="could not be written: No such file or directory"):
        fit(made, [CSVLogger(tmp_path / "no" / "log.csv")], dry_run=2)
    with pytest.raises(KeyError, match="'nothing' is not among the logs"):
        fit(made, [ModelCheckpoint(tmp_path / "{nothing}.keras")], dry_run=2)
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), weights, strict=True))
    assert flags.get("max_steps_per_epoch") is None and not list(tmp_path.iterdir())


def test_generators_and_lists_of_callbacks_are_taken():
    made, calls = model(), fkeras.callbacks.CallbackList([History(), Seen()], epochs=2, steps=2, verbose=0)

    def batches():
        while True:
            yield X[:8], Y[:8]

    history = made.fit(batches(), steps_per_epoch=1000, epochs=2, callbacks=calls, dry_run=2, verbose=0)
    assert len(history.history["loss"]) == 2 and list(calls)[1].hooks.count("train") == 4


@pytest.mark.parametrize("steps", [True, -1, 1.5, "2"])
def test_steps_that_are_no_number_are_refused(steps):
    with pytest.raises(ValueError, match=f"expected dry_run as a number of steps, such as 2, got {steps!r}"):
        fit(model(), dry_run=steps)


# ------------------------------------------------------------------------------- the environment's bounds


def test_the_environment_bounds_epochs_and_steps():
    code = (
        "import numpy as np, fkeras; m = fkeras.Sequential([fkeras.layers.Dense(1)]); m.compile('sgd', 'mse'); "
        "h = m.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=2, epochs=9, verbose=0); "
        "print(len(h.epoch), int(m.optimizer.iterations), len(m.predict(np.ones((8, 2)), batch_size=2, verbose=0)))"
    )
    env = os.environ | {"KERAS_MAX_EPOCHS": "3", "KERAS_MAX_STEPS_PER_EPOCH": "2", "PYTHONPATH": os.getcwd()}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert out.stdout.split() == ["3", "6", "4"], out.stderr


def test_a_bound_that_is_no_number_is_an_error(monkeypatch):
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "two")
    with pytest.raises(ValueError, match="KERAS_MAX_EPOCHS='two': expected a whole number from 0 on"):
        flags._bound("KERAS_MAX_EPOCHS")


def test_a_bound_does_not_ask_short_data_for_more():
    """A list of two batches under a bound of five steps is no data that ran out."""
    try:
        fkeras.config.set_max_steps_per_epoch(5)
        history = model().fit([(X[:8], Y[:8])] * 2, epochs=2, verbose=0)
    finally:
        fkeras.config.set_max_steps_per_epoch(None)
    assert len(history.epoch) == 2
