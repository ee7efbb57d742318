"""Checks of targets at the door: on the host, in NumPy, once per fit."""

import warnings

import numpy as np


def is_shape(shape):
    """Tells whether `shape` is one shape, not a tree of them."""
    return isinstance(shape, (tuple, list)) and all(n is None or isinstance(n, (int, np.integer)) for n in shape)


def numbers(loss, y_true):
    """Returns the targets as a NumPy array. Raises TypeError when they are not numbers."""
    y_true = np.asarray(y_true)
    if y_true.dtype.kind in "OSUM":
        raise TypeError(
            f"Loss {loss.name!r}: expected targets that are numbers, got an array of {y_true.dtype} with shape "
            f"{y_true.shape}. Turn names of classes into numbers first."
        )
    return y_true


def _squeezed(shape):
    return shape[:-1] if shape and shape[-1] == 1 else shape


def _fits(target, shape):
    """Whether a target's shape is `shape` as far as its sizes are known."""
    return len(target) == len(shape) and all(n is None or n == m for m, n in zip(target, shape, strict=True))


def _same(target, pred):
    """Whether one example's target and prediction have one shape, up to a last axis of size 1."""
    return _fits(target, pred) or _fits(target, (*pred, 1)) or _fits((*target, 1), pred)


def same_shape(loss, y_true, shape):
    """Raises ValueError unless targets and prediction have one shape, up to a last axis of size 1."""
    if not _same(y_true.shape[1:], shape[1:]):
        raise ValueError(
            f"Loss {loss.name!r}: expected targets of the prediction's shape {_show(shape)}, got {y_true.shape}. They "
            f"would only be broadcast against each other. Does the last layer have the right number of units?"
        )


def one_hot(loss, y_true, shape, axis=-1):
    """Raises ValueError unless there is one target per class; class numbers get a hint."""
    if _same(y_true.shape[1:], shape[1:]):
        if shape[axis] == 1:
            warnings.warn(
                f"Loss {loss.name!r}: the prediction has a single class (shape {_show(shape)}), so there is nothing "
                f"to learn. For two classes use 'binary_crossentropy'.",
                stacklevel=3,
            )
        return
    if _fits(_squeezed(y_true.shape[1:]), _without(shape, axis)):
        raise ValueError(
            f"Loss {loss.name!r}: expected one-hot targets of the prediction's shape {_show(shape)}, got class numbers "
            f"of shape {y_true.shape}. Use 'sparse_categorical_crossentropy', or to_categorical(y, {shape[axis]})."
        )
    same_shape(loss, y_true, shape)


def probabilities(loss, y_true):
    """Warns of targets outside [0, 1], against which crossentropy has no minimum."""
    low, high = _range(y_true)
    if low < -1e-6 or high > 1 + 1e-6:
        hint = "For labels -1 and 1 use 'hinge'." if (low, high) == (-1, 1) else "Scale the targets."
        warnings.warn(
            f"Loss {loss.name!r}: expected targets in [0, 1], got values from {low} to {high}. {hint}", stacklevel=3
        )


def class_numbers(loss, y_true, shape, axis=-1, ignore=None):
    """Raises ValueError unless the targets are class numbers from 0 to classes - 1 (or `ignore`).

    Args:
        loss: Whom the message names.
        y_true: NumPy array [N, ...] or [N, ..., 1].
        shape: The prediction's; `shape[axis]` is the number of classes.
        axis: The axis of the classes.
        ignore: A number that is allowed as well, or None.
    """
    classes, expected = shape[axis], _without(shape, axis)
    if not (_fits(y_true.shape[1:], expected) or _fits(_squeezed(y_true.shape[1:]), expected)):
        if _fits(y_true.shape[1:], shape[1:]):
            raise ValueError(
                f"Loss {loss.name!r}: expected class numbers of shape {_show((None, *expected))}, got targets of the "
                f"prediction's own shape {y_true.shape}, as one-hot targets have. Use 'categorical_crossentropy', or "
                f"y.argmax({axis})."
            )
        raise ValueError(
            f"Loss {loss.name!r}: expected class numbers of shape {_show((None, *expected))} for a prediction of shape "
            f"{_show(shape)}, got {y_true.shape}."
        )
    integral(loss, y_true)
    low, high = _range(y_true)
    if ignore is not None and not 0 <= low <= high < classes:
        low, high = _range(y_true[y_true != ignore])
    if low < 0 or high >= classes:
        hint = ""
        if low == 1 and high == classes:
            hint = " Do they count from 1? Subtract 1."
        elif low < 0:
            hint = f" To leave {low} out of the loss, give SparseCategoricalCrossentropy(ignore_class={low})."
        raise ValueError(
            f"Loss {loss.name!r}: expected class numbers from 0 to {classes - 1} (the prediction has shape "
            f"{_show(shape)}), got numbers from {low} to {high}.{hint}"
        )


def integral(loss, y_true):
    """Raises ValueError unless the targets are whole numbers (a whole float counts)."""
    if y_true.dtype.kind not in "biu" and not np.array_equal(np.floor(y_true), y_true):
        bad = y_true[np.floor(y_true) != y_true].ravel()[0]
        raise ValueError(
            f"Loss {loss.name!r}: expected class numbers, got {bad.item()!r}, which is not a whole number."
        )


def _range(y_true):
    if y_true.size == 0:
        return 0, 0
    low, high = y_true.min().item(), y_true.max().item()
    return (int(low), int(high)) if low == low // 1 and high == high // 1 else (low, high)


def _without(shape, axis):
    axis = axis % len(shape)
    return tuple(n for i, n in enumerate(shape) if i not in (0, axis))


def _show(shape):
    return f"({', '.join('B' if i == 0 else str(n) for i, n in enumerate(shape))}{',' if len(shape) == 1 else ''})"
