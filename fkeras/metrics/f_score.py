"""The harmonic mean of precision and recall."""

import jax.numpy as jnp

from fkeras.core.dtypes import epsilon
from fkeras.core.settings import choice, optional, setting
from fkeras.metrics.base import Metric, leading, registry, weigh, zero_rows


def f_scores(counts, beta):
    """Returns (1 + beta^2) p r / (beta^2 p + r), p precision and r recall; 0 where both are.

    Args:
        counts: Dict of arrays "true_positives", "false_positives", "false_negatives".
        beta: How many times as much recall matters as precision.

    Example:
        >>> round(float(f_scores({"true_positives": 2.0, "false_positives": 0.0, "false_negatives": 2.0}, 1.0)), 4)
        0.6667
    """
    hits = counts["true_positives"]
    precision = hits / (hits + counts["false_positives"] + epsilon())
    recall = hits / (hits + counts["false_negatives"] + epsilon())
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall + epsilon())


def _beta(value):
    if value is None or isinstance(value, bool | str) or not value > 0:
        raise ValueError(f"expected a number above 0, got {value!r}.")
    return float(value)


def _threshold(value):
    if isinstance(value, bool | str) or not 0 < value <= 1:
        raise ValueError(f"expected a number in (0, 1], or None for the largest score, got {value!r}.")
    return float(value)


class _FScore(Metric):
    direction = "up"
    beta = 1.0

    def init(self, y_true_shape=None, y_pred_shape=None):
        shape = ()
        if self.average != "micro":
            if y_pred_shape is None:
                raise ValueError(
                    f"Metric {self.name!r} counts per class: give `init` the shape of y_pred, or set average='micro'."
                )
            shape = (y_pred_shape[-1],)
        names = "true_positives", "false_positives", "false_negatives", "intermediate_weights"
        return {name: jnp.zeros(shape) for name in names}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        y_true, y_pred = zero_rows(rows, jnp.asarray(y_true, jnp.float32)), jnp.asarray(y_pred, jnp.float32)
        if y_true.ndim != 2 or y_pred.shape != y_true.shape:
            raise ValueError(
                f"Metric {self.name!r}: expected labels and predictions of shape [B, classes], "
                f"got {y_true.shape} and {y_pred.shape}."
            )
        if self.threshold is None:  # the largest score of a row is positive, unless all are 0
            positive = (y_pred >= jnp.max(y_pred, axis=-1, keepdims=True)) & (jnp.abs(y_pred) > 1e-9)
        else:
            positive = y_pred > self.threshold
        positive = positive.astype(jnp.float32)
        weights = weigh(y_true.shape, sample_weight, mask, rows)
        weights = 1.0 if weights is None else leading(weights, 2)

        def add(name, values):
            return state[name] + jnp.sum(values * weights, axis=None if self.average == "micro" else 0)

        return {
            "true_positives": add("true_positives", positive * y_true),
            "false_positives": add("false_positives", positive * (1 - y_true)),
            "false_negatives": add("false_negatives", (1 - positive) * y_true),
            "intermediate_weights": add("intermediate_weights", y_true),
        }

    def result(self, state):
        scores = f_scores(state, self.beta)
        if self.average == "weighted":
            weights = state["intermediate_weights"]
            return jnp.sum(scores * weights / (jnp.sum(weights) + epsilon()))
        return scores if self.average is None else jnp.mean(scores)


@registry.register("f_beta_score", "fbeta_score")
class FBetaScore(_FScore):
    """The weighted harmonic mean of precision p and recall r: (1 + beta^2) p r / (beta^2 p + r).

    Args:
        average: None keeps one score per class, "macro" is their mean, "weighted" their mean by the number of labels,
            "micro" counts all classes as one.
        beta: How many times as much recall matters as precision.
        threshold: Scores above are positive; None: the largest of each row is.
        name, dtype: See `Metric`.

    Example:
        >>> metric = FBetaScore(beta=2.0, threshold=0.5)
        >>> [round(float(s), 4) for s in metric([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6],
        ...                                                                        [0.6, 0.8, 0.0]])]
        [0.3846, 0.9091, 0.8333]
    """

    average: str = setting(choice(None, "micro", "macro", "weighted"), None)
    beta: float = setting(_beta, 1.0)
    threshold: float = setting(optional(_threshold), None)
    name: str = "fbeta_score"


@registry.register("f1_score")
class F1Score(_FScore):
    """The harmonic mean of precision p and recall r: 2 p r / (p + r).

    Args:
        average, threshold: See `FBetaScore`.
        name, dtype: See `Metric`.

    Example:
        >>> round(float(F1Score(average="micro")([[1, 0], [0, 1], [1, 0]], [[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])), 4)
        0.6667
    """

    average: str = setting(choice(None, "micro", "macro", "weighted"), None)
    threshold: float = setting(optional(_threshold), None)
    name: str = "f1_score"
