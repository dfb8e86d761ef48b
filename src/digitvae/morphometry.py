"""Measurements of digits in real units: slant in degrees, thickness and width in pixels.

After Castro et al. (2019), "Morpho-MNIST", with definitions given at `measure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize
from torch import Tensor

from digitvae.errors import InputError
from digitvae.networks import PIXELS

SCALE = 4
"""Images are enlarged this many times before thickness and width are measured."""

_BATCH = 250
_TILE = SCALE * (PIXELS + 2)  # one pixel of paper on every side


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
    parts = [_measure_shapes(part) for part in torch.split(ink, _BATCH)]
    thickness, width = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Morphometry(_slant(ink), thickness, width)


def _ink(images: Tensor | np.ndarray) -> Tensor:
    """Images as float32 (n, 28, 28) in [0, 1]."""
    tensor = torch.as_tensor(images).detach().cpu()
    if tensor.ndim == 4 and tensor.shape[1] == 1:
        tensor = tensor.squeeze(1)
    if tensor.shape[1:] != (PIXELS, PIXELS) or len(tensor) == 0:
        raise InputError(f"Images need shape (n, 28, 28) or (n, 1, 28, 28), not {tuple(tensor.shape)}.")
    if tensor.dtype == torch.uint8:
        return tensor.float().div_(255)
    if not tensor.is_floating_point() or not (tensor.amin() >= 0 and tensor.amax() <= 1):
        raise InputError("Images need uint8 pixels, or floating-point ones from 0 (paper) to 1 (ink).")
    return tensor.float()


def _slant(ink: Tensor) -> npt.NDArray[np.float64]:
    """Degrees, from moments about the middle of the image, all images at once."""
    right = torch.arange(PIXELS, dtype=torch.float64) - (PIXELS - 1) / 2
    up = -right
    rows, columns = ink.sum(2, dtype=torch.float64), ink.sum(1, dtype=torch.float64)
    mass = rows.sum(1)
    mean_up, mean_right = rows @ up / mass, columns @ right / mass
    product = ((ink @ right.float()).double() @ up) / mass
    covariance = product - mean_up * mean_right
    variance = rows @ up.square() / mass - mean_up.square()
    shear = torch.where(variance > 1e-9, covariance / variance, torch.nan)
    return torch.rad2deg(torch.atan(shear)).numpy()


def _measure_shapes(ink: Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Thickness and width of a batch, in pixels.

    The enlarged images stand in one tall strip, each in a frame of paper, so that the skeleton and the distance map
    of all are found in one pass and nothing reaches from one image to the next.
    """
    framed = torch.nn.functional.pad(ink, (1, 1, 1, 1)).unsqueeze(1)
    large = torch.nn.functional.interpolate(framed, scale_factor=SCALE, mode="bilinear", align_corners=False)
    shapes = (large.squeeze(1) > 0.5).numpy()
    strip = shapes.reshape(-1, _TILE)
    skeletons = skeletonize(strip).reshape(shapes.shape)
    distances = distance_transform_edt(strip).reshape(shapes.shape)
    points = skeletons.sum((1, 2), dtype=np.float64)
    reach = (distances * skeletons).sum((1, 2))
    across = shapes.any(1)
    extent = _TILE - across.argmax(1) - across[:, ::-1].argmax(1)
    inked = across.any(1)
    points[~inked] = np.nan
    return 2 * reach / points / SCALE, np.where(inked, extent / SCALE, np.nan)
