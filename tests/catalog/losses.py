"""The catalog of losses: one row per loss and option, with targets and predictions that suit it."""

import dataclasses
from collections.abc import Callable

import numpy as np

B, T, C = 6, 5, 4


@dataclasses.dataclass(frozen=True, eq=False)  # compared by identity, so that it can be a cache key
class Case:
    """A class name, its settings, and a maker of (y_true, y_pred)."""

    cls: str
    make: Callable
    options: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        shown = ",".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.cls}({shown})-{self.make.__name__}"

    def data(self, seed=0):
        y_true, y_pred = self.make(np.random.default_rng(seed))
        return y_true, y_pred.astype("float32")


def numbers(rng):
    return rng.normal(size=(B, C)).astype("float32"), rng.normal(size=(B, C))


def column(rng):  # targets without the last axis, the commonest habit
    return rng.normal(size=B).astype("float32"), rng.normal(size=(B, 1))


def temporal(rng):
    return rng.normal(size=(B, T, C)).astype("float32"), rng.normal(size=(B, T, C))


def positive(rng):
    return rng.uniform(0.1, 3, (B, C)).astype("float32"), rng.uniform(0.1, 3, (B, C))


def counts(rng):
    return rng.integers(0, 5, (B, C)), rng.uniform(0.1, 3, (B, C))


def bits(rng):
    return rng.integers(0, 2, (B, C)), rng.uniform(0.02, 0.98, (B, C))


def bits_logits(rng):
    return rng.integers(0, 2, (B, C)), rng.normal(size=(B, C)) * 3


def signs(rng):
    return rng.integers(0, 2, (B, C)) * 2 - 1, rng.normal(size=(B, C))


def _softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def one_hot(rng):
    return np.eye(C)[rng.integers(0, C, B)], _softmax(rng.normal(size=(B, C)))


def one_hot_logits(rng):
    return np.eye(C)[rng.integers(0, C, B)], rng.normal(size=(B, C)) * 3


def one_hot_temporal(rng):
    return np.eye(C)[rng.integers(0, C, (B, T))], _softmax(rng.normal(size=(B, T, C)))


def unnormalized(rng):
    return np.eye(C)[rng.integers(0, C, B)], rng.uniform(0.1, 3, (B, C))


def labels(rng):
    return rng.integers(0, C, B), _softmax(rng.normal(size=(B, C)))


def labels_column(rng):
    return rng.integers(0, C, (B, 1)), _softmax(rng.normal(size=(B, C)))


def labels_logits(rng):
    return rng.integers(0, C, B), rng.normal(size=(B, C)) * 3


def labels_temporal(rng):
    return rng.integers(0, C, (B, T)), rng.normal(size=(B, T, C))


def images(rng):
    return rng.integers(0, 2, (B, 3, 3, 2)), rng.uniform(0.02, 0.98, (B, 3, 3, 2))


def embeddings(rng):
    x = rng.normal(size=(B, C))
    return np.array([0, 1, 0, 1, 2, 0]), x / np.linalg.norm(x, axis=-1, keepdims=True)


def sequences(rng):
    y = np.array([[1, 2, 0], [2, 2, 0], [3, 0, 0], [1, 2, 3], [0, 0, 0], [1, 1, 0]])
    return y, rng.normal(size=(B, T, C))


CATALOG = [
    Case("MeanSquaredError", numbers),
    Case("MeanSquaredError", column),
    Case("MeanSquaredError", temporal),
    Case("MeanAbsoluteError", numbers),
    Case("MeanAbsolutePercentageError", positive),
    Case("MeanSquaredLogarithmicError", positive),
    Case("Huber", numbers),
    Case("Huber", numbers, {"delta": 0.3}),
    Case("LogCosh", numbers),
    Case("CosineSimilarity", numbers),
    Case("CosineSimilarity", temporal, {"axis": 1}),
    Case("Poisson", counts),
    Case("KLDivergence", one_hot),
    Case("Hinge", signs),
    Case("Hinge", bits),
    Case("SquaredHinge", signs),
    Case("SquaredHinge", bits),
    Case("CategoricalHinge", one_hot_logits),
    Case("BinaryCrossentropy", bits),
    Case("BinaryCrossentropy", bits, {"label_smoothing": 0.2}),
    Case("BinaryCrossentropy", bits_logits, {"from_logits": True}),
    Case("BinaryFocalCrossentropy", bits),
    Case("BinaryFocalCrossentropy", bits, {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}),
    Case("BinaryFocalCrossentropy", bits_logits, {"from_logits": True, "label_smoothing": 0.1}),
    Case("CategoricalCrossentropy", one_hot),
    Case("CategoricalCrossentropy", unnormalized, {"label_smoothing": 0.1}),
    Case("CategoricalCrossentropy", one_hot_logits, {"from_logits": True}),
    Case("CategoricalCrossentropy", one_hot_temporal, {"axis": 1}),
    Case("CategoricalFocalCrossentropy", one_hot),
    Case("CategoricalFocalCrossentropy", one_hot_logits, {"from_logits": True, "gamma": 1.5, "alpha": 0.5}),
    Case("CategoricalFocalCrossentropy", one_hot_temporal, {"label_smoothing": 0.1}),
    Case("SparseCategoricalCrossentropy", labels),
    Case("SparseCategoricalCrossentropy", labels_column),
    Case("SparseCategoricalCrossentropy", labels_logits, {"from_logits": True}),
    Case("SparseCategoricalCrossentropy", labels_temporal, {"from_logits": True, "ignore_class": 0}),
    Case("SparseCategoricalCrossentropy", labels, {"ignore_class": 1}),
    Case("CategoricalGeneralizedCrossEntropy", labels),
    Case("CategoricalGeneralizedCrossEntropy", labels, {"q": 0.8}),
    Case("Dice", images),
    Case("Dice", images, {"axis": (1, 2, 3)}),
    Case("Dice", images, {"axis": (0, 1, 2)}),
    Case("Tversky", images, {"alpha": 0.3, "beta": 0.7}),
    Case("Tversky", images, {"axis": (1, 2)}),
    Case("Circle", embeddings),
    Case("Circle", embeddings, {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False}),
    Case("CTC", sequences),
]
