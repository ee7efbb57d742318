"""Dense layers with a choice inside, which Keras 1 had: Highway and MaxoutDense."""

from typing import Any

import jax
import jax.numpy as jnp

from fkeras import activations, initializers
from fkeras.core.settings import positive_int, setting
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.contract.weight_settings import KernelBias, weight
from fkeras.layers.core import dense

# -------------------------------------------------------------------------------------- pure functions


def highway(x, changed, gate):
    """Lets each number pass, or its change: y = s(gate) * changed + (1 - s(gate)) * x.

    Example:
        >>> highway(jnp.array([1.0]), jnp.array([3.0]), jnp.array([0.0])).tolist()
        [2.0]
    """
    share = jax.nn.sigmoid(gate)
    return share * changed + (1 - share) * x


def maxout_dense(x, kernel, bias=None):
    """Takes the largest of several dense layers: y_u = max_k sum_i x_i kernel_kiu + bias_ku.

    Args:
        x: Float array [..., I].
        kernel: Float array [K, I, U].
        bias: Float array [K, U], or None.

    Example:
        >>> maxout_dense(jnp.array([[2.0]]), jnp.array([[[1.0]], [[-3.0]]])).tolist()
        [[2.0]]
    """
    y = jnp.einsum("...i,kiu->...ku", x, kernel)
    return jnp.max(y if bias is None else y + bias, -2)


# ---------------------------------------------------------------------------------------------- layers


@layers.register
class Highway(KernelBias, Layer):
    """A dense layer that lets a part of its input through: see `highway`; gate and change are dense layers of `x`.

    Args:
        activation: Of the change; None is linear.
        use_bias: Adds biases.
        kernel_initializer, bias_initializer: First values of the weights; the gate's bias begins with ones.
        kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: As `Dense`.

    Input shape and output shape: [B, ..., I].

    Example:
        >>> Highway(activation="relu")(jnp.ones((2, 3))).shape
        (2, 3)

    Reference:
        Srivastava, Greff & Schmidhuber, "Highway Networks", 2015, arXiv:1505.00387. As Keras 1 had it.
    """

    activation: Any = setting(activations, None)
    use_bias: bool = True
    supports_masking = True

    def declare(self, shape):
        size = shape[-1]
        declared = {
            "kernel": weight(self, "kernel", (size, size)),
            "carry_kernel": weight(self, "kernel", (size, size)),
        }
        if self.use_bias:
            declared["bias"] = weight(self, "bias", (size,))
            declared["carry_bias"] = Weight((size,), initializers.Ones(), self.bias_regularizer, self.bias_constraint)
        return declared

    def forward(self, params, state, x, ctx):
        changed = self.activation(dense(x, params["kernel"], params.get("bias")))
        return highway(x, changed, dense(x, params["carry_kernel"], params.get("carry_bias"))), state


@layers.register
class MaxoutDense(KernelBias, Layer):
    """Takes the largest of several dense layers: see `maxout_dense`.

    Args:
        units: Size of the output's last axis.
        nb_feature: How many dense layers.
        use_bias: Adds biases.
        kernel_initializer, bias_initializer: First values of the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint: As `Dense`.

    Input shape: [B, ..., I]. Output shape: [B, ..., units].

    Example:
        >>> MaxoutDense(4)(jnp.ones((2, 3))).shape
        (2, 4)

    Reference:
        Goodfellow et al., "Maxout Networks", 2013, arXiv:1302.4389. As Keras 1 had it.
    """

    units: int = setting(positive_int)
    nb_feature: int = setting(positive_int, 4)
    use_bias: bool = True

    def declare(self, shape):
        kernel = weight(self, "kernel", (self.nb_feature, shape[-1], self.units))
        bias = weight(self, "bias", (self.nb_feature, self.units))
        return {"kernel": kernel, "bias": bias} if self.use_bias else {"kernel": kernel}

    def forward(self, params, state, x, ctx):
        return maxout_dense(x, params["kernel"], params.get("bias")), state
