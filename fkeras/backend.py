"""The few functions of Keras's old backend module that scripts still call."""

from fkeras.core.dtypes import epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from fkeras.core.variable import Variable, name_scope
from fkeras.utils import clear_session


def backend():
    """Returns "jax", the only backend there is."""
    return "jax"


def get_value(x):
    """Returns the NumPy value of a weight, an array or a number."""
    import numpy as np

    return np.asarray(x)


def set_value(variable, value):
    """Sets a weight."""
    variable.assign(value)


def count_params(variable):
    """Returns the number of numbers in a weight."""
    return int(get_value(variable).size)


__all__ = [
    "Variable",
    "backend",
    "clear_session",
    "count_params",
    "epsilon",
    "floatx",
    "get_value",
    "image_data_format",
    "name_scope",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_value",
]
