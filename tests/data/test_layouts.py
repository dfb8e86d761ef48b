"""Layouts of trainers, read with other eyes than ours: csv, json, pandas, Pillow and pyarrow find what was put in."""

import csv
import errno
import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digitvae.data.layouts import Plain
from digitvae.data.samples import SPLITS, Box, Sample
from digitvae.data.trainers import LAYOUTS, open_layout, read_layout
from digitvae.errors import DataError, InputError, RunError

CHARACTERS = "0123456789.,-/:+() "
TEXTS = ["1,024.50", "12", "(212) 555-0101", "2026-11-23", "00501", " 7+1", "3", "9:30/1", "4", "5", "6", "80"]


def sample(number, text, colours=False, split=None):
    rng = np.random.default_rng(number)
    written = text.replace(" ", "")
    shape = (30 + number, 12 * len(written) + 5, *(3,) * colours)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    boxes = [
        Box(text=character, left=12 * place + 2, top=3 + place % 5, width=9, height=17)
        for place, character in enumerate(written)
    ]
    return Sample(number, split or SPLITS[number % 3], image, text, number % 6, boxes)


def samples(texts=TEXTS, colours=False):
    return [sample(number, text, colours) for number, text in enumerate(texts)]


def put(path, kind, given, step=5):
    with open_layout(path, kind, CHARACTERS) as layout:
        for start in range(0, len(given), step):
            layout.add(given[start : start + step])
        layout.finish("# digitvae dataset\n")
    return path


def content(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def same(one, other):
    np.testing.assert_array_equal(one.image, other.image)
    assert (one.number, one.split, one.text, one.hand) == (other.number, other.split, other.text, other.hand)
    assert list(one.boxes) == list(other.boxes)


@pytest.mark.parametrize("colours", [False, True])
def test_labels_name_pictures_texts_hands_and_boxes(tmp_path, colours):
    given = samples(colours=colours)
    folder = put(tmp_path / "x", "png", given)
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "text", "hand", "boxes"]
    for one, row in zip(given, rows, strict=True):
        np.testing.assert_array_equal(pixels(folder / row["file"]), one.image)
        assert row["file"].startswith(f"{one.split}/")
        assert (row["text"], int(row["hand"]), json.loads(row["boxes"])) == (one.text, one.hand, one.boxes)
    assert len(list(folder.rglob("*.png"))) == len(given)


def test_tesstrain_has_each_text_beside_its_picture(tmp_path):
    folder = put(tmp_path / "x", "tesstrain", samples())
    for one in samples():
        picture = folder / one.split / f"{one.number:06d}.png"
        assert picture.is_file()
        assert picture.with_suffix("").with_suffix(".gt.txt").read_bytes() == one.text.encode() + b"\n"
    assert len(list(folder.rglob("*.gt.txt"))) == len(TEXTS)


def test_paddleocr_reads_its_lists(tmp_path):
    folder = put(tmp_path / "x", "paddleocr", samples())
    for split in SPLITS:
        wanted = [one for one in samples() if one.split == split]
        # As its SimpleDataSet does.
        lines = (folder / f"rec_gt_{split}.txt").read_bytes().decode("utf-8").splitlines(keepends=True)
        for line, one in zip(lines, wanted, strict=True):
            name, text = line.strip("\n").split("\t")
            np.testing.assert_array_equal(pixels(folder / name), one.image)
            assert text == one.text
    assert (folder / "dict.txt").read_text().splitlines() == list(CHARACTERS.strip())


def test_easyocr_reads_its_tables(tmp_path):
    """As its OCRDataset does: with pandas, and a separator that is the first comma."""
    folder = put(tmp_path / "x", "easyocr", samples())
    for split in SPLITS:
        wanted = [one for one in samples() if one.split == split]
        table = pd.read_csv(
            folder / split / "labels.csv",
            sep="^([^,]+),",
            engine="python",
            usecols=["filename", "words"],
            keep_default_na=False,
        )
        assert table["words"].tolist() == [one.text for one in wanted]
        for name, one in zip(table["filename"], wanted, strict=True):
            np.testing.assert_array_equal(pixels(folder / split / name), one.image)


def test_yolo_boxes_are_shares_of_the_picture(tmp_path):
    folder = put(tmp_path / "x", "yolo", samples())
    places, names = (folder / "data.yaml").read_text().split("names:\n")
    assert dict(line.split(": ") for line in places.splitlines()) == {
        "train": "images/train",
        "val": "images/validation",
        "test": "images/test",
    }
    # A string in JSON is one in YAML; without quotes 0 would be a number.
    classes = {int(line.split(": ")[0]): json.loads(line.split(": ")[1]) for line in names.splitlines()}
    assert list(classes.items()) == list(enumerate(CHARACTERS.strip()))
    for one in samples():
        picture = folder / "images" / one.split / f"{one.number:06d}.png"
        height, width = pixels(picture).shape
        lines = (folder / "labels" / one.split / f"{one.number:06d}.txt").read_text().splitlines()
        for line, box in zip(lines, one.boxes, strict=True):
            kind, x, y, w, h = line.split()
            assert classes[int(kind)] == box["text"]
            corner = (float(x) - float(w) / 2) * width, (float(y) - float(h) / 2) * height
            assert corner == pytest.approx((box["left"], box["top"]), abs=1e-3)
            assert (float(w) * width, float(h) * height) == pytest.approx((box["width"], box["height"]), abs=1e-3)


def test_yolo_without_a_validation_split_validates_on_training_pictures(tmp_path):
    put(tmp_path / "x", "yolo", [sample(0, "12", split="train")])
    assert (tmp_path / "x" / "data.yaml").read_text().startswith("train: images/train\nval: images/train\nnames:")


def test_parquet_has_a_table_for_each_split(tmp_path):
    given = [sample(number, str(number)) for number in range(700)]
    folder = put(tmp_path / "x", "parquet", given, 100)
    for split in SPLITS:
        wanted = [one for one in given if one.split == split]
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        assert pq.ParquetFile(path).num_row_groups == 2  # 233 rows or so, 200 at a time
        table = pq.read_table(path)
        assert table.column_names == ["image", "text", "hand", "boxes"]
        for row, one in zip(table.to_pylist(), wanted, strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), one.image)
            assert (row["text"], row["hand"], row["boxes"]) == (one.text, one.hand, one.boxes)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["image"] == {"_type": "Image"}
        assert list(features) == table.column_names
        assert f"  - split: {split}\n    path: data/{path.name}\n" in (folder / "README.md").read_text()


@pytest.mark.parametrize("kind", LAYOUTS)
def test_what_was_written_is_read_and_the_bytes_repeat(tmp_path, kind):
    for name, step in (("a", 5), ("b", 12)):
        put(tmp_path / name, kind, samples(), step)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    found = sorted(read_layout(tmp_path / "a", kind, CHARACTERS), key=lambda one: one.number)
    for one, other in zip(samples(), found, strict=True):
        same(one, other)


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(st.text(CHARACTERS, min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=4))
def test_any_text_comes_back(tmp_path_factory, texts):
    for kind in LAYOUTS:
        given = [sample(number, text, split="train") for number, text in enumerate(texts)]
        folder = put(tmp_path_factory.mktemp("texts") / "x", kind, given)
        for one, other in zip(given, read_layout(folder, kind, CHARACTERS), strict=True):
            same(one, other)


@pytest.mark.parametrize(
    ("kind", "name", "old", "new"),
    [
        ("png", "labels.csv", "1,024.50", "1,024.51"),
        ("png", "labels.csv", "train/000000.png", "test/000000.png"),
        ("png", "labels.csv", "train/000000.png", "../000000.png"),
        ("png", "labels.csv", '""left"": 2,', '""left"": -2,'),
        ("png", "labels.csv", '""width"": 9', '""width"": 9999'),
        ("png", "labels.csv", '""top"": 3', '""up"": 3'),
        ("png", "labels.csv", "file,text", "file,words"),
        ("tesstrain", "train/000003.gt.txt", "2026", "2027"),
        ("paddleocr", "rec_gt_test.txt", "555", "556"),
        ("paddleocr", "rec_gt_train.txt", "train/000009.png\t5\n", ""),
        ("easyocr", "validation/labels.csv", "000001.png,12", "000001.png,13"),
        ("easyocr", "train/labels.csv", "filename,words", "filename,label"),
        ("yolo", "labels/train/000000.txt", "1 0.", "2 0."),
    ],
)
def test_files_that_do_not_agree_are_found(tmp_path, kind, name, old, new):
    folder = put(tmp_path / "x", kind, samples())
    text = (folder / name).read_bytes().decode()
    assert old in text
    (folder / name).write_bytes(text.replace(old, new, 1).encode())
    with pytest.raises(DataError) as caught:
        list(read_layout(folder, kind, CHARACTERS))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", LAYOUTS)
def test_missing_and_damaged_files_are_found(tmp_path, kind):
    folder = put(tmp_path / "x", kind, samples())
    victim = sorted(folder.rglob("*.parquet" if kind == "parquet" else "*.png"))[-1]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a sound"):
        list(read_layout(folder, kind, CHARACTERS))
    (folder / "train" / "000099.png").parent.mkdir(exist_ok=True)
    (folder / "train" / "000099.png").write_bytes(b"")
    victim.write_bytes(whole)
    if kind != "parquet":
        with pytest.raises(DataError, match="does not agree"):
            list(read_layout(folder, kind, CHARACTERS))
    with pytest.raises(DataError):
        list(read_layout(tmp_path / "nowhere", kind, CHARACTERS))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_what_fails_midway_leaves_nothing(tmp_path, kind):
    def interrupted():
        with open_layout(tmp_path / "x", kind, CHARACTERS) as layout:
            layout.add(samples())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["png", "parquet"])
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path, kind, monkeypatch):
    put(tmp_path / "x", kind, samples())
    before = content(tmp_path / "x")

    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LAYOUTS[kind], "_save" if kind == "png" else "_flush", full)
    layout = open_layout(tmp_path / "x", kind, CHARACTERS, overwrite=True)
    with pytest.raises(RunError, match="No space left"), layout:
        layout.add(samples())
    assert content(tmp_path / "x") == before
    assert len(list(tmp_path.iterdir())) == 1


def test_only_folders_of_ours_are_overwritten(tmp_path):
    put(tmp_path / "x", "yolo", samples())
    with pytest.raises(RunError, match="already exists"):
        open_layout(tmp_path / "x", "png", CHARACTERS)
    with open_layout(tmp_path / "x", "png", CHARACTERS, overwrite=True) as layout:
        layout.add(samples())
        layout.finish("# digitvae dataset\n")
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["README.md", "labels.csv", *sorted(SPLITS)]
    (tmp_path / "x" / "notes.txt").touch()
    with pytest.raises(RunError, match="other things"):
        open_layout(tmp_path / "x", "png", CHARACTERS, overwrite=True)
    (tmp_path / "mine" / "data").mkdir(parents=True)
    for text in (None, "# My project"):
        if text:
            (tmp_path / "mine" / "README.md").write_text(text)
        with pytest.raises(RunError, match="other things"):
            open_layout(tmp_path / "mine", "png", CHARACTERS, overwrite=True)
    with pytest.raises(InputError, match="no format"):
        open_layout(tmp_path / "y", "gif", CHARACTERS)


def test_pictures_in_a_parquet_file_wait_for_few_others(tmp_path):
    """So that memory does not grow with their number."""
    with open_layout(tmp_path / "x", "parquet", CHARACTERS) as layout:
        for start in range(0, 1200, 100):
            layout.add([sample(number, "1") for number in range(start, start + 100)])
            assert max(len(rows) for rows in layout.waiting.values()) < 200
        layout.finish("")


def test_a_plain_folder_keeps_one_file_open(tmp_path):
    with open_layout(tmp_path / "x", "png", CHARACTERS) as layout:
        layout.add(samples())
        assert isinstance(layout, Plain)
        assert list(layout.lists) == ["labels.csv"]
        layout.finish("")
