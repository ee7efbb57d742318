"""Keras 1's metrics of one batch: what they give for an epoch is the mean of its batches, as it was."""

import jax.numpy as jnp

from fkeras.metrics.base import functions


def _hits(y_true, y_pred):
    y_true, y_pred = (jnp.round(jnp.clip(jnp.asarray(y), 0, 1)) for y in (y_true, y_pred))
    return jnp.sum(y_true * y_pred), jnp.sum(y_true), jnp.sum(y_pred)


def precision(y_true, y_pred):
    """Keras 1: the share of a batch's predictions of 1 that are right. Today: `metrics.Precision`, over all batches."""
    hits, _, said = _hits(y_true, y_pred)
    return hits / (said + 1e-7)


def recall(y_true, y_pred):
    """Keras 1: the share of a batch's ones that are found. Today: `metrics.Recall`, over all batches."""
    hits, there, _ = _hits(y_true, y_pred)
    return hits / (there + 1e-7)


def fbeta_score(y_true, y_pred, beta=1):
    """Keras 1: the weighted harmonic mean of a batch's precision and recall. Today: `metrics.FBetaScore`."""
    hits, there, said = _hits(y_true, y_pred)
    return (1 + beta**2) * hits / (beta**2 * there + said + 1e-7)


@functions.register
def fmeasure(y_true, y_pred):
    """Keras 1: the harmonic mean of a batch's precision and recall. Today: `metrics.F1Score`.

    Example:
        >>> round(float(fmeasure([1.0, 0.0, 1.0, 0.0], [0.9, 0.8, 0.2, 0.1])), 3)
        0.5
    """
    return fbeta_score(y_true, y_pred)


@functions.register
def matthews_correlation(y_true, y_pred):
    """Keras 1: the correlation of what is and what is said, of a batch's ones and zeros."""
    y_true, y_pred = (jnp.round(jnp.clip(jnp.asarray(y), 0, 1)) for y in (y_true, y_pred))
    tp, tn = jnp.sum(y_true * y_pred), jnp.sum((1 - y_true) * (1 - y_pred))
    fp, fn = jnp.sum((1 - y_true) * y_pred), jnp.sum(y_true * (1 - y_pred))
    return (tp * tn - fp * fn) / (jnp.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) + 1e-7)
