"""VGG: convolutions of 3x3 one after the other, halved by pooling, and two wide layers at the end.

Example:
    >>> VGG16(weights=None, include_top=False, input_shape=(32, 32, 3)).output_shape
    (None, 1, 1, 512)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import application, plain_files, pooled

WIDTHS = (64, 128, 256, 512, 512)


def trunk(x, a, depths):
    for block, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 1):
        for i in range(1, depth + 1):
            x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"block{block}_conv{i}")(x)
        x = layers.MaxPooling2D(2, 2, name=f"block{block}_pool")(x)
    return x


def top(x, a):
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(4096, "relu", name="fc1")(x)
    x = layers.Dense(4096, "relu", name="fc2")(x)
    return layers.Dense(a.classes, a.classifier_activation, name="predictions")(x)


def _vgg(name, depths, hashes):
    return application(
        name,
        functools.partial(trunk, depths=depths),
        top,
        bottom=pooled,
        size=224,
        flat=True,
        files=plain_files(f"{name.lower()}/", f"{name.lower()}_weights_tf_dim_ordering_tf_kernels{{top}}.h5", hashes),
        model_name=name.lower(),
        summary=f"VGG with {name[3:]} layers of weights",
        reference='Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014, '
        "arXiv:1409.1556.",
    )


VGG16 = _vgg("VGG16", (2, 2, 3, 3, 3), ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"))
VGG19 = _vgg("VGG19", (2, 2, 4, 4, 4), ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"))
