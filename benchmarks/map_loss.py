"""What the default recipe reaches in its 150 epochs on all of MNIST: validation loss, time and memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.common import finish, full_mnist, peak_memory_mb
from digitvae.config import load_recipe
from digitvae.running import train_run

COMMAND = "python -m benchmarks.map_loss"


def main() -> None:
    splits = full_mnist()
    config = load_recipe("map")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        outcome = train_run(config, splits, Path(folder) / "map")
        seconds = time.perf_counter() - began
        metrics = outcome.run.metrics()
    chosen = [metrics[epoch - 1] for epoch in config.training.snapshot_epochs()]
    rows = [
        [str(m["epoch"]), f"{m['train']['loss']:.2f}", *(f"{m['validation'][k]:.2f}" for k in _TERMS)] for m in chosen
    ]
    result = {
        "validation_loss": metrics[-1]["validation"]["loss"],
        "best_validation_loss": outcome.best_loss,
        "best_epoch": outcome.best_epoch,
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(),
        "images_per_second": sum(m["images_per_second"] for m in metrics) / len(metrics),
        "seed": config.training.seed,
        "binarization": config.data.binarization,
        "data": splits.sha256,
    }
    finish("map_loss", COMMAND, result, ["epoch", "train loss", *(f"validation {k}" for k in _TERMS)], rows)


_TERMS = ("loss", "rate", "distortion")

if __name__ == "__main__":
    main()
