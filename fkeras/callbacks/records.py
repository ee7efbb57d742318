"""Callbacks that record what was logged: in memory and in a CSV file."""

import csv
import io
import os
from collections.abc import Iterable

from fkeras.callbacks.base import Callback, ConfiguredCallback
from fkeras.callbacks.logs import Record, as_logs
from fkeras.core import html
from fkeras.core.messages import is_main
from fkeras.core.optional import need
from fkeras.core.settings import nearest, setting


class History(Callback):
    """Keeps the logs of every epoch; `fit` returns it.

    Logs still being computed are kept as they are and become floats when `history` is read, so that recording an
    epoch never waits for the device.

    Attributes:
        epoch: List of epoch numbers.
        history: Dict of name -> list with one float for each epoch.

    Example:
        >>> record = History()
        >>> record.on_train_begin()
        >>> record.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.75})
        >>> record.history
        {'accuracy': [0.75], 'loss': [0.5]}

    Reference:
        As Keras 3.
    """

    def __init__(self):
        self.epoch = []
        self._history, self._unread = Record(), []

    @property
    def history(self):
        """Dict of name -> list of floats."""
        unread, self._unread = self._unread, []
        for logs in unread:
            for name, value in logs.items():
                self._history.setdefault(name, []).append(value)
        return self._history

    @history.setter
    def history(self, value):
        self._history, self._unread = value, []

    def _repr_html_(self):
        """Shows a notebook the values of each log, and a line for it beside that of its validation."""
        rows, drawn = [], []
        for name, values in self.history.items():
            numbers = [float(v) for v in values if isinstance(v, (int, float))]
            if numbers:
                shown = numbers[0], min(numbers), max(numbers), numbers[-1]
                rows.append([name, *(f"{v:.4g}" for v in shown)])
                if not name.startswith("val_"):
                    pair = [numbers, [float(v) for v in self.history.get(f"val_{name}", ())]]
                    drawn.append((name, html.lines([p for p in pair if p])))
        pictures = "".join(
            f'<div style="display: inline-block">{html.escape(name)}<br>{svg}</div>' for name, svg in drawn
        )
        head = f"{len(self.epoch)} epochs; blue: training, orange: validation"
        return html.table(["log", "first", "least", "most", "last"], rows, head, numbers=(1, 2, 3, 4)) + pictures

    def on_train_begin(self, logs=None):
        self.epoch = []

    def state(self):
        return {"epoch": list(self.epoch), "history": {name: list(values) for name, values in self.history.items()}}

    def restore(self, state):
        self.epoch, self.history = state["epoch"], Record(state["history"])

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        logs = as_logs(logs)
        logs.arrays()  # starts what a function in the logs computes while the arrays it reads are alive
        self._unread.append(logs)
        if self.model is not None:
            self.model.history = self

    def plot(self, metrics=None, path=None, show=None):
        """Draws the losses and metrics over the epochs, each with its validation beside it.

        Args:
            metrics: Names, or one name; by default all that were logged.
            path: File to save the picture in, instead of showing it.
            show: Whether to show it; by default if there is no `path`.

        Returns:
            With show=False and no path the matplotlib figure, else None.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: A name that was not logged, or nothing was.
        """
        names = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        if metrics is not None:
            wanted = [metrics] if isinstance(metrics, str) else list(metrics)
            if unknown := [name for name in wanted if name not in names]:
                raise ValueError(
                    f"History.plot: {unknown[0]!r} was not logged.{nearest(unknown[0], names)} Logged: "
                    f"{', '.join(names[:9])}."
                )
            names = wanted
        else:
            names.sort(key=lambda name: (not name.endswith("loss"), name == "learning_rate"))  # losses come first
        if not names:
            raise ValueError("History.plot: nothing was logged yet; fit the model first.")
        show = path is None if show is None else show
        cols = min(len(names), 3)
        rows = -(-len(names) // cols)
        size = (4.5 * cols, 3.2 * rows)
        if show:
            figure = need("matplotlib.pyplot", "History.plot").figure(figsize=size, layout="constrained")
        else:  # one that nobody has to close
            figure = need("matplotlib.figure", "History.plot").Figure(figsize=size, layout="constrained")
        for place, name in enumerate(names, 1):
            axes = figure.add_subplot(rows, cols, place)
            for key, label, style in ((name, "training", "o-"), (f"val_{name}", "validation", "s--")):
                values = self.history.get(key)
                if values is not None:
                    epochs = self._epochs_of(values)
                    axes.plot(epochs, values, style, markersize=3 if len(values) > 1 else 6, label=label)
            axes.set(title=name, xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            if f"val_{name}" in self.history:
                axes.legend()
        if path is not None:
            figure.savefig(path)
        elif show:
            need("matplotlib.pyplot", "History.plot").show()
        else:
            return figure
        return None

    def _epochs_of(self, values):
        """Returns the numbers of the epochs, from 1, that a list of values belongs to: the last of them, if fewer."""
        epochs = [epoch + 1 for epoch in self.epoch] or list(range(1, len(values) + 1))
        if len(values) > len(epochs):  # of several fits in a row
            return list(range(1, len(values) + 1))
        step = max(len(epochs) // len(values), 1)  # validation_freq
        return epochs[step - 1 :: step][: len(values)]


class CSVLogger(ConfiguredCallback):
    """Writes the logs of every epoch as a row of a CSV file.

    Columns are "epoch" and the sorted names of the first epoch's logs; without validation in that epoch, also their
    "val_" twins. A value that an epoch does not have is written as NA.

    Args:
        filename: Path of the file.
        separator: Between columns.
        append: Continue an existing file, without a second header, instead of starting anew.

    Reference:
        As Keras 3.
    """

    filename: str = setting(os.fspath)
    separator: str = ","
    append: bool = False

    writes = "filename"
    makes_folders = False

    _columns, _text, _begin = None, "", 0

    def on_train_begin(self, logs=None):
        self._columns, self._text = None, ""
        if not self.append and is_main():
            open(self.filename, "w").close()
        self._begin = os.path.getsize(self.filename) if os.path.exists(self.filename) else 0

    def state(self):
        return {"columns": self._columns, "text": self._text, "begin": self._begin}

    def restore(self, state):
        self._columns, self._text = state["columns"], state["text"]
        if self.append:  # what was there before this training stays
            self._begin = state["begin"]
        if is_main() and (self._text or os.path.exists(self.filename)):
            with open(self.filename, "a", newline="") as file:
                file.truncate(self._begin)
                file.write(self._text)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if not is_main():
            return
        if self._columns is None:
            names = sorted(logs)
            twins = [] if any(n.startswith("val_") for n in names) else [f"val_{n}" for n in names]
            self._columns = names + twins
            if not os.path.exists(self.filename) or not os.path.getsize(self.filename):
                self._write(["epoch", *self._columns])
        self._write([epoch, *(_cell(logs.get(name, "NA")) for name in self._columns)])

    def _write(self, row):
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator).writerow(row)
        self._text += text.getvalue()
        # Opened for each row: the file is complete after every epoch, whatever happens to the process.
        with open(self.filename, "a", newline="") as file:
            file.write(text.getvalue())


def _cell(value):
    if isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1):
        return f'"[{", ".join(map(str, value))}]"'
    return value
