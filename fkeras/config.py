"""Process-wide defaults by Keras's names: `keras.config.set_floatx("float32")`."""

from fkeras.core.dtypes import (
    dtype_policy,
    epsilon,
    floatx,
    image_data_format,
    set_dtype_policy,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)


def backend():
    """Returns "jax", the only backend there is."""
    return "jax"


__all__ = [
    "backend",
    "dtype_policy",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]
