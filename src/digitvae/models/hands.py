"""The distribution of hands: what the digits of one writer have in common, learned from writers.

Styles are standard Normal noise that a model turns into codes. The noise of a digit is the sum of two parts: the style
that its writer has for that digit, and what is this one digit's. The writer's ten styles are one draw from a Normal, so
that one tells of another; each digit's two parts together are standard Normal again, so that the digits of many hands
are what the model draws anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from digitvae.errors import InputError

Array = npt.NDArray[Any]
Groups = npt.NDArray[np.integer]

CLASSES = 10


@dataclass(frozen=True, eq=False)
class Hands:
    """What hands are drawn from.

    Attributes:
        shared: Covariance of a hand's ten styles, shape (10, latent, 10, latent): between the styles of two digits, it
            says how much one writer's habits show in both. What it leaves of each digit's identity covariance is the
            single digit's.
        mean: Mean style of real digits of each class, shape (10, latent): a model's styles of real digits are not quite
            standard Normal.
        scale: What makes the rest so, shape (10, latent, latent): ``(style - mean[label]) @ scale[label]``.

    >>> hands = Hands(0.5 * np.eye(20).reshape(10, 2, 10, 2), np.zeros((10, 2)), np.tile(np.eye(2), (10, 1, 1)))
    >>> rng = np.random.default_rng(0)
    >>> hands.noise(hands.draw(rng), np.array([7, 7, 1]), rng).shape
    (3, 2)
    """

    shared: Array
    mean: Array
    scale: Array

    @property
    def latent_dim(self) -> int:
        """Number of latent dimensions."""
        return int(self.mean.shape[1])

    @classmethod
    def estimated(cls, noise: Array, writers: Groups, labels: Groups) -> Self:
        """Estimate from digits of known writers.

        Products of two digits of one writer have `shared` as their means. They are brought to the scale on which the
        digits of each class are standard Normal, and to what covariances can be.

        Args:
            noise: The style of each digit, shape (n, latent).
            writers: Who wrote it, shape (n,).
            labels: What it is, 0 to 9, shape (n,).

        Raises:
            InputError: If the shapes differ, or for some two classes (or one) no writer has a digit of each (two).
        """
        if noise.ndim != 2 or not len(noise) == len(writers) == len(labels):
            raise InputError("Hands are estimated from one style, one writer and one label for each digit.")
        latent = noise.shape[1]
        mean, scale = np.zeros((CLASSES, latent)), np.zeros((CLASSES, latent, latent))
        standard: Array = np.zeros(noise.shape)
        for digit in range(CLASSES):
            rows = labels == digit
            if rows.any():
                mean[digit] = noise[rows].mean(0)
                rest = noise[rows] - mean[digit]
                values, vectors = np.linalg.eigh(rest.T @ rest / len(rest))
                scale[digit] = (vectors / np.sqrt(values.clip(1e-9))) @ vectors.T
                standard[rows] = rest @ scale[digit]
        _, writers = np.unique(writers, return_inverse=True)
        cells, hands = writers * CLASSES + labels, int(writers.max(initial=0)) + 1
        count = np.bincount(cells, minlength=hands * CLASSES).reshape(hands, CLASSES).astype(np.float64)
        sums: Array = np.zeros((hands * CLASSES, latent))
        np.add.at(sums, cells, standard)
        sums = sums.reshape(hands, CLASSES, latent)
        pairs, products = count.T @ count, np.einsum("wcl,wdm->cldm", sums, sums)
        for digit in range(CLASSES):  # a digit makes no pair with itself
            rows = labels == digit
            pairs[digit, digit] -= rows.sum()
            products[digit, :, digit] -= standard[rows].T @ standard[rows]
        if not pairs.all():
            raise InputError("Hands need writers of any two digits, and writers with two digits of each class.")
        return cls(as_shared(products / pairs[:, None, :, None]), mean, scale)

    def draw(self, rng: np.random.Generator) -> Array:
        """A new hand: its ten styles, shape (10, latent)."""
        return (rng.normal(size=CLASSES * self.latent_dim) @ self._root).reshape(CLASSES, self.latent_dim)

    def noise(self, hand: Array, labels: Groups, rng: np.random.Generator, temperature: float = 1.0) -> Array:
        """Styles of single digits of a hand, shape (n, latent), for labels of shape (n,).

        `temperature` scales what is a digit's own: 0 writes each digit the same each time.
        """
        drawn = rng.normal(size=(len(labels), self.latent_dim))
        own: Array = np.einsum("nl,nlm->nm", drawn, self._single[labels])
        return hand[labels] + temperature * own

    def like(self, noise: Array, labels: Groups) -> Array:
        """The hand that wrote digits of these styles: its mean given them, shape (10, latent).

        All is Normal, so this is Bayes' rule without any approximation.

        Args:
            noise: Styles of the examples, shape (n, latent), as a model finds them.
            labels: What they are, 0 to 9, shape (n,).
        """
        latent = self.latent_dim
        standard = np.einsum("nl,nlm->nm", noise - self.mean[labels], self.scale[labels])
        # The examples of a class tell as much of its style as their mean does.
        classes, place, count = np.unique(labels, return_inverse=True, return_counts=True)
        means = np.zeros((len(classes), latent))
        np.add.at(means, place, standard)
        means /= count[:, None]
        seen = self.shared[classes][:, :, classes].copy()
        for position, digit in enumerate(classes):
            # A hand may leave nothing open in a direction; then two examples that differ meet in the middle.
            single = np.eye(latent) * (1 + 1e-6) - self.shared[digit, :, digit]
            seen[position, :, position] += single / count[position]
        size = len(classes) * latent
        solved = np.linalg.solve(seen.reshape(size, size), means.reshape(size))
        found: Array = self.shared[:, :, classes].reshape(CLASSES * latent, size) @ solved
        return found.reshape(CLASSES, latent)

    def carried(self, noise: Array, labels: Groups, others: Groups) -> Array:
        """Styles of digits `labels` carried over to digits `others`: what a hand would have for these, if all there is
        to see of the first were its habit. All shapes as in `like`; the result stands on the scale of `draw`.
        """
        found = np.empty((len(labels), self.latent_dim))
        for place, (style, label, other) in enumerate(zip(noise, labels, others, strict=True)):
            standard = (style - self.mean[label]) @ self.scale[label]
            own = self.shared[label, :, label] + 0.02 * np.eye(self.latent_dim)  # no habit is read out of nothing
            found[place] = self.shared[other, :, label] @ np.linalg.solve(own, standard)
        return found

    @cached_property
    def _root(self) -> Array:
        size = CLASSES * self.latent_dim
        return root(self.shared.reshape(size, size))

    @cached_property
    def _single(self) -> Array:
        unit = np.eye(self.latent_dim)
        return np.stack([root(unit - self.shared[digit, :, digit]) for digit in range(CLASSES)])


def as_shared(matrix: Array) -> Array:
    """The nearest to a matrix (10, latent, 10, latent) that `Hands` can have: a covariance, below the identity for each
    digit. Negative eigenvalues become 0; styles that vary more than all digits do are shrunk."""
    latent = matrix.shape[1]
    size = CLASSES * latent
    flat = matrix.reshape(size, size)
    values, vectors = np.linalg.eigh((flat + flat.T) / 2)
    flat = (vectors * values.clip(0)) @ vectors.T
    shrink = np.zeros((CLASSES, latent, CLASSES, latent))
    for digit in range(CLASSES):
        values, vectors = np.linalg.eigh(flat.reshape(matrix.shape)[digit, :, digit])
        shrink[digit, :, digit] = (vectors / np.sqrt(values.clip(1))) @ vectors.T
    flat = shrink.reshape(size, size) @ flat @ shrink.reshape(size, size)
    nearest: Array = (flat + flat.T) / 2
    return nearest.reshape(matrix.shape)


def root(matrix: Array) -> Array:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    found: Array = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return found
