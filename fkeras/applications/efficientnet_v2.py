"""EfficientNet, version 2: early blocks are one convolution of 3x3 instead of a depthwise one.

Example:
    >>> EfficientNetV2B0(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape
    (None, 1, 1, 1280)
"""

import functools
import math

from fkeras import layers
from fkeras.applications import builder
from fkeras.applications.builder import HOST, channel_axis, channels
from fkeras.applications.builder import norm as plain_norm
from fkeras.applications.efficientnet import (
    CONV,
    DEVIATION,
    DROP,
    convolution,
    efficientnet,
    letters,
    shortcut,
    starting,
    swish,
    weighed,
)
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = [
    *(f"EfficientNetV2{kind}" for kind in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "decode_predictions",
    "preprocess_input",
]

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels
# Stages of blocks: blocks, width, expansion, stride of the first, fused (tables 4 of the paper and 7 of its appendix).
BASE = ((1, 16, 1, 1, True), (2, 32, 4, 2, True), (2, 48, 4, 2, True), (3, 96, 4, 2, False), (5, 112, 6, 1, False),
        (8, 192, 6, 2, False))  # fmt: skip
SMALL = ((2, 24, 1, 1, True), (4, 48, 4, 2, True), (4, 64, 4, 2, True), (6, 128, 4, 2, False), (9, 160, 6, 1, False),
         (15, 256, 6, 2, False))  # fmt: skip
MEDIUM = ((3, 24, 1, 1, True), (5, 48, 4, 2, True), (5, 80, 4, 2, True), (7, 160, 4, 2, False), (14, 176, 6, 1, False),
          (18, 304, 6, 2, False), (5, 512, 6, 1, False))  # fmt: skip
LARGE = ((4, 32, 1, 1, True), (7, 64, 4, 2, True), (7, 96, 4, 2, True), (10, 192, 4, 2, False), (19, 224, 6, 1, False),
         (25, 384, 6, 2, False), (7, 640, 6, 1, False))  # fmt: skip
norm = functools.partial(plain_norm, momentum=0.9)
to_multiple = functools.partial(builder.to_multiple, share=0.0)


def block(x, width, expansion, stride, rate, name):
    """Widens by 1x1, convolves each channel, weighs channels, narrows by 1x1."""
    before, narrow = x, channels(x)
    if expansion != 1:
        x = convolution(x, narrow * expansion, 1, f"{name}expand_conv", use_bias=False)
        x = swish(norm(x, f"{name}expand_bn"), f"{name}expand_activation")
    x = layers.DepthwiseConv2D(
        3, stride, "same", use_bias=False, depthwise_initializer=starting(CONV), name=f"{name}dwconv2"
    )(x)
    x = swish(norm(x, f"{name}bn"), f"{name}activation")
    x = weighed(x, max(1, int(narrow * 0.25)), name)
    x = convolution(x, width, 1, f"{name}project_conv", use_bias=False)
    x = norm(x, f"{name}project_bn")
    return shortcut(x, before, rate, name) if stride == 1 and narrow == width else x


def fused(x, width, expansion, stride, rate, name):
    """Widens by 3x3 and narrows by 1x1, or convolves once by 3x3 where nothing is widened."""
    before, narrow = x, channels(x)
    if expansion != 1:
        x = convolution(x, narrow * expansion, 3, f"{name}expand_conv", strides=stride, use_bias=False)
        x = swish(norm(x, f"{name}expand_bn"), f"{name}expand_activation")
    kernel, left = (3, stride) if expansion == 1 else (1, 1)
    x = convolution(x, width, kernel, f"{name}project_conv", strides=left, use_bias=False)
    x = norm(x, f"{name}project_bn")
    if expansion == 1:
        x = swish(x, f"{name}project_activation")
    return shortcut(x, before, rate, name) if stride == 1 and narrow == width else x


def scaled(x, is_base):
    """Scales pixels from 0 to 255 as the weights were trained."""
    if not is_base:
        return layers.Rescaling(1 / 128, offset=-1)(x)
    x = layers.Rescaling(1 / 255)(x)
    return layers.Normalization(channel_axis(), list(MEAN), [deviation**2 for deviation in DEVIATION])(x)


def trunk(x, a, stages, width, depth):
    if a.include_preprocessing:
        x = scaled(x, stages is BASE)
    first = to_multiple(stages[0][1] * width) if stages is not BASE else to_multiple(32 * width)
    x = convolution(x, first, 3, "stem_conv", strides=2, use_bias=False)
    x = swish(norm(x, "stem_bn"), "stem_activation")
    depths = [math.ceil(depth * stage[0]) for stage in stages]
    done, total = 0, sum(stage[0] for stage in stages)
    for number, (count, (_, filters, expansion, stride, is_fused)) in enumerate(zip(depths, stages, strict=True), 1):
        for i in range(count):
            make, name = fused if is_fused else block, f"block{number}{letters(i)}_"
            x = make(x, to_multiple(filters * width), expansion, stride if i == 0 else 1, DROP * done / total, name)
            done += 1
    x = convolution(x, to_multiple(1280 * width), 1, "top_conv", use_bias=False)
    return swish(norm(x, "top_bn"), "top_activation")


def _efficientnet(kind, size, hashes, stages=BASE, width=1.0, depth=1.0):
    model_name = f"efficientnetv2-{kind.lower()}"
    return efficientnet(
        f"EfficientNetV2{kind}",
        functools.partial(trunk, stages=stages, width=width, depth=depth),
        size,
        0.2,
        hashes,
        model_name=model_name,
        bias={"class_name": "Constant", "config": {"value": 0.0}},
        host=f"{HOST}efficientnet_v2/",
        extra={"include_preprocessing": (True, "The model scales pixels from 0 to 255; else it takes them scaled.")},
        order="include_top weights input_tensor input_shape pooling classes classifier_activation "
        "include_preprocessing name",
        reference='Tan & Le, "EfficientNetV2: Smaller Models and Faster Training", 2021, arXiv:2104.00298.',
    )


EfficientNetV2B0 = _efficientnet("B0", 224, ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"))
EfficientNetV2B1 = _efficientnet(
    "B1", 240, ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"), depth=1.1
)
EfficientNetV2B2 = _efficientnet(
    "B2", 260, ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"), width=1.1, depth=1.2
)
EfficientNetV2B3 = _efficientnet(
    "B3", 300, ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"), width=1.2, depth=1.4
)
EfficientNetV2S = _efficientnet(
    "S", 384, ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"), SMALL
)
EfficientNetV2M = _efficientnet(
    "M", 480, ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"), MEDIUM
)
EfficientNetV2L = _efficientnet(
    "L", 480, ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"), LARGE
)
preprocess_input = preprocessor(None)


def __dir__():
    return __all__
