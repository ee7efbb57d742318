# mypy: ignore-errors
# Written by .ci/stubs.py from the signatures of the package.
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fkeras.core.settings import Configured

_Named = str | Callable[..., Any] | dict[str, Any] | None  # a name, a function, an object or its config
_Sizes = int | Sequence[int]  # one for all axes, or one an axis
_Rate = float | Callable[..., Any] | dict[str, Any]  # a number or a schedule



def project_norm(w: Any, min_value: Any = 0.0, max_value: Any = ..., rate: Any = 1.0, axis: Any = 0) -> Any: ...

def get(identifier: Any) -> Any: ...

def serialize(constraint: Any) -> Any: ...

def deserialize(config: Any, custom_objects: Any = None) -> Any: ...

class Constraint(Configured):
    def __init__(self) -> None: ...
    def __call__(self, w: Any) -> Any: ...

class MaxNorm(Constraint):
    max_value: Any = 2
    axis: Any = 0
    def __init__(self, max_value: float = 2, axis: int = 0) -> None: ...
    def __call__(self, w: Any) -> Any: ...

class NonNeg(Constraint):
    def __init__(self) -> None: ...
    def __call__(self, w: Any) -> Any: ...

class UnitNorm(Constraint):
    axis: Any = 0
    def __init__(self, axis: int = 0) -> None: ...
    def __call__(self, w: Any) -> Any: ...

class MinMaxNorm(Constraint):
    min_value: Any = 0.0
    max_value: Any = 1.0
    rate: Any = 1.0
    axis: Any = 0
    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int = 0) -> None: ...
    def __call__(self, w: Any) -> Any: ...

max_norm = MaxNorm

non_neg = NonNeg

unit_norm = UnitNorm

min_max_norm = MinMaxNorm

__all__ = ['Constraint', 'MaxNorm', 'MinMaxNorm', 'NonNeg', 'UnitNorm', 'deserialize', 'get', 'max_norm', 'min_max_norm', 'non_neg', 'project_norm', 'serialize', 'unit_norm']
