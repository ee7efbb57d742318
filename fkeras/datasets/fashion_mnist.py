"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 pixels in 10 classes (Zalando SE, MIT licence). Downloaded once."""

import gzip

import numpy as np

from fkeras.datasets import remote

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load_data():
    """Returns ((x_train, y_train), (x_test, y_test)): 60,000 and 10,000 images.

    x: uint8 [N, 28, 28], values 0 to 255. y: uint8 [N], the class (its name is CLASSES[y]).

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    return _part("train"), _part("t10k")


def _part(name):
    images, labels = (
        _read_idx(remote.fetch(file, f"fashion-mnist/{file}"))
        for file in (f"{name}-images-idx3-ubyte.gz", f"{name}-labels-idx1-ubyte.gz")
    )
    return images, labels


def _read_idx(path):
    """Returns the bytes of an IDX file as an array: two zeros, type, number of axes, sizes (big-endian), values."""
    try:
        with gzip.open(path) as file:
            data = file.read()
    except (EOFError, gzip.BadGzipFile) as err:
        raise ValueError(
            f"Cannot read {path!r}: it is damaged ({err}). Delete it, and it is downloaded again."
        ) from err
    axes = data[3]
    shape = np.frombuffer(data, ">i4", axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
