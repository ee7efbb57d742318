"""Keras's name for `fkeras.optim.schedules`."""

from fkeras.optim.schedules import *
