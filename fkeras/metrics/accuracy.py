"""Accuracies: how often predictions match labels."""

import jax.numpy as jnp

from fkeras.core.dtypes import floatx
from fkeras.core.settings import positive_int, setting
from fkeras.losses.arrays import same_rank
from fkeras.metrics.base import dtype_name, functions, registry
from fkeras.metrics.reduction import FunctionMean

# ------------------------------------------------------------------------------------- pure functions


def accuracy(y_true, y_pred):
    """Returns 1 where `y_pred` equals `y_true`, else 0.

    Args:
        y_true, y_pred: Arrays of one shape, up to a last axis of size 1.

    Example:
        >>> accuracy(jnp.array([1, 2]), jnp.array([1, 3])).tolist()
        [1.0, 0.0]
    """
    y_pred = jnp.asarray(y_pred)
    y_true, y_pred = same_rank(jnp.asarray(y_true, y_pred.dtype), y_pred)
    return (y_true == y_pred).astype(floatx())


@functions.register
def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Returns 1 where [y_pred > threshold] equals the label, else 0.

    Args:
        y_true: Labels 0 and 1, shaped as `y_pred` up to a last axis of size 1.
        y_pred: Scores [B, ...].
        threshold: A score of exactly this much counts as 0.

    Example:
        >>> binary_accuracy(jnp.array([1, 1, 0]), jnp.array([0.9, 0.5, 0.2])).tolist()
        [1.0, 0.0, 1.0]
    """
    y_true, y_pred = same_rank(jnp.asarray(y_true), jnp.asarray(y_pred))
    return (y_true == (y_pred > threshold).astype(y_true.dtype)).astype(floatx())


@functions.register
def categorical_accuracy(y_true, y_pred):
    """Returns 1 where the largest score is that of the one-hot label, else 0.

    Args:
        y_true, y_pred: Arrays [..., C].

    Returns:
        Array [...].

    Raises:
        ValueError: `y_true` is not one-hot over the classes of `y_pred`.

    Example:
        >>> categorical_accuracy(jnp.eye(2), jnp.array([[0.7, 0.3], [0.6, 0.4]])).tolist()
        [1.0, 0.0]
    """
    y_true, y_pred = _one_hot("categorical_accuracy", y_true, y_pred)
    return (jnp.argmax(y_true, -1) == jnp.argmax(y_pred, -1)).astype(floatx())


@functions.register
def sparse_categorical_accuracy(y_true, y_pred):
    """Returns 1 where the largest score is that of the class number, else 0.

    Args:
        y_true: Class numbers [...] or [..., 1].
        y_pred: Scores [..., C].

    Returns:
        Array [...], without a last axis of size 1.

    Example:
        >>> sparse_categorical_accuracy(jnp.array([0, 1]), jnp.array([[0.7, 0.3], [0.6, 0.4]])).tolist()
        [1.0, 0.0]
    """
    y_true, y_pred = _class_numbers("sparse_categorical_accuracy", y_true, y_pred)
    matches = (y_true == jnp.argmax(y_pred, -1)).astype(floatx())
    return matches[..., 0] if matches.ndim > 1 and matches.shape[-1] == 1 else matches


@functions.register
def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Returns 1 where the one-hot label is among the `k` largest scores, else 0.

    Args:
        y_true, y_pred: Arrays [..., C].
        k: How many; scores that tie with the k-th are in.

    Returns:
        Array [...].

    Example:
        >>> top_k_categorical_accuracy(jnp.eye(3)[:2], jnp.array([[0.1, 0.3, 0.6], [0.1, 0.3, 0.6]]), k=2).tolist()
        [0.0, 1.0]
    """
    y_true, y_pred = _one_hot("top_k_categorical_accuracy", y_true, y_pred)
    return in_top_k(jnp.argmax(y_true, -1), y_pred, k).astype(floatx())


@functions.register
def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """Returns 1 where the class number is among the `k` largest scores, else 0.

    Args:
        y_true: Class numbers [...] or [..., 1].
        y_pred: Scores [..., C], or with `from_sorted_ids` class numbers [..., N], likeliest first.
        k: How many; scores that tie with the k-th are in.
        from_sorted_ids: See `y_pred`.

    Returns:
        Array shaped as `y_true`.

    Example:
        >>> sparse_top_k_categorical_accuracy(jnp.array([0, 2]), jnp.array([[0.1, 0.3, 0.6]] * 2), k=2).tolist()
        [0.0, 1.0]
    """
    shape = jnp.shape(y_true)
    y_true, y_pred = _class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        matches = jnp.any(y_true[..., None] == y_pred[..., :k], axis=-1)
    else:
        matches = in_top_k(y_true.astype(jnp.int32), y_pred, k)
    return matches.astype(floatx()).reshape(shape)


def in_top_k(labels, scores, k):
    """Returns whether fewer than `k` scores are larger than the label's own.

    Args:
        labels: Class numbers [...], int32. One outside [0, C) is never in.
        scores: Array [..., C].

    Example:
        >>> in_top_k(jnp.array([2]), jnp.array([[0.5, 0.2, 0.3]]), k=2).tolist()
        [True]
    """
    is_label = labels[..., None] == jnp.arange(scores.shape[-1])
    own = jnp.sum(jnp.where(is_label, scores, 0), axis=-1, keepdims=True)
    return jnp.any(is_label & ~jnp.isnan(scores), -1) & (jnp.sum(scores > own, axis=-1) < k)


def _one_hot(name, y_true, y_pred):
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{name}: expected one-hot labels shaped as the prediction {y_pred.shape}, got {y_true.shape}. "
            f"For class numbers use 'sparse_{name}'."
        )
    return y_true, y_pred


def _class_numbers(name, y_true, y_pred):
    """Returns (class numbers [...], y_pred [..., C]), in a dtype that holds all class numbers."""
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"{name}: expected class numbers of shape {y_pred.shape[:-1]} for a prediction of shape {y_pred.shape}, "
            f"got {y_true.shape}."
        )
    return y_true, y_pred


# -------------------------------------------------------------------------------------------- classes


@registry.register("accuracy", "acc")
class Accuracy(FunctionMean):
    """How often predictions equal labels. `compile(metrics=["accuracy"])` picks a fitting kind instead.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]))
        0.75
    """

    direction = "up"
    function = staticmethod(accuracy)


@registry.register("binary_accuracy")
class BinaryAccuracy(FunctionMean):
    """How often scores above `threshold` go with label 1.

    Args:
        name, dtype: See `Metric`.
        threshold: A score of exactly this much counts as 0. For logits, 0.0 is a probability of one half.

    Example:
        >>> float(BinaryAccuracy()([1.0, 1.0, 0.0, 0.0], [0.9, 0.6, 0.7, 0.1]))
        0.75
    """

    name: str = None
    dtype: str = setting(dtype_name, None)
    threshold: float = 0.5

    direction = "up"
    function = staticmethod(binary_accuracy)


@registry.register("categorical_accuracy")
class CategoricalAccuracy(FunctionMean):
    """How often the largest score is that of the one-hot label.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.4, 0.6]]))
        0.5
    """

    direction = "up"
    function = staticmethod(categorical_accuracy)


@registry.register("sparse_categorical_accuracy")
class SparseCategoricalAccuracy(FunctionMean):
    """How often the largest score is that of the class number.

    Args:
        name, dtype: See `Metric`.

    Example:
        >>> float(SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.4, 0.6]]))
        0.5
    """

    direction = "up"
    function = staticmethod(sparse_categorical_accuracy)


@registry.register("top_k_categorical_accuracy")
class TopKCategoricalAccuracy(FunctionMean):
    """How often the one-hot label is among the `k` largest scores.

    Args:
        k: How many.
        name, dtype: See `Metric`.

    Example:
        >>> float(TopKCategoricalAccuracy(k=2)([[1, 0, 0], [0, 1, 0]], [[0.1, 0.3, 0.6], [0.1, 0.3, 0.6]]))
        0.5
    """

    k: int = setting(positive_int, 5)

    direction = "up"
    function = staticmethod(top_k_categorical_accuracy)


@registry.register("sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(FunctionMean):
    """How often the class number is among the `k` largest scores.

    Args:
        k: How many.
        name, dtype: See `Metric`.
        from_sorted_ids: Predictions are class numbers, likeliest first, not scores.

    Example:
        >>> float(SparseTopKCategoricalAccuracy(k=2)([0, 1], [[0.1, 0.3, 0.6], [0.1, 0.3, 0.6]]))
        0.5
    """

    k: int = setting(positive_int, 5)
    name: str = None
    dtype: str = setting(dtype_name, None)
    from_sorted_ids: bool = False

    direction = "up"
    function = staticmethod(sparse_top_k_categorical_accuracy)
