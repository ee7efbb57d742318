"""TensorFlow's messages of tensors, which SavedModels, checkpoints and event files hold."""

import jax.numpy as jnp
import numpy as np

from fkeras.core.wire import Message

_NUMBERED = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "string": 7, "complex64": 8, "int64": 9,
    "bool": 10, "bfloat16": 14, "uint16": 17, "complex128": 18, "float16": 19, "resource": 20, "variant": 21,
    "uint32": 22, "uint64": 23,
}  # fmt: skip
_NAMED = {number: name for name, number in _NUMBERED.items()}


def number_of(dtype):
    """Returns TensorFlow's number of a dtype: a NumPy dtype, or "string", "resource", "variant".

    Raises:
        ValueError: TensorFlow has none.
    """
    name = dtype if dtype in ("string", "resource", "variant") else jnp.dtype(dtype).name
    if name not in _NUMBERED:
        raise ValueError(f"TensorFlow has no numbers of the kind {name}.")
    return _NUMBERED[name]


def dtype_of(number, where):
    """Returns the NumPy dtype (or "string") of TensorFlow's number. Raises ValueError naming `where`."""
    name = _NAMED.get(number)
    if name is None or name in ("resource", "variant"):
        raise ValueError(f"Cannot read {where}: its numbers are of TensorFlow's kind {number}, which is not read here.")
    return name if name == "string" else np.dtype(jnp.bfloat16 if name == "bfloat16" else name)


SHAPE = Message("TensorShapeProto", dim=(2, [Message("Dim", size=(1, int), name=(2, str))]), unknown_rank=(3, bool))
TENSOR = Message(
    "TensorProto", dtype=(1, int), tensor_shape=(2, SHAPE), tensor_content=(4, bytes), string_val=(8, [bytes])
)


def shape_message(shape):
    """Returns the message of a shape; sizes that are not ints are unknown."""
    return {"dim": [{"size": int(d) if isinstance(d, (int, np.integer)) else -1} for d in shape]}
