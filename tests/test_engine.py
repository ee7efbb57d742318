"""The engine: the compilation cache between processes, reading ahead, bounded memory."""

import os
import pathlib
import stat
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras.data import sources
from fkeras.layers.kernels import convolution as kernels

TRAIN = """
import fkeras, jax, numpy as np
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
model = fkeras.Sequential([fkeras.layers.Input((4,)), fkeras.layers.Dense(3)])
model.compile("adam", "mse")
model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
print(found.count("/jax/compilation_cache/cache_hits"), jax.config.jax_compilation_cache_dir)
"""


def _train(cache, code=TRAIN, **env):
    env = os.environ | {"FKERAS_COMPILATION_CACHE": str(cache)} | env
    for name in ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS"):  # one's own cache is kept, quick compilations are not
        env.pop(name, None)
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    hits, place = out.stdout.split()
    return int(hits), None if place == "None" else pathlib.Path(place)


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    hits, place = _train(tmp_path / "cache")
    assert hits == 0 and place.parent == tmp_path / "cache" and list(place.iterdir())
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    hits, _ = _train(tmp_path / "cache")
    assert hits > 0
    place.chmod(0o777)  # somebody else could put programs there
    assert _train(tmp_path / "cache") == (0, None)


def test_the_compilation_cache_can_be_turned_off(tmp_path):
    assert _train("0", XDG_CACHE_HOME=str(tmp_path)) == (0, None)
    assert not list(tmp_path.iterdir())


def test_the_cache_forgets_what_was_longest_unused(tmp_path, monkeypatch):
    from fkeras.compiled import cache

    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    monkeypatch.setattr(cache, "LARGEST", 200)
    cache._trim(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["middle", "new"]


def test_rows_predicted_one_at_a_time_get_a_program_of_their_own():
    """Six sizes of data share one program; a stream of single rows is worth a second one."""
    model = fkeras.Sequential([fkeras.layers.Dense(3, activation="relu", input_shape=(4,)), fkeras.layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
    whole = model.predict(x, verbose=0)
    for rows in (1, 2, 33, 64, 7, 50):
        np.testing.assert_allclose(model.predict(x[:rows], verbose=0), whole[:rows], rtol=1e-5, atol=1e-6)
    assert len(model.compile_report()) == 1
    rows = [model.predict(x[i : i + 1], verbose=0) for i in range(10)]
    np.testing.assert_allclose(np.concatenate(rows), whole[:10], rtol=1e-5, atol=1e-6)
    rows[0][:] = 0  # an array of one's own
    model.predict(x, verbose=0)
    model.set_weights([a + 1 for a in model.get_weights()])
    asked = []
    run = model._run_predict
    model._run_predict = lambda *args: asked.append(args[2]["x"][0].shape) or run(*args)
    model.predict(x[:1], verbose=0)  # the program for a single row is there already
    assert asked == [(1, 1, 4)]
    assert [program.why for program in model.compile_report()][1:] == [
        "x: float32[1024, 32, 4] -> float32[1, 1, 4]; rows: bool[1024, 32] -> bool[1, 1]"
    ]
    with pytest.raises(ValueError, match="of shape"):
        model.predict(np.ones((1, 5), "float32"), verbose=0)
    assert model.predict(x[:1].astype("float64"), verbose=0).shape == (1, 2)


def batches(n, fail_at=None):
    for i in range(n):
        if i == fail_at:
            raise KeyError("row 17 of the file is broken")
        yield np.full((8, 4), i, "float32"), np.ones((8, 1), "float32")


def reading():
    return [t for t in threading.enumerate() if t.name == "fkeras-reads-ahead"]


def test_an_error_in_the_data_is_raised_as_itself_and_ends_the_thread():
    model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(4,))])
    model.compile("sgd", "mse")
    with pytest.raises(KeyError, match="row 17") as caught:
        model.fit(batches(10, fail_at=5), steps_per_epoch=10, verbose=0)
    assert "batches" in [entry.name for entry in caught.traceback]  # its own traceback
    assert model.optimizer.iterations > 0 and not reading()
    model.fit(batches(10), steps_per_epoch=5, verbose=0)
    assert not reading()


def test_reading_ahead_is_bounded_and_ends_with_the_reader():
    from fkeras.data.ahead import AHEAD_BYTES, Ahead

    class Batch:
        nbytes = AHEAD_BYTES // 4

    read = []

    def source():
        while True:
            read.append(1)
            yield Batch()

    ahead = Ahead(source())
    assert len(ahead.take(1)) == 1
    deadline = time.monotonic() + 5
    while len(read) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert 4 <= len(read) <= 7  # one taken, up to `AHEAD_BYTES` waiting
    ahead.close()
    assert not ahead.thread.is_alive()


def test_a_hundred_thousand_steps_keep_memory_and_pace():
    model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(4,))])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8000, 4)).astype("float32")
    model.fit(x, x[:, :1], batch_size=8, epochs=1, verbose=0)  # 1000 steps, after which everything is there
    before, live = resident(), len(jax.live_arrays())
    model.fit(x, x[:, :1], batch_size=8, epochs=99, verbose=0)
    assert model.optimizer.iterations == 100_000
    assert len(jax.live_arrays()) <= live
    assert resident() - before < 20e6


def resident():
    """Bytes of memory this process holds."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_data_that_fits_stay_on_the_device_and_train_alike(monkeypatch):
    """What an accelerator does with arrays, made to happen on CPU: shuffled there, the run is the same."""
    x = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
    runs = []
    for stays in (False, True):
        monkeypatch.setattr(sources, "_fits_device", lambda size, stays=stays: stays and size == 70 * 4 * 4 + 70 * 4)
        fkeras.utils.set_random_seed(2)
        model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(4,))])
        model.compile("sgd", "mse")
        history = model.fit(x, x[:, :1], batch_size=16, epochs=3, verbose=0).history["loss"]
        runs.append((history, model.predict(x, verbose=0)))
    np.testing.assert_allclose(runs[1][0], runs[0][0], rtol=1e-6)
    np.testing.assert_allclose(runs[1][1], runs[0][1], rtol=1e-6)


def test_a_version_of_xla_without_our_option_compiles_all_the_same(monkeypatch):
    monkeypatch.setattr("fkeras.compiled.programs._YNNPACK", "xla_cpu_there_is_no_such_option")
    model = fkeras.Sequential([fkeras.layers.Input((2,)), fkeras.layers.Dense(1)])
    assert model.predict(np.ones((3, 2)), verbose=0).shape == (3, 1)


def test_what_is_computed_once_stays_what_it_was():
    values = jnp.array([0.0, -0.0, 1.5, 3.3e38, 2e-38, jnp.inf, -jnp.inf, jnp.nan])
    for same in (kernels.computed_once, kernels.gradient_once):
        np.testing.assert_array_equal(np.asarray(same(values)).view(np.int32), np.asarray(values).view(np.int32))
        assert same(values.astype("bfloat16")).dtype == "bfloat16"

    def cubed(x):
        return jnp.sum(kernels.gradient_once(x) ** 3)

    x = jnp.array([1.0, -2.0])
    np.testing.assert_allclose(jax.grad(cubed)(x), 3 * x**2)
    np.testing.assert_allclose(jax.hessian(cubed)(x), jnp.diag(6 * x))
    np.testing.assert_allclose(jax.jvp(cubed, (x,), (jnp.ones(2),))[1], jnp.sum(3 * x**2))


def test_xla_computes_a_quotient_once():
    def cells_of_chains(once):
        def f(x):
            y = once(jax.nn.relu(x * 2 + 1))
            return jnp.sort(y, 0), y.T + 1

        return jax.jit(f).lower(jnp.ones((64, 64))).compile().as_text().count("maximum(")

    if jax.default_backend() == "cpu":
        assert cells_of_chains(lambda y: y) > cells_of_chains(kernels.computed_once) == 1
