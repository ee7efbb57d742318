"""Boxes and masks drawn into images: arrays in, uint8 arrays out."""

import numpy as np

from fkeras.core import dtypes
from fkeras.core.optional import need
from fkeras.layers.kernels import boxes as kernels

FONT_SIZE = 12  # pixels, at font_scale 1


def as_images(images, data_format, what):
    """Returns images as a NumPy array [B, H, W, C].

    Raises:
        ValueError: Another number of axes.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(f"{what}: expected images [B, H, W, C], got an array of shape {images.shape}.")
    return images.transpose(0, 2, 3, 1) if dtypes.data_format(data_format) == "channels_first" else images


def as_bytes(images, value_range=(0, 255)):
    """Returns images with values in `value_range` as uint8 from 0 to 255.

    Example:
        >>> as_bytes(np.array([0.0, 0.5, 1.0]), (0, 1)).tolist()
        [0, 127, 255]
    """
    low, high = value_range
    if (low, high) == (0, 255) and images.dtype == np.uint8:
        return images
    scaled = (images.astype(np.float64) - low) / (high - low) * 255
    return np.clip(scaled, 0, 255).astype(np.uint8)


def corners(boxes, bounding_box_format, height, width):
    """Returns boxes [..., 4] of any format as float [..., 4] of left, top, right, bottom in pixels.

    Raises:
        ValueError: An unknown format.

    Example:
        >>> corners(np.array([2, 3, 4, 2]), "center_xywh", 10, 10).tolist()
        [0.0, 2.0, 4.0, 4.0]
    """
    boxes = np.asarray(boxes, "float32")
    if boxes.shape[-1] != 4:
        raise ValueError(f"expected boxes [..., 4], got an array of shape {boxes.shape}.")
    return np.asarray(kernels.to_corners(boxes, kernels.box_format(bounding_box_format), height, width), float)


def draw_bounding_boxes(
    images,
    bounding_boxes,
    bounding_box_format,
    class_mapping=None,
    color=(128, 128, 128),
    line_thickness=2,
    text_thickness=1,
    font_scale=1.0,
    data_format=None,
):
    """Draws boxes into images, with the names of their classes if these are given.

    Args:
        images: [B, H, W, C] with values from 0 to 255, C 1, 3 or 4.
        bounding_boxes: Dict of "boxes" [B, N, 4], "labels" [B, N], and optionally "confidences" [B, N]. Boxes with the
            label -1 only fill the array and are not drawn.
        bounding_box_format: "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", or in parts of the size "rel_xyxy",
            "rel_yxyx", "rel_xywh", "rel_center_xywh".
        class_mapping: {label: name}; None: no text.
        color: Red, green, blue.
        line_thickness: Pixels.
        text_thickness: Pixels of the letters' strokes.
        font_scale: Size of the letters.
        data_format: Of `images`.

    Returns:
        uint8 [B, H, W, C].

    Raises:
        ImportError: There are names to write, and Pillow is not installed.
        ValueError, TypeError: Images or boxes of another form.

    Example:
        >>> boxes = {"boxes": [[[1, 1, 4, 4]]], "labels": [[0]]}
        >>> draw_bounding_boxes(np.zeros((1, 6, 6, 1)), boxes, "xyxy", color=(9, 9, 9), line_thickness=1)[0, 1, :, 0]
        array([0, 9, 9, 9, 9, 0], dtype=uint8)
    """
    what = "draw_bounding_boxes"
    images = as_images(images, data_format, what)
    if not isinstance(bounding_boxes, dict):
        raise TypeError(f"{what}: expected bounding_boxes as a dict, got {type(bounding_boxes).__name__}.")
    if missing := [key for key in ("boxes", "labels") if key not in bounding_boxes]:
        raise ValueError(f"{what}: bounding_boxes has no {missing[0]!r}. It has: {', '.join(bounding_boxes)}.")
    out = np.array(as_bytes(images))
    batch, height, width, channels = out.shape
    boxes = corners(bounding_boxes["boxes"], bounding_box_format, height, width)
    labels = np.asarray(bounding_boxes["labels"])
    confidences = bounding_boxes.get("confidences")
    confidences = None if confidences is None else np.asarray(confidences)
    if boxes.ndim != 3 or len(boxes) != batch or labels.shape != boxes.shape[:2]:
        raise ValueError(
            f"{what}: expected boxes [{batch}, N, 4] and labels [{batch}, N], got {boxes.shape} and {labels.shape}."
        )
    color = np.array([*color, 255] if channels == 4 else color[:channels], np.uint8)
    for i in range(batch):
        texts = []
        for j in np.flatnonzero(labels[i] != kernels.NO_BOX):
            left, top, right, bottom = np.rint(boxes[i, j]).astype(int)
            _frame(out[i], left, top, right, bottom, color, line_thickness)
            if class_mapping is not None:
                label = labels[i, j].item()
                name = str(class_mapping.get(label, label))
                texts.append((left, top, name if confidences is None else f"{name} {confidences[i, j]:.2f}"))
        if texts:
            out[i] = _written(out[i], texts, color, text_thickness, font_scale, line_thickness)
    return out


def _frame(image, left, top, right, bottom, color, thickness):
    """Draws a rectangle whose line lies with its middle on the box."""
    before, after = (thickness - 1) // 2, thickness // 2 + 1
    height, width = image.shape[:2]

    def span(start, stop, size):
        return slice(min(max(start, 0), size), min(max(stop, 0), size))

    rows = span(top - before, bottom + after, height)
    cols = span(left - before, right + after, width)
    for y in (top, bottom):
        image[span(y - before, y + after, height), cols] = color
    for x in (left, right):
        image[rows, span(x - before, x + after, width)] = color


def _written(image, texts, color, thickness, font_scale, line_thickness):
    """Returns the image with texts (left, top, text) above their boxes, or within where there is no room."""
    pil, drawing, fonts = (need(f"PIL.{part}", "draw_bounding_boxes") for part in ("Image", "ImageDraw", "ImageFont"))
    gray = image.shape[2] == 1
    img = pil.fromarray(image[..., 0] if gray else image)
    pen, font = drawing.Draw(img), fonts.load_default(FONT_SIZE * font_scale)
    for left, top, text in texts:
        x0, y0, x1, y1 = pen.textbbox((0, 0), text, font=font, stroke_width=(thickness - 1) // 2)
        above = top - line_thickness - (y1 - y0)
        y = above if above >= 0 else top + line_thickness
        x = max(min(left, image.shape[1] - (x1 - x0)), 0)
        fill = int(color[0]) if gray else tuple(map(int, color))
        pen.text((x - x0, y - y0), text, fill=fill, font=font, stroke_width=(thickness - 1) // 2)
    return np.asarray(img)[..., None] if gray else np.asarray(img)


def palette(num_classes):
    """Returns colors {1: (r, g, b), ..., num_classes: ...} that differ well: those that torchvision and Keras take.

    Example:
        >>> palette(2)
        {1: (1, 127, 31), 2: (2, 254, 62)}
    """
    return {c: tuple(c * step % 255 for step in (2**25 - 1, 2**15 - 1, 2**21 - 1)) for c in range(1, num_classes + 1)}


def draw_segmentation_masks(
    images,
    segmentation_masks,
    num_classes=None,
    color_mapping=None,
    alpha=0.8,
    blend=True,
    ignore_index=-1,
    data_format=None,
):
    """Lays the colors of classes over images.

        out = alpha * color + (1 - alpha) * image   where the class is one from 1 to num_classes

    Args:
        images: [B, H, W, C] with values from 0 to 255.
        segmentation_masks: Integers [B, H, W] or [B, H, W, 1]: classes; 0 is the background, which stays as it is.
        num_classes: The greatest class; by default that of the masks.
        color_mapping: {class: (red, green, blue)}; by default `palette(num_classes)`.
        alpha: How opaque the colors are.
        blend: False: the colors cover the image.
        ignore_index: A class that is not drawn.
        data_format: Of `images` (and of masks that have a channel).

    Returns:
        uint8 [B, H, W, C].

    Raises:
        ValueError, TypeError: Images or masks of another form.

    Example:
        >>> draw_segmentation_masks(np.full((1, 1, 2, 3), 100), np.array([[[0, 1]]]), alpha=0.5)[0, 0].tolist()
        [[100, 100, 100], [50, 113, 65]]

    Reference:
        As Keras 3 says; its code of today paints the background black and leaves the last class out.
    """
    what = "draw_segmentation_masks"
    images = as_images(images, data_format, what)
    masks = np.asarray(segmentation_masks)
    if masks.dtype.kind not in "iu":
        raise TypeError(f"{what}: expected segmentation_masks of integers, got {masks.dtype}.")
    if masks.ndim == 4:
        first = dtypes.data_format(data_format) == "channels_first" and masks.shape[1] == 1
        masks = masks[:, 0] if first else masks[..., 0]
    if masks.shape != images.shape[:3]:
        raise ValueError(f"{what}: expected masks of shape {images.shape[:3]}, got {np.shape(segmentation_masks)}.")
    num_classes = int(masks.max(initial=0)) if num_classes is None else num_classes
    colors = palette(num_classes) if color_mapping is None else color_mapping
    out = np.array(as_bytes(images))
    for number in range(1, num_classes + 1):
        if number == ignore_index:
            continue
        if number not in colors:
            raise ValueError(f"{what}: color_mapping has no color for class {number}. It has: {sorted(colors)[:9]}.")
        where = masks == number
        color = np.asarray(colors[number][: out.shape[3]], float)
        out[where] = (alpha * color + (1 - alpha) * out[where] if blend else color).astype(np.uint8)
    return out
