"""Data sets: some come with the package, the others by Keras's names are downloaded once."""

from fkeras.datasets import (
    boston_housing,
    breast_cancer,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    federalist,
    imdb,
    mnist,
    reuters,
)

__all__ = [
    "boston_housing",
    "breast_cancer",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "federalist",
    "imdb",
    "mnist",
    "reuters",
]


def __dir__():
    return sorted(__all__)
