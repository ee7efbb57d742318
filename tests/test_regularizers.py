"""Regularizers: Keras's penalties and configs, finite gradients, found by every name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import regularizers
from fkeras.core import settings
from tests.catalog.floor1 import REGULARIZERS

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def make(row):
    return getattr(regularizers, row.name)(**row.settings)


def values_and_slopes(module, x):
    """Returns {row: (penalty, gradient)} of every row but the base, from one program."""
    objects = {str(row): getattr(module, row.name)(**row.settings) for row in REGULARIZERS[1:]}
    return jax.jit(lambda x: {name: jax.value_and_grad(r)(x) for name, r in objects.items()})(x)


def test_penalties_and_gradients_are_those_of_keras(keras):
    ours = values_and_slopes(regularizers, X)
    for name, (value, slope) in values_and_slopes(keras.regularizers, X).items():
        np.testing.assert_allclose(ours[name][0], value, rtol=1e-5, err_msg=name)
        # 1e-7 absolute: gradients that cancel to zero
        np.testing.assert_allclose(ours[name][1], slope, rtol=1e-5, atol=1e-7, err_msg=name)
    assert regularizers.Regularizer()(X) == keras.regularizers.Regularizer()(X) == 0.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_penalty_is_a_finite_scalar_in_the_dtype_of_the_array_also_compiled(dtype):
    x = np.array(X)
    x[1], x[:, 2] = 0, 0
    x = jnp.asarray(x, dtype)
    compiled = values_and_slopes(regularizers, x)
    for row in REGULARIZERS[1:]:
        value, slope = compiled[str(row)]
        assert value.dtype == slope.dtype == dtype and value.shape == ()
        assert np.isfinite(np.asarray(value, np.float32)) and np.isfinite(np.asarray(slope, np.float32)).all(), row
        # One rounding of bfloat16 has 2^-8; float32: XLA may sum in another order
        tolerance = 1e-6 if dtype == "float32" else 2**-7
        np.testing.assert_allclose(np.float32(value), np.float32(make(row)(x)), rtol=tolerance, err_msg=str(row))


def test_half_precision_is_summed_in_float32():
    ones = jnp.full((300, 300), 2.0, jnp.float16)  # the squares sum to 360000, beyond float16
    assert regularizers.L2(0.1)(ones) == jnp.float16(36000.0)


def test_orthogonal_regularizer_of_a_single_row_is_zero():
    assert regularizers.OrthogonalRegularizer()(jnp.ones((1, 4))) == 0.0  # Keras has 0 / 0 here


def test_every_regularizer_has_a_row_and_keras_has_no_more_names(keras):
    from keras.src.regularizers import ALL_OBJECTS_DICT

    entries = regularizers.regularizers.entries
    assert {cls.__name__ for cls in entries.values()} == {row.name for row in REGULARIZERS}
    for name, cls in ALL_OBJECTS_DICT.items():
        own, judge = regularizers.get(name), cls()
        assert type(own).__name__ == cls.__name__
        if name not in ("Regularizer", "regularizer"):
            assert own.get_config() == pytest.approx(judge.get_config())  # Keras's L1 rounds its factor to float32
    public = [name for name in vars(keras.regularizers) if not name.startswith("_")]
    assert [name for name in public if not hasattr(regularizers, name)] == []


@pytest.mark.parametrize("row", REGULARIZERS, ids=str)
def test_configs_go_to_keras_and_come_back(row, keras):
    own = make(row)
    config, value = regularizers.serialize(own), own(X)
    assert config["module"] == "keras.regularizers" and config["registered_name"] is None
    for read in (regularizers.deserialize(config), regularizers.get(config), type(own).from_config(own.get_config())):
        assert regularizers.serialize(read) == config and read(X) == value
    np.testing.assert_allclose(keras.regularizers.deserialize(config)(jnp.asarray(X)), value, rtol=1e-5)
    if row.name != "Regularizer":  # Keras's base has no config
        theirs = keras.regularizers.serialize(getattr(keras.regularizers, row.name)(**row.settings))
        np.testing.assert_allclose(regularizers.get(theirs)(X), value, rtol=1e-6)  # L1 in float32, as above
        old_form = {"class_name": theirs["class_name"], "config": theirs["config"]}
        np.testing.assert_allclose(regularizers.get(old_form)(X), value, rtol=1e-6)


def test_the_short_names_make_regularizers():
    assert regularizers.l2(0.3).get_config() == {"l2": 0.3}
    assert regularizers.l1(l1=0.3).get_config() == {"l1": 0.3}
    assert regularizers.l1_l2(l1=0.1, l2=0.2).get_config() == {"l1": 0.1, "l2": 0.2}
    assert regularizers.l1_l2(l1=0.1).get_config() == {"l1": 0.1, "l2": 0.0}  # as Keras 3
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}
    assert regularizers.get("L1L2").get_config() == {"l1": 0.0, "l2": 0.0}
    assert regularizers.get("L2").get_config() == regularizers.get(regularizers.l2).get_config() == {"l2": 0.01}
    assert regularizers.L1(None).l1 == 0.01 and regularizers.L1L2(None, None).l2 == 0.0
    assert type(regularizers.get("orthogonalRegularizer")) is regularizers.OrthogonalRegularizer
    assert regularizers.get(None) is None


def test_errors_say_what_was_expected():
    for value in (-1.0, float("nan"), float("inf"), "0.1", True):
        with pytest.raises(ValueError, match=r"L2\(l2=.*\): expected a finite number that is 0 or more, got"):
            regularizers.L2(value)
    with pytest.raises(ValueError, match=r"expected one of 'rows', 'columns', got 'row'\. Did you mean 'rows'"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(ValueError, match=r"OrthogonalRegularizer: expected a matrix, got an array of shape \(2,\)"):
        regularizers.OrthogonalRegularizer()(jnp.ones(2))
    with pytest.raises(ValueError, match=r"Unknown regularizer 'l1_l3'\. Did you mean 'l1_l2'"):
        regularizers.get("l1_l3")
    with pytest.raises(TypeError, match=r"Cannot read 0\.5 as a regularizer"):
        regularizers.get(0.5)


def test_a_regularizer_of_ones_own_survives_a_config():
    class Mean(regularizers.Regularizer):
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return self.factor * jnp.mean(x)

        def get_config(self):
            return {"factor": float(self.factor)}

    config = regularizers.serialize(Mean(2))
    assert regularizers.deserialize(config, {"Mean": Mean})(jnp.ones(3)) == 2.0
    with settings.custom_object_scope({"Mean": Mean}):
        assert regularizers.get(config).factor == 2.0
    own = lambda w: jnp.sum(w)  # noqa: E731
    assert regularizers.get(own) is own
