"""The ops of `keras.ops`' math: segments, ranks, Fourier transforms, error functions."""

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.operations import op, row
from fkeras.core.windows import padded_window, spectra

HOME = "math"

row(HOME, "rsqrt(x)", jax.lax.rsqrt, "1 / sqrt(x).", "Rsqrt", source="jax.lax.rsqrt")
row(HOME, "erf(x)", jax.lax.erf, "Error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.", "Erf",
    source="jax.lax.erf")  # fmt: skip
row(HOME, "erfc(x)", lambda x: jax.scipy.special.erfc(x), "1 - erf(x).", "Erfc", source="jax.scipy.special.erfc")
row(HOME, "erfinv(x)", lambda x: jax.scipy.special.erfinv(x), "Inverse of `erf`.", "Erfinv",
    source="jax.scipy.special.erfinv")  # fmt: skip
row(HOME, "logdet(x)", lambda x: jnp.linalg.slogdet(x)[1], "Logarithm of |determinant|.", "Logdet",
    source="jax.numpy.linalg.slogdet")  # fmt: skip
row(HOME, "logsumexp(x | axis=None, keepdims=False)", lambda x, **at: jax.scipy.special.logsumexp(x, **at),
    "log(sum(exp(x))), without overflow.", "Logsumexp", source="jax.scipy.special.logsumexp")  # fmt: skip
row(HOME, "top_k(x | k, sorted=True)", lambda x, k, sorted=True: jax.lax.top_k(x, k),
    "(values, places) of the k largest elements of the last axis, the largest first.", "TopK",
    source="jax.lax.top_k")  # fmt: skip


def _segments(name, keras, about):
    def segment(data, segment_ids, num_segments=None, sorted=False):
        if num_segments is None:
            raise ValueError(
                f"ops.{name}: give num_segments=...: a compiled program has to know how many results there are."
            )
        return getattr(jax.ops, name)(data, segment_ids, num_segments, indices_are_sorted=sorted)

    segment.__name__ = name
    segment.__doc__ = (
        f"{about} of the elements of `data` with the same number in `segment_ids`, along the first axis.\n\n"
        f"    Raises:\n        ValueError: `num_segments` is missing.\n\n    Source: `jax.ops.{name}`.\n    "
    )
    op(HOME, keras, settings="num_segments sorted")(segment)


_segments("segment_sum", "SegmentSum", "Sums")
_segments("segment_max", "SegmentMax", "Maxima")
_segments("segment_min", "SegmentMin", "Minima")
_segments("segment_prod", "SegmentProd", "Products")


@op(HOME, "InTopK", settings="k")
def in_top_k(targets, predictions, k):
    """Whether the class of each target is among the k largest predictions of its row; NaN never is.

    Source: `tf.math.in_top_k`.
    """
    targets, predictions = jnp.asarray(targets), jnp.asarray(predictions)
    own = jnp.take_along_axis(predictions, targets[..., None], axis=-1)
    own = jnp.where(jnp.isnan(own), -jnp.inf, own)
    return jnp.sum(predictions > own, axis=-1) < k


@op(HOME, "CDist")
def cdist(x, y):
    """Euclidean distances of all pairs of rows: [..., n, d] and [..., m, d] give [..., n, m].

    Raises:
        ValueError: An array is no matrix, or the last axes differ.

    Source: `torch.cdist`.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"ops.cdist: expected [..., n, d] and [..., m, d], got shapes {x.shape} and {y.shape}.")
    return jnp.sqrt(jnp.sum(jnp.square(x[..., :, None, :] - y[..., None, :, :]), axis=-1))


@op(HOME, "ExtractSequences", settings="sequence_length sequence_stride")
def extract_sequences(x, sequence_length, sequence_stride):
    """Windows of the last axis: [..., n] gives [..., windows, sequence_length].

    Source: `tf.signal.frame`.
    """
    x = jnp.asarray(x)
    count = max(0, (x.shape[-1] - sequence_length) // sequence_stride + 1)
    return x[..., np.arange(count)[:, None] * sequence_stride + np.arange(sequence_length)]


# --------------------------------------------------------------------------------------------------- transforms


def _complex(x, name):
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            f"ops.{name}: expected a pair of arrays, the real and the imaginary part, got {type(x).__name__}."
        )
    real, imag = map(jnp.asarray, x)
    if real.shape != imag.shape or not all(jnp.issubdtype(v.dtype, jnp.floating) for v in (real, imag)):
        raise ValueError(
            f"ops.{name}: expected two float arrays of one shape, got {real.dtype}{list(real.shape)} and "
            f"{imag.dtype}{list(imag.shape)}."
        )
    return jax.lax.complex(real, imag)


def _parts(x):
    return jnp.real(x), jnp.imag(x)


@op(HOME, "FFT", lists="x")
def fft(x):
    """Discrete Fourier transform of the last axis of (real, imaginary); returns such a pair.

    Source: `jax.numpy.fft.fft`.
    """
    return _parts(jnp.fft.fft(_complex(x, "fft")))


@op(HOME, "FFT2", lists="x")
def fft2(x):
    """Discrete Fourier transform of the last two axes of (real, imaginary); returns such a pair.

    Source: `jax.numpy.fft.fft2`.
    """
    return _parts(jnp.fft.fft2(_complex(x, "fft2")))


@op(HOME, "IFFT2", lists="x")
def ifft2(x):
    """Inverse of `fft2`.

    Source: `jax.numpy.fft.ifft2`.
    """
    return _parts(jnp.fft.ifft2(_complex(x, "ifft2")))


@op(HOME, "RFFT", settings="fft_length")
def rfft(x, fft_length=None):
    """Discrete Fourier transform of real numbers on the last axis: (real, imaginary) of the frequencies from 0 on.

    Source: `jax.numpy.fft.rfft`.
    """
    return _parts(jnp.fft.rfft(x, n=fft_length))


@op(HOME, "IRFFT", settings="fft_length", lists="x")
def irfft(x, fft_length=None):
    """Inverse of `rfft`.

    Source: `jax.numpy.fft.irfft`.
    """
    return jnp.fft.irfft(_complex(x, "irfft"), n=fft_length)


@op(HOME, "STFT", settings="sequence_length sequence_stride fft_length window center")
def stft(x, sequence_length, sequence_stride, fft_length, window="hann", center=True):
    """Fourier transforms of windows along the last axis: (real, imaginary), each [..., windows, fft_length / 2 + 1].

    Args:
        x: Float array [..., n].
        sequence_length, sequence_stride: Samples of a window, and from one to the next.
        fft_length: Points of each transform, at least `sequence_length`; the window lies in the middle.
        window: "hann", "hamming", values, or None.
        center: Reflects half a window at both ends, so that window i is around sample i * sequence_stride.

    Raises:
        TypeError: Not float32 (or float64). ValueError: `fft_length` is too small, or the window fits not.

    Source: `torch.stft`, as Keras.
    """
    x = jnp.asarray(x)
    if x.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"ops.stft: expected float32, got {x.dtype}. Cast it first: ops.cast(x, 'float32').")
    if fft_length < sequence_length:
        raise ValueError(f"ops.stft: fft_length={fft_length} is less than sequence_length={sequence_length}.")
    values = padded_window(window, sequence_length, fft_length, x.dtype, "ops.stft")
    return _parts(spectra(x, fft_length, sequence_stride, values, center))


@op(HOME, "ISTFT", settings="sequence_length sequence_stride fft_length length window center", lists="x")
def istft(x, sequence_length, sequence_stride, fft_length, length=None, window="hann", center=True):
    """Inverse of `stft`: windows laid over each other, divided by the sum of the squared window values there.

    Args:
        x: (real, imaginary), each [..., windows, fft_length / 2 + 1].
        length: How many samples to return, or None for all.

    Source: Griffin & Lim, "Signal Estimation from Modified Short-Time Fourier Transform", 1984.
    """
    spectrum = _complex(x, "istft")
    if spectrum.ndim < 2:
        raise ValueError(f"ops.istft: expected [..., windows, frequencies], got shape {spectrum.shape}.")
    values = padded_window(window, sequence_length, fft_length, spectrum.real.dtype, "ops.istft")
    frames = jnp.fft.irfft(spectrum, n=fft_length) * values
    count = frames.shape[-2]
    total = fft_length + sequence_stride * (count - 1)
    places = np.arange(count)[:, None] * sequence_stride + np.arange(fft_length)
    sums = jnp.zeros((*frames.shape[:-2], total), frames.dtype).at[..., places].add(frames)
    weights = jnp.zeros(total, frames.dtype).at[places].add(jnp.broadcast_to(values**2, (count, fft_length)))
    signal = jnp.where(weights > 1e-10, sums / jnp.where(weights > 1e-10, weights, 1), sums)
    start = fft_length // 2 if center else 0
    end = start + length if length is not None else total - (fft_length // 2 if center else 0)
    return signal[..., start:end]


@op(HOME, "ViewAsComplex")
def view_as_complex(x):
    """Complex numbers of pairs on the last axis.

    Raises:
        ValueError: The last axis has not two elements.

    Source: `torch.view_as_complex`.
    """
    x = jnp.asarray(x)
    if x.ndim == 0 or x.shape[-1] != 2:
        raise ValueError(f"ops.view_as_complex: expected a last axis of 2, real and imaginary, got shape {x.shape}.")
    return jax.lax.complex(x[..., 0], x[..., 1])


@op(HOME, "ViewAsReal")
def view_as_real(x):
    """Pairs (real, imaginary) on a new last axis.

    Source: `torch.view_as_real`.
    """
    return jnp.stack(_parts(jnp.asarray(x)), axis=-1)
