"""The section on features: slant and thickness as directions in the latent space, added to other digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digitvae.data import Digits
from digitvae.evaluation.clustering import NEIGHBORS, neighbor_vote
from digitvae.figures import draw_grid, draw_rows
from digitvae.generation import decode_images
from digitvae.latent import add_direction, direction_grid, mean_difference
from digitvae.morphometry import Morphometry, measure
from digitvae.report.coded import Array, Coded, pixels, unit
from digitvae.report.parts import Picture, Table, number, percent, picture

MEASURED = 3_000
"""Training digits that are measured to find the directions, at most: the first ones."""

CHANGED = 200
"""Validation digits that the directions are added to, for the table, at most."""

AMOUNTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SHOWN = 6
SLIGHT = 0.2
"""A change of the mean thickness, in pixels, that is called hardly any."""

FEW = 30
"""Fewest digits of a class, or of all, that a direction is averaged from."""


_Changed = tuple[list[Morphometry], Tensor]


@dataclass(frozen=True)
class FeaturesSection:
    """Words, pictures and table of features."""

    texts: Sequence[str]
    pictures: Sequence[Picture]
    table: Table


@dataclass(frozen=True, eq=False)
class _Directions:
    slant: Tensor
    thickness: Tensor
    digits: int


def features_section(coded: Coded, data: str) -> FeaturesSection | None:
    """Find the two directions, add them alone and together, and measure what comes out.

    Args:
        coded: The last snapshot.
        data: The caption of the data.

    Returns:
        None where there are too few digits to find a direction.
    """
    directions = _find(coded)
    if directions is None:
        return None
    changed = {name: _changed(coded, direction) for name, direction in _changes(directions)}
    texts = [
        f"A feature can be found without training anything: measure {directions.digits:,} training digits, average the "
        "codes of the third that leans most to the right and of the third that leans least, and take the difference. "
        + (
            "That is done within each class and then averaged, so that the direction is about slant and not about "
            "which digit it is. "
            if coded.reference.labels is not None
            else ""
        )
        + "The same for the thickness of the strokes. One unit is the difference between the two thirds; it can be "
        "added to the code of any other digit, and both can be added together.",
        _verdict(coded, changed),
    ]
    pictures = [_rows_picture(coded, directions, data), _grid_picture(coded, directions)]
    return FeaturesSection(texts, pictures, _table(coded, changed, data))


def _find(coded: Coded) -> _Directions | None:
    part = coded.reference.subset(slice(MEASURED))
    measured = measure(part.images)
    codes = coded.reference_codes[: len(part)]
    slant, thickness = (_direction(codes, values, part) for values in (measured.slant, measured.thickness))
    if slant is None or thickness is None:
        return None
    return _Directions(slant, thickness, len(part))


def _direction(codes: Tensor, values: Array, digits: Digits) -> Tensor | None:
    """The mean code of the upper third minus that of the lower, within each class and averaged over these."""
    labels = np.zeros(len(values), int) if digits.labels is None else digits.labels
    parts = []
    for label in np.unique(labels):
        members = np.flatnonzero((labels == label) & np.isfinite(values))
        if len(members) < FEW:
            continue
        low, high = np.quantile(values[members], (1 / 3, 2 / 3))
        if low < high:
            chosen = members[(values[members] <= low) | (values[members] >= high)]
            parts.append(mean_difference(codes[chosen], values[chosen] >= high))
    return torch.stack(parts).mean(0) if parts else None


def _changes(directions: _Directions) -> list[tuple[str, Tensor]]:
    return [
        ("slant", directions.slant),
        ("thickness", directions.thickness),
        ("both", directions.slant + directions.thickness),
    ]


def _changed(coded: Coded, direction: Tensor) -> _Changed:
    """Measurements of the first validation digits with each amount of a direction added, and the codes."""
    codes = add_direction(coded.posterior.loc[:CHANGED], direction, AMOUNTS)
    return [measure(images) for images in decode_images(coded.model, codes)], codes


def _table(coded: Coded, changed: dict[str, _Changed], data: str) -> Table:
    labels, votes = coded.validation.labels, coded.reference.labels
    rows = []
    for name, (measured, codes) in changed.items():
        for amount, values, moved in zip(AMOUNTS, measured, codes.numpy(), strict=True):
            kept = None
            if labels is not None and votes is not None and len(votes) >= NEIGHBORS:
                named = neighbor_vote(coded.reference_codes.numpy(), votes, moved)
                kept = float(np.mean(named == labels[:CHANGED]))
            rows.append(
                [
                    name,
                    _signed(amount),
                    number(_average(values.slant)),
                    number(_average(values.thickness)),
                    percent(kept, 0),
                ]
            )
    count = min(CHANGED, len(coded.validation))
    caption = (
        f"Mean over {count:,} validation digits, each reconstructed with the amount added: slant in degrees to the "
        f"right, thickness in pixels. Kept: share that most of {NEIGHBORS} nearest training codes give the digit's own "
        f"class. {data}."
    )
    return Table("Features, measured", caption, ["added", "amount", "slant", "thickness", "kept"], rows)


def _verdict(coded: Coded, changed: dict[str, _Changed]) -> str:
    (slant, _), (thickness, _) = changed["slant"], changed["thickness"]
    lean = [_average(slant[i].slant) for i in (1, 3)]
    width = [_average(thickness[i].thickness) for i in (1, 3)]
    text = (
        f"Measured on {min(CHANGED, len(coded.validation)):,} validation digits, going from −1 to +1 unit of slant "
        f"moves the mean slant from {number(lean[0], 1)}° to {number(lean[1], 1)}°, and from −1 to +1 of thickness "
        f"the mean thickness from {number(width[0])} to {number(width[1])} pixels."
    )
    if width[0] is not None and width[1] is not None and abs(width[1] - width[0]) < SLIGHT:
        text += f" That is less than {SLIGHT} pixels: this latent space hardly knows thickness."
    if coded.model.latent_dim <= 3:
        text += (
            f" With {coded.model.latent_dim} latent dimension{'s' if coded.model.latent_dim > 1 else ''} there is "
            "little room: they must say which digit it is as well, so a step for a feature can also change the class."
        )
    return text


def _rows_picture(coded: Coded, directions: _Directions, data: str) -> Picture:
    chosen = coded.examples()[:: max(1, len(coded.examples()) // SHOWN)][:SHOWN]
    codes = coded.posterior.loc[chosen]
    real = unit(coded.validation.images[chosen])[:, None]
    slanted = pixels(decode_images(coded.model, add_direction(codes, directions.slant, AMOUNTS))).swapaxes(0, 1)
    thick = pixels(decode_images(coded.model, add_direction(codes, directions.thickness, AMOUNTS))).swapaxes(0, 1)
    steps = [_signed(amount) for amount in AMOUNTS]
    names = [coded.title(i) for i in chosen]
    return picture(
        draw_rows(
            np.concatenate([real, slanted, thick], 1),
            names,
            ["real", *steps, *steps],
            framed=(0,),
            groups=((1, "slant"), (1 + len(AMOUNTS), "thickness")),
        ),
        "One feature at a time",
        f"Rows of the digits {', '.join(names)}: the real digit, then five images with −2 to +2 units of slant, and "
        "five with −2 to +2 units of thickness added to its code.",
        f"Framed: real validation digits. Column 0 is the reconstruction; the others have so many units added. {data}.",
    )


def _grid_picture(coded: Coded, directions: _Directions) -> Picture:
    position = coded.examples()[min(2, len(coded.examples()) - 1)]
    grid = direction_grid(coded.posterior.loc[position], directions.slant, directions.thickness, AMOUNTS)
    images = decode_images(coded.model, grid)
    name = coded.title(position)
    flat = measure(images.reshape(-1, *images.shape[2:]))
    size = len(AMOUNTS)
    rows = [
        [
            _signed(AMOUNTS[size - 1 - row]),
            *(
                f"{number(float(flat.slant[i]), 0)}° / {number(float(flat.thickness[i]), 1)}"
                for i in range(row * size, (row + 1) * size)
            ),
        ]
        for row in range(size)
    ]
    table = Table(
        "Numbers: both features",
        "Measured slant in degrees and thickness in pixels of each image of the grid.",
        ["thickness", *(f"slant {_signed(amount)}" for amount in AMOUNTS)],
        rows,
    )
    return picture(
        draw_grid(pixels(images), np.array(AMOUNTS), ("units of slant added", "units of thickness added")),
        "Both features together",
        f"Grid of five by five images of the digit {name}: slant grows to the right, thickness upwards, as far as the "
        "model can tell them apart. The measured values are in the table.",
        f"A validation digit ({name}) with slant added from left to right and thickness from bottom to top.",
        [table],
    )


def _average(values: Array) -> float | None:
    """The mean of what could be measured; None where nothing could."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def _signed(amount: float) -> str:
    return "0" if amount == 0 else f"{'+' if amount > 0 else '−'}{abs(amount):g}"
