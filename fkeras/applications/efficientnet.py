"""EfficientNet: blocks of MobileNet that weigh their channels, in networks scaled in width, depth and size together.

Example:
    >>> EfficientNetB0(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg").output_shape
    (None, 1280)
"""

import functools
import math
import string

from fkeras import layers
from fkeras.applications.builder import (
    application,
    as_reshaped,
    average_top,
    channel_axis,
    channels,
    half_padding,
    norm,
    plain_files,
    pooled,
    to_multiple,
)
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = [
    *(f"EfficientNetB{i}" for i in range(8)),
    "decode_predictions",
    "preprocess_input",
]

CONV = {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"}
DENSE = {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"}
DEVIATION = (0.229, 0.224, 0.225)  # of ImageNet's pixels
DROP = 0.2  # of whole rows before the last block's shortcut, less before earlier ones
STAGES = (  # kernel, blocks, width, expansion, stride of the first: table 1 of the paper
    (3, 1, 16, 1, 1), (3, 2, 24, 6, 2), (5, 2, 40, 6, 2), (3, 3, 80, 6, 2), (5, 3, 112, 6, 1), (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)  # fmt: skip


def starting(kind):
    """Returns the initializer of convolutions or of the classifier."""
    return {"class_name": "VarianceScaling", "config": kind}


def convolution(x, width, kernel, name, **kwargs):
    return layers.Conv2D(
        width, kernel, padding=kwargs.pop("padding", "same"), kernel_initializer=starting(CONV), name=name, **kwargs
    )(x)


def swish(x, name):
    return layers.Activation("swish", name=name)(x)


def weighed(x, count, name):
    """Weighs channels by a small network on their means, whose middle has `count` ("squeeze and excite")."""
    w = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    w = layers.Reshape(as_reshaped(channels(x)), name=f"{name}se_reshape")(w)
    w = convolution(w, count, 1, f"{name}se_reduce", activation="swish")
    w = convolution(w, channels(x), 1, f"{name}se_expand", activation="sigmoid")
    return layers.Multiply(name=f"{name}se_excite")([x, w])


def shortcut(x, before, rate, name):
    """Adds the block's input to `x`, of which whole rows are dropped at `rate` while training."""
    if rate > 0:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.Add(name=f"{name}add")([x, before])


def letters(i):
    return string.ascii_lowercase[i]


def block(x, kernel, width, expansion, stride, rate, name):
    before, narrow = x, channels(x)
    if expansion != 1:
        x = convolution(x, narrow * expansion, 1, f"{name}expand_conv", use_bias=False)
        x = swish(norm(x, f"{name}expand_bn"), f"{name}expand_activation")
    if stride > 1:
        x = layers.ZeroPadding2D(half_padding(x, kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        "same" if stride == 1 else "valid",
        use_bias=False,
        depthwise_initializer=starting(CONV),
        name=f"{name}dwconv",
    )(x)
    x = swish(norm(x, f"{name}bn"), f"{name}activation")
    x = weighed(x, max(1, int(narrow * 0.25)), name)
    x = convolution(x, width, 1, f"{name}project_conv", use_bias=False)
    x = norm(x, f"{name}project_bn")
    return shortcut(x, before, rate, name) if stride == 1 and narrow == width else x


def trunk(x, a, width, depth):
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Normalization(axis=channel_axis())(x)
    if a.weights == "imagenet":
        # Those weights were trained on pixels over the root of the deviation, their file's "variance" being one.
        x = layers.Rescaling([1 / math.sqrt(deviation) for deviation in DEVIATION])(x)
    x = layers.ZeroPadding2D(half_padding(x, 3), name="stem_conv_pad")(x)
    x = convolution(x, to_multiple(32 * width), 3, "stem_conv", strides=2, padding="valid", use_bias=False)
    x = swish(norm(x, "stem_bn"), "stem_activation")
    depths = [math.ceil(depth * stage[1]) for stage in STAGES]
    done, total = 0, float(sum(depths))
    for number, (count, (kernel, _, filters, expansion, stride)) in enumerate(zip(depths, STAGES, strict=True), 1):
        for i in range(count):
            name, first = f"block{number}{letters(i)}_", stride if i == 0 else 1
            x = block(x, kernel, to_multiple(filters * width), expansion, first, DROP * done / total, name)
            done += 1
    x = convolution(x, to_multiple(1280 * width), 1, "top_conv", use_bias=False)
    return swish(norm(x, "top_bn"), "top_activation")


def efficientnet(name, trunk, size, dropout, hashes, *, model_name, host, bias=None, **kwargs):
    """Returns the builder of an EfficientNet of either version."""
    top = {} if bias is None else {"bias_initializer": bias}
    return application(
        name,
        trunk,
        functools.partial(average_top, dropout=dropout, kernel_initializer=starting(DENSE), **top),
        bottom=functools.partial(pooled, average="avg_pool", largest="max_pool"),
        size=size,
        files=plain_files("", model_name + "{top}.h5", hashes, host),
        model_name=model_name,
        summary=f"{name}; its pixels are from 0 to 255",
        **kwargs,
    )


def _efficientnet(name, width, depth, size, dropout, hashes):
    return efficientnet(
        name,
        functools.partial(trunk, width=width, depth=depth),
        size,
        dropout,
        hashes,
        model_name=name.lower(),
        host="https://storage.googleapis.com/keras-applications/",
        reference='Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, '
        "arXiv:1905.11946.",
    )


EfficientNetB0 = _efficientnet(
    "EfficientNetB0", 1.0, 1.0, 224, 0.2, ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d")
)
EfficientNetB1 = _efficientnet(
    "EfficientNetB1", 1.0, 1.1, 240, 0.2, ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432")
)
EfficientNetB2 = _efficientnet(
    "EfficientNetB2", 1.1, 1.2, 260, 0.3, ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39")
)
EfficientNetB3 = _efficientnet(
    "EfficientNetB3", 1.2, 1.4, 300, 0.3, ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226")
)
EfficientNetB4 = _efficientnet(
    "EfficientNetB4", 1.4, 1.8, 380, 0.4, ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba")
)
EfficientNetB5 = _efficientnet(
    "EfficientNetB5", 1.6, 2.2, 456, 0.4, ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f")
)
EfficientNetB6 = _efficientnet(
    "EfficientNetB6", 1.8, 2.6, 528, 0.5, ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743")
)
EfficientNetB7 = _efficientnet(
    "EfficientNetB7", 2.0, 3.1, 600, 0.5, ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a")
)
preprocess_input = preprocessor(None)


def __dir__():
    return __all__
