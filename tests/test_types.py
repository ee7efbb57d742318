"""Types: what editors and checkers are told is what Python takes."""

import importlib.util
import inspect
import json
import pathlib
import re
import subprocess
import sys

import pytest

import fkeras

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RIGHT = """
import fkeras
from fkeras import Input, Model, Sequential, layers, losses, metrics, optimizers
from fkeras.layers import LSTM, Conv2D, Dense, Layer, MaxPooling2D, Weight
from fkeras.regularizers import l2


class Scale(Layer):
    initializer: str = "ones"

    def declare(self, shape):
        return {"scale": Weight(shape[-1:], self.initializer)}


class Wide(Dense):
    pass


class Own(Model):
    def train_step(self, ts, batch):
        return ts, {}


layers.Dense(4, "relu", True, "ones", kernel_regularizer=l2(1e-4), name="a", trainable=False, dtype="float16")
layers.Dense(4, activation=lambda x: x, input_shape=(3,))
Conv2D(8, (3, 3), strides=2, padding="same")
MaxPooling2D()
LSTM(8, return_sequences=True)(Input((3, 4)))
Scale(), Scale(initializer="zeros", name="s"), Wide(8, "relu")
model = Own(Input((4,)), Dense(1)(Input((4,))))
model.compile(optimizers.Adam(1e-3, clipnorm=1.0), losses.Huber(delta=0.5), metrics=[metrics.MeanSquaredError()])
model.fit(1, 2, verbose=0, epochs=3, callbacks=[fkeras.callbacks.EarlyStopping(patience=3)])
optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 100), momentum=0.9)
loss, accuracy = model.evaluate(1, 2, verbose=2)
kernel = Dense(3).kernel.shape
"""
WRONG = """
layers.Dense("10")
layers.Dense(10, activation=3)
layers.Dense(10, actvation="relu")
layers.Dense(10, use_bias="no")
layers.Dens(10)
layers.Conv2D(8)
layers.Conv2D(8, "3")
layers.Dropout("half")
layers.LSTM(8, return_sequences="yes", name=3)
Scale(initialiser="ones")
Scale(initializer=3)
optimizers.Adam("fast")
optimizers.SGD(momentum="0.9")
losses.Huber(delta="x")
metrics.AUC(num_thresholds="many")
fkeras.callbacks.EarlyStopping(patience="3")
model.fit(1, 2, epochs="3")
model.fit(1, 2, epoch=3)
model.compile("adam", "mse", run_eagerly="no")
"""


def _stubs():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / ".ci" / "stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stubs_are_those_of_the_package():
    stubs = _stubs()
    old = [
        file for name, file in stubs.FILES.items() if (ROOT / "fkeras" / file).read_text("utf-8") != stubs.stub(name)
    ]
    assert not old, f"run `python .ci/stubs.py`: {old}"


def test_signatures_are_those_of_the_settings():
    """What `help`, `inspect` and IPython show stays beside the stubs."""
    shown = inspect.signature(fkeras.layers.Dense)
    assert list(shown.parameters)[:3] == ["units", "activation", "use_bias"]
    assert shown.parameters["use_bias"].default is True
    assert list(inspect.signature(fkeras.Model.fit).parameters)[:4] == ["self", "x", "y", "batch_size"]


def checked(tool, folder):
    """Returns {file: lines with errors} of what a checker finds in a folder."""
    if tool == "pyright":
        (folder / "pyrightconfig.json").write_text(
            json.dumps({"include": ["."], "extraPaths": [str(ROOT)], "typeCheckingMode": "basic"})
        )
        command = ["-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        if "generalDiagnostics" not in done.stdout:
            pytest.skip(f"pyright does not run here: {done.stderr[-200:]}")
        errors = [e for e in json.loads(done.stdout)["generalDiagnostics"] if e["severity"] == "error"]
        found = [(pathlib.Path(e["file"]).name, e["range"]["start"]["line"] + 1) for e in errors]
    else:
        files = sorted(map(str, folder.glob("*.py")))
        command = ["-m", "mypy", "--follow-imports=silent", "--cache-dir", str(folder / "cache"), *files]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
        found = [(pathlib.Path(f).name, int(line)) for f, line in re.findall(r"^(.*?):(\d+): error", done.stdout, re.M)]
    lines = {}
    for file, line in found:
        lines.setdefault(file, set()).add(line)
    return lines, done.stdout


@pytest.mark.long
@pytest.mark.parametrize("tool", ["pyright", "mypy"])
def test_checkers_find_nothing_in_the_pages_and_everything_that_is_wrong(tool, tmp_path):
    pytest.importorskip(tool, reason='checkers are the extra "types"')
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
        (tmp_path / f"page_{page.stem.lower()}.py").write_text("\n\n".join(blocks), "utf-8")
    (tmp_path / "wrong.py").write_text(RIGHT + WRONG)
    lines, said = checked(tool, tmp_path)
    first = RIGHT.count("\n") + 1
    wrong = lines.pop("wrong.py", set())
    assert not lines, said
    assert not {n for n in wrong if n <= first}, said
    missed = [line for n, line in enumerate(WRONG.splitlines(), first) if line and n not in wrong]
    assert not missed, missed
