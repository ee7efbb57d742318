"""VGG19, by the name of Keras's module."""

from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.applications.vgg import VGG19

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessor("caffe")


def __dir__():
    return __all__
