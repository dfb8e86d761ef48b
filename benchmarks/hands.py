"""Are generated hands as consistent as real ones, and is a hand that is learned from ten digits that writer's?

Real: MNIST's 10,000 test digits and their writers. Generated: one new hand for each of these writers writes that
writer's own list of labels, 20 times over. Slant, thickness and width are measured, less the mean of each class of the
same set. Hands were learned from the writers of the training digits alone, who are other people.

Learned: of each test writer with 20 digits or more, ten digits are shown to the model, which then writes ten new ones,
one of each class. Their mean (slant, thickness), each over its standard deviation, should be nearer to that of the
writer's other digits than to that of another writer; all others are asked. The ten digits themselves are the ceiling.

Usage: python -m benchmarks.hands [MODEL]
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import numpy as np

from benchmarks.common import finish, full_mnist, peak_memory_mb
from digitvae.data.sources import load_writers
from digitvae.evaluation.hands import consistency, without_class_means
from digitvae.morphometry import Morphometry, measure
from digitvae.studio import TEMPERATURE, Studio

REPEATS = 20
EXAMPLES = 10
MEASURES = ("slant", "thickness", "width")
KEYS = {
    "icc": "intraclass correlation",
    "same_class": "correlation of two digits of one class",
    "cross_class": "correlation of two digits of two classes",
    "within": "standard deviation within hands",
    "between": "standard deviation between hands",
}


def main(model: str = "studio", repeats: int = REPEATS) -> None:
    began = time.perf_counter()
    studio, test, writers = Studio.load(model), full_mnist().test, load_writers().test
    labels = test.labels.astype(np.int64)
    _, who = np.unique(writers, return_inverse=True)
    measured = measure(test.images)
    real = compared(measured, who, labels)
    every = []
    for repeat in range(repeats):
        batches = studio.listed(who + 1000 * repeat, labels, seed=repeat)
        every.append(compared(measure(np.concatenate([batch.images for batch in batches])), who, labels))
        print(f"{repeat + 1} of {repeats}", flush=True)
    made = {name: mean([each[name] for each in every]) for name in MEASURES}
    learned, best = recognised(studio, test.images, measured, labels, writers), ceiling(measured, labels, writers)
    result = {
        "model": model,
        "repeats": repeats,
        "real": real,
        "generated": made,
        "learned from ten digits": {"nearer": learned, "the ten digits themselves": best},
        "seconds": time.perf_counter() - began,
        "peak_memory_mb": peak_memory_mb(),
    }
    rows = [
        [f"{name}, {title}", f"{real[name][key]:.2f}", f"{made[name][key]:.2f}"]
        for name in MEASURES
        for key, title in KEYS.items()
    ]
    rows.append(["nearer to its own writer, of ten digits", f"{best['share']:.1%}", f"{learned['share']:.1%}"])
    finish("hands", "python -m benchmarks.hands", result, ["measure", "real hands", "generated hands"], rows)


def compared(measured: Morphometry, hands: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The consistency of each measure."""
    return {name: dataclasses.asdict(consistency(getattr(measured, name), hands, labels)) for name in MEASURES}


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([each[key] for each in found])) for key in found[0]}


def points(measured: Morphometry, labels: np.ndarray, like: Morphometry, like_labels: np.ndarray) -> np.ndarray:
    """Slant and thickness of digits less the mean of their class in another set, over the standard deviations there."""
    columns = []
    for name in MEASURES[:2]:
        values, others = getattr(measured, name), getattr(like, name)
        means = np.array([np.nanmean(others[like_labels == digit]) for digit in range(10)])
        columns.append((values - means[labels]) / np.nanstd(without_class_means(np.nan_to_num(others), like_labels)))
    return np.column_stack(columns)


def split_writers(labels: np.ndarray, writers: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of the shown and of the other digits of each writer who has enough."""
    rng, found = np.random.default_rng(0), []
    for writer in np.unique(writers):
        rows = rng.permutation(np.flatnonzero(writers == writer))
        if len(rows) >= 2 * EXAMPLES:
            found.append((rows[:EXAMPLES], rows[EXAMPLES:]))
    return found


def share_nearer(written: list[np.ndarray], others: list[np.ndarray]) -> dict[str, float]:
    """How often what is written is nearer to its writer than to another one: the mean over all other writers."""
    near, homes = np.array(written), np.array(others)
    distance = np.linalg.norm(near[:, None] - homes[None], axis=2)
    own = distance.diagonal()[:, None]
    better = (own < distance)[~np.eye(len(near), dtype=bool)]
    return {"share": float(better.mean()), "writers": len(near)}


def recognised(
    studio: Studio, images: np.ndarray, measured: Morphometry, labels: np.ndarray, writers: np.ndarray
) -> dict[str, float]:
    real, digits = points(measured, labels, measured, labels), np.arange(10)
    written, others, rng = [], [], np.random.default_rng(1)
    for shown, rest in split_writers(labels, writers):
        hand = studio.hand(studio.learn(images[shown], labels[shown]))
        drawn = measure(studio.draw(studio.hands.noise(hand, digits, rng, TEMPERATURE), digits))
        written.append(np.nanmean(points(drawn, digits, measured, labels), 0))
        others.append(np.nanmean(real[rest], 0))
    return share_nearer(written, others)


def ceiling(measured: Morphometry, labels: np.ndarray, writers: np.ndarray) -> dict[str, float]:
    real = points(measured, labels, measured, labels)
    parts = [(np.nanmean(real[shown], 0), np.nanmean(real[rest], 0)) for shown, rest in split_writers(labels, writers)]
    return share_nearer(*zip(*parts, strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:2])
