"""Rows for the small named functions: activations, initializers, regularizers, constraints."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    """One registered thing with settings; `shape` is that of the array it is tried on."""

    name: str
    settings: dict = dataclasses.field(default_factory=dict)
    shape: tuple = (4, 6)

    def __str__(self):
        return "-".join([self.name, *(f"{k}={np.asarray(v).tolist()}" for k, v in self.settings.items())])


ACTIVATIONS = [
    Row("linear"),
    Row("relu"),
    Row("relu", {"negative_slope": 0.1}),
    Row("relu", {"max_value": 2.0}),
    Row("relu", {"max_value": 6}),
    Row("relu", {"threshold": 1.0}),
    Row("relu", {"threshold": -1.25, "max_value": 2.0}),
    Row("relu", {"negative_slope": 0.1, "max_value": 2.0}),
    Row("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.7}),
    Row("relu6"),
    Row("leaky_relu"),
    Row("leaky_relu", {"negative_slope": 0.05}),
    Row("hard_sigmoid"),
    Row("hard_silu"),
    Row("hard_tanh"),
    Row("hard_shrink"),
    Row("hard_shrink", {"threshold": 1.2}),
    Row("soft_shrink"),
    Row("soft_shrink", {"threshold": 1.2}),
    Row("threshold", {"threshold": 0.3, "default_value": -7.0}),
    Row("sparse_sigmoid"),
    Row("sparse_plus"),
    Row("sigmoid"),
    Row("log_sigmoid"),
    Row("silu"),
    Row("tanh"),
    Row("tanh_shrink"),
    Row("softplus"),
    Row("softsign"),
    Row("squareplus"),
    Row("squareplus", {"b": 0.5}),
    Row("exponential"),
    Row("elu"),
    Row("elu", {"alpha": 0.3}),
    Row("selu"),
    Row("celu"),
    Row("celu", {"alpha": 2.0}),
    Row("gelu"),
    Row("gelu", {"approximate": True}),
    Row("mish"),
    Row("glu"),
    Row("glu", {"axis": 0}),
    Row("softmax"),
    Row("softmax", {"axis": 0}),
    Row("softmax", {"axis": (0, 1)}),
    Row("log_softmax"),
    Row("log_softmax", {"axis": 0}),
    Row("sparsemax"),
    Row("sparsemax", {"axis": 0}),
]

FIXED_INITIALIZERS = [
    Row("Zeros", shape=(3, 2)),
    Row("Ones", shape=(3, 2)),
    Row("Constant", shape=(3, 2)),
    Row("Constant", {"value": -2.5}, (3, 2)),
    Row("Constant", {"value": np.arange(6, dtype=np.float32).reshape(3, 2)}, (3, 2)),
    Row("Constant", {"value": [1.0, 2.0]}, (3, 2)),
    Row("Identity", shape=(3, 3)),
    Row("Identity", {"gain": 0.5}, (3, 5)),
    Row("STFT", shape=(16, 1, 9)),
    Row("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}, (16, 1, 9)),
    Row("STFT", {"window": None}, (8, 1, 9)),
    Row("STFT", {"window": (1.0, 2.0, 3.0, 2.0), "scaling": None}, (4, 1, 3)),
]

RANDOM_INITIALIZERS = [
    Row("RandomNormal", shape=(50, 40)),
    Row("RandomNormal", {"mean": 2.0, "stddev": 0.5}, (50, 40)),
    Row("TruncatedNormal", {"stddev": 2.0}, (50, 40)),
    Row("RandomUniform", shape=(50, 40)),
    Row("RandomUniform", {"minval": 1.0, "maxval": 3.0}, (50, 40)),
    Row("VarianceScaling", shape=(50, 40)),
    Row("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"}, (50, 40)),
    Row("VarianceScaling", {"mode": "fan_avg", "distribution": "uniform"}, (3, 3, 5, 50)),
    Row("VarianceScaling", {"input_axes": [0], "output_axes": [1, 2]}, (8, 5, 50)),
    Row("GlorotUniform", shape=(50, 40)),
    Row("GlorotUniform", {"input_axes": [0, 1], "output_axes": [2]}, (8, 5, 50)),
    Row("GlorotNormal", shape=(3, 3, 5, 50)),
    Row("HeUniform", shape=(8, 5, 50)),
    Row("HeNormal", shape=(3, 3, 5, 50)),
    Row("LecunUniform", shape=(2000,)),
    Row("LecunNormal", shape=(50, 40)),
    Row("Orthogonal", {"gain": 1.5}, (12, 7)),
    Row("Orthogonal", shape=(2, 3, 9)),
]

REGULARIZERS = [
    Row("Regularizer"),
    Row("L1"),
    Row("L1", {"l1": 0.3}),
    Row("L2"),
    Row("L2", {"l2": 0.3}),
    Row("L1L2"),
    Row("L1L2", {"l1": 0.3, "l2": 0.2}),
    Row("OrthogonalRegularizer"),
    Row("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]

CONSTRAINTS = [
    Row("Constraint"),
    Row("MaxNorm"),
    Row("MaxNorm", {"max_value": 0.7, "axis": [0, 1]}),
    Row("NonNeg"),
    Row("UnitNorm"),
    Row("UnitNorm", {"axis": 1}),
    Row("MinMaxNorm"),
    Row("MinMaxNorm", {"min_value": 2.5, "max_value": 3.0, "rate": 0.4, "axis": 1}),
]
