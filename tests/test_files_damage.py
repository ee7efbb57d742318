"""Files that notice damage: a byte that was turned is found, or changes nothing. What may be replaced, and is left."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from fkeras import layers as L
from fkeras import optim, saving
from fkeras.core import paths
from fkeras.models import Input, Sequential
from tests.test_saving import assert_same

FLIPS = int(os.environ.get("FKERAS_FLIPS", "12"))  # bytes turned in each file


def make(**name):
    return Sequential(
        [
            Input((6, 3)),
            L.GRU(4, name="g"),
            L.BatchNormalization(name="n"),
            L.Dense(4, activation="hard_sigmoid", name="d"),
            L.Dense(4, activation="relu", name="e"),
        ],
        name="m",
    )


@pytest.fixture(scope="module")
def trained():
    model = make()
    model.compile(optim.Adam(0.01), "mse")
    rng = np.random.default_rng(3)
    model.fit(rng.random((8, 6, 3), "float32"), rng.random((8, 4), "float32"), verbose=0)
    return model


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    """A folder with the model's files, read only."""
    folder = tmp_path_factory.mktemp("damage")
    trained.save(folder / "m.h5")
    trained.save(folder / "m.keras")
    trained.save_weights(folder / "w.h5")
    trained.save_weights(folder / "w.weights.h5")
    trained.save(folder / "saved", save_format="tf")
    return folder


# ------------------------------------------------------------------------------------------ single bytes

# In a process of its own: libhdf5 may crash, which would be seen.
TURN = """
import collections, json, os, random, sys, warnings
import numpy as np
from fkeras import saving
from tests.test_files_damage import make
warnings.simplefilter("ignore")

folder, count = sys.argv[1], int(sys.argv[2])
os.chdir(folder)
x = np.random.default_rng(1).random((4, 6, 3), "float32")
whole, results = saving.load_model("m.keras"), collections.defaultdict(collections.Counter)
right, config, arrays = np.asarray(whole(x)), json.dumps(whole.get_config()), [w.tobytes() for w in whole.get_weights()]
other = make()
zeros = [w * 0 for w in other.get_weights()]
inner = [os.path.join(at, n) for at, _, names in os.walk("saved") for n in names]
for path in ("m.h5", "m.keras", "w.h5", "w.weights.h5", *sorted(inner)):
    data = open(path, "rb").read()
    rng = random.Random(path)
    for i in range(count):
        place, turned = rng.randrange(len(data)), rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
        with open(path, "wb") as file:
            file.write(data[:place] + bytes([data[place] ^ turned]) + data[place + 1 :])
        try:
            if path.startswith("w"):
                other.set_weights(zeros)
                other.load_weights(path)
                model = other
            else:
                model = saving.load_model(path.split(os.sep)[0])
            same = [w.tobytes() for w in model.get_weights()] == arrays and json.dumps(model.get_config()) == config
            outcome = "harmless" if same or np.array_equal(np.asarray(model(x)), right) else "silent"
        except (ValueError, OSError) as err:
            outcome = "found"
        results[path][outcome] += 1
        if outcome == "silent":
            print(f"{path}: byte {place} of {len(data)} xor {turned}", file=sys.stderr)
    with open(path, "wb") as file:
        file.write(data)
print(json.dumps(results))
"""


def test_a_byte_that_was_turned_is_found_or_changes_nothing(saved, tmp_path):

    shutil.copytree(saved, tmp_path / "files")
    done = subprocess.run(
        [sys.executable, "-c", TURN, str(tmp_path / "files"), str(FLIPS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    print(results)
    assert len(results) == 8 and all("silent" not in found for found in results.values()), (results, done.stderr)
    assert all(sum(found.values()) == FLIPS for found in results.values())


def places(path, array):
    """Returns where the bytes of an array lie in a file."""
    at = path.read_bytes().find(np.ascontiguousarray(array).tobytes())
    assert at > 0
    return at


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "w.h5", "w.weights.h5", "saved"])
@pytest.mark.parametrize("layer", ["g", "n", "d", "e"])
def test_every_bit_of_a_weight_is_checked_and_the_message_names_the_layer(name, layer, trained, saved, tmp_path):

    variable = trained.get_layer(layer).weights[0]
    (shutil.copytree if name == "saved" else shutil.copy)(saved / name, tmp_path / name)
    path = tmp_path / name / "variables" / "variables.data-00000-of-00001" if name == "saved" else tmp_path / name
    start, data = places(path, variable.numpy()), bytearray(path.read_bytes())
    at, bit = start + random.Random(layer + name).randrange(4 * variable.numpy().size), random.Random(name).randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    target = make()
    before = target.get_weights()
    expected = f"damaged .*checksum is wrong.* It is '{variable.name}' of {variable.layer.label}"
    with pytest.raises(ValueError, match=expected) as err:
        target.load_weights(tmp_path / name)
    assert name in str(err.value) and len(str(err.value)) < 400 + len(str(tmp_path))
    assert_same(target.get_weights(), before)


@pytest.mark.parametrize("skip", [True, False])
def test_damage_is_no_mismatch_that_may_be_skipped(skip, trained, saved, tmp_path):
    data = bytearray((saved / "w.h5").read_bytes())
    data[places(saved / "w.h5", trained.get_layer("d").weights[0].numpy()) + 5] ^= 4
    (tmp_path / "w.h5").write_bytes(data)
    with pytest.raises(ValueError, match="the numbers are damaged"):
        make().load_weights(tmp_path / "w.h5", skip_mismatch=skip)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"hard_sigmoid"', '"hard_sigmoie"'),
        ('"units": 4', '"units": 5'),
        ('"epsilon": 0.001', '"epsilon": 0.009'),
        ("3.10.0", "2.10.0"),  # for which hard_sigmoid is another function
    ],
)
def test_what_a_model_is_made_of_is_checked_too(old, new, saved, tmp_path):
    for name in ("m.h5", "saved"):
        whole = saved / "saved" / "assets" / "saved_model.json" if name == "saved" else saved / name
        data = whole.read_bytes()
        if old.encode() not in data:
            assert name == "saved" and old == "3.10.0"
            continue

        (shutil.copytree if name == "saved" else shutil.copy)(saved / name, tmp_path / name)
        path = tmp_path / "saved" / "assets" / "saved_model.json" if name == "saved" else tmp_path / name
        path.write_bytes(data.replace(old.encode(), new.encode()))
        with pytest.raises(ValueError, match="damaged \\(its checksum is wrong\\). If you changed it yourself, delete"):
            saving.load_model(tmp_path / name)


def test_two_weights_that_lead_to_one_array_are_damage(trained, tmp_path):
    trained.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        del file["layers/dense_1/vars/0"]
        file["layers/dense_1/vars/0"] = file["layers/dense/vars/0"]
    with pytest.raises(ValueError, match=r"'/layers/dense_1/vars/0' leads to the array of '/layers/dense/vars/0'"):
        make().load_weights(tmp_path / "w.weights.h5")


def test_files_without_checksums_and_files_changed_on_purpose_load(trained, saved, tmp_path):
    """Keras writes none. What was changed by hand is told by deleting them, a text also by its new length."""

    def strip(name, node):
        if "fkeras_crc32" in node.attrs:
            del node.attrs["fkeras_crc32"]

    for name in ("m.h5", "w.h5", "w.weights.h5"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
        with h5py.File(tmp_path / name, "r+") as file:
            file.visititems(strip)
            strip("", file)
        model = make()
        model.load_weights(tmp_path / name)
        assert_same(model.get_weights(), trained.get_weights())
    (tmp_path / "m.h5").write_bytes((saved / "m.h5").read_bytes())
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"relu"', '"softplus"')
    assert saving.load_model(tmp_path / "m.h5").get_layer("e").activation.__name__ == "softplus"


# ---------------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize("link", [None, h5py.SoftLink("/elsewhere"), h5py.ExternalLink("other.h5", "/model_weights")])
def test_a_file_whose_weights_are_missing_is_not_a_model_with_fresh_ones(link, saved, tmp_path):
    (tmp_path / "m.h5").write_bytes((saved / "m.h5").read_bytes())
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.move("model_weights", "elsewhere")
        if link is not None:
            file["model_weights"] = link
    expected = "the weights are missing, it has no group 'model_weights'" if link is None else "it is a link"
    for compile in (True, False):
        with pytest.raises(ValueError, match=rf"m.h5'.*{expected}"):
            saving.load_model(tmp_path / "m.h5", compile=compile)
    if link is not None:
        with h5py.File(tmp_path / "m.h5", "r+") as file:
            del file["model_weights"]
            file.move("elsewhere", "model_weights")
            file.move("optimizer_weights", "elsewhere")
            file["optimizer_weights"] = link
        with pytest.raises(ValueError, match=r"m.h5', at /optimizer_weights: it is a link"):
            saving.load_model(tmp_path / "m.h5")


def test_a_model_without_weights_needs_none(tmp_path):
    Sequential([Input((4,)), L.ReLU()]).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        del file["model_weights"]
    assert saving.load_model(tmp_path / "m.h5").count_params() == 0


# -------------------------------------------------------------------------------- arrays of other kinds


@pytest.mark.parametrize("kind", [">f4", ">f8", "longdouble", "<f8", "float16", ">i4", "int64"])
def test_numbers_of_any_kind_of_the_machine_or_not_are_read(kind, tmp_path):
    model = Sequential([Input((2,)), L.Dense(3, name="d")])
    model.save_weights(tmp_path / "w.h5")
    kernel = np.arange(6).reshape(2, 3).astype(kind)
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        del file["d/d/kernel"]
        file["d/d/kernel"] = kernel
    model.load_weights(tmp_path / "w.h5")
    assert_same(model.get_weights()[0], np.arange(6, dtype="float32").reshape(2, 3))


@pytest.mark.parametrize("array", [np.zeros((2, 3), "datetime64[s]"), np.zeros((2, 3), "timedelta64[s]")])
def test_dates_are_no_weights(array, tmp_path):
    model = Sequential([Input((2,)), L.Dense(3, name="d")])
    model.save_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        del file["d/d/kernel"]
        file["d/d"].create_dataset("kernel", data=array.astype(h5py.opaque_dtype(array.dtype)))
    with pytest.raises(ValueError, match=r"at /d/d/kernel: expected numbers, found .* It belongs to Dense 'd'"):
        model.load_weights(tmp_path / "w.h5")


# ----------------------------------------------------------------------------------- what may be replaced


def pseudo_terminal(path):
    import pty

    _, inner = pty.openpty()
    os.symlink(os.ttyname(inner), path)
    return "it is a device, and only files are replaced"


def unix_socket(path):
    import socket

    here = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(path.name)
    os.chdir(here)
    return "it is a socket, and only files are replaced"


def pipe(path):
    os.mkfifo(path)
    return r"it is a pipe \(FIFO\), and only files are replaced"


def loop(path):
    os.symlink(path.name, path)
    return "Too many levels of symbolic links"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
@pytest.mark.parametrize("kind", [pseudo_terminal, unix_socket, pipe, loop])
@pytest.mark.parametrize("name", ["m.h5", "m.keras", "w.weights.h5"])
def test_only_files_are_replaced(kind, name, trained, tmp_path):
    message = kind(tmp_path / name)
    before = os.lstat(tmp_path / name)
    for overwrite in (True, False):
        with pytest.raises(OSError, match=rf"Cannot write '.*{name}': {message}"):
            (trained.save_weights if name.startswith("w") else trained.save)(tmp_path / name, overwrite=overwrite)
    after = os.lstat(tmp_path / name)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode) and os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_link_to_a_file_is_followed_and_stays_a_link(name, trained, tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(os.path.join("real", name), tmp_path / name)  # to a file that is not there yet
    for _ in range(2):
        trained.save(tmp_path / name)
        assert os.path.islink(tmp_path / name) and os.listdir(tmp_path / "real") == [name]


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "w.weights.h5", "saved"])
def test_a_parent_that_is_a_file_is_named(name, trained, tmp_path):
    (tmp_path / "p").write_text("text")
    options = {"save_format": "tf"} if name == "saved" else {}
    with pytest.raises(NotADirectoryError, match=rf"Cannot write '.*p.{name}': "):
        (trained.save_weights if name.startswith("w") else trained.save)(tmp_path / "p" / name, **options)
    with pytest.raises(OSError, match=rf"'.*p.{name}'"):
        saving.load_model(tmp_path / "p" / name)
    assert (tmp_path / "p").read_text() == "text"


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "w.weights.h5", "saved"])
def test_paths_of_bytes_are_paths(name, trained, tmp_path):
    path = os.fsencode(tmp_path / name)
    if name.startswith("w"):
        trained.save_weights(path)
        (model := make()).load_weights(path)
    else:
        trained.save(path, **({"save_format": "tf"} if name == "saved" else {}))
        model = saving.load_model(path)
    assert_same(model.get_weights(), trained.get_weights())


def test_names_that_no_file_can_have_are_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r"save_model: expected a path, got .* which holds a zero byte"):
        trained.save(str(tmp_path / "a\0b.h5"))
    with pytest.raises(OSError, match="Cannot write"):
        trained.save(tmp_path / ("a" * 300 + ".h5"))
    trained.save(tmp_path / ("a" * 250 + ".h5"))  # its unfinished file has a shorter name
    assert len(os.listdir(tmp_path)) == 1


# ------------------------------------------------------------------------------- what a killed save leaves

KILLED = """
import os, sys, time
from fkeras.core import paths
from fkeras.saving.tensorflow import folder
if sys.argv[2] == "folder":
    held = folder.replacing_folder(sys.argv[1])
else:
    held = paths.replacing(sys.argv[1])
with held as fresh:
    print(fresh, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writers(tmp_path):
    """Two processes in the midst of a save into tmp_path, of a file and a folder: (process, unfinished path)."""
    found = []
    for name, kind in (("a.h5", "file"), ("b", "folder")):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / name), kind], stdout=subprocess.PIPE, text=True
        )
        found.append((process, process.stdout.readline().strip()))
    yield found
    for process, _ in found:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_next_save_removes_what_a_dead_process_left_and_never_a_living_ones(writers, trained, tmp_path):
    assert all(os.path.exists(fresh) for _, fresh in writers)
    trained.save(tmp_path / "m.keras")
    assert all(os.path.exists(fresh) for _, fresh in writers)  # both live
    for process, _ in writers:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (tmp_path / ".mine.tmp").write_text("of somebody else")
    trained.save(tmp_path / "m.h5")
    assert sorted(os.listdir(tmp_path)) == [".mine.tmp", "m.h5", "m.keras"]


def test_unfinished_files_of_other_machines_go_when_nobody_writes_them_for_a_day(trained, tmp_path):
    name = paths.beside(str(tmp_path / "m.h5"))[1].replace(f".{paths._home()}-", ".01234567-")
    for age, left in ((3600, True), (90_000, False)):
        with open(name, "w") as file:
            file.write("unfinished")
        os.utime(name, (time.time() - age,) * 2)
        trained.save(tmp_path / "other.h5")
        assert os.path.exists(name) is left


def test_a_folder_that_was_moved_away_when_the_process_died_is_put_back(trained, tmp_path):
    """Where folders cannot change places in one step, the old one lies beside its place for a moment."""
    trained.save(tmp_path / "saved", save_format="tf")
    gone = paths.beside(str(tmp_path / "saved"))[1].replace(f"-{os.getpid()}-", "-999999999-")
    os.rename(tmp_path / "saved", f"{gone}.old")
    trained.save(tmp_path / "m.h5")
    assert sorted(os.listdir(tmp_path)) == ["m.h5", "saved"]
    assert_same(saving.load_model(tmp_path / "saved").get_weights(), trained.get_weights())


def test_large_weights_are_read_from_every_file(tmp_path):
    """More bytes than any text may have: what bounds texts does not bound arrays."""
    model = Sequential([Input((4096,)), L.Dense(4200, name="d", kernel_initializer="ones")])
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        loaded = saving.load_model(tmp_path / name)
        assert np.array_equal(np.asarray(loaded(np.ones((1, 4096), "float32"))), np.full((1, 4200), 4096.0))
