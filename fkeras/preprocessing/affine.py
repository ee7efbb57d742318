"""Rotated, sheared, zoomed and shifted images: splines sampled at the places that an affine map says.

Reference:
    Unser, Aldroubi & Eden, "B-Spline Signal Processing", 1993: values of splines of order n and the coefficients that
    make them go through the pixels. Borders are SciPy's (`scipy.ndimage.affine_transform`).
"""

import functools
import math

import numpy as np

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
_MARGIN = 12  # pixels put around an image whose border goes on ("nearest"), before a spline is fitted


def spline(x, order):
    """Returns the B-spline of that order, centered, at `x`."""
    if order == 0:
        return np.ones_like(x)
    total = sum(
        (-1) ** k * math.comb(order + 1, k) * np.maximum(x + (order + 1) / 2 - k, 0) ** order for k in range(order + 2)
    )
    return total / math.factorial(order)


def sample(image, matrix, offset, order=1, mode="nearest", cval=0.0):
    """Returns the image whose pixel (i, j) is that of `image` at matrix @ (i, j) + offset, between its pixels a spline.

    Args:
        image: Array [H, W, C].
        matrix, offset: [2, 2] and [2].
        order: Of the spline, 0 (the nearest pixel) to 5.
        mode: What lies beyond the border: "constant" (`cval`), "nearest", "reflect" or "wrap".

    Returns:
        Array of the shape and dtype of `image`.

    Example:
        >>> sample(np.arange(3.0).reshape(1, 3, 1), np.eye(2), [0, 0.5], mode="constant", cval=9).ravel().tolist()
        [0.5, 1.5, 9.0]
    """
    if mode not in FILL_MODES:
        raise ValueError(f"expected fill_mode as one of {FILL_MODES}, got {mode!r}.")
    if order not in range(6):
        raise ValueError(f"expected interpolation_order from 0 to 5, got {order!r}.")
    values = image.astype(np.float64)
    margin = _MARGIN if order > 1 and mode == "nearest" else 0
    if margin:
        values = np.pad(values, ((margin, margin), (margin, margin), (0, 0)), "edge")
    if order > 1:
        edge = "reflect" if mode in ("nearest", "reflect") else "mirror"
        values = np.tensordot(_fit(values.shape[0], order, edge), values, (1, 0))
        values = np.tensordot(_fit(values.shape[1], order, edge), values, (1, 1)).swapaxes(0, 1)
    i, j = np.ogrid[: image.shape[0], : image.shape[1]]
    taps, inside = [], True
    for (by_i, by_j), start, size in zip(np.asarray(matrix), offset, values.shape, strict=False):
        at = by_i * i + by_j * j + start + margin  # [H, W]
        if mode == "constant":
            inside = inside & (at >= 0) & (at <= size - 1)
        taps.append(_taps(at, size, order, mode))
    (rows, row_weights), (cols, col_weights) = taps
    flat = values.reshape(-1, values.shape[2])  # [H * W, C]
    out = np.zeros(image.shape)
    for row, row_weight in zip(rows, row_weights, strict=True):
        for col, col_weight in zip(cols, col_weights, strict=True):
            out += np.take(flat, row * values.shape[1] + col, 0) * (row_weight * col_weight)[..., None]
    if mode == "constant":
        out = np.where(inside[..., None], out, cval)
    if image.dtype.kind in "iu":  # to the nearest integer that there is
        limits = np.iinfo(image.dtype)
        out = np.clip(np.trunc(out + np.copysign(0.5, out)), limits.min, limits.max)
    return out.astype(image.dtype)


def _taps(at, size, order, mode):
    """Returns the pixels along one axis that a value is made of, and their weights: [order + 1, H, W] each."""
    if mode == "nearest":
        at = np.clip(at, 0, size - 1)
    elif mode == "wrap" and size > 1:  # the last pixel is the first one again
        at = np.where((at < 0) | (at > size - 1), at % (size - 1), at)
    first = np.floor(at + 0.5 if order % 2 == 0 else at).astype(int) - order // 2
    index = first + np.arange(order + 1)[:, None, None]
    weight = spline(at - index, order)
    return _fold(index, size, "reflect" if mode == "reflect" else "mirror"), weight


def _fold(index, size, edge):
    """Returns indices folded back at the borders: the border's pixel twice ("reflect"), or once ("mirror")."""
    if size == 1:
        return np.zeros_like(index)
    if edge == "reflect":
        index = index % (2 * size)
        return np.where(index >= size, 2 * size - 1 - index, index)
    index = index % (2 * size - 2)
    return np.where(index >= size, 2 * size - 2 - index, index)


@functools.lru_cache(8)
def _fit(size, order, edge):
    """Returns the matrix [size, size] from pixels to the coefficients of the spline through them."""
    reach = order // 2
    at = np.arange(size)
    values = np.zeros((size, size))
    for step in range(-reach, reach + 1):
        np.add.at(values, (at, _fold(at + step, size, edge)), spline(np.float64(step), order))
    return np.linalg.inv(values)


def centered(matrix, height, width, swapped):
    """Returns (matrix [2, 2], offset [2]) of a map [3, 3] that turns about the middle of the image.

    As Keras: with `swapped` the map is one of (x, y), and becomes one of rows and columns only after its middle was
    found of (height, width); so an image that is not square is turned about a point beside its middle.
    """
    middle = np.array([height / 2 - 0.5, width / 2 - 0.5])
    linear, offset = matrix[:2, :2], matrix[:2, 2] + middle - matrix[:2, :2] @ middle
    return (linear[::-1, ::-1], offset[::-1]) if swapped else (linear, offset)


def affine_map(theta=0, tx=0, ty=0, shear=0, zx=1, zy=1):
    """Returns the map [3, 3] from pixels of the result to those of the image: rotation, shift, shear, zoom.

    Args:
        theta, shear: Degrees.
        tx, ty: Pixels.
        zx, zy: Factors; below 1 enlarges.
    """
    theta, shear = np.deg2rad(theta), np.deg2rad(shear)
    rotation = np.array([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1.0]])
    sheared = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    return rotation @ shift @ sheared @ np.diag([zx, zy, 1.0])
