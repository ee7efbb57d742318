"""Optuna stops trials early by its callback for Keras."""

import keras
import numpy as np
import optuna
from optuna_integration.keras import KerasPruningCallback

x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
y = (x.sum(1) > 0).astype("float32")


def objective(trial):
    units = trial.suggest_int("units", 2, 8)
    model = keras.Sequential([keras.layers.Dense(units, "relu"), keras.layers.Dense(1, "sigmoid")])
    optimizer = keras.optimizers.RMSprop(trial.suggest_float("lr", 1e-4, 1e-1, log=True))
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    prune = KerasPruningCallback(trial, "val_accuracy")
    history = model.fit(x, y, epochs=4, validation_data=(x, y), verbose=0, callbacks=[prune])
    return history.history["val_accuracy"][-1]


study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
study.optimize(objective, n_trials=8)
assert study.best_value > 0.5
print(study.best_value, [trial.state.name for trial in study.trials])
