"""The progress bar: a pure function that renders a line, and two classes that decide when to show one."""

import os
import sys
import time

import numpy as np

from fkeras.callbacks.base import Callback
from fkeras.callbacks.logs import as_logs, is_ready
from fkeras.callbacks.norms import is_of_a_layer
from fkeras.core import messages

BOLD, GREEN, WHITE, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", ""

# ----------------------------------------------------------------------------------------- rendering


def number(value):
    """A metric as Keras shows it: four decimals, or scientific when at most 0.001 in size."""
    value = float(np.mean(np.asarray(value)))
    return f"{value:.4e}" if abs(value) <= 1e-3 else f"{value:.4f}"


def duration(seconds):
    """Seconds as 42s, 1:05 or 2:00:07."""
    seconds = int(seconds)
    if seconds > 3600:
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds > 60 else f"{seconds}s"


def pace(seconds, unit):
    """Time for one step, in the unit that suits its size: 2s/step, 15ms/step, 80us/step."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    return f"{seconds * 1e3:.0f}ms/{unit}" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/{unit}"


def render(current, target, elapsed, per_step, metrics, *, width=20, done=False, unit="step"):
    """Returns the line of a progress bar as pieces (style, text).

    Args:
        current, target: Steps done, and steps in all or None when that is not known.
        elapsed, per_step: Seconds since the start, seconds a step takes.
        metrics: Dict of name -> text.
        width: Length of the bar in characters.
        done: Show the time it took, not the time that is left.

    Example:
        >>> "".join(text for _, text in render(3, 12, 6.0, 2.0, {"loss": "0.5000"}, width=8))
        ' 3/12 ━━━━━━━━ 18s 2s/step - loss: 0.5000'
    """
    if target:
        filled = min(width, width * current // target)
        pieces = [(BOLD, f"{current:>{len(str(target))}}/{target}"), (PLAIN, " ")]
        pieces += [(GREEN, "━" * filled), (WHITE, "━" * (width - filled))]
    else:
        pieces = [(PLAIN, f"{current:>7}/Unknown")]
    # A finished time is rounded, a remaining one is cut off: as Keras.
    clock = f"{elapsed:.0f}s" if done or not target else duration(per_step * max(0, target - current))
    pieces += [(PLAIN, " "), (BOLD, clock), (PLAIN, f" {pace(per_step, unit)}")]
    return pieces + [(PLAIN, f" - {name}: {text}") for name, text in metrics.items()]


def clip(pieces, columns):
    """Returns the pieces cut after `columns` characters: a line that wraps cannot be painted over."""
    out = []
    for style, text in pieces:
        out.append((style, text[:columns]))
        columns = max(0, columns - len(text))
    return out


# ------------------------------------------------------------------------------------------- writing

_unfinished = None  # the Progbar whose line is on the screen without a newline


def say(text):
    """Prints a callback's message on a line of its own, below an unfinished progress bar."""
    _end_line()
    _write(text + "\n")


def _end_line():
    global _unfinished
    if _unfinished is not None:
        _unfinished._length, _unfinished = 0, None
        _write("\n")


def _write(text):
    if not messages.is_interactive_logging_enabled():
        messages.log(text)
        return
    stream = sys.stdout
    stream.write(messages.printable(text, stream))
    stream.flush()


def _on_terminal():
    if not messages.is_interactive_logging_enabled():
        return False
    stream = sys.stdout
    if "ipykernel" not in sys.modules and messages.terminal_limits()[1]:
        return False
    return bool(getattr(stream, "isatty", bool)()) or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


def _columns():
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, AttributeError, ValueError):  # a notebook, a pipe, a closed stream
        return 0


# ------------------------------------------------------------------------------------------- classes


class Progbar:
    """A progress bar: repainted in place on a terminal or in a notebook; elsewhere printed once, when complete.

    Metrics that a device is still computing are not waited for: the last numbers stay, with the count of steps they
    belong to, until the next ones are there. On a terminal a line that is painted anew fits its width: the bar gets
    shorter, then the last metrics are left out. In the environment NO_COLOR takes the colors away, and with TERM=dumb
    nothing is painted anew.

    Args:
        target: Steps in all, or None when that is not known.
        width: Length of the bar in characters.
        verbose: 0 silent, 1 bar, 2 one line when complete.
        interval: Least seconds between two repaints.
        stateful_metrics: Names shown as they are; all others are averaged over the steps.
        stateless_metrics: Instead: names that are averaged over the steps; all others are shown as they are.
        unit_name: What a step is called.

    Raises:
        ValueError: Both `stateful_metrics` and `stateless_metrics` are given.

    Example:
        >>> Progbar(4, verbose=2).update(4, [("loss", 0.5)])  # doctest: +ELLIPSIS
        4/4 - 0s - ...us/step - loss: 0.5000

    Reference:
        The look and the arguments of Keras 3's `keras.utils.Progbar`.
    """

    def __init__(
        self,
        target,
        width=20,
        verbose=1,
        interval=0.05,
        stateful_metrics=None,
        stateless_metrics=None,
        unit_name="step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar: expected stateful_metrics or stateless_metrics, got both: one implies the other."
            )
        self.target, self.width, self.verbose, self.interval, self.unit_name = (
            target,
            width,
            verbose,
            interval,
            unit_name,
        )
        self._stateful = set(stateful_metrics or ())
        self._stateless = None if stateless_metrics is None else set(stateless_metrics)
        self._repaints = verbose == 1 and _on_terminal()
        self._values = {}  # name -> (sum, weight); their quotient is shown
        self._waiting = {}  # name -> the same, as it was when the device had not computed it yet
        self._texts = {}  # name -> what is shown
        self._known = {}  # name -> how many steps that is of
        self._current = 0
        self.compiling = 0.0  # seconds since the start that went into compiling: no part of the pace
        self._start = time.perf_counter()
        self._first = None  # (steps, time, seconds of compiling) at the first update: the pace is that of what follows
        self._painted = -float("inf")
        self._length = 0  # of the line on the screen

    def advance(self, current):
        """Notes that `current` steps are done; returns whether it is time to repaint."""
        now = time.perf_counter()
        self._current = current
        if self._first is None and current:
            self._first = (current, now, self.compiling)
        return self._repaints and now - self._painted >= self.interval

    def update(self, current, values=None, finalize=None):
        """Shows that `current` steps are done.

        Args:
            current: Steps done since the start.
            values: Pairs (name, value of the last step), or a dict.
            finalize: Whether the bar is complete; by default when `current` reaches the target.
        """
        done = finalize if finalize is not None else self.target is not None and current >= self.target
        steps = max(1, current - self._current)
        for name, value in dict(values or ()).items():
            stateless = name not in self._stateful if self._stateless is None else name in self._stateless
            total, weight = self._values.get(name, (0, 0))
            if stateless and not done:
                self._values[name] = (total + value * steps, weight + steps)
            else:
                self._values[name] = (value, 1)
        if self.advance(current) or (done and self.verbose):
            self._show(done)

    def add(self, n, values=None):
        """Shows that `n` more steps are done."""
        self.update(self._current + n, values)

    def _show(self, done):
        global _unfinished
        now = time.perf_counter()
        self._painted = now
        for name, fresh in self._values.items():
            self._note(name, fresh, wait=done)
        if not self._repaints:
            _write("".join(text for _, text in self._pieces(now, done)) + "\n")
            return
        pieces = self._fitting(now, done)
        if _unfinished is not None and _unfinished is not self:
            _end_line()
        length = sum(len(text) for _, text in pieces)
        bare = messages.terminal_limits()[0]
        line = "".join(f"{style}{text}\x1b[0m" if style and text and not bare else text for style, text in pieces)
        _write(f"\r{line}{' ' * (self._length - length)}" + ("\n" if done else ""))
        self._length, _unfinished = (0, None) if done else (length, self)

    def _note(self, name, fresh, wait):
        # While steps are queued the newest value is never there in time: remember one value until it has been computed.
        fresh = value, weight, step = *fresh, self._current
        if not wait and not is_ready(value):
            value, weight, step = self._waiting.setdefault(name, fresh)
            if not is_ready(value):
                if getattr(value, "is_deleted", bool)():
                    self._waiting[name] = fresh
                return
            self._waiting[name] = fresh
        else:
            self._waiting.pop(name, None)
        self._known[name] = step
        self._texts[name] = value if isinstance(value, str) else number(value / weight if weight != 1 else value)

    def _fitting(self, now, done):
        """Returns the pieces of a line that fits the terminal; a complete one keeps all of its metrics."""
        usual, columns = self._pieces(now, done), _columns()
        for pieces in (usual, *(self._pieces(now, done, width) for width in _NARROW if width < self.width)):
            if not columns or sum(len(text) for _, text in pieces) < columns:
                return pieces
        if done:
            return usual
        while len(pieces) > len(self._pieces(now, done, _NARROW[-1], {})) and sum(len(t) for _, t in pieces) >= columns:
            pieces = pieces[:-1]
        return clip(pieces, columns - 1)

    def _pieces(self, now, done, width=None, texts=None):
        current, per_step, elapsed = self._current, 0.0, now - self._start
        if current:
            steps, time_then, compiling = self._first
            if current > steps:
                per_step = max(now - time_then - (self.compiling - compiling), 0.0) / (current - steps)
            else:
                per_step = max(elapsed - self.compiling, 0.0) / current
        texts = self._texts if texts is None else texts
        if self.verbose == 2:
            total = current if self.target is None else self.target
            head = f"{current:>{len(str(total))}}/{total} - {elapsed:.0f}s - {pace(per_step, self.unit_name)}"
            return [(PLAIN, head), *((PLAIN, f" - {name}: {text}") for name, text in texts.items())]
        if not done:  # as many steps as the metrics are of: more than that are on their way, not done
            current = min(self._known.values(), default=current)
        width = self.width if width is None else width
        return render(current, self.target, elapsed, per_step, texts, width=width, done=done, unit=self.unit_name)


_NARROW = 10, 5  # widths of a bar where its line would be too long


class ProgbarLogger(Callback):
    """Shows the progress of `fit`, `evaluate` and `predict`; added by them unless `verbose=0`.

    Repaints at most ten times a second, and reads metrics only then, and only those already computed.

    Reference:
        As Keras 3.
    """

    every_batch = False

    def __init__(self):
        self.seen, self.target, self.epochs, self.verbose = 0, None, 1, 1
        self.progbar = None
        self._fitting = False

    def set_params(self, params):
        """Takes "verbose", "epochs" and "steps"."""
        super().set_params(params)
        verbose = params.get("verbose", "auto")
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.epochs = params.get("epochs") or 1
        self.target = params.get("steps")

    def on_train_begin(self, logs=None):
        self._fitting = True  # validation within fit is silent

    def on_train_end(self, logs=None):
        self._fitting = False

    def on_epoch_begin(self, epoch, logs=None):
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}")
        self._start()

    def on_epoch_end(self, epoch, logs=None):
        self._finish(logs)

    def on_train_batch_end(self, batch, logs=None):
        self._step(batch, logs)

    def on_test_begin(self, logs=None):
        if not self._fitting:
            self._start()

    def on_test_batch_end(self, batch, logs=None):
        if not self._fitting:
            self._step(batch, logs)

    def on_test_end(self, logs=None):
        if not self._fitting:
            self._finish(logs)

    def on_predict_begin(self, logs=None):
        self._start()

    def on_predict_batch_end(self, batch, logs=None):
        self._step(batch, None)  # the logs are the predictions

    def on_predict_end(self, logs=None):
        self._finish(None)

    def _start(self):
        self.seen, self._compiled = 0, self._seconds()
        # The logs are means over the epoch already, so nothing is averaged here.
        self.progbar = Progbar(self.target, verbose=self.verbose, interval=0.1, stateless_metrics=())

    def _step(self, batch, logs):
        target = self.progbar.target  # the last of several steps a call may lie beyond the end
        self.seen = batch + 1 if target is None else min(batch + 1, target)
        self.progbar.compiling = self._seconds() - self._compiled
        if self.progbar.advance(self.seen):
            self.progbar.update(self.seen, _shown(as_logs(logs).arrays()), finalize=False)

    def _seconds(self):
        """Returns the seconds that the model's programs took to compile."""
        programs = getattr(self.model, "_programs", None)
        return 0.0 if programs is None else programs.seconds

    def _finish(self, logs):
        if self.progbar is None:
            self._start()
        self.progbar.compiling = self._seconds() - self._compiled
        if self.target is None:
            self.target = self.progbar.target = self.seen
        # Fewer than the target when training was stopped within the epoch.
        self.progbar.update(self.seen or self.target, _shown(as_logs(logs)), finalize=True)


def _shown(logs):
    """Returns the logs that a line has space for."""
    return {name: value for name, value in logs.items() if not is_of_a_layer(name)}
