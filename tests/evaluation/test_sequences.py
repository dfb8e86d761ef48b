"""Sets read back from the disk: real digits are read as what they are, and what was changed is found."""

import csv
import io
import re

import numpy as np
import pytest

from digitvae.data import load_splits
from digitvae.data.layouts import CARD_FILE
from digitvae.data.samples import Box, Sample
from digitvae.data.tables import png
from digitvae.data.trainers import LAYOUTS, open_layout
from digitvae.errors import DataError, InputError
from digitvae.evaluation.sequences import verify
from digitvae.handwriting import CHARACTERS


def write(path, kind, lie=False, colours=False, hands=None, count=40):
    """Real digits, five in a line, cut to their ink as written lines have them."""
    real = load_splits("mnist-5k").validation
    with open_layout(path, kind, CHARACTERS) as layout:
        for number in range(count):
            images = real.images[5 * number : 5 * number + 5]
            said = [str((int(label) + lie) % 10) for label in real.labels[5 * number : 5 * number + 5]]
            canvas, boxes = np.zeros((40, 200), np.uint8), []
            for place, (image, label) in enumerate(zip(images, said, strict=True)):
                rows, columns = np.flatnonzero((image > 64).any(1)), np.flatnonzero((image > 64).any(0))
                ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                height, width = ink.shape
                canvas[5 : 5 + height, 38 * place + 5 : 38 * place + 5 + width] = ink
                boxes.append(Box(text=label, left=38 * place + 5, top=5, width=width, height=height))
            picture = (
                255 - canvas if not colours else np.stack([255 - canvas, 255 - canvas // 2, 240 - canvas // 2], -1)
            )
            hand = number % 3 if hands is None else hands[number % 3]
            split = ("train", "validation", "test")[number % 3]
            layout.add([Sample(number, split, picture, "".join(said), hand, boxes)])
        layout.finish(f"# digitvae dataset\n\n{layout.tally.sha256()}\n")
    return path


@pytest.mark.parametrize("kind", LAYOUTS)
def test_real_digits_are_read(tmp_path, kind):
    told = []
    found = verify(write(tmp_path / "x", kind), kind, told.append)
    assert (found.lines, found.digits) == (40, 200)
    assert found.share >= 0.97
    assert found.unfit <= 2
    assert told == list(range(1, 41))


def test_colours_are_read(tmp_path):
    assert verify(write(tmp_path / "x", "png", colours=True), "png").share >= 0.97


def test_wrong_labels_are_seen(tmp_path):
    assert verify(write(tmp_path / "x", "png", lie=True), "png").share < 0.05


def test_another_picture_is_found_by_the_hash(tmp_path):
    folder = write(tmp_path / "x", "png", count=3)
    victim = next(folder.rglob("*.png"))
    victim.write_bytes(png(np.full((40, 200), 255, np.uint8)))
    with pytest.raises(DataError, match="its card"):
        verify(folder, "png")


def test_another_text_is_found_by_its_boxes(tmp_path):
    folder = write(tmp_path / "x", "png", count=3)
    text = (folder / "labels.csv").read_text()
    first = next(csv.DictReader(io.StringIO(text)))["text"]
    (folder / "labels.csv").write_text(text.replace(f",{first},", f",{first[:-1]}/,", 1))
    with pytest.raises(DataError, match="another text"):
        verify(folder, "png")


def test_a_hand_in_two_splits_is_found(tmp_path):
    with pytest.raises(DataError, match="two splits"):
        verify(write(tmp_path / "x", "png", hands=[0, 1, 0], count=3), "png")


def test_a_set_without_its_card_is_one_sentence(tmp_path):
    folder = write(tmp_path / "x", "parquet", count=3)
    (folder / CARD_FILE).unlink()
    with pytest.raises(DataError, match="no card"):
        verify(folder, "parquet")
    with pytest.raises(InputError, match="no format"):
        verify(folder, "gif")


def test_digits_that_are_not_there_count_as_not_read(tmp_path):
    boxes = [Box(text="1", left=2, top=2, width=6, height=20), Box(text="-", left=12, top=9, width=6, height=2)]
    with open_layout(tmp_path / "x", "png", CHARACTERS) as layout:
        layout.add([Sample(0, "train", np.full((30, 30), 255, np.uint8), "1-", 0, boxes)])
        layout.finish(f"digitvae dataset {layout.tally.sha256()}")
    found = verify(tmp_path / "x", "png")
    assert (found.lines, found.digits, found.right, found.unfit) == (1, 1, 0, 1)
    assert found.share == 0
    assert re.fullmatch(r"[0-9a-f]{64}", layout.tally.sha256())
