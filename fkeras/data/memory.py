"""Host memory for blocks of batches, used again once nobody holds it."""

import math
import sys

import numpy as np

MAX_BUFFERS = 32  # buffers kept for blocks: as many as are under way, unless batches come in many sizes
ALIGNMENT = 64  # bytes: XLA's CPU backend reads arrays that begin there in place, and copies others


class BlockPool:
    """Hands out arrays in memory that is used again: touching new pages takes as long as copying rows into them."""

    def __init__(self):
        self.buffers = []

    def empty(self, shape, dtype):
        """Returns an uninitialized array."""
        size = math.prod(shape) * dtype.itemsize
        free = [b for b, held in zip(self.buffers, _references(self.buffers), strict=True) if held <= _UNHELD]
        buffer = next((b for b in free if len(b) == size + ALIGNMENT), None)
        if buffer is None:
            buffer = np.empty(size + ALIGNMENT, np.uint8)
            self.buffers = [*self.buffers, buffer] if len(self.buffers) < MAX_BUFFERS else [buffer]
        start = -buffer.ctypes.data % ALIGNMENT
        return buffer[start : start + size].view(dtype).reshape(shape)


def _references(buffers):
    """Returns how many references there are to each: arrays made of it count, and XLA while it reads from them."""
    return [sys.getrefcount(buffer) for buffer in buffers]


_UNHELD = _references([np.empty(0)])[0]
