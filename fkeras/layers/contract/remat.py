"""Rematerialization: what a layer computed is forgotten, and computed again when the gradient needs it.

Layers note the `RematScope` that they are made in; `Layer.apply_masked` runs a noted one through `jax.checkpoint` while
training. Numbers stay the same; memory falls, time rises.
"""

import dataclasses
import math
import threading

import jax

from fkeras.layers.contract import custom

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)
_local = threading.local()


class RematScope:
    """Layers made within the `with` keep nothing for the gradient but their inputs, and compute the rest again.

    Args:
        mode: "full" (every layer), "list_of_layers" (those in `layer_names`), "larger_than" (those whose output has
            more than `output_size_threshold` numbers a row), "activations" (products and convolutions are kept, what is
            elementwise is computed again), or None: none of them.
        output_size_threshold: For "larger_than".
        layer_names: For "list_of_layers".

    Raises:
        ValueError: Another mode.

    Example:
        >>> with RematScope("larger_than", output_size_threshold=100):
        ...     model = Sequential([Input((4,)), Dense(256, activation="gelu"), Dense(1)])

    Reference:
        Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. As Keras 3's `RematScope`.
    """

    def __init__(self, mode="full", output_size_threshold=1024, layer_names=None):
        if mode not in _MODES:
            raise ValueError(f"RematScope: expected a mode of {', '.join(map(repr, _MODES))}, got {mode!r}.")
        self.mode, self.output_size_threshold = mode, output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self):
        _local.__dict__.setdefault("scopes", []).append(self)
        return self

    def __exit__(self, *exception):
        _local.scopes.pop()

    def holds(self, layer, spec):
        """Whether the layer's call is computed again. spec: () -> the tree of shapes of its output."""
        if self.mode == "list_of_layers":
            return layer.name in self.layer_names
        if self.mode == "larger_than":
            return max(math.prod(s.shape[1:]) for s in jax.tree.leaves(spec())) > self.output_size_threshold
        return self.mode is not None


def current():
    """Returns the innermost `RematScope`, or None."""
    scopes = _local.__dict__.get("scopes")
    return scopes[-1] if scopes else None


def forward_masked(layer, params, state, x, ctx):
    """Computes `layer.forward_masked`, again when the gradient needs it."""
    kept = []

    def run(params, state, x):
        inside = dataclasses.replace(ctx, losses=None if ctx.losses is None else [])
        y, state, mask = layer.forward_masked(params, state, x, inside)
        kept[:] = inside.losses or ()
        return y, state, mask, [one.state if isinstance(one, custom.Log) else one for one in kept]

    if not layer._remat.holds(layer, lambda: jax.eval_shape(run, params, state, x)[0]):
        return layer.forward_masked(params, state, x, ctx)
    policy = jax.checkpoint_policies.dots_saveable if layer._remat.mode == "activations" else None
    y, state, mask, arrays = jax.checkpoint(run, policy=policy)(params, state, x)
    for one, own in zip(kept, arrays, strict=True):
        ctx.losses.append(one._replace(state=own) if isinstance(one, custom.Log) else own)
    return y, state, mask


def remat(f):
    """Returns a function that keeps nothing for its gradient but its arguments.

    Args:
        f: Pure function of arrays.

    Example:
        >>> float(jax.grad(remat(lambda x: jnp.sin(jnp.sin(x))))(0.0))
        1.0

    Reference:
        `jax.checkpoint`. As Keras 3's `remat`.
    """
    return jax.checkpoint(f)
