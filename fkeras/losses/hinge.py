"""Margin losses. Targets [..., D] are -1 and 1; a batch that holds only 0 and 1 is read as -1 and 1, as in Keras."""

import jax.numpy as jnp

from fkeras.losses import targets
from fkeras.losses.arrays import on_floats, on_symbols
from fkeras.losses.base import Standard, registry


def _signed(y_true):
    binary = jnp.all((y_true == 0) | (y_true == 1))
    return jnp.where(binary, 2.0 * y_true - 1.0, y_true)


@registry.register
@on_symbols
@on_floats
def hinge(y_true, y_pred):
    """Mean over the last axis of max(1 - y_true * y_pred, 0); targets are -1 and 1, or 0 and 1.

    Example:
        >>> hinge([[-1.0, 1.0]], [[0.5, 2.0]]).tolist()
        [0.75]
    """
    return jnp.mean(jnp.maximum(1.0 - _signed(y_true) * y_pred, 0.0), axis=-1)


@registry.register
@on_symbols
@on_floats
def squared_hinge(y_true, y_pred):
    """Mean over the last axis of max(1 - y_true * y_pred, 0)^2; targets are -1 and 1, or 0 and 1.

    Example:
        >>> squared_hinge([[-1.0, 1.0]], [[0.5, 2.0]]).tolist()
        [1.125]
    """
    return jnp.mean(jnp.square(jnp.maximum(1.0 - _signed(y_true) * y_pred, 0.0)), axis=-1)


@registry.register
@on_symbols
@on_floats
def categorical_hinge(y_true, y_pred):
    """max(neg - pos + 1, 0): the margin of the right class over the best wrong one. Targets are one-hot.

        pos = sum(y_true * y_pred),    neg = max((1 - y_true) * y_pred)

    Example:
        >>> categorical_hinge([[0.0, 1.0]], [[0.5, 1.0]]).tolist()
        [0.5]
    """
    pos = jnp.sum(y_true * y_pred, axis=-1)
    neg = jnp.max((1.0 - y_true) * y_pred, axis=-1)
    return jnp.maximum(neg - pos + 1.0, 0.0)


class _Signed(Standard):
    def masked_values(self, y_true, y_pred, rows=None):
        y_true, y_pred = self.prepare(y_true, y_pred)
        if rows is not None:  # whether labels are 0 and 1 is asked of the real rows only; a 1 fits both kinds
            y_true = jnp.where(self.row_mask(y_true, rows), y_true, 1.0)
        return super().masked_values(y_true, y_pred, rows)


@registry.register
class Hinge(_Signed):
    """`hinge` as an object; see `Loss` for reduction, name and dtype.

    Example:
        >>> float(Hinge()([[-1.0, 1.0]], [[0.5, 2.0]]))
        0.75
    """

    function = staticmethod(hinge)


@registry.register
class SquaredHinge(_Signed):
    """`squared_hinge` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(squared_hinge)


@registry.register
class CategoricalHinge(Standard):
    """`categorical_hinge` as an object; see `Loss` for reduction, name and dtype."""

    function = staticmethod(categorical_hinge)

    def check_targets(self, y_true, y_pred_shape):
        targets.one_hot(self, y_true, y_pred_shape)
