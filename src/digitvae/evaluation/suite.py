"""All measures of a model in one go, as JSON that later stages read and as rows that people read."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from digitvae.config import Binarization
from digitvae.data import Digits, Splits
from digitvae.errors import InputError, RunError
from digitvae.evaluation.clustering import NEIGHBORS as VOTERS
from digitvae.evaluation.clustering import cluster_measures
from digitvae.evaluation.density import CONVERGED, Effort, density_measures, outlier_measures
from digitvae.evaluation.measures import Measure, network_sha256
from digitvae.evaluation.rivals import PCAGaussian, class_means, pca_gaussian
from digitvae.evaluation.samples import NEIGHBORS as BALL
from digitvae.evaluation.samples import RealDigits, audit_spaces, classification_accuracy, sample_measures, train_share
from digitvae.evaluation.smoothness import can_be_mapped, map_measures
from digitvae.generation import encode_images, sample
from digitvae.models.vae import VAE
from digitvae.processes import ALONE, Team
from digitvae.reading import frozen, read_digits

METRICS = ("density", "clusters", "samples")
"""What can be measured."""

TRAINED_ON = 60_000
"""Generated digits that the classifier of the classification accuracy score is trained on."""

FLOOR = "samples, real training digits"
"""What no generator can beat but by chance."""

BASELINE = "samples, PCA Gaussian"
"""The section of the generator that cannot copy."""

BASELINE_DRAWS = 5
"""Sets that it draws for the copy audit: the share of one set of 10,000 is uncertain by a point, as `MARGIN` is."""

MARGIN = 0.01
"""How far above it the copy audit lets a model be, and the share of near-duplicates that fails it."""

SEED = 0
"""Seed of the digits that are judged, where they are drawn."""

FORMAT = 1
"""Version of the layout of ``evaluation.json``."""


def evaluate_model(
    model: VAE,
    splits: Splits,
    binarization: Binarization,
    metrics: Sequence[str] = METRICS,
    effort: Effort | None = None,
    notify: Callable[[str], None] = lambda text: None,
    team: Team = ALONE,
    keep: Callable[[dict[str, Any]], object] = lambda sections: None,
) -> dict[str, Any]:
    """Measure a model on digits that it has not seen.

    Density is that of the test digits; clusters are those of the codes of validation and test digits, with the codes
    of the training digits as voters, and beside them stands how smooth the map is. Samples are drawn from the prior
    alone, as many as there are test digits, and held against these, beside real training digits (the floor) and
    trivial rivals; in the full form classifiers are trained on `TRAINED_ON` more of each. Where there are no test
    digits, the validation digits stand for them.

    Args:
        model: The VAE.
        splits: The digits.
        binarization: What is done to grey pixels before densities are measured.
        metrics: Some of `METRICS`.
        effort: How much is computed; the quick form where left out.
        notify: Told what is computed next.
        team: Processes that each measure some of the sections.
        keep: Given the sections so far after each one that the leader has measured, so that a stop loses no more
            than a section.

    Returns:
        Sections of measures by name, each ``{"digits", "seconds", "measures", "effort"}`` and what else it says, ready
        for JSON; none where this process does not lead. A section that turns out to be impossible, such as clusters
        of codes that are all alike, has no measures and a ``note`` that says why.

    Raises:
        InputError: If a metric is unknown, or the digits are too few for one or lack the labels that it needs.
        RunError: If another process is gone, or the installation is damaged.
    """
    name, judged = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    _check(model, splits, metrics, name, judged)
    effort = effort or Effort.quick()
    jobs: dict[str, _Job] = {}
    if "density" in metrics:
        jobs["density"] = _Job(name, functools.partial(_density, model, judged, binarization, effort, notify))
    if "clusters" in metrics:
        voters = functools.cache(lambda: _codes(model, splits.train))
        for part, digits in {"validation": splits.validation, name: judged}.items():
            measure = functools.partial(_clusters, model, digits, part, voters, notify)
            jobs[f"clusters, {part}"] = _Job(part, measure)
        if can_be_mapped(model):
            jobs["map"] = _Job("decoded", lambda: (map_measures(model), {}))
    if "samples" in metrics:
        real = RealDigits(known_digits(splits), judged)
        for title, generate in _generators(model, splits).items():
            measure = functools.partial(_samples, title, generate, splits, real, effort.classifiers, notify)
            jobs[title] = _Job(name, measure)
    own: dict[str, Any] = {}
    for title, job in list(jobs.items())[team.rank :: team.size]:
        own[title] = job.done() | {"effort": dataclasses.asdict(effort)}
        if team.leads:
            keep(own)
    every = [json.loads(content) for content in team.collect(json.dumps(own).encode())]
    found = {title: made for content in every for title, made in content.items()}
    sections = {title: found[title] for title in jobs if title in found}
    if sections.get(BASELINE, {}).get("measures"):
        for title in sections:
            if title.startswith("samples") and sections[title]["measures"]:
                sections[title]["copy_audit"] = copy_verdict(sections[title], sections[BASELINE])
    return sections


Made = tuple[list[Measure], dict[str, Any]]
"""The measures of a section, and what else it says."""


@dataclasses.dataclass(frozen=True)
class _Job:
    """A section that is to be measured: on which digits, and how."""

    digits: str
    measure: Callable[[], Made]

    def done(self) -> dict[str, Any]:
        """The section, or a note that says why it is impossible."""
        began = time.perf_counter()
        try:
            measures, facts = self.measure()
        except RunError:  # not the model and its digits are at fault, but what is installed
            raise
        except InputError as error:
            return section(self.digits, [], began) | {"note": str(error)}
        return section(self.digits, measures, began) | facts


def _check(model: VAE, splits: Splits, metrics: Sequence[str], name: str, judged: Digits) -> None:
    """Refuse what is known to be impossible before any work; `name` is that of the digits that are judged."""
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise InputError(f"There is no metric '{unknown[0]}'; use some of: {', '.join(METRICS)}.")
    if "density" in metrics and model.classes and judged.labels is None:
        raise InputError("This model is conditioned on the digit, and these digits have no labels; leave density out.")
    if "clusters" in metrics:
        parts = {"training": splits.train, "validation": splits.validation, name: judged}
        if any(digits.labels is None for digits in parts.values()):
            raise InputError("Clusters are held against labels, and these digits have none; leave the metric out.")
        for part, digits in parts.items():
            if len(digits) <= VOTERS:
                raise InputError(f"Clusters need more than {VOTERS} {part} digits, not {len(digits)}; leave them out.")
    if "samples" in metrics:
        known = len(splits.train) + (0 if splits.test is None else len(splits.validation))
        if len(judged) <= BALL:
            raise InputError(f"Samples need more than {BALL} {name} digits, not {len(judged)}; leave samples out.")
        if known < len(judged):
            raise InputError(
                f"The copy audit needs as many training digits as {name} digits, {len(judged):,} or more, and there "
                f"are {known:,}; leave samples out."
            )


def _density(
    model: VAE, digits: Digits, binarization: Binarization, effort: Effort, notify: Callable[[str], None]
) -> Made:
    given = model.given(None if digits.labels is None else torch.from_numpy(digits.labels.astype(np.int64)))
    measures = density_measures(given, digits.images, binarization, effort, notify)
    notify("real digits against changed ones")
    measures += outlier_measures(given, digits.images, binarization)
    return measures, {"binarization": binarization}


def _clusters(
    model: VAE, digits: Digits, part: str, voters: Callable[[], tuple[Any, Any]], notify: Callable[[str], None]
) -> Made:
    notify(f"clusters of the {part} digits")
    codes, labels = _codes(model, digits)
    metric = "Euclidean"
    if codes.shape[1] > model.latent_dim:
        metric = f"Euclidean, each of the {model.latent_dim} dimensions a point on a circle"
    return cluster_measures(codes, labels, *voters(), metric=metric), {}


def _samples(
    title: str,
    generate: Callable[[int], Digits],
    splits: Splits,
    real: RealDigits,
    classifiers: bool,
    notify: Callable[[str], None],
) -> Made:
    notify(title)
    judged = real.judged
    digits = generate(TRAINED_ON if classifiers else len(judged))
    if title == FLOOR:  # which are the last training digits: they are not held against themselves
        real = RealDigits(known_digits(splits, len(judged)), judged)
    measures = sample_measures(digits.images[-len(judged) :], real)
    if title == BASELINE:
        measures = with_more_draws(measures, splits.train, real)
    if classifiers and judged.labels is not None:
        measures.append(_accuracy(digits, judged, notify))
    return measures, {"drawn": len(digits), "seed": SEED}


def known_digits(splits: Splits, without: int = 0) -> Digits:
    """The digits that a model may have copied: training digits, and validation digits where test digits judge.

    What the shipped models are trained on holds the validation digits too. Of a model that has not seen them, digits
    near to one of them are as few as those near to test digits.

    Args:
        splits: All digits.
        without: Training digits that are left out, from the last on; as many stay as judge.
    """
    judged = splits.validation if splits.test is None else splits.test
    train = splits.train.subset(slice(0, max(len(judged), len(splits.train) - without)))
    return train if splits.test is None else train.followed_by(splits.validation)


def with_more_draws(measures: Sequence[Measure], train: Digits, real: RealDigits, seed: int = 0) -> list[Measure]:
    """The baseline's measures for the set of one seed, its shares of nearest digits as means over `BASELINE_DRAWS`.

    Args:
        measures: Those of the first set.
        train: What the baseline is fitted to.
        real: What they are held against.
        seed: That of the first set.
    """
    judged = len(real.judged)
    rival = PCAGaussian(train)
    more = [rival.draw(judged, seed + further).images for further in range(1, BASELINE_DRAWS)]
    found = {measure.name: measure for measure in measures}
    for where, as_points in audit_spaces().items():
        known, unknown = real.points(where)
        one = found[f"nearest is trained on ({where})"]
        shares = [one.value, *(train_share(as_points(images), known, unknown) for images in more)]
        settings = one.settings | {"error": one.settings["error"] / math.sqrt(BASELINE_DRAWS)}
        settings["seeds"] = list(range(seed, seed + BASELINE_DRAWS))
        found[one.name] = Measure.repeated(one.name, shares, "draws", one.unit, one.definition, one.n, **settings)
    return list(found.values())


def copy_verdict(section: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a section of samples passes the copy audit, held against that of a generator that cannot copy.

    In pixels and in reader features, the 95 % interval of the share of digits whose nearest digit was trained on must
    reach down to the baseline's share plus `MARGIN`, and near-duplicates must be fewer than `MARGIN`, whatever the
    baseline has: a hundredth of copies, each nearer than any digit is to another, always fails.

    Returns:
        ``passed`` and ``why``, a sentence for each condition that fails.
    """
    own, other = ({m["name"]: m for m in each["measures"]} for each in (section, baseline))
    why = []
    for name, measure in own.items():
        value = measure["value"]
        if name.startswith("nearest is trained on"):
            allowed = other.get(name, measure)["value"] + MARGIN
            if value - measure["settings"]["error"] > allowed:
                why.append(f"{name}: {value:.1%}, allowed {allowed:.1%} within the 95 % interval")
        if name.startswith("near-duplicates") and value >= MARGIN:
            why.append(f"{name}: {value:.2%}, allowed less than {MARGIN:.0%}")
    return {"passed": not why, "why": why}


def how(measure: Mapping[str, Any]) -> str:
    """What a reader of a measure must know beside it, in a few words; empty where there is nothing.

    >>> how({"settings": {"points": 46368, "change": 0.2, "shifts": 2, "spread_over_shifts": 0.01}})
    '46,368 points, 2 shifts ± 0.01 nats, last change +0.20: not converged'
    """
    settings = measure["settings"]
    said = []
    if "points" in settings:
        said.append(f"{settings['points']:,} points")
    if "spread_over_shifts" in settings:
        said.append(f"{settings['shifts']} shifts ± {settings['spread_over_shifts']:.2f} nats")
    if "change" in settings:
        converged = "" if abs(settings["change"]) < CONVERGED else ": not converged"
        said.append(f"last change {settings['change']:+.2f}{converged}")
    if "error" in settings:
        said.append(f"± {100 * settings['error']:.2f} points (95 %)")
    if "labelled_by" in settings:
        said.append(f"labelled by the {settings['labelled_by']}")
    if "counts" in settings:
        said.append("of each: " + " ".join(map(str, settings["counts"])))
    if "effort" in measure:
        said.append("kept from an earlier evaluation")
    return ", ".join(said)


def sampled(model: VAE, n: int) -> Digits:
    """The `n` digits that are judged: what the model draws for codes drawn from the prior with the seed `SEED`.

    A model that is conditioned on labels draws 0, 1, ... 9 in turn, and they have these labels; others have none.
    """
    labels = (np.arange(n) % model.classes).astype(np.uint8) if model.classes else None
    images = sample(model, n, torch.Generator().manual_seed(SEED), labels).images
    return Digits(images.squeeze(1).mul(255).round().byte().numpy(), labels)


def _generators(model: VAE, splits: Splits) -> dict[str, Callable[[int], Digits]]:
    """What makes digits: the model, real training digits as the floor, and the trivial rivals."""
    generators: dict[str, Callable[[int], Digits]] = {"samples": lambda n: sampled(model, n)}
    if splits.train.labels is not None:
        generators[FLOOR] = lambda n: splits.train.subset(slice(-n, None))
        generators["samples, class means"] = lambda n: class_means(splits.train, n)
        generators[BASELINE] = lambda n: pca_gaussian(splits.train, n, SEED)
    return generators


def _accuracy(digits: Digits, judged: Digits, notify: Callable[[str], None]) -> Measure:
    """Digits without labels are labelled by the frozen reader, which the measure's settings say."""
    labels, labelled = digits.labels, {"labelled_by": "generator"}
    if labels is None:
        labels = read_digits(frozen("reader")[0], digits.images).argmax(1).numpy()
        labelled = {"labelled_by": "frozen reader", "reader": network_sha256("reader")}
    score = classification_accuracy(digits.images, labels, judged.images, np.asarray(judged.labels), notify=notify)
    return dataclasses.replace(score, settings={**score.settings, **labelled})


def section(digits: str, measures: Sequence[Measure], began: float) -> dict[str, Any]:
    """Measures ready for JSON, with what they were measured on and the seconds since `began` (`perf_counter`)."""
    seconds = round(time.perf_counter() - began, 2)
    return {"digits": digits, "seconds": seconds, "measures": [measure.to_dict() for measure in measures]}


def _codes(model: VAE, digits: Digits) -> tuple[Any, Any]:
    """Posterior means, where Euclidean distance is nearness in the latent space's topology, and labels."""
    if digits.labels is None:
        raise InputError("Clusters are held against labels, and these digits have none; leave the metric out.")
    with torch.inference_mode():
        return model.metric_codes(encode_images(model, digits.images, labels=digits.labels).loc).numpy(), digits.labels
