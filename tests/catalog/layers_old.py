"""Rows of layers that Keras 2 had and Keras 3 has not: they run through the laws; tf_keras judges them elsewhere."""

from fkeras import layers
from tests.catalog.layer_row import row

FIRST = {"data_format": "channels_first"}


def local(kind, shape, /, **kwargs):
    kwargs["bias_initializer"] = "ones"
    shown = ",".join(f"{k}={v}" for k, v in kwargs.items())
    make = getattr(layers, kind)
    return row(kind, shape, kwargs=kwargs, make=lambda: make(**kwargs), id=f"{kind}({shown})")


ROWS = [
    local("Highway", (3, 4), activation="tanh", kernel_regularizer="l2"),
    local("Highway", (2, 3, 4), use_bias=False),
    local("MaxoutDense", (3, 4), units=2, nb_feature=3),
    local("LocallyConnected1D", (2, 6, 3), filters=4, kernel_size=3),
    local("LocallyConnected1D", (2, 3, 7), filters=2, kernel_size=3, strides=2, **FIRST),
    local("LocallyConnected1D", (2, 6, 3), filters=2, kernel_size=3, padding="same", implementation=2),
    local("LocallyConnected2D", (2, 4, 5, 3), filters=2, kernel_size=(2, 3), strides=(2, 1), activation="relu"),
    local("LocallyConnected2D", (2, 4, 5, 2), filters=3, kernel_size=3, padding="same", implementation=3),
]
