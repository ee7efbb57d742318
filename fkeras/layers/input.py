"""Where a graph begins."""

from fkeras.core import messages
from fkeras.core.dtypes import dtype_name, symbol_dtype
from fkeras.core.symbol import Node, Symbol
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
        input_tensor: A symbol to begin with, in place of one of its own.

    Raises:
        ValueError: The sizes are given twice, not at all, or are not those of `input_tensor`.
    """

    takes_ints = True
    supports_masking = True

    def __init__(
        self, shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, optional=False, input_tensor=None,
        **kwargs,
    ):  # fmt: skip
        for unused in ("sparse", "ragged"):
            if kwargs.pop(unused, False):
                raise ValueError(f"Input: {unused} inputs do not exist in JAX; pass a dense array.")
        kwargs.pop("dtype_policy", None)
        if "input_shape" in kwargs:
            messages.old_spelling("Input(input_shape=...)", "Input(shape=...)")
            shape = kwargs.pop("input_shape")
        if batch_shape is not None and (shape is not None or batch_size is not None):
            raise ValueError(
                f"Input: batch_shape={batch_shape} holds the batch axis already; leave out "
                f"{'shape' if shape is not None else 'batch_size'}."
            )
        if isinstance(shape, int):
            raise ValueError(f"Input: expected shape as a tuple, got {shape}. Did you mean shape=({shape},)?")
        if batch_shape is None and shape is not None:
            batch_shape = (batch_size, *shape)
        if input_tensor is not None:
            batch_shape, dtype = _of_symbol(input_tensor, batch_shape, batch_size, dtype)
        if batch_shape is None:
            raise ValueError("Input: give `shape` (without the batch axis) or `batch_shape` (with it).")
        super().__init__(name=name, batch_shape=as_shape(batch_shape), **kwargs)
        object.__setattr__(self, "shape", self.batch_shape[1:])
        object.__setattr__(self, "batch_size", self.batch_shape[0])
        object.__setattr__(self, "input_dtype", dtype_name(symbol_dtype(dtype or "float32")))
        object.__setattr__(self, "optional", bool(optional))
        object.__setattr__(self, "_given", input_tensor)
        node = Node(self, [], 0)
        object.__setattr__(self, "_nodes", (node,))
        node.connect(Spec(self.batch_shape, self.input_dtype))
        self._ensure(self.batch_shape)

    @property
    def output(self):
        """The symbol of the input: that which was given, or one of its own."""
        return super().output if self._given is None else self._given

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


def _of_symbol(symbol, batch_shape, batch_size, dtype):
    """Returns (shape, dtype) of a symbol that a graph is to begin with, and compares what else was said of it."""
    if not isinstance(symbol, Symbol):
        raise ValueError(f"Input: expected input_tensor as a symbol, made by Input(...), got {type(symbol).__name__}.")
    shape, kind = tuple(symbol.shape), dtype_name(symbol.dtype)
    for name, given, known in (
        ("shape", None if batch_shape is None else tuple(batch_shape)[1:], shape[1:]),
        ("batch_size", batch_shape[0] if batch_shape else batch_size, shape[0]),
        ("dtype", None if dtype is None else dtype_name(symbol_dtype(dtype)), kind),
    ):
        if given is not None and given != known:
            raise ValueError(f"Input: {name} {given} is not that of input_tensor, {known}. Leave it out.")
    return shape, kind


def Input(shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, tensor=None, **kwargs):
    """Makes a symbol to begin a graph with: `x = Input((28, 28, 1))`, `y = Dense(10)(x)`, `Model(x, y)`.

    Args:
        shape: Without the batch axis; None where a size is not known.
        batch_size: Size of the batch axis, or None.
        dtype: Of the values, "float32" by default; "string" for text.
        tensor: Symbol to begin with, in place of a new one.
        batch_shape: Shape with the batch axis, instead of `shape` and `batch_size`.
        name: Name of the input; by default "input_layer", counted.
        kwargs: `optional=True`: None may be given for it, and the layers called on it get None.
    """
    kwargs |= {} if tensor is None else {"input_tensor": tensor}
    return InputLayer(shape, batch_size, dtype, batch_shape, name or _input_name(), **kwargs).output


def _input_name():
    return InputLayer.default_name()
