"""Densities, divergences and draws, held against torch.distributions, quadrature and Monte Carlo.

Tolerances: densities in float64 agree to 1e-10; what is estimated from draws must lie within 4 standard errors.
"""

import math

import pytest
import torch
from torch import distributions as oracle

from digitvae.distributions import (
    Bernoulli,
    BernoulliLikelihood,
    DiagonalNormal,
    FeatureLikelihood,
    FeatureNormal,
    NormalLikelihood,
    NormalMixture,
    PixelNormal,
    StandardNormal,
)

DRAWS = 20_000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rand(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def assert_close(actual, expected, tolerance=1e-10):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def assert_mean(draws, expected):
    """The mean over the first axis lies within 4 standard errors of what is expected."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() <= 4 * error + 1e-12).all()


@pytest.fixture
def posterior():
    """Of three images, with four latent dimensions, narrow and wide ones."""
    return DiagonalNormal(rand(3, 4), 2 * rand(3, 4, seed=1))


@pytest.fixture
def mixture():
    """Three unlike components in two dimensions."""
    prior = NormalMixture(2, 3).double()
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.5, -1.0, 0.0]))
        prior.loc.copy_(torch.tensor([[-2.0, 0.0], [1.5, 1.0], [0.0, -1.0]]))
        prior.log_var.copy_(torch.tensor([[-1.0, 0.3], [0.0, -2.0], [0.5, 0.5]]))
    return prior


def torch_mixture(prior):
    return oracle.MixtureSameFamily(
        oracle.Categorical(logits=prior.logits),
        oracle.Independent(oracle.Normal(prior.loc, (0.5 * prior.log_var).exp()), 1),
    )


def torch_normal(posterior):
    return oracle.Independent(oracle.Normal(posterior.loc, posterior.log_var.exp().sqrt()), 1)


def test_diagonal_normal_density(posterior):
    z = rand(5, 3, 4, seed=2)
    assert posterior.log_prob(z).shape == (5, 3)
    assert_close(posterior.log_prob(z), torch_normal(posterior).log_prob(z))


def test_standard_normal_density():
    z = rand(7, 4)
    expected = oracle.Independent(oracle.Normal(torch.zeros(4).double(), 1.0), 1).log_prob(z)
    assert_close(StandardNormal(4).log_prob(z), expected)


def test_mixture_density(mixture):
    z = 3 * rand(4, 5, 2)
    assert mixture.log_prob(z).shape == (4, 5)
    assert_close(mixture.log_prob(z), torch_mixture(mixture).log_prob(z))


def test_mixture_density_integrates_to_one(mixture):
    axis = torch.arange(-9, 9, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    assert float(mixture.log_prob(grid).detach().exp().sum()) * 0.05**2 == pytest.approx(1, abs=1e-6)


def test_bernoulli_density_of_binary_images():
    logits, x = 5 * rand(3, 1, 28, 28), (rand(3, 1, 28, 28, seed=1) > 0).double()
    assert_close(Bernoulli(logits).log_prob(x), oracle.Independent(oracle.Bernoulli(logits=logits), 3).log_prob(x))


def test_bernoulli_of_grey_images_is_minus_the_cross_entropy():
    logits, x = 5 * rand(3, 1, 28, 28), rand(3, 1, 28, 28, seed=1).sigmoid()
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    assert_close(Bernoulli(logits).log_prob(x), expected)


@pytest.mark.parametrize("logit", [-1e4, -50.0, 50.0, 1e4])
def test_bernoulli_density_stays_finite_far_out(logit):
    logits = torch.full((1, 28, 28), logit)
    assert float(Bernoulli(logits).log_prob(torch.full((1, 28, 28), float(logit > 0)))) == pytest.approx(0, abs=1e-6)
    assert float(Bernoulli(logits).log_prob(torch.full((1, 28, 28), float(logit < 0)))) == -784 * abs(logit)


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (5, 3, 1, 28, 28)], ids=["batch", "samples lead"])
def test_bernoulli_gradient_is_the_oracles(shape):
    """The cross-entropy has a derivative written by hand."""
    x = rand(3, 1, 28, 28, seed=1).sigmoid()
    weights = rand(*shape[:-3], seed=2)
    gradients = []
    for log_prob in (Bernoulli, lambda logits: oracle.Independent(ContinuousTargets(logits), 3)):
        logits = (5 * rand(*shape)).requires_grad_()
        (log_prob(logits).log_prob(x) * weights).sum().backward()
        gradients.append(logits.grad)
    assert_close(*gradients)


def test_bernoulli_gradient_where_one_decoded_image_meets_many():
    """As in quadrature: each grid point's logits, shape (grid, 1, ...), against every image of a batch."""
    x = rand(3, 1, 28, 28, seed=1).sigmoid()
    logits = rand(5, 1, 1, 28, 28).requires_grad_()
    Bernoulli(logits).log_prob(x).sum().backward()
    expected = (x - logits.detach().sigmoid()).sum(1, keepdim=True)
    assert_close(logits.grad, expected)


class ContinuousTargets(oracle.Bernoulli):
    """torch's Bernoulli, without its refusal of grey values."""

    def __init__(self, logits):
        super().__init__(logits=logits, validate_args=False)


def test_pixel_normal_density():
    logits, x, log_scale = rand(2, 3, 1, 28, 28), rand(3, 1, 28, 28, seed=1), torch.tensor(-1.2).double()
    expected = oracle.Independent(oracle.Normal(logits.sigmoid(), log_scale.exp()), 3).log_prob(x)
    assert expected.shape == (2, 3)
    assert_close(PixelNormal(logits, log_scale).log_prob(x), expected)


def test_feature_normal_density_and_its_slope():
    means, x, log_scale = rand(2, 3, 1, 1, 5).requires_grad_(), rand(3, 1, 1, 5, seed=1), torch.tensor(-1.2).double()
    features = FeatureNormal(means, log_scale)
    log_prob = features.log_prob(x)
    assert_close(log_prob, oracle.Independent(oracle.Normal(means, log_scale.exp()), 3).log_prob(x))
    score, information = features.score_and_information(x)
    assert_close(score, torch.autograd.grad(log_prob.sum(), means)[0])
    assert_close(information, (-2 * log_scale).exp().expand_as(means))


def test_rate_is_torchs_kl_divergence(posterior):
    unit = oracle.Normal(torch.zeros(4).double(), 1.0)
    expected = oracle.kl_divergence(oracle.Normal(posterior.loc, posterior.scale), unit)
    prior = StandardNormal(4)
    assert_close(prior.rate_per_dimension(posterior), expected)
    assert_close(prior.rate(posterior, posterior.loc), expected.sum(-1))


def test_rate_agrees_with_monte_carlo(posterior):
    z = posterior.sample(seeded(), samples=DRAWS)
    prior = StandardNormal(4)
    assert_mean(posterior.log_prob(z) - prior.log_prob(z), prior.rate(posterior, z[0]))


def test_rate_is_never_negative_near_zero():
    """Where posterior and prior nearly agree, rounding must not push the rate below zero."""
    small = torch.logspace(-12, 0, 20_001)
    log_var = torch.cat([small, -small])
    posterior = DiagonalNormal(torch.zeros_like(log_var)[:, None], log_var[:, None])
    assert float(StandardNormal(1).rate_per_dimension(posterior).min()) >= 0


def test_mixture_rate_is_unbiased(mixture):
    """Its mean over draws is the integral of q (log q - log p), by quadrature on a grid."""
    posterior = DiagonalNormal(torch.tensor([0.5, -0.2]).double(), torch.tensor([-1.0, -2.0]).double())
    axis = torch.arange(-6, 6, 0.02, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    log_q = posterior.log_prob(grid)
    expected = float((log_q.exp() * (log_q - mixture.log_prob(grid).detach())).sum()) * 0.02**2
    draws = mixture.rate(posterior, posterior.sample(seeded(), samples=DRAWS)).detach()
    assert expected > 0.1
    assert_mean(draws, expected)


def test_one_standard_component_is_the_standard_normal():
    mixture, z = NormalMixture(3, 1).double(), rand(5, 3)
    torch.nn.init.zeros_(mixture.loc)
    torch.nn.init.zeros_(mixture.log_var)
    assert_close(mixture.log_prob(z), StandardNormal(3).log_prob(z))


def test_diagonal_normal_moments(posterior):
    draws = posterior.sample(seeded(), samples=DRAWS)
    assert draws.shape == (DRAWS, 3, 4)
    assert_mean(draws, posterior.loc)
    assert_mean((draws - posterior.loc).square(), posterior.log_var.exp())


def test_prior_moments(mixture):
    draws = StandardNormal(4).sample(DRAWS, seeded())
    assert draws.shape == (DRAWS, 4)
    assert_mean(draws, torch.zeros(4))
    assert_mean(draws.square(), torch.ones(4))
    draws, expected = mixture.sample(DRAWS, seeded()).detach(), torch_mixture(mixture)
    assert draws.shape == (DRAWS, 2)
    assert_mean(draws, expected.mean.detach())
    assert_mean((draws - expected.mean).square().detach(), expected.variance.detach())


def test_likelihood_moments():
    logits = rand(1, 28, 28).expand(2_000, 1, 28, 28)
    ink = Bernoulli(logits).sample(seeded())
    assert set(ink.unique().tolist()) == {0, 1}
    total = ink.sum((1, 2, 3))  # one number for each image: 784 tests of 4 standard errors would fail by chance
    assert_mean(total, logits[0].sigmoid().sum())
    grey = PixelNormal(logits, torch.tensor(-1.0).double())
    residual = grey.sample(seeded()) - grey.mean
    assert_mean(residual.mean((1, 2, 3)), torch.tensor(0.0))
    assert_mean(residual.square().mean((1, 2, 3)), math.exp(-2))


def test_samples_come_from_the_given_generator_alone(posterior, mixture):
    logits = rand(3, 1, 28, 28)
    draw = [
        lambda g: posterior.sample(g),
        lambda g: posterior.sample(g, samples=2),
        lambda g: StandardNormal(2).sample(5, g),
        lambda g: mixture.sample(5, g),
        lambda g: Bernoulli(logits).sample(g),
        lambda g: PixelNormal(logits, torch.tensor(0.0).double()).sample(g),
    ]
    before = torch.get_rng_state()
    for sample in draw:
        assert torch.equal(sample(seeded(7)), sample(seeded(7)))
        assert not torch.equal(sample(seeded(7)), sample(seeded(8)))
    assert torch.equal(torch.get_rng_state(), before)


def test_posterior_samples_are_reparameterised():
    """z = loc + scale * noise: dz/dloc = 1, dz/dlog_var = scale * noise / 2."""
    loc, log_var = rand(3, 4).requires_grad_(), rand(3, 4, seed=1).requires_grad_()
    z = DiagonalNormal(loc, log_var).sample(seeded())
    z.sum().backward()
    assert_close(loc.grad, torch.ones(3, 4).double())
    assert_close(log_var.grad, 0.5 * (z - loc).detach())


def test_mixture_samples_carry_gradients(mixture):
    mixture.sample(100, seeded()).sum().backward()
    assert float(mixture.loc.grad.sum()) == pytest.approx(200)  # each of 100 draws moves with one component's two means


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood(), NormalLikelihood()])
def test_likelihood_modules(likelihood):
    logits = rand(2, 3, 1, 28, 28, dtype=torch.float32)
    given = likelihood(logits)
    assert torch.equal(given.mean, logits.sigmoid())
    assert given.sample(seeded()).shape == logits.shape
    assert given.log_prob(logits.sigmoid()).shape == (2, 3)


def test_the_normal_likelihood_starts_at_a_scale_of_030_and_learns_it():
    likelihood = NormalLikelihood()
    assert float(likelihood.log_scale.detach().exp()) == pytest.approx(0.3)
    x = rand(2, 1, 28, 28, dtype=torch.float32)
    likelihood(torch.zeros_like(x)).log_prob(x).sum().backward()
    assert float(likelihood.log_scale.grad) != 0


@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_weighted_codes_at_quantiles_integrate_over_the_prior(prior, mixture):
    """Means of z and z^2 by 40,000 even points: those of the prior, which torch's oracle gives."""
    prior = StandardNormal(2) if prior == "normal" else mixture.float()
    axis = (torch.arange(200) + 0.5) / 200
    u = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    z, log_weight = prior.at_quantiles(u)
    assert log_weight.logsumexp(0).item() == pytest.approx(0, abs=1e-5)
    expected = oracle.Normal(torch.zeros(2), 1) if isinstance(prior, StandardNormal) else torch_mixture(prior)
    torch.testing.assert_close(log_weight.exp() @ z, expected.mean, atol=1e-3, rtol=0)
    second = expected.variance + expected.mean.square()
    torch.testing.assert_close(log_weight.exp() @ z.square(), second, atol=2e-2, rtol=0)


def test_quantiles_of_0_and_1_are_finite():
    z, _ = StandardNormal(2).at_quantiles(torch.tensor([[0.0, 1.0]]))
    assert z.isfinite().all()


@pytest.mark.parametrize("kind", [BernoulliLikelihood, NormalLikelihood, FeatureLikelihood])
def test_cross_log_prob_is_log_prob_of_every_pair(kind):
    logits, x = 3 * rand(5, 1, 28, 28), rand(4, 1, 28, 28, seed=1).sigmoid()
    likelihood = kind().double()
    pairs = likelihood(logits).cross_log_prob(x)
    assert pairs.shape == (4, 5)
    assert_close(pairs, likelihood(logits).log_prob(x[:, None]))
