"""What a scanner does to a written line: it lies askew, the paper is uneven, edges are soft, pixels are noisy.

Strengths are drawn anew for each line, from ranges of ours that no measurement stands behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from digitvae.data.samples import Box
from digitvae.errors import InputError

Pixels = npt.NDArray[np.uint8]

EFFECTS = ("rotation", "paper", "blur", "noise")
"""In the order in which they happen."""

MAX_ANGLE = 2.0
"""Degrees that a line may be turned by, either way."""

_STRONG = 64  # grey levels from which on ink counts for a box


def check_effects(effects: Sequence[str]) -> None:
    """Raise InputError where an effect is unknown."""
    for effect in effects:
        if effect not in EFFECTS:
            raise InputError(f"There is no effect '{effect}'; use some of: {', '.join(EFFECTS)}.")


def scan(
    image: Pixels, ink: Pixels, boxes: Sequence[Box], effects: Sequence[str], rng: np.random.Generator
) -> tuple[Pixels, list[Box]]:
    """A line as a scanner would give it.

    Args:
        image: The line in its colours, uint8, shape (height, width) or (height, width, 3).
        ink: Its ink alone, ink is 255, shape (height, width).
        boxes: Where its characters are.
        effects: Some of `EFFECTS`.
        rng: Draws their strengths.

    Returns:
        The new picture, larger where it was turned, and the boxes in it; they fit the ink that is at least a quarter
        black before blur and noise.

    Raises:
        InputError: If an effect is unknown.
    """
    check_effects(effects)
    from skimage.filters import gaussian
    from skimage.util import random_noise

    made: npt.NDArray[Any] = image.astype(np.float32) / 255
    found = list(boxes)
    if "rotation" in effects:
        made, found = _turned(made, ink, found, math.radians(rng.uniform(-MAX_ANGLE, MAX_ANGLE)))
    if "paper" in effects:
        shade = _paper(made.shape[:2], rng)
        made = made * (shade if made.ndim == 2 else shade[..., None])
    if "blur" in effects:
        # The edges of a larger picture are as soft as they look, not as many pixels.
        sigma = rng.uniform(0.005, 0.015) * len(ink)
        made = gaussian(made, sigma, channel_axis=None if made.ndim == 2 else -1)  # type: ignore[no-untyped-call]
    if "noise" in effects:
        made = random_noise(made, "gaussian", rng, var=rng.uniform(0.01, 0.06) ** 2)  # type: ignore[no-untyped-call]
    return np.rint(255 * made.clip(0, 1)).astype(np.uint8), found


def _turned(
    image: npt.NDArray[Any], ink: Pixels, boxes: Sequence[Box], angle: float
) -> tuple[npt.NDArray[Any], list[Box]]:
    """A picture turned by an angle in radians, with room for all of it, and the boxes around the turned ink."""
    from skimage.transform import EuclideanTransform, warp

    height, width = ink.shape
    turn = EuclideanTransform(rotation=angle)  # type: ignore[no-untyped-call]
    corners = turn(np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]))
    low, high = corners.min(0), corners.max(0)
    turn = turn + EuclideanTransform(translation=-low)  # type: ignore[no-untyped-call]
    size = np.ceil(high - low).astype(int) + 1
    # Beyond its edge the paper goes on.
    turned = warp(image, turn.inverse, output_shape=(size[1], size[0]), mode="edge")  # type: ignore[no-untyped-call]
    found: list[Box] = []
    for box in boxes:
        part = ink[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]] >= _STRONG
        rows, columns = np.nonzero(part if part.any() else ~part)
        points = turn(np.stack([columns + box["left"], rows + box["top"]], axis=1))
        left, top = np.floor(points.min(0)).astype(int).tolist()
        right, bottom = np.ceil(points.max(0)).astype(int).tolist()
        found.append(Box(text=box["text"], left=left, top=top, width=right - left + 1, height=bottom - top + 1))
    return turned, found


def _paper(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[Any]:
    """The share of light that paper gives back at each pixel: clouds and fibres."""
    from skimage.filters import gaussian

    shade = np.full(shape, 1 - rng.uniform(0.02, 0.12), np.float32)
    for sigma, depth in ((shape[0] / 4, 0.02), (0.7, 0.015)):
        field = gaussian(rng.normal(size=shape).astype(np.float32), sigma)  # type: ignore[no-untyped-call]
        shade += depth * field / max(float(field.std()), 1e-6)
    return shade
