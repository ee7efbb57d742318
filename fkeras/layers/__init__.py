"""Layers by Keras's names; see `fkeras.layers.base` for the contract they follow."""

from fkeras.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from fkeras.layers.base import Context, Layer, Variable, Weight
from fkeras.layers.base import layers as registry
from fkeras.layers.core import Activation, Dense, EinsumDense, Identity, Lambda, Masking
from fkeras.layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from fkeras.layers.embedding import Embedding
from fkeras.layers.input import Input, InputLayer
from fkeras.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from fkeras.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from fkeras.layers.preprocessing import CategoryEncoding, Discretization, Normalization, Rescaling
from fkeras.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from fkeras.settings import nearest

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "CategoryEncoding",
    "Concatenate",
    "Context",
    "Dense",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "Input",
    "InputLayer",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "Subtract",
    "UnitNormalization",
    "Variable",
    "Weight",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "registry",
    "subtract",
]


def __getattr__(name):
    """Keras's other names of layers (MaxPool2D, Convolution2D, ...)."""
    if (entry := registry.entries.get(name)) is not None:
        return entry
    raise AttributeError(f"fkeras.layers has no {name!r}.{nearest(name, registry.entries)}")
