"""Lattices: even by construction, and integrals known in closed form."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from digitvae.errors import InputError
from digitvae.lattice import fibonacci_numbers, lattice

SIZES = {1: 100, 2: 1597, 3: 2000}


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_points_are_different_and_even_in_each_dimension(dimensions):
    size = SIZES[dimensions]
    points = lattice(size, dimensions)
    assert points.shape == (size, dimensions)
    assert len(points.unique(dim=0)) == size
    for axis in points.T:
        torch.testing.assert_close(axis.sort().values, torch.arange(size, dtype=torch.float64) / size)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("shift", [0.0, 0.37])
def test_smooth_periodic_functions_are_integrated_exactly_or_nearly(dimensions, shift):
    """The integral of prod (1 + cos(2 pi x) / 2 + sin(4 pi x) / 4) over the unit cube is 1."""
    points = lattice(SIZES[dimensions], dimensions, shift)
    values = (1 + (2 * math.pi * points).cos() / 2 + (4 * math.pi * points).sin() / 4).prod(1)
    assert values.mean().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_lattice_beats_as_many_random_points(dimensions):
    """x (1 - x) in each dimension is not periodic and smooth together; its integral is 1/6 each."""
    points = lattice(SIZES[dimensions], dimensions, 0.1)
    random = torch.rand(100, *points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = abs((points * (1 - points)).prod(1).mean() - 6.0**-dimensions)
    usual = ((random * (1 - random)).prod(2).mean(1) - 6.0**-dimensions).square().mean().sqrt()
    assert error < usual / 20


@given(st.sampled_from([1, 2, 3]), st.floats(0, 0.999))
def test_shifted_points_stay_in_the_unit_cube(dimensions, shift):
    points = lattice(13, dimensions, shift)
    assert (points >= 0).all()
    assert (points < 1).all()


def test_fibonacci_numbers():
    assert fibonacci_numbers(1) == [1]
    assert fibonacci_numbers(21) == [1, 2, 3, 5, 8, 13, 21]
    assert {46368, 75025, 121393, 196418} <= set(fibonacci_numbers(200_000))


@pytest.mark.parametrize(
    ("size", "dimensions", "message"),
    [(1000, 2, "such as 987"), (100, 4, "1 to 3 latent dimensions"), (100, 0, "1 to 3"), (0, 1, "a point or more")],
)
def test_what_cannot_be_a_lattice(size, dimensions, message):
    with pytest.raises(InputError, match=message):
        lattice(size, dimensions)
