"""What `--temperature` trades: legibility, nearness to real digits, variety, and use for training a reader.

60,000 digits of the shipped studio at each temperature, without hands, judged on MNIST's test digits: the frozen
reader's agreement with the asked-for label (all digits), FID-digit, precision, recall and coverage (10,000 of them),
and the classification accuracy score (three classifiers). Real training digits stand in the last row. At temperature 1
the digits are samples of the model's prior.

Usage: python -m benchmarks.temperature [TEMPERATURE ...]
With temperatures, only these are measured, and what else was measured of the same weights is kept.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from benchmarks.common import RESULTS, finish, full_mnist, peak_memory_mb
from digitvae.data import Digits
from digitvae.evaluation.samples import RealDigits, classification_accuracy, sample_measures
from digitvae.reading import frozen, read_digits
from digitvae.studio import TEMPERATURE, Studio

COUNT = 60_000
TEMPERATURES = (0.5, 0.8, TEMPERATURE, 1.0, 1.15)
SHOWN = ("FID-digit", "precision", "recall", "coverage")


def main(only: list[float]) -> None:
    began = time.perf_counter()
    studio, splits = Studio.load(), full_mnist()
    real = RealDigits(splits.train, splits.test)
    found = kept(studio.weights_sha256) if only else {}
    for temperature in only or TEMPERATURES:
        batches = list(studio.digits(COUNT, temperature=temperature))
        images, labels = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("images", "labels"))
        found[str(temperature)] = judged(Digits(images, labels), real)
    if "real" not in found:
        found["real"] = judged(splits.train, real)
    rows = [row(title(name), found[name]) for name in sorted(found, key=lambda name: (name == "real", name))]
    result = {"count": COUNT, "weights_sha256": studio.weights_sha256, "measured": found}
    if not only:
        result |= {"seconds": time.perf_counter() - began, "peak_memory_mb": peak_memory_mb()}
    columns = ["temperature", "read as asked for", "FID-digit", "precision", "recall", "coverage"]
    columns += ["classification accuracy score"]
    finish("temperature", "python -m benchmarks.temperature", result, columns, rows)


def kept(weights_sha256: str) -> dict[str, dict[str, float]]:
    """What was measured before of these weights."""
    path = RESULTS / "temperature.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return dict(before["measured"]) if before.get("weights_sha256") == weights_sha256 else {}


def title(name: str) -> str:
    if name == "real":
        return "real digits"
    return f"{name}, the default" if name == str(TEMPERATURE) else name


def judged(digits: Digits, real: RealDigits) -> dict[str, float]:
    read = read_digits(frozen("reader")[0], digits.images).argmax(1).numpy()
    measures = {m.name: m.value for m in sample_measures(digits.images[-len(real.judged) :], real)}
    test = real.judged
    score = classification_accuracy(digits.images, digits.labels, test.images, test.labels, notify=print)
    agreement = float(np.mean(read == digits.labels))
    return {"agreement": agreement, "score": score.value, "spread": score.spread or 0.0} | {
        n: measures[n] for n in SHOWN
    }


def row(title: str, found: dict[str, float]) -> list[str]:
    shares = [f"{found[name]:.1%}" for name in SHOWN[1:]]
    score = f"{found['score']:.2%} ± {found['spread']:.2%}"
    return [title, f"{found['agreement']:.2%}", f"{found['FID-digit']:.1f}", *shares, score]


if __name__ == "__main__":
    main([float(value) for value in sys.argv[1:]])
