"""Starts several local processes of one script: `python -m fkeras.distribute.run --processes 2 train.py ...`.

To try out what will run on several hosts. The script calls `fkeras.distribute.initialize()` first. The outputs of the
processes are passed on, each line with its process's number; if one fails, the others are ended.
"""

import argparse
import os
import socket
import subprocess
import sys
import threading
import time

GRACE = 5.0  # seconds that the other processes have to end by themselves after one failed


def run(processes, command, devices=None, env=None):
    """Runs `command` in so many processes and returns the first exit status that is not 0, or 0.

    Args:
        processes: How many.
        command: List of strings: what each of them runs.
        devices: Virtual CPU devices of each process, or None for what there is.
        env: Environment, by default this process's.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = dict(os.environ if env is None else env)
    base |= {"FKERAS_COORDINATOR": f"127.0.0.1:{port}", "FKERAS_PROCESSES": str(processes)}
    if devices is not None:
        flags = [f for f in base.get("XLA_FLAGS", "").split() if "host_platform_device_count" not in f]
        base["XLA_FLAGS"] = " ".join([*flags, f"--xla_force_host_platform_device_count={devices}"])
        base["JAX_PLATFORMS"] = "cpu"
    started = [
        subprocess.Popen(
            command, env=base | {"FKERAS_PROCESS": str(i)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for i in range(processes)
    ]
    readers = [threading.Thread(target=_pass_on, args=(i, p), daemon=True) for i, p in enumerate(started)]
    for reader in readers:
        reader.start()
    try:
        status = _wait(started)
    finally:
        for process in started:
            process.kill()
    for reader in readers:
        reader.join(timeout=1.0)
    return status


def _pass_on(number, process):
    for line in process.stdout:
        print(f"[{number}] {line}", end="", flush=True)


def _wait(started):
    """Waits for all processes, or for `GRACE` seconds after the first that failed."""
    failed, until = 0, None
    while any(p.poll() is None for p in started):
        if not failed:
            failed = next((p.returncode for p in started if p.returncode), 0)
            until = time.monotonic() + GRACE
        elif time.monotonic() > until:
            return failed
        time.sleep(0.05)
    return failed or next((p.returncode for p in started if p.returncode), 0)


def main():
    parser = argparse.ArgumentParser(prog="python -m fkeras.distribute.run", description=__doc__)
    parser.add_argument("--processes", type=int, required=True, help="how many processes to start")
    parser.add_argument("--devices", type=int, help="virtual CPU devices of each process")
    parser.add_argument("script", help="the Python script that every process runs")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    given = parser.parse_args()
    if given.processes < 1:
        parser.error("--processes: expected at least 1")
    return run(given.processes, [sys.executable, given.script, *given.arguments], given.devices)


if __name__ == "__main__":
    sys.exit(main())
