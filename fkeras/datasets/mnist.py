"""MNIST: 70,000 handwritten digits of 28x28 pixels (LeCun, Cortes & Burges; CC BY-SA 3.0). Downloaded once."""

from fkeras.datasets import remote


def load_data(path="mnist.npz"):
    """Returns ((x_train, y_train), (x_test, y_test)): 60,000 and 10,000 images.

    x: uint8 [N, 28, 28], values 0 to 255. y: uint8 [N], the digit.

    Args:
        path: File in the folder `datasets` of the cache.

    Raises:
        OSError: It is not in the cache and could not be downloaded.
    """
    data = remote.read_npz(remote.fetch("mnist", path))
    return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])
