"""MobileNet: each convolution is one of 3x3 a channel, and one of 1x1 across channels.

Example:
    >>> MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=5).output_shape
    (None, 5)
"""

from fkeras import layers
from fkeras.applications.builder import (
    HOST,
    application,
    channel_axis,
    norm,
)
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.core import names

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

SIZES = (128, 160, 192, 224)  # of images, for which there are weights
ALPHAS = (0.25, 0.5, 0.75, 1.0)
BLOCKS = (  # width, stride
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip


def relu6(x, name):
    return layers.ReLU(6.0, name=name)(x)


def trunk(x, a):
    x = layers.Conv2D(int(32 * a.alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
    x = relu6(norm(x, "conv1_bn"), "conv1_relu")
    for i, (width, stride) in enumerate(BLOCKS, 1):
        if stride > 1:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
        x = layers.DepthwiseConv2D(
            3, stride, "same" if stride == 1 else "valid", a.depth_multiplier, use_bias=False, name=f"conv_dw_{i}"
        )(x)
        x = relu6(norm(x, f"conv_dw_{i}_bn"), f"conv_dw_{i}_relu")
        x = layers.Conv2D(int(width * a.alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
        x = relu6(norm(x, f"conv_pw_{i}_bn"), f"conv_pw_{i}_relu")
    return x


def top(x, a):
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Dropout(a.dropout, name="dropout")(x)
    x = layers.Conv2D(a.classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((a.classes,), name="reshape_2")(x)
    return layers.Activation(a.classifier_activation, name="predictions")(x)


def size_of(a, sizes=SIZES):
    """Returns the side of the images: that of a square `input_shape` for which there are weights, else 224."""
    shape = a.input_shape if a.input_shape is not None else getattr(a.input_tensor, "shape", (None, None))[1:]
    space = tuple(shape or ())[1:] if channel_axis() == 1 else tuple(shape or ())[:2]
    return space[0] if len(space) == 2 and space[0] == space[1] and space[0] in sizes else 224


def checker(name, alphas):
    """Returns the check of what weights for ImageNet there are."""

    def check(a):
        if a.weights == "imagenet" and (a.alpha not in alphas or getattr(a, "depth_multiplier", 1) != 1):
            known = ", ".join(map(str, alphas))
            raise ValueError(
                f"{name}: expected alpha to be one of {known}, and depth_multiplier=1, with weights='imagenet', got "
                f"alpha={a.alpha}. weights=None takes any."
            )

    return check


def files(a):
    alpha = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0"}.get(a.alpha, "2_5")
    fname = f"mobilenet_{alpha}_{size_of(a)}_tf{'' if a.include_top else '_no_top'}.h5"
    return fname, f"{HOST}mobilenet/{fname}", None


MobileNet = application(
    "MobileNet",
    trunk,
    top,
    size=size_of,
    files=files,
    extra={
        "alpha": (1.0, "Factor of all widths."),
        "depth_multiplier": (1, "Filters a channel."),
        "dropout": (0.001, "Share that is dropped before the classifier."),
    },
    order="input_shape alpha depth_multiplier dropout include_top weights input_tensor pooling classes "
    "classifier_activation name",
    model_name=lambda a: f"mobilenet_{a.alpha:.2f}_{a.input_shape[1]}",
    check=checker("MobileNet", ALPHAS),
    summary="MobileNet, a small network for small devices",
    reference='Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", '
    "2017, arXiv:1704.04861.",
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__


def __getattr__(name):
    return names.find(__name__, name)
