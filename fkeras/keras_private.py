"""What packages import from Keras's own sources (`keras.src...`), by the namespace it is looked for in: one table.

Packages written for Keras reach for a few of its private names. They are answered here, by what is public or ours, and
are listed nowhere else.
"""

import importlib
import types

import numpy as np

from fkeras.core import names


class H5IOStore:
    """Arrays in groups of an HDF5 file, as Keras's private store of weights keeps them: `<path>/vars/<name>`.

    Args:
        filepath: Path of the file.
        mode: "r" or "w".
    """

    def __init__(self, filepath, mode="r"):
        self._file = importlib.import_module("h5py").File(filepath, mode)

    def make(self, path):
        """Returns the new group of a path."""
        return _Entry(self._file.require_group(f"{path}/vars"))

    def get(self, path):
        """Returns the group of a path."""
        return _Entry(self._file[f"{path}/vars"])

    def close(self):
        """Closes the file."""
        self._file.close()


class _Entry:
    def __init__(self, group):
        self._group = group

    def __setitem__(self, name, value):
        self._group[name] = np.asarray(value)

    def __getitem__(self, name):
        return self._group[name]

    def __len__(self):
        return len(self._group)

    def keys(self):
        return self._group.keys()


def class_weight_to_sample_weights(y, class_weight):
    """Returns a float32 weight for each label: classes as ints [B] or [B, 1], or one-hot rows."""
    y = np.asarray(y)
    if y.ndim > 1:
        y = y.argmax(-1) if y.shape[-1] != 1 else y[..., 0]
    return np.vectorize(lambda label: class_weight.get(int(label), 1.0), otypes=["float32"])(np.round(y))


def in_grain_data_pipeline():
    """Returns False: no pipeline of Grain calls layers here."""
    return False


def no_automatic_dependency_tracking(function):
    """Returns the function: layers find what they hold when it is asked for."""
    return function


def deserialize_keras_object(identifier, module_objects=None, custom_objects=None, printable_module_name="object"):
    """Builds the object of a config, or finds the one of a name, among `module_objects` too, as Keras 2 has it."""
    return names.at("saving.deserialize_keras_object")(
        identifier, custom_objects, module_objects=module_objects, printable_module_name=printable_module_name
    )  # fmt: skip


# Namespace -> {name: path within fkeras, "layers.contract.masks.mask_of", or the thing}.
PRIVATE_NAMES = {
    "backend": {
        "get_keras_mask": "layers.contract.masks.mask_of",
        "set_keras_mask": "layers.contract.masks.remember_mask",
        "any_symbolic_tensors": "core.symbol.is_symbolic",
    },
    "distribution": {"distribution_lib": "distribution"},
    "saving": {"H5IOStore": H5IOStore, "saving_lib": "saving", "serialization_lib": "saving"},
    "utils": {
        "class_weight_to_sample_weights": class_weight_to_sample_weights,
        "in_grain_data_pipeline": in_grain_data_pipeline,
        "tracking": types.SimpleNamespace(no_automatic_dependency_tracking=no_automatic_dependency_tracking),
    },
    "utils.legacy": {"deserialize_keras_object": deserialize_keras_object},
}


def find(namespace, name):
    """Returns what a private name of Keras means, or `names.NOTHING`, as `names.FINDERS` ask."""
    found = PRIVATE_NAMES.get(names.inner(namespace), {}).get(name, names.NOTHING)
    return names.at(found) if isinstance(found, str) else found
