"""The posterior without an encoder: found by search where a lattice can hold the whole latent space.

A decoder trained by quadrature may lay out its codes so finely folded that no network learns the way back from an
image to its code. The decoder knows it: the likeliest point of a lattice, a few Gauss-Newton steps from there, and the
information at the end give the Normal that fits the posterior at its highest peak (Laplace's approximation).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from digitvae.distributions import DiagonalNormal, Distribution, StandardNormal
from digitvae.lattice import lattice

POINTS = {1: 4096, 2: 4181, 3: 4096}
"""Points of the lattice, by latent dimensions."""

STEPS = 6
"""Gauss-Newton steps."""

NUDGE = 1e-3
"""Step of the finite differences, in latent units: small against any posterior, large against rounding."""


def lattice_posterior(decode: Callable[[Tensor], Distribution], prior: StandardNormal, x: Tensor) -> DiagonalNormal:
    """The Normal that fits p(z given x) at its highest peak, with no gradient.

    Args:
        decode: Codes (batch, latent) to the likelihood of images.
        prior: The prior, of 1 to 3 dimensions.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].

    Raises:
        InputError: If there are more than three latent dimensions.
    """
    with torch.no_grad():
        z = _likeliest(decode, prior, x)
        height = _height(decode, prior, x, z)
        share = torch.ones_like(height)  # of the full step; shortened for an image whose last step led downhill
        for _ in range(STEPS):
            score, information = _slope(decode, x, z)
            # The prior's own slope and information are -z and 1.
            step = torch.linalg.solve(information, score - z)
            tried = z + share[:, None] * step
            reached = _height(decode, prior, x, tried)
            better = reached > height
            z, height = torch.where(better[:, None], tried, z), torch.where(better, reached, height)
            share = torch.where(better, share, share / 4)
        _, information = _slope(decode, x, z)
        return DiagonalNormal(z, -torch.diagonal(information, dim1=-2, dim2=-1).log())


def _likeliest(decode: Callable[[Tensor], Distribution], prior: StandardNormal, x: Tensor) -> Tensor:
    u = lattice(POINTS.get(prior.latent_dim, 1), prior.latent_dim, 0.5).to(x.device)
    z, _ = prior.at_quantiles(u, x.dtype)
    return z[decode(z).cross_log_prob(x).argmax(1)]


def _height(decode: Callable[[Tensor], Distribution], prior: StandardNormal, x: Tensor, z: Tensor) -> Tensor:
    return decode(z).log_prob(x) + prior.log_prob(z)


def _slope(decode: Callable[[Tensor], Distribution], x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative of log p(x given z) by z, (batch, latent); information, prior included, (batch, latent, latent)."""
    columns = []
    for dimension in range(z.shape[-1]):
        nudge = torch.zeros_like(z)
        nudge[:, dimension] = NUDGE
        columns.append((decode(z + nudge).logits - decode(z - nudge).logits).flatten(1) / (2 * NUDGE))
    jacobian = torch.stack(columns, 1)
    score, weight = (values.flatten(1) for values in decode(z).score_and_information(x))
    information = (jacobian * weight[:, None]) @ jacobian.transpose(1, 2)
    return (jacobian @ score[..., None]).squeeze(-1), information + torch.eye(z.shape[-1], device=z.device)
