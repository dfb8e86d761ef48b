"""Paths, directions and the data's support: plain arithmetic, held against its definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from digitvae.errors import InputError
from digitvae.latent import (
    SUPPORT_NEIGHBORS,
    Support,
    add_direction,
    direction_grid,
    extrapolate,
    interpolate,
    mean_difference,
    path_positions,
    traverse,
)

coordinates = st.floats(-10, 10, width=32)
dimensions = st.shared(st.integers(1, 5), key="latent")
vectors = dimensions.flatmap(lambda n: arrays(np.float32, n, elements=coordinates)).map(torch.from_numpy)


def polar(degrees, radius=1.0):
    angle = math.radians(degrees)
    return radius * torch.tensor([math.cos(angle), math.sin(angle)])


@settings(deadline=None)
@given(vectors, vectors, st.integers(2, 9), st.booleans())
def test_a_path_begins_and_ends_exactly_at_its_codes(a, b, steps, spherical):
    path = interpolate(a, b, steps, spherical)
    assert path.shape == (steps, *a.shape)
    assert path.dtype == torch.float32
    assert torch.equal(path[0], a)
    assert torch.equal(path[-1], b)
    assert torch.isfinite(path).all()


@settings(deadline=None)
@given(vectors, vectors, st.integers(2, 9))
def test_on_a_spherical_path_the_norm_changes_linearly(a, b, steps):
    norms = interpolate(a, b, steps, spherical=True).norm(dim=-1)
    wanted = torch.lerp(a.norm(), b.norm(), path_positions(steps))
    if len(a) > 1 and a.any() and b.any():
        torch.testing.assert_close(norms, wanted, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(vectors, st.integers(2, 9))
def test_a_spherical_path_of_equal_norms_keeps_it(a, steps):
    for b in (-a, a.flip(0)):
        norms = interpolate(a, b, steps, spherical=True).norm(dim=-1)
        if len(a) > 1:
            torch.testing.assert_close(norms, a.norm().expand(steps), atol=1e-5, rtol=1e-5)


def test_a_spherical_path_turns_at_constant_speed_the_shorter_way():
    path = interpolate(polar(170, 1.0), polar(-100, 2.0), 4, spherical=True)
    wanted = [polar(170, 1), polar(200, 4 / 3), polar(230, 5 / 3), polar(260, 2)]
    torch.testing.assert_close(path, torch.stack(wanted))


def test_opposite_codes_turn_towards_the_positive_side_of_the_most_perpendicular_axis():
    path = interpolate(torch.tensor([3.0, 0.0, 0.0]), torch.tensor([-3.0, 0.0, 0.0]), 3, spherical=True)
    torch.testing.assert_close(path[1], torch.tensor([0.0, 3.0, 0.0]))
    path = interpolate(torch.tensor([0.0, -2.0]), torch.tensor([0.0, 4.0]), 3, spherical=True)
    torch.testing.assert_close(path[1], torch.tensor([3.0, 0.0]))


def test_parallel_codes_change_their_norm_only():
    path = interpolate(polar(30, 1.0), polar(30, 3.0), 3, spherical=True)
    torch.testing.assert_close(path[1], polar(30, 2.0))


@pytest.mark.parametrize(("a", "b"), [([0.0, 0.0], [2.0, 4.0]), ([2.0, 4.0], [0.0, 0.0]), ([-1.0], [3.0])])
def test_where_a_direction_is_missing_the_spherical_path_is_straight(a, b):
    a, b = torch.tensor(a), torch.tensor(b)
    assert torch.equal(interpolate(a, b, 5, spherical=True), interpolate(a, b, 5))


def test_paths_of_a_batch_are_those_of_its_codes():
    a, b = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    b[1], b[2] = -a[1], 0.0
    for spherical in (False, True):
        paths = interpolate(a, b, 5, spherical)
        assert paths.shape == (5, 6, 3)
        for i in range(6):
            torch.testing.assert_close(paths[:, i], interpolate(a[i], b[i], 5, spherical))


def test_an_extrapolation_goes_on_beyond_both_ends_by_the_share():
    a, b = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 5.0])
    path = extrapolate(a, b, 5, beyond=0.5)
    assert path.tolist() == [[-1.0, -1.0], [0.0, 1.0], [1.0, 3.0], [2.0, 5.0], [3.0, 7.0]]
    assert path_positions(5, 0.5).tolist() == [-0.5, 0.0, 0.5, 1.0, 1.5]
    assert torch.equal(extrapolate(a, b, 4, beyond=0.0), interpolate(a, b, 4))


def test_a_traversal_moves_one_dimension():
    code = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    moved = traverse(code, 1, [-1, 0.5])
    assert moved.tolist() == [[[1, -1, 3], [4, -1, 6]], [[1, 0.5, 3], [4, 0.5, 6]]]
    assert code[0, 1] == 2.0


def test_the_direction_of_an_attribute_is_the_difference_of_two_means():
    codes = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 4.0], [3.0, 8.0]])
    groups = np.array([False, False, True, True])
    direction = mean_difference(codes, groups)
    assert direction.tolist() == [1.0, 6.0]
    assert torch.equal(mean_difference(codes, ~groups), -direction)
    assert add_direction(codes[0], direction, [0, -1, 0.5]).tolist() == [[0, 0], [-1, -6], [0.5, 3]]
    assert add_direction(codes, direction, [1, 2]).shape == (2, 4, 2)


def test_two_directions_make_a_grid_laid_out_like_a_plot():
    code, across, up = torch.tensor([5.0, 5.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 2.0])
    grid = direction_grid(code, across, up, [-1.0, 0.0, 1.0])
    assert grid.shape == (3, 3, 2)
    assert torch.equal(grid[1, 1], code)
    assert torch.equal(grid[0, 2], code + across + up)  # top right: the most of both
    assert torch.equal(grid[2, 0], code - across - up)
    assert torch.equal(grid[2, 2], code + across - up)


def test_support_holds_the_data_and_ends_where_it_ends():
    codes = torch.randn(3000, 2, generator=torch.Generator().manual_seed(1))
    support = Support.fit(codes)
    fresh = torch.randn(3000, 2, generator=torch.Generator().manual_seed(2))
    assert support.contains(fresh).float().mean() == pytest.approx(0.99, abs=0.01)
    path = extrapolate(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0]), 41, beyond=4.0)
    inside = support.contains(path)
    edges = torch.diff(inside.int()).abs().sum()
    assert edges == 2  # in and out again
    assert inside[path[:, 0].abs() < 2].all()
    assert not inside[path[:, 0].abs() > 5].any()


def test_support_uses_the_tenth_neighbour_and_leaves_each_code_itself_out():
    codes = torch.randn(200, 3, generator=torch.Generator().manual_seed(3))
    apart = torch.cdist(codes.double(), codes.double()).sort(dim=1).values
    support = Support.fit(codes, quantile=0.9)
    assert support.limit == pytest.approx(float(apart[:, SUPPORT_NEIGHBORS].quantile(0.9)))
    query = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(4))
    wanted = torch.cdist(query.double().reshape(-1, 3), codes.double()).sort(dim=1).values[:, SUPPORT_NEIGHBORS - 1]
    torch.testing.assert_close(support.distance(query), wanted.reshape(4, 5).float())
    assert torch.equal(support.contains(query), support.distance(query) <= support.limit)


two, three = torch.zeros(2), torch.zeros(3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: interpolate(two, three, 5),
        lambda: interpolate(two, two, 1),
        lambda: extrapolate(two, two, 5, beyond=-0.1),
        lambda: extrapolate(two, two, 5, beyond=math.nan),
        lambda: traverse(two, 2, [0.0]),
        lambda: traverse(two, -1, [0.0]),
        lambda: add_direction(two, three, [1.0]),
        lambda: direction_grid(two, two, three, [1.0]),
        lambda: mean_difference(torch.zeros(2, 2), np.array([1, 0])),
        lambda: mean_difference(torch.zeros(2, 2), np.array([True, True])),
        lambda: mean_difference(torch.zeros(2, 2), np.array([True, False, True])),
        lambda: Support.fit(torch.zeros(10, 2)),
        lambda: Support.fit(torch.full((20, 2), math.nan)),
        lambda: Support.fit(torch.zeros(20, 2), quantile=0.0),
        lambda: Support.fit(torch.zeros(20, 2)).contains(three),
        lambda: Support.fit(torch.zeros(20, 2)).contains(torch.full((2,), math.nan)),
    ],
)
def test_what_cannot_be_used_is_refused(call):
    with pytest.raises(InputError):
        call()
