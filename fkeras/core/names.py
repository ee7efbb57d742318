"""Names that a namespace lacks: other names of what it has, and the one message for what it has not.

`explain` gives a module its `__getattr__`: a missing name is looked up in `OTHER_NAMES`, then by `FINDERS`; what nobody
knows raises `UnknownName`.
"""

import importlib
import inspect
from collections.abc import Callable

from fkeras.core import messages
from fkeras.core.keras_names import lacking
from fkeras.core.settings import nearest, shortened

NOTHING = object()
# Older names, filled by `fkeras.compat`: namespace within Keras -> {name: path of today's, "losses.mean_squared_error"}
OTHER_NAMES: dict[str, dict[str, str]] = {}
FINDERS: list[Callable] = []  # further places to look: function(namespace, name) -> value, or NOTHING


class UnknownName(AttributeError):
    """A namespace has no such name. The message is composed when it is read: `hasattr` asks often."""

    def __init__(self, namespace, name):
        super().__init__(namespace, name)
        self.namespace, self.missing = namespace, name

    def __str__(self):
        return unknown(self.namespace, self.missing)


def unknown(namespace, name):
    """Returns the message for a name that a module lacks: the nearest it has, and whether Keras has it.

    Example:
        >>> unknown("fkeras.layers", "Dens")
        "fkeras.layers has no 'Dens'. Did you mean 'Dense'?"
    """
    module = importlib.import_module(namespace)
    known = [n for n in dir(module) if not n.startswith("_") and not inspect.ismodule(getattr(module, n))]
    theirs = lacking(inner(namespace), name)
    return f"{namespace} has no {shortened(name)}.{theirs}{nearest(name, known)}"


def inner(namespace):
    """Returns the path of a module within the package: "fkeras.layers" -> "layers"."""
    return namespace.partition(".")[2]


def find(namespace, name):
    """Returns what an older name of a module means, and says today's.

    Args:
        namespace: The module's full name.

    Raises:
        UnknownName: It means nothing.
    """
    if not name.startswith("__"):
        if today := OTHER_NAMES.get(inner(namespace), {}).get(name):
            if not today.startswith(("compat.", "old_models.", "old_utils.")):  # those speak when they are called
                messages.old_spelling(f"{namespace}.{name}", f"fkeras.{today}")
            return at(today)
        for finder in FINDERS:
            if (value := finder(namespace, name)) is not NOTHING:
                return value
    raise UnknownName(namespace, name)


def at(path):
    """Returns what stands at a path within the package.

    Example:
        >>> at("losses.mean_squared_error")([0.0], [2.0]).tolist()
        4.0
    """
    where, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"fkeras.{where}".strip(".")), name)


def explain(module):
    """Makes a module, and the public modules within it, answer for the names that they lack."""
    if "__getattr__" not in vars(module):
        module.__getattr__ = lambda name: find(module.__name__, name)
    for name in getattr(module, "__all__", ()):
        part = vars(module).get(name)
        if inspect.ismodule(part) and part.__name__.startswith(module.__name__ + "."):
            explain(part)
