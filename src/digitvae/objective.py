"""What a VAE is trained and judged by: rate, distortion, ELBO, tighter bounds, and log p(x) itself by quadrature.

Per image, in nats; nothing is averaged over images here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from digitvae.distributions import DiagonalNormal, StandardNormal
from digitvae.lattice import lattice
from digitvae.models.vae import VAE
from digitvae.networks import decodes_one_by_one, same_units

IMAGES_AT_A_TIME = 1000
"""Images whose log probabilities under a chunk of points are computed at a time: what a processor's cache holds."""

NEGLIGIBLE = 0.01
"""What a point of a lattice has of the posteriors of a batch is negligible below this part of an equal share. All such
points together have at most as large a part of the whole."""

FEW = 0.5
"""Share of points below which it is faster to decode them twice than to take the derivative at all."""

ROUND = 128
"""Points are taken by so many: libraries prepare themselves for each new number of rows."""


@dataclass(frozen=True)
class Terms:
    """The two terms of the ELBO for each image of a batch, in nats.

    Attributes:
        rate: KL divergence of the posterior to the prior, shape (batch,).
        distortion: Minus the expected log-likelihood, summed over the pixels, shape (batch,).
        rate_per_dimension: The rate of each latent dimension, shape (batch, latent); None where the prior's
            dimensions are not independent.
    """

    rate: Tensor
    distortion: Tensor
    rate_per_dimension: Tensor | None = None

    @property
    def elbo(self) -> Tensor:
        """-(rate + distortion): a lower bound on log p(x), always with weight 1, shape (batch,)."""
        return -(self.rate + self.distortion)

    def loss(self, beta: float) -> Tensor:
        """distortion + beta * rate: what is minimised (Higgins et al., 2017), shape (batch,)."""
        return self.distortion + beta * self.rate


def elbo_terms(model: VAE, x: Tensor, noise: Tensor, posterior: DiagonalNormal | None = None) -> Terms:
    """Rate and distortion of images, with one code drawn for each (Kingma and Welling, 2014, equation 10).

    The same function serves training and validation, so both measure the same thing.

    Args:
        model: The VAE.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].
        noise: Standard Normal draws, shape (batch, latent), that pick each image's code from its posterior.
        posterior: Of these images, where the caller has it already.
    """
    posterior = posterior or model.encode(x)
    z = posterior.at(noise)
    distortion = -model.decode(z).log_prob(x)
    if isinstance(model.prior, StandardNormal):
        per_dimension = model.prior.rate_per_dimension(posterior)
        return Terms(per_dimension.sum(-1), distortion, per_dimension)
    return Terms(model.prior.rate(posterior, z), distortion)


def quadrature_terms(model: VAE, x: Tensor, u: Tensor) -> Terms:
    """Rate and distortion of images under their exact posterior, by quadrature; their sum is -log p(x).

    The decoder is read as a mixture with one component for each point. With points that are drawn anew at every step
    this is the objective of Martinez and Williams (2026), "Quasi Monte Carlo methods enable extremely low-dimensional
    deep generative models". The gradient is that of the sum, without the points that are `NEGLIGIBLE` where those are
    most; the encoder gets none.

    Args:
        model: The VAE.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].
        u: Points of the unit cube, shape (points, latent), such as `digitvae.lattice.lattice` gives.
    """
    z, log_weight = model.prior.at_quantiles(u)
    joint = model.decode(z).cross_log_prob(x) + log_weight
    log_prob, posterior = _log_sum_exp(joint)
    with torch.no_grad():
        distortion = posterior @ log_weight - torch.linalg.vecdot(posterior, joint)
        rate = (-log_prob - distortion).clamp(min=0)
        shares = posterior.sum(0)
        needed = int((shares > NEGLIGIBLE * len(x) / len(z)).sum())
        needed = -(-needed // ROUND) * ROUND
    if torch.is_grad_enabled() and needed < FEW * len(z) and decodes_one_by_one(model.decoder):
        # Of a map that is learned, most points explain no image of the batch. The derivative is taken at the others
        # alone, which are decoded once more.
        near = shares.topk(needed).indices
        with same_units(model.decoder):
            part, _ = _log_sum_exp(model.decode(z[near]).cross_log_prob(x) + log_weight[near])
        log_prob = log_prob.detach() + (part - part.detach())
    return Terms(rate, -log_prob - rate)


class _LogSumExp(torch.autograd.Function):
    """log sum exp over each row, and the softmax of the row, with the softmax kept for the derivative.

    `torch.logsumexp` takes the exponential twice, and of numbers so low that the results are denormal: on many
    processors each of those takes a hundred times longer. What is 40 nats below the highest counts as that low.
    """

    @staticmethod
    def forward(ctx: Any, joint: Tensor) -> tuple[Tensor, Tensor]:
        highest = joint.amax(1, keepdim=True)
        softmax = (joint - highest).clamp_(min=-40).exp_()
        total = softmax.sum(1, keepdim=True)
        softmax /= total
        ctx.save_for_backward(softmax)
        ctx.mark_non_differentiable(softmax)
        return (highest + total.log()).squeeze(1), softmax

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (softmax,) = ctx.saved_tensors
        return cast(Tensor, softmax * gradients[0][:, None])


def encoder_terms(model: VAE, x: Tensor, noise: Tensor) -> Terms:
    """The terms of `elbo_terms`, with a gradient for the encoder alone: it fits the posterior to a decoder that stays.

    Arguments as in `elbo_terms`.
    """
    posterior = model.encode(x)
    z = posterior.at(noise)
    held = z.detach().requires_grad_()
    distortion = -model.decode(held).log_prob(x)
    (slope,) = torch.autograd.grad(distortion.sum(), held)
    learned = [p for p in model.prior.parameters() if p.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    rate = model.prior.rate(posterior, z)
    for parameter in learned:
        parameter.requires_grad_(True)
    return Terms(rate, distortion.detach() + ((z - z.detach()) * slope).sum(-1))


def iw_bound(
    model: VAE,
    x: Tensor,
    k: int,
    generator: torch.Generator,
    chunk: int = 20_000,
    posterior: DiagonalNormal | None = None,
) -> Tensor:
    """The importance-weighted bound on log p(x) with `k` codes for each image (Burda et al., 2016), shape (batch,).

    With ``k = 1`` it is an ELBO (of one draw, rate too); it rises with `k` in expectation. Computed without gradients.

    Args:
        model: The VAE.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].
        k: Codes for each image.
        generator: Picks the codes.
        chunk: Images decoded at a time; only the memory taken depends on it.
        posterior: Of these images, where the caller has it already.
    """
    with torch.no_grad():
        posterior = posterior or model.encode(x)
        log_sum = torch.full((len(x),), -math.inf, device=x.device)
        for part in torch.split(torch.arange(k), max(1, chunk // len(x))):
            z = posterior.sample(generator, len(part))
            log_sum = torch.logaddexp(log_sum, _log_weights(model, x, posterior, z).logsumexp(0))
        return log_sum - math.log(k)


def iw_bound_at(model: VAE, x: Tensor, noise: Tensor, posterior: DiagonalNormal | None = None) -> Tensor:
    """The same bound with noise that is given and is the same for every image: it depends on the image alone.

    All codes are decoded at once. Computed without gradients.

    Args:
        model: The VAE.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].
        noise: Standard Normal draws, shape (k, latent).
        posterior: Of these images, where the caller has it already.
    """
    with torch.no_grad():
        posterior = posterior or model.encode(x)
        return pooled(_log_weights(model, x, posterior, posterior.at(noise[:, None])))


def _log_weights(model: VAE, x: Tensor, posterior: DiagonalNormal, z: Tensor) -> Tensor:
    """log p(x, z) - log q(z given x) of codes (sample, batch, latent), shape (sample, batch)."""
    return model.decode(z).log_prob(x) + model.prior.log_prob(z) - posterior.log_prob(z)


def log_prob_quadrature(model: VAE, x: Tensor, size: int, shifts: Tensor, chunk: int = 4096) -> Tensor:
    """Estimates of log p(x) by numerical integration over a latent space of 1 to 3 dimensions.

    Each shift of the lattice gives one: the log likelihood of the decoder read as a mixture of `size` fixed points,
    exact as such, and in expectation over the shifts a lower bound on log p(x). `pooled` puts the shifts together.
    Computed without gradients, in the number format of the model's weights: give it float32 or better.

    Args:
        model: The VAE.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].
        size: Points of the lattice; in the plane a Fibonacci number.
        shifts: One shift of the lattice each, shape (shifts, latent), in [0, 1).
        chunk: Points decoded at a time; only the memory taken depends on it.

    Returns:
        Shape (shifts, batch).

    Raises:
        InputError: If the model has more than three latent dimensions or `size` is not a Fibonacci number.
    """
    log_sums = torch.full((len(shifts), len(x)), -math.inf, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        for shift, log_sum in zip(shifts, log_sums, strict=True):
            for u in torch.split(lattice(size, model.latent_dim, shift).to(x.device), chunk):
                z, log_weight = model.prior.at_quantiles(u, x.dtype)
                points = model.decode(z)
                pieces = (torch.split(t, IMAGES_AT_A_TIME) for t in (x, log_sum))
                for images, part in zip(*pieces, strict=True):
                    joint = points.cross_log_prob(images) + log_weight
                    torch.logaddexp(part, _log_sum_exp(joint)[0] + math.log(len(u) / size), out=part)
    return log_sums


def _log_sum_exp(joint: Tensor) -> tuple[Tensor, Tensor]:
    """log sum exp over each row, which has a derivative, and the softmax of each row, which has none."""
    return cast(tuple[Tensor, Tensor], _LogSumExp.apply(joint))  # type: ignore[no-untyped-call]


def pooled(estimates: Tensor) -> Tensor:
    """Log of the mean over the first axis of what is given as logarithms: all shifts as one set of points."""
    return estimates.logsumexp(0) - math.log(len(estimates))
