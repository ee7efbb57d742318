"""Who prints and writes files, whether to the screen or to Python's logging, and what is said of old spellings."""

import contextlib
import logging
import os
import sys
import warnings

import jax

_LOG = logging.getLogger("fkeras")
_interactive = True
_old_spellings = True


def is_interactive_logging_enabled():
    """Returns whether messages and progress bars are printed."""
    return _interactive


def enable_interactive_logging():
    """Prints messages and progress bars, as is the case at first."""
    global _interactive
    _interactive = True


def disable_interactive_logging():
    """Sends messages to the logger "fkeras" (level INFO) instead of printing them: right for jobs that nobody watches.

    Example:
        >>> disable_interactive_logging()
        >>> is_interactive_logging_enabled()
        False
        >>> enable_interactive_logging()
    """
    global _interactive
    _interactive = False


def log(text):
    """Sends a message to the logger, without the marks that paint a line anew."""
    if text := text.strip("\r\n "):
        _LOG.info(text)


# Characters that are drawn with, and what stands for them where an encoding lacks them.
_PLAIN = str.maketrans({"━": "=", "─": "-", "└": "`", "…": "~", "→": ">"})


def printable(text, stream=None):
    """Returns a text as a stream can show it: what its encoding lacks is drawn with ASCII.

    Args:
        text: Any text.
        stream: What will be written to; standard output by default.

    Example:
        >>> import io
        >>> printable("━━ 5 µs", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        '== 5 ?s'
    """
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def terminal_limits():
    """Returns what the terminal must be spared: colors (NO_COLOR, TERM=dumb), repainted lines (TERM=dumb).

    Returns:
        (no colors, no repainting).
    """
    dumb = os.environ.get("TERM") == "dumb"
    return dumb or bool(os.environ.get("NO_COLOR")), dumb


def is_main():
    """Returns True in the process that writes files and prints: the only one, or process 0.

    Example:
        >>> fkeras.distribute.is_main()
        True
    """
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def is_old_spelling_warning_enabled():
    """Returns whether old names and arguments are answered with a line that names today's."""
    return _old_spellings


def enable_old_spelling_warning():
    """Lets old names and arguments be answered with a line that names today's, as is the case at first."""
    global _old_spellings
    _old_spellings = True


def disable_old_spelling_warning():
    """Takes old names and arguments without a word.

    Example:
        >>> disable_old_spelling_warning()
        >>> Dense(output_dim=3).units
        3
        >>> enable_old_spelling_warning()
    """
    global _old_spellings
    _old_spellings = False


@contextlib.contextmanager
def old_spellings_expected():
    """Within the `with` nothing is said of old spellings: a file is read, which keeps those of its time."""
    global _old_spellings
    before, _old_spellings = _old_spellings, False
    try:
        yield
    finally:
        _old_spellings = before


def old_spelling(old, today):
    """Says at the user's line what an old name or argument is called today (a DeprecationWarning); None: nothing."""
    if _old_spellings:
        text = f"{old} is called {today} today." if today else f"{old} exists no more; it is still understood."
        warnings.warn(text, DeprecationWarning, stacklevel=_outside())


def _outside():
    """Returns the `stacklevel`, for the caller, of the innermost frame that is neither this package's nor the import's.

    `warnings` itself does not count the frames of Python's import.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None:
        name, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        internal = "importlib" in file and "_bootstrap" in file
        if not internal and name.partition(".")[0] not in ("fkeras", "importlib"):
            break
        level, frame = level + (not internal), frame.f_back
    return level
