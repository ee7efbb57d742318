"""Process-wide defaults by Keras's names: `keras.config.set_floatx("float32")`."""

import jax

from fkeras.core import flags
from fkeras.core.dtypes import (
    dtype_policy,
    epsilon,
    floatx,
    image_data_format,
    set_dtype_policy,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from fkeras.core.messages import (
    disable_interactive_logging,
    disable_old_spelling_warning,
    enable_interactive_logging,
    enable_old_spelling_warning,
    is_interactive_logging_enabled,
    is_old_spelling_warning_enabled,
)


def backend():
    """Returns "jax", the only backend there is."""
    return "jax"


def is_nnx_enabled():
    """Returns False: layers are pure functions, and need no Flax NNX around them."""
    return False


def enable_flash_attention():
    """Lets attention take the device's own kernel where there is one, which is the default."""
    flags.put("flash_attention", True)


def disable_flash_attention():
    """Makes attention compute its scores openly on every device, unless a call demands the device's kernel."""
    flags.put("flash_attention", False)


def is_flash_attention_enabled():
    """Returns whether attention may take the device's own kernel."""
    return flags.get("flash_attention")


def enable_traceback_filtering():
    """Leaves JAX's own frames out of tracebacks, which is the default. fkeras hides none of its own."""
    flags.put("traceback_filtering", True)
    jax.config.update("jax_traceback_filtering", "auto")


def disable_traceback_filtering():
    """Shows JAX's own frames in tracebacks too."""
    flags.put("traceback_filtering", False)
    jax.config.update("jax_traceback_filtering", "off")


def is_traceback_filtering_enabled():
    """Returns whether JAX's own frames are left out of tracebacks."""
    return flags.get("traceback_filtering")


def enable_unsafe_deserialization():
    """Refuses: nothing in a file is ever run here.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        "enable_unsafe_deserialization: code in files is never run by fkeras. Pass the functions that a file names in "
        "custom_objects, under their names."
    )


def max_epochs():
    """Returns the most epochs that `fit` runs, or None: no bound."""
    return flags.get("max_epochs")


def set_max_epochs(max_epochs):
    """Bounds the epochs of every `fit`, for a quick run of a long script; None takes the bound away.

    The environment's KERAS_MAX_EPOCHS does so without a change of the script.
    """
    flags.put("max_epochs", _bound("max_epochs", max_epochs))


def max_steps_per_epoch():
    """Returns the most steps of an epoch, of `evaluate` and of `predict`, or None: no bound."""
    return flags.get("max_steps_per_epoch")


def set_max_steps_per_epoch(max_steps_per_epoch):
    """Bounds the steps of every epoch, of `evaluate` and `predict`; None takes the bound away.

    The environment's KERAS_MAX_STEPS_PER_EPOCH does so without a change of the script.
    """
    flags.put("max_steps_per_epoch", _bound("max_steps_per_epoch", max_steps_per_epoch))


def _bound(name, value):
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"set_{name}: expected an int from 0 on, or None, got {value!r}.")
    return value


__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_old_spelling_warning",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_old_spelling_warning",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_old_spelling_warning_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]
