"""Peers with Keras's surface: `fit` on arrays in memory, `predict`, `predict_on_batch`."""

import importlib

import numpy as np

from benchmarks.peers import models
from benchmarks.workloads import PREDICT_BATCH


class Facade:
    """A model of `module` ("keras" or "fkeras"), trained by `fit(x, y, batch_size)`."""

    module = "keras"
    settings = ({},)  # arguments of `compile` to choose from, the default first

    def __init__(self, work, x, y):
        self.keras, self.work, self.x, self.y = importlib.import_module(self.module), work, x, y
        self.model = models.build(self.keras, work)
        models.compile(self.keras, self.model, work)

    def choose(self, setting):
        """Compiles anew with other arguments."""
        models.compile(self.keras, self.model, self.work, **setting)

    def parameters(self):
        """Returns the number of trained parameters."""
        return int(sum(np.prod(a.shape) for a in self.model.trainable_variables))

    def train(self, epochs):
        """Trains whole epochs; returns the last one's loss."""
        return self.model.fit(self.x, self.y, self.work.batch, epochs, verbose=0).history["loss"][-1]

    def predict(self):
        """Predicts all rows."""
        return self.model.predict(self.x, batch_size=PREDICT_BATCH, verbose=0)

    def predict_one(self, row):
        """Predicts one row by `predict`."""
        return self.model.predict(self.x[row : row + 1], verbose=0)

    def predict_one_direct(self, row):
        """Predicts one row by the quickest call there is."""
        return np.asarray(self.model.predict_on_batch(self.x[row : row + 1]))


class Fkeras(Facade):
    """As it comes: no setting to choose."""

    module = "fkeras"


class KerasJax(Facade):
    """Keras 3 on JAX."""

    settings = ({}, {"steps_per_execution": 16})


class KerasTensorFlow(Facade):
    """Keras 3 on TensorFlow; its default compiles with XLA (`jit_compile="auto"`), which is seldom its fastest."""

    settings = (
        {},
        {"steps_per_execution": 16},
        {"jit_compile": False},
        {"jit_compile": False, "steps_per_execution": 16},
    )
