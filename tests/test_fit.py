"""fit, evaluate and predict: forms of data, what callbacks may do, and that sizes and padding change nothing."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.callbacks import Callback, EarlyStopping, LearningRateScheduler

random = np.random.default_rng(2)
X = random.normal(size=(50, 5)).astype("float32")
Y = (X @ random.normal(size=(5, 2))).astype("float32")


def model(optimizer="sgd", loss="mse", seed=0, last=2, **options):
    fkeras.utils.set_random_seed(seed)
    made = fkeras.Sequential([layers.Dense(4, activation="tanh", input_shape=(5,)), layers.Dense(last)])
    made.compile(optimizer, loss, **options)
    return made


@pytest.fixture(scope="module")
def trained():
    """The loss after one unshuffled epoch on arrays: what every other form of the same data must give."""
    made = model()
    return made.fit(X, Y, shuffle=False, batch_size=16, verbose=0).history["loss"], made.get_weights()


class Batches(fkeras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return X[i * 16 : (i + 1) * 16], Y[i * 16 : (i + 1) * 16]


class ReadAhead(Batches):
    def __init__(self):
        super().__init__(workers=3, max_queue_size=2)


class Rereadable:
    """An iterable without a length, as a tf.data data set."""

    def __iter__(self):
        return ((X[i : i + 16], Y[i : i + 16]) for i in range(0, 50, 16))


class _Lists:
    """Gives its batches as lists, as a torch DataLoader."""

    def __iter__(self):
        return (list(batch) for batch in Rereadable())


def _frames():
    import pandas

    return pandas.DataFrame(X), pandas.DataFrame(Y)


def _h5(path):
    file = h5py.File(path / "data.h5", "w")
    file["x"], file["y"] = X, Y
    return file["x"], file["y"]


def _memmap(path, name, values):
    mapped = np.memmap(path / name, "float32", "w+", shape=values.shape)
    mapped[:] = values
    return mapped


FORMS = {
    "jax arrays": lambda path: (jnp.asarray(X), jnp.asarray(Y)),
    "float64": lambda path: (X.astype("float64"), Y.astype("float64")),
    "lists": lambda path: (X.tolist(), Y.tolist()),
    "frames": lambda path: _frames(),
    "dict": lambda path: ({"dense_input": X}, Y),
    "memory maps": lambda path: (_memmap(path, "x", X), _memmap(path, "y", Y)),
    "PyDataset": lambda path: (Batches(), None),
    "PyDataset read ahead": lambda path: (ReadAhead(), None),
    "generator": lambda path: (iter(Rereadable()), None),
    "iterable": lambda path: (Rereadable(), None),
    "batches as lists": lambda path: (_Lists(), None),
    "list of batches": lambda path: (list(Rereadable()), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_trains_the_same(form, trained, tmp_path):
    fkeras.utils.clear_session()
    made = model()
    x, y = FORMS[form](tmp_path)
    size = {"batch_size": 16} if y is not None else {}
    history = made.fit(x, y, shuffle=False, verbose=0, **size).history
    np.testing.assert_allclose(history["loss"], trained[0], rtol=1e-6)
    for a, b in zip(made.get_weights(), trained[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    if form not in ("generator", "list of batches"):  # the one is used up, the other would be an array
        assert made.predict(FORMS[form](tmp_path)[0], verbose=0).shape == (50, 2)


def test_h5_data_sets_are_streamed(trained, tmp_path):
    made = model()
    x, y = _h5(tmp_path)
    assert made.fit(x, y, shuffle=False, batch_size=16, verbose=0).history["loss"] == pytest.approx(trained[0])
    made.fit(x, y, verbose=0)  # shuffled: HDF5 wants ascending rows, the model gets them shuffled
    np.testing.assert_allclose(made.predict(x, verbose=0), made.predict(X, verbose=0), rtol=1e-6)


def test_generators_without_end_need_steps():
    def forever():
        while True:
            yield X[:10], Y[:10]

    made = model()
    history = made.fit(forever(), steps_per_epoch=3, epochs=2, verbose=0, validation_data=forever(), validation_steps=2)
    assert len(history.history["val_loss"]) == 2 and history.params["steps"] == 3
    short = ((X[:10], Y[:10]) for _ in range(4))
    with pytest.warns(UserWarning, match="the data ran out after 1 of 3 steps"):
        made.fit(short, steps_per_epoch=3, epochs=2, verbose=0)


def test_sizes_and_padding_change_no_number():
    made = model(metrics=["mae", "cosine_similarity"])
    whole = made.evaluate(X, Y, batch_size=50, verbose=0)
    for size in (1, 7, 16, 64):
        np.testing.assert_allclose(made.evaluate(X, Y, batch_size=size, verbose=0), whole, rtol=1e-5)
        parts = made.predict(X, batch_size=size, verbose=0)
        np.testing.assert_allclose(parts, made.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    assert made.predict(X[:3], verbose=0).shape == (3, 2)


@pytest.mark.parametrize("size", [None, 8, 256])
def test_one_program_serves_all_sizes(size):
    """Ragged sizes, weights on and off and a changing learning rate compile one train and one eval program."""
    made = model()
    for rows in (7, 50, 33, 1):
        made.fit(X[:rows], Y[:rows], batch_size=size, verbose=0)
        made.fit(X[:rows], Y[:rows], batch_size=size, sample_weight=np.ones(rows), verbose=0)
        made.optimizer.learning_rate = 0.01 / rows
        made.evaluate(X[:rows], Y[:rows], batch_size=size, verbose=0)
        made.predict(X[:rows], batch_size=size, verbose=0)
    report = made.compile_report()
    assert [program.kind for program in report] == ["train", "test", "predict"], report
    assert all(program.seconds > 0 and program.flops > 0 and program.peak_bytes > 0 for program in report)
    assert "3 programs" in str(report)


def test_compile_report_says_what_was_new():
    made = model()
    made.fit(X, Y, verbose=0)
    made.layers[0].trainable = False
    with pytest.warns(UserWarning, match="`trainable` changed"):
        made.fit(X, Y, batch_size=16, verbose=0)
    first, second = made.compile_report()
    assert first.why == "the first of its kind"
    assert "other trainable layers" in second.why
    assert "block/x: float32[1024, 32, 5] -> float32[1024, 16, 5]" in second.why


def test_same_seed_same_run():
    def run():
        fkeras.utils.set_random_seed(3)
        made = fkeras.Sequential([layers.Dense(4), layers.Dropout(0.5), layers.Dense(2)])
        made.compile("adam", "mse")
        return made.fit(X, Y, epochs=2, verbose=0).history["loss"]

    assert run() == run()


def test_steps_per_dispatch_do_not_change_the_run():
    runs = []
    for per_dispatch in (None, 1, 3):
        fkeras.utils.clear_session()
        made = model("adam", steps_per_execution=per_dispatch)
        runs.append(made.fit(X, Y, epochs=3, batch_size=8, verbose=0).history["loss"])
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-6)
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-6)


def test_eager_run_equals_compiled_run():
    runs = [model("adam", run_eagerly=eager).fit(X[:20], Y[:20], verbose=0).history["loss"] for eager in (True, False)]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-5)


def test_callbacks_see_floats_and_may_change_weights_and_rate():
    seen = []

    class Meddler(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))
            if batch == 1:
                self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])
                self.model.optimizer.learning_rate = 0.0

    made = model()
    made.fit(X, Y, batch_size=16, verbose=0, callbacks=[Meddler()])
    assert [b for b, _ in seen] == [0, 1, 2, 3] and all(isinstance(v, float) for _, v in seen)
    assert all((w == 0).all() for w in made.get_weights())  # a rate of 0 left the zeros in place
    assert float(made.optimizer.learning_rate) == 0.0


def test_callbacks_stop_and_schedule():
    made = model()
    rates = []
    history = made.fit(
        X, Y, epochs=9, verbose=0, validation_split=0.2,
        callbacks=[EarlyStopping(patience=1, min_delta=100.0), LearningRateScheduler(lambda epoch, lr: lr / 2),
                   fkeras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: rates.append(logs["learning_rate"]))],
    )  # fmt: skip
    assert len(history.epoch) == 2 and made.stop_training
    np.testing.assert_allclose(rates, [0.005, 0.0025])


def test_compiling_again_keeps_the_weights():
    made = model()
    before = made.get_weights()
    made.compile("adam", "mae")
    for a, b in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    made.fit(X, Y, verbose=0)


def test_functions_are_losses_and_metrics():
    def cubic(y_true, y_pred):
        return jnp.mean(jnp.abs(y_true - y_pred) ** 3, axis=-1)

    def whole_batch(y_true, y_pred):
        return jnp.mean(jnp.abs(y_true - y_pred) ** 3)

    runs = []
    for loss in (cubic, whole_batch):  # the second cannot leave padded rows out: its ragged batch is not padded
        made = model(loss=loss, metrics=[loss])
        logs = made.fit(X, Y, batch_size=16, shuffle=False, verbose=0).history
        assert list(logs) == sorted(["loss", loss.__name__])
        runs.append((logs["loss"], made.get_weights()))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    for a, b in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_half_precision_models_scale_their_loss():
    x = fkeras.Input((5,))
    y = layers.Dense(2, dtype="mixed_float16")(x)
    made = fkeras.Model(x, y, dtype="mixed_float16")
    made.compile("sgd", "mse")
    assert isinstance(made.optimizer, fkeras.optimizers.LossScaleOptimizer)
    losses = made.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    made.compile("sgd", "mse", auto_scale_loss=False)
    assert isinstance(made.optimizer, fkeras.optimizers.SGD)


def test_frozen_layers_stay_as_they_are():
    made = model()
    made.layers[0].trainable = False
    kernel = made.layers[0].kernel.numpy()
    made.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(made.layers[0].kernel.numpy(), kernel)
    made.layers[0].trainable = True  # honoured by the very next fit, without compiling again
    with pytest.warns(UserWarning, match=r"`trainable` changed since it was compiled and trained \(.*/bias, .*/kernel"):
        made.fit(X, Y, verbose=0)
    assert (made.layers[0].kernel.numpy() != kernel).any()
    made.fit(X, Y, verbose=0)  # said once
    made.layers[0].trainable = False
    made.compile("sgd", "mse")
    made.fit(X, Y, verbose=0)  # as in Keras, and without a warning


def test_a_layer_in_two_models_has_one_truth():
    shared = layers.Dense(2)
    a = fkeras.Sequential([fkeras.Input((5,)), shared])
    b = fkeras.Sequential([fkeras.Input((5,)), shared, layers.Dense(1)])
    a.compile("sgd", "mse")
    a.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(b.layers[0].get_weights()[0], a.get_weights()[0])


def test_weights_handed_out_survive_training():
    """Training donates its buffers; what users hold are copies."""
    made = model()
    params, kernel = made.params, made.layers[0].kernel.value
    made.fit(X, Y, verbose=0)
    assert np.isfinite(kernel).all() and all(np.isfinite(a).all() for a in jax.tree.leaves(params))


def test_moving_averages_of_weights_are_in_place_after_fit():
    made = model(fkeras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    made.fit(X, Y, verbose=0, shuffle=False)
    averaged = jax.tree.leaves(made.optimizer.state["ema"])
    for a, b in zip(averaged, jax.tree.leaves(made.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    made.fit(X, Y, verbose=0)  # the averages and the weights are not one buffer, which would be donated twice


def test_predict_on_several_outputs_keeps_their_form():
    x = fkeras.Input((5,))
    made = fkeras.Model(x, {"a": layers.Dense(1)(x), "b": layers.Dense(3)(x)})
    out = made.predict(X, verbose=0)
    assert {k: v.shape for k, v in out.items()} == {"a": (50, 1), "b": (50, 3)}


def test_calling_the_model_computes_and_pure_apply_agrees():
    made = model()
    np.testing.assert_allclose(made(X), made.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    y, _ = jax.jit(made.apply)(made.params, made.state, X)
    np.testing.assert_allclose(y, made(X), rtol=1e-5, atol=1e-6)
    per_row = jax.vmap(lambda row: made.apply(made.params, {}, row[None])[0][0])(X)
    np.testing.assert_allclose(per_row, y, rtol=1e-5, atol=1e-6)


def test_layers_log_on_batches_that_do_not_split_over_the_devices():
    # The program of one device, which takes the ragged batch, did not know of the layers' logs.
    class Shows(layers.Layer):
        def call(self, x):
            self.add_metric(jnp.mean(x**2, -1), name="square")
            return x

    def logs(devices):
        fkeras.utils.set_random_seed(0)
        made = fkeras.Sequential([layers.Input((5,)), Shows(), layers.Dense(2)])
        made.compile("sgd", lambda y, p: jnp.max(abs(y - p)), distribute=devices)
        return made.fit(X, Y, batch_size=16, validation_data=(X, Y), shuffle=False, verbose=0).history

    several = logs(fkeras.distribute.DataParallel(4))
    assert several == {name: pytest.approx(value, rel=1e-5) for name, value in logs(False).items()}  # order of sums
    assert "val_square" in several


def test_batches_that_do_not_split_over_the_devices_take_weights_from_anywhere():
    # The program of one device had been compiled for weights that lay on all of them, in the midst of training.
    made = model(loss=lambda y, p: jnp.max(abs(y - p)), distribute=fkeras.distribute.DataParallel(4))
    apart = made.evaluate(X, Y, batch_size=16, verbose=0)
    made.fit(X, Y, batch_size=16, validation_data=(X, Y), verbose=0)
    made.fit(X[:2], Y[:2], verbose=0)
    assert made.evaluate(X, Y, batch_size=16, verbose=0) != apart
    made.train_on_batch(X[:3], Y[:3])


@pytest.mark.parametrize("scaled", [False, True])
def test_noise_and_order_are_new_in_every_step_and_epoch(scaled):
    # Under a loss scale every step had the first one's dropout mask, and every epoch the first one's order.
    seen = []
    watch = fkeras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    sgd = fkeras.optimizers.SGD(0.0)
    for noise, x in ((0.5, np.ones((4, 50))), (0.0, np.arange(4.0)[:, None] * np.ones((4, 50)))):
        fkeras.utils.set_random_seed(0)
        made = fkeras.Sequential([layers.Input((50,)), layers.Dropout(noise), layers.Dense(1)])
        made.compile(fkeras.optimizers.LossScaleOptimizer(sgd) if scaled else sgd, "mae")
        made.fit(x, x[:, :1], batch_size=4 if noise else 1, epochs=4, callbacks=[watch], verbose=0)
    noisy, ordered = seen[:4], [tuple(seen[i : i + 4]) for i in range(4, 20, 4)]
    assert len(set(noisy)) == 4 and len(set(ordered)) > 1


def test_hooks_of_batches_are_called_once_for_each_execution_with_keras_indices(keras):
    def seen(k, steps):
        found = []

        class Watch(k.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                found.append(("train begin", batch))

            def on_train_batch_end(self, batch, logs=None):
                found.append(("train end", batch))

            def on_test_batch_end(self, batch, logs=None):
                found.append(("test end", batch))

            def on_predict_batch_begin(self, batch, logs=None):
                found.append(("predict begin", batch))

        x = np.ones((20, 3), "float32")
        made = k.Sequential([k.layers.Input((3,)), k.layers.Dense(1, kernel_initializer="ones")])
        made.compile("sgd", "mse", steps_per_execution=steps)
        made.fit(x, x[:, :1], epochs=2, batch_size=4, verbose=0, callbacks=[Watch()])
        made.evaluate(x, x[:, :1], batch_size=4, verbose=0, callbacks=[Watch()])
        made.predict(x, batch_size=4, verbose=0, callbacks=[Watch()])
        return found, made.get_weights()

    for steps in (1, 2, 10):
        ours, theirs = seen(fkeras, steps), seen(keras, steps)
        assert ours[0] == theirs[0], steps
        np.testing.assert_allclose(ours[1][0], theirs[1][0], rtol=1e-5)


def test_the_largest_of_normalized_values_is_found_by_its_gradient():
    """Behind BatchNormalization it may be computed anew and rounded otherwise; the gradient was 0 / 0."""
    x = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype("float32")
    parts = [fkeras.layers.Conv2D(4, 3, activation="relu"), fkeras.layers.BatchNormalization()]
    model = fkeras.Sequential([fkeras.Input((16, 16, 1)), *parts, fkeras.layers.GlobalMaxPooling2D()])
    model.compile("adam", "mse")
    assert np.isfinite(model.fit(x, np.ones((8, 4)), epochs=2, batch_size=4, verbose=0).history["loss"]).all()
