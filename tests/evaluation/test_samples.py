"""Measures of sets of digits, held against known distances, hand-made sets, and planted failures."""

import numpy as np
import pytest
import torch
from scipy import linalg

from digitvae.errors import InputError
from digitvae.evaluation.rivals import pca_gaussian
from digitvae.evaluation.samples import (
    RealDigits,
    classification_accuracy,
    copy_audit,
    frechet_distance,
    kernel_distance,
    overlap,
    pixels,
    sample_measures,
)
from digitvae.evaluation.suite import copy_verdict, with_more_draws


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


@pytest.mark.slow
def test_a_classifier_of_real_digits_reads_real_digits(splits_5k, monkeypatch):
    from dataclasses import replace

    import digitvae.evaluation.samples as samples

    monkeypatch.setattr(samples, "CLASSIFIER", replace(samples.CLASSIFIER, epochs=4, batch_size=50))
    train, validation = splits_5k.train, splits_5k.validation
    score = classification_accuracy(train.images, train.labels, validation.images, validation.labels, seeds=2)
    assert score.value > 0.9
    assert score.over == "2 seeds"
    assert score.settings == {"trained_on": 3200, "seeds": [0, 1]}
    wrong = classification_accuracy(
        train.images, (train.labels + 1) % 10, validation.images, validation.labels, seeds=1
    )
    assert wrong.value < 0.1


def test_pixels(digits):
    points = pixels(digits)
    assert points.shape == (200, 784)
    assert points.max() == 1


def section_of(nearest, duplicates):
    values = {"nearest is trained on (pixels)": nearest, "near-duplicates (pixels)": duplicates}
    return {"measures": [{"name": k, "value": v, "settings": {"error": 0.01}} for k, v in values.items()]}


@pytest.mark.parametrize(
    ("nearest", "duplicates", "passed"),
    [(0.52, 0.009, True), (0.535, 0.002, True), (0.55, 0.002, False), (0.52, 0.01, False), (0.4, 0.0, True)],
)
def test_the_copy_audit_is_passed_up_to_a_point_above_what_cannot_copy(nearest, duplicates, passed):
    """A per cent of planted copies, each nearer than any digit is to another, is always caught."""
    verdict = copy_verdict(section_of(nearest, duplicates), section_of(0.52, 0.002))
    assert verdict["passed"] == passed
    assert bool(verdict["why"]) != passed


def test_the_baseline_is_the_mean_of_five_draws(splits_5k):
    train = splits_5k.train.subset(slice(400))
    real = RealDigits(train, splits_5k.test.subset(slice(100)))
    draws = [sample_measures(pca_gaussian(train, 100, seed).images, real) for seed in range(5)]
    means = {m.name: m for m in with_more_draws(draws[0], train, real)}
    for name in ("nearest is trained on (pixels)", "nearest is trained on (reader features)"):
        shares = [m.value for measures in draws for m in measures if m.name == name]
        assert means[name].value == pytest.approx(np.mean(shares))
        assert means[name].spread == pytest.approx(np.std(shares, ddof=1))
    assert means["nearest is trained on (pixels)"].settings["error"] < 0.05
    assert means["FID-digit"] == draws[0][0]


def test_planted_copies_fail_the_copy_audit(splits_5k):
    """One in a hundred of the PCA Gaussian's digits is replaced by a training digit."""
    train = splits_5k.train
    real = RealDigits(train, splits_5k.test)
    drawn = pca_gaussian(train, 1000).images
    planted = drawn.copy()
    planted[:10] = train.images[:10]
    baseline, copied = (
        {"measures": [m.to_dict() for m in sample_measures(images, real)]} for images in (drawn, planted)
    )
    assert copy_verdict(baseline, baseline)["passed"]
    why = copy_verdict(copied, baseline)["why"]
    assert [text.partition(":")[0] for text in why] == ["near-duplicates (pixels)", "near-duplicates (reader features)"]
