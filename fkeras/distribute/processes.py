"""Several processes and hosts, on JAX's own distributed runtime.

Every process runs the same script on its own devices; only the numbers that the devices sum travel between them.
Process 0 writes files and prints.
"""

import contextlib
import hashlib
import os
import sys
import threading

import jax
import numpy as np

from fkeras.core import rng, tree

TIMEOUT = 300  # seconds that a process waits for the others
_timeout = TIMEOUT


def initialize(
    coordinator_address=None, num_processes=None, process_id=None, *, local_device_ids=None, timeout=TIMEOUT
):
    """Joins this process to the others of its job. Call it first, in every process, before JAX is used.

    The arguments are needed only where JAX detects no cluster: it knows SLURM, Kubernetes, Open MPI and Cloud TPU pods,
    and `python -m fkeras.distribute.run` tells its processes itself. Afterwards `compile` splits every batch over all
    devices of all processes, and all processes draw the same random numbers.

    Args:
        coordinator_address: "host:port" that process 0 listens on.
        num_processes, process_id: How many processes there are, and which this is, from 0.
        local_device_ids: The devices this process uses, where several share a host.
        timeout: Seconds after which a process that waits in vain for another ends with an error.

    Raises:
        RuntimeError: JAX was used before, or the processes did not find each other in time.

    Example:
        >>> fkeras.distribute.initialize("10.0.0.1:1234", num_processes=2, process_id=0)  # doctest: +SKIP

    Reference:
        `jax.distributed.initialize`.
    """
    global _timeout
    if timeout <= 0:
        raise ValueError(f"initialize: expected timeout > 0 seconds, got {timeout!r}.")
    _timeout = float(timeout)
    if coordinator_address is None and "FKERAS_COORDINATOR" in os.environ:  # set by fkeras.distribute.run
        coordinator_address = os.environ["FKERAS_COORDINATOR"]
        num_processes, process_id = int(os.environ["FKERAS_PROCESSES"]), int(os.environ["FKERAS_PROCESS"])
    seconds = max(int(timeout), 1)
    try:
        jax.distributed.initialize(
            coordinator_address,
            num_processes,
            process_id,
            local_device_ids,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=seconds,
        )
    except (RuntimeError, ValueError) as err:
        raise RuntimeError(
            f"fkeras.distribute.initialize: this process could not join the others: {err} "
            f"Call it once, in every process, before any array is made or any device is asked for; where no cluster "
            f"is detected give coordinator_address, num_processes and process_id."
        ) from err
    rng.set_seed(int(gathered(np.array([rng.next_seed()], np.uint32))[0, 0]))


def gathered(value):
    """Returns the arrays [processes, ...] of what every process gave; all of them have to call."""
    from jax.experimental import multihost_utils

    with waiting("values of the other processes"):
        return np.asarray(multihost_utils.process_allgather(np.asarray(value))).reshape(-1, *np.shape(value))


def check_agreement(model, facts, weights=True):
    """Compares model and settings over all processes before training.

    Args:
        facts: {words: value} that have to be the same everywhere, such as {"batch_size": 32}.
        weights: Compare the values of the weights too.

    Raises:
        ValueError: Some process has another model, other weights or other settings; the message says which.
    """
    params, state = model.gather()
    leaves = {**tree.flatten(params), **tree.flatten(state)}
    shapes = {"/".join(p): f"{a.dtype}{list(a.shape)}" for p, a in leaves.items()}
    mine = {"model (names and shapes of its weights)": shapes} | facts
    if weights:
        mine["weights"] = [np.asarray(a).tobytes() for a in leaves.values()]
    digests = np.stack([_digest(value) for value in mine.values()])
    every = gathered(digests)
    for i, what in enumerate(mine):
        others = [p for p in range(len(every)) if not np.array_equal(every[p, i], every[0, i])]
        if others:
            raise ValueError(
                f"fit: processes disagree on the {what}: process 0 and process {others[0]} differ (this is process "
                f"{jax.process_index()}: {str(mine[what])[:200] if what != 'weights' else 'see get_weights()'}). "
                f"Every process has to run the same script; call fkeras.distribute.initialize() before building the "
                f"model, or set the same seed."
            )


def _digest(value):
    hashed = hashlib.sha256()
    for part in value if isinstance(value, list) else [repr(value).encode()]:
        hashed.update(part)
    return np.frombuffer(hashed.digest(), np.uint32)


@contextlib.contextmanager
def waiting(what):
    """While this process waits for the others: one that died or hangs ends this one too, with an error, in time."""
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        yield
        return
    timer = threading.Timer(_timeout, _give_up, (f"waited {_timeout:.0f} s for {what}; one of them hangs or ended",))
    timer.daemon = True
    timer.start()
    try:
        yield
    except jax.errors.JaxRuntimeError as err:
        if any(word in str(err) for word in ("Gloo", "NCCL", "coordination", "UNAVAILABLE", "DEADLINE", "closed")):
            _give_up(f"lost another process while it waited for {what}: {str(err).splitlines()[0]}")
        raise
    finally:
        timer.cancel()


def _give_up(why):
    """Ends this process at once: leaving in order would wait for those that no longer answer."""
    print(
        f"fkeras.distribute: process {jax.process_index()} of {jax.process_count()} {why}. This process ends too. "
        f"Look for the first error among all processes' outputs; initialize(timeout=...) sets how long to wait.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(75)
