"""Nothing in a file is run or believed: each refusal names the file and the part, at once and without taking memory."""

import io
import json
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import optim, saving
from fkeras.core.settings import Registry
from fkeras.models import Input, Model, Sequential
from tests.test_saving import assert_same, chain, filled, random


@pytest.fixture
def model():
    return filled(chain)


@pytest.fixture
def saved(model, tmp_path):
    """The model's files: {name: path}."""
    model.compile(optim.Adam(0.01), "mse", ["mae"])
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
    for name in ("w.h5", "w.weights.h5"):
        model.save_weights(tmp_path / name)
    return tmp_path


# ----------------------------------------------------------------------------------------------- names


def test_only_families_of_the_library_have_names():
    """What a file can name are layers, losses and the like: nothing that reads, writes or fetches."""
    homes = ("activations", "compat", "constraints", "initializers", "layers", "losses", "metrics", "models",
             "old_models", "optim", "regularizers", "rng", "random", "dtypes")  # fmt: skip
    for family in Registry.all:
        for name, entry in family.entries.items():
            home = entry.__module__.split(".")
            assert home[0] == "tests" or (home[0] == "fkeras" and home[1] in homes), (family.kind, name, home)


@pytest.mark.parametrize("name", ["get_file", "load_model", "eval", "os.system", "numpy.load", "fkeras.utils.get_file"])
def test_names_of_functions_lead_nowhere(name):
    for layer in (
        {"class_name": "Lambda", "config": {"name": "f", "function": name, "arguments": {"origin": "http://x/y"}}},
        {"class_name": "Activation", "config": {"name": "f", "activation": name}},
        {"class_name": name, "config": {"name": "f"}},
        {"class_name": name.split(".")[-1], "module": name.rpartition(".")[0] or "os", "config": {"name": "f"}},
        {"class_name": "Dense", "config": {"units": 1, "kernel_initializer": {"class_name": name, "config": {}}}},
    ):
        text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}})
        with pytest.raises(ValueError, match="Cannot read the JSON of a model"):
            saving.model_from_json(text)


def test_code_is_refused_in_every_container(saved):
    code = {"class_name": "Lambda", "config": {"name": "twice", "function": ["4wEAAAAB", None, None]}}
    with h5py.File(saved / "m.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].append(code)
        file.attrs["model_config"] = json.dumps(config)
    rewrite(saved / "m.keras", "config.json", lambda text: json.dumps(config))
    for name in ("m.h5", "m.keras"):
        with pytest.raises(ValueError, match=rf"{name}'.*Lambda layer 'twice' holds the code of a Python function.*"):
            saving.load_model(saved / name, safe_mode=False)


def rewrite(path, member, change):
    """Writes an archive anew with one member changed."""
    with zipfile.ZipFile(path) as old:
        held = {name: old.read(name) for name in old.namelist()}
    held[member] = change(held.get(member))
    with zipfile.ZipFile(path, "w") as new:
        for name, data in held.items():
            new.writestr(name, data)


# ----------------------------------------------------------------------------------------------- archives


def add_twice(archive):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", "{}")
    return "'config.json': it is there twice"


def add_outside(archive):
    archive.writestr("../config.json", "{}")
    return r"'../config.json': its name leads out of the archive"


def add_absolute(archive):
    archive.writestr("/etc/passwd", "x")
    return "'/etc/passwd': its name leads out of the archive"


def add_windows(archive):
    archive.writestr("..\\x", "x")
    return "its name leads out of the archive"


def add_link(archive):
    about = zipfile.ZipInfo("model.weights.link")
    about.external_attr = 0o120777 << 16
    archive.writestr(about, "/etc/passwd")
    return "'model.weights.link': it is a link"


@pytest.mark.parametrize("trick", [add_twice, add_outside, add_absolute, add_windows, add_link])
def test_members_of_an_archive_stay_in_it(trick, model, saved):
    with zipfile.ZipFile(saved / "m.keras", "a") as archive:
        message = trick(archive)
    for load in (saving.load_model, model.load_weights):
        with pytest.raises(ValueError, match=f"m.keras', .*{message}"):
            load(saved / "m.keras")


@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_bombs_are_not_unpacked(member, saved):
    with zipfile.ZipFile(saved / "m.keras") as old:
        held = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(saved / "m.keras", "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in held.items():
            if name == member:
                with new.open(name, "w") as part:
                    for _ in range(80):
                        part.write(bytes(1 << 20))
            else:
                new.writestr(name, data)
    with pytest.raises(
        ValueError, match=rf"m.keras', {member}: it claims 83886080 bytes, (there can be|\d+ are stored)"
    ):
        saving.load_model(saved / "m.keras")


def test_arrays_that_unpack_to_more_than_there_is_are_not_read(model, saved):
    for name in ("m.h5", "w.h5"):
        with h5py.File(saved / name, "r+") as file:
            home = file["model_weights/first/first" if name == "m.h5" else "first/first"]
            del home["kernel"]
            home.create_dataset("kernel", (10**5, 10**5), "f4", chunks=(1000, 1000), compression="gzip")
        with pytest.raises(
            ValueError, match=r"kernel: it claims 40000000000 bytes of numbers, but only \d+ are stored"
        ):
            model.load_weights(saved / name)


def test_layers_of_any_size_take_no_memory_until_the_file_has_their_weights(saved):
    with h5py.File(saved / "m.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["units"] = 10**11
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ValueError, match=r"m.h5', layer 'first': Dense 'first' expects shape \(6, 100000000000\)"):
        saving.load_model(saved / "m.h5")


# ------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100000, "it is not JSON"),
        ('{"class_name": "Sequential", "config": ' + '{"a": ' * 50000 + "1" + "}" * 50001, "it is not JSON"),
        ('{"class_name": "Sequential", "config": {"layers": ' + "[" * 900 + "]" * 900 + "}}", "nested too deeply"),
        (
            '{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": null}]}}',
            "needs 'units'",
        ),
        ('{"class_name": "Sequential", "config": {"layers": 3}}', "int"),
        ('{"class_name": "Sequential", "config": {"name": "s"}}', "'layers'"),
        ('{"class_name": "Functional", "config": {"layers": [{"inbound_nodes": 1}]}}', "class_name|Cannot read"),
        ('{"class_name": ["Sequential"], "config": {}}', "expected the config of a model"),
        ('{"class_name": "Sequential", "config": {"layers": []}, "compile_config": {"optimizer": "adma"}}', "adma"),
    ],
)
def test_odd_json_is_one_clear_error(text, message):
    with pytest.raises(ValueError, match=message) as err:
        saving.model_from_json(text)
    assert str(err.value).startswith("Cannot read the JSON of a model")


# ---------------------------------------------------------------------------------------------- weights


def place_of(name):
    return {"m.h5": "model_weights/first", "w.h5": "first", "w.weights.h5": "layers/dense/vars"}[name]


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((6, 4), "complex64"), r"expected numbers, found complex64 of shape \(6, 4\)"),
        (np.full((6, 4), b"a"), r"expected numbers, found \|S1 of shape \(6, 4\)"),
        (np.ones((4, 6), "float32"), r"expects shape \(6, 4\) for 'kernel', the file has \(4, 6\)"),
        (np.ones((), "float32"), r"expects shape \(6, 4\) for 'kernel', the file has \(\)"),
        (np.ones((6, 4), [("a", "f4")]), r"expected numbers, found \[\('a', '<f4'\)\]"),
    ],
)
def test_weights_of_another_kind_name_the_layer_and_both(name, array, message, model, saved):
    with h5py.File(saved / name, "r+") as file:
        home, key = (file["first/first"], "kernel") if name == "w.h5" else (file[place_of(name)], "0")
        del home[key]
        home.create_dataset(key, data=array)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message) as err:
        model.load_weights(saved / name)
    assert name in str(err.value) and ("Dense 'first'" in str(err.value))
    assert_same(model.get_weights(), before)


def test_missing_extra_and_doubled_weights_are_named(model, saved):
    before = model.get_weights()

    def refused(message):
        with pytest.raises(ValueError, match=message) as err:
            model.load_weights(saved / "w.h5")
        assert "w.h5'" in str(err.value)
        assert_same(model.get_weights(), before)

    with h5py.File(saved / "w.h5", "r+") as file:
        file["first"].attrs["weight_names"] = [b"first/kernel"]
    refused(r"layer 'first': Dense 'first' has 2 weights \(kernel \(6, 4\), bias \(4,\)\), the file has 1 of shapes")
    with h5py.File(saved / "w.h5", "r+") as file:
        file["first"].attrs["weight_names"] = [b"first/kernel", b"first/kernel"]
    refused(r"at /first: its attribute 'weight_names' names \['first/kernel'\] twice")
    with h5py.File(saved / "w.h5", "r+") as file:
        file["first"].attrs["weight_names"] = [b"first/kernel", b"first/bias", b"first/more"]
    refused(r"there is no 'more'.* It belongs to Dense 'first'")
    with h5py.File(saved / "w.h5", "r+") as file:
        file.attrs["layer_names"] = 3
    refused("its attribute 'layer_names' is not a list of names")


def test_groups_that_hold_themselves_end(model, saved):
    with h5py.File(saved / "w.weights.h5", "r+") as file:
        for name in "abcdefgh":
            file["layers"][name] = file["layers"]
    model.load_weights(saved / "w.weights.h5")


def test_heaps_in_which_libhdf5_would_walk_for_ever_are_found(model, saved):
    """Found by the mutations below: an entry of size 0 in the heap of texts hung the reader."""
    for name in ("m.h5", "w.h5"):
        data = bytearray((saved / name).read_bytes())
        at = data.find(b"GCOL") + 16
        while data[at : at + 2] != b"\0\0":  # to the entry of what is free
            at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
        data[at + 8 : at + 16] = bytes(8)
        (saved / name).write_bytes(data)
        with pytest.raises(OSError, match=rf"{name}': .*the heap of texts at byte \d+ does not end"):
            model.load_weights(saved / name)


def test_the_optimizers_state_is_part_of_all_or_nothing(model, saved):
    params = {name: {k: v for k, v in inner.items()} for name, inner in model.params.items()}
    model.optimizer.build(params)
    model.save_weights(saved / "w.weights.h5")
    with h5py.File(saved / "w.weights.h5", "r+") as file:
        del file["optimizer/vars/3"]
        file["optimizer/vars/3"] = h5py.SoftLink("/layers")
    other = filled(chain)
    other.compile(optim.Adam(0.01), "mse")
    other.set_weights([w * 0 for w in other.get_weights()])
    with pytest.raises(ValueError, match=r"w.weights.h5', at /optimizer/vars/3: it is a link"):
        other.load_weights(saved / "w.weights.h5")
    assert all(not w.any() for w in other.get_weights())


# ------------------------------------------------------------------------------------------------- fuzz

FUZZ = """
import json, os, random, resource, sys, time, warnings, zipfile
import h5py
from fkeras import saving
from tests.test_files_safety import mutated

folder, count = sys.argv[1], int(sys.argv[2])
warnings.simplefilter("ignore")
results, worst, start = {}, 0.0, None
models = saving.load_model(os.path.join(folder, "m.h5"))
for name in ("m.h5", "m.keras", "w.h5", "w.weights.h5", "m.json", "m.h5 config", "m.keras config"):
    file, _, inner = name.partition(" ")
    whole = open(os.path.join(folder, file), "rb").read()
    for seed in range(count):
        path = os.path.join(folder, "x_" + file)
        mutated(whole, random.Random(f"{name} {seed}"), path, inner)
        start = start or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, before = time.perf_counter(), [w.tobytes() for w in models.get_weights()]
        try:
            if file == "m.json":
                saving.model_from_json(open(path, errors="replace").read())
            elif file.startswith("m."):
                saving.load_model(path)
            else:
                models.load_weights(path)
            outcome = "loaded"
        except (ValueError, OSError) as err:
            outcome = "refused"
            if "x_" + file not in str(err) and "the JSON of a model" not in str(err):
                sys.exit(f"{name} seed {seed}: the message does not name the file: {err!r}")
            if [w.tobytes() for w in models.get_weights()] != before:
                sys.exit(f"{name} seed {seed}: refused, but weights changed")
        except BaseException as err:
            import traceback
            traceback.print_exc()
            sys.exit(f"{name} seed {seed}: {err!r}")
        results.setdefault(name, []).append(outcome)
        worst = max(worst, time.perf_counter() - began)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024
print(json.dumps({"worst": worst, "grown": grown, "refused": {k: v.count("refused") for k, v in results.items()}}))
"""

ODD = [None, True, -1, 0, 3, 10**12, 1.5, 1e308, "", "x", "relu", "__lambda__", [], {}, [[]], {"class_name": "Dense"},
       {"class_name": "Lambda", "config": {"function": ["YQ==", None, None]}}, "../../etc/passwd"]  # fmt: skip


def mutated(whole, rng, path, inner=""):
    """Writes a damaged copy of a file: bits turned, pieces lost, doubled or zeroed, or its config changed."""
    if inner or path.endswith(".json"):
        return _mutated_config(whole, rng, path)
    data = bytearray(whole)
    kind = rng.choice(["bits", "bits", "bits", "cut", "zeros", "double", "bytes"])
    at, size = rng.randrange(len(data)), rng.randrange(1, 64)
    if kind == "bits":
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "zeros":
        data[at : at + size] = bytes(size)
    elif kind == "double":
        data[at:at] = data[at : at + size]
    else:
        data[at : at + size] = rng.randbytes(size)
    with open(path, "wb") as file:
        file.write(data)


def _mutated_config(whole, rng, path):
    if path.endswith(".json"):
        config = json.loads(whole)
    elif path.endswith(".keras"):
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            held = {n: archive.read(n) for n in archive.namelist()}
        config = json.loads(held["config.json"])
    else:
        with open(path, "wb") as file:
            file.write(whole)
        key = rng.choice(["model_config", "model_config", "training_config"])
        with h5py.File(path) as file:
            config = json.loads(file.attrs[key])
    for _ in range(rng.randrange(1, 3)):
        _change(config, rng)
    text = json.dumps(config)
    if path.endswith(".json"):
        with open(path, "w") as file:
            file.write(text)
    elif path.endswith(".keras"):
        with zipfile.ZipFile(path, "w") as archive:
            for n, data in {**held, "config.json": text}.items():
                archive.writestr(n, data)
    else:
        with h5py.File(path, "r+") as file:
            file.attrs[key] = text


def _change(config, rng):
    """Replaces, removes or doubles one value somewhere in a config."""
    places = []

    def walk(node):
        for key in range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else ():
            places.append((node, key))
            walk(node[key])

    walk(config)
    node, key = rng.choice(places)
    kind = rng.choice(["odd", "odd", "odd", "remove", "swap", "rename"])
    if kind == "remove":
        del node[key]
    elif kind == "swap":
        other, place = rng.choice(places)
        node[key] = json.loads(json.dumps(other[place]))
    elif kind == "rename" and isinstance(node, dict):
        node[f"{key}_"] = node.pop(key)
    else:
        node[key] = json.loads(json.dumps(rng.choice(ODD)))


def test_mutated_files_load_or_are_refused_by_name(tmp_path):
    """In a process of its own: a crash of the HDF5 library would be seen, and what memory and time were taken."""
    a = Input((4,), name="a")
    x = L.Dense(3, activation="relu", kernel_regularizer="l2", name="d")(a)
    x = L.BatchNormalization(name="n")(x)
    model = Model(a, [L.Add(name="s")([x, x]), Sequential([L.Dense(2, name="e")], name="q")(x)], name="m")
    model.compile(optim.Adam(0.01), ["mse", "mae"], metrics=[["mae"], ["accuracy"]])
    model.train_on_batch(random(4, 4), [random(4, 3), random(4, 2)])
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
    for name in ("w.h5", "w.weights.h5"):
        model.save_weights(tmp_path / name)
    (tmp_path / "m.json").write_text(model.to_json())
    count = os.environ.get("FKERAS_FUZZ", "30")  # mutations of each kind of file
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(tmp_path), count], capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-3000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["worst"] < 10 and found["grown"] < 300, found  # seconds for one file on a busy machine, megabytes
    assert all(n > int(count) // 10 for n in found["refused"].values()), found
