"""Smoothness of maps that are known: even ones, stretched ones, flat ones."""

import math

import pytest
import torch
from torch import nn

from digitvae.config import Config
from digitvae.evaluation.smoothness import can_be_mapped, map_measures
from digitvae.models.vae import VAE


class Square(nn.Module):
    """Draws a code's place in the unit square: two pixels whose means are the (bent, scaled) coordinates."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, z):
        u = torch.special.ndtr(z.double())
        means = torch.full((*z.shape[:-1], 784), 0.5, dtype=torch.float64)
        means[..., :2] = self.change(u)
        return torch.logit(means).float().unflatten(-1, (1, 28, 28))


def measured(change):
    model = VAE.from_config(Config().with_settings(["encoder=[8]", "decoder=[8]"]).model, 0)
    model.decoder = Square(change)
    return {measure.name: measure.value for measure in map_measures(model)}


def test_an_even_map_is_even():
    found = measured(lambda u: 0.3 + 0.4 * u)
    assert found["local distortion"] == pytest.approx(0, abs=0.02)
    assert found["local anisotropy"] == pytest.approx(1, abs=0.02)
    assert found["same digit nearby"] == 1


def test_a_stretched_map_is_as_stretched_as_it_is():
    found = measured(lambda u: torch.stack([0.1 + 0.6 * u[..., 0], 0.1 + 0.2 * u[..., 1]], -1))
    assert found["local anisotropy"] == pytest.approx(3, rel=0.02)
    assert found["local distortion"] == pytest.approx(0, abs=0.02)


def test_distortion_is_the_spread_of_the_log_area():
    """The derivative of u^2 is 2u, whose logarithm has standard deviation 1 over the unit interval."""
    found = measured(lambda u: 0.1 + 0.5 * torch.stack([u[..., 0] ** 2, u[..., 1]], -1))
    assert found["local distortion"] == pytest.approx(1, abs=0.05)
    # max(2u, 1 / 2u) is at most r on a share (r - 1 / r) / 2 of the interval: half of it for the golden ratio.
    assert found["local anisotropy"] == pytest.approx((1 + math.sqrt(5)) / 2, rel=0.02)


def test_only_a_plane_with_a_normal_prior_is_a_map():
    settings = ["encoder=[8]", "decoder=[8]"]
    assert can_be_mapped(VAE.from_config(Config().with_settings(settings).model, 0))
    for other in ("latent_dim=3", "prior=mixture"):
        assert not can_be_mapped(VAE.from_config(Config().with_settings([*settings, other]).model, 0))
