"""A drawing as the page answers it: fitted, placed, reconstructed, read, scored, and written again in the same hand."""

from __future__ import annotations

import base64
import functools
import io
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from digitvae.checkpoint import load_model, model_facts
from digitvae.data.fitting import fit_picture
from digitvae.data.pictures import read_picture
from digitvae.errors import DataError, InputError, RunError
from digitvae.evaluation.density import KeptLattice
from digitvae.evaluation.files import reference_scores
from digitvae.evaluation.scoring import RAREST, Reference, Scores, in_words, score_images
from digitvae.explorer.explored import Explored
from digitvae.explorer.plane import Images
from digitvae.rundir import PRETRAINED
from digitvae.styling import mix

MAX_PIXELS = 16_000_000
"""Pixels of a picture, at most: a photograph of a digit has fewer."""

NEAREST = 6
"""Nearest training digits that are shown."""

FITTED = 28 * 28


class Judge:
    """Answers drawings.

    Args:
        explored: The run or model that is shown.
    """

    def __init__(self, explored: Explored) -> None:
        self.explored = explored
        train = explored.splits.train
        self._real = (train.images.reshape(len(train), -1) / np.float32(255)).astype(np.float32)
        self._norms = np.square(self._real).sum(1)
        # A model that is told the digit gives no log p(x) of an image alone; the shipped map does.
        self.scorer = "map" if explored.model.classes else explored.name
        folder = PRETRAINED / "map" if explored.model.classes else explored.folder
        self._scored, self._facts = load_model(folder), model_facts(folder)

    @functools.cached_property
    def kept(self) -> KeptLattice:
        """What scores drawings; it takes seconds to make."""
        return KeptLattice(self._scored[0])

    @property
    def carried(self) -> bool:
        """Whether the model itself carries the scores of the real digits, so that no data is needed for them."""
        there: dict[str, Any] = self._facts.get("scores", {})
        return self._scored[1].data.binarization in there

    @functools.cached_property
    def reference(self) -> Reference | str:
        """The real digits that a drawing stands among; a sentence where all that are here were trained on."""
        model, config = self._scored
        chosen = config.data.binarization
        if self.carried:
            return Reference.from_dict(self._facts["scores"][chosen], chosen)
        try:
            return reference_scores(model, self._facts, self.explored.splits, chosen)
        except RunError:
            return "The model was trained on all digits that are here, so the drawing cannot be placed among others."

    def warm(self) -> None:
        """Make what the first answer would otherwise wait for."""
        self.kept, self.reference, self.explored.studio  # noqa: B018
        self.answer(_SEVEN, None)

    def answer(self, image: Images, digit: int | None) -> dict[str, Any]:
        """What the page shows of a fitted drawing, as JSON values; pictures are 28 x 28 grey levels in base64.

        Args:
            image: uint8, ink is 255, shape (28, 28).
            digit: What it is, where the user says so; else the reader does.

        Raises:
            InputError: If the digit is none.
        """
        if digit is not None and digit not in range(10):
            raise InputError(f"A digit is 0 to 9, not {digit}.")
        images = image[None]
        probabilities = self.explored.read(images)[0]
        label = int(probabilities.argmax()) if digit is None else digit
        found: dict[str, Any] = {
            "fitted": encoded(images),
            "label": label,
            "probabilities": [round(float(p), 4) for p in probabilities],
            **self._placed(images, label),
            **self._score(images),
            "nearest": self._nearest(images),
        }
        return found | self._same_hand(images, label, found)

    def _placed(self, images: Images, label: int) -> dict[str, Any]:
        """Place, covariance of the posterior there, and reconstruction."""
        drawer = self.explored.drawer
        if drawer is None:
            return {"place": None, "covariance": None, "reconstruction": None}
        codes, variances = drawer.encode(images, np.array([label]))
        _, plane = self.explored.mapped()
        return {
            "place": plane.places(codes)[0].tolist(),
            "covariance": None if variances is None else plane.spread(variances)[0].tolist(),
            "reconstruction": encoded(drawer.decode(codes, label)),
        }

    def _score(self, images: Images) -> dict[str, Any]:
        reference = self.reference
        if isinstance(reference, str):
            return {"score": None, "noScore": reference}
        scores: Scores = score_images(self.kept, images, reference)
        percentile = float(scores.percentile[0])
        return {
            "score": {
                "logProb": round(float(scores.log_prob[0]), 2),
                "percentile": round(percentile, 2),
                "words": in_words(percentile),
                "estimator": reference.estimator,
                "binarization": reference.binarization,
                "crossEntropy": reference.cross_entropy,
                "among": reference.digits,
                "by": self.scorer,
                "carried": self.carried,
            },
            "noScore": "",
        }

    def _nearest(self, images: Images) -> list[dict[str, Any]]:
        """The nearest training digits, in Euclidean distance over all pixels where ink is 1."""
        flat = images.reshape(-1).astype(np.float32) / np.float32(255)
        apart = self._norms - 2 * (self._real @ flat)
        near = np.argpartition(apart, NEAREST)[:NEAREST]
        distance = np.linalg.norm(self._real[near] - flat, axis=1)
        train = self.explored.splits.train
        return [
            {
                "row": int(near[place]),
                "image": encoded(train.images[near[place]]),
                "label": None if train.labels is None else int(train.labels[near[place]]),
                "distance": round(float(distance[place]), 2),
            }
            for place in distance.argsort(kind="stable")
        ]

    def _same_hand(self, images: Images, label: int, found: dict[str, Any]) -> dict[str, Any]:
        """All ten digits in the hand of the drawing: its own place holds the drawing."""
        if found["score"] is not None and found["score"]["percentile"] < RAREST:
            return {"hand": None, "noHand": "This does not look like a digit, so no hand is read out of it."}
        studio, _ = self.explored.studio
        digits = mix(studio, np.arange(10), np.repeat(images, 10, 0), np.full(10, label))
        digits[label] = images[0]
        return {"hand": encoded(digits), "noHand": ""}


def fitted(content: bytes, kind: str) -> Images:
    """What was sent, as MNIST would have it: uint8, ink is 255, shape (28, 28).

    Args:
        content: A picture file, or 784 grey levels that were fitted before.
        kind: Its media type; ``application/octet-stream`` is grey levels.

    Raises:
        DataError: If it is no picture of one digit, too large or damaged.
    """
    if kind == "application/octet-stream":
        if len(content) != FITTED:
            raise DataError(f"Grey levels of a digit are {FITTED} bytes, not {len(content):,}: send a picture instead.")
        return np.frombuffer(bytearray(content), np.uint8).reshape(28, 28)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(
                    f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels: give a smaller one."
                )
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("This is not a picture that can be read: give a PNG, JPEG, BMP, TIFF or WebP file.") from error
    return fit_picture(read_picture(content, "The picture"), "The picture")[0].copy()


def encoded(images: Images) -> str:
    """Grey levels as base64."""
    return base64.b64encode(images.tobytes()).decode()


_SEVEN = np.zeros((28, 28), np.uint8)
_SEVEN[5:8, 8:20] = _SEVEN[5:24, 17:20] = 255
