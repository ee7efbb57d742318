"""VGG16, by the name of Keras's module."""

from fkeras.applications.imagenet_utils import decode_predictions, preprocessor
from fkeras.applications.vgg import VGG16

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

preprocess_input = preprocessor("caffe")


def __dir__():
    return __all__
