"""The flow prior against what it is made of: a change of variables that can be checked."""

import math

import pytest
import torch

from digitvae.distributions import DiagonalNormal, StandardNormal
from digitvae.errors import InputError
from digitvae.flows import FlowPrior


def flow(latent_dim=3, layers=5, classes=0, seed=0):
    """With weights that are not those of the start, which change nothing."""
    torch.manual_seed(seed)
    prior = FlowPrior(latent_dim, layers, 16, classes).double()
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return prior


def test_it_starts_near_a_standard_normal():
    prior, z = FlowPrior(4, 3, 8), torch.randn(6, 4)
    torch.testing.assert_close(prior.log_prob(z), StandardNormal(4).log_prob(z), atol=0.05, rtol=0)


@pytest.mark.parametrize("classes", [0, 10])
def test_there_and_back(classes):
    prior = flow(classes=classes).given(torch.arange(10) if classes else None)
    noise = torch.randn(4, 10, 3, dtype=torch.float64)
    z = prior.to_code(noise)
    assert not torch.allclose(z, noise, atol=0.1)
    torch.testing.assert_close(prior.to_noise(z)[0], noise)


def test_the_density_is_that_of_the_change_of_variables():
    """Against the determinant of the derivative, by automatic differentiation."""
    prior = flow()
    for noise in torch.randn(5, 3, dtype=torch.float64):
        z = prior.to_code(noise)
        jacobian = torch.autograd.functional.jacobian(prior.to_code, noise)
        expected = StandardNormal(3).log_prob(noise) - torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(prior.log_prob(z), expected)


def test_the_density_integrates_to_one():
    prior = flow(latent_dim=2, layers=4, seed=1)
    axis = torch.linspace(-15, 15, 751, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    assert prior.log_prob(points).exp().sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=1e-3)


def test_quantiles_stand_for_an_integral():
    """The mean of a function over the points is its mean over samples."""
    prior = flow(latent_dim=2, seed=2)
    steps = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    u = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    z, log_weight = prior.float().at_quantiles(u)
    assert log_weight.exp().sum().item() == pytest.approx(1)
    drawn = prior.sample(40_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.mean(0), drawn.mean(0), atol=5 * drawn.std(0).max().item() / 200, rtol=0)


def test_every_dimension_meets_every_other():
    """After a few layers each dimension of the code depends on all of the noise."""
    prior = flow(latent_dim=6, layers=6)
    jacobian = torch.autograd.functional.jacobian(prior.to_code, torch.randn(6, dtype=torch.float64))
    assert (jacobian.abs() > 1e-9).all()


def test_classes_have_priors_of_their_own_and_share_the_weights():
    prior = flow(classes=10)
    z = torch.randn(10, 3, dtype=torch.float64)
    own = prior.given(torch.arange(10)).log_prob(z)
    assert not torch.allclose(own, prior.given(torch.arange(10).flip(0)).log_prob(z), atol=0.01)
    one = prior.given(torch.tensor([4])).log_prob(z[4:5])
    torch.testing.assert_close(one, own[4:5])
    assert prior.label is None
    own.sum().backward()
    assert all(p.grad is not None for p in prior.parameters())
    with pytest.raises(InputError, match="say which"):
        prior.log_prob(z)


def test_the_rate_is_unbiased():
    """One posterior, many draws: their mean rate is the KL divergence, by quadrature over the plane."""
    prior = flow(latent_dim=2, seed=3)
    posterior = DiagonalNormal(torch.tensor([0.5, -0.3]).double(), torch.tensor([-1.0, -2.0]).double())
    axis = torch.linspace(-8, 8, 801, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    log_q = posterior.log_prob(z)
    expected = ((log_q - prior.log_prob(z)) * log_q.exp()).sum() * (axis[1] - axis[0]) ** 2
    draws = posterior.sample(torch.Generator().manual_seed(0), 20_000)
    rates = prior.rate(posterior, draws)
    assert abs(rates.mean() - expected) < 4 * rates.std() / math.sqrt(20_000)
