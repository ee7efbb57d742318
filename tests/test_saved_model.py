"""SavedModels: TensorFlow, Keras and TFLite take what is written; what tf.keras wrote and what is hostile is read."""

import importlib.util
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fkeras
from fkeras import layers as L
from fkeras.core import checksum, tree, wire
from fkeras.saving.order import store, weights_by_path
from fkeras.saving.tensorflow import bundle, folder, table
from tests.catalog import layer_rows, layers_recurrent

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason='the judge is part of the "test" extra'
)

# The same float32 arithmetic in another order; TFLite's kernels have formulas of their own for exp and tanh.
TOLERANCE = {"load": 1e-5, "keras": 1e-5, "lite": 2e-5}
NO_LITE = {"MaxPooling3D": "TFLite has no pooling over three axes", "AveragePooling3D": "the same"}
NO_LITE |= dict.fromkeys(("MelSpectrogram", "STFTSpectrogram"), "TFLite has Fourier transforms of few sizes")
NO_LITE |= dict.fromkeys(("Hashing", "HashedCrossing"), "TFLite has no arithmetic of unsigned numbers")
GROUPS = 6
BATCH = 5

ROWS = [*layer_rows(several_inputs=True), *layers_recurrent.CALL_ROWS]
every_row = pytest.mark.parametrize("case", ROWS, ids=lambda row: f"{row.kind}-{ROWS.index(row)}")


# Functions of x [B, 4, 6] floats and k [B, 4] ints: primitives that layers of one's own may use.
OPERATIONS = {
    "sort": lambda x, k: (jnp.sort(x, 1), jnp.argsort(x, 2), jnp.sort(k, 1, descending=True)),
    "sort_rows": lambda x, k: jnp.sort(x, 0),
    "sort_by_two": lambda x, k: lax.sort((jnp.round(x[..., 0]), k, x[..., 1]), num_keys=2),
    "top_k": lambda x, k: lax.top_k(x, 3),
    "running": lambda x, k: (jnp.cumsum(x, 0), lax.cumsum(x, 1, reverse=True), jnp.cumprod(x, 2), lax.cummax(x, 1)),
    "running_more": lambda x, k: (lax.cummin(x, 2, reverse=True), lax.cumlogsumexp(x, 1), jnp.cumsum(k, 1)),
    "extremes": lambda x, k: (jnp.argmax(x, 1), jnp.argmin(x, 2), jnp.max(k, 1), jnp.min(x, (1, 2)), jnp.prod(x, 1)),
    "bools": lambda x, k: (jnp.any(x > 1, 1), jnp.all(x > -1, 2), ~(x > 0) ^ (x > 1), (x > 0) | (x > 1) & (x < 2)),
    "index": lambda x, k: (x[:, ::2], x[:, 1:3, -1], x[:, [2, 0]], x[:, None, 1], x[:, ::-1]),
    "index_rows": lambda x, k: (x[1:], x[::2], x[-1]),
    "take": lambda x, k: (jnp.take_along_axis(x, k[..., None], 2), jnp.take(x, k[0], 1)),
    "pick": lambda x, k: x[jnp.arange(x.shape[0]), k[:, 0]],
    "take_beyond": lambda x, k: (jnp.take(x, k, 1, mode="fill"), jnp.take(x, k - 2, 1, mode="clip"), x[:, :, k[0, 0]]),
    "put": lambda x, k: (x.at[:, 1].set(7.0), x.at[:, [0, 2, 0]].add(1.0)),
    "put_best": lambda x, k: (x.at[k[:, 0]].max(2.0), x.at[0, k[0]].min(0)),
    "slices": lambda x, k: (
        lax.dynamic_slice(x, (0, k[0, 0], 1), (1, 2, 3)),
        lax.dynamic_update_slice(x, x[:1, :2, :3] * 2, (1, k[0, 0], k[0, 1])),
        lax.dynamic_update_slice_in_dim(x, x[:, :1] * 2, k[0, 1], 1),
    ),
    "loops": lambda x, k: (
        lax.while_loop(lambda c: jnp.sum(c) < 90, lambda c: c + jnp.abs(x) + x.shape[0], x),
        lax.fori_loop(0, k[0, 0], lambda i, c: c * 1.5 + x[:, i % 4, :1, None], x),
        lax.scan(lambda c, v: (c * 0.5 + v, (c, v.sum())), x[:, 0], x.swapaxes(0, 1), reverse=True),
    ),
    "branches": lambda x, k: (
        lax.cond(k[0, 0] > 2, lambda a: a * 2, lambda a: a - 1, x),
        lax.switch(k[0, 0], [lambda a: a, lambda a: a * 3, lambda a: -a], x),
        jnp.select([x > 1, x > 0], [x, x * 2], 5.0),
    ),
    "rounded": lambda x, k: (jnp.round(x), lax.round(x), jnp.floor(x), jnp.sign(x), jnp.trunc(x)),
    "rest": lambda x, k: (x % 0.7, lax.rem(x, 0.7)),
    "ints": lambda x, k: (k // 2, k % 3, -k // 2, k << 2, k >> 1, k & 3, k | 4, k ^ 5, ~k, k**2, jnp.clip(k, 1, 3)),
    "powers": lambda x, k: (jnp.abs(x) ** 1.7, x**3, x**-1, jnp.exp2(x), jnp.cbrt(x), jnp.abs(x) ** k[..., None]),
    "waves": lambda x, k: (jnp.sin(x), jnp.tan(x), jnp.arctan2(x, x[:, :1]), jnp.sinh(x), jnp.arcsinh(x), jnp.cosh(x)),
    "special": lambda x, k: (lax.erf(x), lax.erfc(x), lax.erf_inv(jnp.tanh(x)), lax.lgamma(jnp.abs(x) + 0.1)),
    "special_more": lambda x, k: (lax.digamma(jnp.abs(x) + 1), lax.igamma(jnp.abs(x) + 1, x * x)),
    "bessel": lambda x, k: (jnp.i0(x), jnp.sinc(x)),
    "nan": lambda x, k: (jnp.isnan(jnp.log(x)), jnp.nan_to_num(jnp.log(x))),
    "bins": lambda x, k: jnp.searchsorted(jnp.arange(4.0), jnp.log(x)),
    "padded": lambda x, k: (lax.pad(x, 0.0, [(0, 0, 0), (1, -1, 0), (0, 2, 1)]),),
    "edge": lambda x, k: jnp.pad(x, ((0, 0), (1, 2), (0, 0)), "edge"),
    "moved": lambda x, k: (jnp.roll(x, 2, 1), jnp.tile(x, (1, 2, 1)), jnp.repeat(x, 2, 1), jnp.moveaxis(x, 1, 2), x.mT),
    "of_the_batch": lambda x, k: (x - x.mean(0), x.reshape(-1), jnp.arange(x.shape[0]) * 2.0),
    "pairs_of_the_batch": lambda x, k: jnp.einsum("aij,bij->ab", x, x),
    "products": lambda x, k: (x @ x.mT, jnp.einsum("bij,bkj->bik", x, x), jnp.einsum("bij,cj->bci", x, x[0]), k @ k.T),
    "windows": lambda x, k: (
        lax.reduce_window(x, np.inf, lax.min, (1, 2, 3), (1, 1, 2), "VALID"),
        lax.reduce_window(x, 0.0, lax.add, (1, 2, 2), (1, 1, 1), "SAME", window_dilation=(1, 1, 2)),
        lax.reduce_window(k, 0, lax.add, (1, 2), (1, 2), "VALID"),
    ),
    "convolutions": lambda x, k: (
        lax.conv_general_dilated(x, jnp.ones((3, 2, 9)), (1,), [(2, 1)], (2,), (2,), ("NWC", "WIO", "NWC"), 3),
        lax.conv_general_dilated(x, jnp.ones((5, 4, 2)), (2,), [(-1, 3)], (1,), (1,), ("NCW", "OIW", "NCW")),
        lax.conv_general_dilated(x[..., None], jnp.ones((2, 3, 1, 2)), (1, 2), "SAME", (1, 1), (2, 1),
                                 ("NHWC", "HWIO", "NHWC"), 1),
        lax.conv_general_dilated(x[:, None, ...], jnp.ones((1, 2, 1, 6)), (1, 2), "VALID", (1, 1), (1, 2),
                                 ("NHWC", "HWIO", "NHWC"), 6),
    ),
    "complex": lambda x, k: (jnp.abs(lax.complex(x, x * 2)), (lax.complex(x, x) ** 2).imag, jnp.conj(1j * x).real),
    "half": lambda x, k: ((k.astype("bfloat16") * 2).astype("float32"), (k.astype("float16") + 1).astype("float32")),
}  # fmt: skip

OF_THE_BATCH = [
    "of_the_batch", "pairs_of_the_batch", "sort_rows", "index_rows", "products", "loops", "put_best", "take_beyond",
]  # fmt: skip


def _computed(name, function):
    """Returns ({input name: (symbol, array)}, outputs) of a function as a layer."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(BATCH, 4, 6)).astype("float32")
    k = rng.integers(0, 5, (BATCH, 4)).astype("int32")
    given = {f"{name}_x": x, f"{name}_k": k}
    symbols = {n: L.Input(a.shape[1:], dtype=str(a.dtype), name=n) for n, a in given.items()}
    layer = Function(function, name=name)
    return {n: (symbols[n], given[n]) for n in given}, jax.tree.leaves(layer(list(symbols.values())))


class Function(L.Layer):
    """A function of several arrays as a layer."""

    takes_ints = True

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def forward(self, params, state, x, ctx):
        return self.function(*x), state


def _batch(a):
    return np.concatenate([a] * BATCH)[:BATCH]


def _called(row, name):
    """Returns ({input name: (symbol, array)}, outputs) of a layer of the catalog called on symbols."""
    layer, x = row.build()
    many = isinstance(x, list)
    given = {f"{name}_{i}": _batch(a) for i, a in enumerate(x if many else [x])}
    extra, kwargs = {}, dict(getattr(row, "call", {}))
    if isinstance(getattr(row, "mask", None), str):
        extra["mask"] = row.time_mask()
    if states := getattr(row, "states", ()):
        extra |= {f"state{i}": a for i, a in enumerate(row.initial_state())}
    given |= {f"{name}_{k}": _batch(a) for k, a in extra.items()}
    symbols = {k: L.Input(a.shape[1:], dtype=str(a.dtype), name=k) for k, a in given.items()}
    xs = [symbols[f"{name}_{i}"] for i in range(len(x) if many else 1)]
    state = [symbols[f"{name}_state{i}"] for i in range(len(states))]
    if "mask" in extra:
        kwargs["mask"] = symbols[f"{name}_mask"]
    if row.kind.endswith(("Cell", "Cells")):
        y = layer(xs[0], [state[:2], state[2]] if row.kind == "StackedRNNCells" else state)
    elif many:
        y = layer(xs, **kwargs) if type(row).__name__ == "MergeRow" or row.joined else layer(*xs, **kwargs)
    else:
        y = layer(xs[0], **({"initial_state": state} if state else {}), **kwargs)
    return {k: (symbols[k], a) for k, a in given.items()}, jax.tree.leaves(y)


def _fill(model):
    """Gives every weight numbers between 0.1 and 0.6, also those that start at zero or one."""
    rng = np.random.default_rng(3)  # stored as they are: nothing is drawn and nothing compiled
    store([(v, jax.device_put(rng.uniform(0.1, 0.6, v.shape).astype(v.dtype))) for v in model.weights])


def _export(calls, path, few=False):
    """Exports one model of many layers, and stores what it computes."""
    ins = dict(itertools.chain(*(found.items() for found, _ in calls.values())))
    outs = {f"{name}_y{i}": y for name, (_, ys) in calls.items() for i, y in enumerate(ys)}
    model = fkeras.Model({k: s for k, (s, _) in ins.items()}, outs)
    _fill(model)
    model.export(path)
    params, state = model.gather()
    run = jax.jit(lambda x: model.apply(params, state, x)[0])
    arrays = {"in": {k: a for k, (_, a) in ins.items()}}
    arrays["out"] = run(arrays["in"])
    if few:
        arrays["few"] = run({k: a[:3] for k, a in arrays["in"].items()})
    np.savez(f"{path}.npz", **{f"{kind}/{k}": a for kind, held in arrays.items() for k, a in held.items()})


def _export_to_train(path):
    """Exports a model with a loop and stores its gradients."""
    model = fkeras.Sequential([L.Input((4, 6)), L.LSTM(3, return_sequences=True), L.Conv1D(2, 2), L.MaxPooling1D(2)])
    _fill(model)
    model.export(path)
    x = np.random.default_rng(6).normal(size=(BATCH, 4, 6)).astype("float32")
    params, state = model.gather()
    grads = jax.grad(lambda p: jnp.sum(jnp.sin(model.apply(p, state, x)[0])))(params)
    flat = tree.flatten(grads)
    grads = {f"grad/{i}": flat[path] for i, (path, _, _) in enumerate(weights_by_path(model))}
    np.savez(f"{path}.npz", **{f"in/{model.input_names[0]}": x}, **grads)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """Exports the catalog in few models and returns what TensorFlow says of each row: {row: {judge: error}}."""
    folder = tmp_path_factory.mktemp("catalog")
    names = {f"r{i}": row for i, row in enumerate(ROWS)}
    lite = [n for n, row in names.items() if row.kind not in NO_LITE]
    groups = {f"group{i}": lite[i::GROUPS] for i in range(GROUPS)}
    groups["no_lite"] = [n for n in names if n not in lite]
    for group, members in groups.items():
        _export({n: _called(names[n], n) for n in members}, folder / group)
    calls = {name: _computed(name, function) for name, function in OPERATIONS.items()}
    _export({n: c for n, c in calls.items() if n not in OF_THE_BATCH}, folder / "no_lite_operations")
    _export({n: calls[n] for n in OF_THE_BATCH}, folder / "no_lite_of_the_batch", few=True)
    _export_to_train(folder / "trained")
    done = subprocess.run(
        [sys.executable, "-m", "tests.tensorflow_judge", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"folder": folder}


# --------------------------------------------------------------------------- the catalog in TensorFlow


def _check(verdicts, name):
    """Asserts that all judges agree on the outputs of one row; returns the judges."""
    for group, judges in verdicts.items():
        if group in ("folder", "trained"):
            continue
        for judge, found in judges.items():
            assert isinstance(found, dict), f"{judge} of {group}: {found}"
            errors = {k: e for k, e in found.items() if k.rpartition("_y")[0] == name}
            assert all(isinstance(e, float) and e < TOLERANCE[judge] for e in errors.values()), (judge, errors)
        if errors:
            return judges.keys()
    raise AssertionError(f"no judge saw {name}")


@needs_tensorflow
@every_row
def test_tensorflow_keras_and_tflite_compute_what_we_do(case, verdicts):
    judges = _check(verdicts, f"r{ROWS.index(case)}")
    assert judges == ({"load", "keras"} if case.kind in NO_LITE else {"load", "keras", "lite"})


@needs_tensorflow
@pytest.mark.parametrize("name", OPERATIONS)
def test_primitives_that_no_layer_uses_are_written_too(name, verdicts):
    assert _check(verdicts, name) == {"load", "keras"}


@needs_tensorflow
def test_tensorflow_trains_what_we_export(verdicts):
    """Gradients through a loop, a convolution and a pooling, in the order of `trainable_variables`."""
    errors = verdicts["trained"]["gradients"]
    assert len(errors) == 5 and all(e < 1e-5 for e in errors.values()), errors


# ---------------------------------------------------------------------------------- ours come back


def _trained(dtype=None):
    """A compiled model that made a step, and its data."""
    fkeras.utils.set_random_seed(1)
    x = L.Input((4, 6), name="x")
    h = L.Bidirectional(L.SimpleRNN(3, return_sequences=True))(x)
    h = L.BatchNormalization()(L.Conv1D(4, 2, activation="relu")(h))
    inner = fkeras.Sequential([L.Input((3, 4)), L.Flatten(), L.Dense(5), L.Dropout(0.4)])
    model = fkeras.Model(x, L.Dense(2, dtype=dtype)(inner(h)))
    model.compile(fkeras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(8, 4, 6)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")
    model.fit(x, y, batch_size=4, verbose=0)
    return model, x, y


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(folder of a SavedModel, the model, its weights and optimizer's state then, its data, its further losses)."""
    path = str(tmp_path_factory.mktemp("ours") / "model")
    model, x, y = _trained("bfloat16")
    fkeras.experimental.export_saved_model(model, path)
    held = model.get_weights(), jax.tree.map(np.array, model.optimizer.state)
    return path, model, held, (x, y), model.fit(x, y, batch_size=4, epochs=2, verbose=0).history


def test_our_exports_come_back_bit_equal_and_train_on(saved):
    path, model, (weights, state), (x, y), history = saved
    twin = fkeras.experimental.load_from_saved_model(path)
    assert twin.get_config() == model.get_config()
    for a, b in zip(weights, twin.get_weights(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(state) == jax.tree.structure(twin.optimizer.state)
    jax.tree.map(np.testing.assert_array_equal, state, twin.optimizer.state)
    assert twin.fit(x, y, batch_size=4, epochs=2, verbose=0).history == history  # the noise is the same too
    assert not fkeras.saving.load_model(path, compile=False).compiled


def test_weights_alone_are_loaded_from_a_saved_model(saved):
    path, model, (weights, _), *_ = saved
    twin = fkeras.models.clone_model(model)
    twin.load_weights(path)
    for a, b in zip(weights, twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="only HDF5 files hold weights by the names"):
        twin.load_weights(path, by_name=True)
    other = fkeras.Sequential([L.Input((3,)), L.Dense(2)])
    with pytest.raises(ValueError, match=r"variables.index': expected weights of 1 layers \(dense.*the file has 5"):
        other.load_weights(path)


def test_a_model_of_a_nameless_function_is_exported_but_not_saved(tmp_path):
    model = fkeras.Sequential([L.Input((3,)), L.Lambda(lambda x: x * 2)])
    model.export(tmp_path / "exported")
    with pytest.raises(ValueError, match="it holds no model of Keras, only a graph .* serving_default"):
        fkeras.models.load_model(tmp_path / "exported")
    with pytest.raises(ValueError, match="lambda"):
        model.save(tmp_path / "saved", save_format="tf")
    assert not (tmp_path / "saved").exists()


def test_what_tensorflow_cannot_compute_is_named(tmp_path):
    x = L.Input((6,))
    model = fkeras.Model(x, Function(lambda x: lax.linalg.qr(x[:, :, None])[0], name="qr")([x]))
    with pytest.raises(ValueError, match="uses '.*', which has no counterpart .* format='stablehlo'"):
        model.export(tmp_path / "model")
    model = fkeras.Model(x, Function(lambda x: x * len(x), name="counts")([x]))
    with pytest.raises(TypeError) as err:
        model.export(tmp_path / "model")
    assert "write x.shape[0] for len(x)" in "".join(err.value.__notes__)
    with pytest.raises(ValueError, match="expected format 'tf_saved_model' or 'stablehlo', got 'onnx'"):
        model.export(tmp_path / "model", format="onnx")


# ------------------------------------------------------------------------------- what tf.keras wrote


@needs_tensorflow
@pytest.mark.parametrize("name", ["graph", "chain"])
def test_saved_models_of_keras_2_predict_and_train_on(name, verdicts):
    path = verdicts["folder"] / "keras2" / name
    with np.load(f"{path}.npz") as data:
        x, y, predicted, losses = (data[k] for k in ("x", "y", "predicted", "losses"))
    model = fkeras.models.load_model(path)
    close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(model.predict(x, verbose=0), predicted, **close)
    found = model.fit(x, y, batch_size=6, epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(found, losses, **close)
    model.load_weights(path / "checkpoint" / "weights")  # of the format save_weights had in TensorFlow
    np.testing.assert_allclose(model.predict(x, verbose=0), predicted, **close)


@needs_tensorflow
def test_a_saved_model_without_a_model_says_what_it_holds(verdicts):
    with pytest.raises(ValueError) as err:
        fkeras.models.load_model(verdicts["folder"] / "keras2" / "plain")
    assert ", with the signatures: serving_default(x [None, 3]) -> (doubled [None, 2]). Operations" in str(err.value)


# --------------------------------------------------------------------------------- damaged and hostile


def test_damaged_saved_models_are_refused_by_name(saved, tmp_path):
    """Every byte that is flipped or cut off is noticed, or does not matter: never a wrong kind of error."""
    path, *_ = saved
    rng = random.Random(0)
    parts = ["variables/variables.index", "variables/variables.data-00000-of-00001", "assets/saved_model.json"]
    refused = 0
    for trial in range(90):
        part = parts[trial % 3]
        copy = tmp_path / str(trial)
        shutil.copytree(path, copy)
        data = bytearray((copy / part).read_bytes())
        if trial % 2:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (copy / part).write_bytes(data)
        try:
            fkeras.saving.load_model(copy, compile=False)
        except (ValueError, OSError) as err:
            assert str(copy) in str(err), err
            refused += 1
        shutil.rmtree(copy)
    assert refused > 60


@pytest.mark.parametrize("part", ["variables/variables.index", "variables/variables.data-00000-of-00001"])
def test_a_missing_part_is_named(part, saved, tmp_path):
    path, *_ = saved
    shutil.copytree(path, tmp_path / "model")
    (tmp_path / "model" / part).unlink()
    with pytest.raises(OSError, match=pathlib.Path(part).name):
        fkeras.models.load_model(tmp_path / "model")


def _rewritten(path, change):
    """Rewrites the bundle of a SavedModel after `change(arrays)`."""
    prefix = str(path / "variables" / "variables")
    held = bundle.Bundle(prefix)
    arrays = {k: held.read_text(k) if k.startswith("_") else held.read(k) for k in held.entries}
    change(arrays)
    bundle.write_bundle(prefix, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, k: a.update({k: np.zeros((7, 7), "float32")}), r"the file has \(7, 7\)"),
        (
            lambda a, k: a.update({k: np.zeros((2, 6, 4), "complex64")}),
            "expects real numbers for 'kernel', found complex64",
        ),
        (lambda a, k: a.update({k: b"text"}), "expects shape"),
        (lambda a, k: a.pop(k), "there is no '{k}'"),
        (lambda a, k: a.pop("_CHECKPOINTABLE_OBJECT_GRAPH"), "does not say which layer its arrays belong to"),
        (lambda a, k: a.update({"_CHECKPOINTABLE_OBJECT_GRAPH": b"\x0a\x04\x0a\x02\x08\x63"}), "an object 99"),
        (lambda a, k: a.update({"_CHECKPOINTABLE_OBJECT_GRAPH": b""}), "it is empty"),
    ],
)
def test_wrong_arrays_are_refused(change, message, saved, tmp_path):
    path, *_ = saved
    shutil.copytree(path, tmp_path / "model")
    key = "layer_with_weights-1/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    _rewritten(tmp_path / "model", lambda arrays: change(arrays, key))
    with pytest.raises(ValueError, match=message.replace("{k}", key)) as err:
        fkeras.models.load_model(tmp_path / "model")
    assert "variables.index" in str(err.value)


def test_sizes_are_checked_before_memory_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "COUNT", 1000)
    kind = wire.Message("Numbers", values=(1, [int]), name=(2, str))
    with pytest.raises(ValueError, match=f"x: it claims more than {wire.COUNT} values"):
        kind.decode(kind.encode({"values": [1] * (wire.COUNT + 1)}), "x")
    nested = wire.Message("Nested")
    nested.declare(inner=(1, nested))
    data = b""
    for _ in range(wire.DEPTH + 2):
        data = b"\x0a" + wire.varint(len(data)) + data
    with pytest.raises(ValueError, match="nest deeper"):
        nested.decode(data, "x")
    with pytest.raises(ValueError, match="ends beyond its message"):
        kind.decode(b"\x12\xff\xff\xff\xff\x0f", "x")
    with pytest.raises(ValueError, match="claims 1073741824 bytes"):
        table.unpack_snappy(wire.varint(1 << 30) + b"\0a", "x")
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(bundle.INDEX_LIMIT + 1)
    with pytest.raises(ValueError, match="more than the"):
        bundle.read_file(str(big), bundle.INDEX_LIMIT)


# ---------------------------------------------------------------------------------------- the formats


def test_messages_survive_the_wire():
    inner = wire.Message("Inner", a=(1, int), b=(2, float), c=(3, bytes))
    kind = wire.Message("Outer", n=(1, int), z=(2, "sint"), ok=(3, bool), f=(4, "fixed32"), m=(5, {str: inner}),
                        many=(6, [inner]), ints=(7, [int]), names=(8, [str]), d=(9, "double"))  # fmt: skip
    values = {"n": -5, "z": -7, "ok": False, "f": 2**32 - 1, "m": {"k": {"a": 1 << 40}}, "many": [{"b": 0.5}, {}],
              "ints": [0, -1, 300], "names": ["ä", ""], "d": 1e300}  # fmt: skip
    assert kind.decode(kind.encode(values)) == values
    assert inner.decode(kind.encode({"f": 3})) == {}  # fields that are not declared are passed over


def test_checksums_are_those_of_the_standard():
    assert checksum.crc32c(b"123456789") == 0xE3069283
    data = np.random.default_rng(0).bytes(70_000)
    for n in (0, 1, 511, 1024, 1025, 69_999):  # lanes or not, the same number
        assert checksum.crc32c(data[n:], checksum.crc32c(data[:n])) == checksum.crc32c(data)


def test_tables_and_bundles_survive(tmp_path):
    pairs = {f"key{i:05d}".encode(): bytes([i % 251]) * (i % 900) for i in range(2000)}  # several blocks
    assert table.read_table(table.write_table(pairs), "x") == pairs
    assert table.unpack_snappy(bytes([11, 8]) + b"abc" + bytes([0b10001, 3]), "x") == b"abcabcabcab"
    arrays = {"a": np.arange(6.0, dtype="float32").reshape(2, 3), "none": np.zeros((0, 3), "int8"), "one": np.int64(7)}
    bundle.write_bundle(str(tmp_path / "b"), {**arrays, "text": b"words"})
    held = bundle.Bundle(str(tmp_path / "b"))
    for name, array in arrays.items():
        np.testing.assert_array_equal(held.read(name), array)
    assert held.read_text("text") == b"words"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "model"
    for exchange in (folder._exchange, lambda a, b: False):  # with Linux's one step, and without
        monkeypatch.setattr(folder, "_exchange", exchange)
        for text in ("old", "new"):
            with folder.replacing_folder(target) as fresh:
                pathlib.Path(fresh, "saved_model.pb").write_text(text)
        with pytest.raises(RuntimeError), folder.replacing_folder(target) as fresh:
            pathlib.Path(fresh, "saved_model.pb").write_text("half")
            raise RuntimeError
        assert (target / "saved_model.pb").read_text() == "new"
        assert os.listdir(tmp_path) == ["model"]  # nothing is left over
    with pytest.raises(FileExistsError, match="overwrite=True"), folder.replacing_folder(target, overwrite=False):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(FileExistsError, match="is not a saved model"), folder.replacing_folder(tmp_path / "mine"):
        pass


def test_mutated_folders_load_or_are_refused_by_name(tmp_path):
    """Every file of an export, `saved_model.pb` too, with bits flipped, cut off or overwritten."""
    model = fkeras.Sequential([fkeras.layers.Dense(3, input_shape=(4,)), fkeras.layers.Dense(1)])
    folder = tmp_path / "export"
    fkeras.experimental.export_saved_model(model, folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    assert any(path.name == "saved_model.pb" for path in files)
    rng = random.Random(0)
    for path in files * 15:
        whole = path.read_bytes()
        broken, at = bytearray(whole), rng.randrange(len(whole))
        kind = rng.randrange(3)
        if kind == 0:
            broken[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del broken[at:]
        else:
            broken[at : at + 30] = rng.randbytes(rng.randrange(30))
        path.write_bytes(broken)
        try:
            fkeras.experimental.load_from_saved_model(folder)
        except (ValueError, OSError) as err:
            assert str(folder) in str(err)
        path.write_bytes(whole)
