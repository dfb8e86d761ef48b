"""Arrays that people give as images and labels, checked and brought to uint8."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import Pixels
from digitvae.errors import DataError

MAX_SIDE = 4096
"""The longest side that an image in an array may have, in pixels."""


def as_pixels(array: npt.NDArray[Any], name: str) -> Pixels:
    """Images as uint8 of shape (n, height, width), 0 to 255.

    Args:
        array: of shape (n, height, width), (n, 1, height, width), (n, height, width, 1) or, unrolled squares, (n,
            height * width); booleans, whole numbers 0 to 255, or numbers 0 to 1. Arrays that hold nothing but 0 and 1
            are taken as black and white.
        name: what messages call the array.

    Raises:
        DataError: when the shape is another, or a value is not a number or out of range.
    """
    if array.dtype.kind not in "buif":
        raise DataError(f"{name} holds {array.dtype}, not numbers: give pixels as uint8 or as floats from 0 to 1.")
    images = _as_stack(array, name)
    if images.size == 0:
        raise DataError(f"{name} is empty (its shape is {array.shape}): give at least one image.")
    if max(images.shape[1:]) > MAX_SIDE:
        raise DataError(f"{name} has images of {images.shape[1:]} pixels: give at most {MAX_SIDE} on a side.")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError(f"{name} has pixels that are not numbers (NaN or infinite): replace them.")
    low, high = images.min(), images.max()
    if low < 0 or high > 255:
        raise DataError(f"{name} has pixels from {low} to {high}: give 0 to 255, or floats from 0 to 1.")
    if high <= 1:
        # In float32, whatever came in: float16 would round, and float64 doubles the memory for nothing.
        return np.rint(images.astype(np.float32) * 255).astype(np.uint8)
    if images.dtype.kind == "f" and not np.array_equal(images, np.rint(images)):
        raise DataError(
            f"{name} has broken numbers up to {high}: give floats from 0 to 1, or whole numbers from 0 to 255."
        )
    return images.astype(np.uint8, copy=False)


def _as_stack(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """The array as (n, height, width)."""
    shape = array.shape
    if len(shape) == 4 and shape[1] == 1:
        return array[:, 0]
    if len(shape) == 4 and shape[3] == 1:
        return array[..., 0]
    if len(shape) == 2 and math.isqrt(shape[1]) ** 2 == shape[1]:
        return array.reshape(shape[0], math.isqrt(shape[1]), math.isqrt(shape[1]))
    if len(shape) != 3:
        raise DataError(f"{name} has the shape {shape}: give grey images of shape (n, height, width).")
    return array


def as_labels(array: npt.NDArray[Any], count: int, name: str) -> Pixels:
    """Labels as uint8 of shape (count,), 0 to 9.

    Args:
        array: of shape (count,) or (count, 1), whole numbers of any type.
        count: how many images there are.
        name: what messages call the labels.

    Raises:
        DataError: when there are more or fewer than images, or a label is not a whole number from 0 to 9.
    """
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.ndim != 1 or labels.dtype.kind not in "buif":
        raise DataError(f"{name} are {array.dtype} of shape {array.shape}: give one number from 0 to 9 per image.")
    if len(labels) != count:
        raise DataError(f"{name} are {len(labels):,} for {count:,} images: give one label for each image.")
    # Written so that NaN is wrong too.
    wrong = ~((labels >= 0) & (labels <= 9) & (labels == np.rint(labels)))
    if wrong.any():
        position = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{name} have {labels[position]} at position {position}: labels must be 0 to 9.")
    return labels.astype(np.uint8)
