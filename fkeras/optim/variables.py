"""Optimizers as Keras's programs use them: on lists of variables, and as lists of variables of their own.

All of it stands on the pure `init`, `extend` and `update`: a list of variables is the dict {path: array} of them, and
an optimizer's variable is a handle on one array of its state.
"""

import warnings
import weakref

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import variable


class Count(int):
    """A count of iterations as it was when read: an int, with Keras's ways of reading and writing a variable."""

    def __new__(cls, value, write):
        self = super().__new__(cls, value)
        self._write = write
        return self

    shape, ndim, dtype = (), 0, np.dtype("int32")
    value = property(lambda self: jnp.asarray(int(self), jnp.int32), doc="The count as an int32 array.")

    def assign(self, value):
        """Sets the optimizer's count."""
        self._write(int(value))

    def assign_add(self, value):
        """Adds to the optimizer's count."""
        self._write(int(self) + int(value))

    def numpy(self):
        """Returns the count as a NumPy int32."""
        return np.int32(self)

    def __reduce__(self):
        return int, (int(self),)


class StateVariable(variable.Variable):
    """A handle on one array of an optimizer's state: always the current one."""

    def __init__(self, optimizer, name, at):
        self.optimizer, self.name, self.at, self.trainable = optimizer, name, at, False

    path = property(lambda self: f"{self.optimizer.name}/{self.name}")
    identity = property(lambda self: (id(self.optimizer), self.at))

    def current(self):
        found = self.optimizer.state
        for key in self.at:
            found = found[key]
        return found

    def store(self, array):
        self.optimizer.state = _replaced(self.optimizer.state, self.at, array)

    def __eq__(self, other):
        return self.identity == other.identity if isinstance(other, StateVariable) else super().__eq__(other)

    __hash__ = variable.Variable.__hash__


def _replaced(tree, path, leaf):
    return {**tree, path[0]: _replaced(tree[path[0]], path[1:], leaf)} if path else leaf


class OnVariables:
    """What `Optimizer` does on lists of variables."""

    _built_on = ()  # the variables of `build` or the first `apply`, in order
    _paths = None  # {identity of a variable: its path in the state}
    _model = None  # () -> the model that was compiled with this optimizer, or None

    def serve(self, model):
        """Notes which model trains with this optimizer: handles on its weights then mean the arrays `fit` trains."""
        object.__setattr__(self, "_model", weakref.ref(model))

    def _path_of(self, v, place):
        """Returns the path in the state of a variable, or of the plain array at `place` of a list."""
        if not isinstance(v, variable.Variable) and not hasattr(v, "assign"):
            return (f"{place:06}",)
        identity = getattr(v, "identity", id(v))
        if self._paths is None:
            object.__setattr__(self, "_paths", {})
        if identity not in self._paths:
            model = self._model() if self._model is not None else None
            known = model.variables_by_path() if model is not None and model.built else {}
            path = next((path for path, held in known.items() if held.identity == identity), None)
            if path is None:
                taken, name = set(self._paths.values()), getattr(v, "path", None) or getattr(v, "name", "variable")
                path, n = (name,), 0
                while path in taken:
                    n += 1
                    path = (f"{name}_{n}",)
            self._paths[identity] = path
            object.__setattr__(self, "_built_on", (*self._built_on, v))
        return self._paths[identity]

    def _as_params(self, variables):
        """Returns ({path: array} as a nested dict, list of paths) of a list of variables."""
        paths = [self._path_of(v, i) for i, v in enumerate(variables)]
        if len(set(paths)) < len(paths):
            raise ValueError(f"{type(self).__name__} {self.name!r}: a variable is given twice.")
        return self._nested(dict(zip(paths, map(_array, variables), strict=True))), paths

    @staticmethod
    def _nested(leaves):
        out = {}
        for path, leaf in leaves.items():
            node = out
            for key in path[:-1]:
                node = node.setdefault(key, {})
            node[path[-1]] = leaf
        return out

    def build(self, params):
        """Makes the state for `params` (or extends the one there is) and returns it.

        Args:
            params: Nested dict of arrays, or a list of variables (or arrays), as Keras has it.
        """
        if not isinstance(params, dict):
            params = self._as_params(list(params))[0]
        self.state = self.extend(self.state, params)
        return self.state

    def apply(self, grads, params=None):
        """One step that keeps the state here. Compiled on first use; the same update that `fit` compiles.

        Args:
            grads: Tree like `params`; None leaves an array as it is.
            params: Nested dict of arrays, or a list of variables or arrays. None takes the variables of `build`.

        Returns:
            The new parameters, in the form of `params`. Variables are assigned, within their constraints.

        Example:
            >>> float(SGD(0.5).apply({"w": jnp.float32(1.0)}, {"w": jnp.float32(2.0)})["w"])
            1.5
            >>> v = fkeras.Variable(2.0, name="v")
            >>> _ = SGD(0.5).apply([jnp.float32(1.0)], [v])
            >>> float(v)
            1.5
        """
        if isinstance(params, dict):
            return self._applied(grads, params)
        grads = list(grads)
        if params is None:
            if not self._built_on:
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: apply(grads) without variables needs build(variables) first."
                )
            params = self._built_on
        params = list(params)
        if len(grads) != len(params):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: expected one gradient a variable, got {len(grads)} gradients "
                f"for {len(params)} variables."
            )
        if not grads:
            return []
        self._check_gradients(grads, params)
        tree, paths = self._as_params(params)
        grads = [None if g is None else _array(g) for g in grads]
        new = self._applied(self._nested(dict(zip(paths, grads, strict=True))), tree)
        found = [_at(new, path) for path in paths]
        for v, array in zip(params, found, strict=True):
            if hasattr(v, "assign"):
                keep = getattr(v, "constraint", None)
                v.assign(array if keep is None else keep(array))
        return found

    def _check_gradients(self, grads, variables):
        missing = [getattr(v, "path", i) for i, (g, v) in enumerate(zip(grads, variables, strict=True)) if g is None]
        if len(missing) == len(grads):
            raise ValueError(f"{type(self).__name__} {self.name!r}: no gradients provided for any variable.")
        if missing:
            shown = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
            warnings.warn(f"{type(self).__name__} {self.name!r}: no gradients for {shown}; left as is.", stacklevel=3)

    def _applied(self, grads, params):
        self.state = self.extend(self.state, params)
        if self.__dict__.get("_compiled", (None,))[0] != self.revision:
            object.__setattr__(self, "_compiled", (self.revision, jax.jit(self.update)))
        params, self.state = self._compiled[1](grads, self.state, params)
        return params

    def apply_gradients(self, grads_and_vars):
        """As `apply`, on pairs (gradient, variable or array); returns the list of new arrays."""
        pairs = list(grads_and_vars)
        return self.apply([g for g, _ in pairs], [v for _, v in pairs])

    # ----------------------------------------------------------------------------- its own variables

    def _param_paths(self):
        """Returns the paths of the arrays that the state has slots for: the model's in its order, then others."""
        model = self._model() if self._model is not None else None
        found = []
        if model is not None and model.built:
            by_path = model.variables_by_path()
            order = {v.identity: i for i, v in enumerate(model.trainable_weights)}
            found = [path for path, v in by_path.items() if v.identity in order]
            found.sort(key=lambda path: order[by_path[path].identity])
        found += [self._path_of(v, i) for i, v in enumerate(self._built_on)]
        return [path for path in dict.fromkeys(found) if self.holds(path)]

    @property
    def variables(self):
        """The arrays of the optimizer's state as variables, in Keras's order: iteration, learning rate, slots."""
        if self._state is None:
            self.state = self.init({})
        layout = self.variables_layout(self._param_paths())
        return [StateVariable(self, name.replace("/", "_"), at) for name, at in layout]

    def get_weights(self):
        """Returns the arrays of `variables` as NumPy copies."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights):
        """Sets the arrays of `variables`, all or nothing.

        Raises:
            ValueError: Another number of arrays, or one of another shape.
        """
        targets = self.variables
        if len(weights) != len(targets):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: set_weights expected {len(targets)} arrays, got {len(weights)}. "
                f"Was it built? build(variables) makes the slots."
            )
        for v, array in zip(targets, [v.convert(a) for v, a in zip(targets, weights, strict=True)], strict=True):
            v.store(array)

    def save_own_variables(self, store):
        """Writes the arrays of `variables` into a dict, by their numbers."""
        store.update({str(i): v.numpy() for i, v in enumerate(self.variables)})

    def load_own_variables(self, store):
        """Reads what `save_own_variables` wrote.

        Raises:
            ValueError: It holds another number of arrays, or one of another shape.
        """
        self.set_weights([np.asarray(store[str(i)]) for i in range(len(store.keys()))])

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """One step on lists, without a side effect: for `jax.jit`, as Keras's own training loops for JAX have it.

        Args:
            optimizer_variables: Arrays in the order of `variables`.
            grads, trainable_variables: Arrays in the order of the variables that `build` was given.

        Returns:
            (new trainable variables, new optimizer variables), two lists.

        Raises:
            ValueError: The optimizer was not built, or on another number of variables.
        """
        held = self._param_paths()
        if not held:
            raise ValueError(f"{type(self).__name__} {self.name!r}: stateless_apply needs build(variables) first.")
        layout = [at for _, at in self.variables_layout(held)]
        if len(layout) != len(optimizer_variables) or not len(held) == len(grads) == len(trainable_variables):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: stateless_apply expected {len(layout)} optimizer variables, "
                f"{len(held)} gradients and as many variables, got {len(optimizer_variables)}, {len(grads)} and "
                f"{len(trainable_variables)}."
            )
        state = self.state
        for at, array in zip(layout, optimizer_variables, strict=True):
            state = _replaced(state, at, jnp.asarray(array, _at(state, at).dtype))
        grads = [None if g is None else _array(g) for g in grads]
        trees = (self._nested(dict(zip(held, a, strict=True))) for a in (grads, map(_array, trainable_variables)))
        new, state = self.update(next(trees), state, next(trees))
        return [_at(new, path) for path in held], [_at(state, at) for at in layout]


def _array(value):
    return jnp.asarray(value.value if isinstance(value, variable.Variable) else value)


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree
