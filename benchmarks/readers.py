"""Train the two frozen networks that judge generated digits, and put them into the package.

They see MNIST's first 48,000 training digits alone. The table gives their accuracy on validation digits, and on test
digits that of the fixed classifier trained on real digits: what no set of generated ones should be expected to pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import digitvae
from benchmarks.common import finish, full_mnist
from digitvae.data import Digits
from digitvae.evaluation.samples import classification_accuracy
from digitvae.models.reader import Reader
from digitvae.reading import FROZEN, read_digits, save_reader, train_reader

COMMAND = "python -m benchmarks.readers"
PRETRAINED = Path(digitvae.__file__).parent / "pretrained"


def main() -> None:
    splits = full_mnist()
    train, labels = splits.train.images, np.asarray(splits.train.labels)
    rows, result = [], {}
    for seed, (name, recipe) in enumerate(FROZEN.items(), 1000):
        reader = train_reader(train, labels, recipe, seed, print)
        accuracy = accuracy_on(reader, splits.validation)
        facts = {"data": splits.sha256, "digits": len(train), "seed": seed, "validation_accuracy": accuracy}
        PRETRAINED.mkdir(exist_ok=True)
        save_reader(PRETRAINED / f"{name}.safetensors", reader, recipe, facts)
        result[name] = facts
        rows.append([name, "12,000 validation", f"{100 * accuracy:.2f} %"])
    assert splits.test is not None
    score = classification_accuracy(train, labels, splits.test.images, np.asarray(splits.test.labels), notify=print)
    result["classifier_on_real"] = score.to_dict()
    rows.append(["classifier trained on 48,000 real digits, 3 seeds", "10,000 test", f"{100 * score.value:.2f} %"])
    finish("readers", COMMAND, result, ["network", "digits", "accuracy"], rows)


def accuracy_on(reader: Reader, digits: Digits) -> float:
    """Share of the digits that the reader names rightly."""
    return float(np.mean(read_digits(reader, digits.images).argmax(1).numpy() == digits.labels))


if __name__ == "__main__":
    main()
