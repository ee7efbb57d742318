"""Resizing of images and changing of sampling rates on the host: each output is a weighted sum of a few inputs.

What the layer `Resizing` computes on the device is computed here by NumPy in the threads that read files.
"""

import functools
import math

import numpy as np

from fkeras.core.settings import nearest


def _triangle(x):
    return np.maximum(1 - np.abs(x), 0)


def _cubic(b, c):
    """Returns the kernel of Mitchell and Netravali: (0, 1/2) is that of Keys, (1/3, 1/3) "mitchellcubic"."""

    def kernel(x):
        x = np.abs(x)
        near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + (6 - 2 * b)
        far = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + (8 * b + 24 * c)
        return np.where(x < 1, near, np.where(x < 2, far, 0)) / 6

    return kernel


def _lanczos(a):
    return lambda x: np.where(np.abs(x) <= a, np.sinc(x) * np.sinc(x / a), 0)


KERNELS = {  # method -> (radius, kernel)
    "bilinear": (1, _triangle),
    "bicubic": (2, _cubic(0, 1 / 2)),
    "mitchellcubic": (2, _cubic(1 / 3, 1 / 3)),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
    "gaussian": (1.5, lambda x: np.where(np.abs(x) < 1.5, np.exp(-(x**2) / (2 * 0.5**2)), 0)),
}
METHODS = ("nearest", "area", *KERNELS)


@functools.lru_cache(64)
def taps(size, out, method="bilinear", antialias=False):
    """Returns which inputs an output is made of, and with which weights: integers and floats [out, K].

    Output i lies at (i + 1/2) * size / out - 1/2. With `antialias` a kernel is as wide as the outputs are apart.

    Raises:
        ValueError: An unknown method.
    """
    scale = size / out
    if method == "nearest":
        index = np.minimum(np.floor((np.arange(out) + 0.5) * scale).astype(int), size - 1)
        return index[:, None], np.ones((out, 1), np.float32)
    if method == "area":  # the mean over the stretch that an output covers
        start, stop = np.arange(out) * scale, np.arange(1, out + 1) * scale
        index = np.floor(start + 1e-9).astype(int)[:, None] + np.arange(math.ceil(scale) + 1)
        weight = np.minimum(index + 1, stop[:, None]) - np.maximum(index, start[:, None])
    elif method in KERNELS:
        radius, kernel = KERNELS[method]
        wide = max(scale, 1) if antialias else 1
        at = (np.arange(out) + 0.5) * scale - 0.5
        index = np.floor(at - radius * wide).astype(int)[:, None] + np.arange(math.ceil(2 * radius * wide) + 2)
        weight = kernel((index - at[:, None]) / wide)
        if method == "bilinear" and not antialias:  # beyond the border lies the border
            index = np.clip(index, 0, size - 1)
    else:
        raise ValueError(f"Unknown interpolation {method!r}.{nearest(method, METHODS)} Known: {', '.join(METHODS)}.")
    weight = np.where((index >= 0) & (index < size), np.maximum(weight, 0) if method == "area" else weight, 0)
    weight = weight / weight.sum(1, keepdims=True)
    used = np.abs(weight).max(0) > 0
    return np.clip(index, 0, size - 1)[:, used], weight[:, used].astype(np.float32)


@functools.lru_cache(64)
def _flat_taps(size, out, channels, method):
    """Returns the taps of an axis that lies together with the channels: integers and floats [K, out * C]."""
    index, weight = taps(size, out, method)
    index = index.T[:, :, None] * channels + np.arange(channels)
    return index.reshape(len(index), -1), np.repeat(weight.T, channels, 1)


def _weighted(parts, weights):
    """Returns the float32 sum of arrays times their weights, which add up to 1."""
    if len(weights) == 2:  # a + (b - a) * w: fewer passes over memory
        a, b = (part.astype(np.float32) for part in parts)
        b -= a
        b *= weights[1]
        return np.add(a, b, out=a)
    total = None
    for part, w in zip(parts, weights, strict=True):
        part = np.multiply(part, w, dtype=np.float32)
        total = part if total is None else np.add(total, part, out=total)
    return total


def along(x, axis, out, method="bilinear", antialias=False):
    """Returns `x`, as float32, with `out` values along `axis`."""
    x = np.asarray(x)
    find = taps if out <= 4096 else taps.__wrapped__  # an image's are used again, a sound's take much memory
    index, weight = find(x.shape[axis], out, method, antialias)
    shape = [1] * x.ndim
    shape[axis] = out
    return _weighted((np.take(x, i, axis) for i in index.T), [w.reshape(shape) for w in weight.T])


def resize(image, size, interpolation="bilinear", crop_to_aspect_ratio=False, pad_to_aspect_ratio=False):
    """Resizes an image [H, W, C] to `size`, as `tf.image.resize` does, without antialiasing.

    Args:
        image: Integers or floats [H, W, C].
        size: (height, width).
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic".
        crop_to_aspect_ratio: Takes the largest centered part that has the form of `size`.
        pad_to_aspect_ratio: Puts zeros around the image, so that it gets the form of `size`.

    Returns:
        float32 [*size, C].

    Example:
        >>> resize(np.arange(4.0).reshape(1, 4, 1), (1, 2)).ravel().tolist()
        [0.5, 2.5]
    """
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("resize: expected crop_to_aspect_ratio or pad_to_aspect_ratio, got both.")
    height, width = image.shape[:2]
    if crop_to_aspect_ratio:
        top, left, height, width = crop_window(height, width, size)
        image = image[top : top + height, left : left + width]
    if pad_to_aspect_ratio:
        # As Keras's folder reader: resized first, so that no pixel of the border mixes with the bars.
        scale = min(size[0] / height, size[1] / width)
        inner = max(int(height * scale), 1), max(int(width * scale), 1)
        top, left = int((size[0] - height * scale) / 2), int((size[1] - width * scale) / 2)
        image = resize(image, inner, interpolation)
        return np.pad(image, ((top, size[0] - inner[0] - top), (left, size[1] - inner[1] - left), (0, 0)))
    (height, width), channels = image.shape[:2], image.shape[2]
    rows, row_weights = (a.T for a in taps(height, size[0], interpolation))
    cols, col_weights = _flat_taps(width, size[1], channels, interpolation)
    flat = np.ascontiguousarray(image).reshape(height, width * channels)  # [H, W * C]

    def along_rows(part):
        return _weighted((np.take(part, i, 0) for i in rows), row_weights[:, :, None])

    def along_columns(part):
        return _weighted((np.take(part, i, 1) for i in cols), col_weights)

    rows_first = size[0] * width <= height * size[1]
    out = along_columns(along_rows(flat)) if rows_first else along_rows(along_columns(flat))
    return out.reshape(*size, channels)


def crop_window(height, width, size):
    """Returns (top, left, height, width) of the largest centered part that has the form of `size`."""
    high, wide = min(height, int(width * size[0] / size[1])), min(width, int(height * size[1] / size[0]))
    return (height - high) // 2, (width - wide) // 2, high, wide
