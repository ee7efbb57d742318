"""Images between files, Pillow and arrays: `load_img`, `img_to_array`, `array_to_img`, `save_img`, `smart_resize`."""

import io
import os

import numpy as np

from fkeras.core import dtypes
from fkeras.core.optional import need
from fkeras.core.settings import nearest
from fkeras.utils.resample import crop_window, resize

FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")  # what `image_dataset_from_directory` reads
MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
PIL_METHODS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def load_img(path, color_mode="rgb", target_size=None, interpolation="nearest", keep_aspect_ratio=False):
    """Reads an image file as a Pillow image.

    Args:
        path: A path, bytes of a file in memory (`io.BytesIO`), or an open binary file.
        color_mode: "rgb", "rgba" or "grayscale" (16 and 32 bits of gray are kept).
        target_size: (height, width), or None to leave the image as large as it is.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: Crop the middle to the form of `target_size` before resizing.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: An unknown `color_mode` or `interpolation`, or a file that is no image.

    Reference:
        As Keras 3.
    """
    pil = need("PIL.Image", "load_img")
    _check_mode("load_img", color_mode)
    if isinstance(path, io.BytesIO) or hasattr(path, "read"):
        img = pil.open(path)
    elif isinstance(path, (str, os.PathLike)):
        with open(path, "rb") as file:
            img = pil.open(io.BytesIO(file.read()))
    else:
        raise TypeError(f"load_img: expected a path or an open file, got {type(path).__name__}.")
    img = _in_mode(img, color_mode)
    if target_size is None:
        return img
    if interpolation not in PIL_METHODS:
        raise ValueError(
            f"load_img: unknown interpolation {interpolation!r}.{nearest(interpolation, PIL_METHODS)} "
            f"Known: {', '.join(PIL_METHODS)}."
        )
    wide_high = (target_size[1], target_size[0])
    if img.size == wide_high and not keep_aspect_ratio:
        return img
    box = None
    if keep_aspect_ratio:
        top, left, height, width = crop_window(img.size[1], img.size[0], target_size)
        box = (left, top, left + width, top + height)
    return img.resize(wide_high, getattr(pil.Resampling, interpolation.upper()), box)


def _check_mode(what, color_mode):
    if color_mode not in MODES:
        raise ValueError(f"{what}: expected color_mode 'grayscale', 'rgb' or 'rgba', got {color_mode!r}.")


def _in_mode(img, color_mode):
    deep = ("L", "I;16", "I") if color_mode == "grayscale" else ()
    return img if img.mode in (MODES[color_mode], *deep) else img.convert(MODES[color_mode])


def img_to_array(img, data_format=None, dtype=None):
    """Returns a Pillow image (or an array [H, W] or [H, W, C]) as an array with a channel axis.

    Args:
        img: Image.
        data_format: "channels_last" or "channels_first"; by default `config.image_data_format()`.
        dtype: By default `config.floatx()`.

    Example:
        >>> img_to_array(np.zeros((2, 3))).shape
        (2, 3, 1)
    """
    data_format = dtypes.data_format(data_format)
    x = np.asarray(img, dtype or dtypes.floatx())
    if x.ndim == 2:
        return x[None] if data_format == "channels_first" else x[..., None]
    if x.ndim != 3:
        raise ValueError(f"img_to_array: expected an image [H, W] or [H, W, C], got an array of shape {x.shape}.")
    return x.transpose(2, 0, 1) if data_format == "channels_first" else x


def array_to_img(x, data_format=None, scale=True, dtype=None):
    """Returns an array [H, W, C] as a Pillow image.

    Args:
        x: Array with 1, 3 or 4 channels.
        data_format: "channels_last" or "channels_first"; by default `config.image_data_format()`.
        scale: Stretch the values so that the least is 0 and the greatest 255.
        dtype: To compute in, by default `config.floatx()`.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: Another shape.

    Example:
        >>> array_to_img(np.array([[[0.0], [1.0]]])).getpixel((1, 0))
        255
    """
    pil = need("PIL.Image", "array_to_img")
    data_format = dtypes.data_format(data_format)
    x = np.asarray(x, dtype or dtypes.floatx())
    if x.ndim != 3:
        raise ValueError(f"array_to_img: expected one image [H, W, C], got an array of shape {x.shape}.")
    if data_format == "channels_first":
        x = x.transpose(1, 2, 0)
    if scale:
        x = x - np.min(x)
        greatest = np.max(x)
        x = (x / greatest if greatest != 0 else x) * 255
    if x.shape[2] == 1:
        gray = x[:, :, 0]
        return pil.fromarray(gray.astype("int32") if gray.max() > 255 else gray.astype("uint8"))
    if x.shape[2] not in (3, 4):
        raise ValueError(f"array_to_img: expected 1, 3 or 4 channels, got {x.shape[2]} ({data_format}).")
    return pil.fromarray(x.astype("uint8"))


def save_img(path, x, data_format=None, file_format=None, scale=True, **kwargs):
    """Writes an array [H, W, C] as an image file.

    Args:
        path: Path or open binary file.
        x: Array with 1, 3 or 4 channels.
        data_format: As in `array_to_img`.
        file_format: Such as "png"; by default what the ending of the path says.
        scale: As in `array_to_img`.
        **kwargs: For `PIL.Image.Image.save`, such as quality=90.
    """
    img = array_to_img(x, data_format, scale)
    name = file_format or (os.path.splitext(path)[1][1:] if isinstance(path, (str, os.PathLike)) else "")
    if img.mode == "RGBA" and name.lower() in ("jpg", "jpeg"):  # JPEG has no transparency
        img = img.convert("RGB")
    img.save(path, format="jpeg" if file_format == "jpg" else file_format, **kwargs)


def smart_resize(x, size, interpolation="bilinear", data_format="channels_last"):
    """Resizes images without changing their proportions: the middle is cropped to the form of `size` first.

    Args:
        x: Array [H, W, C] or [B, H, W, C] ("channels_first": [C, H, W] or [B, C, H, W]).
        size: (height, width).
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", ...
        data_format: "channels_last" or "channels_first".

    Returns:
        float32 array of that size.

    Example:
        >>> smart_resize(np.zeros((34, 50, 3)), (20, 20)).shape
        (20, 20, 3)
    """
    if len(size) != 2:
        raise ValueError(f"smart_resize: expected size as (height, width), got {size!r}.")
    x = np.asarray(x)
    if x.ndim not in (3, 4):
        raise ValueError(f"smart_resize: expected [H, W, C] or [B, H, W, C], got an array of shape {x.shape}.")
    batch = x if x.ndim == 4 else x[None]
    if data_format == "channels_first":
        batch = batch.transpose(0, 2, 3, 1)
    out = np.stack([resize(image, size, interpolation, crop_to_aspect_ratio=True) for image in batch])
    if data_format == "channels_first":
        out = out.transpose(0, 3, 1, 2)
    return out if x.ndim == 4 else out[0]


def read_image(path, color_mode):
    """Returns an image file as uint8 [H, W, C]; of an animation the first picture.

    Raises:
        ValueError: The file is no image, or a broken one; the message names it.
    """
    pil = need("PIL.Image", "Reading images")
    try:
        with pil.open(path) as img:
            if img.mode.startswith("I"):  # 16 bits of gray: the upper eight; Pillow would cut them off at 255
                img = pil.fromarray((np.asarray(img) >> 8).astype("uint8"))
            if img.mode != MODES[color_mode]:
                img = img.convert(MODES[color_mode])
            return img_to_array(img, "channels_last", "uint8")
    except OSError as err:
        raise ValueError(f"Cannot read the image {os.fspath(path)!r}: {err}. Is it damaged, or no image?") from err
