"""Drawings of models: the text of the graph, files by their ending, and clear messages without the programs."""

import re
import shutil

import pytest

import fkeras
from fkeras import Input, Model, Sequential, utils
from fkeras.layers import Concatenate, Dense
from fkeras.utils import plot


@pytest.fixture
def model():
    a, b = Input((6,), name="a"), Input((6,), name="b")
    tower = Sequential([Input((6,), name="x"), Dense(4, "relu", name="first"), Dense(3, name="last")], name="tower")
    tower.layers[0].trainable = False
    joined = Concatenate(name="cat")([tower(a), tower(b)])
    return Model([a, b], Dense(2, "softmax", name='out "<1>"')(joined), name="twins")


def arrows(source):
    return {tuple(re.findall(r'"((?:[^"\\]|\\.)*)"', line)) for line in source.splitlines() if " -> " in line}


def test_boxes_and_arrows_are_the_layers_and_their_connections(model):
    source = plot.dot_source(model)
    assert arrows(source) == {("a", "tower"), ("b", "tower"), ("tower", "cat"), ("cat", 'out \\"<1>\\"')}
    assert "<b>tower (Sequential)</b>" in source and "out &quot;&lt;1&gt;&quot; (Dense)" in source
    assert "(None, 6)" not in source and "float32" not in source and "frozen" not in source


def test_nested_models_open_into_frames(model):
    source = plot.dot_source(model, expand_nested=True)
    assert arrows(source) == {
        ("a", "tower/x"), ("b", "tower/x"), ("tower/x", "tower/first"), ("tower/first", "tower/last"),
        ("tower/last", "cat"), ("cat", 'out \\"<1>\\"'),
    }  # fmt: skip
    assert 'subgraph "cluster_tower/"' in source


def test_options_show_what_they_say(model):
    source = plot.dot_source(
        model, show_shapes=True, show_dtype=True, show_layer_names=False, rankdir="LR", expand_nested=True, dpi=55,
        show_layer_activations=True, show_trainable=True,
    )  # fmt: skip
    for text in ("input: (None, 3), (None, 3)", "output: (None, 6)", "dtype: float32", "<b>Dense</b>", "rankdir=LR",
                 "dpi=55", "activation: softmax", "frozen", "trainable"):  # fmt: skip
        assert text in source
    assert "cat (Concatenate)" not in source
    part = plot.dot_source(model, layer_range=["tower", "cat"])
    assert arrows(part) == {("tower", "cat")}
    assert plot.dot_source(model, subgraph=True).startswith('subgraph "cluster_twins"')


def test_a_model_that_computes_in_call_is_one_box():
    class Own(fkeras.Model):
        def call(self, x):
            return x

    own = Own(name="own")
    own.build((None, 3))
    assert "own (Own)" in plot.dot_source(own)


def test_text_needs_nothing_and_pictures_need_dot(model, tmp_path, monkeypatch):
    utils.plot_model(model, tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text() == plot.dot_source(model)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ImportError, match=r"drawing m.svg needs Graphviz's program `dot`, which is not on the PATH: apt"
    ):
        utils.plot_model(model, tmp_path / "m.svg")
    monkeypatch.setitem(__import__("sys").modules, "pydot", None)
    with pytest.raises(ImportError, match=r"pip install 'fkeras\[plot\]'"):
        utils.model_to_dot(model)


def test_wrong_arguments_are_named(model):
    with pytest.raises(ValueError, match=r"plot_model\(rankdir='XX'\): expected one of 'TB', 'LR', 'BT', 'RL'"):
        utils.plot_model(model, rankdir="XX")
    with pytest.raises(ValueError, match="expected two of the layers a, b, tower, cat"):
        utils.plot_model(model, layer_range=["a", "nobody"])
    with pytest.raises(ValueError, match="cannot draw its graph yet, its input shape is not known"):
        utils.plot_model(Sequential([Dense(2)]))


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize(
    ("ending", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("", b"\x89PNG")]
)
def test_dot_draws_files_by_their_ending(model, tmp_path, ending, begin):
    utils.plot_model(model, tmp_path / f"m.{ending}".rstrip("."), show_shapes=True, expand_nested=True)
    assert (tmp_path / f"m.{ending or 'png'}").read_bytes().startswith(begin)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pydot's, for its own parser
def test_model_to_dot_is_a_graph_of_pydot(model):
    pydot = pytest.importorskip("pydot", reason='part of the "plot" extra')
    graph = utils.model_to_dot(model, show_shapes=True)
    assert isinstance(graph, pydot.Dot) and len(graph.get_edges()) == 4
