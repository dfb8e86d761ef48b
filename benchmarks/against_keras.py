"""The original network in Keras against ours, on the same machine in the same run.

Two claims. Like for like: recipe `seed` against the same network in Keras, epoch by epoch. And the time to the loss
at which the original ended: Keras' seconds per epoch times the 86 epochs that the original needed, against recipe
`sprint`. Keras gets a virtual environment of its own, made here, with its TensorFlow backend.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import finish, full_mnist
from benchmarks.time_to_seed import measure
from digitvae.config import load_recipe
from digitvae.data import Splits
from digitvae.training import Trainer

EPOCHS = 50
ORIGINAL_EPOCHS = 86
"""The epoch in which the original first reached its last validation loss."""
COMMAND = "python -m benchmarks.against_keras"
ENVIRONMENT = Path(__file__).parent.parent / ".cache" / "keras"


def main() -> None:
    splits = full_mnist()
    python = keras_environment()
    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder) / "digits.npz"
        np.savez(digits, train=splits.train.images, validation=splits.validation.images)
        versions, keras = run_keras(python, digits)
    precision, ours = run_ours(splits)
    target_seconds = measure(splits)["seconds_to_target"]
    # The first epoch of each warms up (graphs, kernels); the median leaves it out of account for both.
    theirs_epoch, our_epoch = (statistics.median(r["seconds"] for r in records) for records in (keras, ours))
    gap = {epoch: ours[epoch - 1]["validation_loss"] - keras[epoch - 1]["validation_loss"] for epoch in (20, EPOCHS)}
    result = {
        "keras_seconds_per_epoch": theirs_epoch,
        "our_seconds_per_epoch": our_epoch,
        "epoch_speedup": theirs_epoch / our_epoch,
        "keras_seconds_to_target": theirs_epoch * ORIGINAL_EPOCHS,
        "our_seconds_to_target": target_seconds,
        "target_speedup": theirs_epoch * ORIGINAL_EPOCHS / target_seconds if target_seconds else None,
        "validation_gap": gap,
        "precision": precision,
        "keras": keras,
        "ours": ours,
        "versions": versions,
    }
    columns = ["", "Keras (TensorFlow, float32)", f"digitvae ({precision})", "ratio or difference"]
    rows = [
        [
            "same network: seconds per epoch",
            f"{theirs_epoch:.2f}",
            f"{our_epoch:.2f}",
            f"{theirs_epoch / our_epoch:.1f}x",
        ]
    ]
    for epoch, difference in gap.items():
        losses = [f"{records[epoch - 1]['validation_loss']:.2f}" for records in (keras, ours)]
        rows.append([f"same network: validation loss, epoch {epoch}", *losses, f"{difference:+.2f} nats"])
    if target_seconds:
        seconds = [f"{theirs_epoch * ORIGINAL_EPOCHS:.0f}", f"{target_seconds:.2f}"]
        rows.append(["seconds to a validation loss of 148.74", *seconds, f"{result['target_speedup']:.0f}x"])
    finish("against_keras", COMMAND, result, columns, rows)


def keras_environment() -> Path:
    """Make the virtual environment once; its Python."""
    return environment(ENVIRONMENT, "tensorflow-cpu>=2.16")


def environment(folder: Path, *packages: str) -> Path:
    """A virtual environment with these packages, made once; its Python. One that was left half made is made anew."""
    python, made = folder / "bin" / "python", folder / ".made"
    if not made.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        made.touch()
    return python


def run_keras(python: Path, digits: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Train the network in Keras; versions and one record per epoch."""
    command = [str(python), str(Path(__file__).parent / "keras_seed.py"), str(digits), str(EPOCHS)]
    records = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print("keras", line.strip(), file=sys.stderr, flush=True)
            records.append(json.loads(line))
    if process.returncode:
        raise RuntimeError(f"The Keras program failed with exit code {process.returncode}.")
    return records[0], records[1:]


def run_ours(splits: Splits) -> tuple[str, list[dict[str, Any]]]:
    """Train recipe `seed`; its precision and one record per epoch, of the same kind."""
    config = load_recipe("seed").with_settings([f"epochs={EPOCHS}"])
    trainer = Trainer(config, splits.train.images, splits.validation.images)
    records = []
    for epoch in range(1, EPOCHS + 1):
        began = time.perf_counter()
        trainer.train_epoch()
        seconds = time.perf_counter() - began
        loss = trainer.validate()["loss"]
        total = time.perf_counter() - began
        record = {"epoch": epoch, "train_seconds": seconds, "seconds": total}
        records.append({**record, "loss": trainer.progress.sums.means()["loss"], "validation_loss": loss})
        print("ours", json.dumps(records[-1]), file=sys.stderr, flush=True)
    return trainer.precision, records


if __name__ == "__main__":
    main()
