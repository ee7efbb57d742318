"""Keras's orders: of the layers of a model, of the weights of a layer, and the paths that files know them by."""

from fkeras.layers.contract.variables import Variable


def keras_layers(model):
    """Returns the layers inside a model, in Keras's order."""
    return list(model.operations) or list(model.children().values())


def inner_layers(layer):
    """Returns {key in the parameter tree: layer} of the layers inside, in Keras's order."""
    inner = layer._cell.inner if layer._cell is not None else layer.children()
    if not hasattr(layer, "graph"):
        return inner
    keys = {id(child): key for key, child in inner.items()}
    return {keys[id(child)]: child for child in keras_layers(layer) if id(child) in keys}


def own_weights(layer):
    """Returns the layer's own variables, trained ones before running ones, without those of inner layers."""
    if layer._cell is not None and (saved := getattr(layer, "saved_weights", None)) is not None:
        return saved
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
    """Stores [(variable, array, ...)]. A layer that gets all its arrays does not draw the ones it would start with."""
    by_layer = {}
    for variable, array, *_ in pairs:
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
