"""Where arrays are made and computed by default."""

import jax


def device(device_name):
    """Returns a context in which arrays are made on that device, by Keras's or JAX's name of it.

    Args:
        device_name: Such as "cpu:0", "gpu:1", "cpu"; or a `jax.Device`.

    Raises:
        ValueError: There is no such device.

    Example:
        >>> with device("cpu:0"):
        ...     x = jnp.ones(2)
        >>> x.devices() == {jax.devices("cpu")[0]}
        True

    Reference:
        As Keras 3's `device`.
    """
    return jax.default_device(device_of(device_name))


def device_of(name):
    """Returns the `jax.Device` of a name such as "cpu:0"; a device as it is."""
    if not isinstance(name, str):
        return name
    kind, _, number = name.lower().removeprefix("/").removeprefix("device:").partition(":")
    try:
        there = jax.devices(kind)
    except RuntimeError:
        there = []
    for one in there:
        if one.id == (int(number) if number else there[0].id):
            return one
    known = ", ".join(f"{d.platform}:{d.id}" for d in jax.devices())
    raise ValueError(f"device {name!r}: there is none; expected one of {known}.")
