"""Imports point down the floors of ARCHITECTURE.md, and importing fkeras pulls in nothing it should not."""

import ast
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent / "fkeras"
FLOORS = [
    {"core", "compiled"},
    {"activations", "initializers", "regularizers", "constraints"},
    {"layers", "ops", "optim", "losses", "metrics"},
    {"graphs"},
    {"training", "data", "callbacks", "distribute"},
    {"models", "saving", "utils", "datasets"},
    {
        "compat",
        "optimizers",
        "backend",
        "config",
        "dtype_policies",
        "experimental",
        "mixed_precision",
        "random",
        "tree",
        "__main__",
        "__init__",
    },
]
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}


def _room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path):
    """Yields (room, at top level) for every import of fkeras in a file."""
    module = ast.parse(path.read_text())
    top = set(map(id, module.body))
    for node in ast.walk(module):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module == "fkeras":
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fkeras."):
            names = [node.module.split(".")[1]]
        for name in names:
            yield name, id(node) in top


def test_every_room_has_a_floor():
    rooms = {_room(p) for p in ROOT.rglob("*.py")}
    assert rooms <= set(FLOOR), f"name the floor of {rooms - set(FLOOR)} here and in ARCHITECTURE.md"


def test_the_page_names_every_room_on_its_floor():
    rows = re.findall(r"^\| (\d) .*?\| (.*) \|$", (ROOT.parent / "ARCHITECTURE.md").read_text(), re.M)
    named = {int(floor): set(re.findall(r"`(\w+)(?:\.py|/)`", rooms)) for floor, rooms in rows}
    assert named == {n: rooms - {"__init__"} for n, rooms in enumerate(FLOORS)}


def test_imports_point_down():
    wrong = []
    for path in ROOT.rglob("*.py"):
        here = FLOOR[_room(path)]
        for room, at_top in _imports(path):
            # A function may import upwards at call time only within the facade (models and saving know each other).
            allowed = here if at_top or here < 5 else 5
            if room in FLOOR and FLOOR[room] > allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {room}")
    # settings, dtypes and rng know nothing above them; rng is asked by initializers at call time.
    assert not wrong, wrong


def test_import_brings_in_only_the_required_dependencies():
    code = (
        "import sys, fkeras; "
        "print([m for m in ('keras', 'tensorflow', 'torch', 'flax', 'optax', 'pandas', 'h5py', 'scipy.stats') "
        "if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_import_starts_no_backend():
    code = "import fkeras; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False", "fkeras must not compute at import: jax.distributed could not start after it"
