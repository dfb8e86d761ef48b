"""Draws given what can be seen, against the exact posterior of a model small enough to be integrated."""

import numpy as np
import pytest
import torch

from digitvae.config import Config
from digitvae.errors import InputError
from digitvae.lattice import lattice
from digitvae.models.vae import VAE
from digitvae.restoration import LEAST_NOISE, restore

NOTHING = np.zeros((28, 28), bool)


@pytest.fixture(scope="module")
def plane():
    """A model of the plane whose images change a lot with the code."""
    model = VAE.from_config(Config().with_settings(["encoder=[8]", "decoder=[16]"]).model, 0)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.7, generator=generator)
    return model.eval()


def image_of(model, z, label=None):
    with torch.no_grad():
        return model.given(label).decode(z).mean.squeeze(1).mul(255).round().byte().numpy()


def test_draws_are_from_the_posterior(plane):
    """Mean image of the draws against quadrature, where few pixels are seen, so that much is open."""
    truth = image_of(plane, torch.tensor([[0.4, -0.8]]))[0]
    covered = ~NOTHING
    covered[10:12, 10:13] = False
    drawn = restore(plane, truth, covered, samples=100).images / 255
    z, log_weight = plane.prior.at_quantiles(lattice(4181, 2, torch.tensor([0.3, 0.6])))
    with torch.no_grad():
        images = plane.decode(z).mean.squeeze(1)
    seen = torch.from_numpy(~covered)
    distance = (images[:, seen] - torch.from_numpy(truth / 255).float()[seen]).square().sum(1)
    weight = (log_weight - distance / (2 * LEAST_NOISE**2)).softmax(0)
    expected = torch.einsum("n,nij->ij", weight, images).numpy()
    spread = (torch.einsum("n,nij->ij", weight, images**2).numpy() - expected**2).clip(0) ** 0.5
    error = np.abs(drawn.mean(0) - expected)
    assert (error <= 5 * spread / 10 + 0.02).mean() > 0.97
    assert drawn.std(0)[covered].mean() > 0.5 * spread[covered].mean()


def test_what_is_seen_comes_back(plane):
    truth = image_of(plane, torch.tensor([[1.0, 0.5]]))[0]
    covered = NOTHING.copy()
    covered[:, 14:] = True
    drawn = restore(plane, truth, covered, samples=4).images
    assert np.abs(drawn[:, ~covered].astype(int) - truth[~covered]).mean() < 12


def test_noise_is_taken_away(plane):
    truth = image_of(plane, torch.tensor([[1.0, 0.5]]))[0]
    noisy = np.clip(truth + np.random.default_rng(0).normal(0, 60, (28, 28)), 0, 255).astype(np.uint8)
    drawn = restore(plane, noisy, NOTHING, samples=4).images
    assert np.abs(drawn.mean(0) - truth).mean() < 0.5 * np.abs(noisy.astype(int) - truth).mean()


def test_a_model_that_is_told_the_digit_says_which_each_draw_is(tiny_model):
    truth = image_of(tiny_model, torch.tensor([[0.5, -1, 0.2, 1.5]]), torch.tensor([7]))[0]
    free = restore(tiny_model, truth, NOTHING, samples=6)
    assert free.labels is not None
    assert set(free.labels) <= set(range(10))
    told = restore(tiny_model, truth, NOTHING, samples=3, digit=7)
    assert told.labels.tolist() == [7, 7, 7]
    again = restore(tiny_model, truth, NOTHING, samples=3, digit=7)
    np.testing.assert_array_equal(told.images, again.images)
    assert not np.array_equal(restore(tiny_model, truth, NOTHING, samples=3, digit=7, seed=1).images, told.images)


@pytest.mark.parametrize(
    ("covered", "settings", "problem"),
    [
        (~NOTHING, {}, "leaves something"),
        (NOTHING[:3], {}, "28 x 28"),
        (NOTHING, {"samples": 0}, "1 to 100 draws"),
        (NOTHING, {"digit": 12}, "0 to 9"),
        (NOTHING, {"seed": -1}, "seed must be"),
        (NOTHING, {"seed": 10**20}, "seed must be"),
    ],
)
def test_what_cannot_be_restored_is_refused(tiny_model, covered, settings, problem):
    with pytest.raises(InputError, match=problem):
        restore(tiny_model, np.zeros((28, 28), np.uint8), covered, **settings)
