"""What a trained VAE makes: samples, reconstructions, and paths and directions through its latent space.

Codes, images and generators are on the CPU, whatever device the model is on, so the same seed draws the same noise
everywhere. Every number is float32, the model is in evaluation mode while it is used, and images are what the model
draws, in [0, 1], never logits. Paths and directions are arithmetic on codes, in `digitvae.latent`; `decode_images`
turns what they give into images.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from digitvae.distributions import DiagonalNormal
from digitvae.errors import InputError
from digitvae.images import as_images, unit_range
from digitvae.latent import at_least, direction_grid
from digitvae.models.vae import VAE
from digitvae.networks import PIXELS


@dataclass(frozen=True, eq=False)
class Samples:
    """Codes and the images that the decoder makes of them.

    Attributes:
        codes: Shape (..., latent).
        images: What is drawn (`VAE.draw`), in [0, 1], shape (..., 1, 28, 28).
    """

    codes: Tensor
    images: Tensor


@dataclass(frozen=True, eq=False)
class LatentGrid:
    """Images of a square grid of codes over two latent dimensions, laid out like a plot.

    Attributes:
        axis: Rising coordinates, the same for both dimensions, shape (steps,).
        images: Shape (steps, steps, 1, 28, 28). Column j has the first coordinate ``axis[j]``; row i has the second
            coordinate ``axis[steps - 1 - i]``, so row 0, at the top, has the highest.
    """

    axis: Tensor
    images: Tensor


def encode_images(
    model: VAE, images: Tensor | np.ndarray, batch: int = 2000, labels: Tensor | np.ndarray | None = None
) -> DiagonalNormal:
    """The approximate posterior of many images, `batch` at a time.

    Args:
        model: The VAE.
        images: Shape (n, 28, 28) or (n, 1, 28, 28), uint8 (ink is 255) or floating point in [0, 1].
        batch: Images that the encoder sees at a time; it does not change the result.
        labels: Their digits, shape (n,), where the model is conditioned on them.

    Returns:
        The posterior, its parameters of shape (n, latent).

    Raises:
        InputError: If the images have another shape, type or range, or labels do not fit.
    """
    images = as_images(images)
    device, label = _device(model), _labels(model, labels, len(images))
    parts = []
    with _evaluating(model):
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            given = model.given(None if label is None else label[part].to(device))
            posterior = given.encode(unit_range(images[part]).to(device))
            parts.append((posterior.loc.float().cpu(), posterior.log_var.float().cpu()))
    return DiagonalNormal(torch.cat([loc for loc, _ in parts]), torch.cat([log_var for _, log_var in parts]))


def decode_images(model: VAE, codes: Tensor, batch: int = 2000, labels: Tensor | np.ndarray | None = None) -> Tensor:
    """The images of many codes, `batch` at a time.

    Args:
        model: The VAE.
        codes: Shape (..., latent).
        batch: Codes that the decoder sees at a time; it does not change the result.
        labels: The digits to decode them as, shape (...), where the model is conditioned on them.

    Returns:
        What is drawn (`VAE.draw`), in [0, 1], shape (..., 1, 28, 28).

    Raises:
        InputError: If the codes have another number of latent dimensions than the model, or labels do not fit.
    """
    if codes.ndim < 1 or codes.shape[-1] != model.latent_dim:
        raise InputError(f"Codes for this model need shape (..., {model.latent_dim}), not {tuple(codes.shape)}.")
    device = _device(model)
    flat = codes.float().reshape(-1, model.latent_dim)
    label = _labels(model, labels, len(flat))
    parts = []
    with _evaluating(model):
        for start in range(0, len(flat), batch):
            part = slice(start, start + batch)
            given = model.given(None if label is None else label[part].to(device))
            parts.append(given.draw(flat[part].to(device)).float().cpu())
    return torch.cat(parts).reshape(*codes.shape[:-1], 1, PIXELS, PIXELS)


def sample(model: VAE, n: int, generator: torch.Generator, labels: Tensor | np.ndarray | None = None) -> Samples:
    """Draw `n` codes from the prior and decode them.

    Args:
        model: The VAE.
        n: How many.
        generator: Source of the codes.
        labels: The digits to draw, shape (n,), where the model is conditioned on them.

    Returns:
        Codes (n, latent) and images (n, 1, 28, 28).

    Raises:
        InputError: If `n` is below 1, or labels do not fit.

    >>> from digitvae.hub import from_pretrained
    >>> drawn = sample(from_pretrained("map"), 4, torch.Generator().manual_seed(0))
    >>> drawn.codes.shape, drawn.images.shape
    (torch.Size([4, 2]), torch.Size([4, 1, 28, 28]))
    """
    at_least(n, 1, "The number of samples")
    label = _labels(model, labels, n)
    with torch.inference_mode():
        codes = copy.deepcopy(model.prior).cpu().given(label).sample(n, generator)
    codes = codes.clone()  # outside inference mode it may be changed in place again
    return Samples(codes, decode_images(model, codes, labels=label))


def reconstruct(model: VAE, images: Tensor | np.ndarray, labels: Tensor | np.ndarray | None = None) -> Tensor:
    """Each image by way of its code: the decoded mean (loc) of its posterior, shape (n, 1, 28, 28).

    `images` and `labels` are as in `encode_images`, and so are the errors.
    """
    return decode_images(model, encode_images(model, images, labels=labels).loc, labels=labels)


def posterior_draws(model: VAE, images: Tensor | np.ndarray, n: int, generator: torch.Generator) -> Samples:
    """Draw `n` codes from the posterior of each image and decode them.

    Args:
        model: The VAE.
        images: As in `encode_images`.
        n: Draws for each image.
        generator: Source of the latent noise.

    Returns:
        Codes (n, batch, latent) and images (n, batch, 1, 28, 28): the draws lead.

    Raises:
        InputError: If `n` is below 1, or the images cannot be used.
    """
    at_least(n, 1, "The number of draws")
    codes = encode_images(model, images).sample(generator, n)
    return Samples(codes, decode_images(model, codes))


def latent_grid(model: VAE, extent: float = 4.0, steps: int = 15) -> LatentGrid:
    """Decode a grid of codes from -extent to +extent in the first two latent dimensions; all others are 0.

    Raises:
        InputError: If the model has one latent dimension only, `extent` is not above 0, or `steps` is below 2.
    """
    if model.latent_dim < 2:
        raise InputError("A latent grid needs two latent dimensions, and this model has one; use traverse.")
    if not 0 < extent < math.inf:
        raise InputError(f"The extent of a latent grid must be above 0, not {extent}.")
    at_least(steps, 2, "The steps of a latent grid")
    axis = torch.linspace(-extent, extent, steps)
    across, up = torch.eye(model.latent_dim)[:2]
    codes = direction_grid(torch.zeros(model.latent_dim), across, up, axis)
    return LatentGrid(axis, decode_images(model, codes))


def nearest_images(
    images: Tensor | np.ndarray, among: Tensor | np.ndarray, k: int = 1, batch: int = 2000
) -> tuple[Tensor, Tensor]:
    """The `k` images of `among` that are nearest to each image, in Euclidean distance over all pixels.

    Args:
        images: What to look for, as in `encode_images`.
        among: Where to look, such as the training digits, in any of the same forms.
        k: How many to find for each.
        batch: Images held against each other at a time; it bounds the memory.

    Returns:
        Positions in `among`, int64, and distances, float32, where ink is 1; both (n, k), nearest first.

    Raises:
        InputError: If images cannot be used, or `among` holds fewer than `k`.
    """
    images, among = as_images(images), as_images(among)
    if not 1 <= k <= len(among):
        raise InputError(f"There are {len(among)} images to choose from, so k cannot be {k}.")
    # Matrix products are fast but round small distances off, so they only pick candidates, a few more than k.
    spare = min(k + 8, len(among))
    found = [_candidates(part, among, spare, batch) for part in torch.split(images, 1000)]
    indices, distances = [], []
    for image, index in zip(images, torch.cat(found).sort(dim=1).values, strict=True):
        apart = (unit_range(among[index]) - unit_range(image)).flatten(1).norm(dim=1)
        order = apart.argsort(stable=True)[:k]
        indices.append(index[order])
        distances.append(apart[order])
    return torch.stack(indices), torch.stack(distances)


def _candidates(images: Tensor, among: Tensor, count: int, batch: int) -> Tensor:
    """Positions of the `count` images nearest to each, but for rounding, shape (n, count)."""
    flat = unit_range(images).flatten(1)
    best = torch.full((len(images), 0), math.inf)
    where = torch.zeros((len(images), 0), dtype=torch.int64)
    for start in range(0, len(among), batch):
        part = unit_range(among[start : start + batch]).flatten(1)
        # The squared distance without the image's own norm, which does not change the order.
        apart = torch.addmm(part.square().sum(1), flat, part.T, alpha=-2)
        positions = torch.arange(start, start + len(part)).expand(len(images), -1)
        best, where = torch.cat([best, apart], 1), torch.cat([where, positions], 1)
        best, chosen = best.topk(min(count, best.shape[1]), largest=False)
        where = where.gather(1, chosen)
    return where


def _labels(model: VAE, labels: Tensor | np.ndarray | None, n: int) -> Tensor | None:
    """Labels as the model takes them, int64, shape (n,); None where it takes none.

    Raises:
        InputError: If they are missing, too few or many, or no classes of the model.
    """
    if not model.classes:
        return None
    if labels is None:
        raise InputError("This model is conditioned on the digit; give a label for each image.")
    label = torch.as_tensor(labels).long().reshape(-1)
    if len(label) != n or (n and not 0 <= int(label.min()) <= int(label.max()) < model.classes):
        raise InputError(f"The model needs {n} labels from 0 to {model.classes - 1}.")
    return label


@contextlib.contextmanager
def _evaluating(model: VAE) -> Iterator[None]:
    """Inference in evaluation mode; the mode before is restored."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def _device(model: VAE) -> torch.device:
    return next(model.parameters()).device
