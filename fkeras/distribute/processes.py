"""Several processes and hosts, on JAX's own distributed runtime.

Every process runs the same script on its own devices; only the numbers that the devices sum travel between them.
Process 0 writes files and prints.
"""

import contextlib
import hashlib
import os
import sys
import threading
import zlib

import jax
import numpy as np

from fkeras.core import rng, tree

TIMEOUT = 300  # seconds that a process waits for the others
DIGESTED = 1 << 28  # bytes of an array that are compared over processes; of a larger one every n-th row
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


def facts_of(model, source, validation=None):
    """Returns {words: plain value} of what every process of a training has to have alike, for `check_agreement`.

    Data are compared where they lie in memory: of streams every process gives its own.
    """
    compiled = {name: value for name, value in model._compile_arguments.items() if name != "optimizer"}
    facts = {
        "optimizer and its settings": _plain(model.optimizer),
        "losses, metrics and settings of compile": _plain(compiled),
        "weights that are trained": sorted(map(str, model.trained_paths())),
    }
    for what, given in (("", source), ("validation ", validation)):
        if given is not None and given.in_memory:
            facts[f"number of {what}rows"] = given.rows
            facts[f"{what}data"] = [_sum(a) for a in given.columns.all()]
    return facts


def _plain(value):
    """Returns settings without what differs from process to process, such as addresses."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _sum(np.asarray(value))
    config = {}
    if not isinstance(value, type) and hasattr(value, "get_config"):
        with contextlib.suppress(Exception):  # one that cannot be written down is compared by its name
            config = _plain(value.get_config())
    return getattr(value, "__qualname__", type(value).__qualname__), config


def _sum(array):
    rows = array[:: max(1, -(-array.nbytes // DIGESTED))] if array.ndim else array
    return f"{array.dtype}{list(array.shape)} {zlib.crc32(np.ascontiguousarray(rows).view(np.uint8).data):08x}"


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
    for part in value if isinstance(value, list) and value and isinstance(value[0], bytes) else [repr(value).encode()]:
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
