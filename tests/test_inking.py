"""Pictures and outlines of ink: colours where ink is, outlines that hold the area they should."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from digitvae.errors import InputError
from digitvae.inking import as_png, as_svg, outlines, paint


def disc(radius=20.0, hole=0.0):
    """A disc with soft edges, and a hole in it where asked for."""
    y, x = np.mgrid[:64, :64] + 0.5
    far = np.hypot(x - 32, y - 32)
    edge = (
        np.clip(radius - far + 0.5, 0, 1) * np.clip(far - hole + 0.5, 0, 1)
        if hole
        else np.clip(radius - far + 0.5, 0, 1)
    )
    return np.rint(255 * edge).astype(np.uint8)


def signed_area(polygon):
    x, y = polygon[:, 0], polygon[:, 1]
    return 0.5 * float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))


@pytest.mark.parametrize("hole", [0.0, 9.0])
def test_outlines_hold_the_area_of_the_ink(hole):
    """Outlines of holes run the other way round, so that signed areas add up."""
    found = outlines(disc(hole=hole))
    assert len(found) == (2 if hole else 1)
    assert abs(sum(map(signed_area, found))) == pytest.approx(np.pi * (20**2 - hole**2), rel=0.01)
    points = np.concatenate(found)
    np.testing.assert_allclose((points.min(0) + points.max(0)) / 2, 32, atol=0.1)


def test_outlines_of_ink_at_the_border_are_closed():
    ink = np.full((10, 14), 255, np.uint8)
    (outline,) = outlines(ink)
    np.testing.assert_array_equal(outline[0], outline[-1])
    assert abs(signed_area(outline)) == pytest.approx(140, rel=0.03)
    assert outlines(np.zeros((5, 5), np.uint8)) == []


def test_svg_draws_the_same_outlines():
    svg = as_svg(disc(hole=9), "navy", "#fffff0")
    root = ElementTree.fromstring(svg)
    assert root.attrib["viewBox"] == "0 0 64 64"
    paper, ink = root
    assert (paper.attrib["fill"], ink.attrib["fill"]) == ("#fffff0", "#000080")
    rings = [np.array(re.findall(r"[-\d.]+", ring), float).reshape(-1, 2) for ring in ink.attrib["d"].split("Z")[:-1]]
    for ring, outline in zip(rings, outlines(disc(hole=9)), strict=True):
        np.testing.assert_allclose(ring, outline[:-1], atol=0.006)


def test_ink_and_paper_have_their_colours():
    painted = paint(np.array([[0, 255, 51]], np.uint8), "#ff0000", "#0000ff")
    assert painted[0].tolist() == [[0, 0, 255], [255, 0, 0], [51, 0, 204]]
    assert paint(np.array([[255]], np.uint8)).tolist() == [[[0, 0, 0]]]


def test_png_comes_back_with_its_resolution():
    image = Image.open(io.BytesIO(as_png(disc(), 600)))
    np.testing.assert_array_equal(np.asarray(image), disc())
    assert image.info["dpi"] == pytest.approx((600, 600), abs=0.1)


@pytest.mark.parametrize("colour", ["", "nocolour", "#12", 'red"/><script'])
def test_what_is_no_colour_is_said(colour):
    with pytest.raises(InputError, match="no colour"):
        as_svg(disc(), colour)
    with pytest.raises(InputError, match="no colour"):
        paint(disc(), paper=colour)


@pytest.mark.parametrize("draw", [paint, as_svg])
def test_ink_that_could_not_be_seen_is_refused(draw):
    with pytest.raises(InputError, match="one colour"):
        draw(disc(), "white", "#FFF")
