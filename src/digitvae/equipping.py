"""What a trained model needs to draw: its computations as ONNX files, the knobs of its styles, and hands.

Knobs are learned from digits that the model draws. Hands are learned from writers; then they are calibrated, so that
their digits are as consistent as those of these writers, in slant, thickness and width, and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitvae.checkpoint import load_model
from digitvae.data import Digits
from digitvae.errors import InputError
from digitvae.evaluation.hands import Consistency, consistency
from digitvae.export import export_studio
from digitvae.models.hands import CLASSES, Array, Hands, as_shared
from digitvae.morphometry import Morphometry, measure
from digitvae.studio import CHUNK, TEMPERATURE, Studio, stream
from digitvae.styling import UNITS, Knobs

DRAWN = 20_000
"""Digits that the knobs are learned from."""

MOST = 20_000
"""Digits of writers that hands are calibrated on."""

ROUNDS = 8
"""Rounds of writing, measuring and correcting."""

Groups = npt.NDArray[np.integer]


def equip(folder: Path, digits: Digits, writers: Groups, notify: Callable[[str], None] = lambda text: None) -> None:
    """Make a model folder one that can draw: write ``draw.onnx``, ``style.onnx``, ``knobs.npz`` and ``hands.npz``.

    Args:
        folder: A model folder, of a model that is conditioned on the digit and has a ``flow`` prior.
        digits: Labelled digits of many writers, such as the model was trained on.
        writers: Who wrote each, shape (n,).
        notify: Told what is done next.

    Raises:
        InputError: If the model is of another kind, the digits have no labels, or the extra ``onnx`` is not installed.
        RunError: If the folder has no model, or cannot be written to.
    """
    if digits.labels is None or writers.shape != digits.labels.shape:
        raise InputError("Hands are learned from digits with labels, and a writer for each.")
    model, _ = load_model(folder)
    notify("the computations")
    export_studio(folder, model)
    studio = Studio(folder)
    notify("what knobs do")
    noise, which = stream(0, "chunks", 0).normal(size=(DRAWN, studio.latent_dim)), np.arange(DRAWN) % CLASSES
    knobs = Knobs.estimated(noise, which, drawn(studio, noise, which))
    knobs.save(folder)
    notify("the hands of writers")
    labels = digits.labels.astype(np.int64)
    styles = [
        studio.style(digits.images[rows], labels[rows])
        for rows in (slice(start, start + CHUNK) for start in range(0, len(labels), CHUNK))
    ]
    hands = Hands.estimated(np.concatenate(styles).astype(np.float64), writers, labels)
    hands = calibrated(studio, hands, knobs, digits.images, labels, writers, notify)
    kept = {"shared": hands.shared, "mean": hands.mean, "scale": hands.scale}
    np.savez(folder / "hands.npz", **{name: array.astype(np.float32) for name, array in kept.items()})  # type: ignore[arg-type]


def drawn(studio: Studio, noise: Array, labels: Groups) -> npt.NDArray[np.uint8]:
    """Draw many digits, a chunk at a time; arguments as in `Studio.draw`."""
    starts = range(0, len(labels), CHUNK)
    return np.concatenate([studio.draw(noise[at : at + CHUNK], labels[at : at + CHUNK]) for at in starts])


def calibrated(
    studio: Studio,
    hands: Hands,
    knobs: Knobs,
    images: npt.NDArray[np.uint8],
    labels: Groups,
    writers: Groups,
    notify: Callable[[str], None] = lambda text: None,
) -> Hands:
    """Hands whose digits are as consistent as those of writers.

    The styles that are found of real digits are blurred, and habits that show in curved ways in them are missed, so
    what writers have in common is underrated at first. In the direction of each knob, what a hand's digits share is
    raised, or lowered, until two digits of one hand correlate as those of writers do: of different classes, and of one.
    All of that at the default temperature.

    Args:
        studio: What draws; its own hands are not asked.
        hands: As they were estimated.
        knobs: What styles do.
        images: Real digits, uint8, shape (n, 28, 28).
        labels: What they are, shape (n,).
        writers: Who wrote each, shape (n,).
        notify: Told how far it is.
    """
    order = np.random.default_rng(0).permutation(len(labels))[:MOST]
    labels, (_, who) = labels[order], np.unique(writers[order], return_inverse=True)
    real = compared(measure(images[order]), who, labels)
    every = np.stack([along(knobs, place) for place in range(len(UNITS))])
    raised = np.zeros((len(UNITS), 2))  # in all digits alike, and in those of one class beside that
    settled = []
    for round_number in range(ROUNDS):
        notify(f"calibrating hands, {round_number + 1} of {ROUNDS}")
        adjusted = _raised(hands, every, raised)
        rng = np.random.default_rng(round_number)
        people = np.stack([adjusted.draw(rng) for _ in range(who.max() + 1)])
        noise = people[who, labels] + adjusted.noise(np.zeros_like(people[0]), labels, rng, TEMPERATURE)
        made = compared(measure(drawn(studio, noise, labels)), who, labels)
        goal, got = (np.array([[c.cross_class, c.same_class - c.cross_class] for c in each]) for each in (real, made))
        raised = raised + (goal - got) * min(1.0, 4 / (1 + round_number))  # ever smaller: each round's hands are new
        settled.append(raised)
    # Correlations of one round's hands are uncertain by some .03: the mean of the later rounds is less so.
    return _raised(hands, every, np.mean(settled[ROUNDS // 2 :], axis=0))


def compared(measured: Morphometry, hands: Groups, labels: Groups) -> list[Consistency]:
    """The consistency of each measure, in the order of the knobs."""
    return [consistency(getattr(measured, name), hands, labels) for name in UNITS]


def along(knobs: Knobs, place: int) -> Array:
    """The direction of a knob in each digit's styles, of length 1, shape (10, latent)."""
    slopes = knobs.slopes[:, place]
    direction: Array = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    return direction


def _raised(hands: Hands, directions: Array, raised: Array) -> Hands:
    shared = hands.shared.copy()
    for direction, (all_alike, own) in zip(directions, raised, strict=True):
        shared += all_alike * np.einsum("cl,dm->cldm", direction, direction)
        for digit in range(CLASSES):
            shared[digit, :, digit] += own * np.outer(direction[digit], direction[digit])
    return Hands(as_shared(shared), hands.mean, hands.scale)
