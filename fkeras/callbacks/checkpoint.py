"""Callbacks that save: the model as it is or at its best, and a backup that an interrupted training resumes from."""

import contextlib
import json
import os
import re
from collections import ChainMap

from fkeras.callbacks.base import Callback, ConfiguredCallback, is_overridden
from fkeras.callbacks.monitor import MonitorCallback, modes
from fkeras.callbacks.progbar import say
from fkeras.core.settings import nearest, setting, some
from fkeras.distribute import is_main


def frequency(value):
    """Converter: "epoch", "3 epochs", or a positive number of batches."""
    if isinstance(value, str) and re.fullmatch(r"[1-9]\d* epochs", value):
        return value
    if value == "epoch" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f"expected 'epoch' or a positive number of batches, got {value!r}.")


class SavingCallback(ConfiguredCallback):
    """Base of the callbacks that save every epoch or every `save_freq` batches: knows when.

    Subclasses have a setting `save_freq` and a method `save(epoch, batch, logs)`; at an epoch's end `batch` is None.
    """

    _epoch = _unsaved = _epochs_unsaved = 0
    _last_batch = -1

    @property
    def _epochs(self):
        """How many epochs lie between two saves; None where batches are counted."""
        words = str(self.save_freq).split()
        return 1 if words == ["epoch"] else int(words[0]) if words[1:] else None

    def uses(self, hook):
        """Whether `hook` does something: with save_freq="epoch" the batch hooks written here do not."""
        return is_overridden(self, hook, SavingCallback if self._epochs and "batch" in hook else Callback)

    def on_train_begin(self, logs=None):
        self._unsaved = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._last_batch = epoch, -1

    def on_train_batch_end(self, batch, logs=None):
        if self._epochs:
            return
        self._unsaved += batch - self._last_batch  # more than one where a call stands for several steps
        self._last_batch = batch
        if self._unsaved >= self.save_freq:
            self._unsaved = 0
            self.save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._epochs_unsaved += 1
        if self._epochs and self._epochs_unsaved >= self._epochs:
            self._epochs_unsaved = 0
            self.save(epoch, None, logs)


class ModelCheckpoint(SavingCallback, MonitorCallback):
    """Saves the model, or its weights, every epoch or every so many batches; all of them or only the best.

    Args:
        filepath: Path ending in .keras or .h5, or with `save_weights_only` in .weights.h5 or .h5. It may name the
            epoch, the batch (both counted from 1) and logged numbers: "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: Name of the logged number that tells what is best.
        verbose: 1 prints what is saved and why.
        save_best_only: Save only when `monitor` improves.
        save_weights_only: Call `model.save_weights`, not `model.save`.
        mode: "min", "max" or "auto" (by the metric or its name).
        save_freq: "epoch", "3 epochs", or a number of batches, counted on from epoch to epoch.
        initial_value_threshold: What the first save must beat, with `save_best_only`.

    Attributes:
        best: The best number so far. It outlives a call of `fit`, so that training on with the same object never
            writes something worse over the best file.

    Raises:
        ValueError: The ending of `filepath` does not fit. KeyError: It names a number that is not logged.

    Example:
        >>> ModelCheckpoint("{epoch:02d}-{loss:.2f}.keras").path(4, None, {"loss": 0.123})
        '05-0.12.keras'

    Reference:
        As Keras 3, except that NaN is never an improvement and that weights may also go to a plain .h5.
    """

    filepath: str = setting(os.fspath)
    monitor: str = "val_loss"
    verbose: int = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: str = setting(modes, "auto")
    save_freq: str | int = setting(frequency, "epoch")
    initial_value_threshold: float | None = None

    def check(self):
        endings = (".weights.h5", ".h5", ".hdf5") if self.save_weights_only else (".keras", ".h5", ".hdf5")
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"ModelCheckpoint(filepath={self.filepath!r}, save_weights_only={self.save_weights_only}): expected a "
                f"path that ends in {' or '.join(endings[:2])}."
            )
        self.best = self.initial_value_threshold

    def path(self, epoch, batch, logs):
        """Returns `filepath` with the epoch, the batch and logged numbers filled in."""
        place = {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1})
        try:
            return self.filepath.format_map(ChainMap(place, {} if logs is None else logs))
        except KeyError as err:
            known = [*place, *(logs or {})]
            raise KeyError(
                f"ModelCheckpoint(filepath={self.filepath!r}): {err.args[0]!r} is not among the logs. "
                f"Available: {some(err.args[0], known)}.{nearest(err.args[0], known)}"
            ) from None

    def save(self, epoch, batch, logs):
        reason = ""
        if self.save_best_only:
            current = self.current(logs, "every model is saved, as if save_best_only were False")
            if current is not None:
                if not self.improves(current, self.best):
                    if self.verbose:
                        say(f"Epoch {epoch + 1}: {self.monitor} {current:.5f} is not better than {_shown(self.best)}")
                    return
                reason = f"{self.monitor} improved from {_shown(self.best)} to {current:.5f}, "
                self.best = current
        path = self.path(epoch, batch, logs)
        if os.path.isdir(path):
            raise IsADirectoryError(
                f"ModelCheckpoint(filepath={self.filepath!r}): expected a file, {path} is a folder."
            )
        if self.verbose:
            say(f"Epoch {epoch + 1}: {reason}saving to {path}")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)


def _shown(best):
    return "nothing" if best is None else f"{best:.5f}"


def _folder(value):
    if not value:
        raise ValueError("expected the path of a folder, got an empty one.")
    return os.fspath(value)


# The files of a backup, ours and Keras's; nothing else in the folder is ever deleted.
_OURS = re.compile(r"((again-)?epoch-\d+-batch-\d+|latest)\.weights\.h5(\.bkp)?|training_metadata\.json(\.bkp|\.tmp)?")


class BackupAndRestore(SavingCallback):
    """Backs training up, so that the same `fit` run again after an interruption goes on where it was.

    At the beginning of training, weights and optimizer state are loaded and epochs already done are skipped
    (`model._initial_epoch`). A backup taken within an epoch resumes at that epoch's beginning. A backup counts from the
    moment its small JSON file is renamed into place; until then the one before it does, so that weights and epoch
    always belong together.

    Args:
        backup_dir: Folder for the backup; one for each training.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: Keep the backup before the last one too, and use it when the last cannot be read.
        delete_checkpoint: Delete the backup when training is complete.

    Raises:
        ValueError: `backup_dir` is empty; the model is not built when a backup is to be restored.

    Reference:
        As Keras 3, whose backups can be read. Only files of the backup are deleted, never others in the folder.
    """

    backup_dir: str = setting(_folder)
    save_freq: str | int = setting(frequency, "epoch")
    double_checkpoint: bool = False
    delete_checkpoint: bool = True

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        try:
            if self._restore(self._record()):
                return
        except (OSError, ValueError):
            if self._read(self._record(".bkp")) is None:
                raise
        self._restore(self._record(".bkp"))

    def on_train_end(self, logs=None):
        if self.delete_checkpoint and is_main():
            with contextlib.suppress(OSError):  # no such folder, or not empty: something else lives there
                for name in filter(_OURS.fullmatch, os.listdir(self.backup_dir)):
                    os.remove(os.path.join(self.backup_dir, name))
                os.rmdir(self.backup_dir)

    def save(self, epoch, batch, logs):
        """Writes a backup; `batch` is None at the end of `epoch`."""
        if not is_main():
            return
        os.makedirs(self.backup_dir, exist_ok=True)
        record, previous = self._record(), self._record(".bkp")
        old = self._read(record)
        done = {"epoch": epoch + 1, "batch": 0} if batch is None else {"epoch": epoch, "batch": batch}
        weights = "epoch-{epoch}-batch-{batch}.weights.h5".format(**done)
        if old and old["weights"] == weights:  # after a resume the same point can come again
            weights = "again-" + weights
        self.model.save_weights(os.path.join(self.backup_dir, weights))
        if self.double_checkpoint and old:
            before = self._read(previous)
            os.replace(record, previous)
            if before and before["weights"] not in (weights, old["weights"]):
                self._remove_weights(before)
            old = None
        self._write(record, done | {"weights": weights})
        if old:
            self._remove_weights(old)

    def _restore(self, record):
        done = self._read(record)
        if done is None:
            return False
        if not getattr(self.model, "built", True):
            raise ValueError(
                f"BackupAndRestore(backup_dir={self.backup_dir!r}): the model is not built, so its weights cannot be "
                f"restored. Give it an input shape, or call it on a batch of data before fit()."
            )
        self.model.load_weights(os.path.join(self.backup_dir, done["weights"]))
        self.model._initial_epoch = done["epoch"]
        return True

    def _record(self, ending=""):
        return os.path.join(self.backup_dir, "training_metadata.json" + ending)

    def _read(self, record):
        if not os.path.exists(record):
            return None
        with open(record) as file:
            done = json.load(file)
        name = os.path.basename(str(done.get("weights", "latest.weights.h5")))  # Keras's record does not name it
        return {"epoch": int(done["epoch"]), "weights": name}

    def _write(self, record, content):
        with open(record + ".tmp", "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(record + ".tmp", record)

    def _remove_weights(self, done):
        if _OURS.fullmatch(done["weights"]):
            with contextlib.suppress(OSError):
                os.remove(os.path.join(self.backup_dir, done["weights"]))
