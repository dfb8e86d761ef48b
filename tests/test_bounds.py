"""The ELBO against models whose log p(x) is known: exactly (a linear one), or by quadrature (real digits)."""

import math

import pytest
import torch
from torch import nn

from digitvae.config import Config
from digitvae.distributions import NormalMixture, PixelNormal, StandardNormal
from digitvae.models.vae import VAE
from digitvae.objective import elbo_terms
from digitvae.training import Trainer


def draws(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class AffineEncoder(nn.Module):
    """loc is linear in the image, log_var is the same for all images."""

    def __init__(self, matrix, log_var):
        super().__init__()
        self.loc = nn.Linear(784, len(matrix), bias=False, dtype=torch.float64)
        self.loc.weight.data.copy_(matrix)
        self.fixed = log_var

    def forward(self, x):
        loc = self.loc(x.flatten(1))
        return loc, self.fixed.expand_as(loc)


class LinearDecoder(nn.Module):
    """The image is linear in the code."""

    def __init__(self, loadings):
        super().__init__()
        self.loadings = loadings

    def forward(self, z):
        return (z @ self.loadings.mT).unflatten(-1, (1, 28, 28))


class PlainNormal(PixelNormal):
    """Normal pixels of scale 1/2 around the decoder's output itself, without the sigmoid."""

    @property
    def mean(self):
        return self.logits


class PlainLikelihood(nn.Module):
    def forward(self, logits):
        return PlainNormal(logits, torch.tensor(math.log(0.5), dtype=torch.float64))


def linear_model(prior):
    """Probabilistic PCA, x = W z + noise of scale 1/2, with its exact posterior as the encoder.

    The columns of W are orthogonal, so that the posterior's dimensions are independent.

    Returns:
        The model, five images and their log p(x), from the Normal with covariance W W' + I/4.
    """
    loadings = torch.linalg.qr(draws(784, 2)).Q * torch.tensor([3.0, 0.5])
    precision = 1 + loadings.square().sum(0) / 0.25
    encoder = AffineEncoder(loadings.mT / 0.25 / precision[:, None], -precision.log())
    model = VAE(prior, encoder, LinearDecoder(loadings), PlainLikelihood())
    covariance = loadings @ loadings.mT + 0.25 * torch.eye(784, dtype=torch.float64)
    marginal = torch.distributions.MultivariateNormal(torch.zeros(784, dtype=torch.float64), covariance)
    x = (draws(5, 2, seed=1) @ loadings.mT + 0.5 * draws(5, 784, seed=2)).unflatten(-1, (1, 28, 28))
    return model, x, marginal.log_prob(x.flatten(1))


def test_the_bound_is_tight_at_the_exact_posterior():
    """log p(x, z) - log q(z given x) is log p(x) at every z, so even one sample gives it without error.

    The mixture prior, whose rate is estimated with that sample, is the standard Normal here: one component at 0.
    """
    prior = NormalMixture(2, 1).double()
    nn.init.zeros_(prior.loc)
    nn.init.zeros_(prior.log_var)
    model, x, log_prob = linear_model(prior)
    with torch.no_grad():
        elbo = elbo_terms(model, x, draws(5, 2, seed=3)).elbo
    torch.testing.assert_close(elbo, log_prob, rtol=1e-10, atol=1e-8)


def test_the_analytic_rate_keeps_the_bound_unbiased():
    """With the rate in closed form the estimate varies, but its mean is still log p(x): 4 standard errors."""
    model, x, log_prob = linear_model(StandardNormal(2))
    with torch.no_grad():
        elbos = torch.stack([elbo_terms(model, x, noise).elbo for noise in draws(2_000, 5, 2, seed=3)])
    error = elbos.std(0) / len(elbos) ** 0.5
    assert (error > 0).all()
    assert ((elbos.mean(0) - log_prob).abs() < 4 * error).all()


@pytest.fixture(scope="module")
def trained(digits):
    """A small two-dimensional model after a few passes over binarised digits, and 12 of them."""
    settings = ["encoder=[32]", "decoder=[32]", "epochs=12", "batch_size=40", "learning_rate=0.005"]
    settings += ["binarization=static", "precision=float32"]
    trainer = Trainer(Config().with_settings(settings), digits, digits[:12], torch.device("cpu"))
    for _ in range(12):
        trainer.train_epoch()
    return trainer.model.eval(), trainer.validation_images.float() / 255


def test_elbo_is_log_p_minus_the_divergence_to_the_true_posterior(trained):
    """ELBO = log p(x) - KL(q(z given x), p(z given x)) on real digits, both by quadrature over the latent plane.

    So the ELBO is a lower bound, and its estimate from single samples is unbiased (within 4 standard errors).
    """
    model, x = trained
    axis = torch.linspace(-6, 6, 201)
    cell = 2 * math.log(axis[1] - axis[0])
    codes = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        logits = model.decoder(codes).flatten(1)
        log_likelihood = logits @ x.flatten(1).mT - nn.functional.softplus(logits).sum(1, keepdim=True)
        log_prior = -0.5 * codes.square().sum(1) - math.log(2 * math.pi)
        log_joint = (log_likelihood + log_prior[:, None]).double()
        log_prob = torch.logsumexp(log_joint, 0) + cell
        log_q = model.encode(x).log_prob(codes[:, None]).double()
        elbos = torch.stack([elbo_terms(model, x, z).elbo for z in draws(400, 12, 2, dtype=torch.float32)]).double()
    q = (log_q + cell).exp()
    torch.testing.assert_close(q.sum(0), torch.ones(12, dtype=torch.float64), rtol=0, atol=1e-4)  # the grid is fine
    gap = (q * (log_q - (log_joint - log_prob))).sum(0)
    assert (gap > 0).all()
    assert float(log_prob.mean()) > -230  # it has learned: an untrained model is at -543
    error = elbos.std(0) / len(elbos) ** 0.5
    assert (elbos.mean(0) <= log_prob + 4 * error).all()
    assert ((elbos.mean(0) - (log_prob - gap)).abs() < 4 * error + 0.01).all()
