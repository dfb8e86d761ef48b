"""Whole numbers as one person would write them: digits of one hand set in a line, with signs in the same ink.

The digits are the model's. How they stand in the line (gaps, a baseline that wanders, sizes that vary, strokes of the
signs) is not learned, as MNIST has no lines: it is drawn for each hand from the ranges in `Habits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from digitvae.data.samples import Box
from digitvae.errors import InputError
from digitvae.morphometry import measure
from digitvae.studio import TEMPERATURE, Studio, check_temperature, stream

DIGITS = "0123456789"

# Signs as strokes, lines through points, in units of the height of a digit: to the right, and up from the baseline.
_SIGNS: dict[str, list[list[tuple[float, float]]]] = {
    ".": [[(0.0, 0.02), (0.01, 0.02)]],
    ",": [[(0.06, 0.04), (0.05, -0.05), (0.0, -0.16)]],
    "-": [[(0.0, 0.45), (0.36, 0.46)]],
    "/": [[(0.0, -0.08), (0.4, 1.05)]],
    ":": [[(0.0, 0.16), (0.01, 0.16)], [(0.0, 0.62), (0.01, 0.62)]],
    "+": [[(0.0, 0.45), (0.4, 0.45)], [(0.2, 0.24), (0.2, 0.66)]],
    "(": [[(0.22, 1.08), (0.08, 0.85), (0.02, 0.5), (0.08, 0.15), (0.22, -0.1)]],
    ")": [[(0.0, 1.08), (0.14, 0.85), (0.2, 0.5), (0.14, 0.15), (0.0, -0.1)]],
}

CHARACTERS = DIGITS + "".join(_SIGNS) + " "
"""What can be written."""

MAX_TEXT = 1000
"""Characters in a line, at most."""

_MAX_PIXELS = 2**28
"""Pixels of a line or a page, at most."""

_TOGETHER = 100
"""Lines whose digits are drawn at a time."""

_FULL = 20
"""Pixels of the larger side of a digit in MNIST, which made every digit so large."""

_MOST_GROWTH = 1.4
"""Wide digits are set up to this much larger, so that all are about as high as the hand writes; then strokes would
grow too thick."""

_FINE = 4
"""Signs are drawn this many times larger, then shrunk: their edges are then as soft as the digits'."""


@dataclass(frozen=True)
class Habits:
    """How a hand sets its digits in a line, in units of the height of a digit (degrees where said).

    Attributes:
        gap: Mean space between the ink of two characters.
        gap_spread: Standard deviation of that space.
        rise: Standard deviation of the baseline from one character to the next.
        size_spread: Standard deviation of the size of digits, as a share.
        slope: Rise of the whole line, in degrees.
    """

    gap: float
    gap_spread: float
    rise: float
    size_spread: float
    slope: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Habits:
        """The habits of a new hand."""
        return cls(
            gap=float(rng.uniform(0.10, 0.28)),
            gap_spread=float(rng.uniform(0.02, 0.06)),
            rise=float(rng.uniform(0.01, 0.04)),
            size_spread=float(rng.uniform(0.02, 0.05)),
            slope=float(rng.normal(0, 0.8)),
        )


@dataclass(frozen=True, eq=False)
class Line:
    """A written line.

    Attributes:
        ink: Grey levels, uint8, ink is 255, shape (height, width).
        boxes: One for each character that is not a space, from left to right.
        text: What was written.
        hand: The number of the hand.
    """

    ink: npt.NDArray[np.uint8]
    boxes: tuple[Box, ...]
    text: str
    hand: int


def write(
    studio: Studio,
    texts: Sequence[str],
    hands: Sequence[int],
    *,
    height: int = 64,
    seed: int = 0,
    first: int = 0,
    temperature: float = TEMPERATURE,
) -> Iterator[Line]:
    """Write lines, each in one hand.

    Args:
        studio: What draws the digits.
        texts: What to write, of `CHARACTERS`.
        hands: Who writes each line: numbers of hands.
        height: Height of a digit, in pixels; lines are half as high again, with their margins.
        seed: Seed of what differs each time that a hand writes.
        first: The number of the first line among all that this seed writes; line `first + i` is always the same.
        temperature: How much the digits of a hand differ each time; 0 writes each digit one way.

    Raises:
        InputError: If a text is empty, too long or has a character that cannot be written, a number is out of range, or
            a line would have too many pixels.

    >>> line = next(write(Studio.load(), ["1,024.50"], hands=[42]))
    >>> line.ink.dtype, len(line.boxes)
    (dtype('uint8'), 8)
    """
    if len(texts) != len(hands):
        raise InputError(f"Each line needs a hand: there are {len(texts)} texts and {len(hands)} hands.")
    if not 8 <= height <= 2000:
        raise InputError(f"The height of a digit must be 8 to 2,000 pixels, not {height}.")
    check_temperature(temperature)
    longest = max((len(text) for text in texts), default=0)
    if longest * height**2 > _MAX_PIXELS:
        raise _too_large(longest, height)
    for text in texts:
        check_text(text)
    for start in range(0, len(texts), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        yield from _written(studio, texts[some], hands[some], height, seed, first + start, temperature)


def _written(
    studio: Studio,
    texts: Sequence[str],
    hands: Sequence[int],
    height: int,
    seed: int,
    first: int,
    temperature: float,
) -> Iterator[Line]:
    """Lines whose digits are drawn in one go; arguments as in `write`."""
    streams = [stream(seed, "lines", first + place) for place in range(len(texts))]
    styles, labels = [], []
    for text, number, rng in zip(texts, hands, streams, strict=True):
        own = np.array([int(c) for c in text if c in DIGITS], np.int64)
        styles.append(studio.hands.noise(studio.hand(number), own, rng, temperature))
        labels.append(own)
    every = np.concatenate(labels)
    drawn = studio.draw(np.concatenate(styles), every) if len(every) else np.empty((0, 28, 28), np.uint8)
    start = 0
    for text, number, rng, own in zip(texts, hands, streams, labels, strict=True):
        digits = drawn[start : start + len(own)]
        start += len(own)
        yield _set(text, number, digits, pen_of(studio, number), height, rng)


def _too_large(characters: int, height: int) -> InputError:
    return InputError(
        f"A line of {characters:,} digits of {height} pixels is too large for a picture; lower the height."
    )


def page(lines: Sequence[Line]) -> Line:
    """Lines one below the other, as one: its boxes are those of all lines, its text has a line break between them.

    Args:
        lines: At least one.

    Raises:
        InputError: If it would have too many pixels.
    """
    tops = np.cumsum([0] + [len(line.ink) for line in lines])[:-1]
    height, width = int(tops[-1]) + len(lines[-1].ink), max(line.ink.shape[1] for line in lines)
    if height * width > _MAX_PIXELS:
        raise InputError(
            f"{len(lines):,} lines of this height are too large for one picture; lower the height or give a folder."
        )
    canvas = np.zeros((height, width), np.uint8)
    boxes = []
    for line, top in zip(lines, tops.tolist(), strict=True):
        rows = canvas[top : top + len(line.ink), : line.ink.shape[1]]
        np.maximum(rows, line.ink, out=rows)
        boxes += [Box(**{**box, "top": box["top"] + top}) for box in line.boxes]
    return Line(canvas, tuple(boxes), "\n".join(line.text for line in lines), lines[0].hand)


def check_text(text: str) -> None:
    """Raise InputError where a text cannot be written."""
    if not text.strip() or len(text) > MAX_TEXT:
        raise InputError(f"A text needs 1 to {MAX_TEXT:,} characters, not {len(text):,} (spaces alone do not count).")
    wrong = sorted(set(text) - set(CHARACTERS))
    if wrong:
        raise InputError(f"'{wrong[0]}' cannot be written; there are digits, spaces and {' '.join(_SIGNS)}")


@dataclass(frozen=True)
class Pen:
    """What a hand's signs are drawn with.

    Attributes:
        thickness: Of a stroke, in units of the height of a digit.
        slant: Degrees from the vertical, positive to the right.
        habits: How the hand sets its digits.
    """

    thickness: float
    slant: float
    habits: Habits


_PENS: WeakKeyDictionary[Studio, dict[int, Pen]] = WeakKeyDictionary()


def pen_of(studio: Studio, number: int) -> Pen:
    """The pen of a hand: measured on digits that it writes, so that signs are in the same ink."""
    known = _PENS.setdefault(studio, {})
    if number not in known:
        known[number] = _pen(studio, number)
    return known[number]


def _pen(studio: Studio, number: int) -> Pen:
    hand, labels = studio.hand(number), np.arange(10)
    found = measure(studio.draw(hand, labels))
    # Where a hand's digits are all too faint to be measured, a usual pen.
    thickness = np.nanmedian(found.thickness) if np.isfinite(found.thickness).any() else 3.0
    slant = np.nanmedian(found.slant) if np.isfinite(found.slant).any() else 0.0
    return Pen(float(thickness) / _FULL, float(np.clip(slant, -40, 40)), Habits.drawn(stream(0, "habits", number)))


def _set(text: str, number: int, digits: npt.NDArray[Any], pen: Pen, height: int, rng: np.random.Generator) -> Line:
    """Set characters in a line, from left to right, on a baseline that wanders."""
    habits = pen.habits
    placed: list[tuple[str, npt.NDArray[np.uint8], int, float]] = []  # character, ink, left, bottom above the baseline
    cursor, rest, rise = 0.0, iter(digits), 0.0
    for character in text:
        gap = height * max(0.03, rng.normal(habits.gap, habits.gap_spread))
        if character == " ":
            cursor += height * 0.45
            continue
        rise = 0.6 * rise + rng.normal(0, habits.rise)
        size = height * float(np.clip(1 + rng.normal(0, habits.size_spread), 0.8, 1.2))
        if character in DIGITS:
            digit = next(rest)
            ink, low = _cut(_sized(digit, size / _FULL * _growth(digit))), 0.0
        else:
            ink, low = _sign(character, pen, size)
        if placed:
            cursor += gap
        climb = np.tan(np.deg2rad(habits.slope)) * cursor
        placed.append((character, ink, round(cursor), low + rise * height + climb))
        cursor = round(cursor) + ink.shape[1]
    margin = max(2, round(0.2 * height))
    tops = [low + len(ink) for _, ink, _, low in placed]
    lows = [low for *_, low in placed]
    top, bottom = max(*tops, height), min(*lows, 0.0)
    shape = int(np.ceil(top - bottom)) + 2 * margin, round(cursor) + 2 * margin
    if shape[0] * shape[1] > _MAX_PIXELS:  # a line that rises is higher than its digits
        raise _too_large(len(text), height)
    canvas = np.zeros(shape, np.uint8)
    boxes = []
    for character, ink, left, low in placed:
        row = margin + round(top - low - len(ink))
        place = (slice(row, row + len(ink)), slice(margin + left, margin + left + ink.shape[1]))
        canvas[place] = np.maximum(canvas[place], ink)
        boxes.append(Box(text=character, left=margin + left, top=row, width=ink.shape[1], height=len(ink)))
    return Line(canvas, tuple(boxes), text, number)


def _growth(digit: npt.NDArray[np.uint8]) -> float:
    """How much larger a digit is set than it came: MNIST shrinks wide ones until they fit, and so does the model."""
    rows = np.flatnonzero((digit > 64).any(1))
    return min(_MOST_GROWTH, _FULL / (rows[-1] - rows[0] + 1)) if len(rows) else 1.0


def _sized(image: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.uint8]:
    side = max(1, round(28 * scale))
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def _cut(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The ink without the paper around it; a blank image stays one pixel."""
    rows, columns = np.flatnonzero((ink > 64).any(1)), np.flatnonzero((ink > 64).any(0))
    if not len(rows):
        return ink[:1, :1]
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _smooth(points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A curve through three points or more, shape (n, 2), as twelve short lines; two points stay a line."""
    if len(points) < 3:
        return points
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    through = np.polynomial.polynomial.polyfit(way, points, len(points) - 1)
    return np.polynomial.polynomial.polyval(np.linspace(0, way[-1], 13), through).T


def _sign(character: str, pen: Pen, size: float) -> tuple[npt.NDArray[np.uint8], float]:
    """The ink of a sign, and how far above the baseline its lowest row is, in pixels."""
    thick = max(1.0, pen.thickness * size * (1.25 if character in ".:" else 1.0))
    lean = np.tan(np.deg2rad(pen.slant)) if character in "/():+" else 0.0
    lines = [_smooth(np.array([(x + lean * y, y) for x, y in stroke])) * size for stroke in _SIGNS[character]]
    points = np.concatenate(lines)
    low, left = points[:, 1].min() - thick / 2 - 1, points[:, 0].min() - thick / 2 - 1
    wide, high = np.ceil(points.max(0) + thick / 2 + 1 - (left, low)).astype(int)
    sheet = Image.new("L", (int(wide) * _FINE, int(high) * _FINE))
    drawing = ImageDraw.Draw(sheet)
    for line in lines:
        at = [((x - left) * _FINE, (high - (y - low)) * _FINE) for x, y in line.tolist()]
        drawing.line(at, fill=255, width=max(1, round(thick * _FINE)), joint="curve")
        for x, y in (at[0], at[-1]):
            half = thick * _FINE / 2
            drawing.ellipse((x - half, y - half, x + half, y + half), fill=255)
    ink = np.asarray(sheet.resize((int(wide), int(high)), Image.Resampling.BOX))
    rows = np.flatnonzero((ink > 64).any(1))
    return _cut(ink), float(low + high - 1 - rows[-1])
