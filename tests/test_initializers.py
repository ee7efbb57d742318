"""Initializers: Keras's numbers for a seed, the stated distributions, pure in (key, shape), found by every name."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fkeras import initializers
from fkeras.core import rng, settings, windows
from fkeras.initializers import draw
from tests.catalog.floor1 import FIXED_INITIALIZERS, RANDOM_INITIALIZERS


def make(row, **more):
    return getattr(initializers, row.name)(**row.settings, **more)


# ------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("row", FIXED_INITIALIZERS, ids=str)
def test_fixed_values_are_those_of_keras(row, keras):
    if row.name == "STFT":
        pytest.importorskip("scipy.signal", reason="Keras takes its windows from SciPy")
    judge = getattr(keras.initializers, row.name)(**row.settings)(row.shape)
    # 2e-5: Keras computes phases of up to 100 in float32, fkeras reduces them to one turn first
    np.testing.assert_allclose(make(row)(row.shape), judge, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("row", RANDOM_INITIALIZERS, ids=str)
def test_a_seed_gives_the_numbers_that_it_gives_in_keras(row, keras, key):
    judge = getattr(keras.initializers, row.name)(**row.settings, seed=2**31 + 7)(row.shape)
    # 1e-6 absolute: the decomposition of `Orthogonal` in another order of operations
    np.testing.assert_allclose(make(row, seed=2**31 + 7)(key, row.shape), judge, rtol=1e-5, atol=1e-6)


def expected_moments(row):
    """Returns (mean, standard deviation, largest distance from the mean) by the formulas of the papers."""
    cut = 0.87962566103423978  # standard deviation of a unit normal distribution cut off at 2
    by_shape = {(50, 40): (50, 40), (2000,): (2000, 2000), (8, 5, 50): (40, 400), (3, 3, 5, 50): (45, 450)}
    by_axes = {"VarianceScaling": (8, 250), "GlorotUniform": (40, 50)}
    fan_in, fan_out = by_axes[row.name] if "input_axes" in row.settings else by_shape[row.shape]
    s = {"mean": 0.0, "stddev": 0.05, "minval": -0.05, "maxval": 0.05, "scale": 1.0, "mode": "fan_in", **row.settings}
    scale, mode, kind = {
        "GlorotUniform": (1, "fan_avg", "uniform"),
        "GlorotNormal": (1, "fan_avg", "truncated_normal"),
        "HeUniform": (2, "fan_in", "uniform"),
        "HeNormal": (2, "fan_in", "truncated_normal"),
        "LecunUniform": (1, "fan_in", "uniform"),
        "LecunNormal": (1, "fan_in", "truncated_normal"),
    }.get(row.name, (s["scale"], s["mode"], s.get("distribution", "truncated_normal")))
    if row.name == "RandomNormal":
        return s["mean"], s["stddev"], math.inf
    if row.name == "TruncatedNormal":
        return s["mean"], s["stddev"] * cut, 2 * s["stddev"]
    if row.name == "RandomUniform":
        half = (s["maxval"] - s["minval"]) / 2
        return s["minval"] + half, half / math.sqrt(3), half
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    stddev = math.sqrt(scale / n)
    bound = {"uniform": math.sqrt(3), "truncated_normal": 2 / cut, "untruncated_normal": math.inf}[kind]
    return 0.0, stddev, stddev * bound


@pytest.mark.parametrize("row", [r for r in RANDOM_INITIALIZERS if r.name != "Orthogonal"], ids=str)
def test_mean_deviation_and_bounds_are_those_of_the_formula(row, key):
    values = np.asarray(make(row)(key, row.shape), np.float64)
    mean, stddev, bound = expected_moments(row)
    # 2000 values or more: the mean has a standard error of stddev / 45, the deviation of 1.6 % or less; 4.5 of them.
    assert abs(values.mean() - mean) < 0.1 * stddev
    assert abs(values.std() / stddev - 1) < 0.072
    assert abs(values - mean).max() <= bound * (1 + 1e-6)
    if math.isfinite(bound):
        assert abs(values - mean).max() > 0.97 * bound  # and the bound is reached


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 4, 5), (3, 3, 2, 4), (2, 3, 4, 5, 6)], ids=str)
def test_fans_are_counted_as_in_keras(shape, keras):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)
    axes = {"input_axes": [0], "output_axes": [-1]}
    if shape:
        assert initializers.compute_fans(shape, **axes) == compute_fans(shape, **axes)


def test_orthogonal_has_orthonormal_rows_or_columns_whichever_are_fewer(key):
    for shape in (row.shape for row in RANDOM_INITIALIZERS if row.name == "Orthogonal"):
        matrix = initializers.Orthogonal(gain=2.0)(key, shape).reshape(-1, shape[-1])
        wide = matrix.shape[0] < matrix.shape[1]
        gram = matrix @ matrix.T if wide else matrix.T @ matrix
        np.testing.assert_allclose(gram, 4 * np.eye(min(matrix.shape)), atol=1e-5)  # 1e-5: float32


def test_every_named_window_has_the_values_of_scipy():
    scipy = pytest.importorskip("scipy.signal")
    for name in windows._WINDOWS:
        for length in (1, 2, 7, 8, 33):
            for periodic in (False, True):
                values = initializers.window_values(name, length, periodic)
                np.testing.assert_allclose(values, scipy.get_window(name, length, periodic), atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(
        initializers.window_values("hann_periodic", 8), initializers.window_values("hann", 8, periodic=True)
    )


# ---------------------------------------------------------------------------------------------- laws


def test_the_value_depends_on_the_key_and_the_shape_alone_also_when_compiled(key):
    rows = list({row.name: row for row in RANDOM_INITIALIZERS + FIXED_INITIALIZERS}.values())  # one a class
    quickly = {"xla_backend_optimization_level": 0}  # compiling is what this test spends its time on
    compiled = jax.jit(lambda key: [make(row)(key, row.shape) for row in rows], compiler_options=quickly)(key)
    for row, value in zip(rows, compiled, strict=True):
        # 1e-6: XLA may fuse multiply and add
        np.testing.assert_allclose(make(row)(key, row.shape), value, rtol=1e-6, atol=1e-6, err_msg=str(row))
        assert value.shape == row.shape and value.dtype == jnp.float32
        if row in RANDOM_INITIALIZERS:
            other = make(row)(jax.random.key(1), row.shape)
            assert not np.allclose(other, value), row


def test_a_seed_overrides_the_key_and_repeats(key):
    seeded = initializers.GlorotUniform(seed=5)
    one, two = seeded(key, (3, 4)), seeded(jax.random.key(9), (3, 4))
    assert np.array_equal(one, two) and np.array_equal(one, seeded((3, 4)))
    assert not np.array_equal(one, initializers.GlorotUniform(seed=6)((3, 4)))
    assert np.array_equal(initializers.GlorotUniform(seed=-1)((2,)), initializers.GlorotUniform(seed=2**32 - 1)((2,)))


def test_a_seed_with_next_gives_fresh_numbers_on_every_call(keras):
    class Counter:
        count = 0

        def next(self):
            self.count += 1
            return self.count

    normal = initializers.RandomNormal(seed=Counter())
    first, second = normal((4,)), normal((4,))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, initializers.RandomNormal()(jax.random.key(1), (4,)))
    generators = [keras.random.SeedGenerator(3) for _ in range(2)]
    np.testing.assert_allclose(
        initializers.RandomNormal(seed=generators[0])((4,)), keras.initializers.RandomNormal(seed=generators[1])((4,))
    )


def test_keras_calls_draw_from_the_process_wide_seed():
    uniform = initializers.RandomUniform()
    rng.set_seed(3)
    first, second = uniform((4,)), uniform(shape=(4,), dtype="float32")
    assert not np.array_equal(first, second)
    rng.set_seed(3)
    assert np.array_equal(first, uniform([4])) and np.array_equal(second, uniform(4, "float32"))
    assert uniform((2, 3), "bfloat16").dtype == uniform((2, 3), dtype="bfloat16").dtype == jnp.bfloat16


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_the_float32_draw_rounded_once(dtype, key):
    for row in RANDOM_INITIALIZERS:
        half, whole = make(row)(key, row.shape, dtype), make(row)(key, row.shape)
        assert half.dtype == dtype
        assert np.array_equal(half, whole.astype(dtype)), row
    for row in FIXED_INITIALIZERS:
        assert make(row)(key, row.shape, dtype).dtype == dtype


# --------------------------------------------------------------------------------------------- errors


def test_errors_say_what_was_expected(key):
    with pytest.raises(ValueError, match="Random initial values need a float dtype, got int32"):
        initializers.HeNormal()(key, (2, 2), "int32")
    with pytest.raises(ValueError, match=r"Identity: expected a matrix, a shape of two axes, got \(2, 2, 2\)"):
        initializers.Identity()((2, 2, 2))
    with pytest.raises(ValueError, match=r"Orthogonal: expected a shape of at least two axes, got \(5,\)"):
        initializers.Orthogonal()(key, (5,))
    with pytest.raises(ValueError, match=r"Constant: expected values that fit the shape \(3,\), got .* shape \(2,\)"):
        initializers.Constant([1.0, 2.0])((3,))
    with pytest.raises(ValueError, match=r"VarianceScaling\(scale=0\): expected a positive number, got 0"):
        initializers.VarianceScaling(scale=0)
    with pytest.raises(
        ValueError, match=r"expected one of 'fan_in', 'fan_out', 'fan_avg', got 'fan_inn'\. Did you mean"
    ):
        initializers.VarianceScaling(mode="fan_inn")
    with pytest.raises(ValueError, match=r"Unknown window 'han_n'\. Did you mean 'hann'"):
        initializers.STFT(window="han_n")
    with pytest.raises(ValueError, match="expected a window of 4 values, the frame length, got shape"):
        initializers.STFT(window=[1.0, 2.0])((4, 1, 3))
    with pytest.raises(TypeError, match=r"RandomNormal\(seed='x'\): expected an integer or None, got 'x'"):
        initializers.RandomNormal(seed="x")
    with pytest.raises(TypeError, match=r"Constant\(value='x'\): expected a number or an array of numbers, got str"):
        initializers.Constant("x")
    with pytest.raises(ValueError, match=r"expected a shape of integers that are 0 or more, got \(None, 3\)"):
        initializers.Zeros()((None, 3))
    with pytest.raises(TypeError, match=r"Zeros needs a shape: initializer\(shape\)"):
        initializers.Zeros()(key)
    with pytest.raises(TypeError, match=r"Initializer is no complete initializer: it has neither sample"):
        initializers.Initializer()(key, (2,))
    with pytest.raises(ValueError, match=r"Unknown initializer 'glorot_unifrom'\. Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(TypeError, match="expected a name, a function, an object or a config dict, got object"):
        initializers.get(object())


# ---------------------------------------------------------------------------------------------- names


def test_every_initializer_has_a_row_and_keras_has_no_more_names(keras):
    from keras.src.initializers import ALL_OBJECTS_DICT

    entries = initializers.initializers.entries
    rows = {row.name for row in FIXED_INITIALIZERS + RANDOM_INITIALIZERS}
    assert {cls.__name__ for cls in entries.values()} == {*rows, "Initializer"}
    for name, cls in ALL_OBJECTS_DICT.items():
        assert type(initializers.get(name)).__name__ == cls.__name__
    public = [name for name in vars(keras.initializers) if not name.startswith("_")]
    assert [name for name in public if not hasattr(initializers, name)] == []


@pytest.mark.parametrize("row", FIXED_INITIALIZERS + RANDOM_INITIALIZERS, ids=str)
def test_configs_go_to_keras_and_come_back(row, keras, key):
    seed = {"seed": 11} if row in RANDOM_INITIALIZERS else {}
    own, judge = make(row, **seed), getattr(keras.initializers, row.name)(**row.settings, **seed)
    config = initializers.serialize(own)
    value = own(key, row.shape)
    for read in (initializers.deserialize(config), initializers.get(config), own.clone()):
        assert type(read) is type(own) and initializers.serialize(read) == config
        assert np.array_equal(read(key, row.shape), value)
    theirs = keras.initializers.serialize(judge)
    if row.name != "Identity":  # Keras's own config of an Identity lacks the gain
        assert np.array_equal(initializers.get(theirs)(key, row.shape), value)  # Keras's dict, read by fkeras
        old_form = {k: theirs[k] for k in ("class_name", "config")}
        assert np.array_equal(initializers.get(old_form)(key, row.shape), value)
    if row.settings.get("window", "hann") is not None and not isinstance(row.settings.get("value"), list):
        back = keras.initializers.deserialize(config)(row.shape)  # fkeras's dict, read by Keras
        np.testing.assert_allclose(back, value, rtol=1e-5, atol=2e-5)  # 2e-5: phases in float32, as above
    for name in ("module", "class_name", "registered_name"):
        assert config[name] == theirs[name]


def test_what_older_keras_wrote_is_read():
    for config in ({"seed": None, "dtype": "float32"}, {"seed": None}, {}):
        assert repr(initializers.get({"class_name": "GlorotUniform", "config": config})) == "GlorotUniform()"
    old = {"scale": 1.0, "mode": "fan_avg", "distribution": "normal", "seed": None}
    assert initializers.get({"class_name": "VarianceScaling", "config": old}).distribution == "truncated_normal"
    generator = {"module": "keras.random", "class_name": "SeedGenerator", "config": {"seed": 4}}
    assert initializers.get({"class_name": "HeNormal", "config": {"seed": generator}}).seed == 4
    assert "input_axes" not in initializers.HeNormal().get_config()  # older Keras refuses unknown settings


def test_names_in_any_style_classes_numbers_and_arrays_are_understood(key):
    for name in ("HeNormal", "he_normal", "heNormal", "HENORMAL"):
        assert type(initializers.get(name)) is initializers.HeNormal
    assert type(initializers.get(initializers.zeros)) is initializers.Zeros
    assert initializers.get(None) is None
    assert draw(0.5, key, (2,)).tolist() == [0.5, 0.5]
    for array in (np.arange(4.0), jnp.arange(4.0)):
        assert draw(array, key, (4,)).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert initializers.Constant(np.float32(2.0)).get_config() == {"value": 2.0}
    assert repr(initializers.Constant(np.ones((2, 3), np.float32))) == "Constant(value=float32[2, 3])"


# ---------------------------------------------------------------------------------------- one's own


def test_draw_takes_every_form_of_function(key, keras):
    def whole(shape, dtype=None):
        return jnp.full(shape, 2.0, dtype)

    forms = [
        whole,
        lambda shape, dtype: jnp.full(shape, 2.0, dtype),
        lambda shape: np.full(shape, 2.0),
        lambda shape, **kwargs: jnp.full(shape, 2.0, kwargs["dtype"]),
        lambda shape, kind: jnp.full(shape, 2.0, kind),
        functools.partial(jnp.full, fill_value=2.0),
        keras.initializers.Constant(2.0),
        "ones",
    ]
    for form in forms:
        value = draw(form, key, (2, 3), "bfloat16")
        assert value.dtype == jnp.bfloat16 and value.shape == (2, 3)
        assert (value == (1.0 if form == "ones" else 2.0)).all()
    np.testing.assert_array_equal(
        draw(jax.nn.initializers.normal(0.1), key, (3,)), jax.nn.initializers.normal(0.1)(key, (3,))
    )
    with pytest.raises(ValueError, match=r"expected a value of shape \(2, 3\), got shape \(3,\)"):
        draw(lambda shape, dtype: jnp.ones(shape[1:], dtype), key, (2, 3))
    with pytest.raises(TypeError, match="expected an initializer, got None"):
        draw(None, key, (2, 3))


def test_initializers_of_ones_own_work_in_both_ways_and_survive_a_config(key):
    class Pure(initializers.Initializer):
        top: float = 1.0

        def sample(self, key, shape, dtype):
            return self.top * jax.random.uniform(key, shape, dtype)

    class InKerasWay(initializers.Initializer):
        def __init__(self, low, high=2.0):
            self.low, self.high = low, high

        def __call__(self, shape, dtype=None):
            return jnp.linspace(self.low, self.high, shape[0], dtype=dtype)

        def get_config(self):
            return {"low": self.low, "high": self.high}

    class InKerasWayWithoutConfig(InKerasWay):
        def __init__(self, low):
            super().__init__(low, 2.0)

        get_config = initializers.Initializer.get_config

    for own in (Pure(3.0), InKerasWay(1.0), InKerasWayWithoutConfig(1.0)):
        value = draw(own, key, (3,))
        config = initializers.serialize(own)
        again = initializers.deserialize(config, {type(own).__name__: type(own)})
        assert type(again) is type(own)
        assert np.array_equal(draw(again, key, (3,)), value)
        assert np.array_equal(jax.jit(lambda key, own=own: draw(own, key, (3,)))(key), value)
    assert value.tolist() == [1.0, 1.5, 2.0]
    assert Pure(2.0)((4,)).shape == (4,)
    with settings.custom_object_scope({"Pure": Pure}):
        assert initializers.get("Pure").top == 1.0
