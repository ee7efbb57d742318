"""Crossentropies, divergences and hinges as metrics. The formulas are those of `fkeras.losses`."""

import jax.numpy as jnp

from fkeras import losses
from fkeras.core.settings import setting
from fkeras.metrics.base import dtype_name, registry
from fkeras.metrics.reduction import FunctionMean


@registry.register("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(FunctionMean):
    """The mean crossentropy of labels 0 and 1.

    Args:
        name, dtype: See `Metric`.
        from_logits: Predictions are logits, not probabilities.
        label_smoothing: Labels are drawn that much towards 1/2.

    Example:
        >>> round(float(BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    from_logits: bool = False
    label_smoothing: float = 0.0

    direction = "down"
    function = staticmethod(losses.binary_crossentropy)


@registry.register("categorical_crossentropy")
class CategoricalCrossentropy(FunctionMean):
    """The mean crossentropy of one-hot labels.

    Args:
        name, dtype: See `Metric`.
        from_logits: Predictions are logits, not probabilities.
        label_smoothing: Labels are drawn that much towards 1/C.
        axis: The axis of the classes.

    Example:
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1

    direction = "down"
    function = staticmethod(losses.categorical_crossentropy)


@registry.register("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(FunctionMean):
    """The mean crossentropy of class numbers.

    Args:
        name, dtype: See `Metric`.
        from_logits: Predictions are logits, not probabilities.
        ignore_class: A label that adds 0. As in Keras 3 it still counts in the mean, except where sample weights or a
            mask are given: then it is left out.
        axis: The axis of the classes.

    Example:
        >>> round(float(SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [1.0, 0.0]])), 4)
        0.3466
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    from_logits: bool = False
    ignore_class: int = None
    axis: int = -1

    direction = "down"
    function = staticmethod(losses.sparse_categorical_crossentropy)

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        if self.ignore_class is not None and not (sample_weight is None and mask is None):
            labels = jnp.asarray(y_true)
            if labels.ndim == jnp.ndim(y_pred):
                labels = jnp.squeeze(labels, self.axis)
            counts = labels != self.ignore_class
            if mask is not None:
                mask = jnp.asarray(mask, bool)
                counts &= mask.reshape(mask.shape + (1,) * (counts.ndim - mask.ndim))
            mask = counts
        return super().update(state, y_true, y_pred, sample_weight, mask, rows)


@registry.register("kl_divergence", "kullback_leibler_divergence", "kld", "KLD")
class KLDivergence(FunctionMean):
    """The mean Kullback-Leibler divergence sum t log(t / p).

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> round(float(KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931
    """

    direction = "down"
    function = staticmethod(losses.kl_divergence)


@registry.register("poisson")
class Poisson(FunctionMean):
    """The mean of p - t log(p).

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> round(float(Poisson()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
        1.0
    """

    direction = "down"
    function = staticmethod(losses.poisson)


@registry.register("hinge")
class Hinge(FunctionMean):
    """The mean of max(1 - t p, 0), labels -1 and 1 (or 0 and 1, taken as such).

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(Hinge()([[-1.0, 1.0]], [[0.5, 0.5]]))
        1.0
    """

    direction = "down"
    function = staticmethod(losses.hinge)


@registry.register("squared_hinge")
class SquaredHinge(FunctionMean):
    """The mean of max(1 - t p, 0)^2, labels as in `Hinge`.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.5]]))
        1.25
    """

    direction = "down"
    function = staticmethod(losses.squared_hinge)


@registry.register("categorical_hinge")
class CategoricalHinge(FunctionMean):
    """The mean of max(1 + max((1 - t) p) - sum(t p), 0), one-hot labels.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
        1.25
    """

    direction = "down"
    function = staticmethod(losses.categorical_hinge)
