"""The .keras archive: a zip of config.json, metadata.json and model.weights.h5."""

import collections
import contextlib
import copy
import io
import json
import os
import stat
import time
import zipfile

from fkeras.core import paths
from fkeras.saving import configs, files, weights
from fkeras.saving import keras_versions as ages
from fkeras.saving.compiling import compile_config, compile_from
from fkeras.saving.hdf5 import KERAS_VERSION
from fkeras.saving.tensorflow.folder import replacing_folder

LIST = 1 << 20  # bytes of the list of members
TEXT = 1 << 26  # bytes of a member that is text
ROOM = 1 << 26  # bytes of an HDF5 file beside its numbers
COPIES = 8  # weights and an optimizer's slots, each in at most 8 bytes a number


def write_model(model, filepath, overwrite=True, include_optimizer=True, zipped=True):
    """Writes a whole model as a .keras archive, or as a folder of its members."""
    members = _members(model, include_optimizer)
    if zipped:
        with paths.replacing(filepath, overwrite) as fresh, zipfile.ZipFile(fresh, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return
    with replacing_folder(filepath, overwrite, "config.json") as fresh:
        for name, data in members.items():
            if name.endswith(".json"):  # which in an archive has the archive's checksum
                data = json.dumps(configs.checked(json.loads(data))).encode()
            with open(os.path.join(fresh, name), "wb") as file:
                file.write(data)


def _members(model, include_optimizer):
    import h5py

    config = configs.describe_model(model)
    if include_optimizer and model.compiled:
        config["compile_config"] = compile_config(model)
    metadata = {"keras_version": KERAS_VERSION, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        weights.write(model, file)
    return {
        "metadata.json": json.dumps(metadata).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": held.getvalue(),
    }


class _Sparing(io.FileIO):
    """A file of which at most `most` bytes are read at once, or any number for None."""

    most = LIST

    def read(self, size=-1):
        if self.most is not None and size > self.most:
            raise OSError(f"its list of members claims {size} bytes, expected at most {self.most}")
        return super().read(size)


class _Folder:
    """The members of an archive that were written side by side into a folder."""

    def __init__(self, path):
        self.path = path

    def getinfo(self, name):
        path = os.path.join(self.path, name)
        if not os.path.lexists(path):
            raise KeyError(name)
        paths.check_regular(path)
        size = os.path.getsize(path)
        return _Size(size, size)

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()


_Size = collections.namedtuple("_Size", "file_size compress_size")


@contextlib.contextmanager
def opened(filepath, where):
    """Yields the archive, after looking at its list: nothing in it may lie elsewhere, be a link or come twice.

    Raises:
        OSError: It is damaged. ValueError: Such a member; the message names it.
    """
    if os.path.isdir(filepath):
        yield _Folder(filepath)
        return
    with _Sparing(filepath) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as err:
            raise OSError(f"Cannot read {where}: the archive is damaged ({err}).") from err
        file.most = None
        _check_names(archive, where)
        yield archive


def _check_names(archive, where):
    names = set()
    for about in archive.infolist():
        name, wrong = about.filename, None
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            wrong = "its name leads out of the archive"
        elif stat.S_ISLNK(about.external_attr >> 16):
            wrong = "it is a link"
        elif name in names:
            wrong = "it is there twice"
        names.add(name)
        if wrong:
            raise ValueError(f"Cannot read {where}, {name!r}: {wrong}.")


def room_for(model):
    """Returns how many bytes the weights of a model, and an optimizer's slots, may take; None if it is not built."""
    return ROOM + 8 * COPIES * model.count_params() if model.built else None


def member(archive, name, where, room=TEXT):
    """Returns the bytes of one file of the archive, refusing one that claims to unpack to more than there can be."""
    try:
        about = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"Cannot read {where}: the archive has no {name}.") from None
    if about.file_size > min(
        max(about.compress_size, 1 << 16) * files.EXPANSION, max(about.compress_size * files.TOGETHER, files.FREE)
    ):
        raise ValueError(
            f"Cannot read {where}, {name}: it claims {about.file_size} bytes, {about.compress_size} are stored."
        )
    if room is not None and about.file_size > room:
        raise ValueError(f"Cannot read {where}, {name}: it claims {about.file_size} bytes, there can be {room}.")
    try:
        return archive.read(name)
    except Exception as err:  # of zipfile, zlib, bz2, lzma
        raise _Damaged(f"Cannot read {where}, {name}: it is damaged ({err}).") from err


class _Damaged(ValueError):
    """A member is not what was written."""


def _name_damage(archive, model, where):
    """Raises ValueError naming the layer whose weights are damaged, if it is the weights of one."""
    import h5py

    about = copy.copy(archive.getinfo("model.weights.h5"))
    try:
        del about.CRC  # the checksums of the arrays say more than that of the whole
        held = archive.open(about).read()
        files.check_heaps(held)
        with h5py.File(io.BytesIO(held), "r") as file:
            weights.plan(model, file, where)
    except ValueError as err:
        if "checksum" in str(err):
            raise
    except Exception:  # damaged elsewhere, which the caller says
        return


def inner(archive, model, where):
    """Returns the HDF5 file of weights in the archive, opened in memory."""
    import h5py

    try:
        held = member(archive, "model.weights.h5", where, room_for(model))
    except _Damaged:
        _name_damage(archive, model, where)
        raise
    try:
        files.check_heaps(held)
        return h5py.File(io.BytesIO(held), "r")
    except Exception as err:
        raise OSError(f"Cannot read {where}, model.weights.h5: it is damaged ({err}).") from err


def is_archive(path):
    """Whether the path is a zip archive, or a folder of its members."""
    if os.path.isdir(path):
        return os.path.lexists(os.path.join(path, "config.json"))
    return os.path.isfile(path) and not files.is_hdf5(path) and zipfile.is_zipfile(path)


def read_model(filepath, where, custom_objects=None, compile=True):
    """Returns the model of a .keras archive: built, its weights loaded, and compiled if it was saved so."""
    with opened(filepath, where) as archive:
        text = member(archive, "config.json", where)
        config = configs.compared(configs.parse(text, f"{where}, config.json"), f"{where}, config.json")
        about = configs.parse(member(archive, "metadata.json", where), f"{where}, metadata.json")
        about = configs.compared(about, f"{where}, metadata.json")
        age = ages.Age.read(str(about.get("keras_version") or "3"))
        model = configs.build_model(config, f"{where}, config.json", custom_objects, age)
        settings = config.get("compile_config")
        if compile and settings and settings.get("optimizer"):
            compile_from(model, settings, f"{where}, compile_config", custom_objects, age)
        with inner(archive, model, where) as file:
            if model.built:
                weights.load(model, file, f"{where}, model.weights.h5", age=age)
            elif weights.has_any(file):
                raise ValueError(
                    f"Cannot read {where}: the file has weights, but the input shape of its model is not known, so "
                    f"that the model cannot be built. Build it in code, call it on data once, then load_weights."
                )
            _load_vocabularies(archive, model, where, file)
    return model


def _load_vocabularies(archive, model, where, file):
    """Gives layers the vocabularies that Keras keeps in files of the archive; here they are in the config."""
    for path, layer, _ in weights.places(model):
        if not hasattr(layer, "load_vocabulary"):
            continue
        for inner in ("", "/_lookup_layer"):  # of a TextVectorization, by the version of Keras
            name = f"assets/{path}{inner}/vocabulary.txt"
            try:
                archive.getinfo(name)
            except KeyError:
                continue
            try:
                layer.load_vocabulary(member(archive, name, where).decode(), weights.read_token_weights(file, path))
            except (ValueError, OverflowError) as err:  # UnicodeDecodeError too
                raise ValueError(f"Cannot read {where}, {name}: {err}") from err
            break


def load_weights(model, filepath, where, **options):
    """Loads the weights of a .keras archive into a model; all or nothing."""
    with opened(filepath, where) as archive, inner(archive, model, where) as file:
        weights.load(model, file, f"{where}, model.weights.h5", **options)
