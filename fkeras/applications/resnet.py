"""ResNet: blocks of three convolutions whose output is added to their input.

Example:
    >>> ResNet50(weights=None, input_shape=(32, 32, 3), classes=7).output_shape
    (None, 7)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import application, average_top, norm, plain_files, pooled, relu
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

EPSILON = 1.001e-5
WIDTHS = (64, 128, 256, 512)


def stem(x):
    """The convolution that both versions begin with, before what normalizes it."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    return layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)


def stem_pool(x):
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    return layers.MaxPooling2D(3, 2, name="pool1_pool")(x)


def block(x, width, stride, first, name):
    shortcut = x
    if first:
        shortcut = layers.Conv2D(4 * width, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = norm(shortcut, f"{name}_0_bn", epsilon=EPSILON)
    x = layers.Conv2D(width, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = relu(norm(x, f"{name}_1_bn", epsilon=EPSILON), f"{name}_1_relu")
    x = layers.Conv2D(width, 3, padding="same", name=f"{name}_2_conv")(x)
    x = relu(norm(x, f"{name}_2_bn", epsilon=EPSILON), f"{name}_2_relu")
    x = layers.Conv2D(4 * width, 1, name=f"{name}_3_conv")(x)
    x = norm(x, f"{name}_3_bn", epsilon=EPSILON)
    return relu(layers.Add(name=f"{name}_add")([shortcut, x]), f"{name}_out")


def trunk(x, a, depths):
    x = relu(norm(stem(x), "conv1_bn", epsilon=EPSILON), "conv1_relu")
    x = stem_pool(x)
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 2):
        for i in range(1, depth + 1):
            stride = 2 if i == 1 and stage > 2 else 1
            x = block(x, width, stride, i == 1, f"conv{stage}_block{i}")
    return x


def resnet(name, trunk, depths, hashes, reference):
    """Returns the builder of a ResNet of either version."""
    stem = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels{{top}}.h5"
    return application(
        name,
        functools.partial(trunk, depths=depths),
        average_top,
        bottom=functools.partial(pooled, average="avg_pool", largest="max_pool"),
        size=224,
        files=plain_files("resnet/", stem, hashes),
        model_name=name.lower(),
        summary=f"{name}, a network of {sum(depths)} blocks with shortcuts",
        reference=reference,
    )


_resnet = functools.partial(
    resnet,
    trunk=trunk,
    reference='He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385.',
)
ResNet50 = _resnet(
    "ResNet50",
    depths=(3, 4, 6, 3),
    hashes=("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
)
ResNet101 = _resnet(
    "ResNet101",
    depths=(3, 4, 23, 3),
    hashes=("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
)
ResNet152 = _resnet(
    "ResNet152",
    depths=(3, 8, 36, 3),
    hashes=("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
)
preprocess_input = preprocessor("caffe")


def __dir__():
    return __all__
