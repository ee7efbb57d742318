"""Images [B, H, W, C] in other sizes, places and colors: what `ops.image` and the layers of `augment/` compute."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from fkeras.layers.kernels.convolution import chosen


def rgb_to_hsv(x):
    """Returns hue, saturation and value, from 0 to 1, of red, green and blue from 0 to 1."""
    x = jnp.where(jnp.abs(x) < jnp.finfo(x.dtype).eps, 0, x)
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value = x.max(-1)
    spread = value - x.min(-1)
    step = 1 / (6 * jnp.where(spread > 0, spread, 1))
    # Compared with each other, not with `value`: a compiler that computes an input anew may round it otherwise.
    hue = jnp.where(green >= blue, (blue - red) * step + 2 / 6, (red - green) * step + 4 / 6)
    hue = jnp.where((red >= green) & (red >= blue), (green - blue) * step, hue)
    hue = jnp.where(spread > 0, hue, 0)
    hue = hue + (hue < 0)
    saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
    return jnp.stack([hue, saturation, value], -1).astype(x.dtype)


def hsv_to_rgb(x):
    """Inverse of `rgb_to_hsv`."""
    turn, saturation, value = jnp.mod(x[..., :1], 1.0) * 6, x[..., 1:2], x[..., 2:3]
    distance = jnp.concatenate([jnp.abs(turn - 3) - 1, 2 - jnp.abs(turn - 2), 2 - jnp.abs(turn - 4)], -1)
    return value * (1 - saturation + saturation * jnp.clip(distance, 0, 1))


def kept_box(sides, size, ratio):
    """Returns (height, width) and (top, left) of the part of images that `resize` to `size` shows.

    Args:
        sides, size: (height, width) of the images, and of the result.
        ratio: "crop" for the largest middle part of the ratio of `size`; "pad" for the smallest that has all, beyond
            the images; None for all.
    """
    (H, W), (h, w) = sides, size
    if ratio == "crop":
        keep = max(1, min(H, int(W * h / w))), max(1, min(W, int(H * w / h)))
        return keep, tuple(int((full - part) / 2) for full, part in zip((H, W), keep, strict=True))
    if ratio == "pad":  # as Keras: as much before as behind, so that an odd rest is left away
        top, left = (int((max(full, wide) - full) / 2) for full, wide in ((H, int(W * h / w)), (W, int(H * w / h))))
        left = 0 if top else left
        return (H + 2 * top, W + 2 * left), (-top, -left)
    return (H, W), (0, 0)


def resize(x, size, interpolation, antialias, ratio, fill_value):
    """Resizes to `size`; `ratio` None, "crop" or "pad" says how the ratio of the sides is kept."""
    (height, width), (top, left) = kept_box(x.shape[1:3], size, ratio)
    if ratio == "crop":
        x = x[:, top : top + height, left : left + width]
    if ratio == "pad":
        x = jnp.pad(x, ((0, 0), (-top, -top), (-left, -left), (0, 0)), constant_values=np.asarray(fill_value, x.dtype))
    return jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), interpolation, antialias=antialias)


def read_at(plane, coordinates, order, fill_mode, fill_value):
    """Reads one array at fractional places [axes, ...]."""
    return jax.scipy.ndimage.map_coordinates(plane, coordinates, order, mode=fill_mode, cval=fill_value)


def warp(x, places, order, fill_mode, fill_value):
    """Reads each image of [B, H, W, C] at its own places [B, 2, H, W]."""

    def one(image, at):
        read = functools.partial(read_at, order=order, fill_mode=fill_mode, fill_value=fill_value)
        return jax.vmap(lambda plane: read(plane, at), in_axes=-1, out_axes=-1)(image)

    return jax.vmap(one)(x, places)


def grid(x):
    """Returns the rows and columns [H, W] of images, as floats of their dtype or float32."""
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32
    return jnp.meshgrid(jnp.arange(x.shape[1], dtype=dtype), jnp.arange(x.shape[2], dtype=dtype), indexing="ij")


def affine(x, transform, order, fill_mode, fill_value):
    """Reads image b at (a0 x + a1 y + a2, b0 x + b1 y + b2), by `transform` [B or 1, 8]: a0, a1, a2, b0, b1, b2, ..."""
    rows, columns = grid(x)
    a0, a1, a2, b0, b1, b2 = (transform[:, i, None, None] for i in range(6))
    places = jnp.stack([b0 * columns + b1 * rows + b2, a0 * columns + a1 * rows + a2], 1)
    return warp(x, jnp.broadcast_to(places, (x.shape[0], *places.shape[1:])), order, fill_mode, fill_value)


def projection(start, end):
    """Returns the projective map [B, 8] that takes the points `end` [B, 4, 2] to `start`: a, b, c, d, e, f, g, h.

    u = (a x + b y + c) / (g x + h y + 1),  v = (d x + e y + f) / (g x + h y + 1)
    """
    # Each pair of points says u (g x + h y + 1) = a x + b y + c, and so for v: eight lines for a, b, ..., h.
    u, v, zero, one = start[..., 0], start[..., 1], jnp.zeros_like(end[..., 0]), jnp.ones_like(end[..., 0])
    xs, ys = end[..., 0], end[..., 1]
    upper = jnp.stack([xs, ys, one, zero, zero, zero, -u * xs, -u * ys], -1)
    lower = jnp.stack([zero, zero, zero, xs, ys, one, -v * xs, -v * ys], -1)
    return jnp.linalg.solve(jnp.concatenate([upper, lower], 1), jnp.concatenate([u, v], 1)[..., None])[..., 0]


def project(found, x, y):
    """Returns (u, v) of places x, y [B, ...] by a `projection` [B, 8]."""
    a, b, c, d, e, f, g, h = (found[:, i].reshape(-1, *(1,) * (x.ndim - 1)) for i in range(8))
    depth = g * x + h * y + 1
    return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth


def perspective(x, start, end, order, fill_value):
    """Maps four points `start` [B, 4, 2] of each image to `end`, by the projective map through them."""
    rows, columns = grid(jnp.zeros(x.shape, jnp.float32))
    u, v = project(projection(start, end), columns[None], rows[None])
    places = jnp.stack([v, u], 1)
    return warp(x, jnp.broadcast_to(places, (x.shape[0], *places.shape[1:])), order, "constant", fill_value)


def one_of(index, functions, x, *arrays):
    """Applies functions[index[b]] to image b of `x` [B, H, W, C] and row b of `arrays`; each keeps the image's shape.

    Args:
        index: int32 [B].
        functions: Of (x, *arrays), for any number of rows.
    """

    def one(i, *rows):
        return jax.lax.switch(i, functions, *(row[None] for row in rows))[0]

    each = (index, x, *arrays)
    return jax.lax.map(lambda a: one(*a), each) if chosen() == "cpu" else jax.vmap(one)(*each)


def unaffine(points, transform):
    """Returns where `affine` by `transform` [B, 8] shows what is at points [B, n, 2], (x, y) in pixels' edges."""
    a0, a1, a2, b0, b1, b2 = (transform[:, i, None] for i in range(6))
    x, y = points[..., 0] - 0.5 - a2, points[..., 1] - 0.5 - b2
    determinant = a0 * b1 - a1 * b0
    found = (b1 * x - a1 * y) / determinant, (a0 * y - b0 * x) / determinant
    return jnp.stack(found, -1) + 0.5


def gaussian(size, sigma, dtype):
    """Returns the weights of a Gaussian window [size], with the sum 1."""
    x = jnp.arange(size, dtype=dtype) - (size - 1) / 2
    weights = jnp.exp(-0.5 * jnp.square(x / jnp.asarray(sigma, dtype)))
    return weights / jnp.sum(weights)
