"""The process-wide seed and names."""

import random

import numpy as np

from fkeras.core import rng
from fkeras.layers.contract.base import Layer


def set_random_seed(seed):
    """Makes what follows reproducible: seeds Python's and NumPy's generators and fkeras's own.

    Example:
        >>> set_random_seed(1)
        >>> a = rng.next_seed()
        >>> set_random_seed(1)
        >>> a == rng.next_seed()
        True
    """
    rng.set_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def clear_session(free_memory=True):
    """Starts counting default names anew: the next Dense is "dense" again."""
    Layer._counts.clear()
