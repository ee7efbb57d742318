"""Trains the same models in fkeras and in its peers, side by side: `python -m benchmarks.compare`.

Every peer lives in a process of its own (`benchmarks.worker`) that stays alive while the parent asks one after the
other for short slices of work, in rounds whose order turns. So a machine that slows down slows all, and what is
compared are ratios within a round. Results go to a JSON file after each workload; a table and a picture follow at the
end.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import import_time, table
from benchmarks.worker import PEERS
from benchmarks.workloads import WORKLOADS

IMPORTS = {  # peer: what a program that uses it imports
    "fkeras": "import fkeras",
    "keras-jax": "import keras",
    "keras-tf": "import keras",
    "torch": "import torch",
    "flax": "from flax import nnx; import optax",
    "jax": "import jax",
}
SLICES = {"train": 1.0, "predict": 0.4, "predict_one": 0.25, "predict_one_direct": 0.25}  # seconds of a round
REPORTED = ("failed", "first_epoch", "rates")  # said at once
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A peer's process answered with an error, or died."""


class Remote:
    """The parent's end of a worker process."""

    def __init__(self, peer, work, scratch):
        self.log = pathlib.Path(scratch) / f"{work}-{peer}.log"
        command = [sys.executable, "-m", "benchmarks.worker", peer, work]
        with self.log.open("w") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True, "bufsize": 1}
            self.process = subprocess.Popen(command, env=environment(peer, scratch), cwd=ROOT, **pipes)

    def ask(self, do, *args):
        """Sends a command and waits for its result."""
        try:
            print(json.dumps({"do": do, "args": args}), file=self.process.stdin)
            answer = json.loads(self.process.stdout.readline() or "null")
        except BrokenPipeError:
            answer = None
        if answer is None:
            last = (self.log.read_text().splitlines() or [""])[-1]
            raise Failed(f"the process ended with {self.process.wait()}: {last}")
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["ok"]

    def close(self):
        """Ends the process."""
        self.process.communicate()


def environment(peer, scratch):
    """Returns a worker's environment: its backend, this repository, and no compiled programs of earlier processes."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    cold = {"JAX_ENABLE_COMPILATION_CACHE": "false", "TORCHINDUCTOR_CACHE_DIR": f"{scratch}/inductor"}
    return import_time.environment() | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"} | cold | PEERS[peer][2]


def absent(peer):
    """Returns the first module that a peer needs and that is not installed, or None."""
    return next((m for m in PEERS[peer][1] if importlib.util.find_spec(m) is None), None)


# ---------------------------------------------------------------------------------------------- a race


def race(work, peers, rounds, scale, tunes, say=print):
    """Compares the peers on one workload; returns {peer: its numbers}, see `summarize`."""
    with tempfile.TemporaryDirectory() as scratch:
        remotes, found = {}, {}
        try:
            for peer in peers:
                remotes[peer] = Remote(peer, work, scratch)
                found[peer] = attempt(lambda r=remotes[peer]: start(r, scale, tunes))
                say(f"  {work} {peer}: {json.dumps({k: found[peer][k] for k in REPORTED if k in found[peer]})}")
            running = [p for p in peers if "failed" not in found[p]]
            counts = {found[p]["parameters"] for p in running}
            if len(counts) > 1:
                raise ValueError(
                    f"{work}: the models differ: { {p: found[p]['parameters'] for p in running} } parameters"
                )
            for turn in range(rounds):
                for peer in running[turn % len(running) :] + running[: turn % len(running)]:
                    time.sleep(0.05)  # threads of the one before come to rest
                    found[peer].update(attempt(lambda p=peer: measure(remotes[p], found[p]["rounds"], scale)))
            for peer in running:
                found[peer].update(attempt(lambda p=peer: {"memory": remotes[p].ask("memory")}))
        finally:
            for remote in remotes.values():
                remote.close()
    return summarize(found)


def attempt(function):
    """Returns the function's dict, or {"failed": why}."""
    try:
        return function()
    except Failed as err:
        return {"failed": str(err)}


def start(remote, scale, tunes):
    """Makes the model, trains its first epoch and tries the peer's settings."""
    first = remote.ask("first_epoch")
    tuned = remote.ask("tune", SLICES["train"] * scale) if tunes else {"setting": {}}
    return first | tuned | {"rounds": []}


def measure(remote, rounds, scale):
    """Adds one round of every slice to `rounds`."""
    rounds.append({name: remote.ask(name, seconds * scale) for name, seconds in SLICES.items()})
    return {}


def summarize(found):
    """Adds medians over rounds and, for each peer, the median ratio of fkeras's steps/s to its own, round by round."""
    ours = found.get("fkeras", {}).get("rounds", [])
    for numbers in found.values():
        if rounds := numbers.get("rounds"):
            numbers["steps_per_s"] = statistics.median(r["train"]["rate"] for r in rounds)
            numbers["cpu_ms_per_step"] = statistics.median(r["train"]["cpu_ms"] for r in rounds)
            for name in SLICES.keys() - {"train"}:
                numbers[name] = statistics.median(r[name] for r in rounds)
            pairs = list(zip(ours, rounds, strict=False))
            if pairs:
                numbers["fkeras_ratio"] = statistics.median(a["train"]["rate"] / b["train"]["rate"] for a, b in pairs)
    return found


def import_times(peers, runs):
    """Returns {peer: median seconds of a fresh interpreter that imports it, less one that imports nothing}."""

    def seconds(peer):
        start = time.perf_counter()
        command = [sys.executable, "-c", IMPORTS.get(peer, "pass")]
        subprocess.run(command, env=environment(peer or "jax", ""), check=True, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start

    peers = [p for p in peers if p in IMPORTS]
    for peer in peers:
        seconds(peer)  # once uncounted: byte code and the file cache
    rounds = [{peer: seconds(peer) for peer in ["", *peers]} for _ in range(runs)]
    return {peer: statistics.median(r[peer] - r[""] for r in rounds) for peer in peers}


def machine():
    """Returns what the numbers depend on: processor, cores, load, versions."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    packages = ("jax", "numpy", "keras", "tensorflow_cpu", "tensorflow", "torch", "flax", "optax")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    load = [round(v, 1) for v in os.getloadavg()]
    return {
        "processor": model, "cores": os.cpu_count(), "load": load, "python": platform.python_version(),
        "versions": versions, "date": time.strftime("%Y-%m-%d %H:%M"),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ main


def names_among(known):
    """Returns the function that reads a comma-separated option, for argparse."""

    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name {name!r}; known: {', '.join(known)}")
        return names

    return parse


def main(argv=None):
    """Runs the comparison; returns the results that it stored."""
    parser = argparse.ArgumentParser(prog="benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=names_among(PEERS), default=list(PEERS), help="comma-separated; default all")
    parser.add_argument("--workloads", type=names_among(WORKLOADS), default=list(WORKLOADS), help="comma-separated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks" / "results.json")
    parser.add_argument("--quick", action="store_true", help="one short round, no settings tried: does it run?")
    options = parser.parse_args(argv)
    rounds, scale = (1, 0.1) if options.quick else (options.rounds, 1.0)

    missing = {p: absent(p) for p in options.peers}
    peers = [p for p in options.peers if missing[p] is None]
    results = {
        "command": " ".join(["python -m benchmarks.compare", *(argv if argv is not None else sys.argv[1:])]),
        "machine": machine(), "rounds": rounds, "absent": {p: m for p, m in missing.items() if m},
        "import": import_times(peers, rounds), "workloads": {},
    }  # fmt: skip
    for work in options.workloads:
        results["workloads"][work] = race(work, peers, rounds, scale, not options.quick)
        options.out.write_text(json.dumps(results, indent=1))
        print(table.one(results, work), flush=True)
    options.out.with_suffix(".md").write_text(table.markdown(results))
    table.draw(results, options.out.with_suffix(".png"))
    return results


if __name__ == "__main__":
    main()
