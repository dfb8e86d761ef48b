"""Do digits of the shipped studio help to train a reader? And those of a trivial generator, the PCA Gaussian?

60,000 generated digits each, certified as `digitvae certify` does it, on MNIST.

Usage: python -m benchmarks.does_it_help [MODEL]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.common import finish, full_mnist
from digitvae.data import Digits
from digitvae.evaluation.certificate import certify
from digitvae.evaluation.rivals import pca_gaussian
from digitvae.studio import Studio

COUNT = 60_000


def main(model: str = "studio") -> None:
    """The table is written after each generator, so that a stop keeps what was measured."""
    splits, batches = full_mnist(), list(Studio.load(model).digits(COUNT))
    images, labels = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("images", "labels"))
    generators = {
        f"{model}, as shipped": Digits(images, labels),
        "PCA Gaussian of each class": pca_gaussian(splits.train, COUNT),
    }
    certificates, rows = {}, []
    columns = ["60,000 digits of", "real labels a class", "real alone", "with generated", "gain, points", "so they"]
    for name, digits in generators.items():
        certificates[name] = certify(digits, splits, name, notify=told)
        rows += lines(name, certificates[name])
        finish("does_it_help", "python -m benchmarks.does_it_help", {"certificates": certificates}, columns, rows)


def lines(name: str, content: dict) -> list[list[str]]:
    """One generator's rows: what readers read, and the verdict on copies."""
    found = {measure["name"]: measure for measure in content["sections"]["readers"]["measures"]}
    rows = [[name, "0", "", percent(found["generated alone"]), "", ""]]
    for size in content["sizes"]:
        real, both, gain = (found[f"{arm}, {size} a class"] for arm in ("real alone", "both", "gain"))
        gained = f"{100 * gain['value']:+.2f} ± {100 * gain['settings']['error']:.2f}"
        rows.append([name, f"{size:,}", percent(real), percent(both), gained, gain["settings"]["verdict"]])
    audit = content["copy_audit"]
    rows.append([name, "copy audit", "", "passed" if audit["passed"] else f"failed: {'; '.join(audit['why'])}", "", ""])
    return rows


def percent(measure: dict) -> str:
    return f"{100 * measure['value']:.2f} ± {100 * measure['settings']['error']:.2f} %"


def told(done: int, of: int, text: str) -> None:
    print(f"{done} of {of}: {text}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
