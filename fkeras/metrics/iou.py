"""Intersection over union of segmentations."""

import warnings

import jax.numpy as jnp

from fkeras.core.dtypes import epsilon, policy
from fkeras.core.settings import positive_int, setting
from fkeras.metrics.base import Metric, leading, registry, weigh
from fkeras.metrics.confusion import class_index, unit_interval

# ------------------------------------------------------------------------------------- pure functions


def confusion_matrix(y_true, y_pred, num_classes, weights=None):
    """Returns the float32 matrix [C, C] whose entry (i, j) is the weight of label i predicted as j.

    Args:
        y_true, y_pred: Class numbers of one shape, int32. Pairs with a number outside [0, C) are left out.
        num_classes: C.
        weights: Array of that shape, or None.

    Example:
        >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 0, 1]), 2).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    inside = (y_true >= 0) & (y_true < num_classes) & (y_pred >= 0) & (y_pred < num_classes)
    index = jnp.where(inside, y_true * num_classes + y_pred, 0)
    weights = jnp.where(inside, 1.0 if weights is None else weights, 0.0)
    counts = jnp.zeros(num_classes * num_classes).at[index.reshape(-1)].add(weights.reshape(-1))
    return counts.reshape(num_classes, num_classes)


def mean_iou(matrix, class_ids):
    """Returns the mean of TP / (TP + FP + FN) over those of `class_ids` that occur; 0 if none does.

    Example:
        >>> round(float(mean_iou(jnp.array([[1.0, 0.0], [1.0, 1.0]]), [0, 1])), 4)
        0.5
    """
    class_ids = jnp.asarray(class_ids)
    hits = jnp.diagonal(matrix)[class_ids]
    union = (jnp.sum(matrix, axis=0) + jnp.sum(matrix, axis=1))[class_ids] - hits
    occurs = union > 1e-9
    return jnp.sum(jnp.where(occurs, hits / (union + epsilon()), 0.0)) / (jnp.sum(occurs, dtype=hits.dtype) + epsilon())


# -------------------------------------------------------------------------------------------- classes


def _count_dtype(value):
    if value is None or value in ("int", "int32", "int64"):
        return "int32"
    return policy(value).compute_dtype


def _class_ids(value):
    return [class_index(v) for v in value]


class _IoU(Metric):
    """Base of the five: a confusion matrix, and a mean over classes."""

    direction = "up"
    ignore_class = None
    sparse_y_true = sparse_y_pred = True
    axis = -1

    @property
    def classes(self):
        """The classes whose IoU is averaged."""
        return range(self.num_classes)

    def check(self):
        if max(self.classes, default=0) >= self.num_classes:
            raise ValueError(
                f"{type(self).__name__}(target_class_ids={self.classes}): expected class numbers in [0, "
                f"{self.num_classes})."
            )

    def init(self, y_true_shape=None, y_pred_shape=None):
        return {"total_cm": jnp.zeros((self.num_classes, self.num_classes))}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
        y_true = y_true if self.sparse_y_true else jnp.argmax(y_true, axis=self.axis)
        y_pred = y_pred if self.sparse_y_pred else jnp.argmax(y_pred, axis=self.axis)
        if y_true.size != y_pred.size:
            raise ValueError(
                f"Metric {self.name!r}: expected as many labels as predictions, got shapes {y_true.shape} and "
                f"{y_pred.shape}. Are one-hot arrays declared so (sparse_y_true, sparse_y_pred)?"
            )
        y_true, y_pred = y_true.astype(jnp.int32), y_pred.astype(jnp.int32).reshape(y_true.shape)
        weights = weigh(y_true.shape, self._rounded(sample_weight), mask, rows)
        weights = jnp.ones(y_true.shape) if weights is None else leading(weights, y_true.ndim)
        if self.ignore_class is not None:
            weights = jnp.where(y_true == self.ignore_class, 0.0, weights)
        weights = jnp.broadcast_to(weights, y_true.shape)
        return {"total_cm": state["total_cm"] + confusion_matrix(y_true, y_pred, self.num_classes, weights)}

    def _rounded(self, sample_weight):
        """Counts are ints unless `dtype` says otherwise: weights are then cut to whole numbers, as in Keras."""
        if sample_weight is None or self.dtype != "int32":
            return sample_weight
        sample_weight = jnp.asarray(sample_weight)
        if jnp.issubdtype(sample_weight.dtype, jnp.floating):
            warnings.warn(
                f"Metric {self.name!r} counts in int32, so that sample weights are cut to whole numbers. "
                f"For fractions, make it with dtype='float32'.",
                stacklevel=4,
            )
        return sample_weight.astype(jnp.int32)

    def result(self, state):
        return mean_iou(state["total_cm"], list(self.classes))


@registry.register("io_u", "iou")
class IoU(_IoU):
    """Intersection over union, TP / (TP + FP + FN), averaged over `target_class_ids`.

    Args:
        num_classes: Number of classes.
        target_class_ids: The classes to average over; those that never occur are left out.
        name: See `Metric`.
        dtype: "int32" cuts sample weights to whole numbers; a float dtype keeps them.
        ignore_class: A label to leave out, such as 255 for a border.
        sparse_y_true: Labels are class numbers; else one-hot along `axis`.
        sparse_y_pred: Predictions are class numbers; else scores along `axis`.
        axis: See above.

    Example:
        >>> round(float(IoU(2, [0])([0, 0, 1, 1], [0, 1, 0, 1])), 4)
        0.3333
    """

    num_classes: int = setting(positive_int)
    target_class_ids: list = setting(_class_ids)
    name: str = None
    dtype: str = setting(_count_dtype, None)
    ignore_class: int = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    @property
    def classes(self):
        return self.target_class_ids


@registry.register("binary_io_u", "binary_iou")
class BinaryIoU(_IoU):
    """Intersection over union of two classes, told apart by a threshold.

    Args:
        target_class_ids: Of 0 and 1, those to average over.
        threshold: A score of at least this much is class 1.
        name, dtype: See `IoU`.

    Example:
        >>> round(float(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 4)
        0.3333
    """

    target_class_ids: list = setting(_class_ids, (0, 1))
    threshold: float = setting(unit_interval, 0.5)
    name: str = None
    dtype: str = setting(_count_dtype, None)

    num_classes = 2

    @property
    def classes(self):
        return self.target_class_ids

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        y_pred = jnp.asarray(y_pred, jnp.float32) >= self.threshold
        return super().update(state, y_true, y_pred, sample_weight, mask, rows)


@registry.register("mean_io_u", "mean_iou")
class MeanIoU(_IoU):
    """Intersection over union, averaged over all classes that occur.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis: See `IoU`.

    Example:
        >>> round(float(MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1])), 4)
        0.3333
    """

    num_classes: int = setting(positive_int)
    name: str = None
    dtype: str = setting(_count_dtype, None)
    ignore_class: int = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1


@registry.register("one_hot_io_u", "one_hot_iou")
class OneHotIoU(_IoU):
    """Intersection over union for one-hot labels, averaged over `target_class_ids`.

    Args:
        num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_pred, axis: See `IoU`.

    Example:
        >>> y_true, y_pred = jnp.eye(2)[jnp.array([0, 0, 1, 1])], jnp.eye(2)[jnp.array([0, 1, 0, 1])]
        >>> round(float(OneHotIoU(2, [0])(y_true, y_pred)), 4)
        0.3333
    """

    num_classes: int = setting(positive_int)
    target_class_ids: list = setting(_class_ids)
    name: str = None
    dtype: str = setting(_count_dtype, None)
    ignore_class: int = None
    sparse_y_pred: bool = False
    axis: int = -1

    sparse_y_true = False

    @property
    def classes(self):
        return self.target_class_ids


@registry.register("one_hot_mean_io_u", "one_hot_mean_iou")
class OneHotMeanIoU(_IoU):
    """Intersection over union for one-hot labels, averaged over all classes that occur.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_pred, axis: See `IoU`.

    Example:
        >>> y_true, y_pred = jnp.eye(2)[jnp.array([0, 0, 1, 1])], jnp.eye(2)[jnp.array([0, 1, 0, 1])]
        >>> round(float(OneHotMeanIoU(2)(y_true, y_pred)), 4)
        0.3333
    """

    num_classes: int = setting(positive_int)
    name: str = None
    dtype: str = setting(_count_dtype, None)
    ignore_class: int = None
    sparse_y_pred: bool = False
    axis: int = -1

    sparse_y_true = False
