"""How a GAN is trained: generator and critic in turn, on digits in memory, with seeded streams.

The rival of `digitvae.training`, for the comparison; it keeps nothing on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from digitvae.errors import DataError, TrainingDivergedError
from digitvae.models.gan import Critic, GANConfig, Generator
from digitvae.optimization import default_device, make_average, matrix_products, resolve_precision
from digitvae.training import stream_seed

EXPLODED = 1e4
"""A mean loss above this is called exploding; at the start both are below 1.4."""


@dataclass(frozen=True, eq=False)
class Losses:
    """What a step of the two players costs them: means over the batch, with gradients.

    Attributes:
        critic: What the critic minimises, without penalties.
        generator: What the generator minimises.
    """

    critic: Tensor
    generator: Tensor


def losses(objective: str, real: Tensor, generated: Tensor) -> Losses:
    """The losses of scores of real and of generated digits, each of shape (batch,).

    ``relativistic``: each pair is judged by its difference (Jolicoeur-Martineau, 2019, without the average; Huang et
    al., 2024). ``classic``: the non-saturating losses of Goodfellow et al. (2014).

    >>> zero = torch.zeros(4)
    >>> [round(float(each), 3) for each in vars(losses("relativistic", zero, zero)).values()]
    [0.693, 0.693]
    >>> [round(float(each), 3) for each in vars(losses("classic", zero, zero)).values()]
    [1.386, 0.693]
    """
    if objective == "relativistic":
        return Losses(softplus(generated - real).mean(), softplus(real - generated).mean())
    return Losses(softplus(-real).mean() + softplus(generated).mean(), softplus(-generated).mean())


def gradient_penalty(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Half the mean squared length of the critic's gradient at the images (Mescheder et al., 2018)."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(1).mean()


def falling(share: float, steady: float) -> float:
    """A learning rate, as a share of the highest: steady at first, then in a line to 0.

    >>> [falling(share, 0.5) for share in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return 1.0 if share <= steady else (1 - share) / (1 - steady)


class GANTrainer:
    """A generator, a critic, their optimisers and random streams, trained epoch by epoch.

    Args:
        config: The GAN.
        images: Training images, uint8, shape (n, 28, 28).
        labels: Their digits, uint8, shape (n,).
        seed: Seed of every random stream.
        device: Where to compute; the accelerator where left out and there is one.

    Raises:
        DataError: If there are fewer than two training images, or they have no labels.

    >>> digits = np.zeros((8, 28, 28), np.uint8)
    >>> trainer = GANTrainer(GANConfig(dense=8, channels=4, critic=4, batch_size=4), digits, np.arange(8) % 2, seed=0)
    >>> trainer.train_epoch()
    True
    >>> trainer.draw(np.array([0, 1]), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        config: GANConfig,
        images: np.ndarray,
        labels: np.ndarray | None,
        seed: int,
        device: torch.device | None = None,
    ) -> None:
        if len(images) < 2:
            raise DataError("Training needs at least two training digits.")
        if labels is None:
            raise DataError("A GAN that is told the digit needs labelled digits, and these have no labels.")
        self.config = config
        self.device = device or default_device()
        self.precision = resolve_precision("auto", self.device)
        self.images = torch.from_numpy(np.ascontiguousarray(images)).unsqueeze(1).to(self.device)
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(self.device)
        self.generator = Generator.from_config(config, stream_seed(seed, "generator")).to(self.device)
        self.critic = Critic.from_config(config, stream_seed(seed, "critic")).to(self.device)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), config.learning_rate, config.betas, fused=True)
            for network in (self.generator, self.critic)
        ]
        self.averaged = make_average(self.generator, config.average)
        self.streams = {
            name: torch.Generator(self.device).manual_seed(stream_seed(seed, name)) for name in ("shuffle", "noise")
        }
        self.epoch, self.step, self.steps = 0, 0, 0  # finished epochs, steps in the one under way, steps in all
        self.order = torch.empty(0, dtype=torch.int64)
        self.share = 0.0  # of the training that is over, as whoever trains says; rate and penalty follow it
        self.last_losses = (math.nan, math.nan)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; the rest, less than a batch, is left out."""
        return len(self.images) // min(self.config.batch_size, len(self.images))

    @property
    def trained_generator(self) -> Generator:
        """The generator that draws: the running average where there is one."""
        return self.generator if self.averaged is None else cast(Generator, self.averaged.module)

    def train_epoch(self, stop: Callable[[], bool] | None = None) -> bool:
        """Train to the end of the epoch under way.

        Args:
            stop: Asked after each step; the epoch is left in the middle where it answers True.

        Returns:
            Whether the epoch was finished.

        Raises:
            TrainingDivergedError: If a loss is not finite, or explodes.
        """
        batch = min(self.config.batch_size, len(self.images))
        if self.step == 0:
            self.order = torch.randperm(len(self.images), generator=self.streams["shuffle"], device=self.device)
        self.generator.train()
        self.critic.train()
        while self.step < self.steps_per_epoch:
            self._train_step(self.order[self.step * batch : (self.step + 1) * batch])
            self.step += 1
            if stop is not None and stop() and self.step < self.steps_per_epoch:
                return False
        self.epoch, self.step = self.epoch + 1, 0
        return True

    def _train_step(self, index: Tensor) -> None:
        real, label = self.images[index].float().div_(255), self.labels[index]
        rate = self.config.learning_rate * falling(self.share, self.config.steady)
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = rate
        with matrix_products(self.precision):
            noise = self._noise(len(index))
            with torch.no_grad():
                generated = self.generator(noise, label)
            loss = losses(self.config.objective, self.critic(real, label), self.critic(generated, label)).critic
            total = loss
            if self.config.mismatch:
                other = (
                    label + torch.randint(1, 10, label.shape, generator=self.streams["noise"], device=self.device)
                ) % 10
                wrong = softplus(self.critic(real, other) - self.critic(real, label)).mean()
                total = total + self.config.mismatch * wrong
            if self.config.penalty and self.steps % self.config.penalty_every == 0:
                # Counted as often as it is left out in between.
                weight = self.config.penalty_at(self.share) * self.config.penalty_every
                for images in (real, generated):
                    total = total + weight * gradient_penalty(lambda x: self.critic(x, label), images)
            self._update(self.critic, self.optimizers[1], total)

            self.critic.requires_grad_(False)
            generated = self.critic(self.generator(self._noise(len(index)), label), label)
            scores = torch.empty(0)
            if self.config.objective == "relativistic":  # the other loss does not ask for real digits
                with torch.no_grad():
                    scores = self.critic(real, label)
            wanted = losses(self.config.objective, scores, generated).generator
            self._update(self.generator, self.optimizers[0], wanted)
            self.critic.requires_grad_(True)
        if self.averaged is not None:
            self.averaged.update_parameters(self.generator)
        self.steps += 1
        self.last_losses = (float(loss.detach()), float(wanted.detach()))
        for name, value in zip(("critic", "generator"), self.last_losses, strict=True):
            if not abs(value) < EXPLODED:  # true of NaN as well
                raise TrainingDivergedError(f"The loss of the {name} is {value:.4g} at step {self.steps:,}.")

    def _update(self, network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _noise(self, n: int) -> Tensor:
        return torch.randn(n, self.config.latent_dim, generator=self.streams["noise"], device=self.device)

    def draw(self, labels: np.ndarray | Tensor, generator: torch.Generator) -> Tensor:
        """Draw digits with these labels, shape (n,): images in [0, 1], shape (n, 1, 28, 28)."""
        return self.decode(torch.randn(len(labels), self.config.latent_dim, generator=generator), labels)

    def decode(self, noise: Tensor, labels: np.ndarray | Tensor) -> Tensor:
        """The digits of noise, shape (n, latent), with these labels: images in [0, 1], shape (n, 1, 28, 28)."""
        label = torch.as_tensor(labels).long()
        network = self.trained_generator.eval()
        with torch.inference_mode():
            parts = zip(torch.split(noise, 2000), torch.split(label, 2000), strict=True)
            return torch.cat([network(z.to(self.device), y.to(self.device)).cpu() for z, y in parts])
