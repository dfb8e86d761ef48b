"""The sections made by moving codes: between digits and beyond them, features added, and whether results are new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digitvae.data import Splits
from digitvae.figures import draw_paths, draw_rows
from digitvae.generation import decode_images, nearest_images, sample
from digitvae.latent import Support, extrapolate, interpolate, path_positions
from digitvae.report.coded import Coded, pixels, plane, stream, unit
from digitvae.report.parts import Picture, Table, number, percent, picture

BETWEEN = 9
BEYOND = 1.0
WALK = 13
FINE = 601
MADE = 200
"""Generated and validation digits whose nearest training digits are looked for."""


@dataclass(frozen=True)
class PathsSection:
    """Words and pictures of paths between digits; no plane where there is one latent dimension."""

    texts: Sequence[str]
    between: Picture
    beyond: Picture
    plane: Picture | None


@dataclass(frozen=True)
class NewSection:
    """Words, picture and table of the nearest training digits."""

    texts: Sequence[str]
    picture: Picture
    table: Table


def paths_section(coded: Coded, limit: float, data: str) -> PathsSection:
    """Interpolation, straight and spherical, and extrapolation with the end of the data's support marked.

    Args:
        coded: The last snapshot.
        limit: End of the latent axes.
        data: The caption of the data.
    """
    support = Support.fit(coded.reference_codes)
    pairs = _pairs(coded)
    names = [f"{coded.title(a)} to {coded.title(b)}" for a, b in pairs]
    ends = [(coded.posterior.loc[a], coded.posterior.loc[b]) for a, b in pairs]
    texts = [
        "Codes on a line between two real digits decode to digits that change step by step. The straight path is the "
        "shortest; the spherical one turns around the origin and changes its distance from it evenly. That matters in "
        "many dimensions, where a straight path cuts through a middle in which hardly any codes lie; in a plane the "
        "spherical path may just be a longer way round, past other digits.",
        f"Going on along the same line, the decoder still answers, but soon nothing supports the answer. A code counts "
        f"as inside the data's support when its tenth-nearest code, of {len(coded.reference):,} training digits, is "
        f"within {number(support.limit)} latent units, as it is for 99 % of these digits themselves. Red marks what "
        "lies outside.",
    ]
    return PathsSection(
        texts,
        _between_picture(coded, pairs, ends, names, data),
        _beyond_picture(coded, ends, names, support, data),
        _plane_picture(coded, ends, names, support, limit) if coded.model.latent_dim > 1 else None,
    )


def _pairs(coded: Coded) -> list[tuple[int, int]]:
    """Three pairs of validation digits: 0 and 1, 3 and 8, 6 and 7, or what else there is."""
    labels, examples = coded.validation.labels, coded.examples()
    if labels is not None:
        by_class = {int(labels[i]): i for i in examples}
        wanted = [(by_class[a], by_class[b]) for a, b in ((0, 1), (3, 8), (6, 7)) if a in by_class and b in by_class]
        if wanted:
            return wanted
    count = len(coded.validation)
    return [(i % count, (i + 1) % count) for i in range(0, min(6, count), 2)]


def _between_picture(
    coded: Coded, pairs: Sequence[tuple[int, int]], ends: Sequence[tuple[Tensor, Tensor]], names: Sequence[str],
    data: str,
) -> Picture:  # fmt: skip
    rows, titles = [], []
    real = unit(coded.validation.images)
    for (a, b), (first, last), name in zip(pairs, ends, names, strict=True):
        for spherical, kind in ((False, "straight"), (True, "sphere")):
            made = pixels(decode_images(coded.model, interpolate(first, last, BETWEEN, spherical)))
            rows.append(np.concatenate([real[a][None], made, real[b][None]]))
            titles.append(f"{name}\n{kind}")
    heads = ["real", *("a" if i == 0 else "b" if i == BETWEEN - 1 else "" for i in range(BETWEEN)), "real"]
    return picture(
        draw_rows(np.stack(rows), titles, heads, framed=(0, BETWEEN + 1)),
        "Interpolation",
        f"Rows of digits that change from one real validation digit to another: {', '.join(names)}; each once straight "
        "and once along the sphere.",
        f"Framed: real validation digits. Between them, from a to b, {BETWEEN} codes decoded; a and b are the "
        f"posterior means of the two. {data}.",
    )


def _plane_picture(
    coded: Coded, ends: Sequence[tuple[Tensor, Tensor]], names: Sequence[str], support: Support, limit: float
) -> Picture:
    paths = []
    for (first, last), name in zip(ends, names, strict=True):
        line = extrapolate(first, last, WALK, BEYOND)
        paths.append((name, plane(line), support.contains(line).numpy()))
        turn = interpolate(first, last, BETWEEN, spherical=True)
        paths.append(("", plane(turn), support.contains(turn).numpy()))
    caption = "Straight paths with their extensions, and the spherical ones; red is outside the support."
    if coded.model.latent_dim > 2:
        caption += f" First two of {coded.model.latent_dim} dimensions; the support is judged in all."
    return picture(
        draw_paths(plane(coded.reference_codes), paths, limit, coded.names),
        "The paths in the latent plane",
        "Map of the training codes in grey with the paths of the rows drawn through it; codes outside the data's "
        "support are red.",
        caption,
    )


def _beyond_picture(
    coded: Coded, ends: Sequence[tuple[Tensor, Tensor]], names: Sequence[str], support: Support, data: str
) -> Picture:
    rows, marks, table = [], [], []
    for (first, last), name in zip(ends, names, strict=True):
        line = extrapolate(first, last, WALK, BEYOND)
        rows.append(pixels(decode_images(coded.model, line)))
        marks.append((~support.contains(line)).numpy())
        table.append([name, *_support_ends(first, last, support)])
    positions = path_positions(WALK, BEYOND).tolist()
    heads = [number(t, 0) if abs(t - round(t)) < 1e-6 else "" for t in positions]
    numbers = Table(
        "Numbers: end of the support",
        f"Where the line through two digits leaves the data's support: 0 is the first digit, 1 the second; searched "
        f"from −{BEYOND:.0f} to {1 + BEYOND:.0f}. {data}.",
        ["path", "leaves before the first", "leaves after the second", "inside, of the way between"],
        table,
    )
    inside = [int((~m).sum()) for m in marks]
    return picture(
        draw_rows(np.stack(rows), names, heads, np.stack(marks)),
        "Extrapolation",
        f"Rows of {WALK} digits from position -1 to 2 on the lines {', '.join(names)}; "
        f"{', '.join(f'{i} of {WALK}' for i in inside)} lie inside the data's support, the others are marked red.",
        "The same lines from −1 to 2: 0 and 1 are the two digits. A red bar: the code lies outside the data's support.",
        [numbers],
    )


def _support_ends(first: Tensor, last: Tensor, support: Support) -> tuple[str, str, str]:
    """Where a line leaves the support at either end, and how much of the way between is inside."""
    at = path_positions(FINE, BEYOND).numpy()
    inside = support.contains(extrapolate(first, last, FINE, BEYOND)).numpy()
    before, after = at[(at < 0) & ~inside], at[(at > 1) & ~inside]
    between = inside[(at >= 0) & (at <= 1)].mean()
    return (
        number(float(before.max())) if len(before) else f"not by −{BEYOND:.0f}",
        number(float(after.min())) if len(after) else f"not by {1 + BEYOND:.0f}",
        percent(float(between), 0),
    )


def new_section(coded: Coded, splits: Splits, train_on_all: bool, data: str, seed: int) -> NewSection:
    """Nearest known digits of generated ones, against those of real digits that are not among these.

    Args:
        coded: The last snapshot.
        splits: The digits.
        train_on_all: Whether the model was trained on the validation digits too: they are then known.
        data: The caption of the data.
        seed: Seed of the run.
    """
    asked = np.arange(MADE) % coded.model.classes if coded.model.classes else None
    made = sample(coded.model, MADE, stream(seed, "samples"), asked).images
    real = splits.validation.images[:MADE]
    train = splits.train.images
    known = np.concatenate([train, splits.validation.images]) if train_on_all else train
    found, apart = nearest_images(made, known)
    _, floor = nearest_images(real, train)
    made_apart, real_apart = apart[:, 0], floor[:, 0]
    copies = int((made_apart == 0).sum())
    close = float(torch.quantile(real_apart, 0.01))
    nearer = int((made_apart < close).sum())
    held = (
        f"all {len(known):,} digits that it was trained on, validation digits too, pixel by pixel. The floor is what "
        "other real digits do: how near is the nearest training digit to a validation digit?"
        if train_on_all
        else f"all {len(known):,} training digits, pixel by pixel. The floor is what real digits do that the model was "
        "not trained on: how near is the nearest training digit to them?"
    )
    texts = [
        f"A model that only remembered its training digits would give them back. So each generated digit is held "
        f"against {held}",
        f"{'None' if copies == 0 else copies} of {MADE} generated digits {'is' if copies < 2 else 'are'} equal to a "
        f"training digit, and {nearer or 'none'} come{'s' if nearer == 1 else ''} "
        f"nearer to one than 99 % of the real validation digits do. Generated "
        "digits are smoother than real ones, and smooth images are near to many: a smaller typical distance alone is "
        "no sign of copying.",
    ]
    shown = slice(10)
    pairs = np.stack([pixels(made[shown]), unit(known[found[shown, 0].numpy()])])
    sheet = draw_rows(pairs, ["made", "nearest\nreal"], [f"{d:.1f}" for d in made_apart[shown]])
    rows = [
        [name, f"{len(d):,}", *(number(float(torch.quantile(d, q))) for q in (0.05, 0.5, 0.95))]
        for name, d in (("generated", made_apart), ("real (the floor)", real_apart))
    ]
    table = Table(
        "Distance to the nearest training digit",
        f"Euclidean distance over 784 pixels, where ink is 1: the median, and what 5 % and 95 % of the digits lie "
        f"below. {data}.",
        ["digits", "number", "5 %", "median", "95 %"],
        rows,
    )
    return NewSection(
        texts,
        picture(
            sheet,
            "Generated digits and their nearest training digits",
            "Two rows: ten generated digits, and under each the training digit that is nearest to it, with the "
            "distance above.",
            f"The first ten random samples of the last snapshot, not picked. Above: the distance. {data}.",
        ),
        table,
    )
