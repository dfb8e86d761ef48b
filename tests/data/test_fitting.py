import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits as sklearn_digits

from digitvae.data.fitting import Fitting, fit_picture
from digitvae.errors import DataError


def enlarged(image, factor):
    height, width = image.shape
    return np.asarray(Image.fromarray(image).resize((width * factor, height * factor), Image.Resampling.BICUBIC))


def difference(first, second):
    """Mean absolute difference at the best of nine shifts: MNIST's own rounding of the centre is not known."""
    shifts = [(rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1)]
    return min(np.abs(np.roll(first, shift, (0, 1)).astype(float) - second).mean() for shift in shifts)


@pytest.mark.parametrize("factor", [2, 5, 20])
@pytest.mark.parametrize("dark_on_light", [False, True])
def test_an_enlarged_and_moved_digit_comes_back(digits, factor, dark_on_light):
    differences, ratios = [], []
    for original in digits.images[:60]:
        picture = np.pad(enlarged(original, factor), ((3, 31), (50, 2)))
        fitted, inverted = fit_picture(255 - picture if dark_on_light else picture, "x")
        assert inverted == dark_on_light
        assert np.abs(np.array(ndimage.center_of_mass(fitted)) - 14).max() <= 0.5
        differences.append(difference(fitted, original))
        ratios.append(fitted.sum() / original.sum())
    # Two different real digits differ by about 40.
    assert np.mean(differences) < 6.5
    assert abs(np.mean(ratios) - 1) < 0.05


def test_centre_and_box_are_those_of_mnist(digits):
    """The oracle is MNIST itself: its centres of mass lie at 14, its ink in 20x20."""
    centres = np.array([ndimage.center_of_mass(image) for image in digits.images[:500]])
    np.testing.assert_allclose(centres.mean(axis=0), 14, atol=0.05)
    ink = fit_picture(enlarged(digits.images[0], 7), "x")[0] > 0
    assert max(np.ptp(np.flatnonzero(ink.any(axis=axis))) + 1 for axis in (0, 1)) == 20


def test_grey_paper_grain_and_dust(digits):
    random = np.random.default_rng(5)
    differences = []
    for original in digits.images[:40]:
        photograph = 190 - 0.6 * np.pad(enlarged(original, 10), 100) + random.normal(0, 4, (480, 480))
        photograph[5:8, 60:63] = 60
        fitted, inverted = fit_picture(np.clip(photograph, 0, 255).astype(np.uint8), "x")
        assert inverted
        assert np.median(fitted) == 0
        assert fitted.max() > 230  # thin strokes lose a little in the scaling, with or without grain
        differences.append(difference(fitted, original))
    assert np.mean(differences) < 8


def test_light_from_one_side(digits):
    differences = []
    shade = np.linspace(-35, 35, 480)[:, None] + np.linspace(-15, 15, 480)
    for original in digits.images[:40]:
        photograph = 190 - 0.6 * np.pad(enlarged(original, 10), 100) + shade
        fitted, _ = fit_picture(np.clip(photograph, 0, 255).astype(np.uint8), "x")
        differences.append(difference(fitted, original))
    assert np.mean(differences) < 8
    with pytest.raises(DataError, match="blank"):
        fit_picture((190 + shade).astype(np.uint8), "x")


def test_one_digit_is_accepted_and_two_are_refused(digits):
    def refused(picture):
        try:
            fit_picture(picture, "two.png")
        except DataError as error:
            return "two.png holds several digits" in str(error)
        return False

    assert np.mean([refused(enlarged(image, 4)) for image in digits.images]) < 0.004  # 0.07 % of all, and chance
    pairs = list(zip(digits.images[:200], digits.images[200:400], strict=True))
    assert np.mean([refused(enlarged(np.hstack(pair), 4)) for pair in pairs]) > 0.95
    assert np.mean([refused(enlarged(np.vstack(pair), 4)) for pair in pairs]) > 0.85
    assert refused(enlarged(np.hstack(digits.images[:5]), 4))


def test_28x28_keeps_its_pixels(few):
    fitting = Fitting("x")
    fitting.add_many(few.images)
    fitting.add_many(255 - few.images)
    images, notes = fitting.result()
    np.testing.assert_array_equal(images, np.concatenate([few.images, few.images]))
    assert notes == ("40 of 80 images were dark on light and were inverted.",)


def test_28x28_on_grey_paper_is_stretched(few):
    grey = (180 - few.images[0] * 0.5).astype(np.uint8)
    fitted, _ = fit_picture(grey, "x")
    assert difference(fitted, few.images[0]) < 5


def test_small_pictures_of_few_tones():
    """scikit-learn's digits: 8x8 pixels with tones 0 to 16."""
    images = sklearn_digits().images[:300].astype(np.uint8)
    fitting = Fitting("x")
    fitting.add_many(images)
    fitted, notes = fitting.result()
    assert fitted.shape == (300, 28, 28)
    assert fitted.max(axis=(1, 2)).min() > 200
    assert "300 of 300 images had another size" in notes[0]


@pytest.mark.parametrize("shape", [(28, 28), (300, 200), (4000, 3000)])
@pytest.mark.parametrize("tone", [0, 255, 130])
def test_blank_pictures_are_refused(shape, tone):
    with pytest.raises(DataError, match=r"page\.png is blank"):
        fit_picture(np.full(shape, tone, np.uint8), "page.png")


def test_an_empty_sheet_with_grain_is_blank():
    sheet = np.random.default_rng(0).normal(200, 5, (600, 400)).astype(np.uint8)
    with pytest.raises(DataError, match="blank"):
        fit_picture(sheet, "x")


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (1, 300), (300, 1)])
def test_tiny_pictures_are_refused(shape):
    with pytest.raises(DataError, match="pixels"):
        fit_picture(np.eye(*shape, dtype=np.uint8) * 255, "x")


def test_refusals_are_told_together(few):
    fitting = Fitting("my folder")
    fitting.add(few.images[0], "good.png")
    fitting.add(np.zeros((28, 28), np.uint8), "a.png")
    fitting.add(np.zeros((28, 28), np.uint8), "b.png")
    with pytest.raises(DataError, match=r"2 of the 3 pictures in my folder cannot be used; the first: a\.png"):
        fitting.result()
    with pytest.raises(DataError, match="no images"):
        Fitting("nothing").result()


@pytest.mark.parametrize("several", [1, 2])
def test_of_a_hundred_one_may_seem_to_hold_several_digits(few, several):
    """As one in a thousand real digits does, whose strokes broke: it must not spoil a large set."""
    one, row = enlarged(few.images[0], 2), np.hstack(few.images[:3]).repeat(3, 0).repeat(3, 1)
    fitting = Fitting("my folder")
    for place in range(100):
        fitting.add(row if place < several else one, f"{place}.png")
    if several > 1:
        with pytest.raises(DataError, match=r"2 of the 100 pictures .* the first: 0\.png holds several digits"):
            fitting.result()
    else:
        images, notes = fitting.result()
        assert images.shape == (100, 28, 28)
        assert notes[-1].startswith("1 of 100 images look like several digits")
