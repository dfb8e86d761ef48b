"""Sets of numbers: what was asked for, in the asked-for hands, the same bytes each time, whole or not at all."""

import csv
import errno
import json
import re
import shlex
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from digitvae.cli.app import app
from digitvae.cli.datasets import numbers as _registered  # noqa: F401
from digitvae.data.trainers import LAYOUTS
from digitvae.errors import DigitVAEError, InputError, RunError
from digitvae.sequences import CHUNK, NumberSet, split_of, write_numbers
from digitvae.texts import texts


@pytest.fixture
def wanted(studio_folder):
    """A set with the tiny model."""

    def make(count=9, pattern="amount", hands=3, height=24, **wishes):
        return NumberSet(count, pattern, hands, height=height, model=str(studio_folder), **wishes)

    return make


def content(path: Path):
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def labels(path: Path):
    with (path / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def samples(numbers: NumberSet):
    return [sample for chunk in numbers.chunks() for sample in chunk]


@settings(max_examples=200)
@given(hands=st.integers(1, 1000), more=st.integers(0, 1000))
def test_every_split_has_hands_and_keeps_them(hands, more):
    splits = [split_of(hand, hands) for hand in range(hands)]
    assert set(splits) == ({"train", "validation", "test"} if hands > 2 else {"train"})
    assert splits.count("train") >= 0.8 * hands - 2
    if hands > 2:  # whoever has more hands finds these where they were
        assert splits == [split_of(hand, hands + more) for hand in range(hands)]
    if hands % 10 == 0:
        assert [splits.count(split) for split in ("train", "validation", "test")] == [
            0.8 * hands,
            0.1 * hands,
            0.1 * hands,
        ]


def test_texts_hands_and_splits_are_those_asked_for(tmp_path, wanted):
    tally = write_numbers(wanted(130, "date", hands=12), tmp_path / "x")
    rows = labels(tmp_path / "x")
    assert [row["text"] for row in rows] == list(texts("date", 130))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row["text"]) for row in rows)
    written = np.bincount([int(row["hand"]) for row in rows])
    assert len(written) == 12
    assert written.max() - written.min() <= 1
    splits = {(int(row["hand"]), row["file"].split("/")[0]) for row in rows}
    assert len(splits) == 12  # no hand is in two
    assert {split for _, split in splits} == {"train", "validation", "test"}
    assert sum(tally.lines.values()) == len(rows) == len(list((tmp_path / "x").rglob("*.png")))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**62), height=st.integers(8, 80))
def test_boxes_hold_all_the_ink(studio_folder, seed, height):
    made = NumberSet(4, r"[0-9(][0-9.,/:+-]{4} [0-9]\)", 2, seed, height, model=str(studio_folder))
    for sample in samples(made):
        assert "".join(box["text"] for box in sample.boxes) == sample.text.replace(" ", "")
        outside = 255 - sample.image
        assert outside.max() > 0
        for box in sample.boxes:
            outside[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]] = 0
        assert outside.max() == 0


def test_pictures_are_dark_on_light_or_as_asked(wanted):
    (grey, *_), (coloured, *_), (light, *_) = (
        samples(wanted(1, hands=1, **wishes))
        for wishes in ({}, {"ink": "navy", "paper": "#fffff0"}, {"ink": "white", "paper": "black"})
    )
    assert grey.image.shape == coloured.image.shape[:2]
    np.testing.assert_array_equal(grey.image, 255 - light.image)
    assert coloured.image[0, 0].tolist() == [255, 255, 240]
    np.testing.assert_array_equal(
        coloured.image[grey.image == 0], np.broadcast_to([0, 0, 128], (sum(grey.image.ravel() == 0), 3))
    )


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_same_wishes_give_the_same_bytes(tmp_path, wanted, kind):
    for parent in ("a", "b"):
        write_numbers(wanted(effects=("rotation", "noise")), tmp_path / parent / "set", kind)
    write_numbers(wanted(seed=1, effects=("rotation", "noise")), tmp_path / "c" / "set", kind)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a").keys() == content(tmp_path / "c").keys()
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_numbers_do_not_depend_on_how_many_follow(wanted):
    few, many = samples(wanted(CHUNK + 5)), samples(wanted(2 * CHUNK))
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.text, one.hand, one.split, one.boxes) == (other.text, other.hand, other.split, other.boxes)


def test_effects_leave_texts_and_hands(wanted):
    plain, scanned = samples(wanted()), samples(wanted(effects=("rotation", "paper", "blur", "noise")))
    assert [(one.text, one.hand) for one in plain] == [(one.text, one.hand) for one in scanned]
    assert all(one.image.shape[0] >= other.image.shape[0] for one, other in zip(scanned, plain, strict=True))


def test_the_card_says_how_to_make_it_again(tmp_path, wanted):
    tally = write_numbers(wanted(25, "[0-9]{3}", effects=("blur",)), tmp_path / "a set", "yolo")
    card = (tmp_path / "a set" / "README.md").read_text()
    assert tally.sha256() in card
    assert "| train | 9 | 27 | 1 |" in card
    assert "| validation | 8 | 24 | 1 |" in card
    (command,) = re.findall(r"^    digitvae (.*)$", card, re.M)
    before = content(tmp_path / "a set")
    arguments = shlex.split(command)
    assert arguments[-2:] == ["-o", "a set"]
    done = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "a set"), "--overwrite"])
    assert done.exit_code == 0, done.output
    assert content(tmp_path / "a set") == before


def test_the_command_line_verifies_what_it_wrote(tmp_path, studio_folder):
    arguments = ["dataset", "numbers", "-n", "12", "--hands", "2", "--model", str(studio_folder), "--verify"]
    out = tmp_path / "x[final]"
    done = CliRunner().invoke(app, [*arguments, "-o", str(out)])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stderr.split())
    assert "12 numbers (12 train): " in said
    assert "x[final]" in said
    assert "fewer than three hands, all numbers are for training" in said
    assert "texts and boxes of 12 numbers agree" in said
    assert "With fewer than three hands" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"pattern": "[a-z]"}, "can be written"),
        ({"pattern": "(("}, "nor a regular expression"),
        ({"height": 2}, "height"),
        ({"temperature": -1}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"ink": "mud"}, "no colour"),
        ({"ink": "white"}, "one colour"),
        ({"model": "nowhere"}, "neither a run directory"),
    ],
)
def test_wishes_that_cannot_be_fulfilled_leave_nothing(tmp_path, studio_folder, wishes, sentence):
    with pytest.raises(InputError, match=sentence):
        write_numbers(
            NumberSet(**{"count": 5, "hands": 2, "model": str(studio_folder), **wishes}), tmp_path / "a" / "x"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wishes",
    [{"count": 0}, {"count": -3}, {"hands": 0}, {"hands": 6}, {"height": 257}, {"effects": ("coffee",)}],
)
def test_numbers_out_of_range_are_one_sentence(wishes):
    with pytest.raises(InputError) as caught:
        NumberSet(**{"count": 5, "hands": 2, **wishes})
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_there_stays(tmp_path, wanted):
    write_numbers(wanted(), tmp_path / "x")
    before = content(tmp_path)
    with pytest.raises(RunError, match="already exists"):
        write_numbers(wanted(seed=1), tmp_path / "x")
    with pytest.raises(InputError, match="no format"):
        write_numbers(wanted(), tmp_path / "y", "gif")
    assert content(tmp_path) == before


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_midway_leaves_nothing(tmp_path, wanted, monkeypatch, error):
    whole = LAYOUTS["png"].write

    def failing(self, sample, picture):
        if sample.number == CHUNK + 3:
            raise error
        whole(self, sample, picture)

    monkeypatch.setattr(LAYOUTS["png"], "write", failing)
    told = []
    with pytest.raises((DigitVAEError, KeyboardInterrupt)) as caught:
        write_numbers(wanted(2 * CHUNK), tmp_path / "x", notify=told.append)
    assert told == [CHUNK]
    assert list(tmp_path.iterdir()) == []
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value)


def test_memory_does_not_grow_with_the_set(tmp_path, wanted):
    peaks = []
    write_numbers(wanted(CHUNK), tmp_path / "warm")
    for count in (6 * CHUNK, 12 * CHUNK):
        tracemalloc.start()
        write_numbers(wanted(count, "[0-9]{5}", height=40), tmp_path / str(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0], peaks


def test_a_set_is_made_without_torch(tmp_path, studio_folder):
    wishes, out = f"3, hands=3, model={str(studio_folder)!r}, effects=('blur',)", str(tmp_path / "x")
    code = f"""
import sys
from digitvae.sequences import NumberSet, write_numbers
write_numbers(NumberSet({wishes}), {out!r}, "parquet")
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pictures_are_as_high_as_asked(tmp_path, wanted):
    write_numbers(wanted(6, "[08]{4}", 3, height=40), tmp_path / "x")
    for row in labels(tmp_path / "x"):
        with Image.open(tmp_path / "x" / row["file"]) as picture:
            assert picture.mode == "L"
        assert all(20 < box["height"] < 80 for box in json.loads(row["boxes"]))
