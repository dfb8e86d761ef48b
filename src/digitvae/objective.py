"""What a VAE is trained and judged by: rate, distortion, ELBO. Per image, in nats; nothing is averaged here."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from digitvae.distributions import StandardNormal
from digitvae.models.vae import VAE


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


def elbo_terms(model: VAE, x: Tensor, noise: Tensor) -> Terms:
    """Rate and distortion of images, with one code drawn for each (Kingma and Welling, 2014, equation 10).

    The same function serves training and validation, so both measure the same thing.

    Args:
        model: The VAE.
        x: Images, shape (batch, 1, 28, 28), in [0, 1].
        noise: Standard Normal draws, shape (batch, latent), that pick each image's code from its posterior.
    """
    posterior = model.encode(x)
    z = posterior.at(noise)
    distortion = -model.decode(z).log_prob(x)
    if isinstance(model.prior, StandardNormal):
        per_dimension = model.prior.rate_per_dimension(posterior)
        return Terms(per_dimension.sum(-1), distortion, per_dimension)
    return Terms(model.prior.rate(posterior, z), distortion)
