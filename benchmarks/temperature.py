"""What `--temperature` trades: legibility, nearness to real digits, variety, and use for training a reader.

60,000 digits of the shipped studio at each temperature, without hands, judged on MNIST's test digits: the frozen
reader's agreement with the asked-for label (all digits), FID-digit, precision, recall and coverage (10,000 of them),
and the classification accuracy score (three classifiers). Real training digits stand in the last row. At temperature 1
the digits are samples of the model's prior.

Usage: python -m benchmarks.temperature [MODEL]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.common import finish, full_mnist, peak_memory_mb
from digitvae.data import Digits, Splits
from digitvae.evaluation.samples import classification_accuracy, sample_measures
from digitvae.reading import frozen, read_digits
from digitvae.studio import Studio

COUNT = 60_000
TEMPERATURES = (0.5, 0.8, 1.0, 1.15)
SHOWN = ("FID-digit", "precision", "recall", "coverage")


def main(model: str = "studio") -> None:
    began = time.perf_counter()
    studio, splits, rows, found = Studio.load(model), full_mnist(), [], {}
    for temperature in TEMPERATURES:
        batches = list(studio.digits(COUNT, temperature=temperature))
        images, labels = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("images", "labels"))
        found[str(temperature)] = judged(Digits(images, labels), splits)
        rows.append(row(str(temperature), found[str(temperature)]))
    found["real"] = judged(splits.train, splits)
    rows.append(row("real digits", found["real"]))
    result = {"model": model, "count": COUNT, "measured": found, "seconds": time.perf_counter() - began}
    columns = ["temperature", "read as asked for", "FID-digit", "precision", "recall", "coverage"]
    columns += ["classification accuracy score"]
    command = "python -m benchmarks.temperature"
    finish("temperature", command, result | {"peak_memory_mb": peak_memory_mb()}, columns, rows)


def judged(digits: Digits, splits: Splits) -> dict[str, float]:
    read = read_digits(frozen("reader")[0], digits.images).argmax(1).numpy()
    measures = {m.name: m.value for m in sample_measures(digits.images[-len(splits.test) :], splits.train, splits.test)}
    score = classification_accuracy(digits.images, digits.labels, splits.test.images, splits.test.labels, notify=print)
    agreement = float(np.mean(read == digits.labels))
    return {"agreement": agreement, "score": score.value, "spread": score.spread or 0.0} | {
        n: measures[n] for n in SHOWN
    }


def row(title: str, found: dict[str, float]) -> list[str]:
    shares = [f"{found[name]:.1%}" for name in SHOWN[1:]]
    score = f"{found['score']:.2%} ± {found['spread']:.2%}"
    return [title, f"{found['agreement']:.2%}", f"{found['FID-digit']:.1f}", *shares, score]


if __name__ == "__main__":
    main(*sys.argv[1:2])
