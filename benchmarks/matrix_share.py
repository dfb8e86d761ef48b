"""What share of the machine's matrix-product rate training reaches, at several batch sizes.

The rate is that of square products of 4,096, the best of those timed before and after each training, in bfloat16 and in
float32. Of training only the products of the dense layers (and, by quadrature, of images and points) are counted:
2 operations for each weight forwards, 4 backwards, 2 in a layer whose input needs no derivative. By quadrature all
points are taken backwards here, so that what a step does can be counted; a trained map needs few (see `objective`).

Usage: python -m benchmarks.matrix_share
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from benchmarks.common import finish, full_mnist
from digitvae import objective
from digitvae.config import Config, load_recipe
from digitvae.training import Trainer

SIDE = 4096
BATCHES = (128, 512, 2048)
SECONDS = 8


def main() -> None:
    objective.FEW = 0.0
    images = full_mnist().train.images
    rows, result = [], []
    for recipe in ("map", "exact"):
        for batch in BATCHES:
            config = load_recipe(recipe).with_settings([f"batch_size={batch}", "data.augmentation=0", "epochs=1000"])
            before = rates()
            per_image = operations(config)
            speed = images_per_second(config, images)
            peak = {kind: max(rate, before[kind]) for kind, rate in rates().items()}
            reached = speed * per_image
            rows.append(
                [recipe, str(batch), f"{speed:,.0f}", f"{per_image / 1e6:.1f}", f"{reached / 1e9:.0f}"]
                + [f"{100 * reached / peak[kind]:.0f} %" for kind in ("bfloat16", "float32")]
            )
            result.append(
                {"recipe": recipe, "batch": batch, "images_per_second": speed, "per_image": per_image, **peak}
            )
            print(rows[-1], {kind: f"{rate / 1e9:.0f}" for kind, rate in peak.items()}, flush=True)
    columns = [
        "recipe",
        "batch",
        "images/s",
        "MFLOP per image",
        "GFLOP/s",
        "of the bfloat16 rate",
        "of the float32 rate",
    ]
    finish("matrix_share", "python -m benchmarks.matrix_share", {"trainings": result}, columns, rows)


def rates() -> dict[str, float]:
    """Operations per second of square matrix products, by number format: the best of several."""
    found = {}
    for kind in (torch.bfloat16, torch.float32):
        a, b = torch.randn(2, SIDE, SIDE).to(kind)
        best = 0.0
        for _ in range(6):
            began = time.perf_counter()
            a @ b
            best = max(best, 2 * SIDE**3 / (time.perf_counter() - began))
        found[str(kind).removeprefix("torch.")] = best
    return found


def operations(config: Config) -> float:
    """Operations in matrix products for each image of a training step."""
    model = Trainer(config, np.zeros((2, 28, 28), np.uint8), np.zeros((1, 28, 28), np.uint8)).model
    weights = [m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear)]
    if config.training.objective == "elbo":
        return 6 * sum(weights) - 2 * weights[0]
    points = config.training.lattice[0]
    images = config.training.batch_size
    decoder = points * (6 * sum(weights) - 2 * weights[0])
    # Forwards, and backwards to the points alone: images need no derivative.
    return decoder / images + 4 * points * 784


def images_per_second(config: Config, images: np.ndarray) -> float:
    """Of training alone, after a warm-up."""
    trainer = Trainer(config, images, images[:1])
    began, steps, counted = time.perf_counter(), 0, 0

    def stop() -> bool:
        nonlocal began, steps, counted
        steps += 1
        if steps <= 5:
            began = time.perf_counter()
        else:
            counted += config.training.batch_size
        return time.perf_counter() - began > SECONDS

    while trainer.train_epoch(stop):
        pass
    return counted / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
