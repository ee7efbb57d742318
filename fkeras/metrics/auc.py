"""The area under the ROC curve and its relatives."""

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.dtypes import epsilon
from fkeras.core.settings import choice, optional, positive_int, setting
from fkeras.losses.base import ratio
from fkeras.metrics.base import dtype_name, registry
from fkeras.metrics.confusion import ConfusionMetric, confusion_counts, precision, recall, unit_interval

# ------------------------------------------------------------------------------------- pure functions


def curve_points(counts, curve):
    """Returns the points (x, y) of a curve, one for each threshold, from the lowest to the highest.

    "ROC": false positive rate, recall. "PR": recall, precision. "PRGAIN": recall gain, precision gain, with
    gain(r) = 1 - (P / N) (1 - r) / r; recall gains below 0 are 0, and without true positives the point is (0, 1).

    Args:
        counts: Dict of arrays [T, ...] as `confusion_counts` returns.
        curve: "ROC", "PR" or "PRGAIN" (static).

    Reference:
        Flach & Kull, "Precision-Recall-Gain Curves", 2015, for "PRGAIN"; the corner cases as Keras 3.
    """
    if curve == "ROC":
        return ratio(counts["false_positives"], counts["false_positives"] + counts["true_negatives"]), recall(counts)
    if curve == "PR":
        return recall(counts), precision(counts)
    hits, misses, alarms = counts["true_positives"], counts["false_negatives"], counts["false_positives"]
    odds = ratio(hits + misses, counts["true_negatives"] + alarms)
    recall_gain = jnp.where(hits == 0, 0.0, 1.0 - odds * ratio(misses, hits))
    precision_gain = jnp.where(hits == 0, 1.0, 1.0 - odds * ratio(alarms, hits))
    return jnp.maximum(recall_gain, 0.0), precision_gain


def area(x, y, summation_method):
    """Returns the area under points (x, y) [T, ...] with falling x: trapezoids, or the lower or upper rectangles.

    Example:
        >>> x, y = jnp.array([1.0, 0.5, 0.0]), jnp.array([1.0, 0.5, 0.0])
        >>> [float(area(x, y, how)) for how in ("interpolation", "minoring", "majoring")]
        [0.5, 0.25, 0.75]
    """
    left, right = y[1:], y[:-1]
    if summation_method == "interpolation":
        height = (left + right) / 2
    else:
        height = (jnp.minimum if summation_method == "minoring" else jnp.maximum)(left, right)
    return jnp.sum((x[:-1] - x[1:]) * height, axis=0)


def interpolated_pr_area(counts):
    """Returns the area under the precision-recall curve where true positives grow linearly between thresholds.

    Between two thresholds TP = a + s P with P = TP + FP and slope s = dTP / dP. The integral of the precision TP / P
    over dTP is s (dTP + a log(P_low / P_high)).

    Args:
        counts: Dict of arrays [T, ...] as `confusion_counts` returns.

    Reference:
        Davis & Goadrich, "The Relationship Between Precision-Recall and ROC Curves", 2006; as Keras 3.
    """
    hits, positive = counts["true_positives"], counts["true_positives"] + counts["false_positives"]
    d_hits = hits[:-1] - hits[1:]
    slope = ratio(d_hits, jnp.maximum(positive[:-1] - positive[1:], 0))
    intercept = hits[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    growth = jnp.where(both, positive[:-1], 1.0) / jnp.where(both, positive[1:], 1.0)
    gained = slope * (d_hits + intercept * jnp.log(growth))
    return jnp.sum(ratio(gained, jnp.maximum(hits[1:] + counts["false_negatives"][1:], 0)), axis=0)


# -------------------------------------------------------------------------------------------- classes


def _inner_thresholds(values):
    return sorted(unit_interval(v) for v in values)


def _curve(value):
    return choice("roc", "pr", "prgain")(value).upper()


def _weights(values):
    return np.asarray(values, float).tolist()


@registry.register("auc")
class AUC(ConfusionMetric):
    """The area under the ROC or the precision-recall curve, by Riemann sums over thresholds.

    Args:
        num_thresholds: How many thresholds, evenly spaced over [0, 1], the ends just outside.
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: "interpolation" (trapezoids; for "PR" true positives grow linearly), "minoring" (from below)
            or "majoring" (from above).
        name, dtype: See `Metric`.
        thresholds: List of thresholds in [0, 1] to use, with the two ends, in place of `num_thresholds`.
        multi_label: Average the areas of the labels of [B, L] predictions, in place of the area over all of them.
        num_labels: L; otherwise known from the first batch.
        label_weights: L weights of labels, for the average or (without `multi_label`) for the counts.
        from_logits: Predictions go through a sigmoid first.

    Example:
        >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
        0.75
    """

    num_thresholds: int = setting(positive_int, 200)
    curve: str = setting(_curve, "ROC")
    summation_method: str = setting(choice("interpolation", "minoring", "majoring"), "interpolation")
    name: str = None
    dtype: str = setting(dtype_name, None)
    thresholds: list = setting(optional(_inner_thresholds), None)
    multi_label: bool = False
    num_labels: int = setting(optional(positive_int), None)
    label_weights: list = setting(optional(_weights), None)
    from_logits: bool = False

    direction = "up"

    def check(self):
        if self.thresholds is not None:
            self.num_thresholds = len(self.thresholds) + 2
        if self.num_thresholds < 2:
            raise ValueError(f"AUC(num_thresholds={self.num_thresholds}): expected at least 2, the two ends.")
        if self.num_labels and not self.multi_label:
            raise ValueError(f"AUC(num_labels={self.num_labels}): only multi_label=True counts labels one by one.")
        if self.num_labels and self.label_weights and len(self.label_weights) != self.num_labels:
            raise ValueError(f"AUC: expected {self.num_labels} label_weights, one a label, got {self.label_weights}.")

    def grid(self):
        inside = np.linspace(0, 1, self.num_thresholds)[1:-1] if self.thresholds is None else self.thresholds
        return np.array([-epsilon(), *inside, 1 + epsilon()])

    def init(self, y_true_shape=None, y_pred_shape=None):
        shape = (self.num_thresholds,)
        if self.multi_label:
            if self.num_labels is None and y_pred_shape is None:
                raise ValueError(
                    f"Metric {self.name!r} counts per label: set `num_labels`, or give `init` the shape of y_pred."
                )
            shape += (self.num_labels or y_pred_shape[-1],)
        return {name: jnp.zeros(shape) for name in self.counts}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        found = confusion_counts(
            y_true,
            jax.nn.sigmoid(jnp.asarray(y_pred, jnp.float32)) if self.from_logits else y_pred,
            self.grid(),
            sample_weight,
            mask,
            rows,
            label_weights=None if self.multi_label else self.label_weights,
            per_label=self.multi_label,
        )
        return {name: state[name] + found[name] for name in self.counts}

    def result(self, state):
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            areas = interpolated_pr_area(state)
        else:
            areas = area(*curve_points(state, self.curve), self.summation_method)
        if not self.multi_label:
            return areas
        weights = jnp.ones_like(areas) if self.label_weights is None else jnp.asarray(self.label_weights, jnp.float32)
        return ratio(jnp.sum(areas * weights), jnp.sum(weights))
