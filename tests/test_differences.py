"""docs/differences.md is true: what it says is lacking is lacking, and nothing else of Keras's public names is."""

import pathlib
import re
import types

import fkeras

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "differences.md"


def listed():
    """Returns {namespace below keras: names, or "all"} of the first table."""
    rows = re.findall(r"^\| `keras\.?([\w.]*)` \| (.*?) \|", PAGE.read_text(), re.M)
    return {where: "all" if what == "all" else set(re.findall(r"`(\w+)`", what)) for where, what in rows}


def public(module):
    return {name for name in dir(module) if not name.startswith("_")}


def lacking(theirs, ours, path=""):
    """Yields (namespace, name) of what a namespace of Keras has and ours lacks, and of those inside."""
    for name in sorted(public(theirs) - {"src", "legacy"}):
        value = getattr(theirs, name)
        inner = f"{path}.{name}".lstrip(".")
        is_space = isinstance(value, types.ModuleType) and value.__name__.startswith("keras")
        if not hasattr(ours, name):
            yield (inner, "all") if is_space else (path, name)
        elif is_space:
            yield from lacking(value, getattr(ours, name), inner)


def test_the_page_lists_what_is_lacking_and_nothing_else(keras):
    found = {}
    for where, name in lacking(keras, fkeras):
        if name == "all":
            found[where] = "all"
        else:
            found.setdefault(where, set()).add(name)
    assert found == listed()
