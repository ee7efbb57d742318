"""Crossentropies that weigh hard and easy examples differently: focal (binary, categorical) and generalized."""

import jax
import jax.numpy as jnp

from fkeras.core.settings import setting
from fkeras.losses import targets
from fkeras.losses.arrays import clip_probabilities, on_floats, on_labels, on_symbols, power
from fkeras.losses.base import Standard, registry
from fkeras.losses.crossentropy import axis_number, elementwise_bce, need_one_shape, smoothing, spread


@registry.register
@on_symbols
@on_floats
def binary_focal_crossentropy(
    y_true,
    y_pred,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Mean over `axis` of (1 - p_t)^gamma * bce: examples that are already right count less.

        p_t = y p + (1 - y) (1 - p);    bce = -y log p - (1 - y) log(1 - p)

    Args:
        y_true, y_pred: Arrays [..., D] of one shape; targets in [0, 1].
        apply_class_balancing: Also weigh class 1 by `alpha` and class 0 by 1 - alpha.
        alpha: The weight of class 1.
        gamma: 0 gives `binary_crossentropy`.
        from_logits: `y_pred` are logits: p = sigmoid(y_pred).
        label_smoothing: s moves labels to y (1 - s) + s / 2.
        axis: Axis of the mean.

    Example:
        >>> round(binary_focal_crossentropy([[1.0]], [[0.5]]).item(), 4)
        0.1733

    Reference:
        Lin et al., "Focal Loss for Dense Object Detection", 2017, arXiv:1708.02002, eq. 4-5.
    """
    y_true = spread(y_true, label_smoothing, 2)
    p = jax.nn.sigmoid(y_pred) if from_logits else y_pred
    bce = elementwise_bce(y_true, p, from_logits=False)
    focal = power(1.0 - (y_true * p + (1.0 - y_true) * (1.0 - p)), gamma) * bce
    if apply_class_balancing:
        focal = focal * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return jnp.mean(focal, axis=axis)


@registry.register
@on_symbols
@on_floats
def categorical_focal_crossentropy(
    y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1
):
    """-sum(alpha (1 - p)^gamma y log p) over the classes on `axis`; targets are one-hot or distributions.

    Args:
        y_true, y_pred: Arrays of one shape.
        alpha: Weight of the loss: a number, or one number per class.
        gamma: How much less examples count that are already right.
        from_logits: `y_pred` are logits: p = softmax(y_pred). Otherwise p is `y_pred` divided by its sum.
        label_smoothing: s moves labels to y (1 - s) + s / classes (Keras 3: the size of the last axis).
        axis: Axis of the classes.

    Example:
        >>> round(categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.0433

    Reference:
        Lin et al., "Focal Loss for Dense Object Detection", 2017, arXiv:1708.02002, eq. 5.
    """
    need_one_shape("categorical_focal_crossentropy", y_true, y_pred)
    y_true = spread(y_true, label_smoothing, y_true.shape[axis])
    p = jax.nn.softmax(y_pred, axis=axis) if from_logits else y_pred
    p = clip_probabilities(p / jnp.sum(p, axis=axis, keepdims=True))
    weight = jnp.broadcast_to(jnp.asarray(alpha, p.dtype), p.shape) * power(1.0 - p, gamma)
    return jnp.sum(-weight * y_true * jnp.log(p), axis=axis)


@registry.register
@on_labels
def categorical_generalized_cross_entropy(y_true, y_pred, q):
    """(1 - p[y]^q) / q: between crossentropy (q -> 0) and absolute error (q -> 1), robust to wrong labels.

    Args:
        y_true: Class numbers [...] or [..., 1].
        y_pred: Probabilities [..., classes].
        q: A number in (0, 1).

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).tolist()
        [1.0]

    Reference:
        Zhang & Sabuncu, "Generalized Cross Entropy Loss", 2018, arXiv:1805.07836, eq. 6.
    """
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    classes = jax.lax.broadcasted_iota(jnp.int32, y_pred.shape, y_pred.ndim - 1)
    p = jnp.sum(jnp.where(y_true[..., None] == classes, y_pred, 0.0), axis=-1)
    return (1.0 - power(p, q)) / q


@registry.register
class BinaryFocalCrossentropy(Standard):
    """`binary_focal_crossentropy` as an object.

    Args:
        apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis: As in the function.
        reduction, name, dtype: See `Loss`.
    """

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = setting(smoothing, 0.0)
    axis: int = setting(axis_number, -1)
    function = staticmethod(binary_focal_crossentropy)

    def check_targets(self, y_true, y_pred_shape):
        targets.same_shape(self, y_true, y_pred_shape)
        targets.probabilities(self, y_true)


@registry.register
class CategoricalFocalCrossentropy(Standard):
    """`categorical_focal_crossentropy` as an object.

    Args:
        alpha, gamma, from_logits, label_smoothing, axis: As in the function.
        reduction, name, dtype: See `Loss`.
    """

    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = setting(smoothing, 0.0)
    axis: int = setting(axis_number, -1)
    function = staticmethod(categorical_focal_crossentropy)

    def check_targets(self, y_true, y_pred_shape):
        targets.one_hot(self, y_true, y_pred_shape, self.axis)


@registry.register
class CategoricalGeneralizedCrossEntropy(Standard):
    """`categorical_generalized_cross_entropy` as an object.

    Args:
        q: A number in (0, 1).
        reduction, name, dtype: See `Loss`.
    """

    q: float = 0.5
    labels = True
    function = staticmethod(categorical_generalized_cross_entropy)

    def check(self):
        if not 0 < self.q < 1:
            raise ValueError(
                f"CategoricalGeneralizedCrossEntropy: expected q in the open interval (0, 1), got {self.q!r}."
            )

    def check_targets(self, y_true, y_pred_shape):
        targets.class_numbers(self, y_true, y_pred_shape)
