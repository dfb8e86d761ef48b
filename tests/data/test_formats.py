import contextlib
import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digitvae.data import read_idx, read_npz, write_idx, write_npz
from digitvae.errors import DataError, RunError

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = st.sampled_from([np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64])


def arrays(**more):
    return DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5), **more))


def idx_bytes(shape, body=b"", code=8):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + body


@given(array=arrays(), zipped=st.booleans())
@fuzz
def test_idx_round_trip(tmp_path, array, zipped):
    path = tmp_path / ("x.gz" if zipped else "x")
    write_idx(path, array, overwrite=True)
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()  # NaN and all
    assert back.flags.writeable
    assert back.dtype.isnative


def test_idx_bytes_are_those_of_the_specification(tmp_path):
    write_idx(tmp_path / "x", np.array([[1, 258]], np.int32))
    assert (tmp_path / "x").read_bytes() == bytes.fromhex("00000c02 00000001 00000002 00000001 00000102")


def test_the_same_digits_give_the_same_gz(tmp_path, few):
    write_idx(tmp_path / "a.gz", few.images)
    write_idx(tmp_path / "b.gz", few.images)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


GOOD = idx_bytes((2, 3), b"abcdef")
BAD_IDX = {
    "wrong magic": (b"\x89PNG\r\n\x1a\n" + bytes(20), "not an IDX file"),
    "wrong type": (idx_bytes((2,), b"ab", code=7), "not an IDX file"),
    "no axes": (bytes([0, 0, 8, 0]), "not an IDX file"),
    "nothing": (b"", "truncated"),
    "half a header": (GOOD[:9], "truncated"),
    "half a body": (GOOD[:-1], "truncated"),
    "trailing": (GOOD + b"x", "bytes after"),
    "zero images": (idx_bytes((0, 28, 28)), "empty"),
    "gzip, half a body": (gzip.compress(GOOD[:-1]), "truncated"),
    "gzip, trailing": (gzip.compress(GOOD + b"x"), "bytes after"),
    "gzip cut off": (gzip.compress(GOOD)[:-9], "truncated gzip"),
    "gzip damaged": (gzip.compress(GOOD)[:-8] + bytes(8), "damaged gzip"),
}


@pytest.mark.parametrize(("content", "words"), BAD_IDX.values(), ids=BAD_IDX)
def test_bad_idx_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "digits-idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("shape", [(10**9, 28, 28), (2**32 - 1,) * 4, (2_000_000, 28, 28)])
def test_a_header_that_claims_too_much_takes_no_memory(tmp_path, zipped, shape):
    path = tmp_path / "huge"
    content = idx_bytes(shape, bytes(10_000))
    path.write_bytes(gzip.compress(content) if zipped else content)

    def read():
        with pytest.raises(DataError):
            read_idx(path)

    assert peak_of(read) < 3e6


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx_bytes((10,)) + bytes(50_000_000)))

    def read():
        with pytest.raises(DataError, match="bytes after"):
            read_idx(path)

    assert peak_of(read) < 3e6


@given(content=st.binary(max_size=80))
@fuzz
def test_random_idx_bytes_give_data_errors_only(tmp_path, content):
    for start in (b"", b"\0\0\x08\x01", b"\x1f\x8b\x08"):
        (tmp_path / "x").write_bytes(start + content)
        with contextlib.suppress(DataError):
            read_idx(tmp_path / "x")


def mutate(content, changes, cut):
    changed = bytearray(content)
    for where, value in changes:
        changed[where % len(changed)] = value
    return bytes(changed[: len(changed) - cut % len(changed)])


mutations = {
    "changes": st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    "cut": st.one_of(st.just(0), st.integers(0, 10**6)),
}


@given(**mutations)
@fuzz
def test_mutated_files_give_data_errors_only(tmp_path, changes, cut):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.arange(64, dtype=np.float32).reshape(1, 8, 8), labels=np.array([3]))
    for content, read in ((gzip.compress(GOOD), read_idx), (GOOD, read_idx), (buffer.getvalue(), read_npz)):
        (tmp_path / "x").write_bytes(mutate(content, changes, cut))
        with contextlib.suppress(DataError):
            read(tmp_path / "x")


@given(images=arrays(), labelled=st.booleans())
@fuzz
def test_npz_round_trip(tmp_path, images, labelled):
    labels = np.arange(3) if labelled else None
    write_npz(tmp_path / "x.npz", images, labels, overwrite=True)
    back = read_npz(tmp_path / "x.npz")
    assert back["images"].tobytes() == images.tobytes()
    assert back["images"].shape == images.shape
    assert ("labels" in back) == labelled
    with np.load(tmp_path / "x.npz") as oracle:
        assert oracle["images"].tobytes() == images.tobytes()


def test_npz_of_other_orders_and_byte_orders(tmp_path):
    images = np.asfortranarray(np.arange(24, dtype=">i4").reshape(2, 3, 4))
    np.savez(tmp_path / "x.npz", images=images)
    np.testing.assert_array_equal(read_npz(tmp_path / "x.npz")["images"], images)


def test_npz_with_objects_is_refused_and_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="not plain numbers"):
        read_npz(tmp_path / "x.npz")


def test_npz_without_images_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="no array named 'images'"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("shape", [(10**9, 28, 28), (1_000_000, 28, 28), (-1, 28)])
def test_npz_that_claims_too_much_takes_no_memory(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(100))

    def read():
        with pytest.raises(DataError, match="images"):
            read_npz(tmp_path / "x.npz")

    assert peak_of(read) < 3e6


@pytest.mark.parametrize("read", [read_idx, read_npz])
def test_missing_files_and_folders(tmp_path, read):
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="not a file"):
        read(tmp_path)
    with pytest.raises(DataError):
        read("nul\0byte")


def test_writers_never_overwrite_unasked_and_leave_nothing_behind(tmp_path):
    for write, name in ((write_idx, "x"), (write_npz, "x.npz")):
        path = tmp_path / "deep" / name
        write(path, np.zeros((1, 2), np.uint8))
        with pytest.raises(RunError, match="already exists"):
            write(path, np.ones((1, 2), np.uint8))
        write(path, np.ones((1, 2), np.uint8), overwrite=True)
    assert sorted(file.name for file in (tmp_path / "deep").iterdir()) == ["x", "x.npz"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write_idx(tmp_path / "file" / "x", np.ones(2, np.uint8))


def test_what_formats_cannot_hold_is_refused(tmp_path):
    with pytest.raises(DataError, match="IDX cannot hold"):
        write_idx(tmp_path / "x", np.zeros(2, np.int64))
    with pytest.raises(DataError, match="not plain numbers"):
        write_npz(tmp_path / "x", np.array(["a"]))
