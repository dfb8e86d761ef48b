"""Ink as people look at it: coloured pictures, and outlines that can be scaled."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor

from digitvae.errors import InputError

Pixels = npt.NDArray[np.uint8]

BLACK, WHITE = "#000000", "#ffffff"

MAX_SHEET = 10_000
"""Digits on a sheet, at most."""

_TOLERANCE = 0.15
"""Pixels by which an outline may be simplified."""


def paint(ink: Pixels, colour: str = BLACK, paper: str = WHITE) -> Pixels:
    """Ink in colours.

    Args:
        ink: Grey levels, uint8, ink is 255, shape (height, width).
        colour: Of the ink: a name such as ``navy``, or ``#rrggbb``.
        paper: Of the paper.

    Returns:
        uint8, shape (height, width, 3).

    Raises:
        InputError: If a colour is unknown, or both are the same.
    """
    full, none = (np.array(rgb, np.float32) for rgb in _two(colour, paper))
    share = np.arange(256, dtype=np.float32)[:, None] / 255
    painted: Pixels = np.rint((1 - share) * none + share * full).astype(np.uint8)[ink]
    return painted


def resized(images: Pixels, side: int) -> Pixels:
    """Digits in another size, by bicubic resampling.

    Args:
        images: uint8, shape (n, height, width).
        side: The new height and width, in pixels.

    Returns:
        uint8, shape (n, side, side).

    Raises:
        InputError: If the size is out of range.
    """
    check_side(side)
    if images.shape[1:] == (side, side):
        return images
    made = [np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)) for image in images]
    return np.stack(made)


def check_side(side: int) -> None:
    """Raise InputError where digits cannot have that height and width."""
    if not 8 <= side <= 512:
        raise InputError(f"The size of digits must be 8 to 512 pixels, not {side}.")


def sheet(images: Pixels, columns: int | None = None, gap: int = 2) -> Pixels:
    """Digits side by side, in rows from left to right.

    Args:
        images: uint8, ink is 255, shape (n, height, width).
        columns: Digits in a row; as many as make the sheet square where None.
        gap: Pixels of paper between digits.

    Returns:
        uint8, shape (height of the sheet, width of the sheet).

    >>> sheet(np.zeros((5, 28, 28), np.uint8)).shape
    (58, 88)
    """
    n, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    whole = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        whole[top : top + height, left : left + width] = image
    return whole


def as_png(image: Pixels, dpi: int = 300) -> bytes:
    """The content of a PNG file: grey levels (height, width) or colours (height, width, 3), uint8."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", dpi=(dpi, dpi))
    return content.getvalue()


def as_svg(ink: Pixels, colour: str = BLACK, paper: str = WHITE) -> str:
    """The outlines of ink as an SVG picture, a unit a pixel.

    Outlines run where the ink is half black (marching squares; Lorensen and Cline, 1987), simplified to within a
    seventh of a pixel.

    Raises:
        InputError: If a colour is unknown, or both are the same.
    """
    height, width = ink.shape
    full, none = ("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in _two(colour, paper))
    paths = "".join(_path(contour) for contour in outlines(ink))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<path fill="{none}" d="M0 0H{width}V{height}H0Z"/>'
        f'<path fill="{full}" fill-rule="evenodd" d="{paths}"/></svg>\n'
    )


def outlines(ink: Pixels) -> list[npt.NDArray[Any]]:
    """Closed outlines of the ink, each (points, 2) as x and y in pixels from the top left corner."""
    from skimage.measure import approximate_polygon, find_contours

    # A frame of paper closes outlines that would run out of the picture; pixel centres lie half a pixel in.
    framed = np.pad(ink, 1).astype(np.float32)
    found = []
    for contour in find_contours(framed, 127.5):  # type: ignore[no-untyped-call]
        polygon = approximate_polygon(contour, _TOLERANCE)  # type: ignore[no-untyped-call]
        if len(polygon) > 3:
            found.append(polygon[:, ::-1] - 0.5)
    return found


def _path(contour: npt.NDArray[Any]) -> str:
    points = [f"{x:.2f} {y:.2f}" for x, y in contour[:-1].tolist()]
    return re.sub(r"\.?0+(?=[ LMZ])", "", f"M{'L'.join(points)} Z").replace(" Z", "Z")


def _two(colour: str, paper: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    both = _rgb(colour), _rgb(paper)
    if both[0] == both[1]:
        raise InputError("Ink and paper have one colour, so nothing could be read; choose two.")
    return both


def _rgb(colour: str) -> tuple[int, ...]:
    try:
        return ImageColor.getrgb(colour)[:3]
    except ValueError as error:
        raise InputError(f"'{colour}' is no colour; give a name such as navy, or #rrggbb.") from error
