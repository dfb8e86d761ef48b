"""Any picture of one digit made into 28x28 pixels as MNIST was made.

MNIST's makers scaled each digit, keeping its aspect, into a 20x20 box and put its centre of mass in the middle of
28x28 pixels. Pictures from elsewhere are first brought to MNIST's tones: paper 0, ink 255.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import SIDE, Pixels
from digitvae.errors import DataError

BOX = 20
"""The side of the box that the ink is scaled into, in pixels."""

_Number = TypeVar("_Number", np.uint8, np.float32)
Tones = npt.NDArray[np.float32]

_MIN_HEIGHT = 8
_MIN_CONTRAST = 8  # of 256 tones; the bundled 8x8 digits of scikit-learn use 16
_BLACK_PAPER = 16  # at 28x28, paper at most this light is left alone
_WORKING_SIDE = 400  # larger pictures are first reduced: a digit needs no more, and photographs have millions of pixels
_SPECK = 0.01  # of the ink: less is dust
_PART = 0.1  # of the ink: a stroke with less is never counted as a digit
_BROKEN = 0.01  # of the pictures: as few that seem to hold several digits are digits of broken strokes


class Fitting:
    """Takes pictures one by one, fits each to 28x28, and counts what was done.

    Pictures of 28x28 keep their pixels (all but dark-on-light ones, which are inverted, and ones on grey paper,
    whose tones are stretched). Others are fitted as MNIST was made. One that seems to hold several digits is refused,
    unless a hundred pictures were added for each such one: strokes of single digits break too.

    Example:
        >>> fitting = Fitting("my photographs")
        >>> seven = np.zeros((60, 40), np.uint8)
        >>> seven[10:14, 8:30], seven[10:50, 26:30] = 255, 255
        >>> fitting.add(seven, "seven.png")
        >>> images, notes = fitting.result()
        >>> images.shape
        (1, 28, 28)
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._images: list[Pixels] = []
        self._refused: list[DataError] = []
        self._several: list[DataError] = []
        self._inverted = self._fitted = 0

    def add(self, grey: Pixels, name: str) -> None:
        """Fit one picture, uint8 of shape (height, width); `name` is what messages call it."""
        try:
            image, inverted, several = _fit(grey, name)
        except DataError as error:
            self.refuse(error)
            return
        if several:
            self._several.append(_several_error(name))
        self._images.append(image)
        self._inverted += inverted
        self._fitted += grey.shape != (SIDE, SIDE)

    def add_many(self, images: Pixels) -> None:
        """Fit uint8 images of shape (n, height, width); quick where they are MNIST's in form and tones."""
        if images.shape[1:] != (SIDE, SIDE):
            plain = np.zeros(len(images), bool)
        else:
            plain = (np.median(_ring(images), axis=1) == 0) & (images.max(axis=(1, 2)) >= _MIN_CONTRAST)
        for position, image in enumerate(images):
            if plain[position]:
                self._images.append(image)
            else:
                self.add(image, f"Image {position} of {self._title}")

    def refuse(self, error: DataError) -> None:
        """Remember a picture that cannot be used, so that all of them can be told at once."""
        self._refused.append(DataError(str(error)))  # without its traceback, which holds the picture

    def result(self) -> tuple[Pixels, tuple[str, ...]]:
        """All the images, uint8 of shape (n, 28, 28) in the order added, and sentences saying what was done.

        Raises:
            DataError: when a picture was refused, or none was added.
        """
        count = len(self._images) + len(self._refused)
        few = len(self._several) <= _BROKEN * count
        refused = self._refused if few else self._refused + self._several
        if len(refused) == 1:
            raise refused[0]
        if refused:
            raise DataError(
                f"{len(refused):,} of the {count:,} pictures in {self._title} cannot be used; the first: {refused[0]}"
            )
        if count == 0:
            raise DataError(f"{self._title} holds no images: give at least one.")
        notes = []
        if self._fitted:
            notes.append(
                f"{self._fitted:,} of {count:,} images had another size and were fitted to 28x28 as MNIST was made."
            )
        if self._inverted:
            notes.append(f"{self._inverted:,} of {count:,} images were dark on light and were inverted.")
        if self._several:
            notes.append(
                f"{len(self._several):,} of {count:,} images look like several digits; so few were taken for one digit "
                "with broken strokes each."
            )
        return np.stack(self._images), tuple(notes)


def fit_picture(grey: Pixels, name: str) -> tuple[Pixels, bool]:
    """Fit one picture to 28x28, and say whether it was dark on light.

    Args:
        grey: uint8 of shape (height, width), one digit, light on dark or dark on light.
        name: what messages call the picture.

    Returns:
        uint8 of shape (28, 28) with ink 255, and True when the picture was inverted.

    Raises:
        DataError: when the picture is blank, lower than 8 pixels or, where larger than 28x28, holds several digits.
    """
    image, inverted, several = _fit(grey, name)
    if several:
        raise _several_error(name)
    return image, inverted


def _fit(grey: Pixels, name: str) -> tuple[Pixels, bool, bool]:
    """What `fit_picture` gives, and whether the picture seems to hold several digits."""
    if max(grey.shape) < _MIN_HEIGHT or min(grey.shape) < 2:
        raise DataError(
            f"{name} is only {grey.shape[1]}x{grey.shape[0]} pixels: give a picture at least {_MIN_HEIGHT} high."
        )
    ink, paper, inverted = _ink(grey, name)
    if grey.shape == (SIDE, SIDE):
        if paper > _BLACK_PAPER:
            return np.rint(ink).astype(np.uint8), inverted, False
        return (255 - grey if inverted else grey), inverted, False
    ink = _without_dust(ink)
    # A smaller picture has too few pixels to tell two digits from one with a broken stroke.
    several = max(grey.shape) > SIDE and holds_several(ink > 127)
    return _centred(_boxed(ink)), inverted, several


def _several_error(name: str) -> DataError:
    return DataError(f"{name} holds several digits: cut it into pictures of one digit each.")


def scale_picture(grey: Pixels, name: str) -> tuple[Pixels, str]:
    """Scale a whole picture to 28x28: nothing is cut off or centred, narrow pictures get paper beside them.

    Args:
        grey: uint8 of shape (height, width), light on dark or dark on light.
        name: what messages call the picture.

    Returns:
        uint8 of shape (28, 28) with ink 255, and a sentence saying what was done; "" for nothing.

    Raises:
        DataError: when the picture is blank.
    """
    from PIL import Image

    if grey.shape == (SIDE, SIDE):
        image, inverted = fit_picture(grey, name)
        return image, "The image was dark on light and was inverted." if inverted else ""
    ink, _, _ = _ink(grey, name)
    side = max(ink.shape)
    square = np.zeros((side, side), np.float32)
    top, left = (side - ink.shape[0]) // 2, (side - ink.shape[1]) // 2
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    scaled = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.clip(np.rint(np.asarray(scaled)), 0, 255).astype(np.uint8), "The picture was scaled as a whole to 28x28."


def holds_several(ink: npt.NDArray[np.bool_]) -> bool:
    """Whether a mask of ink, of shape (height, width), shows more than one digit.

    Strokes break (the bar of a 5, the halves of a 0), so a second piece counts as a digit only where it is large
    and stands apart: beside the first and at least 0.4 of the whole height, or above it and at least 0.3. Ink more
    than 2.3 times wider than high counts as several digits that touch.

    Measured on MNIST's last 12,000 training digits (the limits were chosen on others), enlarged four times: 10 are
    wrongly refused (0.08 %). Of 3,000 pairs each, 99.8 % side by side are refused, 94 % one above the other and
    91 % that touch.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(ink, np.ones((3, 3)))
    if count == 0:
        return False
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    if width > 2.3 * height:
        return True
    areas = np.bincount(pieces.ravel())[1:]
    spans = ndimage.find_objects(pieces)
    large = [spans[i] for i in np.flatnonzero(areas >= _PART * areas.sum())]
    return any(_apart(first, second, height) for i, first in enumerate(large) for second in large[:i])


def _apart(first: tuple[slice, slice], second: tuple[slice, slice], height: int) -> bool:
    """Whether two pieces of ink, given by their rows and columns, are each a digit."""
    (rows, columns), (other_rows, other_columns) = first, second
    lower: float = min(rows.stop - rows.start, other_rows.stop - other_rows.start) / height
    gap = max(columns.start, other_columns.start) - min(columns.stop, other_columns.stop)
    distance = abs(columns.start + columns.stop - other_columns.start - other_columns.stop) / 2
    above = max(rows.start, other_rows.start) - min(rows.stop, other_rows.stop)
    beside: bool = gap >= 0.08 * height or distance >= 0.5 * height
    return (lower >= 0.4 and beside) or (lower >= 0.3 and above >= 0.1 * height)


def _ring(images: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The outermost pixels of images of shape (..., height, width), as (..., pixels): mostly paper."""
    parts = (images[..., 0, :], images[..., -1, :], images[..., 1:-1, 0], images[..., 1:-1, -1])
    return np.concatenate(parts, axis=-1)


def _ink(grey: Pixels, name: str) -> tuple[Tones, float, bool]:
    """Tones from paper 0 to ink 255, how light the paper was (after inverting), and whether it was inverted."""

    factor = -(-max(grey.shape) // _WORKING_SIDE)
    tones = _reduced(grey, factor) if factor > 1 else grey.astype(np.float32)
    smooth, ring = _smooth(tones), _ring(tones)
    inverted = bool(2 * np.median(ring) > smooth.min() + smooth.max())
    if inverted:
        tones, smooth, ring = 255 - tones, 255 - smooth, 255 - ring
    paper = float(np.median(ring))
    # Everything about the paper is judged by medians, so that ink at the edge does not count.
    if np.median(np.abs(ring - paper)) > 0:
        tones = tones - _shade(tones, float(smooth.max()) / 2 - paper / 2)
        smooth, ring = _smooth(tones), _ring(tones)
    else:
        tones, smooth, ring = tones - paper, smooth - paper, ring - paper
    grain = 3 * 1.4826 * float(np.median(np.abs(ring)))  # three standard deviations
    contrast = float(smooth.max())
    if contrast < _MIN_CONTRAST or contrast < 2 * grain:
        raise DataError(f"{name} is blank: give a picture with a digit that stands out from its paper.")
    # Smoothing also dims thin strokes, so how dark the ink is comes from it only where grain would mislead.
    strokes = smooth if grain > 0 else tones
    full = float(np.percentile(strokes[strokes > contrast / 2], 90)) - grain
    tones = np.maximum(tones - grain, 0)
    return np.minimum(tones * (255 / full), 255), paper, inverted


def _smooth(tones: Tones) -> Tones:
    """The tones without their grain, where there are pixels to spare."""
    from scipy import ndimage

    smooth: Tones = ndimage.uniform_filter(tones, 3) if min(tones.shape) > 2 * SIDE else tones
    return smooth


def _shade(tones: Tones, near: float) -> Tones:
    """The paper's tone at every pixel: a plane through the outermost pixels, for light that falls from one side.

    Of these pixels, those further than `near` from their median are ink.
    """
    grid = np.indices(tones.shape).astype(np.float32)
    rows: Tones = grid[0]
    columns: Tones = grid[1]
    ring = _ring(tones)
    places = np.stack([np.ones_like(ring), _ring(rows), _ring(columns)], axis=1)
    is_paper = np.abs(ring - np.median(ring)) <= near
    level, down, across = np.linalg.lstsq(places[is_paper], ring[is_paper], rcond=None)[0]
    plane: Tones = level + down * rows + across * columns
    return plane


def _reduced(grey: Pixels, factor: int) -> Tones:
    """The mean of each square of `factor` pixels; a rest at the right and bottom edge makes smaller squares."""
    from PIL import Image

    return np.asarray(Image.fromarray(grey).reduce(factor), np.float32)


def _without_dust(ink: Tones) -> Tones:
    """The ink, all but the pieces with less than 1 % of it."""
    from scipy import ndimage

    pieces, _ = ndimage.label(ink > 63, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    kept = (areas >= _SPECK * areas.sum())[pieces] & (pieces > 0)
    # Soft edges lie outside the pieces and belong to them.
    fringe = max(1, max(ink.shape) // SIDE)
    return np.where(ndimage.binary_dilation(kept, np.ones((3, 3)), iterations=fringe), ink, 0).astype(np.float32)


def _boxed(ink: Tones) -> Tones:
    """The ink cut out and scaled, keeping its aspect, so that its longer side is 20 pixels."""
    from PIL import Image

    seen = ink > 90
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(cut.shape)
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    return np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BICUBIC), np.float32)


def _centred(box: Tones) -> Pixels:
    """The boxed ink in 28x28 with its centre of mass in the middle, as near as whole pixels and the edges allow."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    box = np.clip(np.rint(box), 0, 255)
    height, width = box.shape
    top = _offset(box.sum(axis=1), height)
    left = _offset(box.sum(axis=0), width)
    image[top : top + height, left : left + width] = box
    return image


def _offset(mass: Tones, length: int) -> int:
    """Where a box of `length` begins so that the mean of its `mass` lies at pixel 14, as in MNIST (not at 13.5)."""
    mean = float(np.average(np.arange(length), weights=mass))
    return int(np.clip(round(SIDE / 2 - mean), 0, SIDE - length))
