"""Data parallelism: the one pure step on many devices, over a named axis. The only file that says pmap.

State has no device axis: it goes in and comes out replicated. Blocks [K, B, ...] are split along their rows into
[K, devices, B / devices, ...]. Sums over the axis make losses, gradients, batch statistics and metrics those of the
whole batch, so the number of devices does not change the result.
"""

import contextvars
import functools
import warnings

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fkeras.core.messages import is_main

AXIS = "devices"
_BLOCK = {"train": 1, "test": 3}  # which argument is the block
_COUNT = {"train": 3, "test": 5}  # of arguments: behind the block comes the number of steps, and what noise is drawn by
_scope = contextvars.ContextVar("fkeras_distribute", default=None)


class OneDevice:
    """Training on a single device: the program is compiled as it is."""

    count = width = parts = accumulate = 1
    part = 0
    axis, synchronizes = None, True
    key = None

    def compile(self, function, kind, donate, draws=False):
        """Returns `function` jitted."""
        return jax.jit(function, donate_argnums=donate)

    partition = compile

    def split(self, block):
        """Returns a block [K, B, ...] as the compiled program takes it."""
        return block

    def notice(self, rows):
        """Takes note of the size of a batch."""

    def hold(self, state):
        """Returns state as the compiled program takes it."""
        return state

    hold_here = hold

    def __reduce__(self):
        return "ONE_DEVICE"

    def join(self, outputs):
        """Returns what the "predict" program gave as arrays [K, B, ...]."""
        return outputs


class Alone(OneDevice):
    """One device of several, for a batch that does not split over them."""

    def hold(self, state):
        return single(state)


ONE_DEVICE, ALONE = OneDevice(), Alone()


class DataParallel:
    """Splits every batch over devices; the numbers are those of one device, up to the order of sums.

        gradient = sum over devices of the gradient of its rows' share of the loss

    `batch_size` remains the size of the whole batch. A batch that cannot be split evenly is padded with rows that
    count nothing. Give it to `compile(distribute=...)`, or use it as a scope around `fit`, `evaluate` and `predict`.

    Args:
        devices: None takes all devices (of all processes, where `fkeras.distribute.initialize` joined several); a
            number takes the first so many; or a list of `jax.Device`s.
        sync_batch_norm: False lets each device normalize by the statistics of its own rows; the moving statistics are
            then the mean over devices. Faster between hosts; the result depends on the number of devices.
        accumulate: Each device goes through its rows of a batch in so many parts, one after the other, and adds the
            gradients up: the memory of a part, the result of the whole. BatchNormalization alone sees the parts: it
            normalizes each by its own statistics.

    Raises:
        ValueError: More devices than there are, one twice, or devices of different kinds.

    Example:
        >>> model = fkeras.Sequential([fkeras.layers.Dense(1, input_shape=(2,))])
        >>> model.compile("sgd", "mse", distribute=fkeras.distribute.DataParallel(1))
        >>> _ = model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)

    Reference:
        Goyal et al., "Accurate, Large Minibatch SGD", 2017, for the arithmetic; `jax.pmap` runs it.
    """

    def __init__(self, devices=None, sync_batch_norm=True, accumulate=1):
        self.devices, self.synchronizes = _devices(devices), bool(sync_batch_norm)
        if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
            raise ValueError(f"DataParallel: expected accumulate as an integer >= 1, got {accumulate!r}.")
        self.accumulate = accumulate
        mine = jax.process_index()
        if 0 < sum(d.process_index != mine for d in self.devices) < len(jax.devices()) - jax.local_device_count():
            raise ValueError(
                f"DataParallel: expected all {len(jax.devices())} devices of all processes, or devices of this process "
                f"only, got {self.devices}."
            )
        self.local = [d for d in self.devices if d.process_index == mine]
        self.count = len(self.devices)
        self.axis = AXIS
        self._warned = set()

    @property
    def key(self):
        """What the compiled programs depend on."""
        return (*(d.id for d in self.devices), self.synchronizes, self.accumulate)

    @property
    def parts(self):
        """Into how many parts a batch is cut: one per process."""
        return len(self.processes)

    @property
    def part(self):
        """Which of them is this process's."""
        return self.processes.index(jax.process_index())

    @property
    def processes(self):
        """The processes whose devices take part, in order."""
        return sorted({d.process_index for d in self.devices})

    @property
    def width(self):
        """What the number of rows that this process puts into a batch is a multiple of."""
        return len(self.local) * self.accumulate

    def __repr__(self):
        kind = self.devices[0].device_kind
        return f"DataParallel({self.count} x {kind}, sync_batch_norm={self.synchronizes}, accumulate={self.accumulate})"

    def __reduce__(self):
        return _on_devices, ([d.id for d in self.devices], self.synchronizes, self.accumulate)

    def __enter__(self):
        self._tokens = [*getattr(self, "_tokens", []), _scope.set(self)]
        return self

    def __exit__(self, *exception):
        _scope.reset(self._tokens.pop())

    def get_config(self):
        """Returns the arguments that make it anew where the devices may be others."""
        return {"devices": None, "sync_batch_norm": self.synchronizes, "accumulate": self.accumulate}

    def scope(self):
        """Returns itself: `with strategy.scope():` is how tf.keras writes it."""
        return self

    # ------------------------------------------------------------------------------- what training asks

    def compile(self, function, kind, donate, draws=False):
        """Returns `function(state, ..., block or x, ...)` on all devices, its state replicated, its rows split.

        draws: Whether it is also given what noise is drawn by in inference. An argument that may be None would not do:
        pmap then mistakes which axis belongs to which argument (JAX 0.10).
        """
        if kind == "predict":  # (params, state, x, rows, n, key, ids): rows of this process only, on its own devices
            axes = (None, None, 1, 1, None, *((None, 1) if draws else ()))
            return jax.pmap(function, AXIS, in_axes=axes, out_axes=(1, None), devices=self.local)
        axes = [1 if i == _BLOCK[kind] else None for i in range(_COUNT[kind] + 2 * draws)]
        return jax.pmap(function, AXIS, in_axes=tuple(axes), out_axes=None, devices=self._all, donate_argnums=donate)

    def partition(self, function, kind, donate, draws=False):
        """As `compile`, for a function that knows of no device axis: XLA splits it where its batch is split."""
        if self.parts > 1:
            raise ValueError(
                f"A train_step or test_step of one's own runs on the devices of one process, and here there are "
                f"{self.parts}. Compile with distribute=DataParallel(jax.local_devices()), or leave the step to fkeras."
            )
        whole, rows = (NamedSharding(self._mesh, PartitionSpec(*axes)) for axes in ((), (None, AXIS)))
        at = _BLOCK[kind]
        shardings = [rows if i == at else whole for i in range(at + 1)] + [None] * (_COUNT[kind] - at - 1 + 2 * draws)

        @functools.wraps(function)
        def joined(*args):
            block = jax.tree.map(lambda a: a.reshape(a.shape[0], -1, *a.shape[3:]), args[at])
            return function(*args[:at], block, *args[at + 1 :])

        return jax.jit(joined, in_shardings=tuple(shardings), out_shardings=whole, donate_argnums=donate)

    def split(self, block):
        """Returns a block whose leaves [K, B, ...] became [K, devices, B / devices, ...]."""
        n = len(self.local)
        return jax.tree.map(lambda a: a.reshape(a.shape[0], n, a.shape[1] // n, *a.shape[2:]), block)

    def join(self, outputs):
        """Inverse of `split`, on the host."""
        return jax.tree.map(lambda a: np.asarray(a).reshape(a.shape[0], -1, *a.shape[3:]), outputs)

    def hold(self, state):
        """Returns state replicated over the devices, as the "train" and "test" programs take and return it."""
        return self._replicated(state, self._mesh)

    def hold_here(self, state):
        """Returns state replicated over this process's devices, as the "predict" program takes it."""
        return self._replicated(single(state), self._mesh_of(self.local))

    def _replicated(self, state, mesh):
        sharding = NamedSharding(mesh, PartitionSpec())

        def put(a):
            if _is_replicated(a):
                return a
            if sharding.is_fully_addressable:
                return jax.device_put(a, sharding)
            return jax.make_array_from_process_local_data(sharding, np.asarray(a))

        return jax.tree.map(put, state)

    @property
    def _all(self):
        return self.devices if len(self.processes) == 1 else None  # pmap orders those of several processes by itself

    @property
    def _mesh(self):
        return self._mesh_of(self.devices)

    def _mesh_of(self, devices):
        return Mesh(np.array(devices), (AXIS,))

    def notice(self, rows):
        """Warns once of a batch that leaves devices idle."""
        if rows < self.count:
            self.warn_once(
                f"DataParallel: a batch of {rows} rows leaves {self.count - rows} of {self.count} devices idle. "
                f"Give a batch_size of at least {self.count}."
            )

    def warn_once(self, message):
        """Warns, but not of the same thing again."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=6)


def _on_devices(ids, synchronizes, accumulate):
    """Returns a `DataParallel` over the devices of these ids, or over all where there are not so many."""
    there = {d.id: d for d in jax.devices()}
    devices = [there[i] for i in ids] if there.keys() >= set(ids) else None
    return DataParallel(devices, synchronizes, accumulate)


def _is_replicated(a):
    """True for what a program of several devices returned, or `hold` made."""
    sharding = getattr(a, "sharding", None)
    return isinstance(sharding, NamedSharding) and sharding.mesh.axis_names == (AXIS,)


def single(state):
    """Returns replicated state as arrays of one device, without copying."""
    return jax.tree.map(lambda a: a.addressable_data(0) if _is_replicated(a) else a, state)


def choose(wanted):
    """Returns who runs the programs: the innermost scope, what `compile` was given, or all local accelerators."""
    chosen = _scope.get() or wanted or preferred()
    if chosen is not None:
        return chosen
    return _default()


def in_scope():
    """True inside `with DataParallel(...):`, which goes before what a model was compiled for."""
    return _scope.get() is not None


def resolve(distribute):
    """Returns a `DataParallel` for what `compile(distribute=...)` accepts, or None to choose by the machine."""
    if distribute is None or isinstance(distribute, (DataParallel, OneDevice)):
        return distribute
    if distribute is False:
        return ONE_DEVICE
    if isinstance(distribute, dict):
        return DataParallel(**distribute)
    if distribute is True or isinstance(distribute, (int, list, tuple)):
        return DataParallel(None if distribute is True else distribute)
    raise TypeError(
        f"compile(distribute={distribute!r}): expected a fkeras.distribute.DataParallel, a number of devices, a list "
        f"of devices, True for all or False for one."
    )


_chosen, _preferred = [], []


def preferred():
    """Returns the `DataParallel` set for all models that were compiled for none, or None."""
    return _preferred[0] if _preferred else None


def prefer(devices):
    """Sets what `preferred` returns."""
    _preferred[:] = [] if devices is None else [devices]


def announce(devices):
    """Says in one line which devices were chosen, where nobody chose them."""
    if devices is _default() and devices.count > 1 and is_main():
        print(f"Training on {devices.count} devices ({devices.devices[0].device_kind}).")


def _default():
    if not _chosen:
        several = jax.process_count() > 1
        accelerators = jax.default_backend() != "cpu" and jax.local_device_count() > 1
        _chosen.append(DataParallel() if several or accelerators else ONE_DEVICE)
    return _chosen[0]


def _devices(devices):
    """Returns the list of devices that was asked for."""
    there = jax.devices()
    if devices is None:
        return list(there)
    if isinstance(devices, int) and not isinstance(devices, bool):
        if not 1 <= devices <= len(there):
            hint = ""
            if there[0].platform == "cpu":
                hint = (
                    f" To try {devices} on CPU set XLA_FLAGS=--xla_force_host_platform_device_count={devices} "
                    f"before JAX is used."
                )
            raise ValueError(
                f"DataParallel({devices}): expected 1 to {len(there)} devices, as many as there are.{hint}"
            )
        return list(there[:devices])
    if not isinstance(devices, (list, tuple)) or not all(isinstance(d, jax.Device) for d in devices):
        raise TypeError(f"DataParallel: expected None, a number or a list of jax.Device, got {devices!r}.")
    if not devices or len({d.id for d in devices}) != len(devices):
        raise ValueError(f"DataParallel: expected one or more different devices, got {list(devices)}.")
    kinds = {d.device_kind for d in devices}
    if len(kinds) > 1:
        raise ValueError(f"DataParallel: expected devices of one kind, got {', '.join(sorted(kinds))}.")
    return list(devices)
