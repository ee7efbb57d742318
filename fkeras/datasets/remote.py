"""Where the data sets that Keras names are on the web, and how their files are read without running what is in them.

Each is downloaded once into Keras's own cache, `~/.keras/datasets` (or KERAS_HOME); a file that is there is used.
"""

import io
import os
import pickle
import zipfile

import numpy as np

from fkeras.utils.download import get_file

_HOST = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
ORIGINS = {  # name -> (address, SHA-256 or MD5, or None where none was ever published by Keras)
    "boston_housing": (
        _HOST + "boston_housing.npz",
        "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    ),
    "california_housing": (
        _HOST + "california_housing.npz",
        "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    ),
    "cifar10": (
        _CIFAR + "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": (
        _CIFAR + "cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    **{
        name: (_HOST + name, None)
        for name in (
            "train-labels-idx1-ubyte.gz",
            "train-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
        )
    },
    "imdb": (_HOST + "imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"),
    "imdb_words": (_HOST + "imdb_word_index.json", "bfafd718b763782e994055a2d397834f"),
    "mnist": (_HOST + "mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"),
    "reuters": (_HOST + "reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"),
    "reuters_words": (_HOST + "reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921"),
}


def fetch(name, path, **kwargs):
    """Returns the path of a file of `ORIGINS`, kept at `path` within the folder datasets of the cache."""
    origin, file_hash = ORIGINS[name]
    folder, fname = os.path.split(os.path.expanduser(path))
    folder = os.path.join("datasets", folder)  # an absolute one stays what it is
    return get_file(fname, origin, file_hash=file_hash, cache_subdir=folder, **kwargs)


def read_npz(path):
    """Returns {name: array} of an .npz file, also with arrays of lists of numbers, which NumPy stores as pickles.

    Raises:
        ValueError: A pickle in it asks for anything but arrays, lists and numbers; nothing is run.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                arrays[member.removesuffix(".npy")] = _read_npy(io.BytesIO(file.read()), path)
    return arrays


def _read_npy(file, path):
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if dtype.hasobject:
        return unpickle(file, path).reshape(shape)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def unpickle(file, path):
    """Returns what a pickle of arrays, dicts, lists, numbers and bytes holds."""
    return _Plain(file, path).load()


class _Plain(pickle.Unpickler):
    """Reads pickles that make arrays, and no others."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),  # how Python 2's bytes were written by Python 3
    }

    def __init__(self, file, path):
        super().__init__(file, encoding="bytes")
        self.path = path

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"Cannot read {os.fspath(self.path)!r}: its pickle asks for {module}.{name}.")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def split_rows(x, y, test_split, seed):
    """Returns ((x_train, y_train), (x_test, y_test)) of rows shuffled by `seed`, the last share being the test's."""
    if not 0 <= test_split < 1:
        raise ValueError(f"load_data: expected test_split in [0, 1), got {test_split!r}.")
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    at = int(len(x) * (1 - test_split))
    return (x[:at], y[:at]), (x[at:], y[at:])
