"""Consistency of hands: hand-made cases, plain loops as the oracle, simulated hands, and MNIST's real writers."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitvae.data import load_splits, load_writers
from digitvae.errors import InputError
from digitvae.evaluation.hands import consistency, without_class_means
from digitvae.morphometry import measure

needs_writers = pytest.mark.skipif("DIGITVAE_DATA" not in os.environ, reason="needs $DIGITVAE_DATA with QMNIST")


def test_a_case_by_hand():
    """Two hands of two digits, one class: mean squares 1 within and 50 between, so (50 - 1) / 2 between hands."""
    found = consistency(np.array([1.0, 1 + 2**0.5, 6, 6 + 2**0.5]), np.array([0, 0, 1, 1]), np.zeros(4, int))
    assert found.within == pytest.approx(1)
    assert found.between == pytest.approx((24 / 2) ** 0.5)
    assert found.icc == pytest.approx(12 / 13)
    assert (found.hands, found.digits) == (2, 4)
    assert np.isnan(found.cross_class)


def plain(values, hands, labels):
    """Pair correlations by going through all pairs."""
    values = without_class_means(values, labels)
    values = values - values.mean()
    found = []
    for same in (True, False):
        pairs = [
            (values[i], values[j])
            for i, j in itertools.permutations(range(len(values)), 2)
            if hands[i] == hands[j] and (labels[i] == labels[j]) == same
        ]
        found.append(np.mean([one * other for one, other in pairs]) / values.var())
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_pair_correlations_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    hands = rng.integers(0, 6, 60)
    labels = rng.integers(0, 3, 60)
    values = rng.normal(size=60) + 2 * rng.normal(size=6)[hands] + 5.0 * labels
    found = consistency(values, hands, labels)
    np.testing.assert_allclose([found.same_class, found.cross_class], plain(values, hands, labels))


def test_simulated_hands_are_found_as_they_are():
    """Unequal hands whose classes differ, with known variances: 4 of hands, 1 of hand and class, 3 of digits."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(8, 130, 600)
    hands = np.repeat(np.arange(600), sizes)
    labels = rng.integers(0, 10, len(hands))
    values = 2 * rng.normal(size=600)[hands] + rng.normal(size=(600, 10))[hands, labels]
    values += 3**0.5 * rng.normal(size=len(hands)) + 10.0 * labels
    found = consistency(values, hands, labels)
    assert found.same_class == pytest.approx(5 / 8, abs=0.04)
    assert found.cross_class == pytest.approx(4 / 8, abs=0.04)
    assert found.cross_class < found.icc < found.same_class
    assert found.within**2 + found.between**2 == pytest.approx(8, rel=0.05)


def test_without_hands_there_is_no_consistency():
    rng = np.random.default_rng(1)
    found = consistency(rng.normal(size=5000), rng.integers(0, 100, 5000), rng.integers(0, 10, 5000))
    assert abs(found.icc) < 0.02
    assert found.within == pytest.approx(1, abs=0.05)


def test_what_cannot_be_measured_is_left_out_and_too_little_is_refused():
    values, hands = np.array([1.0, 2, 4, 5, np.nan]), np.array([0, 0, 1, 1, 1])
    assert consistency(values, hands, np.zeros(5, int)).digits == 4
    with pytest.raises(InputError, match="two hands"):
        consistency(values, np.zeros(5, int), np.zeros(5, int))
    with pytest.raises(InputError, match="measure the same"):
        consistency(np.ones(5), hands, np.zeros(5, int))
    with pytest.raises(InputError, match="one entry"):
        consistency(values, hands[:4], np.zeros(5, int))


@needs_writers
@pytest.mark.slow
def test_real_writers_are_as_consistent_as_they_are_known_to_be():
    """MNIST's test digits and their 297 writers."""
    test, writers = load_splits("mnist", fallback=False).test, load_writers().test
    found = measure(test.images)
    expected = {
        "slant": (0.54, 9.0, 9.8, 0.67, 0.54),
        "thickness": (0.64, 0.42, 0.57, 0.73, 0.62),
        "width": (0.30, 2.5, 1.6, 0.48, 0.25),
    }
    for name, numbers in expected.items():
        real = consistency(getattr(found, name), writers, test.labels)
        measured = (real.icc, real.within, real.between, real.same_class, real.cross_class)
        assert measured == pytest.approx(numbers, rel=0.05, abs=0.01), name
        assert real.hands == 297
