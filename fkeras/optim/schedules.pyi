# mypy: ignore-errors
# Written by .ci/stubs.py from the signatures of the package.
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fkeras.core.settings import Configured

_Named = str | Callable[..., Any] | dict[str, Any] | None  # a name, a function, an object or its config
_Sizes = int | Sequence[int]  # one for all axes, or one an axis
_Rate = float | Callable[..., Any] | dict[str, Any]  # a number or a schedule



def number(value: Any) -> Any: ...

def positive(value: Any) -> Any: ...

def exponential_decay(step: Any, initial: Any, decay_steps: Any, decay_rate: Any, *, staircase: Any = False) -> Any: ...

def inverse_time_decay(step: Any, initial: Any, decay_steps: Any, decay_rate: Any, *, staircase: Any = False) -> Any: ...

def piecewise_constant(step: Any, boundaries: Any, values: Any) -> Any: ...

def polynomial_decay(step: Any, initial: Any, decay_steps: Any, end: Any, power: Any = 1.0, *, cycle: Any = False) -> Any: ...

def cosine_decay(step: Any, initial: Any, decay_steps: Any, alpha: Any = 0.0, warmup_target: Any = None, warmup_steps: Any = 0) -> Any: ...

def cosine_decay_restarts(step: Any, initial: Any, first_decay_steps: Any, t_mul: Any = 2.0, m_mul: Any = 1.0, alpha: Any = 0.0) -> Any: ...

def get(identifier: Any) -> Any: ...

def deserialize(config: Any, custom_objects: Any = None) -> Any: ...

class LearningRateSchedule(Configured):
    def __init__(self) -> None: ...
    def __call__(self, step: Any) -> Any: ...

class ExponentialDecay(LearningRateSchedule):
    initial_learning_rate: Any
    decay_steps: Any
    decay_rate: Any
    staircase: Any = False
    name: Any = 'ExponentialDecay'
    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False, name: str = 'ExponentialDecay') -> None: ...
    def __call__(self, step: Any) -> Any: ...

class PiecewiseConstantDecay(LearningRateSchedule):
    boundaries: Any
    values: Any
    name: Any = 'PiecewiseConstant'
    def __init__(self, boundaries: Any, values: Any, name: str = 'PiecewiseConstant') -> None: ...
    def check(self) -> Any: ...
    def __call__(self, step: Any) -> Any: ...

class PolynomialDecay(LearningRateSchedule):
    initial_learning_rate: Any
    decay_steps: Any
    end_learning_rate: Any = 0.0001
    power: Any = 1.0
    cycle: Any = False
    name: Any = 'PolynomialDecay'
    def __init__(self, initial_learning_rate: float, decay_steps: int, end_learning_rate: float = 0.0001, power: float = 1.0, cycle: bool = False, name: str = 'PolynomialDecay') -> None: ...
    def __call__(self, step: Any) -> Any: ...

class InverseTimeDecay(LearningRateSchedule):
    initial_learning_rate: Any
    decay_steps: Any
    decay_rate: Any
    staircase: Any = False
    name: Any = 'InverseTimeDecay'
    def __init__(self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False, name: str = 'InverseTimeDecay') -> None: ...
    def __call__(self, step: Any) -> Any: ...

class CosineDecay(LearningRateSchedule):
    initial_learning_rate: Any
    decay_steps: Any
    alpha: Any = 0.0
    name: Any = 'CosineDecay'
    warmup_target: Any = None
    warmup_steps: Any = 0
    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, name: str = 'CosineDecay', warmup_target: Any = None, warmup_steps: int = 0) -> None: ...
    def __call__(self, step: Any) -> Any: ...

class CosineDecayRestarts(LearningRateSchedule):
    initial_learning_rate: Any
    first_decay_steps: Any
    t_mul: Any = 2.0
    m_mul: Any = 1.0
    alpha: Any = 0.0
    name: Any = 'SGDRDecay'
    def __init__(self, initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0, alpha: float = 0.0, name: str = 'SGDRDecay') -> None: ...
    def check(self) -> Any: ...
    def __call__(self, step: Any) -> Any: ...

__all__ = ['CosineDecay', 'CosineDecayRestarts', 'ExponentialDecay', 'InverseTimeDecay', 'LearningRateSchedule', 'PiecewiseConstantDecay', 'PolynomialDecay', 'cosine_decay', 'cosine_decay_restarts', 'deserialize', 'exponential_decay', 'get', 'inverse_time_decay', 'number', 'piecewise_constant', 'polynomial_decay', 'positive']
