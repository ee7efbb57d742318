"""DenseNet: each block's output is put beside its input, so that every layer sees all before it.

Example:
    >>> DenseNet121(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape
    (None, 1, 1, 1024)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import (
    application,
    average_top,
    channel_axis,
    channels,
    norm,
    plain_files,
    pooled,
    relu,
)
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

GROWTH = 32  # channels that a block adds
_norm = functools.partial(norm, epsilon=1.001e-5)


def block(x, name):
    y = relu(_norm(x, f"{name}_0_bn"), f"{name}_0_relu")
    y = layers.Conv2D(4 * GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(y)
    y = relu(_norm(y, f"{name}_1_bn"), f"{name}_1_relu")
    y = layers.Conv2D(GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    return layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, y])


def halve(x, name):
    """Halves channels and sides between two stages."""
    x = relu(_norm(x, f"{name}_bn"), f"{name}_relu")
    x = layers.Conv2D(channels(x) // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def trunk(x, a, depths):
    x = layers.ZeroPadding2D(3)(x)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = relu(_norm(x, "conv1_bn"), "conv1_relu")
    x = layers.ZeroPadding2D(1)(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, 2):
        if stage > 2:
            x = halve(x, f"pool{stage - 1}")
        for i in range(1, depth + 1):
            x = block(x, f"conv{stage}_block{i}")
    return relu(_norm(x, "bn"), "relu")


def _densenet(name, depths, hashes):
    stem = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels{{top}}.h5"
    return application(
        name,
        functools.partial(trunk, depths=depths),
        average_top,
        bottom=functools.partial(pooled, average="avg_pool", largest="max_pool"),
        size=224,
        files=plain_files("densenet/", stem, hashes),
        model_name=name.lower(),
        summary=f"DenseNet with {name[8:]} layers of weights",
        reference='Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks", 2016, '
        "arXiv:1608.06993.",
    )


DenseNet121 = _densenet(
    "DenseNet121", (6, 12, 24, 16), ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738")
)
DenseNet169 = _densenet(
    "DenseNet169", (6, 12, 32, 32), ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b")
)
DenseNet201 = _densenet(
    "DenseNet201", (6, 12, 48, 32), ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1")
)
preprocess_input = preprocessor("torch")


def __dir__():
    return __all__
