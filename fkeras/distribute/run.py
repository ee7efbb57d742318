"""Starts several local processes of one script: `python -m fkeras.distribute.run --processes 2 train.py ...`.

To try out what will run on several hosts. The script calls `fkeras.distribute.initialize()` first. The outputs of the
processes are passed on, each line with its process's number; if one fails, or stays stopped, the others are ended.
"""

import argparse
import os
import socket
import subprocess
import sys
import threading
import time

GRACE = 5.0  # seconds that the other processes have to end by themselves after one failed
TIMEOUT = 300.0  # seconds that a process may be stopped
TICK = 0.05
STOPPED = 75  # exit status where a stopped process ended the job


def run(processes, command, devices=None, env=None, timeout=TIMEOUT):
    """Runs `command` in so many processes and returns the first exit status that is not 0, or 0.

    Args:
        processes: How many.
        command: List of strings: what each of them runs.
        devices: Virtual CPU devices of each process, or None for what there is.
        env: Environment, by default this process's.
        timeout: Seconds after which a process that is stopped (SIGSTOP, a debugger) ends the job, with status 75.
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
        status = _wait(started, timeout)
    finally:
        for process in started:
            process.kill()
            process.wait()
    for reader, process in zip(readers, started, strict=True):
        reader.join(timeout=1.0)
        if not reader.is_alive():  # else what the process started holds the other end
            process.stdout.close()
    return status


def _pass_on(number, process):
    for line in process.stdout:
        print(f"[{number}] {line}", end="", flush=True)


def _wait(started, timeout):
    """Waits for all processes, or `GRACE` seconds for the others of one that failed, `timeout` for one that is stopped.

    Time is counted in rounds of this loop: where the whole job was stopped and goes on (Ctrl-Z, fg), none has passed.
    """
    failed, grace, stopped = 0, GRACE, {}
    while None in [p.poll() for p in started]:  # each is asked: one that failed may stand behind one that runs
        if not failed and (ended := next(((i, p.returncode) for i, p in enumerate(started) if p.returncode), None)):
            number, failed = ended
            print(f"[{number}] ended with status {failed}: the job ends.", file=sys.stderr, flush=True)
        grace -= TICK * bool(failed)
        for i, process in enumerate(started):
            stopped[i] = stopped.get(i, 0.0) + TICK if _is_stopped(process, stopped.get(i, 0.0) > 0) else 0.0
            if stopped[i] > timeout and not failed:
                print(f"[{i}] was stopped for {timeout:.0f} s: the job ends.", file=sys.stderr, flush=True)
                return STOPPED
        if grace <= 0:
            return failed
        time.sleep(TICK)
    return failed or next((p.returncode for p in started if p.returncode), 0)


def _is_stopped(process, before):
    """Whether a child is stopped, given whether it was before. Leaves its exit status where it is."""
    if process.returncode is not None or not hasattr(os, "waitid"):
        return False
    try:
        event = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
    except ChildProcessError:
        return False
    return before if event is None else event.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED)


def main():
    parser = argparse.ArgumentParser(prog="python -m fkeras.distribute.run", description=__doc__)
    parser.add_argument("--processes", type=int, required=True, help="how many processes to start")
    parser.add_argument("--devices", type=int, help="virtual CPU devices of each process")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds after which a stopped process ends all")
    parser.add_argument("script", help="the Python script that every process runs")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    given = parser.parse_args()
    if given.processes < 1:
        parser.error("--processes: expected at least 1")
    return run(given.processes, [sys.executable, given.script, *given.arguments], given.devices, timeout=given.timeout)


if __name__ == "__main__":
    sys.exit(main())
