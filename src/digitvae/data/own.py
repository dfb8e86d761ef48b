"""The user's own digits, from whatever kind of file or folder they lie in."""

import functools
import itertools
import os
from pathlib import Path

from digitvae.data.digits import Digits
from digitvae.data.files import open_file
from digitvae.data.fitting import Fitting
from digitvae.data.folders import picture_files, read_file, read_folder
from digitvae.data.formats import Array, read_idx, read_npz
from digitvae.data.pictures import SUFFIXES, read_picture
from digitvae.data.pixels import as_labels, as_pixels
from digitvae.data.sources import Notify
from digitvae.data.tables import read_parquet
from digitvae.errors import DataError

Notes = tuple[str, ...]


def load_digits(path: str | Path, notify: Notify | None = None) -> tuple[Digits, Notes]:
    """Read digits of one's own and fit them to 28x28.

    Args:
        path: an `.npz` (`images`, optional `labels`); an IDX file of images, raw or `.gz` (its labels are taken from
            the file beside it that is named as in MNIST: `x-images-idx3-ubyte`, `x-labels-idx1-ubyte`); a Parquet
            table; one picture (PNG, JPEG, BMP, TIFF, WebP); or a folder of pictures (see `read_folder`), of Parquet
            tables, of IDX files named as in MNIST, or with a subfolder `train`.
        notify: called with each note, as it is made.

    Returns:
        The digits (of a folder with separate test digits: those to train with), and plain sentences saying what
        was done. Images that are not 28x28 are fitted as MNIST was made; dark-on-light ones are inverted.

    Raises:
        DataError: when something is missing, damaged, of another form, blank, or shows several digits.

    Example:
        >>> digits, notes = load_digits("my-digits/")  # doctest: +SKIP
        >>> digits.images.shape  # doctest: +SKIP
        (120, 28, 28)
    """
    train, test = train_and_test(Path(path))
    digits, notes = _read(train)
    if test is not None:
        notes = (*notes, f"The test digits in {path} are left out; name {test} to read them.")
    if notify is not None:
        for note in notes:
            notify(note)
    return digits, notes


def names_of(path: str | Path, count: int) -> list[str]:
    """What each of the digits is called that `load_digits` reads there, in their order.

    Pictures have the names of their files, as seen from the folder; others their place, from 1.

    Args:
        path: As for `load_digits`.
        count: Digits that were read there.

    Raises:
        DataError: As `load_digits` does, for the folder.
    """
    place, _ = train_and_test(Path(path))
    if place.is_dir() and not any(place.glob("*.parquet")):
        return [os.path.relpath(file, place) for file in picture_files(place)[0]]
    return [place.name] if place.suffix.lower() in SUFFIXES else [str(number) for number in range(1, count + 1)]


def train_and_test(path: Path) -> tuple[Path, Path | None]:
    """The paths of what to train with and, in a folder that keeps them apart, of what to test with.

    A folder keeps them apart in subfolders `train` and `test`, or in IDX files named as in MNIST.
    """
    if (path / "train").is_dir():
        return path / "train", path / "test" if (path / "test").is_dir() else None
    for ending in ("-images-idx3-ubyte", "-images-idx3-ubyte.gz", "-images.idx3-ubyte", "-images.idx3-ubyte.gz"):
        if (path / f"train{ending}").is_file():
            test = path / f"t10k{ending}"
            return path / f"train{ending}", test if test.is_file() else None
    return path, None


def _read(path: Path) -> tuple[Digits, Notes]:
    if path.is_dir():
        tables = sorted(path.glob("*.parquet"))
        return _tables(tables) if tables else read_folder(path)
    with open_file(path) as file:
        start = file.read(4)
    ending = path.suffix.lower()
    if ending in SUFFIXES:
        return _picture(path)
    if ending == ".npz" or start == b"PK\x03\x04":
        arrays = read_npz(path)
        return _from_arrays(arrays["images"], arrays.get("labels"), path)
    if ending == ".parquet" or start == b"PAR1":
        return read_parquet(path)
    if start[:2] in {b"\x1f\x8b", b"\0\0"} or "idx" in path.name:
        return _idx(path)
    raise DataError(
        f"{path} is of no known kind: give an npz, IDX or Parquet file, a PNG, JPEG, BMP, TIFF or WebP picture, or a "
        "folder of pictures."
    )


def _tables(paths: list[Path]) -> tuple[Digits, Notes]:
    """The digits of several tables, such as the shards of a set, one after the other."""
    parts, notes = zip(*(read_parquet(path) for path in paths), strict=True)
    if len({part.labels is None for part in parts}) > 1:
        raise DataError(f"Some Parquet files in {paths[0].parent} have labels and some have none: keep one kind.")
    return functools.reduce(Digits.followed_by, parts), tuple(dict.fromkeys(itertools.chain(*notes)))


def _picture(path: Path) -> tuple[Digits, Notes]:
    fitting = Fitting(str(path))
    fitting.add(read_picture(read_file(path), str(path)), str(path))
    images, notes = fitting.result()
    return Digits(images), notes


def _from_arrays(images: Array, labels: Array | None, path: Path) -> tuple[Digits, Notes]:
    pixels = as_pixels(images, f"'images' in {path}")
    checked = None if labels is None else as_labels(labels, len(pixels), f"The labels of {path}")
    fitting = Fitting(str(path))
    fitting.add_many(pixels)
    fitted, notes = fitting.result()
    return Digits(fitted, checked), notes


def _idx(path: Path) -> tuple[Digits, Notes]:
    images = read_idx(path)
    if images.ndim == 1:
        raise DataError(f"{path} holds labels, not images: give the IDX file of the images.")
    labels = _labels_beside(path)
    digits, notes = _from_arrays(images, None if labels is None else read_idx(labels), path)
    if labels is None:
        notes = (*notes, f"No labels were found beside {path.name}, so the digits have none.")
    return digits, notes


def _labels_beside(path: Path) -> Path | None:
    stem = path.name.removesuffix(".gz").replace("images-idx3", "labels-idx1").replace("images.idx3", "labels.idx1")
    if stem == path.name.removesuffix(".gz"):
        return None
    beside = (path.with_name(stem), path.with_name(f"{stem}.gz"))
    return next((file for file in beside if file.is_file()), None)
