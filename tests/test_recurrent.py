"""Recurrent layers: judged by real Keras, and held to the laws of masks, states and noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import initializers
from fkeras.core import tree
from fkeras.core.settings import deserialize, serialize
from fkeras.layers import Dense, Embedding, Input
from fkeras.layers.cells import GRUCell, LSTMCell, RNNCell, SimpleRNNCell, lstm_step
from fkeras.layers.contract.base import Context, Layer, Weight, layers
from fkeras.layers.contract.shapes import is_shape
from fkeras.layers.conv_recurrent import ConvLSTM1D, ConvLSTM2D, ConvLSTMCell
from fkeras.layers.kernels import convolution as kernels
from fkeras.layers.recurrent import GRU, LSTM, RNN, SimpleRNN, StackedRNNCells, scan_time
from fkeras.layers.wrappers import Bidirectional, TimeDistributed
from fkeras.models import Model
from fkeras.saving.order import weights_by_path
from tests.catalog.layers_recurrent import CALL_ROWS, MERGE_ROWS, ROWS

compiled = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)  # compiling is what these tests spend their time on
# Keras's Wrapper computes nothing itself; noise is judged below.
NAMED = [r for r in ROWS + CALL_ROWS if r.kind != "Wrapper" and not r.random]


def disabled(function):
    """Runs `function` operation by operation, loops too."""

    def run(*args):
        with jax.disable_jit():
            return function(*args)

    return run


@pytest.fixture(autouse=True)
def no_draws(request, monkeypatch):
    """Keras's weights start from zeros where they are set anyway: drawing them is what would take the time."""
    if "keras" in request.fixturenames:
        found = request.getfixturevalue("keras").initializers
        for kind in (found.Orthogonal, found.GlorotUniform):
            monkeypatch.setattr(kind, "__call__", lambda self, shape, dtype=None, **_: np.zeros(shape, dtype))


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _close(a, b, tolerance=1e-5):
    """Equal up to the order of float sums; 1e-5 relative to the largest value."""
    assert len(jax.tree.leaves(a)) == len(jax.tree.leaves(b))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * max(1.0, np.abs(y).max(initial=0)))


def _share_weights(layer, twin):
    """Gives the twin weights; returns the same as (params, state) of ours, whose own are never drawn."""
    found = weights_by_path(layer)
    assert [tuple(w.shape) for w in twin.weights] == [v.shape for _, _, v in found]
    assert [w.name for w in twin.weights] == [v.name for _, _, v in found]
    random = np.random.default_rng(3)
    values = [(random.uniform(-1, 1, v.shape) * 0.8).astype("float32") for _, _, v in found]
    values = [np.abs(a) if v.name.endswith("variance") else a for a, (_, _, v) in zip(values, found, strict=True)]
    twin.set_weights(values)
    leaves = {path: a for a, (path, _, _) in zip(values, found, strict=True)}
    trained = {path for path, w in layer.declarations().items() if w.trainable}
    return tree.split(tree.unflatten(leaves), trained)


@pytest.mark.parametrize("case", NAMED, ids=str)
def test_agrees_with_keras(case, keras):
    """Outputs, states, gradients and the order of weights are real Keras's."""
    (layer, x), twin = case.build(), case.twin(keras)
    mask, states = case.time_mask(), case.initial_state()
    twin.build(x.shape)
    layer.build(x.shape)
    params, state = _share_weights(layer, twin)
    given = {} if states is None else {"initial_state": states}
    beside = {} if mask is None else {"mask": mask}
    training = case.kind == "TimeDistributed"
    running = [v.value for v in twin.non_trainable_variables]
    kept = [k for k, v in enumerate(twin.non_trainable_variables) if "seed" not in v.path]

    def gradients(function):
        function = jax.value_and_grad(function, (0, 1), has_aux=True)
        if "Conv" in case.id:
            return compiled(function)
        return disabled(function)  # loops run step by step, so that rows share what is compiled

    def total(y):
        return sum(jnp.sum(jnp.sin((1 + k) * a)) for k, a in enumerate(jax.tree.leaves(y)))

    def theirs(trained, x):
        extra = beside | ({"training": True} if training else {})
        # What Keras asks of masks behind the layer cannot be traced.
        twin.compute_mask = lambda *_: None
        y, after = twin.stateless_call(trained, running, x, **given, **extra)
        return total(y), (y, [after[k] for k in kept])

    def ours(params, x):
        whole = {**layer.pack(x, **given), "args": [x]} if given else x
        y, after = layer.apply(params, state, whole, training=training, mask=mask)
        return total(y), (y, after)

    trained = [v.value for v in twin.trainable_variables]
    if case.kind in ("ConvLSTM2D", "ConvLSTM3D"):  # gradients are those of ConvLSTM1D: compiling them takes seconds
        want, want_after = compiled(theirs)(trained, x)[1]
        got, after = compiled(ours)(params, x)[1]
    else:
        (_, (want, want_after)), want_grads = gradients(theirs)(trained, x)
        (_, (got, after)), (got_params, got_x) = gradients(ours)(params, x)
        order = [path for path, _, v in weights_by_path(layer) if v.declared.trainable]
        _close(([tree.flatten(got_params)[path] for path in order], got_x), want_grads, 2e-5)
    _close(got, want)
    _close(after, want_after)
    assert isinstance(got, tuple) == (len(jax.tree.leaves(got)) > 1)
    declared = layer.compute_output_shape((None, *x.shape[1:]))
    assert jax.tree.leaves(declared, is_leaf=is_shape) == [(None, *y.shape[1:]) for y in jax.tree.leaves(got)]


@pytest.mark.parametrize("case", MERGE_ROWS, ids=str)
def test_one_step_of_a_cell_agrees_with_keras(case, keras):
    (cell, x), twin = case.build(), case.twin(keras)
    states = case.initial_state()
    if case.kind == "StackedRNNCells":
        states = [states[:2], states[2]]
    twin.build(x.shape)
    cell.build(x.shape)
    params, _ = _share_weights(cell, twin)
    got = cell.apply(params, {}, cell.pack(x, states))[0]
    _close(got, twin(x, states))
    assert jax.tree.structure(got[1]) == jax.tree.structure(states)
    assert cell.state_size == twin.state_size or case.kind == "ConvLSTMCell"
    again = type(cell).from_config(cell.get_config())
    assert again.get_config() == cell.get_config()


@pytest.mark.parametrize("kind", ["RNN", "Bidirectional", "LSTM", "GRU", "ConvLSTM2D", "TimeDistributed"])
def test_configs_are_read_by_keras_and_back(kind, keras):
    case = [r for r in ROWS + CALL_ROWS if r.kind == kind][-1]
    (layer, x), twin = case.build(), case.twin(keras)
    theirs, ours = (
        keras.saving.deserialize_keras_object(serialize(layer)),
        deserialize(_plain(keras.saving.serialize_keras_object(twin))),
    )
    theirs.build(x.shape)
    layer.build(x.shape)
    params, _ = _share_weights(layer, theirs)
    want = compiled(layer.apply)(params, {}, x)[0]
    _close(compiled(ours.apply)(params, {}, x)[0], want, 1e-6)
    _close(
        compiled(lambda v, x: theirs.stateless_call(v, [s.value for s in theirs.non_trainable_variables], x)[0])(
            [v.value for v in theirs.trainable_variables], x
        ),
        want,
    )
    assert not set(twin.get_config()) - set(layer.get_config()) - {"activity_regularizer"}


def _plain(config):
    """Keras's config as fkeras's files know it: without what is only Keras's."""
    from fkeras.saving.configs import clean

    return clean(config)


def test_lstm_step_is_its_formula():
    x, h, c, R = _normal(2, 12), _normal(2, 3), _normal(2, 3, seed=1), _normal(3, 12, seed=2)
    i, f, g, o = np.split(x + h @ R, 4, axis=1)
    s = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    want = s(f) * c + s(i) * np.tanh(g)
    _close(lstm_step(x, h, c, R), (s(o) * np.tanh(want), want))


def test_forget_gates_begin_open(key):
    for layer in (LSTM(2), ConvLSTM1D(2, 1)):
        start = layer.declare((1, 3, 4, 5)[: layer.rank[0]])["cell"]["bias"].initializer
        assert initializers.draw(start, key, (8,)).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    start = LSTM(1, bias_initializer="random_normal").declare((1, 3, 4))["cell"]["bias"].initializer
    bias = initializers.draw(start, key, (4,))
    assert bias[1] == 1 and len(set(bias.tolist())) == 4


# ---------------------------------------------------------------------------------------------- masks

MASKABLE = {
    "SimpleRNN": lambda **k: SimpleRNN(2, **k),
    "LSTM": lambda **k: LSTM(2, **k),
    "GRU": lambda **k: GRU(2, reset_after=False, **k),
    "stack": lambda **k: RNN([LSTMCell(2), GRUCell(2)], **k),
    "Bidirectional": lambda **k: Bidirectional(LSTM(2, **k)),
}


@pytest.mark.parametrize("name", MASKABLE)
def test_a_padded_batch_equals_its_trimmed_twin(name, key):
    x, noise = _normal(2, 3, 4), 9 * _normal(2, 2, 4, seed=1)
    layer = MASKABLE[name](return_state=True)
    params, state = layer.init(key, x.shape)
    run = compiled(lambda x, mask: layer.apply(params, state, x, mask=mask)[0])
    want = layer.apply(params, state, x)[0]
    real, pad = np.ones((2, 3), bool), np.zeros((2, 2), bool)
    for parts in (([noise, x], [pad, real]), ([x, noise], [real, pad])):
        padded, mask = (np.concatenate(p, axis=1) for p in parts)
        _close(run(padded, mask), want, 1e-6)
    scattered, mask = (
        np.stack([x[:, 0], noise[:, 0], x[:, 1], noise[:, 1], x[:, 2]], 1),
        np.array([[1, 0, 1, 0, 1]] * 2),
    )
    _close(run(scattered, mask.astype(bool)), want, 1e-6)


def test_masked_steps_repeat_the_output_or_are_zero(key):
    x, mask = _normal(1, 5, 3), np.array([[False, True, False, False, True]])
    for layer in (GRU(2, return_sequences=True), RNN(_Doubled(2), return_sequences=True)):
        params, state = layer.init(key, x.shape)
        y = np.asarray(layer.apply(params, state, x, mask=mask)[0][0])
        assert (y[0] == 0).all() and (y[2] == y[1]).all() and (y[3] == y[1]).all() and (y[4] != y[1]).all()
    zeroed = GRU(2, return_sequences=True, zero_output_for_mask=True)
    params, state = zeroed.init(key, x.shape)
    y = np.asarray(zeroed.apply(params, state, x, mask=mask)[0][0])
    assert (y[[0, 2, 3]] == 0).all() and (y[[1, 4]] != 0).all()
    # A masked step's gradient is that of the step it repeats, and its input has none.
    dx = jax.grad(lambda x: layer.apply(*layer.init(key, x.shape), x, mask=mask)[0].sum())(x)
    assert (np.asarray(dx)[0, [0, 2, 3]] == 0).all() and (np.asarray(dx)[0, [1, 4]] != 0).any()


def test_masks_are_handed_on_as_keras_does():
    m = jnp.ones((2, 3), bool)
    assert LSTM(2).compute_mask(None, m) is None
    assert LSTM(2, return_sequences=True).compute_mask(None, m) is m
    both = LSTM(2, return_sequences=True, return_state=True).compute_mask(None, [m])
    assert both[0] is m and both[1:] == [None, None]
    pair = Bidirectional(GRU(2, return_sequences=True), merge_mode=None).compute_mask(None, m)
    assert pair[0] is m and pair[1] is m
    assert Bidirectional(GRU(2)).compute_mask(None, m) is None


def test_a_mask_reaches_the_layer_through_a_graph():
    ids = jnp.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    i = Input((None,), dtype="int32")
    e = Embedding(5, 3, mask_zero=True)(i)
    y = Bidirectional(LSTM(2, return_sequences=True))(e)
    h, s = GRU(2, return_state=True)(y)
    out = GRU(2)(y, initial_state=s)
    model = Model(i, [out, h])
    a, b = model(ids), model(jnp.pad(ids, ((0, 0), (0, 2))))
    _close(a, b, 1e-6)
    again = Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    _close(again(ids), a, 1e-7)


# --------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("make", [SimpleRNN, LSTM, GRU, lambda n, **k: RNN([LSTMCell(3), GRUCell(n)], **k)])
def test_two_halves_with_the_state_handed_on_equal_the_whole(make, key):
    layer = make(2, return_sequences=True, return_state=True)
    x = _normal(2, 6, 3)
    params, state = layer.init(key, x.shape)
    run = lambda x, s=None: layer.apply(params, state, layer.pack(x, initial_state=s))[0]  # noqa: E731
    y, *states = run(x)
    first, *s = run(x[:, :2])
    second, *s = run(x[:, 2:], s)
    _close(jnp.concatenate([first, second], 1), y, 1e-6)
    _close(s, states, 1e-6)


def test_a_stateful_layer_goes_on_where_it_stopped(key):
    x = _normal(2, 4, 3)
    plain, kept = LSTM(2, return_sequences=True), LSTM(2, return_sequences=True, stateful=True)
    params, _ = plain.init(key, x.shape)
    _, state = kept.init(key, (2, 2, 3))
    assert {n: a.shape for n, a in state.items()} == {"rnn_state": (2, 2), "rnn_state_1": (2, 2)}
    want = plain.apply(params, {}, x)[0]
    a, state = kept.apply(params, state, x[:, :2])
    b, after = compiled(kept.apply)(params, state, x[:, 2:])
    _close(jnp.concatenate([a, b], 1), want, 1e-6)
    # A padded row's state stays.
    _, partly = kept.apply(params, state, x[:, 2:], rows=jnp.array([True, False]))
    _close(partly["rnn_state"], jnp.stack([after["rnn_state"][0], state["rnn_state"][1]]), 1e-7)


def test_kept_states_are_reset():
    x = _normal(2, 4, 3)
    for layer in (GRU(2, stateful=True), Bidirectional(LSTM(2, stateful=True))):
        first = layer(x, training=True)
        assert np.abs(np.asarray(layer(x, training=True)) - first).max() > 1e-4
        layer.reset_state()
        assert all((v.numpy() == 0).all() for v in layer.states)
        _close(layer(x, training=True), first, 1e-6)
    gru = GRU(2, stateful=True)
    gru(x)
    gru.reset_states([np.ones((2, 2))])
    assert gru.states[0].numpy().sum() == 4
    with pytest.raises(ValueError, match="expected 1 states, got 2"):
        gru.reset_state([0, 0])
    assert GRU(2).states is None and GRU(2).reset_state() is None
    with pytest.raises(AttributeError, match="keeps no states: its layers are not stateful"):
        Bidirectional(GRU(2)).reset_state()


def test_wrong_states_and_batches_are_refused(key):
    x = _normal(2, 4, 3)
    with pytest.raises(ValueError, match=r"expected 2 states of shapes \[\(2, 2\), \(2, 2\)\], got \[\(2, 2\)\]"):
        LSTM(2)(x, initial_state=[x[:, 0, :2]])
    with pytest.raises(ValueError, match="stateful=True needs a fixed batch size, got shape .None, 4, 3.*batch_shape"):
        LSTM(2, stateful=True)(Input((4, 3)))
    layer = LSTM(2, stateful=True)
    layer.build(x.shape)
    with pytest.raises(ValueError, match="keeps states for 2 rows, got a batch of 1. Use batch_size=2"):
        layer(x[:1])
    with pytest.raises(ValueError, match="unroll=True needs a known number of time steps"):
        LSTM(2, unroll=True)(Input((None, 3)))
    with pytest.raises(ValueError, match=r"expected an input of rank 3, \[B, T, C\], got shape \(2, 4\)"):
        LSTM(2)(x[:, :, 0])
    with pytest.raises(ValueError, match="the number of features must be known"):
        GRU(2)(Input((4, None)))
    with pytest.raises(ValueError, match="a fraction|fraction that is dropped, got 1.0"):
        LSTM(2, dropout=1.0)
    with pytest.raises(ValueError, match="expected a cell, an object with `state_size`"):
        RNN(Dense(2))
    with pytest.raises(TypeError, match="takes an input and the states before it"):
        LSTMCell(2)(x[:, 0])
    with pytest.raises(ValueError, match=r"ConvLSTM2D.*does not fit"):
        ConvLSTM2D(2, 5)(_normal(1, 2, 3, 3, 1))
    with pytest.raises(ValueError, match="cannot both be over 1"):
        ConvLSTM2D(2, 2, strides=2, dilation_rate=2)


# ---------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("case", [r for r in ROWS if r.random], ids=str)
def test_dropout_with_keras_s_masks_is_keras_s(case, keras, monkeypatch):
    """Given the same masks, training computes what Keras computes: the same masks at every step."""
    (layer, x), twin = case.build(), case.twin(keras)
    twin.build(x.shape)
    layer.build(x.shape)
    params, _ = _share_weights(layer, twin)
    cell = layer.cell
    noise = cell.draw_noise((x.shape[0], *x.shape[2:]), Context(True, jax.random.key(1)))

    def per_gate(masks):
        return [np.asarray(masks[:, g]) for g in range(masks.shape[1])]

    own, state = per_gate(noise["input"]), per_gate(noise["state"])
    twin.cell._dropout_mask = own if len(own) > 1 else own[0]
    twin.cell._recurrent_dropout_mask = state if len(state) > 1 else state[0]
    monkeypatch.setattr(type(cell), "draw_noise", lambda *_: noise)
    if hasattr(twin, "use_cudnn"):
        assert twin.recurrent_dropout > 0
    _close(layer.apply(params, {}, x, training=True)[0], twin(x, training=True))


def test_dropout_is_alike_at_all_steps_and_apart_in_rows_gates_and_layers(key):
    cell = LSTMCell(50, dropout=0.5, recurrent_dropout=0.25)
    noise = cell.draw_noise((4, 40), Context(True, key))
    assert noise["input"].shape == (4, 4, 40) and noise["state"].shape == (4, 4, 50)
    assert set(np.unique(noise["input"])) == {0.0, 2.0}
    assert set(np.unique(noise["state"])) == {0.0, np.float32(4 / 3)}
    assert abs((np.asarray(noise["state"]) == 0).mean() - 0.25) < 0.06  # 800 draws: four standard deviations
    flat = np.asarray(noise["input"]).reshape(16, 40)
    assert len({row.tobytes() for row in flat}) == 16
    assert cell.draw_noise((4, 40), Context(False, key)) == {"input": None, "state": None}
    assert LSTMCell(3, dropout=0.5).draw_noise((4, 40), Context(True, key))["input"].shape == (4, 1, 40)
    seeded = LSTMCell(50, dropout=0.5, seed=1).draw_noise((4, 40), Context(True, key))["input"]
    assert (seeded[:, 0] != LSTMCell(50, dropout=0.5).draw_noise((4, 40), Context(True, key))["input"][:, 0]).any()
    # Where the input is dropped, it is dropped at every step: with no state, outputs show the mask.
    layer = SimpleRNN(6, activation="linear", kernel_initializer="identity", recurrent_initializer="zeros",
                      dropout=0.5, return_sequences=True)  # fmt: skip
    params, _ = layer.init(key, (2, 5, 6))
    y = np.asarray(layer.apply(params, {}, jnp.ones((2, 5, 6)), training=True, key=key)[0])
    assert (y == y[:, :1]).all() and set(np.unique(y)) == {0.0, 2.0}


# ------------------------------------------------------------------------------------ formulations, cells


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_unrolled_and_projected_before_the_scan_compute_the_same(kind, key):
    x, make = _normal(2, 4, 3), layers.lookup(kind)
    params, _ = make(2).init(key, x.shape)
    want = make(2, return_sequences=True).apply(params, {}, x)[0]
    _close(make(2, return_sequences=True, unroll=True).apply(params, {}, x)[0], want, 1e-6)
    with kernels.formulation("lax"):
        _close(make(2, return_sequences=True).apply(params, {}, x)[0], want, 1e-6)
    _close(make(2).apply(params, {}, x)[0], want[:, -1], 1e-6)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(LSTM, 3, return_sequences=True, return_state=True),
        functools.partial(LSTM, 3, activation="relu", go_backwards=True),
        functools.partial(GRU, 3, zero_output_for_mask=True),
        functools.partial(GRU, 3, reset_after=False, use_bias=False),
        functools.partial(SimpleRNN, 3, return_sequences=True, zero_output_for_mask=True, unroll=True),
    ],
)
def test_the_derivative_over_time_of_our_own_is_the_one_jax_finds(make, key):
    x, layer = _normal(4, 5, 2), make()
    params, _ = layer.init(key, x.shape)
    mask = jnp.asarray([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1], [0, 0, 0, 0, 0]], bool)

    def loss(params, x, mask):
        out = layer.apply(params, {}, x, training=True, mask=mask)[0]
        return sum(jnp.sum(jnp.sin(a + 0.3 * k)) for k, a in enumerate(jax.tree.leaves(out)))

    def both(name):
        with kernels.formulation(name):
            return jax.jit(lambda: [jax.value_and_grad(loss, (0, 1))(params, x, m) for m in (None, mask)])()

    jax.tree.map(lambda a, b: _close(a, b, 1e-5), both("cpu"), both("lax"))


def test_a_cell_with_a_step_of_its_own_is_not_taken_apart(key):
    class Halved(LSTMCell):
        def step(self, params, x, states, noise):
            h, states = super().step(params, x, states, noise)
            return h / 2, states

    x, layer, whole = _normal(2, 3, 2), RNN(Halved(3)), RNN(LSTMCell(3))
    params, _ = layer.init(key, x.shape)
    got, want = (m.apply(params, {}, x, training=True)[0] for m in (layer, whole))
    _close(got, want / 2, 1e-6)


class _Doubled(RNNCell):
    """A pure cell whose output is not its state."""

    units: int
    state_size = property(lambda self: self.units)

    def declare(self, shape):
        return {"kernel": Weight((shape[-1], self.units))}

    def step(self, params, x, states, noise):
        h = jnp.tanh(x @ params["kernel"] + states[0])
        return 2 * h, [h]


def _minimal(base, matmul=jnp.matmul):
    """A cell as people write them for Keras, on either library's base class."""

    class Minimal(base):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="uniform", name="kernel")
            self.recurrent_kernel = self.add_weight(
                shape=(self.units, self.units), initializer="uniform", name="recurrent_kernel"
            )
            self.built = True

        def call(self, inputs, states):
            prev = states[0] if isinstance(states, (list, tuple)) else states
            h = matmul(inputs, self.kernel)
            output = h + matmul(prev, self.recurrent_kernel)
            return output, [output]

    return Minimal


def test_a_cell_written_for_keras_runs_as_in_keras(keras, key):
    mine, theirs = _minimal(Layer), _minimal(keras.layers.Layer, keras.ops.matmul)
    x = _normal(2, 4, 3)
    layer, twin = (
        lib([cell(2), cell(3)], return_sequences=True, return_state=True)
        for lib, cell in ((RNN, mine), (keras.layers.RNN, theirs))
    )
    layer.build(x.shape)
    twin.build(x.shape)
    params, _ = _share_weights(layer, twin)
    layer.set_weights(jax.tree.leaves([w.numpy() for w in twin.weights]))
    _close(layer(x), twin(x))
    grads = compiled(jax.grad(lambda p: layer.apply(p, {}, x)[0][0].sum()))(params)
    assert all((g != 0).any() for g in jax.tree.leaves(grads))
    from fkeras.core.settings import custom_object_scope

    with custom_object_scope({"Minimal": mine}):
        again = RNN.from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    _close(again(x), layer(x), 1e-7)


def test_cells_with_inner_layers_noise_running_values_and_without_weights(key):
    class Inner(Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.state_size = self.units = units
            self.dense = Dense(units)
            self.noise = layers.lookup("Dropout")(0.5)

        def build(self, input_shape):
            self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, name="steps")
            self.dense.build(input_shape)
            self.noise.build((None, self.units))

        def call(self, inputs, states, training=False):
            self.steps.assign_add(1.0)
            h = self.dense(inputs) + 0 * states[0]
            return self.noise(jnp.ones_like(h), training=training), h  # a bare state, as Keras allows

    layer, x = RNN(Inner(30), return_sequences=True), _normal(2, 4, 3)
    layer.build(x.shape)
    params, state = layer.gather()
    y, state = compiled(lambda p, s: layer.apply(p, s, x, training=True, key=key))(params, state)
    assert state["cell"]["steps"] == 4
    assert len({row.tobytes() for row in np.asarray(y[0])}) == 4  # fresh noise at every step

    class Sum:
        state_size = 3

        def call(self, inputs, states):
            return states[0] + inputs, states[0] + inputs

    _close(RNN(Sum())(x), x.sum(1), 1e-6)
    running = scan_time(lambda x, s, e: (s + x, s + x, e), x.swapaxes(0, 1), jnp.zeros((2, 3)))[0]
    _close(RNN(Sum(), return_sequences=True)(x), running.swapaxes(0, 1), 1e-6)


def test_frozen_layers_have_no_trained_weights():
    for layer in (LSTM(2, trainable=False), Bidirectional(GRU(2), trainable=False), RNN(GRUCell(2), trainable=False)):
        layer.build((2, 3, 4))
        assert layer.weights and not layer.trainable_weights
        layer.trainable = True
        assert layer.trainable_weights == layer.weights


# ------------------------------------------------------------------------------------------- wrappers


def test_bidirectional_is_two_layers(key):
    x = _normal(2, 4, 3)
    layer = Bidirectional(LSTM(2, return_sequences=True, name="tagger"), name="both")
    assert [c.name for c in layer.children().values()] == ["forward_tagger", "backward_tagger"]
    assert list(layer.children()) == ["forward_layer", "backward_layer"]
    params, _ = layer.init(key, x.shape)
    y = layer.apply(params, {}, x)[0]
    one = LSTM(2, return_sequences=True)
    _close(y[..., :2], one.apply(params["forward_layer"], {}, x)[0], 1e-6)
    _close(y[..., 2:], one.apply(params["backward_layer"], {}, x[:, ::-1])[0][:, ::-1], 1e-6)
    assert (params["forward_layer"]["cell"]["kernel"] != params["backward_layer"]["cell"]["kernel"]).any()


def test_wrong_wrappers_are_refused():
    with pytest.raises(ValueError, match="expected one of 'concat', 'sum'.*got 'cat'"):
        Bidirectional(LSTM(2), merge_mode="cat")
    with pytest.raises(ValueError, match="both layers have go_backwards=False"):
        Bidirectional(LSTM(2), backward_layer=LSTM(2))
    with pytest.raises(ValueError, match="forward layer has return_state=False, the backward layer return_state=True"):
        Bidirectional(LSTM(2), backward_layer=LSTM(2, go_backwards=True, return_state=True))
    with pytest.raises(ValueError, match="expected a recurrent layer as 'layer', Dense .* has no go_backwards"):
        Bidirectional(Dense(2))
    with pytest.raises(TypeError, match="expected a layer, got 3"):
        TimeDistributed(3)
    with pytest.raises(ValueError, match="expected an input of rank 3 or more"):
        TimeDistributed(Dense(2))(_normal(2, 3))
    with pytest.raises(ValueError, match=r"expected a mask of shape \(2, 3, ...\), got \(2, 4\)"):
        TimeDistributed(Dense(2))(_normal(2, 3, 4), mask=jnp.ones((2, 4), bool))


def test_time_distributed_takes_ints_masks_and_recurrent_layers(key):
    ids = np.array([[[1, 2, 0], [3, 0, 0]], [[4, 4, 4], [0, 1, 0]]])
    embed = TimeDistributed(Embedding(5, 3))
    x = embed(ids)
    assert x.shape == (2, 2, 3, 3)
    layer = TimeDistributed(LSTM(2))
    params, _ = layer.init(key, x.shape)
    y = layer.apply(params, {}, x, mask=jnp.asarray(ids != 0))[0]
    one = LSTM(2)
    for t in range(2):
        _close(y[:, t], one.apply(params["layer"], {}, x[:, t], mask=jnp.asarray(ids[:, t] != 0))[0], 1e-6)


def test_time_distributed_noise_differs_in_steps_and_ignores_padding(key):
    layer, x = TimeDistributed(layers.lookup("Dropout")(0.5)), jnp.ones((2, 3, 20))
    y = np.asarray(layer.apply({}, {}, x, training=True, key=key)[0])
    assert len({row.tobytes() for row in y.reshape(6, 20)}) == 6
    padded = layer.apply({}, {}, jnp.ones((3, 3, 20)), training=True, key=key, rows=jnp.array([True, True, False]))[0]
    np.testing.assert_array_equal(padded[:2], y)


def test_inner_penalties_of_time_distributed_count_once_a_row(key):
    inner = Dense(2, kernel_initializer="ones", activity_regularizer="l1")
    losses = []
    params, _ = (layer := TimeDistributed(inner)).init(key, (2, 3, 4))
    layer.apply(params, {}, jnp.ones((2, 3, 4)), Context(losses=losses))
    (total, count), = losses  # fmt: skip
    assert float(total / count) == pytest.approx(0.01 * 8)  # 0.01 * |4| * 2 units, the mean over 6 rows


def test_conv_cells_say_what_their_states_need():
    with pytest.raises(ValueError, match="the states' shape depends on the input's"):
        ConvLSTMCell(2, filters=2, kernel_size=3).get_initial_state(4)
    assert StackedRNNCells([SimpleRNNCell(2), GRUCell(3)]).output_size == 3
    assert LSTM(3).state_size == [3, 3] and LSTM(3).output_size == 3
