"""How cost grows: with images, with parameters, with processes; and, by calculation, to a billion digits.

Training: seconds per epoch of one configuration with 6,000 to 48,000 images, with decoders and encoders of doubled
widths, and with one and two processes of one thread each. Generating: seconds and bytes for 10,000 to 1,000,000 digits
in Parquet shards, by one and two processes. Nothing else may run beside it.

Usage: python -m benchmarks.scaling
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import finish, full_mnist
from digitvae.config import Config, load_recipe
from digitvae.data import Splits
from digitvae.rundir import RunDirectory
from digitvae.training import Trainer

IMAGES = (6_000, 12_000, 24_000, 48_000)
WIDTHS = (1, 2, 4)
DIGITS = (10_000, 100_000, 1_000_000)
PER_SHARD = 10_000
BILLION = 10**9


def main() -> None:
    splits, rows = full_mnist(), []
    config = load_recipe("map").with_settings(["epochs=2"])
    for n in IMAGES:
        rows.append(["training, images an epoch", f"{n:,}", seconds(epoch(config, splits, n)), ""])
    for factor in WIDTHS:
        wide = config.with_settings(
            [
                f"{part}={[factor * width // 2 for width in getattr(config.model, part)]}"
                for part in ("encoder", "decoder")
            ]
        )
        trainer = Trainer(wide, splits.train.images[:2], splits.train.images[:1])
        parameters = sum(p.numel() for p in trainer.model.parameters())
        rows.append(["training, parameters", f"{parameters:,}", seconds(epoch(wide, splits, 12_000)), "12,000 images"])
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            rows.append(
                [
                    "training, processes of one thread",
                    str(processes),
                    seconds(together(processes, Path(folder))),
                    "48,000 images",
                ]
            )
        for n in DIGITS:
            took, size = generated(n, 1, Path(folder))
            rows.append(["generating, digits", f"{n:,}", seconds(took), f"{size:.0f} bytes a digit"])
        took, size = generated(DIGITS[-1], 2, Path(folder))
        rows.append(
            ["generating with two processes, digits", f"{DIGITS[-1]:,}", seconds(took), f"{size:.0f} bytes a digit"]
        )
        rows += calculated(took, size)
    finish("scaling", "python -m benchmarks.scaling", {}, ["what grows", "to", "time", ""], rows)


def calculated(took: float, size: float) -> list[list[str]]:
    """What a billion digits take two processes and the disk, and the work of a million, from the largest set's rate.

    >>> calculated(36.0, 300.0)[1]
    ['work, calculated, digits', '1,000,000', '0.020 core hours', '']
    """
    hours = took * BILLION / DIGITS[-1] / 3600
    work = 2 * took / 3600
    return [
        ["calculated, digits", f"{BILLION:,}", f"{hours:.1f} hours", f"{size * BILLION / 1e9:.0f} GB"],
        ["work, calculated, digits", f"{DIGITS[-1]:,}", f"{work:.3f} core hours", ""],
    ]


def epoch(config: Config, splits: Splits, images: int) -> float:
    """Seconds of the second epoch: the first one warms up."""
    trainer = Trainer(config, splits.train.images[:images], splits.validation.images[:100])
    trainer.train_epoch()
    trainer.train_epoch()
    return trainer.progress.epoch_seconds


def together(processes: int, folder: Path) -> float:
    """Seconds of the second epoch of a run that several processes train, of one thread each."""
    out = folder / f"run-{processes}"
    launch(processes, "train", "map", "--epochs", "2", "--out", str(out))
    return float(list(RunDirectory(out).metrics())[-1]["seconds"])


def generated(n: int, processes: int, folder: Path) -> tuple[float, float]:
    """Seconds of a set in shards of `PER_SHARD` digits, and bytes of a digit."""
    out = folder / f"digits-{n}-{processes}"
    began = time.perf_counter()
    launch(processes, "generate", "-n", str(n), "--shards", str(n // PER_SHARD), "-o", str(out))
    took = time.perf_counter() - began
    size = sum(path.stat().st_size for path in out.glob("*.parquet"))
    shutil.rmtree(out)
    return took, size / n


def launch(processes: int, *arguments: str) -> None:
    together = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *together, "-m", "digitvae", *arguments], check=True, env=environment)


def seconds(value: float) -> str:
    return f"{value:.2f} s"


if __name__ == "__main__":
    main()
