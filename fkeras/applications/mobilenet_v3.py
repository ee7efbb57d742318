"""MobileNet, version 3: blocks found by search, some of which weigh their channels.

Example:
    >>> MobileNetV3Small((32, 32, 3), weights=None, include_top=False, pooling="avg").output_shape
    (None, 576)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import (
    HOST,
    application,
    channels,
    half_padding,
    pooled,
    to_multiple,
)
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.applications.mobilenet_v2 import norm

__all__ = ["decode_predictions", "preprocess_input"]

SMALL = (  # expansion, width, kernel, stride, weighs channels, hard swish: table 2 of the paper
    (1, 16, 3, 2, True, False), (72 / 16, 24, 3, 2, False, False), (88 / 24, 24, 3, 1, False, False),
    (4, 40, 5, 2, True, True), (6, 40, 5, 1, True, True), (6, 40, 5, 1, True, True), (3, 48, 5, 1, True, True),
    (3, 48, 5, 1, True, True), (6, 96, 5, 2, True, True), (6, 96, 5, 1, True, True), (6, 96, 5, 1, True, True),
)  # fmt: skip
LARGE = (  # table 1
    (1, 16, 3, 1, False, False), (4, 24, 3, 2, False, False), (3, 24, 3, 1, False, False), (3, 40, 5, 2, True, False),
    (3, 40, 5, 1, True, False), (3, 40, 5, 1, True, False), (6, 80, 3, 2, False, True), (2.5, 80, 3, 1, False, True),
    (2.3, 80, 3, 1, False, True), (2.3, 80, 3, 1, False, True), (6, 112, 3, 1, True, True),
    (6, 112, 3, 1, True, True), (6, 160, 5, 2, True, True), (6, 160, 5, 1, True, True), (6, 160, 5, 1, True, True),
)  # fmt: skip
HASHES = {  # with and without top
    "large_224_0.75": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0": ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0": ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}


def relu(x):
    return layers.ReLU()(x)


def hard_swish(x):
    return layers.Activation("hard_swish")(x)


def hard_sigmoid(x):
    """relu6(x + 3) / 6, as the three calls that Keras's files have."""
    return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def weighed(x, name):
    """Weighs channels by a small network on their means ("squeeze and excite")."""
    count = channels(x)
    w = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}squeeze_excite_avg_pool")(x)
    w = layers.Conv2D(to_multiple(count * 0.25), 1, padding="same", name=f"{name}squeeze_excite_conv")(w)
    w = layers.ReLU(name=f"{name}squeeze_excite_relu")(w)
    w = layers.Conv2D(count, 1, padding="same", name=f"{name}squeeze_excite_conv_1")(w)
    return layers.Multiply(name=f"{name}squeeze_excite_mul")([x, hard_sigmoid(w)])


def block(x, expanded, width, kernel, stride, weighs, activation, name):
    before = x
    if name != "expanded_conv_":
        x = layers.Conv2D(expanded, 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = activation(norm(x, f"{name}expand_bn"))
    if stride > 1:
        x = layers.ZeroPadding2D(half_padding(x, kernel), name=f"{name}depthwise_pad")(x)
    x = layers.DepthwiseConv2D(
        kernel, stride, "same" if stride == 1 else "valid", use_bias=False, name=f"{name}depthwise"
    )(x)
    x = activation(norm(x, f"{name}depthwise_bn"))
    if weighs:
        x = weighed(x, name)
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = norm(x, f"{name}project_bn")
    return layers.Add(name=f"{name}add")([before, x]) if stride == 1 and channels(before) == width else x


def trunk(x, a, blocks):
    activation = relu if a.minimalistic else hard_swish
    if a.include_preprocessing:
        x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = activation(norm(x, "conv_bn"))
    for i, (expansion, width, kernel, stride, weighs, hard) in enumerate(blocks):
        x = block(
            x,
            to_multiple(channels(x) * expansion),
            to_multiple(width * a.alpha),
            3 if a.minimalistic else kernel,
            stride,
            weighs and not a.minimalistic,
            activation if hard else relu,
            f"expanded_conv_{i}_" if i else "expanded_conv_",
        )
    x = layers.Conv2D(to_multiple(channels(x) * 6), 1, padding="same", use_bias=False, name="conv_1")(x)
    return activation(norm(x, "conv_1_bn"))


def top(x, a, width):
    width = to_multiple(width * a.alpha) if a.alpha > 1 else width
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(width, 1, padding="same", name="conv_2")(x)
    x = (relu if a.minimalistic else hard_swish)(x)
    if a.dropout_rate > 0:
        x = layers.Dropout(a.dropout_rate)(x)
    x = layers.Conv2D(a.classes, 1, padding="same", name="logits")(x)
    return layers.Activation(a.classifier_activation, name="predictions")(layers.Flatten()(x))


def _mobilenet(name, kind, blocks, width):
    def files(a):
        key = f"{kind}{'_minimalistic' if a.minimalistic else ''}_224_{float(a.alpha)}"
        fname = f"weights_mobilenet_v3_{key}_float{'' if a.include_top else '_no_top_v2'}.h5"
        return fname, f"{HOST}mobilenet_v3/{fname}", HASHES[key][0 if a.include_top else 1]

    def check(a):
        if a.weights == "imagenet" and a.alpha not in ((1.0,) if a.minimalistic else (0.75, 1.0)):
            raise ValueError(
                f"{name}: expected alpha 0.75 or 1.0 (1.0 with minimalistic) with weights='imagenet', got "
                f"alpha={a.alpha}. weights=None takes any."
            )

    return application(
        name,
        functools.partial(trunk, blocks=blocks),
        functools.partial(top, width=width),
        bottom=functools.partial(pooled, average="avg_pool", largest="max_pool"),
        size=224,
        sized="never",
        files=files,
        extra={
            "alpha": (1.0, "Factor of all widths."),
            "minimalistic": (False, "Without weighed channels, hard swish and kernels of 5x5."),
            "dropout_rate": (0.2, "Share that is dropped before the classifier."),
            "include_preprocessing": (True, "The model scales pixels from 0 to 255; else they are from -1 to 1."),
        },
        model_name=name,
        order="input_shape alpha minimalistic include_top weights input_tensor classes pooling dropout_rate "
        "classifier_activation include_preprocessing name",
        check=check,
        summary=f"MobileNet, version 3, the {kind} one",
        reference='Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244.',
    )


MobileNetV3Small = _mobilenet("MobileNetV3Small", "small", SMALL, 1024)
MobileNetV3Large = _mobilenet("MobileNetV3Large", "large", LARGE, 1280)
preprocess_input = preprocessor(None)


def __dir__():
    return __all__
