"""Digits changed through their styles: measured knobs, the style of one in the digit of another, and the way between.

Nothing here moves pixels. A digit's style is found, changed, and drawn anew by the model, so that what comes out is a
digit still; how far that holds is measured in `benchmarks/control.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from digitvae.errors import InputError
from digitvae.morphometry import Morphometry, measure
from digitvae.studio import CLASSES, Floats, Images, Integers, Studio, read_part

UNITS = {"slant": 9.0, "thickness": 0.5, "width": 2.5}
"""The knobs, and a step of each: about the spread within one writer's digits, in degrees and pixels."""

RANGES = {"slant": (-60.0, 60.0), "thickness": (1.0, 8.0), "width": (1.0, 27.0)}
"""What can be asked for; beyond it no digit fits the image."""

STEPS = 12
"""Rounds of drawing, measuring and correcting."""

STRIDE = 0.8
"""The most that a style changes in a round, in standard deviations."""

ENOUGH = 0.04
"""Nearer than this to what is asked for, in `UNITS`, an edit stops: a third of a degree, a fiftieth of a pixel."""

PULL = 0.03
"""Share of the way to the usual style that a round goes in all that the knobs do not say. Odd styles are where a model
knows least; without it an edit of an odd digit often leaves what can be read."""

FADE = 0.3
"""Change of a style, in standard deviations, at which what the model cannot draw of a real digit is mostly let go."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Knobs:
    """What the knobs do to styles.

    Attributes:
        slopes: Change of each measure, in `UNITS`, with the style, for each digit, shape (10, knobs, latent).
    """

    slopes: Array

    @classmethod
    def estimated(cls, noise: Floats, labels: Integers, images: Images) -> Self:
        """Estimate by least squares from digits that were drawn.

        Args:
            noise: Their styles, shape (n, latent).
            labels: What they are, 0 to 9, shape (n,).
            images: uint8, shape (n, 28, 28).

        Raises:
            InputError: If a digit was drawn less often than there are latent dimensions.
        """
        values, slopes = as_units(measure(images)), []
        for digit in range(CLASSES):
            rows = (labels == digit) & np.isfinite(values).all(1)
            if rows.sum() <= noise.shape[1]:
                raise InputError(f"Knobs need more than {noise.shape[1]} measured digits {digit}.")
            design = np.column_stack([noise[rows], np.ones(rows.sum())])
            found, *_ = np.linalg.lstsq(design, values[rows], rcond=None)
            slopes.append(found[:-1].T)
        return cls(np.stack(slopes))

    @classmethod
    def load(cls, studio: Studio) -> Self:
        """The knobs of a studio.

        Raises:
            RunError: If its folder has none, or they are damaged.
        """
        shape = (CLASSES, len(UNITS), studio.latent_dim)
        return cls(**read_part(studio.folder / "knobs.npz", {"slopes": shape}))

    def save(self, folder: Path) -> None:
        """Write ``knobs.npz`` into a model folder."""
        np.savez(folder / "knobs.npz", slopes=self.slopes)


@dataclass(frozen=True, eq=False)
class Edited:
    """Digits after an edit.

    Attributes:
        images: uint8, shape (n, 28, 28).
        noise: Their styles, shape (n, latent).
        measured: What they measure now.
    """

    images: Images
    noise: Array
    measured: Morphometry


def edit_images(
    studio: Studio,
    knobs: Knobs,
    images: Images,
    labels: Integers,
    wanted: Mapping[str, float | Array],
    first: int = 0,
) -> Edited:
    """Set knobs of real digits.

    What the model cannot draw of a digit is kept as it is when nothing is changed, and is let go as its style changes.

    Args:
        studio: What draws.
        knobs: What its styles do.
        images: uint8, ink is 255, shape (n, 28, 28).
        labels: What they are, shape (n,).
        wanted: Some of ``slant`` (degrees), ``thickness`` and ``width`` (pixels): one number, or one for each digit.
        first: The position of the first image among all, for messages.

    Raises:
        InputError: If a knob is unknown or out of range, or an image has nothing to measure.
    """
    start = measure(images)
    blank = np.flatnonzero(~np.isfinite(as_units(start)).all(1))
    if len(blank):
        raise InputError(f"Image {first + blank[0] + 1} has too little ink to be measured, so it cannot be edited.")
    noise = studio.style(images, labels).astype(np.float64)
    rest = images.astype(np.float64) - studio.draw(noise, labels)
    if not wanted:
        return Edited(images, noise, start)
    edited = edit_styles(studio, knobs, noise, labels, wanted, start)
    kept = _kept(edited.noise - noise)[:, :, None]
    mended = np.rint(np.clip(edited.images + kept * rest, 0, 255)).astype(np.uint8)
    return Edited(mended, edited.noise, measure(mended))


def edit_styles(
    studio: Studio,
    knobs: Knobs,
    noise: Floats,
    labels: Integers,
    wanted: Mapping[str, float | Array],
    start: Morphometry | None = None,
) -> Edited:
    """Set knobs of drawn digits: the style that is asked for, as near as can be to the one that there is.

    Each round draws, measures, and takes the smallest step that would set the knobs if they were straight lines; what
    the step did corrects these lines (Broyden, 1965). Knobs that are not named follow as they do in handwriting, where
    what leans more is wider; name them to hold them.

    Args:
        studio: What draws.
        knobs: What its styles do.
        noise: Styles, shape (n, latent).
        labels: What they are, shape (n,).
        wanted: As in `edit_images`.
        start: What the real digits measure whose styles these are, where they are real digits'.

    Raises:
        InputError: If a knob is unknown or out of range.
    """
    check_knobs(wanted)
    places = [place for place, name in enumerate(UNITS) if name in wanted]
    target = np.column_stack(
        [np.broadcast_to(np.asarray(wanted[n]) / UNITS[n], len(labels)) for n in UNITS if n in wanted]
    )

    def measured(images: Images) -> Array:
        return as_units(measure(images))[:, places]

    images = studio.draw(noise, labels)
    values = measured(images)
    # While a real digit is nearly as it was, so is what the model cannot draw of it, and what that measures.
    apart = np.zeros_like(values) if start is None else values - as_units(start)[:, places]
    slopes = knobs.slopes[np.asarray(labels)][:, places]
    start_noise = current = best = noise.astype(np.float64)
    best_images, best_miss = images, np.full(len(labels), np.inf)
    for _ in range(STEPS):
        miss = target + _kept(current - start_noise) * apart - values
        length = np.where(np.isfinite(miss).all(1), np.linalg.norm(miss, axis=1), np.inf)
        better = length < best_miss
        best_miss = np.where(better, length, best_miss)
        best = np.where(better[:, None], current, best)
        best_images = np.where(better[:, None, None], images, best_images)
        step = _smallest(slopes, np.nan_to_num(miss)) - PULL * (current - _smallest(slopes, _along(slopes, current)))
        step *= np.minimum(1, STRIDE / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9))
        step *= (best_miss > ENOUGH)[:, None]
        if not step.any():
            break
        current = current + step
        images = studio.draw(current, labels)
        before, values = values, measured(images)
        surprise = np.nan_to_num(values - before) - _along(slopes, step)
        squared = np.maximum((step**2).sum(1), 1e-3)
        slopes = slopes + 0.5 * surprise[:, :, None] * step[:, None, :] / squared[:, None, None]
    return Edited(best_images, best, measure(best_images))


def mix(studio: Studio, labels: Integers, images: Images, image_labels: Integers) -> Images:
    """The digits of `labels` in the style of images, one for each.

    Args:
        studio: What draws.
        labels: What to draw, shape (n,).
        images: Whose style, uint8, shape (n, 28, 28).
        image_labels: What these are, shape (n,).

    Returns:
        uint8, shape (n, 28, 28).
    """
    return mix_styles(studio, labels, studio.style(images, image_labels), image_labels)


def mix_styles(studio: Studio, labels: Integers, noise: Floats, noise_labels: Integers) -> Images:
    """As `mix`, from styles of the digits `noise_labels`, shape (n, latent)."""
    return studio.draw(studio.hands.carried(noise, noise_labels, labels), labels)


def between(
    studio: Studio, a: tuple[Floats, Floats], b: tuple[Floats, Floats], steps: int, beyond: float = 0.0
) -> Images:
    """Digits on the straight way from one to another.

    Args:
        studio: What draws.
        a: A style, shape (latent,), and weights of the ten digits, shape (10,).
        b: Another.
        steps: Digits on the way, both ends included.
        beyond: How much farther to go at both ends, as a share of the way; digits stay what they are at the ends.

    Returns:
        uint8, shape (steps, 28, 28).

    Raises:
        InputError: If there are fewer than two steps, or `beyond` is below 0 or no number.
    """
    check_way(steps, beyond)
    share = np.linspace(-beyond, 1 + beyond, steps)[:, None]
    weights = share.clip(0, 1)
    return studio.draw((1 - share) * a[0] + share * b[0], (1 - weights) * a[1] + weights * b[1])


def check_way(steps: int, beyond: float) -> None:
    """Raise InputError where a way has too few or too many steps, or goes too far beyond its ends."""
    if not 2 <= steps <= 1000:
        raise InputError(f"The way needs 2 to 1,000 steps, not {steps}.")
    if not 0 <= beyond <= 10:
        raise InputError(f"The share beyond the ends must be 0 to 10, not {beyond}.")


def check_knobs(wanted: Mapping[str, float | Array]) -> None:
    """Raise InputError where a knob is unknown or out of its range."""
    for name, value in wanted.items():
        if name not in UNITS:
            raise InputError(f"There is no knob '{name}'; there are {', '.join(UNITS)}.")
        low, high = RANGES[name]
        if not np.all((np.asarray(value) >= low) & (np.asarray(value) <= high)):
            unit = "degrees" if name == "slant" else "pixels"
            raise InputError(f"The {name} must be {low:g} to {high:g} {unit}, not {np.asarray(value).flat[0]:g}.")


def as_units(measured: Morphometry) -> Array:
    """Measures in `UNITS`, shape (n, knobs)."""
    return np.column_stack([getattr(measured, name) / unit for name, unit in UNITS.items()])


def _kept(change: Array) -> Array:
    """The share of what the model cannot draw that is kept when styles change so, shape (n, 1)."""
    return np.exp(-np.square(change / FADE).sum(1, keepdims=True))  # type: ignore[no-any-return]


def _smallest(slopes: Array, miss: Array) -> Array:
    """The smallest steps (n, latent) that change measures by `miss`; nearly parallel slopes are not driven hard."""
    square = slopes @ slopes.transpose(0, 2, 1) + 0.05 * np.eye(slopes.shape[1])
    steps: Array = np.einsum("nkl,nk->nl", slopes, np.linalg.solve(square, miss[:, :, None])[:, :, 0])
    return steps


def _along(slopes: Array, styles: Array) -> Array:
    """How far styles (n, latent) go along slopes (n, knobs, latent), shape (n, knobs)."""
    found: Array = np.einsum("nkl,nl->nk", slopes, styles)
    return found
