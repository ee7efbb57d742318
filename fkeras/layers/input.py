"""Where a graph begins."""

from fkeras.core.dtypes import dtype_name, symbol_dtype
from fkeras.core.symbol import Node
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.contract.shapes import Spec, as_shape


@layers.register
class InputLayer(Layer):
    """Where a graph begins: one input of a known shape.

    Args:
        shape: Without the batch axis; None where a size is not known.
        batch_size: Size of the batch axis, or None.
        dtype: Of the values, "float32" by default.
        batch_shape: Shape with the batch axis, instead of `shape` and `batch_size`.
        optional: Whether None may be given for it: the layers called on it get None.
    """

    takes_ints = True
    supports_masking = True

    def __init__(self, shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, optional=False, **kwargs):
        if batch_shape is None:
            if shape is None:
                raise ValueError("Input: give `shape` (without the batch axis) or `batch_shape` (with it).")
            if isinstance(shape, int):
                raise ValueError(f"Input: expected shape as a tuple, got {shape}. Did you mean shape=({shape},)?")
            batch_shape = (batch_size, *shape)
        for unused in ("sparse", "ragged"):
            if kwargs.pop(unused, False):
                raise ValueError(f"Input: {unused} inputs do not exist in JAX; pass a dense array.")
        kwargs.pop("dtype_policy", None)
        super().__init__(name=name, batch_shape=as_shape(batch_shape), **kwargs)
        object.__setattr__(self, "shape", self.batch_shape[1:])
        object.__setattr__(self, "batch_size", self.batch_shape[0])
        object.__setattr__(self, "input_dtype", dtype_name(symbol_dtype(dtype or "float32")))
        object.__setattr__(self, "optional", bool(optional))
        node = Node(self, [], 0)
        object.__setattr__(self, "_nodes", (node,))
        node.connect(Spec(self.batch_shape, self.input_dtype))
        self._ensure(self.batch_shape)

    @property
    def input(self):
        """The symbol itself, as in Keras: a function of a model may begin here."""
        return self.output

    def forward(self, params, state, x, ctx):
        return x, state

    def __getstate__(self):
        return self.__dict__.copy()  # its only call is part of it

    def get_config(self):
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self.input_dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
        } | ({"optional": True} if self.optional else {})


def Input(shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, **kwargs):
    """Makes a symbol to begin a graph with: `x = Input((28, 28, 1))`, `y = Dense(10)(x)`, `Model(x, y)`.

    Args:
        shape: Without the batch axis; None where a size is not known.
        batch_size: Size of the batch axis, or None.
        dtype: Of the values, "float32" by default; "string" for text.
        batch_shape: Shape with the batch axis, instead of `shape` and `batch_size`.
        name: Name of the input; by default "input_layer", counted.
        kwargs: `optional=True`: None may be given for it, and the layers called on it get None.
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name or _input_name(), **kwargs).output


def _input_name():
    return InputLayer.default_name()
