"""Writing digits by and by, in any number, without holding them all: npz, IDX, class folders, Parquet.

A sink is a context: what is added goes to a place aside, which takes its name when all went well. If anything fails
midway, nothing is left. The same digits give the same bytes.
"""

from __future__ import annotations

import abc
import contextlib
import csv
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from digitvae.data.digits import Pixels
from digitvae.data.files import aside_of, refuse_existing
from digitvae.data.folders import LABELS_FILE
from digitvae.data.tables import png, table_of
from digitvae.errors import InputError, RunError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

Numbers = npt.NDArray[np.integer[Any]]

FORMATS = ("npz", "idx", "png", "parquet")
"""What digits can be written as; an ending such as ``.npz`` chooses, a folder is ``png`` where nothing else is said."""


class Whole(abc.ABC):
    """A file or folder that takes its name only when the context is left in peace; else nothing is left of it."""

    folder = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aside = aside_of(path)

    def __enter__(self) -> Self:
        try:
            with self.saying_why():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.folder:
                    self.aside.mkdir()
                self.open()
        except BaseException:
            self._remove_aside()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self.saying_why():
                self.close(kind is None)
                if kind is None:
                    self._take_name()
        finally:
            self._remove_aside()

    def _take_name(self) -> None:
        """A file is replaced in one step; a folder is moved away first, and comes back if that fails."""
        if not self.path.is_dir():
            os.replace(self.aside, self.path)
            return
        away = aside_of(self.path)
        os.replace(self.path, away)
        try:
            os.replace(self.aside, self.path)
        except OSError:
            os.replace(away, self.path)
            raise
        shutil.rmtree(away, ignore_errors=True)

    def _remove_aside(self) -> None:
        if self.aside.is_dir():
            shutil.rmtree(self.aside, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.aside.unlink(missing_ok=True)

    @abc.abstractmethod
    def open(self) -> None:
        """Open what is written to."""

    @abc.abstractmethod
    def close(self, whole: bool) -> None:
        """Write what comes last, where all is there, and close."""

    @contextlib.contextmanager
    def saying_why(self) -> Iterator[None]:
        """Turn what the system says of a full disk and the like into a `RunError` of one sentence."""
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise RunError(
                f"{self.path} cannot be written ({why}): check the folder and the space on its disk."
            ) from error


class Sink(Whole):
    """What takes digits."""

    def __init__(self, path: Path, count: int, side: int) -> None:
        super().__init__(path)
        self.count, self.side, self.added = count, side, 0

    def add(self, images: Pixels, labels: Pixels, hands: Numbers | None = None) -> None:
        """Write some more digits: uint8 (n, side, side), labels (n,), and who wrote them, (n,).

        Raises:
            RunError: If they cannot be written.
        """
        with self.saying_why():
            self.write(images, labels, hands)
        self.added += len(images)

    @abc.abstractmethod
    def write(self, images: Pixels, labels: Pixels, hands: Numbers | None) -> None:
        """Write some digits."""

    def _take_name(self) -> None:
        assert self.added == self.count, f"{self.count} digits were promised, {self.added} added"
        super()._take_name()


class _NpzSink(Sink):
    """Arrays ``images``, ``labels`` and, where given, ``hands``. Both of the latter wait in memory: 5 bytes a digit."""

    def open(self) -> None:
        self.labels: list[Pixels] = []
        self.hands: list[Numbers] = []
        self.archive = zipfile.ZipFile(self.aside, "x", zipfile.ZIP_DEFLATED, compresslevel=1)
        self.images = self._member("images", np.dtype(np.uint8), (self.count, self.side, self.side))

    def write(self, images: Pixels, labels: Pixels, hands: Numbers | None) -> None:
        self.images.write(images.tobytes())
        self.labels.append(labels.astype(np.uint8))
        if hands is not None:
            self.hands.append(hands.astype(np.int32))

    def close(self, whole: bool) -> None:
        try:
            self.images.close()
            for name, parts in (("labels", self.labels), ("hands", self.hands)):
                if whole and parts:
                    array = np.concatenate(parts)
                    with self._member(name, array.dtype, array.shape) as member:
                        member.write(array.tobytes())
        finally:
            self.archive.close()

    def _member(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> IO[bytes]:
        # By its name alone, a member gets the archive's compression and the same date always.
        member = self.archive.open(f"{name}.npy", "w", force_zip64=True)
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, described)
        return member


class _IdxSink(Sink):
    """The files of MNIST: training digits, and a seventh of all at the end as its test digits."""

    folder = True

    def open(self) -> None:
        self.test = self.count // 7
        self.parts = {"train": self.count - self.test, "t10k": self.test}
        self.files: dict[tuple[str, str], IO[bytes]] = {}

    def write(self, images: Pixels, labels: Pixels, hands: Numbers | None) -> None:
        split = max(0, min(len(images), self.parts["train"] - self.added))
        for part, place in (("train", slice(None, split)), ("t10k", slice(split, None))):
            if len(images[place]):
                self._file(part, "images", 0x08, (self.parts[part], self.side, self.side)).write(
                    images[place].tobytes()
                )
                self._file(part, "labels", 0x08, (self.parts[part],)).write(labels[place].astype(np.uint8).tobytes())
                if hands is not None:
                    content = hands[place].astype(">i4").tobytes()
                    self._file(part, "hands", 0x0C, (self.parts[part],)).write(content)

    def close(self, whole: bool) -> None:
        for file in self.files.values():
            file.close()

    def _file(self, part: str, what: str, code: int, shape: tuple[int, ...]) -> IO[bytes]:
        if (part, what) not in self.files:
            kind = "int" if code == 0x0C else "ubyte"
            file = (self.aside / f"{part}-{what}-idx{len(shape)}-{kind}").open("xb")
            file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape))
            self.files[part, what] = file
        return self.files[part, what]


class _FolderSink(Sink):
    """A folder for each class, and a ``labels.csv`` with ``file``, ``label`` and, where given, ``hand``."""

    folder = True

    def open(self) -> None:
        self.table = (self.aside / LABELS_FILE).open("x", newline="", encoding="utf-8")
        self.rows = csv.writer(self.table, lineterminator="\n")

    def write(self, images: Pixels, labels: Pixels, hands: Numbers | None) -> None:
        if not self.added:
            self.rows.writerow(("file", "label") if hands is None else ("file", "label", "hand"))
        for place, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            name = f"{label}/{self.added + place:06d}.png"
            (self.aside / str(label)).mkdir(exist_ok=True)
            (self.aside / name).write_bytes(png(image))
            self.rows.writerow((name, label) if hands is None else (name, label, int(hands[place])))

    def close(self, whole: bool) -> None:
        self.table.close()


class _ParquetSink(Sink):
    """The layout that Hugging Face `datasets` reads: columns ``image``, ``label`` and, where given, ``hand``."""

    def open(self) -> None:
        self.writer: ParquetWriter | None = None
        self.file = self.aside.open("xb")

    def write(self, images: Pixels, labels: Pixels, hands: Numbers | None) -> None:
        import pyarrow.parquet as pq

        table = table_of(images, labels, hands)
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.file, table.schema)
        self.writer.write_table(table)

    def close(self, whole: bool) -> None:
        try:
            if self.writer is not None:
                self.writer.close()
        finally:
            self.file.close()


def open_sink(path: str | Path, kind: str, count: int, overwrite: bool = False, side: int = 28) -> Sink:
    """A sink for `count` digits.

    Args:
        path: File of an ``npz`` or ``parquet``, folder of an ``idx`` or ``png``.
        kind: One of `FORMATS`.
        count: How many digits will be added, all in all; ``npz`` and ``idx`` say it at their beginning.
        overwrite: Whether what lies at `path` may be replaced.
        side: Height and width of each digit, in pixels.

    Raises:
        InputError: If there are no digits, or more than the formats can say.
        RunError: If `path` exists and may not be replaced, is a folder that no sink has made, or a file where a folder
            is to be; on leaving it, if it cannot be written.
    """
    if not 1 <= count < 2**32:
        raise InputError(f"Between 1 and {2**32 - 1:,} digits can be written, not {count:,}.")
    refuse_existing(Path(path), overwrite)
    if Path(path).is_dir() and not _is_ours(Path(path)):
        raise RunError(f"{path} is a folder of other things, so it is not overwritten; choose another name.")
    if kind not in FORMATS:
        raise InputError(f"There is no format '{kind}'; use one of: {', '.join(FORMATS)}.")
    kinds: dict[str, type[Sink]] = {"npz": _NpzSink, "idx": _IdxSink, "png": _FolderSink, "parquet": _ParquetSink}
    sink = kinds[kind](Path(path), count, side)
    if sink.folder and sink.path.is_file():
        raise RunError(f"{path} is a file, and the format {kind} needs a folder; choose another name.")
    return sink


def format_of(path: Path, asked: str | None = None) -> str:
    """The format that is asked for, or else that of the ending; what has no ending is a folder of class folders.

    Raises:
        InputError: If the ending says nothing.
    """
    if asked is not None:
        return asked
    ending = path.suffix.lower().removeprefix(".")
    if ending in ("npz", "parquet"):
        return ending
    if ending:
        raise InputError(
            f"'{path}' does not say its format; end it in .npz or .parquet, or name one: {', '.join(FORMATS)}."
        )
    return "png"


_IDX_FILES = {
    f"{part}-{what}"
    for part in ("train", "t10k")
    for what in ("images-idx3-ubyte", "labels-idx1-ubyte", "hands-idx1-int")
}


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or holds what a sink writes and nothing else: a user's own digits must not be lost."""
    names = {entry.name for entry in folder.iterdir()}
    if LABELS_FILE not in names:
        return names <= _IDX_FILES
    return names <= {LABELS_FILE, *"0123456789"} and all(
        (folder / name).is_dir() and all(re.fullmatch(r"\d{6,}\.png", file.name) for file in (folder / name).iterdir())
        for name in names - {LABELS_FILE}
    )
