"""What `benchmarks.fuzz` runs, a process for each reader: coverage-guided inputs, and what becomes of each.

A reader takes a file or raises one of `digitvae.errors`. Anything else is noted in ``found.jsonl``, once for each
place, and the input is kept beside it.

Usage: python -m benchmarks.fuzz_targets READER FOLDER SECONDS
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import struct
import sys
import tempfile
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["digitvae", "PIL", "tomllib"]):
    # Some are here for the readers, which import them when they first need them.
    import PIL.Image
    import pyarrow.parquet  # noqa: F401
    import scipy.ndimage  # noqa: F401
    import torch

    import digitvae
    from digitvae.checkpoint import load_model, load_state, save_model, save_state
    from digitvae.config import Config, load_recipe, recipe_names
    from digitvae.data import Digits, load_digits, write_idx, write_npz
    from digitvae.data.files import MAX_DEFLATE_RATIO
    from digitvae.data.tables import png, write_parquet
    from digitvae.errors import DigitVAEError
    from digitvae.models.vae import VAE
    from digitvae.studio import Studio
    from digitvae.styling import Knobs

LONGEST = 10
"""Seconds after which an input counts as a hang."""

LARGEST = 2**14
"""Bytes of an input, at most."""

SLACK = 16 * 2**20
"""Bytes that a reader may take whatever the size of the file: code that is loaded, buffers, fragments."""

LIMITS = [f"-timeout={LONGEST}", "-rss_limit_mb=4096", f"-max_len={LARGEST}", "-print_final_stats=1", "-verbosity=0"]
CONFIG = Config().with_settings(["encoder=[8]", "decoder=[8]"])
IMAGES = np.zeros((2, 28, 28), np.uint8)
IMAGES[:, 6:22, 12:16] = 200
DIGITS = Digits(IMAGES, np.array([1, 7], np.uint8))


@dataclass(frozen=True)
class Reader:
    """One way in.

    Attributes:
        file: Name of the file that is read.
        read: What reads it.
        seeds: Writes sound files into a folder and gives their contents.
        packed: Whether the format may be compressed.
        arrays: Names of the arrays that an npz is to have.
    """

    file: str
    read: Callable[[Path], Any]
    seeds: Callable[[Path], list[bytes]]
    packed: bool = False
    arrays: tuple[str, ...] = ()


def idx_seeds(folder: Path) -> list[bytes]:
    write_idx(folder / "a", IMAGES)
    write_idx(folder / "a.gz", IMAGES.astype(np.float32))
    return [(folder / name).read_bytes() for name in ("a", "a.gz")]


def npz_seeds(folder: Path) -> list[bytes]:
    write_npz(folder / "a.npz", IMAGES, DIGITS.labels)
    return [(folder / "a.npz").read_bytes(), npy(IMAGES), npy(np.asfortranarray(IMAGES / 255))]


def png_seeds(folder: Path) -> list[bytes]:
    contents = [png(IMAGES[0])]
    for mode in ("1", "P", "RGBA", "I;16"):
        content = io.BytesIO()
        PIL.Image.new(mode, (40, 40), 1).save(content, "PNG")
        contents.append(content.getvalue())
    return contents


def parquet_seeds(folder: Path) -> list[bytes]:
    write_parquet(folder / "a.parquet", DIGITS)
    return [(folder / "a.parquet").read_bytes()]


def recipe_seeds(folder: Path) -> list[bytes]:
    return [load_recipe(name).to_toml().encode() for name in recipe_names()]


def state_seeds(folder: Path) -> list[bytes]:
    save_state(folder / "a", {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}, {"epoch": 2})
    return [(folder / "a").read_bytes()]


def model_seeds(name: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        save_model(folder / "model", VAE.from_config(CONFIG.model, 0), CONFIG, "# Card\n")
        return [(folder / "model" / name).read_bytes()]

    return seeds


def array_seeds(folder: Path) -> list[bytes]:
    content = io.BytesIO()
    parts = {"shared": (10, 2, 10, 2), "mean": (10, 2), "scale": (10, 2, 2), "slopes": (10, 3, 2)}
    np.savez_compressed(content, **{name: np.ones(shape) for name, shape in parts.items()})
    return [content.getvalue(), *(npy(np.ones(shape, np.float32)) for shape in parts.values())]


def hands(path: Path) -> Any:
    return Studio.hands.func(SimpleNamespace(folder=path.parent, latent_dim=2))


def knobs(path: Path) -> Any:
    return Knobs.load(SimpleNamespace(folder=path.parent, latent_dim=2))


READERS = {
    "IDX": Reader("x-images-idx3-ubyte", load_digits, idx_seeds, packed=True),
    "npz": Reader("x.npz", load_digits, npz_seeds, packed=True, arrays=("images",)),
    "PNG": Reader("x.png", load_digits, png_seeds, packed=True),
    "Parquet": Reader("x.parquet", load_digits, parquet_seeds, packed=True),
    "recipe": Reader("x.toml", lambda path: load_recipe(str(path)), recipe_seeds),
    "training-state": Reader("training.safetensors", load_state, state_seeds),
    "weights": Reader("model.safetensors", lambda path: load_model(path.parent), model_seeds("model.safetensors")),
    "model-recipe": Reader("config.json", lambda path: load_model(path.parent), model_seeds("config.json")),
    "hands": Reader("hands.npz", hands, array_seeds, packed=True, arrays=("shared", "mean", "scale")),
    "knobs": Reader("knobs.npz", knobs, array_seeds, packed=True, arrays=("slopes",)),
}


def npy(array: np.ndarray) -> bytes:
    """An array as one member of an npz."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def mended(content: bytes, arrays: tuple[str, ...] = ()) -> bytes:
    """The content with the checksums that it should have, so that what lies behind them is reached too.

    The chunks of a PNG get theirs; what begins as one array becomes the arrays of an npz.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        whole, place = bytearray(content), 8
        while place + 12 <= len(whole):
            end = place + 8 + struct.unpack_from(">I", whole, place)[0]
            if end + 4 > len(whole):
                break
            struct.pack_into(">I", whole, end, zlib.crc32(whole[place + 4 : end]))
            place = end + 4
        return bytes(whole)
    if arrays and content.startswith(b"\x93NUMPY"):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for name in arrays:
                file.writestr(f"{name}.npy", content)
        return archive.getvalue()
    return content


def honest(size: int, packed: bool) -> int:
    """Bytes that a reader may take for a file of this size: twice what it can hold, and a little."""
    return 2 * size * (MAX_DEFLATE_RATIO if packed else 1) + SLACK


def place(error: BaseException) -> str:
    """Where an error came through our code last."""
    ours = str(Path(digitvae.__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(ours)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"


class Run:
    """The inputs of one process.

    Attributes:
        reader: What reads them.
        folder: Where the file to be read, what is found, and the inputs that it was found with lie.
    """

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        self.path = folder / "read" / reader.file
        self.known: set[tuple[str, str]] = set()

    def warm_up(self, seeds: list[bytes]) -> None:
        """Read sound files, so that what is loaded once is loaded."""
        for seed in seeds:
            self.path.write_bytes(seed)
            with contextlib.suppress(Exception):
                self.reader.read(self.path)

    def one(self, data: bytes) -> None:
        """Read one input."""
        content = mended(data, self.reader.arrays)
        self.path.write_bytes(content)
        before = _peak()
        try:
            self.reader.read(self.path)
        except DigitVAEError:
            pass
        except Exception as error:  # the very thing that is looked for
            self.note(type(error).__name__, str(error), place(error), content)
        grown = _peak() - before
        if grown > honest(len(content), self.reader.packed):
            self.note("memory", f"{grown:,} bytes for a file of {len(content):,}", "", content)

    def note(self, kind: str, words: str, where: str, content: bytes) -> None:
        """Write down what was found, once for each kind and place."""
        if (kind, where) in self.known:
            return
        self.known.add((kind, where))
        kept = self.folder / f"found-{zlib.crc32(content):08x}"
        kept.write_bytes(content)
        line = {"kind": kind, "words": words[:300], "where": where, "input": kept.name}
        with (self.folder / "found.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name: str, folder: Path, seconds: int) -> None:
    reader, corpus, read = READERS[name], folder / "corpus", folder / "read"
    corpus.mkdir(parents=True, exist_ok=True)
    save_model(read, VAE.from_config(CONFIG.model, 0), CONFIG, "# Card\n")  # for the files beside the one that is read
    with tempfile.TemporaryDirectory() as new:
        seeds = reader.seeds(Path(new))
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    run = Run(reader, folder)
    run.warm_up(seeds)
    limits = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], run.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
