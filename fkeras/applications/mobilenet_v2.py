"""MobileNet, version 2: blocks that are wide within and narrow between, with shortcuts.

Example:
    >>> MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False).output_shape
    (None, 1, 1, 1280)
"""

import functools

from fkeras import layers
from fkeras.applications import mobilenet
from fkeras.applications.builder import (
    HOST,
    application,
    average_top,
    channels,
    half_padding,
    to_multiple,
)
from fkeras.applications.builder import norm as plain_norm
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.applications.mobilenet import relu6

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

SIZES = (96, 128, 160, 192, 224)  # of images, for which there are weights
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
STAGES = (  # expansion, width, blocks, stride of the first: table 2 of the paper
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
norm = functools.partial(plain_norm, epsilon=1e-3, momentum=0.999)


def block(x, expansion, width, stride, name):
    before = x
    if expansion > 1:
        x = layers.Conv2D(expansion * channels(x), 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = relu6(norm(x, f"{name}expand_BN"), f"{name}expand_relu")
    if stride > 1:
        x = layers.ZeroPadding2D(half_padding(x, 3), name=f"{name}pad")(x)
    x = layers.DepthwiseConv2D(3, stride, "same" if stride == 1 else "valid", use_bias=False, name=f"{name}depthwise")(
        x
    )
    x = relu6(norm(x, f"{name}depthwise_BN"), f"{name}depthwise_relu")
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = norm(x, f"{name}project_BN")
    return layers.Add(name=f"{name}add")([before, x]) if stride == 1 and channels(before) == width else x


def trunk(x, a):
    x = layers.Conv2D(to_multiple(32 * a.alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = relu6(norm(x, "bn_Conv1"), "Conv1_relu")
    number = 0
    for expansion, width, depth, stride in STAGES:
        for i in range(depth):
            name = f"block_{number}_" if number else "expanded_conv_"
            x = block(x, expansion, to_multiple(int(width * a.alpha)), stride if i == 0 else 1, name)
            number += 1
    last = to_multiple(1280 * a.alpha) if a.alpha > 1 else 1280
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    return relu6(norm(x, "Conv_1_bn"), "out_relu")


def size_of(a):
    return mobilenet.size_of(a, SIZES)


def files(a):
    top = "" if a.include_top else "_no_top"
    fname = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(a.alpha)}_{size_of(a)}{top}.h5"
    return fname, f"{HOST}mobilenet_v2/{fname}", None


MobileNetV2 = application(
    "MobileNetV2",
    trunk,
    functools.partial(average_top, pool=None),
    size=size_of,
    files=files,
    extra={"alpha": (1.0, "Factor of all widths.")},
    order="input_shape alpha include_top weights input_tensor pooling classes classifier_activation name",
    model_name=lambda a: f"mobilenetv2_{a.alpha:.2f}_{a.input_shape[1]}",
    check=mobilenet.checker("MobileNetV2", ALPHAS),
    summary="MobileNet, version 2",
    reference='Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, '
    "arXiv:1801.04381.",
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__
