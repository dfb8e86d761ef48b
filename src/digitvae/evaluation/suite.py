"""All measures of a model in one go, as JSON that later stages read and as rows that people read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from digitvae.config import Binarization
from digitvae.data import Digits, Splits
from digitvae.errors import InputError
from digitvae.evaluation.clustering import cluster_measures
from digitvae.evaluation.density import Effort, density_measures, outlier_measures
from digitvae.evaluation.measures import Measure
from digitvae.generation import encode_images
from digitvae.models.vae import VAE

METRICS = ("density", "clusters")
"""What can be measured."""

FORMAT = 1
"""Version of the layout of ``evaluation.json``."""


def evaluate_model(
    model: VAE,
    splits: Splits,
    binarization: Binarization,
    metrics: Sequence[str] = METRICS,
    effort: Effort | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure a model on digits that it has not seen.

    Density is that of the test digits; clusters are those of the codes of validation and test digits, with the codes
    of the training digits as voters. Where there are no test digits, the validation digits stand for them.

    Args:
        model: The VAE.
        splits: The digits.
        binarization: What is done to grey pixels before densities are measured.
        metrics: Some of `METRICS`.
        effort: How much is computed; the quick form where left out.
        notify: Told what is computed next.

    Returns:
        Sections of measures by name, each ``{"digits", "seconds", "measures"}``, ready for JSON.

    Raises:
        InputError: If a metric is unknown, or clusters are asked for of digits without labels.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise InputError(f"There is no metric '{unknown[0]}'; use some of: {', '.join(METRICS)}.")
    name, judged = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    sections: dict[str, Any] = {}
    if "density" in metrics:
        began = time.perf_counter()
        measures = density_measures(model, judged.images, binarization, effort or Effort.quick(), notify)
        notify("real digits against changed ones")
        measures += outlier_measures(model, judged.images, binarization)
        sections["density"] = {"binarization": binarization, **_section(name, measures, began)}
    if "clusters" in metrics:
        voters = _codes(model, splits.train)
        for part, digits in {"validation": splits.validation, name: judged}.items():
            notify(f"clusters of the {part} digits")
            began = time.perf_counter()
            sections[f"clusters, {part}"] = _section(part, cluster_measures(*_codes(model, digits), *voters), began)
    return sections


def _section(digits: str, measures: Sequence[Measure], began: float) -> dict[str, Any]:
    seconds = round(time.perf_counter() - began, 2)
    return {"digits": digits, "seconds": seconds, "measures": [measure.to_dict() for measure in measures]}


def _codes(model: VAE, digits: Digits) -> tuple[Any, Any]:
    """Posterior means, where Euclidean distance is nearness in the latent space's topology, and labels."""
    if digits.labels is None:
        raise InputError("Clusters are held against labels, and these digits have none; leave the metric out.")
    with torch.inference_mode():
        return model.metric_codes(encode_images(model, digits.images).loc).numpy(), digits.labels
