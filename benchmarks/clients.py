"""`python -m benchmarks.clients [names]`: packages that others wrote for Keras, run on fkeras by `fkeras.as_keras`.

Each program of `benchmarks/programs/` runs in a process of its own and checks what it gets. It needs the packages that
its first lines import (keras-tuner, scikeras, keras-hub, visualkeras, optuna with optuna-integration, livelossplot,
tqdm); one that lacks a package is listed as absent.
"""

import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {path.stem: path for path in sorted((ROOT / "benchmarks" / "programs").glob("*.py"))}


def run(name, seconds=600):
    """Returns (what came of a program, seconds): "runs", "absent: package" or "fails: last line of its error"."""
    start = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "fkeras", "run", str(PROGRAMS[name])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"fails: not done after {seconds} s", seconds
    took = time.perf_counter() - start
    if done.returncode == 0:
        return "runs", took
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["no message"]
    error = next((line for line in reversed(lines) if "Error" in line), lines[-1])
    if "ModuleNotFoundError: No module named" in error:
        return f"absent: {error.rpartition(' ')[2]}", took
    return f"fails: {error[:160]}", took


def main(names=()):
    """Runs the programs and prints a line for each; returns how many fail."""
    failed = 0
    for name in names or PROGRAMS:
        what, seconds = run(name)
        failed += what.startswith("fails")
        print(f"{name:24} {seconds:6.1f} s  {what}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
