"""Rate, distortion and ELBO by hand, by torch's own functions, and against quadrature on real digits."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from digitvae import objective
from digitvae.config import ModelConfig
from digitvae.lattice import lattice
from digitvae.models.vae import VAE
from digitvae.networks import decodes_one_by_one
from digitvae.objective import (
    Terms,
    elbo_terms,
    encoder_terms,
    iw_bound,
    iw_bound_at,
    log_prob_quadrature,
    pooled,
    quadrature_terms,
)
from digitvae.validation import evaluate_terms


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


@pytest.fixture(scope="module")
def binary(x):
    """20 binarised digits."""
    return (x[:20] > 0.5).float()


@pytest.fixture(scope="module")
def log_prob(model, binary):
    """log p(x) of them by a fine grid over the plane, with no code of the project's but the networks."""
    axis = torch.linspace(-7, 7, 281)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        logits = model.decoder(grid).flatten(1)
        log_likelihood = binary.flatten(1) @ logits.T - F.softplus(logits).sum(1)
        log_joint = log_likelihood - 0.5 * grid.square().sum(1) - math.log(2 * math.pi)
        return torch.logsumexp(log_joint, 1) + 2 * math.log(axis[1] - axis[0])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_quadrature_is_the_log_probability(model, binary, log_prob):
    estimates = log_prob_quadrature(model, binary, 75025, torch.rand(4, 2, generator=seeded()))
    assert estimates.shape == (4, 20)
    torch.testing.assert_close(pooled(estimates), log_prob, atol=0.1, rtol=0)


def test_chunks_of_points_change_nothing(model, binary):
    shifts = torch.tensor([[0.1, 0.7]])
    whole = log_prob_quadrature(model, binary, 987, shifts, chunk=987)
    torch.testing.assert_close(log_prob_quadrature(model, binary, 987, shifts, chunk=100), whole)


def test_bounds_stand_in_their_order(model, binary, log_prob):
    """elbo <= iw_bound(5) <= iw_bound(100) <= log p(x), each a mean over many draws, within 4 standard errors."""
    generator = seeded()
    draws = [torch.stack([elbo_terms(model, binary, torch.randn(20, 2, generator=generator)).elbo for _ in range(200)])]
    draws += [torch.stack([iw_bound(model, binary, k, generator) for _ in range(50)]) for k in (5, 100)]
    draws += [log_prob[None]]
    for lower, higher in itertools.pairwise(draws):
        error = lower.var(0) / len(lower) + (higher.var(0) / len(higher) if len(higher) > 1 else 0)
        assert (lower.mean(0) <= higher.mean(0) + 4 * error.sqrt()).all()
        assert lower.mean() < higher.mean()


def test_one_importance_sample_is_the_elbo_of_that_draw(model, binary):
    posterior = model.encode(binary)
    z = posterior.sample(seeded(3), 1)[0]
    elbo = model.decode(z).log_prob(binary) + model.prior.log_prob(z) - posterior.log_prob(z)
    torch.testing.assert_close(iw_bound(model, binary, 1, seeded(3)), elbo)


def test_the_bound_at_given_noise_depends_on_the_image_alone(model, binary):
    noise = torch.randn(30, 2, generator=seeded(3))
    bounds = iw_bound_at(model, binary, noise)
    torch.testing.assert_close(iw_bound_at(model, binary[[4, 1]], noise), bounds[[4, 1]])
    posterior = model.encode(binary[4:5])
    joint = [model.decode(z).log_prob(binary[4:5]) + model.prior.log_prob(z) for z in map(posterior.at, noise)]
    ratios = [j - posterior.log_prob(posterior.at(e)) for j, e in zip(joint, noise, strict=True)]
    torch.testing.assert_close(bounds[4], torch.stack(ratios).logsumexp(0)[0] - math.log(30), rtol=1e-5, atol=1e-3)


def test_importance_samples_in_chunks_are_as_good(model, binary):
    whole, parts = (
        torch.stack([iw_bound(model, binary, 30, seeded(i), chunk) for i in range(100)]) for chunk in (600, 60)
    )
    error = ((whole.var(0) + parts.var(0)) / 100).sqrt()
    assert ((whole.mean(0) - parts.mean(0)).abs() < 4 * error).all()


def test_quadrature_terms_and_their_gradient(model, binary):
    """Held against the same sums written out, with autograd through torch's own logsumexp."""
    u = lattice(610, 2, 0.2137)
    terms = quadrature_terms(model, binary, u)
    z = torch.special.ndtri(u).float()
    each = torch.distributions.Bernoulli(logits=model.decoder(z)).log_prob(binary[:, None]).sum((2, 3, 4))
    log_prob = torch.logsumexp(each, 1) - math.log(610)
    posterior = torch.softmax(each, 1)
    expected = [log_prob, -(posterior * each).sum(1), (posterior * (posterior * 610).clamp(min=1e-30).log()).sum(1)]
    for found, value in zip((terms.elbo, terms.distortion, terms.rate), expected, strict=True):
        torch.testing.assert_close(found, value, atol=5e-4, rtol=0)
    weights = list(model.decoder.parameters())
    found = torch.autograd.grad(terms.loss(1.0).mean(), weights)
    for ours, expected in zip(found, torch.autograd.grad(-log_prob.mean(), weights), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.fixture(params=[0.0, 0.2], ids=["", "dropout"])
def sharp(request):
    """A decoder with so much contrast that most points of a lattice explain no image."""
    settings = ModelConfig(encoder=(8,), decoder=(64,), basis="torus", frequency=4, dropout=request.param)
    model = VAE.from_config(settings, seed=0)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter *= 6
    return model


@pytest.mark.parametrize("rounding", [1, 100])
def test_the_gradient_needs_few_of_the_points(sharp, binary, rounding, monkeypatch):
    x, u, weights = binary, lattice(987, 2, 0.2137), list(sharp.decoder.parameters())
    decoded = []
    monkeypatch.setattr(objective, "ROUND", rounding)
    sharp.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(len(output)))
    found = []
    for few in (0.0, 0.5):
        monkeypatch.setattr(objective, "FEW", few)
        torch.manual_seed(0)  # dropout draws from it
        terms = quadrature_terms(sharp, x, u)
        found.append((terms, torch.autograd.grad(terms.loss(1.0).mean(), weights)))
    assert decoded[:2] == [987, 987]
    assert decoded[2] < 500
    assert decoded[2] % rounding == 0
    (whole, expected), (part, ours) = found
    torch.testing.assert_close(part.elbo, whole.elbo)
    torch.testing.assert_close(part.rate, whole.rate)
    slope = torch.cat([gradient.flatten() for gradient in expected])
    missed = torch.cat([gradient.flatten() for gradient in ours]) - slope
    assert 0 < missed.norm() < 0.02 * slope.norm()


def test_validation_decodes_each_point_once(sharp, binary):
    decoded = []
    sharp.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(len(output)))
    with torch.no_grad():
        quadrature_terms(sharp, binary, lattice(987, 2))
    assert decoded == [987]


def test_points_are_decoded_once_where_others_have_a_part_in_each():
    conv = VAE.from_config(ModelConfig(network="conv", encoder=(8, 16, 20), decoder=(16, 8)), seed=0)
    assert not decodes_one_by_one(conv.decoder)


def test_quadrature_trains_a_mixture_prior_too(x):
    model = VAE.from_config(ModelConfig(encoder=(8,), decoder=(8,), prior="mixture"), seed=0)
    quadrature_terms(model, x[:5], lattice(34, 2)).loss(1.0).mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.prior.parameters())


def test_encoder_terms_move_the_encoder_as_the_elbo_does_and_nothing_else(model, x):
    noise = torch.randn(len(x), 2, generator=seeded(1))
    model.zero_grad()
    alone = encoder_terms(model, x, noise)
    alone.loss(1.0).mean().backward()
    assert all(p.grad is None for p in model.decoder.parameters())
    weights = list(model.encoder.parameters())
    whole = elbo_terms(model, x, noise)
    torch.testing.assert_close(alone.elbo, whole.elbo)
    for ours, expected in zip(weights, torch.autograd.grad(whole.loss(1.0).mean(), weights), strict=True):
        torch.testing.assert_close(ours.grad, expected, atol=1e-5, rtol=1e-4)
    model.zero_grad()


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
