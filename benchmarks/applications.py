"""`fkeras.applications` beside real Keras: the same structure, numbers and files, and how fast they predict.

    python -m benchmarks.applications judge [NAME ...]     all builders by default, or those named
    python -m benchmarks.applications speed [NAME ...]     images a second, alternating with Keras on JAX
    python -m benchmarks.applications table                what `tests/test_applications.py` compares with

Each builder is judged with drawn weights and statistics on small images: Keras's `.weights.h5`, `.h5` and `.keras` are
loaded here, and what is saved here by Keras. Outputs agree within 1e-4 of their largest, weights exactly.
"""

import argparse
import hashlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

TABLE = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "applications.json"
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}  # smallest images; of the others 32
TOLERANCE = 1e-4
SPEED = ("ResNet50", "MobileNetV2", "EfficientNetB0")
BATCH, BATCHES, ROUNDS = 32, 2, 5


def digest(names):
    """Returns what tells lists of names apart, short enough for a table."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def structure(model):
    """Returns [count of weights, count of layers, digest of the layers' names in order]."""
    names = [layer["config"]["name"] for layer in model.get_config()["layers"]]
    return [model.count_params(), len(names), digest(names)]


def scatter_weights(model, seed=0):
    """Draws every array of a Keras model anew, so that no scale is 1 and no mean 0."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        name, shape = variable.name, variable.shape
        if name in ("gamma", "moving_variance", "variance") or "variable" in name:
            value = rng.uniform(0.5, 1.5, shape)
        elif name in ("beta", "bias", "moving_mean", "mean"):
            value = rng.normal(0, 0.1, shape)
        elif name == "count" or len(shape) < 2:
            continue
        else:
            fan = np.prod(shape[:-1]) if shape[-1] > 1 else np.prod(shape[:-2])
            value = rng.normal(0, np.sqrt(1 / fan), shape)
        variable.assign(value.astype("float32"))


def judge(name, folder):
    """Compares one builder with Keras's. Returns the largest difference of outputs, over the largest output.

    Raises:
        AssertionError: Something differs.
    """
    import keras

    import fkeras

    keras.utils.clear_session()
    fkeras.utils.clear_session()
    side = SIDES.get(name, 32)
    options = {"input_shape": (side, side, 3), "classes": 10, "classifier_activation": None}
    theirs = getattr(keras.applications, name)(weights=None, **options)
    scatter_weights(theirs)
    x = np.random.default_rng(1).uniform(0, 255, (2, side, side, 3)).astype("float32")
    if not name.startswith(("EfficientNet", "MobileNetV3", "ConvNeXt")):
        x = x / 127.5 - 1
    files = {ending: os.path.join(folder, f"theirs{ending}") for ending in (".weights.h5", ".h5", ".keras")}
    theirs.save_weights(files[".weights.h5"])
    theirs.save(files[".h5"])
    theirs.save(files[".keras"])

    ours = getattr(fkeras.applications, name)(weights=files[".weights.h5"], **options)
    assert structure(ours) == structure(theirs), (structure(ours), structure(theirs))
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    _same_weights(ours, theirs)
    wanted, got = theirs.predict(x, verbose=0), ours.predict(x, verbose=0)
    apart = np.abs(got - wanted).max() / np.abs(wanted).max()
    assert np.std(wanted) > 0 and apart < TOLERANCE, f"outputs differ by {apart:.2e} of the largest"

    ours.set_weights([np.zeros_like(w) for w in ours.get_weights()])
    ours.load_weights(files[".h5"])
    _same_weights(ours, theirs)
    for ending in (".keras", ".h5"):
        again = fkeras.models.load_model(files[ending], compile=False)
        assert structure(again) == structure(theirs), ending
        _same_weights(again, theirs)
    own = os.path.join(folder, "ours.keras")
    ours.save(own)
    again = keras.models.load_model(own, compile=False)
    assert structure(again) == structure(theirs)
    assert _plain(again.get_config()["layers"]) == _plain(theirs.get_config()["layers"])
    _same_weights(again, theirs)
    return apart


def _plain(config, key=None):
    """Returns a config with lists instead of tuples, axis -1 as 3, and without the seeds of initializers."""
    if key == "axis" and config in (-1, [-1], (3,), [3]):
        return 3
    if isinstance(config, dict):
        return {k: _plain(value, k) for k, value in config.items() if k not in ("seed", "shared_object_id")}
    return [_plain(value) for value in config] if isinstance(config, (list, tuple)) else config


def _same_weights(a, b):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def judge_all(names):
    failed = []
    for name in names:
        start = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                said = f"{judge(name, folder):.1e}"
        except Exception as err:  # the others are judged too
            said = f"FAILED {type(err).__name__}: {str(err)[:300]}"
            failed.append(name)
        print(f"{name:20} {said}   {time.perf_counter() - start:.0f} s", flush=True)
    return 1 if failed else 0


VARIANTS = (  # of arguments that ask for other files
    ("MobileNet", {"alpha": 0.5, "input_shape": (160, 160, 3)}),
    ("MobileNet", {"alpha": 0.75, "input_shape": (64, 64, 3), "include_top": False}),
    ("MobileNetV2", {"alpha": 0.35, "input_shape": (96, 96, 3)}),
    ("MobileNetV2", {"alpha": 1.4, "input_shape": (100, 96, 3), "include_top": False}),
    ("MobileNetV3Large", {"minimalistic": True}),
    ("MobileNetV3Small", {"alpha": 0.75, "include_top": False}),
    ("MobileNetV3Large", {"input_shape": (96, 96, 3)}),
)


class Asked(BaseException):
    """Raised instead of a download, with what was asked for."""


def write_table(names):
    """Writes what the tests compare with: the structure of Keras's own models, and the files that they ask for."""
    import keras
    from keras.src.utils import file_utils

    def asked(name, kwargs):
        keras.utils.clear_session()
        try:
            getattr(keras.applications, name)(**kwargs)
        except Asked as found:
            return found.args
        raise AssertionError(f"{name}({kwargs}) asks for no file")

    def ask(fname, origin, cache_subdir, file_hash=None):
        raise Asked(fname, origin, file_hash)

    file_utils.get_file = ask
    structures, files = [], []
    for name in names:
        keras.utils.clear_session()
        made = structure(getattr(keras.applications, name)(weights=None))
        structures.append(f"    {json.dumps(name)}: {json.dumps(made)}")
        files += [(name, {}), (name, {"include_top": False})]
    files = [f"    {json.dumps([name, kwargs, *asked(name, kwargs)])}" for name, kwargs in (*files, *VARIANTS)]
    said = f"Of keras {keras.__version__}, by `python -m benchmarks.applications table`"
    structures, files = ",\n".join(structures), ",\n".join(files)
    TABLE.write_text(f'{{\n  "_": "{said}",\n  "structure": {{\n{structures}\n  }},\n  "files": [\n{files}\n  ]\n}}\n')
    return 0


def speed(names):
    """Prints images a second (224 x 224) of both libraries: medians of rounds in turn, and of their ratios."""
    import keras

    import fkeras

    x = np.random.default_rng(0).uniform(0, 255, (BATCH * BATCHES, 224, 224, 3)).astype("float32")
    for name in names:
        models = {
            "fkeras": getattr(fkeras.applications, name)(weights=None),
            "keras-jax": getattr(keras.applications, name)(weights=None),
        }
        for model in models.values():
            model.predict(x, batch_size=BATCH, verbose=0)
        rates = {peer: [] for peer in models}
        for turn in range(ROUNDS):
            for peer, model in list(models.items())[:: 1 if turn % 2 else -1]:
                start = time.perf_counter()
                model.predict(x, batch_size=BATCH, verbose=0)
                rates[peer].append(len(x) / (time.perf_counter() - start))
        said = "  ".join(f"{peer} {statistics.median(rate):.1f}/s" for peer, rate in rates.items())
        ratio = statistics.median(a / b for a, b in zip(rates["fkeras"], rates["keras-jax"], strict=True))
        print(f"{name:16} {said}   ratio {ratio:.2f}", flush=True)
    return 0


def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("judge", "speed", "table"))
    parser.add_argument("names", nargs="*")
    given = parser.parse_args(args)
    from fkeras.applications import BUILDERS

    every = sorted(name for names in BUILDERS.values() for name in names)
    if given.what == "speed":
        return speed(given.names or SPEED)
    return {"judge": judge_all, "table": write_table}[given.what](given.names or every)


if __name__ == "__main__":
    sys.exit(main())
