"""Overlap losses for segmentation. By default one number for the whole batch: rows meet in the sums."""

import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import setting
from fkeras.losses.arrays import on_floats, on_symbols
from fkeras.losses.base import Standard, registry


def axes(value):
    """Converter: None, an axis, or a tuple of axes."""
    return value if value is None or hasattr(value, "__index__") else tuple(int(a) for a in value)


@registry.register
@on_symbols
@on_floats
def dice(y_true, y_pred, axis=None):
    """1 - 2 sum(y p) / (sum(y) + sum(p) + epsilon), sums over `axis`.

    Args:
        y_true, y_pred: Arrays of one shape.
        axis: None for all axes: a scalar. (1, 2, 3) gives one value per image [B, H, W, C].

    Example:
        >>> round(dice([[1.0, 0.0]], [[1.0, 1.0]]).item(), 4)
        0.3333

    Reference:
        Milletari et al., "V-Net", 2016, arXiv:1606.04797; without squares, as Keras 3.
    """
    shared = jnp.sum(y_true * y_pred, axis=axis)
    return 1.0 - 2.0 * shared / (jnp.sum(y_true, axis=axis) + jnp.sum(y_pred, axis=axis) + dtypes.epsilon())


@registry.register
@on_symbols
@on_floats
def tversky(y_true, y_pred, alpha=0.5, beta=0.5, axis=None):
    """1 - s / (s + alpha sum(y (1 - p)) + beta sum((1 - y) p) + epsilon), s = sum(y p), sums over `axis`.

    As in Keras 3, `alpha` weighs what was missed and `beta` what was found wrongly (the paper has them the other way).

    Args:
        y_true, y_pred: Arrays of one shape.
        alpha, beta: Weights of the two kinds of error; 0.5 and 0.5 give `dice`.
        axis: None for all axes: a scalar. (1, 2, 3) gives one value per image [B, H, W, C].

    Example:
        >>> round(tversky([[1.0, 0.0]], [[1.0, 1.0]]).item(), 4)
        0.3333

    Reference:
        Salehi et al., "Tversky loss function for image segmentation", 2017, arXiv:1706.05721, eq. 3.
    """
    shared = jnp.sum(y_true * y_pred, axis=axis)
    missed, false = jnp.sum(y_true * (1.0 - y_pred), axis=axis), jnp.sum((1.0 - y_true) * y_pred, axis=axis)
    return 1.0 - shared / (shared + alpha * missed + beta * false + dtypes.epsilon())


class _Overlap(Standard):
    joins_rows = True

    def masked_values(self, y_true, y_pred, rows=None):
        y_true, y_pred = self.prepare(y_true, y_pred)
        if rows is not None:  # a row of zeros adds nothing to any of the sums
            y_true = jnp.where(self.row_mask(y_true, rows), y_true, 0.0)
            y_pred = jnp.where(self.row_mask(y_pred, rows), y_pred, 0.0)
        values = self.values(y_true, y_pred)
        if not self._joins_rows(y_pred.ndim):
            return values, self.row_mask(values, rows)
        if rows is None or values.ndim == 0:
            return values, None
        return values, jnp.any(rows).reshape([1] * values.ndim)  # a batch of nothing but padding has no values

    def _joins_rows(self, rank):
        listed = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        return self.axis is None or any(a % rank == 0 for a in listed)


@registry.register
class Dice(_Overlap):
    """`dice` as an object; rows that are padding have no part in the sums.

    Args:
        reduction, name, dtype: See `Loss`.
        axis: As in the function.

    Example:
        >>> round(float(Dice()([[1.0, 0.0]], [[1.0, 1.0]])), 4)
        0.3333
    """

    reduction: str = Standard._fields["reduction"]
    name: str = None
    axis: tuple = setting(axes, None)
    function = staticmethod(dice)


@registry.register
class Tversky(_Overlap):
    """`tversky` as an object; rows that are padding have no part in the sums.

    Args:
        alpha, beta: As in the function.
        reduction, name, dtype: See `Loss`.
        axis: As in the function.
    """

    alpha: float = 0.5
    beta: float = 0.5
    reduction: str = Standard._fields["reduction"]
    name: str = None
    axis: tuple = setting(axes, None)
    function = staticmethod(tversky)
