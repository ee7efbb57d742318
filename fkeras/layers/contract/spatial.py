"""What layers over space share: where the channels are, how many axes there are, whether windows fit."""

from fkeras.core.settings import ints
from fkeras.layers.contract.base import Layer
from fkeras.layers.kernels import convolution as kernels

_AXES = {1: "T", 2: "H, W", 3: "D, H, W"}


class Spatial(Layer):
    """Base of layers on [B, *space, C], or [B, C, *space] where the setting `data_format` is "channels_first".

    The functions underneath always see the channels last: XLA folds the two transposes into the convolution where
    the device prefers another layout.
    """

    spatial = 2  # number of space axes
    data_format = "channels_last"  # a setting of most layers

    @property
    def rank(self):
        axes = _AXES[self.spatial]
        return self.spatial + 2, f"[B, C, {axes}]" if self.channels_first else f"[B, {axes}, C]"

    @property
    def channels_first(self):
        return self.data_format == "channels_first"

    def channels_last(self, x):
        """Returns `x`, or its shape, with the channels on the last axis."""
        if isinstance(x, tuple):
            return (x[0], *x[2:], x[1]) if self.channels_first else x
        return x.transpose(0, *range(2, x.ndim), 1) if self.channels_first else x

    def as_given(self, x):
        """Returns `x` with the channels back where `data_format` says."""
        return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1)) if self.channels_first else x

    def spread(self, name, least=1):
        """Makes the setting `name` a tuple with one int an axis. Raises ValueError naming the layer."""
        try:
            setattr(self, name, ints(self.spatial, least)(getattr(self, name)))
        except ValueError as err:
            raise ValueError(f"{self.label}, {name}: {err}") from None

    def check_windows(self, shape, window, strides, dilation, padding):
        """Raises ValueError, naming the layer, where the window does not fit into an axis of known size."""
        for i, size in enumerate(self.channels_last(shape)[1:-1]):
            if size is not None:
                try:
                    kernels.window_pads((size,), window[i : i + 1], strides[i : i + 1], dilation[i : i + 1], padding)
                except ValueError as err:
                    raise ValueError(f"{self.label}: {err} Input shape: {shape}.".replace("axis 1", _axis(i))) from None

    def windows_of(self, space, channels):
        """Returns windows, one for each axis of space, and one of the channels, in the order of the axes."""
        return (channels, *space) if self.channels_first else (*space, channels)

    def known_channels(self, shape):
        """Returns the number of channels in an input shape. Raises ValueError, naming the layer, if it is unknown."""
        channels = self.channels_last(shape)[-1]
        if channels is None:
            raise ValueError(f"{self.label}: the number of channels must be known to make its weights, got {shape}.")
        return channels


def _axis(i):
    return f"space axis {i + 1}"
