"""Draws a model's graph: as text of the DOT language, which needs nothing, and by Graphviz's `dot` as SVG, PNG, PDF.

plot_model(model, "model.dot")  # text
plot_model(model, "model.svg", show_shapes=True)  # needs the program `dot`
"""

import html
import pathlib
import shutil
import subprocess

import jax

from fkeras.core.dtypes import dtype_name
from fkeras.layers.contract.shapes import is_spec
from fkeras.layers.input import InputLayer

RANKDIRS = ("TB", "LR", "BT", "RL")


def dot_source(
    model,
    show_shapes=False,
    show_dtype=False,
    show_layer_names=True,
    rankdir="TB",
    expand_nested=False,
    dpi=200,
    subgraph=False,
    show_layer_activations=False,
    show_trainable=False,
    layer_range=None,
):
    """Returns the model's graph in the DOT language: a box per layer, an arrow per value that goes from one to another.

    Args:
        show_shapes, show_dtype: Input and output shapes, and the dtype of the output, in each box.
        show_layer_names: Names in front of the classes.
        rankdir: Direction of the arrows: "TB" (downwards), "LR", "BT" or "RL".
        expand_nested: Models inside the model become frames with their own boxes.
        dpi: Dots per inch of a drawn picture; None leaves it to `dot`.
        subgraph: Return a `subgraph` to be put into another graph.
        show_layer_activations: The activation function of layers that have one.
        show_trainable: "trainable" or "frozen" for layers with weights.
        layer_range: Pair of layer names: only these and the layers between them are drawn.

    Raises:
        ValueError: The model's input shape is not known yet, or an argument is wrong.

    Example:
        >>> print(dot_source(Sequential([Dense(2, input_shape=(4,))], name="m")).splitlines()[0])
        digraph "m" {
    """
    if rankdir not in RANKDIRS:
        raise ValueError(f"plot_model(rankdir={rankdir!r}): expected one of {', '.join(map(repr, RANKDIRS))}.")
    model._require_built("draw its graph")
    drawing = _Drawing(show_shapes, show_dtype, show_layer_names, expand_nested, show_layer_activations, show_trainable)
    chosen = _chosen(model, layer_range)
    lines = [f"{'subgraph' if subgraph else 'digraph'} {_quote(('cluster_' if subgraph else '') + model.name)} {{"]
    lines.append(f"  rankdir={rankdir};" + ("" if dpi is None else f" dpi={dpi};"))
    lines.append('  node [shape=plain, fontname="Helvetica", fontsize=11]; edge [color="#555555", arrowsize=0.7];')
    lines += drawing.model(model, "", chosen, "  ")
    return "\n".join([*lines, *sorted(drawing.arrows), "}"]) + "\n"


def model_to_dot(model, **options):
    """Returns the model's graph as a `pydot.Dot`, as Keras does. Options: see `dot_source`.

    Raises:
        ImportError: There is no pydot.
    """
    try:
        import pydot
    except ImportError as err:
        raise ImportError(
            "model_to_dot gives a graph of the package pydot: pip install 'fkeras[plot]' (or pydot). "
            "plot_model(model, 'model.dot') writes the same graph without it."
        ) from err
    return pydot.graph_from_dot_data(dot_source(model, **options))[0]


def plot_model(model, to_file="model.png", **options):
    """Draws the model's graph into a file, whose ending says how: .dot is text, .svg, .png, .pdf are drawn by `dot`.

    Args:
        to_file: Path; without an ending, a PNG.
        options: See `dot_source`.

    Returns:
        In a notebook the picture to be shown, else None.

    Raises:
        ImportError: The ending asks for a picture and Graphviz's program `dot` is not there.
    """
    path = pathlib.Path(to_file)
    path = path if path.suffix else path.with_suffix(".png")
    source, kind = dot_source(model, **options), path.suffix[1:].lower()
    if kind == "dot":
        path.write_text(source, encoding="utf-8")
        return None
    program = shutil.which("dot")
    if program is None:
        raise ImportError(
            f"plot_model: drawing {path.name} needs Graphviz's program `dot`, which is not on the PATH: "
            f"apt install graphviz, brew install graphviz, conda install graphviz, or https://graphviz.org/download. "
            f"plot_model(model, {path.with_suffix('.dot').name!r}) writes the graph as text without it."
        )
    done = subprocess.run([program, f"-T{kind}"], input=source.encode(), capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"plot_model(to_file={str(to_file)!r}): {done.stderr.decode(errors='replace').strip()}")
    path.write_bytes(done.stdout)
    return _shown(path, kind)


def _shown(path, kind):
    """Returns what a notebook shows, if this is one."""
    import sys

    shell = sys.modules.get("IPython")
    if shell is None or shell.get_ipython() is None or kind not in ("svg", "png", "jpg", "jpeg"):
        return None
    from IPython import display

    return display.SVG(str(path)) if kind == "svg" else display.Image(str(path))


def _chosen(model, layer_range):
    if layer_range is None:
        return None
    names = [layer.name for layer in (model.graph.layers if model.graph else model.layers)]
    missing = [n for n in layer_range if n not in names]
    if len(layer_range) != 2 or missing:
        raise ValueError(f"plot_model(layer_range={list(layer_range)}): expected two of the layers {', '.join(names)}.")
    first, last = sorted(map(names.index, layer_range))
    return set(names[first : last + 1])


class _Drawing:
    """Boxes and arrows; a box is known by the path of names of the models around it and its own."""

    def __init__(self, shapes, dtype, names, expand, activations, trainable):
        self.shapes, self.dtype, self.names, self.expand = shapes, dtype, names, expand
        self.activations, self.trainable = activations, trainable
        self.arrows = set()

    def model(self, model, path, chosen, indent):
        """Yields the boxes of a model's layers and frames of models inside; notes the arrows between them."""
        if model.graph is None:  # its calls are not known
            yield f"{indent}{_quote(path + model.name)} {self.box(model, [])};"
            return
        calls = {}
        for node in model.graph.nodes:
            calls.setdefault(node.layer, []).append(node)
        for layer in model.graph.layers:
            if chosen is not None and layer.name not in chosen:
                continue
            if self.opens(layer):
                inner = f"{path}{layer.name}/"
                yield f"{indent}subgraph {_quote('cluster_' + inner)} {{"
                label = _quote(self.title(layer))
                yield f'{indent}  label={label}; fontname="Helvetica"; fontsize=11; style=rounded; color="#999999";'
                yield from self.model(layer, inner, None, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{_quote(path + layer.name)} {self.box(layer, calls.get(layer, []))};"
        for node in model.graph.nodes:
            if isinstance(node.layer, InputLayer):
                continue
            for place, symbol in enumerate(jax.tree.leaves((node.inputs, node.mask))):
                ends = symbol.node.layer.name, node.layer.name
                if chosen is None or all(n in chosen for n in ends):
                    arrow = self.source(symbol, path), self.target(node.layer, place, path)
                    self.arrows.add(f"  {_quote(arrow[0])} -> {_quote(arrow[1])};")

    def opens(self, layer):
        return self.expand and getattr(layer, "graph", None) is not None

    def source(self, symbol, path):
        """Returns the box that a value comes from: in an opened model the one that computes it there."""
        layer = symbol.node.layer
        if not self.opens(layer):
            return path + layer.name
        return self.source(layer.graph.output_symbols[symbol.index], f"{path}{layer.name}/")

    def target(self, layer, place, path):
        """Returns the box that a value goes to: in an opened model its input at that place."""
        if not self.opens(layer):
            return path + layer.name
        symbols = layer.graph.input_symbols
        return f"{path}{layer.name}/{symbols[min(place, len(symbols) - 1)].node.layer.name}"

    def title(self, layer):
        kind = type(layer).__name__
        return f"{layer.name} ({kind})" if self.names else kind

    def box(self, layer, calls):
        """Returns the attributes of a box: a table with a dark title and a row per thing to show."""
        rows = []
        if self.activations and getattr(layer, "activation", None) is not None:
            function = layer.activation
            rows.append(f"activation: {getattr(function, '__name__', type(function).__name__)}")
        if self.shapes and calls:
            if not isinstance(layer, InputLayer):
                rows.append(f"input: {self.of(calls, 'inputs')}")
            rows.append(f"output: {self.of(calls, 'outputs')}")
        if self.dtype and calls:
            rows.append("dtype: " + ", ".join(dict.fromkeys(dtype_name(s.dtype) for s in _symbols(calls[0].outputs))))
        if self.trainable and layer.built and layer.weights:
            rows.append("trainable" if layer.trainable else "frozen")
        cells = "".join(f"<tr><td>{html.escape(row)}</td></tr>" for row in rows)
        title = (
            f'<tr><td bgcolor="#303030"><font color="white"><b>{html.escape(self.title(layer))}</b></font></td></tr>'
        )
        table = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="5">{title}{cells}</table>'
        return f"[label=<{table}>]"

    def of(self, calls, what):
        """Returns the shapes of all calls of a layer, each once."""
        every = (", ".join(str(tuple(s.shape)) for s in _symbols(getattr(call, what))) for call in calls)
        return " | ".join(dict.fromkeys(every))


def _symbols(tree):
    return jax.tree.leaves(tree, is_leaf=is_spec)


def _quote(name):
    return '"' + str(name).replace("\\", "\\\\").replace('"', '\\"') + '"'
