"""Three searches of KerasTuner over units, activation and learning rate."""

import tempfile

import keras
import keras_tuner
import numpy as np
from keras import layers

x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
y = (x.sum(1) > 0).astype("int32")


def build(hp):
    model = keras.Sequential(
        [
            layers.Dense(hp.Int("units", 4, 16, step=4), activation=hp.Choice("activation", ["relu", "tanh"])),
            layers.Dense(2, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(hp.Float("lr", 1e-3, 1e-1, sampling="log"))
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


with tempfile.TemporaryDirectory() as folder:
    for cls, options in (
        (keras_tuner.RandomSearch, {"max_trials": 3}),
        (keras_tuner.Hyperband, {"max_epochs": 4}),
        (keras_tuner.BayesianOptimization, {"max_trials": 3}),
    ):
        tuner = cls(build, objective="val_accuracy", directory=folder, project_name=cls.__name__, **options)
        tuner.search(x, y, epochs=3, validation_data=(x, y), verbose=0)
        best = tuner.get_best_models(1)[0]
        assert best.evaluate(x, y, verbose=0)[1] > 0.5
        print(cls.__name__, tuner.get_best_hyperparameters()[0].values)
