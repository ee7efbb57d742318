"""Data parallelism: the number of devices does not change the result."""

import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.distribute import DataParallel
from fkeras.distribute import run as launch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(107, 6)).astype("float32")  # batches of 20 and one of 7: neither splits evenly over 8
Y = RNG.integers(0, 3, 107)
WEIGHTS = RNG.uniform(0.5, 2.0, 107).astype("float32")


def everything():
    """A model with all that could depend on devices: dropout, noise, batch statistics, penalties, activity losses."""
    fkeras.utils.set_random_seed(5)
    return fkeras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(16, kernel_regularizer="l2", activity_regularizer=fkeras.regularizers.L2(1e-3)),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.Dense(3, activation="softmax"),
        ]
    )


def trained(devices, epochs=9):
    model = everything()
    rate = fkeras.optimizers.schedules.ExponentialDecay(0.02, 20, 0.9)
    model.compile(
        fkeras.optimizers.Adam(rate, clipnorm=0.5, epsilon=1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", fkeras.metrics.SparseTopKCategoricalAccuracy(2)],
        weighted_metrics=["sparse_categorical_crossentropy"],
        distribute=devices,
    )
    history = model.fit(
        X, Y, batch_size=20, epochs=epochs, sample_weight=WEIGHTS, class_weight={0: 1.0, 1: 2.0, 2: 0.5}, verbose=0,
        validation_data=(X[:33], Y[:33]),
    )  # fmt: skip
    found = {"history": history.history, "weights": model.get_weights(), "predict": model.predict(X, verbose=0)}
    found["evaluate"] = model.evaluate(X, Y, verbose=0)
    found["train_on_batch"] = model.train_on_batch(X[:21], Y[:21])
    assert all(len(a.sharding.device_set) == 1 for a in jax.tree.leaves(model.gather()))  # at rest on one device
    return found


@pytest.fixture(scope="module")
def alone():
    return trained(False)


@pytest.mark.filterwarnings("ignore:DataParallel")
@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.long), 8])
def test_the_number_of_devices_does_not_change_the_result(alone, devices):
    # 54 steps; sums in another order grow apart by about 1e-7 a step
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6), trained(devices), alone)


@pytest.mark.parametrize("devices, accumulate", [(1, 2), (1, 4), (2, 4)])
def test_gradient_accumulation_does_not_change_the_result(devices, accumulate):
    """Everything but batch statistics, which are those of a part: the model without BatchNormalization."""

    def run(how):
        fkeras.utils.clear_session()
        fkeras.utils.set_random_seed(5)
        x = layers.Input((6,))
        h = layers.Dense(8, kernel_regularizer="l2", activity_regularizer=fkeras.regularizers.L2(1e-3))(x)
        h = layers.Dropout(0.3)(layers.ReLU()(h))
        model = fkeras.Model(x, [layers.Dense(3, activation="softmax")(h), layers.Dense(1)(h)])
        rate = fkeras.optimizers.schedules.ExponentialDecay(0.02, 20, 0.9)
        optimizer = fkeras.optimizers.Adam(rate, clipnorm=0.5, epsilon=1e-3)
        model.compile(
            optimizer, ["sparse_categorical_crossentropy", "mae"], metrics=[["accuracy"], ["mse"]], distribute=how
        )
        history = model.fit(X, [Y, X[:, 0]], batch_size=20, epochs=9, sample_weight=[WEIGHTS, WEIGHTS[::-1]], verbose=0)
        return history.history, model.get_weights()

    # 54 steps; sums in another order grow apart by about 1e-7 a step
    cut = run(DataParallel(devices, accumulate=accumulate))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6), cut, run(False))


def test_what_needs_the_whole_batch_refuses_to_accumulate():
    model = fkeras.Sequential([layers.Dense(3, "sigmoid", input_shape=(6,))])
    model.compile("sgd", "dice", distribute=DataParallel(1, accumulate=2))
    with pytest.raises(ValueError, match="accumulate=2: 'dice' needs all rows of a batch at once"):
        model.fit(X, X[:, :3], verbose=0)
    with pytest.raises(ValueError, match="accumulate as an integer >= 1, got 0"):
        DataParallel(1, accumulate=0)


def test_scope_and_argument_choose_devices():
    model = fkeras.Sequential([layers.Dense(2, input_shape=(6,))])
    model.compile("sgd", "mse")
    with DataParallel(2):
        model.fit(X, X[:, :2], verbose=0)
    model.fit(X, X[:, :2], verbose=0)
    first, second = model.compile_report()
    assert "devices" not in first.why and "other devices" in second.why
    assert "2, 16" in str(model._programs.log[0].shapes)


def own_batch_loss(y_true, y_pred):
    return jnp.max(jnp.abs(y_true - y_pred)) + jnp.mean((y_true - y_pred) ** 2)


@pytest.mark.parametrize("loss", ["dice", "circle", own_batch_loss])
def test_a_loss_over_the_whole_batch_sees_the_rows_of_all_devices(loss):
    """Also where the ragged batch (27 rows) cannot be filled up and not be split: one device takes it."""
    y = Y if loss == "circle" else (X[:, :3] > 0).astype("float32")
    runs = []
    for devices in (False, 4):
        fkeras.utils.set_random_seed(1)
        model = fkeras.Sequential([layers.Dense(3, "sigmoid", input_shape=(6,))])
        model.compile("sgd", loss, metrics=[] if loss == "circle" else [own_batch_loss, "mae"], distribute=devices)
        history = model.fit(X, y, batch_size=40, epochs=3, verbose=0).history
        runs.append((history, model.get_weights()))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *runs)


def test_every_metric_merges_over_devices():
    """AUC, F1, confusion tables and streams of one's own are those of one device."""
    y = (X[:, :1] > 0).astype("float32")
    metrics = fkeras.metrics
    runs = []
    for devices in (False, 4):
        fkeras.utils.set_random_seed(1)
        model = fkeras.Sequential([layers.Dense(1, "sigmoid", input_shape=(6,))])
        chosen = [metrics.AUC(num_thresholds=20), metrics.Precision(), metrics.F1Score(threshold=0.5), Largest()]
        model.compile("sgd", "bce", metrics=chosen, distribute=devices)
        runs.append(model.evaluate(X, y, batch_size=24, verbose=0, return_dict=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *runs)


class Largest(fkeras.metrics.Metric):
    """Merges by a maximum, not by a sum."""

    def init(self, y_true_shape=None, y_pred_shape=None):
        return {"largest": jnp.float32(0)}

    def update(self, state, y_true, y_pred, sample_weight=None, mask=None, rows=None):
        largest = jnp.max(jnp.where(True if rows is None else rows[:, None], y_pred, 0))
        return {"largest": jnp.maximum(state["largest"], largest)}

    def merge(self, a, b):
        return {"largest": jnp.maximum(a["largest"], b["largest"])}

    def result(self, state):
        return state["largest"]


def test_batch_statistics_of_each_device_by_itself():
    """Without synchronization the moving mean is the mean over devices, and the numbers are other ones."""
    means = []
    for sync in (True, False):
        fkeras.utils.set_random_seed(1)
        model = fkeras.Sequential([layers.BatchNormalization(momentum=0.0, input_shape=(6,))])
        model.compile("sgd", "mse", distribute=DataParallel(4, sync_batch_norm=sync))
        model.train_on_batch(X[:40], X[:40])
        norm = model.layers[0]
        np.testing.assert_allclose(norm.moving_mean, X[:40].mean(0), rtol=1e-4, atol=1e-6)
        means.append(np.asarray(norm.moving_variance))
    np.testing.assert_allclose(means[0], X[:40].var(0), rtol=1e-5)
    np.testing.assert_allclose(means[1], X[:40].reshape(4, 10, 6).var(1).mean(0), rtol=1e-5)


def test_a_step_of_ones_own_is_split_by_xla():
    """It knows of no device axis, and its batch statistics are still those of the whole batch."""

    class Own(fkeras.Sequential):
        def train_step(self, ts, batch):
            def loss(params):
                y, state = self.apply(params, ts.state, batch["x"], training=True, key=ts.key)
                return jnp.mean((y - batch["y"][0]) ** 2), state

            (value, state), grads = jax.value_and_grad(loss, has_aux=True)(ts.params)
            params, opt = self.optimizer.update(grads, ts.opt, ts.params)
            return ts._replace(params=params, state=state, opt=opt), {"loss": value}

    runs = []
    for devices in (False, 4):
        fkeras.utils.set_random_seed(1)
        model = Own([layers.Dense(3, input_shape=(6,)), layers.BatchNormalization(), layers.Dropout(0.5)])
        model.compile("sgd", distribute=devices)
        history = model.fit(X, X[:, :3], batch_size=40, epochs=3, verbose=0).history
        runs.append((history, model.get_weights()))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *runs)


def test_streams_callbacks_and_files_work_unchanged(tmp_path):
    def batches():
        while True:
            yield X[:30], X[:30, :2]
            yield X[30:41], X[30:41, :2]

    seen = []
    fkeras.utils.set_random_seed(1)
    model = fkeras.Sequential([layers.Dense(2, input_shape=(6,))])
    model.compile("adam", "mse", distribute=4)
    watch = fkeras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append(float(model.layers[0].kernel[0, 0]))
    )
    keep = fkeras.callbacks.ModelCheckpoint(str(tmp_path / "m.h5"))
    model.fit(batches(), steps_per_epoch=3, epochs=2, callbacks=[watch, keep], verbose=0)
    assert len(set(seen)) == 6
    again = fkeras.models.load_model(tmp_path / "m.h5")
    assert again.optimizer.iterations == 6
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_bad_devices_get_clear_errors():
    with pytest.raises(ValueError, match=r"DataParallel\(99\): expected 1 to 8 devices.*device_count=99"):
        DataParallel(99)
    with pytest.raises(ValueError, match="one or more different devices"):
        DataParallel([jax.devices()[0]] * 2)
    with pytest.raises(TypeError, match="a list of jax.Device"):
        DataParallel("gpu")
    with pytest.raises(TypeError, match=r"compile.distribute='all'"):
        everything().compile("sgd", "mse", distribute="all")
    model = fkeras.Sequential([layers.LSTM(2, stateful=True, batch_input_shape=(8, 3, 2))])
    model.compile("sgd", "mse", distribute=2)
    with pytest.raises(ValueError, match="a stateful layer keeps its state row by row.*over 2 devices"):
        model.fit(np.ones((8, 3, 2)), np.ones((8, 2)), batch_size=8, verbose=0)


def test_a_batch_smaller_than_the_devices_warns_once():
    model = fkeras.Sequential([layers.Dense(2, input_shape=(6,))])
    model.compile("sgd", "mse", distribute=8)
    with pytest.warns(UserWarning, match="a batch of 3 rows leaves 5 of 8 devices idle") as caught:
        model.fit(X[:9], X[:9, :2], batch_size=3, epochs=2, verbose=0)
    assert len(caught) == 1


# ------------------------------------------------------------------------------------ several processes

JOB = """
import os, signal, sys, time
import fkeras
fkeras.distribute.initialize(timeout=%(timeout)s)
import jax, numpy as np
from fkeras import layers
rng = np.random.default_rng(0)
x, y = rng.normal(size=(50, 6)).astype("float32"), rng.integers(0, 3, 50)
rank, size = jax.process_index(), jax.process_count()
%(first)s
model = fkeras.Sequential([layers.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.3),
                           layers.Dense(3, activation="softmax")])
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
%(then)s
"""
TRAIN = """
def batches():
    local = 16 // size
    for at in range(0, 48, 16):
        mine = slice(at + rank * local, at + (rank + 1) * local)
        yield x[mine], y[mine]
history = model.fit(x, y, batch_size=12, epochs=3, validation_data=(x[:20], y[:20]), verbose=2).history
history2 = model.fit(batches(), steps_per_epoch=3, shuffle=False, verbose=0).history
predicted = model.predict(x[:7], verbose=0)
model.compile("sgd", lambda y_true, y_pred: ((y_pred - y_true) ** 2).sum())  # sees whole batches
history3 = model.fit(x, np.eye(3, dtype="float32")[y], batch_size=12, epochs=2, verbose=0).history
model.save(sys.argv[1])
if rank == size - 1:
    more = {"predicted": predicted, "loss2": history2["loss"], "loss3": history3["loss"]}
    np.savez(sys.argv[2], *model.get_weights(), **history, **more)
"""
SEEDED = "fkeras.utils.set_random_seed(3)"


def job(tmp_path, processes, devices, first=SEEDED, then=TRAIN, timeout=100):
    """Runs JOB in so many processes; returns (exit status, what they printed)."""
    script = tmp_path / "job.py"
    script.write_text(JOB % {"first": first, "then": then, "timeout": timeout})
    command = [sys.executable, "-m", "fkeras.distribute.run", "--processes", str(processes), "--devices", str(devices)]
    command += [str(script), str(tmp_path / "m.h5"), str(tmp_path / f"{processes}.npz")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    return done.returncode, done.stdout


@pytest.mark.parametrize("several", [2, pytest.param(4, marks=pytest.mark.long)])
def test_processes_compute_what_one_computes(several, tmp_path):
    """1, 2 and 4 processes with 2 devices each: arrays sliced by process, then a generator of local rows."""
    results = {}
    for processes in (1, several):
        status, printed = job(tmp_path, processes, 2)
        assert status == 0, printed
        assert printed.count("Epoch 1/3") == 1, printed  # one process prints
        results[processes] = dict(np.load(tmp_path / f"{processes}.npz"))
        loaded = fkeras.models.load_model(tmp_path / "m.h5", compile=False)
        for i, w in enumerate(loaded.get_weights()):
            np.testing.assert_allclose(w, results[processes][f"arr_{i}"], rtol=1e-6)
        os.remove(tmp_path / "m.h5")
    for name, value in results[1].items():
        np.testing.assert_allclose(results[several][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_process_that_dies_ends_the_others_with_an_error(tmp_path):
    then = """
class Die(fkeras.callbacks.Callback):
    def on_train_batch_end(self, step, logs=None):
        if rank == 1 and step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
model.fit(x, y, batch_size=5, epochs=10000, callbacks=[Die()], verbose=0)
"""
    start = time.monotonic()
    status, printed = job(tmp_path, 2, 2, then=then, timeout=10)
    assert status != 0 and time.monotonic() - start < 60
    assert "[1] ended with status -9: the job ends." in printed, printed


def test_a_process_that_hangs_ends_the_others_in_time(tmp_path):
    then = """
class Hang(fkeras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if rank == 1 and epoch == 1:
            time.sleep(1000)
model.fit(x, y, batch_size=10, epochs=5, callbacks=[Hang()], verbose=0)
"""
    status, printed = job(tmp_path, 2, 1, then=then, timeout=8)
    assert status == 75 and "process 0 of 2 waited 8 s for" in printed, printed


def test_processes_that_disagree_are_told_so(tmp_path):
    first = "fkeras.utils.set_random_seed(rank)"
    status, printed = job(tmp_path, 2, 1, first=first, then="model.fit(x, y, verbose=0)")
    assert status != 0 and "processes disagree on the seed" in printed, printed


DISAGREE = """
def compiled(rate=0.1, loss="sparse_categorical_crossentropy", metrics=("accuracy",)):
    model.compile(fkeras.optimizers.SGD(rate), loss, metrics=list(metrics))
def tried(x=x, y=y, **options):
    try:
        model.fit(x, y, verbose=0, **options)
    except ValueError as err:
        print(f"process {rank}: {str(err)[:110]}", flush=True)
    else:
        print(f"process {rank}: trained", flush=True)
compiled(); tried()
compiled(0.1 + 0.1 * rank); tried()
compiled(); model.optimizer.learning_rate = 0.5 - 0.1 * rank; tried()
compiled(metrics=["accuracy"] * (1 - rank)); tried()
compiled(loss=fkeras.losses.SparseCategoricalCrossentropy(from_logits=bool(rank))); tried()
compiled(); tried(x[: 50 - rank * 10], y[: 50 - rank * 10], steps_per_epoch=1)
tried(x + rank)
tried(validation_data=(x, y[::-1] if rank else y))
model.layers[0].trainable = not rank; compiled(); tried()
"""


def test_processes_that_differ_in_settings_or_data_are_told_so_by_name(tmp_path):
    """Shapes and steps agree in all of them: they would train, each a model of its own."""
    status, printed = job(tmp_path, 2, 1, then=DISAGREE)
    assert status == 0, printed
    optimizer, compiled = "optimizer and its settings", "losses, metrics and settings of compile"
    said = ["", optimizer, optimizer, compiled, compiled, "number of rows", "data", "validation data",
            "weights that are trained"]  # fmt: skip
    for rank in range(2):
        got = [line.partition(f"process {rank}: ")[2] for line in printed.splitlines() if f"] process {rank}: " in line]
        assert len(got) == len(said), printed
        for line, what in zip(got, said, strict=True):
            assert line.startswith(f"fit: processes disagree on the {what}:" if what else "trained"), (line, what)


def started_jobs(tmp_path, text, **options):
    """Runs plain processes without JAX; returns (status, seconds)."""
    script = tmp_path / "plain.py"
    script.write_text("import os, signal, sys, time\nrank = int(os.environ['FKERAS_PROCESS'])\n" + text)
    start = time.monotonic()
    return launch.run(3, [sys.executable, str(script)], **options), time.monotonic() - start


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_process_that_fails_is_noticed_whichever_it_is(rank, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.3)
    status, seconds = started_jobs(tmp_path, f"if rank == {rank}: sys.exit(3)\ntime.sleep(60)")
    assert status == 3 and seconds < 30


def test_a_process_that_stays_stopped_ends_the_others(tmp_path, capfd):
    text = "if rank == 1: os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)"
    status, seconds = started_jobs(tmp_path, text, timeout=0.5)
    assert status == 75 and seconds < 30
    assert "[1] was stopped for" in capfd.readouterr().err
    text = """
if rank == 1:
    if os.fork() == 0:  # goes on before the time is up
        time.sleep(0.4)
        os.kill(os.getppid(), signal.SIGCONT)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    assert started_jobs(tmp_path, text, timeout=20.0)[0] == 0


def test_initialize_after_jax_was_used_says_so():
    with pytest.raises(RuntimeError, match="this process could not join the others.*before any array is made"):
        fkeras.distribute.initialize("127.0.0.1:1", 2, 0)
    with pytest.raises(ValueError, match="timeout > 0"):
        fkeras.distribute.initialize(timeout=0)
