"""What users hand in: lists, texts, and digits, which are read and named; and what they are told of it."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from digitvae.cli.app import screen
from digitvae.errors import InputError, RunError
from digitvae.studio import HANDS

if TYPE_CHECKING:
    from digitvae.data import Splits


def say(text: str) -> None:
    """Print a sentence as it is: brackets in the names of files are no markup, and lines are not broken."""
    screen.print(text, soft_wrap=True, markup=False)


def is_there(text: str) -> bool:
    """Whether a text names a file or folder: a code of many numbers is longer than a name can be."""
    try:
        return Path(text).exists()
    except OSError:
        return False


def read_list(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Hands and labels of a CSV file with the columns ``hand`` and ``label``, int64, shape (n,) each.

    Raises:
        InputError: If it has other columns, no rows, or a row that is not two whole numbers.
        RunError: If it cannot be read.
    """
    rows = []
    with _reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        if not {"hand", "label"} <= set(table.fieldnames or ()):
            raise InputError(f"{path} needs the columns hand,label in its first line.")
        for number, row in enumerate(table, 2):
            try:
                hand, label = int(row["hand"]), int(row["label"])
            except (TypeError, ValueError) as error:
                raise InputError(f"{path}, line {number}: a hand and a label are whole numbers.") from error
            if hand not in HANDS or label not in range(10):
                raise InputError(f"{path}, line {number}: hands go from 0 to {HANDS[-1]:,}, labels from 0 to 9.")
            rows.append((hand, label))
    if not rows:
        raise InputError(f"{path} lists no digits.")
    who, what = np.array(rows, np.int64).T
    return who, what


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        RunError: If it cannot be read.
    """
    with _reading(path):
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}): give a text file.") from error


def named_digits(
    paths: Sequence[Path], digit: int | None = None, strict: bool = True
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Digits from pictures, folders or tables, and what each is: as its file says, or as a reader reads it.

    Args:
        paths: What `digitvae.data.load_digits` takes.
        digit: What all of them are, where it is known.
        strict: Whether what is no digit is refused; `digitvae.evaluation.scoring.RAREST` says how odd that is.

    Returns:
        Images, uint8, shape (n, 28, 28), and labels, shape (n,).

    Raises:
        InputError: If one is no digit.
        DataError: If a file is missing or damaged.
    """
    from digitvae.data import load_digits
    from digitvae.data.digits import Digits

    images, labels = [], []
    for path in paths:
        found, _ = load_digits(path, say)
        images.append(found.images)
        labels.append(_named(found, digit))
        if strict:
            _refuse_others(Digits(found.images), path)
    return np.concatenate(images), np.concatenate(labels)


def _named(found: Any, digit: int | None) -> npt.NDArray[np.int64]:
    if digit is not None:
        return np.full(len(found.images), digit, np.int64)
    if found.labels is not None:
        return found.labels.astype(np.int64)  # type: ignore[no-any-return]
    from digitvae.reading import frozen, read_digits

    return read_digits(frozen("reader")[0], found.images).argmax(1).numpy()


def _refuse_others(found: Any, path: Path) -> None:
    """Raise InputError where one of the images at `path` is no digit."""
    from digitvae.evaluation.files import score_folder
    from digitvae.evaluation.scoring import RAREST, in_words
    from digitvae.rundir import PRETRAINED

    # By its path, as what is called map where the user stands is another model.
    scores = score_folder(str(PRETRAINED / "map"), found, "none", _no_data)
    worst = int(scores.percentile.argmin())
    if scores.percentile[worst] < RAREST:
        which = f"Image {worst + 1} of {path}" if len(found.images) > 1 else f"{path}"
        score, lowest = float(scores.log_prob[worst]), float(scores.reference.log_prob[0])
        raise InputError(
            f"{which} does not look like a digit: the shipped map gives it {score:.0f} nats, "
            f"{in_words(float(scores.percentile[worst]))} (the least of these has {lowest:.0f}); give a picture of one "
            "digit, upright and whole."
        )


def _no_data() -> Splits:
    raise RunError("The shipped model map lacks its scores of real digits; install digitvae again.")
