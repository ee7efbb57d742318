"""Configs between dialects: Keras 1, 2 and 3 are read in one place, and what is written opens in Keras 3 and 2."""

import collections
import copy
import inspect
import json
import math
import re

import jax

from fkeras.core import tree
from fkeras.core.settings import (
    Configured,
    Registry,
    custom_object_scope,
    get_registered_object,
    nearest,
    serialize,
    sharing,
)
from fkeras.layers.contract.base import layers
from fkeras.saving import files, operators, tf_operations
from fkeras.saving import keras_versions as ages

_BESIDE = ("build_config", "compile_config", "__passive_serialization__")

# Settings that say how Keras computes or stores, never what: left out when read, whatever their value.
_HARMLESS = {
    "autocast",
    "dtype_policy",
    "fn",
    "implementation",
    "input_spec",
    "input_tensor",
    "type_spec",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
    "function_type",
    "module",
    "output_shape_type",
    "output_shape_module",
    "mask_type",
    "mask_module",
    "renorm_clipping",
    "renorm_momentum",
}
_OTHER_NAMES = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "GroupedQueryAttention": "GroupQueryAttention",  # Keras has both names
}
LISTS, VALUES = 300_000, 2_000_000  # in the JSON of a model
LAYERS = 10_000  # in a model, with those inside of others; twice as many calls
NUMBERS = 10**12  # in one array: terabytes
_KERAS_HOMES = {"Functional": "keras.src.models.functional", "Sequential": "keras"}


# -------------------------------------------------------------------------------------------- reading


def clean(config):
    """Returns a copy of a config dict of Keras 1, 2 or 3 in the words that classes here understand.

    Keys beside "config" that only Keras needs are dropped, and settings that do not change what is computed; the same
    for unknown settings that are None or False. Any other unknown setting stays, so that the class refuses it by name.

    Raises:
        ValueError: The config holds a function's code, or a function call in place of a layer.
    """
    if isinstance(config, (list, tuple)):
        return (tuple if isinstance(config, tuple) else list)(clean(c) for c in config)
    if not isinstance(config, dict):
        return config
    if not (isinstance(config.get("class_name"), str) and "config" in config):
        return {k: clean(v) for k, v in config.items()}
    out = {k: v for k, v in config.items() if k not in _BESIDE}
    name, inner = config["class_name"], config["config"]
    if name == "__tuple__":
        return [clean(v) for v in config.get("items", inner)]
    if name.startswith("__") or name == "function" or not isinstance(inner, (dict, list)):
        return copy.deepcopy(config)
    entry = _class_of(config)
    if entry is None:  # Keras 2 wrote "Custom>Adam" for an optimizer of its own
        out["class_name"] = name = _OTHER_NAMES.get(name, name.removeprefix("Custom>"))
        entry = _class_of(out)
    module = str(config.get("module"))
    if operators.is_operation(config, entry) and get_registered_object(name) is None:
        entry, translated = None, operators.from_keras(config)
        if translated is not None:
            return clean(translated)
    if entry is None and name in tf_operations.CLASSES:
        return clean(tf_operations.as_layer(config))
    if entry is None and ".ops." in module:
        raise ValueError(
            f"Layer {config.get('name') or inner.get('name')!r} is a call of the function {name!r} of {module}, drawn "
            f"into the graph of Keras. Rebuild that model with layers, or give a class of that name in custom_objects."
        )
    if isinstance(inner, list):  # Keras 1 and 2.0 wrote a chain as a plain list
        inner = {"layers": inner}
    out["config"] = _clean_settings(name, inner, entry)
    if "config" in out and isinstance(out["config"], dict) and out["config"].get("layers") and name == "Sequential":
        out["config"]["layers"] = [_as_layer(c) for c in out["config"]["layers"]]
    return out


def _as_layer(config):
    """Marks a config dict without a module as a layer's: names such as "Identity" are in several families."""
    if isinstance(config, dict) and "class_name" in config and config.get("module") is None:
        return {**config, "module": "keras.layers"}
    return config


def _class_of(config):
    """Returns the class that a config dict names, or None."""
    registered = config.get("registered_name")
    custom = get_registered_object(registered or config["class_name"]) or get_registered_object(config["class_name"])
    if custom is not None:
        return custom
    families = sorted(Registry.all, key=lambda r: (r.module != config.get("module"), r.module != "keras.layers"))
    return next((f.entries[config["class_name"]] for f in families if config["class_name"] in f.entries), None)


def _clean_settings(name, config, entry):
    custom = get_registered_object(name) is not None
    if name == "InputLayer" and "batch_input_shape" in config:
        config = {"batch_shape": config["batch_input_shape"], **config}
        del config["batch_input_shape"]
    if name == "Lambda":
        config = _named_function(config)
    axis = config.get("axis")
    if isinstance(axis, (list, tuple)) and len(axis) == 1 and name == "BatchNormalization":
        config = {**config, "axis": axis[0]}
    known = getattr(entry, "_fields", None) if _has_fields(entry) else None
    kept = {}
    for key, value in config.items():
        if not custom and key in _HARMLESS and key not in (known or ()):
            continue
        if not custom and known is not None and key not in known and (value is None or value is False):
            continue
        kept[key] = clean(value)
    return kept


def _has_fields(entry):
    """Whether the constructor takes exactly the fields: a class with a constructor of its own takes what it wants."""
    return inspect.isclass(entry) and issubclass(entry, Configured) and "__init__" not in _between(entry)


def _between(entry):
    found = {}
    for cls in entry.__mro__[: entry.__mro__.index(Configured)]:
        found |= cls.__dict__
    return found


def _named_function(config):
    """Puts in place of a Lambda's code the function that custom_objects hold under the layer's name."""
    function, name = config.get("function"), config.get("name", "lambda")
    is_code = isinstance(function, (list, tuple)) or (
        isinstance(function, dict) and function.get("class_name") == "__lambda__"
    )
    if not is_code:
        return config
    if get_registered_object(name) is None:
        raise ValueError(
            f"Lambda layer {name!r} holds the code of a Python function, which is never run from a file. If you have "
            f"the function, pass it under the layer's name: custom_objects={{{name!r}: function}}."
        )
    shape = config.get("output_shape")
    if isinstance(shape, (list, tuple)) and any(isinstance(s, str) for s in shape):  # code too: found by tracing
        config = {k: v for k, v in config.items() if k != "output_shape"}
    return {**config, "function": name}


# -------------------------------------------------------------------------------------------- writing


def describe(obj):
    """Returns the config dict of a layer or model, as Keras 3 writes it."""
    with sharing() as outermost:
        try:
            config = for_keras(serialize(obj))
        except RecursionError:
            raise ValueError(
                f"{getattr(obj, 'label', obj)}: cannot be written: the config of a layer in it holds itself, or is "
                f"nested too deeply. `get_config` has to return plain values: numbers, texts, lists and dicts of them."
            ) from None
    return _numbers_of_shared(config) if outermost else config


def _numbered(config):
    """Returns the dicts in a config that have a "shared_object_id", or are of layers, in the order of the text."""
    found, left = [], [config]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "shared_object_id" in value or (isinstance(value.get("config"), dict) and "class_name" in value):
                found.append(value)
            left += reversed(value.values())
        elif isinstance(value, list):
            left += reversed(value)
    return found


def _numbers_of_shared(config):
    """Takes the numbers off the layers that occur only once, and off inputs, in place."""
    found = [c for c in _numbered(config) if "shared_object_id" in c]
    counts = collections.Counter(c["shared_object_id"] for c in found)
    for one in found:
        if counts[one["shared_object_id"]] == 1 or one.get("class_name") == "InputLayer":
            del one["shared_object_id"]
    return config


def _number_firsts(config):
    """Gives a layer's first config the number of the later ones, in place: Keras 3 numbers a layer from then on.

    The first is the one without a number that says the same. Where several do, nothing says which it is.
    """

    def told(one):
        inner = json.dumps(one["config"], sort_keys=True)
        return one["class_name"], re.sub(r', "shared_object_id": -?\d+|"shared_object_id": -?\d+(, )?', "", inner)

    layers = [c for c in _numbered(config) if c.get("class_name") != "InputLayer" and _is_layers(c)]
    names = {c["config"]["name"] for c in layers if "shared_object_id" in c}
    texts = {}
    for one in layers:
        if one["config"]["name"] in names:
            texts.setdefault(told(one), []).append(one)
    for same in texts.values():
        numbers = {c["shared_object_id"] for c in same if "shared_object_id" in c}
        if len(numbers) == 1 and sum("shared_object_id" not in c for c in same) == 1:
            for one in same:
                one["shared_object_id"] = next(iter(numbers))


def _is_layers(one):
    return isinstance(one.get("config"), dict) and isinstance(one["config"].get("name"), str) and "class_name" in one


def describe_model(model):
    """Returns the config dict of a whole model, with the input shape of one whose config does not tell it."""
    shapes = model._cell.shapes if model._cell is not None else []
    shape = shapes[0] if shapes and getattr(model, "graph", None) is None else None
    return {**describe(model), "build_config": {"input_shape": serialize(shape)}}


def for_keras(config):
    """Names models in a config by where real Keras looks for them."""
    if isinstance(config, (list, tuple)):
        return [for_keras(c) for c in config]
    if not isinstance(config, dict):
        return config
    out = {k: for_keras(v) for k, v in config.items()}
    if out.get("class_name") == "Model" and out.get("module") is None and out.get("registered_name") in (None, "Model"):
        out["class_name"] = out["registered_name"] = "Functional"
    if out.get("class_name") in _KERAS_HOMES and "config" in out and "module" in out:
        out["module"] = _KERAS_HOMES[out["class_name"]]
    return out


def for_hdf5(config):
    """Returns the config as it stands in HDF5 files: the words that both Keras 3 and Keras 2 read.

    Input layers say `batch_input_shape`, and calls are written in Keras 2's lists, unless a call has more than one
    argument, takes a dict or the output of an inner model: those only Keras 3 can read.
    """
    if isinstance(config, (list, tuple)):
        return [for_hdf5(c) for c in config]
    if not isinstance(config, dict):
        return config
    out = {k: for_hdf5(v) for k, v in config.items()}
    if out.get("class_name") == "InputLayer" and "batch_shape" in out.get("config", {}):
        inner = dict(out["config"])
        out["config"] = {"batch_input_shape": inner.pop("batch_shape"), **inner}
    if isinstance(out.get("config"), dict):
        out["config"] = for_keras_2(out.get("class_name"), out["config"])
    if "input_layers" in out and isinstance(out.get("layers"), list):
        models = {c["name"] for c in out["layers"] if c.get("class_name") in _KERAS_HOMES}
        nodes = [[_as_lists(n, models) for n in c["inbound_nodes"]] for c in out["layers"]]
        if all(n is not None for found in nodes for n in found):
            out["layers"] = [{**c, "inbound_nodes": found} for c, found in zip(out["layers"], nodes, strict=True)]
    return out


# Settings that Keras 2 does not know: left out of HDF5 files where they are what Keras 3 takes anyway.
_SINCE_3 = {
    **{f"{kind}{end}": {"seed": None} for kind in ("SimpleRNN", "LSTM", "GRU") for end in ("", "Cell")},
    **{f"ConvLSTM{rank}D": {"seed": None} for rank in (1, 2, 3)},
    "ZeroPadding1D": {"data_format": "channels_last"},
    "IntegerLookup": {"oov_method": "floormod", "salt": None},
    **{
        f"Random{kind}": {"data_format": "channels_last"}
        for kind in ("Flip", "Rotation", "Zoom", "Translation", "Crop", "Brightness")
    },
    "RandomContrast": {"data_format": "channels_last", "value_range": [0, 255]},
    "CenterCrop": {"data_format": "channels_last"},
    "Resizing": {
        "data_format": "channels_last",
        "pad_to_aspect_ratio": False,
        "fill_mode": "constant",
        "fill_value": 0.0,
        "antialias": False,
    },
    "LayerNormalization": {"rms_scaling": False},
    "SparseTopKCategoricalAccuracy": {"from_sorted_ids": False},
    "SparseCategoricalCrossentropy": {"axis": -1},
}


def for_keras_2(name, config):
    """Returns the settings of a class without what only Keras 3 knows and takes anyway."""
    new = _SINCE_3.get(name, {})
    config = {k: v for k, v in config.items() if k not in new or v != new[k]}
    if name == "LeakyReLU" and "negative_slope" in config:
        config["alpha"] = config.pop("negative_slope")  # Keras 3 reads both words
    if name == "IntegerLookup":
        config["dtype"] = "int64"  # of its keys, in Keras 2
    if name == "LayerNormalization" and isinstance(config.get("axis"), list):
        config["axis"] = sorted(config["axis"])  # Keras 2 has the weights' axes in the order given
    return config


def _as_lists(node, models):
    """Returns a node in Keras 2's form [[layer, node, tensor, {}], ...], or None where that cannot be."""
    if node["kwargs"] or len(node["args"]) != 1:
        return None
    arg = node["args"][0]
    parts = arg if isinstance(arg, list) else [arg]
    if isinstance(arg, list) and len(arg) == 1:  # Keras 3 would take it out of its list
        return None
    found = []
    for part in parts:
        if not (isinstance(part, dict) and part.get("class_name") == "__keras_tensor__"):
            return None
        name, call, index = part["config"]["keras_history"]
        if name in models:
            return None
        found.append([name, call, index, {}])
    return found


# ----------------------------------------------------------------------------------------------- JSON


def to_json(model, **kwargs):
    """Returns the architecture of a model as JSON, in Keras 3's form.

    Args:
        model: The model.
        kwargs: Arguments of `json.dumps`.
    """
    return json.dumps(describe(model), **kwargs)


def parse(text, where):
    """Returns the JSON object in `text`. Raises ValueError naming the place, also for one of too many values."""
    if isinstance(text, (str, bytes)):
        comma, *brackets = [text.count(c if isinstance(text, str) else c.encode()) for c in ",[{"]
        if sum(brackets) > LISTS or comma + sum(brackets) > VALUES:
            raise ValueError(
                f"Cannot read {where}: it has {sum(brackets)} lists and objects of {comma} values, expected at most "
                f"{LISTS} of {VALUES}."
            )
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as err:
        raise ValueError(f"Cannot read {where}: it is not JSON ({err}).") from None
    if not isinstance(found, dict):
        raise ValueError(f"Cannot read {where}: expected a JSON object, got {type(found).__name__}.")
    return found


def checked(config):
    """Returns a config with its checksum, for a file that has no other place for one."""
    config = json.loads(json.dumps(config))
    return {**config, files.CHECK: files.check_of_text(json.dumps(config, sort_keys=True))}


def compared(config, where):
    """Returns a config without its checksum. Raises ValueError if it has one and is not what was written."""
    check = config.get(files.CHECK)
    config = {k: v for k, v in config.items() if k != files.CHECK}
    if isinstance(check, str) and check != files.check_of_text(json.dumps(config, sort_keys=True)):
        raise ValueError(
            f"Cannot read {where}: it is damaged (its checksum is wrong). If you changed it yourself, delete the entry "
            f"{files.CHECK!r}."
        )
    return config


def build_model(config, where, custom_objects=None, age=ages.TODAY):
    """Builds the model that a config dict describes, in the words of the Keras that wrote it.

    Raises:
        ValueError: It does not describe a model, or one that cannot be built; the message names `where`.
    """
    model_class = layers.lookup("Functional")  # by its name, as any layer: models import saving, not the reverse
    name = config.get("class_name")
    if not isinstance(name, str) or not isinstance(config.get("config"), (dict, list)):
        raise ValueError(f"Cannot read {where}: expected the config of a model, with 'class_name' and 'config'.")
    with custom_object_scope(custom_objects or {}), sharing():
        try:
            _check_counts(config)
            _number_firsts(config)
            told = _check_values(config)
            config = ages.modernize(config, age)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as err:
            raise ValueError(f"Cannot read {where}: {_said(err)}") from err
        name = config["class_name"]
        cls = {"Sequential": layers.lookup("Sequential"), "Functional": model_class, "Model": model_class}.get(name)
        registered = config.get("registered_name")
        custom = (registered and get_registered_object(registered)) or get_registered_object(name)
        cls = custom or cls
        if cls is None:
            raise ValueError(
                f"Cannot read {where}: it holds a model of the class {name!r}, which is not known here. Pass it: "
                f"custom_objects={{{name!r}: {name}}}."
            )
        try:
            settings = clean(config)["config"]
            model = cls.from_config(settings)
            if isinstance(model, model_class):
                _check_sizes(model)
                _check_told(model, told)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as err:
            raise ValueError(f"Cannot read {where}: {_said(err)}") from err
        shape = (config.get("build_config") or {}).get("input_shape")
        try:
            if isinstance(model, model_class) and not model.built and shape:
                model.build(shape)
        except (ValueError, TypeError) as err:
            raise ValueError(f"Cannot read {where}, its build_config: {_said(err)}") from err
    if not isinstance(model, model_class):
        raise ValueError(f"Cannot read {where}: expected a model, it describes a {type(model).__name__}.")
    return model


def _check_counts(config):
    """Raises ValueError for a config of more layers, or calls of layers, than a model has."""
    counts, left = {"layers": 0, "cell": 0, "cells": 0, "inbound_nodes": 0}, [config]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in counts and isinstance(inner, list):
                    counts[key] += len(inner)
                left.append(inner)
        elif isinstance(value, list):
            left += value
    calls = counts.pop("inbound_nodes")
    if (layers := sum(counts.values())) > LAYERS or calls > 2 * LAYERS:
        raise ValueError(f"it has {layers} layers and {calls} calls of layers, expected at most {LAYERS} layers.")


_SHAPES = ("input_shape", "batch_shape", "batch_input_shape", "build_input_shape")
_DTYPES = {"bool", "string", "bfloat16", "float16", "float32", "float64", "complex64", "complex128",
           *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}  # fmt: skip


def _check_values(config):
    """Looks at the shapes and dtypes in a config before anything is made of it.

    Returns:
        {name of a layer: [the input shapes that it says it was built with]}.

    Raises:
        ValueError: A size is no integer from 1 on, or a dtype is none; the message names the layer.
    """
    told = {}
    for one in _numbered(config):
        inner, build = one.get("config"), one.get("build_config")
        if not isinstance(inner, dict) or get_registered_object(str(one.get("class_name"))) is not None:
            continue
        label = f"{one.get('class_name')} {inner.get('name', one.get('name'))!r}"
        if build is not None and not isinstance(build, dict):
            raise ValueError(f"{label}: expected its build_config as an object, got {build!r}.")
        for part, values in (("", inner), ("build_config, ", build or {})):
            for key in _SHAPES:
                if not _is_sizes(values.get(key)) or isinstance(values.get(key), int) or values.get(key) in ([], {}):
                    raise ValueError(f"{label}: {part}{key} is {values[key]!r}, expected integers from 1 on, or null.")
        dtype = inner.get("dtype")
        fixed = one.get("class_name") in ("InputLayer", "__numpy__", "__tensor__")
        if fixed and dtype is not None and (not isinstance(dtype, str) or dtype not in _DTYPES):
            raise ValueError(f"{label}: unknown dtype {dtype!r}.{nearest(str(dtype)[:40], _DTYPES)}")
        if build and isinstance(inner.get("name"), str):
            told.setdefault(inner["name"], []).append(build.get("input_shape"))
    return told


def _is_sizes(value):
    """Whether a value is a shape, or lists and objects of shapes."""
    if isinstance(value, dict):
        return all(_is_sizes(v) for k, v in value.items() if k != "class_name")
    if isinstance(value, list):
        return all(_is_sizes(v) for v in value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _check_told(model, told):
    """Raises ValueError for a layer that says it was built on a shape for which its weights would have other shapes."""
    layers = collections.Counter(layer.name for layer in model.own_and_inner())
    for layer in model.own_and_inner():
        shapes = told.get(layer.name, ())
        if layers[layer.name] > 1 or len(shapes) != 1 or not isinstance(shapes[0], list) or layer._cell is None:
            continue
        shape, known = shapes[0], layer._cell.shapes[0] if layer._cell.shapes else None
        if not isinstance(known, tuple) or any(isinstance(s, (list, dict)) for s in shape):
            continue
        if hasattr(layer, "graph"):
            pairs = zip(shape[1:], known[1:], strict=False)
            fits = len(shape) == len(known) and all(None in pair or pair[0] == pair[1] for pair in pairs)
        else:
            try:
                made = tree.flatten(layer.declare(tuple(shape)))
            except (ValueError, TypeError):
                fits = not layer.weights
            else:
                now = tree.flatten(layer.declare(known))
                fits = {p: w.shape for p, w in made.items()} == {p: w.shape for p, w in now.items()}
        if not fits:
            raise ValueError(
                f"{layer.label}: its build_config says that it was built on input of shape {shape}, in the model it "
                f"gets {known}. Which one is right?"
            )


def _check_sizes(model):
    """Raises ValueError, naming the layer, for weights or outputs that no machine can hold; nothing is allocated."""
    for layer in model.own_and_inner():
        declared = layer._cell.declared if layer._cell is not None else {}
        shapes = [(f"weight {name!r}", w.shape) for name, w in declared.items()]
        nodes = layer.graph.nodes if getattr(layer, "graph", None) is not None else ()
        for owner, (what, shape) in [(layer, s) for s in shapes] + [
            (n.layer, ("output", s.shape)) for n in nodes for s in jax.tree.leaves(n.outputs)
        ]:
            if math.prod(1 if d is None else int(d) for d in shape) >= NUMBERS:
                raise ValueError(
                    f"{owner.label} has the {what} of shape {str(tuple(shape))[:80]}, {NUMBERS} numbers or "
                    f"more. Is a size wrong?"
                )


def _said(err):
    """What an error says; a bare KeyError says only the key."""
    if isinstance(err, RecursionError):
        return "it is nested too deeply."
    return f"its config lacks {err}." if isinstance(err, KeyError) else f"{err}"
