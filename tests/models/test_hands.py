"""Hands against what they are made of: known covariances come back, and Bayes' rule is that of a plain Normal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitvae.errors import InputError
from digitvae.models.hands import Hands, as_shared


def plain(shared):
    """Hands whose styles are standard Normal as they come."""
    latent = shared.shape[1]
    return Hands(shared, np.zeros((10, latent)), np.tile(np.eye(latent), (10, 1, 1)))


def some_hands(latent=2, seed=0):
    """A random covariance that leaves something to single digits, and whose digits show habits in different ways."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(10, latent, 3)) / np.sqrt(6)
    own = rng.uniform(0.1, 0.3, 10 * latent)
    flat = loadings.reshape(10 * latent, 3)
    return plain(as_shared((flat @ flat.T + np.diag(own)).reshape(10, latent, 10, latent)))


def written(hands, writers, digits, seed=0):
    rng = np.random.default_rng(seed)
    styles, who, labels = [], [], []
    for writer in range(writers):
        label = rng.integers(0, 10, digits)
        styles.append(hands.noise(hands.draw(rng), label, rng))
        who += [writer] * digits
        labels.append(label)
    return np.concatenate(styles), np.array(who), np.concatenate(labels)


def test_what_a_class_brings_is_nobody_s_habit():
    """Styles whose mean and scale differ by class, and writers with nothing in common."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 40_000)
    noise = rng.normal(size=(40_000, 2)) * rng.uniform(0.5, 2, (10, 2))[labels] + rng.normal(0, 0.3, (10, 2))[labels]
    found = Hands.estimated(noise, rng.integers(0, 500, 40_000), labels)
    assert np.abs(found.shared).max() < 0.06


def test_digits_of_many_hands_are_standard_normal():
    noise, _, labels = written(some_hands(), 4000, 5)
    for digit in range(10):
        own = noise[labels == digit]
        np.testing.assert_allclose(own.mean(0), 0, atol=0.1)
        np.testing.assert_allclose(np.cov(own.T), np.eye(2), atol=0.12)


@pytest.mark.parametrize("seed", range(3))
def test_known_covariances_come_back(seed):
    hands = some_hands(seed=seed)
    found = Hands.estimated(*written(hands, 2500, 60, seed))
    np.testing.assert_allclose(found.shared, hands.shared, atol=0.08)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_covariances_are_always_covariances(seed, latent):
    """However few the digits: the whole and what is left for single digits have no negative variance."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(120, latent)) * rng.uniform(0.1, 3, latent)
    shared = Hands.estimated(noise, np.repeat(np.arange(2), 60), np.tile(np.arange(10), 12)).shared
    assert np.linalg.eigvalsh(shared.reshape(10 * latent, -1)).min() > -1e-6
    for digit in range(10):
        assert np.linalg.eigvalsh(np.eye(latent) - shared[digit, :, digit]).min() > -1e-6


def test_a_hand_is_the_mean_given_its_digits():
    """Against the conditional mean of one long Normal, built from draws of the model itself."""
    hands, labels = some_hands(), np.array([3, 3, 8])
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(60_000):
        hand = hands.draw(rng)
        draws.append(np.concatenate([hand[5], hand[3], hands.noise(hand, labels, rng).ravel()]))
    covariance = np.cov(np.array(draws).T)
    noise = np.array([[1.0, -0.5], [0.7, 0.2], [-0.4, 1.5]])
    expected = covariance[:4, 4:] @ np.linalg.solve(covariance[4:, 4:], noise.ravel())
    found = hands.like(noise, labels)
    np.testing.assert_allclose(np.concatenate([found[5], found[3]]), expected, atol=0.03)


def test_examples_are_brought_to_the_scale_of_hands():
    """Styles that are shifted and stretched for each class tell the same hand as before they were."""
    hands, labels, rng = some_hands(), np.array([3, 3, 8]), np.random.default_rng(0)
    noise = rng.normal(size=(3, 2))
    mean, scale = rng.normal(size=(10, 2)), np.eye(2) + 0.2 * rng.normal(size=(10, 2, 2))
    odd = Hands(hands.shared, mean, scale)
    shown = np.einsum("nl,nlm->nm", noise, np.linalg.inv(scale)[labels]) + mean[labels]
    np.testing.assert_allclose(odd.like(shown, labels), hands.like(noise, labels), atol=1e-9)
    others = np.array([1, 2, 3])
    np.testing.assert_allclose(odd.carried(shown, labels, others), hands.carried(noise, labels, others), atol=1e-9)


def test_many_examples_tell_the_hand():
    hands, rng = some_hands(), np.random.default_rng(1)
    hand, labels = hands.draw(rng), np.arange(4000) % 10
    np.testing.assert_allclose(hands.like(hands.noise(hand, labels, rng), labels), hand, atol=0.25)


def test_examples_of_a_hand_that_leaves_nothing_open():
    """Where hands explain all, two different examples of a class meet in the middle."""
    hands = plain(np.eye(20).reshape(10, 2, 10, 2))
    found = hands.like(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2, 2]))
    np.testing.assert_allclose(found[2], 0.5, atol=1e-4)
    np.testing.assert_allclose(found[3], 0, atol=1e-9)


def test_habits_that_all_digits_share_are_carried_over_whole():
    hands = plain(np.kron(np.full((10, 10), 0.5), np.eye(2)).reshape(10, 2, 10, 2))
    carried = hands.carried(np.array([[1.0, -2.0]]), np.array([7]), np.array([5]))
    np.testing.assert_allclose(carried, [[1.0, -2.0]], rtol=0.05)


def test_at_temperature_zero_a_hand_repeats_itself():
    hands, rng = some_hands(), np.random.default_rng(2)
    hand = hands.draw(rng)
    one, other = hands.noise(hand, np.array([5, 5]), rng, temperature=0)
    np.testing.assert_array_equal(one, other)


def test_too_little_to_learn_from_is_refused():
    noise = np.zeros((3, 2)) + np.arange(3)[:, None]
    for writers, labels in (([0, 1, 2], [1, 1, 1]), ([0, 0, 0], [1, 2, 3]), ([0, 0, 0], [1, 1, 1])):
        with pytest.raises(InputError, match="any two digits"):
            Hands.estimated(noise, np.array(writers), np.array(labels))
    with pytest.raises(InputError, match="one style"):
        Hands.estimated(noise, np.array([0, 0]), np.array([1, 1]))
