"""Layers around a layer: one run forwards and one backwards in time, and one applied at every time step."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fkeras.core.settings import choice, deserialize, optional, serialize, setting
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.recurrent import first_mask


def _layer(value):
    value = deserialize(value) if isinstance(value, dict) else value
    if not isinstance(value, Layer):
        raise TypeError(f"expected a layer, got {value!r}.")
    return value


@layers.register
class Wrapper(Layer):
    """Base of layers around one layer, which it calls on its own input.

    Args:
        layer: The layer inside.

    Example:
        >>> Wrapper(Dense(3))(jnp.ones((2, 4))).shape
        (2, 3)
    """

    layer: Any = setting(_layer)
    casts = False
    training_flows = True
    takes_ints = True

    def check(self):
        if not self.trainable:
            self.trainable = False  # of the layer inside too

    def check_input(self, shape):
        self.layer.check_input(shape)

    def declare(self, shape):
        declared = self.layer.declare(shape)
        return {"layer": declared} if declared else {}

    def forward_masked(self, params, state, x, ctx):
        y, inner, mask = self._call_inner(params, state, x, ctx)
        return y, inner, mask

    def _call_inner(self, params, state, x, ctx, **changes):
        own = params.get("layer", {}), state.get("layer", {})
        y, inner, mask = self.layer.apply_masked(*own, x, ctx.at("layer", **changes))
        return y, ({"layer": inner} if "layer" in state else {}), mask


# ----------------------------------------------------------------------------------------- every step


@layers.register
class TimeDistributed(Wrapper):
    """Applies a layer to every time step, with the same weights.

    Args:
        layer: The layer inside.

    All steps go through the layer as one larger batch [B * T, ...], except where it keeps running values
    (BatchNormalization): then one step after the other, each updating them, as Keras does.

    Input shape: [B, T, ...]. Output shape: [B, T, ...]. A mask [B, T] is handed on; of a mask [B, T, S] the layer
    inside gets each step's, and of any one a layer whose own `call` takes a `mask`.

    Example:
        >>> TimeDistributed(Dense(3))(jnp.ones((2, 5, 4))).shape
        (2, 5, 3)
    """

    supports_masking = True

    def check_input(self, shape):
        if isinstance(shape, tuple) and len(shape) < 3:
            raise ValueError(f"{self.label}: expected an input of rank 3 or more, [B, T, ...], got shape {shape}.")
        self.layer.check_input(_steps_shape(shape))

    def declare(self, shape):
        return super().declare(_steps_shape(shape))

    def forward_masked(self, params, state, x, ctx):
        B, T = jax.tree.leaves(x)[0].shape[:2]
        mask = first_mask(ctx.mask)
        if mask is not None and (mask.ndim < 2 or mask.shape[:2] != (B, T)):
            raise ValueError(f"{self.label}: expected a mask of shape ({B}, {T}, ...), got {mask.shape}.")
        told = mask is not None and (mask.ndim > 2 or custom.takes_mask(self.layer))
        inner_mask = mask if told else None
        run = self._step_by_step if state else self._all_at_once
        y, state = run(params, state, x, inner_mask, ctx)
        return y, state, mask

    def _all_at_once(self, params, state, x, mask, ctx):
        B, T = jax.tree.leaves(x)[0].shape[:2]

        def merge(a):
            return a.reshape(B * T, *a.shape[2:])  # [B, T, ...] -> [B * T, ...]

        ids = jnp.arange(B) if ctx.row_ids is None else ctx.row_ids
        y, state, _ = self._call_inner(
            params,
            state,
            jax.tree.map(merge, x),
            ctx,
            mask=None if mask is None else merge(mask),
            rows=None if ctx.rows is None else jnp.repeat(ctx.rows, T),
            row_ids=(ids[:, None] * T + jnp.arange(T)).ravel(),
        )
        return jax.tree.map(lambda a: a.reshape(B, T, *a.shape[1:]), y), state

    def _step_by_step(self, params, state, x, mask, ctx):
        T = jax.tree.leaves(x)[0].shape[1]

        def step(state, now):
            x, mask, t = now
            losses = []
            key = None if ctx.key is None else jax.random.fold_in(ctx.key, t)
            y, state, _ = self._call_inner(params, state, x, ctx, mask=mask, key=key, losses=losses)
            return state, (y, [(total, jnp.float32(1) if count is None else count) for total, count in losses])

        x, mask = jax.tree.map(lambda a: a.swapaxes(0, 1), (x, mask))  # [B, T, ...] -> [T, B, ...]
        state, (y, losses) = lax.scan(step, state, (x, mask, jnp.arange(T)))
        for total, count in losses:
            ctx.add_loss(jnp.sum(total), jnp.sum(count))
        return jax.tree.map(lambda a: a.swapaxes(0, 1), y), state


def _steps_shape(shape):
    return jax.tree.map(lambda s: (s[0], *s[2:]), shape, is_leaf=lambda s: isinstance(s, tuple))


# ---------------------------------------------------------------------------------------- both directions

_MERGES = {
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    "concat": lambda a, b: jnp.concatenate([a, b], axis=-1),
    None: lambda a, b: (a, b),
}


@layers.register
class Bidirectional(Layer):
    """Runs one recurrent layer forwards and one backwards in time and merges their outputs.

    Args:
        layer: `LSTM`, `GRU`, `RNN`, ... (or a layer of your own with their flags), copied with fresh weights as
            `forward_layer`.
        merge_mode: "concat", "sum", "mul", "ave", or None for the pair of outputs.
        backward_layer: The layer for the other direction, with go_backwards=True; by default a copy of `layer`.

    Call: layer(x, initial_state=None, mask=None); the first half of `initial_state` is for the forward layer.

    Input shape: [B, T, C]. Output shape: as the layer's, with twice the units for "concat"; with return_state
    (output, *forward states, *backward states). With return_sequences masked steps put out zeros.

    Example:
        >>> Bidirectional(GRU(3))(jnp.ones((2, 5, 4))).shape
        (2, 6)

    Reference:
        Schuster & Paliwal, "Bidirectional Recurrent Neural Networks", 1997; as Keras 3.
    """

    layer: Any = setting(_layer)
    merge_mode: Any = setting(optional(choice("concat", "sum", "mul", "ave")), "concat")
    backward_layer: Any = setting(optional(_layer), None)
    casts = False
    training_flows = True
    supports_masking = True
    call_order = ("initial_state", "mask", "training")

    def check(self):
        for name, layer in (("layer", self.layer), ("backward_layer", self.backward_layer)):
            flags = ("go_backwards", "return_sequences", "return_state", "stateful")
            missing = [f for f in flags if not hasattr(layer, f)] if layer is not None else []
            if missing:
                raise ValueError(
                    f"{self.label}: expected a recurrent layer as {name!r}, {layer.label} has no {', '.join(missing)}."
                )
        forward, backward = _copy(self.layer, "forward"), self.backward_layer
        if backward is None:
            backward = _copy(self.layer, "backward", go_backwards=True)
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                f"{self.label}: both layers have go_backwards={forward.go_backwards}. Give the backward layer "
                f"go_backwards=True and the forward one False."
            )
        for flag in ("return_sequences", "return_state", "stateful"):
            mine, other = getattr(forward, flag), getattr(backward, flag)
            if mine != other:
                raise ValueError(
                    f"{self.label}: the forward layer has {flag}={mine}, the backward layer {flag}={other}."
                )
        if hasattr(backward, "zero_output_for_mask"):
            object.__setattr__(backward, "zero_output_for_mask", backward.return_sequences)
        self.layer = self.forward_layer = forward
        self.backward_layer = backward
        self.return_sequences, self.return_state = forward.return_sequences, forward.return_state
        self.stateful = forward.stateful
        if not self.trainable:
            self.trainable = False  # of both layers too

    def children(self):
        found = {n: self.__dict__.get(n) for n in ("forward_layer", "backward_layer")}
        return {n: layer for n, layer in found.items() if layer is not None}

    def pack(self, x, initial_state=None):
        return self.forward_layer.pack(x, **({} if initial_state is None else {"initial_state": initial_state}))

    def check_input(self, shape):
        for layer, its in self._halves(shape):
            layer.check_input(its)

    def declare(self, shape):
        return {
            name: layer.declare(its) for name, (layer, its) in zip(self.children(), self._halves(shape), strict=True)
        }

    def _halves(self, x):
        """Returns [(forward layer, its input), (backward layer, its input)], from arrays or shapes."""
        args, kwargs = custom.unpack(x)
        states = kwargs.get("initial_state", args[1] if len(args) > 1 else None)
        parts = [args[0], args[0]]
        if states is not None:
            if not isinstance(states, list) or len(states) % 2:
                raise ValueError(f"{self.label}: expected a list of as many initial states for each direction.")
            half = len(states) // 2
            parts = [
                {"args": [args[0]], "kwargs": {"initial_state": s}} for s in (states[:half], states[half:])
            ]  # fmt: skip
        return list(zip((self.forward_layer, self.backward_layer), parts, strict=True))

    def forward(self, params, state, x, ctx):
        ctx = ctx.at(mask=first_mask(ctx.mask))
        found, after, states = [], dict(state), ()
        for name, (layer, its) in zip(self.children(), self._halves(x), strict=True):
            own = params.get(name, {}), state.get(name, {})
            y, inner = layer.apply(*own, its, ctx.at(name))
            after |= {name: inner} if name in state else {}
            if self.return_state:
                y, states = y[0], (*states, *y[1:])
            found.append(y.astype(self.dtype.compute_dtype))
        y, y_back = found
        if self.return_sequences:
            y_back = jnp.flip(y_back, axis=1)
        y = _MERGES[self.merge_mode](y, y_back)
        if not self.return_state:
            return y, after
        return (*(y if self.merge_mode is None else (y,)), *states), after

    def compute_mask(self, inputs, mask=None):
        mask = first_mask(mask) if self.return_sequences else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            outputs += [None] * (2 * len(jax.tree.leaves(self.forward_layer.state_size)))
        return outputs if len(outputs) > 1 else mask

    @property
    def states(self):
        """The variables of both layers' kept states, or None."""
        found = [self.forward_layer.states, self.backward_layer.states]
        return None if None in found else found[0] + found[1]

    def reset_state(self, states=None):
        """Sets the kept states of both layers to zeros, or to `states`."""
        if not self.stateful:
            raise AttributeError(f"{self.label} keeps no states: its layers are not stateful.")
        half = None if states is None else len(states) // 2
        self.forward_layer.reset_state(None if states is None else states[:half])
        self.backward_layer.reset_state(None if states is None else states[half:])

    reset_states = reset_state


def _copy(layer, direction, **changes):
    """Returns a layer of the same settings, named for its direction, that puts out zeros at masked steps."""
    config = serialize(layer)
    settings = {**config["config"], **changes, "name": f"{direction}_{layer.name.removeprefix(direction + '_')}"}
    if hasattr(layer, "zero_output_for_mask"):
        settings["zero_output_for_mask"] = layer.return_sequences
    return type(layer).from_config(settings)
