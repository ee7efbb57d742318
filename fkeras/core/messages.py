"""Who prints and writes files, and whether messages and progress go to the screen, or to Python's logging."""

import logging

import jax

_LOG = logging.getLogger("fkeras")
_interactive = True


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


def is_main():
    """Returns True in the process that writes files and prints: the only one, or process 0.

    Example:
        >>> fkeras.distribute.is_main()
        True
    """
    return not jax.distributed.is_initialized() or jax.process_index() == 0
