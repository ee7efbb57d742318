"""The UCI optical digits, shipped with the package: 1,797 handwritten digits of 8x8 pixels (see DIGITS.md)."""

from fkeras.datasets import bundled

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
    data = bundled.arrays("digits")
    return bundled.held_out(data["images"], data["labels"], TEST_ROWS)
