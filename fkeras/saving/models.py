"""Saving and loading whole models, weights and JSON: which layout, and what the file is called in messages."""

import os
import shutil
import tempfile

from fkeras.core import paths
from fkeras.saving import archive, configs, files, hdf5, shards, tensorflow, weights
from fkeras.saving import keras_versions as ages
from fkeras.saving.compiling import compile_from
from fkeras.saving.order import store

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")


def save_model(model, filepath, overwrite=True, include_optimizer=True, save_format=None, zipped=None):
    """Saves architecture, weights, compile settings and optimizer state in one file that real Keras opens too.

    Args:
        model: A model.
        filepath: Path ending in .h5 (also .hdf5, .hdf, .he5) or .keras; the ending chooses the format. Or an open
            h5py file or group, or an open binary file, such as a BytesIO, for a .keras archive.
        overwrite: False refuses to replace an existing file.
        include_optimizer: False leaves out compile settings and optimizer state.
        save_format: "h5" or "keras", for a name without such an ending; "tf" for a SavedModel, a folder.
        zipped: False writes what a .keras archive holds into a folder, whose name has no ending, as Keras does.

    Raises:
        ValueError: The ending is neither, or the model holds a function that no file can name.
        FileExistsError: The file exists and `overwrite` is False.

    Example:
        >>> model = Sequential([Input((4,)), Dense(2)])
        >>> save_model(model, "model.h5")
        >>> load_model("model.h5").count_params()
        10
    """
    path = filepath if _is_open(filepath) or _is_stream(filepath) else paths.path_of(filepath, "save_model")
    form = "folder" if zipped is False else _form(path, save_format)
    if form == "folder" and (not isinstance(path, str) or path.endswith((*HDF5_ENDINGS, ".keras")) or save_format):
        raise ValueError(
            f"save_model: zipped=False writes a folder, expected a path without an ending and no save_format, got "
            f"{_shown(path)}."
        )
    try:
        if _is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                archive.write_model(model, copy := os.path.join(folder, "model.keras"), True, include_optimizer)
                with open(copy, "rb") as file:
                    shutil.copyfileobj(file, path)
        elif form in ("keras", "folder"):
            archive.write_model(model, path, overwrite, include_optimizer, form == "keras")
        elif form == "tf":
            tensorflow.write_saved_model(model, path, overwrite, include_optimizer)
        else:
            with files.writing(path, overwrite) as file:
                hdf5.write_model(model, file, include_optimizer)
    except RecursionError as err:
        raise ValueError(
            f"Cannot save {model.label} to {_shown(path)}: a list or dict in it holds itself, or is nested too deeply."
        ) from err


def _form(path, save_format):
    if _is_open(path):
        return "h5"
    if _is_stream(path):
        return "keras"
    formats = {"h5": "h5", "hdf5": "h5", "keras": "keras", "tf": "tf", "tensorflow": "tf"}
    form = formats.get(str(save_format).lower()) if save_format else None
    if save_format and form is None:
        raise ValueError(f"save_model: expected save_format 'h5', 'keras' or 'tf', got {save_format!r}.")
    by_ending = "h5" if path.endswith(HDF5_ENDINGS) else "keras" if path.endswith(".keras") else None
    if form is None and by_ending is None:
        raise ValueError(
            f"save_model: expected a path that ends in .h5 or .keras, got {path!r}. The ending chooses the format; "
            f"or give save_format='h5', or 'tf' for a SavedModel."
        )
    return form or by_ending


def load_model(filepath, custom_objects=None, compile=True, safe_mode=True):
    """Returns the model that `save_model` stored, here or in real Keras, ready to train on.

    Nothing in the file is executed. The content, not the name, says which format it is.

    Args:
        filepath: Path of an HDF5 file, a .keras archive or a SavedModel's folder; an open h5py file or group; or
            an open binary file, such as a BytesIO, that holds a .keras archive.
        custom_objects: {name: class or function} of what is not part of this package. The function of a Lambda layer
            that the file holds as code is looked up under the layer's name.
        compile: False returns a model that is not compiled.
        safe_mode: True. With False too, code in a file is never run.

    Raises:
        OSError: There is no such file, or it is neither HDF5 nor a zip archive, or damaged.
        ValueError: A part of it cannot be read; the message names the file and the part.
    """
    path = filepath if _is_open(filepath) or _is_stream(filepath) else paths.path_of(filepath, "load_model")
    return _load_model(path, _shown(path), custom_objects, compile)


@files.refusing
def _load_model(path, where, custom_objects, compile):
    if _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            with open(copy := os.path.join(folder, "model.keras"), "wb") as file:
                shutil.copyfileobj(path, file)
            return archive.read_model(copy, where, custom_objects, compile)
    if isinstance(path, str) and archive.is_archive(path):
        return archive.read_model(path, where, custom_objects, compile)
    if not _is_open(path) and tensorflow.is_saved_model(path):
        return tensorflow.read_saved_model(path, custom_objects, compile)
    with files.reading(path) as file:
        return hdf5.read_model(file, where, custom_objects, compile)


def model_from_json(json_string, custom_objects=None):
    """Builds a model, with weights drawn anew, of the JSON that `to_json` returned here or in real Keras.

    Args:
        json_string: Text.
        custom_objects: {name: class or function} of what is not part of this package.

    Raises:
        ValueError: The text is not JSON or does not describe a model.
    """
    return _from_json(json_string, "the JSON of a model", custom_objects)


@files.refusing
def _from_json(text, where, custom_objects):
    config = configs.parse(text, where)
    age = ages.of_json(config)
    model = configs.build_model(config, where, custom_objects, age)
    settings = config.get("compile_config")
    if isinstance(settings, dict) and settings.get("optimizer"):
        compile_from(model, settings, f"{where}, compile_config", custom_objects, age)
    return model


def save_weights(model, filepath, overwrite=True, max_shard_size=None):
    """Saves the weights alone: `x.weights.h5` in Keras 3's layout (with the optimizer's state), `x.h5` in Keras 2's.

    Args:
        model: A built model.
        filepath: Path, or an open h5py file or group.
        overwrite: False refuses to replace an existing file.
        max_shard_size: Gigabytes that one file may have; then the path is `x.weights.json`, a list of the files.

    Raises:
        ValueError: The path does not end in .h5, or the model is not built.
        FileExistsError: The file exists and `overwrite` is False.
    """
    path = filepath if _is_open(filepath) else paths.path_of(filepath, "save_weights")
    if max_shard_size is not None:
        model._require_built("save weights")
        shards.write(model, _shown(path) if _is_open(path) else path, max_shard_size, overwrite)
        return
    if not _is_open(path) and not path.endswith(HDF5_ENDINGS):
        raise ValueError(f"save_weights: expected a path that ends in .weights.h5 or .h5, got {path!r}.")
    model._require_built("save weights")
    nested = not _is_open(path) and path.endswith(".weights.h5")
    with files.writing(path, overwrite) as file:
        (weights.write if nested else hdf5.write_weights)(model, file)


def load_weights(model, filepath, skip_mismatch=False, by_name=False, objects_to_skip=None):
    """Loads weights from a file of weights, a whole model or a .keras archive, of Keras or of this package.

    All or nothing: every shape is compared before any weight is changed.

    Args:
        model: A built model.
        filepath: Path (of a SavedModel its folder, of TensorFlow's checkpoint what its files begin with), or an open
            h5py file or group.
        skip_mismatch: Warn about layers whose weights do not fit, and leave them as they are.
        by_name: Load into the layers whose names are in the file, and leave the others.
        objects_to_skip: Layers of the model to leave as they are, whatever the file has for them; the optimizer too.

    Raises:
        ValueError: The weights do not fit; the message names the layer and both shapes. OSError: As `load_model`.
    """
    path = filepath if _is_open(filepath) else paths.path_of(filepath, "load_weights")
    model._require_built("load weights")
    skipped = set()
    for layer in objects_to_skip or ():
        if not hasattr(layer, "own_and_inner"):
            raise TypeError(f"load_weights: expected layers in objects_to_skip, got {type(layer).__name__}.")
        skipped |= set(layer.own_and_inner())
    options = {"skip_mismatch": skip_mismatch, "by_name": by_name, "skipped": skipped}
    _load_weights(model, path, _shown(path), options)


@files.refusing
def _load_weights(model, path, where, options):
    if not _is_open(path) and archive.is_archive(path):
        archive.load_weights(model, path, where, **options)
        return
    if not _is_open(path) and path.endswith(shards.ENDING):
        shards.load(model, path, where, **options)
        return
    if not _is_open(path) and (tensorflow.is_saved_model(path) or tensorflow.is_checkpoint(path)):
        if options.pop("by_name"):
            raise ValueError(f"Cannot load {where} by_name: only HDF5 files hold weights by the names of layers.")
        tensorflow.load_weights(model, path, **options)
        return
    with files.reading(path) as file:
        group = file
        if not hdf5.is_layout(file) and files.has(file, "model_weights"):
            group = files.get_group(file, "model_weights")
        if hdf5.is_layout(group):
            store(hdf5.plan(model, group, where, **options))
        elif weights.is_layout(group):
            weights.load(model, group, where, **options)
        else:
            raise ValueError(f"Cannot read {where}: the HDF5 file does not hold weights in a layout of Keras.")


def export_model(model, filepath, format="tf_saved_model", overwrite=True, **options):
    """Writes a model's computation for others to run; see `Model.export`.

    Args:
        model: A built model.
        filepath: Folder of a SavedModel, or a file.
        format: "tf_saved_model" or "stablehlo".
        overwrite: Replace what is there.
        options: Of the format: include_optimizer; step, data, platforms.

    Raises:
        ValueError: The format is unknown. TypeError: It does not take one of the options.
    """
    path = paths.path_of(filepath, "export")
    if format == "tf_saved_model":
        tensorflow.write_saved_model(model, path, overwrite, **{"to_load": False, **options})
    elif format == "stablehlo":
        from fkeras.saving.stablehlo import write_stablehlo

        write_stablehlo(model, path, overwrite=overwrite, **options)
    else:
        raise ValueError(f"export: expected format 'tf_saved_model' or 'stablehlo', got {format!r}.")


def _is_open(filepath):
    return not isinstance(filepath, (str, bytes, os.PathLike)) and hasattr(filepath, "attrs")


def _is_stream(filepath):
    """Whether it is an open binary file, or one in memory: of a .keras archive."""
    return not _is_open(filepath) and hasattr(filepath, "seek") and hasattr(filepath, "read")


def _shown(path):
    if _is_stream(path):
        return f"an open {type(path).__name__}"
    return repr(path.file.filename if _is_open(path) else path)
