"""Optimizers and learning rate schedules, as pure functions with Keras's names."""

from fkeras.core.settings import serialize
from fkeras.optim import schedules as schedules
from fkeras.optim.adaptive import Adadelta, Adafactor, Adagrad, Ftrl
from fkeras.optim.adaptive import RMSprop as RMSprop
from fkeras.optim.base import Optimizer, optimizers
from fkeras.optim.loss_scale import LossScaleOptimizer
from fkeras.optim.moments import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from fkeras.optim.momentum import SGD, Lion, Muon
from fkeras.optim.multi import MultiOptimizer, OptimizerMap
from fkeras.optim.resolve import deserialize, get
from fkeras.optim.transformation import Transformation

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "Transformation",
    "deserialize",
    "get",
    "optimizers",
    "schedules",
    "serialize",
]


def __dir__():
    return sorted(__all__)
