"""How many steps go into one dispatch, and how many dispatches are under way."""

import collections
import time

import numpy as np

from fkeras.data import sources
from fkeras.distribute import processes
from fkeras.training.batching import Batching

FOLLOWED_SECONDS = 0.1  # a dispatch of several steps is made about this long where a progress bar follows
DISPATCH_SECONDS = 1.0  # and elsewhere: on the CPU XLA takes new memory for each, page by page (ResNet: 15% of a step)
IN_FLIGHT = 2  # dispatches that may be under way at once; unbounded ones starve XLA's CPU collectives


def block_steps(batch_bytes):
    """Returns how many batches of so many bytes a block should have."""
    return int(min(max(sources.block_bytes() // max(batch_bytes, 1), 1), sources.BLOCK_STEPS))


class Pace:
    """Chooses how many steps go into one dispatch, so that it takes about `seconds`.

    It also bounds the dispatches under way: with more than `IN_FLIGHT` it waits for the oldest.

    Args:
        batch_bytes: Size of a batch: a block of several stays near `sources.block_bytes`.
        fixed: So many steps, whatever they take; None chooses.
        batching: `Batching`: whether a batch may be filled up with rows that a mask leaves out, and split.
        parts: Over how many processes a batch is split.
        seconds: About how long a dispatch should take.
        stride: Keras's `steps_per_execution`, where it was asked for: how many batches a call of the batch hooks
            stands for, the last one of an epoch too.
    """

    def __init__(self, batch_bytes, fixed=None, batching=Batching(), parts=1, seconds=DISPATCH_SECONDS, stride=None):  # noqa: B008
        self.stride = stride
        self.capacity = fixed or block_steps(batch_bytes)
        self.fixed, self.batching, self.parts, self.seconds = fixed, batching, parts, seconds
        self.pads = batching.fill is None
        self.steps = fixed or 1
        self.count, self.agree_at = 0, 4
        self.begin()

    def begin(self):
        """Begins an epoch: what was learned of the steps before remains."""
        self.waiting, self.last = collections.deque(), None
        return self

    def dispatched(self, result, n):
        """Takes note that `n` steps were dispatched whose end `result` shows."""
        self.waiting.append((result, n))
        if len(self.waiting) <= IN_FLIGHT:
            return
        result, n = self.waiting.popleft()
        if hasattr(result, "block_until_ready"):
            with processes.waiting("the sums of a training step"):
                result.block_until_ready()
        now = time.perf_counter()
        if self.last is not None and not self.fixed:
            self._choose((now - self.last) / n)
        self.last = now

    def _choose(self, seconds):
        """Chooses the next number of steps, given the seconds of one."""
        fitting = int(min(max(self.seconds / max(seconds, 1e-7), 1), self.capacity))
        if self.parts == 1:
            # Grow by doubling: the first dispatches carry compilation and are slower than what follows.
            self.steps = min(fitting, self.steps * 2)
            return
        self.count += 1  # all processes have to take the same steps: they agree on them now and then
        if self.count == self.agree_at:
            self.agree_at *= 2
            self.steps = int(processes.gathered(np.int32(fitting)).min())
