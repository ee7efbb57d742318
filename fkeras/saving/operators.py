"""Python's operators on symbols, between the layers that stand for them here and the operations of Keras's graphs."""

import numpy as np

from fkeras import activations
from fkeras.core.settings import snake_case
from fkeras.core.symbol import Symbol

_HOME = "keras.src.ops.numpy"
_NAMES = {
    "add": "Add",
    "sub": "Subtract",
    "mul": "Multiply",
    "truediv": "TrueDivide",
    "floordiv": "FloorDivide",
    "mod": "Mod",
    "pow": "Power",
    "matmul": "Matmul",
    "lt": "Less",
    "le": "LessEqual",
    "gt": "Greater",
    "ge": "GreaterEqual",
    "eq": "Equal",
    "ne": "NotEqual",
    "neg": "Negative",
    "abs": "Absolute",
    "and": "LogicalAnd",
    "or": "LogicalOr",
    "xor": "LogicalXor",
    "invert": "LogicalNot",
    "round": "Round",
}
_OURS = {theirs: ours for ours, theirs in _NAMES.items()} | {"Divide": "truediv"}


def is_operator(layer):
    """Whether a layer stands for one of Python's operators."""
    return type(layer).__name__ in ("Operator", "GetItem")


# -------------------------------------------------------------------------------------------- writing


def describe(layer):
    """Returns the config dict of the operation of Keras that the layer stands for."""
    name = "GetItem" if type(layer).__name__ == "GetItem" else _NAMES[layer.operator]
    return {"module": _HOME, "class_name": name, "config": {"name": layer.name}, "registered_name": name}


def arguments(layer, inputs):
    """Returns the arguments that Keras calls the operation with: symbols and, as it writes them, constants."""
    if type(layer).__name__ == "GetItem":
        return [inputs, [_index(i) for i in _without_dots(layer.index, inputs.ndim)]]
    if not isinstance(inputs, Symbol):
        return list(inputs)
    if layer.constant is None:
        return [inputs]
    constant = np.asarray(layer.constant) if isinstance(layer.constant, (list, tuple)) else layer.constant
    return [constant, inputs] if layer.swapped else [inputs, constant]


def _without_dots(index, rank):
    """Writes "..." as the whole axes it stands for: Keras cannot read it back from HDF5."""
    if "..." not in index:
        return list(index)
    at = index.index("...")
    rest = sum(i is not None for i in index) - 1
    return [*index[:at], *[[None, None, None]] * (rank - rest), *index[at + 1 :]]


def _index(i):
    if not isinstance(i, (list, tuple)):
        return i
    return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), i, strict=True))}


# -------------------------------------------------------------------------------------------- reading


def is_operation(data, entry):
    """Whether a config dict is of an operation of Keras's graph; `entry` is the layer class of that name, or None.

    In HDF5 files Keras leaves out the module. Its operation Add is called on two arguments, its layer Add on a list.
    """
    if ".ops." in str(data.get("module")):
        return True
    nodes = data.get("inbound_nodes")
    if data.get("module") is not None or not nodes or not all(isinstance(n, dict) for n in nodes):
        return False
    name = data["class_name"]
    if name == "GetItem":
        return "index" not in data["config"]
    return entry is None or (name in _OURS and len(nodes[0].get("args", ())) > 1)


def from_keras(data):
    """Returns the config dict of a layer that does what an operation in a graph of Keras does, or None."""
    name, nodes = data["class_name"], data.get("inbound_nodes") or []
    if not all(isinstance(n, dict) and n.get("args") for n in nodes) or not nodes:
        return None
    calls = [[*n["args"], *(v for v in n.get("kwargs", {}).values() if v is not None)] for n in nodes]
    kept = {"name": data.get("name") or data["config"]["name"]}
    if name == "GetItem":
        found, kept["index"] = "GetItem", _read_index(calls[0][1])
        tensors = [[c[0]] for c in calls]
    elif name in _OURS:
        found, kept["operator"] = "Operator", _OURS[name]
        places = [i for i, a in enumerate(calls[0]) if not _is_tensor(a)]
        if places:
            kept |= {"constant": _read_constant(calls[0][places[0]]), "swapped": places[0] == 0}
        tensors = [[t for t in c if _is_tensor(t)] for c in calls]
    elif len(calls[0]) == 1 and activations.activations.find(snake_case(name)) is not None:
        found, kept["activation"], tensors = "Activation", snake_case(name), calls
    else:
        return None
    if any([a for a in c if not _is_tensor(a)] != [a for a in calls[0] if not _is_tensor(a)] for c in calls):
        return None
    nodes = [{"args": t if len(t) == 1 else [t], "kwargs": {}} for t in tensors]
    return {"module": "keras.layers", "class_name": found, "config": kept, "name": kept["name"], "inbound_nodes": nodes}


def _is_tensor(value):
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _read_constant(value):
    return value["config"]["value"] if isinstance(value, dict) else value  # an array: {"class_name": "__numpy__", ...}


def _read_index(index):
    found = []
    for i in index if isinstance(index, list) else [index]:
        if isinstance(i, dict):
            parts = i.get("config", {})
            i = [parts.get(k) for k in ("start", "stop", "step")] if i["class_name"] == "__slice__" else "..."
        found.append(i)
    return found
