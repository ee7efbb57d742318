"""ResNet, second version: each block normalizes before it convolves, so that shortcuts stay as they are.

Example:
    >>> ResNet50V2(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="max").output_shape
    (None, 2048)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import norm, relu
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.applications.resnet import EPSILON, WIDTHS, resnet, stem, stem_pool

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def block(x, width, stride, first, name):
    before = relu(norm(x, f"{name}_preact_bn", epsilon=EPSILON), f"{name}_preact_relu")
    if first:
        shortcut = layers.Conv2D(4 * width, 1, name=f"{name}_0_conv")(before)
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_1_conv")(before)
    x = relu(norm(x, f"{name}_1_bn", epsilon=EPSILON), f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(width, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = relu(norm(x, f"{name}_2_bn", epsilon=EPSILON), f"{name}_2_relu")
    x = layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])


def trunk(x, a, depths):
    x = stem_pool(stem(x))
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 2):
        for i in range(1, depth + 1):
            stride = (
                2 if i == depth and stage < 5 else 1
            )  # the last block of a stage halves, the first does in version 1
            x = block(x, width, stride, i == 1, f"conv{stage}_block{i}")
    return relu(norm(x, "post_bn", epsilon=EPSILON), "post_relu")


_resnet = functools.partial(
    resnet,
    trunk=trunk,
    reference='He, Zhang, Ren & Sun, "Identity Mappings in Deep Residual Networks", 2016, arXiv:1603.05027.',
)
ResNet50V2 = _resnet(
    "ResNet50V2",
    depths=(3, 4, 6, 3),
    hashes=("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
)
ResNet101V2 = _resnet(
    "ResNet101V2",
    depths=(3, 4, 23, 3),
    hashes=("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
)
ResNet152V2 = _resnet(
    "ResNet152V2",
    depths=(3, 8, 36, 3),
    hashes=("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__
