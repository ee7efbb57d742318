"""Programs as people wrote them in 2016, 2018, 2020 and 2023 (`tests/scripts/`) run unchanged under `fkeras.as_keras`.

Each holds its own claims (shapes, that the weights move, that a file comes back); Keras and TensorFlow are hidden.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import fkeras

HERE = pathlib.Path(__file__).parent / "scripts"
SCRIPTS = sorted(path.stem for path in HERE.glob("*.py"))
SAMPLE = {
    "y2016_custom_layer",
    "y2016_deep_dream_gradients",
    "y2016_functional_vae",
    "y2016_generator_augmentation",
    "y2016_maxout_highway",
    "y2016_merge_two_branches",
    "y2018_attention_layer",
    "y2018_gan",
    "y2018_vae_add_loss",
}
RUNNER = """
import contextlib, importlib.machinery, io, json, runpy, sys, traceback, warnings

find = importlib.machinery.PathFinder.find_spec
hidden = ("keras", "tensorflow", "tf_keras")
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None: None if name.partition(".")[0] in hidden else find(name, path, target)
)
import fkeras.as_keras, fkeras

found = {}
for path in sys.argv[1:]:
    fkeras.utils.set_random_seed(0)
    fkeras.utils.clear_session()
    fkeras.config.set_image_data_format("channels_last")
    said = []
    with warnings.catch_warnings(record=True) as said, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            runpy.run_path(path, run_name="__main__")
            wrong = None
        except BaseException:
            wrong = traceback.format_exc()[-1500:]
    old = [w for w in said if issubclass(w.category, DeprecationWarning) and "today" in str(w.message)]
    found[path] = [wrong, [[w.filename, str(w.message)] for w in old]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """{script: [traceback or None, [[file, what was said of an old spelling], ...]]} of all that this run asks for."""
    wanted = {item.callspec.params["name"] for item in request.session.items if item.fspath == request.fspath
              and "name" in getattr(getattr(item, "callspec", None), "params", {})}  # fmt: skip
    paths = [str(HERE / f"{name}.py") for name in sorted(wanted)]
    root = str(HERE.parent.parent)
    out = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{RUNNER}", *paths],
        capture_output=True, text=True, cwd=tmp_path_factory.mktemp("scripts"),
    )  # fmt: skip
    assert out.returncode == 0, out.stderr[-2000:]
    return {pathlib.Path(path).stem: found for path, found in json.loads(out.stdout.splitlines()[-1]).items()}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in SAMPLE else pytest.mark.long) for n in SCRIPTS])
def test_a_script_of_its_time_runs_and_old_spellings_are_answered_where_they_stand(name, outcomes):
    if "sklearn" in (HERE / f"{name}.py").read_text():
        pytest.importorskip("sklearn")
    wrong, said = outcomes[name]
    assert wrong is None, wrong
    assert all(file == str(HERE / f"{name}.py") for file, _ in said)
    assert all(len(text) < 300 and "\n" not in text for _, text in said)
    assert said or not name.startswith("y2016")


@pytest.mark.parametrize(
    "old, today",
    [
        (lambda L: L.Convolution2D(3, 3, 3, subsample=(2, 2)), lambda L: L.Conv2D(3, (3, 3), strides=(2, 2))),
        (lambda L: L.Conv2D(3, 2, 4, border_mode="same"), lambda L: L.Conv2D(3, (2, 4), padding="same")),
        (lambda L: L.Convolution2D(3, 3, 3), lambda L: L.Conv2D(3, (3, 3))),
        (lambda L: L.Convolution3D(3, 1, 2, 3), lambda L: L.Conv3D(3, (1, 2, 3))),
        (lambda L: L.ConvLSTM2D(3, 2, 4, inner_activation="relu"),
         lambda L: L.ConvLSTM2D(3, (2, 4), recurrent_activation="relu")),
        (lambda L: L.DepthwiseConv2D(3, kernel_initializer="ones"),
         lambda L: L.DepthwiseConv2D(3, depthwise_initializer="ones")),
        (lambda L: L.SeparableConv2D(3, 2, kernel_initializer="ones", pointwise_initializer="zeros"),
         lambda L: L.SeparableConv2D(3, 2, depthwise_initializer="ones", pointwise_initializer="zeros")),
        (lambda L: L.Reshape(dims=(2, 3)), lambda L: L.Reshape((2, 3))),
        (lambda L: L.CuDNNLSTM(3), lambda L: L.LSTM(3)),
    ],
)  # fmt: skip
def test_arguments_and_positions_of_old_mean_the_same_and_say_so(old, today):
    with pytest.warns(DeprecationWarning, match="is called .* today"):
        found = old(fkeras.layers)
    assert {**found.get_config(), "name": ""} == {**today(fkeras.layers).get_config(), "name": ""}


def test_positions_of_today_stay_those_of_today():
    assert fkeras.layers.Conv2D(3, 3, 2).strides == (2, 2)
    assert fkeras.layers.Conv2D(3, 3, 3).kernel_size == (3, 3)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: fkeras.layers.Dense(units=3, output_dim=4), "units"),
        (lambda: fkeras.layers.Conv2D(3, 3, strides=2, subsample=(1, 1)), "strides"),
        (lambda: fkeras.optimizers.SGD(lr=0.1, learning_rate=0.2), "learning_rate"),
        (lambda: fkeras.callbacks.ModelCheckpoint("a.h5", period=2, save_freq=3), "save_freq"),
        (lambda: fkeras.backend.random_normal((2,), std=1.0, stddev=2.0), "stddev"),
    ],
)
def test_an_argument_given_by_two_of_its_names_is_refused(call, name):
    with pytest.raises(TypeError, match=f"got '{name}' twice: also as .*, its name of old. Leave .* out"):
        call()


def test_a_checkpoint_of_keras_2_saves_every_so_many_epochs(tmp_path):
    with pytest.warns(DeprecationWarning, match=r"ModelCheckpoint\(period=\) is called ModelCheckpoint\(save_freq=\)"):
        checkpoint = fkeras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.hdf5"), period=2)
    model = fkeras.Sequential([fkeras.layers.Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=5, verbose=0, callbacks=[checkpoint])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.hdf5", "4.hdf5"]


def test_only_a_model_frozen_after_compile_trains_on_and_says_so():
    def trained(freeze_first):
        model = fkeras.Sequential([fkeras.layers.Dense(1, input_dim=2)])
        model.trainable = not freeze_first
        model.compile("sgd", "mse")
        model.trainable = False
        before = model.get_weights()[0]
        model.train_on_batch(np.ones((4, 2)), np.full((4, 1), 9.0))
        return bool((model.get_weights()[0] != before).any())

    with pytest.warns(UserWarning, match=r"all of its weights were frozen after compile\(\)"):
        assert trained(freeze_first=False)
    assert not trained(freeze_first=True)


def test_k_rnn_keeps_states_where_the_mask_is_false():
    x = np.arange(1.0, 7.0, dtype="float32").reshape(2, 3, 1)
    mask = np.array([[True, False, True], [True, True, False]])
    last, every, (total,) = fkeras.backend.rnn(
        lambda x, s: (x + s[0] + s[1], [x + s[0]]), x, [np.zeros((2, 1), "float32")], mask=mask, constants=[0.0]
    )
    assert every[..., 0].tolist() == [[1.0, 1.0, 4.0], [4.0, 9.0, 9.0]]
    assert last.tolist() == total.tolist() == [[4.0], [9.0]]
