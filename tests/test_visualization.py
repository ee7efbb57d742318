"""Boxes and masks in images, galleries, and the curves of a training."""

import matplotlib
import numpy as np
import pytest

import fkeras
from fkeras import visualization
from fkeras.callbacks import History
from fkeras.core import optional
from fkeras.visualization import drawing

matplotlib.use("Agg")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 10, 14, 3)).astype("uint8")


@pytest.mark.parametrize(
    "kind, box",
    [
        ("xyxy", [2, 3, 8, 6]),
        ("yxyx", [3, 2, 6, 8]),
        ("xywh", [2, 3, 6, 3]),
        ("center_xywh", [5, 4.5, 6, 3]),
        ("center_yxhw", [4.5, 5, 3, 6]),
        ("rel_xyxy", [2 / 14, 0.3, 8 / 14, 0.6]),
        ("rel_yxyx", [0.3, 2 / 14, 0.6, 8 / 14]),
        ("rel_xywh", [2 / 14, 0.3, 6 / 14, 0.3]),
        ("rel_center_xywh", [5 / 14, 0.45, 6 / 14, 0.3]),
    ],
)
def test_a_box_is_the_same_in_every_format(kind, box):
    assert kind in drawing.kernels.FORMATS
    boxes = {"boxes": np.array([[box, box]] * 2), "labels": np.array([[1, -1]] * 2)}
    out = visualization.draw_bounding_boxes(IMAGES, boxes, kind, color=(1, 2, 3), line_thickness=1)
    frame = np.zeros((10, 14), bool)
    frame[[3, 6], 2:9] = frame[3:7, [2, 8]] = True
    assert (out[:, frame] == [1, 2, 3]).all() and np.array_equal(out[:, ~frame], IMAGES[:, ~frame])


def test_thick_lines_lie_about_the_box_and_end_at_the_border():
    boxes = {"boxes": [[[-3, 2, 9, 30]]], "labels": [[0]]}
    out = visualization.draw_bounding_boxes(np.zeros((1, 10, 14, 1)), boxes, "xyxy", color=(9, 9, 9), line_thickness=3)
    want = np.zeros((10, 14))
    want[1:4, :11] = want[1:, 8:11] = 9
    assert np.array_equal(out[0, :, :, 0], want)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_names_are_written_above_or_within_their_boxes(channels):
    images = np.zeros((1, 60, 80, channels))
    boxes = {"boxes": [[[10, 30, 70, 50], [10, 0, 30, 20]]], "labels": [[0, 5]], "confidences": [[0.75, 1]]}
    plain = visualization.draw_bounding_boxes(images, boxes, "xyxy", color=(200, 200, 200))
    named = visualization.draw_bounding_boxes(images, boxes, "xyxy", class_mapping={0: "cat"}, color=(200, 200, 200))
    rows = np.flatnonzero((named != plain).any((0, 2, 3)))
    assert rows.min() >= 2 and rows.max() < 30 and named.shape == images.shape and named.dtype == np.uint8
    assert {5, 25} <= set(rows)  # "cat 0.75" above its box at 30, "5 1.00" below the border of its own


def test_boxes_of_another_form_are_refused():
    boxes = {"boxes": np.zeros((2, 1, 4)), "labels": np.zeros((2, 1))}
    draw = visualization.draw_bounding_boxes
    with pytest.raises(ValueError, match=r"Unknown bounding_box_format 'xxyy'\. Did you mean 'xyxy'"):
        draw(IMAGES, boxes, "xxyy")
    with pytest.raises(TypeError, match="expected bounding_boxes as a dict, got list"):
        draw(IMAGES, [], "xyxy")
    with pytest.raises(ValueError, match="bounding_boxes has no 'labels'. It has: boxes"):
        draw(IMAGES, {"boxes": []}, "xyxy")
    with pytest.raises(
        ValueError, match=r"expected boxes \[2, N, 4\] and labels \[2, N\], got \(1, 1, 4\) and \(2, 1\)"
    ):
        draw(IMAGES, {**boxes, "boxes": np.zeros((1, 1, 4))}, "xyxy")
    with pytest.raises(ValueError, match=r"expected images \[B, H, W, C\], got an array of shape \(10, 14, 3\)"):
        draw(IMAGES[0], boxes, "xyxy")


@pytest.mark.parametrize(
    "settings",
    [
        {"num_classes": 5},
        {"alpha": 0.4, "num_classes": 4},
        {"blend": False, "num_classes": 4},
        {"ignore_index": 2, "num_classes": 4},
        {"color_mapping": {c: (c, 50 * c, 9) for c in range(5)}, "num_classes": 4},
        {"data_format": "channels_first", "num_classes": 4},
    ],
    ids=str,
)
def test_masks_are_drawn_as_by_keras(settings, keras):
    """Where it does what it says: classes from 1 to num_classes - 1."""
    masks = np.random.default_rng(1).integers(1, 4, (2, 10, 14, 1))
    images = IMAGES
    if "data_format" in settings:  # Keras wants the masks channels last all the same
        images = IMAGES.transpose(0, 3, 1, 2)
    got = visualization.draw_segmentation_masks(images, masks, **settings)
    if "data_format" not in settings:
        want = np.asarray(keras.visualization.draw_segmentation_masks(images, masks, **settings))
        np.testing.assert_allclose(got, want, atol=1)  # rounded down of float32 or float64
    else:
        want = visualization.draw_segmentation_masks(IMAGES, masks[..., 0], num_classes=4)
        assert np.array_equal(got, want)
    assert got.dtype == np.uint8


def test_the_background_stays_and_the_last_class_is_drawn():
    masks = np.array([[[0, 1, 2], [-1, 3, 0]]])
    images = np.full((1, 2, 3, 3), 100, "uint8")
    out = visualization.draw_segmentation_masks(images, masks)
    drawn = (out != 100).any(-1)[0].tolist()
    assert drawn == [[False, True, True], [False, True, False]]
    with pytest.raises(TypeError, match="expected segmentation_masks of integers, got float64"):
        visualization.draw_segmentation_masks(images, masks / 1)
    with pytest.raises(ValueError, match=r"expected masks of shape \(1, 2, 3\), got \(1, 3, 2\)"):
        visualization.draw_segmentation_masks(images, masks.reshape(1, 3, 2))
    with pytest.raises(ValueError, match="color_mapping has no color for class 2"):
        visualization.draw_segmentation_masks(images, masks, color_mapping={1: (0, 0, 0)})


def panels(figure):
    return [(axes.get_title(), np.asarray(axes.images[0].get_array())) for axes in figure.axes]


def test_galleries_show_every_image_with_its_classes(tmp_path):
    images = np.random.default_rng(0).random((7, 6, 8, 3))
    figure = visualization.plot_image_gallery(
        images, y_true=[0, 1] * 3 + [0], y_pred=[0] * 7, label_map={0: "cat", 1: "dog"}, value_range=(0, 1), show=False
    )
    shown = panels(figure)
    assert len(shown) == 7 and shown[1][0] == "Label: dog  Pred: cat"
    np.testing.assert_array_equal(shown[3][1], (images[3] * 255).astype("uint8"))
    assert figure.get_figwidth() == 6  # three columns of 2 inches
    gray = visualization.plot_image_gallery(images[..., :1], rows=1, cols=2, show=False, value_range=(0, 1))
    assert len(gray.axes) == 2 and panels(gray)[0][1].shape == (6, 8)
    assert visualization.plot_image_gallery(images, path=tmp_path / "x.png") is None
    assert (tmp_path / "x.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="y_true and y_pred need a label_map"):
        visualization.plot_image_gallery(images, y_true=[0] * 7)
    with pytest.raises(ValueError, match="expected path or show=True, got both"):
        visualization.plot_image_gallery(images, path="x.png", show=True)


def test_galleries_of_boxes_and_masks():
    boxes = {"boxes": [[[2, 3, 8, 6]]] * 2, "labels": [[0]] * 2}
    figure = visualization.plot_bounding_box_gallery(
        IMAGES / 255, "xyxy", boxes, boxes, value_range=(0, 1), legend=True, show=False, class_mapping={0: "a"}
    )
    assert (panels(figure)[0][1][6, 4] == [255, 235, 59]).all() and len(figure.legends[0].get_patches()) == 2
    with pytest.raises(ValueError, match="expected legend=True or legend_handles, got both"):
        visualization.plot_bounding_box_gallery(IMAGES, "xyxy", boxes, legend=True, legend_handles=[])
    masks = np.ones((2, 10, 14, 1), int)
    figure = visualization.plot_segmentation_mask_gallery(IMAGES, 1, y_true=masks, y_pred=masks * 0, show=False)
    shown = [pixels for _, pixels in panels(figure)]
    assert len(shown) == 6 and np.array_equal(shown[3], IMAGES[1]) and np.array_equal(shown[5], IMAGES[1])
    assert np.array_equal(shown[1], visualization.draw_segmentation_masks(IMAGES, masks)[0])


def test_shown_pictures_are_shown(monkeypatch):
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    assert visualization.plot_image_gallery(IMAGES) is None
    history = History()
    history.history = {"loss": [1.0]}
    assert history.plot() is None
    assert len(shown) == 2
    plt.close("all")


def lines(axes):
    return {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.lines}


def test_a_history_draws_losses_and_metrics_with_validation_beside(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    model = fkeras.Sequential([fkeras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=4, validation_data=(x, y), validation_freq=2, verbose=0)
    figure = history.plot(show=False)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    drawn = lines(figure.axes[1])
    assert drawn["training"] == ([1, 2, 3, 4], history.history["accuracy"])
    assert drawn["validation"] == ([2, 4], history.history["val_accuracy"])
    assert history.plot("loss", path=tmp_path / "x.svg") is None and (tmp_path / "x.svg").stat().st_size > 1000
    assert len(history.plot(["accuracy"], show=False).axes) == 1
    with pytest.raises(
        ValueError, match=r"History\.plot: 'acuracy' was not logged\. Did you mean 'accuracy'\? Logged: "
    ):
        history.plot("acuracy")
    with pytest.raises(ValueError, match="nothing was logged yet; fit the model first"):
        History().plot()


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "importlib", type("Importer", (), {"import_module": staticmethod(missing)}))
    history = History()
    history.history = {"loss": [1.0]}
    for call in (history.plot, lambda: visualization.plot_image_gallery(IMAGES)):
        with pytest.raises(ImportError, match=r"needs matplotlib, which cannot .* pip install 'fkeras\[plots\]'"):
            call()
