"""Files that real Keras opens too, and reading of what Keras wrote: whole models, weights, JSON."""

from fkeras.saving.configs import model_from_json, to_json
from fkeras.saving.models import export_model, load_model, load_weights, save_model, save_weights
from fkeras.settings import (
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
