"""Models: a graph of layers with Keras's face. `Sequential` is a chain that becomes a graph."""

import inspect

import jax
import numpy as np

from fkeras.core.dtypes import STRING, dtype_name
from fkeras.core.settings import deserialize, nearest, serialize, some, todays
from fkeras.core.symbol import Symbol, is_symbolic
from fkeras.core.tree import in_form, is_flat_dict
from fkeras.graphs.graph import Graph, Traced, is_absent
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.contract.shapes import as_shape, is_shape, is_spec
from fkeras.layers.contract.texts import Prepared, as_column, holds_text, text_array
from fkeras.layers.input import Input, InputLayer
from fkeras.training.trainer import Trainer

__all__ = [
    "Function",
    "Functional",
    "Input",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]


_SHOWN = set(  # by `dir(model)`
    """
    add apply build built compile compile_report compiled compute_output_shape count_params dtype evaluate export
    find_learning_rate fit forecast from_config get_config get_layer get_weights history init input_names
    input_shape inputs layers load_weights loss losses metrics metrics_names name non_trainable_weights optimizer
    output_names output_shape outputs params pop predict predict_on_batch save save_weights set_weights state
    stop_training summary test_on_batch test_step to_json train_on_batch train_step trainable trainable_weights
    weights
    """.split()
)


@layers.register(name="Functional")
class Model(Trainer, Layer):
    """A model from input symbols to output symbols, itself a layer.

    Args:
        inputs, outputs: Symbols, or lists or dicts of them.
        name, trainable, dtype: See `Layer`.

    Example:
        >>> x = Input((4,))
        >>> model = Model(x, Dense(1)(x))
        >>> model.count_params()
        5
    """

    takes_ints = True
    casts = False
    training_flows = True
    graph = None

    def __init__(self, inputs=None, outputs=None, name=None, **kwargs):
        if kwargs.keys() & {"input", "output"}:
            given = {k: v for k, v in (("inputs", inputs), ("outputs", outputs)) if v is not None}
            kwargs = todays("Model", ["Model"], kwargs | given, type(self))
            inputs, outputs = kwargs.pop("inputs", None), kwargs.pop("outputs", None)
        super().__init__(name=name or self.default_name(), **kwargs)
        if inputs is not None or outputs is not None:
            if inputs is None or outputs is None:
                raise TypeError("Model(inputs, outputs) needs both.")
            self._use(Graph(_alone(inputs), _alone(outputs), self.name))

    @classmethod
    def default_name(cls):
        return super().default_name() if cls is not Model else _functional_name()

    def _use(self, graph):
        self.graph = graph
        self._ensure(self._input_shape())

    @property
    def _io(self):
        """What knows the inputs and outputs: the graph, or for a model that computes in `call` its traced shapes."""
        return self.graph or self.__dict__.get("_traced")

    def _input_shape(self):
        return jax.tree.map(lambda s: s.shape, self._io.inputs, is_leaf=is_spec)

    # ------------------------------------------------------------------------------ as a pure layer

    def declare(self, shape):
        return self.graph.declare() if self.graph else super().declare(shape)

    def forward_masked(self, params, state, x, ctx):
        if self.graph is None:
            return super().forward_masked(params, state, x, ctx)
        return self.graph.forward(params, state, x, ctx)

    def children(self):
        return {layer.name: layer for layer in self.graph.layers} if self.graph else super().children()

    def _ensure(self, shape):
        if isinstance(shape, Prepared):
            return
        known = None if self._cell is None else len(self._cell.shapes)
        super()._ensure(shape)
        if self.graph is None and custom.is_keras_style(self) and known != len(self._cell.shapes):
            if self._io is not None:  # sizes in which the inputs seen differ are free
                shape = jax.tree.map(_common, self._input_shape(), shape, is_leaf=is_shape)
            object.__setattr__(self, "_traced", Traced(self, shape))

    def check_input(self, shape):
        if self.graph is None:  # a model that computes in `call` may take any sizes that fit its weights
            return
        leaves = [jax.tree.leaves(t, is_leaf=lambda s: s is None or is_shape(s)) for t in (self._input_shape(), shape)]
        for w, g, symbol in zip(*leaves, self._io.input_symbols, strict=False):
            if is_absent(symbol, g):
                continue
            if g is None:
                raise ValueError(
                    f"{self.label}: nothing was given for its input {symbol.name!r}, which is not optional."
                )
            inner = zip(w[1:], g[1:], strict=False)  # of how many rows it was made for, the layers say what depends
            if len(w) != len(g) or any(a is not None and b is not None and a != b for a, b in inner):
                raise ValueError(f"{self.label}: expected input of shape {w}, got {g}.")

    def compute_output_spec(self, x):
        shapes = jax.tree.map(lambda s: tuple(s.shape), x, is_leaf=is_spec)
        if self.graph is not None and shapes == self._input_shape():
            return self.graph.specs()
        return super().compute_output_spec(x)

    def pack(self, x, *args, **kwargs):
        if self.graph is None:
            return super().pack(x, *args, **kwargs)
        if args:
            raise TypeError(f"{self.label} takes one argument: one array, or a list or dict of its inputs.")
        x = in_form(x, self._io.inputs)
        x = self._given_tree(x if isinstance(x, (list, tuple, dict)) else [x])
        leaves, form = jax.tree.flatten(x)
        if is_symbolic(x) or len(leaves) != len(self._io.input_symbols):
            return x
        return jax.tree.unflatten(form, map(_of_rank, leaves, self._io.input_symbols))

    def __getstate__(self):
        graph, state = self.graph, super().__getstate__()
        first = {name: value for name, value in state.items() if value is graph}
        return first | state  # the graph brings its calls in order, before anything else leads to one of them

    # -------------------------------------------------------------------------- inputs and outputs

    @property
    def host(self):
        """The `HostPart` of a model that begins with text, else None."""
        return self.graph.host if self.graph else None

    @property
    def on_host(self):
        return self.host is not None

    def prepared(self, x):
        if self.host is None or isinstance(x, Prepared):
            return x
        leaves = jax.tree.leaves(x, is_leaf=is_spec)
        if any(map(is_spec, leaves)):
            return Prepared(self.host.specs(leaves))
        named = list(zip(self.input_specs(), leaves, self.input_names, strict=True))
        leaves = [as_column(text_array(a, repr(n)) if s.dtype == STRING else a, s.shape) for s, a, n in named]
        shapes = [tuple(np.shape(a)) for a in leaves]
        self.check_input(jax.tree.unflatten(jax.tree.structure(self._io.inputs), shapes))
        return Prepared(self.host.run(leaves))

    def program_specs(self):
        """Returns the symbols that stand for the inputs of the compiled part: the model's own, unless it has text."""
        return self.input_specs() if self.host is None else self.host.all_symbols

    def _input_tree(self, leaves):
        """Gives a list of the inputs of the compiled part the form in which programs take them."""
        return self._given_tree(leaves) if self.host is None else Prepared(leaves)

    def _given_tree(self, leaves):
        """Gives a list (or dict by name) of inputs the form of the graph's inputs."""
        if self._io is None:
            return leaves[0] if len(leaves) == 1 else leaves
        names = self.input_names
        if isinstance(leaves, dict):
            if missing := [n for n in names if n not in leaves]:
                raise ValueError(
                    f"{self.label}: expected inputs called {', '.join(names)}, got {', '.join(map(str, leaves))}: "
                    f"there is no {missing[0]!r}."
                )
            leaves = [leaves[n] for n in names]
        if len(leaves) != len(names):
            raise ValueError(f"{self.label}: expected {len(names)} inputs ({', '.join(names)}), got {len(leaves)}.")
        return jax.tree.unflatten(jax.tree.structure(self._io.inputs), list(leaves))

    @property
    def input_names(self):
        """Names of the inputs: keys where they are a dict, else the names of their input layers; None if unknown."""
        if self._io is None:
            return None
        inputs = self._io.inputs
        return sorted(inputs) if is_flat_dict(inputs) else [s.node.layer.name for s in self._io.input_symbols]

    @property
    def output_names(self):
        """Names of the outputs: keys where they are a dict, else the names of the layers that compute them."""
        if self._io is None:
            return None
        outputs = self._io.outputs
        if is_flat_dict(outputs):
            return sorted(outputs)
        names = [s.node.layer.name for s in self._io.output_symbols]
        return [n if names.count(n) == 1 else f"{n}_{names[:i].count(n)}" if names[:i].count(n) else n
                for i, n in enumerate(names)]  # fmt: skip

    @property
    def input_ranks(self):
        return None if self._io is None else [s.ndim for s in self._io.input_symbols]

    def input_specs(self):
        """Returns the list of the inputs' symbols."""
        return self._io.input_symbols

    @property
    def fixed_batch(self):
        """The number of rows that the inputs state (`batch_shape=(32, ...)`), or None."""
        sizes = [s.shape[0] for s in (self._io.input_symbols if self._io else ()) if s.shape]
        return next((size for size in sizes if size is not None), None)

    def output_specs(self):
        """Returns the tree of the outputs' shapes and dtypes."""
        return self._io.specs()

    def output_count(self):
        return len(self._io.output_symbols)

    def input_consumers(self):
        """Yields (layer, i) for every layer that is called on the i-th input of the compiled part itself."""
        if self.graph is None:
            return
        if self.host is not None:
            yield from self.host.consumers(self.graph)
            return
        at = {id(s): i for i, s in enumerate(self.graph.input_symbols)}
        for node in self.graph.nodes:
            for s in jax.tree.leaves(node.inputs):
                if id(s) in at:
                    inner = node.layer.input_consumers() if isinstance(node.layer, Model) else [(node.layer, 0)]
                    yield from ((layer, at[id(s)]) for layer, _ in inner)

    def has_inner_losses(self):
        """True if some layer adds a loss of its own."""
        return any(
            layer.activity_regularizer is not None or custom.is_keras_style(layer) for layer in self.own_and_inner()
        )

    @property
    def takes_trees(self):
        """True for a model that computes in `call`, which may take a list or dict of arrays."""
        return self.graph is None and custom.is_keras_style(self)

    @property
    def inputs(self):
        return self._io.input_symbols if self._io else None

    @property
    def outputs(self):
        return self._io.output_symbols if self._io else None

    @property
    def input(self):
        self._require_built("tell its input")
        return self._io.inputs

    @property
    def output(self):
        self._require_built("tell its output")
        return self._io.outputs

    @property
    def input_shape(self):
        self._require_built("tell its input shape")
        return self._input_shape()

    @property
    def output_shape(self):
        self._require_built("tell its output shape")
        return jax.tree.map(lambda s: s.shape, self._io.specs(), is_leaf=is_spec)

    # -------------------------------------------------------------------------------------- layers

    @property
    def layers(self):
        """The layers in the order of the graph, without operators and indices (`a + b`, `a[:, 0]`), as in Keras."""
        return [layer for layer in self.operations if not layer.is_operation]

    @property
    def operations(self):
        """All that the graph calls: `layers`, and the operators between them."""
        return list(self.graph.layers if self.graph else self.children().values())

    def get_layer(self, name=None, index=None):
        """Returns the layer of that name or index.

        Raises:
            ValueError: There is none; the message lists the nearest names.
        """
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"{self.label}: get_layer(index={index}), but it has {len(self.layers)} layers.")
            return self.layers[index]
        for layer in self.operations:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        raise ValueError(f"{self.label} has no layer {name!r}.{nearest(name, names)} Its layers: {some(name, names)}.")

    def summary(self, line_length=None, positions=None, print_fn=None, expand_nested=False, show_trainable=False,
                layer_range=None, flops=False):  # fmt: skip
        """Prints the layers with their output shapes and counts of parameters; nothing is allocated.

        Of a model whose input shape is not known, the names alone.

        Args:
            line_length: Width of the table; by default that of the terminal, at most 100.
            positions: Where the columns end: ascending column positions, or fractions of the width.
            print_fn: Called with each line instead of `print`.
            expand_nested: List the layers of models inside the model too.
            show_trainable: Add a column that says whether the layer is trained.
            layer_range: Pair of layer names to begin and end with.
            flops: Add the operations that each layer takes to predict one row: a multiplication and an addition are
                two.
        """
        from fkeras.utils.summary import summary

        if self.graph is not None:
            self._require_built("summarize")
        summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range, flops)

    def _repr_html_(self):
        """Shows a notebook the table of `summary`."""
        from fkeras.utils.summary import as_html

        return as_html(self)

    def __dir__(self):
        """Lists what users need: Tab shows no more than fits a screen. All other attributes are there as well."""
        theirs = (c for c in type(self).__mro__ if not c.__module__.startswith(("fkeras.", "builtins")))
        found = {name for part in [*theirs, self] for name in vars(part) if not hasattr(Model, name)} - set(
            self._fields
        )
        ours = {name for name in _SHOWN if name in self.__dict__ or hasattr(type(self), name)}
        return sorted(ours | {name for name in found if not name.startswith("_")})

    # --------------------------------------------------------------------------------------- files

    def get_config(self):
        """Returns Keras's functional config: layers, their calls, inputs and outputs."""
        from fkeras.saving.functional import functional_config

        if self.graph is None or not _takes_ends(type(self)):
            return super().get_config()
        return functional_config(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds a model of `config`, whichever kind of model it describes."""
        from fkeras.saving.functional import functional_from_config

        config = {"layers": config} if isinstance(config, list) else config
        inner = config.get("layers") or []
        with_calls = "input_layers" in config or any(isinstance(c, dict) and c.get("inbound_nodes") for c in inner)
        if "layers" in config and not with_calls:
            return Sequential.from_config(config, custom_objects)
        if "layers" not in config:
            return super().from_config(config)
        return functional_from_config(cls, config, custom_objects)

    def to_json(self, **kwargs):
        """Returns the architecture as JSON; `model_from_json` reads it, here and in real Keras."""
        from fkeras import saving

        return saving.to_json(self, **kwargs)

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves architecture, weights, compile settings and optimizer state; `load_model` brings all of it back."""
        from fkeras import saving

        return saving.save_model(self, filepath, overwrite=overwrite, **kwargs)

    def export(self, filepath, format="tf_saved_model", verbose=False, **options):
        """Writes what the model computes, for programs other than this one to run.

        Args:
            filepath: Folder of a SavedModel, or a file.
            format: "tf_saved_model" (TensorFlow, TF Serving, TFLite; see `fkeras.experimental.export_saved_model`) or
                "stablehlo" (JAX alone; see `fkeras.saving.stablehlo.write_stablehlo`).
            verbose: Print one line when done.
            options: Of the format: overwrite, include_optimizer; step, data, platforms.

        Example:
            >>> model = Sequential([Input((4,)), Dense(2)])
            >>> model.compile("sgd", "mse")
            >>> model.export("served")
            >>> data = np.zeros((1, 4)), np.zeros((1, 2))
            >>> model.export("step.stablehlo", format="stablehlo", step="train", data=data)
        """
        from fkeras import saving

        saving.export_model(self, filepath, format, **options)
        if verbose:
            print(f"Exported {self.label} to {filepath} ({format}).")

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        """Saves the weights alone, to any name that ends in .h5, or over several files listed in .weights.json."""
        from fkeras import saving

        return saving.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath, skip_mismatch=False, by_name=False, **kwargs):
        """Loads weights; all or nothing."""
        from fkeras import saving

        return saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name, **kwargs)


def _takes_ends(cls):
    """True for a class made of inputs and outputs; one that draws its graph in `__init__` has other settings."""
    parameters = inspect.signature(cls.__init__).parameters
    return "inputs" in parameters or set(parameters) <= {"self", "args", "kwargs"} or issubclass(cls, Sequential)


def _alone(tree):
    """Returns the one entry of a list of one symbol: as in Keras, such a model returns an array and not a list."""
    return tree[0] if isinstance(tree, (list, tuple)) and len(tree) == 1 else tree


def _same_input(symbol):
    """Returns a fresh input for what another model takes as `symbol`."""
    layer = symbol.node.layer
    return InputLayer(batch_shape=symbol.shape, dtype=dtype_name(symbol.dtype), name=f"{layer.name}_of").output


def _of_rank(x, symbol):
    """Returns an array at its input's rank, as Keras: with a last axis of size 1 put in or left out."""
    if not isinstance(x, (np.ndarray, jax.Array)) or symbol.dtype == STRING:
        return x
    rank = len(symbol.shape)
    if x.ndim == rank - 1 and symbol.shape[-1] == 1:
        return x[..., None]
    return x[..., 0] if x.ndim == rank + 1 and x.shape[-1] == 1 else x


def _common(a, b):
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True)) if len(a) == len(b) else b


def _functional_name():
    n = Layer._counts.get("functional", 0)
    Layer._counts["functional"] = n + 1
    return f"functional_{n}" if n else "functional"


@layers.register
class Sequential(Model):
    """A chain of layers, given as a list or by `add`.

    Args:
        layers: List of layers; an `Input(...)` may come first.
        name, trainable, dtype: See `Layer`.

    Example:
        >>> model = Sequential([Input((4,)), Dense(8, activation="relu"), Dense(1)])
        >>> model.count_params()
        49
    """

    def __init__(self, layers=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self._chain, self._names = [], set()
        self._head = self._tail = self._graph = None
        for layer in layers or []:
            self.add(layer)

    @property
    def graph(self):
        if self._graph is None and self._head is not None and self._chain:
            self._graph = Graph(self._head, self._tail, self.name)
        return self._graph

    @property
    def built(self):
        return self.graph is not None

    @property
    def on_host(self):
        """Whether the chain begins with text; of one that was not built yet, whether it may."""
        if self.graph is None and self.__dict__.get("_chain"):
            return self._chain[0].on_host
        return super().on_host

    @property
    def _begins_with_text(self):
        first = self._chain[0]
        return first.on_host and (getattr(first, "only_host", True) or self.__dict__.get("_takes_text", False))

    def add(self, layer, rebuild=True):
        """Adds a layer at the end; one that cannot fit after the others is refused here.

        `rebuild` is Keras's; adding costs the same with and without.
        """
        if isinstance(layer, Symbol):
            layer = layer.node.layer
        if isinstance(layer, InputLayer):
            if self._chain or self._head is not None:
                raise ValueError(
                    f"{self.label}: an Input can only come first, got one after {len(self._chain)} layers."
                )
            self._begin(layer)
            return
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(
                f"{self.label}: expected a layer, got the class {layer.__name__}. Did you mean {layer.__name__}(...)?"
            )
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{self.label}: expected a layer, got {type(layer).__name__}: {layer!r}. "
                f"A function goes into Lambda or Activation."
            )
        if layer is self or any(one is self for one in layer.own_and_inner()):
            raise ValueError(f"{self.label}: cannot hold itself, which would be a cycle, got {layer.label}.")
        if layer.name in self._names:
            raise ValueError(
                f"{self.label}: it already has a layer called {layer.name!r}. Names are keys of the parameter tree: "
                f"give each layer its own `name=`."
            )
        if not self._chain and self._head is None:
            if layer.batch_shape is not None:
                dtype = "string" if layer.on_host and getattr(layer, "only_host", True) else None
                self._begin(InputLayer(batch_shape=layer.batch_shape, dtype=dtype, name=f"{layer.name}_input"))
            elif isinstance(layer, Model) and layer.built and layer.graph is not None:
                if isinstance(layer.graph.inputs, Symbol):
                    dtype = "string" if layer.inputs[0].dtype == STRING else None
                    self._begin(InputLayer(batch_shape=layer.input_shape, dtype=dtype, name=f"{layer.name}_input"))
                else:  # several inputs, as Keras 1's chains had that began with a Merge
                    self._head = self._tail = jax.tree.map(_same_input, layer.graph.inputs)
        if not layer.built:
            layer._enter(self.path)
        if self._head is not None:
            self._tail = layer(self._tail)
        self._chain.append(layer)
        self._names.add(layer.name)
        self._changed()

    def _begin(self, layer):
        self._input = layer
        self._head = self._tail = layer.output

    def _changed(self):
        self._graph = self._cell = None
        self._programs = None
        if self._compiled is not None:
            self._objective_cache, self._paces = {}, {}

    def pop(self, rebuild=True):
        """Removes and returns the last layer."""
        if not self._chain:
            raise ValueError(f"{self.label}: there is no layer to remove.")
        layer = self._chain.pop()
        self._names.discard(layer.name)
        if self._head is not None:
            self._tail = self._tail.node.inputs
        self._changed()
        return layer

    def build(self, input_shape=None):
        """Fixes the input shape (batch axis first) and declares all weights."""
        if self._head is None:
            if input_shape is None:
                raise ValueError(f"{self.label}: build(input_shape) needs a shape, batch axis first: (None, 4).")
            self._ensure(as_shape(input_shape))

    def _ensure(self, shape):
        if self._head is None and self._chain:
            if not isinstance(shape, tuple):
                raise ValueError(f"{self.label}: a Sequential model takes one input, got {shape}.")
            dtype = "string" if self._begins_with_text else None
            self._begin(InputLayer(batch_shape=(None, *shape[1:]), dtype=dtype))
            self._head.node.masks = [custom.expected_mask(self, self._head.shape)]
            tail = self._head
            try:
                for layer in self._chain:
                    tail = layer(tail)
            except Exception:
                self._head = self._tail = None
                raise
            self._tail = tail
        if self.graph is None:
            raise ValueError(f"{self.label} has no layers yet: add() some.")
        super()._ensure(shape)

    def prepared(self, x):
        if self.graph is None and self._chain and holds_text(x):
            object.__setattr__(self, "_takes_text", True)
            self._ensure((None, *(text_array(jax.tree.leaves(x)[0]).shape[1:] or (1,))))
        return super().prepared(x)

    def declare(self, shape):
        if self._head is None:  # the pure `init` of a chain whose shape was not known
            self._ensure(shape)
        return super().declare(shape)

    def _require_built(self, what):
        if self.graph is not None and self._cell is None:
            super()._ensure(self._input_shape())
        super()._require_built(what)

    def gather(self, seen=None):
        self._require_built("gather arrays")
        return super().gather(seen)

    def _inside(self):
        if self.graph is not None:
            self._require_built("list layers")
        return super()._inside()

    def children(self):
        return super().children() if self.graph else {layer.name: layer for layer in self.__dict__.get("_chain", [])}

    @property
    def layers(self):
        """The layers in order, without the input."""
        return list(self._chain)

    operations = layers

    def __getitem__(self, index):
        """Returns the layer at `index`, or a new Sequential of the layers in a slice (shared, not copied)."""
        return Sequential(self._chain[index]) if isinstance(index, slice) else self._chain[index]

    def __len__(self):
        return len(self._chain)

    def get_config(self):
        """Returns Keras's config of a chain: its layers, the input first where it is known."""
        one = isinstance(self._head, Symbol)
        inner = ([self._input] if one else []) + self._chain
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype.name}
        config["layers"] = [serialize(layer) for layer in inner]
        if one:
            config["build_input_shape"] = list(self._head.shape)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds a chain of `config`: a dict with "layers", or Keras 1's plain list."""
        from fkeras.saving.configs import clean

        config = clean({"layers": config} if isinstance(config, list) else config)
        model = cls(name=config.get("name"), dtype=config.get("dtype"), trainable=config.get("trainable", True))
        for layer in config["layers"]:
            model.add(deserialize(layer, custom_objects))
        if not model.built and config.get("build_input_shape") and model._chain:
            model.build(config["build_input_shape"])
        return model


Functional = Model


class Function(Model):
    """What lies between symbols, as a function of arrays or other symbols; see `Model`.

    Example:
        >>> x = Input((3,))
        >>> double = Function(x, x * 2)
        >>> double(jnp.ones((1, 3))).tolist()
        [[2.0, 2.0, 2.0]]

    Reference:
        As Keras 3's `Function`.
    """


def load_model(filepath, custom_objects=None, compile=True, safe_mode=True):
    """Loads a model that `save` wrote, here or in Keras: architecture, weights, compile settings, optimizer state."""
    from fkeras import saving

    return saving.load_model(filepath, custom_objects, compile, safe_mode)


def save_model(model, filepath, overwrite=True, **kwargs):
    """Saves a model; see `Model.save`."""
    model.save(filepath, overwrite, **kwargs)


def model_from_json(json_string, custom_objects=None):
    """Builds a model of what `to_json` returned, here or in real Keras."""
    from fkeras import saving

    return saving.model_from_json(json_string, custom_objects)


def clone_model(model, input_tensors=None, clone_function=None):
    """Returns a model of the same architecture with weights drawn anew.

    Args:
        input_tensors: Symbols for the clone to begin with, in the order of the model's inputs.
        clone_function: Function layer -> its copy; by default a layer of the same config.

    Example:
        >>> def narrow(layer):
        ...     return Dense(2) if layer.name == "wide" else type(layer).from_config(layer.get_config())
        >>> model = Sequential([Input((4,)), Dense(64, name="wide"), Dense(1)])
        >>> clone_model(model, clone_function=narrow).count_params()
        13
    """
    copy = clone_function or (lambda layer: type(layer).from_config(layer.get_config()))
    if model.graph is None:
        if input_tensors is not None or (clone_function is not None and not isinstance(model, Sequential)):
            raise ValueError(f"{model.label}: only models whose graph is known can be cloned layer by layer.")
        return type(model).from_config(model.get_config()) if clone_function is None else Sequential(map(copy, model))
    given = jax.tree.leaves(input_tensors)
    begin = given or [
        InputLayer(batch_shape=s.shape, dtype=dtype_name(s.dtype), name=s.node.layer.name).output
        for s in model.graph.input_symbols
    ]
    copies = {id(layer): copy(layer) for layer in model.operations if not isinstance(layer, InputLayer)}
    if isinstance(model, Sequential):
        return Sequential([*begin, *copies.values()], name=model.name)
    values = dict(zip(map(id, model.graph.input_symbols), begin, strict=True))

    def swapped(tree):
        return jax.tree.map(lambda leaf: values.get(id(leaf), leaf), tree)

    for node in model.graph.nodes:
        if not isinstance(node.layer, InputLayer):
            out = copies[id(node.layer)]._connect(swapped(node.inputs), node.training, swapped(node.mask))
            values |= zip(map(id, jax.tree.leaves(node.outputs)), jax.tree.leaves(out), strict=True)
    return type(model)(swapped(model.graph.inputs), swapped(model.graph.outputs), name=model.name)
