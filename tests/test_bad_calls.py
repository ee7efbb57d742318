"""Mistakes in a program's own layers, losses, metrics and numbers are answered by name, with the way out."""

import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from tests.ids import plain

X = np.ones((4, 3), "float32")


def forgets(*args):
    args[0] * 2


def branches(a, b):
    return abs(a - b) if (a > b).all() else b - a


class Silent(L.Layer):
    def call(self, x):
        x + 1


class SilentPure(L.Layer):
    def forward(self, params, state, x, ctx):
        return None, state


class Branching(L.Layer):
    def call(self, x):
        return x if x.sum() > 0 else -x


class Looping(L.Layer):
    def call(self, x):
        for _ in range(x.sum().astype("int32")):
            x = x + 1
        return x


class NumPys(L.Layer):
    def call(self, x):
        return np.exp(np.asarray(x))


class SilentLoss(fkeras.losses.Loss):
    def call(self, y_true, y_pred):
        y_true - y_pred


def compiled(*layers, **options):
    model = fkeras.Sequential([L.Input((3,)), *layers, L.Dense(3)])
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | options)
    return model


def check(error, said):
    assert said in str(error.value), str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Silent(name="s"), "Silent 's': it computed None; expected arrays. Does its `call` return?"),
        (lambda: SilentPure(name="s"), "SilentPure 's': it computed None; expected arrays."),
        (
            lambda: Branching(name="b"),
            "Branching 'b': a Python branch (`if`, `while`, `and`) on the values of an array",
        ),
        (lambda: Branching(name="b"), "Use jnp.where(condition, a, b) or jax.lax.cond."),
        (lambda: Looping(name="l"), "Looping 'l': Python asked for the value of an array"),
        (lambda: NumPys(name="n"), "NumPys 'n': NumPy was given an array that is being compiled. Use jax.numpy's"),
        (lambda: L.Lambda(forgets, name="f"), "Lambda 'f': it computed None"),
        (lambda: fkeras.Sequential([Branching(name="inner")]), "Branching 'inner': a Python branch"),
    ],
)
def test_a_layer_that_cannot_be_computed_is_named(make, said):
    with pytest.raises(TypeError) as error:
        compiled(make())
    check(error, said)
    assert any("called on float32[" in note for note in error.value.__notes__)


def test_an_eager_call_may_branch_but_not_return_nothing():
    assert (Branching()(X) == X).all()
    with pytest.raises(TypeError) as error:
        Silent(name="s")(X)
    check(error, "Silent 's': it computed None")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": forgets}, "Loss 'forgets': it returned None; expected one value per example. Does it `return`?"),
        ({"loss": SilentLoss()}, "Loss 'silent_loss': it returned None"),
        ({"loss": branches}, "Loss 'branches': a Python branch"),
        ({"metrics": [forgets]}, "Metric 'forgets': its function returned None."),
        ({"metrics": [branches]}, "Metric 'branches': a Python branch"),
    ],
    ids=plain,
)
def test_a_loss_or_metric_without_numbers_is_named(options, said):
    model = compiled(**options)
    for run in (lambda: model.fit(X, X, verbose=0), lambda: model.evaluate(X, X, verbose=0)):
        with pytest.raises(TypeError) as error:
            run()
        check(error, said)


def test_a_loss_called_by_itself_says_so_too():
    with pytest.raises(TypeError, match="Loss 'forgets': it returned None"):
        fkeras.losses.as_loss(forgets)(X, X)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Dense(2, input_shape=(-3,)),
        lambda: L.Input((-3,)),
        lambda: L.Input((2.5,)),
        lambda: L.Input(batch_shape=(-1, 3)),
        lambda: L.InputLayer(("3",)),
        lambda: L.Dense(2).build((None, -3)),
        lambda: fkeras.Sequential([L.Dense(2)]).build((None, -3)),
        lambda: L.Dense(2).compute_output_shape((None, -3)),
    ],
)
def test_a_size_below_zero_is_refused(make):
    with pytest.raises(ValueError) as error:
        make()
    check(error, "expected a shape of sizes >= 0, or None where one is not known, got (")


@pytest.mark.parametrize("value", [-0.1, np.float32(-1), jnp.float32(-2.0)], ids=plain)
@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adafactor"])
def test_a_learning_rate_below_zero_is_refused(kind, value):
    cls = getattr(fkeras.optimizers, kind)
    optimizer = cls(0.5)
    for run in (
        lambda: cls(value),
        lambda: cls(learning_rate=value),
        lambda: setattr(optimizer, "learning_rate", value),
        lambda: optimizer.learning_rate.assign(value),
    ):
        with pytest.raises(ValueError) as error:
            run()
        check(error, "expected a learning rate >= 0, got -")
    assert float(optimizer.learning_rate) == 0.5 and float(cls(0.0).learning_rate) == 0.0


class Cyclic(L.Layer):
    """Holds a list that holds itself, which is nobody's business until it is to be written."""

    def __init__(self, told=None, **kwargs):
        super().__init__(**kwargs)
        self.told, self.own = told, [L.Dense(3)]
        self.own.append({"again": self.own})

    def call(self, x):
        return self.own[0](x)

    def get_config(self):
        return super().get_config() | ({} if self.told is None else {"told": self.told})


def test_a_list_that_holds_itself_is_no_endless_recursion(tmp_path):
    model = fkeras.Sequential([fkeras.Input((3,)), Cyclic(), L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    assert len(model.get_weights()) == 4
    model.save(tmp_path / "m.keras")
    told = {"one": 1}
    told["all"] = [told]
    for layer in (Cyclic(told), L.Lambda(lambda x, **given: x, arguments=told)):
        model = fkeras.Sequential([fkeras.Input((3,)), layer, L.Dense(1)])
        for name in ("m.keras", "m.h5"):
            with pytest.raises(ValueError, match="cannot be written: the config of a layer in it holds itself"):
                model.save(tmp_path / name)
