"""Small files that ask for much: refused by name within two seconds and 200 MB, and files of other kinds at once.

The files are made here and read in one process of its own, which says what became of each, and what it took.
"""

import io
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import saving
from fkeras.models import Input, Sequential
from fkeras.saving import files
from tests.test_files_safety import rewrite

READ = """
import json, os, resource, sys, time, warnings
import fkeras.layers
from fkeras import saving
warnings.simplefilter("ignore")

os.chdir(sys.argv[1])
reader, results = saving.load_model("reader.keras"), {}
for name in sys.argv[2:]:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    path = next(n for n in os.listdir(name))
    try:
        if path.endswith(".json"):
            saving.model_from_json(open(os.path.join(name, path)).read())
        elif "weights" in path:
            reader.load_weights(os.path.join(name, path))
        else:
            saving.load_model(os.path.join(name, path))
        said = "loaded"
    except (ValueError, OSError) as err:
        said = str(err)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([name, said, time.process_time() - began, grown / 1024]), flush=True)
"""


def small():
    return Sequential([Input((20,)), L.Dense(8, name="d"), L.Dense(8, name="e")], name="m")


def chain(*layers, shape=(None, 4)):
    """The JSON of a chain."""
    first = {"class_name": "InputLayer", "config": {"batch_shape": list(shape), "name": "i"}}
    found = [{"class_name": n, "module": "keras.layers", "config": {"name": f"l{i}", **c}} for i, (n, c) in
             enumerate(layers)]  # fmt: skip
    return json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [first, *found]}})


def calls(count, inputs=1):
    """The JSON of a graph in which one layer is called many times, or on many inputs."""
    found = [
        {"class_name": "InputLayer", "name": "i", "config": {"batch_shape": [None, 4], "name": "i"}},
        {"class_name": "Add", "name": "a", "config": {"name": "a"}},
    ]
    found[0]["inbound_nodes"], found[1]["inbound_nodes"] = [], [[["i", 0, 0, {}]] * inputs] * count
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [["a", 0, 0]]}
    return json.dumps({"class_name": "Functional", "config": {"name": "f", "layers": found, **ends}})


IMAGE = (None, 8, 8, 1)
JSON = {
    "units": (chain(("Dense", {"units": 1e12})), r"Dense 'l0' has the (weight 'kernel'|output) of shape"),
    "units beyond 64 bits": (chain(("Dense", {"units": 10**19})), "Dense 'l0' has the"),
    "a product of units": (
        chain(("Dense", {"units": 10**6}), ("Dense", {"units": 10**7})),
        "Dense 'l1' has the weight",
    ),
    "filters": (chain(("Conv2D", {"filters": 10**12, "kernel_size": 3}), shape=IMAGE), "Conv2D 'l0' has the"),
    "output_dim": (chain(("Embedding", {"input_dim": 10**7, "output_dim": 10**7})), "Embedding 'l0' has the"),
    "repeats": (chain(("RepeatVector", {"n": 10**12})), "RepeatVector 'l0' has the output"),
    "sizes": (chain(("UpSampling2D", {"size": [10**7, 10**7]}), shape=IMAGE), "UpSampling2D 'l0' has the output"),
    "padding": (chain(("ZeroPadding2D", {"padding": 10**10}), shape=IMAGE), "ZeroPadding2D 'l0' has the output"),
    "strides": (
        chain(("Conv2DTranspose", {"filters": 1, "kernel_size": 3, "strides": 10**9}), shape=IMAGE),
        "Conv2DTranspose 'l0' has the output",
    ),
    "a batch": (chain(("Dense", {"units": 3}), shape=(10**12, 4)), "InputLayer 'i' has the output"),
    "many axes": (chain(("Dense", {"units": 3}), shape=(None, *(2,) * 200)), "InputLayer 'i' has the output"),
    "a window": (chain(("Conv2D", {"filters": 1, "kernel_size": 3000, "padding": "same"}), shape=IMAGE), "loaded"),
    "a window of each channel": (
        chain(("DepthwiseConv2D", {"kernel_size": 3000, "padding": "same"}), shape=(None, 8, 8, 2)),
        "loaded",
    ),
    "many layers": (chain(*[("Activation", {"activation": "relu"})] * 200_000), "lists and objects"),
    "more layers than there are": (chain(*[("ReLU", {})] * 20_000), "it has 20001 layers"),
    "many cells": (chain(("StackedRNNCells", {"cells": [{}] * 20_000})), "it has 20002 layers"),
    "many calls": (calls(30_000), "30000 calls of layers"),
    "many inputs": (calls(1, 200_000), "lists and objects"),
    "many numbers": (chain(("Discretization", {"bin_boundaries": list(range(3 * 10**6))})), "lists and objects of"),
    "brackets": ('{"class_name": "Sequential", "config": {"layers": [' + "[]," * 10**7 + "[]]}}", "lists and objects"),
}


def packed(path, place, shape, chunks, data):
    """Puts a gzip-packed array with one chunk of `data` in the place of an array."""
    with h5py.File(path, "r+") as file:
        del file[place]
        held = file.create_dataset(place, shape, "f4", chunks=chunks, maxshape=[None] * len(shape), compression="gzip")
        held.id.write_direct_chunk([0] * len(shape), data)


def large_chunk(folder):
    small().save(folder / "m.h5")
    packed(folder / "m.h5", "model_weights/d/d/kernel", (20, 8), (16384, 16384), zlib.compress(bytes(2**28)))
    return r"at /model_weights/d/d/kernel: an array of shape \(20, 8\) is kept in chunks of \(16384, 16384\)"


def packed_weights(folder):
    small().save_weights(folder / "x.weights.h5")
    packed(folder / "x.weights.h5", "layers/dense/vars/0", (20, 8), (20, 8), zlib.compress(bytes(2**28), 1))
    return r"the chunk at \(0, 0\) unpacks to more than its 640 bytes\). It is 'kernel' of Dense 'd'"


def packed_in_an_archive(folder):
    small().save(folder / "m.keras")
    with zipfile.ZipFile(folder / "m.keras") as archive:
        (folder / "inner").write_bytes(archive.read("model.weights.h5"))
    packed(folder / "inner", "layers/dense/vars/0", (20, 8), (20, 8), zlib.compress(bytes(2**28), 1))
    rewrite(folder / "m.keras", "model.weights.h5", lambda _: (folder / "inner").read_bytes())
    os.remove(folder / "inner")
    return r"the chunk at \(0, 0\) unpacks to more than its 640 bytes"


def many_chunks(folder):
    Sequential([Input((20,)), L.Dense(100_000, name="d")], name="m").save(folder / "m.h5")
    with h5py.File(folder / "m.h5", "r+") as file:
        del file["model_weights/d/d/kernel"]
        file.create_dataset("model_weights/d/d/kernel", (20, 100_000), "f2", chunks=(1, 1))
    return "an array of 4000000 bytes is kept in 2000000 chunks"


def unknown_filter(folder):
    small().save(folder / "m.h5")
    with h5py.File(folder / "m.h5", "r+") as file:
        del file["model_weights/d/d/kernel"]
        file.create_dataset("model_weights/d/d/kernel", (20, 8), "i4", chunks=(20, 8), scaleoffset=4)
    return "at /model_weights/d/d/kernel: it is packed by the filter 6, known are gzip, shuffle"


def arrays_of_nothing(folder):
    """Each may be as large as it claims; all together no file of this size holds."""
    text = chain(*[("Dense", {"units": 4000, "use_bias": False})] * 20, shape=(None, 4000))
    with h5py.File(folder / "m.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = text, "3.0.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"l%d" % i for i in range(20)]
        for i in range(20):
            inner = group.create_group(f"l{i}")
            inner.attrs["weight_names"] = [b"kernel"]
            inner.create_dataset("kernel", (4000, 4000), "f4")
    return "its arrays claim 1280000000 bytes together, but only 0 are stored"


def repeated_text(folder):
    """References that all lead to one long text: 64 KB in the file, 2 GB when they are followed."""
    small().save(folder / "m.h5")
    with h5py.File(folder / "m.h5", "r+") as file:
        group = file["model_weights"]
        del group.attrs["layer_names"]
        group.attrs["long"] = "x" * 540_000
        group.attrs.create("layer_names", [f"n{i:08d}" for i in range(4000)], dtype=h5py.string_dtype())
    data = bytearray((folder / "m.h5").read_bytes())

    def references(size):
        at = data.find(size.to_bytes(4, "little"))
        while at >= 0:
            address = int.from_bytes(data[at + 4 : at + 12], "little")
            if data[address : address + 4] == b"GCOL":
                yield at
            at = data.find(size.to_bytes(4, "little"), at + 1)

    long = next(references(540_000))
    for at in list(references(9)):
        data[at : at + 16] = data[long : long + 16]
    (folder / "m.h5").write_bytes(data)
    return r"at /model_weights: its attribute 'layer_names' is damaged \(its 4000 values can take \d{10} bytes"


def many_attributes(folder):
    small().save(folder / "m.h5")
    with h5py.File(folder / "m.h5", "r+", libver="latest") as file:
        group = file["model_weights"]
        del group.attrs["layer_names"]
        for i in range(1100):
            group.attrs[f"layer_names{i}"] = [b"x%d" % i]
    return "at /model_weights: its attribute 'layer_names' names more than 65536"


def many_groups(folder):
    small().save_weights(folder / "x.weights.h5")
    with h5py.File(folder / "x.weights.h5", "r+", libver="latest") as file:
        for i in range(3500):
            file.create_group(f"layers/x{i}/vars")
    return r"it has more than \d+ groups"


def large_archive(folder):
    small().save(folder / "m.keras")
    with zipfile.ZipFile(folder / "m.keras") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
        for i in range(20_000):
            archive.writestr(f"assets/{i:040d}", "")
    return r"the archive is damaged \(its list of members claims \d{7} bytes"


def in_an_archive(text, message):
    def make(folder):
        held = io.BytesIO()
        h5py.File(held, "w").close()
        with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (("config.json", text), ("metadata.json", "{}"), ("model.weights.h5", held.getvalue())):
                archive.writestr(name, data)
        return rf"m.keras', config.json: .*{message}"

    return make


def pipe_of_variables(folder):
    small().save(folder / "saved", save_format="tf")
    path = folder / "saved" / "variables" / "variables.data-00000-of-00001"
    os.remove(path)
    os.mkfifo(path)
    return r"variables.data-00000-of-00001': expected a file, it is a pipe \(FIFO\)"


def pipe_of_the_index(folder):
    small().save(folder / "saved", save_format="tf")
    os.remove(folder / "saved" / "variables" / "variables.index")
    os.mkfifo(folder / "saved" / "variables" / "variables.index")
    return r"variables.index': expected a file, it is a pipe \(FIFO\)"


def pipe(name):
    def make(folder):
        os.mkfifo(folder / name)
        return rf"{name}': expected a file, it is a pipe \(FIFO\)"

    return make


def unix_socket(folder):
    here = os.getcwd()
    os.chdir(folder)  # the name of a socket may not be long
    with socket.socket(socket.AF_UNIX) as held:
        held.bind("s.h5")
    os.chdir(here)
    return "s.h5': expected a file, it is a socket"


def device(folder):
    os.symlink("/dev/zero", folder / "d.h5")
    return "d.h5': expected a file, it is a device"


def loop(folder):
    os.symlink("l.h5", folder / "l.h5")
    return r"Cannot read '.*l.h5': Too many levels"


FILES = (large_chunk, packed_weights, packed_in_an_archive, many_chunks, unknown_filter, arrays_of_nothing,
         repeated_text, many_attributes, many_groups, large_archive, pipe_of_variables, pipe_of_the_index, unix_socket,
         device, loop)  # fmt: skip
MAKERS = {f.__name__: f for f in FILES}
MAKERS |= {f"a pipe named {n}": pipe(n) for n in ("f.h5", "f.keras", "f.weights.h5")}
MAKERS["layers in an archive"] = in_an_archive(JSON["many layers"][0], "lists and objects")
MAKERS["units in an archive"] = in_an_archive(JSON["units"][0], "Dense 'l0' has the")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """{name: (what is to be said, what was said, seconds, megabytes)}."""
    folder = tmp_path_factory.mktemp("bombs")
    small().save(folder / "reader.keras")
    wanted = {}
    for name in (*MAKERS, *JSON):
        (folder / name).mkdir()
        if name in MAKERS:
            wanted[name] = MAKERS[name](folder / name)
        else:
            (folder / name / "m.json").write_text(JSON[name][0])
            wanted[name] = JSON[name][1]
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ, str(folder), *wanted], capture_output=True, text=True, check=False, timeout=120
        )
        out, err = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:  # the last of those that are missing below did not end
        out, err = (late.stdout or b"").decode(), ""
    found = {name: rest for name, *rest in map(json.loads, out.splitlines())}
    return {
        name: (message, *found.get(name, ("nothing: " + err[-500:], np.inf, np.inf)))
        for name, message in wanted.items()
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
@pytest.mark.parametrize("name", [*MAKERS, *JSON])
def test_a_small_file_that_asks_for_much_is_refused_at_once(name, results):
    message, said, seconds, megabytes = results[name]
    assert re.search(message, said), said
    assert seconds < 2 and megabytes < 200, (seconds, megabytes)


def test_boundaries_by_the_hundred_thousand_are_halved_and_not_all_compared():
    bounds = np.arange(200_000.0)
    layer = L.Discretization(bounds.tolist())
    values = np.array([[-1.0, 0.0, 0.5, 299_999.0, 4e5, 1234.0]], "float32")
    np.testing.assert_array_equal(np.asarray(layer(values))[0], np.searchsorted(bounds, values[0], side="right"))


def test_messages_stay_short_whatever_the_file_names():
    deep = json.loads(chain(("Dense", {"units": 1})))
    for i in range(200):
        deep = {"class_name": "Sequential", "config": {"name": f"s{i}", "layers": [deep]}}
    for text in (json.dumps(deep), *(t for t, message in JSON.values() if message != "loaded" and len(t) < 10**6)):
        with pytest.raises(ValueError) as err:
            saving.model_from_json(text)
        assert len(str(err.value)) < 500


def test_the_names_of_a_large_model_beside_its_long_config_are_no_bomb(tmp_path):
    """As in Keras's files of InceptionV3: 313 names, and a config of 268 KB that each reference could lead to."""
    small().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        group = file["model_weights"]
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["layer_names"]]
        del group.attrs["layer_names"]
        others = [f"none_{i}" for i in range(800)]
        group.attrs.create("layer_names", names + others, dtype=h5py.string_dtype())
        for name in others:
            group.create_group(name).attrs["weight_names"] = np.zeros(0, "S1")
        file.create_dataset("config", data=np.zeros(1 << 20, "uint8"))
        file.attrs["longer"] = np.array("x" * 200_000, dtype=object)
    assert files.TEXT < 800 * 200_000
    small().load_weights(tmp_path / "m.h5")
