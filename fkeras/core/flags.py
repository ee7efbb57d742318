"""Process-wide switches by Keras's names, which `fkeras.config` sets and reads."""

_flags = {
    "flash_attention": True,
    "traceback_filtering": True,
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


def get(name):
    """Returns the value of a switch."""
    return _flags[name]


def put(name, value):
    """Sets a switch."""
    _flags[name] = value
