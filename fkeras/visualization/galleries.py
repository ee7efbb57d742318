"""Many images side by side, by matplotlib (extra `plots`)."""

import math

import numpy as np

from fkeras.core.optional import need
from fkeras.visualization.drawing import as_bytes, as_images, draw_bounding_boxes, draw_segmentation_masks

LABEL_SIZE = 9  # points, at scale 2


def plot_image_gallery(
    images,
    y_true=None,
    y_pred=None,
    label_map=None,
    rows=None,
    cols=None,
    value_range=(0, 255),
    scale=2,
    path=None,
    show=None,
    transparent=True,
    dpi=60,
    legend_handles=None,
    data_format=None,
):
    """Shows images side by side, with their true and predicted classes above.

    Args:
        images: [B, H, W, C], C 1, 3 or 4.
        y_true, y_pred: Classes [B].
        label_map: {class: name}; needed with `y_true` or `y_pred`.
        rows, cols: Of the gallery; by default about as many of both. Fewer than there are images show the first ones.
        value_range: (low, high) of the images.
        scale: Inches of an image's width.
        path: File to save it in, instead of showing it.
        show: Whether to show it; by default if there is no `path`.
        transparent, dpi: Of the file.
        legend_handles: Patches of matplotlib that a legend explains.
        data_format: Of `images`.

    Returns:
        With show=False and no path the matplotlib figure, else None.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Both `path` and `show=True`, or classes without a `label_map`.

    Reference:
        As Keras 3.
    """
    what = "plot_image_gallery"
    need("matplotlib", what)
    if path is not None and show:
        raise ValueError(f"{what}: expected path or show=True, got both.")
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError(f"{what}: y_true and y_pred need a label_map, {{class: name}}.")
    images = as_bytes(as_images(images, data_format, what), value_range)
    n, height, width, channels = images.shape
    if rows is None and cols is None:
        cols = math.ceil(math.sqrt(n))
    cols = math.ceil(n / rows) if cols is None else cols
    rows = math.ceil(n / cols) if rows is None else rows
    titles = [_title(i, y_true, y_pred, label_map) for i in range(n)]
    show = path is None if show is None else show
    figure = _figure(show, (cols * scale, rows * scale * (height / width + 0.15 * any(titles))))
    for i in range(min(n, rows * cols)):
        axes = figure.add_subplot(rows, cols, i + 1)
        axes.imshow(images[i, ..., 0] if channels == 1 else images[i], cmap="gray", vmin=0, vmax=255)
        axes.set_title(titles[i], fontsize=LABEL_SIZE * scale / 2)
        axes.axis("off")
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="outside lower center", ncols=len(legend_handles))
    return finish(figure, path, show, transparent=transparent, dpi=dpi)


def _title(i, y_true, y_pred, label_map):
    parts = [("Label", y_true), ("Pred", y_pred)]
    known = [(word, np.asarray(y)[i].item()) for word, y in parts if y is not None]
    return "  ".join(f"{word}: {label_map.get(label, label)}" for word, label in known)


def _figure(show, size):
    """Returns a figure: pyplot's own if it is to be shown, else one that nobody has to close."""
    if show:
        return need("matplotlib.pyplot", "A picture").figure(figsize=size, layout="constrained")
    return need("matplotlib.figure", "A picture").Figure(figsize=size, layout="constrained")


def finish(figure, path, show, **kwargs):
    """Saves or shows a figure, or returns it."""
    if path is not None:
        figure.savefig(path, **kwargs)
    elif show:
        need("matplotlib.pyplot", "A picture").show()
    else:
        return figure
    return None


def plot_bounding_box_gallery(
    images,
    bounding_box_format,
    y_true=None,
    y_pred=None,
    value_range=(0, 255),
    true_color=(0, 188, 212),
    pred_color=(255, 235, 59),
    line_thickness=2,
    font_scale=1.0,
    text_thickness=None,
    class_mapping=None,
    ground_truth_mapping=None,
    prediction_mapping=None,
    legend=False,
    legend_handles=None,
    rows=None,
    cols=None,
    data_format=None,
    **kwargs,
):
    """Shows images side by side with their true and predicted boxes.

    Args:
        images: [B, H, W, C].
        bounding_box_format: As in `draw_bounding_boxes`.
        y_true, y_pred: Dicts of boxes and labels, as in `draw_bounding_boxes`.
        value_range: (low, high) of the images.
        true_color, pred_color: Red, green, blue of the two kinds.
        line_thickness, font_scale, text_thickness: As in `draw_bounding_boxes`; as thick as lines, at most
            2, by default.
        class_mapping: {label: name}; None: no text.
        ground_truth_mapping, prediction_mapping: Other names for one of the kinds.
        legend: Whether a legend explains the colors.
        legend_handles: Patches of matplotlib for a legend of one's own.
        rows, cols, data_format: As in `plot_image_gallery`.
        **kwargs: For `plot_image_gallery`: path, show, scale, dpi, transparent.

    Returns:
        What `plot_image_gallery` returns.

    Reference:
        As Keras 3.
    """
    what = "plot_bounding_box_gallery"
    if legend and legend_handles is not None:
        raise ValueError(f"{what}: expected legend=True or legend_handles, got both.")
    images = as_bytes(as_images(images, data_format, what), value_range)
    patches = need("matplotlib.patches", what)
    handles = []
    for boxes, mapping, color, name in (
        (y_true, ground_truth_mapping, true_color, "Ground truth"),
        (y_pred, prediction_mapping, pred_color, "Prediction"),
    ):
        if boxes is None:
            continue
        images = draw_bounding_boxes(
            images,
            boxes,
            bounding_box_format,
            class_mapping if mapping is None else mapping,
            color,
            line_thickness,
            min(line_thickness, 2) if text_thickness is None else text_thickness,
            font_scale,
            data_format="channels_last",
        )
        handles.append(patches.Patch(color=np.asarray(color) / 255, label=name))
    return plot_image_gallery(
        images,
        legend_handles=handles if legend else legend_handles,
        rows=rows,
        cols=cols,
        data_format="channels_last",
        **kwargs,
    )


def plot_segmentation_mask_gallery(
    images,
    num_classes,
    value_range=(0, 255),
    y_true=None,
    y_pred=None,
    color_mapping=None,
    blend=True,
    alpha=0.8,
    ignore_index=-1,
    data_format=None,
    **kwargs,
):
    """Shows a row for each image: as it is, under its true mask, under its predicted mask.

    Args:
        images: [B, H, W, C].
        num_classes: The greatest class.
        value_range: (low, high) of the images.
        y_true, y_pred: Masks of integers [B, H, W] or [B, H, W, 1].
        color_mapping, blend, alpha, ignore_index: As in `draw_segmentation_masks`.
        data_format: Of `images`.
        **kwargs: For `plot_image_gallery`: path, show, scale, dpi, transparent.

    Returns:
        What `plot_image_gallery` returns.

    Reference:
        As Keras 3.
    """
    images = as_bytes(as_images(images, data_format, "plot_segmentation_mask_gallery"), value_range)
    columns = [images]
    for masks in (y_true, y_pred):
        if masks is not None:
            masks = np.asarray(masks)
            if masks.ndim == 4 and masks.shape[:3] != images.shape[:3]:  # channels first
                masks = masks[:, 0]
            columns.append(
                draw_segmentation_masks(
                    images, masks, num_classes, color_mapping, alpha, blend, ignore_index, data_format="channels_last"
                )
            )
    side_by_side = np.stack(columns, 1).reshape(-1, *images.shape[1:])
    return plot_image_gallery(side_by_side, rows=len(images), cols=len(columns), data_format="channels_last", **kwargs)
