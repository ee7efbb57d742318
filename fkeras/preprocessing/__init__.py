"""Keras 2's preprocessing on the host: images, texts and sequences; and the readers of folders by their old place."""

from fkeras.preprocessing import image, sequence, text
from fkeras.utils.folders import image_dataset_from_directory, text_dataset_from_directory
from fkeras.utils.timeseries import timeseries_dataset_from_array

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]


def __dir__():
    return sorted(__all__)
