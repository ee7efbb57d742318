"""Sums and means of values, and metrics that are the mean of a per-example function."""

import jax.numpy as jnp

from fkeras.compiled.rows import why_rows_meet
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import deserialize, is_foreign, serialize
from fkeras.core.tracing import untraceable
from fkeras.losses.base import STANDARD, ratio
from fkeras.metrics.base import Metric, functions, leading, registry, weigh, zero_rows

# ------------------------------------------------------------------------------------- pure functions


def weighted_sum(values, sample_weight=None, mask=None, rows=None):
    """Returns the sum of all values, each times its weight, in float32.

    Args:
        values: Array [B, ...] or a scalar.
        sample_weight, mask, rows: See `Metric.update`.

    Example:
        >>> float(weighted_sum([1.0, 3.0, 5.0], sample_weight=[1.0, 0.0, 2.0]))
        11.0
    """
    values = zero_rows(rows, wide(values))
    weights = weigh(values.shape, sample_weight, mask, rows)
    return jnp.sum(values if weights is None else values * leading(weights, values.ndim))


def weighted_total_and_count(values, sample_weight=None, mask=None, rows=None):
    """Returns (total, count) of the mean over rows: total = sum_b mean(w_b v_b), count = sum_b mean(w_b).

    A row counts once however many values it has. One weight for the whole batch (a scalar) weighs the batch's mean.

    Args:
        values: Array [B, ...] or a scalar.
        sample_weight, mask, rows: See `Metric.update`.

    Returns:
        Two float32 scalars.

    Example:
        >>> [float(n) for n in weighted_total_and_count([1.0, 3.0, 5.0], sample_weight=[1.0, 0.0, 2.0])]
        [11.0, 3.0]

    Reference:
        As Keras 3's `Mean`.
    """
    values = zero_rows(rows, wide(values))
    sample_weight = None if sample_weight is None else jnp.asarray(sample_weight, jnp.float32)
    if sample_weight is not None and sample_weight.ndim == 0:
        total, count = weighted_total_and_count(values, None, mask, rows)
        return ratio(total, count) * sample_weight, sample_weight
    weights = weigh(values.shape, sample_weight, mask, rows)
    if weights is None:
        count = jnp.float32(values.shape[0] if values.ndim else 1)
        return jnp.mean(values) * count if values.size else jnp.float32(0), count
    values = jnp.mean(values, axis=tuple(range(weights.ndim, values.ndim)))
    weights = jnp.broadcast_to(weights, values.shape)
    rest = tuple(range(1, values.ndim))
    return jnp.sum(jnp.mean(values * weights, axis=rest)), jnp.sum(jnp.mean(weights, axis=rest))


def wide(values):
    """Returns `values` as an array in float32 or wider where they were of half precision or not floats."""
    values = jnp.asarray(values)
    return values.astype(at_least_float32(values.dtype))


# -------------------------------------------------------------------------------------------- classes


@registry.register("sum")
class Sum(Metric):
    """The weighted sum of the values it is given.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(Sum()([1.0, 3.0, 5.0], sample_weight=[1.0, 1.0, 0.0]))
        4.0
    """

    def init(self, y_true_shape=None, y_pred_shape=None):
        return {"total": jnp.float32(0)}

    def update(self, state, values, sample_weight=None, mask=None, rows=None):
        return {"total": state["total"] + weighted_sum(values, sample_weight, mask, rows)}

    def update_state(self, values, sample_weight=None, mask=None, rows=None):
        """Adds values to the metric's own state."""
        self._advance(values, sample_weight=sample_weight, mask=mask, rows=rows)

    def result(self, state):
        return state["total"]


@registry.register("mean")
class Mean(Metric):
    """The weighted mean of the values it is given: total / count, 0 before the first.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> mean = Mean()
        >>> mean.update_state([1.0, 3.0])
        >>> mean.update_state([5.0], sample_weight=[2.0])
        >>> float(mean.result())
        3.5
    """

    def init(self, y_true_shape=None, y_pred_shape=None):
        return {"total": jnp.float32(0), "count": jnp.float32(0)}

    def update(self, state, values, sample_weight=None, mask=None, rows=None):
        total, count = weighted_total_and_count(values, sample_weight, mask, rows)
        return {"total": state["total"] + total, "count": state["count"] + count}

    def update_state(self, values, sample_weight=None, mask=None, rows=None):
        """Adds values to the metric's own state."""
        self._advance(values, sample_weight=sample_weight, mask=mask, rows=rows)

    def result(self, state):
        return ratio(state["total"], state["count"])


class FunctionMean(Mean):
    """Base of metrics that are the mean of a per-example function; the class's own settings are its arguments.

    class MeanSquaredError(FunctionMean):
        function = staticmethod(losses.mean_squared_error)
    """

    function = None

    def options(self):
        """Returns the keyword arguments of the function."""
        return {name: getattr(self, name) for name in self._fields if name not in ("name", "dtype")}

    def values(self, y_true, y_pred):
        """Returns the function's values, one or more per example; half precision is computed in float32."""
        return self.function(jnp.asarray(y_true), wide(y_pred), **self.options())

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        values = jnp.asarray(self.values(y_true, y_pred))
        if rows is not None and (values.ndim == 0 or values.shape[0] != jnp.shape(rows)[0]):
            raise ValueError(
                f"Metric {self.name!r} cannot leave out padded rows: its function returns shape {values.shape} for a "
                f"batch of {jnp.shape(rows)[0]}. Return one value a row, or give it the real rows only, with rows=None."
            )
        return super().update(state, values, sample_weight, mask, rows)

    def update_state(self, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        """Adds one batch to the metric's own state."""
        self._advance(y_true, y_pred, sample_weight=sample_weight, mask=mask, rows=rows)

    def rows_meet(self, y_true, y_pred):
        function = self.function or self.fn
        return why_rows_meet(self.values, y_true, y_pred, known=not is_foreign(type(self), function))


@registry.register("mean_metric_wrapper")
class MeanMetricWrapper(FunctionMean):
    """The mean of what a function of yours returns.

    Args:
        fn: Function f(y_true, y_pred, **kwargs) that returns [B], [B, ...] or a scalar; or the name of one.
        name: Default "mean_metric_wrapper"; `compile` takes the function's name.
        dtype: See `Metric`.
        kwargs: Further arguments of the function.

    Example:
        >>> def within(y_true, y_pred, tolerance):
        ...     return abs(y_true - y_pred) < tolerance
        >>> metric = MeanMetricWrapper(within, name="within_half", tolerance=0.5)
        >>> float(metric([1.0, 2.0], [1.25, 3.0]))
        0.5
    """

    compiles = False  # a function of one's own may do what only arrays at hand allow

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        self.fn, self.kwargs = function_named(fn), kwargs
        super().__init__(name=name, dtype=dtype)
        if any(self.fn is loss for loss in STANDARD):
            self.direction = "down"

    def options(self):
        return self.kwargs

    def values(self, y_true, y_pred):
        try:
            values = self.fn(jnp.asarray(y_true), jnp.asarray(y_pred), **self.kwargs)
        except Exception as err:
            if said := untraceable(err):
                raise TypeError(f"Metric {self.name!r}: {said}") from err
            raise
        if values is None:
            raise TypeError(f"Metric {self.name!r}: its function returned None. Does it `return` its values?")
        return values

    def rows_meet(self, y_true, y_pred):
        loss = next((cls for function, cls in STANDARD.items() if function is self.fn), None)
        if loss is not None and loss.joins_rows:  # the loss object leaves padded rows out, its function does not
            return "joins the rows of a batch"
        return super().rows_meet(y_true, y_pred)

    def get_config(self):
        if type(self).__init__ is not MeanMetricWrapper.__init__:
            return super().get_config()
        fn = serialize(self.fn)
        if isinstance(fn, str):  # the form in which Keras 3 writes functions
            fn = {"module": "builtins", "class_name": "function", "config": fn, "registered_name": "function"}
        return {"name": self.name, "dtype": self.dtype, "fn": fn} | serialize(self.kwargs)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def function_named(fn):
    """Returns the function that a name or a config dict stands for; what can be called is returned as it is.

    Raises:
        ValueError: No such name. TypeError: Something that cannot be called.
    """
    if isinstance(fn, dict) and fn.get("class_name") == "function":
        fn = fn["config"]
    if isinstance(fn, str):
        return functions.lookup(fn)
    fn = deserialize(fn)
    if not callable(fn):
        raise TypeError(
            f"MeanMetricWrapper(fn={fn!r}): expected a function f(y_true, y_pred), got {type(fn).__name__}."
        )
    return fn
