"""Utilities, random numbers, process-wide defaults and the bundled data, against NumPy and real Keras."""

import copy
import pickle

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
        lambda u: u.pad_sequences([["a", "b"], ["c"]], value="pad", dtype="<U3"),
        lambda u: u.pad_sequences([[1, 2, 3], [4], []], padding="post", truncating="post", value=-1.0, dtype="float32"),
    ],
)
def test_array_helpers_are_keras(call, keras):
    want, got = call(keras.utils), call(utils)
    assert got.dtype == want.dtype
    if want.dtype.kind == "U":
        assert got.tolist() == want.tolist()
    else:
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\), got values from 0 to 7"):
        utils.to_categorical([0, 7], 3)


def test_texts_need_a_dtype_that_holds_them():
    with pytest.raises(ValueError, match="value='pad' is a text, which dtype int32 cannot hold; pass dtype=object"):
        utils.pad_sequences([["a"]], value="pad")
    assert utils.pad_sequences([["a", "b"], ["c"]], value="-", dtype=object).tolist() == [["a", "b"], ["-", "c"]]


def test_arrays_of_jax_stay_what_they_are(keras):
    import jax.numpy as jnp

    for call, dtype in ((lambda u, a: u.normalize(a), "float32"), (lambda u, a: u.to_categorical(a, 9), "int32")):
        given = jnp.arange(6, dtype=dtype).reshape(2, 3)
        got, want = call(utils, given), call(keras.utils, given)
        assert isinstance(got, type(given)) and isinstance(want, type(given))
        np.testing.assert_allclose(got, want, rtol=1e-6)
        assert isinstance(call(utils, np.asarray(given)), np.ndarray)


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


def test_batches_are_packed_and_unpacked_as_by_keras(keras):
    x, y, w = np.ones(2), np.zeros(2), np.full(2, 3)
    for given in ((x,), (x, y), (x, y, w), ([x, y],), ((x, y), None, w)):
        assert str(utils.pack_x_y_sample_weight(*given)) == str(keras.utils.pack_x_y_sample_weight(*given))
    for data in (x, (x,), (x, y), (x, y, w), [x, y]):
        assert str(utils.unpack_x_y_sample_weight(data)) == str(keras.utils.unpack_x_y_sample_weight(data))
    with pytest.raises(ValueError, match="got a tuple of 4"):
        utils.unpack_x_y_sample_weight((x, y, w, x))


def test_data_sets_and_rows_by_number_are_split():
    data = fkeras.data.Dataset.of_rows(10, lambda i: np.int32(i))
    left, right = utils.split_dataset(data, 0.7)
    assert [int(x) for x in left] == list(range(7)) and len(right) == 3
    left, right = utils.split_dataset(data, right_size=4, shuffle=True, seed=1)
    parts = [[int(x) for x in part] for part in (left, right)]
    assert sorted(parts[0] + parts[1]) == list(range(10)) and parts[0] != list(range(6))
    assert [int(x) for x in left] == parts[0]  # the same in every epoch

    class Rows:
        def __len__(self):
            return 6

        def __getitem__(self, i):
            return np.full(2, i), i % 2

    left, right = utils.split_dataset(Rows(), 4)
    assert next(iter(left.batch(4)))[0].shape == (4, 2) and len(right) == 2
    with pytest.raises(ValueError, match="does not know its length; use take"):
        utils.split_dataset(data.repeat(), 0.5)


def test_dtypes_have_one_name(keras):
    import jax.numpy as jnp

    for dtype in (None, "float16", np.float64, np.dtype("int8"), jnp.bfloat16, bool, int, float, str, jnp.int32):
        assert utils.standardize_dtype(dtype) == keras.utils.standardize_dtype(dtype), dtype
    with pytest.raises(ValueError, match=r"Unknown dtype 'flaot32'\. Did you mean 'float32'"):
        utils.standardize_dtype("flaot32")


def test_values_of_graphs_know_their_inputs():
    a, b, c = (fkeras.Input((3,), name=name) for name in "abc")
    y = fkeras.layers.Dense(2)(fkeras.layers.Add()([a, b]))
    assert [x.name for x in utils.get_source_inputs(y)] == ["a", "b"]
    assert utils.get_source_inputs(c) == [c] or utils.get_source_inputs(c)[0] is c
    assert utils.is_keras_tensor(y) and not utils.is_keras_tensor(np.ones(2)) and not utils.is_keras_tensor([y])


def test_configs_are_keras(keras):
    for kind in (utils.Config, keras.utils.Config):
        config = kind(rate=0.1)
        config.units, config["seed"] = 3, 1
        config.update({"seed": 2})
        assert config.as_dict() == {"rate": 0.1, "units": 3, "seed": 2} and config.seed == 2 and "rate" in config
        assert list(config.keys()) == ["rate", "units", "seed"] and config.pop("units") == 3 and len(config) == 2
        assert config.to_json() == '{"rate": 0.1, "seed": 2}' and config.get("none", 5) == 5
        config.freeze()
        assert config.frozen
        for change in (lambda c: setattr(c, "rate", 1), lambda c: c.update(rate=1), lambda c: c.pop("rate")):
            with pytest.raises(ValueError, match="frozen"):
                change(config)
        config.unfreeze()
        config.rate = 1
    with pytest.raises(AttributeError, match="Config has no 'rat'"):
        utils.Config(rate=1).rat  # noqa: B018
    assert pickle.loads(pickle.dumps(utils.Config(a=1))) == copy.copy(utils.Config(a=1))


def test_messages_go_to_logging_when_nobody_watches(capsys, caplog, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("x")
    model = fkeras.Sequential([fkeras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert utils.is_interactive_logging_enabled() and fkeras.config.is_interactive_logging_enabled()
    try:
        utils.disable_interactive_logging()
        with caplog.at_level("INFO", "fkeras"):
            utils.text_dataset_from_directory(tmp_path)
            model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2)
    finally:
        utils.enable_interactive_logging()
    assert capsys.readouterr().out == "" and caplog.messages[0] == "Found 1 files belonging to 1 classes."
    assert "Epoch 1/2" in caplog.messages and caplog.text.count("loss:") == 2
    utils.text_dataset_from_directory(tmp_path)
    assert "Found 1 files" in capsys.readouterr().out


def test_keras_names_are_here(keras):
    """What is left out: features of tables, boxes, and the legacy module of file formats."""
    missing = {n for n in dir(keras.utils) if n[0] != "_"} - set(dir(utils))
    assert missing <= {"FeatureSpace", "bounding_boxes", "legacy"}
    for name in ("datasets", "preprocessing", "preprocessing.image", "preprocessing.sequence"):
        its, ours = keras, fkeras
        for part in name.split("."):
            its, ours = getattr(its, part), getattr(ours, part)
        assert {n for n in dir(its) if n[0] != "_"} <= set(dir(ours)), name


def test_modules_of_keras_2_lead_to_the_names_of_today():
    with pytest.warns(DeprecationWarning, match=r"keras\.utils\.np_utils is called keras\.utils today"):
        from fkeras.utils.np_utils import to_categorical
    assert to_categorical is utils.to_categorical
    with pytest.warns(DeprecationWarning):
        assert fkeras.utils.vis_utils.plot_model is utils.plot_model
    with pytest.raises(AttributeError, match="utils has no 'acuracy'"):
        fkeras.utils.np_utils.acuracy  # noqa: B018
