"""Generator and critic: shapes, labels that matter, sizes that are fair."""

import pytest
import torch

from digitvae.models.gan import Critic, GANConfig, Generator

SMALL = GANConfig(latent_dim=4, dense=16, channels=8, critic=4)


def count(*networks: torch.nn.Module) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


@pytest.mark.parametrize("clear", [True, False])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_images_are_images_and_the_label_matters(normalization, clear):
    torch.manual_seed(0)
    generator = Generator(4, 16, 8, normalization, clear).eval()
    noise = torch.randn(5, 4)
    images = generator(noise, torch.arange(5))
    assert images.shape == (5, 1, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1
    assert not torch.allclose(images, generator(noise, torch.arange(5) + 1))
    critic = Critic(4, normalization).eval()
    assert critic(images, torch.arange(5)).shape == (5,)
    assert not torch.allclose(critic(images, torch.arange(5)), critic(images, torch.arange(5) + 1))


def test_the_seed_decides_the_initial_weights_and_the_global_state_stays():
    before = torch.random.get_rng_state()
    first, again, other = (Generator.from_config(SMALL, seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [next(network.parameters()) for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_every_pixel_can_be_changed_by_the_noise():
    generator = Generator.from_config(SMALL, 0)
    noise = torch.randn(1, 4, requires_grad=True)
    image = generator(noise, torch.tensor([3])).flatten()
    for pixel in (0, 27, 400, 783):
        (gradient,) = torch.autograd.grad(image[pixel], noise, retain_graph=True)
        assert gradient.abs().sum() > 0
