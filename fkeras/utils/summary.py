"""The table that `model.summary()` prints, from declarations alone."""

import shutil

import jax
import numpy as np

from fkeras.compiled.flops import by_scope
from fkeras.core import html, messages
from fkeras.layers.contract.context import Context
from fkeras.layers.contract.shapes import is_spec
from fkeras.layers.input import InputLayer
from fkeras.layers.kernels.convolution import formulation
from fkeras.training.forecast import inputs


def summary(model, line_length=None, positions=None, print_fn=None, expand_nested=False, show_trainable=False,
            layer_range=None, flops=False):  # fmt: skip
    """Prints one row per layer: name and class, output shape, number of parameters, and where its inputs come from.

    Args:
        line_length: Width of the table; by default that of the terminal, at most 100.
        positions: Where the columns end: ascending column positions, or fractions of the width.
        print_fn: Called with each line instead of `print`.
        expand_nested: List the layers of models inside the model too.
        show_trainable: Add a column that says whether the layer is trained.
        layer_range: Pair of layer names to begin and end with.
        flops: Add the operations of each layer for one row, forward.

    Raises:
        ValueError: `flops` of a model whose input sizes are not all known.
    """
    emit = print_fn or _print
    width = line_length or min(shutil.get_terminal_size((80, 24)).columns, 100)
    branching = _branches(model)
    titles = ["Layer (type)", "Output Shape", "Param #"]
    if branching:
        titles.append("Connected to")
    if show_trainable:
        titles.append("Trainable")
    operations = _operations(model) if flops else None
    if flops:
        titles.insert(3, "FLOPs")
    rows = list(_rows(model, branching, expand_nested, show_trainable, layer_range, operations))
    ends = _ends(positions, width, [titles, *rows])
    emit(f'Model: "{model.name}"')
    emit("━" * ends[-1])
    emit(_line(titles, ends))
    emit("━" * ends[-1])
    for row in rows:
        emit(_line(row, ends))
    emit("─" * ends[-1])
    for label, said in _totals(model):
        emit(f" {label}: {said}")
    if flops:
        emit(f" FLOPs of one row: {operations['']:,}")


def _totals(model):
    """Returns pairs (label, count and size) of the lines below the table."""
    trained = sum(_size(v) for v in model.trainable_weights)
    total = sum(map(_size, model.weights))
    lines = [
        ("Total params", f"{total:,} ({_bytes(model.weights)})"),
        ("Trainable params", f"{trained:,} ({_bytes(model.trainable_weights)})"),
        ("Non-trainable params", f"{total - trained:,} ({_bytes(model.non_trainable_weights)})"),
    ]
    slots = getattr(model.optimizer, "state", None)
    if slots is not None:
        leaves = jax.tree.leaves(slots)
        size = _human(sum(a.size * a.dtype.itemsize for a in leaves))
        lines.append(("Optimizer params", f"{sum(int(np.prod(a.shape)) for a in leaves):,} ({size})"))
    return lines


def as_html(model):
    """Returns the table of a summary as HTML, for notebooks."""
    branching = _branches(model)
    titles = ["Layer (type)", "Output shape", "Params", *["Connected to"] * branching]
    below = "; ".join(f"{label.lower()} {said}" for label, said in _totals(model))
    head = f"{type(model).__name__} {model.name!r}"
    return html.table(titles, _rows(model, branching, False, False, None), head, below, numbers=(2,))


def _print(text):
    print(messages.printable(text))


def _branches(model):
    """True if some layer is not simply called on the one before it."""
    if model.graph is None:
        return False
    before = None
    for node in model._io.nodes:
        if isinstance(node.layer, InputLayer):
            before = node.layer
            continue
        parents = [s.node.layer for s in jax.tree.leaves(node.inputs)]
        if parents != [before]:
            return True
        before = node.layer
    return sum(isinstance(n.layer, InputLayer) for n in model._io.nodes) > 1


def _operations(model):
    """Returns {layer's name: operations} of predicting one row, of shapes alone; all of them under ""."""
    xs = inputs(model, 1, what="summary(flops=True)")
    shapes = model._input_tree([a.shape for a in xs])
    params, state = jax.eval_shape(lambda: model.init(jax.random.key(0), shapes))
    with formulation("lax"):  # as it is written, not as this platform computes it
        return by_scope(lambda *args: model.apply_masked(*args, Context())[0], params, state, model._input_tree(xs))


def _rows(model, branching, expand, show_trainable, layer_range, operations=None, indent=""):
    layers = list(model.operations)
    if layer_range:
        names = [layer.name for layer in layers]
        first, last = (next((i for i, n in enumerate(names) if n == wanted), None) for wanted in layer_range)
        if first is None or last is None:
            raise ValueError(f"summary(layer_range={layer_range}): no such layers. Layers: {', '.join(names)}.")
        layers = layers[first : last + 1]
    called = {}
    for node in model.graph.nodes if model.graph is not None else ():
        called.setdefault(id(node.layer), []).append(node)
    for layer in layers:
        row = [
            f"{indent}{layer.name} ({type(layer).__name__})",
            _shapes(layer, called.get(id(layer))),
            f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
        ]
        if operations is not None:
            row.append(f"{operations.get(layer.name, 0):,}")
        if branching:
            parents = model.graph.parents(layer) if called else []
            row.append(", ".join(parents) or "-")
        if show_trainable:
            row.append(("Y" if layer.trainable else "N") if layer.built and layer.weights else "-")
        yield row
        if expand and hasattr(layer, "graph"):
            yield from _rows(layer, branching, expand, show_trainable, None, operations, "   " + (indent or "└ "))


def _shapes(layer, calls):
    """Returns a layer's output shapes: of its calls in the graph, else of the call its model makes, else "?"."""
    if calls is not None:
        leaves = jax.tree.leaves(calls[0].outputs, is_leaf=is_spec)
    else:
        leaves = jax.tree.leaves(layer.__dict__.get("_output_seen"), is_leaf=is_spec)
    return ", ".join(str(tuple(s.shape)) for s in leaves) or "?"


def _ends(positions, width, rows):
    n = len(rows[0])
    if positions:
        scaled = [int(p * width) if p <= 1 else int(p) for p in positions]
        return scaled[:n]
    natural = [max(len(r[i]) for r in rows) + 2 for i in range(n)]
    spare = width - sum(natural)
    widths = [w + max(spare, 0) // n for w in natural] if spare > 0 else natural
    while sum(widths) > width and max(widths) > 12:  # the widest column gives way, and its cells wrap
        widths[int(np.argmax(widths))] -= 1
    return list(np.cumsum(widths))


def _line(cells, ends):
    starts = [0, *ends[:-1]]
    columns = []
    for cell, start, end in zip(cells, starts, ends, strict=False):
        room = max(int(end - start) - 2, 8)
        columns.append([cell[i : i + room] for i in range(0, len(cell), room)] or [""])
    height = max(map(len, columns))
    lines = []
    for k in range(height):
        text = ""
        for parts, start in zip(columns, starts, strict=False):
            text = text.ljust(int(start)) + " " + (parts[k] if k < len(parts) else "")
        lines.append(text.rstrip())
    return "\n".join(lines)


def _size(v):
    return int(np.prod(v.shape))


def _bytes(variables):
    return _human(sum(_size(v) * v.dtype.itemsize for v in variables))


def _human(n):
    for unit in ("B", "KB", "MB", "GB"):
        if n < 1024 or unit == "GB":
            return f"{n:.2f} {unit}"
        n /= 1024
    return f"{n:.2f} GB"
