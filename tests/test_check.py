"""`python -m fkeras check` and `run`."""

import json
import subprocess
import sys
import textwrap

import pytest

from fkeras import check
from fkeras.__main__ import main


def found(text):
    """Returns [(line, name)] of what a script uses and fkeras lacks."""
    _, missing = check.check_pieces("s.py", [("", textwrap.dedent(text))])
    return [(int(m.where.partition(":")[2]), m.what) for m in missing]


@pytest.mark.parametrize(
    "text, names",
    [
        ("from keras.layers import Foo", ["keras.layers.Foo"]),
        ("from keras.layers import Dense, Foo as F\nF(Dense)", ["keras.layers.Foo"]),
        ("import keras\nkeras.layers.Foo(3)", ["keras.layers.Foo"]),
        ("import keras.layers as L\nL.Dense, L.Foo", ["keras.layers.Foo"]),
        ("import keras.layers.core as c\nc.Dropout, c.Foo", ["keras.layers.core.Foo"]),
        ("import keras.quantizers", ["keras.quantizers"]),
        ("from keras.quantizers import AbsMaxQuantizer", ["keras.quantizers.AbsMaxQuantizer"]),
        ("import tensorflow as tf\ntf.matmul\ntf.keras.Foo", ["tensorflow.keras.Foo"]),
        ("from tensorflow import keras\nkeras.losses.foo", ["tensorflow.keras.losses.foo"]),
        ("import tensorflow.keras as tk\nK = tk.backend\nK.foo(1)", ["tensorflow.keras.backend.foo"]),
        ("from tensorflow.python.keras.layers import Foo", ["tensorflow.python.keras.layers.Foo"]),
        ("def f():\n    from keras import layers\n    return layers.Foo", ["keras.layers.Foo"]),
        (
            "from keras import layers\nclass A(layers.Foo):\n    x = layers.Bar",
            ["keras.layers.Foo", "keras.layers.Bar"],
        ),
        ("def f():\n    return K.foo\nimport keras.backend as K", ["keras.backend.foo"]),
        ("from keras.layers import *\nDense, Foo", []),
        ("from keras import layers\ndef f(layers):\n    return layers.Foo", []),
        ("from keras import layers\nlayers = []\nlayers.append", []),
        ("from keras import layers\nfor layers in []:\n    layers.Foo", []),
        ("from mine.keras import layers\nlayers.Foo\nfrom .keras import Foo", []),
        ("import keras\nkeras.version(), keras.__version__, keras.layers.Dense.from_config, keras.engine.Layer", []),
        ("from keras.utils.np_utils import to_categorical\nfrom keras.src.layers.core.dense import Dense", []),
    ],
)
def test_every_form_of_use_is_followed(text, names):
    assert [name for _, name in found(text)] == names


def test_lines_and_messages_say_where_and_what_is_near(tmp_path, capsys):
    (tmp_path / "inner").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.py").write_text("import keras.foo")
    (tmp_path / "inner" / "a.py").write_text("import keras\n\nkeras.layers.Dens\n")
    (tmp_path / "old.py").write_text("print 'hello'\n")
    cells = [
        {"cell_type": "markdown", "source": ["keras.foo"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "!pip install keras\n", "from keras import layers as L"],
        },
        {"cell_type": "code", "source": "%%bash\nls"},
        {"cell_type": "code", "source": "for i in range(2):\n    %time L.Foo\nL.TorchModuleWrapper\nL.Dense?"},
    ]
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": cells}))
    assert main(["check", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.replace(str(tmp_path), "").splitlines()
    assert lines == [
        "/b.ipynb, cell 4:3: keras.layers.TorchModuleWrapper: fkeras.layers has no 'TorchModuleWrapper'. "
        "Keras has it; fkeras does not.",
        "/inner/a.py:3: keras.layers.Dens: fkeras.layers has no 'Dens'. Did you mean 'Dense'?",
        "/old.py:1: cannot be parsed: it is Python 2",
        "3 files, 4 uses of Keras's names: 3 of them are missing.",
    ]
    assert main(["check", str(tmp_path / "nothing.py")]) == 2
    assert "there is no file or folder" in capsys.readouterr().err


def test_nothing_is_run_and_what_is_there_is_not_listed(tmp_path, capsys):
    (tmp_path / "a.py").write_text("import keras\nkeras.layers.Dense(3)\nraise SystemExit(5)\n")
    assert main(["check", str(tmp_path / "a.py")]) == 0
    assert capsys.readouterr().out == "1 file, 2 uses of Keras's names: all of them are here.\n"


def test_run_gives_a_script_its_arguments_and_fkeras_for_keras(tmp_path):
    script = tmp_path / "s.py"
    (tmp_path / "beside.py").write_text("from tensorflow.keras.layers import Dense\n")
    script.write_text(
        "import sys, keras\nfrom beside import Dense\nfrom keras.utils import np_utils\nnp_utils.to_categorical([1])\n"
        "print(Dense.__module__, sys.argv[1:], __name__, keras.__version__[0])\nsys.exit(3)\n"
    )
    out = subprocess.run(
        [sys.executable, "-m", "fkeras", "run", str(script), "--epochs", "2"], capture_output=True, text=True
    )
    assert out.returncode == 3, out.stderr
    assert out.stdout == "fkeras.layers.core ['--epochs', '2'] __main__ 3\n"
    assert "s.py:4: DeprecationWarning: keras.utils.np_utils is called keras.utils today." in out.stderr


@pytest.mark.parametrize("words", [["run"], ["run", "nowhere.py"], ["check"], ["chek", "a.py"]])
def test_words_that_mean_nothing_are_answered_with_what_does(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "nowhere.py" in said if words[1:] == ["nowhere.py"] else "python -m fkeras check PATHS" in said


def test_help_is_printed(capsys):
    assert main(["--help"]) == 0
    assert "python -m fkeras run script.py" in capsys.readouterr().out
