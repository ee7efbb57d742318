"""Layers on images: real Keras where what is drawn has one value, else the laws of what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.layers import kernels
from fkeras.layers.augment import policies
from tests.catalog.layers_augment import ROWS

X = np.random.default_rng(0).uniform(0, 255, (3, 7, 10, 3)).astype("float32")
INTS = X.astype("uint8")

# ------------------------------------------------------------------------------------------------- real Keras

SIZES = [
    *(("Resizing", {"height": h, "width": w, "interpolation": i}) for i in
      ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5") for h, w in ((4, 5), (11, 13))),
    ("Resizing", {"height": 4, "width": 5, "antialias": True}),
    *(("Resizing", {"height": h, "width": w, f"{way}_to_aspect_ratio": True}) for way in ("crop", "pad")
      for h, w in ((4, 4), (12, 5), (3, 9))),
    ("Resizing", {"height": 4, "width": 4, "pad_to_aspect_ratio": True, "fill_value": 7.0}),
    *(("CenterCrop", {"height": h, "width": w}) for h, w in ((3, 3), (4, 7), (7, 10), (9, 12), (9, 3), (3, 12))),
]  # fmt: skip
ONE_VALUE = [
    *(("RandomRotation", {"factor": (f, f), "fill_mode": mode}) for f, mode in
      ((0.1, "reflect"), (-0.2, "constant"), (0.3, "wrap"), (0.7, "nearest"))),
    ("RandomRotation", {"factor": (0.1, 0.1), "fill_mode": "constant", "fill_value": 9.0}),
    ("RandomZoom", {"height_factor": (0.3, 0.3)}),
    ("RandomZoom", {"height_factor": (-0.3, -0.3), "width_factor": (0.2, 0.2), "fill_mode": "constant"}),
    ("RandomTranslation", {"height_factor": (0.2, 0.2), "width_factor": (-0.33, -0.33)}),
    ("RandomTranslation", {"height_factor": (-0.2, -0.2), "width_factor": (0.1, 0.1), "fill_mode": "wrap"}),
    *(("RandomBrightness", {"factor": (f, f)}) for f in (0.3, -0.3)),
    *(("RandomSaturation", {"factor": (f, f)}) for f in (0.0, 0.3, 0.5)),
    ("RandomHue", {"factor": (1.0, 1.0)}),
    ("RandomGrayscale", {"factor": 1.0}),
    *(("RandomShear", {"x_factor": (f, f), "y_factor": (0.0, 0.0), "fill_mode": "nearest"}) for f in (0.0,)),
    *(("RandomSharpness", {"factor": (f, f)}) for f in (0.0, 0.2, 0.5, 1.0)),
    *(("RandomColorDegeneration", {"factor": (f, f)}) for f in (-0.5, 0.3, 1.0)),
    *(("RandomGaussianBlur", {"factor": (1, 1), "kernel_size": k, "sigma": (0.8, 0.8)}) for k in (3, (3, 5))),
    ("RandomGaussianBlur", {"factor": 0.0}),
    *(("RandomPosterization", {"factor": (b, b)}) for b in (1, 3, 8)),
    *(("RandomInvert", {"factor": (f, f)}) for f in (0, 1)),
    ("RandomErasing", {"factor": (0, 0)}),
    ("RandomPerspective", {"factor": (0, 0)}),
    ("Solarization", {}),
    ("RandomColorJitter", {"brightness_factor": (0.2, 0.2), "saturation_factor": (0.3, 0.3), "hue_factor": (1, 1)}),
]  # fmt: skip


def _judge(keras, kind, kwargs, x, training, tolerance=1e-3):
    with_channels_first = {**kwargs, "data_format": "channels_first"}
    own = getattr(layers, kind)
    theirs = np.asarray(getattr(keras.layers, kind)(**kwargs)(x, training=training))
    mine = own(**kwargs)(x, training=training)
    assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
    np.testing.assert_allclose(mine.astype("float32"), theirs.astype("float32"), tolerance, tolerance)
    turned = own(**with_channels_first)(np.moveaxis(x, -1, 1), training=training)
    np.testing.assert_allclose(np.moveaxis(turned, 1, -1).astype("float32"), mine.astype("float32"), 1e-5, 1e-3)
    np.testing.assert_allclose(own(**kwargs)(x[0], training=training), mine[0], 1e-5, 1e-3)


@pytest.mark.parametrize("kind, kwargs", SIZES, ids=str)
def test_sizes_are_keras(keras, kind, kwargs):
    _judge(keras, kind, kwargs, X, False)
    if kind == "CenterCrop" or kwargs.get("interpolation") in (None, "nearest"):
        _judge(keras, kind, kwargs, INTS, False)


@pytest.mark.parametrize("kind, kwargs", ONE_VALUE, ids=str)
def test_layers_whose_factors_have_one_value_are_keras(keras, kind, kwargs):
    _judge(keras, kind, kwargs, X, True)


def test_contrast_and_histograms_are_keras(keras):
    _judge(keras, "AutoContrast", {}, X, False)
    _judge(keras, "AutoContrast", {"value_range": (0, 1)}, X / 255, True)
    theirs = np.concatenate([keras.layers.Equalization()(x[None], training=True) for x in np.floor(X)])
    np.testing.assert_allclose(layers.Equalization()(np.floor(X)), theirs, 1e-5)
    flat = np.full((1, 3, 3, 1), 7.0, "float32")
    np.testing.assert_array_equal(layers.AutoContrast()(flat), flat)
    np.testing.assert_allclose(layers.Equalization()(flat), flat, 1e-6)


@pytest.mark.parametrize("kwargs", [{}, {"clip_limit": 0.0}, {"clip_limit": 1.5, "tile_grid_size": (3, 5)}], ids=str)
def test_histograms_of_tiles_are_keras(keras, kwargs):
    x = np.random.default_rng(0).uniform(0, 255, (2, 19, 26, 3)).astype("float32")
    kind = "ContrastLimitedAdaptiveHistogramEqualization"
    _judge(keras, kind, kwargs, x, False)
    _judge(keras, kind, {**kwargs, "value_range": (0, 1)}, x / 255, True)


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_configs_go_both_ways(keras, case):
    own = getattr(layers, case.kind)(**case.kwargs)
    config = own.get_config()
    theirs = getattr(keras.layers, case.kind).from_config(config).get_config()
    again = getattr(layers, case.kind).from_config(theirs).get_config()
    assert {k: v for k, v in again.items() if k != "seed"} == {k: v for k, v in config.items() if k != "seed"}
    # Keras leaves the seed of RandomGrayscale and the data format of a few out of their configs.
    assert set(theirs) - set(config) <= {"data_format", "bounding_box_format"}


# -------------------------------------------------------------------------------------------- laws of the drawn

RANDOM = [row for row in ROWS if row.random]


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_what_is_drawn_belongs_to_the_key_and_the_row(case):
    """The same key draws the same, rows differ, a row does not know its neighbours, inference changes nothing."""
    layer, x = case.build()
    x = np.repeat(x[:1], 6, 0)
    apply = jax.jit(lambda x, key, training: layer.apply({}, {}, x, training=training, key=key)[0], static_argnums=2)
    key = jax.random.key(1)
    y = np.asarray(apply(x, key, True))
    np.testing.assert_array_equal(y, apply(x, key, True))
    assert len(np.unique(y.reshape(6, -1), axis=0)) > 1  # each of six equal images alike: the draw is the batch's
    assert not np.array_equal(y, apply(x, jax.random.key(2), True))
    np.testing.assert_allclose(y[:2], layer.apply({}, {}, x[:2], training=True, key=key)[0], 1e-5, 1e-5)
    if case.kind != "RandomCrop":
        np.testing.assert_array_equal(layer(x, training=False), x)
    assert layer(x[0], training=True).shape == y.shape[1:]


def _drawn(layer, x, n=400):
    return np.asarray(layer.apply({}, {}, np.repeat(x[None], n, 0), training=True, key=jax.random.key(0))[0])


def _fills(values, low, high):
    """The values lie within [low, high], and come near both ends."""
    margin = (high - low) / 20
    assert low - 1e-3 <= values.min() <= low + margin and high - margin <= values.max() <= high + 1e-3


def test_factors_fill_their_ranges():
    x = np.random.default_rng(0).uniform(0.4, 0.6, (4, 5, 3)).astype("float32")
    unit = {"value_range": (0, 1)}
    _fills((_drawn(layers.RandomBrightness((-0.2, 0.3), **unit), x) - x).mean((1, 2, 3)), -0.2, 0.3)
    deviation = x - x.mean((0, 1))
    for given, ends in ((0.5, (1, 1.5)), ((0.2, 0.4), (0.8, 1.4))):
        y = _drawn(layers.RandomContrast(given, **unit), x)
        _fills(((y - y.mean((1, 2), keepdims=True)) / deviation).mean((1, 2, 3)), *ends)
    hue = np.asarray(fkeras.ops.image.rgb_to_hsv(x))[..., 0]
    turned = np.asarray(fkeras.ops.image.rgb_to_hsv(_drawn(layers.RandomHue(0.5, **unit), x)))[..., 0] - hue
    _fills(((turned + 0.5) % 1 - 0.5)[:, 0, 0], -0.25, 0.25)


def test_images_are_moved_by_what_their_range_says():
    x = np.zeros((21, 31, 1), "float32")
    x[10, 15] = 1
    y = _drawn(layers.RandomTranslation((-0.2, 0.3), 0.1, interpolation="nearest"), x)
    places = np.array([np.unravel_index(np.argmax(a), (21, 31)) for a in y[..., 0]])
    assert places[:, 0].min() == 10 - 4 and places[:, 0].max() == 10 + 6
    assert places[:, 1].min() == 15 - 3 and places[:, 1].max() == 15 + 3


def test_half_of_the_images_flip_and_crops_come_from_everywhere():
    x = np.arange(12, dtype="float32").reshape(3, 4, 1)
    for mode, flipped in (
        ("horizontal", x[:, ::-1]),
        ("vertical", x[::-1]),
        ("horizontal_and_vertical", x[::-1, ::-1]),
    ):
        y = _drawn(layers.RandomFlip(mode), x)
        is_flipped = (y == flipped).all((1, 2, 3))
        assert (is_flipped | (y == x).all((1, 2, 3))).all() and 140 < is_flipped.sum() < 260  # 6 deviations from 200
    corners = {tuple(a[0, 0]) for a in _drawn(layers.RandomCrop(2, 3), x)}
    assert corners == {(0.0,), (1.0,), (4.0,), (5.0,)}
    grayed = _drawn(layers.RandomGrayscale(0.25), np.array([[[1.0, 0, 0]]], "float32"))[:, 0, 0, 1] > 0
    assert 50 < grayed.sum() < 150


def test_shears_go_both_ways_about_the_corner():
    x = np.zeros((31, 31, 1), "float32")
    x[20, 15] = 1
    for kwargs, places in (
        ({"x_factor": (0.3, 0.3)}, {(20, 9), (20, 21)}),
        ({"y_factor": (0.4, 0.4)}, {(14, 15), (26, 15)}),
    ):
        y = _drawn(layers.RandomShear(**kwargs, interpolation="nearest", fill_mode="constant"), x, 40)
        assert {np.unravel_index(np.argmax(a), (31, 31)) for a in y[..., 0]} == places


def test_probabilities_are_drawn_too():
    """f is a probability drawn from (0, f): half of f on average; a pair of equal numbers is that probability."""
    x = np.full((4, 4, 1), 0.25, "float32")
    for given, share in (((1, 1), 1), (1.0, 0.5), ((0.2, 0.4), 0.3)):
        changed = (_drawn(layers.RandomInvert(given, value_range=(0, 1)), x) == 0.75).all((1, 2, 3))
        assert abs(changed.mean() - share) < 0.13  # 5 deviations of 400 draws


def test_boxes_that_are_erased_are_as_large_as_said_and_lie_everywhere():
    x = np.full((20, 30, 2), 7.0, "float32")
    y = _drawn(layers.RandomErasing((1, 1), scale=(0.1, 0.4), fill_value=0.0), x)
    erased = y[..., 0] == 0
    heights, widths = erased.any(2).sum(1), erased.any(1).sum(1)
    assert (heights.min(), heights.max(), widths.min(), widths.max()) == (6, 13, 9, 19)  # of 20 and 30, times roots
    assert (erased == erased.any(1, keepdims=True) & erased.any(2, keepdims=True)).all()  # boxes
    assert erased.any((0, 1)).all() and erased.any((0, 2)).all()
    noise = _drawn(layers.RandomErasing((1, 1), scale=(1, 1)), x)
    assert noise.min() == 0 and noise.max() == 255 and 70 < noise.mean() < 90  # 80.5: a normal number within [0, 1]


def test_solarization_adds_and_inverts_above_its_threshold():
    x = np.linspace(0, 1, 21, dtype="float32").reshape(1, 21, 1)
    y = _drawn(layers.Solarization((0.1, 0.1), (0.52, 0.52), value_range=(0, 1)), x, 1)[0]
    added = np.minimum(x + 0.1, 1)
    np.testing.assert_allclose(y, np.where(added < 0.52, added, 1 - added), 1e-5, 1e-6)


def test_each_image_goes_through_layers_of_its_own():
    """Without strength six of the eleven layers keep an image, the others make one of theirs; two steps reach two."""
    x = np.random.default_rng(0).uniform(0.3, 0.7, (4, 5, 3)).astype("float32")
    ends = {"value_range": (0, 1)}
    solarization, contrast = layers.Solarization(**ends), layers.AutoContrast(**ends)
    others = layers.RandomSharpness((0, 0), **ends), layers.RandomPosterization(1, **ends), layers.Equalization(**ends)
    images = [x, *(layer(x, training=True) for layer in (*others, solarization, contrast))]
    found = _drawn(layers.RandAugment(num_ops=1, factor=0.0, **ends), x)
    kept, *counts = (np.isclose(found, image, atol=1e-5).all((1, 2, 3)).sum() for image in images)
    assert kept + sum(counts) == 400
    assert 170 < kept < 265 and all(10 < n < 65 for n in counts)  # 218 and 36, give or take five deviations
    twice = _drawn(layers.RandAugment(num_ops=2, factor=0.0, **ends), x)
    both = solarization(contrast(x))
    assert np.isclose(twice, both, atol=1e-5).all((1, 2, 3)).any()


def test_chains_are_mixed_by_shares_of_one():
    """Where every step keeps a flat image as it is, so does the mix; its shares fill [0, 1] evenly for alpha 1."""
    x = np.array([[[0.1], [0.9]]], "float32")  # of its three steps one turns it around: Solarization
    found = _drawn(layers.AugMix((0, 1), 1, 1, factor=0.0, all_ops=False), x)
    away = (found[:, 0, 0, 0] - 0.1) / 0.8  # the share of the turned image
    assert 20 < (away > 0.13).sum() < 75 and -0.13 < away.min() and away.max() <= 1  # the others go to -1 / 8
    np.testing.assert_allclose(away[away > 0.5].mean(), 0.75, atol=0.08)
    for alpha, deviation in ((1.0, 0.289), (4.0, 0.167)):  # of a Beta distribution: 1 / sqrt(8 alpha + 4)
        layer = layers.AugMix((0, 255), 2, 1, factor=0.0, alpha=alpha, all_ops=False)
        drawn = jax.vmap(lambda key, a=alpha: policies.shares(key, a, 2))(jax.random.split(jax.random.key(0), 800))
        assert layer.alpha == alpha
        np.testing.assert_allclose(np.std(drawn[:, 0]), deviation, rtol=0.1)
        np.testing.assert_allclose(drawn.sum(1), 1, 1e-5)


def test_one_formulation_of_chosen_layers_is_the_other():
    x = np.random.default_rng(0).uniform(0, 1, (5, 6, 7, 3)).astype("float32")
    layer = layers.RandAugment((0, 1))
    cpu = layer.apply({}, {}, x, training=True, key=jax.random.key(0))[0]
    with kernels.formulation("lax"):
        lax = layer.apply({}, {}, x, training=True, key=jax.random.key(0))[0]
    np.testing.assert_allclose(cpu, lax, 1e-5, 1e-5)


def test_corners_move_inwards_by_half_a_side_at_most():
    y = _drawn(layers.RandomPerspective((1, 1), scale=0.5, fill_value=0.0), np.ones((21, 21, 1), "float32"), 100)
    assert (y[:, 6:15, 6:15] > 0.99).all() and 0.3 < y.mean() < 0.9


# --------------------------------------------------------------------------------- labels, masks and boxes together

SIDES = 40, 60
MOVING = [
    ("RandomFlip", {"mode": "horizontal"}, 0),
    ("RandomTranslation", {"height_factor": 0.2, "width_factor": (0.1, 0.2), "fill_mode": "constant"}, 1),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.2, "fill_mode": "constant"}, 1.5),
    ("RandomRotation", {"factor": 0.25, "fill_mode": "constant"}, None),
    ("RandomShear", {"x_factor": 0.3, "y_factor": 0.1, "fill_mode": "constant"}, None),
    ("RandomPerspective", {"factor": (1, 1), "scale": 0.4}, None),
    ("RandomCrop", {"height": 30, "width": 45}, 0),
    ("CenterCrop", {"height": 30, "width": 45}, 0), ("CenterCrop", {"height": 50, "width": 45}, 2),
    ("Resizing", {"height": 30, "width": 30, "pad_to_aspect_ratio": True}, 1),
]  # fmt: skip


def _scene(rows=6):
    """Images whose mask is a box of ones; beside it a box of nothing, as arrays are filled up with."""
    image = np.zeros((rows, *SIDES, 1), "float32")
    image[:, 8:20, 15:40] = 1
    boxes = np.broadcast_to(np.array([[15, 8, 40, 20], [0, 0, 0, 0]], "float32"), (rows, 2, 4))
    labels = np.broadcast_to(np.array([3, -1]), (rows, 2))
    return {
        "images": np.repeat(image, 3, -1), "labels": np.arange(rows), "segmentation_masks": image.astype("uint8"),
        "bounding_boxes": {"boxes": boxes, "labels": labels},
    }  # fmt: skip


@pytest.mark.parametrize("kind, kwargs, exact", MOVING, ids=str)
def test_boxes_and_masks_move_with_the_pixels(kind, kwargs, exact):
    """The moved mask lies within the moved box, and fills it where nothing turns."""
    layer = getattr(layers, kind)(**kwargs, bounding_box_format="xyxy")
    given = _scene()
    out = layer.apply({}, {}, given, training=True, key=jax.random.key(5))[0]
    masks, boxes = np.asarray(out["segmentation_masks"])[..., 0], np.asarray(out["bounding_boxes"]["boxes"])
    assert masks.dtype == np.uint8 and set(np.unique(masks)) <= {0, 1}
    assert (np.abs(np.asarray(out["images"])[..., 0] - masks) > 0.51).mean() < 0.01
    np.testing.assert_array_equal(out["labels"], given["labels"])
    assert (np.asarray(out["bounding_boxes"]["labels"]) == given["bounding_boxes"]["labels"]).all()
    for mask, (left, top, right, bottom) in zip(masks, boxes[:, 0], strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        seen = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        box = np.array([left, top, right, bottom])
        slack = 1.5 if exact is None else exact
        assert (seen[:2] >= box[:2] - slack).all() and (seen[2:] <= box[2:] + slack).all(), (seen, box)
        if exact is not None:
            np.testing.assert_allclose(seen, box, atol=exact + 0.01)
    again = jax.jit(lambda x: layer.apply({}, {}, x, training=True, key=jax.random.key(5))[0])(given)
    np.testing.assert_allclose(again["bounding_boxes"]["boxes"], boxes, 1e-4, 1e-3)
    one = layer(jax.tree.map(lambda a: a[0], given), training=True)
    assert jax.tree.map(np.ndim, one) == jax.tree.map(lambda a: np.ndim(a) - 1, given)


def test_boxes_and_masks_move_through_all_layers_that_an_image_goes_through():
    layer = layers.RandAugment(num_ops=3, factor=0.03, bounding_box_format="xyxy")
    given = _scene(24)
    out = layer.apply({}, {}, given, training=True, key=jax.random.key(5))[0]
    boxes = np.asarray(out["bounding_boxes"]["boxes"])[:, 0]
    for mask, (left, top, right, bottom) in zip(out["segmentation_masks"][..., 0], boxes, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert abs(rows[0] - top) < 3 and abs(rows[-1] + 1 - bottom) < 3
        assert abs(columns[0] - left) < 3 and abs(columns[-1] + 1 - right) < 3
    assert 8 < (np.abs(boxes - given["bounding_boxes"]["boxes"][:, 0]) > 0.2).any(1).sum() < 24  # 4 rows in 5 or so


def test_elastic_fields_are_smooth_and_as_far_as_said():
    """On a ramp the difference is the displacement; its deviation is 2 s, and neighbours move alike."""
    ramp = np.broadcast_to(np.arange(64.0, dtype="float32")[None, :, None], (64, 64, 1))
    for scale in (1.0, 0.5):
        layer = layers.RandomElasticTransform((1, 1), (scale, scale), fill_mode="nearest", value_range=(0, 63))
        moved = (_drawn(layer, ramp, 8) - ramp)[:, 16:48, 16:48, 0]
        np.testing.assert_allclose(moved.std(), 2 * scale, rtol=0.1)
        assert np.corrcoef(moved[:, :, :-1].ravel(), moved[:, :, 1:].ravel())[0, 1] > 0.85
        assert abs(np.corrcoef(moved[:, :, :-16].ravel(), moved[:, :, 16:].ravel())[0, 1]) < 0.1
    given = {name: value for name, value in _scene(2).items() if name != "bounding_boxes"}
    out = layers.RandomElasticTransform((1, 1), interpolation="nearest")(given, training=True)
    np.testing.assert_array_equal(out["segmentation_masks"], out["images"][..., :1])
    with pytest.raises(ValueError, match="it cannot move bounding boxes"):
        layers.RandomElasticTransform(bounding_box_format="xyxy")(_scene(2), training=True)


def test_boxes_of_any_format_and_channels_that_come_first_move_alike():
    given, draw = _scene(), {"training": True, "key": jax.random.key(1)}
    wanted = layers.RandomFlip(bounding_box_format="xyxy").apply({}, {}, given, **draw)[0]["bounding_boxes"]
    for kind in ("rel_xywh", "center_yxhw"):
        sides = {"height": SIDES[0], "width": SIDES[1]}
        boxes = fkeras.utils.bounding_boxes.convert_format(given["bounding_boxes"], "xyxy", kind, **sides)
        turned = {name: np.moveaxis(given[name], -1, 1) for name in ("images", "segmentation_masks")}
        layer = layers.RandomFlip(bounding_box_format=kind, data_format="channels_first")
        out = layer.apply({}, {}, {**turned, "bounding_boxes": boxes}, **draw)[0]["bounding_boxes"]
        back = fkeras.utils.bounding_boxes.convert_format(out, kind, "xyxy", **sides)
        np.testing.assert_allclose(back["boxes"], wanted["boxes"], 1e-4, 1e-3)


def test_boxes_that_leave_the_image_lose_their_label():
    layer = layers.RandomTranslation((0.9, 0.9), 0.0, fill_mode="constant", bounding_box_format="xyxy")
    out = layer(_scene(), training=True)["bounding_boxes"]
    assert np.asarray(out["labels"])[:, 0].tolist() == [-1] * 6 and not np.asarray(out["boxes"]).any()


def test_colors_and_inference_leave_boxes_and_masks_alone():
    given = _scene()
    for layer in (
        layers.RandomBrightness(0.2, bounding_box_format="xywh"),
        layers.RandomErasing(bounding_box_format="xywh"),
    ):
        out = layer(given, training=True)
        assert not np.array_equal(out["images"], given["images"])
        for name in ("segmentation_masks", "bounding_boxes", "labels"):
            jax.tree.map(np.testing.assert_array_equal, out[name], given[name])
    still = layers.RandomFlip(bounding_box_format="xywh")(given, training=False)
    jax.tree.map(np.testing.assert_array_equal, still, given)


def test_masks_and_boxes_of_mixed_images_stay_with_them():
    given = {**_scene(4), "labels": np.eye(4, dtype="float32")}
    given["segmentation_masks"] = given["segmentation_masks"] * np.arange(4, dtype="uint8")[:, None, None, None]
    out = layers.MixUp(bounding_box_format="xyxy")(given, training=True)
    assert out["segmentation_masks"].shape == (4, *SIDES, 2) and out["bounding_boxes"]["labels"].shape == (4, 4)
    without = {name: value for name, value in given.items() if name != "bounding_boxes"}
    without["images"] = np.broadcast_to(np.arange(4.0)[:, None, None, None], (4, *SIDES, 3)).astype("float32")
    without["segmentation_masks"] = without["images"].astype("uint8")
    out = layers.CutMix()(without, training=True)
    np.testing.assert_array_equal(out["segmentation_masks"], out["images"])
    with pytest.raises(ValueError, match="it cannot mix bounding boxes"):
        layers.CutMix(bounding_box_format="xyxy")(given, training=True)


@pytest.mark.parametrize("count", [1, 5])
def test_images_have_as_many_boxes_as_asked_for(keras, count):
    given = _scene(2)
    own = layers.MaxNumBoundingBoxes(count, bounding_box_format="xyxy")(given)
    theirs = keras.layers.MaxNumBoundingBoxes(count, bounding_box_format="xyxy")(given)
    for name in ("boxes", "labels"):
        np.testing.assert_array_equal(own["bounding_boxes"][name], theirs["bounding_boxes"][name])
    np.testing.assert_array_equal(own["images"], given["images"])
    one = layers.MaxNumBoundingBoxes(count, bounding_box_format="xyxy")(jax.tree.map(lambda a: a[0], given))
    np.testing.assert_array_equal(one["bounding_boxes"]["labels"], own["bounding_boxes"]["labels"][0])


def test_a_pipeline_is_its_layers_one_after_the_other(keras, tmp_path):
    own = layers.Pipeline([layers.RandomFlip("horizontal"), layers.Resizing(4, 5), layers.Rescaling(1 / 255)])
    np.testing.assert_allclose(own(X, training=False), layers.Resizing(4, 5)(X) / 255, 1e-5)
    assert own(X).shape == (3, 4, 5, 3) and own(X[0]).shape == (4, 5, 3)
    theirs = keras.layers.Pipeline.from_config(own.get_config())
    np.testing.assert_allclose(theirs(X, training=False), own(X, training=False), 1e-4, 1e-4)
    assert [type(layer) for layer in layers.Pipeline.from_config(theirs.get_config()).layers] == [
        type(layer) for layer in own.layers
    ]
    model = fkeras.Sequential([fkeras.Input((7, 10, 3)), own, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((3, 1)), verbose=0)
    model.save(tmp_path / "m.keras")
    again = fkeras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), 1e-5, 1e-6)
    boxes = [layers.RandomFlip(bounding_box_format="xyxy"), layers.Resizing(20, 30, bounding_box_format="xyxy")]
    out = layers.Pipeline(boxes)(_scene(2), training=False)
    np.testing.assert_allclose(out["bounding_boxes"]["boxes"][0, 0], [7.5, 4, 20, 10])
    with pytest.raises(TypeError, match="expected a list of layers, got one with 3"):
        layers.Pipeline([3])


def test_messages_of_dicts():
    given = _scene()
    with pytest.raises(ValueError, match="RandomFlip.*: pass bounding_box_format, such as 'xyxy'"):
        layers.RandomFlip()(given, training=True)
    with pytest.raises(ValueError, match="expected a dict with 'images' and of 'labels', .*, got the keys 'pictures'"):
        layers.RandomFlip()({"pictures": given["images"]}, training=True)
    with pytest.raises(ValueError, match="Unknown bounding_box_format 'xyz'"):
        layers.RandomFlip(bounding_box_format="xyz")


@pytest.mark.parametrize("make", [lambda: layers.MixUp(0.8), lambda: layers.CutMix((0.2, 0.6))], ids=["up", "cut"])
def test_images_and_labels_are_mixed_alike(make):
    """Each image shows a number of its own, so that the mean of the mixed one tells the labels it should have."""
    layer, n = make(), 16
    images = np.broadcast_to(np.arange(n, dtype="float32")[:, None, None, None], (n, 10, 12, 1))
    given = {"images": images, "labels": np.eye(n, dtype="float32")}
    mixed = layer.apply({}, {}, given, training=True, key=jax.random.key(3))[0]
    labels, shown = np.asarray(mixed["labels"]), np.asarray(mixed["images"])
    np.testing.assert_allclose(labels.sum(1), 1, 1e-5)
    np.testing.assert_allclose(shown.mean((1, 2, 3)), labels @ np.arange(n), 1e-4, 1e-4)
    assert ((labels > 1e-6).sum(1) == 2).sum() >= n // 2
    if isinstance(layer, layers.CutMix):
        for i, (image, row) in enumerate(zip(shown, labels, strict=True)):
            assert set(np.unique(image)) == {i, *np.flatnonzero(row)}
        own = np.diagonal(labels)[np.diagonal(labels) < 1]
        assert 0.35 <= own.min() and own.max() <= 0.85  # boxes of 0.2 to 0.6, in whole pixels
    again = jax.jit(lambda x: layer.apply({}, {}, x, training=True, key=jax.random.key(3))[0])(given)
    np.testing.assert_allclose(again["images"], shown, 1e-5, 1e-5)
    np.testing.assert_array_equal(layer(images, training=False), images)
    first = type(layer).from_config(layer.get_config() | {"data_format": "channels_first"})
    turned = first.apply({}, {}, np.moveaxis(images, -1, 1), training=True, key=jax.random.key(3))[0]
    np.testing.assert_allclose(np.moveaxis(turned, 1, -1), shown, 1e-5, 1e-5)


@pytest.mark.parametrize("kind", ["MixUp", "CutMix"])
def test_batches_whose_rows_are_mixed_are_not_cut(kind, keras):
    layer = getattr(layers, kind)()
    assert getattr(keras.layers, kind).from_config(layer.get_config()).get_config()["seed"] is None
    model = fkeras.Sequential([fkeras.Input((4, 4, 3)), layer, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).uniform(size=(10, 4, 4, 3)).astype("float32")
    assert np.isfinite(model.fit(x, x[:, 0, 0, :1], batch_size=4, verbose=0).history["loss"]).all()
    model.compile("sgd", "mse", distribute=fkeras.distribute.DataParallel(1, accumulate=2))
    with pytest.raises(ValueError, match=f"a batch cannot be cut into parts, because {kind}"):
        model.fit(x[:8], x[:8, 0, 0, :1], batch_size=4, verbose=0)


def test_a_crop_at_inference_keeps_the_ratio():
    y = layers.RandomCrop(4, 4)(X, training=False)
    np.testing.assert_allclose(y, layers.Resizing(4, 4, crop_to_aspect_ratio=True)(X), 1e-5)
    assert layers.RandomCrop(9, 4)(X, training=True).shape == (3, 9, 4, 3)


def test_a_layer_alone_varies_unless_told_otherwise():
    layer = layers.RandomBrightness((0.1, 0.1), value_range=(0, 1))
    x = np.full((2, 2, 2, 3), 0.5, "float32")
    np.testing.assert_allclose(layer(x), 0.6, 1e-6)
    np.testing.assert_array_equal(layer(x, training=False), x)
    model = fkeras.Sequential([fkeras.Input((2, 2, 3)), layer])
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    np.testing.assert_allclose(model(x, training=True), 0.6, 1e-6)


def test_whole_numbers_are_kept_where_keras_keeps_them():
    assert layers.Resizing(3, 4)(INTS).dtype == jnp.uint8
    brighter = layers.RandomBrightness((0.5, 0.5))(INTS)  # Keras's runs over beyond 255
    np.testing.assert_array_equal(brighter, np.clip(INTS + 127.5, 0, 255).round().astype("uint8"))
    assert layers.RandomFlip()(INTS).dtype == jnp.float32


def test_saturation_stays_within_its_range():
    """As in `tf.image`; Keras's pixels leave the range of values."""
    x = np.random.default_rng(0).uniform(0, 1, (4, 4, 3)).astype("float32")
    saturation = np.asarray(fkeras.ops.image.rgb_to_hsv(x))[..., 1]
    y = layers.RandomSaturation((0.8, 0.8), value_range=(0, 1))(x)
    np.testing.assert_allclose(fkeras.ops.image.rgb_to_hsv(y)[..., 1], np.minimum(saturation * 4, 1), 1e-4)


def test_a_model_with_them_trains_the_same_filled_up_or_not():
    x = np.random.default_rng(0).uniform(0, 1, (10, 8, 8, 3)).astype("float32")
    y = np.arange(10) % 2

    def losses(**how):
        fkeras.utils.set_random_seed(0)
        model = fkeras.Sequential(
            [
                fkeras.Input((8, 8, 3)),
                layers.RandomFlip("horizontal"),
                layers.RandomRotation(0.1),
                layers.RandomContrast(0.2, value_range=(0, 1)),
                layers.Flatten(),
                layers.Dense(2, "softmax"),
            ]
        )
        model.compile("sgd", "sparse_categorical_crossentropy", **how)
        return model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False).history["loss"]

    once = losses()
    assert once == losses()
    np.testing.assert_allclose(once, losses(distribute=fkeras.distribute.DataParallel(1, accumulate=2)), 1e-5)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: layers.RandomRotation(2.0), r"expected a number or a pair of numbers in \[-1, 1\], got 2.0"),
        (lambda: layers.RandomZoom((-1.0, 0.5)), r"a pair of numbers in \(-1, 1\], got \(-1.0, 0.5\)"),
        (lambda: layers.RandomContrast(0.1, value_range=(1, 0)), r"expected \(lowest, highest\), such as \(0, 255\)"),
        (lambda: layers.RandomHue(0.1)(np.zeros((2, 4, 4, 1))), "expected 3 channels, red, green and blue, got shape"),
        (lambda: layers.RandomFlip()(np.zeros((4, 4))), r"expected images \[B, H, W, C\] or one image \[H, W, C\]"),
        (lambda: layers.RandomGrayscale(1.5), r"the share of images that are changed, in \[0, 1\], got 1.5"),
        (lambda: layers.MixUp()(np.zeros((4, 4, 3))), r"expected a batch of images \[B, H, W, C\], got shape"),
        (
            lambda: layers.CutMix()({"images": X, "boxes": X}),
            "expected a dict with 'images' and of",
        ),
        (lambda: layers.MixUp(0), "expected alpha > 0, got 0"),
        (lambda: layers.AugMix(alpha=0), "expected alpha > 0, got 0"),
        (lambda: layers.RandAugment()(np.zeros((2, 4, 4, 1))), "expected 3 channels, red, green and blue, got shape"),
        (lambda: layers.Resizing(2, 2, "area"), "expected one of 'bilinear', 'nearest'"),
        (lambda: layers.Resizing(2, 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "do not go together"),
    ],
)
def test_messages(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def _like_keras_2(of):
    return of.Sequential(
        [
            of.layers.InputLayer((12, 12, 3)),
            of.layers.Resizing(10, 10),
            of.layers.RandomFlip("horizontal"),
            of.layers.RandomRotation(0.1),
            of.layers.RandomZoom(0.1),
            of.layers.RandomTranslation(0.1, 0.1),
            of.layers.RandomContrast(0.1),
            of.layers.RandomBrightness(0.1),
            of.layers.RandomCrop(9, 9),
            of.layers.CenterCrop(8, 8),
            of.layers.Flatten(),
            of.layers.Dense(2),
        ]
    )


@pytest.mark.filterwarnings("ignore::UserWarning:tf_keras", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_hdf5_files_of_image_layers_go_to_keras_2_and_back(tmp_path):
    """They say `rng_type`, which draws nothing here, and Keras 2 knows no `data_format` of theirs."""
    tf_keras = pytest.importorskip("tf_keras", reason="the judge of Keras 2's files")
    theirs, ours = _like_keras_2(tf_keras), _like_keras_2(fkeras)
    with pytest.warns(UserWarning, match="HDF5 file"):
        theirs.save(tmp_path / "theirs.h5")
    theirs.save(tmp_path / "theirs.keras")
    ours.save(tmp_path / "ours.h5")
    x = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
    back = tf_keras.models.load_model(tmp_path / "ours.h5", compile=False)
    for one, other in ((ours, back), (theirs, fkeras.models.load_model(tmp_path / "theirs.h5", compile=False)),
                       (theirs, fkeras.models.load_model(tmp_path / "theirs.keras", compile=False))):  # fmt: skip
        assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
        np.testing.assert_allclose(one.predict(x, verbose=0), other.predict(x, verbose=0), 1e-4, 1e-2)
