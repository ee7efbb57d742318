"""Rows of the layers on images."""

import numpy as np

from tests.catalog.layer_row import LayerRow

FIRST = {"data_format": "channels_first"}
UNIT = {"value_range": (0, 1)}


class ImageRow(LayerRow):
    """A row whose input are pixels from 0.1 to 0.9."""

    def input(self):
        return np.random.default_rng(7).uniform(0.1, 0.9, self.shape).astype("float32")


def image(kind, /, shape=(2, 5, 6, 3), *, random=True, grad=True, **kwargs):
    shown = ",".join(f"{k}={v}" for k, v in kwargs.items())
    return ImageRow(f"{kind}({shown})", kind, kwargs, shape, random=random, grad=grad)


ROWS = [
    image("Resizing", height=3, width=4, random=False),
    image("Resizing", (2, 3, 5, 6), height=7, width=4, interpolation="bicubic", **FIRST, random=False),
    image("CenterCrop", height=3, width=3, random=False),
    image("MaxNumBoundingBoxes", max_number=2, random=False),
    image("RandomFlip"),
    image("RandomFlip", (2, 3, 5, 6), mode="horizontal", seed=3, **FIRST),
    image("RandomRotation", factor=0.2),
    image("RandomZoom", height_factor=0.3, width_factor=(-0.2, 0.1), fill_mode="nearest", seed=1),
    image("RandomTranslation", height_factor=0.3, width_factor=0.2, interpolation="nearest"),
    image("RandomCrop", height=3, width=4),
    image("RandomContrast", factor=0.5, **UNIT),
    image("RandomBrightness", factor=0.1, **UNIT),
    image("RandomHue", factor=0.4, **UNIT),
    image("RandomSaturation", (2, 3, 5, 6), factor=(0.4, 0.6), **UNIT, **FIRST),
    image("RandomGrayscale", factor=0.5),
    image("RandomColorJitter", brightness_factor=0.1, contrast_factor=0.2, hue_factor=0.1, **UNIT),
    image("RandomShear", x_factor=0.3, y_factor=(0.1, 0.2), fill_mode="constant"),
    image("RandomPerspective", factor=(1, 1), scale=0.5),
    image("RandomElasticTransform", factor=(1, 1), scale=(0.5, 1), **UNIT),
    image("RandomGaussianBlur", factor=(0.9, 1), sigma=(0.5, 1), kernel_size=(3, 5), **UNIT),
    image("RandomSharpness", factor=0.9, **UNIT),
    image("RandomColorDegeneration", (2, 3, 5, 6), factor=(0.1, 0.9), **UNIT, **FIRST),
    image("RandomInvert", factor=0.8, **UNIT),
    image("RandomPosterization", factor=(1, 6), **UNIT),
    image("RandomErasing", factor=(1, 1), scale=(0.2, 0.5), **UNIT),
    image("RandomErasing", fill_value=0.5, seed=2, **UNIT),
    image("Solarization", addition_factor=0.3, threshold_factor=(0.4, 0.6), **UNIT),
    image("AutoContrast", **UNIT, random=False),
    image("Equalization", **UNIT, random=False, grad=False),
    image("ContrastLimitedAdaptiveHistogramEqualization", tile_grid_size=(2, 3), **UNIT, random=False, grad=False),
    image("RandAugment", **UNIT),
    image("AugMix", (2, 3, 5, 6), num_chains=2, chain_depth=2, all_ops=False, **UNIT, **FIRST),
]
