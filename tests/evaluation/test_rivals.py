"""Trivial generators, by their moments."""

import numpy as np
import pytest

from digitvae.data import Digits
from digitvae.errors import InputError
from digitvae.evaluation.rivals import class_means, pca_gaussian


def test_class_means(splits_5k):
    train = splits_5k.train
    made = class_means(train, 25)
    assert np.bincount(made.labels).tolist() == [3] * 5 + [2] * 5
    sevens = train.images[train.labels == 7].astype(float).mean(0)
    for image in made.images[made.labels == 7]:
        assert np.abs(image - sevens).max() <= 0.5


def test_pca_gaussian_has_the_moments_of_each_class(splits_5k):
    train = splits_5k.train
    made = pca_gaussian(train, 5000)
    assert np.bincount(made.labels).tolist() == [500] * 10
    for digit in (0, 1):
        real = train.images[train.labels == digit] / 255
        drawn = made.images[made.labels == digit] / 255
        assert np.abs(real.mean(0) - drawn.mean(0)).max() < 0.12  # cut to [0, 1], 500 draws
        assert 0.4 < drawn.var(0).sum() / real.var(0).sum() < 1  # what 50 components hold, less what is cut off
        assert np.corrcoef(drawn.var(0).ravel(), real.var(0).ravel())[0, 1] > 0.9
    assert (pca_gaussian(train, 30, seed=1).images != pca_gaussian(train, 30, seed=2).images).any()
    assert (pca_gaussian(train, 30, seed=1).images == pca_gaussian(train, 30, seed=1).images).all()


def test_what_they_cannot_learn_from(digits):
    with pytest.raises(InputError, match="have none"):
        class_means(Digits(digits, None), 10)
    with pytest.raises(InputError, match="only one training digit 3"):
        pca_gaussian(Digits(digits[:3], np.array([1, 1, 3], np.uint8)), 10)
