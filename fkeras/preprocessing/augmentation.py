"""Single steps of augmentation on the host, as Keras 2 names them: each takes an image and returns one of its shape.

Random ones draw from NumPy's global generator, in Keras's order, so that `np.random.seed` gives Keras's pictures.
"""

import numpy as np

from fkeras.core.optional import need
from fkeras.preprocessing import affine
from fkeras.utils.images import array_to_img, img_to_array


def apply_affine_transform(
    x,
    theta=0,
    tx=0,
    ty=0,
    shear=0,
    zx=1,
    zy=1,
    row_axis=1,
    col_axis=2,
    channel_axis=0,
    fill_mode="nearest",
    cval=0.0,
    order=1,
):
    """Rotates, shifts, shears and zooms an image about its middle.

    Args:
        x: Image; by default with its channels first.
        theta, shear: Degrees.
        tx, ty: Pixels, along columns and rows where `col_axis` comes after `row_axis`.
        zx, zy: Factors along the same; below 1 enlarges.
        row_axis, col_axis, channel_axis: Where these are in `x`.
        fill_mode: What lies beyond the border: "nearest", "constant" (`cval`), "reflect" or "wrap".
        order: Of the spline between the pixels, 0 to 5.

    Example:
        >>> apply_affine_transform(np.arange(4.0).reshape(1, 2, 2), tx=1).tolist()
        [[[1.0, 1.0], [3.0, 3.0]]]
    """
    if len({row_axis, col_axis, channel_axis}) != 3:
        raise ValueError(
            f"apply_affine_transform: row_axis, col_axis and channel_axis have to differ, got "
            f"{row_axis}, {col_axis}, {channel_axis}."
        )
    if x.ndim != 3:
        raise ValueError(f"apply_affine_transform: expected one image with 3 axes, got an array of shape {x.shape}.")
    if theta == 0 and tx == 0 and ty == 0 and shear == 0 and zx == 1 and zy == 1:
        return x
    matrix = affine.affine_map(theta, tx, ty, shear, zx, zy)
    found = affine.centered(matrix, x.shape[row_axis], x.shape[col_axis], swapped=col_axis > row_axis)
    image = np.moveaxis(x, channel_axis, 2)
    return np.moveaxis(affine.sample(image, *found, order, fill_mode, cval), 2, channel_axis)


def random_rotation(
    x, rg, row_axis=1, col_axis=2, channel_axis=0, fill_mode="nearest", cval=0.0, interpolation_order=1
):
    """Rotates an image by an angle drawn from [-rg, rg] degrees."""
    theta = np.random.uniform(-rg, rg)
    return apply_affine_transform(
        x,
        theta=theta,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def random_shift(
    x, wrg, hrg, row_axis=1, col_axis=2, channel_axis=0, fill_mode="nearest", cval=0.0, interpolation_order=1
):
    """Shifts an image by parts of its width and height drawn from [-wrg, wrg] and [-hrg, hrg]."""
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return apply_affine_transform(
        x,
        tx=tx,
        ty=ty,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def random_shear(
    x, intensity, row_axis=1, col_axis=2, channel_axis=0, fill_mode="nearest", cval=0.0, interpolation_order=1
):
    """Shears an image by an angle drawn from [-intensity, intensity] degrees."""
    shear = np.random.uniform(-intensity, intensity)
    return apply_affine_transform(
        x,
        shear=shear,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def random_zoom(
    x, zoom_range, row_axis=1, col_axis=2, channel_axis=0, fill_mode="nearest", cval=0.0, interpolation_order=1
):
    """Zooms an image by two factors, for rows and columns, drawn from zoom_range = (low, high)."""
    if len(zoom_range) != 2:
        raise ValueError(f"random_zoom: expected zoom_range as (low, high), got {zoom_range!r}.")
    zx, zy = (1, 1) if tuple(zoom_range) == (1, 1) else np.random.uniform(*zoom_range, 2)
    return apply_affine_transform(
        x,
        zx=zx,
        zy=zy,
        row_axis=row_axis,
        col_axis=col_axis,
        channel_axis=channel_axis,
        fill_mode=fill_mode,
        cval=cval,
        order=interpolation_order,
    )


def apply_channel_shift(x, intensity, channel_axis=0):
    """Adds `intensity` to all pixels, within the least and the greatest value that the image has.

    Example:
        >>> apply_channel_shift(np.array([[[0.0, 5.0, 9.0]]]), 2.0).tolist()
        [[[2.0, 7.0, 9.0]]]
    """
    return np.clip(x + intensity, np.min(x), np.max(x))


def random_channel_shift(x, intensity_range, channel_axis=0):
    """As `apply_channel_shift`, by a number drawn from [-intensity_range, intensity_range]."""
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


def apply_brightness_shift(x, brightness, scale=True):
    """Multiplies the brightness of an image as Pillow does, in steps of 1/255.

    Args:
        x: Image.
        brightness: Factor: 0 is black, 1 changes nothing.
        scale: Stretch the values to 0..255 first; else only if they lie outside, and back again.
    """
    enhance = need("PIL.ImageEnhance", "apply_brightness_shift")
    low, high = np.min(x), np.max(x)
    outside = low < 0 or high > 255
    img = array_to_img(x, scale=bool(outside or scale))
    out = img_to_array(enhance.Brightness(img).enhance(brightness))
    return out / 255 * (high - low) + low if outside and not scale else out


def random_brightness(x, brightness_range, scale=True):
    """As `apply_brightness_shift`, by a factor drawn from brightness_range = (low, high)."""
    if len(brightness_range) != 2:
        raise ValueError(f"random_brightness: expected brightness_range as (low, high), got {brightness_range!r}.")
    return apply_brightness_shift(x, np.random.uniform(*brightness_range), scale)
