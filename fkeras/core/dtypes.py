"""Dtype policies by Keras's names, and the process-wide defaults floatx and epsilon.

A policy says in which dtype a layer keeps its weights and in which it computes; casting happens in one
place, `Layer.apply`.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from fkeras.core.settings import nearest

_FLOATS = ("float16", "bfloat16", "float32", "float64")
STRING = np.dtype(object)  # of symbols that stand for texts, for which JAX has no arrays
_defaults = {"floatx": "float32", "epsilon": 1e-7, "policy": None, "image_data_format": "channels_last"}


@dataclasses.dataclass(frozen=True)
class DTypePolicy:
    """How a layer keeps and computes: "float32", "bfloat16", "mixed_bfloat16", "mixed_float16", ...

    Example:
        >>> DTypePolicy("mixed_bfloat16").compute_dtype, DTypePolicy("mixed_bfloat16").variable_dtype
        ('bfloat16', 'float32')
    """

    name: str

    def __post_init__(self):
        known = (*_FLOATS, "mixed_float16", "mixed_bfloat16")
        if self.name not in known:
            raise ValueError(
                f"Unknown dtype policy {self.name!r}.{nearest(self.name, known)} Known policies: {', '.join(known)}."
            )

    @property
    def compute_dtype(self):
        return self.name.removeprefix("mixed_")

    @property
    def variable_dtype(self):
        return "float32" if self.name.startswith("mixed_") else self.name

    def get_config(self):
        return {"name": self.name}


def symbol_dtype(dtype):
    """Returns the dtype of a symbol: JAX's, or `STRING` for texts.

    Example:
        >>> symbol_dtype("int8"), symbol_dtype("string") == STRING, symbol_dtype(str) == STRING
        (dtype('int8'), True, True)
    """
    text = dtype is str or dtype is bytes or getattr(dtype, "name", dtype) in ("string", "object")
    return STRING if text else jnp.dtype(dtype)


def dtype_name(dtype):
    """Returns how configs name the dtype of a symbol: "float32", "string".

    Example:
        >>> dtype_name(STRING), dtype_name(jnp.dtype("int32"))
        ('string', 'int32')
    """
    return "string" if dtype == STRING else str(dtype)


def policy(value=None):
    """Returns the policy that `value` names: a policy, a dtype, a name, a Keras config dict, or None (the default)."""
    if value is None:
        return _defaults["policy"] or DTypePolicy(_defaults["floatx"])
    if isinstance(value, DTypePolicy):
        return value
    if isinstance(value, dict):
        value = value.get("config", {}).get("name", value)
    if hasattr(value, "compute_dtype") and hasattr(value, "name"):  # a policy object of real Keras
        value = value.name
    return DTypePolicy(value if isinstance(value, str) else jnp.dtype(value).name)


def floatx():
    """Returns the default float dtype: "float32" unless `set_floatx` was called."""
    return _defaults["floatx"]


def set_floatx(value):
    """Sets the default float dtype: "float16", "bfloat16", "float32" or "float64"."""
    if value not in _FLOATS:
        raise ValueError(f"set_floatx: expected one of {', '.join(_FLOATS)}, got {value!r}.")
    _defaults["floatx"] = value


def epsilon():
    """Returns the small number added to denominators by default: 1e-7 unless `set_epsilon` was called."""
    return _defaults["epsilon"]


def set_epsilon(value):
    """Sets the default fuzz factor."""
    _defaults["epsilon"] = float(value)


def dtype_policy():
    """Returns the policy new layers take when they are given none."""
    return policy()


def set_dtype_policy(value):
    """Sets the policy new layers take when they are given none; None goes back to `floatx`."""
    _defaults["policy"] = None if value is None else policy(value)


def image_data_format():
    """Returns "channels_last" unless `set_image_data_format` was called."""
    return _defaults["image_data_format"]


def set_image_data_format(value):
    """Sets where images have their channels by default: "channels_last" or "channels_first"."""
    if value not in ("channels_last", "channels_first"):
        raise ValueError(f"set_image_data_format: expected 'channels_last' or 'channels_first', got {value!r}.")
    _defaults["image_data_format"] = value


def data_format(value):
    """Converter for a `data_format` setting: None is the process-wide default."""
    if value is None:
        return image_data_format()
    if value not in ("channels_last", "channels_first"):
        raise ValueError(f"expected 'channels_last' or 'channels_first', got {value!r}.")
    return value


def at_least_float32(dtype):
    """Returns float32, or `dtype` where that is wider: float64 and complex numbers. Also under strict promotion.

    Example:
        >>> [at_least_float32(d).name for d in ("bfloat16", "int64", "float64")]
        ['float32', 'float32', 'float64']
    """
    dtype = jnp.dtype(dtype)
    wide = dtype == jnp.float64 or jnp.issubdtype(dtype, jnp.complexfloating)
    return dtype if wide else jnp.dtype(jnp.float32)


def cast_floats(tree, dtype):
    """Casts the float leaves of `tree` to `dtype`; ints, bools and keys stay as they are."""
    import jax

    def cast(a):
        return a.astype(dtype) if hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.floating) else a

    return jax.tree.map(cast, tree)
