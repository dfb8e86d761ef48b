"""The posterior by search: at the peak of the exact one, as narrow as it, for real digits and a trained decoder."""

import pytest
import torch
from torch.autograd.functional import jacobian

from digitvae.config import Config, ModelConfig
from digitvae.distributions import Bernoulli, NormalLikelihood, PixelNormal
from digitvae.errors import ConfigError
from digitvae.lattice import lattice
from digitvae.models.vae import VAE
from digitvae.objective import elbo_terms, log_prob_quadrature
from digitvae.training import Trainer

SETTINGS = ["decoder=[64]", "encoder=[]", "posterior=lattice", "objective=quadrature", "lattice=[233]"]
SETTINGS += ["epochs=30", "batch_size=20", "learning_rate=1e-2", "precision=float32"]


@pytest.fixture(scope="module")
def model(digits):
    """A decoder that has learned 200 digits, so that posteriors are narrow."""
    trainer = Trainer(Config().with_settings(SETTINGS), digits, digits[:50], torch.device("cpu"))
    for _ in range(30):
        trainer.train_epoch()
    return trainer.model.eval()


def height(model, x, z):
    return model.decode(z).log_prob(x) + model.prior.log_prob(z)


def test_loc_is_the_highest_peak(model, x):
    with torch.no_grad():
        posterior = model.encode(x)
        z, _ = model.prior.at_quantiles(lattice(28657, 2, 0.3))
        everywhere = model.decode(z).cross_log_prob(x) + model.prior.log_prob(z)
        found = height(model, x, posterior.loc)
    assert (found >= everywhere.amax(1) - 0.05).float().mean() > 0.98


def test_the_slope_at_loc_is_nearly_zero(model, x):
    posterior = model.encode(x)
    z = posterior.loc.clone().requires_grad_()
    (slope,) = torch.autograd.grad(height(model, x, z).sum(), z)
    # In units of the posterior's own width.
    assert (slope * posterior.scale).norm(dim=1).median() < 0.01


def test_the_scale_is_that_of_the_information(model, x):
    posterior = model.encode(x[:5])
    for i in range(5):
        z = posterior.loc[i]
        columns = jacobian(lambda z: model.decode(z[None]).logits.flatten(), z)
        mean = model.decode(z[None]).mean.flatten()
        information = columns.T @ torch.diag(mean * (1 - mean)) @ columns + torch.eye(2)
        torch.testing.assert_close(posterior.log_var[i], -information.diagonal().log(), atol=0.02, rtol=0)


def test_little_is_lost_to_the_normal(model, x):
    """The ELBO with it is below log p(x), but not far."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        elbo = torch.stack([elbo_terms(model, x, torch.randn(200, 2, generator=generator)).elbo for _ in range(20)])
    log_prob = log_prob_quadrature(model, x, 28657, torch.rand(1, 2, generator=generator))[0]
    gap = log_prob.mean() - elbo.mean()
    assert 0 < gap < 3


def test_batches_do_not_matter(model, x):
    whole, part = model.encode(x[:9]), model.encode(x[3:4])
    torch.testing.assert_close(whole.loc[3:4], part.loc, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["bernoulli", "normal"])
def test_score_and_information(kind):
    """The score is autograd's; the information is the variance of the score over images that the likelihood draws."""
    generator = torch.Generator().manual_seed(0)
    logits = (2 * torch.randn(1, 28, 28, generator=generator)).requires_grad_()
    scale = NormalLikelihood().log_scale.detach()

    def likelihood(values):
        return Bernoulli(values) if kind == "bernoulli" else PixelNormal(values, scale)

    x = likelihood(logits.detach().expand(4000, -1, -1, -1)).sample(generator)
    score, information = likelihood(logits).score_and_information(x)
    (expected,) = torch.autograd.grad(likelihood(logits).log_prob(x[0]).sum(), logits)
    torch.testing.assert_close(score[0], expected)
    torch.testing.assert_close(score.var(0).mean(), information.mean(), rtol=0.02, atol=0)


def test_other_numbers_of_dimensions(x):
    for latent_dim in (1, 3):
        config = ModelConfig(latent_dim=latent_dim, posterior="lattice", encoder=(), decoder=(8,))
        assert VAE.from_config(config, seed=0).encode(x[:4]).loc.shape == (4, latent_dim)


@pytest.mark.parametrize("setting", ["objective=elbo", "prior=mixture", "latent_dim=4"])
def test_where_nothing_can_be_searched_the_recipe_is_refused(setting):
    with pytest.raises(ConfigError):
        Config().with_settings([*SETTINGS, setting])
