"""Counts of true and false positives and negatives over thresholds, and the metrics that are made of them."""

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.dtypes import epsilon
from fkeras.core.settings import optional, positive_int, setting
from fkeras.losses.arrays import same_rank
from fkeras.losses.base import ratio
from fkeras.metrics.base import Metric, leading, registry, weigh

# ------------------------------------------------------------------------------------- pure functions


def confusion_counts(
    y_true,
    y_pred,
    thresholds,
    sample_weight=None,
    mask=None,
    rows=None,
    *,
    top_k=None,
    class_id=None,
    label_weights=None,
    per_label=False,
):
    """Counts, for every threshold, the four outcomes of predicting positive where y_pred > threshold.

    Evenly spaced thresholds over [0, 1] take time O(B + T): each score falls into one bucket, and the counts are
    cumulative sums over buckets. Others take O(B T).

    Args:
        y_true: Labels [B, ...]; anything but 0 is positive.
        y_pred: Scores shaped as `y_true` up to a last axis of size 1.
        thresholds: NumPy array [T] (static), or None: every score counts that `top_k` lets through.
        sample_weight, mask, rows: See `Metric.update`.
        top_k: Only the `top_k` largest scores of the last axis can be positive.
        class_id: Count only this index of the last axis.
        label_weights: Weights [C] of the last axis.
        per_label: Count each index of the last axis by itself; y_pred must be [B, C].

    Returns:
        Dict of float32 arrays "true_positives", "false_positives", "true_negatives", "false_negatives", each [T], or
        [T, C] with `per_label`.

    Raises:
        ValueError: Shapes do not fit each other or `class_id`, `top_k`, `per_label`.

    Example:
        >>> counts = confusion_counts(jnp.array([0, 1, 1]), jnp.array([0.2, 0.4, 0.8]), np.array([0.3, 0.5]))
        >>> counts["true_positives"].tolist(), counts["false_negatives"].tolist()
        ([2.0, 1.0], [0.0, 1.0])
    """
    y_true, y_pred = same_rank(jnp.asarray(y_true), jnp.asarray(y_pred, jnp.float32))
    _check_shapes(y_true, y_pred, top_k, class_id, per_label)
    allowed = jnp.ones((), bool)
    if top_k is not None:
        chosen = jax.lax.top_k(y_pred, top_k)[1]  # [..., k]
        allowed = jnp.any(chosen[..., None] == jnp.arange(y_pred.shape[-1]), axis=-2)  # [..., C]
    allowed = jnp.broadcast_to(allowed, y_pred.shape)
    weights = weigh(y_true.shape, sample_weight, mask, rows)
    weights = jnp.ones((), jnp.float32) if weights is None else leading(weights, y_true.ndim)
    if class_id is not None:
        y_true, y_pred, allowed = (a[..., class_id : class_id + 1] for a in (y_true, y_pred, allowed))
        weights = weights[..., class_id : class_id + 1] if weights.ndim and weights.shape[-1] > 1 else weights
    if label_weights is not None:
        weights = weights * jnp.asarray(label_weights, jnp.float32)
    weights = jnp.broadcast_to(weights, y_true.shape)
    shape = (-1, y_true.shape[-1]) if per_label else (-1, 1)
    labels, scores, weights, allowed = (a.reshape(shape) for a in (y_true != 0, y_pred, weights, allowed))
    positive = jnp.where(labels, weights, 0)  # [N, C], C = 1 unless per_label
    both = jnp.stack([positive, weights - positive])  # [2, N, C]: weight of positives, of negatives
    above = _sums_above(scores, both, allowed, thresholds)  # [2, T, C]
    below = jnp.sum(both, axis=1)[:, None] - above
    counts = {"true_positives": above[0], "false_positives": above[1]}
    counts |= {"true_negatives": below[1], "false_negatives": below[0]}
    return counts if per_label else {name: count[:, 0] for name, count in counts.items()}


def _sums_above(scores, weights, allowed, thresholds):
    """Returns [2, T, C]: the sums of weights [2, N, C] over the scores [N, C] above each threshold."""
    weights = jnp.where(allowed, weights, 0)
    if thresholds is None:
        return jnp.sum(weights, axis=1)[:, None]
    size, columns = len(thresholds), scores.shape[1]
    if not evenly_spaced(thresholds):
        is_above = scores > jnp.asarray(thresholds, jnp.float32)[:, None, None]  # [T, N, C]
        return jnp.sum(jnp.where(is_above, weights[:, None], 0), axis=2)
    # Score s lies above thresholds 0 .. bucket. As in Keras, so that scores on a threshold round the same way.
    bucket = jnp.ceil(jnp.clip(scores, 0, 1) * (size - 1)).astype(jnp.int32) - 1
    if thresholds[0] < 0:
        bucket = jnp.maximum(bucket, 0)  # the first threshold is a little below 0: every score lies above it
    weights = jnp.where(bucket < 0, 0, weights)
    flat = jnp.maximum(bucket, 0) * columns + jnp.arange(columns)  # [N, C]
    sums = jnp.zeros((2, size * columns)).at[:, flat.reshape(-1)].add(weights.reshape(2, -1))
    return jnp.cumsum(sums.reshape(2, size, columns)[:, ::-1], axis=1)[:, ::-1]


def evenly_spaced(thresholds):
    """Returns whether these are 0, 1/(T-1), ..., 1, up to epsilon beyond either end, T >= 3.

    Example:
        >>> evenly_spaced(np.array([0.0, 0.5, 1.0])), evenly_spaced(np.array([0.5]))
        (True, False)
    """
    size = len(thresholds)
    return size >= 3 and bool(np.allclose(np.clip(thresholds, 0, 1), np.linspace(0, 1, size), atol=epsilon()))


def _check_shapes(y_true, y_pred, top_k, class_id, per_label):
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"Expected labels of the prediction's shape {y_pred.shape}, got {y_true.shape}. One-hot encode "
            f"class numbers, e.g. with to_categorical."
        )
    classes = y_pred.shape[-1] if y_pred.ndim > 1 else None
    if per_label and y_pred.ndim != 2:
        raise ValueError(f"multi_label=True expects predictions of shape [B, labels], got {y_pred.shape}.")
    if class_id is not None and (classes is None or not 0 <= class_id < classes):
        raise ValueError(
            f"class_id={class_id} expects predictions of more than {class_id} classes, got {y_pred.shape}."
        )
    if top_k is not None and y_pred.shape[-1] < top_k:
        raise ValueError(f"top_k={top_k} expects predictions with at least {top_k} classes, got {y_pred.shape}.")


# -------------------------------------------------------------------------------------------- settings


def unit_interval(value):
    """Converter: a number in [0, 1]."""
    if value is None or isinstance(value, bool | str) or np.ndim(value) or not 0 <= value <= 1:
        raise ValueError(f"expected a number in [0, 1], got {value!r}.")
    return float(value)


def thresholds(value):
    """Converter: None, a number in [0, 1], or a list of them."""
    if value is None or np.ndim(value) == 0:
        return None if value is None else unit_interval(value)
    if len(value) == 0:
        raise ValueError("expected at least one threshold, got an empty list.")
    return [unit_interval(v) for v in value]


def class_index(value):
    """Converter: an int of at least 0."""
    if isinstance(value, bool | str) or int(value) != value or value < 0:
        raise ValueError(f"expected a class index of at least 0, got {value!r}.")
    return int(value)


# -------------------------------------------------------------------------------------------- classes


class ConfusionMetric(Metric):
    """Base of metrics made of confusion counts; a subclass says which counts it keeps and at which thresholds."""

    counts = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    top_k = class_id = None

    def grid(self):
        """Returns the thresholds as a NumPy array, or None where only `top_k` decides."""
        if self.thresholds is None:
            return None if self.top_k else np.array([0.5])
        return np.atleast_1d(self.thresholds).astype(float)

    def init(self, y_true_shape=None, y_pred_shape=None):
        grid = self.grid()
        return {name: jnp.zeros(1 if grid is None else len(grid)) for name in self.counts}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        found = confusion_counts(
            y_true, y_pred, self.grid(), sample_weight, mask, rows, top_k=self.top_k, class_id=self.class_id
        )
        return {name: state[name] + found[name] for name in self.counts}

    def per_threshold(self, values):
        """Returns `values` [T], or their only one."""
        return values[0] if values.shape[0] == 1 else values


class _Count(ConfusionMetric):
    """Base of the four counts.

    Args:
        thresholds: Number or list of numbers in [0, 1]; a score above counts as positive. Default 0.5.
        name, dtype: See `Metric`.
    """

    thresholds: list = setting(thresholds, None)

    def result(self, state):
        return self.per_threshold(state[self.counts[0]])


@registry.register("true_positives")
class TruePositives(_Count):
    """The weight of positives predicted positive, at each threshold.

    Args:
        thresholds: Number or list of numbers in [0, 1]; a score above counts as positive. Default 0.5.
        name, dtype: See `Metric`.

    Example:
        >>> float(TruePositives()([0, 1, 1], [0.2, 0.4, 0.8]))
        1.0
    """

    counts = ("true_positives",)


@registry.register("true_negatives")
class TrueNegatives(_Count):
    """The weight of negatives predicted negative, at each threshold. Settings as `TruePositives`.

    Example:
        >>> float(TrueNegatives()([0, 1, 1], [0.2, 0.4, 0.8]))
        1.0
    """

    counts = ("true_negatives",)


@registry.register("false_positives")
class FalsePositives(_Count):
    """The weight of negatives predicted positive, at each threshold. Settings as `TruePositives`.

    Example:
        >>> FalsePositives(thresholds=[0.1, 0.5])([0, 1, 1], [0.2, 0.4, 0.8]).tolist()
        [1.0, 0.0]
    """

    counts = ("false_positives",)


@registry.register("false_negatives")
class FalseNegatives(_Count):
    """The weight of positives predicted negative, at each threshold. Settings as `TruePositives`.

    Example:
        >>> float(FalseNegatives()([0, 1, 1], [0.2, 0.4, 0.8]))
        1.0
    """

    counts = ("false_negatives",)


@registry.register("precision")
class Precision(ConfusionMetric):
    """Of what was predicted positive, the fraction that is: TP / (TP + FP), 0 where nothing was.

    Args:
        thresholds: Number or list of numbers in [0, 1]; a score above counts as positive. Default 0.5, or with `top_k`
            none.
        top_k: Only the `top_k` largest scores of a row can be positive.
        class_id: Look only at this class.
        name, dtype: See `Metric`.

    Example:
        >>> float(Precision()([0, 1, 1, 1], [0.6, 0.7, 0.8, 0.9]))
        0.75
    """

    thresholds: list = setting(thresholds, None)
    top_k: int = setting(optional(positive_int), None)
    class_id: int = setting(optional(class_index), None)

    direction = "up"
    counts = ("true_positives", "false_positives")

    def result(self, state):
        return self.per_threshold(precision(state))


@registry.register("recall")
class Recall(ConfusionMetric):
    """Of what is positive, the fraction that was predicted so: TP / (TP + FN), 0 where nothing is.

    Args:
        thresholds, top_k, class_id: See `Precision`.
        name, dtype: See `Metric`.

    Example:
        >>> float(Recall()([0, 1, 1, 1, 1], [0.6, 0.4, 0.8, 0.9, 0.7]))
        0.75
    """

    thresholds: list = setting(thresholds, None)
    top_k: int = setting(optional(positive_int), None)
    class_id: int = setting(optional(class_index), None)

    direction = "up"
    counts = ("true_positives", "false_negatives")

    def result(self, state):
        return self.per_threshold(recall(state))


def precision(counts):
    """Returns TP / (TP + FP), 0 where nothing was predicted positive."""
    return ratio(counts["true_positives"], counts["true_positives"] + counts["false_positives"])


def recall(counts):
    """Returns TP / (TP + FN), the sensitivity, 0 where nothing is positive."""
    return ratio(counts["true_positives"], counts["true_positives"] + counts["false_negatives"])


def specificity(counts):
    """Returns TN / (TN + FP), 0 where nothing is negative."""
    return ratio(counts["true_negatives"], counts["true_negatives"] + counts["false_positives"])


class _BestUnder(ConfusionMetric):
    """Base of the best value of one rate over the thresholds at which another is at least as asked."""

    direction = "up"

    def grid(self):
        return np.array([0.5]) if self.num_thresholds == 1 else np.linspace(0, 1, self.num_thresholds)

    def best(self, wanted, constrained, at_least):
        return jnp.max(jnp.where(constrained >= at_least, wanted, 0))


@registry.register("sensitivity_at_specificity")
class SensitivityAtSpecificity(_BestUnder):
    """The largest sensitivity TP / (TP + FN) over the thresholds whose specificity TN / (TN + FP) is as asked.

    Args:
        specificity: At least this much, in [0, 1].
        num_thresholds: How many thresholds, evenly spaced over [0, 1].
        class_id: Look only at this class.
        name, dtype: See `Metric`.

    Example:
        >>> float(SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    specificity: float = setting(unit_interval)
    num_thresholds: int = setting(positive_int, 200)
    class_id: int = setting(optional(class_index), None)

    def result(self, state):
        return self.best(recall(state), specificity(state), self.specificity)


@registry.register("specificity_at_sensitivity")
class SpecificityAtSensitivity(_BestUnder):
    """The largest specificity TN / (TN + FP) over the thresholds whose sensitivity TP / (TP + FN) is as asked.

    Args:
        sensitivity: At least this much, in [0, 1].
        num_thresholds, class_id: See `SensitivityAtSpecificity`.
        name, dtype: See `Metric`.

    Example:
        >>> float(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])) > 0.66
        True
    """

    sensitivity: float = setting(unit_interval)
    num_thresholds: int = setting(positive_int, 200)
    class_id: int = setting(optional(class_index), None)

    def result(self, state):
        return self.best(specificity(state), recall(state), self.sensitivity)


@registry.register("precision_at_recall")
class PrecisionAtRecall(_BestUnder):
    """The largest precision over the thresholds whose recall is as asked.

    Args:
        recall: At least this much, in [0, 1].
        num_thresholds, class_id: See `SensitivityAtSpecificity`.
        name, dtype: See `Metric`.

    Example:
        >>> float(PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    recall: float = setting(unit_interval)
    num_thresholds: int = setting(positive_int, 200)
    class_id: int = setting(optional(class_index), None)

    def result(self, state):
        return self.best(precision(state), recall(state), self.recall)


@registry.register("recall_at_precision")
class RecallAtPrecision(_BestUnder):
    """The largest recall over the thresholds whose precision is as asked.

    Args:
        precision: At least this much, in [0, 1].
        num_thresholds, class_id: See `SensitivityAtSpecificity`.
        name, dtype: See `Metric`.

    Example:
        >>> float(RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
        0.5
    """

    precision: float = setting(unit_interval)
    num_thresholds: int = setting(positive_int, 200)
    class_id: int = setting(optional(class_index), None)

    def result(self, state):
        return self.best(recall(state), precision(state), self.precision)
