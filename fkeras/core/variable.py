"""Keras's `Variable`: one array that can be replaced, with its name, read like an array by NumPy and JAX."""

import threading

import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes

_counts: dict[str, int] = {}
_local = threading.local()  # .scopes: names of the `name_scope`s around this thread


class name_scope:
    """Within the `with`, variables that are made have `name` in front of their paths.

    Args:
        name: Without "/".
        kwargs: Keras's `caller` and `deduplicate`, without effect.

    Example:
        >>> with name_scope("block"):
        ...     Variable(1.0, name="scale").path
        'block/scale'
    """

    def __init__(self, name, **kwargs):
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"name_scope: expected a string without '/', got {name!r}.")
        self.name = name

    def __enter__(self):
        _local.__dict__.setdefault("scopes", []).append(self.name)
        return self

    def __exit__(self, *exception):
        _local.scopes.pop()


class Variable:
    """An array with a name that `assign` replaces.

    Args:
        initializer: Array, number, or a function (shape, dtype=...) -> array, for which `shape` is needed; or the name
            of an initializer, where layers make variables.
        shape: Shape, or None for the initializer's.
        dtype: Dtype; floats are `floatx` by default.
        trainable: Whether an optimizer should change it.
        name: Name; "variable" by default, counted.
        autocast, aggregation, synchronization: Keras's, for distribution strategies of TensorFlow; without effect.
        regularizer, constraint: Of the array, or None; optimizers apply the constraint after an update.

    Raises:
        ValueError: A function without a shape, or an array of another shape.

    Example:
        >>> v = Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0])
        <Variable path=v, shape=(2,), dtype=float32, value=[2. 3.]>
        >>> float(jnp.sum(v * 2))
        10.0

    Reference:
        As Keras 3's `keras.Variable`.
    """

    __array_priority__ = 100  # numpy_array + variable asks the variable
    regularizer = constraint = None
    home = None  # the handle on the weight of a layer that this variable has become

    def __init__(
        self, initializer, shape=None, dtype=None, trainable=True, autocast=True, aggregation="none",
        synchronization="auto", name=None, *, regularizer=None, constraint=None,
    ):  # fmt: skip
        if name is None:
            n = _counts["variable"] = _counts.get("variable", -1) + 1
            name = f"variable_{n}" if n else "variable"
        if "/" in name:
            raise ValueError(f"Variable(name={name!r}): expected a name without '/'.")
        if callable(initializer) and not hasattr(initializer, "shape"):
            if shape is None:
                raise ValueError(f"Variable {name!r}: an initializer that is a function needs a `shape`.")
            shape = (shape,) if isinstance(shape, int) else tuple(shape)
            value = jnp.asarray(initializer(shape, dtype=dtype or dtypes.floatx()))
        else:
            value = jnp.asarray(getattr(initializer, "value", initializer))
            if shape is not None and value.shape != ((shape,) if isinstance(shape, int) else tuple(shape)):
                raise ValueError(f"Variable {name!r}: expected an array of shape {shape}, got {value.shape}.")
            if dtype is None and jnp.issubdtype(value.dtype, jnp.floating) and not hasattr(initializer, "dtype"):
                dtype = dtypes.floatx()  # Python's numbers
        self.name, self.trainable = name, trainable
        self.path = "/".join([*_local.__dict__.get("scopes", ()), name])
        self.regularizer, self.constraint = regularizer, constraint
        self._array = jnp.array(value, dtype)  # a copy: no one else's buffer is given away

    # -------------------------------------------------------------------------- where the array lies

    def current(self):
        """Returns the array itself, which the next assignment replaces."""
        return self._array if self.home is None else self.home.current()

    def store(self, array):
        """Replaces the array by one of the same shape and dtype."""
        if self.home is None:
            self._array = array
        else:
            self.home.store(array)

    @property
    def owns_array(self):
        """Whether the array is this variable's own, not another object's that it is a handle on."""
        return "_array" in self.__dict__

    @property
    def trainable(self):
        """Whether an optimizer should change it."""
        return self._trainable if self.home is None else self.home.trainable

    @trainable.setter
    def trainable(self, value):
        if self.home is None:
            self._trainable = bool(value)
        else:
            self.home.trainable = value

    @property
    def identity(self):
        """What tells this variable from all others."""
        return id(self) if self.home is None else self.home.identity

    @property
    def shape(self):
        return tuple(self.current().shape)

    @property
    def dtype(self):
        return self.current().dtype

    # ------------------------------------------------------------------------------- what follows

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def value(self):
        """A copy of the current array, safe to keep while training goes on."""
        return jnp.array(self.current())

    def numpy(self):
        """A NumPy copy of the current array."""
        return np.array(self.current())

    def convert(self, array):
        """Returns `array` as one that fits here. Raises ValueError naming both shapes."""
        array = getattr(array, "value", array) if isinstance(array, Variable) else array
        if np.shape(array) != self.shape:
            raise ValueError(f"Variable {self.path!r}: expected an array of shape {self.shape}, got {np.shape(array)}.")
        return jnp.array(array, self.dtype)

    def assign(self, value):
        """Replaces the array; whoever reads it next sees the new one. Returns the variable."""
        self.store(self.convert(value))
        return self

    def assign_add(self, value):
        """Adds to the array. Returns the variable."""
        return self.assign(self.current() + jnp.asarray(value, self.dtype))

    def assign_sub(self, value):
        """Takes from the array. Returns the variable."""
        return self.assign(self.current() - jnp.asarray(value, self.dtype))

    def __array__(self, dtype=None, copy=None):
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __jax_array__(self):
        return self.value

    def __repr__(self):
        shown = np.array2string(self.numpy(), threshold=8, precision=4)
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, value={shown}>"

    def __getitem__(self, index):
        return self.value[index]

    def __getattr__(self, name):  # sum, mean, reshape, ...: whatever an array has
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.value, name)

    def __eq__(self, other):
        return self is other or self.value == jnp.asarray(other)

    def __ne__(self, other):
        equal = self == other
        return not equal if isinstance(equal, bool) else ~equal

    def __hash__(self):
        return hash(self.identity)


def _operate(name):
    def method(self, *args):
        return getattr(self.value, name)(*(jnp.asarray(a) for a in args))

    return method


_OPERATORS = """add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul neg abs
    lt le gt ge and or xor invert float int"""
for _name in _OPERATORS.split():
    setattr(Variable, f"__{_name}__", _operate(f"__{_name}__"))
