"""Images as every measure and model takes them: uint8 or floating point, checked once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from digitvae.data.digits import SIDE
from digitvae.errors import InputError


def as_images(images: Tensor | np.ndarray) -> Tensor:
    """Images as a tensor of shape (n, 1, 28, 28) on the CPU, of the type that they have.

    Args:
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 (ink is 255) or floating point in [0, 1].

    Raises:
        InputError: If they have another shape, type or range, or there are none.
    """
    tensor = torch.as_tensor(images).detach().cpu()
    if tensor.ndim == 3:
        tensor = tensor.unsqueeze(1)
    if tensor.shape[1:] != (1, SIDE, SIDE) or len(tensor) == 0:
        raise InputError(f"Images need shape (n, 28, 28) or (n, 1, 28, 28), not {tuple(tensor.shape)}.")
    if tensor.dtype == torch.uint8:
        return tensor
    if not tensor.is_floating_point() or not (tensor.amin() >= 0 and tensor.amax() <= 1):
        raise InputError("Images need uint8 pixels, or floating-point ones from 0 (paper) to 1 (ink).")
    return tensor


def unit_range(images: Tensor) -> Tensor:
    """Float32 images in [0, 1], from uint8 or floating point."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()
