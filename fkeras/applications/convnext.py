"""ConvNeXt: a ResNet with what transformers have: wide kernels, few normalizations and activations, scaled layers.

Example:
    >>> ConvNeXtTiny(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg").output_shape
    (None, 768)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import HOST, application, channel_axis, channels, plain_files, pooled
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.layers.scaling import LayerScale
from fkeras.models import Sequential

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, from 0 to 1


def norm(name=None):
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def block(x, width, name):
    y = layers.Conv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv")(x)
    y = norm(f"{name}_layernorm")(y)
    y = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(width, name=f"{name}_pointwise_conv_2")(y)
    y = LayerScale(1e-6, width, name=f"{name}_layer_scale")(y)
    y = layers.Activation("linear", name=f"{name}_identity")(y)  # where paths are dropped, which no builder asks for
    return x + y


def trunk(x, a, widths, depths):
    name = a.name
    if a.include_preprocessing and channels(x) == 3:
        mean, variance = [m * 255 for m in MEAN], [(d * 255) ** 2 for d in DEVIATION]
        x = layers.Normalization(-1, mean, variance, name=f"{name}_prestem_normalization")(x)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage == 0:
            conv = layers.Conv2D(width, 4, strides=4, name=f"{name}_stem_conv")
            x = Sequential([conv, norm(f"{name}_stem_layernorm")], name=f"{name}_stem")(x)
        else:
            before = f"{name}_downsampling_{{}}_{stage - 1}"
            conv = layers.Conv2D(width, 2, strides=2, name=before.format("conv"))
            x = Sequential([norm(before.format("layernorm")), conv], name=before.format("block"))(x)
        for i in range(depth):
            x = block(x, width, f"{name}_stage_{stage}_block_{i}")
    return x


def top(x, a):
    x = layers.GlobalAveragePooling2D(name=f"{a.name}_head_gap")(x)
    x = norm(f"{a.name}_head_layernorm")(x)
    return layers.Dense(a.classes, a.classifier_activation, name=f"{a.name}_head_dense")(x)


def bottom(x, a):
    return norm()(pooled(x, a))


def _check(a):
    if channel_axis() != 3:
        raise ValueError("ConvNeXt: expected images with channels last, got image_data_format 'channels_first'.")


def _convnext(kind, width, depth, hashes):
    model_name = f"convnext_{kind.lower()}"
    widths = tuple(width * 2**i for i in range(4))
    return application(
        f"ConvNeXt{kind}",
        functools.partial(trunk, widths=widths, depths=(3, 3, depth, 3)),
        top,
        bottom=bottom,
        size=224,
        files=plain_files("", f"{model_name}{{top}}.h5", hashes, f"{HOST}convnext/"),
        extra={"include_preprocessing": (True, "The model scales pixels from 0 to 255; else it takes them scaled.")},
        model_name=model_name,
        order="include_top include_preprocessing weights input_tensor input_shape pooling classes "
        "classifier_activation name",
        check=_check,
        summary=f"ConvNeXt of {sum((3, 3, depth, 3))} blocks, {widths[0]} to {widths[-1]} channels",
        reference='Liu et al., "A ConvNet for the 2020s", 2022, arXiv:2201.03545.',
    )


ConvNeXtTiny = _convnext(
    "Tiny",
    96,
    9,
    (
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
)
ConvNeXtSmall = _convnext(
    "Small",
    96,
    27,
    (
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
)
ConvNeXtBase = _convnext(
    "Base",
    128,
    27,
    (
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
)
ConvNeXtLarge = _convnext(
    "Large",
    192,
    27,
    (
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
)
ConvNeXtXLarge = _convnext(
    "XLarge",
    256,
    27,
    (
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
)
preprocess_input = preprocessor(None)


def __dir__():
    return __all__
