"""A training that `tests/test_survival.py` kills: `python -m tests.survivor KIND FOLDER OUT STEPS DEVICES`.

Checkpoints are written to FOLDER every so many STEPS; DEVICES is 0 for one device.

Writes the weights, the history and the rows of the CSV file to OUT when it comes to its end.
"""

import json
import os
import random
import signal
import sys
import time

if __name__ == "__main__" and int(sys.argv[5]):
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[5]}"

import numpy as np

import fkeras
from fkeras import callbacks, layers

X = np.random.default_rng(0).normal(size=(90, 6)).astype("float32")
Y = np.arange(90) % 3


class Numbers(fkeras.utils.PyDataset):
    """Draws noise from a generator of its own and goes through the rows in an order that it shuffles."""

    def __init__(self):
        super().__init__()
        self.drawn, self.order, self.used = np.random.default_rng(5), np.arange(len(X)), 0

    def __len__(self):
        return 9

    def __getitem__(self, i):
        rows = self.order[i * 10 : (i + 1) * 10]
        self.used += 1
        noise = self.drawn.normal(size=X[rows].shape) + 0.01 * self.used + 0.1 * np.random.rand()
        return X[rows] + noise.astype("float32"), Y[rows]

    def on_epoch_end(self):
        self.drawn.shuffle(self.order)
        random.random()


class Stream:
    """An iterator that can tell where it stands."""

    def __init__(self):
        self.drawn, self.count = np.random.default_rng(5), 0

    def __iter__(self):
        return self

    def __next__(self):
        self.count += 1
        rows = self.drawn.integers(0, 90, 10)
        return X[rows], Y[rows]

    def get_state(self):
        return {"count": self.count, "drawn": self.drawn.bit_generator.state}

    def set_state(self, state):
        self.count, self.drawn.bit_generator.state = state["count"], state["drawn"]


def stream():
    drawn = np.random.default_rng(5)
    while True:
        rows = drawn.integers(0, 90, 10)
        yield X[rows], Y[rows]


class Passes:
    """An iterable of another order in every pass, which nobody can ask for its place."""

    def __init__(self):
        self.drawn = np.random.default_rng(5)

    def __iter__(self):
        for rows in self.drawn.permutation(90).reshape(9, 10):
            yield X[rows], Y[rows]


def data(kind, folder):
    """Returns the arguments of `fit` that say what it trains on."""
    if kind == "memmap":
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "x.npy")
        if not os.path.exists(path):
            np.save(path + ".tmp.npy", X)
            os.replace(path + ".tmp.npy", path)
        return {"x": np.load(path, mmap_mode="r"), "y": Y, "batch_size": 10}
    if kind == "arrays":
        return {"x": X, "y": Y, "batch_size": 10, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}
    if kind == "steps":
        return {"x": X, "y": Y, "batch_size": 10, "steps_per_epoch": 7}
    if kind == "dataset":
        rows = fkeras.data.datasets.Dataset.of_rows(90, lambda i: (X[i], Y[i]), shuffle=True, seed=4)
        return {"x": rows.batch(10)}
    if kind == "list":
        return {"x": [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 90, 10)]}
    if kind in ("stream", "generator"):
        return {"x": Stream() if kind == "stream" else stream(), "steps_per_epoch": 9}
    return {"x": {"numbers": Numbers, "passes": Passes}[kind]()}


class Crash(Exception):
    """Ends a training from within."""


def train(kind, folder, out, crash=None, pause=0.0, save_freq=4, distribute=None):
    """Trains, and writes what came of it to `out`.

    Args:
        kind: What it trains on, see `data`.
        folder: Of the checkpoints.
        crash: After so many batches of this run an error is raised.
        pause: Seconds to sleep after every batch.
    """
    np.random.seed(3)
    random.seed(3)
    fkeras.utils.set_random_seed(3)
    model = fkeras.Sequential(
        [layers.Input((6,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(3)]
    )
    rate = fkeras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9) if kind == "steps" else 0.01
    loss = fkeras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        fkeras.optimizers.Adam(rate, use_ema=kind == "list"), loss, metrics=["accuracy"], distribute=distribute
    )
    table = os.path.join(os.path.dirname(out), "rows.csv")
    watching = [
        callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        callbacks.ModelCheckpoint(os.path.join(os.path.dirname(out), "best.weights.h5"), save_best_only=True,
                                  save_weights_only=True),
        callbacks.CSVLogger(table),
    ]  # fmt: skip
    if kind != "steps":
        watching.append(callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.5, factor=0.9))
        watching.append(callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.97))
    seen = []

    def after(batch, logs):
        seen.append(batch)
        time.sleep(pause)
        if len(seen) == crash:
            raise Crash

    if crash or pause:
        watching.append(callbacks.LambdaCallback(on_train_batch_end=after))
    backup = callbacks.BackupAndRestore(folder, save_freq=save_freq, double_checkpoint=True, delete_checkpoint=False)
    record = model.fit(
        **data(kind, os.path.dirname(out)), epochs=4, validation_data=(X[:20], Y[:20]), callbacks=watching, verbose=0,
        resume=backup,
    )  # fmt: skip
    with open(table) as file:
        rows = file.read()
    done = {"history": record.history, "epoch": record.epoch, "csv": rows, "best": watching[1].best}
    done["weights"] = [a.tobytes().hex() for a in model.get_weights()]
    done["optimizer"] = [np.asarray(v).tobytes().hex() for v in model.optimizer.variables]
    with open(out, "w") as file:
        json.dump(done, file)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is started without it
    print("begins", flush=True)
    train(*sys.argv[1:4], pause=0.03, save_freq=int(sys.argv[4]), distribute=int(sys.argv[5]) or None)
