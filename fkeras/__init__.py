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
    distribution,
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
from fkeras.core.device import device
from fkeras.core.dtypes import DTypePolicy
from fkeras.core.dtypes import DTypePolicy as FloatDTypePolicy
from fkeras.core.symbol import Symbol as KerasTensor
from fkeras.core.variable import Variable, name_scope
from fkeras.initializers import Initializer
from fkeras.layers import InputSpec, Layer, Operation
from fkeras.layers.contract.remat import RematScope, remat
from fkeras.layers.contract.stateless import StatelessScope
from fkeras.losses import Loss
from fkeras.metrics import Metric
from fkeras.models import Function, Input, Model, Sequential
from fkeras.optim import Optimizer
from fkeras.regularizers import Regularizer

__version__ = "0.2.0"

compat.register_aliases()
_docstrings.complete(
    "activations", "backend", "config", "constraints", "core", "data", "datasets", "dtype_policies", "initializers",
    "layers.merging", "losses", "metrics", "models", "optim", "preprocessing", "random", "regularizers", "saving",
    "tree", "utils", "wrappers",
)  # fmt: skip


def version():
    """Returns `__version__`."""
    return __version__


__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "Function",
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
    "RematScope",
    "Sequential",
    "StatelessScope",
    "Variable",
    "__version__",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "device",
    "distribution",
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
    "remat",
    "saving",
    "tree",
    "utils",
    "version",
    "visualization",
    "wrappers",
]


def __dir__():
    return sorted(__all__)


keras_paths.register()
_names.explain(sys.modules[__name__])
