"""Circle loss: embeddings of one class are drawn together, those of different classes pushed apart."""

import jax
import jax.numpy as jnp

from fkeras.core.dtypes import at_least_float32
from fkeras.losses import targets
from fkeras.losses.arrays import as_float, on_labels
from fkeras.losses.base import Standard, registry

_NEVER = -1e30  # in place of -inf: an anchor without pairs has loss 0 and slope 0, not NaN


@registry.register
@on_labels
def circle(y_true, y_pred, ref_labels=None, ref_embeddings=None, remove_diagonal=True, gamma=80, margin=0.4):
    """log(1 + sum_neg exp(gamma a_n (s_n - margin)) * sum_pos exp(-gamma a_p (s_p - 1 + margin))), per anchor.

        s = y_pred @ ref_embeddings.T;    a_p = max(1 + margin - s_p, 0);    a_n = max(s_n + margin, 0)

    Args:
        y_true: Class numbers [B] or [B, 1].
        y_pred: Embeddings [B, E] of length 1.
        ref_labels, ref_embeddings: What anchors are compared with, [R] and [R, E]; the batch itself by default.
        remove_diagonal: An anchor is not its own positive pair.
        gamma: Scale.
        margin: Relaxation of both optima.

    Returns:
        Array [B]; 0 for an anchor without a positive or without a negative partner.

    Reference:
        Sun et al., "Circle Loss", 2020, arXiv:2002.10857, eq. 6, 8; similarities held at 1 or below, as Keras 3.
    """
    return _circle(y_true, y_pred, ref_labels, ref_embeddings, remove_diagonal, gamma, margin)


def _circle(y_true, y_pred, ref_labels, ref_embeddings, remove_diagonal, gamma, margin, partners=None):
    """`circle`, with `partners` bool [R]: the references that take part."""
    labels = y_true.reshape(-1, 1)
    ref_labels = labels.T if ref_labels is None else jnp.asarray(ref_labels).astype(jnp.int32).reshape(1, -1)
    refs = y_pred if ref_embeddings is None else as_float(ref_embeddings).astype(y_pred.dtype)
    distance = jnp.maximum(1.0 - y_pred @ refs.T, 0.0)  # [B, R]
    positive, negative = labels == ref_labels, labels != ref_labels
    if remove_diagonal:
        positive = positive & ~jnp.eye(*positive.shape, dtype=bool)
    if partners is not None:
        positive, negative = positive & partners[None, :], negative & partners[None, :]
    near = gamma * jnp.maximum(margin + distance, 0.0) * (distance - margin)
    far = gamma * jnp.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    pull, push = (
        jax.nn.logsumexp(jnp.where(pairs, x, _NEVER), axis=1) for pairs, x in ((positive, near), (negative, far))
    )
    return jax.nn.softplus(pull + push)


@registry.register
class Circle(Standard):
    """`circle` within a batch, as an object; anchors whose loss is 0 are not counted in the mean.

    Args:
        gamma, margin, remove_diagonal: As in the function.
        reduction, name, dtype: See `Loss`.

    Example:
        >>> round(float(Circle()([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 4)
        0.0
    """

    gamma: float = 80.0
    margin: float = 0.4
    remove_diagonal: bool = True
    labels = joins_rows = True
    function = staticmethod(circle)

    def masked_values(self, y_true, y_pred, rows=None):
        y_true, y_pred = self.prepare(y_true, y_pred)
        if rows is None:
            values = self.values(y_true, y_pred)
            return values, values > 0
        wide = y_pred.astype(at_least_float32(y_pred.dtype))
        values = _circle(
            y_true.astype(jnp.int32), wide, None, None, **self.options(), partners=jnp.asarray(rows).astype(bool)
        )
        return values, (values > 0) & self.row_mask(values, rows)

    def check_targets(self, y_true, y_pred_shape):
        if y_true.ndim > 2 or (y_true.ndim == 2 and y_true.shape[1] != 1):
            raise ValueError(
                f"Loss {self.name!r}: expected one class number per embedding, shape (B,) or (B, 1), got "
                f"{y_true.shape}."
            )
        targets.integral(self, y_true)
