"""Models drawn by a seed, with their objectives and their runs, as data: real Keras and fkeras make the same of them.

A `Drawn` is all that a seed decides. `made(drawn, k)` makes its model in the library `k`, `outcome` runs it, `compared`
says where two outcomes differ by more than rounding explains, and `shrunk` takes away what a difference does not need.
"""

import copy
import dataclasses
import itertools
import math
import os
import tempfile

import numpy as np

from tests.catalog.layers_recurrent import made as made_layers
from tests.catalog.layers_recurrent import of

TOLERANCE = 1e-5  # relative to an array's largest value; what exceeds it is compared with what rounding makes
ROUNDING = 1e-7  # relative change of the weights that stands for rounding
FACTOR = 20  # a difference counts when it is so many times what rounding makes


@dataclasses.dataclass
class Drawn:
    """What a seed decides.

    Args:
        seed: Where it comes from.
        inputs: Dicts of "shape" (batch left out), "known" (the shape that `Input` is told), "ints" (their number, or
            None for floats), "steps_end" (steps that are padding end the rows).
        calls: Dicts of "layer" (`Of`, or the number of an earlier call whose layer is called again), "on" (numbers of
            tensors: inputs come first) and "how" ("one", "list", "many": separate arguments).
        outputs: Numbers of tensors.
        compiled: Arguments of `compile`; the optimizer, losses and metrics are `Of`.
        run: Dict: what is called, and how.
    """

    seed: int
    inputs: list
    calls: list
    outputs: list
    compiled: dict = dataclasses.field(default_factory=dict)
    run: dict = dataclasses.field(default_factory=dict)


class Refused(Exception):
    """Real Keras does not run what was drawn: there is nothing to compare."""


# ------------------------------------------------------------------------------------------------ layers


def _one(random, *values):
    return values[random.integers(len(values))]


def _options(random, share=0.3, **choices):
    """Some of the options, each with a value drawn from its list."""
    return {name: _one(random, *values) for name, values in choices.items() if random.random() < share}


_ACTIVATIONS = ["relu", "tanh", "sigmoid", "elu", "selu", "softplus", "gelu", "swish", "hard_sigmoid", "relu6", "mish"]
_KERNELS = {
    "activation": _ACTIVATIONS,
    "use_bias": [False],
    "kernel_regularizer": ["l2", "l1", of("regularizers.L1L2", l1=0.01, l2=0.02)],
    "bias_regularizer": ["l2"],
    "activity_regularizer": ["l2", of("regularizers.L1", l1=0.003)],
    "kernel_constraint": ["non_neg", "unit_norm", of("constraints.MaxNorm", max_value=0.8, axis=0)],
    "bias_constraint": ["non_neg"],
    "trainable": [False],
}


def _kernels(r, share=0.2, without=()):
    return _options(r, share, **{k: v for k, v in _KERNELS.items() if k not in without})


def _depthwise(r):
    options = _kernels(r, without=("kernel_regularizer", "kernel_constraint"))
    return options | _options(r, 0.2, depthwise_regularizer=["l2"], depthwise_constraint=["non_neg"])


def _windows(r, s, least=2):
    """Strides or dilations, never both, and a padding that leaves something."""
    sizes = s[:-1]
    kernel = [int(r.integers(1, min(3, size) + 1)) for size in sizes]
    options = {"kernel_size": kernel[0] if len(kernel) == 1 or r.random() < 0.3 else tuple(kernel)}
    if isinstance(options["kernel_size"], int) and len(kernel) > 1:
        options["kernel_size"] = min(kernel)
    options["padding"] = _one(r, "valid", "same")
    if min(sizes) >= least and r.random() < 0.4:
        options["strides"] = 2
    elif r.random() < 0.2 and options["padding"] == "same":
        options["dilation_rate"] = 2
    return options


def _conv(r, s):
    options = {"filters": int(r.integers(1, 5))} | _windows(r, s) | _kernels(r)
    if len(s) == 2 and r.random() < 0.2:
        options["padding"] = "causal"
    if s[-1] % 2 == 0 and r.random() < 0.2:
        options |= {"groups": 2, "filters": 2 * int(r.integers(1, 3))}
    return options


def _transposed(r, s):
    options = {"filters": int(r.integers(1, 4))} | _windows(r, s) | _kernels(r)
    options.pop("dilation_rate", None)
    return options


def _separable(r, s):
    return {"filters": int(r.integers(1, 4))} | _windows(r, s) | _depthwise(r)


def _pool(r, s):
    size = int(r.integers(1, min(3, *s[:-1]) + 1)) if len(s) > 2 else int(r.integers(1, min(3, s[0]) + 1))
    return {"pool_size": size, "padding": _one(r, "valid", "same")} | _options(r, strides=[1, 2])


_CELL = {
    "activation": ["relu", "tanh", "sigmoid"],
    "use_bias": [False],
    "kernel_regularizer": ["l2"],
    "recurrent_regularizer": ["l1"],
    "recurrent_constraint": ["unit_norm"],
}
_GATES = {"recurrent_activation": ["hard_sigmoid", "sigmoid", "tanh"]}
_TURNS = {"go_backwards": [True], "unroll": [True]}


def _recurrent(kind, r, sequences=None, turns=True):
    options = {"units": int(r.integers(1, 5))} | _options(r, 0.2, **_CELL)
    if kind != "SimpleRNN":
        options |= _options(r, 0.2, **_GATES)
    if kind == "GRU":
        options |= _options(r, reset_after=[False])
    if kind == "LSTM":
        options |= _options(r, 0.2, unit_forget_bias=[False])
    if turns:
        options |= _options(r, 0.2, **_TURNS)
    if sequences if sequences is not None else r.random() < 0.6:
        options["return_sequences"] = True
        options |= _options(r, 0.2, zero_output_for_mask=[True])
    return options


def _recurrent_kind(r):
    return _one(r, "SimpleRNN", "GRU", "LSTM")


def _bidirectional(r, s):
    kind = _recurrent_kind(r)
    options = {"layer": of(kind, **_recurrent(kind, r, turns=False))}
    return options | _options(r, 0.5, merge_mode=["sum", "ave", "mul", "concat"])


def _cells(r, s):
    cells = []
    for _ in range(int(r.integers(1, 4))):
        kind = _recurrent_kind(r)
        options = _recurrent(kind, r, sequences=False, turns=False)
        cells.append(of(kind + "Cell", **options))
    return {"cell": cells if len(cells) > 1 or r.random() < 0.5 else cells[0]} | _options(
        r, 0.4, return_sequences=[True], go_backwards=[True], unroll=[True]
    )


def _distributed(r, s):
    if len(s) == 2:
        return {"layer": _one(r, of("Dense", **_dense(r, s)), of("LayerNormalization"), of("BatchNormalization"))}
    return {"layer": _one(r, of("Conv1D", filters=2, kernel_size=2, padding="same"), of("GlobalMaxPooling1D"))}


def _dense(r, s):
    return {"units": int(r.integers(1, 6))} | _kernels(r)


def _batch_norm(r, s):
    return _options(
        r, 0.25, momentum=[0.5, 0.9], epsilon=[0.01], center=[False], scale=[False], gamma_regularizer=["l2"],
        trainable=[False], beta_constraint=["non_neg"],
    )  # fmt: skip


def _group_norm(r, s):
    return {"groups": _one(r, -1, 1, *[g for g in (2, 3) if s[-1] % g == 0])} | _options(r, scale=[False])


def _heads(r, s):
    options = {"num_heads": int(r.integers(1, 3)), "key_dim": int(r.integers(1, 4))}
    return options | _options(r, 0.2, use_bias=[False], value_dim=[2], output_shape=[3], kernel_regularizer=["l2"])


def _crop(r, s):
    rank = len(s) - 1
    if rank == 1:
        return {"cropping": (0, 0) if s[0] < 3 else _one(r, (1, 0), (0, 1), 1)}
    return {"cropping": ((0, int(s[0] > 1)), (int(s[1] > 1), 0))}


def _sequential(r, s):
    """A chain within the model, called as one layer."""
    layers = [of("Dense", **_dense(r, s))]
    if r.random() < 0.5:
        layers.append(of("BatchNormalization", **_batch_norm(r, s)))
    if r.random() < 0.5:
        layers.append(of("Dense", units=int(r.integers(1, 4))))
    return {"layers": layers}


def _relu(r, s):
    return _options(r, max_value=[0.9], negative_slope=[0.2], threshold=[0.1])


def _layer_norm(r, s):
    return _options(r, epsilon=[0.1], center=[False], scale=[False])


def _target_shape(r, s):
    return {"target_shape": (_one(r, *[n for n in (1, 2, 3) if math.prod(s) % n == 0]), -1)}


def _einsum(r, s):
    return {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}


def _depthwise_conv(r, s):
    return _windows(r, s) | _depthwise(r) | _options(r, depth_multiplier=[2])


def _conv_lstm(r, s):
    return {"filters": 2, "kernel_size": 2, "padding": "same"} | _options(r, return_sequences=[True])


ALL, UNKNOWN_TOO = "all sizes known", "unknown sizes too"
_PLAIN = lambda r, s: {}  # noqa: E731
# kind: (ranks, batch left out), whether sizes have to be known, how often, arguments of (random, shape).
LAYERS = {
    "Dense": ((1, 2, 3), UNKNOWN_TOO, 6, _dense),
    "Activation": ((1, 2, 3), UNKNOWN_TOO, 1, lambda r, s: {"activation": _one(r, *_ACTIVATIONS)}),
    "ReLU": ((1, 2, 3), UNKNOWN_TOO, 1, _relu),
    "LeakyReLU": ((1, 2, 3), UNKNOWN_TOO, 1, lambda r, s: _options(r, negative_slope=[0.1])),
    "ELU": ((1, 2), UNKNOWN_TOO, 1, lambda r, s: _options(r, alpha=[0.5])),
    "PReLU": ((1, 2, 3), ALL, 1, lambda r, s: {"shared_axes": [1]} if len(s) > 1 and r.random() < 0.5 else {}),
    "Softmax": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "Dropout": ((1, 2, 3), UNKNOWN_TOO, 1, lambda r, s: {"rate": 0.0}),
    "ActivityRegularization": ((1, 2, 3), UNKNOWN_TOO, 1, lambda r, s: {"l1": 0.002, "l2": 0.01}),
    "BatchNormalization": ((1, 2, 3), UNKNOWN_TOO, 4, _batch_norm),
    "LayerNormalization": ((1, 2, 3), UNKNOWN_TOO, 2, _layer_norm),
    "RMSNormalization": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "UnitNormalization": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "GroupNormalization": ((2, 3), ALL, 1, _group_norm),
    "SpectralNormalization": ((1, 2), UNKNOWN_TOO, 1, lambda r, s: {"layer": of("Dense", units=3)}),
    "Rescaling": ((1, 2, 3), UNKNOWN_TOO, 1, lambda r, s: {"scale": 0.5, "offset": 0.1}),
    "Masking": ((2,), UNKNOWN_TOO, 2, _PLAIN),
    "Flatten": ((2, 3), ALL, 3, _PLAIN),
    "Reshape": ((1, 2, 3), ALL, 1, _target_shape),
    "Permute": ((2,), ALL, 1, lambda r, s: {"dims": (2, 1)}),
    "RepeatVector": ((1,), UNKNOWN_TOO, 1, lambda r, s: {"n": int(r.integers(1, 4))}),
    "EinsumDense": ((2,), UNKNOWN_TOO, 1, _einsum),
    "Sequential": ((1, 2), UNKNOWN_TOO, 3, _sequential),
    "Conv1D": ((2,), UNKNOWN_TOO, 3, _conv),
    "Conv2D": ((3,), UNKNOWN_TOO, 6, _conv),
    "Conv1DTranspose": ((2,), UNKNOWN_TOO, 1, _transposed),
    "Conv2DTranspose": ((3,), UNKNOWN_TOO, 1, _transposed),
    "SeparableConv1D": ((2,), UNKNOWN_TOO, 1, _separable),
    "SeparableConv2D": ((3,), UNKNOWN_TOO, 1, _separable),
    "DepthwiseConv1D": ((2,), UNKNOWN_TOO, 1, _depthwise_conv),
    "DepthwiseConv2D": ((3,), UNKNOWN_TOO, 1, _depthwise_conv),
    "MaxPooling1D": ((2,), UNKNOWN_TOO, 1, _pool),
    "AveragePooling1D": ((2,), UNKNOWN_TOO, 1, _pool),
    "MaxPooling2D": ((3,), UNKNOWN_TOO, 2, _pool),
    "AveragePooling2D": ((3,), UNKNOWN_TOO, 2, _pool),
    "GlobalMaxPooling1D": ((2,), UNKNOWN_TOO, 1, lambda r, s: _options(r, keepdims=[True])),
    "GlobalAveragePooling1D": ((2,), UNKNOWN_TOO, 2, _PLAIN),
    "GlobalAveragePooling2D": ((3,), UNKNOWN_TOO, 1, lambda r, s: _options(r, keepdims=[True])),
    "GlobalMaxPooling2D": ((3,), UNKNOWN_TOO, 1, _PLAIN),
    "ZeroPadding1D": ((2,), UNKNOWN_TOO, 1, lambda r, s: {"padding": _one(r, 1, (0, 2))}),
    "ZeroPadding2D": ((3,), UNKNOWN_TOO, 1, lambda r, s: {"padding": _one(r, 1, (0, 1), ((1, 0), (0, 2)))}),
    "Cropping1D": ((2,), UNKNOWN_TOO, 1, _crop),
    "Cropping2D": ((3,), UNKNOWN_TOO, 1, _crop),
    "UpSampling1D": ((2,), UNKNOWN_TOO, 1, lambda r, s: {"size": 2}),
    "UpSampling2D": ((3,), UNKNOWN_TOO, 1, lambda r, s: {"size": 2} | _options(r, interpolation=["bilinear"])),
    "SimpleRNN": ((2,), UNKNOWN_TOO, 2, lambda r, s: _recurrent("SimpleRNN", r)),
    "GRU": ((2,), UNKNOWN_TOO, 3, lambda r, s: _recurrent("GRU", r)),
    "LSTM": ((2,), UNKNOWN_TOO, 3, lambda r, s: _recurrent("LSTM", r)),
    "Bidirectional": ((2,), UNKNOWN_TOO, 2, _bidirectional),
    "RNN": ((2,), UNKNOWN_TOO, 2, _cells),
    "TimeDistributed": ((2, 3), ALL, 1, _distributed),
    "ConvLSTM1D": ((3,), ALL, 1, _conv_lstm),
    "MultiHeadAttention": ((2,), UNKNOWN_TOO, 2, _heads),
    "Attention": ((2,), UNKNOWN_TOO, 1, lambda r, s: _options(r, use_scale=[True], score_mode=["concat"])),
    "AdditiveAttention": ((2,), UNKNOWN_TOO, 1, _PLAIN),
    "Add": ((1, 2, 3), UNKNOWN_TOO, 2, _PLAIN),
    "Subtract": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "Multiply": ((1, 2, 3), UNKNOWN_TOO, 1, _PLAIN),
    "Average": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "Maximum": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "Minimum": ((1, 2), UNKNOWN_TOO, 1, _PLAIN),
    "Concatenate": ((1, 2, 3), UNKNOWN_TOO, 3, _PLAIN),
    "Dot": ((1,), UNKNOWN_TOO, 1, lambda r, s: {"axes": 1} | _options(r, normalize=[True])),
}  # fmt: skip
_MERGE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")
_ATTEND = {"MultiHeadAttention": "many", "Attention": "list", "AdditiveAttention": "list"}


def _draw_input(random, ragged):
    """Returns an input: a vector, a sequence, whole numbers, or an image."""
    kind = _one(random, "vector", "sequence", "sequence", "whole", "image")
    T, C = int(random.integers(3, 7)), int(random.integers(1, 5))
    if kind == "vector":
        return {"shape": (C + 1,), "known": (C + 1,), "ints": None, "padded": False}
    if kind == "image":
        shape = (int(random.integers(4, 8)), int(random.integers(4, 8)), C)
        return {"shape": shape, "known": (None, None, C) if ragged else shape, "ints": None, "padded": False}
    padded = bool(random.random() < 0.6)
    if kind == "whole":
        return {"shape": (T,), "known": (None,) if ragged else (T,), "ints": 7, "padded": padded}
    return {"shape": (T, C), "known": (None, C) if ragged else (T, C), "ints": None, "padded": padded}


class _Graph:
    """Calls that were drawn so far, with the symbols that fkeras makes of them, sizes all known."""

    def __init__(self, random, inputs):
        import fkeras

        self.random, self.inputs, self.calls = random, inputs, []
        self.symbols = [_input_of(fkeras, i, i["shape"]) for i in inputs]
        self.unknown = [None in i["known"] for i in inputs]
        self.layers = []
        for i, given in enumerate(inputs):
            if given["ints"] is not None:
                options = _options(random, 0.7, mask_zero=[True]) | _options(random, 0.2, embeddings_regularizer=["l2"])
                self.add(of("Embedding", input_dim=7, output_dim=int(random.integers(1, 5)), **options), [i], "one")

    def add(self, layer, on, how):
        import fkeras

        made = self.layers[layer] if isinstance(layer, int) else _layer(layer, fkeras)
        symbol = _call(made, [self.symbols[i] for i in on], how)
        if math.prod(symbol.shape[1:]) > 400 or 0 in symbol.shape[1:]:
            return False
        self.layers.append(made)
        self.calls.append({"layer": layer, "on": on, "how": how})
        self.symbols.append(symbol)
        self.unknown.append(any(self.unknown[i] for i in on) and symbol.ndim > 2)
        return True

    def grow(self):
        """Calls one more layer, on the newest tensors more often than on old ones."""
        random = self.random
        floats = [i for i, s in enumerate(self.symbols) if not (i < len(self.inputs) and self.inputs[i]["ints"])]
        on = floats[-1] if random.random() < 0.75 else _one(random, *floats)
        shape = self.symbols[on].shape[1:]
        again = [
            c for c, call in enumerate(self.calls)
            if not isinstance(call["layer"], int) and call["how"] == "one"
            and self.symbols[call["on"][0]].shape[1:] == shape and call["on"][0] != on and call["on"][0] in floats
        ]  # fmt: skip
        # Of the penalties on a shared layer's outputs Keras 3 keeps those of its last call; Keras 2 and fkeras add.
        again = [c for c in again if "ctivity" not in repr(self.calls[c]["layer"])]
        if again and random.random() < 0.15:
            return self.add(_one(random, *again), [on], "one")
        kinds = [k for k, (ranks, sizes, _, _) in LAYERS.items()
                 if len(shape) in ranks and not (self.unknown[on] and sizes == ALL)]  # fmt: skip
        often = np.array([LAYERS[k][2] for k in kinds], float)
        kind = kinds[random.choice(len(kinds), p=often / often.sum())]
        if kind in _MERGE:
            most = -1 if kind == "Concatenate" else None  # it joins along the last axis
            same = [
                i for i in floats if self.symbols[i].ndim == len(shape) + 1 and self.unknown[i] == self.unknown[on]
                and self.symbols[i].shape[1:][:most] == shape[:most]
            ]  # fmt: skip
            if len(same) < 2:
                return False
            count = 2 if kind in ("Subtract", "Dot") else int(random.integers(2, 4))
            chosen = [on, *(int(_one(random, *same)) for _ in range(count - 1))]
            return self.add(of(kind, **LAYERS[kind][3](random, shape)), chosen, "list")
        options = LAYERS[kind][3](random, shape)
        if self.unknown[on]:
            options.pop("unroll", None)
        how, many = _ATTEND.get(kind, "one"), 1
        if kind in _ATTEND:
            many = 2
        return self.add(of(kind, **options), [on] * many, how)


def draw(seed):
    """Draws a model, its objectives and its run."""
    random = np.random.default_rng(seed)
    ragged = random.random() < 0.25
    for _ in range(20):
        inputs = [_draw_input(random, ragged) for _ in range(_one(random, 1, 1, 1, 2))]
        graph = _Graph(random, inputs)
        for _ in range(int(random.integers(1, 8))):
            graph.grow()
        read = {i for call in graph.calls for i in call["on"]}
        ends = [i for i in range(len(inputs), len(graph.symbols)) if i not in read]
        if ends and set(range(len(inputs))) <= read and _has_weights(graph):
            break
    else:
        raise AssertionError(f"seed {seed} draws no model")
    while len(ends) > 2:
        ends.pop(int(random.integers(len(ends))))
    drawn = Drawn(seed, inputs, graph.calls, [int(e) for e in ends])
    _prune(drawn)
    shapes = [graph.symbols[e].shape[1:] for e in ends]
    _draw_objectives(random, drawn, shapes)
    _draw_run(random, drawn, shapes)
    return drawn


def _has_weights(graph):
    return any(layer.count_params() for layer in graph.layers)


def _prune(drawn):
    """Takes away what leads to no output."""
    first, needed = len(drawn.inputs), set(drawn.outputs)
    for c in reversed(range(len(drawn.calls))):
        if first + c in needed:
            needed.update(drawn.calls[c]["on"])
            if isinstance(drawn.calls[c]["layer"], int):
                needed.add(first + drawn.calls[c]["layer"])
    # A layer that is called again needs its first call to be there, and that call what it is made on.
    for c in reversed(range(len(drawn.calls))):
        if first + c in needed:
            needed.update(drawn.calls[c]["on"])
    kept = [i for i in range(first + len(drawn.calls)) if i in needed]
    place = {i: n for n, i in enumerate(kept)}
    inputs = sum(i < first for i in kept)
    calls = []
    for c, call in enumerate(drawn.calls):
        if first + c in place:
            layer = call["layer"]
            layer = place[first + layer] - inputs if isinstance(layer, int) else layer
            calls.append({"layer": layer, "on": [place[i] for i in call["on"]], "how": call["how"]})
    drawn.inputs = [given for i, given in enumerate(drawn.inputs) if i in place]
    drawn.calls, drawn.outputs = calls, [place[i] for i in drawn.outputs]


# -------------------------------------------------------------------------------------------- objectives

_REDUCTIONS = ["sum", "mean", "mean_with_sample_weight", "sum_over_batch_size"]
_NUMBERS = {  # losses and metrics for targets of any numbers
    "losses": ["MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "CosineSimilarity"],
    "metrics": ["MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "CosineSimilarity", "LogCoshError"],
}
_ZERO_ONE = {  # 0 or 1, predictions squashed
    "losses": ["BinaryCrossentropy", "BinaryFocalCrossentropy", "Hinge", "SquaredHinge", "Poisson", "Dice", "Tversky"],
    "metrics": ["BinaryAccuracy", "BinaryCrossentropy", "AUC", "Precision", "Recall", "Hinge", "TruePositives",
                "FalseNegatives", "BinaryIoU"],
}  # fmt: skip
_CLASSES = {  # one of several classes, one-hot
    "losses": ["CategoricalCrossentropy", "KLDivergence", "CategoricalHinge", "CategoricalFocalCrossentropy"],
    "metrics": ["CategoricalAccuracy", "CategoricalCrossentropy", "TopKCategoricalAccuracy", "KLDivergence", "F1Score"],
}
_LABELS = {
    "losses": ["SparseCategoricalCrossentropy"],
    "metrics": ["SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy"],
}
TARGETS = {"numbers": _NUMBERS, "zero or one": _ZERO_ONE, "one-hot": _CLASSES, "labels": _LABELS}
_WORDS = {
    "MeanSquaredError": "mse", "MeanAbsoluteError": "mae", "BinaryAccuracy": "accuracy", "CategoricalAccuracy": "acc",
    "SparseCategoricalAccuracy": "accuracy", "BinaryCrossentropy": "binary_crossentropy", "Hinge": "hinge",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
}  # fmt: skip


def _draw_loss(random, kind):
    name = _one(random, *TARGETS[kind]["losses"])
    if name in _WORDS and random.random() < 0.4:
        return _WORDS[name]
    options = {"reduction": _one(random, *_REDUCTIONS)} if random.random() < 0.3 else {}
    if name in ("BinaryCrossentropy", "CategoricalCrossentropy"):
        options |= _options(random, 0.2, label_smoothing=[0.1])
    if name == "Huber":
        options |= _options(random, delta=[0.3])
    return of(f"losses.{name}", **options)


def _draw_metric(random, kind, rank):
    name = _one(random, *TARGETS[kind]["metrics"])
    if name == "F1Score" and rank != 1:
        name = "CategoricalAccuracy"
    if name in _WORDS and random.random() < 0.6:
        return _WORDS[name]
    options = {}
    if name.startswith(("TopK", "SparseTopK")):
        options["k"] = 2
    if name == "AUC":
        options |= _options(random, num_thresholds=[7], curve=["PR"])
    if name == "BinaryIoU":
        options["target_class_ids"] = [1]
    return of(f"metrics.{name}", **options)


def _same(a, b):
    return isinstance(a, tuple) and isinstance(b, tuple) and a.kind == b.kind


_OPTIMIZERS = {
    "SGD": {"momentum": [0.9], "nesterov": [True]},
    "Adam": {"amsgrad": [True], "beta_1": [0.5], "epsilon": [1e-3]},
    "AdamW": {"weight_decay": [0.1]},
    "RMSprop": {"momentum": [0.5], "centered": [True], "rho": [0.5]},
    "Adagrad": {"initial_accumulator_value": [0.5]},
    "Adadelta": {"rho": [0.5]},
    "Adamax": {},
    "Nadam": {},
    "Ftrl": {"l1_regularization_strength": [0.01], "beta": [0.1]},
    "Lion": {},
    "Lamb": {},
    "Adafactor": {},
}
_ANY = {
    "clipnorm": [0.5], "clipvalue": [0.1], "global_clipnorm": [0.5], "weight_decay": [0.02], "use_ema": [True],
    "gradient_accumulation_steps": [2],
}  # fmt: skip


def _draw_optimizer(random):
    name = _one(random, "SGD", "SGD", "Adam", *_OPTIMIZERS)
    if random.random() < 0.2:
        return name.lower()
    rate = float(_one(random, 0.001, 0.01, 0.05))
    if random.random() < 0.2:
        rate = _one(
            random,
            of("schedules.ExponentialDecay", initial_learning_rate=0.05, decay_steps=3, decay_rate=0.5),
            of("schedules.PiecewiseConstantDecay", boundaries=[2, 4], values=[0.05, 0.01, 0.002]),
            of("schedules.CosineDecay", initial_learning_rate=0.05, decay_steps=5),
        )
    options = _options(random, 0.3, **_OPTIMIZERS[name])
    more = _options(random, 0.12, **_ANY)
    for clip in ("clipnorm", "clipvalue", "global_clipnorm"):  # one of them
        if sum(c in more for c in ("clipnorm", "clipvalue", "global_clipnorm")) > 1:
            more.pop(clip, None)
    if more.get("use_ema"):
        more |= _options(random, 0.5, ema_momentum=[0.5], ema_overwrite_frequency=[2])
    return of(f"optimizers.{name}", learning_rate=rate, **(more | options))


def _draw_objectives(random, drawn, shapes):
    kinds, losses, metrics, weighted = [], [], [], []
    for shape in shapes:
        able = ["numbers", "numbers", "zero or one"] + ["one-hot", "labels", "labels"] * (shape[-1] > 1)
        kind = _one(random, *able)
        kinds.append(kind)
        losses.append(_draw_loss(random, kind))
        metrics.append([_draw_metric(random, kind, len(shape)) for _ in range(random.integers(0, 3))])
        more = [_draw_metric(random, kind, len(shape)) for _ in range(int(random.random() < 0.3))]
        # Keras numbers metrics that have no name of their own over the whole session: auc_1 beside auc.
        weighted.append([] if any(_same(a, b) for a in more for b in metrics[-1]) else more)
    # Predictions in the range that the targets have.
    first = len(drawn.inputs)
    for i, kind in enumerate(kinds):
        if kind != "numbers":
            squash = "sigmoid" if kind == "zero or one" else "softmax"
            on = [drawn.outputs[i]]
            drawn.calls.append({"layer": of("Activation", activation=squash), "on": on, "how": "one"})
            drawn.outputs[i] = first + len(drawn.calls) - 1
    drawn.run["targets"] = kinds
    one = len(shapes) == 1
    drawn.compiled = {"optimizer": _draw_optimizer(random), "loss": losses[0] if one else losses}
    if any(metrics):
        drawn.compiled["metrics"] = metrics[0] if one else metrics
    if any(weighted):
        drawn.compiled["weighted_metrics"] = weighted[0] if one else weighted
    if not one and random.random() < 0.4:
        drawn.compiled["loss_weights"] = [0.5, 2.0]
    if not one and random.random() < 0.15:
        drawn.compiled["loss"] = [losses[0], None]


# --------------------------------------------------------------------------------------------------- run


def _draw_run(random, drawn, shapes):
    run = drawn.run
    run["rows"] = int(random.integers(5, 18))
    run["batch_size"] = int(_one(random, 1, 2, 3, 4, 5, 8, 32)) if random.random() < 0.9 else None
    run["epochs"] = int(random.integers(1, 4))
    run["way"] = _one(random, "fit", "fit", "fit", "batches", "stream", "sequence")
    ragged = any(None in i["known"] for i in drawn.inputs)
    if ragged and run["way"] == "fit" and random.random() < 0.4:
        run["way"] = "sequence"
    labels = len(shapes) == 1 and run["targets"][0] == "labels" and len(shapes[0]) == 1
    weights = random.random()
    ranks = {len(shape) for shape in shapes}
    if weights < 0.3 and ranks == {1}:  # Keras takes a weight per row where there is one loss per row
        run["weights"] = "rows"
    elif weights < 0.3 and ranks == {2}:
        run["weights"] = "steps"
    elif weights < 0.5 and labels and run["way"] != "stream":
        run["class_weight"] = {0: 0.5, 1: 2.0}
    if run["way"] == "fit":
        if random.random() < 0.3:
            run["validation_data"] = int(random.integers(1, run["rows"]))
            run["weights"] = run.get("weights")
        elif random.random() < 0.2 and run["rows"] > 6:
            run["validation_split"] = 0.3
        if random.random() < 0.15 and run["batch_size"]:
            trained = run["rows"] - int(run["rows"] * 0.3 if "validation_split" in run else 0)
            run["steps_per_epoch"] = int(random.integers(1, max(trained // run["batch_size"], 1) + 1))
        if random.random() < 0.1:
            run["validation_freq"] = 2
        if random.random() < 0.1:
            run["initial_epoch"] = 1
    if random.random() < 0.15:
        run["file"] = _one(random, ".keras", ".keras", ".h5")
    if run["way"] == "fit" and "steps_per_epoch" not in run and random.random() < 0.1:
        run["steps_per_execution"] = 2


def data(drawn):
    """Returns (x, y, weights): lists of arrays, the last None or a list."""
    random = np.random.default_rng([drawn.seed, 1])
    rows = drawn.run["rows"]
    x = []
    for given in drawn.inputs:
        if given["ints"] is not None:
            a = random.integers(1, given["ints"], (rows, *given["shape"])).astype("int32")
        else:
            a = random.normal(size=(rows, *given["shape"])).astype("float32")
        if given["padded"]:
            for row in range(rows):
                hidden = random.random(given["shape"][0]) < 0.2
                hidden[int(random.integers(1, given["shape"][0] + 1)) :] = True
                a[row, hidden] = 0
        x.append(a)
    return x, random


def targets(drawn, shapes, random):
    y = []
    rows = drawn.run["rows"]
    for shape, kind in zip(shapes, drawn.run["targets"], strict=True):
        if kind == "numbers":
            y.append(random.normal(size=(rows, *shape)).astype("float32"))
        elif kind == "zero or one":
            y.append(random.integers(0, 2, (rows, *shape)).astype("float32"))
        else:
            labels = random.integers(0, shape[-1], (rows, *shape[:-1])).astype("int32")
            y.append(labels if kind == "labels" else np.eye(shape[-1], dtype="float32")[labels])
    weights = drawn.run.get("weights")
    if weights is None:
        return y, None
    w = [random.uniform(0, 2, a.shape[: 1 + (weights == "steps")]).astype("float32") for a in y]
    w[0][0] = 0.0
    return y, w


# -------------------------------------------------------------------------------------------------- made


def _found(k):
    def find(name):
        at = k.layers
        *path, name = name.split(".")
        if path:
            at = k.optimizers.schedules if path == ["schedules"] else getattr(k, path[0])
        if name == "Sequential":
            return k.Sequential
        return getattr(at, name)

    return find


def _layer(of, k):
    return made_layers(of, _found(k))


def _input_of(k, given, shape):
    return k.Input(tuple(shape), dtype="float32" if given["ints"] is None else "int32")


def _call(layer, on, how):
    return layer(on[0]) if how == "one" else layer(on) if how == "list" else layer(*on)


def made(drawn, k):
    """Makes the model in the library `k`: a Sequential where it is a chain and the seed is even."""
    if drawn.seed % 2 == 0 and _is_chain(drawn):
        first = drawn.inputs[0]
        given = k.Input(tuple(first["known"]), dtype="float32" if first["ints"] is None else "int32")
        return k.Sequential([given, *(_layer(call["layer"], k) for call in drawn.calls)])
    tensors, layers = [_input_of(k, i, i["known"]) for i in drawn.inputs], []
    for call in drawn.calls:
        layer = layers[call["layer"]] if isinstance(call["layer"], int) else _layer(call["layer"], k)
        layers.append(layer)
        tensors.append(_call(layer, [tensors[i] for i in call["on"]], call["how"]))
    inputs, outputs = tensors[: len(drawn.inputs)], [tensors[i] for i in drawn.outputs]
    return k.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0])


def _is_chain(drawn):
    if len(drawn.inputs) != 1:
        return False
    chained = all(
        call["on"] == [i] and call["how"] == "one" and not isinstance(call["layer"], int)
        for i, call in enumerate(drawn.calls)
    )
    return chained and drawn.outputs == [len(drawn.calls)]


def weights_of(drawn, model, change=0.0):
    """Returns weights for a model of real Keras: none is zero, no variance is negative; `change` of their size."""
    random, found = np.random.default_rng([drawn.seed, 2]), []
    rounding = np.random.default_rng([drawn.seed, 3])
    for w in model.weights:
        value = np.asarray(w.value, "float32")
        if value.dtype.kind == "f" and "spectral" not in w.path:
            noise = 0.1 * random.normal(size=value.shape)
            value = value + (np.abs(noise) if "variance" in w.path else noise).astype("float32")
        if change:
            value = (value * (1 + change * rounding.choice([-1, 1], value.shape))).astype("float32")
        found.append(value)
    return found


def _batches(run, x, y, w):
    """Cuts rows into batches."""
    size = run["batch_size"] or 32
    for start in range(0, run["rows"], size):
        rows = slice(start, start + size)
        yield x_of([a[rows] for a in x]), x_of([a[rows] for a in y]), None if w is None else x_of([a[rows] for a in w])


def x_of(arrays):
    return arrays[0] if len(arrays) == 1 else list(arrays)


def outcome(drawn, k, weights, keras, twin=None):
    """Makes and runs the model in the library `k` and returns {what: array or text}."""
    k.utils.clear_session()  # names by default begin anew
    model = made(drawn, k)
    model.set_weights(weights)
    x, random = data(drawn)
    run, found = drawn.run, {}
    first = model.predict(x_of(x), batch_size=run["batch_size"], verbose=0)
    shapes = [a.shape[1:] for a in (first if isinstance(first, list) else [first])]
    y, w = targets(drawn, shapes, random)
    for i, a in enumerate(first if isinstance(first, list) else [first]):
        found[f"first predictions {i}"] = a
    compiled = {name: made_layers(value, _found(k)) for name, value in drawn.compiled.items()}
    if "steps_per_execution" in run:
        compiled["steps_per_execution"] = run["steps_per_execution"]
    model.compile(**compiled)
    options = {"verbose": 0}
    if "class_weight" in run:
        count = shapes[0][-1]
        options["class_weight"] = {i: run["class_weight"].get(i, 1.0) for i in range(count)}
    if run["way"] == "fit":
        more = {
            n: run[n] for n in ("validation_split", "steps_per_epoch", "validation_freq", "initial_epoch") if n in run
        }
        if "validation_data" in run:
            n = run["validation_data"]
            more["validation_data"] = (x_of([a[:n] for a in x]), x_of([a[:n] for a in y]))
            if w is not None:
                more["validation_data"] += (x_of([a[:n] for a in w]),)
        history = model.fit(
            x_of(x), x_of(y), batch_size=run["batch_size"], epochs=run["epochs"] + run.get("initial_epoch", 0),
            shuffle=False, sample_weight=None if w is None else x_of(w), **options, **more,
        ).history  # fmt: skip
    elif run["way"] == "batches":
        history = {}
        for _ in range(run["epochs"]):
            for xs, ys, ws in _batches(run, x, y, w):
                logs = model.train_on_batch(xs, ys, ws, class_weight=options.get("class_weight"), return_dict=True)
                if k is keras:
                    model.reset_metrics()
                for name, value in logs.items():
                    history.setdefault(name, []).append(np.asarray(value))
    else:
        batches = [b if w is not None else b[:2] for b in _batches(run, x, y, w)]
        batches = [tuple(tuple(part) if isinstance(part, list) else part for part in b) for b in batches]
        if run["way"] == "stream":
            given = (batch for batch in itertools.cycle(batches))
            history = model.fit(
                given, epochs=run["epochs"], steps_per_epoch=max(len(batches) - 1, 1), **options
            ).history
        else:
            history = model.fit(_dataset(k, batches), epochs=run["epochs"], shuffle=False, **options).history
    found["names of logs"] = ", ".join(sorted(history))
    for name, values in history.items():
        found[f"history {name}"] = np.array(values, "float64")
    if "file" in run:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model" + run["file"])
            (twin or model).save(path)
            model = k.models.load_model(path)
    logs = model.evaluate(
        x_of(x), x_of(y), batch_size=run["batch_size"], verbose=0, return_dict=True,
        sample_weight=None if w is None else x_of(w),
    )  # fmt: skip
    found["names of evaluate"] = ", ".join(sorted(logs))
    for name, value in logs.items():
        found[f"evaluate {name}"] = np.array(value, "float64")
    last = model.predict(x_of(x), batch_size=run["batch_size"], verbose=0)
    for i, a in enumerate(last if isinstance(last, list) else [last]):
        found[f"predictions {i}"] = a
    for i, a in enumerate(model.get_weights()):
        found[f"weight {i}"] = a
    found["weights trained"] = str(len(model.trainable_weights))
    found["parameters"] = str(model.count_params())
    return found, model


def _dataset(k, batches):
    class Batches(k.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return batches[index]

    return Batches()


# ---------------------------------------------------------------------------------------------- compared


def compared(want, got, rounded=None):
    """Returns {what: how} of the differences: beyond `TOLERANCE`, or beyond `FACTOR` times what rounding makes."""
    differences = {}
    for what in want.keys() | got.keys():
        if what not in want or what not in got:
            differences[what] = f"only in {'Keras' if what in want else 'fkeras'}"
            continue
        a, b = want[what], got[what]
        if isinstance(a, str):
            if a != b:
                differences[what] = f"{a} in Keras, {b} in fkeras"
            continue
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        if a.shape != b.shape:
            differences[what] = f"shape {a.shape} in Keras, {b.shape} in fkeras"
        elif not (np.isnan(a) == np.isnan(b)).all():
            differences[what] = "NaN in one of them"
        else:
            size = max(float(np.nanmax(np.abs(a), initial=0)), 0.3)
            allowed = TOLERANCE * size
            if rounded is not None and what in rounded:
                change = np.abs(np.asarray(rounded[what], "float64") - a)
                allowed = max(allowed, FACTOR * float(np.nanmax(change, initial=0)))
            off = float(np.nanmax(np.abs(a - b), initial=0))
            if off > allowed:
                differences[what] = f"off by {off:.3g} of {size:.3g}, {allowed:.2g} allowed"
    return differences


_MASKS_IGNORED = ("auc", "precision", "recall", "true_positives", "false_negatives", "binary_io_u", "f1_score")


def _fair(found, masked):
    """Leaves out what Keras counts over padding where an output is masked: metrics in training, and some always."""
    if not masked:
        return found
    return {
        what: value for what, value in found.items()
        if what.endswith("loss") or not (what.startswith("history") or any(m in what for m in _MASKS_IGNORED))
    }  # fmt: skip


def judged(drawn, fkeras, keras):
    """Returns the differences between both libraries' outcomes, {} if there are none."""
    try:
        keras.utils.set_random_seed(drawn.seed)
        reference = made(drawn, keras)
        weights = weights_of(drawn, reference)
        want, theirs = outcome(drawn, keras, weights, keras)
    except (ValueError, TypeError, AttributeError, KeyError) as err:
        raise Refused(str(err)) from err
    if any(np.isnan(a).any() for a in want.values() if not isinstance(a, str)):
        raise Refused("the judge's own numbers are not finite")
    masked = any(getattr(t, "_keras_mask", None) is not None for t in reference.outputs)
    want = _fair(want, masked)
    got, _ = outcome(drawn, fkeras, weights, keras, twin=theirs if "file" in drawn.run else None)
    got = _fair(got, masked)
    differences = compared(want, got)
    if any("off by" in how or "NaN" in how for how in differences.values()):
        rounded, _ = outcome(drawn, keras, weights_of(drawn, reference, ROUNDING), keras)
        differences = compared(want, got, rounded)
    return differences


def shrunk(drawn, fails, tries=60):
    """Returns a smaller `Drawn` of which `fails(drawn)` still says the same."""

    def smaller(drawn):
        for c in reversed(range(len(drawn.calls))):
            if isinstance(drawn.calls[c]["layer"], int) or not any(
                call["layer"] == c for call in drawn.calls if isinstance(call["layer"], int)
            ):
                new = copy.deepcopy(drawn)
                here, before = len(new.inputs) + c, new.calls[c]["on"][0]
                for call in new.calls:
                    call["on"] = [before if i == here else i for i in call["on"]]
                new.outputs = [before if i == here else i for i in new.outputs]
                try:
                    _prune(new)
                except (KeyError, ValueError):
                    continue
                if new.calls and len(set(new.outputs)) == len(new.outputs):
                    yield new
        for c, call in enumerate(drawn.calls):
            if not isinstance(call["layer"], int):
                for name in call["layer"].kwargs:
                    new = copy.deepcopy(drawn)
                    new.calls[c]["layer"] = call["layer"]._replace(
                        kwargs={k: v for k, v in call["layer"].kwargs.items() if k != name}
                    )
                    yield new
        for name in ("weights", "class_weight", "validation_data", "validation_split", "steps_per_epoch", "file",
                     "validation_freq", "initial_epoch", "steps_per_execution"):  # fmt: skip
            if name in drawn.run:
                new = copy.deepcopy(drawn)
                del new.run[name]
                yield new
        for name in ("metrics", "weighted_metrics", "loss_weights"):
            if name in drawn.compiled:
                new = copy.deepcopy(drawn)
                del new.compiled[name]
                yield new
        for change in ({"epochs": 1}, {"way": "fit"}, {"rows": 5}, {"batch_size": None}):
            if any(drawn.run[k] != v for k, v in change.items()):
                new = copy.deepcopy(drawn)
                new.run |= change
                yield new
        if drawn.compiled["optimizer"] != "sgd":
            new = copy.deepcopy(drawn)
            new.compiled["optimizer"] = "sgd"
            yield new

    going = True
    while going and tries > 0:
        going = False
        for new in smaller(drawn):
            tries -= 1
            if tries <= 0:
                break
            if fails(new):
                drawn, going = new, True
                break
    return drawn
