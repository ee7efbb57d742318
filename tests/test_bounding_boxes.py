"""Boxes around objects: real Keras for every function, and laws where Keras has none."""

import itertools

import numpy as np
import pytest

from fkeras.layers.kernels.boxes import FORMATS
from fkeras.utils import bounding_boxes as own

RNG = np.random.default_rng(0)
CORNERS = np.sort(RNG.uniform(0, 90, (2, 5, 2, 2)), -2).reshape(2, 5, 4).astype("float32")
OUT = np.array([[-5.0, 2, 30, 120], [95, 5, 300, 20], [-9, -9, -1, -1], [10, 10, 20, 20]], "float32")


@pytest.fixture(scope="module")
def theirs(keras):
    return keras.utils.bounding_boxes


def same(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), 1e-4, 1e-3)


@pytest.mark.parametrize("source, target", [*itertools.permutations(FORMATS, 2)])
def test_formats_go_both_ways_as_in_keras(theirs, source, target):
    given = own.convert_format(CORNERS, "xyxy", source, 100, 120)
    sides = {"height": 100, "width": 120}
    found = own.convert_format(given, source.upper(), target, **sides)
    same(found, theirs.convert_format(np.asarray(given), source, target, **sides))
    same(own.convert_format({"boxes": found, "labels": [1]}, target, "xyxy", **sides)["boxes"], CORNERS)


def test_boxes_are_clipped_cropped_and_padded_as_in_keras(theirs):
    boxes = {"boxes": OUT, "labels": np.array([1, 2, 3, 4])}
    for kind, scale in (("xyxy", 1), ("rel_xyxy", 100)):
        given = {**boxes, "boxes": boxes["boxes"] / scale}
        sides = {"height": 100, "width": 100, "bounding_box_format": kind}
        mine, other = own.clip_to_image_size(given, **sides), theirs.clip_to_image_size(given, **sides)
        same(mine["boxes"], other["boxes"]), same(mine["labels"], other["labels"])
    same(own.crop(CORNERS, 10, 20, 30, 40), theirs.crop(CORNERS, 10, 20, 30, 40))
    same(own.pad(CORNERS, 10, 20), theirs.pad(CORNERS, 10, 20))
    wide = own.convert_format(CORNERS, "xyxy", "center_yxhw")
    turned = own.crop(wide, 10, 20, 30, 40, "center_yxhw")
    same(own.convert_format(turned, "center_yxhw", "xyxy"), own.crop(CORNERS, 10, 20, 30, 40))


@pytest.mark.parametrize("center", [{}, {"center_x": 0.25, "center_y": 0.6}], ids=str)
def test_boxes_are_turned_shifted_scaled_and_sheared_as_in_keras(theirs, center):
    given = {
        name: np.array(pair, "float32")
        for name, pair in {
            "angle": (30, -100), "translate_x": (0.1, -0.2), "translate_y": (0.3, 0), "scale": (1.5, 0.5),
            "shear_x": (20, -5), "shear_y": (10, 7),
        }.items()
    }  # fmt: skip
    options = {"height": 90, "width": 110, **center}
    wanted = theirs.affine_transform(CORNERS, **given, **options)
    same(own.affine_transform(CORNERS, **given, **options), wanted)
    one = own.affine_transform(CORNERS[1], **{name: pair[1] for name, pair in given.items()}, **options)
    same(one, wanted[1])


def test_overlaps_are_keras(theirs):
    a, b = CORNERS.copy(), CORNERS[:, ::-1][:, :3].copy()
    a[0, 0] = b[1, 1] = -1
    for one, other in ((a, b), (a, b[0]), (a[0], b), (a[0], b[0])):
        masked = ({"use_masking": True}, {"use_masking": True, "mask_val": -7}) if one.ndim == other.ndim else ()
        for options in ({}, *masked):  # Keras's masks fail where one of the two is batched
            same(own.compute_iou(one, other, "xyxy", **options), theirs.compute_iou(one, other, "xyxy", **options))
    relative = {"bounding_box_format": "rel_yxyx", "image_shape": (100, 50, 3)}
    same(own.compute_iou(a / 100, b / 100, **relative), theirs.compute_iou(a / 100, b / 100, **relative))
    same(own.compute_ciou(CORNERS[0], CORNERS[1], "xyxy"), theirs.compute_ciou(CORNERS[0], CORNERS[1], "xyxy"))


@pytest.mark.parametrize("encoding", ["center_yxhw", "center_xywh"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]], ids=str)
def test_deltas_are_keras_and_go_back(theirs, encoding, variance):
    anchors, boxes = CORNERS[0], CORNERS
    kinds = ("xyxy", "xywh")
    given = own.convert_format(boxes, "xyxy", "xywh")
    deltas = own.encode_box_to_deltas(anchors, given, *kinds, encoding, variance)
    same(deltas, theirs.encode_box_to_deltas(anchors, np.asarray(given), *kinds, encoding, variance))
    back = own.decode_deltas_to_boxes(anchors, deltas, *kinds, encoding, variance)
    same(back, given)
    levels = own.decode_deltas_to_boxes({"a": anchors}, {"a": deltas}, *kinds, encoding, variance)
    same(levels["a"], back)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: own.convert_format(CORNERS, "xyxz", "xywh"), "Unknown bounding_box_format 'xyxz'. Did you mean"),
        (lambda: own.convert_format(CORNERS, "xyxy", "rel_xywh"), "convert_format: expected height and width"),
        (lambda: own.convert_format(np.ones((2, 5)), "xyxy", "xywh"), r"expected boxes \[N, 4\] or \[B, N, 4\]"),
        (lambda: own.clip_to_image_size({"boxes": OUT, "labels": OUT[:, 0]}), "expected height and width of the"),
        (lambda: own.pad(OUT, 1, 2, bounding_box_format="rel_xyxy"), "pad: expected boxes in pixels, got 'rel_xyxy'"),
        (lambda: own.compute_iou(OUT, OUT, "rel_xyxy"), "expected image_shape="),
        (lambda: own.encode_box_to_deltas(OUT, OUT, "xyxy", "xyxy", "xyxy"), "expected an encoding 'center_yxhw'"),
        (lambda: own.encode_box_to_deltas(OUT, OUT, "xyxy", "xyxy", variance=[1]), "expected a variance of four"),
    ],
)  # fmt: skip
def test_messages(make, said):
    with pytest.raises(ValueError, match=said) as raised:
        make()
    assert len(str(raised.value)) < 300
