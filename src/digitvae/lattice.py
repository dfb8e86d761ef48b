"""Rank-1 lattices: points that fill the unit cube evenly, for numerical integration in 1 to 3 dimensions.

Point i of a lattice of n points is the fractional part of i * g / n + shift (Sloan and Joe, 1994). A shift drawn at
random makes the integral an unbiased estimate, and the spread over shifts its error.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from digitvae.config.rules import QUADRATURE_DIMENSIONS
from digitvae.errors import InputError

TRIED = 200
"""Generators that are tried in three dimensions, at most."""


def fibonacci_numbers(most: int) -> list[int]:
    """The Fibonacci numbers from 1 to `most`, each once: the sizes of good lattices in the plane.

    >>> fibonacci_numbers(20)
    [1, 2, 3, 5, 8, 13]
    """
    numbers = [1, 2]
    while numbers[-1] <= most:
        numbers.append(numbers[-1] + numbers[-2])
    return [n for n in numbers if n <= most]


def lattice(size: int, dimensions: int, shift: Tensor | float = 0.0) -> Tensor:
    """Points of the unit cube, float64, shape (size, dimensions), in [0, 1).

    On a line they are equally spaced; in the plane they are a Fibonacci lattice (Niederreiter, 1992), with the smallest
    possible error for smooth periodic functions; in three dimensions a lattice of Korobov's form (1, a, a^2) with the
    least such error of those tried.

    Args:
        size: Number of points; in the plane a Fibonacci number.
        dimensions: 1 to 3.
        shift: Added to all points, modulo 1; shape (dimensions,) or a number.

    Raises:
        InputError: If there are more than three dimensions, or `size` is not a Fibonacci number in the plane.
    """
    if not 1 <= dimensions <= QUADRATURE_DIMENSIONS:
        raise InputError(
            f"Quadrature needs 1 to {QUADRATURE_DIMENSIONS} latent dimensions; this model has {dimensions}."
        )
    if size < 1:
        raise InputError(f"A lattice needs a point or more, not {size}.")
    generator = torch.tensor(_generator(size, dimensions), dtype=torch.int64)
    # Whole numbers up to the last step: the fractional part of a product of this size would lose digits.
    steps = torch.arange(size)[:, None] * generator % size
    return (steps.double() / size + torch.as_tensor(shift, dtype=torch.float64)).remainder(1)


@functools.lru_cache(maxsize=64)
def _generator(size: int, dimensions: int) -> tuple[int, ...]:
    if dimensions == 1:
        return (1,)
    if dimensions == 2:
        numbers = fibonacci_numbers(size)
        if numbers[-1] != size:
            raise InputError(f"In the plane a lattice has a Fibonacci number of points, such as {numbers[-1]}.")
        return (1, numbers[-2] if size > 1 else 1)
    coprime = [a for a in range(1, size + 1) if math.gcd(a, size) == 1]
    tried = coprime[:: math.ceil(len(coprime) / TRIED)]
    return min(((1, a, a * a % size) for a in tried), key=lambda g: _error(size, g))


def _error(size: int, generator: tuple[int, ...]) -> float:
    """Worst-case error for smooth periodic functions, squared, up to a constant (criterion P2 of Sloan and Joe)."""
    points = torch.arange(size)[:, None] * torch.tensor(generator) % size / size
    kernel = 1 + 2 * math.pi**2 * (points * points - points + 1 / 6)
    return float(kernel.prod(1).mean())
