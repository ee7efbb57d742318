"""Constraints: Keras's projections and configs, weights inside their set, found by every name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import constraints
from fkeras.core import settings
from tests.catalog.floor1 import CONSTRAINTS

W = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32) * np.linspace(0, 3, 6, dtype=np.float32)


def make(row):
    return getattr(constraints, row.name)(**row.settings)


@pytest.mark.parametrize("row", CONSTRAINTS, ids=str)
def test_projections_are_those_of_keras(row, keras):
    judge = getattr(keras.constraints, row.name)(**row.settings)
    np.testing.assert_allclose(make(row)(W), judge(W), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_projections_keep_shape_and_dtype_and_have_finite_gradients_also_at_zero(dtype):
    w = np.array(W)
    w[2] = 0  # the first column is zero, too
    w = jnp.asarray(w, dtype)

    @jax.jit
    def values_and_slopes(w):
        pairs = [jax.vjp(make(row), w) for row in CONSTRAINTS]
        return [(value, pull(jnp.ones_like(value))[0]) for value, pull in pairs]

    for row, (value, slope) in zip(CONSTRAINTS, values_and_slopes(w), strict=True):
        assert value.shape == w.shape and value.dtype == dtype
        assert np.isfinite(np.asarray(slope, np.float32)).all(), row
        # One rounding of bfloat16 has 2^-8; float32: XLA may sum in another order
        tolerance = 1e-6 if dtype == "float32" else 2**-7
        eager = np.asarray(make(row)(w), np.float32)
        np.testing.assert_allclose(np.asarray(value, np.float32), eager, rtol=tolerance, err_msg=str(row))


def test_norms_come_to_lie_inside_their_bounds_and_zeros_stay_zeros():
    def norms(w):
        return np.linalg.norm(np.asarray(w), axis=0)[1:]

    # 1e-5: epsilon 1e-7 in the denominator against norms of 0.6 and more
    assert norms(constraints.MaxNorm(1.0)(W)).max() <= 1.0
    np.testing.assert_allclose(norms(constraints.UnitNorm()(W)), 1.0, rtol=1e-5)
    bounded = norms(constraints.MinMaxNorm(2.0, 3.0)(W))
    assert bounded.min() >= 2.0 * (1 - 1e-5) and bounded.max() <= 3.0
    halfway = norms(constraints.MinMaxNorm(10.0, 10.0, rate=0.5)(W))
    np.testing.assert_allclose(halfway, (norms(W) + 10.0) / 2, rtol=1e-5)
    for constraint in (constraints.MaxNorm(1.0), constraints.UnitNorm(), constraints.MinMaxNorm(2.0, 3.0)):
        assert not np.asarray(constraint(W))[:, 0].any()
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype(np.float32)
    filters = np.asarray(constraints.MaxNorm(0.5, axis=[0, 1, 2])(kernel)).reshape(-1, 5)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=0), 0.5, rtol=1e-5)


def test_float16_norms_do_not_overflow():
    w = jnp.full((4,), 300.0, jnp.float16)  # the squares are beyond float16
    assert constraints.UnitNorm()(w).tolist() == [0.5] * 4


def test_every_constraint_has_a_row_and_keras_has_no_more_names(keras):
    from keras.src.constraints import ALL_OBJECTS_DICT

    assert {cls.__name__ for cls in constraints.constraints.entries.values()} == {row.name for row in CONSTRAINTS}
    for name, cls in ALL_OBJECTS_DICT.items():
        assert constraints.serialize(constraints.get(name)) == keras.constraints.serialize(cls())
    public = [name for name in vars(keras.constraints) if not name.startswith("_")]
    assert [name for name in public if not hasattr(constraints, name)] == []


@pytest.mark.parametrize("row", CONSTRAINTS, ids=str)
def test_configs_are_those_of_keras_and_come_back(row, keras):
    own = make(row)
    config = constraints.serialize(own)
    theirs = keras.constraints.serialize(getattr(keras.constraints, row.name)(**row.settings))
    assert config == theirs
    for form in (config, {"class_name": theirs["class_name"], "config": theirs["config"]}):
        for read in (constraints.deserialize(form), constraints.get(form)):
            assert constraints.serialize(read) == config and np.array_equal(read(W), own(W))
    np.testing.assert_allclose(keras.constraints.deserialize(config)(W), own(W), rtol=1e-5)


def test_names_in_any_style_are_understood():
    for name in ("MaxNorm", "max_norm", "maxnorm", "maxNorm"):
        assert type(constraints.get(name)) is constraints.MaxNorm
    assert constraints.max_norm(3.0).max_value == 3.0 and constraints.get(constraints.non_neg)(-1.0) == 0.0
    assert constraints.get(None) is None


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"MaxNorm\(axis='0'\): expected an axis or a tuple of axes, got '0'"):
        constraints.MaxNorm(axis="0")
    with pytest.raises(ValueError, match=r"Unknown constraint 'max_nrom'\. Did you mean 'max_norm'"):
        constraints.get("max_nrom")
    with pytest.raises(TypeError, match="Cannot read 2 as a constraint"):
        constraints.get(2)


def test_a_constraint_of_ones_own_survives_a_config():
    class Box(constraints.Constraint):
        size: float = 1.0

        def __call__(self, w):
            return jnp.clip(w, -self.size, self.size)

    config = constraints.serialize(Box(0.5))
    assert constraints.deserialize(config, {"Box": Box})(2.0) == 0.5
    with settings.custom_object_scope({"Box": Box}):
        assert constraints.get("Box").size == 1.0
