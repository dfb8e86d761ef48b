"""Arithmetic on codes: paths and directions through latent space, and where the data lies in it.

Codes are tensors on the CPU, of shape (..., latent); results are float32. No model is needed: the decoder turns the
codes into images (`digitvae.generation.decode_images`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from digitvae.errors import InputError

SUPPORT_NEIGHBORS = 10
"""`Support` looks at the distance to this many nearest codes."""

PARALLEL = 1e-6
"""Directions whose angle, in radians, is this near to 0 or to a half turn count as parallel or opposite."""


def path_positions(steps: int, beyond: float = 0.0) -> Tensor:
    """Where the codes of `interpolate` and `extrapolate` lie: 0 is the first code, 1 the second, shape (steps,).

    Raises:
        InputError: If `steps` is below 2, or `beyond` is negative or not finite.
    """
    at_least(steps, 2, "The steps of a path")
    if not 0 <= beyond < math.inf:
        raise InputError(f"The share beyond the ends must be 0 or more, not {beyond}.")
    return torch.linspace(0 - beyond, 1 + beyond, steps)


def interpolate(a: Tensor, b: Tensor, steps: int, spherical: bool = False) -> Tensor:
    """Codes on the way from `a` to `b`, both included exactly.

    The straight path has equal steps. The spherical path (after Shoemake, 1985) turns the direction at constant
    angular speed, the shorter way round, while the distance from the origin changes linearly; so codes of equal
    norm keep it. Where that is not defined:

    - if `a` or `b` is zero, or there is one latent dimension, the path is straight;
    - if the directions are parallel (see `PARALLEL`), only the distance from the origin changes;
    - if they are opposite, no way round is shorter: the half turn goes towards the latent axis that is most nearly
      perpendicular to `a` (the first of several), on its positive side.

    Args:
        a: First code, shape (..., latent).
        b: Last code, shape (..., latent).
        steps: Codes on the path, the ends included; at least 2.
        spherical: Whether the path is spherical.

    Returns:
        Shape (steps, ..., latent).

    Raises:
        InputError: If the codes differ in shape, or `steps` is below 2.
    """
    _same_shape(a, b)
    weight = _column(path_positions(steps), a)
    straight = torch.lerp(a.float(), b.float(), weight)
    if not spherical or a.shape[-1] == 1:
        return straight
    path = _turned(a.double(), b.double(), weight.double()).float()
    # Rounding must not move the ends; and a direction of zero is no direction.
    keep = (weight == 0) | (weight == 1) | _is_zero(a) | _is_zero(b)
    return torch.where(keep, straight, path)


def extrapolate(a: Tensor, b: Tensor, steps: int, beyond: float) -> Tensor:
    """Codes on the straight line through `a` and `b` that goes on beyond both.

    Args:
        a: A code, shape (..., latent).
        b: Another code of the same shape.
        steps: Codes on the line; at least 2. `path_positions` gives their places.
        beyond: How far the line goes on at either end, as a share of the distance from `a` to `b`.

    Returns:
        Shape (steps, ..., latent).

    Raises:
        InputError: If the codes differ in shape, `steps` is below 2, or `beyond` is negative.
    """
    _same_shape(a, b)
    return torch.lerp(a.float(), b.float(), _column(path_positions(steps, beyond), a))


def traverse(code: Tensor, dimension: int, values: Sequence[float] | Tensor) -> Tensor:
    """Codes that differ from `code` in one latent dimension only, which takes each of `values`.

    Args:
        code: Shape (..., latent).
        dimension: The dimension to move, from 0.
        values: What it takes, in the units of the latent space (the prior's standard deviation is 1).

    Returns:
        Shape (len(values), ..., latent).

    Raises:
        InputError: If there is no such dimension.
    """
    if not 0 <= dimension < code.shape[-1]:
        raise InputError(f"There is no latent dimension {dimension}; they are 0 to {code.shape[-1] - 1}.")
    codes = code.float().expand(len(values), *code.shape).clone()
    codes[..., dimension] = _column(torch.as_tensor(values), code)[..., 0]
    return codes


def mean_difference(codes: Tensor, groups: Tensor | np.ndarray) -> Tensor:
    """The direction of an attribute: the mean code of the digits that have it minus that of those without.

    Larsen et al. (2016), "Autoencoding beyond pixels using a learned similarity metric", section 4.2.

    Args:
        codes: Shape (n, latent).
        groups: Whether each digit has the attribute, boolean, shape (n,).

    Returns:
        Shape (latent,).

    Raises:
        InputError: If `groups` is not boolean or of another length, or one of the two groups is empty.
    """
    groups = torch.as_tensor(groups)
    if groups.dtype != torch.bool or groups.shape != codes.shape[:1]:
        raise InputError(f"The groups must be one True or False for each of the {len(codes)} codes.")
    if groups.all() or not groups.any():
        raise InputError("Digits both with and without the attribute are needed; one group is empty.")
    return codes[groups].float().mean(0) - codes[~groups].float().mean(0)


def add_direction(code: Tensor, direction: Tensor, amounts: Sequence[float] | Tensor) -> Tensor:
    """`code` + amount * `direction` for each amount.

    Args:
        code: Shape (..., latent).
        direction: Shape (latent,), such as `mean_difference` gives.
        amounts: Multiples of the direction; negative ones go the other way.

    Returns:
        Shape (len(amounts), ..., latent).

    Raises:
        InputError: If code and direction differ in latent dimensions.
    """
    if direction.shape != code.shape[-1:]:
        raise InputError(
            f"This code needs a direction of shape {tuple(code.shape[-1:])}, not {tuple(direction.shape)}."
        )
    return code.float() + _column(torch.as_tensor(amounts), code) * direction.float()


def direction_grid(code: Tensor, across: Tensor, up: Tensor, amounts: Sequence[float] | Tensor) -> Tensor:
    """Two attributes combined: `code` plus every sum of a multiple of `across` and a multiple of `up`.

    The grid is laid out like a plot: column j adds ``amounts[j] * across``, row i adds ``amounts[-1 - i] * up``, so
    that with rising amounts row 0, at the top, has the most of `up`.

    Args:
        code: Shape (latent,).
        across: Direction, shape (latent,).
        up: Direction, shape (latent,).
        amounts: Multiples of either direction.

    Returns:
        Shape (len(amounts), len(amounts), latent): row, column, latent.

    Raises:
        InputError: If code and directions differ in shape.
    """
    _same_shape(code, across)
    _same_shape(code, up)
    columns = add_direction(code, across, amounts)
    return add_direction(columns, up, torch.as_tensor(amounts).flip(0))


@dataclass(frozen=True, eq=False)
class Support:
    """Where data lies in the latent space, to tell when a path leaves it.

    A code is inside when its distance to the tenth nearest of the data's codes (`SUPPORT_NEIGHBORS`) is at most
    `limit`: the 99 % quantile of the same distance for the data's own codes, each held against the others. So 1 % of
    the data itself counts as outside. Distances to the k-th neighbour stand for a density (Loftsgaarden and
    Quesenberry, 1965) and need no bandwidth.

    Attributes:
        tree: The data's codes, as a tree for neighbour search.
        limit: Largest distance that counts as inside, in the units of the latent space.

    >>> support = Support.fit(torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)))
    >>> support.contains(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    tensor([ True, False])
    """

    tree: KDTree
    limit: float

    @classmethod
    def fit(cls, codes: Tensor, quantile: float = 0.99) -> Support:
        """Learn the support from the data's codes, shape (n, latent): the means of their posteriors.

        Raises:
            InputError: If there are too few codes, or one is not finite, or `quantile` is not between 0 and 1.
        """
        if codes.ndim != 2 or len(codes) <= SUPPORT_NEIGHBORS or not torch.isfinite(codes).all():
            raise InputError(f"A support needs more than {SUPPORT_NEIGHBORS} finite codes, shape (n, latent).")
        if not 0 < quantile <= 1:
            raise InputError(f"The quantile of a support must be above 0 and at most 1, not {quantile}.")
        tree = KDTree(codes.detach().double().numpy())
        distances, _ = tree.query(tree.data, [SUPPORT_NEIGHBORS + 1])  # the nearest is the code itself
        return cls(tree, float(np.quantile(distances, quantile)))

    def distance(self, codes: Tensor) -> Tensor:
        """Distance of codes (..., latent) to the tenth nearest of the data's, float32, shape (...).

        Raises:
            InputError: If the codes have another number of latent dimensions, or are not finite.
        """
        if codes.shape[-1] != self.tree.m or not torch.isfinite(codes).all():
            raise InputError(f"The support holds {self.tree.m} latent dimensions; give finite codes of as many.")
        distances, _ = self.tree.query(codes.detach().double().numpy(), [SUPPORT_NEIGHBORS])
        return torch.from_numpy(distances[..., 0]).float()

    def contains(self, codes: Tensor) -> Tensor:
        """Whether each of the codes (..., latent) is inside, boolean, shape (...); errors as in `distance`."""
        return self.distance(codes) <= self.limit


def _turned(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """The spherical path; not a number where `a` or `b` is zero."""
    radius_a, radius_b = (torch.linalg.vector_norm(code, dim=-1, keepdim=True) for code in (a, b))
    first, last = a / radius_a, b / radius_b
    along = (first * last).sum(-1, keepdim=True)
    across = last - along * first
    sine = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    angle = torch.atan2(sine, along)
    # Where the two directions span no plane, the latent axis most nearly perpendicular to the first gives one.
    axis = torch.nn.functional.one_hot(first.abs().argmin(-1), a.shape[-1]).to(first)
    axis = axis - (axis * first).sum(-1, keepdim=True) * first
    axis = axis / torch.linalg.vector_norm(axis, dim=-1, keepdim=True)
    flat = sine < PARALLEL
    across = torch.where(flat, axis, across / sine)
    angle = torch.where(flat, torch.where(along > 0, 0.0, math.pi), angle)
    direction = torch.cos(weight * angle) * first + torch.sin(weight * angle) * across
    return torch.lerp(radius_a, radius_b, weight).mul(direction)


def _is_zero(code: Tensor) -> Tensor:
    return (code == 0).all(-1, keepdim=True)


def _column(values: Tensor, code: Tensor) -> Tensor:
    """Values (n,) shaped (n, 1, ..., 1), to lead the axes of `code`."""
    return values.float().reshape(-1, *[1] * code.ndim)


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim < 1:
        raise InputError(f"The codes or directions differ in shape: {tuple(a.shape)} and {tuple(b.shape)}.")


def at_least(value: int, smallest: int, name: str) -> None:
    """Raise `InputError` where a count is too small; `name` begins its message."""
    if value < smallest:
        raise InputError(f"{name} must be {smallest} or more, not {value}.")
