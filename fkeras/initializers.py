"""Initial values of weights: pure functions of (key, shape), and the settings that name them.

An initializer is called in fkeras's way, `initializer(key, shape, dtype)`, or in Keras's way,
`initializer(shape, dtype)`, which draws a key from the process-wide seed. One that was given `seed=` depends on that
seed alone, and gives the numbers that Keras on JAX gives for it.
"""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes, host_random, rng
from fkeras.core.dtypes import at_least_float32
from fkeras.core.settings import Configured, Registry, choice, custom_object_scope, setting
from fkeras.core.settings import serialize as _serialize
from fkeras.core.windows import stft_kernel, window_values

# -------------------------------------------------------------------------------------- pure functions


def compute_fans(shape, input_axes=None, output_axes=None):
    """Counts the inputs and outputs of one unit of a weight.

    A matrix is (inputs, outputs). Of a convolution kernel (..., inputs, outputs) both are multiplied by the size of
    the window. A vector is taken as a square of its size. With both `input_axes` and `output_axes` the fans are
    the products of the sizes of these axes.

    Returns:
        (fan_in, fan_out), ints.

    Example:
        >>> compute_fans((3, 3, 16, 32)), compute_fans((8, 4, 5), input_axes=[0], output_axes=[1, 2])
        ((144, 288), (8, 20))
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def draw_normal(key, shape, mean=0.0, stddev=1.0, dtype=jnp.float32):
    """Draws from the normal distribution; half precision is drawn in float32 and rounded once.

    Example:
        >>> draw_normal(jax.random.key(0), (2, 3), dtype=jnp.bfloat16).dtype.name
        'bfloat16'
    """
    return jnp.asarray(host_random.normal(key, shape, _drawn_in(dtype)) * stddev + mean, dtype)


def draw_truncated_normal(key, shape, mean=0.0, stddev=1.0, dtype=jnp.float32):
    """Draws from the normal distribution cut off at two `stddev` from the mean; `stddev` is that before the cut.

    Example:
        >>> bool(abs(draw_truncated_normal(jax.random.key(0), (100,), stddev=3.0)).max() <= 6.0)
        True
    """
    return jnp.asarray(host_random.truncated_normal(key, -2.0, 2.0, shape, _drawn_in(dtype)) * stddev + mean, dtype)


def draw_uniform(key, shape, minval=0.0, maxval=1.0, dtype=jnp.float32):
    """Draws uniformly from [minval, maxval).

    Example:
        >>> draw_uniform(jax.random.key(0), (4,), minval=2.0, maxval=2.0).tolist()
        [2.0, 2.0, 2.0, 2.0]
    """
    return jnp.asarray(host_random.uniform(key, shape, _drawn_in(dtype), minval, maxval), dtype)


def draw_scaled(key, shape, scale, mode, distribution, input_axes=None, output_axes=None, dtype=jnp.float32):
    """Draws values of mean 0 and variance scale / n, where n is the fan that `mode` names (at least 1).

    Args:
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
    """
    fan_in, fan_out = compute_fans(shape, input_axes, output_axes)
    variance = scale / max(1.0, {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode])
    if distribution == "uniform":
        limit = math.sqrt(3.0 * variance)
        return draw_uniform(key, shape, -limit, limit, dtype)
    if distribution == "untruncated_normal":
        return draw_normal(key, shape, 0.0, math.sqrt(variance), dtype)
    # 0.8796...: standard deviation of a unit normal distribution cut off at two
    return draw_truncated_normal(key, shape, 0.0, math.sqrt(variance) / 0.87962566103423978, dtype)


def draw_orthogonal(key, shape, gain=1.0, dtype=jnp.float32):
    """Draws a matrix [prod(shape[:-1]), shape[-1]] with orthonormal rows or columns (the fewer), times `gain`.

    Raises:
        ValueError: `shape` has fewer than two axes.

    Example:
        >>> q = draw_orthogonal(jax.random.key(0), (2, 3, 4))
        >>> bool(jnp.allclose(q.reshape(6, 4).T @ q.reshape(6, 4), jnp.eye(4), atol=1e-5))
        True

    Reference:
        Saxe, McClelland & Ganguli, "Exact Solutions to the Nonlinear Dynamics of Learning", 2014, arXiv:1312.6120.
    """
    if len(shape) < 2:
        raise ValueError(f"Orthogonal: expected a shape of at least two axes, got {shape}.")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    normal = host_random.normal(key, (max(rows, columns), min(rows, columns)), _drawn_in(dtype))
    lib = np if isinstance(normal, np.ndarray) else jnp
    q, r = lib.linalg.qr(normal)
    # Without the signs of r's diagonal, q would not be uniform over the orthogonal matrices (Mezzadri, 2007).
    q = lib.where(lib.diagonal(r)[None] < 0, -q, q)
    return jnp.asarray(gain * (q.T if rows < columns else q).reshape(shape), dtype)


def _drawn_in(dtype):
    """Returns the dtype to draw in for a result of `dtype`: at least float32."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"Random initial values need a float dtype, got {jnp.dtype(dtype).name}.")
    return at_least_float32(dtype)


# --------------------------------------------------------------------------------------------- family


class _Initializers(Registry):
    """The family of initializers: numbers and arrays stand for themselves."""

    def get(self, identifier):
        number = isinstance(identifier, (int, float)) and not isinstance(identifier, bool)
        if number or (hasattr(identifier, "__array__") and not callable(identifier)):
            return Constant(identifier)
        return super().get(identifier)


initializers = _Initializers("initializer", "keras.initializers")


def get(identifier):
    """Returns the initializer that `identifier` means: a name, a config, a class, an object, a function, an array.

    Raises:
        ValueError: No initializer has that name. TypeError: `identifier` is of another kind.

    Example:
        >>> get("he_normal"), get({"class_name": "Constant", "config": {"value": 3.0}})
        (HeNormal(), Constant(value=3.0))
    """
    return initializers.get(identifier)


def serialize(initializer):
    """Returns the config dict of `initializer`, or the name of a function."""
    return _serialize(initializer)


def deserialize(config, custom_objects=None):
    """Returns the initializer that `serialize` wrote as `config`; `custom_objects` maps further names."""
    with custom_object_scope(custom_objects or {}):
        return initializers.get(config)


def draw(initializer, key, shape, dtype=None):
    """Returns the initial value that `initializer` gives for `key`: pure where the initializer is.

    Args:
        initializer: Anything `get` takes. Functions may have Keras's arguments (shape, dtype), or (shape) alone, or
            those of `jax.nn.initializers`, (key, shape, dtype): told apart by the name "key" of the first.
        key: JAX key. Functions in Keras's form do not see it.
        shape: Tuple of ints.
        dtype: Dtype of the result; None is `floatx`.

    Returns:
        Array of exactly that shape and dtype.

    Raises:
        ValueError: The initializer returned another shape.

    Example:
        >>> draw(lambda shape, dtype: jnp.ones(shape, dtype), jax.random.key(0), (2,)).tolist()
        [1.0, 1.0]
    """
    initializer = get(initializer)
    if initializer is None:
        raise TypeError("draw: expected an initializer, got None.")
    shape, dtype = as_shape(shape), as_dtype(dtype)
    first, arguments = _parameters(initializer)
    if first == "key":
        value = initializer(key, shape, dtype)
    elif "dtype" in arguments or "kwargs" in arguments:
        value = initializer(shape, dtype=dtype)
    else:
        value = initializer(shape, dtype) if len(arguments) > 1 else initializer(shape)
    value = jnp.asarray(value, dtype)
    if value.shape != shape:
        raise ValueError(f"Initializer {initializer!r}: expected a value of shape {shape}, got shape {value.shape}.")
    return value


def _parameters(function):
    """Returns (name of the first parameter, names of all), with "kwargs" for any **name."""
    if isinstance(function, Configured):  # `inspect` would find the signature of its constructor
        function = function.__call__
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C do not tell
        return None, ["dtype"]
    names = ["kwargs" if p.kind is p.VAR_KEYWORD else p.name for p in parameters]
    return (names[0] if names else None), names


def as_shape(shape):
    """Returns `shape`, an int or a sequence of ints, as a tuple.

    Raises:
        ValueError: A size is unknown (None) or negative.
    """
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(not hasattr(size, "__index__") or size < 0 for size in sizes):
        raise ValueError(f"expected a shape of integers that are 0 or more, got {shape!r}.")
    return tuple(int(size) for size in sizes)


def as_dtype(dtype):
    """Returns `dtype` as a NumPy dtype; None is `floatx`."""
    return jnp.dtype(dtypes.floatx() if dtype is None else dtype)


# ---------------------------------------------------------------------------------------------- base


@initializers.register
class Initializer(Configured):
    """Base of initializers.

    One of your own defines `sample(self, key, shape, dtype)`, which is pure, or, as in Keras,
    `__call__(self, shape, dtype=None)`.

    Example:
        >>> class Ramp(Initializer):
        ...     top: float = 1.0
        ...     def sample(self, key, shape, dtype):
        ...         return jnp.linspace(0, self.top, shape[0], dtype=dtype)
        >>> Ramp(4.0)((3,)).tolist()
        [0.0, 2.0, 4.0]
    """

    def sample(self, key, shape, dtype):
        """Returns the array of that shape and dtype for `key`."""
        raise TypeError(
            f"{type(self).__name__} is no complete initializer: it has neither sample(self, key, shape, dtype) nor "
            f"__call__(self, shape, dtype=None)."
        )

    def __call__(self, key=None, shape=None, dtype=None):
        """Returns an initial value: `self(key, shape, dtype)`, or in Keras's way `self(shape, dtype)`."""
        if isinstance(key, (int, np.integer, tuple, list)):
            if shape is not None and dtype is not None:
                raise TypeError(f"{type(self).__name__}: expected (key, shape, dtype), got {key!r} for the key.")
            key, shape, dtype = None, key, shape if dtype is None else dtype
        if shape is None:
            raise TypeError(f"{type(self).__name__} needs a shape: initializer(shape) or initializer(key, shape).")
        return self.sample(self.key_for(key), as_shape(shape), as_dtype(dtype))

    def key_for(self, key):
        """Returns the key to draw with: `key`, or where there is none a fresh one of the process-wide seed."""
        return rng.next_key() if key is None else key

    @classmethod
    def from_config(cls, config):
        """Makes an object of the settings in `config`; the dtype that Keras 2 wrote there is the weight's now."""
        if "dtype" in config and cls.__init__ is Configured.__init__ and "dtype" not in cls._fields:
            config = {name: value for name, value in config.items() if name != "dtype"}
        return super().from_config(config)

    def clone(self):
        """Returns an equal initializer."""
        return self.from_config(self.get_config())


# ----------------------------------------------------------------------------------------- constants


class _Fixed(Initializer):
    """Base of the initializers that need no key."""

    def key_for(self, key):
        return key


@initializers.register("zero", "zeros")
class Zeros(_Fixed):
    """Zeros.

    Example:
        >>> Zeros()((2,)).tolist()
        [0.0, 0.0]
    """

    def sample(self, key, shape, dtype):
        return jnp.zeros(shape, dtype)


@initializers.register("one", "ones")
class Ones(_Fixed):
    """Ones.

    Example:
        >>> Ones()((2,), "int32").tolist()
        [1, 1]
    """

    def sample(self, key, shape, dtype):
        return jnp.ones(shape, dtype)


def _values(value):
    """Converter: a number stays one, an array or Keras's config of one becomes a NumPy array."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        value = np.asarray(value["config"]["value"], jnp.dtype(value["config"]["dtype"]))
    if isinstance(value, (bool, int, float)):
        return value
    try:
        array = np.asarray(value)
        kind = jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool
    except (TypeError, ValueError):
        kind = False
    if not kind:
        raise TypeError(f"expected a number or an array of numbers, got {type(value).__name__}.")
    return array if array.ndim else array.item()


@initializers.register("constant")
class Constant(_Fixed):
    """One value everywhere, or the values of an array.

    Args:
        value: Number, or an array that can be broadcast to the shape of the weight.

    Raises:
        ValueError: The array does not fit the shape.

    Example:
        >>> Constant(3.0)((2,)).tolist(), Constant([1.0, 2.0])((2, 2)).tolist()
        ([3.0, 3.0], [[1.0, 2.0], [1.0, 2.0]])
    """

    value: float = setting(_values, 0.0)

    def sample(self, key, shape, dtype):
        own = np.shape(self.value)
        if len(own) > len(shape) or any(a not in (1, b) for a, b in zip(own[::-1], shape[::-1], strict=False)):
            raise ValueError(f"Constant: expected values that fit the shape {shape}, got an array of shape {own}.")
        return jnp.broadcast_to(jnp.asarray(self.value, dtype), shape)

    def get_config(self):
        """Returns the settings; an array in Keras 3's form, which Keras reads."""
        if np.ndim(self.value) == 0:
            return {"value": self.value}
        config = {"value": self.value.tolist(), "dtype": self.value.dtype.name}
        return {"value": {"class_name": "__numpy__", "config": config}}

    def __repr__(self):
        if np.ndim(self.value) == 0:
            return super().__repr__()
        return f"Constant(value={self.value.dtype.name}{list(self.value.shape)})"


@initializers.register("identity", "IdentityInitializer")
class Identity(_Fixed):
    """Identity matrix times `gain`; a rectangle has ones on its main diagonal.

    Raises:
        ValueError: The shape has not two axes.

    Example:
        >>> Identity(gain=2.0)((2, 3)).tolist()
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    gain: float = 1.0

    def sample(self, key, shape, dtype):
        if len(shape) != 2:
            raise ValueError(f"Identity: expected a matrix, a shape of two axes, got {shape}.")
        return (self.gain * jnp.eye(*shape, dtype=dtype)).astype(dtype)


def _window(value):
    """Converter: None, the name of a window, or its values as a tuple."""
    if value is None:
        return None
    if isinstance(value, str):
        window_values(value, 1)
        return value
    return tuple(np.asarray(_values(value), np.float64).reshape(-1).tolist())


@initializers.register("stft", "STFTInitializer")
class STFT(_Fixed):
    """Kernel of a convolution that computes one side of the short-time Fourier transform; see `stft_kernel`.

    Args:
        side: "real" or "imag".
        window: Name of a window, its values, or None for none.
        scaling: "density", "spectrum" or None.
        periodic: Whether a named window is periodic instead of symmetric.

    Example:
        >>> STFT("imag", "hann", "density")((128, 1, 513)).shape
        (128, 1, 513)
    """

    side: str = setting(choice("real", "imag"), "real")
    window: str | None = setting(_window, "hann")
    scaling: str | None = setting(choice("density", "spectrum", None), "density")
    periodic: bool = False

    def sample(self, key, shape, dtype):
        return stft_kernel(shape, self.side, self.window, self.scaling, self.periodic, dtype)


# -------------------------------------------------------------------------------------------- random


def _seed(value):
    """Converter: None, an int, or an object with `next()`; of Keras's config of a SeedGenerator, its seed."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        value = value["config"].get("seed")
    if value is None or callable(getattr(value, "next", None)):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"expected an integer or None, got {value!r}.")
    return int(value)


class RandomInitializer(Initializer):
    """Base of the initializers that draw.

    Args:
        seed: None: every weight has numbers of its own, from its key. An int (modulo 2**32): the same numbers on
            every call, those of Keras on JAX. An object with `next()`: a fresh seed or key from it on every call.
    """

    seed: int | None = setting(_seed, None)

    def key_for(self, key):
        if self.seed is None:
            return super().key_for(key)
        if not isinstance(self.seed, int):
            return rng.as_key(self.seed.next())
        # The raw Threefry key (seed, 0) is the one that Keras makes of a seed; `jax.random.key` makes (0, seed).
        return jax.random.wrap_key_data(np.array([self.seed % 2**32, 0], np.uint32), impl="threefry2x32")


@initializers.register("random_normal", "normal")
class RandomNormal(RandomInitializer):
    """Normal distribution.

    Example:
        >>> RandomNormal(mean=2.0, stddev=0.0)((2,)).tolist()
        [2.0, 2.0]
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = setting(_seed, None)

    def sample(self, key, shape, dtype):
        return draw_normal(key, shape, self.mean, self.stddev, dtype)


@initializers.register("truncated_normal")
class TruncatedNormal(RandomInitializer):
    """Normal distribution cut off at two standard deviations from the mean.

    Example:
        >>> bool(abs(TruncatedNormal(stddev=1.0)((100,))).max() <= 2.0)
        True
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = setting(_seed, None)

    def sample(self, key, shape, dtype):
        return draw_truncated_normal(key, shape, self.mean, self.stddev, dtype)


@initializers.register("random_uniform", "uniform")
class RandomUniform(RandomInitializer):
    """Uniform distribution over [minval, maxval).

    Example:
        >>> bool(abs(RandomUniform(-2.0, 2.0)((100,))).max() <= 2.0)
        True
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = setting(_seed, None)

    def sample(self, key, shape, dtype):
        return draw_uniform(key, shape, self.minval, self.maxval, dtype)


@initializers.register("orthogonal", "OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """Matrix with orthonormal rows or columns, times `gain`; see `draw_orthogonal`.

    Example:
        >>> bool(jnp.isclose(jnp.sum(Orthogonal(gain=2.0)((2, 3, 4)) ** 2), 2.0**2 * 4))
        True
    """

    gain: float = 1.0
    seed: int | None = setting(_seed, None)

    def sample(self, key, shape, dtype):
        return draw_orthogonal(key, shape, self.gain, dtype)


class _Scaled(RandomInitializer):
    """Base of the initializers whose variance follows from the fans; a subclass fixes scale, mode, distribution.

    Args:
        seed: As in `RandomInitializer`.
        input_axes, output_axes: Axes whose sizes make up the fans (both or none); see `compute_fans`.
    """

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"
    seed: int | None = setting(_seed, None)
    input_axes: tuple | None = None
    output_axes: tuple | None = None

    def sample(self, key, shape, dtype):
        settings = self.scale, self.mode, self.distribution, self.input_axes, self.output_axes
        return draw_scaled(key, shape, *settings, dtype)

    def get_config(self):
        """Returns the settings, without axes that are None: older Keras does not know them."""
        config = super().get_config()
        return {n: v for n, v in config.items() if v is not None or n not in ("input_axes", "output_axes")}


def _positive(value):
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or not 0 < float(value) < math.inf:
        raise ValueError(f"expected a positive number, got {value!r}.")
    return float(value)


def _distribution(value):
    """Converter: one of Keras's three; "normal" is the truncated one."""
    value = choice("truncated_normal", "untruncated_normal", "uniform", "normal")(value)
    return "truncated_normal" if value == "normal" else value


@initializers.register("variance_scaling")
class VarianceScaling(_Scaled):
    """Variance scale / n, where n is the fan that `mode` names; the others of this kind are its special cases.

    Args:
        scale: Positive number.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        seed: As in `RandomInitializer`.
        input_axes, output_axes: Axes whose sizes make up the fans (both or none); see `compute_fans`.

    Example:
        >>> bool(abs(VarianceScaling(3.0, "fan_in", "uniform")((9, 50))).max() <= 1.0)  # sqrt(3 * 3 / 9)
        True
    """

    scale: float = setting(_positive, 1.0)
    mode: str = setting(choice("fan_in", "fan_out", "fan_avg"), "fan_in")
    distribution: str = setting(_distribution, "truncated_normal")
    seed: int | None = setting(_seed, None)
    input_axes: tuple | None = None
    output_axes: tuple | None = None


@initializers.register("glorot_uniform")
class GlorotUniform(_Scaled):
    """Uniform within sqrt(6 / (fan_in + fan_out)): Keras's default for kernels.

    Reference:
        Glorot & Bengio, "Understanding the Difficulty of Training Deep Feedforward Neural Networks", 2010.
    """

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


@initializers.register("glorot_normal")
class GlorotNormal(_Scaled):
    """Truncated normal with standard deviation sqrt(2 / (fan_in + fan_out)); Glorot & Bengio, 2010."""

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


@initializers.register("he_uniform")
class HeUniform(_Scaled):
    """Uniform within sqrt(6 / fan_in), for rectifiers.

    Reference:
        He et al., "Delving Deep into Rectifiers", 2015, arXiv:1502.01852.
    """

    scale, mode, distribution = 2.0, "fan_in", "uniform"


@initializers.register("he_normal")
class HeNormal(_Scaled):
    """Truncated normal with standard deviation sqrt(2 / fan_in), for rectifiers; He et al., 2015."""

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


@initializers.register("lecun_uniform")
class LecunUniform(_Scaled):
    """Uniform within sqrt(3 / fan_in).

    Reference:
        LeCun et al., "Efficient BackProp", 1998.
    """

    scale, mode, distribution = 1.0, "fan_in", "uniform"


@initializers.register("lecun_normal")
class LecunNormal(_Scaled):
    """Truncated normal with standard deviation sqrt(1 / fan_in), for `selu`; LeCun et al., 1998."""

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


# Keras's other names for the classes.
zeros, ones, constant, identity, stft = Zeros, Ones, Constant, Identity, STFT
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal, he_uniform, he_normal = GlorotUniform, GlorotNormal, HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
