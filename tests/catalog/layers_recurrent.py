"""Rows of the recurrent layers and their wrappers; a layer inside another is written `of(kind, ...)`."""

import dataclasses
from typing import NamedTuple

import numpy as np

from tests.catalog.layer_row import LayerRow


class Of(NamedTuple):
    """A layer inside another one, before it is known of which library."""

    kind: str
    kwargs: dict

    def make(self, find):
        return find(self.kind)(**made(self.kwargs, find))

    def __repr__(self):
        return f"{self.kind}({_shown(self.kwargs)})"


def of(kind, **kwargs):
    """Names a layer inside another: `of("LSTM", units=3)`."""
    return Of(kind, kwargs)


def made(value, find):
    """Makes the layers in arguments, of the classes that `find(kind)` returns."""
    if isinstance(value, Of):
        return value.make(find)
    if isinstance(value, dict):
        return {k: made(v, find) for k, v in value.items()}
    return [made(v, find) for v in value] if isinstance(value, list) else value


def _shown(kwargs):
    return ",".join(f"{k}={v}" for k, v in kwargs.items())


@dataclasses.dataclass(frozen=True)
class RecurrentRow(LayerRow):
    """A row whose arguments may hold layers.

    Args:
        mask: "left", "right" or "holes": which steps are masked; row 0 has all.
        states: Shapes of the initial states given in the call, batch axis first, or ().
    """

    mask: str | None = None
    states: tuple = ()

    def build(self):
        from fkeras.layers.contract.base import layers

        return Of(self.kind, self.kwargs).make(layers.lookup), self.input()

    def twin(self, keras):
        def find(kind):
            if kind == "ConvLSTMCell":  # Keras has it, but does not export it
                return keras.layers.ConvLSTM1D(1, 1).cell.__class__
            return getattr(keras.layers, kind)

        return Of(self.kind, self.kwargs).make(find)

    def time_mask(self):
        """Returns the bool mask [B, T], or None."""
        if self.mask is None:
            return None
        B, T = self.shape[:2]
        mask = np.ones((B, T), bool)
        mask[1, {"left": slice(0, T // 2), "right": slice(T - T // 2, T), "holes": slice(1, T, 2)}[self.mask]] = False
        return mask

    def initial_state(self):
        """Returns the list of initial states, or None."""
        random = np.random.default_rng(11)
        return [random.normal(size=s).astype("float32") for s in self.states] or None


def _row(kind, shape, /, *, mask=None, states=(), random=False, half=True, grad=True, **kwargs):
    shown = ",".join(filter(None, [_shown(kwargs), mask and f"mask={mask}", states and "initial_state"]))
    return RecurrentRow(
        f"{kind}({shown})", kind, kwargs, shape, mask=mask, states=states, random=random, half=half, grad=grad
    )


X = (2, 4, 3)
_bias = {"bias_initializer": "ones"}

ROWS = [
    _row("SimpleRNN", X, units=2, activation="sigmoid", **_bias),
    _row("SimpleRNN", X, units=2, use_bias=False, return_sequences=True, go_backwards=True, unroll=True),
    _row("SimpleRNN", X, units=2, dropout=0.3, recurrent_dropout=0.4, seed=5, random=True),
    _row("LSTM", X, units=2),
    _row("LSTM", X, units=2, unit_forget_bias=False, recurrent_activation="hard_sigmoid", return_sequences=True),
    _row("LSTM", X, units=2, dropout=0.4, recurrent_dropout=0.3, activation="relu", random=True),
    _row("GRU", X, units=2, return_sequences=True, **_bias),
    _row("GRU", X, units=2, reset_after=False, go_backwards=True, **_bias),
    _row("GRU", X, units=2, reset_after=False, dropout=0.2, recurrent_dropout=0.5, random=True),
    _row("RNN", X, cell=[of("LSTMCell", units=2), of("GRUCell", units=3, **_bias)], return_sequences=True),
    _row("Bidirectional", X, layer=of("LSTM", units=2)),
    _row("Bidirectional", X, layer=of("GRU", units=2, return_sequences=True), merge_mode="ave"),
    _row("TimeDistributed", X, layer=of("Dense", units=2), half=False),
    _row("TimeDistributed", (2, 3, 4), layer=of("BatchNormalization"), half=False),
    _row("Wrapper", (2, 3), layer=of("Dense", units=2), half=False),
    _row("ConvLSTM1D", (2, 3, 5, 2), filters=2, kernel_size=3, padding="same", return_sequences=True),
    _row("ConvLSTM2D", (2, 2, 4, 5, 2), filters=2, kernel_size=(3, 2), strides=(1, 2), **_bias),
    _row("ConvLSTM3D", (1, 2, 3, 3, 3, 1), filters=2, kernel_size=2, dilation_rate=2),
    _row("ConvLSTM1D", (2, 3, 5, 2), filters=2, kernel_size=2, dropout=0.3, recurrent_dropout=0.3, random=True),
]

# Masks, initial states and several outputs: judged by Keras and held to the laws of tests/test_recurrent.py.
CALL_ROWS = [
    _row("SimpleRNN", X, units=2, return_state=True, states=((2, 2),), mask="right"),
    _row("LSTM", X, units=2, return_sequences=True, return_state=True, states=((2, 2), (2, 2)), mask="holes"),
    _row("LSTM", X, units=2, return_sequences=True, go_backwards=True, zero_output_for_mask=True, mask="left"),
    _row("LSTM", X, units=2, go_backwards=True, mask="right", use_bias=False),
    _row("GRU", X, units=2, return_sequences=True, mask="left", use_bias=False),
    _row("GRU", X, units=2, reset_after=False, return_state=True, states=((2, 2),), use_bias=False),
    _row("RNN", X, cell=of("GRUCell", units=2), return_state=True, mask="holes"),
    _row(
        "RNN", X, cell=[of("SimpleRNNCell", units=2), of("LSTMCell", units=3)], return_sequences=True,
        return_state=True, mask="holes",
    ),
    _row("RNN", X, cell=of("StackedRNNCells", cells=[of("GRUCell", units=2), of("GRUCell", units=2)]), mask="left"),
    _row("Bidirectional", X, layer=of("LSTM", units=2, return_sequences=True), mask="right"),
    _row("Bidirectional", X, layer=of("GRU", units=2), merge_mode="mul", mask="left"),
    _row("Bidirectional", X, layer=of("SimpleRNN", units=2, return_sequences=True), merge_mode=None),
    _row(
        "Bidirectional", X, layer=of("LSTM", units=2, return_state=True), merge_mode="sum",
        states=((2, 2), (2, 2), (2, 2), (2, 2)),
    ),
    _row(
        "Bidirectional", X, layer=of("GRU", units=2, return_state=True), merge_mode=None,
        backward_layer=of("GRU", units=3, return_state=True, go_backwards=True, activation="relu"),
    ),
    _row("ConvLSTM1D", (2, 3, 2, 5), filters=3, kernel_size=2, data_format="channels_first", return_state=True),
    _row("ConvLSTM2D", (2, 2, 3, 3, 2), filters=2, kernel_size=2, padding="same", go_backwards=True, use_bias=False),
    _row("TimeDistributed", (2, 3, 5, 5, 2), layer=of("Conv2D", filters=2, kernel_size=3, **_bias)),
    _row("TimeDistributed", X, layer=of("LayerNormalization"), mask="right"),
]  # fmt: skip

# Their call takes the states too: tested by name in tests/test_recurrent.py.
MERGE_ROWS = [
    _row("SimpleRNNCell", (2, 3), units=2, states=((2, 2),), **_bias),
    _row("LSTMCell", (2, 3), units=2, states=((2, 2), (2, 2))),
    _row("GRUCell", (2, 3), units=2, states=((2, 2),), **_bias),
    _row("GRUCell", (2, 3), units=2, reset_after=False, use_bias=False, states=((2, 2),)),
    _row("ConvLSTMCell", (2, 4, 3), rank=1, filters=2, kernel_size=2, padding="same", states=((2, 4, 2), (2, 4, 2))),
    _row(
        "StackedRNNCells", (2, 3), cells=[of("LSTMCell", units=2), of("SimpleRNNCell", units=3)],
        states=((2, 2), (2, 2), (2, 3)),
    ),
]  # fmt: skip
