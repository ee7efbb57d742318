"""Keras's module paths of every age, and the module of fkeras that each means. The one table of them.

`fkeras.as_keras` imports by it, `python -m fkeras check` looks names up in it.
"""

import importlib
import importlib.machinery
import sys
import types

from fkeras import keras_private
from fkeras.core import messages, names
from fkeras.core.keras_names import lacking
from fkeras.core.settings import nearest

VERSION = "3.15.1"  # of the Keras whose names and numbers these are
TENSORFLOW = "2.19.0"  # of a TensorFlow that goes with it, where none is installed

# What a script may call Keras. Longer ones first, as each is looked for at the beginning of a path.
ROOTS = (
    "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras",
    "tensorflow.python.keras.api._v2.keras",
    "tensorflow.python.keras",
    "tensorflow.contrib.keras",
    "tensorflow.keras",
    "keras._tf_keras.keras",
    "keras._tf_keras",
    "keras.api._v2.keras",
    "keras.api._v2",
    "keras.api",
    "keras.src",
    "keras",
    "keras_core",
    "tf_keras.api._v2.keras",
    "tf_keras.api._v2",
    "tf_keras.api",
    "tf_keras.src",
    "tf_keras",
)
PRIVATE = ("tensorflow.python.keras", "tensorflow.contrib.keras", "keras.src", "tf_keras.src")  # a module a class

# Today's modules -> the paths that parts of them had. Several modules: names are looked for in each.
_OLD = {
    "layers": """
        layers.core layers.convolutional layers.embeddings layers.recurrent layers.normalization layers.merge
        layers.merging layers.pooling layers.advanced_activations layers.noise layers.local layers.locally_connected
        layers.wrappers layers.cudnn_recurrent layers.convolutional_recurrent layers.attention layers.reshaping
        layers.regularization layers.activation layers.rnn layers.recurrent_v2 layers.normalization_v2
        layers.dense_attention layers.einsum_dense layers.multi_head_attention layers.kernelized layers.serialization
        layers.preprocessing layers.experimental layers.experimental.preprocessing layers.core.embedding
        engine.base_layer engine.input_spec engine.base_layer_v1 legacy.layers
    """,
    "layers models utils": "engine engine.topology engine.network engine.keras_tensor",
    "layers utils": "engine.input_layer",
    "models": """
        engine.training engine.sequential engine.functional engine.training_v1 engine.saving legacy.models
        models.sequential models.functional models.model models.cloning models.experimental
    """,
    "losses": "objectives losses.losses losses.loss losses.experimental",
    "metrics": "metrics.metrics metrics.experimental",
    "initializers": """
        initializations initializers.initializers_v1 initializers.initializers_v2 initializers.initializers
    """,
    "regularizers": "regularizers.regularizers",
    "constraints": "constraints.constraints",
    "activations": "activations.activations",
    "optimizers": """
        optimizers.legacy optimizers.experimental optimizer_experimental optimizer_v2 optimizer_v1 optimizers.optimizer
        optimizers.optimizer_experimental optimizers.optimizer_v2 optimizers.adam optimizers.sgd optimizers.rmsprop
        optimizer_v2.adam optimizer_v2.gradient_descent optimizer_v2.rmsprop optimizer_v2.adagrad optimizer_v2.nadam
        optimizer_v2.optimizer_v2 optimizers.optimizer_v2.adam optimizers.optimizer_v2.gradient_descent
        optimizers.legacy.adam optimizers.legacy.gradient_descent optimizers.legacy.rmsprop optimizer_v2.adamax
        optimizer_v2.adadelta optimizer_v2.ftrl
    """,
    "optimizers.schedules": """
        optimizer_v2.learning_rate_schedule optimizers.schedules.learning_rate_schedule optimizers.schedules.schedules
    """,
    "callbacks": "callbacks.callbacks callbacks.experimental callbacks_v1 callbacks.callback callbacks.tensorboard_v1",
    "backend": """
        backend.tensorflow_backend backend.theano_backend backend.common backend.load_backend backend.experimental
    """,
    "backend config": "backend_config",
    "utils": """
        utils.np_utils utils.generic_utils utils.vis_utils utils.data_utils utils.io_utils utils.layer_utils
        utils.image_utils utils.tf_utils utils.all_utils utils.visualize_util utils.multi_gpu_utils utils.dataset_utils
        utils.training_utils utils.numerical_utils utils.sequence_utils utils.python_utils utils.text_dataset
        utils.summary_utils utils.model_visualization utils.legacy utils.experimental legacy.utils utils.conv_utils
        engine.data_adapter datasets.data_utils trainers trainers.data_adapters
        trainers.data_adapters.data_adapter_utils trainers.data_adapters.py_dataset_adapter
    """,
    "preprocessing": """
        preprocessing.dataset_utils preprocessing.image_dataset preprocessing.text_dataset preprocessing.timeseries
    """,
    "applications.mobilenet_v2": "applications.mobilenetv2",
    "preprocessing.image utils": "preprocessing.image_utils legacy.preprocessing.image_utils",
    "preprocessing.image": "legacy.preprocessing.image",
    "preprocessing.text": "legacy.preprocessing.text",
    "preprocessing.sequence": "legacy.preprocessing.sequence",
    "wrappers": "wrappers.scikit_learn",
    "saving": """
        saving.save saving.saving_api saving.saving_lib saving.serialization_lib saving.object_registration
        saving.legacy saving.legacy.serialization saving.hdf5_format legacy.saving saving.legacy.save
    """,
    "tree": "tree.tree_api",
    "random": "random.seed_generator",
    "mixed_precision": """
        mixed_precision.experimental mixed_precision.policy mixed_precision.loss_scale_optimizer
        mixed_precision.experimental.policy
    """,
    "losses metrics optimizers layers models callbacks utils": "legacy",
}
PATHS = {old: today.split() for today, olds in _OLD.items() for old in olds.split()}

_families = {"applications"}  # public, whether or not `fkeras` lists them


def family(path):
    """Returns the first part of a path if it is a public module of fkeras, else None."""
    first = path.partition(".")[0]
    return first if first in _modules() or (first in _families and exists(first)) else None


def _modules():
    """Returns the names of fkeras's public modules."""
    package = sys.modules["fkeras"]
    return [n for n in package.__all__ if isinstance(vars(package).get(n), types.ModuleType)]


def split(path):
    """Returns (root, path within Keras) of a dotted path, or None if it is not Keras's.

    Example:
        >>> split("tensorflow.keras.layers"), split("keras"), split("tensorflow.data")
        (('tensorflow.keras', 'layers'), ('keras', ''), None)
    """
    for root in ROOTS:
        if path == root or path.startswith(root + "."):
            return root, path[len(root) + 1 :]
    return None


class OldModule(types.ModuleType):
    """A module that is no more: its names are looked for in today's, and their older names too."""

    def __init__(self, path, homes):
        super().__init__(f"fkeras.{path}", f"Today: {', '.join(f'fkeras.{h}' for h in homes)}.")
        self.__dict__.update(_path=path, _homes=homes, __path__=[])

    def __getattr__(self, name):
        value = within(self._path, self._homes, name)
        _say(self._path, self._homes)
        return value

    def __dir__(self):
        return self.__all__


def within(path, homes, name):
    """Returns what a name of the old module `path` means in its homes of today.

    Raises:
        UnknownName: It means nothing.
    """
    if not name.startswith("__"):
        if today := names.OTHER_NAMES.get(path, {}).get(name):
            return names.at(today)
        if (private := keras_private.find(f"fkeras.{path}", name)) is not names.NOTHING:
            return private
        for home in homes:
            try:
                return getattr(module(home), name)
            except AttributeError:
                pass
        if f"{path}.{name}" in PATHS:
            return resolve(f"{path}.{name}")
    raise names.UnknownName(f"fkeras.{homes[0]}", name)


def _say(path, homes):
    messages.old_spelling(f"keras.{path}", " and ".join(f"keras.{home}" for home in homes))


def exists(path):
    """True if a file or folder of fkeras stands at this path. Other finders of modules are not asked."""
    name, inside = "fkeras", sys.modules["fkeras"].__path__
    for part in path.split("."):
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, inside) if inside else None
        if spec is None:
            return False
        inside = spec.submodule_search_locations
    return True


def module(path):
    """Returns the module of fkeras that stands at a path of today: "layers"."""
    return importlib.import_module(f"fkeras.{path}".strip("."))


_made: dict[str, types.ModuleType] = {}


def resolve(path, private=False):
    """Returns the module that a path within Keras means, or None.

    Args:
        path: "layers", "utils.np_utils".
        private: The path is one of Keras's sources, where each class has a module: any module below a family is it.

    Example:
        >>> resolve("layers") is fkeras.layers
        True
        >>> resolve("engine.topology").__doc__
        'Today: fkeras.layers, fkeras.models, fkeras.utils.'
    """
    if path in PATHS:
        return _old(path, PATHS[path])
    first = family(path)
    if first and exists(path) and _is_public(path):
        return module(path)
    if first and private and path.rpartition(".")[2][0].islower():  # others are classes
        return module(first)
    return None


def _is_public(path):
    """Files within a family are public if the family lists them: ops.image, datasets.mnist, applications.resnet."""
    parent, _, name = path.rpartition(".")
    if not parent:
        return True
    return _is_public(parent) and (name in getattr(module(parent), "__all__", ()) or parent == "applications")


def _old(path, homes):
    if path not in _made:
        if exists(path):  # Keras's name of a part is a file of ours too: what it lacks it takes from its family
            found = module(path)
            vars(found).setdefault("__getattr__", lambda name: within(path, homes, name))
            vars(found).setdefault("__path__", [])
        else:
            found = OldModule(path, homes)
        vars(found).setdefault("__all__", sorted({n for home in homes for n in dir(module(home)) if n[0] != "_"}))
        _made[path] = found
    return _made[path]


def missing_module(path):
    """Returns the message for a path within Keras that means nothing here: keras.quantizers."""
    parent, _, name = path.rpartition(".")
    known = [*PATHS, *_modules()]
    return f"fkeras has no module {path!r}.{lacking(parent, name)}{nearest(path, known)}"


def _older_module(namespace, name):
    """Answers `fkeras.utils.np_utils`, as `names.FINDERS` ask."""
    path = f"{names.inner(namespace)}.{name}".strip(".")
    return resolve(path) if path in PATHS else names.NOTHING


def register():
    """Lets old modules be found as attributes, and those of `utils` be imported from fkeras too."""
    names.FINDERS += [_older_module, keras_private.find]
    for path, homes in PATHS.items():
        if path.startswith("utils."):
            sys.modules[f"fkeras.{path}"] = _old(path, homes)
