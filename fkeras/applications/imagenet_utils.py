"""What all architectures for ImageNet share: pixels as they were trained on, and the names of the classes."""

import functools
import json

import jax.numpy as jnp
import numpy as np

from fkeras import ops
from fkeras.core import dtypes, names
from fkeras.core.settings import nearest
from fkeras.utils.download import get_file
from fkeras.utils.symbols import is_keras_tensor

__all__ = ["decode_predictions", "preprocess_input"]

CLASS_INDEX = (
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
)
MODES = {  # of pixels 0 to 255: channels the other way around, divisor, then mean and deviation of each channel
    "caffe": (True, 1.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "tf": (False, 127.5, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "torch": (False, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def preprocess_input(x, data_format=None, mode="caffe"):
    """Scales images to what a network was trained on.

        y = (x / divisor - mean) / deviation, channel by channel

    Args:
        x: Images [B, H, W, C] or one [H, W, C], values 0 to 255: an array, or a symbol within a graph. The array is
            left as it is, other than in Keras.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
        mode: "tf" for -1 to 1; "torch" for the mean and deviation of ImageNet; "caffe" for blue, green, red less their
            mean.

    Returns:
        Floats of the shape of `x`, a NumPy array for one.

    Raises:
        ValueError: An unknown mode or data format.

    Example:
        >>> preprocess_input(np.full((1, 1, 3), 255), mode="tf").ravel().tolist()
        [1.0, 1.0, 1.0]
    """
    if mode not in MODES:
        raise ValueError(
            f"preprocess_input: expected mode 'caffe', 'tf' or 'torch', got {mode!r}.{nearest(mode, MODES)}"
        )
    axis = -3 if dtypes.data_format(data_format) == "channels_first" else -1
    turned, divisor, mean, deviation = MODES[mode]
    if not is_keras_tensor(x):
        x = x if hasattr(x, "sharding") else np.asarray(x)
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(dtypes.floatx())
    if turned:
        x = ops.flip(x, axis) if is_keras_tensor(x) else x[..., ::-1] if axis == -1 else x[..., ::-1, :, :]
    per_channel = (3,) if axis == -1 else (3, 1, 1)
    mean, deviation = (np.array(v, x.dtype).reshape(per_channel) for v in (mean, deviation))
    return (x / np.array(divisor, x.dtype) - mean) / deviation


def decode_predictions(preds, top=5):
    """Returns the likeliest classes of ImageNet for each row, with their names.

    Args:
        preds: Array [B, 1000] of probabilities.
        top: How many.

    Returns:
        For each row a list of (WordNet's number, name, probability), the likeliest first.

    Raises:
        ValueError: Another shape.
        OSError: The file of names, which is downloaded once, could not be had.
    """
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] != 1000:
        raise ValueError(f"decode_predictions: expected an array [B, 1000] of probabilities, got shape {preds.shape}.")
    names = _class_index()
    best = np.argsort(-preds, 1, kind="stable")[:, :top]
    return [[(*names[str(i)], row[i]) for i in each] for row, each in zip(preds, best, strict=True)]


def _class_index():
    origin, file_hash = CLASS_INDEX
    return _read(get_file("imagenet_class_index.json", origin, cache_subdir="models", file_hash=file_hash))


@functools.lru_cache(1)
def _read(path):
    with open(path) as file:
        return json.load(file)


def preprocessor(mode):
    """Returns a family's `preprocess_input(x, data_format=None)`; where `mode` is None the model scales by itself."""

    def scale(x, data_format=None):
        return x if mode is None else preprocess_input(x, data_format, mode)

    scale.__name__ = scale.__qualname__ = "preprocess_input"
    scale.__doc__ = _DOC.format(said=_SAID[mode])
    return scale


_SAID = {
    None: "as they are: these models scale pixels from 0 to 255 themselves",
    "caffe": "as blue, green, red, less the mean of ImageNet; see `imagenet_utils.preprocess_input`",
    "tf": "with pixels from -1 to 1 instead of 0 to 255; see `imagenet_utils.preprocess_input`",
    "torch": "less the mean of ImageNet over its deviation; see `imagenet_utils.preprocess_input`",
}
_DOC = """Returns images {said}.

    Args:
        x: Images [B, H, W, C] or one [H, W, C], values 0 to 255: an array, or a symbol within a graph.
        data_format: "channels_last", "channels_first", or None for the process-wide default.
    """


def __dir__():
    return __all__


def __getattr__(name):
    return names.find(__name__, name)
