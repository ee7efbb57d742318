"""Writes a model as a SavedModel: its inference as TensorFlow's operations, its weights as variables.

saved_model.pb              the graph with the signature "serving_default", the function "serve", the objects
variables/variables.*       weights and the optimizer's state, as a tensor bundle
assets/saved_model.json     the model's config, what it was compiled with
"""

import json
import os

import jax
import numpy as np

from fkeras.core.tensors import number_of, shape_message
from fkeras.saving import configs
from fkeras.saving.compiling import compile_config
from fkeras.saving.moments import optimizer_arrays
from fkeras.saving.order import inner_layers, keras_layers, legacy_weights, weights_by_path
from fkeras.saving.tensorflow.bundle import write_bundle
from fkeras.saving.tensorflow.folder import replacing_folder
from fkeras.saving.tensorflow.graph import Body, DType, Nodes, Shape, Strings
from fkeras.saving.tensorflow.messages import SAVED_MODEL, TRACKED
from fkeras.saving.tensorflow.objects import (
    ATTRIBUTE,
    OBJECT_GRAPH,
    Objects,
    mapping,
    one_argument,
    sequence,
    spec,
    structure,
)
from fkeras.saving.tensorflow.primitives import emit, whole
from fkeras.saving.tracing import forward_of, free_inputs

CONFIG = "saved_model.json"
_VERSIONS = {"producer": 1087, "min_consumer": 12}  # of TensorFlow's graphs: what 2.9 wrote, for 1.x on
_TENSORFLOW = "2.9.0"


def write_saved_model(model, path, overwrite=True, include_optimizer=True, to_load=True):
    """Writes a model as a SavedModel, a folder; needs no TensorFlow.

    Args:
        to_load: False also takes a model that no file can describe (a Lambda of a nameless function): its computation
            is written, but `load_model` will not bring it back.

    Raises:
        ValueError: A part of the computation has no counterpart in TensorFlow, or the input shape is not known.
        FileExistsError: The folder exists, and `overwrite` is False or it is something else than a SavedModel.
    """
    specs = free_inputs(model, "export it")
    graph = _Export(model, specs, include_optimizer)
    config = _described(model, include_optimizer, to_load)
    arrays = graph.objects.arrays | {OBJECT_GRAPH: TRACKED.encode(graph.objects.tracked())}
    data = SAVED_MODEL.encode(graph.message())
    with replacing_folder(path, overwrite) as folder:
        for inner in ("variables", "assets"):
            os.mkdir(os.path.join(folder, inner))
        write_bundle(os.path.join(folder, "variables", "variables"), arrays)
        if config is not None:
            with open(os.path.join(folder, "assets", CONFIG), "w", encoding="utf8") as file:
                file.write(config)
        with open(os.path.join(folder, "saved_model.pb"), "wb") as file:
            file.write(data)


def _described(model, include_optimizer, to_load):
    """Returns the JSON of a model and of what it was compiled with; None if there is none and none is needed."""
    try:
        config = configs.for_hdf5(configs.describe_model(model))
        if include_optimizer and model.compiled:
            config |= {"compile_config": compile_config(model), "fkeras_seed": model._seed}
        return json.dumps(configs.checked(config))
    except (ValueError, TypeError):
        if to_load:
            raise
        return None


class _Export:
    """The objects, functions and nodes of one SavedModel."""

    def __init__(self, model, specs, include_optimizer):
        self.model, self.objects, self.library = model, Objects(), []
        self.variables = {}  # {(id of the layer, name of the weight): number of the variable}
        self.add_layers()
        if include_optimizer and model.compiled:
            self.add_optimizer()
        self.trace(specs)
        self.add_functions(specs)

    # --------------------------------------------------------------------------------------- variables

    def add_layers(self):
        """Adds an object for each layer, with its variables, and the lists of all variables."""
        objects, model = self.objects, self.model
        trained, nodes, weighty = model.trained_paths(), {(): 0}, 0
        keys = {id(layer): key for key, layer in inner_layers(model).items()}
        for i, layer in enumerate(keras_layers(model)):
            edge = f"layer-{i}"
            if weights_by_path(layer):
                edge, weighty = f"layer_with_weights-{weighty}", weighty + 1
            node = nodes[keys[id(layer)],] = objects.add("_generic_user_object", 0, edge)
            if edge != f"layer-{i}":
                objects.link(0, f"layer-{i}", node)
        ordered = []
        for path, names, v in weights_by_path(model):
            parent = self.node_at(path[:-1], nodes)
            name = "/".join(names)
            number = objects.variable(parent, path[-1], name, v.numpy(), path in trained)
            self.variables[id(v.layer), v.name] = number
            ordered.append((number, path in trained))
        for layer in keras_layers(model):
            named = [self.variables[id(v.layer), v.name] for _, _, v in legacy_weights(layer)]
            if named:
                objects.add_list(nodes[keys[id(layer)],], "variables", named)
        objects.add_list(0, "variables", [n for n, _ in ordered])
        objects.add_list(0, "trainable_variables", [n for n, trains in ordered if trains])
        objects.add_list(0, "non_trainable_variables", [n for n, trains in ordered if not trains])

    def node_at(self, path, nodes):
        """Returns the object at a path of the parameter tree."""
        if path not in nodes:
            nodes[path] = self.objects.add("_generic_user_object", self.node_at(path[:-1], nodes), path[-1])
        return nodes[path]

    def add_optimizer(self):
        """Adds the optimizer's arrays, in Keras's order."""
        if held := optimizer_arrays(self.model):
            node = self.objects.add("_generic_user_object", 0, "optimizer")
            numbers = [self.objects.variable(node, f"_{i}", *pair, False) for i, pair in enumerate(held)]
            self.objects.add_list(node, "_variables", numbers)

    def variable_at(self, path):
        """Returns the variable of a leaf of the model's arrays; states that a layer keeps get one here."""
        layer = self.model
        for key in path[:-1]:
            layer = layer._cell.inner[key]
        place = id(layer), path[-1]
        if place not in self.variables:
            array = np.asarray(layer._cell.arrays()[1][path[-1]])
            name = "_state_" + "_".join(path)
            self.variables[place] = self.objects.variable(0, name, "/".join(path), array, False)
        return self.variables[place]

    # --------------------------------------------------------------------------------------- functions

    def trace(self, specs):
        """Adds the function of (inputs, variables) -> outputs."""
        params, state = self.model.gather()
        leaves, _ = jax.tree_util.tree_flatten_with_path((params, state))
        paths = [tuple(key.key for key in keys[1:]) for keys, _ in leaves]
        arrays = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (params, state))
        closed, (self.outputs, _) = jax.make_jaxpr(forward_of(self.model), return_shape=True)(*arrays, specs)
        bound = {}  # {number of a variable: the argument that is it}
        body = Body("__inference_serve_0", self.library)
        inputs = [body.arg(s.dtype, s.shape) for s in jax.tree.leaves(specs)]
        for tensor in inputs:
            body.learn_sizes(tensor)
        values = []
        for path, (_, array) in zip(paths, leaves, strict=True):
            number = self.variable_at(path)
            if number not in bound:
                bound[number] = body.arg("resource", ())
            values.append(body.read(bound[number], array.dtype, array.shape))
        jaxpr = closed.jaxpr
        consts = [body.const(np.asarray(c)) for c in closed.consts]
        outs = emit(body, jaxpr, consts, [*values, *inputs])
        outs = [whole(body, t, v.aval) for t, v in zip(outs, jaxpr.outvars, strict=True)]
        count = len(jax.tree.leaves(self.outputs))
        # Running values that inference changes: states that a layer keeps from batch to batch.
        kept = [v for _, v in zip(jax.tree.leaves(params), jaxpr.invars, strict=False)]
        for path, old, new, tensor in zip(
            paths[len(kept) :], jaxpr.invars[len(kept) :], jaxpr.outvars[count:], outs[count:], strict=False
        ):
            if old is not new:
                handle = bound[self.variable_at(path)]
                name = body.add("AssignVariableOp", [handle.ref, tensor.ref], {"dtype": DType(tensor.dtype)})
                body.effects.append(name)
        self.serve = body.finish(outs[:count])
        self.stateful = bool(body.effects)
        self.bound = list(bound)

    def add_functions(self, specs):
        """Adds the signature, which names inputs and outputs, and tells the object graph of both functions."""
        model, objects = self.model, self.objects
        inputs = dict(zip(model.input_names, jax.tree.leaves(specs), strict=True))
        outputs = dict(zip(model.output_names, jax.tree.leaves(self.outputs), strict=True))
        body = Body("__inference_signature_wrapper_1", self.library)
        named = {name: body.arg(inputs[name].dtype, inputs[name].shape) for name in sorted(inputs)}
        handles = [body.arg("resource", ()) for _ in self.bound]
        given = [*(named[name] for name in inputs), *handles]
        found = dict(zip(outputs, _call(body, self.serve, given, outputs.values()), strict=True))
        body.effects += [body.nodes[-1]["name"]] if self.stateful else []
        self.wrapper = body.finish([found[name] for name in sorted(outputs)])
        self.inputs = {name: inputs[name] for name in sorted(inputs)}
        self.named_outputs = {name: outputs[name] for name in sorted(outputs)}

        place, places = iter(inputs.items()), iter(outputs.items())
        one = structure(specs, lambda s: spec(*next(place)))
        out = structure(self.outputs, lambda s: spec(*next(places)))
        argument = {name: spec(name, s) for name, s in self.inputs.items()}
        results = {name: spec(name, s) for name, s in self.named_outputs.items()}

        def concrete(args, keywords, result):
            given = sequence([sequence(args), mapping(keywords)])
            return {"bound_inputs": self.bound, "canonicalized_input_signature": given, "output_signature": result}

        self.concrete = {
            self.serve.name: concrete([one], {}, out),
            self.wrapper.name: concrete([], argument, mapping(results)),
        }
        about = {"concrete_functions": [self.serve.name], "function_spec": one_argument("inputs")}
        objects.add(None, 0, "serve", function=about)
        signatures = objects.add("signature_map", 0, "signatures")
        about = {"concrete_function_name": self.wrapper.name, "argument_keywords": list(self.inputs)}
        if len(self.inputs) == 1:
            about["allowed_positional_arguments"] = 1
        objects.add(None, signatures, "serving_default", bare_concrete_function=about)

    # --------------------------------------------------------------------------------------- the graph

    def message(self):
        """Returns the message of the whole SavedModel."""
        main = Nodes()
        arrays = {number: self.objects.arrays[self.objects.key(number)] for number in self.bound}
        handles = []
        for number, array in arrays.items():
            key = self.objects.key(number).removesuffix(ATTRIBUTE)
            about = {"dtype": DType(array.dtype), "shape": Shape(array.shape), "shared_name": key, "container": ""}
            handles.append(main.add("VarHandleOp", [], about, key))
        given = [
            main.add("Placeholder", [], {"dtype": DType(s.dtype), "shape": Shape(s.shape)}, f"serving_default_{name}")
            for name, s in self.inputs.items()
        ]
        types = {
            "Tin": [*(DType(s.dtype) for s in self.inputs.values()), *(DType("resource") for _ in handles)],
            "Tout": [DType(s.dtype) for s in self.named_outputs.values()],
            "f": self.wrapper,
        }
        call = main.add("StatefulPartitionedCall", [*given, *handles], types)

        def infos(specs, names):
            return {
                key: {"name": name, "dtype": number_of(s.dtype), "tensor_shape": shape_message(s.shape)}
                for (key, s), name in zip(specs.items(), names, strict=True)
            }

        signature = {
            "inputs": infos(self.inputs, [f"{name}:0" for name in given]),
            "outputs": infos(self.named_outputs, [f"{call}:{i}" for i in range(len(self.named_outputs))]),
            "method_name": "tensorflow/serving/predict",
        }
        saver = self.add_saver(main, handles, arrays)
        meta = {
            "meta_info_def": {"tags": ["serve"], "tensorflow_version": _TENSORFLOW},
            "graph_def": {"node": main.nodes, "library": {"function": self.library}, "versions": _VERSIONS},
            "saver_def": saver,
            "signature_def": {"serving_default": signature},
            "object_graph_def": {"nodes": self.objects.nodes, "concrete_functions": self.concrete},
        }
        return {"saved_model_schema_version": 1, "meta_graphs": [meta]}

    def add_saver(self, main, handles, arrays):
        """Adds the nodes by which readers without objects (TensorFlow 1, Serving) fill the variables."""
        main.scope = "save"

        def strings(values, name):
            return main.add("Const", [], {"dtype": DType("string"), "value": Strings(values)}, name)

        keys = [self.objects.key(number).encode() for number in arrays]
        main.scope = ""
        file = main.add("Placeholder", [], {"dtype": DType("string"), "shape": Shape(())}, "saver_filename")
        main.scope = "save"
        dtypes = [DType(a.dtype) for a in arrays.values()]
        saved, done = None, []
        if handles:
            where = [file, strings(keys, "names"), strings([b""] * len(keys), "slices")]
            values = [main.add("ReadVariableOp", [h], {"dtype": d}) for h, d in zip(handles, dtypes, strict=True)]
            saved = main.add("SaveV2", [*where, *values], {"dtypes": dtypes})
            restored = main.add("RestoreV2", where, {"dtypes": dtypes})
            done = [
                main.add("AssignVariableOp", [h, f"{restored}:{i}"], {"dtype": d})
                for i, (h, d) in enumerate(zip(handles, dtypes, strict=True))
            ]
        name = main.add("Identity", [file, *([f"^{saved}"] if saved else [])], {"T": DType("string")})
        last = main.add("NoOp", [f"^{n}" for n in done], {}, "restore_all")
        return {
            "filename_tensor_name": f"{file}:0", "save_tensor_name": f"{name}:0", "restore_op_name": last,
            "max_to_keep": 5, "version": 2,
        }  # fmt: skip


def _call(body, function, args, outputs):
    """Calls a function that reads variables."""
    outputs = list(outputs)
    types = {"Tin": [DType(t.dtype) for t in args], "Tout": [DType(s.dtype) for s in outputs], "f": function}
    about = {"shape": [s.shape for s in outputs], "dtype": [s.dtype for s in outputs], "count": len(outputs)}
    return body.op("StatefulPartitionedCall", args, **about, **types)
