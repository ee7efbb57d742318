"""Keras's HDF5 layout of whole models and of weights: one group per layer, names in attributes.

    /                       model_config, training_config, keras_version, backend, fkeras_seed
    /model_weights          layer_names, keras_version, backend
    /model_weights/<layer>  weight_names, and a dataset at each of these names
    /optimizer_weights      weight_names, and a dataset at each of these names

A file of weights alone has the content of /model_weights at its root.
"""

import json
import warnings

from fkeras.saving import configs, files, old_weights
from fkeras.saving import keras_versions as ages
from fkeras.saving.compiling import compile_from, training_config
from fkeras.saving.moments import hdf5_arrays, optimizer_state
from fkeras.saving.order import keras_layers, legacy_weights, own_weights, store

KERAS_VERSION = "3.10.0"  # whose layout this is; readers ask only for the first number
TOP = "top_level_model_weights"  # weights of the model itself, of no layer


# -------------------------------------------------------------------------------------------- writing


def write_model(model, file, include_optimizer=True):
    """Writes a whole model into an open h5py file."""
    config = configs.for_hdf5(configs.describe_model(model))
    files.put_texts(file, keras_version=KERAS_VERSION, backend="jax", model_config=json.dumps(config))
    if model.built:
        write_weights(model, file.create_group("model_weights"))
    if not (include_optimizer and model.compiled):
        return
    files.put_texts(file, training_config=json.dumps(training_config(model)))
    write_seed(model, file)
    if arrays := hdf5_arrays(model):
        _write_named(file.create_group("optimizer_weights"), arrays)


def write_seed(model, file):
    """Stores the seed of data order and noise, so that training resumed is the same training; Keras ignores it."""
    file.attrs["fkeras_seed"] = model._seed


def take_seed(model, file):
    """Gives a model the seed in the file, if there is one."""
    if (seed := files.get_int(file, "fkeras_seed")) is not None:
        model._seed = seed


def write_weights(model, group):
    """Writes the weights of all layers into a group."""
    files.put_texts(group, keras_version=KERAS_VERSION, backend="jax")
    found = keras_layers(model)
    files.put_names(group, "layer_names", [layer.name for layer in found])
    for layer in found:
        _write_named(group.create_group(layer.name), [("/".join(n), v.numpy()) for n, v in _named(layer)])
    own = [("/".join((model.name, v.name)), v.numpy()) for v in _own(model)]
    _write_named(group.create_group(TOP), own)


def _write_named(group, arrays):
    files.put_names(group, "weight_names", [name for name, _ in arrays])
    for name, array in arrays:
        files.put_array(group, name, array)


def _named(layer):
    """Returns [(path of names, variable)] in the order of the file; names that occur twice are told apart by path."""
    found = legacy_weights(layer)
    names = [n for _, n, _ in found]
    if len(set(names)) < len(names):
        names = [p for p, _, _ in found]
    return list(zip(names, [v for _, _, v in found], strict=True))


def _own(model):
    own = own_weights(model) if model._cell is not None else []
    return [v for v in own if v.trainable] + [v for v in own if not v.trainable]


# -------------------------------------------------------------------------------------------- reading


def read_model(file, where, custom_objects=None, compile=True):
    """Returns the model of an open h5py file: built, its weights loaded, and compiled if it was saved so."""
    text = files.get_text(file, "model_config")
    if text is None:
        raise ValueError(
            f"Cannot read {where}: it has no model_config, so it holds weights alone. Build the model in code and call "
            f"model.load_weights({where})."
        )
    age = age_of(file)
    config = configs.parse(text, f"{where}, model_config")
    model = configs.build_model(config, f"{where}, model_config", custom_objects, age)
    found = []
    group = files.find_group(file, "model_weights")
    if group is None and model.built and model.weights:
        raise ValueError(
            f"Cannot read {where}: the weights are missing, it has no group 'model_weights'. For a model with fresh "
            f"weights give its attribute 'model_config' to model_from_json."
        )
    if group is not None:
        if model.built:
            found = plan(model, group, where)
            store(found)
        elif any(names for _, names in _file_layers(group)):
            raise ValueError(
                f"Cannot read {where}: the file has weights, but the input shape of its model is not known, so that "
                f"the model cannot be built. Build the model in code, call it on data once, then load_weights({where})."
            )
    settings = files.get_text(file, "training_config")
    if not compile or settings is None:
        return model
    compile_from(
        model,
        configs.parse(settings, f"{where}, training_config"),
        f"{where}, training_config",
        custom_objects,
        age,
    )
    take_seed(model, file)
    group = files.find_group(file, "optimizer_weights")
    if group is not None and model.built:
        names = files.get_names(group, "weight_names") or []
        data = [files.get_dataset(group, n) for n in names]
        state = optimizer_state(model, data, names, f"{where}, optimizer_weights", found, age)
        if state is not None:
            model.optimizer.state = state
    return model


def age_of(group):
    """Returns the age of what a group holds: its own attributes say it, or those of the file."""
    texts = [t if (t := files.get_text(group, n)) is not None else files.get_text(group.file, n)
             for n in ("keras_version", "backend")]  # fmt: skip
    if not texts[0] and files.CHECK in group.attrs:  # without it the file would be taken for one of Keras 1
        raise ValueError(f"Cannot read {files.where(group)}: its attribute 'keras_version' is damaged.")
    return ages.Age.read(*texts)


def is_layout(group):
    """Whether a group holds weights in this layout."""
    return "layer_names" in group.attrs or "layer_names0" in group.attrs


def _file_layers(group):
    """Returns [(layer name, its weight names)] of the layers in the file that have weights."""
    found = []
    for name in files.get_names(group, "layer_names") or []:
        names = files.get_names(files.get_group(group, name), "weight_names") or []
        if names:
            found.append((name, names))
    return found


def plan(model, group, where, skip_mismatch=False, by_name=False, skipped=()):
    """Returns [(variable, array, Stored)]: what loading stores. Everything is compared before anything is stored.

    Args:
        skipped: Layers that keep their weights, as do those inside of them.

    Layers are matched by name where both sides have the same names, else in Keras's order.

    Raises:
        ValueError: Another number of layers or weights, or other shapes; the message names the layer and both.
    """
    ours = {layer.name: layer for layer in keras_layers(model) if _named(layer)}
    theirs = dict(_file_layers(group))
    pairs = _pair_layers(ours, theirs, where, by_name)
    pairs = [(layer, name, _named(layer), theirs[name]) for layer, name in pairs]
    if files.has(group, TOP) and not by_name:
        top = files.get_names(files.get_group(group, TOP), "weight_names") or []
        own = [((model.name, v.name), v) for v in _own(model)]
        if own or top:
            pairs.append((model, TOP, own, top))
    found, age = [], age_of(group)
    for layer, name, variables, names in pairs:
        if layer in skipped:
            continue
        inner = files.get_group(group, name)
        try:
            data = [files.get_dataset(inner, n) for n in names]
        except ValueError as err:
            raise ValueError(f"{err} It belongs to {layer.label}, whose weights are {_shown(variables)}.") from None
        try:
            found += _fit(layer, variables, names, data, age)
        except ValueError as err:
            message = f"Cannot load {where}, layer {name!r}: {err}"
            if not skip_mismatch:
                raise ValueError(message) from None
            warnings.warn(f"{message} Its weights stay as they are.", stacklevel=5)
    return old_weights.read_all([(v, stored) for v, stored in found if v.layer not in skipped], where)


def _pair_layers(ours, theirs, where, by_name):
    """Returns [(layer, name in the file)]."""
    if by_name:
        return [(ours[name], name) for name in theirs if name in ours]
    if len(ours) != len(theirs):
        lost = [n for n in theirs if n not in ours], [n for n in ours if n not in theirs]
        only = [
            f"only in {side}: {', '.join(n[:8])}" for side, n in zip(("the file", "the model"), lost, strict=True) if n
        ]
        raise ValueError(
            f"Cannot load {where}: expected weights of {len(ours)} layers, the file has {len(theirs)}"
            + (f" ({'; '.join(only)})." if only else ".")
        )
    if set(ours) == set(theirs):
        return [(ours[name], name) for name in theirs]
    return list(zip(ours.values(), theirs, strict=True))


def _fit(layer, variables, names, data, age):
    """Returns [(variable, Stored)] of one layer, matched by name or else by order; raises ValueError on a mismatch."""
    names, stored = zip(*old_weights.gathered(names, data), strict=True) if names else ((), ())
    if len(variables) != len(stored):
        raise ValueError(
            f"{layer.label} has {len(variables)} weights ({_shown(variables)}), the file has {len(stored)} of shapes "
            f"{[s.shape for s in stored]}."
        )
    order = match_names([n for n, _ in variables], [n.split("/") for n in names])
    pairs = [(v, stored[i]) for (_, v), i in zip(variables, order, strict=True)]
    siblings = {}
    for variable, found in pairs:
        siblings.setdefault(id(variable.layer), {})[variable.name] = found
    pairs = [(v, old_weights.translated(v, s, siblings[id(v.layer)], age)) for v, s in pairs]
    for variable, found in pairs:
        if found.shape != variable.shape:
            raise ValueError(
                f"{layer.label} expects shape {variable.shape} for {variable.name!r}, the file has {found.shape}."
            )
    return pairs


def _shown(variables):
    return ", ".join(f"{v.name} {v.shape}" for _, v in variables)


def match_names(ours, theirs):
    """Returns for each of our paths the index of theirs: by the ends of the paths that tell them apart, else in order.

    Example:
        >>> match_names([("d", "kernel"), ("d", "bias")], [["m", "d", "bias"], ["m", "d", "kernel"]])
        [1, 0]
    """
    longest = max((len(p) for p in (*ours, *theirs)), default=0)
    for depth in range(1, longest + 1):
        short = [[tuple(p[-depth:]) for p in side] for side in (ours, theirs)]
        if all(len(set(s)) == len(s) for s in short):
            if set(short[0]) == set(short[1]):
                return [short[1].index(p) for p in short[0]]
            break
    return list(range(len(ours)))
