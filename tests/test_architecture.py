"""Imports point down the floors and never in circles, and importing fkeras pulls in nothing it should not."""

import ast
import graphlib
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

import fkeras

ROOT = pathlib.Path(__file__).parent.parent / "fkeras"
FLOORS = [
    {"core", "compiled"},
    {"activations", "initializers", "regularizers", "constraints"},
    {"layers", "ops", "optim", "losses", "metrics"},
    {"graphs"},
    {"training", "data", "callbacks", "distribute"},
    {"models", "saving", "utils", "datasets", "preprocessing", "visualization", "applications", "wrappers"},
    {
        "as_keras",
        "check",
        "compat",
        "optimizers",
        "backend",
        "config",
        "dtype_policies",
        "experimental",
        "keras_paths",
        "keras_private",
        "mixed_precision",
        "distribution",
        "old_models",
        "old_utils",
        "posing",
        "random",
        "tree",
        "__main__",
        "__init__",
    },
]
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
LAYER_FLOORS = [{"kernels"}, {"contract"}]  # within layers/; above them the families that users look for

PUBLIC = [
    "applications",
    "callbacks",
    "datasets",
    "layers",
    "losses",
    "metrics",
    "optim",
    "optimizers",
    "saving",
    "utils",
]
OURS = {"optim", "experimental", "__version__"}  # public, and not Keras's of today


def module_name(path):
    """The name that a file is imported by."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in ROOT.rglob("*.py")}


def imported(source, name, is_package=False, files=FILES):
    """Yields the module of ours that each import statement in `source` loads, wherever in the file it stands.

    Args:
        source: Text of a Python file.
        name: Its module's name, "fkeras.layers.core".
        is_package: It is an `__init__.py`.
        files: Names of all modules.
    """

    def nearest_file(dotted):
        while dotted not in files:
            dotted = dotted.rpartition(".")[0]
        return dotted

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (nearest_file(a.name) for a in node.names if a.name.split(".")[0] == "fkeras")
        elif isinstance(node, ast.ImportFrom):
            up = name.split(".")[: None if node.level == 0 else len(name.split(".")) - node.level + is_package]
            base = ".".join([*(up if node.level else []), *([node.module] if node.module else [])])
            if base.split(".")[0] == "fkeras":
                yield from (nearest_file(f"{base}.{alias.name}") for alias in node.names)


def edges():
    """{module: modules it imports}."""
    found = {}
    for name, path in FILES.items():
        seen = set(imported(path.read_text(), name, path.name == "__init__.py"))
        found[name] = seen - {name}
    return found


def room(name):
    return [*name.split("."), "__init__"][1]


@pytest.mark.parametrize(
    "statement, loads",
    [
        ("import fkeras.core.tree", ["fkeras.core.tree"]),
        ("import fkeras.core.tree as t, os", ["fkeras.core.tree"]),
        ("from fkeras import losses, Model", ["fkeras.losses", "fkeras"]),
        ("from fkeras.core import tree", ["fkeras.core.tree"]),
        ("from fkeras.core.tree import flatten", ["fkeras.core.tree"]),
        ("from . import pooling", ["fkeras.layers.pooling"]),
        ("from .contract.base import Layer", ["fkeras.layers.contract.base"]),
        ("from .. import models", ["fkeras.models"]),
        ("from ..core import tree", ["fkeras.core.tree"]),
        ("def f():\n    from fkeras.models import Model", ["fkeras.models"]),
        ("if True:\n    class A:\n        import fkeras.models", ["fkeras.models"]),
        ("import numpy\nfrom jax import lax", []),
    ],
)
def test_every_form_of_import_is_seen(statement, loads):
    assert list(imported(statement, "fkeras.layers.core")) == loads
    # In a package's __init__ one dot is the package itself.
    assert list(imported(statement, "fkeras.layers", is_package=True)) == loads


def test_every_room_has_a_floor():
    rooms = set(map(room, FILES))
    assert rooms <= set(FLOOR), f"name the floor of {rooms - set(FLOOR)} here and in ARCHITECTURE.md"


def test_the_page_names_every_room_on_its_floor():
    rows = re.findall(r"^\| (\d) .*?\| (.*) \|$", (ROOT.parent / "ARCHITECTURE.md").read_text(), re.M)
    named = {int(floor): set(re.findall(r"`(\w+)(?:\.py|/)`", rooms)) for floor, rooms in rows}
    assert named == {n: rooms - {"__init__"} for n, rooms in enumerate(FLOORS)}


def test_the_page_names_every_file_of_the_inner_rooms():
    page = (ROOT.parent / "ARCHITECTURE.md").read_text()
    rows = dict(re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", page, re.M))
    for where, files in rows.items():
        here = {path.name for path in (ROOT / where).glob("*.py")} - {"__init__.py"}
        assert set(re.findall(r"`(\w+\.py)`", files)) == here, where


def test_imports_point_down():
    """At the top of a file and in functions alike."""
    wrong = []
    for name, seen in edges().items():
        wrong += [f"{name} imports {other}" for other in seen if FLOOR[room(other)] > FLOOR[room(name)]]
    assert not wrong, wrong


def test_imports_within_layers_point_down():
    """Families build on the contract, the contract on kernels."""

    def floor(name):
        part = [*name.split("."), ""][2]
        return next((n for n, parts in enumerate(LAYER_FLOORS) if part in parts), len(LAYER_FLOORS))

    wrong = []
    for name, seen in edges().items():
        if name.startswith("fkeras.layers."):
            ours = (other for other in seen if other.startswith("fkeras.layers"))
            wrong += [f"{name} imports {other}" for other in ours if floor(other) > floor(name)]
    assert not wrong, wrong


@pytest.mark.parametrize("of", ["files", "rooms"])
def test_no_import_closes_a_circle(of):
    """Not even one that a function does later: `tuple(edges)` in the message is the circle."""
    found = {}
    for name, seen in edges().items():
        a, others = (name, seen) if of == "files" else (room(name), set(map(room, seen)))
        found.setdefault(a, set()).update(others - {a})
    tuple(graphlib.TopologicalSorter(found).static_order())  # raises CycleError


def test_tab_shows_public_names_alone(keras):
    names = set(dir(fkeras))
    assert names == set(fkeras.__all__)
    assert {"Model", "Sequential", "layers", "optimizers", "__version__"} <= names
    assert names - set(dir(keras)) <= OURS
    assert {"core", "compiled", "graphs", "training", "data", "distribute", "compat"}.isdisjoint(names)


@pytest.mark.parametrize("name", PUBLIC)
def test_tab_shows_public_names_of_a_module_alone(name):
    module = importlib.import_module(f"fkeras.{name}")
    shown = dir(module)
    assert set(module.__all__) <= set(shown)
    assert all(getattr(module, n) is not None for n in shown)
    files = {path.stem for path in (ROOT / name).iterdir()} - set(module.__all__)
    assert files.isdisjoint(shown), f"fkeras.{name} shows its files"


def test_import_brings_in_only_the_required_dependencies():
    code = (
        "import sys, fkeras; "
        "print([m for m in ('keras', 'tensorflow', 'torch', 'flax', 'optax', 'pandas', 'h5py', 'scipy.stats', "
        "'PIL', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_import_starts_no_backend():
    code = "import fkeras; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False", "fkeras must not compute at import: jax.distributed could not start after it"
