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


def along(x, axis, out, method="bilinear", antialias=False):
    """Returns `x`, as float32, with `out` values along `axis`."""
    x = np.asarray(x)
    if x.shape[axis] == out and method not in ("mitchellcubic", "gaussian"):  # those blur what keeps its size too
        return x.astype(np.float32)
    find = taps if out <= 4096 else taps.__wrapped__  # an image's are used again, a sound's take much memory
    index, weight = find(x.shape[axis], out, method, antialias)
    shape = [1] * x.ndim
    shape[axis] = out
    total = None
    for i, w in zip(index.T, weight.T, strict=True):
        part = np.take(x, i, axis) * w.reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    return total


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
    rows_first = size[0] * image.shape[1] <= image.shape[0] * size[1]
    for axis in (0, 1) if rows_first else (1, 0):
        image = along(image, axis, size[axis], interpolation)
    return image


def crop_window(height, width, size):
    """Returns (top, left, height, width) of the largest centered part that has the form of `size`."""
    high, wide = min(height, int(width * size[0] / size[1])), min(width, int(height * size[1] / size[0]))
    return (height - high) // 2, (width - wide) // 2, high, wide
