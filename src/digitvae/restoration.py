"""Digits of which a part is covered, or that are noisy: what the model thinks they were, as several draws.

A code is drawn from the posterior given what can be seen alone. No encoder knows that posterior, so it is sampled: many
codes from the prior, the best of them carried on by Langevin steps that are accepted or refused (Roberts and Tweedie,
1996).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitvae.errors import InputError
from digitvae.images import as_images, unit_range
from digitvae.models.vae import VAE

PROPOSALS = 5000
"""Codes from the prior that are tried at first, all digits together."""

STEPS = 200
"""Langevin steps after that."""

ACCEPTED = 0.57
"""Share of the steps that should be accepted, which the length of a step follows (Roberts and Rosenthal, 1998)."""

LEAST_NOISE = 0.15
"""Standard deviation of what the model cannot draw of a clean digit, as a share of full ink."""


@dataclass(frozen=True, eq=False)
class Restored:
    """Draws of what an image was.

    Attributes:
        images: uint8, shape (samples, 28, 28).
        labels: The digit that each draw is, shape (samples,); None where the model is not conditioned on it. A rough
            guess where it was not given: which digits a few thousand codes from the prior explain what is seen by, and
            less sure of itself than the posterior.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None


def restore(
    model: VAE,
    image: npt.NDArray[np.uint8],
    covered: npt.NDArray[np.bool_],
    samples: int = 8,
    digit: int | None = None,
    seed: int = 0,
) -> Restored:
    """Draw what a digit was, given what can be seen of it, which may be noisy.

    What can be seen is taken as the drawing and Normal noise; how much noise is found from how near the best draws
    come. Pixels that can be seen are drawn anew too: without their noise. The codes of each label are drawn from their
    posterior; the labels themselves are not (see `Restored`).

    Args:
        model: The VAE.
        image: uint8, ink is 255, shape (28, 28).
        covered: Which pixels say nothing, shape (28, 28); none of them for a digit that is only noisy.
        samples: Draws.
        digit: What it is, where that is known and the model is conditioned on it.
        seed: Seed of the draws.

    Raises:
        InputError: If shapes or numbers do not fit, or nothing can be seen.
    """
    if covered.shape != (28, 28) or covered.all():
        raise InputError("A mask has 28 x 28 pixels, and leaves something to be seen.")
    if not 1 <= samples <= 100:
        raise InputError(f"There can be 1 to 100 draws, not {samples}.")
    if not 0 <= seed < 2**63:
        raise InputError(f"The seed must be a whole number from 0 to 2^63 - 1, not {seed}.")
    if digit is not None and digit not in range(10):
        raise InputError(f"A digit is 0 to 9, not {digit}.")
    x = unit_range(as_images(image[None]))[0]
    seen = ~torch.from_numpy(covered)
    generator = torch.Generator().manual_seed(seed)
    noise = LEAST_NOISE
    for last in (False, True):
        target = _Target(model, x[:, seen], seen, noise)
        z, label = _started(target, samples, digit, generator)
        z = _walked(target.given(label), z, STEPS if last else STEPS // 4, generator)
        with torch.no_grad():
            images = model.given(label).draw(z)
        distance = (images[..., seen] - x[:, seen]).square().flatten(1).mean(1).sqrt()
        noise = max(LEAST_NOISE, float(distance.min()))
    made = images.squeeze(1).mul(255).round().byte().numpy()
    return Restored(made, None if label is None else label.numpy())


@dataclass(frozen=True)
class _Target:
    """The logarithm of prior times likelihood of what is seen."""

    model: VAE
    x: Tensor
    seen: Tensor
    noise: float

    def given(self, label: Tensor | None) -> _Target:
        return _Target(self.model.given(label), self.x, self.seen, self.noise)

    def log_likelihood(self, z: Tensor) -> Tensor:
        distance = (self.model.draw(z)[..., self.seen] - self.x).square()
        return -distance.flatten(1).sum(1) / (2 * self.noise**2)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_likelihood(z) + self.model.prior.log_prob(z)

    def slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm, shape (n,), and its slope, shape (n, latent)."""
        z = z.detach().requires_grad_()
        value = self.log_prob(z)
        return value.detach(), torch.autograd.grad(value.sum(), z)[0]


def _started(
    target: _Target, samples: int, digit: int | None, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Codes from the prior, drawn again by how well they explain what is seen, and their labels."""
    label = None
    if target.model.classes:
        label = torch.arange(PROPOSALS) % 10 if digit is None else torch.full((PROPOSALS,), digit)
    given = target.given(label)
    with torch.no_grad():
        z = given.model.prior.sample(PROPOSALS, generator)
        weight = given.log_likelihood(z)
        # Few of so many would stand out: tempered, so that more than one gets a chance. The walk does the rest.
        chosen = torch.multinomial((weight / 4).softmax(0), samples, replacement=True, generator=generator)
    return z[chosen], None if label is None else label[chosen]


def _walked(target: _Target, z: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Langevin steps from each of the codes (n, latent), each with a step length of its own that learns."""
    length = torch.full((len(z), 1), 0.02)
    value, slope = target.slope(z)
    for step in range(steps):
        moved = z + length**2 / 2 * slope + length * torch.randn(z.shape, generator=generator)
        new_value, new_slope = target.slope(moved)
        there = (moved - z - length**2 / 2 * slope).square().sum(1) / (2 * length[:, 0] ** 2)
        back = (z - moved - length**2 / 2 * new_slope).square().sum(1) / (2 * length[:, 0] ** 2)
        log_ratio = (new_value - value + there - back).nan_to_num(nan=-torch.inf)
        taken = torch.rand(len(z), generator=generator).log() < log_ratio
        z = torch.where(taken[:, None], moved, z)
        slope = torch.where(taken[:, None], new_slope, slope)
        value = torch.where(taken, new_value, value)
        if step < steps // 2:  # then it stays, so that the rest draws from the right distribution
            share = log_ratio.clamp(max=0).exp()
            length = length * torch.exp((share - ACCEPTED) * 0.1)[:, None]
    return z
