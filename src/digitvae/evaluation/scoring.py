"""How probable each of a user's digits is under a model, and how that compares with real digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitvae.config import Binarization
from digitvae.config.rules import QUADRATURE_DIMENSIONS
from digitvae.evaluation.density import Effort, KeptLattice, is_cross_entropy, log_likelihood
from digitvae.images import as_images, unit_range
from digitvae.models.vae import VAE
from digitvae.objective import iw_bound_at

REFERENCE = 2000
"""Real digits that percentiles are taken among, at most: the first ones."""

RAREST = 0.05
"""Per cent of real digits that are as odd as what is taken for no digit."""

QUANTILES = 1001
"""Scores of real digits that a shipped model carries, so that no data is needed to place others among them."""


@dataclass(frozen=True, eq=False)
class Reference:
    """log p(x) of real digits that a model was not trained on: what percentiles are taken among.

    Attributes:
        log_prob: Nats, float32, rising, shape (m,).
        digits: What they are, such as ``2,000 validation digits of MNIST``.
        estimator: What `log_prob` is: ``log_prob_quadrature`` or ``iw_bound(k)``.
        binarization: What was done to grey pixels; with ``none`` and a likelihood of zeros and ones it is minus a
            cross-entropy, not a log probability.
        cross_entropy: Whether it is.
    """

    log_prob: Tensor
    digits: str
    estimator: str
    binarization: Binarization
    cross_entropy: bool = False

    @property
    def title(self) -> str:
        """What a score is, for tables."""
        return f"minus cross-entropy ({self.estimator})" if self.cross_entropy else self.estimator

    @classmethod
    def measured(cls, model: VAE, real: npt.NDArray[np.uint8], binarization: Binarization, digits: str) -> Reference:
        """Score real digits, shape (n, 28, 28), uint8; the first `REFERENCE` are used. `digits` says what they are."""
        used = real[:REFERENCE]
        log_prob, estimator = _each_alone(model, used, binarization)
        grey = is_cross_entropy(model, binarization)
        return cls(log_prob.sort().values, f"{len(used):,} {digits}", estimator, binarization, grey)

    def to_dict(self) -> dict[str, Any]:
        """`QUANTILES` of the scores, to a hundredth of a nat, and the rest, as JSON values."""
        quantiles = torch.quantile(self.log_prob.double(), torch.linspace(0, 1, QUANTILES, dtype=torch.float64))
        rounded = [round(value, 2) for value in quantiles.tolist()]
        about = {"digits": self.digits, "estimator": self.estimator, "cross_entropy": self.cross_entropy}
        return {**about, "quantiles": rounded}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], binarization: Binarization) -> Reference:
        """What `to_dict` gave.

        Raises:
            KeyError, TypeError or ValueError: If it is something else.
        """
        quantiles = torch.tensor(values["quantiles"], dtype=torch.float32)
        # What was carried before there was the mark was of models with a likelihood of zeros and ones.
        grey = bool(values.get("cross_entropy", binarization == "none"))
        return cls(quantiles, str(values["digits"]), str(values["estimator"]), binarization, grey)


@dataclass(frozen=True, eq=False)
class Scores:
    """log p(x) of images, and where each stands among real digits.

    Attributes:
        log_prob: Nats, float32, shape (n,).
        percentile: Per cent of the real digits with a lower log p(x), from 0 to 100, shape (n,).
        reference: The real digits, the estimator and the binarisation, which are the images' too.
    """

    log_prob: npt.NDArray[np.float32]
    percentile: npt.NDArray[np.float64]
    reference: Reference


def score_images(model: VAE | KeptLattice, images: Tensor | npt.NDArray[np.uint8], reference: Reference) -> Scores:
    """Score images and place them among real digits. A score depends on its image alone, not on those beside it.

    Args:
        model: The VAE, or what is kept of it for images that come one at a time.
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 or floating point in [0, 1].
        reference: Of the same model; its binarisation is used: ``dynamic`` and ``static`` draw each pixel once, with
            a fixed seed; ``none`` keeps it grey.

    Raises:
        InputError: If the images have another shape, type or range.
    """
    log_prob, _ = _each_alone(model, images, reference.binarization)
    place = torch.searchsorted(reference.log_prob, log_prob.contiguous())
    percentile = 100 * place.double() / len(reference.log_prob)
    return Scores(log_prob.numpy(), percentile.numpy(), reference)


def _each_alone(
    model: VAE | KeptLattice, images: Tensor | npt.NDArray[np.uint8], binarization: Binarization
) -> tuple[Tensor, str]:
    """Scores and what they are, with the same random numbers for every image: pixels are drawn, and codes, as if each
    image were the only one."""
    x = unit_range(as_images(images))
    generator = torch.Generator().manual_seed(0)
    if binarization != "none":
        x = (torch.rand(x.shape[1:], generator=generator) < x).to(x.dtype)
    if isinstance(model, KeptLattice):
        return model.log_likelihood(x)
    if model.latent_dim <= QUADRATURE_DIMENSIONS:
        return log_likelihood(model, x)
    k = Effort.quick().k
    noise = torch.randn(k, model.latent_dim, generator=torch.Generator().manual_seed(0))
    return torch.cat([iw_bound_at(model, part, noise) for part in torch.split(x, 500)]), f"iw_bound({k})"


def in_words(percentile: float) -> str:
    """A percentile as people say it.

    >>> in_words(1.4), in_words(50), in_words(97.2)
    ('rarer than 98 % of real digits', 'ordinary', 'more typical than 97 % of real digits')
    """
    if percentile <= 0:
        return "rarer than all real digits"
    if percentile < 25:
        return f"rarer than {int(100 - percentile)} % of real digits"
    return "ordinary" if percentile < 75 else f"more typical than {int(percentile)} % of real digits"
