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
import numpy.typing as npt
import torch

from digitvae.config import Binarization
from digitvae.data import Digits, Splits
from digitvae.errors import InputError
from digitvae.evaluation.clustering import cluster_measures
from digitvae.evaluation.density import Effort, density_measures, outlier_measures
from digitvae.evaluation.measures import Measure
from digitvae.evaluation.rivals import class_means, pca_gaussian
from digitvae.evaluation.samples import audit_spaces, classification_accuracy, sample_measures, train_share
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
"""How far above it the copy audit lets a model be, as a share of its digits."""

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

    Returns:
        Sections of measures by name, each ``{"digits", "seconds", "measures"}``, ready for JSON; none where this
        process does not lead.

    Raises:
        InputError: If a metric is unknown, or clusters are asked for of digits without labels.
        RunError: If another process is gone.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise InputError(f"There is no metric '{unknown[0]}'; use some of: {', '.join(METRICS)}.")
    name, judged = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    if "clusters" in metrics and any(part.labels is None for part in (splits.train, splits.validation, judged)):
        raise InputError("Clusters are held against labels, and these digits have none; leave the metric out.")
    jobs: dict[str, Callable[[], dict[str, Any]]] = {}
    if "density" in metrics:
        jobs["density"] = lambda: _density(model, judged, name, binarization, effort or Effort.quick(), notify)
    if "clusters" in metrics:
        voters = functools.cache(lambda: _codes(model, splits.train))
        for part, digits in {"validation": splits.validation, name: judged}.items():
            jobs[f"clusters, {part}"] = functools.partial(_clusters, model, digits, part, voters, notify)
        if can_be_mapped(model):
            jobs["map"] = lambda: _map(model)
    if "samples" in metrics:
        full = effort is not None and effort != Effort.quick()
        for title, generate in _generators(model, splits).items():
            jobs[title] = functools.partial(_samples, title, generate, splits, judged, name, full, notify)
    own = {title: job() for title, job in list(jobs.items())[team.rank :: team.size]}
    every = [json.loads(content) for content in team.collect(json.dumps(own).encode())]
    found = {title: made for content in every for title, made in content.items()}
    sections = {title: found[title] for title in jobs if title in found}
    if BASELINE in sections:
        for title in sections:
            if title.startswith("samples"):
                sections[title]["copy_audit"] = copy_verdict(sections[title], sections[BASELINE])
    return sections


def _density(
    model: VAE, digits: Digits, part: str, binarization: Binarization, effort: Effort, notify: Callable[[str], None]
) -> dict[str, Any]:
    began = time.perf_counter()
    given = model.given(_label(model, digits.labels))
    measures = density_measures(given, digits.images, binarization, effort, notify)
    notify("real digits against changed ones")
    measures += outlier_measures(given, digits.images, binarization)
    return {"binarization": binarization, **section(part, measures, began)}


def _clusters(
    model: VAE, digits: Digits, part: str, voters: Callable[[], tuple[Any, Any]], notify: Callable[[str], None]
) -> dict[str, Any]:
    notify(f"clusters of the {part} digits")
    began = time.perf_counter()
    return section(part, cluster_measures(*_codes(model, digits), *voters()), began)


def _map(model: VAE) -> dict[str, Any]:
    began = time.perf_counter()
    return section("decoded", map_measures(model), began)


def _samples(
    title: str,
    generate: Callable[[int], Digits],
    splits: Splits,
    judged: Digits,
    part: str,
    full: bool,
    notify: Callable[[str], None],
) -> dict[str, Any]:
    notify(title)
    began = time.perf_counter()
    digits = generate(TRAINED_ON if full else len(judged))
    known = known_digits(splits)
    if title == FLOOR:  # which are the last training digits: they are not held against themselves
        known = known_digits(splits, len(judged))
    measures = sample_measures(digits.images[-len(judged) :], known, judged)
    if title == BASELINE:
        measures = with_more_draws(measures, splits.train, judged, known=known)
    if full and judged.labels is not None:
        measures.append(_accuracy(digits, judged, notify))
    return section(part, measures, began) | {"drawn": len(digits)}


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


def with_more_draws(
    measures: Sequence[Measure], train: Digits, judged: Digits, seed: int = 0, known: Digits | None = None
) -> list[Measure]:
    """The baseline's measures for the set of one seed, its shares of nearest digits as means over `BASELINE_DRAWS`.

    Args:
        measures: Those of the first set.
        train: What the baseline is fitted to.
        judged: Digits that it has not seen.
        seed: That of the first set.
        known: The digits that may have been copied; those of `train` where left out.
    """
    more = [pca_gaussian(train, len(judged), seed + further).images for further in range(1, BASELINE_DRAWS)]
    found = {measure.name: measure for measure in measures}
    for where, as_points in audit_spaces().items():
        trained, unknown = as_points((known or train).images[: len(judged)]), as_points(judged.images)
        one = found[f"nearest is trained on ({where})"]
        shares = [one.value, *(train_share(as_points(images), trained, unknown) for images in more)]
        settings = one.settings | {"error": one.settings["error"] / math.sqrt(BASELINE_DRAWS)}
        found[one.name] = Measure.repeated(one.name, shares, "draws", one.unit, one.definition, one.n, **settings)
    return list(found.values())


def copy_verdict(section: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a section of samples passes the copy audit, held against that of a generator that cannot copy.

    In pixels and in reader features, the 95 % interval of the share of digits whose nearest digit was trained on must
    reach down to the baseline's share plus `MARGIN`, and near-duplicates must be fewer than the baseline's share plus
    `MARGIN`.

    Returns:
        ``passed`` and ``why``, a sentence for each condition that fails.
    """
    own, other = ({m["name"]: m for m in each["measures"]} for each in (section, baseline))
    why = []
    for name, measure in own.items():
        allowed = other.get(name, measure)["value"] + MARGIN
        if name.startswith("nearest is trained on") and measure["value"] - measure["settings"]["error"] > allowed:
            why.append(f"{name}: {measure['value']:.1%}, allowed {allowed:.1%} within the 95 % interval")
        if name.startswith("near-duplicates") and measure["value"] >= allowed:
            why.append(f"{name}: {measure['value']:.2%}, allowed {allowed:.2%}")
    return {"passed": not why, "why": why}


def sampled(model: VAE, n: int) -> Digits:
    """The `n` digits that are judged: what the model draws for codes drawn from the prior with the seed 0.

    A model that is conditioned on labels draws 0, 1, ... 9 in turn, and they have these labels; others have none.
    """
    labels = (np.arange(n) % model.classes).astype(np.uint8) if model.classes else None
    images = sample(model, n, torch.Generator().manual_seed(0), labels).images
    return Digits(images.squeeze(1).mul(255).round().byte().numpy(), labels)


def _label(model: VAE, labels: npt.NDArray[np.uint8] | None) -> torch.Tensor | None:
    if labels is None and model.classes:
        raise InputError("This model is conditioned on the digit, and these digits have no labels.")
    return None if labels is None else torch.from_numpy(labels.astype(np.int64))


def _generators(model: VAE, splits: Splits) -> dict[str, Callable[[int], Digits]]:
    """What makes digits: the model, real training digits as the floor, and the trivial rivals."""
    generators: dict[str, Callable[[int], Digits]] = {"samples": lambda n: sampled(model, n)}
    if splits.train.labels is not None:
        generators[FLOOR] = lambda n: splits.train.subset(slice(-n, None))
        generators["samples, class means"] = lambda n: class_means(splits.train, n)
        generators[BASELINE] = lambda n: pca_gaussian(splits.train, n)
    return generators


def _accuracy(digits: Digits, judged: Digits, notify: Callable[[str], None]) -> Measure:
    """Digits without labels are labelled by the frozen reader, which the measure's settings say."""
    labels = digits.labels
    if labels is None:
        labels = read_digits(frozen("reader")[0], digits.images).argmax(1).numpy()
    score = classification_accuracy(digits.images, labels, judged.images, np.asarray(judged.labels), notify=notify)
    labelled_by = "frozen reader" if digits.labels is None else "generator"
    return dataclasses.replace(score, settings={**score.settings, "labelled_by": labelled_by})


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
