"""Cells that nothing reads are not made; what is read stays what it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras.layers.contract.context import Context

CHAINS = {  # name: (input shape, layers up to the pooling, cells that its convolutions make)
    "keras's first example": (
        (28, 28, 1),
        lambda: [L.Conv2D(2, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(3, 3), L.MaxPooling2D(2)],
        [(24, 24), (10, 10)],
    ),
    "same": ((7, 6, 2), lambda: [L.Conv2D(2, 3, padding="same"), L.MaxPooling2D(2)], [(6, 6)]),
    "same, twice": (
        (7, 7, 2),
        lambda: [L.Conv2D(2, 3, padding="same"), L.Conv2D(2, 4, padding="same"), L.AveragePooling2D(2)],
        [None, (6, 6)],  # the second reads one cell beyond what it makes
    ),
    "small kernel": (
        (9, 9, 2),
        lambda: [L.Conv2D(2, 3, padding="same"), L.Conv2D(2, 1), L.MaxPooling2D(4)],
        [(8, 8), (8, 8)],
    ),
    "activations between": (
        (9, 8, 2),
        lambda: [L.Conv2D(2, 2, activation="tanh"), L.ReLU(), L.Activation("elu"), L.LeakyReLU(), L.MaxPooling2D(3)],
        [(6, 6)],
    ),
    "strides": ((12, 12, 2), lambda: [L.Conv2D(2, 3, strides=2), L.MaxPooling2D(2)], [(4, 4)]),
    "dilation": ((14, 12, 2), lambda: [L.Conv2D(2, 3, dilation_rate=2), L.MaxPooling2D(3)], [(9, 6)]),
    "windows that overlap": ((11, 12, 2), lambda: [L.Conv2D(2, 2), L.MaxPooling2D(3, strides=2)], [(9, 11)]),
    "windows with gaps": ((11, 12, 2), lambda: [L.Conv2D(2, 2), L.AveragePooling2D(1, strides=4)], [(9, 9)]),
    "groups": ((8, 8, 4), lambda: [L.Conv2D(4, 2, groups=2), L.MaxPooling2D(3)], [(6, 6)]),
    "channels first": (
        (2, 8, 9),
        lambda: [L.Conv2D(2, 2, data_format="channels_first"), L.MaxPooling2D(3, data_format="channels_first")],
        [(6, 6)],
    ),
    "causal": ((9, 2), lambda: [L.Conv1D(2, 3, padding="causal"), L.MaxPooling1D(2)], [(8,)]),
    "volumes": ((4, 6, 8, 2), lambda: [L.Conv3D(2, 2), L.MaxPooling3D(2)], [(2, 4, 6)]),
    "nothing left over": ((8, 8, 2), lambda: [L.Conv2D(2, 3, padding="same"), L.MaxPooling2D(2)], [None]),
    "a strided convolution reads": ((8, 8, 2), lambda: [L.Conv2D(2, 1), L.Conv2D(2, 1, strides=2)], [(7, 7), None]),
    "padding that depends on the size": (
        (9, 9, 2),
        lambda: [L.Conv2D(2, 3, strides=2, padding="same"), L.MaxPooling2D(2)],
        [None],
    ),
    "all cells of an axis meet": (
        (2, 8, 9),
        lambda: [
            L.Conv2D(2, 2, data_format="channels_first", activation="softmax"),
            L.MaxPooling2D(3, data_format="channels_first"),
        ],
        [None],
    ),
    "an activation of one's own": (
        (8, 8, 2),
        lambda: [L.Conv2D(2, 2, activation=lambda x: x / jnp.max(jnp.abs(x))), L.MaxPooling2D(3)],
        [None],
    ),
    "statistics": ((8, 8, 2), lambda: [L.Conv2D(2, 2), L.BatchNormalization(), L.MaxPooling2D(3)], [None]),
    "a penalty": ((8, 8, 2), lambda: [L.Conv2D(2, 2, activity_regularizer="l2"), L.MaxPooling2D(3)], [None]),
    "padded pooling": ((7, 7, 2), lambda: [L.Conv2D(2, 1), L.MaxPooling2D(2, padding="same")], [None]),
}


def made(model):
    """The cells that the model's convolutions make, in their order; None for all."""
    graph = model.graph
    return [graph._cells.get(id(n)) for n in graph.nodes if isinstance(n.layer, L.Conv1D | L.Conv2D | L.Conv3D)]


def one_by_one(model, params, state, x, training):
    """What the model computes, each of its layers called alone."""
    losses = []
    for layer in model.layers:
        ctx = Context(training, losses=losses)
        x, _ = layer.apply(params.get(layer.name, {}), state.get(layer.name, {}), x, ctx)
    return x, losses


@pytest.mark.parametrize("name", CHAINS)
def test_values_and_gradients_are_those_of_the_layers_alone(name):
    shape, chain, cells = CHAINS[name]
    model = fkeras.Sequential([fkeras.Input(shape), *chain()])
    assert made(model) == cells
    params, state = model.gather()
    x = jax.random.normal(jax.random.key(0), (3, *shape))

    def of_graph(params, x):
        ctx = Context(True, losses=[])
        y, _ = model.apply(params, state, x, ctx)
        return jnp.sum(jnp.sin(y)) + sum(total for total, _ in ctx.losses), y

    def of_layers(params, x):
        y, losses = one_by_one(model, params, state, x, True)
        return jnp.sum(jnp.sin(y)) + sum(total for total, _ in losses), y

    found, expected = (jax.jit(jax.grad(f, (0, 1), has_aux=True))(params, x) for f in (of_graph, of_layers))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


def test_the_program_makes_no_more():
    model = fkeras.Sequential([fkeras.Input((28, 28, 1)), *CHAINS["keras's first example"][1]()])
    params, state = model.gather()
    program = str(jax.make_jaxpr(lambda x: model.apply(params, state, x))(jnp.zeros((2, 28, 28, 1))))
    assert "[2,26,26,1]" in program and "[2,10,10,3]" in program
    assert "[2,26,26,2]" not in program and "[2,11,11,3]" not in program


def test_cells_that_something_else_reads_are_made():
    x = fkeras.Input((8, 8, 2))
    y = L.Conv2D(2, 2)(x)
    pooled = L.MaxPooling2D(3)(y)
    assert made(fkeras.Model(x, pooled)) == [(6, 6)]
    assert made(fkeras.Model(x, [pooled, y])) == [None]
    assert made(fkeras.Model(x, [pooled, L.Flatten()(y)])) == [None]
    assert made(fkeras.Model(x, y)) == [None]


def test_unknown_sizes_are_made_whole():
    assert made(fkeras.Sequential([fkeras.Input((None, 8, 2)), L.Conv2D(2, 2), L.MaxPooling2D(3)])) == [None]


def test_other_sizes_than_the_model_was_drawn_for_are_made_whole():
    model = fkeras.Sequential([fkeras.Input((28, 28, 1)), *CHAINS["keras's first example"][1]()])
    params, state = model.gather()
    x = jax.random.normal(jax.random.key(0), (2, 40, 43, 1))
    found, _ = model.apply(params, state, x)
    assert found.shape == (2, 8, 9, 3)
    np.testing.assert_allclose(found, one_by_one(model, params, state, x, False)[0], rtol=1e-5, atol=1e-6)


def test_a_subclass_is_called_as_it_is():
    class Scaled(L.Conv2D):
        def call(self, x):
            y = super().call(x)
            return y / jnp.max(y)

    class Centred(L.MaxPooling2D):
        def forward(self, params, state, x, ctx):
            return super().forward(params, state, x - jnp.mean(x), ctx)

    assert made(fkeras.Sequential([fkeras.Input((8, 8, 2)), Scaled(2, 2), L.MaxPooling2D(3)])) == [None]
    assert made(fkeras.Sequential([fkeras.Input((8, 8, 2)), L.Conv2D(2, 2), Centred(3)])) == [None]
