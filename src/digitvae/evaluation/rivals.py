"""Trivial generators of labelled digits that any model should beat, learned from training digits in a moment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from digitvae.data import Digits
from digitvae.errors import InputError

COMPONENTS = 50
"""Principal components of each class, at most."""


def class_means(train: Digits, n: int) -> Digits:
    """The mean image of each class, over and over: `n` digits, the classes as even as can be.

    Raises:
        InputError: If the training digits have no labels.
    """
    classes = _classes(train)
    means = {digit: np.rint(images.mean(0)).astype(np.uint8) for digit, images in classes.items()}
    labels = _even(classes, n)
    return Digits(np.stack([means[digit] for digit in labels]), labels)


class PCAGaussian:
    """A Normal in the space of each class's first principal components.

    It cannot copy a training digit, so it is the baseline of the copy audit.

    Args:
        train: Labelled digits that it is fitted to.

    Raises:
        InputError: If the training digits have no labels, or a class has fewer than two of them.
    """

    def __init__(self, train: Digits) -> None:
        self._classes = _classes(train)
        self._fitted: dict[int, PCA] = {}
        for digit, images in self._classes.items():
            if len(images) < 2:
                raise InputError(f"There is only one training digit {digit}; a Gaussian needs two or more.")
            flat = images.reshape(len(images), -1) / 255
            components = min(COMPONENTS, len(images) - 1)
            self._fitted[digit] = PCA(components, svd_solver="covariance_eigh").fit(flat)

    def draw(self, n: int, seed: int = 0) -> Digits:
        """Draw `n` digits, the classes as even as can be."""
        labels = _even(self._classes, n)
        rng = np.random.default_rng(seed)
        drawn = np.empty((n, 28, 28), np.uint8)
        for digit, pca in self._fitted.items():
            which = labels == digit
            codes = rng.normal(size=(which.sum(), pca.n_components_)) * np.sqrt(pca.explained_variance_)
            pixels = np.clip(pca.inverse_transform(codes), 0, 1)
            drawn[which] = np.rint(255 * pixels).reshape(-1, 28, 28).astype(np.uint8)
        return Digits(drawn, labels)


def pca_gaussian(train: Digits, n: int, seed: int = 0) -> Digits:
    """What a `PCAGaussian` of the training digits draws.

    Raises:
        InputError: If the training digits have no labels, or a class has fewer than two of them.
    """
    return PCAGaussian(train).draw(n, seed)


def _classes(train: Digits) -> dict[int, npt.NDArray[np.uint8]]:
    if train.labels is None:
        raise InputError("The trivial generators need labels, and these training digits have none.")
    return {int(digit): train.images[train.labels == digit] for digit in np.unique(train.labels)}


def _even(classes: dict[int, npt.NDArray[np.uint8]], n: int) -> npt.NDArray[np.uint8]:
    names = np.array(sorted(classes), np.uint8)
    return names[np.arange(n) % len(names)]
