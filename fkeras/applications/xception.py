"""Xception: separable convolutions in blocks with shortcuts.

Example:
    >>> Xception(weights=None, include_top=False, input_shape=(71, 71, 3)).output_shape
    (None, 3, 3, 2048)
"""

from fkeras import layers
from fkeras.applications.builder import application, average_top, norm, plain_files, relu
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def convolution(x, width, name, **kwargs):
    x = layers.Conv2D(width, 3, use_bias=False, name=name, **kwargs)(x)
    return relu(norm(x, f"{name}_bn"), f"{name}_act")


def separable(x, width, name):
    x = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=name)(x)
    return norm(x, f"{name}_bn")


def shrinking(x, widths, name, act_first=True):
    """Two separable convolutions and a pooling that halves, beside a convolution of 1x1 that halves too."""
    shortcut = norm(layers.Conv2D(widths[1], 1, strides=2, padding="same", use_bias=False)(x))
    if act_first:
        x = relu(x, f"{name}_sepconv1_act")
    x = separable(x, widths[0], f"{name}_sepconv1")
    x = separable(relu(x, f"{name}_sepconv2_act"), widths[1], f"{name}_sepconv2")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return layers.Add()([x, shortcut])


def trunk(x, a):
    x = convolution(x, 32, "block1_conv1", strides=2)
    x = convolution(x, 64, "block1_conv2")
    for i, width in enumerate((128, 256, 728), 2):
        x = shrinking(x, (width, width), f"block{i}", act_first=i > 2)
    for i in range(5, 13):
        shortcut = x
        for k in (1, 2, 3):
            x = separable(relu(x, f"block{i}_sepconv{k}_act"), 728, f"block{i}_sepconv{k}")
        x = layers.Add()([x, shortcut])
    x = shrinking(x, (728, 1024), "block13")
    for k, width in ((1, 1536), (2, 2048)):
        x = relu(separable(x, width, f"block14_sepconv{k}"), f"block14_sepconv{k}_act")
    return x


Xception = application(
    "Xception",
    trunk,
    average_top,
    size=299,
    least=71,
    files=plain_files(
        "xception/",
        "xception_weights_tf_dim_ordering_tf_kernels{top}.h5",
        ("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"),
    ),
    model_name="xception",
    summary="Xception, a network of separable convolutions with shortcuts",
    reference='Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016, arXiv:1610.02357.',
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__
