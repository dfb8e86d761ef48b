import contextlib
import gzip
import json
import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from digitvae.data import (
    Digits,
    load_digits,
    load_splits,
    read_folder,
    read_parquet,
    write_folder,
    write_idx,
    write_npz,
    write_parquet,
)
from digitvae.errors import DataError, RunError

fuzz = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def put_npz(path, digits):
    write_npz(path.with_suffix(".npz"), digits.images, digits.labels)
    return path.with_suffix(".npz")


def put_idx(path, digits, ending=""):
    images = path.with_name(f"my-images-idx3-ubyte{ending}")
    write_idx(images, digits.images)
    if digits.labels is not None:
        write_idx(path.with_name("my-labels-idx1-ubyte"), digits.labels)
    return images


def put_gz(path, digits):
    return put_idx(path, digits, ".gz")


def put_folder(path, digits):
    write_folder(path, digits)
    return path


def put_parquet(path, digits):
    write_parquet(path.with_suffix(".parquet"), digits)
    return path.with_suffix(".parquet")


def put_tables(path, digits):
    """Two Parquet files in a folder, as `digitvae generate --shards` writes them."""
    half = len(digits) // 2
    path.mkdir()
    write_parquet(path / "digits-0.parquet", digits.subset(slice(half)))
    write_parquet(path / "digits-1.parquet", digits.subset(slice(half, None)))
    return path


def put_classes(path, digits):
    order = np.argsort(digits.labels, kind="stable")
    for position, (image, label) in enumerate(zip(digits.images[order], digits.labels[order], strict=True)):
        (path / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / str(label) / f"{position:04d}.png")
    return path


def test_one_large_value_for_many_rows_is_not_read_at_once(tmp_path):
    """A few kilobytes of file, 16 GB if all rows were read together."""
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 512, pa.int32()), pa.array([bytes(32_000_000)], pa.binary()))
    pq.write_table(pa.table({"image": rows}), tmp_path / "x.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "x.parquet").stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError):
        load_digits(tmp_path / "x.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


def test_more_rows_than_memory_has_room_for_are_refused(tmp_path):
    one = pa.table({"image": pa.array([b"x"] * 1000, pa.binary())})
    with pq.ParquetWriter(tmp_path / "x.parquet", one.schema) as writer:
        writer.write_table(pa.concat_tables([one] * 1400))
    with pytest.raises(DataError, match="1,400,000 rows, more than"):
        load_digits(tmp_path / "x.parquet")


FORMS = [put_npz, put_idx, put_gz, put_folder, put_parquet]


@pytest.mark.parametrize("put", [*FORMS, put_tables])
def test_what_is_written_is_read_back(tmp_path, few, put):
    digits, notes = load_digits(str(put(tmp_path / "x", few)))
    np.testing.assert_array_equal(digits.images, few.images)
    np.testing.assert_array_equal(digits.labels, few.labels)
    assert notes == ()


@pytest.mark.parametrize("put", [*FORMS, put_tables])
def test_digits_without_labels(tmp_path, few, put):
    heard = []
    digits, notes = load_digits(put(tmp_path / "x", Digits(few.images)), heard.append)
    np.testing.assert_array_equal(digits.images, few.images)
    assert digits.labels is None
    assert heard == list(notes)


@pytest.mark.parametrize("put", FORMS)
def test_dark_on_light_is_inverted_and_said(tmp_path, few, put):
    digits, notes = load_digits(put(tmp_path / "x", Digits(255 - few.images, few.labels)))
    np.testing.assert_array_equal(digits.images, few.images)
    assert notes == ("40 of 40 images were dark on light and were inverted.",)


def test_class_folders(tmp_path, few):
    digits, _ = load_digits(put_classes(tmp_path / "x", few))
    order = np.argsort(few.labels, kind="stable")
    np.testing.assert_array_equal(digits.images, few.images[order])
    np.testing.assert_array_equal(digits.labels, few.labels[order])


def test_other_sizes_are_fitted_and_said(tmp_path, few):
    write_npz(tmp_path / "x.npz", few.images.repeat(3, 1).repeat(3, 2), few.labels)
    digits, notes = load_digits(tmp_path / "x.npz")
    assert np.abs(digits.images.astype(float) - few.images).mean() < 25  # within a pixel's shift
    assert notes == ("40 of 40 images had another size and were fitted to 28x28 as MNIST was made.",)


def test_one_picture(tmp_path, few):
    Image.fromarray(few.images[0]).save(tmp_path / "seven.png")
    digits, _ = load_digits(tmp_path / "seven.png")
    np.testing.assert_array_equal(digits.images, few.images[:1])
    assert digits.labels is None


def test_several_digits_are_refused_by_name(tmp_path, few):
    Image.fromarray(np.hstack(few.images[:3]).repeat(3, 0).repeat(3, 1)).save(tmp_path / "numbers.png")
    for path in (tmp_path, tmp_path / "numbers.png"):
        with pytest.raises(DataError, match=r"numbers\.png holds several digits"):
            load_digits(path)


def test_blank_image_in_an_array(tmp_path, few):
    images = few.images.copy()
    images[17] = 0
    write_npz(tmp_path / "x.npz", images)
    with pytest.raises(DataError, match=r"Image 17 of .*x\.npz is blank"):
        load_digits(tmp_path / "x.npz")


def test_bad_files(tmp_path, few):
    write_npz(tmp_path / "few-labels.npz", few.images, few.labels[:-1])
    write_npz(tmp_path / "wrong-labels.npz", few.images, few.labels + 5)
    write_idx(tmp_path / "labels-idx1-ubyte", few.labels)
    (tmp_path / "text.txt").write_text("digits")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + bytes(50))
    (tmp_path / "empty").mkdir()
    (tmp_path / "image.png").write_text("not one")
    for name, words in {
        "few-labels.npz": "39 for 40 images",
        "wrong-labels.npz": "labels must be 0 to 9",
        "labels-idx1-ubyte": "holds labels, not images",
        "text.txt": "of no known kind",
        "broken.parquet": "not a sound Parquet file",
        "empty": "holds no pictures",
        "image.png": "is not a PNG",
        "none.npz": "does not exist",
    }.items():
        with pytest.raises(DataError, match=words) as caught:
            load_digits(tmp_path / name)
        assert name in str(caught.value)


def test_the_folder_is_not_left(tmp_path, few):
    inside = put_folder(tmp_path / "inside", few)
    Image.fromarray(few.images[0]).save(tmp_path / "outside.png")
    (inside / "labels.csv").write_text("file,label\n../outside.png,3\n")
    with pytest.raises(DataError, match="leads out of its folder"):
        load_digits(inside)
    (inside / "labels.csv").write_text(f"file,label\n{tmp_path / 'outside.png'},3\n")
    with pytest.raises(DataError, match="leads out of its folder"):
        load_digits(inside)
    (inside / "labels.csv").unlink()
    (inside / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match=r"link\.png leads out of its folder"):
        load_digits(inside)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"file,label\n00000.png,10\n", "label '10'"),
        (b"file,label\n00000.png,one\n", "label 'one'"),
        (b"file,label\n00000.png\n", "no 'file' or 'label'"),
        (b"name,class\n00000.png,1\n", "no 'file' or 'label'"),
        (b"file,label\nnone.png,1\n", "does not exist"),
        (b"\xff\xfe\xfa", "not a sound CSV"),
        (b'file,label\n"00000.png,1\n', "not a sound CSV"),
        (b"", "holds no pictures"),
    ],
)
def test_bad_label_tables(tmp_path, few, text, words):
    folder = put_folder(tmp_path / "x", few)
    (folder / "labels.csv").write_bytes(text)
    with pytest.raises(DataError, match=words):
        read_folder(folder)


@given(text=st.binary(max_size=60))
@fuzz
def test_random_label_tables_give_data_errors_only(tmp_path, few, text):
    if not (tmp_path / "x").exists():
        write_folder(tmp_path / "x", few.subset(slice(0, 2)))
    (tmp_path / "x" / "labels.csv").write_bytes(b"file,label\n" + text)
    with contextlib.suppress(DataError):
        read_folder(tmp_path / "x")


def test_mixed_folders_are_refused_and_other_files_passed_over(tmp_path, few):
    folder = put_classes(tmp_path / "x", few)
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.png").write_text("hello")
    assert len(load_digits(folder)[0]) == 40
    Image.fromarray(few.images[0]).save(folder / "loose.png")
    with pytest.raises(DataError, match=r"loose picture loose\.png"):
        load_digits(folder)


def test_writing_never_replaces_a_folder(tmp_path, few):
    (tmp_path / "x").mkdir()
    write_folder(tmp_path / "x", few)
    with pytest.raises(RunError, match="already exists"):
        write_folder(tmp_path / "x", few)
    write_parquet(tmp_path / "x.parquet", few)
    with pytest.raises(RunError, match="already exists"):
        write_parquet(tmp_path / "x.parquet", few)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write_folder(tmp_path / "file" / "x", few)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "x", "x.parquet"]


def test_parquet_says_what_it_holds(tmp_path, few):
    write_parquet(tmp_path / "x.parquet", few)
    schema = pq.read_schema(tmp_path / "x.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == list("0123456789")
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    assert str(schema.field("label").type) == "int64"


def png(path, image):
    Image.fromarray(image).save(path)
    return path.read_bytes()


def test_other_parquet_tables(tmp_path, few):
    content = png(tmp_path / "a.png", few.images[0])
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": [content] * 2, "label": pa.array([3, 4], pa.int8()), "z": [1, 2]}), path)
    digits, _ = read_parquet(path)
    np.testing.assert_array_equal(digits.images, few.images[[0, 0]])
    np.testing.assert_array_equal(digits.labels, [3, 4])
    for table, words in (
        ({"picture": [content]}, "no column 'image'"),
        ({"image": ["a.png"]}, "'image' in .* is string"),
        ({"image": [content], "label": ["one"]}, "'label' in .* is string"),
        ({"image": [content, content], "label": [1, None]}, "no label in row 1"),
        ({"image": [content], "label": [12]}, "labels must be 0 to 9"),
        ({"image": [{"bytes": None, "path": "/etc/passwd"}]}, "'image' in|no image bytes"),
        ({"image": [b"nonsense"]}, r"Row 0 of .* is not a PNG"),
        ({"image": pa.array([], pa.binary())}, "holds no images"),
    ):
        pq.write_table(pa.table(table), path)
        with pytest.raises(DataError, match=words):
            read_parquet(path)


@given(
    changes=st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), min_size=1, max_size=5),
    cut=st.one_of(st.just(0), st.integers(0, 10**5)),
)
@fuzz
def test_mutated_parquet_gives_data_errors_only(tmp_path, few, changes, cut):
    good = tmp_path / "good.parquet"
    if not good.exists():
        write_parquet(good, few.subset(slice(0, 2)))
    content = bytearray(good.read_bytes())
    for where, value in changes:
        content[where % len(content)] = value
    (tmp_path / "bad.parquet").write_bytes(content[: len(content) - cut % len(content)])
    with contextlib.suppress(DataError):
        read_parquet(tmp_path / "bad.parquet")


def test_own_digits_are_divided_in_their_order(tmp_path, few):
    splits = load_splits(put_npz(tmp_path / "mine", few))
    assert splits.name == "mine.npz"
    assert (len(splits.train), len(splits.validation), splits.test) == (32, 8, None)
    np.testing.assert_array_equal(splits.validation.images, few.images[32:])
    assert splits.caption == "mine.npz, 32 training digits"
    assert splits.notes == ()


def test_sorted_digits_are_shuffled_and_it_is_said(tmp_path, few):
    heard = []
    folder = put_classes(tmp_path / "mine", few)
    first, second = load_splits(folder, notify=heard.append), load_splits(str(folder))
    assert len(set(first.validation.labels.tolist())) > 2
    assert any("shuffled" in note for note in first.notes)
    assert heard == list(first.notes)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.sha256 == second.sha256
    together = np.concatenate([first.train.images, first.validation.images])
    assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in few.images)


def test_the_hash_follows_the_content_and_not_the_container(tmp_path, few):
    one, other = load_splits(put_npz(tmp_path / "a", few)), load_splits(put_parquet(tmp_path / "b", few))
    assert one.sha256 == other.sha256
    changed = few.images.copy()
    changed[0, 14, 14] ^= 1
    assert load_splits(put_npz(tmp_path / "c", Digits(changed, few.labels))).sha256 != one.sha256


def test_a_folder_that_keeps_test_digits_apart(tmp_path, few):
    put_folder(tmp_path / "mine" / "train", few.subset(slice(0, 30)))
    put_folder(tmp_path / "mine" / "test", few.subset(slice(30, 40)))
    for part, digits in (("train", few.subset(slice(0, 30))), ("t10k", few.subset(slice(30, 40)))):
        write_idx(tmp_path / "idx" / f"{part}-images-idx3-ubyte.gz", digits.images)
        write_idx(tmp_path / "idx" / f"{part}-labels-idx1-ubyte", digits.labels)
    _, notes = load_digits(tmp_path / "idx")
    assert "test digits" in notes[-1]
    one, other = load_splits(tmp_path / "mine"), load_splits(tmp_path / "idx")
    for splits in (one, other):
        assert (len(splits.train), len(splits.validation), len(splits.test)) == (24, 6, 10)
        np.testing.assert_array_equal(splits.test.images, few.images[30:])
    assert one.sha256 == other.sha256


def test_too_few_and_unknown_names(tmp_path, few):
    with pytest.raises(DataError, match="holds 9 digits"):
        load_splits(put_npz(tmp_path / "x", few.subset(slice(0, 9))))
    with pytest.raises(DataError, match="neither 'mnist', 'mnist-5k' nor"):
        load_splits("mnsit")


def test_gzip_names_do_not_matter(tmp_path, few):
    path = put_idx(tmp_path / "x", few)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert len(load_digits(path)[0]) == 40
