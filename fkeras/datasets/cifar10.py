"""CIFAR-10: 60,000 color images of 32x32 pixels in 10 classes (Krizhevsky, 2009). Downloaded once."""

import os

import numpy as np

from fkeras.datasets import cifar

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_data():
    """Returns ((x_train, y_train), (x_test, y_test)): 50,000 and 10,000 images.

    x: uint8 [N, 32, 32, 3], values 0 to 255. y: uint8 [N, 1], the class (its name is CLASSES[y]).

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    folder = cifar.folder("cifar10", "cifar-10-batches-py")
    parts = [cifar.load_batch(os.path.join(folder, f"data_batch_{i}")) for i in range(1, 6)]
    x_train, y_train = (np.concatenate(part) for part in zip(*parts, strict=True))
    x_test, y_test = cifar.load_batch(os.path.join(folder, "test_batch"))
    return (cifar.arranged(x_train), y_train), (cifar.arranged(x_test), y_test)
