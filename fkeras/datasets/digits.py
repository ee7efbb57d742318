"""The UCI optical digits, shipped with the package: 1,797 handwritten digits of 8x8 pixels (see DIGITS.md)."""

import importlib.resources

import numpy as np

TEST_ROWS = 360


def load_data():
    """Returns ((x_train, y_train), (x_test, y_test)): 1,437 and 360 images, the latter held out.

    x: uint8 [N, 8, 8], values 0 to 16. y: uint8 [N], the digit. The rows are shuffled once, always the same way, so
    that both parts hold all writers.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape, int(x_train.max())
        ((1437, 8, 8), (360, 8, 8), 16)
    """
    with importlib.resources.files(__package__).joinpath("digits.npz").open("rb") as file:
        archive = np.load(file)
        images, labels = archive["images"], archive["labels"]
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:-TEST_ROWS], order[-TEST_ROWS:]
    return (images[train], labels[train]), (images[test], labels[test])
