"""The one loop of fit, evaluate and predict: blocks of batches are read, dispatched, and followed by callbacks."""

import contextlib
import signal
import threading

import jax

from fkeras.data.sources import Share
from fkeras.distribute import parallel
from fkeras.training.survival import NoSurvival

STOPS = {"train": "stop_training", "test": "stop_evaluating", "predict": "stop_predicting"}


def run(model, kind, source, steps, pace, devices, callbacks, dispatch, order=None, start=0, survival=NoSurvival()):  # noqa: B008
    """Goes through a source once.

    Args:
        model: Told to stop by its attribute `STOPS[kind]`.
        kind: "train", "test" or "predict".
        steps: How many batches, or None for all there are.
        pace: `Pace`: how many steps a dispatch takes, and whether batches are filled up.
        devices: `OneDevice` or `DataParallel`.
        callbacks: `CallbackList`.
        dispatch: Function (block, n, step, where) -> (logs, array that is ready when the dispatch is done), of a block
            of `n` batches, the number of the first one, and the devices it runs on.
        order: Seed of the order of the rows.
        start: The number of the first batch: those before it were gone through in another process.
        survival: Told of each dispatch; it takes checkpoints, and ends the training when a signal asks for it.

    Returns:
        How many batches there were, those before `start` included.
    """
    begin, end = (getattr(callbacks, f"on_{kind}_batch_{at}") for at in ("begin", "end"))
    reader, step = source.reader(order, share(devices, kind), start), start
    with contextlib.closing(reader):
        while steps is None or step < steps:
            wanted = pace.steps if steps is None else min(pace.steps, steps - step)
            with survival.interruptible():
                got = reader.read(survival.most(wanted), pace.capacity, pace.pads)
            if got is None:
                break
            block, n = got
            begin(step)
            logs, done = dispatch(block, n, step, fitting(devices, block, reader, pace.batching))
            last = step + (pace.stride or n) - 1
            step += n
            pace.dispatched(done, n)
            end(last, logs)
            survival.passed(step, reader)
            if getattr(model, STOPS[kind]):
                break
    return step


def share(devices, kind="train"):
    """Returns the part of each batch that this process reads: all of it for predictions."""
    if kind == "predict":
        return Share(devices.width)
    return Share(devices.width * devices.parts, devices.parts, devices.part)


def fitting(devices, block, reader, batching):
    """Returns `devices`, or one of them for a batch that may not be split, or not evenly."""
    if devices.width == 1 and devices.parts == 1:
        return devices
    size = jax.tree.leaves(block["x"])[0].shape[1]
    if batching.split is not None:
        if devices.accumulate > 1 or devices.parts > 1:
            how = f"accumulate={devices.accumulate}" if devices.accumulate > 1 else f"{devices.parts} processes"
            raise ValueError(
                f"{how}: a batch cannot be cut into parts, because {batching.split}. Use accumulate=1 and the devices "
                f"of one process."
            )
        devices.warn_once(f"Batches run on one of {devices.count} devices, because {batching.split}.")
        return parallel.ALONE
    even = batching.fill is None or size % devices.width == 0
    if reader.whole or (devices.parts == 1 and not even):
        return parallel.ALONE
    if not even or (batching.fill is not None and not block["rows"][0].all()):
        raise ValueError(
            f"A batch of {size} rows cannot be split evenly over {devices.width} devices, nor be filled up: "
            f"{batching.fill}. Use a batch size, and a number of rows, divisible by {devices.width}."
        )
    return devices


@contextlib.contextmanager
def undisturbed():
    """Within the `with`, Ctrl-C waits for its end; a second one does not.

    A step that is interrupted between taking its arrays and storing the new ones would leave a model without weights.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held = []

    def hold(*where):
        held.append(where)
        if len(held) > 1:
            signal.signal(signal.SIGINT, before)
            before(*where)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if len(held) == 1:
            before(*held[0])
