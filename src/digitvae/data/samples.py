"""Labelled pictures of written lines: the record, what was seen of many, and whether a picture and its labels agree."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from PIL import Image

from digitvae.data.digits import Pixels, joined_sha256
from digitvae.errors import DataError

SPLITS = ("train", "validation", "test")


class Box(TypedDict):
    """Where a character's ink is, in pixels from the left and the top of the picture, as JSON has it."""

    text: str
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of a written line.

    Attributes:
        number: Its place among all, from 0.
        split: ``train``, ``validation`` or ``test``.
        image: uint8, shape (height, width) or, where coloured, (height, width, 3).
        text: What is written.
        hand: The number of the hand that wrote it.
        boxes: One for each character that is not a space, from left to right.
    """

    number: int
    split: str
    image: Pixels
    text: str
    hand: int
    boxes: Sequence[Box]

    def check(self) -> None:
        """Raise DataError where the boxes are not those of the text, or lie outside the picture."""
        if "".join(box["text"] for box in self.boxes) != self.text.replace(" ", ""):
            raise DataError(f"The boxes of number {self.number} ('{self.text}') are those of another text.")
        height, width = self.image.shape[:2]
        for box in self.boxes:
            right, bottom = box["left"] + box["width"], box["top"] + box["height"]
            if not (0 <= box["left"] < right <= width and 0 <= box["top"] < bottom <= height):
                raise DataError(f"A box of number {self.number} ('{self.text}') lies outside its picture.")


def packed(samples: Sequence[Sample]) -> bytes:
    """Samples as bytes, for another process; `unpacked` makes them again."""
    facts = [
        {**vars(sample), "image": None, "boxes": list(sample.boxes), "shape": sample.image.shape} for sample in samples
    ]
    head = json.dumps(facts).encode()
    return b"".join([len(head).to_bytes(8, "big"), head, *(sample.image.tobytes() for sample in samples)])


def unpacked(content: bytes) -> list[Sample]:
    """The samples that `packed` made bytes of."""
    start = 8 + int.from_bytes(content[:8], "big")
    samples = []
    for facts in json.loads(content[8:start]):
        shape = facts.pop("shape")
        image = np.frombuffer(content, np.uint8, math.prod(shape), start).reshape(shape)
        samples.append(Sample(**{**facts, "image": image}))
        start += image.size
    return samples


class Tally:
    """What was seen of many samples.

    Attributes:
        lines: Samples of each split.
        characters: Characters of each split, without spaces.
        hands: Numbers of the hands of each split.
    """

    def __init__(self) -> None:
        self.lines = dict.fromkeys(SPLITS, 0)
        self.characters = dict.fromkeys(SPLITS, 0)
        self.hands: dict[str, set[int]] = {split: set() for split in SPLITS}
        self._digests = {split: hashlib.sha256() for split in SPLITS}

    def add(self, sample: Sample) -> None:
        """Count a sample; those of a split must come in the order of their numbers."""
        self.lines[sample.split] += 1
        self.characters[sample.split] += len(sample.boxes)
        self.hands[sample.split].add(sample.hand)
        digest = self._digests[sample.split]
        digest.update(f"{sample.text}\n{sample.image.shape}\n".encode())
        digest.update(sample.image.tobytes())

    def sha256(self) -> str:
        """A hash of texts and pixels: of each split that of all its samples in order, then of the three together."""
        return joined_sha256(*(self._digests[split].hexdigest() for split in SPLITS))


def from_png(content: bytes) -> Pixels:
    """The pixels of a PNG file."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        return np.asarray(picture)
