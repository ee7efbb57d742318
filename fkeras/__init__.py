"""fkeras: Keras's words on the surface, pure JAX functions underneath."""

import sys

from fkeras import (
    activations,
    applications,
    backend,
    callbacks,
    compat,
    config,
    constraints,
    datasets,
    dtype_policies,
    experimental,
    initializers,
    keras_paths,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    ops,
    optim,
    optimizers,
    preprocessing,
    random,
    regularizers,
    saving,
    tree,
    utils,
    visualization,
    wrappers,
)
from fkeras.core import docstrings as _docstrings
from fkeras.core import names as _names
from fkeras.core.dtypes import DTypePolicy
from fkeras.core.symbol import Symbol as KerasTensor
from fkeras.core.variable import Variable, name_scope
from fkeras.initializers import Initializer
from fkeras.layers import InputSpec, Layer, Operation
from fkeras.losses import Loss
from fkeras.metrics import Metric
from fkeras.models import Input, Model, Sequential
from fkeras.optim import Optimizer
from fkeras.regularizers import Regularizer

__version__ = "0.2.0"

compat.register_aliases()
_docstrings.complete(
    "activations", "backend", "config", "constraints", "core", "data", "datasets", "dtype_policies", "initializers",
    "layers.merging", "losses", "metrics", "models", "optim", "preprocessing", "random", "regularizers", "saving",
    "tree", "utils", "wrappers",
)  # fmt: skip

__all__ = [
    "DTypePolicy",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "experimental",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "ops",
    "optim",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
    "visualization",
    "wrappers",
]


def __dir__():
    return sorted(__all__)


keras_paths.register()
_names.explain(sys.modules[__name__])
