"""Inception with shortcuts: what the branches find is scaled and added to their input.

Example:
    >>> InceptionResNetV2(weights=None, include_top=False, input_shape=(75, 75, 3), pooling="avg").output_shape
    (None, 1536)
"""

from fkeras import layers
from fkeras.applications.builder import application, average_top, channels, norm, plain_files, relu
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.applications.inception_v3 import beside, block_35, chain, stem
from fkeras.layers.scaling import CustomScaleLayer

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

BRANCHES = {  # of a block: chains of (width, kernel)
    "block35": (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    "block17": (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
    "block8": (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
}


def block(x, kind, number, scale, active=True):
    name = f"{kind}_{number}"
    mixed = beside([chain(x, *steps) for steps in BRANCHES[kind]], f"{name}_mixed")
    up = layers.Conv2D(channels(x), 1, padding="same", name=f"{name}_conv")(mixed)
    x = CustomScaleLayer(scale)([x, up])
    return relu(x, f"{name}_ac") if active else x


def halving(x, chains, name):
    """Chains whose last convolution halves, beside a pooling."""
    branches = [chain(x, *steps[:-1], (*steps[-1], 2, "valid")) for steps in chains]
    return beside([*branches, layers.MaxPooling2D(3, strides=2)(x)], name)


def trunk(x, a):
    x = block_35(stem(x), 64, "mixed_5b", first_width=96)
    for i in range(1, 11):
        x = block(x, "block35", i, 0.17)
    x = halving(x, (((384, 3),), ((256, 1), (256, 3), (384, 3))), "mixed_6a")
    for i in range(1, 21):
        x = block(x, "block17", i, 0.1)
    x = halving(x, (((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3))), "mixed_7a")
    for i in range(1, 10):
        x = block(x, "block8", i, 0.2)
    x = block(x, "block8", 10, 1.0, active=False)
    x = layers.Conv2D(1536, 1, padding="same", use_bias=False, name="conv_7b")(x)
    return relu(norm(x, "conv_7b_bn", scale=False), "conv_7b_ac")


InceptionResNetV2 = application(
    "InceptionResNetV2",
    trunk,
    average_top,
    size=299,
    least=75,
    files=plain_files(
        "inception_resnet_v2/",
        "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels{top}.h5",
        ("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"),
    ),
    model_name="inception_resnet_v2",
    summary="Inception with shortcuts, version 2",
    reference='Szegedy, Ioffe, Vanhoucke & Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual '
    'Connections on Learning", 2016, arXiv:1602.07261.',
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__
