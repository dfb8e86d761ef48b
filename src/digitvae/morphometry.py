"""Measurements of digits in real units: slant in degrees, thickness and width in pixels.

After Castro et al. (2019), "Morpho-MNIST", with definitions given at `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import SIDE
from digitvae.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SCALE = 4
"""Images are enlarged this many times before thickness and width are measured."""

_ONE_ROW = 1e-9  # a variance of the rows below this, in square pixels, is rounding


@dataclass(frozen=True, eq=False)
class Morphometry:
    """Measurements of each of n images, float64, shape (n,); NaN where an image has nothing to measure.

    Attributes:
        slant: Degrees from the vertical, positive where the digit leans to the right, between -90 and 90.
        thickness: Mean width of the strokes, in pixels.
        width: Horizontal extent of the ink, in pixels.
    """

    slant: npt.NDArray[np.float64]
    thickness: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]


def measure(images: Tensor | np.ndarray) -> Morphometry:
    """Measure slant, thickness and width of images.

    Slant: the angle of the horizontal shear that makes the covariance of row and column zero, each pixel weighted by
    its ink: atan(covariance / variance of the rows), rows counted upwards. NaN where all ink is in one row.

    Thickness: the image is enlarged four times (bilinear) and cut at half ink; the thickness is twice the mean
    distance to the paper along the skeleton of that shape (Zhang and Suen, 1984).
    Round-ended strokes of 2 to 6 pixels at random angles come out within 0.3 pixels, 0.1 too thin at most on
    average; upright or level ones within 0.5. Square corners pull the mean down, as the skeleton runs into them.

    Width: from the leftmost to the rightmost ink of the same enlarged shape, so in steps of a quarter pixel.

    Thickness and width are NaN where no ink is above one half; so is everything for a blank image.

    Args:
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 (ink is 255) or floating point in [0, 1].

    Raises:
        InputError: If the images have another shape, type or range.

    >>> bar = np.zeros((1, 28, 28), np.uint8)
    >>> bar[:, 4:24, 12:16] = 255
    >>> measured = measure(bar)
    >>> float(measured.slant[0]), float(measured.width[0])
    (0.0, 4.0)
    """
    ink = _ink(images)
    enlarging = _enlarging()
    shapes = ((enlarging @ image @ enlarging.T) > 0.5 for image in ink)
    thickness, width = np.array([_thickness_and_width(shape) for shape in shapes]).T
    return Morphometry(_slant(ink), thickness, width)


def _ink(images: Tensor | np.ndarray) -> npt.NDArray[np.float32]:
    """Images as numbers in [0, 1], shape (n, 28, 28); torch need not be imported for those that are arrays."""
    array = images if isinstance(images, np.ndarray) else images.detach().cpu().numpy()
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape[1:] != (SIDE, SIDE) or len(array) == 0:
        raise InputError(f"Images need shape (n, 28, 28) or (n, 1, 28, 28), not {array.shape}.")
    if array.dtype == np.uint8:
        ink: npt.NDArray[np.float32] = np.divide(array, 255, dtype=np.float32)
        return ink
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
        raise InputError("Images need uint8 pixels, or floating-point ones from 0 (paper) to 1 (ink).")
    return array.astype(np.float32)


def _slant(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Degrees, from moments about the middle of the image, all images at once."""
    right = np.arange(SIDE) - (SIDE - 1) / 2
    up = -right
    rows, columns = ink.sum(axis=2, dtype=np.float64), ink.sum(axis=1, dtype=np.float64)
    mass = rows.sum(axis=1)
    mass[mass == 0] = np.nan
    mean_up, mean_right = rows @ up / mass, columns @ right / mass
    covariance = (ink @ right.astype(np.float32)) @ up / mass - mean_up * mean_right
    variance = rows @ up**2 / mass - mean_up**2
    variance[variance < _ONE_ROW] = np.nan
    degrees: npt.NDArray[np.float64] = np.rad2deg(np.arctan(covariance / variance))
    return degrees


def _enlarging() -> npt.NDArray[np.float32]:
    """The matrix that enlarges a row or column of pixels: bilinear, with one pixel of paper added at either end."""
    centers = (np.arange(SCALE * (SIDE + 2)) + 0.5) / SCALE - 1.5
    shares: npt.NDArray[np.float32] = np.maximum(0, 1 - np.abs(centers[:, None] - np.arange(SIDE))).astype(np.float32)
    return shares


def _thickness_and_width(shape: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Of one enlarged image, in pixels."""
    # Here, as half of the time in which `digitvae generate` starts would go into them, and it measures nothing.
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    if rows.size == 0:
        return np.nan, np.nan
    # Only the ink is looked at, in a frame of paper one wide.
    ink = shape[rows[0] - 1 : rows[-1] + 2, columns[0] - 1 : columns[-1] + 2]
    reach = distance_transform_edt(ink)[skeletonize(ink)]  # type: ignore[no-untyped-call]
    return 2 * float(reach.mean()) / SCALE, (int(columns[-1] - columns[0]) + 1) / SCALE
