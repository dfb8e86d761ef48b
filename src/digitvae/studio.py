"""Labelled digits, drawn without PyTorch: what `digitvae generate` runs on, so that it starts at once.

A model folder that can draw holds, beside its weights, ``draw.onnx`` (noise and digit to image), ``style.onnx`` (image
and label to the noise that would draw it) and ``hands.npz`` (what a writer's digits share), as `digitvae.export` writes
them. Digits come in chunks of fixed size; each chunk's noise depends on the seed and its number alone, so the same
digits come out whoever draws which chunk, and memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from digitvae.data.files import cores
from digitvae.data.formats import read_arrays
from digitvae.errors import DataError, InputError, RunError
from digitvae.models.hands import Hands
from digitvae.rundir import find_model

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CHUNK = 1000
"""Digits that are drawn at a time."""

TEMPERATURE = 0.95
"""Default: near the variety of real digits, where a frozen reader reads 99.6 % of them as what was asked for."""

CLASSES = 10

MAX_DIGITS = 2**40
"""More than anybody asks for; larger numbers are slips."""

MAX_HANDS = 2**20
"""Hands in one set of digits, at most."""

HANDS = range(2**30)
"""Numbers of hands."""

MAX_EXAMPLES = 1000
"""Digits that a hand is learned from, at most."""

_GUESTS = 2**30  # numbers of learned hands begin here, and stay within 32 bits

_STREAMS = {"chunks": 0, "hands": 1, "lines": 2, "habits": 3, "texts": 4, "effects": 5}
"""Kinds of random streams that one seed gives."""

_WEIGHTS = {"draw.onnx": ("prior.", "decoder."), "style.onnx": ("prior.", "encoder.body.", "encoder.loc.")}
"""Beginnings of the names of the weights that each computation needs."""

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Some digits in a row.

    Attributes:
        images: uint8, ink is 255, shape (n, 28, 28).
        labels: uint8, shape (n,).
        noise: Their styles, shape (n, latent).
        hands: Who wrote each, int32, shape (n,); None where each digit is another hand's.
    """

    images: Images
    labels: Images
    noise: Floats
    hands: npt.NDArray[np.int32] | None


class Studio:
    """A model that draws digits.

    Args:
        folder: The model folder.
        threads: Processor threads; as many as there are cores for this process where 0.

    Raises:
        RunError: If the folder cannot draw, or is damaged.

    >>> batch = next(Studio.load().digits(5, hands=2))
    >>> batch.images.shape, batch.labels.shape, batch.hands.shape
    ((5, 28, 28), (5,), (5,))
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.folder = folder
        self.threads = threads or cores()
        self._drawing = _session(folder / "draw.onnx", self.threads)
        self._styling: InferenceSession | None = None
        self._guests: list[Floats] = []
        self.latent_dim = int(self._drawing.get_inputs()[0].shape[1])

    @classmethod
    def load(cls, model: str = "studio", threads: int = 0) -> Self:
        """The studio of a model folder, a run directory or a shipped model.

        Raises:
            RunError: If there is no such model, or it cannot draw.
        """
        return cls(find_model(model), threads)

    @cached_property
    def hands(self) -> Hands:
        """What its hands are drawn from.

        Raises:
            RunError: If the folder has none, or they are damaged.
        """
        latent = self.latent_dim
        shapes = {"shared": (CLASSES, latent) * 2, "mean": (CLASSES, latent), "scale": (CLASSES, latent, latent)}
        return Hands(**read_part(self.folder / "hands.npz", shapes))

    @property
    def weights_sha256(self) -> str:
        """What tells its weights from others: the hash in its ``config.json``.

        Raises:
            RunError: If that file is missing or damaged.
        """
        return _sha256_of(self.folder)

    def draw(self, noise: Floats, labels: Integers | Floats) -> Images:
        """Draw digits.

        Args:
            noise: Their styles, standard Normal where they are to be as varied as real ones; shape (n, latent).
            labels: What to draw: integers from 0 to 9, shape (n,), or weights of the ten digits, shape (n, 10), which
                draw something between digits.

        Returns:
            uint8, shape (n, 28, 28).

        Raises:
            InputError: If the shapes do not fit or a label is no digit.
        """
        weights: npt.NDArray[Any] = np.asarray(labels)
        if noise.shape != (len(weights), self.latent_dim):
            raise InputError(f"Styles need shape ({len(weights)}, {self.latent_dim}), not {noise.shape}.")
        if weights.shape != (len(weights), CLASSES):
            check_labels(weights)
            weights = np.eye(CLASSES)[weights]
        feed = {"noise": noise.astype(np.float32), "weights": weights.astype(np.float32)}
        images: Images = self._drawing.run(None, feed)[0]
        return images.reshape(-1, 28, 28)

    def style(self, images: Images, labels: Integers) -> npt.NDArray[np.float32]:
        """The styles that real digits are written in, float32, shape (n, latent).

        Args:
            images: uint8, ink is 255, shape (n, 28, 28).
            labels: What they are, 0 to 9, shape (n,).

        Raises:
            InputError: If the shapes do not fit or a label is no digit.
        """
        labels = np.asarray(labels)
        if images.shape != (len(labels), 28, 28):
            raise InputError(f"Images need shape ({len(labels)}, 28, 28), not {images.shape}.")
        check_labels(labels)
        if self._styling is None:
            self._styling = _session(self.folder / "style.onnx", self.threads)
        feed = {"image": (images[:, None] / 255).astype(np.float32), "label": labels.astype(np.int64)}
        noise: npt.NDArray[np.float32] = self._styling.run(None, feed)[0]
        return noise

    def hand(self, number: int) -> Floats:
        """The hand of that number, its ten styles: always the same one, whatever else is drawn. Shape (10, latent).

        Raises:
            InputError: If the number is negative.
        """
        if not isinstance(number, int | np.integer):
            raise InputError(f"Hands have whole numbers, so there is no hand {number}.")
        if number - _GUESTS in range(len(self._guests)):
            return self._guests[number - _GUESTS]
        if number not in HANDS:
            raise InputError(f"Hands are numbered from 0 to {HANDS[-1]:,}, so there is no hand {number}.")
        return self.hands.draw(stream(0, "hands", number))

    def learn(self, images: Images, labels: Integers) -> int:
        """Learn a hand from some of its digits, one to a thousand: the number that it has in this studio from now on.

        It is the mean of all hands that could have written them: few examples give a hand that is near to the usual.

        Args:
            images: uint8, ink is 255, shape (n, 28, 28).
            labels: What they are, 0 to 9, shape (n,).

        Raises:
            InputError: If the shapes do not fit, a label is no digit, or there are no examples or too many.
        """
        if not 1 <= len(images) <= MAX_EXAMPLES:
            raise InputError(f"A hand is learned from 1 to {MAX_EXAMPLES:,} digits, not {len(images):,}.")
        self._guests.append(self.hands.like(self.style(images, labels), np.asarray(labels)))
        return _GUESTS + len(self._guests) - 1

    def digits(
        self,
        count: int,
        *,
        digit: int | None = None,
        hands: int = 0,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        chunks: range | None = None,
    ) -> Iterator[Batch]:
        """Draw many digits, a chunk at a time.

        Args:
            count: How many, all in all.
            digit: Which; each chunk holds all ten alike, in random order, where None.
            hands: Number of hands, 0, 1, ..., which share the digits evenly, one after the other; 0 gives each digit a
                hand of its own.
            seed: Seed of the noise and the order.
            temperature: 1 samples the prior, as varied as real digits; less is more legible. With hands it is about
                what differs between the digits of one hand.
            chunks: Which of the `chunk_count` chunks to draw; all where None.

        Raises:
            InputError: If a number is out of its range.
        """
        check_count(count)
        if digit is not None:
            check_labels(np.array([digit]))
        most = min(count, MAX_HANDS)
        if not 0 <= hands <= most:
            raise InputError(f"There can be 0 to {most:,} hands for {count:,} digits, not {hands}.")
        check_temperature(temperature)
        stream(seed, "chunks", 0)  # so that all that is wrong is said now, and not when the first digit is drawn
        whole = range(chunk_count(count))
        return self._chunks(count, digit, hands, seed, temperature, whole if chunks is None else chunks)

    def _chunks(
        self, count: int, digit: int | None, hands: int, seed: int, temperature: float, chunks: range
    ) -> Iterator[Batch]:
        for chunk in chunks:
            rng = stream(seed, "chunks", chunk)
            order = rng.permutation(np.arange(CHUNK) % CLASSES)
            first = chunk * CHUNK
            size = min(CHUNK, count - first)
            labels = (order[:size] if digit is None else np.full(size, digit)).astype(np.uint8)
            if hands:
                who = ((first + np.arange(size)) * hands // count).astype(np.int32)
                noise = self._by_hands(who, labels, rng, temperature)
                yield Batch(self.draw(noise, labels), labels, noise, who)
            else:
                noise = temperature * rng.normal(size=(CHUNK, self.latent_dim))[:size]
                yield Batch(self.draw(noise, labels), labels, noise, None)

    def listed(
        self, hands: Integers, labels: Integers, *, seed: int = 0, temperature: float = TEMPERATURE
    ) -> Iterator[Batch]:
        """Draw what a list says, in its order, a chunk at a time.

        Args:
            hands: Number of the hand that writes each digit, shape (n,).
            labels: Which digit, shape (n,).
            seed: Seed of what differs each time that a hand writes.
            temperature: As in `digits`.

        Raises:
            InputError: If a number is out of its range.
        """
        check_temperature(temperature)
        check_labels(labels)
        stream(seed, "chunks", 0)
        return self._listed(hands, labels, seed, temperature)

    def _listed(self, hands: Integers, labels: Integers, seed: int, temperature: float) -> Iterator[Batch]:
        for chunk in range(chunk_count(len(labels))):
            rows = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
            who, what = hands[rows].astype(np.int32), labels[rows].astype(np.uint8)
            noise = self._by_hands(who, what, stream(seed, "chunks", chunk), temperature)
            yield Batch(self.draw(noise, what), what, noise, who)

    def _by_hands(self, hands: Integers, labels: Integers, rng: np.random.Generator, temperature: float) -> Floats:
        """Styles of digits, each by its hand; the hands take their turns in the order of their numbers."""
        noise = np.empty((len(labels), self.latent_dim))
        for one in np.unique(hands):
            rows = hands == one
            noise[rows] = self.hands.noise(self.hand(int(one)), labels[rows], rng, temperature)
        return noise


def chunk_count(count: int) -> int:
    """Chunks that so many digits are drawn in."""
    return -(-count // CHUNK)


def check_count(count: int) -> None:
    """Raise InputError where so many digits cannot be drawn."""
    if not 1 <= count <= MAX_DIGITS:
        raise InputError(f"The number of digits must be 1 to {MAX_DIGITS:,}, not {count}.")


def check_temperature(temperature: float) -> None:
    """Raise InputError where a temperature is below 0 or no number."""
    if not 0 <= temperature < float("inf"):
        raise InputError(f"The temperature must be 0 or more, not {temperature}.")


def check_labels(labels: npt.NDArray[Any]) -> None:
    """Raise InputError where a label is no digit."""
    wrong = labels[(labels < 0) | (labels >= CLASSES)]
    if len(wrong):
        raise InputError(f"A digit is 0 to 9, not {wrong[0]}.")


def stream(seed: int, kind: str, number: int) -> np.random.Generator:
    """Random numbers that depend on these three alone.

    Args:
        seed: From 0 to 2^63 - 1.
        kind: What they are for: ``chunks``, ``hands``, ``lines``, ``habits``, ``texts`` or ``effects``.
        number: Which of these, below 2^48.

    Raises:
        InputError: If the seed or the number is out of its range.
    """
    if not 0 <= number < 2**48:
        raise InputError(f"There is no number {number} among the {kind}: they go from 0 to 2^48 - 1.")
    if not 0 <= seed < 2**63:
        raise InputError(f"The seed must be a whole number from 0 to 2^63 - 1, not {seed}.")
    return np.random.Generator(np.random.Philox(key=np.array([seed, (_STREAMS[kind] << 48) + number], np.uint64)))


def read_part(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a part of a model folder, such as ``hands.npz``.

    Args:
        path: The part.
        shapes: The arrays' names, and the shape that each must have.

    Raises:
        RunError: If it is missing or damaged, or holds anything but finite numbers in these shapes.
    """
    try:
        arrays = read_arrays(path, tuple(shapes))
    except DataError as error:
        raise _damaged_part(path) from error
    if any(arrays[name].shape != shape or not np.isfinite(arrays[name]).all() for name, shape in shapes.items()):
        raise _damaged_part(path)
    return arrays


def _sha256_of(folder: Path) -> str:
    path = folder / "config.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged_part(path) from error


def _digest(weights: Mapping[str, npt.NDArray[Any]]) -> str:
    """What `digitvae.checkpoint` writes into ``config.json``, without PyTorch."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name}{array.shape}torch.{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _damaged_part(path: Path) -> RunError:
    return RunError(f"{path} is missing or damaged; install digitvae again, or export the model anew.")


def _session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime
    from safetensors.numpy import load_file

    if not path.is_file():
        raise RunError(
            f"{path.parent} cannot draw: it has no {path.name}; give a model that `digitvae export` made so."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    file = path.parent / "model.safetensors"
    try:
        kept = load_file(file)
        weights = {f"model.{k}": w.astype(np.float32) for k, w in kept.items() if k.startswith(_WEIGHTS[path.name])}
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(w) for w in weights.values()]
        options.add_external_initializers(list(weights), values)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds of exception, none with a common base
        raise RunError(f"{path} is damaged; install digitvae again, or export the model anew.") from error
    if _digest(kept) != _sha256_of(path.parent):
        raise RunError(f"{file} does not match its checksum; install digitvae again, or export the model anew.")
    return session
