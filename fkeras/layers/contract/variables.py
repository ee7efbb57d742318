"""How a layer's arrays are declared, where they live between calls, and the handles that users hold on them.

Before a layer is built, a weight that was read or assigned to is a declaration whose initializer is its array.
"""

import dataclasses
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import initializers
from fkeras.core import host_random, rng, tree, variable


class Revision:
    """Says whether any array or layer changed: `now` is another object after each change."""

    __slots__ = ("now",)

    def __init__(self):
        self.changed()

    def changed(self):
        self.now = object()


revision = Revision()
lock = threading.RLock()  # held while a step replaces arrays, whose memory it reuses, and while others read them


@dataclasses.dataclass(frozen=True)
class Weight:
    """One array that a layer declares: what to make, before anything is allocated.

    Args:
        shape: Tuple of ints.
        initializer: From `fkeras.initializers`, or a function (shape, dtype) -> array.
        regularizer, constraint: From their families, or None.
        trainable: False puts the array in the layer's `state`: a running value that `forward` returns anew.
        dtype: None is the policy's variable dtype.
    """

    shape: tuple
    initializer: Any = "glorot_uniform"
    regularizer: Any = None
    constraint: Any = None
    trainable: bool = True
    dtype: Any = None


class Given:
    """An initializer that is an array.

    Example:
        >>> Given([1.0, 2.0])((2,)).tolist()
        [1.0, 2.0]
    """

    def __init__(self, array):
        self.array = array

    def __call__(self, shape, dtype=None):
        return jnp.array(self.array, dtype)


class Cell:
    """Where the arrays of one layer live between calls. Drawn when first needed."""

    __slots__ = ("_params", "_state", "declared", "frozen", "inner", "layer", "seed", "shapes")

    def __init__(self, layer, declared, shapes, inner):
        self.layer, self.declared, self.shapes, self.inner = layer, declared, shapes, inner
        self.seed = rng.next_seed() if declared else 0
        self._params = self._state = None
        self.frozen = layer.__dict__.pop("_early_frozen", set())  # names of weights that stay as they are
        revision.changed()

    def arrays(self):
        """Returns fresh dicts (params, state) of the current arrays."""
        if self._params is None:
            with lock:  # several threads may be the first to ask
                if self._params is None:
                    self._params, self._state = self._drawn()
        return dict(self._params), dict(self._state)

    def _drawn(self):
        params, state = {}, {}
        with jax.ensure_compile_time_eval():  # arrays, also when the first to ask is a trace
            key = host_random.make_key(self.seed) if self.declared else None
            for name, w in self.declared.items():
                dtype = w.dtype or self.layer.dtype.variable_dtype
                place = params if w.trainable else state
                place[name] = draw_once(w.initializer, key, name, tuple(w.shape), dtype)
        return params, state

    def store(self, params, state):
        self._params = {n: params[n] for n, w in self.declared.items() if w.trainable}
        self._state = {n: state[n] for n, w in self.declared.items() if not w.trainable}
        revision.changed()

    def get(self, name):
        params, state = self.arrays()
        return params[name] if name in params else state[name]

    def put(self, name, array):
        self.arrays()
        (self._params if self.declared[name].trainable else self._state)[name] = array
        revision.changed()


def draw_once(initializer, key, name, shape, dtype):
    """Draws one array. Constants of zero and one, and what `host_random` computes, compile nothing."""
    initializer = initializers.get(initializer)
    for constant, fill in ((initializers.Zeros, np.zeros), (initializers.Ones, np.ones)):
        if type(initializer) is constant:
            return jax.device_put(fill(shape, jnp.dtype(dtype)))
    return initializers.draw(initializer, rng.fold(key, name), shape, dtype)


class Variable(variable.Variable):
    """A handle on one array of a layer, as Keras's variables: always the current value, never a stale one.

    Args:
        layer: The layer that owns the array.
        name: The array's name in the layer.
    """

    __slots__ = ("_name", "layer")

    def __init__(self, layer, name):
        self.layer, self._name = layer, name

    @property
    def name(self):
        return self._name

    @property
    def path(self):
        return f"{self.layer.path}/{self._name}"

    @property
    def declared(self):
        return declarations(self.layer)[self._name]

    @property
    def shape(self):
        return tuple(self.declared.shape)

    @property
    def dtype(self):
        return jnp.dtype(self.declared.dtype or self.layer.dtype.variable_dtype)

    @property
    def trainable(self):
        return self.declared.trainable and self.layer.trainable and self._name not in self._frozen()

    @trainable.setter
    def trainable(self, value):
        (self._frozen().discard if value else self._frozen().add)(self._name)
        revision.changed()

    def _frozen(self):
        cell = self.layer._cell
        return self.layer.__dict__.setdefault("_early_frozen", set()) if cell is None else cell.frozen

    @property
    def regularizer(self):
        return self.declared.regularizer

    @property
    def constraint(self):
        return self.declared.constraint

    @property
    def identity(self):
        return id(self.layer), self._name

    def current(self):
        cell = self.layer._cell
        return _first_array(self.layer, self._name) if cell is None else cell.get(self._name)

    def numpy(self):
        """A NumPy copy of the current array."""
        with lock:
            return super().numpy()

    def store(self, array):
        cell = self.layer._cell
        _begin_with(self.layer, self._name, array) if cell is None else cell.put(self._name, array)

    def convert(self, array):
        """Returns `array` as one that fits here. Raises ValueError naming both shapes."""
        if np.shape(array) != self.shape:
            raise ValueError(
                f"{self.layer.label}: expected an array of shape {self.shape} for {self._name!r}, got "
                f"{np.shape(array)}."
            )
        return jnp.array(array, self.dtype)

    def __repr__(self):
        return f"<Variable {self.path} {self.dtype}{list(self.shape)}>"

    def __getattr__(self, name):  # sum, mean, reshape, ...: whatever an array has
        if name.startswith("_") or name == "layer":
            raise AttributeError(name)
        return getattr(self.value, name)

    def __reduce__(self):
        return Variable, (self.layer, self._name)

    def __eq__(self, other):
        if isinstance(other, Variable):
            return self.identity == other.identity
        return super().__eq__(other)

    __hash__ = variable.Variable.__hash__


# -------------------------------------------------------------------------------- before a layer is built


def declarations(layer):
    """Returns {name: Weight} of a layer's own weights; before it is built, those that are declared by now."""
    if layer._cell is not None:
        return layer._cell.declared
    recording = layer.__dict__.get("_recording")
    return layer.__dict__.setdefault("_early", {}) if recording is None else recording


def _first_array(layer, name):
    weight = declarations(layer)[name]
    if not isinstance(weight.initializer, Given):
        dtype = weight.dtype or layer.dtype.variable_dtype
        with jax.ensure_compile_time_eval():
            key = host_random.make_key(rng.next_seed())
            _begin_with(layer, name, draw_once(weight.initializer, key, name, tuple(weight.shape), dtype))
    return declarations(layer)[name].initializer.array


def _begin_with(layer, name, array):
    found = declarations(layer)
    found[name] = dataclasses.replace(found[name], initializer=Given(array))


def declare_weight(layer, name, weight):
    """Declares a weight in `__init__` or `build`; returns its handle.

    Args:
        name: Its name, counted where there is one of that name; None is "variable".

    Raises:
        ValueError: The layer is built.
    """
    place = layer.__dict__.get("_recorder")
    if place is None:
        if layer._cell is not None:
            raise ValueError(
                f"{layer.label}: cannot add a weight once it is built, as in `call`. Add it in `__init__` or "
                f"`build(self, input_shape)`."
            )
        place = layer.__dict__.setdefault("_early", {})
    if name is None:
        name = f"variable_{len(place)}" if place else "variable"
    elif name in place:
        raise ValueError(f"{layer.label}: it already has a weight called {name!r}; give each its own name.")
    place[name] = weight
    return Variable(layer.__dict__.get("_real", layer), name)


def hold_variables(layer):
    """Makes weights of all variables that a layer holds."""
    for value in list(layer.__dict__.values()):
        hold(layer, value)


def hold(layer, value):
    """Makes a weight of a `keras.Variable`, and of those in a list, tuple or dict, which a layer holds."""
    for one in tree.held(value):
        if isinstance(one, variable.Variable) and one.home is None and one.owns_array:
            taken, name, n = declarations(layer), one.name, 1
            while name in taken:
                name, n = f"{one.name}_{n}", n + 1
            about = one.regularizer, one.constraint, one.trainable, one.dtype
            one.home = declare_weight(layer, name, Weight(one.shape, Given(one.current()), *about))
