"""Rate, distortion and ELBO by hand, by torch's own functions, and against quadrature on real digits."""

import math

import pytest
import torch
from torch.nn import functional as F

from digitvae.config import ModelConfig
from digitvae.models.vae import VAE
from digitvae.objective import Terms, elbo_terms
from digitvae.training import evaluate_terms


@pytest.fixture(scope="module")
def model(x):
    """A small VAE, a few steps trained, so that its posterior is not the prior."""
    model = VAE.from_config(ModelConfig(encoder=(32,), decoder=(32,)), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        optimizer.zero_grad()
        elbo_terms(model, x, torch.randn(len(x), 2, generator=generator)).loss(1.0).mean().backward()
        optimizer.step()
    return model.eval()


def test_terms_have_honest_signs():
    terms = Terms(torch.tensor([2.0]), torch.tensor([100.0]))
    assert terms.elbo.item() == -102
    assert terms.loss(1.0).item() == 102
    assert terms.loss(0.5).item() == 101


def test_terms_by_hand(model, x):
    noise = torch.randn(len(x), 2, generator=torch.Generator().manual_seed(5))
    terms = elbo_terms(model, x, noise)
    loc, log_var = model.encoder(x)
    logits = model.decoder(loc + (0.5 * log_var).exp() * noise)
    distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    rate = 0.5 * (loc**2 + log_var.exp() - 1 - log_var).sum(1)
    torch.testing.assert_close(terms.distortion, distortion)
    torch.testing.assert_close(terms.rate, rate)
    torch.testing.assert_close(terms.rate_per_dimension.sum(1), rate)


def test_elbo_is_below_the_log_probability(model, x):
    """log p(x) by a fine grid over the plane, on binarised digits; the mean of many ELBO draws may not pass it."""
    binary = (x[:20] > 0.5).float()
    axis = torch.linspace(-7, 7, 281)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        logits = model.decoder(grid).flatten(1)
        log_likelihood = binary.flatten(1) @ logits.T - F.softplus(logits).sum(1)
        log_joint = log_likelihood + model.prior.log_prob(grid)
        log_prob = torch.logsumexp(log_joint, 1) + 2 * math.log(axis[1] - axis[0])
        generator = torch.Generator().manual_seed(0)
        draws = torch.stack(
            [elbo_terms(model, binary, torch.randn(20, 2, generator=generator)).elbo for _ in range(200)]
        )
    error = draws.std(0) / math.sqrt(200)
    assert (draws.mean(0) <= log_prob + 4 * error).all()
    assert (log_prob - draws.mean(0)).mean() > 0


def test_bfloat16_networks_still_sum_in_float32(model, x):
    import copy

    terms = elbo_terms(copy.deepcopy(model).to(torch.bfloat16), x, torch.zeros(len(x), 2))
    assert terms.rate.dtype == terms.distortion.dtype == torch.float32


def test_mixture_prior_has_no_rate_per_dimension(x):
    model = VAE.from_config(ModelConfig(encoder=(8,), decoder=(8,), prior="mixture"), seed=0)
    assert elbo_terms(model, x, torch.zeros(len(x), 2)).rate_per_dimension is None


@pytest.mark.parametrize("batch", [7, 100, 200])
def test_batch_size_does_not_change_a_mean(model, digits, batch):
    images = torch.from_numpy(digits).unsqueeze(1)
    whole = evaluate_terms(model, images, 1.0, seed=3, batch=200)
    parts = evaluate_terms(model, images, 1.0, seed=3, batch=batch)
    assert parts["rate"] == pytest.approx(whole["rate"], rel=1e-6)
    # float32 products differ in the last digits with the batch's size.
    assert parts["distortion"] == pytest.approx(whole["distortion"], rel=1e-5)
