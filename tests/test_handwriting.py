"""Lines of digits: every character where its box says, one hand's lines alike, and nothing that cannot be written."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitvae import handwriting
from digitvae.errors import InputError
from digitvae.handwriting import CHARACTERS, pen_of, write


def one(studio, text, hand=0, **keywords):
    (line,) = write(studio, [text], [hand], **keywords)
    return line


@settings(max_examples=25, deadline=None)
@given(text=st.text(CHARACTERS, min_size=1, max_size=12).filter(str.strip), height=st.integers(8, 120))
def test_boxes_hold_all_the_ink_in_order(studio_tiny, text, height):
    line = one(studio_tiny, text, height=height)
    assert "".join(box["text"] for box in line.boxes) == text.replace(" ", "")
    outside = line.ink.copy()
    rows, columns = line.ink.shape
    for box in line.boxes:
        assert 0 <= box["left"] < box["left"] + box["width"] <= columns
        assert 0 <= box["top"] < box["top"] + box["height"] <= rows
        outside[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]] = 0
    assert outside.max() == 0
    lefts = [box["left"] for box in line.boxes]
    assert lefts == sorted(lefts)


def test_boxes_fit_the_ink(studio_tiny):
    line = one(studio_tiny, "3+(1)/7:2.", height=80)
    for box in line.boxes:
        ink = line.ink[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]] > 64
        assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any(), box  # noqa: PT018


def test_signs_stand_where_they_should(studio_tiny):
    """In units of the digits' height, from the baseline: full stops low, dashes in the middle, brackets around all."""
    line = one(studio_tiny, "1.1-1(1)", height=200)
    boxes = {box["text"]: box for box in line.boxes}
    base = np.mean([box["top"] + box["height"] for box in line.boxes if box["text"] == "1"])

    def place(sign):
        return (base - boxes[sign]["top"] - boxes[sign]["height"] / 2) / 200

    assert place(".") == pytest.approx(0, abs=0.15)
    assert place("-") == pytest.approx(0.45, abs=0.2)
    assert boxes["("]["height"] > 200
    assert boxes["-"]["width"] > 2 * boxes["-"]["height"]


def test_a_hand_writes_alike_but_not_the_same(studio_tiny):
    first, again, other_time, other_hand = (
        one(studio_tiny, "4096", hand, seed=seed) for hand, seed in ((7, 0), (7, 0), (7, 1), (8, 0))
    )
    np.testing.assert_array_equal(first.ink, again.ink)
    assert first.ink.shape != other_time.ink.shape or not np.array_equal(first.ink, other_time.ink)
    assert pen_of(studio_tiny, 7) != pen_of(studio_tiny, 8)
    assert other_hand.hand == 8


def test_lines_do_not_depend_on_those_around_them(studio_tiny):
    texts, hands = ["12", "3-4", "56"], [1, 2, 1]
    together = list(write(studio_tiny, texts, hands, seed=5))
    for place in range(3):
        (alone,) = write(studio_tiny, texts[place : place + 1], hands[place : place + 1], seed=5, first=place)
        np.testing.assert_array_equal(alone.ink, together[place].ink)
        assert alone.boxes == together[place].boxes


def test_height_is_that_of_the_digits(studio_tiny):
    small, large = one(studio_tiny, "88888888", height=30), one(studio_tiny, "88888888", height=120)
    ratio = np.mean([b["height"] for b in large.boxes]) / np.mean([b["height"] for b in small.boxes])
    assert ratio == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("text", ["", "   ", "12a", "1\n2", "½", "1" * 1001])
def test_what_cannot_be_written_is_one_sentence(studio_tiny, text):
    with pytest.raises(InputError, match=r"cannot be written|needs 1 to"):
        one(studio_tiny, text)


def test_numbers_out_of_range_are_refused(studio_tiny):
    with pytest.raises(InputError, match="height"):
        one(studio_tiny, "1", height=4)
    with pytest.raises(InputError, match="no hand"):
        one(studio_tiny, "1", -1)
    with pytest.raises(InputError, match="needs a hand"):
        list(write(studio_tiny, ["1", "2"], [0]))


def test_odd_wishes_of_programs_are_refused_or_empty(studio_tiny):
    assert list(write(studio_tiny, [], [])) == []
    with pytest.raises(InputError, match="whole numbers"):
        list(write(studio_tiny, ["1"], [2.5]))
    with pytest.raises(InputError, match="too large for a picture"):
        list(write(studio_tiny, ["1" * 1000], [0], height=2000))


def test_a_line_that_rises_too_far_is_refused_before_its_picture_is_made(studio_tiny, monkeypatch):
    pen = pen_of(studio_tiny, 0)
    monkeypatch.setattr(handwriting, "_MAX_PIXELS", 200 * 64**2)
    assert one(studio_tiny, "8" * 30).ink.size < 200 * 64**2
    steep = replace(pen, habits=replace(pen.habits, slope=80.0))
    monkeypatch.setattr(handwriting, "pen_of", lambda studio, number: steep)
    with pytest.raises(InputError, match="too large for a picture"):
        one(studio_tiny, "8" * 30)
