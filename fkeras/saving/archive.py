"""The .keras archive: a zip of config.json, metadata.json and model.weights.h5."""

import io
import json
import time
import zipfile

from fkeras.saving import ages, configs, files, weights
from fkeras.saving.compiling import compile_config, compile_from
from fkeras.saving.hdf5 import KERAS_VERSION

EXPANSION = 1000  # a member may unpack to this many times the bytes it takes in the archive


def write_model(model, filepath, overwrite=True, include_optimizer=True):
    """Writes a whole model as a .keras archive."""
    import h5py

    config = configs.describe_model(model)
    if include_optimizer and model.compiled:
        config["compile_config"] = compile_config(model)
    metadata = {"keras_version": KERAS_VERSION, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    with files.replacing(filepath, overwrite) as fresh, zipfile.ZipFile(fresh, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        held = io.BytesIO()
        with h5py.File(held, "w") as file:
            weights.write(model, file)
        archive.writestr("model.weights.h5", held.getvalue())


def member(archive, name, where):
    """Returns the bytes of one file of the archive, refusing one that claims to unpack to far more than is stored."""
    try:
        about = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"Cannot read {where}: the archive has no {name}.") from None
    if about.file_size > max(about.compress_size, 1 << 16) * EXPANSION:
        raise ValueError(
            f"Cannot read {where}, {name}: it claims {about.file_size} bytes, {about.compress_size} are stored."
        )
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as err:
        raise ValueError(f"Cannot read {where}, {name}: it is damaged ({err}).") from err


def is_archive(filepath):
    """Whether the file is a zip archive."""
    return zipfile.is_zipfile(filepath)


def read_model(filepath, where, custom_objects=None, compile=True):
    """Returns the model of a .keras archive: built, its weights loaded, and compiled if it was saved so."""
    import h5py

    try:
        archive = zipfile.ZipFile(filepath)
    except (zipfile.BadZipFile, OSError) as err:
        raise OSError(f"Cannot read {where}: the archive is damaged ({err}).") from err
    with archive:
        text = member(archive, "config.json", where)
        config = configs.parse(text, f"{where}, config.json")
        about = configs.parse(member(archive, "metadata.json", where), f"{where}, metadata.json")
        age = ages.Age.read(str(about.get("keras_version") or "3"))
        model = configs.build_model(config, f"{where}, config.json", custom_objects, age)
        settings = config.get("compile_config")
        if compile and settings and settings.get("optimizer"):
            compile_from(model, settings, f"{where}, compile_config", custom_objects, age)
        held = io.BytesIO(member(archive, "model.weights.h5", where))
        try:
            file = h5py.File(held, "r")
        except Exception as err:
            raise OSError(f"Cannot read {where}, model.weights.h5: it is damaged ({err}).") from err
        with file:
            if model.built:
                weights.load(model, file, f"{where}, model.weights.h5", age=age)
    return model


def load_weights(model, filepath, where, skip_mismatch=False, by_name=False):
    """Loads the weights of a .keras archive into a model; all or nothing."""
    import h5py

    with (
        zipfile.ZipFile(filepath) as archive,
        h5py.File(io.BytesIO(member(archive, "model.weights.h5", where))) as file,
    ):
        weights.load(model, file, f"{where}, model.weights.h5", skip_mismatch, by_name)
