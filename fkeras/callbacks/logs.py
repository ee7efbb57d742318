"""Logs that wait to be read: a dict of floats whose values stay on the device until somebody looks."""

import re

import jax
import numpy as np

from fkeras.core import messages


def is_ready(value):
    """Whether reading `value` would not wait for a device. A donated (deleted) array is never ready."""
    if getattr(value, "is_deleted", bool)():
        return False
    return not hasattr(value, "is_ready") or value.is_ready()


def as_float(value):
    """Returns a scalar, or an array [1], as a Python float; other arrays come back on the host, text as it is."""
    if isinstance(value, (str, bytes)) or value is None:
        return value
    value = np.asarray(value) if hasattr(value, "__array__") else value
    if isinstance(value, np.ndarray):
        return float(value.item()) if value.shape in ((), (1,)) and value.dtype.kind not in "SUO" else value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _read(value):
    """A number for a scalar; a vector, also of one entry, stays one: a score per output."""
    return np.asarray(value) if getattr(value, "ndim", 0) else as_float(value)


def todays_log(name, logs):
    """Returns the name in `logs` of what Keras 1 and early Keras 2 called "acc": "accuracy"; other names as they are.

    Example:
        >>> todays_log("val_loss", {"val_loss": 0.5}), todays_log("acc", {"acc": 0.5})
        ('val_loss', 'acc')
    """
    if isinstance(name, str) and name not in logs and name.endswith("acc"):
        today = re.sub(r"(^|_)acc$", r"\1accuracy", name)
        if today in logs:
            messages.old_spelling(f"The log {name!r}", repr(today))
            return today
    return name


class Record(dict):
    """A dict that knows the name of old of the accuracy too."""

    def __missing__(self, name):
        today = todays_log(name, self)
        if today == name:
            raise KeyError(name)
        return self[today]

    def get(self, name, default=None):
        """Returns the value of that name, or the default."""
        return super().get(todays_log(name, self), default)


jax.tree_util.register_pytree_node(
    Record, lambda r: ([r[k] for k in sorted(r)], tuple(sorted(r))), lambda keys, of: Record(zip(keys, of, strict=True))
)


class Logs(Record):
    """A dict of name -> float that is computed when a value is first read, not before.

    The training loop hands one `Logs` to every hook. Asking for the names (`in`, `len`, iteration) never waits for the
    device; the first value read copies all of them to the host together. Names are sorted, nested dicts flattened, as
    in Keras 3. What one callback writes into it, the next one reads.

    Args:
        source: Dict of name -> number, array or nested dict; or a function of no arguments that returns one.

    Example:
        >>> logs = Logs(lambda: {"loss": np.float32(0.5), "accuracy": 1})
        >>> logs["loss"], list(logs), logs == {"accuracy": 1.0, "loss": 0.5}
        (0.5, ['accuracy', 'loss'], True)
    """

    def __init__(self, source=()):
        super().__init__()
        self._source, self._read = source, False

    def arrays(self):
        """Returns {name: value} as the loop gave them, perhaps arrays still being computed; never waits."""
        if self._source is not None:
            source, self._source = self._source, None
            dict.update(self, _flat(source() if callable(source) else source))
        return {name: dict.__getitem__(self, name) for name in dict.__iter__(self)}

    def _floats(self):
        if not self._read:
            values, self._read = self.arrays(), True
            for value in values.values():  # all copies start before the first one is waited for
                if hasattr(value, "copy_to_host_async"):
                    value.copy_to_host_async()
            dict.update(self, {name: _read(value) for name, value in values.items()})

    def copy(self):
        """Returns a plain dict of the floats."""
        return dict(self)

    def __reduce__(self):
        return dict, (dict(self),)


def as_logs(logs):
    """Returns `logs` (None, a dict, a `Logs`) as a `Logs`."""
    return logs if isinstance(logs, Logs) else Logs(logs or ())


def _flat(source):
    flat = {}
    for name, value in sorted(dict(source).items()):
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat


def _after(prepare, name):
    method = getattr(Record, name)

    def call(self, *args, **kwargs):
        prepare(self)
        return method(self, *args, **kwargs)

    call.__name__, call.__doc__ = name, method.__doc__
    return call


# `__iter__` is here for a second reason: C code takes the dict's raw storage unless a subclass has its own.
for _name in ("__contains__", "__iter__", "__len__", "__reversed__", "keys"):
    setattr(Logs, _name, _after(Logs.arrays, _name))
for _name in ("getitem", "setitem", "delitem", "eq", "ne", "or", "ror", "ior", "repr"):
    setattr(Logs, f"__{_name}__", _after(Logs._floats, f"__{_name}__"))
for _name in ("get", "items", "values", "pop", "popitem", "setdefault", "update", "clear"):
    setattr(Logs, _name, _after(Logs._floats, _name))
