"""Cells of recurrent layers: one step in time, as pure functions and as layers.

A cell computes `(output, states)` from the input of one step and the states before it; `fkeras.layers.recurrent` runs
cells over time.
"""

import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fkeras import activations, initializers, regularizers
from fkeras.core.settings import Configured, fraction, optional, positive_int, seed_or_none, setting
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.contract.weight_settings import RecurrentInitializers, RecurrentPenalties, weight
from fkeras.layers.kernels import convolution as kernels
from fkeras.layers.kernels.noise import draw_kept
from fkeras.layers.kernels.recurrence import Derived

# -------------------------------------------------------------------------------------- pure functions


def simple_rnn_step(x, h, recurrent_kernel, *, activation=jnp.tanh, kept=None):
    """One step of a fully connected recurrent network.

        h' = activation(x + h R)

    Args:
        x: Float array [B, U]: the step's input times kernel plus bias.
        h: Float array [B, U], the state before.
        recurrent_kernel: R, float array [U, U].
        kept: Float array [B, 1, U] that scales `h` (recurrent dropout), or None.

    Returns:
        h', [B, U].

    Example:
        >>> simple_rnn_step(jnp.zeros((1, 1)), jnp.ones((1, 1)), jnp.ones((1, 1)), activation=jnp.negative).tolist()
        [[-1.0]]

    Reference:
        Elman, "Finding Structure in Time", 1990.
    """
    return activation(x + gate_product(h, recurrent_kernel, kept))


def lstm_step(
    x, h, c, recurrent_kernel, *, activation=jnp.tanh, recurrent_activation=jax.nn.sigmoid, kept=None
):  # fmt: skip
    """One step of a long short-term memory.

        i, f, g, o = split(x + h R)
        c' = s(f) * c + s(i) * a(g)
        h' = s(o) * a(c')

    with a = `activation` and s = `recurrent_activation`.

    Args:
        x: Float array [B, 4U]: the step's input times kernel plus bias, for the gates i, f, g, o.
        h, c: Float arrays [B, U]: output and carry of the step before.
        recurrent_kernel: R, float array [U, 4U].
        kept: Float array [B, 4, U] that scales `h` for each gate (recurrent dropout), or None.

    Returns:
        (h', c'), each [B, U].

    Example:
        >>> h, c = lstm_step(jnp.zeros((1, 4)), jnp.zeros((1, 1)), jnp.ones((1, 1)), jnp.zeros((1, 4)))
        >>> float(c[0, 0])
        0.5

    Reference:
        Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997; with the forget gate of Gers et al., 2000.
    """
    return lstm_gates(x + gate_product(h, recurrent_kernel, kept), c, activation, recurrent_activation)


def lstm_gates(z, c, activation=jnp.tanh, recurrent_activation=jax.nn.sigmoid):
    """What an LSTM does after its products: (h', c') from the gates' inputs `z` [..., 4U] and the carry `c` [..., U].

    Example:
        >>> [float(a[0]) for a in lstm_gates(jnp.zeros(4), jnp.zeros(1))]
        [0.0, 0.0]
    """
    i, f, g, o = jnp.split(z, 4, axis=-1)
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    return recurrent_activation(o) * activation(c), c


def gru_step(
    x, h, recurrent_kernel, recurrent_bias=None, *, reset_after=True, activation=jnp.tanh,
    recurrent_activation=jax.nn.sigmoid, kept=None,
):  # fmt: skip
    """One step of a gated recurrent unit.

        z, r = s(x_z + h R_z + b_z), s(x_r + h R_r + b_r)
        n = a(x_n + r * (h R_n + b_n))      reset_after
        n = a(x_n + (r * h) R_n)            else
        h' = z * h + (1 - z) * n

    with a = `activation` and s = `recurrent_activation`.

    Args:
        x: Float array [B, 3U]: the step's input times kernel plus bias, for z, r, n.
        h: Float array [B, U], the state before.
        recurrent_kernel: R, float array [U, 3U].
        recurrent_bias: b, float array [3U], or None.
        reset_after: Where the reset gate is applied: after the product (cuDNN's form), or before it.
        kept: Float array [B, 3, U] that scales `h` for each product (recurrent dropout), or None.

    Returns:
        h', [B, U].

    Example:
        >>> gru_step(jnp.zeros((1, 3)), jnp.ones((1, 1)), jnp.zeros((1, 3))).tolist()
        [[0.5]]

    Reference:
        Cho et al., 2014, arXiv:1406.1078 (version 1 resets after, version 3 before the product).
    """
    units = h.shape[-1]
    if reset_after:
        inner = gate_product(h, recurrent_kernel, kept)
        inner = inner if recurrent_bias is None else inner + recurrent_bias
        return gru_gates(x, inner, h, activation, recurrent_activation)
    inner = gate_product(h, recurrent_kernel[:, : 2 * units], None if kept is None else kept[:, :2])
    gates = recurrent_activation(x[:, : 2 * units] + inner)
    z, r = gates[:, :units], gates[:, units:]
    inner = (r * (h if kept is None else h * kept[:, 2])) @ recurrent_kernel[:, 2 * units :]
    return z * h + (1 - z) * activation(x[:, 2 * units :] + inner)


def gru_gates(x, inner, h, activation=jnp.tanh, recurrent_activation=jax.nn.sigmoid):
    """What a GRU that resets after its products does after them: h' from `x` and `inner` = h R + b, [B, 3U] each.

    Example:
        >>> gru_gates(jnp.zeros((1, 3)), jnp.zeros((1, 3)), jnp.ones((1, 1))).tolist()
        [[0.5]]
    """
    units = h.shape[-1]
    gates = recurrent_activation(x[:, : 2 * units] + inner[:, : 2 * units])
    z, r = gates[:, :units], gates[:, units:]
    return z * h + (1 - z) * activation(x[:, 2 * units :] + r * inner[:, 2 * units :])


def gate_product(x, kernel, kept=None):
    """Multiplies `x` with the kernels of several gates, each seeing `x` scaled by a mask of its own.

    Args:
        x: Float array [..., B, C].
        kernel: Float array [C, G * U].
        kept: Float array [B, G, C], [B, 1, C] for one mask for all gates, or None.

    Returns:
        Float array [..., B, G * U].

    Example:
        >>> gate_product(jnp.ones((1, 2)), jnp.ones((2, 2)), jnp.array([[[1.0, 1.0], [0.0, 1.0]]])).tolist()
        [[2.0, 1.0]]
    """
    gates = 1 if kept is None else kept.shape[1]
    # Two axes only: the gradient of a product over [T, B, C] sums over two axes, which is slow on the CPU.
    parts = [
        ((x if kept is None else x * kept[:, g]).reshape(-1, x.shape[-1]) @ k)
        for g, k in enumerate(jnp.split(kernel, gates, axis=1))
    ]
    y = parts[0] if gates == 1 else jnp.concatenate(parts, axis=-1)
    return y.reshape(*x.shape[:-1], kernel.shape[-1])


# ---------------------------------------------------------------------------------------------- cells


def first_shape(shape):
    """Returns the shape of the first argument of a call."""
    return custom.unpack(shape)[0][0]


def sizes_of(cell):
    """Returns the list of the sizes of a cell's states."""
    size = cell.state_size
    return list(size) if isinstance(size, (list, tuple)) else [size]


class RNNCell(Layer):
    """Base of cells: a cell of your own gives `state_size`, `declare` and `step`.

    `RNN(cell)` calls `project` for one step or for many at once, then `step` for every step; calling the cell itself,
    `cell(x, states)`, computes one step and returns (output, states).

    Example:
        >>> class Leak(RNNCell):
        ...     units: int
        ...     state_size = property(lambda self: self.units)
        ...     def declare(self, shape):
        ...         return {"kernel": Weight((shape[-1], self.units))}
        ...     def step(self, params, x, states, noise):
        ...         h = 0.9 * states[0] + x @ params["kernel"]
        ...         return h, [h]
        >>> RNN(Leak(3))(jnp.ones((2, 5, 4))).shape
        (2, 3)
    """

    call_order = ("states", "training")

    @property
    def output_size(self):
        """Size of the output: the first of the states', unless a cell says otherwise."""
        return sizes_of(self)[0]

    def initial_states(self, shape, dtype):
        """Returns the list of the states before the first step, for inputs of `shape` [B, ...]."""
        return [jnp.zeros((shape[0], size), dtype) for size in sizes_of(self)]

    def get_initial_state(self, batch_size=None):
        """Returns the states before the first step, as Keras names this."""
        return self.initial_states((batch_size,), self.dtype.compute_dtype)

    def output_shape(self, shape):
        """Returns the output's shape for an input of `shape`, both with the batch axis."""
        return (shape[0], self.output_size)

    def draw_noise(self, shape, ctx):
        """Returns what is drawn once for all steps, for inputs of `shape` [B, ...]."""
        return None

    def projects_ahead(self):
        """Whether `project` runs for all steps at once, before the scan."""
        return kernels.chosen() == "lax"

    def project(self, params, x, noise):
        """Returns what of a step depends on its input `x` [..., B, C] alone."""
        return x

    def step(self, params, x, states, noise):
        """Computes (output, list of states) from the projected input and the list of states."""
        raise TypeError(f"{self.label} has no `step(params, x, states, noise)`.")

    def recurrence(self, params, noise):
        """Takes a step apart around its product, for a faster derivative over time.

        Returns:
            (kernel, bias or None, `recurrence.Derived` or its like) where `step` computes the states from `x`,
            states[0] @ kernel + bias and the states, and puts out the first; None where it computes something else.
        """
        return None

    def pack(self, x, *args, **kwargs):
        return custom.pack(x, args, kwargs)

    def forward(self, params, state, x, ctx):
        args, kwargs = custom.unpack(x)
        states = kwargs.get("states", args[1] if len(args) > 1 else None)
        if states is None:
            raise TypeError(f"{self.label} takes an input and the states before it: cell(x, states).")
        x, listed = args[0], isinstance(states, (list, tuple))
        noise = self.draw_noise(x.shape, ctx)
        y, after = self.step(params, self.project(params, x, noise), list(states) if listed else [states], noise)
        return (y, after if listed else after[0]), state

    def _ensure(self, shape):
        super()._ensure(first_shape(shape))


class _Dense(RNNCell):
    """A cell whose products are dense: what the three cells below share."""

    gates = 1
    bias_rows = ()

    @property
    def state_size(self):
        return self.units

    def declare(self, shape):
        fan_in, all_units = first_shape(shape)[-1], self.gates * self.units
        weights = {
            "kernel": weight(self, "kernel", (fan_in, all_units)),
            "recurrent_kernel": weight(self, "recurrent", (self.units, all_units)),
        }
        if self.use_bias:
            weights["bias"] = weight(self, "bias", (*self.bias_rows, all_units), self._bias_start())
        return weights

    def _bias_start(self):
        return self.bias_initializer

    def draw_noise(self, shape, ctx):
        # As Keras: with recurrent dropout every gate has masks of its own, without it the gates share the input's.
        count = self.gates if self.recurrent_dropout else 1
        dtype = self.dtype.compute_dtype
        return {
            "input": draw_masks(ctx.at("input"), (shape[0], count, *shape[1:]), self.dropout, self.seed, dtype),
            "state": draw_masks(
                ctx.at("state"), (shape[0], self.gates, self.units), self.recurrent_dropout, self.seed, dtype
            ),
        }

    def project(self, params, x, noise):
        y = gate_product(x, params["kernel"], noise["input"])
        return y + self._input_bias(params["bias"]) if self.use_bias else y

    def _input_bias(self, bias):
        return bias


def draw_masks(ctx, shape, rate, seed, dtype):
    """Draws a mask of 0 and 1 / (1 - rate), row by row; None where nothing is dropped."""
    if not ctx.training or rate == 0:
        return None
    kept = ctx.draw(lambda key, inner: draw_kept(key, inner, rate), shape, seed)
    return kept.astype(dtype) * jnp.asarray(1 / (1 - rate), dtype)


def forget_bias(bias_initializer, units):
    """Returns an initializer of an LSTM's bias [4U]: as `bias_initializer`, but 1 for the forget gate.

    Early gradients flow through an open forget gate (Jozefowicz et al., 2015).

    Example:
        >>> forget_bias(initializers.Zeros(), 1)(jax.random.key(0), (4,), "float32").tolist()
        [0.0, 1.0, 0.0, 0.0]
    """

    return functools.partial(_with_open_gate, bias_initializer, units)


def _with_open_gate(bias_initializer, units, key, shape, dtype):
    drawn = initializers.draw(bias_initializer, key, (3 * units,), dtype)
    lib = jnp if isinstance(drawn, jax.core.Tracer) else np  # outside of a trace nothing has to be compiled
    drawn = lib.asarray(drawn)
    return lib.concatenate([drawn[:units], lib.ones(units, dtype), drawn[units:]]).reshape(shape)


# A class's own settings come first by position, then those of its bases in their order. Keras has some of these at
# other places in cells than in layers: therefore the small classes.


class Seed(Configured):
    seed: Any = setting(seed_or_none, None)


class ResetAfter(Configured):
    reset_after: bool = True


class SimpleRNNSettings(RecurrentInitializers, RecurrentPenalties):
    units: int = setting(positive_int)
    activation: Any = setting(activations, "tanh")
    use_bias: bool = True
    _initializers: ClassVar[RecurrentInitializers]
    _penalties: ClassVar[RecurrentPenalties]
    dropout: float = setting(fraction, 0.0)
    recurrent_dropout: float = setting(fraction, 0.0)


class LSTMSettings(RecurrentInitializers, RecurrentPenalties):
    units: int = setting(positive_int)
    activation: Any = setting(activations, "tanh")
    recurrent_activation: Any = setting(activations, "sigmoid")
    use_bias: bool = True
    _initializers: ClassVar[RecurrentInitializers]
    unit_forget_bias: bool = True
    _penalties: ClassVar[RecurrentPenalties]
    dropout: float = setting(fraction, 0.0)
    recurrent_dropout: float = setting(fraction, 0.0)


class GRUSettings(RecurrentInitializers, RecurrentPenalties):
    units: int = setting(positive_int)
    activation: Any = setting(activations, "tanh")
    recurrent_activation: Any = setting(activations, "sigmoid")
    use_bias: bool = True
    _initializers: ClassVar[RecurrentInitializers]
    _penalties: ClassVar[RecurrentPenalties]
    dropout: float = setting(fraction, 0.0)
    recurrent_dropout: float = setting(fraction, 0.0)


@layers.register
class SimpleRNNCell(SimpleRNNSettings, Seed, _Dense):
    """One step of `SimpleRNN`; see there for the settings and `simple_rnn_step` for the formula.

    Call: cell(x [B, C], states [h]) -> (h', [h']).

    Example:
        >>> cell = SimpleRNNCell(3)
        >>> y, states = cell(jnp.ones((2, 4)), cell.get_initial_state(2))
    """

    activity_regularizer: Any = setting(optional(regularizers), None, keyword=True)

    def step(self, params, x, states, noise):
        h = simple_rnn_step(
            x, states[0], params["recurrent_kernel"], activation=self.activation, kept=noise["state"]
        )  # fmt: skip
        return h, [h]

    def recurrence(self, params, noise):
        if noise["state"] is not None:
            return None
        return params["recurrent_kernel"], None, Derived(lambda x, product, states: [self.activation(x + product)])


@layers.register
class LSTMCell(LSTMSettings, Seed, _Dense):
    """One step of `LSTM`; see there for the settings and `lstm_step` for the formula.

    Call: cell(x [B, C], states [h, c]) -> (h', [h', c']).

    Example:
        >>> cell = LSTMCell(3)
        >>> y, (h, c) = cell(jnp.ones((2, 4)), cell.get_initial_state(2))
    """

    activity_regularizer: Any = setting(optional(regularizers), None, keyword=True)
    gates = 4

    @property
    def state_size(self):
        return [self.units, self.units]

    def _bias_start(self):
        return forget_bias(self.bias_initializer, self.units) if self.unit_forget_bias else self.bias_initializer

    def step(self, params, x, states, noise):
        h, c = lstm_step(
            x, *states, params["recurrent_kernel"], activation=self.activation,
            recurrent_activation=self.recurrent_activation, kept=noise["state"],
        )  # fmt: skip
        return h, [h, c]

    def recurrence(self, params, noise):
        if noise["state"] is not None:
            return None
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return params["recurrent_kernel"], None, _Gates() if usual else Derived(self._behind)

    def _behind(self, x, product, states):
        return list(lstm_gates(x + product, states[1], self.activation, self.recurrent_activation))


class _Gates:
    """`lstm_gates` with tanh and sigmoid, and its derivative from few kept arrays; see `Derived` for the methods."""

    def forward(self, x, product, states):
        z = x + product
        i, f, _, o = jnp.split(jax.nn.sigmoid(z), 4, -1)  # all at once is quicker, with a quarter for nothing
        g = jnp.tanh(jnp.split(z, 4, -1)[2])
        c = f * states[1] + i * g
        return [o * jnp.tanh(c), c], (i, f, g, o)

    def backward(self, saved, before, after, grads):
        (i, f, g, o), (dh, dc), t = saved, grads, jnp.tanh(after[1])
        dc = dc + dh * o * (1 - t * t)
        dz = [dc * g * i * (1 - i), dc * before[1] * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)]
        dz = jnp.concatenate(dz, -1)
        return dz, dz, [jnp.zeros_like(dh), dc * f]


@layers.register
class GRUCell(GRUSettings, ResetAfter, Seed, _Dense):
    """One step of `GRU`; see there for the settings and `gru_step` for the formula.

    Call: cell(x [B, C], states [h]) -> (h', [h']).

    Example:
        >>> cell = GRUCell(3)
        >>> y, states = cell(jnp.ones((2, 4)), cell.get_initial_state(2))
    """

    activity_regularizer: Any = setting(optional(regularizers), None, keyword=True)
    gates = 3

    @property
    def bias_rows(self):
        return (2,) if self.reset_after else ()

    def _input_bias(self, bias):
        return bias[0] if self.reset_after else bias

    def step(self, params, x, states, noise):
        bias = params["bias"][1] if self.use_bias and self.reset_after else None
        h = gru_step(
            x, states[0], params["recurrent_kernel"], bias, reset_after=self.reset_after, activation=self.activation,
            recurrent_activation=self.recurrent_activation, kept=noise["state"],
        )  # fmt: skip
        return h, [h]

    def recurrence(self, params, noise):
        if noise["state"] is not None or not self.reset_after:
            return None
        return params["recurrent_kernel"], params["bias"][1] if self.use_bias else None, Derived(self._behind)

    def _behind(self, x, product, states):
        return [gru_gates(x, product, states[0], self.activation, self.recurrent_activation)]
