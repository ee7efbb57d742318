"""A graph of layers is itself a layer: `declare` nests the children's declarations, `forward` replays the calls.

`Graph` is the one executor: a functional model is a graph from its inputs to its outputs, a `Sequential` becomes one
when its input shape is known. Parameters are keyed by layer, so that a layer called twice shares its weights; random
keys are folded by the layer's place and the call, so that it draws anew each time.
"""

import collections

import jax

from fkeras.core.symbol import Node, Symbol
from fkeras.graphs.host import host_part
from fkeras.graphs.trim import cut, find_cuts
from fkeras.layers.contract import custom
from fkeras.layers.contract.masks import spread
from fkeras.layers.contract.shapes import Spec, is_shape, is_spec
from fkeras.layers.input import Input, InputLayer

_BY_ID = ("_call", "_place", "_cuts", "host")  # attributes of a graph whose keys are ids of this process


class Traced:
    """Inputs and outputs of a model that computes in `call`: their shapes are known, the calls between are not.

    Args:
        model: The model.
        shapes: Tree of input shapes, batch axis first.
    """

    nodes = ()

    def __init__(self, model, shapes):
        free = jax.tree.map(lambda s: (None, *s[1:]), shapes, is_leaf=is_shape)
        self.inputs = jax.tree.map(lambda s: Input(batch_shape=s), free, is_leaf=is_shape)
        self.outputs = Node(model, self.inputs, 0).connect(model.compute_output_spec(self.inputs))
        self.layers = list(model.children().values())
        self.input_symbols = jax.tree.leaves(self.inputs)
        self.output_symbols = jax.tree.leaves(self.outputs)

    def specs(self):
        """Returns the tree of the outputs' shapes and dtypes."""
        return jax.tree.map(lambda s: Spec(s.shape, s.dtype), self.outputs, is_leaf=is_spec)


class Graph:
    """The calls between input and output symbols, in an order in which they can be replayed.

    Args:
        inputs, outputs: Trees (one, list, dict) of symbols.
        name: For messages.

    Raises:
        ValueError: An output does not depend on the inputs given, or two layers have one name.
    """

    def __init__(self, inputs, outputs, name="model"):
        self.inputs, self.outputs, self.name = inputs, outputs, name
        self.input_symbols = jax.tree.leaves(inputs)
        self.output_symbols = jax.tree.leaves(outputs)
        for kind, symbols in (("inputs", self.input_symbols), ("outputs", self.output_symbols)):
            for s in symbols:
                if not isinstance(s, Symbol):
                    raise ValueError(
                        f"Model {name!r}: expected its {kind} to be symbols, made by Input(...) and by calling "
                        f"layers on symbols, got {type(s).__name__}."
                    )
        self.nodes = self._collect()
        self.layers = layers_by_depth(self)
        self._number()
        self._check_names()

    def _number(self):
        calls = collections.Counter()
        self._call = {}  # which call of its layer a node is, counted within this graph
        for node in self.nodes:
            self._call[id(node)] = calls[id(node.layer)]
            calls[id(node.layer)] += 1
        # Random keys are folded by place, not by name: default names count over the process, a rerun's are others.
        self._place = {id(layer): place for place, layer in enumerate(self.layers)}
        self._cuts = find_cuts(self.nodes, self.output_symbols)
        self.host = host_part(self)

    def __getstate__(self):
        """What pickle and deepcopy take. All calls in their order come first: following them back nests too deep."""
        found, stack = {}, [s.node for s in (*self.input_symbols, *self.output_symbols)]
        while stack:
            node = stack.pop()
            if id(node) not in found:
                found[id(node)] = node
                stack += [s.node for s in _parents(node)]
        calls = sorted(found.values(), key=lambda n: n.order)
        return calls, {name: value for name, value in vars(self).items() if name not in _BY_ID}

    def __setstate__(self, state):
        vars(self).update(state[1])
        self._number()

    def _collect(self):
        known = set(map(id, self.input_symbols))
        found, stack = {}, [s.node for s in self.output_symbols if id(s) not in known]
        while stack:
            node = stack.pop()
            if id(node) in found:
                continue
            found[id(node)] = node
            if isinstance(node.layer, InputLayer):
                self._check_direction()
                ins = ", ".join(s.node.layer.name for s in self.input_symbols)
                raise ValueError(
                    f"Model {self.name!r}: its outputs also depend on {node.layer.label}, which is not among its "
                    f"inputs ({ins}). Add it to `inputs`, or cut the graph after it."
                )
            stack += [s.node for s in _parents(node) if id(s) not in known]
        begin = [s.node for s in self.input_symbols if isinstance(s.node.layer, InputLayer)]
        return begin + sorted(found.values(), key=lambda n: n.order)

    def _check_direction(self):
        """Raises ValueError if an input is computed from an output."""
        for symbol in self.input_symbols:
            seen, stack = set(), list(_parents(symbol.node))
            while stack:
                one = stack.pop()
                if any(one is s for s in self.output_symbols):
                    raise ValueError(
                        f"Model {self.name!r}: its input {symbol.name!r} is computed from its output {one.name!r}, so "
                        f"that the graph would be a cycle. Are inputs and outputs swapped?"
                    )
                if id(one.node) not in seen:
                    seen.add(id(one.node))
                    stack += _parents(one.node)

    def _check_names(self):
        by_name = collections.defaultdict(list)
        for layer in self.layers:
            by_name[layer.name].append(layer)
        for name, group in by_name.items():
            if len(group) > 1:
                kinds = ", ".join(type(g).__name__ for g in group)
                raise ValueError(
                    f"Model {self.name!r}: {len(group)} layers are called {name!r} ({kinds}). "
                    f"Names are keys of the parameter tree: give each its own `name=`."
                )

    def declare(self):
        """Returns {layer name: declarations} of the built layers."""
        out = {}
        for layer in self.layers:
            if tree := _nested(layer):
                out[layer.name] = tree
        return out

    def forward(self, params, state, x, ctx):
        """Replays the calls on the arrays `x`; returns the tree of outputs, state and masks.

        `x` is a tree like `inputs`, or `Prepared` for a graph with text among them.
        """
        values, inner = {}, {}
        if self.host is not None:
            values, inner = self.host.values(x)
        else:
            flat = jax.tree.leaves(x, is_leaf=lambda a: a is None)
            values = {
                id(s): None if is_absent(s, getattr(a, "shape", None)) else a
                for s, a in zip(self.input_symbols, flat, strict=True)
            }
        masks = dict.fromkeys(values)
        if ctx.mask is not None and self.host is None:
            given = jax.tree.leaves(ctx.mask, is_leaf=lambda m: m is None)
            masks.update(zip(map(id, self.input_symbols), given, strict=False))
        new_state = dict(state)
        for node in self.nodes:
            layer = node.layer
            if isinstance(layer, InputLayer) or (self.host is not None and id(node) in self.host.on_host):
                continue
            if id(node) in inner:
                inputs, mask = inner[id(node)], None
            else:
                inputs = jax.tree.map(lambda s: values[id(s)], node.inputs)
                mask = jax.tree.map(lambda s: masks[id(s)], node.inputs)
            if node.mask is not None:
                mask = jax.tree.map(lambda s: values[id(s)], node.mask)
            if mask is None and (sizes := self._cuts.get(id(node))):
                inputs = cut(inputs, node.inputs, sizes)
            place = self._place[id(layer)], *([call] if (call := self._call[id(node)]) else [])
            here = ctx.at(*place, mask=mask)
            if node.training is not None:
                here = here.at(training=node.training)
            own = params.get(layer.name, {}), new_state.get(layer.name, {})
            y, after, out_mask = layer.apply_masked(*own, inputs, here)
            if layer.name in new_state:
                new_state[layer.name] = after
            outputs = [id(s) for s in jax.tree.leaves(node.outputs)]
            values.update(zip(outputs, jax.tree.leaves(y), strict=True))
            masks.update(zip(outputs, spread(out_mask, len(outputs)), strict=True))
        out = jax.tree.map(lambda s: values[id(s)], self.outputs)
        return out, new_state, jax.tree.map(lambda s: masks[id(s)], self.outputs)

    def specs(self):
        """Returns the tree of the outputs' shapes and dtypes."""
        return jax.tree.map(lambda s: Spec(s.shape, s.dtype), self.outputs, is_leaf=is_spec)

    def parents(self, layer):
        """Returns the names of the layers whose outputs `layer` is called on in this graph."""
        return [s.node.layer.name for n in self.nodes if n.layer is layer for s in jax.tree.leaves(n.inputs)]


def is_absent(symbol, shape):
    """Whether nothing was given for an optional input: no shape, or, among data, that of an array without columns."""
    if not getattr(symbol.node.layer, "optional", False):
        return False
    return shape is None or (tuple(shape[1:]) == (0,) and tuple(symbol.shape[1:]) != (0,))


def _nested(layer):
    out = {}
    for path, weight in layer.declarations().items():
        node = out
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = weight
    return out


def node_arguments(node):
    """Returns (args, kwargs), trees of symbols: what the layer of this node was called with."""
    args, kwargs = custom.unpack(node.inputs)
    return list(args), dict(kwargs)


def layers_by_depth(graph):
    """Returns the layers of a graph in the order of Keras's `model.layers`, on which its files and weights rely.

    A layer's depth is the length of the longest way from it to an output. Layers come by falling depth; those of equal
    depth in the order in which a walk from the outputs back to the inputs, depth first, meets them.
    """
    known = set(map(id, graph.input_symbols))
    met, finished = {}, {}  # layer -> when it was first met; id(node) -> node, inputs before what depends on them
    stack = [(s.node, None) for s in reversed(graph.output_symbols) if not _cut(s, known)]
    while stack:
        node, parents = stack.pop()
        if parents is None:
            if id(node) in finished:
                continue
            met.setdefault(node.layer, len(met))
            parents = iter(_parents(node))
        for symbol in parents:
            if id(symbol.node) not in finished and not _cut(symbol, known):
                stack += [(node, parents), (symbol.node, None)]
                break
        else:
            finished[id(node)] = node
    depths, layer_depths = {}, {}
    for node in reversed(finished.values()):
        depth = max(depths.get(id(node), 0), layer_depths.get(node.layer, 0))
        depths[id(node)] = layer_depths[node.layer] = depth
        for symbol in _parents(node):
            if id(symbol.node) in finished:
                depths[id(symbol.node)] = max(depths.get(id(symbol.node), 0), depth + 1)
    unused = [s.node.layer for s in graph.input_symbols if isinstance(s.node.layer, InputLayer)]
    for layer in dict.fromkeys(unused):
        if layer not in layer_depths:
            layer_depths[layer], met[layer] = 0, -1
    return sorted(layer_depths, key=lambda layer: (-layer_depths[layer], met[layer]))


def _parents(node):
    """Returns the symbols a call depends on, in the order of its arguments."""
    leaves = [] if isinstance(node.layer, InputLayer) else jax.tree.leaves((node_arguments(node), node.mask))
    return [leaf for leaf in leaves if isinstance(leaf, Symbol)]


def _cut(symbol, known):
    """Whether the graph begins at this symbol though another layer computed it."""
    return id(symbol) in known and not isinstance(symbol.node.layer, InputLayer)
