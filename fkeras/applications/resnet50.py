"""ResNet50, by the name of Keras's module."""

from fkeras.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]


def __dir__():
    return __all__
