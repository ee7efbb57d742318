"""What is printed fits the terminal: its encoding, its width, whether it paints; notebooks get tables and lines."""

import io
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

import fkeras
from fkeras import Input, Model, Sequential, layers
from fkeras.__main__ import show
from fkeras.callbacks import History, Progbar
from fkeras.callbacks.progbar import say
from fkeras.core import html

ROOT = pathlib.Path(__file__).parent.parent
ENCODINGS = ["cp1252", "ascii", "latin-1", "utf-8"]


def branching():
    x = Input((8,), name="an_input_with_a_long_name")
    a = layers.Dense(16, name="the_first_of_two_branches")(x)
    b = layers.Dense(16, name="the_second_of_two_branches")(x)
    return Model(x, layers.Add(name="both")([a, b]))


@pytest.fixture
def screen(monkeypatch):
    """Puts a stream of an encoding in the place of standard output; returns what reads it."""

    def make(encoding, tty=False):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True)
        stream.isatty = lambda: tty
        monkeypatch.setattr(sys, "stdout", stream)
        return lambda: raw.getvalue().decode(encoding)

    return make


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_summary_and_the_bar_are_printed_in_any_encoding(encoding, screen):
    read = screen(encoding)
    nested = Sequential([Input((8,)), Sequential([Input((8,)), layers.Dense(2)], name="inner")])
    nested.summary(expand_nested=True)
    say("5 µs ━ done")
    assert "Total params: 18" in read() and ("━" if encoding == "utf-8" else "====") in read()


@pytest.mark.parametrize("columns", [60, 80])
def test_no_line_of_a_summary_is_wider_than_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    for model in (branching(), Sequential([Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten()])):
        lines = []
        model.summary(print_fn=lines.append, show_trainable=True)
        text = "\n".join(lines)
        assert max(map(len, text.split("\n"))) <= columns, text
        assert all(word in text.replace("\n", "") for word in ("Param #", "Total params"))


@pytest.mark.parametrize("variable, value", [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "xterm")])
def test_a_bar_paints_only_what_the_terminal_takes(variable, value, screen, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    monkeypatch.delitem(sys.modules, "ipykernel")
    read = screen("utf-8", tty=True)
    bar = Progbar(2, interval=0)
    bar.update(1, [("loss", 0.5)])
    bar.update(2, [("loss", 0.5)])
    assert ("\x1b[" in read()) == (value == "xterm")
    assert ("\r" in read()) == (value != "dumb")
    assert "2/2" in read() and "loss: 0.5000" in read()


@pytest.mark.parametrize("columns", [60, 80])
def test_the_pictures_of_the_demo_do_not_wrap(columns, capsys):
    many = (columns + 1) // 18
    show(np.ones((many, 8, 8)), np.eye(10)[:many], np.arange(many))
    assert max(map(len, capsys.readouterr().out.split("\n"))) <= columns


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_the_demo_runs_in_any_encoding(encoding, tmp_path):
    env = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "60", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    env.pop("XLA_FLAGS", None)
    done = subprocess.run([sys.executable, "-m", "fkeras"], cwd=tmp_path, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "predictions are equal" in done.stdout.decode(encoding)


def test_notebooks_get_a_table_of_a_model_and_lines_of_a_history():
    model = branching()
    shown = model._repr_html_()
    assert "the_first_of_two_branches (Dense)" in shown and "total params 288" in shown
    history = History()
    history.on_train_begin()
    for epoch, loss in enumerate([3.0, 2.0, float("nan")]):
        history.on_epoch_end(epoch, {"loss": loss, "val_loss": loss / 2, "<b>": 1.0})
    shown = history._repr_html_()
    assert shown.count("<polyline") == 3 and "<td" in shown and "&lt;b&gt;" in shown and "<b><" not in shown
    assert html.lines([[float("nan")]]) == "" and History()._repr_html_()


def test_a_model_shows_what_users_need():
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.encoder = layers.Dense(2)

        def call(self, x):
            return self.encoder(x)

        def helper(self):
            pass

    chain = Sequential([Input((4,)), layers.Dense(1)])
    assert len(dir(chain)) < 60 and len(dir(Own())) < 60
    assert {"encoder", "helper", "fit", "summary"} <= set(dir(Own()))
    assert all(hasattr(chain, name) for name in dir(chain))
    assert isinstance(fkeras.Model.gather, types.FunctionType)  # what is not shown is there
