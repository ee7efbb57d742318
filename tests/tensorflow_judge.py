"""What TensorFlow makes of SavedModels: run as a program of its own, which prints one line of JSON.

    python -m tests.tensorflow_judge FOLDER

FOLDER holds NAME/ (a SavedModel) and NAME.npz with arrays "in/x", "out/y" and, where the outputs of the first three
rows are not the first three rows of the outputs, "few/y". Printed is {NAME: {judge: {output: error or message}}} for
the judges "load" (`tf.saved_model.load`), "keras" (`keras.layers.TFSMLayer`) and "lite" (TFLite's converter and
interpreter), each at two batch sizes. The error is the largest |a - b| / (1 + |b|).
"""

import json
import os
import pathlib
import sys
import warnings

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np


def _error(found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"{found.dtype}{list(found.shape)}, expected {wanted.dtype}{list(wanted.shape)}"
    found, wanted = found.astype("float64"), wanted.astype("float64")
    error = np.abs(found - wanted) / (1 + np.abs(wanted))
    error = np.where((found == wanted) | (np.isnan(found) & np.isnan(wanted)), 0, error)
    return float(np.max(error, initial=0)) if not np.isnan(error).any() else "NaN"


def judge(run, inputs, outputs, few):
    """Returns {output: error or message} of `run(inputs)`, the worst of two batch sizes."""
    errors = {}
    wholes = {len(next(iter(inputs.values()))): outputs, 3: few or {name: y[:3] for name, y in outputs.items()}}
    for n, wanted in wholes.items():
        found = run({name: x[:n] for name, x in inputs.items()})
        for name, y in wanted.items():
            error = _error(found[name], y)
            errors[name] = max(errors.get(name, 0.0), error, key=lambda e: (isinstance(e, str), e))
    return errors


def gradients(path, inputs, wanted):
    """Returns {number of a variable: error} of the gradient of the sum of the sine of the only output."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    with tf.GradientTape() as tape:
        (y,) = loaded.signatures["serving_default"](**{n: tf.constant(a) for n, a in inputs.items()}).values()
        total = tf.reduce_sum(tf.sin(y))
    found = tape.gradient(total, list(loaded.trainable_variables))
    return {name: _error(found[int(name)], array) for name, array in wanted.items()}


def judges(path):
    """Yields (name, function that returns a function of the inputs)."""
    import tensorflow as tf

    def optimize(graphs):  # once is enough: it takes most of the time
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not graphs})

    def load():
        optimize(True)
        served = tf.saved_model.load(path).signatures["serving_default"]
        return lambda x: served(**{name: tf.constant(a) for name, a in x.items()})

    def keras():
        from keras.layers import TFSMLayer

        optimize(False)
        layer = TFSMLayer(path)
        return lambda x: layer({name: tf.constant(a) for name, a in x.items()})

    def lite():
        model = tf.lite.TFLiteConverter.from_saved_model(path).convert()
        runner = tf.lite.Interpreter(model_content=model).get_signature_runner("serving_default")
        return lambda x: runner(**x)

    return {"load": load, "keras": keras, "lite": lite}


def write_keras_2(folder):
    """Writes SavedModels with tf.keras 2, beside each what it predicts and its losses in three more steps."""
    import tensorflow as tf
    import tf_keras as keras

    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(6, 4, 3)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")
    inputs = keras.Input((4, 3))
    h = keras.layers.Bidirectional(keras.layers.SimpleRNN(3, return_sequences=True))(inputs)
    h = keras.layers.BatchNormalization()(keras.layers.TimeDistributed(keras.layers.Dense(2, activation="relu"))(h))
    inner = keras.Sequential([keras.layers.Input((4, 2)), keras.layers.Flatten(), keras.layers.Dense(5, "tanh")])
    graph = keras.Model(inputs, keras.layers.Dense(2)(inner(h)))
    chain = keras.Sequential(
        [keras.layers.Conv1D(4, 2, input_shape=(4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    optimizers = {"graph": keras.optimizers.Adam(), "chain": keras.optimizers.legacy.SGD(0.1, momentum=0.9)}
    for name, model in {"graph": graph, "chain": chain}.items():
        model.compile(optimizers[name], "mse", metrics=["mae"])
        model.train_on_batch(x, y)
        path = os.path.join(folder, "keras2", name)
        model.save(path, save_format="tf")
        model.save_weights(os.path.join(path, "checkpoint", "weights"))
        predicted = model(x).numpy()
        losses = [model.train_on_batch(x, y, reset_metrics=True)[0] for _ in range(3)]
        np.savez(f"{path}.npz", x=x, y=y, predicted=predicted, losses=losses)

    class Plain(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.ones((3, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None, 3))])
        def __call__(self, x):
            return {"doubled": x @ self.kernel}

    module = Plain()
    tf.saved_model.save(module, os.path.join(folder, "keras2", "plain"), signatures=module.__call__)


def main(folder):
    warnings.simplefilter("ignore")
    found = {}
    write_keras_2(folder)
    for file in sorted(pathlib.Path(folder).glob("*.npz")):
        with np.load(file) as data:
            arrays = [
                {k.removeprefix(kind): data[k] for k in data.files if k.startswith(kind)}
                for kind in ("in/", "out/", "few/", "grad/")
            ]
        found[file.stem] = {}
        *arrays, grads = arrays
        if grads:
            found[file.stem]["gradients"] = gradients(str(file.with_suffix("")), arrays[0], grads)
            continue
        for name, make in judges(str(file.with_suffix(""))).items():
            if name == "lite" and file.stem.startswith("no_lite"):
                continue
            try:
                found[file.stem][name] = judge(make(), *arrays)
            except Exception as err:
                found[file.stem][name] = f"{type(err).__name__}: {str(err)[-1500:]}"
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
