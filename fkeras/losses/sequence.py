"""Connectionist temporal classification: sequences of labels against longer sequences of frames."""

import jax
import jax.numpy as jnp
from jax import lax

from fkeras.losses import targets
from fkeras.losses.arrays import on_labels
from fkeras.losses.base import Standard, registry

_NEVER = -1e5  # log of a probability that is none: finite, so that an impossible target has finite slopes


@registry.register
@on_labels
def ctc(y_true, y_pred):
    """-log of the summed probability of all alignments of the labels with the frames.

    The forward recursion runs over the labels with blanks between them, blank l1 blank l2 ... blank, in log space:
    a state is reached from itself, from the one before, and over a blank from the label before if that differs.

    Args:
        y_true: Integers [B, L]. 0 is the blank and the padding at the end.
        y_pred: Logits [B, T, classes], class 0 the blank.

    Returns:
        Array [B]. A target that does not fit into T frames gives about 1e5.

    Raises:
        ValueError: The ranks are others.

    Example:
        >>> round(ctc([[1]], [[[0.0, 0.0]]]).item(), 4)
        0.6931

    Reference:
        Graves et al., "Connectionist Temporal Classification", 2006, section 4.1.
    """
    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise ValueError(
            f"ctc: expected targets of shape (B, labels) and logits of shape (B, T, classes), got {y_true.shape} and "
            f"{y_pred.shape}."
        )
    batch, labels = y_true.shape
    lengths = jnp.sum(y_true != 0, axis=-1)
    states = jnp.zeros((batch, 2 * labels + 1), jnp.int32).at[:, 1::2].set(y_true)
    before = jnp.pad(states, ((0, 0), (2, 0)))[:, :-2]
    may_skip = (states != 0) & (states != before)
    # [B, T, classes] -> [T, B, S]: the log-probability of each state's symbol at each frame
    scores = jnp.take_along_axis(jax.nn.log_softmax(y_pred), states[:, None, :], axis=2, mode="clip").swapaxes(0, 1)

    def step(alpha, score):
        one, two = (jnp.pad(alpha, ((0, 0), (n, 0)), constant_values=_NEVER)[:, :-n] for n in (1, 2))
        reached = jnp.logaddexp(jnp.logaddexp(alpha, one), jnp.where(may_skip, two, _NEVER))
        return reached + score, None

    start = jnp.where(jnp.arange(states.shape[1])[None, :] < 2, scores[0], _NEVER)
    alpha, _ = lax.scan(step, start, scores[1:])
    last = jnp.take_along_axis(alpha, 2 * lengths[:, None], axis=1)[:, 0]  # ends in the blank
    label = jnp.take_along_axis(alpha, jnp.maximum(2 * lengths[:, None] - 1, 0), axis=1)[:, 0]  # or in the last label
    return -jnp.where(lengths > 0, jnp.logaddexp(last, label), last)


@registry.register
class CTC(Standard):
    """`ctc` as an object; see `Loss` for reduction, name and dtype.

    Example:
        >>> round(float(CTC()([[1]], [[[0.0, 0.0]]])), 4)
        0.6931
    """

    labels = True
    function = staticmethod(ctc)

    def check_targets(self, y_true, y_pred_shape):
        if y_true.ndim != 2 or len(y_pred_shape) != 3:
            raise ValueError(
                f"Loss {self.name!r}: expected targets of shape (B, labels) and logits of shape (B, T, classes), got "
                f"{y_true.shape} and {y_pred_shape}."
            )
        targets.class_numbers(self, y_true, (None, y_true.shape[1], y_pred_shape[2]))
