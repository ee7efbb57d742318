"""Keras's `distribution`: which devices there are, meshes of them, and how arrays lie on a mesh.

`DataParallel` is `fkeras.distribute.DataParallel` with Keras's arguments. A `DeviceMesh` and a `TensorLayout` are a
`jax.sharding.Mesh` and a `NamedSharding`; models are not sharded by a `LayoutMap`: their parameters are whole on every
device.
"""

import collections.abc
import re

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fkeras.core.device import device_of
from fkeras.distribute import parallel, processes

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]


def list_devices(device_type=None):
    """Returns the names of the devices, such as ["cpu:0"].

    Args:
        device_type: "cpu", "gpu" or "tpu"; None for those that JAX uses by default.

    Example:
        >>> list_devices("cpu")[0]
        'cpu:0'
    """
    found = jax.devices(device_type.lower()) if device_type is not None else jax.devices()
    return [f"{d.platform}:{d.id}" for d in found]


def get_device_count(device_type=None):
    """Returns how many devices there are.

    Args:
        device_type: As in `list_devices`.
    """
    return len(list_devices(device_type))


def initialize(job_addresses=None, num_processes=None, process_id=None):
    """Joins this process to the others; see `fkeras.distribute.initialize`.

    Args:
        job_addresses: Address of the first process, or of all, with commas between.
        num_processes, process_id: How many there are, and which this one is.
    """
    first = None if job_addresses is None else job_addresses.split(",")[0]
    return processes.initialize(first, num_processes, process_id)


class DeviceMesh:
    """Devices in a grid with named axes.

    Args:
        shape: Tuple of ints.
        axis_names: A name for each axis.
        devices: List or array of devices or of their names; all by default.

    Raises:
        ValueError: Names or devices that do not fit the shape.

    Example:
        >>> DeviceMesh((1,), ["batch"], ["cpu:0"]).shape
        (1,)

    Reference:
        As Keras 3.
    """

    def __init__(self, shape, axis_names, devices=None):
        self.shape, self.axis_names = tuple(shape), list(axis_names)
        found = np.array(list_devices() if devices is None else devices, dtype=object)
        if len(self.axis_names) != len(self.shape):
            raise ValueError(f"DeviceMesh: expected an axis name for each of {self.shape}, got {self.axis_names}.")
        if found.size != np.prod(self.shape):
            raise ValueError(f"DeviceMesh: a shape of {self.shape} does not hold {found.size} devices.")
        self.devices = found.reshape(self.shape)

    @property
    def backend_mesh(self):
        """The same as a `jax.sharding.Mesh`."""
        return Mesh(np.vectorize(device_of, otypes=[object])(self.devices), self.axis_names)

    def __repr__(self):
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


class TensorLayout:
    """How an array lies on a mesh.

    Args:
        axes: For each axis of the array the name of the mesh's axis that it is split over, or None.
        device_mesh: `DeviceMesh`, or None to be set later.

    Raises:
        ValueError: A name that is no axis of the mesh.
    """

    def __init__(self, axes, device_mesh=None):
        self.axes, self._mesh = tuple(axes), None
        self.device_mesh = device_mesh

    @property
    def device_mesh(self):
        """The mesh."""
        return self._mesh

    @device_mesh.setter
    def device_mesh(self, mesh):
        unknown = [] if mesh is None else [a for a in self.axes if a is not None and a not in mesh.axis_names]
        if unknown:
            raise ValueError(f"TensorLayout: expected names of {mesh.axis_names} or None, got {unknown[0]!r}.")
        self._mesh = mesh

    @property
    def backend_layout(self):
        """The same as a `jax.sharding.NamedSharding`."""
        if self._mesh is None:
            raise ValueError("TensorLayout: it has no device_mesh yet.")
        return NamedSharding(self._mesh.backend_mesh, PartitionSpec(*self.axes))

    def __repr__(self):
        return f"<TensorLayout axes={self.axes}, device_mesh={self._mesh}>"


class LayoutMap(collections.abc.MutableMapping):
    """Layouts by the paths of variables: a key is a path or a regular expression that is found in one.

    Args:
        device_mesh: Of the layouts that are given as plain tuples.

    Raises:
        ValueError: Two keys that both fit a path.

    Example:
        >>> layouts = LayoutMap(DeviceMesh((1,), ["model"], ["cpu:0"]))
        >>> layouts["dense.*kernel"] = (None, "model")
        >>> layouts["model/dense_1/kernel"].axes
        (None, 'model')
    """

    def __init__(self, device_mesh):
        self.device_mesh, self._layouts = device_mesh, {}

    def __getitem__(self, key):
        if key in self._layouts:
            return self._layouts[key]
        fits = [pattern for pattern in self._layouts if re.search(pattern, key)]
        if len(fits) > 1:
            raise ValueError(f"LayoutMap: {key!r} fits several keys: {', '.join(map(repr, fits))}.")
        return self._layouts[fits[0]] if fits else None

    def __setitem__(self, key, layout):
        if key in self._layouts:
            raise ValueError(f"LayoutMap: {key!r} is there already.")
        layout = TensorLayout(layout) if isinstance(layout, tuple) else layout
        if not isinstance(layout, TensorLayout):
            raise ValueError(f"LayoutMap[{key!r}]: expected a TensorLayout or a tuple, got {layout!r}.")
        if layout.device_mesh is None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key):
        del self._layouts[key]

    def __len__(self):
        return len(self._layouts)

    def __iter__(self):
        return iter(self._layouts)


class DataParallel(parallel.DataParallel):
    """Splits every batch over devices; see `fkeras.distribute.DataParallel`.

    Args:
        device_mesh: `DeviceMesh` whose devices are taken, or None.
        devices: List of devices or of their names, or None for all.
        auto_shard_dataset: True: each process is given its own share of a batch's rows. False is refused.

    Reference:
        As Keras 3.
    """

    def __init__(self, device_mesh=None, devices=None, auto_shard_dataset=True):
        if not auto_shard_dataset:
            raise ValueError(
                "DataParallel(auto_shard_dataset=False): here each process gives its own rows of every batch, which is "
                "auto_shard_dataset=True."
            )
        if device_mesh is not None:
            devices = device_mesh.devices.flat
        super().__init__(None if devices is None else [device_of(d) for d in devices])


class ModelParallel:
    """Refused: parameters are whole on every device here; see docs/devices.md."""

    def __init__(self, *args, **kwargs):
        raise TypeError(
            "ModelParallel: fkeras does not split parameters over devices. Use DataParallel(), or "
            "jax.jit(model.apply, in_shardings=...) with parameters that you shard."
        )


def distribute_tensor(tensor, layout):
    """Returns an array laid over devices.

    Args:
        tensor: Array.
        layout: `TensorLayout` or `jax.sharding.Sharding`.
    """
    return jax.device_put(tensor, layout.backend_layout if isinstance(layout, TensorLayout) else layout)


def distribution():
    """Returns the `DataParallel` that `set_distribution` set, or None."""
    return parallel.preferred()


def set_distribution(value):
    """Sets on which devices models train that were not told by `compile(distribute=...)`.

    Args:
        value: `DataParallel`, or None for the usual choice.

    Raises:
        TypeError: Something else than a `DataParallel` or None.
    """
    if value is not None and not isinstance(value, parallel.DataParallel):
        raise TypeError(f"set_distribution: expected a DataParallel or None, got {value!r}.")
    parallel.prefer(value)
