"""Folders of pictures: read with their labels, and written as PNG files beside a `labels.csv`."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np

from digitvae.data.digits import Digits
from digitvae.data.files import aside_of, open_file
from digitvae.data.fitting import Fitting
from digitvae.data.pictures import SUFFIXES, read_picture
from digitvae.errors import DataError, RunError

LABELS_FILE = "labels.csv"

_CLASSES = tuple("0123456789")
_MAX_FILE = 2**28  # 256 MiB: no picture of a digit is larger


def read_folder(path: str | Path) -> tuple[Digits, tuple[str, ...]]:
    """Read a folder of pictures, each of one digit, and fit them to 28x28.

    Three layouts are known: pictures with a `labels.csv` that has the columns `file` and `label` (as `write_folder`
    makes it), in that file's order; subfolders named 0 to 9 that hold the pictures of their class; or pictures alone,
    in the order of their names and without labels. Hidden files and files of other kinds are passed over.

    Returns:
        The digits, and sentences saying what was done.

    Raises:
        DataError: when there are no pictures, one cannot be used, a label is wrong, or a path leads out of the folder.
    """
    folder = Path(path)
    files, labels = picture_files(folder)
    fitting = Fitting(str(folder))
    home = folder.resolve()
    for file in files:
        try:
            fitting.add(read_picture(read_file(_inside(file, home)), str(file)), str(file))
        except DataError as error:
            fitting.refuse(error)
    images, notes = fitting.result()
    return Digits(images, None if labels is None else np.array(labels, np.uint8)), notes


def picture_files(folder: Path) -> tuple[list[Path], list[int] | None]:
    """The pictures of a folder in the order in which `read_folder` reads them, and their labels where there are some.

    Raises:
        DataError: As `read_folder` does, but for what is within the pictures.
    """
    labels: list[int] | None
    listed = (folder / LABELS_FILE).is_file()
    classes = [folder / name for name in _CLASSES if (folder / name).is_dir()]
    loose = _pictures_in(folder)
    if classes and loose and not listed:
        raise DataError(
            f"{folder} has both class folders and the loose picture {loose[0].name}: move it into its class folder."
        )
    if listed:
        files, labels = _listed(folder)
    elif classes:
        files, labels = [], []
        for subfolder in classes:
            found = _pictures_in(subfolder)
            files += found
            labels += [int(subfolder.name)] * len(found)
    else:
        files, labels = loose, None
    if not files:
        raise DataError(
            f"{folder} holds no pictures: put PNG, JPEG, BMP, TIFF or WebP files in it, or in subfolders named 0 to 9."
        )
    return files, labels


def read_file(path: Path) -> bytes:
    """A picture file's bytes; `DataError` when it is missing or larger than 256 MiB."""
    with open_file(path) as file:
        try:
            content = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}): check the file and its disk.") from error
    if len(content) > _MAX_FILE:
        raise DataError(f"{path} is larger than 256 MiB: give a smaller picture.")
    return content


def _pictures_in(folder: Path) -> list[Path]:
    try:
        return sorted(
            file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error}): check the path and its permissions.") from error


def _inside(file: Path, home: Path) -> Path:
    """The file's true place, which must lie in `home`: neither `..` nor a link may lead elsewhere."""
    try:
        true = file.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{file} cannot be followed ({error}): put the picture itself there.") from error
    if not true.is_relative_to(home):
        raise DataError(f"{file} leads out of its folder: put the picture itself there.")
    return true


def _listed(folder: Path) -> tuple[list[Path], list[int]]:
    """The files and labels that a folder's `labels.csv` lists."""
    table = folder / LABELS_FILE
    try:
        rows = list(csv.DictReader(io.StringIO(read_file(table).decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a sound CSV file ({error}): write it anew.") from error
    files, labels = [], []
    for number, row in enumerate(rows, start=1):
        name, label = row.get("file"), row.get("label")
        if not name or label is None:
            raise DataError(f"{table} has no 'file' or 'label' in its row {number}: write both columns.")
        if label.strip() not in _CLASSES:
            raise DataError(f"{table} has the label {label!r} in its row {number}: labels must be 0 to 9.")
        files.append(folder / name)
        labels.append(int(label))
    return files, labels


def write_folder(path: str | Path, digits: Digits) -> None:
    """Write digits as `00000.png`, `00001.png` ... and, where labelled, a `labels.csv` with `file` and `label`.

    The pictures are light on dark, as in MNIST; `read_folder` gives the same digits back.

    Raises:
        RunError: when the folder exists and is not empty, or cannot be written.
    """
    from PIL import Image

    folder = Path(path)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise RunError(f"{folder} already exists: choose another name, or remove it.")
    aside = aside_of(folder)
    names = [f"{position:05d}.png" for position in range(len(digits))]
    try:
        aside.mkdir(parents=True)
        try:
            for name, image in zip(names, digits.images, strict=True):
                Image.fromarray(image).save(aside / name)
            if digits.labels is not None:
                with (aside / LABELS_FILE).open("w", newline="", encoding="utf-8") as file:
                    table = csv.writer(file, lineterminator="\n")
                    table.writerow(("file", "label"))
                    table.writerows(zip(names, digits.labels.tolist(), strict=True))
            if folder.exists():
                folder.rmdir()
            aside.replace(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error}): check the place and the space on its disk.") from error
