"""Recurrent layers: cells that compute one step, and one scan over time that all of them share.

A cell computes `(output, states)` from the input of one step and the states before it. `RNN(cell)` runs any cell over
time: those of this file, one of your own derived from `RNNCell` (pure: `declare` and `step`), one written the Keras way
(`build`, `call(inputs, states)`), or a stack of them. Inside, time is the first axis and `lax.scan` walks along it.

What of a step does not depend on the states (input times kernel plus bias) is computed for all steps at once before the
scan: on GPU and TPU, where every operation inside is a launch, and for the cells whose derivative over time is our own
on the CPU (`recurrence.py`). For others it stays inside there, which JAX's own derivative of the scan makes faster.
"""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fkeras.core import rng
from fkeras.core.settings import Configured, deserialize, setting, snake_case
from fkeras.layers.cells import (
    GRUCell,
    GRUSettings,
    LSTMCell,
    LSTMSettings,
    ResetAfter,
    RNNCell,
    Seed,
    SimpleRNNCell,
    SimpleRNNSettings,
    first_shape,
    sizes_of,
)
from fkeras.layers.contract import custom
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.kernels import convolution as kernels
from fkeras.layers.kernels.recurrence import scan_product

# ------------------------------------------------------------------------------------------ over time


def scan_time(
    step, x, states, mask=None, *, extra=None, reverse=False, unroll=False, all_outputs=True, zero_masked=False
):  # fmt: skip
    """Runs `step` along time. A masked step leaves the states as they are and repeats the output before it.

    Args:
        step: Function (x_t, states, extra) -> (y_t, states, extra).
        x: Array, or tree of arrays, [T, B, ...].
        states: Tree of arrays [B, ...]; the first is taken for the output before the first step if its shape fits.
        mask: Bool array [T, B], False where a row has no such step, or None.
        extra: Tree that is carried along whatever the mask.
        reverse: From the last step to the first.
        unroll: Write the steps out instead of looping.
        all_outputs: False returns None for the outputs of the steps and saves their memory.
        zero_masked: A masked step puts out zeros instead.

    Returns:
        (outputs [T, B, ...] in the order in which they were computed, last output, states, extra).

    Example:
        >>> add = lambda x, s, e: (s + x, s + x, e)
        >>> mask = jnp.array([[True], [False], [True]])
        >>> scan_time(add, jnp.ones((3, 1)), jnp.zeros(1), mask)[0].ravel().tolist()
        [1.0, 1.0, 2.0]
    """
    y = jax.eval_shape(step, jax.tree.map(lambda a: a[0], x), states, extra)[0]
    leading = next(iter(jax.tree.leaves(states)), None)
    fits = leading is not None and (leading.shape, leading.dtype) == (y.shape, y.dtype)
    before = leading if fits else jnp.zeros(y.shape, y.dtype)

    def body(carry, now):
        before, states, extra = carry
        x_t, real = now
        y, after, extra = step(x_t, states, extra)
        if real is not None:

            def choose(a, b):
                return jnp.where(real.reshape(real.shape + (1,) * (a.ndim - 1)), a, b)

            after = jax.tree.map(choose, after, states)
            y = choose(y, jnp.zeros_like(y) if zero_masked else before)
        return (y, after, extra), y if all_outputs else None

    (last, states, extra), outputs = lax.scan(body, (before, states, extra), (x, mask), reverse=reverse, unroll=unroll)
    if reverse and all_outputs:
        outputs = jnp.flip(outputs, 0)
    return outputs, last, states, extra


# -------------------------------------------------------------------------------------- cells of any kind


def _cells(value):
    return [_cell(c) for c in value]


def _cell(value):
    value = deserialize(value) if isinstance(value, dict) else value
    if isinstance(value, (list, tuple)):
        return StackedRNNCells(value)
    if inspect.isclass(value) or not hasattr(value, "state_size"):
        raise ValueError(f"expected a cell, an object with `state_size`, or a list of them, got {value!r}.")
    known = isinstance(value, (RNNCell, StackedRNNCells)) or custom.is_keras_style(value)
    if not known and (isinstance(value, Layer) or not hasattr(value, "call")):
        raise ValueError(f"expected a cell with `call(inputs, states)`, or one derived from RNNCell, got {value!r}.")
    return value


@layers.register
class StackedRNNCells(Layer):
    """Several cells as one: each takes the output of the one before.

    Args:
        cells: List of cells.

    Call: stack(x [B, C], list of each cell's states) -> (output of the last cell, list of each cell's states).

    Example:
        >>> RNN(StackedRNNCells([LSTMCell(3), GRUCell(2)]))(jnp.ones((4, 5, 6))).shape
        (4, 2)
    """

    cells: Any = setting(_cells)
    call_order = ("states", "training")

    @property
    def state_size(self):
        return [c.state_size for c in self.cells]

    @property
    def output_size(self):
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size=None):
        """Returns the list of each cell's states before the first step."""
        return initial_states(self, (batch_size,), self.dtype.compute_dtype)

    def declare(self, shape):
        found, shape = {}, first_shape(shape)
        for key, cell in enumerate(self.cells):
            if declared := declare_cell(cell, shape):
                found[f"cells_{key}"] = declared
            shape = _output_shape(cell, shape)
        return found

    def pack(self, x, *args, **kwargs):
        return custom.pack(x, args, kwargs)

    def forward(self, params, state, x, ctx):
        (x, states), _ = custom.unpack(x)
        after, state = [], dict(state)
        for key, cell, before in zip(self.keys(), self.cells, states, strict=True):
            own = params.get(key, {}), state.get(key, {})
            x, new, inner = call_cell(cell, *own, x, before, ctx.at(key))
            after.append(new)
            state |= {key: inner} if key in state else {}
        return (x, after), state

    def keys(self):
        """Returns the cells' keys in the tree of parameters."""
        return [f"cells_{k}" for k in range(len(self.cells))]

    def _ensure(self, shape):
        super()._ensure(first_shape(shape))


def _handed_out(cell, states):
    """Returns the states as a layer hands them out: of a stack, an array for a cell of one state that makes no list."""
    if not isinstance(cell, StackedRNNCells):
        return states
    alone = [not isinstance(c.state_size, (list, tuple)) and not hasattr(c, "get_initial_state") for c in cell.cells]
    return [s[0] if one else s for s, one in zip(states, alone, strict=True)]


def _output_size(cell):
    size = getattr(cell, "output_size", None)
    return sizes_of(cell)[0] if size is None else size


def _output_shape(cell, shape):
    if isinstance(cell, RNNCell):
        return cell.output_shape(shape)
    if isinstance(cell, StackedRNNCells):
        for inner in cell.cells:
            shape = _output_shape(inner, shape)
        return shape
    return (shape[0], _output_size(cell))


def initial_states(cell, shape, dtype):
    """Returns the states of any cell before the first step: a list of arrays, one of lists for a stack.

    Args:
        cell: Any cell. shape: Of one step's input, [B, ...]. dtype: Of the states.
    """
    if isinstance(cell, StackedRNNCells):
        found = []
        for inner in cell.cells:
            found.append(initial_states(inner, shape, dtype))
            shape = _output_shape(inner, shape)
        return found
    if isinstance(cell, RNNCell):
        return cell.initial_states(shape, dtype)
    if hasattr(cell, "get_initial_state"):
        found = cell.get_initial_state(batch_size=shape[0])
        found = list(found) if isinstance(found, (list, tuple)) else [found]
        return jax.tree.map(lambda a: jnp.asarray(a, dtype), found)
    return [jnp.zeros((shape[0], size), dtype) for size in sizes_of(cell)]


def declare_cell(cell, shape):
    """Returns what any cell declares for a step's input of `shape`."""
    if not isinstance(cell, Layer):
        return {}
    if not custom.is_keras_style(cell) or not cell.children():
        return cell.declare(shape)
    try:
        return cell.declare(shape)
    except TypeError:  # `build` left inner layers unbuilt: their shapes are found by tracing `call`, with the states
        states = jax.eval_shape(lambda: initial_states(cell, (shape[0] or 2, *shape[1:]), cell.dtype.compute_dtype))
        states = jax.tree.map(lambda s: (shape[0], *s.shape[1:]), states)
        return cell.declare({"args": [shape, states], "kwargs": {}})


def call_cell(cell, params, state, x, states, ctx):
    """Computes (output, states, running values) of one step of any cell; the states keep form and dtype."""
    if isinstance(cell, Layer):
        (y, after), state = cell.apply(params, state, cell.pack(x, states), ctx)
    else:
        takes = inspect.signature(cell.call).parameters
        y, after = cell.call(x, states, **({"training": ctx.training} if "training" in takes else {}))
    before, form = jax.tree.flatten(states)
    after = [jnp.asarray(a).astype(b.dtype) for a, b in zip(jax.tree.leaves(after), before, strict=True)]
    return y.astype(x.dtype), jax.tree.unflatten(form, after), state


def scan_cell(cell, params, state, x, states, mask, ctx, *, all_outputs, **options):
    """Runs any cell over `x` [T, B, ...]; see `scan_time` for the options.

    A stack runs one cell after the other, each over all steps: a masked step leaves the states of all cells alone, so
    that what it hands on is never seen.

    Returns:
        (outputs or None, last output, states, running values).
    """
    if isinstance(cell, StackedRNNCells):
        finals, state, keys = [], dict(state), cell.keys()
        if options["reverse"]:  # once: the outputs of a cell come in the order in which they were computed
            x, mask = jax.tree.map(lambda a: jnp.flip(a, 0), (x, mask))
            options = {**options, "reverse": False}
        for key, inner, before in zip(keys, cell.cells, states, strict=True):
            own = params.get(key, {}), state.get(key, {})
            x, last, after, running = scan_cell(
                inner, *own, x, before, mask, ctx.at(key), all_outputs=all_outputs or key != keys[-1], **options
            )
            finals.append(after)
            state |= {key: running} if key in state else {}
        return x, last, finals, state
    if not isinstance(cell, RNNCell) or custom.is_keras_style(cell):
        fold = ctx.training and ctx.key is not None

        def step(now, states, state):
            x_t, t = now
            here = ctx.at(key=rng.fold(ctx.key, t)) if fold else ctx  # fresh noise at every step
            return call_cell(cell, params, state, x_t, states, here)

        steps = jnp.arange(x.shape[0])
        return scan_time(step, (x, steps), states, mask, extra=state, all_outputs=all_outputs, **options)
    noise = cell.draw_noise(x.shape[1:], ctx)
    if ctx.training and kernels.chosen() == "cpu" and (found := _recurrence(cell, params, noise)):
        return *_scan_apart(*found, cell.project(params, x, noise), states, mask, all_outputs, **options), state
    ahead = cell.projects_ahead()
    if ahead:
        x = cell.project(params, x, noise)

    def step(x_t, states, extra):
        return *cell.step(params, x_t if ahead else cell.project(params, x_t, noise), states, noise), extra

    return scan_time(step, x, states, mask, extra=state, all_outputs=all_outputs, **options)


def _recurrence(cell, params, noise):
    """Returns the step taken apart, or None; a class that writes a step of its own has to take it apart itself."""
    owners = [next(c for c in type(cell).__mro__ if name in vars(c)) for name in ("step", "recurrence")]
    return cell.recurrence(params, noise) if owners[0] is owners[1] else None


def _scan_apart(kernel, bias, step, x, states, mask, all_outputs, reverse, unroll, zero_masked):
    if reverse:
        x, mask = jax.tree.map(lambda a: jnp.flip(a, 0), (x, mask))
    outputs, states = scan_product(step, x, states, kernel, bias, mask, all_outputs=all_outputs, unroll=unroll)
    last = states[0]
    if zero_masked and mask is not None:
        last = jnp.where(mask[-1][:, None], last, 0)
        outputs = jnp.where(mask[..., None], outputs, 0) if all_outputs else None
    return outputs, last, states


# --------------------------------------------------------------------------------------------- layers


class _Kept(Weight):
    """A state that a stateful layer keeps from batch to batch: no weight, so it is in no file."""

    saved = False


class Recurrent(Layer):
    """Base of the layers that run `self.cell` over time."""

    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False
    supports_masking = True
    call_order = ("initial_state", "mask", "training")

    @property
    def state_size(self):
        """List of the sizes of the states."""
        return sizes_of(self.cell)

    @property
    def output_size(self):
        return _output_size(self.cell)

    def check(self):
        if not self.trainable:
            self.trainable = False  # of the cell too

    # ------------------------------------------------------------------------------------ arguments

    def pack(self, x, initial_state=None):
        """Packs a call layer(x, initial_state=[...]); Keras 2's list [x, *states] is read too."""
        if isinstance(x, (list, tuple)):
            x, *rest = x
            initial_state = (rest or None) if initial_state is None else initial_state
        if isinstance(initial_state, tuple):
            initial_state = list(initial_state)
        return custom.pack(x, (), {"initial_state": initial_state})

    def _arguments(self, x):
        """Returns (x, initial_state or None) of arrays or of shapes."""
        args, kwargs = custom.unpack(x)
        return args[0], kwargs.get("initial_state", args[1] if len(args) > 1 else None)

    def check_input(self, shape):
        x, _ = self._arguments(shape)
        super().check_input(x)
        if len(x) < 3:
            raise ValueError(f"{self.label}: expected an input of rank 3 or more, [B, T, ...], got shape {x}.")
        if x[-1] is None:
            raise ValueError(f"{self.label}: the number of features must be known to make its weights, got {x}.")
        if self.unroll and x[1] is None:
            raise ValueError(
                f"{self.label}: unroll=True needs a known number of time steps, got shape {x}. Give it in "
                f"Input((steps, features)), or leave unroll out."
            )
        if self.stateful and x[0] is None:
            raise ValueError(
                f"{self.label}: stateful=True needs a fixed batch size, got shape {x}. Give it in "
                f"Input(batch_shape=(rows, steps, features)), or batch_shape=... of the first layer."
            )
        if self.stateful and self.built:
            self._check_batch(x[0])

    def _check_batch(self, rows):
        kept = next(w.shape[0] for w in self._cell.declared.values() if isinstance(w, _Kept))
        if rows != kept:
            raise ValueError(
                f"{self.label}: it is stateful and keeps states for {kept} rows, got a batch of {rows}. Use "
                f"batch_size={kept} and a number of rows that it divides."
            )

    # ---------------------------------------------------------------------------------- as a pure layer

    def declare(self, shape):
        x, _ = self._arguments(shape)
        step = (x[0], *x[2:])
        declared = declare_cell(self.cell, step)
        found = {"cell": declared} if declared else {}
        if self.stateful:
            states = jax.tree.leaves(self._form(step))
            found |= {
                name: _Kept(s.shape, "zeros", trainable=False) for name, s in zip(_names(states), states, strict=True)
            }
        return found

    def _form(self, step):
        step = (2 if step[0] is None else step[0], *step[1:])
        return jax.eval_shape(lambda: initial_states(self.cell, step, self.dtype.compute_dtype))

    def forward(self, params, state, x, ctx):
        x, given = self._arguments(x)
        step = (x.shape[0], *x.shape[2:])
        form = self._form(step)
        names = _names(jax.tree.leaves(form))
        if given is not None:
            states = self._fit(given, form)
        elif self.stateful:
            states = self._fit([state[n] for n in names], form)
        else:
            states = initial_states(self.cell, step, x.dtype)
        mask = first_mask(ctx.mask)
        outputs, last, states, running = scan_cell(
            self.cell,
            params.get("cell", {}),
            state.get("cell", {}),
            x.swapaxes(0, 1),  # [B, T, ...] -> [T, B, ...]
            states,
            None if mask is None else jnp.asarray(mask, bool).T,
            ctx.at("cell", mask=None, losses=None),
            all_outputs=self.return_sequences,
            reverse=self.go_backwards,
            unroll=self.unroll,
            zero_masked=self.zero_output_for_mask,
        )
        state = state | ({"cell": running} if "cell" in state else {})
        if self.stateful:
            for name, after in zip(names, jax.tree.leaves(states), strict=True):
                real = ctx.row_mask(after.ndim)
                after = after.astype(state[name].dtype)
                state[name] = after if real is None else jnp.where(real, after, state[name])
        y = outputs.swapaxes(0, 1) if self.return_sequences else last
        return (y, *_handed_out(self.cell, states)) if self.return_state else y, state

    def _fit(self, given, form):
        """Gives states the form and dtype of the cell's. Raises ValueError for a wrong number or shape of them."""
        given, (want, form) = jax.tree.leaves(given), jax.tree.flatten(form)
        if [jnp.shape(a) for a in given] != [w.shape for w in want]:
            raise ValueError(
                f"{self.label}: expected {len(want)} states of shapes {[w.shape for w in want]}, got "
                f"{[jnp.shape(a) for a in given]}."
            )
        return jax.tree.unflatten(form, [jnp.asarray(a).astype(w.dtype) for a, w in zip(given, want, strict=True)])

    def compute_mask(self, inputs, mask=None):
        mask = first_mask(mask) if self.return_sequences else None
        if not self.return_state:
            return mask
        return [mask] + [None] * len(jax.tree.leaves(self.cell.state_size))

    # ------------------------------------------------------------------------------------------- face

    @property
    def states(self):
        """The variables of a stateful layer's states, or None."""
        if not self.stateful or not self.built:
            return None
        return [getattr(self, n) for n, w in self._cell.declared.items() if isinstance(w, _Kept)]

    def reset_state(self, states=None):
        """Sets the states that a stateful layer keeps to zeros, or to `states`."""
        own = self.states or []
        given = [jnp.zeros(v.shape) for v in own] if states is None else jax.tree.leaves(states)
        if len(given) != len(own):
            raise ValueError(f"{self.label}: expected {len(own)} states, got {len(given)}.")
        for variable, value in zip(own, given, strict=True):
            variable.assign(value)

    reset_states = reset_state


def _names(states):
    return ["rnn_state" if k == 0 else f"rnn_state_{k}" for k in range(len(states))]


def first_mask(mask):
    """Returns the mask of the first argument, from a mask or a tree of masks."""
    if isinstance(mask, dict):
        mask = mask["args"][0]
    return mask[0] if isinstance(mask, (list, tuple)) else mask


@layers.register
class RNN(Recurrent):
    """Runs a cell, or a list of cells as one stack, over time.

    Args:
        cell: Object with `state_size` (an int or a list of them) and either `call(inputs, states) -> (output, states)`,
            as in Keras, or what `RNNCell` asks for; or a list of cells.
        return_sequences: Put out every step, [B, T, U], instead of the last one.
        return_state: Return (output, *states).
        go_backwards: From the last step to the first; the outputs come in that order.
        stateful: The states after a batch are those before the next one; needs a fixed batch size (`batch_shape`).
        unroll: Write the steps out instead of looping: the same numbers, longer to compile.
        zero_output_for_mask: A masked step puts out zeros instead of the output before it.

    Call: layer(x, initial_state=None, mask=None); `initial_state` is a list of arrays, one a state.

    Input shape: [B, T, C]. Output shape: [B, U], or [B, T, U] with return_sequences. A mask [B, T] leaves the states as
    they are where it is False, so that a padded batch equals its trimmed twin.

    Example:
        >>> RNN([GRUCell(4), GRUCell(3)], return_sequences=True)(jnp.ones((2, 5, 6))).shape
        (2, 5, 3)

    Reference:
        As Keras 3, except that a cell whose output is not its first state repeats its output at masked steps.
    """

    cell: Any = setting(_cell)


class OwnCell(Recurrent):
    """A layer with the settings of a cell, which it makes itself."""

    zero_output_for_mask: bool = setting(default=False, keyword=True)
    cell_class = None  # set by each layer
    rank = (3, "[B, T, C]")

    def check(self):
        cls = self.cell_class
        beside = ("name", "dtype", "activity_regularizer", "batch_shape")
        shared = {n: getattr(self, n) for n in cls._fields if n in self._fields and n not in beside}
        shared |= self._cell_settings()
        self.cell = cls(**shared, name=snake_case(cls.__name__), dtype=self.dtype)
        super().check()

    def _cell_settings(self):
        """Settings of the cell that the layer has under other names."""
        return {}


def _use_cudnn(value):
    if value not in ("auto", True, False):
        raise ValueError(f"expected 'auto', True or False, got {value!r}.")
    return value


class _UseCudnn(Configured):
    use_cudnn: Any = setting(_use_cudnn, "auto", saved=False)


@layers.register
class SimpleRNN(SimpleRNNSettings, OwnCell, Seed):
    """A fully connected recurrent network; the formula is `simple_rnn_step`'s.

    Args:
        units: Size of the output and of the state.
        activation, use_bias: As `Dense`.
        kernel_*, recurrent_*, bias_*: Of the input kernel [C, U], the recurrent kernel [U, U] and the bias [U].
        dropout, recurrent_dropout: Fractions of the input and of the state dropped while training, alike at all steps.
        seed: Int that sets this layer's draws apart, or None.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: See `RNN`.

    Input shape: [B, T, C]. Output shape: [B, U], or [B, T, U] with return_sequences.

    Example:
        >>> SimpleRNN(3)(jnp.ones((2, 5, 4))).shape
        (2, 3)
    """

    cell_class = SimpleRNNCell


@layers.register
class LSTM(LSTMSettings, Seed, OwnCell, _UseCudnn):
    """Long short-term memory; the formula is `lstm_step`'s, the states are [h, c].

    Args:
        units: Size of the output and of each state.
        activation, recurrent_activation: Of the carry, and of the gates.
        use_bias, kernel_*, recurrent_*, bias_*: Of the input kernel [C, 4U], the recurrent kernel [U, 4U] and the bias
            [4U], in the order input gate, forget gate, carry, output gate.
        unit_forget_bias: The forget gate's bias starts at 1.
        dropout, recurrent_dropout: Fractions of the input and of the state dropped while training, alike at all steps;
            with recurrent_dropout each gate has masks of its own.
        seed: Int that sets this layer's draws apart, or None.
        use_cudnn: Keras's choice of an implementation; there is one here, whatever it says.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: See `RNN`.

    Input shape: [B, T, C]. Output shape: [B, U], or [B, T, U] with return_sequences.

    Example:
        >>> sequences, h, c = LSTM(3, return_sequences=True, return_state=True)(jnp.ones((2, 5, 4)))
        >>> sequences.shape, bool((sequences[:, -1] == h).all())
        ((2, 5, 3), True)

    Reference:
        Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997; as Keras 3.
    """

    cell_class = LSTMCell


@layers.register
class GRU(GRUSettings, Seed, OwnCell, ResetAfter, _UseCudnn):
    """Gated recurrent units; the formula is `gru_step`'s.

    Args:
        units: Size of the output and of the state.
        activation, recurrent_activation: Of the candidate, and of the gates.
        use_bias, kernel_*, recurrent_*, bias_*: Of the input kernel [C, 3U], the recurrent kernel [U, 3U] and the bias,
            in the order update gate, reset gate, candidate. The bias is [2, 3U] with reset_after (one for the input,
            one for the recurrent product), else [3U].
        reset_after: The reset gate is applied after the recurrent product (cuDNN's form), not before it.
        dropout, recurrent_dropout, seed, use_cudnn: See `LSTM`.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: See `RNN`.

    Input shape: [B, T, C]. Output shape: [B, U], or [B, T, U] with return_sequences.

    Example:
        >>> GRU(3, reset_after=False)(jnp.ones((2, 5, 4))).shape
        (2, 3)

    Reference:
        Cho et al., 2014, arXiv:1406.1078; as Keras 3.
    """

    cell_class = GRUCell
