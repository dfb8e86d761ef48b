"""Random affine changes of training digits: small turns, slants, sizes and shifts that keep the class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from digitvae.config import DataConfig

ROTATION_DEGREES = 15.0
SHEAR_DEGREES = 15.0
LOG_SCALE = 0.15
SHIFT_PIXELS = 1.5
"""At strength 1, draws are uniform from minus to plus each of these."""


LABELS = 7
"""Values that say how a digit was changed: the six draws, and 1 where it was changed at all."""


def augmentation_labels(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw how `n` digits are changed.

    Args:
        n: Number of digits.
        share: Share of them that is changed.
        generator: Source of the draws.

    Returns:
        Shape (n, `LABELS`): draws from -1 to 1 for angle, shear, width, height and the two shifts, then 1; all zeros
        for a digit that stays as it is.
    """
    draws = 2 * torch.rand(n, LABELS - 1, generator=generator, device=generator.device) - 1
    changed = torch.ones(n, 1, device=generator.device)
    if share < 1:
        changed = (torch.rand(n, 1, generator=generator, device=generator.device) < share).float()
    return torch.cat([draws * changed, changed], 1)


def augment(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Turn, slant, scale and shift each image at random, by bilinear resampling.

    Args:
        images: Shape (batch, 1, 28, 28), in [0, 1].
        strength: 0 to 1; the ranges above are multiplied by it.
        generator: Source of the draws.

    Returns:
        Images of the same shape, in [0, 1].
    """
    return changed(images, strength, augmentation_labels(len(images), 1.0, generator), "bilinear")


def changed_at_random(
    images: Tensor, data: DataConfig, generator: torch.Generator, told: bool = False, alike: bool = False
) -> tuple[Tensor, Tensor]:
    """Change images as a recipe says.

    Args:
        images: Shape (batch, 1, 28, 28), in [0, 1].
        data: Strength and share of the recipe's augmentation.
        generator: Source of the draws.
        told: Whether the model is told how they were changed.
        alike: Whether all are changed in one way, or none is.

    Returns:
        Images of the same shape, in [0, 1], and how they were changed: `augmentation_labels`, one row where `alike`.
    """
    how = augmentation_labels(1 if alike else len(images), data.augmentation_share, generator)
    # Bicubic resampling blurs less; it may overshoot near edges, but then the model knows that it happened.
    resampling = "bicubic" if told else "bilinear"
    return changed(images, data.augmentation, how.expand(len(images), -1), resampling), how


def changed(images: Tensor, strength: float, labels: Tensor, resampling: str) -> Tensor:
    """Change images as `augmentation_labels` says, with ``bilinear`` or ``bicubic`` resampling.

    Returns:
        Images of the same shape, in [0, 1].
    """
    height = images.shape[-2]
    angle, shear, log_x, log_y, shift_x, shift_y = (strength * labels[:, : LABELS - 1]).unbind(1)
    angle = angle * math.radians(ROTATION_DEGREES)
    slant = torch.tan(shear * math.radians(SHEAR_DEGREES))
    scale_x, scale_y = torch.exp(LOG_SCALE * log_x), torch.exp(LOG_SCALE * log_y)
    cos, sin = torch.cos(angle), torch.sin(angle)
    shift = 2 * SHIFT_PIXELS / height  # affine_grid measures in half-widths
    rows = [
        torch.stack([cos * scale_x, (cos * slant - sin) * scale_y, shift * shift_x], 1),
        torch.stack([sin * scale_x, (sin * slant + cos) * scale_y, shift * shift_y], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=resampling, align_corners=False).clamp_(0, 1)
