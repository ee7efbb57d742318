"""Activations: functions of one array, by Keras's names and with Keras 3's arguments and numbers.

Every function keeps shape and (float) dtype and has finite gradients for finite inputs, also at kinks and far
out, where a formula taken as it is printed would meet inf * 0. `exponential` overflows where exp does.
"""

import inspect

import jax
import jax.numpy as jnp

from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import Registry, custom_object_scope
from fkeras.core.settings import serialize as _serialize


class _Activations(Registry):
    """The family of activations: None means `linear`, and a layer's config names a layer."""

    def get(self, identifier):
        return linear if identifier is None else super().get(identifier)

    def from_config(self, config):
        # {"class_name": "LeakyReLU", "config": {...}} is the layer with its settings, not the function `leaky_relu`,
        # which the same letters would find.
        name = config.get("class_name")
        if isinstance(name, str) and name != "function" and name not in self.entries:
            for family in Registry.all:
                if family is not self and name in family.entries:
                    return family.from_config(config)
        return super().from_config(config)


activations = _Activations("activation", "keras.activations")


def get(identifier):
    """Returns the activation that `identifier` means: a name, a config, a function, a layer; None is `linear`.

    Raises:
        ValueError: No activation has that name. TypeError: `identifier` is of another kind.

    Example:
        >>> get("ReLU") is relu, get(None) is linear
        (True, True)
    """
    return activations.get(identifier)


def serialize(activation):
    """Returns what a config holds for `activation`: the name of a function, the config dict of an object."""
    return _serialize(activation)


def deserialize(config, custom_objects=None):
    """Returns the activation that `serialize` wrote as `config`; `custom_objects` maps further names."""
    with custom_object_scope(custom_objects or {}):
        return activations.get(config)


def is_elementwise(activation):
    """True for an activation of this file that takes each number by itself, which one with an axis does not."""
    ours = inspect.isfunction(activation) and activation.__module__ == __name__
    return ours and "axis" not in inspect.signature(activation).parameters


def _float(x):
    """Returns `x` as a float array; integers become float32."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32)


# ------------------------------------------------------------------------------------- straight pieces


@activations.register
def linear(x):
    """Returns `x` as it is.

    Example:
        >>> linear(3.0)
        3.0
    """
    return x


@activations.register
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """Rectifies: what is above the threshold passes, what is below is damped to a slope.

        f(x) = max_value                         x >= max_value
               x                                 threshold < x < max_value
               negative_slope * (x - threshold)  x <= threshold

    Args:
        x: Array of any shape.
        negative_slope: Slope below the threshold.
        max_value: Largest value, or None for no bound. As in Keras, a bound also cuts the passing part at 0 from
            below, which shows only when `threshold` is negative.
        threshold: Where the function starts to pass.

    Example:
        >>> relu(jnp.array([-10.0, -1.0, 0.0, 5.0, 8.0]), negative_slope=0.5, max_value=6.0).tolist()
        [-5.0, -0.5, 0.0, 5.0, 6.0]

    Reference:
        Nair & Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010; arguments as Keras 3.
    """
    x = jnp.asarray(x)
    if threshold == 0 and max_value is None:
        return jax.nn.leaky_relu(x, negative_slope) if negative_slope else jax.nn.relu(x)
    passed = jax.nn.relu(x) if threshold == 0 else jnp.where(x > threshold, x, 0)
    if max_value is not None:
        passed = jnp.clip(passed, 0, max_value)
    return passed - negative_slope * jax.nn.relu(threshold - x) if negative_slope else passed


@activations.register
def relu6(x):
    """Rectifies and bounds by 6: f(x) = min(max(x, 0), 6).

    Example:
        >>> relu6(jnp.array([-1.0, 3.0, 9.0])).tolist()
        [0.0, 3.0, 6.0]

    Reference:
        Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010.
    """
    return jax.nn.relu6(jnp.asarray(x))


@activations.register
def leaky_relu(x, negative_slope=0.2):
    """Rectifies, with a slope below zero: f(x) = x if x >= 0 else negative_slope * x.

    Example:
        >>> leaky_relu(jnp.array([-10.0, 2.0])).tolist()
        [-2.0, 2.0]

    Reference:
        Maas, Hannun & Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013; slope as Keras 3.
    """
    return jax.nn.leaky_relu(jnp.asarray(x), negative_slope)


@activations.register
def hard_sigmoid(x):
    """Sigmoid in three straight pieces: f(x) = min(max(x / 6 + 1/2, 0), 1), as Keras 3 (Keras 2 had slope 0.2).

    Example:
        >>> hard_sigmoid(jnp.array([-3.0, 0.0, 1.5, 4.0])).tolist()
        [0.0, 0.5, 0.75, 1.0]
    """
    return jax.nn.hard_sigmoid(_float(x))


@activations.register("hard_swish")
def hard_silu(x):
    """SiLU with the hard sigmoid: f(x) = x * hard_sigmoid(x).

    Example:
        >>> hard_silu(jnp.array([-1.5, 1.5, 4.0])).tolist()
        [-0.375, 1.125, 4.0]

    Reference:
        Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244.
    """
    return jax.nn.hard_silu(_float(x))


@activations.register
def hard_tanh(x):
    """Clips to [-1, 1].

    Example:
        >>> hard_tanh(jnp.array([-2.0, 0.5, 2.0])).tolist()
        [-1.0, 0.5, 1.0]
    """
    return jax.nn.hard_tanh(jnp.asarray(x))


@activations.register
def hard_shrink(x, threshold=0.5):
    """Sets what is within the threshold to zero: f(x) = x if |x| > threshold else 0.

    Example:
        >>> hard_shrink(jnp.array([-1.0, 0.25, 0.75])).tolist()
        [-1.0, 0.0, 0.75]
    """
    x = jnp.asarray(x)
    return jnp.where(jnp.abs(x) > threshold, x, 0)


@activations.register
def soft_shrink(x, threshold=0.5):
    """Moves every value towards zero by the threshold: f(x) = sign(x) * max(|x| - threshold, 0).

    Example:
        >>> soft_shrink(jnp.array([-1.0, 0.25, 0.75])).tolist()
        [-0.5, 0.0, 0.25]
    """
    x = jnp.asarray(x)
    return jnp.where(x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, 0))


@activations.register
def threshold(x, threshold, default_value):
    """Replaces what does not exceed the threshold: f(x) = x if x > threshold else default_value.

    Example:
        >>> threshold(jnp.array([-1.0, 0.5, 2.0]), 0.5, -7.0).tolist()
        [-7.0, -7.0, 2.0]
    """
    x = jnp.asarray(x)
    return jnp.where(x > threshold, x, default_value)


@activations.register
def sparse_sigmoid(x):
    """Sigmoid's sparse relative: f(x) = min(max((x + 1) / 2, 0), 1).

    Example:
        >>> sparse_sigmoid(jnp.array([-2.0, 0.5, 2.0])).tolist()
        [0.0, 0.75, 1.0]

    Reference:
        Blondel, Martins & Niculae, "Learning Classifiers with Fenchel-Young Losses", 2019, arXiv:1805.09717.
    """
    return jax.nn.sparse_sigmoid(_float(x))


@activations.register
def sparse_plus(x):
    """Softplus's sparse relative, the integral of `sparse_sigmoid`.

        f(x) = 0 (x <= -1), (x + 1)^2 / 4 (-1 < x < 1), x (x >= 1)

    Example:
        >>> sparse_plus(jnp.array([-2.0, 0.0, 3.0])).tolist()
        [0.0, 0.25, 3.0]

    Reference:
        Blondel, Martins & Niculae, "Learning Classifiers with Fenchel-Young Losses", 2019, arXiv:1805.09717.
    """
    x = _float(x)
    return jnp.where(x >= 1, x, (jnp.clip(x, -1, 1) + 1) ** 2 / 4)


# ------------------------------------------------------------------------------------------- smooth


@activations.register
def sigmoid(x):
    """Logistic function: f(x) = 1 / (1 + exp(-x)); neither side overflows.

    Example:
        >>> sigmoid(jnp.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    return jax.nn.sigmoid(_float(x))


@activations.register
def log_sigmoid(x):
    """Logarithm of the sigmoid: f(x) = -log(1 + exp(-x)); exact where sigmoid itself is 0 in floats.

    Example:
        >>> log_sigmoid(jnp.array([-1000.0, 1000.0])).tolist()
        [-1000.0, -0.0]
    """
    return jax.nn.log_sigmoid(_float(x))


@activations.register("swish")
def silu(x):
    """Sigmoid-weighted input, also called swish: f(x) = x * sigmoid(x).

    Example:
        >>> silu(jnp.array([0.0, 100.0])).tolist()
        [0.0, 100.0]

    Reference:
        Ramachandran, Zoph & Le, "Searching for Activation Functions", 2017, arXiv:1710.05941.
    """
    return jax.nn.silu(_float(x))


@activations.register
def tanh(x):
    """Hyperbolic tangent.

    Example:
        >>> tanh(jnp.array([-50.0, 0.0])).tolist()
        [-1.0, 0.0]
    """
    return jnp.tanh(_float(x))


@activations.register
def tanh_shrink(x):
    """What tanh takes away: f(x) = x - tanh(x).

    Example:
        >>> tanh_shrink(jnp.array([0.0, 50.0])).tolist()
        [0.0, 49.0]
    """
    x = _float(x)
    return x - jnp.tanh(x)


@activations.register
def softplus(x):
    """Smooth rectifier: f(x) = log(1 + exp(x)).

    Example:
        >>> softplus(jnp.array([-1000.0, 1000.0])).tolist()
        [0.0, 1000.0]
    """
    return jax.nn.softplus(_float(x))


@activations.register
def softsign(x):
    """Slow sigmoid: f(x) = x / (1 + |x|).

    Example:
        >>> softsign(jnp.array([-1.0, 3.0])).tolist()
        [-0.5, 0.75]
    """
    return jax.nn.soft_sign(_float(x))


@activations.register
def squareplus(x, b=4):
    """Algebraic smooth rectifier: f(x) = (x + sqrt(x^2 + b)) / 2.

    Args:
        x: Float array.
        b: Size of the bend, above 0.

    Example:
        >>> squareplus(jnp.array([0.0, 1e30])).tolist() == [1.0, float(jnp.float32(1e30))]
        True

    Reference:
        Barron, "Squareplus: A Softplus-Like Algebraic Rectifier", 2021, arXiv:2112.11687.
    """
    x = _float(x)
    size = jnp.abs(x)
    unit = jax.lax.stop_gradient(jnp.maximum(size, 1))  # x^2 alone overflows float16 from |x| = 256 on
    root = unit * jnp.sqrt((x / unit) ** 2 + b / unit / unit)
    # Below zero x + root cancels; the product of the two roots of y^2 - x y - b/4 gives the same without loss.
    return jnp.where(x >= 0, (size + root) / 2, b / 2 / (size + root))


@activations.register
def exponential(x):
    """Exponential function exp(x); inf above 88.7 in float32.

    Example:
        >>> exponential(jnp.array([0.0])).tolist()
        [1.0]
    """
    return jnp.exp(_float(x))


@activations.register
def elu(x, alpha=1.0):
    """Exponential linear unit: f(x) = x if x > 0 else alpha * (exp(x) - 1).

    Example:
        >>> elu(jnp.array([-100.0, 2.0]), alpha=0.5).tolist()
        [-0.5, 2.0]

    Reference:
        Clevert, Unterthiner & Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units",
        2016, arXiv:1511.07289.
    """
    return jax.nn.elu(_float(x), alpha)


@activations.register
def selu(x):
    """Self-normalizing ELU: f(x) = 1.0507 * elu(x, alpha=1.6733); for `lecun_normal` kernels and AlphaDropout.

    Example:
        >>> [round(float(y), 4) for y in selu(jnp.array([-1.0, 1.0]))]
        [-1.1113, 1.0507]

    Reference:
        Klambauer et al., "Self-Normalizing Neural Networks", 2017, arXiv:1706.02515.
    """
    return jax.nn.selu(_float(x))


@activations.register
def celu(x, alpha=1.0):
    """ELU with a continuous derivative for every alpha: f(x) = max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1).

    Example:
        >>> celu(jnp.array([-100.0, 3.0]), alpha=2.0).tolist()
        [-2.0, 3.0]

    Reference:
        Barron, "Continuously Differentiable Exponential Linear Units", 2017, arXiv:1704.07483.
    """
    return jax.nn.celu(_float(x), alpha)


@activations.register
def gelu(x, approximate=False):
    """Gaussian error linear unit: f(x) = x * P(N(0, 1) <= x).

    Args:
        x: Float array.
        approximate: Use x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2 instead of the error function.

    Example:
        >>> gelu(jnp.array([-100.0, 0.0, 100.0])).tolist()
        [-0.0, 0.0, 100.0]

    Reference:
        Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016, arXiv:1606.08415.
    """
    x = _float(x)
    if not approximate:
        return jax.nn.gelu(x, approximate=False)
    # Beyond 10 the tanh is 1 in every float; the cube of more overflows and makes the gradient 0 * inf.
    u = jnp.clip(x, -10, 10)
    return x * (0.5 + 0.5 * jnp.tanh((2 / jnp.pi) ** 0.5 * (u + 0.044715 * u**3)))


@activations.register
def mish(x):
    """Self-gated smooth unit: f(x) = x * tanh(softplus(x)).

    Example:
        >>> mish(jnp.array([0.0, 100.0])).tolist()
        [0.0, 100.0]

    Reference:
        Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019, arXiv:1908.08681.
    """
    return jax.nn.mish(_float(x))


# ---------------------------------------------------------------------------------------- over an axis


@activations.register
def glu(x, axis=-1):
    """Gated linear unit: f(x) = a * sigmoid(b), where a and b are the halves of `x` along `axis`.

    Raises:
        ValueError: The size of `axis` is odd.

    Example:
        >>> glu(jnp.array([[6.0, 0.0]])).tolist()
        [[3.0]]

    Reference:
        Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2017, arXiv:1612.08083.
    """
    x = _float(x)
    if x.shape[axis] % 2:
        raise ValueError(f"glu: expected an even size on axis {axis}, to split into values and gates, got {x.shape}.")
    value, gate = jnp.split(x, 2, axis)
    return value * jax.nn.sigmoid(gate)


@activations.register
def softmax(x, axis=-1):
    """Turns scores into probabilities: f(x) = exp(x) / sum(exp(x)) over `axis`, taken after subtracting the maximum.

    Args:
        x: Float array; half precision is summed in float32.
        axis: Axis or tuple of axes that sum to 1.

    Example:
        >>> softmax(jnp.array([1000.0, 1000.0])).tolist()
        [0.5, 0.5]
    """
    x = _float(x)
    return jax.nn.softmax(_wide(x), axis=axis).astype(x.dtype)


@activations.register
def log_softmax(x, axis=-1):
    """Logarithm of the softmax: f(x) = x - log(sum(exp(x))) over `axis`; exact where a probability is 0 in floats.

    Example:
        >>> log_softmax(jnp.array([0.0, 1000.0])).tolist()
        [-1000.0, 0.0]
    """
    x = _float(x)
    return jax.nn.log_softmax(_wide(x), axis=axis).astype(x.dtype)


@activations.register
def sparsemax(x, axis=-1):
    """Projects scores onto the probability simplex, so that small ones become exactly 0.

        f(x) = max(x - tau, 0), with tau such that the result sums to 1 over `axis`

    Follows the paper. Keras up to 3.15 takes tau too large whenever more than one entry survives, so that its
    result does not sum to 1 (keras issue 23425, mended there since).

    Example:
        >>> sparsemax(jnp.array([0.0, 0.5, 1.0])).tolist()
        [0.0, 0.25, 0.75]

    Reference:
        Martins & Astudillo, "From Softmax to Sparsemax", 2016, arXiv:1602.02068, algorithm 1.
    """
    x = _float(x)
    z = jnp.moveaxis(_wide(x), axis, -1)
    z = z - jax.lax.stop_gradient(z.max(-1, keepdims=True))  # sums of large scores would lose the 1
    order = jnp.flip(jnp.sort(z, -1), -1)
    size = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype).reshape((1,) * (z.ndim - 1) + (-1,))
    kept = 1 + size * order > jnp.cumsum(order, -1)
    tau = (jnp.where(kept, order, 0).sum(-1, keepdims=True) - 1) / kept.sum(-1, keepdims=True)
    return jnp.moveaxis(jax.nn.relu(z - tau), -1, axis).astype(x.dtype)


def _wide(x):
    """Returns half precision as float32, for sums."""
    return x.astype(at_least_float32(x.dtype))


swish, hard_swish = silu, hard_silu  # Keras's other names
