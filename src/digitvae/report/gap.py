"""The section that sets a run trained on the likelihood itself beside a model trained on the ELBO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from digitvae.checkpoint import load_model, model_facts
from digitvae.config import Config
from digitvae.data import Splits
from digitvae.evaluation.density import binarize, variational_gap
from digitvae.evaluation.files import seen_in_training
from digitvae.evaluation.smoothness import can_be_mapped
from digitvae.figures import draw_planes, draw_rows
from digitvae.generation import decode_images
from digitvae.models.vae import VAE
from digitvae.report.coded import Array, Coded, pixels, unit
from digitvae.report.parts import Picture, Table, number, picture
from digitvae.rundir import find_model, shipped_models

RIVAL = "map"
"""The shipped model that the ELBO has trained."""

DIGITS = 1000
"""Validation digits that densities are measured on, at most: the first ones."""

SIDE = 20
"""Digits along each side of a decoded plane."""


@dataclass(frozen=True)
class GapSection:
    """The section's words, table and pictures."""

    texts: Sequence[str]
    table: Table
    planes: Picture
    digits: Picture


def gap_section(config: Config, last: Coded, splits: Splits, data: str) -> GapSection | None:
    """A run of objective ``quadrature`` in the plane beside `RIVAL`; None for any other run."""
    plane = config.training.objective == "quadrature" and can_be_mapped(last.model)
    if not plane or config.model.likelihood != "bernoulli" or RIVAL not in shipped_models():
        return None
    folder = find_model(RIVAL)
    rival, _ = load_model(folder)
    models = {"this run": last.model, f"shipped {RIVAL}": rival}
    shown = last.examples()
    facts = model_facts(folder)
    trained, seen = facts["data"], seen_in_training(facts, splits, "validation")
    return GapSection(
        [
            "The ELBO is below log p(x) by the variational gap: what a Normal posterior cannot follow. A model trained "
            "on the ELBO keeps its posteriors Normal and wide, and pays with blur. This run was trained on log p(x) "
            "itself, integrated over the plane: it may fold and sharpen the plane as the digits ask.",
            f"Beside it stands the model {RIVAL} that comes with digitvae, the best that the ELBO gave, trained on "
            f"{trained['training']:,} digits of {trained['caption'].split(',')[0]}"
            + ("; it has seen these digits in training." if seen else ".")
            + (" This run has seen them too." if config.data.train_on == "all" else ""),
        ],
        gap_table(models, last.validation.images[:DIGITS], data),
        planes_picture(models),
        digits_picture(models, last.validation.images[shown], [last.title(place) for place in shown], data),
    )


def gap_table(models: Mapping[str, VAE], images: Array, data: str) -> Table:
    """ELBO, log p(x) and the gap between them for each model, on digits binarised once."""
    x = binarize(images, 0)
    rows = []
    for name, model in models.items():
        elbo, log_prob = (float(values.double().mean()) for values in variational_gap(model, x))
        rows.append([name, number(elbo), number(log_prob), number(log_prob - elbo)])
    caption = (
        f"Mean over {len(x):,} validation digits in nats, binarization “dynamic”, log p(x) by quadrature on one "
        f"lattice. {data}."
    )
    return Table("ELBO and log p(x)", caption, ["", "ELBO", "log p(x)", "variational gap"], rows)


def planes_picture(models: Mapping[str, VAE]) -> Picture:
    """What each model decodes over its whole plane."""
    one, other = models
    return picture(
        planes_figure(models),
        "The two planes",
        f"The planes of {one} and of {other}, {SIDE} by {SIDE} decoded digits each, side by side.",
        f"{SIDE} × {SIDE} digits decoded at equal steps of the prior's quantiles: each stands for the same share of "
        "what the model draws.",
    )


def planes_figure(models: Mapping[str, VAE]) -> Figure:
    """The planes of two-dimensional models side by side, at equal steps of the prior's quantiles."""
    steps = (torch.arange(SIDE) + 0.5) / SIDE
    down, right = torch.meshgrid(steps.flip(0), steps, indexing="ij")
    codes = torch.special.ndtri(torch.stack([right, down], -1).double()).float()
    planes = [pixels(decode_images(m, codes.reshape(-1, 2)).reshape(SIDE, SIDE, 1, 28, 28)) for m in models.values()]
    return draw_planes(planes, list(models))


def digits_picture(models: Mapping[str, VAE], images: Array, titles: Sequence[str], data: str) -> Picture:
    """Digits and what each model makes of them at its posterior mean."""
    x = binarize(images, 0)
    rows, lines = [pixels(x)], []
    for name, model in models.items():
        with torch.inference_mode():
            loc = model.encode(x).loc
        rows.append(pixels(decode_images(model, loc)))
        _, log_prob = variational_gap(model, x)
        lines.append([name, *(number(float(value), 0) for value in log_prob)])
    return picture(
        draw_rows(np.stack([unit(images), *rows]), ["real", "binarised", *models], heads=titles),
        "The same digits by both",
        f"{len(x)} validation digits, the same binarised, and below them what each model decodes at their posterior "
        "means.",
        "Validation digits, each pixel drawn as ink or none, and the mean image at the posterior mean of each model. "
        f"{data}.",
        [Table("log p(x) of these digits", "Nats, by quadrature.", ["", *titles], lines)],
    )
