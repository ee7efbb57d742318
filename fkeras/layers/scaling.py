"""Layers that only Keras's applications use: a trained scale of channels, and a sum with a factor."""

from fkeras.core.settings import positive_int, setting
from fkeras.initializers import Constant
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.merging import Merge


@layers.register
class LayerScale(Layer):
    """Multiplies each channel by a trained factor that begins small.

    Args:
        init_values: What the factors begin with.
        projection_dim: Number of channels.

    Example:
        >>> LayerScale(0.5, 3)(jnp.ones((1, 3))).tolist()
        [[0.5, 0.5, 0.5]]

    Reference:
        Touvron et al., "Going deeper with Image Transformers", 2021, arXiv:2103.17239, eq. 4.
    """

    keras_module = "keras.src.applications.convnext"
    init_values: float = setting(float)
    projection_dim: int = setting(positive_int)

    def declare(self, shape):
        return {"gamma": Weight((self.projection_dim,), Constant(self.init_values))}

    def forward(self, params, state, x, ctx):
        return x * params["gamma"], state


@layers.register
class CustomScaleLayer(Merge):
    """Adds the second of two arrays, times a number, to the first.

    Example:
        >>> CustomScaleLayer(0.5)([jnp.ones((1, 2)), jnp.ones((1, 2))]).tolist()
        [[1.5, 1.5]]
    """

    keras_module = "keras.src.applications.inception_resnet_v2"
    exactly = 2
    scale: float = setting(float)

    def merge(self, arrays):
        return arrays[0] + arrays[1] * self.scale
