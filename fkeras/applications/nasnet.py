"""NASNet: two kinds of cells found by search, of which each reads the last two.

Example:
    >>> NASNetMobile((64, 64, 3), include_top=False, weights=None, pooling="avg").output_shape
    (None, 1056)
"""

import functools

from fkeras import layers
from fkeras.applications.builder import (
    HOST,
    application,
    average_top,
    channel_axis,
    channels,
    half_padding,
    relu,
)
from fkeras.applications.builder import norm as plain_norm
from fkeras.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

norm = functools.partial(plain_norm, momentum=0.9997, epsilon=1e-3)


def convolution(x, width, name):
    return layers.Conv2D(width, 1, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)


def separable(x, width, kernel, name, stride=1):
    """ReLU, separable convolution and normalization, twice; the first convolution has the stride."""
    x = relu(x)
    if stride > 1:
        x = layers.ZeroPadding2D(half_padding(x, kernel), name=f"separable_conv_1_pad_{name}")(x)
    for i, step, padding in ((1, stride, "same" if stride == 1 else "valid"), (2, 1, "same")):
        if i == 2:
            x = relu(x)
        x = layers.SeparableConv2D(width, kernel, step, padding, use_bias=False, name=f"separable_conv_{i}_{name}")(x)
        x = norm(x, f"separable_conv_{i}_bn_{name}")
    return x


def average(x, name):
    return layers.AveragePooling2D(3, strides=1, padding="same", name=name)(x)


def halved(p, width, name):
    """Halves the sides of the cell before the last: every other pixel, and every other one beside them."""
    p = relu(p, f"adjust_relu_1_{name}")
    one = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_1_{name}")(p)
    one = convolution(one, width // 2, f"adjust_conv_1_{name}")
    other = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(p))
    other = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_2_{name}")(other)
    other = convolution(other, width // 2, f"adjust_conv_2_{name}")
    p = layers.Concatenate(axis=channel_axis())([one, other])
    return norm(p, f"adjust_bn_{name}")


def adjusted(p, x, width, name, is_larger):
    """Gives the cell before the last the sides and channels of this one."""
    if p is None:
        return x
    if is_larger:
        return halved(p, width, name)
    if channels(p) == width:
        return p
    return norm(convolution(relu(p), width, f"adjust_conv_projection_{name}"), f"adjust_bn_{name}")


def normal_cell(x, p, width, name, is_larger=False):
    p = adjusted(p, x, width, name, is_larger)
    h = norm(convolution(relu(x), width, f"normal_conv_1_{name}"), f"normal_bn_1_{name}")

    def add(i, a, b):
        return layers.Add(name=f"normal_add_{i}_{name}")([a, b])

    parts = [
        p,
        add(1, separable(h, width, 5, f"normal_left1_{name}"), separable(p, width, 3, f"normal_right1_{name}")),
        add(2, separable(p, width, 5, f"normal_left2_{name}"), separable(p, width, 3, f"normal_right2_{name}")),
        add(3, average(h, f"normal_left3_{name}"), p),
        add(4, average(p, f"normal_left4_{name}"), average(p, f"normal_right4_{name}")),
        add(5, separable(h, width, 3, f"normal_left5_{name}"), h),
    ]
    return layers.Concatenate(axis=channel_axis(), name=f"normal_concat_{name}")(parts)


def reduction_cell(x, p, width, name, is_larger=False):
    """The cell that halves the sides."""
    p = adjusted(p, x, width, name, is_larger)
    h = norm(convolution(relu(x), width, f"reduction_conv_1_{name}"), f"reduction_bn_1_{name}")
    padded = layers.ZeroPadding2D(half_padding(h, 3), name=f"reduction_pad_1_{name}")(h)
    left = separable(h, width, 5, f"reduction_left1_{name}", 2)
    one = layers.Add(name=f"reduction_add_1_{name}")([left, separable(p, width, 7, f"reduction_right1_{name}", 2)])
    left = layers.MaxPooling2D(3, strides=2, name=f"reduction_left2_{name}")(padded)
    two = layers.Add(name=f"reduction_add_2_{name}")([left, separable(p, width, 7, f"reduction_right2_{name}", 2)])
    left = layers.AveragePooling2D(3, strides=2, name=f"reduction_left3_{name}")(padded)
    three = layers.Add(name=f"reduction_add3_{name}")([left, separable(p, width, 5, f"reduction_right3_{name}", 2)])
    four = layers.Add()([two, average(one, f"reduction_left4_{name}")])
    left = separable(one, width, 3, f"reduction_left4_{name}")
    right = layers.MaxPooling2D(3, strides=2, name=f"reduction_right5_{name}")(padded)
    five = layers.Add(name=f"reduction_add4_{name}")([left, right])
    return layers.Concatenate(axis=channel_axis(), name=f"reduction_concat_{name}")([two, three, four, five])


def trunk(x, a, depth, width, stem_width, skips):
    """`skips`: the first cell after a reduction reads the cell before what was reduced, instead of that."""
    x = layers.Conv2D(stem_width, 3, strides=2, use_bias=False, kernel_initializer="he_normal", name="stem_conv1")(x)
    x = norm(x, "stem_bn1")
    x, p = reduction_cell(x, None, width // 4, "stem_1"), x
    x, p = reduction_cell(x, p, width // 2, "stem_2", is_larger=True), x
    for stage in range(3):
        filters, first = width * 2**stage, stage * depth
        if stage:
            x, p = reduction_cell(x, p, filters, f"reduce_{first}"), p if skips else x
            first += 1  # the number of the first reduction stays unused
        for i in range(depth):
            x, p = normal_cell(x, p, filters, f"{first + i}", is_larger=i == 0), x
    return relu(x)


def _nasnet(kind, size, depth, width, stem_width, hashes):
    def files(a):
        top = "" if a.include_top else "_no_top"
        fname = f"nasnet_{kind.lower()}{top}.h5"
        return fname, f"{HOST}nasnet/NASNet-{kind.lower()}{top.replace('_', '-')}.h5", hashes[0 if a.include_top else 1]

    return application(
        f"NASNet{kind}",
        functools.partial(trunk, depth=depth, width=width // 24, stem_width=stem_width, skips=kind == "Large"),
        functools.partial(average_top, pool=None),
        size=size,
        sized="always",
        files=files,
        model_name=f"nasnet_{kind.lower()}",
        order="input_shape include_top weights input_tensor pooling classes classifier_activation name",
        summary=f"NASNet, the {kind.lower()} one",
        reference='Zoph, Vasudevan, Shlens & Le, "Learning Transferable Architectures for Scalable Image Recognition", '
        "2017, arXiv:1707.07012.",
    )


NASNetLarge = _nasnet(
    "Large", 331, 6, 4032, 96, ("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5")
)
NASNetMobile = _nasnet(
    "Mobile", 224, 4, 1056, 32, ("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63")
)
preprocess_input = preprocessor("tf")


def __dir__():
    return __all__
