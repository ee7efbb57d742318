"""Training: the pure step, what it is compiled for, and the loops of fit, evaluate and predict around it."""

from fkeras.training.step import Objective, Program, TrainState

__all__ = ["Objective", "Program", "TrainState"]
