"""How probable each of a user's digits is under a model, and how that compares with real digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitvae.config import Binarization
from digitvae.evaluation.density import log_likelihood, prepared
from digitvae.models.vae import VAE

REFERENCE = 2000
"""Real digits that percentiles are taken among, at most: the first ones."""


@dataclass(frozen=True, eq=False)
class Scores:
    """log p(x) of images, and where each stands among real digits.

    Attributes:
        log_prob: Nats, float32, shape (n,).
        percentile: Per cent of the real digits with a lower log p(x), from 0 to 100, shape (n,).
        estimator: What `log_prob` is: ``log_prob_quadrature`` or ``iw_bound(k)``.
        binarization: What was done to grey pixels; with ``none`` it is minus a cross-entropy, not a log probability.
        reference: How many real digits the percentiles are among.
    """

    log_prob: npt.NDArray[np.float32]
    percentile: npt.NDArray[np.float64]
    estimator: str
    binarization: str
    reference: int


def score_images(
    model: VAE, images: Tensor | npt.NDArray[np.uint8], real: npt.NDArray[np.uint8], binarization: Binarization
) -> Scores:
    """Score images and place them among real digits.

    Args:
        model: The VAE.
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 or floating point in [0, 1].
        real: Real digits that the model was not trained on, as `images`; the first `REFERENCE` are used.
        binarization: ``dynamic`` and ``static`` draw each pixel once, with a fixed seed; ``none`` keeps it grey.

    Raises:
        InputError: If the images have another shape, type or range.
    """
    log_prob, estimator = log_likelihood(model, prepared(images, binarization))
    among, _ = log_likelihood(model, prepared(real[:REFERENCE], binarization))
    place = torch.searchsorted(among.sort().values, log_prob.contiguous())
    percentile = 100 * place.double() / len(among)
    return Scores(log_prob.numpy(), percentile.numpy(), estimator, binarization, len(among))


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
