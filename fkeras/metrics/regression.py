"""Errors of predicted numbers. The formulas are those of `fkeras.losses`."""

import warnings

import jax
import jax.numpy as jnp

from fkeras import losses
from fkeras.core.settings import choice, setting
from fkeras.losses.arrays import same_rank
from fkeras.metrics.base import Metric, dtype_name, leading, registry, weigh, zero_rows
from fkeras.metrics.reduction import FunctionMean, Mean, ratio, wide


@registry.register("mean_squared_error", "mse", "MSE")
class MeanSquaredError(FunctionMean):
    """The mean of (y_true - y_pred)^2.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(MeanSquaredError()([[0.0, 1.0]], [[0.0, 3.0]]))
        2.0
    """

    direction = "down"
    function = staticmethod(losses.mean_squared_error)


@registry.register("mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(FunctionMean):
    """The mean of |y_true - y_pred|.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(MeanAbsoluteError()([[0.0, 1.0]], [[0.0, 3.0]]))
        1.0
    """

    direction = "down"
    function = staticmethod(losses.mean_absolute_error)


@registry.register("mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(FunctionMean):
    """The mean of 100 |y_true - y_pred| / |y_true|.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
        25.0
    """

    direction = "down"
    function = staticmethod(losses.mean_absolute_percentage_error)


@registry.register("mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(FunctionMean):
    """The mean of (log(1 + y_true) - log(1 + y_pred))^2, of values held above 0.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> round(float(MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 3.0]])), 4)
        0.2402
    """

    direction = "down"
    function = staticmethod(losses.mean_squared_logarithmic_error)


@registry.register("log_cosh_error", "logcosh", "log_cosh")
class LogCoshError(FunctionMean):
    """The mean of log(cosh(y_pred - y_true)).

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> round(float(LogCoshError()([[0.0, 1.0]], [[0.0, 2.0]])), 4)
        0.2169
    """

    name: str = "logcosh"
    dtype: str = setting(dtype_name, None)

    direction = "down"
    function = staticmethod(losses.log_cosh)


def cosine_similarity(y_true, y_pred, axis=-1):
    """Returns the cosine of the angle between labels and predictions along `axis`: the loss of that name, negated.

    Example:
        >>> round(float(cosine_similarity(jnp.array([0.0, 1.0]), jnp.array([1.0, 1.0]))), 4)
        0.7071
    """
    return -losses.cosine_similarity(y_true, y_pred, axis=axis)


@registry.register("cosine_similarity", "cosine", "cosine_proximity")
class CosineSimilarity(FunctionMean):
    """The mean cosine of the angle between labels and predictions; 1 is best (the loss is its negative).

    Args:
        name, dtype: See `Metric`.
        axis: The axis that is a vector.

    Example:
        >>> round(float(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])), 4)
        0.5
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    axis: int = -1

    direction = "up"
    function = staticmethod(cosine_similarity)


@registry.register("root_mean_squared_error", "rmse", "RMSE")
class RootMeanSquaredError(Mean):
    """The square root of the mean of (y_true - y_pred)^2 over all batches.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(RootMeanSquaredError()([[0.0, 1.0]], [[2.0, 3.0]]))
        2.0
    """

    direction = "down"

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        y_true, y_pred = same_rank(jnp.asarray(y_true), wide(y_pred))
        return super().update(state, jnp.square(y_pred - y_true), sample_weight, mask, rows)

    def update_state(self, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        """Adds one batch to the metric's own state."""
        self._advance(y_true, y_pred, sample_weight=sample_weight, mask=mask, rows=rows)

    def result(self, state):
        return jnp.sqrt(ratio(state["total"], state["count"]))


@registry.register("r2_score")
class R2Score(Metric):
    """The coefficient of determination: 1 - sum (y_true - y_pred)^2 / sum (y_true - mean(y_true))^2.

    Args:
        class_aggregation: "uniform_average" of the outputs' scores, "variance_weighted_average", or None for one score
            per output.
        num_regressors: p > 0 adjusts the score s for that many regressors: 1 - (1 - s) (n - 1) / (n - p - 1). As in
            Keras 3, n counts the numbers in `y_true`; with n <= p + 1 the score stays unadjusted.
        name, dtype: See `Metric`.

    Example:
        >>> round(float(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])), 4)
        0.5714
    """

    class_aggregation: str = setting(choice(None, "uniform_average", "variance_weighted_average"), "uniform_average")
    num_regressors: int = 0
    name: str = "r2_score"

    direction = "up"

    def check(self):
        if self.num_regressors < 0:
            raise ValueError(f"R2Score(num_regressors={self.num_regressors}): expected 0 or more.")

    def init(self, y_true_shape=None, y_pred_shape=None):
        if y_pred_shape is None:
            raise ValueError(f"Metric {self.name!r} keeps sums per output: give `init` the shape of y_pred.")
        outputs = y_pred_shape[-1] if len(y_pred_shape) > 1 else 1
        state = {name: jnp.zeros(outputs, jnp.float32) for name in ("spread", "mean", "residual", "count")}
        return state | {"num_samples": jnp.float32(0)}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        y_true, y_pred = same_rank(jnp.asarray(y_true, jnp.float32), jnp.asarray(y_pred, jnp.float32))
        if y_pred.ndim == 1:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        if y_pred.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"Metric {self.name!r}: expected labels and predictions of shape [B, outputs], "
                f"got {y_true.shape} and {y_pred.shape}."
            )
        y_true, y_pred = zero_rows(rows, y_true), zero_rows(rows, y_pred)
        weights = weigh(y_true.shape, sample_weight, mask, rows)
        weights = jnp.broadcast_to(1.0 if weights is None else leading(weights, 2), y_true.shape)
        real = y_true.shape[0] if rows is None else jnp.sum(jnp.asarray(rows, bool))
        count = jnp.sum(weights, axis=0)
        mean = ratio(jnp.sum(y_true * weights, axis=0), count)
        batch = {
            "spread": jnp.sum((y_true - mean) ** 2 * weights, axis=0),
            "mean": mean,
            "residual": jnp.sum((y_true - y_pred) ** 2 * weights, axis=0),
            "count": count,
            "num_samples": jnp.float32(real * y_true.shape[1]),
        }
        return self.merge(state, batch)

    def merge(self, a, b):
        """Returns the state of two streams joined, by Chan et al.'s formula: sums of squares would cancel."""
        count = a["count"] + b["count"]
        apart, share = b["mean"] - a["mean"], ratio(b["count"], count)
        return {
            "spread": a["spread"] + b["spread"] + apart**2 * a["count"] * share,
            "mean": a["mean"] + apart * share,
            "residual": a["residual"] + b["residual"],
            "count": count,
            "num_samples": a["num_samples"] + b["num_samples"],
        }

    def result(self, state):
        total = state["spread"]
        scores = 1 - state["residual"] / total
        scores = jnp.where(jnp.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = jnp.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = jnp.sum(total * scores) / jnp.sum(total)
        return self._adjusted(scores, state["num_samples"]) if self.num_regressors else scores

    def _adjusted(self, scores, samples):
        spare = samples - self.num_regressors - 1
        if not isinstance(spare, jax.core.Tracer) and spare <= 0:
            warnings.warn(
                f"Metric {self.name!r}: {int(samples)} numbers are too few to adjust for {self.num_regressors} "
                f"regressors; the score stays unadjusted.",
                stacklevel=4,
            )
        return jnp.where(spare > 0, 1 - (1 - scores) * (samples - 1) / jnp.where(spare > 0, spare, 1), scores)
