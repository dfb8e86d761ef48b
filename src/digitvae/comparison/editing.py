"""What a model can do with real digits: draw them again, go from one to another, and make their strokes thicker."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digitvae.comparison.contenders import Coder
from digitvae.data import Digits
from digitvae.evaluation.measures import Measure
from digitvae.latent import interpolate, mean_difference
from digitvae.morphometry import measure
from digitvae.reading import frozen, read_digits

STEPS = 7
"""Images of an interpolation, both ends included."""

THICKER = 0.9
"""Pixels by which digits are made thicker, in the mean."""

FARTHEST = 4.0
"""Times that the difference of thick and thin digits is added, at most."""

BISECTIONS = 8

LEARNED_FROM = 2000
"""Training digits that the direction of thickness is learned from, at most."""


@dataclass(frozen=True, eq=False)
class Edits:
    """Edited digits and what was measured of them.

    Attributes:
        measures: The numbers.
        originals: Real digits, uint8, shape (n, 28, 28); two neighbours (0 and 1, 2 and 3, ...) have one class.
        again: The same drawn from their codes.
        thicker: The same, thicker.
        paths: From each even digit to the next, shape (n / 2, `STEPS`, 28, 28).
    """

    measures: list[Measure]
    originals: np.ndarray
    again: np.ndarray
    thicker: np.ndarray
    paths: np.ndarray


def edited(contender: Coder, digits: Digits, train: Digits) -> Edits:
    """Edit real digits through a contender's codes.

    Args:
        contender: Who has codes.
        digits: Real digits that it has not seen, in pairs of one class, as `paired` gives them.
        train: Its training digits.
    """
    labels = np.asarray(digits.labels)
    began = time.perf_counter()
    codes = contender.encode(digits)
    seconds = time.perf_counter() - began
    again = contender.decode(codes, labels)
    direction = _thickening(contender, train.subset(slice(LEARNED_FROM)))
    thicker = _made_thicker(contender, codes, labels, direction, _thickness(again))
    paths = interpolate(codes[::2], codes[1::2], STEPS).transpose(0, 1)
    between = contender.decode(paths.reshape(-1, codes.shape[1]), labels[::2].repeat(STEPS))
    squared = (again.flatten(1) - torch.from_numpy(digits.images).flatten(1) / 255).square().sum(1)
    gained = _thickness(thicker) - _thickness(again)
    n = len(digits)
    inner = between.reshape(-1, STEPS, 28, 28)[:, 1:-1].reshape(-1, 1, 28, 28)
    measures = [
        Measure("real digits drawn again: squared error", float(squared.mean()), "", _AGAIN, n),
        Measure("seconds to find their codes", seconds, "seconds", _SECONDS, n),
        Measure("drawn again, read as before", _read_as(again, labels), "share", _READ, n),
        Measure("on the way, read as both ends", _read_as(inner, labels[::2].repeat(STEPS - 2)), "share", _WAY, n // 2),
        Measure("made thicker, read as before", _read_as(thicker, labels), "share", _READ_THICKER, n),
        Measure("made thicker: gain in thickness", float(gained.mean()), "pixels", _GAINED, n),
    ]
    return Edits(measures, digits.images, _bytes(again), _bytes(thicker), _bytes(between).reshape(-1, STEPS, 28, 28))


_AGAIN = "Mean squared error of real digits drawn from their codes, summed over the pixels (0 to 1)."
_SECONDS = "Time to find the codes of these digits: one pass of an encoder, or a search where there is none."
_READ = "Share of them that a frozen reader reads as the real digit."
_WAY = "Share of the images between two digits of one class that a frozen reader reads as that class."
_READ_THICKER = (
    "The same after the mean difference of thick and thin digits' codes was added (Larsen et al., 2016), as often as "
    f"makes them {THICKER:g} pixels thicker, {FARTHEST:g} times at most."
)
_GAINED = "Mean growth in stroke thickness by that addition."


def _made_thicker(contender: Coder, codes: Tensor, labels: np.ndarray, direction: Tensor, before: np.ndarray) -> Tensor:
    """The digits as far along the direction as makes them `THICKER` pixels thicker in the mean, or `FARTHEST` times it.

    So all are asked for the same: whoever changes little is read best.
    """
    near, far = 0.0, FARTHEST
    for _ in range(BISECTIONS):
        middle = (near + far) / 2
        gained = float((_thickness(contender.decode(codes + middle * direction, labels)) - before).mean())
        near, far = (middle, far) if gained < THICKER else (near, middle)
    return contender.decode(codes + far * direction, labels)


def paired(digits: Digits, pairs: int) -> Digits:
    """The first `pairs` pairs of digits of each class: neighbours have one class."""
    labels = np.asarray(digits.labels)
    places = [np.flatnonzero(labels == digit)[: 2 * pairs] for digit in range(10)]
    return digits.subset(np.concatenate([each[: len(each) // 2 * 2] for each in places]))


def _thickening(contender: Coder, train: Digits) -> Tensor:
    """The mean code of digits thicker than others of their class, minus that of the thinner ones."""
    codes, images = contender.coded(train)
    thickness, labels = _thickness(images), np.asarray(train.labels)
    middle = np.zeros(len(labels))
    for digit in np.unique(labels):
        middle[labels == digit] = np.median(thickness[labels == digit])
    thick = thickness > middle
    # Who draws everything alike has no such direction.
    return mean_difference(codes, thick) if thick.any() else torch.zeros(codes.shape[1])


def _thickness(images: Tensor) -> np.ndarray:
    """Stroke thickness in pixels; 0 where there is no ink."""
    return np.nan_to_num(measure(images).thickness)


def _read_as(images: Tensor, labels: np.ndarray) -> float:
    return float(np.mean(read_digits(frozen("reader")[0], _bytes(images)).argmax(1).numpy() == labels))


def _bytes(images: Tensor) -> np.ndarray:
    return images.squeeze(1).mul(255).round().byte().numpy()
