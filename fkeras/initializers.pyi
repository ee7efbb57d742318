# mypy: ignore-errors
# Written by .ci/stubs.py from the signatures of the package.
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fkeras.core.settings import Configured

_Named = str | Callable[..., Any] | dict[str, Any] | None  # a name, a function, an object or its config
_Sizes = int | Sequence[int]  # one for all axes, or one an axis
_Rate = float | Callable[..., Any] | dict[str, Any]  # a number or a schedule



def compute_fans(shape: Any, input_axes: Any = None, output_axes: Any = None) -> Any: ...

def draw_normal(key: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = ...) -> Any: ...

def draw_truncated_normal(key: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = ...) -> Any: ...

def draw_uniform(key: Any, shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = ...) -> Any: ...

def draw_scaled(key: Any, shape: Any, scale: Any, mode: Any, distribution: Any, input_axes: Any = None, output_axes: Any = None, dtype: Any = ...) -> Any: ...

def draw_orthogonal(key: Any, shape: Any, gain: Any = 1.0, dtype: Any = ...) -> Any: ...

def get(identifier: Any) -> Any: ...

def serialize(initializer: Any) -> Any: ...

def deserialize(config: Any, custom_objects: Any = None) -> Any: ...

def draw(initializer: Any, key: Any, shape: Any, dtype: Any = None) -> Any: ...

def as_shape(shape: Any) -> Any: ...

def as_dtype(dtype: Any) -> Any: ...

class Initializer(Configured):
    def __init__(self) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...
    def __call__(self, key: Any = None, shape: Any = None, dtype: Any = None) -> Any: ...
    def key_for(self, key: Any) -> Any: ...
    def clone(self) -> Any: ...

class RandomInitializer(Initializer):
    seed: Any = None
    def __init__(self, seed: Any = None) -> None: ...
    def key_for(self, key: Any) -> Any: ...

class Zeros(Initializer):
    def __init__(self) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class Ones(Initializer):
    def __init__(self) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class Constant(Initializer):
    value: Any = 0.0
    def __init__(self, value: float = 0.0) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...
    def get_config(self) -> Any: ...

class Identity(Initializer):
    gain: Any = 1.0
    def __init__(self, gain: float = 1.0) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class STFT(Initializer):
    side: Any = 'real'
    window: Any = 'hann'
    scaling: Any = 'density'
    periodic: Any = False
    def __init__(self, side: str = 'real', window: Any = 'hann', scaling: Any = 'density', periodic: bool = False) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class RandomNormal(RandomInitializer):
    mean: Any = 0.0
    stddev: Any = 0.05
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class TruncatedNormal(RandomInitializer):
    mean: Any = 0.0
    stddev: Any = 0.05
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class RandomUniform(RandomInitializer):
    minval: Any = -0.05
    maxval: Any = 0.05
    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

class Orthogonal(RandomInitializer):
    gain: Any = 1.0
    def __init__(self, gain: float = 1.0, seed: Any = None) -> None: ...
    def sample(self, key: Any, shape: Any, dtype: Any) -> Any: ...

zeros = Zeros

ones = Ones

constant = Constant

identity = Identity

stft = STFT

random_normal = RandomNormal

random_uniform = RandomUniform

truncated_normal = TruncatedNormal

orthogonal = Orthogonal

IdentityInitializer = Identity

OrthogonalInitializer = Orthogonal

STFTInitializer = STFT

class VarianceScaling(RandomInitializer):
    scale: Any = 1.0
    mode: Any = 'fan_in'
    distribution: Any = 'truncated_normal'
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, scale: float = 1.0, mode: str = 'fan_in', distribution: str = 'truncated_normal', seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...

class GlorotUniform(RandomInitializer):
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...
    scale: ClassVar[Any]
    mode: ClassVar[Any]
    distribution: ClassVar[Any]

class GlorotNormal(RandomInitializer):
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...
    scale: ClassVar[Any]
    mode: ClassVar[Any]
    distribution: ClassVar[Any]

class HeUniform(RandomInitializer):
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...
    scale: ClassVar[Any]
    mode: ClassVar[Any]
    distribution: ClassVar[Any]

class HeNormal(RandomInitializer):
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...
    scale: ClassVar[Any]
    mode: ClassVar[Any]
    distribution: ClassVar[Any]

class LecunUniform(RandomInitializer):
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...
    scale: ClassVar[Any]
    mode: ClassVar[Any]
    distribution: ClassVar[Any]

class LecunNormal(RandomInitializer):
    input_axes: Any = None
    output_axes: Any = None
    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None: ...
    scale: ClassVar[Any]
    mode: ClassVar[Any]
    distribution: ClassVar[Any]

variance_scaling = VarianceScaling

glorot_uniform = GlorotUniform

glorot_normal = GlorotNormal

he_uniform = HeUniform

he_normal = HeNormal

lecun_uniform = LecunUniform

lecun_normal = LecunNormal

__all__ = ['Constant', 'GlorotNormal', 'GlorotUniform', 'HeNormal', 'HeUniform', 'Identity', 'IdentityInitializer', 'Initializer', 'LecunNormal', 'LecunUniform', 'Ones', 'Orthogonal', 'OrthogonalInitializer', 'RandomInitializer', 'RandomNormal', 'RandomUniform', 'STFT', 'STFTInitializer', 'TruncatedNormal', 'VarianceScaling', 'Zeros', 'as_dtype', 'as_shape', 'compute_fans', 'constant', 'deserialize', 'draw', 'draw_normal', 'draw_orthogonal', 'draw_scaled', 'draw_truncated_normal', 'draw_uniform', 'get', 'glorot_normal', 'glorot_uniform', 'he_normal', 'he_uniform', 'identity', 'lecun_normal', 'lecun_uniform', 'ones', 'orthogonal', 'random_normal', 'random_uniform', 'serialize', 'stft', 'truncated_normal', 'variance_scaling', 'zeros']
