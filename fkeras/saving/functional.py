"""The config of a graph: its layers, which was called on what, its inputs and outputs."""

import jax
import numpy as np

from fkeras.core.dtypes import dtype_name
from fkeras.core.settings import custom_object_scope, serialize
from fkeras.core.symbol import Symbol
from fkeras.graphs.graph import InputLayer, node_arguments
from fkeras.layers.contract.base import layers as family
from fkeras.saving import operators
from fkeras.saving.configs import clean, describe
from fkeras.saving.order import keras_layers

# -------------------------------------------------------------------------------------------- writing


def functional_config(model):
    """Returns Keras 3's config of a graph model: {"name", "trainable", "layers", "input_layers", "output_layers"}.

    A call is {"args": [...], "kwargs": {...}}; in it stands for each symbol the history [layer, call, output]: calls of
    a layer are counted within this model. As in Keras, calls of an inner model are counted from 1 in "output_layers".
    """
    graph = model.graph
    calls, index = {}, {}
    for node in graph.nodes:
        index[id(node)] = len(calls.setdefault(node.layer, []))
        calls[node.layer].append(node)

    def history(symbol, first=0):
        return [symbol.node.layer.name, index[id(symbol.node)] + first, symbol.index]

    def tensor(symbol):
        if not isinstance(symbol, Symbol):
            return _constant(symbol)
        about = {"shape": list(symbol.shape), "dtype": dtype_name(symbol.dtype), "keras_history": history(symbol)}
        return {"class_name": "__keras_tensor__", "config": about}

    def end(symbol):
        is_model = hasattr(symbol.node.layer, "graph") and not hasattr(symbol.node.layer, "_chain")
        return history(symbol, 1 if is_model else 0)

    cut = [s for s in graph.input_symbols if not isinstance(s.node.layer, InputLayer)]
    if cut:
        raise ValueError(
            f"{model.label}: cannot write its config, because its input {cut[0].name!r} is the output of another "
            f"layer. Begin it with an Input(...) of that shape."
        )
    found = []
    for layer in keras_layers(model):
        inbound = []
        for node in calls.get(layer, []):
            if not isinstance(layer, InputLayer):
                args, kwargs = operators.arguments(node) if operators.is_operator(layer) else node_arguments(node)
                args, kwargs = _map(tensor, (args, kwargs))
                inbound.append({"args": args, "kwargs": kwargs})
        about = operators.describe(layer) if operators.is_operator(layer) else describe(layer)
        found.append({**about, "name": layer.name, "inbound_nodes": inbound})
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": found,
        "input_layers": _map(end, graph.inputs),
        "output_layers": _map(end, graph.outputs),
    }


def _constant(value):
    """Returns what a config holds for an argument that is no symbol: arrays are written as Keras writes them."""
    if len(getattr(value, "shape", ())) == 0:
        return serialize(value)
    array = np.asarray(value)
    kind = {"f": "float32", "i": "int32", "u": "int32", "b": "bool"}.get(array.dtype.kind, str(array.dtype))
    return {"class_name": "__numpy__", "config": {"value": array.tolist(), "dtype": kind}}


def _map(function, tree):
    if isinstance(tree, dict):
        return {k: _map(function, v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_map(function, v) for v in tree]
    return function(tree)


# -------------------------------------------------------------------------------------------- reading


def functional_from_config(cls, config, custom_objects=None):
    """Builds a graph model of class `cls` from its config in the form of Keras 1, 2 or 3.

    Raises:
        ValueError: A layer is missing or named twice, calls wait for each other, or a layer refuses its settings.
    """
    with custom_object_scope(custom_objects or {}):
        config = clean(config)
        return _Reader(config, f"{cls.__name__} {config.get('name')!r}").read(cls)


class _Waiting(Exception):
    """A call needs the output of one that was not made yet."""


class _Reader:
    """Makes the layers of a config, calls them as soon as what they are called on exists, and finds the ends."""

    def __init__(self, config, label):
        self.config, self.label = config, label
        self.made = {}  # layer name -> layer
        self.outputs = {}  # layer name -> list, one entry per call: the symbols that the call put out
        self.counts = {}  # layer name -> how many calls the config has
        self.from_one = set()  # inner models whose calls are counted from 1 wherever they are named: Keras 2's way
        self.old = any(isinstance(n, list) for c in config["layers"] for n in c.get("inbound_nodes") or [])

    def read(self, cls):
        pending = []
        for data in self.config["layers"]:
            layer = self.make(data)
            nodes = data.get("inbound_nodes") or []
            if isinstance(layer, InputLayer):
                self.outputs[layer.name] = [[layer.output]]
            else:
                pending.append((layer, list(nodes)))
            self.counts[layer.name] = max(len(nodes), 1)
        if self.old:
            self.find_counts_from_one()
        while pending:
            left = [(layer, self.advance(layer, nodes)) for layer, nodes in pending]
            left = [(layer, nodes) for layer, nodes in left if nodes]
            if sum(len(n) for _, n in left) == sum(len(n) for _, n in pending):
                self.stuck(left)
            pending = left
        inputs = self.ends("input_layers")
        outputs = self.ends("output_layers")
        rest = {k: v for k, v in self.config.items() if k not in ("layers", "input_layers", "output_layers")}
        if rest.get("trainable") is None:
            rest.pop("trainable", None)
        return cls(inputs=inputs, outputs=outputs, **rest)

    def make(self, data):
        name = data.get("name") or data.get("config", {}).get("name")
        if name in self.made:
            raise ValueError(f"{self.label}: two layers are called {name!r}.")
        layer = family.from_config(data)
        self.made[name] = layer
        self.outputs[name] = []
        return layer

    def advance(self, layer, nodes):
        """Makes the calls of `layer` that can be made, in their order; returns those left."""
        while nodes:
            try:
                args, kwargs = self.arguments(layer, nodes[0])
            except _Waiting:
                break
            out = layer(*args, **kwargs)
            self.outputs[layer.name].append(jax.tree.leaves(out))
            nodes = nodes[1:]
        return nodes

    def arguments(self, layer, node):
        if isinstance(node, dict):
            args = [self.value(a) for a in node.get("args", [])]
            kwargs = {k: self.value(v) for k, v in (node.get("kwargs") or {}).items()}
        else:  # Keras 1 and 2: [[layer, call, output, kwargs], ...]
            args, kwargs = [], {}
            parts = [node] if self.is_history(node) else node
            if isinstance(parts, dict):
                args = [{k: self.symbol(*v[:3]) for k, v in parts.items()}]
            else:
                for part in parts:
                    args.append(self.symbol(*part[:3]))
                    kwargs |= {k: self.old_value(v) for k, v in (part[3] if len(part) > 3 else {}).items()}
                args = [args[0] if len(args) == 1 else args]
        if kwargs.get("training"):
            raise ValueError(f"{layer.label}: the file fixes training=True in a call, which cannot be done here.")
        return args, {k: v for k, v in kwargs.items() if v is not None and k != "training"}

    def value(self, value):
        """Turns Keras 3's notes in the arguments of a call into symbols and constants."""
        if isinstance(value, (list, tuple)):
            return [self.value(v) for v in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") == "__keras_tensor__":
            return self.symbol(*value["config"]["keras_history"])
        found = operators.constant(value)
        return {k: self.value(v) for k, v in value.items()} if found is value else found

    def old_value(self, value):
        return self.symbol(*value[:3]) if self.is_history(value) else value

    def is_history(self, value):
        return (
            isinstance(value, (list, tuple))
            and len(value) in (3, 4)
            and isinstance(value[0], str)
            and all(isinstance(v, int) for v in value[1:3])
        )

    def symbol(self, name, call, output):
        call -= name in self.from_one
        return self.output_of(name, call, output)

    def output_of(self, name, call, output):
        if name not in self.made:
            from fkeras.core.settings import nearest

            raise ValueError(
                f"{self.label}: its config names a layer {name!r} that it does not hold.{nearest(name, self.made)}"
            )
        calls = self.outputs[name]
        if not 0 <= call < self.counts[name]:
            raise ValueError(
                f"{self.label}: its config names call {call} of layer {name!r}, which has {self.counts[name]} calls."
            )
        if call >= len(calls):
            raise _Waiting
        if not 0 <= output < len(calls[call]):
            raise ValueError(
                f"{self.label}: its config names output {output} of layer {name!r}, which has {len(calls[call])}."
            )
        return calls[call][output]

    def find_counts_from_one(self):
        """Keras 1 and 2 count the calls of an inner model from 1: its first one was the making of the model."""
        named = {}

        def walk(value):
            if self.is_history(value):
                named.setdefault(value[0], set()).add(value[1])
            for v in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
                walk(v)

        for data in self.config["layers"]:
            walk(data.get("inbound_nodes") or [])
        walk(self.config["output_layers"])
        models = {name for name, layer in self.made.items() if hasattr(layer, "graph")}
        self.from_one = {name for name in models if 0 not in named.get(name, {0})}

    def ends(self, key):
        def find(value):
            if self.is_history(value):
                name, call, output = value
                layer = self.made.get(name)
                is_model = hasattr(layer, "graph") and not hasattr(layer, "_chain")
                call -= 1 if name in self.from_one or (is_model and not self.old) else 0
                return self.output_of(name, call, output)
            if isinstance(value, dict):
                return {k: find(v) for k, v in value.items()}
            if not isinstance(value, (list, tuple)):
                raise ValueError(f"{self.label}: cannot read its {key}: {value!r}.")
            return [find(v) for v in value]

        found = find(self.config[key])
        return found[0] if self.old and isinstance(found, list) and len(found) == 1 else found

    def stuck(self, left):
        names = ", ".join(repr(layer.name) for layer, _ in left)
        raise ValueError(
            f"{self.label}: its config has a cycle: the calls of {names} wait for each other, so none can come first."
        )
