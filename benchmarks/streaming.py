"""Training from streams and files against arrays in memory: `python -m benchmarks.streaming`.

Prints steps per second of `fit` on a generator, HDF5 data sets and memory maps, and their ratio to arrays in memory
(medians of alternating rounds); then what a process holds and takes over 100,000 steps. With `--gigabytes N` it trains
the MLP on a memory map of that size instead, which should be more than the machine has memory.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time

import h5py
import numpy as np

import fkeras
from benchmarks.peers import models
from benchmarks.workloads import WORKLOADS


def sources(folder, work, x, y):
    """Returns {name: arguments of fit} for the same rows in memory, in files, and from a generator of batches."""
    path = os.path.join(folder, work.name)
    with h5py.File(path + ".h5", "w") as file:
        file["x"], file["y"] = x, y
    np.save(path + "-x.npy", x)
    np.save(path + "-y.npy", y)
    file = h5py.File(path + ".h5")
    maps = [np.load(f"{path}-{name}.npy", mmap_mode="r") for name in "xy"]

    def batches():
        for at in itertools.cycle(range(0, work.rows, work.batch)):
            yield x[at : at + work.batch], y[at : at + work.batch]

    return {
        "memory": {"x": x, "y": y, "batch_size": work.batch},
        "generator": {"x": batches(), "steps_per_epoch": work.steps},
        "HDF5": {"x": file["x"], "y": file["y"], "batch_size": work.batch},
        "memory map": {"x": maps[0], "y": maps[1], "batch_size": work.batch},
    }


def compare(name, rounds, folder):
    """Trains one workload from each source in turn; prints steps/s and ratios."""
    work = WORKLOADS[name]
    x, y = work.data()
    x, y = x[: work.steps * work.batch], y[: work.steps * work.batch]
    model = models.build(fkeras, work)
    models.compile(fkeras, model, work)
    found = sources(folder, work, x, y)
    rates = {source: [] for source in found}
    for _ in range(rounds + 1):
        for source, arguments in found.items():
            start = time.perf_counter()
            model.fit(**arguments, shuffle=source == "memory", epochs=1, verbose=0)
            rates[source].append(work.steps / (time.perf_counter() - start))
    for source, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values[1:], rates["memory"][1:], strict=True))
        print(f"{name:6} {source:11} {statistics.median(values[1:]):9.4g} steps/s  {ratio:.2f} of memory", flush=True)


def resident(kind="VmRSS"):
    """Returns how much memory the process holds, in MB; "RssAnon" is without the pages of files."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(kind))


def large_file(gigabytes, folder):
    """Trains the MLP on a file of that size, rows in order, then part of them shuffled; prints speed and memory."""
    work = WORKLOADS["mlp"]
    x, y = work.data()
    rows = int(gigabytes * 1e9 / x[:1].nbytes) // len(x) * len(x)
    large = np.lib.format.open_memmap(os.path.join(folder, "large.npy"), "w+", x.dtype, (rows, *x.shape[1:]))
    for at in range(0, rows, len(x)):
        large[at : at + len(x)] = x
    large.flush()
    large, labels = np.load(large.filename, mmap_mode="r"), np.tile(y, rows // len(y))
    model = models.build(fkeras, work)
    models.compile(fkeras, model, work)

    def speed(epochs=1, **arguments):
        start, before = time.perf_counter(), int(model.optimizer.iterations)
        model.fit(batch_size=work.batch, epochs=epochs, verbose=0, **arguments)
        return (int(model.optimizer.iterations) - before) / (time.perf_counter() - start)

    speed(x=x, y=y)
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 1e6
    print(f"a memory map of {large.nbytes / 1e9:.1f} GB on a machine with {memory:.1f} GB", flush=True)
    for name, arguments in (
        ("memory", {"x": x, "y": y, "epochs": 5}),
        ("in order", {"x": large, "y": labels, "shuffle": False}),
        ("memory", {"x": x, "y": y, "epochs": 5}),
        ("shuffled", {"x": large, "y": labels, "steps_per_epoch": 2000}),
    ):
        print(f"{name:9} {speed(**arguments):7.0f} steps/s  {resident('RssAnon'):6.1f} MB without the file", flush=True)


def long_run(steps=100_000, parts=10):
    """Trains the tiny MLP for many steps; prints time a step and memory after each tenth."""
    work = WORKLOADS["tiny"]
    x, y = work.data()
    model = models.build(fkeras, work)
    models.compile(fkeras, model, work)
    model.fit(x, y, work.batch, verbose=0)
    for _ in range(parts):
        start = time.perf_counter()
        model.fit(x, y, work.batch, epochs=steps // parts // work.steps, verbose=0)
        took = (time.perf_counter() - start) / (steps // parts)
        print(
            f"{int(model.optimizer.iterations):7,} steps  {took * 1e6:6.2f} us a step  {resident():6.1f} MB", flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.streaming", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", default="mlp,cnn,lstm", help="comma-separated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, help="train on a file of this size instead")
    parser.add_argument("--folder", help="where the files are written; the system's for temporary files by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.gigabytes:
            large_file(options.gigabytes, folder)
            sys.exit()
        for name in options.workloads.split(","):
            compare(name, options.rounds, folder)
    long_run()
