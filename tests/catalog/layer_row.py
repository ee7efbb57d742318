"""One row of the catalog of layers: how to make it, what to call it on, what its twin in real Keras is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """A layer with one set of options.

    Args:
        id: Name of the row.
        make: Function () -> fkeras layer.
        shape: Input shape, batch axis first.
        kind: Name of the layer class in both libraries.
        kwargs: Its arguments in both libraries.
        ints: Inputs are integers in [0, ints) instead of floats.
        grad: The output has a gradient with respect to the input or the weights that is not zero.
        random: The layer draws random numbers while training.
        half: The layer computes in bfloat16 when its policy says so.
    """

    id: str
    kind: str
    kwargs: dict[str, Any]
    shape: tuple
    ints: int | None = None
    grad: bool = True
    random: bool = False
    half: bool = True
    make: Callable | None = None

    def build(self):
        """Returns the fkeras layer and an input array of its shape, from a fixed seed."""
        from fkeras.layers.contract.base import layers

        layer = self.make() if self.make else layers.lookup(self.kind)(**self.kwargs)
        return layer, self.input()

    def input(self):
        random = np.random.default_rng(7)
        if self.ints is not None:
            return random.integers(0, self.ints, self.shape).astype("int32")
        return random.normal(size=self.shape).astype("float32")

    def twin(self, keras):
        """Returns the layer of real Keras with the same arguments."""
        return getattr(keras.layers, self.kind)(**self.kwargs)

    def __str__(self):
        return self.id


def row(kind, shape, *, id=None, **options):
    """Makes a row; `row("Dense", (2, 3), kwargs={"units": 4})`."""
    kwargs = options.pop("kwargs", {})
    shown = ",".join(f"{k}={v}" for k, v in kwargs.items())
    return LayerRow(id or f"{kind}({shown})", kind, kwargs, shape, **options)
