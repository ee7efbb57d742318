"""Small helpers around training data, seeds and names."""

from fkeras.callbacks.progbar import Progbar
from fkeras.core.settings import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from fkeras.core.settings import serialize as serialize_keras_object
from fkeras.data import PyDataset, Sequence
from fkeras.saving import deserialize_keras_object
from fkeras.utils.arrays import normalize, pad_sequences, split_dataset, to_categorical
from fkeras.utils.plot import model_to_dot, plot_model
from fkeras.utils.session import clear_session, set_random_seed

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "model_to_dot",
    "normalize",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "to_categorical",
]
