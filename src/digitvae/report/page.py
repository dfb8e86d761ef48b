"""The whole page: what it opens with, its sections in order, and how the run was made."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from digitvae.config import Config
from digitvae.data import Splits
from digitvae.distributions import StandardNormal
from digitvae.errors import RunError
from digitvae.evaluation.clustering import NEIGHBORS
from digitvae.figures import draw_samples, loss_limits, write_animation
from digitvae.generation import decode_images
from digitvae.report.between import new_section, paths_section
from digitvae.report.clusters import cluster_section, scores_of
from digitvae.report.coded import Coded, axis_limit, pixels
from digitvae.report.features import features_section
from digitvae.report.gap import gap_section
from digitvae.report.learning import (
    Curves,
    collapse_words,
    fit_words,
    losses_figure,
    losses_picture,
    overfits,
    rates_table,
    sound_words,
    terms_picture,
)
from digitvae.report.made import how_made, stopped_words
from digitvae.report.measured import measured_section
from digitvae.report.parts import Picture, duration, image_uri, number, percent, picture
from digitvae.report.snapshots import SnapshotSection, snapshot_section
from digitvae.report.structure import networks
from digitvae.report.styles import ribbon, styles_section
from digitvae.report.told import LEFT_OUT, Measured, prior_words, told_snapshot
from digitvae.report.words import rivals
from digitvae.rundir import RunDirectory

RIBBON = 22
RIBBON_RADIUS = 1.6


@dataclass(frozen=True)
class Made:
    """What the report is written from.

    Attributes:
        page: What the template shows.
        files: PNG figures of each snapshot: by epoch, by file name.
        animation: The snapshots as a GIF; None where there is only one.
    """

    page: dict[str, Any]
    files: dict[int, dict[str, bytes]]
    animation: bytes | None


def make_page(run: RunDirectory, splits: Splits, notify: Callable[[str], None]) -> Made:
    """Compute everything that the page shows.

    Raises:
        RunError: If the run has no snapshot yet, or its files are missing or damaged.
    """
    config, manifest = run.config(), run.manifest()
    curves = Curves.from_metrics(run.metrics())
    epochs = [epoch for epoch in run.snapshot_epochs() if epoch <= curves.epochs[-1]] if len(curves.epochs) else []
    if not epochs:
        raise RunError(f"{run.path} has no snapshot yet; train it to the first of its snapshot epochs.")
    seed = config.training.seed
    data = f"{splits.title}, {len(splits.validation):,} validation digits"
    coded = []
    for epoch in epochs:
        notify(f"Looking at epoch {epoch}: codes")
        coded.append(Coded.load(run, epoch, splits))
    last, last_epoch = coded[-1], int(curves.epochs[-1])
    limits = loss_limits(curves.train["loss"], curves.validation["loss"])
    told, train_on_all = config.model.classes > 0, config.data.train_on == "all"
    make = _told_parts if told else _plain_parts
    parts = make(coded, curves, limits, last_epoch, data, seed, notify)
    animation = _animation(parts.snapshots, told)
    page = parts.sections | {
        "title": f"{config.recipe}: a VAE of handwritten digits",
        "run": f"Recipe {config.recipe} · run {run.path.name} · {splits.title}",
        "headline": f"What a VAE learned from {manifest['data']['training']:,} handwritten digits",
        "lede": _lede(config, last),
        "facts": _facts(curves, parts.fact, manifest),
        "notices": _notices(run, config, manifest, curves, splits),
        "snapshots_title": _count_title(len(epochs)),
        "snapshots_text": _snapshots_text(len(epochs)),
        "snapshots": parts.snapshots,
        "animation": None if animation is None else _animation_picture(animation, epochs, data, told),
        "learning": {
            "texts": fit_words(curves, train_on_all),
            "losses": losses_picture(losses_figure(curves, limits, last_epoch), curves, data),
            "terms": terms_picture(curves, data),
            "sound": sound_words(config, curves),
            "rates": rates_table(curves, data),
        },
        "new": new_section(last, splits, train_on_all, data, seed),
        "gap": gap_section(config, last, splits, data),
        "measured": measured_section(run, splits),
        "networks": _networks(last),
        "theory": _theory(config, last),
        "made": how_made(run, config, manifest),
    }
    notify("Writing the page")
    return Made(page, {section.epoch: section.files for section in parts.snapshots}, animation)


@dataclass(frozen=True)
class _Parts:
    """What depends on whether the model is told the digit: snapshots, a fact for the top, and sections by name."""

    snapshots: Sequence[SnapshotSection]
    fact: dict[str, str] | None
    sections: dict[str, Any]


def _plain_parts(
    coded: Sequence[Coded],
    curves: Curves,
    limits: tuple[float, float],
    last_epoch: int,
    data: str,
    seed: int,
    notify: Callable[[str], None],
) -> _Parts:
    scores = []
    for each in coded:
        notify(f"Looking at epoch {each.epoch}: clusters")
        scores.append(scores_of(each, seed))
    limit, snapshots = axis_limit(coded), []
    for each in coded:
        notify(f"Drawing epoch {each.epoch}")
        snapshots.append(snapshot_section(each, curves, limits, last_epoch, limit, data, seed))
    notify("Moving codes: paths, features, neighbours")
    last, vote = coded[-1], scores[-1]
    sections = {
        "ribbon": _ribbon(last),
        "clusters": cluster_section(coded, scores, limit, data),
        "between": paths_section(last, limit, data),
        "features": features_section(last, data),
        "styles": None,
    }
    words = f"of validation digits are named rightly by their {NEIGHBORS} nearest training codes"
    return _Parts(snapshots, None if vote is None else _share(vote.neighbor_accuracy, words), sections)


def _told_parts(
    coded: Sequence[Coded],
    curves: Curves,
    limits: tuple[float, float],
    last_epoch: int,
    data: str,
    seed: int,
    notify: Callable[[str], None],
) -> _Parts:
    last, snapshots, right = coded[-1], [], 0.0
    measured = Measured.of(last)
    for each in coded:
        notify(f"Drawing epoch {each.epoch}")
        section, right = told_snapshot(each, measured, curves, limits, last_epoch, data, seed)
        snapshots.append(section)
    notify("Changing styles and labels")
    sections = {
        "ribbon": ribbon(last, seed),
        "clusters": None,
        "between": None,
        "features": None,
        "styles": styles_section(last, data, seed),
    }
    return _Parts(snapshots, _share(right, "of digits drawn to order are read as what was asked for"), sections)


def _share(value: float, words: str) -> dict[str, str]:
    return {"value": percent(value).removesuffix(" %"), "unit": "%", "text": words}


def _lede(config: Config, last: Coded) -> str:
    latent = last.model.latent_dim
    text = (
        f"A variational autoencoder squeezes each 28 × 28 image into {latent} number{'s' if latent > 1 else ''} and "
        "learns to draw digits from them. "
    )
    if config.model.classes:
        return text + "It is told which digit each image is, so the numbers are free to say how it is written."
    if last.validation.labels is not None:
        return text + "It was never told which digit is which."
    return text + "These images have no labels, so what asks for classes is left out."


def _facts(curves: Curves, fact: dict[str, str] | None, manifest: dict[str, Any]) -> list[dict[str, str]]:
    validation, best = curves.validation["loss"], curves.best
    lowest = "" if best == len(validation) - 1 else f"; lowest {validation[best]:.2f} after epoch {curves.epochs[best]}"
    facts = [
        {
            "value": number(validation[-1]),
            "unit": "nats",
            "text": f"validation loss per image after epoch {curves.epochs[-1]}{lowest}",
        }
    ]
    if fact is not None:
        facts.append(fact)
    sessions = manifest["sessions"]
    seconds = sum(session.get("seconds", 0) for session in sessions)
    value, _, unit = duration(seconds).partition(" ")
    machine = sessions[-1] if sessions else {}
    where, threads = machine.get("processor", "an unknown processor"), machine.get("threads", 1)
    if machine.get("device", "cpu") != "cpu":
        where = machine["device"]
    facts.append(
        {"value": value, "unit": unit, "text": f"of training on {where}, {threads} thread{'' if threads == 1 else 's'}"}
    )
    data = manifest["data"]
    facts.append(
        {
            "value": f"{data['training']:,}",
            "unit": "digits",
            "text": f"to train on, {data['validation']:,} to validate with; SHA-256 {data['sha256'][:12]}…",
        }
    )
    return facts


def _notices(run: RunDirectory, config: Config, manifest: dict[str, Any], curves: Curves, splits: Splits) -> list[str]:
    notices = list(manifest["data"]["notes"])
    if stopped := stopped_words(run, config, curves):
        notices.append(stopped)
    if overfits(curves) and config.data.train_on != "all":
        best = curves.best
        rise = curves.validation["loss"][-1] - curves.validation["loss"][best]
        notices.append(
            f"The run overfits: the validation loss is {number(rise)} nats above its lowest value, which it had after "
            f"epoch {curves.epochs[best]}. Those weights are in checkpoints/best."
        )
    if collapsed := collapse_words(curves):
        notices.append(collapsed)
    if splits.validation.labels is None:
        notices.append("These digits have no labels: class colours, clusters and votes are left out.")
    if config.model.classes:
        notices.append(LEFT_OUT)
    elif config.model.latent_dim > 2:
        notices.append(
            f"The model has {config.model.latent_dim} latent dimensions. Maps and grids show the first two; clusters, "
            "votes, paths and support use all of them."
        )
    if config.data.binarization != "none":
        notices.append(
            f"The losses are of digits with binarization “{config.data.binarization}”, each pixel 0 or 1; the figures "
            "show the model the grey digits."
        )
    return notices


def _ribbon(last: Coded) -> Picture:
    turn = torch.arange(RIBBON) / RIBBON * 2 * math.pi
    codes = torch.zeros(RIBBON, last.model.latent_dim)
    codes[:, 0] = RIBBON_RADIUS * torch.cos(turn)
    if last.model.latent_dim > 1:
        codes[:, 1] = RIBBON_RADIUS * torch.sin(turn)
    where = "a circle in the latent plane" if last.model.latent_dim > 1 else "the latent line, there and back"
    return picture(
        draw_samples(pixels(decode_images(last.model, codes)), RIBBON),
        "A walk",
        f"{RIBBON} generated digits in a row, each flowing into the next.",
        f"Nobody wrote these: {RIBBON} steps around {where}, decoded.",
    )


def _count_title(count: int) -> str:
    words = {1: "One snapshot", 2: "Two snapshots", 3: "Three snapshots", 4: "Four snapshots", 5: "Five snapshots"}
    return f"{words.get(count, f'{count} snapshots')} of training"


def _snapshots_text(count: int) -> str:
    if count == 1:
        return "The model as it was after this epoch: what it draws, where it puts the digits, what it keeps of them."
    return (
        "The model after each of these epochs: what it draws, where it puts the digits, what it keeps of them. All "
        "axes, random codes and chosen digits stay the same, so what changes is the model."
    )


def _animation(snapshots: Sequence[SnapshotSection], told: bool) -> bytes | None:
    if len(snapshots) < 2:
        return None
    left = "samples.png" if told else "grid.png"
    frames = [[section.files[left], section.files["map.png"]] for section in snapshots]
    return write_animation(frames, [f"epoch {section.epoch}" for section in snapshots])


def _animation_picture(animation: bytes, epochs: Sequence[int], data: str, told: bool) -> Picture:
    with Image.open(io.BytesIO(animation)) as image:
        width, height = image.size
    left, short = ("the digits drawn to order",) * 2 if told else ("the decoded latent plane", "the decoded plane")
    return Picture(
        image_uri(animation, "gif"),
        width,
        height,
        "Animation",
        f"Animation over the epochs {', '.join(map(str, epochs))}: {left} beside the map of the validation digits.",
        f"{short.capitalize()} and the map at each snapshot; also in snapshots/training.gif. {data}.",
        ink=False,
    )


def _networks(last: Coded) -> dict[str, Any]:
    encoder, decoder, trained, everything = networks(last.model)
    rest = everything - trained
    text = (
        "Read from the model itself: "
        + (
            f"{everything:,} numbers in all, of which {trained:,} are trained; the other {rest:,} are running "
            "statistics of batch normalisation"
            if rest
            else f"{trained:,} numbers, all of them trained"
        )
        + ". Each bar's width is the logarithm of how many values the layer gives out: the encoder narrows to the "
        "code, the decoder widens again."
    )
    if last.model.classes:
        text += prior_words(last)
    return {"text": text, "parts": [encoder, decoder]}


def _theory(config: Config, last: Coded) -> dict[str, Any]:
    return {
        "bernoulli": config.model.likelihood == "bernoulli",
        "grey": config.data.binarization == "none",
        "told": config.model.classes > 0,
        "changes": config.model.augmentation_labels,
        "flow": config.model.prior == "flow",
        "normal_prior": isinstance(last.model.prior, StandardNormal),
        "beta": f"{config.training.beta:g}",
        "encoder": last.model.encoder is not None,
        "exact": config.training.objective == "quadrature",
        "points": f"{max(config.training.lattice):,}",
        "plain": bool(np.isclose(config.training.beta, 1)),
        "rivals": rivals(config.model.classes > 0),
    }
