"""Training of a GAN: losses against torch's own, penalties against a known gradient, and a game that is learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from digitvae.adversarial import GANTrainer, gradient_penalty, losses
from digitvae.errors import DataError, TrainingDivergedError
from digitvae.models.gan import GANS, GANConfig

SMALL = GANConfig(latent_dim=4, dense=32, channels=8, critic=8, batch_size=20)


def test_classic_losses_are_binary_cross_entropies():
    real, generated = torch.randn(6, generator=torch.Generator().manual_seed(0)), torch.linspace(-2, 2, 6)
    found = losses("classic", real, generated)
    ones, zeros = torch.ones(6), torch.zeros(6)
    tell = F.binary_cross_entropy_with_logits(real, ones) + F.binary_cross_entropy_with_logits(generated, zeros)
    assert found.critic == pytest.approx(float(tell), rel=1e-5)
    assert found.generator == pytest.approx(float(F.binary_cross_entropy_with_logits(generated, ones)), rel=1e-5)


def test_relativistic_losses_judge_differences():
    real, generated = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    found = losses("relativistic", real, generated)
    assert found.critic == pytest.approx((math.log1p(math.exp(-1)) + math.log1p(math.exp(2))) / 2)
    assert found.generator == pytest.approx((math.log1p(math.exp(1)) + math.log1p(math.exp(-2))) / 2)
    shifted = losses("relativistic", real + 5, generated + 5)
    assert shifted.critic == pytest.approx(float(found.critic))


def test_the_penalty_of_a_linear_critic_is_half_its_squared_slope():
    slope = torch.randn(784, generator=torch.Generator().manual_seed(0))
    penalty = gradient_penalty(lambda x: x.flatten(1) @ slope, torch.rand(3, 1, 28, 28))
    assert penalty == pytest.approx(float(slope.square().sum()) / 2, rel=1e-5)


def test_the_same_seed_gives_the_same_digits_and_a_stop_changes_nothing(splits_5k):
    train = splits_5k.train.subset(slice(100))

    def drawn(seed: int, stops: bool) -> torch.Tensor:
        trainer = GANTrainer(SMALL, train.images, train.labels, seed)
        for _ in range(2):
            while not trainer.train_epoch((lambda: True) if stops else None):
                pass
        assert (trainer.epoch, trainer.step, trainer.steps) == (2, 0, 10)
        return trainer.draw(np.arange(10), torch.Generator().manual_seed(0))

    once = drawn(0, stops=False)
    assert torch.equal(once, drawn(0, stops=True))
    assert not torch.equal(once, drawn(1, stops=False))


@pytest.mark.parametrize("name", list(GANS))
def test_a_gan_learns_to_draw_black_or_white_as_it_is_told(name):
    """Two classes that cannot be taken for each other: blank images, and images full of ink."""
    labels = np.arange(200) % 2
    images = np.repeat(labels * 255, 28 * 28).reshape(200, 28, 28).astype(np.uint8)
    config = replace(GANS[name], latent_dim=4, dense=32, channels=8, critic=8, batch_size=20, learning_rate=2e-3)
    trainer = GANTrainer(replace(config, average=min(config.average, 0.9)), images, labels, seed=0)
    for _ in range(15):
        trainer.train_epoch()
    drawn = trainer.draw(np.array([0] * 20 + [1] * 20), torch.Generator().manual_seed(0)).flatten(1).mean(1)
    assert drawn[:20].mean() < 0.2
    assert drawn[20:].mean() > 0.8


def test_what_diverges_is_said(splits_5k):
    train = splits_5k.train.subset(slice(40))
    trainer = GANTrainer(replace(SMALL, learning_rate=1e6), train.images, train.labels, seed=0)
    with pytest.raises(TrainingDivergedError, match=r"The loss of the (critic|generator) is .* at step"):
        any(not trainer.train_epoch() for _ in range(50))


def test_labels_and_digits_are_needed(digits):
    with pytest.raises(DataError, match="labelled"):
        GANTrainer(SMALL, digits, None, seed=0)
    with pytest.raises(DataError, match="at least two"):
        GANTrainer(SMALL, digits[:1], np.zeros(1, np.uint8), seed=0)
