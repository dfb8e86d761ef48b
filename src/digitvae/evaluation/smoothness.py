"""How smooth the map of a two-dimensional model is: whether neighbouring codes decode to the same digit, and how
unevenly the plane is stretched over the images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from digitvae.distributions import StandardNormal
from digitvae.evaluation.measures import Measure, network_sha256
from digitvae.generation import decode_images
from digitvae.models.vae import VAE
from digitvae.reading import frozen, read_digits

SIDE = 100
"""Codes along each side of the plane, at equal steps of the prior's quantiles."""

NUDGE = 1e-3
"""Step of the finite differences, as a share of the side."""


def map_measures(model: VAE) -> list[Measure]:
    """Smoothness of the map from the plane to mean images.

    The plane is taken by the prior's quantiles, as a unit square: equal areas of it are equally probable. Edges of the
    square are not neighbours, also where the model says that they are.

    Args:
        model: The VAE, with two latent dimensions and a standard Normal prior.

    Returns:
        ``same digit nearby``: the share of horizontal and vertical neighbours, 1/100 of the side apart, that the frozen
        reader names alike. ``local distortion``: standard deviation over the square of the logarithm of the local area
        that images cover; 0 where equal areas of the plane decode to equally different images. ``local anisotropy``:
        median ratio of the directions in which images change most and least; 1 where all directions are alike.
    """
    steps = (torch.arange(SIDE) + 0.5) / SIDE
    square = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).double()
    read = read_digits(frozen("reader")[0], _decoded(model, square)).argmax(1).reshape(SIDE, SIDE)
    same = torch.cat([(read[1:] == read[:-1]).flatten(), (read[:, 1:] == read[:, :-1]).flatten()])
    singular = _stretch(model, square)
    area = singular.prod(1).clamp(min=1e-12).log()
    ratio = singular[:, 0] / singular[:, 1].clamp(min=1e-12)
    settings: dict[str, object] = {"side": SIDE}
    read_by = settings | {"reader": network_sha256("reader")}
    return [
        Measure("same digit nearby", float(same.double().mean()), "share", _SAME, SIDE**2, settings=read_by),
        Measure("local distortion", float(area.std()), "", _DISTORTION, SIDE**2, settings=settings),
        Measure("local anisotropy", float(ratio.median()), "", _ANISOTROPY, SIDE**2, settings=settings),
    ]


_SAME = "Neighbours on the map, 1/100 of its side apart in quantiles of the prior, that the frozen reader names alike."
_DISTORTION = "Standard deviation over the map of the logarithm of the area that images cover; 0 is even."
_ANISOTROPY = "Median over the map of the most that images change by direction to the least; 1 is even."


def can_be_mapped(model: VAE) -> bool:
    """Whether the model has a plane whose quantiles are known."""
    return model.latent_dim == 2 and isinstance(model.prior, StandardNormal) and not model.classes


def _decoded(model: VAE, u: Tensor) -> Tensor:
    """Mean images for points of the unit square, shape (..., 2), as (points, 1, 28, 28)."""
    return decode_images(model, torch.special.ndtri(u).float().reshape(-1, 2))


def _stretch(model: VAE, square: Tensor) -> Tensor:
    """Singular values of the derivative of mean images by the point of the square, falling, shape (points, 2)."""
    columns = []
    for axis in range(2):
        nudge = torch.zeros(2, dtype=torch.float64)
        nudge[axis] = NUDGE
        columns.append((_decoded(model, square + nudge) - _decoded(model, square - nudge)).flatten(1) / (2 * NUDGE))
    singular: Tensor = torch.linalg.svdvals(torch.stack(columns, -1).double())
    return singular
