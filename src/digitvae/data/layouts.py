"""Folders of samples, written by and by and read back: what all layouts share, and the plain one.

The plain layout has a folder for each split, and a ``labels.csv`` at the top with the columns ``file``, ``text``,
``hand`` and ``boxes`` (JSON). `digitvae.data.trainers` has those of the trainers.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from digitvae.data.files import cores
from digitvae.data.folders import LABELS_FILE
from digitvae.data.samples import SPLITS, Sample, Tally, from_png
from digitvae.data.sinks import Whole
from digitvae.data.tables import png
from digitvae.errors import DataError

CARD_FILE = "README.md"


class Layout(Whole):
    """A folder of samples that takes its name when all are there.

    Args:
        path: The folder.
        characters: The kinds of characters, without a space; their order gives the classes of boxes.

    Attributes:
        tally: What was added.
        use: How a trainer is given the folder, for the card.
    """

    folder = True
    use = ""

    def __init__(self, path: Path, characters: str) -> None:
        super().__init__(path)
        self.characters = characters
        self.tally = Tally()

    def add(self, samples: Sequence[Sample]) -> None:
        """Write some more samples, in the order of their numbers.

        Raises:
            RunError: If they cannot be written.
        """
        with self.saying_why():
            # Compressing lets go of Python's lock, so that threads do it side by side.
            pictures = self.pool.map(png, [sample.image for sample in samples])
            for sample, picture in zip(samples, pictures, strict=True):
                self.write(sample, picture)
                self.tally.add(sample)

    def finish(self, card: str) -> None:
        """Write the card.

        Raises:
            RunError: If it cannot be written.
        """
        with self.saying_why():
            (self.aside / CARD_FILE).write_text(self.front() + card, encoding="utf-8")

    def front(self) -> str:
        """What the card begins with, for programs."""
        return ""

    def there(self) -> list[str]:
        """The splits that have samples."""
        return [split for split in SPLITS if self.tally.lines[split]]

    def open(self) -> None:
        """Get ready to write."""
        self.pool = ThreadPoolExecutor(cores())
        self.files = contextlib.ExitStack()

    def close(self, whole: bool) -> None:
        """Let go of all files."""
        self.pool.shutdown(cancel_futures=True)
        self.files.close()

    @abc.abstractmethod
    def write(self, sample: Sample, picture: bytes) -> None:
        """Write a sample; `picture` is the content of its PNG file."""

    @abc.abstractmethod
    def read(self) -> Iterator[Sample]:
        """The samples of the folder from the disk, those of a split in order; what fails may be any exception."""


class Plain(Layout):
    """Pictures and ``labels.csv``; what a trainer wants beside them is for other layouts to say."""

    pictures = ""
    """The folder that the splits lie in."""

    def own(self, sample: Sample, file: str) -> dict[str, str]:
        """Label files of this sample alone: content by name."""
        return {}

    def listed(self, sample: Sample, file: str) -> dict[str, str]:
        """This sample's line in each list of the trainer, by the list's name."""
        return {}

    def header(self, name: str) -> str:
        """The first line of a list."""
        return "file,text,hand,boxes\n" if name == LABELS_FILE else ""

    def once(self) -> dict[str, str]:
        """Files that are written once: content by name."""
        return {}

    def file_of(self, sample: Sample) -> str:
        """The name of a picture, from the top of the folder."""
        return f"{self.pictures}{sample.split}/{sample.number:06d}.png"

    def open(self) -> None:
        """Get ready to write."""
        super().open()
        self.lists: dict[str, IO[str]] = {}

    def write(self, sample: Sample, picture: bytes) -> None:
        """Write a picture, and what is said of it."""
        file = self.file_of(sample)
        self._save(file, picture)
        for name, content in self.own(sample, file).items():
            self._save(name, content.encode())
        for name, line in {LABELS_FILE: _row(sample, file), **self.listed(sample, file)}.items():
            if name not in self.lists:
                opened = (self.aside / name).open("x", encoding="utf-8", newline="")
                self.lists[name] = self.files.enter_context(opened)
                opened.write(self.header(name))
            self.lists[name].write(line)

    def close(self, whole: bool) -> None:
        """Write what is written once, and let go of all files."""
        super().close(whole)
        if whole:
            for name, content in self.once().items():
                self._save(name, content.encode())

    def _save(self, name: str, content: bytes) -> None:
        path = self.aside / name
        try:
            path.write_bytes(content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True)
            path.write_bytes(content)

    def read(self) -> Iterator[Sample]:
        """The samples that ``labels.csv`` lists; the trainer's files must say the same of them."""
        lists: dict[str, IO[str]] = {}
        count = 0
        with contextlib.ExitStack() as files:
            table = files.enter_context((self.path / LABELS_FILE).open(encoding="utf-8", newline=""))
            for count, row in enumerate(csv.DictReader(table), 1):
                sample = self._sample(row)
                file = self.file_of(sample)
                self._agree(LABELS_FILE, (sample.number, row["file"]) == (count - 1, file))
                for name, content in self.own(sample, file).items():
                    self._agree(name, (self.path / name).read_text("utf-8") == content)
                for name, line in self.listed(sample, file).items():
                    if name not in lists:
                        lists[name] = files.enter_context((self.path / name).open(encoding="utf-8", newline=""))
                        header = self.header(name)
                        self._agree(name, lists[name].read(len(header)) == header)
                    self._agree(name, lists[name].readline() == line)
                yield sample
            for name, opened in lists.items():
                self._agree(name, not opened.read(1))
        self._agree(LABELS_FILE, sum(1 for _ in self.path.rglob("*.png")) == count)

    def _sample(self, row: dict[str, str]) -> Sample:
        split, _, name = row["file"].removeprefix(self.pictures).partition("/")
        number = int(name.removesuffix(".png"))
        content = (self.path / self.pictures / SPLITS[SPLITS.index(split)] / f"{number:06d}.png").read_bytes()
        return Sample(number, split, from_png(content), row["text"], int(row["hand"]), json.loads(row["boxes"]))

    def _agree(self, name: str, same: bool) -> None:
        if not same:
            raise DataError(f"{self.path / name} does not agree with the other files: make the folder anew.")


def _row(sample: Sample, file: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow((file, sample.text, sample.hand, json.dumps(sample.boxes)))
    return line.getvalue()
