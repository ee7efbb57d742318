# mypy: ignore-errors
# Written by .ci/stubs.py from the signatures of the package.
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fkeras.core.settings import Configured

_Named = str | Callable[..., Any] | dict[str, Any] | None  # a name, a function, an object or its config
_Sizes = int | Sequence[int]  # one for all axes, or one an axis
_Rate = float | Callable[..., Any] | dict[str, Any]  # a number or a schedule



def l1_l2_penalty(x: Any, l1: Any = 0.0, l2: Any = 0.0) -> Any: ...

def orthogonality_penalty(x: Any, factor: Any = 0.01, mode: Any = 'rows') -> Any: ...

def get(identifier: Any) -> Any: ...

def serialize(regularizer: Any) -> Any: ...

def deserialize(config: Any, custom_objects: Any = None) -> Any: ...

class Regularizer(Configured):
    def __init__(self) -> None: ...
    def __call__(self, x: Any) -> Any: ...

class L1(Regularizer):
    l1: Any = 0.01
    def __init__(self, l1: float = 0.01) -> None: ...
    def __call__(self, x: Any) -> Any: ...

class L2(Regularizer):
    l2: Any = 0.01
    def __init__(self, l2: float = 0.01) -> None: ...
    def __call__(self, x: Any) -> Any: ...

class L1L2(Regularizer):
    l1: Any = 0.0
    l2: Any = 0.0
    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None: ...
    def __call__(self, x: Any) -> Any: ...

class OrthogonalRegularizer(Regularizer):
    factor: Any = 0.01
    mode: Any = 'rows'
    def __init__(self, factor: float = 0.01, mode: str = 'rows') -> None: ...
    def __call__(self, x: Any) -> Any: ...

l1 = L1

l2 = L2

l1_l2 = L1L2

orthogonal_regularizer = OrthogonalRegularizer

__all__ = ['L1', 'L1L2', 'L2', 'OrthogonalRegularizer', 'Regularizer', 'deserialize', 'get', 'l1', 'l1_l2', 'l1_l2_penalty', 'l2', 'orthogonal_regularizer', 'orthogonality_penalty', 'serialize']
