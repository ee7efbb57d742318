"""Utilities, random numbers, process-wide defaults and the bundled data, against NumPy and real Keras."""

import numpy as np
import pytest

import fkeras
from fkeras import utils


@pytest.mark.parametrize(
    "call",
    [
        lambda u: u.to_categorical([0, 2, 1]),
        lambda u: u.to_categorical(np.array([[1], [3]]), 5),
        lambda u: u.normalize(np.arange(6.0).reshape(2, 3)),
        lambda u: u.normalize(np.arange(6.0).reshape(2, 3), order=1),
        lambda u: u.pad_sequences([[1, 2, 3], [4]], maxlen=2),
        lambda u: u.pad_sequences([[1, 2, 3], [4], []], padding="post", truncating="post", value=-1.0, dtype="float32"),
    ],
)
def test_array_helpers_are_keras(call, keras):
    want, got = call(keras.utils), call(utils)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\), got values from 0 to 7"):
        utils.to_categorical([0, 7], 3)


def test_split_dataset():
    x, y = np.arange(10), np.arange(10) % 2
    (a, b), (c, d) = utils.split_dataset((x, y), left_size=0.7)
    assert a.tolist() == list(range(7)) and c.tolist() == [7, 8, 9] and len(b) == 7 and len(d) == 3
    left, right = utils.split_dataset((x, y), left_size=6, shuffle=True, seed=1, stratify_by_class=y)
    assert left[1].sum() == 3 and right[1].sum() == 2
    assert sorted([*left[0], *right[0]]) == list(range(10))
    with pytest.raises(ValueError, match=r"8 \+ 5 rows were asked for, there are 10"):
        utils.split_dataset(x, 8, 5)


def test_random_seed_makes_draws_repeat():
    draws = []
    for _ in range(2):
        utils.set_random_seed(7)
        draws.append((np.random.rand(), np.asarray(fkeras.random.normal((3,)))))
    assert draws[0][0] == draws[1][0]
    np.testing.assert_array_equal(draws[0][1], draws[1][1])
    with pytest.raises(ValueError, match="expected an integer in"):
        utils.set_random_seed(-1)


def test_random_functions_have_their_ranges():
    r = fkeras.random
    u = np.asarray(r.uniform((1000,), 2.0, 3.0, seed=1))
    assert 2 <= u.min() and u.max() < 3 and abs(u.mean() - 2.5) < 0.05  # 5 standard errors
    t = np.asarray(r.truncated_normal((1000,), stddev=2.0, seed=1))
    assert np.abs(t).max() <= 4.0
    i = np.asarray(r.randint((1000,), 3, 6, seed=1))
    assert set(i.tolist()) == {3, 4, 5}
    c = np.asarray(r.categorical(np.log([[0.001, 0.999], [0.999, 0.001]]), 20, seed=1))
    assert c.shape == (2, 20) and c[0].mean() > 0.8 and c[1].mean() < 0.2
    d = np.asarray(r.dropout(np.ones(1000, "float32"), 0.25, seed=1))
    np.testing.assert_allclose(sorted(set(d.tolist())), [0.0, 1 / 0.75], rtol=1e-6)
    assert sorted(np.asarray(r.shuffle(np.arange(9), seed=2)).tolist()) == list(range(9))
    g = r.SeedGenerator(1)
    assert (np.asarray(r.normal((3,), seed=g)) != np.asarray(r.normal((3,), seed=g))).all()
    for draw in (r.gamma((9,), 2.0, seed=1), r.beta((9,), 1.0, 2.0, seed=1), r.binomial((9,), 5.0, 0.5, seed=1)):
        assert np.isfinite(draw).all()


def test_process_wide_defaults():
    config = fkeras.config
    assert config.floatx() == fkeras.backend.floatx() == "float32" and config.backend() == "jax"
    try:
        config.set_floatx("float16")
        config.set_epsilon(1e-3)
        assert fkeras.layers.Dense(1).dtype.name == "float16" and fkeras.backend.epsilon() == 1e-3
        config.set_dtype_policy("mixed_bfloat16")
        assert fkeras.layers.Dense(1).compute_dtype == "bfloat16"
        config.set_image_data_format("channels_first")
        assert fkeras.layers.Flatten().data_format == "channels_first"
    finally:
        config.set_floatx("float32"), config.set_epsilon(1e-7), config.set_dtype_policy(None)
        config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match="Unknown dtype policy 'mixed_bfloat'. Did you mean 'mixed_bfloat16'"):
        config.set_dtype_policy("mixed_bfloat")


def test_custom_objects():
    @utils.register_keras_serializable(package="mine")
    def twice(x):
        return 2 * x

    assert fkeras.activations.get("mine>twice") is twice
    assert fkeras.layers.Dense(1, activation=twice).get_config()["activation"] == "mine>twice"
    with utils.custom_object_scope({"thrice": lambda x: 3 * x}):
        assert fkeras.activations.get("thrice")(2) == 6
    with pytest.raises(ValueError, match="Unknown activation 'thrice'"):
        fkeras.activations.get("thrice")
    del utils.get_custom_objects()["mine>twice"]


def test_digits_are_the_uci_digits():
    (x_train, y_train), (x_test, y_test) = fkeras.datasets.digits.load_data()
    assert x_train.shape == (1437, 8, 8) and x_test.shape == (360, 8, 8) and x_train.dtype == np.uint8
    labels = np.concatenate([y_train, y_test])
    # The class counts of the UCI test set, as published with it.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_main_job(tmp_path):
    """`python -m fkeras`: trains, evaluates, saves, loads and shows, as the README promises."""
    import os
    import pathlib
    import re
    import subprocess
    import sys

    root = str(pathlib.Path(fkeras.__file__).parent.parent)
    env = {**os.environ, "PYTHONPATH": root}
    out = subprocess.run([sys.executable, "-m", "fkeras"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    accuracy = float(re.search(r"accuracy ([\d.]+)%", out.stdout)[1])
    assert accuracy >= 97.0
    assert "predictions are equal" in out.stdout and "on cpu" in out.stdout and (tmp_path / "digits.h5").exists()
