"""Reads the models in SavedModels, those written here and by tf.keras 2, and TensorFlow's checkpoints of weights.

What a model is made of stands in one of three places: assets/saved_model.json (written here and by
`tf.keras.experimental.export_saved_model`), keras_metadata.pb (tf.keras 2.5 on) or the objects in saved_model.pb
(tf.keras 2.0 to 2.4). The weights stand in the tensor bundle. The graph of operations is neither read nor run.
"""

import json
import os
import warnings

from fkeras.saving import configs
from fkeras.saving import keras_versions as ages
from fkeras.saving.compiling import compile_from
from fkeras.saving.hdf5 import match_names
from fkeras.saving.moments import optimizer_state
from fkeras.saving.old_weights import Stored, read_all
from fkeras.saving.order import (
    inner_layers,
    keras_layers,
    legacy_weights,
    own_weights,
    store,
    trained_paths,
    weights_by_path,
)
from fkeras.saving.tensorflow.bundle import Bundle, read_file
from fkeras.saving.tensorflow.messages import KERAS_METADATA, OUTLINE, TRACKED
from fkeras.saving.tensorflow.objects import OBJECT_GRAPH

CONFIG_LIMIT = 1 << 26  # bytes of a model's config
GRAPH_LIMIT = 1 << 31  # bytes of saved_model.pb, which Protocol Buffers do not exceed
WEIGHTY = "layer_with_weights-"
_HARMLESS_EXTRAS = {"Normalization": ("count",)}  # weights of tf.keras's layers that nothing is computed from


def read_saved_model(path, custom_objects=None, compile=True):
    """Returns the model of a SavedModel: built, its weights loaded, and compiled if it was saved so.

    Args:
        path: Folder.
        custom_objects: {name: class or function} of what is not part of this package.
        compile: False returns a model that is not compiled.

    Raises:
        OSError: A file is missing. ValueError: A part cannot be read, or the folder holds no model of Keras but a graph
            of TensorFlow's operations; the message names the file and the part, and says what was found.
    """
    config, settings, where = _described(path)
    age = ages.of_json(config)
    model = configs.build_model(config, where, custom_objects, age)
    prefix = os.path.join(path, "variables", "variables")
    if not model.built:
        raise ValueError(
            f"Cannot read {where}: the input shape of its model is not known, so that it cannot be built. Build the "
            f"model in code, call it on data once, then load_weights({path!r})."
        )
    checkpoint = Checkpoint(prefix)
    found = checkpoint.plan(model)
    store([(variable, array) for variable, array, _ in found])
    if compile and isinstance(settings, dict) and (settings.get("optimizer") or settings.get("optimizer_config")):
        compile_from(model, settings, f"{where}, what it was compiled with", custom_objects, age)
        if isinstance(seed := config.get("fkeras_seed"), int):
            model._seed = seed
        checkpoint.load_optimizer(model, found, age)
    return model


def load_weights(model, prefix, skip_mismatch=False, skipped=()):
    """Loads the weights of a checkpoint, given by its prefix, or of a SavedModel's folder; all or nothing."""
    if os.path.isdir(prefix):
        prefix = os.path.join(prefix, "variables", "variables")
    store([(variable, array) for variable, array, _ in Checkpoint(prefix).plan(model, skip_mismatch, skipped)])


# ------------------------------------------------------------------------------------------- configs


def _described(path):
    """Returns (config of the model, what it was compiled with, where that stands)."""
    written = os.path.join(path, "assets", "saved_model.json")
    if os.path.isfile(written):
        where = repr(written)
        config = configs.compared(configs.parse(_text(read_file(written, CONFIG_LIMIT), where), where), where)
        return config, config.get("compile_config") or config.get("training_config"), where
    metadata = os.path.join(path, "keras_metadata.pb")
    graph = os.path.join(path, "saved_model.pb")
    outline = None
    if os.path.isfile(metadata):
        where, nodes = repr(metadata), []
        nodes = KERAS_METADATA.decode(read_file(metadata, CONFIG_LIMIT), where).get("nodes", [])
        text = next((n.get("metadata") for n in nodes if n.get("node_path") == "root"), None)
    else:
        where = repr(graph)
        outline = OUTLINE.decode(read_file(graph, GRAPH_LIMIT), where)
        root = (_meta_graph(outline).get("object_graph_def", {}).get("nodes") or [{}])[0].get("user_object", {})
        text = root.get("metadata") if root.get("identifier", "").startswith("_tf_keras_") else None
    if text:
        about = _plain(configs.parse(text, f"{where}, the metadata of its root"))
        config = about.get("config")
        if isinstance(config, dict) and about.get("class_name"):
            about["keras_version"] = about.get("keras_version") or "2.0.0"
            return about, about.get("training_config"), f"{where}, the metadata of its root"
    raise ValueError(_unknown(path, graph, outline, json.loads(text).get("class_name") if text else None))


def _plain(value):
    """Returns JSON of tf.keras with its notes of tuples and shapes as lists."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
            return _plain(value["items"])
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _text(data, where):
    try:
        return data.decode("utf8")
    except UnicodeDecodeError as err:
        raise ValueError(f"Cannot read {where}: it is not text ({err}).") from None


def _meta_graph(outline):
    return (outline.get("meta_graphs") or [{}])[0]


def _unknown(path, graph, outline, kind):
    """Says what a SavedModel holds from which no model can be built."""
    outline = OUTLINE.decode(read_file(graph, GRAPH_LIMIT), repr(graph)) if outline is None else outline
    meta = _meta_graph(outline)
    version = meta.get("meta_info_def", {}).get("tensorflow_version", "an unknown version")

    def listed(infos):
        def one(name, info):
            sizes = [d.get("size", 0) for d in info.get("tensor_shape", {}).get("dim", [])]
            return f"{name} {[None if s < 0 else s for s in sizes]}"

        return ", ".join(one(name, info) for name, info in sorted(infos.items())[:8])

    signatures = [
        f"{name}({listed(s.get('inputs', {}))}) -> ({listed(s.get('outputs', {}))})"
        for name, s in sorted(meta.get("signature_def", {}).items())[:8]
        if s.get("inputs")
    ]
    found = (
        f"a model of the class {kind!r} that computes in `call` and gives no config" if kind else "no model of Keras"
    )
    return (
        f"Cannot read {path!r} as a model: it holds {found}, only a graph of operations written by TensorFlow "
        f"{version}, with the signatures: {'; '.join(signatures) or 'none'}. Operations are not run here. Build the "
        f"model in code and call model.load_weights({path!r})."
    )


# ------------------------------------------------------------------------------------------- weights


def _named(layer):
    """Returns [(path of names, variable)] of a layer; names that occur twice are told apart by their keys."""
    found = legacy_weights(layer)
    twice = len({names for _, names, _ in found}) < len(found)
    return [(path if twice else names, v) for path, names, v in found]


class Entry:
    """An array of a bundle that was not read yet."""

    def __init__(self, bundle, key, name):
        self.bundle, self.key, self.name = bundle, key, name
        self.shape, self.dtype = bundle.shape(key), bundle.dtype(key)

    def read(self):
        return self.bundle.read(self.key)

    def __getitem__(self, index):
        return self.read()[index]


class Checkpoint:
    """A bundle of weights with the graph of the objects they belong to.

    Args:
        prefix: Path without ".index".
    """

    def __init__(self, prefix):
        self.bundle = Bundle(prefix)
        self.where = f"{prefix + '.index'!r}"
        if OBJECT_GRAPH not in self.bundle:
            some = ", ".join(sorted(self.bundle.entries)[:6])
            raise ValueError(
                f"Cannot read {self.where}: it does not say which layer its arrays belong to (TensorFlow 1 wrote it by "
                f"name). Its arrays: {some}, ..."
            )
        graph = f"{self.where}, {OBJECT_GRAPH!r}"
        self.nodes = TRACKED.decode(self.bundle.read_text(OBJECT_GRAPH), graph).get("nodes", [])
        for node in self.nodes:
            for child in node.get("children", []):
                if not 0 <= child.get("node_id", 0) < len(self.nodes):
                    raise ValueError(f"Cannot read {graph}: it names an object {child['node_id']} that is not there.")
        if not self.nodes:
            raise ValueError(f"Cannot read {graph}: it is empty.")
        self.places = {}  # {variable of the model: number of its object}

    def children(self, number):
        """Returns {name: number} of the objects below one."""
        return {c.get("local_name", ""): c.get("node_id", 0) for c in self.nodes[number].get("children", [])}

    def stored(self, number):
        """Returns the array of an object, or None."""
        for attribute in self.nodes[number].get("attributes", []):
            if attribute.get("name") == "VARIABLE_VALUE":
                key = attribute.get("checkpoint_key", "")
                return Entry(self.bundle, key, attribute.get("full_name") or key)
        return None

    def arrays_below(self, number):
        """Returns [(number, Entry)] of a layer: its list of variables where it has one, else all that lie below it."""
        listed = self.children(number).get("variables")
        if listed is not None:
            members = self.children(listed)
            order = [members[name] for name in sorted(members, key=lambda n: (len(n), n))]
        else:
            order, stack, seen = [], [number], set()
            while stack:
                here = stack.pop()
                if here not in seen:
                    seen.add(here)
                    order.append(here)
                    stack += reversed(self.children(here).values())
        return [(n, entry) for n in order if (entry := self.stored(n)) is not None]

    def layers(self):
        """Returns [number of the object] of the layers with weights, in Keras's order."""
        found = {}
        for name, number in self.children(0).items():
            count = name.removeprefix(WEIGHTY)
            if name.startswith(WEIGHTY) and count.isascii() and count.isdigit() and len(count) < 10:
                found[int(count)] = number
        return [found[i] for i in sorted(found)]

    def plan(self, model, skip_mismatch=False, skipped=()):
        """Returns [(variable, array, Stored)]: what loading stores. Everything is compared before anything is stored.

        Args:
            skipped: Layers that keep their weights, as do those inside of them.

        Raises:
            ValueError: Another number of layers or weights, or other shapes; the message names the layer and both.
        """
        ours = [layer for layer in keras_layers(model) if legacy_weights(layer)]
        theirs = self.layers()
        if not theirs:  # a model that computes in `call`: its layers are its attributes
            edges = self.children(0)
            keys = {id(layer): key for key, layer in inner_layers(model).items()}
            theirs = [edges[keys[id(layer)]] for layer in ours if keys.get(id(layer)) in edges]
        if len(theirs) != len(ours):
            raise ValueError(
                f"Cannot load {self.where}: expected weights of {len(ours)} layers "
                f"({', '.join(layer.name for layer in ours[:8])}), the file has {len(theirs)}."
            )
        pairs = [(layer, _named(layer), self.arrays_below(n)) for layer, n in zip(ours, theirs, strict=True)]
        if own := own_weights(model):
            edges = self.children(0)
            held = [(edges[v.name], self.stored(edges[v.name])) for v in own if v.name in edges]
            pairs.append((model, [((v.name,), v) for v in own], [(n, e) for n, e in held if e is not None]))
        found = []
        for layer, variables, entries in pairs:
            if layer in skipped:
                continue
            try:
                found += self._fit(layer, variables, entries)
            except ValueError as err:
                message = f"Cannot load {self.where}, layer {layer.name!r}: {err}"
                if not skip_mismatch:
                    raise ValueError(message) from None
                warnings.warn(f"{message} Its weights stay as they are.", stacklevel=4)
        found = [(v, Stored([entry], [i])) for i, (v, entry) in enumerate(found) if v.layer not in skipped]
        return read_all(found, self.where)

    def _fit(self, layer, variables, entries):
        """Returns [(variable, Entry)] of one layer, matched by name or else by order."""
        extras = _HARMLESS_EXTRAS.get(type(layer).__name__, ())
        entries = [(n, e) for n, e in entries if e.name.rpartition("/")[2] not in extras or not extras]
        if len(variables) != len(entries):
            raise ValueError(
                f"{layer.label} has {len(variables)} weights "
                f"({', '.join(f'{v.name} {v.shape}' for _, v in variables)}), the file has {len(entries)} "
                f"({', '.join(f'{e.name} {e.shape}' for _, e in entries)})."
            )
        order = match_names([n for n, _ in variables], [e.name.split("/") for _, e in entries])
        found = []
        for (_, variable), i in zip(variables, order, strict=True):
            number, entry = entries[i]
            if entry.shape != variable.shape:
                raise ValueError(
                    f"{layer.label} expects shape {variable.shape} for {variable.name!r}, the file has {entry.shape}."
                )
            if isinstance(entry.dtype, str) or entry.dtype.kind == "c":
                raise ValueError(f"{layer.label} expects real numbers for {variable.name!r}, found {entry.dtype}.")
            self.places[variable] = number
            found.append((variable, entry))
        return found

    # -------------------------------------------------------------------------------- the optimizer

    def load_optimizer(self, model, found, age):
        """Gives the model's optimizer the state that is stored, if there is one."""
        number = self.children(0).get("optimizer")
        if number is None:
            return
        edges = self.children(number)
        if "_variables" in edges:
            data = [entry for _, entry in self.arrays_below_list(edges["_variables"])]
        else:
            data = self._by_slots(model, number, edges)
        if not data:
            return
        names = [e.name for e in data] if age.old else None
        state = optimizer_state(model, data, names, f"{self.where}, the optimizer", found, age)
        if state is not None:
            model.optimizer.state = state

    def arrays_below_list(self, number):
        """Returns [(number, Entry)] of a list's members."""
        members = self.children(number)
        order = sorted(members, key=lambda n: (len(n), n))
        return [(members[n], e) for n in order if (e := self.stored(members[n])) is not None]

    def _by_slots(self, model, number, edges):
        """tf.keras up to 2.10: slot variables that say of which variable they are. Slot by slot, names as in HDF5."""
        count = self.stored(edges["iter"]) if "iter" in edges else None
        slots = {}
        for slot in self.nodes[number].get("slot_variables", []):
            of, at = slot.get("original_variable_node_id", 0), slot.get("slot_variable_node_id", 0)
            if 0 <= at < len(self.nodes) and (entry := self.stored(at)) is not None:
                slots.setdefault(slot.get("slot_name", ""), {})[of] = entry
        variables = {path: v for path, _, v in weights_by_path(model)}
        order = [self.places.get(variables[path]) for path in trained_paths(model)]
        if count is None:
            return []
        count.name, data = "optimizer/iter:0", [count]
        for name, held in slots.items():
            for i, place in enumerate(order):
                if place in held:
                    held[place].name = f"optimizer/{i}/variable/{name}:0"
                    data.append(held[place])
        return data
