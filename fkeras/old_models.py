"""Methods that models, layers and symbols had in Keras 1 and 2, each by what does the same today.

`fkeras.compat` puts them where scripts look for them. Each says today's name at the line that calls it.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import messages
from fkeras.core.symbol import Symbol
from fkeras.graphs.graph import Graph
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.core import Lambda
from fkeras.layers.merging import Dot
from fkeras.models import Model
from fkeras.saving.keras_versions import merge_of_today

_READING = ("max_queue_size", "workers", "use_multiprocessing")  # how Keras read ahead; a thread does it here
_FIT = (
    "generator steps_per_epoch epochs verbose callbacks validation_data validation_steps validation_freq class_weight"
)
_POSITIONS = {
    "fit_generator": [*_FIT.split(), *_READING, "shuffle", "initial_epoch"],
    "evaluate_generator": ["generator", "steps", "callbacks", *_READING, "verbose"],
    "predict_generator": ["generator", "steps", "callbacks", *_READING, "verbose"],
}
# Keras 1 counted samples where Keras counts batches today: its name, today's, and whose batches
_SAMPLES = {
    "samples_per_epoch": ("steps_per_epoch", "generator"),
    "nb_val_samples": ("validation_steps", "validation_data"),
    "val_samples": ("steps", "generator"),
}


def _of_generator(old, new):
    """Returns the method `old` of Keras 1 and 2, which is `new` today."""

    def method(self, *args, **kwargs):
        names = _POSITIONS[old]
        given = dict(zip(names, args, strict=False)) | kwargs
        if len(args) > len(names) or "generator" not in given:
            raise TypeError(f"{old}(generator, ...): its arguments are {', '.join(names)}.")
        messages.old_spelling(f"Model.{old}", f"Model.{new}")
        for samples, (steps, source) in _SAMPLES.items():
            if samples not in given:
                continue
            if steps in given:
                raise TypeError(f"{old} got {steps!r} twice: also as {samples!r}, its name of old. Leave one out.")
            rows, given[source] = _rows_of_a_batch(given.get(source))
            given[steps] = None if rows is None else math.ceil(given.pop(samples) / rows)
            given.pop(samples, None)
        for name in (*_READING, "max_q_size", "nb_worker", "pickle_safe"):
            given.pop(name, None)
        return getattr(self, new)(given.pop("generator"), **given)

    method.__name__ = method.__qualname__ = old
    method.__doc__ = f"Keras 1 and 2 had a method of its own for generators. Today: `{new}`."
    return method


def _rows_of_a_batch(source):
    """Returns (how many rows a batch of a generator has, the generator anew); None for arrays, which know their end."""
    if source is None or isinstance(source, (tuple, list)) or hasattr(source, "shape"):
        return None, source
    if isinstance(size := getattr(source, "batch_size", None), int):
        return size, source
    if hasattr(source, "__getitem__"):
        return len(jax.tree.leaves(source[0])[0]), source
    source = iter(source)
    first = next(source)
    return len(jax.tree.leaves(first)[0]), itertools.chain([first], source)


def predict_classes(self, x, batch_size=None, verbose=0):
    """Keras 1 and 2: the class of each row, by the largest probability, or by one above 0.5.

    Today: `model.predict(x).argmax(-1)`, or `(model.predict(x) > 0.5).astype("int32")`.
    """
    messages.old_spelling("Sequential.predict_classes", "model.predict(x).argmax(-1)")
    found = self.predict(x, batch_size=batch_size, verbose=verbose)
    return found.argmax(-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")


def predict_proba(self, x, batch_size=None, verbose=0):
    """Keras 1 and 2: another name of `predict`."""
    messages.old_spelling("Sequential.predict_proba", "Model.predict")
    return self.predict(x, batch_size=batch_size, verbose=verbose)


def reset_states(self):
    """Sets the carried states of all stateful recurrent layers to zero. Today: `layer.reset_state()` of each."""
    messages.old_spelling("Model.reset_states", "reset_state of its layers")
    for layer in self.own_and_inner():
        if layer is not self and getattr(layer, "stateful", False) and hasattr(layer, "reset_state"):
            layer.reset_state()


def _once(kind):
    def at(self, node_index):
        messages.old_spelling(f"Layer.get_{kind}_at(i)", f"Layer.{kind}")
        if node_index != 0:
            raise ValueError(f"get_{kind}_at({node_index}): only the first call of a layer is kept, 0.")
        return getattr(self, kind)

    at.__name__ = f"get_{kind}_at"
    at.__doc__ = f"Keras 1 and 2: the symbols of a call of the layer. Today: `layer.{kind}`."
    return at


class _ShapeOf:
    """Shapes of the symbols that a layer was called on, or gave; a layer's setting of that name goes first."""

    def __init__(self, kind):
        self.kind = kind

    def __get__(self, layer, cls=None):
        if layer is None:
            return self
        return jax.tree.map(lambda s: tuple(s.shape), getattr(layer, self.kind))


class Shape(tuple):
    """A shape as TensorFlow's, in the one respect that scripts use."""

    def as_list(self):
        """Returns the sizes as a list."""
        return list(self)


@layers.register
class AddLoss(Layer):
    """Gives its first input on, and adds the others to the loss of the step: what `model.add_loss(symbol)` puts in."""

    def call(self, inputs):
        first, *losses = inputs
        self.add_loss([jnp.mean(loss) for loss in losses])
        return first

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def add_loss(self, loss):
    """Adds to the loss of the step: from inside `call`, or, as Keras 2, the mean of a symbol of the model's graph.

    Example:
        >>> x = Input((3,))
        >>> model = Model(x, Dense(3)(x))
        >>> model.add_loss(mean_squared_error(x, model.output))
        >>> model.compile("sgd")
        >>> bool(model.fit(np.ones((8, 3)), verbose=0).history["loss"][0] > 0)
        True
    """
    symbols = [s for s in jax.tree.leaves(loss) if isinstance(s, Symbol)]
    if not symbols:
        Layer.add_loss(self, loss)
        return
    first, *others = jax.tree.leaves(self.graph.outputs)
    first = AddLoss(name=f"{first.node.layer.name}_and_loss")([first, *symbols])
    outputs = jax.tree.unflatten(jax.tree.structure(self.graph.outputs), [first, *others])
    self._cell = None
    self._use(Graph(self.graph.inputs, outputs, self.name))


def merge(inputs, mode="sum", concat_axis=-1, dot_axes=-1, output_shape=None, name=None, arguments=None, **masks):
    """Keras 1's one function for all merges. Today: `add`, `multiply`, `concatenate`, `average`, `maximum`, `dot`.

    Args:
        inputs: List of symbols.
        mode: "sum", "mul", "concat", "ave", "max", "dot", "cos", or a function of the list.
        concat_axis, dot_axes: Of the modes "concat", and "dot" and "cos".
        output_shape, masks: Taken and not needed: both are found by tracing.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     merge([Input((2,)), Input((3,))], mode="concat").shape
        (None, 5)
    """
    messages.old_spelling("merge(mode=...)", "layers.add, multiply, concatenate, average, maximum or dot")
    return _merging(mode, concat_axis, dot_axes, name, arguments)(list(inputs))


def _merging(mode, concat_axis, dot_axes, name, arguments):
    if callable(mode):
        return Lambda(functools.partial(mode, **(arguments or {})), **({"name": name} if name else {}))
    if mode == "cos":
        return Dot(dot_axes, normalize=True, name=name)
    given = {"mode": mode, "concat_axis": concat_axis, "dot_axes": dot_axes, "name": name}
    config = merge_of_today({"class_name": "Merge", "config": given})
    return layers.from_config(config)


def Merge(layers=None, mode="sum", concat_axis=-1, dot_axes=-1, output_shape=None, name=None, arguments=None, **masks):
    """Keras 1's layer for all merges, also of the ends of models, as the first layer of a chain: see `merge`.

    Returns:
        A layer for a list of symbols; with `layers`, a model from all their inputs to the merged outputs.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     left, right = Sequential([Dense(2, input_dim=3)]), Sequential([Dense(2, input_dim=4)])
        ...     model = Sequential([Merge([left, right], mode="sum"), Dense(1)])
        >>> model.predict([np.ones((1, 3)), np.ones((1, 4))], verbose=0).shape
        (1, 1)
    """
    messages.old_spelling("Merge(mode=...)", "layers.Add, Multiply, Concatenate, Average, Maximum or Dot")
    layer = _merging(mode, concat_axis, dot_axes, None if layers else name, arguments)
    if not layers:
        return layer
    inputs = [s for model in layers for s in (model.inputs if isinstance(model, Model) else [model.output])]
    return Model(inputs, layer([model.output for model in layers]), name=name)


class _Merge(Layer):
    """Keras 2's base of layers that merge a list of inputs: a subclass defines `_merge_function(inputs)`."""

    def call(self, inputs):
        return self._merge_function(inputs)


def print_summary(model, line_length=None, positions=None, print_fn=None):
    """Keras 1 and 2: prints a model's layers. Today: `model.summary()`."""
    model.summary(line_length, positions, print_fn)


def probas_to_classes(y_pred):
    """Keras 1: the class of each row of probabilities. Today: `y_pred.argmax(-1)`, or `y_pred > 0.5`.

    Example:
        >>> probas_to_classes(np.array([[0.1, 0.9], [0.8, 0.2]])).tolist()
        [1, 0]
    """
    y_pred = np.asarray(y_pred)
    return y_pred.argmax(-1) if y_pred.ndim > 1 and y_pred.shape[1] > 1 else (y_pred.reshape(-1) > 0.5).astype("int32")


def HDF5Matrix(datapath, dataset, start=0, end=None, normalizer=None):
    """Keras 1 and 2: rows of an HDF5 data set. Today `fit` takes the data set itself: `h5py.File(path)["x"]`.

    Args:
        datapath: Path of the file.
        dataset: Name of the data set.
        start, end: Its first row and the one after its last.
        normalizer: Function of the rows. With it, or a part of the rows, they are read into memory.
    """
    import h5py

    rows = h5py.File(datapath, "r")[dataset]
    if not start and end is None and normalizer is None:
        return rows
    return rows[start:end] if normalizer is None else normalizer(rows[start:end])


def multi_gpu_model(model, gpus=None, cpu_merge=True, cpu_relocation=False):
    """Refuses: devices are chosen in `compile`.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f"multi_gpu_model(gpus={gpus!r}): model.compile(..., distribute={gpus!r}) trains the model itself on several "
        f"devices; by default it takes all that there are."
    )


def model_from_yaml(yaml_string, custom_objects=None):
    """Refuses: YAML can hold code.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        "model_from_yaml: YAML files can run code, and Keras gave them up too. Use to_json and model_from_json."
    )


def _to_yaml(self, **kwargs):
    """Refuses, as `model_from_yaml` does."""
    raise ValueError("to_yaml: Keras gave YAML up, which can hold code. Use to_json and model_from_json.")


def _nothing(self):
    """Keras 1 and 2 compiled a function here ahead of threads; there is nothing to do."""
    messages.old_spelling("Model._make_predict_function()", None)


METHODS = {
    Model: {
        **{f"{new}_generator": _of_generator(f"{new}_generator", new) for new in ("fit", "evaluate", "predict")},
        "predict_classes": predict_classes,
        "predict_proba": predict_proba,
        "reset_states": reset_states,
        "add_loss": add_loss,
        "to_yaml": _to_yaml,
        "_make_predict_function": _nothing,
    },
    Layer: {
        "get_input_at": _once("input"),
        "get_output_at": _once("output"),
        "input_shape": _ShapeOf("input"),
        "output_shape": _ShapeOf("output"),
    },
    Symbol: {
        "get_shape": lambda self: Shape(self.shape),
        "_keras_shape": property(lambda self: self.shape),
    },
}


def register():
    """Puts the methods where a class has none of that name."""
    for cls, methods in METHODS.items():
        for name, method in methods.items():
            if name not in vars(cls):
                setattr(cls, name, method)


__all__ = ["HDF5Matrix", "Merge", "Shape", "merge", "model_from_yaml", "multi_gpu_model", "print_summary",
           "probas_to_classes", "register"]  # fmt: skip
