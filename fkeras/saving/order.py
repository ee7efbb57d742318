"""Keras's orders: of the layers of a model, of the weights of a layer, and the paths that files know them by."""

import jax

from fkeras.graph import InputLayer
from fkeras.layers.symbol import Symbol
from fkeras.layers.variables import Variable


def node_arguments(node):
    """Returns (args, kwargs), trees of symbols: what the layer of this node was called with."""
    layer, tree = node.layer, node.inputs
    if isinstance(tree, dict) and set(tree) == {"args", "kwargs"}:
        return list(tree["args"]), dict(tree["kwargs"])
    if hasattr(layer, "unpack"):
        args, kwargs = layer.unpack(tree)
        return list(args), dict(kwargs)
    return [tree], {}


def keras_layers(model):
    """Returns the inner layers in the order of Keras's `model.layers`, on which its files rely.

    A layer's depth is the length of the longest way from it to an output. Layers come by falling depth; those of equal
    depth in the order in which a walk from the outputs back to the inputs, depth first, meets them. A chain has its own
    order.
    """
    graph = getattr(model, "graph", None)
    if graph is None or hasattr(model, "_chain"):
        return list(model.layers) or list(model.children().values())
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
    leaves = [] if isinstance(node.layer, InputLayer) else jax.tree.leaves(node_arguments(node))
    return [leaf for leaf in leaves if isinstance(leaf, Symbol)]


def _cut(symbol, known):
    """Whether the graph begins at this symbol though another layer computed it."""
    return id(symbol) in known and not isinstance(symbol.node.layer, InputLayer)


def inner_layers(layer):
    """Returns {key in the parameter tree: layer} of the layers inside, in Keras's order."""
    inner = layer._cell.inner if layer._cell is not None else layer.children()
    if not hasattr(layer, "graph"):
        return inner
    keys = {id(child): key for key, child in inner.items()}
    return {keys[id(child)]: child for child in keras_layers(layer) if id(child) in keys}


def own_weights(layer):
    """Returns the layer's own variables, trained ones before running ones, without those of inner layers."""
    declared = layer._cell.declared if layer._cell is not None else {}
    declared = {n: w for n, w in declared.items() if getattr(w, "saved", True)}  # not the states a layer keeps
    return [Variable(layer, n) for kind in (True, False) for n, w in declared.items() if w.trainable is kind]


def weights_by_path(layer, path=(), names=(), seen=None):
    """Returns [(path in the parameter tree, path of names, variable)] of a layer and all inside, in Keras's order."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return []
    seen.add(id(layer))
    found = [((*path, v.name), (*names, v.name), v) for v in own_weights(layer)]
    for key, child in inner_layers(layer).items():
        found += weights_by_path(child, (*path, key), (*names, child.name), seen)
    return found


def legacy_weights(layer):
    """Returns [(path, names, variable)] in the order of Keras's HDF5 layout: trained ones, then the others."""
    found = weights_by_path(layer, (layer.name,), (layer.name,))
    if not layer.trainable:
        return found
    return [f for f in found if f[2].trainable] + [f for f in found if not f[2].trainable]


def store(pairs):
    """Stores [(variable, array)]. A layer that gets all its arrays does not draw the ones it would start with."""
    by_layer = {}
    for variable, array in pairs:
        by_layer.setdefault(id(variable.layer), (variable.layer, {}))[1][variable.name] = variable, array
    for layer, found in by_layer.values():
        if set(found) == set(layer._cell.declared):
            arrays = {name: array for name, (_, array) in found.items()}
            layer._cell.store(arrays, arrays)
        else:
            for variable, array in found.values():
                variable.store(array)


def trained_paths(model):
    """Returns the paths of the arrays that training changes, in the order of Keras's `trainable_variables`."""
    trained = model.trained_paths()
    return [path for path, _, _ in weights_by_path(model) if path in trained]
