"""Measures of density, held against a model whose log p(x) is known in closed form, and each other."""

import math

import numpy as np
import pytest
import torch

from digitvae.config import ModelConfig
from digitvae.errors import InputError
from digitvae.evaluation.density import (
    SIZES,
    Effort,
    binarize,
    density_measures,
    importance_weighted,
    log_likelihood,
    outlier_measures,
    quadrature,
)
from digitvae.evaluation.measures import Measure
from digitvae.models.vae import VAE

TINY = Effort(binarizations=2, shifts=2, k=20)


def independent(latent_dim=2):
    """A VAE whose decoder ignores the code: pixels are independent, ink has probability 0.2 everywhere."""
    model = VAE.from_config(ModelConfig(latent_dim=latent_dim, encoder=(8,), decoder=(8,)), seed=0)
    with torch.no_grad():
        for network in (model.encoder, model.decoder):
            for parameter in network.parameters():
                parameter.zero_()
        *_, last = model.decoder.parameters()
        last.fill_(math.log(0.2 / 0.8))
    return model.eval()


def log_prob_of(binary):
    ink = binary.flatten(1).double().sum(1)
    return ink * math.log(0.2) + (784 - ink) * math.log(0.8)


@pytest.fixture(scope="module")
def trained(x):
    """A small VAE after some steps, so that codes mean something."""
    from digitvae.objective import elbo_terms

    model = VAE.from_config(ModelConfig(encoder=(64,), decoder=(64,)), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        optimizer.zero_grad()
        elbo_terms(model, x, torch.randn(len(x), 2, generator=generator)).loss(1.0).mean().backward()
        optimizer.step()
    return model.eval()


def by_name(measures):
    return {measure.name: measure for measure in measures}


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_all_estimates_agree_where_the_code_says_nothing(digits, latent_dim):
    model = independent(latent_dim)
    measures = by_name(density_measures(model, digits[:30], "dynamic", TINY))
    expected = [float(log_prob_of(binarize(digits[:30], seed)).mean()) for seed in (0, 1)]
    with torch.no_grad():
        posterior = model.encode(torch.zeros(1, 1, 28, 28))
        rate = float(model.prior.rate(posterior, posterior.loc))
    assert measures["elbo"].value == pytest.approx(np.mean(expected) - rate, abs=1e-3)
    assert measures["rate"].value == pytest.approx(rate, abs=1e-6)
    for name in ("log_prob_quadrature", "mixture of fixed points"):
        assert measures[name].value == pytest.approx(np.mean(expected), abs=1e-3)
        assert measures[name].spread == pytest.approx(np.std(expected, ddof=1), abs=1e-3)
        assert measures[name].over == "2 binarisations"
    assert measures["variational gap"].value == pytest.approx(rate, abs=2e-3)
    settings = measures["log_prob_quadrature"].settings
    assert settings["points"] == SIZES[1]
    assert settings["change"] == pytest.approx(0, abs=1e-3)
    assert settings["spread_over_shifts"] == pytest.approx(0, abs=1e-3)
    assert settings["seeds"] == [0, 1]
    assert measures["active units"].value == 0


def test_bounds_stand_in_their_order(trained, digits):
    measures = by_name(density_measures(trained, digits, "dynamic", TINY))
    elbo, bound, exact = (measures[name].value for name in ("elbo", "iw_bound(20)", "log_prob_quadrature"))
    assert elbo < bound < exact
    assert measures["mixture of fixed points"].value == pytest.approx(exact, abs=0.2)
    assert measures["active units"].value == 2
    assert measures["aggregate posterior to prior"].value > 0


def test_a_bound_of_thousands_of_codes_is_computed_in_parts_and_is_no_lower(trained, digits, monkeypatch):
    """Within 4 standard errors of the difference; 25 images of 1,600 codes are 40,000 to decode."""
    x, decoded, decode = binarize(digits[:25], 0), [], VAE.decode

    def counted(model, z):
        decoded.append(z.shape[:-1].numel())
        return decode(model, z)

    monkeypatch.setattr(VAE, "decode", counted)
    many = importance_weighted(trained, x, 1600, seed=0)
    assert sum(decoded) == 40_000
    assert max(decoded) <= 20_000
    difference = (many - importance_weighted(trained, x, 20, seed=0)).double()
    assert torch.isfinite(many).all()
    assert difference.mean() > -4 * difference.std() / len(x) ** 0.5


def test_the_aggregate_posterior_of_a_known_case(digits):
    """All posteriors N(0, s^2): so is their mean, and its divergence to the prior is that of each."""
    model = independent()
    measures = by_name(density_measures(model, np.repeat(digits[:1], 500, 0), "none", TINY))
    rate = measures["rate (cross-entropy)"].value
    assert measures["aggregate posterior to prior"].value == pytest.approx(rate, abs=0.1)


def test_grey_pixels_give_a_cross_entropy_and_are_called_so(digits):
    measures = density_measures(independent(), digits[:10], "none", TINY)
    names = [m.name for m in measures if m.unit == "nats"]
    assert all("cross-entropy" in name for name in names if "aggregate" not in name)
    value = by_name(measures)["log_prob_quadrature (cross-entropy)"].value
    ink = torch.from_numpy(digits[:10]).flatten(1).double().sum(1) / 255
    assert value == pytest.approx(float((ink * math.log(0.2) + (784 - ink) * math.log(0.8)).mean()), abs=1e-3)
    assert all(m.spread is None for m in measures)
    for wrong in ("log p(x)", "likelihood"):
        assert not any(wrong in m.definition for m in measures), wrong
    assert all("minus the cross-entropy" in m.definition for m in outlier_measures(independent(), digits[:10], "none"))
    binary = by_name(density_measures(independent(), digits[:10], "static", TINY))
    for name in ("elbo", "iw_bound(20)", "log_prob_quadrature"):
        assert "lower bound on log p(x)" in binary[name].definition
    assert "variational gap" in binary


def test_more_dimensions_than_can_be_integrated_have_no_quadrature(digits):
    names = by_name(density_measures(independent(5), digits[:10], "static", TINY))
    assert "log_prob_quadrature" not in names
    assert "iw_bound(20)" in names
    scores, estimator = log_likelihood(independent(5), binarize(digits[:10], 0))
    assert estimator == "iw_bound(50)"
    torch.testing.assert_close(scores, log_prob_of(binarize(digits[:10], 0)).float(), atol=1.0, rtol=0)


def test_binarisations_are_fixed_and_fair(digits):
    assert torch.equal(binarize(digits, 3), binarize(digits, 3))
    assert not torch.equal(binarize(digits, 3), binarize(digits, 4))
    mean = torch.stack([binarize(digits[:5], seed) for seed in range(400)]).mean(0)
    grey = torch.from_numpy(digits[:5]).unsqueeze(1) / 255
    assert ((mean - grey).abs() <= 5 * (grey * (1 - grey) / 400).sqrt() + 1e-6).all()


def test_real_digits_are_told_from_changed_ones(trained, digits):
    flipped, turned = outlier_measures(trained, digits, "dynamic")
    assert flipped.name == "AUROC against flipped digits"
    assert 0.6 < flipped.value < 1
    assert 0.6 < turned.value < 1


def test_what_looks_the_same_from_both_sides_cannot_be_told(trained, digits):
    both = np.maximum(digits, digits[..., ::-1])
    flipped, _ = outlier_measures(trained, both, "none")
    assert flipped.value == pytest.approx(0.5)


def test_one_shift_has_no_spread(trained, x):
    with pytest.raises(InputError, match="at least two"):
        quadrature(trained, x[:2], shifts=1)


def test_repeated_measures():
    measure = Measure.repeated("a", [1.0, 3.0], "seeds", "nats", "d", 10, k=5)
    assert (measure.value, measure.over, measure.settings) == (2.0, "2 seeds", {"k": 5})
    assert measure.spread == pytest.approx(math.sqrt(2))
    assert Measure.repeated("a", [1.0], "seeds", "nats", "d", 10).spread is None
    undefined = Measure.repeated("a", [math.nan, 1.0], "seeds", "", "d", 1).to_dict()
    assert undefined["value"] is None
    assert undefined["spread"] is None
