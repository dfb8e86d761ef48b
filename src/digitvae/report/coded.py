"""A snapshot's model with the digits as it codes them: what every section of the page draws from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitvae.checkpoint import load_model
from digitvae.data import Digits, Splits
from digitvae.distributions import DiagonalNormal
from digitvae.generation import encode_images
from digitvae.models.vae import VAE
from digitvae.rundir import RunDirectory

REFERENCE = 12_000
"""Training digits that vote and mark the support, at most: the first ones."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Coded:
    """A model as it was after an epoch, and the digits as it codes them.

    Attributes:
        epoch: The epoch.
        model: The model.
        posterior: Posteriors of the validation digits, parameters of shape (n, latent).
        reference_codes: Posterior means of the reference digits, shape (m, latent).
        validation: The validation digits.
        reference: Training digits that vote and mark the support.
    """

    epoch: int
    model: VAE
    posterior: DiagonalNormal
    reference_codes: Tensor
    validation: Digits
    reference: Digits

    @classmethod
    def load(cls, run: RunDirectory, epoch: int, splits: Splits) -> Coded:
        """Read the snapshot of `epoch` and encode the digits.

        Raises:
            RunError: If the snapshot is missing or damaged.
        """
        model, _ = load_model(run.snapshot(epoch))
        reference = splits.train.subset(slice(REFERENCE))
        return cls(
            epoch,
            model,
            encode_images(model, splits.validation.images, labels=splits.validation.labels),
            encode_images(model, reference.images, labels=reference.labels).loc,
            splits.validation,
            reference,
        )

    @property
    def codes(self) -> Array:
        """Posterior means of the validation digits, shape (n, latent)."""
        return self.posterior.loc.numpy()

    @property
    def names(self) -> tuple[str, str]:
        """What the two axes of the plane are called."""
        return ("latent dimension 1", "latent dimension 2" if self.model.latent_dim > 1 else "(one dimension only)")

    def examples(self) -> list[int]:
        """Positions of one validation digit of each class, the first; without labels of the first ten."""
        labels = self.validation.labels
        if labels is None:
            return list(range(min(10, len(self.validation))))
        return [int(np.argmax(labels == digit)) for digit in np.unique(labels)]

    def title(self, position: int) -> str:
        """What a validation digit is called: its class, or its place where it has none."""
        labels = self.validation.labels
        return f"no. {position + 1}" if labels is None else str(labels[position])


def plane(codes: Array | Tensor) -> Array:
    """The first two dimensions of codes of shape (..., latent); with one dimension the second is 0."""
    array = np.asarray(codes)
    return array[..., :2] if array.shape[-1] > 1 else np.concatenate([array, np.zeros_like(array)], -1)


def pixels(images: Tensor) -> Array:
    """Images (..., 1, 28, 28) as an array (..., 28, 28)."""
    return images.squeeze(-3).numpy()


def unit(images: Array) -> Array:
    """uint8 images as numbers in [0, 1]."""
    return images.astype(np.float32) / 255


def stream(seed: int, name: str) -> torch.Generator:
    """A seeded stream of random numbers for one part of the page."""
    state = np.random.SeedSequence([seed, *name.encode()]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


def axis_limit(coded: Sequence[Coded]) -> float:
    """Where the axes of all maps end: at 4, or farther out where more than 0.5 % of some snapshot's points are."""
    reach = max(float(np.quantile(np.abs(plane(each.codes)).max(1), 0.995)) for each in coded)
    return float(max(4, math.ceil(reach)))
