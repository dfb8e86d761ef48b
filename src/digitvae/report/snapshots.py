"""The section of one snapshot: its figures, their words and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from digitvae.distributions import DiagonalNormal, StandardNormal
from digitvae.evaluation.clustering import NEIGHBORS, neighbor_vote
from digitvae.figures import (
    draw_grid,
    draw_map,
    draw_pairs,
    draw_posterior_draws,
    draw_posteriors,
    draw_samples,
    to_png,
)
from digitvae.generation import decode_images, latent_grid, reconstruct, sample
from digitvae.latent import traverse
from digitvae.report.coded import Array, Coded, pixels, plane, stream, unit
from digitvae.report.learning import Curves, losses_figure, losses_picture
from digitvae.report.parts import Picture, Table, listed, number, percent, picture

EXTENT = 4.0
STEPS = 15
DRAWS = 10
VOTED = 2000
"""Validation digits whose draws are voted on, at most."""


@dataclass(frozen=True)
class SnapshotSection:
    """One step of the page's stepper.

    Attributes:
        id: Its anchor.
        epoch: The epoch.
        text: The snapshot in a sentence or two.
        cells: Its pictures in reading order; those of a cell stand below each other, and two cells side by side.
        files: Its PNG figures by file name.
    """

    id: str
    epoch: int
    text: str
    cells: Sequence[Sequence[Picture]]
    files: dict[str, bytes]


def snapshot_section(
    coded: Coded, curves: Curves, limits: tuple[float, float], last_epoch: int, limit: float, data: str, seed: int
) -> SnapshotSection:
    """Draw everything that is shown of one snapshot.

    Args:
        coded: The snapshot.
        curves: The terms of the run's epochs.
        limits: Range of the loss axis, the same for all snapshots.
        last_epoch: End of the epoch axis, the same for all snapshots.
        limit: End of the latent axes, the same for all snapshots.
        data: The caption of the data.
        seed: Seed of the run; samples and draws have the same noise in all snapshots.
    """
    so_far = curves.until(coded.epoch)
    drawn = [_grid(coded), _map(coded, limit, data), _samples(coded, seed), reconstructions(coded, data)]
    rows, ellipses, kept = _posteriors(coded, limit, data, seed)
    drawn += [rows, ellipses]
    files = {f"{d.name}.png": to_png(d.figure, dpi=130) for d in drawn}
    losses = losses_figure(so_far, limits, last_epoch)
    files["losses.png"] = to_png(losses, dpi=130)
    grid, chart, samples, pairs, draws, clouds = (picture(d.figure, d.title, d.alt, d.caption, d.tables) for d in drawn)
    curve = losses_picture(losses, so_far, data)
    validation = {name: values[-1] for name, values in so_far.validation.items()}
    text = (
        f"Validation loss {number(validation['loss'])} nats per image: distortion {number(validation['distortion'])}, "
        f"rate {number(validation['rate'])}."
    )
    if kept is not None:
        text += f" Of draws from the posterior, {percent(kept)} keep the class of their image."
    cells = [[grid], [chart], [draws], [clouds], [samples], [pairs, curve]]
    return SnapshotSection(f"epoch-{coded.epoch:04d}", coded.epoch, text, cells, files)


@dataclass(frozen=True)
class Drawn:
    """A figure of a snapshot, the name of its file and its words, as `Picture` has them."""

    name: str
    figure: Figure
    title: str
    alt: str
    caption: str
    tables: Sequence[Table] = ()


def _grid(coded: Coded) -> Drawn:
    latent = coded.model.latent_dim
    if latent == 1:
        axis = np.linspace(-EXTENT, EXTENT, STEPS)
        images = pixels(decode_images(coded.model, traverse(coded.posterior.loc[0] * 0, 0, axis.tolist())))[None]
        what = f"The one latent dimension, decoded at {STEPS} values from −4 to 4."
    else:
        grid = latent_grid(coded.model, EXTENT, STEPS)
        axis, images = grid.axis.numpy(), pixels(grid.images)
        what = f"{STEPS} × {STEPS} codes from −4 to 4 on each axis, decoded: what the model draws at each place."
        if latent > 2:
            what += f" These are the first two of {latent} latent dimensions; the others are held at 0 and not shown."
    return Drawn(
        "grid",
        draw_grid(images, axis, coded.names),
        "The latent plane, decoded" if latent > 1 else "The latent line, decoded",
        f"Grid of {images.shape[0]} by {images.shape[1]} digits decoded from codes between -4 and 4, after epoch "
        f"{coded.epoch}. Neighbouring digits flow into each other.",
        f"{what} The axes are in latent units: the prior's standard deviation is 1.",
    )


def _map(coded: Coded, limit: float, data: str) -> Drawn:
    codes, labels = plane(coded.codes), coded.validation.labels
    latent = coded.model.latent_dim
    outside = int((np.abs(codes).max(1) > limit).sum())
    normal = isinstance(coded.model.prior, StandardNormal)
    caption = f"Posterior means of the {len(codes):,} validation digits"
    caption += f", the first two of {latent} dimensions." if latent > 2 else "."
    if latent == 1:
        caption += " With one latent dimension all points lie on a line; look at the density above it."
    caption += " At the edges: the density along each axis" + (", split by class" if labels is not None else "")
    caption += ", and the prior, dashed." if normal else "."
    caption += f" Same axes in all snapshots; {_outside(outside)}. {data}."
    tables = [_codes_table(coded, data)]
    classes = "" if labels is None else ", coloured by digit and named where their points are densest"
    return Drawn(
        "map",
        draw_map(codes, labels, limit, coded.names, prior=normal),
        "Validation digits in the latent plane",
        f"Scatter plot of {len(codes):,} validation digits in the latent plane after epoch {coded.epoch}{classes}, "
        f"with densities along both axes. The table below gives mean and spread"
        + (" of each class." if labels is not None else "."),
        caption,
        tables,
    )


def _outside(count: int) -> str:
    return "no point lies outside" if count == 0 else f"{count:,} point{'s lie' if count > 1 else ' lies'} outside"


def _codes_table(coded: Coded, data: str) -> Table:
    labels = coded.validation.labels
    groups = (
        [("all", np.ones(len(coded.codes), bool))]
        if labels is None
        else [(str(d), labels == d) for d in np.unique(labels)]
    )
    shown = min(coded.model.latent_dim, 2)
    head = ["digit", "images"]
    for i in range(shown):
        head += [f"mean {i + 1}", f"standard deviation {i + 1}"]
    rows = []
    for name, members in groups:
        codes = coded.codes[members]
        cells = [f(codes[:, i]) for i in range(shown) for f in (np.mean, np.std)]
        rows.append([name, f"{len(codes):,}", *(number(float(cell)) for cell in cells)])
    return Table("Numbers: map", f"Where the codes of each digit lie. {data}.", head, rows)


def _samples(coded: Coded, seed: int) -> Drawn:
    images = pixels(sample(coded.model, 64, stream(seed, "samples")).images)
    prior = "the standard Normal prior" if isinstance(coded.model.prior, StandardNormal) else "the learned prior"
    return Drawn(
        "samples",
        draw_samples(images, 8),
        "Random samples",
        f"64 digits decoded from random codes after epoch {coded.epoch}.",
        f"64 codes drawn from {prior} and decoded; not picked. The noise is the same in all snapshots.",
    )


def reconstructions(coded: Coded, data: str) -> Drawn:
    """Validation digits above what the model makes of them; one that is told the digit is given their labels."""
    chosen = coded.examples()
    labels = coded.validation.labels
    if labels is not None:
        chosen = chosen + [int(np.flatnonzero(labels == d)[min(1, (labels == d).sum() - 1)]) for d in np.unique(labels)]
    else:
        chosen = list(range(min(20, len(coded.validation))))
    real = coded.validation.images[chosen]
    given = None if labels is None else labels[chosen]
    told = ", which is told the digit as the encoder is," if coded.model.classes else ""
    return Drawn(
        "reconstructions",
        draw_pairs(unit(real), pixels(reconstruct(coded.model, real, given)), ("real", "rebuilt")),
        "Reconstructions",
        f"{len(chosen)} validation digits, each above the image decoded from its code after epoch {coded.epoch}.",
        f"Validation digits above what the decoder{told} makes of their posterior means. {data}.",
    )


def _posteriors(coded: Coded, limit: float, data: str, seed: int) -> tuple[Drawn, Drawn, float | None]:
    """Draws from the posterior of one digit per class: as images, and as ellipses in the plane; and how many keep
    their class over many digits.
    """
    chosen = coded.examples()
    labels = coded.validation.labels
    part = DiagonalNormal(coded.posterior.loc[chosen], coded.posterior.log_var[chosen])
    codes = part.sample(stream(seed, "posterior"), DRAWS)
    images = pixels(decode_images(coded.model, codes)).swapaxes(0, 1)
    each, overall = _kept(coded, codes.numpy(), chosen, seed)
    names = [coded.title(i) for i in chosen]
    shares = None if each is None else [f"{round(share * DRAWS)} of {DRAWS}" for share in each]
    table = _posterior_table(coded, part, names, shares, data)
    said = ""
    if overall is not None:
        judged = min(VOTED, len(coded.validation))
        said = (
            f" A draw keeps its class when most of its {NEIGHBORS} nearest training codes (of "
            f"{len(coded.reference):,}) have it. Over {judged:,} validation digits, {DRAWS} draws each: "
            f"{percent(overall)}."
        )
    rows = Drawn(
        "posterior",
        draw_posterior_draws(unit(coded.validation.images[chosen]), images, names, shares),
        "New digits of the same class" if each is not None else "Draws from the posterior",
        f"{len(chosen)} validation digits, each followed by {DRAWS} images decoded from draws of its posterior, after "
        f"epoch {coded.epoch}."
        + (
            ""
            if shares is None
            else f" Draws that keep the class: {listed([f'{n}: {s}' for n, s in zip(names, shares, strict=True)])}."
        ),
        f"One validation digit per class, the first, and {DRAWS} draws from its posterior.{said} {data}.",
    )
    ellipses = Drawn(
        "posterior-plane",
        draw_posteriors(
            plane(coded.codes),
            plane(part.loc),
            _scales(part),
            plane(codes),
            None if labels is None else labels[chosen],
            limit,
            coded.names,
        ),
        "Their posteriors",
        f"The same {len(chosen)} digits in the latent plane: each an ellipse around its posterior mean, with {DRAWS} "
        "dots for its draws. Means and standard deviations are in the table.",
        "Ellipses of one and two standard deviations around each posterior mean; dots are the ten draws, grey points "
        "the other validation digits."
        + (f" First two of {coded.model.latent_dim} dimensions." if coded.model.latent_dim > 2 else ""),
        [table],
    )
    return rows, ellipses, overall


def _scales(part: DiagonalNormal) -> Array:
    scales = plane(part.scale)
    return np.maximum(scales, 0.01)  # a width that can be seen, also where there is no second dimension


def _kept(coded: Coded, codes: Array, chosen: Sequence[int], seed: int) -> tuple[Array | None, float | None]:
    """The share of draws that keep the class: for each chosen digit, and over many validation digits."""
    labels, votes = coded.validation.labels, coded.reference.labels
    if labels is None or votes is None or len(coded.reference) < NEIGHBORS:
        return None, None
    reference = coded.reference_codes.numpy()
    each = (neighbor_vote(reference, votes, codes) == labels[list(chosen)]).mean(0)
    many = DiagonalNormal(coded.posterior.loc[:VOTED], coded.posterior.log_var[:VOTED])
    drawn = many.sample(stream(seed, "kept"), DRAWS).numpy()
    overall = (neighbor_vote(reference, votes, drawn) == labels[:VOTED]).mean()
    return each, float(overall)


def _posterior_table(
    coded: Coded, part: DiagonalNormal, names: Sequence[str], shares: Sequence[str] | None, data: str
) -> Table:
    shown = min(coded.model.latent_dim, 2)
    head = ["digit"]
    for i in range(shown):
        head += [f"mean {i + 1}", f"standard deviation {i + 1}"]
    if shares is not None:
        head.append("draws that keep the class")
    rows = []
    for index, name in enumerate(names):
        cells = [float(values[index, i]) for i in range(shown) for values in (part.loc, part.scale)]
        rows.append([name, *(number(cell, 3) for cell in cells), *([] if shares is None else [shares[index]])])
    return Table("Numbers: posteriors", f"Posterior of one validation digit per class. {data}.", head, rows)
