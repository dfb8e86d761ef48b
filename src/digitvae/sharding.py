"""Sets of digits too large for one file: a folder of shards, which processes make in turn and a later call continues.

Each shard holds whole chunks of the set, and a chunk depends on the seed and its number alone: the shards together
are the same digits, in the same order, as the set in one file, whoever made which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitvae.data.files import write_aside
from digitvae.data.sinks import open_sink
from digitvae.errors import InputError, RunError
from digitvae.studio import CHUNK, Batch, check_count, chunk_count

FORMAT = "parquet"
"""What shards are written as: `datasets` reads a folder of them."""

CLAIM = ".shards.json"
"""What a folder's set is. Hidden, so that whoever reads all files of the folder as tables does not stumble over it."""


@dataclass(frozen=True)
class Shards:
    """The plan of a folder of shards.

    Attributes:
        folder: Where they lie.
        count: Digits in all.
        shards: Files.

    Raises:
        InputError: If there would be empty shards, or no digits.

    >>> plan = Shards(Path("digits"), count=5_000, shards=2)
    >>> [list(plan.chunks(shard)) for shard in range(2)]
    [[0, 1, 2], [3, 4]]
    >>> plan.file(1).name, plan.size(1)
    ('digits-00001-of-00002.parquet', 2000)
    """

    folder: Path
    count: int
    shards: int

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        check_count(self.count)
        most = chunk_count(self.count)
        if not 1 <= self.shards <= min(most, 100_000):
            raise InputError(
                f"{self.count:,} digits can be written as 1 to {min(most, 100_000):,} shards, not {self.shards:,}."
            )

    def chunks(self, shard: int) -> range:
        """The chunks of a shard; the first shards have one more where they do not come out even."""
        each, rest = divmod(chunk_count(self.count), self.shards)
        first = shard * each + min(shard, rest)
        return range(first, first + each + (shard < rest))

    def size(self, shard: int) -> int:
        """Digits of a shard."""
        chunks = self.chunks(shard)
        return min(chunks.stop * CHUNK, self.count) - chunks.start * CHUNK

    def file(self, shard: int) -> Path:
        """Its file."""
        return self.folder / f"digits-{shard:05d}-of-{self.shards:05d}.{FORMAT}"

    def missing(self, rank: int = 0, size: int = 1) -> list[int]:
        """Shards that are still to be made, of those that are this process's turn."""
        return [shard for shard in range(self.shards)[rank::size] if not self.file(shard).exists()]

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Write down what the folder's set is, or check that it is the same.

        Raises:
            RunError: If it is another one, or the folder holds something else, or cannot be written.
        """
        path = self.folder / CLAIM
        content = {"count": self.count, "shards": self.shards, **settings}
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError) as error:
                raise RunError(f"{path} cannot be read ({error}); name another folder.") from error
            if found != content:
                other = [key for key in content if not isinstance(found, dict) or found.get(key) != content[key]]
                raise RunError(
                    f"{self.folder} holds another set ({', '.join(other) or 'other settings'} differ); name another "
                    "folder, or ask for the same to go on with it."
                )
            return
        # What is hidden may be another process's, which is just beginning too.
        if self.folder.exists() and any(not each.name.startswith(".") for each in self.folder.iterdir()):
            raise RunError(f"{self.folder} holds something else; name another folder.")
        text = (json.dumps(content, indent=2) + "\n").encode()
        # Processes that begin together write the same bytes.
        write_aside(path, lambda file: file.write(text), overwrite=True)

    def make(self, shard: int, batches: Iterator[Batch], finish: Callable[[Batch], Any], side: int) -> None:
        """Write one shard: its batches, with their images as `finish` makes them.

        Raises:
            RunError: If it cannot be written.
        """
        file = self.file(shard)
        # What a process that was killed has left of it. Only the one whose turn it is does this, so that nobody takes
        # away what another is writing.
        for left in self.folder.glob(f".{file.name}.*.part"):
            left.unlink(missing_ok=True)
        with open_sink(file, FORMAT, self.size(shard), side=side) as sink:
            for batch in batches:
                sink.add(finish(batch), batch.labels, batch.hands)


def turn() -> tuple[int, int]:
    """This process's number and how many there are, as ``torchrun`` says; 0 of 1 without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
