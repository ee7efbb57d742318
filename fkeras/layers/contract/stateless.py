"""Layers on lists of arrays, as Keras's own loops for JAX have them: `stateless_call`, `StatelessScope`, noise states.

The lists are the arrays of `trainable_variables` and `non_trainable_variables`, in that order; the trees of the pure
functions are made of them and taken apart again. The second list ends with the states that noise is drawn by.
"""

import contextlib
import threading

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import rng, tree, variable
from fkeras.layers.contract import arguments, custom
from fkeras.layers.contract.context import Context
from fkeras.layers.contract.masks import mask_of, remember_mask

_local = threading.local()  # .seen: (leaves of the outputs, losses) of the last `stateless_call` of a step


class NoiseState(variable.Variable):
    """What a layer's noise is drawn by in `stateless_call`: uint32 [2], another one after each call."""

    trainable, name = False, "seed_generator_state"

    def __init__(self, layer):
        self.layer = layer

    path = property(lambda self: f"{self.layer.path}/{self.name}")
    identity = property(lambda self: (id(self.layer), self.name))

    def current(self):
        """Returns the array; at first it follows from the process's seed and the layer's place or `seed`."""
        if "_noise" not in self.layer.__dict__:
            seed = getattr(self.layer, "seed", None)
            words = (seed,) if isinstance(seed, int) else rng.named_words(self.layer.path)
            state = np.random.SeedSequence(words).generate_state(2)
            object.__setattr__(self.layer, "_noise", jnp.asarray(state, jnp.uint32))
        return self.layer._noise

    def store(self, array):
        """Replaces the array."""
        object.__setattr__(self.layer, "_noise", array)

    def __eq__(self, other):
        return self.identity == other.identity if isinstance(other, NoiseState) else super().__eq__(other)

    __hash__ = variable.Variable.__hash__


def noise_states(layer):
    """Returns the `NoiseState`s of the layers, this one and those inside, that draw random numbers."""
    return [NoiseState(one) for one in layer.own_and_inner() if _draws(one)]


def _draws(layer):
    held = layer.__dict__.values()
    return "seed" in type(layer)._fields or any(hasattr(v, "next") and hasattr(v, "seed") for v in held)


def variable_lists(layer, params, state, noise):
    """Returns ([trainable arrays], [others]) of the trees, in the order of `trainable_variables` and the others.

    Args:
        noise: The arrays of the `noise_states`, in order.
    """
    leaves = tree.flatten(params) | tree.flatten(state)
    place = {v.identity: path for path, v in reversed(layer.variables_by_path().items())}
    trained, others = (
        [leaves[place[v.identity]] for v in of] for of in (layer.trainable_weights, layer.non_trainable_weights)
    )
    return trained, [*others, *noise]


def arrays_of(layer, trainable, others):
    """Returns the trees (params, state) and the noise states' arrays that the two lists are.

    Raises:
        ValueError: The layer is not built, a list has another length, or an array another shape.
    """
    layer._require_built("be called on lists of variables")
    given, noise = {}, []
    lists = (
        ("trainable", layer.trainable_variables, trainable),
        ("non-trainable", layer.non_trainable_variables, others),
    )
    for kind, variables, arrays in lists:
        if len(variables) != len(arrays):
            raise ValueError(
                f"{layer.label}: expected {len(variables)} arrays, its {kind} variables, got {len(arrays)}."
            )
        for v, a in zip(variables, arrays, strict=True):
            a = jnp.asarray(getattr(a, "value", a))
            if a.shape != v.shape:
                raise ValueError(f"{layer.label}: expected shape {v.shape} for {v.path}, got {a.shape}.")
            if isinstance(v, NoiseState):
                noise.append(a)
            given[v.identity] = a
    by_path = layer.variables_by_path()
    trees = layer.gather()
    filled = [{p: given.get(by_path[p].identity, a) for p, a in tree.flatten(of).items()} for of in trees]
    return *map(tree.unflatten, filled), noise


def stateless_call(self, trainable_variables, non_trainable_variables, *args, return_losses=False, **kwargs):
    """Computes the layer on lists of arrays, without a side effect: for `jax.jit` and `jax.grad`, as Keras 3 has it.

    Args:
        trainable_variables, non_trainable_variables: Arrays in the order of the properties of these names.
        args, kwargs: As in a call of the layer, `training` and `mask` included.
        return_losses: Whether to return the losses too: what the layers add, and the weights' penalties.

    Returns:
        (outputs, non_trainable_variables), the latter with new running values and noise states; and the list of losses.

    Raises:
        ValueError: The layer is not built, or the lists do not fit it.

    Example:
        >>> model = fkeras.Sequential([fkeras.Input((4,)), fkeras.layers.Dense(1)])
        >>> y, state = model.stateless_call(model.trainable_variables, model.non_trainable_variables, jnp.ones((2, 4)))
        >>> y.shape, len(state)
        ((2, 1), 0)

    Reference:
        As Keras 3's `Layer.stateless_call`; the pure form is `apply`.
    """
    training, mask = bool(kwargs.pop("training", False)), kwargs.pop("mask", None)
    params, state, noise = arrays_of(self, trainable_variables, non_trainable_variables)
    x = self.pack(arguments.as_arrays(self, args[0]), *args[1:], **kwargs)
    mask = mask_of(x) if mask is None else mask
    x = self._arrays(x)
    traced = any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves((params, state, noise, x)))
    key, place = None, rng.place()
    if noise:
        key = rng.fold(jax.random.wrap_key_data(noise[0]), "call")
    elif place is not None:
        key = place.next_key()
    ctx = Context(training, key, mask, losses=[], eager=not traced)
    y, state, mask = self.apply_masked(params, state, x, ctx)
    noise = [jax.random.key_data(rng.fold(jax.random.wrap_key_data(a), "next")) for a in noise] if training else noise
    others = variable_lists(self, params, state, noise)[1]
    losses = [a / (1 if n is None else n) for a, n in (e for e in ctx.losses if not isinstance(e, custom.Log))]
    leaves, declared = tree.flatten(params), self.declarations()
    losses += [declared[p].regularizer(leaves[p]) for p in sorted(self.trained_paths()) if declared[p].regularizer]
    if "seen" in _local.__dict__:
        _local.seen = jax.tree.leaves(y), losses
    y = remember_mask(y, mask) if mask is not None else y
    return (y, others, losses) if return_losses else (y, others)


@contextlib.contextmanager
def losses_seen():
    """Within the `with`, a step, `losses_of` knows what the last `stateless_call` added."""
    _local.seen = (), ()
    try:
        yield
    finally:
        del _local.seen


def losses_of(outputs):
    """Returns the losses that came with these outputs of `stateless_call`, in whose arrays they are; or None."""
    leaves, losses = _local.__dict__.get("seen", ((), ()))
    same = leaves and len(leaves) == len(outputs) and all(a is b for a, b in zip(leaves, outputs, strict=True))
    return losses if same else None


class StatelessScope:
    """Within the `with`, variables have other arrays, and keep their own afterwards.

    Args:
        state_mapping: Pairs (variable, array).
        collect_losses, initialize_variables: Keras's, without effect.

    Example:
        >>> v = fkeras.Variable(1.0)
        >>> with StatelessScope([(v, jnp.float32(3.0))]) as scope:
        ...     _ = v.assign_add(1.0)
        >>> float(scope.get_current_value(v)), float(v)
        (4.0, 1.0)

    Reference:
        As Keras 3's `StatelessScope`.
    """

    def __init__(self, state_mapping=None, collect_losses=False, initialize_variables=True):
        self._given, self._before, self._after = list(state_mapping or ()), {}, {}

    def __enter__(self):
        for v, array in self._given:
            self.add_update((v, array))
        return self

    def __exit__(self, *exception):
        for identity, (v, array) in self._before.items():
            self._after[identity] = v.current()
            v.store(array)

    def add_update(self, update):
        """Gives a variable another array until the scope ends; `update` is (variable, array)."""
        v, array = update
        self._before.setdefault(v.identity, (v, v.current()))
        array = jnp.asarray(getattr(array, "value", array))
        if array.shape != tuple(v.shape):
            raise ValueError(f"StatelessScope: expected shape {tuple(v.shape)} for {v.path}, got {array.shape}.")
        v.store(array.astype(v.dtype))

    def get_current_value(self, variable):
        """Returns what a variable of the mapping holds, or held at the end; None for another one."""
        if variable.identity in self._after:
            return self._after[variable.identity]
        return variable.current() if variable.identity in self._before else None
