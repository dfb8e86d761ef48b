"""How alike the digits of one hand are, and how different hands are from each other.

A hand is whoever wrote a group of digits, real or generated. Measured values, such as slant, are first freed of what
the class brings with it: the mean of each class is taken off, over the same set of digits. Values that are not finite
(a blank image has no slant) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitvae.errors import InputError

Values = npt.NDArray[np.float64]
Groups = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Consistency:
    """How one measured quantity varies within hands and between them.

    Attributes:
        icc: Intraclass correlation, the share of the variance that lies between hands (Shrout and Fleiss, 1979, case
            1; groups may be of unequal size).
        within: Standard deviation of one hand's digits, in the quantity's unit.
        between: Standard deviation of the hands themselves, in the quantity's unit; 0 where chance explains it all.
        same_class: Correlation of two digits of one hand and one class, over all such pairs.
        cross_class: Correlation of two digits of one hand and different classes, over all such pairs.
        hands: Number of hands.
        digits: Number of digits.
    """

    icc: float
    within: float
    between: float
    same_class: float
    cross_class: float
    hands: int
    digits: int


def consistency(values: Values, hands: Groups, labels: Groups) -> Consistency:
    """Compare digits within and between hands.

    Args:
        values: One quantity of each digit, shape (n,).
        hands: Who wrote each, shape (n,).
        labels: The digit that each is, shape (n,).

    Raises:
        InputError: If the shapes differ, there are not two hands of which one has two digits, or nothing varies.

    >>> rng = np.random.default_rng(0)
    >>> hands = np.repeat(np.arange(400), 20)
    >>> slant = 3 * rng.normal(size=400)[hands] + 4 * rng.normal(size=8000)
    >>> found = consistency(slant, hands, rng.integers(0, 10, 8000))
    >>> round(found.icc, 1), round(found.within), round(found.between)
    (0.4, 4, 3)
    """
    if not values.shape == hands.shape == labels.shape or values.ndim != 1:
        raise InputError("Values, hands and labels need one entry for each digit.")
    known = np.isfinite(values)
    values, hands, labels = values[known], hands[known], labels[known]
    _, hands = np.unique(hands, return_inverse=True)
    count = np.bincount(hands)
    if len(count) < 2 or count.max() < 2:
        raise InputError("The consistency of hands needs two hands, and one of them two digits.")
    values = without_class_means(values, labels)
    if not values.any():
        raise InputError("All digits of each class measure the same: there is nothing to compare hands by.")
    n, groups = len(values), len(count)
    means = np.bincount(hands, values) / count
    within = float(np.square(values - means[hands]).sum() / (n - groups))
    among = float((count * np.square(means - values.mean())).sum() / (groups - 1))
    typical = float(n - np.square(count).sum() / n) / (groups - 1)
    between = (among - within) / typical
    same, cross = _pair_correlations(values, hands, labels)
    return Consistency(between / (between + within), within**0.5, max(between, 0.0) ** 0.5, same, cross, groups, n)


def without_class_means(values: Values, labels: Groups) -> Values:
    """Values, shape (n,), less the mean of their class."""
    _, classes = np.unique(labels, return_inverse=True)
    return values - (np.bincount(classes, values) / np.bincount(classes))[classes]


def _pair_correlations(values: Values, hands: Groups, labels: Groups) -> tuple[float, float]:
    """Mean product of all pairs of two digits of one hand, over the variance of all digits: pairs of one class, and of
    two; NaN where there are none.

    Sums over pairs are found from sums over groups: the square of a sum holds each pair twice and each digit once.
    """
    values = (values - values.mean()) / values.std()
    _, cells = np.unique(hands * (int(labels.max()) + 1) + labels, return_inverse=True)
    pairs, products = [], []
    for groups in (cells, hands):
        count = np.bincount(groups)
        pairs.append(int((count * (count - 1)).sum()))
        products.append(float((np.bincount(groups, values) ** 2 - np.bincount(groups, values**2)).sum()))
    same, cross = (products[0], pairs[0]), (products[1] - products[0], pairs[1] - pairs[0])
    return tuple(total / count if count else float("nan") for total, count in (same, cross))  # type: ignore[return-value]
