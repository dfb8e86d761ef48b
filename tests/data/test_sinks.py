"""Digits written by and by: read back as they were, whole or not at all, the same bytes for the same digits."""

import csv
import errno
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from digitvae.data import load_digits, load_splits, read_idx, read_npz, read_parquet
from digitvae.data.files import aside_of
from digitvae.data.sinks import FORMATS, open_sink
from digitvae.errors import InputError, RunError


def digits(n=35):
    """Real digits, their labels and made-up writers."""
    real = load_splits("mnist-5k").train
    return real.images[:n], real.labels[:n], np.random.default_rng(0).integers(0, 300, n).astype(np.int32)


def write(path, kind, step=12, hands=True, n=35):
    images, labels, who = digits(n)
    with open_sink(path, kind, n) as sink:
        for start in range(0, n, step):
            part = slice(start, start + step)
            sink.add(images[part], labels[part], who[part] if hands else None)
    return images, labels, who


def content(path):
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    return {f.relative_to(path.parent).as_posix().partition("/")[2]: f.read_bytes() for f in files}


@pytest.mark.parametrize("hands", [True, False])
def test_npz_comes_back(tmp_path, hands):
    images, labels, who = write(tmp_path / "x.npz", "npz", hands=hands)
    there = read_npz(tmp_path / "x.npz")
    np.testing.assert_array_equal(there["images"], images)
    np.testing.assert_array_equal(there["labels"], labels)
    with np.load(tmp_path / "x.npz") as plain:
        assert sorted(plain.files) == (["hands", "images", "labels"] if hands else ["images", "labels"])
        if hands:
            np.testing.assert_array_equal(plain["hands"], who)


def test_idx_comes_back_as_the_four_files(tmp_path):
    images, labels, who = write(tmp_path / "x", "idx")
    names = {"train": slice(30), "t10k": slice(30, None)}  # a seventh at the end
    for part, place in names.items():
        np.testing.assert_array_equal(read_idx(tmp_path / "x" / f"{part}-images-idx3-ubyte"), images[place])
        np.testing.assert_array_equal(read_idx(tmp_path / "x" / f"{part}-labels-idx1-ubyte"), labels[place])
        np.testing.assert_array_equal(read_idx(tmp_path / "x" / f"{part}-hands-idx1-int"), who[place])
    assert len(list((tmp_path / "x").iterdir())) == 6


def test_idx_is_byte_compatible_with_mnist(tmp_path):
    """The header of MNIST's own files: magic number, then big-endian sizes."""
    write(tmp_path / "x", "idx", hands=False)
    images, labels = (
        (tmp_path / "x" / f"train-{kind}").read_bytes() for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    assert images[:16] == bytes.fromhex("00000803 0000001e 0000001c 0000001c")
    assert labels[:8] == bytes.fromhex("00000801 0000001e")
    assert (len(images), len(labels)) == (16 + 30 * 784, 8 + 30)


def test_class_folders_come_back(tmp_path):
    images, labels, who = write(tmp_path / "x", "png")
    read, _ = load_digits(tmp_path / "x")
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)
    with (tmp_path / "x" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["hand"]) for row in rows] == who.tolist()
    assert all(row["file"].startswith(f"{row['label']}/") for row in rows)


def test_parquet_comes_back(tmp_path):
    import pyarrow.parquet as pq

    images, labels, who = write(tmp_path / "x.parquet", "parquet")
    read, _ = read_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(read.images, images)
    np.testing.assert_array_equal(read.labels, labels)
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column("hand").to_pylist() == who.tolist()
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == list("0123456789")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_steps_leave_no_trace_and_the_bytes_repeat(tmp_path, kind):
    for name, step in (("a", 12), ("b", 12), ("c", 35)):
        write(tmp_path / name, kind, step)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    if kind != "parquet":  # whose row groups are the steps
        assert content(tmp_path / "a") == content(tmp_path / "c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", FORMATS)
def test_what_fails_midway_leaves_nothing(tmp_path, kind):
    images, labels, _ = digits()

    def interrupted():
        with open_sink(tmp_path / "x", kind, 35) as sink:
            sink.add(images[:10], labels[:10])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path, kind, monkeypatch):
    write(tmp_path / "x", kind)
    before = content(tmp_path / "x")
    cls = type(open_sink(tmp_path / "x", kind, 35, overwrite=True))

    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cls, "write", full)
    images, labels, _ = digits()
    with pytest.raises(RunError, match="No space left"), open_sink(tmp_path / "x", kind, 35, overwrite=True) as sink:
        sink.add(images, labels)
    assert content(tmp_path / "x") == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_overwritten_unasked(tmp_path, kind):
    write(tmp_path / "x", kind)
    with pytest.raises(RunError, match="already exists"):
        open_sink(tmp_path / "x", kind, 35)
    for count in (0, 2**32):
        with pytest.raises(InputError, match="can be written"):
            open_sink(tmp_path / "y", kind, count)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    with pytest.raises(RunError, match="other things"):
        open_sink(tmp_path / "mine", kind, 7, overwrite=True)
    with open_sink(tmp_path / "x", kind, 7, overwrite=True) as sink:
        images, labels, _ = digits(7)
        sink.add(images, labels)
    assert content(tmp_path / "x")


OTHERS = {
    "class folders": ["0/a.png", "7/b.png"],
    "class folders, numbered": ["0/000000.png", "7/000001.png"],
    "class folders with a list": ["0/000000.png", "7/photograph.png", "labels.csv"],
    "a picture called as a class": ["7", "labels.csv"],
    "MNIST as it is downloaded": ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"],
    "MNIST and notes": ["train-images-idx3-ubyte", "train-notes"],
}
"""Folders that are nearly what a sink writes, and somebody's own."""


@pytest.mark.parametrize("names", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("kind", ["png", "idx"])
def test_folders_of_ones_own_are_never_overwritten(tmp_path, kind, names):
    for name in names:
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text("mine")
    before = content(tmp_path / "x")
    with pytest.raises(RunError, match="other things"):
        open_sink(tmp_path / "x", kind, 7, overwrite=True)
    assert content(tmp_path / "x") == before


@pytest.mark.parametrize("kind", ["png", "idx"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_drawn(tmp_path, kind):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(RunError, match="is a file"):
        open_sink(tmp_path / "x", kind, 7, overwrite=True)
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("path", [".", "/", "..", "x/.."])
def test_what_has_no_name_of_its_own_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"no name of its own|other things"):
        open_sink(path, "png", 7, overwrite=True)
    with pytest.raises(RunError, match="no name of its own"):
        aside_of(Path(path))


@pytest.mark.parametrize("kind", FORMATS)
def test_memory_does_not_grow_with_the_digits(tmp_path, kind):
    """But for five bytes a digit that an npz keeps."""
    images, labels, who = digits(100)
    peaks = []
    for times in (1, 3, 9):  # at first, libraries are loaded
        tracemalloc.start()
        with open_sink(tmp_path / str(times), kind, 100 * times) as sink:
            for _ in range(times):
                sink.add(images, labels, who)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 2 * images.nbytes, peaks  # as many as 200 digits take, where 600 more were written


def test_npz_is_compressed(tmp_path):
    with open_sink(tmp_path / "x.npz", "npz", 500) as sink:
        sink.add(np.zeros((500, 28, 28), np.uint8), np.zeros(500, np.uint8))
    assert (tmp_path / "x.npz").stat().st_size < 10_000


def test_a_sink_that_cannot_be_opened_leaves_nothing(tmp_path, monkeypatch):
    kind = type(open_sink(tmp_path / "x", "npz", 1))

    def full(self):
        self.aside.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kind, "open", full)
    with pytest.raises(RunError, match="No space left"), open_sink(tmp_path / "x", "npz", 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"), open_sink(tmp_path / "file" / "x.npz", "npz", 1):
        pass
