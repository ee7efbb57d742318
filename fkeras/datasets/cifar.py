"""How the CIFAR archives are read."""

import os

import numpy as np

from fkeras.core import dtypes
from fkeras.datasets import remote


def folder(name, inner):
    """Returns the path of the unpacked archive of "cifar10" or "cifar100"."""
    return os.path.join(remote.fetch(name, f"{inner}-target", extract=True), inner)


def load_batch(path, label_key="labels", dtype="uint8"):
    """Returns (images uint8 [N, 3, 32, 32], labels [N, 1]) of one file."""
    with open(path, "rb") as file:
        batch = remote.unpickle(file, path)
    labels = np.asarray(batch[label_key.encode()], dtype)
    return batch[b"data"].reshape(-1, 3, 32, 32), labels[:, None]


def arranged(images):
    """Returns the images with their channels where `config.image_data_format()` has them."""
    return images.transpose(0, 2, 3, 1) if dtypes.image_data_format() == "channels_last" else images
