"""Calls of ops in graphs, between the layers that stand for them here and the operations of Keras's files."""

import numpy as np

from fkeras import activations
from fkeras.core import operations as table
from fkeras.core.settings import get_registered_name, get_registered_object, serialize, snake_case
from fkeras.core.symbol import Symbol
from fkeras.graphs.graph import node_arguments
from fkeras.layers.contract.operators import Operation


def is_operator(layer):
    """Whether a layer stands for a call of an op that Keras has too."""
    return isinstance(layer, Operation) and layer.op is not None


# -------------------------------------------------------------------------------------------- writing


def describe(layer):
    """Returns the config dict of the operation of Keras that the layer stands for.

    Raises:
        ValueError: Keras records no such call, or a setting cannot be written: a function, for one.
    """
    op, settings = layer.op, layer.settings or {}
    if op.keras is None:
        raise ValueError(f"{layer.label}: files have no form for a call of ops.{op.name}, which Keras does not record.")
    config = {"name": layer.name}
    for name in op.settings:
        value = settings.get(name, op.signature.parameters[name].default)
        config[name] = _function(value, layer) if callable(value) else serialize(value)
    return {
        "module": f"keras.src.ops.{op.home}",
        "class_name": op.keras,
        "config": config,
        "registered_name": op.keras,
    }


def arguments(node):
    """Returns (args, kwargs) that Keras calls the operation with: symbols and, as it writes them, constants.

    Raises:
        ValueError: An argument cannot be written: a function, or a symbol where Keras takes a setting.
    """
    layer = node.layer
    args, kwargs = node_arguments(node)
    if wrong := next((k for k in kwargs if k in layer.op.settings), None):
        raise ValueError(
            f"{layer.label}: cannot write ops.{layer.op.name} into a file: its {wrong} is computed, where Keras "
            f"takes a setting."
        )
    if layer.op.name == "get_item":
        args = [args[0], _without_dots(args[1], args[0].ndim)]
    places = [p for p in layer.op.signature.parameters.values() if p.name not in layer.op.settings]
    if all(
        p.kind is p.POSITIONAL_OR_KEYWORD for p in places
    ):  # Keras's operations have no defaults of their own for some
        args = [*args, *(kwargs.pop(p.name, p.default) for p in places[len(args) :])]
    return [_written(a, layer) for a in args], {k: _written(v, layer) for k, v in kwargs.items()}


def _without_dots(key, rank):
    """Writes "..." as the whole axes it stands for, where it does not come last: older Keras cannot read it."""
    key = key if isinstance(key, tuple) else (key,)
    if not any(i is ... for i in key):
        return list(key)
    at = next(n for n, i in enumerate(key) if i is ...)
    rest = sum(i is not None for i in key) - 1
    return [*key[:at], *[slice(None)] * (rank - rest), *key[at + 1 :]]


def _written(value, layer):
    if isinstance(value, Symbol) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [_written(v, layer) for v in value]
    if isinstance(value, dict):
        return {k: _written(v, layer) for k, v in value.items()}
    if isinstance(value, slice):
        return {"class_name": "__slice__", "config": {k: getattr(value, k) for k in ("start", "stop", "step")}}
    return _function(value, layer) if callable(value) else value


def _function(function, layer):
    """Returns how Keras writes a function that is registered under a name.

    Raises:
        ValueError: It is not registered.
    """
    name = get_registered_name(function) if hasattr(function, "__name__") else ""
    if get_registered_object(name) is not function:
        raise ValueError(
            f"{layer.label}: cannot write ops.{layer.op.name} into a file: it takes a function of no name. Register it "
            f"(saving.register_keras_serializable), or put the call into a layer of your own."
        )
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}


# -------------------------------------------------------------------------------------------- reading


def is_operation(data, entry):
    """Whether a config dict is of an operation of Keras's graph; `entry` is the layer class of that name, or None.

    In HDF5 files Keras leaves out the module. There an operation is told from the layer of that name by what it lacks:
    a layer of Keras 3 writes whether it is trained.
    """
    if ".ops." in str(data.get("module")):
        return True
    nodes = data.get("inbound_nodes")
    if data.get("module") is not None or not nodes or not all(isinstance(n, dict) for n in nodes):
        return False
    config = data["config"]
    if not isinstance(config, dict) or "trainable" in config:
        return False
    if data["class_name"] == "GetItem":
        return "index" not in config
    return entry is None or data["class_name"] in table.classes()


def from_keras(data):
    """Returns the config dict of the layer that does what an operation in a graph of Keras does, or None."""
    name, nodes, config = data["class_name"], data.get("inbound_nodes") or [], dict(data["config"])
    if not nodes or not all(isinstance(n, dict) and (n.get("args") or n.get("kwargs")) for n in nodes):
        return None
    own = data.get("name") or config.get("name")
    op = table.by_class(name, data.get("module"))
    if op is None:
        if len(nodes[0].get("args") or ()) != 1 or activations.activations.find(snake_case(name)) is None:
            return None
        kept = {"name": own, "activation": snake_case(name)}
        return {
            "module": "keras.layers",
            "class_name": "Activation",
            "config": kept,
            "name": own,
            "inbound_nodes": nodes,
        }
    settings = {k: constant(v) if isinstance(v, dict) else v for k, v in config.items() if k in op.settings}
    if unknown := [
        k for k, v in config.items() if k not in op.settings and k not in ("name", "dtype") and v is not None
    ]:
        raise ValueError(f"Layer {own!r}: ops.{op.name}{op.signature} has no setting {unknown[0]!r}.")
    config = {"name": own, "function": f"image.{op.name}" if op.home == "image" else op.name, "settings": settings}
    return {"module": "keras.layers", "class_name": "Operation", "config": config, "name": own, "inbound_nodes": nodes}


def constant(value):
    """Returns what a note in the arguments of a call stands for, or the dict itself where it is none.

    Raises:
        ValueError: It is the code of a function, or names one that is not known.
    """
    kind, config = value.get("class_name"), value.get("config")
    if kind in ("function", "__lambda__"):
        found = kind == "function" and get_registered_object(str(value.get("registered_name") or config))
        if not found:
            what = f"the function {config!r}, which is not known" if kind == "function" else "the code of a function"
            raise ValueError(
                f"A call of an op in the file takes {what}; code in files is never run. Pass it in custom_objects by "
                f"its name, or rebuild the model."
            )
        return found
    if kind == "__slice__":
        return slice(*(config.get(k) for k in ("start", "stop", "step")))
    if kind == "__ellipsis__":
        return ...
    if kind in ("__numpy__", "__tensor__"):
        return np.asarray(config["value"], config["dtype"])
    return value
