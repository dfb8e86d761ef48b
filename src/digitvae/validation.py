"""Mean terms over many images: what training adds up, and what validation measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from digitvae.images import unit_range
from digitvae.models.vae import VAE
from digitvae.objective import elbo_terms, quadrature_terms
from digitvae.processes import ALONE, Team


@dataclass
class Sums:
    """Totals over images, so that a short last batch cannot bias a mean."""

    images: int = 0
    loss: float = 0.0
    rate: float = 0.0
    distortion: float = 0.0

    def add(self, images: int, loss: float, rate: float, distortion: float) -> None:
        """Add the totals of one batch."""
        self.images += images
        self.loss += loss
        self.rate += rate
        self.distortion += distortion

    def means(self) -> dict[str, float]:
        """Means per image, in nats."""
        return {name: getattr(self, name) / self.images for name in ("loss", "rate", "distortion")}


def share_statistics(model: nn.Module, team: Team) -> None:
    """Give all processes the mean of the running statistics of batch normalisation, which each keeps of its own parts
    of batches: so that they validate, and one of them saves, the same model."""
    layers = [part for part in model.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    kept = [each for layer in layers for each in (layer.running_mean, layer.running_var) if each is not None]
    team.add_up(kept)
    for each in kept:
        each.div_(team.size)


def evaluate_terms(
    model: VAE,
    images: Tensor,
    beta: float,
    seed: int,
    batch: int = 500,
    u: Tensor | None = None,
    label: Tensor | None = None,
    team: Team = ALONE,
) -> dict[str, Any]:
    """Mean terms of the ELBO over images (n, 1, 28, 28), uint8 or as the model sees them, one code each, in float32.

    With points `u` of the unit cube, shape (points, latent), those of `quadrature_terms` instead. A model that is
    conditioned on labels needs them, int64, shape (n,). The processes of a team take the batches in turn.

    Returns:
        ``loss``, ``rate`` and ``distortion``, in nats per image; ``rate_per_dimension``, a list, or None where the
        rate is not a sum over dimensions.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    training = model.training
    model.eval()
    sums = Sums()
    per_dimension: Tensor | None = None
    try:
        with torch.inference_mode():
            # All noise is drawn at once, so that the batch size does not matter.
            noise = torch.randn(len(images), model.latent_dim, generator=generator, device=images.device)
            for start in range(0, len(images), batch)[team.rank :: team.size]:
                x = unit_range(images[start : start + batch])
                part = noise[start : start + batch]
                given = model.given(None if label is None else label[start : start + batch])
                terms = elbo_terms(given, x, part) if u is None else quadrature_terms(given, x, u)
                totals = [float(t.double().sum()) for t in (terms.loss(beta), terms.rate, terms.distortion)]
                sums.add(len(x), *totals)
                if terms.rate_per_dimension is not None:
                    rates = terms.rate_per_dimension.double().sum(0)
                    per_dimension = rates if per_dimension is None else per_dimension + rates
    finally:
        model.train(training)
    if team.size > 1:
        per_dimension = _added_up(sums, per_dimension, model.latent_dim, team)
    each = None if per_dimension is None else (per_dimension / sums.images).tolist()
    return {**sums.means(), "rate_per_dimension": each}


def _added_up(sums: Sums, per_dimension: Tensor | None, latent_dim: int, team: Team) -> Tensor | None:
    """Add up `sums`, in place, and the rates of the dimensions over all processes; some may have had no batch."""
    own = torch.tensor([sums.images, sums.loss, sums.rate, sums.distortion, float(per_dimension is not None)]).double()
    rates = torch.zeros(latent_dim).double() if per_dimension is None else per_dimension.cpu().double().clone()
    team.add_up([own, rates])
    sums.images = int(own[0])
    sums.loss, sums.rate, sums.distortion = own[1:4].tolist()
    return rates if own[4] else None
