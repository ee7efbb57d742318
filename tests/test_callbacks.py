"""Callbacks: what they decide agrees with real Keras, and the machinery around them never waits for a device."""

import csv
import json
import math
import os
import pickle
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import fkeras.callbacks as callbacks
from fkeras.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    Logs,
    ModelCheckpoint,
    Progbar,
    ProgbarLogger,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from fkeras.callbacks.base import HOOKS
from fkeras.callbacks.monitor import direction
from fkeras.callbacks.progbar import clip, duration, number, pace, render


class Optimizer:
    """A learning rate stored as float32, as real ones store it."""

    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate

    @property
    def learning_rate(self):
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._rate = np.float32(value)


class Model:
    """What callbacks need of a model; its one weight counts the epochs it was trained."""

    name, built = "fake", True

    def __init__(self):
        self.optimizer, self.weights, self.stop_training, self.files = Optimizer(), [np.zeros(())], False, []

    def get_weights(self):
        return [w.copy() for w in self.weights]

    def set_weights(self, weights):
        self.weights = weights

    def save(self, path, overwrite=True):
        self.files.append(path)
        np.asarray(self.weights[0]).tofile(path)

    save_weights = save


class OnDevice:
    """A scalar that a device is computing: knows when it is ready and counts how often somebody reads it."""

    shape, dtype = (), np.dtype("float32")

    def __init__(self, value, ready=False):
        self.value, self.ready, self.reads, self.deleted = value, ready, 0, False

    def is_ready(self):
        return self.ready

    def is_deleted(self):
        return self.deleted

    def __array__(self, dtype=None, copy=None):
        self.reads += 1
        return np.asarray(self.value, dtype)


def fit(callback, epochs, model=None, steps=1):
    """A training loop: `epochs` is a list of epoch logs. Returns the model; the loop keeps Keras's order of calls."""
    model = model or Model()
    calls = callback if isinstance(callback, CallbackList) else CallbackList(callback, model=model, epochs=len(epochs))
    calls.on_train_begin()
    logs = None
    for epoch in range(len(epochs)):
        calls.on_epoch_begin(epoch)
        for step in range(steps):
            calls.on_train_batch_begin(step)
            model.weights = [model.weights[0] + 1 / steps]
            calls.on_train_batch_end(step, epochs[epoch])
        logs = dict(epochs[epoch])
        calls.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    calls.on_train_end(logs)
    return model


class KerasModel(Model):
    """The fake with what real Keras's callbacks ask beyond it."""

    metrics = ()


def keras_fit(keras, callback, epochs, steps=1):
    return fit(keras.callbacks.CallbackList([callback]), epochs, _given(callback, KerasModel()), steps)


def _given(callback, model):
    callback.set_model(model)
    return model


def losses(values, name="val_loss"):
    return [{"loss": 1.0, name: float(v)} for v in values]


# ------------------------------------------------------------------------------------------ the hooks


def test_every_hook_reaches_the_callbacks_that_override_it_and_in_order():
    seen = []
    one = LambdaCallback(**{h: lambda *a, h=h: seen.append((1, h)) for h in HOOKS if "on_batch" not in h})
    two = LambdaCallback(on_batch_end=lambda b, logs: seen.append((2, "on_batch_end", b)))
    calls = CallbackList([one, [two]])
    for hook in HOOKS:
        getattr(calls, hook)(*((5,) if "batch" in hook or "epoch" in hook else ()))
    assert [s for s in seen if s[0] == 1] == [(1, h) for h in HOOKS if "on_batch" not in h]
    assert [s for s in seen if s[0] == 2] == [(2, "on_batch_end", 5)] * 2  # as itself, and for on_train_batch_end
    assert seen.index((1, "on_train_batch_end")) < len(seen) - 1 - seen[::-1].index((2, "on_batch_end", 5))


def test_hooks_have_the_names_of_real_keras(keras):
    assert {n for n in dir(keras.callbacks.Callback) if n.startswith("on_")} == set(HOOKS)
    for name in set(callbacks.__all__) - {"GradientNorms", "Logs", "Progbar"}:
        assert hasattr(keras.callbacks, name)


@pytest.mark.parametrize(
    "name",
    sorted(set(callbacks.__all__) - {"Callback", "GradientNorms", "Logs", "Progbar"}),
)
def test_arguments_and_defaults_are_those_of_real_keras(keras, name):
    import inspect

    ours, theirs = (inspect.signature(getattr(m, name)).parameters.values() for m in (callbacks, keras.callbacks))
    named = [(p.name, p.default) for p in theirs if p.kind is not p.VAR_KEYWORD]
    assert [(p.name, p.default) for p in ours if p.kind not in (p.VAR_KEYWORD, p.KEYWORD_ONLY)] == named  # or our own


def test_progbar_has_the_arguments_of_real_keras(keras):
    import inspect

    ours, theirs = (inspect.signature(c).parameters for c in (Progbar, keras.utils.Progbar))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


def test_only_overridden_batch_hooks_count(tmp_path):
    class Batches(Callback):
        def on_test_batch_begin(self, batch, logs=None):
            pass

    path = str(tmp_path / "m.keras")
    quiet = [History(), ProgbarLogger(), EarlyStopping(), ModelCheckpoint(path), TerminateOnNaN(), Callback()]
    for kind in ("train", "test", "predict"):
        assert not CallbackList(quiet).has_batch_hooks(kind)
        assert CallbackList([Batches()]).has_batch_hooks(kind) == (kind == "test")
    assert CallbackList(ModelCheckpoint(path, save_freq=10)).has_batch_hooks("train")
    assert CallbackList(LambdaCallback(on_batch_begin=print)).has_batch_hooks("train")
    assert not CallbackList(LambdaCallback(on_batch_begin=print)).has_batch_hooks("test")
    assert not CallbackList([EarlyStopping()]).uses("on_batch_end")


def test_a_subclass_of_model_checkpoint_keeps_its_own_batch_hook():
    class Mine(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.called = batch

    mine = Mine("m.keras")
    assert CallbackList(mine).has_batch_hooks("train")
    CallbackList(mine).on_train_batch_end(3)
    assert mine.called == 3


def test_hooks_given_while_training_begins_are_called():
    class Late(Callback):
        def on_train_begin(self, logs=None):
            self.on_epoch_end = lambda epoch, logs: seen.append(epoch)

    seen = []
    fit(Late(), [{}, {}])
    assert seen == [0, 1]


def test_a_callback_need_not_call_super_and_annotated_attributes_stay_its_own():
    class Mine(Callback):
        losses: list
        every: int = 2

        def __init__(self):
            self.losses = []

        def on_epoch_end(self, epoch, logs=None):
            self.losses.append(logs["loss"] * self.every)

    mine = Mine()
    model = fit(mine, [{"loss": 0.5}])
    assert mine.losses == [1.0] and mine.model is model and mine.params == {"epochs": 1}


def test_real_keras_callbacks_work_in_our_list_and_count_as_overriding_nothing_more(keras):
    theirs = keras.callbacks.EarlyStopping("loss", mode="min", patience=1)
    calls = CallbackList([theirs], model=Model(), epochs=9)
    assert not any(calls.has_batch_hooks(kind) for kind in ("train", "test", "predict"))
    fit(calls, losses([1.0] * 9), calls.model)
    assert theirs.stopped_epoch == 1


def test_exceptions_in_hooks_surface_as_themselves():
    class Mine(Exception):
        pass

    def fail(epoch, logs):
        raise Mine("here")

    with pytest.raises(Mine, match="here"):
        fit(LambdaCallback(on_epoch_end=fail), [{}])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ([EarlyStopping], r"expected objects, got the class EarlyStopping. Write EarlyStopping\(\)."),
        (print, "A function becomes one with LambdaCallback"),
        ("early_stopping", "expected Callback objects, got 'early_stopping'"),
    ],
)
def test_what_is_no_callback_is_refused(wrong, message):
    with pytest.raises(TypeError, match=message):
        CallbackList(wrong)


def test_lambda_callback_refuses_hooks_that_do_not_exist_and_what_cannot_be_called():
    with pytest.raises(TypeError, match=r"there is no hook 'on_epoch_ends'. Did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)
    with pytest.raises(TypeError, match="expected a function, got 3"):
        LambdaCallback(on_test_end=3)


def test_settings_can_be_assigned_later_and_are_checked_then_too():
    stop = EarlyStopping()
    stop.patience = 4.0
    assert stop.patience == 4 and type(stop.patience) is int
    with pytest.raises(ValueError, match=r"EarlyStopping\(patience=-1\): expected an integer >= 0"):
        stop.patience = -1
    with pytest.raises(TypeError, match=r"no argument 'patiance'\. Did you mean 'patience'"):
        EarlyStopping(patiance=3)
    with pytest.raises(ValueError, match="expected one of 'auto', 'min', 'max', got 'maximum'"):
        EarlyStopping(mode="maximum")
    assert EarlyStopping.from_config(EarlyStopping("loss", 0.1, 3).get_config()).patience == 3


def test_history_and_progress_bar_are_added_once():
    model = Model()
    calls = CallbackList([History()], add_history=True, add_progbar=True, model=model, epochs=2, steps=3, verbose=0)
    assert [type(c).__name__ for c in calls] == ["History", "ProgbarLogger"]
    assert model.history is calls.history is calls.callbacks[0]
    late = History()
    calls.append(late)
    assert late.model is model and late.params == {"epochs": 2, "steps": 3, "verbose": 0} and len(calls) == 3


# ------------------------------------------------------------------------------------------- the logs


def test_logs_are_not_read_until_a_hook_reads_a_value():
    loss = OnDevice(0.5)
    seen = []
    calls = CallbackList(
        [
            LambdaCallback(
                on_train_batch_end=lambda b, logs: seen.append(("loss" in logs, len(logs or {}), list(logs)))
            ),
            History(),
            ProgbarLogger(),
            TerminateOnNaN(),
        ],
        model=Model(),
        epochs=2,
        steps=3,
        verbose=1,
    )
    calls.on_train_begin()
    calls.on_epoch_begin(0)
    calls.on_train_batch_end(0, {"loss": loss})
    assert seen == [(True, 1, ["loss"])] and loss.reads == 0
    calls = CallbackList(LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(logs["loss"])))
    calls.on_train_batch_end(0, {"loss": loss})
    assert seen[-1] == 0.5 and type(seen[-1]) is float and loss.reads == 1


def test_a_function_as_logs_is_not_called_when_no_hook_wants_it():
    calls = CallbackList([EarlyStopping()], model=Model())
    calls.on_train_batch_end(0, Logs(lambda: pytest.fail("called")))


@pytest.mark.parametrize(
    "read",
    [
        dict,
        lambda logs: {**logs},
        lambda logs: (lambda **names: names)(**logs),
        lambda logs: json.loads(json.dumps(logs)),
        lambda logs: pickle.loads(pickle.dumps(logs)),
        lambda logs: logs.copy(),
        lambda logs: logs | {},
        lambda logs: {} | logs,
        lambda logs: dict(logs.items()),
        lambda logs: dict(zip(logs.keys(), logs.values(), strict=True)),
        lambda logs: {name: logs.get(name) for name in logs},
        lambda logs: eval(repr(logs)),
        lambda logs: logs,
    ],
)
def test_every_way_to_read_a_dict_gives_floats(read):
    seen = []
    calls = CallbackList(LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(read(logs))))
    calls.on_train_batch_end(0, Logs(lambda: {"b": OnDevice(0.5), "a": {"c": np.float32(2), "d": True}}))
    assert seen == [{"b": 0.5, "c": 2.0, "d": 1.0}] and list(seen[0]) in (["c", "d", "b"], ["b", "c", "d"])


def test_what_one_callback_writes_into_the_logs_the_next_one_reads():
    seen = []
    write = LambdaCallback(on_epoch_end=lambda e, logs: logs.update(extra=3.0))
    read = LambdaCallback(on_epoch_end=lambda e, logs: seen.append(dict(logs)))
    given = {"loss": np.float32(0.5)}
    CallbackList([write, read]).on_epoch_end(0, given)
    assert seen == [{"loss": 0.5, "extra": 3.0}] and given == {"loss": np.float32(0.5)}


def test_logs_hold_jax_scalars_arrays_and_text(key):
    import jax.numpy as jnp

    logs = Logs({"loss": jnp.float32(0.25), "one": np.ones(1), "two": np.ones(2), "text": "1"})
    assert logs["loss"] == 0.25 and logs["one"].shape == (1,)
    assert logs["two"].tolist() == [1.0, 1.0] and logs["text"] == "1"
    half = Logs({"loss": jnp.bfloat16(0.25)})["loss"]
    assert half == 0.25 and type(half) is float


def test_predictions_in_the_logs_stay_arrays_even_for_one_row():
    seen = []
    calls = CallbackList(LambdaCallback(on_predict_batch_end=lambda b, logs: seen.append(logs["outputs"])))
    calls.on_predict_batch_end(0, {"outputs": np.ones((1, 1), np.float32)})
    assert seen[0].shape == (1, 1)


def test_history_does_not_wait_for_the_device_and_reads_as_keras(keras):
    values = [{"loss": OnDevice(0.5), "accuracy": OnDevice(0.25)}, {"loss": OnDevice(0.4), "accuracy": OnDevice(0.5)}]
    calls = CallbackList(add_history=True, model=Model())
    calls.on_train_begin()
    for epoch, logs in enumerate(values):
        calls.on_epoch_end(epoch, logs)
    assert all(v.reads == 0 for logs in values for v in logs.values())
    theirs = keras.callbacks.CallbackList(add_history=True, model=KerasModel())
    theirs.on_train_begin()
    for epoch, logs in enumerate(values):
        theirs.on_epoch_end(epoch, {k: v.value for k, v in logs.items()})
    assert calls.history.history == theirs._history.history and calls.history.epoch == [0, 1]
    assert list(calls.history.history) == list(theirs._history.history)


# -------------------------------------------------------------------------------- decisions like Keras's

RANDOM = np.random.default_rng(0)
SEQUENCES = [
    [3, 2, 1, 1, 1, 1, 1, 1],
    [1, 2, 3, 4, 5, 6, 7, 8],
    [5, 4, 4.5, 3, 3.2, 3.1, 2.9, 3, 3, 3, 3],
    [0.0, -1, -1, -1, -2, -2, -2],
    *(np.round(RANDOM.normal(size=(4, 14)), 2).tolist()),
]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 3, "min_delta": 0.4},
        {"patience": 2, "min_delta": -0.4, "restore_best_weights": True},
        {"patience": 1, "baseline": 0.5, "restore_best_weights": True},
        {"patience": 3, "baseline": 3.05},
        {"patience": 2, "start_from_epoch": 3, "restore_best_weights": True},
    ],
    ids=str,
)
def test_early_stopping_decides_as_real_keras(keras, mode, options):
    for values in SEQUENCES:
        ours, theirs = (c.EarlyStopping(mode=mode, **options) for c in (callbacks, keras.callbacks))
        for _ in range(2):  # the second fit starts anew
            model, judge = fit(ours, losses(values)), keras_fit(keras, theirs, losses(values))
            assert model.stop_training == judge.stop_training
            assert model.weights == judge.weights
            for name in ("best", "best_epoch", "stopped_epoch", "wait"):
                assert getattr(ours, name) == getattr(theirs, name), (name, values)
            theirs.monitor_op, theirs.min_delta = None, options.get("min_delta", 0) and abs(options["min_delta"])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5, "min_delta": 0.3},
        {"patience": 1, "factor": 0.3, "cooldown": 2},
        {"patience": 1, "factor": 0.5, "min_lr": 0.02},
        {"patience": 0, "factor": 0.9, "cooldown": 1},
    ],
    ids=str,
)
def test_reduce_lr_on_plateau_decides_as_real_keras(keras, mode, options):
    for values in SEQUENCES:
        rates = []
        for module in (callbacks, keras.callbacks):
            callback = module.ReduceLROnPlateau(mode=mode, **options)
            history = module.History()
            model = KerasModel()
            fit(module.CallbackList([callback, history], model=model), losses(values), model)
            rates.append((history.history["learning_rate"], callback.wait, callback.cooldown_counter, callback.best))
        assert rates[0] == rates[1], values


def test_reduce_lr_says_what_it_did_and_refuses_a_factor_of_one(capsys):
    fit(ReduceLROnPlateau("loss", factor=0.5, patience=1, verbose=1), [{"loss": 1.0}] * 2)
    assert capsys.readouterr().out == "Epoch 2: learning rate lowered from 0.1 to 0.05.\n"
    with pytest.raises(ValueError, match="expected a factor below 1"):
        ReduceLROnPlateau(factor=1.0)


@pytest.mark.parametrize("options", [{}, {"initial_value_threshold": 3.05}, {"save_weights_only": True}], ids=str)
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("best_only", [True, False])
def test_model_checkpoint_saves_when_real_keras_does_and_under_the_same_name(keras, tmp_path, mode, best_only, options):
    ending = ".weights.h5" if options.get("save_weights_only") else ".keras"
    path = tmp_path / ("{epoch:02d}-{val_loss:.2f}" + ending)
    total = 0
    for values in SEQUENCES[2:5]:
        saved = []
        for module in (callbacks, keras.callbacks):
            callback = module.ModelCheckpoint(path, save_best_only=best_only, mode=mode, **options)
            calls = module.CallbackList([callback], model=KerasModel())
            first = fit(calls, losses(values), calls.callbacks[0].model).files
            saved.append((first, callback.best))
            again = fit(calls, losses(values[::-1]), calls.callbacks[0].model).files  # the best outlives a fit
            saved[-1] += (again, callback.best)
        assert saved[0] == saved[1]
        total += len(saved[0][0])
    assert total > 0


@pytest.mark.parametrize("save_freq", [1, 3, 7, 20])
def test_model_checkpoint_saves_every_so_many_batches_as_real_keras(keras, tmp_path, save_freq):
    path = str(tmp_path / "{epoch}-{batch}-{val_loss:.1f}.keras")
    saved = []
    for module in (callbacks, keras.callbacks):
        calls = module.CallbackList([module.ModelCheckpoint(path, save_freq=save_freq)], model=KerasModel())
        saved.append(fit(calls, losses([3, 2, 1]), calls.callbacks[0].model, steps=5).files)
    assert saved[0] == saved[1] and (saved[0] or save_freq == 20)


def test_csv_logger_writes_the_bytes_of_real_keras(keras, tmp_path):
    for options, lines in (({}, 2), ({"separator": ";"}, 2), ({"append": True}, 4)):
        written = []
        for module in (callbacks, keras.callbacks):
            path = tmp_path / f"{module.__name__}-{len(written)}-{options}.csv"
            for logs in ([{"loss": 0.5, "acc": 0.1}, {"loss": 0.25, "val_loss": 0.1}], [{"loss": 1.5, "val_loss": 2}]):
                fit(module.CallbackList([module.CSVLogger(path, **options)], model=KerasModel()), logs, KerasModel())
            written.append(path.read_bytes())
        assert written[0].replace(b"\r\n", b"\n") == written[1].replace(b"\r\n", b"\n")
        assert written[0].count(b"\n") == lines


def test_csv_logger_reads_back_and_is_complete_after_every_epoch(tmp_path):
    path = tmp_path / "log.csv"
    lines = []
    look = LambdaCallback(on_epoch_end=lambda e, logs: lines.append(path.read_text().count("\n")))
    fit([CSVLogger(path), look], [{"loss": 0.1}] * 3)
    assert lines == [2, 3, 4]
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"epoch": str(e), "loss": "0.1", "val_loss": "NA"} for e in range(3)]


def test_learning_rate_scheduler_takes_one_argument_or_two(keras):
    for schedule in (lambda epoch: 0.1 / (1 + epoch), lambda epoch, rate: rate * 0.5, lambda epoch, rate=1.0: rate / 3):
        rates = []
        for module in (callbacks, keras.callbacks):
            history, model = module.History(), KerasModel()
            fit(
                module.CallbackList([module.LearningRateScheduler(schedule), history], model=model),
                losses(range(4)),
                model,
            )
            rates.append(history.history["learning_rate"])
        assert rates[0] == rates[1]


def test_learning_rate_scheduler_says_what_went_wrong():
    with pytest.raises(ValueError, match="expected the schedule to return a number, got None for epoch 0"):
        fit(LearningRateScheduler(lambda epoch: None), [{}])
    with pytest.raises(TypeError, match="expected a function of"):
        LearningRateScheduler(0.1)

    def broken(epoch, rate):
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):  # real Keras would call it again with one argument
        fit(LearningRateScheduler(broken), [{}])
    fit(LearningRateScheduler(lambda epoch: np.float32(1)), [{}])  # any number will do


def test_terminate_on_nan_stops_where_real_keras_stops(keras):
    for bad in (math.nan, math.inf, -math.inf):
        ended = []
        for module in (callbacks, keras.callbacks):
            calls = module.CallbackList([module.TerminateOnNaN()], model=KerasModel())
            ended.append(fit(calls, [{"loss": 1.0}, {"loss": bad}, {"loss": 1.0}], calls.callbacks[0].model).weights)
        assert ended[0] == ended[1] == [2.0]
    with pytest.raises(RuntimeError, match="the loss became nan at batch 0"):
        fit(TerminateOnNaN(raise_error=True), [{"loss": math.nan}])


def test_terminate_on_nan_looks_one_dispatch_behind_and_never_misses_the_last(capsys):
    bad, callback, model = OnDevice(math.nan), TerminateOnNaN(), Model()
    callback.set_model(model)
    callback.on_train_batch_end(15, {"loss": bad})
    assert bad.reads == 0 and not model.stop_training
    callback.on_train_batch_end(31, {"loss": OnDevice(math.nan)})
    assert model.stop_training and capsys.readouterr().out == "Batch 15: the loss is nan, training stops.\n"
    model.stop_training = False
    callback.on_train_begin()
    callback.on_train_batch_end(0, {"loss": bad})
    callback.on_epoch_end(0)
    assert model.stop_training


# ------------------------------------------------------------------------------------- names and modes


def test_auto_mode_agrees_with_every_metric_of_real_keras(keras):
    needs = {
        "MeanIoU": {"num_classes": 2},
        "OneHotMeanIoU": {"num_classes": 2},
        "IoU": {"num_classes": 2, "target_class_ids": [0]},
        "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
        "MeanRelativeError": {"normalizer": [1.0]},
    }
    checked = 0
    for name in dir(keras.metrics):
        cls = getattr(keras.metrics, name)
        if not isinstance(cls, type) or name in ("Metric", "MeanMetricWrapper"):
            continue
        metric = cls(**needs.get(name, {}))
        if said := getattr(metric, "_direction", None):
            want = "max" if said == "up" else "min"
            plain = re.sub(r"(_\d+)+$", "", metric.name)  # Keras counts names over the whole process
            for spelling in (plain, f"val_{plain}", f"head_{plain}", f"{plain}_1"):
                assert direction(spelling) == want, spelling
            checked += 1
    assert checked > 30


def test_auto_mode_asks_the_metric_before_the_name():
    class Metric:
        name, direction = "my_loss", "up"

    assert direction("my_loss", [Metric]) == direction("val_head_my_loss", [Metric]) == "max"
    assert direction("my_loss") == "min" and direction("acc") == "max" and direction("digits_accuracy") == "max"
    with pytest.raises(ValueError, match=r"EarlyStopping\(monitor='score'\): mode='auto' cannot tell whether 'score'"):
        fit(EarlyStopping("score"), [{"score": 1.0}])
    fit(EarlyStopping("score", mode="max"), [{"score": 1.0}])


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda m: ModelCheckpoint("m.h5", m, 0, True)])
def test_a_monitor_that_is_not_logged_is_said_once_with_the_nearest_name(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning) as caught:
        fit(make("val_acuracy"), [{"loss": 1.0, "val_accuracy": 0.5}] * 3)
    (warning,) = caught
    assert re.search(
        r"'val_acuracy' is not among the logs, so .*Available: .*Did you mean 'val_accuracy'", str(warning)
    )


def test_nan_is_never_the_best():
    # Real Keras takes a NaN first epoch for the best one, and nothing is ever better than NaN.
    stop = EarlyStopping(patience=2, restore_best_weights=True)
    model = fit(stop, losses([math.nan, 3, 2, math.nan, 1]))
    assert stop.best == 1 and stop.best_epoch == 4 and model.weights == [5.0]


def test_early_stopping_says_what_it_did(capsys):
    fit(EarlyStopping(patience=1, verbose=1, restore_best_weights=True), losses([2, 1, 3]))
    out = "Epoch 3: stopped early, val_loss was best in epoch 2.\nThe weights of epoch 2 are restored.\n"
    assert capsys.readouterr().out == out


def test_a_monitored_array_is_refused():
    with pytest.raises(TypeError, match=r"expected a single number in logs\['loss'\]"):
        fit(EarlyStopping("loss"), [{"loss": np.ones(2)}])


# ----------------------------------------------------------------------------------- files and backups


def test_model_checkpoint_says_what_is_wrong_with_its_path(tmp_path):
    with pytest.raises(ValueError, match=r"expected a path that ends in .weights.h5 or .h5"):
        ModelCheckpoint("m.keras", save_weights_only=True)
    with pytest.raises(ValueError, match=r"expected a path that ends in .keras or .h5"):
        ModelCheckpoint("m.tf")
    with pytest.raises(ValueError, match="expected 'epoch' or a positive number of batches, got 'batch'"):
        ModelCheckpoint("m.keras", save_freq="batch")
    with pytest.raises(KeyError, match=r"'val_acu' is not among the logs\. Available: epoch, loss, val_accuracy"):
        fit(ModelCheckpoint("{val_acu:.2f}.keras"), [{"loss": 1.0, "val_accuracy": 0.5}])
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError, match=r"expected a file, .*m.keras is a folder"):
        fit(ModelCheckpoint(tmp_path / "m.keras"), [{}])


def test_model_checkpoint_makes_folders_and_says_why_it_saves(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit(ModelCheckpoint("a/b/{epoch}.h5", verbose=1, save_best_only=True), losses([2, 3, 1]))
    assert sorted(os.listdir("a/b")) == ["1.h5", "3.h5"]
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1: val_loss improved from nothing to 2.00000, saving to a/b/1.h5",
        "Epoch 2: val_loss 3.00000 is not better than 2.00000",
        "Epoch 3: val_loss improved from 2.00000 to 1.00000, saving to a/b/3.h5",
    ]


def test_a_checkpoint_of_every_batch_does_not_read_logs_it_does_not_need(tmp_path):
    loss = OnDevice(1.0)
    calls = CallbackList(ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=1), model=Model())
    calls.on_epoch_begin(0)
    calls.on_train_batch_end(0, {"loss": loss})
    assert (tmp_path / "1-1.keras").exists() and loss.reads == 0


# ------------------------------------------------------------------------------------ the progress bar


class Terminal:
    """A stream that says it is a terminal and shows what would stand on its lines."""

    encoding = "utf-8"

    def __init__(self):
        self.written = ""

    def isatty(self):
        return True

    def write(self, text):
        self.written += text

    def flush(self):
        pass

    def lines(self):
        """What is left on the screen: within a line, each repaint covers the one before it."""
        out = []
        for line in re.sub(r"\x1b\[\d*m|\x08", "", self.written).split("\n"):
            screen = ""
            for painted in line.split("\r"):
                screen = painted + screen[len(painted) :]
            out.append(screen.rstrip())
        return out


@pytest.fixture(autouse=True)
def usual_environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(callbacks.progbar, "_unfinished", None)
    monkeypatch.setattr(callbacks.progbar, "sys", SimpleNamespace(stdout=stream, modules=sys.modules))
    return stream


@pytest.fixture
def clock(monkeypatch):
    """Time that moves only when told to."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def drive(module, clock, steps, verbose, kind="train", second=0.25):
    """The same two epochs, or one evaluation, through a module's CallbackList and its progress bar."""
    calls = module.CallbackList(add_progbar=True, model=KerasModel(), epochs=2, steps=steps, verbose=verbose)
    calls._async_train = calls._async_test = calls._async_predict = False  # real Keras: now, not in a thread
    getattr(calls, f"on_{kind}_begin")()
    for epoch in range(2 if kind == "train" else 1):
        if kind == "train":
            calls.on_epoch_begin(epoch)
        for step in range(12):
            # The first step compiles. Real Keras leaves that out of the pace with verbose=1 only, we always.
            clock[0] += second * (9 if step == 0 and verbose == 1 else 1)
            logs = {"loss": 10.0 ** (1 - step), "accuracy": -step / 12}
            getattr(calls, f"on_{kind}_batch_end")(step, {"outputs": 0} if kind == "predict" else logs)
        if kind == "train":
            calls.on_epoch_end(epoch, {"loss": 2e-4, "accuracy": 0.5, "val_loss": 0.0})
    getattr(calls, f"on_{kind}_end")(*([{"loss": 0.125, "accuracy": 0.5}] if kind == "test" else []))


@pytest.mark.parametrize("kind", ["train", "test", "predict"])
@pytest.mark.parametrize("steps", [12, None])
@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("second", [0.25, 40.0, 900.0, 1e-3])
def test_the_screen_shows_what_real_keras_shows(keras, clock, monkeypatch, steps, verbose, kind, second):
    screens, frames = [], []
    for module in (callbacks, keras.callbacks):
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        drive(module, clock, steps, verbose, kind, second)
        screens.append(stream.lines())
        bare = re.sub(r"\x08|\x1b\[\d*m", "", stream.written)
        frames.append([f.rstrip() for f in re.split(r"[\r\n]", bare) if f.strip()])
    assert screens[0] == screens[1]
    if second > 0.1:  # slower than either repaints: every frame in between is the same too
        assert frames[0] == frames[1] and len(frames[0]) > (10 if verbose == 1 else 0)


def test_public_progbar_averages_and_counts_as_real_keras(keras, clock, monkeypatch):
    for options in ({}, {"stateful_metrics": ["b"]}, {"stateless_metrics": ["b"]}, {"width": 7, "unit_name": "sample"}):
        screens = []
        for cls in (Progbar, keras.utils.Progbar):
            stream = Terminal()
            monkeypatch.setattr(sys, "stdout", stream)
            bar = cls(20, **options)
            for i, n in enumerate((1, 3, 6, 5)):
                clock[0] += 1.0
                bar.add(n, [("a", 1.0 * i), ("b", 2.0 * i)])
            bar.update(20, [("a", 0.5)])
            bare = re.sub(r"\x08|\x1b\[\d*m", "", stream.written)
            screens.append([frame.rstrip() for frame in bare.split("\r")])
        assert screens[0] == screens[1] and len(screens[0]) == 6
    with pytest.raises(ValueError, match="expected stateful_metrics or stateless_metrics, got both"):
        Progbar(3, stateful_metrics=[], stateless_metrics=[])


def test_a_file_or_ci_log_gets_one_line_an_epoch_and_no_control_characters(clock, capsys):
    drive(callbacks, clock, 12, 1)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1/2",
        "12/12 ━━━━━━━━━━━━━━━━━━━━ 5s 250ms/step - accuracy: 0.5000 - loss: 2.0000e-04 - val_loss: 0.0000e+00",
        "Epoch 2/2",
        "12/12 ━━━━━━━━━━━━━━━━━━━━ 5s 250ms/step - accuracy: 0.5000 - loss: 2.0000e-04 - val_loss: 0.0000e+00",
    ]


def test_a_stream_without_unicode_gets_a_plain_bar(clock, terminal):
    terminal.encoding = "ascii"
    drive(callbacks, clock, 12, "auto")
    assert terminal.lines()[1].startswith("12/12 ==================== 3s 250ms/step")


def test_the_bar_repaints_at_most_ten_times_a_second(clock, terminal):
    logger = ProgbarLogger()
    logger.set_params({"epochs": 1, "steps": 1000, "verbose": 1})
    logger.on_epoch_begin(0)
    for step in range(999):
        clock[0] += 0.001
        logger.on_train_batch_end(step, {"loss": 0.5})
    assert 9 <= terminal.written.count("\r") <= 11


def test_the_bar_shows_only_what_is_ready_and_keeps_the_last_number(clock, terminal):
    logger = ProgbarLogger()
    logger.set_params({"epochs": 1, "steps": 9, "verbose": 1})
    logger.on_epoch_begin(0)
    values = [OnDevice(float(v)) for v in range(8)]
    shown = []
    for step, value in enumerate(values):
        if step >= 2:
            values[step - 2].ready = True  # the device is always two steps behind
        if step == 5:
            values[4].deleted = True  # a buffer that a later step took over: the one to be shown next
        clock[0] += 1
        logger.on_train_batch_end(step, {"loss": value})
        shown.append(terminal.written.rpartition("loss: ")[2].split()[0] if "loss" in terminal.written else None)
    assert shown == [None, None, "0.0000e+00", "0.0000e+00", "2.0000", "2.0000", "2.0000", "5.0000"]
    assert [v.reads for v in values] == [1, 0, 1, 0, 0, 1, 0, 0]
    logger.on_epoch_end(0, {"loss": values[7]})
    assert terminal.lines()[0] == "8/9 ━━━━━━━━━━━━━━━━━━━━ 8s 1s/step - loss: 7.0000"


def test_messages_stand_on_lines_of_their_own_below_the_bar(clock, terminal, tmp_path):
    saver = ModelCheckpoint(tmp_path / "m.keras", verbose=1)
    calls = CallbackList([saver], add_progbar=True, model=Model(), epochs=1, steps=2, verbose=1)
    calls.on_train_begin()
    calls.on_epoch_begin(0)
    for step in range(2):
        clock[0] += 1
        calls.on_train_batch_end(step, {"loss": 0.5})
    calls.on_epoch_end(0, {"loss": 0.5})
    unfinished, message, final, rest = terminal.lines()
    assert unfinished.startswith("2/2 ━") and message.startswith("Epoch 1: saving to") and rest == ""
    assert final == "2/2 ━━━━━━━━━━━━━━━━━━━━ 2s 1s/step - loss: 0.5000"


def test_validation_within_fit_is_silent_and_a_stopped_epoch_says_where(clock, terminal):
    calls = CallbackList(add_progbar=True, model=Model(), epochs=1, steps=20, verbose=1)
    calls.on_train_begin()
    calls.on_epoch_begin(0)
    for step in (3, 7):  # several steps a call
        clock[0] += 1
        calls.on_train_batch_end(step, {"loss": 0.5})
    calls.on_test_begin()
    for step in range(30):
        calls.on_test_batch_end(step, {"loss": 7.0})
    calls.on_test_end({"loss": 7.0})
    calls.on_epoch_end(0, {"loss": 0.5})
    calls.on_train_end()
    assert terminal.lines() == [" 8/20 ━━━━━━━━━━━━━━━━━━━━ 2s 250ms/step - loss: 0.5000", ""]


def test_a_line_gets_a_shorter_bar_and_then_fewer_metrics(clock, terminal, monkeypatch):
    for columns, shown in (
        (80, ("━" * 20, True)),
        (65, ("━" * 10, True)),
        (60, ("━" * 5, True)),
        (50, ("━" * 5, False)),
    ):
        monkeypatch.setattr(callbacks.progbar, "_columns", lambda columns=columns: columns)
        monkeypatch.setattr(callbacks.progbar, "_unfinished", None)
        terminal.written = ""
        bar = Progbar(5)
        clock[0] += 1
        bar.update(2, [("loss", 0.5), ("accuracy", 1.0)])
        (line,) = terminal.lines()
        assert len(line) < columns
        assert (max(re.findall("━+", line)), line.endswith(" - accuracy: 1.0000")) == shown, line
        assert " - loss: 0.5000" in line


def test_the_count_is_that_of_the_metrics_shown(clock, terminal):
    logger = ProgbarLogger()
    logger.set_params({"epochs": 1, "steps": 9, "verbose": 1})
    logger.on_epoch_begin(0)
    values = [OnDevice(float(v)) for v in range(6)]
    for step, value in enumerate(values):
        if step >= 2:
            values[step - 2].ready = True
        clock[0] += 1
        logger.on_train_batch_end(step, {"loss": value})
        line = terminal.lines()[0]
        if "loss" in line:
            assert float(line.rpartition("loss: ")[2]) == int(line.split("/")[0]) - 1
    assert "loss" in line


def test_the_time_left_does_not_count_compiling(clock, terminal):
    logger, model = ProgbarLogger(), Model()
    model._programs = SimpleNamespace(seconds=7.0)
    logger.set_model(model)
    logger.set_params({"epochs": 1, "steps": 10, "verbose": 1})
    logger.on_epoch_begin(0)
    clock[0] += 61
    model._programs.seconds += 60
    logger.on_train_batch_end(0, {"loss": 0.5})
    assert terminal.lines()[0].split("━ ")[1].startswith("9s 1s/step")
    clock[0] += 32
    model._programs.seconds += 30  # a batch of another size
    logger.on_train_batch_end(2, {"loss": 0.5})
    assert terminal.lines()[0].split("━ ")[1].startswith("7s 1s/step")


@pytest.mark.parametrize("name, value, repaints", [("NO_COLOR", "1", True), ("TERM", "dumb", False)])
def test_the_environment_takes_colors_away(clock, terminal, monkeypatch, name, value, repaints):
    drive(callbacks, clock, 12, 1)
    assert "\x1b" in terminal.written
    terminal.written = ""
    monkeypatch.setenv(name, value)
    drive(callbacks, clock, 12, 1)
    assert "\x1b" not in terminal.written and ("\r" in terminal.written) == repaints
    assert terminal.lines()[1].startswith("12/12 ━━━━━━━━━━━━━━━━━━━━ 5s 250ms/step - accuracy: 0.5000")


def test_a_line_never_grows_beyond_the_terminal_while_it_is_repainted(clock, terminal, monkeypatch):
    monkeypatch.setattr(callbacks.progbar, "_columns", lambda: 40)
    bar = Progbar(5)
    for step in range(1, 5):
        clock[0] += 1
        bar.update(step, [("a_very_long_name_of_a_metric", 0.5), ("b", 1.0)])
    assert max(len(line) for line in terminal.lines()) <= 39
    assert "".join(t for _, t in clip([("", "abc"), ("", "def"), ("", "g")], 4)) == "abcd"


@pytest.mark.parametrize(
    "text, expected",
    [
        (number(0.00100001), "0.0010"),
        (number(0.001), "1.0000e-03"),
        (number(-0.5), "-0.5000"),
        (number(0), "0.0000e+00"),
        (number([1.0, 2.0]), "1.5000"),
        (duration(59.9), "59s"),
        (duration(60), "60s"),
        (duration(125), "2:05"),
        (duration(7384), "2:03:04"),
        (pace(0, "step"), "0s/step"),
        (pace(1.6, "step"), "2s/step"),
        (pace(0.0154, "step"), "15ms/step"),
        (pace(3e-5, "step"), "30us/step"),
        ("".join(t for _, t in render(7, None, 3.0, 0.4, {})), "      7/Unknown 3s 400ms/step"),
    ],
)
def test_numbers_and_times_read_as_in_keras(text, expected):
    assert text == expected


def test_a_server_is_told_of_each_epoch(monkeypatch, keras):
    requests = pytest.importorskip("requests")
    sent = []
    monkeypatch.setattr(requests, "post", lambda url, data=None, **about: sent.append((url, {"data": data} | about)))
    for k in (callbacks, keras.callbacks):
        for as_json in (False, True):
            monitor = k.RemoteMonitor("http://here:1", headers={"a": "b"}, send_as_json=as_json)
            monitor.on_epoch_end(2, {"loss": np.float32(0.5), "one": np.arange(1)})
    assert sent[0][1]["data"].keys() == sent[2][1]["data"].keys() == {"data"}
    assert sent[1] == sent[3]

    def fail(url, data=None, **about):
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(requests, "post", fail)
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor root server"):
        callbacks.RemoteMonitor().on_epoch_end(0, {"loss": 0.0})


def test_monitors_say_which_way_is_better_and_methods_may_have_any_name(keras, tmp_path):
    for k in (callbacks, keras.callbacks):
        with pytest.warns(UserWarning, match="mode 'unknown' is unknown"):
            k.ModelCheckpoint(str(tmp_path / "m.keras"), mode="unknown")
        assert k.LambdaCallback(mine=print).mine is print
    stop = callbacks.EarlyStopping("accuracy")
    assert stop.monitor_op is np.greater and callbacks.EarlyStopping(mode="min").monitor_op is np.less
    assert callbacks.EarlyStopping("own").monitor_op is None
