"""Digits drawn to order: the styles and knobs of the page's Style view, and the lines of its Write view."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from digitvae.errors import InputError
from digitvae.explorer.drawings import FITTED, encoded
from digitvae.explorer.plane import Array, Images
from digitvae.handwriting import page, write
from digitvae.inking import as_png, as_svg, paint
from digitvae.morphometry import Morphometry, measure
from digitvae.studio import HANDS, Studio
from digitvae.styling import RANGES, UNITS, Knobs, edit_images, mix

DIRECTIONS = 6
"""Directions beside the knobs that have a slider."""

FARTHEST = 3.0
"""Standard deviations that a direction can be followed, at most."""

MAX_TEXT = 40
"""Characters of a line on the page; the command writes longer ones."""

MAX_HEIGHT = 400


@dataclass(frozen=True, eq=False)
class Wish:
    """What the Style view asks for, checked.

    Attributes:
        digit: What to draw.
        hand: Whose style; None where `image` is the example.
        image: An example, uint8, shape (28, 28), and what it is.
        knobs: Some of slant, thickness, width.
        rest: Distance along each of the other directions, in standard deviations.
    """

    digit: int
    hand: int | None
    image: Images | None
    label: int
    knobs: dict[str, float]
    rest: Array

    @classmethod
    def read(cls, values: Any) -> Wish:
        """Check JSON values.

        Raises:
            InputError: If one is missing, of another type, no number or out of range.
        """
        if not isinstance(values, Mapping):
            raise InputError("A style is asked for by a JSON object.")
        digit, label = _whole(values, "digit", range(10)), _whole(values, "label", range(10), 0)
        hand: int | None = _whole(values, "hand", HANDS, 0)
        image = None
        if values.get("image") is not None:
            hand = None
            try:
                content = base64.b64decode(str(values["image"]), validate=True)
            except (binascii.Error, ValueError) as error:
                raise InputError("The example is not base64.") from error
            if len(content) != FITTED:
                raise InputError(f"The example needs {FITTED} grey levels, not {len(content):,}.")
            image = np.frombuffer(bytearray(content), np.uint8).reshape(28, 28)
        asked = values.get("knobs") or {}
        if not isinstance(asked, Mapping):
            raise InputError("The knobs are a JSON object.")
        knobs = {name: _number(asked[name], name) for name in UNITS if asked.get(name) is not None}
        rest = values.get("rest") or []
        if not isinstance(rest, list) or len(rest) > DIRECTIONS:
            raise InputError(f"There are up to {DIRECTIONS} other directions.")
        along = np.zeros(DIRECTIONS)
        along[: len(rest)] = [_number(value, "direction") for value in rest]
        if np.abs(along).max() > FARTHEST:
            raise InputError(f"A direction can be followed for {FARTHEST:g} standard deviations.")
        return cls(digit, hand, image, label, knobs, along)


class Stylist:
    """Draws what the Style view asks for.

    Args:
        studio: What draws.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.knobs = Knobs.load(studio)

    def draw(self, wish: Wish) -> dict[str, Any]:
        """The ten digits in the style, the one that is asked for, and what its knobs and directions make of it.

        Raises:
            InputError: If a knob is out of range or a digit has nothing to measure.
        """
        every = np.arange(10)
        if wish.image is None:
            assert wish.hand is not None
            row = self.studio.draw(self.studio.hand(wish.hand), every)
        else:
            if not np.isfinite(measure(wish.image[None]).thickness[0]):
                raise InputError("The example has too little ink for a style to be read out of it.")
            row = mix(self.studio, every, np.repeat(wish.image[None], 10, 0), np.full(10, wish.label))
            row[wish.label] = wish.image
        base, label = row[[wish.digit]], np.array([wish.digit])
        edited = edit_images(self.studio, self.knobs, base, label, wish.knobs)
        image, noise = edited.images, edited.noise[0]
        directions = self.directions(self.studio.style(base, label)[0], wish.digit)
        if wish.rest.any():
            # As many decimals as the command that makes it again is given.
            noise = (noise + wish.rest @ directions).round(3)
            image = self.studio.draw(noise[None], label)
        return {
            "row": encoded(row),
            "base": encoded(base),
            "image": encoded(image),
            "before": _measures(measure(base)),
            "after": _measures(measure(image)),
            "code": [round(float(value), 3) for value in noise],
            "ends": encoded(self._ends(noise - wish.rest @ directions, wish.digit, directions)),
            "ranges": RANGES,
        }

    def directions(self, noise: Array, digit: int) -> Array:
        """Directions that the knobs do not cover, orthonormal, shape (`DIRECTIONS`, latent): those along which the
        picture of this style changes most, first the one along which it does so fastest.

        The derivative of the picture is taken by finite differences.
        """
        latent = self.studio.latent_dim
        step = 0.25 * np.eye(latent)
        labels = np.full(latent, digit)
        change = self.studio.draw(noise + step, labels).reshape(latent, -1).astype(np.float64)
        change -= self.studio.draw(noise - step, labels).reshape(latent, -1)
        covered, _ = np.linalg.qr(self.knobs.slopes[digit].T)
        free = np.eye(latent) - covered @ covered.T
        found, _, _ = np.linalg.svd(free @ change, full_matrices=False)
        rows: Array = found.T[:DIRECTIONS]
        signed: Array = rows * np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]
        return signed

    def _ends(self, noise: Array, digit: int, directions: Array) -> Images:
        """What each direction leads to: `FARTHEST` - 1 back and forth, shape (2 * directions, 28, 28)."""
        far = (FARTHEST - 1) * np.repeat(directions, 2, 0) * np.tile([-1.0, 1.0], len(directions))[:, None]
        found: Images = self.studio.draw(noise + far, np.full(len(far), digit))
        return found

    def written(
        self, text: str, hand: int, seed: int, height: int, ink: str, paper: str, kind: str
    ) -> tuple[bytes, str]:
        """A line, as `digitvae write` makes it, and its media type.

        Raises:
            InputError: If something cannot be written or a number is out of range.
        """
        if kind not in ("png", "svg"):
            raise InputError(f"A line is a png or an svg, not '{kind[:20]}'.")
        if len(text) > MAX_TEXT:
            raise InputError(f"The page writes up to {MAX_TEXT} characters; digitvae write does longer lines.")
        if height > MAX_HEIGHT:
            raise InputError(f"The page writes digits up to {MAX_HEIGHT} pixels high; digitvae write larger ones.")
        line = page(list(write(self.studio, [text], [hand], height=height, seed=seed)))
        if kind == "svg":
            return as_svg(line.ink, ink, paper).encode(), "image/svg+xml"
        return as_png(paint(line.ink, ink, paper)), "image/png"


def _whole(values: Mapping[str, Any], name: str, among: range, default: int | None = None) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value not in among:
        raise InputError(f"The {name} must be a whole number from {among[0]} to {among[-1]:,}.")
    return value


def _number(value: Any, name: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"The {name} must be a number.")
    return number


def _measures(found: Morphometry) -> dict[str, float | None]:
    values = {name: float(getattr(found, name)[0]) for name in UNITS}
    return {name: round(value, 2) if math.isfinite(value) else None for name, value in values.items()}
