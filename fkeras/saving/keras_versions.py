"""What files of Keras 1 and 2 say, in today's words.

Arguments that were only renamed are in `fkeras.compat`: code may use them too. Here is what depends on who wrote a
file: formulas that changed under the same name, layers that became others, configs of another form.
"""

import re
from typing import NamedTuple

from fkeras.core.settings import get_registered_object


class Age(NamedTuple):
    """The version of Keras that wrote a file, and the backend whose kernels it holds.

    Example:
        >>> Age.read("2.2.4-tf", "tensorflow").version
        (2, 2, 4)
    """

    version: tuple
    backend: str | None = None

    @classmethod
    def read(cls, version, backend=None):
        """Returns the age for the texts in a file; Keras 1.0 gave no version."""
        numbers = re.match(r"\d+(\.\d+)*", version or "1")
        return cls(tuple(int(n) for n in numbers[0].split(".")) if numbers else (1,), backend)

    @property
    def old(self):
        """Whether it is older than Keras 3."""
        return self.version < (3,)


TODAY = Age((3,))


def of_json(config):
    """Returns the age of a model's JSON: Keras 3 gives no version there, but the modules of classes."""
    if "keras_version" in config:
        return Age.read(config["keras_version"] if isinstance(config["keras_version"], str) else None)
    return TODAY if "module" in config or "registered_name" in config else Age((1,))


# ------------------------------------------------------------------------------------------- configs

# Formulas that Keras 3 changed under the same name; the old one keeps what it computed under a name of its own.
_FUNCTIONS = {"hard_sigmoid": "hard_sigmoid_keras2"}
_FUNCTION_KEYS = ("activation", "recurrent_activation", "inner_activation")

# What Keras 1 called regularizers and constraints: {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01}.
_PARTS_1 = {
    "WeightRegularizer": "L1L2",
    "ActivityRegularizer": "L1L2",
    "L1L2Regularizer": "L1L2",
    "MaxNorm": "MaxNorm",
    "MinMaxNorm": "MinMaxNorm",
    "NonNeg": "NonNeg",
    "UnitNorm": "UnitNorm",
}
_MERGES_1 = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
}


def modernize(config, age):
    """Returns a model's config, written by Keras of that age, in today's words.

    Raises:
        ValueError: A layer of Keras 1 that has no counterpart.
    """
    return _walk(config, age) if age.old else config


def _walk(value, age, key=None):
    if isinstance(value, list):
        return [_walk(v, age, key) for v in value]
    if isinstance(value, str):
        return _FUNCTIONS.get(value, value) if key in _FUNCTION_KEYS else value
    if not isinstance(value, dict):
        return value
    if (
        "class_name" not in value
        and value.get("name") in _PARTS_1
        and key
        and key.endswith(("regularizer", "constraint"))
    ):
        settings = {k: v for k, v in value.items() if k != "name"}
        for old, new in (("m", "max_value"), ("low", "min_value"), ("high", "max_value")):
            if old in settings:
                settings[new] = settings.pop(old)
        return {"class_name": _PARTS_1[value["name"]], "config": settings}
    name, inner = value.get("class_name"), value.get("config")
    if name == "function" and isinstance(inner, str):
        return {**value, "config": _walk(inner, age, key)}
    out = {k: _walk(v, age, k) for k, v in value.items()}
    if not isinstance(name, str) or get_registered_object(name) is not None:
        return out
    if isinstance(inner, dict) and name in _LAYERS:
        out = _LAYERS[name](out, age)
    if name == "Sequential" and isinstance(out["config"], list) and "name" in out:
        out["config"] = {"name": out["name"], "layers": out["config"]}  # a plain list has no place for a name
    if name == "Sequential" and _begins_with_merge(out["config"]):
        return _graph_of_chains(out)
    return out


def _with(**settings):
    """Returns a rule that adds settings the config lacks: what they were before there was a choice."""
    return lambda out, age: {**out, "config": {**settings, **out["config"]}}


def _without(*names):
    """Returns a rule that drops settings that a class only wrote because its parent had them."""

    def rule(out, age):
        return {**out, "config": {k: v for k, v in out["config"].items() if k not in names}}

    return rule


def _without_groups(out, age):
    if out["config"].get("groups") != 1:
        return out
    return _without("groups")(out, age)


def _shape_told(out, age):
    """Keras 1 wrote a transposed convolution's output shape beside what determines it."""
    return _without_groups(_without("output_shape")(out, age), age)


def merge_of_today(out, age=None):
    """Returns the config of the layer that Keras 1's one layer for all ways of merging is today."""
    given = out["config"]
    mode, name = given.get("mode"), given.get("name") or out.get("name")
    if mode not in _MERGES_1 or given.get("mode_type", "raw") != "raw":
        raise ValueError(
            f"Merge layer {name!r} has the mode {mode if isinstance(mode, str) else 'of a function'!r}, which cannot "
            f"be read. Known modes: {', '.join(_MERGES_1)}."
        )
    settings = {"name": name} if name else {}
    if mode == "concat":
        settings["axis"] = given.get("concat_axis", -1)
    if mode == "dot":
        settings["axes"] = given.get("dot_axes", -1)
    inner = {k: given[k] for k in ("layers",) if k in given}
    return {**out, "class_name": _MERGES_1[mode], "config": {**settings, **inner}}


def _refused(out, age):
    name = out["config"].get("name") or out.get("name")
    raise ValueError(
        f"{out['class_name']} layer {name!r}: that layer of Keras 1 and 2 is not part of Keras 3 and not of this "
        f"package. Give a class of that name in custom_objects."
    )


def _loss_scale(out, age):
    """tf.keras's wrapper for half precision, of which Keras 3 has the dynamic kind."""
    if out["config"].get("dynamic") is False:
        raise ValueError("LossScaleOptimizer(dynamic=False): a fixed scale is the optimizer's loss_scale_factor today.")
    return {**_without("dynamic")(out, age), "class_name": "LossScaleOptimizer"}


_SHARED_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_LAYERS = {
    "GRU": _with(reset_after=False),
    "GRUCell": _with(reset_after=False),
    "CuDNNGRU": _with(reset_after=True),
    "DepthwiseConv1D": _without("groups", "filters", *_SHARED_KERNEL),
    "DepthwiseConv2D": _without("groups", "filters", *_SHARED_KERNEL),
    "SeparableConv1D": _without("groups", *_SHARED_KERNEL),
    "SeparableConv2D": _without("groups", *_SHARED_KERNEL),
    "Conv1DTranspose": _without_groups,
    "Conv2DTranspose": _shape_told,
    "Conv3DTranspose": _shape_told,
    "Deconvolution2D": _shape_told,
    "Deconvolution3D": _shape_told,
    **{  # which of TensorFlow's generators drew: here it is a function of the key
        f"Random{kind}": _without("rng_type")
        for kind in ("Flip", "Rotation", "Zoom", "Translation", "Crop", "Contrast", "Brightness")
    },
    "Discretization": _without("dtype"),
    "CategoryEncoding": _without("dtype"),
    "MultiHeadAttention": _without("query_shape", "key_shape", "value_shape"),
    "Merge": merge_of_today,
    **dict.fromkeys(("LossScaleOptimizer", "LossScaleOptimizerV3"), _loss_scale),
    **dict.fromkeys(
        (
            "MaxoutDense",
            "Highway",
            "ParametricSoftplus",
            "SReLU",
            "AtrousConvLSTM2D",
        ),
        _refused,
    ),
}


# ------------------------------------------------------------------------- chains that begin with a merge


def _begins_with_merge(config):
    layers = config["layers"] if isinstance(config, dict) else config
    return (
        bool(layers)
        and isinstance(layers[0], dict)
        and "layers" in (layers[0].get("config") or {})
        and (layers[0].get("class_name") in _MERGES_1.values())
    )


def _graph_of_chains(out):
    """Returns the functional config of a chain whose first layer merges the ends of other chains."""
    found, inputs = [], []

    def layers_of(config):
        return config["layers"] if isinstance(config, dict) else config

    def add(config, calls):
        name = config["config"].get("name") or config["class_name"].lower()
        found.append({**config, "name": name, "inbound_nodes": [[[c, 0, 0] for c in calls]] if calls else []})
        return name

    def begin(settings):
        shape = settings.get("batch_input_shape")
        if shape is None and settings.get("input_shape") is not None:
            shape = [None, *settings["input_shape"]]
        if shape is None and settings.get("input_dim") is not None:
            length = settings.get("input_length")
            shape = [None, settings["input_dim"]] if length is None else [None, length, settings["input_dim"]]
        if shape is None:
            raise ValueError(f"The chain that begins with {settings.get('name')!r} does not tell its input shape.")
        name = f"{settings.get('name')}_input"
        dtype = settings.get("input_dtype") or "float32"
        inputs.append(name)
        return add(
            {"class_name": "InputLayer", "config": {"name": name, "batch_input_shape": shape, "dtype": dtype}}, []
        )

    def chain(layers):
        first, *rest = layers
        if _begins_with_merge(layers):
            branches = first["config"].pop("layers")
            ends = [chain(layers_of(b["config"])) for b in branches]
            last = add(first, ends)
        elif first["class_name"] == "InputLayer":
            inputs.append(first["config"]["name"])
            last = add(first, [])
        else:
            last = add(first, [begin(first["config"])])
        for layer in rest:
            last = add(layer, [last])
        return last

    last = chain(layers_of(out["config"]))
    config = {
        "name": out["config"].get("name") if isinstance(out["config"], dict) else None,
        "layers": found,
        "input_layers": [[n, 0, 0] for n in inputs],
        "output_layers": [[last, 0, 0]],
    }
    return {**out, "class_name": "Functional", "config": {k: v for k, v in config.items() if v is not None}}
