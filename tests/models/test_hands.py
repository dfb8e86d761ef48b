"""Hands against what they are made of: known covariances come back, and Bayes' rule is that of a plain Normal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitvae.errors import InputError
from digitvae.models.hands import Hands


def plain(common, own):
    """Hands whose styles are standard Normal as they come."""
    return Hands(common, own, np.zeros((10, len(common))), np.eye(len(common)))


def some_hands(latent=3, seed=0):
    """Random covariances that leave something to single digits."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(latent, latent)))
    shares = rng.dirichlet([2, 1, 2], latent).T
    return plain(*((turn * share) @ turn.T for share in shares[:2]))


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
    """Styles whose mean differs by class, and writers with nothing in common."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 20_000)
    noise = rng.normal(size=(20_000, 2)) + rng.normal(0, 0.3, (10, 2))[labels]
    found = Hands.estimated(noise, rng.integers(0, 500, 20_000), labels)
    assert max(np.abs(found.common).max(), np.abs(found.own).max()) < 0.02


def test_digits_of_many_hands_are_standard_normal():
    noise, *_ = written(some_hands(), 4000, 5)
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(3), atol=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_known_covariances_come_back(seed):
    hands = some_hands(seed=seed)
    found = Hands.estimated(*written(hands, 1500, 40, seed))
    np.testing.assert_allclose(found.common, hands.common, atol=0.06)
    np.testing.assert_allclose(found.own, hands.own, atol=0.06)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_covariances_are_always_covariances(seed, latent):
    """However few the digits: each part and what is left for single digits has no negative variance."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(40, latent)) * rng.uniform(0.1, 3, latent)
    found = Hands.estimated(noise, rng.integers(0, 4, 40), rng.integers(0, 2, 40))
    for part in (found.common, found.own, np.eye(latent) - found.common - found.own):
        assert np.linalg.eigvalsh(part).min() > -1e-6


def test_a_hand_is_the_mean_given_its_digits():
    """Against the conditional mean of one long Normal, built from draws of the model itself."""
    hands, labels = some_hands(latent=2), np.array([3, 3, 8])
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(60_000):
        hand = hands.draw(rng)
        draws.append(np.concatenate([hand.common, hand.own[3], hands.noise(hand, labels, rng).ravel()]))
    covariance = np.cov(np.array(draws).T)
    noise = np.array([[1.0, -0.5], [0.7, 0.2], [-0.4, 1.5]])
    expected = covariance[:4, 4:] @ np.linalg.solve(covariance[4:, 4:], noise.ravel())
    found = hands.like(noise, labels)
    np.testing.assert_allclose(np.concatenate([found.common, found.own[3]]), expected, atol=0.03)


def test_examples_are_brought_to_the_scale_of_hands():
    """Styles that are shifted for each class and stretched tell the same hand as before they were."""
    hands, labels = some_hands(latent=2), np.array([3, 3, 8])
    noise = np.array([[1.0, -0.5], [0.7, 0.2], [-0.4, 1.5]])
    mean, scale = np.random.default_rng(0).normal(size=(10, 2)), np.array([[2.0, 0.3], [0.3, 0.5]])
    odd = Hands(hands.common, hands.own, mean, scale)
    found = odd.like(noise @ np.linalg.inv(scale) + mean[labels], labels)
    np.testing.assert_allclose(found.common, hands.like(noise, labels).common, atol=1e-9)


def test_draws_given_examples_scatter_around_the_mean():
    hands, labels, rng = some_hands(), np.array([1, 4]), np.random.default_rng(0)
    noise = rng.normal(size=(2, 3))
    draws = [hands.like(noise, labels, rng) for _ in range(3000)]
    mean = hands.like(noise, labels)
    np.testing.assert_allclose(np.mean([d.common for d in draws], 0), mean.common, atol=0.06)
    spread = np.cov(np.array([d.common for d in draws]).T)
    assert np.linalg.eigvalsh(hands.common - spread).min() > -0.05  # less is open than before
    assert np.trace(spread) > 0.1 * np.trace(hands.common)


def test_many_examples_tell_the_hand():
    hands, rng = some_hands(), np.random.default_rng(1)
    hand, labels = hands.draw(rng), np.arange(400) % 10
    found = hands.like(hands.noise(hand, labels, rng), labels)
    np.testing.assert_allclose(found.common + found.own, hand.common + hand.own, atol=0.35)


def test_examples_of_a_hand_that_leaves_nothing_open():
    """Where hands explain all, two different examples of a class meet in the middle."""
    hands = plain(0.6 * np.eye(2), 0.4 * np.eye(2))
    found = hands.like(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2, 2]))
    np.testing.assert_allclose(found.common + found.own[2], 0.5, atol=1e-4)


def test_at_temperature_zero_a_hand_repeats_itself():
    hands, rng = some_hands(), np.random.default_rng(2)
    hand = hands.draw(rng)
    one, other = hands.noise(hand, np.array([5, 5]), rng, temperature=0)
    np.testing.assert_array_equal(one, other)


def test_too_little_to_learn_from_is_refused():
    noise = np.zeros((3, 2)) + np.arange(3)[:, None]
    for writers, labels in (([0, 1, 2], [1, 1, 1]), ([0, 0, 0], [1, 2, 3]), ([0, 0, 0], [1, 1, 1])):
        with pytest.raises(InputError, match="two digits"):
            Hands.estimated(noise, np.array(writers), np.array(labels))
    with pytest.raises(InputError, match="one style"):
        Hands.estimated(noise, np.array([0, 0]), np.array([1, 1]))
