"""Trainings that are killed and started again end with the same bits; checkpoints are sound or refused."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fkeras
from fkeras import callbacks, layers
from fkeras.training import checkpoints
from tests import survivor

KINDS = ["arrays", "steps", "memmap", "dataset", "list", "numbers", "stream", "generator", "passes"]


def outcome(folder):
    return json.loads((folder / "out.json").read_text())


def run(kind, folder, **how):
    folder.mkdir(exist_ok=True)
    survivor.train(kind, str(folder / "kept"), str(folder / "out.json"), **how)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_ends_by_an_error_goes_on_with_the_same_bits(kind, tmp_path):
    run(kind, tmp_path / "whole")
    for crash in (7, 14):  # within the first epoch and, gone on at step 4, at the end of the second
        with pytest.raises(survivor.Crash):
            run(kind, tmp_path / "cut", crash=crash)
    run(kind, tmp_path / "cut")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    os.remove(tmp_path / "cut" / "out.json")
    run(kind, tmp_path / "cut")  # complete already: nothing is trained, all of it is there
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def started(kind, folder, steps=4, devices=0, **how):
    folder.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "tests.survivor",
        kind,
        folder / "kept",
        folder / "out.json",
        str(steps),
        str(devices),
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)
    assert child.stdout.readline() == "begins\n"
    return child


def until_killed(kind, folder, moments, **how):
    """Kills a training at so many moments after it wrote its first checkpoint, then lets it end."""
    for moment in moments:
        child = started(kind, folder, **how)
        before = set(os.listdir(folder / "kept")) if (folder / "kept").exists() else set()
        while child.poll() is None and not ((folder / "kept").exists() and set(os.listdir(folder / "kept")) - before):
            time.sleep(0.002)
        time.sleep(moment)
        child.kill()
        child.communicate()
    child = started(kind, folder, **how)
    text, _ = child.communicate()
    assert child.returncode == 0, text


def test_a_killed_process_goes_on_with_the_same_bits(tmp_path):
    run("arrays", tmp_path / "whole")
    until_killed("arrays", tmp_path / "cut", [0.05, 0.12])
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.parametrize("devices", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_processes_killed_at_any_moment_go_on_with_the_same_bits(kind, devices, tmp_path):
    child = started(kind, tmp_path / "whole", devices=devices)
    text, _ = child.communicate()
    assert child.returncode == 0, text
    drawn = random.Random(f"{kind} {devices}")
    for case in range(2):
        folder = tmp_path / f"cut{case}"
        until_killed(
            kind, folder, [drawn.uniform(0, 0.4) for _ in range(2)], steps=drawn.choice([1, 4]), devices=devices
        )
        assert outcome(folder) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_training_with_a_checkpoint(number, tmp_path):
    child = started("arrays", tmp_path / "cut", steps=1000)
    while not (tmp_path / "cut" / "rows.csv").exists() or not (tmp_path / "cut" / "rows.csv").stat().st_size:
        assert child.poll() is None
        time.sleep(0.005)
    time.sleep(0.05)
    child.send_signal(number)
    text, _ = child.communicate(timeout=60)
    assert child.returncode == (128 + number if number == signal.SIGTERM else -signal.SIGINT), text
    assert re.search(rf"{number.name}: training ends in epoch \d, step \d+\. What is done is in '.*kept'", text)
    until_killed("arrays", tmp_path / "cut", [], steps=1000)
    run("arrays", tmp_path / "whole")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


# ------------------------------------------------------------------------------------- the files


def model():
    fkeras.utils.set_random_seed(1)
    net = fkeras.Sequential([layers.Input((3,)), layers.Dense(2)])
    net.compile("sgd", "mse")
    return net


X, Y = np.ones((8, 3), np.float32), np.ones((8, 2), np.float32)


def test_a_tree_comes_back_as_it_was(tmp_path):
    import jax.numpy as jnp

    tree = {
        "a": [1, 2.5, None, True, "text", float("inf"), b"\0\1"],
        3: {"half": np.asarray(jnp.ones((2, 3), jnp.bfloat16)), "none": np.zeros((0, 2)), "one": np.float32(2)},
        "big": 1 << 100,
        "pair": (1, (2, [np.array(["x", "yz"])])),
    }
    checkpoints.write(str(tmp_path / "c.zip"), tree)
    back = checkpoints.read(str(tmp_path / "c.zip"))
    assert back["a"] == tree["a"] and back["big"] == tree["big"] and back["pair"][1][1][0].tolist() == ["x", "yz"]
    assert back[3]["half"].dtype.name == "bfloat16" and back[3]["none"].shape == (0, 2) and back[3]["one"] == 2
    with pytest.raises(TypeError, match=r"cannot hold a/b \(object\)"):
        checkpoints.write(str(tmp_path / "d.zip"), {"a": {"b": object()}})


def test_a_flipped_bit_is_found_and_the_checkpoint_before_it_is_used(tmp_path):
    net = model()
    net.fit(X, Y, epochs=3, verbose=0, resume=tmp_path)
    last, before = (tmp_path / f"epoch-00{n}-step-000000.zip" for n in (3, 2))
    good, kept = last.read_bytes(), checkpoints.read(str(last))
    files = checkpoints.Checkpoints(str(tmp_path))
    found = 0
    drawn = random.Random(0)
    for _ in range(120):
        bad = bytearray(good)
        bad[drawn.randrange(len(bad))] ^= 1 << drawn.randrange(8)
        last.write_bytes(bad)
        with pytest.warns(UserWarning, match="is damaged") if _is_bad(last) else contextlib.nullcontext():
            name, content = files.read()
        if name == before.name:
            found += 1
        else:  # a date, a comment: what is in it is what was written
            assert repr(content) == repr(kept)
    assert found > 100
    at = good.index(b"/kernel") + len(b"/kernel") + 1
    last.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
    with pytest.warns(UserWarning, match=r"epoch-003-step-000000.zip' is damaged: Bad CRC-32 for file '.*/kernel'"):
        assert files.read()[0] == before.name
    before.write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(OSError, match="no checkpoint can be read; .*Delete the folder"):
        files.read()


def _is_bad(path):
    try:
        checkpoints.read(str(path))
    except checkpoints._DAMAGE:
        return True
    return False


def test_one_training_to_a_folder(tmp_path):
    said = pytest.raises(RuntimeError, match=r"another training \(process \d+\) writes its checkpoints there")
    with checkpoints.Checkpoints(str(tmp_path)).held(), said:
        model().fit(X, Y, verbose=0, resume=tmp_path)
    model().fit(X, Y, verbose=0, resume=tmp_path)


@pytest.mark.filterwarnings("ignore:A checkpoint was not written")  # it vanished while one was being written
def test_a_folder_that_cannot_be_written_is_refused_and_one_that_vanishes_is_made_anew(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write checkpoints there"):
        model().fit(X, Y, verbose=0, resume=tmp_path / "file")
    folder = tmp_path / "kept"

    def vanish(epoch, logs):
        if epoch == 1:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    model().fit(X, Y, epochs=3, verbose=0, resume=folder, callbacks=[callbacks.LambdaCallback(on_epoch_begin=vanish)])
    assert (folder / "epoch-003-step-000000.zip").exists()


def test_a_full_disk_is_told_and_training_goes_on(tmp_path, monkeypatch):
    net = model()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write", full)
    with pytest.warns(UserWarning, match="A checkpoint was not written: .*No space left on device. Training goes on"):
        assert len(net.fit(X, Y, epochs=2, verbose=0, resume=tmp_path).history["loss"]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": 5}, "model was 2 arrays of other names or shapes"),
        ({"optimizer": "adam"}, "optimizer was SGD, is Adam"),
        ({"batch_size": 2}, "batch size was 4, is 2; steps was 2, is 4. It stands within an epoch"),
        ({"rows": 6}, "rows was 8, is 6; data .* It stands within"),
        ({"value": 2}, "data was .* It stands within"),
    ],
)
def test_another_training_than_before_is_refused_by_what_changed(change, message, tmp_path):
    def crash(batch, logs):
        raise survivor.Crash

    backup = callbacks.BackupAndRestore(tmp_path, save_freq=1)
    with pytest.raises(survivor.Crash):
        stop = callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: batch and crash(batch, logs))
        model().fit(X, Y, batch_size=4, verbose=0, callbacks=[stop, backup])
    dense = [layers.Dense(2, use_bias=False), layers.Dense(2, use_bias=False)] if "net" in change else [layers.Dense(2)]
    net = fkeras.Sequential([layers.Input((3,)), *dense])
    net.compile(change.get("optimizer", "sgd"), "mse")
    n = change.get("rows", 8)
    with pytest.raises(ValueError, match=message):
        net.fit(
            change.get("value", 1) * X[:n], Y[:n], batch_size=change.get("batch_size", 4), verbose=0, callbacks=backup
        )


def test_other_data_between_epochs_is_told(tmp_path):
    model().fit(X, Y, epochs=1, verbose=0, resume=tmp_path)
    with pytest.warns(UserWarning, match="rows was 8, is 6.* Training goes on, with other numbers"):
        record = model().fit(X[:6], Y[:6], epochs=2, verbose=0, resume=tmp_path)
    assert record.epoch == [0, 1]


def test_more_epochs_go_on_from_the_end(tmp_path, capsys):
    whole = model()
    whole.fit(X, Y, epochs=4, verbose=0)
    model().fit(X, Y, epochs=2, verbose=0, resume=tmp_path)
    net = model()
    record = net.fit(X, Y, epochs=4, verbose=2, resume=str(tmp_path))
    assert "Training goes on at epoch 3: " in capsys.readouterr().out
    assert record.epoch == [0, 1, 2, 3] and len(record.history["loss"]) == 4
    for a, b in zip(net.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model().fit(X, Y, epochs=4, verbose=2, resume=str(tmp_path))
    assert "Training is complete already: " in capsys.readouterr().out


def test_what_stopped_early_stays_stopped(tmp_path):
    stop = lambda: callbacks.EarlyStopping("loss", patience=1, min_delta=10.0)  # noqa: E731
    first = model().fit(X, Y, epochs=9, verbose=0, resume=tmp_path, callbacks=stop())
    again = model().fit(X, Y, epochs=9, verbose=0, resume=tmp_path, callbacks=stop())
    assert first.history == again.history and len(first.epoch) < 9


def test_a_callback_of_ones_own_takes_part(tmp_path):
    class Counter(fkeras.callbacks.Callback):
        remembers = ("count",)
        count = 0

        def on_train_begin(self, logs=None):
            self.count = 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1

    model().fit(X, Y, epochs=2, verbose=0, resume=tmp_path, callbacks=Counter())
    last = Counter()
    model().fit(X, Y, epochs=3, verbose=0, resume=tmp_path, callbacks=last)
    assert last.count == 3
    with pytest.warns(UserWarning, match="The checkpoint knows of callbacks that are not here: Counter 1"):
        model().fit(X, Y, epochs=4, verbose=0, resume=tmp_path)


def test_backups_of_real_keras_are_read_and_what_is_complete_is_deleted(keras, tmp_path):
    judge = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    judge.compile("sgd", "mse")
    judge.fit(
        X, Y, epochs=2, verbose=0, callbacks=keras.callbacks.BackupAndRestore(str(tmp_path), delete_checkpoint=False)
    )
    (tmp_path / "mine.txt").write_text("keep")
    net = model()
    record = net.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path))
    assert record.epoch == [2]
    judge.fit(X, Y, verbose=0)
    for a, b in zip(net.get_weights(), judge.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (tmp_path / "mine.txt").exists() and not list(tmp_path.glob("epoch-*"))


def test_backups_are_asked_for_in_one_way(tmp_path):
    backup = callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match="give resume=..., or a BackupAndRestore among the callbacks, not both"):
        model().fit(X, Y, callbacks=backup, resume=tmp_path, verbose=0)
    with pytest.raises(ValueError, match="expected the path of a folder, got an empty one"):
        callbacks.BackupAndRestore("")
    with pytest.raises(ValueError, match="expected 'epoch' or a positive number of batches, got '9 days'. A time such"):
        callbacks.BackupAndRestore("x", save_freq="9 days")
    assert callbacks.BackupAndRestore("x", save_freq="2m").every() == (None, 120.0)


def test_a_checkpoint_by_the_clock_and_from_a_thread(tmp_path):
    backup = callbacks.BackupAndRestore(tmp_path, save_freq="0.001s", delete_checkpoint=False)
    errors = []

    def work():  # no signals there
        try:
            model().fit(X, Y, batch_size=1, epochs=2, verbose=0, callbacks=backup)
        except BaseException as err:
            errors.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors and [path.name for path in tmp_path.glob("epoch*")] == ["epoch-002-step-000000.zip"]
