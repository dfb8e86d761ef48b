"""Sets of handwritten numbers to train and test readers with: one number in each picture, in one of many hands.

Number i of a set depends on its wishes and on i alone, so that a set can be made piece by piece, and memory does not
grow with it. No hand is in two splits.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitvae import __version__
from digitvae.data.layouts import Layout
from digitvae.data.samples import SPLITS, Sample, Tally, packed, unpacked
from digitvae.data.trainers import open_layout
from digitvae.errors import InputError
from digitvae.handwriting import CHARACTERS, Line, write
from digitvae.inking import BLACK, WHITE, paint
from digitvae.processes import ALONE, Team
from digitvae.rundir import find_model
from digitvae.scanning import check_effects, scan
from digitvae.studio import MAX_HANDS, TEMPERATURE, Studio, stream
from digitvae.texts import texts

CHUNK = 100
"""Numbers that are written at a time."""

MAX_NUMBERS = 2**32
"""Numbers in a set, at most."""

MAX_HEIGHT = 256
"""Pixels of a digit, at most: some numbers at a time must fit into memory."""


@dataclass(frozen=True)
class NumberSet:
    """What a set of numbers is to be.

    Attributes:
        count: How many numbers.
        pattern: What they are: ``zip``, ``amount``, ``date``, ``phone`` or a regular expression.
        hands: How many hands write them, 0, 1, ..., taking turns; a hand is the same in all sets of a model.
        seed: Seed of the texts, of what differs each time that a hand writes, and of the effects.
        height: Height of a digit, in pixels, 8 to 256.
        temperature: How much the digits of a hand differ each time.
        model: What draws the digits: the name of a shipped model, or a folder.
        effects: Some of `digitvae.scanning.EFFECTS`.
        ink: Colour of the ink: a name such as ``navy``, or ``#rrggbb``.
        paper: Colour of the paper. Pictures have one channel where both are grey, three else.

    Raises:
        InputError: If a number is out of its range, or an effect is unknown.

    >>> NumberSet(10_000, "date", hands=50, effects=("blur",)).command("dates", "yolo")
    'digitvae dataset numbers -n 10000 --pattern date --hands 50 --effects blur --format yolo -o dates'
    """

    count: int
    pattern: str = "zip"
    hands: int = 200
    seed: int = 0
    height: int = 48
    temperature: float = TEMPERATURE
    model: str = "studio"
    effects: tuple[str, ...] = ()
    ink: str = BLACK
    paper: str = WHITE

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_NUMBERS:
            raise InputError(f"There can be 1 to {MAX_NUMBERS:,} numbers, not {self.count}.")
        most = min(self.count, MAX_HANDS)
        if not 1 <= self.hands <= most:
            raise InputError(f"There can be 1 to {most:,} hands for {self.count:,} numbers, not {self.hands}.")
        if self.height > MAX_HEIGHT:
            raise InputError(f"In a set a digit can be {MAX_HEIGHT} pixels high at most, not {self.height}.")
        check_effects(self.effects)

    def chunks(self, team: Team = ALONE) -> Iterator[list[Sample]]:
        """The numbers, some at a time.

        Args:
            team: Processes that each make a part of them; only the leader gets them, and gets all, in order.

        Raises:
            InputError: If the pattern, a colour, their pair, the height, the temperature or the seed is none.
            RunError: If there is no such model, or another process is gone.
        """
        colours = _colours(self.ink, self.paper)
        studio = Studio.load(self.model, threads=int(team.size > 1))
        starts = range(0, self.count, CHUNK)
        if team.size == 1:
            yield from (self._chunk(studio, first, colours) for first in starts)
            return
        for turn in range(0, len(starts), team.size):
            own = starts[turn + team.rank :][:1]
            made = team.collect(b"".join(packed(self._chunk(studio, first, colours)) for first in own))
            yield from (unpacked(content) for content in made if content)

    def _chunk(self, studio: Studio, first: int, colours: npt.NDArray[np.uint8]) -> list[Sample]:
        numbers = range(first, min(first + CHUNK, self.count))
        lines = write(
            studio,
            list(texts(self.pattern, len(numbers), self.seed, first)),
            [number % self.hands for number in numbers],
            height=self.height,
            seed=self.seed,
            first=first,
            temperature=self.temperature,
        )
        return [self._sample(number, line, colours) for number, line in zip(numbers, lines, strict=True)]

    def _sample(self, number: int, line: Line, colours: npt.NDArray[np.uint8]) -> Sample:
        image = colours[line.ink]
        boxes = list(line.boxes)
        if self.effects:
            rng = stream(self.seed, "effects", number)
            image, boxes = scan(image, line.ink, boxes, self.effects, rng)
        return Sample(number, split_of(line.hand, self.hands), image, line.text, line.hand, boxes)

    def command(self, out: str, kind: str) -> str:
        """The command that makes the set."""
        names = {"count": "n", "kind": "format"}
        wishes: dict[str, Any] = {**vars(self), "effects": ",".join(self.effects), "kind": kind}
        usual = {field.name: field.default for field in dataclasses.fields(self)} | {"effects": "", "kind": "png"}
        words = ["digitvae", "dataset", "numbers"]
        for name, value in wishes.items():
            if value != usual[name] or name in ("pattern", "hands"):
                option = names.get(name, name)
                words += [f"-{option}" if len(option) == 1 else f"--{option}", str(value)]
        return shlex.join([*words, "-o", out])


def split_of(hand: int, hands: int) -> str:
    """The split that a hand writes for.

    Of ten hands one is for validation and one for testing. Which they are does not depend on how many hands there are,
    so that sets can be put together; but fewer than three hands are all for training.

    >>> [split_of(hand, 3) for hand in range(3)], split_of(10, 11), split_of(1, 2)
    (['train', 'validation', 'test'], 'train', 'train')
    """
    return {1: "validation", 2: "test"}.get(hand % 10, "train") if hands > 2 else "train"


def write_numbers(
    numbers: NumberSet,
    out: str | Path,
    kind: str = "png",
    overwrite: bool = False,
    notify: Callable[[int], None] = lambda done: None,
    team: Team = ALONE,
) -> Tally:
    """Write a set of numbers into a folder, which appears when all is there; the same wishes give the same bytes.

    Args:
        numbers: What is wanted.
        out: The folder.
        kind: One of `digitvae.data.trainers.LAYOUTS`.
        overwrite: Whether a set that lies there may be replaced.
        notify: Told how many numbers are written.
        team: Processes that share the work; the leader writes, and the bytes are the same.

    Returns:
        What was written, which is nothing where this process does not lead.

    Raises:
        InputError: If a wish cannot be fulfilled.
        RunError: If there is no such model, `out` is in the way, it cannot be written, or another process is gone.
    """
    layout = open_layout(out, kind, CHARACTERS, overwrite)
    chunks = numbers.chunks(team)
    if not team.leads:
        collections.deque(chunks, maxlen=0)
        return layout.tally
    first = next(chunks)  # what cannot be fulfilled shows here, before anything is written
    with layout:
        done = 0
        for chunk in itertools.chain([first], chunks):
            layout.add(chunk)
            done += len(chunk)
            notify(done)
        layout.finish(_card(numbers, layout, kind))
    return layout.tally


def _colours(ink: str, paper: str) -> npt.NDArray[np.uint8]:
    """What each level of ink looks like: shape (256,) where all is grey, (256, 3) else."""
    colours: npt.NDArray[np.uint8] = paint(np.arange(256, dtype=np.uint8)[None], ink, paper)[0]
    return colours[:, 0].copy() if (colours == colours[:, :1]).all() else colours


def _card(numbers: NumberSet, layout: Layout, kind: str) -> str:
    tally = layout.tally
    with (find_model(numbers.model) / "model.safetensors").open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    rows = "".join(
        f"| {split} | {tally.lines[split]:,} | {tally.characters[split]:,} | {len(tally.hands[split]):,} |\n"
        for split in SPLITS
    )
    use = f"For {layout.use.replace('FOLDER', layout.path.name)}\n\n" if layout.use else ""
    few = "With fewer than three hands, all numbers are for training.\n\n" if numbers.hands < 3 else ""
    return f"""# Handwritten numbers that nobody wrote

Pictures of {numbers.count:,} numbers (pattern `{numbers.pattern}`), each in one of {numbers.hands:,} hands, with the
text and a box around every character. The digits are drawn by a model, digitvae {__version__}.

| split | numbers | characters | hands |
|---|---|---|---|
{rows}
No hand is in two splits. {few}Made by:

    {numbers.command(layout.path.name, kind)}

- Seed: {numbers.seed}
- SHA-256 of images and texts: {tally.sha256()}
- Model: {numbers.model}, SHA-256 of its weights: {weights}
- Effects: {", ".join(numbers.effects) or "none"}

{use}## Limits

- The model's own card says what it learned from. The shipped one learned from MNIST: digits of adults and pupils in the
  United States, written one at a time, around 1990.
- How digits stand in a line, and the signs between them, are not learned: they are drawn from ranges set by hand.
- A few digits do not look like their label; `--verify` says how many a reader reads otherwise.
- A hand has the same number in all sets of this model, and is for the same split in all that have three or more hands.
  Sets that share hands differ in what these hands write.
"""
