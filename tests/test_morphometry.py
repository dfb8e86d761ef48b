"""Slant, thickness and width of shapes whose measures are known, and of real digits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from digitvae.errors import InputError
from digitvae.morphometry import measure

FINE = 16
"""Shapes are drawn at this many points per pixel, then averaged, as a scanner would."""


def drawn(inside):
    """One image (28, 28) in [0, 1] of the points where `inside(right, up)`, in pixels from the middle, holds."""
    place = (np.arange(28 * FINE) + 0.5) / FINE - 14
    right, up = np.meshgrid(place, -place)
    return inside(right, up).reshape(28, FINE, 28, FINE).mean(axis=(1, 3))


def sheared_bar(degrees, height=16.0, width=3.0):
    shear = np.tan(np.deg2rad(degrees))
    return drawn(lambda right, up: (np.abs(up) <= height / 2) & (np.abs(right - shear * up) <= width / 2))


def stroke(degrees, width, length=14.0, offset=0.0):
    """A straight stroke with round ends, `degrees` from the horizontal."""
    angle = np.deg2rad(degrees)

    def inside(right, up):
        along = (right - offset) * np.cos(angle) + up * np.sin(angle)
        across = up * np.cos(angle) - (right - offset) * np.sin(angle)
        return np.hypot(np.maximum(np.abs(along) - length / 2, 0), across) <= width / 2

    return drawn(inside)


def one(image):
    measured = measure(image[None])
    return float(measured.slant[0]), float(measured.thickness[0]), float(measured.width[0])


@settings(deadline=None, max_examples=40)
@given(st.floats(-40, 40), st.floats(2, 5))
def test_the_slant_of_a_sheared_bar_is_its_angle(degrees, width):
    assert one(sheared_bar(degrees, width=width))[0] == pytest.approx(degrees, abs=0.5)


def test_a_bar_whose_top_is_to_the_right_has_positive_slant():
    image = np.zeros((28, 28))
    image[4:14, 15:18] = 1.0  # the upper half, to the right
    image[14:24, 11:14] = 1.0
    assert one(image)[0] > 5
    assert one(image[:, ::-1].copy())[0] == pytest.approx(-one(image)[0])


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 110])
@pytest.mark.parametrize("width", [2.0, 2.5, 3.0, 4.0, 5.0, 6.0])
def test_the_thickness_of_a_stroke_is_its_width_wherever_it_lies_on_the_pixels(degrees, width):
    strokes = np.stack([stroke(degrees, width, offset=offset) for offset in np.arange(0.05, 1, 0.1)])
    errors = measure(strokes).thickness - width
    assert abs(errors.mean()) < 0.2
    assert np.abs(errors).max() < 0.5


@pytest.mark.parametrize("width", [2.0, 2.5, 3.0, 4.0, 5.0, 6.0])
def test_the_thickness_of_strokes_at_any_angle_is_their_width(width):
    rng = np.random.default_rng(0)
    strokes = np.stack([stroke(rng.uniform(0, 180), width, offset=rng.uniform(-0.5, 0.5)) for _ in range(30)])
    errors = measure(strokes).thickness - width
    assert abs(errors.mean()) < 0.12
    assert np.abs(errors).max() < 0.3


def test_the_thickness_of_a_ring_is_that_of_its_stroke():
    ring = drawn(lambda right, up: np.abs(np.hypot(right, up) - 7) <= 1.5)
    assert one(ring)[1:] == (pytest.approx(3, abs=0.3), pytest.approx(17, abs=0.5))


@pytest.mark.parametrize(("left", "right"), [(5, 15), (0, 28), (27, 28), (0, 1)])
def test_the_width_of_a_rectangle_is_its_columns(left, right):
    image = np.zeros((28, 28))
    image[3:25, left:right] = 1.0
    assert one(image)[2] == right - left


def test_ink_at_the_border_is_measured_like_any_other():
    middle, corner = np.zeros((28, 28)), np.zeros((28, 28))
    middle[4:24, 12:16] = 1.0
    corner[0:20, 0:4] = 1.0
    assert one(corner) == pytest.approx(one(middle))


def test_what_cannot_be_measured_is_nan():
    blank, faint, row = np.zeros((28, 28)), np.zeros((28, 28)), np.zeros((28, 28))
    faint[4:24, 12:16] = 0.4
    row[10, 5:20] = 1.0
    assert np.isnan(one(blank)).all()
    slant, *rest = one(faint)
    assert slant == pytest.approx(0, abs=1e-6)
    assert np.isnan(rest).all()
    slant, thickness, width = one(row)
    assert np.isnan(slant)
    assert (thickness, width) == (pytest.approx(1, abs=0.3), 15)


def test_images_are_measured_each_for_itself_and_in_either_form(splits_5k):
    digits = splits_5k.train.images[:30]
    together = measure(digits)
    assert together.slant.shape == together.thickness.shape == together.width.shape == (30,)
    for i in (0, 17, 29):
        assert one(digits[i]) == (together.slant[i], together.thickness[i], together.width[i])
    again = measure(torch.from_numpy(digits).unsqueeze(1) / 255)
    for name in ("slant", "thickness", "width"):
        np.testing.assert_allclose(getattr(again, name), getattr(together, name), atol=1e-6)


def test_a_shifted_or_mirrored_digit_keeps_its_measures(splits_5k):
    digits = splits_5k.train.images[:60]
    digits = digits[~digits[:, :, :2].any((1, 2)) & ~digits[:, -1].any(1)]  # with room to be shifted
    assert len(digits) > 40
    before = measure(digits)
    for other, sign in ((np.roll(digits, (1, -2), (1, 2)), 1), (digits[:, :, ::-1].copy(), -1)):
        after = measure(other)
        np.testing.assert_allclose(after.slant, sign * before.slant, atol=1e-3)
        np.testing.assert_allclose(after.width, before.width)
        np.testing.assert_allclose(after.thickness, before.thickness, atol=0.15)


def test_real_digits_measure_as_people_write(splits_5k):
    measured = measure(splits_5k.train.images[:400])
    ones = measure(splits_5k.train.images[splits_5k.train.labels == 1][:40])
    assert not np.isnan(np.stack([measured.slant, measured.thickness, measured.width])).any()
    assert 0 < measured.slant.mean() < 10
    assert 2 < measured.thickness.mean() < 4
    assert 12 < measured.width.mean() < 17
    assert ones.width.mean() < 0.7 * measured.width.mean()


@pytest.mark.parametrize(
    "images", [np.zeros((28, 28)), np.zeros((0, 28, 28)), np.full((1, 28, 28), 2.0), np.zeros((1, 28, 28), np.int64)]
)
def test_what_is_not_an_image_is_refused(images):
    with pytest.raises(InputError):
        measure(images)
