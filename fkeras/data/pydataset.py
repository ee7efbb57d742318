"""Data sets of one's own that are asked for their batches by number."""

import collections
import operator


class PyDataset:
    """Base of data sets of one's own: `__len__` batches, `__getitem__(i)` -> (x, y) or (x, y, sample_weight).

    Args:
        workers: With more than one, so many threads read batches ahead.
        use_multiprocessing: Processes instead of threads read ahead; the data set has to be picklable.
        max_queue_size: Batches that may wait, read ahead.

    Example:
        >>> class Squares(PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, i):
        ...         x = np.full((4, 1), i)
        ...         return x, x**2
        >>> len(Squares()), Squares()[2][1][0, 0].item()
        (3, 4)
    """

    def __init__(self, workers=1, use_multiprocessing=False, max_queue_size=10):
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def on_epoch_begin(self):
        """Called before each epoch."""

    def on_epoch_end(self):
        """Called after each epoch, for shuffling."""


Sequence = PyDataset


def read_ahead(data, numbers):
    """Yields the batches `numbers` of a `PyDataset` in that order, while its workers read those that follow."""
    import multiprocessing  # here, so that `import fkeras` stays light
    from concurrent import futures

    if data.use_multiprocessing:  # spawned, not forked: a fork of a process that runs JAX may hang
        pool = futures.ProcessPoolExecutor(data.workers, multiprocessing.get_context("spawn"))
    else:
        pool = futures.ThreadPoolExecutor(data.workers)
    with pool:
        waiting = collections.deque()
        for i in numbers:
            waiting.append(pool.submit(operator.getitem, data, i))
            if len(waiting) >= max(data.max_queue_size, 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
