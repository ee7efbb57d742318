"""Inception, version 3: branches of convolutions of several sizes beside each other.

Example:
    >>> InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3)).output_shape
    (None, 1, 1, 2048)
"""

from fkeras import layers
from fkeras.applications.builder import application, average_top, channel_axis, norm, plain_files, relu
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]


def convolution(x, width, kernel, stride=1, padding="same"):
    """Convolution, normalization without a scale, ReLU; the names are numbers, in the order of the calls."""
    x = layers.Conv2D(width, kernel, strides=stride, padding=padding, use_bias=False)(x)
    return relu(norm(x, scale=False))


def chain(x, *steps):
    """Applies convolutions of (width, kernel), or (width, kernel, stride, padding), one after the other."""
    for step in steps:
        x = convolution(x, *step)
    return x


def average(x, width):
    """The branch that pools first."""
    return convolution(layers.AveragePooling2D(3, strides=1, padding="same")(x), width, 1)


def beside(branches, name=None):
    return layers.Concatenate(axis=channel_axis(), name=name)(branches)


def stem(x):
    x = chain(x, (32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = chain(x, (80, 1, 1, "valid"), (192, 3, 1, "valid"))
    return layers.MaxPooling2D(3, strides=2)(x)


def block_35(x, pool_width, name, first_width=64):
    """Branches of 1x1, 5x5, twice 3x3 and pooling."""
    branches = [
        convolution(x, first_width, 1),
        chain(x, (48, 1), (64, 5)),
        chain(x, (64, 1), (96, 3), (96, 3)),
        average(x, pool_width),
    ]
    return beside(branches, name)


def block_17(x, width, name):
    """Branches of 1x1, of 7x7 as 1x7 and 7x1, of that twice, and pooling."""
    across, down = (1, 7), (7, 1)
    branches = [
        convolution(x, 192, 1),
        chain(x, (width, 1), (width, across), (192, down)),
        chain(x, (width, 1), (width, down), (width, across), (width, down), (192, across)),
        average(x, 192),
    ]
    return beside(branches, name)


def block_8(x, number):
    """Branches that split in 1x3 and 3x1 beside each other."""
    narrow = convolution(x, 320, 1)
    middle = convolution(x, 384, 1)
    middle = beside([convolution(middle, 384, (1, 3)), convolution(middle, 384, (3, 1))], f"mixed9_{number}")
    deep = chain(x, (448, 1), (384, 3))
    deep = beside([convolution(deep, 384, (1, 3)), convolution(deep, 384, (3, 1))])
    return beside([narrow, middle, deep, average(x, 192)], f"mixed{9 + number}")


def trunk(x, a):
    x = stem(x)
    for i, width in enumerate((32, 64, 64)):
        x = block_35(x, width, f"mixed{i}")
    halved = convolution(x, 384, 3, 2, "valid")
    deep = chain(x, (64, 1), (96, 3), (96, 3, 2, "valid"))
    x = beside([halved, deep, layers.MaxPooling2D(3, strides=2)(x)], "mixed3")
    for i, width in enumerate((128, 160, 160, 192), 4):
        x = block_17(x, width, f"mixed{i}")
    halved = chain(x, (192, 1), (320, 3, 2, "valid"))
    deep = chain(x, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid"))
    x = beside([halved, deep, layers.MaxPooling2D(3, strides=2)(x)], "mixed8")
    return block_8(block_8(x, 0), 1)


InceptionV3 = application(
    "InceptionV3",
    trunk,
    average_top,
    size=299,
    least=75,
    files=plain_files(
        "inception_v3/",
        "inception_v3_weights_tf_dim_ordering_tf_kernels{top}.h5",
        ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
    ),
    model_name="inception_v3",
    summary="Inception, version 3",
    reference='Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015, arXiv:1512.00567.',
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__
