"""The page of a run whose model is told the digit: its snapshots, and what else is said of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from digitvae.data import Digits
from digitvae.figures import draw_classes, draw_rows, draw_styles, to_png
from digitvae.generation import sample
from digitvae.morphometry import measure
from digitvae.reading import frozen, read_digits
from digitvae.report.coded import Array, Coded, pixels, stream
from digitvae.report.learning import Curves, losses_figure, losses_picture
from digitvae.report.parts import Table, number, percent, picture
from digitvae.report.snapshots import Drawn, SnapshotSection, reconstructions

COLUMNS = 10
"""Digits of each class that are shown."""

READ = 100
"""Digits of each class that are drawn and read."""

FITTED = 3_000
"""Training digits that the directions of slant and thickness are fitted to, at most: the first ones."""

MAPPED = 2_000
"""Validation digits of the map, at most: the first ones."""

LIMIT = 3.0
"""End of the map's axes, in standard deviations."""

LEFT_OUT = (
    "The model is told which digit each image is, so its codes need not say it: what reads classes out of codes "
    "(clusters, votes, paths from one digit to another) is left out, and the section “One style, ten digits” stands in "
    "its place."
)
"""Why the page has other sections than those of other models."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Slant in degrees and thickness in pixels of the digits that the map is made of, the same in all snapshots.

    Attributes:
        training: Of the first training digits, shape (n, 2); NaN where there is nothing to measure.
        validation: Of the first validation digits, shape (m, 2).
    """

    training: Array
    validation: Array

    @classmethod
    def of(cls, coded: Coded) -> Measured:
        """Measure the digits of a snapshot."""
        return cls(_measured(coded.reference, FITTED), _measured(coded.validation, MAPPED))


def _measured(digits: Digits, most: int) -> Array:
    found = measure(digits.images[:most])
    return np.column_stack([found.slant, found.thickness])


def told_snapshot(
    coded: Coded, measured: Measured, curves: Curves, limits: tuple[float, float], last_epoch: int, data: str, seed: int
) -> tuple[SnapshotSection, float]:
    """Draw everything that is shown of one snapshot.

    Args:
        coded: The snapshot.
        measured: What its digits measure.
        curves: The terms of the run's epochs.
        limits: Range of the loss axis, the same for all snapshots.
        last_epoch: End of the epoch axis, the same for all snapshots.
        data: The caption of the data.
        seed: Seed of the run; samples have the same noise in all snapshots.

    Returns:
        The section, and the share of drawn digits that are read as what was asked for.
    """
    so_far = curves.until(coded.epoch)
    samples, right = _samples(coded, seed)
    drawn = [samples, *_maps(coded, measured, data), reconstructions(coded, data)]
    files = {f"{d.name}.png": to_png(d.figure, dpi=130) for d in drawn}
    losses = losses_figure(so_far, limits, last_epoch)
    files["losses.png"] = to_png(losses, dpi=130)
    rows, styles, classes, pairs = (picture(d.figure, d.title, d.alt, d.caption, d.tables) for d in drawn)
    validation = {name: values[-1] for name, values in so_far.validation.items()}
    text = (
        f"Validation loss {number(validation['loss'])} nats per image: distortion {number(validation['distortion'])}, "
        f"rate {number(validation['rate'])}. Of {10 * READ:,} digits drawn to order, {percent(right)} are read as what "
        "was asked for."
    )
    cells = [[rows, pairs, losses_picture(losses, so_far, data)], [styles, classes]]
    return SnapshotSection(f"epoch-{coded.epoch:04d}", coded.epoch, text, cells, files), right


def _samples(coded: Coded, seed: int) -> tuple[Drawn, float]:
    """Digits of each class, those that are read as another one marked; and the share that is read rightly."""
    labels = np.tile(np.arange(10), READ)
    images = sample(coded.model, len(labels), stream(seed, "samples"), labels).images
    read = read_digits(frozen("reader")[0], images).argmax(1).numpy().reshape(READ, 10)
    right = read == np.arange(10)
    shown = pixels(images).reshape(READ, 10, 28, 28)[:COLUMNS].swapaxes(0, 1)
    table = Table(
        "Numbers: samples",
        "Digits drawn of each class, and how many of them the frozen reader reads as what was asked for.",
        ["asked for", "drawn", "read as asked"],
        [[str(digit), f"{READ}", percent(float(right[:, digit].mean()))] for digit in range(10)],
    )
    wrong = int((~right[:COLUMNS]).sum())
    drawn = Drawn(
        "samples",
        draw_rows(shown, list(map(str, range(10))), marks=~right[:COLUMNS].T),
        "Digits to order",
        f"Ten rows of {COLUMNS} drawn digits after epoch {coded.epoch}, a row for each digit from 0 to 9; {wrong} of "
        "them are marked red, as they are read as another digit.",
        "Each row: codes drawn from the prior of its digit and decoded as that digit; not picked. The noise is the "
        "same in all snapshots. A red bar: it is read as another digit, by a network that was trained to read real "
        "digits and comes with digitvae (the frozen reader).",
        [table],
    )
    return drawn, float(right.mean())


def _maps(coded: Coded, measured: Measured, data: str) -> list[Drawn]:
    """Where codes lie along the directions of slant and thickness: coloured by slant, and digit by digit."""
    labels = np.asarray(coded.validation.labels)[:MAPPED]
    codes = coded.codes[:MAPPED]
    along, explained = directions(coded, measured)
    points = codes @ along.T
    points = (points - points.mean(0)) / np.maximum(points.std(0), 1e-9)
    outside = int((np.abs(points).max(1) > LIMIT).sum())
    crosses = "" if np.isfinite(measured.validation[:, 0]).all() else " Crosses could not be measured."
    names = ("code: slant, standard deviations", "code: thickness, standard deviations")
    table = Table(
        "Numbers: map",
        "How much of the differences within a class a weighted sum of the code says (R², 1 is all, 0 nothing), of "
        f"validation digits that it was not fitted to. {data}.",
        ["", "R² within classes"],
        [[name, number(value)] for name, value in zip(("slant", "thickness"), explained, strict=True)],
    )
    styles = Drawn(
        "map",
        draw_styles(points, measured.validation[:, 0], LIMIT, names, "measured slant, degrees"),
        "Validation digits by their style",
        f"Scatter plot of {len(points):,} validation digits after epoch {coded.epoch}: across by the slant that their "
        "codes say, up by the thickness, coloured by the slant that is measured on the images.",
        f"Posterior means of {len(points):,} validation digits in the two directions of the {coded.model.latent_dim} "
        "dimensions along which slant and thickness change, fitted to training digits within their classes. Colour is "
        "the slant measured on the image: where it runs evenly from left to right, the codes hold the "
        f"slant.{crosses} {outside or 'No'} point{'s lie' if outside != 1 else ' lies'} outside. {data}.",
        [table],
    )
    classes = Drawn(
        "classes",
        draw_classes(points, labels, LIMIT),
        "The same map, digit by digit",
        "Ten small maps of the same points; in each the points of one digit are dark.",
        "Each digit among all others. Where they spread over the same place, the codes do not say which digit it is; "
        f"they need not, as the model is told. {data}.",
    )
    return [styles, classes]


def directions(coded: Coded, measured: Measured) -> tuple[Array, tuple[float, float]]:
    """The directions of slant and thickness, by least squares with a level of its own for each class.

    Returns:
        Changes of slant and thickness with the code, shape (2, latent), and for both the share of the variance within
        the classes of the validation digits that is explained (R²; below 0 where the mean of a class says more).
    """
    codes, labels = coded.reference_codes.numpy()[:FITTED], np.asarray(coded.reference.labels)[:FITTED]
    later = np.asarray(coded.validation.labels)[:MAPPED]
    along, explained = [], []
    for values, real in zip(measured.training.T, measured.validation.T, strict=True):
        fit, check = np.isfinite(values), np.isfinite(real)
        there = centred(np.column_stack([codes, values])[fit].astype(np.float64), labels[fit])
        slope, *_ = np.linalg.lstsq(there[:, :-1], there[:, -1], rcond=None)
        kept = centred(np.column_stack([coded.codes[:MAPPED], real])[check].astype(np.float64), later[check])
        rest = np.square(kept[:, -1] - kept[:, :-1] @ slope).sum() / max(np.square(kept[:, -1]).sum(), 1e-9)
        along.append(slope)
        explained.append(float(1 - rest))
    return np.stack(along), (explained[0], explained[1])


def centred(values: Array, labels: Array) -> Array:
    """Rows, shape (n, columns), less the mean of their class."""
    out = values.copy()
    for label in np.unique(labels):
        out[labels == label] -= values[labels == label].mean(0)
    return out


def prior_words(coded: Coded) -> str:
    """What the networks and the prior are told, and how large the prior is."""
    model = coded.model
    parameters = sum(p.numel() for p in model.prior.parameters())
    text = f" Both are given the digit beside their input, as {model.classes} numbers of which one is 1"
    if model.told:
        text += f", and {model.told} numbers that say how a training digit was changed"
    if parameters:
        text += f"; so is the prior, which holds {parameters:,} of the numbers"
    return text + "."
