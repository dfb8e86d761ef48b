"""The records that the data room hands to every other room: digits, splits and writers."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from digitvae.errors import DataError

Pixels = npt.NDArray[np.uint8]

SIDE = 28
"""Height and width of every digit, in pixels."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of single digits, with their labels where these are known.

    Attributes:
        images: uint8 of shape (n, 28, 28); ink is 255, paper is 0.
        labels: uint8 of shape (n,), each 0 to 9, or None.

    Raises:
        DataError: when an array has another type, shape or range.

    Example:
        >>> digits = Digits(np.zeros((3, 28, 28), np.uint8), np.array([7, 2, 1], np.uint8))
        >>> len(digits.subset(digits.labels < 5))
        2
    """

    images: Pixels
    labels: Pixels | None = None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise DataError(
                f"Digits need uint8 images of shape (n, 28, 28), but these are {images.dtype} of shape "
                f"{images.shape}: bring them into that form, or read them with load_digits."
            )
        if labels is None:
            return
        if labels.dtype != np.uint8 or labels.shape != (len(images),):
            raise DataError(
                f"{len(images):,} digits need uint8 labels of shape ({len(images)},), but these are "
                f"{labels.dtype} of shape {labels.shape}: give one label for each image."
            )
        if labels.size and labels.max() > 9:
            raise DataError(f"A label is {labels.max()}, but labels must be 0 to 9: correct it.")

    def __len__(self) -> int:
        """The number of digits."""
        return len(self.images)

    def subset(self, index: npt.ArrayLike | slice) -> "Digits":
        """The digits that `index` selects: a slice, an array of positions or a boolean mask of shape (n,)."""
        where = index if isinstance(index, slice) else np.asarray(index)
        return Digits(self.images[where], None if self.labels is None else self.labels[where])

    def followed_by(self, others: "Digits") -> "Digits":
        """These digits, then the others; without labels where either has none."""
        images = np.concatenate([self.images, others.images])
        if self.labels is None or others.labels is None:
            return Digits(images, None)
        return Digits(images, np.concatenate([self.labels, others.labels]))


@dataclass(frozen=True, eq=False)
class Splits:
    """Digits divided for training, validation and testing.

    Attributes:
        name: "mnist", "mnist-5k" (also after the fallback) or the name of the given file or folder.
        train: what a model learns from.
        validation: what choices are made with; always cut from the training digits.
        test: read by evaluation alone; None where the data has no test set.
        sha256: hex hash of all the content, train, validation and test together; see `content_sha256`.
        notes: plain sentences saying what was done on the way (fallback, inverted, resized, shuffled).
    """

    name: str
    train: Digits
    validation: Digits
    test: Digits | None
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the digits are called where people read it."""
        return {"mnist": "MNIST", "mnist-5k": "MNIST (5,000-digit subset)"}.get(self.name, self.name)

    @property
    def caption(self) -> str:
        """A short text for figure captions, such as "MNIST, 48,000 training digits"."""
        return f"{self.title}, {len(self.train):,} training digits"


@dataclass(frozen=True, eq=False)
class Writers:
    """Who wrote each MNIST digit, from the extended labels of QMNIST; nobody is in both sets.

    Attributes:
        train: int32 of shape (60000,), writer ids in the order of MNIST's training digits; the first 48,000
            belong to `Splits.train`, the last 12,000 to `Splits.validation` of "mnist".
        test: int32 of shape (10000,), writer ids in the order of MNIST's test digits.
    """

    train: npt.NDArray[np.int32]
    test: npt.NDArray[np.int32]


def content_sha256(*parts: npt.NDArray[Any]) -> str:
    """The hash of data that lies in several parts: SHA-256 of the parts' own hex digests, joined.

    For "mnist" the parts are the decompressed IDX files (train images, train labels, test images, test
    labels). For all other data they are the uint8 images (after fitting to 28x28, before shuffling) and, where
    there are any, the uint8 labels; those of a test set, where there is one, follow in the same order.
    """
    return joined_sha256(*(hashlib.sha256(part.tobytes()).hexdigest() for part in parts))


def joined_sha256(*digests: str) -> str:
    """`content_sha256` from the parts' hex digests, for who has these already."""
    return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()
