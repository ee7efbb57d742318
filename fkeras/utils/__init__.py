"""Small helpers around data, files, seeds and names."""

from fkeras.callbacks.progbar import Progbar
from fkeras.core.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from fkeras.core.settings import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from fkeras.core.settings import serialize as serialize_keras_object
from fkeras.data import PyDataset, Sequence
from fkeras.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from fkeras.saving import deserialize_keras_object
from fkeras.utils import bounding_boxes
from fkeras.utils.arrays import normalize, pad_sequences, split_dataset, to_categorical
from fkeras.utils.config import Config
from fkeras.utils.download import get_file
from fkeras.utils.folders import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from fkeras.utils.images import array_to_img, img_to_array, load_img, save_img
from fkeras.utils.plot import model_to_dot, plot_model
from fkeras.utils.session import clear_session, set_random_seed
from fkeras.utils.symbols import get_source_inputs, is_keras_tensor, standardize_dtype
from fkeras.utils.timeseries import timeseries_dataset_from_array

CustomObjectScope = custom_object_scope

__all__ = [
    "Config",
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def __dir__():
    return sorted(__all__)
