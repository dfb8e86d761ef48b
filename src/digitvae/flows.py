"""A prior that bends: a standard Normal taken through coupling layers, which may know the digit."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor, nn

from digitvae.distributions import DiagonalNormal, StandardNormal
from digitvae.networks import one_hot

REACH = 2.0
"""The most by which one layer stretches or shrinks a dimension, as a logarithm: nothing learned can blow up."""


class Coupling(nn.Module):
    """One affine coupling layer (Dinh et al., 2017): half of the dimensions, and the label, shift and scale the others.

    Args:
        latent_dim: Number of dimensions, 2 or more.
        width: Width of its two hidden layers.
        classes: Labels it is conditioned on, 0 for none.
        order: The order that dimensions are taken in: the first half stays, the second half is changed.
    """

    def __init__(self, latent_dim: int, width: int, classes: int, order: Tensor) -> None:
        super().__init__()
        self.classes = classes
        self.stay, self.change = latent_dim // 2, latent_dim - latent_dim // 2
        self.order: Tensor
        self.back: Tensor
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)
        self.body = nn.Sequential(nn.Linear(self.stay + classes, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.last = nn.Linear(width, 2 * self.change)
        nn.init.normal_(self.last.weight, std=1e-3)  # it begins by changing nearly nothing
        nn.init.zeros_(self.last.bias)

    def forward(self, z: Tensor, hot: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        """Codes (..., latent), one-hot labels (..., classes) to changed codes, and the log of their volume, (...)."""
        fixed, free = torch.split(z[..., self.order], [self.stay, self.change], -1)
        shift, scale = self.last(self.body(fixed if hot is None else torch.cat([fixed, hot], -1))).chunk(2, -1)
        scale = REACH * torch.tanh(scale / REACH)
        free = (free - shift) * torch.exp(-scale) if inverse else free * torch.exp(scale) + shift
        volume = scale.sum(-1)
        return torch.cat([fixed, free], -1)[..., self.back], -volume if inverse else volume


class FlowPrior(nn.Module):
    """A standard Normal taken through coupling layers: samples in one pass, densities in one pass back.

    With classes it is a prior of its own for each; `given` says for which image which.

    Args:
        latent_dim: Number of dimensions, 2 or more.
        layers: Coupling layers.
        width: Width of their hidden layers.
        classes: Labels that it is conditioned on, 0 for none.

    >>> prior = FlowPrior(4, layers=2, width=8, classes=10).given(torch.tensor([7, 1]))
    >>> codes = prior.sample(2)
    >>> noise, log_prob = prior.to_noise(codes)
    >>> codes.shape, log_prob.shape
    (torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(self, latent_dim: int, layers: int, width: int, classes: int = 0) -> None:
        super().__init__()
        self.latent_dim, self.classes = latent_dim, classes
        order, couplings = torch.arange(latent_dim), []
        for _ in range(0, layers, 2):
            # Both halves change, then the order is dealt out like cards: soon every dimension has met every other.
            couplings += [Coupling(latent_dim, width, classes, each) for each in (order, order.flip(0))]
            order = torch.cat([order[::2], order[1::2]])
        self.layers = nn.ModuleList(couplings[:layers])
        self.base = StandardNormal(latent_dim)
        self.label: Tensor | None = None

    def given(self, label: Tensor | None) -> Self:
        """The prior, with the same weights, for images of these labels, as `VAE.given` takes them."""
        other = copy.copy(self)
        other.label = label
        return other

    def to_code(self, noise: Tensor) -> Tensor:
        """The codes that standard Normal noise of shape (..., latent) stands for."""
        hot = one_hot(self.label, self.classes, noise)
        for layer in self.layers:
            noise, _ = layer(noise, hot, inverse=False)
        return noise

    def to_noise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The noise that codes stand for, shape (..., latent), and their log density in nats, shape (...)."""
        hot = one_hot(self.label, self.classes, z)
        volume = torch.zeros(z.shape[:-1], device=z.device)
        for layer in reversed(self.layers):
            z, change = layer(z, hot, inverse=True)
            volume = volume + change
        return z, self.base.log_prob(z) + volume

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes, shape (n, latent): one for each label where there are classes."""
        return self.to_code(self.base.sample(n, generator))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (...)."""
        return self.to_noise(z)[1]

    def at_quantiles(self, u: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """As for `StandardNormal`, whose points are bent as its codes are."""
        noise, log_weight = self.base.at_quantiles(u, dtype)
        return self.to_code(noise), log_weight

    def rate(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """One-sample estimate of the KL divergence of the posterior to this prior, in nats, shape (batch,)."""
        return posterior.log_prob(z) - self.log_prob(z)
