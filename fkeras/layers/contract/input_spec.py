"""What a layer written the Keras way says of its inputs: `self.input_spec = InputSpec(min_ndim=2, axes={-1: 8})`."""

import numpy as np


class InputSpec:
    """Rank, sizes and dtype that a layer expects of an input.

    Args:
        dtype: Kept as information; arrays are cast to the layer's policy.
        shape: With the batch axis; None where any size fits.
        ndim, max_ndim, min_ndim: The rank, or its bounds.
        axes: {axis: size}.
        allow_last_axis_squeeze: A last axis of size 1 may be missing or more than `shape` says.
        name, optional: Kept as information.

    Example:
        >>> InputSpec(min_ndim=2, axes={-1: 8}).mismatch((None, 7))
        'expected size 8 on axis -1'

    Reference:
        As Keras 3.
    """

    def __init__(self, dtype=None, shape=None, ndim=None, max_ndim=None, min_ndim=None, axes=None,
                 allow_last_axis_squeeze=False, name=None, optional=False):  # fmt: skip
        self.dtype, self.name, self.optional = None if dtype is None else np.dtype(dtype).name, name, optional
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (AttributeError, TypeError, ValueError) as err:
            raise TypeError(f"InputSpec(axes={axes!r}): expected a dict {{axis: size}}.") from err

    def mismatch(self, shape):
        """Returns what is wrong with an input of this shape, or None."""
        want = self.shape
        if want is not None and self.allow_last_axis_squeeze:
            if len(shape) == len(want) + 1 and shape[-1] == 1:
                shape = shape[:-1]
            elif len(shape) == len(want) - 1 and want[-1] == 1:
                want = want[:-1]
        rank = self.ndim if want is None else len(want)
        if rank is not None and len(shape) != rank:
            return f"expected rank {rank}"
        if self.max_ndim is not None and len(shape) > self.max_ndim:
            return f"expected rank {self.max_ndim} at most"
        if self.min_ndim is not None and len(shape) < self.min_ndim:
            return f"expected rank {self.min_ndim} at least"
        for axis, size in self.axes.items():
            if size is not None and shape[axis] not in (None, size):
                return f"expected size {size} on axis {axis}"
        if want is not None and any(
            a is not None and b is not None and a != b for a, b in zip(want, shape, strict=True)
        ):
            return f"expected shape {want}"
        return None

    def get_config(self):
        return {name: getattr(self, name) for name in ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __repr__(self):
        shown = (f"{name}={value!r}" for name, value in self.get_config().items() if value not in (None, {}))
        return f"InputSpec({', '.join(shown)})"


def check(layer, specs, shapes):
    """Raises ValueError if the inputs' shapes do not fit the specs, a list of them for several inputs."""
    specs = list(specs) if isinstance(specs, (list, tuple)) else [specs]
    for spec, shape in zip(specs, shapes, strict=False):
        if isinstance(spec, InputSpec) and (wrong := spec.mismatch(shape)):
            raise ValueError(f"{layer.label}: {wrong}, got an input of shape {shape} (its input_spec is {spec}).")
