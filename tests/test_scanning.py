"""What a scanner adds: boxes stay with their ink, seeds repeat, and each effect does what its name says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitvae.data.samples import Box
from digitvae.errors import InputError
from digitvae.scanning import EFFECTS, MAX_ANGLE, scan


def line(seed=0, count=6):
    """Ink in boxes with strokes that fit them, and the boxes."""
    rng = np.random.default_rng(seed)
    ink = np.zeros((80, 40 * count + 20), np.uint8)
    boxes = []
    for place in range(count):
        left, top = 12 + 40 * place, int(rng.integers(8, 20))
        width, height = int(rng.integers(5, 31)), int(rng.integers(20, 50))
        part = ink[top : top + height, left : left + width]
        part[:3], part[-3:], part[:, :3], part[:, -3:] = 255, 200, 180, 255
        boxes.append(Box(text=str(place), left=left, top=top, width=width, height=height))
    return ink, boxes


def scanned(*effects, seed=0, colours=False):
    ink, boxes = line()
    image = 255 - ink
    if colours:
        image = np.stack([image, image, 255 - ink // 2], axis=-1)
    return scan(image, ink, boxes, effects, np.random.default_rng(seed))


def test_nothing_is_done_unasked():
    image, boxes = scanned()
    ink, before = line()
    np.testing.assert_array_equal(image, 255 - ink)
    assert boxes == before


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_boxes_turn_with_their_ink(seed):
    ink, before = line(seed % 1000)
    turned, boxes = scan(255 - ink, ink, before, ["rotation"], np.random.default_rng(seed))
    assert turned.shape[0] >= ink.shape[0]
    outside = 255 - turned
    for box, old in zip(boxes, before, strict=True):
        assert box["text"] == old["text"]
        assert abs(box["width"] - old["width"]) <= 4  # an upright stroke of 50 pixels leans by 2 at most
        part = outside[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]]
        assert part.shape == (box["height"], box["width"])
        # Tight: within a pixel and a half, the strokes reach all four edges.
        assert all(side.max() > 60 for side in (part[:2], part[-2:], part[:, :2], part[:, -2:]))
        part[:] = 0
    assert outside.max() < 80


def test_turning_is_within_its_range_and_both_ways():
    ink, boxes = line(count=12)
    slopes = []
    for seed in range(40):
        _, (first, *_, last) = scan(255 - ink, ink, boxes, ["rotation"], np.random.default_rng(seed))
        rise = (last["top"] - first["top"]) - (boxes[-1]["top"] - boxes[0]["top"])
        slopes.append(np.rad2deg(np.arctan(rise / (last["left"] - first["left"]))))
    assert MAX_ANGLE / 2 < max(slopes) < MAX_ANGLE + 0.5
    assert -MAX_ANGLE - 0.5 < min(slopes) < -MAX_ANGLE / 2


def test_blur_softens_and_keeps_the_mean():
    image, _ = scanned("blur")
    plain, _ = scanned()
    assert image.mean() == pytest.approx(plain.mean(), abs=1)
    assert np.abs(np.diff(image.astype(float))).max() < np.abs(np.diff(plain.astype(float))).max()


def test_noise_moves_pixels_a_little():
    image, _ = scanned("noise")
    plain, _ = scanned()
    grey = (plain > 100) & (plain < 240)  # where neither black nor white cuts it off
    spread = (image.astype(float) - plain)[grey].std() if grey.any() else (image.astype(float) - plain).std()
    assert 1 < spread < 20


def test_paper_is_darker_than_white_and_uneven():
    image, _ = scanned("paper")
    plain, _ = scanned()
    paper = image[plain == 255]
    assert 200 < paper.mean() < 253
    assert 1 < paper.std() < 20
    assert image[plain == 0].max() == 0


@pytest.mark.parametrize("colours", [False, True])
def test_a_seed_repeats_and_colours_stay(colours):
    first, boxes = scanned(*EFFECTS, colours=colours)
    again, same = scanned(*EFFECTS, colours=colours)
    other, _ = scanned(*EFFECTS, colours=colours, seed=1)
    np.testing.assert_array_equal(first, again)
    assert boxes == same
    assert first.shape != other.shape or not np.array_equal(first, other)
    assert first.ndim == 2 + colours
    assert first.dtype == np.uint8


def test_a_blank_character_keeps_a_box():
    blank = [Box(text="1", left=5, top=6, width=3, height=4)]
    _, (box,) = scan(
        np.full((30, 30), 255, np.uint8), np.zeros((30, 30), np.uint8), blank, ["rotation"], np.random.default_rng(0)
    )
    assert 3 <= box["width"] <= 5
    assert 4 <= box["height"] <= 6


def test_an_unknown_effect_is_one_sentence():
    with pytest.raises(InputError, match="no effect 'coffee'"):
        scanned("coffee")
