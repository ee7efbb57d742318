"""Where a stream of batches stands, so that another process can go on there.

A stream that knows says it itself, by a pair of methods in one of the usual spellings. A `PyDataset` is asked by
number; what it remembers besides (random generators, counters, an order that it shuffles) are its attributes.
"""

import random
import zlib

import numpy as np

_PAIRS = (
    ("state", "restore"),
    ("get_state", "set_state"),
    ("state_dict", "load_state_dict"),
)  # ours, Grain's, torchdata's
_PLAIN = int, float, str, np.number, np.bool_
_SMALL, _LARGE = 1 << 16, 1 << 26  # entries of an attribute that is always kept, and of one that is data, not an order


def methods(stream):
    """Returns (function that returns the state, function that takes it) of a stream, or None."""
    for names in _PAIRS:
        found = [getattr(stream, name, None) for name in names]
        if all(map(callable, found)):
            return found
    return None


def generator_state(value):
    """Returns the state of a random generator as a plain tree, or None for anything else."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    if isinstance(value, random.Random):
        return value.getstate()
    return None


def set_generator(value, state):
    """Gives a random generator the state that `generator_state` returned."""
    if isinstance(value, np.random.Generator):
        value.bit_generator.state = state
    elif isinstance(value, np.random.RandomState):
        value.set_state(state)
    else:
        value.setstate(state)


class Attributes:
    """What an object remembers in its attributes: generators, numbers and small lists, and larger ones that changed.

    Args:
        of: The object, as it is before its first epoch.
    """

    def __init__(self, of):
        self.of = of
        self.first = {name: _digest(value) for name, value in self._orders()}
        self.orders = {}
        self.look()

    def _orders(self):
        """Yields (name, value) of the attributes that may be an order of rows: arrays, and lists of plain values."""
        for name, value in vars(self.of).items():
            if type(value) is np.ndarray and value.dtype != object and value.size <= _LARGE:
                yield name, value
            elif type(value) is list and len(value) <= _LARGE and all(isinstance(v, _PLAIN) for v in value):
                yield name, [v.item() if isinstance(v, np.generic) else v for v in value]

    def look(self):
        """Looks at arrays and lists: between epochs, when they are given a new order."""
        self.orders = {
            name: value.copy()
            for name, value in self._orders()
            if np.size(value) <= _SMALL or self.first.get(name) != _digest(value)
        }

    def state(self):
        """Returns them as a tree."""
        drawn = {name: state for name, value in vars(self.of).items() if (state := generator_state(value)) is not None}
        plain = {name: value for name, value in vars(self.of).items() if isinstance(value, _PLAIN)}
        return {"drawn": drawn, "plain": plain, "orders": self.orders}

    def restore(self, state):
        """Sets them."""
        for name, drawn in state["drawn"].items():
            if name in vars(self.of):
                set_generator(vars(self.of)[name], drawn)
        vars(self.of).update(state["plain"] | state["orders"])
        self.orders = state["orders"]


def _digest(value):
    if isinstance(value, list):
        return hash(tuple(value))
    return zlib.crc32(np.ascontiguousarray(value).reshape(-1).view(np.uint8)) if value.size else 0
