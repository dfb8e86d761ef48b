"""The rival: a generator of labelled digits and the critic that it is trained against. No loss in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from digitvae.networks import one_hot

CLASSES = 10
SMALL = 7
"""Height and width of the smallest feature maps; digits are four times that."""


@dataclass(frozen=True)
class GANConfig:
    """A GAN and how it is trained; the defaults are the recipe ``gan``, as good as we could make it on a processor.

    Attributes:
        latent_dim: Values of the noise that a digit is drawn from.
        dense: Width of the generator's dense layer, 0 for none.
        channels: Feature maps of the generator at 7x7, and half of that at 14x14.
        critic: Feature maps of the critic at 14x14, twice that at 7x7.
        normalization: ``none``, or ``batch`` (Ioffe and Szegedy, 2015), after each hidden layer of both.
        objective: ``relativistic``: each generated digit is held against a real one (Jolicoeur-Martineau, 2019), with
            penalties on the critic's gradients at real and generated digits (Huang et al., 2024); ``classic``: the
            critic tells real from generated, the generator wants to be taken for real (Goodfellow et al., 2014).
        clear: Whether the digit is told the generator as loudly as the noise is, and paper can be exactly 0: else what
            the last layer cannot draw as 0 may differ from class to class, which readers learn.
        mismatch: Weight of what the critic pays for real digits under wrong labels.
        penalty: Weight of the penalties; no part of ``classic``.
        last_penalty: Weight that they fall to, evenly on a logarithmic scale, over the first 70 % of the training.
        penalty_every: Steps from one penalty to the next, which then counts as often (Karras et al., 2020).
        batch_size: Real digits, and generated ones, in a step.
        learning_rate: Of both networks.
        steady: Share of the training after which the rate falls to 0; 1 for never.
        betas: Adam's two decay rates.
        average: Decay per step of the running average of the generator's weights, which draws; 0 is off.
    """

    latent_dim: int = 64
    dense: int = 1024
    channels: int = 48
    critic: int = 32
    normalization: Literal["none", "batch"] = "none"
    objective: Literal["relativistic", "classic"] = "relativistic"
    clear: bool = True
    mismatch: float = 0.5
    penalty: float = 2.0
    last_penalty: float = 0.1
    penalty_every: int = 4
    batch_size: int = 64
    learning_rate: float = 8e-4
    steady: float = 0.4
    betas: tuple[float, float] = (0.0, 0.99)
    average: float = 0.999

    def penalty_at(self, share: float) -> float:
        """The weight of the penalties after a share of the training."""
        return float(self.penalty * (self.last_penalty / self.penalty) ** min(1.0, share / 0.7))


GANS = {
    "gan": GANConfig(),
    "gan-classic": GANConfig(
        normalization="batch",
        objective="classic",
        clear=False,
        mismatch=0.0,
        penalty=0.0,
        learning_rate=2e-4,
        steady=1.0,
        betas=(0.5, 0.999),
        average=0.0,
    ),
}
"""The GANs of the comparison: one done well, one as textbooks have it."""


class Generator(nn.Module):
    """Noise and a digit to an image: dense layers to 7x7 feature maps, then convolutions up to 28x28.

    Where a digit's strokes go is settled by the dense layers, which cost one multiplication a parameter; convolutions
    cost 49 to 784, and only refine.

    >>> generator = Generator.from_config(GANConfig(dense=16, channels=8), seed=0)
    >>> generator(torch.randn(3, 64), torch.tensor([3, 1, 4])).shape
    torch.Size([3, 1, 28, 28])
    """

    def __init__(self, latent_dim: int, dense: int, channels: int, normalization: str, clear: bool) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.loudness = latent_dim**0.5 if clear else 1.0
        before = latent_dim + CLASSES
        layers: list[nn.Module] = []
        for width in [dense] * bool(dense) + [channels * SMALL * SMALL]:
            layers += [nn.Linear(before, width), *_normalized(normalization, nn.BatchNorm1d, width), _activation()]
            before = width
        half = channels // 2
        layers += [
            nn.Unflatten(1, (channels, SMALL, SMALL)),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, half, 3, padding=1),
            *_normalized(normalization, nn.BatchNorm2d, half),
            _activation(),
            # Four images of 14x14, interleaved: the last layer at 28x28 for a quarter of its cost.
            nn.Conv2d(half, 4, 3, padding=1),
            nn.PixelShuffle(2),
            Ink() if clear else nn.Sigmoid(),
        ]
        self.body = nn.Sequential(*layers)

    @classmethod
    def from_config(cls, config: GANConfig, seed: int) -> Self:
        """Build it with initial weights drawn from `seed`; the global random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config.latent_dim, config.dense, config.channels, config.normalization, config.clear)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Noise (batch, latent) and digits, int64 (batch,), to images in [0, 1], shape (batch, 1, 28, 28)."""
        hot = one_hot(label, CLASSES, noise)
        assert hot is not None
        return self.body(torch.cat([noise, self.loudness * hot], 1))  # type: ignore[no-any-return]


class Ink(nn.Module):
    """A sigmoid that reaches 0 and 1, as the pixels of digits do.

    >>> Ink()(torch.tensor([-9.0, 0.0, 9.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any numbers to shares of ink."""
        return (1.06 * torch.sigmoid(x) - 0.03).clamp(0, 1)


class Critic(nn.Module):
    """An image and a digit to a number: the higher, the more the image looks like a real one of that digit.

    The digit enters as a projection (Miyato and Koyama, 2018).
    """

    def __init__(self, channels: int, normalization: str) -> None:
        super().__init__()
        width = 8 * channels
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4, channels, 3, padding=1),
            _activation(),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            *_normalized(normalization, nn.BatchNorm2d, 2 * channels),
            _activation(),
            nn.Flatten(),
            nn.Linear(2 * channels * SMALL * SMALL, width),
            _activation(),
        )
        self.score = nn.Linear(width, 1)
        self.project = nn.Linear(width, CLASSES, bias=False)

    @classmethod
    def from_config(cls, config: GANConfig, seed: int) -> Self:
        """Build it with initial weights drawn from `seed`; the global random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config.critic, config.normalization)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        """Images (batch, 1, 28, 28) in [0, 1] and digits, int64 (batch,), to scores (batch,)."""
        h = self.body(images)
        return (self.score(h) + self.project(h).gather(1, label.unsqueeze(1))).squeeze(1)  # type: ignore[no-any-return]


def _activation() -> nn.Module:
    return nn.LeakyReLU(0.2)


def _normalized(kind: str, layer: type[nn.Module], width: int) -> list[nn.Module]:
    return [layer(width)] if kind == "batch" else []
