"""Convolutional LSTMs: over time as an LSTM, with convolutions in place of its matrix products."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fkeras import activations
from fkeras.core import dtypes
from fkeras.core.settings import choice, fraction, ints, positive_int, seed_or_none, setting
from fkeras.layers.cells import RNNCell, draw_masks, first_shape, forget_bias, lstm_gates
from fkeras.layers.contract.base import layers
from fkeras.layers.contract.weight_settings import RecurrentInitializers, RecurrentPenalties, weight
from fkeras.layers.convolution import conv
from fkeras.layers.kernels import convolution as kernels
from fkeras.layers.recurrent import OwnCell

# -------------------------------------------------------------------------------------- pure functions


def conv_lstm_step(
    x, h, c, recurrent_kernel, *, activation=jnp.tanh, recurrent_activation=jax.nn.sigmoid, kept=None
):  # fmt: skip
    """One step of a convolutional LSTM: `lstm_step` with h * R, a convolution with padding "same", for h R.

    Args:
        x: Float array [B, *space, 4F]: the step's input convolved with the input kernel, plus bias.
        h, c: Float arrays [B, *space, F]: output and carry of the step before.
        recurrent_kernel: R, float array [*window, F, 4F].
        kept: Float array [B, 4, *space, F] that scales `h` for each gate (recurrent dropout), or None.

    Returns:
        (h', c'), each [B, *space, F].

    Example:
        >>> zeros = jnp.zeros((1, 5, 2))
        >>> conv_lstm_step(jnp.zeros((1, 5, 8)), zeros, zeros, jnp.ones((3, 2, 8)))[0].shape
        (1, 5, 2)

    Reference:
        Shi et al., "Convolutional LSTM Network", 2015, arXiv:1506.04214, without the peepholes, as Keras 3.
    """
    return lstm_gates(x + gate_conv(h, recurrent_kernel, kept), c, activation, recurrent_activation)


def gate_conv(x, kernel, kept=None, strides=1, padding="same", dilation=1):
    """Convolves `x` with the kernels of several gates, each seeing `x` scaled by a mask of its own.

    Args:
        x: Float array [B, *space, C].
        kernel: Float array [*window, C, G * F].
        kept: Float array [B, G, *space, C], or None.

    Returns:
        Float array [B, *cells, G * F].
    """
    if kept is None:
        return conv(x, kernel, strides, padding, dilation)
    gates = jnp.split(kernel, kept.shape[1], axis=-1)
    parts = [conv(x * kept[:, g], k, strides, padding, dilation) for g, k in enumerate(gates)]
    return jnp.concatenate(parts, axis=-1)


# ----------------------------------------------------------------------------------------------- cell


class ConvLSTMSettings(RecurrentInitializers, RecurrentPenalties):
    """The settings of a cell and of its layer, in Keras's order."""

    filters: int = setting(positive_int)
    kernel_size: Any = setting()
    strides: Any = 1
    padding: str = setting(choice("valid", "same"), "valid")
    data_format: str = setting(dtypes.data_format, None)
    dilation_rate: Any = 1
    activation: Any = setting(activations, "tanh")
    recurrent_activation: Any = setting(activations, "sigmoid")
    use_bias: bool = True
    _initializers: ClassVar[RecurrentInitializers]
    unit_forget_bias: bool = True
    _penalties: ClassVar[RecurrentPenalties]
    dropout: float = setting(fraction, 0.0)
    recurrent_dropout: float = setting(fraction, 0.0)
    seed: Any = setting(seed_or_none, None)

    def spread(self, spatial):
        """Makes sizes tuples with one int an axis. Raises ValueError naming the layer."""
        for name in ("kernel_size", "strides", "dilation_rate"):
            try:
                setattr(self, name, ints(spatial)(getattr(self, name)))
            except ValueError as err:
                raise ValueError(f"{self.label}, {name}: {err}") from None
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{self.label}: strides={self.strides} and dilation_rate={self.dilation_rate} cannot both be over 1."
            )


class _Cell(ConvLSTMSettings, RNNCell):
    spatial = 2

    def check(self):
        super().check()
        self.spread(self.spatial)

    @property
    def channels_first(self):
        return self.data_format == "channels_first"

    @property
    def state_size(self):
        return [self.filters, self.filters]

    def _channels_last(self, x, lead=1):
        """Moves the channels after the space axes; `lead` axes come before them."""
        if not self.channels_first:
            return x
        if isinstance(x, tuple):
            return (*x[:lead], *x[lead + 1 :], x[lead])
        return jnp.moveaxis(x, lead, -1)

    def _as_given(self, x):
        if not self.channels_first:
            return x
        return (x[0], x[-1], *x[1:-1]) if isinstance(x, tuple) else jnp.moveaxis(x, -1, 1)

    def output_shape(self, shape):
        shape = self._channels_last(tuple(shape))
        window = self.kernel_size, self.strides, self.dilation_rate
        _, cells = kernels.window_pads(shape[1:-1], *window, self.padding)
        return self._as_given((shape[0], *cells, self.filters))

    def initial_states(self, shape, dtype):
        if len(shape) < self.spatial + 2:
            raise ValueError(f"{self.label}: the states' shape depends on the input's, got only {shape}.")
        return [jnp.zeros(self.output_shape(shape), dtype)] * 2

    def declare(self, shape):
        channels = self._channels_last(first_shape(shape))[-1]
        weights = {
            "kernel": weight(self, "kernel", (*self.kernel_size, channels, 4 * self.filters)),
            "recurrent_kernel": weight(self, "recurrent", (*self.kernel_size, self.filters, 4 * self.filters)),
        }
        if self.use_bias:
            start = self.bias_initializer
            start = forget_bias(start, self.filters) if self.unit_forget_bias else start
            weights["bias"] = weight(self, "bias", (4 * self.filters,), start)
        return weights

    def draw_noise(self, shape, ctx):
        dtype = self.dtype.compute_dtype
        x, h = (self._channels_last(s) for s in (tuple(shape), self.output_shape(shape)))
        return {
            "input": draw_masks(ctx.at("input"), (x[0], 4, *x[1:]), self.dropout, self.seed, dtype),
            "state": draw_masks(ctx.at("state"), (h[0], 4, *h[1:]), self.recurrent_dropout, self.seed, dtype),
        }

    def projects_ahead(self):
        return True  # one larger convolution, also on the CPU

    def project(self, params, x, noise):
        lead = x.shape[: x.ndim - self.spatial - 1]  # [T, B] or [B]
        x, kept = self._channels_last(x, len(lead)), noise["input"]
        x = x.reshape(-1, *x.shape[len(lead) :])
        if kept is not None and len(lead) > 1:
            kept = jnp.tile(kept, (lead[0], *[1] * (kept.ndim - 1)))
        y = gate_conv(x, params["kernel"], kept, self.strides, self.padding, self.dilation_rate)
        y = y + params["bias"] if self.use_bias else y
        return y.reshape(*lead, *y.shape[1:])

    def step(self, params, x, states, noise):
        h, c = (self._channels_last(s) for s in states)
        h, c = conv_lstm_step(
            x, h, c, params["recurrent_kernel"], activation=self.activation,
            recurrent_activation=self.recurrent_activation, kept=noise["state"],
        )  # fmt: skip
        h, c = self._as_given(h), self._as_given(c)
        return h, [h, c]


@layers.register
class ConvLSTMCell(_Cell):
    """One step of `ConvLSTM1D`, `ConvLSTM2D` or `ConvLSTM3D`; see `ConvLSTM2D` for the settings.

    Args:
        rank: Number of space axes: 1, 2 or 3.

    Call: cell(x [B, *space, C], states [h, c]) -> (h', [h', c']).

    Example:
        >>> cell = ConvLSTMCell(1, filters=2, kernel_size=3, padding="same")
        >>> cell(jnp.ones((1, 5, 3)), cell.initial_states((1, 5, 3), "float32"))[0].shape
        (1, 5, 2)
    """

    rank: int = setting(choice(1, 2, 3))
    spatial = property(lambda self: self.rank)

    def check_input(self, shape):
        """Any shape that the convolution takes."""


# --------------------------------------------------------------------------------------------- layers


class _ConvLSTM(ConvLSTMSettings, OwnCell):
    spatial = 2
    cell_class = ConvLSTMCell

    def check(self):
        self.spread(self.spatial)
        super().check()

    def _cell_settings(self):
        return {"rank": self.spatial}

    @property
    def rank(self):
        axes = {1: "L", 2: "H, W", 3: "H, W, D"}[self.spatial]
        first = self.data_format == "channels_first"
        return self.spatial + 3, f"[B, T, C, {axes}]" if first else f"[B, T, {axes}, C]"

    def check_input(self, shape):
        super().check_input(shape)
        x, _ = self._arguments(shape)
        step = (x[0], *x[2:])
        if None in step[1:]:
            raise ValueError(f"{self.label}: space and channels must be known, got shape {x}.")
        try:
            self.cell.output_shape(step)
        except ValueError as err:
            raise ValueError(f"{self.label}: {err} Input shape: {x}.") from None


@layers.register
class ConvLSTM1D(_ConvLSTM):
    """A convolutional LSTM over sequences of signals [B, T, L, C]; see `ConvLSTM2D`.

    Example:
        >>> ConvLSTM1D(2, 3)(jnp.ones((1, 4, 6, 3))).shape
        (1, 4, 2)
    """

    spatial = 1


@layers.register
class ConvLSTM2D(_ConvLSTM):
    """A convolutional LSTM over sequences of images; the formula is `conv_lstm_step`'s.

    Args:
        filters: Channels of the output and of each state.
        kernel_size, strides, padding, dilation_rate: Of the convolution of the input; that of the state has the same
            kernel size, strides 1 and padding "same".
        data_format: "channels_last", [B, T, H, W, C], or "channels_first", [B, T, C, H, W].
        activation, recurrent_activation, use_bias, unit_forget_bias: See `LSTM`.
        kernel_*, recurrent_*, bias_*: Of the input kernel [*kernel_size, C, 4F], the recurrent kernel
            [*kernel_size, F, 4F] and the bias [4F].
        dropout, recurrent_dropout, seed: See `LSTM`; each gate has masks of its own.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: See `RNN`.

    Input shape: [B, T, H, W, C]. Output shape: [B, H', W', F], or [B, T, H', W', F] with return_sequences.

    Example:
        >>> ConvLSTM2D(2, 3, padding="same", return_sequences=True)(jnp.ones((1, 4, 5, 5, 3))).shape
        (1, 4, 5, 5, 2)

    Reference:
        Shi et al., "Convolutional LSTM Network", 2015, arXiv:1506.04214; as Keras 3.
    """


@layers.register
class ConvLSTM3D(_ConvLSTM):
    """A convolutional LSTM over sequences of volumes [B, T, H, W, D, C]; see `ConvLSTM2D`.

    Example:
        >>> ConvLSTM3D(2, 2)(jnp.ones((1, 2, 3, 3, 3, 1))).shape
        (1, 2, 2, 2, 2)
    """

    spatial = 3
