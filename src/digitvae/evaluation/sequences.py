"""Sets of handwritten numbers, read back from the disk: whether their files agree, and how legible their digits are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitvae.data.fitting import fit_picture
from digitvae.data.layouts import CARD_FILE
from digitvae.data.samples import SPLITS, Box, Tally
from digitvae.data.trainers import read_layout
from digitvae.errors import DataError
from digitvae.handwriting import CHARACTERS, DIGITS
from digitvae.reading import frozen, read_digits

_BATCH = 1000  # digits that are read at a time
_FRAME = 5  # pixels of paper around a digit

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Verified:
    """What was found in a set.

    Attributes:
        lines: Numbers; each has its picture, its text and its boxes, and they agree.
        digits: Digits in them.
        right: Those that the reader reads as their label.
        unfit: Those that cannot be cut out and fitted to 28x28, as they are too faint or fall apart; they count as not
            read.
    """

    lines: int
    digits: int
    right: int
    unfit: int

    @property
    def share(self) -> float:
        """The share of digits that are read as their label; 1 where there are none."""
        return self.right / self.digits if self.digits else 1.0


def verify(folder: str | Path, kind: str, notify: Callable[[int], None] = lambda done: None) -> Verified:
    """Read a set back: all pictures, texts and boxes, then every digit, cut out by its box, by the frozen reader.

    Signs are not read.

    Args:
        folder: The folder of the set.
        kind: Its layout, one of `digitvae.data.trainers.LAYOUTS`.
        notify: Told how many numbers are read.

    Raises:
        InputError: If there is no such layout.
        DataError: If files are missing or damaged, or do not agree with each other or with the card.
    """
    tally, reading = Tally(), _Reading()
    done = 0
    for done, sample in enumerate(read_layout(folder, kind, CHARACTERS), 1):
        tally.add(sample)
        grey = np.asarray(Image.fromarray(sample.image).convert("L"))
        for box in sample.boxes:
            if box["text"] in DIGITS:
                reading.add(_cut_out(grey, box), int(box["text"]))
        notify(done)
    reading.finish()
    if sum(len(tally.hands[split]) for split in SPLITS) > len(set().union(*tally.hands.values())):
        raise DataError(f"{folder} has a hand in two splits: make it anew.")
    try:
        card = (Path(folder) / CARD_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{folder} has no card {CARD_FILE}: make it anew.") from error
    if tally.sha256() not in card:
        raise DataError(f"{folder} does not hold the images and texts that its card {CARD_FILE} names: make it anew.")
    return Verified(done, reading.digits, reading.right, reading.unfit)


class _Reading:
    """Digits that wait until there are enough to be read at once, and how many were read right."""

    def __init__(self) -> None:
        self.digits = self.right = self.unfit = 0
        self.images: list[Pixels] = []
        self.labels: list[int] = []

    def add(self, grey: Pixels, label: int) -> None:
        self.digits += 1
        try:
            image, _ = fit_picture(grey, "A digit")
        except DataError:
            self.unfit += 1
            return
        self.images.append(image)
        self.labels.append(label)
        if len(self.images) == _BATCH:
            self.finish()

    def finish(self) -> None:
        if self.images:
            read = read_digits(frozen("reader")[0], np.stack(self.images)).argmax(1).numpy()
            self.right += int((read == self.labels).sum())
            self.images, self.labels = [], []


def _cut_out(grey: Pixels, box: Box) -> Pixels:
    """A digit in a frame of its paper."""
    cut = grey[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]]
    # A picture of 28x28 would be taken for one that is fitted already.
    frame = _FRAME + (cut.shape == (28 - 2 * _FRAME, 28 - 2 * _FRAME))
    return np.pad(cut, frame, constant_values=int(np.median(grey)))
