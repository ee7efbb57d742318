"""Crossentropy between labels and predicted probabilities or logits: binary, categorical, and of class numbers.

From logits the softmax (or sigmoid) and the logarithm are one stable operation. Probabilities are held inside
[epsilon, 1 - epsilon], so that a saturated prediction has a finite loss and a finite slope.
"""

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.settings import setting
from fkeras.losses import targets
from fkeras.losses.arrays import clip_probabilities, on_floats, on_labels, on_symbols
from fkeras.losses.base import STANDARD, Standard, registry


def axis_number(value):
    """Converter: one axis, an int (a bool is a mistake)."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"expected an axis number, got {value!r}.")
    return int(value)


def smoothing(value):
    """Converter: the share of a label that is spread over all classes, in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {value!r}.")
    return float(value)


def log_probabilities(y_pred, from_logits, axis):
    """Returns log p along `axis`, of logits or of (renormalized) probabilities."""
    if from_logits:
        return jax.nn.log_softmax(y_pred, axis=axis)
    return jnp.log(clip_probabilities(y_pred / jnp.sum(y_pred, axis=axis, keepdims=True)))


def need_one_shape(name, y_true, y_pred):
    """Raises ValueError unless the shapes are equal."""
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{name}: expected targets of the prediction's shape {y_pred.shape}, got {y_true.shape}."
            + (" For class numbers use sparse_categorical_crossentropy." if name.startswith("categorical") else "")
        )


def elementwise_bce(y_true, y_pred, from_logits):
    """Returns -y log p - (1 - y) log(1 - p) of each element."""
    need_one_shape("binary_crossentropy", y_true, y_pred)
    if from_logits:
        return -y_true * jax.nn.log_sigmoid(y_pred) - (1.0 - y_true) * jax.nn.log_sigmoid(-y_pred)
    p = clip_probabilities(y_pred)
    return -y_true * jnp.log(p) - (1.0 - y_true) * jnp.log(1.0 - p)


def spread(y_true, label_smoothing, classes):
    """Returns labels moved toward the uniform distribution over `classes`."""
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


@registry.register("bce", "BCE")
@on_symbols
@on_floats
def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Mean over `axis` of -y log p - (1 - y) log(1 - p).

    Args:
        y_true, y_pred: Arrays [..., D] of one shape; targets in [0, 1].
        from_logits: `y_pred` are logits: p = sigmoid(y_pred).
        label_smoothing: s moves labels to y (1 - s) + s / 2.
        axis: Axis of the mean.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> round(binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.6931
    """
    return jnp.mean(elementwise_bce(spread(y_true, label_smoothing, 2), y_pred, from_logits), axis=axis)


@registry.register
@on_symbols
@on_floats
def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """-sum(y log p) over the classes on `axis`; targets are one-hot or distributions.

    Args:
        y_true, y_pred: Arrays of one shape.
        from_logits: `y_pred` are logits: p = softmax(y_pred). Otherwise p is `y_pred` divided by its sum.
        label_smoothing: s moves labels to y (1 - s) + s / classes. Keras 3 divides by the last axis whatever `axis` is;
            here it is always the classes.
        axis: Axis of the classes.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> round(categorical_crossentropy([[0.0, 1.0]], [[0.0, 0.0]], from_logits=True).item(), 4)
        0.6931
    """
    need_one_shape("categorical_crossentropy", y_true, y_pred)
    log_p = log_probabilities(y_pred, from_logits, axis)
    return -jnp.sum(spread(y_true, label_smoothing, y_true.shape[axis]) * log_p, axis=axis)


@registry.register
@on_symbols
@on_labels
def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """-log p[y]: crossentropy for targets that are class numbers.

    Args:
        y_true: Integers, the shape of `y_pred` without `axis` (or with size 1 there).
        y_pred: Float array with the classes on `axis`.
        from_logits: `y_pred` are logits: p = softmax(y_pred). Otherwise p is `y_pred` divided by its sum.
        ignore_class: Class number whose elements have loss 0 (the `SparseCategoricalCrossentropy` object also leaves
            them out of the count).
        axis: Axis of the classes.

    Returns:
        Array of the shape of `y_pred` without `axis`. A number outside the classes gives 0, as in Keras;
        `check_targets` finds it before training.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> round(sparse_categorical_crossentropy([1], [[0.0, 0.0]], from_logits=True).item(), 4)
        0.6931
    """
    y_true = _drop_class_axis(y_true, y_pred, axis)[..., None]
    numbers = jnp.moveaxis(y_true, -1, axis)  # back where the classes are, with size 1
    classes = jax.lax.broadcasted_iota(jnp.int32, y_pred.shape, axis % y_pred.ndim)
    if ignore_class is not None:  # whatever was predicted there has no part in the loss or its slope
        y_pred = jnp.where(numbers == ignore_class, jnp.zeros_like(y_pred) if from_logits else 1.0, y_pred)
        numbers = jnp.where(numbers == ignore_class, -1, numbers)
    # A comparison and a sum, which XLA fuses: no one-hot array in memory, and no scatter in the gradient.
    return -jnp.sum(jnp.where(classes == numbers, log_probabilities(y_pred, from_logits, axis), 0.0), axis=axis)


def _drop_class_axis(y_true, y_pred, axis):
    """Returns class numbers without an axis of size 1 at `axis` or at the end."""
    expected = y_pred.shape[: axis % y_pred.ndim] + y_pred.shape[axis % y_pred.ndim + 1 :]
    for drop in (axis, -1):
        if y_true.ndim == y_pred.ndim and y_true.shape[drop] == 1:
            y_true = jnp.squeeze(y_true, drop)
    if y_true.shape != expected:
        raise ValueError(
            f"sparse_categorical_crossentropy: expected class numbers of shape {expected} for predictions of shape "
            f"{y_pred.shape} with classes on axis {axis}, got {y_true.shape}. For one-hot targets use "
            f"categorical_crossentropy."
        )
    return y_true


@registry.register("ce")
def crossentropy(y_true, y_pred):
    """Binary, sparse or categorical crossentropy of probabilities, chosen by the shapes, as Keras's `compile` does.

    Example:
        >>> round(crossentropy([1], [[0.5, 0.5]]).item(), 4)
        0.6931
    """
    return _by_shape(np.shape(y_true), np.shape(y_pred))(y_true, y_pred)


def _by_shape(true, pred):
    if pred[-1:] == (1,) or not pred[1:]:
        return binary_crossentropy
    return sparse_categorical_crossentropy if len(true) < len(pred) or true[-1] == 1 else categorical_crossentropy


@registry.register
class BinaryCrossentropy(Standard):
    """`binary_crossentropy` as an object.

    Args:
        from_logits, label_smoothing, axis: As in the function.
        reduction, name, dtype: See `Loss`.

    Example:
        >>> round(float(BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])), 4)
        0.6931
    """

    from_logits: bool = False
    label_smoothing: float = setting(smoothing, 0.0)
    axis: int = setting(axis_number, -1)
    function = staticmethod(binary_crossentropy)

    def check_targets(self, y_true, y_pred_shape):
        targets.same_shape(self, y_true, y_pred_shape)
        targets.probabilities(self, y_true)


@registry.register
class CategoricalCrossentropy(Standard):
    """`categorical_crossentropy` as an object.

    Args:
        from_logits, label_smoothing, axis: As in the function.
        reduction, name, dtype: See `Loss`.
    """

    from_logits: bool = False
    label_smoothing: float = setting(smoothing, 0.0)
    axis: int = setting(axis_number, -1)
    function = staticmethod(categorical_crossentropy)

    def check_targets(self, y_true, y_pred_shape):
        targets.one_hot(self, y_true, y_pred_shape, self.axis)


@registry.register
class SparseCategoricalCrossentropy(Standard):
    """`sparse_categorical_crossentropy` as an object; elements of `ignore_class` are not counted in the mean.

    Args:
        from_logits, ignore_class, axis: As in the function.
        reduction, name, dtype: See `Loss`.
    """

    from_logits: bool = False
    ignore_class: int = None
    reduction: str = Standard._fields["reduction"]
    axis: int = setting(axis_number, -1)
    labels = True
    function = staticmethod(sparse_categorical_crossentropy)

    def masked_values(self, y_true, y_pred, rows=None):
        values, keep = super().masked_values(y_true, y_pred, rows)
        if self.ignore_class is not None:
            valid = jnp.asarray(y_true).astype(jnp.int32).reshape(values.shape) != self.ignore_class
            keep = valid if keep is None else keep & valid
        return values, keep

    def check_targets(self, y_true, y_pred_shape):
        targets.class_numbers(self, y_true, y_pred_shape, self.axis, self.ignore_class)


@registry.register
class Crossentropy(Standard):
    """What `compile(loss="crossentropy")` means: the crossentropy that fits the shapes; see `crossentropy`."""

    labels = True
    function = staticmethod(crossentropy)

    def check_targets(self, y_true, y_pred_shape):
        found = STANDARD[_by_shape(y_true.shape, y_pred_shape)]
        found(name=self.name).check_targets(y_true, y_pred_shape)
