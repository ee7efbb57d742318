"""Images varied by layers that are chosen by lot, for each image anew."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from fkeras.core import dtypes
from fkeras.core.settings import at_least_zero, choice, positive_int, seed_or_none, setting
from fkeras.layers.augment.base import RandomImageLayer, limits, per_image, value_range
from fkeras.layers.augment.colors import ColorLayer, RandomBrightness, RandomContrast
from fkeras.layers.augment.filters import (
    AutoContrast,
    Equalization,
    RandomColorDegeneration,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from fkeras.layers.augment.places import RandomRotation, RandomShear, RandomTranslation
from fkeras.layers.contract.base import layers
from fkeras.layers.kernels import images as kernels

OF_COLOR = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness)
_interpolation = choice("bilinear", "nearest")


@functools.lru_cache
def parts(factor, ends, interpolation, colors):
    """Returns the layers that are chosen among, as Keras sets them.

    Args:
        factor: (lower, upper) of the strength, in [0, 1].
        ends: (lowest, highest) pixel.
        interpolation: "bilinear" or "nearest".
        colors: Whether those that change color or sharpness are among them.
    """
    settings = {
        RandomShear: {"x_factor": factor, "y_factor": factor, "interpolation": interpolation},
        RandomTranslation: {"height_factor": factor, "width_factor": factor, "interpolation": interpolation},
        RandomRotation: {"factor": factor, "interpolation": interpolation},
        RandomPosterization: {"factor": max(1, int(8 * factor[1]))},
        Solarization: {"addition_factor": factor, "threshold_factor": factor},
        **({kind: {"factor": factor} for kind in OF_COLOR} if colors else {}),
    }
    pixels = {kind: {} if "interpolation" in given else {"value_range": ends} for kind, given in settings.items()}
    return (
        *(kind(**given, **pixels[kind], name=kind.__name__) for kind, given in settings.items()),
        AutoContrast(ends, name="AutoContrast"),
        Equalization(ends, name="Equalization"),
    )


def draws_of(chosen_among):
    """Returns how many numbers one choice takes: one that chooses, and those of the layer that draws most."""
    return 1 + max(getattr(layer, "draws", 0) for layer in chosen_among)


def choices(u, count):
    """Returns which of `count` the numbers `u` [...] in [0, 1) choose, int32."""
    return jnp.minimum((u * count).astype(jnp.int32), count - 1)


def shares(key, alpha, count):
    """Draws `count` shares of 1 from the Dirichlet distribution; two of them are Beta(alpha, alpha)."""
    if alpha == 1:  # even over all shares: two lines, where XLA takes seconds to compile the general way
        drawn = jax.random.exponential(key, (count,))
        return drawn / jnp.sum(drawn)
    return jax.random.dirichlet(key, jnp.full(count, alpha))


def _varies(layer, method="vary"):
    """Returns a function (x, u) of images and numbers; that of a layer that draws nothing takes none of them."""
    if not isinstance(layer, RandomImageLayer):
        return lambda x, u: layer.change(x, None)
    return lambda x, u: getattr(layer, method)(x, u[:, : layer.draws])


def _same(x, u):
    return x


def vary_each(x, u, chosen_among, method="vary"):
    """Applies to each image of `x` [B, H, W, C] the layer that u[:, 0] chooses, by the numbers u[:, 1:] of [B, n].

    Args:
        x: Images, or masks with the method "vary_masks".
        u: Numbers in [0, 1).
        chosen_among: Layers; None stands for no change.
    """
    moved = method == "vary_masks"
    functions = [_same if layer is None or (moved and not layer.moves) else _varies(layer, method)
                 for layer in chosen_among]  # fmt: skip
    return kernels.one_of(choices(u[:, 0], len(functions)), functions, x, u[:, 1:])


@layers.register
class RandAugment(ColorLayer):
    """Varies each image by a few layers while training: they are chosen, and do what they do, by lot.

    Among RandomShear, RandomTranslation, RandomRotation, RandomBrightness, RandomColorDegeneration, RandomContrast,
    RandomSharpness, RandomPosterization, Solarization, AutoContrast and Equalization.

    Args:
        value_range: (lowest, highest) pixel.
        num_ops: How many layers an image goes through.
        factor: (lower, upper) of their strength, or f for (0, f); within [0, 1].
        interpolation: "bilinear" or "nearest", of those that move pixels.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Masks and boxes move with their images. Each image has layers of its own; Keras's release 3.15 takes the same ones
    for all images of a batch.

    Example:
        >>> RandAugment(value_range=(0, 1))(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)

    Reference:
        Cubuk et al., "RandAugment", 2019, arXiv:1909.13719.
    """

    rows_meet = False  # a loop over images: `compiled.rows` has no rule for what its rounds hold
    moves = True
    value_range: Any = setting(value_range, (0, 255))
    num_ops: int = setting(positive_int, 2)
    factor: Any = setting(limits(0, 1), 0.5)
    interpolation: str = setting(_interpolation, "bilinear")
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    @property
    def parts(self):
        """The layers that are chosen among."""
        return parts(self.factor, self.value_range, self.interpolation, True)

    @property
    def draws(self):
        """How many numbers a row draws."""
        return self.num_ops * draws_of(self.parts)

    def _rounds(self, x, u, step):
        u = jnp.moveaxis(u.reshape(len(u), self.num_ops, -1), 1, 0)  # [B, num_ops * n] -> [num_ops, B, n]
        return jax.lax.scan(lambda x, u: (step(x, u), None), x, u)[0]

    def vary(self, x, u, method="vary"):
        return self._rounds(x, u, lambda x, u: vary_each(x, u, self.parts, method))

    def vary_masks(self, x, u):
        return self.vary(x, u, "vary_masks")

    def move_drawn(self, points, u, height, width):
        def step(points, u):
            index = choices(u[:, 0], len(self.parts))
            for i, layer in enumerate(self.parts):
                if layer.moves:
                    moved = layer.move_drawn(points, u[:, 1 : 1 + layer.draws], height, width)
                    points = jnp.where(per_image(index, index[:, None, None]) == i, moved, points)
            return points

        return self._rounds(points, u, step)


@layers.register
class AugMix(ColorLayer):
    """Mixes each image with versions of itself while training, each of them varied by a chain of layers.

        y = m x + (1 - m) sum_k w_k chain_k(x),  w ~ Dirichlet(alpha), m ~ Beta(alpha, alpha)

    Each step of a chain is one of RandomShear, RandomTranslation, RandomRotation, RandomPosterization, Solarization,
    AutoContrast, Equalization, with `all_ops` RandomBrightness, RandomColorDegeneration, RandomContrast and
    RandomSharpness, or nothing.

    Args:
        value_range: (lowest, highest) pixel; the result is kept within.
        num_chains: Number of versions.
        chain_depth: Steps of a chain.
        factor: (lower, upper) of the layers' strength, or f for (0, f); within [0, 1].
        alpha: Of both distributions, above 0.
        all_ops: Whether to choose among all of the layers above.
        interpolation: "bilinear" or "nearest", of those that move pixels.
        seed: Int that sets this layer's draws apart, or None.
        data_format: "channels_last", "channels_first", or None for the process-wide default.

    Boxes and masks stay as they are, those of the image that is a part of the mix. Each image has chains of its own;
    Keras's release 3.15 takes the same ones for all images of a batch, in a compiled step for all steps.

    Example:
        >>> AugMix(value_range=(0, 1))(jnp.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)

    Reference:
        Hendrycks et al., "AugMix", 2019, arXiv:1912.02781, algorithm 1.
    """

    rows_meet = False  # a loop over images: `compiled.rows` has no rule for what its rounds hold
    value_range: Any = setting(value_range, (0, 255))
    num_chains: int = setting(positive_int, 3)
    chain_depth: int = setting(positive_int, 3)
    factor: Any = setting(limits(0, 1), 0.3)
    alpha: float = setting(at_least_zero, 1.0)
    all_ops: bool = setting(bool, True)
    interpolation: str = setting(_interpolation, "bilinear")
    seed: Any = setting(seed_or_none, None)
    data_format: Any = setting(dtypes.data_format, None)

    def check(self):
        if self.alpha == 0:
            raise ValueError(f"{self.label}: expected alpha > 0, got 0.")

    def check_input(self, shape):
        colors = super() if self.all_ops else super(ColorLayer, self)
        colors.check_input(shape)

    def change(self, x, ctx):
        chosen_among = (*parts(self.factor, self.value_range, self.interpolation, self.all_ops), None)
        steps = self.num_chains, self.chain_depth, draws_of(chosen_among)

        def sample(key, shape):
            for_steps, for_chains, for_mix = jax.random.split(key, 3)
            weights, kept = shares(for_chains, self.alpha, self.num_chains), shares(for_mix, self.alpha, 2)[0]
            return jax.random.uniform(for_steps, steps), weights, kept

        u, weights, kept = ctx.draw(sample, x.shape, self.seed)
        u = u.transpose(1, 2, 0, 3)  # [B, chains, steps, n] -> [chains, steps, B, n]

        def chain(mixed, drawn):
            u, weight = drawn
            varied = jax.lax.scan(lambda x, u: (vary_each(x, u, chosen_among), None), x, u)[0]
            return mixed + per_image(weight, x) * varied, None

        mixed = jax.lax.scan(chain, jnp.zeros_like(x), (u, weights.T))[0]
        kept = per_image(kept, x)
        return jnp.clip(kept * x + (1 - kept) * mixed, *self.value_range)
