"""Pictures of images: boxes and masks drawn into them, galleries (matplotlib, extra `plots`)."""

from fkeras.visualization.drawing import draw_bounding_boxes, draw_segmentation_masks
from fkeras.visualization.galleries import (
    plot_bounding_box_gallery,
    plot_image_gallery,
    plot_segmentation_mask_gallery,
)

__all__ = [
    "draw_bounding_boxes",
    "draw_segmentation_masks",
    "plot_bounding_box_gallery",
    "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]


def __dir__():
    return sorted(__all__)
