"""Rows of convolutions, pooling and resizing: one for each option that changes numbers."""

from tests.catalog.layer_row import row

FIRST = {"data_format": "channels_first"}


def conv(kind, shape, /, **kwargs):
    """A row of a layer with weights whose bias is drawn, so that it is seen."""
    return row(kind, shape, kwargs={**kwargs, "bias_initializer": "ones"}, id=f"{kind}({_shown(kwargs)})")


def _shown(kwargs):
    return ",".join(f"{k}={v}" for k, v in kwargs.items())


ROWS = [
    conv("Conv1D", (2, 6, 3), filters=4, kernel_size=3),
    conv("Conv1D", (2, 6, 4), filters=4, kernel_size=3, padding="causal", dilation_rate=2, groups=2),
    conv("Conv1D", (2, 3, 6), filters=4, kernel_size=2, padding="causal", strides=2, **FIRST),
    conv("Conv2D", (2, 5, 6, 3), filters=4, kernel_size=3, activation="relu"),
    conv("Conv2D", (2, 5, 6, 3), filters=4, kernel_size=(3, 2), strides=(2, 1), padding="same"),
    conv("Conv2D", (2, 6, 6, 2), filters=3, kernel_size=2, dilation_rate=(2, 3), padding="same"),
    conv("Conv2D", (2, 5, 5, 1), filters=4, kernel_size=3, strides=2),
    conv("Conv2D", (2, 4, 4, 3), filters=2, kernel_size=1, strides=2, activation="tanh"),
    conv("Conv2D", (2, 5, 5, 4), filters=6, kernel_size=3, groups=2),
    row(
        "Conv2D",
        (2, 3, 5, 4),
        kwargs={"filters": 4, "kernel_size": 2, "use_bias": False, "activation": "softmax"} | FIRST,
    ),
    conv("Conv3D", (2, 4, 4, 3, 2), filters=3, kernel_size=2, strides=(1, 2, 1), padding="same"),
    conv("DepthwiseConv1D", (2, 6, 3), kernel_size=3, strides=2, padding="same", depth_multiplier=2),
    conv("DepthwiseConv2D", (2, 5, 5, 3), kernel_size=3, padding="same", activation="relu"),
    conv("DepthwiseConv2D", (2, 5, 5, 3), kernel_size=2, depth_multiplier=2, dilation_rate=2),
    conv("DepthwiseConv2D", (2, 3, 5, 4), kernel_size=2, strides=2, **FIRST),
    conv("SeparableConv1D", (2, 6, 3), filters=4, kernel_size=3, padding="same", dilation_rate=2),
    conv("SeparableConv2D", (2, 5, 5, 3), filters=4, kernel_size=3, strides=2, padding="same", depth_multiplier=2),
    conv("SeparableConv2D", (2, 3, 5, 4), filters=4, kernel_size=2, dilation_rate=2, **FIRST),
    conv("Conv1DTranspose", (2, 4, 3), filters=2, kernel_size=3, strides=2, padding="same"),
    conv("Conv1DTranspose", (2, 4, 3), filters=2, kernel_size=2, strides=4),
    conv("Conv2DTranspose", (2, 3, 4, 3), filters=2, kernel_size=(3, 2), strides=(2, 3), padding="same"),
    conv("Conv2DTranspose", (2, 3, 4, 3), filters=2, kernel_size=3, strides=2, output_padding=1),
    conv("Conv2DTranspose", (2, 3, 4, 3), filters=2, kernel_size=4, strides=2, padding="same", output_padding=(0, 1)),
    conv("Conv2DTranspose", (2, 4, 4, 3), filters=2, kernel_size=3, dilation_rate=2, padding="same", activation="relu"),
    conv("Conv2DTranspose", (2, 3, 3, 4), filters=2, kernel_size=3, strides=2, **FIRST),
    conv("Conv3DTranspose", (2, 2, 3, 2, 2), filters=3, kernel_size=2, strides=2, output_padding=1, padding="same"),
    row("MaxPooling1D", (2, 7, 3)),
    row("MaxPooling1D", (2, 7, 3), kwargs={"pool_size": 3, "strides": 2, "padding": "same"}),
    row("MaxPooling2D", (2, 5, 6, 3)),
    row("MaxPooling2D", (2, 5, 6, 3), kwargs={"pool_size": (2, 3), "padding": "same"}),
    row("MaxPooling2D", (2, 3, 5, 6), kwargs={"pool_size": 3, "strides": (1, 2)} | FIRST),
    row("MaxPooling3D", (2, 4, 4, 5, 2), kwargs={"strides": 3}),
    row("AveragePooling1D", (2, 7, 3), kwargs={"pool_size": 3, "padding": "same"}),
    row("AveragePooling2D", (2, 5, 6, 3), kwargs={"pool_size": 2}),
    row("AveragePooling2D", (2, 5, 6, 3), kwargs={"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}),
    row("AveragePooling2D", (2, 3, 5, 6), kwargs={"pool_size": 3} | FIRST),
    row("AveragePooling3D", (2, 4, 4, 5, 2), kwargs={"pool_size": 2, "strides": 1, "padding": "same"}),
    row("AdaptiveAveragePooling1D", (2, 7, 3), kwargs={"output_size": 3}),
    row("AdaptiveAveragePooling2D", (2, 3, 5, 6), kwargs={"output_size": (2, 4)} | FIRST),
    row("AdaptiveAveragePooling3D", (2, 4, 3, 5, 2), kwargs={"output_size": 2}),
    row("AdaptiveMaxPooling1D", (2, 7, 3), kwargs={"output_size": 3}),
    row("AdaptiveMaxPooling2D", (2, 5, 6, 3), kwargs={"output_size": (2, 4)}),
    row("AdaptiveMaxPooling3D", (2, 2, 4, 3, 5), kwargs={"output_size": 2} | FIRST),
    row("GlobalMaxPooling1D", (2, 5, 3)),
    row("GlobalMaxPooling2D", (2, 3, 4, 5), kwargs={"keepdims": True} | FIRST),
    row("GlobalMaxPooling3D", (2, 3, 2, 2, 3)),
    row("GlobalAveragePooling1D", (2, 5, 3)),
    row("GlobalAveragePooling1D", (2, 3, 5), kwargs={"keepdims": True} | FIRST),
    row("GlobalAveragePooling2D", (2, 3, 4, 5), kwargs={"keepdims": True}),
    row("GlobalAveragePooling3D", (2, 3, 2, 2, 3), kwargs=FIRST),
    row("ZeroPadding1D", (2, 4, 3), kwargs={"padding": (1, 2)}),
    row("ZeroPadding2D", (2, 4, 3, 3), kwargs={"padding": (1, 2)}),
    row("ZeroPadding2D", (2, 3, 4, 3), kwargs={"padding": ((1, 0), (2, 3))} | FIRST),
    row("ZeroPadding3D", (2, 2, 2, 3, 3), kwargs={"padding": (0, 1, 2)}),
    row("Cropping1D", (2, 5, 3), kwargs={"cropping": (1, 2)}),
    row("Cropping2D", (2, 4, 5, 3), kwargs={"cropping": ((1, 0), (2, 1))}),
    row("Cropping2D", (2, 3, 4, 5), kwargs={"cropping": 1} | FIRST),
    row("Cropping3D", (2, 3, 4, 5, 2)),
    row("UpSampling1D", (2, 4, 3), kwargs={"size": 3}),
    row("UpSampling2D", (2, 3, 4, 3), kwargs={"size": (2, 3)}),
    row("UpSampling2D", (2, 3, 4, 3), kwargs={"interpolation": "bilinear"}),
    row("UpSampling2D", (2, 3, 4, 3), kwargs={"size": 3, "interpolation": "bicubic"} | FIRST),
    row("UpSampling2D", (2, 3, 4, 3), kwargs={"interpolation": "lanczos3"}),
    row("UpSampling2D", (2, 3, 4, 3), kwargs={"interpolation": "lanczos5"}),
    row("UpSampling3D", (2, 2, 3, 2, 3), kwargs={"size": (1, 2, 3)}),
]
