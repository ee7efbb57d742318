"""Process-wide switches by Keras's names, which `fkeras.config` sets and reads."""

import os


def _bound(name):
    """Returns the number in a variable of the environment, or None.

    Raises:
        ValueError: It is no whole number from 0 on.
    """
    text = os.environ.get(name)
    if text is None or text.strip().isdecimal():
        return None if text is None else int(text)
    raise ValueError(f"The environment's {name}={text!r}: expected a whole number from 0 on.")


_flags = {
    "flash_attention": True,
    "traceback_filtering": True,
    "max_epochs": _bound("KERAS_MAX_EPOCHS"),
    "max_steps_per_epoch": _bound("KERAS_MAX_STEPS_PER_EPOCH"),
}


def get(name):
    """Returns the value of a switch."""
    return _flags[name]


def put(name, value):
    """Sets a switch."""
    _flags[name] = value
