"""Helpers of Keras 1 and 2 that scripts import from `keras.utils.*`, `keras.engine.*` and beside models of their own.

`fkeras.compat` says under which names they are found.
"""

import inspect
import itertools
import pathlib
import re
import types

import numpy as np

from fkeras import optim, saving
from fkeras.core import dtypes, messages
from fkeras.layers.augment.places import RandomZoom

# ------------------------------------------------------------------------------------------- arguments of layers


def normalize_tuple(value, n, name, **kwargs):
    """Returns a tuple of `n` ints, of one int or such a tuple.

    Example:
        >>> normalize_tuple(3, 2, "kernel_size")
        (3, 3)
    """
    wide = (value,) * n if isinstance(value, int) else tuple(value)
    if len(wide) != n or not all(isinstance(v, (int, np.integer)) for v in wide):
        raise ValueError(f"{name}: expected an int or a tuple of {n}, got {value!r}.")
    return wide


def normalize_padding(value):
    """Returns "valid", "same" or "causal" in lower case."""
    if (padding := str(value).lower()) not in ("valid", "same", "causal"):
        raise ValueError(f"padding: expected 'valid', 'same' or 'causal', got {value!r}.")
    return padding


def normalize_data_format(value):
    """Returns "channels_last" or "channels_first"; the process-wide default of None.

    Example:
        >>> normalize_data_format(None)
        'channels_last'
    """
    return dtypes.data_format(value if value is None else value.lower())


def conv_output_length(input_length, filter_size, padding, stride, dilation=1):
    """Returns the length of a convolution's output, or None of None.

    Example:
        >>> conv_output_length(10, 3, "valid", 2), conv_output_length(10, 3, "same", 2)
        (4, 5)
    """
    if input_length is None:
        return None
    wide = filter_size + (filter_size - 1) * (dilation - 1)
    lost = {"valid": wide - 1, "same": 0, "causal": 0, "full": 1 - wide}[padding]
    return (input_length - lost + stride - 1) // stride


def conv_input_length(output_length, filter_size, padding, stride):
    """Returns the least length of input that gives a convolution's output, or None of None."""
    if output_length is None:
        return None
    pad = {"valid": 0, "same": filter_size // 2, "full": filter_size - 1}[padding]
    return (output_length - 1) * stride - 2 * pad + filter_size


def deconv_length(dim_size, stride_size, kernel_size, padding, output_padding=None, dilation=1):
    """Returns the length of a transposed convolution's output, or None of None.

    Example:
        >>> deconv_length(4, 2, 3, "same"), deconv_length(4, 2, 3, "valid")
        (8, 9)
    """
    if dim_size is None:
        return None
    wide = kernel_size + (kernel_size - 1) * (dilation - 1)
    if output_padding is None:
        return (
            dim_size * stride_size
            + {"valid": max(wide - stride_size, 0), "same": 0, "full": 2 - stride_size - wide}[padding]
        )
    pad = {"valid": 0, "same": wide // 2, "full": wide - 1}[padding]
    return (dim_size - 1) * stride_size + wide - 2 * pad + output_padding


def shape_type_conversion(fn):
    """TensorFlow's decorator of `compute_output_shape`: shapes are tuples anyway."""
    return fn


def convert_kernel(kernel):
    """Turns a kernel [*space, I, O] by half a turn, as between Theano and TensorFlow."""
    return np.array(np.flip(kernel, tuple(range(np.ndim(kernel) - 2))))


def convert_all_kernels_in_model(model):
    """Turns all convolutions' kernels by half a turn, as weights from Theano need."""
    for layer in model.own_and_inner():
        if "Conv" in type(layer).__name__ and layer.weights:
            kernel, *others = layer.get_weights()
            layer.set_weights([convert_kernel(kernel), *others])


def obtain_input_shape(input_shape, default_size, min_size, data_format, require_flatten, weights=None):
    """Returns the input shape of a model in the manner of `keras.applications`, with None for unknown sides.

    Example:
        >>> obtain_input_shape(None, 224, 32, "channels_last", True)
        (224, 224, 3)
    """
    first = normalize_data_format(data_format) == "channels_first"
    if require_flatten and (weights == "imagenet" or input_shape is None):
        wanted = (3, default_size, default_size) if first else (default_size, default_size, 3)
        if input_shape is not None and tuple(input_shape) != wanted:
            raise ValueError(f"input_shape: expected {wanted} with include_top and weights, got {input_shape}.")
        return wanted
    if input_shape is None:
        return (3, None, None) if first else (None, None, 3)
    sides = input_shape[1:] if first else input_shape[:2]
    if len(input_shape) != 3 or any(s is not None and s < min_size for s in sides):
        raise ValueError(f"input_shape: expected sides of at least {min_size}, got {input_shape}.")
    return tuple(input_shape)


# ----------------------------------------------------------------------------------------------- small helpers


def to_list(x, allow_tuple=False):
    """Returns `x` if it is a list (or, if allowed, a tuple, as a list), else a list of it alone."""
    return x if isinstance(x, list) else list(x) if allow_tuple and isinstance(x, tuple) else [x]


def unpack_singleton(x):
    """Returns the one thing in a list of one, else `x`."""
    return x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x


def has_arg(fn, name, accept_all=False):
    """True if a function takes an argument of that name; with `accept_all`, also by `**kwargs`.

    Example:
        >>> has_arg(lambda a, **k: a, "a"), has_arg(lambda **k: k, "a"), has_arg(lambda **k: k, "a", True)
        (True, False, True)
    """
    parameters = inspect.signature(fn).parameters
    if name in parameters:
        kind = parameters[name].kind
        return kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return accept_all and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def slice_arrays(arrays, start=None, stop=None):
    """Returns rows of one or each of several arrays: from `start` to `stop`, or those of a list `start`.

    Example:
        >>> slice_arrays([np.arange(4), np.arange(4)], 1, 3)
        [array([1, 2]), array([1, 2])]
    """
    if arrays is None:
        return [None]
    rows = list(start) if hasattr(start, "__len__") else slice(start, stop)
    return [None if a is None else a[rows] for a in arrays] if isinstance(arrays, list) else arrays[rows]


def make_batches(size, batch_size):
    """Returns [(start, end)] of the batches of `size` rows.

    Example:
        >>> make_batches(5, 2)
        [(0, 2), (2, 4), (4, 5)]
    """
    return [(start, min(size, start + batch_size)) for start in range(0, size, batch_size)]


def to_snake_case(name):
    """Returns a class's name as those of layers are: "Conv2DTranspose" -> "conv2d_transpose"."""
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()
    return f"private{name}" if name.startswith("_") else name


def count_params(weights):
    """Returns how many numbers a list of weights holds; each weight is counted once."""
    return sum(int(np.prod(w.shape)) for w in {id(w): w for w in weights}.values())


def ask_to_proceed_with_overwrite(filepath):
    """Asks whether a file may be replaced; True if so."""
    answer = ""
    while answer not in ("y", "n"):
        answer = input(f"{filepath} exists already: replace it? [y/n] ").strip().lower()
    return answer == "y"


def list_pictures(directory, ext=r"jpg|jpeg|bmp|png|ppm"):
    """Returns the paths of all images in a folder and those within."""
    ending = re.compile(rf"\.({ext})$", re.IGNORECASE)
    return sorted(str(path) for path in pathlib.Path(directory).rglob("*") if ending.search(path.name))


def flip_axis(x, axis):
    """Returns an array turned around along an axis. Today: `np.flip`."""
    return np.flip(x, axis)


class OrderedEnqueuer:
    """Reads the batches of a `PyDataset`, or of a generator, again and again: what Keras 1 and 2 read ahead with.

    Batches are read when they are asked for. `fit` itself reads ahead.

    Args:
        sequence: A `PyDataset`, or a generator.
        use_multiprocessing: Taken and not needed.
        shuffle: Gives the batches of a `PyDataset` in another order each time round.

    Example:
        >>> enqueuer = OrderedEnqueuer(zip([1, 2]))
        >>> enqueuer.start()
        >>> next(enqueuer.get()), enqueuer.is_running()
        ((1,), True)
        >>> enqueuer.stop()
    """

    def __init__(self, sequence, use_multiprocessing=False, shuffle=False, **kwargs):
        self.sequence, self.shuffle, self._runs = sequence, shuffle, False

    def start(self, workers=1, max_queue_size=10, **kwargs):
        """Begins; `workers` and `max_queue_size` are taken and not needed."""
        self._runs = True

    def is_running(self):
        """True from `start` to `stop`."""
        return self._runs

    def get(self):
        """Yields batches until `stop`, or the end of a generator."""
        return itertools.takewhile(lambda batch: self._runs, self._batches())

    def _batches(self):
        if not hasattr(self.sequence, "__getitem__"):
            yield from self.sequence
            return
        while True:
            order = np.arange(len(self.sequence))
            if self.shuffle:
                np.random.shuffle(order)
            for i in order:
                yield self.sequence[int(i)]
            if hasattr(self.sequence, "on_epoch_end"):
                self.sequence.on_epoch_end()

    def stop(self, timeout=None):
        """Ends."""
        self._runs = False


# --------------------------------------------------------------------------------------- files, models, optimizers


def load_weights_from_hdf5_group(f, layers):
    """Stores the weights of an open HDF5 group in layers, in order. Today: `model.load_weights(path)`."""
    messages.old_spelling("load_weights_from_hdf5_group", "Model.load_weights")
    saving.load_weights(_of(layers), f)


def load_weights_from_hdf5_group_by_name(f, layers, skip_mismatch=False, reshape=False):
    """Stores weights in those layers whose names are in an HDF5 group. Today: `load_weights(path, by_name=True)`."""
    messages.old_spelling("load_weights_from_hdf5_group_by_name", "Model.load_weights(by_name=True)")
    saving.load_weights(_of(layers), f, by_name=True, skip_mismatch=skip_mismatch)


def save_weights_to_hdf5_group(f, layers):
    """Writes the weights of layers into an open HDF5 group. Today: `model.save_weights(path)`."""
    from fkeras.saving import hdf5

    messages.old_spelling("save_weights_to_hdf5_group", "Model.save_weights")
    hdf5.write_weights(_of(layers), f)


def _of(layers):
    """Returns what stands for a model of these layers where weights are read and written."""
    return types.SimpleNamespace(operations=list(layers), name="layers", _cell=None, _require_built=lambda what: None)


def model_from_config(config, custom_objects=None):
    """Returns the model of {"class_name", "config"}. Today: `saving.deserialize_keras_object(config)`."""
    messages.old_spelling("models.model_from_config", "saving.deserialize_keras_object")
    return saving.deserialize_keras_object(config, custom_objects)


def TFOptimizer(optimizer, iterations=None):
    """Refuses TensorFlow's own optimizers.

    Raises:
        ValueError: `optimizer` is not one of this package.
    """
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    raise ValueError(
        f"TFOptimizer({type(optimizer).__name__}): TensorFlow's optimizers cannot train here. Take the one of that "
        f"name from keras.optimizers: AdamOptimizer(0.001) is Adam(0.001)."
    )


# --------------------------------------------------------------------------------- layers that changed images' sizes


def _stretched(name, factor, interpolation, seed, kwargs, **other):
    messages.old_spelling(f"layers.{name}", "layers.RandomZoom, which keeps the size of images,")
    low, high = factor if isinstance(factor, (tuple, list)) else (-factor, factor)
    shown = (1 / (1 + high) - 1, 1 / (1 + low) - 1)  # an image that is larger by f shows 1 / (1 + f) of itself
    sides = {"height_factor": shown, "width_factor": (0.0, 0.0)}
    if name == "RandomWidth":
        sides = {"height_factor": (0.0, 0.0), "width_factor": shown}
    return RandomZoom(**sides, interpolation=interpolation, seed=seed, **kwargs)


def RandomHeight(factor, interpolation="bilinear", seed=None, **kwargs):
    """Keras 2's layer that made images higher or lower, all of a batch alike. Here they keep their size: a zoom.

    Args:
        factor: (lower, upper) of what the height grows by, in heights, or f for (-f, f).
        interpolation, seed: As `RandomZoom`.
    """
    return _stretched("RandomHeight", factor, interpolation, seed, kwargs)


def RandomWidth(factor, interpolation="bilinear", seed=None, **kwargs):
    """Keras 2's layer that made images wider or narrower; see `RandomHeight`."""
    return _stretched("RandomWidth", factor, interpolation, seed, kwargs)
