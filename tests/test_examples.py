"""Every example in a docstring of the package runs and prints what it says."""

import doctest
import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras.core.settings import Registry, custom_object_scope

SHUT = {"__main__", "as_keras"}  # that do something when they are imported
MODULES = [
    "fkeras",
    *(m.name for m in pkgutil.walk_packages(fkeras.__path__, "fkeras.") if m.name.split(".")[1] not in SHUT),
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def shared_names():
    """What an example may use without importing it: the arrays' modules, and Keras's names of everything."""
    names = {"fkeras": fkeras, "jax": jax, "jnp": jnp, "np": np}
    for family in (fkeras.optim, fkeras.metrics, fkeras.losses, fkeras.callbacks, fkeras.layers, fkeras):
        names |= {name: getattr(family, name) for name in family.__all__}
    return names


def examples_of(module):
    """Returns the `DocTest`s with examples of a module: its own docstring, and those of all it defines."""
    found = doctest.DocTestFinder().find(module, extraglobs=None)
    return [test for test in found if test.examples]


EXAMPLES = {name: tests for name in MODULES if (tests := examples_of(importlib.import_module(name)))}


@pytest.fixture(autouse=True)
def families_as_they_were():
    """An example may register things of its own."""
    before = [(r, dict(r.entries), dict(r._folded)) for r in Registry.all]
    with custom_object_scope():
        yield
    for registry, entries, folded in before:
        for table, was in ((registry.entries, entries), (registry._folded, folded)):
            table.clear()
            table.update(was)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner, said = doctest.DocTestRunner(optionflags=FLAGS), []
    for test in EXAMPLES[name]:
        test.globs = {**shared_names(), **vars(importlib.import_module(name))}
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)


def test_no_example_is_left_out():
    written = {name: inspect.getsource(importlib.import_module(name)).count(">>> ") for name in MODULES}
    found = {name: sum(len(test.examples) for test in tests) for name, tests in EXAMPLES.items()}
    apart = {name: (found.get(name, 0), n) for name, n in written.items() if found.get(name, 0) != n}
    assert sum(found.values()) >= sum(written.values()), f"examples that doctest finds, that are written: {apart}"
