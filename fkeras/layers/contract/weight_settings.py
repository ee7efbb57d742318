"""The settings of kernels, biases and their like, declared once for all layers that have them.

A layer inherits a group, whose settings come after its own. Where they stand between its own, a line says so:

    class LayerNormalization(GammaBeta, Layer):
        epsilon: float = 1e-3
        _here: ClassVar[GammaBeta]
        rms_scaling: bool = False

and `weight(layer, "kernel", shape)` declares an array with the layer's settings for it.
"""

from typing import Any

from fkeras import constraints, initializers, regularizers
from fkeras.core.settings import Configured, optional, setting
from fkeras.layers.contract.base import Weight


def weight(layer, of, shape, start=None):
    """Declares an array with a layer's settings: its initializer, its regularizer and its constraint.

    Args:
        layer: A layer with settings `{of}_initializer`, `{of}_regularizer` and `{of}_constraint`.
        of: What the array is: "kernel", "bias".
        shape: Its shape.
        start: An initializer in place of the setting.

    Example:
        >>> weight(Dense(2, kernel_initializer="ones"), "kernel", (4, 2))
        Weight(shape=(4, 2), initializer=Ones(), regularizer=None, constraint=None, trainable=True, dtype=None)
    """
    given = getattr(layer, f"{of}_initializer") if start is None else start
    return Weight(tuple(shape), given, getattr(layer, f"{of}_regularizer"), getattr(layer, f"{of}_constraint"))


class KernelBiasInitializers(Configured, kw_only=True):
    kernel_initializer: Any = setting(initializers, "glorot_uniform")
    bias_initializer: Any = setting(initializers, "zeros")


class KernelBiasRegularizers(Configured, kw_only=True):
    kernel_regularizer: Any = setting(optional(regularizers), None)
    bias_regularizer: Any = setting(optional(regularizers), None)


class KernelBiasConstraints(Configured, kw_only=True):
    kernel_constraint: Any = setting(optional(constraints), None)
    bias_constraint: Any = setting(optional(constraints), None)


class OutputRegularizer(Configured, kw_only=True):
    activity_regularizer: Any = setting(optional(regularizers), None)


class KernelBias(KernelBiasInitializers, KernelBiasRegularizers, OutputRegularizer, KernelBiasConstraints):
    """Of layers with a kernel and a bias whose penalty on the output can be given by position, as Dense."""


class RecurrentInitializers(Configured, kw_only=True):
    kernel_initializer: Any = setting(initializers, "glorot_uniform")
    recurrent_initializer: Any = setting(initializers, "orthogonal")
    bias_initializer: Any = setting(initializers, "zeros")


class RecurrentPenalties(Configured, kw_only=True):
    kernel_regularizer: Any = setting(optional(regularizers), None)
    recurrent_regularizer: Any = setting(optional(regularizers), None)
    bias_regularizer: Any = setting(optional(regularizers), None)
    activity_regularizer: Any = setting(optional(regularizers), None)
    kernel_constraint: Any = setting(optional(constraints), None)
    recurrent_constraint: Any = setting(optional(constraints), None)
    bias_constraint: Any = setting(optional(constraints), None)


class GammaBetaInitializers(Configured, kw_only=True):
    beta_initializer: Any = setting(initializers, "zeros")
    gamma_initializer: Any = setting(initializers, "ones")


class GammaBetaPenalties(Configured, kw_only=True):
    beta_regularizer: Any = setting(optional(regularizers), None)
    gamma_regularizer: Any = setting(optional(regularizers), None)
    beta_constraint: Any = setting(optional(constraints), None)
    gamma_constraint: Any = setting(optional(constraints), None)


class GammaBeta(GammaBetaInitializers, GammaBetaPenalties):
    """Of layers that scale by gamma and shift by beta."""
