"""The ops of `keras.ops.image`: colors, sizes, warps, blurs; on [H, W, C] or [B, H, W, C]."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core import dtypes
from fkeras.core.operations import OPS, as_array, op, result_type, to_float
from fkeras.core.settings import nearest
from fkeras.layers.kernels import images as kernels

HOME = "image"
_ORDERS = {"nearest": 0, "bilinear": 1}
_FILLS = ("constant", "nearest", "wrap", "mirror", "reflect")


def _among(name, argument, value, known):
    if value not in known:
        raise ValueError(
            f"ops.image.{name}: unknown {argument} {value!r}.{nearest(str(value), map(str, known))} Known: "
            f"{', '.join(map(str, known))}."
        )


def _on_batches(name):
    """Decorator: the function sees [B, H, W, C]; a single image and channels first are turned there and back."""

    def decorate(function):
        @functools.wraps(function)
        def wrapped(images, *args, data_format=None, **kwargs):
            first = dtypes.data_format(data_format) == "channels_first"
            images = _images(images, name)
            single = images.ndim == 3
            x = images[None] if single else images
            y = function(jnp.moveaxis(x, 1, -1) if first else x, *args, **kwargs)
            y = jnp.moveaxis(y, -1, 1) if first else y
            return y[0] if single else y

        return wrapped

    return decorate


def _images(images, name):
    images = jnp.asarray(images)
    if images.ndim not in (3, 4):
        raise ValueError(f"ops.image.{name}: expected [H, W, C] or [B, H, W, C], got shape {images.shape}.")
    return images


# ------------------------------------------------------------------------------------------------------ colors


@op(HOME, "RGBToGrayscale", settings="data_format")
def rgb_to_grayscale(images, data_format=None):
    """One channel of brightness: 0.2989 red + 0.587 green + 0.114 blue; a single channel stays.

    Raises:
        ValueError: There are neither 1 nor 3 channels.

    Source: ITU-R BT.601, as `tf.image.rgb_to_grayscale`.
    """
    return _gray(images, data_format=data_format)


@_on_batches("rgb_to_grayscale")
def _gray(x):
    if x.shape[-1] not in (1, 3):
        raise ValueError(f"ops.image.rgb_to_grayscale: expected 1 or 3 channels, got shape {x.shape}.")
    if x.shape[-1] == 1:
        return x
    wide = to_float(x)
    return jnp.tensordot(wide, jnp.array([0.2989, 0.5870, 0.1140], wide.dtype), axes=1)[..., None].astype(x.dtype)


def _need_floats(images, name):
    if not jnp.issubdtype(jnp.result_type(images), jnp.floating):
        raise ValueError(f"ops.image.{name}: expected floats from 0 to 1, got {jnp.result_type(images)}.")


@op(HOME, "RGBToHSV", settings="data_format")
def rgb_to_hsv(images, data_format=None):
    """Hue, saturation and value, all from 0 to 1, of red, green and blue from 0 to 1.

    Raises:
        ValueError: They are no floats.

    Source: Smith, "Color gamut transform pairs", 1978, as `tf.image.rgb_to_hsv`.
    """
    _need_floats(images, "rgb_to_hsv")
    return _hsv(images, data_format=data_format)


_hsv = _on_batches("rgb_to_hsv")(kernels.rgb_to_hsv)


@op(HOME, "HSVToRGB", settings="data_format")
def hsv_to_rgb(images, data_format=None):
    """Inverse of `rgb_to_hsv`.

    Raises:
        ValueError: They are no floats.

    Source: Smith, "Color gamut transform pairs", 1978, as `tf.image.hsv_to_rgb`.
    """
    _need_floats(images, "hsv_to_rgb")
    return _rgb(images, data_format=data_format)


_rgb = _on_batches("hsv_to_rgb")(kernels.hsv_to_rgb)


# ------------------------------------------------------------------------------------------------------- sizes


@op(HOME, "Resize", calls="images")
def resize(
    images,
    size,
    interpolation="bilinear",
    antialias=False,
    crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False,
    fill_mode="constant",
    fill_value=0.0,
    data_format=None,
):
    """Images in another size.

    Args:
        images: [H, W, C] or [B, H, W, C].
        size: (height, width).
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3", "lanczos5".
        antialias: Smooth before making smaller.
        crop_to_aspect_ratio, pad_to_aspect_ratio: Keep the ratio of the sides: cut what is too much from the middle, or
            add `fill_value` around.

    Raises:
        ValueError: Unknown interpolation or fill_mode, both ways to keep the ratio, or no two sizes.

    Source: `jax.image.resize`.
    """
    _among("resize", "interpolation", interpolation, ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"))
    _among("resize", "fill_mode", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("ops.image.resize: crop_to_aspect_ratio and pad_to_aspect_ratio do not go together.")
    if np.ndim(size) != 1 or len(size) != 2:
        raise ValueError(f"ops.image.resize: expected size=(height, width), got {size!r}.")
    ratio = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else None
    return _resized(images, tuple(size), interpolation, antialias, ratio, fill_value, data_format=data_format)


_resized = _on_batches("resize")(kernels.resize)


def _margins(name, size, before, after, target, axis, sign):
    """Returns how much to cut (sign 1) or add (sign -1) on both sides of an axis, of which two are given."""
    words = ("cropping", "padding")[sign < 0], ("top", "bottom", "height") if axis == 0 else ("left", "right", "width")
    (first, last, kind), word = words[1], words[0]
    if [before, after, target].count(None) != 1:
        raise ValueError(
            f"ops.image.{name}: expected two of {first}_{word}, {last}_{word} and target_{kind}, got {before}, "
            f"{after}, {target}."
        )
    if target is not None:
        rest = sign * (size - target)
        before, after = (rest - after, after) if before is None else (before, rest - before)
    if before < 0 or after < 0 or (sign > 0 and size - before - after < 0):
        raise ValueError(
            f"ops.image.{name}: {first}_{word}={before} and {last}_{word}={after} do not fit a {kind} of {size}."
        )
    return before, after


@op(HOME, "CropImages", calls="images")
def crop_images(
    images,
    top_cropping=None,
    left_cropping=None,
    bottom_cropping=None,
    right_cropping=None,
    target_height=None,
    target_width=None,
    data_format=None,
):
    """Images without some rows and columns at their sides; two of before, behind and what is left decide each axis.

    Raises:
        ValueError: Not two of them are given, or they do not fit.

    Source: `tf.image.crop_to_bounding_box`.
    """
    rows, columns = (top_cropping, bottom_cropping, target_height), (left_cropping, right_cropping, target_width)
    return _cropped(images, rows, columns, data_format=data_format)


@_on_batches("crop_images")
def _cropped(x, rows, columns):
    top, bottom = _margins("crop_images", x.shape[1], *rows, 0, 1)
    left, right = _margins("crop_images", x.shape[2], *columns, 1, 1)
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


@op(HOME, "PadImages", calls="images")
def pad_images(
    images,
    top_padding=None,
    left_padding=None,
    bottom_padding=None,
    right_padding=None,
    target_height=None,
    target_width=None,
    data_format=None,
):
    """Images with zeros at their sides; two of before, behind and the size wanted decide each axis.

    Raises:
        ValueError: Not two of them are given, or they do not fit.

    Source: `tf.image.pad_to_bounding_box`.
    """
    rows, columns = (top_padding, bottom_padding, target_height), (left_padding, right_padding, target_width)
    return _padded(images, rows, columns, data_format=data_format)


@_on_batches("pad_images")
def _padded(x, rows, columns):
    return jnp.pad(x, ((0, 0), _margins("pad_images", x.shape[1], *rows, 0, -1),
                       _margins("pad_images", x.shape[2], *columns, 1, -1), (0, 0)))  # fmt: skip


def _patches(x, size, strides, dilation, padding):
    """Windows of [B, *space, C] as [B, *windows, size * C]: cells in order, each with its channels."""
    from fkeras.layers.kernels.convolution import window_pads

    n = x.ndim - 2
    size, dilation = ((v,) * n if np.ndim(v) == 0 else tuple(v) for v in (size, dilation))
    strides = size if strides is None else (strides,) * n if np.ndim(strides) == 0 else tuple(strides)
    pads, counts = window_pads(x.shape[1:-1], size, strides, dilation, padding.lower())
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    for axis, (count, k, s, d) in enumerate(zip(counts, size, strides, dilation, strict=True)):
        places = np.arange(count)[:, None] * s + np.arange(k) * d
        x = jnp.take(x, places, axis=1 + 2 * axis)  # [B, count, k, count, k, ..., C]
    order = [0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1]
    return x.transpose(order).reshape(x.shape[0], *counts, -1)


@op(HOME, "ExtractPatches", settings="size strides dilation_rate padding data_format")
def extract_patches(images, size, strides=None, dilation_rate=1, padding="valid", data_format=None):
    """Windows of images, each laid flat: [B, H, W, C] gives [B, rows, columns, height * width * C].

    Args:
        images: [H, W, C] or [B, H, W, C]; with three sizes, volumes.
        size, dilation_rate: Int or (height, width) of the windows, and how far apart their cells lie.
        strides: From one window to the next; `size` by default.
        padding: "valid" or "same".

    Source: `tf.image.extract_patches`.
    """
    if np.ndim(size) == 1 and len(size) == 3:
        return _volumes(images, size, strides, dilation_rate, padding, data_format)
    return _flat(images, size, strides, dilation_rate, padding, data_format=data_format)


@_on_batches("extract_patches")
def _flat(x, size, strides, dilation_rate, padding):
    return _patches(x, size, strides, dilation_rate, padding)


@op(HOME, "ExtractPatches", settings="size strides dilation_rate padding data_format")
def extract_patches_3d(volumes, size, strides=None, dilation_rate=1, padding="valid", data_format=None):
    """Windows of volumes, each laid flat: [B, D, H, W, C] gives [B, *windows, depth * height * width * C].

    Source: `tf.extract_volume_patches`.
    """
    return _volumes(volumes, (size,) * 3 if np.ndim(size) == 0 else size, strides, dilation_rate, padding, data_format)


# Keras has one operation for both, which goes by the number of sizes.
OPS["image.extract_patches_3d"].recorded = lambda kept: {
    **kept,
    "size": (kept["size"],) * 3 if np.ndim(kept["size"]) == 0 else kept["size"],
}


def _volumes(volumes, size, strides, dilation_rate, padding, data_format):
    x, first = jnp.asarray(volumes), dtypes.data_format(data_format) == "channels_first"
    single = x.ndim == 4
    x = x[None] if single else x
    y = _patches(jnp.moveaxis(x, 1, -1) if first else x, tuple(size), strides, dilation_rate, padding)
    y = jnp.moveaxis(y, -1, 1) if first else y
    return y[0] if single else y


# ------------------------------------------------------------------------------------------------------- warps


@op(HOME, "MapCoordinates", settings="order fill_mode fill_value", lists="coordinates")
def map_coordinates(inputs, coordinates, order, fill_mode="constant", fill_value=0):
    """Reads an array at fractional places: `coordinates` [axes, ...].

    Args:
        order: 0 takes the nearest element, 1 interpolates lines.
        fill_mode: What lies outside: "constant", "nearest", "wrap", "mirror", "reflect".

    Raises:
        ValueError: There is no such order or mode, or the axes do not fit.

    Source: `jax.scipy.ndimage.map_coordinates`.
    """
    inputs, coordinates = jnp.asarray(inputs), jnp.asarray(as_array(coordinates))
    _among("map_coordinates", "order", order, (0, 1))
    _among("map_coordinates", "fill_mode", fill_mode, _FILLS)
    if coordinates.ndim < 2 or coordinates.shape[0] != inputs.ndim:
        raise ValueError(
            f"ops.image.map_coordinates: expected coordinates [{inputs.ndim}, ...] for an array of shape "
            f"{inputs.shape}, got shape {coordinates.shape}."
        )
    return kernels.read_at(inputs, coordinates, order, fill_mode, fill_value)


@op(HOME, "AffineTransform", settings="interpolation fill_mode fill_value data_format")
def affine_transform(images, transform, interpolation="bilinear", fill_mode="constant", fill_value=0, data_format=None):
    """Images moved, turned, scaled and sheared.

        output(x, y) = image(a0 x + a1 y + a2, b0 x + b1 y + b2)

    Args:
        images: [H, W, C] or [B, H, W, C].
        transform: [8] or [B, 8]: a0, a1, a2, b0, b1, b2, and two that must be 0.
        interpolation: "bilinear" or "nearest".
        fill_mode: What lies outside: "constant", "nearest", "wrap", "mirror", "reflect".

    Raises:
        ValueError: Unknown interpolation or mode, or shapes that do not fit.

    Source: `tfa.image.transform`'s rule, as Keras.
    """
    _among("affine_transform", "interpolation", interpolation, _ORDERS)
    _among("affine_transform", "fill_mode", fill_mode, _FILLS)
    transform = jnp.asarray(transform)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ValueError(f"ops.image.affine_transform: expected transform [8] or [B, 8], got shape {transform.shape}.")
    transform = transform[None] if transform.ndim == 1 else transform
    return _affine(images, transform, _ORDERS[interpolation], fill_mode, fill_value, data_format=data_format)


_affine = _on_batches("affine_transform")(kernels.affine)


@op(HOME, "PerspectiveTransform", settings="interpolation fill_value data_format")
def perspective_transform(images, start_points, end_points, interpolation="bilinear", fill_value=0, data_format=None):
    """Images seen from elsewhere: what was at four start points comes to four end points.

    Args:
        images: [H, W, C] or [B, H, W, C].
        start_points, end_points: [4, 2] or [B, 4, 2], (x, y) each.
        interpolation: "bilinear" or "nearest".

    Raises:
        ValueError: Unknown interpolation, or points that are not four pairs.

    Source: the projective map through four points (Hartley & Zisserman, "Multiple View Geometry", 2004, section 2.3).
    """
    _among("perspective_transform", "interpolation", interpolation, _ORDERS)
    start, end = (jnp.asarray(p, jnp.float32) for p in (start_points, end_points))
    if start.shape != end.shape or start.shape[-2:] != (4, 2) or start.ndim not in (2, 3):
        raise ValueError(
            f"ops.image.perspective_transform: expected points [4, 2] or [B, 4, 2], got {start.shape} and {end.shape}."
        )
    start, end = (p[None] if p.ndim == 2 else p for p in (start, end))
    return _projected(images, start, end, _ORDERS[interpolation], fill_value, data_format=data_format)


_projected = _on_batches("perspective_transform")(kernels.perspective)


@op(HOME, "ElasticTransform", calls="images")
def elastic_transform(
    images,
    alpha=20.0,
    sigma=5.0,
    interpolation="bilinear",
    fill_mode="reflect",
    fill_value=0.0,
    seed=None,
    data_format=None,
):
    """Images moved by smooth random displacements.

    Args:
        images: [H, W, C] or [B, H, W, C].
        alpha: Length of the displacements.
        sigma: Width of the Gaussian that smooths them.
        seed: Int, `SeedGenerator` or None.

    Source: Simard, Steinkraus & Platt, "Best Practices for Convolutional Neural Networks", 2003, section 2.
    """
    _among("elastic_transform", "interpolation", interpolation, _ORDERS)
    _among("elastic_transform", "fill_mode", fill_mode, _FILLS)
    how = alpha, sigma, _ORDERS[interpolation], fill_mode, fill_value, seed
    return _elastic(images, *how, data_format=data_format)


@_on_batches("elastic_transform")
def _elastic(x, alpha, sigma, order, fill_mode, fill_value, seed):
    from fkeras.core import rng

    key = seed.next() if hasattr(seed, "next") else rng.as_key(seed)
    rows, columns = kernels.grid(x)
    noise = jax.random.normal(key, (*x.shape[:3], 2), rows.dtype) * sigma
    size = int(6 * sigma) | 1
    moved = alpha * _blurred(noise, (size, size), (sigma, sigma))
    places = jnp.stack([rows + moved[..., 0], columns + moved[..., 1]], 1)
    return kernels.warp(x, places, order, fill_mode, fill_value).astype(x.dtype)


@op(HOME, "ScaleAndTranslate", settings="spatial_dims method antialias", raw="output_shape")
def scale_and_translate(images, output_shape, scale, translation, spatial_dims, method, antialias=True):
    """Some axes of an array scaled and moved, by interpolation.

    Args:
        output_shape: The whole shape of the result.
        scale, translation: One number for each of `spatial_dims`.
        method: "linear", "cubic", "lanczos3", "lanczos5", or a name of theirs.

    Raises:
        ValueError: There is no such method.

    Source: `jax.image.scale_and_translate`.
    """
    known = ("linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3", "lanczos5")
    _among("scale_and_translate", "method", method, known)
    scale, translation = jnp.asarray(scale), jnp.asarray(translation)
    shape, axes = tuple(output_shape), tuple(spatial_dims)
    return jax.image.scale_and_translate(images, shape, axes, scale, translation, method, antialias)


# ------------------------------------------------------------------------------------------------------ filters


def _filtered(x, kernel, padding="same"):
    """Slides one [h, w] kernel over every channel of [B, H, W, C]."""
    from fkeras.layers.convolution import depthwise_conv

    return depthwise_conv(x, jnp.broadcast_to(kernel[..., None, None], (*kernel.shape, x.shape[-1], 1)), 1, padding)


def _blurred(x, kernel_size, sigma, padding="same"):
    across, down = (kernels.gaussian(n, s, x.dtype) for n, s in zip(kernel_size, sigma, strict=True))
    return _filtered(_filtered(x, down[:, None], padding), across[None, :], padding)


@op(HOME, "GaussianBlur", settings="kernel_size sigma data_format")
def gaussian_blur(images, kernel_size=(3, 3), sigma=(1.0, 1.0), data_format=None):
    """Images smoothed by a Gaussian window; zeros lie outside.

    Args:
        images: Float [H, W, C] or [B, H, W, C].
        kernel_size, sigma: Cells of the window and width of the Gaussian, across and down.

    Source: exp(-x^2 / (2 sigma^2)), divided by its sum.
    """
    return _smooth(images, tuple(kernel_size), tuple(sigma), data_format=data_format)


_smooth = _on_batches("gaussian_blur")(_blurred)


@op(HOME, "SobelEdges", settings="data_format")
def sobel_edges(images, data_format=None):
    """Slopes down and across each image: [B, H, W, C] gives [B, H, W, C, 2]; zeros lie outside.

    Source: Sobel's 3 x 3 filters, as `tf.image.sobel_edges`.
    """
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)

    def slopes(kernel):
        @_on_batches("sobel_edges")
        def slide(x):
            return _filtered(x, jnp.asarray(kernel, x.dtype))

        return slide(images, data_format=data_format)

    return jnp.stack([slopes(across.T), slopes(across)], -1)


@op(HOME, "SSIM", settings="max_val filter_size filter_sigma k1 k2 data_format")
def ssim(image1, image2, max_val=1.0, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03, data_format=None):
    """Structural similarity of two images, 1 for equal ones; one number an image.

    Source: Wang, Bovik, Sheikh & Simoncelli, "Image Quality Assessment", 2004, eq. 13; windows within the image only.
    """
    dtype = jnp.asarray(image1).dtype
    compute = result_type(dtype, float)

    @_on_batches("ssim")
    def mean(x):
        return _blurred(x, (filter_size,) * 2, (filter_sigma,) * 2, "valid")

    a, b = (_images(image, "ssim").astype(compute) for image in (image1, image2))
    mean_a, mean_b, aa, bb, ab = (mean(v, data_format=data_format) for v in (a, b, a * a, b * b, a * b))
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    product, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    similarity = (2 * product + c1) * (2 * (ab - product) + c2) / ((squares + c1) * (aa + bb - squares + c2))
    return jnp.mean(similarity, axis=(-3, -2, -1)).astype(dtype)
