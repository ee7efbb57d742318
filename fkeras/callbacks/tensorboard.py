"""What TensorBoard shows of a training, written without TensorFlow."""

import os
import time
import warnings

import jax
import numpy as np

from fkeras.callbacks.base import Callback, ConfiguredCallback, is_overridden
from fkeras.callbacks.events import HPARAMS, EventFile
from fkeras.callbacks.logs import as_logs
from fkeras.callbacks.monitor import count
from fkeras.callbacks.schedule import rated
from fkeras.core.messages import is_main
from fkeras.core.settings import optional, setting
from fkeras.layers.embedding import Embedding

_IMAGES = 3  # that TensorBoard is given of an array, as TensorFlow's own summaries do


def _freq(value):
    """Converter: "epoch", "batch" (1), or a positive number of batches."""
    if value == "epoch":
        return value
    value = 1 if value == "batch" else value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError(f"expected 'epoch', 'batch' or a positive number of batches, got {value!r}.")


def _batches(value):
    """Converter: (first, last) of 0 for none, of the number of a batch counted from 1, or of a pair, also "10,20"."""
    pair = [int(n) for n in value.split(",")] if isinstance(value, str) else value
    pair = tuple(pair) if isinstance(pair, (list, tuple)) else (pair, pair)
    if len(pair) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) for n in pair):
        raise ValueError(f"expected the number of a batch, or those of the first and the last, got {value!r}.")
    if pair != (0, 0) and not 0 < pair[0] <= pair[1]:
        raise ValueError(f"expected 0, or batches counted from 1 and the last not before the first, got {value!r}.")
    return pair


def pictures(weight):
    """Returns the images TensorBoard is shown of a weight, uint8 [N, H, W, C], or None where its shape is none.

    A vector is one column, a matrix lies on its longer side, the last axis of three counts images, and a kernel
    [H, W, C, N] of 1, 3 or 4 channels is N of them. The least number is black and the greatest white.

    Example:
        >>> pictures(np.arange(6.0).reshape(3, 2))[0, :, :, 0].tolist()
        [[0, 102, 204], [51, 153, 255]]
    """
    w = np.asarray(weight, np.float32)
    if w.ndim == 1:
        w = w[None, :, None, None]
    elif w.ndim == 2:
        w = (w.T if w.shape[0] > w.shape[1] else w)[None, :, :, None]
    elif w.ndim == 3:
        w = np.moveaxis(w, -1, 0)[..., None]
    elif w.ndim == 4 and w.shape[2] in (1, 3, 4):
        w = np.moveaxis(w, -1, 0)
    else:
        return None
    finite = w[np.isfinite(w)]
    if not finite.size:
        return None
    least, most = finite.min(), finite.max()
    scaled = (np.nan_to_num(w, nan=least, posinf=most, neginf=least)[:_IMAGES] - least) / ((most - least) or 1)
    return np.round(scaled * 255).astype(np.uint8)


class TensorBoard(ConfiguredCallback):
    """Writes a training down for TensorBoard (`tensorboard --logdir logs`), without needing it or TensorFlow.

    In `log_dir/train` and `log_dir/validation` are the tags that Keras writes: epoch_loss, epoch_learning_rate and
    each metric by the epoch; batch_loss and its like by the batch; evaluation_loss_vs_iterations. A run that is
    resumed goes on in its files, from where the checkpoint was.

    Args:
        log_dir: Folder.
        histogram_freq: Write the distribution of each weight every so many epochs; 0: never.
        write_graph: Write the graph of the layers.
        write_images: Write weights as images, with the histograms.
        write_steps_per_second: Write how many steps a second were made.
        update_freq: "epoch", or also every so many batches ("batch": each). Steps are then dispatched one by one.
        profile_batch: Number of the batch, from 1, to profile with JAX's profiler, or the first and the last of
            several, as a pair or "10,20"; 0: none. TensorBoard shows it with the package xprof.
        embeddings_freq: Write the tables of Embedding layers for the projector every so many epochs; 0: never.
        embeddings_metadata: File that names the rows of the tables, or {layer's name: file}.
        hparams: {name: number, text or bool} of this run, for TensorBoard's table of hyperparameters.

    Raises:
        ValueError: A setting that cannot be; a layer in `embeddings_metadata` that the model does not have.

    Example:
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> watch = TensorBoard("logs", histogram_freq=1, hparams={"units": 1})
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=watch)
        >>> import os; sorted(name.split(".")[0] for name in os.listdir("logs"))
        ['events', 'train']

    Reference:
        As Keras 3. `hparams` is this package's own, images are scaled to what their numbers span, and tables go to
        the projector as text instead of TensorFlow's checkpoints.
    """

    log_dir: str = setting(os.fspath, "logs")
    histogram_freq: int = setting(count, 0)
    write_graph: bool = True
    write_images: bool = False
    write_steps_per_second: bool = False
    update_freq: str | int = setting(_freq, "epoch")
    profile_batch: int | tuple | str = setting(_batches, 0)
    embeddings_freq: int = setting(count, 0)
    embeddings_metadata: str | dict | None = None
    hparams: dict | None = setting(optional(dict), None, keyword=True)

    writes = "log_dir"

    _files = _traced = None
    _batch = _epoch_batch = 0  # batches of this training, and those before this epoch
    _since = 0.0, 0  # when a pace began to be measured, and at which batch
    _fitting = False

    def uses(self, hook):
        """Whether `hook` does something: batches are looked at where `update_freq` or `profile_batch` ask for it."""
        if "train_batch" in hook and self.update_freq == "epoch" and not any(self.profile_batch):
            return False
        return is_overridden(self, hook, Callback)

    def _to(self, name):
        """Returns the event file of "train", "validation" or "", the run itself."""
        return self._files.setdefault(name, EventFile(os.path.join(self.log_dir, name)))

    def _begin(self):
        if self._files is None:
            self._files = {}
        return is_main()

    def _flush(self):
        for file in (self._files or {}).values():
            file.flush()

    # --------------------------------------------------------------------------------------- a training

    def on_train_begin(self, logs=None):
        self._stop_profile()
        self._close()
        self._batch = self._epoch_batch = 0
        self._fitting = True
        if not self._begin():
            return
        if self.embeddings_freq:
            self._configure_projector()
        if self.write_graph:
            self._write_graph()
        if self.hparams is not None:
            start = {"hparams": {k: _plain(v) for k, v in self.hparams.items()}, "start_time_secs": time.time()}
            self._write_session("start", {"session_start_info": start | {"group_name": self.log_dir}})

    def on_train_end(self, logs=None):
        self._stop_profile()
        if self.hparams is not None and is_main():
            self._write_session("end", {"session_end_info": {"status": 1, "end_time_secs": time.time()}})
        self._fitting = False
        self._close()

    def _close(self):
        self._flush()
        self._files = None

    def state(self):
        self._flush()
        files = {name: (file.name, file.size) for name, file in (self._files or {}).items()}
        return {"files": files, "batch": self._batch, "epoch_batch": self._epoch_batch}

    def restore(self, state):
        self._batch, self._epoch_batch = state["batch"], state["epoch_batch"]
        if is_main():
            for file in (self._files or {}).values():
                file.remove()
            paths = {name: os.path.join(self.log_dir, name) for name in state["files"]}
            self._files = {name: EventFile(paths[name], *about) for name, about in state["files"].items()}

    def on_epoch_begin(self, epoch, logs=None):
        self._since = time.perf_counter(), self._batch
        self._epoch_batch = self._batch
        self._epoch_began = time.perf_counter(), int(self.model.optimizer.iterations)

    def on_train_batch_begin(self, batch, logs=None):
        if self.profile_batch[0] == self._epoch_batch + batch + 1 and is_main():
            jax.profiler.start_trace(self.log_dir)
            self._traced = self.profile_batch[1]

    def on_train_batch_end(self, batch, logs=None):
        self._batch = self._epoch_batch + batch + 1
        if self._traced is not None and self._batch >= self._traced:
            jax.block_until_ready(list(as_logs(logs).arrays().values()))
            self._stop_profile()
        if self.update_freq == "epoch" or self._batch % self.update_freq or not is_main():
            return
        (then, batches), now = self._since, time.perf_counter()
        self._since = now, self._batch
        train = self._to("train")
        if self.write_steps_per_second:
            train.scalar(self._batch, "batch_steps_per_second", (self._batch - batches) / max(now - then, 1e-9))
        _write_logs(train, self._batch, as_logs(logs).items(), "batch_{}")

    def _stop_profile(self):
        if self._traced is not None:
            jax.profiler.stop_trace()
            self._traced = None

    def on_epoch_end(self, epoch, logs=None):
        if not is_main():
            return
        logs = as_logs(logs)
        found = {k: v for k, v in logs.items() if not k.startswith("val_")}
        found["learning_rate"] = float(rated(self.model.optimizer)[0].learning_rate)
        if self.write_steps_per_second:
            (then, steps), now = self._epoch_began, int(self.model.optimizer.iterations)
            found["steps_per_second"] = (now - steps) / max(time.perf_counter() - then, 1e-9)
        _write_logs(self._to("train"), epoch, found.items(), "epoch_{}")
        validated = [(k.removeprefix("val_"), v) for k, v in logs.items() if k.startswith("val_")]
        if validated:
            _write_logs(self._to("validation"), epoch, validated, "epoch_{}")
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        self._flush()

    def on_test_end(self, logs=None):
        if self._begin() and self.model.optimizer is not None:
            step = int(self.model.optimizer.iterations)
            _write_logs(self._to("validation"), step, as_logs(logs).items(), "evaluation_{}_vs_iterations")
            self._flush()
        if not self._fitting:
            self._close()

    # ------------------------------------------------------------------------------------------- pieces

    def _write_graph(self):
        try:
            text = self.model.to_json()
        except (TypeError, ValueError, NotImplementedError) as err:
            warnings.warn(f"TensorBoard: the model's graph is not written: {err}", stacklevel=4)
            return
        self._to("train").write(0, "keras", "graph_keras_model", np.array(text.encode(), object), b"1")

    def _write_session(self, which, data):
        content = HPARAMS.encode({"version": 0} | data)
        self._to("").write(0, f"_hparams_/session_{which}_info", "hparams", np.zeros(0, np.float32), content)

    def _write_weights(self, epoch):
        train = self._to("train")
        for weight in self.model.weights:
            value = np.asarray(weight)
            if value.dtype.kind in "SUO":
                continue
            train.histogram(epoch, f"{weight.path}/histogram", value)
            if self.write_images and (shown := pictures(value)) is not None:
                train.images(epoch, f"{weight.path}/image", shown)

    def _embeddings(self):
        """Returns {name: layer} of the layers with a table."""
        return {layer.name: layer for layer in self.model.own_and_inner() if isinstance(layer, Embedding)}

    def _configure_projector(self):
        names, metadata = self._embeddings(), self.embeddings_metadata or {}
        if not isinstance(metadata, dict):
            metadata = dict.fromkeys(names, os.fspath(metadata))
        if unknown := [name for name in metadata if name not in names]:
            raise ValueError(
                f"TensorBoard(embeddings_metadata=...): {unknown[0]!r} is no Embedding layer of {self.model.name!r}. "
                f"It has: {', '.join(names) or 'none'}."
            )
        os.makedirs(self.log_dir, exist_ok=True)
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "w") as file:
            for name in names:
                path = f"  metadata_path: {_quoted(metadata[name])}\n" if name in metadata else ""
                tensor = f"  tensor_name: {_quoted(name)}\n  tensor_path: {_quoted(_table(name))}\n"
                file.write(f"embeddings {{\n{tensor}{path}}}\n")

    def _write_embeddings(self):
        for name, layer in self._embeddings().items():
            table = np.asarray(layer.get_weights()[0], np.float32)
            np.savetxt(os.path.join(self.log_dir, _table(name)), table, fmt="%.9g", delimiter="\t")


def _table(name):
    return f"{name.replace(os.sep, '_')}.tsv"


def _quoted(text):
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(value):
    """Returns the message of a hyperparameter."""
    if isinstance(value, (bool, np.bool_)):
        return {"bool_value": bool(value)}
    if isinstance(value, (int, float, np.number)):
        return {"number_value": float(value)}
    return {"string_value": str(value)}


def _write_logs(file, step, logs, tag):
    """Writes the logged numbers; of a vector, such as a score per output, one by one."""
    for name, value in logs:
        if isinstance(value, (str, bytes)) or value is None:
            continue
        value = np.asarray(value)
        if value.ndim == 0:
            file.scalar(step, tag.format(name), value)
        else:
            for i, one in enumerate(value.ravel()):
                file.scalar(step, tag.format(f"{name}_{i}"), one)
