"""Posterior, priors and likelihoods: each can ``sample`` with an explicit generator and give ``log_prob``.

`torch.distributions` cannot draw from a generator of one's own, which reproducible random streams need; that is why
these few classes exist. They are tested against it. All probabilities are in nats, summed over the event (latent
dimensions or pixels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class DiagonalNormal:
    """A Normal with independent dimensions, as the encoder gives it for each image.

    Attributes:
        loc: Means, shape (..., latent).
        log_var: Logarithms of the variances, shape (..., latent).
    """

    loc: Tensor
    log_var: Tensor

    @property
    def scale(self) -> Tensor:
        """Standard deviations, shape (..., latent)."""
        return torch.exp(0.5 * self.log_var)

    def sample(self, generator: torch.Generator | None = None, samples: int | None = None) -> Tensor:
        """Draw codes (reparameterised: gradients flow to loc and log_var).

        Returns:
            Shape (..., latent), or (sample, ..., latent) where `samples` is given.
        """
        shape = self.loc.shape if samples is None else (samples, *self.loc.shape)
        noise = torch.randn(shape, generator=generator, device=self.loc.device, dtype=self.loc.dtype)
        return self.at(noise)

    def at(self, noise: Tensor) -> Tensor:
        """The codes that standard Normal noise of shape (..., latent) picks: loc + scale * noise."""
        return self.loc + self.scale * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, summed over the latent dimensions, shape (...)."""
        squared = (z - self.loc).square() * torch.exp(-self.log_var)
        return -0.5 * (squared + self.log_var + _LOG_2PI).sum(-1)


class StandardNormal(nn.Module):
    """The standard Normal prior over `latent_dim` dimensions."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes, shape (n, latent)."""
        return torch.randn(n, self.latent_dim, generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (...)."""
        return -0.5 * (z.square() + _LOG_2PI).sum(-1)

    def rate(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """KL divergence of the posterior to this prior, exact, in nats, shape (batch,).

        Kingma and Welling (2014), appendix B; `z` is not needed.
        """
        return self.rate_per_dimension(posterior).sum(-1)

    def rate_per_dimension(self, posterior: DiagonalNormal) -> Tensor:
        """The same divergence for each latent dimension, shape (batch, latent)."""
        loc, log_var = posterior.loc, posterior.log_var
        return 0.5 * (loc.square() + (torch.expm1(log_var) - log_var))

    def at_quantiles(self, u: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Turn points of the unit cube into codes whose weighted sum stands for an integral over this prior.

        Args:
            u: Shape (points, latent), in [0, 1].
            dtype: Number format of what is returned.

        Returns:
            Codes, shape (points, latent), and the logarithms of their weights, which sum to 1, shape (points,).
        """
        log_weight = torch.full((len(u),), -math.log(len(u)), dtype=dtype, device=u.device)
        return _normal_quantile(u, dtype), log_weight

    def given(self, label: Tensor | None) -> Self:
        """The prior given labels: it is the same for all."""
        return self


class NormalMixture(nn.Module):
    """A learned mixture of Normals with independent dimensions, as the prior.

    Means start at random, weights equal; all are learned with the networks. Its rate has no closed form, so it is
    estimated with the sample that was drawn: unbiased, but for one image it can come out below zero.
    """

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, latent_dim))
        self.log_var = nn.Parameter(torch.full((components, latent_dim), math.log(0.25)))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes, shape (n, latent)."""
        which = torch.multinomial(self.logits.softmax(0), n, replacement=True, generator=generator)
        return DiagonalNormal(self.loc[which], self.log_var[which]).sample(generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (...)."""
        each = DiagonalNormal(self.loc, self.log_var).log_prob(z.unsqueeze(-2))
        return torch.logsumexp(each + self.logits.log_softmax(0), -1)

    def rate(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """One-sample estimate of the KL divergence to this prior, in nats, shape (batch,)."""
        return posterior.log_prob(z) - self.log_prob(z)

    def at_quantiles(self, u: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """As for `StandardNormal`; every component gets all the points, so there are components times points."""
        each = DiagonalNormal(self.loc[:, None], self.log_var[:, None]).at(_normal_quantile(u, dtype))
        log_weight = self.logits.log_softmax(0)[:, None] - math.log(len(u))
        return each.flatten(0, 1), log_weight.expand(-1, len(u)).flatten()

    def given(self, label: Tensor | None) -> Self:
        """The prior given labels: it is the same for all."""
        return self


def _normal_quantile(u: Tensor, dtype: torch.dtype) -> Tensor:
    """Quantiles of the standard Normal; 0 and 1, whose quantiles are infinite, count as 1e-9 from there."""
    quantile: Tensor = torch.special.ndtri(u.double().clamp(1e-9, 1 - 1e-9))
    return quantile.to(dtype)


class Distribution(Protocol):
    """What a likelihood gives for each image: its mean, samples and log probabilities."""

    @property
    def logits(self) -> Tensor:
        """What the decoder gave, shape (..., 1, 28, 28)."""

    @property
    def mean(self) -> Tensor:
        """Expected images, shape (..., 1, 28, 28)."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Drawn images, shape (..., 1, 28, 28)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log probability in nats, summed over the pixels, shape (...)."""

    def cross_log_prob(self, x: Tensor) -> Tensor:
        """The same for every image under each of (points) distributions, by one matrix product.

        Args:
            x: Images, shape (batch, 1, 28, 28).

        Returns:
            Shape (batch, points).
        """

    def score_and_information(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Derivative of ``log_prob`` by each logit, and the Fisher information of each, shape (..., 1, 28, 28)."""


class _CrossEntropy(torch.autograd.Function):
    """Binary cross-entropy from logits, summed over the pixels, with its derivative found in the same pass.

    Equal to `torch.nn.functional.binary_cross_entropy_with_logits`, which spends twice the time: it is a third of a
    training step of a small VAE.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        return (F.softplus(logits) - x * logits).flatten(-3).sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, x = ctx.saved_tensors
        (gradient,) = gradients
        return torch.sigmoid(logits).sub_(x).mul_(gradient[..., None, None, None]), None


@dataclass(frozen=True)
class Bernoulli:
    """Independent pixels that are ink or paper, from their logits.

    For grey images ``log_prob`` is minus the binary cross-entropy: the expected log probability of the image
    binarised at random, not the logarithm of a probability.
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        """Probabilities of ink, shape (..., 1, 28, 28)."""
        return torch.sigmoid(self.logits)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Images of zeros and ones, shape (..., 1, 28, 28)."""
        return torch.bernoulli(self.mean, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Minus the binary cross-entropy in nats, summed over the pixels, shape (...)."""
        logits, x = torch.broadcast_tensors(self.logits, x)  # type: ignore[no-untyped-call]
        return -cast(Tensor, _CrossEntropy.apply(logits, x))  # type: ignore[no-untyped-call]

    def cross_log_prob(self, x: Tensor) -> Tensor:
        """Minus the binary cross-entropy of each image (batch, 1, 28, 28) under each point, shape (batch, points)."""
        logits = self.logits.flatten(1)
        return x.flatten(1) @ logits.T - F.softplus(logits).sum(1)

    def score_and_information(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Derivative of ``log_prob`` by each logit, and the Fisher information of each, shape (..., 1, 28, 28)."""
        mean = self.mean
        return x - mean, mean * (1 - mean)


@dataclass(frozen=True)
class PixelNormal:
    """Independent Normal pixels around sigmoid(logits), with one scale for all."""

    logits: Tensor
    log_scale: Tensor

    @property
    def mean(self) -> Tensor:
        """Expected grey values in [0, 1], shape (..., 1, 28, 28)."""
        return torch.sigmoid(self.logits)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Images, not cut to [0, 1], shape (..., 1, 28, 28)."""
        mean = self.mean
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + noise * self.log_scale.exp()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, summed over the pixels, shape (...)."""
        squared = ((x - self.mean) / self.log_scale.exp()).square()
        return -0.5 * (squared + 2 * self.log_scale + _LOG_2PI).flatten(-3).sum(-1)

    def cross_log_prob(self, x: Tensor) -> Tensor:
        """Log density of each image (batch, 1, 28, 28) under each point, shape (batch, points)."""
        x, mean = x.flatten(1), self.mean.flatten(1)
        squared = x.square().sum(1, keepdim=True) - 2 * (x @ mean.T) + mean.square().sum(1)
        constant = x.shape[1] * (2 * self.log_scale + _LOG_2PI)
        return -0.5 * (squared * torch.exp(-2 * self.log_scale) + constant)

    def score_and_information(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Derivative of ``log_prob`` by each logit, and the Fisher information of each, shape (..., 1, 28, 28)."""
        mean, precision = self.mean, torch.exp(-2 * self.log_scale)
        slope = mean * (1 - mean)
        return (x - mean) * slope * precision, slope.square() * precision


@dataclass(frozen=True)
class FeatureNormal(PixelNormal):
    """Independent Normal features around any real mean, with one scale for all; the decoder gives the mean itself."""

    @property
    def mean(self) -> Tensor:
        """Expected features: what the decoder gave."""
        return self.logits

    def score_and_information(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Derivative of ``log_prob`` by each mean, and the Fisher information of each, in the shape of the means."""
        precision = torch.exp(-2 * self.log_scale)
        return (x - self.mean) * precision, precision.expand_as(self.mean)


class BernoulliLikelihood(nn.Module):
    """Turns logits into `Bernoulli` pixels."""

    def forward(self, logits: Tensor) -> Bernoulli:
        """The distribution for logits of shape (..., 1, 28, 28)."""
        return Bernoulli(logits)


class NormalLikelihood(nn.Module):
    """Turns logits into `PixelNormal` pixels; the common scale is learned and starts at 0.3."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.3)))

    def forward(self, logits: Tensor) -> PixelNormal:
        """The distribution for logits of shape (..., 1, 28, 28)."""
        return PixelNormal(logits, self.log_scale)


class FeatureLikelihood(NormalLikelihood):
    """Turns what the decoder gives into `FeatureNormal` features, for data that are no grey levels: standardised, so
    that the common scale starts at 1."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.log_scale)

    def forward(self, logits: Tensor) -> FeatureNormal:
        """The distribution for means of any shape (..., channels, height, width)."""
        return FeatureNormal(logits, self.log_scale)
