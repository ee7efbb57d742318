"""From names, configs and objects to optimizers."""

from fkeras.core.settings import custom_object_scope
from fkeras.optim.base import Optimizer, optimizers
from fkeras.optim.transformation import Transformation, is_transformation


def get(identifier):
    """Returns the optimizer that a name in any case, class, object or config dict means; None stays None.

    Raises:
        ValueError: No such name. TypeError: not an optimizer.

    Example:
        >>> get("rmsprop")
        RMSprop(name='rm_sprop')
    """
    if is_transformation(identifier):
        return Transformation(identifier)
    found = optimizers.get(identifier)
    if found is None or isinstance(found, Optimizer):
        return found
    raise TypeError(f"expected an optimizer, its name or its config, got {found!r} ({type(found).__name__}).")


def deserialize(config, custom_objects=None):
    """Returns the optimizer that a config dict describes, its class name in any case."""
    with custom_object_scope(custom_objects or {}):
        return get(config)
