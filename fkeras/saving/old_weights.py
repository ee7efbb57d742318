"""Weights as older Keras stored them: one array a gate, other orders of axes, flipped kernels, cuDNN's forms.

Keras 1 kept LSTM's and GRU's gates apart, the kernels of channels-first convolutions in Theano's order, and those of
one dimension with a second axis of size 1. Theano convolves with flipped kernels, so a file written with that backend
holds them the other way round. cuDNN's layers kept every gate's matrices transposed and two biases.
"""

import re

import numpy as np

from fkeras.saving import files


class Stored:
    """An array that a file holds in one or several parts; read when all shapes are known to fit.

    Args:
        parts: Datasets, in the order that `combine` takes.
        places: Where each lies in the layer's list of the file.
        combine: Function of the list of arrays; by default there is one, as it is.
        shape: Of the result.
    """

    def __init__(self, parts, places, combine=None, shape=None):
        self.parts, self.places, self.combine = parts, places, combine
        self.shape = tuple(parts[0].shape) if shape is None else tuple(shape)

    def then(self, function, shape):
        """Returns this array followed by one more change of form."""
        combine = self.combine or _only
        return Stored(self.parts, self.places, lambda arrays: function(combine(arrays)), shape)

    def of(self, arrays):
        """Returns what arrays of the parts' shapes make: the weight itself, or an optimizer's slot for it."""
        return (self.combine or _only)(arrays)

    def read(self):
        return self.of([part.read() if hasattr(part, "read") else files.read_array(part) for part in self.parts])


def _only(arrays):
    return arrays[0]


def read_all(found, where):
    """Returns [(variable, array, Stored)] of [(variable, Stored)] whose shapes fit.

    Raises:
        ValueError: The numbers of one are damaged; the message names the file, the place and the layer.
    """
    files.check_together([part for _, stored in found for part in stored.parts], where)
    out = []
    for variable, stored in found:
        try:
            out.append((variable, variable.convert(stored.read()), stored))
        except ValueError as err:
            raise ValueError(f"{err} It is {variable.name!r} of {variable.layer.label}.") from err
    return out


# -------------------------------------------------------------------------------------- one array a gate

# Keras 1's gates in the order of its files -> ours.
_GATES = {("i", "c", "f", "o"): ("i", "f", "c", "o"), ("z", "r", "h"): ("z", "r", "h")}
_GATE = re.compile(r"(?:^|[_/])([WUb]_[icfozrh])(?:_\d+)?(?::\d+)?$")


def gathered(names, data):
    """Returns [(name, Stored)] of one layer's arrays, with the gates of Keras 1's LSTM and GRU put together.

    Example:
        >>> names = [f"gru_1_{part}_{gate}" for gate in "zrh" for part in "WUb"]
        >>> [(name, stored.shape) for name, stored in gathered(names, [np.zeros((2, 4))] * 9)]
        [('kernel', (2, 12)), ('recurrent_kernel', (2, 12)), ('bias', (2, 12))]
    """
    found, i = [], 0
    words = [m[1] if (m := _GATE.search(name)) else None for name in names]
    while i < len(names):
        for theirs, ours in _GATES.items():
            run = [f"{part}_{gate}" for gate in theirs for part in "WUb"]
            if words[i : i + len(run)] == run:
                for part, name in zip("WUb", ("kernel", "recurrent_kernel", "bias"), strict=True):
                    places = [i + run.index(f"{part}_{gate}") for gate in ours]
                    found.append((name, _joined([data[p] for p in places], places)))
                i += len(run)
                break
        else:
            found.append((names[i], Stored([data[i]], [i])))
            i += 1
    return found


def _joined(parts, places):
    first = parts[0].shape
    if any(p.shape != first for p in parts):
        raise ValueError(f"its gates have different shapes, {[tuple(p.shape) for p in parts]}.")
    shape = (*first[:-1], first[-1] * len(parts)) if first else ()
    return Stored(parts, places, lambda arrays: np.concatenate(arrays, axis=-1), shape)


# ------------------------------------------------------------------------------------ kernels of other forms

# (layer, data_format, rank) -> the orders in which Keras 1 had the axes of its kernels; None for any format.
_AXES_1 = {
    ("Conv2D", "channels_first", 4): (2, 3, 1, 0),
    ("Conv3D", "channels_first", 5): (2, 3, 4, 1, 0),
    ("Conv2DTranspose", "channels_last", 4): (0, 1, 3, 2),
    ("Conv2DTranspose", "channels_first", 4): (2, 3, 0, 1),
    ("SeparableConv2D", "channels_first", 4): (2, 3, 1, 0),
}
_KERNELS = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")
_FLIPPED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTMCell")


def translated(variable, stored, siblings, age):
    """Returns `stored`, an array of a file of that age, in the form that `variable` has today.

    Args:
        siblings: {name: Stored} of the arrays of the same layer.
    """
    layer, name, want = variable.layer, variable.name, variable.shape
    kind = type(layer).__name__
    if name in _KERNELS and age.old:
        if age.version < (2,):
            stored = _today(kind, getattr(layer, "data_format", None), stored, want)
        if age.backend == "theano" and kind in _FLIPPED and stored.shape == want:
            stored = stored.then(_flip, want)
    if kind in ("LSTMCell", "GRUCell"):
        stored = _from_cudnn(kind, layer.units, name, stored, siblings, want)
    if kind == "LayerNormalization" and age.old and sorted(stored.shape) == sorted(want) and stored.shape != want:
        stored = stored.then(lambda a: a.reshape(want), want)  # axes given in another order; so Keras 2 spread it too
    return stored


def _today(kind, data_format, stored, want):
    shape = stored.shape
    if kind == "Conv1D" and len(shape) == 4:
        if shape[1] != 1 and shape[3] == 1:  # [filters, channels, window, 1]
            return stored.then(lambda a: a.transpose(2, 3, 1, 0)[:, 0], (shape[2], shape[1], shape[0]))
        return stored.then(lambda a: a[:, 0], (shape[0], *shape[2:])) if shape[1] == 1 else stored
    if kind == "ConvLSTMCell" and data_format == "channels_first" and stored.combine is not None:
        # The gates lie side by side on the last axis; taken apart, each is [filters, channels, rows, columns].
        gates = len(stored.parts)
        filters, channels, rows, columns = stored.parts[0].shape
        parts = Stored(
            stored.parts,
            stored.places,
            lambda arrays: np.concatenate([a.transpose(2, 3, 1, 0) for a in arrays], axis=-1),
            (rows, columns, channels, gates * filters),
        )
        return parts
    axes = _AXES_1.get((kind, data_format, len(shape)))
    if axes is None or (turned := tuple(shape[a] for a in axes)) != want:
        return stored
    return stored.then(lambda a: a.transpose(axes), turned)


def _flip(kernel):
    return kernel[tuple([slice(None, None, -1)] * (kernel.ndim - 2))]


def _from_cudnn(kind, units, name, stored, siblings, want):
    """Two biases in a row tell cuDNN's layers: there every gate's matrices are transposed."""
    gates = 4 if kind == "LSTMCell" else 3
    bias = siblings.get("bias")
    if bias is None or bias.shape != (2 * gates * units,):
        return stored
    if name == "bias":
        pair = stored.then(lambda a: a.reshape(2, -1), (2, gates * units))
        return pair.then(lambda a: a.sum(0), want) if kind == "LSTMCell" else pair
    order = "F" if name == "kernel" else "C"

    def turn(matrix):
        halves = np.split(matrix, gates, axis=1)
        return np.concatenate([h.T.reshape(h.shape, order=order) for h in halves], axis=1)

    return stored.then(turn, want) if stored.shape == want else stored
