"""Files that real Keras opens too, and reading of what Keras wrote: whole models, weights, JSON."""

import importlib
import inspect

from fkeras.core import names
from fkeras.core.settings import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    nearest,
    register_keras_serializable,
    serialize,
)

CustomObjectScope = custom_object_scope
serialize_keras_object = serialize


def deserialize_keras_object(
    config, custom_objects=None, safe_mode=True, module_objects=None, printable_module_name="object"
):
    """Builds the object that a config describes, as `serialize_keras_object` wrote it, here or in Keras.

    Args:
        config: A config dict, or a list or dict of them; other values pass through.
        custom_objects: {name: class or function} of what is not part of this package.
        safe_mode: True. With False too, code in a config is never run.
        module_objects: The same as custom_objects, with whose names a name alone may be given too: of a function, or of
            a class that is made without arguments.
        printable_module_name: What such a name means, for the message.

    Raises:
        ValueError: No such name, or the config holds code.

    Example:
        >>> deserialize_keras_object({"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}}).units
        2
    """
    from fkeras.saving.configs import clean

    known = {**(module_objects or {}), **(custom_objects or {})}
    if module_objects and isinstance(config, str):
        if config not in known:
            raise ValueError(f"Unknown {printable_module_name} {config!r}.{nearest(config, known)}")
        return known[config]() if inspect.isclass(known[config]) else known[config]
    with custom_object_scope(known):
        return deserialize(clean(config))


_WHEN_ASKED = {"to_json": "configs"} | dict.fromkeys(
    ("export_model", "load_model", "load_weights", "model_from_json", "save_model", "save_weights"), "models"
)


def __getattr__(name):
    """What reads and writes files is imported when it is asked for: a tenth of the time `import fkeras` would take."""
    if name not in _WHEN_ASKED:
        return names.find(__name__, name)
    value = globals()[name] = getattr(importlib.import_module(f"fkeras.saving.{_WHEN_ASKED[name]}"), name)
    return value


def __dir__():
    return sorted(__all__)


__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "export_model",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "model_from_json",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
    "to_json",
]
