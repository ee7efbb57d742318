"""Calls of TensorFlow's functions drawn into the graphs of tf.keras: `a + b`, `tf.nn.relu(x)`, `x[:, 0]`.

tf.keras 2.4 and later wrote them as TFOpLambda and SlicingOpLambda with the function's name, 2.0 to 2.3 as
TensorFlowOpLayer with a node of TensorFlow's graph. Those with a layer or operator here are read; others are named.
"""

CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")

# Python's operators, by the last part of the function's name and by the op of a node.
_OPERATORS = {
    "add": "add",
    "AddV2": "add",
    "Add": "add",
    "subtract": "sub",
    "Sub": "sub",
    "multiply": "mul",
    "Mul": "mul",
    "truediv": "truediv",
    "divide": "truediv",
    "RealDiv": "truediv",
    "floordiv": "floordiv",
    "FloorDiv": "floordiv",
    "floormod": "mod",
    "FloorMod": "mod",
    "pow": "pow",
    "Pow": "pow",
    "greater": "gt",
    "Greater": "gt",
    "greater_equal": "ge",
    "GreaterEqual": "ge",
    "less": "lt",
    "Less": "lt",
    "less_equal": "le",
    "LessEqual": "le",
}
_ONE = {"negative": "neg", "Neg": "neg", "abs": "abs", "Abs": "abs"}
_POWERS = {"square": 2, "Square": 2, "sqrt": 0.5, "Sqrt": 0.5, "reciprocal": -1}
_ACTIVATIONS = {
    **{n: n for n in ("relu", "relu6", "elu", "selu", "gelu", "sigmoid", "tanh", "softmax", "softplus", "softsign")},
    **{n.capitalize(): n for n in ("relu", "relu6", "elu", "selu", "sigmoid", "tanh", "softmax", "softplus")},
    "silu": "silu",
    "swish": "silu",
    "exp": "exponential",
    "Exp": "exponential",
    "leaky_relu": "leaky_relu",
}
_MANY = {"maximum": "Maximum", "Maximum": "Maximum", "minimum": "Minimum", "Minimum": "Minimum", "add_n": "Add"}
_IDLE = {
    "name": None,
    "conjugate": False,
    "approximate": False,
    "alpha": 0.2,
    "transpose_a": False,
    "transpose_b": False,
}


def as_layer(config):
    """Returns the config of the layer that does what the call of a TensorFlow function in a graph does.

    Raises:
        ValueError: There is none; the message names the layer and the function.
    """
    inner = config["config"]
    name = config.get("name") or inner.get("name")
    if config["class_name"] == "TensorFlowOpLayer":
        function, calls = _of_node(inner, config.get("inbound_nodes") or [])
    else:
        function, calls = inner.get("function"), [_call(n) for n in config.get("inbound_nodes") or []]
    if isinstance(function, dict):
        function = function.get("config")
    found = [_layer(str(function), tensors, settings) for tensors, settings in calls]
    if not found or found[0] is None or any(f is None or f[:2] != found[0][:2] for f in found):
        raise ValueError(
            f"Layer {name!r} is a call of the function {function!r} of TensorFlow, drawn into the graph of tf.keras, "
            f"which has no layer here. Rebuild that model with layers, or give a class of the name "
            f"{config['class_name']!r} in custom_objects."
        )
    kind, settings, _ = found[0]
    nodes = [{"args": [_tensor(t[0]) if len(t) == 1 else [*map(_tensor, t)]], "kwargs": {}} for *_, t in found]
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **settings},
        "name": name,
        "inbound_nodes": nodes,
    }


def _tensor(history):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": list(history[:3])}}


def _is_history(value):
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and value[1] != -1


def _call(node):
    """Returns ([tensor or constant, ...], {setting: value}) of one call: [layer, call, output, kwargs], or a list."""
    if node and isinstance(node[0], list):
        settings = node[0][3] if len(node[0]) > 3 else {}
        return [part[:3] for part in node], dict(settings)
    first = node[:3] if node[1] != -1 else node[2]
    settings = dict(node[3]) if len(node) > 3 else {}
    operands = [first]
    for word in ("y", "b", "x"):
        if word in settings:
            operands.append(settings.pop(word))
    return operands, settings


def _of_node(inner, nodes):
    """The op of a TensorFlowOpLayer, its inputs with the constants put between them."""
    about = inner.get("node_def")
    op = about.get("op") if isinstance(about, dict) else None
    constants = {int(k): v for k, v in (inner.get("constants") or {}).items()}
    attributes = about.get("attr") or {} if isinstance(about, dict) else {}
    plain = all(k in ("T", "Tidx", "_cloned") for k in attributes)
    calls = []
    for node in nodes if op and plain else ():
        tensors = [part[:3] for part in node] if node and isinstance(node[0], list) else [node[:3]]
        operands = []
        for i in range(len(tensors) + len(constants)):
            operands.append(constants[i] if i in constants else tensors.pop(0))
        calls.append((operands, {}))
    return op, calls


def _layer(function, operands, settings):
    """Returns (layer, its settings, the tensors it is called on), or None."""
    word = function.split(".")[-1]
    tensors = [o for o in operands if _is_history(o)]
    if word == "getitem":
        index = _index(settings.get("slice_spec"))
        return None if index is None else ("GetItem", {"index": index}, tensors)
    if word == "reshape" and isinstance(settings.get("shape"), list) and settings["shape"][:1] == [-1]:
        return _plain(settings, "shape") and ("Reshape", {"target_shape": settings["shape"][1:]}, tensors)
    if word == "transpose" and isinstance(settings.get("perm"), list) and settings["perm"][:1] == [0]:
        return "Permute", {"dims": settings["perm"][1:]}, tensors
    if word == "concat" and len(tensors) == len(operands):
        return _plain(settings, "axis") and ("Concatenate", {"axis": settings.get("axis", -1)}, tensors)
    if word == "cast" and settings.get("dtype") == "float32":
        return "Identity", {}, tensors
    if not _plain(settings):
        return None
    if word in _OPERATORS and len(operands) == 2 and tensors:
        if len(tensors) == 2:
            return "Operator", {"operator": _OPERATORS[word]}, tensors
        swapped = not _is_history(operands[0])
        constant = operands[0] if swapped else operands[1]
        return "Operator", {"operator": _OPERATORS[word], "constant": constant, "swapped": swapped}, tensors
    if word in ("matmul", "MatMul", "BatchMatMulV2") and len(tensors) == 2:
        return "Operator", {"operator": "matmul"}, tensors
    if word in _MANY and len(tensors) == len(operands) > 1:
        return _MANY[word], {}, tensors
    if len(operands) != 1:
        return None
    if word in _ONE:
        return "Operator", {"operator": _ONE[word]}, tensors
    if word in _POWERS:
        return "Operator", {"operator": "pow", "constant": _POWERS[word]}, tensors
    if word in _ACTIVATIONS:
        return "Activation", {"activation": _ACTIVATIONS[word]}, tensors
    if word in ("identity", "Identity"):
        return "Identity", {}, tensors
    return None


def _plain(settings, *read):
    """Whether all settings but those read are what the function takes anyway."""
    return all(k in read or (k in _IDLE and v in (_IDLE[k], None)) or k == "name" for k, v in settings.items())


def _index(spec):
    found = []
    for part in spec if isinstance(spec, list) else [spec]:
        if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
            found.append("...")
        elif isinstance(part, dict) and set(part) == {"start", "stop", "step"}:
            found.append([part["start"], part["stop"], part["step"]])
        elif part is None or isinstance(part, int):
            found.append(part)
        else:
            return None
    if any(not isinstance(v, int | None) for p in found if isinstance(p, list) for v in p):
        return None
    return found
