"""Windows that slide over a series, as a data set."""

import numpy as np

from fkeras.data.datasets import Dataset
from fkeras.utils.folders import SEEDS, check_format


def timeseries_dataset_from_array(
    data,
    targets,
    sequence_length,
    sequence_stride=1,
    sampling_rate=1,
    batch_size=128,
    shuffle=False,
    seed=None,
    start_index=None,
    end_index=None,
    format=None,
) -> Dataset:
    """Returns a data set of windows over a series: batches (windows, targets), or windows without targets.

    Window w holds data[i], data[i + sampling_rate], ... of i = start_index + w * sequence_stride; its target is
    targets[i].

    Args:
        data: Array [T, ...].
        targets: Array with a target for each start of a window, or None.
        sequence_length: Steps in a window.
        sequence_stride: Steps from one window's start to the next one's.
        sampling_rate: Steps from one value to the next within a window.
        batch_size: Windows in a batch; None: single windows.
        shuffle: A new order of the windows in every epoch.
        seed: Of that order.
        start_index, end_index: Only data[start_index:end_index] is used.
        format: As in `image_dataset_from_directory`.

    Raises:
        ValueError: Numbers that leave no window, or contradict each other.

    Example:
        >>> windows = timeseries_dataset_from_array(np.arange(6), np.arange(6) * 10, sequence_length=3)
        >>> [(x[0].tolist(), int(y[0])) for x, y in windows]
        [([0, 1, 2], 0)]

    Reference:
        As Keras 3.
    """
    what = "timeseries_dataset_from_array"
    check_format(what, format)
    n = len(data)
    start, end = 0 if start_index is None else start_index, n if end_index is None else end_index
    if not 0 <= start < n:
        raise ValueError(f"{what}: expected start_index in [0, {n}), got {start_index}.")
    if not start < end <= n:
        raise ValueError(f"{what}: expected end_index in ({start}, {n}], got {end_index}.")
    for name, value in (
        ("sequence_length", sequence_length),
        ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
    ):
        if value < 1 or value >= n:
            raise ValueError(f"{what}: expected {name} in [1, {n}), got {value}: there are {n} steps of data.")
    data = np.asarray(data)
    targets = None if targets is None else np.asarray(targets)
    last = (sequence_length - 1) * sampling_rate  # steps from a window's first value to its last
    starts = end - start - last
    if targets is not None:
        starts = min(starts, len(targets) - start)
    starts = np.arange(start, start + max(starts, 0), sequence_stride)
    if not len(starts):
        raise ValueError(f"{what}: no window of {last + 1} steps fits into {end - start} steps of data.")
    steps = np.arange(0, last + 1, sampling_rate)

    def gather(windows):
        first = starts[windows]
        values = data[first[..., None] + steps]
        return values if targets is None else (values, targets[first])

    seed = int(np.random.randint(SEEDS)) if shuffle and seed is None else seed
    if batch_size is None:
        return Dataset.of_rows(len(starts), gather, shuffle, seed)
    return Dataset.of_batches(len(starts), batch_size, gather, shuffle, seed)
