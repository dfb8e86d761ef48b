"""What the good GAN of the comparison reaches when it has the time: nobody should be able to call the rival weak.

The recipe ``gan`` on the 48,000 training digits of MNIST, with a running average over more steps, as it has more of
them. What validation digits say is printed on the way and chooses nothing; test digits are read once, at the end.

Usage: python -m benchmarks.gan_alone [MINUTES]
"""

from __future__ import annotations

import dataclasses
import sys
import time

from benchmarks.common import finish, full_mnist
from digitvae.comparison.contenders import GANContender
from digitvae.data import Digits
from digitvae.evaluation.samples import RealDigits, classification_accuracy, sample_measures
from digitvae.models.gan import GANS

AVERAGE = 0.9998
PARTS = 3
COUNT = 60_000
SHOWN = ("FID-digit", "precision", "recall", "coverage")


def main(minutes: float) -> None:
    splits = full_mnist()
    config = dataclasses.replace(GANS["gan"], average=AVERAGE)
    gan = GANContender("GAN, relativistic", config, splits, 60 * minutes, 0)
    began = time.perf_counter()
    for part in range(1, PARTS + 1):
        gan.train(60 * minutes * part / PARTS)
        digits, real = gan.draw(COUNT, 0), splits.validation
        found = measured(digits.subset(slice(-len(real), None)), splits.train, real)
        score = classification_accuracy(digits.images, digits.labels, real.images, real.labels, seeds=1)
        print(f"{gan.seconds / 60:.0f} minutes, {gan.epochs:.1f} epochs: {found}, score {score.value:.2%}", flush=True)
    digits = gan.draw(COUNT, 0)
    found = measured(digits.subset(slice(-len(splits.test), None)), splits.train, splits.test)
    score = classification_accuracy(digits.images, digits.labels, splits.test.images, splits.test.labels, notify=print)
    result = {
        "minutes": minutes,
        "epochs": gan.epochs,
        "average": AVERAGE,
        "score": score.value,
        "spread": score.spread,
        "measured": found,
        "seconds": time.perf_counter() - began,
    }
    row = [f"{minutes:g}", f"{gan.epochs:.0f}", f"{found['FID-digit']:.2f}"]
    row += [*(f"{found[name]:.1%}" for name in SHOWN[1:]), f"{score.value:.2%} ± {score.spread or 0:.2%}"]
    columns = ["minutes", "epochs", *SHOWN, "classification accuracy score"]
    finish("gan_alone", f"python -m benchmarks.gan_alone {minutes:g}", result, columns, [row])


def measured(digits: Digits, train: Digits, real: Digits) -> dict[str, float]:
    measures = {m.name: m.value for m in sample_measures(digits.images, RealDigits(train, real))}
    return {name: measures[name] for name in SHOWN}


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
