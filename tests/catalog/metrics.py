"""The catalog of metrics: one row per metric and setting, with labels and predictions that suit it."""

import dataclasses
from collections.abc import Callable

import numpy as np

B, T, C = 6, 4, 3
GRID = [0.1, 0.15, 0.5, 0.85]  # not evenly spaced
EVEN = [0.0, 0.25, 0.5, 0.75, 1.0]


@dataclasses.dataclass(frozen=True)
class Case:
    """A class name, its settings, a maker of (y_true, y_pred), and the shape of its sample weights."""

    cls: str
    make: Callable
    options: dict = dataclasses.field(default_factory=dict)
    weight_shape: tuple = (B,)

    def __str__(self):
        shown = ",".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.cls}({shown})-{self.make.__name__}{self.weight_shape[1:] or ''}"

    def batches(self, count=3):
        """Returns `count` batches (y_true, y_pred, sample_weight); quarters as weights, one of them 0."""
        rng = np.random.default_rng(3)
        for _ in range(count):
            y_true, y_pred = self.make(rng)
            if y_pred.dtype.kind == "f":
                y_pred = y_pred.astype("float32")
            weight = rng.integers(1, 9, self.weight_shape) / 4
            weight[1] = 0
            yield y_true, y_pred, np.round(weight) if "IoU" in self.cls else weight.astype("float32")


def numbers(rng):
    return rng.normal(size=(B, C)).astype("float32"), rng.normal(size=(B, C))


def flat_numbers(rng):
    return rng.normal(size=B).astype("float32"), rng.normal(size=(B, 1))


def series(rng):
    return rng.normal(size=(B, T, C)).astype("float32"), rng.normal(size=(B, T, C))


def positive(rng):
    return rng.uniform(0.1, 3, (B, C)).astype("float32"), rng.uniform(0.1, 3, (B, C))


def signs(rng):
    return rng.integers(0, 2, (B, C)) * 2 - 1, rng.normal(size=(B, C))


def bits(rng):
    # On the thresholds, off them, and on both ends.
    return rng.integers(0, 2, (B, C)), rng.choice([0.0, 0.1, 0.25, 0.33, 0.5, 0.61, 0.75, 0.99, 1.0], (B, C))


def one_bit(rng):
    return rng.integers(0, 2, (B, 1)), rng.uniform(0, 1, (B, 1))


def flat_bits(rng):
    return rng.integers(0, 2, B), rng.uniform(0, 1, (B, 1))


def bit_series(rng):
    return rng.integers(0, 2, (B, T, C)), rng.uniform(0, 1, (B, T, C))


def bit_logits(rng):
    return rng.integers(0, 2, (B, C)), rng.normal(size=(B, C)) * 3


def _softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def one_hot(rng):
    return np.eye(C)[rng.integers(0, C, B)].astype("float32"), _softmax(rng.normal(size=(B, C)))


def one_hot_series(rng):
    return np.eye(C)[rng.integers(0, C, (B, T))].astype("float32"), _softmax(rng.normal(size=(B, T, C)))


def classes(rng):
    return rng.integers(0, C, B), _softmax(rng.normal(size=(B, C)))


def class_column(rng):
    return rng.integers(0, C, (B, 1)), _softmax(rng.normal(size=(B, C)))


def class_series(rng):
    return rng.integers(0, C, (B, T)), _softmax(rng.normal(size=(B, T, C)))


def tied_classes(rng):
    return rng.integers(0, C, B), rng.choice([0.2, 0.4], (B, C))


def ranked_ids(rng):
    return rng.integers(0, 5, B), np.stack([rng.permutation(5) for _ in range(B)])


def labels(rng):
    return rng.integers(0, C, B), rng.integers(0, C, B)


def label_map(rng):  # also one class number too many
    return rng.integers(0, C, (B, T)), rng.integers(0, C + 1, (B, T))


def label_scores(rng):
    return rng.integers(0, C, (B, T)), rng.normal(size=(B, T, C))


def bit_map(rng):
    return rng.integers(0, 2, (B, T)), rng.choice([0.1, 0.3, 0.5, 0.7], (B, T))


def one_hot_first(rng):  # classes on axis 1
    t = np.moveaxis(np.eye(C)[rng.integers(0, C, (B, T))], -1, 1)
    return t, rng.normal(size=(B, C, T))


def case(cls, *makes, weight=(B,), **options):
    return [Case(cls, make, options, weight) for make in makes]


MEANS = [
    *case("Accuracy", label_map),
    *case("BinaryAccuracy", bits, flat_bits, bit_series),
    *case("BinaryAccuracy", bits, threshold=0.25),
    *case("CategoricalAccuracy", one_hot, one_hot_series),
    *case("SparseCategoricalAccuracy", classes, class_column, class_series),
    *case("TopKCategoricalAccuracy", one_hot, k=2),
    *case("TopKCategoricalAccuracy", one_hot_series, k=1),
    *case("SparseTopKCategoricalAccuracy", classes, tied_classes, class_series, k=2),
    *case("SparseTopKCategoricalAccuracy", ranked_ids, k=2, from_sorted_ids=True),
    *case("MeanSquaredError", numbers, flat_numbers, series),
    *case("MeanSquaredError", series, weight=(B, T)),
    *case("MeanAbsoluteError", flat_numbers),
    *case("MeanAbsolutePercentageError", numbers),
    *case("MeanSquaredLogarithmicError", positive),
    *case("LogCoshError", numbers),
    *case("CosineSimilarity", numbers, series),
    *case("CosineSimilarity", series, axis=1),
    *case("RootMeanSquaredError", numbers, flat_numbers),
    *case("RootMeanSquaredError", numbers, weight=(B, C)),
    *case("PearsonCorrelation", numbers),
    *case("PearsonCorrelation", series, axis=1),
    *case("ConcordanceCorrelation", series, axis=1),
    *case("BinaryCrossentropy", bits, bit_series),
    *case("BinaryCrossentropy", bit_logits, from_logits=True, label_smoothing=0.1),
    *case("CategoricalCrossentropy", one_hot, label_smoothing=0.2),
    *case("CategoricalCrossentropy", one_hot_first, from_logits=True, axis=1),
    *case("SparseCategoricalCrossentropy", classes, class_series),
    *case("SparseCategoricalCrossentropy", label_scores, from_logits=True, ignore_class=1, weight=(B, T)),
    *case("KLDivergence", one_hot, positive),
    *case("Poisson", positive),
    *case("Hinge", signs),
    *case("SquaredHinge", signs),
    *case("CategoricalHinge", one_hot),
]
COUNTS = [
    *case("TruePositives", flat_bits),
    *case("TrueNegatives", bits, thresholds=0.25),
    *case("FalsePositives", bits, thresholds=EVEN),
    *case("FalsePositives", bit_series, thresholds=EVEN, weight=(B, T)),
    *case("FalseNegatives", bits, thresholds=GRID, weight=(B, C)),
    *case("FalseNegatives", bit_series, weight=(B, T)),
    *case("Precision", bits),
    *case("Precision", bits, thresholds=GRID),
    *case("Precision", one_hot, top_k=2),
    *case("Recall", bits, thresholds=EVEN),
    *case("Recall", bits, thresholds=0.25, top_k=2, class_id=1),
    *case("SensitivityAtSpecificity", one_bit, specificity=0.4),
    *case("SpecificityAtSensitivity", bits, sensitivity=0.6, num_thresholds=1),
    *case("SpecificityAtSensitivity", bits, sensitivity=0.6, num_thresholds=11, class_id=2),
    *case("PrecisionAtRecall", bits, recall=0.4, num_thresholds=2),
    *case("RecallAtPrecision", bits, precision=0.45),
    *case("AUC", bits, flat_bits),
    *case("AUC", bits, thresholds=GRID),
    *case("AUC", bits, curve="PR", num_thresholds=21),
    *case("AUC", bits, curve="PR", summation_method="majoring"),
    *case("AUC", bits, curve="PRGAIN", summation_method="minoring"),
    *case("AUC", bit_logits, from_logits=True, label_weights=[1.0, 0.5, 2.0]),
    *case("AUC", bits, multi_label=True, curve="PR", label_weights=[1.0, 0.5, 2.0]),
    *case("AUC", bits, num_thresholds=2, multi_label=True, num_labels=C, summation_method="majoring"),
]
OTHERS = [
    *case("F1Score", one_hot, bits),
    *case("F1Score", bits, average="micro", threshold=0.5),
    *case("FBetaScore", bits, average="weighted", beta=2.0, threshold=0.25),
    *case("FBetaScore", one_hot, average="macro", beta=0.5),
    *case("R2Score", numbers),
    *case("R2Score", numbers, class_aggregation=None, weight=(B, C)),
    *case("R2Score", numbers, class_aggregation="variance_weighted_average", num_regressors=2),
    *case("IoU", labels, num_classes=C, target_class_ids=[0, 2]),
    *case("MeanIoU", label_map, num_classes=C, weight=(B, T)),
    *case("MeanIoU", label_scores, num_classes=C, sparse_y_pred=False, ignore_class=1, weight=(B, T)),
    *case("BinaryIoU", bit_map, threshold=0.3, weight=(B, T)),
    *case("OneHotIoU", one_hot, num_classes=C, target_class_ids=[1]),
    *case("OneHotMeanIoU", one_hot_series, num_classes=C, dtype="float32", weight=(B, T)),
]
CATALOG = [*MEANS, *COUNTS, *OTHERS]
