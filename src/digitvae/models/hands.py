"""The distribution of hands: what the digits of one writer have in common, learned from writers.

Styles are standard Normal noise that a model turns into codes. The noise of a digit is the sum of three parts: one that
a hand gives to all its digits, one that it gives to all its digits of one class, and one of the single digit. Each part
is Normal; together they are standard Normal again, so that the digits of many hands are what the model draws anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from digitvae.errors import InputError

Array = npt.NDArray[Any]
Groups = npt.NDArray[np.integer]

CLASSES = 10


@dataclass(frozen=True, eq=False)
class Hand:
    """One writer's style.

    Attributes:
        common: What all its digits share, shape (latent,).
        own: What its digits of each class share beside that, shape (10, latent).
    """

    common: Array
    own: Array


@dataclass(frozen=True, eq=False)
class Hands:
    """Covariances of the three parts of the noise; they sum to the identity.

    Attributes:
        common: Of what all digits of a hand share, shape (latent, latent).
        own: Of what a hand's digits of one class share beside that, shape (latent, latent).
        mean: Mean style of real digits of each class, shape (10, latent): a model's styles of real digits are not quite
            standard Normal.
        scale: What makes the rest standard Normal, shape (latent, latent): ``(style - mean[label]) @ scale``.

    >>> hands = Hands(0.5 * np.eye(2), 0.2 * np.eye(2), np.zeros((10, 2)), np.eye(2))
    >>> rng = np.random.default_rng(0)
    >>> hands.noise(hands.draw(rng), np.array([7, 7, 1]), rng).shape
    (3, 2)
    """

    common: Array
    own: Array
    mean: Array
    scale: Array

    @classmethod
    def estimated(cls, noise: Array, writers: Groups, labels: Groups) -> Self:
        """Estimate from digits of known writers.

        Products of two digits of one writer have the covariances as their means: of different classes ``common``, of
        one class the sum of both. They are brought to the scale on which all digits are standard Normal, and to what
        covariances can be.

        Args:
            noise: The style of each digit, shape (n, latent).
            writers: Who wrote it, shape (n,).
            labels: What it is, 0 to 9, shape (n,).

        Raises:
            InputError: If the shapes differ, or no writer has two digits of one class and two of different ones.
        """
        if noise.ndim != 2 or not len(noise) == len(writers) == len(labels):
            raise InputError("Hands are estimated from one style, one writer and one label for each digit.")
        # Less the mean of each class, which all writers have in common.
        sums, count = np.zeros((CLASSES, noise.shape[1])), np.bincount(labels, minlength=CLASSES)
        np.add.at(sums, labels, noise)
        mean = sums / count.clip(1)[:, None]
        noise = noise - mean[labels]
        values, vectors = np.linalg.eigh(noise.T @ noise / len(noise))
        scale = (vectors / np.sqrt(values.clip(1e-9))) @ vectors.T
        noise = noise @ scale
        cells, same_count = _products(noise, writers * np.int64(CLASSES) + labels)
        every, pairs = _products(noise, writers)
        if same_count == 0 or pairs == same_count:
            raise InputError("Hands need writers with two digits of one class and with digits of two classes.")
        common = _between(0.0, (every - cells) / (pairs - same_count), 1.0)
        both = _between(0.0, cells / same_count, 1.0)
        return cls(common, _between(0.0, both - common, np.eye(len(common)) - common), mean, scale)

    def draw(self, rng: np.random.Generator) -> Hand:
        """A new hand."""
        latent = len(self.common)
        return Hand(_root(self.common) @ rng.normal(size=latent), rng.normal(size=(CLASSES, latent)) @ _root(self.own))

    def noise(self, hand: Hand, labels: Groups, rng: np.random.Generator, temperature: float = 1.0) -> Array:
        """Styles of single digits of a hand, shape (n, latent), for labels of shape (n,).

        `temperature` scales what is a digit's own: 0 writes each digit the same each time.
        """
        single = _root(np.eye(len(self.common)) - self.common - self.own)
        drawn = rng.normal(size=(len(labels), len(self.common))) @ single
        return hand.common + hand.own[labels] + temperature * drawn

    def like(self, noise: Array, labels: Groups, rng: np.random.Generator | None = None) -> Hand:
        """The hand that wrote digits of these styles: its mean given them, or, with a generator, a draw.

        All is Normal, so this is Bayes' rule without any approximation.

        Args:
            noise: Styles of the examples, shape (n, latent), as a model finds them.
            labels: What they are, 0 to 9, shape (n,).
            rng: Draws what the examples leave open.
        """
        latent = len(self.common)
        noise = (noise - self.mean[labels]) @ self.scale
        # The unknown is common, then own of each class: one long vector. The examples of a class tell as much of it as
        # their mean does.
        prior: Array = np.kron(np.diag([0.0] + [1.0] * CLASSES), self.own)
        prior[:latent, :latent] = self.common
        classes, place, count = np.unique(labels, return_inverse=True, return_counts=True)
        means = np.zeros((len(classes), latent))
        np.add.at(means, place, noise)
        means /= count[:, None]
        sees: Array = np.zeros((len(classes), CLASSES + 1))
        sees[:, 0] = 1
        sees[np.arange(len(classes)), 1 + classes] = 1
        sees = np.kron(sees, np.eye(latent))
        single = np.eye(latent) * (1 + 1e-6) - self.common - self.own  # a hand may leave nothing open in a direction
        seen = sees @ prior @ sees.T + np.kron(np.diag(1 / count), single)
        gain = np.linalg.solve(seen, sees @ prior).T
        found = gain @ means.reshape(-1)
        if rng is not None:
            found = found + _root(_between(0.0, prior - gain @ sees @ prior, np.inf)) @ rng.normal(size=len(found))
        parts = found.reshape(CLASSES + 1, latent)
        return Hand(parts[0], parts[1:])


def _products(noise: Array, groups: Groups) -> tuple[Array, int]:
    """Sum of the outer products of all pairs of two members of one group, and the number of such pairs."""
    _, groups = np.unique(groups, return_inverse=True)
    count = np.bincount(groups)
    sums = np.zeros((len(count), noise.shape[1]))
    np.add.at(sums, groups, noise)
    return sums.T @ sums - noise.T @ noise, int((count * (count - 1)).sum())


def _between(low: float, matrix: Array, high: float | Array) -> Array:
    """The symmetric part of a matrix, its eigenvalues cut to `low` and `high`; `high` may be a covariance itself."""
    matrix = (matrix + matrix.T) / 2
    if isinstance(high, np.ndarray):
        # In the coordinates in which `high` is the identity; where it is nothing, nothing is left.
        root = _root(high)
        inverse = np.linalg.pinv(root, rcond=1e-6, hermitian=True)
        return root @ _between(low, inverse @ matrix @ inverse, 1.0) @ root
    values, vectors = np.linalg.eigh(matrix)
    cut: Array = (vectors * values.clip(low, high)) @ vectors.T
    return cut


def _root(matrix: Array) -> Array:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    root: Array = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return root
