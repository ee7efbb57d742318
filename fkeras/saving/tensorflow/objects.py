"""The graph of objects in a SavedModel: layers, their variables, the functions; and the same graph in the checkpoint.

Variables hang where Keras 2 hangs them, root/layer_with_weights-0/variables/0, so that its `load_weights` reads the
bundle too, and in lists: root/variables, root/trainable_variables, root/non_trainable_variables.
"""

import numpy as np

from fkeras.core.tensors import number_of, shape_message

_VERSION = {"producer": 1, "min_consumer": 1}
ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Objects:
    """Objects under construction; node 0 is the root."""

    def __init__(self):
        self.nodes, self.arrays = [], {}  # arrays: {name in the bundle: array}
        self._stored = {}
        self._paths = {}
        self.add("_generic_user_object")

    def add(self, identifier=None, parent=None, name=None, **kind):
        """Adds an object; returns its number."""
        node = {"children": []}
        if identifier:
            node["user_object"] = {"identifier": identifier, "version": _VERSION}
        self.nodes.append({**node, **kind})
        number = len(self.nodes) - 1
        self._paths[number] = ""
        if parent is not None:
            self._paths[number] = f"{self._paths[parent]}/{name}".lstrip("/")
            self.link(parent, name, number)
        return number

    def link(self, parent, name, child):
        """Makes an object a child of another under a name."""
        self.nodes[parent]["children"].append({"node_id": child, "local_name": name})

    def add_list(self, parent, name, children):
        """Adds a list of objects."""
        number = self.add("trackable_list_wrapper", parent, name)
        for i, child in enumerate(children):
            self.link(number, str(i), child)
        return number

    def variable(self, parent, edge, name, array, trainable):
        """Adds a variable; `name` is what TensorFlow shows."""
        about = {"dtype": number_of(array.dtype), "shape": shape_message(array.shape), "trainable": trainable,
                 "name": name}  # fmt: skip
        number = self.add(None, parent, edge, variable=about)
        key = self._paths[number].replace("..", ".") + ATTRIBUTE
        self.arrays[key] = np.asarray(array)
        self._stored[number] = {"name": "VARIABLE_VALUE", "full_name": name, "checkpoint_key": key}
        return number

    def tracked(self):
        """Returns the checkpoint's object graph: the same objects, and which array of the bundle each variable is."""
        return {
            "nodes": [
                {"children": node["children"], "attributes": [self._stored[i]] if i in self._stored else []}
                for i, node in enumerate(self.nodes)
            ]
        }

    def key(self, number):
        """Returns the name of a variable's array in the bundle."""
        return self._stored[number]["checkpoint_key"]


# --------------------------------------------------------------------------------- structures of values


def spec(name, tensor):
    """Describes a tensor in a signature."""
    about = {"shape": shape_message(tensor.shape), "dtype": number_of(tensor.dtype)}
    return {"tensor_spec_value": {"name": name, **about}}


def sequence(values, kind="tuple"):
    """Describes a tuple or list of described values."""
    return {f"{kind}_value": {"values": list(values)}}


def mapping(values):
    """Describes a dict of described values."""
    return {"dict_value": {"fields": dict(values)}}


def structure(tree, leaf):
    """Describes a tree; `leaf` describes its leaves, called in the order of `jax.tree.leaves`."""
    if isinstance(tree, dict):
        return mapping({k: structure(tree[k], leaf) for k in sorted(tree)})
    if isinstance(tree, (list, tuple)):
        return sequence([structure(t, leaf) for t in tree], "list" if isinstance(tree, list) else "tuple")
    return leaf(tree)


NONE = {"none_value": {}}


def one_argument(name):
    """Describes the signature of a Python function of one argument."""

    def pair(key, value):
        return {"key": key, "value": value}

    args = sequence([{"string_value": name}], "list")
    empty = sequence([], "list")
    fields = [pair("args", args), pair("varargs", NONE), pair("varkw", NONE), pair("defaults", NONE),
              pair("kwonlyargs", empty), pair("kwonlydefaults", NONE), pair("annotations", mapping({}))]  # fmt: skip
    full = {"named_tuple_value": {"name": "FullArgSpec", "values": fields}}
    return {"fullargspec": full, "is_method": False, "input_signature": NONE}
