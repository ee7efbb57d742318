"""Data that cannot be used are refused at the door, by name; and what happens around a step leaves the model usable."""

import subprocess
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 32)


def model():
    made = fkeras.Sequential([fkeras.Input((3,)), layers.Dense(3, activation="softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def spoiled(at, **how):
    """Batches of which number `at` is another one."""
    for i in range(10):
        x, y = X[:4].copy(), Y[:4].copy()
        if i == at:
            x, y = how.get("x", x), how.get("y", y)
        yield (x, y) if how.get("y", 0) is not None or i != at else (x, None)


NAN = X[:4].copy()
NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    "how, message",
    [
        ({"y": Y[:3]}, r"batch 6: .*x has 4, y has 3"),
        ({"y": np.array([0, 1, 2, 3])}, "batch 6: .*expected class numbers from 0 to 2"),
        ({"y": np.array([0, 0.5, 1, 2])}, "batch 6: .*got 0.5, which is not a whole number"),
        ({"x": NAN}, "batch 6: x contains NaN or infinity"),
        ({"x": X[:4, :2]}, r"batch 6: .*of shape \(None, 3\).*got an array of shape \(4, 2\)"),
        ({"y": None}, "batch 6: .*there are no targets: y is None"),
        ({"x": X[:4].astype("complex64")}, "batch 6: Expected real numbers, got complex64"),
        ({"x": np.full((4, 3), "a")}, r"batch 6: Expected numbers, got data of dtype <U1 \(such as 'a'\)"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@pytest.mark.parametrize("kind", ["fit", "evaluate"])
def test_a_batch_of_a_stream_that_cannot_be_used_is_named(kind, how, message):
    made = model()
    with pytest.raises(ValueError, match=message):
        getattr(made, kind)(spoiled(6, **how), verbose=0)
    assert np.isfinite(made.get_weights()[0]).all() and made.fit(X, Y, verbose=0)


def test_memory_that_a_generator_fills_again_is_copied():
    def filling(shared):
        x, y = np.empty((4, 3), "float32"), np.empty(4, "int32")
        for i in range(0, 32, 4):
            if shared:
                x[:], y[:] = X[i : i + 4], Y[i : i + 4]
                yield x, y
            else:
                yield X[i : i + 4], Y[i : i + 4]

    made = model()
    assert made.evaluate(filling(True), verbose=0) == made.evaluate(filling(False), verbose=0)


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"sample_weight": np.where(np.arange(32) == 5, np.nan, 1)}, ValueError, r"sample_weight has NaN at \[5\]"),
        ({"class_weight": {0: 1, 1: np.nan, 2: 1}}, ValueError, "expected a finite weight for class 1, got nan"),
        ({"validation_data": (X, Y + 1)}, ValueError, "expected class numbers from 0 to 2"),
        ({"validation_data": (X[:, :2], Y)}, ValueError, r"validation_data=...\)"),
    ],
    ids=lambda v: "",
)
def test_weights_and_validation_data_are_looked_at_before_training(given, error, message):
    made = model()
    before = made.get_weights()
    with pytest.raises(error, match=message):
        made.fit(X, Y, verbose=0, **given)
    np.testing.assert_array_equal(made.get_weights()[0], before[0])


def test_what_may_be_meant_is_warned_of():
    with pytest.warns(UserWarning, match="sample_weight has negative values"):
        model().fit(X, Y, sample_weight=np.linspace(-1, 1, 32), verbose=0)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.warns(UserWarning, match=r"fit\(validation_data=...\): x contains NaN"):
        model().fit(X, Y, validation_data=(bad, Y), verbose=0)


@pytest.mark.parametrize("dtype", [">f4", ">i4", "longdouble", "float16", "uint8"])
def test_numbers_of_every_kind_are_taken(dtype):
    x = np.abs(X * 3).astype(dtype)
    np.testing.assert_allclose(model().predict(x, verbose=0).sum(1), np.ones(32), rtol=1e-3)
    made = model()
    plain = np.asarray(x, "float32")
    np.testing.assert_allclose(made.predict(x, verbose=0), made.predict(plain, verbose=0), rtol=1e-3)
    with pytest.raises(ValueError, match="got data of dtype datetime64"):
        made.predict(np.zeros((4, 3), "datetime64[s]"), verbose=0)


def test_an_error_names_the_value_that_is_no_number():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "town": ["1.0", "Rome"]})
    with pytest.raises(ValueError, match="Rome"):
        model().predict(frame, verbose=0)


def test_sparse_matrices_become_dense_a_batch_at_a_time():
    sparse = pytest.importorskip("scipy.sparse")
    x = np.where(np.abs(X) > 1, X, 0)
    for form in (sparse.csr_matrix, sparse.coo_matrix, sparse.csc_array):
        made, same = model(), model()
        same.set_weights(made.get_weights())
        np.testing.assert_allclose(made.predict(form(x), verbose=0), same.predict(x, verbose=0), rtol=1e-6)
        made.fit(form(x), Y, batch_size=8, shuffle=False, verbose=0)
        same.fit(x, Y, batch_size=8, shuffle=False, verbose=0)
        np.testing.assert_allclose(made.get_weights()[0], same.get_weights()[0], rtol=1e-6)


# ---------------------------------------------------------------------------------------------- around a step


INTERRUPTED = """
import os, signal, threading
import numpy as np
import fkeras
x, y = np.ones((32, 3), "float32"), np.zeros((32, 3), "float32")
model = fkeras.Sequential([fkeras.Input((3,)), fkeras.layers.Dense(64, activation="relu"), fkeras.layers.Dense(3)])
model.compile("adam", "mse")
model.fit(x, y, verbose=0)
signal.signal(signal.SIGINT, signal.default_int_handler)
for i in range(12):
    try:
        threading.Timer(0.02 + 0.007 * i, os.kill, (os.getpid(), signal.SIGINT)).start()
        model.fit(x, y, batch_size=4, epochs=100_000_000, verbose=0)
    except KeyboardInterrupt:
        assert np.isfinite(model.predict(x, verbose=0)).all() and np.isfinite(model.evaluate(x, y, verbose=0))
        continue
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("works")
"""


def test_an_interrupt_waits_for_the_step_and_leaves_a_model_that_works():
    """In a process of its own: those that run tests side by side do not hear the signal."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "works", done.stderr[-2000:]


def test_other_threads_may_use_a_model_that_is_trained():
    made = fkeras.Sequential([fkeras.Input((3,)), layers.Dense(64, activation="relu"), layers.Dense(3)])
    made.compile("sgd", "mse")
    y, errors, counts, stop = np.zeros((32, 3), "float32"), [], {}, threading.Event()

    def again(name, call):
        while not stop.is_set():
            try:
                call()
                counts[name] = counts.get(name, 0) + 1
            except Exception as err:
                errors.append(f"{name}: {err}")

    calls = {
        "predict": lambda: made.predict(X, verbose=0),
        "one row": lambda: made.predict(X[:1], verbose=0),
        "evaluate": lambda: made.evaluate(X, y, verbose=0),
        "get_weights": made.get_weights,
        "call": lambda: np.asarray(made(X)),
    }
    threads = [threading.Thread(target=again, args=item) for item in calls.items()]
    made.fit(X, y, verbose=0)
    for thread in threads:
        thread.start()
    try:
        made.fit(X, y, batch_size=4, epochs=60, verbose=0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors and set(counts) == set(calls), (errors[:3], counts)


def test_a_fresh_model_may_be_asked_by_many_threads_first():
    for _ in range(5):
        made, found = model(), []
        threads = [threading.Thread(target=lambda: found.append(made.predict(X[:4], verbose=0))) for _ in range(8)]  # noqa: B023
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8 and all((one == found[0]).all() for one in found)


def test_what_a_loss_raises_when_it_is_traced_leaves_the_model_usable():
    made = model()
    made.compile("sgd", lambda t, p: jnp.zeros(3) + jnp.zeros(4))
    with pytest.raises(TypeError):
        made.fit(X, Y, verbose=0)
    made.compile("sgd", "sparse_categorical_crossentropy")
    assert np.isfinite(made.fit(X, Y, verbose=0).history["loss"][0])
