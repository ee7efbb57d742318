"""Callbacks that save: the model as it is or at its best, and a backup that an interrupted training resumes from."""

import os
import re
import warnings
from collections import ChainMap

from fkeras.callbacks.base import Callback, ConfiguredCallback, is_overridden
from fkeras.callbacks.monitor import MonitorCallback
from fkeras.callbacks.progbar import say
from fkeras.core.settings import nearest, setting, some


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
        mode: "min", "max" or "auto" (by the metric or its name); another one warns and is "auto", as in Keras.
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
    mode: str = "auto"
    save_freq: str | int = setting(frequency, "epoch")
    initial_value_threshold: float | None = None

    writes = "filepath"

    remembers = "best", "_epoch", "_unsaved", "_last_batch"

    def check(self):
        endings = (".weights.h5", ".h5", ".hdf5") if self.save_weights_only else (".keras", ".h5", ".hdf5")
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"ModelCheckpoint(filepath={self.filepath!r}, save_weights_only={self.save_weights_only}): expected a "
                f"path that ends in {' or '.join(endings[:2])}."
            )
        if self.mode not in ("auto", "min", "max"):
            warnings.warn(f"ModelCheckpoint mode {self.mode!r} is unknown; 'auto' is taken.", stacklevel=4)
            self.mode = "auto"
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


def _often(value):
    """Converter: "epoch", a positive number of batches, or a time such as "60s", "5m", "1h"."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        return value
    try:
        return frequency(value)
    except ValueError as err:
        raise ValueError(f"{err} A time such as '60s' is possible too.") from None


_TIME = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|min|h)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


class BackupAndRestore(ConfiguredCallback):
    """Backs training up, so that the same `fit` run again after an interruption goes on where it was.

    `fit(resume="folder")` is the shorter way. A run that is killed at any moment and started again ends with the same
    bits as one that was not: weights, optimizer, running statistics, metrics within the epoch, `History`, what
    callbacks remember, the order of the data and all noise. Checkpoints are written by a thread of their
    own, each whole or not at all, with a checksum for every array; a damaged one is named, and the one before it is
    used.

    Arrays, files, lists, `PyDataset`s and the folder readers go on at the batch. Other iterables are asked for
    `state()` and given to `restore(state)` (or get_state/set_state, state_dict/load_state_dict) where they have these,
    else read forward to the batch. A callback of one's own takes part by `remembers`, or by `state` and `restore`.

    Args:
        backup_dir: Folder for the checkpoints; one for each training.
        save_freq: "epoch", or besides a number of batches, or a time such as "60s".
        double_checkpoint: Keep the checkpoint before the last one too, and use it when the last is damaged.
        delete_checkpoint: Delete the checkpoints when training is complete. Kept, the same script run again goes on
            from the end, and with more epochs than before trains those.

    Raises:
        ValueError: `backup_dir` is empty, or holds checkpoints of another training. RuntimeError: Another training
            writes there.

    Example:
        >>> BackupAndRestore("run", save_freq="60s")
        BackupAndRestore(backup_dir='run', save_freq='60s')

    Reference:
        As Keras 3, whose backups can be read; there training goes on at the beginning of an epoch.
    """

    backup_dir: str = setting(_folder)
    save_freq: str | int = setting(_often, "epoch")
    double_checkpoint: bool = False
    delete_checkpoint: bool = True

    writes = "backup_dir"

    def every(self):
        """Returns (batches, seconds) from one checkpoint to the next, besides those at the ends of epochs, or None."""
        if self.save_freq == "epoch":
            return None, None
        if isinstance(self.save_freq, int):
            return self.save_freq, None
        number, unit = _TIME.fullmatch(self.save_freq).groups()
        return None, float(number) * _SECONDS[unit]
