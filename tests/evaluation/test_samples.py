"""Measures of sets of digits, held against known distances, hand-made sets, and planted failures."""

import numpy as np
import pytest
import torch
from scipy import linalg

from digitvae.errors import InputError
from digitvae.evaluation.samples import (
    classification_accuracy,
    copy_audit,
    frechet_distance,
    kernel_distance,
    overlap,
    pixels,
)


def normal(n, loc=0.0, scale=1.0, seed=0, width=3):
    generator = torch.Generator().manual_seed(seed)
    return loc + scale * torch.randn(n, width, generator=generator, dtype=torch.float64)


def test_frechet_distance_of_two_normals():
    """|difference of means|^2 + tr(A + B - 2 (A B)^1/2), with the sets' own moments."""
    a, b = normal(5000), normal(5000, 1.0, 2.0, seed=1)
    moments = [(x.mean(0).numpy(), np.cov(x.numpy().T)) for x in (a, b)]
    (mean_a, cov_a), (mean_b, cov_b) = moments
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * linalg.sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(a, b) == pytest.approx(3 * 1 + 3 * 1, rel=0.1)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_zero_for_one_distribution_and_not_for_two():
    same, spread = kernel_distance(normal(2000).float(), normal(2000, seed=1).float())
    assert abs(same) < 4 * spread / 10 + 0.05
    other, _ = kernel_distance(normal(2000).float(), normal(2000, 1.0, seed=1).float())
    assert other > 1
    state = torch.random.get_rng_state()
    assert kernel_distance(normal(300).float(), normal(300, seed=1).float()) == kernel_distance(
        normal(300).float(), normal(300, seed=1).float()
    )
    assert torch.equal(state, torch.random.get_rng_state())


def test_overlap_by_hand():
    """On a line, k = 1: real points 0, 1, 3 have radii 1, 1, 2; generated 0.5, 10, 11 have radii 9.5, 1, 1."""
    real = torch.tensor([[0.0], [1.0], [3.0]])
    generated = torch.tensor([[0.5], [10.0], [11.0]])
    found = overlap(real, generated, k=1)
    assert found.precision == pytest.approx(1 / 3)  # only 0.5 is in a real ball
    assert found.recall == 1  # all within 9.5 of 0.5
    assert found.density == pytest.approx(2 / 3)  # 0.5 is in the balls of 0 and 1; 3 reaches to 1
    assert found.coverage == pytest.approx(2 / 3)


def test_a_missing_class_costs_recall_and_coverage_but_not_precision():
    real = torch.cat([normal(500, 0), normal(500, 20, seed=1)]).float()
    found = overlap(real, normal(1000, 0, seed=2).float())
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.03)
    assert found.coverage == pytest.approx(0.5, abs=0.03)
    assert overlap(real, torch.cat([normal(500, 0, seed=3), normal(500, 20, seed=4)]).float()).coverage > 0.9


def test_overlap_needs_neighbours():
    with pytest.raises(InputError, match="more than 5"):
        overlap(normal(5), normal(9))


def test_fresh_digits_pass_the_copy_audit_and_planted_copies_are_caught():
    train, other, fresh = (normal(1000, seed=seed, width=8).float() for seed in (1, 2, 3))
    clean = copy_audit(fresh, train, other)
    assert clean.train_share == pytest.approx(0.5, abs=clean.error)
    assert clean.duplicates < 0.005
    planted = fresh.clone()
    planted[:10] = train[5:15]
    caught = copy_audit(planted, train, other)
    assert caught.duplicates >= 0.01
    assert set(caught.worst) == set(range(10))
    assert set(caught.matches) == set(range(5, 15))
    assert copy_audit(train, train, other).train_share == 1
    # A digit as near to one as to the other tells nothing.
    assert copy_audit(fresh, train, train).train_share == 0.5


def test_copies_of_any_training_digit_are_caught_not_of_the_first_alone():
    train, other, fresh = (normal(n, seed=seed, width=8).float() for n, seed in ((3000, 1), (1000, 2), (1000, 3)))
    fresh[:10] = train[2500:2510]
    caught = copy_audit(fresh, train, other)
    assert caught.duplicates >= 0.01
    assert set(caught.matches) == set(range(2500, 2510))
    assert caught.train_share < 0.55


def test_the_copy_audit_needs_enough_training_digits():
    with pytest.raises(InputError, match="10 or more"):
        copy_audit(normal(10), normal(9), normal(10))


def test_a_classifier_of_real_digits_reads_real_digits(splits_5k, monkeypatch):
    from dataclasses import replace

    import digitvae.evaluation.samples as samples

    monkeypatch.setattr(samples, "CLASSIFIER", replace(samples.CLASSIFIER, epochs=4, batch_size=50))
    train, validation = splits_5k.train, splits_5k.validation
    score = classification_accuracy(train.images, train.labels, validation.images, validation.labels, seeds=2)
    assert score.value > 0.9
    assert score.over == "2 seeds"
    assert score.settings == {"trained_on": 3200}
    wrong = classification_accuracy(
        train.images, (train.labels + 1) % 10, validation.images, validation.labels, seeds=1
    )
    assert wrong.value < 0.1


def test_pixels(digits):
    points = pixels(digits)
    assert points.shape == (200, 784)
    assert points.max() == 1
