"""What the builders of all architectures share: their arguments, the input, the ends, and files of weights."""

import inspect
import os
import string
import types
import warnings
from typing import NamedTuple

from fkeras import activations, layers
from fkeras.core import dtypes
from fkeras.core.settings import nearest, shortened
from fkeras.models import Input, Model
from fkeras.utils.download import get_file
from fkeras.utils.symbols import get_source_inputs, is_keras_tensor

HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
CLASSES = 1000  # of ImageNet
POOLING = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}

_ORDER = "include_top weights input_tensor input_shape pooling classes classifier_activation name"
_DEFAULTS = {
    "include_top": True,
    "weights": "imagenet",
    "input_tensor": None,
    "input_shape": None,
    "pooling": None,
    "classes": CLASSES,
    "classifier_activation": "softmax",
    "name": None,
}


# ------------------------------------------------------------------------------------------------ layers


def channel_axis():
    """Returns the axis of channels of [B, H, W, C], or of [B, C, H, W] where the process says so."""
    return 1 if dtypes.image_data_format() == "channels_first" else 3


def sides(x):
    """Returns (height, width) of a symbol of images; None where a size is free."""
    return tuple(x.shape[2:] if channel_axis() == 1 else x.shape[1:3])


def channels(x):
    return x.shape[channel_axis()]


def as_reshaped(count):
    """Returns the target shape of `count` channels of one pixel."""
    return (count, 1, 1) if channel_axis() == 1 else (1, 1, count)


def norm(x, name=None, **kwargs):
    """Normalizes over the batch, a channel at a time."""
    return layers.BatchNormalization(channel_axis(), name=name, **kwargs)(x)


def relu(x, name=None):
    return layers.Activation("relu", name=name)(x)


def half_padding(x, kernel):
    """Returns the padding ((top, bottom), (left, right)) with which a stride of 2 leaves half of each side, rounded up.

    An odd side gets kernel // 2 on both ends, an even or free one a pixel less before it, as TensorFlow's models do.
    """
    return tuple((kernel // 2 - (size is None or size % 2 == 0), kernel // 2) for size in sides(x))


def to_multiple(value, share=0.9):
    """Returns a number of channels as a multiple of 8: the nearest, or the next if that is less than a `share` of it.

    Example:
        >>> to_multiple(33.0), to_multiple(11)
        (32, 16)
    """
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < share * value else rounded


# -------------------------------------------------------------------------------------------------- ends


def average_top(x, a, pool="avg_pool", dropout=None, **kwargs):
    """Ends a network in the mean over space and a classifier called "predictions"."""
    x = layers.GlobalAveragePooling2D(name=pool)(x)
    if dropout:
        x = layers.Dropout(dropout, name="top_dropout")(x)
    return layers.Dense(a.classes, a.classifier_activation, name="predictions", **kwargs)(x)


def pooled(x, a, average=None, largest=None):
    """Ends a network without a classifier: the features, or their mean or maximum over space."""
    names = {"avg": average, "max": largest}
    return x if a.pooling is None else POOLING[a.pooling](name=names[a.pooling])(x)


# ----------------------------------------------------------------------------------------------- builders


def application(
    name,
    trunk,
    top,
    *,
    size,
    least=32,
    files,
    bottom=pooled,
    extra=None,
    order=_ORDER,
    model_name,
    sized="top",
    flat=False,
    check=None,
    summary,
    reference,
):
    """Returns the function that builds one architecture, with Keras's arguments, defaults and documentation.

    Args:
        name: Of the function.
        trunk: Function (x, a) -> features; `a` holds the call's arguments by name.
        top: Function (features, a) -> the model's output with `include_top`.
        size: Sides of the images by default: an int, or a function of `a`.
        least: Smallest sides.
        files: Function of `a` that returns (name in the cache, address, hash) of the weights for ImageNet.
        bottom: Function (features, a) -> the output without `include_top`.
        extra: Arguments that only this architecture has: {name: (default, what the documentation says)}.
        order: Names of the arguments, in Keras's order.
        model_name: The default of the argument `name`, or a function of `a` that names the model.
        sized: Where images have `size` unless `input_shape` is given: with the "top", "always", or "never"; else their
            sides are free.
        flat: The number of weights of the top depends on the sides, so that they have to be known.
        check: Function of `a` that raises ValueError where arguments do not go together.
        summary, reference: What the documentation says.
    """
    extra = extra or {}
    defaults = {**_DEFAULTS, **{key: default for key, (default, _) in extra.items()}}
    defaults["name"] = None if callable(model_name) else model_name
    parameters = [
        inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=defaults[key]) for key in order.split()
    ]
    signature = inspect.Signature(parameters)

    def build(*args, **kwargs):
        a = types.SimpleNamespace(**_bound(signature, name, args, kwargs))
        _check(a, name)
        if check is not None:
            check(a)
        side = size(a) if callable(size) else size
        has_size = sized == "always" or (sized == "top" and a.include_top)
        exact = sized != "never" and a.include_top and a.weights == "imagenet"
        inputs = _input(a, name, _Sides(side, least, has_size, exact, flat and a.include_top))
        path = a.weights
        if path == "imagenet":  # before the network is built, since that takes longer than to say that there is no web
            fname, origin, file_hash = files(a)
            path = get_file(fname, origin, cache_subdir="models", file_hash=file_hash)
        features = trunk(inputs, a)
        outputs = top(features, a) if a.include_top else bottom(features, a)
        a.name = a.name or (model_name(a) if callable(model_name) else model_name)
        model = Model(_sources(a, inputs), outputs, name=a.name)
        if path is not None:
            model.load_weights(path)
        return model

    build.__name__ = build.__qualname__ = name
    build.__module__ = getattr(trunk, "func", trunk).__module__
    build.__signature__ = signature
    build.__doc__ = _DOC.substitute(
        summary=summary,
        size=size if isinstance(size, int) else 224,
        least=least,
        extra="".join(f"        {key}: {said}\n" for key, (_, said) in extra.items()),
        reference=reference,
    )
    return build


def plain_files(folder, stem, hashes, host=HOST):
    """Returns the function of arguments that names a file of weights, one with the top and one without.

    Args:
        folder: In Keras's storage.
        stem: Pattern of the file's name, in which {top} stands for "" or "_notop".
        hashes: Pair of hashes, with and without top.
    """

    def files(a):
        fname = stem.format(top="" if a.include_top else "_notop")
        return fname, f"{host}{folder}{fname}", hashes[0 if a.include_top else 1]

    return files


def _bound(signature, name, args, kwargs):
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as err:
        wrong = next((key for key in kwargs if key not in signature.parameters), None)
        hint = nearest(wrong, list(signature.parameters)) if wrong else ""
        raise TypeError(f"{name}: {err}.{hint}") from None
    bound.apply_defaults()
    return bound.arguments


def _check(a, name):
    if a.weights not in (None, "imagenet") and not os.path.exists(a.weights):
        raise ValueError(
            f"{name}: expected weights to be None, 'imagenet' or the path of a file of weights, got "
            f"{shortened(a.weights)}, which does not exist."
        )
    if a.weights == "imagenet" and a.include_top and a.classes != CLASSES:
        raise ValueError(
            f"{name}: expected classes={CLASSES} with weights='imagenet' and include_top, got {a.classes}. Take the "
            f"trunk, include_top=False, and put a Dense on it."
        )
    if a.pooling not in (None, *POOLING):
        raise ValueError(f"{name}: expected pooling None, 'avg' or 'max', got {shortened(a.pooling)}.")
    if a.include_top and a.weights is not None:
        function = activations.get(a.classifier_activation)
        if function not in (None, activations.get("softmax"), activations.get("linear")):
            raise ValueError(
                f"{name}: expected classifier_activation None or 'softmax' with weights, got "
                f"{shortened(a.classifier_activation)}: the weights were trained with it."
            )


class _Sides(NamedTuple):
    """What the sides of the images have to be.

    size: By default. least: At least. has_size: They are `size` unless others are given. exact: They are `size` and no
    others. known: They may not be free.
    """

    size: int
    least: int
    has_size: bool
    exact: bool
    known: bool


def _input(a, name, sides):
    """Returns the symbol of the input, and keeps its shape in `a.input_shape`."""
    symbol = a.input_tensor
    if symbol is not None and not is_keras_tensor(symbol):
        raise TypeError(
            f"{name}: expected input_tensor to be a value of a graph, such as Input(), got {type(symbol).__name__}."
        )
    if symbol is not None and a.input_shape is None and all(symbol.shape[1:]):
        a.input_shape = symbol.shape[1:]
    a.input_shape = _shape(a, name, sides)
    return Input(a.input_shape) if symbol is None else symbol


def _shape(a, name, sides):
    first = channel_axis() == 1
    shape = a.input_shape
    if shape is not None:
        shape = tuple(shape)
        if len(shape) != 3:
            raise ValueError(f"{name}: expected input_shape of three sizes, (height, width, channels), got {shape}.")
    count = 3 if shape is None else shape[0 if first else -1]

    def with_channels(space):
        return (count, *space) if first else (*space, count)

    if shape is None:
        return with_channels((sides.size,) * 2 if sides.has_size else (None, None))
    space = shape[1:] if first else shape[:2]
    if a.weights == "imagenet" and count != 3:
        raise ValueError(f"{name}: expected 3 channels with weights='imagenet', got input_shape={shape}.")
    if sides.exact and space != (sides.size,) * 2:
        raise ValueError(
            f"{name}: expected input_shape={with_channels((sides.size,) * 2)} with weights='imagenet' and include_top, "
            f"got {shape}. Other sizes go with include_top=False."
        )
    if count not in (1, 3):
        warnings.warn(f"{name}: images have 1 or 3 channels, input_shape={shape} has {count}.", stacklevel=5)
    if any(s is not None and s < sides.least for s in space):
        raise ValueError(f"{name}: expected sides of at least {sides.least} pixels, got input_shape={shape}.")
    if None in space and sides.known:
        raise ValueError(f"{name}: expected known sides with include_top, got input_shape={shape}.")
    return shape


def _sources(a, inputs):
    """Returns the model's inputs: what lies before `input_tensor` belongs to the model."""
    if a.input_tensor is None:
        return inputs
    sources = get_source_inputs(a.input_tensor)
    return sources[0] if len(sources) == 1 else sources


_DOC = string.Template(
    """Returns $summary.

    Args:
        include_top: With the classifier; else the model ends in features.
        weights: "imagenet", which is downloaded once into Keras's own cache, the path of a file of weights, or None to
            draw them.
        input_tensor: A symbol of images to build on, such as `Input()`.
        input_shape: (height, width, channels), or channels first where the process says so. By default
            ($size, $size, 3); without `include_top` the sides are free unless given, and at least $least.
        pooling: Without `include_top`: None for features of each place, "avg" or "max" for one vector an image.
        classes: Number of classes, with `include_top`.
        classifier_activation: Of the classifier; None returns logits.
        name: Of the model.
$extra
    Returns:
        A `Model` with Keras's names and order of layers, so that Keras's files of weights fit.

    Raises:
        ValueError: Arguments that do not go together, or sides below $least.

    Reference:
        $reference
    """
)
