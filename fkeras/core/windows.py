"""Windows of the short-time Fourier transform by name, and the convolution kernels made of them."""

import jax.numpy as jnp
import numpy as np

from fkeras.core.settings import nearest, some


def stft_kernel(shape, side="real", window="hann", scaling="density", periodic=False, dtype=jnp.float32):
    """Makes the kernel of a convolution that is one side of a short-time Fourier transform.

        kernel[t, 0, f] = w[t] * cos(-2 pi t f / n) / s      ("imag": sin),  n = 2 (F - 1)

    Args:
        shape: (T, 1, F): T samples a frame, F = n / 2 + 1 frequencies of an n-point transform.
        window: Name for `window_values`, or T numbers, or None: w = 1 and s = 1.
        scaling: "density": s = sqrt(sum(w^2)); "spectrum": s = sum(|w|); None: s = 1.

    Raises:
        ValueError: `shape` has not three axes, or `window` has not T numbers.

    Example:
        >>> stft_kernel((2, 1, 2), "real", None, None).tolist()
        [[[1.0, 1.0]], [[1.0, -1.0]]]
    """
    if len(shape) != 3:
        raise ValueError(f"STFT: expected a shape (frame length, 1, frequencies), got {shape}.")
    frame, _, frequencies = shape
    n = max(2 * (frequencies - 1), 1)
    time, frequency = np.arange(frame)[:, None, None], np.arange(frequencies)[None, None, :]
    # The phase is reduced to one turn in integers: as a float product it would lose digits in long frames.
    phase = -2 * np.pi * (time * frequency % n) / n
    kernel = np.cos(phase) if side == "real" else np.sin(phase)
    if window is not None:
        w = window_values(window, frame, periodic) if isinstance(window, str) else np.asarray(window, np.float64)
        if w.shape != (frame,):
            raise ValueError(f"STFT: expected a window of {frame} values, the frame length, got shape {w.shape}.")
        scale = {"density": np.sqrt(np.sum(w**2)), "spectrum": np.sum(np.abs(w)), None: 1.0}[scaling]
        kernel = kernel * w[:, None, None] / scale
    return jnp.broadcast_to(jnp.asarray(kernel, dtype), shape)


def padded_window(window, length, fft_length, dtype, what):
    """Returns `fft_length` values: the window in the middle, zeros around it.

    Args:
        window: "hann", "hamming", values, or None: ones.
        length: Size of the window.
        what: What asks, for messages.

    Raises:
        ValueError: There is no such window, or it has another length.
    """
    before = (fft_length - length) // 2
    if window is None:
        return jnp.ones(fft_length, dtype)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(f"{what}: expected window 'hann', 'hamming', values or None, got {window!r}.")
        window = window_values(window, length, periodic=True)
    window = jnp.asarray(window, dtype)
    if window.shape != (length,):
        raise ValueError(f"{what}: expected {length} window values, the sequence length, got shape {window.shape}.")
    return jnp.pad(window, (before, fft_length - length - before))


def extract_windows(x, length, stride):
    """Returns the windows [..., windows, length] of the last axis."""
    count = max(0, (x.shape[-1] - length) // stride + 1)
    return x[..., jnp.arange(count)[:, None] * stride + jnp.arange(length)]


def spectra(x, fft_length, stride, values, center=True):
    """Returns the Fourier transforms of windows along the last axis, complex [..., windows, fft_length / 2 + 1].

    Args:
        values: Of the window, [fft_length].
        center: Reflects half a window at both ends, so that window i is around sample i * stride.
    """
    if center:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)], mode="reflect")
    return jnp.fft.rfft(extract_windows(x, fft_length, stride) * values)


# Windows by name: functions of the distance u from the middle, in [-1, 1] over the whole window.
def _cosines(*weights):
    """Sum of cosines over the window: weights[k] * cos(pi k u)."""
    return lambda u, size: sum(a * np.cos(np.pi * k * u) for k, a in enumerate(weights))


def _triangle(u, size):
    # Its zeros lie half a step (odd size: one step) outside the window.
    return 1 - np.abs(u) * (size - 1) / (size + size % 2)


def _parzen(u, size):
    u = np.abs(u) * (size - 1) / size
    return np.where(u <= 0.5, 1 - 6 * u**2 * (1 - u), 2 * np.maximum(1 - u, 0) ** 3)


def _bohman(u, size):
    u = np.abs(u)
    return np.where(u < 1, (1 - u) * np.cos(np.pi * u) + np.sin(np.pi * u) / np.pi, 0.0)


def _tukey(u, size):
    return 0.5 * (1 + np.cos(2 * np.pi * np.maximum(np.abs(u) - 0.5, 0)))


def _taylor(u, size, bars=4, decibels=30):
    """Taylor's window: four nearly level side lobes, 30 dB down (Carrara & Goodman, 1995)."""
    a = np.arccosh(10 ** (decibels / 20)) / np.pi
    m = np.arange(1, bars)
    spread = bars**2 / (a**2 + (bars - 0.5) ** 2)

    def coefficient(k):
        above = np.prod(1 - k**2 / spread / (a**2 + (m - 0.5) ** 2))
        return (-1) ** (k + 1) * above / (2 * np.prod(1 - k**2 / m[m != k] ** 2))

    wave = lambda v: 1 + 2 * sum(coefficient(k) * np.cos(np.pi * k * v) for k in m)  # noqa: E731
    return wave(u * (size - 1) / size) / wave(0.0)


_WINDOWS = {
    "barthann": lambda u, size: 0.62 - 0.24 * np.abs(u) + 0.38 * np.cos(np.pi * u),
    "bartlett": lambda u, size: 1 - np.abs(u),
    "blackman": _cosines(0.42, 0.5, 0.08),
    "blackmanharris": _cosines(0.35875, 0.48829, 0.14128, 0.01168),
    "bohman": _bohman,
    "boxcar": lambda u, size: np.ones_like(u),
    "cosine": lambda u, size: np.cos(np.pi / 2 * u * (size - 1) / size),
    "exponential": lambda u, size: np.exp(-np.abs(u) * (size - 1) / 2),
    "flattop": _cosines(0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "hamming": _cosines(0.54, 0.46),
    "hann": _cosines(0.5, 0.5),
    "lanczos": lambda u, size: np.sinc(u),
    "nuttall": _cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "parzen": _parzen,
    "taylor": _taylor,
    "triang": _triangle,
    "tukey": _tukey,
}
_WINDOW_ALIASES = {
    "barthann": "brthan bth",
    "bartlett": "bart brt",
    "blackman": "black blk",
    "blackmanharris": "blackharr bkh",
    "bohman": "bman bmn",
    "boxcar": "box ones rect rectangular",
    "cosine": "halfcosine",
    "exponential": "poisson",
    "flattop": "flat flt",
    "hamming": "hamm ham",
    "hann": "han",
    "lanczos": "sinc",
    "nuttall": "nutl nut",
    "parzen": "parz par",
    "taylor": "taylorwin",
    "triang": "triangle tri",
    "tukey": "tuk",
}
_WINDOWS |= {alias: _WINDOWS[name] for name, aliases in _WINDOW_ALIASES.items() for alias in aliases.split()}


def window_values(name, length, periodic=False):
    """Returns the values of a window by its name, as float64 NumPy array [length].

    Args:
        name: A name that SciPy's `get_window` takes without parameters ("hann", "hamming", "blackman", ...), also
            with the ending "_periodic" or "_symmetric", which then overrides `periodic`.
        length: Number of values.
        periodic: One period of a periodic function (for spectra) instead of a window symmetric around its middle.

    Raises:
        ValueError: No window has that name.

    Example:
        >>> window_values("hann", 5).tolist(), window_values("hann", 4, periodic=True).tolist()
        ([0.0, 0.5, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 0.5])
    """
    for ending in ("_periodic", "_symmetric"):
        if name.endswith(ending):
            name, periodic = name.removesuffix(ending), ending == "_periodic"
    if name not in _WINDOWS:
        raise ValueError(f"Unknown window {name!r}.{nearest(name, _WINDOWS)} Known windows: {some(name, _WINDOWS)}.")
    if length <= 1:
        return np.ones(length)
    size = length + bool(periodic)
    u = np.arange(1 - size, size, 2) / (size - 1)
    return np.asarray(_WINDOWS[name](u, size))[:length]
