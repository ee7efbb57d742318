"""Keras's name for `fkeras.optim`."""

from fkeras.optim import *
from fkeras.optim import __all__ as __all__
from fkeras.optimizers import schedules as schedules
