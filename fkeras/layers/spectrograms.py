"""Sounds as pictures: how strong each frequency is at each time."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fkeras import initializers
from fkeras.core import dtypes
from fkeras.core.settings import choice, optional, positive_int, setting
from fkeras.core.windows import extract_windows, padded_window, spectra, window_values
from fkeras.layers.contract.base import Layer, Weight, layers
from fkeras.layers.contract.shapes import Spec
from fkeras.layers.kernels.convolution import window_pads

# -------------------------------------------------------------------------------------- pure functions


def mel(hertz):
    """Returns the pitch that is heard for a frequency.

        m = 1127 log(1 + f / 700)

    Reference:
        Stevens, Volkmann & Newman, "A Scale for the Measurement of the Psychological Magnitude Pitch", 1937; the
        formula as in the Hidden Markov Model Toolkit.
    """
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


def mel_weights(bins, frequencies, sampling_rate, lowest, highest):
    """Returns how much each frequency counts for each mel bin: triangles whose corners lie evenly in pitch.

    Args:
        bins: Number of mel bins.
        frequencies: Number of frequencies of the spectrum, from 0 to half the sampling rate.
        lowest, highest: Frequencies, in hertz, where the first triangle begins and the last one ends.

    Returns:
        float64 [frequencies, bins]; the frequency 0 counts nowhere.

    Example:
        >>> mel_weights(4, 9, 8000, 20.0, 4000.0)[1].round(2).tolist()
        [0.64, 0.36, 0.0, 0.0]
    """
    corners = np.linspace(mel(lowest), mel(highest), bins + 2)
    pitch = mel(np.linspace(0, sampling_rate / 2, frequencies))[1:, None]
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (pitch - left) / (middle - left), (right - pitch) / (right - middle)
    return np.pad(np.maximum(0, np.minimum(rising, falling)), [(1, 0), (0, 0)])


def decibels(power, reference=1.0, least=1e-10, range_=80.0):
    """Returns powers in decibels, at most `range_` below the largest of them.

    y = 10 log10(max(power, least) / max(reference, least)),  max(y, max(y) - range_)
    """
    found = 10 * (jnp.log10(jnp.maximum(power, least)) - np.log10(max(reference, least)))
    return jnp.maximum(found, jnp.max(found) - range_)


# --------------------------------------------------------------------------------------------- layers


def _values(value):
    return value if value is None or isinstance(value, str) else np.asarray(value, np.float64).tolist()


@layers.register
class MelSpectrogram(Layer):
    """Shows sounds by frequency and time, with frequencies grouped as they are heard.

    Args:
        fft_length: Points of each Fourier transform.
        sequence_stride: Samples from one to the next.
        sequence_length: Samples of a window, at most fft_length; None: fft_length.
        window: "hann", "hamming", values, or None.
        sampling_rate: Samples in a second.
        num_mel_bins: Number of groups of frequencies.
        min_freq, max_freq: Frequencies between which the groups lie; None: half the sampling rate.
        power_to_db: Whether the result is in decibels.
        top_db: How far below the largest value of the batch others may lie, in decibels.
        mag_exp: Exponent of the magnitude: 2 for power.
        min_power, ref_power: Least power, and the power of 0 decibels.

    Input shape: [samples] or [B, samples]. Output shape: [..., num_mel_bins, times].

    With power_to_db the largest value of the whole batch counts, as in Keras: its rows depend on each other, so that
    batches are computed as they are.

    Example:
        >>> layer = MelSpectrogram(num_mel_bins=64, sampling_rate=8000, sequence_stride=256)
        >>> layer(jnp.ones(16000)).shape
        (64, 63)

    Reference:
        As Keras 3.
    """

    fft_length: int = setting(positive_int, 2048)
    sequence_stride: int = setting(positive_int, 512)
    sequence_length: Any = setting(optional(positive_int), None)
    window: Any = setting(_values, "hann")
    sampling_rate: int = setting(positive_int, 16000)
    num_mel_bins: int = setting(positive_int, 128)
    min_freq: float = setting(float, 20.0)
    max_freq: Any = None
    power_to_db: bool = True
    top_db: float = setting(float, 80.0)
    mag_exp: float = setting(float, 2.0)
    min_power: float = setting(float, 1e-10)
    ref_power: float = setting(float, 1.0)

    def check(self):
        if (self.sequence_length or 0) > self.fft_length:
            raise ValueError(
                f"{self.label}: expected sequence_length up to fft_length={self.fft_length}, got "
                f"{self.sequence_length}."
            )
        size = self.sequence_length or self.fft_length
        if isinstance(self.window, str):
            padded_window(self.window, 1, 1, "float32", self.label)
        elif self.window is not None and len(self.window) != size:
            raise ValueError(f"{self.label}: expected {size} values of a window, got {len(self.window)}.")

    def check_input(self, shape):
        if len(shape) not in (1, 2):
            raise ValueError(f"{self.label}: expected sounds [samples] or [B, samples], got shape {tuple(shape)}.")
        if shape[-1] is not None and shape[-1] <= self.fft_length // 2:
            raise ValueError(
                f"{self.label}: expected more than fft_length / 2 = {self.fft_length // 2} samples, got {shape[-1]}."
            )

    def forward(self, params, state, x, ctx):
        wide = dtypes.at_least_float32(x.dtype)
        length, size = self.fft_length, self.sequence_length or self.fft_length
        found = spectra(
            x.astype(wide), length, self.sequence_stride, padded_window(self.window, size, length, wide, "")
        )
        power = jnp.abs(found) ** self.mag_exp
        highest = self.sampling_rate / 2 if self.max_freq is None else self.max_freq
        weights = mel_weights(self.num_mel_bins, length // 2 + 1, self.sampling_rate, self.min_freq, highest)
        y = jnp.swapaxes(power @ jnp.asarray(weights, wide), -1, -2)
        if self.power_to_db:
            y = decibels(y, self.ref_power, self.min_power, self.top_db)
        return y.astype(x.dtype), state

    def compute_output_spec(self, x):
        samples = x.shape[-1]
        padded = None if samples is None else samples + self.fft_length // 2 * 2
        times = None if padded is None else (padded - self.fft_length) // self.sequence_stride + 1
        return Spec((*x.shape[:-1], self.num_mel_bins, times), self.dtype.compute_dtype)

    def get_config(self):
        highest = self.sampling_rate // 2 if self.max_freq is None else self.max_freq
        return super().get_config() | {
            "sequence_length": self.sequence_length or self.fft_length,
            "max_freq": highest,
        }


@layers.register
class STFTSpectrogram(Layer):
    """Shows signals by frequency and time: short-time Fourier transforms as convolutions, whose kernels can be trained.

    Args:
        mode: "log" (of the magnitude), "magnitude", "psd" (density of power), "real", "imag", "angle", or "stft": real
            and imaginary part side by side.
        frame_length: Samples of a window.
        frame_step: Samples from one to the next; None: half a window.
        fft_length: Points of each transform, at least frame_length; None: the next power of two.
        window: Name of a window, values, or None.
        periodic: Whether the window is one period of a periodic function.
        scaling: "density", "spectrum" or None: what the window is divided by.
        padding: "valid" or "same".
        expand_dims: Whether frequencies get an axis of their own, as of a picture.
        data_format: "channels_last" or "channels_first".

    Input shape: [B, T, C], or [B, C, T] with "channels_first". With F frequencies, output shape: [B, times, C F] or
    [B, times, F, C] with expand_dims; [B, C F, times] or [B, C, times, F] with "channels_first".

    Weights: real_kernel, imag_kernel [frame_length, 1, F], as far as the mode needs them.

    Example:
        >>> STFTSpectrogram(frame_length=256, frame_step=128, fft_length=512)(jnp.ones((3, 16000, 1))).shape
        (3, 124, 257)

    Reference:
        As Keras 3.
    """

    mode: str = setting(choice("log", "magnitude", "psd", "real", "imag", "angle", "stft"), "log")
    frame_length: int = setting(positive_int, 256)
    frame_step: Any = setting(optional(positive_int), None)
    fft_length: Any = setting(optional(positive_int), None)
    window: Any = setting(_values, "hann")
    periodic: bool = False
    scaling: Any = setting(optional(choice("density", "spectrum")), "density")
    padding: str = setting(choice("valid", "same"), "valid")
    expand_dims: bool = False
    data_format: str = setting(dtypes.data_format, None)

    rank = 3, "[B, T, C]"

    def check(self):
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise ValueError(
                f"{self.label}: expected fft_length of at least frame_length={self.frame_length}, got "
                f"{self.fft_length}."
            )
        if self.frame_step is not None and self.frame_step > self.frame_length:
            raise ValueError(
                f"{self.label}: expected frame_step up to frame_length={self.frame_length}, got {self.frame_step}."
            )
        if isinstance(self.window, str):
            window_values(self.window, 1)

    def prepared(self, x):
        if getattr(x, "dtype", None) is not None and np.dtype(x.dtype).kind in "iub":
            raise TypeError(
                f"{self.label}: expected a signal of floats, got {x.dtype}. Scale it: x.astype('float32') / 32768 of "
                f"16 bits."
            )
        return x

    @property
    def frequencies(self):
        """How many there are."""
        length = 1 << (self.frame_length - 1).bit_length() if self.fft_length is None else self.fft_length
        return length // 2 + 1

    def declare(self, shape):
        shape = (self.frame_length, 1, self.frequencies)
        sides = [self.mode] if self.mode in ("real", "imag") else ["real", "imag"]
        about = self.window, self.scaling, self.periodic
        return {f"{side}_kernel": Weight(shape, initializers.STFT(side, *about)) for side in sides}

    def forward(self, params, state, x, ctx):
        first = self.data_format == "channels_first"
        x = x if first else jnp.swapaxes(x, 1, 2)  # [B, C, T]
        batch, channels, time = x.shape
        step = self.frame_step or max(self.frame_length // 2, 1)
        pads, _ = window_pads((time,), (self.frame_length,), (step,), (1,), self.padding)
        x = jnp.pad(x.reshape(batch * channels, time), [(0, 0), *pads])
        frames = extract_windows(x, self.frame_length, step)  # [B C, times, T]: long windows over one channel
        found = {side.removesuffix("_kernel"): frames @ kernel[:, 0] for side, kernel in params.items()}  # [.., F]
        y = self._shown(found)
        y = y.reshape(batch, channels, *y.shape[1:])  # [B, C, times, F]
        if self.expand_dims:
            return (y if first else jnp.moveaxis(y, 1, -1)), state
        y = jnp.swapaxes(y, 1, 2).reshape(batch, y.shape[2], -1)  # [B, times, C F]
        return (jnp.swapaxes(y, 1, 2) if first else y), state

    def _shown(self, found):
        if self.mode in ("real", "imag"):
            return found[self.mode]
        real, imag = found["real"], found["imag"]
        if self.mode == "angle":
            return jnp.arctan2(imag, real)
        if self.mode == "stft":
            return jnp.concatenate([real, imag], -1)
        power = real**2 + imag**2
        if self.mode == "psd":  # frequencies stand for those below zero too, but the first and the last
            return power * jnp.ones(self.frequencies, power.dtype).at[1:-1].set(2)
        power = jnp.maximum(power, dtypes.epsilon())
        return jnp.sqrt(power) if self.mode == "magnitude" else 0.5 * jnp.log(power)
