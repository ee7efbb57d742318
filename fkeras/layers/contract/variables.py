"""Where a layer's arrays live between calls, and the handles that users hold on them."""

import threading

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import initializers
from fkeras.core import host_random, rng, variable


class Revision:
    """Says whether any array or layer changed: `now` is another object after each change."""

    __slots__ = ("now",)

    def __init__(self):
        self.changed()

    def changed(self):
        self.now = object()


revision = Revision()
lock = threading.RLock()  # held while a step replaces arrays, whose memory it reuses, and while others read them


class Cell:
    """Where the arrays of one layer live between calls. Drawn when first needed."""

    __slots__ = ("_params", "_state", "declared", "frozen", "inner", "layer", "seed", "shapes")

    def __init__(self, layer, declared, shapes, inner):
        self.layer, self.declared, self.shapes, self.inner = layer, declared, shapes, inner
        self.seed = rng.next_seed() if declared else 0
        self._params = self._state = None
        self.frozen = set()  # names of weights that are not trained though the layer is
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
        return self.layer._cell.declared[self._name]

    @property
    def shape(self):
        return tuple(self.declared.shape)

    @property
    def dtype(self):
        return jnp.dtype(self.declared.dtype or self.layer.dtype.variable_dtype)

    @property
    def trainable(self):
        return self.declared.trainable and self.layer.trainable and self._name not in self.layer._cell.frozen

    @trainable.setter
    def trainable(self, value):
        (self.layer._cell.frozen.discard if value else self.layer._cell.frozen.add)(self._name)
        revision.changed()

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
        return self.layer._cell.get(self._name)

    def numpy(self):
        """A NumPy copy of the current array."""
        with lock:
            return super().numpy()

    def store(self, array):
        self.layer._cell.put(self._name, array)

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
