"""CIFAR-100: 60,000 color images of 32x32 pixels in 100 classes (Krizhevsky, 2009). Downloaded once."""

import os

from fkeras.datasets import cifar


def load_data(label_mode="fine"):
    """Returns ((x_train, y_train), (x_test, y_test)): 50,000 and 10,000 images.

    x: uint8 [N, 32, 32, 3], values 0 to 255. y: int64 [N, 1], the class.

    Args:
        label_mode: "fine": 100 classes; "coarse": the 20 groups that these are in.

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f"cifar100.load_data: expected label_mode 'fine' or 'coarse', got {label_mode!r}.")
    folder = cifar.folder("cifar100", "cifar-100-python")
    parts = (
        cifar.load_batch(os.path.join(folder, name), f"{label_mode}_labels", "int64") for name in ("train", "test")
    )
    train, test = ((cifar.arranged(x), y) for x, y in parts)
    return train, test
