"""Files that real Keras opens too, and reading of what Keras wrote: whole models, weights, JSON."""

import importlib

from fkeras.core.settings import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize,
)

CustomObjectScope = custom_object_scope
deserialize_keras_object, serialize_keras_object = deserialize, serialize

_WHEN_ASKED = {"to_json": "configs"} | dict.fromkeys(
    ("export_model", "load_model", "load_weights", "model_from_json", "save_model", "save_weights"), "models"
)


def __getattr__(name):
    """What reads and writes files is imported when it is asked for: a tenth of the time `import fkeras` would take."""
    if name not in _WHEN_ASKED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
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
