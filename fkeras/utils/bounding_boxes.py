"""Boxes around objects: formats, moves, overlaps, and how detectors encode them."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.core.settings import shortened
from fkeras.layers.kernels import boxes as kernels

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]


def convert_format(boxes, source, target, height=None, width=None, dtype="float32"):
    """Converts boxes from one format to another.

    Formats: "xyxy" (left, top, right, bottom), "yxyx", "xywh" (left, top, width, height), "center_xywh",
    "center_yxhw"; in parts of the image's sides "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh".

    Args:
        boxes: Array [N, 4] or [B, N, 4], or a dict with one at "boxes", of which the rest is kept.
        source, target: Formats, in upper or lower case.
        height, width: Of the image; needed between pixels and parts of sides.
        dtype: Of the result.

    Raises:
        ValueError: An unknown format, another shape, or sides are missing.

    Example:
        >>> convert_format(np.array([[10, 20, 30, 50]]), "xyxy", "xywh").tolist()
        [[10.0, 20.0, 20.0, 30.0]]
    """
    source, target = kernels.box_format(source), kernels.box_format(target)
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    boxes = _boxes(boxes, "convert_format", dtype)
    if source.startswith("rel_") == target.startswith("rel_"):
        height = width = 1
    _check_sides("convert_format", height, width, source, target)
    return kernels.from_corners(kernels.to_corners(boxes, source, height, width), target, height, width)


def clip_to_image_size(bounding_boxes, height=None, width=None, bounding_box_format="xyxy"):
    """Keeps boxes within their image; the labels of those that have nothing left become -1.

    Args:
        bounding_boxes: {"boxes": [N, 4] or [B, N, 4], "labels": [N] or [B, N]}.
        height, width: Of the image, in pixels; not needed for a format in parts of its sides.
        bounding_box_format: See `convert_format`.

    Example:
        >>> clipped = clip_to_image_size({"boxes": np.array([[-5, 2, 20, 8]]), "labels": np.array([3])}, 10, 10)
        >>> clipped["boxes"].tolist(), clipped["labels"].tolist()
        ([[0.0, 2.0, 10.0, 8.0]], [3])
    """
    kind = kernels.box_format(bounding_box_format)
    if kind.startswith("rel_"):
        height = width = 1
    _check_sides("clip_to_image_size", height, width, kind)
    boxes, labels = _boxes(bounding_boxes["boxes"], "clip_to_image_size"), jnp.asarray(bounding_boxes["labels"])
    corners, labels = kernels.clip(kernels.to_corners(boxes, kind, height, width), labels, height, width)
    return {**bounding_boxes, "boxes": kernels.from_corners(corners, kind, height, width), "labels": labels}


def crop(boxes, top, left, height, width, bounding_box_format="xyxy"):
    """Moves boxes with an image that is cropped to `height` x `width` from (`left`, `top`), and keeps them within.

    Example:
        >>> crop(np.array([[10, 20, 50, 60]]), top=10, left=20, height=40, width=30).tolist()
        [[0.0, 10.0, 30.0, 40.0]]
    """
    corners, back = _in_pixels(boxes, "crop", bounding_box_format)
    moved = corners - kernels.sides(top, left, corners.dtype)
    return back(jnp.clip(moved, 0, kernels.sides(height, width, corners.dtype)))


def pad(boxes, top, left, height=None, width=None, bounding_box_format="xyxy"):
    """Moves boxes with an image that gets `top` rows above and `left` columns before it; no other size is needed.

    Example:
        >>> pad(np.array([[10, 20, 50, 60]]), top=5, left=1).tolist()
        [[11.0, 25.0, 51.0, 65.0]]
    """
    corners, back = _in_pixels(boxes, "pad", bounding_box_format)
    return back(corners + kernels.sides(top, left, corners.dtype))


def affine_transform(
    boxes,
    angle,
    translate_x,
    translate_y,
    scale,
    shear_x,
    shear_y,
    height,
    width,
    center_x=None,
    center_y=None,
    bounding_box_format="xyxy",
):
    """Shifts, turns, shears and scales boxes about a point; the result is the box around what becomes of each.

        p' = c + scale * M (p - c + t),  M = [[cos - a v, sin + a w], [v, w]],  v = b cos - sin,  w = b sin + cos

    with a and b the tangents of `shear_x` and `shear_y`; sides count from the first pixel's middle to the last's. M is
    Keras's, whose sign of `a v` is not that of a shear after a turn.

    Args:
        boxes: Array [N, 4] or [B, N, 4].
        angle: In degrees, counter-clockwise; like the next five a number, or an array [B].
        translate_x, translate_y: t, in parts of width and height.
        scale: Factor of the sides.
        shear_x, shear_y: Angles in degrees.
        height, width: Of the image.
        center_x, center_y: c, the point that stays, in parts of width and height; by default the middle.
        bounding_box_format: See `convert_format`.

    Example:
        >>> affine_transform(np.array([[0, 0, 5, 5]]), 0, 0.5, 0, 1, 0, 0, height=11, width=11).tolist()
        [[5.0, 0.0, 10.0, 5.0]]
    """
    kind, given = kernels.box_format(bounding_box_format), _boxes(boxes, "affine_transform")
    corners = kernels.to_corners(given if given.ndim == 3 else given[None], kind, height, width)
    numbers = (jnp.atleast_1d(jnp.asarray(v, corners.dtype)) for v in (angle, translate_x, translate_y, scale))
    angle, right, down, scale = numbers
    across, along = (jnp.tan(jnp.deg2rad(jnp.atleast_1d(jnp.asarray(v, corners.dtype)))) for v in (shear_x, shear_y))
    sin, cos = jnp.sin(jnp.deg2rad(angle)), jnp.cos(jnp.deg2rad(angle))
    v, w = along * cos - sin, along * sin + cos
    matrix = _pairs(*(_pairs(*row) for row in ((cos - across * v, sin + across * w), (v, w))), axis=-2)
    matrix = scale[:, None, None] * matrix
    size = jnp.array([width - 1, height - 1], corners.dtype)
    center = size * jnp.array([0.5 if c is None else c for c in (center_x, center_y)], corners.dtype)
    shift = center + jnp.einsum("bij,bj->bi", matrix, size * _pairs(right, down) - center)
    points = kernels.corner_points(corners)
    flat = points.reshape(points.shape[0], -1, 2)
    count = max(len(flat), len(matrix))
    flat, matrix, shift = (jnp.broadcast_to(a, (count, *a.shape[1:])) for a in (flat, matrix, shift))
    moved = kernels.around(kernels.affine(flat, matrix, shift).reshape(count, *points.shape[1:]))
    moved = kernels.from_corners(moved, kind, height, width)
    return moved if given.ndim == 3 or count > 1 else moved[0]


def _pairs(a, b, axis=-1):
    return jnp.stack(jnp.broadcast_arrays(a, b), axis)


def compute_iou(boxes1, boxes2, bounding_box_format, use_masking=False, mask_val=-1, image_shape=None):
    """Computes by how much boxes overlap, each with each: area in common over area together.

    Args:
        boxes1, boxes2: Arrays [M, 4] or [B, M, 4], and [N, 4] or [B, N, 4].
        bounding_box_format: See `convert_format`.
        use_masking: Give `mask_val` for pairs with a box that only fills its array (no number above -1 in it).
        mask_val: See there.
        image_shape: (height, width, channels), for formats in parts of the sides.

    Returns:
        Float array [M, N] or [B, M, N].

    Example:
        >>> a, b = np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])
        >>> compute_iou(a, b, "xyxy").round(3).tolist()
        [[0.333..., 0.0]]
    """
    one, other = (_in_image(b, "compute_iou", bounding_box_format, image_shape) for b in (boxes1, boxes2))
    a, b = one[..., :, None, :], other[..., None, :, :]
    overlap = _overlap(a, b)
    iou = _ratio(overlap, kernels.area(a) + kernels.area(b) - overlap)
    if not use_masking:
        return iou
    fills = [(jnp.asarray(x) < 0).all(-1) for x in (boxes1, boxes2)]
    return jnp.where(fills[0][..., :, None] | fills[1][..., None, :], mask_val, iou)


def compute_ciou(boxes1, boxes2, bounding_box_format, image_shape=None):
    """Computes the complete IoU of pairs of boxes: less where middles are apart or ratios of sides differ.

        ciou = iou - d^2 / c^2 - a v,  v = 4 / pi^2 (atan(w1 / h1) - atan(w2 / h2))^2,  a = v / (1 - iou + v)

    with d between the middles and c the diagonal of the box around both.

    Args:
        boxes1, boxes2: Arrays [..., 4] of one shape.
        bounding_box_format: See `convert_format`.
        image_shape: (height, width, channels), for formats in parts of the sides.

    Returns:
        Float array [...].

    Example:
        >>> compute_ciou(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 2]]), "xyxy").round(3).tolist()
        [1.0]

    Reference:
        Zheng et al., "Distance-IoU Loss", 2019, arXiv:1911.08287, eq. 9-11.
    """
    a, b = (_in_image(x, "compute_ciou", bounding_box_format, image_shape) for x in (boxes1, boxes2))
    tiny = 1e-7
    overlap = _overlap(a, b)
    iou = overlap / (kernels.area(a) + kernels.area(b) - overlap + tiny)
    spread = jnp.maximum(a[..., 2:], b[..., 2:]) - jnp.minimum(a[..., :2], b[..., :2])
    apart = ((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])) / 2
    (w1, h1), (w2, h2) = (jnp.moveaxis(x[..., 2:] - x[..., :2], -1, 0) for x in (a, b))
    v = 4 / math.pi**2 * jnp.square(jnp.arctan(w2 / (h2 + tiny)) - jnp.arctan(w1 / (h1 + tiny)))
    weight = v / (v - iou + (1 + tiny))
    return iou - (apart**2).sum(-1) / ((spread**2).sum(-1) + tiny) - weight * v


def encode_box_to_deltas(
    anchors, boxes, anchor_format, box_format, encoding_format="center_yxhw", variance=None, image_shape=None
):
    """Encodes boxes by how they differ from anchors, as detectors learn it.

        ((y - y_a) / h_a, (x - x_a) / w_a, log(h / h_a), log(w / w_a)) / variance

    Args:
        anchors: Array [N, 4].
        boxes: Array [N, 4] or [B, N, 4].
        anchor_format, box_format: See `convert_format`.
        encoding_format: "center_yxhw", or "center_xywh" for the other order.
        variance: Four numbers to divide by, or None.
        image_shape: (height, width, channels), for formats in parts of the sides.

    Example:
        >>> a, b = np.array([[0, 0, 4, 4]]), np.array([[1, 0, 5, 4]])
        >>> encode_box_to_deltas(a, b, "xyxy", "xyxy").tolist()
        [[0.0, 0.25, 0.0, 0.0]]

    Reference:
        Ren et al., "Faster R-CNN", 2015, arXiv:1506.01497, eq. 2.
    """
    kind, variance = _encoding(encoding_format), _variance(variance)
    height, width = _image_sides(image_shape)
    anchors = convert_format(anchors, anchor_format, kind, height, width)
    boxes = convert_format(boxes, box_format, kind, height, width)
    middle = (boxes[..., :2] - anchors[..., :2]) / anchors[..., 2:]
    size = jnp.log(jnp.maximum(boxes[..., 2:], 1e-7) / jnp.maximum(anchors[..., 2:], 1e-7))
    return jnp.concatenate([middle, size], -1) / variance


def decode_deltas_to_boxes(
    anchors, boxes_delta, anchor_format, box_format, encoded_format="center_yxhw", variance=None, image_shape=None
):
    """Inverse of `encode_box_to_deltas`: boxes in `box_format` of what a detector says about its anchors.

    Args:
        anchors, boxes_delta: Arrays [N, 4] and [N, 4] or [B, N, 4], or dicts of them by level.
        anchor_format, box_format, encoded_format, variance, image_shape: See `encode_box_to_deltas`.

    Example:
        >>> decode_deltas_to_boxes(np.array([[0, 0, 4, 4]]), np.array([[0, 0.25, 0, 0]]), "xyxy", "xyxy").tolist()
        [[1.0, 0.0, 5.0, 4.0]]
    """
    kind, scale = _encoding(encoded_format), _variance(variance)
    if isinstance(anchors, dict):
        options = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {level: decode_deltas_to_boxes(anchors[level], boxes_delta[level], *options) for level in anchors}
    height, width = _image_sides(image_shape)
    anchors = convert_format(anchors, anchor_format, kind, height, width)
    deltas = _boxes(boxes_delta, "decode_deltas_to_boxes") * scale
    middle = deltas[..., :2] * anchors[..., 2:] + anchors[..., :2]
    boxes = jnp.concatenate([middle, jnp.exp(deltas[..., 2:]) * anchors[..., 2:]], -1)
    return convert_format(boxes, kind, box_format, height, width)


# --------------------------------------------------------------------------------------------- what they share


def _boxes(boxes, what, dtype="float32"):
    boxes = jnp.asarray(boxes if isinstance(boxes, jax.Array) else np.asarray(boxes), dtype)
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
        raise ValueError(f"{what}: expected boxes [N, 4] or [B, N, 4], got an array of shape {boxes.shape}.")
    return boxes


def _check_sides(what, height, width, *kinds):
    if height is None or width is None:
        raise ValueError(
            f"{what}: expected height and width of the image for {' and '.join(map(repr, kinds))}, got "
            f"height={height}, width={width}."
        )


def _in_pixels(boxes, what, kind):
    """Returns boxes as corners, and the function that brings them back; a format in parts of sides is refused."""
    kind = kernels.box_format(kind)
    if kind.startswith("rel_"):
        raise ValueError(f"{what}: expected boxes in pixels, got {kind!r}. Convert them before, by convert_format.")
    corners = kernels.to_corners(_boxes(boxes, what), kind, None, None)
    return corners, lambda moved: kernels.from_corners(moved, kind, None, None)


def _in_image(boxes, what, kind, image_shape):
    kind = kernels.box_format(kind)
    height, width = _image_sides(image_shape)
    if kind.startswith("rel_") and height is None:
        raise ValueError(f"{what}: expected image_shape=(height, width, channels) for {kind!r}, got None.")
    return kernels.to_corners(jnp.asarray(boxes, "float32"), kind, height, width)


def _image_sides(image_shape):
    return (None, None) if image_shape is None else tuple(image_shape[:2])


def _overlap(a, b):
    shared = jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2])
    return jnp.prod(jnp.maximum(shared, 0), -1)


def _ratio(a, b):
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def _encoding(value):
    kind = kernels.box_format(value)
    if kind not in ("center_xywh", "center_yxhw"):
        raise ValueError(f"expected an encoding 'center_yxhw' or 'center_xywh', got {value!r}.")
    return kind


def _variance(variance):
    if variance is None:
        return jnp.ones(4, "float32")
    if np.shape(variance) != (4,):
        raise ValueError(f"expected a variance of four numbers, got {shortened(variance)}.")
    return jnp.asarray(variance, "float32")


def __dir__():
    return __all__
