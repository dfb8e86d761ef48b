"""Random affine changes of training digits: small turns, slants, sizes and shifts that keep the class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ROTATION_DEGREES = 15.0
SHEAR_DEGREES = 15.0
LOG_SCALE = 0.15
SHIFT_PIXELS = 1.5
"""At strength 1, draws are uniform from minus to plus each of these."""


def augment(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Turn, slant, scale and shift each image at random, by bilinear resampling.

    Args:
        images: Shape (batch, 1, 28, 28), in [0, 1].
        strength: 0 to 1; the ranges above are multiplied by it.
        generator: Source of the draws.

    Returns:
        Images of the same shape, in [0, 1].
    """
    batch, _, height, _ = images.shape
    draws = 2 * torch.rand(batch, 6, generator=generator, device=images.device) - 1
    angle, shear, log_x, log_y, shift_x, shift_y = (strength * draws).unbind(1)
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
    return F.grid_sample(images, grid, align_corners=False).clamp_(0, 1)
