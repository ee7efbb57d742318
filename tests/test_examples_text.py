"""The examples with text and tables learn, and end in a picture."""

import importlib.util
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def load(name):
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_texts_tell_their_author(tmp_path, capsys):
    accuracy, shares = load("texts").main(epochs=12, out=tmp_path)
    assert accuracy > 0.65  # always Hamilton: 0.575
    assert len(shares) == 12 and sum(share > 0.5 for share in shares.values()) >= 10
    assert (tmp_path / "texts.png").read_bytes()[:4] == b"\x89PNG"
    assert "disputed essays" in capsys.readouterr().out


def test_a_table_tells_its_author(tmp_path, capsys):
    found, worse = load("table").main(epochs=10, out=tmp_path)
    assert found["accuracy"] > 0.65 and found["auc"] > 0.7
    assert max(worse, key=worse.get) == "upon"  # as Mosteller and Wallace found
    assert (tmp_path / "table.png").read_bytes()[:4] == b"\x89PNG"
    assert "the first row" in capsys.readouterr().out
