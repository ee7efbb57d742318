"""Outputs that nothing reads are not computed; what is read stays what it was."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras.layers.contract.base import Layer, layers
from fkeras.layers.contract.context import Context
from fkeras.layers.convolution import Convolution
from tests.catalog import layer_rows

FIRST = {"data_format": "channels_first"}

CHAINS = {  # name: (input shape, layers up to the pooling, shapes that its convolutions make, behind the batch)
    "keras's first example": (
        (28, 28, 1),
        lambda: [L.Conv2D(2, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(3, 3), L.MaxPooling2D(2)],
        [(24, 24, 2), (10, 10, 3)],
    ),
    "activations between": (
        (9, 8, 2),
        lambda: [L.Conv2D(2, 2, activation="tanh"), L.ReLU(), L.Activation("elu"), L.LeakyReLU(), L.MaxPooling2D(3)],
        [(6, 6, 2)],
    ),
    "strides": ((12, 12, 2), lambda: [L.Conv2D(2, 3, strides=2), L.MaxPooling2D(2)], [(4, 4, 2)]),
    "dilation": ((14, 12, 2), lambda: [L.Conv2D(2, 3, dilation_rate=2), L.MaxPooling2D(3)], [(9, 6, 2)]),
    "windows that overlap": ((11, 12, 2), lambda: [L.Conv2D(2, 2), L.MaxPooling2D(3, strides=2)], [(9, 11, 2)]),
    "windows with gaps": ((11, 12, 2), lambda: [L.Conv2D(2, 2), L.AveragePooling2D(1, strides=4)], [(9, 9, 2)]),
    "groups": ((8, 8, 4), lambda: [L.Conv2D(4, 2, groups=2), L.MaxPooling2D(3)], [(6, 6, 4)]),
    "depthwise": ((8, 8, 2), lambda: [L.DepthwiseConv2D(2), L.MaxPooling2D(3)], [(6, 6, 2)]),
    "separable": ((8, 8, 2), lambda: [L.SeparableConv2D(3, 2), L.MaxPooling2D(3)], [(6, 6, 3)]),
    "channels first": ((2, 8, 9), lambda: [L.Conv2D(2, 2, **FIRST), L.MaxPooling2D(3, **FIRST)], [(2, 6, 6)]),
    "channels first, then last": ((2, 8, 9), lambda: [L.Conv2D(4, 2, **FIRST), L.MaxPooling2D(2)], [(4, 6, 8)]),
    "channels that are left over are made": (
        (1, 28, 28),
        lambda: [L.Conv2D(30, 3, **FIRST), L.MaxPooling2D(4), L.Conv2D(3, 3)],
        [(30, 26, 26), (5, 4, 3)],  # the pooling reads 28 of 30 channels, which come together or not at all
    ),
    "channels that are left over further on": (
        (2, 9, 9),
        lambda: [L.Conv2D(9, 2, **FIRST), L.MaxPooling2D(2), L.ReLU(), L.MaxPooling2D(3)],
        [(9, 8, 8)],
    ),
    "causal": ((9, 2), lambda: [L.Conv1D(2, 3, padding="causal"), L.MaxPooling1D(2)], [(8, 2)]),
    "volumes": ((4, 6, 8, 2), lambda: [L.Conv3D(2, 2), L.MaxPooling3D(2)], [(2, 4, 6, 2)]),
    "nothing left over": ((8, 8, 2), lambda: [L.Conv2D(2, 3), L.MaxPooling2D(2)], [(6, 6, 2)]),
    "a strided convolution reads": (
        (8, 8, 2),
        lambda: [L.Conv2D(2, 1), L.Conv2D(2, 1, strides=2)],
        [(7, 7, 2), (4, 4, 2)],
    ),
    "same": ((7, 7, 2), lambda: [L.Conv2D(2, 3, padding="same"), L.MaxPooling2D(2)], [(7, 7, 2)]),
    "transposed": ((8, 8, 2), lambda: [L.Conv2DTranspose(2, 2), L.MaxPooling2D(2)], [(9, 9, 2)]),
    "all channels meet": (
        (2, 8, 9),
        lambda: [L.Conv2D(2, 2, activation="softmax", **FIRST), L.MaxPooling2D(3, **FIRST)],
        [(2, 7, 8)],
    ),
    "an activation of one's own": (
        (8, 8, 2),
        lambda: [L.Conv2D(2, 2, activation=lambda x: x / jnp.max(jnp.abs(x))), L.MaxPooling2D(3)],
        [(7, 7, 2)],
    ),
    "statistics": ((8, 8, 2), lambda: [L.Conv2D(2, 2), L.BatchNormalization(), L.MaxPooling2D(3)], [(7, 7, 2)]),
    "a penalty": ((8, 8, 2), lambda: [L.Conv2D(2, 2, activity_regularizer="l2"), L.MaxPooling2D(3)], [(7, 7, 2)]),
    "padded pooling": ((7, 7, 2), lambda: [L.Conv2D(2, 1), L.MaxPooling2D(2, padding="same")], [(7, 7, 2)]),
}


@pytest.fixture
def made(monkeypatch):
    """A function of (model, shape): the shapes that the model's convolutions make, in their order."""
    plain = Layer.apply_masked

    def shapes(model, shape=None):
        found = []

        def apply_masked(self, *args):
            out = plain(self, *args)
            if isinstance(self, Convolution):
                found.append(out[0].shape[1:])
            return out

        params, state = model.gather()
        with monkeypatch.context() as patch:
            patch.setattr(Layer, "apply_masked", apply_masked)
            jax.eval_shape(
                lambda x: model.apply(params, state, x), jnp.zeros((2, *(shape or model.inputs[0].shape[1:])))
            )
        return found

    return shapes


def one_by_one(model, params, state, x, training):
    """What the model computes, each of its layers called alone."""
    losses = []
    for layer in model.layers:
        ctx = Context(training, losses=losses)
        x, _ = layer.apply(params.get(layer.name, {}), state.get(layer.name, {}), x, ctx)
    return x, losses


def check(model, shape, training=True):
    """Values and gradients of a model are those of its layers alone."""
    params, state = model.gather()
    x = jax.random.normal(jax.random.key(0), (3, *shape))

    def of_graph(params, x):
        ctx = Context(training, losses=[])
        y, _ = model.apply(params, state, x, ctx)
        return jnp.sum(jnp.sin(y)) + sum(total for total, _ in ctx.losses), y

    def of_layers(params, x):
        y, losses = one_by_one(model, params, state, x, training)
        return jnp.sum(jnp.sin(y)) + sum(total for total, _ in losses), y

    found, expected = (jax.jit(jax.grad(f, (0, 1), has_aux=True))(params, x) for f in (of_graph, of_layers))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


@pytest.mark.parametrize("name", CHAINS)
def test_values_and_gradients_are_those_of_the_layers_alone(name, made):
    shape, chain, shapes = CHAINS[name]
    model = fkeras.Sequential([fkeras.Input(shape), *chain()])
    assert made(model) == shapes
    check(model, shape)


def random_chain(seed):
    """Returns (input shape, layers): a chain that mixes formats, ranks, paddings and turned axes."""
    draw = random.Random(seed)
    rank = draw.choice([1, 2, 2, 2, 3])
    shape = start = tuple(draw.randint(*{1: (9, 30), 2: (7, 16), 3: (5, 9)}[rank]) for _ in range(rank + 1))
    chain = []
    while len(chain) < 6:
        rank = len(shape) - 1
        form = {"data_format": draw.choice(["channels_first", "channels_last"])}
        space = shape[1:] if form["data_format"] == "channels_first" else shape[:-1]
        least = min(space)
        size, strides = draw.randint(1, min(3, least)), draw.choice([None, 1, 2, 3])
        padding = draw.choice(["valid"] * 4 + ["same"])
        kind = draw.choice(["conv"] * 4 + ["max", "mean"] * 2 + ["relu", "tanh", "permute", "flat", "volume"])
        if kind == "conv":
            name = draw.choice(["Conv{}D"] * 4 + (["DepthwiseConv{}D", "SeparableConv{}D"] if rank < 3 else []))
            filters = () if "Depthwise" in name else (draw.randint(1, 6),)
            options = {"padding": padding, "activation": draw.choice([None, "relu", "softmax"]), **form}
            if strides in (None, 1) and (size - 1) * 2 < least:
                options["dilation_rate"] = draw.choice([1, 2])
            else:
                options["strides"] = strides or 1
            layer = getattr(L, name.format(rank))(*filters, size, **options)
        elif kind in ("max", "mean"):
            name = {"max": "MaxPooling{}D", "mean": "AveragePooling{}D"}[kind].format(rank)
            layer = getattr(L, name)(size, strides, padding=padding, **form)
        elif kind == "permute":
            layer = L.Permute(draw.sample(range(1, rank + 2), rank + 1))
        elif kind == "flat" and rank > 1:  # two axes become one: a rank less
            layer = L.Reshape((shape[0] * shape[1], *shape[2:]))
        elif kind == "volume" and rank < 3:  # a rank more
            layer = L.Reshape((1, *shape))
        elif kind in ("relu", "tanh"):
            layer = L.Activation(kind)
        else:
            continue
        after = layer.compute_output_shape((None, *shape))[1:]
        if min(after) and np.prod(after) < 20000:
            chain, shape = [*chain, layer], after
    return start, chain


@pytest.mark.parametrize("seed", range(8))
def test_random_chains_of_mixed_formats_compute_what_their_layers_do(seed):
    shape, chain = random_chain(seed)
    check(fkeras.Sequential([fkeras.Input(shape), *chain]), shape)


def test_random_chains_are_cut_somewhere():
    """Otherwise the test above could not fail."""
    models = [fkeras.Sequential([fkeras.Input(s), *chain]) for s, chain in map(random_chain, range(8))]
    assert sum(bool(model.graph._cuts) for model in models) >= 3


def test_a_model_that_mixes_formats_predicts():
    model = fkeras.Sequential(
        [
            fkeras.Input((1, 28, 28)),
            L.Conv2D(30, 3, **FIRST),
            L.MaxPooling2D(),
            L.Conv2D(15, 3),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(2),
        ]
    )
    x = np.random.default_rng(0).normal(size=(4, 1, 28, 28)).astype("float32")
    expected, _ = one_by_one(model, *model.gather(), x, False)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


BY_WINDOWS = [row for row in layer_rows() if layers.lookup(row.kind).windows is not Layer.windows]


@pytest.mark.parametrize("case", BY_WINDOWS, ids=str)
def test_layers_read_the_windows_that_they_say(case, key):
    """What is computed of the first inputs of an axis are the first outputs, and no more of them."""
    layer, x = case.build()
    params, state = layer.init(key, x.shape)
    sizes = layer.compute_output_shape(x.shape)
    windows = layer.windows(x.ndim) or ()
    reads = {axis: w.reads(sizes[axis] - 1) for axis, w in enumerate(windows, 1) if w is not None and sizes[axis] > 1}

    @jax.jit
    def compute(x):
        parts = {axis: jax.lax.slice_in_dim(x, 0, size, axis=axis) for axis, size in reads.items()}
        return jax.tree.map(lambda x: layer.apply(params, state, x)[0], (x, parts))

    whole, parts = compute(x)
    for axis, part in parts.items():
        expected = jax.lax.slice_in_dim(whole, 0, sizes[axis] - 1, axis=axis)
        np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-6)


def test_the_program_makes_no_more():
    model = fkeras.Sequential([fkeras.Input((28, 28, 1)), *CHAINS["keras's first example"][1]()])
    params, state = model.gather()
    program = str(jax.make_jaxpr(lambda x: model.apply(params, state, x))(jnp.zeros((2, 28, 28, 1))))
    assert "[2,26,26,1]" in program and "[2,10,10,3]" in program
    assert "[2,26,26,2]" not in program and "[2,11,11,3]" not in program


def test_outputs_that_something_else_reads_are_made(made):
    x = fkeras.Input((8, 8, 2))
    y = L.Conv2D(2, 2)(x)
    pooled = L.MaxPooling2D(3)(y)
    assert made(fkeras.Model(x, pooled)) == [(6, 6, 2)]
    assert made(fkeras.Model(x, [pooled, y])) == [(7, 7, 2)]
    assert made(fkeras.Model(x, [pooled, L.Flatten()(y)])) == [(7, 7, 2)]
    assert made(fkeras.Model(x, y)) == [(7, 7, 2)]


def test_a_graph_that_begins_at_another_layers_output_is_cut_there(made):
    x = fkeras.Input((9, 9, 2))
    between = L.Conv2D(2, 2)(x)
    tail = fkeras.Model(between, L.MaxPooling2D(3)(L.ReLU()(L.Conv2D(2, 2)(between))))
    assert made(tail, (8, 8, 2)) == [(6, 6, 2)]


def test_unknown_sizes_are_made_whole(made):
    model = fkeras.Sequential([fkeras.Input((None, 8, 2)), L.Conv2D(2, 2), L.MaxPooling2D(3)])
    assert made(model, (8, 8, 2)) == [(7, 7, 2)]


def test_masked_steps_are_made_whole(made):
    model = fkeras.Sequential([fkeras.Input((9, 2)), L.Masking(), L.ReLU(), L.MaxPooling1D(2)])
    x = jnp.ones((2, 9, 2)).at[:, 3:].set(0)
    np.testing.assert_array_equal(model(x), one_by_one(model, *model.gather(), x, False)[0])


def test_other_sizes_than_the_model_was_drawn_for_are_made_whole():
    model = fkeras.Sequential([fkeras.Input((28, 28, 1)), *CHAINS["keras's first example"][1]()])
    params, state = model.gather()
    x = jax.random.normal(jax.random.key(0), (2, 40, 43, 1))
    found, _ = model.apply(params, state, x)
    assert found.shape == (2, 8, 9, 3)
    np.testing.assert_allclose(found, one_by_one(model, params, state, x, False)[0], rtol=1e-5, atol=1e-6)


def test_a_subclass_is_called_as_it_is(made):
    class Scaled(L.Conv2D):
        def call(self, x):
            y = super().call(x)
            return y / jnp.max(y)

    class Centred(L.MaxPooling2D):
        def forward(self, params, state, x, ctx):
            return super().forward(params, state, x - jnp.mean(x), ctx)

    assert made(fkeras.Sequential([fkeras.Input((8, 8, 2)), Scaled(2, 2), L.MaxPooling2D(3)])) == [(7, 7, 2)]
    assert made(fkeras.Sequential([fkeras.Input((8, 8, 2)), L.Conv2D(2, 2), Centred(3)])) == [(7, 7, 2)]
