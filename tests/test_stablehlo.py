"""StableHLO: programs that JAX runs alone, for any batch size and platform."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import fkeras
from fkeras import layers as L
from fkeras.core import tree

pytest.importorskip("flatbuffers", reason="jax.export writes its files with it: the stablehlo extra")


def _data(n=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 8, 8, 3)).astype("float32"), np.eye(5, dtype="float32")[np.arange(n) % 5]


@pytest.fixture(scope="module")
def model():
    fkeras.utils.set_random_seed(2)
    made = fkeras.Sequential(
        [
            L.Input((8, 8, 3)),
            L.Conv2D(4, 3, strides=2, activation="relu"),
            L.BatchNormalization(),
            L.Dropout(0.3),
            L.Reshape((-1, 4)),
            L.GRU(3),
            L.Dense(5, activation="softmax"),
        ]
    )
    made.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return made


def _program(path):
    return jax.export.deserialize(bytearray(path.read_bytes()))


def test_inference_runs_without_this_package(model, tmp_path):
    x, _ = _data()
    path, out = tmp_path / "model.stablehlo", tmp_path / "y.npy"
    model.export(path, format="stablehlo")
    np.save(tmp_path / "x.npy", x)
    code = (
        f"import sys, jax, numpy as np; p = jax.export.deserialize(bytearray(open({str(path)!r}, 'rb').read()))\n"
        f"np.save({str(out)!r}, p.call(np.load({str(tmp_path / 'x.npy')!r}))); assert 'fkeras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(out), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    program = _program(path)
    assert program.platforms == ("cpu", "cuda", "tpu")
    np.testing.assert_allclose(program.call(x[:2]), np.load(out)[:2], rtol=1e-5, atol=1e-6)


def test_the_training_step_is_the_one_that_fit_runs(model, tmp_path):
    x, y = _data()
    path = tmp_path / "step.stablehlo"
    model.export(path, format="stablehlo", step="train", data=(x[:1], y[:1]))
    program, state = _program(path), dict(np.load(f"{path}.npz"))
    for n in (6, 4):  # any batch size
        state, logs = program.call(state, x[:n], y[:n], np.ones(n, "float32"))
        assert set(logs) == {"loss", "accuracy"}
        model.train_on_batch(x[:n], y[:n])
    for path, array in tree.flatten(model.gather()[0]).items():  # dropout too: its noise follows from the state
        np.testing.assert_allclose(state["/".join(("params", *path))], array, rtol=1e-5, atol=1e-6)


def test_what_is_missing_or_unknown_is_said(model, tmp_path):
    with pytest.raises(ValueError, match="needs data=\\(x, y\\)"):
        model.export(tmp_path / "a", format="stablehlo", step="train")
    with pytest.raises(ValueError, match="expected step 'predict' or 'train', got 'fit'"):
        model.export(tmp_path / "a", format="stablehlo", step="fit")
    with pytest.raises(ValueError, match="its input shape is not known"):
        fkeras.Sequential([L.Dense(2)]).export(tmp_path / "a", format="stablehlo")
    model.export(tmp_path / "a", format="stablehlo", platforms=("cpu",))
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.export(tmp_path / "a", format="stablehlo", overwrite=False)
    assert _program(tmp_path / "a").platforms == ("cpu",)


def test_free_sizes_other_than_the_batch_stay_free(tmp_path):
    x = L.Input((None, 3))
    model = fkeras.Model(x, L.Dense(2)(L.LSTM(4, return_sequences=True)(x)))
    model.export(tmp_path / "model", format="stablehlo", platforms=("cpu",))
    program = _program(tmp_path / "model")
    for shape in ((2, 5, 3), (3, 7, 3)):
        assert program.call(np.ones(shape, "float32")).shape == (*shape[:2], 2)
