"""Boxes [..., 4] of objects in images: their formats, and how they move with the pixels."""

import jax.numpy as jnp

from fkeras.core.settings import nearest

FORMATS = (  # rel_ is in parts of width and height
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
NO_BOX = -1  # label of the rows that only fill an array of boxes


def box_format(value):
    """Converter: the name of a format, in any case.

    Raises:
        ValueError: There is none of that name.
    """
    name = value.lower() if isinstance(value, str) else value
    if name not in FORMATS:
        near = nearest(name, FORMATS) if isinstance(name, str) else ""
        raise ValueError(f"Unknown bounding_box_format {value!r}.{near} Known: {', '.join(FORMATS)}.")
    return name


def to_corners(boxes, kind, height, width):
    """Returns left, top, right, bottom in pixels of boxes [..., 4] in the format `kind`.

    Example:
        >>> to_corners(jnp.array([2.0, 3.0, 4.0, 2.0]), "center_xywh", None, None).tolist()
        [0.0, 2.0, 4.0, 4.0]
    """
    a, b = boxes[..., :2], boxes[..., 2:]
    form = kind.removeprefix("rel_")
    if form in ("yxyx", "center_yxhw"):
        a, b = a[..., ::-1], b[..., ::-1]
    if form.startswith("center"):
        a, b = a - b / 2, a + b / 2
    elif form == "xywh":
        b = a + b
    corners = jnp.concatenate([a, b], -1)
    return corners * sides(height, width, corners.dtype) if kind.startswith("rel_") else corners


def from_corners(corners, kind, height, width):
    """Inverse of `to_corners`."""
    if kind.startswith("rel_"):
        corners = corners / sides(height, width, corners.dtype)
    a, b = corners[..., :2], corners[..., 2:]
    form = kind.removeprefix("rel_")
    if form.startswith("center"):
        a, b = (a + b) / 2, b - a
    elif form == "xywh":
        b = b - a
    if form in ("yxyx", "center_yxhw"):
        a, b = a[..., ::-1], b[..., ::-1]
    return jnp.concatenate([a, b], -1)


def sides(height, width, dtype):
    return jnp.stack([jnp.asarray(side, dtype) for side in (width, height, width, height)], -1)


def area(corners):
    return (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])


def corner_points(corners):
    """Returns the four corners [..., 4, 2], as (x, y), of left, top, right, bottom."""
    left, top, right, bottom = (corners[..., i] for i in range(4))
    pairs = ((left, top), (right, top), (right, bottom), (left, bottom))
    return jnp.stack([jnp.stack(pair, -1) for pair in pairs], -2)


def around(points):
    """Returns left, top, right, bottom around points [..., n, 2]."""
    return jnp.concatenate([points.min(-2), points.max(-2)], -1)


def clip(corners, labels, height, width):
    """Keeps boxes within an image; the label of one that has nothing left becomes -1, its corners 0.

    Args:
        corners: Float array [..., 4] of left, top, right, bottom.
        labels: Array [...], or None.
    """
    corners = jnp.clip(corners, 0, sides(height, width, corners.dtype))
    gone = area(corners) <= 0
    corners = jnp.where(gone[..., None], 0, corners)
    return corners, None if labels is None else jnp.where(gone, jnp.asarray(NO_BOX, labels.dtype), labels)


def affine(points, matrix, shift):
    """Returns points [B, n, 2] at M p + t, by `matrix` [B, 2, 2] and `shift` [B, 2]."""
    return jnp.einsum("bij,bnj->bni", matrix, points) + shift[:, None]
